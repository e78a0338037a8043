#include "config.h"

#include "apikey.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "keyfile.h"

#define DEFAULT_PATH "/etc/qapi-agent/api-key"

struct place {
	char *path;
	char *why;
	size_t why_size;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct place *at, int r, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(at->why, at->why_size, "%s: %s", at->path, text);
	return r;
}

/* Which file: at->path is allocated then. */
static int
find(const char *path, struct place *at)
{
	int r = path != NULL ? ERR_NOT_FOUND
	    : keyfile_credential("api-key", &at->path);

	if (r != ERR_NOT_FOUND)
		return r;
	at->path = strdup(path != NULL ? path : DEFAULT_PATH);
	return at->path == NULL ? ERR_NOMEM : 0;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Never quotes what it found: that may be a key. */
static int
trim(const struct place *at, const struct secmem *buf, struct secmem *ret_key)
{
	const uint8_t *p = secmem_bytes(buf);
	size_t i, len = secmem_len(buf);

	while (len > 0 && is_blank(p[len - 1]))
		len--;
	while (len > 0 && is_blank(*p)) {
		p++;
		len--;
	}
	if (len == 0)
		return fail(at, ERR_BAD_REQUEST, "is empty: write the API key "
						 "into it");
	for (i = 0; i < len; i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return fail(at, ERR_BAD_REQUEST,
			    "has a blank, a line break or a byte that is not "
			    "ASCII within the key: it holds one API key and "
			    "no more");
	}
	if (secmem_copy(ret_key, p, len, SECMEM_LIBRARY) != 0)
		return fail(at, ERR_NOMEM, "no secret memory left");
	return 0;
}

int
apikey_read(const char *path, struct secmem *ret_key, char *why,
    size_t why_size)
{
	struct place at = {.why = why, .why_size = why_size};
	struct keyfile f = {.what = "API key", .setting = "api-key-file",
	    .max_bytes = APIKEY_MAX};
	struct secmem buf = {0};
	int r;

	if ((r = find(path, &at)) != 0) {
		(void)snprintf(why, why_size, "API key: out of memory");
		return r;
	}
	f.path = at.path;
	f.credential = keyfile_is_credential(at.path);
	if ((r = keyfile_read(&f, &buf, why, why_size)) == 0)
		r = trim(&at, &buf, ret_key);
	secmem_free_bytes(&buf);
	free(at.path);
	return r;
}

void
apikey_stamp(const char *path, struct apikey_stamp *ret_stamp)
{
	char why[1];
	struct place at = {.why = why, .why_size = sizeof(why)};
	struct stat st;

	*ret_stamp = (struct apikey_stamp){.exists = false};
	if (find(path, &at) != 0)
		return;
	if (stat(at.path, &st) == 0)
		*ret_stamp = (struct apikey_stamp){
			.exists = true,
			.dev = st.st_dev,
			.ino = st.st_ino,
			.size = st.st_size,
			.mtime = st.st_mtim,
			.ctime = st.st_ctim,
		};
	free(at.path);
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
apikey_stamp_equal(const struct apikey_stamp *a, const struct apikey_stamp *b)
{
	return a->exists == b->exists && a->dev == b->dev &&
	    a->ino == b->ino && a->size == b->size &&
	    same_time(&a->mtime, &b->mtime) && same_time(&a->ctime, &b->ctime);
}
