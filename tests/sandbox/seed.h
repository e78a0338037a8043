/*
 * The file that a tenant starts from.
 */
#ifndef SANDBOX_SEED_H
#define SANDBOX_SEED_H

#include <stdbool.h>

struct tenant;

/*
 * Read the file into the tenant. false: it cannot be used, and a message that
 * says what and where has been printed.
 */
bool seed_load(struct tenant *t, const char *path);

#endif
