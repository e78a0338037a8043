#include "vault.h"

#include "json_util.h"
#include "key.h"
#include "keypick.h"
#include "keyuse.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "vault:v"

json_t *
vault_text(int64_t version, const void *p, size_t n)
{
	json_t *base64 = json_util_base64(p, n);
	json_t *text = json_sprintf(PREFIX "%lld:%s", (long long)version,
	    json_string_value(base64));

	json_decref(base64);
	return text;
}

unsigned char *
vault_bytes(const json_t *text, int64_t *ret_version, size_t *ret_len)
{
	const char *s = json_string_value(text);
	unsigned char *p;
	json_t *base64;
	long long version;
	char *end;

	if (s == NULL || strncmp(s, PREFIX, strlen(PREFIX)) != 0 ||
	    strlen(s) != json_string_length(text))
		return NULL;
	s += strlen(PREFIX);
	if (*s < '1' || *s > '9')
		return NULL;
	errno = 0;
	version = strtoll(s, &end, 10);
	if (*end != ':' || errno != 0)
		return NULL;
	base64 = json_string(end + 1);
	p = json_util_unbase64(base64, false, ret_len);
	json_decref(base64);
	*ret_version = version;
	return p;
}

json_t *
vault_seal(const struct key_version *v, const void *p, size_t n,
    const void *aad, size_t aad_len)
{
	struct keyuse_sealed s;
	struct text all = {0};
	json_t *text;

	if (!keyuse_seal(v->material, p, n, aad, aad_len, &s))
		return NULL;
	text_add(&all, s.ek, s.ek_len);
	text_add(&all, s.nonce, sizeof(s.nonce));
	text_add(&all, s.tag, sizeof(s.tag));
	text_add(&all, s.c, s.c_len);
	text = vault_text(v->version, all.p, all.len);
	text_done(&all);
	keyuse_sealed_done(&s);
	return text;
}

/* Point into p; nothing is copied. false: it is too short. */
static bool
split(const struct key_version *v, unsigned char *p, size_t n,
    struct keyuse_sealed *ret_s)
{
	size_t ek_len = keyuse_ek_len(v->material);
	size_t head = ek_len + KEYUSE_NONCE + KEYUSE_TAG;

	if (n < head)
		return false;
	ret_s->ek = p;
	ret_s->ek_len = ek_len;
	memcpy(ret_s->nonce, p + ek_len, KEYUSE_NONCE);
	memcpy(ret_s->tag, p + ek_len + KEYUSE_NONCE, KEYUSE_TAG);
	ret_s->c = p + head;
	ret_s->c_len = n - head;
	return true;
}

const char *
vault_open(const struct key *k, const json_t *text, const void *aad,
    size_t aad_len, const struct key_version **ret_v, unsigned char **ret_p,
    size_t *ret_len)
{
	const char *refusal = "decryption_failed";
	struct keyuse_sealed s;
	unsigned char *p;
	int64_t version;
	size_t n;

	p = vault_bytes(text, &version, &n);
	if (p == NULL)
		return refusal;
	if ((refusal = keypick_version(k, version, ret_v)) == NULL &&
	    (!keyuse_has_private((*ret_v)->material) ||
		!split(*ret_v, p, n, &s) ||
		!keyuse_open(
		    (*ret_v)->material, &s, aad, aad_len, ret_p, ret_len)))
		refusal = "decryption_failed";
	free(p);
	return refusal;
}
