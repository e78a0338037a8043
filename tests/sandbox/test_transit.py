#!/usr/bin/env python3
"""Tests of the sandbox's transit, data keys and entropy.

    SANDBOX=path/to/qapi-sandbox python3 test_transit.py
"""

import calendar
import hmac
import os
import time
import unittest

import test_sandbox as base
from test_crypt import (EK, ENCRYPTION, NONE, SIGNATURE, TOO_OLD, Crypt, b64,
                        flip, unb64)


class Transit(Crypt):
    def test_encrypt(self):
        for alg in ENCRYPTION:
            k = self.encryption_key(alg, name="orders/" + os.urandom(6).hex()
                                    + " ä%")
            name = base.urllib.parse.quote(k["name"], safe="")
            e = self.post("/transit/encrypt/" + name, plaintext=b64(b"\0x"))
            self.assertEqual(e.pop("standIn", None), k.get("standIn"))
            self.assertEqual(set(e), {"ciphertext", "keyName", "keyVersion"})
            self.assertEqual((e["keyName"], e["keyVersion"]), (k["name"], 1))
            self.assertTrue(e["ciphertext"].startswith("vault:v1:"))
            self.assertEqual(len(unb64(e["ciphertext"][9:])),
                             EK.get(alg, 0) + 12 + 16 + 2)
            d = self.post("/transit/decrypt/" + name,
                          ciphertext=e["ciphertext"])
            self.assertEqual(d.pop("standIn", None), k.get("standIn"))
            self.assertEqual(d, {"plaintext": b64(b"\0x")})
            e = self.post("/transit/encrypt/" + name, plaintext="ü",
                          encoding="utf8")
            d = self.post("/transit/decrypt/" + name,
                          ciphertext=e["ciphertext"])
            self.assertEqual(d["plaintext"], b64("ü".encode()))
        e = self.post("/transit/encrypt/" + name, plaintext="",
                      encoding="base64")
        self.assertEqual(self.post("/transit/decrypt/" + name,
                                   ciphertext=e["ciphertext"])["plaintext"],
                         "")

    def test_refuses(self):
        k = self.encryption_key()
        c = self.post("/transit/encrypt/" + k["name"],
                      plaintext="AAAA")["ciphertext"]
        for body in ({}, {"plaintext": "*"}, {"plaintext": 1},
                     {"plaintext": "AAAA", "encoding": "hex"}):
            self.refused(400, "invalid_request",
                         "/transit/encrypt/" + k["name"], **body)
        for op in ("decrypt", "rewrap"):
            path = f"/transit/{op}/{k['name']}"
            for v in (None, 1):
                self.refused(400, "invalid_request", path, ciphertext=v)
            self.refused(400, "invalid_request", path)
            raw = c[len("vault:v1:"):]
            for v in ("", "x", "vault:", "vault:v1:", "vault:v1", raw,
                      "vault:v0:" + raw, "vault:v2:" + raw, "vault:v1:*",
                      "vault:v-1:" + raw, "vault:v01:" + raw,
                      "vault:v99999999999999999999:" + raw,
                      "vault:v1: " + raw, c + "\0", "vault:v1:AAAA",
                      "vault:v1:" + flip(raw, 0),
                      "vault:v1:" + flip(raw, 15),
                      "vault:v1:" + flip(raw, -1), c[:-4]):
                self.refused(400, "decryption_failed", path, ciphertext=v)
            other = self.encryption_key()
            self.refused(400, "decryption_failed",
                         f"/transit/{op}/{other['name']}", ciphertext=c)
        for op in ("encrypt", "decrypt", "rewrap", "datakey", "hmac", "sign",
                   "verify", "batch/encrypt", "batch/decrypt"):
            wrong = self.key("HMAC", "hmac") if op != "hmac" else self.key()
            self.refused(404, "not_found", f"/transit/{op}/none")
            self.refused(409, "conflict", f"/transit/{op}/{wrong['name']}")
        # A signing key of an algorithm that could encrypt does not.
        rsa = self.key("RSA-2048")
        self.refused(409, "conflict", "/transit/encrypt/" + rsa["name"])
        self.unusable(self.encryption_key, "/transit/encrypt/NAME", "name",
                      plaintext="AAAA")
        self.unusable(self.encryption_key, "/transit/decrypt/NAME", "name",
                      400, ciphertext=c)
        self.unusable(self.encryption_key, "/transit/datakey/NAME", "name")
        self.unusable(self.key, "/transit/sign/NAME", "name", data="")
        self.unusable(lambda: self.key("HMAC", "hmac"),
                      "/transit/hmac/NAME", "name", data="")

    def test_versions(self):
        k = self.encryption_key()
        name = k["name"]
        one = self.post("/transit/encrypt/" + name, plaintext=b64(b"1"))
        self.rotate(k)
        two = self.post("/transit/rewrap/" + name,
                        ciphertext=one["ciphertext"])
        self.assertEqual(set(two), {"ciphertext", "keyVersion"})
        self.assertEqual(two["keyVersion"], 2)
        self.assertTrue(two["ciphertext"].startswith("vault:v2:"))
        for e in (one, two):
            self.assertEqual(self.post("/transit/decrypt/" + name,
                                       ciphertext=e["ciphertext"])
                             ["plaintext"], b64(b"1"))
        c = self.post(f"/transit/keys/{name}/config", minDecryptionVersion=2)
        self.assertEqual(c, {"keyName": name, "latestVersion": 2,
                             "minDecryptionVersion": 2})
        for op in ("decrypt", "rewrap"):
            self.refused(403, TOO_OLD, f"/transit/{op}/{name}",
                         ciphertext=one["ciphertext"])
            self.post(f"/transit/{op}/{name}", ciphertext=two["ciphertext"])
        for v in (0, 3, "1", None):
            self.refused(400, "invalid_min_decryption_version",
                         f"/transit/keys/{name}/config",
                         min_decryption_version=v)
        self.post(f"/transit/keys/{name}/config", min_decryption_version=1)
        self.refused(404, "not_found", "/transit/keys/none/config")
        body = {"minDecryptionVersion": 1}
        path = f"/transit/keys/{name}/config"
        self.ok(200, "POST", path, body, key="w")
        self.error(403, "insufficient_scope", "POST", path, body, key="enc")
        self.change(k, revokedVersions=[1])
        self.refused(403, "key_revoked", "/transit/decrypt/" + name,
                     ciphertext=one["ciphertext"])

    def test_hmac(self):
        secret = os.urandom(40)
        k = self.imported("HMAC-SHA512", "hmac", secret, "raw")
        path = "/transit/hmac/" + k["name"]
        for algorithm in (None, "sha256", "sha384", "sha512"):
            h = self.post(path, data=b64(b"data"), algorithm=algorithm)
            self.assertEqual(set(h), {"hmac", "algorithm", "keyVersion"})
            name = algorithm or "sha256"
            want = hmac.new(secret, b"data", name).digest()
            self.assertEqual((h["hmac"], h["algorithm"], h["keyVersion"]),
                             ("vault:v1:" + b64(want), name, 1))
        self.post(path, data="")
        for body in ({}, {"data": "*"}, {"data": "", "algorithm": "md5"},
                     {"data": "", "algorithm": 1}):
            self.refused(400, "invalid_request", path, **body)
        self.rotate(k)
        h = self.post(path, data=b64(b"data"))
        self.assertTrue(h["hmac"].startswith("vault:v2:"))
        self.last(action="Hmac", channel="transit", keyVersion=2,
                  resourceId=k["id"], category="keys")

    def test_sign(self):
        for alg, size in SIGNATURE.items():
            k = self.key(alg)
            sign, verify = ("/transit/sign/" + k["name"],
                            "/transit/verify/" + k["name"])
            s = self.post(sign, data="AAAA")
            self.assertEqual(s.pop("standIn", None), k.get("standIn"))
            self.assertEqual(set(s), {"signature", "algorithm", "keyName",
                                      "keyVersion"})
            self.assertEqual((s["algorithm"], s["keyName"], s["keyVersion"]),
                             (alg, k["name"], 1))
            self.assertTrue(s["signature"].startswith("vault:v1:"))
            raw = s["signature"][9:]
            if size is not None:
                self.assertEqual(len(unb64(raw)), size)

            def valid(**change):
                v = self.post(verify, **{"data": "AAAA", "signature":
                                         s["signature"], **change})
                self.assertEqual(v.pop("standIn", None), k.get("standIn"))
                self.assertEqual(set(v), {"valid"})
                return v["valid"]
            self.assertIs(valid(), True)
            for wrong in ({"data": "AAAB"},
                          {"signature": "vault:v1:" + flip(raw, 3)},
                          {"signature": "vault:v1:"},
                          {"signature": "vault:v2:" + raw}):
                self.assertIs(valid(**wrong), False, wrong)
            # The bare signature is what /sign would have given.
            self.assertTrue(self.post("/verify", data="AAAA", signature=raw,
                                      keyId=k["id"])["isValid"])
        for body in ({"data": "AAAA"}, {"data": "AAAA", "signature": raw},
                     {"data": "*", "signature": s["signature"]},
                     {"signature": s["signature"]},
                     {"data": "AAAA", "signature": 1}):
            self.refused(400, "invalid_request", verify, **body)
        for body in ({}, {"data": "*"}, {"data": "", "algorithm": "x"}):
            self.refused(400, "invalid_request", sign, **body)
        self.rotate(k)
        self.assertTrue(valid())
        new = self.post(sign, data="AAAA")
        self.assertEqual(new["keyVersion"], 2)
        self.assertFalse(valid(signature="vault:v2:" + raw))
        self.minimum(k, 2)
        self.refused(403, TOO_OLD, verify, data="AAAA",
                     signature=s["signature"])
        self.assertTrue(valid(signature=new["signature"]))
        self.last(action="Verify", channel="transit", valid=True,
                  keyVersion=2, resourceId=k["id"])

    def test_batch(self):
        k = self.encryption_key()
        enc, dec = (f"/transit/batch/{op}/{k['name']}"
                    for op in ("encrypt", "decrypt"))
        items = [{"plaintext": b64(b"0")}, {"plaintext": "*"}, {},
                 {"plaintext": "ü", "encoding": "utf8"}, 1,
                 {"plaintext": "x", "encoding": "hex"}]
        r = self.post(enc, items=items)
        self.assertEqual(set(r), {"results", "keyName", "keyVersion"})
        self.assertEqual((r["keyName"], r["keyVersion"]), (k["name"], 1))
        self.assertEqual([x["index"] for x in r["results"]],
                         list(range(len(items))))
        self.assertEqual([set(x) for x in r["results"]],
                         [{"index", "ciphertext"}] +
                         2 * [{"index", "error"}] +
                         [{"index", "ciphertext"}] +
                         2 * [{"index", "error"}])
        self.last(action="Encrypt", channel="transit", outcome="success",
                  batchSize=6, failedItems=4, keyVersion=1,
                  resourceId=k["id"])
        good = [r["results"][i]["ciphertext"] for i in (0, 3)]
        self.rotate(k)
        good.append(self.post(enc, items=[{"plaintext": b64(b"2")}])
                    ["results"][0]["ciphertext"])
        self.assertTrue(good[2].startswith("vault:v2:"))
        items = [{"ciphertext": good[0]}, {"ciphertext": "vault:v1:AAAA"},
                 {"ciphertext": good[1]}, {"ciphertext": good[2]}, {}, 1,
                 {"ciphertext": "vault:v9:AAAA"}]
        r = self.post(dec, items=items)
        self.assertEqual(set(r), {"results"})
        self.assertEqual(r["results"], [
            {"index": 0, "plaintext": b64(b"0")},
            {"index": 1, "error": "decryption_failed"},
            {"index": 2, "plaintext": b64("ü".encode())},
            {"index": 3, "plaintext": b64(b"2")},
            {"index": 4, "error": "invalid_request"},
            {"index": 5, "error": "invalid_request"},
            {"index": 6, "error": "decryption_failed"}])
        self.last(action="Decrypt", batchSize=7, failedItems=4)
        self.minimum(k, 2)
        self.refused(403, TOO_OLD, dec, items=items)
        self.last(action="Decrypt", outcome="failure", batchSize=7,
                  failedItems=7, error=TOO_OLD)
        r = self.post(dec, items=[{"ciphertext": good[2]}])
        self.assertEqual(r["results"], [{"index": 0,
                                         "plaintext": b64(b"2")}])
        for path, item in ((enc, {"plaintext": ""}),
                           (dec, {"ciphertext": good[2]})):
            r = self.post(path, items=100 * [item])
            self.assertEqual(len(r["results"]), 100)
            for bad in (101 * [item], [], None, {}, "x"):
                e = self.refused(400, "invalid_request", path, items=bad)
                self.assertIn("items", e["details"]["fields"])
            self.refused(400, "invalid_request", path)

    def test_public_half_alone(self):
        k = self.encryption_key("X25519")
        public = self.imported("X25519", "encryption",
                               unb64(k["publicKey"]), "raw",
                               publicKeyOnly=True)
        e = self.post("/transit/encrypt/" + public["name"], plaintext="AAAA")
        self.refused(400, "decryption_failed",
                     "/transit/decrypt/" + public["name"],
                     ciphertext=e["ciphertext"])
        self.post("/transit/decrypt/" + k["name"],
                  ciphertext=e["ciphertext"])
        # A second version that is generated has both.
        sign = self.key()
        public = self.imported("Ed25519", "signing",
                               unb64(sign["publicKey"]), "raw",
                               publicKeyOnly=True)
        self.refused(409, "conflict", "/transit/sign/" + public["name"],
                     data="")
        self.rotate(public)
        self.post("/transit/sign/" + public["name"], data="")

    def test_another_tenant(self):
        k = self.encryption_key()
        self.sb.control("PUT", "/api-keys/else",
                        {"scopes": ["*"], "tenant": "other"})
        e = self.post("/encrypt", plaintext="x", keyId=k["id"])
        self.error(404, "not_found", "POST", "/decrypt",
                   {"encryptedPayload": e["encryptedPayload"]}, key="else")
        self.error(404, "not_found", "POST", "/transit/encrypt/" + k["name"],
                   {"plaintext": ""}, key="else")
        mine = {x["action"] for x in self.trail()}
        self.assertIn("Encrypt", mine)
        theirs = self.ok(200, "GET", "/audit-logs", key="else")["items"]
        self.assertEqual([(x["action"], x["outcome"]) for x in theirs],
                         [("Encrypt", "failure"), ("Decrypt", "failure")])


class DataKeys(Crypt):
    FIELDS = {"plaintextKey", "encryptedKey", "keyId", "keyVersion",
              "algorithm"}

    def check(self, k, d, want):
        self.assertEqual(d.pop("standIn", None), k.get("standIn"))
        self.assertEqual(set(d), want)
        self.assertEqual((d["keyId"], d["keyVersion"], d["algorithm"]),
                         (k["id"], 1, "AES-256-GCM"))

    def test_both_kinds(self):
        for alg in ENCRYPTION:
            k = self.encryption_key(alg)
            one = f"/keys/{k['id']}/generate-data-key"
            two = "/transit/datakey/" + k["name"]
            for path in (one, two):
                d = self.ok(200, "POST", path)
                self.check(k, d, self.FIELDS)
                self.assertEqual(len(unb64(d["plaintextKey"])), 32)
                u = self.post(f"/keys/{k['id']}/unwrap",
                              wrappedKey=d["encryptedKey"])
                self.assertEqual(u.pop("standIn", None), k.get("standIn"))
                self.assertEqual(u, {"keyMaterial": d["plaintextKey"],
                                     "keyId": k["id"], "keyVersion": 1})
                self.assertNotEqual(self.ok(200, "POST", path)
                                    ["plaintextKey"], d["plaintextKey"])
            d = self.ok(200, "POST", one + "-without-plaintext")
            self.check(k, d, self.FIELDS)
            self.assertIsNone(d["plaintextKey"])
            d = self.ok(200, "POST", two + "/without-plaintext")
            self.check(k, d, self.FIELDS - {"plaintextKey"})
            u = self.post(f"/keys/{k['id']}/unwrap",
                          wrapped_key=d["encryptedKey"])
            self.assertEqual(len(unb64(u["keyMaterial"])), 32)

    def test_parameters(self):
        k = self.encryption_key()
        for path in (f"/keys/{k['id']}/generate-data-key",
                     "/transit/datakey/" + k["name"],
                     f"/keys/{k['id']}/generate-data-key-without-plaintext",
                     f"/transit/datakey/{k['name']}/without-plaintext"):
            for n in (16, 24, 32):
                d = self.post(path, keyBytes=n, algorithm="AES-128-GCM")
                self.assertEqual(d["algorithm"], "AES-128-GCM")
                u = self.post(f"/keys/{k['id']}/unwrap",
                              wrappedKey=d["encryptedKey"])
                self.assertEqual(len(unb64(u["keyMaterial"])), n)
            for name, values in {"keyBytes": (0, 8, 33, "32", -1, 1.5),
                                 "algorithm": ("", 1, "x" * 101),
                                 "context": ("*", 1)}.items():
                for v in values:
                    e = self.refused(400, "invalid_request", path,
                                     **{name: v})
                    self.assertEqual(list(e["details"]["fields"]), [name])
            self.post(path, keyBytes=None, algorithm=None, context=None)

    def test_context(self):
        k = self.encryption_key("ML-KEM-768")
        unwrap = f"/keys/{k['id']}/unwrap"
        d = self.post(f"/keys/{k['id']}/generate-data-key",
                      context=b64(b"tenant 1"))
        w = d["encryptedKey"]
        self.assertEqual(self.post(unwrap, wrappedKey=w, context=b64(
            b"tenant 1"))["keyMaterial"], d["plaintextKey"])
        for context in (b64(b"tenant 2"), "", None):
            self.refused(400, "decryption_failed", unwrap, wrappedKey=w,
                         context=context)
        self.refused(400, "decryption_failed",
                     "/transit/decrypt/" + k["name"], ciphertext=w)
        d = self.post("/transit/datakey/" + k["name"])
        self.assertEqual(self.post("/transit/decrypt/" + k["name"],
                                   ciphertext=d["encryptedKey"])
                         ["plaintext"], d["plaintextKey"])

    def test_unwrap(self):
        k = self.encryption_key()
        unwrap = f"/keys/{k['id']}/unwrap"
        make = f"/keys/{k['id']}/generate-data-key"
        one = self.ok(200, "POST", make)["encryptedKey"]
        self.rotate(k)
        two = self.ok(200, "POST", make)
        self.assertEqual(two["keyVersion"], 2)
        self.assertEqual(self.post(unwrap, wrappedKey=one)["keyVersion"], 1)
        self.minimum(k, 2)
        self.refused(403, TOO_OLD, unwrap, wrappedKey=one)
        self.post(unwrap, wrappedKey=two["encryptedKey"])
        for v in (None, 1):
            self.refused(400, "invalid_request", unwrap, wrappedKey=v)
        self.refused(400, "invalid_request", unwrap)
        self.refused(400, "invalid_request", unwrap, wrappedKey=one,
                     context="*")
        for v in ("", "x", "vault:v2:AAAA", "AAAA"):
            self.refused(400, "decryption_failed", unwrap, wrappedKey=v)
        self.minimum(k, 1)
        self.change(k, revokedVersions=[1])
        self.refused(403, "key_revoked", unwrap, wrappedKey=one)
        for path in (unwrap, make, make + "-without-plaintext"):
            self.refused(404, "not_found", path.replace(k["id"], NONE))
            for x in (self.key(), self.key("HMAC", "hmac")):
                self.refused(409, "conflict", path.replace(k["id"], x["id"]),
                             wrappedKey=one)
            self.error(403, "insufficient_scope", "POST", path, {},
                       key="enc")
            self.error(403, "insufficient_scope", "POST", path, {}, key="r")
        self.unusable(self.encryption_key, "/keys/ID/unwrap", "", 400,
                      wrappedKey=one)
        self.unusable(self.encryption_key, "/keys/ID/generate-data-key", "")
        self.last(action="GenerateDataKey", outcome="failure",
                  error="not_found")

    def test_wrapped_by_others(self):
        """With an RSA key's public half and OAEP, not by the sandbox."""
        k = self.encryption_key("RSA-2048")
        pem = self.ok(200, "GET", f"/keys/{k['id']}/public?format=pem")
        pub, data = self.files(pem["publicKey"].encode(), b"0123456789abcdef")
        args = ["pkeyutl", "-encrypt", "-pubin", "-inkey", pub, "-in", data,
                "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt"]
        unwrap = f"/keys/{k['id']}/unwrap"
        c = self.openssl(*args, "rsa_oaep_md:sha256").stdout
        u = self.post(unwrap, wrappedKey=b64(c))
        self.assertEqual(unb64(u["keyMaterial"]), b"0123456789abcdef")
        c = self.openssl(*args, "rsa_oaep_md:sha1").stdout
        self.refused(400, "decryption_failed", unwrap, wrappedKey=b64(c))
        self.change(k, revokedVersions=[1])
        self.refused(400, "decryption_failed", unwrap, wrappedKey=b64(c))

    def test_audit(self):
        k = self.encryption_key()
        here = {"resourceId": k["id"], "resourceName": k["name"],
                "keyVersion": 1, "category": "keys", "outcome": "success"}
        d = self.ok(200, "POST", f"/keys/{k['id']}/generate-data-key")
        self.last(action="GenerateDataKey", channel="eaas", **here)
        self.ok(200, "POST", "/transit/datakey/" + k["name"])
        self.last(action="GenerateDataKey", channel="transit", **here)
        self.post(f"/keys/{k['id']}/unwrap", wrappedKey=d["encryptedKey"])
        self.last(action="UnwrapKey", channel="eaas", **here)


class Qrng(Crypt):
    SEED = {"tenants": {"poor": {"qrng": {"quotaLimitMb": 0.25}}},
            "apiKeys": [{"key": "poor", "scopes": ["qrng:read"],
                         "tenant": "poor"}]}

    def draw(self, key=base.ALL, **body):
        a = self.ok(200, "POST", "/qrng/entropy", body, key=key)
        self.assertEqual(set(a), {"entropy", "format", "source",
                                  "sourceDetails", "consumedBytes",
                                  "quotaLimitMb", "quotaRemainingMb",
                                  "requestId"})
        details = a["sourceDetails"]
        self.assertRegex(details.pop("servedAt"), base.TIME)
        self.assertEqual(details, {"provider": "SystemRandom",
                                   "isQuantum": False})
        self.assertEqual((a["source"], a["consumedBytes"]),
                         ("csprng", body["bytes"]))
        self.assertIsInstance(a["quotaLimitMb"], float)
        self.assertIsInstance(a["quotaRemainingMb"], float)
        return a

    def test_formats(self):
        for fmt in (None, "raw", "RAW"):
            a = self.draw(bytes=33, format=fmt)
            self.assertEqual((a["format"], len(unb64(a["entropy"]))),
                             ("raw", 33))
        a = self.draw(bytes=7, format="hex")
        self.assertRegex(a["entropy"], "^[0-9a-f]{14}$")
        a = self.draw(bytes=48, format="uuid")
        self.assertEqual(len(a["entropy"]), 3)
        for u in a["entropy"]:
            self.assertRegex(u, base.UUID)
        for fmt, size in (("int32", 4), ("int64", 8)):
            a = self.draw(bytes=4096, format=fmt)
            limit = 1 << (8 * size - 1)
            self.assertEqual(len(a["entropy"]), 4096 // size)
            for i in a["entropy"]:
                self.assertIsInstance(i, int)
                self.assertTrue(-limit <= i < limit)
            # 2^-500 that all are positive, or all are small.
            self.assertTrue(any(i < 0 for i in a["entropy"]))
            self.assertTrue(any(abs(i) > limit // 4 for i in a["entropy"]))
        self.draw(bytes=1)
        a = self.draw(bytes=65536)
        self.assertEqual(len(unb64(a["entropy"])), 65536)
        a = self.ok(200, "POST", "/qrng/entropy", {"bytes": 8},
                    headers={"X-Allow-Csprng": "true"})
        self.assertEqual(a["source"], "csprng")

    def test_refuses(self):
        for body, field in (({}, "bytes"), ({"bytes": 0}, "bytes"),
                            ({"bytes": 65537}, "bytes"),
                            ({"bytes": "1"}, "bytes"),
                            ({"bytes": 15, "format": "uuid"}, "bytes"),
                            ({"bytes": 6, "format": "int32"}, "bytes"),
                            ({"bytes": 12, "format": "int64"}, "bytes"),
                            ({"bytes": 1, "format": "octal"}, "format"),
                            ({"bytes": 1, "format": 1}, "format")):
            e = self.refused(400, "invalid_request", "/qrng/entropy", **body)
            self.assertEqual(list(e["details"]["fields"]), [field])
        self.error(403, "insufficient_scope", "POST", "/qrng/entropy",
                   {"bytes": 1}, key="enc")
        self.sb.fault(path="/api/v1/qrng/entropy", status=503,
                      error="qrng_unavailable", retryAfter=30)
        a = self.api("POST", "/qrng/entropy", {"bytes": 1})
        self.assertEqual((a.status, a.json["error"],
                          a.headers["Retry-After"]),
                         (503, "qrng_unavailable", "30"))

    def test_quota(self):
        """A quarter of a megabyte a month, of one of two tenants."""
        # Not by chance at a month's end: on the 11th of the next one.
        now = time.gmtime()
        eleventh = calendar.timegm((now.tm_year, now.tm_mon + 1, 11, 0, 0, 0))
        ahead = (eleventh - calendar.timegm(now)) * 1000
        self.addCleanup(self.sb.control, "PUT", "/clock", {"aheadMs": 0})
        self.sb.control("PUT", "/clock", {"aheadMs": ahead})
        left = [self.draw("poor", bytes=65536)["quotaRemainingMb"]
                for _ in range(4)]
        self.assertEqual(left, [0.1875, 0.125, 0.0625, 0.0])
        a = self.api("POST", "/qrng/entropy", {"bytes": 1}, key="poor")
        self.assertEqual((a.status, a.json["error"]),
                         (429, "quota_exceeded"))
        resets = a.json["details"]["resetsAt"]
        self.assertRegex(resets, r"^\d{4}-\d\d-01T00:00:00Z$")
        wait = int(a.headers["Retry-After"])
        self.assertTrue(0 < wait <= 31 * 86400)
        self.draw(bytes=1)  # another tenant's is its own
        self.sb.control("PUT", "/clock", {"aheadMs": ahead + wait * 1000})
        self.assertEqual(self.draw("poor", bytes=65536)
                         ["quotaRemainingMb"], 0.1875)

    def test_audit(self):
        a = self.draw(bytes=16)
        self.last(action="EntropyDrawn", category="other",
                  resourceId=a["requestId"], outcome="success")


if __name__ == "__main__":
    unittest.main()
