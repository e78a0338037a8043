/*
 * The whole of it against real files, with a service and clocks of the test's:
 * a fetch with a cache is saved by one struct state, and taken over by another.
 */
#include "config.h"

#include "state.h"

#include "fake_upstream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "err.h"
#include "fake_time.h"
#include "names.h"
#include "seal.h"
#include "state_load.h"
#include "state_place.h"
#include "state_save.h"
#include "tempdir.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define HOUR (60u * MINUTE)
#define DAY (24u * HOUR)

#define URL "https://service.example/api/v1"
#define API_KEY "qapi_live_0123456789"
#define VALUE "a-value-that-would-be-found"

struct fixture {
	struct tempdir dir;
	char path[TEMPDIR_PATH];
	char key_path[TEMPDIR_PATH];
	struct fake_upstream fu;
	struct fetch_config cfg;
	struct metrics metrics;
	struct fetch *fetch;
	struct secmem api_key;
	struct state_config state_cfg;
	struct state *state;
	size_t used;		/* API key of what was taken over */
	char log[4000];		/* of the last start */
};

static void
set_api_key(struct fixture *f, const char *text)
{
	secmem_free_bytes(&f->api_key);
	assert_int_equal(secmem_copy(&f->api_key, text, strlen(text),
	    SECMEM_LIBRARY), 0);
}

static bool
no_other_key(void *arg)
{
	(void)arg;
	return false;
}

static void
ignore(void *arg)
{
	(void)arg;
}

static void
fetch_up(struct fixture *f)
{
	const struct fetch_hooks hooks = {
		.reload_key = no_other_key,
		.state_changed = ignore,
		.wiped = ignore,
		.arg = f,
	};

	f->fetch = fetch_new(NULL, &f->fu.up, &f->cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
}

static void
up(void *arg)
{
	struct fixture *f = arg;

	fetch_up(f);
	assert_int_equal(state_new(NULL, f->fetch, &f->state_cfg, &f->state,
	    &f->used), 0);
}

/* Start; the log is captured. */
static void
start(struct fixture *f)
{
	capture_stderr(up, f, f->log, sizeof(f->log));
	if (getenv("TEST_LOG") != NULL)
		print_message("%s", f->log);
}

static void
down(struct fixture *f, bool clean)
{
	if (clean)
		state_stop(f->state);
	state_free(f->state);
	f->state = NULL;
	fetch_free(f->fetch);
	f->fetch = NULL;
}

static void
stop_clean(void *arg)
{
	down(arg, true);
}

static void
stop(struct fixture *f)
{
	char log[2000];

	capture_stderr(stop_clean, f, log, sizeof(log));
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("FDSTORE");
	fake_time_reset();
	fake_upstream_init(&f->fu);
	tempdir_make(&f->dir);
	(void)snprintf(f->path, sizeof(f->path), "%s",
	    tempdir_file(&f->dir, "state"));
	f->cfg = (struct fetch_config){
		.cache = {
			.max_bytes = 8u << 20,
			.refresh_interval_ms = 5 * MINUTE,
			.refresh_lead_ms = MINUTE,
			.reread_interval_ms = DAY,
			.max_stale_ms = DAY,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 30 * DAY,
		},
		.unauthorized_grace_ms = 5 * MINUTE,
		.max_in_flight = 16,
	};
	set_api_key(f, API_KEY);
	f->state_cfg = (struct state_config){
		.file = f->path,
		.url = URL,
		.api_keys = &f->api_key,
		.napi_keys = 1,
		.refresh_interval_ms = 5 * MINUTE,
		.unauthorized_grace_ms = 5 * MINUTE,
	};
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->fetch != NULL)
		down(f, false);
	fake_upstream_done(&f->fu);
	secmem_free_bytes(&f->api_key);
	tempdir_remove(&f->dir);
	assert_int_equal(fake_time_timers(), 0);
	free(f);
	return 0;
}

/* --- what is cached --- */

static struct cache_entry *
find(struct fixture *f, enum ref_kind kind, const char *id, uint64_t version)
{
	const struct cache_key key = { .kind = kind, .version = version,
		.id = unit_view(id) };

	return cache_find(fetch_cache(f->fetch), &key);
}

static struct cache_entry *
put(struct fixture *f, const char *id, uint64_t pinned, int64_t expires_at,
    size_t value_len)
{
	const struct cache_key key = { .kind = REF_SECRET, .version = pinned,
		.id = unit_view(id) };
	struct cache_entry *e = cache_get(fetch_cache(f->fetch), &key,
	    &fake_now);
	struct object *o;
	char name[MSG_ID_MAX + 8];

	assert_non_null(e);
	(void)snprintf(name, sizeof(name), "name/%s", id);
	o = unit_object(REF_SECRET, id, name, pinned ? pinned : 1, expires_at,
	    value_len, 'v');
	if (value_len >= sizeof(VALUE))
		memcpy(secmem_writable(&o->data), VALUE, sizeof(VALUE) - 1);
	assert_int_equal(cache_install(fetch_cache(f->fetch), e, o, 0,
	    &fake_now, NULL), 0);
	object_unref(o);
	return e;
}

/* So many values, with ids "e0", "e1", … */
static void
put_many(struct fixture *f, unsigned int count, size_t value_len)
{
	char id[16];
	unsigned int i;

	for (i = 0; i < count; i++) {
		(void)snprintf(id, sizeof(id), "e%u", i);
		put(f, id, 0, MSG_NO_TIME, value_len);
	}
}

static size_t
count(const struct fixture *f)
{
	struct cache_stats stats;

	cache_get_stats(fetch_cache(f->fetch), &stats);
	return stats.secrets + stats.keys;
}

static void
put_listing_of(struct fixture *f, enum ref_kind kind)
{
	struct upstream_page page = { .has_versions = true, .count = 2 };
	struct listing *l = listing_new();

	assert_non_null(l);
	page.rows = calloc(2, sizeof(*page.rows));
	assert_non_null(page.rows);
	page.rows[0] = (struct upstream_row){ .id = strdup("e0"),
	    .name = strdup("name/e0"), .version = 1, .is_active = true };
	page.rows[1] = (struct upstream_row){ .id = strdup("e9"),
	    .name = strdup("name/e9"), .version = 3, .is_active = false };
	assert_int_equal(listing_add(l, &page, NULL), 0);
	free(page.rows);
	names_restore(fetch_names(f->fetch), kind, l, 2 * SECOND, &fake_now);
}

static void
put_listing(struct fixture *f)
{
	put_listing_of(f, REF_SECRET);
}

/* Until a snapshot is on the disk that was begun from now on. */
static void
wait_saved(struct fixture *f)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint64_t now = fake_now.boot_ms, was, at;
	struct state_status st;
	unsigned int i;

	state_get_status(f->state, &fake_now, &st);
	was = st.saved ? now - st.saved_age_ms : 0;

	for (i = 0; i < 20000; i++) {
		fake_time_pass(5);
		state_get_status(f->state, &fake_now, &st);
		at = fake_now.boot_ms - st.saved_age_ms;
		if (st.saved && at >= now && at != was)
			return;
		(void)nanosleep(&ms, NULL);
	}
	fail_msg("no snapshot was made: %s", st.error ? st.error : "-");
}

static void
assert_logged(const struct fixture *f, const char *text)
{
	if (strstr(f->log, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, f->log);
}

/* --- the file --- */

struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes
slurp(const char *path)
{
	struct bytes b = { .p = calloc(1, 64u << 20) };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_non_null(b.p);
	assert_true(fd >= 0);
	while ((n = read(fd, b.p + b.len, (64u << 20) - b.len)) > 0)
		b.len += (size_t)n;
	(void)close(fd);
	return b;
}

static void
spill(const char *path, const uint8_t *p, size_t len)
{
	int fd;

	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	(void)close(fd);
}

static bool
exists(struct fixture *f, const char *name)
{
	return access(tempdir_file(&f->dir, name), F_OK) == 0;
}

/* A file with three values and a listing, made and stopped. */
static struct bytes
make_file(struct fixture *f)
{
	start(f);
	put_many(f, 3, 100);
	put_listing(f);
	stop(f);
	return slurp(f->path);
}

/* It must start cold, say so, and keep the file as .bad. */
static void
assert_refused(struct fixture *f, const char *says)
{
	start(f);
	assert_int_equal(count(f), 0);
	assert_null(names_listing(fetch_names(f->fetch), REF_SECRET));
	assert_null(names_listing(fetch_names(f->fetch), REF_KEY));
	assert_logged(f, says);
	assert_logged(f, "not taken over");
	assert_false(exists(f, "state"));
	assert_true(exists(f, "state.bad"));
	down(f, false);
}

/* --- tests --- */

static void
test_everything_comes_back(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;
	const struct upstream_row *row, *other;
	struct listing *l;

	start(f);
	assert_string_equal(f->log, "");
	e = put(f, "e0", 0, UNIT_WALL_MS + (int64_t)DAY, 100);
	put(f, "e1", 7, MSG_NO_TIME, 40000);
	e = put(f, "e2", 0, MSG_NO_TIME, 1);
	cache_refresh_failed(fetch_cache(f->fetch), e,
	    ERR_UPSTREAM_UNAVAILABLE, HOUR, &fake_now);
	put_listing(f);
	fake_time_pass(10 * SECOND);
	stop(f);

	fake_now.boot_ms += MINUTE;
	fake_now.wall_ms += MINUTE;
	start(f);
	assert_logged(f, "taken over: 3 values and 2 names, as of 60 s ago");
	assert_int_equal(count(f), 3);
	e = find(f, REF_SECRET, "e0", 0);
	assert_non_null(e);
	assert_int_equal(cache_age(e, &fake_now), 70 * SECOND);
	assert_int_equal(e->object->expires_at, UNIT_WALL_MS + (int64_t)DAY);
	assert_int_equal(object_value(e->object).len, 100);
	assert_memory_equal(object_value(e->object).p, VALUE,
	    sizeof(VALUE) - 1);
	assert_true(unit_view_is(object_name(e->object), "name/e0"));
	assert_int_equal(cache_state(fetch_cache(f->fetch), e, &fake_now),
	    CACHE_FRESH);
	e = find(f, REF_SECRET, "e1", 7);
	assert_non_null(e);
	assert_int_equal(object_value(e->object).len, 40000);
	e = find(f, REF_SECRET, "e2", 0);
	assert_non_null(e);
	assert_int_equal(e->failures, 1);
	assert_int_equal(cache_state(fetch_cache(f->fetch), e, &fake_now),
	    CACHE_STALE);
	l = names_listing(fetch_names(f->fetch), REF_SECRET);
	assert_non_null(l);
	assert_true(listing_has_versions(l));
	assert_int_equal(listing_by_name(l, unit_view("name/e9"), &row,
	    &other), 0);
	assert_string_equal(row->id, "e9");
	assert_false(row->is_active);
	assert_int_equal(fake_now.boot_ms -
	    names_begun(fetch_names(f->fetch), REF_SECRET), 72 * SECOND);
}

static void
test_change_is_on_the_disk_within_two_seconds(void **state)
{
	struct fixture *f = *state;
	uint64_t at;
	struct bytes a, b;

	start(f);
	put_many(f, 1, 100);
	at = fake_now.boot_ms;
	wait_saved(f);
	assert_true(fake_now.boot_ms - at <= 2 * SECOND);
	a = slurp(f->path);
	put(f, "e0", 0, MSG_NO_TIME, 200);
	at = fake_now.boot_ms;
	wait_saved(f);
	assert_true(fake_now.boot_ms - at <= 2 * SECOND);
	b = slurp(f->path);
	assert_true(a.len != b.len || memcmp(a.p, b.p, a.len) != 0);
	free(a.p);
	free(b.p);
	/* and a listing that is another one, an entry that went */
	put_listing(f);
	wait_saved(f);
	cache_drop(fetch_cache(f->fetch), find(f, REF_SECRET, "e0", 0));
	wait_saved(f);
}

static uint64_t
saved_at(const struct fixture *f)
{
	struct state_status st;

	state_get_status(f->state, &fake_now, &st);
	assert_true(st.saved);
	return fake_now.boot_ms - st.saved_age_ms;
}

static void
test_nothing_new_is_not_written_again(void **state)
{
	struct fixture *f = *state;
	uint64_t at;

	start(f);
	put_many(f, 3, 100);
	wait_saved(f);
	at = saved_at(f);
	fake_time_pass(20 * SECOND);
	assert_int_equal(saved_at(f), at);
}

static void
test_confirmations_are_written_once_a_minute_or_so(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;
	uint64_t at, interval;
	unsigned int i;

	start(f);
	put_many(f, 1, 100);
	wait_saved(f);
	at = saved_at(f);
	e = find(f, REF_SECRET, "e0", 0);
	/* a quarter of five minutes; the service says so every second */
	for (i = 0; i < 74; i++) {
		cache_confirm(fetch_cache(f->fetch), e, fake_now.boot_ms,
		    fake_now.boot_ms + HOUR, &fake_now);
		fake_time_pass(SECOND);
		assert_int_equal(saved_at(f), at);
	}
	wait_saved(f);
	interval = saved_at(f) - at;
	assert_true(interval >= 75 * SECOND && interval <= 77 * SECOND);
	/* a reload makes it another interval, a minute at least */
	state_configure(f->state, MINUTE, MINUTE);
	at = saved_at(f);
	for (i = 0; i < 59; i++) {
		cache_confirm(fetch_cache(f->fetch), e, fake_now.boot_ms,
		    fake_now.boot_ms + HOUR, &fake_now);
		fake_time_pass(SECOND);
		assert_int_equal(saved_at(f), at);
	}
	wait_saved(f);
}

static void
test_changes_are_written_once_a_second_at_most(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0, at;
	unsigned int i, times = 0;

	start(f);
	put_many(f, 1, 100);
	wait_saved(f);
	last = saved_at(f);
	for (i = 0; i < 500; i++) {
		const struct timespec ms = { .tv_nsec = 100000 };

		put(f, "e0", 0, MSG_NO_TIME, 100 + i);
		fake_time_pass(10);
		(void)nanosleep(&ms, NULL);
		at = saved_at(f);
		if (at != last) {
			assert_true(at - last >= SECOND);
			times++;
		}
		last = at;
	}
	assert_true(times >= 3 && times <= 5);
}

static void
test_no_plain_text_is_in_the_file(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	assert_null(memmem(b.p, b.len, VALUE, sizeof(VALUE) - 1));
	assert_null(memmem(b.p, b.len, "vvvvvvvv", 8));
	assert_null(memmem(b.p, b.len, "name/", 5));
	assert_null(memmem(b.p, b.len, API_KEY, 12));
	assert_null(memmem(b.p, b.len, "service.example", 10));
	free(b.p);
}

static size_t
file_size(struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	return (size_t)st.st_size;
}

static void
test_lengths_are_padded(void **state)
{
	struct fixture *f = *state;
	size_t first = 0, len, sizes = 0, last = 0;

	/* whatever is in one chunk looks the same */
	for (len = 1; len < 15000; len += 1499) {
		start(f);
		put(f, "e0", 0, MSG_NO_TIME, len);
		stop(f);
		if (first == 0)
			first = file_size(f);
		assert_int_equal(file_size(f), first);
	}
	/* and larger ones have few sizes */
	for (len = 500000; len < 1000000; len += 50000) {
		start(f);
		put(f, "e0", 0, MSG_NO_TIME, len);
		stop(f);
		sizes += file_size(f) != last;
		last = file_size(f);
	}
	assert_true(sizes <= 9);
}

static void
test_each_truncation_starts_cold(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);
	size_t n;

	assert_int_equal(b.len, SEAL_HEADER_BYTES + SEAL_CHUNK_BYTES);
	for (n = 0; n < b.len; n += n < SEAL_HEADER_BYTES + 4 ? 1 : 1013) {
		spill(f->path, b.p, n);
		assert_refused(f, "cut short");
	}
	/* of several chunks, at the edges of chunks */
	free(b.p);
	start(f);
	put_many(f, 100, 1000);
	stop(f);
	b = slurp(f->path);
	assert_true(b.len > 5 * SEAL_CHUNK_BYTES);
	for (n = SEAL_HEADER_BYTES; n < b.len; n += SEAL_CHUNK_BYTES) {
		spill(f->path, b.p, n);
		assert_refused(f, "cut short");
	}
	free(b.p);
}

static void
test_each_flipped_bit_starts_cold(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);
	size_t i;

	for (i = 0; i < b.len * 8; i += i < SEAL_HEADER_BYTES * 8 ? 1 : 1999) {
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
		spill(f->path, b.p, b.len);
		assert_refused(f, i / 8 < SEAL_HEADER_BYTES ? "state-file: "
		    : "tampered with or is damaged");
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	spill(f->path, b.p, b.len);
	start(f);
	assert_int_equal(count(f), 3);
	free(b.p);
}

/* The last chunk alone is wrong: what came before must not stay. */
static void
test_fault_at_the_end_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct bytes b;

	start(f);
	put_many(f, 100, 1000);
	put_listing(f);
	put_listing_of(f, REF_KEY);
	stop(f);
	b = slurp(f->path);
	b.p[b.len - 1] ^= 1;
	spill(f->path, b.p, b.len);
	assert_refused(f, "tampered");
	b.p[b.len - 1] ^= 1;
	spill(f->path, b.p, b.len);
	start(f);
	assert_int_equal(count(f), 100);
	free(b.p);
}

static void
test_appended_bytes_are_refused(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	spill(f->path, b.p, b.len + 1);
	assert_refused(f, "appended");
	memcpy(b.p + b.len, b.p + SEAL_HEADER_BYTES, SEAL_CHUNK_BYTES);
	spill(f->path, b.p, b.len + SEAL_CHUNK_BYTES);
	assert_refused(f, "appended");
	free(b.p);
}

static void
test_something_else_is_refused(void **state)
{
	struct fixture *f = *state;
	char text[SEAL_HEADER_BYTES * 2];

	memset(text, 'x', sizeof(text));
	spill(f->path, (const uint8_t *)text, sizeof(text));
	assert_refused(f, "no snapshot of qapi-agentd");
}

static void
test_newer_format_is_refused(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	b.p[9]++;
	spill(f->path, b.p, b.len);
	assert_refused(f, "newer version");
	free(b.p);
}

static void
test_another_service_is_refused(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	free(b.p);
	f->state_cfg.url = "https://other.example/api/v1";
	assert_refused(f, "another url=");
}

static void
use_state_key(struct fixture *f, const char *name, const char *text)
{
	(void)snprintf(f->key_path, sizeof(f->key_path), "%s",
	    tempdir_write(&f->dir, name, text, strlen(text), 0600));
	f->state_cfg.key_file = f->key_path;
}

#define KEY_1 "0123456789abcdef0123456789abcde\n"
#define KEY_2 "0123456789abcdef0123456789abcdf\n"

static void
test_another_api_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	free(b.p);
	set_api_key(f, "qapi_live_other");
	assert_refused(f, "sealed with another key");
	/* with a state key it can be told, and is refused all the same */
	set_api_key(f, API_KEY);
	use_state_key(f, "key", KEY_1);
	b = make_file(f);
	free(b.p);
	set_api_key(f, "qapi_live_other");
	assert_refused(f, "another API key");
}

static void
test_another_state_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct bytes b;

	use_state_key(f, "key", KEY_1);
	b = make_file(f);
	use_state_key(f, "key", KEY_2);
	assert_refused(f, "sealed with another key");
	spill(f->path, b.p, b.len);
	f->state_cfg.key_file = NULL;
	assert_refused(f, "there is none now");
	spill(f->path, b.p, b.len);
	use_state_key(f, "key", KEY_1);
	start(f);
	assert_int_equal(count(f), 3);
	free(b.p);
}

static void
test_state_key_may_come_later(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	free(b.p);
	use_state_key(f, "key", KEY_1);
	start(f);
	assert_int_equal(count(f), 3);
	stop(f);
	/* and from then on it is the state key's */
	f->state_cfg.key_file = NULL;
	assert_refused(f, "there is none now");
}

static void
test_credential_is_a_state_key(void **state)
{
	struct fixture *f = *state;
	struct bytes b;

	use_state_key(f, "state-key", KEY_1);
	b = make_file(f);
	free(b.p);
	f->state_cfg.key_file = NULL;
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", f->dir.path, 1), 0);
	start(f);
	assert_int_equal(count(f), 3);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void
test_bad_state_key_keeps_nothing_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct state_status st;

	use_state_key(f, "key", "too short");
	start(f);
	assert_logged(f, "a state key has at least 32");
	state_get_status(f->state, &fake_now, &st);
	assert_non_null(st.error);
	put_many(f, 1, 100);
	fake_time_pass(10 * SECOND);
	stop(f);
	assert_false(exists(f, "state"));
	use_state_key(f, "key", KEY_1);
	assert_int_equal(chmod(f->key_path, 0644), 0);
	start(f);
	assert_logged(f, "others can access it");
	down(f, true);
	f->state_cfg.key_file = tempdir_file(&f->dir, "nowhere");
	start(f);
	assert_logged(f, "state-key-file=");
}

static void
test_second_of_two_api_keys_opens_it(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);
	struct secmem keys[2] = {{0}};

	free(b.p);
	assert_int_equal(secmem_copy(&keys[0], "new", 3, SECMEM_LIBRARY), 0);
	assert_int_equal(secmem_copy(&keys[1], API_KEY, strlen(API_KEY),
	    SECMEM_LIBRARY), 0);
	f->state_cfg.api_keys = keys;
	f->state_cfg.napi_keys = 2;
	start(f);
	assert_int_equal(count(f), 3);
	assert_int_equal(f->used, 1);
	/* so that one is in force, and what is saved is for it */
	stop(f);
	f->state_cfg.napi_keys = 1;
	assert_refused(f, "another key");
	f->state_cfg.api_keys = &keys[1];
	assert_int_equal(rename(tempdir_file(&f->dir, "state.bad"), f->path),
	    0);
	start(f);
	assert_int_equal(count(f), 3);
	assert_int_equal(f->used, 0);
	/* until the other one takes over */
	state_key_changed(f->state, &keys[0], 1);
	stop(f);
	f->state_cfg.api_keys = &keys[0];
	start(f);
	assert_int_equal(count(f), 3);
	down(f, false);
	secmem_free_bytes(&keys[0]);
	secmem_free_bytes(&keys[1]);
	f->state_cfg.api_keys = &f->api_key;
}

static void
test_new_api_key_is_saved_for_at_once(void **state)
{
	struct fixture *f = *state;

	start(f);
	put_many(f, 3, 100);
	wait_saved(f);
	set_api_key(f, "qapi_live_new");
	state_key_changed(f->state, &f->api_key, 1);
	wait_saved(f);
	down(f, false);
	start(f);
	assert_int_equal(count(f), 3);
	down(f, false);
	set_api_key(f, API_KEY);
	assert_refused(f, "another key");
}

/* --- time --- */

static void
test_away(void **state)
{
	struct seal_info info = { .wall_ms = UNIT_WALL_MS, .boot_ms = HOUR,
		.boot_id = "the boot it was" };
	uint8_t same[SEAL_BOOT_ID_BYTES], other[SEAL_BOOT_ID_BYTES] = "other";
	const uint8_t none[SEAL_BOOT_ID_BYTES] = {0};
	uint64_t away = 0;
	struct now now;

	(void)state;
	memcpy(same, info.boot_id, sizeof(same));
	/* the same boot: the boot clock, whatever the wall clock does */
	now = (struct now){ HOUR + 5, 0 };
	assert_int_equal(state_load_away(&info, same, &now, &away), STATE_OK);
	assert_int_equal(away, 5);
	now = (struct now){ HOUR - 1, UNIT_WALL_MS };
	assert_int_equal(state_load_away(&info, same, &now, &away),
	    STATE_FUTURE);
	/* another boot: the wall clock, and at least as long as that boot */
	now = (struct now){ MINUTE, UNIT_WALL_MS + HOUR };
	assert_int_equal(state_load_away(&info, other, &now, &away), STATE_OK);
	assert_int_equal(away, HOUR);
	now = (struct now){ 2 * HOUR, UNIT_WALL_MS + HOUR };
	assert_int_equal(state_load_away(&info, other, &now, &away), STATE_OK);
	assert_int_equal(away, 2 * HOUR);
	/* which boot it is, nobody knows */
	assert_int_equal(state_load_away(&info, none, &now, &away), STATE_OK);
	assert_int_equal(away, HOUR);
	/* a little back is what clocks do; more is the future */
	now = (struct now){ MINUTE, UNIT_WALL_MS - 5 * (int64_t)MINUTE };
	assert_int_equal(state_load_away(&info, other, &now, &away), STATE_OK);
	assert_int_equal(away, MINUTE);
	now.wall_ms--;
	assert_int_equal(state_load_away(&info, other, &now, &away),
	    STATE_FUTURE);
	/* 1970, now or then */
	now.wall_ms = 1000;
	assert_int_equal(state_load_away(&info, other, &now, &away),
	    STATE_CLOCK_UNSET);
	info.wall_ms = 500;
	assert_int_equal(state_load_away(&info, other, &now, &away),
	    STATE_CLOCK_UNSET);
	now.wall_ms = UNIT_WALL_MS;
	assert_int_equal(state_load_away(&info, other, &now, &away),
	    STATE_CLOCK_UNSET);
}

static void
test_wall_clock_set_back_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct cache_entry *e;

	start(f);
	put(f, "e0", 0, fake_now.wall_ms + MINUTE, 100);
	fake_time_pass(2 * MINUTE);
	e = find(f, REF_SECRET, "e0", 0);
	assert_int_equal(cache_state(fetch_cache(f->fetch), e, &fake_now),
	    CACHE_EXPIRED);
	stop(f);
	/* the same boot, so its age is known; and it stays expired */
	fake_now.boot_ms += MINUTE;
	fake_now.wall_ms -= HOUR;
	start(f);
	e = find(f, REF_SECRET, "e0", 0);
	assert_non_null(e);
	assert_int_equal(cache_age(e, &fake_now), 3 * MINUTE);
	assert_true(e->expired);
	assert_int_equal(cache_state(fetch_cache(f->fetch), e, &fake_now),
	    CACHE_EXPIRED);
}

static void
test_wall_floor_comes_back(void **state)
{
	struct fixture *f = *state;

	start(f);
	put_many(f, 1, 10);
	cache_set_wall_floor(fetch_cache(f->fetch),
	    fake_now.wall_ms + (int64_t)DAY, &fake_now);
	stop(f);
	fake_now.boot_ms += MINUTE;
	start(f);
	assert_int_equal(cache_get_wall_floor(fetch_cache(f->fetch),
	    &fake_now), fake_now.wall_ms + (int64_t)DAY + MINUTE);
}

/* Reads decide who goes first when memory runs short, after a restart too. */
static void
test_order_of_reads_comes_back(void **state)
{
	struct fixture *f = *state;
	char id[16];
	unsigned int i;
	size_t was;

	start(f);
	put_many(f, 200, 100);
	for (i = 0; i < 200; i++) {
		fake_time_pass(10);
		(void)snprintf(id, sizeof(id), "e%u", i * 37 % 200);
		cache_touch(fetch_cache(f->fetch), find(f, REF_SECRET, id, 0),
		    &fake_now);
	}
	stop(f);
	start(f);
	was = count(f);
	assert_int_equal(was, 200);
	for (i = 0; i < 200; i++) {
		(void)snprintf(id, sizeof(id), "e%u", i * 37 % 200);
		assert_non_null(find(f, REF_SECRET, id, 0));
		(void)cache_evict(fetch_cache(f->fetch), 1);
		if (find(f, REF_SECRET, id, 0) != NULL)
			fail_msg("%s, the %u. read, should have gone", id, i);
	}
}

/* --- where it lies --- */

static void
test_place_is_checked(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);
	struct state_status st;

	/* others can read it */
	assert_int_equal(chmod(f->path, 0640), 0);
	start(f);
	assert_logged(f, "chmod 0600");
	assert_int_equal(count(f), 0);
	down(f, false);
	/* a link, which is then left alone */
	spill(tempdir_file(&f->dir, "real"), b.p, b.len);
	(void)unlink(f->path);
	assert_int_equal(symlink("real", f->path), 0);
	start(f);
	assert_logged(f, "symbolic link");
	put_many(f, 1, 10);
	fake_time_pass(3 * SECOND);
	stop(f);
	assert_true(exists(f, "real"));
	assert_int_equal(unlink(f->path), 0);
	/* others can write to the directory */
	spill(f->path, b.p, b.len);
	assert_int_equal(chmod(f->dir.path, 0770), 0);
	start(f);
	assert_logged(f, "others can write to the directory");
	assert_int_equal(count(f), 0);
	state_get_status(f->state, &fake_now, &st);
	assert_non_null(st.error);
	down(f, false);
	assert_int_equal(chmod(f->dir.path, 0700), 0);
	start(f);
	assert_int_equal(count(f), 3);
	free(b.p);
}

static void
test_directory_that_comes_later(void **state)
{
	struct fixture *f = *state;
	char path[TEMPDIR_PATH];
	struct state_status st;
	const char *names[] = { "d/state", "d/state.lock" };
	size_t i;

	(void)snprintf(path, sizeof(path), "%s/d/state", f->dir.path);
	f->state_cfg.file = path;
	start(f);
	assert_logged(f, "cannot open the directory");
	put_many(f, 1, 10);
	fake_time_pass(3 * SECOND);
	state_get_status(f->state, &fake_now, &st);
	assert_false(st.saved);
	assert_int_equal(mkdir(tempdir_file(&f->dir, "d"), 0700), 0);
	wait_saved(f);
	state_get_status(f->state, &fake_now, &st);
	assert_null(st.error);
	down(f, false);
	for (i = 0; i < UNIT_COUNT(names); i++)
		assert_int_equal(unlink(tempdir_file(&f->dir, names[i])), 0);
}

static void
test_two_daemons_do_not_share_it(void **state)
{
	struct fixture *f = *state;
	struct state *first;
	struct fetch *fetch;
	struct bytes a, b;

	start(f);
	put_many(f, 3, 100);
	wait_saved(f);
	a = slurp(f->path);
	first = f->state;
	fetch = f->fetch;
	start(f);
	assert_logged(f, "another qapi-agentd uses it");
	assert_int_equal(count(f), 0);
	put_many(f, 1, 100);
	fake_time_pass(3 * SECOND);
	stop(f);
	b = slurp(f->path);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.p, b.p, a.len);
	free(a.p);
	free(b.p);
	f->state = first;
	f->fetch = fetch;
}

static void
test_leftover_of_a_kill_is_no_harm(void **state)
{
	struct fixture *f = *state;
	struct bytes b = make_file(f);

	tempdir_write(&f->dir, "state.tmp", "half of", 7, 0600);
	start(f);
	assert_int_equal(count(f), 3);
	put_many(f, 4, 50);
	wait_saved(f);
	assert_false(exists(f, "state.tmp"));
	free(b.p);
}

/* --- while the cache changes --- */

#define SLICED 2000u		/* entries, half of which stay as they are */

/* A value that shows its version, so that a torn or mixed one is seen. */
static size_t
sliced_len(uint64_t version)
{
	return 1 + (size_t)(version * 37 % 3000);
}

static void
put_sliced(struct fixture *f, unsigned int number, uint64_t version)
{
	struct cache_key key = { .kind = REF_SECRET };
	struct cache_entry *e;
	struct object *o;
	char id[16];

	(void)snprintf(id, sizeof(id), "s%u", number);
	key.id = unit_view(id);
	e = cache_get(fetch_cache(f->fetch), &key, &fake_now);
	assert_non_null(e);
	o = unit_object(REF_SECRET, id, id, version, MSG_NO_TIME,
	    sliced_len(version), (int)('a' + version % 26));
	assert_int_equal(cache_install(fetch_cache(f->fetch), e, o, 0,
	    &fake_now, NULL), 0);
	object_unref(o);
}

static bool
check_sliced(void *arg, struct cache_entry *e)
{
	struct view v = object_value(e->object);
	size_t i;

	++*(unsigned int *)arg;
	assert_int_equal(v.len, sliced_len(e->object->version));
	for (i = 0; i < v.len; i++)
		assert_int_equal(v.p[i], 'a' + e->object->version % 26);
	return true;
}

/* Any number of changes between two slices. */
static void
churn(struct fixture *f, uint64_t *seed)
{
	unsigned int i, number;
	struct cache_entry *e;
	char id[16];

	for (i = 0; i < 30; i++) {
		number = SLICED / 2 + (unsigned int)unit_below(seed, SLICED);
		(void)snprintf(id, sizeof(id), "s%u", number);
		e = find(f, REF_SECRET, id, 0);
		if (e != NULL && i % 3 == 0)
			cache_drop(fetch_cache(f->fetch), e);
		else
			put_sliced(f, number, 1 + unit_below(seed, 5000));
		(void)snprintf(id, sizeof(id), "s%u",
		    (unsigned int)unit_below(seed, SLICED / 2));
		cache_touch(fetch_cache(f->fetch),
		    find(f, REF_SECRET, id, 0), &fake_now);
	}
}

/* Make one in slices; returns in how many. */
static unsigned int
save_sliced(struct fixture *f, const struct secmem *key,
    struct state_place *place, uint64_t *seed)
{
	const struct state_save_config cfg = {
		.cache = fetch_cache(f->fetch), .names = fetch_names(f->fetch),
		.key = key, .api = key, .url = unit_view(URL),
		.info = { .source = SEAL_API_KEY, .sequence = 1 },
		.facts = { .wall_floor_ms = INT64_MIN }, .place = place,
	};
	struct state_save *sv = NULL;
	enum state_progress p;
	unsigned int slices = 0;

	assert_int_equal(state_save_new(&cfg, &fake_now, &sv), 0);
	while ((p = state_save_step(sv)) != STATE_DONE) {
		assert_true(p == STATE_MORE || p == STATE_WAIT);
		if (p == STATE_WAIT)
			state_writer_wait(state_save_writer(sv));
		else
			churn(f, seed);
		slices++;
	}
	state_writer_wait(state_save_writer(sv));
	assert_true(state_writer_is_done(state_save_writer(sv)));
	assert_int_equal(state_writer_file_error(state_save_writer(sv)), 0);
	state_save_free(sv);
	return slices;
}

/*
 * With the cache changing between any two slices, every value that was there
 * all the time is in it, and none is torn.
 */
static void
test_changes_while_it_is_made(void **state)
{
	struct fixture *f = *state;
	struct secmem key = {0};
	const struct state_load_key load_key = { SEAL_API_KEY, &key, &key, 0 };
	struct state_load_config cfg = { .keys = &load_key, .nkeys = 1,
		.url = unit_view(URL) };
	struct state_place place;
	struct state_loaded got;
	uint64_t seed = unit_seed();
	unsigned int i, n = 0;
	char id[16], why[200];
	int fd;

	assert_int_equal(seal_derive(SEAL_API_KEY, &f->api_key, &key), 0);
	assert_int_equal(state_place_init(&place, f->path), 0);
	assert_int_equal(state_place_open(&place, why, sizeof(why)), 0);
	fetch_up(f);
	for (i = 0; i < SLICED; i++)
		put_sliced(f, i, i + 1);
	assert_true(save_sliced(f, &key, &place, &seed) > 20);
	down(f, false);
	fetch_up(f);
	cfg.cache = fetch_cache(f->fetch);
	cfg.names = fetch_names(f->fetch);
	assert_int_equal(state_place_read(&place, &fd, why, sizeof(why)), 0);
	assert_int_equal(state_load(&cfg, fd, &fake_now, &got), STATE_OK);
	(void)close(fd);
	cache_foreach(fetch_cache(f->fetch), check_sliced, &n);
	assert_int_equal(n, got.items);
	for (i = 0; i < SLICED / 2; i++) {
		(void)snprintf(id, sizeof(id), "s%u", i);
		assert_non_null(find(f, REF_SECRET, id, 0));
	}
	state_place_done(&place);
	secmem_free_bytes(&key);
}

static void
test_refusal_is_remembered(void **state)
{
	struct fixture *f = *state;
	struct jobs_stats jobs;

	start(f);
	put_many(f, 3, 10);
	f->fu.mode = FAKE_STATUS;
	f->fu.status = 401;
	fetch_restored(f->fetch);
	/* a refresh comes due and is refused */
	do {
		fake_upstream_pass(&f->fu, SECOND);
		fetch_get_stats(f->fetch, &jobs);
	} while (jobs.state != JOBS_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, 2 * MINUTE);
	assert_int_equal(count(f), 3);
	stop(f);
	/* it was some minutes ago, and grace is five; the service is away */
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_now.boot_ms += MINUTE;
	fake_now.wall_ms += MINUTE;
	start(f);
	assert_int_equal(count(f), 3);
	fake_upstream_pass(&f->fu, MINUTE);
	assert_int_equal(count(f), 3);
	stop(f);
	fake_now.boot_ms += 3 * MINUTE;
	fake_now.wall_ms += 3 * MINUTE;
	start(f);
	assert_logged(f, "began before the restart");
	assert_int_equal(count(f), 0);
}

/* --- the descriptor store --- */

#ifdef HAVE_SYSTEMD

struct manager {
	char path[TEMPDIR_PATH];
	int fd;
	char text[2000];
	int passed;		/* of the last message; -1: none */
};

static void
manager_up(struct fixture *f, struct manager *m)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify",
	    f->dir.path);
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	m->passed = -1;
	assert_true(m->fd >= 0);
	assert_int_equal(bind(m->fd, (struct sockaddr *)&addr, sizeof(addr)),
	    0);
	assert_int_equal(setenv("NOTIFY_SOCKET", addr.sun_path, 1), 0);
	assert_int_equal(setenv("FDSTORE", "4", 1), 0);
}

static bool
manager_read(struct manager *m)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { m->text, sizeof(m->text) - 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n = recvmsg(m->fd, &msg, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return false;
	m->text[n] = '\0';
	m->passed = -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&m->passed, CMSG_DATA(c), sizeof(int));
	return true;
}

static void
manager_down(struct manager *m)
{
	(void)close(m->fd);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("FDSTORE");
}

static void
test_sealed_memory_goes_to_the_manager(void **state)
{
	struct fixture *f = *state;
	struct manager m;
	uint8_t byte = 0;
	int fd;

	manager_up(f, &m);
	f->state_cfg.file = NULL;
	start(f);
	put_many(f, 3, 100);
	wait_saved(f);
	assert_true(manager_read(&m));
	assert_string_equal(m.text,
	    "FDSTORE=1\nFDNAME=qapi-agent-state\nFDPOLL=0");
	fd = m.passed;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW |
	    F_SEAL_SHRINK | F_SEAL_SEAL);
	assert_int_equal(pwrite(fd, &byte, 1, 0), -1);
	(void)close(fd);
	assert_true(manager_read(&m));
	assert_string_equal(m.text,
	    "FDSTOREREMOVE=1\nFDNAME=qapi-agent-state-2");
	assert_false(manager_read(&m));
	/* the next one under the other name, before the first is removed */
	put_many(f, 4, 100);
	wait_saved(f);
	assert_true(manager_read(&m));
	assert_string_equal(m.text,
	    "FDSTORE=1\nFDNAME=qapi-agent-state-2\nFDPOLL=0");
	(void)close(m.passed);
	assert_true(manager_read(&m));
	assert_string_equal(m.text,
	    "FDSTOREREMOVE=1\nFDNAME=qapi-agent-state");
	stop(f);
	manager_down(&m);
}

static void
test_manager_that_does_not_read_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct manager m;
	unsigned int messages = 0, i;
	struct bytes b;

	b = make_file(f);
	free(b.p);
	manager_up(f, &m);
	start(f);
	/* more than its queue holds */
	for (i = 0; i < 600; i++) {
		put_many(f, 3, 100 + i % 7);
		wait_saved(f);
		if (i == 20 && messages == 0)
			break;
	}
	while (manager_read(&m)) {
		messages++;
		if (m.passed >= 0)
			(void)close(m.passed);
	}
	assert_true(messages >= 2);
	/* the newest comes when there is room again */
	fake_time_pass(3 * SECOND);
	while (manager_read(&m)) {
		messages++;
		if (m.passed >= 0)
			(void)close(m.passed);
	}
	stop(f);
	assert_true(manager_read(&m));
	assert_non_null(strstr(m.text, "FDSTORE=1"));
	(void)close(m.passed);
	manager_down(&m);
}

#endif /* HAVE_SYSTEMD */

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(test_everything_comes_back),
		T(test_change_is_on_the_disk_within_two_seconds),
		T(test_nothing_new_is_not_written_again),
		T(test_confirmations_are_written_once_a_minute_or_so),
		T(test_changes_are_written_once_a_second_at_most),
		T(test_no_plain_text_is_in_the_file),
		T(test_lengths_are_padded),
		T(test_each_truncation_starts_cold),
		T(test_each_flipped_bit_starts_cold),
		T(test_fault_at_the_end_leaves_nothing),
		T(test_appended_bytes_are_refused),
		T(test_something_else_is_refused),
		T(test_newer_format_is_refused),
		T(test_another_service_is_refused),
		T(test_another_api_key_is_refused),
		T(test_another_state_key_is_refused),
		T(test_state_key_may_come_later),
		T(test_credential_is_a_state_key),
		T(test_bad_state_key_keeps_nothing_and_says_so),
		T(test_second_of_two_api_keys_opens_it),
		T(test_new_api_key_is_saved_for_at_once),
		T(test_away),
		T(test_wall_clock_set_back_meanwhile),
		T(test_wall_floor_comes_back),
		T(test_order_of_reads_comes_back),
		T(test_place_is_checked),
		T(test_directory_that_comes_later),
		T(test_two_daemons_do_not_share_it),
		T(test_leftover_of_a_kill_is_no_harm),
		T(test_changes_while_it_is_made),
		T(test_refusal_is_remembered),
#ifdef HAVE_SYSTEMD
		T(test_sealed_memory_goes_to_the_manager),
		T(test_manager_that_does_not_read_is_tried_again),
#endif
#undef T
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
