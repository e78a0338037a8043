#include "config.h"

#include "rest_impl.h"

#include <string.h>

#include "err.h"

#define WORD_MAX 64		/* of a table, with a NUL */

bool
rest_query_next(struct view *pos, struct view *ret_name,
    struct view *ret_value)
{
	const uint8_t *end, *mark;
	size_t len;

	do {
		if (pos->len == 0)
			return false;
		end = memchr(pos->p, '&', pos->len);
		len = end == NULL ? pos->len : (size_t)(end - pos->p);
		*ret_name = (struct view){ pos->p, len };
		if (end != NULL)
			len++;
		pos->p += len;
		pos->len -= len;
	} while (ret_name->len == 0);
	*ret_value = (struct view){ NULL, 0 };
	mark = memchr(ret_name->p, '=', ret_name->len);
	if (mark != NULL) {
		len = (size_t)(mark - ret_name->p);
		*ret_value = (struct view){ mark + 1, ret_name->len - len - 1 };
		ret_name->len = len;
	}
	return true;
}

bool
rest_query_decode(struct view text, char *ret, size_t size, size_t *ret_len)
{
	size_t len = 0, i, n;
	struct view one;
	uint8_t c;

	for (i = 0; i < text.len; i += one.len) {
		one = (struct view){ text.p + i, text.p[i] == '%' ? 3 : 1 };
		/* its "%" are whole: endpoints_match() looked at them */
		if (len + 1 >= size || endpoints_decode(one, &c, 1, &n) != 0)
			return false;
		ret[len++] = text.p[i] == '+' ? ' ' : (char)c;
	}
	if (size == 0)
		return false;
	ret[len] = '\0';
	*ret_len = len;
	return true;
}

bool
rest_query_is(struct view text, const char *word)
{
	char plain[WORD_MAX];
	size_t len = strlen(word), n;

	if (text.len == len && memcmp(text.p, word, len) == 0)
		return true;
	return rest_query_decode(text, plain, sizeof(plain), &n) &&
	    n == len && memcmp(plain, word, len) == 0;
}

bool
rest_query_number(struct view text, uint64_t min, uint64_t max, uint64_t *ret)
{
	char plain[WORD_MAX];
	uint64_t n = 0;
	size_t len, i;

	if (!rest_query_decode(text, plain, sizeof(plain), &len) || len == 0)
		return false;
	for (i = 0; i < len; i++) {
		if (plain[i] < '0' || plain[i] > '9' ||
		    n > (UINT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(plain[i] - '0');
	}
	if (n < min || n > max)
		return false;
	*ret = n;
	return true;
}

bool
rest_query_bool(struct view text, bool *ret)
{
	*ret = rest_query_is(text, "true");
	return *ret || rest_query_is(text, "false");
}

/* --- include= --- */

/* False if the word is none of the table's. */
static bool
add_word(const char *word, size_t len, const char *const *words,
    uint32_t *bits)
{
	size_t i;

	if (len == 0)
		return true;
	if ((len == 3 && memcmp(word, "all", 3) == 0) ||
	    (len == 8 && memcmp(word, "metadata", 8) == 0)) {
		*bits = REST_INCLUDE_ALL;
		return true;
	}
	for (i = 0; words[i] != NULL; i++) {
		if (strlen(words[i]) == len &&
		    memcmp(words[i], word, len) == 0) {
			*bits |= 1u << i;
			return true;
		}
	}
	return false;
}

/* One list of words; its commas may be encoded. */
static bool
add_list(struct view list, const char *const *words, uint32_t *bits)
{
	char word[WORD_MAX];
	size_t len = 0, i, n;
	struct view one;
	uint8_t c;

	for (i = 0; i < list.len; i += one.len) {
		one = (struct view){ list.p + i, list.p[i] == '%' ? 3 : 1 };
		if (endpoints_decode(one, &c, 1, &n) != 0)
			return false;
		if (c == ',') {
			if (!add_word(word, len, words, bits))
				return false;
			len = 0;
		} else if (len == sizeof(word)) {
			return false;
		} else {
			word[len++] = (char)c;
		}
	}
	return add_word(word, len, words, bits);
}

bool
rest_query_include(struct view query, const char *const *words,
    uint32_t *ret_bits)
{
	struct view name, value;

	*ret_bits = 0;
	while (rest_query_next(&query, &name, &value)) {
		if (rest_query_is(name, "include") &&
		    !add_list(value, words, ret_bits))
			return false;
	}
	return true;
}
