#include "config.h"

#include "settings.h"

#include "err.h"
#include "peer.h"
#include "policy.h"
#include "settings_table.h"
#include "tempdir.h"

static struct tempdir dir;
static char *faults;		/* of the last load */
static size_t faults_size;

static int
setup(void **state)
{
	(void)state;
	tempdir_make(&dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tempdir_remove(&dir);
	free(faults);
	return 0;
}

static int
load_path(const char *path, struct settings **ret)
{
	FILE *f;
	int r;

	free(faults);
	f = open_memstream(&faults, &faults_size);
	assert_non_null(f);
	r = settings_load(path, f, ret);
	assert_int_equal(fclose(f), 0);
	return r;
}

static int
load(const char *text, struct settings **ret)
{
	return load_path(tempdir_write(&dir, "agent.conf", text, strlen(text),
			     0600), ret);
}

static struct settings *
good(const char *text)
{
	struct settings *s = NULL;

	if (load(text, &s) != 0)
		fail_msg("%s", faults);
	assert_string_equal(faults, "");
	assert_non_null(s);
	return s;
}

/* Exactly one fault, at that line, with these words in it. */
static void
expect_fault(const char *text, unsigned int line, const char *says)
{
	struct settings *s = NULL;
	char start[200];

	if (load(text, &s) != ERR_BAD_REQUEST)
		fail_msg("no fault in: %s", text);
	assert_null(s);
	(void)snprintf(start, sizeof(start), "%s:%u: ", dir.file, line);
	if (strncmp(faults, start, strlen(start)) != 0 ||
	    strstr(faults, says) == NULL ||
	    strchr(faults, '\n') != faults + faults_size - 1)
		fail_msg("%s\ngives: %sand not: %s", text, faults, says);
}

/* A fault in the value of one key. */
static void
expect_bad(const char *section, const char *assignment, const char *says)
{
	char text[400];

	(void)snprintf(text, sizeof(text), "[%s]\n%s\n", section, assignment);
	expect_fault(text, 2, says);
}

/* --- defaults --- */

static void
check_defaults(const struct settings *s)
{
	assert_int_equal(s->socket_mode, 0660);
	assert_null(s->socket_group);
	assert_null(s->credentials_socket);
	assert_int_equal(s->credentials_hold_ms, 30000);
	assert_null(s->http_socket);
	assert_null(s->http_listen);
	assert_null(s->http_token_file);
	assert_false(s->root_needs_rule);
	assert_int_equal(s->max_connections, 4096);
	assert_int_equal(s->max_requests_per_second, 0);
	assert_int_equal(s->log_level, LOG_LEVEL_INFO);
	assert_string_equal(s->audit_log, "journal");
	assert_string_equal(s->url, "https://api.quantumapi.eu/api/v1");
	assert_null(s->api_key_files);
	assert_null(s->ca_file);
	assert_null(s->pinned_public_key);
	assert_null(s->proxy);
	assert_int_equal(s->connect_timeout_ms, 5000);
	assert_int_equal(s->request_timeout_ms, 30000);
	assert_int_equal(s->max_in_flight, 16);
	assert_int_equal(s->max_response, 16 << 20);
	assert_int_equal(s->max_memory, 64 << 20);
	assert_int_equal(s->refresh_interval_ms, 300000);
	assert_int_equal(s->refresh_lead_ms, 60000);
	assert_int_equal(s->max_stale_ms, 86400000);
	assert_int_equal(s->unauthorized_grace_ms, 300000);
	assert_int_equal(s->negative_ttl_ms, 10000);
	assert_int_equal(s->idle_evict_ms, 86400000);
	assert_int_equal(s->reread_interval_ms, 86400000);
	assert_int_equal(s->serve_expired_ms, 0);
	assert_null(s->state_file);
	assert_null(s->state_key_file);
	assert_int_equal(s->npreload, 0);
	assert_int_equal(s->preload_wait_ms, 30000);
	assert_non_null(s->policy);
	assert_int_equal(s->ncredentials, 0);
}

static void
test_defaults(void **state)
{
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load_path(NULL, &s), 0);
	check_defaults(s);
	settings_free(s);
	s = good("");
	check_defaults(s);
	settings_free(s);
	/* without anywhere to write the faults */
	assert_int_equal(settings_load(NULL, NULL, &s), 0);
	settings_free(s);
	settings_free(NULL);
}

static void
test_default_socket(void **state)
{
	struct settings *s = NULL;
	char buf[100];

	(void)state;
	assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
	assert_int_equal(settings_default_socket(buf, sizeof(buf)), 0);
	assert_string_equal(buf, geteuid() == 0 ?
		"/run/qapi-agent/agent.sock" :
		"/run/user/7/qapi-agent/agent.sock");
	assert_int_equal(settings_default_socket(buf, 10), ERR_TOO_LARGE);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	assert_int_equal(settings_default_socket(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "/run/qapi-agent/agent.sock");
	s = good("[agent]\nsocket=\n");
	assert_string_equal(s->socket, "/run/qapi-agent/agent.sock");
	settings_free(s);
}

/* --- what is right --- */

static void
test_every_key(void **state)
{
	struct settings *s = good("[agent]\n"
				  "socket = /tmp/a.sock\n"
				  "socket-mode=0600\n"
				  "socket-group=nogroup\n"
				  "credentials-socket=/tmp/c.sock\n"
				  "credentials-hold=1m30s\n"
				  "http-socket=/tmp/h.sock\n"
				  "http-listen=127.0.0.1:8200\n"
				  "http-token-file=/tmp/token\n"
				  "root-needs-rule=yes\n"
				  "max-connections=10\n"
				  "max-requests-per-second-per-caller=5\n"
				  "log-level=debug\n"
				  "audit-log=/tmp/audit\n"
				  "[upstream]\n"
				  "url=http://127.0.0.1:8080/api/v1/\n"
				  "api-key-file=/tmp/key\n"
				  "ca-file=/tmp/ca.pem\n"
				  "proxy=socks5h://u:p@proxy.example:1080\n"
				  "connect-timeout=250ms\n"
				  "request-timeout=2s\n"
				  "max-in-flight=2\n"
				  "max-response=1M\n");

	(void)state;
	assert_string_equal(s->socket, "/tmp/a.sock");
	assert_int_equal(s->socket_mode, 0600);
	assert_string_equal(s->socket_group, "nogroup");
	assert_string_equal(s->credentials_socket, "/tmp/c.sock");
	assert_int_equal(s->credentials_hold_ms, 90000);
	assert_string_equal(s->http_socket, "/tmp/h.sock");
	assert_string_equal(s->http_listen, "127.0.0.1:8200");
	assert_string_equal(s->http_token_file, "/tmp/token");
	assert_true(s->root_needs_rule);
	assert_int_equal(s->max_connections, 10);
	assert_int_equal(s->max_requests_per_second, 5);
	assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(s->audit_log, "/tmp/audit");
	assert_string_equal(s->url, "http://127.0.0.1:8080/api/v1");
	assert_string_equal(s->api_key_files[0], "/tmp/key");
	assert_null(s->api_key_files[1]);
	assert_string_equal(s->ca_file, "/tmp/ca.pem");
	assert_string_equal(s->proxy, "socks5h://u:p@proxy.example:1080");
	assert_int_equal(s->connect_timeout_ms, 250);
	assert_int_equal(s->request_timeout_ms, 2000);
	assert_int_equal(s->max_in_flight, 2);
	assert_int_equal(s->max_response, 1 << 20);
	settings_free(s);
}

static void
test_every_key_of_the_cache(void **state)
{
	struct settings *s = good("[cache]\n"
				  "max-memory=1G\n"
				  "refresh-interval=1h30m\n"
				  "refresh-lead=0\n"
				  "max-stale=7d\n"
				  "unauthorized-grace=1\n"
				  "negative-ttl=2s\n"
				  "idle-evict=3s\n"
				  "reread-interval=4s\n"
				  "serve-expired=5s\n"
				  "state-file=/tmp/state\n"
				  "state-key-file=/tmp/state-key\n"
				  "preload=db/prod , qapi://keys/k/public,c\n"
				  "preload-wait=6s\n");

	(void)state;
	assert_int_equal(s->max_memory, 1 << 30);
	assert_int_equal(s->refresh_interval_ms, 5400000);
	assert_int_equal(s->refresh_lead_ms, 0);
	assert_int_equal(s->max_stale_ms, 604800000);
	assert_int_equal(s->unauthorized_grace_ms, 1000);
	assert_int_equal(s->negative_ttl_ms, 2000);
	assert_int_equal(s->idle_evict_ms, 3000);
	assert_int_equal(s->reread_interval_ms, 4000);
	assert_int_equal(s->serve_expired_ms, 5000);
	assert_string_equal(s->state_file, "/tmp/state");
	assert_string_equal(s->state_key_file, "/tmp/state-key");
	assert_int_equal(s->npreload, 3);
	assert_string_equal(s->preload[0], "db/prod");
	assert_string_equal(s->preload[1], "qapi://keys/k/public");
	assert_string_equal(s->preload[2], "c");
	assert_null(s->preload[3]);
	assert_int_equal(s->preload_wait_ms, 6000);
	settings_free(s);
}

static void
test_lines(void **state)
{
	struct settings *s = good("\xef\xbb\xbf# with a byte order mark\r\n"
				  "; another comment\r\n"
				  "\r\n"
				  "  [ agent ] \r\n"
				  "\tlog-level =  debug  \r\n"
				  "   # indented\r\n"
				  "[cache]\n"
				  "preload=a,\\\n"
				  "# within a continued line\n"
				  "    b,\\\n"
				  "    c\n"
				  "[agent]\n"
				  "max-connections=7");

	(void)state;
	assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(s->max_connections, 7);
	assert_int_equal(s->npreload, 3);
	assert_string_equal(s->preload[2], "c");
	settings_free(s);
}

/* inih alone would cut them at 200 and 50 bytes. */
static void
test_long_lines_and_titles_are_not_cut(void **state)
{
	static char text[9000];
	char title[150];
	char name[900];
	struct settings *s;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	memset(title, 't', sizeof(title));
	title[sizeof(title) - 1] = '\0';
	(void)snprintf(text, sizeof(text),
	    "[cache]\npreload = %s,%s\n[allow \"%s\"]\nuser=*\nsecrets=%s\n",
	    name, name, title, name);
	s = good(text);
	assert_int_equal(s->npreload, 2);
	assert_string_equal(s->preload[0], name);
	assert_string_equal(s->preload[1], name);
	settings_free(s);
	memset(text, ' ', sizeof(text));
	memcpy(text, "[cache]\n#", 9);
	text[sizeof(text) - 1] = '\0';
	settings_free(good(text));
}

static void
test_pins(void **state)
{
	struct settings *s = good("[upstream]\npinned-public-key="
				  "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJW"
				  "ZG3hSuFU=;sha256//AAAAAAAAAAAAAAAAAAAAAAAAAA"
				  "AAAAAAAAAAAAAAAAA=\n");

	(void)state;
	assert_int_equal(strlen(s->pinned_public_key), 2 * (8 + 44) + 1);
	settings_free(s);
}

static void
test_urls(void **state)
{
	static const struct {
		const char *url;
		const char *says;	/* NULL: fine */
	} rows[] = {
	    {"https://api.example.com", NULL},
	    {"HTTPS://api.example.com:8443/api/v1", NULL},
	    {"https://[2001:db8::1]/api/v1", NULL},
	    {"http://127.0.0.1:1", NULL},
	    {"http://127.9.9.9/x", NULL},
	    {"http://localhost:8080/api/v1", NULL},
	    {"http://[::1]:8080/", NULL},
	    {"http://api.example.com", "must be https"},
	    {"http://127.0.0.1.evil.example/", "must be https"},
	    {"http://localhost.evil.example/", "must be https"},
	    {"http://128.0.0.1/", "must be https"},
	    {"http://0.0.0.0/", "must be https"},
	    {"http://[::2]/", "must be https"},
	    {"http://localhost@evil.example/", "api-key-file="},
	    {"https://user:pw@api.example.com/", "api-key-file="},
	    {"https://api.example.com/?x=1", "without a query"},
	    {"https://api.example.com/#x", "without a query"},
	    {"https://", "malformed"},
	    {"https:///x", "malformed"},
	    {"https://a:0/", "malformed"},
	    {"https://a:65536/", "malformed"},
	    {"https://a:/", "malformed"},
	    {"https://a:8x/", "malformed"},
	    {"https://[::1/", "malformed"},
	    {"https://[zz]/", "malformed"},
	    {"https://[::1]x/", "malformed"},
	    {"https://a b/", "no blanks"},
	    {"https://a\\b/", "no blanks"},
	    {"https://\xc3\xa4/", "no blanks"},
	    {"ftp://a/", "https://HOST"},
	    {"api.example.com", "https://HOST"},
	    {"file:///etc/passwd", "https://HOST"},
	};
	char text[200];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		(void)snprintf(text, sizeof(text), "[upstream]\nurl=%s\n",
		    rows[i].url);
		if (rows[i].says == NULL)
			settings_free(good(text));
		else
			expect_fault(text, 2, rows[i].says);
	}
}

static void
test_rules(void **state)
{
	struct settings *s = good("[allow \"web\"]\n"
				  "user=54321\n"
				  "secrets=web/*\n"
				  "[agent]\nroot-needs-rule=yes\n"
				  "[allow \"ops\"]\n"
				  "user=54322\n"
				  "operations=admin\n");
	struct view name = {(const uint8_t *)"web/x", 5};
	struct view none = {NULL, 0};
	const char *title;
	struct peer *p;

	(void)state;
	p = peer_new_fake(54321, 1, NULL, 0, NULL, NULL);
	assert_int_equal(policy_check(s->policy, p, POLICY_READ, REF_SECRET,
			     name, none, &title), POLICY_ALLOWED);
	assert_string_equal(title, "web");
	assert_false(policy_may(s->policy, p, POLICY_ADMIN));
	peer_free(p);
	p = peer_new_fake(54322, 1, NULL, 0, NULL, NULL);
	assert_true(policy_may(s->policy, p, POLICY_ADMIN));
	peer_free(p);
	p = peer_new_fake(0, 0, NULL, 0, NULL, NULL);
	assert_false(policy_may(s->policy, p, POLICY_ADMIN));
	peer_free(p);
	settings_free(s);
}

static void
test_credentials(void **state)
{
	struct settings *s = good("[credential \"web@*.service\"]\n"
				  "db-password=qapi://secrets/db\n"
				  "other = qapi://secrets/x?field=username\n"
				  "[credential \"db.service\"]\n"
				  "db-password=qapi://secrets/db%2Fy\n"
				  "[credential \"**\"]\n");

	(void)state;
	assert_int_equal(s->ncredentials, 3);
	assert_string_equal(s->credentials[0].unit_glob, "web@*.service");
	assert_string_equal(s->credentials[1].name, "other");
	assert_string_equal(s->credentials[1].reference,
	    "qapi://secrets/x?field=username");
	assert_string_equal(s->credentials[2].unit_glob, "db.service");
	settings_free(s);
}

/* --- what is wrong --- */

static void
test_fault_names(void **state)
{
	(void)state;
	expect_fault("[agnet]\nlog-level=info\n", 1, "did you mean [agent]?");
	expect_fault("\n[Allow \"x\"]\n", 2, "did you mean [allow]?");
	expect_fault("[nonsense]\n", 1, "there are [agent]");
	expect_bad("cache", "refresh-intervall=5m",
	    "did you mean \"refresh-interval\"?");
	expect_bad("cache", "url=https://x", "belongs in [upstream]");
	expect_bad("agent", "xyzzy=1", "agent.conf(5)");
	expect_bad("allow \"x\"", "secert=*", "did you mean \"secrets\"?");
	expect_bad("allow \"x\"", "xyzzy=*", "agent.conf(5)");
	expect_bad("agent", "Socket=/x", "did you mean \"socket\"?");
}

static void
test_fault_syntax(void **state)
{
	(void)state;
	expect_fault("log-level=info\n", 1, "before the first [SECTION]");
	expect_fault("[agent\n", 1, "a section is");
	expect_fault("[agent] # x\n", 1, "a section is");
	expect_fault("[]\n", 1, "a section is");
	expect_fault("[\"x\"]\n", 1, "a section is");
	expect_fault("[allow \"x]\n", 1, "a section is");
	expect_fault("[allow x]\n", 1, "a section is");
	expect_fault("[allow \"a\"b\"]\n", 1, "a section is");
	expect_fault("[allow]\n", 1, "write [allow \"TITLE\"]");
	expect_fault("[allow \"\"]\n", 1, "write [allow \"TITLE\"]");
	expect_fault("[credential]\n", 1, "write [credential \"UNIT-GLOB\"]");
	expect_fault("[agent \"x\"]\n", 1, "takes no title");
	expect_fault("[an-endless-name-of-a-section-that-is-none-at-all]\n",
	    1, "a section is");
	expect_bad("agent", "log-level", "expected KEY=VALUE");
	expect_bad("agent", "log-level: info", "expected KEY=VALUE");
	expect_bad("agent", "=info", "expected KEY=VALUE");
	expect_bad("agent", "log level=info", "expected KEY=VALUE");
	expect_bad("agent", "log-level=info # chatty", "line of its own");
	expect_bad("agent", "log-level=info ; chatty", "line of its own");
	expect_bad("agent", "log-level=\x01", "no UTF-8 text");
	expect_bad("agent", "log-level=\xff", "no UTF-8 text");
}

static void
test_fault_nul(void **state)
{
	static const char text[] = "[agent]\nlog-level=info\0\n";
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load_path(tempdir_write(&dir, "agent.conf", text,
				       sizeof(text) - 1, 0600), &s),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, ":2: "));
}

static void
test_fault_endless_line(void **state)
{
	static char text[70000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "[cache]\npreload=", 16);
	expect_fault(text, 2, "longer than");
	memset(text + 8, 'n', 300);
	memcpy(text + 308, "=1\n", 4);
	expect_fault(text, 2, "too long");
}

static void
test_fault_repeated(void **state)
{
	(void)state;
	expect_fault("[agent]\nlog-level=info\n[cache]\n[agent]\n"
		     "log-level=info\n", 5, "on line 2 already");
	expect_fault("[allow \"x\"]\nuser=*\nuser=*\n", 3,
	    "on line 2 already");
	expect_fault("[allow \"x\"]\nuser=*\n[allow \"x\"]\nuser=*\n", 3,
	    "on line 1 already");
	expect_fault("[credential \"a\"]\nx=qapi://secrets/a\n"
		     "[credential \"a\"]\nx=qapi://secrets/b\n", 4,
	    "there already");
}

static void
test_fault_values(void **state)
{
	(void)state;
	expect_bad("agent", "socket=agent.sock", "absolute path");
	expect_bad("agent", "socket-mode=0888", "octal");
	expect_bad("agent", "socket-mode=1777", "octal");
	expect_bad("agent", "socket-mode=", "0660");
	expect_bad("agent", "socket-group=no-such-group-here",
	    "no such group");
	expect_bad("agent", "credentials-hold=abc", "250ms");
	expect_bad("agent", "credentials-hold=2d", "from 0 to 1d");
	expect_bad("agent", "credentials-hold=", "30s");
	expect_bad("agent", "root-needs-rule=maybe", "yes or no");
	expect_bad("agent", "max-connections=0", "from 1 to 1000000");
	expect_bad("agent", "max-connections=-1", "from 1 to 1000000");
	expect_bad("agent", "max-connections=1x", "from 1 to 1000000");
	expect_bad("agent", "max-connections=99999999999999999999",
	    "from 1 to 1000000");
	expect_bad("agent", "max-connections=", "from 1");
	expect_bad("agent", "log-level=warnin", "\"warning\"");
	expect_bad("agent", "log-level=xyzzy", "notice, info or debug");
	expect_bad("agent", "audit-log=syslog", "journal, off or");
	expect_bad("upstream", "max-response=17M", "to 16M");
	expect_bad("upstream", "max-response=0", "from 1 to 16M");
	expect_bad("upstream", "max-response=much", "64M");
	expect_bad("upstream", "connect-timeout=0", "from 1ms");
	expect_bad("upstream", "request-timeout=0", "from 1ms");
	expect_bad("upstream", "max-in-flight=0", "from 1");
	expect_bad("upstream", "ca-file=ca.pem", "absolute path");
	expect_bad("cache", "max-memory=0", "from 1 to 64G");
	expect_bad("cache", "refresh-interval=0", "from 10ms");
	expect_bad("cache", "idle-evict=0", "from 1ms");
	expect_bad("cache", "reread-interval=0", "from 10ms");
}

static void
test_fault_addresses(void **state)
{
	static const char pin[] = "pinned-public-key=";
	static const char *const pins[] = {"", "sha256//", "sha1//AAAA",
	    "sha256//AAAA;", "/etc/key.pem",
	    "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
	    "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;"};
	static const char *const listens[] = {"8080", "127.0.0.1",
	    "127.0.0.1:0", "127.0.0.1:x", "0.0.0.0:80", "192.168.1.1:80",
	    "[::]:80", "localhost:80", ":80"};
	static const char *const proxies[] = {"ftp://x:1", "http://",
	    "http://a b", "proxy:99999", "http://x/path", "http://u:p@",
	    "http://https://x"};
	char text[200];
	size_t i;

	(void)state;
	for (i = 1; i < UNIT_COUNT(pins); i++) {
		(void)snprintf(text, sizeof(text), "%s%s", pin, pins[i]);
		expect_bad("upstream", text, "sha256//BASE64");
	}
	for (i = 0; i < UNIT_COUNT(listens); i++) {
		(void)snprintf(text, sizeof(text), "http-listen=%s",
		    listens[i]);
		expect_bad("agent", text, "127.0.0.1:PORT");
	}
	for (i = 0; i < UNIT_COUNT(proxies); i++) {
		(void)snprintf(text, sizeof(text), "proxy=%s", proxies[i]);
		expect_bad("upstream", text, "[SCHEME://]");
		/* it may hold a password */
		assert_null(strstr(faults, proxies[i]));
	}
	settings_free(good("[agent]\nhttp-listen=[::1]:8200\n"
			   "[upstream]\nproxy=proxy.example:3128\n"));
}

static void
test_fault_socket_path_too_long(void **state)
{
	char text[200] = "socket=/";

	(void)state;
	memset(text + 8, 'x', 106);
	settings_free(good("[agent]\n"));
	expect_bad("agent", strcat(text, "y"), "at most 107");
}

static void
test_api_key_files(void **state)
{
	struct settings *s = good("[upstream]\napi-key-file= /a/new ,/b/old\n");

	(void)state;
	assert_string_equal(s->api_key_files[0], "/a/new");
	assert_string_equal(s->api_key_files[1], "/b/old");
	assert_null(s->api_key_files[2]);
	settings_free(s);
	s = good("[upstream]\napi-key-file=\n");
	assert_null(s->api_key_files);
	settings_free(s);
	settings_free(good("[upstream]\n"
			   "api-key-file=/1,/2,/3,/4,/5,/6,/7,/8\n"));
	expect_bad("upstream", "api-key-file=/1,/2,/3,/4,/5,/6,/7,/8,/9",
	    "at most 8 paths");
	expect_bad("upstream", "api-key-file=/a,,/b", "between two commas");
	expect_bad("upstream", "api-key-file=/a,", "between two commas");
	expect_bad("upstream", "api-key-file=/a,b", "absolute paths");
	expect_bad("upstream", "api-key-file=a", "absolute paths");
}

static void
test_fault_preload(void **state)
{
	static char text[1200] = "[cache]\npreload=";

	(void)state;
	expect_bad("cache", "preload=a,,b", "between two commas");
	expect_bad("cache", "preload=a,", "between two commas");
	expect_bad("cache", "preload=qapi://keys/k", "qapi://keys/k");
	expect_bad("cache", "preload=qapi://secrets/", "qapi://secrets/");
	expect_bad("cache", "preload=qapi://other/x", "qapi://other/x");
	memset(text + 16, 'x', 1021);
	expect_fault(text, 2, "at most 1020");
}

static void
test_fault_rules(void **state)
{
	(void)state;
	expect_fault("[allow \"x\"]\nsecrets=*\n", 1, "does not say who");
	expect_fault("[allow \"x\"]\n[agent]\n", 1, "does not say who");
	expect_bad("allow \"x\"", "user=no-such-user-here",
	    "\"no-such-user-here\": there is no such user");
	expect_bad("allow \"x\"", "operations=raed", "\"read\"");
	expect_bad("allow \"x\"", "user=", "leave the line out");
	settings_free(good("[allow \"x\"]\nuser=http\nsecrets=*\n"));
}

static void
test_fault_credentials(void **state)
{
	/* 1 + 16 + "/unit/" + 60 + "/" + 23 is 107 */
	static const char unit60[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				     "aaaaaaaaaaaa.service";
	static const char id23[] = "bbbbbbbbbbbbbbbbbbbbbbb";
	char text[300];

	(void)state;
	assert_int_equal(strlen(unit60), 60);
	(void)snprintf(text, sizeof(text),
	    "[credential \"%s\"]\n%s=qapi://secrets/x\n", unit60, id23);
	settings_free(good(text));
	(void)snprintf(text, sizeof(text),
	    "[credential \"%s\"]\n%sb=qapi://secrets/x\n", unit60, id23);
	expect_fault(text, 2, "room for 83");
	/* a star may stand for nothing, a question mark for one at least */
	(void)snprintf(text, sizeof(text),
	    "[credential \"*%s\"]\n%s=qapi://secrets/x\n", unit60, id23);
	settings_free(good(text));
	(void)snprintf(text, sizeof(text),
	    "[credential \"?%s\"]\n%s=qapi://secrets/x\n", unit60, id23);
	expect_fault(text, 2, "room for 83");
	expect_bad("credential \"a\"", "x=db", "qapi://secrets/NAME");
	expect_bad("credential \"a\"", "x=", "qapi://secrets/NAME");
	expect_bad("credential \"a\"", "x=qapi://secrets/x?fild=1",
	    "x=qapi://secrets/x?fild=1");
	expect_bad("credential \"a\"", "a/b=qapi://secrets/x", "file name");
	expect_bad("credential \"a\"", "..=qapi://secrets/x", "file name");
}

static void
test_all_faults_are_collected(void **state)
{
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load("[agent]\nsocket-mode=x\nfoo=1\n[bar]\nx=1\n"
			      "[cache]\nmax-stale=y\n", &s), ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, ":2: "));
	assert_non_null(strstr(faults, ":3: "));
	assert_non_null(strstr(faults, ":4: "));
	assert_null(strstr(faults, ":5: "));
	assert_non_null(strstr(faults, ":7: "));
	/* also without anywhere to write them */
	assert_int_equal(settings_load(dir.file, NULL, &s), ERR_BAD_REQUEST);
}

static void
test_fault_text_cannot_forge_a_line(void **state)
{
	(void)state;
	expect_bad("agent", "log-level=a\\x1b[31m", "log-level=");
	expect_bad("agent", "log-level=\xc2\x9b" "31m", "\\xc2\\x9b");
}

/* --- the file itself --- */

static void
test_fault_file(void **state)
{
	struct settings *s = NULL;
	static const char text[] = "[agent]\n";

	(void)state;
	assert_int_equal(load_path(tempdir_file(&dir, "none"), &s),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, "/none:1: cannot open it: No such"));
	assert_int_equal(load_path(dir.path, &s), ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, "no regular file"));
	assert_int_equal(mkfifo(tempdir_file(&dir, "fifo"), 0600), 0);
	assert_int_equal(load_path(dir.file, &s), ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, "no regular file"));
	assert_int_equal(load_path(tempdir_write(&dir, "w", text,
				       sizeof(text) - 1, 0620), &s),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, "mode 0620): chmod go-w"));
	assert_int_equal(load_path(tempdir_write(&dir, "w", text,
				       sizeof(text) - 1, 0602), &s),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, "mode 0602): chmod go-w"));
	assert_int_equal(load_path(tempdir_write(&dir, "w", text,
				       sizeof(text) - 1, 0644), &s), 0);
	settings_free(s);
	s = NULL;
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(dir.file, 4711, 0), 0);
	assert_int_equal(load_path(dir.file, &s), ERR_BAD_REQUEST);
	assert_non_null(strstr(faults, "uid 4711"));
}

/* --- the table and what is written about it --- */

static void
test_table_fits(void **state)
{
	size_t n = 0;

	(void)state;
	while (settings_keys[n].name != NULL)
		n++;
	assert_true(n > 30 && n < 64); /* KEYS_MAX of settings_parse.c */
	for (n = 0; policy_keys[n] != NULL; n++)
		;
	assert_true(n < 16); /* RULE_KEYS_MAX */
}

static char *
slurp(const char *name)
{
	const char *top = getenv("TOP_SRCDIR");
	char path[500];
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s",
	    top != NULL ? top : TOP_SRCDIR, name);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	(void)fclose(f);
	return text;
}

static void
expect_text(const char *text, const char *before, const char *name,
    const char *after)
{
	char want[200];

	(void)snprintf(want, sizeof(want), "%s%s%s", before, name, after);
	if (strstr(text, want) == NULL)
		fail_msg("no \"%s\"", want);
}

static void
test_every_key_is_in_the_manual(void **state)
{
	char *text = slurp("docs/man/agent.conf.5");
	size_t i;

	(void)state;
	for (i = 0; settings_keys[i].name != NULL; i++)
		expect_text(text, ".It Cm ", settings_keys[i].name,
		    " Ns =");
	for (i = 0; policy_keys[i] != NULL; i++)
		expect_text(text, ".It Cm ", policy_keys[i], " Ns =");
	for (i = 0; policy_operations[i] != NULL; i++)
		expect_text(text, ".It Cm ", policy_operations[i], "\n");
	free(text);
}

/*
 * The sample holds every key with its default, commented out by '#' without a
 * blank.  Uncommented, it is a file without faults.
 */
static char *
uncommented(const char *sample)
{
	char *text = calloc(1, strlen(sample) + 1);
	const char *p;
	char *out = text;
	size_t len;

	assert_non_null(text);
	for (p = sample; *p != '\0'; p += len) {
		len = strcspn(p, "\n");
		len += p[len] == '\n';
		if (p[0] == '#' && p[1] != ' ' && p[1] != '\n') {
			memcpy(out, p + 1, len - 1);
			out += len - 1;
		} else {
			memcpy(out, p, len);
			out += len;
		}
	}
	return text;
}

static void
test_sample_is_complete_and_right(void **state)
{
	char *sample = slurp("systemd/agent.conf");
	char *text = uncommented(sample);
	char want[200];
	struct settings *s;
	size_t i;

	(void)state;
	for (i = 0; settings_keys[i].name != NULL; i++) {
		(void)snprintf(want, sizeof(want), "\n#%s=%s",
		    settings_keys[i].name, settings_keys[i].fallback);
		if (strstr(sample, want) == NULL)
			fail_msg("the sample lacks \"%s\"", want + 1);
	}
	for (i = 0; policy_keys[i] != NULL; i++)
		expect_text(sample, "\n#", policy_keys[i], "=");
	settings_free(good(sample));
	s = good(text);
	assert_int_equal(s->ncredentials, 1);
	settings_free(s);
	free(text);
	free(sample);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_default_socket),
	    cmocka_unit_test(test_every_key),
	    cmocka_unit_test(test_every_key_of_the_cache),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_long_lines_and_titles_are_not_cut),
	    cmocka_unit_test(test_pins),
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_credentials),
	    cmocka_unit_test(test_fault_names),
	    cmocka_unit_test(test_fault_syntax),
	    cmocka_unit_test(test_fault_nul),
	    cmocka_unit_test(test_fault_endless_line),
	    cmocka_unit_test(test_fault_repeated),
	    cmocka_unit_test(test_fault_values),
	    cmocka_unit_test(test_fault_addresses),
	    cmocka_unit_test(test_fault_socket_path_too_long),
	    cmocka_unit_test(test_api_key_files),
	    cmocka_unit_test(test_fault_preload),
	    cmocka_unit_test(test_fault_rules),
	    cmocka_unit_test(test_fault_credentials),
	    cmocka_unit_test(test_all_faults_are_collected),
	    cmocka_unit_test(test_fault_text_cannot_forge_a_line),
	    cmocka_unit_test(test_fault_file),
	    cmocka_unit_test(test_table_fits),
	    cmocka_unit_test(test_every_key_is_in_the_manual),
	    cmocka_unit_test(test_sample_is_complete_and_right),
	};

	return cmocka_run_group_tests_name("settings", tests, setup, teardown);
}
