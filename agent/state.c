#include "config.h"

#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "names.h"
#include "state_fault.h"
#include "state_fds.h"
#include "state_keys.h"
#include "state_load.h"
#include "state_place.h"
#include "state_save.h"
#include "timers.h"

/*
 * How often it is looked for changes, and so how often a snapshot is made at
 * most.  Contract: on the disk at most two seconds after a change; half of it
 * is for making the snapshot.
 */
#define STATE_TICK_MS 1000
#define STATE_WAIT_MS 5		/* for the disk, while one is made */
/* Between two that only have younger ages, and after a failure. */
#define STATE_CONFIRM_MIN_MS (60u * 1000)
#define STATE_CONFIRM_MAX_MS (15u * 60 * 1000)
#define STATE_RETRY_MS (5u * 1000)
/* What was restored is asked for within so long. */
#define STATE_SPREAD_MAX_MS (20u * 1000)
#define STATE_STOP_TRIES 100u	/* of 10 ms each, for the manager to read */

#define STATE_WHY 512
#define STATE_CANDIDATES_MAX (STATE_FDS_MAX + 1u)

/* What was seen of the cache when a snapshot was begun. */
struct marks {
	uint64_t changes;
	uint64_t confirms;
	size_t stale;
	bool unauthorized;
	const struct listing *lists[2]; /* to compare, not to look into */
};

struct state {
	struct fetch *fetch;
	char *url;
	uint64_t confirm_ms;
	uint64_t grace_ms;
	struct state_keys keys;
	struct state_place place;
	bool has_file;
	struct state_fds fds;
	uint8_t boot_id[SEAL_BOOT_ID_BYTES];
	struct timer *timer;
	struct timer *grace;	/* of a refusal before the restart */
	struct state_save *save; /* under way */
	bool to_file;		/* it goes to the file too */
	uint64_t sequence;	/* of the newest that was seen or begun */
	struct marks marks;	/* of the newest begun */
	bool dirty;		/* save in any case */
	uint64_t begun_boot_ms;	/* the newest begun; 0: none */
	uint64_t retry_boot_ms;	/* not before, after a failure */
	bool refused;		/* the service refuses the key, since then: */
	uint64_t refused_boot_ms;
	bool saved;
	uint64_t saved_boot_ms;	/* when the newest whole one was begun */
	uint64_t saved_items;
	char error[STATE_WHY];	/* "": none */
};

/* Not after a fault of its key, which only a restart mends. */
static bool
state_is_usable(const struct state *s)
{
	return s->has_file || s->fds.enabled;
}

/* --- what went wrong --- */

/* Once for each kind of failure, not every five seconds. */
static void __attribute__((format(printf, 2, 3)))
state_fail(struct state *s, const char *fmt, ...)
{
	char text[STATE_WHY];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, s->error) == 0)
		return;
	memcpy(s->error, text, sizeof(text));
	log_error("%s", text);
}

static const char *
state_file_text(int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT:
		return "no space left: make room";
	case ELOOP:
		return "is a symbolic link: name the file itself";
	case EEXIST:
		return "there is something that is no file: name another one";
	default:
		return strerror(-error);
	}
}

/* --- has anything changed --- */

static void
state_look(const struct state *s, struct marks *ret)
{
	struct names *names = fetch_names(s->fetch);
	struct cache_stats cache;

	cache_get_stats(fetch_cache(s->fetch), &cache);
	memset(ret, 0, sizeof(*ret));
	ret->changes = cache.changes;
	ret->confirms = cache.confirms;
	ret->stale = cache.stale;
	ret->unauthorized = s->refused;
	ret->lists[0] = names_listing(names, REF_SECRET);
	ret->lists[1] = names_listing(names, REF_KEY);
}

static bool
state_is_due(const struct state *s, const struct now *now)
{
	struct marks m;
	bool younger;

	if (now->boot_ms < s->retry_boot_ms)
		return false;
	state_look(s, &m);
	if (s->dirty || m.changes != s->marks.changes ||
	    m.unauthorized != s->marks.unauthorized ||
	    m.lists[0] != s->marks.lists[0] || m.lists[1] != s->marks.lists[1])
		return true;
	younger = m.confirms != s->marks.confirms ||
	    m.stale != s->marks.stale;
	return younger && now->boot_ms - s->begun_boot_ms >= s->confirm_ms;
}

/*
 * Since when the service has refused the API key: a restart must not begin
 * unauthorized-grace anew.
 */
static void
state_watch_refusal(struct state *s, const struct now *now)
{
	struct jobs_stats jobs;

	fetch_get_stats(s->fetch, &jobs);
	if (jobs.state == JOBS_UNAUTHORIZED && !s->refused) {
		s->refused = true;
		s->refused_boot_ms = now->boot_ms;
	} else if (jobs.state == JOBS_OK && s->refused) {
		s->refused = false;
		timer_stop(s->grace);
	}
}

static void
state_grace_cb(void *arg)
{
	struct state *s = arg;
	struct now now;

	clock_read(&now);
	state_watch_refusal(s, &now);
	if (!s->refused)
		return;
	(void)fetch_purge_all(s->fetch);
	log_error("unauthorized-grace, which began before the restart, is "
	    "over: everything cached was wiped");
}

/* --- saving --- */

static void
state_try_again(struct state *s)
{
	s->dirty = true;
	s->retry_boot_ms = s->begun_boot_ms + STATE_RETRY_MS;
}

static void
state_saved(struct state *s, uint64_t items)
{
	s->saved = true;
	s->saved_boot_ms = s->begun_boot_ms;
	s->saved_items = items;
	if (s->error[0] == '\0')
		return;
	s->error[0] = '\0';
	log_notice("snapshots of the cache are saved again");
}

static void
state_finish(struct state *s)
{
	struct state_writer *w = state_save_writer(s->save);
	uint64_t items = state_save_items(s->save);
	int file = state_writer_file_error(w);
	int memory = state_writer_memory_error(w);
	int fd = state_writer_take_memory(w);

	state_save_free(s->save);
	s->save = NULL;
	if (fd >= 0)
		state_fds_store(&s->fds, fd);
	(void)state_fds_send(&s->fds);
	if (file != 0) {
		state_fail(s, "state-file: %s: cannot be written: %s",
		    s->place.path, state_file_text(file));
		/* the directory may be another one by now */
		state_place_close(&s->place);
	} else if (memory != 0) {
		state_fail(s, "snapshot in memory for the service manager: "
		    "%s", strerror(-memory));
	}
	if (file != 0 || memory != 0 || s->to_file != s->has_file)
		state_try_again(s);
	else
		state_saved(s, items);
}

static void
state_begin(struct state *s, const struct now *now)
{
	struct state_save_config cfg = {
		.cache = fetch_cache(s->fetch),
		.names = fetch_names(s->fetch),
		.key = state_keys_key(&s->keys),
		.api = state_keys_api(&s->keys),
		.url = { (const uint8_t *)s->url, strlen(s->url) },
		.info = {
			.source = state_keys_source(&s->keys),
			.sequence = s->sequence + 1,
		},
		.facts = {
			.wall_floor_ms = cache_get_wall_floor(
			    fetch_cache(s->fetch), now),
			.unauthorized_ms = s->refused
			    ? now->boot_ms - s->refused_boot_ms + 1 : 0,
		},
		.memory = s->fds.enabled,
	};
	char why[STATE_WHY];

	s->begun_boot_ms = now->boot_ms;
	s->retry_boot_ms = 0;
	memcpy(cfg.info.boot_id, s->boot_id, sizeof(cfg.info.boot_id));
	s->to_file = s->has_file && state_place_open(&s->place, why,
	    sizeof(why)) == 0;
	if (s->to_file)
		cfg.place = &s->place;
	else if (s->has_file)
		state_fail(s, "%s", why);
	if (!s->to_file && !cfg.memory) {
		state_try_again(s);
		return;
	}
	if (state_save_new(&cfg, now, &s->save) != 0) {
		state_fail(s, "snapshot: no memory for it now");
		state_try_again(s);
		return;
	}
	state_look(s, &s->marks);
	s->dirty = false;
	s->sequence++;
}

/* A tick after the last one was begun, not after it was done. */
static uint64_t
state_rest_ms(const struct state *s, const struct now *now)
{
	uint64_t since = now->boot_ms - s->begun_boot_ms;

	return since < STATE_TICK_MS ? STATE_TICK_MS - since : STATE_WAIT_MS;
}

/* One slice; when to come back. */
static uint64_t
state_go_on(struct state *s, const struct now *now)
{
	switch (state_save_step(s->save)) {
	case STATE_MORE:
		return 0;
	case STATE_WAIT:
		return STATE_WAIT_MS;
	case STATE_DONE:
		if (!state_writer_is_done(state_save_writer(s->save)))
			return STATE_WAIT_MS;
		state_finish(s);
		return state_rest_ms(s, now);
	case STATE_FAILED:
		break;
	}
	state_save_free(s->save);
	s->save = NULL;
	state_try_again(s);
	state_fail(s, "snapshot: no memory for it now");
	return STATE_TICK_MS;
}

static void
state_cb(void *arg)
{
	struct state *s = arg;
	struct now now;
	uint64_t wait = STATE_TICK_MS;

	clock_read(&now);
	if (s->save == NULL) {
		state_watch_refusal(s, &now);
		(void)state_fds_send(&s->fds);
		if (state_is_due(s, &now))
			state_begin(s, &now);
	}
	if (s->save != NULL)
		wait = state_go_on(s, &now);
	timer_set(s->timer, wait);
}

void
state_key_changed(struct state *s, const struct secmem *api_keys,
    size_t napi_keys)
{
	if (s == NULL || napi_keys == 0 || !state_is_usable(s))
		return;
	if (state_keys_set_api(&s->keys, api_keys, napi_keys) != 0) {
		state_fail(s, "snapshot: no memory for the new API key; "
		    "snapshots stay sealed with the old one");
		return;
	}
	/* that the old one was refused means nothing now */
	s->refused = false;
	timer_stop(s->grace);
	state_save_free(s->save);
	s->save = NULL;
	s->dirty = true;
	timer_set(s->timer, 0);
}

/* The same without a loop: nothing else is going on any more. */
static void
state_save_now(struct state *s, const struct now *now)
{
	struct state_writer *w;
	enum state_progress p;

	state_begin(s, now);
	if (s->save == NULL)
		return;
	w = state_save_writer(s->save);
	while ((p = state_save_step(s->save)) == STATE_MORE ||
	    p == STATE_WAIT) {
		if (p == STATE_WAIT)
			state_writer_wait(w);
	}
	if (p == STATE_DONE) {
		state_writer_wait(w);
		state_finish(s);
	}
}

void
state_stop(struct state *s)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	struct cache_stats stats;
	struct now now;
	unsigned int i;

	if (s == NULL || !state_is_usable(s))
		return;
	clock_read(&now);
	state_watch_refusal(s, &now);
	state_save_free(s->save);
	s->save = NULL;
	cache_get_stats(fetch_cache(s->fetch), &stats);
	/* Nothing ever was in it: then a file that was refused is no use. */
	if (stats.secrets + stats.keys > 0 || s->begun_boot_ms != 0 ||
	    s->dirty || state_is_due(s, &now))
		state_save_now(s, &now);
	for (i = 0; i < STATE_STOP_TRIES && !state_fds_send(&s->fds); i++)
		(void)nanosleep(&pause, NULL);
}

/* --- taking over --- */

struct candidate {
	int fd;
	const char *where;
	bool is_file;
	unsigned int slot;	/* of the store */
	enum state_fault fault;
	int error;		/* errno of STATE_IO */
	struct seal_info info;
};

/* The newest first, as the headers claim; what has none comes last. */
static int
candidate_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if ((x->fault == STATE_OK) != (y->fault == STATE_OK))
		return x->fault == STATE_OK ? -1 : 1;
	if (x->info.sequence != y->info.sequence)
		return x->info.sequence > y->info.sequence ? -1 : 1;
	/* the same one twice: memory is quicker */
	return (int)x->is_file - (int)y->is_file;
}

static void
candidate_peek(struct candidate *c)
{
	c->fault = state_load_peek(c->fd, &c->info);
	c->error = errno;
}

static size_t
candidates_find(struct state *s, struct candidate *ret)
{
	struct state_fds_kept kept[STATE_FDS_MAX];
	char why[STATE_WHY];
	size_t i, n;
	int fd, r;

	n = state_fds_take(&s->fds, kept);
	for (i = 0; i < n; i++)
		ret[i] = (struct candidate){ .fd = kept[i].fd,
		    .where = "snapshot kept by the service manager",
		    .slot = kept[i].slot };
	if (s->has_file) {
		r = state_place_open(&s->place, why, sizeof(why));
		if (r == 0)
			r = state_place_read(&s->place, &fd, why, sizeof(why));
		if (r == 0)
			ret[n++] = (struct candidate){ .fd = fd,
			    .where = s->place.path, .is_file = true };
		else if (s->place.dir_fd < 0 || r != ERR_NOT_FOUND)
			state_fail(s, "%s", why);
	}
	for (i = 0; i < n; i++)
		candidate_peek(&ret[i]);
	qsort(ret, n, sizeof(*ret), candidate_compare);
	return n;
}

/* It is of no use: say so, and put a file out of the way of the next. */
static void
candidate_refuse(struct state *s, const struct candidate *c)
{
	log_warning("%s%s: not taken over: %s%s%s", c->is_file
	    ? "state-file: " : "", c->where, state_fault_text(c->fault),
	    c->fault == STATE_IO ? ": " : "",
	    c->fault == STATE_IO ? strerror(c->error) : "");
	if (!c->is_file || c->fault == STATE_NOMEM || c->fault == STATE_IO)
		return;
	if (state_place_set_aside(&s->place) == 0)
		log_notice("state-file: %s: kept as %s", c->where,
		    s->place.bad);
}

static void
candidate_accept(struct state *s, const struct candidate *c,
    const struct state_loaded *got, const struct now *now)
{
	log_notice("%s%s: taken over: %llu values and %llu names, as of %llu "
	    "s ago", c->is_file ? "state-file: " : "", c->where,
	    (unsigned long long)got->items, (unsigned long long)got->rows,
	    (unsigned long long)got->away_ms / 1000);
	if (got->dropped > 0)
		log_warning("%llu values of it were too large: see "
		    "max-memory=", (unsigned long long)got->dropped);
	state_keys_use(&s->keys, got->api_number);
	s->sequence = got->info.sequence;
	s->saved = true;
	s->saved_boot_ms = now->boot_ms - got->away_ms;
	s->saved_items = got->items;
	if (!c->is_file)
		state_fds_taken_over(&s->fds, c->slot);
	if (got->unauthorized_ms == 0)
		return;
	s->refused = true;
	s->refused_boot_ms = now->boot_ms - got->unauthorized_ms;
	if (got->unauthorized_ms >= s->grace_ms)
		state_grace_cb(s);
	else
		timer_set(s->grace, s->grace_ms - got->unauthorized_ms);
}

static void
state_take_over(struct state *s, uint64_t spread_ms, const struct now *now,
    size_t *ret_api_key)
{
	struct candidate found[STATE_CANDIDATES_MAX];
	struct state_load_key keys[STATE_LOAD_KEYS_MAX];
	struct state_load_config cfg = {
		.cache = fetch_cache(s->fetch),
		.names = fetch_names(s->fetch),
		.keys = keys,
		.nkeys = state_keys_for_load(&s->keys, keys),
		.url = { (const uint8_t *)s->url, strlen(s->url) },
		.spread_ms = spread_ms,
	};
	size_t i, n = candidates_find(s, found);
	const struct candidate *taken = NULL;
	struct state_loaded got;
	struct candidate *c;

	memcpy(cfg.boot_id, s->boot_id, sizeof(cfg.boot_id));
	for (i = 0; i < n; i++) {
		c = &found[i];
		if (c->fault == STATE_OK && taken != NULL) {
			if (c->info.sequence < s->sequence)
				c->fault = STATE_OLDER;
		} else if (c->fault == STATE_OK) {
			c->fault = state_load(&cfg, c->fd, now, &got);
			c->error = errno;
			if (c->fault == STATE_OK) {
				candidate_accept(s, c, &got, now);
				*ret_api_key = got.api_number;
				taken = c;
			}
		}
		if (c->fault != STATE_OK)
			candidate_refuse(s, c);
		(void)close(c->fd);
	}
	if (taken == NULL)
		return;
	/* Where it is not yet, it is to be. */
	s->dirty = s->fds.enabled || !taken->is_file;
	fetch_restored(s->fetch);
}

/* --- life --- */

/*
 * The unit that comes with the agent hides /proc/sys, and says instead.
 */
static void
state_read_boot_id(uint8_t ret[SEAL_BOOT_ID_BYTES])
{
	char text[64] = "", digits[3] = "";
	const char *env = getenv("QAPI_AGENT_BOOT_ID");
	size_t i, n = 0;
	FILE *f;

	memset(ret, 0, SEAL_BOOT_ID_BYTES);
	f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (f != NULL) {
		if (fgets(text, sizeof(text), f) == NULL)
			text[0] = '\0';
		(void)fclose(f);
	} else if (env != NULL) {
		(void)snprintf(text, sizeof(text), "%s", env);
	}
	for (i = 0; text[i] != '\0' && n < 2 * (size_t)SEAL_BOOT_ID_BYTES;
	    i++) {
		if (strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			continue;
		digits[n % 2] = text[i];
		if (++n % 2 == 0)
			ret[n / 2 - 1] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if (n < 2 * (size_t)SEAL_BOOT_ID_BYTES)
		memset(ret, 0, SEAL_BOOT_ID_BYTES);
}

static uint64_t
state_confirm_interval(uint64_t refresh_ms)
{
	uint64_t quarter = refresh_ms / 4;

	if (quarter < STATE_CONFIRM_MIN_MS)
		return STATE_CONFIRM_MIN_MS;
	return quarter < STATE_CONFIRM_MAX_MS ? quarter : STATE_CONFIRM_MAX_MS;
}

void
state_configure(struct state *s, uint64_t refresh_interval_ms,
    uint64_t unauthorized_grace_ms)
{
	if (s == NULL)
		return;
	s->confirm_ms = state_confirm_interval(refresh_interval_ms);
	s->grace_ms = unauthorized_grace_ms;
}

static int
state_build(struct state *s, struct event_base *base,
    const struct state_config *cfg)
{
	char why[STATE_WHY];
	int r;

	state_configure(s, cfg->refresh_interval_ms,
	    cfg->unauthorized_grace_ms);
	s->place.dir_fd = s->place.lock_fd = -1;
	s->url = strdup(cfg->url);
	if (s->url == NULL || (cfg->file != NULL &&
	    state_place_init(&s->place, cfg->file) != 0))
		return ERR_NOMEM;
	s->has_file = cfg->file != NULL;
	s->timer = timer_new(base, state_cb, s);
	s->grace = timer_new(base, state_grace_cb, s);
	if (s->timer == NULL || s->grace == NULL)
		return ERR_NOMEM;
	r = state_keys_init(&s->keys, cfg->key_file, cfg->api_keys,
	    cfg->napi_keys, why, sizeof(why));
	if (r == ERR_NOMEM)
		return r;
	if (r != 0) {
		state_fail(s, "%s; the cache is not kept across restarts",
		    why);
		s->has_file = s->fds.enabled = false;
	}
	return 0;
}

int
state_new(struct event_base *base, struct fetch *fetch,
    const struct state_config *cfg, struct state **ret_state,
    size_t *ret_api_key)
{
	uint64_t spread = cfg->refresh_interval_ms / 4;
	struct state *s = calloc(1, sizeof(*s));
	struct now now;
	int r;

	*ret_state = NULL;
	*ret_api_key = 0;
	if (s == NULL)
		return ERR_NOMEM;
	s->fetch = fetch;
	state_fds_init(&s->fds);
	if (cfg->napi_keys == 0 || (cfg->file == NULL && !s->fds.enabled)) {
		free(s);
		return 0;
	}
	if ((r = state_build(s, base, cfg)) != 0) {
		state_free(s);
		return r;
	}
	*ret_state = s;
	if (!state_is_usable(s))
		return 0;
	state_read_boot_id(s->boot_id);
	clock_read(&now);
	state_take_over(s, spread < STATE_SPREAD_MAX_MS ? spread
	    : STATE_SPREAD_MAX_MS, &now, ret_api_key);
	state_look(s, &s->marks);
	timer_set(s->timer, STATE_TICK_MS);
	return 0;
}

void
state_free(struct state *s)
{
	if (s == NULL)
		return;
	state_save_free(s->save);
	timer_free(s->timer);
	timer_free(s->grace);
	state_fds_done(&s->fds);
	state_place_done(&s->place);
	state_keys_done(&s->keys);
	free(s->url);
	free(s);
}

void
state_get_status(const struct state *s, const struct now *now,
    struct state_status *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (s == NULL)
		return;
	ret->enabled = true;
	ret->saved = s->saved;
	ret->items = s->saved_items;
	ret->error = s->error[0] != '\0' ? s->error : NULL;
	if (s->saved && (int64_t)(now->boot_ms - s->saved_boot_ms) > 0)
		ret->saved_age_ms = now->boot_ms - s->saved_boot_ms;
}
