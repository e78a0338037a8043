"""A client of the local protocol, written from proto/PROTOCOL.md alone.

It shares nothing with the C code. Frames are built and taken apart here byte
by byte, so that tests can also send what no client should.
"""

import socket
import struct
import time

VERSION = 1
HEADER = struct.Struct(">IBBHQ")
MAX_TO_AGENT = 0x110000
MAX_FROM_AGENT = 0x1010000

MORE = 0x0001
FD = 0x0002

# Messages (section 4)
HELLO, PING, GET, LIST, STATUS, REFRESH, PURGE = range(0x01, 0x08)
WATCH, CANCEL, REJECT, EXPLAIN, DRILL, METRICS = range(0x08, 0x0e)
CALL, ENCRYPT, DECRYPT, SIGN, VERIFY = range(0x0e, 0x13)
STREAM_OPEN, STREAM_DATA = range(0x13, 0x15)
A_HELLO, RESULT, ROWS, STATS, DONE, ERROR_MSG = range(0x80, 0x86)
EVENT, EXPLAINED, DRILLED, METRICS_TEXT = range(0x86, 0x8a)
CALLED, VERIFIED, STREAM_BYTES = range(0x8a, 0x8d)

# Fields (section 3): tag -> (name, type)
FIELDS = {
    0x0001: ("DEADLINE_MS", "u64"),
    0x0002: ("MAX_AGE_MS", "u64"),
    0x0003: ("MAX_STALE_MS", "u64"),
    0x0004: ("TERMS", "u32"),
    0x0010: ("REF", "text"),
    0x0011: ("ALL", "u8"),
    0x0012: ("KIND", "u8"),
    0x0013: ("WATCH_REF", "fields"),
    0x0014: ("AS", "text"),
    0x0015: ("DURATION_MS", "u64"),
    0x0016: ("NAMES", "u8"),
    0x0017: ("METHOD", "text"),
    0x0018: ("TARGET", "text"),
    0x0019: ("CONTENT_TYPE", "text"),
    0x001a: ("KEY", "text"),
    0x001b: ("ALGORITHM", "text"),
    0x001c: ("AAD", "text"),
    0x001d: ("SIGNATURE", "bytes"),
    0x001e: ("STREAM", "u64"),
    0x001f: ("FINAL", "u8"),
    0x0020: ("INDEX", "u16"),
    0x0021: ("ERROR", "u16"),
    0x0022: ("MESSAGE", "text"),
    0x0023: ("FRESHNESS", "u8"),
    0x0024: ("AGE_MS", "u64"),
    0x0025: ("ID", "text"),
    0x0026: ("NAME", "text"),
    0x0027: ("VERSION", "u64"),
    0x0028: ("UPDATED_AT", "time"),
    0x0029: ("EXPIRES_AT", "time"),
    0x002a: ("CONTENT", "u8"),
    0x002b: ("POSITION", "bytes"),
    0x002c: ("CHANGED", "u8"),
    0x002d: ("REASON", "u8"),
    0x002e: ("DATA", "bytes"),
    0x002f: ("VALUE", "bytes"),
    0x0030: ("ROW", "fields"),
    0x0040: ("STAT", "fields"),
    0x0041: ("STAT_NAME", "text"),
    0x0042: ("STAT_UINT", "u64"),
    0x0043: ("STAT_TEXT", "text"),
    0x0050: ("PROTOCOL", "u16"),
    0x0051: ("BUILD", "text"),
    0x0052: ("COUNT", "u64"),
    0x0053: ("FAILED", "u64"),
    0x0060: ("ALLOWED", "u8"),
    0x0061: ("RULE", "text"),
    0x0062: ("WHY", "text"),
    0x0063: ("CACHED", "u8"),
    0x0064: ("NEXT_REFRESH_MS", "u64"),
    0x0065: ("LAST_ERROR", "u16"),
    0x0070: ("DRILL_READ", "fields"),
    0x0071: ("DRILL_VALUE", "fields"),
    0x0072: ("UNUSABLE_IN_MS", "u64"),
    0x0073: ("LIMIT", "u8"),
    0x0074: ("ELAPSED_MS", "u64"),
    0x0080: ("TEXT", "text"),
    0x0090: ("STATUS", "u16"),
    0x0091: ("VALID", "u8"),
    0x0092: ("VERIFIED_BY", "u8"),
    0x0093: ("SEAL", "u8"),
    0x0094: ("HEADER", "bytes"),
    0x0095: ("RETRY_AFTER_MS", "u64"),
}
TAGS = {name: tag for tag, (name, _) in FIELDS.items()}
REPEATED = {"REF", "ROW", "STAT", "WATCH_REF", "DRILL_READ", "DRILL_VALUE"}
PACK = {"u8": ">B", "u16": ">H", "u32": ">I", "u64": ">Q", "time": ">q"}

ONLY_IF_CACHED = 1
FRESH = 2
WANT_POSITION = 4

REASONS = {1: "changed", 2: "expiring", 3: "expired", 4: "gone", 5: "stale",
           6: "fresh-again"}
FRESHNESS = {1: "fresh", 2: "stale", 3: "expired"}
ERRORS = {
    1: "bad-request", 2: "not-found", 3: "ambiguous", 4: "denied",
    5: "expired", 6: "unauthorized", 7: "insufficient-scope",
    8: "rate-limited", 9: "upstream-unavailable", 10: "upstream-error",
    11: "too-large", 12: "busy", 13: "timeout", 14: "unsupported",
    15: "internal",
}


class Malformed(Exception):
    """The agent broke the protocol."""


class Closed(Exception):
    """The agent closed the connection."""


def raw_field(tag, content):
    return struct.pack(">HI", tag, len(content)) + content


def field(name, value):
    tag = TAGS[name]
    kind = FIELDS[tag][1]
    if kind in PACK:
        return raw_field(tag, struct.pack(PACK[kind], value))
    if kind == "text":
        return raw_field(tag, value.encode() if isinstance(value, str)
                         else value)
    if kind == "fields":
        return raw_field(tag, fields(value))
    return raw_field(tag, value)


def fields(pairs):
    return b"".join(field(name, value) for name, value in pairs)


def frame(kind, body=b"", rid=1, flags=0, version=VERSION, length=None):
    if length is None:
        length = len(body)
    return HEADER.pack(length, version, kind, flags, rid) + body


def parse_fields(body):
    """[(name, value)] in order; unknown tags are skipped, critical ones not."""
    out, pos, seen = [], 0, set()
    while pos < len(body):
        if len(body) - pos < 6:
            raise Malformed("a field's head is cut")
        tag, length = struct.unpack_from(">HI", body, pos)
        pos += 6
        if length > len(body) - pos:
            raise Malformed(f"field {tag:#06x} reaches past the end")
        content = body[pos:pos + length]
        pos += length
        if tag not in FIELDS:
            if tag >= 0x8000:
                raise Malformed(f"unknown critical field {tag:#06x}")
            continue
        name, kind = FIELDS[tag]
        if name not in REPEATED:
            if name in seen:
                raise Malformed(name + " comes twice")
            seen.add(name)
        if kind in PACK:
            if length != struct.calcsize(PACK[kind]):
                raise Malformed(f"{name} has {length} bytes")
            value = struct.unpack(PACK[kind], content)[0]
        elif kind == "text":
            value = content.decode("utf-8")
            if "\0" in value:
                raise Malformed(name + " holds NUL")
        elif kind == "fields":
            value = parse_fields(content)
        else:
            value = content
        out.append((name, value))
    if any(name == "VALUE" for name, _ in out[:-1]):
        raise Malformed("VALUE is not last")
    return out


class Frame:
    def __init__(self, head, body):
        self.length, self.version, self.type, self.flags, self.id = \
            HEADER.unpack(head)
        self.body = body
        self.fields = parse_fields(body)
        self.map = dict(self.fields)

    @property
    def more(self):
        return bool(self.flags & MORE)

    @property
    def error(self):
        """Name of the error in it, or None."""
        n = self.map.get("ERROR")
        return None if n is None else ERRORS.get(n, "internal")

    @property
    def freshness(self):
        return FRESHNESS.get(self.map.get("FRESHNESS"))

    def __getattr__(self, name):
        if name.isupper():
            return self.map.get(name)
        raise AttributeError(name)

    def __repr__(self):
        shown = [(n, "…" if n == "VALUE" else v) for n, v in self.fields]
        return f"<{self.type:#04x} id {self.id} flags {self.flags:#x} {shown}>"


class Wire:
    """One connection. Checks of every frame what the protocol promises."""

    def __init__(self, path, timeout=20, rcvbuf=None):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.timeout = timeout
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.data = bytearray()
        self.hello = None
        self.next_id = 1
        self.waiting = []       # frames that somebody else waits for

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, kind, body=b"", rid=None, flags=0):
        if rid is None:
            rid = self.next_id
            self.next_id += 1
        self.send_raw(frame(kind, body, rid, flags))
        return rid

    def _fill(self, n, deadline):
        while len(self.data) < n:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer from the agent in time")
            self.sock.settimeout(left)
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                raise Closed()
            self.data += got

    def recv(self, timeout=None, hello=False):
        """The next frame. The agent's HELLO is checked and passed over."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            self._fill(16, deadline)
            head = bytes(self.data[:16])
            length, version, kind, _, rid = HEADER.unpack(head)
            if version != VERSION:
                raise Malformed(f"version {version}")
            if length > MAX_FROM_AGENT:
                raise Malformed(f"{length} bytes in one frame")
            if kind < 0x80:
                raise Malformed(f"type {kind:#x} has the wrong direction")
            self._fill(16 + length, deadline)
            f = Frame(head, bytes(self.data[16:16 + length]))
            del self.data[:16 + length]
            if self.hello is None:
                if f.type != A_HELLO or rid != 0:
                    raise Malformed(f"the first frame is no HELLO: {f}")
                self.hello = f
                if hello:
                    return f
                continue
            if f.type == A_HELLO:
                raise Malformed("a second HELLO")
            return f

    def recv_for(self, rid, timeout=None):
        """The next frame with this id; others are kept."""
        for i, f in enumerate(self.waiting):
            if f.id == rid:
                return self.waiting.pop(i)
        while True:
            f = self.recv(timeout)
            if f.id == rid:
                return f
            self.waiting.append(f)

    def all_for(self, rid, timeout=None):
        """All frames of an answer."""
        out = []
        while not out or out[-1].more:
            out.append(self.recv_for(rid, timeout))
        return out

    def at_end(self, timeout=10):
        """The frames that still come before the agent closes."""
        out = []
        try:
            while True:
                out.append(self.recv(timeout))
        except Closed:
            return out

    # -- whole requests --

    def get_body(self, *refs, deadline_ms=None, max_age_ms=None,
                 max_stale_ms=None, terms=None):
        body = b""
        for name, v in (("DEADLINE_MS", deadline_ms),
                        ("MAX_AGE_MS", max_age_ms),
                        ("MAX_STALE_MS", max_stale_ms), ("TERMS", terms)):
            if v is not None:
                body += field(name, v)
        return body + b"".join(field("REF", r) for r in refs)

    def send_get(self, *refs, **terms):
        return self.send(GET, self.get_body(*refs, **terms))

    def get_many(self, *refs, timeout=None, **terms):
        """RESULT frames in the order of refs."""
        rid = self.send_get(*refs, **terms)
        out = [None] * len(refs)
        for f in self.all_for(rid, timeout):
            if f.type == ERROR_MSG:
                return f
            if f.type != RESULT:
                raise Malformed(f"{f} answers a GET")
            if f.INDEX is None or out[f.INDEX] is not None:
                raise Malformed(f"index of {f}")
            out[f.INDEX] = f
        if None in out:
            raise Malformed("a reference was not answered")
        return out

    def get(self, ref, timeout=None, **terms):
        r = self.get_many(ref, timeout=timeout, **terms)
        return r if isinstance(r, Frame) else r[0]

    def ping(self, timeout=None):
        f = self.recv_for(self.send(PING), timeout)
        if f.type != DONE:
            raise Malformed(f"{f} answers a PING")
        return f

    def status(self):
        """{name: number, text or None}"""
        out = {}
        for f in self.all_for(self.send(STATUS)):
            if f.type != STATS:
                raise Malformed(f"{f} answers a STATUS")
            for name, stat in f.fields:
                s = dict(stat) if name == "STAT" else {}
                if "STAT_NAME" in s:
                    out[s["STAT_NAME"]] = s.get("STAT_UINT",
                                                s.get("STAT_TEXT"))
        return out

    def list(self, kind=None, **terms):
        """(rows, the last frame), or an ERROR frame."""
        body = self.get_body(**terms)
        if kind is not None:
            body += field("KIND", kind)
        frames = self.all_for(self.send(LIST, body))
        rows = []
        for f in frames:
            if f.type == ERROR_MSG:
                return f
            if f.type != ROWS:
                raise Malformed(f"{f} answers a LIST")
            rows += [dict(v) for n, v in f.fields if n == "ROW"]
        return rows, frames[-1]

    # -- what the service does --

    def ask(self, kind, *pairs, rid=None):
        """Send a request with these fields; returns its id."""
        return self.send(kind, fields([p for p in pairs
                                       if p[1] is not None]), rid=rid)

    def answer(self, kind, *pairs, timeout=None):
        return self.recv_for(self.ask(kind, *pairs), timeout)

    def call(self, method, target, data=None, ref=None, content_type=None,
             deadline_ms=None, terms=None, timeout=None):
        return self.answer(
            CALL, ("DEADLINE_MS", deadline_ms), ("TERMS", terms),
            ("METHOD", method), ("TARGET", target), ("REF", ref),
            ("CONTENT_TYPE", content_type), ("DATA", data), timeout=timeout)

    def encrypt(self, data, key=None, algorithm=None, aad=None,
                deadline_ms=None):
        return self.answer(
            ENCRYPT, ("DEADLINE_MS", deadline_ms), ("KEY", key),
            ("ALGORITHM", algorithm), ("AAD", aad), ("DATA", data))

    def decrypt(self, payload, key=None, aad=None, deadline_ms=None):
        if isinstance(payload, str):
            payload = payload.encode()
        return self.answer(
            DECRYPT, ("DEADLINE_MS", deadline_ms), ("KEY", key),
            ("AAD", aad), ("DATA", payload))

    def sign(self, data, key, algorithm=None, deadline_ms=None):
        return self.answer(
            SIGN, ("DEADLINE_MS", deadline_ms), ("KEY", key),
            ("ALGORITHM", algorithm), ("DATA", data))

    def verify(self, data, signature, key, deadline_ms=None):
        return self.answer(
            VERIFY, ("DEADLINE_MS", deadline_ms), ("KEY", key),
            ("SIGNATURE", signature), ("DATA", data))


CHUNK = 65536
CHUNK_EXTRA = 17


class Stream:
    """One stream on a connection: begun with key and aad, or with header."""

    def __init__(self, w, header=None, key=None, aad=None, deadline_ms=None):
        self.w = w
        pairs = [("DEADLINE_MS", deadline_ms)]
        if header is None:
            pairs += [("SEAL", 1), ("KEY", key), ("AAD", aad)]
        else:
            pairs += [("AAD", aad), ("HEADER", header)]
        self.seal = header is None
        self.id = w.ask(STREAM_OPEN, *pairs)
        self.opened = w.recv_for(self.id)
        self.header = self.opened.VALUE

    def send(self, data, final=False):
        return self.w.ask(STREAM_DATA, ("STREAM", self.id),
                          ("FINAL", 1 if final else None), ("DATA", data))

    def chunk(self, data, final=False):
        return self.w.recv_for(self.send(data, final))

    def all(self, data, ahead=2):
        """What becomes of it, with so many chunks under way: more would fill
        both sockets, as this client does not read while it writes."""
        size = CHUNK if self.seal else CHUNK + CHUNK_EXTRA
        out, under_way = [], []
        pos = 0
        while True:
            part = data[pos:pos + size]
            pos += size
            final = pos >= len(data)
            under_way.append(self.send(part, final))
            while under_way and (final or len(under_way) >= ahead):
                f = self.w.recv_for(under_way.pop(0))
                if f.type != STREAM_BYTES:
                    raise Malformed(f"{f} answers a chunk")
                out.append(f.VALUE)
            if final:
                return b"".join(out)


def envelope_of(data):
    """(header, chunks) of an envelope."""
    if data[:8] != b"QAPIENV\x01":
        raise Malformed("no envelope")
    n = struct.unpack(">I", data[8:12])[0]
    return data[:n], data[n:]
