#include "config.h"

#include "conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "caller.h"
#include "conn_frames.h"
#include "err.h"
#include "flood.h"
#include "harden.h"
#include "log.h"
#include "peer.h"
#include "secmem.h"
#include "settings.h"
#include "timers.h"
#include "wipe.h"

#define CONN_INPUT (64u * 1024)	/* read at once */
/* What a connection keeps of it: a frame, and what came behind it. */
#define CONN_INPUT_MAX (FRAME_REQUEST_MAX + FRAME_HEADER_LEN + CONN_INPUT)
#define CONN_PARTIAL_MS 30000	/* PROTOCOL.md, section 2 */
#define CONN_LINGER_MS 5000	/* for the last answer to be read */
#define CONN_SWEEP_MS 5000
/*
 * Of one user, before others are served.  Longer than the connections that are
 * accepted in a turn need, or they would pile up.
 */
#define CONN_TURN_NS 4000000
#define CONN_SHARED_MIN 64	/* fewer are not shared out */

/* What it waits for, which it does not for ever. */
enum conn_phase {
	CONN_BUSY,		/* the service, or nothing */
	CONN_PARTIAL,		/* the rest of a message */
	CONN_QUIET,		/* the next one */
	CONN_STALLED,		/* that its answers are read */
	CONN_LINGERING,		/* that the last one is */
};

struct conn {
	TAILQ_ENTRY(conn) link;
	struct conns *cs;
	const struct conn_kind *kind;
	int fd;
	bool reading;		/* the read event is added */
	bool eof;		/* the peer sends no more */
	bool failed;		/* to be closed once what is owed is sent */
	bool dead;		/* on the list of those to free */
	bool woken;		/* on the list of those to render */
	TAILQ_ENTRY(conn) woken_link;
	enum conn_phase phase;
	uint64_t phase_boot_ms;	/* since then */
	struct event *ev_read;
	struct event *ev_write;	/* made when first needed */
	struct secbuf in;	/* input that could not be used yet */
	struct out_backlog *backlog;
	size_t counted;		/* of the two, in the caller's bytes */
	struct session session;
	uint64_t talk[];	/* what kind keeps of it */
};

TAILQ_HEAD(conn_list, conn);

struct conns {
	struct event_base *base;
	struct session_env *env;
	struct out *out;
	struct secmem input;	/* shared by all */
	struct callers callers;
	struct conn_list all;
	struct conn_list dead;
	struct conn_list woken;
	struct timer *after;	/* frees and renders, with an empty stack */
	struct timer *sweep;
	struct timer *turn;	/* the loop came round, see conn_has_turn() */
	bool turning;
	unsigned int turns;
	bool sweeping;
	bool quick_peers;	/* peer_new_quick() will do */
	unsigned int count;
	unsigned int max;
};

static void conns_after_cb(void *arg);
static void conns_sweep_cb(void *arg);
static void conns_turn_cb(void *arg);

/*
 * What one message may take in any case: a frame, and where that is no more
 * than a user's share anyway, a body as long as those of the service.
 */
static size_t
conns_largest(const struct settings *s)
{
	size_t frame = secmem_class_size(CONN_INPUT_MAX);
	size_t body = secmem_class_size(s->max_response) + frame;

	return body > frame && body <= harden_lockable_bytes() / 8 ? body
	    : frame;
}

struct conns *
conns_new(struct event_base *base, struct session_env *env,
    unsigned int max_connections)
{
	struct conns *cs;

	cs = calloc(1, sizeof(*cs));
	if (cs == NULL)
		return NULL;
	cs->base = base;
	cs->env = env;
	cs->max = max_connections;
	callers_init(&cs->callers, harden_lockable_bytes(),
	    conns_largest(env->settings));
	TAILQ_INIT(&cs->all);
	TAILQ_INIT(&cs->dead);
	TAILQ_INIT(&cs->woken);
	if ((cs->out = out_new()) == NULL ||
	    secmem_alloc(&cs->input, CONN_INPUT, SECMEM_LIBRARY) != 0 ||
	    (cs->after = timer_new(base, conns_after_cb, cs)) == NULL ||
	    (cs->sweep = timer_new(base, conns_sweep_cb, cs)) == NULL ||
	    (cs->turn = timer_new(base, conns_turn_cb, cs)) == NULL) {
		conns_free(cs);
		return NULL;
	}
	return cs;
}

void
conns_set_max(struct conns *cs, unsigned int max_connections)
{
	cs->max = max_connections;
	callers_set_limits(&cs->callers, harden_lockable_bytes(),
	    conns_largest(cs->env->settings));
}

/* --- the end of a connection --- */

/*
 * Nothing is freed from its own call stack: a connection that is done is
 * closed at once, and freed when the loop comes round.
 */
static void
conn_close(struct conn *c)
{
	struct conns *cs = c->cs;

	if (c->dead)
		return;
	c->dead = true;
	if (c->ev_read != NULL)
		event_free(c->ev_read);
	if (c->ev_write != NULL)
		event_free(c->ev_write);
	(void)close(c->fd);
	peer_closed(c->session.peer);
	if (c->woken)
		TAILQ_REMOVE(&cs->woken, c, woken_link);
	TAILQ_REMOVE(&cs->all, c, link);
	TAILQ_INSERT_TAIL(&cs->dead, c, link);
	cs->count--;
	cs->env->metrics->clients = cs->count;
	timer_set(cs->after, 0);
}

static void
conns_free_dead(struct conns *cs)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&cs->dead)) != NULL) {
		TAILQ_REMOVE(&cs->dead, c, link);
		c->kind->done(c->talk);
		session_done(&c->session);
		caller_hold(&cs->callers, c->session.caller, c->counted, 0);
		caller_leave(&cs->callers, c->session.caller);
		secbuf_clear(&c->in);
		out_backlog_free(c->backlog);
		free(c);
	}
}

void
conns_free(struct conns *cs)
{
	struct conn *c;

	if (cs == NULL)
		return;
	while ((c = TAILQ_FIRST(&cs->all)) != NULL)
		conn_close(c);
	conns_free_dead(cs);
	timer_free(cs->after);
	timer_free(cs->sweep);
	timer_free(cs->turn);
	secmem_free_bytes(&cs->input);
	out_free(cs->out);
	free(cs);
}

/* --- sending --- */

static void conn_write_cb(evutil_socket_t fd, short what, void *arg);

static void
conn_wait_writable(struct conn *c)
{
	if (c->ev_write == NULL)
		c->ev_write = event_new(c->cs->base, c->fd, EV_WRITE,
		    conn_write_cb, c);
	if (c->ev_write == NULL || event_add(c->ev_write, NULL) != 0)
		conn_close(c);
}

/* Send what is in the shared buffer; the rest becomes this one's backlog. */
static void
conn_flush(struct conn *c)
{
	int r;

	if (out_is_empty(c->cs->out))
		return;
	r = out_flush(c->cs->out, c->fd, &c->backlog);
	if (r == 0)
		session_sent(&c->session);
	else if (r == ERR_AGAIN)
		conn_wait_writable(c);
	else
		conn_close(c);
}

/* Render and send until nothing is ready or the socket takes no more. */
static void
conn_render(struct conn *c)
{
	bool more = true;

	while (more && !c->dead && c->backlog == NULL) {
		more = c->kind->render(c->talk, c->cs->out);
		conn_flush(c);
	}
}

/* --- receiving --- */

static void
conn_pause(struct conn *c)
{
	if (!c->reading)
		return;
	c->reading = false;
	(void)event_del(c->ev_read);
}

static void
conn_resume(struct conn *c)
{
	if (c->reading || c->eof)
		return;
	c->reading = true;
	if (event_add(c->ev_read, NULL) != 0)
		conn_close(c);
}

/* Say why a connection is closed, unless its user makes too many such lines. */
static void
conn_tell_closed(struct conn *c, const char *why)
{
	char who[128];
	struct now now;

	clock_read(&now);
	if (flood_allows(c->cs->env->flood, FLOOD_CLOSED,
	    peer_uid(c->session.peer), &now))
		log_info("%s: %s; connection closed", peer_describe(
		    c->session.peer, who, sizeof(who)), why);
}

/*
 * Have messages in p[0..len) used while answers can go out.  Returns how many
 * bytes were; what is left is incomplete, or waits for the peer to read.
 */
static size_t
conn_take(struct conn *c, const uint8_t *p, size_t len, const struct now *now,
    bool *ret_partial)
{
	const char *why = NULL;
	size_t used = 0, some;
	int r = 0;

	while (r == 0 && !c->dead && !c->failed && c->backlog == NULL &&
	    c->kind->has_room(c->talk) && used < len) {
		some = 0;
		r = c->kind->take(c->talk, p + used, len - used, now,
		    c->cs->out, &some, &why);
		used += some;
		/* what is in part now began after what was just completed */
		if (r == 0)
			c->phase = CONN_BUSY;
		if (!TAILQ_EMPTY(&c->session.ready) ||
		    !out_has_room(c->cs->out, SESSION_ANSWER_MAX)) {
			conn_flush(c);
			conn_render(c);
		}
	}
	*ret_partial = r == ERR_AGAIN;
	if (r != 0 && r != ERR_AGAIN) {
		c->failed = true;
		if (why != NULL)
			conn_tell_closed(c, why);
	}
	conn_flush(c);
	return used;
}

static void
conns_watch(struct conns *cs)
{
	if (!cs->sweeping) {
		cs->sweeping = true;
		timer_set(cs->sweep, CONN_SWEEP_MS);
	}
}

/* What is kept for a connection, in its user's account. */
static void
conn_count(struct conn *c)
{
	size_t bytes = c->in.cap + out_backlog_bytes(c->backlog);

	if (c->kind->bytes != NULL && !c->dead)
		bytes += c->kind->bytes(c->talk);
	caller_hold(&c->cs->callers, c->session.caller, c->counted, bytes);
	c->counted = bytes;
}

/* No answer says so, as there may be one half sent. */
static void
conn_take_back(struct conn *c)
{
	conn_tell_closed(c, "what its user sent in part and answers that are "
	    "not read take too much memory");
	conn_close(c);
	secbuf_clear(&c->in);
	out_backlog_free(c->backlog);
	c->backlog = NULL;
	conn_count(c);
}

/*
 * If users hold too much secret memory by what they send in part and do not
 * read, those who hold most lose a connection, rather than that transfers from
 * the service find none.
 */
static void
conn_bound(struct conn *c)
{
	struct conns *cs = c->cs;
	struct caller *over;
	struct conn *most, *one;

	while ((over = callers_over(&cs->callers, c->session.caller)) != NULL) {
		most = c->session.caller == over && c->counted > 0 ? c : NULL;
		TAILQ_FOREACH(one, &cs->all, link) {
			if (most == NULL && one->session.caller == over &&
			    one->counted > 0)
				most = one;
		}
		if (most == NULL)
			return;
		conn_take_back(most);
	}
}

/* How long it may wait for that, in ms; 0: for ever. */
static uint64_t
conn_patience_ms(const struct conn *c)
{
	switch (c->phase) {
	case CONN_BUSY:
		return 0;
	case CONN_PARTIAL:
		return CONN_PARTIAL_MS;
	case CONN_QUIET:
		return c->kind->quiet_ms != NULL
		    ? c->kind->quiet_ms(c->talk) : 0;
	case CONN_STALLED:
		return c->kind->stall_ms;
	case CONN_LINGERING:
		return CONN_LINGER_MS;
	}
	return 0;
}

static void
conn_set_phase(struct conn *c, enum conn_phase phase, const struct now *now)
{
	if (c->phase == phase)
		return;
	c->phase = phase;
	c->phase_boot_ms = now->boot_ms;
	if (conn_patience_ms(c) > 0)
		conns_watch(c->cs);
}

/*
 * The last answer was sent.  Who closes a socket with input that was not read
 * may take back what the peer has not read yet; so the end is told, and what
 * still comes is thrown away, until the peer has closed too.
 */
static void
conn_finish(struct conn *c, const struct now *now)
{
	if (!c->kind->lingers || c->eof || shutdown(c->fd, SHUT_WR) != 0) {
		conn_close(c);
		return;
	}
	secbuf_clear(&c->in);
	conn_count(c);
	conn_set_phase(c, CONN_LINGERING, now);
	conn_resume(c);
}

static bool
conn_may_read(const struct conn *c)
{
	return !c->failed && c->backlog == NULL &&
	    (c->kind->has_room(c->talk) || c->in.len < c->kind->ahead_bytes);
}

/* Is there more to do for this connection?  The last thing any event does. */
static void
conn_settle(struct conn *c, bool partial, const struct now *now)
{
	bool idle;

	if (c->dead || c->phase == CONN_LINGERING)
		return;
	conn_count(c);
	conn_bound(c);
	if (c->dead)
		return;
	idle = c->kind->is_idle(c->talk);
	if (c->kind->is_over(c->talk))
		c->failed = true;
	if (c->backlog == NULL && c->failed) {
		conn_finish(c, now);
		return;
	}
	if (c->backlog == NULL && c->eof && idle) {
		conn_close(c);
		return;
	}
	if (c->backlog != NULL)
		conn_set_phase(c, CONN_STALLED, now);
	else if (partial || c->kind->is_partial(c->talk))
		conn_set_phase(c, CONN_PARTIAL, now);
	else
		conn_set_phase(c, idle ? CONN_QUIET : CONN_BUSY, now);
	/* nothing tells any more when a peer that sends nothing has left */
	if (c->eof)
		conns_watch(c->cs);
	if (conn_may_read(c))
		conn_resume(c);
	else
		conn_pause(c);
}

/* Use what was kept, after what stood in its way is gone. */
static void
conn_go_on(struct conn *c)
{
	struct now now;
	size_t used;
	bool partial = false;

	clock_read(&now);
	conn_render(c);
	if (c->in.len > 0 && !c->dead && c->backlog == NULL) {
		used = conn_take(c, c->in.mem, c->in.len, &now, &partial);
		if (used == c->in.len)
			secbuf_clear(&c->in);
		else
			secbuf_consume(&c->in, used);
	}
	conn_settle(c, partial, &now);
}

static void
conn_input(struct conn *c, const uint8_t *p, size_t len)
{
	struct now now;
	size_t used;
	bool partial;

	clock_read(&now);
	if (c->in.len == 0) {
		used = conn_take(c, p, len, &now, &partial);
		if (used < len && !c->dead && !c->failed &&
		    secbuf_append(&c->in, p + used, len - used) != 0)
			conn_close(c);
		conn_settle(c, partial, &now);
		return;
	}
	if (secbuf_append(&c->in, p, len) != 0) {
		conn_close(c);
		return;
	}
	conn_go_on(c);
}

static uint64_t
conn_clock_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Has the peer closed, and not only shut down its sending direction? */
static bool
conn_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

static void
conns_turn_cb(void *arg)
{
	struct conns *cs = arg;

	cs->turning = false;
	cs->turns++;
}

/*
 * The loop serves all sockets that are ready before it looks again, and one
 * user may have thousands of them, each with a thousand references.  So who
 * has had its time waits for the next turn; its sockets stay ready.
 */
static bool
conn_has_turn(struct conn *c)
{
	struct conns *cs = c->cs;
	struct caller *caller = c->session.caller;

	if (caller->turn != cs->turns) {
		caller->turn = cs->turns;
		caller->spent_ns = 0;
	}
	if (caller->spent_ns < CONN_TURN_NS)
		return true;
	if (!cs->turning) {
		cs->turning = true;
		timer_set(cs->turn, 0);
	}
	return false;
}

static void
conn_receive(struct conn *c, int fd)
{
	uint8_t *input = secmem_writable(&c->cs->input);
	ssize_t n;

	n = recv(fd, input, CONN_INPUT, MSG_DONTWAIT);
	if (c->phase == CONN_LINGERING) {
		if (n > 0)
			wipe(input, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			conn_close(c);
	} else if (n > 0) {
		conn_input(c, input, (size_t)n);
		/* it may hold secrets: data to encrypt, a token */
		wipe(input, (size_t)n);
	} else if (n == 0 && conn_hung_up(fd)) {
		/* nobody is there to be answered: this cancels what waits */
		conn_close(c);
	} else if (n == 0) {
		c->eof = true;
		conn_pause(c);
		conn_go_on(c);
	} else if (errno != EAGAIN && errno != EINTR) {
		conn_close(c);
	}
}

static void
conn_read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	uint64_t begin;

	(void)what;
	if (!conn_has_turn(c)) {
		/* who has left gives its place back all the same */
		if (conn_hung_up(fd))
			conn_close(c);
		return;
	}
	begin = conn_clock_ns();
	conn_receive(c, fd);
	/* it may be closed now, but nothing is freed from here */
	c->session.caller->spent_ns += conn_clock_ns() - begin;
}

static void
conn_write_cb(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct now now;
	int r;

	(void)what;
	r = out_backlog_send(&c->backlog, fd);
	if (r == ERR_AGAIN) {
		clock_read(&now);
		c->phase_boot_ms = now.boot_ms; /* it reads */
		conn_wait_writable(c);
		return;
	}
	if (r != 0) {
		conn_close(c);
		return;
	}
	session_sent(&c->session);
	conn_go_on(c);
}

/* --- what happens besides --- */

/* An answer is ready: render it once the present stack is gone. */
static void
conn_wake(void *arg)
{
	struct conn *c = arg;

	if (c->woken || c->dead)
		return;
	c->woken = true;
	TAILQ_INSERT_TAIL(&c->cs->woken, c, woken_link);
	timer_set(c->cs->after, 0);
}

static void
conns_after_cb(void *arg)
{
	struct conns *cs = arg;
	struct conn *c;

	while ((c = TAILQ_FIRST(&cs->woken)) != NULL) {
		TAILQ_REMOVE(&cs->woken, c, woken_link);
		c->woken = false;
		if (c->backlog == NULL && c->phase != CONN_LINGERING)
			conn_go_on(c);
	}
	conns_free_dead(cs);
}

/*
 * What is half sent does not stay so for ever, and neither does who shut down
 * its sending direction, waits for what never ends, and left.
 */
static void
conns_sweep_cb(void *arg)
{
	struct conns *cs = arg;
	struct conn *c, *next;
	struct now now;
	uint64_t patience_ms;

	clock_read(&now);
	cs->sweeping = false;
	for (c = TAILQ_FIRST(&cs->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		patience_ms = conn_patience_ms(c);
		if ((c->eof && conn_hung_up(c->fd)) || (patience_ms > 0 &&
		    now.boot_ms - c->phase_boot_ms >= patience_ms))
			conn_close(c);
		else if (c->eof || patience_ms > 0)
			conns_watch(cs);
	}
}

/* Tell a peer that there is no room, as far as its socket takes it. */
static void
conns_turn_away(struct conns *cs, const struct conn_kind *kind, int fd)
{
	struct session s;
	struct out_backlog *rest = NULL;

	session_init(&s, cs->env, NULL, NULL, NULL);
	kind->turn_away(&s, cs->out);
	if (out_flush(cs->out, fd, &rest) == ERR_AGAIN)
		out_backlog_free(rest);
	(void)close(fd);
}

/*
 * The last eighth of the connections is for users that have few: one that
 * took all the others leaves a door to the rest.  The two that may do
 * everything may do that too.
 */
static bool
conns_user_has_enough(const struct conns *cs, uid_t uid)
{
	return cs->max >= CONN_SHARED_MIN && uid != 0 && uid != geteuid() &&
	    cs->count >= cs->max - cs->max / 8 &&
	    callers_connections(&cs->callers, uid) >= cs->max / 16;
}

static struct peer *
conns_peer(struct conns *cs, const struct conn_door *door, int fd)
{
	struct peer *peer;

	if (door->peer != NULL)
		return door->peer();
	peer = cs->quick_peers ? peer_new_quick(fd) : peer_new(fd);
	if (peer != NULL && peer_asks_socket(peer))
		cs->quick_peers = true;
	return peer;
}

/* fd and peer are the connection's; NULL for no memory, and they are not. */
static struct conn *
conn_new(const struct conn_door *door, int fd, struct peer *peer)
{
	struct conns *cs = door->conns;
	struct caller *caller = caller_enter(&cs->callers, peer_uid(peer));
	struct conn *c;

	c = caller != NULL ? calloc(1, sizeof(*c) + door->kind->talk_bytes)
	    : NULL;
	if (c == NULL) {
		caller_leave(&cs->callers, caller);
		return NULL;
	}
	c->cs = cs;
	c->kind = door->kind;
	c->fd = fd;
	secbuf_init(&c->in, CONN_INPUT_MAX);
	session_init(&c->session, cs->env, peer, conn_wake, c);
	c->session.caller = caller;
	c->kind->init(c->talk, &c->session, door->arg, fd);
	TAILQ_INSERT_TAIL(&cs->all, c, link);
	cs->count++;
	cs->env->metrics->connections++;
	cs->env->metrics->clients = cs->count;
	return c;
}

void
conn_door_accept(void *arg, int fd)
{
	const struct conn_door *door = arg;
	struct conns *cs = door->conns;
	struct peer *peer;
	struct conn *c;
	struct now now;

	if (cs->count >= cs->max) {
		conns_turn_away(cs, door->kind, fd);
		return;
	}
	peer = conns_peer(cs, door, fd);
	if (peer != NULL && conns_user_has_enough(cs, peer_uid(peer))) {
		peer_free(peer);
		conns_turn_away(cs, door->kind, fd);
		return;
	}
	c = peer != NULL ? conn_new(door, fd, peer) : NULL;
	if (c == NULL) {
		peer_free(peer);
		(void)close(fd);
		return;
	}
	c->ev_read = event_new(cs->base, fd, EV_READ | EV_PERSIST,
	    conn_read_cb, c);
	if (c->ev_read == NULL) {
		conn_close(c);
		return;
	}
	if (c->kind->quiet_ms != NULL) {
		clock_read(&now);
		conn_set_phase(c, CONN_QUIET, &now);
	}
	conn_resume(c);
}

void
conns_accept(void *arg, int fd)
{
	struct conn_door door = { .conns = arg, .kind = &conn_frames };

	conn_door_accept(&door, fd);
}
