#!/usr/bin/env python3
"""API keys that change: two files, rotation, revocation, another tenant
(issue 4, part 5); names that do not resolve (part 4)."""

import os
import random
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import Case, secret

CHECK = 5       # seconds between two looks at the files
PATIENCE = 4 * CHECK
UUID = "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"


def new_key():
    return "qapi_" + os.urandom(20).hex()


class Keys(Case):
    """Secrets of one tenant, and another one who has one of the same name."""
    AUTO = False
    SEED = {"secrets": [secret("sec-a", "a"), secret("sec-b", "b"),
                        secret("sec-c", "c"), secret("sec-d", "d"),
                        secret(UUID, "e")],
            "tenants": {"other": {"secrets": [secret("sec-x", "a"),
                                              secret("sec-y", "y")]}}}
    CONF = {"cache": {"unauthorized-grace": "1m"}}

    def setUp(self):
        super().setUp()
        self.other_path = os.path.join(self.dir, "other-key")
        for s in self.SEED["tenants"]["other"]["secrets"]:
            self.note_private(s["value"])

    def both(self):
        """The setting for a roll-over."""
        return {"upstream": {
            "api-key-file": f"{self.key_path}, {self.other_path}"}}

    def grant(self, key=None, scopes=("*",), tenant=None):
        """A key that the service knows."""
        key = key or new_key()
        self.private.add(key)
        self.sandbox.control("PUT", "/api-keys/" + key, {
            "scopes": list(scopes), **({"tenant": tenant} if tenant else {})})
        return key

    def revoke(self, key=None):
        self.sandbox.control("DELETE", "/api-keys/" + (key or self.key))

    def value_of(self, secret_id, tenant=None):
        seed = self.SEED["tenants"][tenant] if tenant else self.SEED
        return next(s["value"] for s in seed["secrets"]
                    if s["id"] == secret_id)

    def get_text(self, name):
        return self.get(name).decode()

    def logged(self, text, count=1):
        self.wait(lambda: self.agent.log().count(text) >= count,
                  f"it logs {text!r}", PATIENCE)

    def reload(self):
        before = self.agent.log().count("configuration read again")
        self.agent.proc.send_signal(signal.SIGHUP)
        self.logged("configuration read again", before + 1)

    def assert_kept(self, *names):
        """Still cached: nothing is asked for them."""
        self.sandbox.forget()
        for name in names:
            self.assertEqual(self.get_json(name)["freshness"], "fresh")
        self.assertEqual(self.sandbox.total, 0)

    # -- rotation --

    def test_new_key_is_taken_over_without_sighup_and_keeps_the_cache(self):
        self.start()
        self.get("a")
        self.get("b")
        new = self.grant()
        self.write_key(new)
        self.logged("in force now")
        self.assert_kept("a", "b")
        self.revoke()
        self.get("a", "--fresh")
        self.assertEqual(self.status()["upstream"]["state"], "ok")

    def test_file_written_in_place_is_seen(self):
        self.start()
        self.get("a")
        for count in (1, 2):
            new = self.grant()
            with open(self.key_path, "r+", encoding="ascii") as f:
                f.write(new)
            self.logged("in force now", count)
        self.assert_kept("a")

    def test_link_that_is_replaced_as_kubernetes_does_is_seen(self):
        new = new_key()
        volume = os.path.join(self.dir, "volume")
        for name, key in (("..1", self.key), ("..2", new)):
            os.makedirs(os.path.join(volume, name), 0o755)
            self.write_key(key, os.path.join(volume, name, "api-key"))
        os.symlink("..1", os.path.join(volume, "..data"))
        os.symlink("..data/api-key", os.path.join(volume, "api-key"))
        self.start({"upstream": {
            "api-key-file": os.path.join(volume, "api-key")}})
        self.get("a")
        self.grant(new)
        os.symlink("..2", os.path.join(volume, "..next"))
        os.rename(os.path.join(volume, "..next"),
                  os.path.join(volume, "..data"))
        self.logged("in force now")
        self.assert_kept("a")

    def test_credential_of_the_service_manager_is_watched_too(self):
        directory = os.path.join(self.dir, "credentials")
        os.mkdir(directory, 0o700)
        path = os.path.join(directory, "api-key")
        self.write_key(self.key, path)
        self.start({"upstream": {"api-key-file": None}},
                   env={"CREDENTIALS_DIRECTORY": directory})
        self.get("a")
        self.write_key(self.grant(), path)
        self.logged("in force now")
        self.assert_kept("a")

    def test_sighup_looks_at_once(self):
        self.start()
        self.get("a")
        self.write_key(self.grant())
        self.reload()
        self.logged("in force now")
        self.assert_kept("a")

    def test_old_key_that_is_revoked_at_once_is_not_noticed(self):
        self.start()
        self.get("a")
        self.write_key(self.grant())
        self.revoke()
        self.assertEqual(self.get_text("b"), self.value_of("sec-b"))
        self.assertNotIn("refuses the API key", self.agent.log())
        self.assert_kept("a")

    # -- two files --

    def test_first_of_two_files_that_works_is_used(self):
        self.start_sandbox()
        good = self.grant()
        bad = new_key()
        self.private.add(bad)
        self.write_key(bad)
        self.write_key(good, self.other_path)
        self.start_agent(self.both())
        self.assertEqual(self.get_text("a"), self.value_of("sec-a"))

    def test_file_that_is_not_there_yet_is_passed_over(self):
        self.start_sandbox()
        self.write_key(self.key, self.other_path)
        # start_agent() would write it
        self.write_key()
        conf = self.both()
        os.rename(self.key_path, self.key_path + ".later")
        conf["upstream"]["api-key-file"] = \
            f"{self.key_path}.soon,{self.other_path}"
        self.start_agent(conf)
        self.get("a")
        new = self.grant()
        self.write_key(new, self.key_path + ".soon")
        self.logged("in force now")
        self.revoke()
        self.get("a", "--fresh")

    def test_roll_over_with_two_files_fails_no_read(self):
        self.start(self.both())
        self.get("a")
        new = self.grant()
        self.write_key(new, self.other_path)
        self.get("b")
        self.revoke()
        for name in "cdab":
            self.get(name, "--fresh")
        self.assertEqual(self.status()["upstream"]["state"], "ok")
        self.assertIn("in force now", self.agent.log())

    def test_both_refused_is_unauthorized(self):
        self.start(self.both())
        self.get("a")
        bad = new_key()
        self.private.add(bad)
        self.write_key(bad, self.other_path)
        self.revoke()
        self.assert_error("unauthorized", 4, "get", "b")
        self.assertEqual(self.get_text("a"), self.value_of("sec-a"))
        # and a good one ends it, before the grace does
        self.write_key(self.grant())
        self.wait(lambda: self.helper("get", "b").status == 0,
                  "it works again", PATIENCE)
        self.assert_kept("a")

    # -- a bad one --

    def test_bad_file_leaves_the_old_one_in_force(self):
        self.start()
        self.get("a")
        self.write_key("two words")
        self.logged("one API key")
        self.get("a", "--fresh")
        # nor is anything else of a new configuration taken over
        self.agent.proc.send_signal(signal.SIGHUP)
        self.logged("reload failed: ")
        self.get("a", "--fresh")
        os.chmod(self.key_path, 0o644)
        self.logged("others can access it")
        self.get("a", "--fresh")
        os.unlink(self.key_path)
        self.logged("no such file")
        self.get("a", "--fresh")

    def test_refused_key_leaves_the_old_one_in_force(self):
        self.start()
        self.get("a")
        bad = new_key()
        self.private.add(bad)
        self.write_key(bad)
        self.reload()
        self.logged("refuses the API key in it")
        self.get("a", "--fresh")
        self.assert_kept("a")

    # -- another tenant --

    def test_other_tenants_key_drops_the_cache(self):
        self.start()
        old, new = self.value_of("sec-a"), self.value_of("sec-x", "other")
        self.assertEqual(self.get_text("a"), old)
        self.get("b")
        self.get("c")
        self.write_key(self.grant(tenant="other"))
        self.agent.proc.send_signal(signal.SIGHUP)
        seen = []

        def is_other():
            seen.append(self.get_text("a"))
            return seen[-1] == new
        self.wait(is_other, "the other tenant's value comes", PATIENCE)
        self.assertLessEqual(set(seen), {old, new})
        self.assertEqual(seen.count(new), 1)
        self.assertIn("another tenant's", self.agent.log())
        # whatever was asked for by then is gone for good
        self.fails(3, "get", "sec-a")
        self.fails(3, "get", "b")
        self.fails(6, "get", "c", "--offline", saying="not cached")
        self.assertEqual(self.get_text("a"), new)
        listed = self.ok("list", "secrets").decode()
        self.assertIn("sec-x", listed)
        self.assertNotIn("sec-b", listed)

    def test_old_values_are_served_while_the_new_key_is_asked_about(self):
        self.start()
        self.get("a")
        self.write_key(self.grant(tenant="other"))
        hang = self.sandbox.fault("/secrets/sec-a", action="hang")
        self.agent.proc.send_signal(signal.SIGHUP)
        self.wait(lambda: self.sandbox.hits(hang) > 0, "it is asked about")
        for _ in range(5):
            self.assertEqual(self.get_json("a")["value"],
                             self.value_of("sec-a"))
        self.sandbox.clear()
        self.wait(lambda: self.get_text("a") ==
                  self.value_of("sec-x", "other"), "the new one is in force",
                  PATIENCE)

    def test_listing_that_was_under_way_is_none_of_the_old_tenants(self):
        self.start()
        self.get(UUID)      # needs no listing
        self.sandbox.fault("/secrets", latencyMs=2000, times=1)
        listed = []
        t = threading.Thread(target=lambda: listed.append(
            self.ok("list", "secrets").decode()))
        t.start()
        self.wait(lambda: self.sandbox.listings > 0, "it is asked for")
        self.write_key(self.grant(tenant="other"))
        self.agent.proc.send_signal(signal.SIGHUP)
        self.logged("another tenant's")
        t.join()
        self.assertIn("sec-x", listed[0])
        self.assertNotIn("sec-b", listed[0])

    def test_key_that_may_not_read_drops_the_cache_and_says_so(self):
        self.start()
        self.get("a")
        self.write_key(self.grant(scopes=["keys:read"]))
        self.reload()
        self.logged("may not read what is cached")
        self.assertIn("secrets:read", self.agent.log())
        self.assert_error("insufficient-scope", 4, "get", "sec-a")

    def test_service_that_is_away_leaves_the_old_one_until_it_is_back(self):
        self.start_sandbox()
        new = new_key()
        self.private.add(new)
        self.sandbox.seed["apiKeys"].append({"key": new, "scopes": ["*"]})
        self.start_agent({"cache": {"refresh-interval": "1s"}})
        self.get("a")
        self.sandbox.stop()
        self.write_key(new)
        self.reload()
        self.logged("the one in force stays so")
        self.assertEqual(self.get_text("a"), self.value_of("sec-a"))
        self.sandbox.start()
        self.logged("in force now")
        self.revoke()
        self.get("a", "--fresh")

    def test_nothing_cached_needs_no_proof(self):
        self.start()
        self.write_key(self.grant(tenant="other"))
        self.revoke()
        self.assertEqual(self.get_text("a"), self.value_of("sec-x", "other"))
        self.assertNotIn("another tenant's", self.agent.log())


class Refusals(Case):
    """403 about one thing, and a used-up quota: each says what it is."""
    SEED = {"secrets": [secret("sec-a", "a"), secret("sec-b", "b")],
            "keys": [{"id": "key-1", "name": "signing",
                      "algorithm": "Ed25519"}]}
    PUBLIC = "qapi://keys/key-1/public"

    def dropped(self, ref, saying, **fault):
        """It was cached, the service refuses it, and it is gone."""
        self.get(ref)
        self.sandbox.fault(status=403, **fault)
        self.fails(4, "get", ref, "--fresh", saying=saying)
        self.assertNotEqual(self.helper("get", ref, "--offline").status, 0)
        self.sandbox.clear()
        # about that one thing, not about the caller's rights
        self.get("b")
        self.assertEqual(self.status()["upstream"]["state"], "ok")

    def test_revoked_key_is_said(self):
        self.dropped(self.PUBLIC, "the key is revoked",
                     path="/keys/key-1/public", error="key_revoked")
        self.assertNotIn("refuses the API key", self.agent.log())

    def test_version_below_the_minimum_is_said(self):
        self.dropped(self.PUBLIC, "below the lowest that may be used",
                     path="/keys/key-1/public",
                     error="key_version_below_minimum")

    def test_insufficient_scope_names_the_scope(self):
        self.dropped("a", "lacks the scope secrets:read",
                     path="/secrets/sec-a", body={
                         "error": "insufficient_scope", "message": "no",
                         "details": {"requiredScope": "secrets:read"}})

    def test_used_up_quota_is_said(self):
        self.sandbox.fault(status=429, error="quota_exceeded",
                           retryAfter=2000000)
        self.fails(6, "get", "sec-a", saying="quota")


class Settings(Case):
    AUTO = False

    def test_check_judges_each_path_of_the_list(self):
        for text, part in (("/a,b", "absolute"), ("/a,", "commas"),
                           (",".join(f"/{i}" for i in range(9)), "at most 8")):
            with self.subTest(text):
                harness.write_conf(self.conf_path, [
                    ("upstream", {"api-key-file": text})])
                p = self.run_check()
                self.assertEqual(p.returncode, 1)
                self.assertIn(part, p.stderr + p.stdout)
                self.assertIn(self.conf_path + ":2", p.stderr + p.stdout)
        harness.write_conf(self.conf_path, [
            ("upstream", {"api-key-file": "/a , /b"})])
        self.assertEqual(self.run_check().returncode, 0)

    def run_check(self):
        return subprocess.run(
            [harness.AGENTD, "-c", self.conf_path, "--check"],
            capture_output=True, text=True, timeout=harness.LONG,
            check=False)


@harness.needs_root
class DeadResolver(Case):
    """A name server that takes queries and never answers."""
    AUTO = False

    MOUNT = ("mount --bind \"$0\" /etc/resolv.conf && "
             "mount --bind \"$1\" /etc/nsswitch.conf && shift && exec \"$@\"")

    def setUp(self):
        super().setUp()
        self.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.dns.close)
        address = f"127.{random.randint(64, 254)}." \
                  f"{random.randint(1, 254)}.53"
        try:
            self.dns.bind((address, 53))
        except OSError as e:
            self.skipTest(f"no port for a name server: {e}")
        self.dns.settimeout(harness.LONG)
        files = []
        for name, text in (("resolv.conf", f"nameserver {address}\n"),
                           ("nsswitch.conf", "hosts: files dns\n")):
            files.append(os.path.join(self.dir, name))
            with open(files[-1], "w", encoding="ascii") as f:
                f.write(text)
        prefix = ["unshare", "-m", "sh", "-c", self.MOUNT, *files]
        if os.system("unshare -m true 2>/dev/null") != 0:
            self.skipTest("no mount namespaces")
        self.start_agent({"upstream": {
            "url": "https://service.test/api/v1", "connect-timeout": "4s",
            "request-timeout": "20s"}}, prefix=prefix)

    def test_loop_goes_on_while_a_name_is_looked_up(self):
        w = self.wire()
        rid = w.send_get("qapi://secrets/sec-a")
        self.assertIn(b"service", self.dns.recv(512))   # it is asked for
        # Others are answered, before the one that waits for the name.
        self.wire().ping()
        self.assertEqual(self.status()["upstream"]["state"], "unknown")
        self.fails(7, "get", "sec-b", "--timeout", "300ms")
        with self.assertRaises((TimeoutError, socket.timeout)):
            w.recv(timeout=0.01)
        r = w.recv_for(rid)
        self.assertEqual(r.error, "upstream-unavailable")
        self.assertIn("no connection to service.test within 4000 ms",
                      repr(r))

    def test_deadline_of_a_caller_holds(self):
        r = self.fails(7, "get", "sec-a", "--timeout", "500ms")
        self.assertLess(r.seconds, 3)   # the resolver itself takes 10 s

    def test_stop_does_not_wait_for_the_resolver(self):
        self.wire().send_get("qapi://secrets/sec-a")
        self.dns.recv(512)
        began = time.monotonic()
        self.assertEqual(self.agent.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    harness.main()
