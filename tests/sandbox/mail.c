#include "mail.h"

#include "mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum mail_state { MAIL_QUEUED, MAIL_SENDING, MAIL_SENT, MAIL_FAILED };

struct letter {
	TAILQ_ENTRY(letter) next;
	char *to;
	char *id;
	enum mail_state state;
};

TAILQ_HEAD(letters, letter);

struct mail {
	struct event_base *base;
	struct letters letters; /* oldest first */
	struct event *wake;     /* the worker looks for work */
	/* The worker: it has one letter and one connection at a time. */
	struct letter *current;
	struct bufferevent *client;
	size_t step; /* of the dialogue: what it waits for */
	/* The server's end of that connection. */
	struct bufferevent *server;
	bool in_data; /* between DATA and the dot */
	char *rcpt;
	char *subject;
	struct text owed; /* replies held back while it hangs */
	bool hang;
	bool refuse;
	json_t *inbox;
};

static void
hang_up(struct mail *m)
{
	if (m->client != NULL)
		bufferevent_free(m->client);
	if (m->server != NULL)
		bufferevent_free(m->server);
	m->client = m->server = NULL;
	m->in_data = false;
	free(m->rcpt);
	free(m->subject);
	m->rcpt = m->subject = NULL;
	text_done(&m->owed);
}

/* Not at once: it may be the connection's own callback that says so. */
static void
finish(struct mail *m, enum mail_state state)
{
	if (m->current != NULL)
		m->current->state = state;
	m->current = NULL;
	event_active(m->wake, EV_TIMEOUT, 0);
}

/* The server's side. */

static void
reply(struct mail *m, const char *line)
{
	if (m->hang)
		text_printf(&m->owed, "%s\r\n", line);
	else
		(void)evbuffer_add_printf(
		    bufferevent_get_output(m->server), "%s\r\n", line);
}

static void
take_data(struct mail *m, const char *line)
{
	if (strncasecmp(line, "Subject: ", 9) == 0) {
		free(m->subject);
		m->subject = mem_str(line + 9);
	}
	if (strcmp(line, ".") != 0)
		return;
	m->in_data = false;
	json_array_append_new(
	    m->inbox, json_pack("{s:s?, s:s?}", "to", m->rcpt, "subject",
			  m->subject));
	reply(m, "250 kept");
}

static void
take_command(struct mail *m, const char *line)
{
	if (strncasecmp(line, "EHLO ", 5) == 0 ||
	    strncasecmp(line, "MAIL FROM:", 10) == 0) {
		reply(m, "250 go on");
	} else if (strncasecmp(line, "RCPT TO:<", 9) == 0) {
		free(m->rcpt);
		m->rcpt = mem_bytes(line + 9, strcspn(line + 9, ">"));
		reply(m, m->refuse ? "550 no such mailbox" : "250 go on");
	} else if (strcasecmp(line, "DATA") == 0) {
		m->in_data = true;
		reply(m, "354 end with a dot");
	} else if (strcasecmp(line, "QUIT") == 0) {
		reply(m, "221 bye");
	} else {
		reply(m, "500 what");
	}
}

static void
server_read_cb(struct bufferevent *bev, void *arg)
{
	struct mail *m = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	char *line;

	while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF)) != NULL) {
		if (m->in_data)
			take_data(m, line);
		else
			take_command(m, line);
		free(line);
	}
}

/* The worker's side. */

/* What it waits for, and what it says then; %s is the recipient, or the id. */
static const struct {
	int code;
	const char *say;
} dialogue[] = {
    {220, "EHLO sandbox.invalid\r\n"},
    {250, "MAIL FROM:<no-reply@sandbox.invalid>\r\n"},
    {250, "RCPT TO:<%s>\r\n"},
    {250, "DATA\r\n"},
    {354, "Subject: Invitation %s\r\n\r\nYou are invited.\r\n.\r\n"},
    {250, "QUIT\r\n"},
    {221, NULL},
};

#define N_STEPS (sizeof(dialogue) / sizeof(*dialogue))

static void
say(struct mail *m, const char *text, const char *arg)
{
	struct evbuffer *out = bufferevent_get_output(m->client);
	const char *hole = strstr(text, "%s");

	if (hole == NULL) {
		(void)evbuffer_add(out, text, strlen(text));
		return;
	}
	(void)evbuffer_add(out, text, (size_t)(hole - text));
	(void)evbuffer_add(out, arg, strlen(arg));
	(void)evbuffer_add(out, hole + 2, strlen(hole + 2));
}

/* false: the dialogue is over. */
static bool
client_step(struct mail *m, int code)
{
	const char *text = dialogue[m->step].say;
	bool last = text == NULL;

	if (code != dialogue[m->step].code || last) {
		finish(m, last ? MAIL_SENT : MAIL_FAILED);
		return false;
	}
	say(m, text, m->step == 2 ? m->current->to : m->current->id);
	m->step++;
	return true;
}

static void
client_read_cb(struct bufferevent *bev, void *arg)
{
	struct mail *m = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	bool more = m->current != NULL;
	char *line;

	while (more && (line = evbuffer_readln(
			    in, NULL, EVBUFFER_EOL_CRLF)) != NULL) {
		more = client_step(m, atoi(line));
		free(line);
	}
}

static void
event_cb(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	finish(arg, MAIL_FAILED);
}

static struct bufferevent *
end_of(struct mail *m, evutil_socket_t fd, bufferevent_data_cb read_cb)
{
	struct bufferevent *bev =
	    bufferevent_socket_new(m->base, fd, BEV_OPT_CLOSE_ON_FREE);

	if (bev == NULL || evutil_make_socket_nonblocking(fd) != 0)
		abort();
	bufferevent_setcb(bev, read_cb, NULL, event_cb, m);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
	return bev;
}

static void
call_server(struct mail *m)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
		finish(m, MAIL_FAILED);
		return;
	}
	m->step = 0;
	m->client = end_of(m, fds[0], client_read_cb);
	m->server = end_of(m, fds[1], server_read_cb);
	reply(m, "220 mail.sandbox.invalid");
}

static void
wake_cb(evutil_socket_t fd, short what, void *arg)
{
	struct mail *m = arg;
	struct letter *l;

	(void)fd;
	(void)what;
	if (m->current != NULL)
		return;
	hang_up(m);
	TAILQ_FOREACH (l, &m->letters, next) {
		if (l->state == MAIL_QUEUED)
			break;
	}
	if (l == NULL)
		return;
	m->current = l;
	l->state = MAIL_SENDING;
	call_server(m);
}

struct mail *
mail_new(struct event_base *base)
{
	struct mail *m = mem_zero(sizeof(*m));

	m->base = base;
	TAILQ_INIT(&m->letters);
	m->inbox = json_array();
	m->wake = event_new(base, -1, 0, wake_cb, m);
	if (m->wake == NULL)
		abort();
	return m;
}

static void
letter_free(struct mail *m, struct letter *l)
{
	TAILQ_REMOVE(&m->letters, l, next);
	free(l->to);
	free(l->id);
	free(l);
}

void
mail_free(struct mail *m)
{
	if (m == NULL)
		return;
	hang_up(m);
	while (!TAILQ_EMPTY(&m->letters))
		letter_free(m, TAILQ_FIRST(&m->letters));
	event_free(m->wake);
	json_decref(m->inbox);
	free(m);
}

void
mail_queue(struct mail *m, const char *to, const char *id)
{
	struct letter *l = mem_zero(sizeof(*l));

	l->to = mem_str(to);
	l->id = mem_str(id);
	TAILQ_INSERT_TAIL(&m->letters, l, next);
	event_active(m->wake, EV_TIMEOUT, 0);
}

void
mail_set_hang(struct mail *m, bool hang)
{
	m->hang = hang;
	if (hang || m->owed.len == 0)
		return;
	(void)bufferevent_write(m->server, m->owed.p, m->owed.len);
	text_done(&m->owed);
}

void
mail_set_refuse(struct mail *m, bool refuse)
{
	m->refuse = refuse;
}

json_t *
mail_status(const struct mail *m)
{
	static const char *const names[] = {
	    [MAIL_QUEUED] = "queued",
	    [MAIL_SENDING] = "sending",
	    [MAIL_SENT] = "sent",
	    [MAIL_FAILED] = "failed",
	};
	json_t *list = json_array();
	const struct letter *l;

	TAILQ_FOREACH (l, &m->letters, next)
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s}", "id", l->id, "to",
			      l->to, "status", names[l->state]));
	return json_pack("{s:b, s:b, s:b, s:o, s:O}", "hang", m->hang,
	    "refuse", m->refuse, "owing", m->owed.len != 0, "mails", list,
	    "inbox", m->inbox);
}

void
mail_clear(struct mail *m)
{
	struct letter *l, *next;

	for (l = TAILQ_FIRST(&m->letters); l != NULL; l = next) {
		next = TAILQ_NEXT(l, next);
		if (l->state == MAIL_SENT || l->state == MAIL_FAILED)
			letter_free(m, l);
	}
	json_array_clear(m->inbox);
}
