/* SPDX-License-Identifier: ISC */
#include "base/err.h"
#include "wire/field.h"
#include "wire/frame.h"
#include "wire/y3.h"

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
	static const char *const names[] = {
	    [FRAME_LANE] = "LaneFrame",
	    [FRAME_OBSERVE] = "ObserveFrame",
	    [FRAME_OBSERVE_ACK] = "ObserveAckFrame",
	    [FRAME_INTEREST] = "InterestFrame",
	    [FRAME_TAKEN] = "TakenFrame",
	    [FRAME_GAP] = "GapFrame",
	    [FRAME_CREDIT] = "CreditFrame",
	    [FRAME_CHUNK] = "ChunkFrame",
	    [FRAME_RESET] = "ResetFrame",
	    [FRAME_ACK] = "HandshakeAckFrame",
	    [FRAME_GOAWAY] = "GoawayFrame",
	    [FRAME_HANDSHAKE] = "HandshakeFrame",
	    [FRAME_REJECTED] = "RejectedFrame",
	    [FRAME_CONNECT_TO] = "ConnectToFrame",
	    [FRAME_DATA] = "DataFrame",
	};

	if (type >= sizeof(names) / sizeof(names[0]) || names[type] == NULL)
		return "UnknownFrame";
	return names[type];
}

int
data_frame_get(struct view body, struct data_frame *out)
{
	struct view tag = {0}, meta = {0}, payload = {0};
	struct y3_packet c;
	uint32_t v = 0;
	int r;

	while ((r = field_next(&body, &c)) == OK) {
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
	return y3_size(y3_u32_size(d->tag)) + y3_size(d->meta.len) +
	       y3_size(d->payload.len);
}

size_t
data_frame_size(const struct data_frame *d)
{
	return y3_size(data_body_size(d));
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

	while ((r = field_next(&body, &c)) == OK) {
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
	return y3_size(h->name.len) + y3_size(h->id.len) +
	       y3_size(sizeof(h->client_type)) + y3_size(h->tags.len) +
	       y3_size(h->auth_name.len) + y3_size(h->auth_payload.len) +
	       y3_size(h->version.len) + y3_size(h->definition.len) +
	       y3_size(h->target.len);
}

size_t
handshake_size(const struct handshake *h)
{
	return y3_size(handshake_body_size(h));
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

	while ((r = field_next(&body, &c)) == OK)
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
	return y3_size(y3_size(text.len));
}

uint8_t *
frame_text_put(uint8_t *p, enum frame_type type, struct view text)
{
	p = y3_put_header(p, (uint8_t)(Y3_NODE | type), y3_size(text.len));
	return y3_put(p, TEXT_TEXT, text);
}
