/*
 * Getting an answer to its client: at once, or late, slowly, in part or not at
 * all, as a fault wants it.
 */
#ifndef SANDBOX_DELIVER_H
#define SANDBOX_DELIVER_H

#include <stdint.h>

struct answer;
struct deliver;
struct event_base;
struct evhttp_request;
struct fault;

struct deliver *deliver_new(struct event_base *base);

/* Closes every connection that still waits. Before evhttp_free(). */
void deliver_free(struct deliver *d);

/* Send the answer as it should be; it is cleared. */
void deliver_now(struct evhttp_request *req, struct answer *a);

/* Send it as the fault wants; it is taken over and cleared. */
void deliver_faulty(struct deliver *d, struct evhttp_request *req,
    const struct fault *fault, struct answer *a);

/* Close the connections that hang by this fault; 0: by any. */
void deliver_release(struct deliver *d, uint64_t fault_id);

#endif
