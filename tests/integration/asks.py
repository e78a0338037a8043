"""WATCH, REJECT, EXPLAIN, DRILL and METRICS over a wire.Wire, from
proto/PROTOCOL.md alone."""

import os

import harness
import wire
from wire import field

NONE = bytes(16)        # the position of no value


def wire_as(case, user):
    """A connection of another user: the kernel notes who connects."""
    uid, gid = harness.ids(user)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        return case.wire()
    finally:
        os.seteuid(0)
        os.setegid(0)


class Watch:
    """One WATCH. First answers by index in `first`; then events."""

    def __init__(self, w, *refs, deadline_ms=None, wait=True):
        """refs: text, or (text, position)."""
        self.w = w
        self.refs = [r if isinstance(r, tuple) else (r, None) for r in refs]
        self.first = {}
        self.ended = {}
        self.over = None        # the frame that ended it
        body = b""
        if deadline_ms is not None:
            body += field("DEADLINE_MS", deadline_ms)
        for ref, position in self.refs:
            inner = [("REF", ref)]
            if position is not None:
                inner.append(("POSITION", position))
            body += field("WATCH_REF", inner)
        self.id = w.send(wire.WATCH, body)
        self.seen = []
        if wait:
            while len(self.first) < len(self.refs) and self.over is None:
                self.take()

    def take(self, timeout=None):
        """One more frame. Returns (reason, index, position) of an event."""
        f = self.w.recv_for(self.id, timeout)
        if not f.more:
            self.over = f
        if f.type == wire.EVENT:
            if f.INDEX not in self.first:
                raise wire.Malformed(f"{f} before the first answer")
            return wire.REASONS[f.REASON], f.INDEX, f.POSITION
        if f.type == wire.RESULT:
            if f.VALUE is not None:
                raise wire.Malformed(f"{f} holds a value")
            if f.INDEX not in self.first:
                self.first[f.INDEX] = f
            if f.error is not None and f.POSITION is None:
                self.ended[f.INDEX] = f
            return None
        if f.type not in (wire.DONE, wire.ERROR_MSG):
            raise wire.Malformed(f"{f} answers a WATCH")
        return None

    def event(self, timeout=None):
        """The next event."""
        while True:
            got = self.take(timeout)
            if got is not None:
                self.seen.append(got)
                return got
            if self.over is not None:
                raise AssertionError(f"ended by {self.over}")

    def reason(self, timeout=None):
        return self.event(timeout)[0]

    def until(self, reason, timeout=None):
        """Events up to this one; returns the others' reasons."""
        before = []
        while True:
            got = self.event(timeout)
            if got[0] == reason:
                return before
            before.append(got[0])

    def quiet(self):
        """What came until now, by a round trip that comes after it."""
        self.w.ping()
        out = []
        while any(f.id == self.id for f in self.w.waiting):
            got = self.take()
            if got is not None:
                out.append(got)
        return out


def get(w, ref, **terms):
    """A RESULT with its position."""
    f = w.get(ref, terms=wire.WANT_POSITION, **terms)
    if f.error is None and len(f.POSITION) != 16:
        raise wire.Malformed(f"{f} has no position")
    return f


def send_reject(w, ref, position=None, version=None, deadline_ms=None):
    body = b""
    if deadline_ms is not None:
        body += field("DEADLINE_MS", deadline_ms)
    body += field("REF", ref)
    if version is not None:
        body += field("VERSION", version)
    if position is not None:
        body += field("POSITION", position)
    return w.send(wire.REJECT, body)


def reject(w, ref, timeout=None, **kw):
    f = w.recv_for(send_reject(w, ref, **kw), timeout)
    if f.more or f.VALUE is not None:
        raise wire.Malformed(f"{f} answers a REJECT")
    return f


def explain(w, ref, as_=None):
    body = field("REF", ref)
    if as_ is not None:
        body += field("AS", as_)
    return w.recv_for(w.send(wire.EXPLAIN, body))


def metrics(w, names=False):
    """The whole text, or an ERROR frame."""
    text = ""
    for f in w.all_for(w.send(wire.METRICS, field("NAMES", 1) if names
                              else b"")):
        if f.type == wire.ERROR_MSG:
            return f
        if f.type != wire.METRICS_TEXT:
            raise wire.Malformed(f"{f} answers METRICS")
        text += f.TEXT
    return text


class Drill:
    """One DRILL, begun."""

    def __init__(self, w, duration_ms):
        self.w = w
        self.id = w.send(wire.DRILL, field("DURATION_MS", duration_ms))
        self.first = w.recv_for(self.id)

    def report(self, timeout=None):
        """(reads, values, last frame): dictionaries of fields."""
        reads, values = [], []
        while True:
            f = self.w.recv_for(self.id, timeout)
            if f.type != wire.DRILLED:
                raise wire.Malformed(f"{f} answers a DRILL")
            reads += [dict(v) for n, v in f.fields if n == "DRILL_READ"]
            values += [dict(v) for n, v in f.fields if n == "DRILL_VALUE"]
            if not f.more:
                return reads, values, f

    def cancel(self):
        self.w.send_raw(wire.frame(wire.CANCEL, b"", self.id))
