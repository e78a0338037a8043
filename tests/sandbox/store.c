#include "store.h"

#include "json_util.h"
#include "mem.h"
#include "order.h"
#include "table.h"
#include "timefmt.h"

#include <stdlib.h>

struct store {
	const struct store_kind *kind;
	struct table *by_id;
	struct table *by_name;
	struct order order;
	size_t n_inactive;
};

struct store *
store_new(const struct store_kind *kind)
{
	struct store *st = mem_zero(sizeof(*st));

	st->kind = kind;
	st->by_id = table_new();
	st->by_name = table_new();
	return st;
}

static void
free_item(void *item, void *arg)
{
	const struct store *st = arg;
	struct item *it = item;

	for (size_t i = 0; i < st->kind->n_fields; i++)
		json_decref(it->field[i]);
	json_decref(it->extra);
	st->kind->free_item(it);
}

void
store_free(struct store *st)
{
	if (st == NULL)
		return;
	table_each(st->by_id, free_item, st);
	table_free(st->by_id);
	table_free(st->by_name);
	order_done(&st->order);
	free(st);
}

const char *
item_text(const struct item *it, size_t field)
{
	return json_string_value(it->field[field]);
}

static bool
is_inactive(const struct store *st, const struct item *it)
{
	return st->kind->is_active != STORE_NONE &&
	       !json_is_true(it->field[st->kind->is_active]);
}

static void
order_in(struct store *st, struct item *it)
{
	const char *created = item_text(it, st->kind->created_at);

	/* A control may set nonsense; it then sorts first. */
	if (created == NULL || !timefmt_parse(created, &it->created_us))
		it->created_us = 0;
	order_add(&st->order, it->created_us, item_text(it, STORE_ID), it);
}

void
store_add(struct store *st, struct item *it)
{
	table_add(st->by_id, item_text(it, STORE_ID), it);
	table_add(st->by_name, item_text(it, STORE_NAME), it);
	order_in(st, it);
	st->n_inactive += is_inactive(st, it);
}

void
store_remove(struct store *st, struct item *it)
{
	table_del(st->by_id, item_text(it, STORE_ID), it);
	table_del(st->by_name, item_text(it, STORE_NAME), it);
	order_del(&st->order, it->created_us, item_text(it, STORE_ID));
	st->n_inactive -= is_inactive(st, it);
	free_item(it, st);
}

void
store_set_new(struct store *st, struct item *it, size_t field, json_t *v)
{
	json_t *old = it->field[field];

	if (json_is_null(v)) {
		json_decref(v);
		v = NULL;
	}
	if (field == STORE_NAME)
		table_del(st->by_name, item_text(it, STORE_NAME), it);
	st->n_inactive -= is_inactive(st, it);
	it->field[field] = v;
	st->n_inactive += is_inactive(st, it);
	if (field == STORE_NAME)
		table_add(st->by_name, item_text(it, STORE_NAME), it);
	if (field == st->kind->created_at) {
		order_del(&st->order, it->created_us, item_text(it, STORE_ID));
		order_in(st, it);
	}
	json_decref(old);
}

void
store_set(struct store *st, struct item *it, size_t field, json_t *v)
{
	store_set_new(st, it, field, json_incref(v));
}

struct item *
store_find(const struct store *st, const char *id)
{
	return table_get(st->by_id, id);
}

struct item *
store_find_name(const struct store *st, const char *name)
{
	return table_get(st->by_name, name);
}

size_t
store_count(const struct store *st)
{
	return st->order.n;
}

struct item *
store_at(const struct store *st, size_t i)
{
	return st->order.at[i].item;
}

size_t
store_inactive(const struct store *st)
{
	return st->n_inactive;
}

void
store_bulk(struct store *st, bool on)
{
	order_bulk(&st->order, on);
}

size_t
store_field(const struct store_kind *kind, const char *name)
{
	for (size_t i = 0; i < kind->n_fields; i++) {
		if (json_util_is(name, kind->fields[i]))
			return i;
	}
	return STORE_NONE;
}

json_t *
store_object(const struct store_kind *kind, const struct item *it,
    uint32_t fields, bool extra)
{
	json_t *v = json_object();

	for (size_t i = 0; i < kind->n_fields; i++) {
		if (fields & STORE_BIT(i))
			json_object_set_new(v, kind->fields[i],
			    json_util_or_null(it->field[i]));
	}
	if (extra && it->extra != NULL)
		json_object_update_missing(v, it->extra);
	return v;
}
