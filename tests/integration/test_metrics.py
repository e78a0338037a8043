#!/usr/bin/env python3
"""METRICS: the text of a real daemon against a strict parser."""

import math
import os
import re
import unittest

import asks
import harness
import wire
from harness import Case, needs_root, ref, secret

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL},?)*)\}})? (\S+)")
UNITS = ("seconds", "bytes", "ratio", "meters", "volts")


class Family:
    def __init__(self, name):
        self.name = name
        self.type = self.unit = self.help = None
        self.samples = {}       # (sample name, labels) -> value

    def value(self, suffix="", **labels):
        return self.samples[self.name + suffix,
                            tuple(sorted(labels.items()))]


def parse(text):
    """{name: Family}. Raises ValueError for whatever is not as the rules of
    OpenMetrics 1.0 have it; takes no type that the older text format lacks.
    """
    def bad(why):
        raise ValueError(f"line {number}: {why}: {line!r}")

    if not text.endswith("# EOF\n"):
        raise ValueError("no # EOF")
    families, family, number = {}, None, 0
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        number += 1
        if line.startswith("#"):
            m = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)", line)
            if m is None:
                bad("no comment is allowed")
            what, name, rest = m.groups()
            if family is None or family.name != name:
                if name in families:
                    bad("the family was there before")
                family = families[name] = Family(name)
            if family.samples:
                bad("metadata after samples")
            if getattr(family, what.lower()) is not None:
                bad("given twice")
            if what == "TYPE" and rest not in ("counter", "gauge",
                                               "histogram"):
                bad("unknown type")
            if what == "UNIT" and not name.endswith("_" + rest):
                bad("the unit is not the end of the name")
            if what == "HELP" and re.search(r"\\(?![\\n\"])", rest):
                bad("bad escape")
            setattr(family, what.lower(), rest)
            continue
        m = SAMPLE.fullmatch(line)
        if m is None:
            bad("no sample")
        name, labels, value = m[1], m[2] or "", m[5]
        if family is None or not name.startswith(family.name):
            bad("a sample outside of its family")
        suffix = name[len(family.name):]
        allowed = {"counter": ("_total",), "gauge": ("",),
                   "histogram": ("_bucket", "_sum", "_count")}
        if family.type is None or suffix not in allowed[family.type]:
            bad("wrong suffix")
        found = re.findall(LABEL, labels)
        if ",".join(f'{k}="{v}"' for k, v in found) != labels:
            bad("labels")
        if len({k for k, _ in found}) != len(found):
            bad("a label twice")
        if not re.fullmatch(r"[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)|NaN",
                            value):
            bad("no number")
        key = name, tuple(sorted(found))
        if key in family.samples:
            bad("a sample twice")
        family.samples[key] = float(value)
    for f in families.values():
        check_family(f)
    return families


def check_family(f):
    if f.type is None or f.help is None:
        raise ValueError(f"{f.name} lacks TYPE or HELP")
    for unit in UNITS:
        if f.name.endswith("_" + unit) and f.unit != unit:
            raise ValueError(f"{f.name} lacks its UNIT")
    if f.name.endswith(("_total", "_bucket", "_sum", "_count", "_created")):
        raise ValueError(f"{f.name} ends as a sample")
    for (name, labels), value in f.samples.items():
        if f.type != "gauge" and (math.isnan(value) or value < 0):
            raise ValueError(f"{name} is {value}")
        if f.type == "counter" and value != int(value):
            raise ValueError(f"{name} is {value}")
        if f.type == "histogram" and (dict(labels).keys() !=
                                      ({"le"} if name.endswith("_bucket")
                                       else set())):
            raise ValueError(f"labels of {name}")
    if f.type != "histogram":
        return
    buckets = [(dict(labels)["le"], v) for (n, labels), v in
               f.samples.items() if n.endswith("_bucket")]
    bounds = [float(le) for le, _ in buckets]
    for le, _ in buckets:
        if le != "+Inf" and not re.fullmatch(r"\d+\.(0|\d*[1-9])", le):
            raise ValueError(f"le {le} is not canonical")
    if bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
        raise ValueError(f"bounds of {f.name}: {bounds}")
    counts = [v for _, v in buckets]
    if counts != sorted(counts) or counts[-1] != f.value("_count"):
        raise ValueError(f"counts of {f.name}: {counts}")
    f.value("_sum")


class Parser(unittest.TestCase):
    """The judge itself: it must not let everything pass."""

    GOOD = ("# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n"
            "# HELP a_seconds Text.\na_seconds 1.5\n# EOF\n")

    def test_good(self):
        self.assertEqual(parse(self.GOOD)["a_seconds"].value(), 1.5)

    def test_bad(self):
        g = self.GOOD
        for text in (g[:-6], g.replace("a_seconds 1.5", "a_seconds x"),
                     g.replace("gauge", "info"),
                     g.replace("gauge", "counter"),
                     g.replace("# UNIT a_seconds seconds\n", ""),
                     g.replace("# UNIT a_seconds seconds",
                               "# UNIT a_seconds bytes"),
                     g.replace("1.5\n", "1.5\na_seconds 1.5\n"),
                     g.replace("a_seconds 1.5", "b 1"),
                     g.replace("a_seconds 1.5", 'a_seconds{x="\\q"} 1'),
                     g.replace("a_seconds 1.5", "a_seconds  1"),
                     g.replace("# HELP a_seconds Text.\n", ""),
                     g.replace("# EOF", "\n# EOF"),
                     g.replace("# EOF", "# TYPE a_seconds gauge\n# EOF")):
            with self.subTest(text), self.assertRaises(ValueError):
                parse(text)


ODD = 'we "odd" \\ name'
SEED = {"secrets": [secret("s1", "db/one", expiresAt=harness.utc(3600)),
                    secret("s2", "db/two"), secret("s3", "web"),
                    secret("s4", ODD)],
        "keys": [{"id": "k1", "name": "signing", "algorithm": "Ed25519"}]}


class Metrics(Case):
    SEED = SEED
    ALLOW = [("dbs", {"user": "nobody", "secrets": "db/*"})]
    CONF = {"agent": {"socket-mode": "0666"}}

    def text(self, names=False):
        text = asks.metrics(self.wire(), names)
        self.assertIsInstance(text, str, text)
        self.assertEqual(self.leaks(text, "metrics"), [])
        return text

    def figures(self, names=False):
        return parse(self.text(names))

    def test_text_is_strict_openmetrics(self):
        m = self.figures()
        self.assertGreater(len(m), 30)
        self.assertTrue(all(n.startswith("qapi_agent_") for n in m))
        build = m["qapi_agent_build_info"].samples
        self.assertEqual(list(build.values()), [1])
        self.assertEqual(m["qapi_agent_drill"].value(), 0)

    def test_figures_follow_what_happens(self):
        before = self.figures()
        w = self.wire()
        for _ in range(3):
            self.assertIsNone(w.get(ref("db/one")).error)
        self.assertEqual(w.get(ref("nothing")).error, "not-found")
        after = self.figures()

        def rose(name, suffix="_total", **labels):
            name = "qapi_agent_" + name
            return after[name].value(suffix, **labels) - \
                before[name].value(suffix, **labels)
        self.assertEqual(rose("cache_hits"), 2)
        # the second has the listing that the first waited for
        self.assertEqual(rose("cache_misses"), 1)
        self.assertEqual(rose("cache_entries", "", kind="secret"), 1)
        self.assertGreater(rose("upstream_requests", outcome="ok"), 1)
        self.assertEqual(
            rose("upstream_request_duration_seconds", "_count"),
            sum(rose("upstream_requests", outcome=o) for o in
                ("ok", "refused", "error")))
        self.assertGreater(rose("requests"), 3)
        expiry = "qapi_agent_cache_next_expiry_seconds"
        self.assertEqual(before[expiry].value(), math.inf)
        # the cache is walked once a second, however often one asks
        left = self.wait(lambda: min(self.figures()[expiry].value(), 1e9) %
                         1e9, "the next expiry is told")
        self.assertTrue(3000 < left < 3600, left)
        self.assertIn("qapi_agent_listing_age_seconds", after)
        self.assertLess(after["qapi_agent_listing_age_seconds"].value(
            kind="secret"), harness.LONG)

    def test_state_of_the_service(self):
        w = self.wire()
        w.get(ref("db/one"))
        m = self.figures()
        self.assertEqual(m["qapi_agent_upstream_state"].value(state="ok"), 1)
        self.assertEqual(sum(m["qapi_agent_upstream_state"].samples.values()),
                         1)
        self.assertEqual(m["qapi_agent_upstream_breaker"].value(
            state="closed"), 1)
        self.sandbox.stop()

        def gone():
            w.get(ref("db/one"), terms=wire.FRESH)
            m = self.figures()
            return m if m["qapi_agent_upstream_breaker"].value(
                state="closed") == 0 else None
        m = self.wait(gone, "the breaker opens")
        self.assertEqual(
            sum(m["qapi_agent_upstream_breaker"].samples.values()), 1)
        self.assertEqual(m["qapi_agent_upstream_state"].value(state="down"),
                         1)
        self.assertGreater(m["qapi_agent_upstream_requests"].value(
            "_total", outcome="unavailable"), 0)
        self.assertEqual(w.get(ref("db/one")).freshness, "stale")
        self.assertEqual(self.figures()["qapi_agent_stale_answers"].value(
            "_total"), 1)

    def test_no_names_unless_asked_for(self):
        w = self.wire()
        for name in ("db/one", "web", ODD):
            self.assertIsNone(w.get(ref(name)).error)
        text = self.text()
        for name in ("db/one", "web", "odd", "s1", "s3"):
            self.assertNotIn(f'"{name}', text)
        m = self.figures(names=True)
        age = m["qapi_agent_value_age_seconds"]
        self.assertLess(age.value(kind="secret", id="s1", name="db/one"),
                        harness.LONG)
        # as it stands in the text, escaped
        age.value(kind="secret", id="s4",
                  name=ODD.replace("\\", "\\\\").replace('"', '\\"'))
        self.assertEqual(len(age.samples), 3)
        expiry = m["qapi_agent_value_expiry_timestamp_seconds"]
        self.assertEqual(len(expiry.samples), 1)
        self.assertEqual(m["qapi_agent_value_fresh"].value(
            kind="secret", id="s3", name="web"), 1)

    @needs_root
    def test_names_are_those_that_the_caller_may_read(self):
        w = self.wire()
        for name in ("db/one", "web"):
            self.assertIsNone(w.get(ref(name)).error)
        m = parse(asks.metrics(asks.wire_as(self, "nobody"), names=True))
        ids = {dict(labels)["id"] for _, labels in
               m["qapi_agent_value_age_seconds"].samples}
        self.assertEqual(ids, {"s1"})

    def test_age_of_the_state_file(self):
        self.assertNotIn("qapi_agent_state_age_seconds", self.figures())
        self.assertEqual(self.agent.stop(), 0)
        key = os.path.join(self.dir, "state-key")
        self.write_key("k" * 64, path=key)
        self.start_agent({"cache": {
            "state-file": os.path.join(self.dir, "state"),
            "state-key-file": key}})
        self.wire().get(ref("db/one"))
        m = self.wait(lambda: (lambda m: m if "qapi_agent_state_age_seconds"
                               in m else None)(self.figures()),
                      "it was written")
        self.assertLess(m["qapi_agent_state_age_seconds"].value(),
                        harness.LONG)

    def test_slow_reader_of_long_texts_holds_a_bounded_amount(self):
        self.wire().get(ref("db/one"))
        w = self.wire(rcvbuf=4096)
        w.sock.setblocking(False)
        sent = 0
        try:
            for _ in range(5000):
                sent += w.sock.send(wire.frame(
                    wire.METRICS, wire.field("NAMES", 1), 1))
        except BlockingIOError:
            pass
        # others are served, and what it does not read is not made
        before = self.agent.memory_kb()
        for _ in range(50):
            self.wire().ping()
        self.assertLess(self.agent.memory_kb() - before, 4096)


if __name__ == "__main__":
    harness.main()
