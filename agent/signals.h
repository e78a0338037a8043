/*
 * Signals as events: blocked, and read from a signalfd(2).  A handler that
 * interrupts would spill registers, with pieces of secrets, on the stack.
 */
#ifndef AGENT_SIGNALS_H
#define AGENT_SIGNALS_H

struct event_base;
struct signals;

typedef void signals_cb(void *arg, int signo);

/* SIGTERM, SIGINT, SIGHUP, SIGUSR1; SIGPIPE is ignored.  NULL on failure. */
struct signals *signals_new(struct event_base *base, signals_cb *cb, void *arg);
void signals_free(struct signals *s);

#endif /* AGENT_SIGNALS_H */
