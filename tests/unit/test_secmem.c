/*
 * The secret-memory arena, on both of its backings.  As root the tests of the
 * limits give up their privileges in a child; otherwise they run with the
 * limits that are in force, within 8 MiB.
 *
 * SECMEM_BENCH=1 prints timings instead, SECMEM_SEED=n repeats a random run,
 * UNDER_VALGRIND=1 leaves out what that cannot do (children then die noisily).
 */
#include "config.h"

#include "secmem.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "err.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define STEP (256 * KIB)
#define NOBODY 65534

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WITH_ASAN 1
#endif
#ifndef WITH_ASAN
#define WITH_ASAN 0
#endif

/* --- support --- */

static enum secmem_backing backing_mlock = SECMEM_BACKING_MLOCK;
static enum secmem_backing backing_secret = SECMEM_BACKING_SECRETMEM;

static int
init(enum secmem_backing backing, size_t reserve, size_t headroom)
{
	struct secmem_config cfg = {
		.reserve_bytes = reserve,
		.step_bytes = STEP,
		.headroom_bytes = headroom,
		.backing = backing,
	};

	return secmem_init(&cfg);
}

/* Skips the test where the kernel has no memfd_secret. */
static void
begin(void **state, size_t reserve, size_t headroom)
{
	enum secmem_backing backing = *(const enum secmem_backing *)*state;
	int r = init(backing, reserve, headroom);

	if (r == -ENOSYS || (r != 0 && backing == SECMEM_BACKING_SECRETMEM &&
	    r != -EAGAIN && r != -ENOMEM)) {
		print_message("skipped: no memfd_secret (%s)\n", strerror(-r));
		skip();
	}
	if (r != 0)
		print_message("%s\n", secmem_strerror(r));
	assert_int_equal(r, 0);
}

static int
teardown(void **state)
{
	(void)state;
	secmem_done();
	return 0;
}

static struct secmem_stats
stats(void)
{
	struct secmem_stats s;

	secmem_get_stats(&s);
	return s;
}

/* Reads freed memory, which the sanitizer would rightly object to. */
__attribute__((no_sanitize("address"), noinline)) static bool
is_zero(const volatile uint8_t *p, size_t len)
{
	size_t i;
	bool zero = true;

	for (i = 0; i < len; i++)
		zero &= p[i] == 0;
	return zero;
}

__attribute__((no_sanitize("address"), noinline)) static void
touch(void *p)
{
	*(volatile uint8_t *)p = 1;
}

static void
release(void *p)
{
	secmem_free(p);
}

/* Quiet child that dies as the kernel wants; returns its wait status. */
static int
run_child(void (*fn)(void *), void *arg, bool quiet)
{
	struct rlimit none = {0};
	int status = -1;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)signal(SIGABRT, SIG_DFL);
		(void)setrlimit(RLIMIT_CORE, &none);
		if (quiet)
			(void)close(STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int
child_signal(void (*fn)(void *), void *arg)
{
	int status = run_child(fn, arg, true);

	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Start and end of the address space, found through an object. */
static void
arena_bounds(uint8_t *p, uint8_t **ret_start, uint8_t **ret_end)
{
	uintptr_t at = (uintptr_t)p & ~(uintptr_t)4095;
	uintptr_t end = at;

	while (secmem_contains((void *)(at - 1)))
		at -= 4096;
	while (secmem_contains((void *)end))
		end += 4096;
	*ret_start = (uint8_t *)at;
	*ret_end = (uint8_t *)end;
}

/* The flags of the mapping at p, as " rd wr ... " */
static void
vm_flags(const void *p, char *flags, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool inside = false;
	char line[512];

	assert_non_null(f);
	flags[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)p >= start && (uintptr_t)p < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			(void)snprintf(flags, size, " %s", line + 8);
	}
	(void)fclose(f);
}

static void
assert_flag(const char *flags, const char *flag)
{
	if (strstr(flags, flag) == NULL)
		fail_msg("no%sin VmFlags%s", flag, flags);
}

/* --- start and end --- */

static void
test_init_bad_config_returns_einval(void **state)
{
	struct secmem_config cfg = {.reserve_bytes = 4 * MIB,
		.step_bytes = STEP};

	(void)state;
	cfg.step_bytes = STEP + 4096;
	assert_int_equal(secmem_init(&cfg), -EINVAL);
	cfg.step_bytes = STEP / 2;
	assert_int_equal(secmem_init(&cfg), -EINVAL);
	cfg.step_bytes = 8 * MIB;
	assert_int_equal(secmem_init(&cfg), -EINVAL);
	cfg.step_bytes = STEP;
	cfg.reserve_bytes = SIZE_MAX;
	assert_int_equal(secmem_init(&cfg), -EINVAL);
	cfg.reserve_bytes = 4 * MIB;
	cfg.headroom_bytes = 5 * MIB;
	assert_int_equal(secmem_init(&cfg), -EINVAL);
	cfg.headroom_bytes = 0;
	cfg.backing = (enum secmem_backing)7;
	assert_int_equal(secmem_init(&cfg), -EINVAL);
	assert_non_null(strstr(secmem_strerror(-EINVAL), "no sense"));
}

static void
test_init_twice_returns_ealready(void **state)
{
	begin(state, 4 * MIB, 0);
	assert_int_equal(init(SECMEM_BACKING_AUTO, 4 * MIB, 0), -EALREADY);
	assert_non_null(strstr(secmem_strerror(-EALREADY), "already"));
}

static void
test_init_after_done_works(void **state)
{
	void *p;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(10);
	assert_true(secmem_contains(p));
	secmem_done();
	assert_false(secmem_contains(p));
	assert_null(secmem_malloc(10));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(stats().locked_bytes, 0);
	secmem_done();
	begin(state, 4 * MIB, 0);
	assert_non_null(secmem_malloc(10));
}

static void
test_init_default_step(void **state)
{
	struct secmem_config cfg = {.reserve_bytes = 4 * MIB};

	(void)state;
	assert_int_equal(secmem_init(&cfg), 0);
	assert_int_equal(stats().locked_bytes, 512 * KIB);
	assert_int_not_equal(stats().backing, SECMEM_BACKING_AUTO);
}

static void
test_init_locks_first_step(void **state)
{
	begin(state, 4 * MIB, 0);
	assert_int_equal(stats().locked_bytes, STEP);
	assert_int_equal(stats().steps_grown, 1);
	assert_int_equal(stats().used_bytes, 0);
	assert_int_equal(stats().backing,
	    *(const enum secmem_backing *)*state);
}

static void
address_space_child(void *arg)
{
	struct rlimit lim = {64 * MIB, 64 * MIB};
	int r;

	(void)arg;
	(void)setrlimit(RLIMIT_AS, &lim);
	r = init(SECMEM_BACKING_AUTO, 1024 * MIB, 0);
	_exit(r == -ENOMEM &&
	    strstr(secmem_strerror(r), "address space") != NULL ? 0 : 1);
}

static void
test_init_no_address_space_says_so(void **state)
{
	(void)state;
	if (WITH_ASAN)
		skip();
	assert_int_equal(run_child(address_space_child, NULL, false), 0);
}

static void
test_strerror_never_null(void **state)
{
	(void)state;
	assert_non_null(secmem_strerror(0));
	assert_non_null(secmem_strerror(-EIO));
	assert_non_null(secmem_strerror(1234567));
}

/* --- protection --- */

static void
test_memory_is_locked_and_not_dumped(void **state)
{
	char flags[512];
	uint8_t *p;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(100);
	vm_flags(p, flags, sizeof(flags));
	assert_flag(flags, " lo ");
	assert_flag(flags, " dd ");
	assert_flag(flags, " dc ");
	/* A step added later as well. */
	p = secmem_malloc(STEP + 1);
	vm_flags(p + STEP, flags, sizeof(flags));
	assert_flag(flags, " lo ");
	assert_flag(flags, " dd ");
	assert_flag(flags, " dc ");
	/* What is not held: out of cores and children, not locked. */
	vm_flags(p + 3 * MIB, flags, sizeof(flags));
	assert_flag(flags, " dd ");
	assert_flag(flags, " dc ");
	assert_null(strstr(flags, " lo "));
}

static void
test_child_does_not_see_it(void **state)
{
	uint8_t *p;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(100);
	assert_int_equal(child_signal(touch, p), SIGSEGV);
	touch(p); /* the parent does */
	p = secmem_malloc(STEP + 1);
	assert_int_equal(child_signal(touch, p + STEP), SIGSEGV);
}

static long
minor_faults(void)
{
	struct rusage u;

	assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
	return u.ru_minflt;
}

/* A page that is missing could be missing for good when it is touched. */
static void
test_steps_are_resident(void **state)
{
	size_t i;
	long n;
	uint8_t *p;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(2 * MIB);
	n = minor_faults();
	for (i = 0; i < 2 * MIB; i += 4096)
		p[i] = 1;
	/* Sanitizers and valgrind fault for memory of their own. */
	assert_true(minor_faults() - n < 64);
}

/* Steps of locked memory join; memfd_secret takes a mapping for each. */
static void
test_mappings_are_few(void **state)
{
	unsigned long start, end;
	uint8_t *p, *q;
	char line[512];
	int n = 0;
	FILE *f;

	begin(state, 6 * MIB, 0);
	p = secmem_malloc(4 * MIB);
	q = secmem_malloc(STEP);
	secmem_free(p);
	p = secmem_malloc(2 * MIB);
	f = fopen("/proc/self/maps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 &&
		    secmem_contains((void *)(uintptr_t)start))
			n++;
	}
	(void)fclose(f);
	assert_true(n <= (stats().backing == SECMEM_BACKING_MLOCK ? 5 :
	    (int)(stats().locked_bytes / STEP) + 5));
	secmem_free(p);
	secmem_free(q);
}

struct guard {
	uint8_t *at;
	enum secmem_backing backing;
};

/* DONTFORK would make every address fault: arena and touch in one child. */
static void
guard_child(void *arg)
{
	const struct guard *g = arg;
	uint8_t *start, *end;

	if (init(g->backing, 4 * MIB, 0) != 0)
		_exit(2);
	arena_bounds(secmem_malloc(10), &start, &end);
	if (end - start != 4 * (ptrdiff_t)MIB)
		_exit(3);
	touch(start);
	touch(start + STEP - 1);
	touch(g->at == NULL ? start - 1 : g->at == (uint8_t *)1 ? end :
	    g->at == (uint8_t *)2 ? start + STEP : end - 1);
}

static void
test_guards_fault(void **state)
{
	struct guard g = {.backing = *(const enum secmem_backing *)*state};
	uintptr_t i;

	begin(state, 4 * MIB, 0); /* to skip */
	secmem_done();
	for (i = 0; i < 4; i++) {
		g.at = (uint8_t *)i;
		assert_int_equal(child_signal(guard_child, &g), SIGSEGV);
	}
}

/* Steps that were given back are guards again. */
static void
returned_child(void *arg)
{
	uint8_t *p, *q;

	if (init(*(enum secmem_backing *)arg, 4 * MIB, 0) != 0)
		_exit(2);
	p = secmem_malloc(STEP);
	q = secmem_malloc(3 * STEP);
	secmem_free(p);
	touch(q + 3 * STEP - 1);
	secmem_free(q);
	touch(q + 3 * STEP - 1);
}

static void
test_returned_step_faults(void **state)
{
	enum secmem_backing backing = *(const enum secmem_backing *)*state;

	begin(state, 4 * MIB, 0); /* to skip */
	secmem_done();
	assert_int_equal(child_signal(returned_child, &backing), SIGSEGV);
}

/* --- objects --- */

static void
test_class_size_wastes_at_most_an_eighth(void **state)
{
	size_t len, size;

	(void)state;
	assert_int_equal(secmem_class_size(0), 16);
	assert_int_equal(secmem_class_size(4096), 4096);
	assert_int_equal(secmem_class_size(32768), 32768);
	assert_int_equal(secmem_class_size(32769), 36864);
	assert_true(secmem_class_size(SIZE_MAX) == SIZE_MAX);
	for (len = 1; len <= 3 * 32768; len++) {
		size = secmem_class_size(len);
		assert_true(size >= len && size % 16 == 0);
		assert_int_equal(secmem_class_size(size), size);
		if (len > 128)
			assert_true((size - len) * 8 < size);
		else
			assert_true(size - len < 16);
	}
}

static void
test_malloc_is_aligned_zeroed_and_apart(void **state)
{
	uint8_t *p, *q;
	size_t len, used;

	begin(state, 6 * MIB, 0);
	for (len = 0; len < 300 * KIB; len += 1 + len / 20) {
		p = secmem_malloc(len);
		q = secmem_malloc(len);
		assert_non_null(p);
		assert_non_null(q);
		assert_ptr_not_equal(p, q);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_true(is_zero(p, secmem_class_size(len)));
		assert_true(secmem_contains(p));
		used = 2 * secmem_class_size(len);
		assert_int_equal(stats().used_bytes, used);
		memset(p, 0xaa, len);
		assert_true(is_zero(q, len));
		secmem_free(p);
		secmem_free(q);
		assert_int_equal(stats().used_bytes, 0);
		assert_true(stats().peak_used_bytes >= used);
	}
}

static void
test_free_wipes(void **state)
{
	static const size_t lens[] = {1, 64, 100, 4096, 5000, 32768, 40000,
		STEP};
	uint8_t *p, *keep;
	size_t i;

	begin(state, 4 * MIB, 0);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		keep = secmem_malloc(lens[i]); /* the step stays held */
		p = secmem_malloc(lens[i]);
		memset(p, 0x5a, lens[i]);
		assert_false(is_zero(p, lens[i]));
		secmem_free(p);
		assert_true(is_zero(p, lens[i]));
		secmem_free(keep);
	}
}

static void
test_free_null_keeps_errno(void **state)
{
	void *p;

	begin(state, 4 * MIB, 0);
	secmem_free(NULL);
	p = secmem_malloc(1);
	errno = EXDEV;
	secmem_free(p);
	assert_int_equal(errno, EXDEV);
}

static void
test_page_takes_one_page(void **state)
{
	void *p[64];
	size_t i;

	begin(state, 4 * MIB, 0);
	for (i = 0; i < 64; i++)
		assert_non_null(p[i] = secmem_malloc(4096));
	assert_int_equal(stats().locked_bytes, STEP);
	assert_int_equal(stats().used_bytes, STEP);
	for (i = 0; i < 64; i++)
		secmem_free(p[i]);
}

static void
test_calloc_overflow_returns_null(void **state)
{
	begin(state, 4 * MIB, 0);
	errno = 0;
	assert_null(secmem_calloc(SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	assert_null(secmem_calloc(2, SIZE_MAX));
	assert_non_null(secmem_calloc(0, 10));
	assert_non_null(secmem_calloc(10, 0));
	assert_true(is_zero(secmem_calloc(100, 10), 1000));
}

static void
test_malloc_huge_returns_null(void **state)
{
	begin(state, 4 * MIB, 0);
	assert_null(secmem_malloc(SIZE_MAX));
	assert_null(secmem_malloc(SIZE_MAX - 4095));
	assert_null(secmem_malloc(4 * MIB + 1));
	assert_int_equal(errno, ENOMEM);
}

static void
test_realloc_moves_and_wipes(void **state)
{
	uint8_t *p, *q;

	begin(state, 4 * MIB, 0);
	p = secmem_realloc(NULL, 100);
	memset(p, 7, 100);
	q = secmem_realloc(p, 5000);
	assert_ptr_not_equal(p, q);
	assert_true(is_zero(p, 100));
	assert_int_equal(q[99], 7);
	assert_true(is_zero(q + 100, 4900));
	memset(q, 8, 5000);
	p = secmem_realloc(q, 10);
	assert_ptr_not_equal(p, q);
	assert_true(is_zero(q, 5000));
	assert_int_equal(p[9], 8);
	assert_true(is_zero(p + 10, 6));
	assert_null(secmem_realloc(p, 0));
	assert_int_equal(stats().used_bytes, 0);
}

static void
test_realloc_in_class_wipes_tail(void **state)
{
	uint8_t *p;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(4096);
	memset(p, 7, 4096);
	assert_ptr_equal(secmem_realloc(p, 4000), p);
	assert_true(is_zero(p + 4000, 96));
	assert_int_equal(p[3999], 7);
}

static void
test_realloc_failure_keeps_the_old(void **state)
{
	uint8_t *p;

	begin(state, MIB, 0);
	p = secmem_malloc(100);
	memset(p, 7, 100);
	errno = 0;
	assert_null(secmem_realloc(p, MIB));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(p[99], 7);
	secmem_free(p);
}

/* Making smaller needs no memory. */
static void
test_realloc_smaller_in_full_arena_works(void **state)
{
	uint8_t *p;

	begin(state, MIB, 0);
	p = secmem_malloc(MIB);
	assert_non_null(p);
	memset(p, 7, MIB);
	assert_ptr_equal(secmem_realloc(p, 100), p);
	assert_int_equal(p[99], 7);
	assert_true(is_zero(p + 100, MIB - 100));
	secmem_free(p);
}

static void
test_strdup_copies(void **state)
{
	char *s;

	begin(state, MIB, 0);
	s = secmem_strdup("some words");
	assert_string_equal(s, "some words");
	assert_true(secmem_contains(s));
	secmem_free(s);
	assert_non_null(secmem_malloc(MIB - STEP));
	while (secmem_malloc(16) != NULL)
		;
	assert_null(secmem_strdup("some words"));
}

/* --- our bugs --- */

static enum secmem_backing abort_backing;

static void
abort_free_foreign(void *arg)
{
	int x = 0;

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	release(&x);
}

static void
abort_free_twice(void *arg)
{
	void *p, *q;

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	p = secmem_malloc(100);
	q = secmem_malloc(100);
	release(p);
	release(p);
	release(q);
}

static void
abort_free_twice_last(void *arg)
{
	void *p;

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	p = secmem_malloc(100);
	release(p);
	release(p);
}

static void
abort_free_run_twice(void *arg)
{
	void *p;

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	p = secmem_malloc(100000);
	release(p);
	release(p);
}

static void
abort_free_middle(void *arg)
{
	(void)arg;
	(void)init(abort_backing, MIB, 0);
	release((char *)secmem_malloc(100) + 16);
}

static void
abort_free_middle_of_run(void *arg)
{
	(void)arg;
	(void)init(abort_backing, MIB, 0);
	release((char *)secmem_malloc(100000) + 4096);
}

static void
abort_free_not_held(void *arg)
{
	(void)arg;
	(void)init(abort_backing, MIB, 0);
	release((char *)secmem_malloc(100000) + MIB - 4096);
}

static void
abort_realloc_foreign(void *arg)
{
	static char x[16];

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	(void)!secmem_realloc(x, 100);
}

/* The sanitizer sees an object's end and its death. */
static void
asan_write_behind(void *arg)
{
	(void)arg;
	(void)init(abort_backing, MIB, 0);
	((volatile char *)secmem_malloc(100))[100] = 1;
}

static void
asan_write_freed(void *arg)
{
	volatile char *p;

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	p = secmem_malloc(100);
	release((void *)(uintptr_t)p);
	p[5] = 1;
}

static void
test_sanitizer_sees_objects(void **state)
{
	if (!WITH_ASAN)
		skip();
	begin(state, MIB, 0);
	secmem_done();
	abort_backing = *(const enum secmem_backing *)*state;
	assert_true(run_child(asan_write_behind, NULL, true) != 0);
	assert_true(run_child(asan_write_freed, NULL, true) != 0);
}

static void
abort_free_after_done(void *arg)
{
	void *p;

	(void)arg;
	(void)init(abort_backing, MIB, 0);
	p = secmem_malloc(100);
	secmem_done();
	release(p);
}

static void
test_misuse_aborts(void **state)
{
	static void (*const misuse[])(void *) = {
		abort_free_foreign, abort_free_twice, abort_free_twice_last,
		abort_free_run_twice, abort_free_middle,
		abort_free_middle_of_run, abort_free_not_held,
		abort_realloc_foreign, abort_free_after_done,
	};
	size_t i;

	begin(state, MIB, 0); /* to skip */
	secmem_done();
	abort_backing = *(const enum secmem_backing *)*state;
	for (i = 0; i < sizeof(misuse) / sizeof(misuse[0]); i++)
		assert_int_equal(child_signal(misuse[i], NULL), SIGABRT);
}

static void
message_child(void *arg)
{
	const int *fds = arg;

	(void)dup2(fds[1], STDERR_FILENO);
	abort_free_twice(NULL);
}

static void
test_misuse_says_what(void **state)
{
	char text[256] = "";
	int fds[2];

	abort_backing = *(const enum secmem_backing *)*state;
	begin(state, MIB, 0); /* to skip */
	secmem_done();
	assert_int_equal(pipe(fds), 0);
	assert_true(WIFSIGNALED(run_child(message_child, fds, false)));
	(void)close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	(void)close(fds[0]);
	assert_non_null(strstr(text, "secmem: the object is free already"));
}

/* --- growth --- */

static void
test_grows_and_gives_back(void **state)
{
	void *p[16];
	size_t i;

	begin(state, 6 * MIB, 0);
	for (i = 0; i < 16; i++)
		assert_non_null(p[i] = secmem_malloc(STEP));
	assert_int_equal(stats().locked_bytes, 16 * STEP);
	assert_int_equal(stats().steps_grown, 16);
	for (i = 0; i < 16; i++) {
		secmem_free(p[i]);
		/* One free step is kept. */
		assert_int_equal(stats().locked_bytes,
		    i == 15 ? STEP : (16 - i) * STEP);
	}
	assert_int_equal(stats().steps_returned, 15);
	assert_int_equal(stats().grow_failures, 0);
}

static void
test_one_free_step_does_not_thrash(void **state)
{
	void *p, *q;
	size_t i;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(STEP);
	for (i = 0; i < 10; i++) {
		q = secmem_malloc(100);
		assert_int_equal(stats().steps_grown, 2);
		secmem_free(q);
	}
	assert_int_equal(stats().steps_returned, 0);
	secmem_free(p);
}

static void
test_run_spans_steps_and_free_pages(void **state)
{
	uint8_t *p, *q;

	begin(state, 4 * MIB, 0);
	p = secmem_malloc(STEP / 2);
	q = secmem_malloc(STEP); /* half of it in the first step */
	assert_int_equal(stats().locked_bytes, 2 * STEP);
	memset(q, 1, STEP);
	secmem_free(p);
	secmem_free(q);
	p = secmem_malloc(4 * MIB); /* all of it */
	assert_non_null(p);
	memset(p, 1, 4 * MIB);
	assert_null(secmem_malloc(1));
	secmem_free(p);
	assert_int_equal(stats().locked_bytes, STEP);
	assert_true(is_zero(secmem_malloc(STEP), STEP));
}

static void
test_alloc_full_arena_returns_nomem(void **state)
{
	struct secmem sm = {0}, all[4] = {{0}};
	size_t i;
	int e = 0;

	begin(state, MIB, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(secmem_alloc(&all[i], STEP, SECMEM_LIBRARY),
		    0);
	assert_false(secmem_take_grow_failure(&e));
	assert_int_equal(secmem_alloc(&sm, 1, SECMEM_LIBRARY), ERR_NOMEM);
	assert_int_equal(secmem_alloc(&sm, 1, SECMEM_CACHE), ERR_NOMEM);
	assert_int_equal(secmem_copy(&sm, "x", 1, SECMEM_LIBRARY), ERR_NOMEM);
	assert_null(sm.mem);
	assert_int_equal(sm.len, 0);
	assert_true(stats().grow_failures >= 1);
	assert_int_equal(stats().last_grow_errno, ENOMEM);
	assert_true(secmem_take_grow_failure(&e));
	assert_int_equal(e, ENOMEM);
	assert_false(secmem_take_grow_failure(&e));
	secmem_free_bytes(&all[2]);
	assert_int_equal(secmem_alloc(&sm, 1, SECMEM_LIBRARY), 0);
	for (i = 0; i < 4; i++)
		secmem_free_bytes(&all[i]);
	secmem_free_bytes(&sm);
}

static void
test_cache_leaves_headroom(void **state)
{
	struct secmem sm[16] = {{0}};
	size_t n = 0;
	void *p;

	begin(state, 4 * MIB, 512 * KIB);
	while (n < 16 && secmem_alloc(&sm[n], STEP, SECMEM_CACHE) == 0)
		n++;
	assert_int_equal(n, 14);
	assert_int_equal(stats().grow_failures, 0);
	assert_int_equal(secmem_alloc(&sm[n], 1, SECMEM_CACHE), ERR_NOMEM);
	p = secmem_malloc(512 * KIB);
	assert_non_null(p);
	secmem_free(p);
	secmem_free_bytes(&sm[0]);
	assert_int_equal(secmem_alloc(&sm[0], 1, SECMEM_CACHE), 0);
	while (n > 0)
		secmem_free_bytes(&sm[--n]);
}

/* --- struct secmem and struct secbuf --- */

static void
test_secmem_empty(void **state)
{
	struct secmem a = {0}, b = {0};

	begin(state, MIB, 0);
	assert_int_equal(secmem_alloc(&a, 0, SECMEM_CACHE), 0);
	assert_non_null(secmem_bytes(&a));
	assert_non_null(secmem_writable(&a));
	assert_int_equal(secmem_len(&a), 0);
	assert_int_equal(secmem_copy(&b, NULL, 0, SECMEM_CACHE), 0);
	assert_true(secmem_equal(&a, &b));
	secmem_free_bytes(&a);
	secmem_free_bytes(&a);
	assert_int_equal(stats().used_bytes, 0);
}

static void
test_secmem_copy_move_equal(void **state)
{
	struct secmem a = {0}, b = {0}, c = {0};

	begin(state, MIB, 0);
	assert_int_equal(secmem_copy(&a, "value1", 6, SECMEM_CACHE), 0);
	assert_int_equal(secmem_copy(&b, "value2", 6, SECMEM_LIBRARY), 0);
	assert_memory_equal(secmem_bytes(&a), "value1", 6);
	assert_false(secmem_equal(&a, &b));
	secmem_writable(&b)[5] = '1';
	assert_true(secmem_equal(&a, &b));
	secmem_move(&c, &a);
	assert_int_equal(secmem_len(&a), 0);
	assert_int_equal(secmem_len(&c), 6);
	assert_true(secmem_equal(&c, &b));
	assert_false(secmem_equal(&c, &a));
	secmem_free_bytes(&b);
	secmem_free_bytes(&c);
	assert_int_equal(secmem_alloc(&a, 100, SECMEM_LIBRARY), 0);
	assert_true(is_zero(secmem_bytes(&a), 100));
	secmem_free_bytes(&a);
	assert_int_equal(stats().used_bytes, 0);
}

static void
test_secbuf_append_consume(void **state)
{
	struct secbuf b;
	uint8_t chunk[1000];
	size_t i, j;

	begin(state, 4 * MIB, 0);
	secbuf_init(&b, 100000);
	assert_int_equal(secbuf_append(&b, NULL, 0), 0);
	secbuf_consume(&b, 0);
	for (i = 0; i < 100; i++) {
		memset(chunk, (int)i, sizeof(chunk));
		assert_int_equal(secbuf_append(&b, chunk, sizeof(chunk)), 0);
	}
	assert_int_equal(b.len, 100000);
	assert_int_equal(secbuf_append(&b, "x", 1), ERR_TOO_LARGE);
	assert_int_equal(b.len, 100000);
	for (i = 0; i < 100; i++) {
		for (j = 0; j < 1000; j++)
			assert_int_equal(b.mem[i * 1000 + j], i);
	}
	secbuf_consume(&b, 99000);
	assert_int_equal(b.len, 1000);
	assert_int_equal(b.mem[0], 99);
	assert_true(is_zero(b.mem + 1000, 99000));
	secbuf_consume(&b, 1000);
	assert_int_equal(b.len, 0);
	assert_true(is_zero(b.mem, b.cap));
	secbuf_clear(&b);
	assert_int_equal(stats().used_bytes, 0);
	assert_int_equal(b.max, 100000);
	assert_int_equal(secbuf_append(&b, "again", 5), 0);
	secbuf_clear(&b);
	secbuf_clear(&b);
}

static void
test_secbuf_append_no_memory_is_unchanged(void **state)
{
	struct secbuf b;
	uint8_t *chunk;

	begin(state, MIB, 0);
	chunk = calloc(1, 400 * KIB);
	assert_non_null(chunk);
	memset(chunk, 3, 400 * KIB);
	secbuf_init(&b, SIZE_MAX);
	assert_int_equal(secbuf_append(&b, chunk, 400 * KIB), 0);
	/* 800 KiB do not fit beside the 400, 500 do. */
	assert_int_equal(secbuf_append(&b, chunk, 100 * KIB), 0);
	assert_int_equal(secbuf_append(&b, chunk, 400 * KIB), ERR_NOMEM);
	assert_int_equal(b.len, 500 * KIB);
	assert_int_equal(b.mem[500 * KIB - 1], 3);
	assert_int_equal(secbuf_append(&b, chunk, SIZE_MAX - b.len + 1),
	    ERR_TOO_LARGE);
	secbuf_clear(&b);
	free(chunk);
}

/* --- a model, with random operations --- */

#define MODEL_SLOTS 600u
#define MODEL_BUDGET (2 * MIB)

static uint64_t rng_state;

static uint32_t
rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 32);
}

static size_t
random_len(void)
{
	uint32_t kind = rng() % 1000;

	if (kind < 700)
		return rng() % 600;
	if (kind < 900)
		return rng() % 6000;
	if (kind < 990)
		return rng() % 40000;
	return rng() % (400 * KIB);
}

struct slot {
	uint8_t *p;
	size_t len;
	uint8_t pattern;
};

/* Long runs that found no place among the others. */
static size_t model_refused;

static void
slot_fill(struct slot *s)
{
	s->pattern = (uint8_t)(1 + rng() % 255);
	if (s->p != NULL)
		memset(s->p, s->pattern, s->len);
}

static void
slot_check(const struct slot *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (s->p[i] != s->pattern)
			fail_msg("byte %zu of %zu changed", i, s->len);
	}
}

static void
slot_alloc(struct slot *s, size_t *used)
{
	s->len = random_len();
	if (*used + secmem_class_size(s->len) > MODEL_BUDGET)
		return;
	s->p = secmem_malloc(s->len);
	if (s->p == NULL) {
		model_refused++;
		return;
	}
	if (!is_zero(s->p, s->len))
		fail_msg("memory of %zu bytes is not zero", s->len);
	*used += secmem_class_size(s->len);
	slot_fill(s);
}

static void
slot_free(struct slot *s, size_t *used)
{
	slot_check(s, s->len);
	secmem_free(s->p);
	s->p = NULL;
	*used -= secmem_class_size(s->len);
}

static void
slot_realloc(struct slot *s, size_t *used)
{
	size_t len = random_len() + 1;
	size_t old = secmem_class_size(s->len), new = secmem_class_size(len);
	uint8_t *p;

	if (*used + new > MODEL_BUDGET)
		return;
	p = secmem_realloc(s->p, len);
	if (p == NULL) {
		model_refused++;
		slot_check(s, s->len);
		return;
	}
	s->p = p;
	slot_check(s, len < s->len ? len : s->len);
	*used = *used - old + new;
	s->len = len;
	slot_fill(s);
}

static uint64_t
seed(void)
{
	const char *s = getenv("SECMEM_SEED");
	struct timespec now;

	if (s != NULL)
		return strtoull(s, NULL, 0);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_nsec * 2654435761u + (uint64_t)getpid() + 1;
}

static void
test_random_operations_match_model(void **state)
{
	static struct slot slots[MODEL_SLOTS];
	size_t used = 0, i, n = 300000;
	struct slot *s;

	begin(state, 7 * MIB, 0);
	memset(slots, 0, sizeof(slots));
	model_refused = 0;
	rng_state = seed();
	print_message("seed: SECMEM_SEED=%llu\n",
	    (unsigned long long)rng_state);
	for (i = 0; i < n; i++) {
		/* The working set swells and shrinks, so that steps return. */
		s = &slots[rng() % ((i >> 14) % 2 == 0 ? MODEL_SLOTS : 20)];
		if (s->p == NULL)
			slot_alloc(s, &used);
		else if (rng() % 3 == 0)
			slot_realloc(s, &used);
		else
			slot_free(s, &used);
		if (i % 16384 == 16383) {
			for (s = slots + 20; s < slots + MODEL_SLOTS; s++) {
				if (s->p != NULL)
					slot_free(s, &used);
			}
		}
		if (stats().used_bytes != used)
			fail_msg("used_bytes is wrong");
	}
	for (s = slots; s < slots + MODEL_SLOTS; s++) {
		if (s->p != NULL)
			slot_free(s, &used);
	}
	assert_int_equal(stats().used_bytes, 0);
	assert_int_equal(stats().locked_bytes, STEP);
	assert_true(stats().steps_returned > 0);
	assert_true(model_refused <= n / 1000);
	print_message("steps grown %llu, returned %llu\n",
	    (unsigned long long)stats().steps_grown,
	    (unsigned long long)stats().steps_returned);
	assert_true(is_zero(secmem_malloc(STEP), STEP));
}

static void *
thread_main(void *arg)
{
	uint8_t *p[50] = {NULL}, id = *(uint8_t *)arg;
	size_t len[50] = {0}, i, k, round;

	for (round = 0; round < 40000; round++) {
		i = (round * 7919 + id) % 50;
		for (k = 0; k < (p[i] != NULL ? len[i] : 0); k += 97) {
			if (p[i][k] != id)
				return arg;
		}
		secmem_free(p[i]);
		len[i] = (round * 31) % 3000;
		if ((p[i] = secmem_malloc(len[i])) == NULL)
			return arg;
		memset(p[i], id, len[i]);
	}
	for (i = 0; i < 50; i++)
		secmem_free(p[i]);
	return NULL;
}

static void
test_two_threads(void **state)
{
	uint8_t ids[2] = {1, 2};
	pthread_t threads[2];
	void *failed;
	int i;

	begin(state, 4 * MIB, 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main,
		    &ids[i]), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(stats().used_bytes, 0);
}

static void
test_100k_objects_overhead(void **state)
{
	static void *p[100000];
	size_t i, held;

	begin(state, 7 * MIB, 0);
	for (i = 0; i < 100000; i++)
		assert_non_null(p[i] = secmem_malloc(64));
	held = stats().locked_bytes;
	print_message("100000 x 64: %zu bytes locked, %.2f %% over\n", held,
	    ((double)held / 6400000 - 1) * 100);
	assert_int_equal(stats().used_bytes, 6400000);
	assert_true(held - 6400000 < STEP + 4096);
	for (i = 0; i < 100000; i++)
		secmem_free(p[i]);
	assert_int_equal(stats().locked_bytes, STEP);
}

/* --- limits, without privileges --- */

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		(void)fprintf(stderr, "line %d: %s\n", __LINE__, #cond); \
		_exit(1);						\
	}								\
} while (0)

/* Be nobody, with a limit; setuid() from root drops all capabilities. */
static void
unprivileged(size_t memlock)
{
	struct rlimit lim = {memlock, memlock};

	CHECK(setrlimit(RLIMIT_MEMLOCK, &lim) == 0);
	if (geteuid() == 0) {
		CHECK(prctl(PR_SET_KEEPCAPS, 0) == 0);
		CHECK(setgroups(0, NULL) == 0);
		CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0);
		CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
	}
}

static void
limit_zero_child(void *arg)
{
	enum secmem_backing backing = *(const enum secmem_backing *)arg;
	const char *text;
	int r;

	unprivileged(0);
	r = init(backing, 4 * MIB, 0);
	CHECK(r == -EPERM || r == -EAGAIN || r == -ENOMEM);
	text = secmem_strerror(r);
	(void)fprintf(stderr, "%s\n", text);
	CHECK(strstr(text, "RLIMIT_MEMLOCK is 0 KiB") != NULL);
	CHECK(strstr(text, "LimitMEMLOCK=4096K") != NULL);
	CHECK(strstr(text, "ulimit -l 4096") != NULL);
	CHECK(secmem_malloc(1) == NULL);
	CHECK(init(SECMEM_BACKING_AUTO, 4 * MIB, 0) < 0);
}

static void
limit_small_child(void *arg)
{
	unprivileged(STEP - 4096);
	CHECK(init(*(const enum secmem_backing *)arg, 4 * MIB, 0) < 0);
	CHECK(init(SECMEM_BACKING_AUTO, 4 * MIB, 0) < 0);
}

static void
limit_mib_child(void *arg)
{
	struct secmem sm = {0};
	void *p[5];
	int e = 0, i;

	unprivileged(MIB);
	CHECK(init(*(const enum secmem_backing *)arg, 16 * MIB, 0) == 0);
	for (i = 0; i < 4; i++)
		CHECK((p[i] = secmem_malloc(STEP)) != NULL);
	CHECK(stats().grow_failures == 0);
	CHECK(secmem_alloc(&sm, 100, SECMEM_LIBRARY) == ERR_NOMEM);
	CHECK(stats().grow_failures == 1);
	e = stats().last_grow_errno;
	CHECK(e == ENOMEM || e == EAGAIN);
	CHECK(secmem_take_grow_failure(&e) && !secmem_take_grow_failure(&e));
	/* No try while nothing was freed. */
	for (i = 0; i < 100; i++)
		CHECK(secmem_malloc(100) == NULL);
	CHECK(stats().grow_failures == 1);
	CHECK(stats().locked_bytes == MIB);
	/* Room again, then a step given back and had again. */
	secmem_free(p[1]);
	CHECK(secmem_alloc(&sm, 100, SECMEM_LIBRARY) == 0);
	secmem_free_bytes(&sm);
	secmem_free(p[2]);
	CHECK(stats().locked_bytes == MIB - STEP);
	CHECK((p[1] = secmem_malloc(STEP)) != NULL);
	CHECK((p[2] = secmem_malloc(STEP)) != NULL);
	CHECK(stats().locked_bytes == MIB);
	/* A run of steps that the limit does not allow leaves none behind. */
	secmem_free(p[1]);
	secmem_free(p[2]);
	secmem_free(p[3]);
	CHECK(secmem_malloc(2 * MIB) == NULL);
	CHECK(stats().locked_bytes == 2 * STEP);
	CHECK(secmem_take_grow_failure(&e));
}

/* The cache meets the limit first, and the libraries have their headroom. */
static void
limit_headroom_child(void *arg)
{
	struct secmem *sm = calloc(4096, sizeof(*sm));
	size_t n = 0, i;
	void *p[8];

	unprivileged(MIB);
	CHECK(sm != NULL);
	CHECK(init(*(const enum secmem_backing *)arg, 16 * MIB,
	    384 * KIB) == 0);
	while (n < 4096 && secmem_alloc(&sm[n], 1024, SECMEM_CACHE) == 0)
		n++;
	/* Without mlock2() (valgrind) the limit is known once it is met. */
	if (mlock2(NULL, 0, MLOCK_ONFAULT) == -1) {
		CHECK(n == 1024);
		free(sm);
		_exit(0);
	}
	CHECK(n == 640); /* 1024 - 384 KiB */
	for (i = 0; i < 6; i++)
		CHECK((p[i] = secmem_malloc(64 * KIB)) != NULL);
	CHECK((p[6] = secmem_malloc(64 * KIB)) == NULL);
	CHECK(stats().grow_failures == 1);
	CHECK(secmem_alloc(&sm[n], 1024, SECMEM_CACHE) == ERR_NOMEM);
	for (i = 0; i < 6; i++)
		secmem_free(p[i]);
	for (i = 0; i < 320; i++)
		secmem_free_bytes(&sm[i]);
	for (i = 0; i < 320; i++)
		CHECK(secmem_alloc(&sm[i], 1024, SECMEM_CACHE) == 0);
	CHECK(secmem_alloc(&sm[n], 1024, SECMEM_CACHE) == ERR_NOMEM);
	for (i = 0; i < n; i++)
		secmem_free_bytes(&sm[i]);
	CHECK(stats().used_bytes == 0);
	CHECK(stats().locked_bytes == STEP);
	free(sm);
}

/* memfd_secret needs a descriptor for a moment. */
static void
no_files_child(void *arg)
{
	struct rlimit lim = {0};
	struct secmem sm = {0};

	CHECK(init(*(const enum secmem_backing *)arg, 4 * MIB, 0) == 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	if (stats().backing == SECMEM_BACKING_MLOCK) {
		CHECK(secmem_alloc(&sm, STEP + 1, SECMEM_LIBRARY) == 0);
		_exit(0);
	}
	CHECK(secmem_alloc(&sm, STEP + 1, SECMEM_LIBRARY) == ERR_NOMEM);
	CHECK(stats().last_grow_errno == EMFILE);
	secmem_done();
	CHECK(init(SECMEM_BACKING_AUTO, 4 * MIB, 0) == -EMFILE);
	CHECK(strstr(secmem_strerror(-EMFILE), "Too many open") != NULL);
}

/* A filter that answers one system call with an error. */
static void
refuse_syscall(unsigned int nr, unsigned int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static void
fallback_child(void *arg)
{
	const unsigned int *err = arg;

	refuse_syscall(SYS_memfd_secret, *err);
	CHECK(init(SECMEM_BACKING_SECRETMEM, 4 * MIB, 0) == -(int)*err);
	CHECK(init(SECMEM_BACKING_AUTO, 4 * MIB, 0) == 0);
	CHECK(stats().backing == SECMEM_BACKING_MLOCK);
	CHECK(stats().grow_failures == 0);
	CHECK(secmem_malloc(MIB) != NULL);
}

static void
no_probe_child(void *arg)
{
	struct secmem sm = {0};

	refuse_syscall(SYS_mlock2, EPERM);
	CHECK(init(*(const enum secmem_backing *)arg, 4 * MIB, MIB) == 0);
	CHECK(secmem_alloc(&sm, 3 * MIB, SECMEM_CACHE) == 0);
}

static void
test_auto_falls_back_to_mlock(void **state)
{
	static unsigned int errs[] = {ENOSYS, EPERM, EOPNOTSUPP};
	size_t i;

	(void)state;
	if (getenv("UNDER_VALGRIND") != NULL)
		skip();
	for (i = 0; i < 3; i++)
		assert_int_equal(run_child(fallback_child, &errs[i], false), 0);
}

static void
limit_test(void **state, void (*fn)(void *))
{
	enum secmem_backing backing = *(const enum secmem_backing *)*state;

	begin(state, MIB, 0); /* to skip */
	secmem_done();
	assert_int_equal(run_child(fn, &backing, false), 0);
}

static void
test_init_limit_zero_fails_and_says_why(void **state)
{
	limit_test(state, limit_zero_child);
}

static void
test_growth_without_descriptors(void **state)
{
	if (getenv("UNDER_VALGRIND") != NULL)
		skip(); /* it keeps descriptors for itself */
	limit_test(state, no_files_child);
}

static void
test_cache_grows_where_probing_is_refused(void **state)
{
	if (getenv("UNDER_VALGRIND") != NULL)
		skip();
	limit_test(state, no_probe_child);
}

static void
test_init_limit_below_step_fails(void **state)
{
	limit_test(state, limit_small_child);
}

static void
test_growth_stops_at_limit(void **state)
{
	limit_test(state, limit_mib_child);
}

static void
test_cache_leaves_headroom_at_limit(void **state)
{
	limit_test(state, limit_headroom_child);
}

/* --- the stack --- */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wframe-larger-than="
__attribute__((noinline)) static uintptr_t
leave_on_stack(void)
{
	volatile uint8_t secret[4096];
	uintptr_t at = (uintptr_t)secret;
	size_t i;

	for (i = 0; i < sizeof(secret); i++)
		secret[i] = 0xa7;
	__asm__ volatile("" : "+r"(at)); /* or the compiler warns */
	return at;
}
#pragma GCC diagnostic pop

__attribute__((noinline, no_sanitize("address"))) static size_t
count_on_stack(uintptr_t at)
{
	const volatile uint8_t *p = (const volatile uint8_t *)at;
	size_t i, n = 0;

	for (i = 0; i < 4096; i++)
		n += p[i] == 0xa7;
	return n;
}

static void
test_scrub_stack_clears(void **state)
{
	uintptr_t at;

	(void)state;
	if (WITH_ASAN || getenv("UNDER_VALGRIND") != NULL)
		skip(); /* the frame is elsewhere, or reading it an error */
	at = leave_on_stack();
	assert_true(count_on_stack(at) > 2000);
	at = leave_on_stack();
	secmem_scrub_stack();
	assert_int_equal(count_on_stack(at), 0);
}

static void *
scrub_thread(void *arg)
{
	struct rlimit lim = {256 * KIB, 256 * KIB};

	(void)arg;
	(void)setrlimit(RLIMIT_STACK, &lim);
	secmem_scrub_stack();
	return NULL;
}

static void
scrub_small_child(void *arg)
{
	(void)scrub_thread(arg);
}

static void
test_scrub_stack_small_limit_does_not_fault(void **state)
{
	(void)state;
	assert_int_equal(run_child(scrub_small_child, NULL, false), 0);
}

/* --- timings --- */

static double
now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
bench_size(size_t len, size_t count)
{
	void **p = calloc(count, sizeof(*p));
	double t0, t1, t2, t3;
	size_t i, k, locked;

	if (p == NULL)
		return;
	t0 = now_ns();
	for (i = 0; i < count; i++) {
		if ((p[i] = secmem_malloc(len)) == NULL) {
			printf("%zu bytes: full after %zu\n", len, i);
			exit(1);
		}
	}
	locked = stats().locked_bytes;
	t1 = now_ns();
	for (i = 0; i < 1000000; i++) {
		k = rng() % count;
		secmem_free(p[k]);
		p[k] = secmem_malloc(len);
	}
	t2 = now_ns();
	for (i = 0; i < count; i++)
		secmem_free(p[i]);
	t3 = now_ns();
	printf("%6zu B x %zu: alloc %.0f ns with growth, random free+alloc "
	    "%.0f ns, free %.0f ns (all with returns), %.2f %% over\n", len,
	    count, (t1 - t0) / (double)count, (t2 - t1) / 1e6,
	    (t3 - t2) / (double)count,
	    ((double)locked / (double)(len * count) - 1) * 100);
	free(p);
}

/* Without growth: the first step is there, and the cache warm. */
static void
bench_warm(size_t len, size_t count)
{
	double t0, t1, t2, alloc = 0, release_ns = 0;
	static void *p[2048];
	size_t i, round;

	for (round = 0; round < 2000; round++) {
		t0 = now_ns();
		for (i = 0; i < count; i++)
			p[i] = secmem_malloc(len);
		t1 = now_ns();
		for (i = 0; i < count; i++)
			secmem_free(p[i]);
		t2 = now_ns();
		alloc += t1 - t0;
		release_ns += t2 - t1;
	}
	printf("%6zu B warm: alloc %.1f ns, free+zero %.1f ns\n", len,
	    alloc / (double)(2000 * count),
	    release_ns / (double)(2000 * count));
}

static int
bench(enum secmem_backing backing)
{
	static const size_t lens[] = {64, 100, 1100, 4096, 5000};
	double t0;
	size_t i;
	int r;

	rng_state = 42;
	t0 = now_ns();
	if ((r = init(backing, 1024 * MIB, 0)) != 0) {
		printf("%s\n", secmem_strerror(r));
		return 1;
	}
	printf("--- %s, init %.2f ms\n", backing == SECMEM_BACKING_MLOCK ?
	    "mlock" : "memfd_secret", (now_ns() - t0) / 1e6);
	bench_warm(64, 2048);
	bench_warm(1024, 200);
	bench_warm(4096, 60);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		bench_size(lens[i], 100000);
	t0 = now_ns();
	for (i = 0; i < 1000; i++)
		secmem_scrub_stack();
	printf("scrub %.1f us\n", (now_ns() - t0) / 1e6);
	secmem_done();
	return 0;
}

/* --- all --- */

#define BOTH(f)								\
	{#f " [mlock]", f, NULL, teardown, &backing_mlock}, \
	{#f " [memfd_secret]", f, NULL, teardown,			\
	    &backing_secret}
#define ONCE(f) cmocka_unit_test_teardown(f, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		ONCE(test_init_bad_config_returns_einval),
		ONCE(test_init_default_step),
		ONCE(test_init_no_address_space_says_so),
		ONCE(test_strerror_never_null),
		ONCE(test_class_size_wastes_at_most_an_eighth),
		BOTH(test_init_twice_returns_ealready),
		BOTH(test_init_after_done_works),
		BOTH(test_init_locks_first_step),
		BOTH(test_memory_is_locked_and_not_dumped),
		BOTH(test_child_does_not_see_it),
		BOTH(test_steps_are_resident),
		BOTH(test_mappings_are_few),
		BOTH(test_guards_fault),
		BOTH(test_returned_step_faults),
		BOTH(test_malloc_is_aligned_zeroed_and_apart),
		BOTH(test_free_wipes),
		BOTH(test_free_null_keeps_errno),
		BOTH(test_page_takes_one_page),
		BOTH(test_calloc_overflow_returns_null),
		BOTH(test_malloc_huge_returns_null),
		BOTH(test_realloc_moves_and_wipes),
		BOTH(test_realloc_in_class_wipes_tail),
		BOTH(test_realloc_failure_keeps_the_old),
		BOTH(test_realloc_smaller_in_full_arena_works),
		BOTH(test_strdup_copies),
		BOTH(test_misuse_aborts),
		BOTH(test_misuse_says_what),
		BOTH(test_sanitizer_sees_objects),
		BOTH(test_grows_and_gives_back),
		BOTH(test_one_free_step_does_not_thrash),
		BOTH(test_run_spans_steps_and_free_pages),
		BOTH(test_alloc_full_arena_returns_nomem),
		BOTH(test_cache_leaves_headroom),
		BOTH(test_secmem_empty),
		BOTH(test_secmem_copy_move_equal),
		BOTH(test_secbuf_append_consume),
		BOTH(test_secbuf_append_no_memory_is_unchanged),
		BOTH(test_random_operations_match_model),
		BOTH(test_two_threads),
		BOTH(test_100k_objects_overhead),
		BOTH(test_init_limit_zero_fails_and_says_why),
		BOTH(test_init_limit_below_step_fails),
		BOTH(test_growth_without_descriptors),
		BOTH(test_cache_grows_where_probing_is_refused),
		ONCE(test_auto_falls_back_to_mlock),
		BOTH(test_growth_stops_at_limit),
		BOTH(test_cache_leaves_headroom_at_limit),
		ONCE(test_scrub_stack_clears),
		ONCE(test_scrub_stack_small_limit_does_not_fault),
	};

	if (getenv("SECMEM_BENCH") != NULL)
		return bench(SECMEM_BACKING_MLOCK) |
		    bench(SECMEM_BACKING_SECRETMEM);
	return cmocka_run_group_tests_name("secmem", tests, NULL, NULL);
}
