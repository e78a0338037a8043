#include "config.h"

#include "flood.h"

#include <stdlib.h>

#include "limit.h"
#include "log.h"
#include "timers.h"

/* Users that are told apart; what the rest cause is one sum. */
#define FLOOD_USERS 64

static const char *const flood_what[FLOOD_KINDS] = {
	[FLOOD_DENIED] = "denied",
	[FLOOD_CLOSED] = "connections closed",
};

/* What was left out since it was last told. */
struct flood_user {
	uid_t uid;
	uint64_t count;		/* 0: the place is free, as all behind it */
	uint64_t since_boot_ms;
};

struct flood_part {
	struct limit *limit;
	struct flood_user users[FLOOD_USERS + 1]; /* the last: all others */
};

struct flood {
	struct timer *tell;
	bool telling;		/* tell is running */
	struct flood_part parts[FLOOD_KINDS];
};

static void flood_tell_cb(void *arg);

struct flood *
flood_new(struct event_base *base)
{
	struct flood *f;
	size_t i;

	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->tell = timer_new(base, flood_tell_cb, f);
	for (i = 0; i < FLOOD_KINDS; i++)
		f->parts[i].limit = limit_new_burst(FLOOD_PER_SECOND,
		    FLOOD_BURST);
	for (i = 0; i < FLOOD_KINDS; i++) {
		if (f->parts[i].limit == NULL || f->tell == NULL) {
			flood_free(f);
			return NULL;
		}
	}
	return f;
}

static void
flood_tell_user(struct flood_user *u, const char *what, bool others,
    const struct now *now)
{
	unsigned long long seconds, count = u->count;

	seconds = (now->boot_ms - u->since_boot_ms + 999) / 1000;
	u->count = 0;
	if (others)
		log_notice("%llu more %s for other users in the last %llu s",
		    count, what, seconds);
	else if (u->uid == (uid_t)-1)
		log_notice("%llu more %s for http in the last %llu s", count,
		    what, seconds);
	else
		log_notice("%llu more %s for uid %u in the last %llu s", count,
		    what, (unsigned int)u->uid, seconds);
}

static void
flood_tell(struct flood *f)
{
	struct now now;
	size_t i, j;

	clock_read(&now);
	for (i = 0; i < FLOOD_KINDS; i++) {
		for (j = 0; j <= FLOOD_USERS; j++) {
			if (f->parts[i].users[j].count > 0)
				flood_tell_user(&f->parts[i].users[j],
				    flood_what[i], j == FLOOD_USERS, &now);
		}
	}
}

static void
flood_tell_cb(void *arg)
{
	struct flood *f = arg;

	f->telling = false;
	flood_tell(f);
}

void
flood_free(struct flood *f)
{
	size_t i;

	if (f == NULL)
		return;
	flood_tell(f);
	timer_free(f->tell);
	for (i = 0; i < FLOOD_KINDS; i++)
		limit_free(f->parts[i].limit);
	free(f);
}

bool
flood_allows(struct flood *f, enum flood_kind kind, uid_t uid,
    const struct now *now)
{
	struct flood_part *part;
	struct flood_user *u;

	if (f == NULL)
		return true;
	part = &f->parts[kind];
	if (limit_take(part->limit, uid, now))
		return true;
	for (u = part->users; u < &part->users[FLOOD_USERS] && u->count > 0 &&
	    u->uid != uid; u++)
		;
	if (u->count++ == 0) {
		u->uid = uid;
		u->since_boot_ms = now->boot_ms;
	}
	if (!f->telling) {
		f->telling = true;
		timer_set(f->tell, FLOOD_TELL_MS);
	}
	return false;
}
