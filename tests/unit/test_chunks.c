/*
 * The chunks of an envelope, and the vector of docs/envelope.md, which is read
 * out of that file.
 */
#include "config.h"

#include "agent_unit.h"

#include <sodium.h>

#include "chunks.h"
#include "crypt_json.h"
#include "err.h"
#include "msg_call.h"

#define ENVELOPE_MD TOP_SRCDIR "/docs/envelope.md"
#define PLAIN_TEXT "the whole text\n"

static uint8_t plain[MSG_CHUNK_MAX];
static uint8_t sealed[MSG_CHUNK_MAX + MSG_CHUNK_EXTRA];
static uint8_t opened[MSG_CHUNK_MAX];

/* A block of the document, hex with comments; fails if it is not there. */
static struct view
read_block(const char *name, uint8_t *buf, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char line[512], head[64];
	size_t len = 0;
	bool within = false, found = false;
	const char *p;
	FILE *f = fopen(ENVELOPE_MD, "r");

	assert_non_null(f);
	(void)snprintf(head, sizeof(head), "```envelope %s\n", name);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strcmp(line, head) == 0) {
			within = found = true;
			continue;
		}
		if (!within || strncmp(line, "```", 3) == 0) {
			within = false;
			continue;
		}
		for (p = line; *p != '#' && *p != '\n' && *p != '\0'; p++) {
			if (*p == ' ')
				continue;
			assert_non_null(strchr(digits, p[0]));
			assert_non_null(strchr(digits, p[1]));
			assert_true(len < size);
			buf[len++] = (uint8_t)((strchr(digits, p[0]) -
			    digits) << 4 | (strchr(digits, p[1]) - digits));
			p++;
		}
	}
	(void)fclose(f);
	assert_true(found);
	return (struct view){ buf, len };
}

static void
make_key(struct secmem *key, uint8_t first)
{
	size_t i;

	assert_int_equal(secmem_alloc(key, CRYPT_KEY_LEN, SECMEM_LIBRARY), 0);
	for (i = 0; i < CRYPT_KEY_LEN; i++)
		secmem_writable(key)[i] = (uint8_t)(first + i);
}

/* The two ends of one stream. */
struct ends {
	struct secmem key;
	struct secmem seal;
	struct secmem open;
};

static void
begin_with(struct ends *e, const char *header, const char *aad,
    const char *other_header, const char *other_aad)
{
	uint8_t stream[ENVELOPE_STREAM_LEN];

	memset(e, 0, sizeof(*e));
	make_key(&e->key, 0);
	assert_int_equal(chunks_seal_begin(&e->key, &e->seal, stream), 0);
	assert_int_equal(chunks_open_begin(&e->key, (struct view){ stream,
	    sizeof(stream) }, &e->open), 0);
	chunks_bind(&e->seal, unit_view(header), unit_view(aad));
	chunks_bind(&e->open, unit_view(other_header), unit_view(other_aad));
}

static void
begin(struct ends *e)
{
	begin_with(e, "header", "aad", "header", "aad");
}

static void
end(struct ends *e)
{
	secmem_free_bytes(&e->key);
	secmem_free_bytes(&e->seal);
	secmem_free_bytes(&e->open);
}

static void
seal(struct ends *e, size_t len, bool final)
{
	chunks_seal(&e->seal, (struct view){ plain, len }, final, sealed);
}

static int
open_it(struct ends *e, size_t len, bool final)
{
	memset(opened, 0x5a, sizeof(opened));
	return chunks_open(&e->open, (struct view){ sealed,
	    len + MSG_CHUNK_EXTRA }, final, opened);
}

static void
test_vector_of_the_document(void **state)
{
	uint8_t header_buf[256], ad_buf[64], chunk_buf[64], digest[32];
	struct view header = read_block("header", header_buf,
	    sizeof(header_buf));
	struct view ad = read_block("associated-data", ad_buf, sizeof(ad_buf));
	struct view chunk = read_block("chunk", chunk_buf, sizeof(chunk_buf));
	struct secmem key = { .mem = NULL };
	struct secmem chunks = { .mem = NULL };
	struct envelope e;
	uint8_t out[64];

	(void)state;
	make_key(&key, 0);
	assert_int_equal(envelope_decode(header, &e), 0);
	assert_true(e.key_version == 3);
	assert_true(unit_view_is(e.key_id,
	    "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"));
	assert_true(unit_view_is(e.algorithm, "AES-256-GCM"));
	assert_true(unit_view_is(e.wrapped, "d3JhcHBlZA=="));

	assert_int_equal(chunks_open_begin(&key, e.stream, &chunks), 0);
	chunks_bind(&chunks, header, unit_view("order 7"));
	assert_int_equal(chunks_open(&chunks, chunk, true, out), 0);
	assert_memory_equal(out, PLAIN_TEXT, sizeof(PLAIN_TEXT) - 1);
	secmem_free_bytes(&chunks);

	/* whoever seals with this stream header makes the same */
	assert_int_equal(chunks_open_begin(&key, e.stream, &chunks), 0);
	chunks_bind(&chunks, header, unit_view("order 7"));
	chunks_seal(&chunks, unit_view(PLAIN_TEXT), true, out);
	assert_memory_equal(out, chunk.p, chunk.len);
	secmem_free_bytes(&chunks);
	secmem_free_bytes(&key);

	/* the associated data are what the text says they are */
	memcpy(header_buf + header.len, "order 7", 7);
	(void)crypto_generichash(digest, sizeof(digest), header_buf,
	    header.len + 7, NULL, 0);
	assert_int_equal(ad.len, sizeof(digest));
	assert_memory_equal(digest, ad.p, ad.len);
}

static void
test_two_chunks_of_the_document(void **state)
{
	static const uint8_t expected[32] = {
		0xde, 0xee, 0xc2, 0x77, 0xf2, 0x63, 0x44, 0x45,
		0x16, 0x17, 0x94, 0xb4, 0xdd, 0x34, 0x5e, 0x98,
		0xc4, 0xb3, 0x0c, 0xe5, 0x5f, 0x7e, 0xb6, 0xa8,
		0x1b, 0x17, 0x9c, 0xd7, 0x78, 0x29, 0x83, 0x0f,
	};
	uint8_t header_buf[256], digest[32];
	struct view header = read_block("header", header_buf,
	    sizeof(header_buf));
	struct secmem key = { .mem = NULL };
	struct secmem chunks = { .mem = NULL };
	crypto_hash_sha256_state st;
	struct envelope e;

	(void)state;
	make_key(&key, 0);
	assert_int_equal(envelope_decode(header, &e), 0);
	assert_int_equal(chunks_open_begin(&key, e.stream, &chunks), 0);
	chunks_bind(&chunks, header, unit_view("order 7"));
	(void)crypto_hash_sha256_init(&st);
	memset(plain, 0, sizeof(plain));
	chunks_seal(&chunks, (struct view){ plain, sizeof(plain) }, false,
	    sealed);
	(void)crypto_hash_sha256_update(&st, sealed, sizeof(sealed));
	chunks_seal(&chunks, (struct view){ NULL, 0 }, true, sealed);
	(void)crypto_hash_sha256_update(&st, sealed, MSG_CHUNK_EXTRA);
	(void)crypto_hash_sha256_final(&st, digest);
	assert_memory_equal(digest, expected, sizeof(digest));
	secmem_free_bytes(&chunks);
	secmem_free_bytes(&key);
}

static void
test_there_and_back(void **state)
{
	static const size_t lengths[] = { 0, 1, 17, MSG_CHUNK_MAX - 1,
		MSG_CHUNK_MAX };
	struct ends e;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(lengths); i++) {
		begin(&e);
		memset(plain, (int)i + 1, sizeof(plain));
		seal(&e, MSG_CHUNK_MAX, false);
		assert_int_equal(open_it(&e, MSG_CHUNK_MAX, false), 0);
		assert_memory_equal(opened, plain, MSG_CHUNK_MAX);
		seal(&e, lengths[i], true);
		assert_int_equal(open_it(&e, lengths[i], true), 0);
		assert_memory_equal(opened, plain, lengths[i]);
		end(&e);
	}
}

static void
test_no_two_streams_are_alike(void **state)
{
	uint8_t first[MSG_CHUNK_EXTRA + 32];
	struct ends e;

	(void)state;
	begin(&e);
	seal(&e, 32, true);
	memcpy(first, sealed, sizeof(first));
	end(&e);
	begin(&e);
	seal(&e, 32, true);
	assert_memory_not_equal(first, sealed, sizeof(first));
	end(&e);
}

static bool
is_wiped(size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (opened[i] != 0)
			return false;
	}
	return true;
}

/* FINAL is what tells the end from a cut. */
static void
test_end_is_told_from_a_cut(void **state)
{
	struct ends e;

	(void)state;
	memset(plain, 'p', sizeof(plain));
	begin(&e);
	seal(&e, MSG_CHUNK_MAX, false);
	assert_int_equal(open_it(&e, MSG_CHUNK_MAX, true), ERR_BAD_REQUEST);
	assert_true(is_wiped(MSG_CHUNK_MAX));
	end(&e);
	begin(&e);
	seal(&e, MSG_CHUNK_MAX, true);
	assert_int_equal(open_it(&e, MSG_CHUNK_MAX, false), ERR_BAD_REQUEST);
	assert_true(is_wiped(MSG_CHUNK_MAX));
	end(&e);
}

static void
test_changed_chunks_do_not_open(void **state)
{
	struct ends e;
	size_t i;

	(void)state;
	for (i = 0; i < 8 + MSG_CHUNK_EXTRA; i++) {
		begin(&e);
		seal(&e, 8, true);
		sealed[i] ^= 0x10;
		assert_int_equal(open_it(&e, 8, true), ERR_BAD_REQUEST);
		end(&e);
	}
	for (i = 0; i < 8 + MSG_CHUNK_EXTRA; i++) {
		begin(&e);
		seal(&e, 8, true);
		assert_int_equal(chunks_open(&e.open, (struct view){ sealed,
		    i }, true, opened), ERR_BAD_REQUEST);
		end(&e);
	}
}

static void
test_chunks_have_their_places(void **state)
{
	static uint8_t first[MSG_CHUNK_EXTRA + 4];
	struct ends e;

	(void)state;
	/* the second in place of the first */
	begin(&e);
	seal(&e, 4, false);
	seal(&e, 4, false);
	assert_int_equal(open_it(&e, 4, false), ERR_BAD_REQUEST);
	end(&e);
	/* the first twice */
	begin(&e);
	seal(&e, 4, false);
	memcpy(first, sealed, sizeof(first));
	assert_int_equal(open_it(&e, 4, false), 0);
	memcpy(sealed, first, sizeof(first));
	assert_int_equal(open_it(&e, 4, false), ERR_BAD_REQUEST);
	end(&e);
}

static void
test_bound_to_header_aad_and_key(void **state)
{
	struct secmem other = { .mem = NULL };
	uint8_t stream[ENVELOPE_STREAM_LEN];
	struct ends e;

	(void)state;
	begin_with(&e, "header", "aad", "Header", "aad");
	seal(&e, 4, true);
	assert_int_equal(open_it(&e, 4, true), ERR_BAD_REQUEST);
	end(&e);
	begin_with(&e, "header", "aad", "header", "aae");
	seal(&e, 4, true);
	assert_int_equal(open_it(&e, 4, true), ERR_BAD_REQUEST);
	end(&e);
	begin_with(&e, "header", "", "header", "x");
	seal(&e, 4, true);
	assert_int_equal(open_it(&e, 4, true), ERR_BAD_REQUEST);
	end(&e);

	memset(&e, 0, sizeof(e));
	make_key(&e.key, 0);
	make_key(&other, 1);
	assert_int_equal(chunks_seal_begin(&e.key, &e.seal, stream), 0);
	assert_int_equal(chunks_open_begin(&other, (struct view){ stream,
	    sizeof(stream) }, &e.open), 0);
	chunks_bind(&e.seal, unit_view("h"), unit_view(""));
	chunks_bind(&e.open, unit_view("h"), unit_view(""));
	seal(&e, 4, true);
	assert_int_equal(open_it(&e, 4, true), ERR_BAD_REQUEST);
	secmem_free_bytes(&other);
	end(&e);
}

int
main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_vector_of_the_document),
		cmocka_unit_test(test_two_chunks_of_the_document),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_no_two_streams_are_alike),
		cmocka_unit_test(test_end_is_told_from_a_cut),
		cmocka_unit_test(test_changed_chunks_do_not_open),
		cmocka_unit_test(test_chunks_have_their_places),
		cmocka_unit_test(test_bound_to_header_aad_and_key),
	};

	return cmocka_run_group_tests(group, unit_secmem_setup,
	    unit_secmem_teardown);
}
