#include "config.h"

#include "reports.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

int
explanation_new(const struct msg_explained *m,
    struct qapi_agent_explanation **ret)
{
	struct msg_result known = {.meta = m->meta};
	struct qapi_agent_explanation *e = calloc(1, sizeof(*e));
	char *at;
	int r = ERR_NOMEM;

	if (e == NULL)
		return ERR_NOMEM;
	e->items = items_new(1);
	e->store = malloc(m->rule.len + m->why.len + m->message.len + 3);
	if (e->items == NULL || e->store == NULL ||
	    (r = items_answer(e->items, 0, &known)) != 0) {
		qapi_agent_explanation_free(&e);
		return r;
	}
	at = e->store;
	e->rule = items_put(&at, m->rule);
	e->why = items_put(&at, m->why);
	e->message = items_put(&at, m->message);
	e->allowed = m->allowed;
	e->cached = m->cached;
	e->next_refresh_ms = m->next_refresh_ms;
	e->last_error = m->last_error;
	qapi_agent_explanation_free(ret);
	*ret = e;
	return 0;
}

int
report_text_add(struct report_text *t, struct view part)
{
	size_t size;
	char *p;

	if (part.len > REPORT_TEXT_MAX - t->len)
		return ERR_TOO_LARGE;
	if (t->p == NULL || part.len >= t->size - t->len) {
		/* grown by half, so that many parts are not copied often */
		size = t->len + part.len + t->len / 2 + 1;
		p = reallocarray(t->p, size, 1);
		if (p == NULL)
			return ERR_NOMEM;
		t->p = p;
		t->size = size;
	}
	if (part.len > 0)
		memcpy(t->p + t->len, part.p, part.len);
	t->len += part.len;
	t->p[t->len] = '\0';
	return 0;
}

void
report_text_done(struct report_text *t)
{
	free(t->p);
	memset(t, 0, sizeof(*t));
}

/* --- public -------------------------------------------------------------- */

void
qapi_agent_explanation_free(struct qapi_agent_explanation **explanation)
{
	if (explanation == NULL || *explanation == NULL)
		return;
	qapi_agent_items_free(&(*explanation)->items);
	free((*explanation)->store);
	free(*explanation);
	*explanation = NULL;
}

bool
qapi_agent_explanation_allowed(
    const struct qapi_agent_explanation *explanation)
{
	return explanation->allowed;
}

const char *
qapi_agent_explanation_rule(const struct qapi_agent_explanation *explanation)
{
	return explanation->rule;
}

const char *
qapi_agent_explanation_why(const struct qapi_agent_explanation *explanation)
{
	return explanation->why != NULL ? explanation->why : "";
}

bool
qapi_agent_explanation_cached(const struct qapi_agent_explanation *explanation)
{
	return explanation->cached;
}

const struct qapi_agent_item *
qapi_agent_explanation_item(const struct qapi_agent_explanation *explanation)
{
	return &explanation->items->v[0];
}

uint64_t
qapi_agent_explanation_next_refresh_ms(
    const struct qapi_agent_explanation *explanation)
{
	return explanation->next_refresh_ms;
}

int
qapi_agent_explanation_last_error(
    const struct qapi_agent_explanation *explanation)
{
	return explanation->last_error;
}

const char *
qapi_agent_explanation_last_message(
    const struct qapi_agent_explanation *explanation)
{
	return explanation->message != NULL ? explanation->message : "";
}
