#include "config.h"

#include "report.h"

#include <math.h>

#define PLOT_COLUMNS 400u
#define PLOT_LEFT 52
#define PLOT_WIDTH 800		/* of a panel's area */
#define PLOT_PANEL 118		/* from one to the next */
#define PLOT_HEIGHT 84
#define PLOT_TOP 46
#define PLOT_RIGHT 44

struct plot {
	FILE *out;
	double top;		/* log10 of the greatest rate drawn */
};

static const char plot_style[] =
    "<style>text{font:11px sans-serif;fill:#333}.t{font-weight:bold}"
    ".g{stroke:#ddd;fill:none}.r{stroke:#1f5fa8;fill:none;"
    "stroke-width:1.2}.b{fill:#e8a33d;fill-opacity:.45}"
    ".e{fill:#888;fill-opacity:.16}.s{stroke:#2a8a4a;fill:none;"
    "stroke-dasharray:4 3}</style>\n"
    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";

/* 1 a second and less is the bottom line. */
static double
plot_y(const struct plot *p, double rate)
{
	double v = rate > 1 ? log10(rate) / p->top : 0;

	return PLOT_HEIGHT * (1 - (v < 1 ? v : 1));
}

static double
plot_x(const struct fleet_result *r, unsigned int second)
{
	return (double)PLOT_WIDTH * second / r->seconds;
}

static unsigned int
plot_columns(const struct fleet_result *r)
{
	return r->seconds < PLOT_COLUMNS ? r->seconds : PLOT_COLUMNS;
}

static void
plot_grid(const struct plot *p, const struct fleet_result *r)
{
	double rate;
	unsigned int m;

	for (rate = 1; log10(rate) <= p->top; rate *= 10) {
		(void)fprintf(p->out, "<path class=\"g\" d=\"M0 %.1fH%d\"/>"
		    "<text x=\"-6\" y=\"%.1f\" text-anchor=\"end\">%.0f"
		    "</text>\n", plot_y(p, rate), PLOT_WIDTH,
		    plot_y(p, rate) + 4, rate);
	}
	for (m = 0; m <= r->seconds / 60; m += 5)
		(void)fprintf(p->out, "<path class=\"g\" d=\"M%.1f 0V%d\"/>"
		    "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%u"
		    "</text>\n", plot_x(r, m * 60), PLOT_HEIGHT,
		    plot_x(r, m * 60), PLOT_HEIGHT + 13, m);
	(void)fprintf(p->out, "<text x=\"%d\" y=\"4\">100 %%</text>"
	    "<text x=\"%d\" y=\"%d\">0</text>\n", PLOT_WIDTH + 4,
	    PLOT_WIDTH + 4, PLOT_HEIGHT + 4);
}

/* The share of what is not right, as an area from the bottom. */
static void
plot_bad(const struct plot *p, const struct fleet_result *r)
{
	const double all = (double)r->options.agents * r->options.secrets;
	unsigned int i, n = plot_columns(r), s;
	int last = -1, y;

	(void)fprintf(p->out, "<path class=\"b\" d=\"M0 %d", PLOT_HEIGHT);
	for (i = 0; i < n; i++) {
		s = i * r->seconds / n;
		y = (int)(PLOT_HEIGHT * (1 - r->bad[s] / all) + 0.5);
		if (y != last)
			(void)fprintf(p->out, "H%.0fV%d", plot_x(r, s), y);
		last = y;
	}
	(void)fprintf(p->out, "H%dV%dZ\"/>\n", PLOT_WIDTH, PLOT_HEIGHT);
}

static void
plot_rate(const struct plot *p, const struct fleet_result *r)
{
	unsigned int i, n = plot_columns(r), s;
	uint32_t most;

	(void)fprintf(p->out, "<path class=\"r\" d=\"");
	for (i = 0; i < n; i++) {
		most = 0;
		for (s = i * r->seconds / n; s < (i + 1) * r->seconds / n; s++)
			if (r->per_second[s].requests > most)
				most = r->per_second[s].requests;
		(void)fprintf(p->out, "%s%.0f %.1f", i == 0 ? "M" : "L",
		    plot_x(r, i * r->seconds / n), plot_y(p, most));
	}
	(void)fprintf(p->out, "\"/>\n");
}

static void
plot_panel(const struct plot *p, const struct fleet_result *r, size_t i)
{
	const struct fleet_rates *w = &r->windows[FLEET_DURING];

	(void)fprintf(p->out, "<g transform=\"translate(%d %zu)\">\n"
	    "<text class=\"t\" y=\"-5\">%s: %s</text>\n", PLOT_LEFT,
	    PLOT_TOP + i * PLOT_PANEL, r->scenario->name, r->scenario->title);
	if (w->to_s > w->from_s)
		(void)fprintf(p->out, "<rect class=\"e\" x=\"%.1f\" "
		    "width=\"%.1f\" height=\"%d\"/>\n", plot_x(r, w->from_s),
		    plot_x(r, w->to_s) - plot_x(r, w->from_s), PLOT_HEIGHT);
	plot_bad(p, r);
	plot_grid(p, r);
	(void)fprintf(p->out, "<path class=\"s\" d=\"M0 %.1fH%d\"/>\n",
	    plot_y(p, fleet_single_rate(&r->options)), PLOT_WIDTH);
	plot_rate(p, r);
	(void)fprintf(p->out, "</g>\n");
}

static double
plot_greatest(const struct fleet_result *r, size_t n)
{
	double most = 10;
	unsigned int s;
	size_t i;

	for (i = 0; i < n; i++) {
		for (s = 0; s < r[i].seconds; s++)
			if (r[i].per_second[s].requests > most)
				most = r[i].per_second[s].requests;
	}
	return most;
}

int
plot_write(FILE *out, const struct fleet_result *r, size_t n)
{
	const struct plot p = {
		.out = out, .top = log10(plot_greatest(r, n)),
	};
	size_t i;

	(void)fprintf(p.out, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
	    "width=\"%d\" height=\"%zu\">\n%s",
	    PLOT_LEFT + PLOT_WIDTH + PLOT_RIGHT, PLOT_TOP + n * PLOT_PANEL,
	    plot_style);
	(void)fprintf(p.out, "<text x=\"%d\" y=\"13\">%u agents x %u secrets. "
	    "Blue: requests a second, the greatest of each column; dashed: "
	    "the rate of single reads. Below: minutes.</text>\n"
	    "<text x=\"%d\" y=\"27\">Orange: share of secrets missing, stale "
	    "or outdated; grey: the event.</text>\n", PLOT_LEFT,
	    n > 0 ? r[0].options.agents : 0, n > 0 ? r[0].options.secrets : 0,
	    PLOT_LEFT);
	for (i = 0; i < n; i++)
		plot_panel(&p, &r[i], i);
	(void)fprintf(p.out, "</svg>\n");
	return ferror(p.out) ? -1 : 0;
}
