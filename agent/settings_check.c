#include "config.h"

#include "settings_check.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "glob.h"
#include "ref.h"
#include "text.h"

/* NUL, 16 hex digits, "/unit/", UNIT, "/", ID: at most 107 bytes. */
#define CREDENTIAL_ADDRESS_MAX 107
#define CREDENTIAL_ADDRESS_REST (1 + 16 + 6 + 1)
#define CREDENTIAL_NAME_MAX 255

static int __attribute__((format(printf, 3, 4)))
bad(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return ERR_BAD_REQUEST;
}

static bool
starts_with(const char **p, const char *start)
{
	size_t n = strlen(start);

	if (strncasecmp(*p, start, n) != 0)
		return false;
	*p += n;
	return true;
}

/* --- HOST[:PORT] --- */

struct authority {
	char host[256];		/* without brackets */
	bool is_v6;
	unsigned int port;	/* 0: none given */
};

static bool
parse_port(const char *p, size_t len, unsigned int *ret)
{
	unsigned int port = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		port = port * 10 + (unsigned int)(p[i] - '0');
		if (port > 65535)
			return false;
	}
	*ret = port;
	return port > 0;
}

static bool
is_host_name(const char *host)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";

	return host[0] != '\0' && host[strspn(host, letters)] == '\0';
}

static bool
parse_authority(const char *p, size_t len, struct authority *ret)
{
	struct in6_addr v6;
	const char *end;
	size_t n;

	ret->port = 0;
	ret->is_v6 = len > 0 && *p == '[';
	if (ret->is_v6) {
		end = memchr(p, ']', len);
		if (end == NULL)
			return false;
		n = (size_t)(end - p) + 1;
	} else {
		end = memchr(p, ':', len);
		n = end == NULL ? len : (size_t)(end - p);
	}
	if (n >= sizeof(ret->host))
		return false;
	if (n < len && (p[n] != ':' ||
			   !parse_port(p + n + 1, len - n - 1, &ret->port)))
		return false;
	if (ret->is_v6) {
		memcpy(ret->host, p + 1, n - 2);
		ret->host[n - 2] = '\0';
		return inet_pton(AF_INET6, ret->host, &v6) == 1;
	}
	memcpy(ret->host, p, n);
	ret->host[n] = '\0';
	return is_host_name(ret->host);
}

static bool
is_loopback(const struct authority *a)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (a->is_v6)
		return inet_pton(AF_INET6, a->host, &v6) == 1 &&
		    IN6_IS_ADDR_LOOPBACK(&v6);
	if (strcasecmp(a->host, "localhost") == 0)
		return true;
	return inet_pton(AF_INET, a->host, &v4) == 1 &&
	    ntohl(v4.s_addr) >> 24 == 127;
}

/* --- values --- */

static bool
is_graphic(const char *p)
{
	for (; *p != '\0'; p++) {
		if (*p <= 0x20 || *p >= 0x7f)
			return false;
	}
	return true;
}

int
settings_check_url(const char *value, char *why, size_t why_size)
{
	struct authority a;
	const char *p = value;
	bool plain;

	plain = starts_with(&p, "http://");
	if (!plain && !starts_with(&p, "https://"))
		return bad(why, why_size,
		    "write https://HOST[:PORT]/PATH");
	if (!is_graphic(p) || strchr(p, '\\') != NULL)
		return bad(why, why_size,
		    "a URL has no blanks and ASCII only");
	if (memchr(p, '@', strcspn(p, "/?#")) != NULL)
		return bad(why, why_size,
		    "a user or password has no place in it: the API key is "
		    "in api-key-file=");
	if (strpbrk(p, "?#") != NULL)
		return bad(why, why_size,
		    "write it without a query ('?') or fragment ('#')");
	if (!parse_authority(p, strcspn(p, "/"), &a))
		return bad(why, why_size,
		    "the host or port is malformed: write "
		    "https://HOST[:PORT]/PATH");
	if (plain && !is_loopback(&a))
		return bad(why, why_size,
		    "it must be https: plain http would send the API key in "
		    "the clear, and is for loopback addresses only");
	return 0;
}

int
settings_check_proxy(const char *value, char *why, size_t why_size)
{
	static const char *const schemes[] = {"http://", "https://",
	    "socks4://", "socks4a://", "socks5://", "socks5h://"};
	struct authority a;
	const char *p = value;
	const char *at;
	size_t len;
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (starts_with(&p, schemes[i]))
			break;
	}
	len = strcspn(p, "/");
	at = memrchr(p, '@', len);
	if (at != NULL) {
		len -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	if (!is_graphic(value) || strstr(p, "://") != NULL ||
	    p[len + strspn(p + len, "/")] != '\0' ||
	    !parse_authority(p, len, &a))
		return bad(why, why_size,
		    "write [SCHEME://][USER:PASSWORD@]HOST[:PORT], where "
		    "SCHEME is http, https, socks4, socks4a, socks5 or "
		    "socks5h");
	return 0;
}

/* BASE64 of 32 bytes: 43 digits, of which the last has 2 zero bits, and '='. */
static bool
is_sha256(const char *p, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz"
				     "0123456789+/";

	return len == 44 && strspn(p, digits) == 43 && p[43] == '=' &&
	    (strchr(digits, p[42]) - digits) % 4 == 0;
}

int
settings_check_pin(const char *value, char *why, size_t why_size)
{
	const char *p = value;
	size_t len;

	for (;;) {
		if (strncmp(p, "sha256//", 8) != 0)
			break;
		p += 8;
		len = strcspn(p, ";");
		if (!is_sha256(p, len))
			break;
		p += len;
		if (*p == '\0')
			return 0;
		p++;
	}
	return bad(why, why_size,
	    "write sha256//BASE64, where BASE64 is the SHA-256 hash of the "
	    "server's public key in 44 characters; several are joined by ';'");
}

int
settings_check_listen(const char *value, char *why, size_t why_size)
{
	struct authority a;

	if (!parse_authority(value, strlen(value), &a) || a.port == 0)
		return bad(why, why_size, "write 127.0.0.1:PORT");
	if (!is_loopback(&a))
		return bad(why, why_size,
		    "it may be a loopback address only: write 127.0.0.1:PORT");
	if (!a.is_v6 && a.host[0] != '1')
		return bad(why, why_size,
		    "write the address as a number: 127.0.0.1:PORT");
	return 0;
}

/* --- references --- */

static int
check_reference(const char *text, char *why, size_t why_size)
{
	const char *reason = "malformed";
	struct ref *ref;
	int r;

	ref = malloc(sizeof(*ref)); /* large for a stack */
	if (ref == NULL)
		return ERR_NOMEM;
	r = ref_parse(text, strlen(text), ref, &reason);
	free(ref);
	return r == 0 ? 0 : bad(why, why_size, "%s", reason);
}

static int
check_preload_item(const char *item, char *why, size_t why_size)
{
	size_t len = strlen(item);
	char shown[100];
	char reason[200];
	int r;

	(void)text_printable(item, len, shown, sizeof(shown));
	if (len == 0)
		return bad(why, why_size,
		    "there is nothing between two commas");
	if (!ref_is_reference(item, len))
		return len <= REF_NAME_MAX ? 0 :
		    bad(why, why_size, "\"%s\": a name has at most %d bytes",
			shown, REF_NAME_MAX);
	r = check_reference(item, reason, sizeof(reason));
	return r != ERR_BAD_REQUEST ? r :
	    bad(why, why_size, "\"%s\": %s", shown, reason);
}

static int
check_path_item(const char *item, char *why, size_t why_size)
{
	if (item[0] == '\0')
		return bad(why, why_size,
		    "there is nothing between two commas");
	if (item[0] != '/')
		return bad(why, why_size,
		    "write absolute paths: the agent runs in /");
	return 0;
}

/* Items between commas, without the blanks around them. */
static int
check_list(const char *value, settings_check_fn *check_item,
    char ***ret_list, size_t *ret_n, char *why, size_t why_size)
{
	const char *p = value;
	char **list;
	size_t commas = 0;
	size_t len;
	size_t next;
	int r;

	for (next = 0; value[next] != '\0'; next++)
		commas += value[next] == ',';
	*ret_n = 0;
	*ret_list = calloc(commas + 2, sizeof(**ret_list));
	if (*ret_list == NULL)
		return ERR_NOMEM;
	list = *ret_list;
	for (;; p += next + 1) {
		next = strcspn(p, ",");
		len = strspn(p, " \t");
		if (len > next)
			len = next;
		list[*ret_n] = strndup(p + len, next - len);
		if (list[*ret_n] == NULL)
			return ERR_NOMEM;
		len = strlen(list[*ret_n]);
		while (len > 0 && strchr(" \t", list[*ret_n][len - 1]) != NULL)
			list[*ret_n][--len] = '\0';
		r = check_item(list[(*ret_n)++], why, why_size);
		if (r != 0 || p[next] == '\0')
			return r;
	}
}

int
settings_check_preload(const char *value, char ***ret_list, size_t *ret_n,
    char *why, size_t why_size)
{
	return check_list(value, check_preload_item, ret_list, ret_n, why,
	    why_size);
}

int
settings_check_paths(const char *value, char ***ret_list, size_t *ret_n,
    char *why, size_t why_size)
{
	return check_list(value, check_path_item, ret_list, ret_n, why,
	    why_size);
}

static int
check_credential_name(const char *name, char *why, size_t why_size)
{
	size_t len = strlen(name);

	if (len == 0 || len > CREDENTIAL_NAME_MAX || !is_graphic(name) ||
	    strpbrk(name, "/:*?") != NULL || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return bad(why, why_size,
		    "the id of a credential is a file name without '/' and "
		    "':', as in LoadCredential=");
	return 0;
}

int
settings_check_credential(const char *unit_glob, const char *name,
    const char *reference, char *why, size_t why_size)
{
	size_t room = CREDENTIAL_ADDRESS_MAX - CREDENTIAL_ADDRESS_REST;
	size_t len = glob_min_len(unit_glob) + strlen(name);
	int r;

	if ((r = check_credential_name(name, why, why_size)) != 0)
		return r;
	if (len > room)
		return bad(why, why_size,
		    "the names of unit and credential have %zu bytes together "
		    "and systemd's address for them has room for %zu: shorten "
		    "one", len, room);
	if (!ref_is_reference(reference, strlen(reference)))
		return bad(why, why_size,
		    "write a reference, as qapi://secrets/NAME");
	return check_reference(reference, why, why_size);
}
