#!/usr/bin/env python3
"""kill -9 at random moments of snapshot writing: what is taken over next is
the old state or the new one, whole, and never a wrong value.

    kill9.py [--kills N] [--seed N]          (make check-kill9: 1000)

Most kills follow a SIGTERM, whose snapshot they meet at a random moment; the
others meet one that the daemon makes by itself, once its temporary file is
there. The seed of a failure makes the same choices again; the moments are as
exact as the machine is.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import time
import unittest

import harness
import wire

SECRETS = 250       # one GET
CHANGED = 20        # in each round
LARGEST = 9000


class Campaign(harness.Case):
    """Not a test of its own; run() is one."""

    AUTO = False

    def runTest(self):
        pass

    def begin(self, seed):
        self.seed = seed
        self.random = random.Random(seed)
        self.state_path = os.path.join(self.dir, "state")
        self.now = {}           # id -> value that the service has
        for i in range(SECRETS):
            self.now[f"k{i}"] = self.make(f"k{i}", 0)
        self.start_sandbox({"secrets": [
            {"id": i, "name": f"n/{i}", "value": v}
            for i, v in self.now.items()]})
        self.boot()
        self.cached = dict(self.now)
        got = self.read(0)      # all of them, from the service
        self.assertEqual(got, self.now)
        self.stop_ms = 20.0

    def make(self, secret_id, generation):
        """A value that shows if it was torn or mixed up."""
        head = f"{secret_id}:{generation}:"
        size = self.random.randrange(len(head) + 8, LARGEST)
        body = (head * (size // len(head) + 1))[:size - 1]
        return body + "."

    def boot(self):
        self.start_agent({"cache": {
            "state-file": self.state_path, "refresh-interval": "10h",
            "idle-evict": "100h"}, "agent": {"audit-log": "off"}})
        self.booted = time.monotonic()
        self.agents = [self.agent]      # of a thousand, keep the last
        self.expected_status = {}

    def read(self, terms):
        w = wire.Wire(self.socket)
        frames = w.get_many(*(f"qapi://secrets/{i}" for i in self.now),
                            terms=terms)
        w.close()
        if not isinstance(frames, list):
            raise AssertionError(f"{frames}")
        return {i: None if f.VALUE is None else f.VALUE.decode()
                for i, f in zip(self.now, frames)}

    def change(self, generation):
        """At the service, and in the cache."""
        ids = self.random.sample(sorted(self.now), CHANGED)
        for i in ids:
            self.now[i] = self.make(i, generation)
            self.sandbox.set(i, value=self.now[i], version=generation + 1)
        w = wire.Wire(self.socket)
        frames = w.get_many(*(f"qapi://secrets/{i}" for i in ids),
                            terms=wire.FRESH)
        for i, f in zip(ids, frames):
            self.assertEqual(f.VALUE.decode(), self.now[i], i)
        w.close()

    def kill_at_stop(self):
        """True if it was killed, False if it had stopped by itself."""
        delay = self.random.uniform(0, 1.3 * self.stop_ms) / 1000
        began = time.monotonic()
        self.agent.proc.send_signal(signal.SIGTERM)
        while time.monotonic() < began + delay:
            if self.agent.proc.poll() is not None:
                self.stop_ms += ((time.monotonic() - began) * 1000 -
                                 self.stop_ms) / 8
                break
        return self.end()

    def kill_at_work(self):
        """When it writes because something changed, or has just done so."""
        tmp = self.state_path + ".tmp"
        before = os.stat(self.state_path).st_ino \
            if os.path.exists(self.state_path) else 0
        deadline = time.monotonic() + 10
        while not os.path.exists(tmp) and time.monotonic() < deadline:
            if os.path.exists(self.state_path) and \
                    os.stat(self.state_path).st_ino != before:
                break
        time.sleep(self.random.uniform(0, self.stop_ms) / 1000)
        return self.end()

    def end(self):
        self.agent.proc.kill()
        status = self.agent.proc.wait()
        self.agent.status_code = status
        self.agent.notify.close()
        if status not in (-signal.SIGKILL, 0):
            raise AssertionError(f"status {status}: {self.agent.log()}")
        return status == -signal.SIGKILL

    def round(self, generation, at_work):
        """One kill and what is there afterwards: "old" or "new"."""
        # what is on the disk, and what the cache has since it was read again
        old, mid = dict(self.cached), dict(self.now)
        self.change(generation)
        killed = self.kill_at_work() if at_work else self.kill_at_stop()
        # Made while we were changing, by the daemon itself: a mixture of
        # whole values, which is a state of the cache of its own.
        between = time.monotonic() - self.booted > 0.9 or at_work
        os.truncate(self.agent.log_path, 0)
        self.boot()
        log = self.agent.log()
        if "not taken over" in log or "taken over" not in log:
            raise AssertionError(f"the state was lost: {log}")
        got = self.read(wire.ONLY_IF_CACHED)
        for i, v in got.items():
            if v not in (old[i], mid[i], self.now[i]):
                raise AssertionError(
                    f"{i} is {v!r:.60}, and not {old[i]!r:.60}, "
                    f"{mid[i]!r:.60} or {self.now[i]!r:.60}")
        if not between and got not in (old, self.now):
            raise AssertionError("a mixture of the old and the new state")
        self.cached = got
        # what was lost is new to the cache again
        lost = [i for i in got if got[i] != self.now[i]]
        w = wire.Wire(self.socket)
        if lost:
            w.get_many(*(f"qapi://secrets/{i}" for i in lost),
                       terms=wire.FRESH)
        w.close()
        return killed, "new" if got == self.now else "old"

    def campaign(self, kills, seed, say=None):
        self.begin(seed)
        self.agent.proc.send_signal(signal.SIGTERM)
        self.agent.ended()
        self.boot()
        counts = {"old": 0, "new": 0, "stopped": 0}
        done = generation = 0
        while done < kills:
            generation += 1
            killed, which = self.round(generation,
                                       self.random.random() < 0.05)
            done += killed
            counts[which if killed else "stopped"] += 1
            if say and killed and done % 50 == 0:
                say(f"{done} kills: {counts}")
        return counts


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--kills", type=int, default=1000)
    p.add_argument("--seed", type=int,
                   default=int.from_bytes(os.urandom(4), "big"))
    opt = p.parse_args()
    print(f"seed {opt.seed}, {opt.kills} kills", flush=True)
    c = Campaign()
    result = unittest.TestResult()
    c._outcome = unittest.case._Outcome(result)  # pylint: disable=W0212
    c.setUp()
    status = 1
    began = time.monotonic()
    try:
        counts = c.campaign(opt.kills, opt.seed,
                            lambda text: print(text, flush=True))
        c.agent.proc.send_signal(signal.SIGTERM)
        status = 0 if c.agent.ended() == 0 else 1
        print(f"{opt.kills} kills in {time.monotonic() - began:.0f} s: "
              f"{counts['old']} left the old state, {counts['new']} the new; "
              f"{counts['stopped']} stops were too quick")
    except AssertionError as e:
        print(f"seed {opt.seed}: {e}")
        if os.environ.get("QAPI_KEEP"):
            print(f"kept: {c.dir}")
            return 1
    finally:
        for agent in c.agents:
            agent.kill()
        for sandbox in c.sandboxes:
            sandbox.stop(signal.SIGKILL)
        if not (status and os.environ.get("QAPI_KEEP")):
            shutil.rmtree(c.dir)
    return status


if __name__ == "__main__":
    sys.exit(main())
