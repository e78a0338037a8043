#include "rules.h"

#include "json_util.h"
#include "timefmt.h"

#include <string.h>

static bool
is_array_of(const json_t *v, json_type type)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (json_typeof(json_array_get(v, i)) != type)
			return false;
	}
	return json_is_array(v);
}

static bool
is_string_maps(const json_t *v)
{
	if (!is_array_of(v, JSON_OBJECT))
		return false;
	for (size_t i = 0; i < json_array_size(v); i++) {
		json_t *map = json_array_get(v, i), *member;
		const char *key;

		json_object_foreach (map, key, member) {
			if (!json_is_string(member))
				return false;
		}
	}
	return true;
}

static const char *
text_problem(const struct rule *rule, const json_t *v, bool limits)
{
	size_t n;

	if (!json_is_string(v))
		return "must be a string";
	n = rule->type == RULE_VALUE ? json_string_length(v)
				     : json_util_chars(v);
	if (rule->type == RULE_NAME && n == 0)
		return "must not be empty";
	/* C strings: a name with NUL would be found by its start. */
	if (rule->type == RULE_NAME &&
	    strlen(json_string_value(v)) != json_string_length(v))
		return "must not hold NUL";
	if (limits && rule->max != 0 && n > rule->max)
		return "is too long";
	return NULL;
}

const char *
rule_problem(const struct rule *rule, const json_t *v, bool limits)
{
	int64_t us;

	if (json_is_null(v))
		return (rule->flags & RULE_REQUIRED) ? "is required" : NULL;
	switch (rule->type) {
	case RULE_TEXT:
	case RULE_NAME:
	case RULE_VALUE:
		return text_problem(rule, v, limits);
	case RULE_TIME:
		return json_is_string(v) &&
			       timefmt_parse(json_string_value(v), &us)
			   ? NULL
			   : "must be an RFC 3339 timestamp";
	case RULE_BOOL:
		return json_is_boolean(v) ? NULL : "must be true or false";
	case RULE_INT:
		return json_is_integer(v) && json_integer_value(v) >= 1
			   ? NULL
			   : "must be an integer from 1";
	case RULE_STRINGS:
		return is_array_of(v, JSON_STRING)
			   ? NULL
			   : "must be an array of strings";
	case RULE_OBJECTS:
		return is_array_of(v, JSON_OBJECT)
			   ? NULL
			   : "must be an array of objects";
	case RULE_STRING_MAPS:
		return is_string_maps(v)
			   ? NULL
			   : "must be an array of objects of strings";
	}
	return NULL;
}

json_t *
rules_check(
    const struct rule *rules, unsigned int flag, bool patch, const json_t *obj)
{
	json_t *problems = NULL;

	for (; rules->name != NULL; rules++) {
		json_t *v = json_util_get(obj, rules->name);
		const char *problem = NULL;

		if (!(rules->flags & flag))
			continue;
		if (v != NULL)
			problem = rule_problem(rules, v, true);
		else if (!patch && (rules->flags & RULE_REQUIRED))
			problem = "is required";
		if (problem == NULL)
			continue;
		if (problems == NULL)
			problems = json_object();
		json_object_set_new(
		    problems, rules->name, json_string(problem));
	}
	return problems;
}
