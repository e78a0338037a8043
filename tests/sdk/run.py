#!/usr/bin/env python3
"""Test the official SDK, in a virtual environment of its own.

    run.py [ARGUMENT...]         for unittest: Direct, ThroughAgent.test_health

The environment is made from requirements.txt in $QAPI_SDK_VENV, by default
./venv, unless it is there already. Exit status: that of the tests; 77 where
the packages cannot be had because no package index is reached, which is said
on the terminal too. Whatever else goes wrong is a failure: a package with
another hash than ours most of all.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
REQUIREMENTS = os.path.join(HERE, "requirements.txt")
VENV = os.path.abspath(os.environ.get("QAPI_SDK_VENV", "venv"))
PYTHON = os.path.join(VENV, "bin", "python")
# `make distcheck` asks whether the tarball works, not for everything again
SHORT = ["Direct.test_health", "ThroughAgent.test_health"] \
    if os.environ.get("CHECK_SHORT") else []
LIMIT = float(os.environ.get("QAPI_TEST_LIMIT", "300"))   # seconds
# What pip says when it was the network.
UNREACHED = ("NewConnectionError", "NameResolutionError", "ConnectTimeout",
             "ReadTimeoutError", "Connection refused", "ProxyError",
             "Temporary failure in name resolution", "Network is unreachable",
             "No route to host", "Max retries exceeded")


def say(text):
    """To the log, and past automake to the terminal."""
    print(text, flush=True)
    try:
        os.write(9, (text + "\n").encode())
    except OSError:
        pass


def wanted():
    """What an environment that is good for us says of itself."""
    with open(REQUIREMENTS, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    return f"{sys.version}\n{digest}\n"


def is_made(stamp):
    try:
        with open(stamp, encoding="utf-8") as f:
            return f.read() == wanted()
    except OSError:
        return False


def make():
    """Returns 0, 77 or 1."""
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError:
        say("FAIL: python3 cannot make a virtual environment: install "
            "python3-venv")
        return 1
    pip = subprocess.run(
        [PYTHON, "-m", "pip", "install", "--disable-pip-version-check",
         "--no-input", "--require-hashes", "--only-binary", ":all:",
         "--retries", "2", "--timeout", "20", "-r", REQUIREMENTS],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    print(pip.stdout, flush=True)
    if pip.returncode == 0:
        return 0
    shutil.rmtree(VENV)
    # With a hash that is wrong, whatever else was the matter, it is a failure.
    if "HASHES" not in pip.stdout and any(x in pip.stdout for x in UNREACHED):
        say("SKIP: the official SDK was NOT tested: no package index is "
            "reached")
        return 77
    say("FAIL: the official SDK could not be installed; see the log")
    return 1


def test(arguments):
    began = time.monotonic()
    # A session of its own: tests that hang are ended with all they began.
    proc = subprocess.Popen(
        [PYTHON, "-B", os.path.join(HERE, "test_sdk.py"), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        text, _ = proc.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, 9)
        text, _ = proc.communicate()
    print(text, flush=True)
    ran = re.search(r"^Ran (\d+) tests? in", text, re.M)
    bad = re.findall(r"^(?:FAIL|ERROR): (\S+)", text, re.M)
    line = f"{'FAIL' if proc.returncode else 'PASS'}: test_sdk.py  "
    line += f"{ran[1] if ran else '?'} tests"
    if bad:
        line += f", {len(bad)} failed: {' '.join(bad)}"
    say(f"{line}  ({time.monotonic() - began:.1f} s)")
    return 1 if proc.returncode else 0


def main():
    stamp = os.path.join(VENV, "made-by-run.py")
    if not is_made(stamp):
        status = make()
        if status != 0:
            return status
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(wanted())
    return test(sys.argv[1:] or SHORT)


if __name__ == "__main__":
    sys.exit(main())
