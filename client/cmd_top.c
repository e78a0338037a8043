#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "errors.h"
#include "out.h"
#include "screen.h"
#include "units.h"

#define DELAY_DEFAULT_MS 2000
#define DELAY_MIN_MS 100
#define ANSWER_MS 2000		/* keys are not looked at meanwhile */
#define HEAD_LINES 5		/* above the rows */
#define ALL_ROWS SIZE_MAX

/* What the agent said last.  All owned. */
struct picture {
	struct qapi_agent_stats *stats;
	struct qapi_agent_items *items;
	const struct qapi_agent_item **order; /* of items */
	char *trouble;		/* in place of stats or items; NULL: none */
};

static void
picture_done(struct picture *p)
{
	qapi_agent_stats_free(&p->stats);
	qapi_agent_items_free(&p->items);
	free(p->order);
	free(p->trouble);
	memset(p, 0, sizeof(*p));
}

/* --- order of rows ------------------------------------------------------- */

/* What needs looking at first: expired, stale, fresh, not cached. */
static int
rank(const struct qapi_agent_item *item)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);

	return freshness == QAPI_AGENT_FRESHNESS_NONE ? 0 : (int)freshness;
}

static int
compare(const void *pa, const void *pb)
{
	const struct qapi_agent_item *a = *(const struct qapi_agent_item *const
	    *)pa;
	const struct qapi_agent_item *b = *(const struct qapi_agent_item *const
	    *)pb;
	uint64_t age_a = qapi_agent_item_age_ms(a);
	uint64_t age_b = qapi_agent_item_age_ms(b);
	const char *name_a = qapi_agent_item_name(a);
	const char *name_b = qapi_agent_item_name(b);

	if (rank(a) != rank(b))
		return rank(b) - rank(a);
	if (age_a != age_b)
		return age_a > age_b ? -1 : 1;
	return strcmp(name_a != NULL ? name_a : "", name_b != NULL ? name_b
								   : "");
}

static int
sort(struct picture *p)
{
	size_t i, n = qapi_agent_items_count(p->items);

	p->order = calloc(n + 1, sizeof(const struct qapi_agent_item *));
	if (p->order == NULL)
		return QAPI_AGENT_ERR_NOMEM;
	for (i = 0; i < n; i++)
		p->order[i] = qapi_agent_items_at(p->items, i);
	qsort(p->order, n, sizeof(const struct qapi_agent_item *), compare);
	return 0;
}

/* --- asking -------------------------------------------------------------- */

/* Returns 0, or the error of STATUS; that LIST failed is only told. */
static int
fetch(struct cli *cli, struct picture *p)
{
	int r;

	picture_done(p);
	if ((r = qapi_agent_status(cli->agent, &p->stats)) != 0)
		return r;
	r = qapi_agent_list(cli->agent, QAPI_AGENT_KIND_ANY, NULL, &p->items);
	if (r == 0)
		return sort(p);
	p->trouble = strdup(qapi_agent_message(cli->agent));
	return 0;
}

/* --- drawing ------------------------------------------------------------- */

static const char *
stat_text(const struct picture *p, const char *name)
{
	long i = qapi_agent_stats_find(p->stats, name);
	const char *text;

	text = i < 0 ? NULL : qapi_agent_stats_text(p->stats, (size_t)i);
	return text != NULL ? text : "-";
}

static void
put_number(struct out *o, const struct picture *p, const char *name)
{
	long i = qapi_agent_stats_find(p->stats, name);

	if (i < 0 || qapi_agent_stats_type(p->stats, (size_t)i) !=
	    QAPI_AGENT_STAT_UINT)
		out_char(o, '-');
	else
		out_fmt(o, "%" PRIu64, qapi_agent_stats_uint(p->stats,
		    (size_t)i));
}

static void
put_seconds(struct out *o, const struct picture *p, const char *name)
{
	long i = qapi_agent_stats_find(p->stats, name);
	char age[UNITS_DURATION_LEN];
	uint64_t n;

	n = i < 0 ? UINT64_MAX : qapi_agent_stats_uint(p->stats, (size_t)i);
	if (i < 0 || n > UINT64_MAX / 1000 || qapi_agent_stats_type(p->stats,
	    (size_t)i) != QAPI_AGENT_STAT_UINT)
		out_char(o, '-');
	else
		out_text(o, cli_age(n * 1000, age));
}

/* "1.5M"; exact below 10K. */
static void
put_bytes(struct out *o, const struct picture *p, const char *name)
{
	long i = qapi_agent_stats_find(p->stats, name);
	uint64_t n;
	unsigned int unit = 0;

	if (i < 0 || qapi_agent_stats_type(p->stats, (size_t)i) !=
	    QAPI_AGENT_STAT_UINT) {
		out_char(o, '-');
		return;
	}
	n = qapi_agent_stats_uint(p->stats, (size_t)i);
	while (n >= 10240 && unit < 4) {
		n /= 1024;
		unit++;
	}
	out_fmt(o, "%" PRIu64 "%c", n, "BKMGT"[unit]);
}

/* HEAD_LINES - 1 lines. */
static void
put_head(struct out *o, const struct picture *p)
{
	out_text(o, "qapi-agentd ");
	out_printable(o, stat_text(p, "version"));
	out_text(o, ", pid ");
	put_number(o, p, "pid");
	out_text(o, ", up ");
	put_seconds(o, p, "uptimeSeconds");
	out_text(o, ", clients ");
	put_number(o, p, "clients");
	out_text(o, "\nservice: ");
	out_printable(o, stat_text(p, "upstream.state"));
	out_text(o, ", breaker ");
	out_printable(o, stat_text(p, "upstream.breaker"));
	out_text(o, ", last success ");
	put_seconds(o, p, "upstream.lastSuccessAgeSeconds");
	out_text(o, " ago\ncache: ");
	put_number(o, p, "cache.secrets");
	out_text(o, " secrets, ");
	put_number(o, p, "cache.keys");
	out_text(o, " keys, ");
	put_bytes(o, p, "cache.bytes");
	out_text(o, " of ");
	put_bytes(o, p, "cache.maxBytes");
	out_text(o, "; hits ");
	put_number(o, p, "cache.hits");
	out_text(o, ", misses ");
	put_number(o, p, "cache.misses");
	out_text(o, ", stale ");
	put_number(o, p, "cache.stale");
	out_text(o, "\n\n");
}

/* "in 3h", "3h ago", "-" */
static const char *
expiry(const struct qapi_agent_item *item, int64_t now_wall_ms,
    char buf[UNITS_DURATION_LEN + 8])
{
	int64_t at = qapi_agent_item_expires_at_ms(item);
	char age[UNITS_DURATION_LEN];
	struct out o;

	if (at == QAPI_AGENT_NO_TIME)
		return "-";
	out_init(&o);
	if (at >= now_wall_ms)
		out_fmt(&o, "in %s", cli_age((uint64_t)at -
		    (uint64_t)now_wall_ms, age));
	else
		out_fmt(&o, "%s ago", cli_age((uint64_t)now_wall_ms -
		    (uint64_t)at, age));
	buf[0] = '\0';
	if (!o.failed && o.len < UNITS_DURATION_LEN + 8) {
		memcpy(buf, o.p, o.len);
		buf[o.len] = '\0';
	}
	out_done(&o);
	return buf;
}

static void
put_row(struct out *o, const struct qapi_agent_item *item, int64_t now_wall_ms)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	char age[UNITS_DURATION_LEN], when[UNITS_DURATION_LEN + 8];
	const char *name = qapi_agent_item_name(item);

	out_fmt(o, "%-9s  %-9s  %-12s  %-6s  ",
	    freshness == QAPI_AGENT_FRESHNESS_NONE
	    ? "-" : qapi_agent_freshness_name(freshness),
	    freshness == QAPI_AGENT_FRESHNESS_NONE
	    ? "-" : cli_age(qapi_agent_item_age_ms(item), age),
	    expiry(item, now_wall_ms, when),
	    qapi_agent_item_kind(item) == QAPI_AGENT_KIND_KEY ? "key"
							      : "secret");
	out_printable(o, name != NULL ? name : "-");
	out_char(o, '\n');
}

/* rows: of the terminal, or ALL_ROWS. */
static void
put_picture(struct out *o, const struct picture *p, size_t rows)
{
	size_t i, n, room = ALL_ROWS;
	struct timespec now;
	int64_t now_wall_ms;

	put_head(o, p);
	if (p->items == NULL) {
		out_text(o, "no list: ");
		out_printable(o, p->trouble != NULL ? p->trouble : "?");
		out_char(o, '\n');
		return;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	now_wall_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	out_fmt(o, "%-9s  %-9s  %-12s  %-6s  %s\n", "FRESHNESS", "AGE",
	    "EXPIRES", "KIND", "NAME");
	n = qapi_agent_items_count(p->items);
	if (rows != ALL_ROWS)
		room = rows > HEAD_LINES ? rows - HEAD_LINES : 0;
	if (n > room && room > 0)
		room--; /* for the line that says so */
	for (i = 0; i < n && i < room; i++)
		put_row(o, p->order[i], now_wall_ms);
	if (i < n)
		out_fmt(o, "and %zu more\n", n - i);
}

/* --- once ---------------------------------------------------------------- */

static int
top_once(struct cli *cli)
{
	struct picture p = {NULL, NULL, NULL, NULL};
	struct out o;
	int r;

	if ((r = fetch(cli, &p)) != 0)
		return cli_failed(cli, r, NULL, 0);
	out_init(&o);
	put_picture(&o, &p, ALL_ROWS);
	r = cli_print(cli, &o, STATUS_DONE);
	out_done(&o);
	picture_done(&p);
	return r;
}

/* --- on a terminal ------------------------------------------------------- */

/* Without an agent there is still something to see, and it may come back. */
static int
draw(struct cli *cli, struct picture *p, int error)
{
	unsigned int rows, columns;
	struct out o;
	int r;

	screen_size(&rows, &columns);
	out_init(&o);
	if (error == 0) {
		put_picture(&o, p, rows);
	} else {
		out_printable(&o, qapi_agent_message(cli->agent));
		out_text(&o, "\n\ntrying again; q ends this\n");
	}
	r = screen_draw(&o);
	out_done(&o);
	return r;
}

enum wish {
	WISH_NONE,
	WISH_DRAW,		/* the window has another size */
	WISH_STOP,		/* ^Z */
	WISH_END,
};

/* What a key or a signal asks for, or that delay_ms are over. */
static enum wish
wait_wish(struct screen_signals *signals, uint64_t delay_ms)
{
	struct pollfd pfds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = signals->fd, .events = POLLIN},
	};
	char key;
	int signo;

	if (poll(pfds, 2, (int)delay_ms) <= 0)
		return WISH_NONE;
	if (pfds[1].revents != 0) {
		signo = screen_signals_wait(signals, 0);
		return signo == SIGWINCH ? WISH_DRAW
		    : signo == SIGTSTP	 ? WISH_STOP
		    : signo == 0	 ? WISH_DRAW
					 : WISH_END;
	}
	if (read(STDIN_FILENO, &key, 1) != 1)
		return WISH_END;	/* the terminal is gone */
	return key == 'q' || key == 'Q' ? WISH_END : WISH_NONE;
}

static int
top_loop(struct cli *cli, struct picture *p, struct screen *screen,
    struct screen_signals *signals, uint64_t delay_ms)
{
	enum wish wish;
	int r, error = 0;

	while ((r = draw(cli, p, error)) == 0) {
		wish = wait_wish(signals, delay_ms);
		if (wish == WISH_END)
			break;
		if (wish == WISH_STOP) {
			screen_off(screen);
			(void)raise(SIGSTOP);
			if ((r = screen_on(screen)) != 0)
				break;
		}
		if (wish != WISH_DRAW)
			error = fetch(cli, p);
	}
	return r;
}

static int
top_on_terminal(struct cli *cli, uint64_t delay_ms)
{
	struct screen_signals signals = {.fd = -1};
	struct picture p = {NULL, NULL, NULL, NULL};
	struct screen screen = {.on = false};
	int r;

	/* an agent that is not there to begin with is an error, as for others */
	if ((r = fetch(cli, &p)) != 0)
		return cli_failed(cli, r, NULL, 0);
	if (cli->timeout_ms == 0 || cli->timeout_ms > ANSWER_MS)
		qapi_agent_set_timeout_ms(cli->agent, ANSWER_MS);
	r = screen_signals_init(&signals, true);
	if (r == 0)
		r = screen_on(&screen);
	if (r == 0)
		r = top_loop(cli, &p, &screen, &signals, delay_ms);
	screen_off(&screen);
	if (r != 0)
		r = errors_say(cli->json, NULL, "cannot use the terminal: %s: "
		    "try --once", strerror(errno));
	screen_signals_done(&signals);
	picture_done(&p);
	return r;
}

int
cmd_top(struct cli *cli, int argc, char **argv)
{
	bool once = false;
	uint64_t delay_ms = DELAY_DEFAULT_MS;
	const struct option_spec own[] = {
		{'d', "delay", OPTION_DURATION, &delay_ms, "D",
		    "ask anew this often (default 2s)"},
		{'\0', "once", OPTION_FLAG, &once, NULL,
		    "print one picture and end, as without a terminal"},
	};
	struct option_list operands = {NULL, 0};
	int status;

	if (!cli_options(cli, own, 2, argc, argv, &operands, &status))
		goto out;
	if (operands.count > 0) {
		status = cli_usage(cli, "%.100s: top takes no operand: leave "
		    "it out", operands.v[0]);
	} else if (delay_ms < DELAY_MIN_MS || delay_ms > 3600000) {
		status = cli_usage(cli, "--delay is from 100ms to 1h");
	} else if ((status = cli_connect(cli)) == 0) {
		(void)harden_unlock(&cli->harden);
		if (once || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
			status = top_once(cli);
		else
			status = top_on_terminal(cli, delay_ms);
	}
out:
	options_list_free(&operands);
	return status;
}
