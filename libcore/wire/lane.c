/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "wire/field.h"
#include "wire/frame.h"
#include "wire/lane.h"

/* Ids of the children. */
enum {
	LANE_TAG = 1,
	LANE_SESSION = 2,
	LANE_FIELDS,
};

enum {
	OBSERVE_REQUEST = 1,
	OBSERVE_ADD = 2,
	OBSERVE_REMOVE = 3,
	OBSERVE_POLICY = 4,
	OBSERVE_GROUP = 5,
	OBSERVE_PREFETCH = 6,
	OBSERVE_FIELDS,
};

enum {
	OBSERVE_ACK_REQUEST = 1,
	OBSERVE_ACK_REFUSAL = 2,
	OBSERVE_ACK_FIELDS,
};

enum {
	INTEREST_RANGES = 1,
	INTEREST_ENTRIES = 2,
	INTEREST_COMPLETE = 3,
	INTEREST_FIELDS,
};

enum {
	TAKEN_LANE = 1,
	TAKEN_MESSAGES = 2,
	TAKEN_UNOBSERVED = 3,
	TAKEN_FIELDS,
};

enum {
	GAP_TAG = 1,
	GAP_MESSAGES = 2,
	GAP_BYTES = 3,
	GAP_FIELDS,
};

enum {
	CREDIT_LANE = 1,
	CREDIT_LIMIT = 2,
	CREDIT_FIELDS,
};

enum {
	CHUNK_LANE = 1,
	CHUNK_FIN = 2,
	CHUNK_BYTES = 3,
	CHUNK_FIELDS,
};

enum {
	RESET_LANE = 1,
	RESET_CODE = 2,
	RESET_FIELDS,
};

/* The most of them in one frame, and one. */
#define FIELDS_MAX 7

/* A Gap: tag, messages and bytes never change their size. */
#define GAP_TAG_SIZE 4
#define GAP_BODY_SIZE (2 + GAP_TAG_SIZE + 2 * FIELD_FIXED_SIZE)

/* Children by their id, the missing ones without p. */
struct fields {
	struct view v[FIELDS_MAX];
};

/* Take body apart; ids from n on are not ours. */
static int
get_fields(struct view body, size_t n, struct fields *out)
{
	struct y3_packet c;
	int r;

	assert(n <= FIELDS_MAX);
	*out = (struct fields){0};
	while ((r = field_next(&body, &c)) == OK)
		if (c.id < n)
			out->v[c.id] = c.value;
	return r == ERR_NONE ? OK : r;
}

static int
get_number(struct view v, uint64_t *out)
{
	if (v.p == NULL) {
		*out = 0;
		return OK;
	}
	return field_get_number(v, out);
}

static int
get_tag(struct view v, uint32_t *out)
{
	if (v.p == NULL) {
		*out = 0;
		return OK;
	}
	return y3_get_u32(v, out);
}

static uint8_t
get_byte(struct view v)
{
	return v.len > 0 ? v.p[0] : 0;
}

static size_t
bytes_size(struct view v)
{
	return v.len > 0 ? y3_size(v.len) : 0;
}

static uint8_t *
put_bytes(uint8_t *p, uint8_t id, struct view v)
{
	return v.len > 0 ? y3_put(p, id, v) : p;
}

static size_t
byte_size(uint8_t v)
{
	return v != 0 ? y3_size(1) : 0;
}

static uint8_t *
put_byte(uint8_t *p, uint8_t id, uint8_t v)
{
	return v != 0 ? y3_put(p, id, (struct view){&v, 1}) : p;
}

static uint8_t *
put_head(uint8_t *p, enum frame_type type, size_t body)
{
	return y3_put_header(p, (uint8_t)(Y3_NODE | type), body);
}

static size_t
lane_body_size(const struct lane_frame *f)
{
	return (f->has_tag ? y3_size(y3_u32_size(f->tag)) : 0) +
	       bytes_size(f->session);
}

size_t
lane_frame_size(const struct lane_frame *f)
{
	return y3_size(lane_body_size(f));
}

uint8_t *
lane_frame_put(uint8_t *p, const struct lane_frame *f)
{
	p = put_head(p, FRAME_LANE, lane_body_size(f));
	if (f->has_tag) {
		p = y3_put_header(p, LANE_TAG, y3_u32_size(f->tag));
		p = y3_put_u32(p, f->tag);
	}
	return put_bytes(p, LANE_SESSION, f->session);
}

int
lane_frame_get(struct view body, struct lane_frame *out)
{
	struct fields c;
	uint32_t tag;
	int r;

	if ((r = get_fields(body, LANE_FIELDS, &c)) != OK ||
	    (r = get_tag(c.v[LANE_TAG], &tag)) != OK)
		return r;
	*out = (struct lane_frame){
	    c.v[LANE_TAG].p != NULL, tag, c.v[LANE_SESSION]};
	return OK;
}

static size_t
observe_body_size(const struct observe_frame *f)
{
	return field_number_size(f->request) + bytes_size(f->add) +
	       bytes_size(f->remove) + byte_size(f->policy) +
	       bytes_size(f->group) + field_number_size(f->prefetch);
}

size_t
observe_frame_size(const struct observe_frame *f)
{
	return y3_size(observe_body_size(f));
}

uint8_t *
observe_frame_put(uint8_t *p, const struct observe_frame *f)
{
	p = put_head(p, FRAME_OBSERVE, observe_body_size(f));
	p = field_put_number(p, OBSERVE_REQUEST, f->request);
	p = put_bytes(p, OBSERVE_ADD, f->add);
	p = put_bytes(p, OBSERVE_REMOVE, f->remove);
	p = put_byte(p, OBSERVE_POLICY, f->policy);
	p = put_bytes(p, OBSERVE_GROUP, f->group);
	return field_put_number(p, OBSERVE_PREFETCH, f->prefetch);
}

int
observe_frame_get(struct view body, struct observe_frame *out)
{
	struct observe_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, OBSERVE_FIELDS, &c)) != OK ||
	    (r = get_number(c.v[OBSERVE_REQUEST], &f.request)) != OK ||
	    (r = get_number(c.v[OBSERVE_PREFETCH], &f.prefetch)) != OK)
		return r;
	f.add = c.v[OBSERVE_ADD];
	f.remove = c.v[OBSERVE_REMOVE];
	f.policy = get_byte(c.v[OBSERVE_POLICY]);
	f.group = c.v[OBSERVE_GROUP];
	if (ranges_check(f.add) != OK || ranges_check(f.remove) != OK)
		return ERR_BAD;
	*out = f;
	return OK;
}

static size_t
observe_ack_body_size(const struct observe_ack_frame *f)
{
	return field_number_size(f->request) + bytes_size(f->refusal);
}

size_t
observe_ack_frame_size(const struct observe_ack_frame *f)
{
	return y3_size(observe_ack_body_size(f));
}

uint8_t *
observe_ack_frame_put(uint8_t *p, const struct observe_ack_frame *f)
{
	p = put_head(p, FRAME_OBSERVE_ACK, observe_ack_body_size(f));
	p = field_put_number(p, OBSERVE_ACK_REQUEST, f->request);
	return put_bytes(p, OBSERVE_ACK_REFUSAL, f->refusal);
}

int
observe_ack_frame_get(struct view body, struct observe_ack_frame *out)
{
	struct observe_ack_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, OBSERVE_ACK_FIELDS, &c)) != OK ||
	    (r = get_number(c.v[OBSERVE_ACK_REQUEST], &f.request)) != OK)
		return r;
	f.refusal = c.v[OBSERVE_ACK_REFUSAL];
	*out = f;
	return OK;
}

static size_t
interest_body_size(const struct interest_frame *f)
{
	return bytes_size(f->ranges) + bytes_size(f->entries) +
	       byte_size(f->complete);
}

size_t
interest_frame_size(const struct interest_frame *f)
{
	return y3_size(interest_body_size(f));
}

uint8_t *
interest_frame_put(uint8_t *p, const struct interest_frame *f)
{
	p = put_head(p, FRAME_INTEREST, interest_body_size(f));
	p = put_bytes(p, INTEREST_RANGES, f->ranges);
	p = put_bytes(p, INTEREST_ENTRIES, f->entries);
	return put_byte(p, INTEREST_COMPLETE, f->complete);
}

int
interest_frame_get(struct view body, struct interest_frame *out)
{
	struct interest_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, INTEREST_FIELDS, &c)) != OK)
		return r;
	f.ranges = c.v[INTEREST_RANGES];
	f.entries = c.v[INTEREST_ENTRIES];
	f.complete = get_byte(c.v[INTEREST_COMPLETE]) != 0;
	if (ranges_check(f.ranges) != OK ||
	    f.entries.len % INTEREST_ENTRY_SIZE != 0)
		return ERR_BAD;
	*out = f;
	return OK;
}

static size_t
taken_body_size(const struct taken_frame *f)
{
	return field_number_size(f->lane) + field_number_size(f->messages) +
	       field_number_size(f->unobserved);
}

size_t
taken_frame_size(const struct taken_frame *f)
{
	return y3_size(taken_body_size(f));
}

uint8_t *
taken_frame_put(uint8_t *p, const struct taken_frame *f)
{
	p = put_head(p, FRAME_TAKEN, taken_body_size(f));
	p = field_put_number(p, TAKEN_LANE, f->lane);
	p = field_put_number(p, TAKEN_MESSAGES, f->messages);
	return field_put_number(p, TAKEN_UNOBSERVED, f->unobserved);
}

int
taken_frame_get(struct view body, struct taken_frame *out)
{
	struct taken_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, TAKEN_FIELDS, &c)) != OK ||
	    (r = get_number(c.v[TAKEN_LANE], &f.lane)) != OK ||
	    (r = get_number(c.v[TAKEN_MESSAGES], &f.messages)) != OK ||
	    (r = get_number(c.v[TAKEN_UNOBSERVED], &f.unobserved)) != OK)
		return r;
	*out = f;
	return OK;
}

size_t
gap_frame_size(const struct gap_frame *f)
{
	(void)f;
	return GAP_FRAME_SIZE;
}

uint8_t *
gap_frame_put(uint8_t *p, const struct gap_frame *f)
{
	size_t n;

	p = put_head(p, FRAME_GAP, GAP_BODY_SIZE);
	p = y3_put_header(p, GAP_TAG, GAP_TAG_SIZE);
	for (n = GAP_TAG_SIZE; n > 0; n--)
		*p++ = (uint8_t)(f->tag >> 8 * (n - 1));
	p = field_put_fixed(p, GAP_MESSAGES, f->messages);
	return field_put_fixed(p, GAP_BYTES, f->bytes);
}

int
gap_frame_get(struct view body, struct gap_frame *out)
{
	struct gap_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, GAP_FIELDS, &c)) != OK ||
	    (r = get_tag(c.v[GAP_TAG], &f.tag)) != OK ||
	    (r = get_number(c.v[GAP_MESSAGES], &f.messages)) != OK ||
	    (r = get_number(c.v[GAP_BYTES], &f.bytes)) != OK)
		return r;
	*out = f;
	return OK;
}

static uint64_t
sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void
gap_frame_add(uint8_t *frame, uint64_t messages, uint64_t bytes)
{
	struct gap_frame f;
	int r;

	r = gap_frame_get((struct view){frame + GAP_FRAME_SIZE - GAP_BODY_SIZE,
			      GAP_BODY_SIZE},
	    &f);
	assert(r == OK);
	f.messages = sum(f.messages, messages);
	f.bytes = sum(f.bytes, bytes);
	gap_frame_put(frame, &f);
}

static size_t
credit_body_size(const struct credit_frame *f)
{
	return field_number_size(f->lane) + field_number_size(f->limit);
}

size_t
credit_frame_size(const struct credit_frame *f)
{
	return y3_size(credit_body_size(f));
}

uint8_t *
credit_frame_put(uint8_t *p, const struct credit_frame *f)
{
	p = put_head(p, FRAME_CREDIT, credit_body_size(f));
	p = field_put_number(p, CREDIT_LANE, f->lane);
	return field_put_number(p, CREDIT_LIMIT, f->limit);
}

int
credit_frame_get(struct view body, struct credit_frame *out)
{
	struct credit_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, CREDIT_FIELDS, &c)) != OK ||
	    (r = get_number(c.v[CREDIT_LANE], &f.lane)) != OK ||
	    (r = get_number(c.v[CREDIT_LIMIT], &f.limit)) != OK)
		return r;
	*out = f;
	return OK;
}

static size_t
chunk_body_size(const struct chunk_frame *f)
{
	return field_number_size(f->lane) + byte_size(f->fin) +
	       bytes_size(f->bytes);
}

size_t
chunk_frame_size(const struct chunk_frame *f)
{
	return y3_size(chunk_body_size(f));
}

uint8_t *
chunk_frame_put_head(uint8_t *p, const struct chunk_frame *f)
{
	p = put_head(p, FRAME_CHUNK, chunk_body_size(f));
	p = field_put_number(p, CHUNK_LANE, f->lane);
	p = put_byte(p, CHUNK_FIN, f->fin);
	if (f->bytes.len > 0)
		p = y3_put_header(p, CHUNK_BYTES, f->bytes.len);
	return p;
}

uint8_t *
chunk_frame_put(uint8_t *p, const struct chunk_frame *f)
{
	p = chunk_frame_put_head(p, f);
	if (f->bytes.len > 0)
		memcpy(p, f->bytes.p, f->bytes.len);
	return p + f->bytes.len;
}

int
chunk_frame_get(struct view body, struct chunk_frame *out)
{
	struct chunk_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, CHUNK_FIELDS, &c)) != OK ||
	    (r = get_number(c.v[CHUNK_LANE], &f.lane)) != OK)
		return r;
	f.fin = get_byte(c.v[CHUNK_FIN]) != 0;
	f.bytes = c.v[CHUNK_BYTES];
	*out = f;
	return OK;
}

static size_t
reset_body_size(const struct reset_frame *f)
{
	return field_number_size(f->lane) + field_number_size(f->code);
}

size_t
reset_frame_size(const struct reset_frame *f)
{
	return y3_size(reset_body_size(f));
}

uint8_t *
reset_frame_put(uint8_t *p, const struct reset_frame *f)
{
	p = put_head(p, FRAME_RESET, reset_body_size(f));
	p = field_put_number(p, RESET_LANE, f->lane);
	return field_put_number(p, RESET_CODE, f->code);
}

int
reset_frame_get(struct view body, struct reset_frame *out)
{
	struct reset_frame f;
	struct fields c;
	int r;

	if ((r = get_fields(body, RESET_FIELDS, &c)) != OK ||
	    (r = get_number(c.v[RESET_LANE], &f.lane)) != OK ||
	    (r = get_number(c.v[RESET_CODE], &f.code)) != OK)
		return r;
	*out = f;
	return OK;
}

size_t
interest_entry_count(struct view entries)
{
	return entries.len / INTEREST_ENTRY_SIZE;
}

struct interest_entry
interest_entry_at(struct view entries, size_t i)
{
	return (struct interest_entry){
	    handshake_tag(entries, 2 * i), handshake_tag(entries, 2 * i + 1)};
}

uint8_t *
interest_entry_put(uint8_t *p, struct interest_entry e)
{
	return handshake_put_tag(handshake_put_tag(p, e.tag), e.observers);
}
