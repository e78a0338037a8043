#include "config.h"

#include "harden.h"

#include <sys/mman.h>

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 0
#endif

void
harden_self(struct harden *h)
{
	struct rlimit none;

	h->core_saved = getrlimit(RLIMIT_CORE, &h->core) == 0;
	if (h->core_saved) {
		/*
		 * 1, not 0: it is too small for a file, and the one value at
		 * which the kernel starts no core_pattern program either.
		 * PR_SET_DUMPABLE would hide /proc/self/exe from an agent
		 * that has rules about it.
		 */
		none = h->core;
		none.rlim_cur = h->core.rlim_max < 1 ? h->core.rlim_max : 1;
		(void)setrlimit(RLIMIT_CORE, &none);
	}
	h->locked = mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

bool
harden_unlock(struct harden *h)
{
	if (!h->locked)
		return false;
	h->locked = false;
	return munlockall() == 0;
}

void
harden_undo(struct harden *h)
{
	/*
	 * Locks do not outlive exec, but execvp(3) may need a large stack
	 * before it, and one that may not grow is a crash.  Limits do.
	 */
	(void)harden_unlock(h);
	if (h->core_saved)
		(void)setrlimit(RLIMIT_CORE, &h->core);
	h->core_saved = false;
}
