#!/usr/bin/env python3
"""The cache across restarts: state-file= and the descriptor store (contract
6, "agent restarts, service down").

The service is away after the restart, so whatever is answered then came from
the snapshot.
"""

import array
import base64
import contextlib
import os
import re
import socket
import stat
import time
import unittest

import harness
import kill9
from harness import Case, secret, utc, value
from test_memory import Maps

HEADER, CHUNK = 144, 16384 + 17


class State(Case):
    AUTO = False
    SEED = {"secrets": []}

    def setUp(self):
        super().setUp()
        self.state = os.path.join(self.dir, "state")
        self.seed = {
            "secrets": [
                secret("s1", "db/prod", username="alice",
                       customFields=[{"name": "pin", "value": value("pin"),
                                      "type": "text"}]),
                secret("s2", "web/é", val=value("line\n")),
                secret("s3", "big", val=value("b") * 2000),
            ],
            "keys": [{"id": "k1", "name": "signer", "algorithm": "Ed25519"}],
        }
        self.note_private(self.seed["secrets"][0]["customFields"][0]["value"])

    def val(self, i):
        return self.seed["secrets"][i]["value"].encode()

    def begin(self, conf=None, **kw):
        self.start_sandbox(self.seed)
        self.run_agent(conf, **kw)

    def run_agent(self, conf=None, state=True, **kw):
        cache = dict((conf or {}).get("cache", {}))
        if state:
            cache.setdefault("state-file", self.state)
        full = {**(conf or {}), "cache": cache}
        with contextlib.suppress(OSError):
            os.truncate(os.path.join(self.dir, "agentd.log"), 0)
        self.start_agent(full, **kw)

    def stop_agent(self):
        self.assertEqual(self.agent.stop(), 0)

    def again(self, conf=None, **kw):
        """A clean stop, and a new daemon without a service."""
        self.stop_agent()
        if self.sandbox.proc is not None:
            self.sandbox.stop()
        self.run_agent(conf, **kw)

    def read_all(self):
        for i, s in enumerate(self.seed["secrets"]):
            self.assertEqual(self.get(s["name"]), self.val(i))

    def saved(self, path=None):
        """Wait for the next snapshot after this call."""
        path = path or self.state

        def look():
            with contextlib.suppress(FileNotFoundError):
                return os.stat(path).st_mtime_ns
            return None
        before = look()
        return lambda what="it is saved": self.wait(
            lambda: look() not in (None, before), what, 5)

    def logged(self, text):
        self.assertIn(text, self.agent.log())

    def assert_cold(self, says):
        """Nothing was taken over, and the log says why."""
        self.logged("not taken over")
        self.logged(says)
        self.assertEqual(self.status()["cache"]["secrets"], 0)
        self.fails(6, "get", "db/prod")
        self.assertTrue(os.path.exists(self.state + ".bad"))

    def bytes(self):
        with open(self.state, "rb") as f:
            return f.read()

    def put_bytes(self, data):
        with open(self.state, "wb",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(data)

    def made(self, conf=None):
        """A good snapshot of all, with nobody running; its bytes."""
        self.begin(conf)
        self.read_all()
        self.stop_agent()
        self.sandbox.stop()
        return self.bytes()


class Restart(State):
    def test_agent_restarts_service_down_answers_as_before(self):
        self.begin()
        self.read_all()
        fields = {f: self.get(f"qapi://secrets/s1?field={f}")
                  for f in ("username", "customFields.pin", "createdAt")}
        pinned = self.get("qapi://secrets/s1?version=1")
        jwk = self.get("qapi://keys/signer/public?format=jwk")
        listing = self.ok("list", "secrets")
        whole = self.get_json("db/prod")
        self.again()
        self.read_all()
        self.assertEqual(self.get("s1"), self.val(0))
        for f, v in fields.items():
            self.assertEqual(self.get(f"qapi://secrets/s1?field={f}"), v)
        self.assertEqual(self.get("qapi://secrets/s1?version=1"), pinned)
        self.assertEqual(self.get("qapi://keys/signer/public?format=jwk"),
                         jwk)
        now = self.get_json("db/prod")
        for name in ("id", "name", "version", "value", "updatedAt",
                     "expiresAt", "ref"):
            self.assertEqual(now[name], whole[name])
        rows = [line.split()[:2] for line in listing.decode().splitlines()]
        self.assertEqual([line.split()[:2] for line in
                          self.ok("list", "secrets").decode().splitlines()],
                         rows)
        # what was not cached is not there, by whatever name
        self.assertEqual(self.helper("get", "nothing").status, 3)

    def test_ages_count_across_the_restart(self):
        self.begin()
        self.get("db/prod")
        self.wait(lambda: self.get_json("db/prod")["ageSeconds"] >= 1,
                  "it is a second old")
        self.stop_agent()
        self.sandbox.stop()
        began = time.monotonic()
        self.wait(lambda: time.monotonic() - began > 2, "time passed")
        self.run_agent()
        self.assertGreaterEqual(self.get_json("db/prod")["ageSeconds"], 3)
        self.assertRegex(self.agent.log(), r"as of [2-9] s ago")

    def test_max_stale_counts_across_the_restart(self):
        conf = {"cache": {"refresh-interval": "200ms", "max-stale": "3s"}}
        self.begin(conf)
        self.get("db/prod")
        self.sandbox.stop()
        self.wait_freshness("db/prod", "stale")
        self.again(conf)
        o = self.get_json("db/prod")
        self.assertIn(o["freshness"], ("stale", "fresh"))
        self.wait(lambda: self.helper("get", "db/prod").status == 6,
                  "max-stale has passed", 6)
        self.again(conf)
        self.fails(6, "get", "db/prod")

    def test_expiry_counts_across_the_restart(self):
        self.seed["secrets"].append(secret("s4", "soon",
                                           expiresAt=utc(2.5)))
        self.begin({"cache": {"refresh-lead": "0s"}})
        before = self.get_json("soon")
        self.again()
        now = self.get_json("soon")
        self.assertEqual((now["value"], now["expiresAt"]),
                         (before["value"], before["expiresAt"]))
        self.wait(lambda: self.helper("get", "soon").status == 8,
                  "it has expired", 5)
        self.again()
        self.assert_error("expired", 8, "get", "soon")

    def test_stale_stays_stale(self):
        conf = {"cache": {"refresh-interval": "200ms"}}
        self.begin(conf)
        self.get("db/prod")
        self.sandbox.stop()
        self.wait_freshness("db/prod", "stale")
        self.again(conf)
        self.assertEqual(self.get_json("db/prod")["freshness"], "stale")

    def test_preload_is_ready_at_once_with_the_service_down(self):
        conf = {"cache": {"preload": "db/prod,web/é",
                          "preload-wait": "60s"}}
        self.begin(conf)
        began = time.monotonic()
        self.again(conf)        # waits for READY=1
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(self.get("db/prod"), self.val(0))

    def test_refreshed_when_the_service_is_there(self):
        self.made()
        self.sandbox.start()
        new = value("new")
        self.note_private(new)
        self.sandbox.set("s1", value=new, version=2)
        self.run_agent({"cache": {"refresh-interval": "400ms"}})
        self.wait(lambda: self.get("db/prod") == new.encode(),
                  "it is refreshed")

    def test_change_is_in_the_file_within_two_seconds(self):
        self.begin()
        wait = self.saved()
        self.get("db/prod")
        began = time.monotonic()
        wait()
        self.assertLess(time.monotonic() - began, 4)    # a busy machine
        new = value("new")
        self.note_private(new)
        self.sandbox.rotate("s1", new)
        wait = self.saved()
        self.get("db/prod", "--fresh")
        wait("the new value is saved")
        self.agent.kill()
        self.agent.status_code = 0
        self.sandbox.stop()
        self.run_agent()
        self.assertEqual(self.get("db/prod"), new.encode())

    def test_purged_and_deleted_go_from_the_file(self):
        self.begin()
        wait = self.saved()
        self.read_all()
        wait()
        wait = self.saved()
        self.sandbox.control("DELETE", "/secrets/s1")
        self.assertEqual(self.helper("get", "s1", "--fresh").status, 3)
        wait("without the deleted one")
        wait = self.saved()
        self.ok("purge", "web/é")
        wait("without the purged one")
        self.agent.kill()
        self.agent.status_code = 0
        self.sandbox.stop()
        self.run_agent()
        self.assertNotEqual(self.helper("get", "s1").status, 0)
        self.fails(6, "get", "s2")
        self.assertEqual(self.get("big"), self.val(2))
        self.ok("purge", "--all")
        self.again()
        self.fails(6, "get", "big")

    def test_status_tells_of_it(self):
        self.begin()
        wait = self.saved()
        self.get("db/prod")
        wait()
        s = self.wait(lambda: self.status()["state"]
                      if self.status()["state"]["entries"] else None,
                      "status knows")
        self.assertEqual((s["entries"], s["error"]), (1, None))
        self.assertLess(s["savedAgeSeconds"], 10)
        self.again(state=False)
        self.assertNotIn("state", self.status())

    def test_new_api_key_seals_anew_at_once(self):
        self.begin()
        wait = self.saved()
        self.read_all()
        wait()
        new = "qapi_" + os.urandom(20).hex()
        self.private.add(new)
        self.sandbox.control("PUT", "/api-keys/" + new, {"scopes": ["*"]})
        wait = self.saved()
        self.write_key(new)
        self.agent.proc.send_signal(1)
        wait("sealed for the new key")
        self.agent.kill()
        self.agent.status_code = 0
        self.sandbox.stop()
        self.run_agent()
        self.read_all()


    def test_snapshot_of_the_second_of_two_keys_is_served(self):
        """During a roll-over, whichever is in force."""
        self.made()
        second = os.path.join(self.dir, "second")
        self.write_key(self.key, second)
        new = "qapi_" + os.urandom(20).hex()
        self.private.add(new)
        self.write_key(new)
        conf = {"upstream": {"api-key-file": f"{self.key_path},{second}"}}
        self.run_agent(conf)
        self.read_all()
        # and it goes on being that one's, until the new one is proven
        self.again(conf)
        self.read_all()


class Refused(State):
    def test_truncated_file_starts_cold(self):
        data = self.made()
        self.assertGreater(len(data), HEADER + 2 * CHUNK)
        for length in (0, 10, HEADER, HEADER + CHUNK, len(data) - 1):
            with self.subTest(length):
                self.put_bytes(data[:length])
                self.run_agent()
                self.assert_cold("cut short")
                self.stop_agent()

    def test_tampered_file_starts_cold(self):
        data = self.made()
        for at in (HEADER + 5, HEADER + CHUNK + 100, len(data) - 1, 60):
            with self.subTest(at):
                changed = bytearray(data)
                changed[at] ^= 0x10
                self.put_bytes(changed)
                self.run_agent()
                self.assert_cold("tampered" if at > HEADER
                                 else "sealed with another key")
                self.stop_agent()
        with self.subTest("appended"):
            self.put_bytes(data + b"x")
            self.run_agent()
            self.assert_cold("appended")

    def test_foreign_file_starts_cold(self):
        data = self.made()
        with self.subTest("another key"):
            old, self.key = self.key, "qapi_" + os.urandom(20).hex()
            self.private.add(self.key)
            self.write_key()
            self.run_agent()
            self.assert_cold("sealed with another key")
            self.stop_agent()
            self.write_key(old)
        with self.subTest("another service"):
            self.put_bytes(data)
            self.run_agent({"upstream": {"url": "http://127.0.0.1:1/api/v1"}})
            self.assert_cold("another url=")
            self.stop_agent()
        with self.subTest("something else"):
            self.put_bytes(os.urandom(5000))
            self.run_agent()
            self.assert_cold("no snapshot of qapi-agentd")
            self.stop_agent()
        with self.subTest("the right one is still good"):
            self.put_bytes(data)
            self.run_agent()
            self.read_all()

    def test_another_tenants_api_key_with_the_same_state_key(self):
        key = os.path.join(self.dir, "state-key")
        with open(key, "wb",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(os.urandom(32))
        conf = {"cache": {"state-key-file": key}}
        self.made(conf)
        new = "qapi_" + os.urandom(20).hex()
        self.private.add(new)
        self.write_key(new)
        self.run_agent(conf)
        self.assert_cold("another API key")

    def test_future_files_start_cold(self):
        data = self.made()
        with self.subTest("format"):
            newer = bytearray(data)
            newer[9] += 1
            self.put_bytes(newer)
            self.run_agent()
            self.assert_cold("newer version")
            self.stop_agent()

    @harness.needs_root
    def test_file_written_in_the_future_starts_cold(self):
        self.begin(prefix=("unshare", "--time", "--boottime", "100000"))
        self.read_all()
        self.again()
        self.assert_cold("written in the future")

    def test_file_that_others_can_access_is_not_read(self):
        self.made()
        os.chmod(self.state, 0o644)
        self.run_agent()
        self.logged("chmod 0600")
        self.fails(6, "get", "db/prod")
        self.stop_agent()
        # left as it is, so that it can be had after all
        os.chmod(self.state, 0o600)
        self.run_agent()
        self.read_all()

    def test_link_is_not_followed(self):
        self.made()
        os.rename(self.state, self.state + ".real")
        os.symlink(self.state + ".real", self.state)
        before = os.stat(self.state + ".real").st_mtime_ns
        self.run_agent()
        self.logged("symbolic link")
        self.fails(6, "get", "db/prod")
        self.stop_agent()
        self.assertTrue(os.path.islink(self.state))
        self.assertEqual(os.stat(self.state + ".real").st_mtime_ns, before)

    def test_bad_state_key_does_not_keep_it_from_serving(self):
        key = os.path.join(self.dir, "state-key")
        with open(key, "w", encoding="ascii") as f:
            f.write("short")
        os.chmod(key, 0o600)
        self.begin({"cache": {"state-key-file": key}})
        self.logged("at least 32")
        self.read_all()
        self.assertIn("at least 32", self.status()["state"]["error"])
        self.stop_agent()
        self.assertFalse(os.path.exists(self.state))

    def test_second_daemon_leaves_the_file_alone(self):
        self.begin()
        wait = self.saved()
        self.read_all()
        wait()
        before = self.bytes()
        first = self.agent
        other = os.path.join(self.dir, "other")
        os.mkdir(other)
        conf = self.conf({"cache": {"state-file": self.state},
                          "agent": {"socket": other + "/sock"}})
        path = os.path.join(other, "conf")
        harness.write_conf(path, conf)
        second = harness.Agent(other, path, other + "/sock")
        self.agents.append(second)
        second.start()
        self.assertIn("another qapi-agentd uses it", second.log())
        self.assertEqual(second.stop(), 0)
        self.assertEqual(self.bytes(), before)
        self.agent = first


class Secrecy(State):
    def test_no_value_is_in_the_files(self):
        self.begin()
        wait = self.saved()
        self.read_all()
        wait()
        self.stop_agent()
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            if not name.startswith("state") or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                data = f.read()
            for text in self.private | {"db/prod", "alice"}:
                raw = text.encode()
                for form in (raw, raw[:12], base64.b64encode(raw)[:16]):
                    self.assertNotIn(form, data, name)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    @harness.needs_root
    @harness.not_sanitized
    def test_no_value_is_in_memory_outside_the_arena(self):
        def search():
            found = Maps(self.agent.pid).search(
                [t.encode()[:200] for t in self.private])
            self.assertEqual({n[:40]: w for n, w in found.items()}, {})
        self.begin()
        wait = self.saved()
        self.read_all()
        wait()
        search()
        for n in range(2, 8):       # in the middle of some more
            self.sandbox.set("s2", version=n)
            self.get("s2", "--fresh")
            search()
        self.again()
        search()
        self.read_all()
        search()


@harness.needs_systemd
class Store(State):
    """The service manager's part is played here; test_systemd.py has the
    real one."""

    def setUp(self):
        super().setUp()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(self.dir, "manager")
        self.manager.bind(path)
        self.manager.settimeout(10)
        self.addCleanup(self.manager.close)
        self.env = {"NOTIFY_SOCKET": path, "FDSTORE": "4"}
        self.stored = {}        # name -> [descriptors]
        self.addCleanup(self.close_all)

    def close_all(self):
        for fds in self.stored.values():
            for fd in fds:
                os.close(fd)
        self.stored = {}

    def note(self):
        """One message of the daemon, acted upon."""
        fds = array.array("i")
        data, anc, _, _ = self.manager.recvmsg(
            65536, socket.CMSG_SPACE(4 * 8))
        for level, kind, content in anc:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[:len(content) // 4 * 4])
        lines = data.decode().splitlines()
        name = next((line[7:] for line in lines
                     if line.startswith("FDNAME=")), None)
        if "FDSTORE=1" in lines:
            self.assertIn("FDPOLL=0", lines)
            self.assertEqual(len(fds), 1)
            self.stored.setdefault(name, []).append(fds[0])
        if "FDSTOREREMOVE=1" in lines:
            for fd in self.stored.pop(name, []):
                os.close(fd)
        return lines

    def until(self, text):
        while text not in self.note():
            pass

    def run_store(self, conf=None, state=False, **kw):
        fds = [(n, fd) for n, l in self.stored.items() for fd in l]
        env = dict(self.env)
        if fds:
            env["LISTEN_FDNAMES"] = ":".join(n for n, _ in fds)
        self.run_agent(conf, state, wait=False, env=env,
                       listen_fds=[fd for _, fd in fds], **kw)
        self.until("READY=1")

    def end_store(self):
        self.agent.proc.send_signal(15)
        self.assertEqual(self.agent.ended(), 0)
        self.manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.note()
        self.manager.settimeout(10)

    def begin_store(self, **kw):
        self.start_sandbox(self.seed)
        self.run_store(**kw)
        self.read_all()
        self.end_store()
        self.sandbox.stop()

    def test_kept_in_the_store_without_a_file(self):
        self.begin_store()
        self.assertEqual(sum(map(len, self.stored.values())), 1)
        self.assertFalse(os.path.exists(self.state))
        self.run_store()
        self.logged("kept by the service manager: taken over: 3 values")
        self.read_all()
        self.end_store()
        self.run_store()
        self.read_all()
        self.end_store()

    def test_older_file_is_told_from_a_newer_snapshot(self):
        """A file that was put back; what the manager has is newer."""
        self.start_sandbox(self.seed)
        self.run_store(state=True)
        self.get("db/prod")
        self.end_store()
        old = self.bytes()
        new = value("new")
        self.note_private(new)
        self.sandbox.rotate("s1", new)
        self.run_store(state=True)
        self.get("db/prod", "--fresh")
        self.end_store()
        self.sandbox.stop()
        self.put_bytes(old)
        self.run_store(state=True)
        self.logged("older than one that was seen already")
        self.assertEqual(self.get("db/prod"), new.encode())
        self.assertTrue(os.path.exists(self.state + ".bad"))
        self.end_store()

    def test_tampered_memory_falls_back_to_the_file(self):
        self.begin_store(state=True)
        (name, fds), = self.stored.items()
        bad = os.memfd_create("x")
        data = bytearray(os.pread(fds[0], 1 << 20, 0))
        data[200] ^= 1
        os.write(bad, data)
        os.close(fds[0])
        self.stored = {name: [bad]}
        self.run_store(state=True)
        self.logged("kept by the service manager: not taken over: it was "
                    "tampered")
        self.logged("state-file: " + self.state + ": taken over")
        self.read_all()
        self.end_store()

    def test_same_snapshot_twice_is_no_rollback(self):
        self.begin_store(state=True)
        self.run_store(state=True)
        self.assertNotIn("not taken over", self.agent.log())
        self.read_all()
        self.end_store()

    def test_strange_descriptors_are_left_alone(self):
        r, w = os.pipe()
        self.begin_store()
        self.stored["qapi-agent-state-2"] = [r]
        self.stored["other"] = [w]
        self.run_store()
        self.read_all()
        self.end_store()


class Kill9(Case):
    AUTO = False

    def test_kill_9_at_random_moments_leaves_old_or_new(self):
        """Short; `make check-kill9` is the long one."""
        seed = int(os.environ.get("TEST_SEED", "0"), 0) or \
            int.from_bytes(os.urandom(4), "big")
        c = kill9.Campaign()
        c._outcome = self._outcome
        c.setUp()
        self.addCleanup(c._remove_dir)
        try:
            counts = c.campaign(25, seed)
        except AssertionError as e:
            raise AssertionError(f"TEST_SEED={seed}: {e}") from None
        c.agent.proc.send_signal(15)
        self.assertEqual(c.agent.ended(), 0)
        self.assertEqual(counts["old"] + counts["new"], 25)


if __name__ == "__main__":
    harness.main()
