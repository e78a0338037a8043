#!/usr/bin/env python3
"""The command qapi-agent (contract 4)."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import harness
from harness import Case, secret

SEED = {"secrets": [
    secret("a", "db/a", "value of secret a", username="user of a"),
    secret("b", val="value of secret b"),
    secret("multi", val="line one\nline two\n"),
    secret("nul", val="nul \0 in the middle"),
    secret("empty", val=""),
    secret("quote", val="$HOME `id` \"'\\ ; rm -rf /"),
    secret("big", val="0123456789abcdef" * 4096),
    secret("huge", val="0123456789abcdef" * 8192),
    secret("old", expiresAt="2020-01-01T00:00:00Z"),
    secret("twin-1", "twin"), secret("twin-2", "twin"),
], "keys": [{"id": "k1", "name": "signing", "algorithm": "Ed25519"}]}

COMMANDS = ("get", "list", "run", "refresh", "purge", "status", "ping",
            "pubkey", "encrypt", "decrypt", "sign", "verify", "call",
            "secret", "watch", "reject", "explain", "drill", "top", "metrics")


class Usage(Case):
    AUTO = False

    def test_every_command_has_help(self):
        out = self.ok("--help").decode()
        for command in COMMANDS:
            self.assertRegex(out, rf"(?m)^\s+{command}\b")
            text = self.ok(command, "--help").decode()
            self.assertIn(f"qapi-agent {command}", text)
            self.assertIn("--socket", text)
            self.assertIn("--timeout", text)
        for option in ("--field", "--max-age", "--fresh", "--offline", "-o",
                       "--json", "--max-stale", "-0"):
            self.assertIn(option, self.ok("get", "--help").decode())
        for option in ("--env", "--env-file", "--file"):
            self.assertIn(option, self.ok("run", "--help").decode())

    def test_version(self):
        self.assertRegex(self.ok("--version").decode(),
                         r"^qapi-agent \d+\.\d+")

    def test_usage_errors_exit_2(self):
        for args in ((), ("get",), ("get", "--timeout", "soon", "x"),
                     ("get", "--timeout"), ("get", "--json=yes", "x"),
                     ("list", "things"), ("list", "secrets", "keys"),
                     ("status", "x"), ("ping", "x"), ("-x",),
                     ("get", "-x", "y"),
                     ("get", "--fresh", "--offline", "x")):
            with self.subTest(args):
                r = self.helper(*args)
                self.assertEqual(r.status, 2, r.err)
                self.assertEqual(r.out, b"")
                self.assertTrue(r.err.startswith("qapi-agent: ") or
                                r.err.startswith("Usage"), r.err)

    def test_unknown_options_suggest_the_nearest_one(self):
        for args, near in ((("get", "--jsn", "x"), "--json"),
                           (("get", "--feild", "x", "y"), "--field"),
                           (("get", "--ofline", "x"), "--offline"),
                           (("run", "--enf", "A=b", "true"), "--env"),
                           (("status", "--sockt", "x"), "--socket")):
            with self.subTest(args):
                r = self.fails(125 if args[0] == "run" else 2, *args)
                self.assertIn(near, r.err)

    def test_unknown_command_suggests_the_nearest_one(self):
        self.fails(2, "gett", "x", saying="get")
        self.fails(2, "statsu", saying="status")

    def test_agent_not_reachable_is_5(self):
        self.fails(5, "get", "x", saying=self.socket)
        for command in (("list",), ("status",), ("ping",), ("refresh", "x"),
                        ("purge", "x")):
            self.fails(5, *command)
        self.fails(5, "ping", "--socket", "/nonexistent/agent.sock",
                   saying="/nonexistent/agent.sock")
        name, status, _ = self.error("get", "x")
        self.assertEqual(status, 5)

    def test_socket_that_nobody_serves_is_5(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.socket)
        self.fails(5, "get", "x")
        os.unlink(self.socket)

    def test_path_that_is_no_socket_is_5(self):
        self.fails(5, "get", "x", "--socket", "/etc/passwd")

    def test_agent_that_never_answers_is_a_timeout(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.socket)
            s.listen(8)
            for command in (("get", "x"), ("list",), ("status",), ("ping",),
                            ("refresh", "x"), ("run", "--env", "A=x",
                                               "true")):
                with self.subTest(command):
                    began = time.monotonic()
                    self.fails(125 if command[0] == "run" else 7,
                               command[0], "--timeout", "300ms", *command[1:])
                    self.assertLess(time.monotonic() - began, 2)
        os.unlink(self.socket)

    def test_agent_that_sends_nonsense_costs_no_crash(self):
        for data in (b"\0" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n",
                     b"\xff" * 64, b"\0\0\0\0\1\x84\0\0" + b"\0" * 8,
                     bytes.fromhex("01010001 01810000 0000000000000001")):
            with self.subTest(data[:8]):
                with socket.socket(socket.AF_UNIX) as s:
                    s.bind(self.socket)
                    s.listen(8)
                    pid = os.fork()
                    if pid == 0:
                        for _ in range(2):
                            conn, _ = s.accept()
                            conn.sendall(data)
                            conn.close()
                        os._exit(0)
                    r = self.helper("get", "x", "--timeout", "3s")
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                os.unlink(self.socket)
                self.assertIn(r.status, (1, 5), r.err)
                self.assertEqual(r.err.count("\n"), 1)

    def test_environment_names_the_socket_and_the_option_overrides(self):
        r = self.helper("ping", sock=False,
                        env={"QAPI_AGENT_SOCK": "/nonexistent/by-env"})
        self.assertIn("/nonexistent/by-env", r.err)
        r = self.helper("ping", "--socket", "/nonexistent/by-option",
                        sock=False,
                        env={"QAPI_AGENT_SOCK": "/nonexistent/by-env"})
        self.assertIn("/nonexistent/by-option", r.err)

    @harness.needs_root
    def test_default_socket(self):
        r = self.helper("ping", sock=False, user="nobody",
                        env={"XDG_RUNTIME_DIR": "/nonexistent/xdg"})
        self.assertEqual(r.status, 5)
        self.assertRegex(r.err, r"/nonexistent/xdg/qapi-agent/agent\.sock|"
                         r"/run/qapi-agent/agent\.sock")


class Completion(Case):
    """bash, as it is after a key or two."""

    SEED = SEED

    def complete(self, *words):
        script = (
            'compopt() { :; }; . "$1"; shift; COMP_WORDS=(qapi-agent "$@"); '
            'COMP_CWORD=$#; COMPREPLY=(); _qapi_agent; '
            'printf "%s\\n" "${COMPREPLY[@]}"')
        env = {"PATH": os.path.dirname(harness.AGENT) + ":" +
               os.environ["PATH"], "QAPI_AGENT_SOCK": self.socket,
               "LD_LIBRARY_PATH": os.path.dirname(harness.AGENT)}
        p = subprocess.run(
            ["bash", "-c", script, "-", os.path.join(
                harness.SOURCE, "client", "completion", "qapi-agent"), *words],
            env=env, capture_output=True, text=True, check=False)
        self.assertEqual((p.returncode, p.stderr), (0, ""))
        return p.stdout.split()

    def test_commands_options_and_words(self):
        self.assertEqual(self.complete("sec"), ["secret"])
        self.assertEqual(set(self.complete("")), set(COMMANDS))
        self.assertEqual(self.complete("verify", "--sig"), ["--signature"])
        self.assertEqual(self.complete("pubkey", "--format", "p"), ["pem"])
        self.assertEqual(self.complete("secret", ""),
                         ["create", "set", "rotate"])
        self.assertIn("DELETE", self.complete("call", ""))
        self.assertEqual(self.complete("list", "--st"), ["--stale"])
        self.assertEqual(self.complete("encrypt", "--aad", ""), [])

    def test_names_of_what_may_be_listed(self):
        self.assertEqual(self.complete("get", "db"), ["db/a"])
        self.assertEqual(self.complete("secret", "rotate", "mul"), ["multi"])
        for words in (("pubkey", "s"), ("sign", "--key", "s"),
                      ("verify", "--key", "s")):
            self.assertEqual(self.complete(*words), ["signing"])
        self.assertEqual(self.complete("call", "GET", "/x", "--for", "db"),
                         ["db/a"])


class Get(Case):
    SEED = SEED

    def test_partial_failure_prints_the_others_and_has_the_first_status(self):
        r = self.helper("get", "old", "db/a", "nope", "b", "twin")
        self.assertEqual(r.status, 8)
        self.assertEqual(r.out, b"value of secret a\nvalue of secret b\n")
        lines = r.err.splitlines()
        self.assertEqual(len(lines), 3)
        for line, name in zip(lines, ("old", "nope", "twin")):
            self.assertRegex(line, rf"^qapi-agent: .*\b{name}\b.*: .*")
        r = self.helper("get", "nope", "old")
        self.assertEqual(r.status, 3)
        r = self.helper("get", "-0", "b", "twin", "db/a")
        self.assertEqual(r.status, 9)
        self.assertEqual(r.out, b"value of secret b\0value of secret a\0")

    def test_errors_say_what_happened_and_what_to_do(self):
        for name, status in (("nope", 3), ("old", 8), ("twin", 9)):
            r = self.fails(status, "get", name)
            # qapi-agent: REF: what happened: what to do about it
            self.assertGreaterEqual(r.err.count(": "), 3, r.err)

    def test_many_references_in_one_command(self):
        refs = ["db/a", "b"] * 300          # more than one request can hold
        out = self.get(*refs)
        self.assertEqual(out, b"value of secret a\nvalue of secret b\n" * 300)
        self.assertEqual(self.sandbox.reads("a"), 1)

    def test_o_file_is_0600(self):
        path = os.path.join(self.dir, "out")
        old = os.umask(0)
        try:
            self.assertEqual(self.get("multi", "-o", path), b"")
        finally:
            os.umask(old)
        self.assert_mode(path, 0o600)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"line one\nline two\n")
        self.assertEqual([n for n in os.listdir(self.dir)
                          if n.startswith("out")], ["out"])

    def test_o_file_replaces_and_is_0600_even_where_the_old_was_not(self):
        path = os.path.join(self.dir, "out")
        with open(path, "w", encoding="ascii") as f:
            f.write("what was there before, and is longer than the value\n")
        os.chmod(path, 0o666)
        self.get("b", "-o", path)
        self.assert_mode(path, 0o600)
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"value of secret b")

    def test_o_file_was_never_readable_by_others_nor_partial(self):
        path = os.path.join(self.dir, "trace")
        out = os.path.join(self.dir, "out")
        p = subprocess.run(["which", "strace"], capture_output=True,
                           check=False)
        if p.returncode != 0:
            self.skipTest("no strace")
        r = self.helper("get", "big", "-o", out,
                        prefix=["strace", "-f", "-o", path, "-e",
                                "trace=openat,open,rename,renameat,"
                                "renameat2,linkat,fchmod,chmod"])
        if r.status != 0:
            self.skipTest("no strace here: " + r.err)
        with open(path, encoding="utf-8") as f:
            trace = f.read()
        for line in trace.splitlines():
            if self.dir in line and "O_CREAT" in line:
                self.assertRegex(line, r"\b0[0-6]00\b")
                self.assertNotIn('out",', line)
        self.assertRegex(trace, r"(?m)(rename|linkat).*out")

    def test_o_file_is_not_written_where_a_read_fails(self):
        path = os.path.join(self.dir, "out")
        self.fails(3, "get", "nope", "-o", path)
        self.assertFalse(os.path.exists(path))
        with open(path, "w", encoding="ascii") as f:
            f.write("kept")
        self.fails(3, "get", "nope", "-o", path)
        with open(path, encoding="ascii") as f:
            self.assertEqual(f.read(), "kept")
        self.assertEqual([n for n in os.listdir(self.dir)
                          if n.startswith("out") or n.startswith(".out")],
                         ["out"])

    def test_o_file_that_cannot_be_written_is_a_failure(self):
        self.fails(1, "get", "b", "-o", "/nonexistent/dir/out",
                   saying="/nonexistent/dir/out")

    def test_o_with_json(self):
        path = os.path.join(self.dir, "out")
        self.get("b", "--json", "-o", path)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(json.load(f)["value"], "value of secret b")

    def test_full_device_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            r = self.helper("get", "b", stdout=full)
        self.assertEqual(r.status, 1)
        self.assertIn("No space left", r.err)

    def test_closed_pipe_is_no_success_and_no_value_is_in_the_error(self):
        r, w = os.pipe()
        os.close(r)
        got = self.helper("get", "big", stdout=w)
        os.close(w)
        self.assertNotEqual(got.status, 0)

    def test_two_dashes_end_the_options(self):
        self.sandbox.set("b", name="--json")
        self.helper("purge", "--all")
        self.assertEqual(self.get("--", "--json"), b"value of secret b")

    def test_options_may_follow_references(self):
        self.assertEqual(self.get("db/a", "--field", "username"),
                         b"user of a")

    def test_value_is_not_in_argv_or_environment_of_the_helper(self):
        self.sandbox.fault("*/secrets/b", latencyMs=800)
        env = {"PATH": os.environ["PATH"], "QAPI_AGENT_SOCK": self.socket,
               "LD_LIBRARY_PATH": os.path.dirname(harness.AGENT)}
        with subprocess.Popen([harness.AGENT, "get", "b"],
                              stdout=subprocess.PIPE, env=env) as p:
            for what in ("cmdline", "environ"):
                with open(f"/proc/{p.pid}/{what}", "rb") as f:
                    self.assertNotIn(b"value of", f.read())
            self.assertEqual(p.stdout.read(), b"value of secret b")

    def test_control_characters_of_names_do_not_reach_the_terminal(self):
        r = self.helper("get", "x\x1b[31mred")
        self.assertNotEqual(r.status, 0)
        self.assertNotIn("\x1b", r.err)


class Lists(Case):
    SEED = SEED

    def test_list_shows_names_and_ids_and_never_values(self):
        self.get("db/a")
        out = self.ok("list").decode()
        for name in ("db/a", "multi", "twin", "signing"):
            self.assertRegex(out, rf"(?m)(^|\s){re.escape(name)}(\s|$)")
        for secret_id in ("twin-1", "twin-2", "k1"):
            self.assertIn(secret_id, out)
        self.assertNotIn("value of", out)
        self.assertEqual(self.sandbox.reads("b"), 0)

    def test_list_of_one_kind(self):
        out = self.ok("list", "secrets").decode()
        self.assertIn("db/a", out)
        self.assertNotIn("signing", out)
        out = self.ok("list", "keys").decode()
        self.assertNotIn("db/a", out)
        self.assertIn("signing", out)

    def test_list_shows_freshness(self):
        self.get("db/a")
        lines = {line.split()[0]: line for line in
                 self.ok("list", "secrets").decode().splitlines() if line}
        line = next(v for v in lines.values() if "db/a" in v)
        self.assertIn("fresh", line)
        line = next(v for v in lines.values() if "multi" in v)
        self.assertNotIn("fresh", line)

    def test_list_json(self):
        self.get("db/a")
        out = self.ok("list", "--json").decode()
        try:
            rows = [json.loads(line) for line in out.splitlines()]
            if len(rows) == 1 and isinstance(rows[0], (list, dict)) and \
                    "id" not in rows[0]:
                raise json.JSONDecodeError("", "", 0)
        except json.JSONDecodeError:
            rows = json.loads(out)
            rows = rows if isinstance(rows, list) else \
                rows["secrets"] + rows["keys"]
        by_id = {r["id"]: r for r in rows}
        self.assertEqual(by_id["a"]["name"], "db/a")
        self.assertEqual(by_id["a"]["freshness"], "fresh")
        self.assertFalse(by_id["b"].get("freshness"))
        self.assertIn("k1", by_id)
        self.assertNotIn("value of", out)

    def test_list_while_down(self):
        self.sandbox.stop()
        self.fails(6, "list")

    def test_list_of_an_empty_tenant(self):
        for s in SEED["secrets"]:
            self.sandbox.control("DELETE", "/secrets/" + s["id"])
        self.assertNotIn(b"db/a", self.ok("list", "secrets"))

    def test_list_only_of_active_secrets(self):
        self.sandbox.api("POST", "/secrets/b/deactivate")
        self.assertNotRegex(self.ok("list", "secrets").decode(),
                            r"(?m)(^|\s)b(\s|$)")


class Status(Case):
    SEED = SEED

    def test_status_json_has_at_least_this(self):
        self.ok("get", "db/a", "b", "qapi://keys/signing/public")
        self.get("b")
        s = self.status()
        self.assertRegex(s["version"], r"^\d+\.\d+\.\d+")
        self.assertEqual(s["pid"], self.agent.pid)
        self.assertGreaterEqual(s["uptimeSeconds"], 0)
        self.assertLess(s["uptimeSeconds"], 600)
        up = s["upstream"]
        self.assertEqual(up["url"], self.sandbox.url)
        self.assertEqual((up["state"], up["breaker"]), ("ok", "closed"))
        self.assertLess(up["lastSuccessAgeSeconds"], 600)
        c = s["cache"]
        self.assertEqual((c["secrets"], c["keys"], c["stale"]), (2, 1, 0))
        self.assertGreater(c["bytes"], 30)
        self.assertEqual(c["maxBytes"], 16 << 20)
        self.assertGreaterEqual(c["hits"], 1)
        self.assertGreaterEqual(c["misses"], 3)
        self.assertIsInstance(s["clients"], int)
        self.assertGreater(s["memory"]["lockedBytes"], 1000)

    def test_hits_and_misses_are_counted(self):
        before = self.status()["cache"]
        self.get("b")
        for _ in range(4):
            self.get("b")
        after = self.status()["cache"]
        self.assertEqual(after["misses"] - before["misses"], 1)
        self.assertEqual(after["hits"] - before["hits"], 4)

    def test_before_anything_was_asked_the_state_is_unknown(self):
        s = self.status()
        self.assertEqual(s["upstream"]["state"], "unknown")
        self.assertIsNone(s["upstream"]["lastSuccessAgeSeconds"])

    def test_clients_are_counted(self):
        before = self.status()["clients"]
        wires = [self.wire() for _ in range(7)]
        for w in wires:
            w.ping()
        self.assertEqual(self.status()["clients"], before + 7)

    def test_status_for_people(self):
        self.get("b")
        out = self.ok("status").decode()
        self.assertIn(self.sandbox.url, out)
        self.assertIn(str(self.agent.pid), out)
        self.assertNotIn("value of", out)

    def test_names_of_secrets_are_not_in_it(self):
        self.get("db/a")
        self.assertNotIn("db/a", self.ok("status", "--json").decode())
        self.assertNotIn("db/a", self.ok("status").decode())

    def test_ping(self):
        self.ok("ping")
        self.sandbox.stop()
        self.ok("ping")


class Run(Case):
    SEED = SEED

    def run_env(self, *args, env=None, **kw):
        """Environment of the program that was started."""
        out = self.ok("run", *args, "--", "env", "-0", env=env, **kw)
        pairs = [e.partition(b"=") for e in out.split(b"\0") if e]
        return {n.decode(): v for n, _, v in pairs}

    def test_env(self):
        got = self.run_env("--env", "A=qapi://secrets/db/a", "--env", "B=b",
                           "--env=U=qapi://secrets/db/a?field=username")
        self.assertEqual(got["A"], b"value of secret a")
        self.assertEqual(got["B"], b"value of secret b")
        self.assertEqual(got["U"], b"user of a")

    def test_values_are_exact(self):
        got = self.run_env("--env", "M=multi", "--env", "E=empty", "--env",
                           "Q=quote", "--env", "G=big")
        self.assertEqual(got["M"], b"line one\nline two\n")
        self.assertEqual(got["E"], b"")
        self.assertEqual(got["Q"], b"$HOME `id` \"'\\ ; rm -rf /")
        self.assertEqual(got["G"], b"0123456789abcdef" * 4096)

    def test_inherited_references_are_replaced(self):
        got = self.run_env(env={"DB": "qapi://secrets/db/a",
                                "PLAIN": "not a reference qapi://secrets/b",
                                "OTHER": "op://vault/item"})
        self.assertEqual(got["DB"], b"value of secret a")
        self.assertEqual(got["PLAIN"], b"not a reference qapi://secrets/b")
        self.assertEqual(got["OTHER"], b"op://vault/item")

    def test_env_wins_over_what_is_inherited(self):
        got = self.run_env("--env", "X=b", env={"X": "qapi://secrets/nope"})
        self.assertEqual(got["X"], b"value of secret b")

    def env_file(self, text, name="env"):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_env_file(self):
        path = self.env_file(
            "# a comment\n\nA=qapi://secrets/db/a\nPLAIN=just text\n"
            "QUOTED=\"qapi://secrets/b\"\nSINGLE='qapi://secrets/multi'\n"
            "export EXPORTED=qapi://secrets/b\nEMPTY=\n")
        got = self.run_env("--env-file", path)
        self.assertEqual(got["A"], b"value of secret a")
        self.assertEqual(got["PLAIN"], b"just text")
        self.assertEqual(got["QUOTED"], b"value of secret b")
        self.assertEqual(got["SINGLE"], b"line one\nline two\n")
        self.assertEqual(got["EXPORTED"], b"value of secret b")
        self.assertEqual(got["EMPTY"], b"")

    def test_several_env_files(self):
        one = self.env_file("A=qapi://secrets/b\nB=one\n", "one")
        two = self.env_file("A=two\n", "two")
        got = self.run_env("--env-file", one, "--env-file", two)
        self.assertEqual((got["A"], got["B"]), (b"two", b"one"))

    def test_env_file_that_is_missing_or_wrong_is_125(self):
        self.fails(125, "run", "--env-file", "/nonexistent/env", "--", "true",
                   saying="/nonexistent/env")
        path = self.env_file("A=fine\nthis is no assignment\n")
        self.fails(125, "run", "--env-file", path, "--", "true",
                   saying=f"{path}:2")

    def test_file_is_private_unlinked_and_sealed(self):
        script = r'''
import fcntl, os, stat, sys
path = os.environ["SECRET_FILE"]
fd = int(path.rsplit("/", 1)[1])
st = os.fstat(fd)
data = open(path, "rb").read()
again = open(path, "rb").read()
seals = fcntl.fcntl(fd, 1034)
try:
    os.write(os.open(path, os.O_RDWR), b"x")
    wrote = True
except OSError:
    wrote = False
print(repr((path, data, again == data, st.st_nlink,
            oct(stat.S_IMODE(st.st_mode)), seals & 15, wrote,
            os.readlink(path))))
'''
        out = self.ok("run", "--file", "SECRET_FILE=nul", "--",
                      sys.executable, "-c", script)
        path, data, again, nlink, mode, seals, wrote, link = eval(out)
        self.assertRegex(path, r"^/proc/self/fd/\d+$")
        self.assertEqual(data, b"nul \0 in the middle")
        self.assertTrue(again)
        self.assertEqual(nlink, 0)
        self.assertIn(mode, ("0o400", "0o600"))
        self.assertEqual(seals, 15, "SEAL, SHRINK, GROW, WRITE")
        self.assertFalse(wrote)
        self.assertIn("memfd:", link)
        self.assertNotIn("value", link)

    def test_file_with_a_large_value(self):
        out = self.ok("run", "--file", "F=huge", "--", "sh", "-c",
                      'cat "$F"')
        self.assertEqual(out, b"0123456789abcdef" * 8192)

    def test_nothing_but_the_files_is_inherited(self):
        out = self.ok("run", "--env", "A=b", "--file", "F=b", "--", "sh",
                      "-c", "ls -l /proc/self/fd").decode()
        fds = {int(n) for n in re.findall(r" (\d+) -> ", out)}
        memory = [line for line in out.splitlines() if "memfd:" in line]
        self.assertEqual(len(memory), 1)
        self.assertNotIn("socket:", out)
        self.assertLessEqual(len(fds), 5)       # 0 1 2, the file, ls itself

    def test_all_or_nothing_and_every_failure_is_listed(self):
        mark = os.path.join(self.dir, "started")
        r = self.helper("run", "--env", "A=db/a", "--env", "N=nope",
                        "--env", "O=old", "--file", "T=twin", "--",
                        "touch", mark)
        self.assertEqual(r.status, 125)
        self.assertEqual(r.out, b"")
        for name in ("nope", "old", "twin"):
            self.assertRegex(r.err, rf"(?m)^qapi-agent: .*\b{name}\b.*$")
        self.assertEqual(r.err.count("\n"), 3)
        self.assertFalse(os.path.exists(mark))

    def test_inherited_reference_that_fails_means_nothing_is_started(self):
        self.fails(125, "run", "--", "true",
                   env={"X": "qapi://secrets/nope"}, saying="nope")
        self.fails(125, "run", "--", "true", env={"X": "qapi://nonsense"})

    def test_nul_cannot_be_an_environment_variable(self):
        self.fails(125, "run", "--env", "A=nul", "--", "true",
                   saying="NUL")

    def test_status_is_the_childs_own(self):
        for n in (0, 1, 42, 255):
            r = self.helper("run", "--env", "A=b", "--", "sh", "-c",
                            f"exit {n}")
            self.assertEqual(r.status, n)
        r = self.helper("run", "--", "sh", "-c", "kill -9 $$")
        self.assertEqual(r.status, -signal.SIGKILL)

    def test_127_126_and_125(self):
        self.fails(127, "run", "--env", "A=b", "--", "no-such-program",
                   saying="no-such-program")
        self.fails(127, "run", "--", "/nonexistent/program")
        self.fails(126, "run", "--", "/etc/passwd", saying="/etc/passwd")
        self.fails(126, "run", "--", "/tmp")
        self.fails(125, "run")
        self.fails(125, "run", "--env", "A=b")
        self.fails(125, "run", "--env", "=b", "--", "true")
        self.fails(125, "run", "--env", "A", "--", "true")
        self.fails(125, "run", "--env", "A=qapi://secrets/%", "--", "true")
        self.fails(125, "run", "--no-such-option", "--", "true")

    def test_agent_that_is_not_there_is_125(self):
        self.fails(125, "run", "--socket", "/nonexistent/sock", "--env",
                   "A=b", "--", "true")

    def test_no_agent_is_needed_where_nothing_is_to_be_resolved(self):
        r = self.helper("run", "--socket", "/nonexistent/sock", "--", "true")
        self.assertEqual(r.status, 0, r.err)

    def test_no_parent_stays_behind(self):
        env = {"PATH": os.environ["PATH"], "QAPI_AGENT_SOCK": self.socket,
               "LD_LIBRARY_PATH": os.path.dirname(harness.AGENT)}
        with subprocess.Popen(
                [harness.AGENT, "run", "--env", "A=b", "--", "sh", "-c",
                 "echo $$ $PPID; readlink /proc/$$/exe; read x"],
                stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=env,
                text=True) as p:
            pid, ppid = p.stdout.readline().split()
            self.assertEqual((int(pid), int(ppid)), (p.pid, os.getpid()))
            self.assertNotIn("qapi-agent", p.stdout.readline())
            p.stdin.write("\n")

    def test_one_round_trip(self):
        refs = []
        for i in range(40):
            refs += ["--env", f"V{i}=" + ("b" if i % 2 else "db/a")]
        before = self.status()
        self.run_env(*refs)
        self.assertEqual(self.sandbox.reads("a"), 1)
        self.assertEqual(self.sandbox.reads("b"), 1)
        self.assertGreater(self.status()["cache"]["misses"],
                           before["cache"]["misses"])

    def test_arguments_pass_untouched(self):
        out = self.ok("run", "--env", "A=b", "--", "printf", "%s|", "--env",
                      "-x", "", "qapi://secrets/b", "--")
        self.assertEqual(out, b"--env|-x||qapi://secrets/b|--|")

    def test_options_end_at_the_program(self):
        self.assertEqual(self.ok("run", "--env", "A=b", "echo", "--json"),
                         b"--json\n")

    def test_signals_and_limits_are_as_before(self):
        out = self.ok("run", "--env", "A=b", "--", "sh", "-c",
                      # exec: dash blocks signals for a moment around a fork
                      "ulimit -c; exec grep -E '^Sig(Blk|Ign)' "
                      "/proc/self/status")
        plain = subprocess.run(
            ["sh", "-c", "ulimit -c; exec grep -E '^Sig(Blk|Ign)' "
             "/proc/self/status"], capture_output=True, check=True,
            stdin=subprocess.DEVNULL)
        self.assertEqual(out, plain.stdout)

    def test_program_can_be_traced_and_dump_as_before(self):
        """What the helper does to itself does not outlive it."""
        out = self.ok("run", "--env", "A=b", "--", "stat", "-c", "%u",
                      "/proc/self/mem")
        self.assertEqual(int(out), os.getuid())

    def test_name_lookup_uses_the_new_path(self):
        directory = os.path.join(self.dir, "bin")
        os.mkdir(directory)
        path = os.path.join(directory, "my-own-program")
        with open(path, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho found\n")
        os.chmod(path, 0o755)
        self.assertEqual(
            self.ok("run", "--", "my-own-program",
                    env={"PATH": directory + ":" + os.environ["PATH"]}),
            b"found\n")

    def test_values_are_not_in_proc_environ_of_the_helper(self):
        """…while it still waits, with one value already there."""
        self.get("b")
        self.sandbox.fault("*/secrets/a", latencyMs=1000)
        env = {"PATH": os.environ["PATH"], "QAPI_AGENT_SOCK": self.socket,
               "LD_LIBRARY_PATH": os.path.dirname(harness.AGENT)}
        with subprocess.Popen(
                [harness.AGENT, "run", "--env", "B=b", "--env", "A=db/a",
                 "--", "true"], env=env) as p:
            self.wait(lambda: self.sandbox.reads("a") == 1, "it waits")
            for what in ("environ", "cmdline"):
                with open(f"/proc/{p.pid}/{what}", "rb") as f:
                    self.assertNotIn(b"value of", f.read())
            self.assertEqual(p.wait(harness.LONG), 0)

    def test_value_longer_than_one_string_may_be_is_125(self):
        self.fails(125, "run", "--env", "A=huge", "--", "true")

    def test_stale_values_do(self):
        self.ok("get", "db/a", "b")
        self.sandbox.stop()
        got = self.run_env("--env", "A=db/a", "--env", "B=b")
        self.assertEqual(got["A"], b"value of secret a")

    def test_timeout_before_the_start_is_125(self):
        self.sandbox.fault("*", action="hang")
        began = time.monotonic()
        self.fails(125, "run", "--timeout", "300ms", "--env", "A=b", "--",
                   "true")
        self.assertLess(time.monotonic() - began, 2)


class Restart(Case):
    SEED = SEED

    def test_helper_works_again_after_the_agent_was_restarted(self):
        self.get("b")
        self.restart_agent()
        self.get("b")

    def test_killed_agent_is_5_for_those_who_wait(self):
        hang = self.sandbox.fault("*", action="hang")
        env = {"PATH": os.environ["PATH"], "QAPI_AGENT_SOCK": self.socket,
               "LD_LIBRARY_PATH": os.path.dirname(harness.AGENT)}
        with subprocess.Popen([harness.AGENT, "get", "b"],
                              stderr=subprocess.PIPE, env=env) as p:
            self.wait(lambda: self.sandbox.hits(hang) >= 1, "it waits")
            self.agent.proc.kill()
            self.expected_status[self.agent] = -signal.SIGKILL
            self.agent.ended()
            err = p.stderr.read().decode()
            self.assertEqual(p.wait(harness.LONG), 5, err)
        os.unlink(self.socket)      # nobody was left to do it


if __name__ == "__main__":
    harness.main()
