/*
 * Who is at the other end of a local connection.
 *
 * Uid, gid, pid and supplementary groups come from the socket (SO_PEERCRED,
 * SO_PEERGROUPS).  The unit and the executable are read only when a rule asks
 * for them, and under the race rule: a pidfd first (SO_PEERPIDFD), then
 * /proc/PID/cgroup, then check that the pidfd is still alive, then trust.
 */
#ifndef AGENT_PEER_H
#define AGENT_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

struct peer;

/*
 * From a connected AF_UNIX socket, which stays the caller's and has to be open
 * while unit or executable are asked for.  NULL for no memory or no
 * credentials.
 */
struct peer *peer_new(int fd);

/*
 * The same with less work for each connection, where peer_asks_socket() is true
 * of another peer of such a socket.
 */
struct peer *peer_new_quick(int fd);

/*
 * Can the kernel say whenever it is asked which process connected the socket?
 * (Linux 6.5.)  Else a pidfd has to be had as early as can be.
 */
bool peer_asks_socket(const struct peer *p);

/*
 * Somebody who is not at a socket: for tests and for `--as`.  groups: copied;
 * unit and exe may be NULL (unknown).
 */
struct peer *peer_new_fake(uid_t uid, gid_t gid, const gid_t *groups,
    size_t ngroups, const char *unit, const char *exe);

/*
 * A caller of the HTTP socket on loopback: no user of the system, so only
 * rules with user=http are about it.  NULL for no memory.
 */
struct peer *peer_new_http(void);

void peer_free(struct peer *p);

/*
 * Its socket was closed: another one may get the number.  Unit and executable
 * that were not asked for before cannot be told any more.
 */
void peer_closed(struct peer *p);

uid_t peer_uid(const struct peer *p);
gid_t peer_gid(const struct peer *p);
pid_t peer_pid(const struct peer *p);
bool peer_is_http(const struct peer *p);
bool peer_in_group(const struct peer *p, gid_t gid);

/*
 * The system unit, as "web.service", or NULL if it has none or cannot be told
 * any more.  A unit of a user's own manager counts as that user's
 * user@UID.service: users name their units as they like.  Owned by p.
 */
const char *peer_unit(struct peer *p);

/* Path of the executable, or NULL (without the right to see it, mostly). */
const char *peer_exe(struct peer *p);

/* The unit out of the text of /proc/PID/cgroup; 0 or ERR_NOT_FOUND. */
int peer_unit_from_cgroup(const char *text, char *ret, size_t size);

/* "uid 1000 (pid 4711, web.service)" for logs; the unit only if known. */
const char *peer_describe(const struct peer *p, char *buf, size_t size);

#endif /* AGENT_PEER_H */
