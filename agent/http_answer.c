#include "config.h"

#include "http_answer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "buf.h"

/* No answer of ours is kept by anybody, nor guessed at by a browser. */
#define HTTP_ALWAYS "Cache-Control: no-store\r\n" \
	"X-Content-Type-Options: nosniff\r\n"

const char *
http_date_text(struct http_date *d, int64_t wall_ms)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (d->second == (int64_t)t && d->text[0] != '\0')
		return d->text;
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year > 8099 || tm.tm_year < 0)
		return "Thu, 01 Jan 1970 00:00:00 GMT";
	(void)snprintf(d->text, sizeof(d->text),
	    "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
	d->second = (int64_t)t;
	return d->text;
}

static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
		{ 204, "No Content" }, { 206, "Partial Content" },
		{ 304, "Not Modified" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 402, "Payment Required" },
		{ 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
		{ 408, "Request Timeout" }, { 409, "Conflict" },
		{ 410, "Gone" }, { 411, "Length Required" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" },
		{ 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" }, { 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 502, "Bad Gateway" }, { 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "";
}

/* --- pieces --- */

#define PUT_LITERAL(wr, text) wr_bytes(wr, text, sizeof(text) - 1)

static void
put_text(struct wr *wr, const char *text)
{
	wr_bytes(wr, text, strlen(text));
}

static void
put_number(struct wr *wr, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	wr_bytes(wr, digits + i, sizeof(digits) - i);
}

/* Of the service: it might hold what would begin another field. */
static void
put_field(struct wr *wr, const char *name, const char *value)
{
	const char *p;

	for (p = value; *p != '\0'; p++) {
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return;
	}
	if (p == value)
		return;
	put_text(wr, name);
	wr_bytes(wr, value, (size_t)(p - value));
	PUT_LITERAL(wr, "\r\n");
}

static void
put_start(struct wr *wr, const struct http_manner *m, const char *date,
    int status)
{
	PUT_LITERAL(wr, "HTTP/1.1 ");
	put_number(wr, (uint64_t)status);
	PUT_LITERAL(wr, " ");
	put_text(wr, reason(status));
	PUT_LITERAL(wr, "\r\nDate: ");
	put_text(wr, date);
	PUT_LITERAL(wr, "\r\n" HTTP_ALWAYS);
	if (!m->keep_alive)
		PUT_LITERAL(wr, "Connection: close\r\n");
	else if (m->old)
		PUT_LITERAL(wr, "Connection: keep-alive\r\n");
	if (status == 401)
		PUT_LITERAL(wr, "WWW-Authenticate: Bearer\r\n");
	if (status == 405)
		PUT_LITERAL(wr, "Allow: GET, HEAD, POST, PUT, PATCH, "
		    "DELETE\r\n");
}

static void
put_end(struct wr *wr, uint64_t length)
{
	PUT_LITERAL(wr, "Content-Length: ");
	put_number(wr, length);
	PUT_LITERAL(wr, "\r\n\r\n");
}

/* Of what the cache can say something about. */
static void
put_cache(struct wr *wr, const struct rest_answer *answer)
{
	static const char *const words[] = {
		[REST_CACHE_HIT] = "X-Qapi-Agent-Cache: hit\r\nAge: ",
		[REST_CACHE_STALE] = "X-Qapi-Agent-Cache: stale\r\nAge: ",
		[REST_CACHE_MISS] = "X-Qapi-Agent-Cache: miss\r\nAge: ",
	};

	if (answer->cache == REST_CACHE_NONE)
		return;
	put_text(wr, words[answer->cache]);
	put_number(wr, answer->age_ms / 1000);
	PUT_LITERAL(wr, "\r\n");
}

/* --- answers --- */

void
http_answer_send(struct out *out, const struct http_manner *m,
    const char *date, const struct rest_answer *answer)
{
	struct view body = { NULL, 0 };
	struct wr wr = out_begin(out);
	/* these two have none, and no length of one */
	bool bare = answer->status == 204 || answer->status == 304;

	if (answer->body != NULL && !bare)
		body = object_value(answer->body);
	put_start(&wr, m, date, answer->status);
	put_cache(&wr, answer);
	/* the SDK takes whole seconds alone */
	if (answer->retry_after_ms > 0) {
		PUT_LITERAL(&wr, "Retry-After: ");
		put_number(&wr, (answer->retry_after_ms + 999) / 1000);
		PUT_LITERAL(&wr, "\r\n");
	}
	if (!bare)
		put_field(&wr, "Content-Type: ", answer->content_type);
	put_field(&wr, "Content-Disposition: ", answer->content_disposition);
	if (bare)
		PUT_LITERAL(&wr, "\r\n");
	else
		put_end(&wr, body.len);
	if (!m->head_only && body.len <= OUT_INLINE_MAX)
		wr_bytes(&wr, body.p, body.len);
	out_commit(out, &wr);
	if (!m->head_only && body.len > OUT_INLINE_MAX)
		out_external(out, answer->body, body);
}

void
http_answer_refuse(struct out *out, const struct http_manner *m,
    const char *date, int status, const char *code, const char *sentence)
{
	static const char form[] = "{\"error\":\"\",\"message\":\"\"}";
	struct wr wr = out_begin(out);

	put_start(&wr, m, date, status);
	PUT_LITERAL(&wr, "Content-Type: application/json\r\n");
	if (status == 503)
		PUT_LITERAL(&wr, "Retry-After: 1\r\n");
	put_end(&wr, sizeof(form) - 1 + strlen(code) + strlen(sentence));
	if (!m->head_only) {
		PUT_LITERAL(&wr, "{\"error\":\"");
		put_text(&wr, code);
		PUT_LITERAL(&wr, "\",\"message\":\"");
		put_text(&wr, sentence);
		PUT_LITERAL(&wr, "\"}");
	}
	out_commit(out, &wr);
}

void
http_answer_continue(struct out *out)
{
	struct wr wr = out_begin(out);

	PUT_LITERAL(&wr, "HTTP/1.1 100 Continue\r\n\r\n");
	out_commit(out, &wr);
}
