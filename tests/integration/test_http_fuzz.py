"""Ten thousand requests that nobody would send, and answers that no service
should give, beside a good client that must not notice.

The seed is printed with a failure; QAPI_SEED=N makes the same ones again,
QAPI_FUZZ=N another number of them.
"""

import json
import os
import random
import socket
import threading

import harness
import rawhttp
from harness import LONG, SANITIZED, Case, value

SEED = int(os.environ.get("QAPI_SEED") or
           int.from_bytes(os.urandom(4), "big"))
COUNT = int(os.environ.get("QAPI_FUZZ") or 10000)
ANSWERS = max(COUNT // 5, 1)
GOOD = "5a1f0c52-8f7e-4c1d-9c37-0d4f0c9a1b11"

BREAKS = [b"\r", b"\n", b"\0", b" ", b"\t", b":", b"\r\n", b"\r\n\r\n", b"\n\n",
          b"\r\n ", b"\x0b", b"\x7f", b"\xff", b"\x80", b",", b";", b"0", b"%",
          b"Content-Length: 5\r\n", b"Content-Length : 5\r\n",
          b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:chunked\r\n",
          b"Host: x\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n",
          b"0\r\n\r\n", b"5\r\nabcde\r\n", b"ffffffff\r\n", b"HTTP/1.1", b"/",
          b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"http://x/", b"../"]


def good_requests():
    host = b"Host: localhost\r\n"
    yield b"GET /api/v1/secrets/" + GOOD.encode() + \
        b"?include=all HTTP/1.1\r\n" + host + b"Accept: */*\r\n\r\n"
    yield b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    yield b"HEAD /version HTTP/1.1\r\n" + host + b"\r\n"
    yield b"POST /api/v1/verify HTTP/1.1\r\n" + host + \
        b"Content-Type: application/json\r\nContent-Length: 13\r\n\r\n" \
        b'{"key_id": 1}'
    yield b"PUT /api/v1/none/x HTTP/1.1\r\n" + host + \
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n"
    yield b"GET /api/v1/secrets?page=1&pageSize=2 HTTP/1.1\r\n" + host + \
        b"Cache-Control: max-age=5, max-stale=3\r\nPrefer: wait=3\r\n\r\n"
    yield b"OPTIONS /health HTTP/1.1\r\n" + host + b"Origin: null\r\n\r\n"


def mutate(rng, data):
    """A few changes at random places."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            data[at:at] = rng.choice(BREAKS)
        elif kind == 1:
            del data[at:at + rng.randint(1, 8)]
        elif kind == 2 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randint(1, 12))
        elif kind == 4:
            lines = bytes(data).split(b"\r\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            data = bytearray(b"\r\n".join(lines))
        elif kind == 5:
            data[at:at + 2] = rng.choice(BREAKS)
        else:
            del data[at:]
            data += rng.choice(BREAKS) * rng.randint(0, 3)
    return bytes(data)


class Good(threading.Thread):
    """Reads one value again and again, on connections of its own."""

    def __init__(self, path, wanted):
        super().__init__(daemon=True)
        self.path, self.wanted = path, wanted
        self.over = threading.Event()
        self.reads = 0
        self.wrong = None

    def run(self):
        try:
            while not self.over.is_set():
                with rawhttp.Http(self.path, LONG) as h:
                    for _ in range(20):
                        a = h.ask("GET", f"/api/v1/secrets/{GOOD}")
                        if a.status != 200 or \
                                json.loads(a.body)["value"] != self.wanted:
                            self.wrong = repr(a)
                            return
                        self.reads += 1
                        if self.over.wait(0.002):
                            return
        except (OSError, rawhttp.Malformed, rawhttp.Closed) as e:
            self.wrong = repr(e)


class Beside(Case):
    """A good client beside what a test does."""

    AUTO = False

    def setUp(self):
        super().setUp()
        self.value = value("good")
        self.note_private(self.value)
        self.http = os.path.join(self.run_dir, "http.sock")
        self.rng = random.Random(SEED)
        self.good = None

    def begin(self, conf):
        conf.setdefault("agent", {}).update(
            {"http-socket": self.http, "log-level": "warning"})
        self.start_agent(conf)
        self.good = Good(self.http, self.value)
        self.good.start()
        self.wait(lambda: self.good.reads > 0 or self.good.wrong,
                  "the good client reads")

    def end(self):
        reads = self.good.reads
        self.wait(lambda: self.good.reads > reads + 5 or self.good.wrong,
                  "the good client still reads")
        self.good.over.set()
        self.good.join()
        self.assertIsNone(self.good.wrong, f"QAPI_SEED={SEED}")


class Requests(Beside):
    def talk(self, data):
        """Send it, and read all that comes; each must be an answer."""
        with rawhttp.Http(self.http, LONG) as h:
            h.send(data)
            try:
                h.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            count = 0
            while True:
                try:
                    h.answer(data.startswith(b"HEAD"))
                    count += 1
                except rawhttp.Closed:
                    return count

    def test_malformed_requests(self):
        self.start_sandbox({"secrets": [
            {"id": GOOD, "name": "good", "value": self.value}]})
        self.begin({})
        seeds = list(good_requests())
        for data in seeds:
            self.assertEqual(self.talk(data), 1)
        memory = None
        for n in range(COUNT):
            data = mutate(self.rng, self.rng.choice(seeds))
            # what HEAD is answered cannot be read without knowing the request
            if b"HEAD" in data[1:]:
                continue
            try:
                self.talk(data)
            except rawhttp.Malformed as e:
                if not data.startswith(b"HEAD"):
                    self.fail(f"QAPI_SEED={SEED} {n}: {data!r}: {e}")
            if n == COUNT // 10:
                memory = self.agent.memory_kb()
            self.assertIsNone(self.good.wrong, f"QAPI_SEED={SEED} {data!r}")
        self.end()
        self.assertIsNone(self.agent.proc.poll())
        # the one that asks
        self.wait(lambda: self.status()["clients"] == 1,
                  "nothing is left open")
        if memory is not None and not SANITIZED:
            self.assertLess(self.agent.memory_kb() - memory, 8 << 10)


class BadService(threading.Thread):
    """Answers well for GOOD, and with broken bodies for all else."""

    def __init__(self, good, rng):
        super().__init__(daemon=True)
        self.good, self.rng = good, rng
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.lock = threading.Lock()
        self.broken = 0

    def run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        with conn, conn.makefile("rb") as f:
            while True:
                line = f.readline()
                if not line:
                    return
                length = 0
                while (head := f.readline()) not in (b"\r\n", b""):
                    name, _, text = head.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(text)
                f.read(length)
                body = self.body(line.split()[1].decode())
                try:
                    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: "
                                 b"application/json\r\nContent-Length: %d"
                                 b"\r\n\r\n" % len(body) + body)
                except OSError:
                    return

    def body(self, path):
        one = dict(self.good)
        path = path.split("?")[0]
        if path.endswith(GOOD):
            return json.dumps(one).encode()
        what = path.rsplit("/", 1)[1]
        if what in ("secrets", "keys"):
            return self.listing(what)
        one["id"] = (path.split("/") + [what] * 5)[4]
        one["value"] = one["publicKey"] = "not to be seen"
        with self.lock:
            self.broken += 1
            if self.rng.randrange(4) == 0:
                return self.nested(self.rng)
            return self.break_json(self.rng, json.dumps(one).encode())

    @staticmethod
    def listing(what):
        """A good one: what is not in it would not be asked for."""
        rows = [{"id": f"bad-{n}", "name": f"name {n}", "version": 1,
                 "isActive": True} for n in range(ANSWERS)]
        rows.append({"id": GOOD, "name": "good", "version": 1,
                     "isActive": True})
        return json.dumps({what: rows, "total": len(rows), "page": 1,
                           "hasMore": False}).encode()

    @staticmethod
    def nested(rng):
        n = rng.randint(1, 5000)
        return rng.choice([b"[" * n, b'{"a":' * n, b"[" * n + b"]" * n,
                           b'"' + b"\\ud800" * n, b"1" * n, b"-" * n,
                           b"\xef\xbb\xbf{}", b"{}" * n, b"null", b"[]", b"",
                           b'{"value": ' + b"9" * n + b"}"])

    @staticmethod
    def break_json(rng, data):
        data = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data) + 1)
            kind = rng.randrange(5)
            if kind == 0:
                del data[at:]
            elif kind == 1:
                del data[at:at + rng.randint(1, 10)]
            elif kind == 2 and at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            elif kind == 3:
                data[at:at] = rng.choice([
                    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\0",
                    b"\\u0000", b"\\ud800", b"null", b"1e999", b"\xff", b"-",
                    b'"id": "x",', b'"value": null,', b'"value": 5,'])
            else:
                data[at:at] = rng.randbytes(rng.randint(1, 6))
        return bytes(data)


class Answers(Beside):
    def test_malformed_answers(self):
        service = BadService(
            {"id": GOOD, "name": "good", "value": self.value, "version": 1,
             "contentType": "text/plain", "username": "u", "totpSecret": None,
             "urls": [], "createdAt": "2026-05-08T12:00:00Z",
             "labels": {"a": "b"}, "customFields": [{"name": "x"}]},
            self.rng)
        service.start()
        self.addCleanup(service.sock.close)
        self.begin({"upstream": {
            "url": f"http://127.0.0.1:{service.port}/api/v1"}})
        memory = None
        with rawhttp.Http(self.http, LONG) as h:
            for n in range(ANSWERS):
                path = f"/api/v1/secrets/bad-{n}?include=all"
                if n % 20 == 0:
                    path = f"/api/v1/keys/bad-{n}/public"
                a = h.ask("GET", path)
                self.assertIn(a.status, (200, 404, 502, 503), a.body)
                # three in a row would count as an outage
                h.ask("GET", f"/api/v1/secrets/{GOOD}",
                      [("Cache-Control", "no-cache")])
                got = json.loads(a.body)
                if a.status == 200:
                    # what was broken did not matter
                    self.assertEqual(got["id"], f"bad-{n}")
                if n == ANSWERS // 5:
                    memory = self.agent.memory_kb()
                self.assertIsNone(self.good.wrong, f"QAPI_SEED={SEED}")
        self.assertGreater(service.broken, ANSWERS // 2)
        self.end()
        if memory is not None and not SANITIZED:
            self.assertLess(self.agent.memory_kb() - memory, 16 << 10)


if __name__ == "__main__":
    print(f"QAPI_SEED={SEED}")
    harness.main()
