#include "config.h"

#include "state_format.h"

#include "agent_unit.h"
#include "err.h"

#define FIELD_TEXT "totp-seed"
#define BYTES 2048u

/* What came out of a decoder. */
struct got {
	unsigned int facts, lists, rows, items;
	struct state_facts fact;
	struct state_list list;
	struct state_item item;
	struct object *object;
	char row_id[64], row_name[64];
	struct upstream_row row;
	int fail_with;		/* of each callback */
};

static int
on_facts(void *arg, const struct state_facts *facts)
{
	struct got *g = arg;

	g->facts++;
	g->fact = *facts;
	return g->fail_with;
}

static int
on_list(void *arg, const struct state_list *list)
{
	struct got *g = arg;

	g->lists++;
	g->list = *list;
	return g->fail_with;
}

static int
on_row(void *arg, struct upstream_row *row)
{
	struct got *g = arg;

	g->rows++;
	g->row = *row;
	(void)snprintf(g->row_id, sizeof(g->row_id), "%s", row->id);
	(void)snprintf(g->row_name, sizeof(g->row_name), "%s", row->name);
	return g->fail_with;
}

static int
on_item(void *arg, const struct state_item *item)
{
	struct got *g = arg;

	g->items++;
	g->item = *item;
	object_unref(g->object);
	g->object = object_ref(item->object);
	return g->fail_with;
}

static int
decode(const uint8_t *p, size_t len, size_t step, struct got *g)
{
	const struct state_sink sink = { on_facts, on_list, on_row, on_item,
		g };
	struct state_decoder d;
	size_t n;
	int r = 0;

	state_decoder_init(&d, &sink);
	for (; len > 0 && r == 0; p += n, len -= n) {
		n = len < step ? len : step;
		r = state_decode(&d, p, n);
	}
	if (r == 0)
		r = state_decode_end(&d);
	state_decoder_done(&d);
	return r;
}

static void
done(struct got *g)
{
	object_unref(g->object);
	g->object = NULL;
}

static struct object *
make_object(void)
{
	const struct object_field fields[] = {
		{ unit_view("totpSecret"), true, unit_view(FIELD_TEXT) },
		{ unit_view("customFields.pin"), true, unit_view("1234") },
		{ unit_view("labels"), false, unit_view("[\"a\"]") },
		{ unit_view("isFavorite"), false, unit_view("true") },
	};
	struct object *o = object_new(REF_SECRET, unit_view("id-1"),
	    unit_view("db/prod/\xc3\xa9"));

	assert_non_null(o);
	assert_int_equal(object_set_data(o, (struct view){
	    (const uint8_t *)"a\0b", 3 }, fields, UNIT_COUNT(fields)), 0);
	o->version = 5;
	o->updated_at = UNIT_WALL_MS - 1;
	o->expires_at = MSG_NO_TIME;
	o->is_active = false;
	return o;
}

/* One of everything; returns its length. */
static size_t
write_all(uint8_t *buf, struct object *o)
{
	char id[] = "id-1", name[] = "db/prod";
	const struct state_facts facts = { UNIT_WALL_MS + 9, 77 };
	const struct state_list list = { REF_KEY, 4444, true, 1 };
	const struct upstream_row row = {
		.id = id, .name = name, .version = 5, .updated_at = 1,
		.created_at = MSG_NO_TIME, .expires_at = 3, .is_active = true,
		.key_type = 3, .key_algorithm = 31,
	};
	const struct state_item item = {
		.kind = REF_SECRET, .format = REF_FORMAT_JSON, .version = 5,
		.object = o, .age_ms = 1, .read_age_ms = 2, .reread_in_ms = 3,
		.expired_age_ms = 4, .failures = 6, .expired = true,
	};
	const struct state_end end = { 1, 1 };
	struct wr wr;

	wr_init(&wr, buf, BYTES);
	state_put_facts(&wr, &facts);
	state_put_list(&wr, &list);
	state_put_row(&wr, &row);
	state_put_item(&wr, &item);
	wr_bytes(&wr, secmem_bytes(&o->data), secmem_len(&o->data));
	state_put_end(&wr, &end);
	assert_false(wr.failed);
	return wr.len;
}

static void
check_item(const struct got *g, const struct object *o)
{
	struct object_field field;

	assert_int_equal(g->item.kind, REF_SECRET);
	assert_int_equal(g->item.version, 5);
	assert_int_equal(g->item.age_ms, 1);
	assert_int_equal(g->item.read_age_ms, 2);
	assert_int_equal(g->item.reread_in_ms, 3);
	assert_int_equal(g->item.expired_age_ms, 4);
	assert_int_equal(g->item.failures, 6);
	assert_true(g->item.expired);
	assert_int_equal(g->object->version, 5);
	assert_int_equal(g->object->updated_at, UNIT_WALL_MS - 1);
	assert_int_equal(g->object->expires_at, MSG_NO_TIME);
	assert_false(g->object->is_active);
	assert_int_equal(g->object->kind, REF_SECRET);
	assert_true(unit_view_is(object_id(g->object), "id-1"));
	assert_true(unit_view_is(object_name(g->object),
	    "db/prod/\xc3\xa9"));
	assert_int_equal(object_value(g->object).len, 3);
	assert_true(secmem_equal(&g->object->data, &o->data));
	assert_int_equal(object_field(g->object, unit_view("totpSecret"),
	    &field), 0);
	assert_true(unit_view_is(field.content, FIELD_TEXT));
}

static void
test_round_trip_cut_anywhere(void **state)
{
	struct object *o = make_object();
	uint8_t buf[BYTES] = {0};
	size_t len = write_all(buf, o), step;
	struct got g;

	(void)state;
	for (step = 1; step <= len + 10; step += step < 40 ? 1 : 37) {
		memset(&g, 0, sizeof(g));
		/* with padding */
		assert_int_equal(decode(buf, len + 50, step, &g), 0);
		assert_int_equal(g.facts, 1);
		assert_int_equal(g.fact.wall_floor_ms, UNIT_WALL_MS + 9);
		assert_int_equal(g.fact.unauthorized_ms, 77);
		assert_int_equal(g.lists, 1);
		assert_int_equal(g.list.kind, REF_KEY);
		assert_int_equal(g.list.age_ms, 4444);
		assert_true(g.list.has_versions);
		assert_int_equal(g.rows, 1);
		assert_string_equal(g.row_id, "id-1");
		assert_string_equal(g.row_name, "db/prod");
		assert_int_equal(g.row.version, 5);
		assert_int_equal(g.row.updated_at, 1);
		assert_int_equal(g.row.created_at, MSG_NO_TIME);
		assert_int_equal(g.row.expires_at, 3);
		assert_true(g.row.is_active);
		assert_int_equal(g.row.key_type, 3);
		assert_int_equal(g.row.key_algorithm, 31);
		assert_int_equal(g.items, 1);
		check_item(&g, o);
		done(&g);
	}
	object_unref(o);
}

static void
test_each_truncation_is_refused(void **state)
{
	struct object *o = make_object();
	uint8_t buf[BYTES] = {0};
	size_t len = write_all(buf, o), n;
	struct got g = {0};

	(void)state;
	for (n = 0; n < len; n++)
		assert_int_equal(decode(buf, n, 64, &g), ERR_BAD_REQUEST);
	/* and what is missing made up for by padding */
	for (n = 0; n < len; n++) {
		uint8_t cut[BYTES] = {0};

		memcpy(cut, buf, n);
		/* the last bytes of the end are zeros of a count */
		if (memcmp(cut, buf, len) != 0)
			assert_int_not_equal(decode(cut, len + 64, 64, &g), 0);
	}
	done(&g);
	object_unref(o);
}

/*
 * Authentic content is trusted to be ours, so a changed byte need not be
 * noticed; but nothing may break, and lengths stay within bounds.
 */
static void
test_each_changed_byte_is_survived(void **state)
{
	struct object *o = make_object();
	uint8_t buf[BYTES] = {0}, was;
	size_t len = write_all(buf, o), i, bits;
	struct got g = {0};

	(void)state;
	for (i = 0; i < len; i++) {
		was = buf[i];
		for (bits = 0; bits < 8; bits++) {
			buf[i] = (uint8_t)(was ^ 1u << bits);
			(void)decode(buf, len + 20, 1000, &g);
		}
		buf[i] = was;
	}
	done(&g);
	object_unref(o);
}

/* A record by hand, an end for so many, and decode. */
static int
decode_record(uint8_t type, const void *body, size_t len, uint64_t items,
    uint64_t rows, struct got *g)
{
	const struct state_end end = { items, rows };
	uint8_t buf[BYTES];
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	wr_u8(&wr, type);
	wr_u32(&wr, (uint32_t)len);
	wr_bytes(&wr, body, len);
	state_put_end(&wr, &end);
	assert_false(wr.failed);
	return decode(buf, wr.len, 100, g);
}

static void
test_unknown_records_and_longer_ones_are_fine(void **state)
{
	uint8_t facts[40] = {0};
	struct got g = {0};

	(void)state;
	assert_int_equal(decode_record(99, "whatever", 8, 0, 0, &g), 0);
	facts[15] = 9;
	assert_int_equal(decode_record(1, facts, sizeof(facts), 0, 0, &g), 0);
	assert_int_equal(g.fact.unauthorized_ms, 9);
}

static void
test_wrong_counts_and_orders_are_refused(void **state)
{
	struct got g = {0};
	uint8_t row[60] = {0};

	(void)state;
	assert_int_equal(decode_record(99, "x", 1, 1, 0, &g), ERR_BAD_REQUEST);
	assert_int_equal(decode_record(99, "x", 1, 0, 1, &g), ERR_BAD_REQUEST);
	/* a row without a list */
	row[33 + 1] = 1;
	row[33 + 2] = 'i';
	assert_int_equal(decode_record(3, row, 33 + 5, 0, 1, &g),
	    ERR_BAD_REQUEST);
	assert_int_equal(g.rows, 0);
}

static void
test_junk_behind_the_end_is_refused(void **state)
{
	struct object *o = make_object();
	uint8_t buf[BYTES] = {0};
	size_t len = write_all(buf, o), step;
	struct got g = {0};

	(void)state;
	buf[len + 30] = 1;
	for (step = 1; step < 2 * len; step += 13)
		assert_int_equal(decode(buf, len + 40, step, &g),
		    ERR_BAD_REQUEST);
	assert_int_equal(decode(buf, len + 30, 10, &g), 0);
	done(&g);
	object_unref(o);
}

static void
test_errors_of_the_sink_end_it(void **state)
{
	struct object *o = make_object();
	uint8_t buf[BYTES] = {0};
	size_t len = write_all(buf, o);
	struct got g = { .fail_with = ERR_NOMEM };

	(void)state;
	assert_int_equal(decode(buf, len, 100, &g), ERR_NOMEM);
	assert_int_equal(g.facts, 1);
	assert_int_equal(g.lists + g.rows + g.items, 0);
	done(&g);
	object_unref(o);
}

/* Lengths that promise more than any version writes are not waited for. */
static void
test_endless_record_is_refused_at_once(void **state)
{
	const uint8_t head[] = { 4, 0xff, 0xff, 0xff, 0xff };
	struct got g = {0};
	const struct state_sink sink = { on_facts, on_list, on_row, on_item,
		&g };
	struct state_decoder d;

	(void)state;
	state_decoder_init(&d, &sink);
	assert_int_equal(state_decode(&d, head, sizeof(head)),
	    ERR_BAD_REQUEST);
	state_decoder_done(&d);
}

static void
test_fields_that_are_cut_are_refused(void **state)
{
	struct object *o = make_object();
	uint8_t buf[BYTES] = {0};
	struct got g = {0};
	size_t len;

	(void)state;
	/* one byte less of the fields: "true" of isFavorite has no length */
	secmem_writable(&o->data)[secmem_len(&o->data) - 1] = 0x80;
	len = write_all(buf, o);
	assert_int_equal(decode(buf, len, 100, &g), ERR_BAD_REQUEST);
	assert_int_equal(g.items, 0);
	done(&g);
	object_unref(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_cut_anywhere),
		cmocka_unit_test(test_each_truncation_is_refused),
		cmocka_unit_test(test_each_changed_byte_is_survived),
		cmocka_unit_test(test_unknown_records_and_longer_ones_are_fine),
		cmocka_unit_test(test_wrong_counts_and_orders_are_refused),
		cmocka_unit_test(test_junk_behind_the_end_is_refused),
		cmocka_unit_test(test_errors_of_the_sink_end_it),
		cmocka_unit_test(test_endless_record_is_refused_at_once),
		cmocka_unit_test(test_fields_that_are_cut_are_refused),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
