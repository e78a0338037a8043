#include "config.h"

#include "agent_unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "out.h"

#define SCRATCH (128u * 1024)

struct fixture {
	struct out *o;
	int fds[2];		/* [0] is written to, [1] read from */
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int size = 4096;

	assert_non_null(f);
	f->o = out_new();
	assert_non_null(f->o);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, f->fds), 0);
	(void)setsockopt(f->fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	out_free(f->o);
	(void)close(f->fds[0]);
	if (f->fds[1] >= 0)
		(void)close(f->fds[1]);
	free(f);
	return 0;
}

static void
put(struct fixture *f, const void *p, size_t len)
{
	struct wr wr = out_begin(f->o);

	wr_bytes(&wr, p, len);
	assert_false(wr.failed);
	out_commit(f->o, &wr);
}

static void
put_fill(struct fixture *f, int fill, size_t len)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	memset(p, fill, len);
	put(f, p, len);
	free(p);
}

static size_t
receive(struct fixture *f, uint8_t *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size &&
	    (n = read(f->fds[1], buf + len, size - len)) > 0)
		len += (size_t)n;
	return len;
}

/* Everything that comes, while a backlog is sent; freed by the caller. */
static uint8_t *
drain(struct fixture *f, struct out_backlog *b, size_t *ret_len)
{
	size_t size = 64u << 20, len;
	uint8_t *buf = malloc(size);
	int r = ERR_AGAIN;

	assert_non_null(buf);
	len = receive(f, buf, size);
	while (b != NULL) {
		r = out_backlog_send(&b, f->fds[0]);
		len += receive(f, buf + len, size - len);
		if (r != ERR_AGAIN)
			break;
	}
	assert_true(b == NULL);
	*ret_len = len;
	return buf;
}

static struct object *
big(size_t len, int fill)
{
	return unit_object(REF_SECRET, "s-1", "n", 1, MSG_NO_TIME, len, fill);
}

static void
test_new_buffer_is_empty_and_has_room(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;

	assert_true(out_is_empty(f->o));
	assert_true(out_has_room(f->o, SCRATCH));
	assert_false(out_has_room(f->o, SCRATCH + 1));
	assert_int_equal(out_flush(f->o, f->fds[0], &b), 0);
	assert_null(b);
	out_free(NULL);
	out_backlog_free(NULL);
}

static void
test_messages_go_out_in_one_piece(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	uint8_t buf[64];

	put(f, "abc", 3);
	put(f, "defg", 4);
	assert_false(out_is_empty(f->o));
	assert_int_equal(out_flush(f->o, f->fds[0], &b), 0);
	assert_true(out_is_empty(f->o));
	assert_true(out_has_room(f->o, SCRATCH));
	assert_int_equal(receive(f, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "abcdefg", 7);
}

static void
test_failed_or_empty_message_is_not_committed(void **state)
{
	struct fixture *f = *state;
	struct wr wr = out_begin(f->o);

	out_commit(f->o, &wr);
	assert_true(out_is_empty(f->o));
	wr = out_begin(f->o);
	wr_bytes(&wr, "abc", 3);
	wr_fail(&wr);
	out_commit(f->o, &wr);
	assert_true(out_is_empty(f->o));
	assert_true(out_has_room(f->o, SCRATCH));
}

/* The scratch buffer is wiped: what was sent is no longer in it. */
static void
test_nothing_is_left_behind_a_flush(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	static const uint8_t zeros[64];
	struct wr wr;

	put_fill(f, 'S', sizeof(zeros));
	assert_int_equal(out_flush(f->o, f->fds[0], &b), 0);
	wr = out_begin(f->o);
	assert_int_equal(wr.max, SCRATCH);
	assert_memory_equal(wr.p, zeros, sizeof(zeros));
}

static void
test_external_bytes_come_in_their_place_and_are_released(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	struct object *o = big(1000, 'x');
	static uint8_t buf[4096];

	put(f, "head", 4);
	out_external(f->o, o, object_value(o));
	assert_int_equal(o->refs, 2);
	put(f, "tail", 4);
	assert_int_equal(out_flush(f->o, f->fds[0], &b), 0);
	assert_int_equal(o->refs, 1);
	assert_int_equal(receive(f, buf, sizeof(buf)), 1008);
	assert_memory_equal(buf, "headxxxx", 8);
	assert_memory_equal(buf + 1000, "xxxxtail", 8);
	object_unref(o);
}

static void
test_empty_external_takes_no_reference(void **state)
{
	struct fixture *f = *state;
	struct object *o = big(0, 'x');

	out_external(f->o, o, object_value(o));
	assert_int_equal(o->refs, 1);
	assert_true(out_is_empty(f->o));
	object_unref(o);
}

static void
test_room_ends_with_pieces_too(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	struct object *o = big(2000, 'x');
	unsigned int n = 0;

	while (out_has_room(f->o, 100)) {
		put(f, "head", 4);
		out_external(f->o, o, object_value(o));
		n++;
	}
	assert_in_range(n, 16, 64);
	assert_int_equal(o->refs, n + 1);
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_AGAIN);
	assert_non_null(b);
	out_backlog_free(b);
	assert_int_equal(o->refs, 1);
	object_unref(o);
}

static void
test_what_is_not_taken_becomes_a_backlog_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	uint8_t *got;
	size_t len, i;

	put_fill(f, 'a', 60000);
	put_fill(f, 'b', 60000);
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_AGAIN);
	assert_non_null(b);
	/* the shared buffer is free for others at once, and wiped */
	assert_true(out_is_empty(f->o));
	put_fill(f, 'z', 100);
	got = drain(f, b, &len);
	assert_int_equal(len, 120000);
	for (i = 0; i < len; i++)
		assert_int_equal(got[i], i < 60000 ? 'a' : 'b');
	free(got);
}

static void
test_backlog_pins_objects_until_they_are_sent(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	struct object *o1 = big(300000, 'x'), *o2 = big(5000, 'y');
	uint8_t *got;
	size_t len;

	put(f, "1", 1);
	out_external(f->o, o1, object_value(o1));
	put(f, "2", 1);
	out_external(f->o, o2, object_value(o2));
	put(f, "3", 1);
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_AGAIN);
	assert_int_equal(o1->refs, 2);
	assert_int_equal(o2->refs, 2);
	got = drain(f, b, &len);
	assert_int_equal(o1->refs, 1);
	assert_int_equal(o2->refs, 1);
	assert_int_equal(len, 305003);
	assert_memory_equal(got, "1xxx", 4);
	assert_memory_equal(got + 300000, "x2yy", 4);
	assert_memory_equal(got + 305001, "y3", 2);
	free(got);
	object_unref(o1);
	object_unref(o2);
}

static void
test_dropped_backlog_releases_everything(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	struct object *o = big(300000, 'x');

	put(f, "1", 1);
	out_external(f->o, o, object_value(o));
	put_fill(f, 'a', 50000);
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_AGAIN);
	out_backlog_free(b);
	assert_int_equal(o->refs, 1);
	object_unref(o);
}

/* The rest has no scratch bytes left: they all went with the first write. */
static void
test_backlog_of_external_bytes_alone(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	struct object *o = big(300000, 'x');
	uint8_t *got;
	size_t len;

	put(f, "1", 1);
	out_external(f->o, o, object_value(o));
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_AGAIN);
	got = drain(f, b, &len);
	assert_int_equal(len, 300001);
	free(got);
	assert_int_equal(o->refs, 1);
	object_unref(o);
}

static void
test_peer_that_is_gone_is_told_and_everything_released(void **state)
{
	struct fixture *f = *state;
	struct out_backlog *b = NULL;
	struct object *o = big(300000, 'x');

	put(f, "1", 1);
	out_external(f->o, o, object_value(o));
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_AGAIN);
	(void)close(f->fds[1]);
	f->fds[1] = -1;
	assert_int_equal(out_backlog_send(&b, f->fds[0]), ERR_CLOSED);
	out_backlog_free(b);
	assert_int_equal(o->refs, 1);
	b = NULL;
	put(f, "2", 1);
	out_external(f->o, o, object_value(o));
	assert_int_equal(out_flush(f->o, f->fds[0], &b), ERR_CLOSED);
	assert_null(b);
	assert_true(out_is_empty(f->o));
	assert_int_equal(o->refs, 1);
	object_unref(o);
}

static void
test_freed_with_messages_in_it(void **state)
{
	struct fixture *f = *state;
	struct object *o = big(5000, 'x');

	put(f, "1", 1);
	out_external(f->o, o, object_value(o));
	out_free(f->o);
	f->o = NULL;
	assert_int_equal(o->refs, 1);
	object_unref(o);
}

/* Random messages, read at random: the stream is what was put in. */
static void
test_random_stream_arrives_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t rnd = unit_seed();
	struct out_backlog *b = NULL;
	size_t sent = 0, got = 0, i, len;
	static uint8_t buf[5000];
	uint8_t byte;
	struct object *o;
	ssize_t n;
	int r;

	while (sent < 8u << 20) {
		while (b == NULL && out_has_room(f->o, 3000) &&
		    unit_below(&rnd, 10) != 0) {
			/* each message is filled with its first position */
			len = 1 + unit_below(&rnd, 3000);
			byte = (uint8_t)(sent % 251);
			if (unit_below(&rnd, 3) == 0) {
				o = big(len * 10, byte);
				out_external(f->o, o, object_value(o));
				object_unref(o);
				sent += len * 10;
			} else {
				put_fill(f, byte, len);
				sent += len;
			}
		}
		r = b == NULL ? out_flush(f->o, f->fds[0], &b)
		    : out_backlog_send(&b, f->fds[0]);
		assert_true(r == 0 || r == ERR_AGAIN);
		assert_int_equal(r == ERR_AGAIN, b != NULL);
		n = read(f->fds[1], buf, 1 + unit_below(&rnd, sizeof(buf)));
		got += n > 0 ? (size_t)n : 0;
	}
	for (i = 0; got < sent; i++) {
		if (b != NULL)
			(void)out_backlog_send(&b, f->fds[0]);
		n = read(f->fds[1], buf, sizeof(buf));
		got += n > 0 ? (size_t)n : 0;
		assert_true(i < 100000);
	}
	assert_null(b);
	assert_int_equal(got, sent);
	assert_true(read(f->fds[1], buf, 1) < 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		test(test_new_buffer_is_empty_and_has_room),
		test(test_messages_go_out_in_one_piece),
		test(test_failed_or_empty_message_is_not_committed),
		test(test_nothing_is_left_behind_a_flush),
		test(test_external_bytes_come_in_their_place_and_are_released),
		test(test_empty_external_takes_no_reference),
		test(test_room_ends_with_pieces_too),
		test(test_what_is_not_taken_becomes_a_backlog_of_its_own),
		test(test_backlog_pins_objects_until_they_are_sent),
		test(test_dropped_backlog_releases_everything),
		test(test_backlog_of_external_bytes_alone),
		test(test_peer_that_is_gone_is_told_and_everything_released),
		test(test_freed_with_messages_in_it),
		test(test_random_stream_arrives_whole),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
