#!/usr/bin/env python3
"""WATCH and REJECT over the protocol (contract 4 and 5, PROTOCOL.md 4)."""

import contextlib
import os
import random
import resource
import signal
import socket

import asks
import harness
import wire
from asks import NONE, Watch
from harness import LONG, Case, needs_root, ref, secret

SEED = {"secrets": [secret("id-a", "db/a"), secret("id-b", "db/b"),
                    secret("id-c", "web/c"),
                    secret("id-t", "twice"), secret("id-u", "twice")],
        "keys": [{"id": "k1", "name": "signing", "algorithm": "Ed25519"}]}


class WatchCase(Case):
    SEED = SEED
    CONF = {"agent": {"socket-mode": "0666"},
            "cache": {"refresh-interval": "1s", "refresh-lead": "1s",
                      "negative-ttl": "1s"}}

    def changed(self, got, index=0):
        self.assertEqual(got[:2], ("changed", index))
        self.assertEqual(len(got[2]), 16)
        return got[2]


class Reasons(WatchCase):
    """Each reason, though nobody reads."""

    def test_changed(self):
        w = self.wire()
        watch = Watch(w, ref("db/a"))
        first = watch.first[0]
        self.assertEqual((first.error, first.more, first.freshness,
                          first.NAME, first.ID),
                         (None, True, "fresh", "db/a", "id-a"))
        self.sandbox.rotate("id-a", harness.value("new"))
        position = self.changed(watch.event())
        self.assertNotEqual(position, first.POSITION)
        # it is the one that a read has
        self.assertEqual(asks.get(w, ref("db/a")).POSITION, position)

    def test_expiring_then_expired_then_changed(self):
        self.sandbox.set("id-a", expiresAt=harness.utc(3))
        watch = Watch(self.wire(), ref("db/a"))
        self.assertIsNone(watch.first[0].error)
        self.assertEqual(watch.reason(), "expiring")
        self.assertEqual(watch.reason(), "expired")
        self.assertEqual(watch.seen[0][2], watch.first[0].POSITION)
        self.assertEqual(self.wire().get(ref("db/a")).error, "expired")
        self.sandbox.set("id-a", expiresAt=harness.utc(3600),
                         value=harness.value("newer"))
        self.assertEqual(watch.reason(), "changed")

    def test_watching_what_has_expired_already(self):
        self.sandbox.set("id-a", expiresAt=harness.utc(-10))
        watch = Watch(self.wire(), ref("db/a"))
        first = watch.first[0]
        self.assertEqual((first.error, first.more), ("expired", True))
        self.assertNotIn(first.POSITION, (None, NONE))
        self.sandbox.set("id-a", expiresAt=harness.utc(3600))
        self.changed(watch.event())

    def test_gone_and_back(self):
        for how in ("by name", "by id"):
            with self.subTest(how):
                watch = Watch(self.wire(), ref(
                    "db/a" if how == "by name" else "id-a"))
                self.assertIsNone(watch.first[0].error)
                self.sandbox.set("id-a", isActive=False)
                got = watch.event()
                self.assertEqual(got, ("gone", 0, NONE))
                self.sandbox.set("id-a", isActive=True)
                self.assertEqual(self.changed(watch.event()),
                                 watch.first[0].POSITION)

    def test_stale_then_fresh_again(self):
        watch = Watch(self.wire(), ref("db/a"))
        fault = self.sandbox.fault(status=503)
        self.assertTrue(fault)
        self.assertEqual(watch.reason(), "stale")
        self.sandbox.clear()
        self.assertEqual(watch.reason(), "fresh-again")
        self.assertEqual({e[2] for e in watch.seen},
                         {watch.first[0].POSITION})

    def test_key(self):
        watch = Watch(self.wire(), "qapi://keys/signing/public",
                      "qapi://keys/signing/public?format=pem")
        self.assertEqual({f.error for f in watch.first.values()}, {None})
        self.sandbox.fault(path="/api/v1/keys*", status=503)
        self.assertEqual({watch.event()[1], watch.event()[1]}, {0, 1})


class Positions(WatchCase):
    CONF = {**WatchCase.CONF, "cache": {"refresh-interval": "1h",
                                        "negative-ttl": "1s"}}

    def test_change_between_get_and_watch_is_told(self):
        w = self.wire()
        seen = asks.get(w, ref("db/a")).POSITION
        self.sandbox.rotate("id-a", harness.value("new"))
        # another reader brings it into the cache
        self.assertIsNone(w.get(ref("db/a"), terms=wire.FRESH).error)
        watch = Watch(w, (ref("db/a"), seen))
        self.changed(watch.event())
        # who has seen the newest is told nothing
        self.assertEqual(Watch(w, (ref("db/a"), asks.get(
            w, ref("db/a")).POSITION)).quiet(), [])
        # and without a position only what happens from now on
        self.assertEqual(Watch(w, ref("db/a")).quiet(), [])

    def test_position_is_only_given_to_who_asks(self):
        self.assertIsNone(self.wire().get(ref("db/a")).POSITION)

    def test_position_survives_restart_and_change_meanwhile_is_told(self):
        w = self.wire()
        seen = {n: asks.get(w, ref(n)).POSITION for n in ("db/a", "db/b")}
        self.agent.kill()
        self.expected_status[self.agent] = -signal.SIGKILL
        self.agent.ended()
        self.sandbox.rotate("id-b", harness.value("new"))
        self.start_agent()
        w = self.wire()
        watch = Watch(w, *[(ref(n), seen[n]) for n in ("db/a", "db/b")])
        self.assertEqual(watch.first[0].POSITION, seen["db/a"])
        self.changed(watch.event(), 1)
        self.assertEqual(watch.quiet(), [])

    def test_gone_during_the_restart_is_told(self):
        seen = asks.get(self.wire(), ref("db/a")).POSITION
        self.agent.kill()
        self.expected_status[self.agent] = -signal.SIGKILL
        self.agent.ended()
        self.sandbox.set("id-a", isActive=False)
        self.start_agent()
        watch = Watch(self.wire(), (ref("db/a"), seen))
        self.assertEqual((watch.first[0].error, watch.first[0].POSITION),
                         ("not-found", NONE))
        self.assertEqual(watch.event(), ("gone", 0, NONE))

    def test_restart_while_the_service_is_down(self):
        seen = asks.get(self.wire(), ref("db/a")).POSITION
        self.agent.kill()
        self.expected_status[self.agent] = -signal.SIGKILL
        self.agent.ended()
        self.sandbox.rotate("id-a", harness.value("new"))
        self.sandbox.fault(status=503)
        self.start_agent()
        watch = Watch(self.wire(), (ref("db/a"), seen), ref("db/b"),
                      deadline_ms=300)
        self.assertIn(watch.first[0].error,
                      ("upstream-unavailable", "timeout"))
        self.assertEqual(watch.first[0].POSITION, seen)
        self.assertEqual(watch.first[1].POSITION, NONE)
        self.sandbox.clear()
        got = {watch.event(40)[:2], watch.event(40)[:2]}
        self.assertEqual(got, {("changed", 0), ("changed", 1)})

    def test_each_field_that_a_reader_sees_moves_it(self):
        w = self.wire()
        seen = [asks.get(w, ref("db/a")).POSITION]
        for members in ({"expiresAt": harness.utc(3600)},
                        {"notes": harness.value("note")},
                        {"username": "somebody"},
                        {"customFields": {"x": "1"}}):
            self.sandbox.set("id-a", **members)
            self.assertIsNone(w.get(ref("db/a"), terms=wire.FRESH).error)
            f = asks.get(w, ref("db/a"))
            self.assertNotIn(f.POSITION, seen, members)
            seen.append(f.POSITION)
        # the field that is asked for makes no difference
        self.assertEqual(asks.get(w, ref("db/a", field="notes")).POSITION,
                         seen[-1])

    def test_position_does_not_follow_from_the_value(self):
        """Two tenants with the same secret, and another key of the API."""
        first = asks.get(self.wire(), ref("db/a")).POSITION
        self.assertEqual(self.agent.stop(), 0)
        other = "qapi_" + "b" * 40
        self.note_private(other)
        seed = dict(self.sandbox.seed)
        seed["apiKeys"] = [{"key": other, "scopes": ["*"]}]
        self.sandbox.stop()
        self.sandbox.seed = seed
        self.sandbox.start()
        self.write_key(other)
        self.start_agent()
        self.assertNotEqual(asks.get(self.wire(), ref("db/a")).POSITION,
                            first)


class Names(WatchCase):

    def test_name_that_comes_to_mean_another_secret(self):
        watch = Watch(self.wire(), ref("db/a"))
        self.sandbox.set("id-a", name="db/old")
        self.sandbox.set("id-c", name="db/a")
        position = self.changed(watch.event())
        w = self.wire()
        f = self.wait(lambda: (lambda f: f if f.ID == "id-c" else None)(
            asks.get(w, ref("db/a"))), "the name means the other")
        self.assertEqual(f.POSITION, position)
        # and it follows that one from now on
        self.sandbox.rotate("id-a", harness.value("old"))
        self.sandbox.rotate("id-c", harness.value("new"))
        watch.until("changed")
        self.assertEqual(asks.get(w, ref("db/a")).POSITION,
                         watch.seen[-1][2])

    def test_name_that_goes_away_and_comes_back_elsewhere(self):
        watch = Watch(self.wire(), ref("db/a"))
        self.sandbox.set("id-a", name="db/old")
        self.assertEqual(watch.event(), ("gone", 0, NONE))
        self.sandbox.set("id-b", name="db/a")
        self.changed(watch.event())

    def test_deleted_and_made_anew_is_one_change(self):
        watch = Watch(self.wire(), ref("db/a"))
        self.sandbox.set("id-a", isActive=False)
        self.sandbox.set("id-c", name="db/a")
        self.changed(watch.event())
        self.assertNotIn("gone", [e[0] for e in watch.seen])

    def test_not_found_is_watched_until_it_comes(self):
        watch = Watch(self.wire(), ref("not/yet"))
        self.assertEqual((watch.first[0].error, watch.first[0].POSITION,
                          watch.first[0].more), ("not-found", NONE, True))
        self.sandbox.set("id-c", name="not/yet")
        self.changed(watch.event())

    def test_ambiguous_ends_the_reference(self):
        watch = Watch(self.wire(), ref("twice"), ref("db/a"))
        f = watch.first[0]
        self.assertEqual((f.error, f.POSITION, f.more),
                         ("ambiguous", None, True))
        self.assertIn("id-t", f.MESSAGE)
        self.sandbox.rotate("id-a", harness.value("new"))
        self.changed(watch.event(), 1)

    def test_last_reference_that_ends_ends_the_request(self):
        w = self.wire()
        watch = Watch(w, ref("twice"), "qapi://secrets/")
        self.assertEqual([watch.first[i].error for i in (0, 1)],
                         ["ambiguous", "bad-request"])
        self.assertFalse(watch.over.more)
        w.ping()


class Life(WatchCase):
    CONF = {**WatchCase.CONF, "cache": {"refresh-interval": "1h",
                                        "idle-evict": "1h"}}

    def renew(self, *names):
        w = self.wire()
        for name in names:
            self.assertIsNone(w.get(ref(name), terms=wire.FRESH).error)

    def subscriptions(self):
        return self.wire().status()["watch.subscriptions"]

    def test_cancel(self):
        w = self.wire()
        watch = Watch(w, ref("db/a"), ref("db/b"))
        self.assertEqual(self.subscriptions(), 2)
        w.send_raw(wire.frame(wire.CANCEL, b"", watch.id))
        watch.take()
        self.assertEqual(watch.over.type, wire.DONE)
        self.assertEqual(self.subscriptions(), 0)
        self.sandbox.rotate("id-a", harness.value("new"))
        self.renew("db/a")
        w.ping()
        self.assertEqual(w.waiting, [])
        # the id is free again
        w.send_raw(wire.frame(wire.CANCEL, b"", watch.id))
        w.send(wire.PING, rid=watch.id)
        self.assertEqual(w.recv_for(watch.id).type, wire.DONE)

    def test_cancel_of_a_get_or_of_nothing_changes_nothing(self):
        w = self.wire()
        self.sandbox.fault(latencyMs=300)
        rid = w.send_get(ref("db/a"))
        w.send_raw(wire.frame(wire.CANCEL, b"", rid))
        w.send_raw(wire.frame(wire.CANCEL, b"", 4711))
        self.assertIsNone(w.recv_for(rid).error)

    def test_closing_ends_it(self):
        with self.agent.wire() as w:
            Watch(w, ref("db/a"))
            self.assertEqual(self.subscriptions(), 1)
        self.wait(lambda: self.subscriptions() == 0, "it is forgotten")
        # while the first answer is still to come, too
        self.sandbox.fault(latencyMs=500)
        with self.agent.wire() as w:
            Watch(w, ref("db/b"), wait=False)
            self.wait(lambda: self.subscriptions() == 1, "it is there")
        self.wait(lambda: self.subscriptions() == 0, "it is forgotten")

    def test_half_close_still_gets_events_and_is_seen_to_leave(self):
        w = self.agent.wire()
        watch = Watch(w, ref("db/a"))
        w.sock.shutdown(socket.SHUT_WR)
        self.sandbox.rotate("id-a", harness.value("new"))
        self.renew("db/a")
        self.changed(watch.event())
        w.close()
        self.wait(lambda: self.subscriptions() == 0, "it is seen to leave")

    def test_purge_and_evict_do_not_lose_it(self):
        watch = Watch(self.wire(), ref("db/a"))
        w = self.wire()
        self.assertEqual(w.recv_for(w.send(wire.PURGE, wire.field(
            "ALL", 1))).type, wire.DONE)
        self.sandbox.rotate("id-a", harness.value("new"))
        # it comes back by itself
        self.changed(watch.event())

    def test_what_is_watched_stays_while_nobody_reads(self):
        self.assertEqual(self.agent.stop(), 0)
        self.start_agent({"cache": {"refresh-interval": "1s",
                                    "idle-evict": "2s",
                                    "negative-ttl": "1s"}})
        watch = Watch(self.wire(), ref("db/a"))
        self.renew("db/b")
        w = self.wire()

        def only_watched():
            return w.status()["cache.secrets"] == 1
        self.wait(only_watched, "the other one has gone idle")
        self.sandbox.rotate("id-a", harness.value("new"))
        self.changed(watch.event())

    def test_a_thousand_subscribers_and_one_change(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4096:
            self.skipTest("too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE,
                        (soft, hard))
        watches = [Watch(self.wire(), ref("db/a")) for _ in range(1000)]
        self.assertEqual(self.subscriptions(), 1000)
        self.sandbox.forget()
        self.sandbox.rotate("id-a", harness.value("new"))
        self.renew("db/a")
        positions = {self.changed(x.event()) for x in watches}
        self.assertEqual(len(positions), 1)
        self.assertEqual(self.sandbox.reads("id-a"), 1)

    def test_slow_subscriber_costs_only_itself(self):
        """One that never reads, however often things change: what is kept for
        it does not grow, and others are told at once."""
        slow = self.wire(rcvbuf=4096)
        names = ["db/a", "db/b", "web/c"] * 80
        Watch(slow, *[ref(n) for n in names], wait=False)
        fast = Watch(self.wire(), ref("db/a"))
        self.wait(lambda: self.subscriptions() == len(names) + 1,
                  "all are subscribed")
        memory = None
        for i in range(60):
            for sid in ("id-a", "id-b", "id-c"):
                self.sandbox.set(sid, notes=f"note number {i}")
            self.renew("db/a", "db/b", "web/c")
            self.changed(fast.event())
            if i == 20:
                memory = self.agent.memory_kb()
        self.assertLess(self.agent.memory_kb() - memory, 1024)
        # and it still learns the newest of each
        newest = {asks.get(self.wire(), ref(n)).POSITION for n in set(names)}
        last = {}
        while len(last) < len(names) or set(last.values()) != newest:
            f = slow.recv()
            if f.POSITION is not None:
                last[f.INDEX] = f.POSITION
        self.assertEqual(len(last), len(names))

    def test_a_connection_may_watch_so_many(self):
        w = self.wire()
        for i in range(16):
            Watch(w, *[ref("db/a")] * 256)
        over = Watch(w, ref("db/a"), ref("db/b"))
        self.assertEqual([over.first[i].error for i in (0, 1)],
                         ["busy", "busy"])
        self.assertIsNone(over.first[0].POSITION)
        # others have their own
        self.assertIsNone(Watch(self.wire(), ref("db/a")).first[0].error)

    def test_too_many_references_is_malformed(self):
        w = self.wire()
        w.send(wire.WATCH, b"".join(
            wire.field("WATCH_REF", [("REF", ref("db/a"))])
            for _ in range(257)))
        frames = w.at_end()
        self.assertEqual(frames[-1].error, "bad-request")

    def test_subscribers_of_one_value_share_one_read(self):
        self.sandbox.forget()
        self.sandbox.fault(latencyMs=200)
        watches = [Watch(self.wire(), ref("id-a"), wait=False)
                   for _ in range(40)]
        for x in watches:
            while not x.first:
                x.take()
        self.assertEqual(self.sandbox.reads("id-a"), 1)


@needs_root
class Policy(WatchCase):
    CONF = {**WatchCase.CONF, "cache": {"refresh-interval": "1h"}}
    RULE = {"user": "nobody", "secrets": "db/*"}
    ALLOW = [("dbs", RULE)]

    def nobody(self):
        return asks.wire_as(self, "nobody")

    def rewrite(self, *rules):
        harness.write_conf(self.conf_path, self.conf(allow=rules))
        before = len(self.agent.noted("READY"))
        self.agent.proc.send_signal(signal.SIGHUP)
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: len(self.agent.noted("READY")) > before,
                      "the reload is done")
        else:
            self.wait(lambda: "read again" in self.agent.log(), "reloaded")

    def test_denied_whether_or_not_it_exists(self):
        self.wire().get(ref("web/c"))
        watch = Watch(self.nobody(), ref("web/c"), ref("no/such"),
                      ref("id-c"), ref("id-x"))
        self.assertEqual({f.error for f in watch.first.values()}, {"denied"})
        self.assertEqual({f.POSITION for f in watch.first.values()}, {None})
        self.assertEqual(len({f.MESSAGE for f in watch.first.values()}), 1)
        self.assertFalse(watch.over.more)

    def test_by_id_it_is_judged_by_the_name(self):
        watch = Watch(self.nobody(), ref("id-a"), ref("id-c"))
        self.assertEqual([watch.first[i].error for i in (0, 1)],
                         [None, "denied"])

    def test_reload_drops_who_lost_the_right(self):
        watch = Watch(self.nobody(), ref("db/a"), ref("db/b"))
        mine = Watch(self.wire(), ref("db/a"))
        self.rewrite(("dbs", {"user": "nobody", "secrets": "db/b"}))
        watch.take()
        self.assertEqual(watch.ended[0].error, "denied")
        self.assertTrue(watch.ended[0].more)
        self.sandbox.rotate("id-a", harness.value("a"))
        self.sandbox.rotate("id-b", harness.value("b"))
        w = self.wire()
        for name in ("db/a", "db/b"):
            w.get(ref(name), terms=wire.FRESH)
        self.changed(watch.event(), 1)
        self.changed(mine.event())
        self.rewrite()
        watch.take()
        self.assertEqual(watch.ended[1].error, "denied")
        self.assertIs(watch.over, watch.ended[1])

    def test_reading_is_not_watching(self):
        self.rewrite(("dbs", {**self.RULE, "operations": "read"}))
        w = self.nobody()
        self.assertIsNone(w.get(ref("db/a")).error)
        self.assertEqual(Watch(w, ref("db/a")).first[0].error, "denied")
        # and the other way round: reasons, and no values
        self.rewrite(("dbs", {**self.RULE, "operations": "watch"}))
        w = self.nobody()
        self.assertEqual(w.get(ref("db/a")).error, "denied")
        self.assertIsNone(Watch(w, ref("db/a")).first[0].error)

    def test_name_moves_out_of_the_rule(self):
        watch = Watch(self.nobody(), ref("id-a"))
        self.sandbox.set("id-a", name="web/a")
        self.wire().get(ref("id-a"), terms=wire.FRESH)
        watch.take()
        self.assertEqual(watch.ended[0].error, "denied")


class Reject(Case):
    SEED = SEED
    CONF = {"agent": {"socket-mode": "0666"}}
    ALLOW = [("dbs", {"user": "nobody", "secrets": "db/*"})]

    def test_unchanged_and_changed(self):
        w = self.wire()
        seen = asks.get(w, ref("db/a"))
        self.sandbox.forget()
        f = asks.reject(w, ref("db/a"))
        self.assertEqual((f.error, f.CHANGED, f.POSITION, f.VERSION),
                         (None, None, seen.POSITION, seen.VERSION))
        self.assertEqual(self.sandbox.reads("id-a"), 1)
        self.sandbox.rotate("id-b", harness.value("new"))
        f = asks.reject(w, ref("db/b"), position=NONE)
        self.assertEqual((f.error, f.CHANGED), (None, 1))

    def test_changed_upstream(self):
        w = self.wire()
        seen = asks.get(w, ref("db/a"))
        self.sandbox.rotate("id-a", harness.value("new"))
        f = asks.reject(w, ref("db/a"))
        self.assertEqual(f.CHANGED, 1)
        self.assertNotEqual(f.POSITION, seen.POSITION)
        self.assertEqual(f.VERSION, seen.VERSION + 1)
        # what the agent holds now is another one than the caller had
        self.sandbox.forget()
        for kw in ({"position": seen.POSITION}, {"version": seen.VERSION}):
            self.assertEqual(asks.reject(w, ref("db/a"), **kw).CHANGED, 1)
        self.assertEqual(self.sandbox.reads("id-a"), 0)

    def test_fifty_at_once_are_one_read(self):
        seen = asks.get(self.wire(), ref("db/a"))
        wires = [self.wire() for _ in range(50)]
        self.sandbox.rotate("id-a", harness.value("new"))
        self.sandbox.fault(latencyMs=200)
        self.sandbox.forget()
        # by name, by id, with and without what was refused
        rids = [asks.send_reject(
            w, ref("db/a" if i % 2 else "id-a"),
            position=seen.POSITION if i % 3 else None)
            for i, w in enumerate(wires)]
        answers = [w.recv_for(rid) for w, rid in zip(wires, rids)]
        self.assertEqual({f.CHANGED for f in answers}, {1})
        self.assertEqual(len({f.POSITION for f in answers}), 1)
        self.assertEqual(self.sandbox.reads("id-a"), 1)

    def test_again_within_the_pause_is_the_last_outcome(self):
        w = self.wire()
        asks.get(w, ref("db/a"))
        self.assertIsNone(asks.reject(w, ref("db/a")).CHANGED)
        self.sandbox.rotate("id-a", harness.value("new"))
        self.sandbox.forget()
        for _ in range(20):
            f = asks.reject(w, ref("db/a"))
            self.assertEqual((f.error, f.CHANGED), (None, None))
        self.assertEqual(self.sandbox.reads("id-a"), 0)
        # until it is over
        self.wait(lambda: asks.reject(w, ref("db/a")).CHANGED,
                      "the service is asked again")
        self.assertEqual(self.sandbox.reads("id-a"), 1)

    def test_failure_is_told_and_shared_too(self):
        w = self.wire()
        asks.get(w, ref("db/a"))
        self.sandbox.fault(status=400)
        self.sandbox.forget()
        answers = {asks.reject(w, ref("db/a")).error for _ in range(5)}
        self.assertEqual(answers, {"upstream-error"})
        self.assertEqual(self.sandbox.reads("id-a"), 1)
        # the value stays
        self.assertIsNone(w.get(ref("db/a")).error)

    def test_gone(self):
        w = self.wire()
        asks.get(w, ref("id-a"))
        self.sandbox.set("id-a", isActive=False)
        self.assertEqual(asks.reject(w, ref("id-a")).error, "not-found")

    def test_not_cached_yet(self):
        f = asks.reject(self.wire(), ref("db/a"))
        self.assertEqual((f.error, f.CHANGED), (None, 1))

    def test_deadline(self):
        w = self.wire()
        asks.get(w, ref("db/a"))
        self.sandbox.fault(action="hang")
        f = asks.reject(w, ref("db/a"), deadline_ms=200)
        self.assertEqual(f.error, "timeout")
        # it left the others alone, and leaving is fine
        with self.agent.wire() as other:
            asks.send_reject(other, ref("db/a"))
        w.ping()

    def test_bad_reference(self):
        self.assertEqual(asks.reject(self.wire(), "qapi://x").error,
                         "bad-request")

    @needs_root
    def test_needs_the_right_to_read(self):
        self.wire().get(ref("web/c"))
        self.sandbox.forget()
        w = asks.wire_as(self, "nobody")
        answers = [asks.reject(w, ref(n)) for n in
                   ("web/c", "no/such", "id-none")]
        self.assertEqual({f.error for f in answers}, {"denied"})
        self.assertEqual(len({f.MESSAGE for f in answers}), 1)
        self.assertEqual(self.sandbox.reads("id-c"), 0)
        self.assertIsNone(asks.reject(w, ref("db/a")).error)


class Mutations(WatchCase):
    """Requests of this file with bytes changed, cut, doubled and swapped."""

    def base(self):
        position = asks.get(self.wire(), ref("db/a")).POSITION
        ref_of = [("REF", ref("db/a")), ("POSITION", position)]
        return [
            wire.frame(wire.WATCH, wire.field("DEADLINE_MS", 50) +
                       wire.field("WATCH_REF", ref_of) +
                       wire.field("WATCH_REF", [("REF", ref("no"))]), 7),
            wire.frame(wire.CANCEL, b"", 7),
            wire.frame(wire.REJECT, wire.field("DEADLINE_MS", 50) +
                       wire.fields(ref_of), 8),
            wire.frame(wire.EXPLAIN, wire.field("REF", ref("db/a")) +
                       wire.field("AS", "a.service"), 9),
            wire.frame(wire.DRILL, wire.field("DURATION_MS", 1), 10),
            wire.frame(wire.METRICS, wire.field("NAMES", 1), 11),
            wire.frame(wire.GET, wire.field("TERMS", wire.WANT_POSITION) +
                       wire.field("REF", ref("db/a")), 12),
        ]

    def test_no_mutation_harms_the_agent(self):
        seed = int(os.environ.get("QAPI_SEED") or 20261126)
        r = random.Random(seed)
        base = self.base()
        for n in range(3000):
            frames = [bytearray(r.choice(base)) for _ in range(6)]
            for f in frames:
                for _ in range(r.randrange(4)):
                    at = r.randrange(len(f))
                    what = r.randrange(4)
                    if what == 0:
                        f[at] = r.randrange(256)
                    elif what == 1:
                        f[at] ^= 1 << r.randrange(8)
                    elif what == 2 and len(f) > 20:
                        del f[at:at + r.randrange(1, 9)]
                    else:
                        f[at:at] = f[max(0, at - 8):at]
            with self.agent.wire() as w, self.subTest(seed=seed, n=n):
                w.sock.settimeout(LONG)
                with contextlib.suppress(BrokenPipeError,
                                         ConnectionResetError):
                    w.send_raw(b"".join(frames))
                    w.sock.shutdown(socket.SHUT_WR)
                if n % 8 == 0:
                    w.sock.recv(65536)
        w = self.wire()
        self.assertIsNone(w.get(ref("db/a")).error)
        self.wait(lambda: w.status()["watch.subscriptions"] == 0,
                  "all are forgotten")
        self.wait(lambda: w.status()["drill.secondsLeft"] is None,
                  "no drill runs")


if __name__ == "__main__":
    harness.main()
