#include "config.h"

#include "err.h"

#include <string.h>

/*
 * No default in the two switches: the compiler then names the place that a
 * new code lacks.
 */
const char *
err_name(int err)
{
	switch ((enum err)err) {
	case ERR_OK:
		return "ok";
	case ERR_BAD_REQUEST:
		return "bad-request";
	case ERR_NOT_FOUND:
		return "not-found";
	case ERR_AMBIGUOUS:
		return "ambiguous";
	case ERR_DENIED:
		return "denied";
	case ERR_EXPIRED:
		return "expired";
	case ERR_UNAUTHORIZED:
		return "unauthorized";
	case ERR_INSUFFICIENT_SCOPE:
		return "insufficient-scope";
	case ERR_RATE_LIMITED:
		return "rate-limited";
	case ERR_UPSTREAM_UNAVAILABLE:
		return "upstream-unavailable";
	case ERR_UPSTREAM_ERROR:
		return "upstream-error";
	case ERR_TOO_LARGE:
		return "too-large";
	case ERR_BUSY:
		return "busy";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_INTERNAL:
		return "internal";
	case ERR_NOMEM:
		return "out-of-memory";
	case ERR_AGAIN:
		return "again";
	case ERR_CLOSED:
		return "closed";
	case ERR_UNREACHABLE:
		return "unreachable";
	}
	return "unknown";
}

const char *
err_text(int err)
{
	switch ((enum err)err) {
	case ERR_OK:
		return "done";
	case ERR_BAD_REQUEST:
		return "the request or reference is malformed";
	case ERR_NOT_FOUND:
		return "no such secret, key or field";
	case ERR_AMBIGUOUS:
		return "more than one thing has this name";
	case ERR_DENIED:
		return "not allowed";
	case ERR_EXPIRED:
		return "the value has expired";
	case ERR_UNAUTHORIZED:
		return "the service refuses the agent's API key";
	case ERR_INSUFFICIENT_SCOPE:
		return "the agent's API key lacks a scope";
	case ERR_RATE_LIMITED:
		return "too many requests";
	case ERR_UPSTREAM_UNAVAILABLE:
		return "the service cannot be reached";
	case ERR_UPSTREAM_ERROR:
		return "the service gave an answer that makes no sense";
	case ERR_TOO_LARGE:
		return "larger than a limit allows";
	case ERR_BUSY:
		return "the agent has too much to do";
	case ERR_TIMEOUT:
		return "no answer in the time allowed";
	case ERR_UNSUPPORTED:
		return "the agent does not know this request";
	case ERR_INTERNAL:
		return "a fault inside the agent";
	case ERR_NOMEM:
		return "out of memory";
	case ERR_AGAIN:
		return "not ready yet";
	case ERR_CLOSED:
		return "the connection was closed";
	case ERR_UNREACHABLE:
		return "no agent answers";
	}
	return "unknown error";
}

int
err_from_name(const char *name)
{
	int err;

	for (err = -1; err >= -ERR_WIRE_MAX; err--) {
		if (strcmp(err_name(err), name) == 0)
			return err;
	}
	return 0;
}

uint16_t
err_wire(int err)
{
	if (err <= 0 && err >= -ERR_WIRE_MAX)
		return (uint16_t)-err;
	if (err == ERR_NOMEM)
		return (uint16_t)-ERR_BUSY;
	return (uint16_t)-ERR_INTERNAL;
}

int
err_from_wire(uint16_t number)
{
	if (number <= ERR_WIRE_MAX)
		return -(int)number;
	return ERR_INTERNAL;
}
