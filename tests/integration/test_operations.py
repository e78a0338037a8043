#!/usr/bin/env python3
"""What the service does for a caller: call, encrypt, decrypt, sign, verify and
streams, over the protocol (PROTOCOL.md, 4), against the sandbox."""

import base64
import ctypes
import ctypes.util
import hashlib
import json
import os
import socket
import threading

import harness
import wire
from harness import Case, secret

SIGNING = ("Ed25519", "ECDSA-P256", "ECDSA-P384", "ECDSA-P521", "RSA-2048")
NO_SUCH = "11111111-2222-4333-8444-555555555555"
AGENT, SERVICE = 1, 2


class Operations(Case):
    """Keys are made as a test needs them: self.ids has their ids by name."""

    SEED = {"secrets": [secret("s1", "db/prod", "value of db prod")]}

    def setUp(self):
        self.ids = {}
        super().setUp()

    def key_(self, name, algorithm="AES-256-GCM", kind="encryption", **more):
        made = self.sandbox.api("POST", "/keys", {
            "name": name, "keyType": kind, "algorithm": algorithm, **more})
        self.ids[name] = made["id"]
        return made["id"]

    def signer(self, algorithm="Ed25519", name=None):
        return self.key_(name or "sign-" + algorithm, algorithm, "signing")

    def change(self, key, **members):
        self.sandbox.control("PUT", "/keys/" + self.ids[key], members)

    def hits_of(self, path, method="POST"):
        return self.sandbox.requests().get(f"{method} /api/v1{path}", 0)

    def assert_failed(self, f, name, *saying):
        self.assertEqual((f.type, f.error), (wire.ERROR_MSG, name), f)
        for text in saying:
            self.assertIn(text, f.MESSAGE)

    def sealed(self, data, **kw):
        s = wire.Stream(self.wire(), **kw)
        self.assertEqual(s.opened.type, wire.STREAM_BYTES, s.opened)
        return s.header + s.all(data)

    def opened(self, envelope, **kw):
        header, chunks = wire.envelope_of(envelope)
        s = wire.Stream(self.wire(), header=header, **kw)
        self.assertEqual(s.opened.type, wire.STREAM_BYTES, s.opened)
        self.assertEqual(s.header, b"")
        return s.all(chunks)


class Encrypt(Operations):
    def test_there_and_back(self):
        self.key_("mail")
        self.key_("kem", "ML-KEM-768")
        w = self.wire()
        plain = b"a private text with NUL \0 and \xff\xfe"
        self.note_private(base64.b64encode(plain).decode(),
                          "a private text with NUL ")
        for key in ("mail", "kem", self.ids["kem"]):
            for aad in (None, "order 7", 'q"\\\n\u00e9'):
                with self.subTest(key=key, aad=aad):
                    f = w.encrypt(plain, key, aad=aad)
                    self.assertEqual((f.type, f.INDEX, f.CONTENT, f.ID,
                                      f.VERSION),
                                     (wire.RESULT, 0, 1,
                                      self.ids.get(key, key), 1))
                    # an opaque text, as the service makes it
                    json.loads(base64.b64decode(f.VALUE, validate=True))
                    g = w.decrypt(f.VALUE, aad=aad)
                    self.assertEqual((g.type, g.INDEX, g.CONTENT, g.VALUE),
                                     (wire.RESULT, 0, 3, plain))

    def test_without_a_key_it_is_the_default_one(self):
        self.key_("other")
        self.key_("standard", setAsDefault=True)
        w = self.wire()
        f = w.encrypt(b"x")
        self.assertEqual(f.ID, self.ids["standard"])
        self.assertEqual(w.decrypt(f.VALUE).VALUE, b"x")

    def test_what_others_encrypted_as_text(self):
        self.key_("mail")
        got = self.sandbox.api("POST", "/encrypt", {
            "plaintext": "caf\u00e9 \u0000 \U0001f600", "encoding": "utf8",
            "keyId": self.ids["mail"]})
        self.assertEqual(self.wire().decrypt(got["encryptedPayload"]).VALUE,
                         "caf\u00e9 \0 \U0001f600".encode())

    def test_large_ones_and_too_large_ones(self):
        self.key_("mail")
        w = self.wire()
        plain = os.urandom(500000)
        self.assertEqual(w.decrypt(w.encrypt(plain, "mail").VALUE).VALUE,
                         plain)
        self.assert_failed(w.encrypt(bytes(1 << 20), "mail"), "too-large",
                           "stream")

    def test_new_key_is_found_though_the_listing_is_cached(self):
        self.restart_agent({"cache": {"negative-ttl": "50ms"}})
        self.key_("first")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "first").type, wire.RESULT)
        self.key_("second")
        self.wait(lambda: w.encrypt(b"x", "second").type == wire.RESULT,
                  "the listing was renewed for it")
        # one that was made through the agent needs no such wait
        f = w.call("POST", "/keys", b'{"name": "third", "keyType": '
                   b'"encryption", "algorithm": "AES-256-GCM"}')
        self.assertEqual(f.STATUS, 201)
        self.assertEqual(w.encrypt(b"x", "third").ID,
                         json.loads(f.VALUE)["id"])

    def test_names_that_are_not_there_do_not_each_ask_for_the_listing(self):
        self.key_("first")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "first").type, wire.RESULT)
        self.sandbox.forget()
        for i in range(20):
            self.assert_failed(w.encrypt(b"x", f"no-{i}"), "not-found")
        self.assertLess(self.hits_of("/keys", "GET"), 10)

    def test_two_keys_of_one_name_are_no_guess(self):
        a, b = self.key_("first"), self.key_("second")
        self.change("second", name="first")
        f = self.wire().encrypt(b"x", "first")
        self.assert_failed(f, "ambiguous", a, b)

    def test_failures(self):
        self.key_("mail")
        self.key_("old")
        self.signer()
        w = self.wire()
        f = w.encrypt(b"x", "mail", aad="a")
        self.assert_failed(w.decrypt(f.VALUE, aad="b"), "bad-request",
                           "cannot be decrypted")
        self.assert_failed(w.decrypt(f.VALUE), "bad-request")
        self.assert_failed(w.decrypt("bm9uc2Vuc2U="), "bad-request")
        self.assert_failed(w.decrypt("not base64 at all"), "bad-request")
        self.assert_failed(w.encrypt(b"x", "sign-Ed25519"), "bad-request",
                           "another kind")
        self.assert_failed(w.encrypt(b"x", "mail", algorithm="Rot13"),
                           "bad-request")
        self.assert_failed(w.encrypt(b"x", "nope"), "not-found", "no key")
        self.assert_failed(w.encrypt(b"x", NO_SUCH), "not-found")
        self.assert_failed(w.decrypt(f.VALUE, key="old", aad="a"),
                           "bad-request", "another key")
        self.assertEqual(w.decrypt(f.VALUE, key="mail", aad="a").VALUE, b"x")

    def test_revoked_and_too_old_keys(self):
        self.key_("mail")
        self.key_("old")
        w = self.wire()
        of_mail, of_old = w.encrypt(b"x", "mail"), w.encrypt(b"x", "old")
        self.change("mail", state="revoked")
        self.assert_failed(w.encrypt(b"x", "mail"), "denied", "revoked")
        self.assert_failed(w.decrypt(of_mail.VALUE), "denied", "revoked")
        self.sandbox.api("POST", f"/keys/{self.ids['old']}/rotate", {})
        self.assertEqual(w.decrypt(of_old.VALUE).VALUE, b"x")
        self.sandbox.api("PUT",
                         f"/keys/{self.ids['old']}/min-decryption-version",
                         {"minDecryptionVersion": 2})
        self.assert_failed(w.decrypt(of_old.VALUE), "denied", "too old")

    def test_agents_own_key_lacks_the_scope(self):
        self.sandbox.stop()
        self.sandbox.seed["apiKeys"] = [{
            "key": self.key, "scopes": ["keys:read", "keys:write"]}]
        self.sandbox.start()
        self.key_("mail")
        self.assert_failed(self.wire().encrypt(b"x", "mail"),
                           "insufficient-scope")

    def test_agents_own_key_may_encrypt_but_not_list(self):
        mail = self.key_("mail")
        self.sandbox.control("PUT", "/api-keys/" + self.key,
                             {"scopes": ["encryption:write"]})
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", mail).type, wire.RESULT)
        self.assertEqual(w.encrypt(b"x", mail).type, wire.RESULT)
        self.assert_failed(w.encrypt(b"x", "mail"), "insufficient-scope")


class Service(Operations):
    """The service is away, slow, or talks nonsense."""

    def test_lost_answer_is_asked_for_again(self):
        self.key_("mail")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        self.sandbox.forget()
        self.sandbox.fault("*/encrypt", action="drop", times=1)
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        self.assertEqual(self.hits_of("/encrypt"), 2)

    def test_data_key_is_never_asked_for_twice(self):
        self.key_("mail")
        self.assertEqual(self.wire().encrypt(b"x", "mail").type, wire.RESULT)
        self.sandbox.forget()
        self.sandbox.fault("*/generate-data-key", action="drop", times=1)
        s = wire.Stream(self.wire(), key="mail")
        self.assert_failed(s.opened, "upstream-unavailable")
        self.assertEqual(self.hits_of(
            f"/keys/{self.ids['mail']}/generate-data-key"), 1)

    def test_away(self):
        self.key_("mail")
        self.signer()
        w = self.wire()
        payload = w.encrypt(b"x", "mail").VALUE
        envelope = self.sealed(b"x", key="mail")
        self.sandbox.stop()
        soon = {"deadline_ms": 3000}
        for f in (w.encrypt(b"x", "mail", **soon),
                  w.decrypt(payload, **soon),
                  w.sign(b"x", "sign-Ed25519", **soon),
                  wire.Stream(self.wire(), key="mail", **soon).opened,
                  wire.Stream(self.wire(), header=envelope[:-18],
                              **soon).opened):
            self.assertIn((f.type, f.error),
                          {(wire.ERROR_MSG, "upstream-unavailable"),
                           (wire.ERROR_MSG, "timeout")}, f)
        w.ping()

    def test_statuses(self):
        self.key_("mail")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        for status, name in ((500, "upstream-unavailable"),
                             (503, "upstream-unavailable"),
                             (404, "not-found"), (410, "not-found"),
                             (403, "denied"), (409, "bad-request"),
                             (422, "bad-request"), (413, "too-large"),
                             (418, "upstream-error")):
            with self.subTest(status):
                self.sandbox.fault("*/encrypt", status=status)
                # those that may pass are tried again until the deadline
                f = w.encrypt(b"x", "mail", deadline_ms=1000
                              if status >= 500 else None)
                self.assertIn(f.error, (name, "timeout") if status >= 500
                              else (name,), f)
                self.sandbox.clear()

    def test_wrong_answers(self):
        self.key_("mail")
        self.signer()
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        self.sandbox.fault("*/encrypt", action="garbage")
        self.assert_failed(w.encrypt(b"x", "mail"), "upstream-error")
        self.sandbox.fault("*/sign", action="garbage")
        self.assert_failed(w.sign(b"x", "sign-Ed25519"), "upstream-error")
        self.sandbox.fault("*/generate-data-key", action="garbage")
        self.assert_failed(wire.Stream(self.wire(), key="mail").opened,
                           "upstream-error")

    def test_deadline_and_cancel(self):
        self.key_("mail")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        hang = self.sandbox.fault("*/encrypt", action="hang")
        self.assert_failed(w.encrypt(b"x", "mail", deadline_ms=200),
                           "timeout")
        before = self.sandbox.hits(hang)
        rid = w.ask(wire.ENCRYPT, ("KEY", "mail"), ("DATA", b"x"))
        self.wait(lambda: self.sandbox.hits(hang) > before, "it hangs")
        w.send(wire.CANCEL, rid=rid)
        f = w.recv_for(rid)
        self.assertEqual((f.type, f.body), (wire.DONE, b""))
        # the id is free again, and one that is gone is not answered
        w.send(wire.CANCEL, rid=rid)
        self.sandbox.clear()
        rid2 = w.ask(wire.ENCRYPT, ("KEY", "mail"), ("DATA", b"x"), rid=rid)
        self.assertEqual(w.recv_for(rid2).type, wire.RESULT)
        self.assertEqual(w.waiting, [])

    def test_callers_that_leave_cost_nothing(self):
        self.key_("mail")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        hang = self.sandbox.fault("*/encrypt", action="hang")
        for _ in range(5):
            other = self.wire()
            for _ in range(3):
                other.ask(wire.ENCRYPT, ("KEY", "mail"),
                          ("DATA", b"y" * 100000))
            other.ping()
            other.close()
        self.wait(lambda: self.sandbox.hits(hang) > 0, "one hangs")
        self.wait(lambda: w.status()["clients"] == 1, "the others are gone")
        self.sandbox.clear()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)

    def test_requests_of_one_user_hold_only_so_much(self):
        self.key_("mail")
        w = self.wire()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)
        hang = self.sandbox.fault("*/encrypt", action="hang")
        data = bytes(900000)
        ids = [w.ask(wire.ENCRYPT, ("KEY", "mail"), ("DATA", data))
               for _ in range(12)]
        self.wait(lambda: self.sandbox.hits(hang) > 0, "one hangs")
        refused = w.recv_for(ids[-1])
        self.assert_failed(refused, "busy", "memory")
        # another connection of this user too, but who asks for little
        self.wire().ping()
        for rid in ids:
            w.send(wire.CANCEL, rid=rid)
        answers = [w.recv_for(rid) for rid in ids[:-1]]
        self.assertIn(wire.DONE, {f.type for f in answers})
        self.sandbox.clear()
        self.assertEqual(w.encrypt(b"x", "mail").type, wire.RESULT)


class Sign(Operations):
    def test_each_algorithm_is_verified_here(self):
        w = self.wire()
        for algorithm in SIGNING:
            self.signer(algorithm)
        for algorithm in SIGNING:
            with self.subTest(algorithm):
                name = "sign-" + algorithm
                key_id = self.ids[name]
                data = b"signed \0 " + algorithm.encode()
                f = w.sign(data, name)
                self.assertEqual((f.type, f.ID, f.CONTENT),
                                 (wire.RESULT, key_id, 3))
                good = w.verify(data, f.VALUE, name)
                self.assertEqual((good.VALID, good.VERIFIED_BY), (1, AGENT))
                # again, and nobody is asked
                self.sandbox.forget()
                again = w.verify(data, f.VALUE, key_id)
                self.assertEqual((again.VALID, again.VERIFIED_BY),
                                 (1, AGENT))
                self.assertEqual(self.sandbox.total, 0)
                bad = w.verify(data + b"!", f.VALUE, name)
                self.assertEqual((bad.type, bad.VALID),
                                 (wire.VERIFIED, None))
                self.assertEqual(bad.VERIFIED_BY, AGENT
                                 if algorithm == "Ed25519" else SERVICE)

    def test_algorithm_that_is_not_known_here(self):
        self.signer("SLH-DSA-128s")
        w = self.wire()
        f = w.sign(b"data", "sign-SLH-DSA-128s")
        good = w.verify(b"data", f.VALUE, "sign-SLH-DSA-128s")
        self.assertEqual((good.VALID, good.VERIFIED_BY), (1, SERVICE))
        bad = w.verify(b"date", f.VALUE, "sign-SLH-DSA-128s")
        self.assertEqual((bad.VALID, bad.VERIFIED_BY), (None, SERVICE))

    def test_signature_of_an_older_version(self):
        self.signer()
        w = self.wire()
        old = w.sign(b"data", "sign-Ed25519").VALUE
        self.sandbox.api("POST", f"/keys/{self.ids['sign-Ed25519']}/rotate",
                         {})
        # the public key of the second version is the one that is held
        new = w.sign(b"data", "sign-Ed25519").VALUE
        f = w.verify(b"data", new, "sign-Ed25519")
        self.assertEqual((f.VALID, f.VERIFIED_BY), (1, AGENT))
        f = w.verify(b"data", old, "sign-Ed25519")
        self.assertEqual((f.VALID, f.VERIFIED_BY), (1, SERVICE))
        f = w.verify(b"date", old, "sign-Ed25519")
        self.assertEqual((f.VALID, f.VERIFIED_BY), (None, SERVICE))

    def test_service_away(self):
        """A yes stands; a no does where it is the last word."""
        w = self.wire()
        signatures = {}
        self.signer("Ed25519")
        self.signer("ECDSA-P256")
        for algorithm in ("Ed25519", "ECDSA-P256"):
            signatures[algorithm] = w.sign(b"data", "sign-" + algorithm).VALUE
            f = w.verify(b"data", signatures[algorithm], "sign-" + algorithm)
            self.assertEqual(f.VERIFIED_BY, AGENT)
        self.sandbox.stop()
        for algorithm, signature in signatures.items():
            f = w.verify(b"data", signature, "sign-" + algorithm)
            self.assertEqual((f.VALID, f.VERIFIED_BY), (1, AGENT))
        f = w.verify(b"date", signatures["Ed25519"], "sign-Ed25519")
        self.assertEqual((f.type, f.VALID, f.VERIFIED_BY),
                         (wire.VERIFIED, None, AGENT))
        f = w.verify(b"date", signatures["ECDSA-P256"], "sign-ECDSA-P256",
                     deadline_ms=3000)
        self.assertIn(f.error, ("upstream-unavailable", "timeout"))

    def test_failures(self):
        self.key_("mail")
        self.signer()
        w = self.wire()
        self.assert_failed(w.sign(b"x", "mail"), "bad-request")
        self.assert_failed(w.sign(b"x", "nope"), "not-found")
        self.assert_failed(w.verify(b"x", b"s", "nope"), "not-found")
        # a symmetric key has no public half: the service says so
        self.assert_failed(w.verify(b"x", b"s", "mail"), "bad-request",
                           "another kind")
        f = w.verify(b"x", b"s", "sign-Ed25519")
        self.assertEqual((f.type, f.VALID), (wire.VERIFIED, None))
        self.change("sign-Ed25519", state="revoked")
        self.assert_failed(w.sign(b"x", "sign-Ed25519"), "denied", "revoked")


@harness.needs_root
class Rules(Operations):
    """root-needs-rule: so that the caller of the tests is one like others."""

    CONF = {"agent": {"root-needs-rule": "yes"}}
    AUTO = False

    def begin(self, **rule):
        self.start(allow=[("ops", {"user": "root", **rule})])
        for name in ("mail/a", "other"):
            self.key_(name)
        self.signer(name="mail/sign")
        self.signer(name="other-sign")
        # what they made before there were rules
        got = {}
        for name in ("mail/a", "other"):
            got[name] = self.sandbox.api("POST", "/encrypt", {
                "plaintext": "x", "encoding": "utf8",
                "keyId": self.ids[name]})["encryptedPayload"]
        return self.wire(), got

    def assert_denied(self, *frames):
        for f in frames:
            self.assert_failed(f, "denied", "no rule")

    def test_each_operation_is_one_of_its_own(self):
        w, payloads = self.begin(keys="mail/*", operations="encrypt,verify")
        self.assertEqual(w.encrypt(b"x", "mail/a").type, wire.RESULT)
        self.assertEqual(w.encrypt(b"x", self.ids["mail/a"]).type,
                         wire.RESULT)
        self.assertEqual(w.verify(b"x", b"s", "mail/sign").type,
                         wire.VERIFIED)
        self.assert_denied(
            w.decrypt(payloads["mail/a"]), w.sign(b"x", "mail/sign"),
            w.encrypt(b"x", "other"), w.encrypt(b"x", self.ids["other"]),
            w.verify(b"x", b"s", "other-sign"),
            # not all keys, so not the default one either
            w.encrypt(b"x"),
            wire.Stream(self.wire()).opened,
            wire.Stream(self.wire(), key="other").opened)
        self.assertEqual(wire.Stream(self.wire(), key="mail/a").opened.type,
                         wire.STREAM_BYTES)

    def test_first_request_by_id_is_judged_by_the_name(self):
        """Nothing is known then: the listing has to say what it is."""
        w, _ = self.begin(keys="mail/*", operations="encrypt")
        self.assert_denied(w.encrypt(b"x", self.ids["other"]))
        self.assertEqual(self.hits_of("/encrypt"), 2)   # of begin()
        self.restart_agent(allow=[("ops", {
            "user": "root", "keys": "id:" + self.ids["mail/a"],
            "operations": "encrypt"})])
        w = self.wire()
        self.assert_denied(w.encrypt(b"x", "other"))
        self.assertEqual(w.encrypt(b"x", "mail/a").type, wire.RESULT)

    def test_denied_is_the_same_whether_or_not_it_exists(self):
        w, _ = self.begin(keys="mail/*", operations="encrypt")
        there, id_ = w.encrypt(b"x", "other"), w.encrypt(b"x",
                                                         self.ids["other"])
        for f in (w.encrypt(b"x", "nope"), w.encrypt(b"x", NO_SUCH),
                  w.encrypt(b"x", "k-1")):
            self.assertEqual((f.error, f.MESSAGE),
                             (there.error, there.MESSAGE))
            self.assertEqual((f.error, f.MESSAGE), (id_.error, id_.MESSAGE))
        # what the rule covers may be known not to exist
        self.assert_failed(w.encrypt(b"x", "mail/nope"), "not-found")

    def test_payload_says_which_key_it_is(self):
        w, payloads = self.begin(keys="mail/*", operations="decrypt")
        self.assertEqual(w.decrypt(payloads["mail/a"]).VALUE, b"x")
        self.assertEqual(w.decrypt(payloads["mail/a"], key="mail/a").VALUE,
                         b"x")
        self.assert_denied(w.decrypt(payloads["other"]),
                           w.decrypt(payloads["other"], key="other"),
                           w.decrypt("bm9uc2Vuc2U="),
                           w.decrypt("bm9uc2Vuc2U=", key="mail/a"))
        # one that may be used, for a payload of one that may not
        self.assert_failed(w.decrypt(payloads["other"], key="mail/a"),
                           "bad-request", "another key")

    def test_payload_that_names_two_keys(self):
        w, payloads = self.begin(keys="mail/*", operations="decrypt")
        inner = base64.b64decode(payloads["other"]).decode()
        mine, theirs = self.ids["mail/a"], self.ids["other"]
        self.assertEqual(json.loads(inner)["k"], theirs)
        self.sandbox.forget()
        for forged in (inner[:-1] + f',"k":"{mine}"}}',
                       f'{{"k":"{mine}",' + inner[1:],
                       f'{{"K":"{mine}",' + inner[1:],
                       f'{{"keyId":"{mine}",' + inner[1:],
                       inner.replace('"k"', '"K"'),
                       inner + f' {{"k":"{mine}"}}'):
            text = base64.b64encode(forged.encode()).decode()
            self.assert_denied(w.decrypt(text), w.decrypt(text, key="mail/a"))
        self.assertEqual(self.hits_of("/decrypt"), 0)
        # and one that lies is not opened by the key that it names
        lie = base64.b64encode(inner.replace(theirs, mine).encode()).decode()
        self.assert_failed(w.decrypt(lie), "bad-request")

    def test_envelope_says_which_key_it_is(self):
        w, _ = self.begin(keys="mail/*,other",
                          operations="encrypt,decrypt")
        mine = self.sealed(b"mine", key="mail/a")
        theirs = self.sealed(b"theirs", key="other")
        self.assertEqual(self.opened(mine), b"mine")
        self.assertEqual(self.opened(theirs), b"theirs")
        harness.write_conf(self.conf_path, self.conf(
            None, [("ops", {"user": "root", "keys": "mail/*",
                            "operations": "encrypt,decrypt"})]))
        os.kill(self.agent.pid, harness.signal.SIGHUP)
        header, _ = wire.envelope_of(theirs)

        def denied():
            with wire.Wire(self.socket) as one:
                return wire.Stream(one, header=header).opened.error == \
                    "denied"
        self.wait(denied, "the new rules hold")
        self.assertEqual(self.opened(mine), b"mine")
        # the id in the header is the one that is asked for
        lie = header.replace(self.ids["other"].encode(),
                             self.ids["mail/a"].encode())
        f = wire.Stream(w, header=lie).opened
        self.assertEqual(f.type, wire.ERROR_MSG, f)

    def test_rules_for_all_keys(self):
        w, payloads = self.begin(keys="**", operations="encrypt,decrypt")
        self.sandbox.api("POST", f"/keys/{self.ids['other']}/set-default",
                         {"keyType": "encryption"})
        self.assertEqual(w.encrypt(b"x").ID, self.ids["other"])
        self.assertEqual(w.decrypt(payloads["other"]).VALUE, b"x")
        self.assertEqual(self.opened(self.sealed(b"x")), b"x")
        self.assert_denied(w.sign(b"x", "other-sign"))
        # there is nothing to be kept from who may use all of them
        self.assert_failed(w.encrypt(b"x", NO_SUCH), "not-found")
        self.assert_failed(w.encrypt(b"x", "nope"), "not-found")
        self.sandbox.control("PUT", "/api-keys/" + self.key,
                             {"scopes": ["encryption:write"]})
        self.restart_agent(allow=[("ops", {
            "user": "root", "keys": "**", "operations": "encrypt"})])
        f = self.wire().encrypt(b"x", self.ids["mail/a"])
        self.assertEqual(f.ID, self.ids["mail/a"], f)

    def test_record_names_rule_and_key(self):
        w, _ = self.begin(keys="mail/*", operations="encrypt")
        w.encrypt(b"x", "mail/a")
        w.encrypt(b"x", "other")
        self.wait(lambda: 'encrypt "mail/a": allowed (rule "ops")' in
                  self.agent.log(), "it is recorded")
        self.wait(lambda: 'encrypt "other": denied' in self.agent.log(),
                  "the denial too")
        for _ in range(20):
            w.encrypt(b"x", "mail/a")
        self.wire().encrypt(b"x", "mail/a")
        self.wait(lambda: self.agent.log().count('encrypt "mail/a"') == 2,
                  "a line for each connection")


class Streams(Operations):
    def setUp(self):
        super().setUp()
        self.key_("mail", setAsDefault=True)

    def test_lengths(self):
        for n in (0, 1, 65535, 65536, 65537, 3 * 65536, 200000):
            with self.subTest(n):
                data = os.urandom(n)
                envelope = self.sealed(data, key="mail", aad="a")
                header, chunks = wire.envelope_of(envelope)
                count = max(1, (n + 65535) // 65536)
                self.assertEqual(len(chunks), n + 17 * count)
                self.assertIn(self.ids["mail"].encode(), header)
                self.assertEqual(self.opened(envelope, aad="a"), data)

    def test_default_key(self):
        envelope = self.sealed(b"data")
        self.assertIn(self.ids["mail"].encode(), envelope)
        self.assertEqual(self.opened(envelope), b"data")

    def test_no_default_key(self):
        self.change("mail", isDefault=False)
        self.assert_failed(wire.Stream(self.wire()).opened, "not-found",
                           "default")

    def test_hundred_megabytes(self):
        """There and back, and no more memory than for one chunk."""
        w, back = self.wire(), self.wire()
        before = w.status()["memory.lockedBytes"]
        s = wire.Stream(w, key="mail")
        o = wire.Stream(back, header=s.header)
        block = os.urandom(wire.CHUNK)
        for i in range(1600):
            data = b"%8d" % i + block[8:]
            sealed = s.chunk(data, i == 1599).VALUE
            self.assertEqual(o.chunk(sealed, i == 1599).VALUE, data)
        self.assertLess(w.status()["memory.lockedBytes"],
                        before + (16 << 20))

    def test_many_chunks_under_way(self):
        """A client that reads in a thread of its own may send ahead."""
        data = os.urandom(80 * wire.CHUNK)
        w = self.wire()
        s = wire.Stream(w, key="mail")
        got = []
        reader = threading.Thread(target=lambda: got.extend(
            w.recv() for _ in range(80)))
        reader.start()
        ids = [s.send(data[i * wire.CHUNK:(i + 1) * wire.CHUNK], i == 79)
               for i in range(80)]
        reader.join(60)
        self.assertEqual([f.id for f in got], ids)
        self.assertEqual(self.opened(s.header + b"".join(
            f.VALUE for f in got)), data)

    def test_what_was_changed_does_not_open(self):
        data = os.urandom(3 * wire.CHUNK)
        envelope = self.sealed(data, key="mail", aad="a")
        header, chunks = wire.envelope_of(envelope)
        size = wire.CHUNK + wire.CHUNK_EXTRA
        part = [chunks[i * size:(i + 1) * size] for i in range(3)]

        def refused(pieces, head=header, aad="a"):
            """Number of chunks that opened before one did not."""
            s = wire.Stream(self.wire(), header=head, aad=aad)
            self.assertEqual(s.opened.type, wire.STREAM_BYTES, s.opened)
            for i, p in enumerate(pieces):
                f = s.chunk(p, i == len(pieces) - 1)
                if f.type == wire.ERROR_MSG:
                    self.assert_failed(f, "bad-request")
                    # and that is the end of it
                    self.assert_failed(s.chunk(p), "not-found")
                    return i
            return None

        self.assertIsNone(refused(part))
        self.assertEqual(refused(part[:2]), 1)      # cut between two
        self.assertEqual(refused(part[:1]), 0)
        self.assertEqual(refused([part[0], part[2]]), 1)
        self.assertEqual(refused([part[1], part[0], part[2]]), 0)
        self.assertEqual(refused([part[0], part[0], part[2]]), 1)
        self.assertEqual(refused(part + [part[2]]), 2)  # more behind it
        self.assertEqual(refused([part[0], part[1], part[2][:-1]]), 2)
        self.assertEqual(refused([part[0], part[1], b"x" * 16]), 2)
        flipped = bytearray(part[1])
        flipped[1000] ^= 1
        self.assertEqual(refused([part[0], bytes(flipped), part[2]]), 1)
        self.assertEqual(refused(part, aad="b"), 0)
        self.assertEqual(refused(part, aad=None), 0)
        head = bytearray(header)
        head[20] ^= 1                               # the stream's header
        self.assertEqual(refused(part, bytes(head)), 0)
        head = bytearray(header)
        head[49] ^= 1                               # the key's version
        self.assertEqual(refused(part, bytes(head)), 0)

    def test_headers_that_are_none(self):
        header, _ = wire.envelope_of(self.sealed(b"x", key="mail"))
        w = self.wire()
        for head, name in (
                (b"x", "bad-request"), (header[:-1], "bad-request"),
                (header + b"x", "bad-request"),
                (b"QAPIENW" + header[7:], "bad-request"),
                (header[:7] + b"\x02" + header[8:], "unsupported"),
                (header[:13] + b"\x02" + header[14:], "unsupported"),
                (header[:17] + b"\x01" + header[18:], "unsupported")):
            self.assert_failed(wire.Stream(w, header=head).opened, name)
        # the wrapped key is another: the service sees that
        wrong = bytearray(header)
        wrong[-3] ^= 1
        self.assert_failed(wire.Stream(w, header=bytes(wrong)).opened,
                           "bad-request")
        self.change("mail", state="revoked")
        self.assert_failed(wire.Stream(w, header=header).opened, "denied",
                           "revoked")

    def test_chunks_of_the_wrong_length(self):
        w = self.wire()
        for data, final in ((b"", False), (b"x" * 65535, False),
                            (b"x" * 65537, False), (b"x" * 65537, True)):
            s = wire.Stream(w, key="mail")
            self.assert_failed(s.chunk(data, final), "bad-request", "65536")
            self.assert_failed(s.chunk(b"", True), "not-found")
        s = wire.Stream(w, key="mail")
        self.assertEqual(s.chunk(b"x", True).type, wire.STREAM_BYTES)
        self.assert_failed(s.chunk(b"x", True), "not-found", "no such")
        self.assert_failed(w.answer(wire.STREAM_DATA, ("STREAM", 12345),
                                    ("DATA", b"x")), "not-found")
        # nor is any other request one
        rid = w.ask(wire.PING)
        w.recv_for(rid)
        self.assert_failed(w.answer(wire.STREAM_DATA, ("STREAM", rid),
                                    ("DATA", b"x")), "not-found")

    def test_chunk_before_the_stream_is_open(self):
        hang = self.sandbox.fault("*/generate-data-key", action="hang")
        w = self.wire()
        rid = w.ask(wire.STREAM_OPEN, ("SEAL", 1), ("KEY", "mail"))
        self.wait(lambda: self.sandbox.hits(hang) > 0, "it hangs")
        self.assert_failed(w.answer(wire.STREAM_DATA, ("STREAM", rid),
                                    ("DATA", b"x")), "not-found")
        w.send(wire.CANCEL, rid=rid)
        self.assertEqual(w.recv_for(rid).type, wire.DONE)

    def test_cancel_ends_an_open_stream(self):
        w = self.wire()
        s = wire.Stream(w, key="mail")
        self.assertEqual(s.chunk(bytes(65536)).type, wire.STREAM_BYTES)
        w.send(wire.CANCEL, rid=s.id)
        f = w.recv_for(s.id)
        self.assertEqual((f.type, f.more), (wire.DONE, False))
        self.assert_failed(s.chunk(b"", True), "not-found")

    def test_streams_of_one_connection_are_bounded(self):
        w = self.wire()
        streams = [wire.Stream(w, key="mail") for _ in range(16)]
        self.assert_failed(wire.Stream(w, key="mail").opened, "busy")
        # each of them works, and its end makes room for another
        for i, s in enumerate(streams):
            self.assertEqual(s.chunk(b"%d" % i, True).type,
                             wire.STREAM_BYTES)
        more = [wire.Stream(w, key="mail") for _ in range(16)]
        self.assert_failed(wire.Stream(w, key="mail").opened, "busy")
        w.send(wire.CANCEL, rid=more[3].id)
        self.assertEqual(w.recv_for(more[3].id).type, wire.DONE)
        self.assertEqual(wire.Stream(w, key="mail").opened.type,
                         wire.STREAM_BYTES)

    def test_streams_of_one_user_are_bounded(self):
        wires = [self.wire() for _ in range(16)]
        for w in wires:
            ids = [w.ask(wire.STREAM_OPEN, ("SEAL", 1), ("KEY", "mail"))
                   for _ in range(16)]
            for rid in ids:
                self.assertEqual(w.recv_for(rid).type, wire.STREAM_BYTES)
        last = self.wire()
        self.assert_failed(wire.Stream(last, key="mail").opened, "busy")
        wires[0].close()
        self.wait(lambda: wire.Stream(last, key="mail").opened.type ==
                  wire.STREAM_BYTES, "the connection's end made room")

    def test_who_sends_no_more_is_not_kept(self):
        w = self.wire()
        s = wire.Stream(w, key="mail")
        self.assertEqual(s.opened.type, wire.STREAM_BYTES)
        w.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(w.at_end(), [])

    def test_who_does_not_read_is_not_read_from(self):
        w = self.wire()
        s = wire.Stream(w, key="mail")
        w.sock.setblocking(False)
        frame = wire.frame(wire.STREAM_DATA, wire.fields([
            ("STREAM", s.id), ("DATA", bytes(65536))]), rid=1)
        sent, pos = 0, 0

        def full():
            """Send until the socket takes nothing, twice over."""
            nonlocal sent, pos
            before = sent, pos
            try:
                for _ in range(1000):
                    pos += w.sock.send(frame[pos:])
                    if pos == len(frame):
                        sent, pos = sent + 1, 0
            except BlockingIOError:
                pass
            return (sent, pos) == before and sent > 0
        self.wait(full, "the agent takes no more", 30)
        self.assertLess(sent, 100)
        # it serves others, and goes on when what it said is read
        other = self.wire()
        other.ping()
        self.assertEqual(self.sealed(b"x", key="mail")[:7], b"QAPIENV")
        w.sock.setblocking(True)
        for _ in range(sent):
            self.assertEqual(len(w.recv().VALUE), 65553)

    def test_others_are_served_meanwhile(self):
        stop = threading.Event()
        failed = []

        def pump():
            try:
                with wire.Wire(self.socket) as w:
                    while not stop.is_set():
                        wire.Stream(w, key="mail").all(bytes(40 * 65536))
            except Exception as e:  # pylint: disable=broad-except
                failed.append(e)
        threads = [threading.Thread(target=pump) for _ in range(3)]
        for t in threads:
            t.start()
        try:
            w = self.wire()
            for _ in range(50):
                w.ping()
                self.assertEqual(w.get("qapi://secrets/db/prod").VALUE,
                                 b"value of db prod")
        finally:
            stop.set()
            for t in threads:
                t.join(60)
        self.assertEqual(failed, [])

    def test_another_program_opens_it_by_the_document(self):
        name = ctypes.util.find_library("sodium") or "libsodium.so.23"
        try:
            sodium = ctypes.CDLL(name)
        except OSError:
            self.skipTest("no libsodium for Python")
        data = os.urandom(100000)
        header, chunks = wire.envelope_of(
            self.sealed(data, key="mail", aad="order 7"))
        at = 50

        def text():
            nonlocal at
            n = int.from_bytes(header[at:at + 2], "big")
            at += 2 + n
            return header[at - n:at]
        key_id, _, wrapped = text(), text(), text()
        self.assertEqual(at, len(header))
        key = base64.b64decode(self.sandbox.api(
            "POST", f"/keys/{key_id.decode()}/unwrap",
            {"wrappedKey": wrapped.decode(), "context": base64.b64encode(
                b"qapi-agent envelope 1").decode()})["keyMaterial"])
        ad = hashlib.blake2b(header + b"order 7", digest_size=32).digest()
        state = ctypes.create_string_buffer(
            sodium.crypto_secretstream_xchacha20poly1305_statebytes())
        self.assertEqual(
            sodium.crypto_secretstream_xchacha20poly1305_init_pull(
                state, header[18:42], key), 0)
        out = b""
        for i in range(0, len(chunks), 65553):
            chunk = chunks[i:i + 65553]
            plain = ctypes.create_string_buffer(len(chunk) - 17)
            tag = ctypes.c_ubyte(77)
            self.assertEqual(sodium.crypto_secretstream_xchacha20poly1305_pull(
                state, plain, None, ctypes.byref(tag), chunk,
                ctypes.c_ulonglong(len(chunk)), ad,
                ctypes.c_ulonglong(len(ad))), 0)
            self.assertEqual(tag.value,
                             3 if i + 65553 >= len(chunks) else 0)
            out += plain.raw
        self.assertEqual(out, data)


class Call(Operations):
    def test_any_path_body_for_body(self):
        w = self.wire()
        f = w.call("GET", "/api/v1/rate-limit")
        self.assertEqual((f.type, f.STATUS, f.FRESHNESS),
                         (wire.CALLED, 200, None))
        self.assertIn("application/json", f.CONTENT_TYPE)
        self.assertIn("limit", json.loads(f.VALUE))
        f = w.call("POST", "/roles", b'{"name": "r1"}')
        self.assertIn(f.STATUS, (200, 201))
        role = json.loads(f.VALUE)
        self.assertEqual(role["name"], "r1")
        self.assertIn(role["id"], w.call("GET", "/roles").VALUE.decode())
        self.assertEqual(w.call("GET", "/no/such/path").STATUS, 404)

    def test_statuses_are_the_services_own(self):
        w = self.wire()
        f = w.call("GET", "/applications/" + NO_SUCH)
        self.assertEqual((f.type, f.STATUS), (wire.CALLED, 404))
        self.assertEqual(json.loads(f.VALUE)["error"], "not_found")
        # no API key may do that, so nobody is asked
        self.assert_failed(w.call("PATCH", "/settings/security", b"{}"),
                           "denied")
        # also where the cache could tell
        f = w.call("GET", "/secrets/" + NO_SUCH)
        self.assertEqual((f.type, f.STATUS), (wire.CALLED, 404), f)
        self.sandbox.fault("*/roles", status=429, retryAfter=30)
        f = w.call("GET", "/roles")
        self.assertEqual((f.type, f.STATUS, f.RETRY_AFTER_MS),
                         (wire.CALLED, 429, 30000))

    def test_cached_reads(self):
        w = self.wire()
        f = w.call("GET", "/secrets/s1")
        self.assertEqual((f.STATUS, json.loads(f.VALUE)["value"]),
                         (200, "value of db prod"))
        self.sandbox.forget()
        f = w.call("GET", "/secrets/s1?include=all")
        self.assertEqual((f.STATUS, f.FRESHNESS), (200, 1))
        self.assertIsNotNone(f.AGE_MS)
        self.assertEqual(self.sandbox.total, 0)

    def test_ref_stands_for_its_id(self):
        w = self.wire()
        f = w.call("GET", "/secrets/{id}/history", ref="qapi://secrets/db/prod")
        self.assertEqual((f.type, f.STATUS), (wire.CALLED, 200), f)
        self.assertEqual(json.loads(f.VALUE)["secretId"], "s1")
        f = w.call("GET", "/secrets/{id}/history", ref="qapi://secrets/nope")
        self.assert_failed(f, "not-found")

    def test_write_shows_in_the_next_read(self):
        w = self.wire()
        self.assertEqual(w.get("qapi://secrets/db/prod").VALUE,
                         b"value of db prod")
        f = w.call("PUT", "/secrets/{id}/value", b'{"value": "the next one"}',
                   ref="qapi://secrets/db/prod")
        self.assertEqual(f.STATUS, 200, f)
        self.assertEqual(w.get("qapi://secrets/db/prod").VALUE,
                         b"the next one")

    def test_deadline_cancel_and_end(self):
        w = self.wire()
        hang = self.sandbox.fault("*/roles", action="hang")
        self.assert_failed(w.call("GET", "/roles", deadline_ms=200),
                           "timeout")
        before = self.sandbox.hits(hang)
        rid = w.ask(wire.CALL, ("METHOD", "GET"), ("TARGET", "/roles"))
        self.wait(lambda: self.sandbox.hits(hang) > before, "it hangs")
        w.send(wire.CANCEL, rid=rid)
        self.assertEqual(w.recv_for(rid).type, wire.DONE)
        other = self.wire()
        other.ask(wire.CALL, ("METHOD", "POST"), ("TARGET", "/roles"),
                  ("DATA", b'{"name": "x"}'))
        other.ping()
        other.close()
        self.wait(lambda: w.status()["clients"] == 1, "it is gone")
        self.sandbox.clear()
        self.assertEqual(w.call("GET", "/roles").STATUS, 200)

    def test_targets_that_cannot_be_sent(self):
        w = self.wire()
        for target in ("roles", "//roles", "/a/../secrets", "/a b", "/a%2",
                       "http://other/", "/roles\r\nX: y"):
            f = w.call("GET", target)
            self.assertEqual((f.type, f.error),
                             (wire.ERROR_MSG, "bad-request"), target)
        w.ping()

    def test_service_away(self):
        w = self.wire()
        self.sandbox.stop()
        f = w.call("GET", "/roles", deadline_ms=3000)
        self.assertIn(f.error, ("upstream-unavailable", "timeout"))


class Unread(Operations):
    SEED = {"secrets": [secret("big", val="b" * (1 << 20))]}

    def test_answers_that_are_not_read_are_bounded(self):
        """What waits to be read counts until it has been, over all
        connections of a user: 16 MiB, or less where less can be locked."""
        w = self.wire()
        self.assertEqual(w.call("GET", "/secrets/big").STATUS, 200)
        idle = []

        def one_more():
            other = self.wire()
            idle.append(other)
            other.ask(wire.CALL, ("METHOD", "GET"), ("TARGET", "/secrets/big"))
            other.sock.recv(1, socket.MSG_PEEK)     # it has been answered
            return w.call("GET", "/secrets/big").error == "busy"
        for _ in range(20):
            if one_more():
                break
        else:
            self.fail("nothing is counted")
        # what takes none of that goes through
        w.ping()
        self.assertEqual(w.get("qapi://secrets/big").type, wire.RESULT)
        got = [other.recv() for other in idle]
        self.assertEqual((got[0].type, got[0].STATUS), (wire.CALLED, 200))
        self.assertEqual({f.error for f in got} - {None, "busy"}, set())
        self.assertEqual(w.call("GET", "/secrets/big").STATUS, 200)


class Malformed(Operations):

    def test_bad_vectors_cost_their_connection(self):
        kinds = range(wire.CALL, wire.STREAM_DATA + 1)
        tried = 0
        for name, data in vectors_with_errors().items():
            kind = data[1][5]
            if kind not in kinds:
                continue
            tried += 1
            with self.subTest(name):
                w = self.wire()
                w.send_raw(data[1])
                f = w.recv()
                self.assert_failed(f, data[0])
                if data[0] == "unsupported":
                    w.ping()
                else:
                    self.assertEqual(w.at_end(), [])
        self.assertGreaterEqual(tried, 10)
        self.wire().ping()


def vectors_with_errors():
    """{name: (error, bytes)} of the vectors that are to be refused."""
    path = os.path.join(harness.SOURCE, "proto", "PROTOCOL.md")
    out = {}
    with open(path, encoding="utf-8") as f:
        for name, error, block in harness.re.findall(
                r"^```vector (\S+) (\S+)\n(.*?)^```", f.read(),
                harness.re.M | harness.re.S):
            out[name] = error, bytes.fromhex("".join(
                line.split("#")[0] for line in block.splitlines()))
    return out


if __name__ == "__main__":
    harness.main()
