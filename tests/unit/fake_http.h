/*
 * A server for tests that does exactly what its handler writes, bytes and
 * pauses alike: HTTP or not, with TLS or without.
 *
 * It runs in a process of its own, with a thread for each connection, so that
 * neither its memory nor its waiting mixes with the test's.  Start it before
 * the test gives OpenSSL another allocator or starts threads.
 */
#ifndef TESTS_FAKE_HTTP_H
#define TESTS_FAKE_HTTP_H

#include <stddef.h>
#include <sys/types.h>

struct fake_conn;

/*
 * One request has come: all of its head, and the number of its connection
 * (from 1) and of the request on it (from 1).  Returns 0 to read another
 * request from the connection, -1 to close it.
 */
typedef int fake_handler(struct fake_conn *c, const char *head,
    unsigned int conn, unsigned int request);

struct fake_http {
	pid_t pid;
	int port;		/* on 127.0.0.1 */
};

/* pem: file with certificate and key; NULL for no TLS.  0 or -1. */
int fake_http_start(struct fake_http *f, fake_handler *handler,
    const char *pem);
void fake_http_stop(struct fake_http *f);

/* For the handler.  fake_printf is for heads and other short texts. */
void fake_write(struct fake_conn *c, const void *p, size_t len);
void fake_printf(struct fake_conn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void fake_sleep_ms(unsigned int ms);
/* A whole answer with a body of JSON. */
void fake_answer(struct fake_conn *c, int status, const char *extra_headers,
    const char *body);
/* The body of the request, len bytes of it.  0 or -1: it was cut. */
int fake_read(struct fake_conn *c, void *p, size_t len);
/* When it is closed, the client gets a reset. */
void fake_reset(struct fake_conn *c);
/* Wait until the client closes. */
void fake_wait_closed(struct fake_conn *c);

/*
 * Make a certificate that signs itself, with its key, for the alternative
 * name san ("IP:127.0.0.1").  Runs openssl(1).  0 or -1.
 */
int fake_certificate(const char *pem, const char *san);

#endif /* TESTS_FAKE_HTTP_H */
