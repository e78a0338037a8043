#include "server.h"

#include "answer.h"
#include "call.h"
#include "deliver.h"
#include "faults.h"
#include "mail.h"
#include "mem.h"
#include "record.h"
#include "tls.h"

#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

/* Controls may bring a value of 16 MiB, and escapes make it longer. */
#define SERVER_MAX_BODY (100 * 1024 * 1024)
#define SERVER_MAX_HEADERS (64 * 1024)
#define SERVER_IDLE_SECONDS 120
#define SERVER_BACKLOG 4096

struct server {
	struct event_base *base;
	struct tenant *tenant;
	struct ssl_ctx_st *tls; /* NULL: plain */
	struct evhttp *http;
	struct deliver *deliver;
	struct faults *faults;
	struct mail *mail;
	struct record *record;
	struct sockaddr_storage addr; /* bound to */
	socklen_t addr_len;
	uint64_t accepted;
};

static const char *
method_name(enum evhttp_cmd_type cmd)
{
	switch (cmd) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	}
	return "UNKNOWN";
}

/* A header's value where it may be shown, as far as JSON can hold it. */
static json_t *
header_json(struct evkeyvalq *headers, const char *name)
{
	const char *v = evhttp_find_header(headers, name);
	json_t *s = v == NULL ? NULL : json_string(v);

	return s == NULL ? json_null() : s;
}

/* What the log tells of a request: names of headers, not their values. */
static json_t *
log_entry(struct evkeyvalq *headers)
{
	json_t *names = json_array();
	struct evkeyval *h;

	TAILQ_FOREACH (h, headers, next) {
		json_t *name = json_string(h->key);

		if (name != NULL)
			json_array_append_new(names, name);
	}
	return json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o}", "headers",
	    names, "hasApiKey",
	    evhttp_find_header(headers, "X-Api-Key") != NULL,
	    "hasAuthorization",
	    evhttp_find_header(headers, "Authorization") != NULL, "userAgent",
	    header_json(headers, "User-Agent"), "accept",
	    header_json(headers, "Accept"), "contentType",
	    header_json(headers, "Content-Type"), "host",
	    header_json(headers, "Host"));
}

static void
run_call(struct server *s, struct evhttp_request *req, const char *method,
    struct answer *ret_answer)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	struct evhttp_connection *conn = evhttp_request_get_connection(req);
	struct call c = {
	    .server = s,
	    .tenant = s->tenant,
	    .faults = s->faults,
	    .record = s->record,
	    .method = method,
	    .path = evhttp_request_get_uri(req),
	    .api_key_text = evhttp_find_header(headers, "X-Api-Key"),
	    .content_type = evhttp_find_header(headers, "Content-Type"),
	    .body_len = evbuffer_get_length(in),
	    .body = (const char *)evbuffer_pullup(in, -1),
	};
	uint16_t port;

	if (conn != NULL) {
		char *address = NULL;

		evhttp_connection_get_peer(conn, &address, &port);
		c.peer = address;
	}
	c.user_agent = evhttp_find_header(headers, "User-Agent");
	call_run(&c);
	*ret_answer = c.answer;
	call_done(&c);
}

static void
request_cb(struct evhttp_request *req, void *arg)
{
	struct server *s = arg;
	const char *uri = evhttp_request_get_uri(req);
	const char *method = method_name(evhttp_request_get_command(req));
	char *path = mem_bytes(uri, strcspn(uri, "?"));
	bool control = route_is_control(path), hit = false;
	struct answer answer = {0};
	struct fault fault;

	if (!control) {
		record_add(s->record, method, uri,
		    log_entry(evhttp_request_get_input_headers(req)));
		hit = faults_hit(s->faults, method, path, &fault);
	}
	free(path);
	if (hit && fault_replaces_answer(&fault))
		fault_answer(&fault, &answer);
	else
		run_call(s, req, method, &answer);
	if (!control && (!hit || (fault.action != FAULT_DROP &&
				     fault.action != FAULT_HANG)))
		record_status(s->record, answer.status);
	if (hit) {
		fault_add_headers(&fault, &answer);
		deliver_faulty(s->deliver, req, &fault, &answer);
	} else {
		deliver_now(req, &answer);
	}
}

static struct bufferevent *
accept_cb(struct event_base *base, void *arg)
{
	struct server *s = arg;

	s->accepted++;
	if (s->tls != NULL)
		return tls_accept(base, s->tls);
	return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
}

/* A listening socket, or -1 with errno set. */
static int
listen_on(const struct sockaddr *addr, socklen_t addr_len)
{
	int fd, on = 1, saved;

	fd = socket(
	    addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* A test stops the sandbox and starts it on the same port at once. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Accepted sockets inherit it; slow answers must not be batched. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, addr, addr_len) == 0 && listen(fd, SERVER_BACKLOG) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

static bool
start(struct server *s, const struct sockaddr *addr, socklen_t addr_len)
{
	int fd = listen_on(addr, addr_len);

	if (fd < 0) {
		fprintf(stderr, "qapi-sandbox: cannot listen: %s%s\n",
		    strerror(errno),
		    errno == EADDRINUSE
			? ": stop what uses the port, or use port 0"
			: "");
		return false;
	}
	s->addr_len = sizeof(s->addr);
	(void)getsockname(fd, (struct sockaddr *)&s->addr, &s->addr_len);
	s->http = evhttp_new(s->base);
	if (s->http == NULL ||
	    evhttp_accept_socket_with_handle(s->http, fd) == NULL) {
		fputs("qapi-sandbox: cannot start the HTTP server\n", stderr);
		(void)close(fd);
		return false;
	}
	evhttp_set_allowed_methods(
	    s->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
			 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
			 EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
	evhttp_set_max_body_size(s->http, SERVER_MAX_BODY);
	evhttp_set_max_headers_size(s->http, SERVER_MAX_HEADERS);
	evhttp_set_timeout(s->http, SERVER_IDLE_SECONDS);
	evhttp_set_default_content_type(s->http, NULL);
	evhttp_set_bevcb(s->http, accept_cb, s);
	evhttp_set_gencb(s->http, request_cb, s);
	return true;
}

struct server *
server_new(struct event_base *base, struct tenant *tenant,
    struct ssl_ctx_st *tls, const struct sockaddr *addr, socklen_t addr_len)
{
	struct server *s = mem_zero(sizeof(*s));

	s->base = base;
	s->tenant = tenant;
	s->tls = tls;
	s->deliver = deliver_new(base);
	s->faults = faults_new();
	s->mail = mail_new(base);
	s->record = record_new();
	if (!start(s, addr, addr_len)) {
		server_free(s);
		return NULL;
	}
	return s;
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	deliver_free(s->deliver);
	if (s->http != NULL)
		evhttp_free(s->http);
	faults_free(s->faults);
	mail_free(s->mail);
	record_free(s->record);
	free(s);
}

static unsigned int
port_of(const struct sockaddr_storage *addr)
{
	in_port_t port = addr->ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)addr)->sin6_port
			     : ((const struct sockaddr_in *)addr)->sin_port;

	return ntohs(port);
}

unsigned int
server_port(const struct server *s)
{
	return port_of(&s->addr);
}

/*
 * evhttp tells when a connection is made but not when an idle one goes, so
 * count the sockets that the process has.
 */
size_t
server_open(const struct server *s)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct sockaddr_storage here = {0}, there;
		socklen_t here_len = sizeof(here), there_len = sizeof(there);
		int fd = atoi(entry->d_name);

		if (getpeername(fd, (struct sockaddr *)&there, &there_len) ==
			0 &&
		    getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
		    here.ss_family == s->addr.ss_family &&
		    port_of(&here) == port_of(&s->addr))
			n++;
	}
	if (dir != NULL)
		(void)closedir(dir);
	return n;
}

uint64_t
server_accepted(const struct server *s)
{
	return s->accepted;
}

struct mail *
server_mail(const struct server *s)
{
	return s->mail;
}

void
server_release(struct server *s, uint64_t fault_id)
{
	deliver_release(s->deliver, fault_id);
}
