#include "config.h"

#include "curl_loop.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/time.h>

#include <event2/event.h>

#include "err.h"

/* A socket that curl wants watched. */
struct watched {
	TAILQ_ENTRY(watched) next;
	struct curl_loop *loop;
	struct event *event;	/* NULL: there was no memory for it */
};

struct curl_loop {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	TAILQ_HEAD(, watched) watched;
	curl_loop_done_cb *done;
	curl_loop_after_cb *after;
	void *arg;
	bool draining;
};

/*
 * Hand over what has finished.  The one place where that is done, outside of
 * all callbacks of curl's, so done() may add and remove transfers.
 */
static void
drain(struct curl_loop *loop)
{
	CURLcode result;
	CURLMsg *msg;
	CURL *easy;
	int left;

	loop->draining = true;
	while ((msg = curl_multi_info_read(loop->multi, &left)) != NULL) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		easy = msg->easy_handle; /* msg dies with the removal */
		result = msg->data.result;
		(void)curl_multi_remove_handle(loop->multi, easy);
		loop->done(loop->arg, easy, result);
	}
	loop->draining = false;
}

static void
act(struct curl_loop *loop, curl_socket_t fd, int what)
{
	int running;

	(void)curl_multi_socket_action(loop->multi, fd, what, &running);
	drain(loop);
	if (loop->after != NULL)
		loop->after(loop->arg);
}

static void
socket_ready_cb(evutil_socket_t fd, short events, void *arg)
{
	struct watched *w = arg;
	int what = 0;

	if (events & EV_READ)
		what |= CURL_CSELECT_IN;
	if (events & EV_WRITE)
		what |= CURL_CSELECT_OUT;
	act(w->loop, fd, what); /* w may be gone */
}

static void
timer_cb(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void
watched_free(struct watched *w)
{
	TAILQ_REMOVE(&w->loop->watched, w, next);
	if (w->event != NULL)
		event_free(w->event);
	free(w);
}

static struct watched *
watched_new(struct curl_loop *loop)
{
	struct watched *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return NULL;
	w->loop = loop;
	TAILQ_INSERT_TAIL(&loop->watched, w, next);
	return w;
}

static void
watch_for(struct watched *w, curl_socket_t fd, int what)
{
	short events = EV_PERSIST;

	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	if (w->event != NULL)
		event_free(w->event);
	w->event = event_new(w->loop->base, fd, events, socket_ready_cb, w);
	if (w->event != NULL && event_add(w->event, NULL) != 0) {
		event_free(w->event);
		w->event = NULL;
	}
}

/*
 * curl says which events of a socket it waits for.  Failures are not told to
 * it: it would give up all transfers for good.  One whose socket could not be
 * watched runs into its time limit instead.
 */
static int
socket_cb(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct curl_loop *loop = arg;
	struct watched *w = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			watched_free(w);
		return 0;
	}
	if (w == NULL) {
		if ((w = watched_new(loop)) == NULL)
			return 0;
		if (curl_multi_assign(loop->multi, fd, w) != CURLM_OK) {
			watched_free(w);
			return 0;
		}
	}
	watch_for(w, fd, what);
	return 0;
}

/* curl wants to be called in ms; not from here, which is within a call. */
static int
set_timer_cb(CURLM *multi, long ms, void *arg)
{
	struct curl_loop *loop = arg;
	struct timeval tv;

	(void)multi;
	if (ms < 0) {
		(void)event_del(loop->timer);
		return 0;
	}
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (ms % 1000) * 1000;
	if (event_add(loop->timer, &tv) != 0) {
		/* No memory: rather too early than never. */
		event_active(loop->timer, EV_TIMEOUT, 0);
	}
	return 0;
}

static bool
configure(struct curl_loop *loop, unsigned int max_connections)
{
	CURLM *m = loop->multi;
	long max = (long)max_connections;

	return curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, socket_cb) == 0 &&
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, loop) == 0 &&
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_timer_cb) == 0 &&
	    curl_multi_setopt(m, CURLMOPT_TIMERDATA, loop) == 0 &&
	    curl_multi_setopt(m, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == 0 &&
	    curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS, max) == 0 &&
	    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, max) == 0;
}

struct curl_loop *
curl_loop_new(struct event_base *base, unsigned int max_connections,
    curl_loop_done_cb *done, curl_loop_after_cb *after, void *arg)
{
	struct curl_loop *loop;

	if ((loop = calloc(1, sizeof(*loop))) == NULL)
		return NULL;
	TAILQ_INIT(&loop->watched);
	loop->base = base;
	loop->done = done;
	loop->after = after;
	loop->arg = arg;
	loop->timer = evtimer_new(base, timer_cb, loop);
	loop->multi = curl_multi_init();
	if (loop->timer == NULL || loop->multi == NULL ||
	    !configure(loop, max_connections)) {
		curl_loop_free(loop);
		return NULL;
	}
	return loop;
}

void
curl_loop_free(struct curl_loop *loop)
{
	if (loop == NULL)
		return;
	assert(!loop->draining);
	/* Closes the idle connections, which calls socket_cb(). */
	if (loop->multi != NULL)
		(void)curl_multi_cleanup(loop->multi);
	while (!TAILQ_EMPTY(&loop->watched))
		watched_free(TAILQ_FIRST(&loop->watched));
	if (loop->timer != NULL)
		event_free(loop->timer);
	free(loop);
}

int
curl_loop_add(struct curl_loop *loop, CURL *easy)
{
	/* Sets the timer; the transfer moves first when that fires. */
	if (curl_multi_add_handle(loop->multi, easy) != CURLM_OK)
		return ERR_NOMEM;
	return 0;
}

void
curl_loop_remove(struct curl_loop *loop, CURL *easy)
{
	(void)curl_multi_remove_handle(loop->multi, easy);
}
