#include "config.h"

#include "unit.h"

#include "hash.h"

#define NAMES 100000u
#define BUCKETS 256u

static void
test_same_key_same_hash(void **state)
{
	struct hash_key key;

	(void)state;
	hash_key_init(&key);
	assert_true(hash_bytes(&key, "db/prod", 7) ==
	    hash_bytes(&key, "db/prod", 7));
	assert_true(hash_bytes(&key, "db/prod", 7) !=
	    hash_bytes(&key, "db/prod", 6));
	assert_true(hash_bytes(&key, "db/prod", 7) !=
	    hash_bytes(&key, "db/proe", 7));
	assert_true(hash_bytes(&key, "", 0) == hash_bytes(&key, "x", 0));
}

static void
test_other_key_other_hash(void **state)
{
	struct hash_key a, b;

	(void)state;
	hash_key_init(&a);
	hash_key_init(&b);
	assert_memory_not_equal(a.bytes, b.bytes, sizeof(a.bytes));
	assert_true(hash_bytes(&a, "db/prod", 7) !=
	    hash_bytes(&b, "db/prod", 7));
}

/* Buckets are taken by the lowest bits: names that are alike must spread. */
static void
test_similar_names_spread_over_buckets(void **state)
{
	static unsigned int counts[BUCKETS];
	struct hash_key key;
	char name[32];
	unsigned int i;
	int len;

	(void)state;
	hash_key_init(&key);
	for (i = 0; i < NAMES; i++) {
		len = snprintf(name, sizeof(name), "app/%06u/password", i);
		counts[hash_bytes(&key, name, (size_t)len) % BUCKETS]++;
	}
	for (i = 0; i < BUCKETS; i++) {
		/* 390 expected, sigma 20: ten of them either way */
		assert_in_range(counts[i], 190, 590);
	}
}

static void
test_random_bits_differ(void **state)
{
	uint32_t any = 0, all = UINT32_MAX;
	unsigned int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		uint32_t x = hash_random();

		any |= x;
		all &= x;
	}
	assert_true(any == UINT32_MAX);
	assert_true(all == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_key_same_hash),
		cmocka_unit_test(test_other_key_other_hash),
		cmocka_unit_test(test_similar_names_spread_over_buckets),
		cmocka_unit_test(test_random_bits_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
