/* SPDX-License-Identifier: ISC */
/*
 * A function in pipe mode: one long-lived process, messages to its standard
 * input, answers from its standard output, started again when it fails.
 */
#ifndef FUNCTION_H
#define FUNCTION_H

#include "net/loop.h"
#include "sfn.h"

struct function;

struct function_ops {
	/* There is room for messages again. */
	void (*room)(void *arg);
	/* n bytes more have left for its input, or never will. */
	void (*gone)(void *arg, size_t n);
	/* Whether an answer may come now; if not, function_resume() later. */
	bool (*wanted)(void *arg);
	/* An answer, valid during the call. */
	void (*answer)(void *arg, const struct framing_msg *m);
	/*
	 * It is over, all its answers were given: the last call.  status is
	 * what the program should end with on its account.
	 */
	void (*ended)(void *arg, int status);
};

/* ERR_NONE: no such command; ERR_SYS; said in the log. */
int function_open(struct function **out, struct loop *l,
    const struct sfn_conf *conf, const struct function_ops *ops, void *arg);

/* Give it a message: ERR_MORE: not now; else as framing_put(). */
int function_put(struct function *f, const struct framing_msg *m);

/* After wanted() returned false. */
void function_resume(struct function *f);

/* No more messages: end its input after those it was given. */
void function_finish(struct function *f);

/* Bytes given that have not left for its input yet. */
size_t function_waiting(const struct function *f);

/* Bytes that stood in the pipes of processes that died. */
uint64_t function_in_doubt(const struct function *f);

/* Kill what still runs, and forget it. */
void function_free(struct function *f);

#endif /* FUNCTION_H */
