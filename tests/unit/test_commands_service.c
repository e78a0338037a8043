/*
 * The commands that reach the service and use keys, against a scripted agent:
 * what they send, print and exit with.
 */
#include "config.h"

#include "command_shell.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

#include "b64.h"
#include "err.h"
#include "fake_service.h"
#include "jsonread.h"

static const struct fake_value table[] = {
	{.ref = "qapi://keys/k/public", .value = "{\"keyId\": \"k\"}"},
	{.ref = "qapi://keys/a%20key/public?format=pem", .value = "PEM\n"},
	{.ref = "qapi://keys/k/public?format=raw", .value = "\xff\0z",
	    .len = 3},
	{.ref = "qapi://keys/k/public?format=der", .value = "0\x82", .len = 2},
	{.ref = "qapi://keys/k/public?format=jwk", .value = "{ \"kty\":1 }"},
	{.ref = "qapi://keys/de/public", .error = ERR_DENIED},
	{.ref = "qapi://secrets/a?version=2", .value = "second"},
	{.ref = "qapi://secrets/a?field=customFields.x%20y&version=3",
	    .value = "third"},
	{.ref = NULL},
};

/* --- pubkey, get, list ---------------------------------------------------- */

static void
test_pubkey(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q pubkey k"), 0);
	assert_string_equal(out, "{\"keyId\": \"k\"}");
	assert_int_equal(sh("$Q pubkey --format jwk k"), 0);
	assert_string_equal(out, "{ \"kty\":1 }");
	assert_int_equal(sh("$Q pubkey --format pem 'a key'"), 0);
	assert_string_equal(out, "PEM\n");
	assert_int_equal(sh("$Q pubkey --format raw k"), 0);
	assert_int_equal(out_len, 3);
	assert_memory_equal(out, "\xff\0z", 3);
	/* several: in their order, each followed by a newline, or NUL */
	assert_int_equal(sh("$Q pubkey qapi://keys/k/public de none k"), 4);
	assert_string_equal(out, "{\"keyId\": \"k\"}\n{\"keyId\": \"k\"}\n");
	assert_int_equal(lines(err), 2);
	assert_int_equal(sh("$Q pubkey -0 --format der k k"), 0);
	assert_int_equal(out_len, 6);
	assert_memory_equal(out, "0\x82\0"
				 "0\x82\0", 6);
	assert_int_equal(sh("$Q pubkey --json --format raw k"), 0);
	assert_non_null(strstr(out, "\"valueBase64\":\"/wB6\""));
	assert_int_equal(sh("$Q pubkey --format der -o f k && stat -c %a f && "
			    "od -An -tx1 f"), 0);
	assert_string_equal(out, "600\n 30 82\n");
	/* usage */
	assert_int_equal(sh("$Q pubkey"), 2);
	assert_int_equal(sh("$Q pubkey --format jkw k"), 2);
	assert_non_null(strstr(err, "did you mean jwk?"));
	assert_int_equal(sh("$Q pubkey --format openssh k"), 2);
	assert_non_null(strstr(err, "json, jwk, raw, pem or der"));
}

static void
test_get_version(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q get --version 2 a"), 0);
	assert_string_equal(out, "second");
	assert_int_equal(sh("$Q get --field 'customFields.x y' --version 3 a"),
	    0);
	assert_string_equal(out, "third");
	assert_int_equal(sh("$Q get --version 0 a"), 2);
	assert_int_equal(sh("$Q get --version 1x a"), 2);
	assert_non_null(strstr(err, "--version 1x: not a number"));
}

/* The list has db/password, stale; and a key with a tab in its name. */
static void
test_list_filters(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q list --search PASS | cut -f 1"), 0);
	assert_string_equal(out, "db/password\n");
	assert_int_equal(sh("$Q list --search key_ | cut -f 2"), 0);
	assert_string_equal(out, "key_1\n");
	assert_int_equal(sh("$Q list --search nowhere"), 0);
	assert_string_equal(out, "");
	assert_int_equal(sh("$Q list --stale --json"), 0);
	assert_int_equal(lines(out), 1);
	assert_non_null(strstr(out, "\"freshness\":\"stale\""));
	assert_int_equal(sh("$Q list --cached | wc -l"), 0);
	assert_string_equal(out, "1\n");
	assert_int_equal(sh("$Q list --expires 1d"), 0);
	assert_string_equal(out, "");
	assert_int_equal(sh("$Q list --expires soon"), 2);
	assert_int_equal(sh("$Q list --serch x"), 2);
	assert_non_null(strstr(err, "--search"));
}

/* --- encrypt and decrypt -------------------------------------------------- */

static void
test_encrypt_small(void **state)
{
	(void)state;
	assert_int_equal(sh("printf 'a\\0b' | $Q encrypt --key k --aad row"),
	    0);
	assert_string_equal(out, "Pk.row.610062");
	assert_int_equal(sh("printf x >x; $Q encrypt -i x"), 0);
	assert_string_equal(out, "P..78");
	assert_int_equal(sh("$Q encrypt </dev/null | $Q decrypt"), 0);
	assert_string_equal(out, "");
	assert_int_equal(sh("printf 'P..0aff00\\n \\n' | $Q decrypt"), 0);
	assert_int_equal(out_len, 3);
	assert_memory_equal(out, "\n\xff\0", 3);
	assert_int_equal(sh("printf row >aad; printf 'Pk.row.41' | "
			    "$Q decrypt --aad-file aad -o plain; stat -c %a "
			    "plain; cat plain"), 0);
	assert_string_equal(out, "600\nA");
	/* at the edge: the one by the service, the other is an envelope */
	assert_int_equal(sh("head -c 524288 /dev/zero | $Q encrypt | head -c 3;"
			    "head -c 524289 /dev/zero | $Q encrypt | head -c 7"),
	    0);
	assert_string_equal(out, "P..QAPIENV");
}

static void
test_encrypt_large(void **state)
{
	(void)state;
	assert_int_equal(sh("head -c 3000001 /dev/urandom >d; "
			    "$Q encrypt --key k --aad row -i d -o s && "
			    "stat -c %a s && $Q decrypt --aad row -i s -o p && "
			    "cmp d p && $Q decrypt --aad row <s | cmp d -"),
	    0);
	assert_string_equal(out, "600\n");
	/* in pieces of any size, also for what tells the two apart */
	assert_int_equal(sh("{ head -c 3 s; sleep 0.1; tail -c +4 s; } | "
			    "$Q decrypt --aad row | cmp d -"), 0);
	/* nothing is left beside what was asked for */
	assert_int_equal(sh("ls -A | grep -c qapi-agent"), 1);
}

static void
test_decrypt_that_fails_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(sh("head -c 3000001 /dev/zero | $Q encrypt -o s"), 0);
	/* cut between two chunks, within one, and a byte that is another */
	assert_int_equal(sh("head -c -9999 s >cut; echo was >p; "
			    "$Q decrypt -i cut -o p; echo $?; cat p; "
			    "$Q decrypt -i cut -o new; echo $?; test -e new"),
	    1);
	assert_string_equal(out, "2\nwas\n2\n");
	assert_int_equal(lines(err), 2);
	assert_null(strstr(err, "was printed"));
	assert_int_equal(sh("$Q decrypt <cut >printed"), 2);
	assert_non_null(strstr(err, "do not trust it"));
	assert_int_equal(sh("ls -A | grep -c qapi-agent"), 1);
	assert_int_equal(sh("$Q decrypt --aad other -i s"), 2);
	assert_null(strstr(err, "was printed"));
	assert_string_equal(out, "");
	/* neither one nor the other */
	assert_int_equal(sh("printf '\\377\\001' | $Q decrypt"), 2);
	assert_non_null(strstr(err, "neither an envelope nor a payload"));
	assert_int_equal(sh("printf ' \\n' | $Q decrypt"), 2);
	assert_int_equal(sh("head -c 2000000 /dev/zero | tr '\\0' x | "
			    "$Q decrypt"), 2);
	assert_non_null(strstr(err, "too long for a payload"));
	assert_int_equal(sh("echo garbage | $Q decrypt -o p"), 2);
	assert_non_null(strstr(err, "cannot decrypt"));
	assert_int_equal(sh("cat p"), 0);
	assert_string_equal(out, "was\n");
}

static void
test_crypt_failures(void **state)
{
	(void)state;
	assert_int_equal(sh("echo x | $Q encrypt --key none"), 3);
	assert_string_equal(err, "qapi-agent: none: no such key: qapi-agent "
	    "list shows what there is\n");
	assert_int_equal(sh("head -c 600000 /dev/zero | $Q encrypt --key none "
			    "-o nothing; echo $?; ls nothing"), 2);
	assert_string_equal(out, "3\n");
	assert_int_equal(sh("$Q encrypt -i no/such/file"), 1);
	assert_non_null(strstr(err, "no/such/file: cannot be read"));
	assert_int_equal(sh("$Q encrypt x"), 2);
	assert_int_equal(sh("$Q encrypt --aad a --aad-file b </dev/null"), 2);
	assert_int_equal(sh("head -c 40000 /dev/zero | tr '\\0' x >aad; "
			    "$Q encrypt --aad-file aad </dev/null"), 1);
	assert_int_equal(sh("head -c 900000 /dev/zero | $Q encrypt "
			    "--algorithm AES-256-GCM"), 2);
	assert_string_equal(out, "");
	assert_int_equal(sh("head -c 900000 /dev/zero | $Q encrypt >/dev/full"),
	    1);
	assert_non_null(strstr(err, "cannot write to standard output"));
	assert_int_equal(sh("head -c 900000 /dev/zero | $Q encrypt -o /no/f"),
	    1);
	assert_int_equal(sh("echo x | $Q encrypt --key none --json"), 3);
	assert_string_equal(err, "{\"ref\":\"none\",\"error\":\"not-found\","
	    "\"message\":\"no such key: qapi-agent list shows what there "
	    "is\"}\n");
}

/* While input is slow a signal ends it, and there is no file. */
static void
test_signal_ends_a_slow_encrypt(void **state)
{
	int fd = open(dir, O_TMPFILE | O_WRONLY, 0600);

	(void)state;
	if (fd == -1)
		skip();	/* this file system cannot do it */
	(void)close(fd);
	assert_int_equal(sh("mkfifo fifo; ( head -c 900000 /dev/zero; "
			    "exec sleep 60 ) >fifo & writer=$!; "
			    "$Q encrypt -i fifo -o slow & pid=$!; "
			    /* it has opened its output: O_TMPFILE */
			    "n=0; until ls -l /proc/$pid/fd 2>/dev/null | "
			    "grep -q '(deleted)' || [ $n -gt 6000 ]; do "
			    "n=$((n + 1)); sleep 0.01; done; "
			    "kill -TERM $pid; wait $pid; echo $?; "
			    "kill $writer; wait $writer; "
			    "ls slow .qapi-agent* 2>/dev/null | wc -l"), 0);
	assert_string_equal(out, "143\n0\n");
}

/* --- sign and verify ------------------------------------------------------ */

static void
test_sign_and_verify(void **state)
{
	(void)state;
	assert_int_equal(sh("printf data >d; $Q sign --key local -i d >s && "
			    "wc -c <s && $Q sign --raw --key local <d >r && "
			    "wc -c <r && base64 -d s | cmp - r && "
			    "$Q sign --key local -i d -o f && cmp f s"), 0);
	assert_string_equal(out, "89\n64\n");
	/* both ways of writing it, also with ends of lines */
	assert_int_equal(sh("$Q verify --key local --signature s -i d && "
			    "$Q verify --key local --signature r <d && "
			    "fold -w 20 s | $Q verify --key local "
			    "--signature - -i d"), 0);
	assert_int_equal(lines(err), 3);
	assert_non_null(strstr(err, "qapi-agent: local: the signature is "
				    "valid: verified by the agent\n"));
	assert_int_equal(sh("$Q sign --key far -i d | $Q verify --key far "
			    "--signature - -i d"), 0);
	assert_non_null(strstr(err, "verified by the service"));
	assert_int_equal(sh("echo x | $Q verify --key local --signature s"),
	    1);
	assert_string_equal(out, "");
	assert_non_null(strstr(err, "not valid, says the agent: do not trust"));
	assert_int_equal(sh("$Q verify --json --key local --signature s -i d; "
			    "$Q verify --json --key far --signature s -i d"),
	    1);
	assert_string_equal(out, "{\"valid\":true,\"by\":\"agent\"}\n"
				 "{\"valid\":false,\"by\":\"service\"}\n");
	assert_string_equal(err, "");
	/* whatever else it is, it is no right signature */
	assert_int_equal(sh("echo nonsense! >n; "
			    "$Q verify --key local --signature n -i d"), 1);
}

static void
test_sign_failures(void **state)
{
	(void)state;
	assert_int_equal(sh("echo x | $Q sign"), 2);
	assert_int_equal(sh("$Q verify --key k </dev/null"), 2);
	assert_int_equal(sh("$Q verify --key k --signature - </dev/null"), 2);
	assert_int_equal(sh(": >e; $Q verify --key k --signature e "
			    "</dev/null"), 2);
	assert_non_null(strstr(err, "signature is empty"));
	assert_int_equal(sh("echo x | $Q sign --key none"), 3);
	assert_int_equal(sh("head -c 1048577 /dev/zero | $Q sign --key k"), 1);
	assert_non_null(strstr(err, "at most 1 MiB"));
	assert_int_equal(sh("head -c 1048576 /dev/zero | $Q sign --key k"), 0);
	assert_int_equal(sh("echo x | $Q sign --key k f"), 2);
}

/* --- call ----------------------------------------------------------------- */

static void
test_call(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q call get '/secrets?search=x'"), 0);
	assert_string_equal(out, "GET /secrets?search=x ref= type= data=-");
	assert_int_equal(sh("$Q call PUT '/x/{id}' --for db/a --data '{}'"),
	    0);
	assert_string_equal(out,
	    "PUT /x/{id} ref=qapi://secrets/db/a type= data=:{}");
	assert_int_equal(sh("printf 'a\\0b' >f; $Q call POST /x --data @f "
			    "--content-type text/plain --for "
			    "qapi://keys/k/public"), 0);
	assert_int_equal(out_len, strlen(out) + 2);
	assert_string_equal(out,
	    "POST /x ref=qapi://keys/k/public type=text/plain data=:a");
	assert_int_equal(sh("printf z | $Q call POST /x --data @-"), 0);
	assert_string_equal(out, "POST /x ref= type= data=:z");
	assert_int_equal(sh("$Q call POST /x --data ''"), 0);
	assert_string_equal(out, "POST /x ref= type= data=:");
	assert_int_equal(sh("$Q call GET /x --include"), 0);
	assert_string_equal(err, "HTTP 200\nContent-Type: text/plain\n");
	assert_int_equal(sh("$Q call GET /x -o f && stat -c %a f && cat f"),
	    0);
	assert_string_equal(out, "600\nGET /x ref= type= data=-");
}

static void
test_call_statuses(void **state)
{
	static const struct {
		int http;
		int status;
	} cases[] = {
		{204, 0}, {201, 0}, {302, 1}, {400, 1}, {401, 4}, {403, 4},
		{404, 3}, {409, 1}, {410, 3}, {413, 1}, {422, 1}, {429, 6},
		{500, 1}, {503, 1},
	};
	char line[64];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		(void)snprintf(line, sizeof(line), "$Q call GET /s/%d",
		    cases[i].http);
		assert_int_equal(sh(line), cases[i].status);
		/* the body, whatever the status */
		assert_non_null(strstr(out, "GET /s/"));
		assert_int_equal(lines(err), cases[i].status != 0);
	}
	assert_int_equal(sh("$Q call GET /s/429"), 6);
	assert_non_null(strstr(err, "try again in 7s"));
	/* what went wrong is not what was asked for */
	assert_int_equal(sh("echo was >f; $Q call GET /s/404 -o f; cat f"), 0);
	assert_string_equal(out, "GET /s/404 ref= type= data=-was\n");
	assert_int_equal(sh("$Q call GET /s/404 --json"), 3);
	assert_non_null(strstr(err, "{\"ref\":\"GET /s/404\",\"error\":"
				    "\"not-found\",\"message\":\"the service "
				    "answered 404 (without saying why): "));
}

static void
test_call_usage(void **state)
{
	static const char *const bad[] = {
		"call", "call GET", "call GET x", "call 'G T' /x",
		"call GET /x /y", "call GET '/x/{id}'", "call '' /x",
		"call ABCDEFGHIJKLMNOPQ /x", "call GET /x --dta y",
	};
	char line[128];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		(void)snprintf(line, sizeof(line), "$Q %s", bad[i]);
		assert_int_equal(sh(line), 2);
		assert_int_equal(lines(err), 1);
	}
	assert_int_equal(sh("$Q call POST /x --data @none"), 1);
	assert_int_equal(sh("head -c 1048577 /dev/zero | $Q call POST /x "
			    "--data @-"), 1);
	assert_non_null(strstr(err, "too large for a body"));
}

/* --- secret --------------------------------------------------------------- */

/* Keeps the bodies that came, one after the other. */
struct kept {
	char text[4096];
	size_t len;
};

static void
script_keep(struct fake_conn *c)
{
	static const char answer[] = "{\"id\":\"sec_9\",\"version\":4}";
	struct kept *kept = c->arg;
	struct msg_call m;
	struct frame f;

	while (fake_read(c, &f)) {
		assert_int_equal(f.type, FRAME_CALL);
		assert_int_equal(msg_call_decode(f.body, &m), 0);
		kept->len += (size_t)snprintf(kept->text + kept->len,
		    sizeof(kept->text) - kept->len, "%.*s %.*s %.*s %.*s\n",
		    (int)m.method.len, (const char *)m.method.p,
		    (int)m.target.len, (const char *)m.target.p,
		    (int)m.ref.len, m.ref.len > 0 ? (const char *)m.ref.p : "",
		    (int)m.data.len, (const char *)m.data.p);
		fake_send_called(c, f.id, 201, "application/json", answer,
		    strlen(answer));
	}
}

static void
test_secret_bodies(void **state)
{
	struct kept kept = {.len = 0};
	struct fake *f = fake_start(script_keep, &kept);
	const char *at;
	size_t n;

	(void)state;
	assert_int_equal(sh_at(f, "printf 'a\"\\n\\0\303\251' | $Q secret "
	    "create 'db/new one' --content-type password --description 'it\\' "
	    "--username app --label x --label y --expires-at "
	    "2027-05-08T12:00:00Z"), 0);
	assert_string_equal(out, "sec_9\t4\n");
	assert_string_equal(kept.text, "POST /secrets  {\"name\":\"db/new one\""
	    ",\"value\":\"a\\\"\\n\\u0000\303\251\",\"contentType\":"
	    "\"password\",\"description\":\"it\\\\\",\"username\":\"app\","
	    "\"expiresAt\":\"2027-05-08T12:00:00Z\",\"labels\":[\"x\",\"y\"]}"
	    "\n");
	kept.len = 0;
	assert_int_equal(sh_at(f, "printf new >v; $Q secret set db/a -i v "
				  "--json"), 0);
	assert_string_equal(out,
	    "{\"name\":\"db/a\",\"id\":\"sec_9\",\"version\":4}\n");
	assert_string_equal(kept.text, "PUT /secrets/{id}/value "
	    "qapi://secrets/db/a {\"value\":\"new\"}\n");
	/* a random value, shown to nobody */
	kept.len = 0;
	assert_int_equal(sh_at(f, "$Q secret rotate db/a --length 300 "
				  "--alphabet 'xyz\"'"), 0);
	assert_string_equal(out, "sec_9\t4\n");
	at = strstr(kept.text, "{\"value\":\"");
	assert_non_null(at);
	at += strlen("{\"value\":\"");
	for (n = 0; *at != '"'; n++, at++) {
		if (*at == '\\')
			at++;
		assert_non_null(strchr("xyz\"", *at));
	}
	assert_int_equal(n, 300);
	kept.len = 0;
	assert_int_equal(sh_at(f, "$Q secret rotate db/a"), 0);
	at = strstr(kept.text, "{\"value\":\"") + strlen("{\"value\":\"");
	assert_int_equal(strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
	    "qrstuvwxyz0123456789"), 32);
	fake_stop(&f);
}

static void
test_secret_failures(void **state)
{
	static const char *const bad[] = {
		"secret", "secret make x", "secret set", "secret set x y",
		"secret create ''", "secret set x --username y",
		"secret rotate x -i y", "secret set x --length 4",
		"secret rotate x --length 0", "secret rotate x --length 5k",
		"secret rotate x --length 4097", "secret rotate x --alphabet a",
		"secret rotate x --alphabet aba", "secret create x=value y",
	};
	char line[128];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		(void)snprintf(line, sizeof(line), "$Q %s </dev/null", bad[i]);
		assert_int_equal(sh(line), 2);
		assert_int_equal(lines(err), 1);
	}
	assert_int_equal(sh("printf '\\377' | $Q secret set x"), 2);
	assert_non_null(strstr(err, "not UTF-8"));
	assert_int_equal(sh("head -c 1048577 /dev/zero | $Q secret set x"), 1);
	/* escaped it is larger than a message may be */
	assert_int_equal(sh("head -c 200000 /dev/zero | $Q secret set x"), 1);
	assert_non_null(strstr(err, "too large"));
}

/* Reads the request and hangs up. */
static void
script_swallow(struct fake_conn *c)
{
	atomic_int *seen = c->arg;
	struct frame f;

	if (fake_read(c, &f))
		(void)atomic_fetch_add(seen, 1);
}

/* The service refuses, and says why. */
static void
script_conflict(struct fake_conn *c)
{
	static const char answer[] = "{\"error\":\"secret_name_conflict\", "
	    "\"nested\": [{\"message\": 1}], \"message\":"
	    "\"There is one \\u201cx\\u201d: \\ud83d\\ude00\\n\"}";
	struct frame f;

	while (fake_read(c, &f))
		fake_send_called(c, f.id, 409, "application/json", answer,
		    strlen(answer));
}

static void
test_secret_is_stored_once_or_the_service_says_why(void **state)
{
	atomic_int seen = 0;
	struct fake *f = fake_start(script_swallow, &seen);

	(void)state;
	assert_int_equal(sh_at(f, "echo v | $Q secret create x"), 5);
	assert_int_equal(atomic_load(&seen), 1);
	assert_non_null(strstr(err, "not known"));
	fake_stop(&f);
	f = fake_start(script_conflict, NULL);
	assert_int_equal(sh_at(f, "echo v | $Q secret create x"), 1);
	assert_string_equal(out, "");
	assert_string_equal(err, "qapi-agent: x: the service answered 409 "
	    "(There is one \342\200\234x\342\200\235: \360\237\230\200\\x0a): "
	    "look at what was asked, or try again later\n");
	fake_stop(&f);
}

/* --- parts ---------------------------------------------------------------- */

static void
test_base64(void **state)
{
	static const struct {
		const char *text;
		const char *bytes;	/* NULL: it is none */
	} cases[] = {
		{"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"},
		{" Zm9v\r\nYmFy\n", "foobar"}, {"Zm9vYg==", "foob"},
		{"", NULL}, {"\n", NULL}, {"Z", NULL}, {"Zg", NULL},
		{"Zg=", NULL}, {"Zg===", NULL}, {"Zh==", NULL},
		{"Zm9=", NULL}, {"====", NULL}, {"Zg==Zg==", NULL},
		{"Zg==x", NULL}, {"Z*==", NULL}, {"=Zg=", NULL},
		{"Zm9v\xff", NULL}, {"Zm9v-_==", NULL}, {"Zg=g", NULL},
	};
	struct out o;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		out_init(&o);
		assert_int_equal(b64_decode(&o, cases[i].text,
		    strlen(cases[i].text)), cases[i].bytes != NULL);
		if (cases[i].bytes != NULL) {
			assert_int_equal(o.len, strlen(cases[i].bytes));
			assert_memory_equal(o.p, cases[i].bytes, o.len);
		}
		out_done(&o);
	}
	out_init(&o);
	assert_false(b64_decode(&o, "Zm9v\0Zm9v", 9));
	out_done(&o);
}

static void
test_jsonread(void **state)
{
	static const struct {
		const char *text;
		const char *found;	/* of "id"; NULL: it is not */
	} cases[] = {
		{"{\"id\":\"x\"}", "x"}, {" { \"id\" : 12 } ", "12"},
		{"{\"a\":{\"id\":\"no\"},\"b\":[1,{\"id\":2}],\"id\":\"y\"}",
		    "y"},
		{"{\"a\":\"\\\"id\\\":\\\"no\\\"\",\"id\":\"z\"}", "z"},
		{"{\"a\":-1.5e3,\"b\":true,\"c\":null,\"id\":\"w\"}", "w"},
		{"{\"i\\u0064\":\"\\u00e9\\/\\t\"}", "\303\251/\t"},
		{"{\"id\":\"\"}", ""}, {"{}", NULL}, {"[]", NULL}, {"", NULL},
		{"{\"id\":null}", NULL}, {"{\"id\":{}}", NULL},
		{"{\"id\":\"x", NULL}, {"{\"id\"", NULL}, {"{\"id\":", NULL},
		{"{\"a\":[[[,\"id\":1}", NULL}, {"{\"a\":}", NULL},
		{"{\"a\":1 \"id\":2}", NULL}, {"{\"id\":\"\\x\"}", NULL},
		{"{\"id\":\"\\ud800\"}", NULL}, {"{\"id\":\"\\u12g4\"}", NULL},
		{"{\"id\":\"\\", NULL}, {"{\"id\":\"\\u00", NULL},
		{"{\"a\":\"b\"", NULL}, {"{1:2,\"id\":3}", NULL},
	};
	struct out o;
	size_t i, len;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		out_init(&o);
		len = strlen(cases[i].text);
		if (jsonread_text(cases[i].text, len, "id", &o) !=
		    (cases[i].found != NULL))
			fail_msg("%s", cases[i].text);
		if (cases[i].found != NULL) {
			assert_int_equal(o.len, strlen(cases[i].found));
			if (o.len > 0)
				assert_memory_equal(o.p, cases[i].found,
				    o.len);
		}
		out_done(&o);
	}
}

/* Whatever it is given, it ends, and reads nothing that is not there. */
static void
test_jsonread_survives_anything(void **state)
{
	static const char bits[] = "{}[]\",:\\u0 1id";
	uint64_t seed = unit_seed();
	struct out o;
	size_t i, n, len;
	char *text;

	(void)state;
	for (n = 0; n < 20000; n++) {
		len = unit_below(&seed, 40);
		text = malloc(len + 1);	/* so that valgrind sees its end */
		for (i = 0; i < len; i++)
			text[i] = bits[unit_below(&seed, sizeof(bits) - 1)];
		out_init(&o);
		(void)jsonread_text(text, len, "id", &o);
		out_done(&o);
		free(text);
	}
}

static int
setup(void **state)
{
	(void)state;
	return command_setup(table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pubkey),
		cmocka_unit_test(test_get_version),
		cmocka_unit_test(test_list_filters),
		cmocka_unit_test(test_encrypt_small),
		cmocka_unit_test(test_encrypt_large),
		cmocka_unit_test(test_decrypt_that_fails_leaves_nothing),
		cmocka_unit_test(test_crypt_failures),
		cmocka_unit_test(test_signal_ends_a_slow_encrypt),
		cmocka_unit_test(test_sign_and_verify),
		cmocka_unit_test(test_sign_failures),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_call_statuses),
		cmocka_unit_test(test_call_usage),
		cmocka_unit_test(test_secret_bodies),
		cmocka_unit_test(test_secret_failures),
		cmocka_unit_test(
		    test_secret_is_stored_once_or_the_service_says_why),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_jsonread),
		cmocka_unit_test(test_jsonread_survives_anything),
	};

	return cmocka_run_group_tests(tests, setup, command_teardown);
}
