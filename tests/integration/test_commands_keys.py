#!/usr/bin/env python3
"""Keys at work through the agent: pubkey, encrypt, decrypt, sign, verify
(contract 4), with the service's cryptography."""

import base64
import json
import os
import shutil
import subprocess
import unittest

import harness
from harness import Case

SEED32 = bytes(range(32))       # of an Ed25519 key that OpenSSL can check


class KeyCase(Case):
    SEED = {"secrets": [], "keys": [
        {"id": "k-ed", "name": "sign/ed", "algorithm": "Ed25519",
         "keyType": "signing",
         "keyMaterial": base64.b64encode(SEED32).decode()},
        {"id": "k-ec", "name": "sign/ec", "algorithm": "ECDSA-P256",
         "keyType": "signing"},
        {"id": "k-slh", "name": "sign/slh", "algorithm": "SLH-DSA-128s",
         "keyType": "signing"},
        {"id": "k-aes", "name": "enc/aes", "algorithm": "AES-256-GCM",
         "keyType": "encryption", "isDefault": True},
        {"id": "k-kem", "name": "enc/kem", "algorithm": "ML-KEM-768",
         "keyType": "encryption"},
    ]}

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def calls(self, path):
        return self.sandbox.requests().get("POST /api/v1" + path, 0)


class Pubkey(KeyCase):
    def test_formats(self):
        raw = self.ok("pubkey", "--format", "raw", "sign/ed")
        self.assertEqual(len(raw), 32)
        pem = self.ok("pubkey", "--format", "pem", "k-ed")
        self.assertTrue(pem.startswith(b"-----BEGIN PUBLIC KEY-----"))
        der = self.ok("pubkey", "--format=der", "qapi://keys/k-ed/public")
        self.assertEqual(der[-32:], raw)
        o = json.loads(self.ok("pubkey", "sign/ed"))
        self.assertEqual(base64.b64decode(o["publicKey"]), raw)

    def test_jwk_is_handed_through_byte_for_byte(self):
        body = '{ "kty":"OKP",\t"crv" : "Ed25519", "x":"AA\\u0041" }\n '
        self.sandbox.fault("/keys/k-ed/public*", body=body,
                           contentType="application/jwk+json")
        self.assertEqual(self.ok("pubkey", "--format", "jwk", "k-ed"),
                         body.encode())

    def test_several_keys_and_failures(self):
        r = self.helper("pubkey", "--format", "pem", "k-ed", "nope", "k-ec")
        self.assertEqual(r.status, 3)
        self.assertEqual(r.out.count(b"BEGIN PUBLIC KEY"), 2)
        self.assertEqual(r.err.count("\n"), 1)
        self.assertIn("nope", r.err)
        self.sandbox.forget()
        out = self.ok("pubkey", "-0", "--format", "raw", "k-ed", "k-ed")
        self.assertEqual((len(out), out[32], out[-1]), (66, 0, 0))
        self.assertEqual(self.sandbox.requests()
                         ["GET /api/v1/keys/k-ed/public"], 1)


class Encrypt(KeyCase):
    AWKWARD = [b"", b"\0", b"text\n", bytes(range(256)) * 9, b"\xff\xfe" * 3]

    def test_bytes_come_back_as_they_were(self):
        for data in self.AWKWARD:
            for key in ((), ("--key", "enc/kem"), ("--key", "k-aes")):
                with self.subTest((data[:8], key)):
                    payload = self.ok("encrypt", *key, input=data)
                    base64.b64decode(payload, validate=True)
                    self.assertEqual(self.ok("decrypt", input=payload), data)
        # a line's end is no part of a payload
        self.assertEqual(self.ok("decrypt", input=payload + b"\n"), data)

    def test_files(self):
        self.write("plain", b"in a file\0")
        self.ok("encrypt", "-i", self.path("plain"), "-o", self.path("enc"))
        self.assert_mode(self.path("enc"), 0o600)
        self.ok("decrypt", "-i", self.path("enc"), "-o", self.path("dec"))
        self.assert_mode(self.path("dec"), 0o600)
        self.assertEqual(self.read("dec"), b"in a file\0")

    def test_additional_data_have_to_be_the_same(self):
        payload = self.ok("encrypt", "--aad", "row 7", input=b"data")
        self.assertEqual(self.ok("decrypt", "--aad", "row 7",
                                 input=payload), b"data")
        aad = self.write("aad", b"row 7")
        self.assertEqual(self.ok("decrypt", "--aad-file", aad,
                                 input=payload), b"data")
        for wrong in ((), ("--aad", "row 8")):
            r = self.helper("decrypt", *wrong, input=payload)
            self.assertNotEqual(r.status, 0)
            self.assertEqual(r.out, b"")

    def test_what_is_no_payload(self):
        for data in (b"", b"\n", b"not base64!", b"aGVsbG8=", b"\xff\x00"):
            r = self.helper("decrypt", input=data)
            self.assertNotEqual(r.status, 0, data)
            self.assertEqual(r.out, b"")
            self.assertEqual(r.err.count("\n"), 1)

    def test_unknown_key_and_a_key_of_another_kind(self):
        self.fails(3, "encrypt", "--key", "nope", input=b"x", saying="nope")
        r = self.helper("encrypt", "--key", "sign/ed", input=b"x")
        self.assertNotEqual(r.status, 0)
        self.assertEqual((r.out, r.err.count("\n")), (b"", 1))

    def test_service_that_is_down(self):
        self.sandbox.fault("*", status=503)
        self.fails(6, "encrypt", "--key", "k-aes", "--timeout", "3s",
                   input=b"x")


class Envelopes(KeyCase):
    def seal(self, data, *options):
        out = self.ok("encrypt", *options, input=data)
        self.assertTrue(out.startswith(b"QAPIENV"))
        return out

    def test_sizes_about_the_edges_of_chunks(self):
        for size in (524289, 589823, 589824, 589825, 3000000):
            with self.subTest(size):
                data = os.urandom(size)
                sealed = self.seal(data)
                self.assertLess(len(sealed) - size, 10000)
                self.assertEqual(self.ok("decrypt", input=sealed), data)

    def test_one_data_key_and_no_data_go_to_the_service(self):
        sealed = self.seal(bytes(2000000), "--key", "enc/kem")
        self.ok("decrypt", input=sealed)
        self.assertEqual(self.calls("/encrypt"), 0)
        self.assertEqual(self.calls("/decrypt"), 0)

    def test_what_is_cut_or_changed_or_for_other_data_leaves_no_file(self):
        data = os.urandom(700000)
        sealed = self.seal(data, "--aad", "row 7")
        changed = bytearray(sealed)
        changed[-40] ^= 1
        self.write("was", b"before")
        for name, bad, aad in (
                ("cut", sealed[:-1], "row 7"),
                ("cut between chunks", sealed[:-(700000 % 65536) - 17],
                 "row 7"),
                ("changed", bytes(changed), "row 7"),
                ("longer", sealed + b"x", "row 7"),
                ("other", sealed, "row 8")):
            with self.subTest(name):
                r = self.helper("decrypt", "--aad", aad, "-o",
                                self.path("was"), input=bad)
                self.assertNotEqual(r.status, 0)
                self.assertEqual(self.read("was"), b"before")
                r = self.helper("decrypt", "--aad", aad, "-o",
                                self.path("new"), input=bad)
                self.assertNotEqual(r.status, 0)
                self.assertFalse(os.path.exists(self.path("new")))
        self.assertEqual([n for n in os.listdir(self.dir)
                          if n.startswith(".qapi-agent")], [])
        r = self.helper("decrypt", "--aad", "row 7", input=bytes(changed))
        self.assertNotEqual(r.status, 0)
        self.assertIn("do not trust it", r.err)
        self.assertEqual(r.out, data[:len(r.out)])

    def test_survives_a_restart_of_the_agent(self):
        sealed = self.seal(bytes(600000))
        self.restart_agent()
        self.assertEqual(self.ok("decrypt", input=sealed), bytes(600000))

    def test_a_hundred_megabytes_in_bounded_memory(self):
        size = 100 << 20
        with open(self.path("plain"), "wb") as f:
            f.truncate(size)
        # the daemon's cache alone may have 16 MiB
        before = self.agent.memory_kb("VmHWM")
        limit = [] if harness.SANITIZED else [
            "sh", "-c", 'ulimit -d 16384; exec "$@"', "-"]
        for name, source, target in (("encrypt", "plain", "sealed"),
                                     ("decrypt", "sealed", "again")):
            self.ok(name, "-i", self.path(source), "-o", self.path(target),
                    prefix=limit)
        if not harness.SANITIZED:
            self.assertLess(self.agent.memory_kb("VmHWM") - before, 16384)
        self.assertEqual(os.path.getsize(self.path("again")), size)
        p = subprocess.run(["cmp", self.path("plain"), self.path("again")],
                           check=False)
        self.assertEqual(p.returncode, 0)


class Sign(KeyCase):
    def test_sign_and_verify(self):
        for key in ("sign/ed", "k-ec", "sign/slh"):
            for data in (b"", b"data\0\n", os.urandom(70000)):
                with self.subTest((key, len(data))):
                    text = self.ok("sign", "--key", key, input=data)
                    sig = self.write("sig", text)
                    raw = self.write("raw", base64.b64decode(text.strip(),
                                                             validate=True))
                    for path in (sig, raw):
                        r = self.helper("verify", "--key", key,
                                        "--signature", path, input=data)
                        self.assertEqual((r.status, r.out), (0, b""), r.err)
                        self.assertIn("the signature is valid", r.err)
                    r = self.helper("verify", "--key", key, "--signature",
                                    sig, input=data + b"x")
                    self.assertEqual((r.status, r.out), (1, b""))
                    self.assertIn("not valid", r.err)

    def verdict(self, key, path, data):
        r = self.helper("verify", "--json", "--key", key, "--signature", path,
                        input=data)
        self.assertEqual(r.err, "")
        o = json.loads(r.out)
        self.assertEqual(r.status, 0 if o["valid"] else 1)
        return o["valid"], o["by"]

    def test_agent_verifies_itself_where_it_can(self):
        data = b"signed"
        sig = self.write("sig", self.ok("sign", "--key", "k-ed", input=data))
        self.assertEqual(self.verdict("k-ed", sig, data), (True, "agent"))
        self.assertEqual(self.verdict("k-ed", sig, b"x"), (False, "agent"))
        self.assertEqual(self.calls("/verify"), 0)
        # from the cached key, also while the service is away
        self.sandbox.fault("*", status=503)
        self.assertEqual(self.verdict("k-ed", sig, data), (True, "agent"))

    def test_service_verifies_what_the_agent_cannot(self):
        data = b"signed"
        sig = self.write("sig", self.ok("sign", "--key", "k-slh",
                                        input=data))
        valid, by = self.verdict("k-slh", sig, data)
        self.assertTrue(valid)
        self.assertEqual(self.calls("/verify"), 1 if by == "service" else 0)

    @unittest.skipUnless(shutil.which("openssl"), "no openssl")
    def test_openssl_agrees(self):
        data = self.write("data", b"for openssl")
        self.ok("sign", "--key", "sign/ed", "--raw", "-i", data, "-o",
                self.path("sig"))
        self.ok("pubkey", "--format", "pem", "sign/ed", "-o",
                self.path("pem"))
        p = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey",
             self.path("pem"), "-rawin", "-in", data, "-sigfile",
             self.path("sig")], capture_output=True, check=False)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)

    def test_failures(self):
        self.fails(3, "sign", "--key", "nope", input=b"x", saying="nope")
        sig = self.write("sig", b"c2lnbmF0dXJl")
        self.fails(3, "verify", "--key", "nope", "--signature", sig,
                   input=b"x")
        self.fails(2, "sign", input=b"x", saying="--key")
        self.fails(2, "verify", "--key", "k-ed", input=b"x",
                   saying="--signature")
        # what is no signature at all is not valid
        self.assertEqual(self.helper("verify", "--key", "k-ed", "--signature",
                                     sig, input=b"x").status, 1)

    def test_key_by_reference(self):
        for ref in ("qapi://keys/sign/ed/public", "qapi://keys/k-ed/public",
                    "qapi://keys/sign%2Fed/public?format=pem"):
            sig = self.write("sig", self.ok("sign", "--key", ref, input=b"x"))
            r = self.helper("verify", "--key", ref, "--signature", sig,
                            input=b"x")
            self.assertEqual(r.status, 0, r.err)
        aes = "qapi://keys/enc/aes/public"
        self.assertEqual(self.ok("decrypt", "--key", aes, input=self.ok(
            "encrypt", "--key", aes, input=b"x")), b"x")
        for ref in ("qapi://secrets/sign/ed", "qapi://keys/sign/ed",
                    "qapi://keys//public"):
            self.fails(2, "sign", "--key", ref, input=b"x", saying=ref)
            self.fails(2, "encrypt", "--key", ref, input=b"x", saying=ref)


if __name__ == "__main__":
    harness.main()
