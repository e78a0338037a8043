"""Every call on keys, and with them."""

from datetime import datetime, timezone

import quantumapi
from quantumapi.models import encryption as enc_m
from quantumapi.models import keys as keys_m
from quantumapi.models import transit as transit_m

from common import Common, SOON, b64, b64d, name


class KeyCalls(Common):
    async def test_keys_generate_and_get(self):
        made = self.typed(
            await self.key("signing", "Ed25519", description="d",
                           expires_at=SOON, labels=["l"]),
            keys_m.KeyResponse, version=1, key_type=keys_m.KeyType.SIGNING,
            algorithm="Ed25519", status=keys_m.KeyStatus.ACTIVE,
            description="d", labels=["l"], is_default=False,
            is_post_quantum=False)
        self.assertEqual(made.expires_at, datetime(
            2099, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
        self.assertEqual(len(b64d(made.public_key)), 32)
        self.typed(await self.keys.get(made.id), keys_m.KeyResponse,
                   id=made.id, name=made.name, public_key=made.public_key)
        with self.assertRaises(quantumapi.ConflictError) as e:
            await self.keys.generate(made.name, keys_m.KeyType.SIGNING,
                                     "Ed25519")
        self.assertEqual(e.exception.error_code, "key_name_conflict")

    async def test_keys_list(self):
        made = await self.key("hmac", "HMAC-SHA256")
        await self.keys.rotate(made.id)
        got = self.typed(
            await self.keys.list(key_type=keys_m.KeyType.HMAC,
                                 status="active", page_size=200),
            keys_m.KeyListResponse, page=1, page_size=200, has_more=False)
        row = [k for k in got.keys if k.id == made.id]
        self.assertEqual([k.version for k in row], [2])
        got = await self.keys.list(key_type=keys_m.KeyType.HMAC,
                                   page_size=200, all_versions=True)
        self.assertEqual(
            len([k for k in got.keys if k.name == made.name]), 2)

    async def test_keys_rotate_and_versions(self):
        made = await self.key("signing", "Ed25519")
        new = name("rotated")
        got = self.typed(await self.keys.rotate(made.id, name=new),
                         keys_m.KeyResponse, version=2, name=new,
                         is_default=True)
        self.assertNotEqual(got.public_key, made.public_key)
        versions = self.typed(await self.keys.list_versions(made.id),
                              transit_m.KeyVersionsResponse, key_name=new,
                              min_decryption_version=1)
        self.assertEqual([v.version for v in versions.versions], [2, 1])
        self.typed(
            await self.keys.set_min_decryption_version(made.id, 2),
            transit_m.TransitKeyConfigResponse, key_name=new,
            latest_version=2, min_decryption_version=2)
        with self.assertRaises(quantumapi.ValidationError) as e:
            await self.keys.set_min_decryption_version(made.id, 3)
        self.assertEqual(e.exception.error_code,
                         "invalid_min_decryption_version")

    async def test_keys_update_default_and_delete(self):
        made = await self.key()
        self.assertIsNone(await self.keys.set_default(
            made.id, keys_m.KeyType.ENCRYPTION))
        self.assertTrue((await self.keys.get(made.id)).is_default)
        self.typed(await self.keys.update(made.id, description="d",
                                          status="disabled"),
                   keys_m.KeyResponse, description="d",
                   status=keys_m.KeyStatus.INACTIVE)
        self.typed(await self.keys.update(made.id, name=name("key"),
                                          status="active"),
                   keys_m.KeyResponse, status=keys_m.KeyStatus.ACTIVE)
        report = self.typed(await self.keys.check(made.id),
                            keys_m.KeyHealthReport, key_id=str(made.id),
                            healthy=True, issues=[], warnings=[])
        self.assertEqual(report.status, "active")
        self.assertIsNone(await self.keys.delete(made.id, schedule_days=7))
        got = self.typed(await self.keys.get(made.id), keys_m.KeyResponse,
                         status=keys_m.KeyStatus.SCHEDULED_DELETION)
        days = (got.scheduled_deletion_date - datetime.now(timezone.utc)).days
        self.assertIn(days, (6, 7))
        self.assertFalse((await self.keys.check(made.id)).healthy)

    async def test_keys_public(self):
        made = await self.key("signing", "Ed25519", labels=["l"])
        got = self.typed(await self.keys.get_public_key(made.id),
                         keys_m.PublicKeyResponse, key_id=made.id,
                         algorithm="Ed25519", version=1, format="raw",
                         public_key=made.public_key, name=None)
        for form in ("pem", "der", "raw"):
            self.typed(await self.keys.get_public_key(made.id, format=form),
                       keys_m.PublicKeyResponse, format=form)
        for include in (["all"], ["metadata"], ["name", "labels"]):
            got = await self.keys.get_public_key(made.id, include=include)
            self.typed(got, keys_m.PublicKeyResponse, name=made.name,
                       labels=["l"])
        pem = await self.keys.export_public_key(made.id)
        self.assertTrue(pem.startswith("-----BEGIN PUBLIC KEY-----"))
        der = await self.keys.export_public_key(made.id, format="der")
        self.assertEqual(b64d(der)[-32:], b64d(got.public_key))
        rotated = await self.keys.rotate(made.id)
        self.typed(await self.keys.get_public_key(made.id),
                   keys_m.PublicKeyResponse, version=2,
                   public_key=rotated.public_key)

    async def test_keys_import(self):
        material = bytes(range(32))
        made = self.typed(
            await self.keys.import_key(
                name("import"), keys_m.KeyType.ENCRYPTION, "AES-256-GCM",
                b64(material), description="d", labels=["l"]),
            keys_m.KeyResponse, algorithm="AES-256-GCM", version=1,
            description="d", labels=["l"])
        self.typed(await self.keys.get(made.id), keys_m.KeyResponse,
                   name=made.name)

    async def test_keys_data_keys(self):
        for algorithm in ("AES-256-GCM", "ML-KEM-768"):
            key = await self.key(algorithm=algorithm)
            context = b64(b"context")
            data = self.typed(
                await self.keys.generate_data_key(
                    key.id, key_bytes=16, algorithm="AES-128-GCM",
                    context=context),
                keys_m.GenerateDataKeyResponse, key_id=key.id,
                key_version=1)
            self.assertEqual(len(b64d(data.plaintext_key)), 16)
            self.typed(await self.keys.unwrap(key.id, data.encrypted_key,
                                              context=context),
                       keys_m.UnwrapKeyResponse, key_id=key.id,
                       key_version=1, key_material=data.plaintext_key)
            bare = self.typed(
                await self.keys.generate_data_key_without_plaintext(key.id),
                keys_m.GenerateDataKeyResponse, plaintext_key=None,
                algorithm="AES-256-GCM")
            got = await self.keys.unwrap(key.id, bare.encrypted_key)
            self.assertEqual(len(b64d(got.key_material)), 32)
            data = self.typed(
                await self.keys.generate_transit_data_key(
                    key.name, key_bytes=32, context=context),
                keys_m.GenerateDataKeyResponse, key_id=key.id)
            got = await self.keys.unwrap(key.id, data.encrypted_key, context)
            self.assertEqual(got.key_material, data.plaintext_key)
            self.typed(
                await self.keys.generate_transit_data_key_without_plaintext(
                    key.name, algorithm="AES-256-GCM"),
                keys_m.GenerateDataKeyResponse, plaintext_key=None)

    # --- encryption ---

    async def test_encryption(self):
        key = await self.key(set_as_default=True)
        got = self.typed(await self.encryption.encrypt("hello \u2713"),
                         enc_m.EncryptResponse, key_id=key.id, key_version=1,
                         algorithm="ML-KEM-768")
        self.typed(await self.encryption.decrypt(got.encrypted_payload),
                   enc_m.DecryptResponse, plaintext="hello \u2713")
        self.typed(
            await self.encryption.decrypt(
                ciphertext=got.ciphertext, nonce=got.nonce, tag=got.tag,
                encapsulated_key=got.encapsulated_key),
            enc_m.DecryptResponse, plaintext="hello \u2713")
        got = await self.encryption.encrypt(
            b64(b"\0\1\2"), encoding="base64", additional_data="aad")
        self.typed(
            await self.encryption.decrypt(got.encrypted_payload,
                                          additional_data="aad"),
            enc_m.DecryptResponse, plaintext=b64(b"\0\1\2"))
        with self.assertRaises(quantumapi.ValidationError) as e:
            await self.encryption.decrypt(got.encrypted_payload,
                                          additional_data="other")
        self.assertEqual(e.exception.error_code, "decryption_failed")

    # --- transit ---

    async def test_transit_keys(self):
        made = self.typed(
            await self.transit.create_key(name("transit"), description="d",
                                          labels=["l"]),
            transit_m.TransitKey, algorithm="ML-KEM-768", version=1,
            key_type="encryption", description="d", labels=["l"])
        self.typed(await self.transit.get_key(made.id), transit_m.TransitKey,
                   name=made.name, min_decryption_version=1)
        self.typed(await self.transit.rotate_key(made.id),
                   transit_m.TransitRotateKeyResponse, key_id=made.id,
                   new_version=2, previous_version=1)
        self.typed(
            await self.transit.set_min_decryption_version(made.name, 2),
            transit_m.TransitKeyConfigResponse, key_name=made.name,
            latest_version=2, min_decryption_version=2)

    async def test_transit_encryption(self):
        key = await self.transit.create_key(name("transit"),
                                            algorithm="AES-256-GCM")
        one = self.typed(await self.transit.encrypt(key.name, b"\0bytes"),
                         transit_m.TransitEncryptResponse,
                         key_name=key.name, key_version=1)
        self.assertTrue(one.ciphertext.startswith("vault:v1:"))
        got = self.typed(await self.transit.decrypt(key.name, one.ciphertext),
                         transit_m.TransitDecryptResponse)
        self.assertEqual(got.plaintext_bytes, b"\0bytes")
        text = await self.transit.encrypt(key.name, "\u2713", encoding="utf8")
        got = await self.transit.decrypt(key.name, text.ciphertext)
        self.assertEqual(got.plaintext_bytes, "\u2713".encode())
        await self.transit.rotate_key(key.id)
        new = self.typed(await self.transit.rewrap(key.name, one.ciphertext),
                         transit_m.TransitRewrapResponse, key_version=2)
        await self.transit.set_min_decryption_version(key.name, 2)
        with self.assertRaises(quantumapi.KeyVersionBelowMinimumError):
            await self.transit.decrypt(key.name, one.ciphertext)
        got = await self.transit.decrypt(key.name, new.ciphertext)
        self.assertEqual(got.plaintext_bytes, b"\0bytes")

    async def test_transit_data_key(self):
        key = await self.transit.create_key(name("transit"))
        got = self.typed(
            await self.transit.generate_data_key(key.name, key_bytes=24),
            transit_m.TransitDataKeyResponse, key_id=key.id, key_version=1)
        self.assertEqual(len(b64d(got.plaintext_key)), 24)
        self.typed(
            await self.transit.generate_data_key(key.name,
                                                 include_plaintext=False),
            transit_m.TransitDataKeyResponse, plaintext_key=None)

    async def test_transit_hmac(self):
        key = await self.transit.create_key(name("transit"), "hmac",
                                            "HMAC-SHA256")
        one = self.typed(await self.transit.hmac(key.name, b"data"),
                         transit_m.TransitHmacResponse, algorithm="sha256",
                         key_version=1)
        again = await self.transit.hmac(key.name, b64(b"data"))
        self.assertEqual(again.hmac, one.hmac)
        self.typed(await self.transit.hmac(key.name, b"data", "sha512"),
                   transit_m.TransitHmacResponse, algorithm="sha512")

    async def test_transit_sign(self):
        for algorithm in ("Ed25519", "ML-DSA-65"):
            key = await self.transit.create_key(name("transit"), "signing",
                                                algorithm)
            got = self.typed(await self.transit.sign(key.name, b"data"),
                             transit_m.TransitSignResponse,
                             algorithm=algorithm, key_name=key.name,
                             key_version=1)
            self.typed(
                await self.transit.verify(key.name, b"data", got.signature),
                transit_m.TransitVerifyResponse, valid=True)
            self.typed(
                await self.transit.verify(key.name, b"atad", got.signature),
                transit_m.TransitVerifyResponse, valid=False)

    async def test_transit_batch(self):
        key = await self.transit.create_key(name("transit"),
                                            algorithm="AES-256-GCM")
        got = self.typed(
            await self.transit.batch_encrypt(key.name, [b"a", b"\0"]),
            transit_m.TransitBatchEncryptResponse, key_name=key.name,
            key_version=1)
        self.assertEqual([(r.index, r.error) for r in got.results],
                         [(0, None), (1, None)])
        back = self.typed(
            await self.transit.batch_decrypt(
                key.name, [r.ciphertext for r in got.results] + ["no"]),
            transit_m.TransitBatchDecryptResponse)
        self.assertEqual([r.plaintext for r in back.results[:2]],
                         [b64(b"a"), b64(b"\0")])
        self.assertTrue(back.results[2].error)
        self.assertIsNone(back.results[2].plaintext)
        text = await self.transit.batch_encrypt(key.name, ["\u2713"], "utf8")
        self.assertIsNone(text.results[0].error)
