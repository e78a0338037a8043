#!/usr/bin/env python3
"""Limits: connections, descriptors, requests, memory (contract 3, 8)."""

import fcntl
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import harness
import wire
from harness import Case, at_once, secret


def q(name):
    return "qapi://secrets/" + name


SEED = {"secrets": [secret(f"s{i}", val=f"value of s{i}")
                    for i in range(20)]}


class Connections(Case):
    SEED = SEED
    CONF = {"agent": {"max-connections": "10"}}

    def test_more_than_max_connections_are_told_busy_or_wait(self):
        wires = [self.wire() for _ in range(10)]
        for w in wires:
            w.ping()
        extra = self.wire()
        rid = 1
        try:
            extra.send(wire.PING)
        except BrokenPipeError:
            pass                # refused already: the words are to be read
        try:
            self.assertEqual(extra.recv(1).error, "busy")
            self.assertEqual(extra.at_end(), [])
        except TimeoutError:
            rid = None          # it waits in the backlog
        # Those that are in go on.
        for w in wires:
            w.ping()
        wires[0].close()
        if rid is None:
            self.assertEqual(extra.recv().type, wire.DONE)
        else:
            def again():
                with wire.Wire(self.socket) as w:
                    w.send(wire.PING)
                    return w.recv().type == wire.DONE
            self.wait(again, "there is room again")

    def test_helper_says_busy_or_times_out(self):
        wires = [self.wire() for _ in range(10)]
        for w in wires:
            w.ping()
        r = self.helper("get", "s1", "--timeout", "1s")
        self.assertIn(r.status, (1, 7), r.err)
        self.assertEqual(r.err.count("\n"), 1)
        for w in wires:
            w.close()
        self.wait(lambda: self.helper("get", "s1").status == 0,
                  "there is room again")

    def test_room_comes_back_after_many_that_were_refused(self):
        for _ in range(3):
            wires = [wire.Wire(self.socket) for _ in range(40)]
            for w in wires:
                w.close()
        self.wait(lambda: self.helper("get", "s1").status == 0,
                  "it serves as before")
        self.assertLessEqual(self.status()["clients"], 2)


class Many(Case):
    SEED = SEED

    @harness.not_sanitized
    def test_1000_idle_connections_cost_little_and_delay_nobody(self):
        before = self.agent.memory_kb()
        wires = [self.wire() for _ in range(1000)]
        for w in wires:
            w.ping()
        self.assertEqual(self.status()["clients"], 1001)
        self.assertLess(self.agent.memory_kb() - before, 6000)
        began = time.monotonic()
        for i in range(20):
            self.get(f"s{i}")
        self.assertLess(time.monotonic() - began, 2)
        cpu = self.agent.cpu_seconds()
        for w in wires:
            w.close()
        self.wait(lambda: self.status()["clients"] <= 2, "they have left")
        self.assertLess(self.agent.cpu_seconds() - cpu, 1)

    def test_idle_agent_does_not_spin(self):
        self.get("s1")
        wires = [self.wire() for _ in range(20)]
        wires[0].send_raw(b"\0\0")
        for w in wires[1:]:
            w.ping()
        before = self.agent.cpu_seconds()
        began = time.monotonic()
        self.wait(lambda: time.monotonic() - began > 1, "a second passed")
        self.assertLess(self.agent.cpu_seconds() - before, 0.2)


class Descriptors(Case):
    AUTO = False
    SEED = SEED

    def test_out_of_descriptors_it_pauses_and_goes_on_afterwards(self):
        self.start(prefix=["prlimit", "--nofile=64:64", "--"])
        self.get("s1")
        wires = []
        for _ in range(80):
            try:
                wires.append(wire.Wire(self.socket, timeout=5))
            except BlockingIOError:
                break
        wires[0].ping()
        # Neither a spin nor an end.
        before = self.agent.cpu_seconds()
        began = time.monotonic()
        self.wait(lambda: time.monotonic() - began > 1, "a second passed")
        self.assertLess(self.agent.cpu_seconds() - before, 0.5)
        self.assertIsNone(self.agent.proc.poll())
        self.assertEqual(wires[0].get(q("s1")).VALUE, b"value of s1")
        # No flood in the log either.
        self.assertLess(len(self.agent.log().splitlines()), 100)
        for w in wires:
            w.close()
        self.wait(lambda: self.helper("get", "s1", "--timeout", "2s").status
                  == 0, "it serves again")
        self.wait(lambda: self.helper("get", "s2", "--timeout", "2s").status
                  == 0, "it fetches again")

    def test_soft_limit_is_raised_for_max_connections(self):
        self.start({"agent": {"max-connections": "2000"}},
                   prefix=["prlimit", "--nofile=100:20000", "--"])
        with open(f"/proc/{self.agent.pid}/limits", encoding="ascii") as f:
            soft = int(re.search(r"Max open files\s+(\d+)", f.read())[1])
        self.assertGreaterEqual(soft, 2000)


class Requests(Case):
    AUTO = False
    SEED = SEED

    def test_max_requests_per_second_per_caller(self):
        self.start({"agent": {
            "max-requests-per-second-per-caller": "20"}})
        self.get("s1")
        w = self.wire()
        rids = [w.send_get(q("s1")) for _ in range(300)]
        got = [w.recv_for(rid) for rid in rids]
        errors = {f.error for f in got}
        self.assertEqual(errors, {None, "rate-limited"})
        self.assertLessEqual(sum(f.error is None for f in got), 100)
        # Another connection of the same caller does not help.
        self.assertEqual(self.wire().get(q("s1")).error, "rate-limited")
        name, status, _ = self.error("get", "s1")
        self.assertEqual((name, status), ("rate-limited", 6))
        self.wait(lambda: self.wire().get(q("s1")).error is None,
                  "it may ask again", 5)

    @harness.needs_root
    def test_limit_of_one_caller_is_not_anothers(self):
        self.start({"agent": {"max-requests-per-second-per-caller": "5",
                              "socket-mode": "0666"}},
                   allow=[("n", {"user": "nobody", "secrets": "*"})])
        self.get("s1")
        w = self.wire()
        for rid in [w.send_get(q("s1")) for _ in range(100)]:
            w.recv_for(rid)
        self.get("s1", user="nobody")

    def test_no_limit_unless_asked_for(self):
        self.start()
        w = self.wire()
        w.get(q("s1"))
        for _ in range(100):
            rids = [w.send_get(q("s1")) for _ in range(50)]
            self.assertEqual({w.recv_for(rid).error for rid in rids}, {None})

    def test_many_cold_requests_are_all_answered(self):
        self.start({"upstream": {"max-in-flight": "1"}},
                   {"secrets": [secret(f"c{i}", val=f"value of c{i}")
                                for i in range(600)]})
        w = self.wire()
        rids = [w.send_get(*[q(f"c{j}") for j in range(i, i + 200)])
                for i in (0, 200, 400)]
        for rid in rids:
            self.assertEqual([f.error for f in w.all_for(rid, 60)],
                             [None] * 200)


class Memory(Case):
    AUTO = False
    SEED = {"secrets": [secret("a")]}

    @harness.needs_root
    @harness.not_sanitized
    def test_small_memlock_of_an_unprivileged_user_is_refused_in_words(self):
        self.start_sandbox()
        for limit in (0, 65536, 8 << 20):
            with self.subTest(limit):
                agent = self.start_agent(
                    {"cache": {"max-memory": "64M"}}, wait=False,
                    user="nobody",
                    prefix=["prlimit", f"--memlock={limit}:{limit}", "--"])
                if limit == 8 << 20:
                    # Locked as it grows, or refused at once: both are
                    # honest, as long as nothing is unlocked.
                    self.wait(lambda a=agent: a.proc.poll() is not None or
                              "1" in a.noted("READY"), "it has decided")
                    if agent.proc.poll() is None:
                        self.get("a", user="nobody")
                        self.assert_locked(agent)
                        self.assertEqual(agent.stop(), 0)
                        continue
                self.assertEqual(agent.ended(), 1, agent.log())
                self.expected_status[agent] = 1
                self.assertRegex(agent.log(), r"(?i)memlock|locked memory")
                self.assertRegex(agent.log(), r"LimitMEMLOCK|ulimit")

    @harness.needs_root
    @harness.not_sanitized
    def test_unprivileged_user_with_enough_memlock_is_served(self):
        raised = subprocess.run(["prlimit", "--memlock=67108864:67108864",
                                 "true"], capture_output=True, check=False)
        if raised.returncode != 0:
            self.skipTest("not allowed to raise the limit")
        self.start(user="nobody",
                   prefix=["prlimit", "--memlock=67108864:67108864", "--"])
        self.get("a", user="nobody")
        self.assert_locked(self.agent)

    def assert_locked(self, agent):
        """Everything that holds secrets is locked."""
        with open(f"/proc/{agent.pid}/maps", encoding="utf-8") as f:
            secretmem = "secretmem" in f.read()
        # The kernel locks secretmem without counting it there.
        if not secretmem:
            self.assertGreater(agent.memory_kb("VmLck"), 100)

    @harness.needs_root
    @harness.not_sanitized
    def test_memlock_that_runs_out_later_evicts_and_goes_on(self):
        n = 60
        self.start({"cache": {"max-memory": "64M"}},
                   {"secrets": [secret(f"big{i}", val=f"{i:04}" * 50000)
                                for i in range(n)]},
                   user="nobody",
                   prefix=["prlimit", "--memlock=8388608:8388608", "--"])
        w = self.wire()
        for i in range(n):
            f = w.get(q(f"big{i}"))
            self.assertIn(f.error, (None, "busy", "too-large", "internal"))
            if f.error is None:
                self.assertEqual(f.VALUE, f"{i:04}".encode() * 50000)
        self.assertIsNone(w.get(q(f"big{n - 1}")).error)
        self.get("big3", user="nobody")

    # Opens connections, sends as much of a frame of 1 MiB each, and stays.
    HOLD = """
import struct, sys, socket
held = []
for i in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    held.append(s)
    try:
        s.sendall(struct.pack(">IBBHQ", 1 << 20, 1, 3, 0, 7) +
                  b"x" * int(sys.argv[3]))
    except OSError:
        pass
print("held", flush=True)
sys.stdin.read()
"""

    def hold(self, user, count, size):
        # pylint: disable=consider-using-with
        p = subprocess.Popen(
            [*harness.setpriv(user), sys.executable, "-c", self.HOLD,
             self.socket, str(count), str(size)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(p.communicate)
        self.assertEqual(p.stdout.readline(), "held\n")

    @harness.needs_root
    @harness.not_sanitized
    def test_half_sent_frames_leave_memory_for_transfers(self):
        """With 8 MiB that can be locked, and a cache that is full."""
        n = 60
        self.start({"cache": {"max-memory": "64M"},
                    "agent": {"socket-mode": "0666"}},
                   {"secrets": [secret(f"big{i}", val=f"{i:04}" * 50000)
                                for i in range(n)] + [secret("a")]},
                   user="nobody",
                   prefix=["prlimit", "--memlock=8388608:8388608", "--"])
        w = self.wire()
        for i in range(n):
            self.assertIsNone(w.get(q(f"big{i}")).error)
        for user in ("games", "daemon", "mail"):
            self.hold(user, 300, 40000)
            # more than one transfer at once, for what is not cached
            for i in range(n):
                got = w.get(q(f"big{i}"))
                self.assertIsNone(got.error, (user, i, got))
            self.assertIsNone(w.get(q("a"), max_age_ms=0).error)
        self.assertTrue("take too much memory; connection closed" in
                        self.agent.log())

    @harness.needs_root
    @harness.not_sanitized
    def test_largest_frame_is_taken_where_little_can_be_locked(self):
        self.start({"agent": {"socket-mode": "0666"}}, user="nobody",
                   prefix=["prlimit", "--memlock=8388608:8388608", "--"])
        name = "x" * 4075
        body = self.wire().get_body(*[q(f"{name}{i:04}")
                                      for i in range(256)])
        frame = wire.frame(wire.GET, body, 9)
        self.assertGreater(len(frame), 1 << 20)
        w = self.wire()
        w.send_raw(frame[:-10])
        unread = struct.Struct("i")
        self.wait(lambda: unread.unpack(fcntl.ioctl(
            w.sock, termios.TIOCOUTQ, unread.pack(0)))[0] == 0,
            "the agent has taken all but the end")
        with self.wire() as other:
            other.ping()
        w.send_raw(frame[-10:])
        self.assertEqual(len(w.all_for(9)), 256)

    @harness.needs_root
    def test_core_dumps_are_off_and_it_cannot_be_traced_by_its_user(self):
        self.start(user="nobody")
        with open(f"/proc/{self.agent.pid}/limits", encoding="ascii") as f:
            self.assertRegex(f.read(), r"Max core file size\s+0\s+0")
        # Not dumpable: its files in /proc belong to root.
        self.assertEqual(os.stat(f"/proc/{self.agent.pid}/mem").st_uid, 0)
        p = subprocess.run(
            [*harness.setpriv("nobody"), "cat",
             f"/proc/{self.agent.pid}/environ"], capture_output=True,
            check=False)
        self.assertNotEqual(p.returncode, 0)
        with open(f"/proc/{self.agent.pid}/status", encoding="ascii") as f:
            self.assertRegex(f.read(), r"(?m)^NoNewPrivs:\s+1$")

    def test_aborted_daemon_leaves_no_core(self):
        self.start(prefix=["prlimit", "--core=unlimited", "--"]
                   if resource.getrlimit(resource.RLIMIT_CORE)[1] == -1
                   else [])
        self.get("a")
        self.agent.proc.send_signal(signal.SIGQUIT)
        try:
            status = self.agent.ended(3)
        except subprocess.TimeoutExpired:
            return              # it ignores the signal: as good
        self.expected_status[self.agent] = status
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.assertEqual([n for n in os.listdir(self.dir) + os.listdir("/")
                          if n.startswith("core")], [])

    @harness.not_sanitized
    def test_memory_does_not_grow_with_work(self):
        self.start({"cache": {"max-memory": "8M"}},
                   {"secrets": [secret(f"s{i}", val=value_of(i))
                                for i in range(40)]})
        w = self.wire()

        def work(rounds):
            for r in range(rounds):
                for i in range(40):
                    self.assertIsNone(w.get(q(f"s{i}"), max_age_ms=0).error)
                self.assertEqual(w.get(q(f"none-{r}")).error, "not-found")
        work(5)
        before = self.agent.memory_kb()
        work(40)
        self.assertLess(self.agent.memory_kb() - before, 3000)

    @harness.not_sanitized
    def test_many_unknown_names_do_not_fill_the_memory(self):
        self.start()
        w = self.wire()

        def ask(begin, end):
            for i in range(begin, end, 250):
                for f in w.get_many(*[q(f"{j:08}-0000-4000-8000-000000000000")
                                      for j in range(i, i + 250)],
                                    timeout=60):
                    self.assertEqual(f.error, "not-found")
        ask(0, 2000)
        before = self.agent.memory_kb()
        ask(2000, 12000)
        self.assertLess(self.agent.memory_kb() - before, 8000)


def value_of(i):
    return f"{i:04}" * 2000


class Fairness(Case):
    SEED = SEED

    def test_one_busy_client_does_not_slow_another(self):
        self.get("s1")
        stop = threading.Event()

        def hammer():
            with wire.Wire(self.socket) as w:
                body = w.get_body(*[q("s1")] * 100)
                while not stop.is_set():
                    rids = [w.send(wire.GET, body) for _ in range(5)]
                    for rid in rids:
                        w.all_for(rid)
        threads = [threading.Thread(target=hammer) for _ in range(2)]
        for t in threads:
            t.start()
        try:
            slowest = 0
            for _ in range(40):
                r = self.helper("get", "s1")
                self.assertEqual(r.status, 0)
                slowest = max(slowest, r.seconds)
            self.assertLess(slowest, 1)
        finally:
            stop.set()
            for t in threads:
                t.join()

    def test_200_helpers_at_once(self):
        got = at_once(50, lambda i: [self.get(f"s{(i + j) % 20}")
                                     for j in range(4)])
        for i, values in enumerate(got):
            self.assertEqual(values, [b"value of s%d" % ((i + j) % 20)
                                      for j in range(4)])


if __name__ == "__main__":
    harness.main()
