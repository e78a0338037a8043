"""What the SDK is pointed at: the sandbox itself, or the agent before it."""

import os
import secrets
import shutil
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402  pylint: disable=wrong-import-position


OPERATIONS = "read,list,watch,encrypt,decrypt,sign,verify,call"


class Service:
    """The sandbox, with one key that may do everything."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="qapi-sdk-")
        os.chmod(self.dir, 0o755)
        self.key = "qapi_" + secrets.token_hex(20)
        self.sandbox = harness.Sandbox(self.dir, {
            "apiKeys": [{"key": self.key, "name": "sdk", "scopes": ["*"]}]})

    def start(self):
        self.sandbox.start()
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.sandbox.port}"

    def stop(self):
        self.sandbox.stop()
        with open(self.sandbox.log, encoding="utf-8") as f:
            said = f.read()
        shutil.rmtree(self.dir)
        if said:    # a sanitizer's report
            raise AssertionError("the sandbox says: " + said)


class ThroughAgent(Service):
    """The agent's http-listen before it; the key is the local token."""

    def __init__(self):
        super().__init__()
        self.agent = None
        self.where = free_place()

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self):
        super().start()
        with open(self.path("api-key"), "w", encoding="ascii",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(self.key + "\n")
        os.mkdir(self.path("run"), 0o755)
        socket_path = self.path("run/agent.sock")
        harness.write_conf(self.path("agent.conf"), [
            ("agent", {"socket": socket_path,
                       "http-listen": "%s:%d" % self.where,
                       "http-token-file": self.path("token")}),
            ("upstream", {"url": self.sandbox.url,
                          "api-key-file": self.path("api-key")}),
            ("cache", {"max-memory": "16M"}),
            ('allow "the SDK"', {
                "user": "http", "secrets": "**", "keys": "**",
                "paths": "* **", "operations": OPERATIONS})])
        self.agent = harness.Agent(self.dir, self.path("agent.conf"),
                                   socket_path)
        self.agent.start()
        with open(self.path("token"), encoding="ascii") as f:
            self.private = (self.key, f.read().strip())
        self.key = self.private[1]

    @property
    def url(self):
        return "http://%s:%d" % self.where

    def stop(self):
        try:
            if self.agent is not None and self.agent.proc is not None:
                self.check_end()
        finally:
            super().stop()

    def check_end(self):
        status = self.agent.stop()
        log = self.agent.log()
        if status != 0 or any(p in log for p in self.private):
            raise AssertionError(f"qapi-agentd ended with {status}; its log, "
                                 f"where no key may be:\n{log}")


def free_place():
    """A loopback address that nobody else thinks of, and a port of it."""
    a, b, c = os.urandom(3)
    with socket.socket() as s:
        s.bind((f"127.{a}.{b}.{c or 1}", 0))
        return s.getsockname()
