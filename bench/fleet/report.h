/*
 * What a run has measured, as text and as a picture.
 */
#ifndef FLEET_REPORT_H
#define FLEET_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "fleet.h"

/* A line that says what is simulated. */
void report_head(FILE *out, const struct fleet_options *opt);
void report_rates(FILE *out, const struct fleet_result *r, size_t n);
void report_readers(FILE *out, const struct fleet_result *r, size_t n);

/*
 * Check what has to hold for any fleet; a line for each that does not.
 * Returns how many checks passed; *ret_failed how many did not.
 */
unsigned int report_check(FILE *out, const struct fleet_result *r,
    unsigned int *ret_failed);

/* What arrived in each second, a line each.  0, or -1: it cannot be written. */
int report_csv(FILE *out, const struct fleet_result *r, size_t n);

/*
 * An SVG, one panel a scenario: requests a second (the greatest of each
 * column, on a logarithmic scale) and the share of secrets that are not right.
 * 0, or -1: it cannot be written.
 */
int plot_write(FILE *out, const struct fleet_result *r, size_t n);

#endif /* FLEET_REPORT_H */
