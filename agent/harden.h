/*
 * Limits that the process puts on itself before it reads a secret.
 */
#ifndef AGENT_HARDEN_H
#define AGENT_HARDEN_H

#include <stddef.h>

/*
 * No core dumps (RLIMIT_CORE 0), not dumpable (so no ptrace and no
 * /proc/PID/mem by the same user), no new privileges, umask 077, enough file
 * descriptors for max_connections (raises the soft limit).
 * Returns 0 or ERR_INTERNAL with a sentence in why.
 */
int harden_process(unsigned int max_connections, char *why, size_t why_size);

/*
 * Enough file descriptors for other max_connections, as far as the hard limit
 * allows; logs where it does not.
 */
void harden_descriptors(unsigned int max_connections);

/*
 * So many connections, up to wanted, can there be with the descriptors that
 * the process may have, and the service still be reached; at least 1.
 */
unsigned int harden_connections(unsigned int wanted);

/*
 * How much memory the process may lock, so how much secret memory there can be;
 * SIZE_MAX: no limit (RLIMIT_MEMLOCK, CAP_IPC_LOCK).
 */
size_t harden_lockable_bytes(void);

#endif /* AGENT_HARDEN_H */
