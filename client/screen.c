#include "config.h"

#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
screen_signals_init(struct screen_signals *s, bool windows)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGQUIT);
	if (windows) {
		(void)sigaddset(&set, SIGTSTP);
		(void)sigaddset(&set, SIGWINCH);
	}
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd == -1)
		return -1;
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

void
screen_signals_done(struct screen_signals *s)
{
	if (s->fd != -1)
		(void)close(s->fd);
	s->fd = -1;
}

int
screen_signals_wait(struct screen_signals *s, int timeout_ms)
{
	struct pollfd pfd = {.fd = s->fd, .events = POLLIN};
	struct signalfd_siginfo info;

	if (poll(&pfd, 1, timeout_ms) <= 0 ||
	    read(s->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

int
screen_on(struct screen *s)
{
	/* another screen, no cursor, no wrapping of long lines */
	static const char begin[] = "\033[?1049h\033[?25l\033[?7l";
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &s->saved) == -1)
		return -1;
	t = s->saved;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &t) == -1)
		return -1;
	s->on = true;
	if (out_write_all(STDOUT_FILENO, begin, sizeof(begin) - 1) == 0)
		return 0;
	screen_off(s);
	return -1;
}

void
screen_off(struct screen *s)
{
	static const char end[] = "\033[?7h\033[?25h\033[?1049l";
	int saved = errno;

	if (!s->on)
		return;
	(void)out_write_all(STDOUT_FILENO, end, sizeof(end) - 1);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->saved);
	s->on = false;
	errno = saved;
}

void
screen_size(unsigned int *ret_rows, unsigned int *ret_columns)
{
	struct winsize size;

	*ret_rows = 24;
	*ret_columns = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1)
		return;
	if (size.ws_row > 0)
		*ret_rows = size.ws_row;
	if (size.ws_col > 0)
		*ret_columns = size.ws_col;
}

int
screen_draw(const struct out *lines)
{
	const char *p = lines->p, *end;
	struct out o;
	size_t left = lines->len, n;
	int r;

	out_init(&o);
	out_text(&o, "\033[H");
	while (left > 0) {
		end = memchr(p, '\n', left);
		n = end == NULL ? left : (size_t)(end - p);
		out_bytes(&o, p, n);
		/* what was longer in the last picture; the last has no LF */
		out_text(&o, "\033[K");
		if (end == NULL)
			break;
		p += n + 1;
		left -= n + 1;
		if (left > 0)
			out_text(&o, "\r\n");
	}
	out_text(&o, "\033[J");
	o.failed = o.failed || lines->failed;
	r = out_write(&o, STDOUT_FILENO);
	out_done(&o);
	return r;
}
