"""Idempotence: what mints, sends or changes something reaches the service once
at most, whatever becomes of the answer (issue 5; upstream-api.md, 8)."""

import json
import re
import unittest

import rawhttp
import relay
from harness import at_once, secret

# What the service's documents call safe to send again.
SAFE = re.compile(
    r"POST /(encrypt|decrypt|sign|verify)$|"
    r"POST /transit/(encrypt|decrypt|rewrap|hmac|sign|verify)/|"
    r"POST /transit/batch/|POST /transit/keys/.*/config$|"
    r"POST /secrets/[^/]*/(de)?activate$|"
    r"POST /log-streams/[^/]*/(de)?activate$|"
    r"PUT /keys/[^/]*/min-decryption-version$|"
    r"POST /.*/(un)?block$")

# Bodies do not matter: the service reads them and has a fault.
BODY = {"name": "x", "value": "y"}
SOME_ID = "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"


class Once(relay.Front):
    SEED = {"secrets": [secret("id-a", "a")]}
    CONF = {"upstream": {"request-timeout": "20s"}}

    def setUp(self):
        super().setUp()
        self.todo = self.never_again()
        self.assertGreater(len(self.todo), 30)

    def never_again(self):
        """Of all that the service offers."""
        found = []
        for e in self.sandbox.control("GET", "/endpoints")["endpoints"]:
            method, path = e["method"], e["path"]
            path = path.removeprefix("/api/v1")
            if method not in ("POST", "PUT", "PATCH") or \
                    path.startswith(("/_sandbox", "/settings")) or \
                    SAFE.match(f"{method} {path}"):
                continue
            found.append((method, re.sub(r"\{[^}]*\}", SOME_ID, path)))
        return sorted(set(found))

    def keep_connections(self):
        """Those that a request could be sent on, and be sent again if they
        end: by several requests at once."""
        at_once(4, lambda i: self.ask("GET", "/roles"))

    def test_connections_of_their_own_are_not_kept(self):
        def is_open():
            return self.sandbox.control("GET", "/connections")["open"]
        self.keep_connections()
        before = is_open()
        for _ in range(10):
            self.ask("POST", "/roles", {"name": "x"})
        self.wait(lambda: is_open() <= before + 1, "connections are closed")

    def try_all(self, statuses, **fault):
        for method in ("POST", "PUT", "PATCH"):
            self.sandbox.fault(method=method, **fault)
        for method, path in self.todo:
            with self.subTest(f"{method} {path}", **fault):
                self.keep_connections()
                a = self.ask(method, path, BODY)
                self.assertIn(a.status, statuses, a.body)
                if a.status == 503 and "status" not in fault:
                    # and it says so
                    self.assertIn(b"sent once", a.body)
        counts = self.sandbox.requests()
        for method, path in self.todo:
            with self.subTest(f"{method} {path}", **fault):
                self.assertEqual(counts.get(f"{method} /api/v1{path}"), 1)

    def test_dropped_after_it_was_read(self):
        self.try_all({503}, action="drop")

    def test_answer_cut_short(self):
        self.try_all({503}, action="truncate", status=201,
                     body={"id": "x" * 100})

    def test_failed(self):
        self.try_all({500}, status=500)

    def test_busy(self):
        self.try_all({503}, status=503, retryAfter=1)

    def test_caller_leaves_while_it_hangs(self):
        """It goes on without its caller, and is not begun again."""
        self.sandbox.fault(method="POST", action="hang")
        self.keep_connections()
        with rawhttp.Http(self.http) as h:
            h.request("POST", "/api/v1/team/invitations",
                      [("Content-Type", "application/json")],
                      json.dumps(BODY).encode())
            key = "POST /api/v1/team/invitations"
            self.wait(lambda: self.sandbox.requests().get(key),
                      "the service has it")
        self.sandbox.clear()
        self.call("GET", "/roles")
        self.assertEqual(self.sandbox.requests()[key], 1)

    def test_what_is_safe_is_sent_again(self):
        """So the counts above say something."""
        self.sandbox.fault(method="POST", action="drop")
        self.keep_connections()
        self.assertEqual(self.ask("POST", "/encrypt", BODY).status, 503)
        self.assertGreater(self.sandbox.requests()["POST /api/v1/encrypt"],
                           1)


if __name__ == "__main__":
    unittest.main()
