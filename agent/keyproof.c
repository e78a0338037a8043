#include "config.h"

#include "keyproof.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "msg.h"

/* Of so many entries the best are taken; a full cache takes no longer. */
#define KEYPROOF_LOOK_AT 4096
#define KEYPROOF_TIMEOUT_MS 5000	/* of each question */

struct witness {
	enum ref_kind kind;
	int64_t confirmed_boot_ms;
	size_t id_len;
	char id[MSG_ID_MAX];
};

struct keyproof {
	struct upstream *up;
	const struct secmem *key;
	keyproof_cb *cb;
	void *arg;
	struct upstream_call *call;
	struct witness witnesses[KEYPROOF_WITNESSES];
	size_t count;
	size_t asked;
	size_t looked_at;
	bool forbidden;		/* one of them was */
	bool unclear;		/* one had no answer that can be used */
};

static bool
is_witness(const struct witness *w, const struct cache_entry *e)
{
	return w->kind == e->kind && cache_has_id(e,
	    (struct view){ (const uint8_t *)w->id, w->id_len });
}

/*
 * Keep the ids that the service confirmed last: those are the least likely to
 * be gone since.  One thing may have several entries; ids count once.
 */
static bool
consider(void *arg, struct cache_entry *e)
{
	struct keyproof *p = arg;
	int64_t confirmed = e->expired ? INT64_MIN :
	    (int64_t)e->confirmed_boot_ms;
	struct view id = cache_id(e);
	struct witness *w = NULL;
	size_t i;

	if (++p->looked_at > KEYPROOF_LOOK_AT)
		return false;
	if (e->object == NULL || id.len > MSG_ID_MAX)
		return true;
	for (i = 0; i < p->count; i++) {
		if (is_witness(&p->witnesses[i], e))
			return true;
		if (w == NULL ||
		    p->witnesses[i].confirmed_boot_ms < w->confirmed_boot_ms)
			w = &p->witnesses[i];
	}
	if (p->count < KEYPROOF_WITNESSES)
		w = &p->witnesses[p->count++];
	else if (confirmed <= w->confirmed_boot_ms)
		return true;
	w->kind = e->kind;
	w->confirmed_boot_ms = confirmed;
	w->id_len = id.len;
	memcpy(w->id, id.p, id.len);
	return true;
}

static void keyproof_answer_cb(void *arg, struct upstream_answer *answer);

static int
ask(struct keyproof *p)
{
	const struct witness *w = &p->witnesses[p->asked++];
	const struct upstream_request req = {
		.op = w->kind == REF_SECRET ? UPSTREAM_READ_SECRET :
		    UPSTREAM_READ_KEY,
		.id = {(const uint8_t *)w->id, w->id_len},
		.format = REF_FORMAT_JSON,
		.timeout_ms = KEYPROOF_TIMEOUT_MS,
		.key = p->key,
	};

	return p->up->ops->start(p->up, &req, keyproof_answer_cb, p, &p->call);
}

/* The last statement of whoever calls it: p is gone afterwards. */
static void
end(struct keyproof *p, enum keyproof_verdict verdict,
    const struct upstream_answer *answer)
{
	struct keyproof_result result = {.verdict = verdict};

	if (verdict != KEYPROOF_SAME)
		(void)snprintf(result.message, sizeof(result.message), "%s",
		    answer->message);
	if (verdict == KEYPROOF_NO_ANSWER)
		result.retry_after_ms = answer->retry_after_ms;
	p->cb(p->arg, &result);
	free(p);
}

/*
 * Does the answer tell that the service knows the id under this key?  It does
 * so too where it is about a secret that is deactivated.
 */
static bool
is_known(const struct upstream_answer *answer)
{
	return answer->error == 0 || (answer->gone &&
	    answer->status >= 200 && answer->status < 300);
}

static void
keyproof_answer_cb(void *arg, struct upstream_answer *answer)
{
	struct keyproof *p = arg;
	int r;

	p->call = NULL;
	object_unref(answer->object); /* what is cached stays as it is */
	answer->object = NULL;
	if (is_known(answer)) {
		end(p, KEYPROOF_SAME, answer);
		return;
	}
	if (answer->error == ERR_UNAUTHORIZED) {
		end(p, KEYPROOF_REFUSED, answer);
		return;
	}
	if (answer->error == ERR_UPSTREAM_UNAVAILABLE) {
		end(p, KEYPROOF_NO_ANSWER, answer);
		return;
	}
	if (answer->forbidden)
		p->forbidden = true;
	else if (!answer->gone)
		p->unclear = true;
	if (p->asked < p->count) {
		if ((r = ask(p)) == 0)
			return;
		(void)snprintf(answer->message, sizeof(answer->message), "%s",
		    err_text(r));
		p->unclear = true;
	}
	end(p, p->unclear ? KEYPROOF_NO_ANSWER : p->forbidden ?
	    KEYPROOF_FORBIDDEN : KEYPROOF_OTHER, answer);
}

int
keyproof_start(struct upstream *up, struct cache *c,
    const struct secmem *key, keyproof_cb *cb, void *arg,
    struct keyproof **ret_proof)
{
	struct keyproof *p;
	int r = ERR_NOT_FOUND;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return ERR_NOMEM;
	p->up = up;
	p->key = key;
	p->cb = cb;
	p->arg = arg;
	cache_foreach(c, consider, p);
	if (p->count == 0 || (r = ask(p)) != 0) {
		free(p);
		return r;
	}
	*ret_proof = p;
	return 0;
}

void
keyproof_cancel(struct keyproof *p)
{
	if (p == NULL)
		return;
	if (p->call != NULL)
		p->up->ops->cancel(p->up, p->call);
	free(p);
}
