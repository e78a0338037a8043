#include "route.h"

#include "mem.h"
#include "query.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *base;
	const struct route *routes;
} lists[] = {
    {ROUTE_BASE, applications_routes},
    {ROUTE_BASE, audit_routes},
    {ROUTE_BASE, billing_routes},
    {ROUTE_BASE, compliance_routes},
    {ROUTE_BASE, crypt_routes},
    {ROUTE_BASE, datakey_routes},
    {ROUTE_BASE, endusers_routes},
    {ROUTE_BASE, groups_routes},
    {ROUTE_BASE, insights_routes},
    {ROUTE_BASE, keys_routes},
    {ROUTE_BASE, logstreams_routes},
    {ROUTE_BASE, pki_routes},
    {ROUTE_BASE, qrng_routes},
    {ROUTE_BASE, roles_routes},
    {ROUTE_BASE, secrets_routes},
    {ROUTE_BASE, settings_routes},
    {ROUTE_BASE, share_routes},
    {ROUTE_BASE, ssh_routes},
    {ROUTE_BASE, system_routes},
    {ROUTE_BASE, team_routes},
    {ROUTE_BASE, transit_routes},
    {ROUTE_BASE, usage_routes},
    {"", system_root_routes},
    {ROUTE_CONTROLS, controls_routes},
    {ROUTE_CONTROLS, endusers_controls_routes},
    {ROUTE_CONTROLS, pki_control_routes},
    {ROUTE_CONTROLS, ssh_control_routes},
    {ROUTE_CONTROLS, team_controls_routes},
};

#define N_LISTS (sizeof(lists) / sizeof(*lists))

/* What of path lies below base; NULL if it does not. */
static const char *
below(const char *path, const char *base)
{
	size_t n = strlen(base);

	if (strncmp(path, base, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return NULL;
	return path + n;
}

bool
route_is_control(const char *path)
{
	return below(path, ROUTE_CONTROLS) != NULL;
}

/* Split and decode. false: too deep, or bad escapes. */
static bool
split(const char *path, struct route_match *m)
{
	while (*path == '/') {
		size_t n = strcspn(++path, "/");
		char *s;

		if (m->n_segments == ROUTE_MAX_SEGMENTS)
			return false;
		if ((s = query_decode(path, n, false)) == NULL)
			return false;
		m->segment[m->n_segments++] = s;
		path += n;
	}
	/* One slash at the end does no harm. */
	if (m->n_segments > 1 && *m->segment[m->n_segments - 1] == '\0')
		free(m->segment[--m->n_segments]);
	return *path == '\0';
}

/* Does the pattern fit the segments? Fills param[]. */
static bool
fits(const char *pattern, struct route_match *m)
{
	size_t i = 0, n_params = 0;

	while (*pattern == '/') {
		size_t n = strcspn(++pattern, "/");

		if (i == m->n_segments)
			return false;
		if (*pattern == '{') {
			if (*m->segment[i] == '\0')
				return false;
			m->param[n_params++] = m->segment[i];
		} else if (strlen(m->segment[i]) != n ||
			   memcmp(m->segment[i], pattern, n) != 0) {
			return false;
		}
		pattern += n;
		i++;
	}
	return i == m->n_segments;
}

enum route_result
route_find(const char *method, const char *path, struct route_match *ret_match)
{
	enum route_result r = ROUTE_NO_PATH;
	const char *rest;

	memset(ret_match, 0, sizeof(*ret_match));
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	ret_match->control = route_is_control(path);
	rest = below(path, ret_match->control ? ROUTE_CONTROLS : ROUTE_BASE);
	if (!split(rest == NULL ? path : rest, ret_match))
		return ROUTE_BAD_PATH;
	for (size_t i = 0; i < N_LISTS; i++) {
		/* Only the root list serves what lies below no base. */
		if ((*lists[i].base == '\0') != (rest == NULL) ||
		    below(path, lists[i].base) == NULL)
			continue;
		for (const struct route *x = lists[i].routes; x->method != NULL;
		     x++) {
			if (!fits(x->path, ret_match))
				continue;
			if (strcmp(x->method, method) == 0) {
				ret_match->route = x;
				return ROUTE_FOUND;
			}
			r = ROUTE_NO_METHOD;
		}
	}
	return r;
}

void
route_done(struct route_match *m)
{
	for (size_t i = 0; i < m->n_segments; i++)
		free(m->segment[i]);
	memset(m, 0, sizeof(*m));
}

char *
route_allow(const char *path)
{
	static const char *const methods[] = {
	    "GET", "POST", "PUT", "PATCH", "DELETE"};
	struct text out = {0};

	text_str(&out, "");
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		struct route_match m;

		if (route_find(methods[i], path, &m) == ROUTE_FOUND)
			text_printf(
			    &out, "%s%s", out.len == 0 ? "" : ", ", methods[i]);
		route_done(&m);
	}
	return out.p;
}

json_t *
route_list(void)
{
	json_t *all = json_array();

	for (size_t i = 0; i < N_LISTS; i++) {
		if (strcmp(lists[i].base, ROUTE_CONTROLS) == 0)
			continue;
		for (const struct route *x = lists[i].routes; x->method != NULL;
		     x++) {
			char *path = mem_printf("%s%s", lists[i].base, x->path);

			json_array_append_new(all,
			    json_pack("{s:s, s:s, s:s?}", "method", x->method,
				"path", path, "scope", x->scope));
			free(path);
		}
	}
	return all;
}
