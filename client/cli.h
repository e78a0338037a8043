/*
 * What all commands share: common options, the handle, how to say things.
 *
 * commands.c has the table of commands; each is one function in its own file.
 */
#ifndef CLIENT_CLI_H
#define CLIENT_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harden.h"
#include "options.h"
#include "out.h"
#include "qapi-agent.h"
#include "units.h"

struct cli;

struct command {
	const char *name;
	const char *operands;	/* what follows the options in the usage line */
	const char *summary;	/* one line for the list of commands */
	const char *details;	/* paragraph for its own help, or NULL */
	int (*run)(struct cli *cli, int argc, char **argv);
	bool is_run;		/* usage errors are 125; operands end options */
};

/* All of them, ended by one without a name (commands.c). */
extern const struct command commands[];

struct cli {
	const struct command *command;
	const char *socket;	/* NULL: the library's default */
	uint64_t timeout_ms;
	uint64_t max_stale_ms;	/* OPTIONS_NOT_GIVEN */
	bool json;
	bool help;
	bool version;
	struct qapi_agent *agent; /* NULL before cli_connect() */
	struct harden harden;
};

/*
 * Parse the options of a command, its own and the common ones.  True: go on.
 * False: done or failed, and everything has been said; *ret_status is the
 * exit status.  ret_operands is freed by the caller in either case.
 */
bool cli_options(struct cli *cli, const struct option_spec *own, size_t nown,
    int argc, char **argv, struct option_list *ret_operands, int *ret_status);

/* A usage error.  Returns the exit status. */
int cli_usage(const struct cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Make the handle as the common options say; does not connect.
 * Returns 0, or an exit status, all said.
 */
int cli_connect(struct cli *cli);

/* Terms with --max-stale; NULL: out of memory.  The caller frees it. */
struct qapi_agent_terms *cli_terms(const struct cli *cli);

/*
 * A call failed as a whole: say why.  refs: what was asked for (may be none).
 * Returns the exit status.
 */
int cli_failed(const struct cli *cli, int err, char **refs, size_t nrefs);

/*
 * The same for a command that may need much memory: it is not locked where
 * the limit of locked memory is small, as nothing that changes something can be
 * tried again after it has run out.
 */
int cli_connect_large(struct cli *cli);

/*
 * The references for what was typed: each as it is, or a bare id or name of a
 * secret made one, with field and version (may be NULL) added; or of a key,
 * with format (may be NULL).  ret: owned, cli_refs_free().
 * Returns 0, or an exit status, all said.
 */
int cli_refs(const struct cli *cli, const struct option_list *typed,
    const char *field, const char *version, char ***ret);
int cli_key_refs(const struct cli *cli, const struct option_list *typed,
    const char *format, char ***ret);
void cli_refs_free(char ***refs, size_t count);
/*
 * What --key was given: an id or a name is left as it is, and of a reference to
 * a key comes its id or name.  key: may be NULL, then nothing is done; ret:
 * owned, free(), and *key points there; NULL if it is as it was.
 * Returns 0, or an exit status, all said.
 */
int cli_key(const struct cli *cli, const char **key, char **ret);

/*
 * Get values in one round trip.  Returns as qapi_agent_get_many().  refs: as
 * of cli_refs().
 */
int cli_get(struct cli *cli, char **refs, size_t count,
    const struct qapi_agent_terms *terms, struct qapi_agent_items **ret);

/*
 * Write o to standard output.  status: what to return if that works.
 * Returns it, or an exit status, all said.
 */
int cli_print(const struct cli *cli, const struct out *o, int status);

/* The boot clock, in milliseconds. */
uint64_t cli_now_ms(void);

/* "5m" of an age in milliseconds, to whole seconds. */
const char *cli_age(uint64_t age_ms, char buf[UNITS_DURATION_LEN]);

int cmd_call(struct cli *cli, int argc, char **argv);
int cmd_decrypt(struct cli *cli, int argc, char **argv);
int cmd_drill(struct cli *cli, int argc, char **argv);
int cmd_encrypt(struct cli *cli, int argc, char **argv);
int cmd_explain(struct cli *cli, int argc, char **argv);
int cmd_get(struct cli *cli, int argc, char **argv);
int cmd_list(struct cli *cli, int argc, char **argv);
int cmd_metrics(struct cli *cli, int argc, char **argv);
int cmd_ping(struct cli *cli, int argc, char **argv);
int cmd_pubkey(struct cli *cli, int argc, char **argv);
int cmd_purge(struct cli *cli, int argc, char **argv);
int cmd_refresh(struct cli *cli, int argc, char **argv);
int cmd_reject(struct cli *cli, int argc, char **argv);
int cmd_run(struct cli *cli, int argc, char **argv);
int cmd_secret(struct cli *cli, int argc, char **argv);
int cmd_sign(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_top(struct cli *cli, int argc, char **argv);
int cmd_verify(struct cli *cli, int argc, char **argv);
int cmd_watch(struct cli *cli, int argc, char **argv);

#endif /* CLIENT_CLI_H */
