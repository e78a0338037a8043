/*
 * Walking the cache in slices while it changes, and the order after a restore.
 */
#include "config.h"

#include "cache.h"

#include "agent_unit.h"

#define IDS 20000u

static const struct cache_config cfg = {
	.max_bytes = 64u << 20,
	.refresh_interval_ms = 1000000,
	.reread_interval_ms = 1000000,
	.max_stale_ms = 1000000,
	.idle_evict_ms = 1000000,
};

static struct now now = { 1000000000, UNIT_WALL_MS };

static struct cache_entry *
put(struct cache *c, unsigned int number)
{
	char id[16];
	struct cache_entry *e;
	struct object *o;
	struct cache_key key = { .kind = REF_SECRET };

	(void)snprintf(id, sizeof(id), "%u", number);
	key.id = unit_view(id);
	e = cache_get(c, &key, &now);
	assert_non_null(e);
	o = unit_object(REF_SECRET, id, "", 1, MSG_NO_TIME, 1, 'x');
	assert_int_equal(cache_install(c, e, o, 0, &now, NULL), 0);
	object_unref(o);
	return e;
}

static void
drop(struct cache *c, unsigned int number)
{
	char id[16];
	struct cache_key key = { .kind = REF_SECRET };
	struct cache_entry *e;

	(void)snprintf(id, sizeof(id), "%u", number);
	key.id = unit_view(id);
	e = cache_find(c, &key);
	if (e != NULL)
		cache_drop(c, e);
}

static unsigned int met[IDS];

static void
meet(void *arg, struct cache_entry *e)
{
	unsigned long number = strtoul(
	    (const char *)object_id(e->object).p, NULL, 10);

	(void)arg;
	assert_true(number < IDS);
	met[number]++;
}

static void
walk(struct cache *c, void (*between)(struct cache *c, void *arg), void *arg)
{
	uint32_t pos = 0, steps = 0;

	memset(met, 0, sizeof(met));
	while (cache_iterate(c, &pos, meet, NULL)) {
		assert_true(++steps < 10 * IDS);
		if (between != NULL)
			between(c, arg);
	}
}

static void
test_walk_meets_each_once(void **state)
{
	static const unsigned int sizes[] = { 0, 1, 200, 255, 256, 257, 300,
		383, 511, 512, 513, 1000, 5000 };
	struct cache *c;
	unsigned int i, n;

	(void)state;
	for (i = 0; i < UNIT_COUNT(sizes); i++) {
		c = cache_new(&cfg);
		assert_non_null(c);
		for (n = 0; n < sizes[i]; n++)
			put(c, n);
		walk(c, NULL, NULL);
		for (n = 0; n < IDS; n++)
			assert_int_equal(met[n], n < sizes[i]);
		cache_free(c);
	}
}

struct churn {
	uint64_t seed;
	unsigned int next;	/* the next new one */
	unsigned int stay;	/* those below it are left alone */
	unsigned int rate;
};

/* New ones that make the table grow, dropped ones, reads. */
static void
churn(struct cache *c, void *arg)
{
	struct churn *ch = arg;
	unsigned int i;

	for (i = 0; i < ch->rate && ch->next < IDS; i++)
		put(c, ch->next++);
	if (ch->next > ch->stay)
		drop(c, ch->stay + (unsigned int)unit_below(&ch->seed,
		    ch->next - ch->stay));
	cache_touch(c, put(c, (unsigned int)unit_below(&ch->seed, ch->stay)),
	    &now);
}

static void
test_walk_meets_each_once_while_the_cache_changes(void **state)
{
	uint64_t seed = unit_seed();
	struct churn ch;
	struct cache *c;
	unsigned int n, round;

	(void)state;
	for (round = 0; round < 12; round++) {
		c = cache_new(&cfg);
		assert_non_null(c);
		ch.seed = seed + round;
		ch.stay = ch.next = 10 + (unsigned int)unit_below(&seed, 1500);
		ch.rate = round % 4 == 3 ? 40 : round % 4;
		for (n = 0; n < ch.stay; n++)
			put(c, n);
		walk(c, churn, &ch);
		for (n = 0; n < ch.stay; n++) {
			if (met[n] != 1)
				fail_msg("%u was met %u times", n, met[n]);
		}
		for (; n < IDS; n++)
			assert_true(met[n] <= 1);
		cache_free(c);
	}
}

static void
test_sort_orders_by_last_read(void **state)
{
	struct cache *c = cache_new(&cfg);
	struct cache_entry *e;
	unsigned int i, n;

	(void)state;
	assert_non_null(c);
	cache_sort(c, &now);	/* of nothing */
	/* as a restore leaves them: read at times that have no order, some
	 * before the boot */
	for (i = 0; i < 500; i++) {
		e = put(c, i);
		e->read_boot_ms = now.boot_ms - 1500000000u +
		    (uint64_t)(i * 37 % 500) * 3000000;
	}
	cache_sort(c, &now);
	for (n = 0; n < 500; n++) {
		/* the one whose i * 37 % 500 is n */
		i = n * 473 % 500;
		assert_true(cache_evict(c, 1) > 0);
		walk(c, NULL, NULL);
		assert_int_equal(met[i], 0);
		if (n < 499)
			assert_int_equal(met[(n + 1) * 473 % 500], 1);
	}
	cache_free(c);
}

static void
test_wall_floor_goes_on(void **state)
{
	struct cache *c = cache_new(&cfg);
	struct now later = { now.boot_ms + 5, 0 };

	(void)state;
	assert_non_null(c);
	assert_int_equal(cache_get_wall_floor(c, &now), INT64_MIN);
	cache_set_wall_floor(c, UNIT_WALL_MS + 100, &now);
	assert_int_equal(cache_get_wall_floor(c, &now), UNIT_WALL_MS + 100);
	assert_int_equal(cache_get_wall_floor(c, &later), UNIT_WALL_MS + 105);
	cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk_meets_each_once),
		cmocka_unit_test(
		    test_walk_meets_each_once_while_the_cache_changes),
		cmocka_unit_test(test_sort_orders_by_last_read),
		cmocka_unit_test(test_wall_floor_goes_on),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
