/*
 * One client's conversation, without its socket: frames in, answers out, and
 * the requests that wait meanwhile.
 *
 * Answers go to the shared struct out while the session is asked to handle
 * a frame or to render; what gets ready at another time is kept (a few bytes
 * and a reference each) and the owner is woken to ask for it.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/queue.h>

#include "caller.h"
#include "clock.h"
#include "fetch.h"
#include "frame.h"
#include "hash.h"
#include "metrics.h"
#include "out.h"
#include "policy.h"

struct audit;
struct drill;
struct event_base;
struct flood;
struct limit;
struct peer;
struct rejects;
struct request;
struct settings;
struct state;
struct subscription;
struct userinfo;
struct watch;

/* What all sessions share; owned by struct agent, replaced in place. */
struct session_env {
	struct event_base *base;	/* for deadlines */
	struct fetch *fetch;
	const struct settings *settings;
	const struct state *state;	/* NULL: nothing is kept */
	unsigned int policy_generation;	/* another after each reload */
	struct audit *audit;
	struct limit *limit;
	struct flood *flood;	/* NULL: no bound on lines of the log */
	struct metrics *metrics;
	struct hash_key audit_key; /* for struct session's told */
	const struct secmem *position_key; /* as position_key() makes it */
	struct watch *watch;
	struct rejects *rejects;
	struct userinfo *users;
	struct drill *drill;	/* NULL: nothing is recorded */
	struct ref ref;		/* scratch: too large for many a stack frame */
};

/* Answered later: one reference of a GET, or a whole LIST. */
struct session_item {
	TAILQ_ENTRY(session_item) ready_link;
	struct request *request;
	uint16_t index;
	bool is_ready;
	bool may_tell;		/* an error may be told whoever asks: it says
				 * nothing about what exists */
	bool wants_position;	/* GET */
	enum msg_freshness freshness;
	int error;
	uint64_t age_ms;
	struct fetch_wait *wait; /* NULL once ready */
	struct object *object;
	struct listing *listing;
	char *message;		/* NULL: err_text() */
	struct view ref;	/* its text, within the request */
	struct subscription *subscription; /* WATCH: owned by subscribe */
};

TAILQ_HEAD(session_ready, session_item);
TAILQ_HEAD(session_requests, request);

#define SESSION_TOLD 4

struct session {
	struct session_env *env;
	struct peer *peer;	/* owned */
	struct caller *caller;	/* the owner's, or NULL: nothing is counted */
	void (*wake)(void *arg); /* something is ready; never from within */
	void *arg;
	bool hello_sent;
	bool may_read_all;	/* every secret and key, by policy_seen */
	unsigned int policy_seen;	/* generation; 0: none yet */
	uint64_t told[SESSION_TOLD]; /* references recorded in the journal */
	unsigned int told_next;
	size_t waiting;		/* items without an answer */
	size_t watches;		/* references subscribed to */
	size_t streams;		/* begun or open */
	size_t unsent_bytes;	/* caller_keep()'s, of answers in out or in the
				 * backlog */
	struct session_requests requests;
	struct session_ready ready;
};

/* More than this many unanswered references, and no more input is taken. */
#define SESSION_WAITING_MAX 1024
/* Streams that one connection may have. */
#define SESSION_STREAMS_MAX 16
/* Room that out has to have for session_handle(): the largest of the answers
 * that are given at once, a chunk that was sealed. */
#define SESSION_ANSWER_MAX (66u * 1024)
/* References that one connection may watch. */
#define SESSION_WATCHES_MAX 4096

void session_init(struct session *s, struct session_env *env,
    struct peer *peer, void (*wake)(void *arg), void *arg);
/* Cancels what waits; frees the peer. */
void session_done(struct session *s);

/*
 * Act on one frame.  out has room for SESSION_ANSWER_MAX bytes; what does not
 * fit is kept ready.  Returns 0, or an error that ends the connection: an ERROR
 * frame that says why is then in out.
 */
int session_handle(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

/* Answer a frame that could not even be cut. */
void session_refuse(struct session *s, uint64_t id, int error,
    const char *message, struct out *out);

/* An ERROR frame, for a request that fails as a whole. */
void session_error(struct out *out, uint64_t id, int error,
    const char *message);

/*
 * An answer of so many bytes, which the caller's account has, was put into out:
 * they stay there until session_sent(), so that who does not read is counted.
 */
void session_put(struct session *s, size_t bytes);
/* All that was in out, and in the backlog, has been sent. */
void session_sent(struct session *s);

/* Put ready answers into out as far as they fit.  True if some are left. */
bool session_render(struct session *s, struct out *out);

/* May more input be taken? */
bool session_has_room(const struct session *s);
/* count more references wait for the service, or (negative) no longer do. */
void session_count_waiting(struct session *s, int count);
/* Do so many of this user wait that others' go first? */
bool session_is_patient(const struct session *s);
/* The same of requests that are handed on: few are many, as they may be slow. */
bool session_has_several(const struct session *s);
/* Do so many of this user wait that no more may? */
bool session_waits_too_much(const struct session *s);

/* Is nothing owed to the client? */
bool session_is_idle(const struct session *s);

#endif /* AGENT_SESSION_H */
