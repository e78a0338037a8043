#include "config.h"

#include "state_fds.h"

#include <unistd.h>

#include "notify.h"

static const char *const names[STATE_FDS_NAMES] = {
	"qapi-agent-state", "qapi-agent-state-2",
};

void
state_fds_init(struct state_fds *f)
{
	f->enabled = notify_has_fd_store();
	f->fd = -1;
	f->slot = 0;
	f->forget = false;
}

void
state_fds_done(struct state_fds *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

size_t
state_fds_take(struct state_fds *f, struct state_fds_kept ret[STATE_FDS_MAX])
{
	int fds[STATE_FDS_MAX];
	size_t i, n, found = 0;
	unsigned int slot;

	(void)f;
	for (slot = 0; slot < STATE_FDS_NAMES; slot++) {
		n = notify_take_fds(names[slot], fds, STATE_FDS_MAX - found);
		for (i = 0; i < n; i++)
			ret[found++] = (struct state_fds_kept){fds[i], slot};
	}
	return found;
}

void
state_fds_taken_over(struct state_fds *f, unsigned int slot)
{
	f->slot = 1 - slot;
}

void
state_fds_store(struct state_fds *f, int fd)
{
	if (f->fd >= 0)
		(void)close(f->fd);	/* never sent: the newer one will do */
	f->fd = fd;
}

bool
state_fds_send(struct state_fds *f)
{
	if (f->fd >= 0) {
		if (!notify_store_fd(names[f->slot], f->fd))
			return false;
		(void)close(f->fd);
		f->fd = -1;
		f->slot = 1 - f->slot;
		f->forget = true;
	}
	if (f->forget) {
		/* slot is the next one's by now, so the old one's */
		if (!notify_forget_fd(names[f->slot]))
			return false;
		f->forget = false;
	}
	return true;
}
