/*
 * A program as its users write them, against the installed <qapi-agent.h> and
 * nothing else; test_library.py compiles and runs it.
 *
 *	library get REF			the value, as bytes
 *	library item REF		all that is known of it, a line each
 *	library many REF...		VALUE or !ERROR, a line each
 *	library list KIND		KIND ID NAME FRESHNESS
 *	library status			NAME=VALUE
 *	library refresh|invalidate REF...	ok or !ERROR, a line each
 *	library refresh-all|invalidate-all	COUNT FAILED
 *	library ping
 *	library terms TERM... REF	age=MS stale=MS cached fresh
 *	library timeout MS REF		ERROR
 *	library twice REF		waits for a line of input in between
 *	library threads N REF		each with a handle of its own
 *	library nulls			every free takes NULL
 */
#include <qapi-agent.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
fail(struct qapi_agent *agent, int r)
{
	fprintf(stderr, "%s: %s (%s)\n", qapi_agent_error_name(r),
	    qapi_agent_message(agent), qapi_agent_error_text(r));
	return 1;
}

static void
put(const struct qapi_agent_item *item)
{
	size_t len;
	const void *value = qapi_agent_item_value(item, &len);

	if (len > 0)
		fwrite(value, 1, len, stdout);
}

static int
do_get(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_item *item = NULL;
	size_t len;
	const char *p;
	int r;

	(void)argc;
	r = qapi_agent_get(agent, argv[0], NULL, &item);
	if (r != 0)
		return fail(agent, r);
	p = qapi_agent_item_value(item, &len);
	if (p[len] != '\0')	/* promised by the header */
		return 9;
	put(item);
	qapi_agent_item_free(&item);
	return item != NULL;
}

static int
do_item(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_item *item = NULL;
	int r = qapi_agent_get(agent, argv[0], NULL, &item);

	(void)argc;
	if (r != 0)
		return fail(agent, r);
	printf("ref %s\nid %s\nname %s\nkind %d\nversion %llu\nfreshness %s\n"
	       "error %d\nmessage [%s]\ncontent %d\n",
	    qapi_agent_item_ref(item), qapi_agent_item_id(item),
	    qapi_agent_item_name(item), (int)qapi_agent_item_kind(item),
	    (unsigned long long)qapi_agent_item_version(item),
	    qapi_agent_freshness_name(qapi_agent_item_freshness(item)),
	    qapi_agent_item_error(item), qapi_agent_item_message(item),
	    (int)qapi_agent_item_content(item));
	if (qapi_agent_item_expires_at_ms(item) == QAPI_AGENT_NO_TIME)
		printf("expires never\n");
	else
		printf("expires %lld\n",
		    (long long)qapi_agent_item_expires_at_ms(item));
	printf("young %d\n", qapi_agent_item_age_ms(item) < 60000);
	printf("build %s\nprotocol %u\nversion-of-library %s\n",
	    qapi_agent_build(agent), qapi_agent_protocol(agent),
	    qapi_agent_version());
	qapi_agent_item_free(&item);
	return 0;
}

static int
each(struct qapi_agent_items *items, int values)
{
	size_t i;

	for (i = 0; i < qapi_agent_items_count(items); i++) {
		const struct qapi_agent_item *item =
		    qapi_agent_items_at(items, i);
		int error = qapi_agent_item_error(item);

		if (error != 0)
			printf("!%s", qapi_agent_error_name(error));
		else if (values)
			put(item);
		else
			printf("ok");
		printf("\n");
	}
	if (qapi_agent_items_at(items, i) != NULL)
		return 9;
	qapi_agent_items_free(&items);
	return items != NULL;
}

static int
do_many(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_items *items = NULL;
	int r = qapi_agent_get_many(agent, (const char *const *)argv,
	    (size_t)argc, NULL, &items);

	return r != 0 ? fail(agent, r) : each(items, 1);
}

static int
do_list(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_items *items = NULL;
	size_t i;
	int r = qapi_agent_list(agent,
	    (enum qapi_agent_kind)atoi(argv[0]), NULL, &items);

	(void)argc;
	if (r != 0)
		return fail(agent, r);
	for (i = 0; i < qapi_agent_items_count(items); i++) {
		const struct qapi_agent_item *item =
		    qapi_agent_items_at(items, i);

		printf("%d %s %s %s\n", (int)qapi_agent_item_kind(item),
		    qapi_agent_item_id(item), qapi_agent_item_name(item),
		    qapi_agent_freshness_name(
			qapi_agent_item_freshness(item)));
		if (qapi_agent_item_value(item, NULL) != NULL)
			return 9;
	}
	qapi_agent_items_free(&items);
	return 0;
}

static int
do_status(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_stats *stats = NULL;
	size_t i;
	int r = qapi_agent_status(agent, &stats);

	(void)argc;
	(void)argv;
	if (r != 0)
		return fail(agent, r);
	for (i = 0; i < qapi_agent_stats_count(stats); i++) {
		const char *name = qapi_agent_stats_name(stats, i);

		if (qapi_agent_stats_find(stats, name) != (long)i)
			return 9;
		switch (qapi_agent_stats_type(stats, i)) {
		case QAPI_AGENT_STAT_UINT:
			printf("%s=%llu\n", name, (unsigned long long)
			    qapi_agent_stats_uint(stats, i));
			break;
		case QAPI_AGENT_STAT_TEXT:
			printf("%s=%s\n", name, qapi_agent_stats_text(stats, i));
			break;
		case QAPI_AGENT_STAT_NULL:
			printf("%s=\n", name);
			break;
		}
	}
	if (qapi_agent_stats_find(stats, "no.such.figure") != -1)
		return 9;
	qapi_agent_stats_free(&stats);
	return 0;
}

static int
do_refresh(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_items *items = NULL;
	int r = qapi_agent_refresh(agent, (const char *const *)argv,
	    (size_t)argc, &items);

	return r != 0 ? fail(agent, r) : each(items, 0);
}

static int
do_invalidate(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_items *items = NULL;
	int r = qapi_agent_invalidate(agent, (const char *const *)argv,
	    (size_t)argc, &items);

	return r != 0 ? fail(agent, r) : each(items, 0);
}

static int
do_refresh_all(struct qapi_agent *agent, int argc, char **argv)
{
	uint64_t count = 0, failed = 0;
	int r = qapi_agent_refresh_all(agent, &count, &failed);

	(void)argc;
	(void)argv;
	if (r != 0)
		return fail(agent, r);
	printf("%d %d\n", (int)count, (int)failed);
	return 0;
}

static int
do_invalidate_all(struct qapi_agent *agent, int argc, char **argv)
{
	uint64_t count = 0;
	int r = qapi_agent_invalidate_all(agent, &count, NULL);

	(void)argc;
	(void)argv;
	if (r != 0)
		return fail(agent, r);
	printf("%d\n", (int)count);
	return 0;
}

static int
do_ping(struct qapi_agent *agent, int argc, char **argv)
{
	int r = qapi_agent_ping(agent);

	(void)argc;
	(void)argv;
	return r != 0 ? fail(agent, r) : 0;
}

static int
do_terms(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_terms *terms = qapi_agent_terms_new();
	struct qapi_agent_item *item = NULL;
	int i, r;

	for (i = 0; i < argc - 1; i++) {
		if (strncmp(argv[i], "age=", 4) == 0)
			qapi_agent_terms_set_max_age_ms(terms,
			    strtoull(argv[i] + 4, NULL, 10));
		else if (strncmp(argv[i], "stale=", 6) == 0)
			qapi_agent_terms_set_max_stale_ms(terms,
			    strtoull(argv[i] + 6, NULL, 10));
		else if (strcmp(argv[i], "cached") == 0)
			qapi_agent_terms_set_only_if_cached(terms, true);
		else if (strcmp(argv[i], "fresh") == 0)
			qapi_agent_terms_set_fresh(terms, true);
	}
	r = qapi_agent_get(agent, argv[argc - 1], terms, &item);
	qapi_agent_terms_free(&terms);
	if (r != 0 || terms != NULL)
		return fail(agent, r);
	printf("%s ", qapi_agent_freshness_name(
	    qapi_agent_item_freshness(item)));
	put(item);
	qapi_agent_item_free(&item);
	return 0;
}

static int
do_timeout(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent_item *item = NULL;

	(void)argc;
	qapi_agent_set_timeout_ms(agent, strtoull(argv[0], NULL, 10));
	printf("%s\n", qapi_agent_error_name(
	    qapi_agent_get(agent, argv[1], NULL, &item)));
	return item != NULL;
}

static int
do_twice(struct qapi_agent *agent, int argc, char **argv)
{
	int r = do_get(agent, argc, argv);

	if (r != 0)
		return r;
	printf("\n");
	fflush(stdout);
	if (getchar() == EOF)
		return 9;
	return do_get(agent, argc, argv);
}

static char **thread_argv;

static void *
thread(void *arg)
{
	struct qapi_agent *agent = qapi_agent_new();
	struct qapi_agent_item *item = NULL;
	int *failures = arg;
	int i;

	for (i = 0; i < 200; i++) {
		if (qapi_agent_get(agent, thread_argv[1], NULL, &item) != 0)
			(*failures)++;
		qapi_agent_item_free(&item);
	}
	qapi_agent_free(&agent);
	return NULL;
}

static int
do_threads(struct qapi_agent *agent, int argc, char **argv)
{
	pthread_t t[32];
	int failures[32] = {0};
	int i, n = atoi(argv[0]), sum = 0;

	(void)agent;
	(void)argc;
	thread_argv = argv;
	for (i = 0; i < n && i < 32; i++)
		pthread_create(&t[i], NULL, thread, &failures[i]);
	for (i = 0; i < n && i < 32; i++) {
		pthread_join(t[i], NULL);
		sum += failures[i];
	}
	printf("%d\n", sum);
	return 0;
}

static int
do_nulls(struct qapi_agent *agent, int argc, char **argv)
{
	struct qapi_agent *none = NULL;
	struct qapi_agent_terms *terms = NULL;
	struct qapi_agent_item *item = NULL;
	struct qapi_agent_items *items = NULL;
	struct qapi_agent_stats *stats = NULL;
	const char *refs[1] = {NULL};
	int bad = 0;

	(void)argc;
	(void)argv;
	qapi_agent_free(&none);
	qapi_agent_terms_free(&terms);
	qapi_agent_item_free(&item);
	qapi_agent_items_free(&items);
	qapi_agent_stats_free(&stats);
	bad += qapi_agent_get_many(agent, refs, 0, NULL, &items) !=
	    QAPI_AGENT_ERR_BAD_REQUEST;
	bad += qapi_agent_get_many(agent, refs, 1, NULL, &items) !=
	    QAPI_AGENT_ERR_BAD_REQUEST;
	bad += qapi_agent_get(agent, "qapi://nonsense", NULL, &item) !=
	    QAPI_AGENT_ERR_BAD_REQUEST;
	bad += qapi_agent_set_socket(agent, "") != QAPI_AGENT_ERR_BAD_REQUEST;
	bad += items != NULL || item != NULL;
	bad += strcmp(qapi_agent_error_name(12345), "unknown") != 0;
	printf("%d\n", bad);
	return bad;
}

static const struct {
	const char *name;
	int (*run)(struct qapi_agent *agent, int argc, char **argv);
} modes[] = {
	{"get", do_get},
	{"item", do_item},
	{"many", do_many},
	{"list", do_list},
	{"status", do_status},
	{"refresh", do_refresh},
	{"invalidate", do_invalidate},
	{"refresh-all", do_refresh_all},
	{"invalidate-all", do_invalidate_all},
	{"ping", do_ping},
	{"terms", do_terms},
	{"timeout", do_timeout},
	{"twice", do_twice},
	{"threads", do_threads},
	{"nulls", do_nulls},
};

int
main(int argc, char **argv)
{
	struct qapi_agent *agent;
	size_t i;
	int status = 2;

	if (argc < 2)
		return 2;
	agent = qapi_agent_new();
	if (agent == NULL || qapi_agent_set_program(agent, "tests 1") != 0)
		return 2;
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, argv[1]) == 0)
			status = modes[i].run(agent, argc - 2, argv + 2);
	}
	qapi_agent_free(&agent);
	return status != 0 ? status : agent != NULL;
}
