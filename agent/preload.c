#include "config.h"

#include "preload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "log.h"
#include "settings.h"
#include "timers.h"

#define PRELOAD_RETRY_MS 2000

struct preload_item {
	struct preload *p;
	char *text;		/* a whole reference */
	struct fetch_wait *wait;
	bool held;
	bool refused;		/* a definite no */
};

struct preload {
	struct fetch *fetch;
	struct timer *limit;	/* preload-wait */
	struct timer *retry;
	struct timer *settle;	/* reports from an empty stack */
	uint64_t wait_ms;
	bool reported;
	void (*done)(void *arg, const char *missing);
	void *arg;
	struct ref ref;		/* scratch, as is text */
	char text[REF_MAX + 1];
	size_t count;
	struct preload_item items[];
};

static void
preload_missing(const struct preload *p, char *buf, size_t size)
{
	size_t i, len = 0;
	int n;

	buf[0] = '\0';
	for (i = 0; i < p->count && len < size; i++) {
		if (p->items[i].held)
			continue;
		n = snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
		    p->items[i].text);
		len += n > 0 ? (size_t)n : 0;
	}
}

static bool
preload_is_settled(const struct preload *p)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		if (!p->items[i].held && !p->items[i].refused)
			return false;
	}
	return true;
}

static void
preload_report(struct preload *p)
{
	char missing[512];

	if (p->reported)
		return;
	p->reported = true;
	timer_stop(p->limit);
	preload_missing(p, missing, sizeof(missing));
	p->done(p->arg, missing);
}

static void
preload_limit_cb(void *arg)
{
	preload_report(arg);
}

static void
preload_settle_cb(void *arg)
{
	struct preload *p = arg;

	if (preload_is_settled(p))
		preload_report(p);
}

/* Would asking again a little later be of no use? */
static bool
preload_is_definite(int error)
{
	return error == ERR_NOT_FOUND || error == ERR_DENIED ||
	    error == ERR_INSUFFICIENT_SCOPE || error == ERR_AMBIGUOUS ||
	    error == ERR_EXPIRED || error == ERR_TOO_LARGE;
}

static void
preload_result(struct preload_item *item, struct fetch_result *result)
{
	struct preload *p = item->p;

	if (result->error == 0) {
		item->held = true;
		object_unref(result->object);
		(void)ref_parse(item->text, strlen(item->text), &p->ref, NULL);
		fetch_keep(p->fetch, &p->ref);
	} else if (preload_is_definite(result->error)) {
		item->refused = true;
		log_warning("preload %s: %s", item->text, result->message);
	} else {
		timer_set(p->retry, PRELOAD_RETRY_MS);
	}
	timer_set(p->settle, 0);
}

static void
preload_fetched_cb(void *arg, struct fetch_result *result)
{
	struct preload_item *item = arg;

	item->wait = NULL;
	preload_result(item, result);
}

static void
preload_ask(struct preload *p)
{
	const struct fetch_query q = {
		.ref = &p->ref,
		.max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT,
		.quiet = true,
		.preload = true,
	};
	struct preload_item *item;
	struct fetch_result result;
	struct now now;
	size_t i;

	clock_read(&now);
	for (i = 0; i < p->count; i++) {
		item = &p->items[i];
		if (item->held || item->refused || item->wait != NULL)
			continue;
		(void)ref_parse(item->text, strlen(item->text), &p->ref, NULL);
		if (fetch_get(p->fetch, &q, &now, &result, preload_fetched_cb,
		    &item->wait) == 0) {
			item->wait = NULL;
			preload_result(item, &result);
		} else {
			fetch_set_arg(item->wait, item);
		}
	}
}

static void
preload_retry_cb(void *arg)
{
	preload_ask(arg);
}

void
preload_start(struct preload *p)
{
	timer_set(p->limit, p->wait_ms);
	timer_set(p->settle, 0);
	preload_ask(p);
}

static bool
preload_names(const struct preload *p, const char *text)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		if (strcmp(p->items[i].text, text) == 0)
			return true;
	}
	return false;
}

void
preload_release(struct preload *p, const struct preload *next)
{
	const char *text;
	size_t i;

	for (i = 0; i < p->count; i++) {
		text = p->items[i].text;
		if (preload_names(next, text))
			continue;
		(void)ref_parse(text, strlen(text), &p->ref, NULL);
		fetch_release(p->fetch, &p->ref);
	}
}

struct preload *
preload_new(struct event_base *base, struct fetch *fetch,
    const struct settings *settings,
    void (*done)(void *arg, const char *missing), void *arg)
{
	struct preload *p;
	size_t i;

	p = calloc(1, sizeof(*p) + settings->npreload * sizeof(p->items[0]));
	if (p == NULL)
		return NULL;
	p->fetch = fetch;
	p->done = done;
	p->arg = arg;
	if ((p->limit = timer_new(base, preload_limit_cb, p)) == NULL ||
	    (p->retry = timer_new(base, preload_retry_cb, p)) == NULL ||
	    (p->settle = timer_new(base, preload_settle_cb, p)) == NULL) {
		preload_free(p);
		return NULL;
	}
	for (i = 0; i < settings->npreload; i++) {
		p->items[i].p = p;
		if (ref_complete(REF_SECRET, settings->preload[i], NULL, p->text,
		    sizeof(p->text)) != 0 ||
		    (p->items[i].text = strdup(p->text)) == NULL) {
			preload_free(p);
			return NULL;
		}
		p->count++;
	}
	p->wait_ms = settings->preload_wait_ms;
	return p;
}

void
preload_free(struct preload *p)
{
	size_t i;

	if (p == NULL)
		return;
	for (i = 0; i < p->count; i++) {
		if (p->items[i].wait != NULL)
			fetch_cancel(p->items[i].wait);
		free(p->items[i].text);
	}
	timer_free(p->limit);
	timer_free(p->retry);
	timer_free(p->settle);
	free(p);
}
