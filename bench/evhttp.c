/*
 * The answers of http_bench.py by libevent's evhttp, with its memory in the
 * arena as the daemon's: what the HTTP front would cost with that library
 * before it has looked at a rule, the cache, or what the library lets pass.
 *
 * usage: evhttp SOCKET LENGTH
 *
 * SIGUSR1: prints the secret memory that is used.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "secmem.h"

#include "bench.h"

static void
keep(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	(void)arg;
}

static void
answer_cb(struct evhttp_request *rq, void *arg)
{
	const struct secmem *body = arg;
	struct evkeyvalq *fields = evhttp_request_get_output_headers(rq);
	struct evbuffer *out = evbuffer_new();

	if (out == NULL)
		return;
	(void)evhttp_add_header(fields, "Cache-Control", "no-store");
	(void)evhttp_add_header(fields, "X-Content-Type-Options", "nosniff");
	(void)evhttp_add_header(fields, "X-Qapi-Agent-Cache", "hit");
	(void)evhttp_add_header(fields, "Age", "12");
	(void)evhttp_add_header(fields, "Content-Type", "application/json");
	(void)evbuffer_add_reference(out, secmem_bytes(body),
	    secmem_len(body), keep, NULL);
	evhttp_send_reply(rq, 200, "OK", out);
	evbuffer_free(out);
}

static void
memory_cb(evutil_socket_t fd, short what, void *arg)
{
	struct secmem_stats stats;

	(void)fd;
	(void)what;
	(void)arg;
	secmem_get_stats(&stats);
	printf("%zu\n", stats.used_bytes);
	(void)fflush(stdout);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);

	if (fd < 0 || strlen(path) >= sizeof(sun.sun_path))
		return -1;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    listen(fd, SOMAXCONN) != 0)
		return -1;
	return fd;
}

static struct event_base *
new_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (cfg == NULL)
		return NULL;
	(void)event_config_set_flag(cfg,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

int
main(int argc, char **argv)
{
	const struct secmem_config cfg = {
		.reserve_bytes = 256u << 20, .step_bytes = 512u << 10,
	};
	struct secmem body = { NULL, 0 };
	struct event_base *base;
	struct evhttp *http;
	struct event *memory;
	size_t len;
	int fd;

	len = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	if (len == 0 || len > BENCH_VALUE_MAX) {
		(void)fputs("usage: evhttp SOCKET LENGTH\n", stderr);
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (secmem_init(&cfg) != 0 ||
	    secmem_alloc(&body, len, SECMEM_LIBRARY) != 0)
		return 1;
	bench_pattern(secmem_writable(&body), len);
	event_set_mem_functions(secmem_malloc, secmem_realloc, secmem_free);
	base = new_base();
	http = base != NULL ? evhttp_new(base) : NULL;
	memory = base != NULL ? evsignal_new(base, SIGUSR1, memory_cb, NULL)
	    : NULL;
	fd = listen_at(argv[1]);
	if (http == NULL || memory == NULL || fd < 0 ||
	    event_add(memory, NULL) != 0 ||
	    evhttp_accept_socket(http, fd) != 0) {
		perror(argv[1]);
		return 1;
	}
	evhttp_set_gencb(http, answer_cb, &body);
	return event_base_dispatch(base) < 0;
}
