#include "config.h"

#include "settings_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "err.h"
#include "policy_who.h"
#include "ref.h"
#include "settings.h"
#include "settings_check.h"
#include "settings_table.h"
#include "text.h"
#include "units.h"

static int __attribute__((format(printf, 3, 4)))
bad(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return ERR_BAD_REQUEST;
}

static int
set_string(const char *value, void *target)
{
	char **field = target;
	char *copy;

	copy = strdup(value);
	if (copy == NULL)
		return ERR_NOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* --- numbers --- */

int
settings_value_duration(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	char low[UNITS_DURATION_LEN];
	char high[UNITS_DURATION_LEN];
	uint64_t ms;

	if (units_parse_duration(value, &ms) != 0)
		return bad(why, why_size,
		    "write a duration, as 30s, 5m, 1h30m or 250ms");
	if (ms < key->min || ms > key->max)
		return bad(why, why_size, "write a duration from %s to %s",
		    units_format_duration(key->min, low),
		    units_format_duration(key->max, high));
	*(uint64_t *)target = ms;
	return 0;
}

static const char *
size_text(uint64_t bytes, char buf[32])
{
	if (bytes >= 1U << 30 && bytes % (1U << 30) == 0)
		(void)snprintf(buf, 32, "%lluG",
		    (unsigned long long)(bytes >> 30));
	else if (bytes >= 1U << 20 && bytes % (1U << 20) == 0)
		(void)snprintf(buf, 32, "%lluM",
		    (unsigned long long)(bytes >> 20));
	else
		(void)snprintf(buf, 32, "%llu", (unsigned long long)bytes);
	return buf;
}

int
settings_value_size(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	char low[32];
	char high[32];
	uint64_t bytes;

	if (units_parse_size(value, &bytes) != 0)
		return bad(why, why_size,
		    "write a size in bytes, or as 512K, 64M or 1G");
	if (bytes < key->min || bytes > key->max || bytes > SIZE_MAX)
		return bad(why, why_size, "write a size from %s to %s",
		    size_text(key->min, low), size_text(key->max, high));
	*(size_t *)target = (size_t)bytes;
	return 0;
}

int
settings_value_count(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	uint64_t n = 0;
	const char *p = value;

	if (key->fallback[0] == '\0' && value[0] == '\0') {
		*(unsigned int *)target = 0;
		return 0;
	}
	for (; *p >= '0' && *p <= '9' && n <= key->max; p++)
		n = n * 10 + (unsigned int)(*p - '0');
	if (p == value || *p != '\0' || n < key->min || n > key->max)
		return bad(why, why_size, "write a number from %llu to %llu",
		    (unsigned long long)key->min,
		    (unsigned long long)key->max);
	*(unsigned int *)target = (unsigned int)n;
	return 0;
}

int
settings_value_mode(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	unsigned int mode = 0;
	const char *p = value;

	for (; *p >= '0' && *p <= '7' && mode <= key->max; p++)
		mode = mode * 8 + (unsigned int)(*p - '0');
	if (p == value || *p != '\0' || mode > key->max)
		return bad(why, why_size,
		    "write an octal mode up to 0777, as 0660");
	*(mode_t *)target = mode;
	return 0;
}

int
settings_value_bool(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	static const char *const words[] = {"no", "yes", "false", "true",
	    "off", "on", "0", "1"};
	size_t i;

	(void)key;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(words[i], value) == 0) {
			*(bool *)target = i % 2 == 1;
			return 0;
		}
	}
	return bad(why, why_size, "write yes or no");
}

int
settings_value_level(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	static const char *const names[] = {"error", "warning", "notice",
	    "info", "debug"};
	const char *near;
	int level = log_level_from_name(value);

	(void)key;
	if (level >= 0) {
		*(enum log_level *)target = (enum log_level)level;
		return 0;
	}
	near = text_nearest(value, names, sizeof(names) / sizeof(names[0]));
	if (near != NULL)
		return bad(why, why_size, "did you mean \"%s\"?", near);
	return bad(why, why_size,
	    "write error, warning, notice, info or debug");
}

/* --- names of files and of others --- */

int
settings_value_path(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	(void)key;
	if (value[0] != '/')
		return bad(why, why_size,
		    "write an absolute path: the agent runs in /");
	return set_string(value, target);
}

int
settings_value_socket(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (strlen(value) > max)
		return bad(why, why_size,
		    "the path has %zu bytes, a socket's has at most %zu",
		    strlen(value), max);
	return settings_value_path(key, value, target, why, why_size);
}

int
settings_value_audit(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	(void)key;
	if (strcmp(value, "journal") != 0 && strcmp(value, "off") != 0 &&
	    value[0] != '/')
		return bad(why, why_size,
		    "write journal, off or the absolute path of a file");
	return set_string(value, target);
}

int
settings_value_group(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	gid_t gid;
	int r = policy_who_gid(value, &gid);

	(void)key;
	if (r == ERR_NOMEM)
		return r;
	if (r == ERR_NOT_FOUND)
		return bad(why, why_size,
		    "there is no such group: groupadd it, or write another");
	if (r != 0)
		return bad(why, why_size, "cannot look up the group");
	return set_string(value, target);
}

/* What settings_check_*() finds right is kept as it is. */
static int
checked(settings_check_fn *check, const char *value, void *target, char *why,
    size_t why_size)
{
	int r = check(value, why, why_size);

	return r != 0 ? r : set_string(value, target);
}

int
settings_value_url(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	char **field = target;
	size_t len;
	int r;

	(void)key;
	r = checked(settings_check_url, value, target, why, why_size);
	if (r != 0)
		return r;
	/* paths that begin with '/' are put behind it */
	len = strlen(*field);
	while ((*field)[len - 1] == '/')
		(*field)[--len] = '\0';
	return 0;
}

int
settings_value_proxy(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	(void)key;
	return checked(settings_check_proxy, value, target, why, why_size);
}

int
settings_value_pin(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	(void)key;
	return checked(settings_check_pin, value, target, why, why_size);
}

int
settings_value_listen(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	(void)key;
	return checked(settings_check_listen, value, target, why, why_size);
}

void
settings_value_list_free(char **list)
{
	size_t i;

	for (i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

/* A NULL-terminated list; key->max is how many there may be. */
int
settings_value_paths(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	char ***field = target;
	char **list = NULL;
	size_t n = 0;
	int r;

	r = settings_check_paths(value, &list, &n, why, why_size);
	if (r == 0 && n > key->max)
		r = bad(why, why_size, "write at most %llu paths",
		    (unsigned long long)key->max);
	if (r != 0) {
		settings_value_list_free(list);
		return r;
	}
	settings_value_list_free(*field);
	*field = list;
	return 0;
}

/*
 * settings.preload and npreload; target is the former.  Replaced only as a
 * whole.
 */
int
settings_value_preload(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size)
{
	struct settings *s =
	    (struct settings *)(void *)((char *)target - key->offset);
	char **list = NULL;
	size_t n = 0;
	int r;

	r = settings_check_preload(value, &list, &n, why, why_size);
	if (r != 0) {
		settings_value_list_free(list);
		return r;
	}
	settings_value_list_free(s->preload);
	s->preload = list;
	s->npreload = n;
	return 0;
}
