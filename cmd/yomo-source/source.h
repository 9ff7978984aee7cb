/* SPDX-License-Identifier: ISC */
/* yomo-source: what arrives on standard input becomes messages. */
#ifndef SOURCE_H
#define SOURCE_H

#include "conf/common.h"
#include "framing/framing.h"

struct source_conf {
	struct common_conf common; /* first: conf/common.h */
	uint32_t tag;
	enum framing_kind format;
	uint64_t block; /* of raw; 0: as it comes */
	uint64_t every_ns;
	uint32_t wait;	/* send nothing before so many observe the tag */
	uint64_t count; /* messages to send at most; 0: all */
	bool session;	/* the input is one stream, and its end is told */
	const char *target;
	struct opt_list meta; /* KEY=VALUE */
	uint64_t linger_ns;
	uint64_t max_message;
	uint64_t queue;
};

/* Send standard input, and return the exit status. */
int source_run(const struct source_conf *conf);

#endif /* SOURCE_H */
