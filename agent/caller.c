#include "config.h"

#include "caller.h"

#include <assert.h>
#include <stdlib.h>

void
callers_init(struct callers *cs)
{
	size_t i;

	for (i = 0; i < CALLER_BUCKETS; i++)
		SLIST_INIT(&cs->buckets[i]);
}

static struct caller *
caller_find(const struct callers *cs, uid_t uid)
{
	struct caller *c;

	SLIST_FOREACH(c, &cs->buckets[uid % CALLER_BUCKETS], link) {
		if (c->uid == uid)
			return c;
	}
	return NULL;
}

struct caller *
caller_enter(struct callers *cs, uid_t uid)
{
	struct caller *c = caller_find(cs, uid);

	if (c == NULL) {
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			return NULL;
		c->uid = uid;
		SLIST_INSERT_HEAD(&cs->buckets[uid % CALLER_BUCKETS], c, link);
	}
	c->connections++;
	return c;
}

void
caller_leave(struct callers *cs, struct caller *c)
{
	if (c == NULL || --c->connections > 0)
		return;
	assert(c->waiting == 0 && c->bytes == 0);
	SLIST_REMOVE(&cs->buckets[c->uid % CALLER_BUCKETS], c, caller, link);
	free(c);
}

unsigned int
callers_connections(const struct callers *cs, uid_t uid)
{
	const struct caller *c = caller_find(cs, uid);

	return c != NULL ? c->connections : 0;
}
