#include "config.h"

#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "flood.h"
#include "log.h"
#include "peer.h"
#include "text.h"
#include "units.h"

#define LINE_BYTES 1800
#define REFERENCE_SHOWN 1000
#define TITLE_SHOWN 120

enum audit_sink {
	AUDIT_OFF,
	AUDIT_JOURNAL,
	AUDIT_FILE,
};

struct audit {
	enum audit_sink sink;
	char *path;
	int fd;			/* -1: could not be opened (again) */
	bool failed;		/* said so since the last success */
	struct flood *flood;	/* not ours; may be NULL */
};

/* Open for appending: a descriptor, or -1 with a sentence in why. */
static int
open_file(const char *path, char *why, size_t why_size)
{
	struct stat st;
	int fd;

	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
		O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0) {
		(void)snprintf(why, why_size, "%s: cannot open it: %s", path,
		    strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)close(fd);
	(void)snprintf(why, why_size, "%s: is no regular file", path);
	return -1;
}

struct audit *
audit_new(const char *where, char *why, size_t why_size)
{
	struct audit *a;

	a = calloc(1, sizeof(*a));
	if (a == NULL) {
		(void)snprintf(why, why_size, "out of memory");
		return NULL;
	}
	a->fd = -1;
	if (strcmp(where, "off") == 0)
		return a;
	if (strcmp(where, "journal") == 0) {
		a->sink = AUDIT_JOURNAL;
		return a;
	}
	a->sink = AUDIT_FILE;
	a->path = strdup(where);
	if (a->path == NULL)
		(void)snprintf(why, why_size, "out of memory");
	else
		a->fd = open_file(where, why, why_size);
	if (a->fd < 0) {
		audit_free(a);
		return NULL;
	}
	return a;
}

void
audit_free(struct audit *a)
{
	if (a == NULL)
		return;
	if (a->fd >= 0)
		(void)close(a->fd);
	free(a->path);
	free(a);
}

void
audit_set_flood(struct audit *a, struct flood *f)
{
	a->flood = f;
}

static void __attribute__((format(printf, 4, 5)))
append(char *line, size_t size, size_t *len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + *len, size - *len, fmt, ap);
	va_end(ap);
	if (n > 0)
		*len += (size_t)n;
	if (*len > size - 1)
		*len = size - 1;
}

/* Printable, and without the quotes that stand around it. */
static const char *
quotable(const void *p, size_t len, char *buf, size_t size)
{
	char *c;

	(void)text_printable(p, len, buf, size);
	for (c = buf; *c != '\0'; c++) {
		if (*c == '"')
			*c = '\'';
	}
	return buf;
}

static size_t
format(char *line, size_t size, struct peer *peer, const char *operation,
    struct view reference, int error, const char *rule)
{
	char shown[REFERENCE_SHOWN];
	size_t len = 0;

	append(line, size, &len, "%s %s",
	    peer_describe(peer, shown, sizeof(shown)), operation);
	if (reference.len > 0)
		append(line, size, &len, " \"%s\"",
		    quotable(reference.p, reference.len, shown,
			sizeof(shown)));
	append(line, size, &len, ": %s", error == 0 ? "allowed" :
		err_name(error));
	if (rule != NULL)
		append(line, size, &len, " (rule \"%s\")",
		    quotable(rule, strlen(rule), shown, TITLE_SHOWN));
	return len;
}

/* One write(2) a line: other processes may append to the file too. */
static void
write_file(struct audit *a, char *line, size_t len)
{
	ssize_t n;

	line[len++] = '\n';
	do {
		n = write(a->fd, line, len);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len) {
		a->failed = false;
		return;
	}
	if (!a->failed)
		log_error("audit log: %s: %s: records are lost", a->path,
		    n < 0 ? strerror(errno) : "no space");
	a->failed = true;
}

bool
audit_is_off(const struct audit *a)
{
	return a->sink == AUDIT_OFF;
}

bool
audit_wants_all(const struct audit *a)
{
	return a->sink == AUDIT_FILE;
}

static void
record_in_journal(struct audit *a, struct peer *peer, const char *operation,
    struct view reference, int error, const char *rule)
{
	char line[LINE_BYTES];
	struct now now;

	if (error == ERR_DENIED) {
		clock_read(&now);
		if (!flood_allows(a->flood, FLOOD_DENIED, peer_uid(peer),
		    &now))
			return;
	}
	(void)format(line, sizeof(line), peer, operation, reference, error,
	    rule);
	if (error == ERR_DENIED)
		log_notice("audit: %s", line);
	else
		log_info("audit: %s", line);
}

void
audit_record(struct audit *a, struct peer *peer, const char *operation,
    struct view reference, int error, const char *rule)
{
	char line[LINE_BYTES];
	char when[UNITS_TIME_LEN];
	struct now now;
	size_t len = 0;

	if (a->sink == AUDIT_OFF)
		return;
	if (a->sink == AUDIT_JOURNAL) {
		record_in_journal(a, peer, operation, reference, error, rule);
		return;
	}
	clock_read(&now);
	append(line, sizeof(line) - 1, &len, "%s ",
	    units_format_time(now.wall_ms, when));
	len += format(line + len, sizeof(line) - 1 - len, peer, operation,
	    reference, error, rule);
	write_file(a, line, len);
}
