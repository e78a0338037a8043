#include "config.h"

#include "fake_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

struct fake_conn {
	int fd;
	SSL *ssl;		/* NULL: none */
	unsigned int number;
	fake_handler *handler;
};

/* --- bytes --- */

static ssize_t
conn_read(struct fake_conn *c, void *p, size_t len)
{
	if (c->ssl != NULL)
		return SSL_read(c->ssl, p, (int)len);
	return read(c->fd, p, len);
}

void
fake_write(struct fake_conn *c, const void *p, size_t len)
{
	const char *at = p;
	ssize_t n;

	while (len > 0) {
		if (c->ssl != NULL)
			n = SSL_write(c->ssl, at, (int)len);
		else
			n = write(c->fd, at, len);
		if (n <= 0)
			return;
		at += n;
		len -= (size_t)n;
	}
}

void
fake_printf(struct fake_conn *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		abort();
	fake_write(c, text, (size_t)n);
}

void
fake_sleep_ms(unsigned int ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	(void)nanosleep(&ts, NULL);
}

void
fake_answer(struct fake_conn *c, int status, const char *extra_headers,
    const char *body)
{
	if (status == 204 || status == 304)
		body = "";
	fake_printf(c, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n%s\r\n", status, strlen(body),
	    extra_headers);
	fake_write(c, body, strlen(body));
}

int
fake_read(struct fake_conn *c, void *p, size_t len)
{
	char *at = p;
	ssize_t n;

	for (; len > 0; at += n, len -= (size_t)n) {
		if ((n = conn_read(c, at, len)) <= 0)
			return -1;
	}
	return 0;
}

void
fake_reset(struct fake_conn *c)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void
fake_wait_closed(struct fake_conn *c)
{
	char byte;

	while (conn_read(c, &byte, 1) > 0)
		;
}

/* --- connections --- */

/* The head of a request, without the empty line.  0 or -1. */
static int
read_head(struct fake_conn *c, char *head, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		if (conn_read(c, head + len, 1) != 1)
			return -1;
		len++;
		head[len] = '\0';
		if (len >= 4 && strcmp(head + len - 4, "\r\n\r\n") == 0)
			return 0;
	}
	return -1;
}

static void *
serve(void *arg)
{
	struct fake_conn *c = arg;
	unsigned int request = 0;
	char head[1536];

	if (c->ssl == NULL || SSL_accept(c->ssl) == 1) {
		while (read_head(c, head, sizeof(head)) == 0 &&
		    c->handler(c, head, c->number, ++request) == 0)
			;
		if (c->ssl != NULL)
			(void)SSL_shutdown(c->ssl);
	}
	SSL_free(c->ssl);
	(void)close(c->fd);
	free(c);
	return NULL;
}

static void
accept_forever(int listener, fake_handler *handler, SSL_CTX *ctx)
{
	unsigned int number = 0;
	struct fake_conn *c;
	pthread_t thread;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) != -1) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			_exit(1);
		c->fd = fd;
		c->number = ++number;
		c->handler = handler;
		if (ctx != NULL) {
			c->ssl = SSL_new(ctx);
			(void)SSL_set_fd(c->ssl, fd);
		}
		if (pthread_create(&thread, NULL, serve, c) != 0)
			_exit(1);
		(void)pthread_detach(thread);
	}
	_exit(1);
}

static SSL_CTX *
tls_context(const char *pem)
{
	SSL_CTX *ctx;

	if (pem == NULL)
		return NULL;
	ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL ||
	    SSL_CTX_use_certificate_chain_file(ctx, pem) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM) != 1)
		_exit(1);
	return ctx;
}

static int
listen_loopback(int *ret_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 64) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		return -1;
	*ret_port = ntohs(sin.sin_port);
	return fd;
}

int
fake_http_start(struct fake_http *f, fake_handler *handler, const char *pem)
{
	int fd;

	if ((fd = listen_loopback(&f->port)) == -1)
		return -1;
	if ((f->pid = fork()) == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_IGN);
		accept_forever(fd, handler, tls_context(pem));
	}
	(void)close(fd);
	return f->pid == -1 ? -1 : 0;
}

void
fake_http_stop(struct fake_http *f)
{
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
}

/* --- certificates --- */

int
fake_certificate(const char *pem, const char *san)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	    "-nodes -days 2 -subj /CN=qapi-test -addext subjectAltName=%s "
	    "-keyout '%s' -out '%s.crt' 2>/dev/null && "
	    "cat '%s.crt' >> '%s'", san, pem, pem, pem, pem);
	return system(command) == 0 ? 0 : -1;
}
