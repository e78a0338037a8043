/*
 * Why a snapshot is not taken over, told apart so that the log can say which
 * it was and what to do about it.
 */
#ifndef AGENT_STATE_FAULT_H
#define AGENT_STATE_FAULT_H

enum state_fault {
	STATE_OK = 0,
	STATE_CUT,		/* ends before its last chunk */
	STATE_NO_SNAPSHOT,	/* something else altogether */
	STATE_NEWER,		/* of a format that this version does not know */
	STATE_NO_KEY,		/* sealed with a key of the other source */
	STATE_OTHER_KEY,
	STATE_OTHER_SERVICE,	/* another url= */
	STATE_OTHER_API_KEY,	/* so perhaps another tenant's */
	STATE_TAMPERED,		/* a chunk or the header is not what was sealed */
	STATE_APPENDED,		/* bytes behind the last chunk */
	STATE_FUTURE,		/* written later than now */
	STATE_CLOCK_UNSET,	/* this machine's clock says nothing */
	STATE_OLDER,		/* there is a newer one */
	STATE_CONTENT,		/* authentic, but not what this version writes */
	STATE_NOMEM,
	STATE_IO,		/* cannot be read; errno */
};

/* Half a sentence: what is wrong, and after a colon what to do about it. */
const char *state_fault_text(enum state_fault fault);

#endif /* AGENT_STATE_FAULT_H */
