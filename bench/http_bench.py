#!/usr/bin/env python3
"""Cached reads over http-socket= against nginx with proxy_cache; see README.md.

Both answer the same load by turns, over Unix sockets, in one run: the agent
from its cache, nginx (one worker) from what it got from the agent once; and
beside them libevent's evhttp, with answers that are always the same. Nothing
here fails because something is slow.
"""
import argparse
import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

import run

# A list that the agent does not keep: handed on to the service.
RELAYED = "/api/v1/applications"

SHAPES = (
    # name, bytes of the value, options of load_http
    ("64 conns, 64 B", 64, ["--connections", "64"]),
    ("64 conns, 4 KiB", 4096, ["--connections", "64"]),
    ("1 conn, depth 32, 64 B", 64, ["--depth", "32"]),
)

# As an operator would: the keys and the content in memory, no log, one worker
# on one processor, as the agent has one.
NGINX = """\
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {dir}/nginx-body;
  proxy_temp_path {dir}/nginx-proxy;
  fastcgi_temp_path {dir}/nginx-fastcgi;
  uwsgi_temp_path {dir}/nginx-uwsgi;
  scgi_temp_path {dir}/nginx-scgi;
  proxy_cache_path {cache} keys_zone=z:1m max_size=10m;
  server {{
    listen unix:{dir}/nginx.sock;
    location / {{
      proxy_pass http://unix:{dir}/http.sock;
      proxy_cache z;
      proxy_cache_valid 200 1h;
      proxy_ignore_headers Cache-Control;
    }}
  }}
}}
"""


class HttpBench(run.Bench):
    def configure(self, url):
        super().configure(url)
        path = self.path("agent.conf")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(
                "[agent]\n", f"[agent]\nhttp-socket={self.path('http.sock')}\n"))

    def start_nginx(self):
        """None where it is not there."""
        nginx = shutil.which("nginx") or shutil.which(
            "nginx", path="/usr/sbin:/usr/local/sbin")
        if nginx is None:
            return None
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.dir
        cache = os.path.join(base, f"qapi-bench-{os.getpid()}")
        self.stack.callback(shutil.rmtree, cache, True)
        conf = self.write("nginx.conf", NGINX.format(dir=self.dir,
                                                     cache=cache))
        server = self.serve("nginx", [nginx, "-c", conf, "-p", self.dir])
        for _ in range(500):
            server.check()
            with contextlib.suppress(OSError), \
                    socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.path("nginx.sock"))
                return server
            time.sleep(0.01)
        raise run.Failure("nginx was not ready within 5 s")

    def start_evhttp(self, length):
        path = self.path(f"evhttp{length}.sock")
        server = self.serve(f"evhttp{length}", [
            self.program("bench/evhttp"), path, str(length)],
            stdout=subprocess.PIPE)
        for _ in range(500):
            server.check()
            with contextlib.suppress(OSError), \
                    socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                return server
            time.sleep(0.01)
        raise run.Failure("evhttp was not ready within 5 s")

    def evhttp_idle(self, server, length):
        """Secret memory for a connection that has had one answer."""
        def used():
            server.process.send_signal(signal.SIGUSR1)
            return int(server.process.stdout.readline())

        before = used()
        socks = []
        for _ in range(100):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.path(f"evhttp{length}.sock"))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(4096)
            socks.append(sock)
        after = used()
        for sock in socks:
            sock.close()
        return (after - before) / len(socks)

    def load_http(self, server, name, length, options, path=None):
        """Requests a second, and microseconds of the server's CPU for one."""
        run.pin(server.pid, self.server_cpu)
        os.sched_setaffinity(0, {self.client_cpu})
        done = subprocess.run(
            [self.program("bench/load_http"), "--server", str(server.pid),
             "--socket", self.path(f"{name}.sock"),
             "--path", path or f"/api/v1/secrets/sec_bench{length}",
             "--length", str(length), "--seconds", str(self.seconds)] +
            options, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=30, check=False)
        if done.returncode != 0:
            server.check()
            raise run.Failure(done.stderr.decode(errors="replace").strip())
        figures = dict(f.split("=") for f in done.stdout.decode().split())
        return float(figures["per_second"]), float(figures["server_cpu_us"])

    def compare_http(self, shape, agent, nginx, evhttp):
        title, length, options = shape
        rows = []
        for _ in range(self.rounds):
            if rows and time.monotonic() > self.until:
                break
            rows.append(
                self.load_http(nginx, "nginx", length, options) +
                self.load_http(agent, "http", length, options) +
                self.load_http(evhttp, f"evhttp{length}", length, options))
        ratios = [r[2] / r[0] for r in rows]
        middle = [statistics.median(r[i] for r in rows) for i in range(6)]
        print("%-24s %8.0f %8.0f %6.2f  %5.2f-%5.2f  %6.2f %6.2f %6.2f" % (
            title, middle[0], middle[2], statistics.median(ratios),
            min(ratios), max(ratios), middle[1], middle[3], middle[5]),
            flush=True)

    def run(self):
        self.configure(self.start_sandbox())
        agent, _ = self.start_agent()
        nginx = self.start_nginx()
        if nginx is None:
            print("nginx is not there (Debian: nginx-light): nothing to "
                  "compare the HTTP socket with")
            return
        evhttp = {n: self.start_evhttp(n) for n in (64, 4096)}
        print("%-24s %8s %8s %6s  %11s  %6s %6s %6s" % (
            "HTTP, cached reads", "nginx/s", "agent/s", "ratio", "from-to",
            "nginx", "agent", "evhttp"))
        print("%-24s %17s %20s  %20s" % (
            "", "requests a second", "agent to nginx", "CPU us a request"))
        for shape in SHAPES:
            self.compare_http(shape, agent, nginx, evhttp[shape[1]])
        relayed = [self.load_http(
            agent, "http", 0, ["--connections", "4"], RELAYED)[1]
            for _ in range(self.rounds)]
        print("handed on: %.0f us of the agent's CPU a request (%.0f-%.0f)" %
              (statistics.median(relayed), min(relayed), max(relayed)))
        print("evhttp: %.0f bytes of locked memory for an idle connection" %
              self.evhttp_idle(evhttp[64], 64))
        agent.stop()
        nginx.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builddir", default=".",
                        help="top of the build tree (.)")
    parser.add_argument("--rounds", type=run.count,
                        help="pairs of runs a shape")
    parser.add_argument("--seconds", type=run.seconds, help="length of a run")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with contextlib.ExitStack() as stack:
            HttpBench(args, stack).run()
    except (run.Failure, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
