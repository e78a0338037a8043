#include "config.h"

#include "envfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "wipe.h"

struct parser {
	const char *p;
	const char *end;
	unsigned int line;
	const char *why;	/* what is wrong, for ERR_BAD_REQUEST */
	char *value;		/* being put together; fits the file's size */
	size_t value_len;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

int
envfile_name_ok(const char *name, size_t len)
{
	return len > 0 && memchr(name, '=', len) == NULL &&
	    memchr(name, '\0', len) == NULL;
}

static void
skip_blanks(struct parser *ps)
{
	while (ps->p < ps->end && is_blank(*ps->p))
		ps->p++;
}

static bool
at_line_end(const struct parser *ps)
{
	return ps->p == ps->end || *ps->p == '\n' ||
	    (*ps->p == '\r' && (ps->p + 1 == ps->end || ps->p[1] == '\n'));
}

/* Past the end of the line that stands here, if one does. */
static void
end_line(struct parser *ps)
{
	if (ps->p < ps->end && *ps->p == '\r')
		ps->p++;
	if (ps->p < ps->end && *ps->p == '\n') {
		ps->p++;
		ps->line++;
	}
}

static void
skip_comment(struct parser *ps)
{
	while (!at_line_end(ps))
		ps->p++;
	end_line(ps);
}

static int
bad(struct parser *ps, const char *why)
{
	ps->why = why;
	return ERR_BAD_REQUEST;
}

static void
keep(struct parser *ps, char c)
{
	ps->value[ps->value_len++] = c;
}

static int
take_name(struct parser *ps, const char **ret, size_t *ret_len)
{
	static const char export[] = "export";
	const size_t n = sizeof(export) - 1;
	const char *start;

	if ((size_t)(ps->end - ps->p) > n && memcmp(ps->p, export, n) == 0 &&
	    is_blank(ps->p[n])) {
		ps->p += n;
		skip_blanks(ps);
	}
	start = ps->p;
	while (ps->p < ps->end && is_name_char(*ps->p, ps->p == start))
		ps->p++;
	*ret = start;
	*ret_len = (size_t)(ps->p - start);
	if (*ret_len == 0)
		return bad(ps, "no name here: write NAME=VALUE, NAME of "
			       "letters, digits and _");
	skip_blanks(ps);
	if (ps->p == ps->end || *ps->p != '=')
		return bad(ps, "no = after the name: write NAME=VALUE");
	ps->p++;
	skip_blanks(ps);
	return 0;
}

/* After a backslash between double quotes. */
static void
take_escape(struct parser *ps)
{
	static const char from[] = "nrt\"\\$`", to[] = "\n\r\t\"\\$`";
	const char *at = *ps->p != '\0' ? strchr(from, *ps->p) : NULL;

	if (at != NULL) {
		keep(ps, to[at - from]);
	} else {
		keep(ps, '\\');
		keep(ps, *ps->p);
	}
}

static int
take_quoted(struct parser *ps)
{
	char quote = *ps->p++;

	for (; ps->p < ps->end; ps->p++) {
		if (*ps->p == quote) {
			ps->p++;
			skip_blanks(ps);
			if (at_line_end(ps) || *ps->p == '#') {
				skip_comment(ps);
				return 0;
			}
			return bad(ps, "text after the closing quote: remove "
				       "it, or put all in quotes");
		}
		if (*ps->p == '\n')
			ps->line++;
		if (*ps->p == '\\' && quote == '"' && ps->p + 1 < ps->end) {
			ps->p++;
			if (*ps->p == '\n')
				ps->line++;
			take_escape(ps);
		} else {
			keep(ps, *ps->p);
		}
	}
	return bad(ps, "a quote is not closed: close it, or put the value in "
		       "the other kind of quotes");
}

static void
take_plain(struct parser *ps)
{
	const char *start = ps->p;

	while (!at_line_end(ps)) {
		/* a comment needs a blank before it: values may hold # */
		if (*ps->p == '#' && (ps->p == start || is_blank(ps->p[-1])))
			break;
		keep(ps, *ps->p++);
	}
	while (ps->value_len > 0 && is_blank(ps->value[ps->value_len - 1]))
		ps->value_len--;
	skip_comment(ps);
}

static int
append(struct envfile *env, const char *name, size_t name_len,
    const struct parser *ps, unsigned int line)
{
	struct envfile_entry *v;
	size_t size = env->size == 0 ? 16 : env->size * 2;

	if (env->count == env->size) {
		v = reallocarray(env->v, size, sizeof(*v));
		if (v == NULL)
			return ERR_NOMEM;
		env->v = v;
		env->size = size;
	}
	v = &env->v[env->count];
	v->name = strndup(name, name_len);
	v->value = malloc(ps->value_len + 1);
	v->line = line;
	if (v->name == NULL || v->value == NULL) {
		free(v->name);
		free(v->value);
		return ERR_NOMEM;
	}
	memcpy(v->value, ps->value, ps->value_len);
	v->value[ps->value_len] = '\0';
	env->count++;
	return 0;
}

/* One line, or several where quotes span them. */
static int
take_line(struct parser *ps, struct envfile *env)
{
	unsigned int line = ps->line;
	const char *name;
	size_t name_len;
	int r;

	skip_blanks(ps);
	if (at_line_end(ps) || *ps->p == '#') {
		skip_comment(ps);
		return 0;
	}
	if ((r = take_name(ps, &name, &name_len)) != 0)
		return r;
	ps->value_len = 0;
	if (ps->p < ps->end && (*ps->p == '"' || *ps->p == '\'')) {
		r = take_quoted(ps);
		if (r != 0) {
			if (ps->p == ps->end)
				ps->line = line; /* where it was opened */
			return r;
		}
	} else {
		take_plain(ps);
	}
	if (memchr(ps->value, '\0', ps->value_len) != NULL) {
		ps->line = line;
		return bad(ps, "the value holds a NUL byte: an environment "
			       "variable cannot");
	}
	return append(env, name, name_len, ps, line);
}

int
envfile_parse(const char *text, size_t len, struct envfile *ret,
    unsigned int *ret_line, char why[ENVFILE_WHY_LEN])
{
	struct parser ps = {.p = text, .end = text + len, .line = 1};
	int r = 0;

	why[0] = '\0';
	ps.value = malloc(len + 1);
	if (ps.value == NULL)
		return ERR_NOMEM;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		ps.p += 3; /* a byte order mark */
	while (ps.p < ps.end && r == 0)
		r = take_line(&ps, ret);
	*ret_line = ps.line;
	if (r == ERR_BAD_REQUEST)
		(void)snprintf(why, ENVFILE_WHY_LEN, "%s", ps.why);
	wipe_free(ps.value, len + 1);
	return r;
}

/* All of fd.  Returns 0 or -1 with errno. */
static int
read_all(int fd, char **ret, size_t *ret_len)
{
	size_t size = 4096, len = 0;
	char *p = malloc(size), *bigger;
	ssize_t n;

	while (p != NULL) {
		n = read(fd, p + len, size - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0) {
			*ret = p;
			*ret_len = len;
			return 0;
		}
		if (n == -1 || len + (size_t)n > ENVFILE_MAX) {
			if (n != -1)
				errno = EFBIG;
			break;
		}
		len += (size_t)n;
		if (len < size)
			continue;
		bigger = malloc(size * 2);
		if (bigger == NULL)
			break;
		memcpy(bigger, p, len);
		wipe_free(p, len);
		p = bigger;
		size *= 2;
	}
	wipe_free(p, len);
	return -1;
}

int
envfile_read(const char *path, struct envfile *ret,
    char why[ENVFILE_WHY_LEN])
{
	char reason[ENVFILE_WHY_LEN], *text = NULL;
	unsigned int line = 0;
	size_t len = 0;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1 || read_all(fd, &text, &len) == -1) {
		(void)snprintf(why, ENVFILE_WHY_LEN, "%.300s: cannot read: %s",
		    path, strerror(errno));
		if (fd != -1)
			(void)close(fd);
		return ERR_BAD_REQUEST;
	}
	(void)close(fd);
	r = envfile_parse(text, len, ret, &line, reason);
	if (r == ERR_BAD_REQUEST)
		(void)snprintf(why, ENVFILE_WHY_LEN, "%.300s:%u: %.180s", path,
		    line, reason);
	wipe_free(text, len);
	return r;
}

void
envfile_free(struct envfile *env)
{
	size_t i;

	for (i = 0; i < env->count; i++) {
		free(env->v[i].name);
		wipe_free(env->v[i].value, strlen(env->v[i].value));
	}
	free(env->v);
	memset(env, 0, sizeof(*env));
}
