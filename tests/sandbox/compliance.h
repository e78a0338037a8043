/*
 * The compliance dashboard: fixed checks of four frameworks, whose status a
 * seed may set, and the risks that have been accepted.
 */
#ifndef SANDBOX_COMPLIANCE_H
#define SANDBOX_COMPLIANCE_H

#include <jansson.h>
#include <stdbool.h>

struct apply_problem;
struct compliance;
struct tenant;

struct compliance *compliance_new(void);
void compliance_free(struct compliance *cm);

/*
 * {"framework", "checkId", "status"} of a seed's compliance, and one of its
 * riskAcceptances. false: *ret_problem is set.
 */
bool compliance_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);
bool compliance_seed_acceptance(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
