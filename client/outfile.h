/*
 * A file that appears as a whole or not at all: written under another name in
 * the same directory, with its mode and owner set before it has content, and
 * put in place by rename(2).
 *
 * From outfile_new() to outfile_free() the signals that end a program are held
 * back, so that no half-written file with a value is left behind.
 */
#ifndef CLIENT_OUTFILE_H
#define CLIENT_OUTFILE_H

#include <stddef.h>
#include <sys/types.h>

struct outfile;

/*
 * Begin.  What exists at path, a symbolic link itself included, is replaced;
 * but a device, FIFO or socket that it leads to is written to directly.
 * mode: exact, whatever the umask.  uid, gid: as of fchown(2), -1 for our own.
 * Returns 0 or -1 with errno set.
 */
int outfile_new(const char *path, mode_t mode, uid_t uid, gid_t gid,
    struct outfile **ret);

/*
 * The same for one that may take any time to be written, say from a pipe:
 * signals are not held back before outfile_commit().  Where the file system can
 * (O_TMPFILE), the file has no name until then, and is gone if the program is
 * killed; where it cannot, this is as outfile_new().
 */
int outfile_new_slow(const char *path, mode_t mode, struct outfile **ret);

/* Returns 0 or -1 with errno set. */
int outfile_write(struct outfile *f, const void *p, size_t len);

/* Make it durable and put it in place.  Returns 0 or -1 with errno set. */
int outfile_commit(struct outfile *f);

/* Unless it was committed nothing is left of it.  Keeps errno. */
void outfile_free(struct outfile **f);

#endif /* CLIENT_OUTFILE_H */
