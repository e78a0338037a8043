/*
 * The edges of the daemon while memory runs out: each scenario is run again
 * with its first, second, … allocation failing, until none fails any more.
 */
#include "config.h"

#include <event2/event.h>

#include <sys/socket.h>

#include "audit.h"
#include "err.h"
#include "listener.h"
#include "peer.h"
#include "policy.h"
#include "settings.h"
#include "signals.h"
#include "tempdir.h"

/* Linked with --wrap: __real_* are the C library's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static long countdown = -1;	/* allocations until one fails; -1: none */
static bool failed;		/* one did */

static bool
now_fails(void)
{
	if (countdown < 0 || countdown-- > 0)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *
__wrap_malloc(size_t size)
{
	return now_fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return now_fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	return now_fails() ? NULL : __real_realloc(p, size);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return now_fails() ? NULL : __real_reallocarray(p, n, size);
}

char *
__wrap_strdup(const char *s)
{
	return now_fails() ? NULL : __real_strdup(s);
}

char *
__wrap_strndup(const char *s, size_t n)
{
	return now_fails() ? NULL : __real_strndup(s, n);
}

/*
 * scenario: 0 if it succeeded, ERR_NOMEM if it said so; it leaves nothing
 * behind in either case (the sanitizers and valgrind look).
 */
static void
torture(int (*scenario)(void), long at_least)
{
	long n;
	int r;

	for (n = 0; n < 10000; n++) {
		countdown = n;
		failed = false;
		r = scenario();
		countdown = -1;
		if (!failed) {
			assert_int_equal(r, 0);
			assert_true(n >= at_least);
			return;
		}
		assert_int_equal(r, ERR_NOMEM);
	}
	fail_msg("there is no end to it");
}

static struct tempdir dir;
static char conf[TEMPDIR_PATH];
static char sock[TEMPDIR_PATH];
static struct event_base *base;
static char why[300];

static const char conf_text[] =
    "[agent]\nsocket=/tmp/x\naudit-log=off\nsocket-group=nogroup\n"
    "[upstream]\nurl=https://localhost/\nproxy=http://u:p@h:1\n"
    "[cache]\npreload=a,qapi://secrets/b,\\\nqapi://keys/k/public\n"
    "[allow \"web\"]\nuser=nobody,1,*\ngroup=nogroup\nunit=a,b\nexe=/a\n"
    "secrets=a,id:b\nkeys=c\npaths=GET /x\noperations=call\n"
    "[allow \"ops\"]\nuser=1\n"
    "[credential \"a\"]\nx=qapi://secrets/x\ny=qapi://secrets/y\n";

static int
load_settings(void)
{
	struct settings *s = NULL;
	int r = settings_load(conf, NULL, &s);

	assert_true((s != NULL) == (r == 0));
	settings_free(s);
	return r;
}

static void
test_settings_load(void **state)
{
	(void)state;
	torture(load_settings, 40);
}

static int
load_default_settings(void)
{
	struct settings *s = NULL;
	int r = settings_load(NULL, NULL, &s);

	settings_free(s);
	return r;
}

static void
test_settings_load_defaults(void **state)
{
	(void)state;
	torture(load_default_settings, 4);
}

static int
make_policy(void)
{
	struct policy *pol = policy_new(false);
	int r = ERR_NOMEM;

	if (pol == NULL)
		return r;
	if ((r = policy_rule_begin(pol, "a")) == 0 &&
	    (r = policy_rule_set(pol, "user", "1,2", why, sizeof(why))) == 0)
		r = policy_rule_set(pol, "secrets", "x,y", why, sizeof(why));
	policy_free(pol);
	return r;
}

static void
test_policy(void **state)
{
	(void)state;
	torture(make_policy, 8);
}

static int
make_peers(void)
{
	const gid_t groups[] = {1, 2};
	struct peer *a;
	struct peer *b;
	int r = 0;

	a = peer_new_fake(1, 1, groups, 2, "a.service", "/a");
	b = peer_new_http();
	if (a == NULL || b == NULL)
		r = ERR_NOMEM;
	peer_free(a);
	peer_free(b);
	return r;
}

static void
test_peer(void **state)
{
	(void)state;
	torture(make_peers, 4);
}

/* Without memory for it a peer has no unit; that is no failure. */
static void
test_peer_from_socket(void **state)
{
	struct peer *p;
	int sv[2];
	long n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	for (n = 0; n < 5; n++) {
		countdown = n;
		failed = false;
		p = peer_new(sv[0]);
		if (p == NULL) {
			assert_true(failed);
		} else {
			(void)peer_unit(p);
			(void)peer_exe(p);
		}
		countdown = -1;
		peer_free(p);
	}
	assert_false(failed);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static int
make_audit(void)
{
	static const char *const where[] = {"off", "journal", NULL};
	struct audit *a;
	size_t i;

	for (i = 0; i < 3; i++) {
		a = audit_new(where[i] != NULL ? where[i] :
			tempdir_file(&dir, "audit"), why, sizeof(why));
		if (a == NULL)
			return ERR_NOMEM;
		audit_free(a);
	}
	return 0;
}

static void
test_audit(void **state)
{
	(void)state;
	torture(make_audit, 4);
}

static void
no_connection(void *arg, int fd)
{
	(void)arg;
	(void)close(fd);
}

static int
make_listener(void)
{
	const struct listener_config cfg = {.path = sock, .mode = 0600};
	struct listener *l = NULL;
	int r;

	r = listener_new(base, &cfg, no_connection, NULL, why, sizeof(why),
	    &l);
	listener_free(l);
	assert_int_equal(access(sock, F_OK), -1);
	return r;
}

static void
test_listener(void **state)
{
	(void)state;
	torture(make_listener, 2);
}

static void
no_signal(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}

static int
make_signals(void)
{
	struct signals *s = signals_new(base, no_signal, NULL);
	int r = s == NULL ? ERR_NOMEM : 0;

	signals_free(s);
	return r;
}

static void
test_signals(void **state)
{
	(void)state;
	torture(make_signals, 1);
}

static int
setup(void **state)
{
	(void)state;
	tempdir_make(&dir);
	(void)strcpy(conf, tempdir_write(&dir, "agent.conf", conf_text,
			       sizeof(conf_text) - 1, 0600));
	(void)strcpy(sock, tempdir_file(&dir, "agent.sock"));
	base = event_base_new();
	return base == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	event_base_free(base);
	tempdir_remove(&dir);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settings_load),
	    cmocka_unit_test(test_settings_load_defaults),
	    cmocka_unit_test(test_policy),
	    cmocka_unit_test(test_peer),
	    cmocka_unit_test(test_peer_from_socket),
	    cmocka_unit_test(test_audit),
	    cmocka_unit_test(test_listener),
	    cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests_name("edges_faults", tests, setup,
	    teardown);
}
