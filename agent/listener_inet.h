/*
 * A listening socket on a loopback address.  For listener only.
 */
#ifndef AGENT_LISTENER_INET_H
#define AGENT_LISTENER_INET_H

#include <stddef.h>

/*
 * address: "127.0.0.1:PORT" or "[::1]:PORT", as settings_check_listen() takes
 * it; any other than loopback is refused.  Non-blocking, close-on-exec.
 * Returns 0, ERR_BUSY (somebody listens there), ERR_BAD_REQUEST, ERR_DENIED or
 * ERR_NOMEM with a sentence in why.
 */
int listener_inet_bind(const char *address, char *why, size_t why_size,
    int *ret_fd);

#endif /* AGENT_LISTENER_INET_H */
