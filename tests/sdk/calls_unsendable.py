"""The calls that cannot leave the SDK, and their endpoints without it.

SDK 0.25.0 hands a UUID or a date to its JSON encoder, which takes neither.
"""

import secrets
from datetime import datetime, timezone

from quantumapi.models import encryption as enc_m
from quantumapi.models import end_users as users_m
from quantumapi.models import keys as keys_m
from quantumapi.models import roles as roles_m

from common import Common, SOON, b64, name


class UnsendableCalls(Common):
    async def unsendable(self, endpoint, call, *args, **kw):
        """The call fails in the SDK, and nothing reaches the service."""
        before = self.target.sandbox.requests().get(endpoint, 0)
        with self.assertRaisesRegex(TypeError, "not JSON serializable"):
            await call(*args, **kw)
        after = self.target.sandbox.requests().get(endpoint, 0)
        self.assertEqual(after, before)

    async def test_unsendable_sign_and_verify(self):
        key = await self.key("signing", "Ed25519")
        data = b64(b"data")
        await self.unsendable("POST /api/v1/sign", self.encryption.sign,
                              data, key.id)
        await self.unsendable("POST /api/v1/verify", self.encryption.verify,
                              data, data, key.id)
        # As the SDK would write them, and read the answers.
        got = enc_m.SignResponse(**self.http("POST", "/sign", {
            "data": data, "key_id": str(key.id), "algorithm": "Ed25519"}))
        self.typed(got, enc_m.SignResponse, key_id=key.id,
                   algorithm="Ed25519")
        for signed, valid in ((data, True), (b64(b"atad"), False)):
            self.typed(
                enc_m.VerifyResponse(**self.http("POST", "/verify", {
                    "data": signed, "signature": got.signature,
                    "key_id": str(key.id)})),
                enc_m.VerifyResponse, is_valid=valid)

    async def test_unsendable_encrypt_with_a_key(self):
        key = await self.key()
        await self.unsendable("POST /api/v1/encrypt",
                              self.encryption.encrypt, "x", key_id=key.id)
        await self.unsendable("POST /api/v1/decrypt",
                              self.encryption.decrypt, "x", key_id=key.id)
        got = enc_m.EncryptResponse(**self.http("POST", "/encrypt", {
            "plaintext": "x", "encoding": "utf8", "key_id": str(key.id),
            "algorithm": "ML-KEM-768"}))
        self.assertEqual(got.key_id, key.id)
        self.typed(
            enc_m.DecryptResponse(**self.http("POST", "/decrypt", {
                "ciphertext": got.ciphertext, "nonce": got.nonce,
                "tag": got.tag, "encapsulated_key": got.encapsulated_key,
                "key_id": str(key.id), "key_version": 1})),
            enc_m.DecryptResponse, plaintext="x")

    async def test_unsendable_dates(self):
        made = await self.secret()
        await self.unsendable("POST /api/v1/secrets", self.secrets.create,
                              "n", "v", expires_at=SOON)
        await self.unsendable(f"PATCH /api/v1/secrets/{made.id}",
                              self.secrets.update, made.id, expires_at=SOON)
        await self.unsendable("POST /api/v1/keys/import",
                              self.keys.import_key, "n",
                              keys_m.KeyType.ENCRYPTION, "AES-256-GCM",
                              b64(bytes(32)), expires_at=SOON)
        at = datetime(2099, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        got = self.http("POST", "/secrets", {
            "name": name("dated"), "value": "v", "expires_at": SOON},
            status=201)
        got = await self.secrets.get(got["id"], include=["expiresAt"])
        self.assertEqual(got.expires_at, at)
        self.http("PATCH", f"/secrets/{made.id}", {"expires_at": SOON})
        got = await self.secrets.get(made.id, include=["expiresAt"])
        self.assertEqual(got.expires_at, at)
        got = keys_m.KeyResponse(**self.http("POST", "/keys/import", {
            "name": name("dated"), "key_type": "encryption",
            "algorithm": "AES-256-GCM", "key_material": b64(bytes(32)),
            "format": "raw", "expires_at": SOON}, status=201))
        self.assertEqual(got.expires_at, at)

    async def test_unsendable_roles(self):
        app = await self.app()
        await self.unsendable("POST /api/v1/roles", self.roles.create,
                              "n", application_id=app.id)
        role = roles_m.Role(**self.http("POST", "/roles", {
            "name": name("Role"), "applicationId": str(app.id)}, status=201))
        self.typed(role, roles_m.Role, application_id=app.id,
                   application_name=app.display_name)
        path = f"/applications/{app.id}/end-users"
        await self.unsendable("POST /api/v1" + path, self.end_users.create,
                              app.id, "a@example.org", "A",
                              role_ids=[role.id])
        user = users_m.EndUser(**self.http("POST", path, {
            "email": secrets.token_hex(6) + "@example.org",
            "displayName": "A", "roleIds": [str(role.id)]}, status=201))
        self.assertEqual([r.role_id for r in user.roles], [role.id])
