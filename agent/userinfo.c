#include "config.h"

#include "userinfo.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "timers.h"

#define USERINFO_POLL_MS 2	/* at first; then longer */
#define USERINFO_POLL_MAX_MS 64
#define USERINFO_STACK (1u << 20)
#define USERINFO_BUF (64u << 10)

/* What thread and loop share; freed by the last of them. */
struct userinfo_task {
	struct userinfo *ui;
	atomic_int refs;
	atomic_bool done;	/* error and user are set, and stay so */
	int error;
	struct userinfo_user user;
	char name[USERINFO_NAME_MAX + 1];
};

struct userinfo_job {
	struct userinfo *ui;
	struct userinfo_task *task;
	struct timer *poll;
	uint64_t poll_ms;
	userinfo_cb *cb;
	void *arg;
};

/* Freed by its owner or the last thread: one that hangs may be left behind. */
struct userinfo {
	struct event_base *base;
	atomic_int refs;	/* the owner's and the threads' */
	unsigned int jobs;
};

static void
userinfo_unref(struct userinfo *ui)
{
	if (atomic_fetch_sub(&ui->refs, 1) == 1)
		free(ui);
}

static void
userinfo_task_unref(struct userinfo_task *task)
{
	if (atomic_fetch_sub(&task->refs, 1) == 1)
		free(task);
}

/* --- in the thread --- */

static bool
userinfo_number(const char *text, uid_t *ret_uid)
{
	char *end;
	unsigned long n;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end != '\0' || errno != 0 || n >= (uid_t)-1)
		return false;
	*ret_uid = (uid_t)n;
	return true;
}

static int
userinfo_look_up(const char *name, char *buf, struct userinfo_user *u)
{
	struct passwd pw, *found = NULL;
	int n = USERINFO_GROUPS_MAX, r;
	uid_t uid = 0;
	bool number = userinfo_number(name, &uid);

	r = number ? getpwuid_r(uid, &pw, buf, USERINFO_BUF, &found)
	    : getpwnam_r(name, &pw, buf, USERINFO_BUF, &found);
	if (found == NULL && number) {
		/* a number needs no name */
		u->uid = uid;
		u->gid = (gid_t)-1;
		return 0;
	}
	if (found == NULL)
		return r == 0 || r == ENOENT || r == ESRCH ? ERR_NOT_FOUND
		    : ERR_INTERNAL;
	u->uid = pw.pw_uid;
	u->gid = pw.pw_gid;
	if (getgrouplist(pw.pw_name, pw.pw_gid, u->groups, &n) < 0)
		n = USERINFO_GROUPS_MAX;	/* as many as there is room */
	u->ngroups = (size_t)n;
	return 0;
}

static void *
userinfo_thread(void *arg)
{
	struct userinfo_task *task = arg;
	struct userinfo *ui = task->ui;
	char *buf = malloc(USERINFO_BUF);

	task->error = buf == NULL ? ERR_INTERNAL
	    : userinfo_look_up(task->name, buf, &task->user);
	free(buf);
	atomic_store(&task->done, true);
	userinfo_task_unref(task);
	userinfo_unref(ui);
	return NULL;
}

/* --- in the loop --- */

struct userinfo *
userinfo_new(struct event_base *base)
{
	struct userinfo *ui;

	ui = calloc(1, sizeof(*ui));
	if (ui == NULL)
		return NULL;
	ui->base = base;
	atomic_init(&ui->refs, 1);
	return ui;
}

void
userinfo_free(struct userinfo *ui)
{
	if (ui == NULL)
		return;
	assert(ui->jobs == 0);
	userinfo_unref(ui);
}

static void
userinfo_job_free(struct userinfo_job *job)
{
	if (job->task != NULL)
		userinfo_task_unref(job->task);
	timer_free(job->poll);
	job->ui->jobs--;
	free(job);
}

static void
userinfo_poll_cb(void *arg)
{
	struct userinfo_job *job = arg;
	userinfo_cb *cb = job->cb;
	void *cb_arg = job->arg;
	struct userinfo_user user;
	int error;

	if (!atomic_load(&job->task->done)) {
		if (job->poll_ms < USERINFO_POLL_MAX_MS)
			job->poll_ms *= 2;
		timer_set(job->poll, job->poll_ms);
		return;
	}
	user = job->task->user;
	error = job->task->error;
	userinfo_job_free(job);
	cb(cb_arg, error, &user);
}

static int
userinfo_spawn(struct userinfo_task *task)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (pthread_attr_init(&attr) != 0)
		return ERR_NOMEM;
	(void)pthread_attr_setstacksize(&attr, USERINFO_STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&task->refs, 1);
	atomic_fetch_add(&task->ui->refs, 1);
	r = pthread_create(&thread, &attr, userinfo_thread, task);
	(void)pthread_attr_destroy(&attr);
	if (r != 0) {
		atomic_fetch_sub(&task->refs, 1);
		atomic_fetch_sub(&task->ui->refs, 1);
		return ERR_BUSY;
	}
	return 0;
}

int
userinfo_start(struct userinfo *ui, const char *name, size_t len,
    userinfo_cb *cb, void *arg, struct userinfo_job **ret_job)
{
	struct userinfo_job *job;
	int r = ERR_NOMEM;

	if (len > USERINFO_NAME_MAX)
		return ERR_BAD_REQUEST;
	/* those that nobody waits for any more count too */
	if (atomic_load(&ui->refs) > USERINFO_JOBS_MAX)
		return ERR_BUSY;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return ERR_NOMEM;
	job->ui = ui;
	ui->jobs++;
	job->cb = cb;
	job->arg = arg;
	job->poll_ms = USERINFO_POLL_MS;
	job->task = calloc(1, sizeof(*job->task));
	job->poll = timer_new(ui->base, userinfo_poll_cb, job);
	if (job->task != NULL) {
		job->task->ui = ui;
		atomic_init(&job->task->refs, 1);
		memcpy(job->task->name, name, len);
	}
	if (job->task == NULL || job->poll == NULL ||
	    (r = userinfo_spawn(job->task)) != 0) {
		userinfo_job_free(job);
		return r;
	}
	timer_set(job->poll, job->poll_ms);
	*ret_job = job;
	return 0;
}

void
userinfo_cancel(struct userinfo_job *job)
{
	userinfo_job_free(job);
}
