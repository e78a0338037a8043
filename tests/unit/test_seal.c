#include "config.h"

#include "seal.h"

#include "agent_unit.h"
#include "err.h"

#define CHUNKS 3u
#define FILE_BYTES (SEAL_HEADER_BYTES + CHUNKS * SEAL_CHUNK_BYTES)

static const struct seal_info info = {
	.source = SEAL_STATE_KEY,
	.sequence = 7,
	.wall_ms = UNIT_WALL_MS,
	.boot_ms = 1234567,
	.boot_id = "0123456789abcde",
};

static struct secmem key, api, other;
static const struct view url = { (const uint8_t *)"https://a/v1", 12 };

static void
derive(enum seal_source source, const char *text, struct secmem *ret)
{
	struct secmem sm = {0};

	assert_int_equal(secmem_copy(&sm, text, strlen(text),
	    SECMEM_LIBRARY), 0);
	assert_int_equal(seal_derive(source, &sm, ret), 0);
	secmem_free_bytes(&sm);
}

static int
setup(void **state)
{
	if (unit_secmem_setup(state) != 0)
		return -1;
	derive(SEAL_STATE_KEY, "0123456789abcdef0123456789abcdef", &key);
	derive(SEAL_API_KEY, "qapi_live_x", &api);
	derive(SEAL_API_KEY, "qapi_live_y", &other);
	return 0;
}

static int
teardown(void **state)
{
	secmem_free_bytes(&key);
	secmem_free_bytes(&api);
	secmem_free_bytes(&other);
	return unit_secmem_teardown(state);
}

/* Chunk i is full of the letter 'a' + i. */
static uint8_t *
make_file(void)
{
	uint8_t *file = malloc(FILE_BYTES), *plain = malloc(SEAL_PLAIN_BYTES);
	struct seal *s = NULL;
	unsigned int i;

	assert_non_null(file);
	assert_non_null(plain);
	assert_int_equal(seal_new(&key, &info, url, &api, file, &s), 0);
	for (i = 0; i < CHUNKS; i++) {
		memset(plain, 'a' + (int)i, SEAL_PLAIN_BYTES);
		seal_chunk(s, plain, i + 1 == CHUNKS,
		    file + SEAL_HEADER_BYTES + i * SEAL_CHUNK_BYTES);
	}
	seal_free(s);
	free(plain);
	return file;
}

/* Open all of it; how many chunks opened goes to ret_chunks. */
static enum state_fault
open_file(const uint8_t *file, unsigned int *ret_chunks)
{
	uint8_t *plain = malloc(SEAL_PLAIN_BYTES);
	struct seal_info got;
	struct seal *s = NULL;
	enum state_fault fault;
	bool last = false;
	unsigned int i;

	assert_non_null(plain);
	*ret_chunks = 0;
	fault = seal_peek(file, &got);
	if (fault == STATE_OK)
		fault = seal_open_new(&key, url, &api, file, &s);
	for (i = 0; i < CHUNKS && fault == STATE_OK; i++) {
		fault = seal_open_chunk(s, file + SEAL_HEADER_BYTES +
		    i * SEAL_CHUNK_BYTES, plain, &last);
		if (fault == STATE_OK) {
			assert_int_equal(plain[0], 'a' + i);
			assert_int_equal(plain[SEAL_PLAIN_BYTES - 1], 'a' + i);
			assert_int_equal(last, i + 1 == CHUNKS);
			++*ret_chunks;
		} else {
			assert_int_equal(plain[0], 0);
		}
	}
	seal_free(s);
	free(plain);
	return fault;
}

static void
test_round_trip(void **state)
{
	uint8_t *file = make_file();
	struct seal_info got;
	unsigned int n;

	(void)state;
	assert_int_equal(seal_peek(file, &got), STATE_OK);
	assert_int_equal(got.source, info.source);
	assert_int_equal(got.sequence, info.sequence);
	assert_int_equal(got.wall_ms, info.wall_ms);
	assert_int_equal(got.boot_ms, info.boot_ms);
	assert_memory_equal(got.boot_id, info.boot_id, SEAL_BOOT_ID_BYTES);
	assert_int_equal(open_file(file, &n), STATE_OK);
	assert_int_equal(n, CHUNKS);
	free(file);
}

static void
test_nothing_of_it_shows_and_no_two_are_alike(void **state)
{
	uint8_t *a = make_file(), *b = make_file();
	size_t i, same = 0;

	(void)state;
	for (i = SEAL_HEADER_BYTES; i < FILE_BYTES; i++)
		same += a[i] == b[i];
	/* one in 256 by chance */
	assert_true(same < FILE_BYTES / 128);
	assert_null(memmem(a, FILE_BYTES, "aaaaaaaa", 8));
	assert_null(memmem(a, FILE_BYTES, "https", 5));
	assert_null(memmem(a, FILE_BYTES, "qapi_live", 9));
	free(a);
	free(b);
}

/* Each bit of the header, and some of each byte range of the rest. */
static void
test_each_flipped_bit_is_noticed(void **state)
{
	uint8_t *file = make_file();
	enum state_fault fault;
	size_t i, bits = 0;
	unsigned int n;

	(void)state;
	for (i = 0; i < FILE_BYTES * 8; i += i < SEAL_HEADER_BYTES * 8 ? 1
	    : 997) {
		file[i / 8] ^= (uint8_t)(1u << i % 8);
		fault = open_file(file, &n);
		assert_int_not_equal(fault, STATE_OK);
		assert_true(n <= (i / 8 < SEAL_HEADER_BYTES ? 0
		    : (i / 8 - SEAL_HEADER_BYTES) / SEAL_CHUNK_BYTES));
		file[i / 8] ^= (uint8_t)(1u << i % 8);
		bits++;
	}
	assert_true(bits > 1500);
	assert_int_equal(open_file(file, &n), STATE_OK);
	free(file);
}

static void
test_chunks_cannot_be_swapped_dropped_or_taken_from_elsewhere(void **state)
{
	uint8_t *a = make_file(), *b = make_file();
	uint8_t *first = a + SEAL_HEADER_BYTES;
	uint8_t *tmp = malloc(SEAL_CHUNK_BYTES);
	unsigned int n;

	(void)state;
	assert_non_null(tmp);
	/* the second where the first was */
	memcpy(tmp, first, SEAL_CHUNK_BYTES);
	memcpy(first, first + SEAL_CHUNK_BYTES, SEAL_CHUNK_BYTES);
	assert_int_equal(open_file(a, &n), STATE_TAMPERED);
	memcpy(first, tmp, SEAL_CHUNK_BYTES);
	/* the last where the second was */
	memcpy(tmp, first + SEAL_CHUNK_BYTES, SEAL_CHUNK_BYTES);
	memcpy(first + SEAL_CHUNK_BYTES, first + 2 * SEAL_CHUNK_BYTES,
	    SEAL_CHUNK_BYTES);
	assert_int_equal(open_file(a, &n), STATE_TAMPERED);
	assert_int_equal(n, 1);
	memcpy(first + SEAL_CHUNK_BYTES, tmp, SEAL_CHUNK_BYTES);
	assert_int_equal(open_file(a, &n), STATE_OK);
	/* another snapshot's of the same content; another one's header */
	memcpy(first, b + SEAL_HEADER_BYTES, SEAL_CHUNK_BYTES);
	assert_int_equal(open_file(a, &n), STATE_TAMPERED);
	free(a);
	a = make_file();
	memcpy(a, b, SEAL_HEADER_BYTES);
	assert_int_equal(open_file(a, &n), STATE_TAMPERED);
	free(a);
	free(b);
	free(tmp);
}

static enum state_fault
open_with(const uint8_t *file, const struct secmem *k, struct view u,
    const struct secmem *a)
{
	struct seal *s = NULL;
	enum state_fault fault = seal_open_new(k, u, a, file, &s);

	seal_free(s);
	return fault;
}

static void
test_another_key_service_or_api_key_is_told_apart(void **state)
{
	const struct view elsewhere = { (const uint8_t *)"https://b/v1", 12 };
	uint8_t *file = make_file();

	(void)state;
	assert_int_equal(open_with(file, &key, url, &api), STATE_OK);
	assert_int_equal(open_with(file, &other, url, &api), STATE_OTHER_KEY);
	assert_int_equal(open_with(file, &key, elsewhere, &api),
	    STATE_OTHER_SERVICE);
	assert_int_equal(open_with(file, &key, url, &other),
	    STATE_OTHER_API_KEY);
	free(file);
}

/*
 * The prints are what tells them apart, not what protects: with the prints of
 * a right header the chunks still do not open under another key.
 */
static void
test_prints_alone_open_nothing(void **state)
{
	uint8_t *mine = make_file(), *theirs = malloc(SEAL_HEADER_BYTES);
	struct seal *s = NULL;
	unsigned int n;

	(void)state;
	assert_non_null(theirs);
	assert_int_equal(seal_new(&other, &info, url, &api, theirs, &s), 0);
	seal_free(s);
	/* salt and prints: bytes 56 to 119 */
	memcpy(theirs + 56, mine + 56, 64);
	memcpy(mine, theirs, SEAL_HEADER_BYTES);
	assert_int_equal(open_file(mine, &n), STATE_TAMPERED);
	assert_int_equal(n, 0);
	free(mine);
	free(theirs);
}

static void
test_formats(void **state)
{
	uint8_t *file = make_file();
	struct seal_info got;

	(void)state;
	file[9] = SEAL_FORMAT + 1;
	assert_int_equal(seal_peek(file, &got), STATE_NEWER);
	file[8] = 1;
	assert_int_equal(seal_peek(file, &got), STATE_NEWER);
	file[8] = file[9] = 0;
	assert_int_equal(seal_peek(file, &got), STATE_TAMPERED);
	file[0] = 'q';
	assert_int_equal(seal_peek(file, &got), STATE_NO_SNAPSHOT);
	free(file);
}

static void
test_keys_of_the_two_sources_differ(void **state)
{
	struct secmem a = {0}, b = {0}, c = {0};

	(void)state;
	derive(SEAL_STATE_KEY, "the same text, 32 bytes of it ..", &a);
	derive(SEAL_API_KEY, "the same text, 32 bytes of it ..", &b);
	derive(SEAL_STATE_KEY, "the same text, 32 bytes of it ..", &c);
	assert_false(secmem_equal(&a, &b));
	assert_true(secmem_equal(&a, &c));
	secmem_free_bytes(&a);
	secmem_free_bytes(&b);
	secmem_free_bytes(&c);
}

static void
test_padded(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; n <= 16; n++)
		assert_int_equal(seal_padded(n), n);
	assert_int_equal(seal_padded(17), 18);
	assert_int_equal(seal_padded(33), 36);
	assert_int_equal(seal_padded(1000), 1024);
	for (n = 1; n < 100000; n += 13) {
		assert_true(seal_padded(n) >= n);
		assert_true(seal_padded(n) - n <= n / 8);
		assert_int_equal(seal_padded(seal_padded(n)), seal_padded(n));
	}
}

static void
test_each_fault_says_what_to_do(void **state)
{
	int i, j;

	(void)state;
	for (i = STATE_OK; i <= STATE_IO; i++) {
		assert_string_not_equal(
		    state_fault_text((enum state_fault)i), "unknown");
		for (j = STATE_OK; j < i; j++)
			assert_string_not_equal(
			    state_fault_text((enum state_fault)i),
			    state_fault_text((enum state_fault)j));
	}
}

static void
test_boot_id(void **state)
{
	uint8_t id[SEAL_BOOT_ID_BYTES] = {0};

	(void)state;
	assert_false(seal_boot_id_is_set(id));
	id[15] = 1;
	assert_true(seal_boot_id_is_set(id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nothing_of_it_shows_and_no_two_are_alike),
		cmocka_unit_test(test_each_flipped_bit_is_noticed),
		cmocka_unit_test(
		    test_chunks_cannot_be_swapped_dropped_or_taken_from_elsewhere),
		cmocka_unit_test(
		    test_another_key_service_or_api_key_is_told_apart),
		cmocka_unit_test(test_prints_alone_open_nothing),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_keys_of_the_two_sources_differ),
		cmocka_unit_test(test_padded),
		cmocka_unit_test(test_each_fault_says_what_to_do),
		cmocka_unit_test(test_boot_id),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
