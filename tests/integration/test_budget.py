#!/usr/bin/env python3
"""A limit of requests a minute for each key: what callers wait for goes first,
then what expires, then what is due; and no storm of 429s (issue 4, part 3).

Time is steered, and the service's clock follows it second by second.
"""

import harness
import wire
from harness import Case, secret

LIMIT = 600


def q(name):
    return "qapi://secrets/" + name


class Budget(Case):
    STEERED = True
    AUTO = False

    def begin(self, seed, limit=LIMIT, listing=False, cache=None):
        self.start_sandbox({"secrets": seed})
        if not listing:
            self.sandbox.fault("*/secrets", status=403,
                               error="insufficient_scope")
        self.start_agent({
            "cache": {"refresh-interval": None, **(cache or {})},
            "upstream": {"request-timeout": None, "connect-timeout": None}})
        self.sandbox.set_rate_limit(limit)
        self.sandbox.forget()

    def seconds(self, n):
        for _ in range(n):
            self.clock.pass_(1)
            self.sandbox.set_ahead(self.clock.passed_ms / 1000)

    def statuses(self):
        return self.sandbox.control("GET", "/requests")["byStatus"]

    def refused(self):
        return self.statuses().get("429", 0)

    def read(self, names, **terms):
        """{error or None: how many}"""
        out = {}
        with wire.Wire(self.socket, timeout=60) as w:
            for i in range(0, len(names), 250):
                for f in w.get_many(*[q(n) for n in names[i:i + 250]],
                                    timeout=60, **terms):
                    out[f.error] = out.get(f.error, 0) + 1
        return out

    def test_1000_cold_reads_are_served_as_the_limit_allows_no_storm(self):
        names = [f"s{i:04}" for i in range(1000)]
        self.begin([secret(n, val=f"value of {n}") for n in names],
                   listing=True)
        got = self.read(names)
        self.assertGreaterEqual(got.get(None, 0), LIMIT - 20)
        self.assertEqual(set(got), {None, "upstream-unavailable"})
        # what was under way when the first was refused, and no more
        self.assertLessEqual(self.refused(), 17)
        # callers who come again are told at once, without a request
        total = self.sandbox.total
        missing = [n for n in names
                   if self.read([n], terms=wire.ONLY_IF_CACHED) != {None: 1}]
        self.read(missing[:100])
        self.assertEqual(self.sandbox.total, total)
        self.seconds(62)
        self.assertEqual(self.read(missing), {None: len(missing)})
        self.assertLessEqual(self.refused(), 17)

    def test_refreshes_leave_room_for_callers(self):
        """1,000 due each minute cannot be; callers do not notice."""
        due = [f"s{i:04}" for i in range(1000)]
        cold = [f"c{i:03}" for i in range(300)]
        self.begin([secret(n, val=f"value of {n}") for n in due + cold],
                   limit=0, cache={"refresh-interval": "1m"})
        self.assertEqual(self.read(due), {None: 1000})
        self.sandbox.set_rate_limit(LIMIT)
        self.seconds(61)
        self.sandbox.forget()
        for i in range(0, 300, 10):         # five minutes
            self.seconds(10)
            self.assertEqual(self.read(cold[i:i + 10]), {None: 10}, i)
        n = self.statuses()
        self.assertEqual(n.get("429", 0), 0, n)
        # and what was left was used
        self.assertGreater(n["200"], 5 * LIMIT // 2)
        self.assertLessEqual(n["200"], 6 * LIMIT)

    def test_what_expires_goes_before_what_is_due(self):
        due = [f"s{i:04}" for i in range(300)]
        soon = [f"e{i}" for i in range(10)]
        at = self.clock.utc(300)
        self.begin([secret(n, val=f"value of {n}") for n in due] +
                   [secret(n, expiresAt=at) for n in soon],
                   limit=0, cache={"refresh-interval": "1m"})
        self.assertEqual(self.read(due + soon), {None: 310})
        self.sandbox.set_rate_limit(60)
        self.seconds(230)       # all of them wait in the queue by now, too
        for n in soon:
            self.sandbox.set(n, expiresAt=self.clock.utc(3600),
                             value=f"renewed {n}", version=2)
        self.sandbox.forget()
        self.seconds(50)        # refresh-lead is 60 s
        with wire.Wire(self.socket) as w:
            for n in soon:
                f = w.get(q(n), terms=wire.ONLY_IF_CACHED)
                self.assertEqual(f.VALUE, f"renewed {n}".encode())
        self.assertLessEqual(self.refused(), 2)

    def test_without_a_limit_nothing_is_held_back(self):
        names = [f"s{i:04}" for i in range(1000)]
        self.begin([secret(n, val=f"value of {n}") for n in names], limit=0)
        self.assertEqual(self.read(names), {None: 1000})

    def test_the_limit_is_raised_and_that_is_noticed(self):
        due = [f"s{i:04}" for i in range(300)]
        self.begin([secret(n, val=f"value of {n}") for n in due],
                   limit=0, cache={"refresh-interval": "1m"})
        self.read(due)
        self.sandbox.set_rate_limit(60)
        self.seconds(180)
        self.sandbox.set_rate_limit(LIMIT)
        self.seconds(120)
        self.sandbox.forget()
        self.seconds(60)
        self.assertGreaterEqual(self.sandbox.total, 280)
        self.assertEqual(self.refused(), 0)


if __name__ == "__main__":
    harness.main()
