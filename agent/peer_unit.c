#include "config.h"

#include "peer_unit.h"

#include <stdbool.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "peer.h"

static bool
ends_with(struct view part, const char *end)
{
	size_t n = strlen(end);

	return part.len > n && memcmp(part.p + part.len - n, end, n) == 0;
}

/* The kinds of unit that have processes, other than slices. */
static bool
is_unit(struct view part)
{
	static const char *const kinds[] = {
	    ".service", ".scope", ".socket", ".mount", ".swap"};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (ends_with(part, kinds[i]))
			return true;
	}
	return false;
}

/* The next '/'-separated part of a path. */
static struct view
next_part(struct view *rest)
{
	struct view part;
	const uint8_t *slash;

	while (rest->len > 0 && *rest->p == '/') {
		rest->p++;
		rest->len--;
	}
	part = *rest;
	if (rest->len > 0) {
		slash = memchr(rest->p, '/', rest->len);
		if (slash != NULL)
			part.len = (size_t)(slash - rest->p);
	}
	rest->p += part.len;
	rest->len -= part.len;
	return part;
}

/*
 * The first part that is no slice: what is below belongs to whoever the unit
 * delegates to, who can name it at will.  Above everything ("/..") is
 * somewhere else than this system's manager put it.
 */
static int
unit_from_path(struct view path, char *ret, size_t size)
{
	struct view part;

	do {
		part = next_part(&path);
	} while (ends_with(part, ".slice"));
	/* systemd puts '_' before a name that the kernel could mistake */
	if (part.len > 0 && part.p[0] == '_') {
		part.p++;
		part.len--;
	}
	if (!is_unit(part) || part.len >= size ||
	    memchr(part.p, '\0', part.len) != NULL)
		return ERR_NOT_FOUND;
	memcpy(ret, part.p, part.len);
	ret[part.len] = '\0';
	return 0;
}

int
peer_unit_from_cgroup(const char *text, char *ret, size_t size)
{
	/* the unified hierarchy, and before it systemd's own of version 1 */
	static const char *const prefixes[] = {"0::/", ":name=systemd:/"};
	const char *line;
	const char *found;
	struct view path;
	size_t len;
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		for (line = text; *line != '\0'; line += len) {
			len = strcspn(line, "\n");
			found = line;
			if (i > 0) /* after the number */
				found += strspn(line, "0123456789");
			if (strncmp(found, prefixes[i], strlen(prefixes[i])) ==
			    0) {
				found += strlen(prefixes[i]) - 1;
				path.p = (const uint8_t *)found;
				path.len = (size_t)(line + len - found);
				if (unit_from_path(path, ret, size) == 0)
					return 0;
			}
			if (line[len] == '\n')
				len++;
		}
	}
	return ERR_NOT_FOUND;
}
