#!/usr/bin/env python3
"""Tests of qapi-sandbox.

    SANDBOX=path/to/qapi-sandbox python3 test_sandbox.py

Python's standard library only (and the openssl command for the tests of TLS
and PEM). Every test class starts the program on a free port and waits for its
line; nothing sleeps for luck.
"""

import base64
import email.utils
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

SANDBOX = os.path.abspath(os.environ.get("SANDBOX", "./qapi-sandbox"))
BUILT_IN = "qapi_sandbox0000000000000000000000000000"
ALL = "qapi_all"
WAIT = 60  # seconds that nothing here ever needs, sanitizers included
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                  r"[0-9a-f]{12}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class Sandbox:
    """The program, started; ends it cleanly in stop()."""

    def __init__(self, *args, seed=None, listen="127.0.0.1:0"):
        self.dir = tempfile.mkdtemp(prefix="qapi-sandbox-test-")
        argv = [SANDBOX, "--listen", listen, *args]
        if seed is not None:
            path = os.path.join(self.dir, "seed.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(seed, f)
            argv += ["--seed", path]
        self.err = open(os.path.join(self.dir, "stderr"), "w+",
                        encoding="utf-8")
        self.proc = subprocess.Popen(argv, stdout=subprocess.PIPE,
                                     stderr=self.err, text=True)
        self.line = self.proc.stdout.readline()
        m = re.fullmatch(r"qapi-sandbox: listening on "
                         r"(https?)://(\[?[0-9a-f.:]+\]?):(\d+)\n", self.line)
        if m is None:
            self.proc.wait(WAIT)
            self.err.seek(0)
            raise AssertionError("no ready line: " + repr(self.line) +
                                 self.err.read())
        self.scheme, self.host, self.port = m[1], m[2].strip("[]"), int(m[3])
        self.conn = None

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=WAIT)

    def raw(self, method, path, key=ALL, body=None, headers=None, conn=None):
        h = {}
        if key is not None:
            h["X-Api-Key"] = key
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else \
                json.dumps(body).encode()
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        conn = conn or self.connect()
        try:
            conn.request(method, path, body=data, headers=h)
            r = conn.getresponse()
            return Answer(r.status, r.headers, r.read())
        finally:
            conn.close()

    def api(self, method, path, body=None, **kw):
        return self.raw(method, "/api/v1" + path, body=body, **kw)

    def control(self, method, path, body=None, **kw):
        return self.raw(method, "/_sandbox" + path, key=None, body=body, **kw)

    def fault(self, **spec):
        a = self.control("POST", "/faults", spec)
        assert a.status == 201, a.body
        return a.json["id"]

    def stop(self, sig=signal.SIGTERM):
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        status = self.proc.wait(WAIT)
        self.proc.stdout.close()
        self.err.seek(0)
        err = self.err.read()
        self.err.close()
        shutil.rmtree(self.dir)
        return status, err


class Case(unittest.TestCase):
    """One sandbox a class; its state is emptied before each test."""

    ARGS = ("--api-key", ALL + ":*",
            "--api-key", "r:secrets:read,keys:read",
            "--api-key", "w:secrets:write,keys:write",
            "--api-key", "none:")
    SEED = None

    @classmethod
    def setUpClass(cls):
        cls.sb = Sandbox(*cls.ARGS, seed=cls.SEED)

    @classmethod
    def tearDownClass(cls):
        status, err = cls.sb.stop()
        if status != 0 or err:
            raise AssertionError(f"status {status}: {err}")

    def setUp(self):
        self.sb.control("DELETE", "/faults")
        self.sb.control("DELETE", "/requests")

    def api(self, *args, **kw):
        return self.sb.api(*args, **kw)

    def ok(self, status, method, path, body=None, **kw):
        a = self.sb.api(method, path, body, **kw)
        self.assertEqual(a.status, status, a.body)
        if status == 204:
            self.assertEqual(a.body, b"")
            self.assertIsNone(a.headers["Content-Length"])
            return None
        self.assertEqual(a.headers["Content-Type"],
                         "application/json; charset=utf-8")
        return a.json

    def error(self, status, code, method, path, body=None, **kw):
        a = self.sb.api(method, path, body, **kw)
        self.assertEqual(a.status, status, a.body)
        self.assertEqual(a.json["error"], code)
        self.assertIsInstance(a.json["message"], str)
        return a.json

    def secret(self, **kw):
        body = {"name": "n" + os.urandom(6).hex(), "value": "v"}
        body.update(kw)
        return self.ok(201, "POST", "/secrets", body)

    def key(self, algorithm="Ed25519", key_type="signing", **kw):
        body = {"name": "k" + os.urandom(6).hex(), "keyType": key_type,
                "algorithm": algorithm}
        body.update(kw)
        return self.ok(201, "POST", "/keys", body)


class CommandLine(unittest.TestCase):
    def run_it(self, *args):
        return subprocess.run([SANDBOX, *args], capture_output=True,
                              text=True, timeout=WAIT, check=False)

    def test_help_and_version(self):
        p = self.run_it("--help")
        self.assertEqual(p.returncode, 0)
        self.assertIn(BUILT_IN, p.stdout)
        self.assertIn("random bytes", p.stdout)
        p = self.run_it("--version")
        self.assertEqual(p.returncode, 0)
        self.assertTrue(p.stdout.startswith("qapi-sandbox "))

    def test_usage_errors(self):
        for args, hint in ((("--lisen", "x"), "--listen"),
                           (("--seeed=x",), "--seed"),
                           (("--frobnicate",), "--help"),
                           (("word",), "word"),
                           (("--seed",), "argument"),
                           (("--tls", "a"), "two arguments"),
                           (("--api-key", "nocolon"), "KEY:scope"),
                           (("--rate-limit", "many"), "from 0"),
                           (("--rate-limit", "-1"), "from 0"),
                           (("--listen", "127.0.0.1"), "PORT"),
                           (("--listen", "127.0.0.1:99999"), "PORT"),
                           (("--help=x",), "--help")):
            p = self.run_it(*args)
            self.assertEqual(p.returncode, 2, args)
            self.assertIn(hint, p.stderr)
            self.assertEqual(p.stderr.count("\n"), 1)
            self.assertEqual(p.stdout, "")

    def test_only_loopback(self):
        for addr in ("0.0.0.0:0", "192.0.2.1:80", "[::]:0", "[::2]:1",
                     "[::ffff:127.0.0.1]:0"):
            p = self.run_it("--listen", addr)
            self.assertEqual(p.returncode, 1, addr)
            self.assertIn("loopback", p.stderr)

    def test_bad_tls_files(self):
        p = self.run_it("--listen", "127.0.0.1:0", "--tls", "/nonexistent",
                        "/nonexistent")
        self.assertEqual(p.returncode, 1)
        self.assertIn("/nonexistent", p.stderr)

    def test_port_in_use(self):
        sb = Sandbox()
        p = self.run_it("--listen", f"127.0.0.1:{sb.port}")
        self.assertEqual(p.returncode, 1)
        self.assertIn("in use", p.stderr)
        self.assertEqual(sb.stop(), (0, ""))

    def test_restart_on_the_same_port(self):
        sb = Sandbox()
        port = sb.port
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            conn = sb.connect()  # stays open: the server closes first
            conn.request("GET", "/health")
            self.assertEqual(conn.getresponse().status, 200)
            self.assertEqual(sb.stop(sig), (0, ""))
            conn.close()
            sb = Sandbox(listen=f"127.0.0.1:{port}")
        self.assertEqual(sb.stop(), (0, ""))

    def test_other_loopback_addresses(self):
        sb = Sandbox(listen="127.1.2.3:0")
        self.assertEqual(sb.raw("GET", "/health").status, 200)
        self.assertEqual(sb.stop(), (0, ""))
        try:
            with socket.socket(socket.AF_INET6) as s:
                s.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6")
        sb = Sandbox(listen="[::1]:0")
        self.assertEqual(sb.raw("GET", "/health").status, 200)
        self.assertEqual(sb.stop(), (0, ""))

    def test_built_in_key(self):
        sb = Sandbox()
        self.assertEqual(sb.api("GET", "/secrets", key=BUILT_IN).status, 200)
        self.assertEqual(sb.api("GET", "/secrets", key="x").status, 401)
        sb.stop()
        sb = Sandbox("--api-key", "mine:secrets:read")
        self.assertEqual(sb.api("GET", "/secrets", key=BUILT_IN).status, 401)
        self.assertEqual(sb.api("GET", "/secrets", key="mine").status, 200)
        self.assertEqual(sb.stop(), (0, ""))

    def test_tls(self):
        with tempfile.TemporaryDirectory() as d:
            cert, key = os.path.join(d, "c"), os.path.join(d, "k")
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                 "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                 "-keyout", key, "-out", cert],
                check=True, capture_output=True)
            sb = Sandbox("--tls", cert, key)
            self.assertEqual(sb.scheme, "https")
            ctx = ssl.create_default_context(cafile=cert)
            ctx.set_alpn_protocols(["h2", "http/1.1"])

            def conn():
                return http.client.HTTPSConnection(
                    sb.host, sb.port, context=ctx, timeout=WAIT)
            for _ in range(3):
                a = sb.api("GET", "/secrets", key=BUILT_IN, conn=conn())
                self.assertEqual(a.status, 200)
            a = sb.control("POST", "/faults",
                           {"path": "/secrets", "action": "truncate"},
                           conn=conn())
            self.assertEqual(a.status, 201)
            with self.assertRaises((http.client.IncompleteRead,
                                    ssl.SSLError)):
                sb.api("GET", "/secrets", key=BUILT_IN, conn=conn())
            # Plain HTTP to a TLS port must hurt nobody else.
            with self.assertRaises((http.client.HTTPException, OSError)):
                sb.api("GET", "/secrets", key=BUILT_IN)
            a = sb.raw("GET", "/health", conn=conn())
            self.assertEqual(a.status, 200)
            self.assertEqual(sb.stop(), (0, ""))


class Seeds(unittest.TestCase):
    def refused(self, text, *expect):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "s.json")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text if isinstance(text, str) else json.dumps(text))
            p = subprocess.run(
                [SANDBOX, "--listen", "127.0.0.1:0", "--seed", path],
                capture_output=True, text=True, timeout=WAIT, check=False)
        self.assertEqual(p.returncode, 1, text)
        self.assertEqual(p.stdout, "")
        self.assertIn(path, p.stderr)
        for e in expect:
            self.assertIn(e, p.stderr)

    def test_bad_seeds(self):
        self.refused("{\n  nonsense", ":2:")
        self.refused("[]", "must be an object")
        self.refused({"secrets": {}}, "secrets", "array")
        self.refused({"secrets": [{}, 1]}, "secrets[1]", "object")
        self.refused({"secrets": [{"labels": "x"}]}, "secrets[0].labels")
        self.refused({"secrets": [{"value": 1}]}, "secrets[0].value")
        self.refused({"secrets": [{"version": 0}]}, "secrets[0].version")
        self.refused({"secrets": [{"expiresAt": "x"}]},
                     "secrets[0].expiresAt", "RFC 3339")
        self.refused({"secrets": [{"isActive": None}]}, "secrets[0].isActive")
        self.refused({"secrets": [{"id": "a"}, {"id": "a"}]},
                     "secrets[1].id", "twice")
        self.refused({"secrets": [{"history": [{"version": 1}]}]},
                     "secrets[0].history[0].value")
        self.refused({"keys": [{"algorithm": "ROT13"}]}, "keys[0].algorithm")
        self.refused({"tenants": []}, "tenants", "object")
        self.refused({"tenants": {"x": {"secrets": [{"value": 1}]}}},
                     "secrets[0].value")
        self.refused({"keys": [{"algorithm": "Ed25519",
                                "keyType": "encryption"}]}, "keys[0].keyType")
        self.refused({"keys": [{"algorithm": "Ed25519",
                                "publicKey": "AAAA"}]}, "keys[0].publicKey")
        self.refused({"apiKeys": [{"key": "k"}]}, "apiKeys[0].scopes")
        self.refused({"apiKeys": [{"scopes": []}]}, "apiKeys[0].key")
        p = subprocess.run([SANDBOX, "--seed", "/nonexistent"],
                           capture_output=True, text=True, check=False)
        self.assertEqual(p.returncode, 1)
        self.assertIn("/nonexistent: No such file", p.stderr)

    def test_warning(self):
        sb = Sandbox(seed={"secret": [], "applications": [], "whatever": 1,
                           "roles": [], "shares": []})
        status, err = sb.stop()
        self.assertEqual(status, 0)
        self.assertIn('did you mean "secrets"', err)
        self.assertEqual(err.count("\n"), 1)

    def test_full_seed(self):
        big = "x" * (16 * 1024 * 1024)
        sb = Sandbox(seed={
            "apiKeys": [{"key": ALL, "scopes": ["*"], "name": "ci"},
                        {"key": "old", "scopes": ["*"],
                         "expiresAt": "2020-01-01T00:00:00Z"}],
            "secrets": [
                {"id": "sec_abc123", "name": "a/b", "value": "v7",
                 "version": 7, "createdAt": "2026-05-08T12:00:00Z",
                 "updatedAt": "2026-05-09T12:00:00+02:00",
                 "expiresAt": "2020-05-08T12:00:00Z", "isActive": True,
                 "content_type": "password", "futureField": {"x": [1]},
                 "history": [{"version": 6, "value": "v6",
                              "changedBy": "me"},
                             {"version": 5, "value": "v5"}]},
                {"id": "off", "isActive": False},
                {"id": "twin1", "name": "twin"},
                {"id": "twin2", "name": "twin"},
                {"id": "big", "value": big},
                {}],
            "keys": [{"id": "key_xyz789", "algorithm": "Ed25519",
                      "keyMaterial": base64.b64encode(bytes(32)).decode(),
                      "version": 4, "labels": ["x"]},
                     {"algorithm": "HMAC", "isDefault": True}]})
        g = sb.api("GET", "/secrets/sec_abc123?include=all").json
        self.assertEqual(g["version"], 7)
        self.assertEqual(g["contentType"], "password")
        self.assertEqual(g["createdAt"], "2026-05-08T12:00:00Z")
        self.assertEqual(g["updatedAt"], "2026-05-09T12:00:00+02:00")
        self.assertEqual(g["expiresAt"], "2020-05-08T12:00:00Z")
        self.assertEqual(g["futureField"], {"x": [1]})
        self.assertEqual(sb.api("GET", "/secrets/off").status, 404)
        h = sb.api("GET", "/secrets/sec_abc123/history").json
        self.assertEqual([(v["version"], v["value"]) for v in h["versions"]],
                         [(7, "v7"), (6, "v6"), (5, "v5")])
        self.assertEqual(
            sb.api("GET", "/secrets/sec_abc123?version=6").json["value"],
            "v6")
        rows = sb.api("GET", "/secrets?search=TWIN").json["secrets"]
        self.assertEqual([r["id"] for r in rows], ["twin1", "twin2"])
        self.assertEqual(sb.api("GET", "/secrets/big").json["value"], big)
        rows = sb.api("GET", "/secrets?includeInactive=true").json["secrets"]
        self.assertEqual(rows[0]["id"], "sec_abc123")
        self.assertEqual(len(rows), 6)
        self.assertEqual(sum(bool(UUID.match(r["id"])) for r in rows), 1)
        self.assertEqual(sb.api("GET", "/secrets", key="old").status, 401)
        k = sb.api("GET", "/keys/key_xyz789").json
        self.assertEqual(k["version"], 4)
        self.assertEqual(
            base64.b64decode(k["publicKey"]).hex(),
            "3b6a27bcceb6a42d62a3a8d02a6f0d73"
            "653215771de243a63ac048a18b59da29")
        s = sb.api("POST", "/secrets", {"name": "n", "value": "v"}).json
        self.assertEqual(sb.api("GET", f"/secrets/{s['id']}?include=all")
                         .json["createdBy"], "apikey:ci")
        self.assertEqual(sb.stop(), (0, ""))


class System(Case):
    def test_health_and_version(self):
        for path in ("/health", "/api/v1/health"):
            a = self.sb.raw("GET", path, key=None)
            self.assertEqual(a.status, 200)
            self.assertEqual(a.json["status"], "Healthy")
            self.assertIn("version", a.json)
            self.assertRegex(a.json["timestamp"], TIME)
        a = self.sb.raw("GET", "/version", key=None)
        self.assertEqual(a.status, 200)
        self.assertIn("version", a.json)
        self.assertEqual(self.sb.raw("GET", "/api/v1/version").status, 404)

    def test_head(self):
        a = self.sb.raw("HEAD", "/health", key=None)
        self.assertEqual((a.status, a.body), (200, b""))
        self.assertGreater(int(a.headers["Content-Length"]), 10)
        s = self.secret()
        a = self.api("HEAD", "/secrets/" + s["id"])
        self.assertEqual((a.status, a.body), (200, b""))
        self.assertEqual(self.api("HEAD", "/secrets/none").status, 404)

    def test_authentication(self):
        e = self.error(401, "unauthorized", "GET", "/secrets", key=None)
        self.assertIn("X-Api-Key", e["message"])
        self.error(401, "unauthorized", "GET", "/secrets", key="wrong")
        self.error(401, "unauthorized", "GET", "/secrets", key=None,
                   headers={"Authorization": "Bearer " + ALL})

    def test_every_scope(self):
        """Just the one scope suffices, and all others do not."""
        table = self.sb.control("GET", "/endpoints").json["endpoints"]
        scopes = {e["scope"] for e in table if e.get("scope")}
        for e in table:
            if not e.get("scope"):
                continue
            path = re.sub(r"\{[^}]*\}", "none",
                          e["path"].removeprefix("/api/v1"))
            want = "read" if e["method"] == "GET" or \
                path == "/qrng/entropy" else "write"
            self.assertEqual(e["scope"].split(":")[1], want, e)
            for key, has in (("one", [e["scope"]]),
                             ("rest", sorted(scopes - {e["scope"]}))):
                self.sb.control("PUT", "/api-keys/" + key, {"scopes": has})
            for key in ("none", "rest"):
                err = self.error(403, "insufficient_scope", e["method"],
                                 path, key=key)
                self.assertEqual(err["details"],
                                 {"requiredScope": e["scope"]})
            right = self.api(e["method"], path, key="one")
            self.assertNotIn(right.status, (401, 405), e)
            if right.status == 403:
                self.assertNotEqual(right.json["error"],
                                    "insufficient_scope", e)

    def test_unknown_paths_and_methods(self):
        for path in ("/nothing", "/secrets/a/b/c", "/secretsx", "",
                     "/secrets//history", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n"):
            self.assertIn(self.api("GET", path).status, (404, 400), path)
        self.assertEqual(self.sb.raw("GET", "/").status, 404)
        self.assertEqual(self.sb.raw("GET", "/v1/secrets").status, 404)
        self.assertEqual(self.sb.raw("GET", "/_sandbox/nothing").status, 404)
        a = self.api("PUT", "/secrets")
        self.assertEqual(a.status, 405)
        self.assertEqual(a.json["error"], "method_not_allowed")
        self.assertEqual(a.headers["Allow"], "GET, POST")
        self.assertEqual(self.api("DELETE", "/health").status, 405)
        self.assertEqual(self.api("OPTIONS", "/secrets").status, 405)
        self.assertEqual(self.sb.raw("POST", "/health").status, 405)

    def test_percent_encoding(self):
        s = self.secret()
        coded = "".join(f"%{b:02X}" for b in s["id"].encode())
        self.ok(200, "GET", "/secrets/" + coded)
        self.error(404, "not_found", "GET", "/secrets/a%2Fhistory")
        for bad in ("%", "%2", "%zz", "%00"):
            self.error(400, "invalid_request", "GET", "/secrets/x" + bad)
        self.error(400, "invalid_request", "GET", "/secrets?search=%zz")
        self.ok(200, "GET", "/secrets?search=%2B&novalue&=&&x=1")

    def test_bodies(self):
        post = ("POST", "/secrets")
        for body in (b"", b"{", b"[]", b"1", b'"x"', b"\xff", b"{}x",
                     b'{"name": "x", "value": "\\ud800"}'):
            self.error(400, "invalid_request", *post, body)
        self.error(415, "unsupported_media_type", *post, b"name=x",
                   headers={"Content-Type":
                            "application/x-www-form-urlencoded"})
        self.secret()
        a = self.api(*post, b'{"name":"plus%s","value":""}' %
                     os.urandom(4).hex().encode(),
                     headers={"Content-Type": "application/vnd.x+json; a=b"})
        self.assertEqual(a.status, 201)
        huge = json.dumps({"name": "x", "value": "x" * (1024 * 1024)})
        self.error(413, "payload_too_large", *post, huge.encode())
        # As the official SDK does: a content type and no content.
        s = self.secret()
        a = self.api("POST", f"/secrets/{s['id']}/deactivate", b"",
                     headers={"Content-Length": "0"})
        self.assertEqual(a.status, 204)

    def test_keep_alive_and_pipelining(self):
        with socket.create_connection((self.sb.host, self.sb.port),
                                      WAIT) as s:
            one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
            last = one.replace(b"Host: x", b"Host: x\r\nConnection: close")
            s.sendall(one * 5 + last)
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        self.assertEqual(data.count(b"HTTP/1.1 200 OK"), 6)

    def test_concurrent_clients(self):
        s = self.secret(value="same")
        bad = []

        def work():
            conn = self.sb.connect()
            for _ in range(50):
                conn.request("GET", "/api/v1/secrets/" + s["id"],
                             headers={"X-Api-Key": ALL})
                r = conn.getresponse()
                if json.loads(r.read())["value"] != "same":
                    bad.append(r.status)
            conn.close()
        threads = [threading.Thread(target=work) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(bad, [])


class Secrets(Case):
    ALWAYS = {"id", "name", "value", "version", "contentType", "username",
              "totpSecret", "urls"}
    TOKENS = {"customFields", "notes", "labels", "description", "expiresAt",
              "folderId", "isActive", "isFavorite", "hasTotp",
              "isTravelSafe", "createdAt", "updatedAt", "createdBy",
              "updatedBy"}

    def test_create_and_get(self):
        full = {"description": "d", "contentType": "password",
                "expiresAt": "2036-05-08T12:00:00Z", "labels": ["a", "b"],
                "username": "u", "notes": "n", "urls": [{"url": "https://x"}],
                "customFields": [{"name": "f", "value": "v"}],
                "totpSecret": "JBSWY3DPEHPK3PXP", "folderId": "f",
                "isFavorite": True, "isTravelSafe": True}
        s = self.secret(**full)
        self.assertRegex(s["id"], UUID)
        self.assertEqual(s["version"], 1)
        self.assertEqual(s["value"], "v")
        self.assertRegex(s["createdAt"], TIME)
        self.assertEqual(set(s), self.ALWAYS | self.TOKENS)
        g = self.ok(200, "GET", f"/secrets/{s['id']}?include=all")
        self.assertEqual(g, s)
        for name, value in full.items():
            self.assertEqual(g[name], value, name)
        self.assertIs(g["hasTotp"], True)
        self.assertIs(g["isActive"], True)
        self.assertIsNone(g["updatedAt"])

    def test_create_in_snake_case(self):
        s = self.secret(content_type="x", contentType="y",
                        expires_at="2036-05-08T12:00:00.123Z",
                        custom_fields=[{"content_type": "keep"}],
                        totp_secret="T")
        self.assertEqual(s["contentType"], "y")
        self.assertEqual(s["expiresAt"], "2036-05-08T12:00:00.123Z")
        self.assertEqual(s["customFields"], [{"content_type": "keep"}])
        self.assertEqual(s["totpSecret"], "T")

    def test_create_minimal_never_null(self):
        s = self.secret(isFavorite=None)
        for name in ("isFavorite", "hasTotp", "isActive"):
            self.assertIsInstance(s[name], bool)

    def test_create_refuses(self):
        bad = {"name": ["", "x" * 256, None, 1, "a\0b"], "value": [None, 1,
               "x" * (64 * 1024 + 1)], "description": ["x" * 1001, 1],
               "contentType": ["x" * 101], "username": ["x" * 256],
               "expiresAt": ["tomorrow", 1], "labels": ["x", [1]],
               "urls": [[1], [{"url": 1}]], "customFields": ["x", [1]],
               "isFavorite": ["yes"]}
        for field, values in bad.items():
            for v in values:
                body = {"name": "x", "value": "v", field: v}
                e = self.error(400, "invalid_request", "POST", "/secrets",
                               body)
                self.assertEqual(list(e["details"]["fields"]), [field])
        e = self.error(400, "invalid_request", "POST", "/secrets", {})
        self.assertEqual(set(e["details"]["fields"]), {"name", "value"})
        self.secret(name="é" * 255, value="x" * (64 * 1024))

    def test_name_conflict(self):
        s = self.secret()
        self.error(409, "secret_name_conflict", "POST", "/secrets",
                   {"name": s["name"], "value": "x"})
        t = self.secret()
        self.error(409, "secret_name_conflict", "PATCH",
                   "/secrets/" + t["id"], {"name": s["name"]})
        self.ok(200, "PATCH", "/secrets/" + t["id"], {"name": t["name"]})
        self.ok(204, "DELETE", "/secrets/" + s["id"])
        self.secret(name=s["name"])

    def test_projection(self):
        s = self.secret(notes="n", description="d")
        path = "/secrets/" + s["id"]
        g = self.ok(200, "GET", path)
        self.assertEqual(set(g), self.ALWAYS)
        for token in self.TOKENS:
            g = self.ok(200, "GET", path + "?include=" + token)
            self.assertEqual(set(g), self.ALWAYS | {token})
        for token in ("all", "metadata", "notes,all"):
            g = self.ok(200, "GET", path + "?include=" + token)
            self.assertEqual(set(g), self.ALWAYS | self.TOKENS)
        g = self.ok(200, "GET", path +
                    "?include=notes%2ClABels".replace("lABels", "labels") +
                    "&include=description&include=")
        self.assertEqual(set(g), self.ALWAYS | {"notes", "labels",
                                                "description"})
        self.assertEqual((g["notes"], g["description"], g["labels"]),
                         ("n", "d", None))
        for token in ("bogus", "Notes", "notes,bogus", "value", " notes"):
            self.error(400, "invalid_request", "GET",
                       path + "?include=" + urllib.parse.quote(token))

    def test_encoding_on_the_wire(self):
        value = "a+b<c>&d'e\"f`g\\h/\u00e9\U0001f600\x00\x7f\n\t\b\x1b"
        s = self.secret(value=value)
        a = self.api("GET", "/secrets/" + s["id"])
        self.assertEqual(a.json["value"], value)
        self.assertIn(
            rb'"a\u002Bb\u003Cc\u003E\u0026d\u0027e\u0022f\u0060g\\h/'
            rb'\u00E9\uD83D\uDE00\u0000\u007F\n\t\b\u001B"', a.body)
        self.assertNotIn(b" ", a.body)
        a.body.decode("ascii")

    def test_rotation_and_versions(self):
        s = self.secret(value="v1", username="u1")
        path = "/secrets/" + s["id"]
        self.ok(200, "PATCH", path, {"username": "u2"})
        for n in range(2, 26):
            r = self.ok(200, "PUT", path + "/value",
                        {"value": f"v{n}", "restoredFromVersion": 1})
            self.assertEqual((r["id"], r["version"]), (s["id"], n))
            self.assertIsNone(r["updatedAt"])
            self.assertEqual(set(r), (self.ALWAYS | self.TOKENS) - {"value"})
        self.assertEqual(self.ok(200, "GET", path)["value"], "v25")
        g = self.ok(200, "GET", path + "?version=7&include=createdAt")
        self.assertEqual((g["value"], g["version"], g["createdAt"]),
                         ("v7", 7, s["createdAt"]))
        self.assertEqual(
            self.ok(200, "GET", path + "?version=25")["value"], "v25")
        for n in (1, 5, 26):
            self.error(404, "not_found", "GET", path + f"?version={n}")
        for n in ("0", "-1", "x", "", "1x", "99999999999999999999"):
            self.error(400, "invalid_request", "GET", path + "?version=" + n)
        h = self.ok(200, "GET", path + "/history")
        self.assertEqual(h["secretId"], s["id"])
        self.assertEqual([v["version"] for v in h["versions"]],
                         [25, 24, 23, 22, 21])
        self.assertEqual(h["versions"][0]["value"], "v25")
        self.assertEqual(h["versions"][0]["changedBy"], "apikey:sandbox-1")
        self.assertRegex(h["versions"][1]["createdAt"], TIME)
        h = self.ok(200, "GET", path + "/history?maxVersions=20")
        self.assertEqual(len(h["versions"]), 20)
        for n in ("0", "21", "x"):
            self.error(400, "invalid_request", "GET",
                       path + "/history?maxVersions=" + n)

    def test_put_value_refuses(self):
        path = f"/secrets/{self.secret()['id']}/value"
        for body in ({}, {"value": None}, {"value": 1},
                     {"value": "x" * 65537},
                     {"value": "x", "restoredFromVersion": "1"}):
            self.error(400, "invalid_request", "PUT", path, body)
        self.error(404, "not_found", "PUT", "/secrets/none/value",
                   {"value": "x"})

    def test_patch(self):
        s = self.secret(notes="n")
        path = "/secrets/" + s["id"]
        p = self.ok(200, "PATCH", path,
                    {"content_type": "c", "is_favorite": True,
                     "notes": None, "custom_fields": [], "value": "ignored",
                     "version": 9, "isActive": False})
        self.assertEqual((p["contentType"], p["isFavorite"], p["notes"],
                          p["customFields"], p["version"], p["isActive"]),
                         ("c", True, None, [], 1, True))
        self.assertNotIn("value", p)
        self.assertRegex(p["updatedAt"], TIME)
        self.assertEqual(p["updatedBy"], "apikey:sandbox-1")
        self.assertEqual(self.ok(200, "GET", path)["value"], "v")
        seen = {p["updatedAt"]}
        for n in range(5):  # within one second, and yet all different
            p = self.ok(200, "PATCH", path, {"notes": str(n)})
            seen.add(p["updatedAt"])
        self.assertEqual(len(seen), 6)
        for body in ({"name": None}, {"name": ""}, {"labels": 1}):
            self.error(400, "invalid_request", "PATCH", path, body)
        self.error(404, "not_found", "PATCH", "/secrets/none", {})

    def test_deactivate_activate_delete(self):
        s = self.secret()
        path = "/secrets/" + s["id"]
        for _ in range(2):
            self.ok(204, "POST", path + "/deactivate")
        self.error(404, "not_found", "GET", path)
        self.error(404, "not_found", "GET", path + "/history")
        search = "/secrets?search=" + s["name"]
        self.assertEqual(self.ok(200, "GET", search)["total"], 0)
        rows = self.ok(200, "GET", search + "&includeInactive=true")
        self.assertEqual(rows["secrets"][0]["isActive"], False)
        for _ in range(2):
            self.ok(204, "POST", path + "/activate")
        self.assertEqual(self.ok(200, "GET", path)["value"], "v")
        self.assertEqual(self.ok(200, "GET", search)["total"], 1)
        self.ok(204, "DELETE", path)
        self.error(404, "not_found", "DELETE", path)
        self.error(404, "not_found", "GET", path)
        self.error(404, "not_found", "POST", path + "/activate")
        self.error(404, "not_found", "POST", path + "/deactivate")
        self.error(404, "not_found", "GET", path + "/history")

    def test_import(self):
        old = self.secret(name="import/old")
        r = self.ok(200, "POST", "/secrets/import", {"items": [
            {"name": "import/old", "value": "new", "description": "d"},
            {"name": "import/new", "value": "x", "content_type": "c",
             "labels": ["l"]},
            {"name": "import/bad"}, {"name": "", "value": "x"}, 7]})
        self.assertEqual(r, {"created": 1, "updated": 1, "failed": 3})
        g = self.ok(200, "GET", f"/secrets/{old['id']}?include=all")
        self.assertEqual((g["value"], g["version"], g["description"]),
                         ("new", 2, "d"))
        row = self.ok(200, "GET", "/secrets?search=import/new")["secrets"][0]
        self.assertEqual((row["contentType"], row["labels"]), ("c", ["l"]))
        for body in ({}, {"items": {}}, {"items": None}):
            self.error(400, "invalid_request", "POST", "/secrets/import",
                       body)
        self.error(404, "not_found", "GET", "/secrets/import")


class SecretLists(Case):
    SEED = {"secrets": [
        {"id": f"s{n:03}", "name": f"app/{'Even' if n % 2 == 0 else 'odd'}"
         f"/{n:03}", "value": f"value-{n}", "notes": "n",
         "contentType": "password" if n % 3 == 0 else None,
         "labels": ["five", "x"] if n % 5 == 0 else None,
         "isActive": n % 10 != 7,
         "createdAt": f"2026-01-{28 - n // 10:02}T00:00:00Z"}
        for n in range(230)]}

    def test_envelope_and_order(self):
        r = self.ok(200, "GET", "/secrets")
        self.assertEqual(set(r), {"secrets", "total", "page", "pageSize",
                                  "page_size", "hasMore", "has_more"})
        self.assertEqual((r["total"], r["page"], r["pageSize"],
                          r["page_size"], r["hasMore"], r["has_more"]),
                         (207, 1, 50, 50, True, True))
        row = r["secrets"][0]
        self.assertEqual(row["id"], "s220")
        self.assertEqual(
            set(row), (Secrets.ALWAYS | Secrets.TOKENS) -
            {"value", "notes", "customFields", "totpSecret"})

    def collect(self, query, size):
        rows, page = [], 1
        while True:
            r = self.ok(200, "GET", f"/secrets?page={page}&pageSize={size}"
                        + query)
            self.assertEqual(r["pageSize"], min(size, 200))
            rows += r["secrets"]
            if not r["hasMore"]:
                self.assertEqual(len(rows), r["total"])
                past = self.ok(200, "GET", f"/secrets?page={page + 1}"
                               f"&pageSize={size}{query}")
                self.assertEqual((past["secrets"], past["hasMore"]),
                                 ([], False))
                return rows
            self.assertEqual(len(r["secrets"]), min(size, 200))
            page += 1

    def test_paging(self):
        for size in (1 if os.environ.get("SLOW") else 23, 50, 69, 200, 5000):
            for query, n in (("", 207), ("&includeInactive=false", 207),
                             ("&includeInactive=true", 230)):
                rows = self.collect(query, size)
                self.assertEqual(len({r["id"] for r in rows}), n)
                order = [(r["createdAt"], r["id"]) for r in rows]
                self.assertEqual(order, sorted(order))

    def test_filters(self):
        def ids(query):
            return {r["id"] for r in self.collect(query, 200)}
        both = "&includeInactive=true"
        self.assertEqual(ids(both + "&contentType=password"),
                         {f"s{n:03}" for n in range(0, 230, 3)})
        self.assertEqual(ids(both + "&label=five"),
                         {f"s{n:03}" for n in range(0, 230, 5)})
        self.assertEqual(ids(both + "&search=EVEN%2F"),
                         {f"s{n:03}" for n in range(0, 230, 2)})
        self.assertEqual(ids("&search=odd&label=x&contentType=password"),
                         {f"s{n:03}" for n in range(15, 230, 30)})
        self.assertEqual(ids("&label=fiv"), set())

    def test_bad_parameters(self):
        for q in ("page=0", "page=x", "page=", "pageSize=0", "pageSize=-1",
                  "pageSize=1e3", "page=99999999999", "includeInactive=maybe",
                  "pageSize=%201"):
            self.error(400, "invalid_request", "GET", "/secrets?" + q)


class Keys(Case):
    FIELDS = {"id", "name", "keyType", "algorithm", "version", "createdAt",
              "status", "description", "purpose", "isDefault", "publicKey",
              "updatedAt", "expiresAt", "labels", "isPostQuantum",
              "isActive", "isFavorite", "lastRotatedAt", "state",
              "scheduledDeletionDate", "minDecryptionVersion",
              "versionCount"}
    TOKENS = {"name", "description", "keyType", "isPostQuantum", "isActive",
              "isDefault", "isFavorite", "createdAt", "expiresAt",
              "lastRotatedAt", "labels", "state", "scheduledDeletionDate"}
    PUBLIC = {"keyId", "id", "algorithm", "version", "publicKey", "format"}

    def test_create_and_get(self):
        k = self.key(description="d", expiresAt="2036-01-01T00:00:00Z",
                     labels=["l"], purpose="signing", setAsDefault=True)
        self.assertEqual(set(k), self.FIELDS)
        self.assertRegex(k["id"], UUID)
        self.assertEqual(
            (k["keyType"], k["purpose"], k["version"], k["status"],
             k["state"], k["isActive"], k["isDefault"], k["isPostQuantum"],
             k["versionCount"], k["minDecryptionVersion"], k["labels"]),
            ("signing", "signing", 1, "active", "active", True, True, False,
             1, 1, ["l"]))
        self.assertEqual(self.ok(200, "GET", "/keys/" + k["id"]), k)
        self.error(404, "not_found", "GET", "/keys/none")

    def test_create_refuses(self):
        good = {"name": "x", "keyType": "signing", "algorithm": "Ed25519"}
        for field, values in {
                "name": ["", "x" * 101, None], "keyType": ["Signing", None,
                                                           "encryption"],
                "algorithm": ["RSA-1", None, 1], "description": ["x" * 501],
                "expiresAt": ["x"], "labels": ["x"],
                "setAsDefault": ["x"]}.items():
            for v in values:
                e = self.error(400, "invalid_request", "POST", "/keys",
                               {**good, field: v})
                self.assertIn(field, e["details"]["fields"])
        k = self.key()
        self.error(409, "key_name_conflict", "POST", "/keys",
                   {**good, "name": k["name"]})

    def test_old_clients_send_purpose(self):
        body = {"name": "purpose", "purpose": "encryption",
                "algorithm": "AES-256-GCM"}
        k = self.ok(201, "POST", "/keys", body)
        self.assertEqual((k["keyType"], k["publicKey"]), ("encryption", None))

    def der_of(self, pem):
        p = subprocess.run(["openssl", "asn1parse"], input=pem, text=True,
                           capture_output=True, check=True)
        return p.stdout

    def test_every_algorithm(self):
        for name, use, raw_len, jwk, oid in (
                ("ML-KEM-512", "encryption", 800, "AKP", ".4.4.1"),
                ("ML-KEM-768", "encryption", 1184, "AKP", ".4.4.2"),
                ("ML-KEM-1024", "encryption", 1568, "AKP", ".4.4.3"),
                ("ML-DSA-44", "signing", 1312, "AKP", ".4.3.17"),
                ("ML-DSA-65", "signing", 1952, "AKP", ".4.3.18"),
                ("ML-DSA-87", "signing", 2592, "AKP", ".4.3.19"),
                ("SLH-DSA-128s", "signing", 32, "AKP", ".4.3.20"),
                ("Ed25519", "signing", 32, "OKP", "ED25519"),
                ("X25519", "encryption", 32, "OKP", "X25519"),
                ("RSA-2048", "signing", 270, "RSA", "rsaEncryption"),
                ("RSA-3072", "encryption", 398, "RSA", "rsaEncryption"),
                ("ECDSA", "signing", 65, "EC", "prime256v1"),
                ("ECDSA-P256", "signing", 65, "EC", "prime256v1"),
                ("ECDSA-P384", "signing", 97, "EC", "secp384r1"),
                ("ECDSA-P521", "signing", 133, "EC", "secp521r1")):
            with self.subTest(name):
                k = self.key(name, use)
                self.assertEqual(k["algorithm"], name)
                self.assertEqual(k["isPostQuantum"], jwk == "AKP")
                path = f"/keys/{k['id']}/public"
                raw = self.ok(200, "GET", path)
                self.assertEqual(set(raw), self.PUBLIC)
                self.assertEqual((raw["keyId"], raw["version"],
                                  raw["format"], raw["publicKey"]),
                                 (k["id"], 1, "raw", k["publicKey"]))
                data = base64.b64decode(raw["publicKey"])
                self.assertEqual(len(data), raw_len)
                der = self.ok(200, "GET", path + "?format=der")
                pem = self.ok(200, "GET", path + "?format=pem")
                lines = pem["publicKey"].strip().split("\n")
                self.assertEqual("".join(lines[1:-1]), der["publicKey"])
                self.assertTrue(
                    base64.b64decode(der["publicKey"]).endswith(data))
                self.assertIn(oid, self.der_of(pem["publicKey"]))
                j = self.ok(200, "GET", path + "?format=jwk&include=bogus")
                self.assertEqual((j["kty"], j["kid"]), (jwk, k["id"]))
                first = {"AKP": "pub", "RSA": "n"}.get(jwk, "x")
                part = base64.urlsafe_b64decode(j[first] + "==")
                self.assertIn(part, data)
                self.assertNotIn("=", j[first])
                a = self.ok(200, "GET", f"/keys/{k['id']}/public-key")
                self.assertEqual(a["publicKey"], pem["publicKey"])
        for name, use in (("AES-256-GCM", "encryption"),
                          ("AES-128-GCM", "encryption"), ("HMAC", "hmac"),
                          ("HMAC-SHA512", "hmac")):
            k = self.key(name, use)
            self.assertIsNone(k["publicKey"])
            for q in ("", "?format=pem", "?format=jwk", "?format=der"):
                self.error(409, "conflict", "GET",
                           f"/keys/{k['id']}/public{q}")
            self.error(409, "conflict", "GET", f"/keys/{k['id']}/public-key")

    def test_public_projection(self):
        k = self.key(description="d")
        path = f"/keys/{k['id']}/public"
        for token in self.TOKENS:
            g = self.ok(200, "GET", f"{path}?include={token}&format=pem")
            self.assertEqual(set(g), self.PUBLIC | {token})
        for token in ("all", "metadata"):
            g = self.ok(200, "GET", f"{path}?include={token}")
            self.assertEqual(set(g), self.PUBLIC | self.TOKENS)
        self.error(400, "invalid_request", "GET", path + "?include=status")
        self.error(400, "invalid_request", "GET", path + "?format=PEM")
        self.error(400, "invalid_request", "GET", path + "?format=pkcs8")
        self.error(404, "not_found", "GET", "/keys/none/public")
        self.error(404, "not_found", "GET", "/keys/none/public-key")
        self.error(400, "invalid_request", "GET", path + "-key?format=raw")
        der = self.ok(200, "GET", path + "-key?format=der")
        self.assertEqual(len(base64.b64decode(der["publicKey"])), 44)

    def test_patch(self):
        k = self.key()
        path = "/keys/" + k["id"]
        new = "k" + os.urandom(6).hex()
        p = self.ok(200, "PATCH", path, {"name": new, "description": "x",
                                         "status": "disabled"})
        self.assertEqual((p["name"], p["description"], p["status"],
                          p["isActive"]), (new, "x", "inactive", False))
        self.error(409, "conflict", "POST", path + "/rotate")
        p = self.ok(200, "PATCH", path, {"status": "active",
                                         "description": None})
        self.assertEqual((p["status"], p["description"]), ("active", None))
        for body in ({"status": "inactive"}, {"name": ""},
                     {"description": 1}):
            self.error(400, "invalid_request", "PATCH", path, body)
        self.error(409, "key_name_conflict", "PATCH", path,
                   {"name": self.key()["name"]})
        self.error(404, "not_found", "PATCH", "/keys/none", {})

    def test_delete_schedules(self):
        k = self.key(setAsDefault=True)
        path = "/keys/" + k["id"]
        d = self.ok(200, "DELETE", path + "?scheduleDays=7")
        self.assertEqual((d["status"], d["state"], d["isActive"],
                          d["isDefault"]), ("scheduled_deletion",
                                            "pendingDeletion", False, False))
        t = time.strptime(d["scheduledDeletionDate"], "%Y-%m-%dT%H:%M:%SZ")
        self.assertAlmostEqual(
            time.mktime(t) - time.timezone - time.time(), 7 * 86400,
            delta=60)
        self.assertEqual(self.ok(200, "GET", path)["status"],
                         "scheduled_deletion")
        self.ok(200, "DELETE", path)
        self.error(409, "conflict", "PATCH", path, {"status": "active"})
        self.error(409, "conflict", "POST", path + "/rotate")
        self.error(409, "conflict", "POST", path + "/set-default",
                   {"keyType": "signing"})
        self.error(400, "invalid_request", "DELETE", path +
                   "?scheduleDays=x")
        d = self.ok(200, "DELETE", path + "?scheduleDays=0")
        self.assertEqual(d["status"], "deleted")
        self.error(404, "not_found", "DELETE", path)
        k = self.key()
        self.sb.control("PUT", "/keys/" + k["id"],
                        {"scheduledDeletionDate": "2020-01-01T00:00:00Z"})
        self.error(404, "not_found", "GET", "/keys/" + k["id"])

    def test_rotate_and_versions(self):
        k = self.key()
        path = "/keys/" + k["id"]
        r = self.ok(200, "POST", path + "/rotate")
        self.assertEqual(set(r), self.FIELDS | {
            "keyId", "newVersion", "previousVersion", "rotatedAt"})
        self.assertEqual((r["id"], r["keyId"], r["version"], r["newVersion"],
                          r["previousVersion"], r["isDefault"],
                          r["versionCount"]),
                         (k["id"], k["id"], 2, 2, 1, True, 2))
        self.assertEqual(r["rotatedAt"], r["lastRotatedAt"])
        self.assertNotEqual(r["publicKey"], k["publicKey"])
        other = self.key(setAsDefault=True)
        new = "k" + os.urandom(6).hex()
        r = self.ok(200, "POST", path + "/rotate",
                    {"name": new, "set_as_default": False})
        self.assertEqual((r["name"], r["isDefault"], r["version"]),
                         (new, False, 3))
        self.assertTrue(self.ok(200, "GET", "/keys/" + other["id"])
                        ["isDefault"])
        v = self.ok(200, "GET", path + "/versions")
        self.assertEqual((v["keyName"], v["minDecryptionVersion"]), (new, 1))
        self.assertEqual(
            [(x["version"], x["isActive"], x["state"],
              x["rotatedAt"] is None, x["revokedAt"]) for x in v["versions"]],
            [(3, True, "active", True, None),
             (2, False, "deprecated", False, None),
             (1, False, "deprecated", False, None)])
        for x in v["versions"]:
            self.assertRegex(x["id"], UUID)
        self.error(400, "invalid_request", "POST", path + "/rotate",
                   {"setAsDefault": 1})
        self.error(409, "key_name_conflict", "POST", path + "/rotate",
                   {"name": other["name"]})
        for p in ("/rotate", "/set-default"):
            self.error(404, "not_found", "POST", "/keys/none" + p)
        self.error(404, "not_found", "GET", "/keys/none/versions")

    def test_min_decryption_version(self):
        k = self.key()
        path = "/keys/" + k["id"]
        self.ok(200, "POST", path + "/rotate")
        m = self.ok(200, "PUT", path + "/min-decryption-version",
                    {"minDecryptionVersion": 2})
        self.assertEqual(m, {"keyName": k["name"], "latestVersion": 2,
                             "minDecryptionVersion": 2})
        self.assertEqual(self.ok(200, "GET", path)["minDecryptionVersion"],
                         2)
        for v in (0, 3, "1", None):
            self.error(400, "invalid_min_decryption_version", "PUT",
                       path + "/min-decryption-version",
                       {"minDecryptionVersion": v})
        self.error(404, "not_found", "PUT",
                   "/keys/none/min-decryption-version", {})

    def test_set_default(self):
        a, b = self.key(setAsDefault=True), self.key()
        mac = self.key("HMAC", "hmac", setAsDefault=True)
        self.ok(204, "POST", f"/keys/{b['id']}/set-default",
                {"keyType": "signing"})
        for k, want in ((a, False), (b, True), (mac, True)):
            self.assertIs(self.ok(200, "GET", "/keys/" + k["id"])
                          ["isDefault"], want)
        for body in ({"keyType": "hmac"}, {}, {"keyType": 1}):
            self.error(400, "invalid_request", "POST",
                       f"/keys/{b['id']}/set-default", body)

    def test_list(self):
        def rows(query):
            out, page = [], 1
            while True:
                r = self.ok(200, "GET", f"/keys?page={page}&pageSize=3"
                            + query)
                self.assertEqual(set(r), {"keys", "total", "page",
                                          "pageSize", "hasMore"})
                out += r["keys"]
                if not r["hasMore"]:
                    self.assertEqual(len(out), r["total"])
                    return out
                page += 1
        mine = [self.key("HMAC", "hmac") for _ in range(4)]
        self.ok(200, "POST", f"/keys/{mine[0]['id']}/rotate")
        self.ok(200, "PATCH", "/keys/" + mine[1]["id"],
                {"status": "disabled"})
        got = {k["id"]: k for k in rows("&keyType=hmac")}
        for k in mine:
            self.assertEqual(set(got[k["id"]]), self.FIELDS)
        got = [k["id"] for k in rows("&keyType=hmac&status=inactive")]
        self.assertIn(mine[1]["id"], got)
        self.assertNotIn(mine[0]["id"], got)
        got = [(k["version"], k["state"]) for k in
               rows("&allVersions=true") if k["id"] == mine[0]["id"]]
        self.assertEqual(got, [(1, "deprecated"), (2, "active")])
        self.error(400, "invalid_request", "GET", "/keys?allVersions=x")
        r = self.ok(200, "GET", "/keys?pageSize=1000")
        self.assertEqual(r["pageSize"], 200)

    def imported(self, status, algorithm, key_type, material, fmt, **kw):
        if isinstance(material, str):
            material = material.encode()
        body = {"name": "i" + os.urandom(6).hex(), "key_type": key_type,
                "algorithm": algorithm, "format": fmt,
                "key_material": base64.b64encode(material).decode(), **kw}
        a = self.api("POST", "/keys/import", body)
        self.assertEqual(a.status, status, a.body)
        return a.json

    def openssl(self, *args, data=None):
        return subprocess.run(["openssl", *args], input=data, check=True,
                              capture_output=True).stdout

    def test_import(self):
        for alg, args in (
                ("Ed25519", ["-algorithm", "ed25519"]),
                ("X25519", ["-algorithm", "x25519"]),
                ("RSA-2048", ["-algorithm", "rsa"]),
                ("ECDSA-P256", ["-algorithm", "ec", "-pkeyopt",
                                "ec_paramgen_curve:P-256"]),
                ("ECDSA-P384", ["-algorithm", "ec", "-pkeyopt",
                                "ec_paramgen_curve:P-384"])):
            with self.subTest(alg):
                use = "encryption" if alg == "X25519" else "signing"
                pem = self.openssl("genpkey", *args)
                der = self.openssl("pkey", "-outform", "DER", data=pem)
                pub = self.openssl("pkey", "-pubout", data=pem)
                pub_der = self.openssl("pkey", "-pubout", "-outform", "DER",
                                       data=pem)
                got = []
                for material, fmt, only in (
                        (pem, "pem", False), (der, "der", False),
                        (der, "pkcs8", False), (pub, "pem", True),
                        (pub_der, "der", True)):
                    k = self.imported(201, alg, use, material, fmt,
                                      public_key_only=only)
                    got.append(k["publicKey"])
                p = self.ok(200, "GET", f"/keys/{k['id']}/public?format=pem")
                self.assertEqual(p["publicKey"].encode(), pub)
                jwk = self.api("GET", f"/keys/{k['id']}/public?format=jwk")
                k = self.imported(201, alg, use, jwk.body, "jwk",
                                  public_key_only=True)
                got.append(k["publicKey"])
                k = self.imported(201, alg, use,
                                  base64.b64decode(got[0]), "raw",
                                  public_key_only=True)
                got.append(k["publicKey"])
                self.assertEqual(len(set(got)), 1)
                wrong = "ML-DSA-65" if use == "signing" else "ML-KEM-768"
                self.imported(400, wrong, use, pem, "pem")

    def test_import_secrets_and_stand_ins(self):
        self.imported(201, "AES-256-GCM", "encryption", bytes(32), "raw",
                      set_as_default=True)
        self.imported(201, "HMAC", "hmac", b"x" * 99, "raw")
        self.imported(201, "AES-128-GCM", "encryption",
                      '{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}', "jwk")
        self.imported(400, "AES-256-GCM", "encryption", bytes(31), "raw")
        self.imported(400, "AES-256-GCM", "encryption", bytes(32), "pem")
        k = self.key("ML-DSA-65")
        raw = base64.b64decode(k["publicKey"])
        for fmt in ("raw", "der", "pem", "jwk"):
            a = self.api("GET", f"/keys/{k['id']}/public?format={fmt}")
            material = a.body if fmt == "jwk" else \
                a.json["publicKey"] if fmt == "pem" else \
                base64.b64decode(a.json["publicKey"])
            i = self.imported(201, "ML-DSA-65", "signing", material, fmt,
                              publicKeyOnly=True)
            self.assertEqual(i["publicKey"], k["publicKey"])
        self.imported(400, "ML-DSA-44", "signing", raw, "raw",
                      publicKeyOnly=True)
        one = self.imported(201, "ML-KEM-768", "encryption", bytes(64), "raw")
        two = self.imported(201, "ML-KEM-768", "encryption", bytes(64), "raw")
        self.assertEqual(one["publicKey"], two["publicKey"])

    def test_import_refuses(self):
        good = {"name": "x", "keyType": "signing", "algorithm": "Ed25519",
                "keyMaterial": base64.b64encode(bytes(32)).decode(),
                "format": "raw"}
        for field, values in {
                "format": [None, "RAW", "p12"], "keyMaterial":
                [None, "*", "AAAA", ""], "algorithm": ["x"],
                "publicKeyOnly": ["x"], "name": [None]}.items():
            for v in values:
                e = self.error(400, "invalid_request", "POST",
                               "/keys/import", {**good, field: v})
                self.assertIn(field, e["details"]["fields"])
        for fmt, text in (("jwk", "{"), ("jwk", "[]"), ("jwk", "{}"),
                          ("pem", "-----BEGIN"), ("der", "0"),
                          ("jwk", '{"kty":"OKP","x":"A"}')):
            for alg, use in (("Ed25519", "signing"), ("RSA-2048", "signing"),
                             ("ECDSA", "signing"), ("HMAC", "hmac"),
                             ("ML-DSA-65", "signing")):
                if (alg, fmt) != ("HMAC", "raw"):
                    self.imported(400, alg, use, text, fmt)
                    self.imported(400, alg, use, text, fmt,
                                  publicKeyOnly=True)
        k = self.key()
        self.error(409, "key_name_conflict", "POST", "/keys/import",
                   {**good, "name": k["name"]})


class Faults(Case):
    def setUp(self):
        super().setUp()
        self.s = self.secret(value="x" * 100)
        self.path = "/secrets/" + self.s["id"]
        self.sb.control("DELETE", "/requests")

    def test_status(self):
        for status, code in ((500, "internal_error"), (502, "bad_gateway"),
                             (503, "unavailable"),
                             (504, "gateway_timeout"), (401, "unauthorized"),
                             (403, "forbidden"), (404, "not_found"),
                             (410, "gone"), (409, "conflict"),
                             (429, "rate_limit_exceeded"),
                             (418, "invalid_request")):
            self.sb.fault(path="/secrets/*", status=status, times=1)
            self.error(status, code, "GET", self.path)
            self.ok(200, "GET", self.path)
        self.sb.fault(path="/secrets/*", status=403, error="key_revoked")
        self.error(403, "key_revoked", "GET", self.path)

    def test_status_without_error(self):
        self.sb.fault(path=self.path, status=200, times=1)
        a = self.api("GET", self.path)
        self.assertEqual((a.status, a.body), (200, b""))
        self.sb.fault(path=self.path, status=204, times=1)
        self.ok(204, "GET", self.path)

    def test_retry_after(self):
        self.sb.fault(path="*", status=429, retryAfter=7, times=1)
        a = self.api("GET", self.path)
        self.assertEqual((a.status, a.headers["Retry-After"]), (429, "7"))
        date = "Wed, 21 Oct 2026 07:28:00 GMT"
        self.sb.fault(path="*", status=503, retryAfter=date, times=1)
        a = self.api("GET", self.path)
        self.assertEqual((a.status, a.headers["Retry-After"]), (503, date))

    def test_globs(self):
        for glob, hit in (("/secrets/*", True), ("/api/v1/secrets/*", True),
                          ("*", True), ("/secrets", False), ("/sec?ets/*",
                                                             True),
                          ("*/secrets/*", True), ("secrets/*", False),
                          (self.path, True), ("/api/v1" + self.path, True),
                          ("/keys/*", False), ("*" + self.s["id"], True),
                          ("/secrets/*-*-*-*-*", True), ("/*/x", False)):
            self.sb.fault(path=glob, status=500)
            self.assertEqual(self.api("GET", self.path).status == 500, hit,
                             glob)
            self.sb.control("DELETE", "/faults")
        self.sb.fault(path="*", status=500)
        self.assertEqual(self.sb.raw("GET", "/health").status, 500)
        self.assertEqual(self.sb.control("GET", "/faults").status, 200)

    def test_method(self):
        self.sb.fault(method="patch", path="*", status=500)
        self.assertEqual(self.api("GET", self.path).status, 200)
        self.assertEqual(self.api("PATCH", self.path, {}).status, 500)

    def test_times_order_and_list(self):
        a = self.sb.fault(path="*", status=500, times=2)
        b = self.sb.fault(path="*", status=502, times=1)
        got = [self.api("GET", self.path).status for _ in range(2)]
        listed = self.sb.control("GET", "/faults").json["faults"]
        self.assertEqual([f["id"] for f in listed], [b])
        got += [self.api("GET", self.path).status for _ in range(2)]
        self.assertEqual(got, [500, 500, 502, 200])
        a = self.sb.fault(path="*", status=500)
        b = self.sb.fault(path="*", status=502)
        self.api("GET", self.path)
        listed = self.sb.control("GET", "/faults").json["faults"]
        self.assertEqual([(f["id"], f["hits"]) for f in listed],
                         [(a, 1), (b, 0)])
        self.assertEqual(self.sb.control("DELETE", f"/faults/{a}").status,
                         204)
        self.assertEqual(self.sb.control("DELETE", f"/faults/{a}").status,
                         404)
        self.assertEqual(self.api("GET", self.path).status, 502)
        self.assertEqual(self.sb.control("DELETE", "/faults").status, 204)
        self.assertEqual(self.api("GET", self.path).status, 200)

    def test_seconds(self):
        self.sb.fault(path="*", status=500, seconds=0.3)
        end = time.monotonic() + WAIT
        self.assertEqual(self.api("GET", self.path).status, 500)
        while self.api("GET", self.path).status == 500:
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.sb.control("GET", "/faults").json["faults"],
                         [])

    def test_headers_of_a_true_answer_and_of_a_false_one(self):
        date = "Sun, 06 Nov 1994 08:49:37 GMT"
        for status in (None, 503):
            spec = {"status": status} if status else {}
            self.sb.fault(path=self.path, times=1, headers={
                "X-RateLimit-Limit": "600", "Date": date}, **spec)
            a = self.api("GET", self.path)
            self.assertEqual(a.status, status or 200)
            self.assertEqual(a.headers["X-RateLimit-Limit"], "600")
            self.assertEqual(a.headers.get_all("Date"), [date])
        self.assertIsNone(
            self.api("GET", self.path).headers["X-RateLimit-Limit"])

    def test_latency(self):
        self.sb.fault(path=self.path, latencyMs=300, times=1)
        start = time.monotonic()
        slow = threading.Thread(target=self.api, args=("GET", self.path))
        slow.start()
        while not self.sb.control("GET", "/requests").json["total"]:
            pass
        self.ok(200, "GET", self.path)  # others are served meanwhile
        slow.join()
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.sb.fault(path=self.path, latencyMs=100, status=503, times=1)
        start = time.monotonic()
        self.error(503, "unavailable", "GET", self.path)
        self.assertGreaterEqual(time.monotonic() - start, 0.1)

    def test_drop(self):
        self.sb.fault(path="*", action="drop", times=2)
        for method in ("GET", "PATCH"):
            with self.assertRaises((http.client.RemoteDisconnected,
                                    ConnectionResetError)):
                self.api(method, self.path, {"notes": "not set"})
        g = self.ok(200, "GET", self.path + "?include=notes")
        self.assertIsNone(g["notes"])

    def test_truncate(self):
        whole = self.api("GET", self.path)
        self.sb.fault(path="*", action="truncate")
        with self.assertRaises(http.client.IncompleteRead) as e:
            self.api("GET", self.path)
        self.assertEqual(e.exception.partial,
                         whole.body[:len(whole.body) // 2])
        self.assertEqual(
            len(e.exception.partial) + e.exception.expected,
            int(whole.headers["Content-Length"]))

    def test_slow(self):
        whole = self.api("GET", self.path)
        self.sb.fault(path="*", action="slow", latencyMs=1, times=1)
        a = self.api("GET", self.path)
        self.assertEqual((a.status, a.body), (200, whole.body))
        self.sb.fault(path="*", action="slow", times=1)
        conn = self.sb.connect()
        conn.request("GET", "/api/v1" + self.path,
                     headers={"X-Api-Key": ALL})
        r = conn.getresponse()
        start = time.monotonic()
        self.assertEqual(r.read(3), whole.body[:3])
        self.assertGreaterEqual(time.monotonic() - start, 0.2)
        conn.close()  # in the middle of it

    def test_garbage_and_redirect(self):
        self.sb.fault(path="*", action="garbage", times=1)
        a = self.api("GET", self.path)
        self.assertEqual(a.status, 200)
        self.assertIn("json", a.headers["Content-Type"])
        with self.assertRaises(ValueError):
            json.loads(a.body)
        self.sb.fault(path="*", action="redirect", times=1)
        a = self.api("GET", self.path)
        self.assertEqual((a.status, a.headers["Location"]),
                         (302, "http://127.0.0.1:1/"))

    def hang(self):
        conn = self.sb.connect()
        conn.request("GET", "/api/v1" + self.path,
                     headers={"X-Api-Key": ALL})
        return conn

    def wait_open(self, n):
        end = time.monotonic() + WAIT
        while (got := self.sb.control("GET", "/connections")
               .json["open"]) != n:
            self.assertLess(time.monotonic(), end, f"{got} open, not {n}")

    def test_stall(self):
        fault = self.sb.fault(path=self.path, action="stall")
        conn = self.sb.connect()
        conn.request("GET", self.path, headers={"X-Api-Key": ALL})
        r = conn.getresponse()
        length = int(r.headers["Content-Length"])
        r.fp.raw._sock.settimeout(0.3)  # pylint: disable=protected-access
        got = r.read1(length)
        while len(got) < length // 2:
            got += r.read1(length)
        self.assertEqual(len(got), length // 2)
        with self.assertRaises(TimeoutError):
            r.read1(length)
        self.sb.control("DELETE", f"/faults/{fault}")
        self.wait_open(1)
        conn.close()

    def test_hang_without_release(self):
        fault = self.sb.fault(path="*", action="hang")
        held = [self.hang() for _ in range(2)]
        while self.sb.control("GET", "/requests").json["total"] < 2:
            pass
        a = self.sb.control("DELETE", f"/faults/{fault}?release=false")
        self.assertEqual(a.status, 204)
        self.ok(200, "GET", self.path)
        self.sb.control("DELETE", "/faults?release=false")
        self.wait_open(3)
        self.assertEqual(
            self.sb.control("DELETE", "/faults?release=maybe").status, 400)
        self.sb.control("DELETE", "/faults")
        self.wait_open(1)
        for conn in held:
            conn.close()

    def test_hang(self):
        fault = self.sb.fault(path="*", action="hang", times=3)
        held = [self.hang() for _ in range(3)]
        while self.sb.control("GET", "/requests").json["total"] < 3:
            pass
        self.ok(200, "GET", self.path)
        self.wait_open(4)
        held.pop().close()  # a client that leaves is noticed
        self.wait_open(3)
        self.assertEqual(
            self.sb.control("DELETE", f"/faults/{fault}").status, 404)
        for conn in held:
            with self.assertRaises((http.client.RemoteDisconnected,
                                    ConnectionResetError)):
                conn.getresponse()
            conn.close()
        self.wait_open(1)
        self.sb.fault(path="*", action="hang")
        conn = self.hang()
        while self.sb.control("GET", "/requests").json["total"] < 5:
            pass
        self.sb.control("DELETE", "/faults")
        with self.assertRaises((http.client.RemoteDisconnected,
                                ConnectionResetError)):
            conn.getresponse()
        conn.close()

    def test_stop_with_a_hung_connection(self):
        sb = Sandbox("--api-key", ALL + ":*")
        for action in ("hang", "slow"):
            sb.fault(path=f"/{action}", action=action, body="x" * 1000)
        conns = []
        for path in ("/hang", "/slow"):
            conn = sb.connect()
            conn.request("GET", path)
            conns.append(conn)
        sb.fault(path="/late", latencyMs=60000)
        conn = sb.connect()
        conn.request("GET", "/late")
        conns.append(conn)
        while sb.control("GET", "/requests").json["total"] < 3:
            pass
        self.assertEqual(sb.stop(), (0, ""))
        for conn in conns:
            conn.close()

    def test_body(self):
        self.sb.fault(path=self.path, body={"id": "other", "value": None},
                      times=1)
        self.assertEqual(self.ok(200, "GET", self.path),
                         {"id": "other", "value": None})
        self.sb.fault(path=self.path, body="<html>", status=502, times=1,
                      contentType="text/html")
        a = self.api("GET", self.path)
        self.assertEqual((a.status, a.body, a.headers["Content-Type"]),
                         (502, b"<html>", "text/html"))
        self.sb.fault(path=self.path, body=None, times=1)
        self.assertEqual(self.api("GET", self.path).body, b"null")
        self.sb.fault(path=self.path, body=[1], action="truncate", times=1)
        with self.assertRaises(http.client.IncompleteRead):
            self.api("GET", self.path)

    def test_refused_faults(self):
        for spec, field in (({}, "path"), ({"path": 1}, "path"),
                            ({"path": "*", "status": 99}, "status"),
                            ({"path": "*", "status": "x"}, "status"),
                            ({"path": "*", "action": "explode"}, "action"),
                            ({"path": "*", "action": 1}, "action"),
                            ({"path": "*", "times": 0}, "times"),
                            ({"path": "*", "seconds": -1}, "seconds"),
                            ({"path": "*", "latencyMs": "x"}, "latencyMs"),
                            ({"path": "*", "headers": "x"}, "headers"),
                            ({"path": "*", "headers": {"a b": "x"}},
                             "headers"),
                            ({"path": "*", "headers": {"a": "x\ny"}},
                             "headers"),
                            ({"path": "*",
                              "headers": {"content-length": "1"}}, "headers"),
                            ({"path": "*", "retryAfter": 1.5}, "retryAfter"),
                            ({"path": "*", "retryAfter": "a\r\nb"},
                             "retryAfter"),
                            ({"path": "*", "method": 1}, "method"),
                            ({"path": "*", "latency": 1}, "fault")):
            a = self.sb.control("POST", "/faults", spec)
            self.assertEqual(a.status, 400, spec)
            self.assertIn(field, a.json["details"]["fields"])
        self.assertEqual(self.sb.control("GET", "/faults").json["faults"],
                         [])


class Controls(Case):
    def test_requests(self):
        s = self.secret()
        self.sb.control("DELETE", "/requests")
        self.sb.fault(path="*", status=500, times=1)
        for query in ("", "?include=all", "?version=1"):
            self.api("GET", "/secrets/" + s["id"] + query)
        self.sb.raw("GET", "/health")
        self.sb.raw("GET", "/odd%20path", key=None)
        for _ in range(3):
            a = self.sb.control("GET", "/requests")
        self.assertEqual(a.json, {"total": 5, "byPath": {
            f"GET /api/v1/secrets/{s['id']}": 3, "GET /health": 1,
            "GET /odd%20path": 1}, "byStatus": {"200": 3, "404": 1, "500": 1}})
        self.assertEqual(self.sb.control("DELETE", "/requests").status, 204)
        self.assertEqual(self.sb.control("GET", "/requests").json,
                         {"total": 0, "byPath": {}, "byStatus": {}})

    def test_log(self):
        self.api("GET", "/secrets?page=1&x=%2C", headers={
            "User-Agent": "me/1", "Authorization": "Bearer hush",
            "Accept": "application/json"})
        self.sb.raw("GET", "/version", key=None)
        a = self.sb.control("GET", "/log")
        self.assertNotIn(ALL.encode(), a.body)
        self.assertNotIn(b"hush", a.body)
        one, two = a.json["requests"]
        self.assertEqual((one["method"], one["path"], one["query"],
                          one["hasApiKey"], one["hasAuthorization"],
                          one["userAgent"], one["accept"]),
                         ("GET", "/api/v1/secrets", "page=1&x=%2C", True,
                          True, "me/1", "application/json"))
        self.assertIn("X-Api-Key", one["headers"])
        self.assertEqual((two["hasApiKey"], two["hasAuthorization"],
                          two["query"]), (False, False, ""))
        for n in range(150):
            self.sb.raw("GET", f"/n{n}", key=None)
        log = self.sb.control("GET", "/log").json["requests"]
        self.assertEqual([e["path"] for e in log],
                         [f"/n{n}" for n in range(50, 150)])

    def test_connections(self):
        before = self.sb.control("GET", "/connections").json
        idle = [socket.create_connection((self.sb.host, self.sb.port))
                for _ in range(5)]
        end = time.monotonic() + WAIT
        while True:
            now = self.sb.control("GET", "/connections").json
            if now["open"] == 6:
                break
            self.assertLess(time.monotonic(), end)
        self.assertGreater(now["accepted"], before["accepted"] + 5)
        for s in idle:
            s.close()
        while self.sb.control("GET", "/connections").json["open"] != 1:
            self.assertLess(time.monotonic(), end)

    def test_endpoints(self):
        table = self.sb.control("GET", "/endpoints").json["endpoints"]
        rows = {(e["method"], e["path"], e.get("scope")) for e in table}
        for row in (("GET", "/api/v1/secrets/{id}", "secrets:read"),
                    ("GET", "/health", None),
                    ("GET", "/api/v1/health", None),
                    ("POST", "/api/v1/keys/{id}/rotate", "keys:write")):
            self.assertIn(row, rows)
        self.assertEqual(len(rows), len(table))

    def put(self, path, body, status=200):
        a = self.sb.control("PUT", path, body)
        self.assertEqual(a.status, status, a.body)
        return a.json

    def test_put_secret(self):
        s = self.secret(value="v1")
        path, api = "/secrets/" + s["id"], "/secrets/" + s["id"]
        self.ok(200, "PATCH", api, {"notes": "n"})
        r = self.put(path, {"value": "v2"})
        self.assertEqual((r["value"], r["version"], r["updatedAt"],
                          r["notes"]), ("v2", 2, None, "n"))
        g = self.ok(200, "GET", api + "?version=1")
        self.assertEqual(g["value"], "v1")
        r = self.put(path, {"value": "v9", "version": 9})
        self.assertEqual((r["value"], r["version"]), ("v9", 9))
        self.assertEqual(
            self.ok(200, "GET", api + "?version=2")["value"], "v2")
        r = self.put(path, {"value": "same", "version": 9, "updatedAt":
                            "2026-01-01T00:00:00Z", "is_favorite": True})
        self.assertEqual((r["version"], r["updatedAt"], r["isFavorite"]),
                         (9, "2026-01-01T00:00:00Z", True))
        self.put(path, {"isActive": False})
        self.error(404, "not_found", "GET", api)
        self.put(path, {"isActive": True, "name": "renamed/by/control",
                        "expiresAt": "2020-01-01T00:00:00Z",
                        "createdAt": "2019-01-01T00:00:00Z", "newField": 1})
        g = self.ok(200, "GET", api + "?include=all")
        self.assertEqual((g["name"], g["expiresAt"], g["newField"]),
                         ("renamed/by/control", "2020-01-01T00:00:00Z", 1))
        rows = self.ok(200, "GET", "/secrets")["secrets"]
        self.assertEqual(rows[0]["id"], s["id"])  # the oldest now
        self.error(409, "secret_name_conflict", "POST", "/secrets",
                   {"name": "renamed/by/control", "value": ""})
        self.put(path, {"value": None, "version": 9})
        self.assertIsNone(self.ok(200, "GET", api)["value"])
        big = "é" * (8 * 1024 * 1024)
        self.put(path, {"value": big})
        self.assertEqual(self.ok(200, "GET", api)["value"], big)
        self.put(path, {"history": [{"version": 1, "value": "h"}]})
        self.assertEqual(
            self.ok(200, "GET", api + "?version=1")["value"], "h")
        for bad in ({"name": ""}, {"name": None}, {"version": "x"},
                    {"isActive": 1}, {"history": 1}):
            self.put(path, bad, 400)
        self.put("/secrets/none", {"value": "x"}, 404)
        self.error(404, "not_found", "GET", "/secrets/none")
        self.assertEqual(self.sb.control("DELETE", path).status, 204)
        self.assertEqual(self.sb.control("DELETE", path).status, 404)
        self.error(404, "not_found", "GET", api)

    def test_put_key(self):
        k = self.key()
        path = "/keys/" + k["id"]
        r = self.put(path, {"version": 7, "status": "inactive",
                            "state": "deprecated", "isDefault": True})
        self.assertEqual((r["version"], r["status"], r["state"],
                          r["isDefault"]), (7, "inactive", "deprecated",
                                            True))
        public = base64.b64encode(bytes(range(32))).decode()
        r = self.put(path, {"publicKey": public})
        self.assertEqual(r["publicKey"], public)
        p = self.ok(200, "GET", path + "/public")
        self.assertEqual((p["publicKey"], p["version"]), (public, 7))
        self.put(path, {"publicKey": "AAAA"}, 400)
        self.put(path, {"version": 0}, 400)
        self.put("/keys/none", {}, 404)
        self.assertEqual(self.sb.control("DELETE", path).status, 204)
        self.assertEqual(self.sb.control("DELETE", path).status, 404)

    def test_rate_limit(self):
        self.put("/api-keys/slow", {"scopes": ["secrets:read"]})
        self.put("/api-keys/other", {"scopes": ["secrets:read"]})
        a = self.api("GET", "/secrets", key="slow")
        self.assertIsNone(a.headers["X-RateLimit-Limit"])
        self.put("/rate-limit", {"perMinute": 3})
        self.addCleanup(self.put, "/clock", {"aheadMs": 0})
        self.addCleanup(self.put, "/rate-limit", {"perMinute": 0})
        for left in (2, 1, 0):
            a = self.api("GET", "/secrets", key="slow")
            self.assertEqual(a.status, 200)
            self.assertEqual((a.headers["X-RateLimit-Limit"],
                              a.headers["X-RateLimit-Remaining"]),
                             ("3", str(left)))
            self.assertLess(abs(int(a.headers["X-RateLimit-Reset"]) -
                                time.time() - 60), 10)
        for _ in range(2):
            a = self.api("GET", "/secrets", key="slow")
            self.assertEqual((a.status, a.json["error"]),
                             (429, "rate_limit_exceeded"))
            self.assertIn(int(a.headers["Retry-After"]), range(50, 61))
            self.assertEqual(a.headers["X-RateLimit-Remaining"], "0")
        self.assertEqual(self.api("GET", "/secrets", key="other").status,
                         200)
        self.assertEqual(self.api("GET", "/secrets", key="slow").status, 429)
        self.put("/clock", {"aheadMs": 60000})
        self.assertEqual(self.api("GET", "/secrets", key="slow").status, 200)
        self.put("/rate-limit", {"perMinute": 0})
        self.assertIsNone(self.api("GET", "/secrets", key="slow")
                          .headers["X-RateLimit-Limit"])
        for body in ({"perMinute": -1}, {"perMinute": "x"}):
            self.put("/rate-limit", body, 400)

    def test_clock(self):
        self.addCleanup(self.put, "/clock", {"aheadMs": 0})
        self.put("/clock", {"aheadMs": 86400000})
        a = self.api("GET", "/health")
        at = email.utils.parsedate_to_datetime(a.headers["Date"]).timestamp()
        self.assertLess(abs(at - time.time() - 86400), 60)
        self.put("/clock", {"aheadMs": "x"}, 400)

    def test_api_keys(self):
        self.assertEqual(self.api("GET", "/secrets", key="new/k").status,
                         401)
        self.put("/api-keys/new%2Fk", {"scopes": ["secrets:read"]})
        self.assertEqual(self.api("GET", "/secrets", key="new/k").status,
                         200)
        self.put("/api-keys/new%2Fk", {"scopes": ["keys:read"]})
        self.assertEqual(self.api("GET", "/secrets", key="new/k").status,
                         403)
        self.assertEqual(self.api("GET", "/keys", key="new/k").status, 200)
        for body in ({}, {"scopes": "x"}, {"scopes": [1]}):
            self.put("/api-keys/new%2Fk", body, 400)
        a = self.sb.control("DELETE", "/api-keys/new%2Fk")
        self.assertEqual(a.status, 204)
        self.assertEqual(self.api("GET", "/keys", key="new/k").status, 401)
        a = self.sb.control("DELETE", "/api-keys/new%2Fk")
        self.assertEqual(a.status, 404)

    def test_api_keys_of_another_tenant(self):
        self.put("/api-keys/theirs", {"scopes": ["*"], "tenant": "new"})
        self.assertEqual(self.api("GET", "/secrets", key="theirs").json[
            "secrets"], [])
        made = self.ok(201, "POST", "/secrets", {"name": "x", "value": "v"})
        path = "/secrets/" + made["id"]
        self.assertEqual(self.api("GET", path).status, 200)
        self.assertEqual(self.api("GET", path, key="theirs").status, 404)
        self.put("/api-keys/theirs", {"scopes": ["*"]})
        self.assertEqual(self.api("GET", path, key="theirs").status, 200)
        self.sb.control("DELETE", "/api-keys/theirs")


class Size(unittest.TestCase):
    """100,000 secrets: started, listed and read in reasonable time."""

    def test_many_secrets(self):
        n = int(os.environ.get("SANDBOX_MANY", "100000"))
        sb = Sandbox("--api-key", ALL + ":*", seed={"secrets": [
            {"id": f"s{i}", "name": f"name/{i}", "value": "v" * 20,
             "createdAt": f"20{i * 7919 % 90 + 10}-01-01T00:00:00Z"}
            for i in range(n)]})
        ids, page = set(), 1
        while True:
            r = sb.api("GET", f"/secrets?pageSize=200&page={page}").json
            ids |= {row["id"] for row in r["secrets"]}
            if not r["hasMore"]:
                break
            page += 1
        self.assertEqual(len(ids), n)
        self.assertEqual(sb.api("GET", f"/secrets/s{n - 1}").status, 200)
        self.assertEqual(sb.stop(), (0, ""))


if __name__ == "__main__":
    if not os.access(SANDBOX, os.X_OK):
        sys.exit(f"{SANDBOX} cannot be run: set SANDBOX")
    unittest.main()
