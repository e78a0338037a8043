/*
 * The X.509 authorities of a tenant, and the certificates they have issued.
 */
#ifndef SANDBOX_PKI_H
#define SANDBOX_PKI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct apply_problem;
struct pki;
struct tenant;

struct pki *pki_new(void);
void pki_free(struct pki *p);

/* How many certificates there are, the authorities' own too, and their size. */
void pki_measure(const struct pki *p, int64_t *ret_items, int64_t *ret_bytes);

/*
 * One of a seed's cas or certificates: the request that makes it, with an id
 * of its choice. false: *ret_problem is set.
 */
bool pki_seed_ca(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);
bool pki_seed_certificate(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
