/*
 * The service's mail: a queue, one worker that takes from it, and a mail
 * server for it to talk to (SMTP, over a socket pair). The server can be made
 * to hang or to refuse, and nobody who queues a mail ever waits for it.
 */
#ifndef SANDBOX_MAIL_H
#define SANDBOX_MAIL_H

#include <jansson.h>
#include <stdbool.h>

struct event_base;
struct mail;

struct mail *mail_new(struct event_base *base);

/* Before the base goes. Accepts NULL. */
void mail_free(struct mail *m);

/*
 * Queue a mail; it is taken up when the caller is done. to: an address without
 * blanks, controls and angle brackets; id: what the mail is about, told in its
 * status and in its text. Both are copied.
 */
void mail_queue(struct mail *m, const char *to, const char *id);

/*
 * hang: the server goes on reading and answers nothing, until it no longer
 * does; then it answers what it owes. refuse: it takes no recipient.
 */
void mail_set_hang(struct mail *m, bool hang);
void mail_set_refuse(struct mail *m, bool refuse);

/*
 * {"hang", "refuse", "owing", "mails": [{"id", "to", "status"}], "inbox":
 * [{"to", "subject"}]}, a new reference. status: queued sending sent failed.
 * owing: the server was asked something and hangs. inbox: what it has got.
 */
json_t *mail_status(const struct mail *m);

/* Forget what is done, and the inbox. */
void mail_clear(struct mail *m);

#endif
