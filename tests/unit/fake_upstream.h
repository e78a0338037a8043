/*
 * A struct upstream that does what the test says.  Calls wait until they are
 * answered: one by one with what a test makes up, or all of them out of a
 * small table of things that a service has.
 */
#ifndef UNIT_FAKE_UPSTREAM_H
#define UNIT_FAKE_UPSTREAM_H

#include "agent_unit.h"

#include <sys/queue.h>

#include "upstream.h"

#define FAKE_KEY_MAX 32
#define FAKE_KEYS 8

/* A call under way. */
struct upstream_call {
	TAILQ_ENTRY(upstream_call) link;
	struct upstream_request req;	/* id is the copy */
	upstream_cb *cb;
	void *arg;
	char id[MSG_ID_MAX + 1];
	char key[FAKE_KEY_MAX];	/* that it was asked with */
	bool other_key;		/* which was not the one in force */
};

TAILQ_HEAD(fake_calls, upstream_call);

/* Something that the service has. */
struct fake_thing {
	enum ref_kind kind;
	const char *id;
	const char *name;	/* NULL: deleted */
	const char *value;
	uint64_t version;
	int64_t expires_at;
	int status;		/* 0: it can be read; else that is the answer */
	bool inactive;		/* in the listing */
	bool unlisted;		/* readable, but not in the listing */
	int64_t row_updated_at;	/* in the listing; 0: none, as in reads */
	bool nameless;		/* reads do not tell its name: a JWK */
	const char *field;	/* one more field, or NULL */
	const char *field_text;
};

/* What the service makes of an API key: this status for whatever it asks. */
struct fake_key {
	const char *key;
	int status;
};

#define FAKE_THINGS 300

/* How the service as a whole behaves. */
enum fake_mode {
	FAKE_OK,
	FAKE_NO_CONNECTION,
	FAKE_STATUS,		/* every answer has this status */
};

struct fake_upstream {
	struct upstream up;	/* first */
	struct fake_calls calls;
	struct fake_thing things[FAKE_THINGS];
	size_t nthings;
	enum fake_mode mode;
	int status;		/* FAKE_STATUS */
	uint64_t retry_after_ms;
	int64_t date_ms;	/* of answers; 0: none */
	int list_status;	/* of lists; 0: they work */
	int relay_status;	/* of what is handed on; 0: 200 */
	size_t page_size;	/* rows a page, at most; 0: as asked */
	bool bare_rows;		/* rows lack version and times */
	uint64_t total;		/* told on each page; 0: not told */
	int start_error;	/* of the next start; 0: none */
	int starts_fail;	/* of all of them */
	unsigned int started;
	unsigned int reads;
	unsigned int lists;
	unsigned int relays;
	unsigned int cancelled;
	unsigned int keys_set;
	unsigned int other_key_calls;	/* started with another key */
	char key[FAKE_KEY_MAX];	/* in force; "" until one is set */
	struct fake_key keys[FAKE_KEYS];
	unsigned int most;	/* calls under way at once */
	unsigned int under_way;
};

/* From now on this key gets that status, 0: what the table has. */
void fake_upstream_key(struct fake_upstream *fu, const char *key, int status);

void fake_upstream_init(struct fake_upstream *fu);
/* No call may be under way. */
void fake_upstream_done(struct fake_upstream *fu);

struct fake_thing *fake_upstream_add(struct fake_upstream *fu,
    enum ref_kind kind, const char *id, const char *name, const char *value);

/* The oldest call that waits, or the one about this id; NULL if none does. */
struct upstream_call *fake_upstream_first(struct fake_upstream *fu);
struct upstream_call *fake_upstream_find(struct fake_upstream *fu,
    const char *id);
size_t fake_upstream_waiting(const struct fake_upstream *fu);

/* The oldest of what is handed on to this target, or NULL. */
struct upstream_call *fake_upstream_relay(struct fake_upstream *fu,
    const char *target);
/* Answer what was handed on; or there is no answer. */
void fake_upstream_reply(struct fake_upstream *fu, struct upstream_call *call,
    int status, const char *body);
void fake_upstream_lose(struct fake_upstream *fu, struct upstream_call *call,
    bool unsent);

/* End one call with this answer; object and page go along. */
void fake_upstream_answer(struct fake_upstream *fu,
    struct upstream_call *call, struct upstream_answer *answer);
/* The same with an answer as the HTTP status of it would give. */
void fake_upstream_answer_status(struct fake_upstream *fu,
    struct upstream_call *call, int status);
/* And as the table and the mode have it. */
void fake_upstream_answer_table(struct fake_upstream *fu,
    struct upstream_call *call);

/* Run timers and answer calls out of the table until nothing is left to do. */
void fake_upstream_serve(struct fake_upstream *fu);
/* Let time pass in small steps and answer calls all the while. */
void fake_upstream_pass(struct fake_upstream *fu, uint64_t ms);

#endif /* UNIT_FAKE_UPSTREAM_H */
