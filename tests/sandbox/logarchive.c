#include "logarchive.h"

#include "timefmt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORED_MAX 65535 /* bytes in one block of deflate that is stored */

void
logarchive_done(struct logarchive *a)
{
	for (size_t i = 0; i < a->n; i++)
		text_done(&a->day[i].gzip);
	free(a->day);
	memset(a, 0, sizeof(*a));
}

static void
day_of(int64_t us, char ret_day[11])
{
	json_t *v = timefmt_json(us);

	(void)snprintf(ret_day, 11, "%.10s", json_string_value(v));
	json_decref(v);
}

bool
logarchive_is_day(const char *s)
{
	char text[32];
	int64_t us;

	if (strlen(s) != 10)
		return false;
	(void)snprintf(text, sizeof(text), "%sT00:00:00Z", s);
	return timefmt_parse(text, &us);
}

/* --- gzip, RFC 1952, without compression --- */

static uint32_t
crc32_of(const char *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned char)p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void
put_le(struct text *out, size_t v, int bytes)
{
	for (; bytes > 0; bytes--, v >>= 8)
		text_char(out, (char)(v & 0xff));
}

static void
put_member(struct text *out, const char *p, size_t n)
{
	static const char head[10] = {0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
	size_t done = 0;

	text_add(out, head, sizeof(head));
	do {
		size_t part = n - done < STORED_MAX ? n - done : STORED_MAX;

		text_char(out, done + part == n); /* the last block: 1 */
		put_le(out, part, 2);
		put_le(out, ~part & 0xffff, 2);
		text_add(out, p + done, part);
		done += part;
	} while (done < n);
	put_le(out, crc32_of(p, n), 4);
	put_le(out, n & UINT32_MAX, 4);
}

/* --- days --- */

/* The day's file, made if there is none. */
static struct logarchive_day *
day_at(struct logarchive *a, const char *day)
{
	size_t i = a->n;

	while (i > 0 && strcmp(a->day[i - 1].day, day) > 0)
		i--;
	if (i > 0 && strcmp(a->day[i - 1].day, day) == 0)
		return &a->day[i - 1];
	a->day = mem_grow(a->day, a->n + 1, sizeof(*a->day));
	memmove(&a->day[i + 1], &a->day[i], (a->n - i) * sizeof(*a->day));
	memset(&a->day[i], 0, sizeof(*a->day));
	(void)snprintf(a->day[i].day, sizeof(a->day[i].day), "%s", day);
	a->n++;
	return &a->day[i];
}

void
logarchive_add(struct logarchive *a, int64_t at_us, const json_t *event)
{
	struct logarchive_day *d;
	struct text line = {0};
	char day[11], *text;

	day_of(at_us, day);
	d = day_at(a, day);
	if (d->gzip.len > LOGARCHIVE_MAX_DAY)
		return;
	text = json_dumps(event, JSON_COMPACT);
	text_str(&line, text);
	text_char(&line, '\n');
	put_member(&d->gzip, line.p, line.len);
	text_done(&line);
	free(text);
	if (d->lines++ == 0)
		d->first_us = at_us;
	d->last_us = at_us;
}

const struct logarchive_day *
logarchive_find(const struct logarchive *a, const char *day)
{
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->day[i].day, day) == 0)
			return &a->day[i];
	}
	return NULL;
}

void
logarchive_drop_before(struct logarchive *a, int64_t at_us)
{
	char day[11];
	size_t n = 0;

	day_of(at_us, day);
	while (n < a->n && strcmp(a->day[n].day, day) < 0)
		text_done(&a->day[n++].gzip);
	if (n == 0)
		return;
	a->n -= n;
	memmove(a->day, a->day + n, a->n * sizeof(*a->day));
}
