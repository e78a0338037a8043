/*
 * A hash table from strings to pointers that may hold one key several times
 * (two secrets of one name). It owns neither the keys nor what they point to:
 * both must outlive their entry.
 */
#ifndef SANDBOX_TABLE_H
#define SANDBOX_TABLE_H

#include <stddef.h>

struct table;

/* An empty table. Free with table_free(), which accepts NULL. */
struct table *table_new(void);
void table_free(struct table *t);

/* Add an entry; key is kept by reference. */
void table_add(struct table *t, const char *key, void *item);

/* Some item under key, or NULL. */
void *table_get(const struct table *t, const char *key);

/* Remove the entry of this key and this item, if it is there. */
void table_del(struct table *t, const char *key, const void *item);

/* How many entries there are. */
size_t table_count(const struct table *t);

/* Call fn for every item; fn must not change the table. */
void table_each(
    const struct table *t, void (*fn)(void *item, void *arg), void *arg);

#endif
