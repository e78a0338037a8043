#include "config.h"

#include "http_token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/random.h>
#include <sys/stat.h>

#include "err.h"
#include "keyfile.h"
#include "wipe.h"

/* A new token as it is written: digits and a newline. */
static int
make_text(struct secmem *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t random[HTTP_TOKEN_BYTES];
	uint8_t *p;
	size_t i;
	int r = ERR_INTERNAL;

	if (getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random))
		r = secmem_alloc(ret_text, 2 * sizeof(random) + 1,
		    SECMEM_LIBRARY);
	if (r == 0) {
		p = secmem_writable(ret_text);
		for (i = 0; i < sizeof(random); i++) {
			*p++ = (uint8_t)digits[random[i] >> 4];
			*p++ = (uint8_t)digits[random[i] & 15];
		}
		*p = '\n';
	}
	wipe(random, sizeof(random));
	return r;
}

static int
write_all(int fd, const struct secmem *text)
{
	const uint8_t *p = secmem_bytes(text);
	size_t done = 0, len = secmem_len(text);
	ssize_t n;

	while (done < len) {
		n = write(fd, p + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return fsync(fd);
}

/* A name of a file is on disk when its directory is. */
static void
sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = strndup(path, slash > path ? (size_t)(slash - path) : 1);
	int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
	    : -1;

	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	free(dir);
}

/*
 * Under another name first, and then by link(2), which replaces nothing: who
 * sees the file sees all of it.  Returns 0 or an errno value.
 */
static int
make_file(const char *path, const char *temporary, const struct secmem *text)
{
	int fd, r = 0;

	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC |
	    O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno;
	if (fchmod(fd, 0600) != 0 || write_all(fd, text) != 0 ||
	    (link(temporary, path) != 0 && errno != EEXIST))
		r = errno;
	(void)close(fd);
	(void)unlink(temporary);
	sync_directory(path);
	return r;
}

static int
make_token(const char *path, char *why, size_t why_size)
{
	struct secmem text = { NULL, 0 };
	char *temporary = NULL;
	int r, error;

	if (asprintf(&temporary, "%s.new", path) < 0) {
		temporary = NULL;
		r = ERR_NOMEM;
	} else {
		r = make_text(&text);
	}
	if (r != 0) {
		(void)snprintf(why, why_size, "%s: cannot make a token: %s",
		    path, err_text(r));
	} else if ((error = make_file(path, temporary, &text)) != 0) {
		(void)snprintf(why, why_size, "%s: cannot make the local "
		    "token: %s: choose a path with http-token-file=", path,
		    strerror(error));
		r = ERR_DENIED;
	}
	secmem_free_bytes(&text);
	free(temporary);
	return r;
}

/* Without the white space at either end; must be printable ASCII. */
static int
take_token(const struct keyfile *f, const struct secmem *bytes,
    struct secmem *ret_token, char *why, size_t why_size)
{
	const uint8_t *p = secmem_bytes(bytes);
	size_t len = secmem_len(bytes), i;

	while (len > 0 && (p[len - 1] == '\n' || p[len - 1] == '\r' ||
	    p[len - 1] == ' '))
		len--;
	for (i = 0; i < len && p[i] > ' ' && p[i] < 0x7f; i++)
		;
	if (i < len || len < HTTP_TOKEN_MIN) {
		(void)snprintf(why, why_size, "%s: is no token: %d to %d "
		    "printable characters without blanks; remove the file, "
		    "and one is made", f->path, HTTP_TOKEN_MIN,
		    HTTP_TOKEN_MAX);
		return ERR_BAD_REQUEST;
	}
	if (secmem_copy(ret_token, p, len, SECMEM_LIBRARY) == 0)
		return 0;
	(void)snprintf(why, why_size, "%s: no secret memory left", f->path);
	return ERR_NOMEM;
}

int
http_token_load(const char *path, struct secmem *ret_token, char *why,
    size_t why_size)
{
	const struct keyfile f = {
		.path = path, .what = "local token",
		.setting = "http-token-file",
		.max_bytes = HTTP_TOKEN_MAX + 1,
		.credential = keyfile_is_credential(path),
	};
	struct secmem bytes = { NULL, 0 };
	int r;

	r = keyfile_read(&f, &bytes, why, why_size);
	if (r == ERR_NOT_FOUND) {
		if ((r = make_token(path, why, why_size)) == 0)
			r = keyfile_read(&f, &bytes, why, why_size);
	}
	if (r == 0)
		r = take_token(&f, &bytes, ret_token, why, why_size);
	secmem_free_bytes(&bytes);
	return r;
}

bool
http_token_fits(const struct secmem *token, struct view given)
{
	size_t len = secmem_len(token);

	/* compared even so: nothing is told by when it is refused */
	if (len == 0 || given.len != len) {
		(void)wipe_equal(given.p, given.p, given.len);
		return false;
	}
	return wipe_equal(secmem_bytes(token), given.p, len);
}
