/*
 * libqapi-agent: read secrets and public keys from the local qapi-agent, and
 * use the keys and the whole service through it.
 *
 * A handle is one connection to the agent.  It is made when it is first
 * needed and made anew if the agent was restarted; a request that met a
 * closed connection is sent once more, unless it might then be done twice
 * (qapi_agent_call()).  Calls block, for at most the timeout of the handle;
 * for event loops there are requests, which do not.
 *
 * A handle and what was made with it may be used from any thread, but from
 * one at a time; different handles are independent.  A handle must not be
 * used on both sides of a fork(2).  The library keeps no global state, raises
 * no SIGPIPE, prints nothing, and wipes what held a value before freeing it.
 *
 * Functions that can fail return 0 or a negative QAPI_AGENT_ERR_*; what they
 * hand out through a last argument ret is set only on success.  A free function
 * takes the address of the caller's pointer and clears it; a pointer to NULL is
 * fine.  Unless said otherwise text is UTF-8 and ends in NUL, times are in
 * milliseconds, and everything here is there since version 0.1.
 */
#ifndef QAPI_AGENT_H
#define QAPI_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QAPI_AGENT_TIMEOUT_DEFAULT_MS 10000
#define QAPI_AGENT_NO_TIME INT64_MIN	/* the service gave no such time */
#define QAPI_AGENT_NEVER UINT64_MAX	/* of a time that will not come */
#define QAPI_AGENT_POSITION_LEN 16	/* bytes of a position */

/* Never renumbered.  Those above -100 are the agent's (PROTOCOL.md, 5). */
enum qapi_agent_error {
	QAPI_AGENT_OK = 0,
	QAPI_AGENT_ERR_BAD_REQUEST = -1, /* malformed reference or argument */
	QAPI_AGENT_ERR_NOT_FOUND = -2,	/* no such thing, or field of it */
	QAPI_AGENT_ERR_AMBIGUOUS = -3,	/* several things have this name */
	QAPI_AGENT_ERR_DENIED = -4,	/* policy or service forbid it */
	QAPI_AGENT_ERR_EXPIRED = -5,	/* past its expiry, no newer value */
	QAPI_AGENT_ERR_UNAUTHORIZED = -6, /* the agent's API key is refused */
	QAPI_AGENT_ERR_INSUFFICIENT_SCOPE = -7,	/* that key lacks a scope */
	QAPI_AGENT_ERR_RATE_LIMITED = -8, /* asked too often */
	QAPI_AGENT_ERR_UPSTREAM_UNAVAILABLE = -9, /* nothing usable cached */
	QAPI_AGENT_ERR_UPSTREAM_ERROR = -10, /* a wrong answer of the service */
	QAPI_AGENT_ERR_TOO_LARGE = -11,	/* over a limit */
	QAPI_AGENT_ERR_BUSY = -12,	/* the agent has no room */
	QAPI_AGENT_ERR_TIMEOUT = -13,	/* no answer in time */
	QAPI_AGENT_ERR_UNSUPPORTED = -14, /* agent and library do not match */
	QAPI_AGENT_ERR_INTERNAL = -15,	/* a fault of the agent */

	QAPI_AGENT_ERR_NOMEM = -100,	/* out of memory here */
	QAPI_AGENT_ERR_CLOSED = -102,	/* the agent hung up */
	QAPI_AGENT_ERR_UNREACHABLE = -103, /* no agent at the socket */
};

enum qapi_agent_freshness {
	QAPI_AGENT_FRESHNESS_NONE = 0,	/* not said; of a listing: not cached */
	QAPI_AGENT_FRESH = 1,
	QAPI_AGENT_STALE = 2,		/* a refresh is overdue and failed */
	QAPI_AGENT_EXPIRED = 3,		/* only where the agent allows that */
};

enum qapi_agent_content {
	QAPI_AGENT_CONTENT_NONE = 0,	/* no value */
	QAPI_AGENT_CONTENT_TEXT = 1,
	QAPI_AGENT_CONTENT_JSON = 2,	/* a JSON document */
	QAPI_AGENT_CONTENT_BYTES = 3,
};

enum qapi_agent_kind {
	QAPI_AGENT_KIND_ANY = 0,
	QAPI_AGENT_KIND_SECRET = 1,
	QAPI_AGENT_KIND_KEY = 2,
};

enum qapi_agent_stat_type {
	QAPI_AGENT_STAT_NULL = 0,	/* the agent does not know */
	QAPI_AGENT_STAT_UINT = 1,
	QAPI_AGENT_STAT_TEXT = 2,
};

/* What happened to a value that is watched. */
enum qapi_agent_reason {
	QAPI_AGENT_REASON_CHANGED = 1,	/* there is a new value: get it */
	QAPI_AGENT_REASON_EXPIRING = 2,	/* soon, and there is no newer one */
	QAPI_AGENT_REASON_EXPIRED = 3,
	QAPI_AGENT_REASON_GONE = 4,	/* the service has it no more */
	QAPI_AGENT_REASON_STALE = 5,	/* a due refresh has failed */
	QAPI_AGENT_REASON_FRESH_AGAIN = 6, /* then the service confirmed it */

	QAPI_AGENT_REASON_ENDED = 256,	/* not watched any more, see its error */
};

/* What a cached value stops being usable by. */
enum qapi_agent_limit {
	QAPI_AGENT_LIMIT_NONE = 0,	/* not said */
	QAPI_AGENT_LIMIT_MAX_STALE = 1,
	QAPI_AGENT_LIMIT_EXPIRES = 2,
};

/* Who has verified a signature. */
enum qapi_agent_by {
	QAPI_AGENT_BY_AGENT = 1,	/* with the public key that it holds */
	QAPI_AGENT_BY_SERVICE = 2,
};

struct qapi_agent;		/* a handle */
struct qapi_agent_terms;	/* what a caller accepts */
struct qapi_agent_item;		/* one value, or what is known of it */
struct qapi_agent_items;	/* several, by index */
struct qapi_agent_stats;	/* figures of the agent */
struct qapi_agent_watch;	/* a subscription to what happens to values */
struct qapi_agent_explanation;	/* who may read it, and where it stands */
struct qapi_agent_drill;	/* an outage that is only played */
struct qapi_agent_reply;	/* an answer of the service */
struct qapi_agent_stream;	/* bytes on their way into an envelope, or out */
struct qapi_agent_request;	/* what is under way, or done, without blocking */

/* --- handle -------------------------------------------------------------- */

/*
 * Make a handle.  Does not connect.
 * Returns NULL if there is no memory; free with qapi_agent_free().
 */
struct qapi_agent *qapi_agent_new(void);

/* Close the connection, wipe and free.  Items and stats live on. */
void qapi_agent_free(struct qapi_agent **agent);

/*
 * Use the agent at this socket; a connection to another one is closed.  path
 * is copied.  NULL, as after qapi_agent_new(): $QAPI_AGENT_SOCK, else
 * /run/qapi-agent/agent.sock for root, else
 * $XDG_RUNTIME_DIR/qapi-agent/agent.sock and, where no agent answers there,
 * /run/qapi-agent/agent.sock.  Set-user-ID programs ignore the environment.
 * Returns 0, BAD_REQUEST for a path that is empty or longer than 107 bytes,
 * or NOMEM.
 */
int qapi_agent_set_socket(struct qapi_agent *agent, const char *path);

/*
 * The most that one call waits, connecting included, in milliseconds; 0: for
 * ever.  The agent is told, and given 250 ms more to say why it failed.
 */
void qapi_agent_set_timeout_ms(struct qapi_agent *agent, uint64_t timeout_ms);

/*
 * Name the calling program for the agent's log, as "backup 2.1": at most 128
 * bytes of text.  Takes effect on the next connection; copied.
 * Returns 0, BAD_REQUEST or NOMEM.
 */
int qapi_agent_set_program(struct qapi_agent *agent, const char *program);

/*
 * The socket that the last call used, or tried; before the first call the one
 * that it would try first.  Never NULL; valid until the next call.
 */
const char *qapi_agent_socket(struct qapi_agent *agent);

/*
 * A sentence about what failed in the last call, and what to do about it; ""
 * if nothing did.  It never holds a value, but may hold names, so make it
 * printable before it reaches a terminal.  Valid until the next call.
 */
const char *qapi_agent_message(const struct qapi_agent *agent);

/*
 * Program and version of the agent, as "qapi-agentd 0.1.0", and the highest
 * version of the protocol that it speaks.  "" and 0 before the first answer.
 * Valid until the next call.
 */
const char *qapi_agent_build(const struct qapi_agent *agent);
unsigned int qapi_agent_protocol(const struct qapi_agent *agent);

/* Version of this library, as "0.1.0". */
const char *qapi_agent_version(void);

/* Stable name, as "not-found"; "unknown" for a number that is none. */
const char *qapi_agent_error_name(int error);

/* A short sentence, as "the value has expired". */
const char *qapi_agent_error_text(int error);

/* "fresh", "stale", "expired", or "" for anything else. */
const char *qapi_agent_freshness_name(enum qapi_agent_freshness freshness);

/* --- terms --------------------------------------------------------------- */

/*
 * What the caller accepts, where the agent's own rules are not enough.  Make
 * one with new (NULL: no memory), set what matters, hand it to any number of
 * calls.  Times in milliseconds.  A call without terms (NULL) leaves
 * everything to the agent.
 */
struct qapi_agent_terms *qapi_agent_terms_new(void);
void qapi_agent_terms_free(struct qapi_agent_terms **terms);

/* Ask the service first if the cached value is older than this. */
void qapi_agent_terms_set_max_age_ms(struct qapi_agent_terms *terms,
    uint64_t max_age_ms);

/* Take a stale value only if it was confirmed this recently; 0: never. */
void qapi_agent_terms_set_max_stale_ms(struct qapi_agent_terms *terms,
    uint64_t max_stale_ms);

/* Take what the agent holds and never wait for the service. */
void qapi_agent_terms_set_only_if_cached(struct qapi_agent_terms *terms,
    bool on);

/* Have the service confirm the value now, and never fall back. */
void qapi_agent_terms_set_fresh(struct qapi_agent_terms *terms, bool on);

/* Have the items say their positions, for qapi_agent_watch(). */
void qapi_agent_terms_set_want_position(struct qapi_agent_terms *terms,
    bool on);

/* --- values -------------------------------------------------------------- */

/*
 * Read one value.  ref: a reference as in qapi-agent(1); terms may be NULL.
 * ret: new, free with qapi_agent_item_free(), which wipes it.
 * Returns 0 or any QAPI_AGENT_ERR_*; qapi_agent_message() says more.
 * Blocks for at most the timeout.
 */
int qapi_agent_get(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_terms *terms, struct qapi_agent_item **ret);

/*
 * Read several values in one round trip (one for every 256, sent together).
 * They come back in the order of refs, each with its value or with an error of
 * its own (qapi_agent_item_error()): one that fails fails alone, and those
 * that were not answered in time have TIMEOUT.  refs: count pointers, not
 * kept.  ret: free with qapi_agent_items_free(), which wipes all.
 * Returns 0 if the agent was asked; else nothing was read: UNREACHABLE,
 * TIMEOUT, NOMEM, or BAD_REQUEST if count is 0 or refs holds NULL.
 * Blocks for at most the timeout.
 */
int qapi_agent_get_many(struct qapi_agent *agent, const char *const *refs,
    size_t count, const struct qapi_agent_terms *terms,
    struct qapi_agent_items **ret);

/*
 * What the caller may see: kind, id, name and, where known, version and times;
 * freshness and age of those whose value is cached.  Never values.
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_list(struct qapi_agent *agent, enum qapi_agent_kind kind,
    const struct qapi_agent_terms *terms, struct qapi_agent_items **ret);

/*
 * Have the service asked now for each reference (refresh), or drop and wipe
 * what is cached (invalidate; the next read asks the service).  As with
 * qapi_agent_get_many(), each has an error of its own; items have no values.
 */
int qapi_agent_refresh(struct qapi_agent *agent, const char *const *refs,
    size_t count, struct qapi_agent_items **ret);
int qapi_agent_invalidate(struct qapi_agent *agent, const char *const *refs,
    size_t count, struct qapi_agent_items **ret);

/*
 * The same for all that is cached.  Either pointer may be NULL: how many were
 * done, how many failed.
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_refresh_all(struct qapi_agent *agent, uint64_t *ret_count,
    uint64_t *ret_failed);
int qapi_agent_invalidate_all(struct qapi_agent *agent, uint64_t *ret_count,
    uint64_t *ret_failed);

/* Is it there and does it answer?  Returns 0 or any QAPI_AGENT_ERR_*. */
int qapi_agent_ping(struct qapi_agent *agent);

/* Figures of the agent; free with qapi_agent_stats_free(). */
int qapi_agent_status(struct qapi_agent *agent, struct qapi_agent_stats **ret);

/*
 * Tell the agent that a value was refused by whom it was meant for: it asks
 * the service whether there is a newer one, once for all who do so together,
 * and not again for a while.  refused: the item that was read, if any, else
 * NULL: then the value that the agent holds is meant.
 * ret: what is held now, without value; qapi_agent_item_changed() says whether
 * it is another one.  May be NULL.  Free with qapi_agent_item_free().
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_reject(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_item *refused, struct qapi_agent_item **ret);

/*
 * The agent's figures as OpenMetrics text, and with names also those of
 * single references, labelled with their names.  ret_text: ends in NUL, which
 * ret_len (may be NULL) does not count; free with qapi_agent_text_free().
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_metrics(struct qapi_agent *agent, bool names, char **ret_text,
    size_t *ret_len);
void qapi_agent_text_free(char **text);

/* --- the service and its keys --------------------------------------------- */

/*
 * Ask the service anything; the agent adds its API key.  method: as "POST".
 * target: the path below /api/v1, and what follows a "?"; "{id}" in the path
 * stands for the id of ref, a reference to a secret or key, which may be NULL.
 * terms, NULL or not, are for what the agent's cache can answer.  body: NULL
 * for none; content_type: that of the body, NULL for application/json.
 * ret: the answer, whatever its status; free with qapi_agent_reply_free(),
 * which wipes it.
 *
 * A GET or HEAD is sent once more if the connection to the agent breaks.
 * Anything else is not if it might have been seen: then this returns CLOSED
 * and nobody knows whether the service did it.
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_call(struct qapi_agent *agent, const char *method,
    const char *target, const char *ref, const struct qapi_agent_terms *terms,
    const char *content_type, const void *body, size_t body_len,
    struct qapi_agent_reply **ret);

void qapi_agent_reply_free(struct qapi_agent_reply **reply);

/* What is returned by pointer lives as long as the reply. */

/* Of HTTP, as 200. */
unsigned int qapi_agent_reply_status(const struct qapi_agent_reply *reply);

/* NULL if the service gave none. */
const char *qapi_agent_reply_content_type(
    const struct qapi_agent_reply *reply);

/*
 * The bytes, as they came.  One more NUL, which *ret_len (may be NULL) does
 * not count, follows them.  Never NULL.
 */
const void *qapi_agent_reply_body(const struct qapi_agent_reply *reply,
    size_t *ret_len);

/* QAPI_AGENT_FRESHNESS_NONE: not from the cache.  Else its age, too. */
enum qapi_agent_freshness qapi_agent_reply_freshness(
    const struct qapi_agent_reply *reply);
uint64_t qapi_agent_reply_age_ms(const struct qapi_agent_reply *reply);

/* How long the service wants to be left alone; 0 if it did not say. */
uint64_t qapi_agent_reply_retry_after_ms(const struct qapi_agent_reply *reply);

/*
 * Encrypt with a key of the service, by the service.  key: name or id, NULL
 * for the tenant's default key; algorithm: NULL for the usual one.  aad: bytes
 * of UTF-8 text that have to be given again to decrypt, at most 32 KiB; NULL
 * and 0: none.  data: at most 1 MiB, and the service may take less: what can
 * be larger goes by qapi_agent_seal().
 * ret: its value is the payload, a text; free with qapi_agent_item_free().
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_encrypt(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *aad, size_t aad_len, const void *data,
    size_t data_len, struct qapi_agent_item **ret);

/* The reverse.  payload: as encrypting gave it; key: NULL for what it says. */
int qapi_agent_decrypt(struct qapi_agent *agent, const char *key,
    const void *aad, size_t aad_len, const void *payload, size_t payload_len,
    struct qapi_agent_item **ret);

/* Sign at most 1 MiB.  ret: its value is the signature, bytes. */
int qapi_agent_sign(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *data, size_t data_len,
    struct qapi_agent_item **ret);

/*
 * Is this the signature of data by key?  The agent finds out by the public
 * key that it holds, where it knows the algorithm, or has the service do it;
 * ret_by (may be NULL) says which.  *ret_valid is set with a return of 0 only.
 */
int qapi_agent_verify(struct qapi_agent *agent, const char *key,
    const void *data, size_t data_len, const void *signature,
    size_t signature_len, bool *ret_valid, enum qapi_agent_by *ret_by);

/* --- streams -------------------------------------------------------------- */

/*
 * Takes bytes that come out of a stream.  They are wiped after it has
 * returned.  0: go on; anything else ends the stream, whose functions then
 * return it (use a positive number to tell it from errors).
 */
typedef int (*qapi_agent_sink)(void *arg, const void *bytes, size_t len);

/*
 * Encrypt or decrypt any number of bytes in bounded memory: an envelope
 * (docs/envelope.md) has a data key that is wrapped by a key of the service,
 * and chunks that the agent seals with it.  key and aad as of
 * qapi_agent_encrypt().  The stream has a connection of its own, with the
 * socket, program and timeout that agent has now; agent is not needed any more.
 * ret: free with qapi_agent_stream_free(), at any time.
 * qapi_agent_seal() hands the beginning of the envelope to sink.
 * Returns 0 or any QAPI_AGENT_ERR_*.  Blocks for at most the timeout.
 */
int qapi_agent_seal(struct qapi_agent *agent, const char *key,
    const void *aad, size_t aad_len, qapi_agent_sink sink, void *arg,
    struct qapi_agent_stream **ret);

/*
 * Bytes that come out have been authenticated one chunk at a time: they are
 * what was sealed, in its order, but only when qapi_agent_stream_end() has
 * returned 0 is it certain that this is all of it.  Do not act on them before;
 * if it fails, throw them away.
 */
int qapi_agent_open(struct qapi_agent *agent, const void *aad, size_t aad_len,
    qapi_agent_sink sink, void *arg, struct qapi_agent_stream **ret);

/*
 * Put in more bytes, any number.  What comes out is handed to the sink from
 * within these two, in order.  Several chunks are under way at a time, so the
 * sink is behind by up to a MiB.  Blocks, as long as the agent answers: the
 * timeout is that of each answer.
 * Returns 0, what sink returned, or any QAPI_AGENT_ERR_*, after which all
 * that follows fails the same way; BAD_REQUEST for what is no envelope.
 */
int qapi_agent_stream_write(struct qapi_agent_stream *stream,
    const void *bytes, size_t len);

/* That was all of it.  Waits for what is to come out.  Returns as above. */
int qapi_agent_stream_end(struct qapi_agent_stream *stream);

/* As qapi_agent_message(), for the last call with this stream. */
const char *qapi_agent_stream_message(const struct qapi_agent_stream *stream);

void qapi_agent_stream_free(struct qapi_agent_stream **stream);

/* Is this the beginning of an envelope?  8 bytes are enough to tell. */
bool qapi_agent_is_envelope(const void *bytes, size_t len);

/* --- requests: without blocking ------------------------------------------- */

/*
 * Any number of requests can be under way on one handle.  Start them; watch
 * the one descriptor of the handle for reading, for as long as
 * qapi_agent_want() says, with poll(2) or any event loop; call
 * qapi_agent_step() when it is readable or the time is over, and ask
 * qapi_agent_want() again after that and after each start.  None of the
 * functions of this section blocks, not to connect either.  Blocking calls
 * with the same handle move the requests on, too, but call no callback.
 *
 * A request has the timeout of the handle of the moment when it was started.
 * Errors, deadlines and connections that break are as with the blocking call
 * of that name.
 */

/*
 * A request is done.  Called by qapi_agent_step() alone, once.  It may start
 * and free any request, this one too; it must not free the handle, nor call
 * qapi_agent_step() or a function that blocks with it.
 */
typedef void (*qapi_agent_done)(struct qapi_agent_request *request, void *arg);

/*
 * A descriptor to watch for reading, the same for the whole life of the
 * handle, whatever becomes of the connection.  Owned by the handle: do not
 * read from it.  -1 with errno if none can be made.
 */
int qapi_agent_fd(struct qapi_agent *agent);

/*
 * What to watch it for: POLLIN, or 0 while there is nothing to wait for.
 * *ret_timeout_ms: as poll(2) takes it: step after so many milliseconds in any
 * case, 0: now, -1: no need to.
 */
short qapi_agent_want(struct qapi_agent *agent, int *ret_timeout_ms);

/*
 * Do all that can be done now, and call the callbacks of what is done.
 * Returns how many requests are under way still.
 */
size_t qapi_agent_step(struct qapi_agent *agent);

/*
 * The next request that is done and has no callback, in the order in which
 * they were done; NULL: none.  Each is given once.
 */
struct qapi_agent_request *qapi_agent_next_done(struct qapi_agent *agent);

/*
 * Start a request: arguments as of the blocking function of that name; all are
 * copied.  done: NULL, or called with arg when it is done.  ret: the request;
 * the caller's, free with qapi_agent_request_free().
 * Returns 0, NOMEM, or BAD_REQUEST or TOO_LARGE for wrong arguments, with
 * qapi_agent_message(); all other errors are those of the request.
 */
int qapi_agent_start_get(struct qapi_agent *agent, const char *const *refs,
    size_t count, const struct qapi_agent_terms *terms, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret);
int qapi_agent_start_list(struct qapi_agent *agent, enum qapi_agent_kind kind,
    const struct qapi_agent_terms *terms, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret);
int qapi_agent_start_refresh(struct qapi_agent *agent,
    const char *const *refs, size_t count, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret);
int qapi_agent_start_invalidate(struct qapi_agent *agent,
    const char *const *refs, size_t count, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret);
int qapi_agent_start_reject(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_item *refused, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret);
int qapi_agent_start_ping(struct qapi_agent *agent, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret);
int qapi_agent_start_status(struct qapi_agent *agent, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret);
int qapi_agent_start_call(struct qapi_agent *agent, const char *method,
    const char *target, const char *ref, const struct qapi_agent_terms *terms,
    const char *content_type, const void *body, size_t body_len,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret);
int qapi_agent_start_encrypt(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *aad, size_t aad_len, const void *data,
    size_t data_len, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret);
int qapi_agent_start_decrypt(struct qapi_agent *agent, const char *key,
    const void *aad, size_t aad_len, const void *payload, size_t payload_len,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret);
int qapi_agent_start_sign(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *data, size_t data_len,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret);
int qapi_agent_start_verify(struct qapi_agent *agent, const char *key,
    const void *data, size_t data_len, const void *signature,
    size_t signature_len, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret);

/*
 * Free it.  One that is under way is cancelled: its callback is not called,
 * and what is answered is dropped.  That does not undo what the service may
 * have done by then.
 */
void qapi_agent_request_free(struct qapi_agent_request **request);

bool qapi_agent_request_is_done(const struct qapi_agent_request *request);

/*
 * What the blocking function would have returned, and the message; 0 and ""
 * while it is under way.  Lives as long as the request.
 */
int qapi_agent_request_error(const struct qapi_agent_request *request);
const char *qapi_agent_request_message(
    const struct qapi_agent_request *request);

/*
 * What it brought, once it is done without an error: each is the caller's
 * from then on, and NULL the next time, or if there is no such thing.
 * items: get, list, refresh, invalidate.  item: the only one of those with one
 * reference (an error of it then is that of the request), reject, encrypt,
 * decrypt, sign.  reply: call.  stats: status.
 */
struct qapi_agent_items *qapi_agent_request_take_items(
    struct qapi_agent_request *request);
struct qapi_agent_item *qapi_agent_request_take_item(
    struct qapi_agent_request *request);
struct qapi_agent_reply *qapi_agent_request_take_reply(
    struct qapi_agent_request *request);
struct qapi_agent_stats *qapi_agent_request_take_stats(
    struct qapi_agent_request *request);

/* Of verify: is it valid, and who says so? */
bool qapi_agent_request_valid(const struct qapi_agent_request *request);
enum qapi_agent_by qapi_agent_request_by(
    const struct qapi_agent_request *request);

/* --- watch --------------------------------------------------------------- */

/*
 * Subscribe to what happens to values.  positions: NULL, or count pointers
 * to QAPI_AGENT_POSITION_LEN bytes each, from qapi_agent_item_position(), or
 * NULL for those of which nothing was read.  With the position of a value that
 * was read before no change is lost in between; without, events begin with
 * this call.  All zero bytes: reading it failed, tell as soon as it is there.
 * refs, positions and what they point to are copied.
 *
 * The subscription has a connection of its own, with the socket, program and
 * timeout that agent has now.  agent is not needed any more; the two are
 * used independently, from one thread each.
 *
 * Waits until the agent has answered for each reference.  One that fails
 * fails alone, see qapi_agent_watch_items().  ret: free with
 * qapi_agent_watch_free(), which unsubscribes.
 * Returns 0 if the agent was asked; else UNREACHABLE, TIMEOUT, CLOSED, BUSY,
 * UNSUPPORTED (an agent before this was there), NOMEM, or BAD_REQUEST if count
 * is 0 or refs holds NULL.  Blocks for at most the timeout of agent.
 */
int qapi_agent_watch(struct qapi_agent *agent, const char *const *refs,
    const void *const *positions, size_t count, struct qapi_agent_watch **ret);
void qapi_agent_watch_free(struct qapi_agent_watch **watch);

/*
 * Wait for the next event.  ret_index: which of the references; ret_reason:
 * what happened, never a number that enum qapi_agent_reason lacks.  The value
 * itself is to be read with qapi_agent_get().
 *
 * If the agent goes away this connects again, in growing steps up to 5 s, and
 * subscribes with the positions it has: whatever changed meanwhile is told
 * then.  The same event may come twice.  A slow caller gets fewer events, not
 * other ones: the agent keeps one of each reason for each reference.
 * Signals do not end the wait: one that has to look around sets a timeout.
 *
 * Returns 0; TIMEOUT if nothing came within timeout_ms (0: wait for ever; not
 * the timeout of the handle); NOMEM, after which it can be called again; or,
 * when no reference is watched any more, the error of the first of them.
 * qapi_agent_watch_message() then says more.
 */
int qapi_agent_watch_next(struct qapi_agent_watch *watch, uint64_t timeout_ms,
    size_t *ret_index, enum qapi_agent_reason *ret_reason);

/*
 * The same for an event loop.  start does not wait for anything: what the
 * agent answers to each reference is told by qapi_agent_watch_items() as it
 * comes, and it is tried for ever.  Returns 0, NOMEM, or BAD_REQUEST.
 * fd, want and step: as those of a handle.  take: as qapi_agent_watch_next(),
 * without waiting: TIMEOUT if there is nothing to tell.
 */
int qapi_agent_watch_start(struct qapi_agent *agent, const char *const *refs,
    const void *const *positions, size_t count, struct qapi_agent_watch **ret);
int qapi_agent_watch_fd(struct qapi_agent_watch *watch);
short qapi_agent_watch_want(struct qapi_agent_watch *watch,
    int *ret_timeout_ms);
void qapi_agent_watch_step(struct qapi_agent_watch *watch);
int qapi_agent_watch_take(struct qapi_agent_watch *watch, size_t *ret_index,
    enum qapi_agent_reason *ret_reason);

/*
 * The references, in their order.  qapi_agent_item_position(): the state that
 * is known, to subscribe from another time; NULL: not known so far.  With an
 * error (qapi_agent_item_error()) there was no usable value when the agent
 * was asked last; it is watched all the same, and QAPI_AGENT_REASON_CHANGED comes
 * with the value, unless qapi_agent_watch_has_ended().  Owned by watch, valid
 * until the next qapi_agent_watch_next().
 */
const struct qapi_agent_items *qapi_agent_watch_items(
    const struct qapi_agent_watch *watch);

/* Has the agent refused for good to watch reference i, or stopped to? */
bool qapi_agent_watch_has_ended(const struct qapi_agent_watch *watch,
    size_t i);

/* As qapi_agent_message(), for the last qapi_agent_watch_next(). */
const char *qapi_agent_watch_message(const struct qapi_agent_watch *watch);

/*
 * "changed", "expiring", "expired", "gone", "stale", "fresh-again", "ended",
 * or "" for anything else.
 */
const char *qapi_agent_reason_name(enum qapi_agent_reason reason);

/* --- explain ------------------------------------------------------------- */

/*
 * How the policy judges reading ref, and where the value stands.  as: NULL
 * for the caller, else a user (name or number) or a unit ("nginx.service"),
 * which takes the operation admin.  Asks the service nothing.
 * Returns 0 or any QAPI_AGENT_ERR_*; DENIED for one that the caller may not
 * read.  Blocks for at most the timeout.
 */
int qapi_agent_explain(struct qapi_agent *agent, const char *ref,
    const char *as, struct qapi_agent_explanation **ret);
void qapi_agent_explanation_free(struct qapi_agent_explanation **explanation);

/* What is returned by pointer lives as long as the explanation. */

bool qapi_agent_explanation_allowed(
    const struct qapi_agent_explanation *explanation);

/* Title of the rule that allows it; NULL: no rule does, or needs to. */
const char *qapi_agent_explanation_rule(
    const struct qapi_agent_explanation *explanation);

/* A sentence: why it is allowed, or is not; "" if not said. */
const char *qapi_agent_explanation_why(
    const struct qapi_agent_explanation *explanation);

bool qapi_agent_explanation_cached(
    const struct qapi_agent_explanation *explanation);

/* Id, name, version, freshness, age and times, as far as they are known. */
const struct qapi_agent_item *qapi_agent_explanation_item(
    const struct qapi_agent_explanation *explanation);

/* Milliseconds until the agent asks the service again; QAPI_AGENT_NEVER. */
uint64_t qapi_agent_explanation_next_refresh_ms(
    const struct qapi_agent_explanation *explanation);

/* How the last read from the service failed: 0 if it did not. */
int qapi_agent_explanation_last_error(
    const struct qapi_agent_explanation *explanation);
const char *qapi_agent_explanation_last_message(
    const struct qapi_agent_explanation *explanation);

/* --- drill --------------------------------------------------------------- */

/*
 * Have the agent behave for duration_ms (1 to 86400000, a day) as if the
 * service were down, for all its callers; takes the operation admin.  The drill
 * has a connection of its own, as a watch has, and ends with it: free it and
 * the service is there again.  ret: free with qapi_agent_drill_free().
 * Returns 0 when it has begun, or any QAPI_AGENT_ERR_*; BUSY if there is one
 * already.  Blocks for at most the timeout of agent.
 */
int qapi_agent_drill_offline(struct qapi_agent *agent, uint64_t duration_ms,
    struct qapi_agent_drill **ret);
void qapi_agent_drill_free(struct qapi_agent_drill **drill);

/*
 * Wait for its end and the report, for at most timeout_ms (0: for ever).
 * Returns 0: it is over and the functions below tell the report; TIMEOUT: it
 * goes on; or another error, after which it is over without a report, and
 * qapi_agent_drill_message() says more.
 */
int qapi_agent_drill_wait(struct qapi_agent_drill *drill, uint64_t timeout_ms);

/* End it early; then qapi_agent_drill_wait().  Does not block. */
void qapi_agent_drill_end(struct qapi_agent_drill *drill);

const char *qapi_agent_drill_message(const struct qapi_agent_drill *drill);

/*
 * How long it lasted, how many references were asked for meanwhile, and how
 * many of those failed.  0 without a report.
 */
uint64_t qapi_agent_drill_elapsed_ms(const struct qapi_agent_drill *drill);
uint64_t qapi_agent_drill_count(const struct qapi_agent_drill *drill);
uint64_t qapi_agent_drill_failed(const struct qapi_agent_drill *drill);

/*
 * What callers met: reference i was answered times with this freshness (stale
 * or expired), or failed times with this error.  A reference may be there more
 * than once.  Past the end NULL and 0.
 */
size_t qapi_agent_drill_reads(const struct qapi_agent_drill *drill);
const char *qapi_agent_drill_read_ref(const struct qapi_agent_drill *drill,
    size_t i);
enum qapi_agent_freshness qapi_agent_drill_read_freshness(
    const struct qapi_agent_drill *drill, size_t i);
int qapi_agent_drill_read_error(const struct qapi_agent_drill *drill,
    size_t i);
uint64_t qapi_agent_drill_read_times(const struct qapi_agent_drill *drill,
    size_t i);

/*
 * What was cached when it began: kind, id and name as of an item; how long
 * after the beginning it is not given any more if the service stays away
 * (QAPI_AGENT_NEVER), and why.
 */
size_t qapi_agent_drill_values(const struct qapi_agent_drill *drill);
const struct qapi_agent_item *qapi_agent_drill_value(
    const struct qapi_agent_drill *drill, size_t i);
uint64_t qapi_agent_drill_value_unusable_in_ms(
    const struct qapi_agent_drill *drill, size_t i);
enum qapi_agent_limit qapi_agent_drill_value_limit(
    const struct qapi_agent_drill *drill, size_t i);

/* "max-stale", "expires", or "" for anything else. */
const char *qapi_agent_limit_name(enum qapi_agent_limit limit);

/* --- items --------------------------------------------------------------- */

void qapi_agent_item_free(struct qapi_agent_item **item);
void qapi_agent_items_free(struct qapi_agent_items **items);

size_t qapi_agent_items_count(const struct qapi_agent_items *items);

/* Item i, owned by items; NULL past the end. */
const struct qapi_agent_item *qapi_agent_items_at(
    const struct qapi_agent_items *items, size_t i);

/* Of a listing: whether it is fresh, and its age in milliseconds. */
enum qapi_agent_freshness qapi_agent_items_freshness(
    const struct qapi_agent_items *items);
uint64_t qapi_agent_items_age_ms(const struct qapi_agent_items *items);

/* What is returned by pointer lives as long as the item. */

/* 0 or QAPI_AGENT_ERR_*; with an error the rest below is not set. */
int qapi_agent_item_error(const struct qapi_agent_item *item);

/* As qapi_agent_message(), for this item; "" without an error. */
const char *qapi_agent_item_message(const struct qapi_agent_item *item);

/* The reference that was asked for; NULL in a listing. */
const char *qapi_agent_item_ref(const struct qapi_agent_item *item);

/* Id and name that the service gave; NULL if not said. */
const char *qapi_agent_item_id(const struct qapi_agent_item *item);
const char *qapi_agent_item_name(const struct qapi_agent_item *item);

enum qapi_agent_kind qapi_agent_item_kind(const struct qapi_agent_item *item);

/* Version of the value; 0 if not said. */
uint64_t qapi_agent_item_version(const struct qapi_agent_item *item);

enum qapi_agent_freshness qapi_agent_item_freshness(
    const struct qapi_agent_item *item);

/* Milliseconds since the service last confirmed the value. */
uint64_t qapi_agent_item_age_ms(const struct qapi_agent_item *item);

/*
 * When the service says it was changed and will expire: milliseconds since
 * 1970-01-01T00:00:00Z, or QAPI_AGENT_NO_TIME.
 */
int64_t qapi_agent_item_updated_at_ms(const struct qapi_agent_item *item);
int64_t qapi_agent_item_expires_at_ms(const struct qapi_agent_item *item);

/*
 * QAPI_AGENT_POSITION_LEN bytes that name the state in which the value was
 * seen: equal while nothing about it changes, also across a restart of the
 * agent.  NULL if not said, see qapi_agent_terms_set_want_position().
 */
const void *qapi_agent_item_position(const struct qapi_agent_item *item);

/* Of qapi_agent_reject(): is it another value than the refused one? */
bool qapi_agent_item_changed(const struct qapi_agent_item *item);

enum qapi_agent_content qapi_agent_item_content(
    const struct qapi_agent_item *item);

/*
 * The value.  It may hold NUL and need not be text: go by *ret_len (which may
 * be NULL).  One more NUL, not counted, follows it.  NULL and 0 without a value.
 */
const void *qapi_agent_item_value(const struct qapi_agent_item *item,
    size_t *ret_len);

/* --- stats --------------------------------------------------------------- */

void qapi_agent_stats_free(struct qapi_agent_stats **stats);
size_t qapi_agent_stats_count(const struct qapi_agent_stats *stats);

/* Dotted name of figure i, as "upstream.state"; NULL past the end. */
const char *qapi_agent_stats_name(const struct qapi_agent_stats *stats,
    size_t i);
enum qapi_agent_stat_type qapi_agent_stats_type(
    const struct qapi_agent_stats *stats, size_t i);

/* 0 unless it is a number; NULL unless it is a text. */
uint64_t qapi_agent_stats_uint(const struct qapi_agent_stats *stats, size_t i);
const char *qapi_agent_stats_text(const struct qapi_agent_stats *stats,
    size_t i);

/* Place of the figure of this name, or -1. */
long qapi_agent_stats_find(const struct qapi_agent_stats *stats,
    const char *name);

#ifdef __cplusplus
}
#endif

#endif /* QAPI_AGENT_H */
