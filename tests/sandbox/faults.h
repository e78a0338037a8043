/*
 * What is to go wrong, with which requests, and how often.
 *
 * This module decides; deliver.c does it. Of several faults that match, the
 * one added first is used, so a test may queue up a sequence.
 */
#ifndef SANDBOX_FAULTS_H
#define SANDBOX_FAULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_action {
	FAULT_NONE, /* the answer arrives as it should */
	FAULT_DROP,
	FAULT_TRUNCATE,
	FAULT_SLOW,
	FAULT_GARBAGE,
	FAULT_HANG,
	FAULT_REDIRECT,
	FAULT_STALL,
};

struct answer;
struct faults;

/* A fault as it hits one request. Borrowed until the next call here. */
struct fault {
	uint64_t id;
	enum fault_action action;
	int status;         /* 0: the true one */
	int64_t latency_ms; /* 0: none; with FAULT_SLOW the pause per byte */
	const json_t *spec; /* as it was posted */
};

struct faults *faults_new(void);
void faults_free(struct faults *f);

/*
 * Add a fault. spec: the posted object, kept by reference. Returns its id, or
 * 0 with *ret_field and *ret_problem saying what is wrong.
 */
uint64_t faults_add(struct faults *f, json_t *spec, const char **ret_field,
    const char **ret_problem);

/* Remove one, or all. false: there is none of this id. */
bool faults_remove(struct faults *f, uint64_t id);
void faults_clear(struct faults *f);

/* A new JSON array of what is active: the spec, id, hits and what is left. */
json_t *faults_list(struct faults *f);

/*
 * The fault that hits this request, if any; uses up one of its times.
 * path: as sent, without the query.
 */
bool faults_hit(struct faults *f, const char *method, const char *path,
    struct fault *ret_fault);

/* Is the true answer needed, or does the fault bring one of its own? */
bool fault_replaces_answer(const struct fault *fault);

/* Set the answer that the fault brings. */
void fault_answer(const struct fault *fault, struct answer *a);

/* Add the headers that the fault asks for, to whichever answer it is. */
void fault_add_headers(const struct fault *fault, struct answer *a);

/* Does the glob match the text? "*" is any characters, "?" is one. */
bool faults_glob(const char *glob, const char *text);

#endif
