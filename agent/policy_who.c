#include "config.h"

#include "policy_who.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "peer.h"
#include "policy_rule.h"

/* A directory service may return groups with many members. */
#define ENTRY_MAX (1 << 20)

/*
 * Is it a number?  ret is set if it also fits.  (uid_t)-1 is no user: it means
 * "leave it" to chown(2).
 */
static bool
parse_number(const char *text, uint32_t *ret)
{
	unsigned long long v = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (unsigned int)(*p - '0');
		if (v >= UINT32_MAX)
			return false;
	}
	if (p == text || *p != '\0')
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* One look-up with that buffer: 0, ERR_*, or ERR_AGAIN for a larger one. */
static int
look_up(bool group, const char *name, char *buf, size_t size, uint32_t *ret)
{
	struct passwd pw;
	struct passwd *found_pw = NULL;
	struct group gr;
	struct group *found_gr = NULL;
	int r;

	if (group)
		r = getgrnam_r(name, &gr, buf, size, &found_gr);
	else
		r = getpwnam_r(name, &pw, buf, size, &found_pw);
	if (r == ERANGE)
		return ERR_AGAIN;
	if (found_gr != NULL)
		*ret = gr.gr_gid;
	else if (found_pw != NULL)
		*ret = pw.pw_uid;
	else if (r == 0 || r == ENOENT || r == ESRCH || r == EBADF ||
	    r == EPERM)
		return ERR_NOT_FOUND; /* getpwnam(3) lists them all */
	else
		return r == ENOMEM ? ERR_NOMEM : ERR_INTERNAL;
	return 0;
}

static int
resolve(bool group, const char *text, uint32_t *ret)
{
	size_t size;
	char *buf;
	int r = ERR_AGAIN;

	if (parse_number(text, ret))
		return 0;
	for (size = 4096; r == ERR_AGAIN && size <= ENTRY_MAX; size *= 4) {
		buf = malloc(size);
		if (buf == NULL)
			return ERR_NOMEM;
		r = look_up(group, text, buf, size, ret);
		free(buf);
	}
	return r == ERR_AGAIN ? ERR_INTERNAL : r;
}

int
policy_who_uid(const char *text, uid_t *ret_uid)
{
	return resolve(false, text, ret_uid);
}

int
policy_who_gid(const char *text, gid_t *ret_gid)
{
	return resolve(true, text, ret_gid);
}

static int
explain(int r, const char *what, char *why, size_t why_size)
{
	if (r == ERR_NOMEM)
		return r;
	if (r == ERR_NOT_FOUND)
		(void)snprintf(why, why_size,
		    "there is no such %s: write an existing name or a number",
		    what);
	else
		(void)snprintf(why, why_size,
		    "cannot look up the %s: write its number, or see why "
		    "getent(1) fails", what);
	return ERR_BAD_REQUEST;
}

int
policy_who_user(struct policy_rule *r, const char *item, char *why,
    size_t why_size)
{
	uid_t *uids;
	uid_t uid;
	int ret;

	r->has_user = true;
	if (strcmp(item, "*") == 0) {
		r->any_user = true;
		return 0;
	}
	if (strcmp(item, "http") == 0) {
		r->http = true;
		return 0;
	}
	if ((ret = policy_who_uid(item, &uid)) != 0)
		return explain(ret, "user", why, why_size);
	uids = reallocarray(r->uids, r->nuids + 1, sizeof(*uids));
	if (uids == NULL)
		return ERR_NOMEM;
	r->uids = uids;
	r->uids[r->nuids++] = uid;
	return 0;
}

int
policy_who_group(struct policy_rule *r, const char *item, char *why,
    size_t why_size)
{
	gid_t *gids;
	gid_t gid;
	int ret;

	r->has_group = true;
	if ((ret = policy_who_gid(item, &gid)) != 0)
		return explain(ret, "group", why, why_size);
	gids = reallocarray(r->gids, r->ngids + 1, sizeof(*gids));
	if (gids == NULL)
		return ERR_NOMEM;
	r->gids = gids;
	r->gids[r->ngids++] = gid;
	return 0;
}

bool
policy_who_is_user(const struct policy_rule *r, const struct peer *peer)
{
	size_t i;

	if (peer_is_http(peer))
		return r->http;
	if (r->any_user)
		return true;
	for (i = 0; i < r->nuids; i++) {
		if (r->uids[i] == peer_uid(peer))
			return true;
	}
	return false;
}

bool
policy_who_in_group(const struct policy_rule *r, const struct peer *peer)
{
	size_t i;

	for (i = 0; i < r->ngids; i++) {
		if (peer_in_group(peer, r->gids[i]))
			return true;
	}
	return false;
}
