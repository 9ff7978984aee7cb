/* SPDX-License-Identifier: ISC */
/*
 * What waits to be sent on one byte stream, and what was sent and is not yet
 * acknowledged: ranges of slabs, in order.
 *
 * Large ranges are shared, small ones are copied together: a queued message
 * must not pin a slab much larger than itself, and many small vectors cost
 * more to send than to copy.  A queue is charged with the memory it pins.
 */
#ifndef BASE_OUTQ_H
#define BASE_OUTQ_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/slab.h"
#include "base/view.h"

/* Entries do not grow over this many bytes by merging. */
#define OUTQ_MERGE_MAX (64u << 10)

/* What is queued: a part of a slab. */
struct outq_range {
	struct slab *slab;
	size_t off;
	size_t len;
	uint32_t tag;
	uint32_t count; /* messages; 0: a frame that is none */
	bool may_drop;	/* when newer ones need its room */
};

struct outq_entry {
	struct slab *slab;
	size_t off;
	size_t len;
	size_t charge;
	uint32_t tag;
	uint32_t count; /* messages */
	bool may_drop;
	bool is_gap; /* tells a loss; may_drop: in an older one, perhaps */
};

struct outq_loss {
	uint64_t messages;
	uint64_t bytes;
};

/* How a loss is told in the stream: by a frame of so many bytes. */
struct outq_gaps {
	size_t size;
	void (*put)(uint8_t *p, uint32_t tag, struct outq_loss loss);
	/* To a frame that is there, and what one tells. */
	void (*add)(uint8_t *p, struct outq_loss loss);
	struct outq_loss (*get)(const uint8_t *p);
};

struct outq {
	struct outq_entry *ring;
	size_t cap;  /* of ring: a power of two, or 0 */
	size_t head; /* of the oldest entry */
	size_t n;
	size_t acked;  /* bytes of the head entry already acknowledged */
	size_t next;   /* entries wholly sent */
	size_t sent;   /* bytes of entry next already sent */
	size_t unsent; /* bytes in all */
	size_t bytes;  /* in all, not acknowledged */
	size_t charge;
	size_t limit;
	size_t gate;	   /* bytes that may be sent before it is opened */
	struct slab *fill; /* where small ranges are copied */
	size_t fill_cap;   /* what the next one will hold */
	const struct outq_gaps *gaps; /* NULL: losses are not told */
	size_t n_gaps;
};

void outq_init(struct outq *q, size_t limit);
/* Drop everything. */
void outq_fini(struct outq *q);

/*
 * Whether len more bytes, pinning slab (NULL: copied), stay within the limit.
 * A queue with nothing but gaps takes one range of any size.
 */
bool outq_fits(const struct outq *q, const struct slab *slab, size_t len);

/* Half of the limit is free: time to wake those who wait for room. */
bool outq_has_slack(const struct outq *q);

/*
 * Queue a range.  Shares or copies.  The limit is the caller's to ask for:
 * control frames go over it.  ERR_NOMEM
 */
int outq_push(struct outq *q, const struct outq_range *range);

/*
 * Make room for n bytes to be written in place and queued by outq_commit().
 * ERR_NOMEM
 */
int outq_reserve(struct outq *q, size_t n, uint8_t **p);
int outq_commit(struct outq *q, size_t n, uint32_t tag, uint32_t count);

/* Copy v in: a frame that is no message. */
int outq_put(struct outq *q, struct view v);

/* Copy v in before everything else; nothing has been sent yet. ERR_NOMEM. */
int outq_put_first(struct outq *q, struct view v);

/* Let no more than the first n bytes not sent yet go; SIZE_MAX: all. */
void outq_set_gate(struct outq *q, size_t n);

/* Point up to n vectors at the bytes not sent yet; return how many. */
size_t outq_pull(const struct outq *q, struct iovec *v, size_t n);
/* The first n bytes of those have been sent. */
void outq_sent(struct outq *q, size_t n);
/* n more bytes, in order, need not be kept. */
void outq_acked(struct outq *q, size_t n);

/*
 * The stream is broken: forget what was acknowledged or sent, and begin again
 * with the rest.  whole(bytes, sent) says how many bytes at the front of an
 * entry, of which sent have been sent, must not be sent again.
 */
void outq_restart(
    struct outq *q, size_t (*whole)(struct view bytes, size_t sent));

/* Forget the oldest entry, or the newest, of which nothing was sent. */
void outq_drop_first(struct outq *q);
void outq_drop_last(struct outq *q);

/* The messages in it, whose last entry's bytes were not all acknowledged. */
struct outq_loss outq_left(const struct outq *q);

/* Give back what an empty queue does not need: for when it falls idle. */
void outq_trim(struct outq *q);

/*
 * Drop the oldest wholly unsent entries that may be dropped, or are messages of
 * tag, until len more bytes pinning slab fit; adds to *loss.  If q has gaps,
 * one for each tag is left where its entries stood; without memory for it they
 * stay.  False: they do not fit.
 */
bool outq_drop_old(struct outq *q, const struct slab *slab, size_t len,
    uint32_t tag, struct outq_loss *loss);

/*
 * Tell a loss at the end of the queue, which has gaps: as a frame, or by adding
 * to one that no message came after.  ERR_NOMEM
 */
int outq_gap(struct outq *q, uint32_t tag, struct outq_loss loss);

/* The i-th entry, 0 the oldest; i is under q->n. */
struct outq_entry *outq_at(const struct outq *q, size_t i);

#endif /* BASE_OUTQ_H */
