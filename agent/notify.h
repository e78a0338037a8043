/*
 * Messages to the service manager (sd_notify(3)).  Without systemd, or when
 * not started by it, they do nothing.
 */
#ifndef AGENT_NOTIFY_H
#define AGENT_NOTIFY_H

#include <stdbool.h>
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

#endif /* AGENT_NOTIFY_H */
