#include "config.h"

#include "policy_path.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "text.h"

static const char base[] = "/api/v1";

/* The character at *in, decoded; -1 for one that has no business there. */
static int
next_char(const uint8_t *p, size_t len, size_t *in)
{
	int high;
	int low;
	int c = p[(*in)++];

	if (c == '%') {
		if (len - *in < 2 || (high = text_hex_value(p[*in])) < 0 ||
		    (low = text_hex_value(p[*in + 1])) < 0)
			return -1;
		*in += 2;
		c = high * 16 + low;
		/* '%': decoded once more it could be anything */
		if (c == '/' || c == '%')
			return -1;
	}
	if (c < 0x20 || c == 0x7f || c == '\\')
		return -1;
	return c;
}

/* No part is empty (but the last may be), "." or "..". */
static bool
is_plain(const char *path)
{
	const char *part = path;
	size_t len;

	while (*part == '/') {
		part++;
		len = strcspn(part, "/");
		if (len == 0 && *part == '/')
			return false;
		if ((len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += len;
	}
	return true;
}

static const char *
without_base(const char *path)
{
	size_t n = sizeof(base) - 1;

	if (strncmp(path, base, n) == 0 && (path[n] == '/' || path[n] == '\0'))
		return path + n;
	return path;
}

int
policy_path_normalise(struct view path, char *ret, size_t size)
{
	const char *rest;
	size_t out = 0;
	size_t in = 0;
	int c;

	if (size < 2)
		return ERR_TOO_LARGE;
	if (path.len == 0 || path.p[0] != '/')
		ret[out++] = '/';
	while (in < path.len && path.p[in] != '?' && path.p[in] != '#') {
		c = next_char(path.p, path.len, &in);
		if (c < 0)
			return ERR_BAD_REQUEST;
		if (out >= size - 1)
			return ERR_TOO_LARGE;
		ret[out++] = (char)c;
	}
	ret[out] = '\0';
	if (!is_plain(ret))
		return ERR_BAD_REQUEST;
	rest = without_base(ret);
	if (*rest == '\0')
		rest = "/";
	memmove(ret, rest, strlen(rest) + 1);
	return 0;
}

int
policy_path_pattern(const char *pattern, char *ret, size_t size)
{
	int n;

	n = snprintf(ret, size, "%s%s", pattern[0] == '/' ? "" : "/", pattern);
	if (n < 0 || (size_t)n >= size)
		return ERR_TOO_LARGE;
	pattern = without_base(ret);
	if (*pattern == '\0')
		pattern = "/";
	memmove(ret, pattern, strlen(pattern) + 1);
	return 0;
}

/* What stays encoded in a path, see endpoints_plain(). */
static bool
is_encoded(const char *p)
{
	int high = text_hex_value((uint8_t)p[1]);
	int low = high < 0 ? -1 : text_hex_value((uint8_t)p[2]);
	int c = high * 16 + low;

	if (low < 0 || (p[1] >= 'a' && p[1] <= 'f') ||
	    (p[2] >= 'a' && p[2] <= 'f'))
		return false;
	return c < 0x20 || c == 0x7f || c == '/' || c == '%' || c == '\\';
}

const char *
policy_path_fault(const char *pattern)
{
	const char *p;

	if (!is_plain(pattern))
		return "a path has no \"//\", \".\" or \"..\"";
	for (p = pattern; *p != '\0'; p++) {
		if (*p == '%' && !is_encoded(p))
			return "paths are compared decoded: write the "
			       "character itself, or %2F for a \"/\" in a "
			       "name and %25 for a \"%\"";
		if (*p == '\\' || (uint8_t)*p < 0x20 || *p == 0x7f)
			return "a path has no such character";
	}
	return strlen(pattern) > 1 && p[-1] == '/'
	    ? "a path does not end in a \"/\"" : NULL;
}
