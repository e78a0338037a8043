#!/usr/bin/env python3
"""docs/api.md is what scripts/api-table makes of the sandbox's routing and the
agent's table, which know the same endpoints with the same scopes."""

import os
import subprocess
import sys
import unittest

import harness

TABLE = os.path.join(harness.SOURCE, "scripts", "api-table")


class Table(unittest.TestCase):
    maxDiff = None

    def test_the_document_is_what_the_generator_prints_now(self):
        r = subprocess.run(
            [sys.executable, "-B", TABLE, "--build", harness.BUILD,
             "--check"], capture_output=True, text=True, check=False,
            timeout=harness.LONG)
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "", ""))


if __name__ == "__main__":
    harness.main()
