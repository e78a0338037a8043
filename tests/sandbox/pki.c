/*
 * Requests on /cas and /certificates.
 */
#include "pki.h"

#include "apply.h"
#include "call.h"
#include "json_util.h"
#include "keymat.h"
#include "mem.h"
#include "pkicert.h"
#include "rules.h"
#include "store.h"
#include "tenant.h"
#include "asset.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>

#define PKI_DEFAULT_ALGORITHM "ECDSA-P256"
#define PKI_ROOT_DAYS 3650
#define PKI_INTERMEDIATE_DAYS 1825
#define PKI_MAX_DAYS 36500
#define PKI_CSR_TTL_SECONDS (INT64_C(90) * 86400) /* a request without ttl */
#define PKI_MAX_TTL_SECONDS (INT64_C(36500) * 86400)
#define PKI_CRL_SECONDS (INT64_C(7) * 86400)
#define PKI_CRL_TYPE "application/pkix-crl"

enum ca_field {
	CA_ID = STORE_ID,
	CA_NAME = STORE_NAME,
	CA_SUBJECT,
	CA_ALGORITHM,
	CA_PARENT_ID,
	CA_CERTIFICATE_PEM,
	CA_SERIAL_NUMBER,
	CA_NOT_BEFORE,
	CA_NOT_AFTER,
	CA_IS_ACTIVE,
	CA_FIELDS
};

static const char *const ca_fields[CA_FIELDS] = {
    [CA_ID] = "id",
    [CA_NAME] = "name",
    [CA_SUBJECT] = "subject",
    [CA_ALGORITHM] = "algorithm",
    [CA_PARENT_ID] = "parentId",
    [CA_CERTIFICATE_PEM] = "certificatePem",
    [CA_SERIAL_NUMBER] = "serialNumber",
    [CA_NOT_BEFORE] = "notBefore",
    [CA_NOT_AFTER] = "notAfter",
    [CA_IS_ACTIVE] = "isActive",
};

static const struct store_kind ca_kind = {
    .fields = ca_fields,
    .n_fields = CA_FIELDS,
    .created_at = CA_NOT_BEFORE,
    .is_active = CA_IS_ACTIVE,
    .free_item = asset_free_item,
};

static const struct rule ca_rules[] = {
    {"name", CA_NAME, RULE_NAME, 200, RULE_CREATE | RULE_REQUIRED},
    {"subject", CA_SUBJECT, RULE_NAME, 1000, RULE_CREATE | RULE_REQUIRED},
    {"algorithm", CA_ALGORITHM, RULE_NAME, 0, RULE_CREATE},
    {"validityDays", 0, RULE_INT, 0, RULE_CREATE},
    {"parentId", CA_PARENT_ID, RULE_NAME, 0, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static const struct rule ca_controls[] = {
    {"name", CA_NAME, RULE_NAME, 0, RULE_REQUIRED},
    {"isActive", CA_IS_ACTIVE, RULE_BOOL, 0, RULE_REQUIRED},
    {NULL, 0, RULE_TEXT, 0, 0},
};

struct ca_own {
	struct keymat *key;
	X509 *x;
	long crl_number;
};

enum cert_field {
	CERT_ID = STORE_ID,
	CERT_COMMON_NAME = STORE_NAME,
	CERT_CA_ID,
	CERT_SERIAL_NUMBER,
	CERT_CERTIFICATE_PEM,
	CERT_CHAIN_PEM,
	CERT_NOT_BEFORE,
	CERT_NOT_AFTER,
	CERT_STATUS,
	CERT_FIELDS
};

static const char *const cert_fields[CERT_FIELDS] = {
    [CERT_ID] = "id",
    [CERT_COMMON_NAME] = "commonName",
    [CERT_CA_ID] = "caId",
    [CERT_SERIAL_NUMBER] = "serialNumber",
    [CERT_CERTIFICATE_PEM] = "certificatePem",
    [CERT_CHAIN_PEM] = "chainPem",
    [CERT_NOT_BEFORE] = "notBefore",
    [CERT_NOT_AFTER] = "notAfter",
    [CERT_STATUS] = "status",
};

static const struct store_kind cert_kind = {
    .fields = cert_fields,
    .n_fields = CERT_FIELDS,
    .created_at = CERT_NOT_BEFORE,
    .is_active = STORE_NONE,
    .free_item = asset_free_item,
};

static const struct rule cert_rules[] = {
    {"caId", CERT_CA_ID, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"csrPem", 0, RULE_NAME, 0, RULE_CREATE},
    {"commonName", CERT_COMMON_NAME, RULE_NAME, 64, RULE_CREATE},
    {"subjectAltNames", 0, RULE_STRINGS, 0, RULE_CREATE},
    {"algorithm", 0, RULE_NAME, 0, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

static const struct rule cert_controls[] = {
    {"status", CERT_STATUS, RULE_NAME, 0, RULE_REQUIRED},
    {NULL, 0, RULE_TEXT, 0, 0},
};

struct cert_own {
	int64_t revoked_s;
};

struct pki {
	struct store *cas;
	struct store *certs;
};

struct pki *
pki_new(void)
{
	struct pki *p = mem_zero(sizeof(*p));

	p->cas = store_new(&ca_kind);
	p->certs = store_new(&cert_kind);
	return p;
}

void
pki_free(struct pki *p)
{
	if (p == NULL)
		return;
	store_free(p->cas);
	store_free(p->certs);
	free(p);
}

static void
measure(const struct store *st, size_t pem, int64_t *items, int64_t *bytes)
{
	*items += (int64_t)store_count(st);
	for (size_t i = 0; i < store_count(st); i++)
		*bytes += (int64_t)json_string_length(
		    store_at(st, i)->field[pem]);
}

void
pki_measure(const struct pki *p, int64_t *ret_items, int64_t *ret_bytes)
{
	*ret_items = *ret_bytes = 0;
	measure(p->cas, CA_CERTIFICATE_PEM, ret_items, ret_bytes);
	measure(p->certs, CERT_CERTIFICATE_PEM, ret_items, ret_bytes);
}

static void
free_ca_own(void *own)
{
	struct ca_own *o = own;

	keymat_free(o->key);
	X509_free(o->x);
	free(o);
}

static int64_t
now_s(void)
{
	return timefmt_now_us() / 1000000;
}

static int64_t
time_of(const struct asset *t, size_t field)
{
	int64_t us = 0;

	(void)timefmt_parse(json_string_value(t->field[field]), &us);
	return us / 1000000;
}

/* None outlives the one that has signed it. */
static int64_t
until(int64_t seconds, const struct asset *issuer)
{
	int64_t end = now_s() + seconds;

	if (issuer != NULL && end > time_of(issuer, CA_NOT_AFTER))
		end = time_of(issuer, CA_NOT_AFTER);
	return end;
}

/* The CA of that id, which must be able to sign. NULL: *p is set. */
static struct asset *
signer(struct pki *pki, const char *id, struct asset_problem *p)
{
	struct asset *ca = asset_find(pki->cas, id);

	if (ca == NULL)
		(void)asset_fail(p, 404, "CA", NULL);
	else if (!json_is_true(ca->field[CA_IS_ACTIVE]))
		(void)asset_fail(p, 409, NULL, "The CA is not active.");
	else if (time_of(ca, CA_NOT_AFTER) <= now_s())
		(void)asset_fail(p, 409, NULL, "The CA has expired.");
	else
		return ca;
	return NULL;
}

/* A key of the algorithm in body, or of the usual one. NULL: *p is set. */
static struct keymat *
make_key(const json_t *body, struct asset_problem *p)
{
	const char *name = asset_text(body, "algorithm");
	const struct keymat_alg *alg =
	    keymat_alg(name == NULL ? PKI_DEFAULT_ALGORITHM : name);
	struct keymat *m;

	if (!pkicert_alg(alg)) {
		(void)asset_fail(p, 400, "algorithm",
		    "must be Ed25519, ECDSA-P256, -P384 or -P521, or RSA-2048, "
		    "-3072 or -4096");
		return NULL;
	}
	if ((m = keymat_generate(alg)) == NULL)
		(void)asset_fail(p, 500, NULL, "The key was not made.");
	return m;
}

/* --- authorities --- */

static void
sign_by(struct pkicert *cert, struct asset *issuer)
{
	struct ca_own *own;

	if (issuer == NULL) {
		cert->issuer_key = cert->key;
		return;
	}
	own = issuer->own;
	cert->issuer = own->x;
	cert->issuer_key = own->key->pkey;
}

static struct asset *
add_ca(struct pki *pki, const json_t *body, struct keymat *key, X509 *x,
    const struct pkicert *cert)
{
	struct asset *ca = asset_new(&ca_kind, json_object_get(body, "id"));
	struct ca_own *own = ca->own = mem_zero(sizeof(*own));
	json_t *parent = json_util_get(body, "parentId");

	ca->free_own = free_ca_own;
	own->key = key;
	own->x = x;
	own->crl_number = 1;
	asset_set(ca, CA_NAME, json_incref(json_util_get(body, "name")));
	asset_set(ca, CA_SUBJECT, json_incref(json_util_get(body, "subject")));
	asset_set(ca, CA_ALGORITHM, json_string(key->alg->name));
	if (json_is_string(parent))
		asset_set(ca, CA_PARENT_ID, json_incref(parent));
	asset_set(ca, CA_CERTIFICATE_PEM, pkicert_pem(x));
	asset_set(ca, CA_SERIAL_NUMBER, pkicert_serial(x));
	asset_set(
	    ca, CA_NOT_BEFORE, timefmt_json(cert->not_before_s * 1000000));
	asset_set(ca, CA_NOT_AFTER, timefmt_json(cert->not_after_s * 1000000));
	asset_set(ca, CA_IS_ACTIVE, json_true());
	store_add(pki->cas, &ca->item);
	return ca;
}

static struct asset *
make_ca(struct pki *pki, const json_t *body, struct asset_problem *p)
{
	const json_t *days = json_util_get(body, "validityDays");
	struct pkicert cert = {.is_ca = true, .not_before_s = now_s()};
	struct asset *parent = NULL;
	struct keymat *key = NULL;
	X509 *x = NULL;
	int64_t n;

	if (!asset_check(ca_rules, body, p))
		return NULL;
	if (asset_text(body, "parentId") != NULL &&
	    (parent = signer(pki, asset_text(body, "parentId"), p)) == NULL)
		return NULL;
	n = parent == NULL ? PKI_ROOT_DAYS : PKI_INTERMEDIATE_DAYS;
	if (json_is_integer(days))
		n = json_integer_value(days);
	cert.subject = pkicert_subject(asset_text(body, "subject"));
	if (n > PKI_MAX_DAYS)
		(void)asset_fail(p, 400, "validityDays", "is too long");
	else if (cert.subject == NULL)
		(void)asset_fail(p, 400, "subject",
		    "must be a name such as \"CN=Example Root,O=Example\"");
	else if ((key = make_key(body, p)) != NULL) {
		cert.key = key->pkey;
		cert.not_after_s = until(n * 86400, parent);
		sign_by(&cert, parent);
		if ((x = pkicert_make(&cert)) == NULL)
			(void)asset_fail(p, 500, NULL, "The CA was not made.");
	}
	X509_NAME_free(cert.subject);
	if (x != NULL)
		return add_ca(pki, body, key, x, &cert);
	keymat_free(key);
	return NULL;
}

static json_t *
show_ca(const struct asset *ca)
{
	return store_object(&ca_kind, &ca->item, UINT32_MAX, true);
}

static void
ca_list(struct call *c)
{
	asset_list(c, c->tenant->pki->cas, show_ca);
}

static void
ca_create(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *ca;

	if (!asset_body(c))
		return;
	ca = make_ca(c->tenant->pki, c->json, &p);
	asset_answer_made(c, ca, &p, "Ca", show_ca);
}

/* Those of a CA that have been revoked. Free with free(). */
static struct pkicert_revoked *
revoked_of(const struct pki *pki, const char *ca_id, size_t *ret_n)
{
	size_t n = 0, count = store_count(pki->certs);
	struct pkicert_revoked *list = mem_zero((count + 1) * sizeof(*list));

	for (size_t i = 0; i < count; i++) {
		const struct item *it = store_at(pki->certs, i);
		const struct cert_own *own = ((const struct asset *)it)->own;

		if (strcmp(item_text(it, CERT_CA_ID), ca_id) != 0 ||
		    strcmp(item_text(it, CERT_STATUS), "revoked") != 0)
			continue;
		list[n].serial = item_text(it, CERT_SERIAL_NUMBER);
		list[n++].at_s = own->revoked_s;
	}
	*ret_n = n;
	return list;
}

static void
ca_crl(struct call *c)
{
	struct pki *pki = c->tenant->pki;
	struct asset *ca = asset_find(pki->cas, c->match.param[0]);
	struct pkicert_revoked *revoked;
	struct ca_own *own;
	unsigned char *der;
	size_t n_revoked, n;

	if (ca == NULL) {
		call_not_found(c, "CA");
		return;
	}
	own = ca->own;
	revoked = revoked_of(pki, c->match.param[0], &n_revoked);
	der = pkicert_crl(own->x, own->key->pkey, now_s(),
	    now_s() + PKI_CRL_SECONDS, own->crl_number, revoked, n_revoked,
	    &n);
	free(revoked);
	if (der == NULL)
		call_error(c, 500, NULL, "The list was not made.", NULL);
	else
		answer_bytes(&c->answer, 200, PKI_CRL_TYPE, der, n);
	free(der);
}

/* --- certificates --- */

/* Seconds, or a text like "720h" or "90d". false: *p is set. */
static bool
read_ttl(const json_t *body, int64_t *ret_s, struct asset_problem *p)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	const json_t *v = json_util_get(body, "ttl");
	const char *s = json_string_value(v);
	char *end = NULL;
	long long n = json_integer_value(v);

	if (v == NULL || json_is_null(v)) {
		if (*ret_s != 0)
			return true;
		return asset_fail(p, 400, "ttl", "is required");
	}
	if (s != NULL) {
		n = strtoll(s, &end, 10);
		for (size_t i = 0; i < 4; i++) {
			if (end[0] == units[i].unit && end[1] == '\0' &&
			    n > 0 && n <= PKI_MAX_TTL_SECONDS) {
				n *= units[i].seconds;
				end = NULL;
				break;
			}
		}
	}
	if ((end != NULL && *end != '\0') || n < 1 || n > PKI_MAX_TTL_SECONDS)
		return asset_fail(p, 400, "ttl",
		    "must be seconds, or a text such as \"90m\", \"720h\" or "
		    "\"30d\"");
	*ret_s = n;
	return true;
}

/* The certificates from a CA up to its root. */
static json_t *
chain_of(struct pki *pki, const struct asset *ca)
{
	json_t *chain = json_array();

	while (ca != NULL) {
		json_array_append(chain, ca->field[CA_CERTIFICATE_PEM]);
		ca = asset_find(
		    pki->cas, json_string_value(ca->field[CA_PARENT_ID]));
	}
	return chain;
}

/* Name and key as the body has them, or its request. false: *p is set. */
static bool
read_names(const json_t *body, struct pkicert *cert, struct asset_problem *p)
{
	const json_t *names = json_util_get(body, "subjectAltNames");
	const char *cn = asset_text(body, "commonName");

	cert->subject = pkicert_common_name(cn);
	if (cert->subject == NULL)
		return asset_fail(p, 400, "commonName", "is no name");
	if (json_is_array(names)) {
		cert->names = pkicert_names(names);
		return cert->names != NULL ||
		       asset_fail(p, 400, "subjectAltNames",
			   "must be DNS names, addresses, URIs or mail "
			   "addresses");
	}
	/* No program looks at the CN of a server any more. */
	cert->names = pkicert_dns_name(cn);
	return true;
}

/* Keep x, which is taken over. */
static struct asset *
add_cert(struct pki *pki, const json_t *body, const struct asset *ca, X509 *x,
    const struct pkicert *cert)
{
	struct asset *t = asset_new(&cert_kind, json_object_get(body, "id"));
	json_t *cn = pkicert_cn_of(X509_get_subject_name(x));

	t->own = mem_zero(sizeof(struct cert_own));
	t->free_own = free;
	if (json_is_null(cn)) /* stores want a name */
		cn = json_string("");
	asset_set(t, CERT_COMMON_NAME, cn);
	asset_set(t, CERT_CA_ID, json_incref(ca->field[CA_ID]));
	asset_set(t, CERT_SERIAL_NUMBER, pkicert_serial(x));
	asset_set(t, CERT_CERTIFICATE_PEM, pkicert_pem(x));
	asset_set(t, CERT_CHAIN_PEM, chain_of(pki, ca));
	asset_set(
	    t, CERT_NOT_BEFORE, timefmt_json(cert->not_before_s * 1000000));
	asset_set(t, CERT_NOT_AFTER, timefmt_json(cert->not_after_s * 1000000));
	asset_set(t, CERT_STATUS, json_string("active"));
	store_add(pki->certs, &t->item);
	X509_free(x);
	return t;
}

/*
 * One from a request, or with a key of its own, which *ret_private then
 * holds. NULL: *p is set.
 */
static struct asset *
make_cert(struct pki *pki, const json_t *body, json_t **ret_private,
    struct asset_problem *p)
{
	struct pkicert cert = {.not_before_s = now_s()};
	struct keymat *key = NULL;
	struct asset *ca, *t = NULL;
	const char *csr = asset_text(body, "csrPem");
	int64_t ttl = csr == NULL ? 0 : PKI_CSR_TTL_SECONDS;
	X509 *x;
	bool ok;

	if (!asset_check(cert_rules, body, p) ||
	    (ca = signer(pki, asset_text(body, "caId"), p)) == NULL)
		return NULL;
	if (csr == NULL && asset_text(body, "commonName") == NULL) {
		(void)asset_fail(
		    p, 400, "commonName", "is required, or else csrPem");
		return NULL;
	}
	ok = read_ttl(body, &ttl, p) &&
	     (csr != NULL ? pkicert_request(csr, &cert.subject, &cert.key,
				&cert.names, p)
			  : read_names(body, &cert, p) &&
				(key = make_key(body, p)) != NULL);
	if (ok) {
		if (key != NULL)
			cert.key = key->pkey;
		cert.not_after_s = until(ttl, ca);
		sign_by(&cert, ca);
		x = pkicert_make(&cert);
		if (x != NULL)
			t = add_cert(pki, body, ca, x, &cert);
		else
			(void)asset_fail(p, 500, NULL,
			    "The certificate was not made.");
	}
	if (t != NULL && key != NULL)
		*ret_private = pkicert_private_pem(key->pkey);
	if (key == NULL)
		EVP_PKEY_free(cert.key);
	keymat_free(key);
	X509_NAME_free(cert.subject);
	GENERAL_NAMES_free(cert.names);
	return t;
}

static json_t *
show_cert(const struct asset *t)
{
	json_t *v = store_object(&cert_kind, &t->item, UINT32_MAX, true);
	const char *status = json_string_value(t->field[CERT_STATUS]);

	if (strcmp(status, "active") == 0 &&
	    time_of(t, CERT_NOT_AFTER) <= now_s())
		json_object_set_new(v, "status", json_string("expired"));
	return v;
}

static void
cert_list(struct call *c)
{
	asset_list(c, c->tenant->pki->certs, show_cert);
}

static void
cert_create(struct call *c)
{
	struct asset_problem p = {0};
	json_t *private_pem = NULL, *v;
	struct asset *t;

	if (!asset_body(c))
		return;
	t = make_cert(c->tenant->pki, c->json, &private_pem, &p);
	if (t == NULL) {
		asset_answer_problem(c, &p);
		return;
	}
	v = show_cert(t);
	if (private_pem != NULL)
		json_object_set_new(v, "privateKeyPem", private_pem);
	audit_resource(c, "Certificate", t->field[CERT_ID],
	    t->field[CERT_COMMON_NAME]);
	call_json(c, 201, v);
}

/* --- seeds and controls --- */

bool
pki_seed_ca(struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	struct asset_problem p = {0};

	if (!asset_seed_id(t->pki->cas, obj, ret_problem))
		return false;
	return make_ca(t->pki, obj, &p) != NULL ||
	       asset_seed_problem(&p, ret_problem);
}

bool
pki_seed_certificate(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem)
{
	struct asset_problem p = {0};
	json_t *private_pem = NULL;
	bool ok;

	if (!asset_seed_id(t->pki->certs, obj, ret_problem))
		return false;
	ok = make_cert(t->pki, obj, &private_pem, &p) != NULL;
	json_decref(private_pem);
	return ok || asset_seed_problem(&p, ret_problem);
}

static void
control_ca(struct call *c)
{
	struct asset *t =
	    asset_control(c, c->tenant->pki->cas, &ca_kind, ca_controls);

	if (t != NULL)
		call_json(c, 200, show_ca(t));
}

/* The service's API cannot revoke; this can, and the CRL shows it. */
static void
control_cert(struct call *c)
{
	struct pki *pki = c->tenant->pki;
	struct asset *t =
	    asset_control(c, pki->certs, &cert_kind, cert_controls);
	struct cert_own *own;
	struct ca_own *ca;

	if (t == NULL)
		return;
	own = t->own;
	own->revoked_s = now_s();
	ca = asset_find(pki->cas, json_string_value(t->field[CERT_CA_ID]))->own;
	ca->crl_number++;
	call_json(c, 200, show_cert(t));
}

const struct route pki_routes[] = {
    {"GET", "/cas", "certificates:read", ca_list},
    {"POST", "/cas", "certificates:write", ca_create},
    {"GET", "/cas/{id}/crl", "certificates:read", ca_crl},
    {"GET", "/certificates", "certificates:read", cert_list},
    {"POST", "/certificates", "certificates:write", cert_create},
    {NULL, NULL, NULL, NULL},
};

const struct route pki_control_routes[] = {
    {"PUT", "/cas/{id}", NULL, control_ca},
    {"PUT", "/certificates/{id}", NULL, control_cert},
    {NULL, NULL, NULL, NULL},
};
