#include "config.h"

#include "list.h"

#include <string.h>

#include "audit.h"
#include "err.h"
#include "msg.h"
#include "policy.h"
#include "request.h"
#include "settings.h"

#define LIST_FRAME_ROWS 32	/* then the next frame begins */

static struct view
list_text(const char *s)
{
	return (struct view){ .p = (const uint8_t *)s, .len = strlen(s) };
}

/* Freshness and age of the row's value, if it is cached. */
static void
list_cached(struct session *s, enum ref_kind kind, struct msg_meta *meta,
    const struct now *now)
{
	const struct cache_key key = { .kind = kind, .id = meta->id };
	struct cache *cache = fetch_cache(s->env->fetch);
	struct cache_entry *e = cache_find(cache, &key);

	if (e == NULL || e->object == NULL)
		return;
	meta->freshness = (uint8_t)fetch_freshness(cache_state(cache, e, now));
	meta->age_ms = cache_age(e, now);
}

static void
list_row(struct session *s, struct wr *wr, enum ref_kind kind,
    const struct upstream_row *from, const struct now *now)
{
	struct msg_row row = { .kind = (uint8_t)kind };

	msg_meta_init(&row.meta);
	row.meta.id = list_text(from->id);
	row.meta.name = list_text(from->name);
	if (!from->is_active || policy_check(s->env->settings->policy, s->peer,
	    POLICY_LIST, kind, row.meta.name, row.meta.id, NULL) !=
	    POLICY_ALLOWED)
		return;
	row.meta.version = from->version;
	row.meta.updated_at = from->updated_at;
	row.meta.expires_at = from->expires_at;
	list_cached(s, kind, &row.meta, now);
	msg_row_add(wr, &row);
}

/* The next frame of rows; false if out has no room for it. */
static bool
list_frame(struct request *rq, struct session_item *item, struct out *out,
    bool last_kind, const struct now *now)
{
	struct msg_meta whole;
	struct wr wr;
	size_t start, i, count = listing_count(item->listing);
	enum ref_kind kind = (enum ref_kind)item->index;
	bool last;

	if (!out_has_room(out, LIST_FRAME_ROWS * MSG_ROW_MAX + 256))
		return false;
	last = last_kind && count - rq->cursor <= LIST_FRAME_ROWS;
	wr = out_begin(out);
	start = msg_rows_begin(&wr, (uint16_t)(last ? 0 : FRAME_MORE),
	    rq->id);
	for (i = 0; i < LIST_FRAME_ROWS && rq->cursor < count; i++)
		list_row(rq->session, &wr, kind,
		    listing_row(item->listing, rq->cursor++), now);
	msg_meta_init(&whole);
	whole.freshness = (uint8_t)item->freshness;
	whole.age_ms = item->age_ms;
	msg_rows_end(&wr, start, last ? &whole : NULL);
	out_commit(out, &wr);
	return true;
}

/* The item whose listing comes after this one; NULL if it is the last. */
static struct session_item *
list_next(struct request *rq, struct session_item *item)
{
	struct session_item *next = item + 1;

	if (next < rq->items + rq->nitems && next->listing != NULL)
		return next;
	return NULL;
}

/*
 * All kinds have come: the first that did is told first.  One that failed is
 * passed over if another did not.
 */
static struct session_item *
list_first(struct request *rq)
{
	size_t i;

	for (i = 0; i < rq->nitems; i++) {
		if (rq->items[i].listing != NULL)
			return &rq->items[i];
	}
	return NULL;
}

static void
list_take_off(struct session_item *item)
{
	TAILQ_REMOVE(&item->request->session->ready, item, ready_link);
	item->is_ready = false;
}

bool
list_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct session_item *show;
	struct now now;

	clock_read(&now);
	if (rq->left > 1) {	/* the other kind is still to come */
		rq->left--;
		list_take_off(item);
		return true;
	}
	show = list_first(rq);
	if (show == NULL) {
		if (!out_has_room(out, MSG_RESULT_HEAD_MAX))
			return false;
		session_error(out, rq->id, item->error, item->message != NULL
		    ? item->message : err_text(item->error));
		request_free(rq);
		return true;
	}
	if (!list_frame(rq, show, out, list_next(rq, show) == NULL, &now))
		return false;
	if (rq->cursor < listing_count(show->listing))
		return true;	/* still first in the queue */
	rq->cursor = 0;
	listing_unref(show->listing);
	show->listing = NULL;
	if (list_first(rq) == NULL)
		request_free(rq);
	return true;
}

static void
list_start(struct request *rq, size_t i, enum ref_kind kind,
    const struct msg_terms *terms, const struct now *now)
{
	struct session *s = rq->session;
	const struct fetch_query q = {
		.max_age_ms = terms->max_age_ms,
		.max_stale_ms = terms->max_stale_ms,
		.only_if_cached = terms->flags & MSG_TERM_ONLY_IF_CACHED,
		.fresh = terms->flags & MSG_TERM_FRESH,
		.quiet = true,
	};
	struct session_item *item = &rq->items[i];
	struct fetch_result result;

	item->request = rq;
	item->index = (uint16_t)kind;
	if (fetch_list(s->env->fetch, kind, &q, now, &result,
	    request_fetched_cb, &item->wait) == 0) {
		request_settle(item, &result);
		return;
	}
	fetch_set_arg(item->wait, item);
	session_count_waiting(s, 1);
}

int
list_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_list msg;
	struct request *rq;
	size_t kinds;
	int r;

	r = msg_list_decode(frame->body, &msg);
	if (r != 0)
		return r;
	if (!policy_may(s->env->settings->policy, s->peer, POLICY_LIST)) {
		s->env->metrics->denied++;
		audit_record(s->env->audit, s->peer, "list",
		    (struct view){ NULL, 0 }, ERR_DENIED, NULL);
		session_error(out, frame->id, ERR_DENIED, "no rule with "
		    "operations=list allows you this; ask the operator");
		return 0;
	}
	kinds = msg.kind == 0 ? 2 : 1;
	rq = request_new(s, frame, &msg.terms, kinds, 0);
	if (rq == NULL) {
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return 0;
	}
	rq->left = (uint16_t)kinds;
	if (kinds == 2) {
		list_start(rq, 0, REF_SECRET, &msg.terms, now);
		list_start(rq, 1, REF_KEY, &msg.terms, now);
	} else {
		list_start(rq, 0, (enum ref_kind)msg.kind, &msg.terms, now);
	}
	return 0;
}
