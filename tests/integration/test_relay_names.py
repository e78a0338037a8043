"""Names: resolved through the cached listing, of up to 100,000 secrets."""

import threading
import time
import unittest

import harness
from harness import Case, secret

COUNT = 100_000
PAGE = 200


def name_of(i):
    return f"team-{i % 97}/service-{i:06}/password"


class Large(Case):
    """A tenant with 100,000 secrets."""

    AUTO = False

    def test_names_of_100_000_secrets(self):
        seed = {"secrets": [
            {"id": f"5f0c1a7e-0000-4000-8000-{i:012x}", "name": name_of(i),
             "value": f"v{i}"} for i in range(COUNT)]}
        t=time.time()
        self.start(seed=seed)
        print("start", time.time()-t); t=time.time()
        self.assertEqual(self.get(name_of(COUNT - 1)), f"v{COUNT - 1}".encode())
        print("first", time.time()-t, self.agent.cpu_seconds(), self.agent.memory_kb()); t=time.time()
        self.assertEqual(self.sandbox.listings(), COUNT // PAGE)
        r = self.ok("list", "secrets", "--timeout", "60s")
        print("list", time.time()-t, len(r.out), self.agent.cpu_seconds()); t=time.time()


if __name__ == "__main__":
    unittest.main()
