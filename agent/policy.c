#include "config.h"

#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "err.h"
#include "peer.h"
#include "policy_rule.h"

struct policy {
	struct policy_rule **rules; /* in the order of the file */
	size_t nrules;
	bool root_needs_rule;
	uid_t own_uid;
};

struct policy *
policy_new(bool root_needs_rule)
{
	struct policy *pol;

	pol = calloc(1, sizeof(*pol));
	if (pol == NULL)
		return NULL;
	pol->root_needs_rule = root_needs_rule;
	pol->own_uid = geteuid();
	return pol;
}

void
policy_free(struct policy *pol)
{
	size_t i;

	if (pol == NULL)
		return;
	for (i = 0; i < pol->nrules; i++)
		policy_rule_free(pol->rules[i]);
	free(pol->rules);
	free(pol);
}

void
policy_set_root_needs_rule(struct policy *pol, bool root_needs_rule)
{
	pol->root_needs_rule = root_needs_rule;
}

int
policy_rule_begin(struct policy *pol, const char *title)
{
	struct policy_rule **rules;

	rules = reallocarray(pol->rules, pol->nrules + 1, sizeof(*rules));
	if (rules == NULL)
		return ERR_NOMEM;
	pol->rules = rules;
	rules[pol->nrules] = policy_rule_new(title);
	if (rules[pol->nrules] == NULL)
		return ERR_NOMEM;
	pol->nrules++;
	return 0;
}

int
policy_rule_set(struct policy *pol, const char *key, const char *value,
    char *why, size_t why_size)
{
	return policy_rule_parse(pol->rules[pol->nrules - 1], key, value, why,
	    why_size);
}

int
policy_rule_end(struct policy *pol, char *why, size_t why_size)
{
	if (policy_rule_has_who(pol->rules[pol->nrules - 1]))
		return 0;
	(void)snprintf(why, why_size, "the rule does not say who: add user=, "
				      "group=, unit= or exe= (user=* is "
				      "everyone)");
	return ERR_BAD_REQUEST;
}

/* The title for a peer that needs no rule, NULL for one that does. */
static const char *
exempt(const struct policy *pol, const struct peer *peer)
{
	uid_t uid = peer_uid(peer);

	if (peer_is_http(peer))
		return NULL;
	if (uid == 0)
		return pol->root_needs_rule ? NULL : "root";
	return uid == pol->own_uid ? "agent" : NULL;
}

bool
policy_is_exempt(const struct policy *pol, const struct peer *peer)
{
	return exempt(pol, peer) != NULL;
}

static void
set_title(const char **ret_title, const char *title)
{
	if (ret_title != NULL)
		*ret_title = title;
}

enum policy_verdict
policy_check(const struct policy *pol, struct peer *peer, enum policy_op op,
    enum ref_kind kind, struct view name, struct view id,
    const char **ret_title)
{
	enum policy_verdict best = POLICY_DENIED;
	enum policy_verdict verdict;
	const char *title = exempt(pol, peer);
	size_t i;

	set_title(ret_title, title);
	if (title != NULL)
		return POLICY_ALLOWED;
	for (i = 0; i < pol->nrules; i++) {
		if (!policy_rule_applies(pol->rules[i], peer, op))
			continue;
		verdict = policy_rule_covers(pol->rules[i], kind, name, id);
		if (verdict == POLICY_DENIED || verdict == best)
			continue;
		best = verdict;
		set_title(ret_title, pol->rules[i]->title);
		if (best == POLICY_ALLOWED)
			break;
	}
	return best;
}

bool
policy_covers_all(const struct policy *pol, struct peer *peer,
    enum policy_op op, enum ref_kind kind)
{
	size_t i;

	if (exempt(pol, peer) != NULL)
		return true;
	for (i = 0; i < pol->nrules; i++) {
		if (policy_rule_covers_all(pol->rules[i], kind) &&
		    policy_rule_applies(pol->rules[i], peer, op))
			return true;
	}
	return false;
}

enum policy_verdict
policy_check_call(const struct policy *pol, struct peer *peer,
    const struct policy_call *call, const char **ret_title)
{
	enum policy_verdict best = POLICY_DENIED;
	enum policy_verdict verdict;
	const char *title = exempt(pol, peer);
	size_t i;

	set_title(ret_title, title);
	if (title != NULL)
		return POLICY_ALLOWED;
	for (i = 0; i < pol->nrules && call->path != NULL; i++) {
		if (!policy_rule_covers_path(pol->rules[i], call) ||
		    !policy_rule_applies(pol->rules[i], peer, POLICY_CALL))
			continue;
		verdict = policy_rule_covers_about(pol->rules[i], call);
		if (verdict == POLICY_DENIED || verdict == best)
			continue;
		best = verdict;
		set_title(ret_title, pol->rules[i]->title);
		if (best == POLICY_ALLOWED)
			break;
	}
	return best;
}

/* 0: the rule is not about this peer. */
static unsigned int
closeness(const struct policy_rule *r, struct peer *peer, unsigned int op,
    const struct policy_call *call)
{
	if (!policy_rule_is_about(r, peer))
		return 0;
	if (call != NULL && call->path != NULL && (r->ops & POLICY_CALL) != 0 &&
	    policy_rule_covers_path(r, call))
		return 3;
	if ((r->ops & (op | (call != NULL ? POLICY_CALL : 0u))) != 0)
		return 2;
	return 1;
}

const char *
policy_closest(const struct policy *pol, struct peer *peer, unsigned int op,
    const struct policy_call *call)
{
	const char *title = NULL;
	unsigned int best = 0;
	unsigned int c;
	size_t i;

	for (i = 0; i < pol->nrules; i++) {
		c = closeness(pol->rules[i], peer, op, call);
		if (c > best) {
			best = c;
			title = pol->rules[i]->title;
		}
	}
	return title;
}

bool
policy_may(const struct policy *pol, struct peer *peer, enum policy_op op)
{
	size_t i;

	if (exempt(pol, peer) != NULL)
		return true;
	for (i = 0; i < pol->nrules; i++) {
		if (policy_rule_applies(pol->rules[i], peer, op))
			return true;
	}
	return false;
}
