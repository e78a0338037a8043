#!/usr/bin/env python3
"""Insights, resource groups, compliance and log streams of qapi-sandbox.

    SANDBOX=path/to/qapi-sandbox python3 test_tier2.py
"""

import datetime
import gzip
import json
import subprocess
import tempfile
import unittest
import zlib

from test_sandbox import ALL, SANDBOX, TIME, UUID, WAIT, Case, Sandbox


def snake(name):
    return "".join("_" + c.lower() if c.isupper() else c for c in name)


def members(data):
    """What the members of a gzip file unpack to, each by itself."""
    out = []
    while data:
        d = zlib.decompressobj(wbits=31)
        out.append(d.decompress(data))
        data = d.unused_data
    return out


class Tier2(Case):
    def both(self, obj, names):
        """Exactly these members, and their twins in snake_case."""
        self.assertEqual(set(obj), set(names) | {snake(n) for n in names})
        for n in names:
            self.assertEqual(obj[n], obj[snake(n)])

    def fields(self, fields, *args, **kw):
        e = self.error(400, "invalid_request", *args, **kw)
        self.assertEqual(set(e["details"]["fields"]), set(fields))

    def scopes(self, resource, reads, writes):
        for method, path in reads:
            e = self.error(403, "insufficient_scope", method, path,
                           key="write2")
            self.assertEqual(e["details"]["requiredScope"],
                             resource + ":read")
            self.assertNotEqual(self.api(method, path, key="read2").status,
                                403)
        for method, path in writes:
            e = self.error(403, "insufficient_scope", method, path,
                           key="read2")
            self.assertEqual(e["details"]["requiredScope"],
                             resource + ":write")
            self.assertNotEqual(self.api(method, path, key="write2").status,
                                403)

    ARGS = Case.ARGS + (
        "--api-key", "read2:resourcegroups:read,compliance:read,"
        "logstreams:read", "--api-key",
        "write2:resourcegroups:write,compliance:write,logstreams:write")


class Insights(Tier2):
    def test_shape_and_judgement(self):
        for value, strength, risk in (
                ("abc", "weak", "high"), ("aaaaaaaaaaaa", "medium", "medium"),
                ("aB3-aB3-aB3-aB3-", "strong", "low")):
            s = self.secret(value=value)
            v = self.ok(200, "GET", f"/secrets/{s['id']}/insights")
            self.both(v, ("secretName", "strength", "riskLevel",
                          "recommendations", "analyzedAt"))
            self.assertEqual((v["secretName"], v["strength"], v["riskLevel"]),
                             (s["name"], strength, risk))
            self.assertRegex(v["analyzedAt"], TIME)
            self.assertNotIn(value, json.dumps(v["recommendations"]))

    def test_expired_is_a_risk(self):
        s = self.secret(value="aB3-aB3-aB3-aB3-",
                        expiresAt="2020-01-01T00:00:00Z")
        v = self.ok(200, "GET", f"/secrets/{s['id']}/insights")
        self.assertEqual((v["strength"], v["riskLevel"]), ("strong", "high"))

    def test_errors(self):
        self.error(404, "not_found", "GET", "/secrets/no/insights")
        s = self.secret()
        path = f"/secrets/{s['id']}/insights"
        self.error(403, "insufficient_scope", "GET", path, key="w")
        self.ok(200, "GET", path, key="r")
        self.ok(204, "POST", f"/secrets/{s['id']}/deactivate")
        self.error(404, "not_found", "GET", path)


class Groups(Tier2):
    ROW = ("id", "name", "description", "itemCount", "apiKeyCount",
           "cryptoKeyCount", "secretCount", "createdAt", "updatedAt")
    ITEM = ("id", "resourceType", "resourceId", "resourceName")

    def group(self, **kw):
        return self.ok(201, "POST", "/resource-groups", {"name": "g", **kw})

    def get(self, group):
        return self.ok(200, "GET", "/resource-groups/" + group["id"])

    def test_life(self):
        g = self.group(description="d")
        self.both(g, self.ROW)
        self.assertRegex(g["id"], UUID)
        self.assertEqual((g["name"], g["description"], g["itemCount"],
                          g["updatedAt"]), ("g", "d", 0, None))
        path = "/resource-groups/" + g["id"]
        v = self.ok(200, "PUT", path, {"name": "h"})
        self.both(v, self.ROW)
        self.assertEqual((v["name"], v["description"]), ("h", None))
        self.assertRegex(v["updatedAt"], TIME)
        v = self.ok(200, "GET", path)
        self.both(v, ("id", "name", "description", "items", "createdAt",
                      "updatedAt"))
        listed = self.ok(200, "GET", "/resource-groups")
        self.both(listed, ("groups", "totalCount"))
        self.assertEqual(listed["totalCount"], len(listed["groups"]))
        self.assertIn("h", [x["name"] for x in listed["groups"]])
        self.ok(204, "DELETE", path)
        for method, body in (("GET", None), ("DELETE", None),
                             ("PUT", {"name": "x"})):
            self.error(404, "not_found", method, path, body)

    def test_items(self):
        g = self.group()
        path = f"/resource-groups/{g['id']}"
        s, k = self.secret(), self.key()
        for kind, rid in (("Secret", s["id"]), ("CryptoKey", k["id"]),
                          ("ApiKey", s["id"])):
            self.ok(204, "POST", path + "/items",
                    {"resource_type": kind, "resourceId": rid})
        v = self.get(g)
        self.assertEqual([(i["resourceType"], i["resource_name"])
                          for i in v["items"]],
                         [("Secret", s["name"]), ("CryptoKey", k["name"]),
                          ("ApiKey", s["id"])])
        for i in v["items"]:
            self.both(i, self.ITEM)
        row = [x for x in self.ok(200, "GET", "/resource-groups")["groups"]
               if x["id"] == g["id"]][0]
        self.assertEqual([row[n] for n in self.ROW[3:7]], [3, 1, 1, 1])
        self.ok(204, "DELETE", f"{path}/items/{v['items'][0]['id']}")
        self.assertEqual(len(self.get(g)["items"]), 2)
        self.error(404, "not_found", "DELETE",
                   f"{path}/items/{v['items'][0]['id']}")

    def test_errors(self):
        self.fields({"name"}, "POST", "/resource-groups", {})
        self.fields({"name"}, "POST", "/resource-groups", {"name": "x" * 201})
        self.fields({"description"}, "POST", "/resource-groups",
                    {"name": "x", "description": "x" * 1001})
        g = self.group()
        path = f"/resource-groups/{g['id']}"
        self.fields({"name"}, "PUT", path, {"description": "x"})
        s = self.secret()
        item = {"resourceType": "Secret", "resourceId": s["id"]}
        self.fields({"resourceType"}, "POST", path + "/items",
                    {**item, "resourceType": "secret"})
        self.fields({"resourceId"}, "POST", path + "/items",
                    {"resourceType": "Secret"})
        self.error(404, "not_found", "POST", path + "/items",
                   {**item, "resourceId": "no"})
        self.error(404, "not_found", "POST", path + "/items",
                   {**item, "resourceType": "CryptoKey"})
        self.ok(204, "POST", path + "/items", item)
        self.error(409, "conflict", "POST", path + "/items", item)
        self.error(404, "not_found", "POST", "/resource-groups/no/items",
                   item)

    def test_scopes(self):
        self.scopes("resourcegroups",
                    [("GET", "/resource-groups"),
                     ("GET", "/resource-groups/x")],
                    [("POST", "/resource-groups"),
                     ("PUT", "/resource-groups/x"),
                     ("DELETE", "/resource-groups/x"),
                     ("POST", "/resource-groups/x/items"),
                     ("DELETE", "/resource-groups/x/items/y")])


class Compliance(Tier2):
    ACCEPTANCE = {"id", "framework", "checkId", "checkName",
                  "statusAtAcceptance", "justification", "reviewDate",
                  "acceptedBy", "acceptedAt", "revokedBy", "revokedAt",
                  "isActive", "isExpired"}
    PATH = "/compliance/nis2/checks/operational-monitoring/risk-acceptance"
    WHY = "Monitored by another system."

    def tearDown(self):
        self.api("DELETE", self.PATH)

    def check(self, framework="nis2", check="operational-monitoring"):
        report = self.ok(200, "GET", "/compliance/" + framework)
        return [c for c in report["checks"] if c["id"] == check][0]

    def test_overview_and_report_agree(self):
        v = self.ok(200, "GET", "/compliance")
        self.assertEqual(set(v), {"overallScore", "frameworks"})
        self.assertEqual([f["framework"] for f in v["frameworks"]],
                         ["gdpr", "nis2", "dora", "eidas2"])
        for f in v["frameworks"]:
            self.assertEqual(set(f), {"framework", "score", "passCount",
                                      "warningCount", "failCount",
                                      "riskAcceptedCount"})
            r = self.ok(200, "GET", "/compliance/" + f["framework"].upper())
            self.assertEqual(set(r), {"framework", "overallScore", "checks",
                                      "recommendations"})
            self.assertEqual(r["framework"], f["framework"])
            self.assertEqual(r["overallScore"], f["score"])
            self.assertIn(f["score"], range(101))
            status = [c["status"] for c in r["checks"]]
            for name, count in (("Pass", "passCount"),
                                ("Warning", "warningCount"),
                                ("Fail", "failCount"),
                                ("RiskAccepted", "riskAcceptedCount")):
                self.assertEqual(status.count(name), f[count])
            for c in r["checks"]:
                self.assertEqual(set(c), {
                    "id", "name", "category", "status", "evaluatedStatus",
                    "details", "recommendation", "riskAcceptance"})
        self.fields({"framework"}, "GET", "/compliance/sox")

    def test_acceptance(self):
        before = self.check()
        self.assertEqual((before["status"], before["riskAcceptance"]),
                         ("Fail", None))
        self.error(404, "not_found", "DELETE", self.PATH)
        a = self.ok(201, "POST", self.PATH, {
            "justification": "  " + self.WHY + "\n"}, key="write2")
        self.assertEqual(set(a), self.ACCEPTANCE)
        self.assertRegex(a["id"], UUID)
        self.assertEqual(
            (a["framework"], a["checkId"], a["statusAtAcceptance"],
             a["justification"], a["reviewDate"], a["isActive"],
             a["isExpired"]),
            ("nis2", "operational-monitoring", "Fail", self.WHY, None, True,
             False))
        self.assertTrue(a["acceptedBy"].startswith("apikey:"))
        after = self.check()
        self.assertEqual((after["status"], after["evaluatedStatus"]),
                         ("RiskAccepted", "Fail"))
        self.assertEqual(after["riskAcceptance"], a)
        # Another takes its place.
        b = self.ok(201, "POST", self.PATH, {"justification": self.WHY})
        listed = self.ok(200, "GET", "/compliance/risk-acceptances")
        self.assertEqual(set(listed), {"items", "totalCount"})
        self.assertEqual(listed["totalCount"], len(listed["items"]))
        self.assertEqual(listed["items"][0], b)
        self.assertEqual(listed["items"][1]["id"], a["id"])
        self.assertFalse(listed["items"][1]["isActive"])
        self.assertIsNotNone(listed["items"][1]["revokedAt"])
        c = self.ok(200, "DELETE", self.PATH)
        self.assertEqual((c["id"], c["isActive"]), (b["id"], False))
        self.assertRegex(c["revokedAt"], TIME)
        self.assertTrue(c["revokedBy"].startswith("apikey:"))
        self.error(404, "not_found", "DELETE", self.PATH)
        self.assertEqual(self.check()["status"], "Fail")

    def test_review_date(self):
        at = (datetime.datetime.now(datetime.timezone.utc) +
              datetime.timedelta(days=1)).isoformat()
        a = self.ok(201, "POST", self.PATH, {
            "justification": self.WHY, "review_date": at})
        self.assertEqual((a["reviewDate"], a["isExpired"]), (at, False))
        self.sb.control("PUT", "/clock", {"aheadMs": 2 * 86400 * 1000})
        try:
            v = self.check()
            self.assertEqual(v["status"], "Fail")
            self.assertEqual((v["riskAcceptance"]["isExpired"],
                              v["riskAcceptance"]["isActive"]), (True, False))
        finally:
            self.sb.control("PUT", "/clock", {"aheadMs": 0})

    def test_errors(self):
        for body, field in (({}, "justification"),
                            ({"justification": "   too short   "},
                             "justification"),
                            ({"justification": "x" * 2001}, "justification"),
                            ({"justification": self.WHY,
                              "reviewDate": "2020-01-01T00:00:00Z"},
                             "reviewDate"),
                            ({"justification": self.WHY,
                              "reviewDate": "tomorrow"}, "reviewDate")):
            self.fields({field}, "POST", self.PATH, body)
        body = {"justification": self.WHY}
        self.fields({"framework"}, "POST", self.PATH.replace("nis2", "x"),
                    body)
        self.error(404, "not_found", "POST",
                   "/compliance/gdpr/checks/no/risk-acceptance", body)
        for path in ("/compliance/gdpr/checks/audit-trail/risk-acceptance",
                     "/compliance/dora/checks/third-party-register/"
                     "risk-acceptance"):
            self.error(409, "conflict", "POST", path, body)

    def test_scopes(self):
        self.scopes("compliance", [("GET", "/compliance"),
                                   ("GET", "/compliance/gdpr"),
                                   ("GET", "/compliance/risk-acceptances")],
                    [("POST", self.PATH), ("DELETE", self.PATH)])


class LogStreams(Tier2):
    FIELDS = {"id", "name", "streamType", "configJson", "isActive",
              "lastStreamedAt", "consecutiveFailures", "lastError",
              "createdAt", "updatedAt"}

    def stream(self, kind="File", config=""):
        return self.ok(201, "POST", "/log-streams", {
            "name": "s", "streamType": kind, "configJson": config})

    def path(self, stream, rest=""):
        return f"/log-streams/{stream['id']}{rest}"

    def download(self, stream, day):
        a = self.api("GET", self.path(stream, f"/files/{day}"))
        self.assertEqual(a.status, 200, a.body)
        self.assertEqual(a.headers["Content-Type"], "application/gzip")
        self.assertIsNone(a.headers["Content-Encoding"])
        return a.body

    def test_life(self):
        s = self.stream("Webhook", '{"url":"https://x.example"}')
        self.assertEqual(set(s), self.FIELDS)
        self.assertRegex(s["id"], UUID)
        self.assertEqual((s["isActive"], s["consecutiveFailures"],
                          s["updatedAt"]), (True, 0, None))
        self.assertEqual(self.ok(200, "GET", self.path(s)), s)
        listed = self.ok(200, "GET", "/log-streams")
        self.assertEqual(set(listed), {"items", "totalCount"})
        self.assertIn(s, listed["items"])
        v = self.ok(200, "PUT", self.path(s), {
            "name": "t", "streamType": "Datadog",
            "configJson": '{"apiKey":"k"}'})
        self.assertEqual((v["name"], v["streamType"], v["configJson"]),
                         ("t", "Datadog", '{"apiKey":"k"}'))
        self.assertRegex(v["updatedAt"], TIME)
        for action, active in (("deactivate", False), ("activate", True)):
            v = self.ok(200, "POST", self.path(s, "/" + action))
            self.assertEqual(set(v), self.FIELDS)
            self.assertIs(v["isActive"], active)
        self.ok(204, "DELETE", self.path(s))
        for method, rest in (("GET", ""), ("DELETE", ""), ("PUT", ""),
                             ("POST", "/test"), ("POST", "/activate"),
                             ("GET", "/files"),
                             ("GET", "/files/2026-01-01")):
            self.error(404, "not_found", method, self.path(s, rest))

    def test_test(self):
        good = self.stream("Splunk", '{"url":"https://x.example"}')
        v = self.ok(200, "POST", self.path(good, "/test"))
        self.assertEqual(v, {"success": True, "error": None})
        v = self.ok(200, "GET", self.path(good))
        self.assertRegex(v["lastStreamedAt"], TIME)
        bad = self.stream("Splunk", '{"token":"t"}')
        v = self.ok(200, "POST", self.path(bad, "/test"))
        self.assertIs(v["success"], False)
        self.assertIn("url", v["error"])
        s = self.ok(200, "GET", self.path(bad))
        self.assertEqual((s["consecutiveFailures"], s["lastError"]),
                         (1, v["error"]))

    def test_archive(self):
        s = self.stream(config='{"retentionDays":7}')
        secret = self.secret()
        self.ok(200, "POST", self.path(s, "/deactivate"))
        self.secret()
        v = self.ok(200, "GET", self.path(s, "/files"))
        self.assertEqual(set(v), {"days", "totalSizeBytes", "retentionDays"})
        self.assertEqual(v["retentionDays"], 7)
        days, lines = v["days"][::-1], b""
        self.assertEqual(v["totalSizeBytes"],
                         sum(d["sizeBytes"] for d in days))
        for d in days:  # two of them about midnight
            self.assertEqual(set(d), {"day", "lineCount", "sizeBytes",
                                      "firstEventAt", "lastEventAt"})
            body = self.download(s, d["day"])
            self.assertEqual(len(body), d["sizeBytes"])
            self.assertEqual(len(members(body)), d["lineCount"])
            self.assertTrue(d["firstEventAt"].startswith(d["day"]))
            lines += gzip.decompress(body)
        events = [json.loads(x) for x in lines.splitlines()]
        # What is in the audit trail, while it was active.
        self.assertEqual([(e["action"], e["resourceId"]) for e in events],
                         [("LogStreamCreated", s["id"]),
                          ("SecretCreated", secret["id"])])
        self.assertEqual(len(events), sum(d["lineCount"] for d in days))
        self.error(404, "not_found", "GET", self.path(s, "/files/2020-02-29"))
        for day in ("2020-02-30", "today", "2020-1-1", "2020-01-01T"):
            self.fields({"day"}, "GET", self.path(s, "/files/" + day))

    def test_retention(self):
        s = self.stream(config='{"retentionDays":7}')
        self.ok(200, "POST", self.path(s, "/deactivate"))
        try:
            for days, left in ((6, True), (9, False)):
                self.sb.control("PUT", "/clock",
                                {"aheadMs": days * 86400 * 1000})
                v = self.ok(200, "GET", self.path(s, "/files"))
                self.assertEqual(bool(v["days"]), left)
        finally:
            self.sb.control("PUT", "/clock", {"aheadMs": 0})

    def test_only_file_streams_have_archives(self):
        s = self.stream("Webhook", '{"url":"https://x.example"}')
        self.error(404, "not_found", "GET", self.path(s, "/files"))
        self.error(404, "not_found", "GET", self.path(s, "/files/2026-01-01"))

    def test_errors(self):
        good = {"name": "n", "streamType": "File", "configJson": ""}
        s = self.stream()
        for field, bad in (("name", ""), ("name", None),
                           ("streamType", "Syslog"), ("streamType", None),
                           ("configJson", 1), ("configJson", "x"),
                           ("configJson", "[]"),
                           ("configJson", '{"retentionDays":8}'),
                           ("configJson", '{"retentionDays":"7"}')):
            for method, path in (("POST", "/log-streams"),
                                 ("PUT", self.path(s))):
                self.fields({field}, method, path, {**good, field: bad})
        self.fields({"configJson"}, "POST", "/log-streams",
                    {**good, "streamType": "Webhook"})

    def test_scopes(self):
        self.scopes("logstreams",
                    [("GET", "/log-streams"), ("GET", "/log-streams/x"),
                     ("GET", "/log-streams/x/files"),
                     ("GET", "/log-streams/x/files/2026-01-01")],
                    [("POST", "/log-streams"), ("PUT", "/log-streams/x"),
                     ("DELETE", "/log-streams/x"),
                     ("POST", "/log-streams/x/test"),
                     ("POST", "/log-streams/x/activate"),
                     ("POST", "/log-streams/x/deactivate")])


class Seeds(unittest.TestCase):
    def test_seed(self):
        day = datetime.datetime.now(datetime.timezone.utc).date()
        old = str(day - datetime.timedelta(days=3))
        events = [{"n": i, "text": "x" * 70000} for i in range(3)]
        sb = Sandbox("--api-key", ALL + ":*", seed={
            "secrets": [{"id": "s1", "name": "db"}],
            "resourceGroups": [{"id": "g1", "name": "g", "items": [
                {"resourceType": "Secret", "resourceId": "s1"}]}],
            "compliance": [{"framework": "GDPR", "checkId": "audit-trail",
                            "status": "Fail"}],
            "riskAcceptances": [{
                "framework": "GDPR", "checkId": "audit-trail",
                "justification": "Accepted by the board.",
                "acceptedBy": "ann@example.org",
                "acceptedAt": "2026-01-01T00:00:00Z"}],
            "logStreams": [{"id": "l1", "name": "l", "streamType": "File",
                            "isActive": False, "files": {old: events}}]})
        v = sb.api("GET", "/resource-groups/g1").json
        self.assertEqual(v["items"][0]["resourceName"], "db")
        v = sb.api("GET", "/compliance/risk-acceptances").json["items"][0]
        self.assertEqual((v["acceptedBy"], v["acceptedAt"], v["framework"],
                          v["isActive"]),
                         ("ann@example.org", "2026-01-01T00:00:00Z", "gdpr",
                          True))
        self.assertFalse(sb.api("GET", "/log-streams/l1").json["isActive"])
        body = sb.api("GET", f"/log-streams/l1/files/{old}").body
        # More than a block of deflate holds, and no zlib of our own.
        self.assertEqual([json.loads(x) for x in
                          gzip.decompress(body).splitlines()], events)
        p = subprocess.run(["gzip", "-t"], input=body, timeout=WAIT,
                           check=False)
        self.assertEqual(p.returncode, 0)
        self.assertEqual(sb.stop(), (0, ""))

    def test_bad_seeds(self):
        group = {"name": "g", "items": [{"resourceType": "Secret",
                                         "resourceId": "no"}]}
        stream = {"name": "l", "streamType": "File", "files": {"x": []}}
        for seed, message in (
                ({"resourceGroups": [group]},
                 "resourceGroups[0].resource: names nothing"),
                ({"resourceGroups": [{}]}, "resourceGroups[0].name"),
                ({"logStreams": [stream]}, "logStreams[0].files"),
                ({"logStreams": [{"name": "l"}]},
                 "logStreams[0].streamType"),
                ({"compliance": [{"framework": "x"}]},
                 "compliance[0].framework"),
                ({"compliance": [{"framework": "gdpr", "checkId": "x"}]},
                 "compliance[0].checkId: names nothing"),
                ({"compliance": [{"framework": "gdpr",
                                  "checkId": "audit-trail"}]},
                 "compliance[0].status"),
                ({"riskAcceptances": [{
                    "framework": "gdpr", "checkId": "audit-trail",
                    "justification": "long enough"}]},
                 "riskAcceptances[0]: The check is")):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
                json.dump(seed, f)
                f.flush()
                p = subprocess.run(
                    [SANDBOX, "--listen", "127.0.0.1:0", "--seed", f.name],
                    capture_output=True, text=True, timeout=WAIT,
                    check=False)
            self.assertEqual(p.returncode, 1)
            self.assertIn(message, p.stderr)


if __name__ == "__main__":
    unittest.main()
