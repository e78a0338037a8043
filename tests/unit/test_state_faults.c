/*
 * Snapshots while memory runs out: the taking over and the saving of one are
 * run again and again, each time with another allocation failing, until none
 * fails.  It is all taken over or nothing, what is on the disk stays good, and
 * nothing is left behind.
 */
#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"
#include "names.h"
#include "state.h"
#include "tempdir.h"

#define ENTRIES 40u
#define ROUNDS 3000u

static long countdown = -1;	/* allocations until one fails; -1: none */
static bool failed;

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *p, size_t len);
void *__real_reallocarray(void *p, size_t n, size_t len);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t len);
int __real_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);
int __real_secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use);
int __real_secbuf_append(struct secbuf *b, const void *src, size_t len);
void *__real_secmem_calloc(size_t n, size_t len);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_reallocarray(void *p, size_t n, size_t len);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);
int __wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);
int __wrap_secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use);
int __wrap_secbuf_append(struct secbuf *b, const void *src, size_t len);
void *__wrap_secmem_calloc(size_t n, size_t len);

static bool
now_fails(void)
{
	if (countdown < 0 || countdown-- > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *
__wrap_malloc(size_t len)
{
	return now_fails() ? NULL : __real_malloc(len);
}

void *
__wrap_calloc(size_t n, size_t len)
{
	return now_fails() ? NULL : __real_calloc(n, len);
}

void *
__wrap_realloc(void *p, size_t len)
{
	return now_fails() ? NULL : __real_realloc(p, len);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t len)
{
	return now_fails() ? NULL : __real_reallocarray(p, n, len);
}

char *
__wrap_strdup(const char *s)
{
	return now_fails() ? NULL : __real_strdup(s);
}

char *
__wrap_strndup(const char *s, size_t len)
{
	return now_fails() ? NULL : __real_strndup(s, len);
}

int
__wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use)
{
	return now_fails() ? ERR_NOMEM : __real_secmem_alloc(sm, len, use);
}

int
__wrap_secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use)
{
	return now_fails() ? ERR_NOMEM
	    : __real_secmem_copy(sm, src, len, use);
}

int
__wrap_secbuf_append(struct secbuf *b, const void *src, size_t len)
{
	return now_fails() ? ERR_NOMEM : __real_secbuf_append(b, src, len);
}

void *
__wrap_secmem_calloc(size_t n, size_t len)
{
	return now_fails() ? NULL : __real_secmem_calloc(n, len);
}

/* --- what is saved --- */

static struct tempdir dir;
static char path[TEMPDIR_PATH];
static char key_path[TEMPDIR_PATH];
static struct fake_upstream fu;
static struct metrics metrics;
static struct secmem api_key;
static struct fetch *fetch;
static struct state *st;

static void
ignore(void *arg)
{
	(void)arg;
}

static bool
no_key(void *arg)
{
	(void)arg;
	return false;
}

static void
fetch_up(void)
{
	const struct fetch_config cfg = {
		.cache = { .max_bytes = 4u << 20,
			.refresh_interval_ms = 300000,
			.reread_interval_ms = 86400000,
			.max_stale_ms = 86400000, .idle_evict_ms = 86400000 },
		.max_in_flight = 4,
	};
	const struct fetch_hooks hooks = { .reload_key = no_key,
		.state_changed = ignore, .wiped = ignore };

	fetch = fetch_new(NULL, &fu.up, &cfg, &hooks, &metrics);
	assert_non_null(fetch);
}

static int
state_up(void)
{
	const struct state_config cfg = {
		.file = path, .key_file = key_path,
		.url = "https://service.example/api/v1",
		.api_keys = &api_key, .napi_keys = 1,
		.refresh_interval_ms = 300000,
		.unauthorized_grace_ms = 300000,
	};
	size_t used;

	return state_new(NULL, fetch, &cfg, &st, &used);
}

static void
all_down(void)
{
	state_free(st);
	st = NULL;
	fetch_free(fetch);
	fetch = NULL;
	assert_int_equal(fake_time_timers(), 0);
}

static size_t
held(void)
{
	struct cache_stats stats;

	cache_get_stats(fetch_cache(fetch), &stats);
	return stats.secrets;
}

static void
put(const char *id, size_t len)
{
	const struct cache_key key = { .kind = REF_SECRET,
		.id = unit_view(id) };
	struct cache_entry *e = cache_get(fetch_cache(fetch), &key,
	    &fake_now);
	struct object *o = unit_object(REF_SECRET, id, id, 1, MSG_NO_TIME,
	    len, 'v');

	assert_non_null(e);
	assert_int_equal(cache_install(fetch_cache(fetch), e, o, 0, &fake_now,
	    NULL), 0);
	object_unref(o);
}

static void
put_listing(void)
{
	struct upstream_page page = { .has_versions = true, .count = 1 };
	struct listing *l = listing_new();
	struct upstream_row row = { .id = __real_strdup("i"),
		.name = __real_strdup("n"), .is_active = true };

	page.rows = &row;
	assert_non_null(l);
	assert_int_equal(listing_add(l, &page, NULL), 0);
	names_restore(fetch_names(fetch), REF_SECRET, l, 5, &fake_now);
}

/* Through capture_stderr(), as all of it logs. */
static int result;

static void
load_armed(void *arg)
{
	countdown = *(long *)arg;
	failed = false;
	result = state_up();
	countdown = -1;
}

static void
save_armed(void *arg)
{
	countdown = *(long *)arg;
	failed = false;
	state_stop(st);
	countdown = -1;
}

static char log_text[4000];

static void
quietly(void (*fn)(void *arg), long at)
{
	capture_stderr(fn, &at, log_text, sizeof(log_text));
}

/* It is there and good: so many. */
static void
assert_file(size_t entries)
{
	fetch_up();
	quietly(load_armed, -1);
	assert_int_equal(result, 0);
	if (held() != entries)
		fail_msg("%zu entries, not %zu: %s", held(), entries,
		    log_text);
	all_down();
}

static int
set_up(void **state)
{
	char id[8];
	unsigned int i;

	if (unit_secmem_setup(state) != 0)
		return -1;
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	(void)unsetenv("FDSTORE");
	fake_time_reset();
	fake_upstream_init(&fu);
	tempdir_make(&dir);
	(void)snprintf(key_path, sizeof(key_path), "%s", tempdir_write(&dir,
	    "key", "0123456789abcdef0123456789abcdef", 32, 0600));
	(void)snprintf(path, sizeof(path), "%s", tempdir_file(&dir, "state"));
	assert_int_equal(secmem_copy(&api_key, "k", 1, SECMEM_LIBRARY), 0);
	fetch_up();
	quietly(load_armed, -1);
	for (i = 0; i < ENTRIES; i++) {
		(void)snprintf(id, sizeof(id), "e%u", i);
		put(id, 1000);
	}
	put_listing();
	quietly(save_armed, -1);
	all_down();
	return 0;
}

static int
tear_down(void **state)
{
	secmem_free_bytes(&api_key);
	fake_upstream_done(&fu);
	tempdir_remove(&dir);
	return unit_secmem_teardown(state);
}

static void
test_taking_over_without_memory_is_all_or_nothing(void **state)
{
	struct secmem_stats before, after;
	unsigned int colds = 0;
	long n;

	(void)state;
	assert_file(ENTRIES);
	for (n = 0; n < ROUNDS; n++) {
		secmem_get_stats(&before);
		fetch_up();
		quietly(load_armed, n);
		assert_true(result == 0 || result == ERR_NOMEM);
		assert_true(held() == 0 || held() == ENTRIES);
		assert_int_equal(held() > 0, names_listing(fetch_names(fetch),
		    REF_SECRET) != NULL);
		colds += held() == 0;
		all_down();
		secmem_get_stats(&after);
		assert_int_equal(after.used_bytes, before.used_bytes);
		/* no reason to throw the file away */
		if (access(path, F_OK) != 0)
			fail_msg("the file went: %s", log_text);
		if (!failed)
			break;
	}
	assert_true(!failed && n > 100 && colds > 50);
	assert_file(ENTRIES);
}

static void
test_saving_without_memory_leaves_the_old_or_the_new(void **state)
{
	unsigned int olds = 0;
	size_t entries = ENTRIES, now;
	bool short_of = true;
	char id[16];
	long n;

	(void)state;
	for (n = 0; n < ROUNDS; n++) {
		fetch_up();
		quietly(load_armed, -1);
		assert_int_equal(held(), entries);
		(void)snprintf(id, sizeof(id), "n%ld", n);
		put(id, 100);
		quietly(save_armed, n);
		short_of = failed;
		all_down();
		fetch_up();
		quietly(load_armed, -1);
		now = held();
		if (now != entries && now != entries + 1)
			fail_msg("%zu entries: %s", now, log_text);
		olds += now == entries;
		entries = now;
		all_down();
		if (!short_of)
			break;
	}
	assert_true(!short_of && n > 3 && olds > 3);
	assert_int_equal(entries, ENTRIES + 1u + (size_t)n - olds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    test_taking_over_without_memory_is_all_or_nothing),
		cmocka_unit_test(
		    test_saving_without_memory_leaves_the_old_or_the_new),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
