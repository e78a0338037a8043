#include "config.h"

#include "refresh.h"

#include "cache.h"
#include "err.h"
#include "lookup.h"
#include "request.h"

/*
 * So many are waited for and counted; whatever is cached beyond that is
 * refreshed when it is due.
 */
#define REFRESH_ALL_MAX 4096

struct refresh_pass {
	struct request *rq;
	const struct now *now;
	size_t count;
};

static bool
refresh_count(void *arg, struct cache_entry *e)
{
	struct refresh_pass *p = arg;

	if (e->object != NULL)
		p->count++;
	return p->count < REFRESH_ALL_MAX;
}

static bool
refresh_start(void *arg, struct cache_entry *e)
{
	struct refresh_pass *p = arg;
	struct session *s = p->rq->session;
	struct ref *ref = &s->env->ref;
	const struct fetch_query q = {
		.ref = ref, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT, .fresh = true, .quiet = true,
		.patient = true,
	};
	struct session_item *item;
	struct fetch_result result;

	if (e->object == NULL)
		return true;
	ref->kind = e->kind;
	ref->format = e->format;
	ref->version = e->version;
	ref->name = cache_id(e);
	item = &p->rq->items[p->count++];
	item->request = p->rq;
	if (fetch_get(s->env->fetch, &q, p->now, &result, request_fetched_cb,
	    &item->wait) == 0) {
		request_settle(item, &result);
	} else {
		fetch_set_arg(item->wait, item);
		session_count_waiting(s, 1);
	}
	return p->count < p->rq->nitems;
}

static void
refresh_done(struct out *out, uint64_t id, uint64_t count, uint64_t failed)
{
	const struct msg_done done = { .count = count, .failed = failed };
	struct wr wr = out_begin(out);

	msg_done_encode(&wr, id, &done);
	out_commit(out, &wr);
}

int
refresh_all(struct session *s, const struct frame *frame,
    const struct msg_terms *terms, const struct now *now, struct out *out)
{
	struct refresh_pass p = { .now = now };

	cache_foreach(fetch_cache(s->env->fetch), refresh_count, &p);
	if (p.count == 0) {
		refresh_done(out, frame->id, 0, 0);
		return 0;
	}
	p.rq = request_new(s, frame, terms, p.count, 0);
	if (p.rq == NULL) {
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return 0;
	}
	p.rq->all = true;
	p.rq->left = (uint16_t)p.count;
	p.count = 0;
	cache_foreach(fetch_cache(s->env->fetch), refresh_start, &p);
	return 0;
}

void
refresh_all_count(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;

	if (item->error == 0)
		rq->done++;
	else
		rq->failed++;
	if (--rq->left > 0)
		return;
	refresh_done(out, rq->id, rq->done, rq->failed);
	request_free(rq);
}
