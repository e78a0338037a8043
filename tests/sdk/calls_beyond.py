"""Endpoints that the SDK knows nothing of, by plain HTTP."""

import json
import secrets

from common import Common, b64d, name


class BeyondCalls(Common):
    async def test_beyond_end_users(self):
        app = await self.app()
        email = secrets.token_hex(6) + "@example.org"
        user = self.http("POST", "/endusers", {
            "email": email, "displayName": "Ann",
            "applicationId": str(app.id)}, status=201)
        path = "/endusers/" + user["id"]
        got = self.http("GET", "/endusers?search=" + email)
        self.assertEqual([u["id"] for u in got["items"]], [user["id"]])
        self.http("POST", path + "/block", {"reason": "why"})
        got = await self.end_users.get(app.id, user["id"])
        self.assertEqual((got.is_blocked, got.blocked_reason), (True, "why"))
        self.http("POST", path + "/unblock")
        got = await self.end_users.get(app.id, user["id"])
        self.assertFalse(got.is_blocked)
        for _ in range(2):  # it may be repeated
            self.http("DELETE", path + "/permanent", status=204)

    async def test_beyond_team_and_settings(self):
        email = secrets.token_hex(6) + "@example.org"
        got = self.http("POST", "/team/invitations", {
            "email": email, "role": "tenant:developer"}, status=201)
        self.assertEqual((got["email"], got["emailDispatchStatus"]),
                         (email, "queued"))
        got = self.http("PATCH", "/settings/security", {"mfa": True},
                        status=403)
        self.assertEqual(got["error"], "forbidden")
        self.refused.add("PATCH /api/v1/settings/{name}")

    async def test_beyond_audit_and_health(self):
        made = await self.secret()
        got = self.http("GET", "/audit?action=SecretCreated&pageSize=200")
        self.assertIn(str(made.id), [e["resourceId"] for e in got["items"]])
        self.assertEqual(self.http("GET", "/health")["status"], "Healthy")

    async def test_beyond_billing(self):
        self.assertIn("plan", self.http("GET", "/billing/subscription"))
        self.assertIn("apiCalls", self.http("GET", "/billing/usage"))

    async def test_beyond_ssh(self):
        ca = self.http("POST", "/ssh/ca", {"name": name("ca")}, status=201)
        got = self.http("GET", "/ssh/ca?pageSize=200")
        self.assertIn(ca, got["items"])
        cert = self.http("POST", "/ssh/certificates", {
            "caId": ca["id"], "publicKey": ca["publicKey"], "type": "host",
            "principals": ["h"], "validitySeconds": 60}, status=201)
        self.assertTrue(cert["certificate"].startswith("ssh-ed25519-cert"))
        got = self.http("GET", "/ssh/certificates?pageSize=200")
        self.assertIn(cert, got["items"])

    async def test_beyond_x509(self):
        ca = self.http("POST", "/cas", {
            "name": name("ca"), "subject": "CN=Root"}, status=201)
        self.assertIn(ca, self.http("GET", "/cas?pageSize=200")["items"])
        cert = self.http("POST", "/certificates", {
            "caId": ca["id"], "commonName": "db.example.org", "ttl": "1h"},
            status=201)
        self.assertIn("PRIVATE KEY", cert.pop("privateKeyPem"))
        got = self.http("GET", "/certificates?pageSize=200")
        self.assertIn(cert, got["items"])
        headers, der = self.raw("GET", f"/cas/{ca['id']}/crl")
        self.assertEqual(headers["Content-Type"], "application/pkix-crl")
        # Whole and unchanged: a SEQUENCE of just this length.
        self.assertEqual((der[0], der[1] & 0x80), (0x30, 0x80))
        head = 2 + (der[1] & 0x7f)
        self.assertEqual(int.from_bytes(der[2:head], "big"), len(der) - head)

    async def test_beyond_jwk(self):
        key = await self.key("signing", "Ed25519")
        headers, data = self.raw("GET", f"/keys/{key.id}/public?format=jwk")
        self.assertIn("json", headers["Content-Type"])
        jwk = json.loads(data)
        self.assertEqual((jwk["kty"], jwk["crv"]), ("OKP", "Ed25519"))
        self.assertEqual(b64d(key.public_key),
                         b64d(jwk["x"].translate({45: 43, 95: 47}) + "="))
