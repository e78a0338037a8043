#include "config.h"

#include "settings_file.h"

#include <ini.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "text.h"

#define LOGICAL_LINE_MAX 65536
#define BLANKS " \t\r\n\v\f"

struct reader {
	FILE *f;
	struct settings_faults *faults;
	const struct settings_file_ops *ops;
	unsigned int physical;	/* lines read */
	unsigned int line;	/* where the logical line begins */
	char *raw;		/* getline(3)'s */
	size_t raw_size;
	char *text;		/* the logical line */
	size_t len;
	/*
	 * The value of a line that is too long for inih, whose buffers are
	 * fixed; NULL if it got it all.
	 */
	const char *long_value;
	int error;
};

void
settings_fault(struct settings_faults *faults, unsigned int line,
    const char *fmt, ...)
{
	va_list ap;

	faults->count++;
	if (faults->out == NULL)
		return;
	/* editors find line 1, but not line 0 */
	(void)fprintf(faults->out, "%s:%u: ", faults->file,
	    line > 0 ? line : 1);
	va_start(ap, fmt);
	(void)vfprintf(faults->out, fmt, ap);
	va_end(ap);
	(void)fputc('\n', faults->out);
}

static char *
trim(char *p)
{
	size_t len;

	p += strspn(p, BLANKS);
	len = strlen(p);
	while (len > 0 && strchr(BLANKS, p[len - 1]) != NULL)
		p[--len] = '\0';
	return p;
}

/* --- from bytes to logical lines --- */

static bool
is_text(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') ||
		    p[i] == 0x7f)
			return false;
	}
	return text_is_utf8(p, len);
}

/*
 * One line of the file, trimmed, into *ret_line; NULL at the end.  A line
 * with a fault of its own becomes an empty one.
 */
static int
read_physical(struct reader *rd, char **ret_line)
{
	static const char bom[] = "\xef\xbb\xbf";
	ssize_t n;
	char *p;

	*ret_line = NULL;
	errno = 0;
	n = getline(&rd->raw, &rd->raw_size, rd->f);
	if (n < 0 && errno == ENOMEM)
		return ERR_NOMEM;
	if (n < 0) {
		if (ferror(rd->f))
			settings_fault(rd->faults, rd->physical,
			    "cannot read on: %s", strerror(errno));
		return 0;
	}
	rd->physical++;
	p = rd->raw;
	while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		p[--n] = '\0';
	if (rd->physical == 1 && strncmp(p, bom, 3) == 0) {
		p += 3;
		n -= 3;
	}
	if (!is_text(p, (size_t)n)) {
		settings_fault(rd->faults, rd->physical,
		    "the line is no UTF-8 text, or has control characters");
		p = rd->raw;
		*p = '\0';
	}
	*ret_line = trim(p);
	return 0;
}

static int
append(struct reader *rd, const char *p, size_t len)
{
	char *text;

	if (len > LOGICAL_LINE_MAX - rd->len) {
		settings_fault(rd->faults, rd->line,
		    "the line is longer than %d bytes", LOGICAL_LINE_MAX);
		rd->len = 0;
		len = 0;
	}
	text = realloc(rd->text, rd->len + len + 1);
	if (text == NULL)
		return ERR_NOMEM;
	memcpy(text + rd->len, p, len);
	rd->text = text;
	rd->len += len;
	rd->text[rd->len] = '\0';
	return 0;
}

static bool
is_comment(const char *line)
{
	return *line == '#' || *line == ';';
}

/* rd->text becomes the next line, with those that continue it. */
static int
read_logical(struct reader *rd, bool *ret_end)
{
	bool more = true;
	bool first = true;
	char *p;
	size_t len;
	int r;

	rd->len = 0;
	*ret_end = false;
	while (more) {
		if ((r = read_physical(rd, &p)) != 0)
			return r;
		if (p == NULL) {
			*ret_end = first;
			return 0;
		}
		if (first)
			rd->line = rd->physical;
		if (is_comment(p)) {
			if (!first) /* between the parts of a line */
				continue;
			*p = '\0';
		}
		len = strlen(p);
		more = len > 0 && p[len - 1] == '\\';
		if (more)
			p[len - 1] = ' ';
		if ((r = append(rd, p, len)) != 0)
			return r;
		first = false;
	}
	return 0;
}

/* --- what a line says --- */

/* The title out of what follows the name: "TITLE" or nothing. */
static int
parse_title(char *rest, const char **ret_title)
{
	size_t len = strlen(rest);

	*ret_title = NULL;
	if (len == 0)
		return 0;
	if (len < 2 || rest[0] != '"' || rest[len - 1] != '"')
		return ERR_BAD_REQUEST;
	rest[len - 1] = '\0';
	if (strchr(rest + 1, '"') != NULL)
		return ERR_BAD_REQUEST;
	*ret_title = rest + 1;
	return 0;
}

/* [NAME] or [NAME "TITLE"]; the title points into text. */
static int
parse_header(char *text, char *name, size_t size, const char **ret_title)
{
	size_t len = strlen(text);
	size_t name_len;

	if (text[len - 1] != ']')
		return ERR_BAD_REQUEST;
	text[len - 1] = '\0';
	text = trim(text + 1);
	name_len = strcspn(text, " \t\"");
	if (name_len == 0 || name_len >= size)
		return ERR_BAD_REQUEST;
	memcpy(name, text, name_len);
	name[name_len] = '\0';
	return parse_title(trim(text + name_len), ret_title);
}

static int
parse_section(struct reader *rd, char *text)
{
	char shown[120];
	char name[40];
	const char *title;

	(void)text_printable(text, strlen(text), shown, sizeof(shown));
	if (parse_header(text, name, sizeof(name), &title) == 0)
		return rd->ops->section(rd->ops->arg, rd->line, name, title);
	settings_fault(rd->faults, rd->line,
	    "%s: a section is [NAME] or [NAME \"TITLE\"]", shown);
	return 0;
}

/* A comment behind a value would become a part of it. */
static bool
has_inline_comment(const char *value)
{
	const char *p;

	for (p = value; *p != '\0'; p++) {
		if (is_comment(p) && p > value && strchr(" \t", p[-1]) != NULL)
			return true;
	}
	return false;
}

/*
 * Is the line one that inih takes as it is meant?  It would split at ':' too,
 * cut values at " ;", and skip what it does not understand.
 */
static bool
check_assignment(struct reader *rd, const char *text)
{
	size_t len = strcspn(text, "=");
	char shown[120];
	size_t name_len = len;

	(void)text_printable(text, len, shown, sizeof(shown));
	while (name_len > 0 && strchr(" \t", text[name_len - 1]) != NULL)
		name_len--;
	if (text[len] != '=' || name_len == 0 ||
	    strcspn(text, " \t:\"") < name_len) {
		settings_fault(rd->faults, rd->line,
		    "\"%s\": expected KEY=VALUE, [SECTION] or # comment",
		    shown);
		return false;
	}
	if (has_inline_comment(text + len + 1)) {
		settings_fault(rd->faults, rd->line,
		    "%s: a comment stands on a line of its own", shown);
		return false;
	}
	return true;
}

/* Put the line where inih wants it, or its name if it is too long. */
static bool
hand_over(struct reader *rd, const char *text, char *str, size_t size)
{
	size_t len = strlen(text);
	size_t name_len = strcspn(text, "=") + 1;

	rd->long_value = NULL;
	if (len < size - 1) {
		memcpy(str, text, len + 1);
		return true;
	}
	if (name_len >= size - 1) {
		settings_fault(rd->faults, rd->line, "the name of the key is "
						     "too long");
		return false;
	}
	memcpy(str, text, name_len);
	str[name_len] = '\0';
	rd->long_value = text + name_len + strspn(text + name_len, BLANKS);
	return true;
}

/* inih's source of lines: as fgets(3). */
static char *
next_line(char *str, int num, void *stream)
{
	struct reader *rd = stream;
	bool end;
	char *text;

	if (num < 2)
		return NULL;
	for (;;) {
		if (rd->error != 0 ||
		    (rd->error = read_logical(rd, &end)) != 0 || end)
			return NULL;
		text = trim(rd->text);
		if (*text == '\0')
			continue;
		if (*text == '[')
			rd->error = parse_section(rd, text);
		else if (check_assignment(rd, text) &&
		    hand_over(rd, text, str, (size_t)num))
			return str;
	}
}

static int
on_value(void *user, const char *section, const char *name, const char *value)
{
	struct reader *rd = user;

	(void)section; /* inih's copy is cut at 50 bytes */
	if (rd->error == 0)
		rd->error = rd->ops->value(rd->ops->arg, rd->line, name,
		    rd->long_value != NULL ? rd->long_value : value);
	return 1;
}

/* --- the file --- */

static bool
check_file(int fd, struct settings_faults *faults)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		settings_fault(faults, 0, "%s", strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		settings_fault(faults, 0, "is no regular file");
		return false;
	}
	if (st.st_uid != 0 && st.st_uid != geteuid())
		settings_fault(faults, 0,
		    "belongs to uid %u, who could change it: chown it to root",
		    (unsigned int)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		settings_fault(faults, 0,
		    "others can write it (mode %04o): chmod go-w",
		    (unsigned int)(st.st_mode & 07777));
	return true;
}

int
settings_file_read(const char *path, struct settings_faults *faults,
    const struct settings_file_ops *ops)
{
	struct reader rd = {.faults = faults, .ops = ops};
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		settings_fault(faults, 0, "cannot open it: %s",
		    strerror(errno));
		return 0;
	}
	if (!check_file(fd, faults)) {
		(void)close(fd);
		return 0;
	}
	rd.f = fdopen(fd, "r");
	if (rd.f == NULL) {
		(void)close(fd);
		return ERR_NOMEM;
	}
	if (ini_parse_stream(next_line, &rd, on_value, &rd) == -2)
		rd.error = ERR_NOMEM;
	free(rd.raw);
	free(rd.text);
	(void)fclose(rd.f);
	return rd.error;
}
