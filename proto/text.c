#include "config.h"

#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Eight bytes at a time: the same byte in each place of a word. */
#define EACH(b) (UINT64_C(0x0101010101010101) * (b))
#define HIGH EACH(0x80)

/* Longer names are no candidates: nobody mistypes them by a letter or two. */
#define NEAREST_MAX 64

static bool
is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/*
 * Length of the character of more than one byte that begins at p, or 0 if
 * there is no valid one.  The second byte alone tells overlong forms,
 * surrogates and what lies beyond U+10FFFF.
 */
static size_t
multibyte_len(const uint8_t *p, size_t len)
{
	size_t n;
	uint8_t low = 0x80;
	uint8_t high = 0xbf;

	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		n = 3;
		low = p[0] == 0xe0 ? 0xa0 : 0x80;
		high = p[0] == 0xed ? 0x9f : 0xbf;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		low = p[0] == 0xf0 ? 0x90 : 0x80;
		high = p[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (len < n || p[1] < low || p[1] > high)
		return 0;
	if ((n > 2 && !is_tail(p[2])) || (n > 3 && !is_tail(p[3])))
		return 0;
	return n;
}

/*
 * Are all eight bytes ASCII, at least lowest, and (if lowest is not 0) not
 * DEL?  A false answer only sends the caller on to look byte by byte.
 */
static inline bool
word_is_good(const uint8_t *p, uint8_t lowest)
{
	uint64_t w;
	uint64_t bad;

	memcpy(&w, p, sizeof(w));
	bad = w;
	if (lowest > 0)
		bad |= w - EACH(lowest);
	if (lowest > 1)
		bad |= w + EACH(1);
	return (bad & HIGH) == 0;
}

static inline bool
scan(const uint8_t *p, size_t len, uint8_t lowest)
{
	const uint8_t *end;
	const uint8_t *words;
	size_t n;

	if (len == 0)
		return true;
	end = p + len;
	words = len < 8 ? p : end - 8;
	while (p < end) {
		if (len >= 8 && *p < 0x80) {
			while (p <= words && word_is_good(p, lowest))
				p += 8;
			/* less than a word is left: look back into the last */
			if (p > words && word_is_good(words, lowest))
				return true;
			if (p == end)
				return true;
		}
		if (*p < 0x80) {
			if (*p < lowest || (lowest > 1 && *p == 0x7f))
				return false;
			n = 1;
		} else {
			n = multibyte_len(p, (size_t)(end - p));
		}
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

bool
text_is_utf8(const void *p, size_t len)
{
	return scan(p, len, 0);
}

bool
text_is_text(const void *p, size_t len)
{
	return scan(p, len, 1);
}

bool
text_is_plain(const void *p, size_t len)
{
	return scan(p, len, 0x20);
}

size_t
text_cut(const void *p, size_t len, size_t max)
{
	const uint8_t *c = p;

	if (len <= max)
		return len;
	while (max > 0 && is_tail(c[max]))
		max--;
	return max;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t
min3(size_t a, size_t b, size_t c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

/* Both are at most NEAREST_MAX long; three rows of the usual matrix. */
static size_t
distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t *before = rows[0];
	size_t *last = rows[1];
	size_t *row = rows[2];
	size_t *spare;
	size_t i;
	size_t j;

	for (j = 0; j <= blen; j++)
		last[j] = j;
	for (i = 1; i <= alen; i++) {
		row[0] = i;
		for (j = 1; j <= blen; j++) {
			row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] +
			    (lower(a[i - 1]) != lower(b[j - 1])));
			if (i > 1 && j > 1 && before[j - 2] + 1 < row[j] &&
			    lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[blen];
}

const char *
text_nearest(const char *typed, const char *const *names, size_t count)
{
	size_t len = strlen(typed);
	/* a third of the letters wrong is another word */
	size_t best = (len + 1) / 3 + 1;
	const char *nearest = NULL;
	size_t name_len;
	size_t d;
	size_t i;

	if (len > NEAREST_MAX)
		return NULL;
	for (i = 0; i < count; i++) {
		name_len = strlen(names[i]);
		if (name_len > NEAREST_MAX)
			continue;
		d = distance(typed, len, names[i], name_len);
		if (d < best) {
			best = d;
			nearest = names[i];
		}
	}
	return nearest;
}

/*
 * One character of p as it may be shown, into out: its length there, and in
 * ret_used how many bytes of p it is.
 */
static size_t
show(const uint8_t *p, size_t len, char out[5], size_t *ret_used)
{
	size_t n = *p < 0x80 ? 1 : multibyte_len(p, len);
	bool control = *p < 0x20 || *p == 0x7f;

	/* U+0080 to U+009F: terminals obey some of them */
	if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
		control = true;
	if (n == 0 || control) {
		*ret_used = 1;
		(void)snprintf(out, 5, "\\x%02x", *p);
		return 4;
	}
	memcpy(out, p, n);
	*ret_used = n;
	return n;
}

const char *
text_printable(const void *p, size_t len, char *ret, size_t size)
{
	const uint8_t *in = p;
	char one[5];
	size_t used;
	size_t out = 0;
	size_t mark = 0;	/* the last place where "..." still fits */
	size_t n;

	if (size == 0)
		return "";
	while (len > 0) {
		n = show(in, len, one, &used);
		if (n > size - 1 - out) {
			n = size - 1 - mark;
			if (n > 3)
				n = 3;
			memcpy(ret + mark, "...", n);
			out = mark + n;
			break;
		}
		memcpy(ret + out, one, n);
		out += n;
		in += used;
		len -= used;
		if (size - 1 - out >= 3)
			mark = out;
	}
	ret[out] = '\0';
	return ret;
}

int
text_hex_value(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
