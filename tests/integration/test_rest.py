#!/usr/bin/env python3
"""The service's REST paths through the agent, compared with what the service
itself says: every projection of secrets and keys, lists, errors, and who may
ask for what. Callers come over http-listen=, so rules are about user=http."""

import base64
import itertools
import json
import os
import urllib.parse

import harness
import rawhttp
from harness import Case, secret, value
from test_http import free_place

TOKENS = ("customFields notes labels description expiresAt folderId isActive "
          "isFavorite hasTotp isTravelSafe createdAt updatedAt createdBy "
          "updatedBy").split()
KEY_TOKENS = ("name description keyType isPostQuantum isActive isDefault "
              "isFavorite createdAt expiresAt lastRotatedAt labels state "
              "scheduledDeletionDate").split()
ODD = "é€😀 \u0000\u001f\"\\/<>&'+\u2028\u007f\r\n\t"
SEED = {
    "secrets": [
        secret("id-full", "db/prod/password", value("full") + ODD,
               username="app", contentType="password",
               totpSecret="GEZDGNBVGY3TQOJQ", description="what it is",
               notes=value("notes"), labels=["a", "é"],
               urls=[{"url": "https://x.example/?a=b&c"}],
               customFields=[{"name": "user", "value": ODD, "type": "text"}],
               folderId="f1", expiresAt="2099-05-08T12:00:00Z",
               isFavorite=True, isTravelSafe=True, createdBy="me@x.example",
               unknownYet={"a": [1, 2.5, None, True], "b": ODD},
               other_member="kept"),
        secret("id-bare", "bare", ""),
        secret("id-app", "app/one", value("app")),
        secret("id-off", "app/off", value("off"), isActive=False),
        secret("id-odd", "100% of é/ü?&=+ #", value("odd")),
    ],
    "keys": [
        {"id": "k-sign", "name": "app-sign", "algorithm": "Ed25519",
         "keyType": "signing", "description": "says \"x\" {[,]}",
         "labels": ["l1"]},
        {"id": "k-kem", "name": "app-kem", "algorithm": "X25519",
         "keyType": "encryption", "isDefault": True},
        {"id": "k-rsa", "name": "other-rsa", "algorithm": "RSA-2048",
         "keyType": "signing"},
        {"id": "k-pq", "name": "other-pq", "algorithm": "ML-DSA-65",
         "keyType": "signing"},
    ],
}
ALL = {"user": "http", "secrets": "**", "keys": "**",
       "operations": "read,list,encrypt,decrypt,sign,verify,call",
       "paths": "* /**"}


class Rest(Case):
    """A daemon with http-listen=; via() asks it, direct() the service."""

    AUTO = False
    SEED = SEED

    def start(self, conf=None, seed=None, allow=None, **kw):
        self.where = free_place()
        self.token_path = os.path.join(self.dir, "token")
        rules = [("everything", ALL)] if allow is None else allow
        super().start({"agent": {
            "http-listen": f"{self.where[0]}:{self.where[1]}",
            "http-token-file": self.token_path}, **(conf or {})},
            seed, rules, **kw)
        with open(self.token_path, encoding="ascii") as f:
            self.token = f.read().strip()
        self.note_private(self.token)

    def rules(self, *rules):
        """Start with these for user=http, titled "rule 0", …"""
        self.start(allow=[(f"rule {i}", {"user": "http", **r})
                          for i, r in enumerate(rules)])

    def via(self, method, path, body=None, headers=()):
        data = None if body is None else body if isinstance(body, bytes) \
            else json.dumps(body).encode()
        headers = [("X-Api-Key", self.token), *headers]
        if data is not None:
            headers.append(("Content-Type", "application/json"))
        return rawhttp.ask(self.where, method, path, headers, data)

    def direct(self, method, path, body=None, key=None):
        headers = [("X-Api-Key", key or self.key)]
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers.append(("Content-Type", "application/json"))
        return rawhttp.ask(("127.0.0.1", self.sandbox.port), method, path,
                           headers, data)

    def same(self, path):
        """Agent and service say the same to a GET; what they say."""
        ours, theirs = self.via("GET", path), self.direct("GET", path)
        with self.subTest(path=path):
            self.assertEqual(ours.status, theirs.status, ours.body)
            self.assertEqual(ours.headers["content-type"].split(";")[0],
                             theirs.headers["content-type"].split(";")[0])
            self.assertEqual(json.loads(ours.body), json.loads(theirs.body))
        return json.loads(ours.body)

    def error(self, answer, status, code):
        self.assertEqual(answer.status, status, answer.body)
        got = json.loads(answer.body)
        self.assertEqual(got["error"], code)
        self.assertGreater(len(got["message"]), 10)
        return got["message"]

    def may(self, method, path, body=None):
        """Was it let through, to whatever the service says?"""
        a = self.via(method, path, body)
        if a.status == 403:
            self.assertIn("the agent's configuration",
                          self.error(a, 403, "forbidden"))
            return False
        self.assertLess(a.status, 300, (method, path, a.body))
        return True

    def check(self, rows):
        for allowed, method, path, *body in rows:
            with self.subTest(method=method, path=path, body=body):
                self.assertEqual(self.may(method, path, *body), allowed)


class Secrets(Rest):
    """GET /secrets/{id}: one cached object, every projection of it."""

    def setUp(self):
        super().setUp()
        self.start()

    def test_each_projection_is_what_the_service_says(self):
        queries = ["", "include=", "include=all", "include=metadata",
                   "include=notes,all", "include=" + ",".join(TOKENS),
                   "include=" + "%2C".join(TOKENS[:4]), "other=1",
                   "include=notes&include=labels&x=y", "include=,notes,,"]
        queries += ["include=" + t for t in TOKENS]
        queries += ["include=" + ",".join(p)
                    for p in itertools.combinations(TOKENS[:5], 2)]
        for s in ("id-full", "id-bare", "id-odd"):
            for q in queries:
                got = self.same(f"/api/v1/secrets/{s}?{q}")
                self.assertIn("value", got)
        self.sandbox.forget()
        for q in queries:
            a = self.via("GET", "/api/v1/secrets/id-full?" + q)
            self.assertEqual(a.headers["x-qapi-agent-cache"], "hit")
        self.assertEqual(self.sandbox.total, 0)

    def test_what_is_refused_is_refused_as_the_service_does(self):
        for q in ("include=nonsense", "include=Notes", "include=value",
                  "include=notes,x", "version=0", "version=x"):
            path = "/api/v1/secrets/id-full?" + q
            ours, theirs = self.via("GET", path), self.direct("GET", path)
            self.error(ours, theirs.status, "invalid_request")
            self.assertEqual(theirs.status, 400)
            self.assertEqual(
                set(json.loads(ours.body)["details"]["fields"]),
                set(json.loads(theirs.body)["details"]["fields"]))
        for path in ("/api/v1/secrets/no-such", "/api/v1/secrets/id-off",
                     "/api/v1/secrets/id-full?version=9"):
            ours, theirs = self.via("GET", path), self.direct("GET", path)
            self.error(ours, theirs.status, "not_found")
            self.assertEqual(theirs.status, 404)

    def test_versions(self):
        first = SEED["secrets"][0]["value"]
        new = value("second")
        self.note_private(new)
        self.same("/api/v1/secrets/id-full")
        a = self.via("PUT", "/api/v1/secrets/id-full/value", {"value": new})
        self.assertEqual(a.status, 200, a.body)
        # after a write through the agent the next read shows it
        self.assertEqual(self.same("/api/v1/secrets/id-full")["value"], new)
        for q in ("version=1", "version=1&include=all", "version=2",
                  "version=2&include=notes"):
            self.same("/api/v1/secrets/id-full?" + q)
        self.assertEqual(
            self.same("/api/v1/secrets/id-full?version=1")["value"], first)

    def test_names_as_in_references(self):
        for s in SEED["secrets"][:3] + SEED["secrets"][4:]:
            name = urllib.parse.quote(s["name"], safe="")
            a = self.via("GET", f"/api/v1/secrets/{name}?include=all")
            self.assertEqual(a.status, 200, a.body)
            self.assertEqual(json.loads(a.body), json.loads(self.direct(
                "GET", f"/api/v1/secrets/{s['id']}?include=all").body))


class Keys(Rest):
    """GET /keys/{id}/public."""

    def setUp(self):
        super().setUp()
        self.start()

    def test_each_projection_is_what_the_service_says(self):
        includes = ["", "all", "metadata", ",".join(KEY_TOKENS)] + KEY_TOKENS
        for key in ("k-sign", "k-kem", "k-rsa", "k-pq"):
            for form in ("", "raw", "pem", "der"):
                if key == "k-pq" and form in ("pem", "der") and self.direct(
                        "GET", f"/api/v1/keys/{key}/public?format={form}"
                        ).status != 200:
                    continue
                for include in includes:
                    q = [f"format={form}"] * bool(form) + \
                        [f"include={include}"] * bool(include)
                    self.same(f"/api/v1/keys/{key}/public?" + "&".join(q))
            ours, theirs = (f("GET", f"/api/v1/keys/{key}/public?format=jwk"
                              "&include=whatever")
                            for f in (self.via, self.direct))
            self.assertEqual(ours.body, theirs.body)
        # JSON form, pem and der of each, no more: raw is in the first
        reads = {n: c for n, c in self.sandbox.requests().items()
                 if n.endswith("/k-sign/public")}
        self.sandbox.forget()
        self.via("GET", "/api/v1/keys/k-sign/public?format=pem&include=all")
        self.assertEqual(self.sandbox.total, 0)
        self.assertEqual(len(reads), 1)

    def test_after_a_rotation_all_forms_are_of_the_new_version(self):
        paths = ["/api/v1/keys/k-sign/public?include=all&format=" + form
                 for form in ("raw", "pem", "der")]
        before = [self.same(p) for p in paths]
        a = self.via("POST", "/api/v1/keys/k-sign/rotate", {})
        self.assertEqual(a.status, 200, a.body)
        for path, old in zip(paths, before):
            got = self.same(path)
            self.assertEqual(got["version"], 2)
            self.assertNotEqual(got["publicKey"], old["publicKey"])

    def test_errors(self):
        for q in ("format=x", "format=pkcs8", "include=x"):
            path = "/api/v1/keys/k-sign/public?" + q
            self.error(self.via("GET", path), 400, "invalid_request")
            self.assertEqual(self.direct("GET", path).status, 400)
        self.error(self.via("GET", "/api/v1/keys/no/public"), 404,
                   "not_found")


class Errors(Rest):
    def test_what_is_wrong_with_the_agents_key_is_not_the_callers(self):
        self.start_sandbox({**SEED, "apiKeys": [
            {"key": self.key, "scopes": ["audit:read"]}]})
        self.start()
        for path in ("/api/v1/secrets/id-full", "/api/v1/keys",
                     "/api/v1/secrets/id-full/history"):
            message = self.error(self.via("GET", path), 502,
                                 "agent_insufficient_scope")
            self.assertIn("not of its caller", message)
        self.assertEqual(self.via("GET", "/api/v1/audit").status, 200)

    def test_a_key_that_is_refused(self):
        self.start_sandbox({**SEED, "apiKeys": [
            {"key": "qapi_other", "scopes": ["*"]}]})
        self.start()
        for path in ("/api/v1/secrets/id-full", "/api/v1/keys/k-rsa/public",
                     "/api/v1/audit"):
            message = self.error(self.via("GET", path), 502,
                                 "agent_unauthorized")
            self.assertIn("not of its caller", message)

    def test_a_key_that_is_refused_for_what_is_handed_on(self):
        self.start_sandbox({**SEED, "apiKeys": [
            {"key": "qapi_other", "scopes": ["*"]}]})
        self.start()
        message = self.error(self.via("GET", "/api/v1/audit"), 502,
                             "agent_unauthorized")
        self.assertIn("not of its caller", message)

    def test_what_the_service_refuses_comes_as_it_is(self):
        self.start()
        for method, path, body in (
                ("POST", "/api/v1/secrets", {"value": "x"}),
                ("GET", "/api/v1/keys/no-such", None),
                ("GET", "/api/v1/nothing/here", None),
                ("PUT", "/api/v1/secrets/id-full", {})):
            ours = self.via(method, path, body)
            theirs = self.direct(method, path, body)
            self.assertEqual((ours.status, json.loads(ours.body)),
                             (theirs.status, json.loads(theirs.body)))

    def test_settings_are_refused_without_asking(self):
        self.start()
        self.sandbox.forget()
        a = self.via("PATCH", "/api/v1/settings/security", {"x": 1})
        self.error(a, 403, "forbidden")
        self.assertEqual(self.sandbox.total, 0)
        self.assertEqual(self.direct("PATCH", "/api/v1/settings/security",
                                     {"x": 1}).status, 403)

    def test_expired_values_are_withheld(self):
        self.start()
        self.sandbox.set("id-app", expiresAt="2020-01-01T00:00:00Z")
        self.error(self.via("GET", "/api/v1/secrets/id-app"), 410, "expired")


class Lists(Rest):
    def rows(self, path):
        a = self.via("GET", path)
        self.assertEqual(a.status, 200, a.body)
        return json.loads(a.body), a

    def test_byte_for_byte_for_who_may_read_all(self):
        self.start()
        for path in ("/api/v1/secrets", "/api/v1/secrets?page=2&pageSize=2",
                     "/api/v1/secrets?label=a&includeInactive=true",
                     "/api/v1/keys?keyType=signing&allVersions=true"):
            ours, theirs = self.via("GET", path), self.direct("GET", path)
            self.assertEqual(ours.body, theirs.body)
            self.assertNotIn("x-qapi-agent-cache", ours.headers)

    def test_the_cached_listing_while_the_service_is_away(self):
        self.start()
        self.via("GET", "/api/v1/secrets/bare")     # by name: it lists
        theirs = json.loads(self.direct("GET", "/api/v1/secrets").body)
        self.sandbox.stop()
        got, a = self.rows("/api/v1/secrets?pageSize=2")
        self.assertEqual(a.headers["x-qapi-agent-cache"], "stale")
        self.assertEqual([r["id"] for r in got["secrets"]],
                         [r["id"] for r in theirs["secrets"][:2]])
        self.assertEqual((got["total"], got["hasMore"], got["has_more"],
                          got["pageSize"], got["page_size"]),
                         (4, True, True, 2, 2))
        self.error(self.via("GET", "/api/v1/secrets?label=a"), 503,
                   "unavailable")

    def test_others_see_what_they_may_and_nothing_else(self):
        self.rules({"secrets": "app/**", "keys": "app-*",
                    "operations": "read,list"})
        theirs = {r["id"]: r for r in json.loads(self.direct(
            "GET", "/api/v1/secrets?includeInactive=true").body)["secrets"]}
        got, a = self.rows("/api/v1/secrets")
        self.assertEqual(a.headers["x-qapi-agent-cache"], "miss")
        self.assertEqual([r["id"] for r in got["secrets"]], ["id-app"])
        self.assertEqual(got["total"], 1)
        got, a = self.rows("/api/v1/secrets?includeInactive=true")
        self.assertEqual(a.headers["x-qapi-agent-cache"], "hit")
        self.assertEqual([r["id"] for r in got["secrets"]],
                         ["id-app", "id-off"])
        # each member that is told is what the service tells
        for row in got["secrets"]:
            self.assertLessEqual(
                {"id", "name", "version", "createdAt", "isActive"}, set(row))
            for name, told in row.items():
                self.assertEqual(told, theirs[row["id"]][name], name)
        got, a = self.rows("/api/v1/secrets?includeInactive=true&search=OFF")
        self.assertEqual([r["id"] for r in got["secrets"]], ["id-off"])
        got, a = self.rows("/api/v1/keys")
        theirs = {r["id"]: r for r in json.loads(self.direct(
            "GET", "/api/v1/keys").body)["keys"]}
        self.assertEqual([r["id"] for r in got["keys"]],
                         [i for i in theirs if i in ("k-sign", "k-kem")])
        for row in got["keys"]:
            self.assertLessEqual({"id", "name", "keyType", "algorithm",
                                  "version", "createdAt", "status"}, set(row))
            for name, told in row.items():
                self.assertEqual(told, theirs[row["id"]][name], name)
        for q in ("label=a", "contentType=x"):
            self.error(self.via("GET", "/api/v1/secrets?" + q), 400,
                       "invalid_request")


    def test_after_a_write_the_next_list_shows_it(self):
        self.rules({"secrets": "app/**", "operations": "read,list,call",
                    "paths": "* /secrets/**, POST /secrets"})
        before, _ = self.rows("/api/v1/secrets")
        a = self.via("POST", "/api/v1/secrets",
                     {"name": "app/new", "value": "x"})
        self.assertEqual(a.status, 201, a.body)
        new = json.loads(a.body)["id"]
        got, _ = self.rows("/api/v1/secrets")
        self.assertEqual({r["id"] for r in got["secrets"]},
                         {r["id"] for r in before["secrets"]} | {new})
        a = self.via("PATCH", "/api/v1/secrets/" + new, {"name": "app/2"})
        self.assertEqual(a.status, 200, a.body)
        got, _ = self.rows("/api/v1/secrets")
        self.assertIn("app/2", [r["name"] for r in got["secrets"]])
        self.assertEqual(self.via("DELETE", "/api/v1/secrets/" + new).status,
                         204)
        got, _ = self.rows("/api/v1/secrets")
        self.assertEqual(got, before)


class Rules(Rest):
    """Who may have what handed on; the callers are user=http."""

    def test_without_a_rule_nothing(self):
        self.start(allow=[("another", {"user": "root", "secrets": "**"})])
        for method, path in (("GET", "/api/v1/secrets/id-full"),
                             ("GET", "/api/v1/secrets"), ("GET", "/health"),
                             ("POST", "/api/v1/encrypt"),
                             ("DELETE", "/api/v1/secrets/id-full")):
            self.error(self.via(method, path), 403, "forbidden")
        self.assertEqual(self.sandbox.total, 0)

    def test_denied_alike_by_the_rules_title_whatever_exists(self):
        self.rules({"secrets": "app/**"},
                   {"secrets": "zzz-not-told", "operations": "list"})
        messages = set()
        for text in ("id-full", "no-such", "db%2Fprod%2Fpassword", "nothing",
                     "5a1f0c52-8f7e-4c1d-9c37-0d4f0c9a1b11"):
            messages.add(self.error(self.via(
                "GET", "/api/v1/secrets/" + text), 403, "forbidden"))
        self.assertEqual(len(messages), 1)
        message = messages.pop()
        self.assertIn('"rule 0"', message)
        self.assertNotIn("app/", message)
        self.assertEqual(self.via("GET", "/api/v1/secrets/id-app").status,
                         200)

    def test_paths_by_method(self):
        self.rules({"operations": "call",
                    "paths": "GET /billing/**, POST /secrets, * /roles"})
        self.check([
            (True, "GET", "/api/v1/billing/usage"),
            (True, "GET", "/billing/usage"),
            (True, "HEAD", "/api/v1/billing/usage"),
            (False, "GET", "/api/v1/audit"),
            (True, "POST", "/api/v1/secrets", {"name": "n", "value": "v"}),
            (False, "GET", "/api/v1/secrets/id-app"),
            (True, "GET", "/api/v1/roles"),
            (False, "GET", "/api/v1/roles/x"),
        ])
        self.note_private()

    def test_a_rule_for_some_secrets_is_about_those(self):
        self.rules({"operations": "call", "paths": "* /**",
                    "secrets": "app/**", "keys": "app-*"})
        pem = base64.b64encode(b"data").decode()
        self.check([
            (True, "GET", "/api/v1/secrets/id-app"),
            (True, "GET", "/api/v1/secrets/app%2Fone"),
            (False, "GET", "/api/v1/secrets/id-full"),
            (True, "GET", "/api/v1/secrets/id-app/history"),
            (False, "GET", "/api/v1/secrets/id-full/history"),
            (True, "PUT", "/api/v1/secrets/id-app/value", {"value": "x"}),
            (False, "PUT", "/api/v1/secrets/id-full/value", {"value": "x"}),
            (False, "PUT", "/api/v1/%53ecrets/id-full/value",
             {"value": "x"}),
            (True, "POST", "/api/v1/secrets", {"name": "app/2", "value": ""}),
            (False, "POST", "/api/v1/secrets", {"name": "db/2", "value": ""}),
            (True, "PATCH", "/api/v1/secrets/id-app", {"notes": "n"}),
            (False, "PATCH", "/api/v1/secrets/id-app", {"name": "db/x"}),
            (False, "PATCH", "/api/v1/secrets/id-app", {"NAME": "db/x"}),
            (True, "POST", "/api/v1/secrets/import",
             {"items": [{"name": "app/3", "value": "x"}]}),
            (False, "POST", "/api/v1/secrets/import",
             {"items": [{"name": "app/3", "value": "x"},
                        {"name": "bare", "value": "x"}]}),
            (True, "POST", "/api/v1/vault/share", {"secretId": "id-app"}),
            (False, "POST", "/api/v1/vault/share", {"secretId": "id-full"}),
            (True, "GET", "/api/v1/vault/share/by-secret/id-app"),
            (False, "GET", "/api/v1/vault/share/by-secret/id-full"),
            (False, "DELETE", "/api/v1/vault/share/any"),
            (True, "GET", "/api/v1/keys/k-sign"),
            (False, "GET", "/api/v1/keys/k-rsa"),
            (True, "POST", "/api/v1/sign", {"keyId": "k-sign", "data": pem,
                                            "algorithm": "Ed25519"}),
            (False, "POST", "/api/v1/sign", {"keyId": "k-rsa", "data": pem}),
            (True, "POST", "/api/v1/transit/sign/app-sign", {"data": pem}),
            (False, "POST", "/api/v1/transit/sign/other-rsa", {"data": pem}),
            (True, "GET", "/api/v1/billing/usage"),
        ])
        # what another would have read is as it was
        self.assertEqual(json.loads(self.direct(
            "GET", "/api/v1/secrets/id-full").body)["version"], 1)

    def test_cryptography_by_the_key_of_the_body(self):
        self.rules({"keys": "app-*", "operations": "encrypt,decrypt"})
        plain = base64.b64encode(b"plain").decode()

        def encrypt(key, by=self.direct):
            return by("POST", "/api/v1/encrypt",
                      {"plaintext": plain, "encoding": "base64",
                       "keyId": key, "algorithm": "X25519"})
        a = encrypt("k-kem", self.via)
        self.assertEqual(a.status, 200, a.body)
        payload = json.loads(a.body)["encryptedPayload"]
        a = self.via("POST", "/api/v1/decrypt",
                     {"encryptedPayload": payload})
        self.assertEqual((a.status, json.loads(a.body)["plaintext"]),
                         (200, plain))
        other = self.direct("POST", "/api/v1/keys", {
            "name": "hidden", "keyType": "encryption",
            "algorithm": "AES-256-GCM"})
        self.assertEqual(other.status, 201, other.body)
        hidden = json.loads(other.body)["id"]
        a = encrypt(hidden)
        self.assertEqual(a.status, 200, a.body)
        foreign = json.loads(a.body)["encryptedPayload"]
        self.check([
            (False, "POST", "/api/v1/encrypt", {"plaintext": plain}),
            (False, "POST", "/api/v1/encrypt",
             {"plaintext": plain, "keyId": hidden}),
            (False, "POST", "/api/v1/decrypt", {"encryptedPayload": foreign}),
            (False, "POST", "/api/v1/decrypt",
             {"encryptedPayload": foreign, "keyId": "k-kem"}),
            (False, "POST", "/api/v1/sign", {"keyId": "k-sign", "data": ""}),
        ])


if __name__ == "__main__":
    harness.main()
