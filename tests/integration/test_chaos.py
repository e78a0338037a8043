#!/usr/bin/env python3
"""Everything at once, at random: the service changes, fails, hangs and comes
back, secrets go and return, hours pass, the machine sleeps, its clock is set,
the agent is restarted and purged; several clients read all the time.

What they got is judged afterwards by what the service had at which time:

* a value is one that the service had at the time when, by the age that came
  with it, the service confirmed it; so never one that was gone by then;
* no age is above max-stale (with a refresh that was still due: and an
  interval); no value came after its expiresAt
* once somebody was given a version, nobody who asked later is given an older
* once somebody was told that it is not there, nobody who asked later is given
  it, unless it was made again
* every answer came by its deadline

The seed is printed; QAPI_SEED=N takes it. It ends after 20 seconds, or after
QAPI_CHAOS=N steps.
Threads are in it, so a seed makes the same steps, not the same moments.
"""

import os
import random
import sys
import threading
import time

import harness
import wire
from harness import Case, secret, utc_of

SEED = int(os.environ.get("QAPI_SEED") or random.SystemRandom().randrange(
    1 << 32))
STEPS = int(os.environ.get("QAPI_CHAOS") or 0)
SECONDS = 20
NAMES = [f"s{i:02}" for i in range(24)]
INTERVAL, MAX_STALE, STEP = 60, 900, 60
# A moment is known to a step of the clock, and what a request takes.
SLACK = STEP + 3
GENEROUS = 1.0
LATE_FAULT = 0.3
ALLOWED = {None, "not-found", "expired", "timeout", "upstream-unavailable",
           "upstream-error", "unauthorized", "busy"}


class Read:
    """One answer, and when it was asked for and came."""
    __slots__ = ("name", "begun", "ended", "low", "wall", "deadline", "frame",
                 "back")

    def __init__(self, name, clock, true_wall, deadline, back):
        self.name = name
        self.begun = time.monotonic()
        self.low = time.clock_gettime(time.CLOCK_BOOTTIME) + \
            clock.settled_ms / 1000
        self.wall = true_wall
        self.deadline = deadline
        self.back = back        # was the wall clock ever set back?
        self.ended = self.frame = None


class Model:
    """What the service had, when (boot clock, seconds)."""

    def __init__(self, clock, values):
        self.clock = clock
        self.spans = {}         # value -> [(from, to)]
        self.current = {}       # name -> value, None while it is gone
        self.version = {}       # name -> newest version
        self.made = {}          # name -> moments (real) when it came back
        self.expires = {}
        for name, v in values.items():
            self.version[name] = 1
            self.made[name] = []
            self.begin(name, v, clock.boot() - 1)

    def begin(self, name, v, at):
        self.current[name] = v
        self.spans.setdefault(v, []).append([at, float("inf")])

    def end(self, name):
        v = self.current[name]
        if v is not None:
            self.spans[v][-1][1] = self.clock.boot()
        self.current[name] = None

    def had(self, v, since, until):
        return any(a <= until and b >= since for a, b in self.spans.get(v, ()))


class Chaos(Case):
    STEERED = True
    SEED = {"secrets": [secret(n, val=f"value of {n}, version 1")
                        for n in NAMES]}
    CONF = {"cache": {"refresh-interval": f"{INTERVAL}s",
                      "max-stale": f"{MAX_STALE}s", "negative-ttl": "10s"},
            "upstream": {"request-timeout": "20s"}}

    # -- what happens --

    def change(self, r):
        name = r.choice(NAMES)
        if self.model.current[name] is None:
            return self.come_back(name)
        self.model.version[name] += 1
        n = self.model.version[name]
        v = f"value of {name}, version {n}"
        members = {"value": v, "version": n, "expiresAt": None}
        if r.random() < 0.5:
            members["expiresAt"] = utc_of(self.true_wall() +
                                          r.randrange(10, 1200))
        before = self.clock.boot()
        self.sandbox.set(name, **members)
        self.model.end(name)
        self.model.begin(name, v, before)
        return f"{name} becomes version {n}, {members['expiresAt']}"

    def go(self, r):
        name = r.choice(NAMES)
        if self.model.current[name] is None:
            return self.come_back(name)
        # an attribute of its own: the API would be hit by the faults
        self.sandbox.set(name, isActive=False)
        self.model.end(name)
        return f"{name} is gone"

    def come_back(self, name):
        self.model.version[name] += 1
        n = self.model.version[name]
        v = f"value of {name}, version {n}"
        self.model.made[name].append(time.monotonic())
        before = self.clock.boot()
        self.sandbox.set(name, isActive=True, value=v, version=n,
                         expiresAt=None)
        self.model.begin(name, v, before)
        return f"{name} is back"

    def fault(self, r):
        # Not "slow": such answers have no Date, and where all are so after a
        # restart, nothing tells that the clock is late.
        spec = dict(r.choice([
            {"status": 500}, {"status": 503, "retryAfter": r.randrange(1, 60)},
            {"status": 429, "retryAfter": r.randrange(1, 60)},
            {"action": "hang"}, {"action": "drop"}, {"action": "truncate"},
            {"action": "stall"}, {"action": "garbage"},
            {"latencyMs": int(LATE_FAULT * 1000)}, {"body": ""},
            {"body": {"id": "zzz", "value": "somebody else's"}}]))
        if r.random() < 0.6:
            spec["times"] = r.randrange(1, 30)
        path = r.choice(["*", "*", "*/secrets", "*/secrets/s0?",
                         "*/secrets/" + r.choice(NAMES)])
        self.sandbox.fault(path, **spec)
        return f"fault {path} {spec}"

    def heal(self, r):
        self.sandbox.clear(release=r.random() < 0.5)
        return "no more faults"

    def follow(self):
        """The service's clock follows, and is the true time."""
        self.ahead = (self.clock.passed_ms + self.clock.suspended_ms) / 1000
        self.sandbox.set_ahead(self.ahead)

    def true_wall(self):
        return time.time() + self.ahead

    def pass_time(self, r):
        n = r.randrange(1, STEP)
        self.clock.pass_(n)
        self.follow()
        return f"{n} s pass"

    def pass_much(self, r):
        n = r.randrange(1, 20)
        for _ in range(n):
            self.clock.pass_(STEP)
            self.follow()
        return f"{n} min pass"

    def suspend(self, r):
        n = r.randrange(1, STEP)
        self.clock.suspend(n)
        self.follow()
        return f"asleep for {n} s"

    def step_wall(self, r):
        n = r.choice([-7200, -3600, -60, 60, 3600])
        # Not far ahead for long, or all that expires has; nor back by so
        # much that the agent takes the service's Date for the wrong one.
        if self.clock.stepped_ms < -4 * 3600000 or \
                (n > 0 and self.clock.stepped_ms > 0):
            n = -self.clock.stepped_ms / 1000
        if n < 0:
            self.back = True
        self.clock.step_wall(n)
        return f"the wall clock is set by {n} s"

    def purge(self, r):
        self.helper("purge", *r.choice([("--all",), (r.choice(NAMES),)]))
        return "purge"

    def refresh(self, r):
        self.helper("refresh", r.choice(NAMES), "--timeout", "500ms")
        return "refresh"

    def restart(self, _):
        self.restart_agent()
        return "restart"

    STEPS = ((change, 6), (go, 2), (fault, 5), (heal, 5), (pass_time, 12),
             (pass_much, 3), (suspend, 2), (step_wall, 1), (purge, 1),
             (refresh, 1), (restart, 0.4))

    # -- who reads --

    def client(self, seed):
        r = random.Random(seed)
        w = None
        while not self.over.is_set():
            name = r.choice(NAMES)
            ms = r.randrange(100, 800)
            terms = r.choice([{}, {}, {}, {"terms": wire.FRESH},
                              {"terms": wire.ONLY_IF_CACHED},
                              {"max_age_ms": r.randrange(0, 60000)},
                              {"max_stale_ms": r.randrange(0, 600000)}])
            one = Read(name, self.clock, self.true_wall(), ms / 1000,
                       self.back)
            try:
                if w is None:
                    w = wire.Wire(self.socket, timeout=30)
                one.frame = w.get("qapi://secrets/" + name, deadline_ms=ms,
                                  **terms)
            except (OSError, wire.Closed):
                if w is not None:
                    w.close()
                w = None
                time.sleep(0.01)
                continue
            one.ended = time.monotonic()
            self.reads.append(one)
            time.sleep(0.002)
        if w is not None:
            w.close()

    # -- judgement --

    def judge(self, one):
        """What is wrong with it, or None."""
        f = one.frame
        if f.error not in ALLOWED:
            return f"error {f.error}"
        if one.ended - one.begun > one.deadline + GENEROUS + LATE_FAULT:
            return f"after {one.ended - one.begun:.3f} s"
        if f.error:
            return None
        v, age = f.VALUE.decode(), f.AGE_MS / 1000
        since = one.low - age - SLACK
        until = one.low + (one.ended - one.begun) - age + SLACK
        if not self.model.had(v, since, until):
            return f"{v!r} with age {age}: had {self.model.spans.get(v)}, " \
                f"asked at {one.low:.1f}"
        if age > MAX_STALE + INTERVAL + SLACK:
            return f"age {age}"
        if f.freshness == "stale" and age > MAX_STALE + SLACK:
            return f"stale for {age}"
        if f.EXPIRES_AT is not None:
            slack = SLACK if one.back else 2
            if f.EXPIRES_AT / 1000 < one.wall - slack:
                return f"expired {one.wall - f.EXPIRES_AT / 1000:.1f} s ago"
        return None

    def judge_order(self, reads):
        """By name: neither back in versions, nor back from the dead."""
        problems = []
        done = sorted(reads, key=lambda one: one.ended)
        newest, gone, i = 0, None, 0
        for one in sorted(reads, key=lambda one: one.begun):
            while i < len(done) and done[i].ended <= one.begun:
                f = done[i].frame
                if f.error is None:
                    newest = max(newest, f.VERSION)
                elif f.error == "not-found":
                    gone = done[i].begun
                i += 1
            f = one.frame
            if f.error is not None:
                continue
            if f.VERSION < newest:
                problems.append(f"version {f.VERSION} after {newest}")
            if gone is not None and not any(
                    m > gone - 60 for m in self.model.made[one.name]):
                problems.append(f"{f.VALUE} after it was not found")
        return problems

    def test_chaos(self):
        print(f"QAPI_SEED={SEED}", file=sys.stderr)
        r = random.Random(SEED)
        self.private = {self.key}
        self.ahead, self.back = 0, False
        self.clock.patience, self.clock.moment = 0.03, 0.1
        self.model = Model(self.clock, {
            s["id"]: s["value"] for s in self.SEED["secrets"]})
        self.reads, self.over = [], threading.Event()
        threads = [threading.Thread(target=self.client,
                                    args=(r.randrange(1 << 32),))
                   for _ in range(4)]
        for t in threads:
            t.start()
        steps, weights = zip(*self.STEPS)
        history = []
        try:
            end = time.monotonic() + SECONDS
            while len(history) < STEPS or \
                    (STEPS == 0 and time.monotonic() < end):
                step = r.choices(steps, weights)[0]
                history.append(f"{self.clock.boot():.1f} {step(self, r)}")
                time.sleep(r.random() * 0.03)
        finally:
            self.over.set()
            for t in threads:
                t.join()
        problems = [f"{one.name}: {p} {one.frame}" for one in self.reads
                    for p in [self.judge(one)] if p]
        for name in NAMES:
            problems += [f"{name}: {p}" for p in self.judge_order(
                [one for one in self.reads if one.name == name])]
        values = sum(one.frame.error is None for one in self.reads)
        if os.environ.get("QAPI_MEASURE"):
            kinds = {}
            for one in self.reads:
                k = one.frame.error or one.frame.freshness
                kinds[k] = kinds.get(k, 0) + 1
            print(f"{len(history)} steps, {kinds}", file=sys.stderr)
        self.assertFalse(problems, "\n".join(
            [f"QAPI_SEED={SEED}: {len(problems)} of {len(self.reads)}"] +
            problems[:10] + history[-400:]))
        self.assertGreater(values, len(self.reads) // 10)


if __name__ == "__main__":
    harness.main()
