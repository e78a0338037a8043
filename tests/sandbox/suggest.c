#include "suggest.h"

#include <ctype.h>
#include <string.h>

#define SUGGEST_MAX 40 /* longer names are not compared */

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein distance, letter case aside. */
static size_t
distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), row[SUGGEST_MAX + 1];

	if (la > SUGGEST_MAX || lb > SUGGEST_MAX)
		return SUGGEST_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t up = row[j];
			size_t cost = tolower((unsigned char)a[i - 1]) !=
				      tolower((unsigned char)b[j - 1]);

			row[j] = min3(up + 1, row[j - 1] + 1, diagonal + cost);
			diagonal = up;
		}
	}
	return row[lb];
}

const char *
suggest_name(const char *given, const void *names, size_t n, size_t stride)
{
	const char *best = NULL, *name;
	size_t best_d = strlen(given) < 4 ? 2 : 3, d;

	for (size_t i = 0; i < n; i++) {
		memcpy(&name, (const char *)names + i * stride, sizeof(name));
		if (name == NULL || (d = distance(given, name)) >= best_d)
			continue;
		best = name;
		best_d = d;
	}
	return best;
}
