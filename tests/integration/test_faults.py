#!/usr/bin/env python3
"""Faults of the service on a read without a cached value, and TLS
(contract 4, exit status; 8)."""

import base64
import hashlib
import os
import socket
import subprocess
import threading
import time

import harness
from harness import Case, secret, value


def q(name):
    return "qapi://secrets/" + name


class Cold(Case):
    """What a reader is told where nothing is cached."""
    SEED = {"secrets": [secret("a", "db/a"), secret("b")]}
    CONF = {"upstream": {"request-timeout": "1s", "connect-timeout": "1s"},
            "cache": {"negative-ttl": "300ms"}}

    def told(self, name, code, path="*", after=True, **fault):
        """Both for a name (through the listing) and for an id."""
        self.helper("purge", "--all")
        self.sandbox.fault(path, **fault)
        began = time.monotonic()
        self.assert_error(name, code, "get", "a")
        self.assertLess(time.monotonic() - began, 9)
        r = self.fails(code, "get", "b")
        if after:
            self.sandbox.clear()
            self.wait(lambda: self.helper("get", "a").status == 0,
                      "it works again afterwards", 20)
        return r

    def test_no_connection_is_unavailable(self):
        self.sandbox.stop()
        self.assert_error("upstream-unavailable", 6, "get", "db/a")
        self.fails(6, "get", "b")
        self.sandbox.start()
        self.wait(lambda: self.helper("get", "b").status == 0,
                  "it works again afterwards", 20)

    def test_500_is_unavailable(self):
        self.told("upstream-unavailable", 6, status=500)

    def test_502_503_504_are_unavailable(self):
        for status in (502, 503, 504):
            with self.subTest(status):
                self.told("upstream-unavailable", 6, status=status)

    def test_429_is_unavailable(self):
        self.told("upstream-unavailable", 6, status=429, retryAfter=1)

    def test_429_with_a_date_or_nonsense_as_retry_after(self):
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                             time.gmtime(time.time() + 2))
        for v in (date, "soon", "-5", ""):
            with self.subTest(v):
                self.told("upstream-unavailable", 6, status=429,
                          retryAfter=v)

    def test_cut_answer_is_unavailable(self):
        self.told("upstream-unavailable", 6, action="truncate")

    def test_dropped_connection_is_unavailable(self):
        self.told("upstream-unavailable", 6, action="drop")

    def test_time_limit_upstream_is_unavailable(self):
        began = time.monotonic()
        self.sandbox.fault("*", action="hang")
        self.assert_error("upstream-unavailable", 6, "get", "a",
                          "--timeout", "30s")
        # request-timeout, perhaps with retries; never the caller's 30 s
        self.assertLess(time.monotonic() - began, 10)

    def test_slow_body_is_unavailable(self):
        self.told("upstream-unavailable", 6, action="slow", latencyMs=200)

    def test_garbage_is_an_upstream_error(self):
        self.told("upstream-error", 1, action="garbage")

    def test_not_json_is_an_upstream_error(self):
        for body in ("", " ", "null", "true", "[]", '"text"', "{", "{}x",
                     "<html></html>", '{"id": "a"', "\x00\x00", '{"a":1,}',
                     "[" * 5000, '{"a":' * 5000):
            with self.subTest(body[:20]):
                self.told("upstream-error", 1, "*/secrets/?", after=False,
                          body=body)
                self.sandbox.clear()
        self.assertEqual(self.helper("get", "a").status, 0)

    def test_invalid_utf8_is_an_upstream_error(self):
        # the sandbox's faults are JSON, so a server of our own
        self.serve(b'{"id":"a","name":"a","version":1,"value":"\xff\xfe"}')
        self.assert_error("upstream-error", 1, "get", "a")

    def test_lone_surrogate_is_an_upstream_error(self):
        self.serve(b'{"id":"a","name":"a","version":1,"value":"\\ud800x"}')
        self.assert_error("upstream-error", 1, "get", "a")

    def serve(self, body):
        """Another service, that answers everything so."""
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(harness.LONG)
        self.addCleanup(server.close)

        def run():
            while True:
                try:
                    conn, _ = server.accept()
                except OSError:
                    return
                with conn:
                    conn.settimeout(5)
                    try:
                        conn.recv(65536)
                        conn.sendall(
                            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                            b"Content-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body) + body)
                    except OSError:
                        pass
        threading.Thread(target=run, daemon=True).start()
        port = server.getsockname()[1]
        self.restart_agent({"upstream": {
            "url": f"http://127.0.0.1:{port}/api/v1"}})

    def test_another_id_is_an_upstream_error(self):
        self.note_private("value-of-the-other")
        self.told("upstream-error", 1, "*/secrets/?", body={
            "id": "zzz", "name": "db/a", "version": 1,
            "value": "value-of-the-other", "isActive": True})

    def test_no_value_is_an_upstream_error(self):
        for member in ({}, {"value": None}, {"value": 7}, {"value": ["x"]},
                       {"value": {"value": "x"}}):
            with self.subTest(member):
                self.sandbox.fault("*/secrets/a", body={
                    "id": "a", "name": "db/a", "version": 1,
                    "isActive": True, **member})
                self.assert_error("upstream-error", 1, "get", "a")
                self.sandbox.clear()

    def test_unexpected_4xx_is_an_upstream_error(self):
        for status in (400, 402, 406, 418, 422, 451):
            with self.subTest(status):
                self.told("upstream-error", 1, status=status, after=False)
                self.sandbox.clear()

    def test_redirect_is_not_followed(self):
        # Followed, it would meet a closed port: unavailable.
        self.told("upstream-error", 1, action="redirect")

    def test_401_is_unauthorized(self):
        self.told("unauthorized", 4, status=401)

    def test_403_insufficient_scope(self):
        self.told("insufficient-scope", 4, status=403,
                  error="insufficient_scope")

    def test_403_forbidden_is_denied(self):
        self.told("denied", 4, "*/secrets/?", status=403, error="forbidden")

    def test_key_without_the_scope(self):
        self.sandbox.control("PUT", "/api-keys/" + self.key,
                             {"scopes": ["keys:read"]})
        self.assert_error("insufficient-scope", 4, "get", "a")
        self.assert_error("insufficient-scope", 4, "get", "db/a")

    def test_404_and_410_are_not_found(self):
        for status in (404, 410):
            with self.subTest(status):
                self.told("not-found", 3, "*/secrets/?", status=status)

    def test_is_active_false_is_not_found(self):
        self.sandbox.fault("*/secrets/a", body={
            "id": "a", "name": "db/a", "version": 1, "isActive": False,
            "value": self.SEED["secrets"][0]["value"]})
        self.assert_error("not-found", 3, "get", "a")

    def test_deactivated_secret_is_not_found(self):
        self.sandbox.api("POST", "/secrets/a/deactivate")
        self.assert_error("not-found", 3, "get", "a")
        self.assert_error("not-found", 3, "get", "db/a")

    def test_over_max_response_is_too_large(self):
        self.sandbox.set("b", value="x" * 300000, version=2)
        self.restart_agent({"upstream": {"max-response": "200K"}})
        self.assert_error("too-large", 1, "get", "b")
        self.get("a")

    def test_one_short_failure_is_retried_within_the_deadline(self):
        """Retries: idempotent requests only, with backoff."""
        for fault in ({"status": 500}, {"status": 503}, {"action": "drop"},
                      {"action": "truncate"}):
            with self.subTest(fault):
                self.helper("purge", "--all")
                self.sandbox.clear()
                self.sandbox.fault("*/secrets/a", times=1, **fault)
                self.get("a")

    def test_retries_are_few(self):
        self.sandbox.fault("*", status=500)
        self.fails(6, "get", "a", "--timeout", "5s")
        self.assertLessEqual(self.sandbox.total, 8)

    def test_failure_of_one_is_no_failure_of_others(self):
        self.sandbox.fault("*/secrets/a", action="garbage")
        with self.wire() as w:
            a, b = w.get_many(q("a"), q("b"))
        self.assertEqual(a.error, "upstream-error")
        self.assertEqual(b.VALUE, self.SEED["secrets"][1]["value"].encode())

    def test_hanging_request_does_not_delay_others(self):
        hang = self.sandbox.fault("*/secrets/a", action="hang")
        with self.wire() as w:
            first = w.send_get(q("a"), deadline_ms=10000)
            self.wait(lambda: self.sandbox.hits(hang) == 1, "it hangs")
            began = time.monotonic()
            self.get("b")
            self.assertLess(time.monotonic() - began, 0.9)
            second = w.get(q("b"))
            self.assertIsNone(second.error)
            w.recv_for(first)

    def test_no_body_of_the_service_is_in_log_or_error(self):
        self.note_private("body-text-that-nobody-may-see")
        for spec in ({"status": 500}, {"status": 403}, {"status": 400},
                     {"status": 200}):
            self.sandbox.fault("*", body="body-text-that-nobody-may-see",
                               **spec)
            r = self.helper("get", "a")
            self.assertNotEqual(r.status, 0)
            self.sandbox.clear()
        # The daemon's log is searched at the end of the test.

    def test_requests_are_as_the_service_wants_them(self):
        self.get("db/a")
        log = self.sandbox.control("GET", "/log")["requests"]
        self.assertGreaterEqual(len(log), 2)
        for e in log:
            self.assertTrue(e["hasApiKey"], e)
            self.assertFalse(e["hasAuthorization"], e)
            self.assertEqual(e["method"], "GET")
            self.assertIn("qapi-agent", e["userAgent"])
            self.assertEqual(e["accept"], "application/json")


class BlackHole(Case):
    AUTO = False

    def black_hole(self):
        """A port that takes connections and never says a word."""
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        self.addCleanup(server.close)
        return server.getsockname()[1]

    def full_port(self):
        """A port whose connections are not even established."""
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        self.addCleanup(server.close)
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(server.getsockname())
            self.addCleanup(s.close)
        return server.getsockname()[1]

    def begin(self, port):
        self.start_agent({"upstream": {
            "url": f"http://127.0.0.1:{port}/api/v1",
            "connect-timeout": "1s", "request-timeout": "2s"}})

    def test_timeout_of_the_caller_is_kept(self):
        for make in (self.black_hole, self.full_port):
            with self.subTest(make.__name__):
                self.begin(make())
                began = time.monotonic()
                self.fails(7, "get", "a", "--timeout", "500ms")
                took = time.monotonic() - began
                self.assertGreater(took, 0.3)
                self.assertLess(took, 1.4)
                self.assertEqual(self.agent.stop(), 0)

    def test_timeout_of_the_request_is_unavailable(self):
        self.begin(self.black_hole())
        began = time.monotonic()
        self.assert_error("upstream-unavailable", 6, "get", "a",
                          "--timeout", "25s")
        self.assertLess(time.monotonic() - began, 20)
        self.assertGreater(time.monotonic() - began, 1.5)

    def test_timeout_of_the_connection_is_unavailable(self):
        self.begin(self.full_port())
        began = time.monotonic()
        self.assert_error("upstream-unavailable", 6, "get", "a",
                          "--timeout", "25s")
        self.assertLess(time.monotonic() - began, 15)

    def test_it_stops_at_once_with_requests_under_way(self):
        self.begin(self.black_hole())
        w = self.wire()
        w.send_get(q("a"))
        w.ping()
        began = time.monotonic()
        self.assertEqual(self.agent.stop(), 0)
        self.assertLess(time.monotonic() - began, 3)


class Tls(Case):
    AUTO = False
    SEED = {"secrets": [secret("a")]}

    def certificate(self, name, san="IP:127.0.0.1", ca=None):
        """(certificate, key) below ca, or a CA of its own."""
        cert = os.path.join(self.dir, name + ".pem")
        key = os.path.join(self.dir, name + ".key")

        def openssl(*args):
            subprocess.run(["openssl", *args], check=True,
                           capture_output=True)
        common = ["-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-keyout", key]
        if ca is None:
            openssl("req", "-x509", *common, "-days", "2", "-subj",
                    "/CN=" + name, "-out", cert)
            return cert, key
        openssl("req", *common, "-subj", "/CN=" + name, "-out",
                cert + ".csr")
        ext = cert + ".ext"
        with open(ext, "w", encoding="ascii") as f:
            f.write(f"subjectAltName={san}\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", cert + ".csr", "-CA", ca[0],
                "-CAkey", ca[1], "-CAcreateserial", "-days", "2",
                "-extfile", ext, "-out", cert)
        return cert, key

    def begin(self, san="IP:127.0.0.1", **upstream):
        self.ca = self.certificate("ca")
        self.server = self.certificate("server", san, self.ca)
        self.start_sandbox(tls=self.server)
        self.start_agent({"upstream": {"ca-file": self.ca[0], **upstream}})

    def test_private_ca_is_trusted_with_ca_file(self):
        self.begin()
        self.assertEqual(self.get("a"),
                         self.SEED["secrets"][0]["value"].encode())

    def test_wrong_ca_is_refused(self):
        self.begin(**{"ca-file": self.certificate("other-ca")[0]})
        self.assert_error("upstream-unavailable", 6, "get", "a")
        self.assertEqual(self.sandbox.total, 0)

    def test_private_ca_is_not_trusted_without_ca_file(self):
        self.begin(**{"ca-file": None})
        self.assert_error("upstream-unavailable", 6, "get", "a")
        self.assertEqual(self.sandbox.total, 0)

    def test_certificate_of_another_host_is_refused(self):
        self.begin(san="DNS:other.example")
        self.assert_error("upstream-unavailable", 6, "get", "a")
        self.assertEqual(self.sandbox.total, 0)

    def pin(self, cert):
        p = subprocess.run(
            ["openssl", "x509", "-in", cert, "-pubkey", "-noout"],
            check=True, capture_output=True)
        der = base64.b64decode(b"".join(p.stdout.strip().splitlines()[1:-1]))
        return "sha256//" + base64.b64encode(
            hashlib.sha256(der).digest()).decode()

    def test_pinned_public_key(self):
        self.begin()
        self.restart_agent({"upstream": {
            "ca-file": self.ca[0],
            "pinned-public-key": self.pin(self.server[0])}})
        self.get("a")
        self.restart_agent({"upstream": {
            "ca-file": self.ca[0],
            "pinned-public-key": self.pin(self.ca[0])}})
        self.sandbox.forget()
        self.assert_error("upstream-unavailable", 6, "get", "a")
        self.assertEqual(self.sandbox.total, 0)

    def test_message_says_that_it_is_the_certificate(self):
        self.begin(**{"ca-file": self.certificate("other-ca")[0]})
        r = self.fails(6, "get", "a")
        self.assertRegex(r.err + self.agent.log(),
                         r"(?i)certificate|TLS|SSL")

    def test_https_to_a_plain_port_is_unavailable(self):
        self.ca = self.certificate("ca")
        self.start_sandbox()
        self.start_agent({"upstream": {
            "url": self.sandbox.url.replace("http:", "https:"),
            "ca-file": self.ca[0]}})
        self.assert_error("upstream-unavailable", 6, "get", "a")

    def test_tls_is_kept_over_many_reads(self):
        """Connections are used again: no handshake a request."""
        self.begin()
        for _ in range(20):
            self.get("a", "--max-age", "0")
        got = self.sandbox.control("GET", "/connections")
        # 1 to 3 of the agent, the rest are those of this question
        self.assertLessEqual(got["accepted"], 6)


class Proxy(Case):
    AUTO = False
    SEED = {"secrets": [secret("a")]}

    def test_environment_variables_do_not_set_a_proxy(self):
        """The key must not go where an environment variable says."""
        self.start_sandbox()
        self.start_agent(env={"http_proxy": "http://127.0.0.1:1",
                              "https_proxy": "http://127.0.0.1:1",
                              "all_proxy": "http://127.0.0.1:1",
                              "ALL_PROXY": "http://127.0.0.1:1"})
        self.get("a")

    def test_proxy_is_used(self):
        self.start_sandbox()
        seen = []
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(harness.LONG)
        self.addCleanup(server.close)

        def run():
            while True:
                try:
                    conn, _ = server.accept()
                except OSError:
                    return
                with conn:
                    head = conn.recv(65536)
                    seen.append(head)
                    body = b'[{"id":"a","name":"a","version":1}]' \
                        if b"/secrets?" in head else \
                        b'{"id":"a","name":"a","version":1,"value":"proxied"}'
                    conn.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                                 b"Content-Type: application/json\r\n"
                                 b"Content-Length: %d\r\n\r\n" % len(body) +
                                 body)
        threading.Thread(target=run, daemon=True).start()
        self.start_agent({"upstream": {
            "proxy": f"http://127.0.0.1:{server.getsockname()[1]}"}})
        self.assertEqual(self.get("a"), b"proxied")
        for head in seen:
            self.assertTrue(head.startswith(b"GET http://127.0.0.1:"), head)
        self.assertEqual(self.sandbox.total, 0)


class Lists(Case):
    """Listings of other shapes (upstream-api, 4: be lenient)."""
    SEED = {"secrets": [secret("a", "db/a"), secret("b", "db/b")]}
    ROWS = [{"id": "a", "name": "db/a", "version": 1, "isActive": True,
             "createdAt": "2026-01-01T00:00:00Z"},
            {"id": "b", "name": "db/b", "version": 1, "isActive": True,
             "createdAt": "2026-01-01T00:00:00Z"}]

    def test_shapes_of_a_list(self):
        for body in (self.ROWS, {"items": self.ROWS}, {"data": self.ROWS},
                     {"results": self.ROWS, "total_count": 2},
                     {"secrets": self.ROWS, "has_more": False},
                     {"secrets": self.ROWS, "totalCount": 2, "unknown": {}}):
            with self.subTest(str(body)[:30]):
                self.sandbox.fault("*/secrets", body=body)
                self.helper("purge", "--all")
                self.get("db/b")
                self.sandbox.clear()

    def test_endless_list_is_bounded(self):
        self.sandbox.fault("*/secrets", body={
            "secrets": self.ROWS, "hasMore": True, "total": 10 ** 9})
        self.get("db/b")
        # the first, and those that were asked for together with the second
        self.assertLessEqual(self.sandbox.listings, 5)

    def test_listing_of_500_is_paged(self):
        for i in range(450):
            self.sandbox.api("POST", "/secrets",
                             {"name": f"many/{i}", "value": value()})
        self.helper("purge", "--all")
        self.assertEqual(self.helper("get", "many/449").status, 0)
        self.assertEqual(self.ok("list", "secrets").count(b"many/"), 450)


if __name__ == "__main__":
    harness.main()
