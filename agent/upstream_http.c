#include "config.h"

#include "upstream_http_impl.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "clock.h"
#include "curl_loop.h"
#include "err.h"
#include "upstream_header.h"
#include "upstream_json.h"
#include "upstream_status.h"

#define URL_EXTRA (MSG_ID_MAX + 64) /* path and query that we add */
#define HEAD_MAX (256u * 1024) /* of all heads of an answer; curl keeps them */
#define ERROR_BODY_MAX 8192	/* more of a refusal is not looked at */
#define JSON_TYPE "application/json"

/*
 * The headers of one transfer, in secret memory in one piece: curl keeps
 * pointers to them as long as the transfer lasts, and takes no copy.
 */
#define HEADERS_MAX 5

struct headers {
	struct curl_slist lines[HEADERS_MAX];
	size_t count;
	size_t len;		/* of text, used */
	char text[];
};

/* --- process-wide --- */

static void *
openssl_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return len == 0 ? NULL : secmem_malloc(len);
}

static void *
openssl_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return secmem_realloc(p, len);
}

static void
openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	secmem_free(p);
}

int
upstream_http_global_init(void)
{
	/* OpenSSL refuses once it has allocated anything. */
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc,
	    openssl_free) != 1)
		return ERR_INTERNAL;
	/* curl would write the secrets of its TLS sessions there. */
	(void)unsetenv("SSLKEYLOGFILE");
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, secmem_malloc,
	    secmem_free, secmem_realloc, secmem_strdup,
	    secmem_calloc) != CURLE_OK)
		return ERR_INTERNAL;
	return upstream_json_global_init();
}

void
upstream_http_global_done(void)
{
	curl_global_cleanup();
	/* Else it does so at exit, when its memory is gone. */
	OPENSSL_cleanup();
}

/* --- what went wrong on the way --- */

static void __attribute__((format(printf, 2, 3)))
unavailable(struct upstream_answer *a, const char *fmt, ...)
{
	va_list ap;

	a->error = ERR_UPSTREAM_UNAVAILABLE;
	a->retryable = true;
	va_start(ap, fmt);
	(void)vsnprintf(a->message, sizeof(a->message), fmt, ap);
	va_end(ap);
}

static void
connect_failed(const struct upstream_call *c, struct upstream_answer *a)
{
	const char *host = c->http->host;
	long e = 0;

	if (c->http->cfg.proxy != NULL)
		host = "the proxy or by what it connects to";
	(void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &e);
	if (e == ECONNREFUSED)
		unavailable(a, "connection refused by %s", host);
	else if (e == ENETUNREACH || e == EHOSTUNREACH)
		unavailable(a, "no route to %s", host);
	else
		unavailable(a, "no connection to %s", host);
}

static void
timed_out(const struct upstream_call *c, struct upstream_answer *a)
{
	curl_off_t us = 0;

	/* Set once the request could be sent. */
	(void)curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
	if (us == 0)
		unavailable(a, "timed out: no connection to %s within "
		    "%llu ms", c->http->host,
		    (unsigned long long)c->connect_ms);
	else
		unavailable(a, "timed out: no whole answer from %s "
		    "within %llu ms", c->http->host,
		    (unsigned long long)c->total_ms);
}

/* Numbers of X509_V_ERR_*, which curl passes on. */
static const char *
verify_text(long result)
{
	switch (result) {
	case 0:
	case 1: /* what curl begins with; it looks at the name first */
	case 62:
	case 64:
		return "is for another name; check the upstream url";
	case 9:
		return "is not valid yet; check the clock";
	case 10:
		return "has expired";
	case 2:
	case 18:
	case 19:
	case 20:
	case 21:
		return "is from no known authority; for a private one set "
		    "ca-file";
	default:
		return "cannot be verified";
	}
}

static void
not_verified(const struct upstream_call *c, struct upstream_answer *a)
{
	long result = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_SSL_VERIFYRESULT, &result);
	unavailable(a, "the TLS certificate of %s %s", c->http->host,
	    verify_text(result));
}

/* The body was not taken: our doing. */
static void
body_refused(const struct upstream_call *c, struct upstream_answer *a)
{
	a->error = c->body_error;
	if (c->body_error == ERR_TOO_LARGE)
		(void)snprintf(a->message, sizeof(a->message),
		    "the answer is larger than max-response (%zu bytes)",
		    c->http->cfg.max_response);
	else
		(void)snprintf(a->message, sizeof(a->message),
		    "no secret memory left for the answer");
}

static void
not_http(const struct upstream_call *c, struct upstream_answer *a)
{
	a->error = ERR_UPSTREAM_ERROR;
	(void)snprintf(a->message, sizeof(a->message),
	    "what %s answered is not HTTP", c->http->host);
}

/* What only needs the host in a sentence: text before it, and after. */
static const struct {
	CURLcode result;
	const char *before;
	const char *after;
} plain_failures[] = {
	{CURLE_COULDNT_RESOLVE_HOST, "the name of ", " does not resolve"},
	{CURLE_COULDNT_RESOLVE_PROXY, "the name of the proxy to ",
	    " does not resolve"},
	{CURLE_PROXY, "the proxy does not connect to ", ""},
	{CURLE_SSL_PINNEDPUBKEYNOTMATCH, "the public key of ",
	    " is not the pinned one; check pinned-public-key"},
	{CURLE_SSL_CACERT_BADFILE, "the certificates to verify ",
	    " with cannot be read; check ca-file"},
	{CURLE_SSL_CONNECT_ERROR, "the TLS handshake with ", " failed"},
	{CURLE_PARTIAL_FILE, "the answer of ", " was cut short"},
	{CURLE_GOT_NOTHING, "", " closed the connection without an answer"},
	{CURLE_ABORTED_BY_CALLBACK, "", " wants it sent again, which may not "
	    "be"},
};

#define NPLAIN (sizeof(plain_failures) / sizeof(plain_failures[0]))

static void
plain_failure(const struct upstream_call *c, CURLcode result,
    struct upstream_answer *a)
{
	size_t i;

	for (i = 0; i < NPLAIN; i++) {
		if (plain_failures[i].result == result) {
			unavailable(a, "%s%s%s", plain_failures[i].before,
			    c->http->host, plain_failures[i].after);
			return;
		}
	}
	unavailable(a, "the connection to %s broke (curl %d)", c->http->host,
	    (int)result);
}

static void
transfer_failed(const struct upstream_call *c, CURLcode result,
    struct upstream_answer *a)
{
	switch (result) {
	case CURLE_COULDNT_CONNECT:
		connect_failed(c, a);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		timed_out(c, a);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		not_verified(c, a);
		break;
	case CURLE_WRITE_ERROR:
		body_refused(c, a);
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		not_http(c, a);
		break;
	case CURLE_OUT_OF_MEMORY:
		a->error = ERR_NOMEM;
		(void)snprintf(a->message, sizeof(a->message),
		    "no secret memory left for the transfer");
		break;
	default:
		plain_failure(c, result, a);
		break;
	}
}

/* --- calls --- */

static void
call_free(struct upstream_call *c)
{
	if (c->easy != NULL)
		curl_easy_cleanup(c->easy);
	secmem_free(c->headers);
	secbuf_clear(&c->body);
	secmem_free_bytes(&c->copy);
	TAILQ_REMOVE(&c->http->calls, c, next);
	free(c);
}

static int
status_of(const struct upstream_call *c)
{
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

const char *
upstream_http_header(const struct upstream_call *c, const char *name)
{
	struct curl_header *h = NULL;

	if (curl_easy_header(c->easy, name, 0, CURLH_HEADER, -1, &h) !=
	    CURLHE_OK || h->amount != 1)
		return NULL;
	return h->value;
}

/*
 * Dates are told apart by the service's own clock where it says it: this
 * machine's may be years off.
 */
static void
read_headers(const struct upstream_call *c, struct upstream_answer *a,
    int64_t *ret_retry_after_s)
{
	int64_t wall_ms;
	struct now now;

	a->date_ms = upstream_header_date(upstream_http_header(c, "Date"));
	clock_read(&now);
	wall_ms = a->date_ms != MSG_NO_TIME ? a->date_ms : now.wall_ms;
	*ret_retry_after_s = upstream_header_retry_after(
	    upstream_http_header(c, "Retry-After"), wall_ms);
	upstream_header_rate(upstream_http_header(c, "X-RateLimit-Limit"),
	    upstream_http_header(c, "X-RateLimit-Remaining"),
	    upstream_http_header(c, "X-RateLimit-Reset"), wall_ms, &a->rate);
}

static void
done_cb(void *arg, CURL *easy, CURLcode result)
{
	struct upstream_answer answer = {.date_ms = MSG_NO_TIME};
	struct upstream_call *c = NULL;
	int64_t retry_after_s = 0;
	int status;

	(void)arg;
	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
	c->http->to_scrub = true;
	status = status_of(c);
	if (c->head_odd)
		result = CURLE_WEIRD_SERVER_REPLY;
	else if (result == CURLE_OK && !c->head_done)
		result = CURLE_PARTIAL_FILE;
	/* A refusal with an endless body is a refusal. */
	else if (result == CURLE_WRITE_ERROR && c->body_error == 0)
		result = CURLE_OK;
	if (result == CURLE_OK) {
		read_headers(c, &answer, &retry_after_s);
		upstream_status_read(&c->req, status, retry_after_s,
		    (struct view){c->body.mem, c->body.len}, &answer);
		if (c->req.relay != NULL && answer.status != 0)
			upstream_relay_reply(c, &answer);
	} else {
		transfer_failed(c, result, &answer);
		answer.unsent = c->req.relay != NULL && !c->begun;
	}
	secbuf_clear(&c->body); /* the callback may take its time */
	c->cb(c->arg, &answer);
	call_free(c);
}

static void free_retired(struct upstream_http *http);

/*
 * Parts of what was received may be left on the stack, in mid-transfer too.
 * Under TLS each step may handle a key or a record; else only those that begin
 * or end a transfer, or move a part of a body.
 */
static void
after_cb(void *arg)
{
	struct upstream_http *http = arg, *h;
	bool scrub = false;

	/* the calls of former settings are its, too */
	for (h = http; h != NULL; h = h->retired) {
		scrub |= h->to_scrub || strncmp(h->cfg.url, "https:", 6) == 0;
		h->to_scrub = false;
	}
	if (scrub)
		secmem_scrub_stack();
	free_retired(http);
}

static size_t
write_cb(char *data, size_t one, size_t len, void *arg)
{
	struct upstream_call *c = arg;
	int status = status_of(c);

	(void)one;
	c->http->to_scrub = true;
	if (c->req.relay == NULL && (status < 200 || status >= 300)) {
		if (len <= ERROR_BODY_MAX - c->body.len)
			return secbuf_append(&c->body, data, len) == 0 ?
			    len : 0;
		c->skipped += len;
		return c->skipped <= c->http->cfg.max_response ? len : 0;
	}
	c->body_error = secbuf_append(&c->body, data, len);
	return c->body_error == 0 ? len : 0;
}

/*
 * A line of a head; the empty one ends it.  Another head may follow a 1xx or a
 * proxy's, and trailers may follow the body.
 */
static size_t
header_cb(char *data, size_t one, size_t len, void *arg)
{
	struct upstream_call *c = arg;

	(void)one;
	c->head_len += len;
	if (c->head_len > HEAD_MAX) {
		c->head_odd = true;
		return 0;
	}
	if (len > 0 && (data[0] == '\r' || data[0] == '\n'))
		c->head_done = true;
	else if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		c->head_done = false;
		/* to curl what follows a 101 is anything, up to the close */
		if (status_of(c) == 101) {
			c->head_odd = true;
			return 0;
		}
	}
	return len;
}

/* --- setting up a transfer --- */

static bool
key_sane(const struct secmem *key)
{
	const uint8_t *p = secmem_bytes(key);
	size_t i;

	for (i = 0; i < secmem_len(key); i++) {
		if (p[i] <= 0x20 || p[i] >= 0x7f)
			return false;
	}
	return i > 0;
}

/* One more line; there is room for it. */
static void
headers_add(struct headers *h, const char *name, const void *value, size_t len)
{
	struct curl_slist *line = &h->lines[h->count];
	char *text = h->text + h->len;
	size_t start = strlen(name);

	memcpy(text, name, start);
	if (len > 0)
		memcpy(text + start, value, len);
	text[start + len] = '\0';
	h->len += start + len + 1;
	*line = (struct curl_slist){text, NULL};
	if (h->count++ > 0)
		line[-1].next = line;
}

static void
headers_add_type(struct headers *h, const char *name, struct view type)
{
	if (type.len > 0)
		headers_add(h, name, type.p, type.len);
	else
		headers_add(h, name, JSON_TYPE, sizeof(JSON_TYPE) - 1);
}

/*
 * Nothing else goes out but these, and what curl makes of the rest.  Expect:
 * is left out: a 417 would have curl send the request twice.
 */
static struct headers *
headers_new(const struct secmem *key, const struct upstream_relay *relay)
{
	static const char names[] = "X-Api-Key: Accept: Content-Type: "
	    "X-Allow-Csprng: true" "Expect:";
	static const struct upstream_relay none;
	struct headers *h;

	if (relay == NULL)
		relay = &none;
	h = secmem_malloc(sizeof(*h) + sizeof(names) + HEADERS_MAX +
	    secmem_len(key) + relay->accept.len + relay->content_type.len +
	    2 * sizeof(JSON_TYPE));
	if (h == NULL)
		return NULL;
	h->count = h->len = 0;
	if (!relay->without_key)
		headers_add(h, "X-Api-Key: ", secmem_bytes(key),
		    secmem_len(key));
	headers_add_type(h, "Accept: ", relay->accept);
	if (relay == &none)
		return h;
	if (relay->has_body)
		headers_add_type(h, "Content-Type: ", relay->content_type);
	else
		headers_add(h, "Content-Type:", NULL, 0);
	headers_add(h, "Expect:", NULL, 0);
	if (relay->allow_csprng)
		headers_add(h, "X-Allow-Csprng: true", NULL, 0);
	return h;
}

static int
make_url(const struct upstream_call *c, char *ret, size_t size)
{
	const struct upstream_request *r = &c->req;
	const char *url = c->http->cfg.url;
	const char *format = ref_format_name(r->format);
	int n = -1;

	switch (r->op) {
	case UPSTREAM_READ_SECRET:
		if (r->version == 0)
			n = snprintf(ret, size, "%s/secrets/%s?include=all",
			    url, c->id);
		else
			n = snprintf(ret, size, "%s/secrets/%s?include=all"
			    "&version=%llu", url, c->id,
			    (unsigned long long)r->version);
		break;
	case UPSTREAM_READ_KEY:
		/* A JWK takes no include, JSON needs no format. */
		n = snprintf(ret, size, "%s/keys/%s/public?%s%s%s", url, c->id,
		    r->format == REF_FORMAT_JWK ? "" : "include=all",
		    r->format == REF_FORMAT_JWK ? "format=" :
		    r->format == REF_FORMAT_JSON ? "" : "&format=",
		    r->format == REF_FORMAT_JSON ? "" : format);
		break;
	case UPSTREAM_LIST_SECRETS:
		n = snprintf(ret, size, "%s/secrets?page=%u&pageSize=%u"
		    "&includeInactive=true", url, r->page, r->page_size);
		break;
	case UPSTREAM_LIST_KEYS:
		n = snprintf(ret, size, "%s/keys?page=%u&pageSize=%u", url,
		    r->page, r->page_size);
		break;
	case UPSTREAM_RELAY:
		return upstream_relay_url(c, ret, size);
	}
	return n < 0 || (size_t)n >= size ? ERR_INTERNAL : 0;
}

/*
 * TLS is verified, always.  Without a directory of certificates curl keeps
 * the parsed bundle for all connections; else each takes 800 KiB of its own.
 */
static void
set_tls(struct upstream_call *c)
{
	const struct upstream_http_config *cfg = &c->http->cfg;

	UPSTREAM_SET(c, CURLOPT_SSL_VERIFYPEER, 1L);
	UPSTREAM_SET(c, CURLOPT_SSL_VERIFYHOST, 2L);
	UPSTREAM_SET(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	UPSTREAM_SET(c, CURLOPT_CAPATH, NULL);
	UPSTREAM_SET(c, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (cfg->ca_file != NULL)
		UPSTREAM_SET(c, CURLOPT_CAINFO, cfg->ca_file);
	if (cfg->pinned_public_key != NULL)
		UPSTREAM_SET(c, CURLOPT_PINNEDPUBLICKEY, cfg->pinned_public_key);
}

/* "" and not NULL: the latter would have curl look into the environment. */
static void
set_proxy(struct upstream_call *c)
{
	const char *proxy = c->http->cfg.proxy;

	UPSTREAM_SET(c, CURLOPT_PROXY, proxy == NULL ? "" : proxy);
	UPSTREAM_SET(c, CURLOPT_NOPROXY, "");
	UPSTREAM_SET(c, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
	UPSTREAM_SET(c, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
	UPSTREAM_SET(c, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	UPSTREAM_SET(c, CURLOPT_PROXY_CAPATH, NULL);
	if (c->http->cfg.ca_file != NULL)
		UPSTREAM_SET(c, CURLOPT_PROXY_CAINFO, c->http->cfg.ca_file);
	/* The key is for the service, not for the proxy. */
	UPSTREAM_SET(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
}

/*
 * HTTP/1.1: the HTTP/2 library takes its memory elsewhere.  QUICK_EXIT: when a
 * transfer ends while its name is looked up, curl would wait for the thread.
 */
static void
set_transfer(struct upstream_call *c, const char *url)
{
	UPSTREAM_SET(c, CURLOPT_URL, url);
	UPSTREAM_SET(c, CURLOPT_PRIVATE, c);
	UPSTREAM_SET(c, CURLOPT_NOSIGNAL, 1L);
	UPSTREAM_SET(c, CURLOPT_QUICK_EXIT, 1L);
	UPSTREAM_SET(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	UPSTREAM_SET(c, CURLOPT_PROTOCOLS_STR, "http,https");
	UPSTREAM_SET(c, CURLOPT_FOLLOWLOCATION, 0L);
	UPSTREAM_SET(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	UPSTREAM_SET(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	UPSTREAM_SET(c, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms);
	UPSTREAM_SET(c, CURLOPT_TIMEOUT_MS, (long)c->total_ms);
	UPSTREAM_SET(c, CURLOPT_USERAGENT, "qapi-agent/" PACKAGE_VERSION);
	UPSTREAM_SET(c, CURLOPT_HTTPHEADER, c->headers->lines);
	UPSTREAM_SET(c, CURLOPT_WRITEFUNCTION, write_cb);
	UPSTREAM_SET(c, CURLOPT_WRITEDATA, c);
	UPSTREAM_SET(c, CURLOPT_HEADERFUNCTION, header_cb);
	UPSTREAM_SET(c, CURLOPT_HEADERDATA, c);
}

/* key: to ask with; not needed afterwards. */
static int
call_setup(struct upstream_call *c, const struct secmem *key)
{
	const struct upstream_relay *relay = c->req.relay;
	size_t size = strlen(c->http->cfg.url) + URL_EXTRA +
	    (relay != NULL ? relay->target.len : 0);
	char *url;
	int r;

	if (!key_sane(key))
		return ERR_INTERNAL;
	c->easy = curl_easy_init();
	c->headers = headers_new(key, relay);
	url = secmem_malloc(size); /* that of a share link is a secret */
	if (c->easy == NULL || c->headers == NULL || url == NULL) {
		r = ERR_NOMEM;
	} else if ((r = make_url(c, url, size)) == 0) {
		set_transfer(c, url);
		set_tls(c);
		set_proxy(c);
		if (relay != NULL)
			r = upstream_relay_set(c);
		if (c->setup != CURLE_OK)
			r = c->setup == CURLE_OUT_OF_MEMORY ? ERR_NOMEM :
			    ERR_INTERNAL;
	}
	secmem_free(url);
	return r;
}

/* The caller's bound, if there is one, bounds connecting as well. */
static void
set_limits(struct upstream_call *c, uint64_t timeout_ms)
{
	const struct upstream_http_config *cfg = &c->http->cfg;

	c->connect_ms = cfg->connect_timeout_ms;
	c->total_ms = cfg->request_timeout_ms;
	if (timeout_ms != 0 && timeout_ms < c->total_ms)
		c->total_ms = timeout_ms;
	if (c->connect_ms > c->total_ms)
		c->connect_ms = c->total_ms;
}

static struct upstream_call *
call_new(struct upstream_http *http, const struct upstream_request *req)
{
	struct upstream_call *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->http = http;
	c->req = *req;
	if (req->id.len > 0)
		memcpy(c->id, req->id.p, req->id.len);
	c->req.id.p = (const uint8_t *)c->id;
	c->req.key = NULL; /* is the caller's */
	set_limits(c, req->timeout_ms);
	secbuf_init(&c->body, http->cfg.max_response);
	TAILQ_INSERT_TAIL(&http->calls, c, next);
	return c;
}

/* --- struct upstream_ops --- */

static struct upstream_http *
http_of(struct upstream *up)
{
	return (struct upstream_http *)up; /* its first member */
}

static int
http_start(struct upstream *up, const struct upstream_request *req,
    upstream_cb *cb, void *arg, struct upstream_call **ret_call)
{
	struct upstream_request r = *req;
	struct upstream_call *c;
	int error;

	if (r.op != UPSTREAM_RELAY)
		r.relay = NULL;
	if (r.op == UPSTREAM_READ_SECRET || r.op == UPSTREAM_READ_KEY) {
		if (!upstream_id_valid(r.id))
			return ERR_BAD_REQUEST;
	} else {
		r.id = (struct view){NULL, 0};
	}
	if (r.relay != NULL && upstream_relay_check(r.relay) != 0)
		return ERR_BAD_REQUEST;
	if ((c = call_new(http_of(up), &r)) == NULL)
		return ERR_NOMEM;
	c->cb = cb;
	c->arg = arg;
	if ((error = call_setup(c, req->key != NULL ? req->key :
	    &c->http->key)) != 0 ||
	    (error = curl_loop_add(c->http->loop, c->easy)) != 0) {
		call_free(c);
		return error;
	}
	c->http->to_scrub = true; /* the first step handles the key */
	*ret_call = c;
	return 0;
}

static void
http_cancel(struct upstream *up, struct upstream_call *call)
{
	(void)up;
	curl_loop_remove(call->http->loop, call->easy);
	call_free(call);
}

static void
http_set_key(struct upstream *up, struct secmem *key)
{
	struct upstream_http *http = http_of(up);

	/* Transfers under way have headers of their own. */
	secmem_free_bytes(&http->key);
	secmem_move(&http->key, key);
}

static void
free_config(struct upstream_http_config *cfg)
{
	free((char *)(uintptr_t)cfg->url);
	free((char *)(uintptr_t)cfg->ca_file);
	free((char *)(uintptr_t)cfg->pinned_public_key);
	free((char *)(uintptr_t)cfg->proxy);
}

static void
http_free(struct upstream *up)
{
	struct upstream_http *http = http_of(up);

	if (http->retired != NULL)
		http_free(&http->retired->up);
	while (!TAILQ_EMPTY(&http->calls))
		http_cancel(up, TAILQ_FIRST(&http->calls));
	curl_loop_free(http->loop);
	secmem_free_bytes(&http->key);
	free_config(&http->cfg);
	free(http);
}

static const struct upstream_ops http_ops = {
	.start = http_start,
	.cancel = http_cancel,
	.set_key = http_set_key,
	.free = http_free,
};

/* --- the whole --- */

/* False for no memory; NULL stays NULL. */
static bool
copy_text(const char **ret, const char *text)
{
	*ret = NULL;
	return text == NULL || (*ret = strdup(text)) != NULL;
}

static bool
copy_config(struct upstream_http_config *dst,
    const struct upstream_http_config *src)
{
	bool copied = true;

	*dst = *src;
	copied &= copy_text(&dst->url, src->url);
	copied &= copy_text(&dst->ca_file, src->ca_file);
	copied &= copy_text(&dst->pinned_public_key, src->pinned_public_key);
	copied &= copy_text(&dst->proxy, src->proxy);
	if (dst->connect_timeout_ms > LONG_MAX)
		dst->connect_timeout_ms = LONG_MAX;
	if (dst->request_timeout_ms > LONG_MAX)
		dst->request_timeout_ms = LONG_MAX;
	return copied;
}

/* host and port for messages, as the url has them. */
static void
set_host(struct upstream_http *http)
{
	const char *p = strstr(http->cfg.url, "://");

	p = p == NULL ? http->cfg.url : p + 3;
	(void)snprintf(http->host, sizeof(http->host), "%.*s",
	    (int)strcspn(p, "/?#"), p);
}

int
upstream_http_new(struct event_base *base,
    const struct upstream_http_config *cfg, struct secmem *key,
    struct upstream **ret_up)
{
	struct upstream_http *http;

	if ((http = calloc(1, sizeof(*http))) == NULL)
		return ERR_NOMEM;
	http->up.ops = &http_ops;
	http->base = base;
	TAILQ_INIT(&http->calls);
	if (!copy_config(&http->cfg, cfg) ||
	    (http->loop = curl_loop_new(base, cfg->max_connections, done_cb,
	    after_cb, http)) == NULL) {
		http_free(&http->up);
		return ERR_NOMEM;
	}
	set_host(http);
	secmem_move(&http->key, key);
	*ret_up = &http->up;
	return 0;
}

/* --- other settings --- */

/* Those whose last call is over: the loop of none is on the stack by now. */
static void
free_retired(struct upstream_http *http)
{
	struct upstream_http **at = &http->retired, *old;

	while ((old = *at) != NULL) {
		if (!TAILQ_EMPTY(&old->calls)) {
			at = &old->retired;
			continue;
		}
		*at = old->retired;
		old->retired = NULL;
		http_free(&old->up);
	}
}

/*
 * What was in force goes to an object of its own, along with the calls under
 * way and all connections: none of the latter is used under other settings.
 */
int
upstream_http_configure(struct upstream *up,
    const struct upstream_http_config *cfg)
{
	struct upstream_http *http = http_of(up), *old;
	struct upstream_http_config fresh;
	struct upstream_call *c;
	struct curl_loop *loop;

	old = calloc(1, sizeof(*old));
	loop = curl_loop_new(http->base, cfg->max_connections, done_cb,
	    after_cb, http);
	if (!copy_config(&fresh, cfg) || old == NULL || loop == NULL) {
		curl_loop_free(loop);
		free_config(&fresh);
		free(old);
		return ERR_NOMEM;
	}
	*old = *http;
	old->key = (struct secmem){ NULL, 0 };	/* calls have their own */
	TAILQ_INIT(&old->calls);
	TAILQ_CONCAT(&old->calls, &http->calls, next);
	TAILQ_FOREACH(c, &old->calls, next)
		c->http = old;
	http->retired = old;
	http->cfg = fresh;
	http->loop = loop;
	set_host(http);
	free_retired(http);
	return 0;
}
