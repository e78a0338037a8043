#include "config.h"

#include "environ.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "ref.h"
#include "wipe.h"

static struct environ_entry *
find(const struct environ_set *set, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (set->v[i].name != NULL && set->v[i].name_len == len &&
		    memcmp(set->v[i].name, name, len) == 0)
			return &set->v[i];
	}
	return NULL;
}

static struct environ_entry *
append(struct environ_set *set)
{
	size_t size = set->size == 0 ? 64 : set->size * 2;
	struct environ_entry *v;

	if (set->count == set->size) {
		v = reallocarray(set->v, size, sizeof(*v));
		if (v == NULL)
			return NULL;
		set->v = v;
		set->size = size;
	}
	v = &set->v[set->count];
	memset(v, 0, sizeof(*v));
	return v;
}

/* Add without looking for one of that name. */
static int
add(struct environ_set *set, const char *name, size_t name_len,
    const char *value, enum environ_kind kind)
{
	struct environ_entry *e = append(set);

	if (e == NULL)
		return ERR_NOMEM;
	e->name_len = name_len;
	e->kind = kind;
	e->value = strdup(value);
	e->name = name != NULL ? strndup(name, name_len) : NULL;
	if (e->value == NULL || (name != NULL && e->name == NULL)) {
		free(e->value);
		free(e->name);
		return ERR_NOMEM;
	}
	set->count++;
	return 0;
}

int
environ_put(struct environ_set *set, const char *name, size_t name_len,
    const char *value, enum environ_kind kind)
{
	struct environ_entry *e = find(set, name, name_len);
	char *copy;

	if (e == NULL)
		return add(set, name, name_len, value, kind);
	copy = strdup(value);
	if (copy == NULL)
		return ERR_NOMEM;
	wipe_free(e->value, strlen(e->value));
	e->value = copy;
	e->kind = kind;
	return 0;
}

int
environ_inherit(struct environ_set *set, char *const *envp)
{
	const char *equals;
	enum environ_kind kind;
	int r = 0;

	for (; *envp != NULL && r == 0; envp++) {
		equals = strchr(*envp, '=');
		if (equals == NULL || equals == *envp) {
			/* Odd, but not ours to drop. */
			r = add(set, NULL, 0, *envp, ENVIRON_LITERAL);
			continue;
		}
		kind = ref_is_reference(equals + 1, strlen(equals + 1))
		    ? ENVIRON_VALUE : ENVIRON_LITERAL;
		r = add(set, *envp, (size_t)(equals - *envp), equals + 1,
		    kind);
	}
	return r;
}

int
environ_fill(struct environ_entry *e, const void *value, size_t len)
{
	size_t head = e->name != NULL ? e->name_len + 1 : 0;
	char *p = malloc(head + len + 1);

	if (p == NULL)
		return ERR_NOMEM;
	if (e->name != NULL) {
		memcpy(p, e->name, e->name_len);
		p[e->name_len] = '=';
	}
	if (len > 0)
		memcpy(p + head, value, len);
	p[head + len] = '\0';
	wipe_free(e->string, e->string_len);
	e->string = p;
	e->string_len = head + len;
	return 0;
}

char **
environ_build(struct environ_set *set)
{
	char **envp = calloc(set->count + 1, sizeof(*envp));
	size_t i;

	for (i = 0; envp != NULL && i < set->count; i++)
		envp[i] = set->v[i].string;
	return envp;
}

void
environ_free(struct environ_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		free(set->v[i].name);
		wipe_free(set->v[i].value, strlen(set->v[i].value));
		wipe_free(set->v[i].string, set->v[i].string_len);
	}
	free(set->v);
	memset(set, 0, sizeof(*set));
}
