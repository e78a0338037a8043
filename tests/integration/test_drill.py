#!/usr/bin/env python3
"""DRILL: the agent behaves as if the service were down (contract 4)."""

import time

import asks
import harness
import wire
from harness import Case, needs_root, ref, secret

HOUR = 3600_000
SEED = {"secrets": [secret("s1", "db/one"),
                    secret("s2", "db/two", expiresAt=harness.utc(1800)),
                    secret("s3", "web"), secret("s4", "never/read")],
        "keys": [{"id": "k1", "name": "signing", "algorithm": "Ed25519"}]}


class Drill(Case):
    SEED = SEED
    CONF = {"agent": {"socket-mode": "0666"},
            "cache": {"max-stale": "1h"}}
    ALLOW = [("reader", {"user": "nobody", "secrets": "**"}),
             ("operator", {"user": "games", "operations": "admin",
                           "secrets": "**"})]

    def drill(self, ms=600_000, w=None):
        d = asks.Drill(w or self.wire(), ms)
        self.assertEqual(d.first.type, wire.DRILLED, d.first)
        self.assertTrue(d.first.more)
        self.assertEqual(d.first.DURATION_MS, ms)
        return d

    def runs(self):
        return self.wire().status()["drill.secondsLeft"] is not None

    def over(self):
        self.wait(lambda: not self.runs(), "the drill is over")

    def test_report(self):
        w = self.wire()
        for name in ("db/one", "db/two", "web"):
            self.assertIsNone(w.get(ref(name)).error)
        began = time.time()
        d = self.drill()
        self.sandbox.forget()
        # a refresh that fails makes it stale; then reads go on
        self.assertEqual(w.get(ref("db/one"), terms=wire.FRESH).error,
                         "upstream-unavailable")
        for _ in range(3):
            f = w.get(ref("db/one"))
            self.assertEqual((f.error, f.freshness), (None, "stale"))
        self.assertEqual(w.get(ref("web")).freshness, "fresh")
        for _ in range(2):
            self.assertEqual(w.get(ref("never/read")).error,
                             "upstream-unavailable")
        self.assertEqual(self.sandbox.total, 0, "the service was asked")
        d.cancel()
        reads, values, last = d.report()
        rows = {(r["REF"], r.get("FRESHNESS"), wire.ERRORS.get(
            r.get("ERROR"))): r["COUNT"] for r in reads}
        self.assertEqual(rows, {
            (ref("db/one"), None, "upstream-unavailable"): 1,
            (ref("db/one"), 2, None): 3,
            (ref("never/read"), None, "upstream-unavailable"): 2})
        self.assertEqual((last.COUNT, last.FAILED), (7, 3))
        self.assertLess(last.ELAPSED_MS, 1000 * harness.LONG)
        by_id = {v["ID"]: v for v in values}
        self.assertEqual(set(by_id), {"s1", "s2", "s3"})
        took = (time.time() - began + 1) * 1000
        self.assertEqual(by_id["s1"]["NAME"], "db/one")
        self.assertEqual(by_id["s1"]["LIMIT"], 1)       # max-stale
        self.assertTrue(HOUR - took < by_id["s1"]["UNUSABLE_IN_MS"] <= HOUR)
        self.assertEqual(by_id["s2"]["LIMIT"], 2)       # expiresAt
        self.assertTrue(1000_000 < by_id["s2"]["UNUSABLE_IN_MS"] <= 1800_000)
        # what breaks first comes first
        self.assertEqual(values[0]["ID"], "s2")
        # and the service is asked again
        self.assertIsNone(w.get(ref("never/read")).error)

    def test_ends_by_itself(self):
        d = self.drill(300)
        _, values, last = d.report()
        self.assertEqual(values, [])
        self.assertGreaterEqual(last.ELAPSED_MS, 300)
        self.assertFalse(self.runs())
        self.assertIsNone(self.wire().get(ref("web")).error)

    def test_shown_while_it_runs(self):
        w = self.wire()
        w.get(ref("web"))
        self.assertIsNone(w.status()["drill.secondsLeft"])
        d = self.drill()
        left = w.status()["drill.secondsLeft"]
        self.assertTrue(590 < left <= 600, left)
        self.assertIn("qapi_agent_drill 1\n", asks.metrics(w))
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: "DRILL" in self.agent.noted("STATUS")[-1],
                      "STATUS= shows it")
        d.cancel()
        d.report()
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: "DRILL" not in self.agent.noted("STATUS")[-1],
                      "STATUS= shows its end")
        self.assertIn("qapi_agent_drill 0\n", asks.metrics(w))

    def test_one_at_a_time(self):
        d = self.drill()
        second = asks.Drill(self.wire(), 1000).first
        self.assertEqual((second.type, second.error),
                         (wire.ERROR_MSG, "busy"))
        d.cancel()
        d.report()
        self.drill(100).report()

    def test_ends_with_its_connection(self):
        w = self.agent.wire()
        self.drill(w=w)
        self.assertTrue(self.runs())
        w.close()
        self.over()
        self.assertIsNone(self.wire().get(ref("web")).error)

    def test_ends_with_its_connection_after_a_half_close(self):
        import socket
        w = self.agent.wire()
        self.drill(w=w)
        w.sock.shutdown(socket.SHUT_WR)
        self.assertTrue(self.runs())
        w.close()
        self.over()

    def test_a_half_closed_client_still_gets_the_report(self):
        import socket
        w = self.wire()
        d = self.drill(300, w=w)
        w.sock.shutdown(socket.SHUT_WR)
        self.assertGreaterEqual(d.report()[2].ELAPSED_MS, 300)

    def test_reload_ends_it(self):
        import signal
        d = self.drill()
        self.agent.proc.send_signal(signal.SIGHUP)
        d.report()
        self.over()

    def test_stop_ends_it(self):
        self.drill()
        self.assertEqual(self.agent.stop(), 0)

    def test_restart_does_not_remember_it(self):
        self.drill()
        self.agent.kill()
        self.expected_status[self.agent] = -9
        self.agent.ended()
        self.start_agent()
        self.assertFalse(self.runs())

    def test_bad_durations(self):
        for ms in (0, 86_400_001, 2**63):
            f = asks.Drill(self.wire(), ms).first
            self.assertEqual((f.type, f.error),
                             (wire.ERROR_MSG, "bad-request"))
        self.assertFalse(self.runs())

    @needs_root
    def test_takes_admin(self):
        f = asks.Drill(asks.wire_as(self, "nobody"), 1000).first
        self.assertEqual((f.type, f.error), (wire.ERROR_MSG, "denied"))
        self.assertFalse(self.runs())
        self.drill(100, w=asks.wire_as(self, "games")).report()

    @needs_root
    def test_what_is_denied_is_not_in_the_report(self):
        d = self.drill()
        other = asks.wire_as(self, "games")
        self.assertEqual(other.get("qapi://keys/nope/public").error,
                         "denied")
        self.assertEqual(other.get("qapi://secrets/").error, "bad-request")
        d.cancel()
        reads, _, last = d.report()
        self.assertEqual((reads, last.COUNT), ([], None))

    def test_many_references_are_told_apart_up_to_a_bound(self):
        w = self.wire()
        d = self.drill()
        count = 4096 + 100
        for i in range(0, count, 128):
            w.get_many(*[ref(f"many/{n}") for n in
                         range(i, min(i + 128, count))])
        d.cancel()
        reads, _, last = d.report()
        self.assertEqual(len(reads), 4096)
        self.assertEqual((last.COUNT, last.FAILED), (count, count))

    def test_connection_goes_on_after_it(self):
        w = self.wire()
        d = self.drill(w=w)
        w.ping()
        d.cancel()
        d.report()
        w.ping()
        # there is nothing left to cancel
        d.cancel()
        w.ping()


if __name__ == "__main__":
    harness.main()
