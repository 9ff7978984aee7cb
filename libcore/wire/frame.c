/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "wire/frame.h"
#include "wire/y3.h"

#define NODE_BIT 0x80

/* How deep nodes may stand in a frame.  YoMo's own frames hold none. */
#define NEST_MAX 8

/* Ids of the children. */
enum {
	TEXT_TEXT = 1,
	TEXT_FIELDS,
};

enum {
	DATA_TAG = 1,
	DATA_PAYLOAD = 2,
	DATA_META = 3,
	DATA_FIELDS,
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
 * Sort the children of body by their ids: those from n on are skipped, of
 * several with one id the last counts, and one that is missing has no p (an
 * empty one has).
 */
static int
get_fields(struct view body, struct view *fields, size_t n)
{
	struct y3_packet c;

	while (body.len > 0) {
		if (y3_get(&body, SIZE_MAX, &c) != OK)
			return ERR_BAD;
		if (c.is_node) {
			if (check_nodes(c.value) != OK)
				return ERR_BAD;
		} else if (c.id < n) {
			fields[c.id] = c.value;
		}
	}
	return OK;
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
	out->type = p[0] & ~NODE_BIT & 0xff;
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
	struct view f[DATA_FIELDS] = {{0}};
	uint32_t tag = 0;
	int r;

	if ((r = get_fields(body, f, DATA_FIELDS)) != OK)
		return r;
	if (f[DATA_TAG].p != NULL && (r = y3_get_u32(f[DATA_TAG], &tag)) != OK)
		return r;
	*out = (struct data_frame){tag, f[DATA_META], f[DATA_PAYLOAD]};
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
	p = y3_put_header(p, NODE_BIT | FRAME_DATA, data_body_size(d));
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
	struct view f[HELLO_FIELDS] = {{0}};
	struct view type;
	int r;

	if ((r = get_fields(body, f, HELLO_FIELDS)) != OK)
		return r;
	type = f[HELLO_CLIENT_TYPE];
	*out = (struct handshake){
	    .name = f[HELLO_NAME],
	    .id = f[HELLO_ID],
	    .client_type = type.len > 0 ? type.p[0] : 0,
	    .tags = f[HELLO_TAGS],
	    .auth_name = f[HELLO_AUTH_NAME],
	    .auth_payload = f[HELLO_AUTH_PAYLOAD],
	    .version = f[HELLO_VERSION],
	    .definition = f[HELLO_DEFINITION],
	    .target = f[HELLO_TARGET],
	};
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
	p = y3_put_header(
	    p, NODE_BIT | FRAME_HANDSHAKE, handshake_body_size(h));
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
	struct view f[TEXT_FIELDS] = {{0}};
	int r;

	if ((r = get_fields(body, f, TEXT_FIELDS)) != OK)
		return r;
	*text = f[TEXT_TEXT];
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
	p = y3_put_header(p, (uint8_t)(NODE_BIT | type), packet_size(text.len));
	return y3_put(p, TEXT_TEXT, text);
}
