/* SPDX-License-Identifier: ISC */
/*
 * YoMo's six frames, spec "2024-01-03": bytes to structs and back.  The frames
 * of ours are in wire/lane.h; only their types are here.
 *
 * Pure.  Every view in a decoded struct points into the bytes it was decoded
 * from.  Unknown children are skipped, missing ones are empty, of two with the
 * same id the last counts, as Go YoMo has it.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/view.h"

#define FRAME_SPEC "2024-01-03"
/* ... and of who speaks yomo-x1 on a unix socket, which has no ALPN. */
#define FRAME_SPEC_OURS "yomo-x1"

enum frame_type {
	/* Ours: never sent to a peer that speaks but FRAME_SPEC. */
	FRAME_LANE = 0x20,
	FRAME_OBSERVE = 0x21,
	FRAME_OBSERVE_ACK = 0x22,
	FRAME_INTEREST = 0x23,
	FRAME_TAKEN = 0x24,
	FRAME_GAP = 0x25,
	FRAME_CREDIT = 0x26,
	FRAME_CHUNK = 0x27,
	FRAME_RESET = 0x28,
	/* YoMo's. */
	FRAME_ACK = 0x29,
	FRAME_GOAWAY = 0x2e,
	FRAME_HANDSHAKE = 0x31,
	FRAME_REJECTED = 0x39,
	FRAME_CONNECT_TO = 0x3e,
	FRAME_DATA = 0x3f,
};

enum client_type {
	CLIENT_SFN = 0x5d,
	CLIENT_UPSTREAM = 0x5e, /* a zipper that forwards to us */
	CLIENT_SOURCE = 0x5f,
};

/* The zipper refuses Data frames on these tags; they may be observed. */
#define FRAME_RESERVED_FIRST 0xf000u
#define FRAME_RESERVED_LAST 0xffffu

struct frame {
	uint8_t type;	   /* the first byte without bit 7: maybe unknown */
	struct view body;  /* the value */
	struct view whole; /* header and value */
};

/* As y3_get(), for a frame. */
int frame_get(struct view *in, size_t max, struct frame *out);

/* As y3_peek(): the size in all of the frame that starts in. */
int frame_peek(struct view in, size_t max, size_t *size);

/* "HandshakeFrame" and so on, the words Go YoMo uses (and such words for the
 * frames of ours); never NULL. */
const char *frame_name(uint8_t type);

struct data_frame {
	uint32_t tag;
	struct view meta; /* msgpack map; wire/meta.h; empty: none */
	struct view payload;
};

/* Decode the body of a Data frame; ERR_BAD.  The metadata is not looked into.
 */
int data_frame_get(struct view body, struct data_frame *out);

/* The size in all of the frame that data_frame_put() writes. */
size_t data_frame_size(const struct data_frame *d);

/* Write the frame at p, which has room; return the byte after it. */
uint8_t *data_frame_put(uint8_t *p, const struct data_frame *d);

/*
 * The same without the payload's bytes: everything that goes before them, so
 * that a caller can read the payload into place.  d->payload.p is not used.
 */
uint8_t *data_frame_put_head(uint8_t *p, const struct data_frame *d);

struct handshake {
	struct view name;
	struct view id;
	uint8_t client_type; /* 0: the field was missing or empty */
	struct view tags;    /* little-endian u32 each; handshake_tag() */
	struct view auth_name;
	struct view auth_payload;
	struct view version;
	struct view definition; /* JSON of a function, or empty */
	struct view target;
};

/* Decode the body of a Handshake frame; ERR_BAD. */
int handshake_get(struct view body, struct handshake *out);
size_t handshake_size(const struct handshake *h);
uint8_t *handshake_put(uint8_t *p, const struct handshake *h);

/* How many tags the list holds (a cut last one does not count), and the i-th.
 */
size_t handshake_tags(struct view tags);
uint32_t handshake_tag(struct view tags, size_t i);
/* Write tag v as handshake_tag() reads it; return the byte after it. */
uint8_t *handshake_put_tag(uint8_t *p, uint32_t v);

/* The text of a Rejected, Goaway or ConnectTo body; ERR_BAD. */
int frame_text_get(struct view body, struct view *text);
size_t frame_text_size(struct view text);
uint8_t *frame_text_put(uint8_t *p, enum frame_type type, struct view text);

/* HandshakeAck as it always is on the wire. */
#define FRAME_ACK_BYTES ((const uint8_t[]){0xa9, 0x00})
#define FRAME_ACK_SIZE 2

#endif /* WIRE_FRAME_H */
