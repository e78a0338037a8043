"""After a write through the agent the next read shows it, by id and by name,
for pinned versions and lists; and what is done where nobody knows whether it
was done (contract 6; upstream-api.md, 8)."""

import json
import unittest

import asks
import relay
from asks import Watch
from harness import ref, secret, value

A = "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"


class Writes(relay.Front):
    SEED = {"secrets": [secret(A, "db/a"), secret("id-b", "db/b")],
            "keys": [{"id": "k1", "name": "signing",
                      "algorithm": "Ed25519"}]}

    def new(self):
        v = value("new")
        self.note_private(v)
        return v

    def put(self, v, path=f"/secrets/{A}/value"):
        return self.call("PUT", path, {"value": v})

    def check(self, want, *refs):
        for r in refs:
            self.assertEqual(self.get(r), want.encode(), r)


class Secrets(Writes):
    def test_new_value(self):
        first = self.SEED["secrets"][0]["value"]
        self.check(first, A, "db/a", f"qapi://secrets/{A}?version=1")
        listings = self.sandbox.listings
        for _ in range(20):
            v = self.new()
            self.put(v)
            self.check(v, "db/a", A)
            self.assertEqual(self.call("GET", f"/secrets/{A}")["value"], v)
        self.check(first, f"qapi://secrets/{A}?version=1")
        self.check(v, f"qapi://secrets/{A}?version=21")
        self.assertEqual(self.sandbox.listings, listings)

    def test_other_fields(self):
        self.get(A)
        self.call("PATCH", f"/secrets/{A}", {"username": "newcomer"})
        self.assertEqual(self.get(f"qapi://secrets/{A}?field=username"),
                         b"newcomer")
        self.assertEqual(
            self.call("GET", f"/secrets/{A}")["username"], "newcomer")

    def test_new_name(self):
        v = self.SEED["secrets"][0]["value"]
        self.check(v, "db/a")
        self.assert_error("not-found", 3, "get", "db/new")
        self.call("PATCH", f"/secrets/{A}", {"name": "db/new"})
        self.check(v, "db/new", A)
        self.assert_error("not-found", 3, "get", "db/a")
        self.assertIn(b"db/new", self.ok("list", "secrets"))
        self.assertNotIn(b"db/a", self.ok("list", "secrets"))

    def test_created_and_deleted(self):
        self.assert_error("not-found", 3, "get", "made")
        v = self.new()
        got = self.call("POST", "/secrets", {"name": "made", "value": v}, 201)
        self.check(v, "made", got["id"])
        names = [s["name"] for s in self.call("GET", "/secrets")["secrets"]]
        self.assertIn("made", names)
        self.call("DELETE", f"/secrets/{got['id']}", status=204)
        for text in ("made", got["id"],
                     f"qapi://secrets/{got['id']}?version=1"):
            self.assert_error("not-found", 3, "get", text)
        names = [s["name"] for s in self.call("GET", "/secrets")["secrets"]]
        self.assertNotIn("made", names)

    def test_deactivated_and_activated(self):
        v = self.SEED["secrets"][0]["value"]
        self.check(v, A, "db/a")
        self.call("POST", f"/secrets/{A}/deactivate", status=204)
        self.assert_error("not-found", 3, "get", A)
        self.assert_error("not-found", 3, "get", "db/a")
        self.call("POST", f"/secrets/{A}/activate", status=204)
        self.check(v, "db/a", A)

    def test_version_that_was_not_there(self):
        first = self.SEED["secrets"][0]["value"]
        made = [f"qapi://secrets/db/a?version={n}" for n in (2, 3)]
        for r in made:
            self.fails(3, "get", r, saying="this version")
        v = self.new()
        self.put(v)
        self.check(v, made[0])
        self.assert_error("not-found", 3, "get", made[1])
        v = self.new()
        self.call("POST", "/secrets/import",
                  {"items": [{"name": "db/a", "value": v}]})
        self.check(v, made[1])
        self.call("POST", f"/secrets/{A}/deactivate", status=204)
        one = f"qapi://secrets/{A}?version=1"
        self.assert_error("not-found", 3, "get", one)
        self.call("POST", f"/secrets/{A}/activate", status=204)
        self.check(first, one)
        self.check(v, made[1])

    def test_import(self):
        self.check(self.SEED["secrets"][0]["value"], A, "db/a")
        a, c = self.new(), self.new()
        self.call("POST", "/secrets/import",
                  {"items": [{"name": "db/a", "value": a},
                             {"name": "db/c", "value": c}]})
        self.check(a, A, "db/a")
        self.check(c, "db/c")

    def test_refused_write_changes_nothing(self):
        self.get("db/a")
        reads = self.sandbox.reads(A)
        self.call("PUT", f"/secrets/{A}/value", {}, status=400)
        self.check(self.SEED["secrets"][0]["value"], A, "db/a")
        self.assertEqual(self.sandbox.reads(A), reads)

    def test_watchers_are_told(self):
        watch = Watch(self.wire(), ref("db/a"))
        self.assertIsNone(watch.first[0].error)
        v = self.new()
        self.put(v)
        self.assertEqual(watch.reason(), "changed")
        self.assertEqual(asks.get(self.wire(), ref("db/a")).VALUE,
                         v.encode())
        self.call("DELETE", f"/secrets/{A}", status=204)
        self.assertEqual(watch.reason(), "gone")


class Keys(Writes):
    PUBLIC = "qapi://keys/signing/public"

    def public(self, text):
        return json.loads(self.get(text))

    def test_rotated(self):
        before = self.public(self.PUBLIC)
        self.get("qapi://keys/k1/public?format=raw")
        got = self.call("POST", "/keys/k1/rotate")
        after = self.public(self.PUBLIC)
        self.assertNotEqual(after["publicKey"], before["publicKey"])
        self.assertEqual(after["version"], got["newVersion"])
        self.assertEqual(self.public(f"qapi://keys/{got['keyId']}/public")
                         ["publicKey"], after["publicKey"])

    def test_renamed(self):
        self.public(self.PUBLIC)
        self.call("PATCH", "/keys/k1", {"name": "seals"})
        self.assertEqual(self.public("qapi://keys/seals/public")["name"],
                         "seals")
        self.assert_error("not-found", 3, "get", self.PUBLIC)


class Unknown(Writes):
    """Nobody knows whether it was done."""

    def test_done_though_its_answer_was_lost(self):
        self.get("db/a")
        v = self.new()
        self.sandbox.fault(path=f"*/secrets/{A}/value", action="truncate",
                           times=1)
        self.assertEqual(self.ask("PUT", f"/secrets/{A}/value",
                                  {"value": v}).status, 503)
        self.check(v, A, "db/a")

    def test_not_done(self):
        old = self.SEED["secrets"][0]["value"]
        self.get("db/a")
        reads = self.sandbox.reads(A)
        self.sandbox.fault(path=f"*/secrets/{A}/value", action="drop",
                           times=1)
        self.assertEqual(self.ask("PUT", f"/secrets/{A}/value",
                                  {"value": self.new()}).status, 503)
        # the service was asked again, and only then it was told
        self.check(old, A, "db/a")
        self.assertEqual(self.sandbox.reads(A), reads + 1)

    def test_in_an_outage_the_old_value_is_there_as_stale(self):
        self.get("db/a")
        self.sandbox.fault(action="drop")
        self.assertEqual(self.ask("DELETE", f"/secrets/{A}").status, 503)
        got = self.get_json("db/a")
        self.assertEqual(got["freshness"], "stale")
        self.assertEqual(got["value"], self.SEED["secrets"][0]["value"])
        self.sandbox.clear()
        self.wait_freshness("db/a", "fresh")


if __name__ == "__main__":
    unittest.main()
