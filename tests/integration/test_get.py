#!/usr/bin/env python3
"""Reading values: references, fields, versions, exact bytes (contract 2, 4)."""

import base64
import hashlib
import hmac
import json
import os
import pty
import struct
import subprocess
import time

import harness
from harness import Case, ref, secret

AWKWARD = [
    "with space", "ünï cödé ✓", "a/b/c/deep", "percent%41", "quest?ion",
    "amp&equals=x", "hash#tag", "plus+plus", "quote'\"", "back\\slash",
    "trailing/", "/leading", "a//b", "..", "../../etc/passwd", "%",
    "x" * 255, "emoji 🔑", "public", "keys/x/public", "tilde~",
]

VALUES = {
    "plain": "just text",
    "newline": "line one\nline two\n",
    "crlf": "a\r\nb",
    "empty": "",
    "nul": "before\0after\0",
    "only-nul": "\0",
    "json-specials": "+<>&'\"\\/\b\f\n\r\t",
    "html": "&lt;\u002B\\u002B",
    "surrogates": "key 🔑 and 𝄞 and \U0010ffff",
    "latin": "pässwörd €",
    "controls": "".join(chr(i) for i in range(1, 32)) + "\x7f\x80\x9f",
    "bom": "\ufeffx\u2028\u2029",
    "spaces": "  \t padded \t  ",
    "looks-like-json": '{"value": "inner", "x": [1, 2]}',
    "looks-like-ref": "qapi://secrets/plain",
    "64k": "0123456789abcdef" * 4096,
    "64k-escaped": "é\n\"" * 21845,
}


class Values(Case):
    SEED = {"secrets": [secret(k, val=v) for k, v in VALUES.items()]}

    def test_value_is_exact_to_the_byte(self):
        for name, v in VALUES.items():
            with self.subTest(name):
                self.assertEqual(self.get(name), v.encode())

    def test_value_is_exact_when_it_comes_from_the_cache(self):
        for name in VALUES:
            self.get(name)
        self.sandbox.stop()
        for name, v in VALUES.items():
            with self.subTest(name):
                self.assertEqual(self.get(name), v.encode())

    def test_value_is_exact_in_json(self):
        for name, v in VALUES.items():
            with self.subTest(name):
                o = self.get_json(name)
                self.assertEqual(o["value"], v)
                self.assertNotIn("valueBase64", o)

    def test_no_newline_is_added_off_a_terminal(self):
        self.assertEqual(self.get("plain"), b"just text")

    def test_newline_on_a_terminal(self):
        master, slave = pty.openpty()
        try:
            self.helper("get", "plain", stdout=slave)
            os.close(slave)
            self.assertEqual(os.read(master, 100), b"just text\r\n")
        finally:
            os.close(master)

    def test_several_references_are_each_followed_by_a_newline(self):
        self.assertEqual(self.get("plain", "empty", "newline", "latin"),
                         b"just text\n\nline one\nline two\n\n" +
                         "pässwörd €\n".encode())

    def test_0_ends_each_value_with_nul(self):
        self.assertEqual(self.get("plain", "-0", "crlf"),
                         b"just text\0a\r\nb\0")
        self.assertEqual(self.get("-0", "plain"), b"just text\0")

    def test_the_same_reference_twice(self):
        self.assertEqual(self.get("plain", "plain"),
                         b"just text\njust text\n")
        self.assertEqual(self.sandbox.reads("plain"), 1)

    def test_value_on_the_wire_is_marked_as_text(self):
        with self.wire() as w:
            f = w.get("qapi://secrets/nul")
            self.assertEqual(f.VALUE, b"before\0after\0")
            self.assertEqual(f.CONTENT, 1)
            self.assertEqual((f.ID, f.NAME, f.VERSION), ("nul", "nul", 1))
            self.assertEqual(f.freshness, "fresh")
            f = w.get("qapi://secrets/empty")
            self.assertEqual(f.VALUE, b"")
            self.assertIsNone(f.error)


class Names(Case):
    SEED = {"secrets": [secret(f"id-{i}", n, f"value of {i}")
                        for i, n in enumerate(AWKWARD)] + [
        secret("twin-1", "twin", "twin value one"),
        secret("twin-2", "twin", "twin value two"),
        secret("shadow", "named-like-an-id", "value of shadow"),
        secret("other", "id-0", "named like the id of another"),
    ]}

    def test_name_in_a_percent_encoded_reference(self):
        import urllib.parse
        for i, n in enumerate(AWKWARD):
            for safe in ("/", "", "/+~&=#"):
                with self.subTest(name=n, safe=safe):
                    r = "qapi://secrets/" + urllib.parse.quote(n, safe=safe)
                    self.assertEqual(self.get(r), f"value of {i}".encode())

    def test_name_as_a_bare_argument(self):
        for i, n in enumerate(AWKWARD):
            # What is read as a reference's own syntax needs encoding.
            if set(n) & set("%?"):
                continue
            with self.subTest(name=n):
                self.assertEqual(self.get("--", n),
                                 f"value of {i}".encode())

    def test_id_in_a_reference_and_bare(self):
        self.assertEqual(self.get("qapi://secrets/id-3"), b"value of 3")
        self.assertEqual(self.get("id-4"), b"value of 4")

    def test_percent_encoded_id(self):
        self.assertEqual(self.get("qapi://secrets/%69d-3"), b"value of 3")

    def test_answer_has_id_and_name_whatever_was_asked_by(self):
        for r in ("id-2", "qapi://secrets/a/b/c/deep"):
            o = self.get_json(r)
            self.assertEqual((o["id"], o["name"]), ("id-2", "a/b/c/deep"))

    def test_two_secrets_of_one_name_are_ambiguous_and_both_ids_are_named(self):
        r = self.fails(9, "get", "twin", saying=["twin-1", "twin-2"])
        self.assertNotIn("twin value", r.err)
        self.assert_error("ambiguous", 9, "get", "twin")
        self.assertEqual(self.sandbox.reads("twin-1"), 0)
        self.assertEqual(self.get("twin-1"), b"twin value one")

    def test_ambiguity_ends_when_one_is_renamed(self):
        self.start_agent_again({"cache": {"refresh-interval": "200ms",
                                          "negative-ttl": "200ms"}})
        self.fails(9, "get", "twin")
        self.sandbox.api("PATCH", "/secrets/twin-1", {"name": "single"})
        self.wait(lambda: self.helper("get", "twin").out ==
                  b"twin value two", "twin is one of a kind")
        self.wait(lambda: self.helper("get", "single").out ==
                  b"twin value one", "the other has its new name")

    def start_agent_again(self, conf):
        self.restart_agent(conf)

    def test_unknown_name_is_not_found(self):
        self.fails(3, "get", "no-such-name", saying="no-such-name")
        self.assert_error("not-found", 3, "get", "qapi://secrets/no/such")

    def test_malformed_references_are_usage_errors(self):
        for bad in ("qapi://", "qapi://secrets", "qapi://secrets/",
                    "qapi://secret/x", "qapi://Secrets/x",
                    "qapi://secrets/x?", "qapi://secrets/x?field",
                    "qapi://secrets/x?field=", "qapi://secrets/x?fild=a",
                    "qapi://secrets/x?field=a&field=b",
                    "qapi://secrets/x?version=0",
                    "qapi://secrets/x?version=-1",
                    "qapi://secrets/x?version=1x",
                    "qapi://secrets/x?version=9223372036854775808",
                    "qapi://secrets/x%", "qapi://secrets/x%4",
                    "qapi://secrets/x%zz", "qapi://secrets/a%00b",
                    "qapi://secrets/a%0ab", "qapi://secrets/%ff",
                    "qapi://secrets/" + "x" * 1021,
                    "qapi://keys/x", "qapi://keys/x/private",
                    "qapi://keys/x/public?format=PEM",
                    "qapi://keys/x/public?field=value",
                    "qapi://things/x", ""):
            with self.subTest(bad):
                self.fails(2, "get", bad)
        self.assertEqual(self.sandbox.total, 0)

    def test_malformed_reference_on_the_wire_is_bad_request(self):
        with self.wire() as w:
            good, bad = w.get_many("qapi://secrets/id-2", "qapi://secrets/%")
            self.assertEqual(bad.error, "bad-request")
            self.assertEqual(good.VALUE, b"value of 2")
            # A bare name is a courtesy of commands, not of the protocol.
            self.assertEqual(w.get("id-2").error, "bad-request")

    def test_id_wins_over_nothing_and_names_are_found_through_the_listing(self):
        self.assertEqual(self.get("named-like-an-id"), b"value of shadow")
        self.assertEqual(self.sandbox.reads("shadow"), 1)
        self.assertGreaterEqual(self.sandbox.listings, 1)


FULL = {
    "id": "full", "name": "db/prod", "value": "the value of full",
    "version": 7, "username": "app user", "notes": "some notes\nof full",
    "labels": ["prod", "db"], "contentType": "password",
    "description": "a description", "urls": [{"url": "https://x.example"}],
    "customFields": [{"name": "user", "value": "custom user", "type": "text"},
                     {"name": "a.b c", "value": "dotted", "type": "text"},
                     {"name": "empty", "value": "", "type": "text"}],
    "totpSecret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
    "expiresAt": "2099-05-08T12:00:00Z", "createdAt": "2026-01-02T03:04:05Z",
    "updatedAt": "2026-02-03T04:05:06Z", "folderId": None, "isFavorite": True,
    "futureField": {"x": [1, "two"]},
}


class Fields(Case):
    SEED = {"secrets": [FULL, secret("bare", val="bare value"),
                        secret("no-totp")]}

    def field(self, name):
        return self.get(ref("db/prod", field=name))

    def test_value_is_the_default_field(self):
        self.assertEqual(self.get("db/prod"), b"the value of full")
        self.assertEqual(self.field("value"), b"the value of full")

    def test_text_field_is_given_as_its_text(self):
        for name in ("username", "notes", "contentType", "description",
                     "expiresAt", "id", "name", "updatedAt"):
            with self.subTest(name):
                self.assertEqual(self.field(name), FULL[name].encode())

    def test_other_field_is_given_as_its_json(self):
        for name in ("labels", "urls", "isFavorite", "version",
                     "futureField"):
            with self.subTest(name):
                self.assertEqual(json.loads(self.field(name)), FULL[name])

    def test_custom_field(self):
        self.assertEqual(self.field("customFields.user"), b"custom user")
        self.assertEqual(self.field("customFields.a.b c"), b"dotted")
        self.assertEqual(self.field("customFields.empty"), b"")

    def test_custom_fields_as_an_object(self):
        self.sandbox.set("full", customFields={"user": "from an object"})
        self.assertEqual(self.get(ref("db/prod", field="customFields.user")),
                         b"from an object")

    def test_option_field_is_the_same_as_the_parameter(self):
        self.assertEqual(self.get("db/prod", "--field", "username"),
                         b"app user")
        self.assertEqual(self.get("db/prod", "bare", "--field=name"),
                         b"db/prod\nbare\n")

    def test_one_upstream_read_answers_every_field(self):
        for name in ("value", "username", "notes", "labels",
                     "customFields.user", "expiresAt", "folder", "isActive"):
            self.helper("get", ref("db/prod", field=name))
        self.assertEqual(self.sandbox.reads("full"), 1)

    def test_unknown_field_is_not_found_and_the_message_names_those_that_are(
            self):
        r = self.fails(3, "get", ref("db/prod", field="usrname"),
                       saying=["username", "notes", "labels"])
        self.assertNotIn("app user", r.err)
        self.assert_error("not-found", 3, "get",
                          ref("db/prod", field="customFields.nope"))
        r = self.fails(3, "get", ref("db/prod", field="customFields.nope"),
                       saying=["customFields.user"])
        self.assertNotIn("custom user", r.err)

    def test_field_that_is_not_set_is_not_found_too(self):
        for name in ("folderId", "notes", "username", "expiresAt"):
            with self.subTest(name):
                self.fails(3, "get", ref("bare", field=name),
                           saying="value")

    def test_totp_is_the_code_of_this_moment(self):
        def code(t):
            mac = hmac.new(base64.b32decode(FULL["totpSecret"]),
                           struct.pack(">Q", int(t) // 30),
                           hashlib.sha1).digest()
            at = mac[-1] & 15
            n = struct.unpack_from(">I", mac, at)[0] & 0x7fffffff
            return f"{n % 1000000:06d}".encode()
        if self.helper("get", "--json", ref("db/prod", field="totp")).err \
                .find('"unsupported"') >= 0:
            self.skipTest("not in this version")
        before = time.time()
        got = self.get(ref("db/prod", field="totp"))
        self.assertIn(got, {code(before), code(time.time())})
        # from the cache, and the code does not age with it
        self.assertEqual(self.sandbox.reads("full"), 1)
        self.fails(3, "get", ref("no-totp", field="totp"))

    def test_json_object_of_a_field(self):
        o = self.get_json(ref("db/prod", field="labels"))
        self.assertEqual(json.loads(o["value"]), ["prod", "db"])
        self.assertEqual(o["name"], "db/prod")


SEED20, SEED32, SEED64 = (
    base64.b32encode((b"1234567890" * 7)[:n]).decode().rstrip("=")
    for n in (20, 32, 64))


class Totp(Case):
    """One-time codes by the vectors of RFC 6238, appendix B, at their times,
    from seeds as the service keeps them."""

    STEERED = True
    WALL = 1111111109
    SEED = {"secrets": [
        secret("sha1", totpSecret="otpauth://totp/Example:me?secret=" +
               SEED20 + "&digits=8&issuer=Example"),
        secret("sha256", totpSecret="otpauth://totp/a?algorithm=SHA256"
               "&digits=8&period=30&secret=" + SEED32),
        secret("sha512", totpSecret="otpauth://totp/a?secret=" + SEED64 +
               "&algorithm=SHA512&digits=8"),
        secret("bare", totpSecret="gezd gnbv gy3t qojq " * 2),
        secret("minute", totpSecret="otpauth://totp/a?secret=" + SEED20 +
               "&digits=8&period=60"),
        secret("seven", totpSecret="otpauth://totp/a?secret=" + SEED20 +
               "&digits=7"),
        secret("wrong", totpSecret="otpauth://totp/a?secret=not*base32"),
        secret("hotp", totpSecret="otpauth://hotp/a?secret=" + SEED20),
    ]}
    VECTORS = [
        (1111111109, "07081804", "68084774", "25091201"),
        (1111111111, "14050471", "67062674", "99943326"),
        (1234567890, "89005924", "91819424", "93441116"),
        (2000000000, "69279037", "90698825", "38618901"),
        (20000000000, "65353130", "77737706", "47863826"),
    ]

    def codes(self, *names):
        return self.ok("get", *(ref(n, field="totp") for n in names)) \
            .decode().split()

    def at(self, wall):
        """Real time goes on: be sure to be within the period."""
        self.clock.set_wall(wall + 0.5)

    def test_vectors_of_the_rfc_for_each_hash(self):
        for wall, *codes in self.VECTORS:
            with self.subTest(wall):
                # 1111111109 is the last second of its period
                self.at(wall // 30 * 30)
                self.assertEqual(self.codes("sha1", "sha256", "sha512"),
                                 codes)
        # all of it from the cache: the seed has been read once
        for name in ("sha1", "sha256", "sha512"):
            self.assertEqual(self.sandbox.reads(name), 1)

    def test_digits_period_and_a_bare_seed(self):
        self.at(1234567890)
        self.assertEqual(self.codes("sha1", "bare", "seven"),
                         ["89005924", "005924", "9005924"])
        # of a minute: the 30 s counter of this moment is 66666666
        self.at(66666666 * 60)
        at_60 = self.codes("minute")
        self.at(66666666 * 30)
        self.assertEqual(self.codes("sha1"), at_60)

    def test_code_changes_with_the_period_and_is_never_the_seed(self):
        self.at(1234567890)
        r = ref("sha1", field="totp")
        first = self.get(r)
        self.assertEqual(self.get("sha1", "--field", "totp"), first)
        self.assertEqual(self.get_json(r)["value"].encode(), first)
        self.at(1234567890 + 30)
        self.assertNotEqual(self.get(r), first)

    def test_seed_that_is_none_is_an_error_that_does_not_show_it(self):
        for name in ("wrong", "hotp"):
            got = self.fails(1, "get", ref(name, field="totp"))
            self.assertNotIn("not*base32", got.err)
            self.assertNotIn(SEED20, got.err)
            # the value itself is not concerned
            self.get(name)


class Json(Case):
    SEED = {"secrets": [FULL, secret("bare", val="bare value")]}

    def test_json_prints_one_object_a_reference(self):
        out = self.ok("get", "--json", "db/prod", "bare")
        objects = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(len(objects), 2)
        full, bare = objects
        for o in objects:
            self.assertEqual(
                set(o), {"ref", "id", "name", "version", "value", "freshness",
                         "ageSeconds", "updatedAt", "expiresAt"})
        self.assertEqual(full["id"], "full")
        self.assertEqual(full["name"], "db/prod")
        self.assertEqual(full["version"], 7)
        self.assertEqual(full["value"], "the value of full")
        self.assertEqual(full["freshness"], "fresh")
        self.assertIsInstance(full["ageSeconds"], (int, float))
        self.assertLess(full["ageSeconds"], 60)
        self.assertEqual(full["expiresAt"], "2099-05-08T12:00:00Z")
        self.assertEqual(full["updatedAt"], "2026-02-03T04:05:06Z")
        self.assertIsNone(bare["expiresAt"])

    def test_ref_of_the_object_is_what_was_asked_for(self):
        o = self.get_json("qapi://secrets/db/prod?field=username")
        self.assertEqual(o["ref"], "qapi://secrets/db/prod?field=username")
        self.assertIn(self.get_json("bare")["ref"],
                      ("bare", "qapi://secrets/bare"))

    def test_errors_are_objects_on_stderr_and_the_others_are_printed(self):
        r = self.helper("get", "--json", "db/prod", "missing", "bare",
                        "qapi://secrets/bare?field=nope")
        self.assertEqual(r.status, 3)
        names = [json.loads(line)["name"] for line in r.out.splitlines()]
        self.assertEqual(names, ["db/prod", "bare"])
        errors = [json.loads(line) for line in r.err.splitlines()]
        self.assertEqual([e["error"] for e in errors],
                         ["not-found", "not-found"])
        self.assertEqual(set(errors[0]), {"ref", "error", "message"})
        self.assertIn("missing", errors[0]["ref"])
        self.assertIn("field=nope", errors[1]["ref"])


def der(text):
    """DER of a PEM text."""
    return base64.b64decode("".join(text.strip().splitlines()[1:-1]))


class Keys(Case):
    SEED = {"secrets": [], "keys": [
        {"id": "key_xyz789", "name": "signing/main", "algorithm": "Ed25519",
         "keyMaterial": base64.b64encode(bytes(32)).decode(), "version": 4},
        {"id": "hm", "name": "mac", "algorithm": "HMAC"},
    ]}
    PUBLIC = bytes.fromhex("3b6a27bcceb6a42d62a3a8d02a6f0d73"
                           "653215771de243a63ac048a18b59da29")

    def test_json_is_the_objects_form_and_the_default(self):
        for r in ("qapi://keys/signing/main/public",
                  "qapi://keys/key_xyz789/public?format=json"):
            o = json.loads(self.get(r))
            self.assertEqual(base64.b64decode(o["publicKey"]), self.PUBLIC)
            self.assertEqual(o["algorithm"], "Ed25519")
            self.assertEqual(o["version"], 4)

    def test_raw_and_der_are_bytes(self):
        base = "qapi://keys/signing/main/public?format="
        self.assertEqual(self.get(base + "raw"), self.PUBLIC)
        got = self.get(base + "der")
        self.assertEqual(got[-32:], self.PUBLIC)
        p = subprocess.run(["openssl", "pkey", "-pubin", "-inform", "DER",
                            "-pubout", "-outform", "DER"], input=got,
                           capture_output=True, check=False)
        self.assertEqual(p.stdout, got, p.stderr)

    def test_pem_and_jwk(self):
        base = "qapi://keys/signing/main/public?format="
        pem = self.get(base + "pem").decode()
        self.assertEqual(der(pem), self.get(base + "der"))
        jwk = json.loads(self.get(base + "jwk"))
        self.assertEqual((jwk["kty"], jwk["crv"]), ("OKP", "Ed25519"))
        self.assertEqual(base64.urlsafe_b64decode(jwk["x"] + "="),
                         self.PUBLIC)

    def test_bytes_that_are_no_utf8_are_base64_in_json(self):
        o = self.get_json("qapi://keys/signing/main/public?format=raw")
        self.assertNotIn("value", o)
        self.assertEqual(base64.b64decode(o["valueBase64"]), self.PUBLIC)

    def test_keys_are_cached_too(self):
        r = "qapi://keys/key_xyz789/public?format=pem"
        self.get(r)
        self.sandbox.forget()
        self.get(r)
        self.assertEqual(self.sandbox.total, 0)

    def test_unknown_key_is_not_found(self):
        self.fails(3, "get", "qapi://keys/nope/public")


class Versions(Case):
    SEED = {"secrets": [secret(
        "s", "versioned", "value v7", version=7,
        history=[{"version": 6, "value": "value v6"},
                 {"version": 5, "value": "value v5"}])]}
    CONF = {"cache": {"refresh-interval": "200ms"}}

    def test_version_pins_an_older_value(self):
        self.assertEqual(self.get(ref("versioned", version=6)), b"value v6")
        self.assertEqual(self.get(ref("versioned", version=5)), b"value v5")
        self.assertEqual(self.get(ref("versioned", version=7)), b"value v7")
        self.assertEqual(self.get("versioned"), b"value v7")
        o = self.get_json(ref("versioned", version=6))
        self.assertEqual((o["version"], o["value"]), (6, "value v6"))

    def test_option_version_is_the_same_as_the_parameter(self):
        for v in (5, 6, 7):
            self.assertEqual(self.get("versioned", "--version", str(v)),
                             f"value v{v}".encode())
        self.assertEqual(self.get("versioned", "--version=6", "--field",
                                  "name"), b"versioned")
        self.fails(2, "get", "versioned", "--version", "new",
                   saying="--version")

    def test_pinned_version_is_fetched_once(self):
        self.get(ref("s", version=6))
        self.get(ref("versioned", version=6))
        self.assertEqual(self.sandbox.reads("s"), 1)
        self.sandbox.rotate("s", "value v8")
        # An unpinned read that is refreshed marks the time that has passed.
        self.wait(lambda: self.get("versioned") == b"value v8",
                  "the newest value was refreshed")
        self.sandbox.forget()
        self.wait(lambda: self.sandbox.total >= 3, "three intervals passed")
        self.assertEqual(self.get(ref("versioned", version=6)), b"value v6")
        log = self.sandbox.control("GET", "/log")["requests"]
        self.assertEqual([e for e in log if "version=" in str(e["query"])],
                         [])
        self.sandbox.stop()
        o = self.get_json(ref("versioned", version=6))
        self.assertEqual(o["value"], "value v6")

    def test_pinned_version_goes_with_the_secret(self):
        self.get(ref("s", version=6))
        self.get("s")
        self.sandbox.api("DELETE", "/secrets/s")
        self.wait(lambda: self.helper("get", "s").status == 3,
                  "the secret is seen to be gone")
        self.fails(3, "get", ref("s", version=6))

    def test_unknown_version_is_not_found(self):
        self.fails(3, "get", ref("s", version=4))
        self.assertEqual(self.get("s"), b"value v7")


if __name__ == "__main__":
    harness.main()
