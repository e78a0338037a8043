/*
 * The SSH authorities of a tenant, and the certificates they have signed.
 */
#ifndef SANDBOX_SSH_H
#define SANDBOX_SSH_H

#include <jansson.h>
#include <stdbool.h>

struct apply_problem;
struct ssh;
struct tenant;

struct ssh *ssh_new(void);
void ssh_free(struct ssh *s);

/*
 * One of a seed's sshCas or sshCertificates: the request that makes it, with
 * an id of its choice. false: *ret_problem is set.
 */
bool ssh_seed_ca(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);
bool ssh_seed_certificate(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
