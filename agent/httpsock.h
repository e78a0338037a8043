/*
 * The REST front: http-socket= and http-listen=, from the settings to listening
 * sockets, at the start and at a reload.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_HTTPSOCK_H
#define AGENT_HTTPSOCK_H

#include <stdbool.h>
#include <stddef.h>

struct conns;
struct event_base;
struct httpsock;
struct httpsock_next;
struct settings;

/* Listens nowhere yet.  conns has to outlive it.  NULL for no memory. */
struct httpsock *httpsock_new(struct event_base *base, struct conns *conns);
/* After conns_free(): connections use what is here. */
void httpsock_free(struct httpsock *h);
/* Nobody can connect any more. */
void httpsock_close(struct httpsock *h);

/*
 * What takes the place of what is in force: sockets where they are others, the
 * token read again.  Returns 0, or an ERR_* with a sentence in why; nothing
 * has changed then, but for mode and group, which httpsock_discard() gives
 * back.
 */
int httpsock_prepare(struct httpsock *h, const struct settings *fresh,
    char *why, size_t why_size, struct httpsock_next **ret_next);
/* It does; next is gone then.  Cannot fail. */
void httpsock_switch(struct httpsock *h, struct httpsock_next *next);
/* It does not.  NULL is fine. */
void httpsock_discard(struct httpsock *h, struct httpsock_next *next);

/*
 * Is http-socket= the service manager's, who says where it is and who may
 * connect?
 */
bool httpsock_is_inherited(const struct httpsock *h);

#endif /* AGENT_HTTPSOCK_H */
