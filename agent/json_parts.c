#include "config.h"

#include "json_parts.h"

#include <stdint.h>

bool
json_parts_within(struct view text, size_t max)
{
	const uint8_t *p = text.p, *end = text.p + text.len;
	bool in_string = false;
	size_t parts = 0;

	if (text.len > JSON_PARTS_MAX_LEN)
		return false;
	for (; p < end; p++) {
		if (*p == '"')
			in_string = !in_string;
		else if (*p == '\\')
			p++; /* what follows ends no string */
		else if (!in_string && (*p == ',' || *p == ':' || *p == '[' ||
		    *p == '{') && ++parts > max)
			return false;
	}
	return true;
}
