"""What the integration tests stand on: the real programs, each test in a
temporary directory of its own.

    QAPI_BUILD      top of the build tree; default: two directories up
    QAPI_AGENTD, QAPI_AGENT, QAPI_SANDBOX, QAPI_STEERED
                    one program from elsewhere
    QAPI_KEEP=1     leave the temporary directories of failed tests

A test never sleeps for luck: it waits for an event, or polls a condition with
a deadline. Where something must NOT happen, it waits for a later event that
would have come after it.

At the end of every test the daemon gets SIGTERM and must exit 0, leave no
socket behind, and must not have logged any value or API key of the test.
"""

import base64
import collections
import contextlib
import grp
import http.client
import json
import mmap
import os
import pwd
import re
import secrets as random_source
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import wire

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("QAPI_BUILD", SOURCE))


def program(variable, path):
    """A program of the build tree; not libtool's wrapper around it."""
    if variable in os.environ:
        return os.path.abspath(os.environ[variable])
    wrapped = os.path.join(BUILD, os.path.dirname(path), ".libs",
                           os.path.basename(path))
    return wrapped if os.path.exists(wrapped) else os.path.join(BUILD, path)


AGENTD = program("QAPI_AGENTD", "agent/qapi-agentd")
AGENT = program("QAPI_AGENT", "client/qapi-agent")
SANDBOX = program("QAPI_SANDBOX", "tests/sandbox/qapi-sandbox")
STEERED = program("QAPI_STEERED", "tests/integration/qapi-agentd-steered")


def configured(name):
    try:
        with open(os.path.join(BUILD, "config.h"), encoding="utf-8") as f:
            return bool(re.search(rf"^#define {name} 1$", f.read(), re.M))
    except OSError:
        return name == "HAVE_SYSTEMD"


SANITIZED = configured("WITH_SANITIZERS")
HAVE_SYSTEMD = configured("HAVE_SYSTEMD")
# A deadline for what should take no time at all; nothing ever waits so long.
LONG = 60 if SANITIZED else 20
ROOT = os.geteuid() == 0

needs_root = unittest.skipUnless(ROOT, "this takes root")
needs_systemd = unittest.skipUnless(HAVE_SYSTEMD, "built without systemd")
not_sanitized = unittest.skipIf(
    SANITIZED, "sanitizers use memory in their own ways")

Result = collections.namedtuple("Result", "status out err seconds")


def ids(user):
    p = pwd.getpwnam(user)
    return p.pw_uid, p.pw_gid


def setpriv(user=None, groups=(), group=None, caps=True):
    """Arguments that start a program as another user, without privileges."""
    if user is None:
        return []
    uid, gid = ids(user)
    if group is not None:
        gid = grp.getgrnam(group).gr_gid
    numbers = [str(grp.getgrnam(g).gr_gid) for g in groups]
    argv = ["setpriv", f"--reuid={uid}", f"--regid={gid}"]
    argv.append("--groups=" + ",".join(numbers) if numbers
                else "--clear-groups")
    if not caps:
        argv += ["--bounding-set=-all", "--inh-caps=-all"]
    return argv


def value(tag="v"):
    """A value that is found wherever it may have been left."""
    return f"{tag}-" + random_source.token_hex(12)


def wait_for(condition, what, timeout=None, every=0.01):
    """Poll until condition() is true; returns what it returned."""
    deadline = time.monotonic() + (timeout or LONG)
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited in vain ({timeout or LONG} s) until {what}")
        time.sleep(every)


def at_once(count, function):
    """Run function(0) … function(count-1) in threads that start together."""
    results, barrier = [None] * count, threading.Barrier(count)

    def body(i):
        barrier.wait()
        try:
            results[i] = function(i)
        except BaseException as e:  # pylint: disable=broad-except
            results[i] = e
    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for r in results:
        if isinstance(r, BaseException):
            raise r
    return results


def utc(seconds_from_now):
    """A time as the service writes it, to the millisecond."""
    return utc_of(time.time() + seconds_from_now)


def utc_of(t):
    whole = int(t)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + \
        f".{int((t - whole) * 1000):03d}Z"


# ---------------------------------------------------------------------------
# The service
# ---------------------------------------------------------------------------

class Sandbox:
    """qapi-sandbox; start() again after stop() takes the same port."""

    def __init__(self, directory, seed, args=(), tls=None):
        self.dir = directory
        self.seed = seed
        self.args = list(args)
        self.tls = tls          # (certificate, key)
        self.port = 0
        self.proc = None
        self.log = os.path.join(directory, "sandbox.log")

    def start(self):
        path = os.path.join(self.dir, "seed.json")
        with open(path, "w", encoding="utf-8",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            json.dump(self.seed, f)
        argv = ["setpriv", "--pdeathsig=KILL", SANDBOX,
                "--listen", f"127.0.0.1:{self.port}", "--seed", path,
                *self.args]
        if self.tls:
            argv += ["--tls", *self.tls]
        with open(self.log, "ab") as log:
            # pylint: disable=consider-using-with
            self.proc = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, text=True)
        line = self.proc.stdout.readline()
        m = re.fullmatch(r"qapi-sandbox: listening on https?://"
                         r"127\.0\.0\.1:(\d+)\n", line)
        if m is None:
            with open(self.log, encoding="utf-8") as f:
                raise AssertionError("sandbox: " + repr(line) + f.read())
        self.port = int(m[1])
        return self

    @property
    def url(self):
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}/api/v1"

    def stop(self, sig=signal.SIGTERM):
        if self.proc is None:
            return
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        self.proc.wait(LONG)
        self.proc.stdout.close()
        self.proc = None

    def raw(self, method, path, body=None, key=None):
        if self.tls:
            import ssl
            ctx = ssl.create_default_context(cafile=self.tls[0])
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
            conn = http.client.HTTPSConnection("127.0.0.1", self.port,
                                               context=ctx, timeout=LONG)
        else:
            conn = http.client.HTTPConnection("127.0.0.1", self.port,
                                              timeout=LONG)
        headers = {"Content-Type": "application/json"} if body is not None \
            else {}
        if key:
            headers["X-Api-Key"] = key
        try:
            conn.request(method, path, headers=headers, body=None
                         if body is None else json.dumps(body).encode())
            r = conn.getresponse()
            data = r.read()
        finally:
            conn.close()
        if r.status >= 300:
            raise AssertionError(f"{method} {path}: {r.status} {data!r}")
        return json.loads(data) if data else None

    def control(self, method, path, body=None):
        return self.raw(method, "/_sandbox" + path, body)

    def api(self, method, path, body=None):
        return self.raw(method, "/api/v1" + path, body,
                        self.seed["apiKeys"][0]["key"])

    def fault(self, path="*", **spec):
        """A fault; by default for everything and for good."""
        return self.control("POST", "/faults", {"path": path, **spec})["id"]

    def faults(self):
        got = self.control("GET", "/faults")
        return got["faults"] if isinstance(got, dict) else got

    def hits(self, fault_id):
        return next(f["hits"] for f in self.faults() if f["id"] == fault_id)

    def clear(self, release=True):
        """release=False: what hangs goes on hanging."""
        self.control("DELETE", "/faults" if release
                     else "/faults?release=false")

    def set_ahead(self, seconds):
        """The service's clock against the machine's."""
        self.control("PUT", "/clock", {"aheadMs": round(seconds * 1000)})

    def set_rate_limit(self, per_minute):
        self.control("PUT", "/rate-limit", {"perMinute": per_minute})

    def forget(self):
        """Count from here."""
        self.control("DELETE", "/requests")

    def requests(self):
        return self.control("GET", "/requests")["byPath"]

    @property
    def total(self):
        return self.control("GET", "/requests")["total"]

    def reads(self, secret_id):
        return self.requests().get(
            "GET /api/v1/secrets/" + urllib.parse.quote(secret_id, safe=""),
            0)

    @property
    def listings(self):
        return self.requests().get("GET /api/v1/secrets", 0)

    def set(self, secret_id, **members):
        """Change any field at once."""
        return self.control("PUT", "/secrets/" + secret_id, members)

    def rotate(self, secret_id, new):
        """A new version, as the service's users make it."""
        return self.api("PUT", f"/secrets/{secret_id}/value", {"value": new})


# ---------------------------------------------------------------------------
# Time
# ---------------------------------------------------------------------------

class Clock:
    """The clocks of qapi-agentd-steered (tests/support/steered_time.c).

    Each call returns when all that was due by then has run, and every request
    that came of it has been answered, or nothing has happened to it for
    `patience` seconds of real time. Real time goes on beside. Where clients
    start requests all the while, `moment` bounds how long that can take.
    """

    LAYOUT = struct.Struct("=QqqqQQQQ")
    MAGIC = 0x716170692d636c6b

    def __init__(self, directory, wall=None):
        """wall: what the wall clock says at the start, seconds since 1970."""
        self.path = os.path.join(directory, "clock")
        self.passed_ms = self.suspended_ms = self.stepped_ms = 0
        self.settled_ms = 0     # of the first two: what is over
        self.patience = 0.25
        self.moment = 10        # real seconds for a passing one, at most
        self.wish = 0
        self.running = None     # says whether somebody is there to answer
        if wall is not None:
            self.stepped_ms = int((wall - time.time()) * 1000)
        with open(self.path, "wb") as f:
            f.write(bytes(self.LAYOUT.size))
        os.chmod(self.path, 0o666)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), self.LAYOUT.size)
        self._write()

    def _write(self):
        head = self.LAYOUT.pack(
            self.MAGIC, self.passed_ms, self.suspended_ms, self.stepped_ms,
            int(self.patience * 1000), int(self.moment * 1000), 0, 0)
        self.map[:48] = head[:48]
        self.wish += 1
        self.map[48:56] = struct.pack("=Q", self.wish)

    def _done(self):
        return struct.unpack("=Q", self.map[56:64])[0]

    def settle(self, timeout=60):
        """Let everything that is due run."""
        self._write()
        deadline = time.monotonic() + timeout
        while self._done() != self.wish:
            if self.running is None or not self.running():
                break
            if time.monotonic() > deadline:
                raise AssertionError("the daemon's time does not go on")
            time.sleep(0.001)
        self.settled_ms = self.passed_ms + self.suspended_ms

    def pass_(self, seconds):
        """Time goes by, as fast as what is due can be done."""
        self.passed_ms += round(seconds * 1000)
        self.settle()

    def suspend(self, seconds):
        """The machine sleeps: both clocks go on at once, timers do not."""
        self.suspended_ms += round(seconds * 1000)
        self.settle()

    def step_wall(self, seconds):
        """Somebody sets the wall clock."""
        self.stepped_ms += round(seconds * 1000)
        self.settle()

    def set_wall(self, wall):
        self.step_wall(wall - self.wall())

    def wall(self):
        return time.time() + (self.passed_ms + self.suspended_ms +
                              self.stepped_ms) / 1000

    def boot(self):
        return time.clock_gettime(time.CLOCK_BOOTTIME) + \
            (self.passed_ms + self.suspended_ms) / 1000

    def utc(self, seconds_from_now):
        return utc_of(self.wall() + seconds_from_now)


# ---------------------------------------------------------------------------
# The daemon
# ---------------------------------------------------------------------------

LAUNCH = """
import os, sys
fds = [int(x) for x in sys.argv[1].split(",")]
argv = sys.argv[2:]
high = [os.dup(fd) for fd in fds]
while any(fd < 3 + len(fds) for fd in high):
    high = [os.dup(fd) for fd in high]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(argv[0], argv)
"""


class Agent:
    """qapi-agentd, started in a directory with a configuration."""

    def __init__(self, directory, conf_path, socket_path, user=None,
                 env=None, prefix=(), listen_fds=(), args=(), groups=(),
                 program_=None):
        self.dir = directory
        self.program = program_ or AGENTD
        self.conf_path = conf_path
        self.socket = socket_path
        self.user = user
        self.groups = groups
        self.env = env or {}
        self.prefix = list(prefix)
        self.listen_fds = list(listen_fds)
        self.args = list(args)
        self.log_path = os.path.join(directory, "agentd.log")
        self.proc = None
        self.notes = []         # [{name: value}] of the service manager
        self.notify = None
        self.status_code = None

    @property
    def pid(self):
        return self.proc.pid

    def start(self, wait=True):
        path = os.path.join(self.dir, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.notify.bind(path)
        os.chmod(path, 0o777)
        self.notify.setblocking(False)
        env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": path,
               "LANG": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                     "LD_LIBRARY_PATH", "LD_BIND_NOW"):
            if name in os.environ:
                env[name] = os.environ[name]
        env.update(self.env)
        argv = [*self.prefix, *(setpriv(self.user, self.groups) or
                                ["setpriv"]), "--pdeathsig=KILL"]
        if self.listen_fds:
            argv += [sys.executable, "-c", LAUNCH,
                     ",".join(str(fd) for fd in self.listen_fds)]
        argv += [self.program, "-c", self.conf_path, *self.args]
        with open(self.log_path, "ab") as log:
            # pylint: disable=consider-using-with
            self.proc = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, pass_fds=self.listen_fds, cwd="/")
        if wait:
            self.wait_ready()
        return self

    def read_notes(self):
        while self.notify.fileno() != -1:
            try:
                data = self.notify.recv(65536)
            except BlockingIOError:
                return self.notes
            note = {}
            for line in data.decode().splitlines():
                name, _, v = line.partition("=")
                note[name] = v
            self.notes.append(note)
        return self.notes

    def noted(self, name):
        """All values that were given to name, oldest first."""
        return [n[name] for n in self.read_notes() if name in n]

    def is_ready(self):
        if self.proc.poll() is not None:
            raise AssertionError(
                f"qapi-agentd ended with status {self.proc.returncode} "
                f"before it was ready:\n{self.log()}")
        if HAVE_SYSTEMD:
            return "1" in self.noted("READY")
        with contextlib.suppress(OSError, wire.Closed, TimeoutError):
            with wire.Wire(self.socket, 5) as w:
                w.ping()
                return True
        return False

    def wait_ready(self, timeout=None):
        wait_for(self.is_ready, "the daemon is ready", timeout)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ended(self, timeout=None):
        """Wait for the exit; returns the status."""
        self.proc.wait(timeout or LONG)
        self.status_code = self.proc.returncode
        return self.status_code

    def stop(self, sig=signal.SIGTERM):
        if self.proc is None:
            return None
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        try:
            return self.ended()
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError(
                f"signal {sig} did not end the daemon") from None
        finally:
            self.read_notes()
            self.notify.close()

    def kill(self):
        if self.proc is not None and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()

    def wire(self, **kw):
        return wire.Wire(self.socket, **kw)

    def memory_kb(self, what="VmRSS"):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(rf"^{what}:\s+(\d+) kB$", f.read(), re.M)[1])

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as f:
            parts = f.read().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------------------
# One test
# ---------------------------------------------------------------------------

def write_conf(path, sections):
    """sections: [(head, {key: value, or list of values})]"""
    with open(path, "w", encoding="utf-8") as f:
        for head, members in sections:
            f.write(f"[{head}]\n")
            for name, v in members.items():
                for one in v if isinstance(v, list) else [v]:
                    f.write(f"{name}={one}\n")
            f.write("\n")
    os.chmod(path, 0o644)


class Case(unittest.TestCase):
    """A directory, a sandbox with SEED, a daemon with CONF, if asked for.

    AUTO: start both before each test.
    STEERED: the daemon's time is in self.clock; WALL: where it begins.
    """

    AUTO = True
    STEERED = False
    WALL = None
    SEED = {"secrets": []}
    CONF = {}           # {section: {key: value}}, over the defaults
    ALLOW = ()          # [("allow title", {…})]
    AGENT_USER = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="qi-")
        os.chmod(self.dir, 0o755)
        self.addCleanup(self._remove_dir)
        self.run_dir = os.path.join(self.dir, "run")
        os.mkdir(self.run_dir, 0o755)
        self.socket = os.path.join(self.run_dir, "agent.sock")
        self.conf_path = os.path.join(self.dir, "agent.conf")
        self.key_path = os.path.join(self.dir, "api-key")
        self.key = "qapi_" + random_source.token_hex(20)
        self.private = {self.key}       # must not be logged or printed
        self.secret_ids = {}
        self.agents = []
        self.sandboxes = []
        self.sandbox = self.agent = None
        self.expected_status = {}       # agent -> exit status
        self.may_log = set()
        self.clock = None
        if self.STEERED:
            self.clock = Clock(self.dir, self.WALL)
            self.clock.running = self._agent_runs
        if self.AUTO:
            self.start()

    def tearDown(self):
        # Cleanups run in reverse order, so this comes before the directory.
        for w in getattr(self, "wires", []):
            w.close()
        problems = []
        for agent in self.agents:
            problems += self._end(agent)
        for sandbox in self.sandboxes:
            sandbox.stop()
        left = set(os.listdir(self.run_dir)) - {"agent.sock.lock"}
        if left:
            problems.append(f"left behind in the socket's directory: {left}")
        if problems:
            self.fail("; ".join(problems))

    def _agent_runs(self):
        return self.agent is not None and self.agent.proc is not None and \
            self.agent.proc.poll() is None

    def _end(self, agent):
        problems = []
        if agent.proc is None:
            return problems
        expected = self.expected_status.get(agent, 0)
        try:
            status = agent.stop() if agent.status_code is None \
                else agent.status_code
        except AssertionError as e:
            status = None
            problems.append(str(e))
        if status != expected and not problems:
            problems.append(f"qapi-agentd ended with status {status}, "
                            f"expected {expected}")
        log = agent.log()
        problems += self.leaks(log, "the daemon's log")
        for sign in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            if sign in log:
                problems.append(f"the log has {sign}")
        return problems

    def _remove_dir(self):
        for agent in self.agents:
            agent.kill()
        for sandbox in self.sandboxes:
            sandbox.stop(signal.SIGKILL)
        if not (os.environ.get("QAPI_KEEP") and self._failed()):
            shutil.rmtree(self.dir)

    def _failed(self):
        result = self._outcome.result
        return any(t is self or getattr(t, "test_case", None) is self
                   for t, _ in result.failures + result.errors)

    def leaks(self, text, where):
        """Which private texts are in there, plain or in base64 or quoted."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        found = []
        for p in self.private - self.may_log:
            # base64 of it, whatever stands before
            coded = base64.b64encode(p.encode()).decode()[:len(p) // 3 * 4]
            for form in {p, coded, urllib.parse.quote(p, safe=""),
                         p.encode().hex()}:
                if form in text:
                    found.append(f"{p!r} is in {where}")
                    break
        return found

    def diagnose(self):
        """For the report of a failure."""
        out = []
        for agent in self.agents:
            with contextlib.suppress(OSError):
                text = agent.log().strip()
                lines = text.splitlines()
                if len(lines) > 60:
                    lines = lines[:20] + ["…"] + lines[-40:]
                out.append("--- log of qapi-agentd\n" + "\n".join(lines))
        for s in self.sandboxes:
            with contextlib.suppress(OSError), \
                    open(s.log, encoding="utf-8") as f:
                text = f.read().strip()
                if text:
                    out.append("--- log of the sandbox\n" + text)
        return "\n".join(out)

    # -- starting --

    def note_private(self, *texts):
        # Short ones, and names, turn up by chance.
        self.private |= {t for t in texts
                         if len(t) >= 8 and not t.startswith("qapi://")}

    def start_sandbox(self, seed=None, args=(), tls=None):
        seed = json.loads(json.dumps(self.SEED if seed is None else seed))
        seed.setdefault("apiKeys", [{"key": self.key, "scopes": ["*"]}])
        for s in seed.get("secrets", ()):
            for name in ("value", "totpSecret", "notes"):
                if isinstance(s.get(name), str):
                    self.note_private(s[name])
        sandbox = Sandbox(self.dir, seed, args, tls).start()
        self.sandboxes.append(sandbox)
        if self.sandbox is None:
            self.sandbox = sandbox
        return sandbox

    def write_key(self, key=None, path=None, mode=0o600):
        path = path or self.key_path
        fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                     mode)
        os.fchmod(fd, mode)
        os.write(fd, (key or self.key).encode() + b"\n")
        os.close(fd)
        if self.AGENT_USER:
            os.chown(path + ".new", *ids(self.AGENT_USER))
        os.rename(path + ".new", path)

    def conf(self, conf=None, allow=None):
        """The sections, defaults below CONF below conf."""
        all_of = {
            "agent": {"socket": self.socket},
            "upstream": {
                "url": self.sandbox.url if self.sandbox
                else "http://127.0.0.1:1/api/v1",
                "api-key-file": self.key_path,
                "connect-timeout": "2s",
                "request-timeout": "5s",
            },
            "cache": {"refresh-interval": "1h", "max-memory": "16M"},
        }
        for more in (self.CONF, conf or {}):
            for section, members in more.items():
                all_of.setdefault(section, {}).update(members)
        for members in all_of.values():
            for name in [n for n, v in members.items() if v is None]:
                del members[name]
        rules = self.ALLOW if allow is None else allow
        return list(all_of.items()) + [
            (f'allow "{title}"', members) for title, members in rules]

    def start_agent(self, conf=None, allow=None, wait=True, user=None, **kw):
        if not os.path.exists(self.key_path):
            self.write_key()
        write_conf(self.conf_path, self.conf(conf, allow))
        user = user or self.AGENT_USER
        if user:
            os.chown(self.run_dir, *ids(user))
            if os.path.exists(self.key_path):
                os.chown(self.key_path, *ids(user))
        if self.clock is not None:
            kw["env"] = {"QAPI_STEERED_TIME": self.clock.path,
                         **kw.get("env", {})}
            kw.setdefault("program_", STEERED)
        agent = Agent(self.dir, self.conf_path, self.socket, user=user, **kw)
        self.agents.append(agent)
        self.agent = agent
        agent.start(wait)
        return agent

    def start(self, conf=None, seed=None, allow=None, **kw):
        """Sandbox and daemon."""
        if self.sandbox is None:
            self.start_sandbox(seed)
        return self.start_agent(conf, allow, **kw)

    def restart_agent(self, conf=None, **kw):
        """A clean stop, and a new daemon."""
        self.assertEqual(self.agent.stop(), 0)
        return self.start_agent(conf, **kw)

    # -- the helper --

    def helper(self, *args, user=None, groups=(), group=None, env=None,
               input=None, timeout=None, stdout=None, sock=True, prefix=(),
               pass_fds=(), may_print=()):
        """Run qapi-agent. Its standard error must never hold a value."""
        full = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8",
                "HOME": "/nonexistent"}
        if sock:
            full["QAPI_AGENT_SOCK"] = self.socket
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                full[name] = os.environ[name]
        if os.path.basename(os.path.dirname(AGENT)) == ".libs":
            full["LD_LIBRARY_PATH"] = os.path.dirname(AGENT)
        for name, v in (env or {}).items():
            if v is None:
                full.pop(name, None)
            else:
                full[name] = v
        argv = [*prefix, *setpriv(user, groups, group), AGENT, *args]
        began = time.monotonic()
        with tempfile.TemporaryFile() as err:
            p = subprocess.run(
                argv, input=input, env=full, cwd="/", pass_fds=pass_fds,
                stdin=subprocess.DEVNULL if input is None else None,
                stdout=stdout or subprocess.PIPE, stderr=err,
                timeout=timeout or 2 * LONG, check=False)
            seconds = time.monotonic() - began
            err.seek(0)
            text = err.read().decode("utf-8", "backslashreplace")
        r = Result(p.returncode, p.stdout, text, seconds)
        found = self.leaks(r.err, "standard error of the helper")
        if r.out and self.key.encode() in r.out:
            found.append("the API key is in the helper's output")
        self.assertFalse([f for f in found if f not in may_print],
                         f"{args}: {r.err}")
        self.assertNotIn("Sanitizer", r.err)
        self.assertNotIn("runtime error:", r.err)
        return r

    def ok(self, *args, **kw):
        """It must succeed, silently; returns standard output."""
        r = self.helper(*args, **kw)
        self.assertEqual((r.status, r.err), (0, ""), args)
        return r.out

    def get(self, ref, *options, **kw):
        return self.ok("get", ref, *options, **kw)

    def get_json(self, ref, *options, **kw):
        out = self.ok("get", "--json", ref, *options, **kw)
        self.assertEqual(out.count(b"\n"), 1)
        return json.loads(out)

    def fails(self, status, *args, saying=(), **kw):
        """It must fail with this status, in one line that says all of it."""
        r = self.helper(*args, **kw)
        self.assertEqual(r.status, status, f"{args}: {r.out} {r.err}")
        if r.out is not None:
            self.assertEqual(r.out, b"", args)
        self.assertEqual(r.err.count("\n"), 1, r.err)
        self.assertTrue(r.err.startswith("qapi-agent: "), r.err)
        for text in [saying] if isinstance(saying, str) else saying:
            self.assertIn(text, r.err)
        return r

    def error(self, *args, **kw):
        """Name of the error that --json gives, with the object."""
        r = self.helper(*args, "--json", **kw)
        self.assertNotEqual(r.status, 0, args)
        self.assertEqual(r.err.count("\n"), 1, r.err)
        obj = json.loads(r.err)
        self.assertEqual(set(obj), {"ref", "error", "message"})
        return obj["error"], r.status, obj

    def assert_error(self, name, status, *args, **kw):
        got_name, got_status, obj = self.error(*args, **kw)
        self.assertEqual((got_name, got_status), (name, status), obj)
        return obj

    def status(self, **kw):
        return json.loads(self.ok("status", "--json", **kw))

    # -- the protocol --

    def wire(self, **kw):
        """A connection that is closed with the test."""
        w = wire.Wire(self.socket, **kw)
        self.wires = getattr(self, "wires", [])
        self.wires.append(w)
        return w

    # -- waiting --

    def wait(self, condition, what, timeout=None):
        return wait_for(condition, what, timeout)

    def wait_freshness(self, ref, wanted, timeout=None):
        """Read until the freshness is as wanted; returns the object."""
        def look():
            o = self.get_json(ref)
            return o if o["freshness"] == wanted else None
        return self.wait(look, f"{ref} is {wanted}", timeout)

    def assert_mode(self, path, mode):
        self.assertEqual(oct(stat.S_IMODE(os.stat(path).st_mode)), oct(mode))


def ref(name, **parameters):
    """qapi://secrets/NAME?…"""
    out = "qapi://secrets/" + urllib.parse.quote(name, safe="/")
    if parameters:
        out += "?" + "&".join(f"{k}={urllib.parse.quote(str(v), safe='.')}"
                              for k, v in parameters.items())
    return out


def secret(secret_id, name=None, val=None, **members):
    return {"id": secret_id, "name": name or secret_id,
            "value": value(secret_id) if val is None else val, **members}


class Report(unittest.TextTestResult):
    """Adds the logs to the report of a failure."""

    def _exc_info_to_string(self, err, test):
        text = super()._exc_info_to_string(err, test)
        test = getattr(test, "test_case", test)
        if hasattr(test, "diagnose"):
            with contextlib.suppress(Exception):
                text += test.diagnose() + "\n"
        return text


def main():
    """Run the tests of a file; 77 if there is nothing that can run."""
    for path in (AGENTD, AGENT, SANDBOX, STEERED):
        if not os.access(path, os.X_OK):
            print(f"{path}: not built", file=sys.stderr)
            sys.exit(99)
    os.environ.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=88")
    program_ = unittest.main(
        module="__main__", exit=False, verbosity=1,
        testRunner=unittest.TextTestRunner(resultclass=Report))
    r = program_.result
    if not r.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if r.skipped and len(r.skipped) >= r.testsRun else 0)
