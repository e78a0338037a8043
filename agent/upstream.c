#include "config.h"

#include "upstream.h"

#include <stdlib.h>

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
