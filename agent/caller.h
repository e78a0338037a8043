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
 * read: some fifteen of the largest frames.
 */
#define CALLER_BYTES_MAX (16u << 20)

struct caller {
	SLIST_ENTRY(caller) link;
	uid_t uid;
	unsigned int connections;
	size_t waiting;
	size_t bytes;
	unsigned int turn;	/* of the loop, which spent_ns is about */
	uint64_t spent_ns;	/* on what this user sent */
};

SLIST_HEAD(caller_list, caller);

#define CALLER_BUCKETS 64

struct callers {
	struct caller_list buckets[CALLER_BUCKETS];
};

void callers_init(struct callers *cs);

/* One more connection of that user; NULL for no memory. */
struct caller *caller_enter(struct callers *cs, uid_t uid);
/* And one less: c dies with the last.  NULL is fine. */
void caller_leave(struct callers *cs, struct caller *c);

/* How many connections the user has. */
unsigned int callers_connections(const struct callers *cs, uid_t uid);

#endif /* AGENT_CALLER_H */
