#include "config.h"

#include "listener_inet.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "err.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int
fail(const char *address, char *why, size_t why_size, int r, const char *text)
{
	(void)snprintf(why, why_size, "%s: %s", address, text);
	return r;
}

/* The digits behind the last colon; 0 if they are no port. */
static in_port_t
parse_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || port > 65535)
		return 0;
	return (in_port_t)port;
}

static bool
is_loopback(const union address *a)
{
	return a->any.sa_family == AF_INET
	    ? ntohl(a->v4.sin_addr.s_addr) >> 24 == 127
	    : IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr) != 0;
}

static bool
parse(const char *text, union address *ret, socklen_t *ret_len)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	in_port_t port;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (colon == NULL || (port = parse_port(colon + 1)) == 0)
		return false;
	len = (size_t)(colon - text);
	if (len > 2 && len < sizeof(host) && text[0] == '[' &&
	    text[len - 1] == ']') {
		(void)snprintf(host, sizeof(host), "%.*s", (int)len - 2,
		    text + 1);
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		*ret_len = sizeof(ret->v6);
		return inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1;
	}
	(void)snprintf(host, sizeof(host), "%.*s", (int)len, text);
	ret->v4.sin_family = AF_INET;
	ret->v4.sin_port = htons(port);
	*ret_len = sizeof(ret->v4);
	return len < sizeof(host) &&
	    inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1;
}

int
listener_inet_bind(const char *address, char *why, size_t why_size,
    int *ret_fd)
{
	const int on = 1;
	union address a;
	socklen_t len = 0;
	int fd, r, error;

	if (!parse(address, &a, &len) || !is_loopback(&a))
		return fail(address, why, why_size, ERR_BAD_REQUEST,
		    "is no loopback address: write 127.0.0.1:PORT");
	fd = socket(a.any.sa_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* who served it before may have connections that are just ending */
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on)) == 0 && bind(fd, &a.any, len) == 0 &&
	    listen(fd, SOMAXCONN) == 0) {
		*ret_fd = fd;
		return 0;
	}
	error = errno;
	r = error == EADDRINUSE ? ERR_BUSY : error == ENOMEM ||
	    error == EMFILE || error == ENFILE || error == ENOBUFS ? ERR_NOMEM
	    : ERR_DENIED;
	if (fd >= 0)
		(void)close(fd);
	return fail(address, why, why_size, r, error == EADDRINUSE
	    ? "another program listens there: stop it, or choose another port"
	    : strerror(error));
}
