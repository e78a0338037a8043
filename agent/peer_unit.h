/*
 * The systemd unit out of the text of /proc/PID/cgroup; for peer only.
 */
#ifndef AGENT_PEER_UNIT_H
#define AGENT_PEER_UNIT_H

#define PEER_UNIT_MAX 256	/* UNIT_NAME_MAX of systemd, with the NUL */

#endif /* AGENT_PEER_UNIT_H */
