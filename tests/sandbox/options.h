/*
 * The command line.
 */
#ifndef SANDBOX_OPTIONS_H
#define SANDBOX_OPTIONS_H

#include <stddef.h>
#include <sys/socket.h>

struct options {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char host[72];        /* as it goes into a URL */
	const char *tls_cert; /* NULL: plain HTTP */
	const char *tls_key;
	const char *seed;      /* NULL: none */
	const char **api_keys; /* "KEY:scope,scope" */
	size_t n_api_keys;
	long per_minute; /* requests with each key; 0: no limit */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE,  /* --help or --version has been printed */
	OPTIONS_USAGE, /* a message has been printed */
	OPTIONS_REFUSED,
};

/* Read the command line; texts are borrowed from argv. */
enum options_result options_parse(struct options *o, int argc, char **argv);
void options_done(struct options *o);

#endif
