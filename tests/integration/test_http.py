"""The REST front: http-socket= and http-listen=, over bare sockets."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import unittest

import harness
import rawhttp
from harness import (AGENTD, LONG, Case, at_once, ids, needs_root,
                     needs_systemd, setpriv, value, write_conf)

SECRET = "5a1f0c52-8f7e-4c1d-9c37-0d4f0c9a1b11"
JSON = ("Content-Type", "application/json")
SEED = {
    "secrets": [
        {"id": SECRET, "name": "web/db", "value": value("first"),
         "username": "app", "notes": value("notes"),
         "contentType": "text/plain"},
        {"id": "other-1", "name": "other/db", "value": value("other")},
    ],
}


def free_place():
    """A loopback address that nobody else thinks of, and a port of it."""
    a, b, c = os.urandom(3)
    with socket.socket() as s:
        s.bind((f"127.{a}.{b}.{c or 1}", 0))
        return s.getsockname()


class Front(Case):
    """A daemon with http-socket=; self.http is its path."""

    SEED = SEED

    def setUp(self):
        self.http = None
        super().setUp()

    def conf(self, conf=None, allow=None):
        self.http = os.path.join(self.run_dir, "http.sock")
        mine = {"agent": {"http-socket": self.http}}
        for section, members in (conf or {}).items():
            mine.setdefault(section, {}).update(members)
        return super().conf(mine, allow)

    def dial(self):
        h = rawhttp.Http(self.http)
        self.addCleanup(h.close)
        return h

    def ask(self, method, path, headers=(), body=None):
        return rawhttp.ask(self.http, method, path, headers, body)

    def json(self, method, path, headers=(), body=None, status=200):
        a = self.ask(method, path, headers, body)
        self.assertEqual(a.status, status, a.body)
        return json.loads(a.body)

    def check_good(self):
        """A good client is answered, on a connection of its own."""
        a = self.ask("GET", f"/api/v1/secrets/{SECRET}")
        self.assertEqual(a.status, 200, a.body)
        self.assertEqual(json.loads(a.body)["value"],
                         SEED["secrets"][0]["value"])
        return a

    def check_error(self, a, status, code=None):
        """In the service's shape."""
        self.assertEqual(a.status, status, a.body)
        got = json.loads(a.body)
        self.assertEqual(a.headers["content-type"], "application/json")
        self.assertGreater(len(got["message"]), 5)
        if code is not None:
            self.assertEqual(got["error"], code)
        return got


class Reads(Front):
    def test_a_secret_comes_from_the_cache_and_says_so(self):
        first = self.check_good()
        again = self.check_good()
        self.assertEqual(first.headers["x-qapi-agent-cache"], "miss")
        self.assertEqual(again.headers["x-qapi-agent-cache"], "hit")
        self.assertEqual(first.body, again.body)
        for a in (first, again):
            self.assertEqual(a.headers["content-type"].split(";")[0],
                             "application/json")
            self.assertEqual(a.headers["cache-control"], "no-store")
            self.assertRegex(a.headers["age"], r"^\d+$")
            self.assertRegex(a.headers["date"],
                             r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertEqual(self.sandbox.reads(SECRET), 1)
        self.assertEqual(json.loads(first.body)["username"], "app")

    def test_root_paths(self):
        for path in ("/health", "/version"):
            a = self.ask("GET", path)
            self.assertEqual(a.status, 200, path)
            self.assertNotIn("x-qapi-agent-cache", a.headers)

    def test_stale_when_the_service_is_away(self):
        self.check_good()
        self.sandbox.stop()
        a = self.ask("GET", f"/api/v1/secrets/{SECRET}",
                     [("Cache-Control", "no-cache")])
        self.check_error(a, 503)
        a = self.check_good()
        self.assertEqual(a.headers["x-qapi-agent-cache"], "stale")

    def test_cache_control_of_the_request(self):
        path = f"/api/v1/secrets/{SECRET}"
        got = self.ask("GET", path, [("Cache-Control", "only-if-cached")])
        self.assertEqual(got.status, 504)
        self.assertEqual(self.sandbox.reads(SECRET), 0)
        self.check_good()
        self.sandbox.set(SECRET, value="second-value-of-it")
        self.note_private("second-value-of-it")
        self.check_good()
        got = self.json("GET", path, [("Cache-Control", "no-cache")])
        self.assertEqual(got["value"], "second-value-of-it")
        self.assertEqual(self.sandbox.reads(SECRET), 2)
        self.json("GET", path, [("Cache-Control", "max-age=3600")])
        self.assertEqual(self.sandbox.reads(SECRET), 2)

    def test_max_age(self):
        path = f"/api/v1/secrets/{SECRET}"
        self.check_good()
        # older than no seconds it is a moment later
        self.wait(lambda: self.ask("GET", path, [
            ("Cache-Control", "max-age=0")]).headers[
                "x-qapi-agent-cache"] == "miss", "it is read again")
        a = self.ask("GET", path, [("Cache-Control", "max-age=3600")])
        self.assertEqual(a.headers["x-qapi-agent-cache"], "hit")

    def test_prefer_wait_is_a_deadline(self):
        self.sandbox.fault(f"*/secrets/{SECRET}", action="hang")
        a = self.ask("GET", f"/api/v1/secrets/{SECRET}",
                     [("Prefer", "wait=1")])
        self.check_error(a, 504)
        self.sandbox.clear()

    def test_head_has_the_fields_of_get(self):
        got = self.check_good()
        with rawhttp.Http(self.http) as h:
            a = h.ask("HEAD", f"/api/v1/secrets/{SECRET}")
            self.assertEqual(a.status, 200)
            for name in ("content-length", "content-type"):
                self.assertEqual(a.headers[name], got.headers[name])
            # and nothing follows
            self.assertEqual(h.ask("GET", "/health").status, 200)

    def test_unknown_and_malformed_paths(self):
        self.check_error(self.ask("GET", "/api/v1/secrets/none-such"), 404)
        with rawhttp.Http(self.http) as h:
            for path in ("/api/v1/%zz", "/api/v1/../health", "/api/v1//x",
                         "/api/v1/a|b", "/api/v1/%2e%2e/x", "/api/v1/a#b",
                         '/api/v1/"', "/api/v1/<x>"):
                self.check_error(h.ask("GET", path), 400)
            self.assertEqual(h.ask("GET", "/health").status, 200)


class Writes(Front):
    def test_bodies_of_a_length_and_in_chunks(self):
        body = json.dumps({"name": "made/one", "value": "made-of-a-length",
                           "contentType": "text/plain"}).encode()
        self.note_private("made-of-a-length", "made-in-chunks")
        a = self.ask("POST", "/api/v1/secrets", [JSON], body)
        self.assertEqual(a.status, 201, a.body)
        with rawhttp.Http(self.http) as h:
            body = body.replace(b"of-a-length", b"in-chunks").replace(
                b"one", b"two")
            h.send(b"POST /api/v1/secrets HTTP/1.1\r\nHost: x\r\n"
                   b"Content-Type: application/json\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(body), 7):
                part = body[at:at + 7]
                h.send(b"%x\r\n%s\r\n" % (len(part), part))
            h.send(b"0\r\n\r\n")
            made = h.answer()
            self.assertEqual(made.status, 201, made.body)
            got = h.ask("GET", "/api/v1/secrets/" +
                        json.loads(made.body)["id"])
        self.assertEqual(json.loads(got.body)["value"], "made-in-chunks")

    def test_next_read_shows_a_write(self):
        self.check_good()
        path = f"/api/v1/secrets/{SECRET}"
        self.note_private("changed-through-the-agent")
        self.json("PUT", path + "/value", [JSON],
                  b'{"value": "changed-through-the-agent"}')
        got = self.json("GET", path)
        self.assertEqual(got["value"], "changed-through-the-agent")

    def test_no_content(self):
        with rawhttp.Http(self.http) as h:
            a = h.ask("DELETE", "/api/v1/secrets/other-1")
            self.assertEqual((a.status, a.body), (204, b""))
            self.assertEqual(
                h.ask("GET", "/api/v1/secrets/other-1").status, 404)

    def test_continue_only_if_the_body_is_read(self):
        expect = ("Expect", "100-continue")
        body = b'{"value": "told-to-go-on"}'
        self.note_private("told-to-go-on")
        path = f"/api/v1/secrets/{SECRET}/value"
        with rawhttp.Http(self.http) as h:
            h.request("PUT", path, [JSON, expect,
                                    ("Content-Length", len(body))])
            self.assertEqual(h.answer().status, 100)
            h.send(body)
            self.assertEqual(h.answer().status, 200)
        with rawhttp.Http(self.http) as h:
            h.request("PUT", path, [JSON, expect,
                                    ("Content-Length", 1 << 40)])
            self.assertEqual([a.status for a in h.at_end()], [413])
        with rawhttp.Http(self.http) as h:
            h.request("PUT", path, [("Expect", "rain"),
                                    ("Content-Length", 1)])
            self.assertEqual([a.status for a in h.at_end()], [417])

    def test_longest_body(self):
        """One that max-response allows is read; the service then has its
        own idea."""
        # within what a user may hold where 8 MiB can be locked
        self.restart_agent({"upstream": {"max-response": "512K"}})
        path = f"/api/v1/secrets/{SECRET}/value"
        a = self.ask("PUT", path, [JSON], b" " * (512 << 10))
        self.assertIn(a.status, (400, 413))
        self.assertNotIn("max-response", a.body.decode())
        a = self.ask("PUT", path, [JSON], b" " * ((512 << 10) + 1))
        self.check_error(a, 413, "payload_too_large")
        self.assertIn("max-response", a.body.decode())
        self.check_good()


class Service(http.server.BaseHTTPRequestHandler):
    """A service that notes what it is sent, and answers as it was told."""

    protocol_version = "HTTP/1.1"

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.seen.append((self.command, self.path,
                                 list(self.headers.items()),
                                 self.rfile.read(length)))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

    def log_message(self, *_):
        pass


class Relay(Front):
    """Against a service that shows what reaches it."""

    AUTO = False

    def setUp(self):
        super().setUp()
        self.service = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Service)
        self.service.daemon_threads = True
        self.service.seen = []
        self.service.answer = (200, [("Content-Type", "application/json")],
                               b"{}")
        thread = threading.Thread(target=self.service.serve_forever,
                                  args=(0.05,), daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.service.server_close)
        self.addCleanup(self.service.shutdown)
        port = self.service.server_address[1]
        self.start_agent({"upstream": {
            "url": f"http://127.0.0.1:{port}/api/v1"}})

    def seen(self):
        """The newest for /things."""
        return [s for s in self.service.seen if "/things" in s[1]][-1]

    def test_only_what_is_allowed_reaches_the_service(self):
        a = self.ask("POST", "/api/v1/things?a=b%20c", [
            JSON, ("Accept", "text/plain"), ("X-Api-Key", "qapi_callers-own"),
            ("Authorization", "Bearer callers-own"), ("Cookie", "a=b"),
            ("X-Forwarded-For", "192.0.2.1"), ("X-Custom", "y"),
            ("Connection", "X-Custom, keep-alive"), ("Keep-Alive", "300"),
            ("Proxy-Authorization", "Basic eA=="), ("TE", "trailers"),
            ("Upgrade", "h2c"), ("Via", "1.1 x"), ("Range", "bytes=0-1"),
            ("If-None-Match", "*"), ("Accept-Encoding", "gzip"),
        ], b'{"x": 1}')
        self.assertEqual((a.status, a.body), (200, b"{}"))
        method, path, headers, body = self.seen()
        self.assertEqual((method, path, body),
                         ("POST", "/api/v1/things?a=b%20c", b'{"x": 1}'))
        names = {n.lower(): v for n, v in headers}
        self.assertEqual(names["x-api-key"], self.key)
        self.assertEqual(names["content-type"], "application/json")
        self.assertEqual(names["accept"], "text/plain")
        self.assertLessEqual(set(names), {
            "host", "user-agent", "accept", "content-type", "content-length",
            "x-api-key", "accept-encoding", "connection"}, names)
        self.assertNotIn("callers-own", str(headers))

    def test_bytes_come_as_they_are(self):
        data = bytes(range(256)) * 300
        self.service.answer = (200, [
            ("Content-Type", "application/pkix-crl"),
            ("Content-Disposition", 'attachment; filename="ca.crl"'),
            ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"),
            ("Set-Cookie", "a=b"), ("Server", "x"),
            ("Access-Control-Allow-Origin", "*")], data)
        a = self.ask("GET", "/api/v1/things/crl")
        self.assertEqual((a.status, a.body), (200, data))
        self.assertEqual(a.headers["content-type"], "application/pkix-crl")
        self.assertEqual(a.headers["content-disposition"],
                         'attachment; filename="ca.crl"')
        for name in ("keep-alive", "set-cookie", "server", "connection",
                     "access-control-allow-origin"):
            self.assertNotIn(name, a.headers)

    def test_redirects_are_not_followed(self):
        self.service.answer = (302, [(
            "Location", f"http://127.0.0.1:{self.service.server_address[1]}"
            "/api/v1/things/elsewhere")], b"")
        a = self.ask("GET", "/api/v1/things")
        self.assertGreaterEqual(a.status, 300)
        self.assertEqual(len([s for s in self.service.seen
                              if "elsewhere" in s[1]]), 0)
        self.assertNotIn("location", a.headers)

    def test_statuses_of_the_service(self):
        for status in (201, 202, 400, 404, 409, 410, 422):
            self.service.answer = (status, [
                ("Content-Type", "application/json")],
                b'{"error":"x","message":"of the service"}')
            a = self.ask("POST", "/api/v1/things", [JSON], b"{}")
            self.assertEqual((a.status, a.body),
                             (status, self.service.answer[2]))


class Malformed(Front):
    """Whatever can be read in two ways is not read."""

    HOST = b"Host: localhost\r\n"
    POST = b"POST /api/v1/secrets HTTP/1.1\r\n" + HOST
    HIDDEN = b"GET /api/v1/hidden HTTP/1.1\r\n" + HOST + b"\r\n"

    def cases(self):
        get = b"GET /api/v1/x HTTP/1.1\r\n" + self.HOST
        chunked = self.POST + b"Transfer-Encoding: chunked\r\n"
        yield "both lengths", 400, chunked + \
            b"Content-Length: 6\r\n\r\n0\r\n\r\nX"
        yield "both, the other way", 400, self.POST + \
            b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        yield "two lengths", 400, self.POST + \
            b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
        yield "two equal lengths", 400, self.POST + \
            b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na"
        yield "a list of lengths", 400, self.POST + \
            b"Content-Length: 1, 1\r\n\r\na"
        for text in (b"+1", b"-1", b"0x1", b"1 1", b"1.0", b"", b"one",
                     b"\x0b1", b"1\x0c", b"\xd9\xa1"):
            yield f"length {text}", 400, self.POST + \
                b"Content-Length: " + text + b"\r\n\r\na"
        yield "folded line", 400, get + b"X: a\r\n b\r\n\r\n"
        yield "folded length", 400, self.POST + \
            b"Content-Length:\r\n 5\r\n\r\nabcde"
        yield "folded first field", 400, \
            b"GET / HTTP/1.1\r\n X: a\r\n" + self.HOST + b"\r\n"
        yield "bare LF", 400, get.replace(b"\r\n", b"\n") + b"\n"
        yield "bare LF at the end of the head", 400, get + b"X: y\r\n\n"
        yield "bare LF in a field", 400, get + b"X: a\nY: b\r\n\r\n"
        yield "bare CR in a field", 400, get + b"X: a\rY: b\r\n\r\n"
        yield "bare CR at the end", 400, get + b"X: a\r\r\n\r\n"
        yield "CR in the request line", 400, \
            b"GET / HTTP/1.1\rX: y\r\n" + self.HOST + b"\r\n"
        for field in (b"Content-Length : 1", b"Transfer-Encoding : chunked",
                      b"Host : x", b"X\t: y", b" X: y", b": y", b"X", b"X y"):
            yield f"field {field}", 400, self.POST + field + b"\r\n\r\na"
        for field in (b"X: a\0b", b"X\0: b", b"X: \x01", b"X: \x7f",
                      b"X\x80: b", b"X(: b", b"X@: b"):
            yield f"bytes {field}", 400, get + field + b"\r\n\r\n"
        for coding in (b"gzip", b"gzip, chunked", b"chunked, gzip",
                       b"chunked, chunked", b"identity", b"xchunked",
                       b"chunked;q=1", b'"chunked"', b"\x0bchunked", b"",
                       b"chunked,", b",chunked"):
            yield f"coding {coding}", 400, self.POST + \
                b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
        yield "two codings", 400, chunked + \
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        yield "coding in HTTP/1.0", 400, \
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        for chunk in (b"0x1\r\na", b"+1\r\na", b" 1\r\na", b"1 \r\na",
                      b"1;a=b\r\na", b"1;\na\r\na", b"1\na", b"1\ra", b"\r\n",
                      b"g\r\n", b"-1\r\na", b"000000001\r\na",
                      b"ffffffffffffffff1\r\na", b"1\r\nab", b"1\r\na\nb",
                      b"0\r\nX: y\r\n", b"0\r\nContent-Length: 5\r\n",
                      b"0\r\n\n", b"0\r\n\rX"):
            yield f"chunk {chunk}", 400, chunked + b"\r\n" + chunk + \
                b"\r\n0\r\n\r\n"
        for target in (b"http://localhost/api/v1/x", b"localhost:80", b"*",
                       b"/a\x80", b"/a\0", b"/a\tb", b"\\", b"?x",
                       b"%2f", b""):
            yield f"target {target}", 400, b"GET " + target + \
                b" HTTP/1.1\r\n" + self.HOST + b"\r\n"
        yield "authority form", 400, \
            b"CONNECT localhost:80 HTTP/1.1\r\n" + self.HOST + b"\r\n"
        for line in (b"GET /api/v1/x\r\n", b"GET /x \r\n", b"GET  /x HTTP/1.1",
                     b"GET\t/x HTTP/1.1", b" GET /x HTTP/1.1",
                     b"GET /x HTTP/1.1 ", b"GET /x HTTP/1.1\t",
                     b"GET /x http/1.1", b"GET /x HTTP/1.", b"GET /x HTTP/11",
                     b"GET /x HTTP/1.1x", b"GET /x  HTTP/1.1", b"\r\nGET /",
                     b"GET /x y HTTP/1.1", b"PRI * HTTP/2.0", b"G\0T / ",
                     b"\x16\x03\x01\x02\x00\x01\x00", b"\x80\x2e\x01", b"\n"):
            yield f"line {line}", 400, line + b"\r\n" + self.HOST + b"\r\n"
        for version in (b"0.9", b"1.2", b"2.0", b"3.0"):
            yield f"version {version}", 505, b"GET / HTTP/" + version + \
                b"\r\n" + self.HOST + b"\r\n"
        yield "no host", 400, b"GET / HTTP/1.1\r\n\r\n"
        yield "two hosts", 400, get + self.HOST + b"\r\n"
        yield "malformed host", 400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"
        yield "two keys", 400, get + b"X-Api-Key: a\r\nX-Api-Key: a\r\n\r\n"
        yield "long target", 414, b"GET /" + b"a" * 4096 + b" HTTP/1.1\r\n"
        yield "many fields", 431, get + b"X: y\r\n" * 100 + b"\r\n"
        yield "long head", 431, get + b"X: " + b"y" * 17000 + b"\r\n\r\n"

    def test_each_is_answered_once_and_closed(self):
        other = self.dial()
        before = len(self.sandbox.requests())
        for name, status, data in self.cases():
            with self.subTest(name):
                with rawhttp.Http(self.http) as h:
                    h.send(data + self.HIDDEN * 2)
                    got = h.at_end()
                self.assertEqual([a.status for a in got], [status])
                self.assertEqual(got[0].headers["connection"], "close")
                self.check_error(got[0], status)
                self.assertEqual(other.ask("GET", "/health").status, 200)
        self.check_good()
        asked = [r for r in self.sandbox.requests() if "health" not in r]
        self.assertEqual(len(asked), before + 1, asked)

    def test_what_was_asked_before_it_is_answered(self):
        with rawhttp.Http(self.http) as h:
            h.send(b"GET /health HTTP/1.1\r\n" + self.HOST + b"\r\n" +
                   b"GET /version HTTP/1.1\r\n" + self.HOST + b"\r\n" +
                   b"GET /health HTTP/1.1\r\nX : y\r\n\r\n" + self.HIDDEN)
            self.assertEqual([a.status for a in h.at_end()], [200, 200, 400])

    def test_it_does_not_wait_for_the_end_of_what_is_wrong_already(self):
        for data in (b"\x16", b"GET /x\r\n", b"G\r", b"GET / HTTP/1.1\n",
                     b"GET / HTTP/1.1\r\nX :", b"GET / HTTP/1.1\r\n ",
                     self.POST + b"Transfer-Encoding: chunked\r\n\r\nx"):
            with rawhttp.Http(self.http) as h:
                h.send(data)
                self.assertEqual([a.status for a in h.at_end()], [400], data)

    def test_unknown_methods(self):
        with rawhttp.Http(self.http) as h:
            for method in ("TRACE", "get", "PROPFIND", "X"):
                self.check_error(h.ask(method, "/health"), 501)
            a = h.ask("OPTIONS", "/health")
            self.check_error(a, 405)
            self.assertIn("GET", a.headers["allow"])
            self.assertEqual(h.ask("GET", "/health").status, 200)

    def test_body_of_a_refused_request_is_not_the_next_request(self):
        for method in ("OPTIONS", "TRACE"):
            with rawhttp.Http(self.http) as h:
                h.request(method, "/health", (), self.HIDDEN)
                self.assertEqual(len(h.at_end()), 1)
        # and one of a GET is its body
        with rawhttp.Http(self.http) as h:
            a = h.ask("GET", "/health", (), self.HIDDEN)
            self.assertEqual(a.status, 200)
            self.assertEqual(h.ask("GET", "/version").status, 200)
        self.assertEqual([r for r in self.sandbox.requests()
                          if "hidden" in r], [])

    def test_web_pages_are_refused(self):
        with rawhttp.Http(self.http) as h:
            for field in (("Origin", "http://localhost"), ("Origin", "null"),
                          ("Sec-Fetch-Site", "same-origin")):
                a = h.ask("GET", f"/api/v1/secrets/{SECRET}", [field])
                self.check_error(a, 403, "forbidden")
                self.assertNotIn("access-control-allow-origin", a.headers)
        self.assertEqual(self.sandbox.reads(SECRET), 0)


class Connections(Front):
    def test_keep_alive(self):
        with rawhttp.Http(self.http) as h:
            for _ in range(50):
                self.assertEqual(h.ask("GET", "/health").status, 200)
            h.request("GET", "/health", [("Connection", "close")])
            last = h.at_end()
            self.assertEqual(len(last), 1)
            self.assertEqual(last[0].headers["connection"], "close")
        with rawhttp.Http(self.http) as h:
            h.request("GET", "/health", version="1.0")
            self.assertEqual(len(h.at_end()), 1)
        with rawhttp.Http(self.http) as h:
            h.request("GET", "/health", [("Connection", "keep-alive")],
                      version="1.0")
            self.assertEqual(h.answer().headers["connection"], "keep-alive")
            self.assertEqual(h.ask("GET", "/health").status, 200)

    def test_pipelined_answers_come_in_order(self):
        """Of hits and misses, though the misses take longer."""
        self.check_good()
        self.sandbox.fault("*/secrets/other-1", latencyMs=200, times=1)
        with rawhttp.Http(self.http) as h:
            for name in ("other-1", SECRET, "none-such", SECRET, "other-1"):
                h.request("GET", f"/api/v1/secrets/{name}")
            got = [h.answer() for _ in range(5)]
        self.assertEqual([a.status for a in got], [200, 200, 404, 200, 200])
        self.assertEqual([json.loads(a.body).get("id") for a in got],
                         ["other-1", SECRET, None, SECRET, "other-1"])

    def test_many_in_one_write(self):
        self.check_good()
        with rawhttp.Http(self.http) as h:
            one = (f"GET /api/v1/secrets/{SECRET} HTTP/1.1\r\n"
                   "Host: x\r\n\r\n").encode()
            thread = threading.Thread(target=h.send, args=(one * 2000,))
            thread.start()
            for _ in range(2000):
                self.assertEqual(h.answer().status, 200)
            thread.join()

    def test_cut_in_pieces(self):
        body = b'{"value": "cut-in-pieces"}'
        self.note_private("cut-in-pieces")
        data = (f"PUT /api/v1/secrets/{SECRET}/value HTTP/1.1\r\n"
                "Host: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        with rawhttp.Http(self.http) as h:
            for i in range(len(data)):
                h.send(data[i:i + 1])
            self.assertEqual(h.answer().status, 200)

    def test_who_does_not_read_does_not_make_memory_grow(self):
        big = value("big") * 1000
        self.sandbox.set(SECRET, value=big)
        one = (f"GET /api/v1/secrets/{SECRET} HTTP/1.1\r\n"
               "Host: x\r\n\r\n").encode()
        self.ask("GET", f"/api/v1/secrets/{SECRET}")
        self.wire().ping()
        before = self.agent.memory_kb()
        held = []
        for _ in range(4):
            h = self.dial()
            h.sock.setblocking(False)
            with self.assertRaises(BlockingIOError):
                while True:
                    h.sock.send(one * 100)
            held.append(h)
        self.assertEqual(self.ask("GET", "/health").status, 200)
        if not harness.SANITIZED:
            self.assertLess(self.agent.memory_kb() - before, 4 * 1024)
        # each still gets all of it
        held[3].sock.settimeout(LONG)
        for _ in range(300):
            self.assertEqual(held[3].answer().status, 200)

    def test_who_leaves_does_not_hold_a_place(self):
        self.sandbox.fault(f"*/secrets/{SECRET}", action="hang")
        for _ in range(20):
            with rawhttp.Http(self.http) as h:
                h.request("GET", f"/api/v1/secrets/{SECRET}")
        self.wait(lambda: self.status()["clients"] <= 1,
                  "those who left are gone")
        self.sandbox.clear()
        self.check_good()

    def test_they_count_for_max_connections(self):
        self.restart_agent({"agent": {"max-connections": "5"}})
        held = [self.dial() for _ in range(5)]
        for h in held:
            self.assertEqual(h.ask("GET", "/health").status, 200)
        with rawhttp.Http(self.http) as h:
            got = h.at_end()
        self.assertEqual([a.status for a in got], [503])
        self.assertIn("max-connections", got[0].body.decode())
        self.assertEqual(got[0].headers["retry-after"], "1")
        held.pop().close()
        self.wait(lambda: len(self.try_one()) > 0, "a place is free")

    def try_one(self):
        with rawhttp.Http(self.http) as h:
            h.request("GET", "/health", [("Connection", "close")])
            return [a for a in h.at_end() if a.status == 200]

    def test_many_at_once(self):
        def one(i):
            with rawhttp.Http(self.http) as h:
                for _ in range(20):
                    a = h.ask("GET", f"/api/v1/secrets/{SECRET}")
                    assert a.status == 200, a
            return i
        at_once(20, one)
        self.assertEqual(self.sandbox.reads(SECRET), 1)

    def test_both_protocols_share_the_cache(self):
        self.check_good()
        self.assertEqual(self.get("web/db"),
                         SEED["secrets"][0]["value"].encode())
        self.assertEqual(self.sandbox.reads(SECRET), 1)


CROWD = """
import socket, sys
held = []
try:
    while len(held) < 200:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(sys.argv[1])
        s.sendall(b"GET /health HTTP/1.1\\r\\nHost: x\\r\\n")
        held.append(s)
except OSError:
    pass
print(len(held), flush=True)
sys.stdin.read()
"""


@needs_root
class Crowd(Front):
    """One user takes all connections that it can have."""

    CONF = {"agent": {"socket-mode": "0666", "max-connections": "128"}}

    def test_others_find_a_place(self):
        with subprocess.Popen(
                setpriv("nobody") + [sys.executable, "-c", CROWD, self.http],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
            try:
                self.assertGreater(int(crowd.stdout.readline()), 100)
                for _ in range(10):
                    self.check_good()
                held = [self.dial() for _ in range(8)]
                for h in held:
                    self.assertEqual(h.ask("GET", "/health").status, 200)
            finally:
                crowd.stdin.close()
        self.wait(lambda: self.status()["clients"] < 20, "they have left")


class Time(Front):
    STEERED = True

    def test_half_a_request_and_a_quiet_connection(self):
        half, body, quiet = self.dial(), self.dial(), self.dial()
        half.send(b"GET /health HTTP/1.1\r\nHos")
        body.send(b"POST /api/v1/secrets HTTP/1.1\r\nHost: x\r\n"
                  b"Content-Length: 10\r\n\r\nabc")
        self.assertEqual(quiet.ask("GET", "/health").status, 200)
        # the agent has read what was sent
        self.wait(lambda: self.status()["clients"] >= 4, "all are there")
        self.clock.pass_(29)
        self.assertEqual(quiet.ask("GET", "/health").status, 200)
        body.send(b"d")
        self.clock.pass_(7)
        self.assertEqual(half.at_end(), [])
        self.assertEqual(body.at_end(), [])
        self.assertEqual(quiet.ask("GET", "/health").status, 200)
        self.clock.pass_(130)
        self.assertEqual(quiet.at_end(), [])


class Rules(Front):
    """Who is at the Unix socket is who the kernel says."""

    ALLOW = [
        ("web", {"user": "nobody", "secrets": "web/*"}),
        ("calls", {"user": "daemon", "operations": "call",
                   "paths": "GET /health"}),
    ]
    CONF = {"agent": {"socket-mode": "0666"}}

    def curl(self, path, user, *args):
        p = subprocess.run(
            setpriv(user) + ["curl", "-sS", "--unix-socket", self.http,
                             "-w", "%{http_code}", *args, f"http://x{path}"],
            capture_output=True, timeout=LONG, check=False)
        self.assertEqual(p.returncode, 0, p.stderr)
        return int(p.stdout[-3:]), p.stdout[:-3]

    @needs_root
    @unittest.skipUnless(shutil.which("curl"), "curl is not there")
    def test_each_user_has_what_its_rules_say(self):
        status, body = self.curl(f"/api/v1/secrets/{SECRET}", "nobody")
        self.assertEqual(status, 200, body)
        # a key of the caller changes nothing
        for path in ("/api/v1/secrets/other-1", "/api/v1/secrets/none-such"):
            status, body = self.curl(path, "nobody", "-H",
                                     f"X-Api-Key: {self.key}")
            self.assertEqual(status, 403, body)
            self.assertEqual(json.loads(body)["error"], "forbidden")
        status, body = self.curl(f"/api/v1/secrets/{SECRET}", "daemon")
        self.assertEqual(status, 403)
        self.assertEqual(self.curl("/health", "daemon")[0], 200)

    @needs_root
    @unittest.skipUnless(shutil.which("curl"), "curl is not there")
    def test_socket_mode_and_group(self):
        mode = stat.S_IMODE(os.stat(self.http).st_mode)
        self.assertEqual(mode, 0o666)
        self.restart_agent({"agent": {"socket-mode": "0660",
                                      "socket-group": "daemon"}})
        st = os.stat(self.http)
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_gid),
                         (0o660, ids("daemon")[1]))
        p = subprocess.run(
            setpriv("nobody") + ["curl", "-s", "--unix-socket", self.http,
                                 "http://x/health"],
            capture_output=True, timeout=LONG, check=False)
        self.assertEqual(p.returncode, 7)


class Listening(Front):
    """http-listen= with a token; self.where is the address."""

    ALLOW = [("programs", {"user": "http", "secrets": "web/*",
                           "operations": "read,call",
                           "paths": "GET /health, POST /share/*"})]

    def conf(self, conf=None, allow=None):
        self.token_path = os.path.join(self.dir, "token")
        if not hasattr(self, "where"):
            self.where = free_place()
        host = self.where[0]
        mine = {"agent": {
            "http-listen": f"[{host}]:{self.where[1]}" if ":" in host
            else f"{host}:{self.where[1]}",
            "http-token-file": self.token_path}}
        for section, members in (conf or {}).items():
            mine.setdefault(section, {}).update(members)
        return super().conf(mine, allow)

    def start_agent(self, *args, **kw):
        agent = super().start_agent(*args, **kw)
        if os.path.exists(self.token_path):
            with open(self.token_path, encoding="ascii") as f:
                self.token = f.read().strip()
            self.note_private(self.token)
        return agent

    def with_token(self, path="/health", headers=()):
        return rawhttp.ask(self.where, "GET", path,
                           [("X-Api-Key", self.token), *headers])


class Token(Listening):
    def test_it_is_made_for_its_owner_alone(self):
        st = os.stat(self.token_path)
        self.assertEqual(stat.S_IMODE(st.st_mode), 0o600)
        self.assertRegex(self.token, r"^[0-9a-f]{64}$")
        self.assertEqual(self.with_token().status, 200)
        before = self.token
        self.restart_agent()
        self.assertEqual(self.token, before)
        self.assertEqual(os.listdir(self.dir).count("token"), 1)

    def test_nothing_without_it(self):
        bad = self.token[:-1] + ("0" if self.token[-1] != "0" else "1")
        for headers in ([], [("X-Api-Key", bad)], [("X-Api-Key", "")],
                        [("X-Api-Key", self.key)],
                        [("X-Api-Key", self.token[:-1])],
                        [("X-Api-Key", self.token + "0")],
                        [("Authorization", f"Basic {self.token}")],
                        [("Authorization", self.token)],
                        [("Authorization", f"Bearer {bad}")],
                        [("Cookie", f"X-Api-Key={self.token}")]):
            for path in ("/health", f"/api/v1/secrets/{SECRET}"):
                a = rawhttp.ask(self.where, "GET", path, headers)
                self.check_error(a, 401, "unauthorized")
        self.assertEqual(self.sandbox.reads(SECRET), 0)
        self.assertIn("http: HTTP request refused: the local token",
                      self.agent.log())
        a = rawhttp.ask(self.where, "GET", "/health",
                        [("Authorization", f"bearer {self.token}")])
        self.assertEqual(a.status, 200)

    def test_share_links_are_opened_without_it(self):
        # The official SDK sends no header with these.
        link = self.sandbox.api("POST", "/vault/share", {"secretId": SECRET})
        path = "/api/v1/share/" + link["token"]
        a = rawhttp.ask(self.where, "POST", path, [
            ("Content-Type", "application/json")], b"{}")
        self.assertEqual(a.status, 200, a.body)
        self.assertEqual(json.loads(a.body)["accessCount"], 1)
        self.assertIs(self.sandbox.control("GET", "/log")["requests"][-1][
            "hasApiKey"], False)
        # A token that is another one, a page and another host are refused.
        for headers, status in (([("X-Api-Key", "wrong")], 401),
                                ([("Authorization", "Bearer wrong")], 401),
                                ([("Origin", "http://evil.example")], 403)):
            a = rawhttp.ask(self.where, "POST", path, headers, b"{}")
            self.check_error(a, status)
        for method, other in (("GET", path), ("POST", "/api/v1/secrets"),
                              ("POST", "/api/v1/vault/share")):
            a = rawhttp.ask(self.where, method, other, [], b"{}")
            self.check_error(a, 401)

    def test_rules_see_the_user_http(self):
        a = self.with_token(f"/api/v1/secrets/{SECRET}")
        self.assertEqual(a.status, 200, a.body)
        a = self.with_token("/api/v1/secrets/other-1")
        self.check_error(a, 403, "forbidden")
        # who is at the other socket needs none, and is somebody else
        self.assertEqual(self.ask("GET", "/api/v1/secrets/other-1").status,
                         200)

    def test_other_hosts_are_not_this_one(self):
        port = self.where[1]
        for host, status in (
                ("localhost", 200), (f"localhost:{port}", 200),
                ("127.0.0.1", 200), (f"127.0.0.1:{port}", 200),
                (f"[::1]:{port}", 200), ("LOCALHOST", 200),
                ("evil.example", 421), (f"evil.example:{port}", 421),
                ("localhost.evil.example", 421), ("", 421),
                (f"localhost:{port + 1}", 421), ("localhost:", 421),
                ("127.0.0.2", 421), ("0.0.0.0", 421), ("localhost.", 421)):
            with rawhttp.Http(self.where) as h:
                h.send(f"GET /health HTTP/1.1\r\nHost: {host}\r\n"
                       f"X-Api-Key: {self.token}\r\n\r\n".encode())
                self.assertEqual(h.answer().status, status, host)

    def test_web_pages_are_refused_with_the_token_too(self):
        for field in (("Origin", f"http://127.0.0.1:{self.where[1]}"),
                      ("Origin", "null"), ("Sec-Fetch-Site", "none")):
            a = self.with_token(headers=[field])
            self.check_error(a, 403, "forbidden")
            self.assertNotIn("access-control-allow-origin", a.headers)
        a = rawhttp.ask(self.where, "OPTIONS", "/health", [
            ("Origin", "http://evil.example"),
            ("Access-Control-Request-Method", "GET")])
        self.check_error(a, 403)

    def test_a_file_that_others_can_read_is_refused(self):
        self.assertEqual(self.agent.stop(), 0)
        for mode, content, saying in (
                (0o640, self.token, "chmod 0600"), (0o604, self.token, "0604"),
                (0o600, "short", "is no token"), (0o600, "", "is no token"),
                (0o600, "with a blank in its middle", "is no token")):
            with open(self.token_path, "w", encoding="ascii") as f:
                f.write(content)
            os.chmod(self.token_path, mode)
            before = len(self.agent.log())
            agent = self.start_agent(wait=False)
            self.expected_status[agent] = 1
            self.assertEqual(agent.ended(), 1)
            self.assertIn(self.token_path, agent.log()[before:])
            self.assertIn(saying, agent.log()[before:])

    def test_default_is_beside_the_socket(self):
        self.assertEqual(self.agent.stop(), 0)
        self.start_agent({"agent": {"http-token-file": None}})
        path = os.path.join(self.run_dir, "http-token")
        with open(path, encoding="ascii") as f:
            self.token = f.read().strip()
        self.note_private(self.token)
        self.assertEqual(self.with_token().status, 200)
        os.unlink(path)

    def test_the_other_loopback(self):
        with socket.socket(socket.AF_INET6) as s:
            try:
                s.bind(("::1", 0))
            except OSError:
                self.skipTest("no IPv6 here")
            port = s.getsockname()[1]
        self.assertEqual(self.agent.stop(), 0)
        self.where = ("::1", port)
        self.start_agent()
        self.assertEqual(self.with_token().status, 200)

    def test_a_second_daemon_takes_nothing(self):
        conf = os.path.join(self.dir, "second.conf")
        with open(self.conf_path, encoding="utf-8") as f:
            text = f.read()
        for old, new in ((self.socket, self.socket + "2"),
                         (self.http, self.http + "2")):
            text = text.replace(f"={old}\n", f"={new}\n")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text)
        self.check_second(conf, "another program listens")
        text = text.replace(f"={self.http}2\n", f"={self.http}\n")
        text = re.sub(r"http-listen=.*\n", "", text)
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text)
        self.check_second(conf, "another qapi-agentd serves it")
        self.assertEqual(self.with_token().status, 200)
        self.check_good()

    def check_second(self, conf, saying):
        p = subprocess.run([self.agent.program, "-c", conf],
                           capture_output=True, text=True, timeout=LONG,
                           check=False)
        self.assertEqual(p.returncode, 1, p.stderr)
        self.assertIn(saying, p.stderr)


class Readme(Listening):
    """The examples of README.md, as they stand there."""

    SEED = {"secrets": [{"id": SECRET, "name": "db/prod/password",
                         "value": value("readme")}]}
    ALLOW = [("programs", {"user": "http", "secrets": "db/**"})]

    def examples(self):
        """(command, lines that it prints)"""
        path = os.path.join(harness.SOURCE, "README.md")
        with open(path, encoding="utf-8") as f:
            text = f.read().split("\n## Use over HTTP\n")[1]
        found = []
        for line in text.split("\n## ")[0].splitlines():
            if line.startswith("    $ "):
                found.append((line[6:], []))
            elif line.startswith("    ") and found:
                found[-1][1].append(line[4:])
        return found

    @unittest.skipUnless(shutil.which("curl"), "curl is not there")
    def test_examples_print_what_it_says(self):
        host, port = self.where
        found = self.examples()
        self.assertEqual(len(found), 6)
        for command, wanted in found:
            for there, here in (
                    ("/run/qapi-agent/http.sock", self.http),
                    ("/run/qapi-agent/http-token", self.token_path),
                    ("127.0.0.1:8200", f"{host}:{port}")):
                command = command.replace(there, here)
            p = subprocess.run(["sh", "-c", command], capture_output=True,
                               text=True, timeout=LONG, check=False)
            self.assertEqual((p.returncode, p.stderr), (0, ""), command)
            pattern = "\n".join(
                ".*".join(re.escape(part) for part in line.split("…"))
                for line in wanted)
            self.assertRegex(p.stdout, f"^{pattern}$", command)


class Checked(Case):
    AUTO = False

    def check(self, *lines):
        with open(self.conf_path, "w", encoding="utf-8") as f:
            f.write("[agent]\n" + "\n".join(lines) + "\n")
        p = subprocess.run([AGENTD, "-c", self.conf_path, "--check"],
                           capture_output=True, text=True, timeout=LONG,
                           check=False)
        return p.returncode, p.stdout + p.stderr

    def test_only_loopback_addresses(self):
        for good in ("127.0.0.1:8200", "127.9.8.7:1", "[::1]:65535"):
            self.assertEqual(self.check(f"http-listen={good}")[0], 0, good)
        for bad in ("0.0.0.0:8200", "192.0.2.1:8200", "[::]:8200",
                    "[2001:db8::1]:80", "8200", ":8200", "127.0.0.1",
                    "127.0.0.1:0", "127.0.0.1:65536", "localhost:8200",
                    "127.0.0.1:8200/x", "::1:8200", "*:8200"):
            status, text = self.check(f"http-listen={bad}")
            self.assertEqual(status, 1, bad)
            self.assertIn("127.0.0.1:PORT", text)

    def test_sockets_are_apart(self):
        status, text = self.check("socket=/run/x/a", "http-socket=/run/x/a")
        self.assertEqual(status, 1)
        self.assertIn("http-socket= is the path of socket=", text)
        status, text = self.check("credentials-socket=/run/x/b",
                                  "http-socket=/run/x/b")
        self.assertEqual(status, 1)
        self.assertIn("credentials-socket=", text)
        self.assertEqual(self.check("http-socket=relative")[0], 1)


class Reload(Listening):
    def reload(self, conf, good=True):
        write_conf(self.conf_path, self.conf(conf))
        said = self.agent.log().count("configuration read again")
        failed = self.agent.log().count("reload failed")
        self.agent.proc.send_signal(signal.SIGHUP)
        if good:
            self.wait(lambda: self.agent.log().count(
                "configuration read again") > said, "it is read again")
        else:
            self.wait(lambda: self.agent.log().count("reload failed") >
                      failed, "it is refused")

    def test_sockets_come_and_go(self):
        open_one = self.dial()
        other = self.http + "2"
        self.reload({"agent": {"http-socket": other}})
        self.assertFalse(os.path.exists(self.http))
        self.assertEqual(rawhttp.ask(other, "GET", "/health").status, 200)
        self.assertEqual(open_one.ask("GET", "/health").status, 200)
        self.reload({"agent": {"http-socket": None}})
        self.assertFalse(os.path.exists(other))
        self.reload({})
        self.check_good()
        self.reload({"agent": {"socket-mode": "0600"}})
        self.assertEqual(stat.S_IMODE(os.stat(self.http).st_mode), 0o600)

    def test_listening_moves_and_ends(self):
        old = self.where
        held = rawhttp.Http(old)
        self.addCleanup(held.close)
        auth = [("X-Api-Key", self.token)]
        self.assertEqual(held.ask("GET", "/health", auth).status, 200)
        self.where = free_place()
        self.reload({})
        self.assertEqual(self.with_token().status, 200)
        with self.assertRaises(ConnectionRefusedError):
            rawhttp.Http(old)
        self.assertEqual(held.ask("GET", "/health", auth).status, 200)
        self.reload({"agent": {"http-listen": None}})
        with self.assertRaises(ConnectionRefusedError):
            rawhttp.Http(self.where)
        # who is connected has no token that fits any more
        self.assertEqual(held.ask("GET", "/health", auth).status, 401)

    def test_token_is_read_again(self):
        new = "another-token-of-the-operator"
        self.note_private(new)
        held = rawhttp.Http(self.where)
        self.addCleanup(held.close)
        auth = [("X-Api-Key", self.token)]
        self.assertEqual(held.ask("GET", "/health", auth).status, 200)
        with open(self.token_path, "w", encoding="ascii") as f:
            f.write(new + "\n")
        self.reload({})
        self.assertEqual(held.ask("GET", "/health", auth).status, 401)
        self.assertEqual(held.ask("GET", "/health", [
            ("X-Api-Key", new)]).status, 200)

    def test_what_cannot_be_had_changes_nothing(self):
        old = self.where
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.where = taken.getsockname()
            self.reload({"agent": {"http-socket": self.http + "2",
                                   "socket-mode": "0600"}}, good=False)
        self.assertIn("another program listens there", self.agent.log())
        self.where = old
        self.assertEqual(self.with_token().status, 200)
        self.assertFalse(os.path.exists(self.http + "2"))
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o660)
        self.check_good()
        os.chmod(self.token_path, 0o644)
        self.reload({}, good=False)
        self.assertIn("chmod 0600", self.agent.log())
        self.assertEqual(self.with_token().status, 200)


@needs_systemd
class Activated(Front):
    AUTO = False

    def test_socket_of_the_service_manager(self):
        self.start_sandbox()
        path = os.path.join(self.run_dir, "http.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen()
            self.start_agent(listen_fds=[s.fileno()])
            self.check_good()
            self.assertEqual(self.agent.stop(), 0)
        # not the agent's to remove
        os.unlink(path)


if __name__ == "__main__":
    harness.main()
