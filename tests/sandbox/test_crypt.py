#!/usr/bin/env python3
"""Tests of the sandbox's cryptography: encrypt, sign, transit, data keys, qrng.

    SANDBOX=path/to/qapi-sandbox python3 test_crypt.py

What real keys make is checked with the openssl command and libsodium, that is,
not with the code under test.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import unittest

import test_sandbox as base
from test_audit import Trail

KEMS = ("ML-KEM-512", "ML-KEM-768", "ML-KEM-1024")
ENCRYPTION = KEMS + ("X25519", "RSA-2048", "AES-128-GCM", "AES-192-GCM",
                     "AES-256-GCM")
SIGNATURE = {"ML-DSA-44": 2420, "ML-DSA-65": 3309, "ML-DSA-87": 4627,
             "SLH-DSA-128s": 7856, "Ed25519": 64, "RSA-2048": 256,
             "ECDSA-P256": None, "ECDSA-P384": None, "ECDSA-P521": None}
EK = {"ML-KEM-512": 768, "ML-KEM-768": 1088, "ML-KEM-1024": 1568,
      "X25519": 32, "RSA-2048": 256}
NONE = "11111111-2222-4333-8444-555555555555"
TOO_OLD = "key_version_below_minimum"


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def flip(text, at=0):
    """Base64 of the same bytes, one bit aside."""
    data = bytearray(unb64(text))
    data[at] ^= 1
    return b64(bytes(data))


class Crypt(Trail):
    ARGS = base.Case.ARGS + ("--api-key", "enc:encryption:write")

    def post(self, path, **body):
        return self.ok(200, "POST", path, body)

    def refused(self, status, code, path, **body):
        return self.error(status, code, "POST", path, body)

    def rotate(self, key):
        self.ok(200, "POST", f"/keys/{key['id']}/rotate")

    def minimum(self, key, version):
        self.ok(200, "PUT", f"/keys/{key['id']}/min-decryption-version",
                {"minDecryptionVersion": version})

    def change(self, key, **fields):
        a = self.sb.control("PUT", "/keys/" + key["id"], fields)
        self.assertEqual(a.status, 200, a.body)

    def encryption_key(self, algorithm="AES-256-GCM", **kw):
        return self.key(algorithm, "encryption", **kw)

    def imported(self, algorithm, key_type, material, fmt, **kw):
        return self.ok(201, "POST", "/keys/import", {
            "name": "i" + os.urandom(6).hex(), "keyType": key_type,
            "algorithm": algorithm, "format": fmt,
            "keyMaterial": b64(material), **kw})

    def unusable(self, make_key, path, by, status_of_old=None, **body):
        """What states of a key do to POST path; by: how the key is named."""
        for change, status, code in (
                ({"state": "revoked"}, 403, "key_revoked"),
                ({"status": "inactive"}, 409, "conflict"),
                ({"status": "scheduled_deletion"}, 409, "conflict"),
                ({"state": "deprecated"}, status_of_old or 409, "conflict"),
                ({"expiresAt": "2020-01-01T00:00:00Z"},
                 status_of_old or 409, "conflict"),
                ({"scheduledDeletionDate": "2020-01-01T00:00:00Z"}, 404,
                 "not_found")):
            key = make_key()
            self.change(key, **change)
            body.update({"keyId": key["id"]} if by == "id" else {})
            where = path.replace("NAME", key["name"]).replace("ID",
                                                              key["id"])
            a = self.api("POST", where, body)
            self.assertEqual(a.status, status, (change, a.body))
            if status != 200 and status != 400:
                self.assertEqual(a.json["error"], code)

    def openssl(self, *args, data=None, ok=True):
        p = subprocess.run(["openssl", *args], input=data,
                           capture_output=True)
        if ok:
            self.assertEqual(p.returncode, 0, p.stderr)
        return p

    def files(self, *contents):
        paths = []
        for c in contents:
            fd, path = tempfile.mkstemp(prefix="qapi-sandbox-test-")
            self.addCleanup(os.unlink, path)
            with os.fdopen(fd, "wb") as f:
                f.write(c)
            paths.append(path)
        return paths


class Encrypt(Crypt):
    BOTH = {"encryptedPayload": "encrypted_payload", "keyId": "key_id",
            "encapsulatedKey": "encapsulated_key",
            "keyVersion": "key_version"}
    FIELDS = {"ciphertext", "nonce", "tag", "algorithm"} | set(BOTH) | \
        set(BOTH.values())

    def test_every_algorithm(self):
        text = "grüße \0 +<>&'\"`"
        for alg in ENCRYPTION:
            with self.subTest(alg):
                k = self.encryption_key(alg)
                e = self.post("/encrypt", plaintext=text, keyId=k["id"])
                self.assertEqual(e.pop("standIn", None), k.get("standIn"))
                if not alg.startswith("ML-"):
                    self.assertNotIn("standIn", k)
                self.assertEqual(set(e), self.FIELDS)
                for camel, snake in self.BOTH.items():
                    self.assertEqual(e[camel], e[snake])
                self.assertEqual((e["algorithm"], e["keyId"],
                                  e["keyVersion"]), (alg, k["id"], 1))
                sizes = [len(unb64(e[x])) for x in (
                    "encapsulatedKey", "nonce", "tag", "ciphertext")]
                self.assertEqual(sizes, [EK.get(alg, 0), 12, 16,
                                         len(text.encode())])
                d = self.post("/decrypt",
                              encryptedPayload=e["encryptedPayload"])
                self.assertEqual(d.pop("standIn", None), k.get("standIn"))
                self.assertEqual(d, {"plaintext": text, "encoding": "utf8"})
                parts = {x: e[x] for x in ("ciphertext", "nonce", "tag",
                                           "encapsulatedKey", "keyId")}
                d = self.post("/decrypt", **parts)
                self.assertEqual(d["plaintext"], text)
                # The same again is another ciphertext.
                f = self.post("/encrypt", plaintext=text, keyId=k["id"])
                for x in ("ciphertext", "nonce"):
                    self.assertNotEqual(e[x], f[x])

    def test_payload_is_documented(self):
        k = self.encryption_key("ML-KEM-768")
        e = self.post("/encrypt", plaintext="x", key_id=k["id"])
        text = unb64(e["encryptedPayload"]).decode()
        p = json.loads(text)
        self.assertEqual(list(p), ["c", "ek", "n", "t", "k", "kv", "e"])
        self.assertEqual([p[x] for x in p],
                         [e["ciphertext"], e["encapsulatedKey"], e["nonce"],
                          e["tag"], k["id"], 1, "utf8"])
        self.assertEqual(len(unb64(p["ek"])), 1088)
        # As System.Text.Json writes it.
        self.assertNotIn("+", text)

    def test_spellings(self):
        k = self.encryption_key()
        e = self.post("/encrypt", plaintext="p", key_id=k["id"],
                      additional_data="a")
        self.assertEqual(self.post(
            "/decrypt", encrypted_payload=e["encrypted_payload"],
            additional_data="a")["plaintext"], "p")
        self.assertEqual(self.post(
            "/decrypt", ciphertext=e["ciphertext"], nonce=e["nonce"],
            encapsulated_key="", tag=e["tag"], key_id=k["id"], key_version=1,
            additional_data="a")["plaintext"], "p")
        # Both given: camelCase wins.
        self.assertEqual(self.post("/encrypt", plaintext="p", keyId=k["id"],
                                   key_id=NONE)["keyId"], k["id"])

    def test_encodings(self):
        k = self.encryption_key()
        raw = bytes(range(256))
        for text, encoding, want in (
                ("text", None, ("text", "utf8")),
                ("text", "utf8", ("text", "utf8")),
                ("", "utf8", ("", "utf8")), ("", "base64", ("", "base64")),
                (b64(b"text"), "base64", (b64(b"text"), "base64")),
                (b64(raw), "base64", (b64(raw), "base64"))):
            e = self.post("/encrypt", plaintext=text, keyId=k["id"],
                          **({} if encoding is None
                             else {"encoding": encoding}))
            d = self.post("/decrypt", encryptedPayload=e["encryptedPayload"])
            self.assertEqual((d["plaintext"], d["encoding"]), want)
            # The parts do not tell: text, if it is any.
            d = self.post("/decrypt", ciphertext=e["ciphertext"],
                          encapsulatedKey="", nonce=e["nonce"],
                          tag=e["tag"], keyId=k["id"])
            if text == b64(raw):
                self.assertEqual(d, {"plaintext": text,
                                     "encoding": "base64"})
            else:
                self.assertEqual(d["encoding"], "utf8")
        for bad in ({"plaintext": "*", "encoding": "base64"},
                    {"plaintext": 1}, {}, {"plaintext": None},
                    {"plaintext": "x", "encoding": "utf16"},
                    {"plaintext": "x", "encoding": 1},
                    {"plaintext": "x", "keyId": 1},
                    {"plaintext": "x", "algorithm": "ROT-13"},
                    {"plaintext": "x", "algorithm": 1},
                    {"plaintext": "x", "additionalData": 1}):
            e = self.refused(400, "invalid_request", "/encrypt",
                             **{"keyId": k["id"], **bad})
            self.assertEqual(len(e["details"]["fields"]), 1)

    def test_tampering(self):
        for alg in ENCRYPTION:
            k, other = self.encryption_key(alg), self.encryption_key(alg)
            e = self.post("/encrypt", plaintext="text", keyId=k["id"],
                          additionalData="ad")
            parts = {x: e[x] for x in ("ciphertext", "nonce", "tag",
                                       "encapsulatedKey", "keyId")}
            parts["additionalData"] = "ad"
            self.post("/decrypt", **parts)
            changed = [{"ciphertext": flip(parts["ciphertext"])},
                       {"nonce": flip(parts["nonce"])},
                       {"tag": flip(parts["tag"], 15)},
                       {"keyId": other["id"]}, {"additionalData": "AD"},
                       {"additionalData": ""}, {"additionalData": None},
                       {"keyVersion": 2}, {"encapsulatedKey": "AA=="},
                       {"ciphertext": ""}]
            if alg in EK:
                changed += [{"encapsulatedKey": flip(e["encapsulatedKey"])},
                            {"encapsulatedKey": ""}]
            for c in changed:
                with self.subTest(f"{alg} {c}"):
                    self.refused(400, "decryption_failed", "/decrypt",
                                 **{**parts, **c})
            payload = json.loads(unb64(e["encryptedPayload"]))
            for c in ({"c": flip(payload["c"])}, {"k": other["id"]},
                      {"kv": 2}, {"kv": 0}, {"kv": "1"}, {"e": "utf9"},
                      {"n": payload["t"]}, {"t": payload["n"]},
                      {"ek": None}, {"c": None}, {"k": None}):
                self.refused(400, "decryption_failed", "/decrypt",
                             additionalData="ad", encryptedPayload=b64(
                                 json.dumps({**payload, **c}).encode()))

    def test_not_even_a_payload(self):
        for text in ("", "AAAA", "*", b64(b"{}"), b64(b"[]"), b64(b"1"),
                     "vault:v1:AAAA", b64(b"{")):
            self.refused(400, "decryption_failed", "/decrypt",
                         encryptedPayload=text)
        e = self.refused(400, "invalid_request", "/decrypt")
        self.assertIn("encryptedPayload", e["details"]["fields"])
        for body, field in (
                ({"encryptedPayload": 1}, "encryptedPayload"),
                ({"ciphertext": 1}, "ciphertext"),
                ({"ciphertext": "AA=="}, "encapsulatedKey"),
                ({"ciphertext": "", "encapsulatedKey": ""}, "nonce"),
                ({"ciphertext": "", "encapsulatedKey": "",
                  "nonce": b64(bytes(12))}, "tag"),
                ({"ciphertext": "", "encapsulatedKey": "",
                  "nonce": b64(bytes(11)), "tag": b64(bytes(16))}, "nonce"),
                ({"ciphertext": "", "keyVersion": 0}, "keyVersion"),
                ({"ciphertext": "", "keyId": 1}, "keyId"),
                ({"ciphertext": "", "additionalData": 1}, "additionalData")):
            e = self.refused(400, "invalid_request", "/decrypt", **body)
            self.assertEqual(list(e["details"]["fields"]), [field])

    def test_versions(self):
        for alg in ("AES-256-GCM", "ML-KEM-768", "X25519"):
            k = self.encryption_key(alg)
            one = self.post("/encrypt", plaintext="1", keyId=k["id"])
            self.rotate(k)
            two = self.post("/encrypt", plaintext="2", keyId=k["id"])
            self.assertEqual((one["keyVersion"], two["keyVersion"]), (1, 2))
            for e, text in ((one, "1"), (two, "2")):
                self.assertEqual(self.post(
                    "/decrypt", encryptedPayload=e["encryptedPayload"])
                    ["plaintext"], text)
            parts = {x: one[x] for x in ("ciphertext", "nonce", "tag",
                                         "encapsulatedKey", "keyId")}
            self.assertEqual(self.post("/decrypt", keyVersion=1, **parts)
                             ["plaintext"], "1")
            # Without its number it is taken for the current one.
            self.refused(400, "decryption_failed", "/decrypt", **parts)
            self.minimum(k, 2)
            self.refused(403, TOO_OLD, "/decrypt",
                         encryptedPayload=one["encryptedPayload"])
            self.refused(403, TOO_OLD, "/decrypt", keyVersion=1, **parts)
            self.post("/decrypt", encryptedPayload=two["encryptedPayload"])
            self.minimum(k, 1)
            self.change(k, revokedVersions=[1])
            self.refused(403, "key_revoked", "/decrypt",
                         encryptedPayload=one["encryptedPayload"])
            self.post("/decrypt", encryptedPayload=two["encryptedPayload"])
            rows = self.ok(200, "GET", f"/keys/{k['id']}/versions")
            self.assertEqual([v["revokedAt"] is None
                              for v in rows["versions"]], [True, False])
            self.change(k, revokedVersions=[2])
            self.refused(403, "key_revoked", "/encrypt", plaintext="x",
                         keyId=k["id"])
            self.post("/decrypt", encryptedPayload=one["encryptedPayload"])

    def test_which_keys(self):
        for path in ("/encrypt", "/decrypt"):
            body = {"plaintext": "x", "ciphertext": "", "nonce":
                    b64(bytes(12)), "tag": b64(bytes(16)),
                    "encapsulatedKey": ""}
            self.refused(404, "not_found", path, keyId=NONE, **body)
            self.refused(404, "not_found", path, keyId="none", **body)
            for k in (self.key(), self.key("HMAC", "hmac"),
                      self.key("RSA-2048", "signing")):
                self.refused(409, "conflict", path, keyId=k["id"], **body)
            self.unusable(self.encryption_key, path, "id",
                          None if path == "/encrypt" else 400, **body)
        # A public half is enough to encrypt, and does not decrypt.
        for alg in ("X25519", "RSA-2048", "ML-KEM-768"):
            k = self.encryption_key(alg)
            public = self.imported(alg, "encryption", unb64(k["publicKey"]),
                                   "raw", publicKeyOnly=True)
            e = self.post("/encrypt", plaintext="x", keyId=public["id"])
            self.refused(409, "conflict", "/decrypt",
                         encryptedPayload=e["encryptedPayload"])
            self.assertEqual(self.post(
                "/decrypt", ciphertext=e["ciphertext"], nonce=e["nonce"],
                tag=e["tag"], encapsulatedKey=e["encapsulatedKey"],
                keyId=k["id"])["plaintext"], "x")

    def test_scope_and_repetition(self):
        k = self.encryption_key()
        body = {"plaintext": "x", "keyId": k["id"]}
        e = self.ok(200, "POST", "/encrypt", body, key="enc")
        for _ in range(2):
            self.ok(200, "POST", "/decrypt",
                    {"encryptedPayload": e["encryptedPayload"]}, key="enc")
        err = self.error(403, "insufficient_scope", "POST", "/encrypt", body,
                         key="w")
        self.assertEqual(err["details"],
                         {"requiredScope": "encryption:write"})

    def test_size(self):
        """512 KiB go both ways, also as base64; over 1 MiB do not."""
        k = self.encryption_key("ML-KEM-768")
        raw = os.urandom(512 * 1024)
        for text, encoding in ((b64(raw), "base64"), ("ä" * 262144, "utf8")):
            e = self.ok(200, "POST", "/encrypt", json.dumps(
                {"plaintext": text, "keyId": k["id"], "encoding": encoding},
                ensure_ascii=False).encode())
            d = self.post("/decrypt", encryptedPayload=e["encryptedPayload"])
            self.assertEqual(d["plaintext"], text)
        self.refused(413, "payload_too_large", "/encrypt",
                     plaintext="x" * 1024 * 1024)

    def test_audit(self):
        k = self.encryption_key()
        here = {"category": "keys", "resourceType": "CryptoKey",
                "resourceId": k["id"], "resourceName": k["name"],
                "algorithm": "AES-256-GCM", "channel": "eaas", "valid": None}
        e = self.post("/encrypt", plaintext="x", keyId=k["id"])
        self.last(action="Encrypt", outcome="success", keyVersion=1, **here)
        self.rotate(k)
        self.post("/decrypt", encryptedPayload=e["encryptedPayload"])
        self.last(action="Decrypt", outcome="success", keyVersion=1, **here)
        self.refused(400, "decryption_failed", "/decrypt",
                     encryptedPayload=e["encryptedPayload"],
                     additionalData="x")
        self.last(action="Decrypt", outcome="failure",
                  error="decryption_failed", **here)
        self.minimum(k, 2)
        self.refused(403, TOO_OLD, "/decrypt",
                     encryptedPayload=e["encryptedPayload"])
        self.last(action="Decrypt", outcome="failure", error=TOO_OLD, **here)
        self.assertEqual(len(self.trail(keyId=k["id"], action="Decrypt")), 3)
        for x in self.trail(keyId=k["id"]):
            self.assertNotIn("plaintext", json.dumps(x))


class Default(Crypt):
    def test_default_key(self):
        self.refused(404, "not_found", "/encrypt", plaintext="x")
        self.refused(404, "not_found", "/decrypt", ciphertext="", nonce=b64(
            bytes(12)), tag=b64(bytes(16)), encapsulatedKey="")
        self.key(setAsDefault=True)
        self.refused(404, "not_found", "/encrypt", plaintext="x")
        k = self.encryption_key("AES-128-GCM", setAsDefault=True)
        # The SDK sends its default algorithm, whatever the key is of.
        e = self.post("/encrypt", plaintext="x", algorithm="ML-KEM-768")
        self.assertEqual((e["keyId"], e["algorithm"]),
                         (k["id"], "AES-128-GCM"))
        self.assertEqual(self.post(
            "/decrypt", ciphertext=e["ciphertext"], nonce=e["nonce"],
            tag=e["tag"], encapsulatedKey="")["plaintext"], "x")


class Sign(Crypt):
    def test_every_algorithm(self):
        data = b64(bytes(range(256)))
        for alg, size in SIGNATURE.items():
            with self.subTest(alg):
                k = self.key(alg)
                s = self.post("/sign", data=data, keyId=k["id"],
                              algorithm="ML-DSA-65")
                self.assertEqual(s.pop("standIn", None), k.get("standIn"))
                if not alg.startswith(("ML-", "SLH-")):
                    self.assertNotIn("standIn", k)
                self.assertEqual(set(s), {"signature", "algorithm", "keyId",
                                          "key_id"})
                self.assertEqual((s["algorithm"], s["keyId"], s["key_id"]),
                                 (alg, k["id"], k["id"]))
                sig = unb64(s["signature"])
                if size is not None:
                    self.assertEqual(len(sig), size)

                def is_valid(**change):
                    v = self.post("/verify", **{
                        "data": data, "signature": s["signature"],
                        "keyId": k["id"], **change})
                    self.assertEqual(v.pop("standIn", None),
                                     k.get("standIn"))
                    self.assertEqual(set(v), {"isValid", "is_valid"})
                    self.assertIs(v["isValid"], v["is_valid"])
                    return v["isValid"]
                self.assertIs(is_valid(), True)
                for wrong in ({"data": b64(b"x")}, {"data": ""},
                              {"keyId": self.key(alg)["id"]},
                              {"signature": ""}, {"signature": b64(sig[1:])},
                              {"signature": b64(sig + b"\0")},
                              {"signature": flip(s["signature"], 5)},
                              {"signature": flip(s["signature"], -1)}):
                    self.assertIs(is_valid(**wrong), False, wrong)
                public = self.imported(alg, "signing",
                                       unb64(k["publicKey"]), "raw",
                                       publicKeyOnly=True)
                self.assertIs(is_valid(keyId=public["id"]), True)
                self.refused(409, "conflict", "/sign", data=data,
                             keyId=public["id"])

    def test_verifies_outside(self):
        data = os.urandom(1000)
        pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt",
               "rsa_pss_saltlen:32"]
        for alg, args in (
                ("Ed25519", None), ("RSA-2048", ["-sha256"] + pss),
                ("ECDSA-P256", ["-sha256"]), ("ECDSA-P384", ["-sha384"]),
                ("ECDSA-P521", ["-sha512"])):
            with self.subTest(alg):
                k = self.key(alg)
                s = self.post("/sign", data=b64(data), keyId=k["id"])
                pem = self.ok(200, "GET",
                              f"/keys/{k['id']}/public?format=pem")
                pub, msg, sig = self.files(pem["publicKey"].encode(), data,
                                           unb64(s["signature"]))
                if args is None:
                    self.openssl("pkeyutl", "-verify", "-pubin", "-inkey",
                                 pub, "-rawin", "-in", msg, "-sigfile", sig)
                else:
                    self.openssl("dgst", *args, "-verify", pub, "-signature",
                                 sig, msg)

    def test_outside_signatures_verify(self):
        data = os.urandom(100)
        for alg, gen, args in (
                ("ECDSA-P256", ["-algorithm", "ec", "-pkeyopt",
                                "ec_paramgen_curve:P-256"], ["-sha256"]),
                ("RSA-2048", ["-algorithm", "rsa"],
                 ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt",
                  "rsa_pss_saltlen:32"])):
            pem = self.openssl("genpkey", *gen).stdout
            pub = self.openssl("pkey", "-pubout", data=pem).stdout
            key, msg = self.files(pem, data)
            sig = self.openssl("dgst", *args, "-sign", key, msg).stdout
            k = self.imported(alg, "signing", pub, "pem", publicKeyOnly=True)
            self.assertTrue(self.post("/verify", data=b64(data),
                                      signature=b64(sig),
                                      keyId=k["id"])["isValid"])

    def test_encoding(self):
        k = self.key()
        a = self.post("/sign", data="text", encoding="utf8", keyId=k["id"])
        b = self.post("/sign", data=b64(b"text"), keyId=k["id"])
        self.assertEqual(a["signature"], b["signature"])
        self.assertTrue(self.post("/verify", data="text", encoding="utf8",
                                  signature=a["signature"],
                                  keyId=k["id"])["isValid"])
        empty = self.post("/sign", data="", key_id=k["id"])
        self.assertTrue(self.post("/verify", data="", key_id=k["id"],
                                  signature=empty["signature"])["isValid"])

    def test_refuses(self):
        k = self.key()
        sig = self.post("/sign", data="", keyId=k["id"])["signature"]
        for path in ("/sign", "/verify"):
            good = {"data": "", "keyId": k["id"], "signature": sig}
            for field, values in {"data": (None, 1, "*", "text!"),
                                  "keyId": (None, 1),
                                  "encoding": ("hex", 1)}.items():
                for v in values:
                    e = self.refused(400, "invalid_request", path,
                                     **{**good, field: v})
                    self.assertEqual(list(e["details"]["fields"]), [field])
            for name in ("data", "keyId"):
                self.refused(400, "invalid_request", path,
                             **{x: good[x] for x in good if x != name})
            self.refused(404, "not_found", path, **{**good, "keyId": NONE})
            for x in (self.encryption_key(), self.key("HMAC", "hmac"),
                      self.encryption_key("RSA-2048")):
                self.refused(409, "conflict", path,
                             **{**good, "keyId": x["id"]})
            self.unusable(self.key, path, "id",
                          None if path == "/sign" else 200, **good)
        for v in (None, 1, "*", "vault:v1:AA=="):
            self.refused(400, "invalid_request", "/verify", data="",
                         signature=v, keyId=k["id"])
        self.refused(400, "invalid_request", "/sign", data="", keyId=k["id"],
                     algorithm="ROT-13")

    def test_versions(self):
        k = self.key()
        old = self.post("/sign", data="", keyId=k["id"])["signature"]
        self.rotate(k)
        new = self.post("/sign", data="", keyId=k["id"])["signature"]
        body = {"data": "", "keyId": k["id"]}
        for s in (old, new):
            self.assertTrue(self.post("/verify", signature=s,
                                      **body)["isValid"])
        self.last(action="Verify", keyVersion=2)
        self.minimum(k, 2)
        self.refused(403, TOO_OLD, "/verify", signature=old, **body)
        self.assertTrue(self.post("/verify", signature=new,
                                  **body)["isValid"])
        self.assertFalse(self.post("/verify", signature=flip(old),
                                   **body)["isValid"])
        self.minimum(k, 1)
        self.change(k, revokedVersions=[1])
        self.refused(403, "key_revoked", "/verify", signature=old, **body)

    def test_audit(self):
        k = self.key()
        here = {"resourceId": k["id"], "algorithm": "Ed25519",
                "channel": "eaas", "outcome": "success", "category": "keys"}
        s = self.post("/sign", data="", keyId=k["id"])["signature"]
        self.last(action="Sign", keyVersion=1, valid=None, **here)
        self.post("/verify", data="", signature=s, keyId=k["id"])
        self.last(action="Verify", keyVersion=1, valid=True, **here)
        self.post("/verify", data="AAAA", signature=s, keyId=k["id"])
        self.last(action="Verify", keyVersion=None, valid=False, **here)


def sodium():
    """libsodium's AES-256-GCM; None where the processor lacks it."""
    for name in ("libsodium.so.23", "libsodium.so.26",
                 ctypes.util.find_library("sodium")):
        try:
            lib = ctypes.CDLL(name or "libsodium.so")
        except OSError:
            continue
        lib.sodium_init()
        return lib if lib.crypto_aead_aes256gcm_is_available() else None
    return None


class Outside(Crypt):
    """Who holds a key can open by the README alone what was sealed with it."""

    def setUp(self):
        super().setUp()
        self.sodium = sodium()
        if self.sodium is None:
            self.skipTest("libsodium without AES-256-GCM")

    def gcm_open(self, key, e, aad=b""):
        c, n, t = (unb64(e[x]) for x in ("ciphertext", "nonce", "tag"))
        out = ctypes.create_string_buffer(len(c) + 1)
        r = self.sodium.crypto_aead_aes256gcm_decrypt_detached(
            out, None, c, ctypes.c_ulonglong(len(c)), t, aad,
            ctypes.c_ulonglong(len(aad)), n, key)
        self.assertEqual(r, 0)
        return out.raw[:len(c)]

    def hkdf(self, shared, ek):
        prk = hmac.new(ek, shared, hashlib.sha256).digest()
        return hmac.new(prk, b"qapi-sandbox\x01", hashlib.sha256).digest()

    def encrypt(self, key):
        return self.post("/encrypt", plaintext="open me", keyId=key["id"],
                         additionalData="ä")

    def test_aes(self):
        key = os.urandom(32)
        e = self.encrypt(self.imported("AES-256-GCM", "encryption", key,
                                       "raw"))
        self.assertEqual(self.gcm_open(key, e, "ä".encode()), b"open me")

    def test_rsa(self):
        pem = self.openssl("genpkey", "-algorithm", "rsa").stdout
        e = self.encrypt(self.imported("RSA-2048", "encryption", pem, "pem"))
        key, ek = self.files(pem, unb64(e["encapsulatedKey"]))
        cek = self.openssl("pkeyutl", "-decrypt", "-inkey", key, "-in", ek,
                           "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt",
                           "rsa_oaep_md:sha256").stdout
        self.assertEqual(self.gcm_open(cek, e, "ä".encode()), b"open me")

    def test_x25519(self):
        pem = self.openssl("genpkey", "-algorithm", "x25519").stdout
        e = self.encrypt(self.imported("X25519", "encryption", pem, "pem"))
        ek = unb64(e["encapsulatedKey"])
        spki = bytes.fromhex("302a300506032b656e032100") + ek
        key, peer = self.files(pem, spki)
        shared = self.openssl("pkeyutl", "-derive", "-inkey", key,
                              "-peerkey", peer, "-peerform", "DER").stdout
        self.assertEqual(self.gcm_open(self.hkdf(shared, ek), e,
                                       "ä".encode()), b"open me")


if __name__ == "__main__":
    unittest.main()
