/*
 * Writing a snapshot's sealed bytes on a thread of its own, so that no disk
 * holds up the event loop: to a file that replaces the old one when it is
 * whole, and to a sealed memory file for the service manager.
 *
 * Only sealed bytes cross to the thread.  It blocks all signals, knows no
 * libevent, and ends with its snapshot.
 *
 * All functions are the event-loop thread's.
 */
#ifndef AGENT_STATE_WRITER_H
#define AGENT_STATE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state_place;
struct state_writer;

/* The name of the memory file: what /proc/PID/fd shows. */
#define STATE_WRITER_MEMFD "qapi-agent-state"

/*
 * place: where to write to, open, and not touched by others until the end;
 * NULL: no file.  memory: make a memory file too.
 * Returns 0, or ERR_NOMEM if there are no resources for it now.
 */
int state_writer_new(struct state_place *place, bool memory,
    const uint8_t *header, size_t header_len, size_t chunk_len,
    struct state_writer **ret_writer);

/* Where to put the next chunk of chunk_len; NULL: not now. */
uint8_t *state_writer_room(struct state_writer *w);
/* It is there. */
void state_writer_push(struct state_writer *w);
/* That was the last one: make it durable. */
void state_writer_end(struct state_writer *w);

/* Has the thread done all, or failed?  Never waits. */
bool state_writer_is_done(struct state_writer *w);
/* Wait for the thread until there is room, or it is done.  For a stop. */
void state_writer_wait(struct state_writer *w);

/* Once it is done: 0 or a negative errno value for each. */
int state_writer_file_error(const struct state_writer *w);
int state_writer_memory_error(const struct state_writer *w);
/* The sealed memory file, the caller's to close; -1 if there is none. */
int state_writer_take_memory(struct state_writer *w);

/*
 * Joins the thread.  What was not ended is abandoned, and the old file stays.
 * NULL is fine.
 */
void state_writer_free(struct state_writer *w);

#endif /* AGENT_STATE_WRITER_H */
