#!/usr/bin/env python3
"""The Python binding: installed with pip into an environment of its own, and
used against the real daemon."""

import asyncio
import gc
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from datetime import datetime, timezone

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

PACKAGE = os.path.join(harness.SOURCE, "bindings", "python")
LIBRARY = os.path.join(harness.BUILD, "client", ".libs",
                       "libqapi-agent.so.0")
REF = "qapi://secrets/db/password"
qapi_agent = None  # the module, once it is known where


def setUpModule():
    global qapi_agent
    if harness.SANITIZED:
        raise unittest.SkipTest("a library with sanitizers needs a program "
                                "with them")
    if not os.path.exists(LIBRARY):
        raise unittest.SkipTest("libqapi-agent was not built as a shared "
                                "library")
    os.environ["QAPI_AGENT_LIBRARY"] = LIBRARY
    sys.path.insert(0, os.path.join(PACKAGE, "src"))
    import qapi_agent as module  # pylint: disable=import-outside-toplevel
    qapi_agent = module


class Case(harness.Case):
    SEED = {
        "secrets": [
            {"id": "s-1", "name": "db/password", "value": "hünter2\0 end",
             "username": "app", "expiresAt": "2036-01-01T12:00:00.250Z",
             "updatedAt": "2026-01-02T03:04:05Z"},
            {"name": "empty", "value": ""},
            {"name": "cold", "value": "never read before"},
            {"name": "large", "value": "x" * 65000}],
        "keys": [
            {"name": "mail", "algorithm": "AES-256-GCM"},
            {"name": "signing", "algorithm": "Ed25519"},
            {"name": "ec", "algorithm": "ECDSA-P256"}]}

    @classmethod
    def setUpClass(cls):
        # `make distcheck` asks whether the tarball works: see Package
        if os.environ.get("CHECK_SHORT") and cls is not Service:
            raise unittest.SkipTest("not again for the tarball")

    def setUp(self):
        super().setUp()
        self.py = qapi_agent.Agent(self.socket, program="test_python 1",
                                   timeout=harness.LONG)
        self.addCleanup(self.py.close)

    def interrupted(self, function):
        """Wait in function() until a signal's handler raises."""
        class Stop(Exception):
            pass

        def handler(*_):
            raise Stop
        old = signal.signal(signal.SIGUSR1, handler)
        self.addCleanup(signal.signal, signal.SIGUSR1, old)
        done = threading.Event()

        def interrupt():
            # Again and again: one may come before the wait has begun.
            while not done.wait(0.05):
                os.kill(os.getpid(), signal.SIGUSR1)
        thread = threading.Thread(target=interrupt)
        try:
            with self.assertRaises(Stop):
                thread.start()
                function()
        finally:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            done.set()
            thread.join()

    def refused(self, error, function, *args, **kw):
        with self.assertRaises(error) as caught:
            function(*args, **kw)
        self.assertIs(type(caught.exception), error)
        return caught.exception


class Values(Case):
    def test_get(self):
        with self.py.get(REF) as item:
            self.assertEqual(item.value, "hünter2\0 end".encode())
            self.assertEqual(item.text, "hünter2\0 end")
            self.assertEqual(
                (item.ref, item.id, item.name, item.kind, item.version,
                 item.freshness, item.content, item.position, item.changed),
                (REF, "s-1", "db/password", "secret", 1, "fresh", "text",
                 None, False))
            self.assertTrue(0 <= item.age < harness.LONG)
            self.assertEqual(item.expires_at, datetime(
                2036, 1, 1, 12, 0, 0, 250000, tzinfo=timezone.utc))
            self.assertEqual(item.updated_at, datetime(
                2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
            self.assertNotIn("hünter2", repr(item))
        self.assertEqual(item.name, "db/password")
        for read in (lambda: item.value, lambda: item.text,
                     lambda: item.read_into(bytearray(99))):
            with self.assertRaisesRegex(ValueError, "closed"):
                read()
        self.assertEqual(self.py.get(REF + "?field=username").text, "app")
        self.assertEqual(self.py.get("qapi://secrets/empty").value, b"")
        self.assertEqual(len(self.py.get("qapi://secrets/large").value),
                         65000)
        pem = self.py.get("qapi://keys/signing/public?format=pem")
        self.assertTrue(pem.text.startswith("-----BEGIN PUBLIC KEY-----\n"))
        self.assertEqual(pem.kind, "key")
        key = self.py.get("qapi://keys/signing/public")
        self.assertEqual((key.content, json.loads(key.value)["name"]),
                         ("json", "signing"))

    def test_read_into(self):
        with self.py.get(REF) as item:
            buffer = bytearray(20)
            n = item.read_into(buffer)
            self.assertEqual((n, bytes(buffer[:n])),
                             (13, "hünter2\0 end".encode()))
            self.assertEqual(buffer[n:], bytes(7))
            n = item.read_into(memoryview(buffer)[5:18])
            self.assertEqual(bytes(buffer[5:18]), item.value)
            for small in (bytearray(12), bytearray()):
                with self.assertRaisesRegex(ValueError, "13 bytes"):
                    item.read_into(small)
            with self.assertRaises(TypeError):
                item.read_into(bytes(20))
        empty = self.py.get("qapi://secrets/empty")
        self.assertEqual(empty.read_into(bytearray()), 0)

    def test_value_is_wiped(self):
        """Where the library had it nothing is left of it."""
        def found():
            try:
                with open("/proc/self/mem", "rb") as f:
                    f.seek(start)
                    return f.read(n).count(b"x")
            except OSError:
                return 0    # not even mapped any more
        item = self.py.get("qapi://secrets/large")
        # An address that nobody but this test looks at.
        start, n = item._bytes(item._pointer)
        self.assertEqual((n, found()), (65000, 65000))
        item.close()
        self.assertLess(found(), 1000)
        item.close()
        many = self.py.get_many(["qapi://secrets/large"])
        start, n = many[0]._bytes(many[0]._pointer)
        self.assertEqual(found(), 65000)
        del many
        gc.collect()
        self.assertLess(found(), 1000)

    def test_terms(self):
        cold = "qapi://secrets/cold"
        self.refused(qapi_agent.UpstreamUnavailable, self.py.get, cold,
                     only_if_cached=True)
        item = self.py.get(cold, fresh=True, want_position=True)
        self.assertEqual((item.text, len(item.position)),
                         ("never read before", 16))
        self.sandbox.forget()
        for terms in ({"max_age": 3600}, {"only_if_cached": True}, {},
                      {"max_stale": 60.5}):
            self.assertEqual(self.py.get(cold, **terms).text, item.text)
        self.assertEqual(self.sandbox.total, 0)
        self.py.get(cold, max_age=0)
        self.py.get(cold, fresh=True)
        self.assertEqual(self.sandbox.total, 2)
        for terms in ({"max_age": -1}, {"max_stale": -0.1},
                      {"max_age": float("nan")}):
            self.refused(qapi_agent.BadRequest, self.py.get, cold, **terms)

    def test_errors(self):
        for ref, error, base in (
                ("qapi://secrets/none", qapi_agent.NotFound, LookupError),
                ("nonsense", qapi_agent.BadRequest, ValueError),
                ("", qapi_agent.BadRequest, ValueError),
                ("qapi://secrets/a\0b", qapi_agent.BadRequest, ValueError),
                ("qapi://secrets/\ud800", qapi_agent.BadRequest, ValueError),
                (REF + "?field=none", qapi_agent.NotFound, LookupError)):
            e = self.refused(error, self.py.get, ref)
            self.assertIsInstance(e, qapi_agent.AgentError)
            self.assertIsInstance(e, base)
            self.assertTrue(str(e))
            self.assertEqual(str(e), e.message)
        self.assertEqual((e.name, e.number, e.ref),
                         ("not-found", -2, REF + "?field=none"))
        self.sandbox.fault(status=500)
        e = self.refused(qapi_agent.UpstreamUnavailable, self.py.get,
                         "qapi://secrets/cold")
        self.assertEqual(e.name, "upstream-unavailable")

    def test_names_are_those_of_the_library(self):
        from qapi_agent import errors  # pylint: disable=all
        from qapi_agent._lib import lib
        for number in range(-110, 0):
            name = lib.error_name(number).decode()
            e = errors.error_of(number, "x")
            if name in ("unknown", "again"):
                self.assertIs(type(e), qapi_agent.Internal)
            else:
                self.assertEqual((e.name, e.number), (name, number))

    def test_get_many(self):
        refs = [REF, "qapi://secrets/none", "nonsense",
                "qapi://secrets/empty"] * 100
        got = self.py.get_many(refs)
        self.assertEqual(len(got), 400)
        for i in range(0, 400, 4):
            self.assertEqual(got[i].text, "hünter2\0 end")
            self.assertIs(type(got[i + 1]), qapi_agent.NotFound)
            self.assertEqual(got[i + 1].ref, "qapi://secrets/none")
            self.assertIs(type(got[i + 2]), qapi_agent.BadRequest)
            self.assertEqual(got[i + 3].value, b"")
        for item in got[:-1]:
            if isinstance(item, qapi_agent.Item):
                item.close()
        self.assertEqual(got[-1].value, b"")
        self.assertEqual(self.py.get_many([]), [])
        self.assertEqual([type(x) for x in self.py.get_many(["x"])],
                         [qapi_agent.BadRequest])

    def test_list(self):
        rows = self.py.list()
        self.assertEqual(sorted((r.kind, r.name) for r in rows), [
            ("key", "ec"), ("key", "mail"), ("key", "signing"),
            ("secret", "cold"), ("secret", "db/password"),
            ("secret", "empty"), ("secret", "large")])
        self.assertEqual({r.kind for r in self.py.list("keys")}, {"key"})
        self.assertEqual({r.kind for r in self.py.list("secret")},
                         {"secret"})
        again = self.py.list(only_if_cached=True)
        self.assertEqual(again.freshness, "fresh")
        self.assertTrue(0 <= again.age < harness.LONG)
        with self.assertRaisesRegex(ValueError, "no value"):
            rows[0].value  # pylint: disable=pointless-statement
        self.refused(qapi_agent.BadRequest, self.py.list, "apples")

    def test_refresh_and_invalidate(self):
        self.py.get(REF).close()
        self.sandbox.forget()
        done = self.py.refresh(REF, "qapi://secrets/none")
        self.assertEqual(done[0].version, 1)
        self.assertIs(type(done[1]), qapi_agent.NotFound)
        self.assertEqual(self.sandbox.reads("s-1"), 1)
        done = self.py.invalidate(REF)
        self.refused(qapi_agent.UpstreamUnavailable, self.py.get, REF,
                     only_if_cached=True)
        self.py.get(REF).close()
        self.assertEqual(self.py.refresh_all(), (1, 0))
        self.assertEqual(self.py.invalidate_all(), (1, 0))
        self.assertEqual(self.py.refresh(), [])

    def test_reject(self):
        old = self.py.get(REF)
        answer = self.py.reject(REF, old)
        self.assertFalse(answer.changed)
        old.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            self.py.reject(REF, old)

    def test_reject_finds_a_newer_one(self):
        with self.py.get(REF) as old:
            self.sandbox.rotate("s-1", "second value")
            answer = self.py.reject(REF, old)
        self.assertTrue(answer.changed)
        self.assertEqual(answer.version, 2)
        self.assertEqual(self.py.get(REF).text, "second value")

    def test_figures(self):
        self.py.ping()
        self.assertRegex(self.py.build, r"^qapi-agentd \d")
        self.assertEqual(self.py.socket, self.socket)
        self.py.get(REF).close()
        figures = self.py.status()
        self.assertEqual(figures["upstream.state"], "ok")
        self.assertEqual(figures["cache.secrets"], 1)
        text = self.py.metrics()
        self.assertTrue(text.endswith("# EOF\n"))
        self.assertNotIn("db/password", text)
        self.assertIn("db/password", self.py.metrics(names=True))
        self.assertRegex(qapi_agent.library_version(), r"^\d+\.\d+\.\d+$")


class Service(Case):
    def test_call(self):
        self.py.get(REF).close()
        r = self.py.call("GET", "/audit-logs?pageSize=1&action=SecretRead")
        self.assertEqual((r.status, r.ok, r.content_type, r.freshness),
                         (200, True, "application/json; charset=utf-8",
                          None))
        self.assertEqual(len(r.json()["items"]), 1)
        body = {"name": "made", "value": "by call \0"}
        r = self.py.call("POST", "/secrets", body=json.dumps(body))
        self.assertEqual(r.status, 201)
        self.assertEqual(self.py.get("qapi://secrets/made").text,
                         "by call \0")
        r = self.py.call("PATCH", "/api/v1/secrets/{id}",
                         ref="qapi://secrets/made", body=b'{"notes":"n"}',
                         content_type="application/json")
        self.assertEqual((r.status, r.json()["notes"]), (200, "n"))
        r = self.py.call("DELETE", "/secrets/{id}",
                         ref="qapi://secrets/made")
        self.assertEqual((r.status, r.body, r.content_type),
                         (204, b"", None))
        r = self.py.call("GET", "/secrets/none")
        self.assertEqual((r.status, r.ok, r.json()["error"]),
                         (404, False, "not_found"))
        self.assertNotIn("not_found", repr(r))
        for method, target in (("get", "/secrets"), ("GET", ""),
                               ("GET", "/a\0"), ("", "/secrets")):
            self.refused(qapi_agent.BadRequest, self.py.call, method, target)
        self.sandbox.fault(path="*/keys*", status=429, retryAfter=7)
        r = self.py.call("POST", "/keys", body="{}")
        self.assertEqual((r.status, r.retry_after), (429, 7.0))

    def test_call_is_done_once(self):
        self.sandbox.fault(path="/api/v1/secrets", method="POST",
                           action="drop")
        self.refused(qapi_agent.UpstreamUnavailable, self.py.call, "POST",
                     "/secrets", body='{"name":"x","value":"y"}')
        self.assertEqual(self.sandbox.requests()["POST /api/v1/secrets"], 1)

    def test_encrypt(self):
        for data in (b"", b"\0\xff\xfe", "text ü".encode(),
                     bytearray(b"array"), memoryview(b"view")):
            payload = self.py.encrypt(data, key="mail", aad="order ü")
            self.assertIsInstance(payload, str)
            with self.py.decrypt(payload, aad="order ü") as item:
                self.assertEqual(item.value, bytes(data))
                self.assertEqual(item.content, "bytes")
            with self.py.decrypt(payload.encode(), key="mail",
                                 aad="order ü") as item:
                self.assertEqual(item.value, bytes(data))
            for aad in (None, "", "order"):
                self.refused(qapi_agent.BadRequest, self.py.decrypt, payload,
                             aad=aad)
        self.refused(qapi_agent.NotFound, self.py.encrypt, b"", key="none")
        self.refused(qapi_agent.BadRequest, self.py.encrypt, b"",
                     key="signing")
        self.refused(qapi_agent.BadRequest, self.py.decrypt, "nonsense")

    def test_sign(self):
        for key in ("signing", "ec"):
            data = b"what is \0 signed"
            signature = self.py.sign(data, key)
            self.assertIsInstance(signature, bytes)
            good = self.py.verify(data, signature, key)
            self.assertTrue(good)
            self.assertEqual((good.valid, good.by), (True, "agent"))
            bad = self.py.verify(data + b"!", signature, key)
            self.assertFalse(bad)
            self.assertIn(bad.by, ("agent", "service"))
        self.assertEqual(len(self.py.sign(b"", "signing")), 64)
        self.refused(qapi_agent.NotFound, self.py.sign, b"", "none")
        self.refused(qapi_agent.BadRequest, self.py.sign, b"", "mail")

    def seal(self, data, **kw):
        target = io.BytesIO()
        self.py.seal(io.BytesIO(data), target, **kw)
        return target.getvalue()

    def open(self, envelope, **kw):
        target = io.BytesIO()
        self.py.open(io.BytesIO(envelope), target, **kw)
        return target.getvalue()

    def test_seal(self):
        for size in (0, 1, 65536, 1000001):
            data = os.urandom(size)
            envelope = self.seal(data, key="mail", aad="a")
            self.assertTrue(qapi_agent.is_envelope(envelope[:8]))
            self.assertEqual(self.open(envelope, aad="a"), data)
        self.assertFalse(qapi_agent.is_envelope(data[:8]))
        self.refused(qapi_agent.BadRequest, self.open, envelope, aad="b")
        self.refused(qapi_agent.BadRequest, self.open, envelope[:-1],
                     aad="a")
        self.refused(qapi_agent.BadRequest, self.open, b"no envelope")
        self.refused(qapi_agent.NotFound, self.seal, b"", key="none")
        self.py.ping()

    def test_files_that_fail(self):
        """What they raise comes out, and the next call is none the worse."""
        class Full(io.BytesIO):
            def write(self, data):
                raise OSError("the disk is full")

        class Broken(io.BytesIO):
            def read(self, n=-1):
                raise OSError("the disk is broken")
        with self.assertRaisesRegex(OSError, "full"):
            self.py.seal(io.BytesIO(bytes(10)), Full(), key="mail")
        with self.assertRaisesRegex(OSError, "broken"):
            self.py.seal(Broken(), io.BytesIO(), key="mail")
        envelope = self.seal(bytes(300000), key="mail")
        with self.assertRaisesRegex(OSError, "full"):
            self.py.open(io.BytesIO(envelope), Full())
        self.assertEqual(self.open(envelope), bytes(300000))


class Examples(Case):
    def login(self, ref, right):
        p = subprocess.run(
            [sys.executable, "-B",
             os.path.join(PACKAGE, "examples", "login.py"), ref, right],
            env={"PATH": os.environ["PATH"], "QAPI_AGENT_SOCK": self.socket,
                 "PYTHONPATH": os.path.join(PACKAGE, "src"),
                 "QAPI_AGENT_LIBRARY": LIBRARY}, text=True,
            capture_output=True, check=False, timeout=harness.LONG)
        return p.returncode, (p.stdout + p.stderr).strip()

    def test_login(self):
        self.sandbox.set("s-1", value="first password")
        self.assertEqual(self.login(REF, "first password"),
                         (0, "logged in"))
        self.sandbox.rotate("s-1", "second password")
        self.assertEqual(self.login(REF, "second password"),
                         (0, "refused; there is a newer one\nlogged in"))
        self.assertEqual(self.login(REF, "third"), (1, "not logged in"))
        self.assertEqual(self.login("qapi://secrets/none", "x"),
                         (1, "there is no such secret"))
        self.agent.stop()
        status, text = self.login(REF, "x")
        self.assertEqual((status, text.split(":")[0]), (1, "unreachable"))

    def test_readme_shows_them(self):
        with open(os.path.join(PACKAGE, "README.md"), encoding="utf-8") as f:
            blocks = re.findall(r"^```python file=(\S+)\n(.*?)^```$",
                                f.read(), re.M | re.S)
        self.assertEqual([name for name, _ in blocks],
                         ["examples/login.py"])
        for name, shown in blocks:
            with open(os.path.join(PACKAGE, name), encoding="utf-8") as f:
                self.assertEqual(shown, f.read())


class Handle(Case):
    def test_unreachable_and_closed(self):
        nowhere = qapi_agent.Agent(os.path.join(self.dir, "none.sock"))
        e = self.refused(qapi_agent.Unreachable, nowhere.ping)
        self.assertIsInstance(e, ConnectionError)
        self.py.ping()
        self.agent.stop()
        self.refused(qapi_agent.Unreachable, self.py.ping)
        self.start_agent()
        self.py.ping()      # connects anew by itself
        self.py.close()
        self.py.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            self.py.ping()
        for bad in ({"socket": "x" * 108}, {"socket": ""},
                    {"socket": "a\0"}, {"program": "x" * 129},
                    {"timeout": -1}):
            self.refused(qapi_agent.BadRequest, qapi_agent.Agent, **bad)

    def test_timeout(self):
        fault = self.sandbox.fault(action="hang")
        with qapi_agent.Agent(self.socket, timeout=0.2) as agent:
            e = self.refused(qapi_agent.Timeout, agent.get, REF)
            self.assertIsInstance(e, TimeoutError)
        self.sandbox.clear()
        self.assertIsNotNone(fault)

    def test_signals_interrupt(self):
        """As Ctrl-C does; the next call is none the worse."""
        self.sandbox.fault(action="hang")
        patient = qapi_agent.Agent(self.socket, timeout=None)
        self.addCleanup(patient.close)
        self.interrupted(lambda: patient.get(REF))
        self.sandbox.clear()
        self.assertEqual(patient.get(REF).text, "hünter2\0 end")

    def test_threads_share_one(self):
        def ask(i):
            for _ in range(20):
                want = ("hünter2\0 end", "app")[i % 2]
                ref = REF + ("", "?field=username")[i % 2]
                with self.py.get(ref) as item:
                    self.assertEqual(item.text, want)
        harness.at_once(8, ask)

    def test_fork(self):
        """Both sides use theirs; the child has a connection of its own."""
        self.py.ping()
        watch = self.py.watch([REF])
        self.addCleanup(watch.close)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for _ in range(50):
                    self.assertEqual(self.py.get(REF).text, "hünter2\0 end")
                with self.assertRaisesRegex(ValueError, "closed"):
                    watch.take()
                watch.close()
                gc.collect()
                status = 0
            finally:
                os._exit(status)
        for _ in range(50):
            self.assertEqual(self.py.get(REF).text, "hünter2\0 end")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        # The parent's subscription is still there.
        self.sandbox.rotate("s-1", "after the fork")
        self.py.refresh(REF)
        self.assertEqual(watch.next(harness.LONG).reason, "changed")

    def test_leaves_nothing_open(self):
        def descriptors():
            return len(os.listdir("/proc/self/fd"))
        self.py.ping()
        before = descriptors()
        for _ in range(3):
            with qapi_agent.Agent(self.socket) as agent:
                agent.ping()
                with agent.watch([REF]):
                    pass
            qapi_agent.Agent(self.socket).ping()    # never closed
        gc.collect()
        self.assertEqual(descriptors(), before)


class Watching(Case):
    def events(self, watch, *reasons):
        """Wait for these, in their order; the same may come twice."""
        for reason in reasons:
            while True:
                event = watch.next(harness.LONG)
                if event.reason == reason:
                    break
        return event

    def test_changes(self):
        position = self.py.get(REF, want_position=True).position
        refs = {REF: position, "qapi://secrets/empty": None}
        with self.py.watch(refs) as watch:
            self.refused(qapi_agent.Timeout, watch.next, 0)
            self.sandbox.rotate("s-1", "second value")
            self.py.refresh(REF)
            event = self.events(watch, "changed")
            self.assertEqual((event.ref, event.index), (REF, 0))
            self.assertEqual(self.py.get(REF).text, "second value")
            now = watch.items[0].position
            self.assertEqual(len(now), 16)
            self.assertNotEqual(now, position)
            self.sandbox.control("DELETE", "/secrets/s-1")
            self.py.refresh(REF)
            self.events(watch, "gone")
            self.assertFalse(watch.has_ended(0))
        with self.assertRaisesRegex(ValueError, "closed"):
            watch.next(0)
        # From a position that was read before, nothing is lost.
        with self.py.watch({REF: position}) as watch:
            self.events(watch, "gone")

    def test_refused(self):
        with self.py.watch([REF, "nonsense"]) as watch:
            self.assertEqual([watch.has_ended(i) for i in (0, 1)],
                             [False, True])
            self.assertEqual(len(watch.items[0].position), 16)
            self.assertIs(type(watch.items[1]), qapi_agent.BadRequest)
        with self.py.watch(["nonsense"]) as watch:
            self.refused(qapi_agent.BadRequest, watch.next, harness.LONG)
        self.refused(qapi_agent.BadRequest, self.py.watch, [])
        self.refused(qapi_agent.BadRequest, self.py.watch, {REF: b"short"})
        self.agent.stop()
        self.refused(qapi_agent.Unreachable, self.py.watch, [REF])

    def test_outlives_the_agent(self):
        with self.py.watch([REF]) as watch:
            self.sandbox.rotate("s-1", "while it runs")
            self.py.refresh(REF)
            self.events(watch, "changed")
            self.agent.stop()
            self.sandbox.rotate("s-1", "while it is away")
            self.start_agent()
            self.events(watch, "changed")
        self.assertEqual(self.py.get(REF).text, "while it is away")

    def test_iteration_is_interrupted_by_signals(self):
        with self.py.watch([REF]) as watch:
            self.interrupted(lambda: list(watch))


class Async(Case):
    def run_(self, function, **kw):
        async def main():
            kw.setdefault("timeout", harness.LONG)
            async with qapi_agent.aio.Agent(self.socket, **kw) as agent:
                return await asyncio.wait_for(function(agent),
                                              2 * harness.LONG)
        return asyncio.run(main())

    async def raises(self, error, awaitable):
        with self.assertRaises(error) as caught:
            await awaitable
        self.assertIs(type(caught.exception), error)

    def test_many_at_a_time(self):
        async def main(agent):
            refs = [REF, "qapi://secrets/none", REF + "?field=username"]
            got = await asyncio.gather(
                *(agent.get(r) for r in refs * 100), agent.ping(),
                agent.get_many(refs), agent.list("keys"), agent.status(),
                return_exceptions=True)
            for i in range(0, 300, 3):
                self.assertEqual(got[i].text, "hünter2\0 end")
                self.assertIs(type(got[i + 1]), qapi_agent.NotFound)
                self.assertEqual(got[i + 2].text, "app")
            self.assertIsNone(got[300])
            self.assertEqual([type(x).__name__ for x in got[301]],
                             ["Item", "NotFound", "Item"])
            self.assertEqual(len(got[302]), 3)
            self.assertIn("upstream.state", got[303])
            self.assertEqual(await agent.get_many([]), [])
            done = await agent.refresh(REF)
            self.assertEqual(done[0].version, 1)
            await agent.invalidate(REF)
            await self.raises(qapi_agent.UpstreamUnavailable,
                              agent.get(REF, only_if_cached=True))
            item = await agent.get(REF)
            self.assertFalse((await agent.reject(REF, item)).changed)
        self.run_(main)

    def test_the_service(self):
        async def main(agent):
            reply = await agent.call("GET", "/rate-limit")
            self.assertEqual(reply.status, 200)
            payload = await agent.encrypt(b"x", key="mail")
            self.assertEqual((await agent.decrypt(payload)).value, b"x")
            signature = await agent.sign(b"x", "ec")
            self.assertTrue(await agent.verify(b"x", signature, "ec"))
            self.assertFalse(await agent.verify(b"y", signature, "ec"))
            await self.raises(qapi_agent.NotFound,
                              agent.sign(b"x", "none"))
        self.run_(main)

    def test_cancelled_and_late(self):
        fault = self.sandbox.fault(action="hang")

        async def main(agent):
            task = asyncio.ensure_future(agent.get(REF))
            while self.sandbox.hits(fault) == 0:
                await asyncio.sleep(0.01)
            task.cancel()
            await self.raises(asyncio.CancelledError, task)
            async with qapi_agent.aio.Agent(self.socket,
                                            timeout=0.2) as hasty:
                await self.raises(qapi_agent.Timeout, hasty.get(REF))
            late = asyncio.ensure_future(agent.get("qapi://secrets/cold"))
            await agent.ping()
            agent.close()
            agent.close()
            await self.raises(qapi_agent.Closed, late)
            with self.assertRaisesRegex(ValueError, "closed"):
                await agent.ping()
        self.run_(main)

    def test_unreachable(self):
        self.agent.stop()

        async def main(agent):
            await self.raises(qapi_agent.Unreachable, agent.ping())
            await self.raises(qapi_agent.Unreachable, agent.watch([REF]))
        self.run_(main)

    def test_another_loop(self):
        async def make():
            return qapi_agent.aio.Agent(self.socket)
        agent = asyncio.run(make())
        with self.assertRaisesRegex(RuntimeError, "another event loop"):
            asyncio.run(agent.ping())
        with self.assertRaises(RuntimeError):
            qapi_agent.aio.Agent(self.socket)   # without any

    def test_watch(self):
        async def main(agent):
            async with await agent.watch([REF, "nonsense"]) as watch:
                self.assertEqual([watch.has_ended(i) for i in (0, 1)],
                                 [False, True])
                self.assertEqual(len(watch.items[0].position), 16)
                waiting = asyncio.ensure_future(watch.next())
                await agent.ping()
                self.assertFalse(waiting.done())
                self.sandbox.rotate("s-1", "second value")
                await agent.refresh(REF)
                event = await waiting
                self.assertEqual((event.ref, event.reason),
                                 (REF, "changed"))
                self.assertEqual((await agent.get(REF)).text,
                                 "second value")
                self.sandbox.control("DELETE", "/secrets/s-1")
                await agent.refresh(REF)
                async for event in watch:
                    if event.reason == "gone":
                        break
            with self.assertRaisesRegex(ValueError, "closed"):
                await watch.next()
        self.run_(main)


class Package(unittest.TestCase):
    """As a user installs it, into an environment of its own."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="qi-py-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.python = os.path.join(cls.dir, "venv", "bin", "python3")
        # With the pip that is here: to unpack another takes ten times as long.
        cls.pip = [sys.executable, "-m", "pip", "--python", cls.python,
                   "--disable-pip-version-check"]
        for argv in ([sys.executable, "-m", "venv", "--without-pip",
                      os.path.join(cls.dir, "venv")],
                     [*cls.pip, "--version"]):
            p = cls.run_(argv)
            if p.returncode != 0:
                raise unittest.SkipTest("no environments, or no pip 22.3 "
                                        "here: " + p.stdout)
        # A copy: pip must not write into the source tree.
        source = os.path.join(cls.dir, "python")
        shutil.copytree(PACKAGE, source,
                        ignore=shutil.ignore_patterns("__pycache__"))
        for directory, _, _ in os.walk(source):     # of make distcheck
            os.chmod(directory, 0o755)
        p = cls.run_([*cls.pip, "install", "--no-index", source])
        if p.returncode != 0:
            raise AssertionError("pip install: " + p.stdout)

    @staticmethod
    def run_(argv, **env):
        return subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, cwd="/", timeout=6 * harness.LONG,
            env={"PATH": os.environ["PATH"], **env})

    def test_installed(self):
        p = self.run_([self.python, "-c", "import qapi_agent\n"
                       "print(qapi_agent.__file__)\n"
                       "print(qapi_agent.library_version())"],
                      QAPI_AGENT_LIBRARY=LIBRARY)
        self.assertEqual(p.returncode, 0, p.stdout)
        path, version = p.stdout.split()
        self.assertTrue(path.startswith(self.dir))
        self.assertRegex(version, r"^\d")
        self.assertTrue(os.path.exists(
            os.path.join(os.path.dirname(path), "py.typed")))
        p = self.run_([*self.pip, "show", "-f", "qapi-agent"])
        self.assertIn(f"Version: {qapi_agent.__version__}\n", p.stdout)
        self.assertIn("qapi_agent/agent.py", p.stdout)

    def test_without_the_library(self):
        p = self.run_([self.python, "-c",
                       "import qapi_agent; qapi_agent.Agent()"],
                      QAPI_AGENT_LIBRARY="/nowhere.so")
        self.assertEqual(p.returncode, 1)
        self.assertRegex(p.stdout.strip().split("\n")[-1],
                         "^ImportError: libqapi-agent cannot be loaded: "
                         ".*QAPI_AGENT_LIBRARY$")

    def test_versions_agree(self):
        for name in ("pyproject.toml", "_build.py"):
            with open(os.path.join(PACKAGE, name), encoding="utf-8") as f:
                self.assertIn(f'"{qapi_agent.__version__}"', f.read(), name)

    def test_types(self):
        if shutil.which("mypy") is None:
            self.skipTest("there is no mypy")
        cache = os.path.join(self.dir, "mypy")
        p = subprocess.run(["mypy", "--cache-dir", cache], cwd=PACKAGE,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False)
        self.assertEqual(p.returncode, 0, p.stdout)


if __name__ == "__main__":
    harness.main()
