/*
 * Secret memory: the one place where secret bytes live in the daemon.
 *
 * One arena for the whole process.  Its address space is reserved once, with
 * an inaccessible page at either end, and filled in steps: memfd_secret(2)
 * where the kernel has it, otherwise anonymous memory that is mlock(2)ed,
 * left out of core dumps and not inherited by children.  A step that is
 * wholly free is given back to the kernel, so the guards stay guards and the
 * locked memory follows the use.  All bookkeeping lies outside the arena:
 * an object of 4096 bytes takes one page, and nothing that overruns a secret
 * reaches the allocator's own data.
 *
 * Everything is zeroed when it is freed; fresh memory is therefore zero.
 *
 * Two ways in:
 *  - struct secmem and struct secbuf, for the daemon's own secrets;
 *  - secmem_malloc() and its kin, with the signatures of malloc(3), which curl,
 *    OpenSSL, jansson and libevent are given as their allocators.
 *
 * It leaves the eviction of cached values to the cache: an allocation of kind
 * SECMEM_CACHE fails while what is left is needed by the libraries.
 *
 * Process-wide state: the libraries' hooks carry no argument.  All functions
 * may be called from any thread (curl's resolver has one of its own); one
 * mutex guards the bookkeeping.
 */
#ifndef AGENT_SECMEM_H
#define AGENT_SECMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum secmem_backing {
	SECMEM_BACKING_AUTO,	/* memfd_secret, else mlock */
	SECMEM_BACKING_SECRETMEM,	/* memfd_secret or failure */
	SECMEM_BACKING_MLOCK,	/* mlock or failure */
};

struct secmem_config {
	size_t reserve_bytes;	/* address space; upper bound of the arena */
	size_t step_bytes;	/* growth; a power of two, >= 256 KiB */
	size_t suggest_bytes;	/* limit to propose where locking fails; 0:
				 * reserve_bytes */
	size_t headroom_bytes;	/* kept for SECMEM_LIBRARY, see secmem_alloc */
	enum secmem_backing backing;
};

/* What an allocation is for; decides who may use the last of the memory. */
enum secmem_use {
	SECMEM_LIBRARY,		/* transfers, keys, buffers: may use it all */
	SECMEM_CACHE,		/* cached values: leaves headroom_bytes free */
};

struct secmem_stats {
	size_t locked_bytes;	/* steps held now, in bytes */
	size_t used_bytes;	/* handed out, rounded to size classes */
	size_t peak_used_bytes;
	uint64_t steps_grown;
	uint64_t steps_returned;
	uint64_t grow_failures;	/* a step could not be had or locked */
	int last_grow_errno;	/* of the newest failure, 0 if none */
	enum secmem_backing backing;	/* never _AUTO */
};

/*
 * Reserve the address space and lock the first step.  Once per process,
 * before any library allocates.
 * Returns 0, or a negative errno value if the first step could not be locked:
 * -ENOMEM or -EAGAIN then mean RLIMIT_MEMLOCK (secmem_strerror() says it all).
 */
int secmem_init(const struct secmem_config *cfg);

/*
 * One sentence for the operator about a failed secmem_init(): what was tried,
 * which limit is in the way, its present value and how to raise it (systemd:
 * LimitMEMLOCK=, shell: ulimit -l).  r: the value returned.  Never NULL; the
 * text is static.
 */
const char *secmem_strerror(int r);

/*
 * Wipe and unmap everything.  Pointers from the arena are dead afterwards, so
 * libraries that hold some must have been cleaned up.  For a clean stop and
 * for tests; after it secmem_init() may be called again.
 */
void secmem_done(void);

void secmem_get_stats(struct secmem_stats *ret_stats);

/*
 * True once after each run of failures to grow, so that the caller logs it
 * once.  errno_ret: why.
 */
bool secmem_take_grow_failure(int *ret_errno);

/* Size that an allocation of len bytes really takes: its class, in bytes. */
size_t secmem_class_size(size_t len);

/* --- the daemon's own secrets --- */

/*
 * A piece of secret memory, embedded by value in its owner; {0} is empty.
 * Only secmem_*() touch the fields.
 */
struct secmem {
	uint8_t *mem;
	size_t len;
};

/*
 * Make an empty sm hold len zeroed bytes (0 is allowed: no memory is taken).
 * Returns 0 or ERR_NOMEM; sm stays empty on error.
 */
int secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);

/* As secmem_alloc(), filled from src, which stays the caller's to wipe. */
int secmem_copy(struct secmem *sm, const void *src, size_t len,
    enum secmem_use use);

/* Wipe and free; sm is empty afterwards.  An empty sm is fine. */
void secmem_free_bytes(struct secmem *sm);

/* Move the memory from src to an empty dst. */
void secmem_move(struct secmem *dst, struct secmem *src);

/*
 * THE way to the bytes, easy to grep.  Never NULL, even if the length is 0.
 * Valid until sm is freed or moved.
 */
const uint8_t *secmem_bytes(const struct secmem *sm);
uint8_t *secmem_writable(struct secmem *sm);
size_t secmem_len(const struct secmem *sm);

/*
 * Same length and same bytes?  The time depends on the lengths alone.
 */
bool secmem_equal(const struct secmem *a, const struct secmem *b);

/* --- a growing buffer in secret memory, for bodies as they arrive --- */

struct secbuf {
	uint8_t *mem;
	size_t len;
	size_t cap;
	size_t max;	/* refuses to grow past this */
};

void secbuf_init(struct secbuf *b, size_t max_bytes);
/* Append.  Returns 0, ERR_TOO_LARGE or ERR_NOMEM (b is unchanged then). */
int secbuf_append(struct secbuf *b, const void *src, size_t len);
/* Drop the first n bytes (n <= len); wipes what moved away. */
void secbuf_consume(struct secbuf *b, size_t n);
/* Move what is in it to an empty dst; b is empty afterwards. */
void secbuf_take(struct secbuf *b, struct secmem *dst);
/* Wipe and release; b may be used again with the same maximum. */
void secbuf_clear(struct secbuf *b);

/* --- allocators for libraries; as malloc(3), free of NULL is fine --- */

void *secmem_malloc(size_t len);
void *secmem_calloc(size_t n, size_t len);
void *secmem_realloc(void *p, size_t len);
void secmem_free(void *p);
char *secmem_strdup(const char *s);

/* Is p inside the arena's address space?  For assertions and tests. */
bool secmem_contains(const void *p);

/*
 * Overwrite the unused part of the calling thread's stack, 256 KiB of it:
 * lazy symbol binding and spilled registers leave pieces of secrets there
 * (shared measurements, "Stack residue").  Call it after a secret was parsed
 * and before the loop sleeps.
 */
void secmem_scrub_stack(void);

#endif /* AGENT_SECMEM_H */
