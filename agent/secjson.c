#include "config.h"

#include "secjson.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "secmem.h"

/* The parse under way: what it has allocated so far, newest last. */
static struct {
	bool on;
	jmp_buf out;
	void **live;
	size_t count;
	size_t cap;
} load;

/* False for no memory. */
static bool
remember(void *p)
{
	size_t cap = load.cap == 0 ? 64 : 2 * load.cap;
	void **live;

	if (load.count == load.cap) {
		live = reallocarray(load.live, cap, sizeof(*live));
		if (live == NULL)
			return false;
		load.live = live;
		load.cap = cap;
	}
	load.live[load.count++] = p;
	return true;
}

/* Most of what is freed while parsing is new. */
static void
forget(const void *p)
{
	size_t i = load.count;

	while (i > 0 && load.live[i - 1] != p)
		i--;
	if (i > 0)
		load.live[i - 1] = load.live[--load.count];
}

void *
secjson_alloc(size_t len)
{
	void *p = secmem_malloc(len);

	if (!load.on || (p != NULL && remember(p)))
		return p;
	secmem_free(p);
	longjmp(load.out, 1);
}

static void
secjson_free(void *p)
{
	if (load.on && p != NULL)
		forget(p);
	secmem_free(p);
}

void
secjson_global_init(void)
{
	json_set_alloc_funcs(secjson_alloc, secjson_free);
}

json_t *
secjson_load(struct view text, size_t flags, int *ret_code)
{
	json_t *volatile doc = NULL;
	volatile int code = json_error_out_of_memory;
	json_error_t error;

	load.on = true;
	load.count = 0;
	if (setjmp(load.out) == 0) {
		doc = json_loadb((const char *)text.p, text.len, flags,
		    &error);
		code = (int)json_error_code(&error);
		load.on = false;
	} else {
		load.on = false;
		while (load.count > 0)
			secmem_free(load.live[--load.count]);
	}
	explicit_bzero(&load.out, sizeof(load.out));
	free(load.live);
	load.live = NULL;
	load.cap = 0;
	/* it quotes the text */
	explicit_bzero(&error, sizeof(error));
	if (ret_code != NULL)
		*ret_code = code;
	return doc;
}
