/*
 * What one user of the system holds of the agent, over all of its connections:
 * so that no user can take what the others need.
 *
 * A record lives as long as its user has a connection.  Event-loop thread
 * only.
 */
#ifndef AGENT_CALLER_H
#define AGENT_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/queue.h>
#include <sys/types.h>

/*
 * References that wait for the service: each is a place in the queue for it,
 * ahead of those of others who ask later.
 */
#define CALLER_WAITING_MAX 4096
/* With more than this, those of other users who wait for less go first. */
#define CALLER_WAITING_LIGHT 64
/*
 * Secret memory for frames that came in part, and for answers that are not
 * read: of one user some fifteen of the largest frames, and of all together
 * four times that; less where less can be locked.
 */
#define CALLER_BYTES_MAX (16u << 20)
#define CALLERS_BYTES_MAX (64u << 20)

/* References that it watches: some 500 bytes each. */
#define CALLER_WATCHES_MAX 16384
/* Ordinary memory for long answers: metrics with names. */
#define CALLER_TEXT_MAX (4u << 20)
/* Envelopes that it seals or opens: a kilobyte each. */
#define CALLER_STREAMS_MAX 256

struct caller {
	SLIST_ENTRY(caller) link;
	uid_t uid;
	unsigned int connections;
	size_t waiting;
	size_t watches;
	size_t text_bytes;
	size_t bytes;		/* by caller_hold() */
	size_t kept_bytes;	/* by caller_keep() */
	size_t streams;
	struct callers *all;
	unsigned int turn;	/* of the loop, which spent_ns is about */
	uint64_t spent_ns;	/* on what this user sent */
};

SLIST_HEAD(caller_list, caller);

#define CALLER_BUCKETS 64

struct callers {
	size_t bytes;		/* of all */
	size_t kept_bytes;	/* of all */
	size_t bytes_max;	/* of one: of either kind */
	size_t all_bytes_max;
	struct caller_list buckets[CALLER_BUCKETS];
};

/*
 * lockable_bytes: how much secret memory there can be, SIZE_MAX for no limit;
 * one_bytes: what the largest message takes, which there is room for in any
 * case.
 */
void callers_init(struct callers *cs, size_t lockable_bytes, size_t one_bytes);
/* Other bounds, for those who are there too. */
void callers_set_limits(struct callers *cs, size_t lockable_bytes,
    size_t one_bytes);

/* One more connection of that user; NULL for no memory. */
struct caller *caller_enter(struct callers *cs, uid_t uid);
/* And one less: c dies with the last.  NULL is fine. */
void caller_leave(struct callers *cs, struct caller *c);

/* c holds so much in place of what it held before; NULL is fine. */
void caller_hold(struct callers *cs, struct caller *c, size_t before,
    size_t bytes);

/*
 * Who has to give some of it back: the one who holds the most if all together
 * hold too much, else c if it does; NULL: nobody.
 */
struct caller *callers_over(const struct callers *cs, struct caller *c);

/*
 * c wants to keep so many bytes of secret memory more, until it gives them
 * back: what whole requests bring along, and answers that
 * wait to be read.  It has an account of its own, as frames in part do.
 * False: that is more than its share, or than all may have.  Who keeps nothing
 * may keep anything.  NULL is fine.
 */
bool caller_keep(struct caller *c, size_t bytes);
void caller_give_back(struct caller *c, size_t bytes);

/* How many connections the user has. */
unsigned int callers_connections(const struct callers *cs, uid_t uid);

#endif /* AGENT_CALLER_H */
