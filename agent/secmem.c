#include "config.h"

#include "secmem.h"

#include <alloca.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena.h"
#include "err.h"

/*
 * The step when the configuration leaves it open.  With memfd_secret every
 * page costs 17 to 28 us when it is first touched, and a step is touched at
 * once, in the event loop: 512 KiB stall it for 2 to 4 ms, about a round trip
 * to the service, and carry the libraries' base and some connections.  With
 * 256 KiB a TLS handshake would cross a step each time; 1 MiB would be an
 * eighth of the usual limit of 8 MiB.
 */
#define STEP_DEFAULT (512u * 1024)
#define STEP_MIN (256u * 1024)

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define SCRUB_BYTES (256u * 1024)

static struct {
	pthread_mutex_t lock;	/* guards the arena */
	struct arena *arena;	/* NULL: not initialised */
	uint8_t *base;		/* first byte after the low guard */
	size_t bytes;
	size_t step_bytes;
	size_t guard_bytes;
	enum secmem_backing backing;
	bool probe_missing;	/* valgrind or a filter refuses mlock2() */
	int init_error;		/* what init_text is about */
	char init_text[512];
} mem = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the address space --- */

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * Inaccessible address space; at a hint, or in the place of what is there.
 * Out of cores and of children as the steps are, so that the kernel can join
 * the mappings.
 */
static void *
map_nothing(void *at, size_t len, int flags)
{
	void *p;

	p = mmap(at, len, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
	if (p != MAP_FAILED) {
		(void)madvise(p, len, MADV_DONTFORK);
		(void)madvise(p, len, MADV_DONTDUMP);
	}
	return p;
}

/*
 * The mapping is replaced and not only made inaccessible: for memfd_secret
 * nothing else frees the pages, and for locked ones it needs one call, not
 * three.  The kernel can refuse it only before it unmaps anything (too many
 * mappings), so no hole is left for somebody else's mmap.
 */
static int
step_unmap(void *arg, size_t offset, size_t len)
{
	(void)arg;
	if (map_nothing(mem.base + offset, len, MAP_FIXED) == MAP_FAILED)
		return -errno;
	return 0;
}

/* --- steps of locked memory --- */

/*
 * mlock2() is mlock() here, but the sanitizers replace that with nothing.  It
 * brings all pages in.  Inaccessible memory becomes accessible in place: there
 * is no moment in which the address space belongs to nobody.
 */
static int
mlock_grow(void *arg, size_t offset, size_t len)
{
	uint8_t *p = mem.base + offset;
	int e;

	if (mprotect(p, len, PROT_READ | PROT_WRITE) == 0 &&
	    mlock2(p, len, 0) == 0)
		return 0;
	e = errno;
	(void)step_unmap(arg, offset, len);
	return -e;
}

/*
 * Bring in every page.  Through a system call: where physical memory is
 * missing it says EFAULT, and a plain write would be a SIGBUS.  madvise() with
 * MADV_POPULATE_WRITE does not work on memfd_secret.
 */
static int
pages_populate(uint8_t *p, size_t len)
{
	size_t i, page = page_size();

	for (i = 0; i < len; i += page) {
		if (getrandom(p + i, 1, GRND_NONBLOCK) == 1)
			p[i] = 0;
		else
			return errno == EFAULT ? -ENOMEM : -errno;
	}
	return 0;
}

/* A step of memfd_secret somewhere; *ret_p is populated. */
static int
secret_map(size_t len, uint8_t **ret_p)
{
	void *p = MAP_FAILED;
	int fd, r;

	if ((fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC)) == -1)
		return -errno;
	if (ftruncate(fd, (off_t)len) == 0)
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r = p == MAP_FAILED ? -errno : 0;
	(void)close(fd);
	if (r != 0)
		return r;
	/* Shared memory: a child could write into ours. */
	if (madvise(p, len, MADV_DONTFORK) == -1)
		r = -errno;
	if (r == 0)
		r = pages_populate(p, len);
	if (r == 0)
		*ret_p = p;
	else
		(void)munmap(p, len);
	return r;
}

/*
 * Made elsewhere and moved in: an mmap() over the reserved space that fails
 * at the limit may leave a hole, which another thread's mmap() would fill.
 */
static int
secret_grow(void *arg, size_t offset, size_t len)
{
	uint8_t *p = NULL, *to = mem.base + offset;
	int e, r;

	(void)arg;
	if ((r = secret_map(len, &p)) != 0)
		return r;
	if (mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
		return 0;
	e = errno;
	(void)munmap(p, len);
	(void)map_nothing(to, len, MAP_FIXED_NOREPLACE);
	return -e;
}

/*
 * Ask the kernel whether so much more could be locked: lock inaccessible
 * memory on fault, which counts against the limit and takes no page.  All
 * errors but those of the limit count as a yes; growth itself will tell.
 */
static bool
lock_allowed(size_t len)
{
	bool allowed = true;
	void *p;

	if (mem.probe_missing)
		return true;
	p = mmap(NULL, len, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return true;
	if (mlock2(p, len, MLOCK_ONFAULT) == -1) {
		allowed = errno != ENOMEM && errno != EAGAIN;
		mem.probe_missing = allowed;
	}
	(void)munmap(p, len);
	return allowed;
}

/* Largest number of whole steps, up to max_bytes, that could be locked. */
static size_t
steps_lockable(void *arg, size_t max_bytes)
{
	size_t low = 0, high = max_bytes / mem.step_bytes, mid;

	(void)arg;
	if (high == 0 || lock_allowed(high * mem.step_bytes))
		return max_bytes;
	while (low + 1 < high) {
		mid = low + (high - low) / 2;
		if (lock_allowed(mid * mem.step_bytes))
			low = mid;
		else
			high = mid;
	}
	return low * mem.step_bytes;
}

static const struct arena_ops mlock_ops = {
	.grow = mlock_grow,
	.shrink = step_unmap,
	.lockable = steps_lockable,
};

static const struct arena_ops secret_ops = {
	.grow = secret_grow,
	.shrink = step_unmap,
	.lockable = steps_lockable,
};

/* --- start and end --- */

static size_t
step_of(const struct secmem_config *cfg)
{
	return cfg->step_bytes == 0 ? STEP_DEFAULT : cfg->step_bytes;
}

static bool
config_sane(const struct secmem_config *cfg)
{
	size_t step = step_of(cfg);

	return step >= STEP_MIN && (step & (step - 1)) == 0 &&
	    step % page_size() == 0 && cfg->reserve_bytes >= step &&
	    cfg->reserve_bytes <= SIZE_MAX / 4 &&
	    cfg->headroom_bytes <= cfg->reserve_bytes &&
	    cfg->backing >= SECMEM_BACKING_AUTO &&
	    cfg->backing <= SECMEM_BACKING_MLOCK;
}

/* Reserve the address space, with a guard at either end. */
static int
reserve(size_t bytes, size_t step)
{
	uint8_t *p;

	bytes -= bytes % step;
	mem.guard_bytes = page_size();
	p = map_nothing(NULL, bytes + 2 * mem.guard_bytes, 0);
	if (p == MAP_FAILED)
		return -errno;
	mem.base = p + mem.guard_bytes;
	mem.bytes = bytes;
	mem.step_bytes = step;
	return 0;
}

static void
unreserve(void)
{
	(void)munmap(mem.base - mem.guard_bytes,
	    mem.bytes + 2 * mem.guard_bytes);
	mem.base = NULL;
	mem.bytes = 0;
}

/* Make the arena with its first step on the given backing. */
static int
start(const struct secmem_config *cfg, enum secmem_backing backing)
{
	struct arena_config acfg = {
		.base = mem.base,
		.bytes = mem.bytes,
		.step_bytes = mem.step_bytes,
		.headroom_bytes = cfg->headroom_bytes,
		.ops = backing == SECMEM_BACKING_SECRETMEM ? &secret_ops :
		    &mlock_ops,
	};
	struct arena *a;
	int r;

	if (acfg.headroom_bytes > acfg.bytes)
		acfg.headroom_bytes = acfg.bytes;
	if ((a = arena_new(&acfg)) == NULL)
		return -ENOMEM;
	if ((r = arena_start(a)) != 0) {
		arena_free(a);
		return r;
	}
	mem.arena = a;
	mem.backing = backing;
	return 0;
}

/*
 * Is the failure of memfd_secret about memory or limits, so that mlock would
 * fail too?  Anything else means that this kernel or a seccomp filter does
 * not let us have it.
 */
static bool
failure_is_scarcity(int r)
{
	return r == -EAGAIN || r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

static int
start_backing(const struct secmem_config *cfg)
{
	int r;

	if (cfg->backing != SECMEM_BACKING_MLOCK) {
		r = start(cfg, SECMEM_BACKING_SECRETMEM);
		if (r == 0 || cfg->backing == SECMEM_BACKING_SECRETMEM ||
		    failure_is_scarcity(r))
			return r;
	}
	return start(cfg, SECMEM_BACKING_MLOCK);
}

/* What the operator can do about it; see secmem_strerror(). */
static int
init_failed(int r, const struct secmem_config *cfg, const char *what)
{
	struct rlimit lim = {.rlim_cur = RLIM_INFINITY};
	char now[32] = "unlimited";
	size_t want = (cfg->suggest_bytes != 0 ? cfg->suggest_bytes
	    : cfg->reserve_bytes) / 1024;

	mem.init_error = r;
	if (r != -ENOMEM && r != -EAGAIN && r != -EPERM) {
		(void)snprintf(mem.init_text, sizeof(mem.init_text),
		    "cannot %s: %s", what, strerror(-r));
		return r;
	}
	(void)getrlimit(RLIMIT_MEMLOCK, &lim);
	if (lim.rlim_cur != RLIM_INFINITY)
		(void)snprintf(now, sizeof(now), "%llu KiB",
		    (unsigned long long)lim.rlim_cur / 1024);
	(void)snprintf(mem.init_text, sizeof(mem.init_text),
	    "cannot %s (%s): the first step is %zu KiB, all that the "
	    "configuration may need %zu KiB, and RLIMIT_MEMLOCK is %s; raise it with "
	    "LimitMEMLOCK=%zuK in the service unit, or with \"ulimit -l %zu\" "
	    "in the shell that starts the agent",
	    what, strerror(-r), step_of(cfg) / 1024, want, now, want, want);
	return r;
}

int
secmem_init(const struct secmem_config *cfg)
{
	int r;

	if (mem.arena != NULL)
		return -EALREADY;
	if (!config_sane(cfg))
		return -EINVAL;
	if ((r = reserve(cfg->reserve_bytes, step_of(cfg))) != 0)
		return init_failed(r, cfg, "reserve address space");
	r = start_backing(cfg);
	if (r != 0) {
		unreserve();
		return init_failed(r, cfg, "lock the secret memory");
	}
	return 0;
}

const char *
secmem_strerror(int r)
{
	if (r == 0)
		return "the secret memory is set up";
	if (r == -EINVAL)
		return "the sizes configured for the secret memory make no "
		    "sense";
	if (r == -EALREADY)
		return "the secret memory is set up already";
	if (r == mem.init_error)
		return mem.init_text;
	return "the secret memory cannot be set up";
}

void
secmem_done(void)
{
	(void)pthread_mutex_lock(&mem.lock);
	if (mem.arena != NULL) {
		arena_free(mem.arena);
		mem.arena = NULL;
		unreserve();
	}
	(void)pthread_mutex_unlock(&mem.lock);
}

void
secmem_get_stats(struct secmem_stats *ret_stats)
{
	struct arena_stats s = {0};

	(void)pthread_mutex_lock(&mem.lock);
	if (mem.arena != NULL)
		arena_get_stats(mem.arena, &s);
	(void)pthread_mutex_unlock(&mem.lock);
	*ret_stats = (struct secmem_stats){
		.locked_bytes = s.held_bytes,
		.used_bytes = s.used_bytes,
		.peak_used_bytes = s.peak_used_bytes,
		.steps_grown = s.steps_grown,
		.steps_returned = s.steps_returned,
		.grow_failures = s.grow_failures,
		.last_grow_errno = s.last_grow_errno,
		.backing = mem.backing,
	};
}

bool
secmem_take_grow_failure(int *ret_errno)
{
	bool taken = false;

	(void)pthread_mutex_lock(&mem.lock);
	if (mem.arena != NULL)
		taken = arena_take_grow_failure(mem.arena, ret_errno);
	(void)pthread_mutex_unlock(&mem.lock);
	return taken;
}

size_t
secmem_class_size(size_t len)
{
	return arena_class_size(len);
}

bool
secmem_contains(const void *p)
{
	return (uintptr_t)p - (uintptr_t)mem.base < mem.bytes;
}

/* --- objects --- */

static void *
object_new(size_t len, enum secmem_use use)
{
	void *p = NULL;

	(void)pthread_mutex_lock(&mem.lock);
	if (mem.arena != NULL)
		p = arena_alloc(mem.arena, len, use == SECMEM_CACHE);
	(void)pthread_mutex_unlock(&mem.lock);
	return p;
}

static void
require_arena(void)
{
	static const char msg[] = "secmem: used after secmem_done()\n";

	if (mem.arena != NULL)
		return;
	(void)!write(STDERR_FILENO, msg, sizeof(msg) - 1);
	abort();
}

/* Callers free on their way out of a failure: errno stays. */
static void
object_free(void *p)
{
	int e = errno;

	(void)pthread_mutex_lock(&mem.lock);
	require_arena();
	arena_release(mem.arena, p);
	(void)pthread_mutex_unlock(&mem.lock);
	errno = e;
}

void *
secmem_malloc(size_t len)
{
	void *p;

	if ((p = object_new(len, SECMEM_LIBRARY)) == NULL)
		errno = ENOMEM;
	return p;
}

void *
secmem_calloc(size_t n, size_t len)
{
	if (len != 0 && n > SIZE_MAX / len) {
		errno = ENOMEM;
		return NULL;
	}
	return secmem_malloc(n * len); /* comes zeroed */
}

void *
secmem_realloc(void *p, size_t len)
{
	void *q = NULL;
	size_t have;

	if (p == NULL)
		return secmem_malloc(len);
	if (len == 0) {
		secmem_free(p);
		return NULL;
	}
	(void)pthread_mutex_lock(&mem.lock);
	require_arena();
	have = arena_usable(mem.arena, p);
	arena_note_len(mem.arena, p, have);
	if (arena_class_size(len) != have)
		q = arena_alloc(mem.arena, len, false);
	if (q != NULL) {
		memcpy(q, p, len < have ? len : have);
		arena_release(mem.arena, p);
	} else if (len <= have) {
		/* The same class, or no room to make it smaller: stay. */
		q = p;
		explicit_bzero((uint8_t *)p + len, have - len);
		arena_note_len(mem.arena, p, len);
	}
	(void)pthread_mutex_unlock(&mem.lock);
	if (q == NULL)
		errno = ENOMEM;
	return q;
}

void
secmem_free(void *p)
{
	if (p != NULL)
		object_free(p);
}

char *
secmem_strdup(const char *s)
{
	size_t len = strlen(s) + 1;
	char *copy;

	if ((copy = secmem_malloc(len)) != NULL)
		memcpy(copy, s, len);
	return copy;
}

/* --- struct secmem --- */

int
secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use)
{
	uint8_t *p = NULL;

	assert(sm->mem == NULL);
	if (len > 0 && (p = object_new(len, use)) == NULL)
		return ERR_NOMEM;
	sm->mem = p;
	sm->len = len;
	return 0;
}

int
secmem_copy(struct secmem *sm, const void *src, size_t len, enum secmem_use use)
{
	int r;

	if ((r = secmem_alloc(sm, len, use)) != 0)
		return r;
	if (len > 0)
		memcpy(sm->mem, src, len);
	return 0;
}

void
secmem_free_bytes(struct secmem *sm)
{
	secmem_free(sm->mem);
	*sm = (struct secmem){0};
}

void
secmem_move(struct secmem *dst, struct secmem *src)
{
	assert(dst->mem == NULL);
	*dst = *src;
	*src = (struct secmem){0};
}

/* An address for what has no bytes; nothing is ever written here. */
static uint8_t no_bytes[1];

const uint8_t *
secmem_bytes(const struct secmem *sm)
{
	return sm->mem != NULL ? sm->mem : no_bytes;
}

uint8_t *
secmem_writable(struct secmem *sm)
{
	return sm->mem != NULL ? sm->mem : no_bytes;
}

size_t
secmem_len(const struct secmem *sm)
{
	return sm->len;
}

bool
secmem_equal(const struct secmem *a, const struct secmem *b)
{
	/* volatile: the compiler must not find out that it may stop early. */
	const volatile uint8_t *x = secmem_bytes(a), *y = secmem_bytes(b);
	unsigned int diff = 0;
	size_t i;

	if (a->len != b->len)
		return false;
	for (i = 0; i < a->len; i++)
		diff |= (unsigned int)(x[i] ^ y[i]);
	return diff == 0;
}

/* --- struct secbuf --- */

void
secbuf_init(struct secbuf *b, size_t max_bytes)
{
	*b = (struct secbuf){.max = max_bytes};
}

/* Room for want bytes (at most b->max) in all. */
static int
secbuf_reserve(struct secbuf *b, size_t want)
{
	size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
	uint8_t *p;

	cap = secmem_class_size(cap > want ? cap : want);
	p = secmem_realloc(b->mem, cap);
	if (p == NULL) {
		/* There may be room for what is needed now. */
		cap = secmem_class_size(want);
		p = secmem_realloc(b->mem, cap);
	}
	if (p == NULL)
		return ERR_NOMEM;
	b->mem = p;
	b->cap = cap;
	return 0;
}

int
secbuf_append(struct secbuf *b, const void *src, size_t len)
{
	int r;

	if (len > b->max - b->len)
		return ERR_TOO_LARGE;
	if (len == 0)
		return 0;
	if (len > b->cap - b->len &&
	    (r = secbuf_reserve(b, b->len + len)) != 0)
		return r;
	memcpy(b->mem + b->len, src, len);
	b->len += len;
	return 0;
}

void
secbuf_consume(struct secbuf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->mem, b->mem + n, b->len - n);
	explicit_bzero(b->mem + b->len - n, n);
	b->len -= n;
}

void
secbuf_take(struct secbuf *b, struct secmem *dst)
{
	assert(dst->mem == NULL);
	*dst = (struct secmem){b->mem, b->len};
	secbuf_init(b, b->max);
}

void
secbuf_clear(struct secbuf *b)
{
	secmem_free(b->mem);
	secbuf_init(b, b->max);
}

/* --- the stack --- */

/*
 * A quarter of a stack that is limited to less than 1 MiB, so that there is
 * room for our callers too.
 */
static __attribute__((noinline)) size_t
scrub_bytes(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_STACK, &lim) == -1)
		return 0;
	if (lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur >= 4 * SCRUB_BYTES)
		return SCRUB_BYTES;
	return (size_t)lim.rlim_cur / 4 / 4096 * 4096;
}

/*
 * Not memset(): the first call of that goes through the dynamic linker, which
 * saves the vector registers, and what secrets they hold, below the part that
 * gets scrubbed.  And in assembler where we can: in C the frame of this
 * function keeps a few words that nothing writes to.
 */
static __attribute__((noinline)) void
scrub_below(size_t words)
{
	if (words == 0)
		return;
#ifdef __x86_64__
	uintptr_t at, sp;

	/* a string instruction: a third of what as many pushes take */
	__asm__ volatile("mov %%rsp, %[sp]\n"
	    "	lea 0(,%[n],8), %[at]\n"
	    "	sub %[at], %%rsp\n"
	    "	mov %%rsp, %[at]\n"
	    "	rep stosq\n"
	    "	mov %[sp], %%rsp\n"
	    : [sp] "=&r"(sp), [at] "=&D"(at), [n] "+c"(words)
	    : "a"(0)
	    : "memory", "cc");
#else
	volatile uint64_t *p = alloca(words * sizeof(*p));

	while (words > 0)
		p[--words] = 0;
#endif
}

/* Two functions, so that nothing of the first lies above what is scrubbed. */
__attribute__((noinline)) void
secmem_scrub_stack(void)
{
	scrub_below(scrub_bytes() / sizeof(uint64_t));
}
