#!/usr/bin/env python3
"""What snapshots of a large cache cost the readers; see README.md.

    snapshot.py --builddir BUILD [--entries N] [--bytes N] [--seconds S]

Fills an agent with that many values of a sandbox, and times one cached read
after the other on one connection: with a state file, while something changes
all the time, so that a snapshot is made every second; and, with the same
changes, without. Then the time of a stop and of a start with that file.
"""

import argparse
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "integration"))
import wire  # noqa: E402  pylint: disable=wrong-import-position

API_KEY = "qapi_benchbenchbenchbenchbenchbenchbench"
PARTS = 64      # references of a request, while it is filled


class Agent:
    def __init__(self, opt, directory, url, state):
        self.dir = directory
        self.socket = os.path.join(directory, "sock")
        conf = os.path.join(directory, "conf")
        key = os.path.join(directory, "key")
        for path, text in ((key, API_KEY), (conf, f"""
[agent]
socket={self.socket}
audit-log=off
[upstream]
url={url}
api-key-file={key}
max-in-flight=64
[cache]
max-memory={opt.entries * (opt.bytes + 600) + (8 << 20)}
refresh-interval=10h
{f'state-file={state}' if state else ''}
""")):
            with open(path, "w", encoding="utf-8",
                      opener=lambda p, f: os.open(p, f, 0o600)) as f:
                f.write(text)
        program = os.path.join(opt.builddir, "agent", "qapi-agentd")
        self.began = time.monotonic()
        # pylint: disable=consider-using-with
        self.proc = subprocess.Popen([program, "-c", conf],
                                     stdin=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
        for line in self.proc.stderr:
            if "ready on" in line:
                break
        else:
            raise SystemExit("qapi-agentd did not start")
        self.start_ms = (time.monotonic() - self.began) * 1000

    def stop(self):
        began = time.monotonic()
        self.proc.send_signal(signal.SIGTERM)
        self.proc.stderr.read()
        self.proc.wait()
        return (time.monotonic() - began) * 1000

    def status(self):
        w = wire.Wire(self.socket)
        out = w.status()
        w.close()
        return out


def fill(agent, count):
    """Read all of them, some requests ahead."""
    w = wire.Wire(agent.socket, timeout=300)
    under_way = []
    for first in range(0, count, PARTS):
        refs = [f"qapi://secrets/e{i}"
                for i in range(first, min(first + PARTS, count))]
        under_way.append(w.send_get(*refs))
        if len(under_way) > 4:
            w.all_for(under_way.pop(0))
    for rid in under_way:
        w.all_for(rid)
    w.close()


def stamp(path):
    """Another one for each snapshot; None without a file."""
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, TypeError):
        return None


def measure(agent, count, seconds, state):
    """Microseconds of each read, sorted; snapshots that were made."""
    reader, changer = (wire.Wire(agent.socket, timeout=60) for _ in "ab")
    saves, last, out = 0, stamp(state), []
    gc.disable()
    end = time.monotonic() + seconds
    next_change = next_look = time.monotonic()
    step = 7919
    at = 0
    while True:
        now = time.monotonic()
        if now > end:
            break
        if now >= next_change:      # a change, which is not timed
            next_change = now + 0.5
            changer.all_for(changer.send(
                wire.PURGE, changer.get_body("qapi://secrets/e0")))
            changer.get("qapi://secrets/e0")
        if now >= next_look:
            next_look = now + 0.2
            saves += stamp(state) != last
            last = stamp(state)
        at = (at + step) % count
        ref = f"qapi://secrets/e{at or 1}"
        began = time.perf_counter_ns()
        reader.get(ref)
        out.append((time.perf_counter_ns() - began) / 1000)
    gc.enable()
    reader.close()
    changer.close()
    return sorted(out), saves


def at(sorted_list, share):
    return sorted_list[min(len(sorted_list) - 1,
                           int(len(sorted_list) * share))]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--builddir", required=True)
    p.add_argument("--entries", type=int, default=100000)
    p.add_argument("--bytes", type=int, default=64)
    p.add_argument("--seconds", type=float, default=15)
    opt = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="qapi-snap-") as directory:
        seed = os.path.join(directory, "seed")
        with open(seed, "w", encoding="utf-8") as f:
            json.dump({"secrets": [
                {"id": f"e{i}", "name": f"name-{i}", "value": "v" * opt.bytes}
                for i in range(opt.entries)],
                "apiKeys": [{"key": API_KEY, "scopes": ["*"]}]}, f)
        program = os.path.join(opt.builddir, "tests", "sandbox",
                               "qapi-sandbox")
        with subprocess.Popen(
                [program, "--listen", "127.0.0.1:0", "--seed", seed],
                stdout=subprocess.PIPE, text=True) as sandbox:
            try:
                url = re.search(r"http://\S+",
                                sandbox.stdout.readline())[0] + "/api/v1"
                run(opt, directory, url)
            finally:
                sandbox.kill()


def run(opt, directory, url):
    state = os.path.join(directory, "state")
    results = {}
    for name, path in (("without", None), ("with a state file", state)):
        agent = Agent(opt, directory, url, path)
        began = time.monotonic()
        fill(agent, opt.entries)
        print(f"# {name}: filled in {time.monotonic() - began:.0f} s",
              file=sys.stderr)
        results[name] = measure(agent, opt.entries, opt.seconds, path)
        held = agent.status()["cache.secrets"]
        stop_ms = agent.stop()
    size = os.path.getsize(state)
    agent = Agent(opt, directory, url, state)
    start_ms = agent.start_ms
    again = agent.status()["cache.secrets"]
    agent.stop()
    print(f"{held} values of {opt.bytes} bytes, snapshot of {size >> 10} KiB;"
          f" stop {stop_ms:.0f} ms, start {start_ms:.0f} ms with {again}")
    print(f"{'one read after the other':24} {'reads':>8} {'p50 us':>8} "
          f"{'p99 us':>8} {'p99.9 us':>9} {'max us':>8} {'snapshots':>9}")
    for name, (times, saves) in results.items():
        print(f"{name:24} {len(times):8} {at(times, .5):8.0f} "
              f"{at(times, .99):8.0f} {at(times, .999):9.0f} "
              f"{times[-1]:8.0f} {saves if name != 'without' else '-':>9}")
    a, b = (at(r[0], .99) for r in results.values())
    print(f"p99 with snapshots: {b / a:.2f} times, {b - a:+.0f} us")


if __name__ == "__main__":
    main()
