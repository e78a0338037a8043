/*
 * A terminal for a display that is drawn again and again, as top(1) has it,
 * and the signals that end or disturb a command which waits.
 */
#ifndef CLIENT_SCREEN_H
#define CLIENT_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "out.h"

/* Signals as they come, from signalfd(2). */
struct screen_signals {
	int fd;			/* -1: none */
};

/*
 * Have SIGINT, SIGTERM, SIGHUP, SIGQUIT, and with windows also SIGTSTP and
 * SIGWINCH, come here.  For the rest of the process.  Returns 0, or -1 with
 * errno set.
 */
int screen_signals_init(struct screen_signals *s, bool windows);
void screen_signals_done(struct screen_signals *s);

/* The signal that has come, 0 if none within timeout_ms. */
int screen_signals_wait(struct screen_signals *s, int timeout_ms);

struct screen {
	bool on;
	struct termios saved;	/* while it is on */
};

/* On standard input and output, which are terminals.  0, or -1 with errno. */
int screen_on(struct screen *s);
/* As it was before.  Fine if it is not on. */
void screen_off(struct screen *s);

/* Rows and columns of the terminal; 24 and 80 if it does not say. */
void screen_size(unsigned int *ret_rows, unsigned int *ret_columns);

/* Show these lines in place of what is there.  Returns 0, or -1 with errno. */
int screen_draw(const struct out *lines);

#endif /* CLIENT_SCREEN_H */
