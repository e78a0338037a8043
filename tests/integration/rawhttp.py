"""HTTP/1.1 over a bare socket: what goes out is what the test wrote, and what
comes back is read strictly. Written from RFC 9112, not from the code."""

import collections
import re
import socket

Answer = collections.namedtuple("Answer", "status headers body")


class Malformed(Exception):
    """What came back is no answer that a client could read."""


class Closed(Exception):
    """The connection ended where an answer should begin."""


class Http:
    """A connection. where: the path of a Unix socket, or (address, port)."""

    def __init__(self, where, timeout=20):
        family = socket.AF_UNIX if isinstance(where, str) else \
            socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(where)
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        """All of it, or as much as the agent takes."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass    # it has answered, and said so

    def request(self, method, path, headers=(), body=None, version="1.1"):
        """headers: (name, value) pairs, besides Host and Content-Length."""
        lines = [f"{method} {path} HTTP/{version}", "Host: localhost"]
        lines += [f"{n}: {v}" for n, v in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))

    def ask(self, method, path, headers=(), body=None):
        self.request(method, path, headers, body)
        return self.answer(method == "HEAD")

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buf += data
        return bool(data)

    def _head(self):
        while b"\r\n\r\n" not in self.buf:
            if not self._more():
                if self.buf:
                    raise Malformed(f"cut: {self.buf!r}")
                raise Closed()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        m = re.fullmatch(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*", lines[0])
        if m is None:
            raise Malformed(repr(lines[0]))
        headers = collections.OrderedDict()
        for line in lines[1:]:
            m2 = re.fullmatch(rb"([A-Za-z-]+): ([\t -~]*)", line)
            if m2 is None:
                raise Malformed(repr(line))
            name = m2[1].decode().lower()
            if name in headers:
                raise Malformed(f"{name} is there twice")
            headers[name] = m2[2].decode()
        return int(m[1]), headers

    def answer(self, head_only=False):
        status, headers = self._head()
        if status < 200 or status in (204, 304):
            if "content-length" in headers:
                raise Malformed(f"{status} with a length")
            return Answer(status, headers, b"")
        length = headers.get("content-length")
        if length is None or not re.fullmatch(r"\d+", length):
            raise Malformed(f"no length: {headers}")
        if head_only:
            return Answer(status, headers, b"")
        while len(self.buf) < int(length):
            if not self._more():
                raise Malformed(f"cut: {len(self.buf)} of {length}")
        body, self.buf = self.buf[:int(length)], self.buf[int(length):]
        return Answer(status, headers, body)

    def at_end(self):
        """All answers that still come before the agent closes."""
        answers = []
        while True:
            try:
                answers.append(self.answer())
            except Closed:
                return answers


def ask(where, method, path, headers=(), body=None):
    """One request on a connection of its own."""
    with Http(where) as h:
        return h.ask(method, path, headers, body)
