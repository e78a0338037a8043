/*
 * The agent's table of endpoints, a line each with tabs between, for
 * scripts/api-table.
 */
#include "config.h"

#include <stdio.h>

#include "endpoints.h"

static const char *
way(const struct endpoint *e)
{
	switch (e->way) {
	case ENDPOINT_RELAYED:
		return "relayed";
	case ENDPOINT_CACHED_SECRET:
	case ENDPOINT_CACHED_KEY:
		return "cached";
	case ENDPOINT_LIST_SECRETS:
	case ENDPOINT_LIST_KEYS:
		return "list";
	case ENDPOINT_CRYPTO:
		return "crypto";
	case ENDPOINT_REFUSED:
		return "refused";
	}
	return "?";
}

static void
put_drops(unsigned int drops)
{
	static const char *const words[] = { "secret", "versions", "secrets",
	    "named", "key", "keys", "every-key" };
	const char *comma = "";
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (drops & 1u << i) {
			(void)printf("%s%s", comma, words[i]);
			comma = ",";
		}
	}
}

int
main(void)
{
	const struct endpoint *e;

	for (e = endpoints; e < endpoints + endpoints_count; e++) {
		(void)printf("%s\t%s%s\t%s\t%s\t%s\t", e->method,
		    e->from_root ? "" : "/api/v1", e->pattern,
		    e->scope == NULL ? "none" : e->scope[0] == '\0' ? "any"
		    : e->scope, way(e), e->repeatable ? "again" : "once");
		put_drops(e->drops);
		(void)putchar('\n');
	}
	return ferror(stdout) || fflush(stdout) != 0;
}
