"""What the SDK is pointed at."""

import os
import secrets
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

import harness  # noqa: E402  pylint: disable=wrong-import-position


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
        shutil.rmtree(self.dir)
