#include "table.h"

#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct entry *next;
	const char *key; /* not owned */
	void *item;      /* not owned */
	uint64_t hash;
};

struct table {
	struct entry **slot;
	size_t n_slots; /* a power of two */
	size_t count;
};

/* FNV-1a: nobody attacks a loopback stand-in by choosing keys. */
static uint64_t
hash_of(const char *key)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
	return h ^ (h >> 29);
}

struct table *
table_new(void)
{
	struct table *t = mem_zero(sizeof(*t));

	t->n_slots = 64;
	t->slot = mem_zero(t->n_slots * sizeof(struct entry *));
	return t;
}

void
table_free(struct table *t)
{
	struct entry *e, *next;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_slots; i++) {
		for (e = t->slot[i]; e != NULL; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(t->slot);
	free(t);
}

static void
double_slots(struct table *t)
{
	size_t n = t->n_slots * 2;
	struct entry **slot = mem_zero(n * sizeof(struct entry *)), *e, *next;

	for (size_t i = 0; i < t->n_slots; i++) {
		for (e = t->slot[i]; e != NULL; e = next) {
			next = e->next;
			e->next = slot[e->hash & (n - 1)];
			slot[e->hash & (n - 1)] = e;
		}
	}
	free(t->slot);
	t->slot = slot;
	t->n_slots = n;
}

void
table_add(struct table *t, const char *key, void *item)
{
	struct entry *e = mem_zero(sizeof(*e));

	if (t->count >= t->n_slots)
		double_slots(t);
	e->key = key;
	e->item = item;
	e->hash = hash_of(key);
	e->next = t->slot[e->hash & (t->n_slots - 1)];
	t->slot[e->hash & (t->n_slots - 1)] = e;
	t->count++;
}

void *
table_get(const struct table *t, const char *key)
{
	uint64_t hash = hash_of(key);

	for (struct entry *e = t->slot[hash & (t->n_slots - 1)]; e != NULL;
	     e = e->next) {
		if (e->hash == hash && strcmp(e->key, key) == 0)
			return e->item;
	}
	return NULL;
}

void
table_del(struct table *t, const char *key, const void *item)
{
	uint64_t hash = hash_of(key);
	struct entry **at = &t->slot[hash & (t->n_slots - 1)], *e;

	for (; (e = *at) != NULL; at = &e->next) {
		if (e->item == item && strcmp(e->key, key) == 0) {
			*at = e->next;
			free(e);
			t->count--;
			return;
		}
	}
}

size_t
table_count(const struct table *t)
{
	return t->count;
}

void
table_each(const struct table *t, void (*fn)(void *item, void *arg), void *arg)
{
	for (size_t i = 0; i < t->n_slots; i++) {
		for (struct entry *e = t->slot[i]; e != NULL; e = e->next)
			fn(e->item, arg);
	}
}
