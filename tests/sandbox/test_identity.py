#!/usr/bin/env python3
"""Tests of what qapi-sandbox has of QuantumID: applications, end-users, roles.

    SANDBOX=path/to/qapi-sandbox python3 test_identity.py
"""

import os
import unittest

import test_sandbox as base
from test_audit import Trail
from test_sandbox import ALL, TIME, UUID, Sandbox

NONE = "00000000-0000-4000-8000-000000000000"


class Identity(Trail):
    ARGS = ("--api-key", ALL + ":*", "--api-key", "none:",
            "--api-key", "users:endusers:read,endusers:write",
            "--api-key", "roles:roles:read,roles:write",
            "--api-key", "apps:applications:read,applications:write")

    APPLICATION = {"id", "clientId", "displayName", "applicationType",
                   "environment", "isActive", "isConfidential", "createdAt",
                   "description", "redirectUris", "postLogoutRedirectUris",
                   "allowedScopes", "resources", "customDomain",
                   "customDomainVerified", "updatedAt"}
    USER = {"id", "email", "emailVerified", "displayName", "isBlocked",
            "loginCount", "createdAt", "applicationId", "firstName",
            "lastName", "phoneNumber", "phoneNumberVerified",
            "profilePictureUrl", "metadata", "isLockedOut", "blockedReason",
            "blockedAt", "lastLoginAt", "lastIpAddress", "updatedAt",
            "roles", "connections"}
    ROLE = {"id", "name", "isDefault", "createdAt", "description",
            "applicationId", "applicationName", "permissions",
            "endUserCount", "updatedAt"}

    def app(self, app_type="WebApp", **kw):
        body = {"name": "a" + os.urandom(6).hex(),
                "applicationType": app_type, "redirectUris": []}
        body.update(kw)
        return self.ok(201, "POST", "/applications", body)["application"]

    def user(self, app=None, **kw):
        body = {"email": f"u{os.urandom(6).hex()}@example.org",
                "displayName": "A User", "emailVerified": False}
        body.update(kw)
        path = "/endusers" if app is None else \
            f"/applications/{app['id']}/end-users"
        return self.ok(201, "POST", path, body)

    def role(self, **kw):
        body = {"name": "r" + os.urandom(6).hex(), "isDefault": False}
        body.update(kw)
        return self.ok(201, "POST", "/roles", body)

    def path_of(self, user):
        return f"/applications/{user['applicationId']}/end-users/{user['id']}"

    def invalid(self, fields, method, path, body):
        e = self.error(400, "invalid_request", method, path, body)
        self.assertEqual(set(e["details"]["fields"]), set(fields))

    def bad_values(self, method, path, good, bad):
        """Each value of each field alone is refused, and names the field."""
        for field, values in bad.items():
            for v in values:
                with self.subTest(field=field, value=v):
                    self.invalid({field}, method, path, {**good, field: v})


class Applications(Identity):
    def test_create_and_get(self):
        full = {"description": "d", "environment": "Production",
                "redirectUris": ["https://x/cb"],
                "postLogoutRedirectUris": ["https://x/out"],
                "allowedScopes": ["openid"], "resources": ["https://api"]}
        a = self.app("Agent", name="mine", **full)
        self.assertEqual(set(a), self.APPLICATION)
        self.assertRegex(a["id"], UUID)
        self.assertRegex(a["createdAt"], TIME)
        self.assertEqual({k: a[k] for k in full}, full)
        self.assertEqual((a["displayName"], a["applicationType"],
                          a["isActive"], a["updatedAt"]),
                         ("mine", "Agent", True, None))
        self.last(action="ApplicationCreated", resourceId=a["id"],
                  resourceName="mine", resourceType="Application")
        self.assertEqual(
            self.ok(200, "GET", "/applications/" + a["id"]), a)
        self.assertIn(a, self.ok(200, "GET", "/applications"))
        self.error(404, "not_found", "GET", "/applications/" + NONE)

    def test_never_null(self):
        for kw in ({}, {"redirectUris": None, "postLogoutRedirectUris": None,
                        "allowedScopes": None, "resources": None,
                        "environment": None, "description": None}):
            a = self.app(**kw)
            for name in ("redirectUris", "postLogoutRedirectUris",
                         "allowedScopes", "resources"):
                self.assertEqual(a[name], [], name)
            self.assertIs(a["customDomainVerified"], False)
            self.assertEqual(a["environment"], "Development")

    def test_snake_case_requests(self):
        a = self.ok(201, "POST", "/applications", {
            "name": "s", "application_type": "SPA", "redirect_uris": ["u"],
            "allowed_scopes": ["x"], "allowedScopes": ["y"]})["application"]
        self.assertEqual((a["applicationType"], a["redirectUris"],
                          a["allowedScopes"]), ("SPA", ["u"], ["y"]))

    def test_confidential(self):
        for kind, confidential in (("SPA", False), ("NativeApp", False),
                                   ("WebApp", True), ("Agent", True),
                                   ("MachineToMachine", True)):
            r = self.ok(201, "POST", "/applications",
                        {"name": "c", "applicationType": kind,
                         "redirectUris": []})
            a = r["application"]
            self.assertIs(a["isConfidential"], confidential, kind)
            self.assertEqual("clientSecret" in r, confidential, kind)
            path = f"/applications/{a['id']}"
            if not confidential:
                self.error(409, "conflict", "POST", path + "/rotate-secret")
                continue
            self.assertNotIn("clientSecret", a)
            n = self.ok(200, "POST", path + "/rotate-secret")
            self.assertEqual(set(n), {"clientId", "clientSecret"})
            self.assertEqual(n["clientId"], a["clientId"])
            self.assertNotEqual(n["clientSecret"], r["clientSecret"])
            after = self.ok(200, "GET", path)
            self.assertNotIn(n["clientSecret"], str(after))
            self.assertRegex(after["updatedAt"], TIME)
        self.error(404, "not_found", "POST",
                   f"/applications/{NONE}/rotate-secret")

    def test_create_refuses(self):
        good = {"name": "x", "applicationType": "SPA", "redirectUris": []}
        self.bad_values("POST", "/applications", good, {
            "name": ["", None, 1, "x" * 201],
            "applicationType": ["spa", "", None, 1],
            "environment": ["production", 1],
            "description": ["x" * 1001, 1], "redirectUris": ["x", [1]],
            "postLogoutRedirectUris": [{}], "allowedScopes": [[None]],
            "resources": ["x"]})
        self.invalid({"name", "applicationType"}, "POST", "/applications", {})
        self.app(name="é" * 200, description="x" * 1000)

    def test_put_replaces(self):
        a = self.app(description="d", allowedScopes=["s"],
                     postLogoutRedirectUris=["p"], resources=["r"])
        path = "/applications/" + a["id"]
        good = {"displayName": "new", "environment": "Staging",
                "redirectUris": ["n"]}
        p = self.ok(200, "PUT", path, good)
        self.assertEqual({k: p[k] for k in good}, good)
        self.assertEqual((p["description"], p["allowedScopes"],
                          p["postLogoutRedirectUris"], p["resources"]),
                         (None, [], [], ["r"]))
        self.assertRegex(p["updatedAt"], TIME)
        self.assertEqual(set(p), self.APPLICATION)
        again = self.ok(200, "PUT", path, {**good, "description": "e"})
        self.assertNotEqual(again["updatedAt"], p["updatedAt"])
        self.assertEqual(again["description"], "e")
        p = self.ok(200, "PUT", path, {**good, "resources": None})
        self.assertEqual(p["resources"], ["r"])
        p = self.ok(200, "PUT", path, {**good, "resources": []})
        self.assertEqual(p["resources"], [])
        self.bad_values("PUT", path, good, {
            "displayName": ["", None], "environment": ["x", None],
            "redirectUris": [None, "x"], "resources": ["x"]})
        self.invalid({"displayName", "environment", "redirectUris"}, "PUT",
                     path, {"name": "x"})
        self.error(404, "not_found", "PUT", "/applications/" + NONE, good)

    def test_delete_takes_all_along(self):
        a, b = self.app(), self.app()
        role = self.role(applicationId=a["id"])
        mine, other = self.user(a), self.user(b)
        self.ok(204, "DELETE", "/applications/" + a["id"])
        self.last(action="ApplicationDeleted", resourceId=a["id"])
        self.error(404, "not_found", "DELETE", "/applications/" + a["id"])
        self.error(404, "not_found", "GET", self.path_of(mine))
        self.error(404, "not_found", "GET", "/roles/" + role["id"])
        self.error(404, "not_found", "POST",
                   f"/endusers/{mine['id']}/block")
        self.ok(200, "GET", self.path_of(other))
        left = self.sb.control("GET", "/endusers").json
        self.assertNotIn(mine["id"], left["identity"] + left["eaas"])


class EndUsers(Identity):
    def setUp(self):
        super().setUp()
        self.sb.control("PUT", "/endusers",
                        {"failSave": 0, "failCascade": 0})

    def halves(self, user):
        return self.sb.control("GET", "/endusers/" + user["id"]).json

    def test_create_and_get(self):
        a = self.app()
        full = {"firstName": "F", "lastName": "L", "phoneNumber": "+34",
                "emailVerified": True, "metadata": '{"a": 1}',
                "displayName": "Jané"}
        u = self.user(a, password="never shown", **full)
        self.assertEqual(set(u), self.USER)
        self.assertRegex(u["id"], UUID)
        self.assertEqual({k: u[k] for k in full}, full)
        self.assertEqual((u["applicationId"], u["roles"], u["connections"],
                          u["loginCount"], u["updatedAt"]),
                         (a["id"], [], [], 0, None))
        for name in ("isBlocked", "isLockedOut", "phoneNumberVerified"):
            self.assertIs(u[name], False, name)
        self.last(action="EndUserCreated", resourceId=u["id"],
                  resourceName=u["email"])
        self.assertEqual(self.ok(200, "GET", self.path_of(u)), u)
        self.last(action="EndUserRead", resourceId=u["id"])
        # Of another application it is not, and of none neither.
        for app in (self.app()["id"], NONE):
            self.error(404, "not_found", "GET",
                       f"/applications/{app}/end-users/{u['id']}")
        self.error(404, "not_found", "GET",
                   f"/applications/{a['id']}/end-users/{NONE}")

    def test_both_families(self):
        a = self.app()
        u = self.user(applicationId=a["id"])
        self.assertEqual(self.ok(200, "GET", self.path_of(u)), u)
        v = self.user(a)
        ids = {x["id"] for x in self.ok(
            200, "GET", f"/endusers?applicationId={a['id']}")["items"]}
        self.assertEqual(ids, {u["id"], v["id"]})
        free = self.user()
        self.assertIsNone(free["applicationId"])
        self.ok(204, "DELETE", f"/endusers/{free['id']}/permanent")
        self.error(404, "not_found", "POST", "/endusers",
                   {"email": "a@b", "displayName": "x",
                    "applicationId": NONE})
        self.invalid({"applicationId"}, "POST", "/endusers",
                     {"email": "a@b", "displayName": "x",
                      "applicationId": 1})

    def test_create_refuses(self):
        a = self.app()
        good = {"email": "x@y.z", "displayName": "x"}
        path = f"/applications/{a['id']}/end-users"
        for p in (path, "/endusers"):
            self.bad_values("POST", p, good, {
                "email": ["", None, 1, "x", "@x", "x@", "a b@c", "a@b@c",
                          "a@b\r\nX: y", "a@b\0", "x" * 250 + "@y.zz"],
                "displayName": ["", None, 1, "x" * 201],
                "firstName": [1], "lastName": [[]], "phoneNumber": [5],
                "metadata": [{"a": 1}, "{", 1], "emailVerified": ["yes"],
                "password": [1], "roleIds": ["x", [1]]})
            self.invalid({"email", "displayName"}, "POST", p, {})
        self.error(404, "not_found", "POST", path,
                   {**good, "roleIds": [NONE]})
        self.error(404, "not_found", "POST",
                   f"/applications/{NONE}/end-users", good)
        foreign = self.role(applicationId=self.app()["id"])
        self.error(409, "conflict", "POST", path,
                   {**good, "roleIds": [foreign["id"]]})
        self.assertEqual(self.ok(200, "GET", path)["totalCount"], 0)

    def test_one_email_an_application(self):
        a = self.app()
        u = self.user(a)
        body = {"email": u["email"].upper(), "displayName": "x"}
        self.error(409, "conflict", "POST",
                   f"/applications/{a['id']}/end-users", body)
        self.user(self.app(), email=u["email"])
        self.ok(204, "DELETE", self.path_of(u))
        self.user(a, email=u["email"])

    def test_put(self):
        u = self.user(self.app(), firstName="F", emailVerified=True)
        new = {"displayName": "n", "lastName": "l", "phoneNumber": "1",
               "profilePictureUrl": "https://p", "metadata": "[]"}
        p = self.ok(200, "PUT", self.path_of(u),
                    {**new, "email": "no@no", "isBlocked": True})
        self.assertEqual({k: p[k] for k in new}, new)
        self.assertEqual((p["firstName"], p["email"], p["isBlocked"],
                          p["emailVerified"]), ("F", u["email"], False, True))
        self.assertRegex(p["updatedAt"], TIME)
        p = self.ok(200, "PUT", self.path_of(u), {"first_name": None})
        self.assertIsNone(p["firstName"])
        self.bad_values("PUT", self.path_of(u), {}, {
            "displayName": ["", None], "metadata": ["{"],
            "profilePictureUrl": [1]})
        self.error(404, "not_found", "PUT", self.path_of(u) + "x", {})

    def block_both_ways(self, u):
        yield self.path_of(u), 204
        yield "/endusers/" + u["id"], 200

    def test_block_and_unblock(self):
        for which in (0, 1):
            u = self.user(self.app())
            path, status = list(self.block_both_ways(u))[which]
            for reason in ("spam", None, None):
                b = self.ok(status, "POST", path + "/block",
                            {"reason": reason} if reason else None)
                g = self.ok(200, "GET", self.path_of(u))
                self.assertEqual((g["isBlocked"], g["blockedReason"]),
                                 (True, "spam"))
                if b is not None:
                    self.assertEqual(b, g)
                if reason:
                    first = g
                # A repetition changes nothing at all.
                self.assertEqual(g, first)
            self.assertRegex(g["blockedAt"], TIME)
            self.last(action="EndUserRead", resourceId=u["id"])
            other = list(self.block_both_ways(u))[1 - which]
            for _ in range(2):
                self.ok(other[1], "POST", other[0] + "/unblock")
                g = self.ok(200, "GET", self.path_of(u))
                self.assertEqual((g["isBlocked"], g["blockedReason"],
                                  g["blockedAt"]), (False, None, None))
            self.invalid({"reason"}, "POST", path + "/block", {"reason": 1})
            self.assertIs(self.halves(u)["eaas"]["isBlocked"], False)
        for path in ("/endusers/" + NONE, self.path_of(u) + "x"):
            for verb in ("/block", "/unblock"):
                self.error(404, "not_found", "POST", path + verb)

    def test_a_failed_save_is_reverted(self):
        u = self.user(self.app())
        for path, status in self.block_both_ways(u):
            for verb in ("/block", "/unblock"):
                before = self.halves(u)
                self.sb.control("PUT", "/endusers", {"failSave": 2})
                for _ in range(2):
                    self.error(500, "internal_error", "POST", path + verb)
                    self.assertEqual(self.halves(u), before)
                self.ok(status, "POST", path + verb)
                after = self.halves(u)
                want = verb == "/block"
                self.assertEqual((after["identity"]["isBlocked"],
                                  after["eaas"]["isBlocked"]), (want, want))

    def test_unlock(self):
        u = self.user(self.app())
        self.ok(204, "POST", self.path_of(u) + "/block", {"reason": "r"})
        a = self.sb.control("PUT", "/endusers/" + u["id"],
                            {"isLockedOut": True, "loginCount": 3})
        self.assertEqual((a.status, a.json["isLockedOut"]), (200, True))
        for _ in range(2):
            self.ok(204, "POST", self.path_of(u) + "/unlock")
            g = self.ok(200, "GET", self.path_of(u))
            self.assertEqual((g["isLockedOut"], g["isBlocked"],
                              g["loginCount"]), (False, True, 3))
        # And the other way round: an unblock unlocks nobody.
        self.sb.control("PUT", "/endusers/" + u["id"], {"isLockedOut": True})
        self.ok(204, "POST", self.path_of(u) + "/unblock")
        g = self.ok(200, "GET", self.path_of(u))
        self.assertEqual((g["isLockedOut"], g["isBlocked"]), (True, False))

    def test_temporary_password(self):
        u = self.user(self.app())
        path = self.path_of(u) + "/generate-temporary-password"
        r = [self.ok(200, "POST", path) for _ in range(2)]
        for one in r:
            self.assertEqual(set(one), {"temporaryPassword", "email"})
            self.assertEqual(one["email"], u["email"])
            self.assertGreaterEqual(len(one["temporaryPassword"]), 12)
        self.assertNotEqual(r[0], r[1])
        self.assertNotIn(r[1]["temporaryPassword"],
                         self.api("GET", self.path_of(u)).body.decode())
        self.error(404, "not_found", "POST", self.path_of(u) +
                   "x/generate-temporary-password")

    def test_delete_for_good(self):
        for way in ("plain", "permanent"):
            a = self.app()
            u = self.user(a)
            path = self.path_of(u) if way == "plain" else \
                f"/endusers/{u['id']}/permanent"
            for _ in range(2):  # the second one finds nothing left to do
                self.ok(204, "DELETE", path)
                self.last(action="EndUserDeleted", resourceId=u["id"])
                self.error(404, "not_found", "GET", self.path_of(u))
                self.assertEqual(self.halves(u),
                                 {"identity": None, "eaas": None})
        for path in (f"/endusers/{NONE}/permanent",
                     f"/applications/{a['id']}/end-users/{NONE}",
                     f"/applications/{NONE}/end-users/{u['id']}",
                     f"/applications/{self.app()['id']}/end-users/{u['id']}"):
            self.error(404, "not_found", "DELETE", path)
        # A user of one application is not deleted by the path of another.
        u = self.user(a)
        self.error(404, "not_found", "DELETE", "/applications/"
                   f"{self.app()['id']}/end-users/{u['id']}")
        self.ok(200, "GET", self.path_of(u))
        self.error(404, "not_found", "DELETE", "/endusers/" + u["id"])

    def test_delete_goes_on_where_it_failed(self):
        role = self.role()
        for way in ("plain", "permanent"):
            u = self.user(self.app(), roleIds=[role["id"]])
            path = self.path_of(u) if way == "plain" else \
                f"/endusers/{u['id']}/permanent"
            self.sb.control("PUT", "/endusers", {"failCascade": 2})
            for _ in range(2):
                self.error(500, "internal_error", "DELETE", path)
                # Identity is gone, what hangs by it is not.
                self.error(404, "not_found", "GET", self.path_of(u))
                self.error(404, "not_found", "POST",
                           f"/endusers/{u['id']}/block")
                h = self.halves(u)
                self.assertIsNone(h["identity"])
                self.assertEqual(len(h["eaas"]["roles"]), 1)
                self.error(409, "conflict", "DELETE", "/roles/" + role["id"])
            self.ok(204, "DELETE", path)
            self.assertEqual(self.halves(u),
                             {"identity": None, "eaas": None})
            self.ok(204, "DELETE", path)
        self.ok(204, "DELETE", "/roles/" + role["id"])

    def test_no_save_fails_where_nothing_asked_for_it(self):
        a = self.sb.control("PUT", "/endusers", {"failSave": -1})
        self.assertEqual(a.status, 400)
        a = self.sb.control("GET", "/endusers").json
        self.assertEqual((a["failSave"], a["failCascade"]), (0, 0))
        self.assertEqual(
            self.sb.control("PUT", "/endusers/" + NONE, {}).status, 404)
        u = self.user()
        for body in ({"isBlocked": "x"}, {"email": ""}, {"blockedAt": "x"}):
            self.assertEqual(self.sb.control(
                "PUT", "/endusers/" + u["id"], body).status, 400)


class EndUserLists(Identity):
    SEED = {
        "applications": [{"id": "app1"}, {"id": "app2"}],
        "roles": [{"id": "role1", "name": "Reader"}],
        "endUsers": [
            {"id": f"u{n:03}", "email": f"user{n}@example.org",
             "displayName": f"User {'Even' if n % 2 == 0 else 'odd'} {n}",
             "firstName": "Ada" if n % 7 == 0 else None,
             "lastName": "Byron" if n % 11 == 0 else None,
             "applicationId": None if n % 50 == 49 else
             "app1" if n < 230 else "app2",
             "isBlocked": n % 3 == 0, "emailVerified": n % 5 == 0,
             "roleIds": ["role1"] if n % 4 == 0 else [],
             "createdAt": f"2026-01-{28 - n // 10:02}T00:00:00Z"}
            for n in range(240)]}

    def pages(self, path, query, size):
        rows, page, total = [], 1, None
        while total is None or len(rows) < total:
            r = self.ok(200, "GET", f"{path}?page={page}&pageSize={size}"
                        + query)
            self.assertEqual(set(r), {"items", "totalCount", "page",
                                      "pageSize"})
            self.assertEqual((r["page"], r["pageSize"]),
                             (page, min(size, 100)))
            total = r["totalCount"]
            self.assertEqual(len(r["items"]),
                             min(r["pageSize"], total - len(rows)))
            rows += r["items"]
            page += 1
        past = self.ok(200, "GET", f"{path}?page={page}&pageSize={size}"
                       + query)
        self.assertEqual((past["items"], past["totalCount"]), ([], total))
        return rows

    def test_envelope_and_order(self):
        r = self.ok(200, "GET", "/applications/app1/end-users")
        self.assertEqual((r["totalCount"], r["page"], r["pageSize"],
                          len(r["items"])), (226, 1, 20, 20))
        self.assertEqual(set(r["items"][0]), self.USER)
        self.assertEqual(r["items"][0]["id"], "u220")
        rows = self.pages("/endusers", "", 50)
        self.assertEqual(len(rows), 240)
        order = [(u["createdAt"], u["id"]) for u in rows]
        self.assertEqual(order, sorted(order))

    def test_paging(self):
        for size in (33, 100, 101, 5000):
            ids = {u["id"] for u in
                   self.pages("/applications/app1/end-users", "", size)}
            self.assertEqual(ids, {f"u{n:03}" for n in range(230)
                                   if n % 50 != 49})

    def test_filters(self):
        def fits(query, want):
            for path, app in (("/endusers", None),
                              ("/applications/app1/end-users", "app1"),
                              ("/applications/app2/end-users", "app2")):
                rows = self.pages(path, query, 100)
                self.assertEqual(
                    [u["id"] for u in rows],
                    [u["id"] for u in self.pages(path, "", 100)
                     if want(u, int(u["id"][1:]))], (path, query))
                if app is not None:
                    self.assertEqual({u["applicationId"] for u in rows} |
                                     {app}, {app})
        fits("&blocked=true", lambda u, n: n % 3 == 0)
        fits("&blocked=false", lambda u, n: n % 3 != 0)
        fits("&emailVerified=true", lambda u, n: n % 5 == 0)
        fits("&emailVerified=False", lambda u, n: n % 5 != 0)
        fits("&roleId=role1", lambda u, n: n % 4 == 0)
        fits("&roleId=" + NONE, lambda u, n: False)
        fits("&search=EVEN", lambda u, n: n % 2 == 0)
        fits("&search=USER22", lambda u, n: n == 22 or 220 <= n < 230)
        fits("&search=ada", lambda u, n: n % 7 == 0)
        fits("&search=byron&blocked=true&emailVerified=true",
             lambda u, n: n % 165 == 0)
        fits("&search=%40example.org&roleId=role1&blocked=false",
             lambda u, n: n % 4 == 0 and n % 3 != 0)

    def test_bad_parameters(self):
        for path in ("/endusers", "/applications/app1/end-users"):
            for q in ("page=0", "page=x", "pageSize=0", "pageSize=1e3",
                      "blocked=maybe", "blocked=", "emailVerified=1"):
                self.error(400, "invalid_request", "GET", f"{path}?{q}")
        self.error(404, "not_found", "GET",
                   f"/applications/{NONE}/end-users")

    def test_scopes_of_both_families(self):
        path = "/applications/app1/end-users"
        for p in (path, "/endusers", path + "/u001"):
            self.ok(200, "GET", p, key="users")
            for key in ("apps", "roles", "none"):
                self.error(403, "insufficient_scope", "GET", p, key=key)
        self.ok(200, "GET", path + "/u001/roles", key="roles")
        self.error(403, "insufficient_scope", "GET", path + "/u001/roles",
                   key="users")


class Roles(Identity):
    def test_create_get_list(self):
        a = self.app()
        full = {"description": "d", "permissions": '["a:b", "c"]',
                "applicationId": a["id"]}
        r = self.role(name="One", **full)
        self.assertEqual(set(r), self.ROLE)
        self.assertRegex(r["id"], UUID)
        self.assertEqual({k: r[k] for k in full}, full)
        self.assertEqual((r["applicationName"], r["endUserCount"],
                          r["isDefault"], r["updatedAt"]),
                         (a["displayName"], 0, False, None))
        self.last(action="RoleCreated", resourceId=r["id"],
                  resourceName="One")
        self.assertEqual(self.ok(200, "GET", "/roles/" + r["id"]), r)
        wide = self.role(isDefault=None)
        self.assertEqual((wide["applicationId"], wide["applicationName"],
                          wide["isDefault"]), (None, None, False))
        other = self.role(applicationId=self.app()["id"])
        everything = self.ok(200, "GET", "/roles")
        for one in (r, wide, other):
            self.assertIn(one, everything)
        some = self.ok(200, "GET", "/roles?applicationId=" + a["id"])
        self.assertIn(r, some)
        self.assertIn(wide, some)
        self.assertNotIn(other, some)
        self.error(404, "not_found", "GET", "/roles/" + NONE)

    def test_refuses(self):
        self.bad_values("POST", "/roles", {"name": "x"}, {
            "name": ["", None, 1, "x" * 201], "description": ["x" * 1001],
            "permissions": [["a"], "{}", "[", "a", 1], "isDefault": ["x"],
            "applicationId": ["", 1]})
        self.invalid({"name"}, "POST", "/roles", {})
        self.error(404, "not_found", "POST", "/roles",
                   {"name": "x", "applicationId": NONE})

    def test_patch(self):
        r = self.role(description="d", permissions="[]")
        path = "/roles/" + r["id"]
        p = self.ok(200, "PATCH", path, {"name": "new", "is_default": True})
        self.assertEqual((p["name"], p["isDefault"], p["description"],
                          p["permissions"]), ("new", True, "d", "[]"))
        self.assertRegex(p["updatedAt"], TIME)
        p = self.ok(200, "PATCH", path, {"isDefault": False,
                                         "permissions": '["x"]',
                                         "description": None})
        self.assertEqual((p["name"], p["isDefault"], p["permissions"],
                          p["description"]), ("new", False, '["x"]', None))
        self.bad_values("PATCH", path, {}, {
            "name": ["", None], "permissions": ["{}"], "isDefault": [1]})
        self.error(404, "not_found", "PATCH", "/roles/" + NONE, {})

    def test_assign_and_delete(self):
        a = self.app()
        u, v = self.user(a), self.user(a)
        r, s = self.role(applicationId=a["id"]), self.role()
        path = self.path_of(u) + "/roles"
        self.assertEqual(self.ok(200, "GET", path), [])
        one = self.ok(201, "POST", path, {"roleId": r["id"]})
        self.assertEqual(set(one), {"id", "roleId", "roleName",
                                    "assignedAt"})
        self.assertRegex(one["id"], UUID)
        self.assertRegex(one["assignedAt"], TIME)
        self.assertEqual((one["roleId"], one["roleName"]),
                         (r["id"], r["name"]))
        self.last(action="RoleAssigned", resourceId=u["id"])
        two = self.ok(201, "POST", path, {"role_id": s["id"]})
        self.assertEqual(self.ok(200, "GET", path), [one, two])
        self.assertEqual(self.ok(200, "GET", self.path_of(u))["roles"],
                         [one, two])
        self.error(409, "conflict", "POST", path, {"roleId": r["id"]})
        self.ok(201, "POST", self.path_of(v) + "/roles", {"roleId": r["id"]})
        self.assertEqual(
            self.ok(200, "GET", "/roles/" + r["id"])["endUserCount"], 2)
        self.ok(200, "PATCH", "/roles/" + r["id"], {"name": "renamed"})
        self.assertEqual(self.ok(200, "GET", path)[0]["roleName"], "renamed")
        self.error(409, "conflict", "DELETE", "/roles/" + r["id"])
        for user in (u, v):
            self.error(409, "conflict", "DELETE", "/roles/" + r["id"])
            p = f"{self.path_of(user)}/roles/{r['id']}"
            self.ok(204, "DELETE", p)
            self.last(action="RoleUnassigned", resourceId=user["id"])
            self.error(404, "not_found", "DELETE", p)
        self.ok(204, "DELETE", "/roles/" + r["id"])
        self.error(404, "not_found", "DELETE", "/roles/" + r["id"])
        self.assertEqual(self.ok(200, "GET", path), [two])
        self.ok(204, "DELETE", self.path_of(u))
        self.ok(204, "DELETE", "/roles/" + s["id"])

    def test_assign_refuses(self):
        a = self.app()
        u = self.user(a)
        path = self.path_of(u) + "/roles"
        for body in ({}, {"roleId": None}, {"roleId": 1}):
            self.invalid({"roleId"}, "POST", path, body)
        self.error(404, "not_found", "POST", path, {"roleId": NONE})
        foreign = self.role(applicationId=self.app()["id"])
        self.error(409, "conflict", "POST", path, {"roleId": foreign["id"]})
        for method in ("GET", "POST"):
            self.error(404, "not_found", method, self.path_of(u) + "x/roles",
                       {"roleId": foreign["id"]} if method == "POST" else
                       None)
        self.error(404, "not_found", "DELETE", f"{path}/{NONE}")

    def test_default_roles_come_with_a_user(self):
        a = self.app()
        mine = self.role(applicationId=a["id"], isDefault=True)
        other = self.role(applicationId=self.app()["id"], isDefault=True)
        asked = self.role()
        u = self.user(a, roleIds=[asked["id"], mine["id"]])
        self.assertEqual([r["roleId"] for r in u["roles"]],
                         [asked["id"], mine["id"]])
        u = self.user()
        self.assertEqual(u["roles"], [])
        for r in (mine, other):  # or other tests' users would get them
            self.ok(200, "PATCH", "/roles/" + r["id"], {"isDefault": False})


class Seeded(unittest.TestCase):
    def test_seed(self):
        sb = Sandbox("--api-key", ALL + ":*", seed={
            "endUsers": [{"id": "u1", "email": "a@b", "application_id": "a1",
                          "roleIds": ["r1"], "futureField": 7},
                         {"email": "c@d"}],
            "applications": [
                {"id": "a1", "name": "Shop", "applicationType": "SPA",
                 "clientId": "client", "allowedScopes": None},
                {}],
            "roles": [{"id": "r1", "name": "Reader", "applicationId": "a1",
                       "isDefault": True}]})
        a = sb.api("GET", "/applications/a1").json
        self.assertEqual((a["displayName"], a["clientId"],
                          a["isConfidential"], a["allowedScopes"],
                          a["environment"], a["isActive"]),
                         ("Shop", "client", False, [], "Development", True))
        u = sb.api("GET", "/applications/a1/end-users/u1").json
        self.assertEqual((u["email"], u["displayName"], u["futureField"],
                          u["roles"][0]["roleName"]),
                         ("a@b", "a@b", 7, "Reader"))
        r = sb.api("GET", "/roles").json
        self.assertEqual([(x["endUserCount"], x["applicationName"])
                          for x in r], [(1, "Shop")])
        self.assertEqual(
            len(sb.api("GET", "/endusers").json["items"]), 2)
        self.assertEqual(sb.stop(), (0, ""))

    def test_bad_seeds(self):
        for seed, where in (
                ({"applications": [{"applicationType": "spa"}]},
                 "applications[0].applicationType"),
                ({"applications": [{"redirectUris": "x"}]},
                 "applications[0].redirectUris"),
                ({"applications": [{"id": "a"}, {"id": "a"}]},
                 "applications[1].id: is there twice"),
                ({"roles": [{"name": ""}]}, "roles[0].name"),
                ({"endUsers": [{}]}, "endUsers[0].email"),
                ({"endUsers": [{"email": "x"}]}, "endUsers[0].email"),
                ({"endUsers": [{"email": "a@b", "roleIds": [1]}]},
                 "endUsers[0].roleIds")):
            base.Seeds.refused(self, seed, where)


if __name__ == "__main__":
    unittest.main()
