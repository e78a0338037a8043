#!/usr/bin/env python3
"""Configuration, --check, and who may have the socket (contract 3)."""

import os
import re
import signal
import socket
import stat
import subprocess
import time

import harness
from harness import AGENTD, Case, ids, secret, setpriv

KEYS = {
    "agent": ["socket=/run/x/a.sock", "socket-mode=0660",
              "root-needs-rule=no", "max-connections=4096",
              "max-requests-per-second-per-caller=100", "log-level=info",
              "audit-log=journal", "credentials-hold=30s"],
    "upstream": ["url=https://api.quantumapi.eu/api/v1",
                 "connect-timeout=5s", "request-timeout=30s",
                 "max-in-flight=16", "max-response=16M"],
    "cache": ["max-memory=64M", "refresh-interval=5m", "refresh-lead=60s",
              "max-stale=24h", "unauthorized-grace=5m", "negative-ttl=10s",
              "idle-evict=24h", "reread-interval=24h", "serve-expired=0",
              "preload=a,b/c", "preload-wait=30s"],
    'allow "web"': ["user=root", "secrets=db/*"],
}


class Check(Case):
    AUTO = False

    def conf_file(self, text, mode=0o644):
        with open(self.conf_path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.conf_path, mode)
        return self.conf_path

    def check(self, text=None, path=None, user=None, mode=0o644):
        path = path or self.conf_file(text, mode)
        p = subprocess.run([*setpriv(user), AGENTD, "-c", path, "--check"],
                           capture_output=True, text=True, check=False,
                           timeout=harness.LONG, stdin=subprocess.DEVNULL)
        return p.returncode, p.stdout, p.stderr

    def faults(self, text, **kw):
        """Lines about faults; it must exit 1 and not say ok."""
        status, out, err = self.check(text, **kw)
        self.assertEqual(status, 1, (text, out, err))
        self.assertNotRegex(out, r"(?m)^ok$")
        return (out + err).splitlines()

    def one_fault(self, text, line, *says, **kw):
        lines = self.faults(text, **kw)
        self.assertEqual(len(lines), 1, lines)
        where = f"{self.conf_path}:{line}" if line else self.conf_path
        self.assertIn(where, lines[0])
        for s in says:
            self.assertIn(s, lines[0])

    def test_ok_is_printed_and_the_status_is_0(self):
        status, out, err = self.check("".join(
            f"[{head}]\n" + "\n".join(lines) + "\n"
            for head, lines in KEYS.items()))
        self.assertEqual((status, out, err), (0, "ok\n", ""))

    def test_empty_file_is_ok(self):
        self.assertEqual(self.check("")[:2], (0, "ok\n"))
        self.assertEqual(self.check("# only a comment\n\n[agent]\n")[:2],
                         (0, "ok\n"))

    def test_check_does_not_start_anything(self):
        self.conf_file(f"[agent]\nsocket={self.socket}\n")
        status, out, _ = self.check(path=self.conf_path)
        self.assertEqual((status, out), (0, "ok\n"))
        self.assertFalse(os.path.exists(self.socket))

    def test_unknown_key_names_the_nearest_one(self):
        for section, wrong, near in (
                ("cache", "refresh-intervall=5m", "refresh-interval"),
                ("cache", "max_stale=5m", "max-stale"),
                ("agent", "sokcet=/run/x", "socket"),
                ("agent", "socket-mod=0660", "socket-mode"),
                ("upstream", "ur=https://x.example", "url"),
                ("upstream", "apikey-file=/x", "api-key-file"),
                ('allow "x"', "usr=root", "user"),
                ('allow "x"', "secret=a", "secrets")):
            with self.subTest(wrong):
                extra = "user=root\nsecrets=a\n" if "allow" in section else ""
                text = f"[{section}]\n{extra}{wrong}\n"
                self.one_fault(text, text.count("\n"), wrong.split("=")[0],
                               near)

    def test_unknown_section_names_the_nearest_one(self):
        self.one_fault("[agent]\n\n[upsteam]\n", 3, "upsteam", "upstream")
        lines = self.faults("[cahce]\nmax-stale=5m\n")
        self.assertIn(f"{self.conf_path}:1", lines[0])
        self.assertIn("cache", lines[0])

    def test_bad_values(self):
        for section, line in (
                ("cache", "refresh-interval=soon"),
                ("cache", "refresh-interval=-5m"),
                ("cache", "refresh-interval="),
                ("cache", "max-stale=24 fortnights"),
                ("cache", "max-memory=lots"),
                ("cache", "max-memory=99999999999999999999G"),
                ("cache", "max-memory=-1M"),
                ("agent", "socket=relative/path"),
                ("agent", "socket=/" + "x" * 108),
                ("agent", "socket-mode=rw"),
                ("agent", "socket-mode=0999"),
                ("agent", "socket-group=no-such-group"),
                ("agent", "root-needs-rule=maybe"),
                ("agent", "max-connections=many"),
                ("agent", "max-connections=0"),
                ("agent", "log-level=loud"),
                ("upstream", "url=ftp://x.example"),
                ("upstream", "url=not a url"),
                ("upstream", "max-in-flight=0"),
                ("upstream", "pinned-public-key=md5//xx"),
                ('allow "x"', "operations=fly"),
                ('allow "x"', "user=no-such-user-here"),
                ('allow "x"', "group=no-such-group-here")):
            with self.subTest(line):
                extra = "secrets=a\n" if "allow" in section else ""
                if "operations" in line:
                    extra += "user=root\n"
                text = f"[{section}]\n{extra}{line}\n"
                self.one_fault(text, text.count("\n"), line.split("=")[0])

    def test_plain_http_is_taken_only_for_a_loopback_address(self):
        for url in ("http://api.quantumapi.eu/api/v1",
                    "http://192.0.2.1/api/v1", "http://localhost.example/",
                    "http://127.0.0.1.example/api/v1",
                    "http://127.0.0.1@192.0.2.1/api/v1",
                    "http://0.0.0.0/api/v1", "http://[2001:db8::1]/api/v1",
                    "http://user:pw@127.0.0.1/api/v1"):
            with self.subTest(url):
                self.one_fault(f"[upstream]\nurl={url}\n", 2, "url")
        for url in ("http://127.0.0.1:8480/api/v1",
                    "http://127.1.2.3/api/v1", "http://[::1]:80/api/v1",
                    "https://api.example/api/v1"):
            with self.subTest(url):
                self.assertEqual(self.check(f"[upstream]\nurl={url}\n")[0],
                                 0)

    def test_check_prints_all_faults_at_once(self):
        lines = self.faults(
            "[agent]\nsokcet=/run/x\nlog-level=loud\n\n[cache]\n"
            "max-stale=soon\n[nonsense]\n[upstream]\nurl=http://x.example/\n"
            '[allow "a"]\nuser=no-such-user\nsecrets=a\n')
        numbers = [int(re.search(re.escape(self.conf_path) + r":(\d+)",
                                 line)[1]) for line in lines]
        self.assertEqual(sorted(numbers), [2, 3, 6, 7, 9, 11])

    def test_line_without_an_equals_sign(self):
        self.one_fault("[agent]\nthis is no setting\n", 2)

    def test_key_before_any_section(self):
        lines = self.faults("socket=/run/x\n")
        self.assertIn(f"{self.conf_path}:1", lines[0])

    def test_key_twice_is_a_fault_or_the_last_wins_but_no_crash(self):
        status, _, _ = self.check("[agent]\nsocket=/run/a\nsocket=/run/b\n")
        self.assertIn(status, (0, 1))

    def test_comments_and_blanks(self):
        self.assertEqual(self.check(
            "# comment\n\n  # indented\n[agent]\n"
            "socket = /run/x/agent.sock\n; the other mark\n")[:2],
            (0, "ok\n"))
        # Not a comment for systemd; taken as a value it would be a surprise.
        self.one_fault("[agent]\nlog-level=info # not here\n", 2,
                       "log-level")

    def test_durations_and_sizes(self):
        for v in ("5m", "1h30m", "250ms", "90s", "2d"):
            with self.subTest(v):
                self.assertEqual(
                    self.check(f"[cache]\nmax-stale={v}\n")[0], 0)
        for v in ("64M", "1G", "2048K", "2097152"):
            with self.subTest(v):
                self.assertEqual(
                    self.check(f"[cache]\nmax-memory={v}\n")[0], 0)

    def test_file_that_others_can_write_is_an_error(self):
        for mode in (0o646, 0o664, 0o666):
            with self.subTest(oct(mode)):
                lines = self.faults("[agent]\n", mode=mode)
                self.assertIn(self.conf_path, lines[0])
        self.assertEqual(self.check("[agent]\n", mode=0o640)[0], 0)

    def test_file_that_is_not_there(self):
        status, out, err = self.check(path="/nonexistent/agent.conf")
        self.assertEqual(status, 1)
        self.assertIn("/nonexistent/agent.conf", out + err)

    def test_directory_in_place_of_a_file(self):
        self.assertEqual(self.check(path="/tmp")[0], 1)

    def test_binary_nonsense_does_not_crash(self):
        with open(self.conf_path, "wb") as f:
            f.write(bytes(range(256)) * 200 + b"[" * 70000)
        status, _, err = self.check(path=self.conf_path)
        self.assertEqual(status, 1, err)
        self.assertNotIn("Sanitizer", err)

    def test_very_long_line(self):
        status, out, err = self.check(
            "[cache]\npreload=" + "x" * 100000 + "\n")
        self.assertIn(status, (0, 1))
        self.assertNotIn("Sanitizer", out + err)
        # what is cut off by a parser's buffer must not be lost in silence
        status, out, err = self.check(
            "[cache]\npreload=" + "a" * 190 + ",b" * 400 +
            "\nmax-stale=soon\n")
        self.assertEqual(status, 1)
        self.assertIn("max-stale", out + err)

    def test_control_characters_do_not_reach_the_terminal(self):
        lines = self.faults("[agent]\n\x1b[31mred=1\n")
        self.assertNotIn("\x1b", "".join(lines))

    def test_start_with_faults_prints_them_and_exits_1(self):
        self.conf_file("[agent]\nsokcet=/run/x\n[cache]\nmax-stale=soon\n")
        p = subprocess.run([AGENTD, "-c", self.conf_path],
                           capture_output=True, text=True, check=False,
                           timeout=harness.LONG)
        self.assertEqual(p.returncode, 1)
        self.assertIn(f"{self.conf_path}:2", p.stderr)
        self.assertIn(f"{self.conf_path}:4", p.stderr)

    def test_usage(self):
        p = subprocess.run([AGENTD, "--help"], capture_output=True, text=True,
                           check=False)
        self.assertEqual(p.returncode, 0)
        self.assertIn("--check", p.stdout)
        for args in (["--chekc"], ["word"], ["-c"], ["-x"]):
            with self.subTest(args):
                p = subprocess.run([AGENTD, *args], capture_output=True,
                                   text=True, check=False,
                                   timeout=harness.LONG)
                self.assertEqual(p.returncode, 2, p.stderr)
                self.assertEqual(p.stdout, "")
        p = subprocess.run([AGENTD, "--version"], capture_output=True,
                           text=True, check=False)
        self.assertRegex(p.stdout, r"^qapi-agentd \d+\.\d+")


class ApiKey(Case):
    AUTO = False
    SEED = {"secrets": [secret("a")]}

    def refused(self, **kw):
        """The daemon must not start; returns its log."""
        agent = self.start_agent(wait=False, **kw)
        self.assertEqual(agent.ended(), 1, agent.log())
        self.expected_status[agent] = 1
        self.assertFalse(os.path.exists(self.socket))
        return agent.log()

    def test_key_file_readable_by_others_is_refused(self):
        self.start_sandbox()
        for mode in (0o644, 0o604, 0o640, 0o606):
            with self.subTest(oct(mode)):
                self.write_key(mode=mode)
                self.assertIn(self.key_path, self.refused())

    def test_key_file_that_is_missing(self):
        self.start_sandbox()
        self.write_key()
        self.assertIn("/nonexistent/key", self.refused(
            conf={"upstream": {"api-key-file": "/nonexistent/key"}}))

    def test_key_file_that_holds_no_key(self):
        self.start_sandbox()
        for text in ("", "\n", "two words", "two\nlines", "nul\0byte",
                     "x" * 100000, "caf\u00e9"):
            with self.subTest(text[:20]):
                self.note_private(text)
                self.write_key(text)
                if not text:
                    with open(self.key_path, "w", encoding="ascii"):
                        pass
                self.assertIn(self.key_path, self.refused())

    def test_newline_after_the_key_does_not_matter(self):
        self.start_sandbox()
        with open(self.key_path, "w", encoding="ascii",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(self.key)
        self.start_agent()
        self.get("a")

    def test_key_from_the_credentials_directory(self):
        self.start_sandbox()
        d = os.path.join(self.dir, "creds")
        os.mkdir(d, 0o700)
        self.write_key(path=os.path.join(d, "api-key"), mode=0o400)
        self.start_agent({"upstream": {"api-key-file": None}},
                         env={"CREDENTIALS_DIRECTORY": d})
        self.get("a")

    def test_api_key_file_wins_over_the_credentials_directory(self):
        self.start_sandbox()
        d = os.path.join(self.dir, "creds")
        os.mkdir(d, 0o700)
        self.write_key("qapi_" + "x" * 40, path=os.path.join(d, "api-key"))
        self.start_agent(env={"CREDENTIALS_DIRECTORY": d})
        self.get("a")

    def test_key_is_never_taken_from_the_environment(self):
        self.start_sandbox()
        self.write_key()
        names = ("QAPI_API_KEY", "QUANTUMAPI_API_KEY", "QUANTUMAPI_KEY",
                 "API_KEY")
        log = self.refused(
            conf={"upstream": {"api-key-file": "/nonexistent/key"}},
            env={n: self.key for n in names})
        self.assertIn("/nonexistent/key", log)

    def test_key_is_not_in_argv_or_environ_of_the_daemon(self):
        self.start()
        self.get("a")
        for what in ("cmdline", "environ"):
            with open(f"/proc/{self.agent.pid}/{what}", "rb") as f:
                self.assertNotIn(self.key.encode(), f.read())


class Socket(Case):
    AUTO = False
    SEED = {"secrets": [secret("a")]}

    def test_mode_of_the_socket(self):
        self.start()
        self.assert_mode(self.socket, 0o660)
        self.assertTrue(stat.S_ISSOCK(os.stat(self.socket).st_mode))
        self.restart_agent({"agent": {"socket-mode": "0600"}})
        self.assert_mode(self.socket, 0o600)
        self.restart_agent({"agent": {"socket-mode": "0666"}})
        self.assert_mode(self.socket, 0o666)

    def test_mode_does_not_depend_on_the_umask(self):
        old = os.umask(0o077)
        try:
            self.start({"agent": {"socket-mode": "0666"}})
        finally:
            os.umask(old)
        self.assert_mode(self.socket, 0o666)

    @harness.needs_root
    def test_group_of_the_socket(self):
        self.start({"agent": {"socket-group": "daemon"}})
        self.assertEqual(os.stat(self.socket).st_gid, ids("daemon")[1])

    def test_socket_is_removed_at_the_end(self):
        self.start()
        self.assertTrue(os.path.exists(self.socket))
        self.assertEqual(self.agent.stop(), 0)
        self.assertFalse(os.path.exists(self.socket))

    def test_second_daemon_on_the_same_socket_refuses_to_start(self):
        self.start()
        first = self.agent
        second = self.start_agent(wait=False)
        self.assertEqual(second.ended(), 1)
        self.expected_status[second] = 1
        self.assertIn(self.socket, second.log())
        self.agent = first
        self.get("a")

    def test_two_daemons_that_start_at_once(self):
        self.start_sandbox()
        self.write_key()
        agents = [self.start_agent(wait=False) for _ in range(6)]
        alive = self.wait(
            lambda: [a for a in agents if a.proc.poll() is None]
            if sum(a.proc.poll() is None for a in agents) == 1 else None,
            "all but one have ended")
        for a in agents:
            if a not in alive:
                self.assertEqual(a.ended(), 1)
                self.expected_status[a] = 1
        self.wait(lambda: self.helper("get", "a").status == 0, "it serves")

    def test_stale_socket_is_replaced(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.socket)
        self.assertTrue(os.path.exists(self.socket))
        self.start()
        self.get("a")

    def test_socket_of_a_killed_daemon_is_replaced(self):
        self.start()
        self.agent.proc.kill()
        self.expected_status[self.agent] = -signal.SIGKILL
        self.agent.ended()
        self.assertTrue(os.path.exists(self.socket))
        self.start_agent()
        self.get("a")

    def refused(self):
        agent = self.start_agent(wait=False)
        self.assertEqual(agent.ended(), 1, agent.log())
        self.expected_status[agent] = 1
        self.assertIn(self.socket, agent.log())

    def test_what_is_no_socket_is_left_alone(self):
        self.start_sandbox()
        with open(self.socket, "w", encoding="ascii") as f:
            f.write("precious")
        self.refused()
        with open(self.socket, encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")
        os.unlink(self.socket)
        os.mkdir(self.socket)
        self.refused()
        os.rmdir(self.socket)
        target = os.path.join(self.dir, "target")
        with open(target, "w", encoding="ascii") as f:
            f.write("precious")
        os.symlink(target, self.socket)
        self.refused()
        self.assertEqual(os.readlink(self.socket), target)
        os.unlink(self.socket)
        os.mkfifo(self.socket)
        self.refused()
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.socket).st_mode))
        os.unlink(self.socket)

    def test_socket_that_another_program_serves_is_left_alone(self):
        self.start_sandbox()
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.socket)
            s.listen(1)
            self.refused()
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(self.socket)
        os.unlink(self.socket)

    def test_directory_that_is_missing_is_a_sentence(self):
        self.start_sandbox()
        agent = self.start_agent(
            {"agent": {"socket": "/nonexistent/dir/a.sock"}}, wait=False)
        self.assertEqual(agent.ended(), 1)
        self.expected_status[agent] = 1
        self.assertIn("/nonexistent/dir", agent.log())

    @harness.needs_root
    def test_unprivileged_agent_serves(self):
        self.start(user="nobody")
        self.assertEqual(os.stat(self.socket).st_uid, ids("nobody")[0])
        self.get("a", user="nobody")
        self.get("a")


class Signals(Case):
    SEED = {"secrets": [secret("a")]}

    def test_sigterm_and_sigint_end_it_with_0(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            self.get("a")
            self.assertEqual(self.agent.stop(sig), 0)
            self.assertFalse(os.path.exists(self.socket))
            self.start_agent()

    def test_sigterm_closes_idle_connections(self):
        wires = [self.wire() for _ in range(5)]
        for w in wires:
            w.ping()
        self.assertEqual(self.agent.stop(), 0)
        for w in wires:
            self.assertEqual(w.at_end(), [])

    def test_sigterm_while_a_half_sent_frame_waits(self):
        w = self.wire()
        w.ping()
        w.send_raw(b"\0\0\0\4\1\3")
        began = time.monotonic()
        self.assertEqual(self.agent.stop(), 0)
        self.assertLess(time.monotonic() - began, 3)

    def test_sigpipe_and_others_do_not_end_it(self):
        for sig in (signal.SIGPIPE,):
            self.agent.proc.send_signal(sig)
        self.get("a")

    def test_sigterm_right_after_the_start(self):
        for _ in range(10):
            self.assertEqual(self.agent.stop(), 0)
            self.start_agent(wait=False)
            deadline = time.monotonic() + 5
            while not os.path.exists(self.socket) and \
                    time.monotonic() < deadline:
                pass
        self.assertIn(self.agent.stop(), (0, -signal.SIGTERM))

    @harness.needs_systemd
    def test_ready_status_and_stopping_are_told_to_the_manager(self):
        self.assertEqual(self.agent.noted("READY"), ["1"])
        self.get("a")
        self.assertTrue(self.agent.noted("STATUS"))
        self.assertEqual(self.agent.noted("STOPPING"), [])
        self.assertEqual(self.agent.stop(), 0)
        self.assertEqual(self.agent.noted("STOPPING"), ["1"])
        notes = [k for n in self.agent.notes for k in n]
        self.assertLess(notes.index("READY"), notes.index("STOPPING"))

    @harness.needs_systemd
    def test_status_says_whether_the_service_is_reachable(self):
        self.restart_agent({"cache": {"refresh-interval": "200ms"}})
        self.get("a")
        self.sandbox.stop()
        before = len(self.agent.noted("STATUS"))
        self.wait(lambda: any(
            re.search(r"(?i)down|unreachable|not reachable|unavailable", s)
            for s in self.agent.noted("STATUS")[before:]),
            "STATUS= says that it is not reachable", 30)

    @harness.needs_systemd
    def test_manager_that_does_not_read_stops_nothing(self):
        """No blocking call on the loop, to the service manager either."""
        self.get("a")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.setblocking(False)
            for _ in range(100000):
                try:
                    s.sendto(b"FILLED=1", os.path.join(self.dir, "notify"))
                except BlockingIOError:
                    break
        self.sandbox.stop()
        with self.wire(timeout=10) as w:
            # Changes of the state make STATUS= messages.
            for _ in range(3):
                w.get("qapi://secrets/a", max_age_ms=0, deadline_ms=2000)
                w.get("qapi://secrets/b", deadline_ms=2000)
                w.ping()
        self.agent.proc.send_signal(signal.SIGTERM)
        self.assertEqual(self.agent.ended(10), 0)

    def test_log_is_one_line_an_event(self):
        self.get("a")
        self.helper("get", "no\nsuch")
        self.helper("get", "qapi://secrets/x%E2%80%A8y")
        for line in self.agent.log().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z \w+: ")

    def test_journal_priorities_where_stderr_is_the_journal(self):
        log = os.path.join(self.dir, "agentd.log")
        st = os.stat(log)
        self.restart_agent(
            env={"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})
        self.get("a")
        last = self.agent.log().splitlines()[-1]
        self.assertRegex(last, r"^<[3-7]>")

    def test_log_level(self):
        os.unlink(os.path.join(self.dir, "agentd.log"))
        self.restart_agent({"agent": {"log-level": "error"}})
        self.get("a")
        self.helper("get", "nope")
        self.assertEqual(self.agent.log(), "")

    def test_audit_log_to_a_file_and_off(self):
        path = os.path.join(self.dir, "audit.log")
        self.restart_agent({"agent": {"audit-log": path}})
        self.get("a")
        self.helper("get", "nope")
        self.assert_mode(path, 0o600)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.assertIn("qapi://secrets/a", text)
        self.assertIn(f"uid {os.getuid()}", text)
        self.assertEqual(self.leaks(text, "audit log"), [])
        self.assertEqual(self.agent.stop(), 0)
        os.unlink(path)
        self.start_agent({"agent": {"audit-log": "off"}})
        before = self.agent.log()
        self.get("a")
        self.assertNotIn("qapi://secrets/a", self.agent.log()[len(before):])


@harness.needs_systemd
class Activation(Case):
    """A socket from the service manager, as LISTEN_FDS gives it."""
    AUTO = False
    SEED = {"secrets": [secret("a")]}

    def listen(self):
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.socket)
        s.listen(16)
        self.addCleanup(s.close)
        return s

    def test_inherited_socket_is_served_and_left_there(self):
        s = self.listen()
        self.start(listen_fds=[s.fileno()])
        self.get("a")
        self.assertEqual(self.agent.stop(), 0)
        # It belongs to the manager.
        self.assertTrue(os.path.exists(self.socket))
        os.unlink(self.socket)

    def test_clients_that_came_first_are_answered(self):
        s = self.listen()
        self.start_sandbox()
        w = self.wire()
        rid = w.send_get("qapi://secrets/a")
        self.start_agent(listen_fds=[s.fileno()])
        self.assertEqual(w.recv_for(rid).VALUE,
                         self.SEED["secrets"][0]["value"].encode())
        self.agent.stop()
        os.unlink(self.socket)

    def test_mode_and_lock_of_an_inherited_socket_are_the_managers(self):
        s = self.listen()
        os.chmod(self.socket, 0o640)
        self.start(listen_fds=[s.fileno()])
        self.assert_mode(self.socket, 0o640)
        self.agent.stop()
        os.unlink(self.socket)


if __name__ == "__main__":
    harness.main()
