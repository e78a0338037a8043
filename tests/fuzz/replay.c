/*
 * A main() for fuzz targets where there is no fuzzing engine: runs the target
 * over the files that are named, and over those in directories.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned int nfiles;

static int
replay_file(const char *path, size_t size)
{
	/* a block of just that size, so that sanitizers see its ends */
	uint8_t *data = malloc(size > 0 ? size : 1);
	FILE *file = fopen(path, "rb");
	int r = -1;

	if (data != NULL && file != NULL &&
	    fread(data, 1, size, file) == size) {
		(void)LLVMFuzzerTestOneInput(data, size);
		nfiles++;
		r = 0;
	} else {
		perror(path);
	}
	if (file != NULL)
		(void)fclose(file);
	free(data);
	return r;
}

static int replay(const char *path);

static int
replay_directory(const char *path)
{
	char name[1024];
	struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (dir == NULL) {
		perror(path);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path,
		    entry->d_name);
		if (replay(name) != 0)
			r = -1;
	}
	(void)closedir(dir);
	return r;
}

static int
replay(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		perror(path);
		return -1;
	}
	if (S_ISDIR(st.st_mode))
		return replay_directory(path);
	return replay_file(path, (size_t)st.st_size);
}

int
main(int argc, char **argv)
{
	int failed = 0;
	int i;

	for (i = 1; i < argc; i++) {
		if (replay(argv[i]) != 0)
			failed = 1;
	}
	/* an empty corpus is a mistake in the build, not a success */
	(void)printf("%u inputs\n", nfiles);
	return failed != 0 || nfiles == 0;
}
