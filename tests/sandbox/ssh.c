/*
 * Requests on /ssh.
 */
#include "ssh.h"

#include "apply.h"
#include "call.h"
#include "json_util.h"
#include "keymat.h"
#include "mem.h"
#include "rules.h"
#include "sshcert.h"
#include "store.h"
#include "tenant.h"
#include "asset.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>

#define SSH_MAX_SECONDS (INT64_C(100) * 365 * 86400)
#define SSH_MAX_PRINCIPALS 256 /* OpenSSH reads no more */

enum ca_field {
	CA_ID = STORE_ID,
	CA_NAME = STORE_NAME,
	CA_ALGORITHM,
	CA_PUBLIC_KEY,
	CA_FINGERPRINT,
	CA_IS_ACTIVE,
	CA_CREATED_AT,
	CA_FIELDS
};

static const char *const ca_fields[CA_FIELDS] = {
    [CA_ID] = "id",
    [CA_NAME] = "name",
    [CA_ALGORITHM] = "algorithm",
    [CA_PUBLIC_KEY] = "publicKey",
    [CA_FINGERPRINT] = "fingerprint",
    [CA_IS_ACTIVE] = "isActive",
    [CA_CREATED_AT] = "createdAt",
};

static const struct store_kind ca_kind = {
    .fields = ca_fields,
    .n_fields = CA_FIELDS,
    .created_at = CA_CREATED_AT,
    .is_active = CA_IS_ACTIVE,
    .free_item = asset_free_item,
};

static const struct rule ca_rules[] = {
    {"name", CA_NAME, RULE_NAME, 200, RULE_CREATE | RULE_REQUIRED},
    {"algorithm", CA_ALGORITHM, RULE_NAME, 0, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static const struct rule ca_controls[] = {
    {"name", CA_NAME, RULE_NAME, 0, RULE_REQUIRED},
    {"isActive", CA_IS_ACTIVE, RULE_BOOL, 0, RULE_REQUIRED},
    {NULL, 0, RULE_TEXT, 0, 0},
};

/* What no answer shows. */
struct ca_own {
	struct keymat *key;
	uint64_t serial; /* of the last certificate */
};

enum cert_field {
	CERT_ID = STORE_ID,
	CERT_KEY_ID = STORE_NAME,
	CERT_CA_ID,
	CERT_TYPE,
	CERT_PRINCIPALS,
	CERT_SERIAL,
	CERT_VALID_AFTER,
	CERT_VALID_BEFORE,
	CERT_IS_REVOKED,
	CERT_CERTIFICATE,
	CERT_FIELDS
};

static const char *const cert_fields[CERT_FIELDS] = {
    [CERT_ID] = "id",
    [CERT_KEY_ID] = "keyId",
    [CERT_CA_ID] = "caId",
    [CERT_TYPE] = "type",
    [CERT_PRINCIPALS] = "principals",
    [CERT_SERIAL] = "serial",
    [CERT_VALID_AFTER] = "validAfter",
    [CERT_VALID_BEFORE] = "validBefore",
    [CERT_IS_REVOKED] = "isRevoked",
    [CERT_CERTIFICATE] = "certificate",
};

static const struct store_kind cert_kind = {
    .fields = cert_fields,
    .n_fields = CERT_FIELDS,
    .created_at = CERT_VALID_AFTER,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

static const struct rule cert_rules[] = {
    {"caId", CERT_CA_ID, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"publicKey", 0, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"type", CERT_TYPE, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"principals", CERT_PRINCIPALS, RULE_STRINGS, 0,
	RULE_CREATE | RULE_REQUIRED},
    {"validitySeconds", 0, RULE_INT, 0, RULE_CREATE | RULE_REQUIRED},
    {"keyId", CERT_KEY_ID, RULE_NAME, 1000, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static const struct rule cert_controls[] = {
    {"isRevoked", CERT_IS_REVOKED, RULE_BOOL, 0, RULE_REQUIRED},
    {NULL, 0, RULE_TEXT, 0, 0},
};

struct ssh {
	struct store *cas;
	struct store *certs;
};

struct ssh *
ssh_new(void)
{
	struct ssh *s = mem_zero(sizeof(*s));

	s->cas = store_new(&ca_kind);
	s->certs = store_new(&cert_kind);
	return s;
}

void
ssh_free(struct ssh *s)
{
	if (s == NULL)
		return;
	store_free(s->cas);
	store_free(s->certs);
	free(s);
}

static void
free_ca_own(void *own)
{
	struct ca_own *o = own;

	keymat_free(o->key);
	free(o);
}

/* --- authorities --- */

static bool
set_public(struct asset *ca, const struct keymat *m)
{
	struct text blob = {0};
	bool ok = sshcert_public(m, &blob);
	char *type = sshcert_blob_type(&blob);

	asset_set(ca, CA_PUBLIC_KEY, sshcert_line(type, &blob));
	asset_set(ca, CA_FINGERPRINT, sshcert_fingerprint(&blob));
	free(type);
	text_done(&blob);
	return ok;
}

static struct asset *
make_ca(struct ssh *s, const json_t *body, struct asset_problem *p)
{
	const struct keymat_alg *alg;
	const char *name = asset_text(body, "algorithm");
	struct ca_own *own;
	struct asset *ca;

	if (!asset_check(ca_rules, body, p))
		return NULL;
	alg = keymat_alg(name == NULL ? "Ed25519" : name);
	if (!sshcert_alg(alg)) {
		(void)asset_fail(p, 400, "algorithm",
		    "must be Ed25519, ECDSA-P256, -P384 or -P521, or RSA-2048, "
		    "-3072 or -4096");
		return NULL;
	}
	ca = asset_new(&ca_kind, json_object_get(body, "id"));
	own = ca->own = mem_zero(sizeof(*own));
	ca->free_own = free_ca_own;
	own->key = keymat_generate(alg);
	if (own->key == NULL || !set_public(ca, own->key)) {
		(void)asset_fail(p, 500, NULL, "The CA was not made.");
		asset_free(&ca_kind, ca);
		return NULL;
	}
	asset_set(ca, CA_NAME, json_incref(json_util_get(body, "name")));
	asset_set(ca, CA_ALGORITHM, json_string(alg->name));
	asset_set(ca, CA_IS_ACTIVE, json_true());
	asset_set(ca, CA_CREATED_AT, timefmt_stamp(NULL));
	store_add(s->cas, &ca->item);
	return ca;
}

static json_t *
show_ca(const struct asset *ca)
{
	return store_object(&ca_kind, &ca->item, UINT32_MAX, true);
}

static void
ca_list(struct call *c)
{
	asset_list(c, c->tenant->ssh->cas, show_ca);
}

static void
ca_create(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *ca;

	if (!asset_body(c))
		return;
	ca = make_ca(c->tenant->ssh, c->json, &p);
	asset_answer_made(c, ca, &p, "SshCa", show_ca);
}

/* --- certificates --- */

/* What ssh-keygen gives a user without being asked. */
static json_t *
default_extensions(enum sshcert_type type)
{
	if (type == SSHCERT_HOST)
		return json_object();
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "permit-X11-forwarding",
	    "", "permit-agent-forwarding", "", "permit-port-forwarding", "",
	    "permit-pty", "", "permit-user-rc", "");
}

static bool
is_option(const json_t *v)
{
	const char *s = json_string_value(v);

	return s != NULL && strlen(s) == json_string_length(v);
}

/* An object of texts, or an array of names: flags. NULL: it is neither. */
static json_t *
options_of(const json_t *v)
{
	json_t *out = json_object(), *member;
	bool ok = json_is_object(v) || json_is_array(v);
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)v, key, member) {
		ok = ok && *key != '\0' && is_option(member);
		if (ok)
			json_object_set(out, key, member);
	}
	for (size_t i = 0; i < json_array_size(v); i++) {
		member = json_array_get(v, i);
		ok = ok && is_option(member) &&
		     json_string_length(member) != 0;
		if (ok)
			json_object_set_new(out, json_string_value(member),
			    json_string(""));
	}
	if (!ok) {
		json_decref(out);
		return NULL;
	}
	return out;
}

/* The member of that name as options; none of it: dflt, taken over. */
static bool
read_options(const json_t *body, const char *name, json_t *dflt,
    json_t **ret_options, struct asset_problem *p)
{
	const json_t *v = json_util_get(body, name);

	if (v == NULL || json_is_null(v)) {
		*ret_options = dflt;
		return true;
	}
	json_decref(dflt);
	*ret_options = options_of(v);
	return *ret_options != NULL ||
	       asset_fail(p, 400, name,
		   "must be an object of strings, or an array of names");
}

static bool
principals_are_good(const json_t *list, struct asset_problem *p)
{
	size_t n = json_array_size(list);

	if (n == 0)
		return asset_fail(p, 400, "principals", "must not be empty");
	if (n > SSH_MAX_PRINCIPALS)
		return asset_fail(p, 400, "principals", "are too many");
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);

		if (!is_option(v) || json_string_length(v) == 0)
			return asset_fail(p, 400, "principals",
			    "must be names that are not empty");
	}
	return true;
}

static bool
read_type(const json_t *body, enum sshcert_type *ret_type,
    struct asset_problem *p)
{
	const char *s = asset_text(body, "type");

	*ret_type = strcmp(s, "host") == 0 ? SSHCERT_HOST : SSHCERT_USER;
	return *ret_type == SSHCERT_HOST || strcmp(s, "user") == 0 ||
	       asset_fail(p, 400, "type", "must be user or host");
}

static void
set_cert(struct asset *t, const struct sshcert *cert, const struct asset *ca,
    const struct text *blob)
{
	asset_set(t, CERT_CA_ID, json_incref(ca->field[CA_ID]));
	asset_set(t, CERT_KEY_ID, json_string(cert->key_id));
	asset_set(t, CERT_TYPE,
	    json_string(cert->type == SSHCERT_HOST ? "host" : "user"));
	asset_set(t, CERT_PRINCIPALS, json_deep_copy(cert->principals));
	asset_set(t, CERT_SERIAL, json_integer((json_int_t)cert->serial));
	asset_set(t, CERT_VALID_AFTER,
	    timefmt_json((int64_t)cert->valid_after * 1000000));
	asset_set(t, CERT_VALID_BEFORE,
	    timefmt_json((int64_t)cert->valid_before * 1000000));
	asset_set(t, CERT_IS_REVOKED, json_false());
	asset_set(
	    t, CERT_CERTIFICATE, sshcert_line(cert->key->cert_type, blob));
}

/* Sign what has been read from the body. NULL: *p is set. */
static struct asset *
issue(struct ssh *s, struct asset *ca, struct sshcert *cert,
    const json_t *body, struct asset_problem *p)
{
	struct ca_own *own = ca->own;
	struct asset *t = asset_new(&cert_kind, json_object_get(body, "id"));
	const char *key_id = asset_text(body, "keyId");
	struct text blob = {0};

	cert->ca = own->key;
	cert->serial = own->serial + 1;
	cert->key_id = key_id == NULL ? json_string_value(t->field[CERT_ID])
				      : key_id;
	cert->valid_after = (uint64_t)(timefmt_now_us() / 1000000);
	cert->valid_before =
	    cert->valid_after + (uint64_t)json_integer_value(json_util_get(
				    body, "validitySeconds"));
	if (!sshcert_sign(cert, &blob)) {
		(void)asset_fail(p, 500, NULL, "The certificate was not made.");
		asset_free(&cert_kind, t);
		t = NULL;
	} else {
		set_cert(t, cert, ca, &blob);
		store_add(s->certs, &t->item);
		own->serial++;
	}
	text_done(&blob);
	return t;
}

static struct asset *
make_cert(struct ssh *s, const json_t *body, struct asset_problem *p)
{
	struct sshcert_key key = {0};
	struct sshcert cert = {.key = &key};
	json_t *critical = NULL, *extensions = NULL;
	struct asset *ca, *t = NULL;

	if (!asset_check(cert_rules, body, p) ||
	    !read_type(body, &cert.type, p))
		return NULL;
	cert.principals = json_util_get(body, "principals");
	ca = asset_find(s->cas, asset_text(body, "caId"));
	if (ca == NULL)
		(void)asset_fail(p, 404, "CA", NULL);
	else if (!json_is_true(ca->field[CA_IS_ACTIVE]))
		(void)asset_fail(p, 409, NULL, "The CA is not active.");
	else if (json_integer_value(json_util_get(
		     body, "validitySeconds")) > SSH_MAX_SECONDS)
		(void)asset_fail(p, 400, "validitySeconds", "is too long");
	else if (!principals_are_good(cert.principals, p) ||
		 !read_options(body, "criticalOptions", json_object(),
		     &critical, p) ||
		 !read_options(body, "extensions",
		     default_extensions(cert.type), &extensions, p))
		t = NULL;
	else if (!sshcert_key_parse(asset_text(body, "publicKey"), &key))
		(void)asset_fail(p, 400, "publicKey",
		    "must be an OpenSSH public key, such as \"ssh-ed25519 "
		    "AAAA...\"");
	else {
		cert.critical_options = critical;
		cert.extensions = extensions;
		t = issue(s, ca, &cert, body, p);
	}
	sshcert_key_done(&key);
	json_decref(critical);
	json_decref(extensions);
	return t;
}

static json_t *
show_cert(const struct asset *t)
{
	return store_object(&cert_kind, &t->item, UINT32_MAX, true);
}

static void
cert_list(struct call *c)
{
	asset_list(c, c->tenant->ssh->certs, show_cert);
}

static void
cert_create(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *t;

	if (!asset_body(c))
		return;
	t = make_cert(c->tenant->ssh, c->json, &p);
	asset_answer_made(c, t, &p, "SshCertificate", show_cert);
}

/* --- seeds and controls --- */

bool
ssh_seed_ca(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	struct asset_problem p = {0};

	if (!asset_seed_id(t->ssh->cas, obj, ret_problem))
		return false;
	return make_ca(t->ssh, obj, &p) != NULL ||
	       asset_seed_problem(&p, ret_problem);
}

bool
ssh_seed_certificate(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	struct asset_problem p = {0};

	if (!asset_seed_id(t->ssh->certs, obj, ret_problem))
		return false;
	return make_cert(t->ssh, obj, &p) != NULL ||
	       asset_seed_problem(&p, ret_problem);
}

static void
control_ca(struct call *c)
{
	struct asset *t =
	    asset_control(c, c->tenant->ssh->cas, &ca_kind, ca_controls);

	if (t != NULL)
		call_json(c, 200, show_ca(t));
}

static void
control_cert(struct call *c)
{
	struct asset *t =
	    asset_control(c, c->tenant->ssh->certs, &cert_kind, cert_controls);

	if (t != NULL)
		call_json(c, 200, show_cert(t));
}

const struct route ssh_routes[] = {
    {"GET", "/ssh/ca", "ssh:read", ca_list},
    {"POST", "/ssh/ca", "ssh:write", ca_create},
    {"GET", "/ssh/certificates", "ssh:read", cert_list},
    {"POST", "/ssh/certificates", "ssh:write", cert_create},
    {NULL, NULL, NULL, NULL},
};

const struct route ssh_control_routes[] = {
    {"PUT", "/ssh/ca/{id}", NULL, control_ca},
    {"PUT", "/ssh/certificates/{id}", NULL, control_cert},
    {NULL, NULL, NULL, NULL},
};
