#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "options.h"

#include "api_keys.h"
#include "mem.h"
#include "suggest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unreleased"
#endif

#define OPTIONS_LISTEN "127.0.0.1:8480"

struct option_row {
	const char *name;
	int n_args;
	enum options_result (*set)(struct options *o, char **args);
};

static const char help[] =
    "Usage: qapi-sandbox [--listen 127.0.0.1:PORT] [--tls CERT KEY]\n"
    "                    [--seed FILE.json] [--api-key KEY:scope,scope]...\n"
    "                    [--rate-limit N]\n"
    "A stand-in for the QuantumAPI service, in memory, on loopback.\n"
    "\n"
    "  --listen ADDRESS:PORT  where to listen (" OPTIONS_LISTEN "); only\n"
    "                         loopback addresses, [::1]:PORT too; port 0 is\n"
    "                         any free one\n"
    "  --tls CERT KEY         serve https with this certificate chain and\n"
    "                         key, two PEM files\n"
    "  --seed FILE            start from {\"secrets\": [...], \"keys\": [...],\n"
    "                         \"apiKeys\": [{\"key\", \"scopes\"}], ...}\n"
    "  --api-key KEY:SCOPES   an API key and its scopes, comma-separated; *\n"
    "                         is all of them; may be given several times\n"
    "  --rate-limit N         requests a minute with each API key, told in\n"
    "                         X-RateLimit-*; more are 429 (0: no limit)\n"
    "  --help, --version\n"
    "\n"
    "Without --api-key and without apiKeys in the seed there is one key with\n"
    "all scopes: " API_KEYS_BUILT_IN "\n"
    "\n"
    "When it can serve it prints one line, \"qapi-sandbox: listening on URL\".\n"
    "The service is below URL/api/v1, controls for tests (faults, counts,\n"
    "changes) are below URL/_sandbox; GET /_sandbox/endpoints lists it all.\n"
    "Cryptography is real for Ed25519, X25519, RSA, ECDSA, AES and HMAC;\n"
    "ML-KEM, ML-DSA and SLH-DSA keys are random bytes of the right size.\n";

static enum options_result
set_help(struct options *o, char **args)
{
	(void)o;
	(void)args;
	fputs(help, stdout);
	return OPTIONS_DONE;
}

static enum options_result
set_version(struct options *o, char **args)
{
	(void)o;
	(void)args;
	puts("qapi-sandbox " PACKAGE_VERSION);
	return OPTIONS_DONE;
}

/* Split "host:port" or "[host]:port". */
static bool
split_host(const char *s, char *host, size_t size, unsigned int *ret_port)
{
	const char *colon = strrchr(s, ':'), *end;
	size_t n;
	long port;
	char *rest;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtol(colon + 1, &rest, 10);
	if (*rest != '\0' || port > UINT16_MAX)
		return false;
	end = colon;
	if (*s == '[') {
		s++;
		if (end == s || *--end != ']')
			return false;
	}
	n = (size_t)(end - s);
	if (n == 0 || n >= size)
		return false;
	memcpy(host, s, n);
	host[n] = '\0';
	*ret_port = (unsigned int)port;
	return true;
}

static bool
set_address(struct options *o, const char *host, unsigned int port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&o->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->addr;

	memset(&o->addr, 0, sizeof(o->addr));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		o->addr_len = sizeof(*v4);
		(void)snprintf(o->host, sizeof(o->host), "%s", host);
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		o->addr_len = sizeof(*v6);
		(void)snprintf(o->host, sizeof(o->host), "[%s]", host);
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	}
	return false;
}

static enum options_result
set_listen(struct options *o, char **args)
{
	char host[64];
	unsigned int port;

	if (!split_host(args[0], host, sizeof(host), &port)) {
		fprintf(stderr,
		    "qapi-sandbox: --listen %s: give it as 127.0.0.1:PORT\n",
		    args[0]);
		return OPTIONS_USAGE;
	}
	if (!set_address(o, host, port)) {
		fprintf(stderr,
		    "qapi-sandbox: --listen %s: only loopback addresses may be "
		    "listened on: use 127.0.0.1:%u\n",
		    args[0], port);
		return OPTIONS_REFUSED;
	}
	return OPTIONS_RUN;
}

static enum options_result
set_tls(struct options *o, char **args)
{
	o->tls_cert = args[0];
	o->tls_key = args[1];
	return OPTIONS_RUN;
}

static enum options_result
set_seed(struct options *o, char **args)
{
	o->seed = args[0];
	return OPTIONS_RUN;
}

static enum options_result
set_api_key(struct options *o, char **args)
{
	const char *colon = strchr(args[0], ':');

	if (colon == NULL || colon == args[0]) {
		fputs("qapi-sandbox: --api-key: give it as KEY:scope,scope "
		      "(KEY:* for all scopes)\n",
		    stderr);
		return OPTIONS_USAGE;
	}
	o->api_keys =
	    mem_grow(o->api_keys, o->n_api_keys + 1, sizeof(*o->api_keys));
	o->api_keys[o->n_api_keys++] = args[0];
	return OPTIONS_RUN;
}

static enum options_result
set_rate_limit(struct options *o, char **args)
{
	char *end;

	o->per_minute = strtol(args[0], &end, 10);
	if (end != args[0] && *end == '\0' && o->per_minute >= 0 &&
	    o->per_minute <= INT32_MAX)
		return OPTIONS_RUN;
	fprintf(stderr,
	    "qapi-sandbox: --rate-limit %s: give requests a minute, from 0\n",
	    args[0]);
	return OPTIONS_USAGE;
}

static const struct option_row rows[] = {
    {"--listen", 1, set_listen},
    {"--tls", 2, set_tls},
    {"--seed", 1, set_seed},
    {"--api-key", 1, set_api_key},
    {"--rate-limit", 1, set_rate_limit},
    {"--help", 0, set_help},
    {"--version", 0, set_version},
};

#define N_ROWS (sizeof(rows) / sizeof(*rows))

static const struct option_row *
find_row(const char *arg, size_t name_len)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (strlen(rows[i].name) == name_len &&
		    memcmp(rows[i].name, arg, name_len) == 0)
			return &rows[i];
	}
	return NULL;
}

static enum options_result
unknown(const char *arg, size_t name_len)
{
	char *name = mem_bytes(arg, name_len);
	const char *near = suggest_name(name, rows, N_ROWS, sizeof(*rows));

	if (*arg != '-')
		fprintf(stderr, "qapi-sandbox: unexpected argument: %s\n", arg);
	else if (near != NULL)
		fprintf(stderr,
		    "qapi-sandbox: unknown option %s: did you mean %s?\n", name,
		    near);
	else
		fprintf(stderr, "qapi-sandbox: unknown option %s: see --help\n",
		    name);
	free(name);
	return OPTIONS_USAGE;
}

/* One option and its arguments; steps *i over them. */
static enum options_result
parse_one(struct options *o, int argc, char **argv, int *i)
{
	char *arg = argv[*i], *args[2] = {NULL, NULL};
	size_t name_len = strcspn(arg, "=");
	const struct option_row *row = find_row(arg, name_len);
	int n = 0;

	if (row == NULL)
		return unknown(arg, name_len);
	if (arg[name_len] == '=' && row->n_args > 0)
		args[n++] = arg + name_len + 1;
	else if (arg[name_len] == '=')
		return unknown(arg, strlen(arg));
	while (n < row->n_args && *i + 1 < argc)
		args[n++] = argv[++*i];
	if (n < row->n_args) {
		fprintf(stderr, "qapi-sandbox: %s needs %s\n", row->name,
		    row->n_args == 1 ? "an argument" : "two arguments");
		return OPTIONS_USAGE;
	}
	return row->set(o, args);
}

enum options_result
options_parse(struct options *o, int argc, char **argv)
{
	static char listen_default[] = OPTIONS_LISTEN;
	char *args[1] = {listen_default};

	memset(o, 0, sizeof(*o));
	(void)set_listen(o, args);
	for (int i = 1; i < argc; i++) {
		enum options_result r = parse_one(o, argc, argv, &i);

		if (r != OPTIONS_RUN)
			return r;
	}
	return OPTIONS_RUN;
}

void
options_done(struct options *o)
{
	free(o->api_keys);
	memset(o, 0, sizeof(*o));
}
