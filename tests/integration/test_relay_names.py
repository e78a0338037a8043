"""Names: resolved through the cached listing, of up to 100,000 secrets; what
writes through the agent, and names that are not there, do to it."""

import json
import unittest
import urllib.parse

import relay
from harness import LONG, at_once, needs_root, secret, value

COUNT = 100_000
PAGE = 200
OTHER = "nobody"

ODD = ["db/prod/password", "with space", "sl/ash and space", "50%", "100%25",
       "grüße/日本", "a?b#c&d=e+f", "trailing/", "..", "."]


def name_of(i):
    return f"team-{i % 97}/service-{i:06}/password"


def ref_of(name):
    return "qapi://secrets/" + urllib.parse.quote(name, safe="/")


class Odd(relay.Front):
    SEED = {"secrets": [secret(f"id-{i}", n, value(f"v{i}"))
                        for i, n in enumerate(ODD)] +
            [secret("twin-1", "twin", value("t1")),
             secret("twin-2", "twin", value("t2"))]}

    def test_each_is_found_and_no_other(self):
        for i, name in enumerate(ODD):
            with self.subTest(name):
                want = self.SEED["secrets"][i]["value"].encode()
                self.assertEqual(self.get(ref_of(name)), want)
                self.assertEqual(self.get(
                    "qapi://secrets/" + urllib.parse.quote(name, safe="")),
                    want)
        self.assertEqual(self.sandbox.listings, 1)
        # undecoded, or decoded twice, it is another
        self.assert_error("not-found", 3, "get", ref_of("50%25"))
        self.assert_error("not-found", 3, "get", ref_of("100%"))

    def test_each_is_listed_as_it_is(self):
        names = [r["name"] for r in self.call("GET", "/secrets?pageSize=200")
                 ["secrets"]]
        self.assertEqual(sorted(names), sorted(ODD + ["twin", "twin"]))

    def test_two_of_a_name_are_told_by_their_ids(self):
        r = self.fails(9, "get", "twin")
        self.assertIn("twin-1", r.err)
        self.assertIn("twin-2", r.err)
        # the one is deleted through the agent: no longer
        self.call("DELETE", "/secrets/twin-2", status=204)
        self.assertEqual(self.get("twin"),
                         self.SEED["secrets"][-2]["value"].encode())
        self.assertEqual(self.sandbox.listings, 1)


class NotThere(relay.Front):
    SEED = {"secrets": [secret("id-a", "a")]}
    CONF = {"cache": {"negative-ttl": "1h"}}

    def test_asking_for_what_is_not_there_costs_one_listing(self):
        self.get("a")

        def ask(i):
            self.assert_error("not-found", 3, "get", f"none-{i}")
        at_once(8, ask)
        self.assertEqual(self.sandbox.listings, 1)

    def test_created_through_the_agent_it_is_there(self):
        self.assert_error("not-found", 3, "get", "new")
        new = value("new")
        self.note_private(new)
        self.call("POST", "/secrets", {"name": "new", "value": new}, 201)
        self.assertEqual(self.get("new"), new.encode())
        # and that without another listing, whose size may be any
        self.assertEqual(self.sandbox.listings, 1)


class Large(relay.Front):
    """A tenant with 100,000 secrets."""

    SEED = {}
    CONF = {"upstream": {"request-timeout": "60s"},
            "agent": {"socket-mode": "0666"}}
    ALLOW = [("team 5", {"user": OTHER, "secrets": "team-5/**",
                         "operations": "read,list"})]

    def start_sandbox(self, seed=None, args=(), tls=None):
        seed = {"secrets": [
            {"id": f"5f0c1a7e-0000-4000-8000-{i:012x}", "name": name_of(i),
             "value": f"v{i}"} for i in range(COUNT)]}
        return super().start_sandbox(seed, args, tls)

    @needs_root
    def test_100_000(self):
        """One test, since that takes seconds to start."""
        wait, long = ("--timeout", "0"), {"timeout": 15 * LONG}
        self.assertEqual(self.get(name_of(COUNT - 1), *wait, **long),
                         f"v{COUNT - 1}".encode())
        self.assertEqual(self.sandbox.listings, COUNT // PAGE)
        # all others by one read each
        for i in (0, 1, COUNT // 2):
            self.assertEqual(self.get(name_of(i), *wait, **long),
                             f"v{i}".encode())
        # not there: the long listing is not asked for again
        for i in range(5):
            self.assert_error("not-found", 3, "get", f"none-{i}", *wait,
                              **long)
        # who may read little is shown that and nothing else
        out = self.ok("list", "secrets", "--json", *wait, user=OTHER, **long)
        names = {json.loads(line)["name"] for line in out.splitlines()}
        self.assertEqual(names, {name_of(i) for i in range(COUNT)
                                 if i % 97 == 5})
        # a write does not make it void either
        new = self.call("POST", "/secrets", {"name": "team-5/new",
                                             "value": "x"}, 201)
        self.assertEqual(self.get("team-5/new", *wait, **long), b"x")
        self.call("PATCH", f"/secrets/{new['id']}", {"name": "team-5/newer"})
        self.assertEqual(self.get("team-5/newer", *wait, **long), b"x")
        self.assert_error("not-found", 3, "get", "team-5/new", *wait, **long)
        self.assertEqual(self.sandbox.listings, COUNT // PAGE)


if __name__ == "__main__":
    unittest.main()
