/*
 * Parses the input as a reference.  What is accepted keeps the limits, and
 * written anew from its parts it is the same reference.
 */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "ref.h"
#include "text.h"

static struct ref ref;
static struct ref again;
static char name[3 * REF_NAME_MAX + 1];
static char field[3 * REF_FIELD_MAX + 1];
static char text[sizeof(name) + sizeof(field) + 128];

static bool
same(struct view a, struct view b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* Its parts as a reference: the length in text. */
static size_t
rewrite(void)
{
	FUZZ_ASSERT(ref_escape((const char *)ref.name.p, ref.name.len, name,
	    sizeof(name)) == 0);
	FUZZ_ASSERT(ref_escape((const char *)ref.field.p, ref.field.len,
	    field, sizeof(field)) == 0);
	if (ref.kind == REF_KEY)
		return (size_t)snprintf(text, sizeof(text),
		    "qapi://keys/%s/public?format=%s", name,
		    ref_format_name(ref.format));
	if (ref.version == 0)
		return (size_t)snprintf(text, sizeof(text),
		    "qapi://secrets/%s?field=%s", name, field);
	return (size_t)snprintf(text, sizeof(text),
	    "qapi://secrets/%s?version=%llu&field=%s", name,
	    (unsigned long long)ref.version, field);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why = NULL;
	size_t len;

	if (ref_parse((const char *)data, size, &ref, &why) != 0) {
		FUZZ_ASSERT(why != NULL);
		return 0;
	}
	FUZZ_ASSERT(size <= REF_MAX &&
	    ref_is_reference((const char *)data, size));
	FUZZ_ASSERT(ref.name.len > 0 && ref.name.len <= REF_NAME_MAX);
	FUZZ_ASSERT(ref.field.len > 0 && ref.field.len <= REF_FIELD_MAX);
	FUZZ_ASSERT(text_is_plain(ref.name.p, ref.name.len));
	FUZZ_ASSERT(text_is_plain(ref.field.p, ref.field.len));
	FUZZ_ASSERT(ref.version <= INT64_MAX);

	len = rewrite();
	/* escapes may have made it longer than a reference can be */
	if (len > REF_MAX)
		return 0;
	FUZZ_ASSERT(ref_parse(text, len, &again, NULL) == 0);
	FUZZ_ASSERT(ref.kind == again.kind && same(ref.name, again.name));
	FUZZ_ASSERT(ref.version == again.version);
	FUZZ_ASSERT(ref.format == again.format);
	FUZZ_ASSERT(same(ref.field, again.field));
	return 0;
}
