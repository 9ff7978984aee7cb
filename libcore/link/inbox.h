/* SPDX-License-Identifier: ISC */
/*
 * What a client has received and not yet given to its owner: cut into frames,
 * given as far as they are taken.  What is held back keeps the peer from
 * sending more, and outlives the connection it came by.
 */
#ifndef LINK_INBOX_H
#define LINK_INBOX_H

#include "link/link.h"
#include "proto/intake.h"
#include "wire/frame.h"

struct inbox_ops {
	/*
	 * A message with its place in *f, valid during the call.  False: not
	 * now; it comes again after inbox_resume().
	 */
	bool (*data)(
	    void *arg, const struct data_frame *d, const struct frame *f);
	/* Any other frame; on a pipe as data, else it is always taken. */
	bool (*other)(void *arg, const struct frame *f);
};

struct inbox {
	const struct inbox_ops *ops;
	void *arg;
	struct link *link;  /* where bytes come from; NULL: nowhere */
	struct intake in;   /* of it */
	struct intake kept; /* messages of connections before */
	size_t unused;	    /* bytes in the intake the peer has no credit for */
	uint64_t bytes;	    /* that came by the link */
	uint64_t received;  /* messages taken */
	uint64_t untaken;   /* held back until they had to be dropped */
	unsigned links;	    /* that it has had, and has lost */
	bool pipe;	    /* every frame is for whoever reads on */
	bool held;	    /* data() said not now */
	bool deaf;
	bool fin; /* no more bytes come */
	const char *why;
};

/* Frames may be up to max_message bytes long. */
void inbox_init(struct inbox *in, size_t max_message, bool pipe,
    const struct inbox_ops *ops, void *arg);
void inbox_fini(struct inbox *in);

/* A link is there, which outlives the inbox's use of it. */
void inbox_attach(struct inbox *in, struct link *l);

/* It is lost: keep the messages of it that were not taken.  Returns how many
 * there was no room for. */
uint64_t inbox_keep(struct inbox *in);

/* There are messages of a link that was lost. */
bool inbox_has_kept(const struct inbox *in);

/* Forget the link, and what came by it and was not kept. */
void inbox_detach(struct inbox *in);

/* Whether n bytes more should wait for inbox_give(): it may make room. */
bool inbox_is_crowded(const struct inbox *in, size_t n);

/* Bytes came.  ERR_NOMEM */
int inbox_put(struct inbox *in, struct view bytes);

/* No bytes will follow. */
void inbox_end(struct inbox *in);

/*
 * Give what there is, as far as it is taken, and the peer credit for that.
 *
 * ERR_GONE  a callback attached or detached a link; nothing more is to be done
 * ERR_BAD   bytes came that are no frame, or no message: in->why
 */
int inbox_give(struct inbox *in);

/* Everything was given, and no bytes will follow. */
bool inbox_is_over(const struct inbox *in);

/* The bytes of a frame that is not whole. */
size_t inbox_rest(const struct inbox *in);

/* After data() or other() returned false; inbox_give() is to follow. */
void inbox_resume(struct inbox *in);

/* Give no more messages: those that come are dropped. */
void inbox_deafen(struct inbox *in);

#endif /* LINK_INBOX_H */
