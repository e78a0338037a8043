"""What the tests of requests that are handed on share: a way in, which takes
them as the service does."""

import json
import os

import rawhttp
from harness import Case


class Front(Case):
    """A daemon with http-socket=; self.http is its path."""

    def setUp(self):
        self.http = None
        super().setUp()

    def conf(self, conf=None, allow=None):
        self.http = os.path.join(self.run_dir, "http.sock")
        mine = {"agent": {"http-socket": self.http}}
        for section, members in (conf or {}).items():
            mine.setdefault(section, {}).update(members)
        return super().conf(mine, allow)

    def ask(self, method, path, body=None):
        """An answer with status, headers and body."""
        headers = [("Content-Type", "application/json")]
        data = None if body is None else json.dumps(body).encode()
        return rawhttp.ask(self.http, method, "/api/v1" + path, headers, data)

    def call(self, method, path, body=None, status=200):
        """A request that must be answered so; its JSON, if there is any."""
        a = self.ask(method, path, body)
        self.assertEqual(a.status, status, a.body)
        return json.loads(a.body) if a.body else None
