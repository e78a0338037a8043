/*
 * Reads the input as HTTP requests, one after the other, as a connection
 * would.  What is accepted cannot be read in another way: a second, simpler
 * look at its head agrees about lines and lengths, and it is the same however
 * it was cut on its way.
 */
#include "config.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "fuzz.h"
#include "http_body.h"
#include "http_head.h"

#define BODY_MAX 4096

static bool
same(struct view a, struct view b)
{
	return a.p == b.p && a.len == b.len;
}

static bool
same_head(const struct http_head *a, const struct http_head *b)
{
	return a->total == b->total && a->method == b->method &&
	    same(a->target, b->target) && a->minor == b->minor &&
	    a->keep_alive == b->keep_alive && a->chunked == b->chunked &&
	    a->has_length == b->has_length && a->length == b->length &&
	    same(a->host, b->host) && same(a->api_key, b->api_key) &&
	    same(a->bearer, b->bearer) &&
	    a->from_browser == b->from_browser;
}

static bool
begins(const uint8_t *line, const uint8_t *end, const char *name)
{
	size_t len = strlen(name);

	return (size_t)(end - line) > len &&
	    strncasecmp((const char *)line, name, len) == 0;
}

/* The second look: at lines alone. */
static void
check_lines(const uint8_t *p, const struct http_head *h)
{
	const uint8_t *end = p + h->total, *line, *next;
	unsigned int lengths = 0, codings = 0, hosts = 0, lines = 0;

	for (line = p; line < end; line = next, lines++) {
		next = memchr(line, '\n', (size_t)(end - line));
		FUZZ_ASSERT(next != NULL && next > line && next[-1] == '\r');
		next++;
		FUZZ_ASSERT(memchr(line, '\r', (size_t)(next - line)) ==
		    next - 2);
		FUZZ_ASSERT(memchr(line, '\0', (size_t)(next - line)) == NULL);
		FUZZ_ASSERT(line[0] != ' ' && line[0] != '\t');
		/* only the last line is empty */
		FUZZ_ASSERT((next - line == 2) == (next == end));
		lengths += begins(line, next, "content-length:");
		codings += begins(line, next, "transfer-encoding:");
		hosts += begins(line, next, "host:");
		/* the first line may: a method is any token */
		FUZZ_ASSERT(lines == 0 ||
		    (!begins(line, next, "content-length ") &&
		    !begins(line, next, "transfer-encoding ")));
	}
	FUZZ_ASSERT(lines <= HTTP_FIELDS_MAX + 2);
	FUZZ_ASSERT(lengths + codings <= 1);
	FUZZ_ASSERT((lengths == 1) == h->has_length);
	FUZZ_ASSERT((codings == 1) == h->chunked);
	FUZZ_ASSERT(hosts <= 1 && hosts >= h->minor);
}

static void
check_head(const uint8_t *p, const struct http_head *h)
{
	struct http_head again;
	size_t cut;

	FUZZ_ASSERT(h->total <= HTTP_HEAD_MAX);
	FUZZ_ASSERT(h->target.len > 0 && h->target.len <= HTTP_TARGET_MAX &&
	    h->target.p[0] == '/');
	check_lines(p, h);
	FUZZ_ASSERT(http_head_parse(p, h->total, &again) == 0);
	FUZZ_ASSERT(same_head(h, &again));
	for (cut = h->total - 1; cut > 0; cut /= 2)
		FUZZ_ASSERT(http_head_parse(p, cut, &again) == ERR_AGAIN);
}

/* In pieces of step bytes. */
static int
read_body(const struct http_head *h, const uint8_t *p, size_t len, size_t step,
    struct secbuf *to, size_t *ret_used)
{
	struct http_body body;
	const char *why;
	size_t used = 0, some, n;
	int r = ERR_AGAIN;

	http_body_init(&body, h);
	while (r == ERR_AGAIN && used < len) {
		why = NULL;
		n = len - used < step ? len - used : step;
		r = http_body_take(&body, p + used, n, to, &some, &why);
		FUZZ_ASSERT(some <= n && (r != ERR_AGAIN || some == n));
		FUZZ_ASSERT((r == ERR_BAD_REQUEST) == (why != NULL));
		used += some;
	}
	*ret_used = used;
	return r;
}

/* Bytes that the body takes; 0: it is not there, or wrong. */
static size_t
check_body(const struct http_head *h, const uint8_t *p, size_t len)
{
	struct secbuf whole, pieces;
	size_t used, used_again;
	int r;

	secbuf_init(&whole, BODY_MAX);
	secbuf_init(&pieces, BODY_MAX);
	r = read_body(h, p, len, len, &whole, &used);
	FUZZ_ASSERT(read_body(h, p, len, 1, &pieces, &used_again) == r);
	FUZZ_ASSERT(r == ERR_TOO_LARGE || used == used_again);
	FUZZ_ASSERT(r == ERR_TOO_LARGE || (whole.len == pieces.len &&
	    (whole.len == 0 ||
	    memcmp(whole.mem, pieces.mem, whole.len) == 0)));
	if (r == 0 && h->has_length)
		FUZZ_ASSERT(whole.len == h->length && used == h->length);
	secbuf_clear(&whole);
	secbuf_clear(&pieces);
	return r == 0 ? used : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct secmem_config cfg = {
		.reserve_bytes = 4u << 20, .step_bytes = 256u << 10,
	};
	static bool ready;
	struct http_head head;
	size_t used;
	int r;

	if (!ready)
		FUZZ_ASSERT(secmem_init(&cfg) == 0);
	ready = true;
	while (size > 0) {
		r = http_head_parse(data, size, &head);
		if (r == ERR_BAD_REQUEST)
			FUZZ_ASSERT(head.why != NULL && head.status >= 400 &&
			    strpbrk(head.why, "\"\\") == NULL);
		if (r != 0)
			return 0;
		check_head(data, &head);
		data += head.total;
		size -= head.total;
		if (!http_head_has_body(&head))
			continue;
		if (size == 0 || (used = check_body(&head, data, size)) == 0)
			return 0;
		data += used;
		size -= used;
	}
	return 0;
}
