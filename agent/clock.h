/*
 * The two clocks.  Ages, deadlines and refreshes run on the boot clock, which
 * goes on through suspend and never steps; expiry runs on wall time.  The two
 * never meet in one expression.
 *
 * Read once per wake-up of the event loop and passed down as an argument.
 */
#ifndef AGENT_CLOCK_H
#define AGENT_CLOCK_H

#include <stdint.h>

struct now {
	uint64_t boot_ms;	/* CLOCK_BOOTTIME */
	int64_t wall_ms;	/* CLOCK_REALTIME, since the epoch */
};

void clock_read(struct now *ret_now);

#endif /* AGENT_CLOCK_H */
