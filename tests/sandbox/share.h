/*
 * Share links of secrets.
 */
#ifndef SANDBOX_SHARE_H
#define SANDBOX_SHARE_H

#include "store.h"

extern const struct store_kind share_kind;

#endif
