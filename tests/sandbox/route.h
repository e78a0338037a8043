/*
 * The table of endpoints: which handler answers a method and a path, and which
 * scope it asks for. Each resource brings a list of its own; route.c puts them
 * together.
 */
#ifndef SANDBOX_ROUTE_H
#define SANDBOX_ROUTE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ROUTE_MAX_SEGMENTS 12
#define ROUTE_MAX_PARAMS 4
#define ROUTE_BASE "/api/v1"
#define ROUTE_CONTROLS "/_sandbox"

struct call;

/*
 * scope: what the API key must hold; "" any valid key; NULL no key at all.
 * path: below its base; "{…}" is one segment of any text. Where a literal and
 * a "{…}" both fit, the one listed first wins. A list ends with a NULL method.
 */
struct route {
	const char *method;
	const char *path;
	const char *scope;
	void (*handler)(struct call *c);
};

enum route_result {
	ROUTE_FOUND,
	ROUTE_NO_PATH,
	ROUTE_NO_METHOD, /* ret_allow says which there are */
	ROUTE_BAD_PATH,  /* percent-encoding that is none */
};

struct route_match {
	const struct route *route;
	bool control;                      /* below ROUTE_CONTROLS */
	char *segment[ROUTE_MAX_SEGMENTS]; /* decoded, owned */
	size_t n_segments;
	const char *param[ROUTE_MAX_PARAMS]; /* into segment[] */
};

/*
 * Find the route of a path as it was sent, without its query: it is split
 * first and decoded after, so %2F is part of a name. HEAD finds GET.
 * ret_match: free with route_done(), whatever the result.
 */
enum route_result route_find(
    const char *method, const char *path, struct route_match *ret_match);
void route_done(struct route_match *m);

/* Is this path one of the controls, which are counted apart? */
bool route_is_control(const char *path);

/* The methods that a path has, comma-separated. Free with free(). */
char *route_allow(const char *path);

/* The table as a new JSON array of {method, path, scope}, controls aside. */
json_t *route_list(void);

/* The lists that route.c puts together. */
extern const struct route applications_routes[];
extern const struct route audit_routes[];
extern const struct route billing_routes[];
extern const struct route compliance_routes[];
extern const struct route controls_routes[];
extern const struct route crypt_routes[];
extern const struct route datakey_routes[];
extern const struct route endusers_controls_routes[];
extern const struct route endusers_routes[];
extern const struct route groups_routes[];
extern const struct route insights_routes[];
extern const struct route keys_routes[];
extern const struct route logstreams_routes[];
extern const struct route pki_control_routes[];
extern const struct route pki_routes[];
extern const struct route qrng_routes[];
extern const struct route roles_routes[];
extern const struct route secrets_routes[];
extern const struct route settings_routes[];
extern const struct route share_routes[];
extern const struct route ssh_control_routes[];
extern const struct route ssh_routes[];
extern const struct route system_root_routes[];
extern const struct route system_routes[];
extern const struct route team_controls_routes[];
extern const struct route team_routes[];
extern const struct route transit_routes[];
extern const struct route usage_routes[];

#endif
