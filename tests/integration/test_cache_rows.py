#!/usr/bin/env python3
"""What the cache promises: each row of the table in section 6 of the contract,
in its order and under its words, with the default settings and the daemon
whose time is steered: hours pass in milliseconds.

What needs no time to pass is in test_cache_table.py.
"""

import contextlib
import os
import threading
import time

import harness
import wire
from harness import Case, at_once, secret, utc, value

MINUTE, HOUR, DAY = 60, 3600, 86400
INTERVAL = 5 * MINUTE           # refresh-interval, by default
LEAD = 60                       # refresh-lead
# Of what hangs: nothing will come, so time need not wait long for it.
HASTY = 0.02


def q(name):
    return "qapi://secrets/" + name


class Rows(Case):
    STEERED = True
    # the defaults
    CONF = {"cache": {"refresh-interval": None},
            "upstream": {"request-timeout": None, "connect-timeout": None}}

    def pass_(self, seconds):
        self.clock.pass_(seconds)

    def pass_until(self, condition, what, step=1, limit=10 * MINUTE):
        """Until then; returns the seconds that passed."""
        passed = 0
        while not condition():
            if passed >= limit:
                self.fail(f"{limit} s passed without that {what}")
            self.pass_(step)
            passed += step
        return passed

    def gets(self):
        """Requests of the agent: it only reads."""
        return sum(n for path, n in self.sandbox.requests().items()
                   if path.startswith("GET "))

    def reads_by_id(self):
        """{id: reads}"""
        head = "GET /api/v1/secrets/"
        return {path[len(head):]: n
                for path, n in self.sandbox.requests().items()
                if path.startswith(head)}

    def look(self, name, **terms):
        """What the cache has, without asking the service."""
        with self.wire_() as w:
            return w.get(q(name), terms=wire.ONLY_IF_CACHED, **terms)

    @contextlib.contextmanager
    def wire_(self):
        with wire.Wire(self.socket, timeout=60) as w:
            yield w

    def read_all(self, names, **terms):
        with self.wire_() as w:
            for i in range(0, len(names), 250):
                part = names[i:i + 250]
                got = w.get_many(*[q(n) for n in part], timeout=60, **terms)
                self.assertEqual({f.error for f in got}, {None})

    def freshness(self, names):
        """{freshness or error: how many}, without asking the service."""
        out = {}
        with self.wire_() as w:
            for i in range(0, len(names), 250):
                part = names[i:i + 250]
                for f in w.get_many(*[q(n) for n in part],
                                    terms=wire.ONLY_IF_CACHED):
                    what = f.error or f.freshness
                    out[what] = out.get(what, 0) + 1
        return out

    def assert_value(self, name, freshness="fresh", val=None):
        o = self.get_json(name)
        self.assertEqual(o["freshness"], freshness, o)
        if val is not None:
            self.assertEqual(o["value"], val)
        return o

    def breaker(self):
        return self.status()["upstream"]["breaker"]


class Row01Fresh(Rows):
    """entry fetched less than refresh-interval ago, not near expiry: the
    value, at once, fresh"""
    SEED = {"secrets": [secret("a"), secret("b", expiresAt=utc(DAY))]}

    def test_row_01_fresh_value_at_once_without_a_request(self):
        for name in ("a", "b"):
            self.get(name)
        self.pass_(20)
        self.sandbox.forget()
        for name in ("a", "b"):
            for _ in range(5):
                self.assert_value(name)
        self.assertEqual(self.sandbox.total, 0)

    def test_row_01_at_once_also_while_the_service_hangs(self):
        self.get("a")
        self.sandbox.fault("*", action="hang")
        began = time.monotonic()
        for _ in range(5):
            self.assert_value("a")
        self.assertLess(time.monotonic() - began, 5)


class Row02Due(Rows):
    """refresh due (by time, for every entry read within idle-evict, whether
    or not anyone reads just then): the value at once, fresh until a due
    refresh has failed; one refresh runs behind it"""
    SEED = {"secrets": [secret("a"), secret("b")]}

    def test_row_02_refreshed_with_nobody_reading(self):
        self.get("a")
        new = value("rotated")
        self.sandbox.rotate("a", new)
        self.pass_(INTERVAL + 1)
        f = self.look("a")
        self.assertEqual((f.VALUE, f.freshness), (new.encode(), "fresh"))
        self.assertLess(f.AGE_MS, INTERVAL * 1000)

    def test_row_02_once_an_interval_within_idle_evict_then_no_more(self):
        self.get("a")
        self.sandbox.forget()
        self.pass_(23 * HOUR)
        n = self.gets()
        self.assertGreaterEqual(n, 23 * 12)
        self.assertLessEqual(n, 23 * 12 * 8 // 7 + 2)   # jitter: 1/8 earlier
        self.pass_(2 * HOUR)
        self.sandbox.forget()
        self.pass_(HOUR)
        self.assertEqual(self.gets(), 0)
        self.assertEqual(self.look("a").error, "upstream-unavailable")
        self.assertEqual(self.status()["cache"]["secrets"], 0)

    def test_row_02_read_again_it_stays(self):
        self.get("a")
        for _ in range(3):
            self.pass_(20 * HOUR)
            self.sandbox.forget()
            self.assert_value("a")
            self.assertEqual(self.gets(), 0)

    def test_row_02_one_refresh_however_many_readers_ask(self):
        old = self.get("a")
        self.clock.patience = HASTY
        hang = self.sandbox.fault("*", action="hang")
        self.sandbox.forget()
        self.pass_until(lambda: self.sandbox.hits(hang), "a refresh begins")
        got = at_once(30, lambda i: self.wire().get(q("a")))
        self.assertEqual({(f.VALUE, f.freshness) for f in got},
                         {(old, "fresh")})
        self.assertEqual(self.gets(), 1)
        self.sandbox.clear()

    def test_row_02_fresh_until_a_due_refresh_has_failed_then_stale(self):
        self.get("a")
        fault = self.sandbox.fault("*", status=500)
        for _ in range(INTERVAL // 5 + 1):
            tried = self.sandbox.hits(fault)
            f = self.look("a")
            self.assertEqual(f.freshness, "stale" if tried else "fresh")
            self.pass_(5)
        self.assertEqual(self.look("a").freshness, "stale")

    def test_row_02_readers_are_not_delayed_by_a_refresh(self):
        old = self.get("a")
        slow = self.sandbox.fault("*", latencyMs=1500)
        new = value("rotated")
        self.sandbox.rotate("a", new)   # answered late, but done at once
        self.clock.patience = HASTY
        self.pass_until(lambda: self.sandbox.hits(slow) >= 2,
                        "a refresh begins", step=1)
        began = time.monotonic()
        o = self.get_json("a")
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual((o["value"].encode(), o["freshness"]),
                         (old, "fresh"))
        self.wait(lambda: self.get("a") == new.encode(),
                  "the refresh has come back")


class Row03Cold(Case):
    """not cached: one fetch, shared by all who ask meanwhile; each waits at
    most its own timeout"""
    SEED = {"secrets": [secret(f"s{i}") for i in range(8)]}

    def test_row_03_100_cold_reads_make_one_request(self):
        wires = [self.wire() for _ in range(100)]
        self.sandbox.fault("*/secrets/s0", latencyMs=300)
        got = at_once(100, lambda i: wires[i].get(q("s0")))
        self.assertEqual({f.VALUE for f in got},
                         {self.SEED["secrets"][0]["value"].encode()})
        self.assertEqual({f.freshness for f in got}, {"fresh"})
        self.assertEqual(self.sandbox.reads("s0"), 1)

    def test_row_03_each_waits_at_most_its_own_timeout(self):
        hang = self.sandbox.fault("*/secrets/s0", action="hang")
        with self.wire() as patient, self.wire() as hasty:
            rid = patient.send_get(q("s0"), deadline_ms=15000)
            self.wait(lambda: self.sandbox.hits(hang) == 1,
                      "the fetch is under way")
            began = time.monotonic()
            self.assertEqual(hasty.get(q("s0"), deadline_ms=300).error,
                             "timeout")
            self.assertLess(time.monotonic() - began, 1.5)
            self.assertGreater(time.monotonic() - began, 0.15)
            self.sandbox.clear()
            # The connection was closed by that, so this is its retry.
            self.assertEqual(patient.recv_for(rid).VALUE,
                             self.SEED["secrets"][0]["value"].encode())

    def test_row_03_the_fetch_goes_on_when_who_asked_has_left(self):
        self.sandbox.fault("*/secrets/s0", latencyMs=500)
        with self.wire() as w:
            w.send_get(q("s0"))
            self.wait(lambda: self.sandbox.reads("s0") == 1,
                      "the fetch is under way")
        with self.wire() as w:
            self.wait(lambda: w.get(q("s0"), terms=wire.ONLY_IF_CACHED).VALUE,
                      "the value is cached")
        self.assertEqual(self.sandbox.reads("s0"), 1)


class Row04ManyDue(Rows):
    """many refreshes due: one page of the listing revalidates all the cached
    secrets on it, and only those that changed are fetched; every
    reread-interval each is read by its id all the same, spread out"""
    AUTO = False

    def begin(self, n, cache=None, upstream=None, seed=()):
        self.names = [f"s{i:04}" for i in range(n)]
        self.start({"cache": cache or {}, "upstream": upstream or {}},
                   {"secrets": [secret(s, val=f"value of {s}")
                                for s in self.names] + list(seed)})
        self.read_all(self.names)

    def test_row_04_1000_idle_secrets_cost_10_requests_an_interval(self):
        self.begin(1000)
        self.pass_(INTERVAL)    # until they are on their rhythm
        self.sandbox.forget()
        before = self.gets()
        self.pass_(8 * INTERVAL)
        n = self.gets() - before
        self.assertLessEqual(n, 8 * 10)
        self.assertGreaterEqual(n, 8 * 5 - 5)
        self.assertEqual(self.freshness(self.names), {"fresh": 1000})
        # It is what the listing confirmed: none is older than an interval.
        with self.wire_() as w:
            for f in w.get_many(*[q(n) for n in self.names[::5]]):
                self.assertLess(f.AGE_MS, INTERVAL * 1000 + 1000)

    def test_row_04_the_first_interval_after_a_start_is_not_dearer(self):
        self.begin(1000)
        self.sandbox.forget()
        self.pass_(INTERVAL)
        self.assertLessEqual(self.gets(), 20)

    def test_row_04_only_those_that_changed_are_fetched(self):
        self.begin(300)
        self.pass_(INTERVAL)
        version, metadata, expiry = "s0123", "s0200", "s0042"
        new = value("rotated")
        self.sandbox.rotate(version, new)       # updatedAt becomes null
        self.sandbox.api("PATCH", "/secrets/" + metadata,
                         {"description": "another"})
        self.sandbox.set(expiry, expiresAt=self.clock.utc(DAY))
        self.sandbox.forget()
        self.pass_(INTERVAL)
        by_id = self.reads_by_id()
        self.assertEqual(self.look(version).VALUE, new.encode())
        with self.wire_() as w:
            f = w.get(q(metadata) + "?field=description",
                      terms=wire.ONLY_IF_CACHED)
            self.assertEqual(f.VALUE, b"another")
        self.assertIsNotNone(self.look(expiry).EXPIRES_AT)
        for name in (version, metadata, expiry):
            self.assertEqual(by_id.pop(name, 0), 1, name)
        # jitter: a little over one interval may have passed for a few
        self.assertLessEqual(sum(by_id.values()), 3, by_id)

    def test_row_04_deactivated_secret_is_confirmed_by_a_read_and_goes(self):
        self.begin(100)
        self.pass_(INTERVAL)
        self.sandbox.api("POST", "/secrets/s0007/deactivate")
        self.sandbox.api("DELETE", "/secrets/s0008")
        self.sandbox.set("s0009", isActive=False)   # and nothing else
        self.sandbox.forget()
        self.pass_(INTERVAL + 1)
        self.assertGreaterEqual(self.sandbox.listings, 1)
        self.assertLessEqual(sum(self.reads_by_id().values()), 6)
        for name in ("s0007", "s0008", "s0009"):
            self.assertEqual(self.look(name).VALUE, None)
            self.fails(3, "get", name)
        self.assertEqual(self.freshness(["s0006", "s0010"]), {"fresh": 2})

    def rows(self, without=()):
        return [{k: v for k, v in {
            "id": s, "name": s, "version": 1, "isActive": True,
            "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None,
            "expiresAt": None}.items() if k not in without}
            for s in self.names]

    def test_row_04_falls_back_where_the_listing_tells_no_version(self):
        for without in (("version",), ("updatedAt",)):
            with self.subTest(without):
                if self.sandbox is None:
                    self.begin(20)
                self.sandbox.clear()
                self.sandbox.fault("*/secrets", body={
                    "secrets": self.rows(without), "total": 20,
                    "hasMore": False})
                self.pass_(INTERVAL)    # this listing becomes known
                for s in ("s0003", "s0004"):
                    self.sandbox.set(s, value=f"by {without} of {s}",
                                     version=1)
                self.sandbox.forget()
                self.pass_(INTERVAL + 1)
                by_id = self.reads_by_id()
                self.assertEqual({s: 1 for s in self.names},
                                 {s: min(by_id.get(s, 0), 1)
                                  for s in self.names})
                self.assertEqual(self.look("s0003").VALUE,
                                 f"by {without} of s0003".encode())
                self.assertEqual(self.freshness(self.names), {"fresh": 20})

    def test_row_04_falls_back_where_the_key_may_not_list(self):
        self.begin(20)
        self.sandbox.fault("*/secrets", status=403,
                           error="insufficient_scope")
        self.pass_(INTERVAL)
        self.sandbox.forget()
        for _ in range(3):
            self.pass_(INTERVAL)
        self.assertEqual(self.freshness(self.names), {"fresh": 20})
        by_id = self.reads_by_id()
        for s in self.names:
            self.assertGreaterEqual(by_id.get(s, 0), 3)
        # and it does not ask for the listing again each time
        self.assertLessEqual(self.sandbox.listings, 6)

    def test_row_04_one_of_many_is_not_revalidated_by_many_pages(self):
        self.names = [f"s{i:04}" for i in range(1000)]
        self.start(None, {"secrets": [secret(s, val=f"value of {s}")
                                      for s in self.names]})
        self.get("s0500")
        self.sandbox.forget()
        self.pass_(4 * INTERVAL)
        self.assertLessEqual(self.gets(), 10)

    def test_row_04_reread_interval_reads_each_by_id_spread_out(self):
        self.begin(200, {"reread-interval": "6h"})
        self.pass_(INTERVAL)
        # A change that no row shows: the same version, no updatedAt.
        self.sandbox.set("s0011", value="silently changed", version=1)
        self.sandbox.forget()
        most, before = 0, 0
        for _ in range(14):
            self.pass_(30 * MINUTE)
            now = sum(self.reads_by_id().values())
            most, before = max(most, now - before), now
        by_id = self.reads_by_id()
        self.assertEqual([s for s in self.names if not by_id.get(s)], [])
        self.assertEqual(self.look("s0011").VALUE, b"silently changed")
        # one each, and a few whose turn came again
        self.assertLessEqual(before, 280)
        # evenly that would be 17 in half an hour
        self.assertLessEqual(most, 60)

    def test_row_04_reads_are_not_answered_later_because_of_it(self):
        self.begin(100)
        self.clock.patience = HASTY
        hang = self.sandbox.fault("*", action="hang")
        self.pass_until(lambda: self.sandbox.hits(hang), "it is revalidated")
        began = time.monotonic()
        self.read_all(self.names)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(self.freshness(self.names), {"fresh": 100})

    def test_row_04_one_changed_is_fetched_while_a_caller_waits_for_it(self):
        """Whoever wants it confirmed is not sent to the listing."""
        self.begin(50)
        self.sandbox.set("s0001", value="confirmed", version=2)
        self.sandbox.forget()
        self.assertEqual(self.get("s0001", "--fresh"), b"confirmed")
        self.assertEqual(self.reads_by_id(), {"s0001": 1})
        self.assertEqual(self.sandbox.listings, 0)


class Row05Down(Rows):
    """service down, 5xx, 429, timeouts, an answer with another id, without a
    value, or cut short: the value, marked stale with its age, until max-stale
    after the last success; then upstream-unavailable"""
    SEED = {"secrets": [secret("a", "db/a"), secret("b")]}
    RETURN = 20         # all is fresh again so soon
    # After Retry-After those who share the key do not all come at once: what
    # nobody waits for is spread over so much of the pause again.
    SPREAD = 4

    def stale_by(self, returns=RETURN, path="*", **fault):
        name, v = "db/a", self.SEED["secrets"][0]["value"]
        self.assert_value(name, "fresh", v)
        self.sandbox.fault(path, **fault)
        self.pass_(INTERVAL + 40)       # request-timeout and all
        o = self.assert_value(name, "stale", v)
        self.assertGreater(o["ageSeconds"], 30)
        self.pass_(10)
        self.assertGreaterEqual(
            self.assert_value(name, "stale")["ageSeconds"],
            o["ageSeconds"] + 10)
        self.sandbox.clear()
        self.pass_(returns)
        self.assert_value(name, "fresh", v)

    def test_row_05_service_down_in_each_way_gives_stale(self):
        self.get("db/a")
        for fault in ({"status": 500}, {"status": 502},
                      {"status": 503, "retryAfter": 2}, {"status": 504},
                      {"action": "drop"}, {"action": "truncate"}):
            with self.subTest(fault):
                self.stale_by(**fault)

    def test_row_05_timeouts_give_stale(self):
        self.get("db/a")
        self.clock.patience = HASTY
        for fault in ({"action": "hang"},
                      {"action": "slow", "latencyMs": 300}):
            with self.subTest(fault):
                self.stale_by(**fault)

    def test_row_05_429_gives_stale(self):
        self.get("db/a")
        for fault in ({"retryAfter": 1}, {}, {"retryAfter": "soon"}):
            with self.subTest(fault):
                self.stale_by(status=429, **fault)

    def test_row_05_wrong_answers_give_stale(self):
        self.get("db/a")
        self.note_private("value-of-another")
        for fault in (
                {"action": "garbage"}, {"action": "redirect"}, {"body": ""},
                {"body": "<html>maintenance</html>",
                 "contentType": "text/html"}):
            with self.subTest(fault):
                # a service that answers, but wrongly, is asked less often
                self.stale_by(INTERVAL + 1, **fault)

    def test_row_05_another_id_or_no_value_gives_stale(self):
        self.get("db/a")
        self.note_private("value-of-another")
        for body in ({"id": "b", "value": "value-of-another"},
                     {"id": "a", "version": 2},
                     {"id": "a", "value": None},
                     {"id": "a", "value": {"value": "x"}}):
            with self.subTest(body):
                # so that it is read by its id
                self.sandbox.fault("*/secrets", status=403,
                                   error="insufficient_scope")
                self.stale_by(INTERVAL + 1, path="*/secrets/a", body={
                    "name": "db/a", "version": 1, "isActive": True, **body})

    def test_row_05_until_max_stale_after_the_last_success(self):
        """24 h by default, and the value is read now and then."""
        self.get("b")
        self.pass_(INTERVAL)
        self.sandbox.stop()
        age = 0
        while age < DAY - HOUR:
            self.pass_(min(12 * HOUR, DAY - 600 - age))
            age = self.assert_value("b", "stale")["ageSeconds"]
        self.pass_(DAY - age - 5)
        self.assertGreaterEqual(self.assert_value("b", "stale")["ageSeconds"],
                                DAY - 10)
        self.pass_(6)
        self.assert_error("upstream-unavailable", 6, "get", "b")
        self.sandbox.start()
        self.pass_(self.RETURN)
        self.assertEqual(self.helper("get", "b").status, 0)

    def test_row_05_what_is_not_cached_is_unavailable(self):
        self.get("db/a")
        self.sandbox.stop()
        self.pass_(INTERVAL + 10)
        began = time.monotonic()
        self.fails(6, "get", "b")
        self.assertLess(time.monotonic() - began, 5)
        self.assert_value("db/a", "stale")

    def test_row_05_status_tells_it(self):
        self.get("b")
        s = self.status()
        self.assertEqual((s["upstream"]["state"], s["upstream"]["breaker"]),
                         ("ok", "closed"))
        self.sandbox.stop()
        self.pass_(INTERVAL + 30)
        s = self.status()
        self.assertEqual(s["upstream"]["state"], "down")
        self.assertIn(s["upstream"]["breaker"], ("open", "half-open"))
        self.assertGreaterEqual(s["cache"]["stale"], 0)
        self.assertGreater(s["upstream"]["lastSuccessAgeSeconds"], 30)
        self.get("b")
        self.assertGreaterEqual(self.status()["cache"]["stale"], 1)
        self.sandbox.start()
        self.pass_(self.RETURN)
        s = self.status()
        self.assertEqual((s["upstream"]["state"], s["upstream"]["breaker"]),
                         ("ok", "closed"))

    def hold(self, status):
        """The first request after now is refused until 10 minutes from now;
        all that is due waits for that."""
        self.ok("get", "db/a", "b")
        self.sandbox.fault("*", status=status, retryAfter=10 * MINUTE,
                           times=1)
        self.sandbox.forget()
        self.pass_until(lambda: self.gets(), "the refusal is given")
        self.pass_(10 * MINUTE - 5)
        self.assertEqual(self.gets(), 1)
        self.assert_value("b", "stale")

    def test_row_05_429_holds_the_whole_key_until_retry_after(self):
        self.hold(429)
        # callers too: the service said so
        self.assertEqual(self.helper("get", "another").status, 6)
        self.assertEqual(self.gets(), 1)
        self.pass_(5)
        self.assertEqual(self.helper("get", "b", "--fresh").status, 0)
        self.assertLessEqual(self.gets(), 3)
        self.pass_(10 * MINUTE / self.SPREAD + self.RETURN)
        self.assert_value("b", "fresh")
        self.assert_value("db/a", "fresh")

    def test_row_05_503_holds_what_nobody_waits_for_until_retry_after(self):
        self.hold(503)
        self.pass_(5)
        self.assertEqual(self.helper("get", "b", "--fresh").status, 0)
        self.assertLessEqual(self.gets(), 3)
        self.pass_(10 * MINUTE / self.SPREAD + self.RETURN)
        self.assert_value("b", "fresh")
        self.assert_value("db/a", "fresh")

    def test_row_05_429_with_a_date(self):
        self.ok("get", "b")
        at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(
            self.clock.wall() + INTERVAL + 100))
        self.sandbox.fault("*", status=429, retryAfter=at, times=1)
        self.sandbox.forget()
        self.pass_until(lambda: self.gets(), "the 429 is given")
        self.pass_(90)
        self.assertEqual(self.gets(), 1)
        # the sandbox's clock, which its Date: tells, stands still meanwhile
        self.pass_((INTERVAL + 100) * 5 / 4 + self.RETURN)
        self.assertGreater(self.gets(), 1)
        self.assert_value("b", "fresh")


class Row05Recovery(Rows):
    """The breaker probes after 1 s, doubling to at most 15 s; all is fresh
    again within 20 s of the service's return."""
    AUTO = False

    def begin(self, n=1000):
        self.names = [f"s{i:04}" for i in range(n)]
        self.start(None, {"secrets": [secret(s, val=f"value of {s}")
                                      for s in self.names]})
        self.read_all(self.names)

    def come_back(self, begin, end, lasts=30 * MINUTE):
        self.begin()
        begin()
        self.pass_(lasts)
        self.assertEqual(self.freshness(self.names), {"stale": 1000})
        self.assertIn(self.breaker(), ("open", "half-open"))
        end()
        self.sandbox.forget()
        self.pass_(20)
        self.assertEqual(self.freshness(self.names), {"fresh": 1000})
        self.assertEqual(self.breaker(), "closed")

    def test_row_05_fresh_within_20_s_after_a_stop(self):
        self.come_back(lambda: self.sandbox.stop(),
                       lambda: self.sandbox.start())

    def test_row_05_fresh_within_20_s_by_single_reads(self):
        def end():
            self.sandbox.start()
            self.sandbox.fault("*/secrets", status=403,
                               error="insufficient_scope")
        self.come_back(lambda: self.sandbox.stop(), end)
        self.assertGreaterEqual(self.gets(), 1000)

    def test_row_05_fresh_within_20_s_after_500s(self):
        self.come_back(lambda: self.sandbox.fault("*", status=500),
                       lambda: self.sandbox.clear())

    def test_row_05_fresh_within_20_s_after_a_hang_that_never_ends(self):
        """What was sent to the service that hung is never answered, not even
        by closing the connection; only new requests are."""
        self.clock.patience = HASTY
        self.come_back(lambda: self.sandbox.fault("*", action="hang"),
                       lambda: self.sandbox.clear(release=False))

    def test_row_05_uncached_is_readable_within_20_s_after_a_hang(self):
        """Who asks after the return does not share the fate of a request
        that was sent before it and will never be answered."""
        self.start(None, {"secrets": [
            secret("by-id"), secret("by-name", "db/by-name")]})
        self.clock.patience = HASTY
        for outage in (2, 300):
            with self.subTest(outage):
                self.helper("purge", "--all")
                self.sandbox.fault("*", action="hang")
                passed = 0
                while passed < outage:      # callers come all the time
                    for name in ("by-id", "db/by-name"):
                        r = self.helper("get", name, "--timeout", "100ms")
                        self.assertIn(r.status, (6, 7))
                    step = max(1, outage // 30)
                    self.pass_(step)
                    passed += step
                self.sandbox.clear(release=False)
                self.pass_(20)
                for name in ("by-id", "db/by-name"):
                    self.get(name, "--timeout", "2s")

    def test_row_05_probes_1_s_apart_then_15(self):
        self.begin(20)
        self.sandbox.fault("*", status=500)
        self.pass_until(lambda: self.breaker() == "open", "it opens")
        self.sandbox.forget()
        times = []
        for second in range(5 * MINUTE):
            before = self.gets()
            self.pass_(1)
            times += [second] * (self.gets() - before)
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertLessEqual(max(gaps), 18)     # 15 and an eighth
        self.assertGreaterEqual(min(gaps[5:]), 10)
        self.assertGreaterEqual(len(times), 300 // 18)
        self.assertLessEqual(len(times), 300 // 12 + 6)

    def test_row_05_10000_reads_a_second_cause_one_probe_a_second(self):
        self.begin(250)
        self.sandbox.fault("*", status=500)
        self.pass_(INTERVAL + 40)
        self.assertEqual(self.breaker(), "open")
        self.sandbox.forget()
        refs = [q(s) for s in self.names]
        seconds = 5
        with self.wire_() as w:
            for _ in range(seconds):
                for _ in range(40):
                    got = w.get_many(*refs)
                    self.assertEqual({f.freshness for f in got}, {"stale"})
                # those who want newer ones, and what is not cached, too
                w.get_many(*refs[:50], max_age_ms=1000, deadline_ms=50)
                self.pass_(1)
        self.assertLessEqual(self.gets(), seconds + 1)


class Row06ExpiryAhead(Rows):
    """expiresAt ahead: refreshed refresh-lead before it (with jitter), again
    at it, then with backoff"""
    AUTO = False

    def begin(self, expires_in=HOUR, **cache):
        self.start({"cache": {"refresh-interval": "300d", "idle-evict":
                              "300d", "reread-interval": "300d",
                              "preload": "", **cache}},
                   {"secrets": [secret("a", expiresAt=utc(expires_in))]})
        self.get("a")
        self.sandbox.forget()

    def test_row_06_refreshed_refresh_lead_before_it(self):
        self.begin()
        self.pass_(HOUR - LEAD - LEAD // 8 - 2)
        self.assertEqual(self.gets(), 0)
        self.sandbox.set("a", expiresAt=self.clock.utc(2 * HOUR),
                         value="renewed before", version=2)
        self.pass_(LEAD // 8 + 4)
        self.assertGreaterEqual(self.gets(), 1)
        self.assert_value("a", "fresh", "renewed before")
        self.pass_(LEAD)
        self.assert_value("a", "fresh", "renewed before")

    def test_row_06_again_at_it_then_with_backoff(self):
        self.begin()
        self.pass_(HOUR - 5)
        before = self.gets()
        self.assertGreaterEqual(before, 1)
        self.pass_(8)
        self.assertGreater(self.gets(), before)
        times, at = [], 0
        while at < HOUR:
            before = self.gets()
            self.pass_(15)
            at += 15
            times += [at] * (self.gets() - before)
        self.assertGreaterEqual(len(times), 4)
        self.assertLessEqual(len(times), 30)
        # the gaps grow
        self.assertGreater(times[-1] - times[-2], times[1] - times[0])

    def test_row_06_the_newer_value_found_by_that_is_served(self):
        self.begin()
        self.pass_(HOUR + 30)
        self.fails(8, "get", "a")
        self.sandbox.set("a", expiresAt=self.clock.utc(HOUR),
                         value="renewed after", version=2)
        # by itself, before a reader comes
        self.pass_until(lambda: self.look("a").VALUE == b"renewed after",
                        "it is found", step=5, limit=2 * MINUTE)

    def test_row_06_hosts_do_not_all_ask_at_the_same_moment(self):
        """With jitter: not all secrets of one expiry in one moment."""
        at = utc(HOUR)
        names = [f"s{i:02}" for i in range(64)]
        self.start({"cache": {"refresh-interval": "300d", "idle-evict":
                              "300d"}},
                   {"secrets": [secret(s, expiresAt=at) for s in names]})
        self.read_all(names)
        self.sandbox.forget()
        self.pass_(HOUR - LEAD - LEAD // 8 - 2)
        self.assertEqual(self.gets(), 0)
        seconds = 0
        for _ in range(LEAD // 8 + 3):
            before = self.gets()
            self.pass_(1)
            seconds += self.gets() > before
        self.assertGreaterEqual(self.gets(), 1)
        if self.sandbox.listings == 0:
            self.assertGreaterEqual(seconds, 3)


class Row07Expired(Rows):
    """expiresAt passed, no newer value: expired — never served, unless
    serve-expired allows a grace, and then freshness is expired"""
    AUTO = False

    def begin(self, expires_in=HOUR, **cache):
        self.start({"cache": cache},
                   {"secrets": [secret("a", expiresAt=utc(expires_in)),
                                secret("b")]})
        self.ok("get", "a", "b")

    def test_row_07_never_served_once_it_has_passed(self):
        self.begin()
        self.pass_(HOUR - 3)
        self.assert_value("a")
        self.pass_(4)
        self.assert_error("expired", 8, "get", "a")
        for _ in range(20):
            self.pass_(10 * MINUTE)
            self.fails(8, "get", "a")
        self.assert_value("b")

    def test_row_07_nor_while_the_service_is_down(self):
        self.begin()
        self.sandbox.stop()
        self.pass_(HOUR - 3)
        self.assert_value("a", "stale")
        self.pass_(4)
        self.fails(8, "get", "a")
        self.fails(8, "get", "a", "--offline")
        self.fails(8, "get", "a", "--max-stale", "24h")
        self.fails(6, "get", "a", "--fresh")
        self.assert_value("b", "stale")

    def test_row_07_serve_expired_allows_a_grace_that_is_marked(self):
        self.begin(**{"serve-expired": "10m"})
        v = self.SEED_A()
        self.pass_(HOUR + 1)
        self.assert_value("a", "expired", v)
        self.pass_(10 * MINUTE - 5)
        self.assert_value("a", "expired", v)
        self.pass_(5)
        self.assert_error("expired", 8, "get", "a")

    def SEED_A(self):
        return self.sandbox.seed["secrets"][0]["value"]

    def test_row_07_nothing_is_asked_for_each_read_of_it(self):
        self.begin()
        self.pass_(HOUR + 10 * MINUTE)
        self.sandbox.forget()
        for _ in range(20):
            self.fails(8, "get", "a")
        self.assertLessEqual(self.gets(), 1)

    def test_row_07_expiry_moved_ahead_by_a_refresh_counts_at_once(self):
        self.begin(2 * DAY)
        self.sandbox.set("a", expiresAt=self.clock.utc(-1))
        self.pass_(INTERVAL + 1)
        self.fails(8, "get", "a")


class Row08Gone(Rows):
    """service says 404/410 for it, or 403; or the listing shows it inactive
    or lacks it and a read confirms: dropped at once, not-found/denied from
    then on"""
    SEED = {"secrets": [secret(n) for n in (
        "gone404", "gone410", "no403", "no409", "scope403", "deleted",
        "inactive", "marked", "kept")]}

    def test_row_08_each_way_of_being_gone(self):
        names = [s["id"] for s in self.SEED["secrets"]]
        self.ok("get", *names)
        told = {"gone404": ("not-found", 3), "gone410": ("not-found", 3),
                "no403": ("denied", 4), "no409": ("denied", 4),
                "scope403": ("insufficient-scope", 4),
                "deleted": ("not-found", 3), "inactive": ("not-found", 3),
                "marked": ("not-found", 3)}
        self.sandbox.fault("*/secrets", status=403,
                           error="insufficient_scope")  # each by its id
        self.sandbox.fault("*/gone404", status=404)
        self.sandbox.fault("*/gone410", status=410)
        self.sandbox.fault("*/no403", status=403, error="forbidden")
        self.sandbox.fault("*/no409", status=409)
        self.sandbox.fault("*/scope403", status=403,
                           error="insufficient_scope")
        self.sandbox.fault("*/marked", body={
            "id": "marked", "name": "marked", "version": 1,
            "isActive": False, "value": self.SEED["secrets"][7]["value"]})
        self.sandbox.api("DELETE", "/secrets/deleted")
        self.sandbox.api("POST", "/secrets/inactive/deactivate")
        self.pass_(INTERVAL + 1)
        for name, (error, status) in told.items():
            with self.subTest(name):
                r = self.helper("get", name, "--offline")
                self.assertIn(r.status, (status, 6))
                self.assertEqual(r.out, b"")
                self.assert_error(error, status, "get", name)
                self.assert_error(error, status, "get", name, "--max-stale",
                                  "24h")
        self.assert_value("kept")
        self.assertEqual(self.status()["cache"]["secrets"], 1)

    def test_row_08_it_stays_gone_while_the_service_is_down(self):
        self.ok("get", "deleted", "kept")
        self.sandbox.api("DELETE", "/secrets/deleted")
        self.pass_(INTERVAL + 1)
        self.sandbox.stop()
        for _ in range(4):
            self.pass_(INTERVAL)
            r = self.helper("get", "deleted", "--max-stale", "24h")
            self.assertIn(r.status, (3, 6))
            self.assertEqual(r.out, b"")
        self.assert_value("kept", "stale")

    def test_row_08_dropped_at_once_when_a_reader_asks(self):
        self.get("gone404")
        self.sandbox.fault("*/gone404", status=404)
        self.fails(3, "get", "gone404", "--fresh")
        self.fails(3, "get", "gone404")
        self.assertEqual(self.status()["cache"]["secrets"], 0)

    def test_row_08_a_row_that_is_missing_proves_nothing(self):
        self.ok("get", "kept", "inactive")
        self.sandbox.fault("*/secrets", body={
            "secrets": [], "total": 0, "page": 1, "pageSize": 50,
            "hasMore": False})
        self.sandbox.forget()
        for _ in range(4):
            self.pass_(INTERVAL)
        self.assertGreaterEqual(self.gets(), 2)
        self.assert_value("kept")
        self.assert_value("inactive")

    def test_row_08_an_inactive_row_is_confirmed_by_a_read(self):
        self.ok("get", "kept", "marked", "deleted")
        row = {"id": "kept", "name": "kept", "version": 1, "isActive": False,
               "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None,
               "expiresAt": None}
        self.sandbox.fault("*/secrets", body={
            "secrets": [row, {**row, "id": "marked", "name": "marked"}],
            "total": 2, "page": 1, "pageSize": 50, "hasMore": False})
        for _ in range(3):
            self.pass_(INTERVAL)
        self.assert_value("kept")

    def test_row_08_what_is_back_is_found_again(self):
        self.get("inactive")
        self.sandbox.api("POST", "/secrets/inactive/deactivate")
        self.pass_(INTERVAL + 1)
        self.fails(3, "get", "inactive")
        self.sandbox.api("POST", "/secrets/inactive/activate")
        self.pass_(11)          # negative-ttl
        self.assert_value("inactive")


class Row09Unauthorized(Rows):
    """service says 401: key file re-read once; then cached reads go on for
    unauthorized-grace, then everything is wiped"""
    SEED = {"secrets": [secret("a"), secret("b")]}

    def revoke(self):
        self.sandbox.control("DELETE", "/api-keys/" + self.key)

    def other_key(self):
        other = "qapi_" + os.urandom(20).hex()
        self.private.add(other)
        self.sandbox.control("PUT", "/api-keys/" + other, {"scopes": ["*"]})
        return other

    def state(self):
        return self.status()["upstream"]["state"]

    def test_row_09_cached_reads_go_on_for_the_grace_then_all_is_wiped(self):
        v = self.get("a")
        self.revoke()
        self.pass_until(lambda: self.state() == "unauthorized",
                        "the 401 is seen")
        self.pass_(5 * MINUTE - 5)
        self.assertEqual(self.get("a"), v)
        self.pass_(6)
        self.assertEqual(self.status()["cache"]["secrets"], 0)
        self.assert_error("unauthorized", 4, "get", "a")
        self.assertEqual(self.helper("get", "a", "--offline").out, b"")

    def test_row_09_key_file_is_read_again_and_nothing_is_seen_of_it(self):
        self.get("a")
        self.write_key(self.other_key())
        self.revoke()
        for _ in range(10):
            self.pass_(MINUTE)
            self.assert_value("a")
        self.assertEqual(self.state(), "ok")
        self.get("b")

    def test_row_09_a_key_that_was_replaced_serves_the_very_next_read(self):
        self.get("a")
        self.write_key(self.other_key())
        self.revoke()
        self.assertEqual(self.get("b"),
                         self.SEED["secrets"][1]["value"].encode())

    def test_row_09_it_is_read_again_only_once_for_a_refusal(self):
        self.get("a")
        self.revoke()
        self.sandbox.forget()
        self.pass_until(lambda: self.state() == "unauthorized",
                        "the 401 is seen")
        before = self.gets()
        self.assertLessEqual(before, 3)
        self.pass_(4 * MINUTE)
        # probes, up to 15 s apart
        self.assertLessEqual(self.gets() - before, 4 * MINUTE // 12 + 6)

    def test_row_09_what_is_not_cached_is_unauthorized_at_once(self):
        self.get("a")
        self.revoke()
        self.assert_error("unauthorized", 4, "get", "b")

    def test_row_09_a_key_that_is_good_again_ends_the_grace(self):
        v = self.get("a")
        self.revoke()
        self.pass_until(lambda: self.state() == "unauthorized",
                        "the 401 is seen")
        self.pass_(2 * MINUTE)
        self.sandbox.control("PUT", "/api-keys/" + self.key,
                             {"scopes": ["*"]})
        self.pass_(20)
        self.assertEqual(self.state(), "ok")
        self.assert_value("a", "fresh")
        self.pass_(10 * MINUTE)
        self.assertEqual(self.look("a").VALUE, v)

    def test_row_09_a_key_in_the_file_during_the_grace_ends_it(self):
        self.get("a")
        self.revoke()
        self.pass_until(lambda: self.state() == "unauthorized",
                        "the 401 is seen")
        self.write_key(self.other_key())
        self.pass_(30)
        self.assertEqual(self.state(), "ok")
        self.assert_value("a", "fresh")

    def test_row_09_a_refused_key_makes_no_storm(self):
        self.get("a")
        self.revoke()
        self.fails(4, "get", "b")
        self.sandbox.forget()
        began = self.clock.boot()
        with self.wire_() as w:
            for _ in range(20):
                for _ in range(3):
                    self.assertIn(w.get(q("b"), deadline_ms=50).error,
                                  ("unauthorized", "timeout"))
                self.pass_(1)
        # a probe a second at most; who waits may bring it forward to that
        self.assertLessEqual(self.gets(), self.clock.boot() - began + 2)


class Row10Changed(Case):
    """value changed upstream: replaced as one step; a reader sees the old
    whole value or the new one"""
    AUTO = False

    def test_row_10_reader_sees_the_old_whole_value_or_the_new_one(self):
        self.start({"cache": {"refresh-interval": "100ms"}},
                   {"secrets": [{"id": "a", "name": "a",
                                 "value": "0" * 60000}]})
        stop = threading.Event()
        seen, bad = set(), []

        def read():
            with wire.Wire(self.socket) as w:
                while not stop.is_set():
                    v = w.get(q("a")).VALUE
                    if len(v) != 60000 or len(set(v)) != 1:
                        bad.append(v[:100])
                        return
                    seen.add(v[0])
        threads = [threading.Thread(target=read) for _ in range(3)]
        for t in threads:
            t.start()
        try:
            self.wait(lambda: seen, "a reader saw the first value")
            for digit in "12345":
                self.sandbox.rotate("a", digit * 60000)
                self.wait(lambda d=digit: bad or ord(d) in seen,
                          "a reader saw the new value")
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(bad, [])
        self.assertEqual(seen, set(b"012345"))

    def test_row_10_all_fields_change_together(self):
        self.start({"cache": {"refresh-interval": "100ms"}},
                   {"secrets": [{"id": "a", "name": "a", "value": "value-1",
                                 "username": "user-1", "version": 1}]})
        stop, bad = threading.Event(), []

        def read():
            with wire.Wire(self.socket) as w:
                while not stop.is_set():
                    v, u = w.get_many(q("a"), q("a") + "?field=username")
                    if v.VALUE[-1:] != u.VALUE[-1:]:
                        bad.append((v.VALUE, u.VALUE))
        t = threading.Thread(target=read)
        t.start()
        try:
            for i in range(2, 6):
                self.sandbox.set("a", value=f"value-{i}", version=i,
                                 username=f"user-{i}", updatedAt=utc(i))
                self.wait(lambda n=i: self.get("a") == b"value-%d" % n,
                          "the change is seen")
        finally:
            stop.set()
            t.join()
        self.assertEqual(bad, [])


class Row11Full(Case):
    """memory full: least useful unpinned entries go first; preload entries
    stay; a value that can never fit is too-large"""
    AUTO = False

    def test_row_11_least_useful_entries_go_first_and_the_budget_holds(self):
        n = 80
        self.start({"cache": {"max-memory": "2M"}},
                   {"secrets": [secret(f"s{i}", val=f"{i:03}" * 20000)
                                for i in range(n)]})
        with self.wire() as w:
            for i in range(n):
                self.assertEqual(w.get(q(f"s{i}")).VALUE,
                                 (f"{i:03}" * 20000).encode())
                self.assertIsNone(w.get(q("s0")).error)     # stays useful
                s = w.status()
                self.assertLessEqual(s["cache.bytes"], s["cache.maxBytes"])
            self.assertEqual(s["cache.maxBytes"], 2 << 20)
            self.assertGreaterEqual(s["cache.secrets"], 10)
            self.assertEqual(self.sandbox.reads("s0"), 1)
            self.sandbox.forget()
            self.assertIsNone(w.get(q(f"s{n - 1}")).error)
            self.assertEqual(self.sandbox.total, 0)
            w.get(q("s1"))
            self.assertEqual(self.sandbox.reads("s1"), 1)

    def test_row_11_preload_entries_stay(self):
        n = 60
        self.start({"cache": {"max-memory": "1M", "preload": "keep,s0"}},
                   {"secrets": [secret("kept-id", "keep", "k" * 20000)] +
                    [secret(f"s{i}", val="x" * 60000) for i in range(n)]})
        with self.wire() as w:
            for i in range(n):
                self.assertIsNone(w.get(q(f"s{i}")).error)
            self.sandbox.forget()
            self.assertEqual(w.get(q("keep")).VALUE, b"k" * 20000)
            self.assertIsNone(w.get(q("s0")).error)
        self.assertEqual(self.sandbox.total, 0)

    def test_row_11_value_that_can_never_fit_is_too_large(self):
        self.start({"cache": {"max-memory": "1M"}},
                   {"secrets": [secret("big", val="x" * (2 << 20)),
                                secret("a")]})
        v = self.get("a")
        self.assert_error("too-large", 1, "get", "big")
        self.fails(1, "get", "big")
        self.sandbox.forget()
        self.assertEqual(self.get("a"), v)
        self.assertEqual(self.sandbox.reads("a"), 0)

    def test_row_11_large_value_that_fits_is_served(self):
        self.start({"cache": {"max-memory": "24M"}},
                   {"secrets": [secret("big", val="y" * (8 << 20))]})
        self.assertEqual(self.get("big"), b"y" * (8 << 20))
        self.assertEqual(self.get("big"), b"y" * (8 << 20))
        self.assertEqual(self.sandbox.reads("big"), 1)


class Row12Restart(Rows):
    """agent restarts, service down: with a state-file the same answers as
    before, same expiresAt and max-stale rules, age counted across the
    restart"""
    AUTO = False

    def begin(self, **cache):
        self.state = os.path.join(self.run_dir, "..", "state")
        self.CONF = {**self.CONF, "cache": {
            "refresh-interval": None, "state-file": self.state, **cache}}
        self.start(None, {"secrets": [
            secret("a", "db/a", expiresAt=self.clock.utc(HOUR)),
            secret("b"), secret("c")]})
        if "state-file= is not available" in self.agent.log():
            self.skipTest("this version has no state-file")
        self.a, self.b = (s["value"] for s in
                          self.sandbox.seed["secrets"][:2])
        self.ok("get", "db/a", "b")

    def again(self, down_for=0, step=0):
        """A clean stop, the service goes, time passes, a new start."""
        self.assertEqual(self.agent.stop(), 0)
        if self.sandbox.proc is not None:
            self.sandbox.stop()
        self.clock.suspend(down_for)
        self.clock.step_wall(step)
        self.start_agent()

    def test_row_12_same_answers_by_name_and_id(self):
        self.begin()
        self.pass_(20)
        self.again()
        self.assert_values()
        self.assertGreaterEqual(self.get_json("b")["ageSeconds"], 19)
        self.assertEqual(self.get_json("db/a")["id"], "a")
        self.assertEqual(self.helper("get", "c").status, 6)

    def assert_values(self):
        for name, v in (("db/a", self.a), ("a", self.a), ("b", self.b)):
            self.assertEqual(self.get(name), v.encode())

    def test_row_12_age_is_counted_across_it_and_max_stale_holds(self):
        self.begin(**{"max-stale": "10h"})
        self.again(5 * HOUR)
        self.pass_(20)      # a refresh has failed
        o = self.assert_value("b", "stale", self.b)
        self.assertGreaterEqual(o["ageSeconds"], 5 * HOUR)
        self.assertLess(o["ageSeconds"], 5 * HOUR + 10 * MINUTE)
        self.again(4 * HOUR + 50 * MINUTE)
        self.pass_(20)
        self.assert_value("b", "stale", self.b)
        self.pass_(10 * MINUTE)
        self.fails(6, "get", "b")
        self.again()
        self.pass_(20)
        self.fails(6, "get", "b")

    def test_row_12_expired_in_the_meantime(self):
        self.begin()
        self.again(HOUR - 30)
        self.assertEqual(self.get("db/a"), self.a.encode())
        self.again(31)
        self.fails(8, "get", "a")
        self.assertEqual(self.get("b"), self.b.encode())

    def test_row_12_no_step_in_the_meantime_makes_it_valid_again(self):
        self.begin()
        self.sandbox.stop()
        self.pass_(HOUR + 1)
        self.fails(8, "get", "a")
        self.again(10, -3 * HOUR)
        self.fails(8, "get", "a")
        self.fails(8, "get", "db/a", "--offline")

    def test_row_12_nor_one_that_was_undone_before(self):
        self.begin()
        self.sandbox.stop()
        self.clock.step_wall(2 * HOUR)
        self.fails(8, "get", "a")
        self.clock.step_wall(-2 * HOUR)
        self.fails(8, "get", "a")
        self.again()
        self.fails(8, "get", "a")

    def test_row_12_gone_stays_gone(self):
        self.begin()
        self.sandbox.api("DELETE", "/secrets/b")
        self.pass_(INTERVAL + 3)
        self.again()
        r = self.helper("get", "b")
        self.assertIn(r.status, (3, 6))
        self.assertEqual(r.out, b"")

    def test_row_12_written_soon_after_a_change_whatever_ends_the_agent(self):
        self.begin()
        new = value("rotated")
        self.note_private(new)
        self.sandbox.set("b", value=new, version=2)
        self.get("b", "--fresh")
        # a write may be under way, of what was there before; the next comes
        # 2 s later at most
        for _ in range(2):
            written = self.written()
            more = value("c")
            self.note_private(more)
            self.sandbox.set("c", value=more)
            self.get("c", "--fresh")
            self.pass_(3)
            self.wait(lambda w=written: self.written() > w, "it is written")
        self.agent.kill()
        self.expected_status[self.agent] = -9
        self.agent.status_code = -9
        self.sandbox.stop()
        self.start_agent()
        self.assertEqual(self.get("b"), new.encode())

    def written(self):
        """When the state was written last; 0: never."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.state).st_mtime_ns
        return 0

    def test_row_12_wiped_by_401_stays_wiped(self):
        self.begin(**{"unauthorized-grace": "1m"})
        self.sandbox.control("DELETE", "/api-keys/" + self.key)
        self.pass_(INTERVAL + 90)
        self.again()
        r = self.helper("get", "b")
        self.assertNotEqual(r.status, 0)
        self.assertEqual(r.out, b"")

    def test_row_12_without_a_state_file_it_starts_cold(self):
        self.begin(**{"state-file": None})
        self.again()
        self.fails(6, "get", "b")


class Row13Clock(Rows):
    """clock stepped back or forward: ages use the boot clock across suspend;
    expiry uses wall time; a step never makes an expired value valid again"""
    AUTO = False

    def begin(self, expires_in=HOUR, **cache):
        self.start({"cache": cache},
                   {"secrets": [
                       secret("a", expiresAt=self.clock.utc(expires_in)),
                       secret("b")]})
        self.ok("get", "a", "b")

    def test_row_13_ages_do_not_follow_the_wall_clock(self):
        self.begin(10 * DAY)
        self.pass_(20)
        for step in (3 * HOUR, -6 * HOUR, -100 * DAY, 100 * DAY + 3 * HOUR):
            self.clock.step_wall(step)
            f = self.look("b")
            self.assertEqual(f.freshness, "fresh")
            self.assertLess(f.AGE_MS, INTERVAL * 1000)
        self.sandbox.stop()
        self.pass_(INTERVAL + 20)
        self.clock.step_wall(-2 * DAY)
        self.assertGreater(self.assert_value("b", "stale")["ageSeconds"], 15)
        self.clock.step_wall(2 * DAY)
        self.assertLess(self.assert_value("b", "stale")["ageSeconds"], HOUR)

    def test_row_13_ages_count_suspend(self):
        self.begin(10 * DAY)
        self.sandbox.stop()
        self.clock.suspend(HOUR)
        self.pass_(20)
        # the refresh that was due in the meantime has failed
        o = self.assert_value("b", "stale")
        self.assertGreaterEqual(o["ageSeconds"], HOUR)
        self.clock.suspend(DAY)
        self.fails(6, "get", "b")

    def test_row_13_refreshed_soon_after_suspend(self):
        self.begin(10 * DAY)
        new = value("rotated")
        self.sandbox.rotate("b", new)
        self.clock.suspend(HOUR)
        self.pass_(10)
        self.assertEqual(self.look("b").VALUE, new.encode())

    def test_row_13_expired_during_suspend(self):
        self.begin()
        self.sandbox.fault("*", status=500)
        self.clock.suspend(HOUR + 1)
        self.fails(8, "get", "a", "--offline")
        self.fails(8, "get", "a")

    def test_row_13_a_step_forward_past_it_expires_it_at_once(self):
        self.begin()
        self.clock.step_wall(2 * HOUR)
        self.fails(8, "get", "a", "--offline")
        self.fails(8, "get", "a")

    def test_row_13_a_step_back_makes_no_expired_value_valid_again(self):
        self.begin()
        self.pass_(HOUR + 1)
        self.fails(8, "get", "a")
        for step in (-HOUR // 2, -DAY, -40 * 365 * DAY):
            self.clock.step_wall(step)
            self.fails(8, "get", "a")
            self.fails(8, "get", "a", "--offline")
            self.pass_(INTERVAL)
            self.fails(8, "get", "a")

    def test_row_13_nor_does_one_that_undoes_a_step_forward(self):
        """Only a newer value does, or another expiresAt."""
        self.begin()
        self.clock.step_wall(2 * HOUR)
        self.fails(8, "get", "a")
        self.clock.step_wall(-2 * HOUR)
        for _ in range(3):
            self.fails(8, "get", "a")
            self.pass_(INTERVAL)    # and it was read again meanwhile
        self.sandbox.set("a", value="renewed", version=2,
                         expiresAt=self.clock.utc(HOUR))
        self.pass_(INTERVAL)
        self.assert_value("a", "fresh", "renewed")

    def test_row_13_nor_if_nobody_looked_while_it_was_expired(self):
        self.begin()
        self.sandbox.stop()
        self.clock.suspend(HOUR + 1)
        self.clock.step_wall(-2 * HOUR)
        self.fails(8, "get", "a", "--offline")

    def test_row_13_a_clock_that_is_late_does_not_prolong_it(self):
        """Set back before it expires: once the time has passed all the
        same, it is expired; the service's Date and the boot clock tell."""
        self.begin()
        self.clock.step_wall(-3 * HOUR)
        self.pass_(HOUR - 5)
        self.sandbox.stop()
        self.pass_(10)
        self.fails(8, "get", "a", "--offline")
        self.fails(8, "get", "a")

    def test_row_13_serve_expired_is_not_prolonged_by_a_step(self):
        self.begin(**{"serve-expired": "10m"})
        self.sandbox.stop()
        self.pass_(HOUR + 5 * MINUTE)
        self.assert_value("a", "expired")
        self.clock.step_wall(-30 * MINUTE)
        self.assert_value("a", "expired")
        self.pass_(5 * MINUTE + 1)
        self.fails(8, "get", "a")

    def test_row_13_refresh_lead_follows_a_step(self):
        self.begin(3 * HOUR, **{"refresh-interval": "300d",
                                "idle-evict": "300d"})
        self.sandbox.forget()
        self.pass_(5)
        self.assertEqual(self.gets(), 0)
        self.clock.step_wall(3 * HOUR - 30)
        self.pass_(2)
        self.assertGreaterEqual(self.gets(), 1)


class Row13Boot1970(Rows):
    """A machine that boots in 1970: an expiry cannot be judged then."""
    AUTO = False
    WALL = 1000.0

    def test_row_13_1970_the_date_of_the_service_judges(self):
        self.start(None, {"secrets": [
            secret("good", expiresAt=utc(HOUR)),
            secret("bad", expiresAt=utc(-HOUR)), secret("plain")]})
        self.assert_value("plain")
        self.assert_value("good")
        self.fails(8, "get", "bad")
        # and goes on with the boot clock
        self.pass_(HOUR - 5)
        self.sandbox.stop()
        self.pass_(10)
        self.fails(8, "get", "good")

    def test_row_13_1970_withheld_until_the_clock_can_be_judged(self):
        self.start_sandbox({"secrets": [
            secret("good", expiresAt=utc(HOUR)), secret("plain")]})
        # byte by byte, the sandbox sends no Date
        self.sandbox.fault("*", action="slow", latencyMs=0)
        self.start_agent()
        self.assert_value("plain")
        self.assert_error("expired", 8, "get", "good")
        self.fails(8, "get", "good", "--offline")
        self.clock.set_wall(time.time() + self.clock.passed_ms / 1000)
        self.assert_value("good")
        self.assert_value("plain")

    def test_row_13_1970_ntp_comes_later(self):
        self.start(None, {"secrets": [
            secret("good", expiresAt=utc(HOUR)),
            secret("short", expiresAt=utc(2 * MINUTE)), secret("plain")]})
        self.ok("get", "good", "short", "plain")
        self.pass_(MINUTE)
        self.clock.set_wall(time.time() + self.clock.passed_ms / 1000)
        for name in ("good", "plain", "short"):
            self.assert_value(name)
        self.sandbox.stop()
        self.pass_(MINUTE + 5)
        self.fails(8, "get", "short", "--offline")
        self.get("good", "--offline")


if __name__ == "__main__":
    harness.main()
