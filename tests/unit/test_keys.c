#include "config.h"

#include "fake_upstream.h"

#include "apikey.h"
#include "err.h"
#include "fake_time.h"
#include "fetch.h"
#include "keys.h"
#include "tempdir.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define HOUR (60u * MINUTE)
#define GRACE (5u * MINUTE)
#define CHECK (5u * SECOND)	/* the files are looked at that often */

#define OLD "qapi_old"
#define NEW "qapi_new"
#define THIRD "qapi_third"

/* --- what was logged --- */

static char logged[8192];
static unsigned int log_lines;

static void __attribute__((format(printf, 1, 0)))
note(const char *fmt, va_list ap)
{
	size_t len = strlen(logged);

	(void)vsnprintf(logged + len, sizeof(logged) - len, fmt, ap);
	len = strlen(logged);
	(void)snprintf(logged + len, sizeof(logged) - len, "\n");
	log_lines++;
	assert_null(strstr(logged, "qapi_")); /* no key, ever */
}

#define WRAP(name)							\
	void __wrap_##name(const char *fmt, ...)			\
	    __attribute__((format(printf, 1, 2)));			\
	void								\
	__wrap_##name(const char *fmt, ...)				\
	{								\
		va_list ap;						\
									\
		va_start(ap, fmt);					\
		note(fmt, ap);						\
		va_end(ap);						\
	}

WRAP(log_error)
WRAP(log_warning)
WRAP(log_notice)

static void
forget_log(void)
{
	logged[0] = '\0';
	log_lines = 0;
}

static void
expect_log(unsigned int lines, const char *part)
{
	if (log_lines != lines || strstr(logged, part) == NULL)
		fail_msg("%u lines, \"%s\": %s", lines, part, logged);
}

/* --- a file whose change cannot be seen from outside --- */

static bool frozen;

void __real_apikey_stamp(const char *path, struct apikey_stamp *ret_stamp);
void __wrap_apikey_stamp(const char *path, struct apikey_stamp *ret_stamp);

void
__wrap_apikey_stamp(const char *path, struct apikey_stamp *ret_stamp)
{
	static struct apikey_stamp last;

	if (!frozen)
		__real_apikey_stamp(path, &last);
	*ret_stamp = last;
}

/* --- memory that runs out --- */

static unsigned int fail_at;	/* the n-th from now, 0: none */
static bool failed;

void *__real_calloc(size_t n, size_t len);
void *__wrap_calloc(size_t n, size_t len);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
int __real_secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use);
int __wrap_secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use);
int __real_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);
int __wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);

static bool
fails_now(void)
{
	if (fail_at == 0 || --fail_at != 0)
		return false;
	failed = true;
	return true;
}

void *
__wrap_calloc(size_t n, size_t len)
{
	return fails_now() ? NULL : __real_calloc(n, len);
}

char *
__wrap_strdup(const char *s)
{
	return fails_now() ? NULL : __real_strdup(s);
}

int
__wrap_secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use)
{
	return fails_now() ? ERR_NOMEM : __real_secmem_copy(sm, src, len, use);
}

int
__wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use)
{
	return fails_now() ? ERR_NOMEM : __real_secmem_alloc(sm, len, use);
}

/* --- fixture --- */

struct fixture {
	struct fake_upstream fu;
	struct fetch *fetch;
	struct metrics metrics;
	struct keys *keys;
	struct tempdir dir;
	char paths[2][TEMPDIR_PATH];
	char *list[3];
	struct ref ref;
	struct fetch_wait *wait;
	unsigned int answers;
	int error;
	char value[64];
	unsigned int taken;
	unsigned int dropped;
	unsigned int wiped;
};

static bool
reload_key(void *arg)
{
	keys_refused(((struct fixture *)arg)->keys);
	return false;
}

static bool
key_pending(void *arg)
{
	return keys_pending(((struct fixture *)arg)->keys);
}

static struct jobs_stats
stats_of(struct fixture *f)
{
	struct jobs_stats stats;

	fetch_get_stats(f->fetch, &stats);
	return stats;
}

static void
state_changed(void *arg)
{
	struct fixture *f = arg;

	if (stats_of(f).state == JOBS_OK)
		keys_service_back(f->keys);
}

static void
wiped(void *arg)
{
	((struct fixture *)arg)->wiped++;
}

static void
taken(void *arg, bool dropped)
{
	struct fixture *f = arg;

	f->taken++;
	f->dropped += dropped;
	/* as promised by then */
	assert_int_equal(f->fu.keys_set, f->taken);
}

/* File i holds this key; NULL: it is not there. */
static void
put(struct fixture *f, size_t i, const char *key)
{
	const char *name = i == 0 ? "a" : "b";
	char next[TEMPDIR_PATH];

	if (key == NULL) {
		(void)unlink(f->paths[i]);
		return;
	}
	(void)snprintf(next, sizeof(next), "%s",
	    tempdir_write(&f->dir, "next", key, strlen(key), 0600));
	assert_int_equal(rename(next, tempdir_file(&f->dir, name)), 0);
}

static void
build(struct fixture *f)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 1u << 20,
			.refresh_interval_ms = HOUR,
			.refresh_lead_ms = MINUTE,
			.reread_interval_ms = 24 * HOUR,
			.max_stale_ms = 24 * HOUR,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 24 * HOUR,
		},
		.unauthorized_grace_ms = GRACE,
		.max_in_flight = 4,
	};
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .key_pending = key_pending,
		.state_changed = state_changed, .wiped = wiped, .arg = f,
	};
	struct secmem key = {NULL, 0};

	f->keys = keys_new(NULL, f->list);
	assert_non_null(f->keys);
	assert_int_equal(keys_load(f->keys, &key), 0);
	memcpy(f->fu.key, secmem_bytes(&key), secmem_len(&key));
	secmem_free_bytes(&key);
	f->fetch = fetch_new(NULL, &f->fu.up, &cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	keys_watch(f->keys, &f->fu.up, f->fetch, taken, f);
}

static int
set_up_files(void **state, unsigned int nfiles)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	assert_non_null(f);
	frozen = false;
	fake_time_reset();
	fake_upstream_init(&f->fu);
	for (i = 0; i < 4; i++) {
		static const char *const ids[] = {"s-1", "s-2", "s-3", "s-4"};
		static const char *const names[] = {"one", "two", "three",
		    "four"};

		(void)fake_upstream_add(&f->fu, REF_SECRET, ids[i], names[i],
		    "value");
	}
	tempdir_make(&f->dir);
	for (i = 0; i < nfiles; i++) {
		(void)snprintf(f->paths[i], sizeof(f->paths[i]), "%s",
		    tempdir_file(&f->dir, i == 0 ? "a" : "b"));
		f->list[i] = f->paths[i];
	}
	put(f, 0, OLD);
	build(f);
	/* until the look that follows the start is over */
	fake_time_pass(CHECK + 1);
	forget_log();
	*state = f;
	return 0;
}

static int
set_up(void **state)
{
	return set_up_files(state, 1);
}

static int
set_up_two(void **state)
{
	return set_up_files(state, 2);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	keys_free(f->keys);
	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	tempdir_remove(&f->dir);
	free(f);
	return 0;
}

/* --- reading --- */

static void
answered(void *arg, struct fetch_result *r)
{
	struct fixture *f = arg;
	struct view v;

	f->answers++;
	f->wait = NULL;
	f->error = r->error;
	f->value[0] = '\0';
	if (r->error != 0)
		return;
	v = object_value(r->object);
	memcpy(f->value, v.p, v.len);
	f->value[v.len] = '\0';
	object_unref(r->object);
}

static void
ask(struct fixture *f, const char *id, bool only_if_cached)
{
	struct fetch_query q = {
		.ref = &f->ref, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT, .only_if_cached = only_if_cached,
	};
	struct fetch_result result;
	char text[64];

	(void)snprintf(text, sizeof(text), "qapi://secrets/%s", id);
	assert_int_equal(ref_parse(text, strlen(text), &f->ref, NULL), 0);
	f->error = 1;
	if (fetch_get(f->fetch, &q, &fake_now, &result, answered,
	    &f->wait) == 0)
		answered(f, &result);
	else
		fetch_set_arg(f->wait, f);
}

/* Have these ids cached. */
static void
have(struct fixture *f, size_t count)
{
	static const char *const ids[] = {"s-1", "s-2", "s-3", "s-4"};
	size_t i;

	for (i = 0; i < count; i++) {
		ask(f, ids[i], false);
		fake_upstream_serve(&f->fu);
		assert_int_equal(f->error, 0);
	}
}

static bool
is_cached(struct fixture *f, const char *id)
{
	ask(f, id, true);
	assert_null(f->wait);
	return f->error == 0;
}

static bool
in_force(struct fixture *f, const char *key)
{
	const struct secmem *sm = keys_in_force(f->keys);
	bool is = secmem_len(sm) == strlen(key) &&
	    memcmp(secmem_bytes(sm), key, strlen(key)) == 0;

	if (is)
		assert_string_equal(f->fu.key, key);
	return is;
}

/* The next call must be a question with this key about something cached. */
static struct upstream_call *
question(struct fixture *f, const char *key)
{
	struct upstream_call *call = fake_upstream_first(&f->fu);

	assert_non_null(call);
	assert_true(call->other_key);
	assert_string_equal(call->key, key);
	assert_int_equal(call->req.op, UPSTREAM_READ_SECRET);
	assert_int_equal(call->req.version, 0);
	assert_true(call->req.timeout_ms > 0);
	assert_true(is_cached(f, call->id));
	return call;
}

/* --- at the start --- */

static void
test_load_takes_the_first_that_can_be_read(void **state)
{
	struct fixture *f = *state;
	struct secmem key = {NULL, 0};
	struct keys *k;

	put(f, 0, NULL);
	put(f, 1, NEW);
	k = keys_new(NULL, f->list);
	assert_int_equal(keys_load(k, &key), 0);
	assert_memory_equal(secmem_bytes(&key), NEW, strlen(NEW));
	assert_true(secmem_equal(&key, keys_in_force(k)));
	expect_log(1, "no such file");
	secmem_free_bytes(&key);
	keys_free(k);
	put(f, 1, "");
	k = keys_new(NULL, f->list);
	assert_int_equal(keys_load(k, &key), ERR_NOT_FOUND);
	assert_int_equal(secmem_len(&key), 0);
	expect_log(3, "is empty");
	keys_free(k);
	keys_free(NULL);
}

static void
test_all_gives_the_one_in_force_first(void **state)
{
	struct fixture *f = *state;
	struct secmem all[3];
	size_t n, i;

	memset(all, 0, sizeof(all));
	put(f, 0, NEW); /* not seen yet */
	put(f, 1, OLD);
	n = keys_all(f->keys, all, 3);
	assert_int_equal(n, 2);
	assert_memory_equal(secmem_bytes(&all[0]), OLD, strlen(OLD));
	assert_memory_equal(secmem_bytes(&all[1]), NEW, strlen(NEW));
	for (i = 0; i < n; i++)
		secmem_free_bytes(&all[i]);
	put(f, 0, NULL);
	put(f, 1, THIRD);
	assert_int_equal(keys_all(f->keys, all, 1), 1);
	secmem_free_bytes(&all[0]);
	assert_int_equal(keys_all(f->keys, all, 0), 0);
	assert_int_equal(keys_all(f->keys, all, 3), 2);
	assert_memory_equal(secmem_bytes(&all[1]), THIRD, strlen(THIRD));
	secmem_free_bytes(&all[0]);
	secmem_free_bytes(&all[1]);
	assert_int_equal(log_lines, 0);
}

/* What another run left was read with the second file's key. */
static void
test_use_puts_it_in_force_and_the_first_file_has_to_prove(void **state)
{
	struct fixture *f = *state;
	struct secmem key = {NULL, 0};

	have(f, 1);
	put(f, 1, THIRD);
	assert_int_equal(secmem_copy(&key, THIRD, strlen(THIRD),
	    SECMEM_LIBRARY), 0);
	assert_int_equal(keys_use(f->keys, &key), 0);
	secmem_free_bytes(&key);
	assert_true(in_force(f, THIRD));
	fake_time_run();
	f->taken = 1; /* one key was set without */
	(void)question(f, OLD);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, OLD));
	assert_int_equal(f->dropped, 0);
	/* the one that is in force already */
	assert_int_equal(keys_use(f->keys, keys_in_force(f->keys)), 0);
	assert_int_equal(f->fu.keys_set, 2);
}

static void
test_check_wants_one_that_can_be_read(void **state)
{
	struct fixture *f = *state;
	char why[200];

	assert_int_equal(keys_check(f->list, why, sizeof(why)), 0);
	put(f, 1, NEW);
	put(f, 0, NULL);
	assert_int_equal(keys_check(f->list, why, sizeof(why)), 0);
	put(f, 1, "two words");
	assert_int_equal(keys_check(f->list, why, sizeof(why)),
	    ERR_NOT_FOUND);
	assert_non_null(strstr(why, "no such file"));
	assert_non_null(strstr(why, f->paths[0]));
	assert_int_equal(log_lines, 0);
}

static void
test_new_without_timers_is_none(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	for (i = 1; i <= 3; i++) {
		fake_time_fail_new(i);
		assert_null(keys_new(NULL, f->list));
	}
	fake_time_fail_new(0);
}

/* --- a file changes --- */

static void
test_same_tenant_takes_over_and_keeps_the_cache(void **state)
{
	struct fixture *f = *state;

	have(f, 2);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	/* nothing has changed but that the service is asked */
	(void)question(f, NEW);
	assert_true(in_force(f, OLD));
	assert_true(is_cached(f, "s-1"));
	assert_int_equal(log_lines, 0);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->fu.other_key_calls, 1);
	assert_int_equal(f->taken, 1);
	assert_int_equal(f->dropped, 0);
	assert_true(is_cached(f, "s-1"));
	assert_true(is_cached(f, "s-2"));
	expect_log(1, "in force now");
	/* and that is that */
	fake_upstream_pass(&f->fu, 10 * CHECK);
	assert_int_equal(f->fu.other_key_calls, 1);
	assert_int_equal(f->fu.keys_set, 1);
}

static void
test_nothing_is_asked_while_nothing_changes(void **state)
{
	struct fixture *f = *state;
	unsigned int started;

	have(f, 1);
	started = f->fu.started;
	fake_upstream_pass(&f->fu, 20 * CHECK);
	assert_int_equal(f->fu.started, started);
	put(f, 0, OLD); /* another file, the same key */
	fake_upstream_pass(&f->fu, 20 * CHECK);
	assert_int_equal(f->fu.started, started);
	assert_int_equal(log_lines, 0);
}

static void
test_other_tenant_drops_everything_first(void **state)
{
	struct fixture *f = *state;

	have(f, 4);
	fake_upstream_key(&f->fu, NEW, 404);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	/* three are asked for, one after another, and no more */
	fake_upstream_answer_table(&f->fu, question(f, NEW));
	fake_upstream_answer_table(&f->fu, question(f, NEW));
	assert_true(in_force(f, OLD));
	fake_upstream_answer_table(&f->fu, question(f, NEW));
	assert_true(in_force(f, NEW));
	assert_false(is_cached(f, "s-1"));
	assert_false(is_cached(f, "s-4"));
	assert_int_equal(f->fu.other_key_calls, 3);
	assert_int_equal(f->dropped, 1);
	expect_log(1, "another tenant's");
	fake_upstream_serve(&f->fu);
}

static void
test_each_id_is_asked_for_once(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	f->fu.things[0].version = 2;
	ask(f, "s-1?version=1", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
	fake_upstream_key(&f->fu, NEW, 404);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->fu.other_key_calls, 1);
	assert_true(in_force(f, NEW));
}

static void
test_one_that_is_known_is_enough(void **state)
{
	struct fixture *f = *state;
	struct upstream_call *call;

	have(f, 3);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	fake_upstream_answer_status(&f->fu, question(f, NEW), 404);
	fake_upstream_answer_status(&f->fu, question(f, NEW), 403);
	call = question(f, NEW);
	fake_upstream_answer_table(&f->fu, call);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->dropped, 0);
	assert_true(is_cached(f, "s-1"));
}

/* The service tells that much of one that is deactivated. */
static void
test_one_that_is_deactivated_is_known(void **state)
{
	struct fixture *f = *state;
	struct upstream_answer answer = {
		.error = ERR_NOT_FOUND, .status = 200, .gone = true,
	};

	have(f, 1);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	fake_upstream_answer(&f->fu, question(f, NEW), &answer);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->dropped, 0);
	/* the proof changes nothing of what is cached */
	assert_true(is_cached(f, "s-1"));
}

static void
test_forbidden_drops_everything_too(void **state)
{
	struct fixture *f = *state;

	have(f, 2);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	fake_upstream_answer_status(&f->fu, question(f, NEW), 404);
	fake_upstream_answer_status(&f->fu, question(f, NEW), 403);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->dropped, 1);
	assert_false(is_cached(f, "s-1"));
	expect_log(1, "may not read what is cached");
	fake_upstream_serve(&f->fu);
}

static void
test_nothing_cached_takes_over_at_once(void **state)
{
	struct fixture *f = *state;

	put(f, 0, NEW);
	fake_time_pass(CHECK);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->fu.started, 0);
	expect_log(1, "nothing is cached");
}

/* What was not found for the one may be there for the other. */
static void
test_nothing_cached_forgets_what_was_not_found(void **state)
{
	struct fixture *f = *state;

	ask(f, "s-9", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_NOT_FOUND);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	(void)fake_upstream_add(&f->fu, REF_SECRET, "s-9", "nine", "value");
	ask(f, "s-9", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
}

/* --- a bad one --- */

static void
test_refused_key_is_left_alone(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, NEW, 401);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	fake_upstream_answer_table(&f->fu, question(f, NEW));
	assert_true(in_force(f, OLD));
	assert_true(is_cached(f, "s-1"));
	assert_int_equal(f->fu.keys_set, 0);
	expect_log(1, "refuses the API key in it");
	/* neither asked again nor told again */
	fake_upstream_pass(&f->fu, 20 * CHECK);
	assert_int_equal(f->fu.other_key_calls, 1);
	assert_int_equal(log_lines, 1);
	/* until its file changes, or the files are to be read */
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, CHECK);
	assert_int_equal(f->fu.other_key_calls, 2);
	fake_upstream_key(&f->fu, NEW, 0);
	assert_int_equal(keys_reload(f->keys, f->list), 0);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
}

static void
test_file_without_a_key_leaves_the_old_one(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, "two words");
	fake_upstream_pass(&f->fu, 10 * CHECK);
	assert_true(in_force(f, OLD));
	expect_log(1, "one API key");
	put(f, 0, NULL);
	fake_upstream_pass(&f->fu, 10 * CHECK);
	assert_true(in_force(f, OLD));
	expect_log(2, "no such file");
	assert_int_equal(f->fu.other_key_calls, 0);
	put(f, 0, "two words"); /* known, but was away meanwhile */
	fake_upstream_pass(&f->fu, 10 * CHECK);
	assert_int_equal(log_lines, 3);
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, CHECK);
	assert_true(in_force(f, NEW));
}

static void
test_next_file_is_tried(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, NEW, 401);
	fake_upstream_key(&f->fu, OLD, 401);
	put(f, 0, NEW);
	put(f, 1, THIRD);
	fake_time_pass(CHECK);
	fake_upstream_answer_table(&f->fu, question(f, NEW));
	fake_upstream_answer_table(&f->fu, question(f, THIRD));
	assert_true(in_force(f, THIRD));
	assert_true(is_cached(f, "s-1"));
	assert_int_equal(f->dropped, 0);
}

/* The new key is first in the list, and does not work yet. */
static void
test_first_that_does_not_work_leaves_the_second_in_force(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, NEW, 401);
	put(f, 0, NEW);
	put(f, 1, OLD);
	fake_upstream_pass(&f->fu, 20 * CHECK);
	assert_true(in_force(f, OLD));
	assert_int_equal(f->fu.other_key_calls, 1);
	assert_int_equal(f->fu.keys_set, 0);
	/* the old one is revoked: now, that the new one works, it is used */
	fake_upstream_key(&f->fu, NEW, 0);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->dropped, 0);
}

static void
test_second_file_is_not_looked_into_while_the_first_works(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 1, "two words");
	fake_upstream_pass(&f->fu, 3 * CHECK);
	put(f, 1, NEW);
	fake_upstream_pass(&f->fu, 3 * CHECK);
	assert_true(in_force(f, OLD));
	assert_int_equal(f->fu.other_key_calls, 0);
	assert_int_equal(log_lines, 0);
}

/* --- no answer --- */

static void
test_no_answer_leaves_the_old_one_and_is_tried_again(void **state)
{
	struct fixture *f = *state;
	unsigned int calls;

	have(f, 1);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	f->fu.mode = FAKE_NO_CONNECTION;
	fake_upstream_answer_table(&f->fu, question(f, NEW));
	assert_true(in_force(f, OLD));
	expect_log(1, "cannot be asked now (connection refused)");
	/* with a backoff, and told once */
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	calls = f->fu.other_key_calls;
	assert_in_range(calls, 10, 60);
	assert_int_equal(log_lines, 1);
	f->fu.mode = FAKE_OK;
	fake_upstream_pass(&f->fu, MINUTE + SECOND);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->fu.other_key_calls, calls + 1);
	assert_int_equal(f->dropped, 0);
}

static void
test_wrong_answer_proves_nothing(void **state)
{
	struct fixture *f = *state;

	have(f, 2);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	fake_upstream_answer_status(&f->fu, question(f, NEW), 418);
	fake_upstream_answer_status(&f->fu, question(f, NEW), 404);
	assert_true(in_force(f, OLD));
	assert_true(is_cached(f, "s-1"));
	fake_upstream_pass(&f->fu, 2 * SECOND);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->dropped, 0);
}

static void
test_retry_after_is_kept(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, NEW, 429);
	f->fu.retry_after_ms = 20 * MINUTE;
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, CHECK);
	fake_upstream_key(&f->fu, NEW, 0);
	fake_upstream_pass(&f->fu, 20 * MINUTE - SECOND);
	assert_int_equal(f->fu.other_key_calls, 1);
	assert_true(in_force(f, OLD));
	fake_upstream_pass(&f->fu, 2 * SECOND);
	assert_true(in_force(f, NEW));
}

/* Also if a refusal of the old key makes it urgent. */
static void
test_retry_after_is_kept_when_it_is_urgent(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, NEW, 429);
	f->fu.retry_after_ms = 2 * MINUTE;
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, CHECK);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_upstream_pass(&f->fu, MINUTE);
	assert_int_equal(f->error, ERR_UNAUTHORIZED);
	fake_upstream_key(&f->fu, OLD, 0);
	ask(f, "s-2", false);
	fake_upstream_pass(&f->fu, 30 * SECOND);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->fu.other_key_calls, 1);
	fake_upstream_key(&f->fu, NEW, 0);
	fake_upstream_pass(&f->fu, MINUTE);
	assert_int_equal(f->fu.other_key_calls, 2);
	assert_true(in_force(f, NEW));
}

static void
down(struct fixture *f)
{
	unsigned int i;

	f->fu.mode = FAKE_NO_CONNECTION;
	for (i = 0; i < 4; i++) {
		ask(f, "s-4", false);
		fake_upstream_pass(&f->fu, 10 * SECOND);
	}
	assert_int_equal(stats_of(f).state, JOBS_DOWN);
}

static void
test_nothing_is_asked_of_a_service_that_is_away(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	down(f);
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	assert_int_equal(f->fu.other_key_calls, 0);
	assert_true(in_force(f, OLD));
	assert_true(is_cached(f, "s-1"));
	/* at once when it is back */
	f->fu.mode = FAKE_OK;
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->dropped, 0);
}

/* The key is rotated during an outage: the old one is refused after it. */
static void
test_service_that_is_back_with_a_401_is_asked_at_once(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	down(f);
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	f->fu.mode = FAKE_OK;
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
	assert_null(f->wait);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->dropped, 0);
}

static void
test_nothing_is_asked_during_a_drill(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fetch_set_offline(f->fetch, true);
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, MINUTE);
	assert_int_equal(f->fu.other_key_calls, 0);
	fetch_set_offline(f->fetch, false);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
}

static void
test_start_that_fails_is_tried_again(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	f->fu.start_error = ERR_NOMEM;
	fake_time_pass(CHECK);
	assert_true(in_force(f, OLD));
	assert_int_equal(log_lines, 1);
	fake_upstream_pass(&f->fu, 2 * SECOND);
	assert_true(in_force(f, NEW));
}

/* --- it changes again meanwhile --- */

static void
test_newest_file_counts(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	(void)question(f, NEW);
	put(f, 0, THIRD);
	fake_time_pass(CHECK);
	(void)question(f, THIRD);
	assert_int_equal(fake_upstream_waiting(&f->fu), 1);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, THIRD));
	assert_int_equal(f->fu.keys_set, 1);
}

static void
test_old_key_that_is_put_back_ends_the_proof(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	(void)question(f, NEW);
	put(f, 0, OLD);
	fake_time_pass(CHECK);
	assert_int_equal(fake_upstream_waiting(&f->fu), 0);
	fake_upstream_pass(&f->fu, 10 * MINUTE);
	assert_int_equal(f->fu.keys_set, 0);
}

static void
test_proof_goes_on_while_its_file_is_looked_at(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	(void)question(f, NEW);
	put(f, 0, NEW);
	fake_time_pass(3 * CHECK);
	assert_int_equal(f->fu.other_key_calls, 1);
	/* a reload begins it anew */
	assert_int_equal(keys_reload(f->keys, f->list), 0);
	assert_int_equal(f->fu.other_key_calls, 2);
	keys_refused(f->keys);
	fake_time_run();
	assert_int_equal(f->fu.other_key_calls, 2);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
}

static void
test_link_that_is_led_elsewhere_is_seen(void **state)
{
	struct fixture *f = *state;
	char target[TEMPDIR_PATH], link[TEMPDIR_PATH];

	have(f, 1);
	/* as Kubernetes has it: key -> ..data/key, and ..data is replaced */
	put(f, 0, NULL);
	assert_int_equal(mkdir(tempdir_file(&f->dir, "1"), 0700), 0);
	assert_int_equal(mkdir(tempdir_file(&f->dir, "2"), 0700), 0);
	(void)tempdir_write(&f->dir, "1/a", OLD, strlen(OLD), 0600);
	(void)tempdir_write(&f->dir, "2/a", NEW, strlen(NEW), 0600);
	assert_int_equal(symlink("1", tempdir_file(&f->dir, "..data")), 0);
	assert_int_equal(symlink("..data/a", f->paths[0]), 0);
	fake_upstream_pass(&f->fu, 3 * CHECK);
	assert_true(in_force(f, OLD));
	assert_int_equal(symlink("2", tempdir_file(&f->dir, "..next")), 0);
	(void)snprintf(target, sizeof(target), "%s", f->dir.file);
	(void)snprintf(link, sizeof(link), "%s",
	    tempdir_file(&f->dir, "..data"));
	assert_int_equal(rename(target, link), 0);
	fake_upstream_pass(&f->fu, CHECK);
	assert_true(in_force(f, NEW));
	(void)unlink(tempdir_file(&f->dir, "1/a"));
	(void)unlink(tempdir_file(&f->dir, "2/a"));
}

/* Written within the same tick of the file system as it was read. */
static void
test_change_that_cannot_be_seen_is_read_all_the_same(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, "qapi_bad");
	fake_upstream_key(&f->fu, "qapi_bad", 401);
	fake_upstream_pass(&f->fu, CHECK);
	frozen = true;
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, CHECK);
	assert_true(in_force(f, NEW));
}

static void
test_reload_may_name_other_files(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	(void)snprintf(f->paths[1], sizeof(f->paths[1]), "%s",
	    tempdir_file(&f->dir, "b"));
	put(f, 1, NEW);
	f->list[0] = f->paths[1];
	assert_int_equal(keys_reload(f->keys, f->list), 0);
	memset(f->paths[0], 'X', sizeof(f->paths[0]) - 1); /* was copied */
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
	put(f, 1, THIRD);
	fake_upstream_pass(&f->fu, CHECK);
	assert_true(in_force(f, THIRD));
}

/* --- the key in force is refused --- */

/* Nobody sees anything of it. */
static void
test_refusal_waits_for_the_proof(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_time_run();
	fake_upstream_answer_table(&f->fu, fake_upstream_first(&f->fu));
	fake_time_run();
	assert_int_equal(f->answers, 1); /* that of have() */
	(void)question(f, NEW);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
	assert_string_equal(f->value, "value");
	assert_true(in_force(f, NEW));
	assert_int_equal(stats_of(f).state, JOBS_OK);
	assert_int_equal(f->dropped, 0);
	assert_true(is_cached(f, "s-1"));
}

static void
test_cold_refusal_finds_the_next_file(void **state)
{
	struct fixture *f = *state;

	put(f, 1, NEW);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-1", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->fu.other_key_calls, 0);
}

static void
test_refusal_of_all_is_unauthorized(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 1, NEW);
	fake_upstream_key(&f->fu, OLD, 401);
	fake_upstream_key(&f->fu, NEW, 401);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_UNAUTHORIZED);
	assert_int_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	assert_true(in_force(f, OLD));
	assert_int_equal(f->fu.other_key_calls, 1);
	/* what is cached is served for the grace, and then no longer */
	fake_upstream_pass(&f->fu, GRACE - MINUTE);
	assert_true(is_cached(f, "s-1"));
	fake_upstream_pass(&f->fu, 2 * MINUTE);
	assert_false(is_cached(f, "s-1"));
	assert_int_equal(f->wiped, 1);
}

static void
test_grace_ends_with_the_proof(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, MINUTE);
	put(f, 0, NEW);
	fake_upstream_pass(&f->fu, CHECK);
	assert_true(in_force(f, NEW));
	assert_int_not_equal(stats_of(f).state, JOBS_UNAUTHORIZED);
	fake_upstream_pass(&f->fu, 2 * GRACE);
	assert_int_equal(f->wiped, 0);
	assert_true(is_cached(f, "s-1"));
	ask(f, "s-3", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
}

static void
test_refusal_with_no_answer_to_the_proof_fails(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_upstream_key(&f->fu, OLD, 401);
	fake_upstream_key(&f->fu, NEW, 500);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_UNAUTHORIZED);
	assert_true(is_cached(f, "s-1"));
	fake_upstream_key(&f->fu, NEW, 0);
	fake_upstream_pass(&f->fu, 20 * SECOND);
	assert_true(in_force(f, NEW));
	assert_true(is_cached(f, "s-1"));
}

/* With nothing cached each is taken without a proof. */
static void
test_two_refused_keys_do_not_take_turns_fast(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	put(f, 1, NEW);
	fake_upstream_key(&f->fu, OLD, 401);
	fake_upstream_key(&f->fu, NEW, 401);
	ask(f, "s-1", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_UNAUTHORIZED);
	assert_int_equal(f->fu.keys_set, 1);
	assert_in_range(f->fu.started, 2, 3);
	for (i = 0; i < 60; i++) {
		ask(f, "s-1", false);
		fake_upstream_pass(&f->fu, SECOND);
		assert_int_equal(f->error, ERR_UNAUTHORIZED);
	}
	assert_in_range(f->fu.keys_set, 2, 5);
	/* no more than the breaker lets through, and one a turn */
	assert_in_range(f->fu.started, 4, 70);
	assert_int_equal(log_lines, 1);
	/* the one that is not in force is good again */
	fake_upstream_key(&f->fu, in_force(f, OLD) ? NEW : OLD, 0);
	fake_upstream_pass(&f->fu, 15 * SECOND);
	ask(f, "s-1", false);
	fake_upstream_pass(&f->fu, 20 * SECOND);
	ask(f, "s-1", false);
	fake_upstream_pass(&f->fu, SECOND);
	assert_int_equal(f->error, 0);
}

static void
test_key_that_is_good_again_stays(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_UNAUTHORIZED);
	fake_upstream_key(&f->fu, OLD, 0);
	fake_upstream_pass(&f->fu, 20 * SECOND);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->fu.keys_set, 0);
	/* and is not taken for refused: there is no need of another */
	put(f, 1, THIRD);
	fake_upstream_pass(&f->fu, 3 * CHECK);
	assert_int_equal(f->fu.other_key_calls, 0);
}

static void
test_key_that_took_over_is_not_taken_for_refused(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_upstream_key(&f->fu, OLD, 401);
	ask(f, "s-2", false);
	fake_upstream_serve(&f->fu);
	assert_true(in_force(f, NEW));
	assert_int_equal(f->fu.other_key_calls, 1);
	put(f, 1, THIRD);
	fake_upstream_pass(&f->fu, 3 * CHECK);
	assert_int_equal(f->fu.other_key_calls, 1);
}

/* --- what is under way when the tenant changes --- */

static void
test_read_with_the_old_key_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct upstream_call *call;

	have(f, 1);
	fake_upstream_key(&f->fu, NEW, 404);
	put(f, 0, NEW);
	fake_time_pass(CHECK - 1);
	ask(f, "s-2", false);
	fake_time_run();
	call = fake_upstream_find(&f->fu, "s-2");
	assert_string_equal(call->key, OLD);
	fake_time_pass(1);
	fake_upstream_answer_table(&f->fu, fake_upstream_find(&f->fu, "s-1"));
	assert_true(in_force(f, NEW));
	fake_time_run();
	call = fake_upstream_find(&f->fu, "s-2");
	assert_string_equal(call->key, NEW);
	fake_upstream_serve(&f->fu);
	assert_int_equal(f->error, ERR_NOT_FOUND);
	assert_false(is_cached(f, "s-2"));
}

/* The n-th allocation fails: then it is later that the new key takes over. */
static void
test_each_allocation_may_fail(void **state)
{
	struct fixture *f = *state;
	const char *next;
	unsigned int n;

	have(f, 1);
	for (n = 1; n == 1 || failed; n++) {
		assert_true(n < 100);
		forget_log();
		failed = false;
		next = n % 2 == 1 ? NEW : OLD;
		put(f, 0, next);
		fail_at = n;
		(void)keys_reload(f->keys, f->list);
		fake_upstream_serve(&f->fu);
		fail_at = 0;
		fake_upstream_pass(&f->fu, 20 * SECOND);
		if (!in_force(f, next))
			fail_msg("%u: %s", n, logged);
		assert_true(is_cached(f, "s-1"));
	}
	assert_in_range(n, 8, 40);
	/* and at the start */
	failed = true;
	for (n = 1; failed; n++) {
		struct keys *k;

		assert_true(n < 100);
		failed = false;
		fail_at = n;
		k = keys_new(NULL, f->list);
		fail_at = 0;
		assert_int_equal(k == NULL, failed);
		keys_free(k);
	}
}

static void
test_use_without_memory_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct secmem key = {NULL, 0};

	assert_int_equal(secmem_copy(&key, THIRD, strlen(THIRD),
	    SECMEM_LIBRARY), 0);
	for (fail_at = 1; fail_at <= 2; fail_at++) {
		unsigned int n = fail_at;

		assert_int_equal(keys_use(f->keys, &key), ERR_NOMEM);
		assert_true(in_force(f, OLD));
		fail_at = n;
	}
	fail_at = 0;
	secmem_free_bytes(&key);
}

static void
test_free_in_the_middle_of_a_proof(void **state)
{
	struct fixture *f = *state;

	have(f, 1);
	put(f, 0, NEW);
	fake_time_pass(CHECK);
	(void)question(f, NEW);
	keys_free(f->keys);
	f->keys = NULL;
	assert_int_equal(fake_upstream_waiting(&f->fu), 0);
}

static int
group_set_up(void **state)
{
	return unit_secmem_setup(state);
}

#define TEST(name, set_up)						\
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_load_takes_the_first_that_can_be_read, set_up_two),
		TEST(test_check_wants_one_that_can_be_read, set_up_two),
		TEST(test_all_gives_the_one_in_force_first, set_up_two),
		TEST(test_use_puts_it_in_force_and_the_first_file_has_to_prove,
		    set_up_two),
		TEST(test_new_without_timers_is_none, set_up),
		TEST(test_same_tenant_takes_over_and_keeps_the_cache, set_up),
		TEST(test_nothing_is_asked_while_nothing_changes, set_up),
		TEST(test_other_tenant_drops_everything_first, set_up),
		TEST(test_each_id_is_asked_for_once, set_up),
		TEST(test_one_that_is_known_is_enough, set_up),
		TEST(test_one_that_is_deactivated_is_known, set_up),
		TEST(test_forbidden_drops_everything_too, set_up),
		TEST(test_nothing_cached_takes_over_at_once, set_up),
		TEST(test_nothing_cached_forgets_what_was_not_found, set_up),
		TEST(test_refused_key_is_left_alone, set_up),
		TEST(test_file_without_a_key_leaves_the_old_one, set_up),
		TEST(test_next_file_is_tried, set_up_two),
		TEST(test_first_that_does_not_work_leaves_the_second_in_force,
		    set_up_two),
		TEST(test_second_file_is_not_looked_into_while_the_first_works,
		    set_up_two),
		TEST(test_no_answer_leaves_the_old_one_and_is_tried_again,
		    set_up),
		TEST(test_wrong_answer_proves_nothing, set_up),
		TEST(test_retry_after_is_kept, set_up),
		TEST(test_retry_after_is_kept_when_it_is_urgent, set_up),
		TEST(test_nothing_is_asked_of_a_service_that_is_away, set_up),
		TEST(test_service_that_is_back_with_a_401_is_asked_at_once,
		    set_up),
		TEST(test_nothing_is_asked_during_a_drill, set_up),
		TEST(test_start_that_fails_is_tried_again, set_up),
		TEST(test_newest_file_counts, set_up),
		TEST(test_old_key_that_is_put_back_ends_the_proof, set_up),
		TEST(test_proof_goes_on_while_its_file_is_looked_at, set_up),
		TEST(test_link_that_is_led_elsewhere_is_seen, set_up),
		TEST(test_change_that_cannot_be_seen_is_read_all_the_same,
		    set_up),
		TEST(test_reload_may_name_other_files, set_up),
		TEST(test_refusal_waits_for_the_proof, set_up),
		TEST(test_cold_refusal_finds_the_next_file, set_up_two),
		TEST(test_refusal_of_all_is_unauthorized, set_up_two),
		TEST(test_grace_ends_with_the_proof, set_up),
		TEST(test_refusal_with_no_answer_to_the_proof_fails, set_up),
		TEST(test_two_refused_keys_do_not_take_turns_fast, set_up_two),
		TEST(test_key_that_is_good_again_stays, set_up_two),
		TEST(test_key_that_took_over_is_not_taken_for_refused,
		    set_up_two),
		TEST(test_read_with_the_old_key_is_made_again, set_up),
		TEST(test_each_allocation_may_fail, set_up),
		TEST(test_use_without_memory_changes_nothing, set_up),
		TEST(test_free_in_the_middle_of_a_proof, set_up),
	};

	return cmocka_run_group_tests(tests, group_set_up,
	    unit_secmem_teardown);
}
