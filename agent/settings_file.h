/*
 * Lines of a configuration file, and what is wrong with them.  For settings
 * only.
 *
 * Lines as systemd's: '#' or ';' begins a line of comment, a backslash at the
 * end continues a line, blanks around names and values do not count.
 */
#ifndef AGENT_SETTINGS_FILE_H
#define AGENT_SETTINGS_FILE_H

#include <stdio.h>

/* Where faults go; at line 0 they are about the file as a whole. */
struct settings_faults {
	FILE *out;		/* NULL: only counted */
	const char *file;
	unsigned int count;
};

/* Report a fault: FILE:LINE: TEXT. */
void settings_fault(struct settings_faults *faults, unsigned int line,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

struct settings_file_ops {
	/* title: NULL if there is none.  Returns 0 or ERR_NOMEM. */
	int (*section)(void *arg, unsigned int line, const char *name,
	    const char *title);
	int (*value)(void *arg, unsigned int line, const char *key,
	    const char *value);
	void *arg;
};

/*
 * Check the file's kind, owner and mode, and hand each section and value to
 * ops.  Faults are reported, and reading goes on behind them.
 * Returns 0 (look at faults->count) or ERR_NOMEM.
 */
int settings_file_read(const char *path, struct settings_faults *faults,
    const struct settings_file_ops *ops);

#endif /* AGENT_SETTINGS_FILE_H */
