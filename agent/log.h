/*
 * The daemon's log: one line an event on standard error, with the journal's
 * "<N>" priority prefix where standard error is connected to the journal
 * ($JOURNAL_STREAM), with a time and a level name elsewhere.
 *
 * It never blocks: while standard error is a pipe or a socket that nobody
 * reads, lines are lost, and how many is told once it is read again.
 *
 * Never a value, a key or a body of the service.  Text from outside goes
 * through text_printable() first.
 */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

enum log_level {	/* syslog's numbers */
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* Finds out whether standard error is the journal. */
void log_init(void);
void log_set_level(enum log_level level);
/* "error", "warning", "notice", "info", "debug"; -1 for no such name. */
int log_level_from_name(const char *name);

/* Tell how many lines were lost, if it is read again.  Now and then. */
void log_flush(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* AGENT_LOG_H */
