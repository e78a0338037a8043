#!/usr/bin/env python3
"""SSH and X.509 of qapi-sandbox, judged by ssh-keygen and openssl.

    SANDBOX=path/to/qapi-sandbox python3 test_certs.py
"""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from test_sandbox import ALL, SANDBOX, TIME, UUID, WAIT, Case, Sandbox

SSH_ALGORITHMS = {"Ed25519": "ED25519", "RSA-2048": "RSA",
                  "ECDSA-P256": "ECDSA", "ECDSA-P384": "ECDSA",
                  "ECDSA-P521": "ECDSA"}
CRL_TYPE = "application/pkix-crl"


def run(*argv, status=0, data=None, cwd=None):
    p = subprocess.run(argv, input=data, capture_output=True, text=True,
                       timeout=WAIT, check=False, cwd=cwd)
    if p.returncode != status:
        raise AssertionError(f"{argv}: {p.returncode}\n{p.stdout}{p.stderr}")
    return p.stdout + p.stderr


class Certs(Case):
    ARGS = Case.ARGS + ("--api-key", "sr:ssh:read", "--api-key",
                        "sw:ssh:write", "--api-key", "cr:certificates:read",
                        "--api-key", "cw:certificates:write")

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="qapi-certs-")
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        return path


class SshShapes(Certs):
    """What needs no ssh-keygen."""

    KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"
           "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")

    def test_ca(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "users", "id": "mine"})
        self.assertEqual(set(ca), {"id", "name", "algorithm", "publicKey",
                                   "fingerprint", "isActive", "createdAt"})
        self.assertRegex(ca["id"], UUID)
        self.assertRegex(ca["createdAt"], TIME)
        self.assertRegex(ca["publicKey"], "^ssh-ed25519 [A-Za-z0-9+/]+=*$")
        self.assertRegex(ca["fingerprint"], "^SHA256:[A-Za-z0-9+/]{43}$")
        self.assertEqual((ca["algorithm"], ca["isActive"]), ("Ed25519", True))
        page = self.ok(200, "GET", "/ssh/ca?pageSize=200")
        self.assertIn(ca, page["items"])
        self.assertEqual(page["totalCount"], len(page["items"]))
        self.assertEqual((page["page"], page["pageSize"]), (1, 200))
        self.assertEqual(self.ok(200, "GET", "/ssh/ca?page=9")["items"], [])

    def test_ca_errors(self):
        for body in ({}, {"name": ""}, {"name": 1}, {"name": "n\0x"},
                     {"name": "n", "algorithm": "ML-DSA-65"},
                     {"name": "n", "algorithm": "AES-256-GCM"},
                     {"name": "n", "algorithm": "no"}):
            e = self.error(400, "invalid_request", "POST", "/ssh/ca", body)
            self.assertEqual(len(e["details"]["fields"]), 1)

    def test_certificate_errors(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "e"})
        good = {"caId": ca["id"], "publicKey": self.KEY, "type": "user",
                "principals": ["root"], "validitySeconds": 60}
        before = self.ok(200, "GET", "/ssh/certificates")["totalCount"]
        for field, bad in (("caId", None), ("publicKey", "ssh-ed25519 AAAA"),
                           ("publicKey", "ssh-dss " + self.KEY[12:]),
                           ("publicKey", self.KEY[:-4]),
                           ("publicKey", self.KEY + "AAAA"),
                           ("publicKey", "ssh-rsa " + self.KEY[12:]),
                           ("publicKey", ""), ("publicKey", "one-word"),
                           ("type", "both"), ("type", None),
                           ("principals", []), ("principals", "root"),
                           ("principals", [1]), ("principals", [""]),
                           ("principals", ["a\0b"]),
                           ("principals", ["u"] * 257),
                           ("validitySeconds", 0),
                           ("validitySeconds", "60"),
                           ("validitySeconds", 10 ** 12),
                           ("keyId", ""), ("extensions", "permit-pty"),
                           ("extensions", [""]), ("extensions", {"a": 1}),
                           ("criticalOptions", {"a": "x\0"})):
            e = self.error(400, "invalid_request", "POST",
                           "/ssh/certificates", {**good, field: bad})
            self.assertEqual(list(e["details"]["fields"]), [field], bad)
        self.error(404, "not_found", "POST", "/ssh/certificates",
                   {**good, "caId": "nothing"})
        a = self.sb.control("PUT", "/ssh/ca/" + ca["id"], {"isActive": False})
        self.assertEqual((a.status, a.json["isActive"]), (200, False))
        self.error(409, "conflict", "POST", "/ssh/certificates", good)
        self.assertEqual(
            self.ok(200, "GET", "/ssh/certificates")["totalCount"], before)

    def test_certificate_is_listed_and_can_be_revoked(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "l"})
        body = {"ca_id": ca["id"], "public_key": self.KEY + " a comment\n",
                "type": "user", "principals": ["a", "b"],
                "validity_seconds": 3600}
        one = self.ok(201, "POST", "/ssh/certificates", body)
        two = self.ok(201, "POST", "/ssh/certificates", body)
        self.assertEqual(set(one), {
            "id", "caId", "keyId", "type", "principals", "serial",
            "validAfter", "validBefore", "isRevoked", "certificate"})
        self.assertEqual((one["serial"], two["serial"]), (1, 2))
        self.assertEqual(one["principals"], ["a", "b"])
        self.assertIs(one["isRevoked"], False)
        items = self.ok(200, "GET", "/ssh/certificates?pageSize=200")["items"]
        self.assertIn(one, items)
        self.assertIn(two, items)
        a = self.sb.control("PUT", "/ssh/certificates/" + one["id"],
                            {"isRevoked": True})
        self.assertEqual(a.json, {**one, "isRevoked": True})
        for body in ({"isRevoked": "x"}, {"serial": 7}):
            a = self.sb.control("PUT", "/ssh/certificates/" + one["id"], body)
            self.assertEqual(a.status, 400)
        self.assertEqual(self.sb.control(
            "PUT", "/ssh/certificates/no", {}).status, 404)

    def test_scopes(self):
        for path in ("/ssh/ca", "/ssh/certificates"):
            self.ok(200, "GET", path, key="sr")
            self.error(403, "insufficient_scope", "GET", path, key="sw")
            self.error(403, "insufficient_scope", "POST", path, {}, key="sr")
            self.error(400, "invalid_request", "POST", path, {}, key="sw")
        for path in ("/cas", "/certificates"):
            self.ok(200, "GET", path, key="cr")
            self.error(403, "insufficient_scope", "GET", path, key="cw")
            self.error(403, "insufficient_scope", "POST", path, {}, key="cr")
            self.error(400, "invalid_request", "POST", path, {}, key="cw")
        self.error(403, "insufficient_scope", "GET", "/cas/x/crl", key="cw")
        self.error(404, "not_found", "GET", "/cas/x/crl", key="cr")


@unittest.skipUnless(shutil.which("ssh-keygen"), "there is no ssh-keygen")
class Ssh(Certs):
    def user_key(self, kind="ed25519", *options):
        path = self.path("id_" + kind + os.urandom(3).hex())
        run("ssh-keygen", "-q", "-t", kind, *options, "-N", "", "-C", "me",
            "-f", path)
        with open(path + ".pub", encoding="utf-8") as f:
            return path, f.read()

    def issue(self, ca, public, **kw):
        body = {"caId": ca["id"], "publicKey": public, "type": "user",
                "principals": ["deploy"], "validitySeconds": 3600, **kw}
        return self.ok(201, "POST", "/ssh/certificates", body)

    def read(self, cert):
        """What ssh-keygen -L says, as a dictionary; lists are lists."""
        path = self.path("cert.pub", cert["certificate"] + "\n")
        out, name = {}, None
        for line in run("ssh-keygen", "-L", "-f", path).splitlines()[1:]:
            m = re.match(r"^ {8}(\S[^:]*): ?(.*)$", line)
            if m:
                name = m[1]
                out[name] = m[2].strip()
            else:
                out[name] = (out[name] or []) + [line.strip()]
        return out

    def test_fingerprint(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "f"})
        path = self.path("ca.pub", ca["publicKey"] + "\n")
        self.assertIn(f"256 {ca['fingerprint']} ",
                      run("ssh-keygen", "-l", "-f", path))

    def test_user_certificate(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "u"})
        _, public = self.user_key()
        cert = self.issue(ca, public, keyId="ann@example.org",
                          principals=["deploy", "ann"], criticalOptions={
                              "source-address": "10.0.0.0/8",
                              "force-command": "/bin/true"})
        self.assertTrue(cert["certificate"].startswith(
            "ssh-ed25519-cert-v01@openssh.com AAAA"))
        out = self.read(cert)
        self.assertEqual(out["Type"], "ssh-ed25519-cert-v01@openssh.com user "
                                      "certificate")
        self.assertEqual(out["Key ID"], '"ann@example.org"')
        self.assertEqual(out["Serial"], str(cert["serial"]))
        self.assertEqual(out["Signing CA"], f"ED25519 {ca['fingerprint']} "
                                            "(using ssh-ed25519)")
        self.assertEqual(out["Principals"], ["deploy", "ann"])
        self.assertEqual(out["Critical Options"], [
            "force-command /bin/true", "source-address 10.0.0.0/8"])
        self.assertEqual(out["Extensions"], [
            "permit-X11-forwarding", "permit-agent-forwarding",
            "permit-port-forwarding", "permit-pty", "permit-user-rc"])

    def test_validity(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "v"})
        _, public = self.user_key()
        cert = self.issue(ca, public, validitySeconds=90)
        path = self.path("v.pub", cert["certificate"] + "\n")
        p = subprocess.run(["ssh-keygen", "-L", "-f", path],
                           env={**os.environ, "TZ": "UTC"}, text=True,
                           capture_output=True, timeout=WAIT, check=True)
        self.assertIn(f"Valid: from {cert['validAfter'][:-1]} to "
                      f"{cert['validBefore'][:-1]}\n", p.stdout)

    def test_host_certificate(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "h"})
        _, public = self.user_key()
        cert = self.issue(ca, public, type="host",
                          principals=["db.example.org"])
        out = self.read(cert)
        self.assertIn("host certificate", out["Type"])
        self.assertEqual(out["Key ID"], f'"{cert["id"]}"')
        self.assertEqual(out["Extensions"], "(none)")
        self.assertEqual(out["Critical Options"], "(none)")
        cert = self.issue(ca, public, extensions=["permit-pty"])
        self.assertEqual(self.read(cert)["Extensions"], ["permit-pty"])
        cert = self.issue(ca, public, extensions={})
        self.assertEqual(self.read(cert)["Extensions"], "(none)")

    def test_a_changed_certificate_is_refused(self):
        ca = self.ok(201, "POST", "/ssh/ca", {"name": "c"})
        _, public = self.user_key()
        kind, text = self.issue(ca, public)["certificate"].split()
        blob = bytearray(base64.b64decode(text))
        blob[blob.index(b"deploy")] ^= 1
        path = self.path("bad.pub", f"{kind} {base64.b64encode(blob).decode()}"
                                    "\n")
        self.assertIn("incorrect signature",
                      run("ssh-keygen", "-L", "-f", path, status=1))

    def test_all_authorities_and_keys(self):
        keys = [self.user_key("rsa", "-b", "2048"), self.user_key()]
        keys += [self.user_key("ecdsa", "-b", str(n))
                 for n in (256, 384, 521)]
        for (algorithm, name), (_, public) in zip(SSH_ALGORITHMS.items(),
                                                  keys):
            ca = self.ok(201, "POST", "/ssh/ca",
                         {"name": algorithm, "algorithm": algorithm})
            cert = self.issue(ca, public)
            out = self.read(cert)
            self.assertEqual(
                out["Signing CA"].split()[:2], [name, ca["fingerprint"]])
            self.assertIn(public.split()[0] + "-cert-v01@openssh.com",
                          out["Type"])
            if name == "RSA":
                self.assertIn("rsa-sha2-512", out["Signing CA"])

    def test_the_signature_verifies(self):
        # ssh-keygen -Y verify checks the certificate against its CA.
        for algorithm in SSH_ALGORITHMS:
            ca = self.ok(201, "POST", "/ssh/ca",
                         {"name": algorithm, "algorithm": algorithm})
            path, public = self.user_key()
            cert = self.issue(ca, public)
            self.path(os.path.basename(path) + "-cert.pub",
                      cert["certificate"] + "\n")
            message = self.path("message", "hello\n")
            run("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f",
                path + "-cert.pub", message)
            allowed = self.path("allowed", "deploy cert-authority "
                                f"{ca['publicKey']}\n")
            verify = ("ssh-keygen", "-Y", "verify", "-n", "file", "-I",
                      "deploy", "-s", message + ".sig", "-f")
            self.assertIn("Good", run(*verify, allowed, data="hello\n"))
            other = self.ok(201, "POST", "/ssh/ca", {
                "name": "other", "algorithm": algorithm})
            allowed = self.path("others", "deploy cert-authority "
                                f"{other['publicKey']}\n")
            run(*verify, allowed, data="hello\n", status=255)
            os.unlink(message + ".sig")


class SshSeed(unittest.TestCase):
    def test_seed(self):
        sb = Sandbox("--api-key", ALL + ":*", seed={
            "sshCas": [{"id": "ssh-users", "name": "u"}],
            "sshCertificates": [{
                "id": "c1", "caId": "ssh-users", "publicKey": SshShapes.KEY,
                "type": "host", "principals": ["h"],
                "validitySeconds": 5}]})
        ca = sb.api("GET", "/ssh/ca").json["items"][0]
        self.assertEqual((ca["id"], ca["name"]), ("ssh-users", "u"))
        cert = sb.api("GET", "/ssh/certificates").json["items"][0]
        self.assertEqual((cert["id"], cert["caId"]), ("c1", "ssh-users"))
        self.assertEqual(sb.stop(), (0, ""))
        for seed, member in (
                ({"sshCas": [{"id": 1, "name": "u"}]}, "sshCas[0].id"),
                ({"sshCas": [{"id": "a", "name": "u"}] * 2}, "sshCas[1].id"),
                ({"sshCas": [{}]}, "sshCas[0].name"),
                ({"sshCertificates": [{
                    "caId": "no", "publicKey": SshShapes.KEY, "type": "host",
                    "principals": ["h"], "validitySeconds": 5}]},
                 "sshCertificates[0].CA: names nothing"),
                ({"cas": [{"name": "n", "subject": "XX=y"}]},
                 "cas[0].subject"),
                ({"certificates": [{"caId": "c"}]}, "certificates[0].CA")):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
                json.dump(seed, f)
                f.flush()
                self.assertIn(member, run(SANDBOX, "--listen", "127.0.0.1:0",
                                          "--seed", f.name, status=1))


class X509(Certs):
    def ca(self, **kw):
        return self.ok(201, "POST", "/cas", {
            "name": "ca" + os.urandom(4).hex(),
            "subject": "CN=Test " + os.urandom(4).hex() + ",O=Example",
            **kw})

    def issue(self, ca, **kw):
        body = {"caId": ca["id"], "commonName": "db.example.org",
                "ttl": 3600, **kw}
        return self.ok(201, "POST", "/certificates", body)

    def text(self, pem, *options):
        return run("openssl", "x509", "-noout", *(options or ("-text",)),
                   data=pem)

    def crl(self, ca):
        a = self.api("GET", f"/cas/{ca['id']}/crl")
        self.assertEqual((a.status, a.headers["Content-Type"]),
                         (200, CRL_TYPE))
        pem = self.path(ca["id"] + ".crl")
        run("openssl", "crl", "-inform", "DER", "-in",
            self.path("crl.der", a.body), "-out", pem)
        return pem

    def verify(self, leaf, root, *between, crls=(), status=0):
        argv = ["openssl", "verify", "-CAfile",
                self.path("root.pem", root["certificatePem"])]
        if between:
            argv += ["-untrusted", self.path("between.pem", "".join(
                x["certificatePem"] for x in between))]
        for crl in crls:
            argv += ["-crl_check_all", "-CRLfile", crl]
        return run(*argv, self.path("leaf.pem", leaf["certificatePem"]),
                   status=status)

    def test_root(self):
        ca = self.ok(201, "POST", "/cas", {
            "name": "root", "subject": "CN=Root\\, Inc,O=Example,C=EU",
            "validityDays": 10, "id": "x"})
        self.assertEqual(set(ca), {
            "id", "name", "subject", "algorithm", "parentId",
            "certificatePem", "serialNumber", "notBefore", "notAfter",
            "isActive"})
        self.assertRegex(ca["id"], UUID)
        self.assertIsNone(ca["parentId"])
        self.assertEqual(ca["algorithm"], "ECDSA-P256")
        out = self.text(ca["certificatePem"])
        self.assertIn('Subject: CN = "Root, Inc", O = Example, C = EU', out)
        self.assertIn("CA:TRUE", out)
        self.assertIn("Certificate Sign, CRL Sign", out)
        self.assertEqual(self.text(ca["certificatePem"], "-serial").strip(),
                         "serial=" + ca["serialNumber"])
        out = self.text(ca["certificatePem"], "-dates", "-dateopt",
                        "iso_8601")
        self.assertIn("notBefore=" + ca["notBefore"].replace("T", " "), out)
        self.assertIn("notAfter=" + ca["notAfter"].replace("T", " "), out)
        self.assertIn(ca, self.ok(200, "GET", "/cas?pageSize=200")["items"])
        self.verify(ca, ca)

    def test_algorithms(self):
        for algorithm in ("Ed25519", "ECDSA-P256", "ECDSA-P384",
                          "ECDSA-P521", "RSA-2048"):
            ca = self.ca(algorithm=algorithm)
            self.assertEqual(ca["algorithm"], algorithm)
            leaf = self.issue(ca, algorithm=algorithm)
            self.assertIn("OK", self.verify(leaf, ca))
            self.verify(leaf, self.ca(), status=2)

    def test_intermediate_and_revocation(self):
        root = self.ca()
        between = self.ca(parentId=root["id"])
        self.assertEqual(between["parentId"], root["id"])
        leaf = self.issue(between)
        other = self.issue(between)
        self.assertEqual(leaf["chainPem"], [between["certificatePem"],
                                            root["certificatePem"]])
        crls = [self.crl(root), self.crl(between)]
        self.verify(leaf, root, between, crls=crls)
        first = run("openssl", "crl", "-in", crls[1], "-noout", "-text")
        self.assertIn("No Revoked Certificates", first)
        a = self.sb.control("PUT", "/certificates/" + leaf["id"],
                            {"status": "revoked"})
        self.assertEqual((a.status, a.json["status"]), (200, "revoked"))
        crls[1] = self.crl(between)
        out = self.verify(leaf, root, between, crls=crls, status=2)
        self.assertIn("certificate revoked", out)
        self.verify(other, root, between, crls=crls)
        out = run("openssl", "crl", "-in", crls[1], "-noout", "-text")
        self.assertIn("Serial Number: " + leaf["serialNumber"], out)
        self.assertNotEqual(re.findall(r"CRL Number: *\n *(\d+)", first),
                            re.findall(r"CRL Number: *\n *(\d+)", out))
        out = run("openssl", "crl", "-in", crls[1], "-noout", "-CAfile",
                  self.path("b.pem", between["certificatePem"]))
        self.assertIn("verify OK", out)

    def test_certificate_with_a_key(self):
        ca = self.ca()
        names = ["db.example.org", "*.example.org", "10.1.2.3", "::1",
                 "https://example.org/x", "ann@example.org"]
        leaf = self.issue(ca, subjectAltNames=names, ttl="36h")
        self.assertEqual(set(leaf), {
            "id", "caId", "commonName", "serialNumber", "certificatePem",
            "chainPem", "notBefore", "notAfter", "status", "privateKeyPem"})
        self.assertEqual(leaf["commonName"], "db.example.org")
        self.assertEqual(leaf["status"], "active")
        out = self.text(leaf["certificatePem"])
        self.assertIn("DNS:db.example.org, DNS:*.example.org, "
                      "IP Address:10.1.2.3, "
                      "IP Address:0:0:0:0:0:0:0:1, "
                      "URI:https://example.org/x, "
                      "email:ann@example.org", out)
        self.assertIn("CA:FALSE", out)
        self.assertIn("TLS Web Server Authentication", out)
        self.verify(leaf, ca)
        public = run("openssl", "pkey", "-pubout",
                     data=leaf["privateKeyPem"])
        self.assertEqual(public, self.text(leaf["certificatePem"],
                                           "-pubkey"))
        listed = [x for x in
                  self.ok(200, "GET", "/certificates?pageSize=200")["items"]
                  if x["id"] == leaf["id"]]
        del leaf["privateKeyPem"]
        self.assertEqual(listed, [leaf])
        self.assertIn("DNS:db.example.org",
                      self.text(self.issue(ca)["certificatePem"]))

    def test_certificate_from_a_request(self):
        ca = self.ca()
        key = self.path("key.pem")
        csr = run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                  "-subj", "/CN=web.example.org/O=Example", "-addext",
                  "subjectAltName=DNS:web.example.org,IP:127.0.0.1")
        csr = csr[csr.index("-----BEGIN"):csr.index("-----END") + 40]
        leaf = self.ok(201, "POST", "/certificates",
                       {"caId": ca["id"], "csrPem": csr})
        self.assertNotIn("privateKeyPem", leaf)
        self.assertEqual(leaf["commonName"], "web.example.org")
        self.verify(leaf, ca)
        self.assertEqual(run("openssl", "pkey", "-in", key, "-pubout"),
                         self.text(leaf["certificatePem"], "-pubkey"))
        out = self.text(leaf["certificatePem"])
        self.assertIn("DNS:web.example.org, IP Address:127.0.0.1", out)
        self.assertIn("O = Example", out)
        # Another key's signature does not do.
        lines = csr.splitlines()
        i = len(lines) - 3
        lines[i] = lines[i][:10] + ("A" if lines[i][10] != "A" else "B") + \
            lines[i][11:]
        e = self.error(400, "invalid_request", "POST", "/certificates", {
            "caId": ca["id"], "csrPem": "\n".join(lines)})
        self.assertEqual(list(e["details"]["fields"]), ["csrPem"])

    def test_nothing_outlives_its_authority(self):
        root = self.ca(validityDays=2)
        between = self.ca(parentId=root["id"], validityDays=1000)
        leaf = self.issue(between, ttl="400d")
        self.assertEqual(between["notAfter"], root["notAfter"])
        self.assertEqual(leaf["notAfter"], root["notAfter"])

    def test_expired(self):
        ca = self.ca(validityDays=1)
        leaf = self.issue(ca, ttl=60)
        self.sb.control("PUT", "/clock", {"aheadMs": 3600 * 1000})
        try:
            status = {x["id"]: x["status"] for x in self.ok(
                200, "GET", "/certificates?pageSize=200")["items"]}
            self.assertEqual(status[leaf["id"]], "expired")
            self.sb.control("PUT", "/clock", {"aheadMs": 3 * 86400 * 1000})
            self.error(409, "conflict", "POST", "/certificates", {
                "caId": ca["id"], "commonName": "x", "ttl": 60})
        finally:
            self.sb.control("PUT", "/clock", {"aheadMs": 0})

    def test_ca_errors(self):
        good = {"name": "n", "subject": "CN=x"}
        for field, bad in (("name", None), ("subject", None),
                           ("subject", ""), ("subject", "XX=y"),
                           ("subject", "CN="), ("subject", "CN=x,y"),
                           ("subject", "CN=" + "x" * 65),
                           ("algorithm", "X25519"), ("algorithm", "no"),
                           ("algorithm", "HMAC-SHA256"),
                           ("validityDays", 0), ("validityDays", "1"),
                           ("validityDays", 10 ** 9), ("parentId", 1)):
            e = self.error(400, "invalid_request", "POST", "/cas",
                           {**good, field: bad})
            self.assertEqual(list(e["details"]["fields"]), [field], bad)
        self.error(404, "not_found", "POST", "/cas",
                   {**good, "parentId": "no"})
        ca = self.ca()
        self.sb.control("PUT", "/cas/" + ca["id"], {"isActive": False})
        self.error(409, "conflict", "POST", "/cas",
                   {**good, "parentId": ca["id"]})

    def test_certificate_errors(self):
        ca = self.ca()
        good = {"caId": ca["id"], "commonName": "x.example", "ttl": 60}
        for field, bad in (("caId", None), ("commonName", None),
                           ("commonName", "x" * 65), ("ttl", None),
                           ("ttl", 0), ("ttl", -1), ("ttl", "x"),
                           ("ttl", "5y"), ("ttl", "5hh"), ("ttl", ""),
                           ("ttl", "9" * 30 + "d"), ("ttl", 10 ** 13),
                           ("csrPem", "no"), ("subjectAltNames", "a"),
                           ("subjectAltNames", ["a b"]),
                           ("subjectAltNames", ["a\0b"]),
                           ("subjectAltNames", [""]),
                           ("algorithm", "ML-DSA-65")):
            e = self.error(400, "invalid_request", "POST", "/certificates",
                           {**good, field: bad})
            self.assertEqual(list(e["details"]["fields"]), [field], bad)
        self.error(404, "not_found", "POST", "/certificates",
                   {**good, "caId": "no"})
        for path, status in (("/certificates/no", 404), ("/cas/no", 404)):
            self.assertEqual(self.sb.control("PUT", path, {}).status, status)


if __name__ == "__main__":
    unittest.main()
