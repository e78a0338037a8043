/*
 * From the sections and keys of a file to settings.  For settings only.
 */
#ifndef AGENT_SETTINGS_PARSE_H
#define AGENT_SETTINGS_PARSE_H

struct settings;
struct settings_faults;

/*
 * Read path into s, which has the defaults and a policy without rules.
 * Returns 0 (look at faults->count) or ERR_NOMEM.
 */
int settings_parse(const char *path, struct settings_faults *faults,
    struct settings *s);

#endif /* AGENT_SETTINGS_PARSE_H */
