#!/usr/bin/env python3
"""The log under load: what one caller can write into it, and who reads it."""

import os
import re
import signal
import subprocess
import sys

import harness
import wire
from harness import Case, needs_root, needs_systemd, ref, secret


class Flood(Case):
    """Denied requests (contract 3: denied, logged)."""
    AUTO = False
    SEED = {"secrets": [secret("a")]}
    N = 3000

    def deny(self, user, times):
        """So many denied reads by a user, on one connection."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import wire\n"
            "w = wire.Wire(sys.argv[2])\n"
            "for i in range(int(sys.argv[3])):\n"
            "    assert w.get(f'qapi://secrets/x{i}').error == 'denied'\n")
        p = subprocess.run(
            [*harness.setpriv(user), sys.executable, "-B", "-c",
             code, harness.HERE, self.socket, str(times)],
            capture_output=True, text=True, check=False, cwd="/")
        self.assertEqual((p.returncode, p.stderr), (0, ""))

    def denials(self, log, user):
        """(lines, how many the sums tell besides) for a user."""
        uid = harness.ids(user)[0]
        lines = len(re.findall(rf"audit: uid {uid} .*: denied$", log, re.M))
        return lines, sum(int(n) for n in re.findall(
            rf": (\d+) more denied for uid {uid} in the last \d+ s$", log,
            re.M))

    @needs_root
    def test_flood_of_one_user_is_bounded_and_others_are_heard(self):
        self.start({"agent": {"socket-mode": "0666"}})
        self.deny("nobody", self.N)
        self.deny("games", 3)
        log = self.agent.log()
        lines, _ = self.denials(log, "nobody")
        self.assertGreaterEqual(lines, 100)
        self.assertLess(lines, self.N / 2)
        self.assertEqual(self.denials(log, "games"), (3, 0))
        # the sum comes by itself, and has all the rest
        self.wait(lambda: sum(self.denials(self.agent.log(), "nobody")) ==
                  self.N, "what was left out is told", 30)

    @needs_root
    def test_the_rest_is_told_at_the_stop(self):
        self.start({"agent": {"socket-mode": "0666"}})
        self.deny("nobody", 300)
        self.agent.stop()
        self.assertEqual(sum(self.denials(self.agent.log(), "nobody")), 300)

    @needs_root
    def test_an_audit_file_loses_nothing(self):
        path = os.path.join(self.dir, "audit")
        self.start({"agent": {"socket-mode": "0666", "audit-log": path}})
        self.deny("nobody", self.N)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(len(re.findall(r": denied$", text, re.M)), self.N)
        self.assertNotIn(" denied", self.agent.log())

    def test_flood_of_malformed_frames_is_bounded(self):
        self.start()
        for _ in range(400):
            with wire.Wire(self.socket) as w:
                w.send_raw(b"\xff" * 64)
                w.at_end()
        log = self.agent.log()
        lines = log.count("; connection closed")
        self.assertGreaterEqual(lines, 100)
        self.assertLess(lines, 400)
        self.agent.stop()
        uid = os.getuid()
        told = re.findall(rf": (\d+) more connections closed for uid {uid} ",
                          self.agent.log())
        self.assertEqual(lines + sum(int(n) for n in told), 400)


class Pipe(Case):
    """Standard error that nobody reads."""
    AUTO = False
    SEED = {"secrets": [secret(f"s{i}") for i in range(10)]}

    def test_full_pipe_stops_nobody_and_the_loss_is_told(self):
        fifo = os.path.join(self.dir, "log")
        os.mkfifo(fifo)
        fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, fd)
        self.start({"agent": {"log-level": "debug"}},
                   prefix=["sh", "-c", 'exec "$@" 2>"$0"', fifo])
        asked = 0
        with self.wire() as w:
            # each first read of a reference of a connection is a line
            for _ in range(300):
                for i in range(10):
                    self.assertIsNone(w.get(ref(f"s{i}")).error)
                    asked += 1
        text = self.read(fd)
        lines = len(re.findall(r"audit: .*: allowed", text))
        self.assertGreater(lines, 0)
        self.assertLess(lines, asked)
        self.assertNotIn("lines of this log are lost", text)
        with self.wire() as w:
            self.assertIsNone(w.get(ref("s0")).error)
        more = harness.wait_for(lambda: self.read(fd), "the log goes on")
        m = re.match(r".* warning: (\d+) lines of this log are lost: .*\n",
                     more)
        self.assertIsNotNone(m, more)
        self.assertGreaterEqual(int(m[1]), asked - lines)
        self.assertIn("audit: ", more[m.end():])
        self.assertEqual(self.leaks(text + more, "the log"), [])

    @staticmethod
    def read(fd):
        out = b""
        while True:
            try:
                got = os.read(fd, 1 << 16)
            except BlockingIOError:
                return out.decode()
            if not got:
                return out.decode()
            out += got

    @needs_systemd
    def test_reload_with_faults_and_a_full_pipe(self):
        fifo = os.path.join(self.dir, "log")
        os.mkfifo(fifo)
        fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, fd)
        self.start(prefix=["sh", "-c", 'exec "$@" 2>"$0"', fifo])
        with open(self.conf_path, "a", encoding="utf-8") as f:
            f.write("[agent]\n" + "sokcet=/run/x\n" * 3000)
        os.kill(self.agent.pid, signal.SIGHUP)
        self.wait(lambda: "reload failed: " in
                  (self.agent.noted("STATUS") or [""])[-1], "it has ended")
        self.assertIn("more in the log", self.agent.noted("STATUS")[-1])
        self.get("s0")


if __name__ == "__main__":
    harness.main()
