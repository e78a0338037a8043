/*
 * Data keys: random bytes, handed out in the clear and sealed with a key.
 */
#ifndef SANDBOX_DATAKEY_H
#define SANDBOX_DATAKEY_H

#include <stdbool.h>

struct call;
struct key;

/*
 * Answer a request for a data key of k, whose body has been read. k NULL:
 * answered already. clear: with plaintextKey; null: with it, but null.
 */
void datakey_answer(
    struct call *c, const struct key *k, bool clear, bool null);

#endif
