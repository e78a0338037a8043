#include "config.h"

#include "buf.h"

#include <string.h>

void
rd_fail(struct rd *rd)
{
	rd->failed = true;
	/* so that whatever is read from now on fails too */
	rd->len = 0;
}

void
wr_fail(struct wr *wr)
{
	wr->failed = true;
}

void
wr_bytes(struct wr *wr, const void *p, size_t len)
{
	uint8_t *to;

	if (len == 0)
		return;
	to = wr_room(wr, len);
	if (to != NULL)
		memcpy(to, p, len);
}

void
wr_patch_u32(struct wr *wr, size_t off, uint32_t v)
{
	if (wr->failed)
		return;
	/* a fault of the caller, but not a stray write */
	if (off > wr->len || wr->len - off < 4) {
		wr_fail(wr);
		return;
	}
	be_put_u32(wr->p + off, v);
}
