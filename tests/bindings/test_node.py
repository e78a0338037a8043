#!/usr/bin/env python3
"""A client in another language, written from proto/PROTOCOL.md alone: does the
document suffice? Plain Node; skipped where there is none."""

import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

NODE = shutil.which("node")
OLDEST = 18


def setUpModule():
    if NODE is None:
        raise unittest.SkipTest("there is no node")
    version = subprocess.run([NODE, "--version"], capture_output=True,
                             text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < OLDEST:
        raise unittest.SkipTest(f"node {version.strip()} is too old")


def node(*argv, env=None):
    return subprocess.run(
        [NODE, *argv], cwd=os.path.join(HERE, "node"), text=True,
        capture_output=True, check=False, timeout=4 * harness.LONG,
        env={"PATH": os.environ["PATH"], **(env or {})})


class Document(unittest.TestCase):
    def test_vectors_and_tables(self):
        p = node("vectors_test.mjs",
                 os.path.join(harness.SOURCE, "proto", "PROTOCOL.md"))
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)


class Client(harness.Case):
    SEED = {
        "secrets": [
            {"name": "db/password", "value": "hünter2\0 ",
             "username": "app"},
            {"name": "watched", "value": "one"},
            {"name": "cold", "value": "never read"},
            {"name": "large", "value": "x" * 60000}],
        "keys": [
            {"name": "mail", "algorithm": "AES-256-GCM"},
            {"name": "signing", "algorithm": "Ed25519"}]}

    def test_everything(self):
        names = ["ping", "get", "getMany", "large", "terms", "list",
                 "status", "call", "encrypt", "sign", "seal", "watch",
                 "closed"]
        p = node("live_test.mjs", *names, env={
            "QAPI_AGENT_SOCK": self.socket, "SERVICE": self.sandbox.url,
            "API_KEY": self.key})
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertEqual(p.stdout.split("\n")[:-1],
                         ["ok " + name for name in names])


if __name__ == "__main__":
    harness.main()
