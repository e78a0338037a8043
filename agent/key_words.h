/*
 * Types and algorithms of keys by number, so that a row of a listing that may
 * have 100,000 needs no text for them.
 *
 * Pure.
 */
#ifndef AGENT_KEY_WORDS_H
#define AGENT_KEY_WORDS_H

#include <stdint.h>

#include "buf.h"

/* Numbers that fit so many bits, as sealed snapshots hold them. */
#define KEY_TYPE_BITS 2
#define KEY_ALGORITHM_BITS 5

/* 0: none that is known, or none at all. */
uint8_t key_type_number(struct view name);
uint8_t key_algorithm_number(struct view name);

/* NULL for 0, and for a number that is none. */
const char *key_type_name(uint8_t number);
const char *key_algorithm_name(uint8_t number);

#endif /* AGENT_KEY_WORDS_H */
