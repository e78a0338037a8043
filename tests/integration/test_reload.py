#!/usr/bin/env python3
"""SIGHUP (contract 3): everything is read again; a bad file changes nothing.

`systemctl reload` is in test_systemd.py.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import harness
import wire
from harness import Case, needs_root, needs_systemd, ref, secret, write_conf

A = ref("a")
ADMIN = [("admin", {"user": "root", "secrets": "**", "operations":
                    "read,list,admin"})]


class Reloading(Case):
    """What the tests below share."""
    SEED = {"secrets": [secret("a"), secret("b"), secret("c"), secret("d")]}

    DONE = ("configuration read again", "reload failed: ")

    def ends(self):
        log = self.agent.log()
        return sum(log.count(text) for text in self.DONE)

    def hup(self):
        """SIGHUP; returns what was logged for it, once it has ended."""
        ends, before = self.ends(), len(self.agent.log())
        os.kill(self.agent.pid, signal.SIGHUP)
        # read meanwhile: what does not fit into the manager's queue is lost
        self.wait(lambda: (self.agent.read_notes() or True) and
                  self.ends() > ends, "the reload has ended")
        return self.agent.log()[before:]

    def reload(self, conf=None, allow=None):
        """It must be taken over."""
        write_conf(self.conf_path, self.conf(conf, allow))
        log = self.hup()
        self.assertIn("configuration read again", log)
        return log

    def refused(self, conf=None, allow=None):
        """It must not be, and the status must say so."""
        write_conf(self.conf_path, self.conf(conf, allow))
        return self.refused_file()

    def refused_file(self):
        seen = len(self.agent.noted("STATUS"))
        log = self.hup()
        self.assertIn("reload failed: ", log)
        self.assertNotIn("configuration read again", log)
        self.assertRegex(log, r"running (one|configuration) stays in force")
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: any("reload failed: " in s for s in
                                  self.agent.noted("STATUS")[seen:]),
                      "STATUS= says that it failed")
        return log

    def last_status(self):
        return self.agent.noted("STATUS")[-1]


class Whole(Reloading):
    """All of it, or nothing."""

    def test_a_bad_file_changes_nothing_and_every_fault_is_listed(self):
        with open(self.conf_path, encoding="utf-8") as f:
            good = f.read()
        before = self.get("a")
        with open(self.conf_path, "a", encoding="utf-8") as f:
            f.write("[agent]\nlog-level=debug\nsokcet=/run/x\n"
                    "[cache]\nmax-stale=soon\nnegative-ttl=1ms\n")
        log = self.refused_file()
        n = good.count("\n")
        for line, text in ((n + 3, "sokcet"), (n + 5, "max-stale")):
            self.assertIn(f"error: {self.conf_path}:{line}: ", log)
            self.assertIn(text, log)
            if harness.HAVE_SYSTEMD:
                self.assertIn(f"{self.conf_path}:{line}: ",
                              self.last_status())
        self.assertEqual(self.get("a"), before)
        self.assertNotIn(" debug: ", self.agent.log())
        # what is negative stays so: negative-ttl is as it was
        self.fails(3, "get", "nope")
        self.sandbox.forget()
        self.fails(3, "get", "nope")
        self.assertEqual(self.sandbox.total, 0)

    def test_a_file_that_is_gone_or_writable_by_others_changes_nothing(self):
        os.rename(self.conf_path, self.conf_path + ".away")
        self.assertIn(self.conf_path, self.refused_file())
        os.rename(self.conf_path + ".away", self.conf_path)
        os.chmod(self.conf_path, 0o666)
        self.assertIn(self.conf_path, self.refused_file())
        self.get("a")

    def test_status_says_so_until_the_next_good_one(self):
        if not harness.HAVE_SYSTEMD:
            self.skipTest("built without systemd")
        self.refused({"agent": {"socket-mode": "a lot"}})
        # an event of its own that sends another STATUS=
        seen = len(self.agent.noted("STATUS"))
        self.sandbox.fault(status=500)
        self.helper("get", "--fresh", "a")
        self.wait(lambda: len(self.agent.noted("STATUS")) > seen and
                  "service down" in self.last_status(),
                  "STATUS= tells about the service")
        self.assertIn("reload failed: ", self.last_status())
        self.reload()
        self.wait(lambda: "reload failed" not in self.last_status(),
                  "STATUS= has forgotten about it")

    @needs_systemd
    def test_the_manager_is_told_begin_and_end(self):
        first = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        for conf in ({}, {"cache": {"max-stale": "soon"}}):
            seen = len(self.agent.read_notes())
            write_conf(self.conf_path, self.conf(conf))
            self.hup()
            self.wait(lambda: any("READY" in n for n in
                                  self.agent.read_notes()[seen:]), "READY=1")
            notes = self.agent.read_notes()[seen:]
            begin = [i for i, n in enumerate(notes) if "RELOADING" in n]
            end = [i for i, n in enumerate(notes) if "READY" in n]
            self.assertEqual((len(begin), len(end)), (1, 1))
            self.assertLess(begin[0], end[0])
            self.assertEqual(notes[begin[0]]["RELOADING"], "1")
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            usec = int(notes[begin[0]]["MONOTONIC_USEC"])
            self.assertTrue(first <= usec <= now, (first, usec, now))
            first = now

    def test_what_cannot_be_prepared_leaves_everything_as_it_was(self):
        """One part fails, and what would have been fine is not taken over."""
        inode = os.stat(self.socket).st_ino
        for conf, text in (
                ({"agent": {"audit-log": self.dir + "/no/such/file"}},
                 "audit-log: "),
                ({"agent": {"socket": self.dir + "/no/such/dir/s.sock"}},
                 "/no/such/dir/s.sock: "),
                ({"agent": {"socket-group": "no-such-group"}},
                 "no-such-group"),
                ({"upstream": {"api-key-file": self.dir + "/no-key"}},
                 "no-key")):
            with self.subTest(text):
                conf.setdefault("agent", {})["socket-mode"] = "0666"
                conf["cache"] = {"max-memory": "8M"}
                self.assertIn(text, self.refused(conf))
                if harness.HAVE_SYSTEMD:
                    self.assertIn(text, self.last_status())
                self.assert_mode(self.socket, 0o660)
                self.assertEqual(os.stat(self.socket).st_ino, inode)
                self.assertEqual(self.status()["cache"]["maxBytes"], 16 << 20)
                self.assertEqual(set(os.listdir(self.run_dir)),
                                 {"agent.sock", "agent.sock.lock"})
                self.get("a")

    def test_many_in_a_row_leave_nothing_behind(self):
        fds = f"/proc/{self.agent.pid}/fd"
        self.get("a")
        self.reload()
        self.get("a")
        before = len(os.listdir(fds))
        for _ in range(20):
            self.reload({"agent": {"audit-log": self.dir + "/audit"}})
            self.refused({"agent": {"audit-log": self.dir + "/no/such"}})
        self.reload()
        self.get("a")
        self.wait(lambda: len(os.listdir(fds)) <= before,
                  "no more descriptors are open than before", 5)


class Key(Reloading):
    """The API key (contract 3)."""

    def test_a_bad_key_file_changes_nothing(self):
        os.chmod(self.key_path, 0o644)
        log = self.refused({"cache": {"max-memory": "8M"}})
        self.assertIn(self.key_path, log)
        self.assertEqual(self.status()["cache"]["maxBytes"], 16 << 20)
        self.get("a")

    def test_another_url_is_another_service_and_takes_a_restart(self):
        """Its key, above all, must not be shown to the one in force."""
        other = self.start_sandbox()
        new = "qapi_" + "n" * 40
        self.note_private(new)
        self.write_key(new, self.dir + "/other-key")
        value = self.get("a")
        log = self.reload({"upstream": {
            "url": other.url, "api-key-file": self.dir + "/other-key",
            "proxy": "http://127.0.0.1:1"},
            "cache": {"max-memory": "8M"}})
        self.assertRegex(log, r"warning: url= .*restart")
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: "url= has changed" in self.last_status(),
                      "STATUS= says so")
        self.assertEqual(self.status()["upstream"]["url"], self.sandbox.url)
        self.assertEqual(self.status()["cache"]["maxBytes"], 8 << 20)
        # the old key and no proxy: a wrong key would be refused
        self.assertEqual(self.get("a", "--fresh"), value)
        self.assertEqual(other.total, 0)
        log = self.reload()
        self.assertNotIn("restart", log)


class Socket(Reloading):
    """socket, socket-mode, socket-group."""

    def test_new_path_is_bound_and_the_old_one_taken_away(self):
        old, new = self.socket, os.path.join(self.run_dir, "new.sock")
        w = self.wire()
        self.assertIsNone(w.get(A).error)
        # a request that waits for the service meanwhile
        fault = self.sandbox.fault("*/secrets/b", latencyMs=600)
        rid = w.send_get(ref("b"))
        self.wait(lambda: self.sandbox.hits(fault) == 1, "it was asked for b")
        log = self.reload({"agent": {"socket": new}})
        self.assertIn(new, log)
        self.assertEqual(set(os.listdir(self.run_dir)),
                         {"new.sock", "new.sock.lock"})
        self.assertEqual(w.recv_for(rid).VALUE,
                         self.SEED["secrets"][1]["value"].encode())
        self.assertIsNone(w.get(A).error)
        self.socket = new
        self.get("a")
        # and back
        self.socket = old
        self.reload()
        self.get("a")
        self.assertIsNone(w.get(A).error)

    def test_who_has_connected_to_the_old_one_is_served(self):
        """Also whom the agent has not yet accepted when it is gone."""
        new = os.path.join(self.run_dir, "new.sock")
        write_conf(self.conf_path, self.conf({"agent": {"socket": new}}))
        ends = self.ends()
        os.kill(self.agent.pid, signal.SIGSTOP)
        wires = [self.wire() for _ in range(50)]
        os.kill(self.agent.pid, signal.SIGHUP)
        os.kill(self.agent.pid, signal.SIGCONT)
        self.wait(lambda: self.ends() > ends, "the reload has ended")
        for w in wires:
            w.ping()
        self.socket = new

    def test_path_in_use_by_another_program(self):
        path = os.path.join(self.dir, "other.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            s.listen(1)
            log = self.refused({"agent": {"socket": path}})
            self.assertIn(f"{path}: another program listens there", log)
        self.assertTrue(os.path.exists(path))
        self.get("a")

    def test_mode_is_changed_in_place(self):
        inode = os.stat(self.socket).st_ino
        self.reload({"agent": {"socket-mode": "0606"}})
        self.assert_mode(self.socket, 0o606)
        self.assertEqual(os.stat(self.socket).st_ino, inode)
        w = self.wire()
        w.ping()
        self.reload()
        self.assert_mode(self.socket, 0o660)
        w.ping()

    @needs_root
    def test_group_is_changed_in_place(self):
        inode = os.stat(self.socket).st_ino
        self.reload({"agent": {"socket-group": "games"}})
        st = os.stat(self.socket)
        self.assertEqual((st.st_gid, st.st_ino),
                         (harness.grp.getgrnam("games").gr_gid, inode))
        self.ok("ping", user="nobody", groups=["games"])
        self.reload()
        self.assertEqual(os.stat(self.socket).st_gid, os.getegid())
        self.fails(5, "ping", user="nobody", groups=["games"])

    def test_a_socket_that_is_no_longer_there(self):
        os.rename(self.socket, self.socket + ".away")
        log = self.refused({"agent": {"socket-mode": "0600"}})
        self.assertIn("is not there any more", log)
        self.assert_mode(self.socket + ".away", 0o660)
        os.rename(self.socket + ".away", self.socket)

    def test_unchanged_is_left_alone(self):
        before = os.stat(self.socket)
        self.reload({"agent": {"log-level": "debug"}})
        after = os.stat(self.socket)
        self.assertEqual((before.st_ino, before.st_ctime_ns),
                         (after.st_ino, after.st_ctime_ns))


@needs_systemd
class Inherited(Reloading):
    AUTO = False

    def test_inherited_socket_stays_and_says_so(self):
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.socket)
        s.listen(16)
        self.addCleanup(s.close)
        os.chmod(self.socket, 0o640)
        self.start(listen_fds=[s.fileno()])
        for conf in ({"socket": self.dir + "/other.sock"},
                     {"socket-mode": "0666"},
                     {"socket-group": str(os.getegid() + 1)}):
            with self.subTest(conf):
                log = self.reload({"agent": conf,
                                   "cache": {"max-memory": "8M"}})
                self.assertRegex(log, r"warning: .*the service manager")
                self.wait(lambda: "the service manager" in
                          self.last_status(), "STATUS= says so")
                self.assert_mode(self.socket, 0o640)
                self.get("a")
                self.assertEqual(self.status()["cache"]["maxBytes"], 8 << 20)
                log = self.reload()
                self.assertNotIn("the service manager", log)
        self.assertFalse(os.path.exists(self.dir + "/other.sock"))
        self.agent.stop()
        os.unlink(self.socket)


class Agent(Reloading):
    """The rest of [agent]."""

    def test_max_connections(self):
        def full(w):
            try:
                w.ping()
            except (wire.Closed, OSError):
                return True
            return False

        self.reload({"agent": {"max-connections": "3"}})
        wires = [self.wire() for _ in range(3)]
        for w in wires:
            w.ping()
        self.assertTrue(full(self.wire()))
        # those that are open stay
        self.reload({"agent": {"max-connections": "1"}})
        for w in wires:
            w.ping()
        self.assertTrue(full(self.wire()))
        self.reload({"agent": {"max-connections": "5"}})
        more = [self.wire() for _ in range(2)]
        for w in wires + more:
            w.ping()
        self.assertTrue(full(self.wire()))

    def test_max_connections_raises_the_limit_of_descriptors(self):
        def soft():
            with open(f"/proc/{self.agent.pid}/limits",
                      encoding="ascii") as f:
                line = next(x for x in f if x.startswith("Max open files"))
            return int(line.split()[3])
        self.agent.stop()
        self.start_agent({"agent": {"max-connections": "100"}},
                         prefix=["prlimit", "--nofile=400:20000"])
        self.assertEqual(soft(), 400)
        self.reload({"agent": {"max-connections": "1000"}})
        self.assertGreaterEqual(soft(), 2000)

    def test_audit_log(self):
        one, two = (os.path.join(self.dir, n) for n in ("one", "two"))

        def lines(path):
            with open(path, encoding="utf-8") as f:
                return f.read().count('"qapi://secrets/a"')

        self.reload({"agent": {"audit-log": one}})
        log = len(self.agent.log())
        self.get("a")
        self.assertEqual(lines(one), 1)
        self.assertNotIn("qapi://secrets/a", self.agent.log()[log:])
        self.assert_mode(one, 0o600)
        self.reload({"agent": {"audit-log": two}})
        self.get("a")
        self.assertEqual((lines(one), lines(two)), (1, 1))
        # logrotate
        os.rename(two, two + ".1")
        self.hup()
        self.get("a")
        self.assertEqual((lines(two + ".1"), lines(two)), (1, 1))
        # one that cannot be had: the present one stays in use
        os.rename(two, two + ".2")
        os.mkdir(two)
        self.assertIn("audit-log: ", self.refused_file())
        self.get("a")
        self.assertEqual(lines(two + ".2"), 2)
        self.reload({"agent": {"audit-log": "off"}})
        log = len(self.agent.log())
        self.get("a")
        self.assertNotIn("qapi://secrets/a", self.agent.log()[log:])
        self.reload({"agent": {"audit-log": "journal"}})
        self.get("a")
        self.wait(lambda: "qapi://secrets/a" in self.agent.log()[log:],
                  "it is in the log again")

    def test_log_level(self):
        self.reload({"agent": {"log-level": "debug"}})
        self.get("a")
        self.wait(lambda: " debug: " in self.agent.log(), "debug lines")
        self.reload({"agent": {"log-level": "notice"}})
        log = len(self.agent.log())
        self.get("a")
        self.assertNotRegex(self.agent.log()[log:], " (debug|info): ")

    def test_max_requests_per_second_per_caller(self):
        self.reload({"agent": {"max-requests-per-second-per-caller": "2"}})
        with self.wire() as w:
            errors = [w.get(A).error for _ in range(20)]
            self.assertIn("rate-limited", errors)
            self.reload()
            self.assertEqual({w.get(A).error for _ in range(100)}, {None})

    @needs_root
    def test_policy_is_in_force_for_connections_already_open(self):
        with self.wire() as w:
            self.assertIsNone(w.get(A).error)
            self.reload({"agent": {"root-needs-rule": "yes"}})
            self.assertEqual(w.get(A).error, "denied")
            self.reload({"agent": {"root-needs-rule": "yes"}},
                        [("mine", {"user": "root", "secrets": "a"})])
            self.assertIsNone(w.get(A).error)
            self.assertEqual(w.get(ref("b")).error, "denied")
            self.refused({"agent": {"root-needs-rule": "yes"}},
                         [("mine", {"user": "root", "secerts": "b"})])
            self.assertIsNone(w.get(A).error)
            self.assertEqual(w.get(ref("b")).error, "denied")
            self.reload()
            self.assertIsNone(w.get(ref("b")).error)

    @needs_root
    def test_policy_holds_for_what_is_under_way(self):
        """Asked for while it was allowed, answered when it no longer is."""
        with self.wire() as w:
            fault = self.sandbox.fault("*/secrets/a", latencyMs=500)
            rid = w.send_get(A)
            self.wait(lambda: self.sandbox.hits(fault) == 1, "it was asked")
            self.reload({"agent": {"root-needs-rule": "yes"}})
            self.assertEqual(w.recv_for(rid).error, "denied")


class Upstream(Reloading):
    """How the service is talked to."""

    def test_request_timeout_for_new_requests_only(self):
        with self.wire() as w:
            slow = self.sandbox.fault("*/secrets/a", latencyMs=1500)
            rid = w.send_get(A, deadline_ms=15000)
            self.wait(lambda: self.sandbox.hits(slow) == 1, "it was asked")
            self.reload({"upstream": {"request-timeout": "300ms"}})
            self.sandbox.fault("*/secrets/b", action="hang")
            got = w.get(ref("b"), deadline_ms=15000)
            self.assertEqual(got.error, "upstream-unavailable")
            self.assertIn("300 ms", got.MESSAGE)
            # the one under way had longer than that, and was sent once
            self.assertEqual(w.recv_for(rid).VALUE,
                             self.SEED["secrets"][0]["value"].encode())
            self.assertEqual(self.sandbox.hits(slow), 1)

    def test_connect_timeout(self):
        """To an address that answers nothing: a full queue."""
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(0)
            full = [socket.socket() for _ in range(4)]
            for f in full:
                f.setblocking(False)
                f.connect_ex(s.getsockname())
            self.reload({"upstream": {
                "connect-timeout": "200ms",
                "proxy": "http://127.0.0.1:%d" % s.getsockname()[1]}})
            with self.wire() as w:
                got = w.get(A, deadline_ms=15000)
            self.assertEqual(got.error, "upstream-unavailable")
            self.assertIn("within 200 ms", got.MESSAGE)
            for f in full:
                f.close()

    def test_max_response(self):
        self.reload({"upstream": {"max-response": "16"}})
        self.assert_error("too-large", 1, "get", "a")
        self.reload()
        self.helper("purge", "--all")
        self.get("a")

    def test_proxy(self):
        self.get("a")       # leaves a connection to the service open
        seen = []
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(harness.LONG)
        self.addCleanup(server.close)

        def run():
            while True:
                try:
                    conn, _ = server.accept()
                except OSError:
                    return
                with conn:
                    seen.append(conn.recv(65536))
        threading.Thread(target=run, daemon=True).start()
        port = server.getsockname()[1]
        self.reload({"upstream": {"proxy": f"http://127.0.0.1:{port}"}})
        self.helper("get", "--fresh", "a")
        self.assertTrue(seen[0].startswith(b"GET http://127.0.0.1:"))
        self.reload()
        self.wait(lambda: self.helper("get", "--fresh", "a").status == 0,
                  "the service is asked without the proxy again")

    def test_max_in_flight(self):
        self.reload({"upstream": {"max-in-flight": "1"}})
        fault = self.sandbox.fault("*/secrets/*", action="hang")
        with self.wire() as w:
            for name in "abcd":
                w.send_get(ref(name))
            self.wait(lambda: self.sandbox.hits(fault) == 1, "one is sent")
            # what comes later on the loop: a reload that changes nothing
            self.reload({"upstream": {"max-in-flight": "1"}})
            w.ping()
            self.assertEqual(self.sandbox.hits(fault), 1)
            self.reload({"upstream": {"max-in-flight": "3"}})
            self.wait(lambda: self.sandbox.hits(fault) == 3,
                      "three are sent", 4)


class Tls(Reloading):
    """ca-file, pinned-public-key."""
    AUTO = False

    def certificate(self, name):
        """(certificate, key), which signs itself."""
        cert, key = (os.path.join(self.dir, f"{name}.{x}")
                     for x in ("pem", "key"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", key, "-out", cert], check=True, capture_output=True)
        return cert, key

    def works(self):
        return self.helper("get", "--fresh", "a").status == 0

    def refused_by_tls(self, text):
        got = self.assert_error("upstream-unavailable", 6, "get", "--fresh",
                                "a")
        self.assertIn(text, got["message"])

    def test_ca_file_and_pin(self):
        good, other = self.certificate("good"), self.certificate("other")
        ca = os.path.join(self.dir, "ca.pem")
        shutil.copy(good[0], ca)
        self.start_sandbox(tls=good)
        self.start_agent({"upstream": {"ca-file": ca}})
        self.assertTrue(self.works())
        # another file
        self.reload({"upstream": {"ca-file": other[0]}})
        self.refused_by_tls("authority")
        self.reload({"upstream": {"ca-file": ca}})
        self.wait(self.works, "the service is asked again")
        # the same file, with other content
        shutil.copy(other[0], ca)
        self.hup()
        self.refused_by_tls("authority")
        shutil.copy(good[0], ca)
        self.hup()
        self.wait(self.works, "the service is asked again")
        self.reload({"upstream": {
            "ca-file": ca, "pinned-public-key": "sha256//" + "A" * 43 + "="}})
        self.refused_by_tls("pinned")
        self.reload({"upstream": {"ca-file": ca}})
        self.wait(self.works, "the service is asked again")


class Cache(Reloading):
    """[cache]."""

    def test_cached_values_stay(self):
        self.get("a")
        self.sandbox.forget()
        self.reload({"agent": {"log-level": "debug"},
                     "upstream": {"max-in-flight": "3"}})
        self.get("a")
        self.assertEqual(self.sandbox.total, 0)

    def test_refresh_interval_for_what_is_cached(self):
        self.get("a")
        self.reload({"cache": {"refresh-interval": "200ms"}})
        self.sandbox.set("a", value="another value")
        self.wait(lambda: self.get("a") == b"another value",
                  "it is refreshed", 5)

    def test_smaller_max_memory_evicts(self):
        for name in "abcd":
            self.sandbox.set(name, value="x" * 400000)
            self.get(name)
        self.assertGreater(self.status()["cache"]["bytes"], 1 << 20)
        self.reload({"cache": {"max-memory": "1M"}})
        s = self.status()["cache"]
        self.assertLessEqual(s["bytes"], s["maxBytes"])

    def test_unauthorized_grace_that_has_begun(self):
        self.get("a")
        self.sandbox.fault(status=401)
        self.helper("get", "--fresh", "a")
        self.wait(lambda: "refuses the API key" in self.agent.log(),
                  "the key is refused")
        self.get("a")
        self.reload({"cache": {"unauthorized-grace": "1ms"}})
        self.wait(lambda: "everything cached was wiped" in self.agent.log(),
                  "the grace is over", 5)
        self.fails(4, "get", "a")

    def test_max_stale(self):
        self.get("a")
        self.sandbox.fault(status=500)
        self.helper("get", "--fresh", "a")
        self.wait_freshness("a", "stale")
        self.reload({"cache": {"max-stale": "0"}})
        self.fails(6, "get", "a")
        self.reload()
        self.wait_freshness("a", "stale")

    def test_negative_ttl(self):
        self.fails(3, "get", "nope")
        self.reload({"cache": {"negative-ttl": "1ms"}})
        self.helper("purge", "--all")
        self.fails(3, "get", "nope")
        self.sandbox.forget()
        self.fails(3, "get", "nope")
        self.assertGreater(self.sandbox.total, 0)

    def test_serve_expired(self):
        self.sandbox.set("a", expiresAt=harness.utc(1))
        self.get("a")
        self.sandbox.fault(status=500)
        self.wait(lambda: self.helper("get", "a").status == 8, "it expired")
        self.reload({"cache": {"serve-expired": "1h"}})
        self.assertEqual(self.get_json("a")["freshness"], "expired")
        self.reload()
        self.fails(8, "get", "a")

    def test_state_file_takes_a_restart(self):
        conf = {"cache": {"state-file": self.dir + "/state",
                          "state-key-file": self.key_path}}
        for _ in range(2):
            log = self.reload(conf)
            self.assertRegex(log, "warning: state-file= .*restart")
        self.get("a")
        self.assertNotIn("restart", self.reload())
        self.assertFalse(os.path.exists(self.dir + "/state"))

    def test_max_memory(self):
        self.assertEqual(self.status()["cache"]["maxBytes"], 16 << 20)
        log = self.reload({"cache": {"max-memory": "32M"}})
        self.assertNotIn("restart", log)
        self.assertEqual(self.status()["cache"]["maxBytes"], 32 << 20)
        log = self.reload({"cache": {"max-memory": "33M"}})
        self.assertRegex(log, r"warning: max-memory= .*restart")
        self.assertEqual(self.status()["cache"]["maxBytes"], 32 << 20)


class Preload(Reloading):
    """preload, preload-wait."""
    AUTO = False
    N = 40
    SEED = {"secrets": [secret("kept-id", "keep", "k" * 20000),
                        secret("new-id", "new", "n" * 20000)] +
            [secret(f"s{i}", val="x" * 60000) for i in range(N)]}

    def fill(self, w):
        for i in range(self.N):
            self.assertIsNone(w.get(ref(f"s{i}")).error)

    def asked(self, w, name):
        self.sandbox.forget()
        self.assertIsNone(w.get(ref(name)).error)
        return self.sandbox.total

    def test_new_ones_are_fetched_and_kept_and_others_no_longer(self):
        self.start({"cache": {"max-memory": "1M", "preload": "keep"}})
        new = {"cache": {"max-memory": "1M", "preload": "new"}}
        with self.wire() as w:
            self.fill(w)
            self.assertEqual(self.asked(w, "keep"), 0)
            self.sandbox.forget()
            self.reload(new)
            self.wait(lambda: self.sandbox.reads("new-id") == 1,
                      "it is fetched with nobody asking")
            self.wait(lambda: self.status()["cache"]["secrets"] and
                      self.asked(w, "new") == 0, "it is held")
            self.fill(w)
            self.fill(w)
            self.assertEqual(self.asked(w, "new"), 0)
            self.assertGreater(self.asked(w, "keep"), 0)

    def test_one_that_stays_is_not_asked_for_again(self):
        self.start({"cache": {"preload": "keep"}})
        self.sandbox.forget()
        self.reload({"cache": {"preload": "keep,qapi://secrets/new"}})
        self.wait(lambda: self.sandbox.reads("new-id") == 1, "new is fetched")
        self.assertEqual(self.sandbox.reads("kept-id"), 0)

    def test_missing_one_is_in_log_and_status(self):
        self.start()
        self.reload({"cache": {"preload": "no/such"}})
        self.wait(lambda: "serving without qapi://secrets/no/such" in
                  self.agent.log(), "the log says so")
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: "not held: qapi://secrets/no/such" in
                      self.last_status(), "STATUS= says so")
        self.reload()
        if harness.HAVE_SYSTEMD:
            self.wait(lambda: "not held" not in self.last_status(),
                      "STATUS= no longer says so")

    def test_while_the_start_still_waits(self):
        self.start_sandbox()
        self.sandbox.fault("*", status=500)
        self.start_agent({"cache": {"preload": "keep"}}, wait=False)
        self.wait(lambda: self.sandbox.total > 0, "it was asked")
        self.reload()
        self.wait(lambda: "ready on" in self.agent.log(), "it is ready")
        self.agent.wait_ready()


if __name__ == "__main__":
    harness.main()
