/*
 * What tests of the daemon's core share: secret memory that must be empty
 * again at the end, and objects as the service would give them.
 */
#ifndef UNIT_AGENT_UNIT_H
#define UNIT_AGENT_UNIT_H

#include "unit.h"

#include "buf.h"
#include "msg.h"
#include "object.h"
#include "secmem.h"

#define UNIT_WALL_MS INT64_C(1770000000000)	/* 2026-02-02 */

static inline struct view
unit_view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

static inline bool
unit_view_is(struct view v, const char *text)
{
	return v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}

/* An object with value_len bytes of value, each of them fill. */
static inline struct object *
unit_object(enum ref_kind kind, const char *id, const char *name,
    uint64_t version, int64_t expires_at, size_t value_len, int fill)
{
	struct object *o = object_new(kind, unit_view(id), unit_view(name));
	uint8_t *value;

	assert_non_null(o);
	value = malloc(value_len + 1);
	assert_non_null(value);
	memset(value, fill, value_len);
	assert_int_equal(object_set_data(o,
	    (struct view){ value, value_len }, NULL, 0), 0);
	free(value);
	o->version = version;
	o->expires_at = expires_at;
	return o;
}

/* Group fixtures: a memory arena, and that nothing of it is left in use. */
static inline int
unit_secmem_setup(void **state)
{
	const struct secmem_config cfg = {
		.reserve_bytes = 256u << 20,
		.step_bytes = 1u << 20,
		.headroom_bytes = 256u << 10,
	};

	(void)state;
	return secmem_init(&cfg);
}

static inline int
unit_secmem_teardown(void **state)
{
	struct secmem_stats stats;

	(void)state;
	secmem_get_stats(&stats);
	if (stats.used_bytes != 0)
		print_error("%zu bytes of secret memory are left\n",
		    stats.used_bytes);
	secmem_done();
	return stats.used_bytes == 0 ? 0 : -1;
}

#endif /* UNIT_AGENT_UNIT_H */
