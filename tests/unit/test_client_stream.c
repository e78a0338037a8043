/*
 * Streams: any number of bytes in, any number of bytes out, and what ends
 * them early.
 */
#include "config.h"

#include "unit.h"

#include <unistd.h>

#include "envelope.h"
#include "err.h"
#include "fake_agent.h"
#include "fake_service.h"
#include "qapi-agent.h"
#include "wipe.h"

static const struct fake_value none[] = {{.ref = NULL}};

/* What came out; grows. */
struct sink {
	uint8_t *p;
	size_t len;
	size_t size;
	size_t stop_at;		/* refuse what goes beyond; 0: never */
	const void *last;	/* what it was given last */
	size_t last_len;
};

static int
take(void *arg, const void *bytes, size_t len)
{
	struct sink *s = arg;

	assert_true(len > 0);
	s->last = bytes;
	s->last_len = len;
	if (s->stop_at > 0 && s->len + len > s->stop_at)
		return 7;
	if (s->len + len > s->size) {
		s->size = (s->len + len) * 2;
		s->p = realloc(s->p, s->size);
		assert_non_null(s->p);
	}
	memcpy(s->p + s->len, bytes, len);
	s->len += len;
	return 0;
}

static struct qapi_agent *
begin(struct fake **f, fake_script *script, uint64_t timeout_ms)
{
	struct qapi_agent *a = qapi_agent_new();

	assert_non_null(a);
	*f = fake_start(script, (void *)(uintptr_t)none);
	assert_int_equal(qapi_agent_set_socket(a, fake_path(*f)), 0);
	qapi_agent_set_timeout_ms(a, timeout_ms);
	return a;
}

static void
end(struct fake **f, struct qapi_agent **a)
{
	qapi_agent_free(a);
	fake_stop(f);
}

/* Put in, in pieces of this size. */
static int
put(struct qapi_agent_stream *s, const uint8_t *p, size_t len, size_t piece)
{
	size_t n;
	int r = 0;

	for (; len > 0 && r == 0; p += n, len -= n) {
		n = piece < len ? piece : len;
		r = qapi_agent_stream_write(s, p, n);
	}
	return r;
}

static void
seal(struct qapi_agent *a, const uint8_t *p, size_t len, size_t piece,
    struct sink *out)
{
	struct qapi_agent_stream *s = NULL;

	assert_int_equal(qapi_agent_seal(a, "k", "aad", 3, take, out, &s), 0);
	assert_true(qapi_agent_is_envelope(out->p, out->len));
	assert_int_equal(put(s, p, len, piece), 0);
	assert_int_equal(qapi_agent_stream_end(s), 0);
	/* once more is no harm, but no more goes in */
	assert_int_equal(qapi_agent_stream_end(s), 0);
	assert_int_equal(qapi_agent_stream_write(s, "x", 1),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	qapi_agent_stream_free(&s);
	assert_null(s);
}

static int
open_all(struct qapi_agent *a, const uint8_t *p, size_t len, size_t piece,
    const char *aad, struct sink *out)
{
	struct qapi_agent_stream *s = NULL;
	int r;

	assert_int_equal(qapi_agent_open(a, aad, strlen(aad), take, out, &s),
	    0);
	r = put(s, p, len, piece);
	if (r == 0)
		r = qapi_agent_stream_end(s);
	else
		assert_int_equal(qapi_agent_stream_end(s), r);
	if (r != 0)
		assert_true(strlen(qapi_agent_stream_message(s)) > 0);
	qapi_agent_stream_free(&s);
	return r;
}

static size_t
header_len(const struct sink *sealed)
{
	size_t len = 0;

	assert_int_equal(envelope_header_len(sealed->p, sealed->len, &len), 0);
	return len;
}

static void
test_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = {0, 1, 16, 65535, 65536, 65537, 131072,
	    200000, 3 * 1024 * 1024 + 5};
	static uint8_t data[3 * 1024 * 1024 + 5];
	struct qapi_agent *a;
	struct sink sealed, opened;
	struct fake *f;
	size_t i, chunks, piece;

	(void)state;
	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	a = begin(&f, fake_serve_table, 20000);
	for (i = 0; i < UNIT_COUNT(sizes); i++) {
		memset(&sealed, 0, sizeof(sealed));
		memset(&opened, 0, sizeof(opened));
		piece = i % 3 == 0 ? 1000003 : i % 3 == 1 ? 4096 : 65536;
		seal(a, data, sizes[i], piece, &sealed);
		chunks = sizes[i] == 0 ? 1 : (sizes[i] + 65535) / 65536;
		assert_int_equal(sealed.len, header_len(&sealed) + sizes[i] +
		    chunks * MSG_CHUNK_EXTRA);
		assert_int_equal(open_all(a, sealed.p, sealed.len,
		    sizes[i] < 1000 ? 1 : 70001, "aad", &opened), 0);
		assert_int_equal(opened.len, sizes[i]);
		if (sizes[i] > 0)
			assert_memory_equal(opened.p, data, sizes[i]);
		free(sealed.p);
		free(opened.p);
	}
	end(&f, &a);
}

/* Every place where an envelope can be cut, and a byte too many. */
static void
test_what_is_cut_or_changed_is_refused(void **state)
{
	static uint8_t data[65536 + 10];
	struct sink sealed = {NULL, 0, 0, 0, NULL, 0}, opened;
	struct qapi_agent *a;
	struct fake *f;
	size_t at, head, cuts[9], i;

	(void)state;
	a = begin(&f, fake_serve_table, 20000);
	seal(a, data, sizeof(data), sizeof(data), &sealed);
	head = header_len(&sealed);
	cuts[0] = 0;
	cuts[1] = 5;
	cuts[2] = 11;
	cuts[3] = head - 1;
	cuts[4] = head;
	cuts[5] = head + 16;
	cuts[6] = head + 40000;
	cuts[7] = head + 65536 + 17;	/* between two chunks */
	cuts[8] = sealed.len - 1;
	for (i = 0; i < UNIT_COUNT(cuts); i++) {
		memset(&opened, 0, sizeof(opened));
		assert_int_equal(open_all(a, sealed.p, cuts[i], 50000, "aad",
		    &opened), QAPI_AGENT_ERR_BAD_REQUEST);
		free(opened.p);
	}
	for (at = 0; at < sealed.len; at += at < 12 ? 1
	    : at < head + 4 ? 3 : 30011) {
		memset(&opened, 0, sizeof(opened));
		/* the last byte of the magic is the version */
		sealed.p[at] ^= 0x40;
		assert_int_equal(open_all(a, sealed.p, sealed.len, 50000,
		    "aad", &opened), at == 7 ? QAPI_AGENT_ERR_UNSUPPORTED
		    : QAPI_AGENT_ERR_BAD_REQUEST);
		sealed.p[at] ^= 0x40;
		free(opened.p);
	}
	memset(&opened, 0, sizeof(opened));
	assert_int_equal(open_all(a, sealed.p, sealed.len, 50000, "add",
	    &opened), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(opened.len, 0);
	free(sealed.p);
	end(&f, &a);
}

static void
test_sink_can_end_it(void **state)
{
	static uint8_t data[4 * 1024 * 1024];
	struct sink out = {.stop_at = 300000};
	struct qapi_agent_stream *s = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, fake_serve_table, 20000);
	assert_int_equal(qapi_agent_seal(a, NULL, NULL, 0, take, &out, &s), 0);
	assert_int_equal(put(s, data, sizeof(data), 65536), 7);
	assert_int_equal(qapi_agent_stream_write(s, "x", 1), 7);
	assert_int_equal(qapi_agent_stream_end(s), 7);
	qapi_agent_stream_free(&s);
	free(out.p);
	end(&f, &a);
}

static void
test_errors_at_the_beginning(void **state)
{
	struct sink out = {.stop_at = 0};
	struct qapi_agent_stream *s = NULL;
	struct qapi_agent *a;
	static char large[0x8001];
	struct fake *f;

	(void)state;
	a = begin(&f, fake_serve_table, 20000);
	assert_int_equal(qapi_agent_seal(a, "none", NULL, 0, take, &out, &s),
	    QAPI_AGENT_ERR_NOT_FOUND);
	assert_string_equal(qapi_agent_message(a), "no such key");
	assert_int_equal(qapi_agent_seal(a, "k", large, sizeof(large), take,
	    &out, &s), QAPI_AGENT_ERR_TOO_LARGE);
	assert_int_equal(qapi_agent_seal(a, "k", "\0", 1, take, &out, &s),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_open(a, "\xff", 1, take, &out, &s),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_null(s);
	assert_int_equal(out.len, 0);
	assert_int_equal(open_all(a, (const uint8_t *)"hello, world", 12, 12,
	    "", &out), QAPI_AGENT_ERR_BAD_REQUEST);
	end(&f, &a);
	a = qapi_agent_new();
	assert_int_equal(qapi_agent_set_socket(a, "/nonexistent/s"), 0);
	assert_int_equal(qapi_agent_seal(a, NULL, NULL, 0, take, &out, &s),
	    QAPI_AGENT_ERR_UNREACHABLE);
	assert_non_null(strstr(qapi_agent_message(a), "/nonexistent/s"));
	qapi_agent_free(&a);
}

/* --- odd peers ------------------------------------------------------------ */

/* Serves frames_max, and then: hangs up. */
static void
script_hangs_up(struct fake_conn *c)
{
	c->frames_max = 6;
	fake_serve_table(c);
}

/* Falls silent after some. */
static void
script_falls_silent(struct fake_conn *c)
{
	c->frames_max = 6;
	fake_serve_table(c);
	fake_drain(c);
}

/* Answers the chunks in another order. */
static void
script_swaps(struct fake_conn *c)
{
	struct fake_stream stream = {.id = 0};
	uint8_t buf[64];
	struct frame f;
	struct msg_stream_bytes m = {{(const uint8_t *)"x", 1}};
	uint64_t first;
	struct wr wr;

	if (!fake_read(c, &f) || !fake_serve_service(c, &f, &stream) ||
	    !fake_read(c, &f))
		return;
	first = f.id;
	if (!fake_read(c, &f))
		return;
	wr_init(&wr, buf, sizeof(buf));
	msg_stream_bytes_encode(&wr, f.id, &m);
	fake_send_wr(c, &wr);
	wr_init(&wr, buf, sizeof(buf));
	msg_stream_bytes_encode(&wr, first, &m);
	fake_send_wr(c, &wr);
	fake_drain(c);
}

static void
check_script(fake_script *script, uint64_t timeout_ms, int error)
{
	static uint8_t data[2 * 1024 * 1024];
	struct sink out = {.stop_at = 0};
	struct qapi_agent_stream *s = NULL;
	struct qapi_agent *a;
	struct fake *f;
	int r;

	a = begin(&f, script, timeout_ms);
	/* a machine that stands still may have a short time end here */
	r = qapi_agent_seal(a, "k", NULL, 0, take, &out, &s);
	if (r == 0) {
		r = put(s, data, sizeof(data), 100000);
		if (r == 0)
			r = qapi_agent_stream_end(s);
		assert_int_equal(qapi_agent_stream_end(s), error);
		assert_true(strlen(qapi_agent_stream_message(s)) > 0);
		qapi_agent_stream_free(&s);
	}
	assert_int_equal(r, error);
	free(out.p);
	end(&f, &a);
}

static void
test_peers_that_do_not_go_on(void **state)
{
	(void)state;
	check_script(script_hangs_up, 20000, QAPI_AGENT_ERR_CLOSED);
	check_script(script_falls_silent, 200, QAPI_AGENT_ERR_TIMEOUT);
	check_script(script_swaps, 20000, QAPI_AGENT_ERR_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_sizes_come_back),
		cmocka_unit_test(test_what_is_cut_or_changed_is_refused),
		cmocka_unit_test(test_sink_can_end_it),
		cmocka_unit_test(test_errors_at_the_beginning),
		cmocka_unit_test(test_peers_that_do_not_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
