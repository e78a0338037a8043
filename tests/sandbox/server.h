/*
 * The listening socket, and evhttp on it. Turns requests into calls.
 */
#ifndef SANDBOX_SERVER_H
#define SANDBOX_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct event_base;
struct mail;
struct server;
struct ssl_ctx_st;
struct tenant;

/*
 * Listen on addr and serve the tenant (borrowed, as are base and tls, which
 * is NULL for plain HTTP). NULL: a message has been printed.
 */
struct server *server_new(struct event_base *base, struct tenant *tenant,
    struct ssl_ctx_st *tls, const struct sockaddr *addr, socklen_t addr_len);
void server_free(struct server *s);

/* The port listened on. */
unsigned int server_port(const struct server *s);

/* Connections now, the one that asks included; and ever accepted. */
size_t server_open(const struct server *s);
uint64_t server_accepted(const struct server *s);

/* The service's mail, borrowed. */
struct mail *server_mail(const struct server *s);

/* Close the connections that hang by this fault; 0: by any. */
void server_release(struct server *s, uint64_t fault_id);

#endif
