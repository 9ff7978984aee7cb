/* SPDX-License-Identifier: ISC */
/* Any of the frames of wire/lane.h, by its type: for tests that treat all of
 * them alike. */
#ifndef LANE_ANY_H
#define LANE_ANY_H

#include "base/err.h"
#include "wire/frame.h"
#include "wire/lane.h"

#define LANE_ANY_FIRST FRAME_LANE
#define LANE_ANY_LAST FRAME_RESET

union lane_any {
	struct lane_frame lane;
	struct observe_frame observe;
	struct observe_ack_frame observe_ack;
	struct interest_frame interest;
	struct taken_frame taken;
	struct gap_frame gap;
	struct credit_frame credit;
	struct chunk_frame chunk;
	struct reset_frame reset;
};

/* ERR_NONE: the type is none of them. */
static inline int
lane_any_get(uint8_t type, struct view body, union lane_any *out)
{
	switch (type) {
	case FRAME_LANE:
		return lane_frame_get(body, &out->lane);
	case FRAME_OBSERVE:
		return observe_frame_get(body, &out->observe);
	case FRAME_OBSERVE_ACK:
		return observe_ack_frame_get(body, &out->observe_ack);
	case FRAME_INTEREST:
		return interest_frame_get(body, &out->interest);
	case FRAME_TAKEN:
		return taken_frame_get(body, &out->taken);
	case FRAME_GAP:
		return gap_frame_get(body, &out->gap);
	case FRAME_CREDIT:
		return credit_frame_get(body, &out->credit);
	case FRAME_CHUNK:
		return chunk_frame_get(body, &out->chunk);
	case FRAME_RESET:
		return reset_frame_get(body, &out->reset);
	default:
		return ERR_NONE;
	}
}

static inline size_t
lane_any_size(uint8_t type, const union lane_any *f)
{
	switch (type) {
	case FRAME_LANE:
		return lane_frame_size(&f->lane);
	case FRAME_OBSERVE:
		return observe_frame_size(&f->observe);
	case FRAME_OBSERVE_ACK:
		return observe_ack_frame_size(&f->observe_ack);
	case FRAME_INTEREST:
		return interest_frame_size(&f->interest);
	case FRAME_TAKEN:
		return taken_frame_size(&f->taken);
	case FRAME_GAP:
		return gap_frame_size(&f->gap);
	case FRAME_CREDIT:
		return credit_frame_size(&f->credit);
	case FRAME_CHUNK:
		return chunk_frame_size(&f->chunk);
	default:
		return reset_frame_size(&f->reset);
	}
}

static inline uint8_t *
lane_any_put(uint8_t *p, uint8_t type, const union lane_any *f)
{
	switch (type) {
	case FRAME_LANE:
		return lane_frame_put(p, &f->lane);
	case FRAME_OBSERVE:
		return observe_frame_put(p, &f->observe);
	case FRAME_OBSERVE_ACK:
		return observe_ack_frame_put(p, &f->observe_ack);
	case FRAME_INTEREST:
		return interest_frame_put(p, &f->interest);
	case FRAME_TAKEN:
		return taken_frame_put(p, &f->taken);
	case FRAME_GAP:
		return gap_frame_put(p, &f->gap);
	case FRAME_CREDIT:
		return credit_frame_put(p, &f->credit);
	case FRAME_CHUNK:
		return chunk_frame_put(p, &f->chunk);
	default:
		return reset_frame_put(p, &f->reset);
	}
}

#endif /* LANE_ANY_H */
