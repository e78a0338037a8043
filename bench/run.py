#!/usr/bin/env python3
"""Measure qapi-agentd against the floor server; see README.md.

Starts a sandbox, the agent and the floor in a private temporary directory,
lets them answer the same load by turns, and prints a table.  Nothing here
fails because something is slow.
"""
import argparse
import contextlib
import json
import os
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

API_KEY = "qapi_benchbenchbenchbenchbenchbenchbench"
LENGTHS = (64, 4096, 65536)
IDLE = 1000

# name, bytes of the value, goal (performance.md), options of load, one core?
SHAPES = (
    ("64 conns, 64 B", 64, 1.15, ["--connections", "64"], False),
    ("64 conns, 4 KiB", 4096, 1.10, ["--connections", "64"], False),
    ("16 busy + 1000 idle, 64 B", 64, 1.15,
     ["--connections", "16", "--idle", str(IDLE)], False),
    ("1 conn, depth 64, 64 B", 64, 1.4, ["--depth", "64"], False),
    ("1 conn, depth 64, 4 KiB", 4096, 1.2, ["--depth", "64"], False),
    ("16 conns, 64 KiB", 65536, 1.10, ["--connections", "16"], False),
    ("1 conn, one by one, one core", 64, 1.25, [], True),
    ("a new conn each, 16 at once", 64, 1.5,
     ["--connections", "16", "--reconnect"], False),
)

# the same with other settings than the default of audit-log
AUDIT_SHAPES = (
    ("off", (SHAPES[0], SHAPES[7])),
    ("file", (SHAPES[0],)),
)


class Failure(Exception):
    """What kept the measurement from being made."""


def pattern(length):
    """As bench_pattern() in bench.h."""
    return "".join(chr(97 + (i + i // 26) % 26) for i in range(length))


def pin(pid, cpu):
    """All threads of a process on one processor."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):  # gone meanwhile
            os.sched_setaffinity(int(tid), {cpu})


def pss_kib(pid):
    """Proportional set size; None where it may not be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def recv_exactly(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            raise Failure("the agent closed a connection")
        data += part
    return data


def ping(path):
    """Connect, PING, wait for DONE; returns the connection."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect(path)
    sock.sendall(struct.pack(">IBBHQ", 0, 1, 0x02, 0, 1))
    while True:
        length, _, kind, _, number = struct.unpack(
            ">IBBHQ", recv_exactly(sock, 16))
        recv_exactly(sock, length)
        if kind == 0x84 and number == 1:
            return sock
        if kind != 0x80:
            raise Failure(f"PING was answered by type {kind:#x}")


class Server:
    """A process that this program started, and ends."""

    def __init__(self, name, argv, directory, env=None, stdout=None):
        self.log = os.path.join(directory, f"{name}.log")
        self.name = name
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout or log,
                stderr=log, env=env)
        self.pid = self.process.pid

    def check(self):
        if self.process.poll() is None:
            return
        with open(self.log, encoding="utf-8", errors="replace") as log:
            tail = log.read()[-2000:]
        raise Failure(f"{self.name} ended with {self.process.returncode}:\n"
                      f"{tail}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class Bench:
    def __init__(self, args, stack):
        self.args = args
        self.stack = stack
        short = os.environ.get("BENCH_SHORT", "") not in ("", "0")
        self.rounds = args.rounds or (2 if short else 9)
        self.seconds = args.seconds or (0.06 if short else 0.2)
        self.starts = 1 if short else 5
        self.until = time.monotonic() + (8 if short else 50)
        base = tempfile.gettempdir()
        self.dir = stack.enter_context(tempfile.TemporaryDirectory(
            prefix="qapi-bench-", dir=base if len(base) < 40 else "/tmp"))
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.client_cpu = cpus[0], cpus[-1]

    def path(self, name):
        return os.path.join(self.dir, name)

    def program(self, name):
        path = os.path.join(self.args.builddir, name)
        if not os.access(path, os.X_OK):
            raise Failure(f"{path}: not built: run make first")
        return path

    def write(self, name, text):
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                     0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def serve(self, *args, **kwargs):
        server = Server(*args, directory=self.dir, **kwargs)
        self.stack.callback(server.stop)
        return server

    # --- servers ---

    def start_sandbox(self):
        seed = self.write("seed.json", json.dumps({
            "secrets": [{"id": f"sec_bench{n}", "name": f"bench/{n}",
                         "value": pattern(n)} for n in LENGTHS],
            "apiKeys": [{"key": API_KEY, "scopes": ["*"]}]}))
        sandbox = self.serve("qapi-sandbox", [
            self.program("tests/sandbox/qapi-sandbox"),
            "--listen", "127.0.0.1:0", "--seed", seed],
            stdout=subprocess.PIPE)
        line = sandbox.process.stdout.readline().decode()
        if "listening on " not in line:
            sandbox.process.wait(5)
            sandbox.check()
        return line.split("listening on ")[1].strip()

    def configure(self, url):
        key = self.write("api-key", API_KEY + "\n")
        for name, audit in (("agent", ""), ("off", "audit-log=off"),
                            ("file", f"audit-log={self.path('audit.log')}")):
            self.write(f"{name}.conf", f"""\
[agent]
socket={self.path(name)}.sock
{audit}
[upstream]
url={url}/api/v1
api-key-file={key}
""")

    def start_agent(self, name="agent"):
        """Returns the server and the seconds until it said READY=1."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(self.path("notify"))
            try:
                env = dict(os.environ, NOTIFY_SOCKET=self.path("notify"))
                env.pop("WATCHDOG_USEC", None)
                begin = time.monotonic()
                agent = self.serve(f"qapi-agentd-{name}", [
                    self.program("agent/qapi-agentd"),
                    "-c", self.path(f"{name}.conf")], env=env)
                took = self.wait_ready(agent, notify, begin, name)
            finally:
                os.unlink(self.path("notify"))
        return agent, took

    def wait_ready(self, agent, notify, begin, name):
        """Without sd_notify (--without-systemd): until it takes a PING."""
        notify.settimeout(0.05)
        while time.monotonic() - begin < 10:
            try:
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return time.monotonic() - begin
                continue
            except socket.timeout:
                agent.check()
            if time.monotonic() - begin > 2:
                with contextlib.suppress(OSError):
                    ping(self.path(f"{name}.sock")).close()
                    return None
        raise Failure("qapi-agentd was not ready within 10 s")

    def start_floor(self, length):
        path = self.path(f"floor{length}.sock")
        floor = self.serve(f"floor{length}", [
            self.program("bench/floor"), path, str(length)])
        for _ in range(500):
            floor.check()
            with contextlib.suppress(OSError), \
                    socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                return floor
            time.sleep(0.01)
        raise Failure("the floor was not ready within 5 s")

    # --- measurements ---

    def load(self, server, options, one_core=False):
        """One run; microseconds of the server's CPU per request."""
        pin(server.pid, self.server_cpu)
        os.sched_setaffinity(
            0, {self.server_cpu if one_core else self.client_cpu})
        run = subprocess.run(
            [self.program("bench/load"), "--server", str(server.pid),
             "--seconds", str(self.seconds)] + options,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
            check=False)
        if run.returncode != 0:
            server.check()
            raise Failure(run.stderr.decode(errors="replace").strip())
        figures = dict(f.split("=") for f in run.stdout.decode().split())
        return float(figures["server_cpu_us"])

    def agent_options(self, name, length):
        return ["--socket", self.path(f"{name}.sock"), "--length", str(length),
                "--ref", f"qapi://secrets/bench/{length}"]

    def floor_options(self, length):
        return ["--socket", self.path(f"floor{length}.sock"), "--floor",
                "--length", str(length)]

    def compare(self, shape, floor, agent, name="agent"):
        title, length, goal, options, one_core = shape
        if name != "agent":
            title += f", audit {name}"
            goal = None
        pairs = []
        for _ in range(self.rounds):
            if pairs and time.monotonic() > self.until:
                break
            pairs.append((
                self.load(floor, self.floor_options(length) + options,
                          one_core),
                self.load(agent, self.agent_options(name, length) + options,
                          one_core)))
        ratios = [a / f for f, a in pairs]
        ratio = statistics.median(ratios)
        print("%-38s %8.2f %8.2f %6.2f  %4.2f-%4.2f  %s" % (
            title, statistics.median(f for f, _ in pairs),
            statistics.median(a for _, a in pairs), ratio,
            min(ratios), max(ratios),
            "" if goal is None else
            "%4.2f%s" % (goal, "  over" if ratio > goal else "")),
            flush=True)

    def measure_start(self):
        """Time to READY, and memory of an agent that holds nothing."""
        times = []
        for i in range(self.starts):
            agent, took = self.start_agent()
            if took is not None:
                times.append(took * 1000)
            if i + 1 < self.starts:
                agent.stop()
        if times:
            print("start to READY=1: %.1f ms (%.1f-%.1f)" % (
                statistics.median(times), min(times), max(times)))
        else:
            print("start to READY=1: not notified")
        ping(self.path("agent.sock")).close()
        empty = pss_kib(agent.pid)
        if empty is None:
            print("memory: /proc/PID/smaps_rollup may not be read "
                  "(run as root)")
        else:
            print(f"PSS, empty cache: {empty} KiB")
            self.measure_idle(agent, empty)
        agent.stop()

    def measure_idle(self, agent, before):
        socks = []
        try:
            for _ in range(IDLE):
                socks.append(ping(self.path("agent.sock")))
            after = pss_kib(agent.pid)
        finally:
            for sock in socks:
                sock.close()
        print("memory per idle connection: %.0f bytes (goal 512; %d of them)"
              % ((after - before) * 1024 / IDLE, IDLE))

    def run(self):
        self.configure(self.start_sandbox())
        self.measure_start()
        agent, _ = self.start_agent()
        floors = {n: self.start_floor(n) for n in LENGTHS}
        for length in LENGTHS:
            self.load(agent, self.agent_options("agent", length) +
                      ["--requests", "1"])
        print("\n%-38s %8s %8s %6s  %9s  %s" % (
            "shape", "floor us", "agent us", "ratio", "from-to", "goal"))
        for shape in SHAPES:
            self.compare(shape, floors[shape[1]], agent)
        agent.stop()
        for name, shapes in AUDIT_SHAPES:
            agent, _ = self.start_agent(name)
            for shape in shapes:
                self.compare(shape, floors[shape[1]], agent, name)
            agent.stop()


def seconds(text):
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError("more than 0 and at most 60")
    return value


def count(text):
    value = int(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1000")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builddir", default=".",
                        help="top of the build tree (.)")
    parser.add_argument("--rounds", type=count, help="pairs of runs a shape")
    parser.add_argument("--seconds", type=seconds, help="length of a run")
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # a descriptor for each idle connection, here and in the agent
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with contextlib.ExitStack() as stack:
            Bench(args, stack).run()
    except (Failure, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
