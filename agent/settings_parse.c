#include "config.h"

#include "settings_parse.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "policy.h"
#include "settings.h"
#include "settings_check.h"
#include "settings_file.h"
#include "settings_table.h"
#include "text.h"

#define KEYS_MAX 64		/* of the table; asserted by the tests */
#define RULE_KEYS_MAX 16
#define SHOWN 120
#define WHY 400

enum part {
	PART_NONE,		/* before the first section */
	PART_UNKNOWN,		/* its keys are passed over */
	PART_PLAIN,
	PART_ALLOW,
	PART_CREDENTIAL,
};

struct title {
	char *text;
	unsigned int line;
};

struct loader {
	struct settings *s;
	struct settings_faults *faults;
	enum part part;
	const char *section;	/* static */
	char *title;		/* of a credential section: the glob */
	unsigned int section_line;
	bool rule_faulty;	/* one fault is enough, see end_section() */
	unsigned int key_line[KEYS_MAX];
	unsigned int rule_line[RULE_KEYS_MAX];
	struct title *rules;
	size_t nrules;
};

static const char *const sections[] = {"agent", "upstream", "cache", "allow",
    "credential"};

#define SECTIONS (sizeof(sections) / sizeof(sections[0]))
#define PLAIN_SECTIONS 3

/* --- sections --- */

/* What can be said of a rule only when it is complete. */
static void
end_section(struct loader *ld)
{
	char why[WHY];

	if (ld->part == PART_ALLOW && !ld->rule_faulty &&
	    policy_rule_end(ld->s->policy, why, sizeof(why)) != 0)
		settings_fault(ld->faults, ld->section_line, "%s", why);
	free(ld->title);
	ld->title = NULL;
	ld->part = PART_UNKNOWN;
}

static void
fault_unknown_section(struct loader *ld, unsigned int line, const char *name)
{
	char shown[SHOWN];
	const char *near = text_nearest(name, sections, SECTIONS);

	(void)text_printable(name, strlen(name), shown, sizeof(shown));
	if (near != NULL)
		settings_fault(ld->faults, line,
		    "unknown section [%s]: did you mean [%s]?", shown, near);
	else
		settings_fault(ld->faults, line,
		    "unknown section [%s]: there are [agent], [upstream], "
		    "[cache], [allow \"TITLE\"] and [credential "
		    "\"UNIT-GLOB\"]", shown);
}

static int
begin_rule(struct loader *ld, unsigned int line, const char *title)
{
	struct title *rules;
	char shown[SHOWN];
	size_t i;
	int r;

	for (i = 0; i < ld->nrules; i++) {
		if (strcmp(ld->rules[i].text, title) != 0)
			continue;
		settings_fault(ld->faults, line,
		    "[allow \"%s\"] is on line %u already: give each rule a "
		    "title of its own", text_printable(title, strlen(title),
			shown, sizeof(shown)), ld->rules[i].line);
		return 0;
	}
	rules = reallocarray(ld->rules, ld->nrules + 1, sizeof(*rules));
	if (rules == NULL)
		return ERR_NOMEM;
	ld->rules = rules;
	rules[ld->nrules].line = line;
	rules[ld->nrules].text = strdup(title);
	if (rules[ld->nrules].text == NULL)
		return ERR_NOMEM;
	ld->nrules++;
	memset(ld->rule_line, 0, sizeof(ld->rule_line));
	ld->rule_faulty = false;
	if ((r = policy_rule_begin(ld->s->policy, title)) == 0)
		ld->part = PART_ALLOW;
	return r;
}

static int
on_section(void *arg, unsigned int line, const char *name, const char *title)
{
	struct loader *ld = arg;
	size_t i;

	end_section(ld);
	for (i = 0; i < SECTIONS && strcmp(sections[i], name) != 0; i++)
		;
	if (i == SECTIONS) {
		fault_unknown_section(ld, line, name);
		return 0;
	}
	ld->section = sections[i];
	ld->section_line = line;
	if (i < PLAIN_SECTIONS) {
		if (title != NULL)
			settings_fault(ld->faults, line,
			    "[%s] takes no title", name);
		ld->part = PART_PLAIN;
		return 0;
	}
	if (title == NULL || title[0] == '\0') {
		settings_fault(ld->faults, line,
		    "write [%s \"%s\"]", name, strcmp(name, "allow") == 0 ?
			"TITLE" : "UNIT-GLOB");
		return 0;
	}
	if (strcmp(name, "allow") == 0)
		return begin_rule(ld, line, title);
	ld->title = strdup(title);
	ld->part = PART_CREDENTIAL;
	return ld->title == NULL ? ERR_NOMEM : 0;
}

/* --- keys --- */

/* The key of that name in another section, or NULL. */
static const struct settings_key *
find_elsewhere(const char *name)
{
	const struct settings_key *key;

	for (key = settings_keys; key->name != NULL; key++) {
		if (strcmp(key->name, name) == 0)
			return key;
	}
	return NULL;
}

static void
fault_unknown_key(struct loader *ld, unsigned int line, const char *name)
{
	const char *names[KEYS_MAX];
	const struct settings_key *key;
	const char *near;
	char shown[SHOWN];
	size_t n = 0;
	size_t i;

	(void)text_printable(name, strlen(name), shown, sizeof(shown));
	if (ld->part == PART_ALLOW) {
		for (i = 0; policy_keys[i] != NULL; i++)
			names[n++] = policy_keys[i];
	} else {
		for (key = settings_keys; key->name != NULL; key++) {
			if (strcmp(key->section, ld->section) == 0)
				names[n++] = key->name;
		}
	}
	key = find_elsewhere(name);
	near = text_nearest(name, names, n);
	if (key != NULL)
		settings_fault(ld->faults, line,
		    "unknown key \"%s\" in [%s]: it belongs in [%s]", shown,
		    ld->section, key->section);
	else if (near != NULL)
		settings_fault(ld->faults, line,
		    "unknown key \"%s\" in [%s]: did you mean \"%s\"?", shown,
		    ld->section, near);
	else
		settings_fault(ld->faults, line,
		    "unknown key \"%s\" in [%s]: see agent.conf(5)", shown,
		    ld->section);
}

/* Remembers the line; true and a fault if there was one before. */
static bool
is_repeated(struct loader *ld, unsigned int *seen, unsigned int line,
    const char *name)
{
	if (*seen == 0) {
		*seen = line;
		return false;
	}
	settings_fault(ld->faults, line,
	    "\"%s\" is on line %u already: remove one of the two", name,
	    *seen);
	return true;
}

static int
fault_value(struct loader *ld, unsigned int line, const char *name,
    const char *value, int r, const char *why)
{
	char shown[SHOWN];

	if (r == 0 || r == ERR_NOMEM)
		return r;
	settings_fault(ld->faults, line, "%s=%s: %s", name,
	    text_printable(value, strlen(value), shown, sizeof(shown)), why);
	return 0;
}

static int
on_plain(struct loader *ld, unsigned int line, const char *name,
    const char *value)
{
	const struct settings_key *key;
	char why[WHY] = "";
	int r;

	for (key = settings_keys; key->name != NULL; key++) {
		if (strcmp(key->section, ld->section) == 0 &&
		    strcmp(key->name, name) == 0)
			break;
	}
	if (key->name == NULL) {
		fault_unknown_key(ld, line, name);
		return 0;
	}
	if (is_repeated(ld, &ld->key_line[key - settings_keys], line, name))
		return 0;
	r = settings_table_set(key, value, ld->s, why, sizeof(why));
	return fault_value(ld, line, name, key->secret ? "…" : value, r, why);
}

static int
on_allow(struct loader *ld, unsigned int line, const char *name,
    const char *value)
{
	char why[WHY] = "";
	size_t i;
	int r;

	for (i = 0; policy_keys[i] != NULL; i++) {
		if (strcmp(policy_keys[i], name) == 0)
			break;
	}
	if (policy_keys[i] == NULL) {
		ld->rule_faulty = true;
		fault_unknown_key(ld, line, name);
		return 0;
	}
	if (is_repeated(ld, &ld->rule_line[i], line, name))
		return 0;
	r = policy_rule_set(ld->s->policy, name, value, why, sizeof(why));
	if (r != 0)
		ld->rule_faulty = true;
	return fault_value(ld, line, name, value, r, why);
}

static bool
has_credential(const struct settings *s, const char *glob, const char *name)
{
	size_t i;

	for (i = 0; i < s->ncredentials; i++) {
		if (strcmp(s->credentials[i].unit_glob, glob) == 0 &&
		    strcmp(s->credentials[i].name, name) == 0)
			return true;
	}
	return false;
}

static int
add_credential(struct settings *s, const char *glob, const char *name,
    const char *reference)
{
	struct settings_credential *c;

	c = reallocarray(s->credentials, s->ncredentials + 1, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM;
	s->credentials = c;
	c += s->ncredentials++;
	c->unit_glob = strdup(glob);
	c->name = strdup(name);
	c->reference = strdup(reference);
	if (c->unit_glob == NULL || c->name == NULL || c->reference == NULL)
		return ERR_NOMEM;
	return 0;
}

static int
on_credential(struct loader *ld, unsigned int line, const char *name,
    const char *value)
{
	char shown[SHOWN];
	char why[WHY] = "";
	int r;

	(void)text_printable(name, strlen(name), shown, sizeof(shown));
	if (has_credential(ld->s, ld->title, name)) {
		settings_fault(ld->faults, line,
		    "\"%s\" is there already for these units: remove one of "
		    "the two", shown);
		return 0;
	}
	r = settings_check_credential(ld->title, name, value, why,
	    sizeof(why));
	if (r == 0)
		r = add_credential(ld->s, ld->title, name, value);
	return fault_value(ld, line, shown, value, r, why);
}

static int
on_value(void *arg, unsigned int line, const char *key, const char *value)
{
	struct loader *ld = arg;

	switch (ld->part) {
	case PART_NONE:
		settings_fault(ld->faults, line,
		    "\"%.60s\" stands before the first [SECTION]", key);
		return 0;
	case PART_UNKNOWN:
		return 0;
	case PART_PLAIN:
		return on_plain(ld, line, key, value);
	case PART_ALLOW:
		return on_allow(ld, line, key, value);
	case PART_CREDENTIAL:
		return on_credential(ld, line, key, value);
	}
	return 0;
}

/* --- the whole --- */

int
settings_parse(const char *path, struct settings_faults *faults,
    struct settings *s)
{
	struct loader ld = {.s = s, .faults = faults};
	const struct settings_file_ops ops = {on_section, on_value, &ld};
	size_t i;
	int r;

	r = settings_file_read(path, faults, &ops);
	end_section(&ld);
	for (i = 0; i < ld.nrules; i++)
		free(ld.rules[i].text);
	free(ld.rules);
	return r;
}
