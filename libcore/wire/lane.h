/* SPDX-License-Identifier: ISC */
/*
 * The frames of ours, ALPN "yomo-x1": bytes to structs and back.
 * yomo-protocol(7), LANES, is what they mean.
 *
 * Pure.  As in wire/frame.h: every view in a decoded struct points into the
 * bytes it was decoded from, unknown children are skipped, missing ones are
 * empty or 0, of two with the same id the last counts.  Numbers are always
 * written, other fields only where they are not empty or 0.
 *
 * For each frame x:
 *
 * x_frame_size()  the size in all of the frame that x_frame_put() writes
 * x_frame_put()   writes the frame at p, which has room; returns the byte after
 * x_frame_get()   decodes the body of a frame; ERR_BAD, and out is untouched
 */
#ifndef WIRE_LANE_H
#define WIRE_LANE_H

#include "base/view.h"
#include "wire/ranges.h"

/* The first frame of a lane. */
struct lane_frame {
	bool has_tag; /* false: the lane that all further tags share */
	uint32_t tag;
	struct view session; /* empty: none */
};

size_t lane_frame_size(const struct lane_frame *f);
uint8_t *lane_frame_put(uint8_t *p, const struct lane_frame *f);
int lane_frame_get(struct view body, struct lane_frame *out);

struct observe_frame {
	uint64_t request;	 /* which an ObserveAck names */
	struct view add, remove; /* ranges_at() */
	uint8_t policy;		 /* enum observe_policy, or one unknown to us */
	struct view group;	 /* empty: none */
	uint64_t prefetch;	 /* 0: the zipper's choice */
};

enum observe_policy {
	OBSERVE_RULE, /* as the zipper's rule for the tag is */
	OBSERVE_BLOCK,
	OBSERVE_DROP_OLD,
	OBSERVE_DISCONNECT,
};

size_t observe_frame_size(const struct observe_frame *f);
uint8_t *observe_frame_put(uint8_t *p, const struct observe_frame *f);
int observe_frame_get(struct view body, struct observe_frame *out);

struct observe_ack_frame {
	uint64_t request;
	struct view refusal; /* why not; empty: done */
};

size_t observe_ack_frame_size(const struct observe_ack_frame *f);
uint8_t *observe_ack_frame_put(uint8_t *p, const struct observe_ack_frame *f);
int observe_ack_frame_get(struct view body, struct observe_ack_frame *out);

struct interest_frame {
	struct view ranges;  /* to the zipper: what to hear of; ranges_at() */
	struct view entries; /* from it: interest_entry_at() */
	bool complete;	     /* tags that are no entry have no observer */
};

size_t interest_frame_size(const struct interest_frame *f);
uint8_t *interest_frame_put(uint8_t *p, const struct interest_frame *f);
int interest_frame_get(struct view body, struct interest_frame *out);

struct taken_frame {
	uint64_t lane;	     /* its number: QUIC's stream id */
	uint64_t messages;   /* taken on it so far, in all */
	uint64_t unobserved; /* of these, those that nobody observed */
};

size_t taken_frame_size(const struct taken_frame *f);
uint8_t *taken_frame_put(uint8_t *p, const struct taken_frame *f);
int taken_frame_get(struct view body, struct taken_frame *out);

struct gap_frame {
	uint32_t tag;
	uint64_t messages, bytes; /* lost here, payloads and all */
};

/* Always: its fields are of fixed sizes. */
#define GAP_FRAME_SIZE 28

size_t gap_frame_size(const struct gap_frame *f);
uint8_t *gap_frame_put(uint8_t *p, const struct gap_frame *f);
int gap_frame_get(struct view body, struct gap_frame *out);

/* Add to the frame that gap_frame_put() wrote, saturating. */
void gap_frame_add(uint8_t *frame, uint64_t messages, uint64_t bytes);

/* Unix sockets only, as are the next two. */
struct credit_frame {
	uint64_t lane;
	uint64_t limit; /* how many bytes may be sent on it, in all */
};

size_t credit_frame_size(const struct credit_frame *f);
uint8_t *credit_frame_put(uint8_t *p, const struct credit_frame *f);
int credit_frame_get(struct view body, struct credit_frame *out);

struct chunk_frame {
	uint64_t lane;
	bool fin; /* the last bytes of the lane */
	struct view bytes;
};

size_t chunk_frame_size(const struct chunk_frame *f);
uint8_t *chunk_frame_put(uint8_t *p, const struct chunk_frame *f);
int chunk_frame_get(struct view body, struct chunk_frame *out);

/* The same without the bytes, which are to follow: f->bytes.p is not used. */
#define CHUNK_FRAME_HEAD_MAX 25
uint8_t *chunk_frame_put_head(uint8_t *p, const struct chunk_frame *f);

struct reset_frame {
	uint64_t lane, code;
};

size_t reset_frame_size(const struct reset_frame *f);
uint8_t *reset_frame_put(uint8_t *p, const struct reset_frame *f);
int reset_frame_get(struct view body, struct reset_frame *out);

/* What an Interest frame tells of one tag. */
struct interest_entry {
	uint32_t tag;
	uint32_t observers;
};

/* The size of one; how many there are; the i-th; write one, and return the byte
 * after it. */
#define INTEREST_ENTRY_SIZE 8
size_t interest_entry_count(struct view entries);
struct interest_entry interest_entry_at(struct view entries, size_t i);
uint8_t *interest_entry_put(uint8_t *p, struct interest_entry e);

#endif /* WIRE_LANE_H */
