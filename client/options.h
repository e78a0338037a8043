/*
 * Options of a command from a table: --name VALUE, --name=VALUE, -x VALUE,
 * -xVALUE, -xy for flags, and -- to end them.  Prints nothing and keeps no
 * state, unlike getopt(3); knows the nearest name of one mistyped.
 */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_NOT_GIVEN UINT64_MAX	/* of a duration */
#define OPTIONS_WHY_LEN 512

enum option_type {
	OPTION_FLAG,		/* to: bool */
	OPTION_TEXT,		/* to: const char *; the last one counts */
	OPTION_DURATION,	/* to: uint64_t, milliseconds */
	OPTION_LIST,		/* to: struct option_list, in their order */
};

/* Pointers into argv. */
struct option_list {
	char **v;		/* owned; NULL follows the last */
	size_t count;
};

struct option_spec {
	char letter;		/* '\0': none */
	const char *name;	/* without the dashes; NULL: none */
	enum option_type type;
	void *to;
	const char *arg;	/* what help calls the value */
	const char *help;	/* one line */
};

struct options {
	const struct option_spec *own;	/* of the command */
	size_t nown;
	const struct option_spec *common;
	size_t ncommon;
	bool stop_at_operand;	/* what follows the first one is all operands */
};

/*
 * Go through argv[0..argc).  ret_operands: what is no option.
 * Returns 0, ERR_BAD_REQUEST with what is wrong and what to do in why, or
 * ERR_NOMEM.  Lists are freed with options_list_free(), on error too.
 */
int options_parse(const struct options *o, int argc, char **argv,
    struct option_list *ret_operands, char why[OPTIONS_WHY_LEN]);

void options_list_free(struct option_list *list);

#endif /* CLIENT_OPTIONS_H */
