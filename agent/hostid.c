#include "config.h"

#include "hostid.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "hash.h"

#define MACHINE_ID "/etc/machine-id"
#define MACHINE_ID_LEN 32

uint64_t
hostid_phase(void)
{
	/* any key: it only has to be the same each time */
	static const struct hash_key key = { "qapi-agent phase" };
	char text[MACHINE_ID_LEN + HOST_NAME_MAX + 1] = "";
	ssize_t n = 0;
	int fd = open(MACHINE_ID, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0) {
		n = read(fd, text, MACHINE_ID_LEN);
		(void)close(fd);
	}
	if (n < 0)
		n = 0;
	if (gethostname(text + n, HOST_NAME_MAX + 1) != 0)
		text[n] = '\0';
	text[sizeof(text) - 1] = '\0';
	return hash_bytes(&key, text, (size_t)n + strlen(text + n));
}
