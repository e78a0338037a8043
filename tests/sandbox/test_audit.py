#!/usr/bin/env python3
"""Tests of the audit trail: SANDBOX=path/to/qapi-sandbox python3 test_audit.py"""

import unittest
import urllib.parse

import test_sandbox as base

NO_ID = "00000000-0000-0000-0000-000000000000"
NEVER_NULL = {"id", "timestamp", "action", "category", "actor", "actorType",
              "resourceType", "resourceId", "outcome"}
MAY_BE_NULL = {"resourceName", "valid", "error", "algorithm", "keyVersion",
               "channel", "ipAddress", "userAgent", "batchSize",
               "failedItems"}


class Trail(base.Case):
    """The class of tests that look at the trail; others derive from it."""

    def trail(self, path="/audit-logs", **filters):
        """All entries that the filters let through, newest first."""
        if "from_" in filters:
            filters["from"] = filters.pop("from_")
        out, page = [], 1
        while True:
            q = urllib.parse.urlencode({**filters, "page": page,
                                        "pageSize": 200})
            r = self.ok(200, "GET", path + "?" + q)
            self.assertEqual(set(r), {"items", "totalCount", "page",
                                      "pageSize"})
            out += r["items"]
            if len(out) >= r["totalCount"]:
                self.assertEqual(len(out), r["totalCount"])
                return out
            page += 1

    def last(self, **want):
        """The newest entry, checked; want: what some members must be."""
        e = self.trail()[0]
        self.assertEqual(set(e), NEVER_NULL | MAY_BE_NULL)
        for name in NEVER_NULL:
            self.assertIsInstance(e[name], str, name)
        self.assertRegex(e["id"], base.UUID)
        self.assertRegex(e["timestamp"], base.TIME)
        self.assertEqual(e["ipAddress"], "127.0.0.1")
        self.assertEqual({k: e[k] for k in want}, want)
        return e


class Audit(Trail):
    ARGS = base.Case.ARGS + ("--api-key", "aud:audit:read")

    def test_secrets(self):
        s = self.secret(name="db/prod" + base.os.urandom(4).hex())
        path = "/secrets/" + s["id"]
        here = {"resourceType": "Secret", "resourceId": s["id"],
                "resourceName": s["name"], "category": "other",
                "actorType": "apiKey", "outcome": "success", "error": None,
                "channel": None, "valid": None, "keyVersion": None,
                "batchSize": None, "failedItems": None, "algorithm": None}
        self.last(action="SecretCreated", **here)
        for method, p, body, action in (
                ("GET", "?include=all", None, "SecretRead"),
                ("GET", "/history", None, "SecretHistoryRead"),
                ("PATCH", "", {"notes": "n"}, "SecretUpdated"),
                ("PUT", "/value", {"value": "2"}, "SecretRotated"),
                ("PUT", "/value", {"value": "v", "restoredFromVersion": 1},
                 "SecretRestored"),
                ("POST", "/deactivate", None, "SecretDeactivated"),
                ("POST", "/activate", None, "SecretActivated"),
                ("DELETE", "", None, "SecretDeleted")):
            a = self.api(method, path + p, body)
            self.assertLess(a.status, 300)
            self.last(action=action, **here)
        self.ok(200, "GET", "/secrets")
        self.last(action="SecretListed", resourceId=NO_ID, resourceName=None)

    def test_keys(self):
        k = self.key("HMAC-SHA512", "hmac")
        path = "/keys/" + k["id"]
        here = {"resourceType": "CryptoKey", "resourceId": k["id"],
                "resourceName": k["name"], "category": "keys",
                "algorithm": "HMAC-SHA512", "outcome": "success"}
        self.last(action="KeyCreated", keyVersion=1, **here)
        for method, p, body, action in (
                ("GET", "", None, "KeyRead"),
                ("PATCH", "", {"description": "n"}, "KeyUpdated"),
                ("POST", "/rotate", None, "KeyRotated"),
                ("GET", "/versions", None, "KeyVersionListed"),
                ("PUT", "/min-decryption-version",
                 {"minDecryptionVersion": 2}, "KeyConfigured"),
                ("POST", "/set-default", {"keyType": "hmac"},
                 "KeySetDefault"),
                ("DELETE", "?scheduleDays=0", None, "KeyDeletionScheduled")):
            a = self.api(method, path + p, body)
            self.assertLess(a.status, 300)
            self.last(action=action, **here)
        self.ok(200, "GET", "/keys")
        self.last(action="KeyListed", category="keys", resourceId=NO_ID)

    def test_outcomes(self):
        s = self.secret()
        path = "/secrets/" + s["id"]
        self.error(403, "insufficient_scope", "GET", path, key="none")
        self.last(action="SecretRead", outcome="denied",
                  error="insufficient_scope", resourceId=s["id"],
                  resourceName=s["name"])
        self.error(401, "unauthorized", "GET", path, key="unknown")
        self.last(action="SecretRead", outcome="denied", actor="anonymous",
                  actorType="other", error="unauthorized")
        self.error(401, "unauthorized", "GET", path, key=None)
        self.last(outcome="denied", actor="anonymous")
        # An id that is none must not make the answer unreadable.
        self.error(404, "not_found", "GET", "/secrets/none")
        self.last(action="SecretRead", outcome="failure", error="not_found",
                  resourceId=NO_ID, resourceName=None)
        gone = "11111111-2222-4333-8444-555555555555"
        self.error(404, "not_found", "DELETE", "/keys/" + gone)
        self.last(action="KeyDeletionScheduled", category="keys",
                  resourceId=gone, resourceName=None, outcome="failure")
        self.error(409, "secret_name_conflict", "POST", "/secrets",
                   {"name": s["name"], "value": "x"})
        self.last(action="SecretCreated", error="secret_name_conflict",
                  resourceId=NO_ID)
        self.error(400, "invalid_request", "PATCH", path, b"{")
        self.last(action="SecretUpdated", error="invalid_request")
        self.error(413, "payload_too_large", "PATCH", path,
                   b"x" * (1024 * 1024 + 1))
        self.last(action="SecretUpdated", error="payload_too_large")

    def test_who_and_how(self):
        self.ok(200, "GET", "/secrets", headers={"User-Agent": "me/1 \xe9"})
        self.last(userAgent=None)
        self.ok(200, "GET", "/secrets", headers={"User-Agent": "me/1"})
        e = self.last(userAgent="me/1", actorType="apiKey")
        self.assertRegex(e["actor"], "^apikey:sandbox-[0-9]+$")

    def test_leaves_no_record(self):
        self.secret()
        before = self.trail()
        for method, path in (("GET", "/api/v1/health"), ("GET", "/health"),
                             ("GET", "/version"), ("GET", "/api/v1/none"),
                             ("GET", "/_sandbox/requests"),
                             ("DELETE", "/api/v1/secrets"),
                             ("GET", "/api/v1/audit"),
                             ("GET", "/api/v1/audit-logs?page=2")):
            self.sb.raw(method, path)
        self.sb.fault(path="/api/v1/secrets", status=500)
        self.error(500, "internal_error", "GET", "/secrets")
        self.assertEqual(self.trail(), before)
        # Trying to read it without the right to does.
        self.error(403, "insufficient_scope", "GET", "/audit", key="r")
        self.last(action="AuditLogRead", resourceType="AuditLog",
                  outcome="denied")

    def test_scope(self):
        for path in ("/audit", "/audit-logs"):
            self.ok(200, "GET", path, key="aud")
            e = self.error(403, "insufficient_scope", "GET", path, key="none")
            self.assertEqual(e["details"], {"requiredScope": "audit:read"})
            self.error(401, "unauthorized", "GET", path, key=None)

    def test_order_and_pages(self):
        made = [self.secret()["id"] for _ in range(7)]
        everything = self.trail()
        self.assertEqual([e["resourceId"] for e in everything[:7]],
                         made[::-1])
        times = [e["timestamp"] for e in everything]
        stamp = [t if "." in t else t.replace("Z", ".000000Z")
                 for t in times]
        self.assertEqual(stamp, sorted(stamp, reverse=True))
        self.assertEqual(len(set(stamp)), len(stamp))
        for path in ("/audit", "/audit-logs"):
            everything = self.trail()
            got = []
            for page in (1, 2, 3):
                r = self.ok(200, "GET", f"{path}?page={page}&pageSize=3")
                self.assertEqual((r["page"], r["pageSize"], r["totalCount"]),
                                 (page, 3, len(everything)))
                got += r["items"]
            self.assertEqual(got, everything[:9])
            r = self.ok(200, "GET", path + "?page=100000")
            self.assertEqual((r["items"], r["pageSize"]), ([], 50))
            r = self.ok(200, "GET", path + "?pageSize=201")
            self.assertEqual(r["pageSize"], 200)
            for bad in ("page=0", "page=x", "pageSize=0"):
                self.error(400, "invalid_request", "GET", f"{path}?{bad}")

    def test_filters(self):
        self.sb.control("PUT", "/api-keys/other",
                        {"scopes": ["*"], "name": "CI Robot"})
        k, s = self.key(), self.secret()
        self.ok(200, "GET", "/keys/" + k["id"])
        self.ok(200, "GET", "/keys/" + k["id"] + "/versions")
        self.ok(200, "GET", "/secrets/" + s["id"])
        self.ok(200, "GET", "/secrets/" + s["id"], key="other")
        robot = self.trail()[0]["actor"]
        mine = self.trail(keyId=k["id"])
        self.assertEqual([e["action"] for e in mine],
                         ["KeyVersionListed", "KeyRead", "KeyCreated"])
        self.assertEqual(self.trail(keyId=s["id"]), [])
        self.assertEqual([e["action"] for e in
                          self.trail(keyId=k["id"], action="KeyRead")],
                         ["KeyRead"])
        self.assertEqual(
            [e["action"] for e in
             self.trail(keyId=k["id"], action="KeyRead,KeyCreated")],
            ["KeyRead", "KeyCreated"])
        self.assertEqual(self.trail(action="Key"), [])
        self.assertEqual(self.trail(keyId=k["id"], category="other"), [])
        self.assertEqual(self.trail(keyId=k["id"], category="keys"), mine)
        self.assertEqual({e["category"] for e in self.trail(category="keys")},
                         {"keys"})
        self.assertEqual({e["category"] for e in
                          self.trail(category="other")}, {"other"})
        self.assertEqual(self.trail(category="none"), [])
        got = self.trail(actor=robot[len("apikey:"):].upper())
        self.assertEqual([(e["actor"], e["resourceId"]) for e in got],
                         [(robot, s["id"])])
        self.assertEqual(self.trail(actor="nobody"), [])
        # Both ends belong to it; the second entry of the three is at "when".
        when = mine[1]["timestamp"]
        self.assertEqual(self.trail(keyId=k["id"], from_=when), mine[:2])
        self.assertEqual(self.trail(keyId=k["id"], to=when), mine[1:])
        self.assertEqual(self.trail(keyId=k["id"], from_=when, to=when),
                         mine[1:2])
        zoned = when[:-1] + "+00:00"
        self.assertEqual(self.trail(keyId=k["id"], to=zoned), mine[1:])
        self.assertEqual(self.trail("/audit", keyId=k["id"], to="2020-01-01"),
                         [])
        self.assertEqual(self.trail(keyId=k["id"], from_="2020-01-01",
                                    category="", action="", actor=""), mine)
        for name in ("from", "to"):
            e = self.error(400, "invalid_request", "GET",
                           f"/audit-logs?{name}=yesterday")
            self.assertIn(name, e["details"]["fields"])


class Names(Trail):
    def test_every_route_has_one(self):
        """What each route is called, by asking for each without a right."""
        for e in self.sb.control("GET", "/endpoints").json["endpoints"]:
            if e["scope"] is None or not e["path"].startswith("/api/v1/"):
                continue
            path = base.re.sub(r"\{[^}]*\}", NO_ID, e["path"])
            status = self.sb.raw(e["method"], path, key="none").status
            if e["scope"] == "":
                continue
            self.assertEqual(status, 403, e)
            got = self.last(outcome="denied", error="insufficient_scope")
            self.assertNotEqual(got["resourceType"], "Resource", e)


class Seeded(Trail):
    SEED = {"audit": [
        {"timestamp": "2026-01-02T00:00:00Z", "action": "KeyCreated",
         "category": "keys", "actor": "ada@example.com", "valid": True,
         "resourceType": "CryptoKey", "resource_id": NO_ID},
        {"action": "SecretRead", "keyVersion": 3, "outcome": "denied"}],
        "auditLogs": [{"id": "11111111-2222-4333-8444-555555555555"}]}

    def test_seed(self):
        items = self.trail()
        self.assertEqual([(e["action"], e["outcome"], e["valid"],
                           e["keyVersion"]) for e in items],
                         [("ResourceRead", "success", None, None),
                          ("SecretRead", "denied", None, 3),
                          ("KeyCreated", "success", True, None)])
        self.assertEqual(items[0]["id"],
                         "11111111-2222-4333-8444-555555555555")
        self.assertEqual((items[2]["actor"], items[2]["timestamp"]),
                         ("ada@example.com", "2026-01-02T00:00:00Z"))
        for e in items:
            for name in NEVER_NULL:
                self.assertIsInstance(e[name], str)
        self.assertEqual(self.trail(keyId=NO_ID), items[2:])


class Full(Trail):
    """10,000 are kept: none is lost below that, none is kept above."""

    SEED = {"audit": [{"action": "Oldest"}] + 9996 * [{"action": "Old"}]}

    def test_oldest_go_first(self):
        def total(**filters):
            q = urllib.parse.urlencode({**filters, "pageSize": 1})
            return self.ok(200, "GET", "/audit?" + q)["totalCount"]
        made = [self.secret()["id"] for _ in range(3)]
        self.assertEqual((total(), total(action="Oldest")), (10000, 1))
        made += [self.secret()["id"] for _ in range(4)]
        self.assertEqual((total(), total(action="Oldest"),
                          total(action="Old")), (10000, 0, 9993))
        page = self.ok(200, "GET", "/audit?pageSize=8")["items"]
        self.assertEqual([e["resourceId"] for e in page],
                         made[::-1] + [NO_ID])
        page = self.ok(200, "GET", "/audit?page=50&pageSize=200")["items"]
        self.assertEqual((len(page), page[-1]["action"]), (200, "Old"))


if __name__ == "__main__":
    unittest.main()
