/*
 * One-time codes (RFC 6238) from the seed that the service keeps with a
 * secret, either bare base32 or an otpauth:// URI.
 */
#ifndef AGENT_TOTP_H
#define AGENT_TOTP_H

#include <stdint.h>

#include "buf.h"

#define TOTP_DIGITS_MAX 10

/*
 * The code of the moment wall_ms.  seed: base32 (blanks, dashes and padding
 * are passed over, case is ignored), or otpauth://totp/LABEL?secret=…
 * with algorithm=SHA1|SHA256|SHA512, digits=6..10 and period=1..86400 (s).
 * ret_code: NUL-terminated digits; a secret as well, the caller wipes it.
 * Returns 0, or ERR_UPSTREAM_ERROR if the seed is no seed; nothing of it is
 * left on the stack either way.
 */
int totp_code(struct view seed, int64_t wall_ms,
    char ret_code[TOTP_DIGITS_MAX + 1]);

#endif /* AGENT_TOTP_H */
