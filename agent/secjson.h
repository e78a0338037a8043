/*
 * jansson's memory, in the arena, and documents parsed without its lexer ever
 * being refused some: it takes no notice where its buffer cannot grow, and goes
 * on to read behind it.  So a parse that runs out of memory is left from
 * within the allocator, and what it had allocated is wiped and freed.
 *
 * Event-loop thread only: jansson's hooks take no argument.
 */
#ifndef AGENT_SECJSON_H
#define AGENT_SECJSON_H

#include <jansson.h>
#include <stddef.h>

#include "buf.h"

/* Set the hooks.  Once, after secmem_init() and before jansson is used. */
void secjson_global_init(void);

/* Memory as jansson has it; freed with secmem_free(). */
void *secjson_alloc(size_t len);

/*
 * Parse a whole text.  flags: jansson's, for loading.  ret_code (may be NULL): enum
 * json_error_code of a failure; json_error_out_of_memory where it was that.
 * NULL on failure; nothing of the text is left in an error.
 */
json_t *secjson_load(struct view text, size_t flags, int *ret_code);

#endif /* AGENT_SECJSON_H */
