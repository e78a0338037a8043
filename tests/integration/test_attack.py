"""As one who wants what the rules deny, or more than his share."""

import base64
import contextlib
import json
import os
import socket
import threading
import unittest
import urllib.parse

import harness
import rawhttp
import wire
from harness import LONG, Case, at_once, needs_root, value

MINE = "0a1b2c3d-0001-4000-8000-00000000abcd"
THEIRS = "0a1b2c3d-0002-4000-8000-00000000ef01"
NOBODYS = "0a1b2c3d-0003-4000-8000-00000000ef02"
MY_KEY = "0a1b2c3d-0004-4000-8000-00000000ef03"
THEIR_KEY = "0a1b2c3d-0005-4000-8000-00000000ef04"
HIDDEN = value("hidden")
SEED = {
    "secrets": [
        {"id": MINE, "name": "app/one", "value": value("mine")},
        {"id": THEIRS, "name": "db/prod", "value": HIDDEN, "notes": HIDDEN,
         "totpSecret": "JBSWY3DPEHPK3PXP", "version": 2,
         "history": [{"version": 1, "value": HIDDEN + "-old"}]},
    ],
    "keys": [
        {"id": MY_KEY, "name": "app-key", "algorithm": "AES-256-GCM"},
        {"id": THEIR_KEY, "name": "prod-key", "algorithm": "AES-256-GCM"},
    ],
}
THINGS = {"secrets": "app/*", "keys": "app-*"}
RULES = {
    "reads": {"operations": "read,list,watch,encrypt,decrypt,sign,verify"},
    "calls": {"operations": "call", "paths": "* /**"},
    "both": {"operations": "read,list,watch,encrypt,decrypt,sign,verify,call",
             "paths": "* /**"},
    "one": {"operations": "call",
            "paths": f"GET /secrets/{MINE},GET /secrets/{MINE}/**,"
            "POST /vault/share,POST /secrets/import,POST /encrypt"},
}


def encoded(text):
    return "".join(f"%{b:02X}" for b in text.encode())


def names_of(thing, name):
    """Ways to write an id or a name in a path."""
    first = encoded(thing[0]) + thing[1:]
    return [thing, thing.upper(), encoded(thing), encoded(thing).lower(),
            first, name, urllib.parse.quote(name, safe=""),
            encoded(name), name.upper().replace("/", "%2F"),
            urllib.parse.quote(urllib.parse.quote(name, safe=""), safe="")]


def detours(thing, name):
    """Paths below /secrets that might end at another thing than they seem."""
    for t in (thing, name, urllib.parse.quote(name, safe="")):
        for way in ("{m}/../{t}", "{m}/%2e%2e/{t}", "{m}/..%2f{t}",
                    "{m}%2f..%2f{t}", "{m}%2F%2E%2E%2F{t}", "{m}/..;/{t}",
                    "{m};/{t}", "{m}//{t}", "{m}%5c..%5c{t}", "./{t}",
                    "%2e/{t}", "/{t}", "{m}/history/../../{t}",
                    "{m}?x=/../{t}", "{m}%3f/{t}", "{m}%23/{t}", "{m}#{t}",
                    "{m},{t}", "{m}%2c{t}", "{m}&id={t}", "{m}?id={t}",
                    "{m}%00{t}", "{t}%00{m}", "{t}%00", "{t}/", "{t}%2f",
                    "{t};", "{t};v=1", "{t}%20", "%20{t}", "{t}.",
                    "{t}%2e", "{t}%0d%0a", "app%2F..%2F{t}",
                    "app/../{t}", "{m}/{t}", "{t}/{m}"):
            yield way.format(m=MINE, t=t)


def paths_to(thing, name):
    """Targets whose answer could hold the secret, or tell of it."""
    suffixes = ("", "?include=all", "?include=value,notes", "?version=1",
                "?version=1&include=all", "/history", "/history?maxVersions=9",
                "/insights", "/value", "/versions", "/history/1")
    for t in names_of(thing, name):
        for s in suffixes:
            yield f"/api/v1/secrets/{t}{s}"
        yield f"/api/v1/vault/share/by-secret/{t}"
        for base in ("", "/API/V1", "/api/v1/api/v1", "/api/v1/.",
                     "/api/v1/../v1", "//api/v1", "/api//v1", "/api/v1/",
                     "/%61pi/v1", "/api%2Fv1", "/api/v1%2Fsecrets/..",
                     "/health/../api/v1", "/health/..%2fapi/v1"):
            yield f"{base}/secrets/{t}"
        for segment in ("SECRETS", "Secrets", "%73ecrets", "secrets%2F",
                        "secrets;x", "secrets%00", "secrets.", "secret"):
            yield f"/api/v1/{segment}/{t}?include=all"
    for d in detours(thing, name):
        yield "/api/v1/secrets/" + d
    for q in ("search=prod", "search=db%2Fprod", "include=all",
              "includeInactive=true&pageSize=200", "ids=" + thing,
              "search=&include=value"):
        yield "/api/v1/secrets?" + q
    for q in ("keyId=" + thing, "", "page=1&pageSize=200"):
        yield "/api/v1/audit-logs?" + q
    yield "/api/v1/resource-groups"


def bodies_about():
    """Writes that would read, share, use or change what is not one's own."""
    share = "/api/v1/vault/share"
    for body in ({"secretId": THEIRS}, {"secret_id": THEIRS},
                 {"SecretId": THEIRS}, {"SECRETID": THEIRS},
                 {"secretId": MINE, "secret_id": THEIRS},
                 {"secret_id": MINE, "secretId": THEIRS},
                 {"secretId": THEIRS.upper()}, {"secretId": [THEIRS]},
                 {"secretId": MINE, "SecretID": THEIRS},
                 {"ſecretId": THEIRS}, {"secretId": MINE,
                                        "\u017fecretId": THEIRS}):
        yield "POST", share, json.dumps(body).encode()
        yield "POST", share, json.dumps(body, ensure_ascii=False).encode()
    twice = f'{{"secretId":"{MINE}","secretId":"{THEIRS}"}}'
    for body in (twice, twice.replace(MINE, "x"),
                 f'{{"secretId":"{MINE}"}}{{"secretId":"{THEIRS}"}}',
                 f'{{"secret\\u0049d":"{THEIRS}"}}',
                 f'{{"secretId":"{MINE}","secret\\u0049d":"{THEIRS}"}}',
                 f'\ufeff{{"secretId":"{THEIRS}"}}',
                 f'/**/{{"secretId":"{THEIRS}"}}',
                 f'[{{"secretId":"{THEIRS}"}}]'):
        yield "POST", share, body.encode()
        yield "POST", share, body.encode("utf-16")
    for path in ("/api/v1/Vault/Share", "/api/v1/vault/%73hare",
                 "/api/v1/vault/share/", "/api/v1/vault//share",
                 "/api/v1/vault/share?secretId=" + THEIRS):
        yield "POST", path, json.dumps({"secretId": THEIRS}).encode()
    for items in ([{"name": "db/prod", "value": "x"}],
                  [{"name": "app/one", "value": "same"},
                   {"name": "db/prod", "value": "x"}],
                  [{"name": "app/one", "Name": "db/prod", "value": "x"}],
                  [{"NAME": "db/prod", "value": "x"}],
                  [{"name": "db/prod\0", "value": "x"}], [7]):
        yield "POST", "/api/v1/secrets/import", \
            json.dumps({"items": items}).encode()
    yield "POST", "/api/v1/secrets/import", json.dumps({
        "items": [], "Items": [{"name": "db/prod", "value": "x"}]}).encode()
    for t in names_of(THEIRS, "db/prod"):
        path = "/api/v1/secrets/" + t
        yield "PUT", path + "/value", b'{"value":"x"}'
        yield "PATCH", path, b'{"name":"app/two"}'
        yield "POST", path + "/deactivate", None
        yield "POST", path + "/activate", None
        yield "DELETE", path, None
    for name in ("db/other", "db/prod", "app/../db/prod"):
        yield "PATCH", "/api/v1/secrets/" + MINE, \
            json.dumps({"name": name}).encode()
        yield "POST", "/api/v1/secrets", \
            json.dumps({"name": name, "value": "x"}).encode()
    for key in (THEIR_KEY, THEIR_KEY.upper(), "prod-key"):
        for path in ("/encrypt", "/sign", "/verify", "/decrypt"):
            yield "POST", "/api/v1" + path, json.dumps(
                {"plaintext": "eA==", "encoding": "base64", "data": "eA==",
                 "signature": "eA==", "keyId": MY_KEY,
                 "key_id": key}).encode()
            yield "POST", "/api/v1" + path, json.dumps(
                {"plaintext": "eA==", "data": "eA==", "signature": "eA==",
                 "keyId": key}).encode()
        for path in ("/generate-data-key", "/unwrap", "/rotate",
                     "/set-default", "/public"):
            yield "POST", f"/api/v1/keys/{key}{path}", b"{}"
        yield "POST", f"/api/v1/transit/encrypt/{key}", \
            b'{"plaintext":"eA=="}'
        yield "POST", f"/api/v1/transit/datakey/{key}", b"{}"
        yield "DELETE", f"/api/v1/keys/{key}", None


def front(directory):
    """A place for http-listen= and its token; members of [agent] for them."""
    token = "local-token-" + os.urandom(12).hex()
    path = os.path.join(directory, "token")
    with open(path, "w", encoding="ascii",
              opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(token)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        where = s.getsockname()
    return where, token, {"http-listen": "127.0.0.1:%d" % where[1],
                          "http-token-file": path}


class Denied(Case):
    """One who may have app/* alone, over each of the two ways in."""

    SEED = SEED
    AUTO = False

    def begin(self, rule):
        self.where, self.token, conf = front(self.dir)
        rule = {**THINGS, **RULES[rule]}
        self.start({"agent": {**conf, "root-needs-rule": "yes"}}, allow=[
            ("mine", {"user": "http", **rule}),
            ("root", {"user": str(os.geteuid()), **rule})])

    def http(self, conn, method, target, body=None):
        """(status, headers, body), or None where it was cut off."""
        headers = [("X-Api-Key", self.token)]
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        try:
            return conn.ask(method, target, headers, body)
        except rawhttp.Closed:
            return None

    def ask_all(self, requests):
        """Each over one connection, and over a new one where it is closed."""
        conn = rawhttp.Http(self.where)
        out = []
        try:
            for method, target, body in requests:
                a = self.http(conn, method, target, body)
                if a is None or a.headers.get("connection") == "close":
                    conn.close()
                    conn = rawhttp.Http(self.where)
                out.append((method, target, a))
        finally:
            conn.close()
        return out

    def trail(self):
        """What the service did for the agent's key about what is denied. The
        agent itself reads what is asked for by an id, to learn its name."""
        page, rows = 1, []
        while True:
            got = self.sandbox.api(
                "GET", f"/audit-logs?page={page}&pageSize=200")
            rows += got["items"]
            if len(got["items"]) < 200:
                break
            page += 1
        return [(r["action"], r["resourceId"]) for r in rows
                if r["outcome"] == "success" and
                r["action"] not in ("SecretRead", "PublicKeyRead") and
                (r["resourceId"] in (THEIRS, THEIR_KEY) or
                 r["resourceName"] in ("db/prod", "prod-key", "db/other"))]

    def check_untouched(self):
        self.assertEqual(self.trail(), [])
        s = self.sandbox.api("GET", f"/secrets/{THEIRS}?include=all")
        self.assertEqual((s["name"], s["value"], s["version"], s["isActive"]),
                         ("db/prod", HIDDEN, 2, True))
        links = self.sandbox.api("GET", "/vault/share/by-secret/" + THEIRS)
        self.assertEqual(links["links"], [])
        names = {r["name"] for r in
                 self.sandbox.api("GET", "/secrets")["secrets"]}
        self.assertLessEqual({n for n in names if not n.startswith("app/")},
                             {"db/prod"})

    def check_answer(self, method, target, a):
        if a is None:
            return
        with self.subTest(method=method, target=target):
            self.assertNotIn(HIDDEN.encode(), a.body)
            self.assertNotIn(b"JBSWY3DPEHPK3PXP", a.body)
            self.assertNotIn(self.key.encode(), a.body)
            if "audit" not in target:   # paths=* says so
                self.assertNotIn(b"db/prod", a.body)

    def attack(self, rule):
        self.begin(rule)
        requests = [(m, p, None) for p in paths_to(THEIRS, "db/prod")
                    for m in ("GET", "HEAD")]
        requests += list(bodies_about())
        for method, target, a in self.ask_all(requests):
            self.check_answer(method, target, a)
        self.check_untouched()
        # What is one's own is there.
        a = self.ask_all([("GET", "/api/v1/secrets/" + MINE, None)])[0][2]
        self.assertEqual((a.status, json.loads(a.body)["id"]), (200, MINE))

    def test_by_reading(self):
        self.attack("reads")

    def test_by_calling(self):
        self.attack("calls")

    def test_by_both(self):
        self.attack("both")

    def test_by_few_paths(self):
        self.attack("one")

    def test_a_group_does_not_tell_a_name(self):
        self.begin("calls")
        group = self.sandbox.api("POST", "/resource-groups", {"name": "g"})
        path = f"/api/v1/resource-groups/{group['id']}/items"
        bodies = [{"resourceType": kind, member: thing}
                  for kind, thing in (("Secret", THEIRS),
                                      ("CryptoKey", THEIR_KEY))
                  for member in ("resourceId", "resource_id")]
        bodies.append({"resourceType": "Secret", "resourceId": MINE})
        got = self.ask_all([("POST", path, json.dumps(b).encode())
                            for b in bodies])
        self.assertEqual([a.status for _, _, a in got],
                         [403, 403, 403, 403, 204])
        items = self.sandbox.api(
            "GET", "/resource-groups/" + group["id"])["items"]
        self.assertEqual([x["resourceId"] for x in items], [MINE])

    def test_what_other_servers_leave_out_of_a_path(self):
        self.begin("calls")
        for first in ("secrets;x", "secrets;", "secrets.", "secrets..;x",
                      "secrets%20", "SECRETS;a=b", "secrets%3Bx", "keys;x",
                      "vault.", "transit;x", "secrets;" + 200 * "x",
                      "secrets" + 200 * "."):
            for target in (f"/api/v1/{first}/{THEIRS}", f"/{first}/{THEIRS}"):
                (_, _, a), = self.ask_all([("GET", target, None)])
                self.assertIn(a.status, (400, 403), target)

    def bare(self, a):
        """An answer without what changes by itself."""
        return a and (a.status, {k: v for k, v in a.headers.items()
                                 if k != "date"}, a.body)

    def look_alike(self, rule):
        self.begin(rule)
        suffixes = ("", "?include=all", "?version=1", "/history",
                    "/insights", "?version=99")
        pairs = [(THEIRS, NOBODYS), ("db%2Fprod", "db%2Fnone")]
        for known in (False, True):
            if known:   # the names are at hand now
                self.ask_all([("GET", "/api/v1/secrets/app%2Fone", None)])
            for there, not_there in pairs:
                for s in suffixes:
                    got = [self.bare(a) for _, _, a in self.ask_all(
                        [("GET", f"/api/v1/secrets/{x}{s}", None)
                         for x in (there, not_there)])]
                    self.assertEqual(got[0], got[1], (there, s))
                    self.assertEqual(got[0][0], 403)

    def test_what_is_there_and_what_is_not_look_the_same(self):
        self.look_alike("reads")

    def test_they_look_the_same_to_who_may_call(self):
        self.look_alike("both")

    def call_all(self, rule):
        self.begin(rule)
        w = self.wire()
        requests = [("GET", p, None, None)
                    for p in paths_to(THEIRS, "db/prod")]
        requests += [(m, p, b, None) for m, p, b in bodies_about()]
        # "{id}" stands for the id of a reference.
        requests += [
            (m, t, b, "qapi://" + r) for r in (
                "secrets/db%2Fprod", "secrets/db/prod", "secrets/" + THEIRS,
                "keys/prod-key/public", "secrets/app/one")
            for m, t, b in (
                ("GET", "/secrets/{id}", None), ("GET", "/secrets/{id}"
                                                 "/history", None),
                ("GET", "/secrets/%7Bid%7D", None),
                ("GET", f"/secrets/{THEIRS}/{{id}}", None),
                ("GET", "/secrets/{id}/../" + THEIRS, None),
                ("GET", "/vault/share/by-secret/{id}", None),
                ("DELETE", "/keys/{id}", None),
                ("POST", "/keys/{id}/rotate", b"{}"),
                ("POST", "/vault/share",
                 b'{"secretId":"' + THEIRS.encode() + b'"}'))
            if (r, m) != ("secrets/app/one", "GET") or THEIRS in t]
        for i, (method, target, body, ref) in enumerate(requests):
            fields = [("METHOD", method), ("TARGET", target)]
            if ref is not None:
                fields.append(("REF", ref))
            if body is not None:
                fields.append(("DATA", body))
            try:
                w.send(wire.CALL, wire.fields(fields), rid=i + 1)
                f = w.recv()
            except (wire.Closed, OSError):
                w = self.wire()
                continue
            self.assertNotIn(HIDDEN.encode(), f.body, target)
            self.assertNotIn(self.key.encode(), f.body, target)
        self.check_untouched()
        # What is one's own is there.
        w.send(wire.CALL, wire.fields([
            ("METHOD", "GET"), ("TARGET", "/secrets/" + MINE)]), rid=70000)
        f = w.recv()
        self.assertEqual((f.type, f.map["STATUS"]), (wire.CALLED, 200))

    @needs_root
    def test_by_reading_over_the_local_protocol(self):
        self.call_all("reads")

    @needs_root
    def test_by_both_over_the_local_protocol(self):
        self.call_all("both")

    @needs_root
    def test_by_few_paths_over_the_local_protocol(self):
        self.call_all("one")


class Bare:
    """A service over bare sockets: keeps what arrives, answers by script.

    react(conn, number, head, body) is called for each request, whole.
    """

    def __init__(self, react):
        self.react = react
        self.requests = []      # (head, body)
        self.lock = threading.Lock()
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.server.getsockname()[1]
        self.conns = []
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1"

    def _run(self):
        while True:
            try:
                conn, _ = self.server.accept()
            except OSError:
                return
            with self.lock:
                self.conns.append(conn)
            threading.Thread(target=self._serve, args=(conn,),
                             daemon=True).start()

    def _serve(self, conn):
        buf = b""
        try:
            while True:
                while b"\r\n\r\n" not in buf:
                    data = conn.recv(65536)
                    if not data:
                        return
                    buf += data
                head, buf = buf.split(b"\r\n\r\n", 1)
                length = 0
                for line in head.split(b"\r\n")[1:]:
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                while len(buf) < length:
                    data = conn.recv(65536)
                    if not data:
                        return
                    buf += data
                body, buf = buf[:length], buf[length:]
                with self.lock:
                    self.requests.append((head, body))
                    n = len(self.requests)
                if self.react(conn, n, head, body) is False:
                    return
        except OSError:
            pass
        finally:
            conn.close()

    def close(self):
        with contextlib.suppress(OSError):  # so that accept() returns
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for c in self.conns:
            c.close()

    def of(self, method):
        with self.lock:
            return [r for r in self.requests
                    if r[0].startswith(method + b" ")]


def answer(status=200, body=b"{}", headers=(), reason="OK"):
    lines = [f"HTTP/1.1 {status} {reason}",
             "Content-Type: application/json",
             f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Service(Case):
    """The agent in front of a Bare service."""

    AUTO = False
    ALLOW = [("all", {"user": "*", "secrets": "**", "keys": "**",
                      "operations": "read,list,call", "paths": "* /**"})]

    def begin(self, react, conf=None):
        self.bare = Bare(react)
        self.addCleanup(self.bare.close)
        self.http = os.path.join(self.run_dir, "http.sock")
        mine = {"agent": {"http-socket": self.http},
                "upstream": {"url": self.bare.url}}
        for section, members in (conf or {}).items():
            mine.setdefault(section, {}).update(members)
        self.start_agent(mine)

    def post(self, path="/api/v1/team/invitations", body=b'{"a":1}',
             headers=()):
        return rawhttp.ask(self.http, "POST", path,
                           [("Content-Type", "application/json"), *headers],
                           body)


class Once(Service):
    """What mints or sends arrives once at most, whatever the service does."""

    PATHS = ("/api/v1/team/invitations", "/api/v1/secrets",
             "/api/v1/qrng/entropy", "/api/v1/keys/k/rotate",
             "/api/v1/share/token", "/api/v1/unknown/endpoint")

    def check(self, react, statuses, warm=True, paths=PATHS):
        """react: to a POST."""
        def all_of(conn, n, head, body):
            if head.startswith(b"POST "):
                return react(conn, n, head, body)
            conn.sendall(answer(body=b'{"limit":1,"remaining":1,"reset":1,'
                                b'"period":"1m"}'))
            return True
        self.begin(all_of, {"upstream": {"request-timeout": "1m"}})
        for path in paths:
            if warm:    # a kept connection, which could be used again
                rawhttp.ask(self.http, "GET", "/api/v1/roles")
            before = len(self.bare.of(b"POST"))
            a = self.post(path)
            self.assertIn(a.status, statuses, (path, a.body))
            # A later request shows that nothing more was under way.
            rawhttp.ask(self.http, "GET", "/api/v1/roles")
            self.assertEqual(len(self.bare.of(b"POST")) - before, 1, path)

    def test_dropped_after_it_was_read(self):
        self.check(lambda *_: False, (503,))

    def test_cut_in_the_head(self):
        def react(conn, *_):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
            return False
        self.check(react, (502, 503))

    def test_cut_in_the_body(self):
        def react(conn, *_):
            conn.sendall(answer(body=b"x" * 100)[:-50])
            return False
        self.check(react, (502, 503))

    def test_reset(self):
        def react(conn, *_):
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            b"\1\0\0\0\0\0\0\0")
            return False
        self.check(react, (503,))

    def test_continue_and_then_nothing(self):
        def react(conn, *_):
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            return False
        self.check(react, (502, 503))

    def test_answers_that_ask_for_another(self):
        def react(conn, n, head, body):
            status, more = react.answers[n % len(react.answers)]
            conn.sendall(answer(status, headers=more))
            return True
        react.answers = [
            (408, ["Connection: close"]), (417, []), (421, []), (425, []),
            (429, ["Retry-After: 0"]), (500, []), (502, []),
            (503, ["Retry-After: 0"]), (503, []), (504, []),
            (301, ["Location: /api/v1/elsewhere"]),
            (307, ["Location: http://127.0.0.1:1/"]),
            (308, ["Location: /api/v1/elsewhere"]),
            (407, ["Proxy-Authenticate: Basic"]),
            (401, ["WWW-Authenticate: Basic"]),
            (401, ["WWW-Authenticate: Negotiate"])]
        self.check(react, set(range(300, 600)),
                   paths=[p for p in self.PATHS for _ in range(3)])

    def test_the_service_is_away_at_first(self):
        """No probe of a service that was given up is such a request."""
        def react(conn, *_):
            conn.sendall(answer(201))
            return True
        self.check(react, (201,))
        posts = len(self.bare.of(b"POST"))
        self.bare.close()
        for _ in range(3):
            a = self.post(headers=[("Prefer", "wait=1")])
            self.assertIn(a.status, (503, 504))
        self.assertEqual(len(self.bare.of(b"POST")), posts)


class Memory(Case):
    """What one holds of the agent's memory has a bound, wherever it is."""

    AUTO = False
    SEED = SEED
    ALLOW = Service.ALLOW

    def used(self):
        return self.status()["memory"]["usedBytes"]

    def test_bodies_of_those_who_left(self):
        http = os.path.join(self.run_dir, "http.sock")
        self.start({"agent": {"http-socket": http},
                    "upstream": {"request-timeout": "1m"}})
        hang = self.sandbox.fault("/team/invitations", action="hang")
        before = self.used()
        for n in range(4):
            h = rawhttp.Http(http)
            h.request("POST", "/api/v1/team/invitations", body=bytes(6 << 20))
            self.wait(lambda n=n: self.sandbox.hits(hang) == n + 1,
                      "it is there")
            h.close()
            self.wait(lambda: self.status()["clients"] == 1, "it has left")
            self.assertLess(self.used() - before, 5 << 20)
        # One that is small goes on, and no more than once.
        small = [rawhttp.Http(http) for _ in range(3)]
        for h in small:
            h.request("POST", "/api/v1/team/invitations", body=b"{}")
        self.wait(lambda: self.sandbox.hits(hang) == 7, "they are there")
        for h in small:
            h.close()
        self.get("qapi://secrets/app/one")
        self.sandbox.clear()
        self.assertEqual(self.sandbox.requests()
                         ["POST /api/v1/team/invitations"], 7)


@harness.not_sanitized
class Parsing(Denied):
    """What a caller's body makes of itself when it is looked into."""

    AUTO = False

    def test_a_body_of_millions_of_parts(self):
        self.begin("both")
        many = b"0," * 1900000 + b"0"
        bodies = [
            ("/vault/share", b'{"secretId":"x","y":[' + many + b"]}"),
            ("/secrets/import", b'{"items":[' + many + b"]}"),
            ("/encrypt", b'{"keyId":"x","y":[' + many + b"]}"),
            ("/decrypt", b'{"encryptedPayload":"' + base64.b64encode(
                b'{"k":"x","y":[' + many[:1 << 20] + b"0]}") + b'"}')]
        before = self.agent.memory_kb("VmHWM")
        for path, body in bodies:
            (_, _, a), = self.ask_all([("POST", "/api/v1" + path, body)])
            self.assertEqual(a.status, 403, path)
        # Parsed, it would be some 40 bytes for every two of the text.
        self.assertLess(self.agent.memory_kb("VmHWM") - before, 40 << 10)

    # the others are Denied's
    for _name in [n for n in dir(Denied) if n.startswith("test_")]:
        locals()[_name] = None
    del _name


class Fair(Case):
    """Requests of one that hang hold up nobody else."""

    AUTO = False
    SEED = SEED

    def begin(self):
        where, token, conf = front(self.dir)
        self.http = os.path.join(self.run_dir, "http.sock")
        conf["http-socket"] = self.http
        self.start({"agent": conf, "cache": {"refresh-interval": "1s"},
                    "upstream": {"request-timeout": "2m"}},
                   allow=[("others", {"user": "http", "operations": "call",
                                      "paths": "GET /**"}),
                          ("one", {"user": str(os.geteuid()),
                                   "secrets": "**", "operations":
                                   "read,call", "paths": "GET /**"})])
        self.other = rawhttp.Http(where)
        self.addCleanup(self.other.close)
        self.other_key = [("X-Api-Key", token)]

    def hang(self, count):
        """So many of one user's, with one that is answered after them."""
        self.fault = self.sandbox.fault("/audit-logs", action="hang")
        for _ in range(count):
            h = rawhttp.Http(self.http)
            self.addCleanup(h.close)
            h.request("GET", "/api/v1/audit-logs")
        self.wait(lambda: self.sandbox.hits(self.fault) >= 8, "they hang")
        # Whatever could be sent beside them has been: it is answered last.
        self.assertEqual(rawhttp.ask(
            self.http, "GET", "/api/v1/secrets/" + MINE).status, 200)

    def test_anothers_requests_are_handed_on(self):
        self.begin()
        self.hang(40)
        self.assertLessEqual(self.sandbox.hits(self.fault), 8)
        a = self.other.ask("GET", "/api/v1/roles", self.other_key)
        self.assertEqual(a.status, 200)

    def test_what_is_due_is_read(self):
        self.begin()
        self.get("qapi://secrets/db/prod")
        self.hang(40)
        before = self.sandbox.reads(THEIRS) + self.sandbox.listings
        self.wait(lambda: self.sandbox.reads(THEIRS) + self.sandbox.listings
                  >= before + 3, "it is refreshed, several times")
        self.assertEqual(self.sandbox.hits(self.fault), 8)


class Leaks(Service):
    """What a caller sends stays the caller's, and the key the agent's."""

    def echo(self, conn, n, head, body):
        conn.sendall(answer(body=b'{"ok":true}'))
        return True

    def test_a_callers_fields_do_not_reach_the_service(self):
        self.begin(self.echo)
        marks = [(name, "mark-" + name.lower()) for name in (
            "X-Api-Key", "Authorization", "Cookie", "X-Forwarded-For",
            "Forwarded", "X-HTTP-Method-Override", "X-Original-URL",
            "X-Rewrite-URL", "Proxy-Authorization", "Via", "TE", "Upgrade",
            "Accept-Encoding", "User-Agent", "If-None-Match", "Range",
            "X-Http-Method", "Transfer-Encoding2", "Keep-Alive",
            "Content-Encoding", "Referer")]
        a = self.post(headers=marks)
        self.assertEqual(a.status, 200)
        a = rawhttp.ask(self.http, "GET", "/api/v1/roles",
                        marks + [("Connection", "X-Api-Key, Host")])
        self.assertEqual(a.status, 200)
        for head, _ in self.bare.requests:
            self.assertNotIn(b"mark-", head)
            self.assertEqual(
                head.count(b"X-Api-Key: " + self.key.encode()), 1)
            self.assertEqual(head.lower().count(b"x-api-key"), 1)

    def test_no_line_of_a_head_can_be_added(self):
        self.begin(self.echo)
        for text in ("a\rX-Evil: 1", "a\nX-Evil: 1", "a\r\n X-Evil: 1",
                     "a\0b", "a\x7fb", "\u00e9", "x" * 300, "a\x0bX"):
            for name in ("Content-Type", "Accept"):
                with rawhttp.Http(self.http) as h:
                    h.send(b"POST /api/v1/team/invitations HTTP/1.1\r\n"
                           b"Host: localhost\r\n" + name.encode() + b": " +
                           text.encode("latin-1") +
                           b"\r\nContent-Length: 2\r\n\r\n{}")
                    status = h.answer().status
                self.assertIn(status, (200, 400, 415, 502), (name, text))
        for target in ("/api/v1/roles?x=a\x7fb", "/api/v1/roles?a\tb",
                       "/api/v1/roles?%0d%0aX-Evil:%201",
                       "/api/v1/roles%0d%0aX-Evil:%201",
                       "/api/v1/roles?\u00e9", "/api/v1/roles#x",
                       "/api/v1/roles?x#y", "/api/v1/ro les",
                       "http://127.0.0.1:1/api/v1/roles", "//127.0.0.1:1/x",
                       "@127.0.0.1:1/", "/@127.0.0.1:1/api/v1/roles",
                       "\\\\host\\x", "*", "/api/v1/roles\\..\\x"):
            with rawhttp.Http(self.http) as h:
                h.send(b"GET " + target.encode("latin-1") +
                       b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
                h.answer()
        for head, _ in self.bare.requests:
            lines = head.split(b"\r\n")
            self.assertTrue(all(b"\n" not in x and b"\r" not in x
                                for x in lines), head)
            names = [x.split(b":")[0].lower() for x in lines[1:]]
            self.assertNotIn(b"x-evil", names)
            self.assertEqual(len(set(names)), len(names), head)
            self.assertTrue(lines[0].split(b" ")[1].startswith(b"/"), head)

    def test_a_service_cannot_write_the_callers_head(self):
        heads = [
            b"Content-Type: text/plain\r\n X-Evil: 1",
            b"Content-Type: text/plain\rX-Evil: 1",
            b"Content-Type: text/plain\nX-Evil: 1",
            b"Content-Disposition: a\r\n\tX-Evil: 1",
            b"Content-Type: " + b"a" * 5000,
            b"Content-Type: \xe9",
            b"Content-Type: a\x00b",
            b"Content-Type: a\r\nContent-Type: b",
            b"Set-Cookie: X-Evil=1", b"X-Evil: 1",
            b"Location: http://evil/", b"Connection: X-Evil",
            b"Transfer-Encoding: identity", b"X-Qapi-Agent-Cache: hit",
            b"Age: 1", b"WWW-Authenticate: Basic", b"Server: x"]

        def react(conn, n, head, body):
            conn.sendall(b"HTTP/1.1 200 OK\r\n" + heads[(n - 1) % len(heads)]
                         + b"\r\nContent-Length: 2\r\n\r\n{}")
            return True
        # One of them says that its body has no end.
        self.begin(react, {"upstream": {"request-timeout": "1s"}})
        allowed = {"date", "cache-control", "x-content-type-options",
                   "content-type", "content-length", "content-disposition",
                   "connection", "retry-after"}
        for h in heads:
            a = rawhttp.ask(self.http, "POST", "/api/v1/roles", (), b"{}")
            self.assertLessEqual(set(a.headers), allowed, h)

    def test_statuses_that_are_none(self):
        odd = [b"000", b"099", b"100", b"101", b"102", b"199", b"204",
               b"205", b"304", b"299", b"600", b"999", b"1000", b"-20",
               b"2OO"]

        def react(conn, n, head, body):
            status = odd[react.n % len(odd)]
            react.n += 1
            conn.sendall(b"HTTP/1.1 " + status + b" X\r\n"
                         b"Content-Length: 2\r\n\r\n{}")
            return False
        react.n = 0
        self.begin(react, {"upstream": {"request-timeout": "1s"}})
        for _ in odd:
            with rawhttp.Http(self.http) as h:
                h.request("POST", "/api/v1/roles", (), b"{}")
                a = h.answer()
                self.assertTrue(200 <= a.status <= 599, a)


if __name__ == "__main__":
    harness.main()
