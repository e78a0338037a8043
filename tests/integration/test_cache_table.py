#!/usr/bin/env python3
"""What the cache promises: the rows of section 6 of the contract."""

import json
import os
import re
import threading
import time
import unittest

import harness
import wire
from harness import Case, at_once, ref, secret, utc, value

SHORT = {"cache": {"refresh-interval": "300ms", "negative-ttl": "300ms"}}


def q(name):
    return "qapi://secrets/" + name


class Fresh(Case):
    """Entry fetched less than refresh-interval ago, not near expiry."""
    SEED = {"secrets": [secret("a"), secret("b", expiresAt=utc(86400))]}

    def test_second_read_makes_no_request_and_is_fresh(self):
        for name in ("a", "b"):
            self.assertEqual(self.get_json(name)["freshness"], "fresh")
            self.sandbox.forget()
            for _ in range(5):
                o = self.get_json(name)
                self.assertEqual(o["freshness"], "fresh")
            self.assertEqual(self.sandbox.total, 0)

    def test_cached_read_makes_no_request_by_id_name_or_field(self):
        self.get("a")
        self.get(ref("a", field="name"))
        self.sandbox.forget()
        with self.wire() as w:
            for r in (q("a"), q("a") + "?field=id", q("a") + "?field=name"):
                self.assertIsNone(w.get(r).error)
        self.assertEqual(self.sandbox.total, 0)

    def test_list_is_cached_too(self):
        self.ok("list")
        self.sandbox.forget()
        self.ok("list", "secrets")
        self.get("a")
        self.assertEqual(self.sandbox.listings, 0)

    def test_age_counts_from_the_fetch(self):
        with self.wire() as w:
            first = w.get(q("a"))
            self.assertLess(first.AGE_MS, 5000)
            began = time.monotonic()
            self.wait(lambda: w.get(q("a")).AGE_MS >= 300,
                      "the value is 300 ms old")
            self.assertGreater(time.monotonic() - began, 0.2)


class Due(Case):
    """Refresh due."""
    SEED = {"secrets": [secret("a"), secret("b")]}
    CONF = SHORT

    def test_refresh_happens_without_anyone_reading(self):
        self.get("a")
        new = value("rotated")
        self.sandbox.rotate("a", new)
        with self.wire() as w:
            # Only looks at the cache, so it does not cause the refresh.
            self.wait(lambda: w.get(q("a"), terms=wire.ONLY_IF_CACHED).VALUE
                      == new.encode(), "the value was refreshed")

    def test_idle_refresh_needs_no_reader_at_all(self):
        self.get("a")
        self.sandbox.forget()
        self.wait(lambda: self.sandbox.total >= 3, "three requests were made")

    def test_refresh_in_flight_does_not_delay_readers_and_they_get_fresh(
            self):
        old = self.get("a")
        slow = self.sandbox.fault("*", latencyMs=2000)
        new = value("rotated")
        self.sandbox.rotate("a", new)   # answered late, but done at once
        self.wait(lambda: self.sandbox.hits(slow) >= 2,
                  "a refresh is under way")
        began = time.monotonic()
        o = self.get_json("a")
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual((o["value"].encode(), o["freshness"]),
                         (old, "fresh"))
        self.wait(lambda: self.get("a") == new.encode(),
                  "the refresh has come back")

    def test_one_refresh_runs_however_many_readers_ask(self):
        self.get("a")
        # Nobody may be asked meanwhile by the listing either.
        self.sandbox.forget()
        hang = self.sandbox.fault("*", action="hang")
        self.wait(lambda: self.sandbox.hits(hang) >= 1,
                  "a refresh is under way")
        at_once(30, lambda i: self.wire().get(q("a")))
        self.assertLessEqual(self.sandbox.total, 2)
        self.sandbox.clear()

    def test_fresh_until_a_due_refresh_has_failed_and_then_stale(self):
        self.get("a")
        hang = self.sandbox.fault("*", action="hang")
        self.wait(lambda: self.sandbox.hits(hang) >= 1,
                  "a refresh is under way")
        with self.wire() as w:
            f = w.get(q("a"))
            self.wait(lambda: w.get(q("a")).AGE_MS > 600,
                      "it is two intervals old")
            f = w.get(q("a"))
            self.assertEqual(f.freshness, "fresh")
        self.sandbox.stop()
        self.wait_freshness("a", "stale")

    def test_idle_evict_ends_the_refreshes(self):
        self.restart_agent({"cache": {"refresh-interval": "200ms",
                                      "idle-evict": "1s"}})
        self.get("a")
        with self.wire() as w:
            self.wait(lambda: w.status()["cache.secrets"] == 0,
                      "the idle entry was dropped")
        self.sandbox.forget()
        self.get("a")
        self.assertEqual(self.sandbox.reads("a"), 1)


class Cold(Case):
    """Not cached: one fetch, shared by all who ask meanwhile."""
    SEED = {"secrets": [secret(f"s{i}") for i in range(8)]}

    def test_100_parallel_cold_reads_make_exactly_one_get(self):
        wires = [self.wire() for _ in range(100)]
        self.sandbox.fault("*/secrets/s0", latencyMs=300)
        got = at_once(100, lambda i: wires[i].get(q("s0")))
        self.assertEqual({f.VALUE for f in got},
                         {self.SEED["secrets"][0]["value"].encode()})
        self.assertEqual({f.freshness for f in got}, {"fresh"})
        self.assertEqual(self.sandbox.reads("s0"), 1)

    def test_parallel_cold_helpers_make_one_get_each_secret(self):
        self.sandbox.fault("*", latencyMs=300)
        at_once(24, lambda i: self.get(f"s{i % 4}"))
        for i in range(4):
            self.assertEqual(self.sandbox.reads(f"s{i}"), 1)
        self.assertLessEqual(self.sandbox.listings, 1)

    def test_each_waits_at_most_its_own_timeout(self):
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

    def test_fetch_goes_on_when_the_one_who_asked_has_left(self):
        self.sandbox.fault("*/secrets/s0", latencyMs=500)
        with self.wire() as w:
            w.send_get(q("s0"))
            self.wait(lambda: self.sandbox.reads("s0") == 1,
                      "the fetch is under way")
        with self.wire() as w:
            self.wait(lambda: w.get(q("s0"), terms=wire.ONLY_IF_CACHED).VALUE,
                      "the value is cached")
        self.assertEqual(self.sandbox.reads("s0"), 1)

    def test_max_in_flight_bounds_what_is_under_way(self):
        self.restart_agent({"upstream": {"max-in-flight": "2"}})
        self.sandbox.fault("*/secrets/s*", latencyMs=150)
        with self.wire() as w:
            got = w.get_many(*[q(f"s{i}") for i in range(8)])
        self.assertTrue(all(f.VALUE for f in got))
        # this one included, and those that close
        self.assertLessEqual(
            self.sandbox.control("GET", "/connections")["open"], 4)


class ManyDue(Case):
    """Many refreshes due: the listing revalidates."""
    AUTO = False

    def seed(self, n):
        return {"secrets": [secret(f"s{i:04}", val=f"value-{i:04}-xyz")
                            for i in range(n)]}

    def read_all(self, n):
        with self.wire() as w:
            for i in range(0, n, 250):
                got = w.get_many(*[q(f"s{j:04}")
                                   for j in range(i, min(n, i + 250))],
                                 timeout=60)
                self.assertEqual([f.error for f in got], [None] * len(got))

    def test_1000_idle_secrets_cost_about_5_requests_an_interval(self):
        self.start({"cache": {"refresh-interval": "2s"}}, self.seed(1000))
        self.read_all(1000)
        with self.wire() as w:
            def intervals(n):
                """Wait until the oldest entry was confirmed n times."""
                for _ in range(n):
                    self.wait(lambda: w.get(
                        q("s0500"), terms=wire.ONLY_IF_CACHED).AGE_MS > 1200,
                        "it ages")
                    self.wait(lambda: w.get(
                        q("s0500"), terms=wire.ONLY_IF_CACHED).AGE_MS < 1000,
                        "it is confirmed")
            intervals(1)
            self.sandbox.forget()
            began = time.monotonic()
            intervals(3)
            took = time.monotonic() - began
            total = self.sandbox.total
        reads = sum(n for p, n in self.sandbox.requests().items()
                    if re.search(r"/secrets/s\d", p))
        self.assertLessEqual(total / (took / 2), 11,
                             f"{total} requests in {took:.1f} s")
        self.assertLessEqual(reads, 20)

    def test_only_those_that_changed_are_fetched(self):
        self.start({"cache": {"refresh-interval": "1s"}}, self.seed(300))
        self.read_all(300)
        self.sandbox.forget()
        new = value("rotated")
        self.sandbox.rotate("s0123", new)
        self.wait(lambda: self.get("s0123") == new.encode(),
                  "the new value is there")
        reads = {p: n for p, n in self.sandbox.requests().items()
                 if p.startswith("GET ") and re.search(r"/secrets/s\d", p)}
        self.assertEqual(reads.pop("GET /api/v1/secrets/s0123"), 1)
        self.assertLessEqual(sum(reads.values()), 10, reads)

    def test_change_that_only_the_listing_shows_is_enough(self):
        """updatedAt is null on a fresh version; version alone differs."""
        self.start({"cache": {"refresh-interval": "500ms"}}, self.seed(50))
        self.read_all(50)
        self.sandbox.set("s0007", value="patched-notes-0007", version=2)
        self.wait(lambda: self.get("s0007") == b"patched-notes-0007",
                  "the version is seen to differ")

    def test_every_reread_interval_each_is_read_by_id_all_the_same(self):
        self.start({"cache": {"refresh-interval": "300ms",
                              "reread-interval": "1s"}}, self.seed(20))
        self.read_all(20)
        # A change that no row shows: the same version, no updatedAt.
        self.sandbox.set("s0011", value="silently-changed", version=1)
        self.wait(lambda: self.get("s0011") == b"silently-changed",
                  "each was read by its id again")
        self.wait(lambda: all(self.sandbox.reads(f"s{i:04}") >= 2
                              for i in range(20)), "all were read again")


class Down(Case):
    """Service down, 5xx, 429, timeouts, wrong answers: stale."""
    SEED = {"secrets": [secret("a", "db/a"), secret("b")]}
    CONF = {"cache": {"refresh-interval": "300ms", "negative-ttl": "300ms"},
            "upstream": {"request-timeout": "700ms"}}

    def stale_by(self, **fault):
        v = self.get("db/a")
        self.sandbox.fault("*", **fault)
        o = self.wait_freshness("db/a", "stale")
        self.assertEqual(o["value"].encode(), v)
        # It says its age, and the age grows.
        with self.wire() as w:
            age = w.get(q("db/a")).AGE_MS
            self.assertGreaterEqual(age, 150)
            self.wait(lambda: w.get(q("db/a")).AGE_MS > age + 300,
                      "the age grows")
            self.assertEqual(w.get(q("db/a")).freshness, "stale")
        self.sandbox.clear()
        began = time.monotonic()
        self.wait_freshness("db/a", "fresh", 20)
        self.assertLess(time.monotonic() - began, 20)

    def test_500_gives_stale(self):
        self.stale_by(status=500)

    def test_503_with_retry_after_gives_stale(self):
        self.stale_by(status=503, retryAfter=1)

    def test_429_gives_stale(self):
        self.stale_by(status=429, retryAfter=1)

    def test_429_without_retry_after_gives_stale(self):
        self.stale_by(status=429)

    def test_timeout_gives_stale(self):
        self.stale_by(action="hang")

    def test_slow_body_gives_stale(self):
        self.stale_by(action="slow", latencyMs=200)

    def test_dropped_connection_gives_stale(self):
        self.stale_by(action="drop")

    def test_truncated_answer_gives_stale(self):
        self.stale_by(action="truncate")

    def test_garbage_gives_stale(self):
        self.stale_by(action="garbage")

    def test_html_gives_stale(self):
        self.stale_by(body="<html>maintenance</html>",
                      contentType="text/html")

    def test_redirect_gives_stale(self):
        self.stale_by(action="redirect")

    def test_empty_answer_gives_stale(self):
        self.stale_by(body="")

    def read_by_id(self, body):
        """The listing is down, so that it is read by its id."""
        v = self.get("db/a")
        self.sandbox.fault("*/secrets", status=500)
        self.sandbox.fault("*/secrets/a", body=body)
        o = self.wait_freshness("db/a", "stale")
        self.assertEqual(o["value"].encode(), v)

    def test_answer_with_another_id_gives_stale(self):
        self.note_private("value-of-another")
        self.read_by_id({"id": "b", "name": "db/a", "version": 1,
                         "isActive": True, "value": "value-of-another"})

    def test_answer_without_a_value_gives_stale(self):
        self.read_by_id({"id": "a", "name": "db/a", "version": 2,
                         "isActive": True})

    def test_answer_whose_value_is_no_string_gives_stale(self):
        self.read_by_id({"id": "a", "name": "db/a", "version": 2,
                         "isActive": True, "value": None})

    def test_stopped_service_gives_stale_and_its_return_fresh(self):
        v = self.get("b")
        self.sandbox.stop()
        self.wait_freshness("b", "stale")
        self.sandbox.seed["secrets"][1].update(value=value("b2"), version=2)
        new = self.sandbox.seed["secrets"][1]["value"].encode()
        self.note_private(new.decode())
        self.sandbox.start()
        self.wait(lambda: self.get("b") == new,
                  "the new value within 20 s", 20)
        self.assertEqual(self.get_json("b")["freshness"], "fresh")
        self.assertNotEqual(v, new)

    def test_until_max_stale_after_the_last_success_then_unavailable(self):
        self.restart_agent({"cache": {"max-stale": "1500ms"}})
        self.get("b")
        self.sandbox.stop()
        self.wait_freshness("b", "stale")
        began = time.monotonic()
        last_age = 0
        while True:
            with self.wire() as w:
                f = w.get(q("b"))
            if f.error:
                break
            last_age = f.AGE_MS
            self.assertLess(time.monotonic() - began, 15)
            time.sleep(0.02)
        self.assertEqual(f.error, "upstream-unavailable")
        self.assertGreater(last_age, 1100)
        self.assertLessEqual(last_age, 1500)
        self.assert_error("upstream-unavailable", 6, "get", "b")

    def test_not_cached_while_down_is_unavailable(self):
        self.get("db/a")
        self.sandbox.stop()
        self.wait_freshness("db/a", "stale")
        began = time.monotonic()
        self.fails(6, "get", "b")
        self.assertLess(time.monotonic() - began, 5)

    def test_status_says_that_the_service_is_down_and_counts_the_stale(self):
        self.get("b")
        s = self.status()
        self.assertEqual(s["upstream"]["state"], "ok")
        self.assertEqual(s["upstream"]["breaker"], "closed")
        self.sandbox.stop()
        self.wait_freshness("b", "stale")
        self.wait(lambda: self.status()["upstream"]["state"] == "down",
                  "the state is down")
        self.wait(lambda: self.status()["upstream"]["breaker"] in
                  ("open", "half-open"), "the breaker is open")
        self.assertGreaterEqual(self.status()["cache"]["stale"], 1)
        self.sandbox.start()
        self.wait(lambda: self.status()["upstream"]["state"] == "ok",
                  "the state is ok", 20)
        self.wait(lambda: self.status()["upstream"]["breaker"] == "closed",
                  "the breaker is closed", 20)

    def test_breaker_sends_single_probes_to_a_dead_service(self):
        self.ok("get", "db/a", "b")
        self.sandbox.fault("*", status=500)
        self.wait(lambda: self.status()["upstream"]["breaker"] == "open",
                  "the breaker is open")
        self.sandbox.forget()
        began = time.monotonic()
        while time.monotonic() - began < 3:
            self.helper("get", "db/a")
            self.helper("get", "never-seen", "--timeout", "200ms")
        # at most one probe a second, none of the 0.3 s refreshes
        self.assertLessEqual(self.sandbox.total, 5)
        self.assertGreaterEqual(self.sandbox.total, 1)

    def test_429_holds_for_the_whole_key_until_retry_after(self):
        self.ok("get", "db/a", "b")
        self.sandbox.forget()
        self.sandbox.fault("*", status=429, retryAfter=3, times=1)
        self.wait(lambda: self.sandbox.total >= 1, "the 429 was given")
        began = time.monotonic()
        # Other secrets and the listing hold too.
        while time.monotonic() - began < 2.2:
            self.helper("get", "db/a", "b")
            self.helper("get", "another", "--timeout", "100ms")
            self.assertEqual(self.sandbox.total, 1)
        self.wait(lambda: self.sandbox.total > 1, "it goes on after that", 10)
        self.assertGreater(time.monotonic() - began, 2.5)
        self.wait_freshness("b", "fresh")


class Expiry(Case):
    """expiresAt ahead, and passed."""
    AUTO = False

    def begin(self, expires_in, **cache):
        self.start({"cache": {"refresh-interval": "1h", **cache}},
                   {"secrets": [secret("a", expiresAt=utc(expires_in)),
                                secret("b")]})

    def test_refreshed_refresh_lead_before_it(self):
        self.begin(4, **{"refresh-lead": "2s"})
        began = time.monotonic()
        self.get("a")
        self.sandbox.forget()
        self.sandbox.set("a", expiresAt=utc(7200))
        self.wait(lambda: self.sandbox.total >= 1, "it is refreshed")
        # with jitter, but before it has passed
        self.assertLess(time.monotonic() - began, 4.1)
        self.assertGreater(time.monotonic() - began, 0.5)
        self.wait(lambda: self.get_json("a")["expiresAt"] ==
                  self.sandbox_expiry("a"), "the new expiry is known")
        self.assertEqual(self.get_json("a")["freshness"], "fresh")

    def sandbox_expiry(self, name):
        got = self.sandbox.api("GET", f"/secrets/{name}?include=all")
        return got["expiresAt"]

    def test_expired_once_it_has_passed_and_again_at_it_then_backoff(self):
        self.begin(1.5, **{"refresh-lead": "100ms"})
        v = self.get("a")
        self.wait(lambda: self.helper("get", "a").status == 8,
                  "it is expired")
        self.assert_error("expired", 8, "get", "a")
        # Not one value after the first `expired`.
        for _ in range(10):
            self.fails(8, "get", "a")
        new = value("renewed")
        self.note_private(new)
        self.sandbox.set("a", value=new, version=2, expiresAt=utc(3600))
        self.wait(lambda: self.helper("get", "a").out == new.encode(),
                  "the newer value is found", 20)
        self.assertNotEqual(v, new.encode())

    def test_expired_value_is_never_served_while_the_service_is_down(self):
        self.begin(1.5, **{"refresh-lead": "100ms", "max-stale": "1h"})
        self.get("a")
        self.sandbox.stop()
        codes = set()

        def look():
            r = self.helper("get", "a", "--json")
            codes.add(r.status)
            if r.status == 0:
                o = json.loads(r.out)
                self.assertIn(o["freshness"], ("fresh", "stale"))
                return False
            return True
        self.wait(look, "it has expired")
        self.assertEqual(codes, {0, 8})
        self.fails(8, "get", "a")
        self.fails(8, "get", "a", "--offline")

    def test_fresh_is_unavailable_while_down_whatever_is_cached(self):
        """`get --fresh` never falls back: 6 while the service is down."""
        self.begin(1, **{"refresh-lead": "100ms"})
        self.get("a")
        self.sandbox.stop()
        self.wait(lambda: self.helper("get", "a").status == 8, "expired")
        self.fails(6, "get", "a", "--fresh")

    def test_cold_read_of_an_expired_secret_is_expired(self):
        self.start(None, {"secrets": [secret("a", expiresAt=utc(-60))]})
        self.fails(8, "get", "a")
        self.assert_error("expired", 8, "get", "a")
        # and is not asked again for each read
        reads = self.sandbox.reads("a")
        for _ in range(5):
            self.fails(8, "get", "a")
        self.assertLessEqual(self.sandbox.reads("a"), reads + 1)

    def test_serve_expired_allows_a_grace_marked_as_expired(self):
        self.begin(1, **{"refresh-lead": "100ms", "serve-expired": "2s"})
        v = self.get("a")
        o = self.wait_freshness("a", "expired")
        self.assertEqual(o["value"].encode(), v)
        self.wait(lambda: self.helper("get", "a").status == 8,
                  "the grace is over", 10)

    def test_expiry_that_was_moved_ahead_upstream_is_respected(self):
        self.begin(7200)
        self.get("a")
        self.sandbox.set("a", expiresAt=utc(-1), updatedAt=utc(0))
        self.helper("refresh", "a")
        self.fails(8, "get", "a")

    def test_secret_without_expiry_is_untouched(self):
        self.begin(1)
        self.ok("get", "a", "b")
        self.wait(lambda: self.helper("get", "a").status == 8, "a expired")
        self.get("b")


class Gone(Case):
    """Service says 404/410 for it, or 403; or inactive."""
    SEED = {"secrets": [secret("a", "db/a"), secret("b")]}
    CONF = SHORT

    def gone_by(self, act, name="not-found", status=3):
        self.get("db/a")
        self.get("b")
        act()
        self.wait(lambda: self.helper("get", "db/a").status == status,
                  "it is gone")
        self.assert_error(name, status, "get", "db/a")
        self.assert_error(name, status, "get", "a")
        # The other is still there, and nothing comes back.
        self.get("b")
        for _ in range(5):
            self.assertEqual(self.helper("get", "db/a").status, status)
        # 6: the refusal itself is no longer held
        r = self.helper("get", "a", "--offline")
        self.assertIn(r.status, (status, 6))
        self.assertEqual(r.out, b"")

    def test_deleted_secret_is_dropped(self):
        self.gone_by(lambda: self.sandbox.api("DELETE", "/secrets/a"))
        self.assertEqual(self.status()["cache"]["secrets"], 1)

    def test_deactivated_secret_is_dropped(self):
        self.gone_by(lambda: self.sandbox.api(
            "POST", "/secrets/a/deactivate"))

    def test_reactivated_secret_comes_back(self):
        self.gone_by(lambda: self.sandbox.api(
            "POST", "/secrets/a/deactivate"))
        self.sandbox.api("POST", "/secrets/a/activate")
        self.wait(lambda: self.helper("get", "db/a").status == 0,
                  "it is back")

    def by_id(self, status, **more):
        """Read by id: the listing answers nothing."""
        self.sandbox.fault("*/secrets", status=500)
        self.sandbox.fault("*/secrets/a", status=status, **more)

    def test_404_drops_it(self):
        self.gone_by(lambda: self.by_id(404))

    def test_410_drops_it(self):
        self.gone_by(lambda: self.by_id(410))

    def test_403_drops_it(self):
        self.gone_by(lambda: self.by_id(403, error="forbidden"),
                     "denied", 4)

    def test_409_drops_it(self):
        self.gone_by(lambda: self.by_id(409), "denied", 4)

    def test_403_insufficient_scope_drops_it(self):
        self.gone_by(lambda: self.by_id(403, error="insufficient_scope"),
                     "insufficient-scope", 4)

    def test_200_with_is_active_false_drops_it(self):
        def act():
            self.sandbox.fault("*/secrets", status=500)
            self.sandbox.fault("*/secrets/a", body={
                "id": "a", "name": "db/a", "version": 1, "isActive": False,
                "value": self.SEED["secrets"][0]["value"]})
        self.gone_by(act)

    def test_row_that_is_missing_proves_nothing(self):
        self.get("db/a")
        row = {"id": "b", "name": "b", "version": 1, "isActive": True,
               "createdAt": "2026-01-01T00:00:00Z"}
        self.sandbox.fault("*/secrets", body={
            "secrets": [row], "total": 1, "page": 1, "pageSize": 50,
            "hasMore": False})
        self.sandbox.forget()
        self.wait(lambda: self.sandbox.listings >= 2 or
                  self.sandbox.reads("a") >= 2, "it was looked at twice")
        self.assertEqual(self.get_json("a")["freshness"], "fresh")

    def test_gone_while_others_cannot_be_asked_stays_gone(self):
        """A secret is never served after the service said it is gone."""
        self.gone_by(lambda: self.sandbox.api("DELETE", "/secrets/a"))
        self.sandbox.stop()
        self.wait_freshness("b", "stale")
        for _ in range(5):
            r = self.helper("get", "a", "--max-stale", "1h")
            self.assertIn(r.status, (3, 6))
            self.assertEqual(r.out, b"")


class Unauthorized(Case):
    """Service says 401."""
    SEED = {"secrets": [secret("a"), secret("b")]}
    CONF = {"cache": {"refresh-interval": "300ms",
                      "unauthorized-grace": "2s"}}

    def revoke(self):
        self.sandbox.control("DELETE", "/api-keys/" + self.key)

    def test_key_file_is_read_again_once(self):
        self.get("a")
        other = "qapi_" + os.urandom(20).hex()
        self.private.add(other)
        self.sandbox.control("PUT", "/api-keys/" + other, {"scopes": ["*"]})
        self.write_key(other)
        self.revoke()
        self.sandbox.forget()
        # Nothing is seen of it.
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            self.assertEqual(self.get_json("a")["freshness"], "fresh")
            time.sleep(0.02)
        self.get("b")
        self.assertEqual(self.status()["upstream"]["state"], "ok")

    def test_cold_read_with_a_replaced_key_succeeds(self):
        other = "qapi_" + os.urandom(20).hex()
        self.private.add(other)
        self.sandbox.control("PUT", "/api-keys/" + other, {"scopes": ["*"]})
        self.write_key(other)
        self.revoke()
        self.get("a")

    def test_cached_reads_go_on_for_the_grace_then_everything_is_wiped(self):
        v = self.get("a")
        self.revoke()
        self.wait(lambda: self.status()["upstream"]["state"] ==
                  "unauthorized", "the 401 was seen")
        began = time.monotonic()
        self.assertEqual(self.get("a"), v)
        self.wait(lambda: self.helper("get", "a").status != 0,
                  "the grace is over")
        self.assertGreater(time.monotonic() - began, 1)
        self.assertLess(time.monotonic() - began, 6)
        self.assert_error("unauthorized", 4, "get", "a")
        self.assertEqual(self.status()["cache"]["secrets"], 0)

    def test_uncached_read_is_unauthorized_at_once(self):
        self.get("a")
        self.revoke()
        self.assert_error("unauthorized", 4, "get", "b")

    def test_key_that_is_good_again_ends_it(self):
        self.get("a")
        self.revoke()
        self.wait(lambda: self.helper("get", "a").status == 4, "it is wiped")
        self.sandbox.control("PUT", "/api-keys/" + self.key,
                             {"scopes": ["*"]})
        self.wait(lambda: self.helper("get", "a").status == 0,
                  "it works again", 20)

    def test_refused_key_does_not_make_a_storm(self):
        self.get("a")
        self.revoke()
        self.wait(lambda: self.helper("get", "b").status == 4, "it is seen")
        self.sandbox.forget()
        began = time.monotonic()
        while time.monotonic() - began < 2:
            self.fails(4, "get", "b")
        self.assertLessEqual(self.sandbox.total, 30)


class Changed(Case):
    """Value changed upstream: replaced as one step."""
    AUTO = False

    def test_reader_sees_the_old_whole_value_or_the_new_one(self):
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

    def test_all_fields_change_together(self):
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


class Full(Case):
    """Memory full."""
    AUTO = False

    def test_least_useful_entries_go_first_and_the_budget_holds(self):
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

    def test_preload_entries_stay(self):
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

    def test_value_that_can_never_fit_is_too_large(self):
        self.start({"cache": {"max-memory": "1M"}},
                   {"secrets": [secret("big", val="x" * (2 << 20)),
                                secret("a")]})
        v = self.get("a")
        self.assert_error("too-large", 1, "get", "big")
        self.fails(1, "get", "big")
        self.sandbox.forget()
        self.assertEqual(self.get("a"), v)
        self.assertEqual(self.sandbox.reads("a"), 0)

    def test_large_value_that_fits_is_served(self):
        self.start({"cache": {"max-memory": "24M"}},
                   {"secrets": [secret("big", val="y" * (8 << 20))]})
        self.assertEqual(self.get("big"), b"y" * (8 << 20))
        self.assertEqual(self.get("big"), b"y" * (8 << 20))
        self.assertEqual(self.sandbox.reads("big"), 1)


class Negative(Case):
    """Definite refusals are held for negative-ttl."""
    SEED = {"secrets": [secret("a")]}

    def test_unknown_name_is_asked_once_in_negative_ttl(self):
        self.fails(3, "get", "nope")
        self.sandbox.forget()
        for _ in range(5):
            self.fails(3, "get", "nope")
        self.assertEqual(self.sandbox.total, 0)

    def test_unknown_id_is_asked_once_in_negative_ttl(self):
        self.fails(3, "get", "11111111-2222-4333-8444-555555555555")
        self.sandbox.forget()
        for _ in range(5):
            self.fails(3, "get", "11111111-2222-4333-8444-555555555555")
        self.assertEqual(self.sandbox.total, 0)

    def test_many_unknown_names_do_not_each_fetch_the_listing(self):
        self.get("a")
        self.sandbox.forget()
        for i in range(20):
            self.fails(3, "get", f"no such name {i}")
        self.assertLessEqual(self.sandbox.listings, 2)

    def test_secret_that_is_made_meanwhile_is_found_after_negative_ttl(self):
        self.restart_agent({"cache": {"negative-ttl": "500ms"}})
        self.fails(3, "get", "later")
        self.sandbox.api("POST", "/secrets",
                         {"name": "later", "value": "made later"})
        self.wait(lambda: self.helper("get", "later").out == b"made later",
                  "it is found", 5)

    def test_403_is_held_too(self):
        self.sandbox.fault("*/secrets/a", status=403, error="forbidden")
        self.assert_error("denied", 4, "get", "a")
        self.sandbox.forget()
        for _ in range(5):
            self.assert_error("denied", 4, "get", "a")
        self.assertEqual(self.sandbox.total, 0)

    def test_404_is_asked_again_after_negative_ttl(self):
        self.restart_agent({"cache": {"negative-ttl": "400ms"}})
        self.sandbox.fault("*/secrets/a", status=404)
        self.fails(3, "get", "a")
        self.sandbox.clear()
        self.wait(lambda: self.helper("get", "a").status == 0,
                  "it is found again", 5)


class Terms(Case):
    """max_age, max_stale, only_if_cached, fresh, deadline."""
    SEED = {"secrets": [secret("a"), secret("b")]}
    CONF = {"upstream": {"request-timeout": "3s"}}

    def test_max_age_fetches_what_is_older_and_not_what_is_younger(self):
        self.get("a")
        self.sandbox.forget()
        self.get("a", "--max-age", "1h")
        self.assertEqual(self.sandbox.total, 0)
        with self.wire() as w:
            self.wait(lambda: w.get(q("a")).AGE_MS > 200, "it is 200 ms old")
        new = value("new")
        self.sandbox.set("a", value=new, version=2)
        self.assertEqual(self.get("a", "--max-age", "100ms"), new.encode())
        self.assertGreaterEqual(self.sandbox.total, 1)

    def test_max_age_0_asks_the_service_each_time(self):
        for i in range(3):
            self.get("a", "--max-age", "0")
            self.sandbox.set("a", value=f"value number {i}", version=2 + i)
            self.assertEqual(self.get("a", "--max-age", "0"),
                             b"value number %d" % i)

    def test_max_age_falls_back_to_the_cached_value_marked_stale(self):
        v = self.get("a")
        self.sandbox.stop()
        o = self.get_json("a", "--max-age", "0")
        self.assertEqual((o["value"].encode(), o["freshness"]), (v, "stale"))

    def test_max_age_with_max_stale_0_does_not_fall_back(self):
        self.get("a")
        self.sandbox.stop()
        self.assert_error("upstream-unavailable", 6, "get", "a",
                          "--max-age", "0", "--max-stale", "0")

    def test_max_stale_0_refuses_what_is_stale(self):
        self.restart_agent({"cache": {"refresh-interval": "300ms"}})
        self.get("a")
        self.assertEqual(self.get_json("a", "--max-stale", "0")["freshness"],
                         "fresh")
        self.sandbox.stop()
        self.wait_freshness("a", "stale")
        self.fails(6, "get", "a", "--max-stale", "0")
        self.get("a", "--max-stale", "1h")

    def test_max_stale_goes_by_the_time_since_it_was_confirmed(self):
        self.restart_agent({"cache": {"refresh-interval": "300ms"}})
        self.get("a")
        self.sandbox.stop()
        self.wait_freshness("a", "stale")
        with self.wire() as w:
            self.wait(lambda: w.get(q("a")).AGE_MS > 1000, "it is 1 s old")
            self.assertEqual(w.get(q("a"), max_stale_ms=900).error,
                             "upstream-unavailable")
            self.assertEqual(w.get(q("a"), max_stale_ms=60000).freshness,
                             "stale")

    def test_max_stale_cannot_extend_what_the_agent_allows(self):
        self.restart_agent({"cache": {"refresh-interval": "200ms",
                                      "max-stale": "800ms"}})
        self.get("a")
        self.sandbox.stop()
        self.wait(lambda: self.helper("get", "a", "--max-stale", "24h").status
                  == 6, "it is too stale for the agent")

    def test_offline_asks_the_service_nothing(self):
        self.assert_error("upstream-unavailable", 6, "get", "a", "--offline")
        self.assertEqual(self.sandbox.total, 0)
        v = self.get("a")
        self.sandbox.forget()
        self.assertEqual(self.get("a", "--offline"), v)
        self.assertEqual(self.helper("get", "b", "--offline").status, 6)
        self.assertEqual(self.sandbox.total, 0)

    def test_fresh_has_the_service_confirm_it(self):
        self.get("a")
        new = value("new")
        self.sandbox.rotate("a", new)
        self.assertNotEqual(self.get("a"), new.encode())
        self.assertEqual(self.get("a", "--fresh"), new.encode())
        self.assertEqual(self.get("a"), new.encode())

    def test_fresh_never_falls_back(self):
        v = self.get("a")
        self.sandbox.stop()
        self.fails(6, "get", "a", "--fresh")
        self.assert_error("upstream-unavailable", 6, "get", "a", "--fresh")
        self.assertEqual(self.get("a"), v)

    def test_fresh_past_a_negative_entry(self):
        self.fails(3, "get", "later")
        self.sandbox.api("POST", "/secrets",
                         {"name": "later", "value": "made later"})
        self.assertEqual(self.get("later", "--fresh"), b"made later")

    def test_fresh_that_was_sent_before_does_not_count(self):
        """A read under way may be older than the request for a fresh one."""
        self.get("a")
        self.sandbox.fault("*/secrets/a", latencyMs=700, times=1)
        self.sandbox.forget()
        with self.wire() as w:
            first = w.send_get(q("a"), terms=wire.FRESH)
            self.wait(lambda: self.sandbox.reads("a") == 1,
                      "the first is under way")
            new = value("new")
            self.sandbox.rotate("a", new)
            second = w.send_get(q("a"), terms=wire.FRESH)
            self.assertEqual(w.recv_for(second).VALUE, new.encode())
            w.recv_for(first)

    def test_deadline_is_kept_with_the_cached_value(self):
        v = self.get("a")
        self.sandbox.fault("*", action="hang")
        began = time.monotonic()
        o = self.get_json("a", "--max-age", "0", "--timeout", "1s")
        self.assertLess(time.monotonic() - began, 1.0)
        self.assertEqual(o["value"].encode(), v)

    def test_refresh_goes_on_behind_an_answer_at_the_deadline(self):
        self.get("a")
        new = value("new")
        self.sandbox.set("a", value=new, version=2)
        self.sandbox.fault("*", latencyMs=1500)
        with self.wire() as w:
            self.assertNotEqual(w.get(q("a"), max_age_ms=0,
                                      deadline_ms=500).VALUE, new.encode())
            self.wait(lambda: w.get(q("a"), terms=wire.ONLY_IF_CACHED).VALUE
                      == new.encode(), "the refresh has come")

    def test_timeout_without_a_cached_value(self):
        self.sandbox.fault("*", action="hang")
        began = time.monotonic()
        self.assert_error("timeout", 7, "get", "a", "--timeout", "600ms")
        took = time.monotonic() - began
        self.assertGreater(took, 0.4)
        self.assertLess(took, 1.5)

    def test_timeout_0_waits_for_ever(self):
        self.sandbox.fault("*", latencyMs=1200)
        self.assertEqual(self.get("a", "--timeout", "0"),
                         self.SEED["secrets"][0]["value"].encode())


class Commands(Case):
    """refresh and purge."""
    SEED = {"secrets": [secret("a", "db/a"), secret("b"), secret("c")]}

    def test_refresh_asks_the_service_now(self):
        self.get("b")
        new = value("new")
        self.sandbox.set("b", value=new, version=2)
        self.helper("refresh", "b")
        self.sandbox.stop()
        self.assertEqual(self.get("b"), new.encode())

    def test_refresh_of_what_is_not_cached_fetches_it(self):
        self.assertEqual(self.helper("refresh", "db/a").status, 0)
        self.sandbox.forget()
        self.get("db/a")
        self.assertEqual(self.sandbox.reads("a"), 0)

    def test_refresh_while_down_fails_and_keeps_the_value(self):
        v = self.get("b")
        self.sandbox.stop()
        r = self.helper("refresh", "b")
        self.assertEqual(r.status, 6, r.err)
        self.assertEqual(self.get("b"), v)

    def test_refresh_of_unknown_is_not_found(self):
        self.assertEqual(self.helper("refresh", "nope").status, 3)
        r = self.helper("refresh", "b", "nope")
        self.assertEqual(r.status, 3)
        self.assertEqual(r.err.count("\n"), 1)

    def test_refresh_all_covers_everything_cached(self):
        self.ok("get", "db/a", "b")
        self.sandbox.set("a", value="new value of a", version=2)
        self.sandbox.set("b", value="new value of b", version=2)
        self.assertEqual(self.helper("refresh", "--all").status, 0)
        self.sandbox.stop()
        self.assertEqual(self.get("db/a"), b"new value of a")
        self.assertEqual(self.get("b"), b"new value of b")

    def test_purge_drops_and_the_next_read_fetches(self):
        self.ok("get", "db/a", "b")
        self.assertEqual(self.helper("purge", "db/a").status, 0)
        self.assertEqual(self.status()["cache"]["secrets"], 1)
        self.sandbox.forget()
        self.get("b")
        self.assertEqual(self.sandbox.total, 0)
        self.get("db/a")
        self.assertEqual(self.sandbox.reads("a"), 1)

    def test_purge_while_down_means_unavailable(self):
        self.get("b")
        self.sandbox.stop()
        self.assertEqual(self.helper("purge", "b").status, 0)
        self.fails(6, "get", "b")

    def test_purge_all(self):
        self.ok("get", "db/a", "b", "c")
        self.assertEqual(self.helper("purge", "--all").status, 0)
        s = self.status()["cache"]
        self.assertEqual((s["secrets"], s["bytes"]), (0, 0))

    def test_purge_of_what_is_not_cached_is_not_found(self):
        self.assertEqual(self.helper("purge", "b").status, 3)

    def test_purge_covers_pinned_versions(self):
        self.sandbox.set("b", value="second value", version=2)
        self.get("b")
        self.get(ref("b", version=2))
        self.helper("purge", "b")
        self.sandbox.stop()
        self.assertEqual(self.helper("get", ref("b", version=2)).status, 6)

    def test_neither_argument_nor_all_is_a_usage_error(self):
        for command in ("refresh", "purge"):
            self.fails(2, command)
            self.assertEqual(self.helper(command, "--all", "b").status, 2)


class Preload(Case):
    """preload, preload-wait and READY=1."""
    AUTO = False
    SEED = {"secrets": [secret("a", "db/a"), secret("b")]}

    def test_ready_means_that_preload_is_held(self):
        self.start({"cache": {"preload": "db/a,qapi://secrets/b"}})
        self.sandbox.stop()
        self.assertEqual(self.get("db/a"),
                         self.SEED["secrets"][0]["value"].encode())
        self.get("b")

    @harness.needs_systemd
    def test_not_ready_before_it_is_held(self):
        self.start_sandbox()
        hang = self.sandbox.fault("*", action="hang")
        self.start({"cache": {"preload": "b"}}, wait=False)
        self.wait(lambda: self.sandbox.hits(hang) >= 1, "it was asked for")
        self.assertEqual(self.agent.noted("READY"), [])
        self.sandbox.clear()
        self.agent.wait_ready()
        self.get("b", "--offline")

    def test_definite_no_counts_as_an_answer_and_is_logged(self):
        self.start({"cache": {"preload": "no/such/thing,b"}})
        self.assertIn("no/such/thing", self.agent.log())
        self.get("b", "--offline")

    @harness.needs_systemd
    def test_wrong_answer_is_no_definite_no(self):
        self.start_sandbox()
        fault = self.sandbox.fault("*/secrets/b", action="garbage")
        self.start({"cache": {"preload": "b"}}, wait=False)
        self.wait(lambda: self.sandbox.hits(fault) >= 2, "it is tried again")
        self.assertEqual(self.agent.noted("READY"), [])
        self.sandbox.clear()
        self.agent.wait_ready()
        self.get("b", "--offline")

    @harness.needs_systemd
    def test_preload_wait_over_is_ready_and_status_says_what_is_missing(self):
        self.start_sandbox()
        self.sandbox.fault("*/secrets/b", action="hang")
        began = time.monotonic()
        self.start({"cache": {"preload": "db/a,b", "preload-wait": "1s"}})
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertLess(time.monotonic() - began, 5)
        self.wait(lambda: any(re.search(r"\bsecrets/b\b|\bb\b", s)
                              for s in self.agent.noted("STATUS")),
                  "STATUS= says what is missing")
        self.get("db/a", "--offline")
        self.sandbox.clear()

    def test_preloaded_entries_are_refreshed_like_others(self):
        self.start({"cache": {"preload": "b", "refresh-interval": "300ms"}})
        new = value("new")
        self.sandbox.rotate("b", new)
        self.wait(lambda: self.get("b") == new.encode(), "it is refreshed")


if __name__ == "__main__":
    harness.main()
