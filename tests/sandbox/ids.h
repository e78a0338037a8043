/*
 * New random ids.
 */
#ifndef SANDBOX_IDS_H
#define SANDBOX_IDS_H

#include <jansson.h>

/* A lower-case UUID v4, as a new JSON string. */
json_t *ids_uuid(void);

/* Likewise, of 16 random bytes. */
json_t *ids_uuid_of(const unsigned char bytes[16]);

#endif
