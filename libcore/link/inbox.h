/* SPDX-License-Identifier: ISC */
/*
 * What a client has received and not yet given to its owner: cut into frames,
 * given as far as they are taken.  What is held back keeps the peer from
 * sending more, and outlives the connection it came by.
 *
 * On a link with lanes messages come by lanes, which take turns; on others by
 * the link's own stream.
 */
#ifndef LINK_INBOX_H
#define LINK_INBOX_H

#include <sys/queue.h>

#include "link/link.h"
#include "proto/intake.h"
#include "wire/frame.h"
#include "wire/lane.h"

struct inbox_ops {
	/*
	 * A message with its place in *f, valid during the call.  False: not
	 * now; it comes again after inbox_resume().
	 */
	bool (*data)(
	    void *arg, const struct data_frame *d, const struct frame *f);
	/* Here messages are missing; as data. */
	bool (*gap)(
	    void *arg, const struct gap_frame *g, const struct frame *f);
	/* Any other frame; on a pipe as data, else it is always taken. */
	bool (*other)(void *arg, const struct frame *f);
	/* There is something that inbox_give() should not wait for. */
	void (*work)(void *arg);
	/* Out of memory for what came. */
	void (*failed)(void *arg);
};

/* The link's own stream, or a lane. */
struct inbox_stream {
	struct inbox *box;
	struct lane *lane; /* NULL: the link's own */
	struct intake in;
	size_t unused;	   /* bytes in it that the peer has no credit for */
	size_t unused_all; /* the same, of the credit that all lanes share */
	bool headed;	   /* the Lane frame has come */
	bool shared;	   /* messages of any tag */
	uint32_t tag;
	bool fin;	  /* no more bytes come */
	bool busy;	  /* something came, it is to have its turn: */
	size_t turn_left; /* bytes that it may give before the others */
	bool used;	  /* since inbox_trim() */
	/* Messages given; which inbox_taken() was told of; the peer, too. */
	uint64_t given;
	uint64_t taken;
	uint64_t told;
	TAILQ_ENTRY(inbox_stream) all;
	TAILQ_ENTRY(inbox_stream) turn;
};
TAILQ_HEAD(inbox_streams, inbox_stream);

struct inbox {
	const struct inbox_ops *ops;
	void *arg;
	struct link *link; /* where bytes come from; NULL: nowhere */
	struct inbox_stream control;
	struct inbox_streams lanes;
	struct inbox_streams busy;
	struct inbox_stream *giving; /* of which a frame is given just now */
	struct inbox_stream *giant;  /* whose long frame may come */
	struct intake kept;	     /* messages of connections before */
	uint64_t bytes;		     /* that came by the link's own stream */
	uint64_t received;	     /* messages taken */
	uint64_t untaken; /* held back until they had to be dropped */
	uint64_t missing; /* messages of gaps */
	uint32_t links;	  /* that were attached or detached */
	bool pipe;	  /* every frame is for whoever reads on */
	bool says_taken;
	bool held; /* data() said not now */
	bool deaf;
	const char *why;
};

/*
 * Frames may be up to max_message bytes long.  says_taken: inbox_taken() will
 * be called for each message given.
 */
void inbox_init(struct inbox *in, size_t max_message, bool pipe,
    bool says_taken, const struct inbox_ops *ops, void *arg);
void inbox_fini(struct inbox *in);

/* A link is there, which outlives the inbox's use of it. */
void inbox_attach(struct inbox *in, struct link *l);

/* The peer opens a lane: for link_ops.lane. */
bool inbox_accept(struct inbox *in, struct lane *l);

/* The link is lost: keep what came by it and was not taken. */
void inbox_keep(struct inbox *in);

/* There are messages of a link, or a lane, that was lost. */
bool inbox_has_kept(const struct inbox *in);

/* Forget the link, and what came by it and was not kept. */
void inbox_detach(struct inbox *in);

/* Bytes came by the link's own stream; none will follow. */
void inbox_put(struct inbox *in, struct view bytes);
void inbox_end(struct inbox *in);

/*
 * Give what there is, as far as it is taken, and the peer credit for that.
 *
 * ERR_GONE  a callback attached or detached a link; nothing more is to be done
 * ERR_BAD   bytes came that nobody may send: in->why
 */
int inbox_give(struct inbox *in);

/* Everything was given, and no bytes will follow. */
bool inbox_is_over(const struct inbox *in);

/* The bytes of a frame that is not whole, of the link's own stream. */
size_t inbox_rest(const struct inbox *in);

/* After data(), gap() or other() returned false; inbox_give() is to follow. */
void inbox_resume(struct inbox *in);

/* Give no more messages: those that come are dropped. */
void inbox_deafen(struct inbox *in);

/* A message that was given: where it came from. */
struct inbox_ticket {
	uint32_t link; /* 0: of no link that still is there */
	uint64_t lane;
};

/* Within data(): of the message that is given. */
struct inbox_ticket inbox_ticket(const struct inbox *in);

/* It has been taken. */
void inbox_taken(struct inbox *in, struct inbox_ticket ticket);

/* What the peer is to be told next of lanes' messages taken; false: nothing. */
bool inbox_next_taken(struct inbox *in, struct taken_frame *t);

/* Give back the memory of streams that are idle since the last call.
 * True: more may be so later. */
bool inbox_trim(struct inbox *in);

#endif /* LINK_INBOX_H */
