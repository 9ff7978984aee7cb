/* SPDX-License-Identifier: ISC */
/* A client, and a toy zipper that does as it is told. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "unit.h"

#include "auth/auth.h"
#include "chance.h"
#include "conf/exit.h"
#include "ends.h"
#include "faults.h"
#include "link/client.h"
#include "link_rig.h"
#include "proto/hello.h"

#define VISITS 64
#define TOYS 3
#define SECOND_NS (1000 * RIG_MS)
#define TAG 7

static struct tls *server_tls, *client_tls;

/* --- the zipper --- */

/* What it answers to a greeting. */
enum answer {
	ACK,
	NOTHING,
	TEXT,  /* a Rejected, ConnectTo or Goaway frame */
	CLOSE, /* with a code */
	BYTES_,
};

struct toy {
	struct listener *listener;
	struct addr at;
	enum answer answer;
	enum frame_type type;
	const char *text;
	uint64_t code;
	struct view bytes;
	bool silent_fin; /* it does not answer a FIN */
	int close_after; /* frames; 0: never */
	uint64_t close_code;
	int visits;
};

/* One connection to one of them. */
struct visit {
	struct rig_end e;
	struct toy *toy;
	size_t at; /* of the first byte in e.in not looked at */
	size_t lane_at[RIG_LANES];
	struct rig_lane *lane; /* of ours, for any tag */
	struct handshake h;
	int frames;
	uint32_t messages;
	uint32_t first;	 /* number of the first message */
	uint32_t latest; /* ... and of the last: they are in order */
	struct observe_frame observe;
	struct interest_frame interest;
	struct taken_frame taken;
	int observed;
	int interested;
	int takens;
	bool answered;
	bool unwanting; /* it has stopped a lane */
};

static struct toy toys[TOYS];
static struct visit visits[VISITS];
static int n_visits;

static void
put(struct visit *v, struct view bytes)
{
	assert_int_equal(outq_put(&v->e.out, bytes), OK);
	if (v->e.link != NULL)
		link_wake(v->e.link);
}

static void
put_text(struct visit *v, enum frame_type type, const char *text)
{
	uint8_t bytes[1000];
	struct view t = view_of(text);

	frame_text_put(bytes, type, t);
	put(v, (struct view){bytes, frame_text_size(t)});
}

static void
put_ack(struct visit *v)
{
	put(v, (struct view){FRAME_ACK_BYTES, FRAME_ACK_SIZE});
	link_allow_lanes(v->e.link, QUICLINK_LANES_MAX);
}

/* The frame x of what the client gave its link, as bytes for put(). */
#define PUT(v, x, f)                                                           \
	do {                                                                   \
		uint8_t bytes_[500];                                           \
		assert_true(x##_frame_size(f) <= sizeof(bytes_));              \
		x##_frame_put(bytes_, f);                                      \
		put(v, (struct view){bytes_, x##_frame_size(f)});              \
	} while (0)

static void
open_toy_lane(struct visit *v)
{
	struct lane_frame shared = {0};
	uint8_t bytes[20];

	assert_non_null(v->lane = rig_open_lane(&v->e));
	lane_frame_put(bytes, &shared);
	assert_int_equal(outq_put(&v->lane->out,
			     (struct view){bytes, lane_frame_size(&shared)}),
	    OK);
}

/* Where messages for the client go. */
static struct outq *
out_of(struct visit *v)
{
	if (v->lane == NULL && v->e.link != NULL && v->e.link->lanes)
		open_toy_lane(v);
	return v->lane != NULL ? &v->lane->out : &v->e.out;
}

/* A message for the client; tag is its number, too. */
static void
put_data(struct visit *v, uint32_t number, size_t len)
{
	struct data_frame d = {.tag = number, .payload = {NULL, len}};
	struct outq *q = out_of(v);
	uint8_t *p;

	assert_int_equal(outq_reserve(q, data_frame_size(&d), &p), OK);
	memset(data_frame_put_head(p, &d), (int)number, len);
	assert_int_equal(outq_commit(q, data_frame_size(&d), number, 1), OK);
	if (v->lane != NULL && v->lane->lane != NULL)
		lane_wake(v->lane->lane);
	else if (v->e.link != NULL)
		link_wake(v->e.link);
}

static void
answer(struct visit *v)
{
	const struct toy *t = v->toy;

	v->answered = true;
	switch (t->answer) {
	case ACK:
		put_ack(v);
		break;
	case TEXT:
		put_text(v, t->type, t->text);
		break;
	case CLOSE:
		rig_close(&v->e, t->code, "as told");
		break;
	case BYTES_:
		put(v, t->bytes);
		break;
	case NOTHING:
		break;
	}
}

static void
note_message(struct visit *v, const struct frame *f)
{
	struct data_frame d;
	uint32_t number;

	assert_int_equal(data_frame_get(f->body, &d), OK);
	if (d.tag != TAG)
		return; /* which is not numbered */
	assert_true(d.payload.len >= sizeof(number));
	memcpy(&number, d.payload.p, sizeof(number));
	if (v->messages++ == 0)
		v->first = number;
	else if (v->unwanting)
		assert_true(number > v->latest);
	else
		assert_int_equal(number, v->latest + 1);
	v->latest = number;
}

static void
note_control(struct visit *v, const struct frame *f)
{
	switch (f->type) {
	case FRAME_OBSERVE:
		assert_int_equal(observe_frame_get(f->body, &v->observe), OK);
		v->observed++;
		break;
	case FRAME_INTEREST:
		assert_int_equal(interest_frame_get(f->body, &v->interest), OK);
		v->interested++;
		break;
	case FRAME_TAKEN:
		assert_int_equal(taken_frame_get(f->body, &v->taken), OK);
		v->takens++;
		break;
	default:
		fail_msg("unexpected %s", frame_name(f->type));
	}
}

static void
note_frame(struct visit *v, const struct frame *f, bool on_lane)
{
	struct toy *t = v->toy;

	if (v->frames++ == 0) {
		assert_int_equal(f->type, FRAME_HANDSHAKE);
		assert_int_equal(handshake_get(f->body, &v->h), OK);
		if (view_equal(v->h.version, view_of(FRAME_SPEC_OURS)))
			link_use_lanes(v->e.link);
		answer(v);
	} else if (v->e.link->lanes && !on_lane) {
		note_control(v, f);
	} else {
		note_message(v, f);
	}
	if (v->e.link != NULL && t->close_after > 0 &&
	    v->frames >= t->close_after) {
		t->close_after = 0;
		rig_close(&v->e, t->close_code, "enough");
	}
}

/* Look at what came by a stream; on a lane the first frame is its header. */
static void
look_at(struct visit *v, const struct buf *b, size_t *at, bool on_lane)
{
	struct view in = buf_view(b);
	struct lane_frame h;
	struct frame f;

	view_skip(&in, *at);
	while (v->e.link != NULL && frame_get(&in, SIZE_MAX, &f) == OK) {
		if (on_lane && *at == 0) {
			assert_int_equal(f.type, FRAME_LANE);
			assert_int_equal(lane_frame_get(f.body, &h), OK);
		} else {
			note_frame(v, &f, on_lane);
		}
		*at += f.whole.len;
	}
}

/* The client has ended: so do we, lanes first. */
static void
end_visit(struct visit *v)
{
	if (v->toy->silent_fin || v->e.link->fin_wanted)
		return;
	if (v->lane == NULL || v->lane->lane == NULL)
		link_finish(v->e.link);
	else if (!v->lane->lane->fin_wanted)
		lane_finish(v->lane->lane);
}

static void
look(struct rig_end *e)
{
	struct visit *v = (struct visit *)e;
	size_t i;

	look_at(v, &e->in, &v->at, false);
	for (i = 0; i < e->n_lanes; i++)
		if (&e->lanes[i] != v->lane)
			look_at(v, &e->lanes[i].in, &v->lane_at[i], true);
	if (e->link != NULL && e->fins > 0)
		end_visit(v);
}

static void
on_toy_lane_closed(struct rig_lane *n)
{
	if (n == ((struct visit *)n->end)->lane && n->end->fins > 0)
		end_visit((struct visit *)n->end);
}

/* It does not say what it has consumed. */
static void
make_lazy(struct visit *v)
{
	size_t i;

	v->e.lazy = v->e.model.lazy = true;
	for (i = 0; i < v->e.n_lanes; i++)
		v->e.lanes[i].lazy = true;
}

/* Bytes that came from the client. */
static size_t
came(const struct visit *v)
{
	return v->e.in.len + rig_lanes_got(&v->e);
}

static void
leave(struct rig_end *e)
{
	rig_close(e, 0, "");
}

static bool
on_accept(void *arg, struct link *l)
{
	struct visit *v = &visits[n_visits];

	if (n_visits == VISITS)
		return false;
	rig_end_init(&v->e);
	v->toy = arg;
	v->toy->visits++;
	v->e.link = l;
	v->e.on_pause = look;
	v->e.model.on_closed = on_toy_lane_closed;
	v->e.on_down = leave;
	l->ops = &rig_ops;
	l->arg = &v->e;
	l->out = &v->e.out;
	n_visits++;
	return true;
}

static const struct listener_ops toy_callbacks = {.accept = on_accept};

static void
open_toy(struct toy *t)
{
	struct listener_conf conf = rig_listener_conf(server_tls);

	*t = (struct toy){
	    .at = {.len = sizeof(t->at.in4)},
	    .close_code = HELLO_CLOSE_RESTART,
	};
	t->at.in4.sin_family = AF_INET;
	t->at.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(
	    listener_new(&t->listener, rig_loop, &conf, &toy_callbacks, t), OK);
	assert_int_equal(listener_udp(t->listener, &t->at), OK);
}

/* --- the client --- */

static struct client *client;
static struct client_conf conf;
static struct endpoint zippers[TOYS];
static int readies, losses, rooms, eofs, dones, status, others;
static uint32_t heard; /* the latest message from the zipper */
static uint32_t heard_n;
static bool hold; /* take no message now */
static struct inbox_ticket tickets[100];
static int gaps, interests;
static uint32_t interest_tag, observers;
static uint32_t said; /* messages given to the client */

static void
on_ready(void *arg)
{
	(void)arg;
	readies++;
}

static void
on_lost(void *arg)
{
	(void)arg;
	losses++;
}

static bool
on_data(void *arg, const struct data_frame *d, const struct frame *f)
{
	(void)arg;
	(void)f;
	if (hold)
		return false;
	assert_true(d->tag > heard);
	heard = d->tag;
	tickets[heard_n++ % COUNT(tickets)] = client_ticket(client);
	return true;
}

static bool
on_gap(void *arg, const struct gap_frame *g, const struct frame *f)
{
	(void)arg;
	(void)f;
	if (hold)
		return false;
	assert_int_equal(g->tag, heard);
	gaps++;
	return true;
}

static void
on_interest(void *arg, uint32_t tag, uint32_t n)
{
	(void)arg;
	interests++;
	interest_tag = tag;
	observers = n;
}

static bool
on_other(void *arg, const struct frame *f)
{
	(void)arg;
	assert_int_not_equal(f->type, FRAME_DATA);
	if (hold)
		return false;
	others++;
	return true;
}

static void
on_room(void *arg)
{
	(void)arg;
	rooms++;
}

static void
on_eof(void *arg)
{
	(void)arg;
	eofs++;
}

static void
on_done(void *arg, int s)
{
	(void)arg;
	assert_int_equal(dones, 0);
	dones++;
	status = s;
}

static const struct client_ops client_callbacks = {
    .ready = on_ready,
    .lost = on_lost,
    .data = on_data,
    .gap = on_gap,
    .interest = on_interest,
    .other = on_other,
    .room = on_room,
    .eof = on_eof,
    .done = on_done,
};

static void
begin(void)
{
	assert_int_equal(
	    client_new(&client, rig_loop, &conf, &client_callbacks, NULL), OK);
}

static void
point_at(size_t i, const struct addr *a)
{
	endpoint_fini(&zippers[i]);
	zippers[i] = (struct endpoint){
	    .host = strdup("127.0.0.1"), .port = addr_port(a)};
}

static void
point_at_path(size_t i, const char *path)
{
	endpoint_fini(&zippers[i]);
	zippers[i] = (struct endpoint){.path = strdup(path)};
}

static void
say(size_t n, size_t len)
{
	static uint8_t payload[1u << 21];
	struct data_frame d = {.tag = TAG, .payload = {payload, len}};

	while (n-- > 0) {
		said++;
		memcpy(payload, &said, sizeof(said));
		assert_int_equal(client_send(client, &d), OK);
	}
}

/* Run until it is done, with this status. */
static void
ends_with(int want)
{
	UNTIL(dones == 1);
	assert_int_equal(status, want);
}

static struct client_counts
counts(void)
{
	return client_counts(client);
}

static int
setup_group(void **state)
{
	const struct tls_server_conf s = {0};
	const struct tls_client_conf c = {0};

	(void)state;
	log_set_level(LOG_ERROR);
	if (auth_init() != OK || rig_make_folder() != 0)
		return -1;
	return tls_server_new(&server_tls, &s) == OK &&
		       tls_client_new(&client_tls, &c) == OK
		   ? 0
		   : -1;
}

static int
teardown_group(void **state)
{
	(void)state;
	tls_free(client_tls);
	tls_free(server_tls);
	rig_remove_folder();
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	if (loop_new(&rig_loop) != OK)
		return -1;
	readies = losses = rooms = eofs = dones = others = n_visits = 0;
	gaps = interests = 0;
	heard = heard_n = said = 0;
	status = -1;
	hold = false;
	memset(toys, 0, sizeof(toys));
	memset(visits, 0, sizeof(visits));
	memset(zippers, 0, sizeof(zippers));
	open_toy(&toys[0]);
	point_at(0, &toys[0].at);
	conf = (struct client_conf){
	    .zippers = zippers,
	    .n_zippers = 1,
	    .in_fd = -1,
	    .out_fd = -1,
	    .tls = client_tls,
	    .name = "me",
	    .id = "V1StGXR8_Z5jdHi6B-myT",
	    .type = CLIENT_SOURCE,
	    .connect_timeout_ns = 10 * SECOND_NS,
	    .retry_ns = UINT64_MAX,
	    .linger_ns = SECOND_NS,
	    .max_message = 1u << 20,
	    .queue = 1u << 20,
	};
	return 0;
}

static void
close_toys(void)
{
	size_t i;
	int n;

	for (i = 0; i < TOYS; i++)
		if (toys[i].listener != NULL)
			listener_stop(toys[i].listener);
	for (n = 0; n < n_visits; n++)
		rig_end_fini(&visits[n].e);
	for (i = 0; i < TOYS; i++) {
		if (toys[i].listener == NULL)
			continue;
		UNTIL(listener_counts(toys[i].listener)->conns == 0);
		turns_run(rig_loop, 3);
		listener_free(toys[i].listener);
		toys[i].listener = NULL;
	}
}

static int
teardown(void **state)
{
	size_t i;

	(void)state;
	client_free(client);
	client = NULL;
	close_toys();
	for (i = 0; i < TOYS; i++)
		endpoint_fini(&zippers[i]);
	turns_run(rig_loop, 3);
	loop_free(rig_loop);
	assert_int_equal(slab_total(), 0);
	return chance_teardown(state);
}

/* --- from the greeting to the end --- */

static void
a_client_greets_sends_and_is_done(void **state)
{
	static struct tag_range tags[] = {
	    {0x33, 0x35}, {0xdeadbeef, 0xdeadbeef}};
	char credential[] = "token:secret";
	struct credential *c;
	const struct handshake *h = &visits[0].h;

	(void)state;
	assert_int_equal(credential_new(&c, credential), OK);
	conf.credential = c;
	conf.tags = (struct tag_set){tags, COUNT(tags)};
	conf.target = "there";
	begin();
	UNTIL(readies == 1);
	assert_true(view_equal(h->name, view_of("me")));
	assert_true(view_equal(h->id, view_of("V1StGXR8_Z5jdHi6B-myT-0")));
	assert_int_equal(h->client_type, CLIENT_SOURCE);
	assert_true(view_equal(h->version, view_of(FRAME_SPEC)));
	assert_true(view_equal(h->auth_name, view_of("token")));
	assert_true(view_equal(h->auth_payload, view_of("secret")));
	assert_true(view_equal(h->target, view_of("there")));
	assert_int_equal(handshake_tags(h->tags), 4);
	assert_int_equal(handshake_tag(h->tags, 2), 0x35);
	assert_int_equal(handshake_tag(h->tags, 3), 0xdeadbeef);
	say(1000, 100);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(visits[0].messages, 1000);
	assert_int_equal(counts().sent, 1000);
	assert_int_equal(counts().in_doubt, 0);
	assert_int_equal(counts().waiting, 0);
	credential_free(c);
}

static void
an_end_without_messages_is_a_good_end(void **state)
{
	(void)state;
	begin();
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(readies, 1);
	assert_int_equal(visits[0].e.fins, 1);
}

static void
messages_before_the_ack_wait_for_it(void **state)
{
	(void)state;
	toys[0].answer = NOTHING;
	begin();
	say(10, 100);
	UNTIL(n_visits == 1 && visits[0].answered);
	turns_run(rig_loop, 50);
	assert_int_equal(visits[0].frames, 1);
	put_ack(&visits[0]);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(visits[0].messages, 10);
}

static void
it_is_done_when_the_zipper_has_answered_the_fin(void **state)
{
	(void)state;
	toys[0].silent_fin = true;
	begin();
	say(10, 100);
	client_finish(client);
	UNTIL(visits[0].e.fins == 1);
	UNTIL(counts().waiting == 0);
	turns_run(rig_loop, 100);
	assert_int_equal(dones, 0);
	link_finish(visits[0].e.link);
	ends_with(EXIT_OK);
}

/* --- zippers of ours --- */

/* Let the toy be one that speaks YoMo's own protocol only, as Go's. */
static struct tls *
make_it_go(struct toy *t)
{
	const struct tls_server_conf s = {0};
	struct tls *go;

	assert_int_equal(tls_server_new(&go, &s), OK);
	listener_set_tls(t->listener, go);
	SSL_CTX_set_alpn_select_cb(tls_ctx(go), rig_take_yomo, NULL);
	return go;
}

static void
forget_go(struct tls *go)
{
	client_free(client);
	client = NULL;
	close_toys();
	tls_free(go);
}

/* Go's zipper takes a FIN for nothing at all. */
static void
a_zipper_that_gives_no_sign_is_waited_for_a_while(void **state)
{
	struct tls *go = make_it_go(&toys[0]);
	uint64_t from;

	(void)state;
	toys[0].silent_fin = true;
	conf.linger_ns = 100 * RIG_MS;
	begin();
	say(10, 100);
	client_finish(client);
	from = loop_clock();
	ends_with(EXIT_OK);
	assert_true(loop_clock() - from >= conf.linger_ns);
	assert_int_equal(visits[0].messages, 10);
	forget_go(go);
}

static struct tag_range some_tags[] = {{7, 9}, {100, 50000}};
static char a_group[] = "team";

/* What takes a zipper of ours; 0: without it. */
static void
wish(int i)
{
	conf.type = CLIENT_SFN;
	conf.tags = (struct tag_set){some_tags, 1};
	if (i == 1)
		conf.group = a_group;
	if (i == 2)
		conf.policy = OBSERVE_DROP_OLD;
	if (i == 3)
		conf.tags.n = 2;
	if (i == 4)
		conf.interest = (struct tag_set){some_tags, 1};
}

static void
who_speaks_but_yomo_is_no_zipper_for_all_wishes(void **state)
{
	struct tls *go;
	int i;

	for (i = 0; i <= 4; i++) {
		go = make_it_go(&toys[0]);
		toys[0].silent_fin = true;
		conf.linger_ns = 0;
		wish(i);
		begin();
		if (i == 0)
			client_finish(client);
		ends_with(i == 0 ? EXIT_OK : EXIT_PROTOCOL);
		assert_int_equal(readies, i == 0);
		forget_go(go);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
a_wish_is_granted_before_it_is_ready(void **state)
{
	struct observe_ack_frame ack = {.request = 1};
	const struct observe_frame *o = &visits[0].observe;

	(void)state;
	wish(1);
	conf.prefetch = 3;
	begin();
	UNTIL(n_visits == 1 && visits[0].observed == 1);
	assert_int_equal(handshake_tags(visits[0].h.tags), 0);
	assert_int_equal(ranges_count(o->add), 1);
	assert_int_equal(ranges_at(o->add, 0).last, 9);
	assert_true(view_equal(o->group, view_of("team")));
	assert_int_equal(o->prefetch, 3);
	put_data(&visits[0], 7, 100);
	UNTIL(heard == 7); /* it may come before */
	turns_run(rig_loop, 50);
	assert_int_equal(readies, 0);
	ack.request = 2; /* we never asked */
	PUT(&visits[0], observe_ack, &ack);
	turns_run(rig_loop, 50);
	assert_int_equal(readies, 0);
	ack.request = o->request;
	PUT(&visits[0], observe_ack, &ack);
	UNTIL(readies == 1);
	client_finish(client);
	ends_with(EXIT_OK);
}

static void
a_wish_that_is_refused_is_the_end(void **state)
{
	struct observe_ack_frame ack = {
	    .request = 1, .refusal = view_of("no such group")};

	(void)state;
	wish(3);
	begin();
	UNTIL(n_visits == 1 && visits[0].observed == 1);
	assert_int_equal(ranges_count(visits[0].observe.add), 2);
	PUT(&visits[0], observe_ack, &ack);
	ends_with(EXIT_REFUSED);
	assert_int_equal(readies, 0);
}

static void
who_never_grants_a_wish_is_left_for_the_next(void **state)
{
	struct observe_ack_frame ack = {.request = 1};

	(void)state;
	wish(2);
	conf.connect_timeout_ns = 0;
	begin();
	UNTIL(n_visits == 2 && visits[1].observed == 1);
	PUT(&visits[1], observe_ack, &ack);
	UNTIL(readies == 1);
}

static void
interest_is_told_as_it_changes(void **state)
{
	uint8_t entry[INTEREST_ENTRY_SIZE];
	struct interest_frame f = {.complete = true};

	(void)state;
	wish(4);
	begin();
	UNTIL(readies == 1 && visits[0].interested == 1);
	assert_int_equal(ranges_count(visits[0].interest.ranges), 1);
	PUT(&visits[0], interest, &f);
	UNTIL(interests == 3); /* nobody observes any of them */
	assert_int_equal(interest_tag, 9);
	assert_int_equal(observers, 0);
	interest_entry_put(entry, (struct interest_entry){8, 2});
	f = (struct interest_frame){.entries = {entry, sizeof(entry)}};
	PUT(&visits[0], interest, &f);
	UNTIL(interests == 4);
	assert_int_equal(interest_tag, 8);
	assert_int_equal(observers, 2);
	interest_entry_put(entry, (struct interest_entry){99, 5});
	PUT(&visits[0], interest, &f); /* nobody asked */
	f.complete = true;
	PUT(&visits[0], interest, &f);
	UNTIL(interests == 7);
}

static void
the_zipper_is_told_what_was_taken(void **state)
{
	struct observe_ack_frame ack = {.request = 1};
	uint32_t i;

	(void)state;
	wish(1);
	conf.says_taken = true;
	begin();
	UNTIL(n_visits == 1 && visits[0].observed == 1);
	PUT(&visits[0], observe_ack, &ack);
	for (i = 1; i <= 10; i++)
		put_data(&visits[0], i, 100);
	UNTIL(heard_n == 10);
	turns_run(rig_loop, 20);
	assert_int_equal(visits[0].takens, 0);
	for (i = 0; i < 4; i++)
		client_taken(client, tickets[i]);
	UNTIL(visits[0].takens == 1);
	assert_int_equal(visits[0].taken.messages, 4);
	assert_int_equal(visits[0].taken.lane, visits[0].lane->id);
	/* At the end too: what was taken last is not given to others. */
	for (; i < 10; i++)
		client_taken(client, tickets[i]);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(visits[0].taken.messages, 10);
}

static void
what_nobody_observed_is_counted(void **state)
{
	struct taken_frame t = {.messages = 10, .unobserved = 6};

	(void)state;
	toys[0].silent_fin = true;
	begin();
	UNTIL(readies == 1);
	say(10, 100);
	UNTIL(visits[0].messages == 10);
	t.lane = visits[0].e.lanes[0].id;
	PUT(&visits[0], taken, &t);
	UNTIL(counts().unobserved == 6);
	client_finish(client);
	UNTIL(visits[0].e.fins == 1);
	t.unobserved = 7;
	PUT(&visits[0], taken, &t);
	link_finish(visits[0].e.link);
	ends_with(EXIT_OK);
	assert_int_equal(counts().unobserved, 7);
}

static void
what_was_lost_is_told_in_its_place(void **state)
{
	struct gap_frame g = {.tag = 2, .messages = 5};
	uint8_t bytes[GAP_FRAME_SIZE];

	(void)state;
	begin();
	UNTIL(readies == 1);
	put_data(&visits[0], 1, 100);
	put_data(&visits[0], 2, 100);
	gap_frame_put(bytes, &g);
	assert_int_equal(
	    outq_put(out_of(&visits[0]), (struct view){bytes, sizeof(bytes)}),
	    OK);
	put_data(&visits[0], 3, 100);
	UNTIL(heard == 3);
	assert_int_equal(gaps, 1);
	assert_int_equal(counts().missing, 5);
}

static void
a_tag_that_is_stuck_is_in_nobodys_way(void **state)
{
	static uint8_t payload[10000];
	struct data_frame d = {.tag = 8, .payload = {payload, sizeof(payload)}};
	uint32_t i;

	(void)state;
	begin();
	UNTIL(readies == 1);
	make_lazy(&visits[0]);
	while (!client_full_for(client, 8))
		assert_int_equal(client_send(client, &d), OK);
	UNTIL(visits[0].e.n_lanes == 1);
	UNTIL(rig_lanes_got(&visits[0].e) >= QUICLINK_LANE_WINDOW_FIRST);
	/* The peer goes on with the others, whose window is another. */
	link_credit(visits[0].e.link, visits[0].e.lanes[0].unconsumed);
	visits[0].e.model.lazy = false;
	for (i = 0; i < 50; i++) {
		assert_false(client_full_for(client, 7));
		say(10, 5000);
		UNTIL(visits[0].e.n_lanes == 2 &&
		      visits[0].e.lanes[1].in.len >= said * 5000);
	}
	assert_true(client_full_for(client, 8));
	assert_true(client_full(client));
}

static void
put_lone_frame(struct visit *v, uint8_t type, struct view body)
{
	uint8_t bytes[64] = {(uint8_t)(0x80 | type), (uint8_t)body.len};

	memcpy(bytes + 2, body.p, body.len);
	put(v, (struct view){bytes, body.len + 2});
}

static void
what_no_zipper_of_ours_says_is_a_protocol_error(void **state)
{
	static const uint8_t types[] = {FRAME_OBSERVE_ACK, FRAME_INTEREST,
	    FRAME_TAKEN, FRAME_LANE, FRAME_OBSERVE, FRAME_GAP, FRAME_DATA,
	    FRAME_CHUNK};
	const struct view bad = BYTES(0x01, 0x09);
	size_t i;

	for (i = 0; i < COUNT(types); i++) {
		begin();
		UNTIL(readies == 1);
		put_lone_frame(&visits[0], types[i], bad);
		ends_with(EXIT_PROTOCOL);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* --- refusals --- */

static const struct {
	const char *name;
	enum answer answer;
	enum frame_type type;
	const char *text;
	uint64_t code;
	struct view bytes;
	int status;
} refusals[] = {
    {"wrong token", TEXT, FRAME_REJECTED, "invalid token", 0, {NULL, 0},
	EXIT_REFUSED},
    {"another version", TEXT, FRAME_REJECTED,
	"version negotiation failed: client=2024-01-03, server=x", 0, {NULL, 0},
	EXIT_PROTOCOL},
    {"a confused zipper", TEXT, FRAME_REJECTED,
	"yomo: handshake read unexpected frame, read: DataFrame", 0, {NULL, 0},
	EXIT_PROTOCOL},
    {"goaway", TEXT, FRAME_GOAWAY, "bye", 0, {NULL, 0}, EXIT_REFUSED},
    {"no words", TEXT, FRAME_REJECTED, "", 0, {NULL, 0}, EXIT_REFUSED},
    {"evicted", CLOSE, 0, NULL, HELLO_CLOSE_EVICT, {NULL, 0}, EXIT_REFUSED},
    {"sent nowhere", TEXT, FRAME_CONNECT_TO, "", 0, {NULL, 0}, EXIT_PROTOCOL},
    {"sent to a path", TEXT, FRAME_CONNECT_TO, "unix:/etc/passwd", 0, {NULL, 0},
	EXIT_PROTOCOL},
    {"sent to nonsense", TEXT, FRAME_CONNECT_TO, "a:b:c", 0, {NULL, 0},
	EXIT_PROTOCOL},
    {"a handshake", BYTES_, 0, NULL, 0, BYTES(0xb1, 0x00), EXIT_PROTOCOL},
    {"an unknown frame", BYTES_, 0, NULL, 0, BYTES(0x81, 0x00), EXIT_PROTOCOL},
    {"no frame", BYTES_, 0, NULL, 0, BYTES(0xbf, 0x7f), EXIT_PROTOCOL},
    {"a frame that is too long", BYTES_, 0, NULL, 0,
	BYTES(0xbf, 0x87, 0xff, 0xff, 0xff, 0x7f), EXIT_PROTOCOL},
    {"a malformed message", BYTES_, 0, NULL, 0, BYTES(0xbf, 0x02, 0x01, 0x05),
	EXIT_PROTOCOL},
    {"an ack, then a handshake", BYTES_, 0, NULL, 0,
	BYTES(0xa9, 0x00, 0xb1, 0x00), EXIT_PROTOCOL},
    {"acks without end, then a refusal", BYTES_, 0, NULL, 0,
	BYTES(0xa9, 0x00, 0xa9, 0x00, 0xa9, 0x00, 0xb9, 0x00), EXIT_REFUSED},
};

static void
a_refusal_is_for_good(void **state)
{
	size_t i;

	for (i = 0; i < COUNT(refusals); i++) {
		toys[0].answer = refusals[i].answer;
		toys[0].type = refusals[i].type;
		toys[0].text = refusals[i].text;
		toys[0].code = refusals[i].code;
		toys[0].bytes = refusals[i].bytes;
		begin();
		say(1, 100);
		UNTIL(dones == 1);
		if (status != refusals[i].status)
			fail_msg("%s: %d", refusals[i].name, status);
		turns_run(rig_loop, 20);
		assert_int_equal(n_visits, 1);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
who_is_not_trusted_is_not_tried_again(void **state)
{
	const struct tls_client_conf c = {0};
	struct tls *wary;

	(void)state;
	setenv("STATE_DIRECTORY", "/nonexistent", 1);
	assert_int_equal(tls_client_new(&wary, &c), OK);
	conf.tls = wary;
	begin();
	ends_with(EXIT_REFUSED);
	client_free(client);
	client = NULL;
	setenv("STATE_DIRECTORY", rig_folder, 1);
	tls_free(wary);
}

/* --- not there, or not any more --- */

/* A port where nobody listens, or where one who never answers does. */
static int
bind_udp(struct addr *a)
{
	socklen_t len = sizeof(a->in4);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*a = (struct addr){.len = len};
	a->in4.sin_family = AF_INET;
	a->in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, &a->sa, len), 0);
	assert_int_equal(getsockname(fd, &a->sa, &len), 0);
	return fd;
}

static void
who_cannot_be_reached_in_time_is_given_up(void **state)
{
	struct addr a;
	int fd, i;

	for (i = 0; i < 4; i++) {
		fd = bind_udp(&a);
		if (i == 0)
			point_at(0, &a); /* silent */
		if (i == 1) {
			point_at(0, &a); /* dead */
			close(fd);
			fd = -1;
		}
		if (i == 2)
			toys[0].answer = NOTHING;
		if (i == 3)
			point_at_path(0, "/nonexistent/socket");
		conf.connect_timeout_ns = 200 * RIG_MS;
		begin();
		say(1, 100);
		ends_with(EXIT_UNREACHED);
		assert_int_equal(readies, 0);
		close(fd);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* More and more rarely, and never all at once. */
static void
who_is_not_there_is_tried_with_growing_pauses(void **state)
{
	(void)state;
	toys[0].answer = CLOSE;
	toys[0].code = HELLO_CLOSE_RESTART;
	conf.connect_timeout_ns = SECOND_NS;
	begin();
	ends_with(EXIT_UNREACHED);
	assert_true(n_visits >= 4);
	assert_true(n_visits <= 9);
}

/* One that takes us and closes at once must not make us a nuisance. */
static void
who_takes_us_and_closes_is_tried_with_growing_pauses(void **state)
{
	uint64_t until = loop_clock() + SECOND_NS;

	(void)state;
	begin();
	while (loop_clock() < until) {
		if (n_visits > 0 && visits[n_visits - 1].answered)
			rig_close(
			    &visits[n_visits - 1].e, HELLO_CLOSE_RESTART, "");
		rig_run();
	}
	assert_true(n_visits >= 3);
	assert_true(n_visits <= 10);
}

static void
the_next_of_several_zippers_is_tried(void **state)
{
	struct addr dead;

	(void)state;
	close(bind_udp(&dead));
	open_toy(&toys[1]);
	point_at(0, &dead);
	point_at_path(1, "/nonexistent/socket");
	point_at(2, &toys[1].at);
	conf.n_zippers = 3;
	begin();
	say(10, 100);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_ptr_equal(visits[0].toy, &toys[1]);
	assert_int_equal(visits[0].messages, 10);
}

static void
after_a_loss_the_first_zipper_is_tried_first(void **state)
{
	(void)state;
	open_toy(&toys[1]);
	point_at(1, &toys[1].at);
	conf.n_zippers = 2;
	begin();
	UNTIL(readies == 1);
	assert_ptr_equal(visits[0].toy, &toys[0]);
	rig_close(&visits[0].e, HELLO_CLOSE_RESTART, "");
	UNTIL(readies == 2);
	assert_ptr_equal(visits[1].toy, &toys[0]);
	assert_int_equal(counts().lost, 1);
	assert_int_equal(losses, 1);
}

/* One that hears the greeting and says nothing is not there either. */
static void
who_never_answers_the_greeting_is_left_for_the_next(void **state)
{
	(void)state;
	open_toy(&toys[1]);
	point_at(1, &toys[1].at);
	conf.n_zippers = 2;
	conf.connect_timeout_ns = 0;
	toys[0].answer = NOTHING;
	begin();
	UNTIL(readies == 1);
	assert_int_equal(n_visits, 2);
}

static void
without_retries_a_loss_is_the_end(void **state)
{
	(void)state;
	conf.retry_ns = 0;
	begin();
	UNTIL(readies == 1);
	rig_close(&visits[0].e, HELLO_CLOSE_RESTART, "");
	ends_with(EXIT_LOST);
	assert_int_equal(n_visits, 1);
	assert_int_equal(losses, 0);
}

static void
who_does_not_come_back_in_time_is_given_up(void **state)
{
	uint64_t from;

	(void)state;
	conf.retry_ns = 150 * RIG_MS;
	begin();
	UNTIL(readies == 1);
	toys[0].answer = NOTHING;
	rig_close(&visits[0].e, HELLO_CLOSE_RESTART, "");
	from = loop_clock();
	ends_with(EXIT_LOST);
	assert_true(loop_clock() - from >= 100 * RIG_MS);
	assert_true(loop_clock() - from < 5 * SECOND_NS);
}

static void
a_zipper_that_ends_the_stream_is_lost(void **state)
{
	(void)state;
	begin();
	UNTIL(readies == 1);
	link_finish(visits[0].e.link);
	UNTIL(readies == 2);
	say(5, 100);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(visits[1].messages, 5);
	assert_true(
	    view_equal(visits[1].h.id, view_of("V1StGXR8_Z5jdHi6B-myT-1")));
}

/* --- in doubt --- */

static void
what_was_sent_and_not_acknowledged_is_in_doubt(void **state)
{
	(void)state;
	begin();
	UNTIL(readies == 1);
	say(100, 100);
	UNTIL(counts().waiting == 0);
	/* It closes on the first of them: no packet of theirs is acked. */
	toys[0].close_after = 102;
	say(30, 20);
	UNTIL(readies == 2);
	assert_int_equal(counts().in_doubt, 30);
	assert_int_equal(counts().lost, 1);
	say(5, 20);
	client_finish(client);
	ends_with(EXIT_LOST);
	assert_int_equal(visits[1].first, 131);
	assert_int_equal(visits[1].messages, 5);
}

static void
what_was_not_sent_goes_over_the_next_connection(void **state)
{
	size_t window = QUICLINK_WINDOW;
	int i;

	(void)state;
	begin();
	UNTIL(readies == 1);
	make_lazy(&visits[0]); /* its window fills up */
	say(40, 100000);
	if (visits[0].e.link->lanes)
		window = QUICLINK_LANE_WINDOW_FIRST;
	UNTIL(came(&visits[0]) >= window);
	UNTIL(counts().waiting <= 40 * 100100 - window);
	for (i = 0; i < 3; i++)
		turns_run(rig_loop, 50);
	rig_close(&visits[0].e, HELLO_CLOSE_RESTART, "");
	UNTIL(readies == 2);
	/* All acknowledged, or not sent: the one in between goes again. */
	assert_int_equal(counts().in_doubt, 0);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(visits[1].first, visits[0].latest + 1);
	assert_int_equal(visits[1].latest, 40);
}

static void
what_is_in_doubt_is_counted_when_it_is_the_end_too(void **state)
{
	(void)state;
	begin();
	UNTIL(readies == 1);
	toys[0].close_after = 2;
	toys[0].close_code = HELLO_CLOSE_EVICT;
	say(7, 20);
	ends_with(EXIT_REFUSED);
	assert_int_equal(counts().in_doubt, 7);
}

/* --- ConnectTo --- */

static void
send_on(struct toy *from, const struct toy *to)
{
	static char texts[TOYS][64];
	char *text = texts[from - toys];

	addr_text(&to->at, text);
	from->answer = TEXT;
	from->type = FRAME_CONNECT_TO;
	from->text = text;
}

static void
a_client_goes_where_it_is_sent(void **state)
{
	(void)state;
	open_toy(&toys[1]);
	send_on(&toys[0], &toys[1]);
	begin();
	say(10, 100);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(n_visits, 2);
	assert_ptr_equal(visits[1].toy, &toys[1]);
	assert_int_equal(visits[1].messages, 10);
	assert_int_equal(counts().in_doubt, 0);
	assert_int_equal(counts().lost, 0);
}

static void
a_client_that_is_sent_in_circles_gives_up(void **state)
{
	(void)state;
	open_toy(&toys[1]);
	send_on(&toys[0], &toys[1]);
	send_on(&toys[1], &toys[0]);
	begin();
	ends_with(EXIT_PROTOCOL);
	assert_int_equal(n_visits, 6);
}

/* Sent to one that is down: the sender is asked again, for as long as may be.
 */
static void
where_it_is_sent_may_be_down_for_a_while(void **state)
{
	struct toy down = {0};

	(void)state;
	close(bind_udp(&down.at));
	send_on(&toys[0], &down);
	begin();
	UNTIL(n_visits == 7); /* more than a zipper may send us on */
	assert_int_equal(dones, 0);
	toys[0].answer = ACK;
	client_finish(client);
	ends_with(EXIT_OK);
}

static void
a_client_may_be_sent_elsewhere_while_it_sends(void **state)
{
	char text[ADDR_TEXT];

	(void)state;
	open_toy(&toys[1]);
	begin();
	UNTIL(readies == 1);
	say(10, 100);
	UNTIL(counts().waiting == 0);
	client_finish(client);
	put_text(&visits[0], FRAME_CONNECT_TO, addr_text(&toys[1].at, text));
	UNTIL(dones == 1 || readies == 2);
	ends_with(EXIT_OK);
}

/* --- room --- */

static void
a_full_client_tells_when_there_is_room(void **state)
{
	(void)state;
	conf.queue = 100000;
	begin();
	assert_false(client_full(client));
	while (!client_full(client))
		say(1, 1000);
	assert_true(counts().waiting >= conf.queue);
	assert_int_equal(rooms, 0);
	UNTIL(rooms == 1);
	assert_false(client_full(client));
	UNTIL(counts().waiting == 0);
	assert_int_equal(rooms, 1);
}

static void
there_is_room_again_after_a_loss(void **state)
{
	(void)state;
	conf.queue = 20000;
	begin();
	UNTIL(readies == 1);
	toys[0].close_after = 2;
	while (!client_full(client))
		say(1, 100);
	UNTIL(rooms == 1);
	assert_true(counts().in_doubt > 0);
}

/* --- messages from the zipper --- */

static void
messages_come_in_order_also_before_the_ack(void **state)
{
	uint32_t i;

	(void)state;
	toys[0].answer = NOTHING;
	begin();
	UNTIL(n_visits == 1 && visits[0].answered);
	put_data(&visits[0], 1, 10);
	UNTIL(heard == 1);
	put_ack(&visits[0]);
	for (i = 2; i <= 500; i++)
		put_data(&visits[0], i, i * 10);
	UNTIL(heard == 500);
	assert_int_equal(heard_n, 500);
	assert_int_equal(counts().received, 500);
	assert_int_equal(readies, 1);
}

static void
what_is_held_back_comes_when_it_is_wanted(void **state)
{
	uint32_t i;

	(void)state;
	begin();
	UNTIL(readies == 1);
	hold = true;
	for (i = 1; i <= 100; i++)
		put_data(&visits[0], i, 90000);
	UNTIL(out_of(&visits[0])->unsent < 8000000);
	turns_run(rig_loop, 100);
	/* No more than a window's worth waits here. */
	assert_true(out_of(&visits[0])->bytes >
		    100 * 90000 - 2 * (size_t)QUICLINK_WINDOW);
	assert_int_equal(heard_n, 0);
	hold = false;
	client_resume(client);
	UNTIL(heard == 100);
	assert_int_equal(heard_n, 100);
}

static void
a_fin_behind_what_is_held_back_is_not_forgotten(void **state)
{
	(void)state;
	begin();
	UNTIL(readies == 1);
	hold = true;
	put_data(&visits[0], 1, 10);
	put_data(&visits[0], 2, 10);
	client_finish(client);
	UNTIL(visits[0].e.fins == 1);
	turns_run(rig_loop, 50);
	assert_int_equal(dones, 0);
	hold = false;
	client_resume(client);
	ends_with(EXIT_OK);
	assert_int_equal(heard, 2);
}

/* A zipper that restarts must not cost what it had sent before. */
static void
what_is_held_back_survives_the_connection(void **state)
{
	uint32_t i;

	(void)state;
	begin();
	UNTIL(readies == 1);
	hold = true;
	for (i = 1; i <= 50; i++)
		put_data(&visits[0], i, 1000);
	UNTIL(out_of(&visits[0])->bytes == 0);
	rig_close(&visits[0].e, HELLO_CLOSE_RESTART, "");
	/* It comes back, and can send, while messages wait for it. */
	UNTIL(readies == 2);
	say(3, 100);
	UNTIL(visits[1].messages == 3);
	for (i = 51; i <= 60; i++)
		put_data(&visits[1], i, 1000);
	UNTIL(out_of(&visits[1])->bytes == 0);
	assert_int_equal(heard_n, 0);
	assert_int_equal(losses, 0);
	hold = false;
	client_resume(client);
	UNTIL(heard == 60);
	assert_int_equal(losses, 1);
	assert_int_equal(heard_n, 60);
	client_finish(client);
	ends_with(EXIT_OK);
}

static void
who_is_deaf_hears_no_more_and_holds_nobody_up(void **state)
{
	uint32_t i;

	(void)state;
	begin();
	UNTIL(readies == 1);
	hold = true;
	for (i = 1; i <= 100; i++)
		put_data(&visits[0], i, 90000);
	turns_run(rig_loop, 50);
	client_deafen(client);
	UNTIL(out_of(&visits[0])->bytes == 0);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(heard_n, 0);
	assert_int_equal(counts().received, 0);
}

/* --- over a unix socket --- */

static void
use_socket(void)
{
	const char *path = rig_path("socket");

	assert_int_equal(
	    listener_unix(toys[0].listener, path, 0, (gid_t)-1), OK);
	point_at_path(0, path);
}

static void
over_a_unix_socket_it_is_the_same(void **state)
{
	(void)state;
	use_socket();
	begin();
	say(100, 5000); /* before the Ack, too */
	UNTIL(readies == 1);
	say(100, 5000);
	put_data(&visits[0], 1, 100000);
	UNTIL(heard == 1);
	client_finish(client);
	ends_with(EXIT_OK);
	assert_int_equal(visits[0].messages, 200);
}

static void
over_a_unix_socket_refusals_are_for_good(void **state)
{
	int i;

	for (i = 0; i < 2; i++) {
		use_socket();
		toys[0].answer = i == 0 ? TEXT : CLOSE;
		toys[0].type = FRAME_REJECTED;
		toys[0].text = "invalid token";
		toys[0].code = HELLO_CLOSE_EVICT;
		begin();
		say(1, 100);
		ends_with(EXIT_REFUSED);
		assert_int_equal(n_visits, 1);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* Where it would need TLS, which nobody has set up. */
static void
over_a_unix_socket_nobody_is_sent_into_the_network(void **state)
{
	(void)state;
	use_socket();
	open_toy(&toys[1]);
	send_on(&toys[0], &toys[1]);
	conf.tls = NULL;
	begin();
	ends_with(EXIT_PROTOCOL);
	assert_int_equal(n_visits, 1);
}

static void
over_a_unix_socket_the_unsent_goes_over_the_next(void **state)
{
	uint32_t n;

	(void)state;
	use_socket();
	begin();
	UNTIL(readies == 1);
	make_lazy(&visits[0]);
	say(40, 100000);
	UNTIL(came(&visits[0]) >= QUICLINK_WINDOW_FIRST);
	turns_run(rig_loop, 50);
	rig_close(&visits[0].e, HELLO_CLOSE_RESTART, "");
	UNTIL(readies == 2);
	n = (uint32_t)counts().in_doubt;
	client_finish(client);
	ends_with(n > 0 ? EXIT_LOST : EXIT_OK);
	assert_int_equal(visits[1].latest, 40);
	/* Nothing twice, and nothing left out that is not in doubt. */
	assert_true(visits[1].first > visits[0].latest);
	assert_true(visits[1].first <= visits[0].latest + 1 + n);
}

/* --- the pipe link --- */

static struct ends in, out;

static void
use_pipes(void)
{
	assert_true(ends_pipe(&in) && ends_pipe(&out));
	conf.n_zippers = 0;
	conf.in_fd = in.r;
	conf.out_fd = out.w;
	conf.tls = NULL;
	begin();
}

static void
write_in(struct view bytes)
{
	assert_int_equal(write(in.w, bytes.p, bytes.len), bytes.len);
}

static void
end_in(void)
{
	close(in.w);
	in.w = -1;
}

static const uint8_t some_frames[] = {0xbf, 0x0c, 1, 1, 0x33, 3, 0, 2, 5, 'h',
    'e', 'l', 'l', 'o', 0xa9, 0x00, 0xbf, 0x07, 1, 1, 0x34, 3, 0, 2, 0};

static void
frames_come_through_a_pipe_to_its_end(void **state)
{
	size_t i;

	(void)state;
	use_pipes();
	UNTIL(readies == 1);
	for (i = 0; i < sizeof(some_frames); i++) {
		write_in((struct view){some_frames + i, 1});
		turns_run(rig_loop, 2);
	}
	UNTIL(heard == 0x34);
	assert_int_equal(heard_n, 2);
	assert_int_equal(others, 1);
	assert_int_equal(eofs, 0);
	end_in();
	UNTIL(eofs == 1);
	client_finish(client);
	ends_with(EXIT_OK);
	ends_close(&in);
	ends_close(&out);
}

static void
the_end_of_a_pipe_waits_for_what_is_held_back(void **state)
{
	(void)state;
	use_pipes();
	hold = true;
	write_in((struct view){some_frames, sizeof(some_frames)});
	end_in();
	turns_run(rig_loop, 20);
	assert_int_equal(eofs, 0);
	hold = false;
	client_resume(client);
	UNTIL(eofs == 1);
	assert_int_equal(heard_n, 2);
	assert_int_equal(others, 1);
	ends_close(&in);
	ends_close(&out);
}

static const struct view no_frames[] = {
    BYTES(0xbf, 0x7f),			 /* no frame */
    BYTES(0xbf, 0x0c, 1),		 /* half a frame */
    BYTES(0xbf, 0x02, 1, 5),		 /* no message */
    BYTES(0xbf, 0x80, 0xc0, 0x80, 0x01), /* too long */
};

static void
a_pipe_with_something_else_in_it_is_malformed(void **state)
{
	size_t i;

	for (i = 0; i < COUNT(no_frames); i++) {
		use_pipes();
		write_in((struct view){some_frames, sizeof(some_frames)});
		write_in(no_frames[i]);
		end_in();
		UNTIL(eofs == 1);
		assert_int_equal(heard_n, 2);
		say(1, 100); /* answers to what came before */
		client_finish(client);
		ends_with(EXIT_DATA);
		assert_int_equal(eofs, 1);
		ends_close(&in);
		ends_close(&out);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
a_pipe_without_a_reader_ends_it(void **state)
{
	(void)state;
	use_pipes();
	UNTIL(readies == 1);
	close(out.r);
	out.r = -1;
	ends_with(EXIT_OUTPUT);
	assert_true(client_lost_reader(client));
	ends_close(&in);
	ends_close(&out);
}

/* --- at any time, in any order --- */

static void
a_client_may_be_freed_at_any_time(void **state)
{
	int i;

	for (i = 0; i < 40; i++) {
		if (i % 4 == 1)
			use_socket();
		if (i % 4 == 2) {
			endpoint_fini(&zippers[0]);
			zippers[0] =
			    (struct endpoint){.host = strdup("localhost"),
				.port = addr_port(&toys[0].at)};
		}
		begin();
		say((size_t)i, 1000);
		if (i % 3 == 0)
			client_finish(client);
		turns_run(rig_loop, i);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void
without_memory_there_is_no_client(void **state)
{
	bool hit = true;
	size_t n;
	int r;

	(void)state;
	close_toys();
	loop_free(rig_loop);
	for (n = 1; hit; n++) {
		assert_int_equal(loop_new(&rig_loop), OK);
		client = NULL;
		faults_at(n);
		r = client_new(
		    &client, rig_loop, &conf, &client_callbacks, NULL);
		hit = faults_hit();
		faults_off();
		assert_int_equal(r, hit ? ERR_NOMEM : OK);
		turns_run(rig_loop, 2);
		client_free(client);
		client = NULL;
		turns_run(rig_loop, 2);
		if (hit)
			loop_free(rig_loop);
	}
	assert_true(n > 2);
}

/* Nobody wants one of the client's lanes any more. */
static void
stop_a_lane(struct visit *v)
{
	struct rig_lane *n;

	if (v->e.n_lanes == 0)
		return;
	n = &v->e.lanes[chance_below(v->e.n_lanes)];
	if (n == v->lane || n->lane == NULL)
		return;
	v->unwanting = true;
	lane_break(n->lane, 1);
}

/* What a zipper could say, whether it makes sense or not. */
static void
say_anything(struct visit *v)
{
	static uint32_t number;
	char text[ADDR_TEXT];

	switch (chance_below(12)) {
	case 0:
	case 1:
	case 2:
		put_ack(v);
		break;
	case 3:
	case 4:
		if (number < heard)
			number = heard;
		put_data(v, ++number, chance_below(5000));
		break;
	case 5:
		put_text(v, FRAME_CONNECT_TO,
		    addr_text(&toys[chance_below(2)].at, text));
		break;
	case 6:
		link_finish(v->e.link);
		break;
	case 7:
		rig_close(&v->e, HELLO_CLOSE_RESTART, "away");
		break;
	case 8:
		if (chance_once_in(8))
			put_text(v, FRAME_GOAWAY, "go");
		break;
	case 9:
		if (chance_once_in(8))
			put(v, (struct view){(const uint8_t *)"\xb1\x00", 2});
		break;
	case 10:
		stop_a_lane(v);
		break;
	default:
		break;
	}
}

static void
do_anything(void)
{
	switch (chance_below(8)) {
	case 0:
	case 1:
		say(chance_below(5), chance_between(4, 3000));
		break;
	case 2:
		hold = true;
		break;
	case 3:
	case 4:
		hold = false;
		client_resume(client);
		break;
	case 5:
		if (chance_once_in(10))
			client_finish(client);
		break;
	case 6:
		if (chance_once_in(20))
			client_deafen(client);
		break;
	default:
		client_full(client);
	}
}

static void
whatever_a_zipper_does_a_client_stays_sane(void **state)
{
	uint64_t seed;
	uint64_t arrived;
	int i, n;

	for (seed = 1; seed <= 60; seed++) {
		chance_begin(seed);
		open_toy(&toys[1]);
		if (seed % 3 == 0)
			use_socket();
		toys[0].answer = toys[1].answer =
		    chance_once_in(2) ? ACK : NOTHING;
		toys[0].silent_fin = chance_once_in(2);
		conf.retry_ns = chance_once_in(3) ? 0 : UINT64_MAX;
		begin();
		for (i = 0; i < 300 && dones == 0; i++) {
			do_anything();
			turns_run(rig_loop, (int)chance_between(1, 3));
			for (n = 0; n < n_visits; n++)
				if (visits[n].e.link != NULL &&
				    visits[n].e.ups > 0 && chance_once_in(3))
					say_anything(&visits[n]);
		}
		for (arrived = 0, n = 0; n < n_visits; n++)
			arrived += visits[n].messages;
		assert_true(arrived <= said);
		chance_end();
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_client_greets_sends_and_is_done),
	    TEST(an_end_without_messages_is_a_good_end),
	    TEST(messages_before_the_ack_wait_for_it),
	    TEST(it_is_done_when_the_zipper_has_answered_the_fin),
	    TEST(a_zipper_that_gives_no_sign_is_waited_for_a_while),
	    TEST(who_speaks_but_yomo_is_no_zipper_for_all_wishes),
	    TEST(a_wish_is_granted_before_it_is_ready),
	    TEST(a_wish_that_is_refused_is_the_end),
	    TEST(who_never_grants_a_wish_is_left_for_the_next),
	    TEST(interest_is_told_as_it_changes),
	    TEST(the_zipper_is_told_what_was_taken),
	    TEST(what_nobody_observed_is_counted),
	    TEST(what_was_lost_is_told_in_its_place),
	    TEST(a_tag_that_is_stuck_is_in_nobodys_way),
	    TEST(what_no_zipper_of_ours_says_is_a_protocol_error),
	    TEST(a_refusal_is_for_good),
	    TEST(who_is_not_trusted_is_not_tried_again),
	    TEST(who_cannot_be_reached_in_time_is_given_up),
	    TEST(who_is_not_there_is_tried_with_growing_pauses),
	    TEST(who_takes_us_and_closes_is_tried_with_growing_pauses),
	    TEST(the_next_of_several_zippers_is_tried),
	    TEST(after_a_loss_the_first_zipper_is_tried_first),
	    TEST(who_never_answers_the_greeting_is_left_for_the_next),
	    TEST(without_retries_a_loss_is_the_end),
	    TEST(who_does_not_come_back_in_time_is_given_up),
	    TEST(a_zipper_that_ends_the_stream_is_lost),
	    TEST(what_was_sent_and_not_acknowledged_is_in_doubt),
	    TEST(what_was_not_sent_goes_over_the_next_connection),
	    TEST(what_is_in_doubt_is_counted_when_it_is_the_end_too),
	    TEST(a_client_goes_where_it_is_sent),
	    TEST(a_client_that_is_sent_in_circles_gives_up),
	    TEST(where_it_is_sent_may_be_down_for_a_while),
	    TEST(a_client_may_be_sent_elsewhere_while_it_sends),
	    TEST(a_full_client_tells_when_there_is_room),
	    TEST(there_is_room_again_after_a_loss),
	    TEST(messages_come_in_order_also_before_the_ack),
	    TEST(what_is_held_back_comes_when_it_is_wanted),
	    TEST(a_fin_behind_what_is_held_back_is_not_forgotten),
	    TEST(what_is_held_back_survives_the_connection),
	    TEST(who_is_deaf_hears_no_more_and_holds_nobody_up),
	    TEST(over_a_unix_socket_it_is_the_same),
	    TEST(over_a_unix_socket_refusals_are_for_good),
	    TEST(over_a_unix_socket_nobody_is_sent_into_the_network),
	    TEST(over_a_unix_socket_the_unsent_goes_over_the_next),
	    TEST(frames_come_through_a_pipe_to_its_end),
	    TEST(the_end_of_a_pipe_waits_for_what_is_held_back),
	    TEST(a_pipe_with_something_else_in_it_is_malformed),
	    TEST(a_pipe_without_a_reader_ends_it),
	    TEST(a_client_may_be_freed_at_any_time),
	    TEST(without_memory_there_is_no_client),
	    TEST(whatever_a_zipper_does_a_client_stays_sane),
	};

	return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
