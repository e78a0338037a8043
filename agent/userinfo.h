/*
 * Who a user of the system is, looked up without blocking the loop: the name
 * service may ask a directory far away.  Each look-up has a thread of its own,
 * which knows nothing of the daemon.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_USERINFO_H
#define AGENT_USERINFO_H

#include <stddef.h>

#include <sys/types.h>

struct event_base;
struct userinfo;
struct userinfo_job;

#define USERINFO_NAME_MAX 255
#define USERINFO_GROUPS_MAX 256
/* Look-ups at a time. */
#define USERINFO_JOBS_MAX 4

struct userinfo_user {
	uid_t uid;
	gid_t gid;
	size_t ngroups;
	gid_t groups[USERINFO_GROUPS_MAX];
};

/*
 * Called once for each look-up that is not cancelled, never from within
 * userinfo_start().  error: 0, ERR_NOT_FOUND, or ERR_INTERNAL: the look-up
 * failed.  user is the callee's only until it returns.
 */
typedef void userinfo_cb(void *arg, int error,
    const struct userinfo_user *user);

/* NULL for no memory. */
struct userinfo *userinfo_new(struct event_base *base);
/* All look-ups must have been cancelled. */
void userinfo_free(struct userinfo *ui);

/*
 * By name or number.  Returns 0; ERR_BUSY: too many are under way, or no
 * thread can be had; ERR_NOMEM; ERR_BAD_REQUEST: too long.
 */
int userinfo_start(struct userinfo *ui, const char *name, size_t len,
    userinfo_cb *cb, void *arg, struct userinfo_job **ret_job);
/* The callback will not be called; the thread ends when it can. */
void userinfo_cancel(struct userinfo_job *job);

#endif /* AGENT_USERINFO_H */
