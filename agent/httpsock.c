#include "config.h"

#include "httpsock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/types.h>

#include "conn.h"
#include "err.h"
#include "http_talk.h"
#include "http_token.h"
#include "listener.h"
#include "log.h"
#include "peer.h"
#include "settings.h"

/* Of the settings: what the sockets in force were made of. */
struct places {
	char *socket;		/* NULL: none */
	mode_t mode;
	char *group;
	char *address;		/* NULL: none */
};

struct httpsock {
	struct event_base *base;
	struct places places;
	struct http_env unix_env;
	struct http_env inet_env;
	struct conn_door unix_door;
	struct conn_door inet_door;
	struct listener *unix_listener; /* NULL: none; likewise below */
	struct listener *inet_listener;
};

struct httpsock_next {
	struct places places;
	struct listener *unix_listener; /* NULL: the old one stays, or none */
	struct listener *inet_listener;
	bool access_changed;	/* of the socket that stays */
	struct secmem token;
};

/* --- places --- */

static void
places_free(struct places *p)
{
	free(p->socket);
	free(p->group);
	free(p->address);
	memset(p, 0, sizeof(*p));
}

static bool
copy_text(const char *text, char **ret)
{
	return text == NULL || (*ret = strdup(text)) != NULL;
}

static bool
places_copy(const struct settings *s, struct places *ret)
{
	ret->mode = s->socket_mode;
	return copy_text(s->http_socket, &ret->socket) &&
	    copy_text(s->socket_group, &ret->group) &&
	    copy_text(s->http_listen, &ret->address);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct listener_config
unix_config(const struct places *p)
{
	return (struct listener_config){
		.path = p->socket, .mode = p->mode, .group = p->group,
	};
}

static struct listener_config
inet_config(const struct places *p)
{
	return (struct listener_config){
		.path = p->address, .is_address = true,
	};
}

/* --- the whole --- */

struct httpsock *
httpsock_new(struct event_base *base, struct conns *conns)
{
	struct httpsock *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->base = base;
	h->inet_env.with_token = true;
	h->unix_door = (struct conn_door){
		.conns = conns, .kind = &http_talk, .arg = &h->unix_env,
	};
	h->inet_door = (struct conn_door){
		.conns = conns, .kind = &http_talk, .arg = &h->inet_env,
		.peer = peer_new_http,
	};
	return h;
}

void
httpsock_close(struct httpsock *h)
{
	if (h == NULL)
		return;
	listener_free(h->unix_listener);
	listener_free(h->inet_listener);
	h->unix_listener = h->inet_listener = NULL;
}

void
httpsock_free(struct httpsock *h)
{
	if (h == NULL)
		return;
	httpsock_close(h);
	secmem_free_bytes(&h->inet_env.token);
	places_free(&h->places);
	free(h);
}

bool
httpsock_is_inherited(const struct httpsock *h)
{
	return h->unix_listener != NULL &&
	    listener_is_inherited(h->unix_listener);
}

/* --- a change --- */

/* Mode and group are those of the socket that stays, where they differ. */
static int
prepare_unix(struct httpsock *h, struct httpsock_next *next, char *why,
    size_t why_size)
{
	const struct places *fresh = &next->places, *old = &h->places;
	const struct listener_config cfg = unix_config(fresh);
	int r;

	if (fresh->socket == NULL)
		return 0;
	if (h->unix_listener == NULL || !same_text(fresh->socket, old->socket))
		return listener_new(h->base, &cfg, conn_door_accept,
		    &h->unix_door, why, why_size, &next->unix_listener);
	if (httpsock_is_inherited(h) || (fresh->mode == old->mode &&
	    same_text(fresh->group, old->group)))
		return 0;
	r = listener_set_access(h->unix_listener, &cfg, why, why_size);
	next->access_changed = r == 0;
	return r;
}

static int
prepare_inet(struct httpsock *h, const struct settings *s,
    struct httpsock_next *next, char *why, size_t why_size)
{
	const struct listener_config cfg = inet_config(&next->places);
	int r;

	if (cfg.path == NULL)
		return 0;
	r = http_token_load(s->http_token_file, &next->token, why, why_size);
	if (r != 0 || (h->inet_listener != NULL &&
	    same_text(cfg.path, h->places.address)))
		return r;
	return listener_new(h->base, &cfg, conn_door_accept, &h->inet_door,
	    why, why_size, &next->inet_listener);
}

int
httpsock_prepare(struct httpsock *h, const struct settings *fresh, char *why,
    size_t why_size, struct httpsock_next **ret_next)
{
	struct httpsock_next *next = calloc(1, sizeof(*next));
	int r;

	if (next == NULL || !places_copy(fresh, &next->places)) {
		(void)snprintf(why, why_size, "out of memory");
		httpsock_discard(h, next);
		return ERR_NOMEM;
	}
	r = prepare_unix(h, next, why, why_size);
	if (r == 0)
		r = prepare_inet(h, fresh, next, why, why_size);
	if (r != 0) {
		httpsock_discard(h, next);
		return r;
	}
	*ret_next = next;
	return 0;
}

void
httpsock_discard(struct httpsock *h, struct httpsock_next *next)
{
	const struct listener_config cfg = unix_config(&h->places);
	char why[300];

	if (next == NULL)
		return;
	if (next->access_changed && listener_set_access(h->unix_listener, &cfg,
	    why, sizeof(why)) != 0)
		log_error("%s", why);
	listener_free(next->unix_listener);
	listener_free(next->inet_listener);
	secmem_free_bytes(&next->token);
	places_free(&next->places);
	free(next);
}

/* What is in the place of old; fresh is NULL where old stays, or goes. */
static void
switch_listener(struct listener **old, struct listener *fresh, bool stays)
{
	if (fresh == NULL && stays)
		return;
	if (*old != NULL)
		listener_retire(*old);
	*old = fresh;
}

/* "127.0.0.1:PORT" in its parts, for what is asked of Host. */
static void
env_set_address(struct http_env *env, const char *address)
{
	const char *colon = strrchr(address, ':');

	if (colon == NULL)
		return;
	(void)snprintf(env->host, sizeof(env->host), "%.*s",
	    (int)(colon - address), address);
	env->port = (unsigned int)strtoul(colon + 1, NULL, 10);
}

static void
tell(const struct places *fresh, const struct places *old)
{
	if (!same_text(fresh->socket, old->socket))
		log_notice("http-socket: %s", fresh->socket != NULL
		    ? fresh->socket : "none any more");
	if (!same_text(fresh->address, old->address))
		log_notice("http-listen: %s", fresh->address != NULL
		    ? fresh->address : "none any more");
}

void
httpsock_switch(struct httpsock *h, struct httpsock_next *next)
{
	tell(&next->places, &h->places);
	switch_listener(&h->unix_listener, next->unix_listener,
	    next->places.socket != NULL);
	switch_listener(&h->inet_listener, next->inet_listener,
	    next->places.address != NULL);
	/* connections that are open have to know the token that counts now */
	secmem_free_bytes(&h->inet_env.token);
	secmem_move(&h->inet_env.token, &next->token);
	if (next->places.address != NULL)
		env_set_address(&h->inet_env, next->places.address);
	places_free(&h->places);
	h->places = next->places;
	free(next);
}
