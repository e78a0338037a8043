#include "config.h"

#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "written.h"

#define NAMES_PAGE_SIZE 200
/* Against a service that never ends its list, or has no end of rows a page. */
#define NAMES_PAGES_MAX 1000
#define NAMES_ROWS_MAX (NAMES_PAGES_MAX * NAMES_PAGE_SIZE)
/*
 * Pages under way at once, where somebody waits and the first one tells how
 * many there are: one after the other 500 of them take 500 times the way.
 */
#define NAMES_PAGES_AT_ONCE 4

struct names_kind;

/* A page that was asked for. */
struct names_page {
	struct names_kind *kind;
	struct job *job;	/* NULL: none is */
	unsigned int number;	/* from 1 */
	uint64_t asked_boot_ms;
};

struct names_kind {
	struct names *owner;
	enum ref_kind kind;
	struct listing *listing;
	uint64_t begun_boot_ms;
	uint64_t sent;
	int error;
	/* since that was begun, by jobs_now(); 0: nothing */
	uint64_t changed;
	uint64_t unsure;
	struct written written;
	/* a renewal under way */
	struct names_page pages[NAMES_PAGES_AT_ONCE];
	unsigned int under_way;	/* of them */
	unsigned int asked;	/* the last page that was asked for */
	unsigned int last;	/* as far as is known; 0: not known */
	bool more;		/* after the last that was asked for */
	struct listing *next;
	uint64_t next_begun_boot_ms;
	uint64_t next_sent;
	bool again;		/* what came of it is void: from page 1 */
	bool for_names;		/* not only for what rows tell of values */
	enum job_waited waited;
};

struct names {
	struct jobs *jobs;
	names_page_cb *page_cb;
	names_cb *cb;
	void *arg;
	struct names_kind secrets;
	struct names_kind keys;
};

static struct names_kind *
names_of(struct names *n, enum ref_kind kind)
{
	return kind == REF_SECRET ? &n->secrets : &n->keys;
}

static const struct names_kind *
names_of_const(const struct names *n, enum ref_kind kind)
{
	return kind == REF_SECRET ? &n->secrets : &n->keys;
}

struct names *
names_new(struct jobs *jobs, names_page_cb *page_cb, names_cb *cb, void *arg)
{
	struct names *n;

	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return NULL;
	n->jobs = jobs;
	n->page_cb = page_cb;
	n->cb = cb;
	n->arg = arg;
	n->secrets.owner = n->keys.owner = n;
	n->secrets.kind = REF_SECRET;
	n->keys.kind = REF_KEY;
	return n;
}

/* Take back what is under way. */
static void
names_cancel(struct names_kind *k)
{
	size_t i;

	for (i = 0; i < NAMES_PAGES_AT_ONCE; i++) {
		if (k->pages[i].job != NULL)
			job_cancel(k->pages[i].job);
		k->pages[i].job = NULL;
	}
	k->under_way = 0;
}

static void
names_kind_done(struct names_kind *k)
{
	names_cancel(k);
	listing_unref(k->next);
	listing_unref(k->listing);
	written_clear(&k->written);
}

void
names_free(struct names *n)
{
	if (n == NULL)
		return;
	names_kind_done(&n->secrets);
	names_kind_done(&n->keys);
	free(n);
}

struct listing *
names_listing(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->listing;
}

uint64_t
names_begun(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->begun_boot_ms;
}

uint64_t
names_sent(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->sent;
}

int
names_error(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->error;
}

uint64_t
names_tried(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->next_begun_boot_ms;
}

bool
names_renewing(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->next != NULL;
}

void
names_restore(struct names *n, enum ref_kind kind, struct listing *l,
    uint64_t age_ms, const struct now *now)
{
	struct names_kind *k = names_of(n, kind);

	if (k->listing != NULL) {
		listing_unref(l);
		return;
	}
	k->listing = l;
	/* may be before the boot: differences are right all the same */
	k->begun_boot_ms = now->boot_ms - age_ms;
	k->sent = 0;
}

void
names_forget(struct names *n, enum ref_kind kind)
{
	struct names_kind *k = names_of(n, kind);

	listing_unref(k->listing);
	k->listing = NULL;
	written_clear(&k->written);
	if (k->asked == 1 && k->pages[0].job != NULL)
		job_restart(k->pages[0].job);
	k->again = k->next != NULL && k->asked > 1;
}

/* --- what was written --- */

void
names_changed(struct names *n, enum ref_kind kind, uint64_t at)
{
	names_of(n, kind)->changed = at;
}

void
names_unsure(struct names *n, enum ref_kind kind, uint64_t at)
{
	struct names_kind *k = names_of(n, kind);

	k->changed = k->unsure = at;
}

void
names_written(struct names *n, enum ref_kind kind, struct view name,
    struct view id, bool there, uint64_t at)
{
	struct names_kind *k = names_of(n, kind);

	k->changed = at;
	if (written_add(&k->written, name, id, there, at) != 0)
		k->unsure = at;
}

uint64_t
names_last_written(const struct names *n, enum ref_kind kind)
{
	return names_of_const(n, kind)->changed;
}

/* Was the listing asked for before that, and that before since, at worst? */
static bool
names_is_before(const struct names_kind *k, uint64_t at, uint64_t since)
{
	return at != 0 && k->sent <= (at < since ? at : since);
}

bool
names_is_outdated(const struct names *n, enum ref_kind kind, uint64_t since)
{
	const struct names_kind *k = names_of_const(n, kind);

	return names_is_before(k, k->changed, since);
}

bool
names_is_unsure(const struct names *n, enum ref_kind kind, uint64_t since)
{
	const struct names_kind *k = names_of_const(n, kind);

	return names_is_before(k, k->unsure, since);
}

/* --- what a text means --- */

static struct view
names_view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

/* Of those that have a name, an active one first; two of a kind: ambiguous. */
struct names_pick {
	struct names_found found;
	bool active;
};

static void
names_consider(struct names_pick *p, const char *id, const char *name,
    bool active)
{
	struct names_found *f = &p->found;
	struct view v = names_view(id);

	if (f->id.len == 0 || (active && !p->active)) {
		*f = (struct names_found){ .id = v, .name = names_view(name) };
		p->active = active;
	} else if (active == p->active) {
		f->other = v;
	}
}

int
names_by_name(const struct names *n, enum ref_kind kind, struct view name,
    struct names_found *ret)
{
	const struct names_kind *k = names_of_const(n, kind);
	const struct upstream_row *row = NULL;
	const struct written_row *wr;
	struct names_pick p = { .active = false };
	size_t pos = 0;

	if (k->listing == NULL)
		return ERR_NOT_FOUND;
	while ((wr = written_next(&k->written, name, &pos)) != NULL)
		names_consider(&p, wr->id, wr->name, true);
	while ((row = listing_next_named(k->listing, name, row)) != NULL) {
		if (k->written.count == 0 || written_find(&k->written, name,
		    names_view(row->id)) == NULL)
			names_consider(&p, row->id, row->name, row->is_active);
	}
	if (p.found.id.len == 0)
		return ERR_NOT_FOUND;
	*ret = p.found;
	return p.found.other.len > 0 ? ERR_AMBIGUOUS : 0;
}

int
names_by_id(const struct names *n, enum ref_kind kind, struct view id,
    struct names_found *ret)
{
	const struct names_kind *k = names_of_const(n, kind);
	const struct written_row *wr;
	const struct upstream_row *row;

	if (k->listing == NULL)
		return ERR_NOT_FOUND;
	if ((wr = written_by_id(&k->written, id)) != NULL) {
		*ret = (struct names_found){ .id = names_view(wr->id),
		    .name = names_view(wr->name) };
		return 0;
	}
	if ((row = listing_by_id(k->listing, id)) == NULL)
		return ERR_NOT_FOUND;
	*ret = (struct names_found){ .id = names_view(row->id),
	    .name = names_view(row->name) };
	return 0;
}

unsigned int
names_pages(const struct names *n, enum ref_kind kind)
{
	const struct listing *l = names_of_const(n, kind)->listing;

	return l == NULL ? 1
	    : (unsigned int)(listing_count(l) / NAMES_PAGE_SIZE) + 1;
}

/* --- renewals --- */

/* The renewal has ended: keep it or drop it, then tell. */
static void
names_end(struct names_kind *k, const struct upstream_answer *answer)
{
	if (answer->error == 0) {
		listing_unref(k->listing);
		k->listing = k->next;
		k->begun_boot_ms = k->next_begun_boot_ms;
		k->sent = k->next_sent;
		written_forget(&k->written, k->sent);
	} else {
		listing_unref(k->next);
	}
	k->next = NULL;
	if (answer->error != ERR_AGAIN)
		k->error = answer->error;
	k->owner->cb(k->owner->arg, k->kind, answer);
}

static void names_answer_cb(void *arg, struct job *job,
    struct upstream_answer *answer);

/* The next page.  Returns 0 or ERR_NOMEM. */
static int
names_ask_page(struct names_kind *k)
{
	const struct upstream_request req = {
		.op = k->kind == REF_SECRET ? UPSTREAM_LIST_SECRETS
		    : UPSTREAM_LIST_KEYS,
		.page = k->asked + 1,
		.page_size = NAMES_PAGE_SIZE,
	};
	struct names_page *p = k->pages;
	struct now now;
	int r;

	while (p->job != NULL)
		p++;
	clock_read(&now);
	p->kind = k;
	p->number = req.page;
	p->asked_boot_ms = now.boot_ms;
	r = jobs_start(k->owner->jobs, &req, k->waited, names_answer_cb, p,
	    &p->job);
	if (r != 0) {
		p->job = NULL;
		return r;
	}
	k->asked++;
	k->under_way++;
	return 0;
}

/* As many as may be: those that are known of, else the one that comes next. */
static int
names_ask_more(struct names_kind *k)
{
	unsigned int most = k->for_names && JOB_IS_WAITED(k->waited)
	    ? NAMES_PAGES_AT_ONCE : 1;
	int r;

	while (k->under_way < most && (k->asked < k->last ||
	    (k->under_way == 0 && k->more))) {
		k->more = false;
		if ((r = names_ask_page(k)) != 0)
			return r;
	}
	return 0;
}

static int
names_ask_first(struct names_kind *k)
{
	k->asked = k->last = 0;
	k->more = k->again = false;
	return names_ask_page(k);
}

/* The pages so far are void.  Returns 0 or ERR_NOMEM. */
static int
names_ask_again(struct names_kind *k)
{
	struct listing *next = listing_new();

	names_cancel(k);
	if (next == NULL)
		return ERR_NOMEM;
	listing_unref(k->next);
	k->next = next;
	return names_ask_first(k);
}

/* has_more alone would let a confused service keep us for ever. */
static bool
names_has_more(const struct names_kind *k, const struct upstream_page *page,
    size_t news)
{
	return page->has_more && news > 0 && k->asked < NAMES_PAGES_MAX &&
	    listing_count(k->next) < NAMES_ROWS_MAX;
}

/* How many there are, as the first one tells. */
static unsigned int
names_last(const struct upstream_page *page)
{
	uint64_t n = page->count;

	if (!page->has_more || n == 0 || page->total == 0)
		return 0;
	n = (page->total - 1) / n + 1;
	return n > NAMES_PAGES_MAX ? NAMES_PAGES_MAX : (unsigned int)n;
}

/* A page has come.  0, ERR_NOMEM, or ERR_AGAIN: it is of no use to go on. */
static int
names_take_page(struct names_kind *k, const struct names_page *p,
    struct upstream_page *page)
{
	bool wanted = k->owner->page_cb(k->owner->arg, k->kind, page,
	    p->asked_boot_ms);
	size_t news = 0;
	int r = listing_add(k->next, page, &news);

	if (r != 0)
		return r;
	if (p->number == 1)
		k->last = names_last(page);
	if (p->number == k->asked)
		k->more = names_has_more(k, page, news);
	/* there are fewer than was told, or it tells the same ones for ever */
	if ((!page->has_more || news == 0) && p->number < k->last)
		k->last = p->number;
	if (!wanted && !k->for_names && (k->more || k->asked < k->last))
		return ERR_AGAIN;
	return names_ask_more(k);
}

static void
names_answer_cb(void *arg, struct job *job, struct upstream_answer *answer)
{
	struct names_page *p = arg;
	struct names_kind *k = p->kind;
	struct upstream_page *page = answer->page;

	if (p->number == 1)
		k->next_sent = job_sent(job);
	p->job = NULL;
	k->under_way--;
	answer->page = NULL;
	if (k->again)
		answer->error = names_ask_again(k);
	else if (answer->error == 0)
		answer->error = names_take_page(k, p, page);
	if (page != NULL)
		upstream_page_free(page);
	if (answer->error != 0)
		names_cancel(k);
	if (k->under_way == 0)
		names_end(k, answer);
}

/* Begin a renewal, if none is under way. */
static int
names_begin(struct names_kind *k, enum job_waited waited, const struct now *now)
{
	int r;

	if (k->next != NULL)
		return 0;
	k->next = listing_new();
	if (k->next == NULL)
		return ERR_NOMEM;
	k->next_begun_boot_ms = now->boot_ms;
	k->waited = waited;
	k->for_names = false;
	r = names_ask_first(k);
	if (r != 0) {
		listing_unref(k->next);
		k->next = NULL;
	}
	return r;
}

int
names_renew(struct names *n, enum ref_kind kind, enum job_waited waited,
    const struct now *now)
{
	struct names_kind *k = names_of(n, kind);
	size_t i;
	int r;

	r = names_begin(k, waited, now);
	if (r != 0)
		return r;
	k->for_names = true;
	if (waited > k->waited)
		k->waited = waited;
	/* also if it is none the higher: the page may hang */
	for (i = 0; i < NAMES_PAGES_AT_ONCE; i++) {
		if (k->pages[i].job != NULL)
			job_set_waited(k->pages[i].job, k->waited);
	}
	return 0;
}

int
names_renew_for_values(struct names *n, enum ref_kind kind,
    const struct now *now)
{
	return names_begin(names_of(n, kind), JOB_REFRESH, now);
}
