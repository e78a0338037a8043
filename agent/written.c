#include "config.h"

#include "written.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

#define WRITTEN_FIRST 16

static void
written_free_row(struct written_row *row)
{
	free(row->id);
	free(row->name);
}

void
written_clear(struct written *w)
{
	size_t i;

	for (i = 0; i < w->count; i++)
		written_free_row(&w->rows[i]);
	free(w->rows);
	*w = (struct written){ .count = 0 };
}

static bool
written_is(const char *text, struct view v)
{
	return strlen(text) == v.len && memcmp(text, v.p, v.len) == 0;
}

const struct written_row *
written_find(const struct written *w, struct view name, struct view id)
{
	size_t i;

	for (i = 0; i < w->count; i++) {
		if (written_is(w->rows[i].id, id) &&
		    written_is(w->rows[i].name, name))
			return &w->rows[i];
	}
	return NULL;
}

static int
written_reserve(struct written *w)
{
	size_t cap = w->cap == 0 ? WRITTEN_FIRST : w->cap * 2;
	struct written_row *rows;

	if (w->count < w->cap)
		return 0;
	if (w->count == WRITTEN_MAX)
		return ERR_TOO_LARGE;
	rows = reallocarray(w->rows, cap, sizeof(*rows));
	if (rows == NULL)
		return ERR_NOMEM;
	w->rows = rows;
	w->cap = cap;
	return 0;
}

static void
written_remove(struct written *w, size_t i)
{
	written_free_row(&w->rows[i]);
	w->count--;
	memmove(&w->rows[i], &w->rows[i + 1],
	    (w->count - i) * sizeof(w->rows[0]));
}

static char *
written_copy(struct view v)
{
	char *text = malloc(v.len + 1);

	if (text == NULL)
		return NULL;
	memcpy(text, v.p, v.len);
	text[v.len] = '\0';
	return text;
}

int
written_add(struct written *w, struct view name, struct view id, bool there,
    uint64_t at)
{
	const struct written_row *old;
	struct written_row row = {
		/* both may lie in what goes below */
		.id = written_copy(id),
		.name = written_copy(name),
		.there = there, .at = at,
	};
	int r = ERR_NOMEM;

	if (row.id != NULL && row.name != NULL) {
		if ((old = written_find(w, name, id)) != NULL)
			written_remove(w, (size_t)(old - w->rows));
		r = written_reserve(w);
	}
	if (r != 0) {
		written_free_row(&row);
		return r;
	}
	w->rows[w->count++] = row;
	return 0;
}

void
written_forget(struct written *w, uint64_t before)
{
	size_t i, kept = 0;

	for (i = 0; i < w->count; i++) {
		if (w->rows[i].at < before)
			written_free_row(&w->rows[i]);
		else
			w->rows[kept++] = w->rows[i];
	}
	w->count = kept;
}

const struct written_row *
written_by_id(const struct written *w, struct view id)
{
	size_t i;

	for (i = w->count; i-- > 0;) {
		if (w->rows[i].there && written_is(w->rows[i].id, id))
			return &w->rows[i];
	}
	return NULL;
}

const struct written_row *
written_next(const struct written *w, struct view name, size_t *pos)
{
	while (*pos < w->count) {
		const struct written_row *row = &w->rows[(*pos)++];

		if (row->there && written_is(row->name, name))
			return row;
	}
	return NULL;
}
