#include "query.h"

#include "mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *
query_decode(const char *s, size_t n, bool plus)
{
	char *out = mem_zero(n + 1);
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int hi, lo;

		if (s[i] != '%') {
			out[len++] = plus && s[i] == '+' ? ' ' : s[i];
			continue;
		}
		hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
		lo = hi < 0 ? -1 : hex_digit(s[i + 2]);
		if (lo < 0 || (hi == 0 && lo == 0)) {
			free(out);
			return NULL;
		}
		out[len++] = (char)(hi << 4 | lo);
		i += 2;
	}
	return out;
}

static bool
parse_one(struct query *q, const char *s, size_t n)
{
	const char *eq = memchr(s, '=', n);
	size_t name_len = eq == NULL ? n : (size_t)(eq - s);
	struct query_param p;

	if (n == 0)
		return true;
	p.name = query_decode(s, name_len, true);
	p.value = eq == NULL ? mem_str("")
			     : query_decode(eq + 1, n - name_len - 1, true);
	if (p.name == NULL || p.value == NULL) {
		free(p.name);
		free(p.value);
		return false;
	}
	q->param = mem_grow(q->param, q->n + 1, sizeof(p));
	q->param[q->n++] = p;
	return true;
}

bool
query_parse(struct query *q, const char *s)
{
	memset(q, 0, sizeof(*q));
	while (s != NULL && *s != '\0') {
		size_t n = strcspn(s, "&");

		if (!parse_one(q, s, n))
			return false;
		s += n + (s[n] == '&');
	}
	return true;
}

void
query_done(struct query *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->param[i].name);
		free(q->param[i].value);
	}
	free(q->param);
	memset(q, 0, sizeof(*q));
}

const char *
query_get(const struct query *q, const char *name)
{
	for (size_t i = q->n; i > 0; i--) {
		if (strcmp(q->param[i - 1].name, name) == 0)
			return q->param[i - 1].value;
	}
	return NULL;
}
