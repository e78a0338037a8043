#!/usr/bin/env python3
"""The installed units under a real systemd (contract 3 unit=, 7).

Starts itself again inside a throwaway system of namespaces
(tests/support/systemd-in-a-namespace.sh), where `make install` puts the
programs and units to their real places; 77 where that cannot be done.
"""

import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import wait_for

INSIDE = "QAPI_INSIDE_NAMESPACE"
SERVICE = "qapi-agent.service"
SOCKET = "/run/qapi-agent/agent.sock"
KEY = "qapi_" + "s" * 8 + os.urandom(16).hex()
VALUES = {name: name.replace("/", "-") + "-" + os.urandom(12).hex()
          for name in ("web/password", "db/prod", "top")}


def run(*argv, check=True, **kw):
    p = subprocess.run(argv, capture_output=True, text=True, check=False,
                       timeout=120, stdin=subprocess.DEVNULL, **kw)
    if check and p.returncode != 0:
        raise AssertionError(f"{argv}: {p.returncode}\n{p.stdout}{p.stderr}"
                             f"\n{journal()[-6000:]}")
    return p


def systemctl(*argv, **kw):
    return run("systemctl", *argv, **kw)


def show(name, unit=SERVICE):
    return systemctl("show", "--property", name, "--value",
                     unit).stdout.strip()


def journal(unit=None):
    args = ["journalctl", "--no-pager", "-o", "cat"]
    if unit:
        args += ["-u", unit]
    return subprocess.run(args, capture_output=True, text=True, check=False,
                          errors="replace").stdout


def configured_directories():
    """Where `make install` puts things."""
    out = {}
    with open(os.path.join(harness.BUILD, "config.status"),
              encoding="utf-8", errors="replace") as f:
        for m in re.finditer(r'^S\["(\w+)"\]="(.*)"$', f.read(), re.M):
            out[m[1]] = m[2]

    def expand(text):
        for _ in range(5):
            text = re.sub(r"\$\{(\w+)\}", lambda m: out.get(m[1], ""), text)
        return text
    return {k: expand(out[k]) for k in ("bindir", "sysconfdir", "sysusersdir",
                                        "tmpfilesdir")}


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8",
              opener=lambda p, f: os.open(p, f, mode)) as f:
        f.write(text)
    os.chmod(path, mode)


class System(unittest.TestCase):
    """One small system for all tests of this file."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="qi-sd-")
        os.chmod(cls.dir, 0o755)
        where = configured_directories()
        cls.agent = os.path.join(where["bindir"], "qapi-agent")
        env = {k: v for k, v in os.environ.items()
               if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")}
        for part in ("client", "agent", "systemd"):
            # The directory of /usr/local is hidden inside.
            run("make", "-C", os.path.join(harness.BUILD, part), "install",
                "systemdsystemunitdir=/etc/systemd/system", env=env)
        for tool, directory in (("systemd-sysusers", "sysusersdir"),
                                ("systemd-tmpfiles", "tmpfilesdir")):
            argv = [tool] + (["--create"] if "tmpfiles" in tool else [])
            path = os.path.join(where[directory], "qapi-agent.conf")
            if os.path.exists(path):
                run(*argv, path)
        cls.conf_paths = {os.path.join(d, "qapi-agent", "agent.conf")
                          for d in ("/etc", where["sysconfdir"])}
        seed = {"secrets": [{"id": "id-" + n.replace("/", "-"), "name": n,
                             "value": v} for n, v in VALUES.items()],
                "apiKeys": [{"key": KEY, "scopes": ["*"]}]}
        cls.sandbox = harness.Sandbox(cls.dir, seed).start()
        write("/etc/qapi-agent/api-key", KEY + "\n", 0o600)
        systemctl("daemon-reload")
        cls.uid = pwd.getpwnam("qapi-agent").pw_uid \
            if any(u.pw_name == "qapi-agent" for u in pwd.getpwall()) else None

    @classmethod
    def tearDownClass(cls):
        cls.sandbox.stop()
        shutil.rmtree(cls.dir, ignore_errors=True)

    def setUp(self):
        self.configure()
        if self.sandbox.proc is None:
            self.sandbox.start()
        self.sandbox.clear()

    def tearDown(self):
        systemctl("stop", "qapi-agent.socket", SERVICE, check=False)
        systemctl("reset-failed", check=False)
        shutil.rmtree(f"/run/systemd/system/{SERVICE}.d", ignore_errors=True)
        systemctl("daemon-reload")
        text = journal()
        for private in (KEY, *VALUES.values()):
            self.assertNotIn(private, text)

    def diagnose(self):
        return "--- journal\n" + journal()[-5000:]

    def configure(self, rules="", **sections):
        text = (f"[upstream]\nurl={self.sandbox.url}\n"
                f"{sections.get('upstream', '')}\n"
                "[cache]\nrefresh-interval=500ms\n"
                f"{sections.get('cache', '')}\n{rules}\n")
        for path in self.conf_paths:
            write(path, text)

    def drop_in(self, text):
        write(f"/run/systemd/system/{SERVICE}.d/test.conf", text)
        systemctl("daemon-reload")

    def start(self):
        systemctl("start", SERVICE)
        return int(show("MainPID"))

    def get(self, name, check=True):
        return run(self.agent, "get", name, check=check)

    def unit_run(self, unit, *argv, user="nobody", groups="qapi-agent"):
        """Run a command as this unit; (status, stdout, stderr)."""
        out = {n: os.path.join(self.dir, n) for n in ("out", "err")}
        for path in out.values():
            write(path, "", 0o666)
        group = f"SupplementaryGroups={groups}\n" if groups else ""
        write(f"/run/systemd/system/{unit}", "[Service]\nType=oneshot\n"
              f"User={user}\n{group}"
              f"StandardOutput=truncate:{out['out']}\n"
              f"StandardError=truncate:{out['err']}\n"
              "ExecStart=" + " ".join(argv) + "\n")
        systemctl("daemon-reload")
        systemctl("start", unit, check=False)
        status = int(show("ExecMainStatus", unit))
        texts = []
        for path in out.values():
            with open(path, encoding="utf-8") as f:
                texts.append(f.read())
        os.unlink(f"/run/systemd/system/{unit}")
        return status, *texts

    # -- the service --

    def test_units_are_valid(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        p = run("systemd-analyze", "verify", "--man=no",
                "/etc/systemd/system/" + SERVICE,
                "/etc/systemd/system/qapi-agent.socket", check=False)
        self.assertEqual((p.returncode, p.stderr), (0, ""))

    def test_service_starts_is_ready_and_says_how_it_is(self):
        self.start()
        self.assertEqual(show("ActiveState"), "active")
        self.assertEqual(show("Type"), "notify")
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        wait_for(lambda: show("StatusText"), "there is a STATUS=")
        self.sandbox.stop()
        wait_for(lambda: re.search(r"(?i)down|unreachable|unavailable|not re",
                                   show("StatusText")),
                 "STATUS= says that the service cannot be reached", 40)

    def test_runs_as_its_own_user_and_never_as_root(self):
        pid = self.start()
        uid = os.stat(f"/proc/{pid}").st_uid
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            text = f.read()
        uids = set(re.search(r"^Uid:\s+(.*)$", text, re.M)[1].split())
        self.assertEqual(len(uids), 1)
        self.assertNotIn("0", uids)
        self.assertRegex(text, r"(?m)^CapEff:\s+0+$")
        self.assertRegex(text, r"(?m)^NoNewPrivs:\s+1$")
        self.assertRegex(text, r"(?m)^Seccomp:\s+2$")
        self.assertIsNotNone(uid)

    def test_key_comes_by_load_credential(self):
        pid = self.start()
        self.get("top")
        self.assertEqual(stat.S_IMODE(
            os.stat("/etc/qapi-agent/api-key").st_mode), 0o600)
        self.assertEqual(os.stat("/etc/qapi-agent/api-key").st_uid, 0)
        with open(f"/proc/{pid}/environ", "rb") as f:
            env = f.read()
        self.assertIn(b"CREDENTIALS_DIRECTORY=", env)
        self.assertNotIn(KEY.encode(), env)

    def test_missing_key_fails_the_start_in_words(self):
        os.rename("/etc/qapi-agent/api-key", "/etc/qapi-agent/away")
        try:
            self.drop_in("[Service]\nRestart=no\n")
            p = systemctl("start", SERVICE, check=False)
            self.assertNotEqual(p.returncode, 0)
            self.assertRegex(journal(), r"(?i)api-key|credential")
        finally:
            os.rename("/etc/qapi-agent/away", "/etc/qapi-agent/api-key")

    def test_secrets_are_in_memory_that_is_locked(self):
        pid = self.start()
        self.get("top")
        with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
            secretmem = "secretmem" in f.read()
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            locked = int(re.search(r"^VmLck:\s+(\d+)", f.read(), re.M)[1])
        self.assertTrue(secretmem or locked > 100)
        # The system call filter must not take the better kind away.
        probe = subprocess.run(
            [sys.executable, "-c", "import ctypes; raise SystemExit("
             "ctypes.CDLL(None).syscall(447, 0) < 0)"], check=False)
        if probe.returncode == 0:
            self.assertTrue(secretmem, "memfd_secret is not used")

    def test_https_works_within_the_hardening(self):
        """Names, certificates and threads, under the system call filter."""
        cert, key = (os.path.join(self.dir, n) for n in ("c.pem", "c.key"))
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", key, "-out", cert)
        shutil.copy(cert, "/etc/qapi-agent/ca.pem")
        os.chmod("/etc/qapi-agent/ca.pem", 0o644)
        tls = harness.Sandbox(self.dir, self.sandbox.seed,
                              tls=(cert, key)).start()
        try:
            for path in self.conf_paths:
                write(path, f"[upstream]\nurl=https://localhost:{tls.port}"
                      "/api/v1\nca-file=/etc/qapi-agent/ca.pem\n")
            self.start()
            self.assertEqual(self.get("db/prod").stdout, VALUES["db/prod"])
        finally:
            tls.stop()

    def test_default_ca_certificates_can_be_read(self):
        """The unit sees the system's own; a wrong server is refused."""
        for path in self.conf_paths:
            write(path, f"[upstream]\nurl=https://127.0.0.1:"
                  f"{self.sandbox.port}/api/v1\n")
        self.start()
        p = self.get("db/prod", check=False)
        self.assertEqual(p.returncode, 6, p.stderr)

    def test_stop_is_clean(self):
        pid = self.start()
        self.get("top")
        systemctl("stop", SERVICE)
        self.assertFalse(os.path.exists(f"/proc/{pid}"))
        self.assertEqual(show("Result"), "success")
        self.assertEqual(show("ExecMainStatus"), "0")
        systemctl("stop", "qapi-agent.socket")
        self.assertFalse(os.path.exists(SOCKET))

    def test_stop_is_quick_with_requests_under_way(self):
        self.start()
        self.sandbox.fault("*", action="hang")
        with subprocess.Popen([self.agent, "get", "top"],
                              stderr=subprocess.DEVNULL) as p:
            wait_for(lambda: self.sandbox.faults()[0]["hits"] >= 1,
                     "it waits")
            systemctl("stop", SERVICE)
            self.assertEqual(show("Result"), "success")
            p.kill()

    def test_killed_service_comes_back(self):
        pid = self.start()
        self.drop_in("[Service]\nRestartSec=100ms\n")
        os.kill(pid, 9)
        wait_for(lambda: show("ActiveState") == "active" and
                 int(show("MainPID")) not in (0, pid), "it is back")
        self.assertEqual(self.get("top").stdout, VALUES["top"])

    def test_watchdog_is_fed_and_bites(self):
        self.drop_in("[Service]\nWatchdogSec=1s\nRestartSec=100ms\n"
                     "TimeoutAbortSec=1s\n")
        pid = self.start()
        self.get("top")
        # It lives past two periods …
        began = float(show("WatchdogTimestampMonotonic")) / 1e6
        wait_for(lambda: float(show("WatchdogTimestampMonotonic")) / 1e6 >
                 began + 2, "the watchdog is fed")
        self.assertEqual(int(show("MainPID")), pid)
        # … and not when it is stuck.
        os.kill(pid, 19)
        wait_for(lambda: int(show("MainPID")) not in (0, pid),
                 "it was replaced")

    def test_journal_has_one_line_an_event_with_its_priority(self):
        self.start()
        self.get("top")
        self.get("no-such", check=False)
        text = subprocess.run(
            ["journalctl", "--no-pager", "-o", "json", "-u", SERVICE],
            capture_output=True, text=True, check=True).stdout
        own = [json.loads(line) for line in text.splitlines()]
        own = [e for e in own if e.get("_COMM") == "qapi-agentd"]
        self.assertTrue(own)
        self.assertTrue(all(e["PRIORITY"] in "34567" for e in own))
        self.assertGreater(len({e["PRIORITY"] for e in own}), 1)
        self.assertFalse([e for e in own if "<" == e["MESSAGE"][:1]])

    def test_configuration_that_is_faulty_fails_the_start_in_words(self):
        for path in self.conf_paths:
            write(path, "[cache]\nmax-stael=5m\n")
        self.drop_in("[Service]\nRestart=no\n")
        p = systemctl("start", SERVICE, check=False)
        self.assertNotEqual(p.returncode, 0)
        self.assertRegex(journal(SERVICE), r"agent\.conf:2.*max-stale")

    # -- reload --

    def reload(self):
        """systemctl reload; returns what the service logged for it."""
        before = len(journal(SERVICE))
        systemctl("reload", SERVICE)
        wait_for(lambda: re.search(r"configuration read again|reload failed",
                                   journal(SERVICE)[before:]),
                 "the reload has ended")
        wait_for(lambda: show("ActiveState") == "active",
                 "the service is active again")
        return journal(SERVICE)[before:]

    def test_reload_puts_rules_into_force(self):
        self.configure('[allow "web"]\nunit=web.service\nsecrets=web/*\n')
        pid = self.start()
        get = (self.agent, "get")
        self.assertEqual(self.unit_run("web.service", *get,
                                       "web/password")[0], 0)
        self.assertEqual(self.unit_run("web.service", *get, "db/prod")[0], 4)
        self.configure('[allow "web"]\nunit=web.service\nsecrets=db/*\n',
                       cache="max-memory=32M")
        self.assertIn("configuration read again", self.reload())
        self.assertEqual(self.unit_run("web.service", *get, "db/prod")[0], 0)
        self.assertEqual(self.unit_run("web.service", *get,
                                       "web/password")[0], 4)
        self.assertEqual(int(show("MainPID")), pid)

    def test_reload_of_a_bad_file_says_so_and_changes_nothing(self):
        self.configure('[allow "web"]\nunit=web.service\nsecrets=web/*\n')
        self.start()
        self.configure('[allow "web"]\nunit=web.service\nsecerts=db/*\n',
                       cache="max-stale=soon")
        log = self.reload()
        self.assertRegex(log, r"agent\.conf:\d+: .*secerts")
        self.assertRegex(log, r"agent\.conf:\d+: .*max-stale")
        self.assertIn("reload failed", log)
        self.assertRegex(show("StatusText"), r"reload failed: .*agent\.conf")
        get = (self.agent, "get")
        self.assertEqual(self.unit_run("web.service", *get,
                                       "web/password")[0], 0)
        self.assertEqual(self.unit_run("web.service", *get, "db/prod")[0], 4)
        self.configure()
        self.assertIn("configuration read again", self.reload())
        self.assertNotIn("reload failed", show("StatusText"))

    def test_reload_leaves_the_socket_units_socket(self):
        self.start()
        before = os.stat(SOCKET)
        for path in self.conf_paths:
            with open(path, "a", encoding="utf-8") as f:
                f.write("[agent]\nsocket-mode=0666\nmax-connections=200\n")
        log = self.reload()
        self.assertRegex(log, r"socket.*service manager")
        self.assertIn("configuration read again", log)
        after = os.stat(SOCKET)
        self.assertEqual((before.st_ino, before.st_mode),
                         (after.st_ino, after.st_mode))
        self.assertEqual(self.get("top").stdout, VALUES["top"])

    def test_reload_with_a_socket_of_its_own(self):
        """Without the socket unit: bound anew, as the unit's user may."""
        self.drop_in("[Unit]\nRequires=\nAfter=\n"
                     "[Service]\nSockets=\n")
        systemctl("stop", "qapi-agent.socket", check=False)
        own = "/run/qapi-agent/own.sock"
        for path in self.conf_paths:
            with open(path, "a", encoding="utf-8") as f:
                f.write(f"[agent]\nsocket={own}\n")
        self.start()
        self.assertEqual(stat.S_IMODE(os.stat(own).st_mode), 0o660)
        new = "/run/qapi-agent/new.sock"
        for path in self.conf_paths:
            with open(path, encoding="utf-8") as f:
                text = f.read()
            write(path, text.replace(own, new) + "socket-mode=0600\n")
        self.assertIn("configuration read again", self.reload())
        self.assertFalse(os.path.exists(own))
        self.assertEqual(stat.S_IMODE(os.stat(new).st_mode), 0o600)
        self.assertEqual(run(self.agent, "--socket", new, "get",
                             "top").stdout, VALUES["top"])

    def test_reload_of_type_notify_reload(self):
        """Where systemd has it (253): it waits for the end by itself."""
        version = int(re.search(r"systemd (\d+)", run(
            "systemctl", "--version").stdout)[1])
        if version < 253:
            self.skipTest(f"systemd {version} has no Type=notify-reload")
        self.drop_in("[Service]\nType=notify-reload\nExecReload=\n")
        self.start()
        self.configure(cache="max-memory=32M")
        before = len(journal(SERVICE))
        systemctl("reload", SERVICE)
        self.assertIn("configuration read again", journal(SERVICE)[before:])

    def test_a_configuration_that_comes_later_is_read(self):
        """There was none at the start: SIGHUP reads the one there is now."""
        texts = {}
        for path in self.conf_paths:
            with open(path, encoding="utf-8") as f:
                texts[path] = f.read()
            os.unlink(path)
        self.start()
        self.assertIn("configuration read again", self.reload())
        text = texts["/etc/qapi-agent/agent.conf"]
        write("/etc/qapi-agent/agent.conf",
              re.sub("url=.*\n", "", text) + "[agent]\nlog-level=debug\n")
        self.assertIn("configuration read again", self.reload())
        run(self.agent, "ping")
        wait_for(lambda: "client is" in journal(SERVICE), "debug lines")
        # once there was one, it is needed
        os.unlink("/etc/qapi-agent/agent.conf")
        self.assertIn("reload failed", self.reload())

    # -- the socket --

    def test_clients_may_start_first(self):
        systemctl("start", "qapi-agent.socket")
        self.assertEqual(show("ActiveState"), "inactive")
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        self.assertEqual(show("ActiveState"), "active")

    def test_mode_and_group_of_the_socket(self):
        systemctl("start", "qapi-agent.socket")
        st = os.stat(SOCKET)
        self.assertEqual(stat.S_IMODE(st.st_mode), 0o660)
        self.assertNotEqual(st.st_gid, 0)
        self.start()
        st2 = os.stat(SOCKET)
        self.assertEqual((st2.st_mode, st2.st_gid, st2.st_ino),
                         (st.st_mode, st.st_gid, st.st_ino))

    # -- the descriptor store --

    def age(self, name):
        return json.loads(run(self.agent, "get", "--json",
                              name).stdout)["ageSeconds"]

    def stored(self):
        return int(show("NFileDescriptorStore"))

    def test_restart_keeps_the_cache_without_a_disk(self):
        """The service is down meanwhile; ages count on."""
        self.configure(cache="max-stale=1h")
        self.start()
        for name, value in VALUES.items():
            self.assertEqual(self.get(name).stdout, value)
        wait_for(lambda: self.stored() >= 1, "a snapshot is stored")
        self.sandbox.stop()
        before = self.age("top")
        wait_for(lambda: self.age("top") > before, "it gets older")
        before = self.age("top")
        systemctl("restart", SERVICE)
        for name, value in VALUES.items():
            self.assertEqual(self.get(name).stdout, value)
        self.assertGreaterEqual(self.age("top"), before)
        self.assertRegex(journal(SERVICE), r"kept by the service manager: "
                         r"taken over: 3 values")
        # and once more, from what that one stored
        systemctl("restart", SERVICE)
        self.assertEqual(self.get("db/prod").stdout, VALUES["db/prod"])
        self.assertGreaterEqual(self.age("top"), before)
        self.assertLessEqual(self.stored(), 2)
        systemctl("stop", "qapi-agent.socket", SERVICE)
        self.assertEqual(self.stored(), 0)

    def test_crash_keeps_the_cache_without_a_disk(self):
        self.configure(cache="max-stale=1h")
        self.drop_in("[Service]\nRestartSec=100ms\n")
        pid = self.start()
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        wait_for(lambda: self.stored() >= 1, "a snapshot is stored")
        self.sandbox.stop()
        os.kill(pid, 9)
        wait_for(lambda: show("ActiveState") == "active" and
                 int(show("MainPID")) not in (0, pid), "it is back")
        self.assertEqual(self.get("top").stdout, VALUES["top"])

    def test_socket_activation_and_the_store_share_the_descriptors(self):
        """Neither takes the other's: LISTEN_FDS has both."""
        self.configure(cache="max-stale=1h")
        systemctl("start", "qapi-agent.socket")
        inode = os.stat(SOCKET).st_ino
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        wait_for(lambda: self.stored() >= 1, "a snapshot is stored")
        self.sandbox.stop()
        systemctl("restart", SERVICE)
        self.assertEqual(os.stat(SOCKET).st_ino, inode)
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        # a reload looks at the list again
        systemctl("reload", SERVICE)
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        self.assertEqual(os.stat(SOCKET).st_ino, inode)

    def test_state_file_and_credential_within_the_hardening(self):
        """A disk, a key of its own, a boot id: over a stop."""
        write("/etc/qapi-agent/state-key", os.urandom(20).hex(), 0o600)
        self.configure(cache="max-stale=1h\n"
                       "state-file=/var/lib/qapi-agent/state")
        self.drop_in("[Service]\n"
                     "LoadCredential=state-key:/etc/qapi-agent/state-key\n")
        self.start()
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        systemctl("stop", "qapi-agent.socket", SERVICE)
        self.assertEqual(self.stored(), 0)
        st = os.stat("/var/lib/qapi-agent/state")
        self.assertEqual(stat.S_IMODE(st.st_mode), 0o600)
        with open("/var/lib/qapi-agent/state", "rb") as f:
            data = f.read()
        self.assertNotIn(VALUES["top"].encode(), data)
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
            boot = bytes.fromhex(f.read().strip().replace("-", ""))
        self.assertIn(boot, data[:144])
        self.sandbox.stop()
        self.start()
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        self.assertRegex(journal(SERVICE),
                         r"state-file: /var/lib/qapi-agent/state: taken over")
        os.unlink("/var/lib/qapi-agent/state")
        os.unlink("/etc/qapi-agent/state-key")

    def test_restart_loses_no_client(self):
        self.start()
        self.get("top")
        failures = []
        with subprocess.Popen(["systemctl", "restart", SERVICE]) as p:
            while p.poll() is None:
                got = self.get("top", check=False)
                if got.returncode != 0:
                    failures.append(got.stderr)
        self.assertEqual(self.get("top").stdout, VALUES["top"])
        # One that was being answered may be cut; none may find no agent.
        self.assertFalse([f for f in failures if "no such file" in f.lower()
                          or "refused" in f.lower()], failures)

    def test_socket_stays_when_the_service_stops(self):
        systemctl("start", "qapi-agent.socket")
        self.get("top")
        systemctl("stop", SERVICE, check=False)
        self.assertTrue(os.path.exists(SOCKET))
        self.assertEqual(self.get("top").stdout, VALUES["top"])

    # -- unit= --

    RULES = ('[allow "web"]\nunit=web@*.service\nsecrets=web/**\n'
             '[allow "db"]\nunit=db.service,db-backup.service\n'
             "user=nobody\nsecrets=db/*\n")

    def test_rule_by_unit(self):
        self.configure(self.RULES)
        self.start()
        get = (self.agent, "get")
        self.assertEqual(self.unit_run("web@1.service", *get,
                                       "web/password"),
                         (0, VALUES["web/password"], ""))
        self.assertEqual(self.unit_run("web@two.service", *get,
                                       "web/password")[0], 0)
        self.assertEqual(self.unit_run("db.service", *get, "db/prod")[0], 0)
        for unit, name in (("web@1.service", "db/prod"),
                           ("web@1.service", "top"),
                           ("db.service", "web/password"),
                           ("web.service", "web/password"),
                           ("xweb@1.service", "web/password"),
                           ("other.service", "web/password")):
            with self.subTest(unit=unit, name=name):
                status, out, err = self.unit_run(unit, *get, name)
                self.assertEqual((status, out), (4, ""), err)

    def test_every_line_given_must_match(self):
        self.configure(self.RULES)
        self.start()
        self.assertEqual(self.unit_run("db.service", self.agent, "get",
                                       "db/prod", user="games")[0], 4)

    def test_process_outside_of_the_unit_is_denied(self):
        self.configure(self.RULES)
        self.start()
        p = run("setpriv", "--reuid=nobody", "--regid=nogroup",
                "--groups=qapi-agent", self.agent, "get", "web/password",
                check=False)
        self.assertEqual(p.returncode, 4, p.stderr)

    def test_child_of_a_units_process_is_of_the_unit(self):
        self.configure(self.RULES)
        self.start()
        status, out, _ = self.unit_run(
            "web@1.service", "/bin/sh", "-c",
            f"\"(setsid {self.agent} get web/password)\"")
        self.assertEqual((status, out), (0, VALUES["web/password"]))

    def test_title_of_the_rule_and_unit_are_in_the_record(self):
        self.configure(self.RULES)
        self.start()
        self.unit_run("web@1.service", self.agent, "get", "db/prod")
        self.assertRegex(journal(SERVICE), r"web@1\.service.*db/prod")

    def test_run_in_a_unit_hands_the_value_over(self):
        self.configure(self.RULES)
        self.start()
        self.assertEqual(
            self.unit_run("web@1.service", self.agent, "run", "--env",
                          "PW=web/password", "--", "printenv", "PW"),
            (0, VALUES["web/password"] + "\n", ""))


def outside():
    """Boot the little system and run this file in it."""
    script = os.path.join(harness.SOURCE, "tests", "support",
                          "systemd-in-a-namespace.sh")
    if not harness.ROOT or not harness.HAVE_SYSTEMD or harness.SANITIZED:
        print("skipped: takes root, systemd and no sanitizers")
        return 77
    if not os.path.exists(os.path.join(harness.BUILD, "config.status")):
        print("skipped: no build tree of automake's")
        return 77
    shares = []
    for directory in sorted({harness.SOURCE, harness.BUILD}):
        if not any(directory.startswith(s + "/") for s in shares):
            shares.append(directory)
    with tempfile.TemporaryDirectory(prefix="qi-units-") as units:
        argv = ["bash", script, "-t", "200"]
        for directory in shares:
            argv += ["-w", directory]
        argv += [units, sys.executable, "-B", os.path.abspath(__file__),
                 *sys.argv[1:]]
        return subprocess.run(argv, env={**os.environ, INSIDE: "1"},
                              check=False).returncode


if __name__ == "__main__":
    if INSIDE in os.environ:
        harness.main()
    sys.exit(outside())
