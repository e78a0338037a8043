#include "config.h"

#include "wipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
wipe(void *p, size_t len)
{
	if (len == 0)
		return;
#ifdef HAVE_EXPLICIT_BZERO
	explicit_bzero(p, len);
#else
	memset(p, 0, len);
	/* the compiler has to assume that somebody looks at p here */
	__asm__ __volatile__("" : : "r"(p) : "memory");
#endif
}

void
wipe_free(void *p, size_t len)
{
	int saved = errno;

	if (p == NULL)
		return;
	wipe(p, len);
	free(p);
	errno = saved;
}

bool
wipe_equal(const void *a, const void *b, size_t len)
{
	/* volatile: no early end for the compiler to find */
	const volatile unsigned char *x = a;
	const volatile unsigned char *y = b;
	unsigned char diff = 0;
	size_t i;

	for (i = 0; i < len; i++)
		diff |= (unsigned char)(x[i] ^ y[i]);
	return diff == 0;
}
