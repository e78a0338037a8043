#include "config.h"

#include "http_body.h"

#include <stdbool.h>

#include "err.h"
#include "text.h"
#include "http_head.h"

#define HTTP_CHUNK_DIGITS 8

void
http_body_init(struct http_body *b, const struct http_head *head)
{
	b->digits = 0;
	b->left = head->chunked ? 0 : head->length;
	b->state = head->chunked ? HTTP_BODY_SIZE
	    : head->length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_DONE;
}

static int
bad(const char **ret_why, const char *why)
{
	*ret_why = why;
	return ERR_BAD_REQUEST;
}

static int
take_size(struct http_body *b, uint8_t byte, const char **ret_why)
{
	int digit = text_hex_value(byte);

	if (digit >= 0 && b->digits < HTTP_CHUNK_DIGITS) {
		b->left = b->left << 4 | (uint64_t)digit;
		b->digits++;
		return 0;
	}
	if (byte != '\r' || b->digits == 0)
		return bad(ret_why, "a chunk's size is not one to eight "
		    "hexadecimal digits and CR LF");
	b->state = HTTP_BODY_SIZE_LF;
	return 0;
}

/* After the size: the chunk, or the end. */
static int
begin_chunk(struct http_body *b, const struct secbuf *to)
{
	b->digits = 0;
	b->state = b->left > 0 ? HTTP_BODY_CHUNK : HTTP_BODY_LAST_CR;
	return b->left > to->max - to->len ? ERR_TOO_LARGE : 0;
}

/* A byte that is no content. */
static int
take_framing(struct http_body *b, uint8_t byte, const struct secbuf *to,
    const char **ret_why)
{
	static const struct {
		uint8_t byte;
		enum http_body_state next;
		const char *why;
	} steps[] = {
		[HTTP_BODY_SIZE_LF] = { '\n', HTTP_BODY_CHUNK,
		    "a chunk's size does not end with CR LF" },
		[HTTP_BODY_CHUNK_CR] = { '\r', HTTP_BODY_CHUNK_LF,
		    "a chunk does not end where its size says" },
		[HTTP_BODY_CHUNK_LF] = { '\n', HTTP_BODY_SIZE,
		    "a chunk does not end with CR LF" },
		[HTTP_BODY_LAST_CR] = { '\r', HTTP_BODY_LAST_LF,
		    "something follows the last chunk; trailers are not "
		    "taken" },
		[HTTP_BODY_LAST_LF] = { '\n', HTTP_BODY_DONE,
		    "the last chunk does not end with CR LF" },
	};

	if (b->state == HTTP_BODY_SIZE)
		return take_size(b, byte, ret_why);
	if (byte != steps[b->state].byte)
		return bad(ret_why, steps[b->state].why);
	if (b->state == HTTP_BODY_SIZE_LF)
		return begin_chunk(b, to);
	b->state = steps[b->state].next;
	return 0;
}

static bool
is_content(const struct http_body *b)
{
	return b->state == HTTP_BODY_LENGTH || b->state == HTTP_BODY_CHUNK;
}

int
http_body_take(struct http_body *b, const uint8_t *p, size_t len,
    struct secbuf *to, size_t *ret_used, const char **ret_why)
{
	size_t used = 0, n;
	int r = 0;

	while (r == 0 && b->state != HTTP_BODY_DONE && used < len) {
		if (!is_content(b)) {
			r = take_framing(b, p[used++], to, ret_why);
			continue;
		}
		n = b->left < len - used ? (size_t)b->left : len - used;
		if ((r = secbuf_append(to, p + used, n)) != 0)
			break;
		used += n;
		b->left -= n;
		if (b->left == 0)
			b->state = b->state == HTTP_BODY_LENGTH
			    ? HTTP_BODY_DONE : HTTP_BODY_CHUNK_CR;
	}
	*ret_used = used;
	return r != 0 ? r : b->state == HTTP_BODY_DONE ? 0 : ERR_AGAIN;
}
