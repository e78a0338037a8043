#include "config.h"

#include "glob.h"

#include <stdint.h>
#include <string.h>

#define WORDS (GLOB_MAX / 64 + 1)

/*
 * The pattern is run as an automaton whose states are the places in it; the
 * set of states that can be reached is kept, so nothing is tried twice.
 */
struct states {
	size_t words;		/* in use: enough for the pattern at hand */
	uint64_t bits[WORDS];
};

static void
clear(struct states *set, size_t words)
{
	set->words = words;
	memset(set->bits, 0, words * sizeof(set->bits[0]));
}

/* Length of the character at p; a byte that begins none is one of its own. */
static size_t
char_len(const uint8_t *p, size_t len)
{
	size_t n = 1;
	size_t i;

	if (*p >= 0xc2 && *p <= 0xdf)
		n = 2;
	else if (*p >= 0xe0 && *p <= 0xef)
		n = 3;
	else if (*p >= 0xf0 && *p <= 0xf4)
		n = 4;
	if (n > len)
		return 1;
	for (i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
	}
	return n;
}

/* Number of stars at p. */
static size_t
stars(const char *p)
{
	return strspn(p, "*");
}

/* A star may match nothing: what follows it is reached with it. */
static void
reach(struct states *set, const char *pattern, size_t at)
{
	size_t run;

	set->bits[at / 64] |= UINT64_C(1) << (at % 64);
	run = stars(pattern + at);
	if (run > 0) {
		at += run;
		set->bits[at / 64] |= UINT64_C(1) << (at % 64);
	}
}

/* From one place by one character c[0..n) of the text. */
static void
step(struct states *next, const char *pattern, size_t at, const uint8_t *c,
    size_t n)
{
	const char *p = pattern + at;
	size_t run = stars(p);

	if (run > 0) {
		if (run > 1 || *c != '/')
			reach(next, pattern, at);
	} else if (*p == '?') {
		if (*c != '/')
			reach(next, pattern, at + 1);
	} else if (strncmp(p, (const char *)c, n) == 0 && *p != '\0') {
		reach(next, pattern, at + n);
	}
}

static bool
step_all(struct states *set, const char *pattern, const uint8_t *c, size_t n)
{
	struct states next;
	uint64_t any = 0;
	uint64_t word;
	size_t i;

	clear(&next, set->words);
	for (i = 0; i < set->words; i++) {
		for (word = set->bits[i]; word != 0; word &= word - 1)
			step(&next, pattern,
			    i * 64 + (size_t)__builtin_ctzll(word), c, n);
	}
	for (i = 0; i < set->words; i++) {
		any |= next.bits[i];
		set->bits[i] = next.bits[i];
	}
	return any != 0;
}

bool
glob_match(const char *pattern, const void *text, size_t len)
{
	const uint8_t *p = text;
	struct states set;
	size_t lead = strcspn(pattern, "*?");
	size_t plen;
	size_t n;

	/* most patterns say no here */
	if (lead > len || (lead > 0 && memcmp(pattern, p, lead) != 0))
		return false;
	pattern += lead;
	p += lead;
	len -= lead;
	plen = strlen(pattern);
	if (plen == 0 || plen > GLOB_MAX)
		return plen == 0 && len == 0;
	clear(&set, plen / 64 + 1);
	reach(&set, pattern, 0);
	while (len > 0) {
		n = char_len(p, len);
		if (!step_all(&set, pattern, p, n))
			return false;
		p += n;
		len -= n;
	}
	return (set.bits[plen / 64] >> (plen % 64) & 1) != 0;
}

bool
glob_is_all(const char *pattern)
{
	size_t run = stars(pattern);

	return run > 1 && pattern[run] == '\0';
}

size_t
glob_min_len(const char *pattern)
{
	size_t n = 0;

	for (; *pattern != '\0'; pattern++) {
		if (*pattern != '*')
			n++;
	}
	return n;
}
