#include "config.h"

#include "clock.h"

#include <assert.h>
#include <time.h>

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;
	int r;

	r = clock_gettime(id, &ts);
	assert(r == 0); /* both clocks exist since Linux 2.6.39 */
	(void)r;
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
clock_read(struct now *ret_now)
{
	ret_now->boot_ms = (uint64_t)read_ms(CLOCK_BOOTTIME);
	ret_now->wall_ms = read_ms(CLOCK_REALTIME);
}
