/*
 * Messages to the service manager (sd_notify(3)).  Without systemd, or when
 * not started by it, they do nothing.
 */
#ifndef AGENT_NOTIFY_H
#define AGENT_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * False if the manager does not read just now: to be sent again a little
 * later.  The others are dropped then; none of them ever blocks.
 */
bool notify_ready(void);
/* RELOADING=1 with MONOTONIC_USEC, as Type=notify-reload wants it. */
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Half of WatchdogSec= in ms, 0 if there is no watchdog. */
uint64_t notify_watchdog_ms(void);
void notify_watchdog(void);

/*
 * Does the manager keep descriptors for the next start of this unit?  As
 * $FDSTORE says, which systemd sets since version 254 and the unit before.
 */
bool notify_has_fd_store(void);
/*
 * Have it keep fd under this name, or no longer keep what it has by the name.
 * fd stays the caller's.  False: not now, as notify_ready().
 */
bool notify_store_fd(const char *name, int fd);
bool notify_forget_fd(const char *name);
/*
 * What it kept for this start by this name: up to max descriptors, which are
 * the caller's to close.  Sockets are left to the listener, and the numbers
 * stay taken, or the listener's look at the same list would fail.  Returns
 * how many; a second call finds none.
 */
size_t notify_take_fds(const char *name, int *ret_fds, size_t max);

#endif /* AGENT_NOTIFY_H */
