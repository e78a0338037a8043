/*
 * The table of plain settings ([agent], [upstream], [cache]).  For settings,
 * and for the tests of the manual.
 */
#ifndef AGENT_SETTINGS_TABLE_H
#define AGENT_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settings;
struct settings_key;

/*
 * Parse value into the place at s + key->offset, replacing what is there.
 * Returns 0, ERR_NOMEM, or ERR_BAD_REQUEST with the accepted forms in why.
 */
typedef int settings_value_fn(const struct settings_key *key,
    const char *value, void *target, char *why, size_t why_size);

struct settings_key {
	const char *section;
	const char *name;
	settings_value_fn *parse;
	size_t offset;		/* in struct settings */
	uint64_t min;		/* ms, bytes or number */
	uint64_t max;
	const char *fallback;	/* as it would be written; "" is unset, and
				 * then KEY= without a value is allowed */
	bool secret;		/* the value is not to be shown */
};

/* Ends with an entry without a name. */
extern const struct settings_key settings_keys[];

/* An empty value is for keys that may be unset. */
int settings_table_set(const struct settings_key *key, const char *value,
    struct settings *s, char *why, size_t why_size);

/* Release the strings and lists of the table. */
void settings_table_clear(struct settings *s);

#endif /* AGENT_SETTINGS_TABLE_H */
