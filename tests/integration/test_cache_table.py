#!/usr/bin/env python3
"""What the cache promises beside the rows of its table (test_cache_rows.py):
terms, refresh and purge, preload; and a few rows in real time."""

import json
import re
import time

import harness
import wire
from harness import Case, at_once, ref, secret, utc, value

SHORT = {"cache": {"refresh-interval": "300ms", "negative-ttl": "300ms"}}


def q(name):
    return "qapi://secrets/" + name


class Fresh(Case):
    """Entry fetched less than refresh-interval ago, not near expiry."""
    SEED = {"secrets": [secret("a"), secret("b", expiresAt=utc(86400))]}

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


class RealTime(Case):
    """The same as test_cache_rows.py with the daemon's own clocks and timers:
    short settings, a few seconds."""
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

    def test_list_obeys_max_stale(self):
        with self.wire() as w:
            w.list(1)
            self.sandbox.fault(status=500)
            f = w.list(1, max_age_ms=0)
            self.assertEqual(f[-1].freshness, "stale")
            self.assertEqual(w.list(1, max_age_ms=0, max_stale_ms=0).error,
                             "upstream-unavailable")

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

    def test_expired_value_is_never_served_while_the_service_is_down(self):
        self.restart_agent({"cache": {"refresh-interval": "1h",
                                      "refresh-lead": "100ms"}})
        self.sandbox.set("a", expiresAt=utc(1.5))
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

    def test_401_wipes_after_the_grace(self):
        self.restart_agent({"cache": {"unauthorized-grace": "1s"}})
        self.get("a")
        self.sandbox.control("DELETE", "/api-keys/" + self.key)
        self.wait(lambda: self.helper("get", "a").status == 4,
                  "the grace is over")
        self.assertEqual(self.status()["cache"]["secrets"], 0)


class Cold(Case):
    """Not cached: one fetch, shared by all who ask meanwhile."""
    SEED = {"secrets": [secret(f"s{i}") for i in range(8)]}

    def test_parallel_cold_helpers_make_one_get_each_secret(self):
        self.sandbox.fault("*", latencyMs=300)
        at_once(24, lambda i: self.get(f"s{i % 4}"))
        for i in range(4):
            self.assertEqual(self.sandbox.reads(f"s{i}"), 1)
        self.assertLessEqual(self.sandbox.listings, 1)

    def test_max_in_flight_bounds_what_is_under_way(self):
        self.restart_agent({"upstream": {"max-in-flight": "2"}})
        self.sandbox.fault("*/secrets/s*", latencyMs=150)
        with self.wire() as w:
            got = w.get_many(*[q(f"s{i}") for i in range(8)])
        self.assertTrue(all(f.VALUE for f in got))
        # this one included, and those that close
        self.assertLessEqual(
            self.sandbox.control("GET", "/connections")["open"], 4)


class Expiry(Case):
    """expiresAt that has passed before it is first read."""
    AUTO = False

    def test_cold_read_of_an_expired_secret_is_expired(self):
        self.start(None, {"secrets": [secret("a", expiresAt=utc(-60))]})
        self.fails(8, "get", "a")
        self.assert_error("expired", 8, "get", "a")
        # and is not asked again for each read
        reads = self.sandbox.reads("a")
        for _ in range(5):
            self.fails(8, "get", "a")
        self.assertLessEqual(self.sandbox.reads("a"), reads + 1)


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
