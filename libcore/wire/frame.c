/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "wire/frame.h"
#include "wire/y3.h"

/* How deep nodes may stand in a frame.  YoMo's own frames hold none. */
#define NEST_MAX 8

/* Ids of the children. */
enum {
	TEXT_TEXT = 1,
};

enum {
	DATA_TAG = 1,
	DATA_PAYLOAD = 2,
	DATA_META = 3,
};

enum {
	HELLO_NAME = 1,
	HELLO_CLIENT_TYPE = 2,
	HELLO_ID = 3,
	HELLO_AUTH_NAME = 4,
	HELLO_AUTH_PAYLOAD = 5,
	HELLO_TAGS = 6,
	HELLO_VERSION = 7,
	HELLO_TARGET = 8,
	HELLO_DEFINITION = 9,
	HELLO_FIELDS,
};

/*
 * OK if v is a run of whole packets, and so is each node in it, else ERR_BAD.
 *
 * Go decodes such nodes, if only to ignore them, and a length in one that
 * passes its end can panic it: a frame that we forward must not do that.
 */
static int
check_nodes(struct view v)
{
	struct view open[NEST_MAX]; /* what is left of the nodes we are in */
	struct y3_packet c;
	size_t n = 0;

	open[n++] = v;
	while (n > 0) {
		if (open[n - 1].len == 0) {
			n--;
			continue;
		}
		if (y3_get(&open[n - 1], SIZE_MAX, &c) != OK)
			return ERR_BAD;
		if (!c.is_node)
			continue;
		if (n == NEST_MAX)
			return ERR_BAD;
		open[n++] = c.value;
	}
	return OK;
}

/*
 * Take the next child that is no node off the front of body.
 *
 * ERR_NONE  there are no more
 * ERR_BAD
 */
static inline int
next_field(struct view *body, struct y3_packet *out)
{
	while (body->len > 0) {
		if (y3_get(body, SIZE_MAX, out) != OK)
			return ERR_BAD;
		if (!out->is_node)
			return OK;
		if (check_nodes(out->value) != OK)
			return ERR_BAD;
	}
	return ERR_NONE;
}

static size_t
packet_size(size_t len)
{
	return y3_header_size(len) + len;
}

int
frame_get(struct view *in, size_t max, struct frame *out)
{
	const uint8_t *p = in->p;
	struct y3_packet f;
	int r;

	if ((r = y3_get(in, max, &f)) != OK)
		return r;
	out->type = p[0] & 0x7f;
	out->body = f.value;
	out->whole = (struct view){p, (size_t)(in->p - p)};
	return OK;
}

int
frame_peek(struct view in, size_t max, size_t *size)
{
	return y3_peek(in, max, size);
}

const char *
frame_name(uint8_t type)
{
	switch (type) {
	case FRAME_ACK:
		return "HandshakeAckFrame";
	case FRAME_GOAWAY:
		return "GoawayFrame";
	case FRAME_HANDSHAKE:
		return "HandshakeFrame";
	case FRAME_REJECTED:
		return "RejectedFrame";
	case FRAME_CONNECT_TO:
		return "ConnectToFrame";
	case FRAME_DATA:
		return "DataFrame";
	default:
		return "UnknownFrame";
	}
}

int
data_frame_get(struct view body, struct data_frame *out)
{
	struct view tag = {0}, meta = {0}, payload = {0};
	struct y3_packet c;
	uint32_t v = 0;
	int r;

	while ((r = next_field(&body, &c)) == OK) {
		if (c.id == DATA_TAG)
			tag = c.value;
		else if (c.id == DATA_META)
			meta = c.value;
		else if (c.id == DATA_PAYLOAD)
			payload = c.value;
	}
	if (r != ERR_NONE)
		return r;
	/* A missing tag has no p and is 0; an empty one has, and is bad. */
	if (tag.p != NULL && (r = y3_get_u32(tag, &v)) != OK)
		return r;
	*out = (struct data_frame){v, meta, payload};
	return OK;
}

static size_t
data_body_size(const struct data_frame *d)
{
	return packet_size(y3_u32_size(d->tag)) + packet_size(d->meta.len) +
	       packet_size(d->payload.len);
}

size_t
data_frame_size(const struct data_frame *d)
{
	return packet_size(data_body_size(d));
}

uint8_t *
data_frame_put_head(uint8_t *p, const struct data_frame *d)
{
	p = y3_put_header(p, Y3_NODE | FRAME_DATA, data_body_size(d));
	p = y3_put_header(p, DATA_TAG, y3_u32_size(d->tag));
	p = y3_put_u32(p, d->tag);
	p = y3_put(p, DATA_META, d->meta);
	return y3_put_header(p, DATA_PAYLOAD, d->payload.len);
}

uint8_t *
data_frame_put(uint8_t *p, const struct data_frame *d)
{
	p = data_frame_put_head(p, d);
	if (d->payload.len > 0)
		memcpy(p, d->payload.p, d->payload.len);
	return p + d->payload.len;
}

int
handshake_get(struct view body, struct handshake *out)
{
	struct handshake h = {0};
	struct view *field[] = {
	    [HELLO_NAME] = &h.name,
	    [HELLO_CLIENT_TYPE] = NULL, /* one byte */
	    [HELLO_ID] = &h.id,
	    [HELLO_AUTH_NAME] = &h.auth_name,
	    [HELLO_AUTH_PAYLOAD] = &h.auth_payload,
	    [HELLO_TAGS] = &h.tags,
	    [HELLO_VERSION] = &h.version,
	    [HELLO_TARGET] = &h.target,
	    [HELLO_DEFINITION] = &h.definition,
	};
	struct y3_packet c;
	int r;

	while ((r = next_field(&body, &c)) == OK) {
		if (c.id == HELLO_CLIENT_TYPE)
			h.client_type = c.value.len > 0 ? c.value.p[0] : 0;
		else if (c.id < HELLO_FIELDS && field[c.id] != NULL)
			*field[c.id] = c.value;
	}
	if (r != ERR_NONE)
		return r;
	*out = h;
	return OK;
}

static size_t
handshake_body_size(const struct handshake *h)
{
	return packet_size(h->name.len) + packet_size(h->id.len) +
	       packet_size(sizeof(h->client_type)) + packet_size(h->tags.len) +
	       packet_size(h->auth_name.len) +
	       packet_size(h->auth_payload.len) + packet_size(h->version.len) +
	       packet_size(h->definition.len) + packet_size(h->target.len);
}

size_t
handshake_size(const struct handshake *h)
{
	return packet_size(handshake_body_size(h));
}

/* All nine fields, the empty ones too, in Go's order. */
uint8_t *
handshake_put(uint8_t *p, const struct handshake *h)
{
	p = y3_put_header(p, Y3_NODE | FRAME_HANDSHAKE, handshake_body_size(h));
	p = y3_put(p, HELLO_NAME, h->name);
	p = y3_put(p, HELLO_ID, h->id);
	p = y3_put(p, HELLO_CLIENT_TYPE, (struct view){&h->client_type, 1});
	p = y3_put(p, HELLO_TAGS, h->tags);
	p = y3_put(p, HELLO_AUTH_NAME, h->auth_name);
	p = y3_put(p, HELLO_AUTH_PAYLOAD, h->auth_payload);
	p = y3_put(p, HELLO_VERSION, h->version);
	p = y3_put(p, HELLO_DEFINITION, h->definition);
	return y3_put(p, HELLO_TARGET, h->target);
}

size_t
handshake_tags(struct view tags)
{
	return tags.len / 4;
}

uint32_t
handshake_tag(struct view tags, size_t i)
{
	const uint8_t *p = tags.p + 4 * i;

	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

uint8_t *
handshake_put_tag(uint8_t *p, uint32_t v)
{
	size_t i;

	for (i = 0; i < 4; i++)
		*p++ = (uint8_t)(v >> 8 * i);
	return p;
}

int
frame_text_get(struct view body, struct view *text)
{
	struct view v = {0};
	struct y3_packet c;
	int r;

	while ((r = next_field(&body, &c)) == OK)
		if (c.id == TEXT_TEXT)
			v = c.value;
	if (r != ERR_NONE)
		return r;
	*text = v;
	return OK;
}

size_t
frame_text_size(struct view text)
{
	return packet_size(packet_size(text.len));
}

uint8_t *
frame_text_put(uint8_t *p, enum frame_type type, struct view text)
{
	p = y3_put_header(p, (uint8_t)(Y3_NODE | type), packet_size(text.len));
	return y3_put(p, TEXT_TEXT, text);
}
