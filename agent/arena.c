#include "config.h"

#include "arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ARENA_ASAN 1
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/*
 * Size classes: multiples of 16 up to 128, then eight to a doubling.  Four
 * would waste up to 20 % of what is taken, eight waste at most 1/9.
 */
#define CLASS_MAX 32768u
#define CLASS_COUNT 72u

/*
 * A slab is the fewest pages of which the objects leave at most 1/64 unused,
 * so that class and slab together waste under 1/8.  At most 15 pages and, by
 * the smallest class, 256 objects.
 */
#define SLAB_PAGES_MAX 16u
#define SLAB_OBJECTS_MAX 256u
#define SLAB_WORDS (SLAB_OBJECTS_MAX / 64)

/* Bins of free runs: one for each length to 32, then eight to a doubling. */
#define BIN_EXACT 32u
#define BIN_COUNT 248u
#define BIN_WORDS 4u

/*
 * After a failure to grow no further try is made before a step was given back
 * or this many objects were freed: a process at its limit would otherwise pay
 * for system calls that fail in every allocation.  Frees and not seconds, so
 * that the behaviour can be repeated in a test.
 */
#define RETRY_FREES 256u

#define NIL UINT32_MAX

enum page_kind {
	PAGE_INNER = 0,	/* inside a run, or not held: nothing starts here */
	PAGE_FREE,	/* first or last page of a free run */
	PAGE_SLAB,	/* first page of a slab */
	PAGE_SLAB_TAIL,	/* further page of a slab */
	PAGE_RUN,	/* first page of a run that is one object */
};

struct page {
	uint64_t free_bits[SLAB_WORDS];	/* slab: 1 is a free object */
	uint32_t prev;	/* in the list of the class or of the bin */
	uint32_t next;
	uint32_t len;	/* run: pages; slab: objects; tail: its head */
	uint16_t nfree;	/* slab: free objects */
	uint8_t kind;
	uint8_t class;	/* slab */
};

struct step {
	uint32_t used_pages;
	bool held;
};

struct class {
	uint32_t size;
	uint32_t recip;	/* 2^32 / size, rounded up: divides offsets < 2^16 */
	uint32_t partial;	/* slabs with a free object */
	uint32_t live;	/* objects handed out */
	uint16_t pages;	/* of a full-size slab */
};

struct arena {
	uint8_t *base;
	struct page *pages;	/* for the whole range, touched by use */
	uint32_t npages;
	uint32_t step_pages;
	uint32_t free_pages;	/* held and in no slab or run */
	uint32_t lockable_pages;	/* growth believed possible */
	uint32_t headroom_pages;
	uint32_t free_steps;	/* held, no page in use */
	uint32_t held_steps;
	uint32_t nsteps;
	size_t used_bytes;
	uint64_t bin_bits[BIN_WORDS];	/* bins that are not empty */
	uint32_t bins[BIN_COUNT];
	struct class classes[CLASS_COUNT];

	struct step *steps;
	const struct arena_ops *ops;
	void *arg;
	size_t peak_used_bytes;
	uint64_t steps_grown;
	uint64_t steps_returned;
	uint64_t grow_failures;
	int last_grow_errno;
	unsigned int frees_until_retry;	/* 0: growth may be tried */
	bool failing;	/* in a run of failures to grow */
	bool failure_untold;	/* see arena_take_grow_failure() */
};

_Static_assert(sizeof(struct page) == 48, "struct page: the figure in arena.h");
_Static_assert(BIN_COUNT <= BIN_WORDS * 64, "a bit for each bin");

/*
 * Our bug, and the arena can no longer be trusted.  write(2), as stdio may
 * allocate from us.
 */
static void __attribute__((noreturn))
arena_fatal(const char *what)
{
	static const char tail[] = " (double free or foreign pointer)\n";

	(void)!write(STDERR_FILENO, what, strlen(what));
	(void)!write(STDERR_FILENO, tail, sizeof(tail) - 1);
	abort();
}

/* --- lists of pages, by number --- */

static void
list_push(struct arena *a, uint32_t *head, uint32_t n)
{
	struct page *p = &a->pages[n];

	p->prev = NIL;
	p->next = *head;
	if (*head != NIL)
		a->pages[*head].prev = n;
	*head = n;
}

static void
list_remove(struct arena *a, uint32_t *head, uint32_t n)
{
	struct page *p = &a->pages[n];

	if (p->prev != NIL)
		a->pages[p->prev].next = p->next;
	else
		*head = p->next;
	if (p->next != NIL)
		a->pages[p->next].prev = p->prev;
}

/* --- free runs --- */

static unsigned int
bin_of(uint32_t npages)
{
	unsigned int log2;

	if (npages <= BIN_EXACT)
		return npages - 1;
	log2 = 31u - (unsigned int)__builtin_clz(npages);
	return BIN_EXACT + (log2 - 5) * 8 + ((npages >> (log2 - 3)) & 7);
}

/* Bin no smaller than the given one that holds a run, or BIN_COUNT. */
static unsigned int
bin_next(const struct arena *a, unsigned int bin)
{
	unsigned int word = bin / 64;
	uint64_t bits;

	if (bin >= BIN_COUNT)
		return BIN_COUNT;
	bits = a->bin_bits[word] & (UINT64_MAX << bin % 64);
	while (bits == 0) {
		if (++word == BIN_WORDS)
			return BIN_COUNT;
		bits = a->bin_bits[word];
	}
	return word * 64 + (unsigned int)__builtin_ctzll(bits);
}

static void
run_insert(struct arena *a, uint32_t first, uint32_t n)
{
	struct page *head = &a->pages[first], *tail = &a->pages[first + n - 1];
	unsigned int bin = bin_of(n);

	head->kind = tail->kind = PAGE_FREE;
	head->len = tail->len = n;
	list_push(a, &a->bins[bin], first);
	a->bin_bits[bin / 64] |= UINT64_C(1) << bin % 64;
}

static void
run_remove(struct arena *a, uint32_t first)
{
	struct page *head = &a->pages[first];
	unsigned int bin = bin_of(head->len);

	list_remove(a, &a->bins[bin], first);
	if (a->bins[bin] == NIL)
		a->bin_bits[bin / 64] &= ~(UINT64_C(1) << bin % 64);
	a->pages[first + head->len - 1].kind = PAGE_INNER;
	head->kind = PAGE_INNER;
}

/* Insert a run, joined with its free neighbours; where it then starts. */
static uint32_t
run_join(struct arena *a, uint32_t first, uint32_t n)
{
	uint32_t end = first + n;

	if (first > 0 && a->pages[first - 1].kind == PAGE_FREE) {
		first -= a->pages[first - 1].len;
		run_remove(a, first);
	}
	if (end < a->npages && a->pages[end].kind == PAGE_FREE) {
		n = a->pages[end].len;
		run_remove(a, end);
		end += n;
	}
	run_insert(a, first, end - first);
	return first;
}

/*
 * Free run of at least n pages, or NIL.  The smallest that fits, nearly:
 * holes are filled first, and long runs, which may become whole steps, last.
 */
static uint32_t
run_find(const struct arena *a, uint32_t n)
{
	unsigned int bin = bin_of(n);
	uint32_t i;

	/* Runs in the own bin may be shorter, in a later one none is. */
	if (n > BIN_EXACT) {
		for (i = a->bins[bin]; i != NIL; i = a->pages[i].next) {
			if (a->pages[i].len >= n)
				return i;
		}
		bin++;
	}
	bin = bin_next(a, bin);
	return bin < BIN_COUNT ? a->bins[bin] : NIL;
}

/* --- steps --- */

static uint8_t *
page_addr(const struct arena *a, uint32_t n)
{
	return a->base + (size_t)n * ARENA_PAGE;
}

static size_t
step_bytes(const struct arena *a)
{
	return (size_t)a->step_pages * ARENA_PAGE;
}

/* Pages go into use (taken) or come back; a run may span steps. */
static void
step_account(struct arena *a, uint32_t first, uint32_t n, bool taken)
{
	struct step *s = &a->steps[first / a->step_pages];
	uint32_t part = a->step_pages - first % a->step_pages;

	if (taken)
		a->free_pages -= n;
	else
		a->free_pages += n;
	for (; n > 0; n -= part, part = a->step_pages, s++) {
		if (part > n)
			part = n;
		if (taken) {
			if (s->used_pages == 0)
				a->free_steps--;
			s->used_pages += part;
		} else {
			s->used_pages -= part;
			if (s->used_pages == 0)
				a->free_steps++;
		}
	}
}

/* Ask how much more can be locked; after growth, and before trying again. */
static void
growth_probe(struct arena *a)
{
	size_t left = (size_t)(a->nsteps - a->held_steps) * step_bytes(a);

	if (left > 0)
		left = a->ops->lockable(a->arg, left);
	a->lockable_pages = (uint32_t)(left / ARENA_PAGE);
}

static void
growth_failed(struct arena *a, int err)
{
	a->grow_failures++;
	a->last_grow_errno = err;
	if (!a->failing)
		a->failure_untold = true;
	a->failing = true;
}

/* Add one step; *ret_first: the free run that it is part of now. */
static int
step_grow(struct arena *a, uint32_t step, uint32_t *ret_first)
{
	size_t offset = (size_t)step * step_bytes(a);
	int r;

	if ((r = a->ops->grow(a->arg, offset, step_bytes(a))) != 0)
		return r;
	POISON(a->base + offset, step_bytes(a));
	a->steps[step].held = true;
	a->held_steps++;
	a->free_steps++;
	a->steps_grown++;
	a->free_pages += a->step_pages;
	*ret_first = run_join(a, step * a->step_pages, a->step_pages);
	return 0;
}

/* Give back one step, which lies in the free run at first. */
static int
step_return(struct arena *a, uint32_t first, uint32_t step)
{
	uint32_t end = first + a->pages[first].len;
	uint32_t start = step * a->step_pages, stop = start + a->step_pages;
	size_t offset = (size_t)step * step_bytes(a);
	int r;

	if ((r = a->ops->shrink(a->arg, offset, step_bytes(a))) != 0)
		return r;
	UNPOISON(a->base + offset, step_bytes(a));
	run_remove(a, first);
	if (first < start)
		run_insert(a, first, start - first);
	if (stop < end)
		run_insert(a, stop, end - stop);
	a->steps[step].held = false;
	a->held_steps--;
	a->free_steps--;
	a->steps_returned++;
	a->free_pages -= a->step_pages;
	a->lockable_pages += a->step_pages;
	a->frees_until_retry = 0;
	return 0;
}

/*
 * Give back the whole steps in the free run at first, the highest first.  One
 * free step is kept, wherever it is: adding one takes milliseconds, and a
 * transfer that ends is mostly followed by another.
 */
static void
steps_trim(struct arena *a, uint32_t first)
{
	uint32_t low, high;

	if (a->free_steps <= 1)
		return;
	low = first / a->step_pages + (first % a->step_pages != 0);
	high = (first + a->pages[first].len) / a->step_pages;
	while (high > low && a->free_steps > 1) {
		if (step_return(a, first, --high) != 0)
			break;
	}
}

/* Length of the free run that ends before page n, or starts there. */
static uint32_t
free_before(const struct arena *a, uint32_t n)
{
	if (n == 0 || a->pages[n - 1].kind != PAGE_FREE)
		return 0;
	return a->pages[n - 1].len;
}

static uint32_t
free_at(const struct arena *a, uint32_t n)
{
	if (n == a->npages || a->pages[n].kind != PAGE_FREE)
		return 0;
	return a->pages[n].len;
}

/*
 * Lowest place where steps make a free run of n pages, together with the free
 * pages around them.  Walks the steps: growth takes far longer.
 * Number of steps to add from *ret_step on; 0 if there is no place.
 */
static uint32_t
growth_place(const struct arena *a, uint32_t n, uint32_t *ret_step)
{
	uint32_t step, end, have, need;

	for (step = 0; step < a->nsteps; step = end) {
		end = step + 1;
		if (a->steps[step].held)
			continue;
		while (end < a->nsteps && !a->steps[end].held)
			end++;
		*ret_step = step;
		have = free_before(a, step * a->step_pages);
		need = n > have ? n - have : 1;
		need = (need - 1) / a->step_pages + 1;
		if (need <= end - step)
			return need;
		have += (end - step) * a->step_pages;
		if (n - have <= free_at(a, end * a->step_pages))
			return end - step;
	}
	return 0;
}

/*
 * Add the steps for a free run of n pages; false if that cannot be.  Several
 * are added only if the limit seems to allow all of them: locking half of
 * what is needed, to give it back at once, would cost milliseconds.
 */
static bool
arena_grow(struct arena *a, uint32_t n)
{
	uint32_t count, step, first = NIL;
	int r = 0;

	if (a->frees_until_retry > 0)
		return false;
	if ((count = growth_place(a, n, &step)) == 0) {
		/* No address space, for this size; a smaller one may fit. */
		growth_failed(a, ENOMEM);
		return false;
	}
	if (count > 1) {
		growth_probe(a);
		if (a->lockable_pages / a->step_pages < count)
			r = -ENOMEM;
	}
	for (; r == 0 && count > 0; count--, step++)
		r = step_grow(a, step, &first);
	if (r == 0) {
		a->failing = false;
		growth_probe(a);
		return true;
	}
	growth_failed(a, -r);
	if (first != NIL)
		steps_trim(a, first);
	/* Last, as giving back a step would allow a new try. */
	a->lockable_pages = 0;
	a->frees_until_retry = RETRY_FREES;
	return false;
}

/* --- pages in use --- */

/* Take n pages, growing if need be; NIL if there is no room. */
static uint32_t
pages_take(struct arena *a, uint32_t n)
{
	uint32_t first, len;

	first = run_find(a, n);
	if (first == NIL && arena_grow(a, n))
		first = run_find(a, n);
	if (first == NIL)
		return NIL;
	len = a->pages[first].len;
	run_remove(a, first);
	if (len > n)
		run_insert(a, first + n, len - n);
	step_account(a, first, n, true);
	return first;
}

/* Bring back pages, which are wiped and whose kind is PAGE_INNER. */
static void
pages_return(struct arena *a, uint32_t first, uint32_t n)
{
	step_account(a, first, n, false);
	steps_trim(a, run_join(a, first, n));
}

/*
 * Would the headroom be left if n pages were taken?  All numbers of pages are
 * under 2^32, their sums in 64 bits are exact.
 */
static bool
leaves_headroom(const struct arena *a, uint32_t n)
{
	uint64_t have = (uint64_t)a->free_pages + a->lockable_pages;

	return have >= (uint64_t)n + a->headroom_pages;
}

/* --- slabs --- */

static unsigned int
class_of(size_t len)
{
	unsigned int log2;

	if (len <= 128)
		return len == 0 ? 0 : (unsigned int)((len - 1) / 16);
	log2 = 63u - (unsigned int)__builtin_clzll(len - 1);
	return (log2 - 7) * 8 + (unsigned int)((len - 1) >> (log2 - 3));
}

static uint32_t
class_bytes(unsigned int class)
{
	unsigned int shift;

	if (class < 8)
		return (class + 1) * 16;
	shift = class / 8 + 3;
	return (class % 8 + 9) << shift;
}

/* Pages that so many objects take. */
static uint32_t
slab_pages_of(const struct class *c, uint32_t objects)
{
	return (objects * c->size + ARENA_PAGE - 1) / ARENA_PAGE;
}

static void
class_init(struct class *c, uint32_t size)
{
	uint32_t pages = 1, bytes = ARENA_PAGE;

	while (bytes < size || bytes % size > bytes / 64) {
		pages++;
		bytes += ARENA_PAGE;
	}
	c->size = size;
	c->recip = (uint32_t)(((UINT64_C(1) << 32) + size - 1) / size);
	c->partial = NIL;
	c->pages = (uint16_t)pages;
}

/*
 * Pages of the next slab.  While there are few objects of the class slabs are
 * short, or one object of 4608 bytes would hold eight pages; an eighth of what
 * lives keeps what that wastes small beside it.
 */
static uint32_t
slab_pages(const struct class *c)
{
	uint32_t n;

	if (c->live / 8 >= SLAB_OBJECTS_MAX)
		return c->pages;
	n = slab_pages_of(c, c->live < 8 ? 1 : c->live / 8);
	return n < c->pages ? n : c->pages;
}

size_t
arena_class_size(size_t len)
{
	if (len <= CLASS_MAX)
		return class_bytes(class_of(len));
	if (len > SIZE_MAX - (ARENA_PAGE - 1))
		return SIZE_MAX;
	return (len + ARENA_PAGE - 1) / ARENA_PAGE * ARENA_PAGE;
}

static uint32_t
slab_new(struct arena *a, unsigned int class)
{
	struct class *c = &a->classes[class];
	uint32_t first, i, left, pages = slab_pages(c);
	struct page *p;

	if ((first = pages_take(a, pages)) == NIL)
		return NIL;
	p = &a->pages[first];
	p->kind = PAGE_SLAB;
	p->class = (uint8_t)class;
	p->len = left = pages * ARENA_PAGE / c->size;
	p->nfree = (uint16_t)left;
	for (i = 0; i < SLAB_WORDS; i++) {
		p->free_bits[i] = left >= 64 ? UINT64_MAX :
		    (UINT64_C(1) << left) - 1;
		left -= left >= 64 ? 64 : left;
	}
	for (i = 1; i < pages; i++) {
		a->pages[first + i].kind = PAGE_SLAB_TAIL;
		a->pages[first + i].len = first;
	}
	list_push(a, &c->partial, first);
	return first;
}

static void
slab_free(struct arena *a, uint32_t first)
{
	const struct page *p = &a->pages[first];
	uint32_t i, pages = slab_pages_of(&a->classes[p->class], p->len);

	for (i = 0; i < pages; i++)
		a->pages[first + i].kind = PAGE_INNER;
	pages_return(a, first, pages);
}

static uint8_t *
slab_take(struct arena *a, uint32_t first)
{
	struct page *p = &a->pages[first];
	struct class *c = &a->classes[p->class];
	unsigned int word = 0, bit;

	while (p->free_bits[word] == 0)
		word++;
	bit = (unsigned int)__builtin_ctzll(p->free_bits[word]);
	p->free_bits[word] &= p->free_bits[word] - 1;
	c->live++;
	if (--p->nfree == 0)
		list_remove(a, &c->partial, first);
	return page_addr(a, first) + (size_t)(word * 64 + bit) * c->size;
}

static void
slab_put(struct arena *a, uint32_t first, unsigned int object)
{
	struct page *p = &a->pages[first];
	struct class *c = &a->classes[p->class];

	p->free_bits[object / 64] |= UINT64_C(1) << object % 64;
	c->live--;
	p->nfree++;
	if (p->nfree == 1)
		list_push(a, &c->partial, first);
	if (p->nfree == p->len) {
		list_remove(a, &c->partial, first);
		slab_free(a, first);
	}
}

/* --- objects --- */

static void
used_add(struct arena *a, size_t n)
{
	a->used_bytes += n;
	if (a->used_bytes > a->peak_used_bytes)
		a->peak_used_bytes = a->used_bytes;
}

static void *
run_alloc(struct arena *a, size_t len, bool leave_headroom)
{
	uint32_t first, n;

	if (len > (size_t)a->npages * ARENA_PAGE)
		return NULL;
	n = (uint32_t)((len - 1) / ARENA_PAGE) + 1;
	if (leave_headroom && !leaves_headroom(a, n))
		return NULL;
	if ((first = pages_take(a, n)) == NIL)
		return NULL;
	a->pages[first].kind = PAGE_RUN;
	a->pages[first].len = n;
	used_add(a, (size_t)n * ARENA_PAGE);
	UNPOISON(page_addr(a, first), len);
	return page_addr(a, first);
}

void *
arena_alloc(struct arena *a, size_t len, bool leave_headroom)
{
	struct class *c;
	uint32_t first;
	uint8_t *p;

	if (len > CLASS_MAX)
		return run_alloc(a, len, leave_headroom);
	c = &a->classes[class_of(len)];
	first = c->partial;
	if (leave_headroom &&
	    !leaves_headroom(a, first == NIL ? slab_pages(c) : 0))
		return NULL;
	if (first == NIL &&
	    (first = slab_new(a, (unsigned int)(c - a->classes))) == NIL)
		return NULL;
	p = slab_take(a, first);
	used_add(a, c->size);
	UNPOISON(p, len);
	return p;
}

/*
 * First page of the slab or run that holds the object at p, and the object's
 * number in the slab.  Anything but the start of a live object aborts.
 */
static uint32_t
object_find(const struct arena *a, const void *p, unsigned int *ret_object)
{
	size_t offset = (size_t)((uintptr_t)p - (uintptr_t)a->base);
	const struct page *page;
	const struct class *c;
	uint32_t first, object;

	if (offset / ARENA_PAGE >= a->npages)
		arena_fatal("secmem: pointer from outside the arena");
	first = (uint32_t)(offset / ARENA_PAGE);
	if (a->pages[first].kind == PAGE_SLAB_TAIL)
		first = a->pages[first].len;
	page = &a->pages[first];
	offset -= (size_t)first * ARENA_PAGE;
	*ret_object = 0;
	if (page->kind == PAGE_RUN && offset == 0)
		return first;
	if (page->kind != PAGE_SLAB)
		arena_fatal("secmem: no object at this pointer");
	c = &a->classes[page->class];
	object = (uint32_t)((uint64_t)offset * c->recip >> 32);
	if (object >= page->len || (size_t)object * c->size != offset)
		arena_fatal("secmem: pointer into the middle of an object");
	if ((page->free_bits[object / 64] >> object % 64 & 1) != 0)
		arena_fatal("secmem: the object is free already");
	*ret_object = object;
	return first;
}

static size_t
object_bytes(const struct arena *a, uint32_t first)
{
	const struct page *page = &a->pages[first];

	if (page->kind == PAGE_RUN)
		return (size_t)page->len * ARENA_PAGE;
	return a->classes[page->class].size;
}

size_t
arena_usable(const struct arena *a, const void *p)
{
	unsigned int object;

	return object_bytes(a, object_find(a, p, &object));
}

void
arena_note_len(struct arena *a, void *p, size_t len)
{
#ifdef ARENA_ASAN
	POISON(p, arena_usable(a, p));
	UNPOISON(p, len);
#else
	(void)a;
	(void)p;
	(void)len;
#endif
}

void
arena_release(struct arena *a, void *p)
{
	unsigned int object;
	uint32_t first = object_find(a, p, &object);
	size_t n = object_bytes(a, first);

	UNPOISON(p, n);
	explicit_bzero(p, n);
	POISON(p, n);
	a->used_bytes -= n;
	if (a->pages[first].kind == PAGE_SLAB) {
		slab_put(a, first, object);
	} else {
		a->pages[first].kind = PAGE_INNER;
		pages_return(a, first, a->pages[first].len);
	}
	if (a->frees_until_retry > 0 && --a->frees_until_retry == 0)
		growth_probe(a);
}

/* --- life --- */

static bool
config_sane(const struct arena_config *cfg)
{
	size_t step = cfg->step_bytes;

	/* NIL, and one above the last page, must not be page numbers. */
	return step >= ARENA_PAGE && (step & (step - 1)) == 0 &&
	    step <= cfg->bytes && cfg->bytes % step == 0 &&
	    cfg->bytes / ARENA_PAGE < NIL - 1 &&
	    (uintptr_t)cfg->base % ARENA_PAGE == 0 &&
	    cfg->headroom_bytes <= cfg->bytes;
}

static size_t
pages_map_len(const struct arena *a)
{
	return (size_t)a->npages * sizeof(struct page);
}

static bool
arena_get_memory(struct arena *a)
{
	void *p;

	a->steps = calloc(a->nsteps, sizeof(*a->steps));
	if (a->steps == NULL)
		return false;
	/* For the whole range: only what is written to becomes memory. */
	p = mmap(NULL, pages_map_len(a), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	a->pages = p;
	return true;
}

struct arena *
arena_new(const struct arena_config *cfg)
{
	struct arena *a;
	unsigned int i;

	if (!config_sane(cfg) || (a = calloc(1, sizeof(*a))) == NULL)
		return NULL;
	a->base = cfg->base;
	a->npages = (uint32_t)(cfg->bytes / ARENA_PAGE);
	a->step_pages = (uint32_t)(cfg->step_bytes / ARENA_PAGE);
	a->nsteps = a->npages / a->step_pages;
	a->headroom_pages = (uint32_t)((cfg->headroom_bytes + ARENA_PAGE - 1) /
	    ARENA_PAGE);
	a->ops = cfg->ops;
	a->arg = cfg->arg;
	for (i = 0; i < BIN_COUNT; i++)
		a->bins[i] = NIL;
	for (i = 0; i < CLASS_COUNT; i++)
		class_init(&a->classes[i], class_bytes(i));
	if (!arena_get_memory(a)) {
		free(a->steps);
		free(a);
		return NULL;
	}
	return a;
}

int
arena_start(struct arena *a)
{
	uint32_t first;
	int r;

	if ((r = step_grow(a, 0, &first)) != 0)
		return r;
	growth_probe(a);
	return 0;
}

void
arena_free(struct arena *a)
{
	uint32_t i;
	uint8_t *p;

	if (a == NULL)
		return;
	for (i = 0; i < a->nsteps; i++) {
		if (!a->steps[i].held)
			continue;
		p = page_addr(a, i * a->step_pages);
		UNPOISON(p, step_bytes(a));
		if (a->steps[i].used_pages > 0)
			explicit_bzero(p, step_bytes(a));
	}
	(void)munmap(a->pages, pages_map_len(a));
	free(a->steps);
	free(a);
}

void
arena_get_stats(const struct arena *a, struct arena_stats *ret_stats)
{
	*ret_stats = (struct arena_stats){
		.held_bytes = a->held_steps * step_bytes(a),
		.used_bytes = a->used_bytes,
		.peak_used_bytes = a->peak_used_bytes,
		.meta_bytes = sizeof(*a) + a->nsteps * sizeof(*a->steps) +
		    (size_t)a->held_steps * a->step_pages *
		    sizeof(struct page),
		.steps_grown = a->steps_grown,
		.steps_returned = a->steps_returned,
		.grow_failures = a->grow_failures,
		.last_grow_errno = a->last_grow_errno,
	};
}

bool
arena_take_grow_failure(struct arena *a, int *ret_errno)
{
	if (!a->failure_untold)
		return false;
	a->failure_untold = false;
	*ret_errno = a->last_grow_errno;
	return true;
}
