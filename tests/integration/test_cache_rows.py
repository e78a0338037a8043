#!/usr/bin/env python3
import time
import harness
import wire
from harness import Case, at_once, ref, secret, value

def q(name):
    return "qapi://secrets/" + name

class T(Case):
    STEERED = True
    SEED = {"secrets": [secret("a"), secret("b")]}
    CONF = {"cache": {"refresh-interval": None}}

    def test_x(self):
        self.get("a")
        new = value("rot")
        self.sandbox.rotate("a", new)
        self.sandbox.forget()
        t = time.monotonic()
        self.clock.pass_(120)
        print(time.monotonic() - t)
        self.assertEqual(self.sandbox.total, 0)
        self.clock.pass_(190)
        print(time.monotonic() - t, self.sandbox.total)
        with self.wire() as w:
            print(w.get(q("a"), terms=wire.ONLY_IF_CACHED).VALUE, new)
        t = time.monotonic()
        self.clock.pass_(86400*0.5)
        print(time.monotonic() - t, self.sandbox.total)
        self.sandbox.fault("*", action="hang")
        t = time.monotonic()
        self.clock.pass_(3600)
        print(time.monotonic() - t, self.sandbox.total)
        print(self.get_json("a"), self.agent.log())

if __name__ == "__main__":
    harness.main()
