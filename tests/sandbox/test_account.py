#!/usr/bin/env python3
"""Tests of what qapi-sandbox has around secrets and keys: share links, team,
settings, rate limit, storage, billing.

    SANDBOX=path/to/qapi-sandbox python3 test_account.py
"""

import base64
import calendar
import time
import unittest

from test_audit import NO_ID, Trail
from test_sandbox import ALL, TIME, WAIT, Sandbox

NONE = "00000000-0000-4000-8000-000000000000"
DAY_MS = 86400 * 1000


def seconds(stamp):
    """Seconds since 1970 of a timestamp, its fraction cut off."""
    return calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))


class Shares(Trail):
    def tearDown(self):
        self.sb.control("PUT", "/clock", {"aheadMs": 0})

    def share(self, secret, **kw):
        return self.ok(201, "POST", "/vault/share",
                       {"secretId": secret["id"], **kw})

    def links(self, secret):
        r = self.ok(200, "GET", "/vault/share/by-secret/" + secret["id"])
        self.assertEqual(set(r), {"links", "totalCount"})
        self.assertEqual(r["totalCount"], len(r["links"]))
        return r["links"]

    def status(self, secret):
        return [link["status"] for link in self.links(secret)]

    def open(self, link, status=200, error=None, **body):
        path = "/share/" + link["token"]
        if error is None:
            return self.ok(status, "POST", path, body, key=None)
        return self.error(status, error, "POST", path, body, key=None)

    def test_create_open_list(self):
        s = self.secret(value="shared\0\u00e9")
        link = self.share(s)
        self.assertEqual(set(link), {
            "id", "token", "secretId", "expiresAt", "maxAccessCount",
            "hasPassword", "createdAt"})
        self.assertEqual((link["secretId"], link["maxAccessCount"],
                          link["hasPassword"]), (s["id"], None, False))
        self.assertGreaterEqual(len(link["token"]), 32)
        self.assertRegex(link["createdAt"], TIME)
        self.assertEqual(seconds(link["expiresAt"]) -
                         seconds(link["createdAt"]), 86400)
        self.last(action="SecretShared", resourceId=link["id"])
        for n in (1, 2, 3):
            self.assertEqual(self.open(link), {
                "value": "shared\0\u00e9", "accessCount": n,
                "expiresAt": link["expiresAt"]})
        self.last(action="ShareLinkOpened", resourceId=link["id"])
        row, = self.links(s)
        self.last(action="ShareLinkListed", resourceId=s["id"])
        self.assertEqual(row, {
            "id": link["id"], "token": "", "status": "Active",
            "expiresAt": link["expiresAt"], "maxAccessCount": None,
            "accessCount": 3, "hasPassword": False,
            "createdAt": link["createdAt"],
            "createdBy": "apikey:sandbox-1"})

    def test_bodies_of_an_opening(self):
        link = self.share(self.secret())
        path = "/share/" + link["token"]
        for body in (None, b"", {}, {"password": None}, {"password": "x"}):
            self.ok(200, "POST", path, body, key=None)
        self.ok(200, "POST", path, {}, key="unknown")
        for body in (b"{", b"[]"):
            self.error(400, "invalid_request", "POST", path, body, key=None)
        coded = "".join(f"%{b:02X}" for b in link["token"].encode())
        self.ok(200, "POST", "/share/" + coded, {}, key=None)
        self.assertEqual(self.api("GET", path).status, 405)

    def test_newest_first(self):
        s = self.secret()
        ids = [self.share(s)["id"] for _ in range(5)]
        self.share(self.secret())
        self.assertEqual([x["id"] for x in self.links(s)], ids[::-1])
        stamps = [x["createdAt"] for x in self.links(s)]
        self.assertEqual(len(set(stamps)), 5)
        self.assertEqual(self.links(self.secret()), [])

    def test_the_newest_value_is_shown(self):
        s = self.secret(value="v1")
        link = self.share(s)
        self.ok(200, "PUT", f"/secrets/{s['id']}/value", {"value": "v2"})
        self.assertEqual(self.open(link)["value"], "v2")

    def test_expiry(self):
        s = self.secret()
        link = self.share(s, expiresInHours=1)
        other = self.share(s, expires_in_hours=720)
        self.assertEqual(seconds(other["expiresAt"]) -
                         seconds(other["createdAt"]), 720 * 3600)
        self.open(link)
        self.sb.control("PUT", "/clock", {"aheadMs": 3602 * 1000})
        self.open(link, 404, "link_not_found")
        self.open(other)
        self.assertEqual(self.status(s), ["Active", "Expired"])
        self.assertEqual(self.links(s)[1]["accessCount"], 1)

    def test_exhaustion(self):
        s = self.secret()
        link = self.share(s, maxAccessCount=2)
        self.assertEqual(link["maxAccessCount"], 2)
        for n in (1, 2):
            self.assertEqual(self.status(s), ["Active"])
            self.assertEqual(self.open(link)["accessCount"], n)
        for _ in range(2):
            self.open(link, 400, "link_exhausted")
        row, = self.links(s)
        self.assertEqual((row["status"], row["accessCount"],
                          row["maxAccessCount"]), ("Exhausted", 2, 2))

    def test_password(self):
        s = self.secret()
        link = self.share(s, password="open sesame", maxAccessCount=1)
        self.assertIs(link["hasPassword"], True)
        self.open(link, 400, "password_required")
        self.open(link, 400, "password_required", password=None)
        for wrong in ("", "open", "open sesame\0", "OPEN SESAME"):
            self.open(link, 400, "invalid_password", password=wrong)
        # None of these was an access.
        self.assertEqual(self.open(link, password="open sesame")
                         ["accessCount"], 1)
        self.open(link, 400, "link_exhausted")
        self.assertIs(self.links(s)[0]["hasPassword"], True)

    def test_revoke(self):
        s = self.secret()
        link = self.share(s)
        for _ in range(2):
            r = self.ok(200, "DELETE", "/vault/share/" + link["id"])
            self.assertEqual(r, {"revoked": True})
        self.last(action="ShareLinkRevoked", resourceId=link["id"])
        self.open(link, 404, "link_not_found")
        self.assertEqual(self.status(s), ["Revoked"])
        self.error(404, "link_not_found", "DELETE", "/vault/share/" + NONE)

    def test_retired(self):
        s = self.secret()
        link = self.share(s)
        self.ok(204, "POST", f"/secrets/{s['id']}/deactivate")
        self.open(link, 410, "link_retired")
        self.assertEqual(self.status(s), ["Retired"])
        self.ok(204, "POST", f"/secrets/{s['id']}/activate")
        self.assertEqual(self.open(link)["accessCount"], 1)
        self.ok(204, "DELETE", "/secrets/" + s["id"])
        self.open(link, 410, "link_retired")
        self.error(404, "not_found", "GET",
                   "/vault/share/by-secret/" + s["id"])
        self.assertEqual(
            self.ok(200, "DELETE", "/vault/share/" + link["id"]),
            {"revoked": True})

    def test_unknown_tokens_are_kept_nowhere(self):
        self.open({"token": "mistyped-token"}, 404, "link_not_found")
        e = self.last(action="ShareLinkOpened", resourceId=NO_ID,
                      error="link_not_found")
        self.assertNotIn("mistyped", str(e))

    def test_refuses(self):
        s = self.secret()
        for field, values in {
                "secretId": [None, 1], "expiresInHours": [0, 721, "1", 1.5],
                "maxAccessCount": [0, -1, "1"],
                "password": ["", 1]}.items():
            for v in values:
                e = self.error(400, "invalid_request", "POST", "/vault/share",
                               {"secretId": s["id"], field: v})
                self.assertEqual(list(e["details"]["fields"]), [field])
        self.error(404, "not_found", "POST", "/vault/share",
                   {"secretId": NONE})
        self.ok(204, "POST", f"/secrets/{s['id']}/deactivate")
        self.error(404, "not_found", "POST", "/vault/share",
                   {"secretId": s["id"]})
        self.share(self.secret(), expiresInHours=None, maxAccessCount=None,
                   password=None)

    def test_of_another_tenant(self):
        self.sb.control("PUT", "/api-keys/other",
                        {"scopes": ["*"], "tenant": "other"})
        s = self.ok(201, "POST", "/secrets", {"name": "x", "value": "theirs"},
                    key="other")
        link = self.ok(201, "POST", "/vault/share", {"secretId": s["id"]},
                       key="other")
        self.assertEqual(self.open(link)["value"], "theirs")
        self.error(404, "link_not_found", "DELETE",
                   "/vault/share/" + link["id"])
        self.error(404, "not_found", "GET",
                   "/vault/share/by-secret/" + s["id"])


class Team(Trail):
    ROLES = ("tenant:owner", "tenant:developer")

    def setUp(self):
        super().setUp()
        self.mail(hang=False, refuse=False)
        self.until(lambda m: all(x["status"] in ("sent", "failed")
                                 for x in m["mails"]))
        self.sb.control("DELETE", "/mail")

    def mail(self, **body):
        a = self.sb.control("PUT", "/mail", body) if body else \
            self.sb.control("GET", "/mail")
        self.assertEqual(a.status, 200, a.body)
        return a.json

    def until(self, fits):
        """The status of the mail once it fits; it is asked for again and
        again, as each answer lets the worker go on."""
        deadline = time.monotonic() + WAIT
        while not fits(m := self.mail()):
            self.assertLess(time.monotonic(), deadline, m)
        return m

    def invite(self, email="new@example.org", role="tenant:developer"):
        return self.ok(201, "POST", "/team/invitations",
                       {"email": email, "role": role})

    def test_invitation(self):
        i = self.invite()
        self.assertEqual(set(i), {"invitationId", "email", "role",
                                  "expiresAt", "emailDispatchStatus"})
        self.assertRegex(i["invitationId"], r"^inv_[A-Za-z0-9]+$")
        self.assertEqual((i["email"], i["role"], i["emailDispatchStatus"]),
                         ("new@example.org", "tenant:developer", "queued"))
        self.assertRegex(i["expiresAt"], TIME)
        self.last(action="InvitationCreated",
                  resourceId=i["invitationId"], resourceName=i["email"])
        m = self.until(lambda m: m["mails"][0]["status"] == "sent")
        self.assertEqual(m["mails"], [
            {"id": i["invitationId"], "to": i["email"], "status": "sent"}])
        self.assertEqual(m["inbox"], [
            {"to": i["email"],
             "subject": "Invitation " + i["invitationId"]}])

    def test_answers_while_the_mail_server_hangs(self):
        """The answer is there, and nothing that the mail server does can
        have let it come: the server owes its first word the whole time."""
        self.mail(hang=True)
        first = self.invite("one@example.org")
        # The worker has called and got no word.
        m = self.until(lambda m: m["owing"])
        self.assertEqual([x["status"] for x in m["mails"]], ["sending"])
        more = [self.invite(f"{n}@example.org") for n in range(20)]
        m = self.mail()
        self.assertEqual((m["hang"], m["owing"], m["inbox"]),
                         (True, True, []))
        self.assertEqual([x["status"] for x in m["mails"]],
                         ["sending"] + ["queued"] * 20)
        # All else goes on, too.
        self.secret()
        m = self.mail(hang=False)
        m = self.until(lambda m: len(m["inbox"]) == 21)
        want = [i["email"] for i in [first] + more]
        self.assertEqual([x["to"] for x in m["inbox"]], want)
        m = self.until(lambda m: m["mails"][-1]["status"] == "sent")
        self.assertEqual([(x["to"], x["status"]) for x in m["mails"]],
                         [(email, "sent") for email in want])

    def test_hangs_in_the_middle(self):
        for n in range(3):
            self.invite(f"{n}@example.org")
        self.mail(hang=True)
        self.invite("last@example.org")
        m = self.until(lambda m: m["owing"])
        self.assertEqual(m["mails"][-1]["status"] in ("queued", "sending"),
                         True)
        self.mail(hang=False)
        self.until(lambda m: [x["status"] for x in m["mails"]] ==
                   ["sent"] * 4)

    def test_refused_mail(self):
        self.mail(refuse=True)
        self.invite()
        m = self.until(lambda m: m["mails"][0]["status"] != "sending" and
                       m["mails"][0]["status"] != "queued")
        self.assertEqual((m["mails"][0]["status"], m["inbox"]),
                         ("failed", []))
        self.mail(refuse=False)
        self.invite("two@example.org")
        m = self.until(lambda m: m["mails"][1]["status"] == "sent")
        self.assertEqual(m["mails"][0]["status"], "failed")
        self.sb.control("DELETE", "/mail")
        m = self.mail()
        self.assertEqual((m["mails"], m["inbox"]), ([], []))

    def test_each_is_another(self):
        ids = {self.invite()["invitationId"] for _ in range(5)}
        self.assertEqual(len(ids), 5)

    def test_refuses(self):
        for field, values in {
                "email": ["", None, 1, "x", "a@b\r\nRCPT TO:<c@d>", "a>@b"],
                "role": ["", None, 1]}.items():
            for v in values:
                e = self.error(400, "invalid_request", "POST",
                               "/team/invitations",
                               {"email": "a@b", "role": "x", field: v})
                self.assertEqual(list(e["details"]["fields"]), [field])
        self.assertEqual(self.mail()["mails"], [])
        self.assertEqual(self.sb.control("PUT", "/mail", {"hang": 1}).status,
                         400)

    def test_stop_while_it_hangs(self):
        sb = Sandbox("--api-key", ALL + ":*")
        sb.control("PUT", "/mail", {"hang": True})
        for _ in range(3):
            a = sb.api("POST", "/team/invitations",
                       {"email": "a@b", "role": "x"})
            self.assertEqual(a.status, 201)
        self.assertEqual(sb.stop(), (0, ""))


class Settings(Trail):
    ARGS = Trail.ARGS + ("--api-key", "set:settings:write,settings:read",
                         "--api-key", "aud:audit:read")

    def test_always_forbidden(self):
        for name in ("security", "branding", "anything"):
            for key in (ALL, "set", "none"):
                e = self.error(403, "forbidden", "PATCH", "/settings/" + name,
                               {"mfaRequired": True}, key=key)
                self.assertNotIn("requiredScope", str(e))
        self.last(action="SettingsUpdated", outcome="denied",
                  error="forbidden")
        self.error(403, "forbidden", "PATCH", "/settings/security", b"{")
        self.error(401, "unauthorized", "PATCH", "/settings/security", {},
                   key=None)
        for method in ("GET", "PUT", "POST", "DELETE"):
            self.assertEqual(
                self.api(method, "/settings/security").status, 405)


class MidMonth(Trail):
    """No test of what is counted by days and months runs into another."""

    def setUp(self):
        super().setUp()
        y, m = time.gmtime()[:2]
        noon = calendar.timegm((y, m, 15, 12, 0, 0))
        self.ahead = int((noon - time.time()) * 1000)
        self.sb.control("PUT", "/clock", {"aheadMs": self.ahead})


class Usage(MidMonth):
    def tearDown(self):
        self.sb.control("PUT", "/clock", {"aheadMs": 0})
        self.sb.control("PUT", "/rate-limit", {"perMinute": 0})

    def test_rate_limit_where_none_is_enforced(self):
        self.sb.control("PUT", "/api-keys/fresh", {"scopes": []})
        for n in (599, 598, 597):
            a = self.api("GET", "/rate-limit", key="fresh")
            self.assertEqual(a.status, 200)
            self.assertEqual(set(a.json), {"limit", "remaining", "reset",
                                           "period"})
            self.assertEqual((a.json["limit"], a.json["remaining"],
                              a.json["period"]), (600, n, "1m"))
            self.assertIsNone(a.headers["X-RateLimit-Limit"])
            ahead = a.json["reset"] - (time.time() + self.ahead / 1000)
            self.assertLessEqual(abs(ahead), WAIT + 1)
        self.error(401, "unauthorized", "GET", "/rate-limit", key=None)

    def test_rate_limit(self):
        self.sb.control("PUT", "/api-keys/busy", {"scopes": []})
        self.sb.control("PUT", "/rate-limit", {"perMinute": 5})
        for n in (4, 3):
            a = self.api("GET", "/rate-limit", key="busy")
            self.assertEqual((a.json["limit"], a.json["remaining"]), (5, n))
            self.assertEqual(a.headers["X-RateLimit-Remaining"], str(n))
            self.assertEqual(a.headers["X-RateLimit-Reset"],
                             str(a.json["reset"]))

    def category(self, name, **kw):
        u = self.ok(200, "GET", "/usage/storage", **kw)
        return next(c for c in u["categories"] if c["id"] == name), u

    def test_storage(self):
        self.sb.control("PUT", "/api-keys/st",
                        {"scopes": ["*"], "tenant": "storage"})
        first, u = self.category("secrets", key="st")
        self.assertEqual(set(u), {
            "periodStart", "periodEnd", "asOf", "lastSampledAt",
            "totalBytes", "monthAverageBytes", "gbMonthsAccrued",
            "categories"})
        self.assertEqual([c["id"] for c in u["categories"]],
                         ["secrets", "keys", "certificates", "attachments",
                          "log_archives"])
        for c in u["categories"]:
            self.assertEqual(set(c), {"id", "bytes", "items",
                                      "monthAverageBytes",
                                      "gbMonthsAccrued"})
            self.assertEqual((c["bytes"], c["items"]), (0, 0))
        for name in ("periodStart", "periodEnd", "asOf"):
            self.assertRegex(u[name], r"^\d{4}-\d\d-\d\d$")
        self.assertTrue(u["periodStart"].endswith("-01"))
        self.assertLessEqual(u["periodStart"], u["asOf"])
        self.assertLessEqual(u["asOf"], u["periodEnd"])
        self.assertRegex(u["lastSampledAt"], TIME)
        s = self.ok(201, "POST", "/secrets", {"name": "a", "value": "x" * 10},
                    key="st")
        self.ok(200, "PUT", f"/secrets/{s['id']}/value", {"value": "y" * 7},
                key="st")
        c, u = self.category("secrets", key="st")
        self.assertEqual((c["bytes"], c["items"], u["totalBytes"]),
                         (17, 1, 17))
        self.ok(201, "POST", "/keys", {
            "name": "k", "keyType": "encryption", "algorithm": "AES-256-GCM"},
            key="st")
        c, u = self.category("keys", key="st")
        self.assertEqual((c["bytes"], c["items"], u["totalBytes"]),
                         (32, 1, 49))
        ca = self.ok(201, "POST", "/cas", {"name": "c", "subject": "CN=c"},
                     key="st")
        c, _ = self.category("certificates", key="st")
        self.assertEqual((c["bytes"], c["items"]),
                         (len(ca["certificatePem"]), 1))
        stream = self.ok(201, "POST", "/log-streams", {
            "name": "f", "streamType": "File", "configJson": "{}"}, key="st")
        self.ok(200, "GET", "/secrets", key="st")
        days = self.ok(200, "GET", f"/log-streams/{stream['id']}/files",
                       key="st")
        c, _ = self.category("log_archives", key="st")
        # The listing of the files is an event, too.
        self.assertGreaterEqual(c["bytes"], days["totalSizeBytes"])
        self.assertEqual(c["items"], len(days["days"]))
        # The day's sample was taken before all this.
        self.assertEqual((u["monthAverageBytes"], u["gbMonthsAccrued"]),
                         (0, 0))

    def test_a_sample_a_day(self):
        self.sb.control("PUT", "/api-keys/d",
                        {"scopes": ["*"], "tenant": "days"})
        # To the first of the next month: the days after it are there.
        now = time.time()
        y, m = time.gmtime(now)[:2]
        nxt = calendar.timegm((y + m // 12, m % 12 + 1, 1, 12, 0, 0))
        ahead = int((nxt - now) * 1000)
        self.sb.control("PUT", "/clock", {"aheadMs": ahead})
        days = calendar.monthrange(*time.gmtime(nxt)[:2])[1]
        self.ok(201, "POST", "/secrets", {"name": "a", "value": "x" * 100},
                key="d")
        c, u = self.category("secrets", key="d")
        self.assertEqual((c["monthAverageBytes"], u["monthAverageBytes"]),
                         (100, 100))
        s = self.ok(201, "POST", "/secrets", {"name": "b", "value": "x" * 60},
                    key="d")
        c, u = self.category("secrets", key="d")
        self.assertEqual((c["bytes"], c["monthAverageBytes"]), (160, 100))
        self.sb.control("PUT", "/clock", {"aheadMs": ahead + DAY_MS})
        c, u = self.category("secrets", key="d")
        self.assertEqual((c["monthAverageBytes"], u["asOf"][-2:]),
                         (130, "02"))
        self.assertAlmostEqual(c["gbMonthsAccrued"], 260 / 2**30 / days)
        self.ok(204, "DELETE", "/secrets/" + s["id"], key="d")
        c, u = self.category("secrets", key="d")
        self.assertEqual((c["bytes"], c["monthAverageBytes"]), (100, 130))
        # A new month begins with nothing but what is there.
        self.sb.control("PUT", "/clock",
                        {"aheadMs": ahead + days * DAY_MS})
        c, u = self.category("secrets", key="d")
        self.assertEqual((c["monthAverageBytes"], u["asOf"][-2:]),
                         (100, "01"))

    def test_storage_needs_a_key_and_no_scope(self):
        self.ok(200, "GET", "/usage/storage", key="none")
        self.error(401, "unauthorized", "GET", "/usage/storage", key=None)


class Billing(MidMonth):
    SEED = {"subscription": {"plan": "team", "currency": "CHF"}}

    def test_subscription(self):
        s = self.ok(200, "GET", "/billing/subscription")
        self.assertEqual(set(s), {"plan", "status", "currentPeriodStart",
                                  "currentPeriodEnd", "currency",
                                  "cancelAtPeriodEnd"})
        self.assertEqual((s["plan"], s["status"], s["currency"],
                          s["cancelAtPeriodEnd"]),
                         ("team", "active", "CHF", False))
        self.assertLess(seconds(s["currentPeriodStart"]),
                        seconds(s["currentPeriodEnd"]))

    COUNTS = ("apiCalls", "encryptOperations", "decryptOperations",
              "signOperations", "verifyOperations", "secretsStored",
              "keysStored")

    def usage(self):
        u = self.ok(200, "GET", "/billing/usage")
        self.assertEqual(set(u), {"periodStart", "periodEnd", "limits"} |
                         set(self.COUNTS))
        self.assertIsInstance(u["limits"], dict)
        return u

    def grew(self, before, after):
        return {k: after[k] - before[k] for k in self.COUNTS
                if after[k] != before[k]}

    def test_calls_and_things(self):
        a = self.usage()
        b = self.usage()
        self.assertEqual(self.grew(a, b), {"apiCalls": 1})
        s = self.secret()
        k = self.key()
        self.error(404, "not_found", "GET", "/secrets/" + NONE)
        self.error(403, "insufficient_scope", "GET", "/secrets", key="none")
        # What shows no key is no call of the tenant's.
        self.error(401, "unauthorized", "GET", "/secrets", key=None)
        self.sb.raw("GET", "/health", key=None)
        c = self.usage()
        self.assertEqual(self.grew(b, c), {"apiCalls": 5, "secretsStored": 1,
                                           "keysStored": 1})
        self.ok(204, "DELETE", "/secrets/" + s["id"])
        self.ok(200, "DELETE", f"/keys/{k['id']}?scheduleDays=0")
        self.assertEqual(self.grew(c, self.usage()), {
            "apiCalls": 3, "secretsStored": -1, "keysStored": -1})

    def test_a_fault_is_no_call(self):
        a = self.usage()
        self.sb.fault(path="/secrets", status=503, times=1)
        self.api("GET", "/secrets")
        self.assertEqual(self.grew(a, self.usage()), {"apiCalls": 1})

    def test_a_refused_call_is_none(self):
        a = self.usage()
        self.sb.control("PUT", "/rate-limit", {"perMinute": 1})
        try:
            self.sb.control("PUT", "/api-keys/few", {"scopes": ["*"]})
            got = [self.api("GET", "/secrets", key="few").status
                   for _ in range(3)]
        finally:
            self.sb.control("PUT", "/rate-limit", {"perMinute": 0})
        self.assertEqual(got, [200, 429, 429])
        self.assertEqual(self.grew(a, self.usage()), {"apiCalls": 2})

    def test_of_another_tenant(self):
        a = self.usage()
        self.sb.control("PUT", "/api-keys/o",
                        {"scopes": ["*"], "tenant": "o"})
        for _ in range(3):
            self.ok(200, "GET", "/secrets", key="o")
        u = self.ok(200, "GET", "/billing/usage", key="o")
        self.assertEqual(u["apiCalls"], 3)
        self.assertEqual(self.grew(a, self.usage()), {"apiCalls": 1})

    def has(self, path):
        table = self.sb.control("GET", "/endpoints").json["endpoints"]
        return any(e["path"] == "/api/v1" + path for e in table)

    def test_operations(self):
        if not self.has("/encrypt"):
            self.skipTest("there is no /encrypt here")
        text = base64.b64encode(b"data").decode()
        aes = self.key("AES-256-GCM", "encryption")
        ed = self.key("Ed25519", "signing")
        a = self.usage()
        enc = self.ok(200, "POST", "/encrypt", {
            "plaintext": text, "encoding": "base64", "keyId": aes["id"]})
        for _ in range(2):
            self.ok(200, "POST", "/decrypt", {
                "encryptedPayload": enc["encryptedPayload"]})
        sig = self.ok(200, "POST", "/sign", {
            "data": text, "keyId": ed["id"], "algorithm": "Ed25519"})
        for s in (sig["signature"], base64.b64encode(bytes(64)).decode()):
            self.ok(200, "POST", "/verify", {
                "data": text, "keyId": ed["id"], "signature": s})
        self.error(400, "invalid_request", "POST", "/encrypt", {})
        self.error(404, "not_found", "POST", "/sign", {
            "data": text, "keyId": NONE, "algorithm": "Ed25519"})
        self.assertEqual(self.grew(a, self.usage()), {
            "apiCalls": 9, "encryptOperations": 1, "decryptOperations": 2,
            "signOperations": 1, "verifyOperations": 2})

    def test_operations_by_name(self):
        if not self.has("/transit/batch/encrypt/{keyName}"):
            self.skipTest("there is no /transit here")
        text = base64.b64encode(b"data").decode()
        k = self.key("AES-256-GCM", "encryption")
        a = self.usage()
        r = self.ok(200, "POST", "/transit/batch/encrypt/" + k["name"],
                    {"items": [{"plaintext": text}] * 3 +
                     [{"plaintext": "not base64"}]})
        good = [{"ciphertext": x["ciphertext"]} for x in r["results"]
                if not x.get("error")]
        self.ok(200, "POST", "/transit/batch/decrypt/" + k["name"],
                {"items": good[:2]})
        self.ok(200, "POST", "/transit/encrypt/" + k["name"],
                {"plaintext": text})
        self.ok(200, "POST", "/transit/decrypt/" + k["name"], good[0])
        self.assertEqual(self.grew(a, self.usage()), {
            "apiCalls": 5, "encryptOperations": 4, "decryptOperations": 3})


if __name__ == "__main__":
    unittest.main()
