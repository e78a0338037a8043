#include "config.h"

#include "state_fault.h"

const char *
state_fault_text(enum state_fault fault)
{
	switch (fault) {
	case STATE_OK:
		return "nothing is wrong with it";
	case STATE_CUT:
		return "it is cut short: look for a full or failing disk";
	case STATE_NO_SNAPSHOT:
		return "it is no snapshot of qapi-agentd: name another file "
		    "with state-file=";
	case STATE_NEWER:
		return "a newer version of qapi-agentd wrote it: it is of use "
		    "to that one only";
	case STATE_NO_KEY:
		return "it was sealed with a state key, and there is none now: "
		    "see state-key-file=";
	case STATE_OTHER_KEY:
		return "it was sealed with another key: if that was not "
		    "replaced on purpose, put the old one back";
	case STATE_OTHER_SERVICE:
		return "it was made with another url=: values of one service "
		    "are not served for another";
	case STATE_OTHER_API_KEY:
		return "it was made with another API key, perhaps another "
		    "tenant's: its values are read again";
	case STATE_TAMPERED:
		return "it was tampered with or is damaged: find out by whom, "
		    "or check the disk";
	case STATE_APPENDED:
		return "something was appended to it: find out by whom";
	case STATE_FUTURE:
		return "it was written in the future, as this machine's clock "
		    "has it: set the clock";
	case STATE_CLOCK_UNSET:
		return "this machine's clock is not set, or was not when it "
		    "was written, so it cannot be told how old it is: have "
		    "the clock set before the start";
	case STATE_OLDER:
		return "it is older than one that was seen already: was it put "
		    "back from a backup?";
	case STATE_CONTENT:
		return "its content is not understood: this is a fault of "
		    "qapi-agentd, please report it";
	case STATE_NOMEM:
		return "no memory left to take it over: see max-memory=";
	case STATE_IO:
		return "it cannot be read";
	}
	return "unknown";
}
