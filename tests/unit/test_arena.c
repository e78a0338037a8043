/*
 * The allocator below secmem.c, over plain memory and with steps that can be
 * refused at will.
 */
#include "config.h"

#include "arena.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define STEP ((size_t)64 * 1024)
#define STEPS ((size_t)16)
#define RETRY_FREES 256	/* as in arena.c */

struct fake {
	struct arena *arena;
	uint8_t *base;
	bool held[STEPS];
	size_t grow_calls;
	size_t shrink_calls;
	size_t allowed_steps;	/* what steps_lockable says is left, and */
	size_t fail_at;		/* number of the grow call that fails, 1... */
	int grow_error;
	int shrink_error;
};

static size_t
held_count(const struct fake *f)
{
	size_t i, n = 0;

	for (i = 0; i < STEPS; i++)
		n += f->held[i];
	return n;
}

/* Reads freed memory, which the sanitizer would rightly object to. */
__attribute__((no_sanitize("address"), noinline)) static bool
is_zero(const volatile uint8_t *p, size_t len)
{
	bool zero = true;
	size_t i;

	for (i = 0; i < len; i++)
		zero &= p[i] == 0;
	return zero;
}

static int
fake_grow(void *arg, size_t offset, size_t len)
{
	struct fake *f = arg;

	f->grow_calls++;
	assert_int_equal(len, STEP);
	assert_int_equal(offset % STEP, 0);
	assert_false(f->held[offset / STEP]);
	if (f->grow_calls == f->fail_at || f->grow_error != 0)
		return f->grow_error != 0 ? f->grow_error : -EAGAIN;
	f->held[offset / STEP] = true;
	return 0;
}

static int
fake_shrink(void *arg, size_t offset, size_t len)
{
	struct fake *f = arg;

	f->shrink_calls++;
	assert_int_equal(len, STEP);
	assert_true(f->held[offset / STEP]);
	if (f->shrink_error != 0)
		return f->shrink_error;
	assert_true(is_zero(f->base + offset, len));
	f->held[offset / STEP] = false;
	return 0;
}

static size_t
fake_lockable(void *arg, size_t max_bytes)
{
	struct fake *f = arg;
	size_t held = held_count(f);
	size_t left = f->allowed_steps > held ? f->allowed_steps - held : 0;

	return left * STEP < max_bytes ? left * STEP : max_bytes;
}

static const struct arena_ops fake_ops = {
	.grow = fake_grow,
	.shrink = fake_shrink,
	.lockable = fake_lockable,
};

static struct fake fake;

static struct arena *
make(size_t headroom)
{
	struct arena_config cfg = {
		.bytes = STEPS * STEP,
		.step_bytes = STEP,
		.headroom_bytes = headroom,
		.ops = &fake_ops,
		.arg = &fake,
	};

	fake = (struct fake){.allowed_steps = STEPS};
	fake.base = mmap(NULL, STEPS * STEP, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(fake.base != MAP_FAILED);
	cfg.base = fake.base;
	fake.arena = arena_new(&cfg);
	assert_non_null(fake.arena);
	assert_int_equal(arena_start(fake.arena), 0);
	return fake.arena;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(fake.arena);
	if (fake.base != NULL)
		(void)munmap(fake.base, STEPS * STEP);
	fake = (struct fake){0};
	return 0;
}

static struct arena_stats
stats(void)
{
	struct arena_stats s;

	arena_get_stats(fake.arena, &s);
	return s;
}

static void
test_new_bad_config_returns_null(void **state)
{
	struct arena_config cfg = {.bytes = 4 * STEP, .step_bytes = STEP,
		.ops = &fake_ops, .arg = &fake};

	(void)state;
	cfg.base = (void *)(uintptr_t)16;
	assert_null(arena_new(&cfg));
	cfg.base = NULL;
	cfg.step_bytes = 3 * 4096;
	assert_null(arena_new(&cfg));
	cfg.step_bytes = 2048;
	assert_null(arena_new(&cfg));
	cfg.step_bytes = STEP;
	cfg.bytes = 3 * STEP + 4096;
	assert_null(arena_new(&cfg));
	cfg.bytes = 0;
	assert_null(arena_new(&cfg));
	cfg.bytes = SIZE_MAX / STEP * STEP;
	assert_null(arena_new(&cfg));
	cfg.bytes = 4 * STEP;
	cfg.headroom_bytes = 5 * STEP;
	assert_null(arena_new(&cfg));
	arena_free(NULL);
}

static void
test_start_failure_is_not_counted(void **state)
{
	struct arena_config cfg = {.bytes = STEPS * STEP, .step_bytes = STEP,
		.ops = &fake_ops, .arg = &fake};

	(void)state;
	fake = (struct fake){.grow_error = -ENOSYS};
	fake.arena = arena_new(&cfg);
	assert_non_null(fake.arena);
	assert_int_equal(arena_start(fake.arena), -ENOSYS);
	assert_int_equal(stats().grow_failures, 0);
	assert_int_equal(stats().held_bytes, 0);
}

static void
test_grow_failure_is_counted_and_told_once(void **state)
{
	struct arena *a = make(0);
	void *p, *q;
	int e = 0;

	(void)state;
	p = arena_alloc(a, STEP, false);
	fake.grow_error = -EAGAIN;
	assert_null(arena_alloc(a, 1, false));
	assert_int_equal(stats().grow_failures, 1);
	assert_int_equal(stats().last_grow_errno, EAGAIN);
	assert_true(arena_take_grow_failure(a, &e));
	assert_int_equal(e, EAGAIN);
	assert_false(arena_take_grow_failure(a, &e));
	arena_release(a, p);
	p = arena_alloc(a, STEP, false);
	/* Growth works, and fails again: that is a new run of failures. */
	fake.grow_error = 0;
	q = p;
	for (e = 0; e < RETRY_FREES; e++) {
		arena_release(a, q);
		q = arena_alloc(a, STEP, false);
	}
	p = arena_alloc(a, STEP, false);
	assert_non_null(p);
	fake.grow_error = -ENOMEM;
	assert_null(arena_alloc(a, 1, false));
	assert_true(arena_take_grow_failure(a, &e));
	assert_int_equal(e, ENOMEM);
	arena_release(a, p);
	arena_release(a, q);
}

static void
test_growth_is_retried_after_frees(void **state)
{
	struct arena *a = make(0);
	void *p, *q;
	size_t calls;
	int i;

	(void)state;
	q = arena_alloc(a, STEP - 4096, false);
	fake.grow_error = -ENOMEM;
	assert_null(arena_alloc(a, STEP, false));
	calls = fake.grow_calls;
	for (i = 0; i < RETRY_FREES - 1; i++) {
		p = arena_alloc(a, 4096, false);
		arena_release(a, p);
		assert_null(arena_alloc(a, STEP, false));
	}
	assert_int_equal(fake.grow_calls, calls);
	fake.grow_error = 0;
	arena_release(a, arena_alloc(a, 4096, false));
	p = arena_alloc(a, STEP, false);
	assert_non_null(p);
	arena_release(a, p);
	arena_release(a, q);
}

static void
test_growth_is_retried_after_return(void **state)
{
	struct arena *a = make(0);
	void *p, *q, *s;

	(void)state;
	s = arena_alloc(a, STEP, false);
	q = arena_alloc(a, STEP, false);
	p = arena_alloc(a, STEP, false);
	fake.grow_error = -ENOMEM;
	assert_null(arena_alloc(a, 1, false));
	fake.grow_error = 0;
	assert_null(arena_alloc(a, 1, false));
	arena_release(a, p); /* kept */
	assert_null(arena_alloc(a, 2 * STEP, false));
	arena_release(a, q); /* given back */
	assert_int_equal(stats().steps_returned, 1);
	q = arena_alloc(a, 2 * STEP, false);
	assert_non_null(q);
	arena_release(a, q);
	arena_release(a, s);
}

static void
test_growth_beyond_the_limit_is_not_begun(void **state)
{
	struct arena *a = make(0);

	(void)state;
	fake.allowed_steps = 3;
	assert_null(arena_alloc(a, 4 * STEP, false));
	assert_int_equal(fake.grow_calls, 1); /* the start */
	assert_int_equal(stats().grow_failures, 1);
	assert_int_equal(stats().last_grow_errno, ENOMEM);
}

static void
test_growth_failing_midway_gives_back(void **state)
{
	struct arena *a = make(0);
	void *p = arena_alloc(a, STEP, false);

	(void)state;
	fake.fail_at = fake.grow_calls + 4;
	assert_null(arena_alloc(a, 6 * STEP, false));
	assert_int_equal(stats().held_bytes, 2 * STEP);
	assert_int_equal(held_count(&fake), 2);
	assert_int_equal(stats().grow_failures, 1);
	/* Giving back did not allow a new try. */
	assert_null(arena_alloc(a, 6 * STEP, false));
	assert_int_equal(fake.grow_calls, fake.fail_at);
	arena_release(a, p);
	assert_int_equal(held_count(&fake), 1);
}

static void
test_shrink_failure_keeps_the_step(void **state)
{
	struct arena *a = make(0);
	void *p = arena_alloc(a, 4 * STEP, false);

	(void)state;
	fake.shrink_error = -ENOMEM;
	arena_release(a, p);
	assert_int_equal(stats().held_bytes, 4 * STEP);
	assert_int_equal(stats().steps_returned, 0);
	/* Still usable, and given back with the next. */
	p = arena_alloc(a, 4 * STEP, false);
	assert_int_equal(stats().steps_grown, 4);
	fake.shrink_error = 0;
	arena_release(a, p);
	assert_int_equal(stats().held_bytes, STEP);
}

static void
test_no_address_space_is_a_failure_for_that_size_only(void **state)
{
	struct arena *a = make(0);
	void *p = arena_alloc(a, 10 * STEP, false);

	(void)state;
	assert_null(arena_alloc(a, 7 * STEP, false));
	assert_int_equal(stats().grow_failures, 1);
	assert_null(arena_alloc(a, STEPS * STEP + 1, false));
	arena_release(a, arena_alloc(a, 6 * STEP, false));
	arena_release(a, p);
}

/* A gap between held steps is filled with the free pages at both its ends. */
static void
test_growth_joins_both_sides(void **state)
{
	struct arena *a = make(0);
	uint8_t *p[4], *q;

	(void)state;
	p[0] = arena_alloc(a, STEP - 8192, false);
	p[1] = arena_alloc(a, STEP + 8192, false);
	p[2] = arena_alloc(a, 12 * STEP, false);
	p[3] = arena_alloc(a, 2 * STEP, false);
	assert_ptr_equal(p[1], p[0] + STEP - 8192);
	assert_int_equal(stats().held_bytes, STEPS * STEP);
	arena_release(a, p[2]); /* 12 steps: one is kept, at the low end */
	arena_release(a, p[1]);
	assert_int_equal(stats().steps_returned, 12);
	q = arena_alloc(a, 13 * STEP + 8192, false);
	assert_ptr_equal(q, p[1]);
	arena_release(a, q);
	arena_release(a, p[0]);
	arena_release(a, p[3]);
	assert_int_equal(stats().used_bytes, 0);
	assert_int_equal(held_count(&fake), 1);
}

static void
test_headroom_counts_what_can_grow(void **state)
{
	struct arena *a = make(2 * STEP);
	void *p, *q;

	(void)state;
	fake.allowed_steps = 4;
	p = arena_alloc(a, 1, false);
	arena_release(a, p);
	p = arena_alloc(a, 2 * STEP, true);
	assert_non_null(p);
	assert_null(arena_alloc(a, 1, true));
	q = arena_alloc(a, 2 * STEP, false);
	assert_non_null(q);
	assert_int_equal(stats().grow_failures, 0);
	assert_null(arena_alloc(a, 1, true));
	assert_int_equal(stats().grow_failures, 0);
	arena_release(a, q);
	assert_null(arena_alloc(a, 1, true));
	arena_release(a, p);
	p = arena_alloc(a, 1, true);
	assert_non_null(p);
	arena_release(a, p);
}

/* All sizes side by side, then everything comes back as one free run. */
static void
test_all_classes_return_their_pages(void **state)
{
	static void *p[20000];
	struct arena *a = make(0);
	size_t n = 0, len, i;

	(void)state;
	for (len = 1; len < 33 * 1024; len += 1 + len / 64) {
		p[n] = arena_alloc(a, len, false);
		if (p[n] == NULL)
			break;
		assert_true(arena_usable(a, p[n]) == arena_class_size(len));
		memset(p[n++], 0xee, len);
	}
	assert_true(n > 100);
	for (i = 0; i < n; i += 2)
		arena_release(a, p[i]);
	for (i = 1; i < n; i += 2)
		arena_release(a, p[i]);
	assert_int_equal(stats().used_bytes, 0);
	assert_int_equal(held_count(&fake), 1);
	p[0] = arena_alloc(a, STEPS * STEP, false);
	assert_non_null(p[0]);
	arena_release(a, p[0]);
}

/* A few objects of a large class must not hold whole long slabs. */
static void
test_few_objects_take_few_pages(void **state)
{
	static const size_t lens[] = {4608, 6656, 9216, 13312, 18432, 26624};
	struct arena *a = make(0);
	void *p[6];
	size_t i;

	(void)state;
	for (i = 0; i < 6; i++)
		p[i] = arena_alloc(a, lens[i], false);
	/* 2 + 2 + 3 + 4 + 5 + 7 pages of 16 to a step */
	assert_int_equal(stats().held_bytes, 2 * STEP);
	for (i = 0; i < 6; i++)
		arena_release(a, p[i]);
}

static void
test_bookkeeping_is_small(void **state)
{
	struct arena *a = make(0);
	void *p = arena_alloc(a, STEPS * STEP, false);

	(void)state;
	/* The fixed part is in proportion only in a real arena. */
	assert_true(stats().meta_bytes < STEPS * STEP * 15 / 1000 + 8192);
	arena_release(a, p);
}

int
main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_new_bad_config_returns_null),
		T(test_start_failure_is_not_counted),
		T(test_grow_failure_is_counted_and_told_once),
		T(test_growth_is_retried_after_frees),
		T(test_growth_is_retried_after_return),
		T(test_growth_beyond_the_limit_is_not_begun),
		T(test_growth_failing_midway_gives_back),
		T(test_shrink_failure_keeps_the_step),
		T(test_no_address_space_is_a_failure_for_that_size_only),
		T(test_growth_joins_both_sides),
		T(test_headroom_counts_what_can_grow),
		T(test_all_classes_return_their_pages),
		T(test_few_objects_take_few_pages),
		T(test_bookkeeping_is_small),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
