#include "config.h"

#include "caller.h"

#include <assert.h>
#include <stdlib.h>

static size_t
caller_share(size_t share_bytes, size_t one_bytes, size_t max_bytes)
{
	if (share_bytes > max_bytes)
		share_bytes = max_bytes;
	return share_bytes > one_bytes ? share_bytes : one_bytes;
}

void
callers_set_limits(struct callers *cs, size_t lockable_bytes,
    size_t one_bytes)
{
	cs->bytes_max = caller_share(lockable_bytes / 8, one_bytes,
	    CALLER_BYTES_MAX);
	cs->all_bytes_max = caller_share(lockable_bytes / 6, one_bytes,
	    CALLERS_BYTES_MAX);
}

void
callers_init(struct callers *cs, size_t lockable_bytes, size_t one_bytes)
{
	size_t i;

	cs->bytes = 0;
	cs->kept_bytes = 0;
	callers_set_limits(cs, lockable_bytes, one_bytes);
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
		c->all = cs;
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
	assert(c->waiting == 0 && c->bytes == 0 && c->watches == 0 &&
	    c->text_bytes == 0 && c->kept_bytes == 0 && c->streams == 0);
	SLIST_REMOVE(&cs->buckets[c->uid % CALLER_BUCKETS], c, caller, link);
	free(c);
}

void
caller_hold(struct callers *cs, struct caller *c, size_t before, size_t bytes)
{
	if (c == NULL)
		return;
	c->bytes = c->bytes - before + bytes;
	cs->bytes = cs->bytes - before + bytes;
}

struct caller *
callers_over(const struct callers *cs, struct caller *c)
{
	struct caller *one, *most = c;
	size_t i;

	if (cs->bytes <= cs->all_bytes_max)
		return c != NULL && c->bytes > cs->bytes_max ? c : NULL;
	for (i = 0; i < CALLER_BUCKETS; i++) {
		SLIST_FOREACH(one, &cs->buckets[i], link) {
			if (most == NULL || one->bytes > most->bytes)
				most = one;
		}
	}
	return most;
}

static bool
caller_fits(size_t bytes, size_t kept_bytes, size_t max_bytes)
{
	return kept_bytes < max_bytes && bytes <= max_bytes - kept_bytes;
}

bool
caller_keep(struct caller *c, size_t bytes)
{
	if (c == NULL || bytes == 0)
		return true;
	if (c->kept_bytes > 0 &&
	    (!caller_fits(bytes, c->kept_bytes, c->all->bytes_max) ||
	    !caller_fits(bytes, c->all->kept_bytes, c->all->all_bytes_max)))
		return false;
	c->kept_bytes += bytes;
	c->all->kept_bytes += bytes;
	return true;
}

void
caller_give_back(struct caller *c, size_t bytes)
{
	if (c == NULL || bytes == 0)
		return;
	assert(bytes <= c->kept_bytes);
	c->kept_bytes -= bytes;
	c->all->kept_bytes -= bytes;
}

unsigned int
callers_connections(const struct callers *cs, uid_t uid)
{
	const struct caller *c = caller_find(cs, uid);

	return c != NULL ? c->connections : 0;
}
