#include "config.h"

#include "unit.h"

#include "err.h"
#include "heap.h"

#define ELEMENTS 300u
#define OPERATIONS 200000u

struct element {
	int64_t key;
	uint32_t slot;
};

static void
element_moved(void *arg, uint32_t number, uint32_t slot)
{
	struct element *e = arg;

	e[number].slot = slot;
}

static void
test_empty_heap_has_no_first(void **state)
{
	struct heap h;
	uint32_t first = 7;
	int64_t key = 42;

	(void)state;
	heap_init(&h, element_moved, NULL);
	assert_false(heap_first(&h, &first, &key));
	assert_true(key == 42);
	assert_int_equal(first, 7);
	assert_false(heap_first(&h, &first, NULL));
	heap_done(&h);
}

static void
test_elements_come_in_order(void **state)
{
	const int64_t keys[] = { 5, INT64_MAX, -3, 5, 0, INT64_MIN, 7 };
	struct element e[UNIT_COUNT(keys)];
	struct heap h;
	int64_t key, last = INT64_MIN;
	uint32_t i, first;

	(void)state;
	heap_init(&h, element_moved, e);
	assert_int_equal(heap_reserve(&h, UNIT_COUNT(keys)), 0);
	for (i = 0; i < UNIT_COUNT(keys); i++) {
		e[i].key = keys[i];
		heap_insert(&h, i, keys[i]);
	}
	for (i = 0; i < UNIT_COUNT(keys); i++) {
		assert_true(heap_first(&h, &first, &key));
		assert_int_equal(e[first].slot, 0);
		assert_true(e[first].key == key);
		assert_true(heap_key(&h, 0) == key);
		assert_true(key >= last);
		last = key;
		heap_remove(&h, 0);
		assert_true(e[first].slot == HEAP_NOWHERE);
	}
	assert_true(last == INT64_MAX);
	assert_false(heap_first(&h, &first, NULL));
	heap_done(&h);
}

static void
test_reserve_keeps_what_is_there(void **state)
{
	struct element e[2] = { { 2, 0 }, { 1, 0 } };
	struct heap h;
	uint32_t first;

	(void)state;
	heap_init(&h, element_moved, e);
	assert_int_equal(heap_reserve(&h, 2), 0);
	heap_insert(&h, 0, 2);
	heap_insert(&h, 1, 1);
	assert_int_equal(heap_reserve(&h, 10000), 0);
	assert_int_equal(heap_reserve(&h, 3), 0);
	assert_true(heap_first(&h, &first, NULL));
	assert_int_equal(first, 1);
	assert_int_equal(e[0].slot, 1);
	heap_done(&h);
	assert_false(heap_first(&h, &first, NULL));
}

/* What is reserved ahead is no more than HEAP_COST says. */
static void
test_reserve_is_an_eighth_ahead(void **state)
{
	struct heap h;
	size_t i, grown = 0;

	(void)state;
	heap_init(&h, element_moved, NULL);
	for (i = 1; i <= 100000; i++) {
		grown += i > h.cap;
		assert_int_equal(heap_reserve(&h, i), 0);
		assert_true(i < 1000 ||
		    h.cap * sizeof(struct heap_item) <= i * HEAP_COST);
	}
	assert_true(grown < 100);
	heap_done(&h);
}

static void
test_reserve_refuses_sizes_that_overflow(void **state)
{
	struct heap h;

	(void)state;
	heap_init(&h, element_moved, NULL);
	assert_int_equal(heap_reserve(&h, SIZE_MAX), ERR_NOMEM);
	assert_int_equal(heap_reserve(&h, SIZE_MAX / 8), ERR_NOMEM);
	assert_int_equal(heap_reserve(&h, 1), 0);
	heap_done(&h);
}

struct model {
	struct heap h;
	struct element e[ELEMENTS];
	size_t count;
};

static void
model_check(const struct model *m)
{
	const struct element *least = NULL;
	uint32_t i, first;
	int64_t key = 0;

	for (i = 0; i < ELEMENTS; i++) {
		if (m->e[i].slot == HEAP_NOWHERE)
			continue;
		assert_true(m->e[i].slot < m->h.count);
		assert_int_equal(m->h.items[m->e[i].slot].element, i);
		assert_true(m->h.items[m->e[i].slot].key == m->e[i].key);
		if (least == NULL || m->e[i].key < least->key)
			least = &m->e[i];
	}
	assert_int_equal(heap_first(&m->h, &first, &key), least != NULL);
	if (least == NULL)
		return;
	assert_true(key == least->key);
	assert_true(m->e[first].key == key);
}

static void
model_step(struct model *m, uint64_t *rnd)
{
	uint32_t number = (uint32_t)unit_below(rnd, ELEMENTS);
	struct element *e = &m->e[number];
	/* few keys: equal ones must work as well */
	int64_t key = (int64_t)unit_below(rnd, 200) - 100;

	if (e->slot == HEAP_NOWHERE) {
		e->key = key;
		assert_int_equal(heap_reserve(&m->h, m->count + 1), 0);
		heap_insert(&m->h, number, key);
		m->count++;
	} else if (unit_below(rnd, 2) == 0) {
		e->key = key;
		heap_update(&m->h, e->slot, key);
	} else {
		heap_remove(&m->h, e->slot);
		assert_true(e->slot == HEAP_NOWHERE);
		m->count--;
	}
	assert_int_equal(m->h.count, m->count);
}

static void
test_random_operations_match_a_plain_array(void **state)
{
	static struct model m;
	uint64_t rnd = unit_seed();
	size_t i;

	(void)state;
	heap_init(&m.h, element_moved, m.e);
	for (i = 0; i < ELEMENTS; i++)
		m.e[i].slot = HEAP_NOWHERE;
	for (i = 0; i < OPERATIONS; i++) {
		model_step(&m, &rnd);
		if (i % 16 == 0)
			model_check(&m);
	}
	model_check(&m);
	heap_done(&m.h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_heap_has_no_first),
		cmocka_unit_test(test_elements_come_in_order),
		cmocka_unit_test(test_reserve_keeps_what_is_there),
		cmocka_unit_test(test_reserve_is_an_eighth_ahead),
		cmocka_unit_test(test_reserve_refuses_sizes_that_overflow),
		cmocka_unit_test(test_random_operations_match_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
