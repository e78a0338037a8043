#include "config.h"

#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "text.h"
#include "units.h"

#define NAMES_MAX 64		/* options of one command */
#define SHOWN_MAX 128		/* of what was typed, in an error */

/* Where the parser is. */
struct walk {
	const struct options *o;
	int argc;
	char **argv;
	int i;			/* the argument looked at */
	char *why;
};

static const struct option_spec *
spec_at(const struct options *o, size_t i)
{
	return i < o->nown ? &o->own[i] : &o->common[i - o->nown];
}

static size_t
spec_count(const struct options *o)
{
	return o->nown + o->ncommon;
}

static const struct option_spec *
find_name(const struct options *o, const char *name, size_t len)
{
	const struct option_spec *spec;
	size_t i;

	for (i = 0; i < spec_count(o); i++) {
		spec = spec_at(o, i);
		if (spec->name != NULL && strlen(spec->name) == len &&
		    memcmp(spec->name, name, len) == 0)
			return spec;
	}
	return NULL;
}

static const struct option_spec *
find_letter(const struct options *o, char letter)
{
	size_t i;

	for (i = 0; i < spec_count(o); i++) {
		if (spec_at(o, i)->letter == letter && letter != '\0')
			return spec_at(o, i);
	}
	return NULL;
}

static int
fail_unknown(struct walk *w, const char *name, size_t len)
{
	const char *names[NAMES_MAX], *near;
	char typed[SHOWN_MAX], shown[SHOWN_MAX];
	size_t i, n = 0;

	(void)snprintf(typed, sizeof(typed), "%.*s",
	    len < sizeof(typed) ? (int)len : (int)sizeof(typed) - 1, name);
	(void)text_printable(typed, strlen(typed), shown, sizeof(shown));
	for (i = 0; i < spec_count(w->o) && n < NAMES_MAX; i++) {
		if (spec_at(w->o, i)->name != NULL)
			names[n++] = spec_at(w->o, i)->name;
	}
	near = text_nearest(typed, names, n);
	if (near != NULL)
		(void)snprintf(w->why, OPTIONS_WHY_LEN,
		    "--%s: unknown option: did you mean --%s?", shown, near);
	else
		(void)snprintf(w->why, OPTIONS_WHY_LEN,
		    "--%s: unknown option: --help lists them", shown);
	return ERR_BAD_REQUEST;
}

/* An option as the user knows it, for errors. */
static const char *
spell(const struct option_spec *spec, char buf[SHOWN_MAX])
{
	if (spec->name != NULL)
		(void)snprintf(buf, SHOWN_MAX, "--%s", spec->name);
	else
		(void)snprintf(buf, SHOWN_MAX, "-%c", spec->letter);
	return buf;
}

static int
append(struct walk *w, struct option_list *list, char *value)
{
	/* There cannot be more of them than arguments. */
	if (list->v == NULL)
		list->v = calloc((size_t)w->argc + 1, sizeof(*list->v));
	if (list->v == NULL)
		return ERR_NOMEM;
	list->v[list->count++] = value;
	return 0;
}

static int
set_duration(struct walk *w, const struct option_spec *spec, const char *value)
{
	char name[SHOWN_MAX], shown[SHOWN_MAX];

	if (units_parse_duration(value, spec->to) == 0)
		return 0;
	(void)snprintf(w->why, OPTIONS_WHY_LEN,
	    "%s %s: not a duration: write 250ms, 30s, 5m or 1h30m",
	    spell(spec, name),
	    text_printable(value, strlen(value), shown, sizeof(shown)));
	return ERR_BAD_REQUEST;
}

/* value: NULL if it was not given with the option itself. */
static int
set(struct walk *w, const struct option_spec *spec, char *value)
{
	char name[SHOWN_MAX];

	if (spec->type == OPTION_FLAG) {
		*(bool *)spec->to = true;
		return 0;
	}
	if (value == NULL && w->i + 1 < w->argc)
		value = w->argv[++w->i];
	if (value == NULL) {
		(void)snprintf(w->why, OPTIONS_WHY_LEN,
		    "%s: has no value: write %s %s", spell(spec, name), name,
		    spec->arg);
		return ERR_BAD_REQUEST;
	}
	switch (spec->type) {
	case OPTION_TEXT:
		*(char **)spec->to = value;
		return 0;
	case OPTION_DURATION:
		return set_duration(w, spec, value);
	case OPTION_LIST:
		return append(w, spec->to, value);
	case OPTION_FLAG:
		break;
	}
	return 0;
}

static int
take_long(struct walk *w, char *arg)
{
	char *equals = strchr(arg, '=');
	size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
	const struct option_spec *spec = find_name(w->o, arg, len);

	if (spec == NULL)
		return fail_unknown(w, arg, len);
	if (spec->type == OPTION_FLAG && equals != NULL) {
		(void)snprintf(w->why, OPTIONS_WHY_LEN,
		    "--%s: takes no value: leave out what follows the =",
		    spec->name);
		return ERR_BAD_REQUEST;
	}
	return set(w, spec, equals != NULL ? equals + 1 : NULL);
}

static int
take_letters(struct walk *w, char *arg)
{
	const struct option_spec *spec;
	int r;

	for (; *arg != '\0'; arg++) {
		spec = find_letter(w->o, *arg);
		if (spec == NULL) {
			(void)snprintf(w->why, OPTIONS_WHY_LEN,
			    "-%c: unknown option: --help lists them",
			    *arg > ' ' && *arg < 0x7f ? *arg : '?');
			return ERR_BAD_REQUEST;
		}
		if (spec->type != OPTION_FLAG)
			return set(w, spec, arg[1] != '\0' ? arg + 1 : NULL);
		if ((r = set(w, spec, NULL)) != 0)
			return r;
	}
	return 0;
}

int
options_parse(const struct options *o, int argc, char **argv,
    struct option_list *ret_operands, char why[OPTIONS_WHY_LEN])
{
	struct walk w = {.o = o, .argc = argc, .argv = argv, .why = why};
	bool only_operands = false;
	char *arg;
	int r = 0;

	why[0] = '\0';
	for (w.i = 0; w.i < argc && r == 0; w.i++) {
		arg = argv[w.i];
		if (only_operands || arg[0] != '-' || arg[1] == '\0') {
			r = append(&w, ret_operands, arg);
			only_operands = only_operands || o->stop_at_operand;
		} else if (strcmp(arg, "--") == 0) {
			only_operands = true;
		} else if (arg[1] == '-') {
			r = take_long(&w, arg + 2);
		} else {
			r = take_letters(&w, arg + 1);
		}
	}
	return r;
}

void
options_list_free(struct option_list *list)
{
	free(list->v);
	list->v = NULL;
	list->count = 0;
}
