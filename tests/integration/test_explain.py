#!/usr/bin/env python3
"""EXPLAIN: which rule matches, and where a value stands (contract 3, 4)."""

import pwd

import asks
import harness
import wire
from harness import Case, needs_root, ref, secret

SEED = {"secrets": [
    secret("id-prod", "db/prod", expiresAt=harness.utc(3600)),
    secret("id-web", "web", "value of web"),
    secret("5f0c1a7e-0001-4c7b-9d1e-0123456789ab", "other")]}
UUID = "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
NO_UUID = "5f0c1a7e-0009-4c7b-9d1e-0123456789ab"


class Explain(Case):
    SEED = SEED
    CONF = {"agent": {"socket-mode": "0666"}}
    ALLOW = [
        ("databases", {"user": "nobody", "secrets": "db/*"}),
        ("flat names", {"user": "nobody", "secrets": "*"}),
        ("operator", {"user": "games", "secrets": "**",
                      "operations": "read,admin"}),
        ("blind operator", {"user": "man", "secrets": "none",
                            "operations": "read,admin"}),
        ("the web service", {"unit": "web.service", "secrets": "web"}),
        ("by group", {"group": "audio", "secrets": "web"}),
        ("rest", {"user": "http", "secrets": "web"}),
    ]

    def ask(self, name, as_=None, user=None):
        w = self.wire() if user is None else asks.wire_as(self, user)
        return asks.explain(w, name if "://" in name else ref(name), as_)

    def denied(self, *args, **kw):
        f = self.ask(*args, **kw)
        self.assertEqual((f.type, f.error), (wire.ERROR_MSG, "denied"), f)
        return f

    # -- where a value stands --

    def test_not_cached(self):
        self.sandbox.forget()
        f = self.ask("db/prod")
        self.assertEqual(f.type, wire.EXPLAINED)
        self.assertEqual((f.ALLOWED, f.RULE, f.CACHED), (1, None, None))
        self.assertIn("no rule", f.WHY)
        for name in ("FRESHNESS", "AGE_MS", "EXPIRES_AT", "LAST_ERROR",
                     "NEXT_REFRESH_MS"):
            self.assertIsNone(f.map.get(name), name)
        self.assertEqual(self.sandbox.total, 0, "it asked the service")

    def test_cached(self):
        w = self.wire()
        got = w.get(ref("db/prod"))
        self.sandbox.forget()
        f = self.ask("db/prod")
        self.assertEqual((f.CACHED, f.freshness, f.NAME, f.ID),
                         (1, "fresh", "db/prod", "id-prod"))
        self.assertEqual(f.EXPIRES_AT, got.EXPIRES_AT)
        self.assertEqual(f.VERSION, got.VERSION)
        # on this host's phase, within the hour
        self.assertTrue(0 < f.NEXT_REFRESH_MS <= 3600_000, f)
        self.assertLess(f.AGE_MS, 1000 * harness.LONG)
        self.assertIsNone(f.LAST_ERROR)
        self.assertIsNone(f.VALUE)
        self.assertEqual(self.sandbox.total, 0, "it asked the service")
        # by id too, and whatever the field
        self.assertEqual(self.ask("id-prod").CACHED, 1)
        self.assertEqual(self.ask(ref("db/prod", field="notes")).CACHED, 1)

    def test_last_error_of_a_refresh_that_failed(self):
        w = self.wire()
        w.get(ref("db/prod"))
        self.sandbox.fault(status=500)
        self.assertEqual(w.get(ref("db/prod"), terms=wire.FRESH).error,
                         "upstream-unavailable")
        f = self.ask("db/prod")
        self.assertEqual((f.freshness, wire.ERRORS[f.LAST_ERROR]),
                         ("stale", "upstream-unavailable"))
        self.assertTrue(f.MESSAGE)
        self.assertLess(f.NEXT_REFRESH_MS, 60_000)

    def test_bad_reference(self):
        f = self.ask("qapi://secrets/")
        self.assertEqual((f.type, f.error), (wire.ERROR_MSG, "bad-request"))

    # -- for whom --

    @needs_root
    def test_caller_sees_its_own_rule(self):
        self.wire().get(ref("db/prod"))
        f = self.ask("db/prod", user="nobody")
        self.assertEqual((f.ALLOWED, f.RULE), (1, "databases"))
        self.assertIn('"databases"', f.WHY)
        self.assertEqual(self.ask("web", user="nobody").RULE, "flat names")

    @needs_root
    def test_without_the_right_to_read_nothing_is_told(self):
        """Denied in the same words, whether or not it exists or is cached."""
        w = self.wire()
        for name in ("db/prod", "web"):
            w.get(ref(name))
        texts = {self.denied(name, user="man").MESSAGE for name in
                 ("db/prod", "web", "other", "none/such", UUID, NO_UUID)}
        self.assertEqual(len(texts), 1)
        self.assertIn("no rule", texts.pop())

    @needs_root
    def test_an_id_behind_a_rule_for_names_tells_nothing(self):
        """The rule "*" allows the id as a name, but it may be no name."""
        # neither is known to the agent
        unknown = self.denied(UUID, user="nobody").MESSAGE
        self.assertEqual(self.denied(NO_UUID, user="nobody").MESSAGE, unknown)
        # and in the listing and cached
        self.wire().get(ref("other"))
        self.assertEqual(self.denied(NO_UUID, user="nobody").MESSAGE, unknown)
        # its name is covered by "*"
        self.assertEqual(self.ask(UUID, user="nobody").RULE, "flat names")

    @needs_root
    def test_as_needs_admin(self):
        f = self.denied("web", as_="nobody", user="nobody")
        self.assertIn("operations=admin", f.MESSAGE)
        # and the right to read it as well
        f = self.denied("web", as_="nobody", user="man")
        self.assertIn("no rule", f.MESSAGE)
        self.assertEqual(self.ask("web", as_="nobody", user="games").RULE,
                         "flat names")

    @needs_root
    def test_as_user_by_name_and_number(self):
        uid = str(harness.ids("nobody")[0])
        for who in ("nobody", uid):
            f = self.ask("db/prod", as_=who)
            self.assertEqual((f.ALLOWED, f.RULE), (1, "databases"), who)
        f = self.ask("a/b/c", as_="nobody")
        self.assertEqual((f.type, f.ALLOWED, f.RULE),
                         (wire.EXPLAINED, None, None))
        self.assertEqual(f.WHY, "no rule allows it")
        self.assertEqual(self.ask("web", as_="root").ALLOWED, 1)
        self.assertEqual(self.ask("web", as_="http").RULE, "rest")
        # a number that has no name
        self.assertIsNone(self.ask("web", as_="54399").ALLOWED)

    @needs_root
    def test_as_user_counts_its_groups(self):
        import grp
        members = [p.pw_name for p in pwd.getpwall() if p.pw_gid ==
                   grp.getgrnam("audio").gr_gid] + \
            grp.getgrnam("audio").gr_mem
        if not members:
            self.skipTest("no user is in the group audio")
        self.assertEqual(self.ask("web", as_=members[0]).RULE, "by group")

    @needs_root
    def test_as_unit(self):
        f = self.ask("web", as_="web.service")
        self.assertEqual((f.ALLOWED, f.RULE), (1, "the web service"))
        self.assertIn("only the unit is known", f.WHY)
        self.assertIsNone(self.ask("web", as_="db.service").ALLOWED)

    @needs_root
    def test_as_somebody_unknown(self):
        f = self.ask("web", as_="nobody-of-this-name")
        self.assertEqual((f.type, f.error), (wire.ERROR_MSG, "bad-request"))
        self.assertIn("nobody-of-this-name", f.MESSAGE)

    @needs_root
    def test_as_and_an_id_whose_name_is_not_known(self):
        """What depends on it is said so, and is no permission."""
        f = self.ask("qapi://secrets/" + NO_UUID, as_="games")
        self.assertEqual(f.ALLOWED, 1)      # ** needs no name
        f = self.ask("id-nowhere", as_="nobody")
        # as a name it is covered by "*", which is all that can be said
        self.assertEqual(f.RULE, "flat names")

    def test_many_at_once_do_not_stop_others(self):
        w = self.wire()
        rids = [w.send(wire.EXPLAIN, wire.field("REF", ref("web")) +
                       wire.field("AS", "nobody")) for _ in range(40)]
        kinds = {w.recv_for(rid).type for rid in rids}
        # four at a time; the others are told to come again
        self.assertLessEqual(kinds, {wire.EXPLAINED, wire.ERROR_MSG})
        self.assertIn(wire.EXPLAINED, kinds)
        self.assertEqual(self.ask("web", as_="nobody").type, wire.EXPLAINED)

    def test_leaving_while_a_user_is_looked_up(self):
        for _ in range(20):
            with self.agent.wire() as w:
                w.send(wire.EXPLAIN, wire.field("REF", ref("web")) +
                       wire.field("AS", "nobody"))
        self.wire().ping()


if __name__ == "__main__":
    harness.main()
