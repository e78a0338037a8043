/*
 * The server side of TLS, for libevent.
 */
#ifndef SANDBOX_TLS_H
#define SANDBOX_TLS_H

struct bufferevent;
struct event_base;
struct ssl_ctx_st;

/*
 * A context that presents this certificate (chain) with this key, both PEM
 * files. NULL: a message has been printed. Free with tls_free().
 */
struct ssl_ctx_st *tls_new(const char *cert, const char *key);
void tls_free(struct ssl_ctx_st *ctx);

/* A bufferevent for a connection that is about to be accepted, or NULL. */
struct bufferevent *tls_accept(struct event_base *base, struct ssl_ctx_st *ctx);

#endif
