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
#include "err.h"
#include "flood.h"
#include "harden.h"
#include "log.h"
#include "msg.h"
#include "peer.h"
#include "secmem.h"
#include "timers.h"
#include "wipe.h"

#define CONN_INPUT (64u * 1024)	/* read at once */
/* What a connection keeps of it: a frame, and what came behind it. */
#define CONN_INPUT_MAX (FRAME_REQUEST_MAX + FRAME_HEADER_LEN + CONN_INPUT)
#define CONN_PARTIAL_MS 30000	/* PROTOCOL.md, section 2 */
#define CONN_SWEEP_MS 5000
/*
 * Of one user, before others are served.  Longer than the connections that are
 * accepted in a turn need, or they would pile up.
 */
#define CONN_TURN_NS 4000000
#define CONN_SHARED_MIN 64	/* fewer are not shared out */

struct conn {
	TAILQ_ENTRY(conn) link;
	struct conns *cs;
	int fd;
	bool reading;		/* the read event is added */
	bool eof;		/* the peer sends no more */
	bool failed;		/* to be closed once what is owed is sent */
	bool dead;		/* on the list of those to free */
	bool woken;		/* on the list of those to render */
	TAILQ_ENTRY(conn) woken_link;
	uint64_t partial_boot_ms; /* since a frame is incomplete; 0: none is */
	struct event *ev_read;
	struct event *ev_write;	/* made when first needed */
	struct secbuf in;	/* input that could not be used yet */
	struct out_backlog *backlog;
	size_t counted;		/* of the two, in the caller's bytes */
	struct session session;
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
	    secmem_class_size(CONN_INPUT_MAX));
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
	if (r == ERR_AGAIN)
		conn_wait_writable(c);
	else if (r != 0)
		conn_close(c);
}

/* Render and send until nothing is ready or the socket takes no more. */
static void
conn_render(struct conn *c)
{
	bool more = true;

	while (more && !c->dead && c->backlog == NULL) {
		more = session_render(&c->session, c->cs->out);
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

static const char *
conn_fault(int error)
{
	return error == ERR_TOO_LARGE ? "the frame is longer than allowed"
	    : error == ERR_UNSUPPORTED
	    ? "this agent speaks version 1 of the protocol"
	    : "the frame is malformed";
}

/* A frame that ends the connection, or one to skip. */
static void
conn_refuse(struct conn *c, const struct frame *frame, int error)
{
	if (error == ERR_UNSUPPORTED && frame->total > 0) {
		session_refuse(&c->session, frame->id, error,
		    "a flag that this agent does not know", c->cs->out);
		return;
	}
	session_refuse(&c->session, frame->id, error, conn_fault(error),
	    c->cs->out);
	c->failed = true;
	conn_tell_closed(c, conn_fault(error));
}

/*
 * Take frames off p[0..len) while answers can go out.  Returns how many bytes
 * were used; what is left is an incomplete frame, or waits for the peer to
 * read.
 */
static size_t
conn_take(struct conn *c, const uint8_t *p, size_t len, const struct now *now,
    bool *ret_partial)
{
	struct frame frame;
	size_t used = 0;
	int r;

	*ret_partial = false;
	while (!c->dead && !c->failed && c->backlog == NULL &&
	    session_has_room(&c->session) && used < len) {
		memset(&frame, 0, sizeof(frame));
		r = frame_cut(p + used, len - used, FRAME_REQUEST_MAX, &frame);
		if (r == ERR_AGAIN) {
			*ret_partial = true;
			break;
		}
		if (r != 0) {
			conn_refuse(c, &frame, r);
		} else if (session_handle(&c->session, &frame, now,
		    c->cs->out) != 0) {
			c->failed = true;
		}
		used += frame.total;
		if (!TAILQ_EMPTY(&c->session.ready) ||
		    !out_has_room(c->cs->out, CONN_INPUT)) {
			conn_flush(c);
			conn_render(c);
		}
	}
	/* what is in part now began after that which was just completed */
	if (used > 0)
		c->partial_boot_ms = 0;
	conn_flush(c);
	return used;
}

static void
conns_watch_partial(struct conns *cs)
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

	caller_hold(&c->cs->callers, c->session.caller, c->counted, bytes);
	c->counted = bytes;
}

/* No answer says so, as there may be one half sent. */
static void
conn_take_back(struct conn *c)
{
	conn_tell_closed(c, "its user's frames that came in part and answers "
	    "that are not read take too much memory");
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

/* Is there more to do for this connection?  The last thing any event does. */
static void
conn_settle(struct conn *c, bool partial, const struct now *now)
{
	if (c->dead)
		return;
	conn_count(c);
	conn_bound(c);
	if (c->dead)
		return;
	if ((c->failed || (c->eof && session_is_idle(&c->session))) &&
	    c->backlog == NULL) {
		conn_close(c);
		return;
	}
	if (!partial)
		c->partial_boot_ms = 0;
	else if (c->partial_boot_ms == 0)
		c->partial_boot_ms = now->boot_ms;
	/* nothing tells any more when a peer that sends nothing has left */
	if (partial || c->eof)
		conns_watch_partial(c->cs);
	if (c->failed || c->backlog != NULL || !session_has_room(&c->session))
		conn_pause(c);
	else
		conn_resume(c);
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
	if (n > 0) {
		conn_input(c, input, (size_t)n);
		/* requests hold no secrets yet, but they will: data to encrypt */
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
	int r;

	(void)what;
	r = out_backlog_send(&c->backlog, fd);
	if (r == ERR_AGAIN) {
		conn_wait_writable(c);
		return;
	}
	if (r != 0) {
		conn_close(c);
		return;
	}
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
		if (c->backlog == NULL)
			conn_go_on(c);
	}
	conns_free_dead(cs);
}

/*
 * Frames that are half sent do not stay so for ever, and neither does who shut
 * down its sending direction, waits for what never ends, and left.
 */
static void
conns_sweep_cb(void *arg)
{
	struct conns *cs = arg;
	struct conn *c, *next;
	struct now now;

	clock_read(&now);
	cs->sweeping = false;
	for (c = TAILQ_FIRST(&cs->all); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->eof && conn_hung_up(c->fd)) {
			conn_close(c);
			continue;
		}
		if (c->eof)
			conns_watch_partial(cs);
		if (c->partial_boot_ms == 0)
			continue;
		if (now.boot_ms - c->partial_boot_ms >= CONN_PARTIAL_MS)
			conn_close(c);
		else
			conns_watch_partial(cs);
	}
}

/* Tell a peer that there is no room, as far as its socket takes it. */
static void
conns_turn_away(struct conns *cs, int fd)
{
	struct session s;
	struct out_backlog *rest = NULL;

	session_init(&s, cs->env, NULL, NULL, NULL);
	session_refuse(&s, 0, ERR_BUSY,
	    "no connection is left for you (max-connections); try again",
	    cs->out);
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

void
conns_accept(void *arg, int fd)
{
	struct conns *cs = arg;
	struct caller *caller;
	struct peer *peer;
	struct conn *c;

	if (cs->count >= cs->max) {
		conns_turn_away(cs, fd);
		return;
	}
	peer = cs->quick_peers ? peer_new_quick(fd) : peer_new(fd);
	if (peer != NULL && peer_asks_socket(peer))
		cs->quick_peers = true;
	if (peer != NULL && conns_user_has_enough(cs, peer_uid(peer))) {
		peer_free(peer);
		conns_turn_away(cs, fd);
		return;
	}
	caller = peer != NULL ? caller_enter(&cs->callers, peer_uid(peer))
	    : NULL;
	c = caller != NULL ? calloc(1, sizeof(*c)) : NULL;
	if (c == NULL) {
		caller_leave(&cs->callers, caller);
		peer_free(peer);
		(void)close(fd);
		return;
	}
	c->cs = cs;
	c->fd = fd;
	secbuf_init(&c->in, CONN_INPUT_MAX);
	session_init(&c->session, cs->env, peer, conn_wake, c);
	c->session.caller = caller;
	TAILQ_INSERT_TAIL(&cs->all, c, link);
	cs->count++;
	cs->env->metrics->connections++;
	cs->env->metrics->clients = cs->count;
	c->ev_read = event_new(cs->base, fd, EV_READ | EV_PERSIST,
	    conn_read_cb, c);
	if (c->ev_read == NULL) {
		conn_close(c);
		return;
	}
	conn_resume(c);
}
