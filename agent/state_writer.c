#include "config.h"

#include "state_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "state_place.h"

#define SLOTS 32u
#define STACK_BYTES (128u << 10)

struct state_writer {
	struct state_place *place; /* NULL: no file */
	bool memory;
	size_t chunk_len;
	uint8_t *slots;		/* SLOTS of chunk_len; header_len before them */
	size_t header_len;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;	/* anything below has changed */
	/* with the mutex */
	size_t filled;		/* chunks pushed, in all */
	size_t written;
	bool ended;
	bool abandoned;
	bool done;
	/* the thread's until done */
	int file_fd;
	int memory_fd;
	int file_error;
	int memory_error;
};

/* --- the thread --- */

static int
write_all(int fd, const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENOSPC;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A failure of one of the two leaves the other. */
static void
put(struct state_writer *w, const uint8_t *p, size_t len)
{
	if (w->file_fd >= 0 && w->file_error == 0)
		w->file_error = write_all(w->file_fd, p, len);
	if (w->memory_fd >= 0 && w->memory_error == 0)
		w->memory_error = write_all(w->memory_fd, p, len);
}

static void
open_both(struct state_writer *w)
{
	if (w->place != NULL) {
		w->file_fd = state_place_create(w->place);
		if (w->file_fd < 0)
			w->file_error = w->file_fd;
	}
	if (w->memory) {
		w->memory_fd = memfd_create(STATE_WRITER_MEMFD,
		    MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (w->memory_fd < 0)
			w->memory_error = -errno;
	}
}

static void
finish_file(struct state_writer *w, bool whole)
{
	if (w->file_fd < 0)
		return;
	if (whole && w->file_error == 0)
		w->file_error = state_place_commit(w->place, w->file_fd);
	(void)close(w->file_fd);
	w->file_fd = -1;
	if (!whole || w->file_error != 0)
		state_place_abandon(w->place);
}

static void
finish_memory(struct state_writer *w, bool whole)
{
	if (w->memory_fd < 0)
		return;
	if (whole && w->memory_error == 0 &&
	    fcntl(w->memory_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW |
		F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
		w->memory_error = -errno;
	if (!whole || w->memory_error != 0) {
		(void)close(w->memory_fd);
		w->memory_fd = -1;
	}
}

/* The next chunk, or NULL when no more come. */
static const uint8_t *
next_chunk(struct state_writer *w)
{
	const uint8_t *p = NULL;

	(void)pthread_mutex_lock(&w->mutex);
	while (w->written == w->filled && !w->ended && !w->abandoned)
		(void)pthread_cond_wait(&w->cond, &w->mutex);
	if (w->written < w->filled && !w->abandoned)
		p = w->slots + w->header_len +
		    w->written % SLOTS * w->chunk_len;
	(void)pthread_mutex_unlock(&w->mutex);
	return p;
}

static void *
run(void *arg)
{
	struct state_writer *w = arg;
	const uint8_t *p;
	bool whole;

	open_both(w);
	put(w, w->slots, w->header_len);
	while ((p = next_chunk(w)) != NULL) {
		put(w, p, w->chunk_len);
		(void)pthread_mutex_lock(&w->mutex);
		w->written++;
		(void)pthread_cond_signal(&w->cond);
		(void)pthread_mutex_unlock(&w->mutex);
	}
	(void)pthread_mutex_lock(&w->mutex);
	whole = w->ended && !w->abandoned;
	(void)pthread_mutex_unlock(&w->mutex);
	finish_file(w, whole);
	finish_memory(w, whole);
	(void)pthread_mutex_lock(&w->mutex);
	w->done = true;
	(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->mutex);
	return NULL;
}

/* --- the loop --- */

/* Signals are the loop's, which takes them by signalfd. */
static int
start_thread(struct state_writer *w)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	if (pthread_attr_init(&attr) != 0)
		return ERR_NOMEM;
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, &attr, run, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return r == 0 ? 0 : ERR_NOMEM;
}

int
state_writer_new(struct state_place *place, bool memory,
    const uint8_t *header, size_t header_len, size_t chunk_len,
    struct state_writer **ret_writer)
{
	struct state_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ERR_NOMEM;
	w->place = place;
	w->memory = memory;
	w->chunk_len = chunk_len;
	w->header_len = header_len;
	w->file_fd = w->memory_fd = -1;
	w->slots = malloc(header_len + SLOTS * chunk_len);
	if (w->slots == NULL) {
		free(w);
		return ERR_NOMEM;
	}
	memcpy(w->slots, header, header_len);
	(void)pthread_mutex_init(&w->mutex, NULL);
	(void)pthread_cond_init(&w->cond, NULL);
	if (start_thread(w) != 0) {
		(void)pthread_cond_destroy(&w->cond);
		(void)pthread_mutex_destroy(&w->mutex);
		free(w->slots);
		free(w);
		return ERR_NOMEM;
	}
	*ret_writer = w;
	return 0;
}

uint8_t *
state_writer_room(struct state_writer *w)
{
	uint8_t *p = NULL;

	(void)pthread_mutex_lock(&w->mutex);
	if (w->filled - w->written < SLOTS)
		p = w->slots + w->header_len +
		    w->filled % SLOTS * w->chunk_len;
	(void)pthread_mutex_unlock(&w->mutex);
	return p;
}

void
state_writer_push(struct state_writer *w)
{
	(void)pthread_mutex_lock(&w->mutex);
	assert(w->filled - w->written < SLOTS);
	w->filled++;
	(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->mutex);
}

static void
set_flag(struct state_writer *w, bool *flag)
{
	(void)pthread_mutex_lock(&w->mutex);
	*flag = true;
	(void)pthread_cond_signal(&w->cond);
	(void)pthread_mutex_unlock(&w->mutex);
}

void
state_writer_end(struct state_writer *w)
{
	set_flag(w, &w->ended);
}

bool
state_writer_is_done(struct state_writer *w)
{
	bool done;

	(void)pthread_mutex_lock(&w->mutex);
	done = w->done;
	(void)pthread_mutex_unlock(&w->mutex);
	return done;
}

void
state_writer_wait(struct state_writer *w)
{
	(void)pthread_mutex_lock(&w->mutex);
	while (!w->done && (w->ended || w->filled - w->written == SLOTS))
		(void)pthread_cond_wait(&w->cond, &w->mutex);
	(void)pthread_mutex_unlock(&w->mutex);
}

int
state_writer_file_error(const struct state_writer *w)
{
	return w->file_error;
}

int
state_writer_memory_error(const struct state_writer *w)
{
	return w->memory_error;
}

int
state_writer_take_memory(struct state_writer *w)
{
	int fd = w->memory_fd;

	w->memory_fd = -1;
	return fd;
}

void
state_writer_free(struct state_writer *w)
{
	if (w == NULL)
		return;
	set_flag(w, &w->abandoned);
	(void)pthread_join(w->thread, NULL);
	if (w->memory_fd >= 0)
		(void)close(w->memory_fd);
	(void)pthread_cond_destroy(&w->cond);
	(void)pthread_mutex_destroy(&w->mutex);
	free(w->slots);
	free(w);
}
