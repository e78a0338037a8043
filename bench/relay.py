#!/usr/bin/env python3
"""What a request that is handed on to the service costs the agent: its CPU
time, user and system, a request, over http-socket= against the sandbox.

    bench/relay.py --builddir BUILD [--requests N] [--rounds N]

One connection, one request after the other. The least of the rounds counts: it
is the one that was disturbed least. "cached" is a read that is not handed on,
over the same socket: what is left of a figure without it is what handing on
adds. BENCH_SHORT=1: does it run at all?
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SECRET = "5f0c1a7e-0001-4c7b-9d1e-0123456789ab"
KEY = "qapi_" + "b" * 40

# What is asked: name, method, path, body.
SHAPES = [
    ("cached read", "GET", f"/secrets/{SECRET}", None),
    ("read", "GET", "/rate-limit", None),
    ("read, 64 KiB", "GET", "/large", None),
    ("small body, repeatable", "POST", "/decrypt", {"x": 1}),
    ("64 KiB body, repeatable", "POST", "/decrypt", {"x": "y" * 65536}),
    ("small body, sent once", "POST", "/qrng/entropy",
     {"bytes": 32, "format": "hex"}),
]


def program(build, directory, name):
    real = os.path.join(build, directory, ".libs", name)
    return real if os.path.exists(real) else os.path.join(build, directory,
                                                          name)


def cpu_ns(pid):
    """CPU time of all threads of the process."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat",
                  encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def wait(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench/relay.py: waited in vain for {what}")
        time.sleep(0.01)


class Connection:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.file = self.sock.makefile("rb")

    def ask(self, request):
        """The status of the answer."""
        self.sock.sendall(request)
        status = int(self.file.readline().split()[1])
        length = 0
        while (line := self.file.readline()) != b"\r\n":
            name, _, text = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(text)
        self.file.read(length)
        return status


def request_for(method, path, body):
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\n"
    if body is not None:
        head += "Content-Type: application/json\r\n" \
                f"Content-Length: {len(data)}\r\n"
    return head.encode() + b"\r\n" + data


def measure(pid, connection, request, count):
    for _ in range(20):
        connection.ask(request)
    before = cpu_ns(pid)
    for _ in range(count):
        connection.ask(request)
    return (cpu_ns(pid) - before) / count / 1000


def control(url, path, body):
    host, port = url.split("/")[2].split(":")
    data = json.dumps(body).encode()
    with socket.create_connection((host, int(port))) as s:
        s.sendall(f"POST /_sandbox{path} HTTP/1.1\r\nHost: x\r\n"
                  "Connection: close\r\n"
                  f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        while s.recv(65536):
            pass


def start(build, d, processes):
    """The sandbox and the agent: the latter's pid and HTTP socket."""
    seed = {"secrets": [{"id": SECRET, "name": "a", "value": "v"}],
            "apiKeys": [{"key": KEY, "scopes": ["*"]}]}
    for name, text in (("seed.json", json.dumps(seed)), ("key", KEY)):
        with open(os.path.join(d, name), "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(text)
    sandbox = subprocess.Popen(
        [program(build, "tests/sandbox", "qapi-sandbox"), "--listen",
         "127.0.0.1:0", "--seed", os.path.join(d, "seed.json")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    processes.append(sandbox)
    url = next(w for w in sandbox.stdout.readline().split()
               if w.startswith("http://")).rstrip(".,")
    url = "/".join(url.split("/")[:3]) + "/api/v1"
    http = os.path.join(d, "http.sock")
    conf = os.path.join(d, "conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(f"[agent]\nsocket={d}/agent.sock\nhttp-socket={http}\n"
                f"[upstream]\nurl={url}\napi-key-file={d}/key\n")
    agent = subprocess.Popen([program(build, "agent", "qapi-agentd"), "-c",
                              conf], stderr=subprocess.DEVNULL)
    processes.append(agent)
    wait(lambda: os.path.exists(http) or agent.poll() is not None,
         "the agent's socket")
    control(url, "/faults", {"path": "*/large", "status": 200,
                             "body": {"x": "y" * 65536}})
    return agent.pid, http


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--builddir", default=".")
    short = bool(os.environ.get("BENCH_SHORT"))
    parser.add_argument("--requests", type=int, default=50 if short else 2000)
    parser.add_argument("--rounds", type=int, default=1 if short else 5)
    args = parser.parse_args()
    processes = []
    d = tempfile.mkdtemp(prefix="qb-")
    try:
        pid, http = start(os.path.abspath(args.builddir), d, processes)
        connection = Connection(http)
        print("shape                       agent's CPU, us a request")
        for name, method, path, body in SHAPES:
            request = request_for(method, path, body)
            best = min(measure(pid, connection, request, args.requests)
                       for _ in range(args.rounds))
            print(f"{name:27} {best:8.1f}")
    finally:
        for p in processes:
            p.terminate()
            p.wait()
        shutil.rmtree(d)


if __name__ == "__main__":
    main()
