#!/usr/bin/env python3
"""The rest of the service through the agent: call, secret, list with filters
(contract 4)."""

import json
import os
import re

import harness
from harness import Case, needs_root, secret


class CallCase(Case):
    SEED = {"secrets": [secret("s1", "db/prod", "value of s1"),
                        secret("s2", "web/prod", "value of s2"),
                        secret("t1", "twin"), secret("t2", "twin")],
            "keys": [{"id": "k1", "name": "sign", "algorithm": "Ed25519"}]}

    def call(self, *args, **kw):
        return self.ok("call", *args, **kw)

    def path(self, name):
        return os.path.join(self.dir, name)


class Call(CallCase):
    def test_any_endpoint_with_or_without_the_prefix(self):
        for path in ("/applications", "/api/v1/applications"):
            self.assertEqual(json.loads(self.call("GET", path)), [])
        o = json.loads(self.call("GET", "/secrets?search=web"))
        self.assertEqual([s["name"] for s in o["secrets"]], ["web/prod"])

    def test_body_from_argument_file_and_standard_input(self):
        body = {"name": "viewer", "description": "é\n"}
        text = json.dumps(body)
        made = json.loads(self.call("POST", "/roles", "--data", text))
        self.assertEqual(made["description"], "é\n")
        with open(self.path("body"), "w", encoding="utf-8") as f:
            f.write(text.replace("viewer", "editor"))
        self.call("POST", "/roles", "--data", "@" + self.path("body"))
        self.call("POST", "/roles", "--data", "@-",
                  input=text.replace("viewer", "owner").encode())
        names = {r["name"] for r in json.loads(self.call("GET", "/roles"))}
        self.assertEqual(names, {"viewer", "editor", "owner"})

    def test_id_of_a_name_is_put_in_its_place(self):
        o = json.loads(self.call("GET", "/secrets/{id}/history", "--for",
                                 "db/prod"))
        self.assertEqual(o["secretId"], "s1")
        o = json.loads(self.call("GET", "/keys/{id}/versions", "--for",
                                 "qapi://keys/sign/public"))
        self.assertEqual(o["keyName"], "sign")
        self.fails(3, "call", "GET", "/secrets/{id}/history", "--for", "nope")
        self.fails(9, "call", "GET", "/secrets/{id}/history", "--for", "twin",
                   saying=("t1", "t2"))

    def test_statuses(self):
        for http, status in ((404, 3), (410, 3), (401, None), (403, 4),
                             (400, 1), (409, 1), (422, 1)):
            if status is None:
                continue
            with self.subTest(http):
                fault = self.sandbox.fault("/billing*", status=http,
                                           body={"error": "x", "message":
                                                 f"said {http}"})
                r = self.helper("call", "GET", "/billing/usage")
                self.assertEqual(r.status, status, r.err)
                self.assertEqual(json.loads(r.out)["message"],
                                 f"said {http}")
                self.assertEqual(r.err.count("\n"), 1)
                self.assertIn(f"said {http}", r.err)
                self.sandbox.control("DELETE", f"/faults/{fault}")

    def test_service_that_is_down_is_6(self):
        self.sandbox.stop()
        self.fails(6, "call", "GET", "/applications", "--timeout", "3s")

    def test_timeout_is_7(self):
        self.sandbox.fault("/roles*", action="hang")
        self.fails(7, "call", "GET", "/roles", "--timeout", "500ms")

    def test_post_goes_out_once_whatever_becomes_of_it(self):
        self.sandbox.fault("/roles", method="POST", action="drop")
        r = self.helper("call", "POST", "/roles", "--data", '{"name": "x"}')
        self.assertEqual(r.status, 6, r.err)
        self.assertEqual(self.sandbox.requests()["POST /api/v1/roles"], 1)

    def test_binary_answers_are_not_touched(self):
        body = "\u0001\r\n\u007f not JSON"
        self.sandbox.fault("/cas/x/crl", body=body,
                           contentType="application/pkix-crl")
        self.assertEqual(self.call("GET", "/cas/x/crl"), body.encode())
        self.call("GET", "/cas/x/crl", "-o", self.path("crl"))
        self.assert_mode(self.path("crl"), 0o600)
        with open(self.path("crl"), "rb") as f:
            self.assertEqual(f.read(), body.encode())
        r = self.helper("call", "GET", "/cas/x/crl", "--include")
        self.assertEqual(r.status, 0)
        self.assertIn("HTTP 200\nContent-Type: application/pkix-crl\n",
                      r.err)


class Secret(CallCase):
    def made(self, out):
        m = re.fullmatch(rb"(\S+)\t(\d+)\n", out)
        self.assertIsNotNone(m, out)
        return m[1].decode(), int(m[2])

    def test_create_and_the_next_read_shows_it(self):
        self.fails(3, "get", "new/one")
        value = 'first "value"\n\0é'
        self.note_private(value)
        sid, version = self.made(self.ok(
            "secret", "create", "new/one", "--content-type", "password",
            "--username", "app", "--description", "it's new", "--label", "a",
            "--label", "b", input=value.encode()))
        self.assertEqual(version, 1)
        self.assertEqual(self.get("new/one"), value.encode())
        self.assertEqual(self.get(sid, "--field", "username"), b"app")
        self.assertEqual(json.loads(self.get(sid, "--field", "labels")),
                         ["a", "b"])
        self.assertIn(b"new/one", self.ok("list", "secrets"))

    def test_create_of_a_name_that_is_there(self):
        r = self.helper("secret", "create", "db/prod", input=b"value of none")
        self.assertEqual((r.status, r.out), (1, b""), r.err)
        self.assertIn("409", r.err)
        self.assertEqual(self.get("db/prod"), b"value of s1")

    def test_set_and_the_next_read_shows_it(self):
        self.assertEqual(self.get("db/prod"), b"value of s1")
        self.note_private("another value of s1")
        with open(self.path("v"), "wb") as f:
            f.write(b"another value of s1")
        sid, version = self.made(self.ok("secret", "set", "db/prod", "-i",
                                         self.path("v")))
        self.assertEqual((sid, version), ("s1", 2))
        self.assertEqual(self.get("db/prod"), b"another value of s1")
        self.assertEqual(self.get("db/prod", "--version", "1"),
                         b"value of s1")
        self.fails(3, "secret", "set", "nope", input=b"x")
        self.fails(9, "secret", "set", "twin", input=b"x")
        self.fails(2, "secret", "set", "db/prod", input=b"\xff")

    def test_rotate_makes_a_random_value_and_shows_it_to_nobody(self):
        seen = {self.get("db/prod")}
        for version in (2, 3):
            sid, got = self.made(self.ok("secret", "rotate", "db/prod"))
            self.assertEqual((sid, got), ("s1", version))
            value = self.get("db/prod")
            self.note_private(value.decode())
            self.assertRegex(value.decode(), r"\A[A-Za-z0-9]{32}\Z")
            seen.add(value)
        self.assertEqual(len(seen), 3)
        self.ok("secret", "rotate", "db/prod", "--length", "9",
                "--alphabet", "01")
        self.assertRegex(self.get("db/prod"), rb"\A[01]{9}\Z")

    def test_an_answer_that_says_nothing_is_no_success(self):
        for answer in ({"action": "garbage"}, {"status": 200}):
            self.sandbox.fault("**/value", **answer)
            self.fails(1, "secret", "set", "db/prod", input=b"value x",
                       saying="look before it is tried again")
            self.sandbox.clear()

    def test_json(self):
        o = json.loads(self.ok("secret", "set", "db/prod", "--json",
                               input=b"value of json"))
        self.assertEqual(o, {"name": "db/prod", "id": "s1", "version": 2})
        r = self.helper("secret", "set", "nope", "--json", input=b"x")
        self.assertEqual(json.loads(r.err)["error"], "not-found")

    def test_value_is_never_in_the_command_line(self):
        self.fails(2, "secret", "set", "db/prod", "a value")
        self.fails(2, "secret", "create", "x", "a value")


@needs_root
class Allowed(CallCase):
    CONF = {"agent": {"socket-mode": "0666"}}
    ALLOW = [("reader", {"user": "nobody", "secrets": "**",
                         "operations": "read,list"}),
             ("caller", {"user": "daemon", "secrets": "db/**",
                         "paths": "GET /secrets**,PUT /secrets/*/value",
                         "operations": "read,list,call"})]

    def test_each_operation_takes_its_own_right(self):
        for args in (("call", "GET", "/roles"),
                     ("secret", "create", "x"), ("secret", "rotate", "s1"),
                     ("encrypt",), ("sign", "--key", "sign")):
            with self.subTest(args):
                self.fails(4, *args, user="nobody", input=b"x")
        # looked up at most: to be judged by name
        self.assertEqual([r for r in self.sandbox.requests()
                          if not r.startswith("GET ")], [])
        self.get("db/prod", user="nobody")

    def test_call_goes_where_paths_let_it(self):
        self.call("GET", "/secrets?pageSize=1", user="daemon")
        for args in (("GET", "/roles"), ("DELETE", "/secrets/s1"),
                     ("POST", "/secrets")):
            self.fails(4, "call", *args, user="daemon")


class Lists(CallCase):
    def names(self, *args):
        return [line.split("\t")[0] for line in
                self.ok("list", *args).decode().splitlines()]

    def test_filters(self):
        self.assertEqual(sorted(self.names("--search", "PROD")),
                         ["db/prod", "web/prod"])
        self.assertEqual(self.names("keys", "--search", "prod"), [])
        self.assertEqual(self.names("--cached"), [])
        self.get("db/prod")
        self.assertEqual(self.names("--cached"), ["db/prod"])
        self.assertEqual(self.names("--stale"), [])

    def test_stale_ones(self):
        self.get("db/prod")
        self.sandbox.fault("*", status=503)
        self.helper("refresh", "db/prod", "--timeout", "1s")
        self.wait(lambda: self.names("--stale") == ["db/prod"],
                  "the value is stale")

    def test_those_that_expire(self):
        self.sandbox.set("s2", expiresAt=harness.utc(3600))
        self.get("web/prod")
        self.assertEqual(self.names("--expires", "1d"), ["web/prod"])
        self.assertEqual(self.names("--expires", "1m"), [])


if __name__ == "__main__":
    harness.main()
