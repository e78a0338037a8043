#include "config.h"

#include "upstream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "msg.h"

bool
upstream_id_valid(struct view id)
{
	size_t i;

	for (i = 0; i < id.len; i++) {
		uint8_t c = id.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return id.len > 0 && id.len <= MSG_ID_MAX;
}

/* 8-4-4-4-12 hexadecimal digits: their case says nothing. */
static bool
is_uuid(struct view id)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	size_t i;

	for (i = 0; i < id.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (id.p[i] == '-') ||
		    (!dash && strchr(digits, id.p[i]) == NULL))
			return false;
	}
	return id.len == 36;
}

bool
upstream_id_same(struct view a, struct view b)
{
	if (a.len != b.len || a.len == 0)
		return false;
	if (memcmp(a.p, b.p, a.len) == 0)
		return true;
	return is_uuid(a) && is_uuid(b) &&
	    strncasecmp((const char *)a.p, (const char *)b.p, a.len) == 0;
}

void
upstream_page_free(struct upstream_page *page)
{
	size_t i;

	if (page == NULL)
		return;
	for (i = 0; i < page->count; i++) {
		free(page->rows[i].id);
		free(page->rows[i].name);
	}
	free(page->rows);
	free(page);
}
