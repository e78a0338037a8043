#!/usr/bin/env python3
"""Run the integration tests, some files at a time, and sum up.

    run.py [-j N] [FILE...]      all test_*.py beside it, unless named

The slowest files start first. Exit status: 0 all passed or skipped, 1 some
failed, 77 all skipped. Under automake the progress goes to descriptor 9, the
terminal; the details go to standard output, its log.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = float(os.environ.get("QAPI_TEST_LIMIT", "300"))   # seconds a file
SLOW = ["test_cache_rows.py", "test_keys.py", "test_protocol.py",
        "test_watch.py", "test_memory.py", "test_faults.py", "test_state.py",
        "test_deadlines.py", "test_cache_table.py", "test_systemd.py",
        "test_operations.py", "test_rest.py", "test_reload.py",
        "test_chaos.py", "test_limits.py", "test_helper.py"]


class Job:
    def __init__(self, path):
        self.name = os.path.basename(path)
        self.out = tempfile.TemporaryFile()
        self.began = time.monotonic()
        # A session of its own: a file that hangs is ended with all it began.
        self.proc = subprocess.Popen(
            [sys.executable, "-B", path], stdin=subprocess.DEVNULL,
            stdout=self.out, stderr=subprocess.STDOUT, start_new_session=True)

    def over(self):
        if self.proc.poll() is not None:
            return True
        if time.monotonic() - self.began > LIMIT:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
            return True
        return False

    def text(self):
        self.out.seek(0)
        return self.out.read().decode("utf-8", "replace")


def describe(job):
    seconds = time.monotonic() - job.began
    text = job.text()
    ran = re.search(r"^Ran (\d+) tests? in", text, re.M)
    skipped = re.search(r"skipped=(\d+)", text)
    code = job.proc.returncode
    verdict = {0: "PASS", 77: "SKIP"}.get(code, "FAIL")
    line = f"{verdict}: {job.name}  {ran[1] if ran else '?'} tests"
    if skipped:
        line += f", {skipped[1]} skipped"
    if verdict == "FAIL":
        bad = re.findall(r"^(?:FAIL|ERROR): (\S+)", text, re.M)
        line += f", {len(bad)} failed: {' '.join(bad)}" if bad else \
            f", ended with {code}"
    return verdict, f"{line}  ({seconds:.1f} s)"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int,
                        default=int(os.environ.get("QAPI_TEST_JOBS", "6")))
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    # `make distcheck` asks whether the tarball works, not for everything again
    short = ["test_config.py", "test_get.py"] if os.environ.get("CHECK_SHORT") \
        else None
    files = args.files or short or sorted(
        (f for f in os.listdir(HERE) if re.fullmatch(r"test_\w+\.py", f)),
        key=lambda f: SLOW.index(f) if f in SLOW else len(SLOW))
    try:
        console = os.fdopen(9, "w", buffering=1)
    except OSError:
        console = None

    def say(line):
        print(line, flush=True)
        if console:
            print(line, file=console)

    began, verdicts, running = time.monotonic(), [], []
    queue = [f if os.path.sep in f else os.path.join(HERE, f) for f in files]
    while queue or running:
        while queue and len(running) < args.j:
            running.append(Job(queue.pop(0)))
        for job in [j for j in running if j.over()]:
            running.remove(job)
            verdict, line = describe(job)
            verdicts.append(verdict)
            if verdict == "FAIL":
                print(f"===== {job.name}\n{job.text()}", flush=True)
            say(line)
        time.sleep(0.05)
    say(f"integration: {verdicts.count('PASS')} files passed, "
        f"{verdicts.count('FAIL')} failed, {verdicts.count('SKIP')} skipped "
        f"in {time.monotonic() - began:.0f} s")
    if "FAIL" in verdicts:
        return 1
    return 77 if verdicts and set(verdicts) == {"SKIP"} else 0


if __name__ == "__main__":
    sys.exit(main())
