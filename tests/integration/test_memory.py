#!/usr/bin/env python3
"""Where values and the API key are in the daemon's memory: in the arena, and
nowhere else, idle or in the middle of a transfer (contract 8).

Needs root: the daemon is not dumpable, so nobody else reads /proc/PID/mem.
The arena is memfd_secret(2) memory, which even root cannot read, or memory
that is locked and left out of dumps; all the rest is searched.
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import time

import harness
import rawhttp
import wire
from harness import Case, secret, value

CHUNK = 1 << 20


class Maps:
    """The daemon's mappings, sorted into the arena and the rest."""

    def __init__(self, pid):
        self.pid = pid
        self.arena, self.rest = [], []
        with open(f"/proc/{pid}/smaps", encoding="utf-8") as f:
            text = f.read()
        for block in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text):
            if not block:
                continue
            head = block.split("\n", 1)[0].split(None, 5)
            low, high = (int(x, 16) for x in head[0].split("-"))
            name = head[5] if len(head) > 5 else ""
            flags = re.search(r"^VmFlags: (.*)$", block, re.M)[1].split()
            entry = (low, high, head[1], name)
            if "secretmem" in name or ("lo" in flags and "dd" in flags):
                self.arena.append(entry)
            else:
                self.rest.append(entry)

    def search(self, needles):
        """{needle: [where]} outside of the arena."""
        found = {}
        overlap = max(len(n) for n in needles) - 1
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as mem:
            for low, high, mode, name in self.rest:
                if "r" not in mode or name in ("[vvar]", "[vsyscall]",
                                               "[vvar_vclock]"):
                    continue
                at, tail = low, b""
                while at < high:
                    try:
                        data = os.pread(mem.fileno(),
                                        min(CHUNK, high - at), at)
                    except OSError:
                        break
                    if not data:
                        break
                    data = tail + data
                    for n in needles:
                        if n in data:
                            found.setdefault(n, []).append(name or hex(low))
                    at += len(data) - len(tail)
                    tail = data[-overlap:]
        return found


def forms(text):
    """A value as it is, and as it might be lying about."""
    raw = text.encode()
    coded = base64.b64encode(raw).rstrip(b"=")[:-1]
    return [raw, coded] if len(raw) < 4096 else [raw[1000:1100]]


@harness.needs_root
@harness.not_sanitized
class Memory(Case):
    AUTO = False
    CONF = {"cache": {"refresh-interval": "300ms"}}

    def setUp(self):
        super().setUp()
        self.values = [value("m") + value("n") for _ in range(6)]
        self.values.append("".join(value("big") for _ in range(1500)))
        self.rotated = value("m") + value("n")
        self.seed = {"secrets": [
            secret("plain", "db/plain", self.values[0]),
            secret("escaped", val=self.values[1] + "+<>&'\"\\é🔑\0\n"),
            secret("fields", val=self.values[2], notes=self.values[3],
                   customFields=[{"name": "c", "value": self.values[4],
                                  "type": "text"}],
                   totpSecret="GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            secret("big", val=self.values[6]),
            secret("other", val=self.values[5]),
        ]}

    def needles(self, *more):
        out = []
        for text in [*self.values, self.key, self.rotated,
                     "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", *more]:
            out += forms(text)
        return out

    def clean(self, when, *more):
        """No whole copy outside of the arena, now."""
        maps = Maps(self.agent.pid)
        self.assertTrue(maps.arena, "there is no arena")
        found = maps.search(self.needles(*more))
        self.assertEqual({n[:60]: w for n, w in found.items()}, {}, when)

    def pieces(self, when, *more):
        """No 16 bytes of them either."""
        windows = []
        for text in [*self.values[:6], self.key, *more]:
            raw = text.encode()
            windows += [raw[i:i + 16] for i in range(0, len(raw) - 15)]
        found = Maps(self.agent.pid).search(windows)
        self.assertEqual(found, {}, when)

    def use(self):
        for name in ("db/plain", "escaped", "fields", "big", "other"):
            self.get(name)
            self.get(name)
            self.helper("get", name, "--json", "--max-age", "0")
        self.helper("get", "qapi://secrets/fields?field=notes")
        self.helper("get", "qapi://secrets/fields?field=customFields.c")
        self.helper("get", "qapi://secrets/fields?field=customFields")
        self.helper("get", "qapi://secrets/fields?field=nope")
        self.helper("get", "nope")
        self.ok("list")
        self.status()
        self.helper("get", "plain", "escaped", "fields", "big", "other")
        self.helper("run", "--env", "A=plain", "--file", "F=big", "--",
                    "true")

    def begin(self, tls=None, **kw):
        self.start_sandbox(self.seed, tls=tls)
        self.start_agent(**kw)

    def certificate(self):
        cert, key = (os.path.join(self.dir, n) for n in ("c.pem", "c.key"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", key, "-out", cert], check=True, capture_output=True)
        return cert, key

    def test_scanner_finds_what_is_not_hidden(self):
        """Or the tests below would prove nothing."""
        mark = value("mark")
        self.begin(env={"TEST_MARK": mark})
        self.use()
        found = Maps(self.agent.pid).search(
            [mark.encode(), self.conf_path.encode(), b"not there at all"])
        self.assertEqual(found[mark.encode()], ["[stack]"])
        self.assertIn(self.conf_path.encode(), found)
        self.assertNotIn(b"not there at all", found)

    def test_arena_cannot_be_read_swapped_or_dumped(self):
        self.begin()
        self.use()
        maps = Maps(self.agent.pid)
        with open(f"/proc/{self.agent.pid}/mem", "rb", buffering=0) as mem:
            for low, high, mode, name in maps.arena:
                if "secretmem" in name and "r" in mode:
                    self.assertRaises(OSError, os.pread, mem.fileno(),
                                      4096, low)
                self.assertNotIn("x", mode)

    def idle(self, tls):
        self.begin(tls, **({"conf": {"upstream": {"ca-file": tls[0]}}}
                           if tls else {}))
        self.clean("before any read")
        self.use()
        self.clean("after reads")
        self.pieces("after reads")
        # refreshes, by time and at once
        self.sandbox.forget()
        self.wait(lambda: self.sandbox.total >= 6, "it was refreshed")
        self.helper("refresh", "--all")
        self.clean("after refreshes")
        self.sandbox.set("plain", value=self.rotated, version=2)
        self.note_private(self.rotated)
        self.wait(lambda: self.get("plain") == self.rotated.encode(),
                  "it is rotated")
        self.clean("after a rotation")
        self.helper("purge", "--all")
        self.clean("after a purge")
        self.pieces("after a purge")

    def test_no_copy_outside_the_arena_idle_http(self):
        self.idle(None)

    def test_no_copy_outside_the_arena_idle_tls(self):
        self.idle(self.certificate())

    def transfer(self, tls):
        """While a body comes in byte by byte."""
        self.begin(tls, **({"conf": {
            "upstream": {"ca-file": tls[0], "request-timeout": "20s"}}}
            if tls else {"conf": {"upstream": {"request-timeout": "20s"}}}))
        self.get("other")
        slow = self.sandbox.fault("*/secrets/plain", action="slow",
                                  latencyMs=3)
        w = self.wire()
        rid = w.send_get("qapi://secrets/plain")
        self.wait(lambda: self.sandbox.hits(slow) >= 1, "it is on its way")
        deadline = time.monotonic() + 2
        scans = 0
        while time.monotonic() < deadline or scans < 3:
            self.clean("in the middle of a transfer")
            scans += 1
        f = w.recv_for(rid, 30)
        self.sandbox.clear()
        self.assertEqual(f.VALUE, self.values[0].encode())
        self.clean("after a slow transfer")
        self.pieces("after a slow transfer")

    def test_no_copy_in_the_middle_of_a_transfer_http(self):
        self.transfer(None)

    def test_no_copy_in_the_middle_of_a_transfer_tls(self):
        self.transfer(self.certificate())

    def test_no_copy_while_an_answer_waits_for_a_slow_reader(self):
        self.begin()
        self.get("big")
        w = self.wire()
        rids = [w.send_get("qapi://secrets/big", "qapi://secrets/plain")
                for _ in range(30)]
        self.wire().ping()
        self.clean("while answers are queued")
        for rid in rids:
            w.all_for(rid)
        self.clean("after they were read")

    def test_no_copy_after_cut_and_wrong_answers(self):
        self.begin(conf={"upstream": {"request-timeout": "1s"}})
        for fault in ({"action": "truncate"}, {"action": "drop"},
                      {"status": 500, "body": self.values[0]},
                      {"body": '{"id": "zzz", "value": "%s"}'
                               % self.values[0]},
                      {"body": '"%s"' % self.values[0]},
                      {"action": "slow", "latencyMs": 20}):
            with self.subTest(fault):
                self.sandbox.fault("*/secrets/plain", **fault)
                self.helper("get", "plain", "--timeout", "3s")
                self.clean("after a wrong answer")
                self.sandbox.clear()

    def test_no_copy_after_connections_were_killed(self):
        self.begin()
        self.get("big")
        for _ in range(20):
            w = self.wire()
            w.send_get("qapi://secrets/big", "qapi://secrets/plain")
            w.sock.recv(100)
            w.close()
        self.wire().ping()
        self.clean("after readers left")

    def test_no_copy_of_what_operations_see(self):
        self.begin()
        for name, kind, algorithm in (
                ("mail", "encryption", "AES-256-GCM"),
                ("sign", "signing", "ECDSA-P256")):
            self.sandbox.api("POST", "/keys", {
                "name": name, "keyType": kind, "algorithm": algorithm})
        w = self.wire()
        small, large = self.values[0].encode(), self.values[6].encode()
        for data in (small, large):
            payload = w.encrypt(data, "mail").VALUE
            self.assertEqual(w.decrypt(payload).VALUE, data)
            signature = w.sign(data, "sign").VALUE
            self.assertEqual(w.verify(data, signature, "sign").VALID, 1)
            w.verify(data + b"!", signature, "sign")
            self.assertEqual(w.decrypt(payload, aad="x").error,
                             "bad-request")
            w.call("POST", "/roles", b'{"name": "%s"}' % data[:30])
        self.clean("after operations")
        self.pieces("after operations")
        # a stream in the middle, and the data key that it was begun with
        chunk = (small * 1000)[:wire.CHUNK]
        seal = wire.Stream(w, key="mail")
        sealed = seal.chunk(chunk.ljust(wire.CHUNK, b"x")).VALUE
        opening = wire.Stream(w, header=seal.header)
        self.assertEqual(opening.chunk(sealed).VALUE[:len(chunk)], chunk)
        n = int.from_bytes(seal.header[50:52], "big")
        key_id = seal.header[52:52 + n].decode()
        wrapped = seal.header[seal.header.rindex(b"\0") + 2:].decode()
        key = base64.b64decode(self.sandbox.api(
            "POST", f"/keys/{key_id}/unwrap",
            {"wrappedKey": wrapped, "context": base64.b64encode(
                b"qapi-agent envelope 1").decode()})["keyMaterial"])
        self.clean("in the middle of streams")
        self.pieces("in the middle of streams")
        self.assertEqual(Maps(self.agent.pid).search(
            [key, base64.b64encode(key)[:40]]), {})

    def test_no_copy_of_what_comes_over_http(self):
        """Values read and written, in all kinds of bodies, and the token."""
        path = os.path.join(self.run_dir, "http.sock")
        token = os.path.join(self.dir, "token")
        with socket.socket() as s:
            s.bind(("127.91.7.5", 0))
            where = s.getsockname()
        self.begin(conf={"agent": {
            "http-socket": path, "http-token-file": token,
            "http-listen": "%s:%d" % where}})
        with open(token, encoding="ascii") as f:
            text = f.read().strip()
        self.note_private(text)
        auth = [("X-Api-Key", text), ("Content-Type", "application/json")]
        body = json.dumps({"value": self.rotated}).encode()
        with rawhttp.Http(path) as h, rawhttp.Http(where) as t:
            for name in ("plain", "escaped", "fields", "big", "nope"):
                for query in ("", "?include=all", "?include=notes"):
                    h.ask("GET", f"/api/v1/secrets/{name}{query}")
                    t.ask("GET", f"/api/v1/secrets/{name}{query}", auth)
            t.ask("GET", "/health", [("X-Api-Key", text[:-1] + "!")])
            h.ask("PUT", "/api/v1/secrets/other/value", auth[1:], body)
            a = h.ask("GET", "/api/v1/secrets/other")
            self.assertIn(self.rotated.encode(), a.body)
            h.ask("POST", "/api/v1/nowhere", auth[1:], body * 3000)
            # half of one, one in chunks, and one that is wrong in the end
            part = b"%x\r\n%s\r\n" % (len(body), body)
            head = b"POST /api/v1/nowhere HTTP/1.1\r\nHost: x\r\n" \
                b"Transfer-Encoding: chunked\r\n\r\n" + part
            h.send(head + b"0\r\n\r\n")
            h.answer()
            h.send(head + part)
            t.send(b"GET / HTTP/1.1\r\nX-Api-Key: " + text.encode())
            self.status()
            self.clean("while half a request is there", text)
            self.pieces("while half a request is there", text)
            h.send(b"x\r\n")
            self.assertEqual(h.answer().status, 400)
        self.status()
        self.clean("after HTTP", text)
        self.pieces("after HTTP", text)

    def test_replaced_api_key_leaves_nothing(self):
        self.begin()
        self.get("plain")
        old, new = self.key, "qapi_" + os.urandom(20).hex()
        self.private.add(new)
        self.sandbox.control("PUT", "/api-keys/" + new, {"scopes": ["*"]})
        self.write_key(new)
        self.sandbox.control("DELETE", "/api-keys/" + old)
        self.sandbox.forget()
        self.wait(lambda: self.sandbox.total >= 4, "the new key is in use")
        self.get("other")
        self.clean("after the key was replaced", old, new)

    def test_no_copy_under_signals(self):
        """A signal's frame saves registers; not on the plain stack."""
        self.begin()
        stop = time.monotonic() + 1.5
        while time.monotonic() < stop:
            self.agent.proc.send_signal(signal.SIGWINCH)
            self.helper("get", "plain", "--max-age", "0")
        self.clean("after signals")


if __name__ == "__main__":
    harness.main()
