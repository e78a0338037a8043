#include "config.h"

#include "harden.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "err.h"
#include "log.h"

/* Besides the clients': transfers, logs, lock files, the loop's own. */
#define SPARE_DESCRIPTORS 128
/* Of a client: its socket and, before Linux 6.5, its pidfd. */
#define CLIENT_DESCRIPTORS 2

static int
fail(char *why, size_t why_size, const char *what)
{
	(void)snprintf(why, why_size, "%s: %s", what, strerror(errno));
	return ERR_INTERNAL;
}

/*
 * Too few descriptors are no reason to refuse: there are fewer connections
 * then.  But whoever set max-connections should know.
 */
void
harden_descriptors(unsigned int max_connections)
{
	rlim_t need = (rlim_t)max_connections * CLIENT_DESCRIPTORS +
	    SPARE_DESCRIPTORS;
	struct rlimit had;
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &had) != 0 || had.rlim_cur >= need)
		return;
	lim = had;
	lim.rlim_cur = need;
	if (lim.rlim_max < need)
		lim.rlim_max = need; /* root may */
	if (setrlimit(RLIMIT_NOFILE, &lim) == 0)
		return;
	had.rlim_cur = had.rlim_max < need ? had.rlim_max : need;
	(void)setrlimit(RLIMIT_NOFILE, &had);
	log_warning("max-connections=%u needs %llu file descriptors, the "
		    "limit is %llu: raise LimitNOFILE= (ulimit -n) or lower "
		    "max-connections", max_connections,
	    (unsigned long long)need, (unsigned long long)had.rlim_cur);
}

unsigned int
harden_connections(unsigned int wanted)
{
	struct rlimit lim;
	rlim_t room;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 ||
	    lim.rlim_cur == RLIM_INFINITY)
		return wanted;
	if (lim.rlim_cur <= SPARE_DESCRIPTORS + CLIENT_DESCRIPTORS)
		return 1;
	room = (lim.rlim_cur - SPARE_DESCRIPTORS) / CLIENT_DESCRIPTORS;
	return room < wanted ? (unsigned int)room : wanted;
}

int
harden_process(unsigned int max_connections, char *why, size_t why_size)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return fail(why, why_size, "cannot forbid core dumps");
#ifndef WITH_SANITIZERS /* LeakSanitizer traces the process it looks at */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(why, why_size, "cannot become undumpable");
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(why, why_size, "cannot give up new privileges");
	(void)umask(077);
	harden_descriptors(max_connections);
	return 0;
}

static bool
may_lock_all(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, caps) == 0 &&
	    (caps[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

size_t
harden_lockable_bytes(void)
{
	struct rlimit lim;

	if (may_lock_all() || getrlimit(RLIMIT_MEMLOCK, &lim) != 0 ||
	    lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur > SIZE_MAX)
		return SIZE_MAX;
	return (size_t)lim.rlim_cur;
}
