#!/usr/bin/env python3
"""libqapi-agent as a program outside of the tree uses it: the installed
header and pkg-config file, and library.c (contract 1)."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import unittest

import harness
from harness import Case, secret

STAGE = None
PROGRAM = None
CPP_PROGRAM = None      # library.cc, if there is a compiler of C++
FLAGS = []
LIBDIR = ""


def setUpModule():
    """Install the library into a stage and build library.c against it."""
    global STAGE, PROGRAM, CPP_PROGRAM, FLAGS, LIBDIR
    if harness.SANITIZED:
        raise unittest.SkipTest("a library with sanitizers needs a program "
                                "with them")
    if not os.path.exists(os.path.join(harness.BUILD, "client", "Makefile")):
        raise unittest.SkipTest("no build tree of automake's")
    STAGE = tempfile.mkdtemp(prefix="qi-lib-")
    unittest.addModuleCleanup(shutil.rmtree, STAGE)
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    p = subprocess.run(
        ["make", "-C", os.path.join(harness.BUILD, "client"), "install",
         "DESTDIR=" + STAGE], capture_output=True, text=True, check=False,
        env=env)
    if p.returncode != 0:
        raise AssertionError("make install: " + p.stdout + p.stderr)
    pc = find("qapi-agent.pc")
    LIBDIR = os.path.dirname(find("libqapi-agent.so"))
    env.update(PKG_CONFIG_PATH=os.path.dirname(pc),
               PKG_CONFIG_SYSROOT_DIR=STAGE,
               PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1",
               PKG_CONFIG_ALLOW_SYSTEM_LIBS="1")
    FLAGS = shlex.split(subprocess.run(
        ["pkg-config", "--cflags", "--libs", "qapi-agent"], env=env,
        capture_output=True, text=True, check=True).stdout)
    PROGRAM = os.path.join(STAGE, "library")
    cc("-o", PROGRAM, os.path.join(harness.HERE, "library.c"), "-pthread",
       *FLAGS)
    if shutil.which("c++") is not None:
        CPP_PROGRAM = os.path.join(STAGE, "library-cpp")
        cc("-std=c++17", "-pedantic", "-o", CPP_PROGRAM,
           os.path.join(harness.HERE, "library.cc"), *FLAGS,
           compiler=["c++"])


def find(name):
    for directory, _, names in os.walk(STAGE):
        if name in names:
            return os.path.join(directory, name)
    raise AssertionError(name + " was not installed")


def cc(*args, compiler=None):
    compiler = compiler or shlex.split(os.environ.get("CC", "cc"))
    p = subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", *args],
                       capture_output=True, text=True, check=False)
    if p.returncode != 0:
        raise AssertionError(p.stderr)


class Installed(unittest.TestCase):
    def test_header_compiles_alone_strictly_and_as_cpp(self):
        includes = [f for f in FLAGS if f.startswith("-I")]
        with tempfile.TemporaryDirectory() as d:
            for name, compiler, *options in (
                    ("a.c", ["cc"], "-std=c99", "-pedantic", "-Wconversion"),
                    ("b.c", ["cc"], "-std=c11", "-pedantic"),
                    ("c.cc", ["c++"], "-std=c++11", "-pedantic")):
                if shutil.which(compiler[0]) is None:
                    continue
                path = os.path.join(d, name)
                with open(path, "w", encoding="ascii") as f:
                    f.write("#include <qapi-agent.h>\n"
                            "#include <qapi-agent.h>\n"
                            "int main(void) { return 0; }\n")
                cc("-fsyntax-only", *options, *includes, path,
                   compiler=compiler)

    def test_every_function_of_the_header_is_exported_and_nothing_else(self):
        with open(find("qapi-agent.h"), encoding="utf-8") as f:
            text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
        declared = set(re.findall(r"\b(qapi_agent_\w+)\(", text))
        out = subprocess.run(
            ["nm", "-D", "--defined-only", find("libqapi-agent.so")],
            capture_output=True, text=True, check=True).stdout
        exported = {line.split()[2].split("@")[0]
                    for line in out.splitlines()
                    if line.split()[1] in "TDBRW"}
        self.assertEqual(exported, declared)
        self.assertTrue(all(n.startswith("qapi_agent_") for n in exported))
        # versioned exports
        self.assertRegex(out, r"qapi_agent_get@@\w+")

    def needed(self, path):
        out = subprocess.run(["readelf", "-d", path], capture_output=True,
                             text=True, check=True).stdout
        return set(re.findall(r"NEEDED.*\[(.*)\]", out))

    def test_library_depends_on_libc_alone(self):
        self.assertEqual(self.needed(find("libqapi-agent.so")),
                         {"libc.so.6"})

    def test_helper_needs_only_libc_and_the_library(self):
        got = self.needed(harness.AGENT)
        self.assertLessEqual(got, {"libc.so.6", "libqapi-agent.so.0"})

    def test_pkg_config_name_and_version(self):
        with open(find("qapi-agent.pc"), encoding="utf-8") as f:
            text = f.read()
        self.assertRegex(text, r"(?m)^Version: \d+\.\d+\.\d+$")
        self.assertNotRegex(text, r"(?m)^Requires:.*\S.*(curl|jansson|event)")


class Library(Case):
    SEED = {"secrets": [
        secret("a", "db/a", "value of a"), secret("b", val="value of b"),
        secret("nul", val="nul \0 in it"), secret("empty", val=""),
        secret("old", expiresAt="2020-01-01T00:00:00Z"),
        secret("later", val="value of later",
               expiresAt="2099-01-01T00:00:00Z"),
        secret("twin-1", "twin"), secret("twin-2", "twin")],
        "keys": [{"id": "k1", "name": "sign", "algorithm": "Ed25519"}]}

    def env(self):
        return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": LIBDIR,
                "QAPI_AGENT_SOCK": self.socket}

    def run_it(self, *args, **kw):
        p = subprocess.run([PROGRAM, *args], capture_output=True, check=False,
                           env=self.env(), timeout=harness.LONG * 2, **kw)
        self.assertEqual(self.leaks(p.stderr, "the library's messages"), [])
        return p

    def lib(self, *args):
        p = self.run_it(*args)
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        return p.stdout

    def fails(self, error, *args):
        p = self.run_it(*args)
        self.assertEqual(p.returncode, 1)
        self.assertTrue(p.stderr.decode().startswith(error + ": "), p.stderr)
        return p.stderr.decode()

    def test_get(self):
        self.assertEqual(self.lib("get", "qapi://secrets/db/a"),
                         b"value of a")
        self.assertEqual(self.lib("get", "qapi://secrets/nul"),
                         b"nul \0 in it")
        self.assertEqual(self.lib("get", "qapi://secrets/empty"), b"")

    def test_item_has_all_that_is_known(self):
        out = self.lib("item", "qapi://secrets/later").decode()
        lines = dict(line.split(" ", 1) for line in out.splitlines())
        self.assertEqual(lines["ref"], "qapi://secrets/later")
        self.assertEqual((lines["id"], lines["name"]), ("later", "later"))
        self.assertEqual(lines["freshness"], "fresh")
        self.assertEqual(lines["expires"], "4070908800000")
        self.assertEqual((lines["error"], lines["message"]), ("0", "[]"))
        self.assertRegex(lines["build"], r"^qapi-agentd \d")
        self.assertEqual(lines["protocol"], "1")
        self.assertEqual(lines["young"], "1")

    def test_errors_have_names_and_sentences(self):
        self.fails("not-found", "get", "qapi://secrets/nope")
        self.fails("expired", "get", "qapi://secrets/old")
        text = self.fails("ambiguous", "get", "qapi://secrets/twin")
        self.assertIn("twin-1", text)
        self.assertIn("twin-2", text)
        self.fails("bad-request", "get", "qapi://secrets/%")

    def test_batch_answers_each_and_fails_each_alone(self):
        out = self.lib("many", "qapi://secrets/b", "qapi://secrets/nope",
                       "qapi://secrets/db/a", "qapi://secrets/old",
                       "qapi://secrets/%")
        self.assertEqual(out, b"value of b\n!not-found\nvalue of a\n"
                         b"!expired\n!bad-request\n")

    def test_batch_of_more_than_one_request_holds(self):
        refs = ["qapi://secrets/b", "qapi://secrets/db/a"] * 400
        self.assertEqual(self.lib("many", *refs),
                         b"value of b\nvalue of a\n" * 400)
        self.assertEqual(self.sandbox.reads("b"), 1)

    def test_list(self):
        self.lib("get", "qapi://secrets/b")
        rows = [line.split(" ") for line in
                self.lib("list", "0").decode().splitlines()]
        self.assertIn(["1", "a", "db/a", ""], rows)
        self.assertIn(["1", "b", "b", "fresh"], rows)
        self.assertIn(["2", "k1", "sign", ""], rows)
        self.assertEqual(len(self.lib("list", "2").splitlines()), 1)
        self.assertEqual(len(self.lib("list", "1").splitlines()), 8)

    def test_status(self):
        self.lib("get", "qapi://secrets/b")
        stats = dict(line.split("=", 1) for line in
                     self.lib("status").decode().splitlines())
        self.assertEqual(stats["pid"], str(self.agent.pid))
        self.assertEqual(stats["upstream.state"], "ok")
        self.assertEqual(stats["cache.secrets"], "1")

    def test_refresh_and_invalidate(self):
        self.lib("get", "qapi://secrets/b")
        self.sandbox.set("b", value="second value of b", version=2)
        self.assertEqual(self.lib("refresh", "qapi://secrets/b",
                                  "qapi://secrets/nope"),
                         b"ok\n!not-found\n")
        self.sandbox.forget()
        self.assertEqual(self.lib("get", "qapi://secrets/b"),
                         b"second value of b")
        self.assertEqual(self.sandbox.total, 0)
        self.assertEqual(self.lib("invalidate", "qapi://secrets/b"), b"ok\n")
        self.assertEqual(self.lib("invalidate", "qapi://secrets/b"),
                         b"!not-found\n")
        self.lib("get", "qapi://secrets/b")
        self.assertEqual(self.sandbox.reads("b"), 1)

    def test_refresh_all_and_invalidate_all(self):
        self.lib("many", "qapi://secrets/b", "qapi://secrets/db/a")
        self.assertEqual(self.lib("refresh-all"), b"2 0\n")
        self.assertEqual(self.lib("invalidate-all"), b"2\n")
        self.assertEqual(self.status()["cache"]["secrets"], 0)

    def test_terms(self):
        self.fails("upstream-unavailable", "terms", "cached",
                   "qapi://secrets/b")
        self.assertEqual(self.sandbox.total, 0)
        self.lib("get", "qapi://secrets/b")
        self.sandbox.set("b", value="second value of b", version=2)
        self.assertEqual(self.lib("terms", "cached", "qapi://secrets/b"),
                         b"fresh value of b")
        self.assertEqual(self.lib("terms", "fresh", "qapi://secrets/b"),
                         b"fresh second value of b")
        self.sandbox.stop()
        self.assertEqual(self.lib("terms", "age=0", "qapi://secrets/b"),
                         b"stale second value of b")
        self.fails("upstream-unavailable", "terms", "age=0", "stale=0",
                   "qapi://secrets/b")
        self.fails("upstream-unavailable", "terms", "fresh",
                   "qapi://secrets/b")

    def test_timeout_is_kept(self):
        self.sandbox.fault("*", action="hang")
        began = time.monotonic()
        self.assertEqual(self.lib("timeout", "400", "qapi://secrets/b"),
                         b"timeout\n")
        self.assertLess(time.monotonic() - began, 1.5)

    def test_unreachable_agent(self):
        self.assertEqual(self.agent.stop(), 0)
        for mode in (("get", "qapi://secrets/b"), ("ping",), ("status",),
                     ("list", "0"), ("many", "qapi://secrets/b")):
            p = self.run_it(*mode)
            self.assertEqual(p.returncode, 1, mode)
            self.assertIn(self.socket, p.stderr.decode())

    def test_connection_is_made_anew_when_the_agent_was_restarted(self):
        with subprocess.Popen([PROGRAM, "twice", "qapi://secrets/b"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=self.env()) as p:
            self.assertEqual(p.stdout.readline(), b"value of b\n")
            self.restart_agent()
            p.stdin.write(b"\n")
            p.stdin.flush()
            self.assertEqual(p.stdout.read(), b"value of b")
            self.assertEqual(p.wait(harness.LONG), 0)

    def test_handles_of_several_threads(self):
        self.assertEqual(self.lib("threads", "16", "qapi://secrets/b"),
                         b"0\n")
        self.assertEqual(self.sandbox.reads("b"), 1)

    def test_null_and_nonsense_arguments(self):
        self.assertEqual(self.lib("nulls"), b"0\n")

    def test_no_leak_and_no_value_left_under_valgrind(self):
        if shutil.which("valgrind") is None:
            self.skipTest("no valgrind")
        p = subprocess.run(
            ["valgrind", "-q", "--leak-check=full", "--error-exitcode=99",
             PROGRAM, "many", "qapi://secrets/b", "qapi://secrets/nope"],
            capture_output=True, check=False, env=self.env(),
            timeout=harness.LONG * 3)
        self.assertEqual(p.returncode, 0, p.stderr)

    def test_values_are_the_same_as_the_helpers(self):
        for name in ("db/a", "b", "nul", "empty"):
            r = "qapi://secrets/" + name
            self.assertEqual(self.lib("get", r), self.get(r))
            o = json.loads(self.ok("get", "--json", r))
            self.assertEqual(o["value"].encode(), self.lib("get", r))


class Cpp(Case):
    """library.cc: C++, and requests in an event loop."""

    SEED = {"secrets": [secret("a", "db/a", "value of a"),
                        secret("b", val="value of b")],
            "keys": [{"id": "k", "name": "enc", "keyType": "encryption",
                      "algorithm": "AES-256-GCM", "isDefault": True}]}
    A, B = "qapi://secrets/db/a", "qapi://secrets/b"

    def setUp(self):
        if CPP_PROGRAM is None:
            self.skipTest("no compiler of C++")
        super().setUp()

    def start_it(self, *args):
        env = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": LIBDIR,
               "QAPI_AGENT_SOCK": self.socket}
        p = subprocess.Popen([CPP_PROGRAM, *args], env=env, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.stdin.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def run_it(self, *args, status=0):
        p = self.start_it(*args)
        out = p.stdout.read()
        self.assertEqual(p.wait(harness.LONG), status)
        return out

    def test_header_links_and_values_come(self):
        self.assertEqual(self.run_it("get", self.A, self.B),
                         "value of a\nvalue of b\n")

    def test_requests_in_an_event_loop(self):
        none = "qapi://secrets/none"
        lines = self.run_it("loop", self.A, none, self.B, "x://").split("\n")
        self.assertEqual(sorted(lines), sorted([
            f"{self.A}=value of a", f"{self.B}=value of b",
            f"{none}!not-found", "x://!bad-request", ""]))

    def test_slow_one_does_not_hold_up_the_others(self):
        self.run_it("get", self.B)
        self.sandbox.fault("/secrets/a*", latencyMs=300)
        self.sandbox.fault("/secrets?*", latencyMs=300)
        lines = self.run_it("loop", self.A, self.B).splitlines()
        self.assertEqual(lines, [f"{self.B}=value of b",
                                 f"{self.A}=value of a"])

    def test_requests_go_on_after_a_restart_of_the_agent(self):
        p = self.start_it("again", self.A)
        self.assertEqual(p.stdout.readline(), f"{self.A}=value of a\n")
        self.restart_agent()
        p.stdin.write("\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), f"{self.A}=value of a\n")
        self.assertEqual(p.wait(harness.LONG), 0)

    def test_agent_that_is_not_there(self):
        self.assertEqual(self.agent.stop(), 0)
        self.assertEqual(self.run_it("loop", self.A),
                         f"{self.A}!unreachable\n")

    def test_watch_by_steps(self):
        p = self.start_it("watch", self.A)
        self.assertEqual(p.stdout.readline(), "watched\n")
        self.sandbox.rotate("a", "another value of a")
        self.ok("refresh", self.A)
        self.assertEqual(p.stdout.readline(), "changed\n")
        self.assertEqual(p.wait(harness.LONG), 0)

    def test_call(self):
        self.assertEqual(self.run_it("call", "GET", "/roles"), "200\n[]")
        self.assertTrue(self.run_it("call", "GET", "/roles/none")
                        .startswith("404\n{"))
        out = self.run_it("call", "POST", "/roles", '{"name": "viewer"}')
        self.assertEqual(out[:4], "201\n")
        self.assertEqual(json.loads(out[4:])["name"], "viewer")

    def test_seal_and_open(self):
        value = "seal me " * 20000
        self.sandbox.set("b", value=value)
        self.assertEqual(self.run_it("seal", self.B), value)


if __name__ == "__main__":
    harness.main()
