#include "config.h"

#include "policy_rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "glob.h"
#include "peer.h"
#include "policy_path.h"
#include "policy_who.h"
#include "text.h"

/* In the order of enum policy_op's bits. */
const char *const policy_operations[] = {"read", "list", "watch", "encrypt",
    "decrypt", "sign", "verify", "call", "admin", NULL};

#define OPERATIONS                                                             \
	(sizeof(policy_operations) / sizeof(policy_operations[0]) - 1)

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH",
    "DELETE", "OPTIONS"};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

struct policy_rule *
policy_rule_new(const char *title)
{
	struct policy_rule *r;

	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->title = strdup(title);
	r->ops = POLICY_READ | POLICY_WATCH;
	if (r->title == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

static void
patterns_free(struct policy_patterns *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		free(list->v[i].glob);
	free(list->v);
}

void
policy_rule_free(struct policy_rule *r)
{
	if (r == NULL)
		return;
	free(r->title);
	free(r->uids);
	free(r->gids);
	patterns_free(&r->units);
	patterns_free(&r->exes);
	patterns_free(&r->secrets);
	patterns_free(&r->keys);
	patterns_free(&r->paths);
	free(r);
}

/* --- parsing --- */

/* One item of a list: into the rule, with a sentence in why on failure. */
typedef int item_fn(struct policy_rule *r, const char *item, char *why,
    size_t why_size);

static int
add_pattern(struct policy_patterns *list, const char *glob,
    const char *method, bool by_id, char *why, size_t why_size)
{
	struct policy_pattern *v;

	if (glob[0] == '\0' || strlen(glob) > GLOB_MAX) {
		(void)snprintf(why, why_size, "a pattern has 1 to %d bytes",
		    GLOB_MAX);
		return ERR_BAD_REQUEST;
	}
	v = reallocarray(list->v, list->n + 1, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM;
	list->v = v;
	v += list->n;
	v->method = method;
	v->by_id = by_id;
	v->glob = strdup(glob);
	if (v->glob == NULL)
		return ERR_NOMEM;
	list->n++;
	return 0;
}

static int
add_thing(struct policy_patterns *list, const char *item, char *why,
    size_t why_size)
{
	bool by_id = strncmp(item, "id:", 3) == 0;

	if (strncmp(item, "qapi:", 5) == 0) {
		(void)snprintf(why, why_size,
		    "rules take names (or id:ID) and no references: write "
		    "what stands between \"qapi://secrets/\" and '?'");
		return ERR_BAD_REQUEST;
	}
	return add_pattern(list, by_id ? item + 3 : item, NULL, by_id, why,
	    why_size);
}

static int
item_unit(struct policy_rule *r, const char *item, char *why, size_t why_size)
{
	return add_pattern(&r->units, item, NULL, false, why, why_size);
}

static int
item_exe(struct policy_rule *r, const char *item, char *why, size_t why_size)
{
	if (item[0] != '/' && item[0] != '*') {
		(void)snprintf(why, why_size, "write the absolute path of the "
					      "program, as /usr/bin/psql");
		return ERR_BAD_REQUEST;
	}
	return add_pattern(&r->exes, item, NULL, false, why, why_size);
}

static int
item_secret(struct policy_rule *r, const char *item, char *why,
    size_t why_size)
{
	return add_thing(&r->secrets, item, why, why_size);
}

static int
item_key(struct policy_rule *r, const char *item, char *why, size_t why_size)
{
	return add_thing(&r->keys, item, why, why_size);
}

static int
item_path(struct policy_rule *r, const char *item, char *why, size_t why_size)
{
	char glob[POLICY_PATH_MAX];
	char word[16];
	size_t len = strcspn(item, " \t");
	const char *rest = item + len + strspn(item + len, " \t");
	const char *near, *wrong;
	size_t i;

	(void)snprintf(word, sizeof(word), "%.*s", (int)len, item);
	for (i = 0; i < METHODS && strcasecmp(methods[i], word) != 0; i++)
		;
	if (*rest == '\0' || (i == METHODS && strcmp(word, "*") != 0)) {
		near = text_nearest(word, methods, METHODS);
		(void)snprintf(why, why_size,
		    "write METHOD GLOB, as \"%s /secrets/**\"; the method * "
		    "is any", near != NULL ? near : "GET");
		return ERR_BAD_REQUEST;
	}
	if (policy_path_pattern(rest, glob, sizeof(glob)) != 0) {
		(void)snprintf(why, why_size, "the pattern is too long");
		return ERR_BAD_REQUEST;
	}
	wrong = policy_path_fault(glob);
	if (wrong != NULL) {
		(void)snprintf(why, why_size, "no request would ever match, "
		    "since %s", wrong);
		return ERR_BAD_REQUEST;
	}
	return add_pattern(&r->paths, glob, i < METHODS ? methods[i] : NULL,
	    false, why, why_size);
}

static int
item_operation(struct policy_rule *r, const char *item, char *why,
    size_t why_size)
{
	const char *near;
	size_t i;

	for (i = 0; i < OPERATIONS; i++) {
		if (strcmp(policy_operations[i], item) == 0) {
			r->ops |= 1U << i;
			return 0;
		}
	}
	near = text_nearest(item, policy_operations, OPERATIONS);
	if (near != NULL)
		(void)snprintf(why, why_size, "did you mean \"%s\"?", near);
	else
		(void)snprintf(why, why_size,
		    "operations are read, list, watch, encrypt, decrypt, "
		    "sign, verify, call and admin");
	return ERR_BAD_REQUEST;
}

const char *const policy_keys[] = {"user", "group", "unit", "exe", "secrets",
    "keys", "paths", "operations", NULL};

/* In the order of policy_keys. */
static item_fn *const item_fns[] = {policy_who_user, policy_who_group,
    item_unit, item_exe, item_secret, item_key, item_path, item_operation};

#define KEYS (sizeof(item_fns) / sizeof(item_fns[0]))

/* Call fn for each item between commas, blanks around it dropped. */
static int
parse_list(struct policy_rule *r, item_fn *fn, char *list, char *why,
    size_t why_size)
{
	char reason[300];
	char shown[100];
	char *item;
	size_t len;
	int ret;

	while ((item = strsep(&list, ",")) != NULL) {
		item += strspn(item, " \t");
		len = strlen(item);
		while (len > 0 && (item[len - 1] == ' ' ||
				      item[len - 1] == '\t'))
			item[--len] = '\0';
		if (len == 0) {
			(void)snprintf(why, why_size,
			    "there is nothing between two commas or none at "
			    "all: leave the line out, or name something");
			return ERR_BAD_REQUEST;
		}
		reason[0] = '\0';
		ret = fn(r, item, reason, sizeof(reason));
		if (ret != 0) {
			(void)snprintf(why, why_size, "\"%s\": %s",
			    text_printable(item, len, shown, sizeof(shown)),
			    reason);
			return ret;
		}
	}
	return 0;
}

int
policy_rule_parse(struct policy_rule *r, const char *key, const char *value,
    char *why, size_t why_size)
{
	char *list;
	size_t i;
	int ret;

	for (i = 0; i < KEYS && strcmp(policy_keys[i], key) != 0; i++)
		;
	if (i == KEYS)
		return ERR_NOT_FOUND;
	list = strdup(value);
	if (list == NULL)
		return ERR_NOMEM;
	if (item_fns[i] == item_operation)
		r->ops = 0; /* what is given replaces the default */
	ret = parse_list(r, item_fns[i], list, why, why_size);
	free(list);
	return ret;
}

/* --- asking --- */

bool
policy_rule_has_who(const struct policy_rule *r)
{
	return r->has_user || r->has_group || r->units.n > 0 || r->exes.n > 0;
}

static bool
any_matches(const struct policy_patterns *list, const char *text)
{
	size_t i;

	if (text == NULL)
		return false;
	for (i = 0; i < list->n; i++) {
		if (glob_match(list->v[i].glob, text, strlen(text)))
			return true;
	}
	return false;
}

bool
policy_rule_is_about(const struct policy_rule *r, struct peer *peer)
{
	if (!policy_rule_has_who(r))
		return false;
	if (r->has_user && !policy_who_is_user(r, peer))
		return false;
	if (r->has_group && !policy_who_in_group(r, peer))
		return false;
	/* last: these cost system calls, the first time */
	if (r->units.n > 0 && !any_matches(&r->units, peer_unit(peer)))
		return false;
	if (r->exes.n > 0 && !any_matches(&r->exes, peer_exe(peer)))
		return false;
	return true;
}

bool
policy_rule_applies(const struct policy_rule *r, struct peer *peer,
    enum policy_op op)
{
	return (r->ops & (unsigned int)op) != 0 &&
	    policy_rule_is_about(r, peer);
}

/* Whatever there is; ids have no parts, so one star does for them. */
static bool
is_all(const struct policy_pattern *p)
{
	return glob_is_all(p->glob) || (p->by_id && strcmp(p->glob, "*") == 0);
}

static const struct policy_patterns *
patterns_of(const struct policy_rule *r, enum ref_kind kind)
{
	return kind == REF_KEY ? &r->keys : &r->secrets;
}

enum policy_verdict
policy_rule_covers(const struct policy_rule *r, enum ref_kind kind,
    struct view name, struct view id)
{
	const struct policy_patterns *list = patterns_of(r, kind);
	enum policy_verdict verdict = POLICY_DENIED;
	struct view text;
	size_t i;

	for (i = 0; i < list->n; i++) {
		text = list->v[i].by_id ? id : name;
		if (is_all(&list->v[i]))
			return POLICY_ALLOWED;
		if (text.len == 0)
			verdict = POLICY_MAYBE;
		else if (glob_match(list->v[i].glob, text.p, text.len))
			return POLICY_ALLOWED;
	}
	return verdict;
}

bool
policy_rule_covers_all(const struct policy_rule *r, enum ref_kind kind)
{
	const struct policy_patterns *list = patterns_of(r, kind);
	size_t i;

	for (i = 0; i < list->n; i++) {
		if (is_all(&list->v[i]))
			return true;
	}
	return false;
}

/* Who may GET may have the head of it. */
static bool
method_is(const struct policy_pattern *p, const char *method)
{
	return p->method == NULL || strcasecmp(p->method, method) == 0 ||
	    (strcmp(p->method, "GET") == 0 && strcasecmp(method, "HEAD") == 0);
}

bool
policy_rule_covers_path(const struct policy_rule *r,
    const struct policy_call *call)
{
	size_t len = strlen(call->path);
	size_t i;

	for (i = 0; i < r->paths.n; i++) {
		if (method_is(&r->paths.v[i], call->method) &&
		    glob_match(r->paths.v[i].glob, call->path, len))
			return true;
	}
	return false;
}

enum policy_verdict
policy_rule_covers_about(const struct policy_rule *r,
    const struct policy_call *call)
{
	if (!call->about || (r->secrets.n == 0 && r->keys.n == 0))
		return POLICY_ALLOWED;
	return policy_rule_covers(r, call->kind, call->name, call->id);
}
