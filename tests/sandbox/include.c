#include "include.h"

#include "call.h"
#include "mem.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

static bool
one_token(const struct store_kind *kind, const char *token, uint32_t tokens,
    uint32_t *fields, bool *all)
{
	if (*token == '\0')
		return true;
	if (strcmp(token, "metadata") == 0 || strcmp(token, "all") == 0) {
		*fields |= tokens;
		*all = true;
		return true;
	}
	for (size_t i = 0; i < kind->n_fields; i++) {
		if ((tokens & STORE_BIT(i)) &&
		    strcmp(token, kind->fields[i]) == 0) {
			*fields |= STORE_BIT(i);
			return true;
		}
	}
	return false;
}

bool
include_parse(struct call *c, const struct store_kind *kind, uint32_t tokens,
    uint32_t *ret_fields, bool *ret_all)
{
	*ret_fields = 0;
	*ret_all = false;
	for (size_t i = 0; i < c->query.n; i++) {
		char *list, *rest;
		const char *token;
		bool ok = true;

		if (strcmp(c->query.param[i].name, "include") != 0)
			continue;
		list = rest = mem_str(c->query.param[i].value);
		while (ok && (token = strsep(&rest, ",")) != NULL)
			ok =
			    one_token(kind, token, tokens, ret_fields, ret_all);
		free(list);
		if (!ok) {
			call_bad_field(c, "include", "holds an unknown token");
			return false;
		}
	}
	return true;
}

bool
include_page(struct call *c, struct include_page *ret_page)
{
	int64_t page = 1, size = INCLUDE_PAGE_DEFAULT;

	if (!call_query_int(c, "page", 1, INT32_MAX, &page) ||
	    !call_query_int(c, "pageSize", 1, INT32_MAX, &size))
		return false;
	if (size > INCLUDE_PAGE_MAX)
		size = INCLUDE_PAGE_MAX;
	ret_page->page = (size_t)page;
	ret_page->size = (size_t)size;
	return true;
}
