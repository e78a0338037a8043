#include "config.h"

#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "units.h"

#define LINE_MAX_BYTES 1500

static const struct {
	enum log_level level;
	const char *name;
} level_names[] = {
	{LOG_LEVEL_ERROR, "error"},
	{LOG_LEVEL_WARNING, "warning"},
	{LOG_LEVEL_NOTICE, "notice"},
	{LOG_LEVEL_INFO, "info"},
	{LOG_LEVEL_DEBUG, "debug"},
};

#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

/* The one mutable global that the style guide allows. */
static enum log_level max_level = LOG_LEVEL_INFO;
static bool to_journal;
static mode_t stderr_type;	/* S_IFMT of standard error; 0: not known */
static uint64_t dropped;	/* lines, since the last one that was written */

/*
 * $JOURNAL_STREAM is inherited by whatever a service starts, so it says
 * something only while its device and inode are those of standard error.
 */
void
log_init(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev;
	unsigned long long ino;
	char rest;
	struct stat st = {.st_mode = 0};

	(void)fstat(STDERR_FILENO, &st);
	stderr_type = st.st_mode & S_IFMT;
	to_journal = text != NULL && stderr_type != 0 &&
	    sscanf(text, "%llu:%llu%c", &dev, &ino, &rest) == 2 &&
	    st.st_dev == (dev_t)dev &&
	    st.st_ino == (ino_t)ino;
}

void
log_set_level(enum log_level level)
{
	max_level = level;
}

int
log_level_from_name(const char *name)
{
	size_t i;

	for (i = 0; i < LEVELS; i++) {
		if (strcmp(level_names[i].name, name) == 0)
			return (int)level_names[i].level;
	}
	return -1;
}

static const char *
level_name(enum log_level level)
{
	size_t i;

	for (i = 0; i < LEVELS; i++) {
		if (level_names[i].level == level)
			return level_names[i].name;
	}
	return "?";
}

/* What stands before the text; its length. */
static size_t
prefix(enum log_level level, char *line, size_t size)
{
	char when[UNITS_TIME_LEN];
	struct now now;
	int n;

	if (to_journal) {
		n = snprintf(line, size, "<%d>", (int)level);
	} else {
		clock_read(&now);
		n = snprintf(line, size, "%s %s: ",
		    units_format_time(now.wall_ms, when), level_name(level));
	}
	return n < 0 ? 0 : (size_t)n;
}

/*
 * Where standard error is a pipe that nobody reads, write(2) would stop the
 * daemon.  O_NONBLOCK would be set for all who share it, so it is asked first:
 * a pipe that is writable has room for PIPE_BUF bytes, which a line is shorter
 * than.
 */
static bool
has_room(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	int n;

	if (stderr_type == S_IFREG)
		return true;
	do {
		n = poll(&p, 1, 0);
	} while (n < 0 && errno == EINTR);
	return n != 0;
}

/* One write(2) a line, so lines of two processes do not mix. */
static bool
write_whole(const char *line, size_t len)
{
	ssize_t n;

	if (stderr_type == S_IFSOCK) {
		do {
			n = send(STDERR_FILENO, line, len,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		} while (n < 0 && errno == EINTR);
		return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
	}
	if (!has_room())
		return false;
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
	return true;
}

/* How many were lost, before the first line that is not. */
static bool
write_dropped(void)
{
	char line[200];
	size_t len;
	int n;

	if (dropped == 0)
		return true;
	len = prefix(LOG_LEVEL_WARNING, line, sizeof(line));
	n = snprintf(line + len, sizeof(line) - len, "%llu lines of this log "
	    "are lost: standard error was not read\n",
	    (unsigned long long)dropped);
	if (n < 0 || !write_whole(line, len + (size_t)n))
		return false;
	dropped = 0;
	return true;
}

void
log_flush(void)
{
	int saved_errno = errno;

	(void)write_dropped();
	errno = saved_errno;
}

/* Never two lines, whatever was in the arguments. */
static void __attribute__((format(printf, 2, 0)))
write_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int saved_errno = errno;
	size_t start;
	size_t len;
	size_t i;
	int n;

	if (level > max_level)
		return;
	start = prefix(level, line, sizeof(line));
	errno = saved_errno; /* for %m */
	n = vsnprintf(line + start, sizeof(line) - start - 1, fmt, ap);
	len = start + (n < 0 ? 0 : (size_t)n);
	if (len > sizeof(line) - 2) {
		len = sizeof(line) - 2;
		memcpy(line + len - 3, "...", 3);
	}
	for (i = start; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	if (!write_dropped() || !write_whole(line, len))
		dropped++;
	errno = saved_errno;
}

#define LOG_FUNCTION(name, level)                                              \
	void name(const char *fmt, ...)                                        \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		write_line(level, fmt, ap);                                    \
		va_end(ap);                                                    \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_notice, LOG_LEVEL_NOTICE)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
