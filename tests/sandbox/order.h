/*
 * Items sorted by creation time, then id: the order in which lists are paged.
 * Items and ids are not owned.
 */
#ifndef SANDBOX_ORDER_H
#define SANDBOX_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_entry {
	int64_t created_us; /* wall clock */
	const char *id;
	void *item;
};

/* All zero is an empty order. */
struct order {
	struct order_entry *at;
	size_t n;
	size_t cap;
	bool bulk; /* unsorted while a seed is read */
};

void order_done(struct order *o);

/* Add an item, at its place. */
void order_add(struct order *o, int64_t created_us, const char *id, void *item);

/* Remove the item that was added with just these. Not while in bulk. */
void order_del(struct order *o, int64_t created_us, const char *id);

/*
 * on: additions are appended as they come, or one sorted insertion after
 * another would make a seed of 100,000 quadratic. Off: sorts once.
 */
void order_bulk(struct order *o, bool on);

#endif
