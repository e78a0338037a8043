#include "config.h"

#include "unit.h"

#include "err.h"
#include "listing.h"
#include "msg.h"

static struct view
view_of(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

static char *
copy(const char *text)
{
	char *p = strdup(text);

	assert_non_null(p);
	return p;
}

static struct upstream_page *
page_new(size_t count)
{
	struct upstream_page *page = calloc(1, sizeof(*page));

	assert_non_null(page);
	page->rows = calloc(count ? count : 1, sizeof(page->rows[0]));
	assert_non_null(page->rows);
	page->has_versions = true;
	return page;
}

static void
page_add(struct upstream_page *page, const char *id, const char *name,
    uint64_t version, bool is_active)
{
	page->rows[page->count++] = (struct upstream_row){
		.id = copy(id), .name = copy(name), .version = version,
		.updated_at = MSG_NO_TIME, .created_at = MSG_NO_TIME,
		.expires_at = MSG_NO_TIME, .is_active = is_active,
	};
}

/* One page of one row. */
static void
add_row(struct listing *l, const char *id, const char *name, uint64_t version,
    bool is_active, size_t news)
{
	struct upstream_page *page = page_new(1);
	size_t got = 99;

	page_add(page, id, name, version, is_active);
	assert_int_equal(listing_add(l, page, &got), 0);
	assert_int_equal(got, news);
	assert_null(page->rows[0].id);
	assert_null(page->rows[0].name);
	upstream_page_free(page);
}

static void
check_name(const struct listing *l, const char *name, const char *id)
{
	const struct upstream_row *row = NULL, *other;

	assert_int_equal(listing_by_name(l, view_of(name), &row, &other), 0);
	assert_string_equal(row->id, id);
	assert_null(other);
}

static void
test_empty_listing_finds_nothing(void **state)
{
	struct listing *l = listing_new();
	const struct upstream_row *row, *other;

	(void)state;
	assert_non_null(l);
	assert_int_equal(listing_count(l), 0);
	assert_null(listing_by_id(l, view_of("a")));
	assert_int_equal(listing_by_name(l, view_of("a"), &row, &other),
	    ERR_NOT_FOUND);
	assert_true(listing_has_versions(l));
	listing_unref(l);
	listing_unref(NULL);
}

static void
test_row_is_found_by_id_and_by_whole_name(void **state)
{
	struct listing *l = listing_new();
	const struct upstream_row *row, *other;

	(void)state;
	add_row(l, "s-1", "db/prod", 3, true, 1);
	add_row(l, "s-2", "db", 1, true, 1);
	row = listing_by_id(l, view_of("s-1"));
	assert_non_null(row);
	assert_string_equal(row->name, "db/prod");
	assert_int_equal(row->version, 3);
	check_name(l, "db/prod", "s-1");
	check_name(l, "db", "s-2");
	assert_int_equal(listing_by_name(l, view_of("db/"), &row, &other),
	    ERR_NOT_FOUND);
	assert_int_equal(listing_by_name(l, view_of("s-1"), &row, &other),
	    ERR_NOT_FOUND);
	assert_null(listing_by_id(l, view_of("db/prod")));
	assert_null(listing_by_id(l, view_of("s-")));
	assert_int_equal(listing_count(l), 2);
	assert_string_equal(listing_row(l, 1)->id, "s-2");
	listing_unref(l);
}

static void
test_two_active_rows_of_one_name_are_ambiguous(void **state)
{
	struct listing *l = listing_new();
	const struct upstream_row *row, *other;

	(void)state;
	add_row(l, "s-1", "twin", 1, true, 1);
	add_row(l, "s-2", "single", 1, true, 1);
	add_row(l, "s-3", "twin", 1, true, 1);
	assert_int_equal(listing_by_name(l, view_of("twin"), &row, &other),
	    ERR_AMBIGUOUS);
	assert_string_not_equal(row->id, other->id);
	assert_string_equal(row->name, "twin");
	assert_string_equal(other->name, "twin");
	check_name(l, "single", "s-2");
	listing_unref(l);
}

static void
test_active_row_wins_over_inactive_ones_in_any_order(void **state)
{
	const bool orders[][3] = {
		{ true, false, false }, { false, true, false },
		{ false, false, true },
	};
	const char *const ids[] = { "s-0", "s-1", "s-2" };
	struct listing *l;
	size_t i, j;

	(void)state;
	for (i = 0; i < UNIT_COUNT(orders); i++) {
		l = listing_new();
		for (j = 0; j < 3; j++)
			add_row(l, ids[j], "name", 1, orders[i][j], 1);
		check_name(l, "name", ids[i]);
		listing_unref(l);
	}
}

static void
test_inactive_row_alone_is_found(void **state)
{
	struct listing *l = listing_new();

	(void)state;
	add_row(l, "s-1", "off", 1, false, 1);
	check_name(l, "off", "s-1");
	assert_false(listing_by_id(l, view_of("s-1"))->is_active);
	listing_unref(l);
}

static void
test_row_met_again_on_a_later_page_replaces_the_first(void **state)
{
	struct listing *l = listing_new();
	const struct upstream_row *row, *other;

	(void)state;
	add_row(l, "s-1", "old-name", 1, true, 1);
	add_row(l, "s-2", "other", 1, true, 1);
	add_row(l, "s-1", "new-name", 2, false, 0);
	assert_int_equal(listing_count(l), 2);
	assert_int_equal(listing_by_name(l, view_of("old-name"), &row, &other),
	    ERR_NOT_FOUND);
	check_name(l, "new-name", "s-1");
	row = listing_by_id(l, view_of("s-1"));
	assert_int_equal(row->version, 2);
	assert_false(row->is_active);
	/* its place stays, so that a walk meets it once */
	assert_string_equal(listing_row(l, 0)->name, "new-name");
	listing_unref(l);
}

static void
test_id_twice_on_one_page_counts_once(void **state)
{
	struct listing *l = listing_new();
	struct upstream_page *page = page_new(3);
	size_t news;

	(void)state;
	page_add(page, "s-1", "a", 1, true);
	page_add(page, "s-1", "a", 2, true);
	page_add(page, "s-2", "a", 2, false);
	assert_int_equal(listing_add(l, page, &news), 0);
	upstream_page_free(page);
	assert_int_equal(news, 2);
	assert_int_equal(listing_count(l), 2);
	check_name(l, "a", "s-1");
	listing_unref(l);
}

static void
test_one_page_without_versions_spoils_the_whole(void **state)
{
	struct listing *l = listing_new();
	struct upstream_page *page = page_new(1);

	(void)state;
	add_row(l, "s-1", "a", 1, true, 1);
	assert_true(listing_has_versions(l));
	page_add(page, "s-2", "b", 0, true);
	page->has_versions = false;
	assert_int_equal(listing_add(l, page, NULL), 0);
	upstream_page_free(page);
	assert_false(listing_has_versions(l));
	add_row(l, "s-3", "c", 1, true, 1);
	assert_false(listing_has_versions(l));
	listing_unref(l);
}

static void
test_reference_keeps_it_alive(void **state)
{
	struct listing *l = listing_new();

	(void)state;
	add_row(l, "s-1", "a", 1, true, 1);
	assert_ptr_equal(listing_ref(l), l);
	listing_unref(l);
	check_name(l, "a", "s-1");
	listing_unref(l);
}

static void
test_empty_page_adds_nothing(void **state)
{
	struct listing *l = listing_new();
	struct upstream_page *page = page_new(0);
	size_t news = 9;

	(void)state;
	assert_int_equal(listing_add(l, page, &news), 0);
	assert_int_equal(news, 0);
	upstream_page_free(page);
	assert_int_equal(listing_count(l), 0);
	assert_null(listing_by_id(l, view_of("")));
	listing_unref(l);
}

/*
 * So many that a linear search anywhere would show: 500 pages of 200, the last
 * tenth of the ids again under another name.
 */
static void
test_100000_rows_are_all_found(void **state)
{
	const size_t total = 100000, per_page = 200, renamed = 10000;
	struct listing *l = listing_new();
	struct upstream_page *page = NULL;
	const struct upstream_row *row, *other;
	char id[32], name[32];
	size_t i, news, sum = 0;

	(void)state;
	for (i = 0; i < total + renamed; i++) {
		if (page == NULL)
			page = page_new(per_page);
		(void)snprintf(id, sizeof(id), "id-%zu",
		    i < total ? i : i - renamed);
		(void)snprintf(name, sizeof(name), "%s/%zu",
		    i < total ? "first" : "second", i);
		page_add(page, id, name, i, true);
		if (page->count < per_page)
			continue;
		assert_int_equal(listing_add(l, page, &news), 0);
		sum += news;
		upstream_page_free(page);
		page = NULL;
	}
	assert_null(page);
	assert_int_equal(sum, total);
	assert_int_equal(listing_count(l), total);
	for (i = 0; i < total; i++) {
		(void)snprintf(id, sizeof(id), "id-%zu", i);
		(void)snprintf(name, sizeof(name), "%s/%zu",
		    i < total - renamed ? "first" : "second",
		    i < total - renamed ? i : i + renamed);
		row = listing_by_id(l, view_of(id));
		assert_non_null(row);
		assert_string_equal(row->name, name);
		check_name(l, name, id);
	}
	assert_int_equal(listing_by_name(l, view_of("first/99999"), &row,
	    &other), ERR_NOT_FOUND);
	listing_unref(l);
}

/* Bucket by bucket, whatever the number; replaced rows among them. */
static void
test_each_is_found_in_a_large_one(void **state)
{
	struct listing *l = listing_new();
	const struct upstream_row *row;
	char id[16], name[32];
	unsigned int i, first;
	struct upstream_page *page;

	(void)state;
	/* each row comes twice, and has its last name the second time */
	for (first = 0; first < 5000; first += 37) {
		page = page_new(74);
		for (i = first; i < first + 74 && i < 5000; i++) {
			(void)snprintf(id, sizeof(id), "s-%u", i);
			(void)snprintf(name, sizeof(name), "n/%u/%u", i % 7,
			    i < first + 37 ? i : i + 100000);
			page_add(page, id, name, i, true);
		}
		assert_int_equal(listing_add(l, page, NULL), 0);
		upstream_page_free(page);
	}
	assert_int_equal(listing_count(l), 5000);
	for (i = 0; i < 5000; i++) {
		(void)snprintf(id, sizeof(id), "s-%u", i);
		row = listing_by_id(l, view_of(id));
		assert_non_null(row);
		assert_int_equal(row->version, i);
		(void)snprintf(name, sizeof(name), "n/%u/%u", i % 7, i);
		check_name(l, name, id);
		(void)snprintf(name, sizeof(name), "n/%u/%u", i % 7,
		    i + 100000);
		assert_null(listing_next_named(l, view_of(name), NULL));
	}
	listing_unref(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_found_in_a_large_one),
		cmocka_unit_test(test_empty_listing_finds_nothing),
		cmocka_unit_test(test_row_is_found_by_id_and_by_whole_name),
		cmocka_unit_test(
		    test_two_active_rows_of_one_name_are_ambiguous),
		cmocka_unit_test(
		    test_active_row_wins_over_inactive_ones_in_any_order),
		cmocka_unit_test(test_inactive_row_alone_is_found),
		cmocka_unit_test(
		    test_row_met_again_on_a_later_page_replaces_the_first),
		cmocka_unit_test(test_id_twice_on_one_page_counts_once),
		cmocka_unit_test(
		    test_one_page_without_versions_spoils_the_whole),
		cmocka_unit_test(test_reference_keeps_it_alive),
		cmocka_unit_test(test_empty_page_adds_nothing),
		cmocka_unit_test(test_100000_rows_are_all_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
