/*
 * What the cache itself costs, without a daemon around it: memory for each of
 * 100,000 secrets of 64 bytes, refresh decisions a second, and look-ups.
 *
 *     cache [ENTRIES]
 *
 * Memory is what malloc(3) has handed out, its headers included, and the secret
 * memory's size classes.  Time is CPU time; what it is compared with runs in
 * the same process.
 */
#include "config.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "hash.h"
#include "heap.h"
#include "msg.h"
#include "secmem.h"

#define ENTRIES 100000u
#define VALUE_LEN 64u
#define ROUNDS 3000000u
#define INTERVAL_MS 300000u
#define GOAL_BYTES 250.0
#define GOAL_DECISIONS 1e6

struct bench {
	size_t count;
	struct cache *c;
	struct now now;
	uint64_t rnd;
	struct object *one;	/* not in the cache */
};

static uint32_t
bench_random(struct bench *b)
{
	b->rnd ^= b->rnd << 13;
	b->rnd ^= b->rnd >> 7;
	b->rnd ^= b->rnd << 17;
	return (uint32_t)(b->rnd >> 16);
}

static double
cpu_seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	(void)fprintf(stderr, "cache: %s\n", what);
	exit(1);
}

/* --- entries --- */

/* A UUID of 36 characters, as the service has them. */
static struct view
make_id(size_t i, char buf[64])
{
	int len = snprintf(buf, 64, "%08zx-5c1f-4c9e-8a2b-%012zx",
	    i * 2654435761u & 0xffffffffu, i);

	return (struct view){ (const uint8_t *)buf, (size_t)len };
}

static struct object *
make_object(size_t i, int64_t expires_at)
{
	static const uint8_t value[VALUE_LEN];
	char id[64], name[64];
	int len = snprintf(name, sizeof(name), "team-%02zu/service-%03zu/"
	    "password", i % 100, i / 100 % 1000);
	struct object *o = object_new(REF_SECRET, make_id(i, id),
	    (struct view){ (const uint8_t *)name, (size_t)len });

	if (o == NULL || object_set_data(o, (struct view){ value,
	    sizeof(value) }, NULL, 0) != 0)
		die("no memory for an object; is the limit of locked memory "
		    "(ulimit -l) below 16 MiB?");
	o->version = 1;
	o->expires_at = expires_at;
	return o;
}

static struct cache_entry *
put(struct bench *b, size_t i, struct object *o)
{
	char id[64];
	const struct cache_key key = {
		.kind = REF_SECRET, .id = make_id(i, id),
	};
	struct cache_entry *e = cache_get(b->c, &key, &b->now);

	if (e == NULL || cache_install(b->c, e, o, bench_random(b), &b->now,
	    NULL) != 0)
		die("no room for an entry");
	return e;
}

static void
fill(struct bench *b, int64_t expires_at)
{
	const struct cache_config cfg = {
		.max_bytes = SIZE_MAX / 2,
		.refresh_interval_ms = INTERVAL_MS,
		.refresh_lead_ms = 60000,
		.reread_interval_ms = 86400000,
		.max_stale_ms = 86400000,
		.negative_ttl_ms = 10000,
		.idle_evict_ms = UINT64_MAX / 2,
		.phase = 42,
	};
	struct object *o;
	size_t i;

	b->c = cache_new(&cfg);
	if (b->c == NULL)
		die("no memory");
	for (i = 0; i < b->count; i++) {
		o = make_object(i, expires_at);
		(void)put(b, i, o);
		object_unref(o);
	}
}

/* --- memory --- */

static double
plain_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}

static double
secret_bytes(void)
{
	struct secmem_stats s;

	secmem_get_stats(&s);
	return (double)s.used_bytes;
}

static void
measure_memory(struct bench *b, const char *what, int64_t expires_at)
{
	double plain = plain_bytes(), secret = secret_bytes(), each;
	double n = (double)b->count;
	struct cache_stats stats;

	fill(b, expires_at);
	plain = (plain_bytes() - plain) / n;
	secret = (secret_bytes() - secret) / n;
	cache_get_stats(b->c, &stats);
	each = plain + secret - (double)secmem_class_size(VALUE_LEN);
	printf("memory, %s: %.1f bytes each beside the value's %zu (goal %.0f)"
	    "%s\n", what, each, secmem_class_size(VALUE_LEN), GOAL_BYTES,
	    each < GOAL_BYTES ? "" : "  over");
	printf("    an entry %zu, an object %zu; counted in the budget: %.1f "
	    "with the value, really %.1f\n", sizeof(struct cache_entry),
	    malloc_usable_size(b->one) + sizeof(size_t),
	    (double)stats.bytes / n, plain + secret);
	cache_free(b->c);
}

/* --- time --- */

static void
element_moved(void *arg, uint32_t element, uint32_t slot)
{
	((uint32_t *)arg)[element] = slot;
}

/* Taking the first of a heap and putting it back later: the least there is. */
static double
measure_heap(struct bench *b)
{
	uint32_t *slots = calloc(b->count, sizeof(*slots)), first;
	struct heap h;
	double start;
	int64_t key;
	size_t i;

	heap_init(&h, element_moved, slots);
	if (slots == NULL || heap_reserve(&h, b->count) != 0)
		die("no memory");
	for (i = 0; i < b->count; i++)
		heap_insert(&h, (uint32_t)i, bench_random(b) % INTERVAL_MS);
	start = cpu_seconds();
	for (i = 0; i < ROUNDS; i++) {
		(void)heap_first(&h, &first, &key);
		heap_remove(&h, 0);
		heap_insert(&h, first, key + INTERVAL_MS -
		    bench_random(b) % (INTERVAL_MS / 16));
	}
	start = cpu_seconds() - start;
	heap_done(&h);
	free(slots);
	return ROUNDS / start;
}

/*
 * A decision: who is due, and when is it due again.  What the service says of
 * it comes between: that nothing changed (a page of the listing), or an object.
 */
static double
measure_decisions(struct bench *b, bool install)
{
	uint64_t decisions = 0, wait;
	struct cache_entry *e;
	double start = cpu_seconds();

	while (decisions < ROUNDS) {
		wait = cache_wait_ms(b->c, &b->now);
		b->now.boot_ms += wait > 0 ? wait : 1;
		b->now.wall_ms += (int64_t)(wait > 0 ? wait : 1);
		while ((e = cache_next_due(b->c, &b->now)) != NULL) {
			decisions++;
			if (!install)
				cache_confirm(b->c, e, b->now.boot_ms,
				    cache_next_phase(b->c, cache_id(e),
				    INTERVAL_MS, bench_random(b), &b->now),
				    &b->now);
			else if (cache_install(b->c, e, e->object,
			    bench_random(b), &b->now, NULL) != 0)
				die("an entry did not take its own object");
		}
	}
	return (double)decisions / (cpu_seconds() - start);
}

/* As a read that hits does: by the key, what may be served, and the order. */
static double
measure_hits(struct bench *b)
{
	char id[64];
	struct cache_key key = { .kind = REF_SECRET };
	struct cache_entry *e;
	double start, without;
	size_t i, n, sum = 0;

	start = cpu_seconds();
	for (i = 0; i < ROUNDS; i++)
		sum += make_id(bench_random(b) % b->count, id).len;
	without = cpu_seconds() - start;
	start = cpu_seconds();
	for (i = 0; i < ROUNDS; i++) {
		n = bench_random(b) % b->count;
		key.id = make_id(n, id);
		e = cache_find(b->c, &key);
		if (e == NULL ||
		    cache_state(b->c, e, &b->now) != CACHE_FRESH)
			die("an entry is not there");
		cache_touch(b->c, e, &b->now);
		sum += object_value(e->object).len;
	}
	if (sum == 0)
		die("nothing was read");
	return ROUNDS / (cpu_seconds() - start - without);
}

int
main(int argc, char **argv)
{
	struct bench b = {
		.count = argc > 1 ? strtoul(argv[1], NULL, 10) : ENTRIES,
		.now = { .boot_ms = UINT64_C(3600000000),
		    .wall_ms = CACHE_WALL_PLAUSIBLE_MS + 86400000 },
		.rnd = UINT64_C(0x9e3779b97f4a7c15),
	};
	const struct secmem_config cfg = {
		.reserve_bytes = 1u << 30,
		.step_bytes = 512u << 10,
		.headroom_bytes = 0,
	};
	double heap, confirm, install, hits;
	int r;

	if (b.count == 0 || b.count > 10000000) {
		(void)fprintf(stderr, "usage: cache [ENTRIES]\n");
		return 2;
	}
	r = secmem_init(&cfg);
	if (r != 0)
		die(secmem_strerror(r));
	b.one = make_object(0, MSG_NO_TIME);
	printf("%zu secrets of %u bytes\n", b.count, VALUE_LEN);
	measure_memory(&b, "no expiresAt", MSG_NO_TIME);
	measure_memory(&b, "all with expiresAt", b.now.wall_ms +
	    INT64_C(86400000) * 365);
	fill(&b, MSG_NO_TIME);
	heap = measure_heap(&b);
	confirm = measure_decisions(&b, false);
	install = measure_decisions(&b, true);
	hits = measure_hits(&b);
	printf("a plain heap, first out and in again: %.2f million a second\n",
	    heap / 1e6);
	printf("refresh decisions by a listing: %.2f million a second, %.2f "
	    "of the heap (goal %.0f million)%s\n", confirm / 1e6,
	    confirm / heap, GOAL_DECISIONS / 1e6,
	    confirm >= GOAL_DECISIONS ? "" : "  under");
	printf("refresh decisions by single reads: %.2f million a second, "
	    "%.2f of the heap\n", install / 1e6, install / heap);
	printf("look-ups that hit: %.2f million a second\n", hits / 1e6);
	cache_free(b.c);
	object_unref(b.one);
	secmem_done();
	return 0;
}
