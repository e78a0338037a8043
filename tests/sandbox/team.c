/*
 * Requests on /team, and the control of the mail that it sends.
 */
#include "call.h"
#include "enduser.h"
#include "json_util.h"
#include "mail.h"
#include "rules.h"
#include "server.h"
#include "thing.h"
#include "timefmt.h"

#define TEAM_INVITATION_US (7LL * 86400 * 1000000)

static const struct rule invitation_rules[] = {
    {"email", 0, RULE_NAME, 254, RULE_CREATE | RULE_REQUIRED},
    {"role", 0, RULE_NAME, 100, RULE_CREATE | RULE_REQUIRED},
    {NULL, 0, RULE_TEXT, 0, 0},
};

/* The mail is sent behind it: its server may take for ever. */
static void
team_invite(struct call *c)
{
	const char *field, *problem;
	json_t *id, *email;
	int64_t now = timefmt_now_us();

	if (!call_body(c, false) ||
	    !thing_check(c, invitation_rules, RULE_CREATE, false))
		return;
	problem = enduser_problem(c->json, &field);
	if (problem != NULL) {
		call_bad_field(c, field, problem);
		return;
	}
	email = json_object_get(c->json, "email");
	id = thing_random("inv_", 24);
	audit_resource(c, "Invitation", id, email);
	mail_queue(server_mail(c->server), json_string_value(email),
	    json_string_value(id));
	call_json(c, 201,
	    json_pack("{s:o, s:O, s:O, s:o, s:s}", "invitationId", id, "email",
		email, "role", json_object_get(c->json, "role"), "expiresAt",
		timefmt_json(now - now % 1000000 + TEAM_INVITATION_US),
		"emailDispatchStatus", "queued"));
}

const struct route team_routes[] = {
    {"POST", "/team/invitations", "team:write", team_invite},
    {NULL, NULL, NULL, NULL},
};

static void
control_get(struct call *c)
{
	call_json(c, 200, mail_status(server_mail(c->server)));
}

static void
control_put(struct call *c)
{
	struct mail *m = server_mail(c->server);
	json_t *hang, *refuse;
	bool b;

	if (!call_body(c, false) || !call_member_bool(c, "hang", &b) ||
	    !call_member_bool(c, "refuse", &b))
		return;
	hang = json_util_get(c->json, "hang");
	refuse = json_util_get(c->json, "refuse");
	if (json_is_boolean(refuse))
		mail_set_refuse(m, json_is_true(refuse));
	if (json_is_boolean(hang))
		mail_set_hang(m, json_is_true(hang));
	control_get(c);
}

static void
control_delete(struct call *c)
{
	mail_clear(server_mail(c->server));
	call_empty(c, 204);
}

const struct route team_controls_routes[] = {
    {"GET", "/mail", NULL, control_get},
    {"PUT", "/mail", NULL, control_put},
    {"DELETE", "/mail", NULL, control_delete},
    {NULL, NULL, NULL, NULL},
};
