/*
 * The record of who asked for what and what was decided; never a value.
 */
#ifndef AGENT_AUDIT_H
#define AGENT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

struct audit;
struct flood;
struct peer;

/*
 * where: "journal" (through the log, level info; denials at notice), "off",
 * or the path of a file that is appended to (0600).  Returns NULL with a
 * sentence in why.  A reload makes a new one, so after logrotate the file of
 * that name is used.
 */
struct audit *audit_new(const char *where, char *why, size_t why_size);
void audit_free(struct audit *a);
/*
 * Bound the denials that go to the journal; a file gets all of them.  f stays
 * the caller's and must outlive a; NULL: no bound.
 */
void audit_set_flood(struct audit *a, struct flood *f);

/*
 * Does it take every read, or only the first of a kind?  A file takes all;
 * the journal would drop lines if a busy program's reads were all in it.
 */
bool audit_wants_all(const struct audit *a);
/* Is it off, so that nothing has to be made for it? */
bool audit_is_off(const struct audit *a);

/*
 * One line: peer, operation, reference, decision, rule or error name.
 * rule: title of the rule or NULL; error: 0 or ERR_*.
 */
void audit_record(struct audit *a, struct peer *peer, const char *operation,
    struct view reference, int error, const char *rule);

#endif /* AGENT_AUDIT_H */
