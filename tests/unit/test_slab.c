#include "config.h"

#include "unit.h"

#include "slab.h"

#define PIECES 3000u
#define OPERATIONS 200000u

static void
test_pieces_are_zeroed_and_found_by_number(void **state)
{
	struct slab s;
	static uint32_t number[PIECES];
	static uint8_t *piece[PIECES];
	size_t size, i;

	(void)state;
	for (size = 8; size <= SLAB_CHUNK / 2; size = size * 3 & ~(size_t)7) {
		slab_init(&s, size);
		for (i = 0; i < PIECES; i++) {
			piece[i] = slab_alloc(&s, &number[i]);
			assert_non_null(piece[i]);
			assert_true(number[i] != SLAB_NONE);
			assert_int_equal(piece[i][0], 0);
			assert_int_equal(piece[i][size - 1], 0);
			memset(piece[i], (int)(i & 0xff), size);
		}
		for (i = 0; i < PIECES; i++) {
			assert_ptr_equal(slab_at(&s, number[i]), piece[i]);
			assert_int_equal(slab_number(&s, piece[i]), number[i]);
			assert_int_equal(piece[i][0], i & 0xff);
			assert_int_equal(piece[i][size - 1], i & 0xff);
		}
		slab_done(&s);
		assert_int_equal(slab_bytes(&s), 0);
	}
}

static void
test_what_is_not_used_is_given_back(void **state)
{
	struct slab s;
	uint32_t number;
	static void *piece[PIECES];
	void *one;
	size_t i;

	(void)state;
	slab_init(&s, 88);
	for (i = 0; i < PIECES; i++)
		piece[i] = slab_alloc(&s, &number);
	assert_in_range(slab_bytes(&s), PIECES * 88,
	    PIECES * 88 + 2 * SLAB_CHUNK);
	for (i = 0; i < PIECES; i++)
		slab_free(&s, piece[i]);
	assert_int_equal(slab_bytes(&s), SLAB_CHUNK);
	/* one piece that comes and goes takes and gives nothing */
	for (i = 0; i < 10; i++) {
		one = slab_alloc(&s, &number);
		assert_non_null(one);
		slab_free(&s, one);
	}
	assert_int_equal(slab_bytes(&s), SLAB_CHUNK);
	slab_done(&s);
}

static void
test_random_operations(void **state)
{
	static struct { uint64_t *p; uint32_t number; uint64_t mark; }
	    pieces[PIECES];
	uint64_t rnd = unit_seed(), live = 0;
	struct slab s;
	size_t i, n, below;

	(void)state;
	slab_init(&s, 88);
	for (n = 0; n < OPERATIONS; n++) {
		/* now many, now few */
		below = n / 20000 % 2 == 0 ? 10 : 3;
		i = unit_below(&rnd, PIECES);
		if (pieces[i].p == NULL && unit_below(&rnd, 10) < below) {
			pieces[i].p = slab_alloc(&s, &pieces[i].number);
			assert_non_null(pieces[i].p);
			assert_true(pieces[i].p[0] == 0);
			assert_true(pieces[i].p[10] == 0);
			pieces[i].mark = unit_random(&rnd);
			pieces[i].p[0] = pieces[i].p[10] = pieces[i].mark;
			live++;
		} else if (pieces[i].p != NULL &&
		    unit_below(&rnd, 10) >= below - 2) {
			assert_ptr_equal(slab_at(&s, pieces[i].number),
			    pieces[i].p);
			assert_true(pieces[i].p[0] == pieces[i].mark);
			assert_true(pieces[i].p[10] == pieces[i].mark);
			slab_free(&s, pieces[i].p);
			pieces[i].p = NULL;
			live--;
		}
	}
	assert_true(live > 0);
	slab_done(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_are_zeroed_and_found_by_number),
		cmocka_unit_test(test_what_is_not_used_is_given_back),
		cmocka_unit_test(test_random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
