/*
 * What the agent answered, kept for the caller: items and stats.
 *
 * The public accessors of both are in items.c too.  Every item owns one
 * block that holds its texts and value, wiped when it is freed.
 */
#ifndef CLIENT_ITEMS_H
#define CLIENT_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "msg.h"
#include "qapi-agent.h"

/* So that an agent gone wrong cannot fill the memory of its client. */
#define ITEMS_BYTES_MAX ((size_t)1 << 30)
#define STATS_MAX 1024

struct qapi_agent_item {
	bool answered;
	int error;
	char *ref;		/* owned; NULL in a listing */
	enum qapi_agent_kind kind;
	char *store;		/* owned; what the following point into */
	size_t store_len;
	const char *message;	/* NULL: none */
	bool has_position;
	bool changed;		/* of REJECT */
	unsigned char position[MSG_POSITION_LEN];
	const char *id;
	const char *name;
	const char *value;	/* NULL: none */
	size_t value_len;
	uint64_t version;
	enum qapi_agent_freshness freshness;
	enum qapi_agent_content content;
	uint64_t age_ms;
	int64_t updated_at;
	int64_t expires_at;
};

struct qapi_agent_items {
	struct qapi_agent_item *v;
	size_t count;
	size_t size;		/* items that v has room for */
	size_t bytes;		/* in the stores of all */
	enum qapi_agent_freshness freshness;
	uint64_t age_ms;
};

/* Of count items without answers.  NULL: no memory. */
struct qapi_agent_items *items_new(size_t count);

/*
 * Answer item i; everything is copied.  A message, if any, is the answer's.
 * Returns 0, ERR_NOMEM, or ERR_TOO_LARGE for more than ITEMS_BYTES_MAX in all.
 */
int items_answer(struct qapi_agent_items *items, size_t i,
    const struct msg_result *m);

/* Answer item i with an error; without memory the message is left out. */
void items_fail(struct qapi_agent_items *items, size_t i, int error,
    const char *message);

/* Copy a view and a NUL to *at, which is advanced; NULL for an empty one. */
const char *items_put(char **at, struct view v);

/* Append a row of a listing.  Returns as items_answer(). */
int items_add_row(struct qapi_agent_items *items, const struct msg_row *row);

struct stat_entry {
	char *name;		/* owned; text follows it in one block */
	const char *text;	/* NULL: none */
	uint64_t number;
	enum qapi_agent_stat_type type;
};

struct qapi_agent_stats {
	struct stat_entry *v;
	size_t count;
	size_t size;
};

struct qapi_agent_stats *stats_new(void);
/* Returns 0, ERR_NOMEM, or ERR_TOO_LARGE for more than STATS_MAX. */
int stats_add(struct qapi_agent_stats *stats, const struct msg_stat *m);

#endif /* CLIENT_ITEMS_H */
