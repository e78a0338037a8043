/*
 * A number that tells this host from others and stays the same: from
 * /etc/machine-id (machine-id(5)) and the host name, as containers of one
 * image share the former.  Hashed, as machine-id(5) asks; good for phases, no
 * secret and no proof of anything.
 */
#ifndef AGENT_HOSTID_H
#define AGENT_HOSTID_H

#include <stdint.h>

/* Never fails: what cannot be read is left out.  Reads a file: at start. */
uint64_t hostid_phase(void);

#endif /* AGENT_HOSTID_H */
