/*
 * ?include= and the parameters of lists.
 */
#ifndef SANDBOX_INCLUDE_H
#define SANDBOX_INCLUDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INCLUDE_PAGE_DEFAULT 50
#define INCLUDE_PAGE_MAX 200

struct call;
struct store_kind;

struct include_page {
	size_t page; /* from 1 */
	size_t size;
};

/*
 * The union of all ?include= as bits of kind's fields. tokens: the fields that
 * may be asked for; "metadata" and "all" are all of them. *ret_all: one of
 * those two was given. false: unknown token, the answer has been set.
 */
bool include_parse(struct call *c, const struct store_kind *kind,
    uint32_t tokens, uint32_t *ret_fields, bool *ret_all);

/* page and pageSize; a larger one is clamped. false: answered. */
bool include_page(struct call *c, struct include_page *ret_page);

#endif
