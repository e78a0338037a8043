#include "config.h"

#include "items.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "wipe.h"

/* Free the answer only. */
static void
item_reset(struct qapi_agent_item *item)
{
	char *ref = item->ref;
	enum qapi_agent_kind kind = item->kind;

	wipe_free(item->store, item->store_len);
	memset(item, 0, sizeof(*item));
	item->ref = ref;
	item->kind = kind;
	item->updated_at = item->expires_at = QAPI_AGENT_NO_TIME;
}

static void
item_done(struct qapi_agent_item *item)
{
	item_reset(item);
	free(item->ref);
	item->ref = NULL;
}

struct qapi_agent_items *
items_new(size_t count)
{
	struct qapi_agent_items *items = calloc(1, sizeof(*items));
	size_t i;

	if (items == NULL || count == 0)
		return items;
	items->v = calloc(count, sizeof(*items->v));
	if (items->v == NULL) {
		free(items);
		return NULL;
	}
	items->count = items->size = count;
	for (i = 0; i < count; i++)
		item_reset(&items->v[i]);
	return items;
}

const char *
items_put(char **at, struct view v)
{
	char *p = *at;

	if (v.len == 0)
		return NULL;
	memcpy(p, v.p, v.len);
	p[v.len] = '\0';
	*at += v.len + 1;
	return p;
}

static int
item_fill(struct qapi_agent_items *items, struct qapi_agent_item *item,
    const struct msg_meta *meta, const struct msg_result *m)
{
	size_t len = meta->id.len + meta->name.len + m->message.len +
	    m->value.len + 4;
	char *at;

	/* Each is limited by the frame they came in: the sum cannot wrap. */
	if (len > ITEMS_BYTES_MAX - (items->bytes - item->store_len))
		return ERR_TOO_LARGE;
	at = malloc(len);
	if (at == NULL)
		return ERR_NOMEM;
	items->bytes = items->bytes - item->store_len + len;
	item_reset(item);
	item->store = at;
	item->store_len = len;
	item->answered = true;
	item->error = m->error;
	item->id = items_put(&at, meta->id);
	item->name = items_put(&at, meta->name);
	item->message = items_put(&at, m->message);
	item->version = meta->version;
	item->freshness = (enum qapi_agent_freshness)meta->freshness;
	item->age_ms = meta->age_ms;
	item->updated_at = meta->updated_at;
	item->expires_at = meta->expires_at;
	item->changed = m->changed;
	item->has_position = m->position.len == sizeof(item->position);
	if (item->has_position)
		memcpy(item->position, m->position.p, sizeof(item->position));
	item->content = (enum qapi_agent_content)m->content;
	if (m->content != 0) {
		if (m->value.len > 0)
			memcpy(at, m->value.p, m->value.len);
		at[m->value.len] = '\0';
		item->value = at;
		item->value_len = m->value.len;
	}
	return 0;
}

int
items_answer(struct qapi_agent_items *items, size_t i,
    const struct msg_result *m)
{
	return item_fill(items, &items->v[i], &m->meta, m);
}

void
items_fail(struct qapi_agent_items *items, size_t i, int error,
    const char *message)
{
	struct msg_result m = {.error = error};

	msg_meta_init(&m.meta);
	if (message != NULL) {
		m.message.p = (const uint8_t *)message;
		m.message.len = strlen(message);
	}
	if (item_fill(items, &items->v[i], &m.meta, &m) != 0) {
		items->bytes -= items->v[i].store_len;
		item_reset(&items->v[i]);
		items->v[i].answered = true;
		items->v[i].error = error;
	}
}

int
items_add_row(struct qapi_agent_items *items, const struct msg_row *row)
{
	static const struct msg_result no_result = {.error = 0};
	struct qapi_agent_item *v;
	size_t size;
	int r;

	if (items->count >= ITEMS_BYTES_MAX / sizeof(*v))
		return ERR_TOO_LARGE;
	if (items->count == items->size) {
		size = items->size == 0 ? 64 : items->size * 2;
		v = reallocarray(items->v, size, sizeof(*v));
		if (v == NULL)
			return ERR_NOMEM;
		items->v = v;
		items->size = size;
	}
	v = &items->v[items->count];
	memset(v, 0, sizeof(*v));
	if ((r = item_fill(items, v, &row->meta, &no_result)) != 0)
		return r;
	v->kind = (enum qapi_agent_kind)row->kind;
	items->count++;
	return 0;
}

struct qapi_agent_stats *
stats_new(void)
{
	return calloc(1, sizeof(struct qapi_agent_stats));
}

int
stats_add(struct qapi_agent_stats *stats, const struct msg_stat *m)
{
	struct stat_entry *v;
	char *at;

	if (stats->count == STATS_MAX)
		return ERR_TOO_LARGE;
	if (stats->count == stats->size) {
		v = reallocarray(stats->v, stats->size + 64, sizeof(*v));
		if (v == NULL)
			return ERR_NOMEM;
		stats->v = v;
		stats->size += 64;
	}
	at = malloc(m->name.len + m->text.len + 2);
	if (at == NULL)
		return ERR_NOMEM;
	v = &stats->v[stats->count++];
	v->name = at;
	if (m->name.len > 0)
		memcpy(at, m->name.p, m->name.len);
	at[m->name.len] = '\0';
	at += m->name.len + 1;
	v->text = NULL;
	if (m->type == MSG_STAT_TEXT) {
		if (m->text.len > 0)
			memcpy(at, m->text.p, m->text.len);
		at[m->text.len] = '\0';
		v->text = at;
	}
	v->number = m->type == MSG_STAT_UINT ? m->number : 0;
	v->type = m->type == MSG_STAT_UINT ? QAPI_AGENT_STAT_UINT
	    : m->type == MSG_STAT_TEXT     ? QAPI_AGENT_STAT_TEXT
					   : QAPI_AGENT_STAT_NULL;
	return 0;
}

/* --- public -------------------------------------------------------------- */

void
qapi_agent_item_free(struct qapi_agent_item **item)
{
	if (item == NULL || *item == NULL)
		return;
	item_done(*item);
	free(*item);
	*item = NULL;
}

void
qapi_agent_items_free(struct qapi_agent_items **items)
{
	size_t i;

	if (items == NULL || *items == NULL)
		return;
	for (i = 0; i < (*items)->count; i++)
		item_done(&(*items)->v[i]);
	free((*items)->v);
	free(*items);
	*items = NULL;
}

size_t
qapi_agent_items_count(const struct qapi_agent_items *items)
{
	return items->count;
}

const struct qapi_agent_item *
qapi_agent_items_at(const struct qapi_agent_items *items, size_t i)
{
	return i < items->count ? &items->v[i] : NULL;
}

enum qapi_agent_freshness
qapi_agent_items_freshness(const struct qapi_agent_items *items)
{
	return items->freshness;
}

uint64_t
qapi_agent_items_age_ms(const struct qapi_agent_items *items)
{
	return items->age_ms;
}

int
qapi_agent_item_error(const struct qapi_agent_item *item)
{
	return item->error;
}

const char *
qapi_agent_item_message(const struct qapi_agent_item *item)
{
	return item->message != NULL ? item->message : "";
}

const char *
qapi_agent_item_ref(const struct qapi_agent_item *item)
{
	return item->ref;
}

const char *
qapi_agent_item_id(const struct qapi_agent_item *item)
{
	return item->id;
}

const char *
qapi_agent_item_name(const struct qapi_agent_item *item)
{
	return item->name;
}

enum qapi_agent_kind
qapi_agent_item_kind(const struct qapi_agent_item *item)
{
	return item->kind;
}

uint64_t
qapi_agent_item_version(const struct qapi_agent_item *item)
{
	return item->version;
}

enum qapi_agent_freshness
qapi_agent_item_freshness(const struct qapi_agent_item *item)
{
	return item->freshness;
}

uint64_t
qapi_agent_item_age_ms(const struct qapi_agent_item *item)
{
	return item->age_ms;
}

int64_t
qapi_agent_item_updated_at_ms(const struct qapi_agent_item *item)
{
	return item->updated_at;
}

int64_t
qapi_agent_item_expires_at_ms(const struct qapi_agent_item *item)
{
	return item->expires_at;
}

const void *
qapi_agent_item_position(const struct qapi_agent_item *item)
{
	return item->has_position ? item->position : NULL;
}

bool
qapi_agent_item_changed(const struct qapi_agent_item *item)
{
	return item->changed;
}

enum qapi_agent_content
qapi_agent_item_content(const struct qapi_agent_item *item)
{
	return item->content;
}

const void *
qapi_agent_item_value(const struct qapi_agent_item *item, size_t *ret_len)
{
	if (ret_len != NULL)
		*ret_len = item->value_len;
	return item->value;
}

void
qapi_agent_stats_free(struct qapi_agent_stats **stats)
{
	size_t i;

	if (stats == NULL || *stats == NULL)
		return;
	for (i = 0; i < (*stats)->count; i++)
		free((*stats)->v[i].name);
	free((*stats)->v);
	free(*stats);
	*stats = NULL;
}

size_t
qapi_agent_stats_count(const struct qapi_agent_stats *stats)
{
	return stats->count;
}

const char *
qapi_agent_stats_name(const struct qapi_agent_stats *stats, size_t i)
{
	return i < stats->count ? stats->v[i].name : NULL;
}

enum qapi_agent_stat_type
qapi_agent_stats_type(const struct qapi_agent_stats *stats, size_t i)
{
	return i < stats->count ? stats->v[i].type : QAPI_AGENT_STAT_NULL;
}

uint64_t
qapi_agent_stats_uint(const struct qapi_agent_stats *stats, size_t i)
{
	return i < stats->count ? stats->v[i].number : 0;
}

const char *
qapi_agent_stats_text(const struct qapi_agent_stats *stats, size_t i)
{
	return i < stats->count ? stats->v[i].text : NULL;
}

long
qapi_agent_stats_find(const struct qapi_agent_stats *stats, const char *name)
{
	size_t i;

	for (i = 0; i < stats->count; i++) {
		if (strcmp(stats->v[i].name, name) == 0)
			return (long)i;
	}
	return -1;
}
