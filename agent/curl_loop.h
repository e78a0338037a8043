/*
 * curl's multi interface on the event base.
 *
 * It moves transfers forward when a socket or a timer says so, and hands each
 * finished one back.  What is transferred is none of its business, and it
 * holds no secrets.
 *
 * Event-loop thread only.  Nothing here may be called from a callback of
 * curl's (write function and the like).
 */
#ifndef AGENT_CURL_LOOP_H
#define AGENT_CURL_LOOP_H

#include <curl/curl.h>

struct curl_loop;
struct event_base;

/*
 * A transfer is over; it is no longer in the loop.  May add and remove others,
 * but not free the loop.
 */
typedef void curl_loop_done_cb(void *arg, CURL *easy, CURLcode result);

/*
 * After each step of the transfers and what it finished, before the event
 * loop goes on.
 */
typedef void curl_loop_after_cb(void *arg);

/*
 * max_connections: open at once, idle ones too; further transfers wait.
 * after may be NULL.  NULL for no memory.
 */
struct curl_loop *curl_loop_new(struct event_base *base,
    unsigned int max_connections, curl_loop_done_cb *done,
    curl_loop_after_cb *after, void *arg);

/* All transfers must have been removed.  NULL is fine. */
void curl_loop_free(struct curl_loop *loop);

/*
 * Start a transfer; done is called later, never from within.
 * Returns 0 or ERR_NOMEM.
 */
int curl_loop_add(struct curl_loop *loop, CURL *easy);

/* Stop a transfer that is not over; done will not be called. */
void curl_loop_remove(struct curl_loop *loop, CURL *easy);

#endif /* AGENT_CURL_LOOP_H */
