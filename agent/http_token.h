/*
 * The local token: what lets a program in that comes over loopback, where
 * the kernel does not say who it is.
 */
#ifndef AGENT_HTTP_TOKEN_H
#define AGENT_HTTP_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "secmem.h"

#define HTTP_TOKEN_MIN 16	/* characters of one that somebody wrote */
#define HTTP_TOKEN_MAX 1024
#define HTTP_TOKEN_BYTES 32	/* random ones, in hexadecimal, of ours */

/*
 * Read the token; if there is no file of that name, make one with a new token
 * first: 0600, complete from the moment it is there, and on disk.  One that
 * others can access, or whose content is no token, is refused.
 * Returns 0, or an ERR_* with a sentence in why: never a byte of it.
 */
int http_token_load(const char *path, struct secmem *ret_token, char *why,
    size_t why_size);

/* Is it what was given?  The time depends on given alone.  An empty token
 * fits nothing. */
bool http_token_fits(const struct secmem *token, struct view given);

#endif /* AGENT_HTTP_TOKEN_H */
