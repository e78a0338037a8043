#include "config.h"

#include "upstream.h"

#include <stdlib.h>

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
