#!/usr/bin/env python3
"""The local protocol (proto/PROTOCOL.md) by hand. usage: raw.py REFERENCE..."""
import os
import socket
import struct
import sys

GET, RESULT, ERROR = 0x03, 0x81, 0x85
DEADLINE_MS, REF, INDEX, ERROR_NUMBER, MESSAGE, VALUE = (
    0x0001, 0x0010, 0x0020, 0x0021, 0x0022, 0x002f)
MORE = 0x0001


def field(tag, content):
    return struct.pack(">HI", tag, len(content)) + content


def fields(body):
    found, at = {}, 0
    while at < len(body):
        tag, length = struct.unpack_from(">HI", body, at)
        if tag >= 0x8000:
            raise ValueError("a critical field that this client does not know")
        found[tag] = body[at + 6:at + 6 + length]
        at += 6 + length
    return found


def exactly(sock, length):
    data = b""
    while len(data) < length:
        piece = sock.recv(length - len(data))
        if not piece:
            raise ConnectionError("the agent hung up")
        data += piece
    return data


def get(path, refs, timeout=10):
    """Bytes, or (error number, message), for each reference in its place."""
    body = field(DEADLINE_MS, struct.pack(">Q", int(timeout * 1000)))
    body += b"".join(field(REF, ref.encode()) for ref in refs)
    answers, more = [None] * len(refs), True
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout + 0.25)
        sock.connect(path)
        sock.sendall(struct.pack(">IBBHQ", len(body), 1, GET, 0, 1) + body)
        while more:
            length, _, kind, flags, ident = struct.unpack(
                ">IBBHQ", exactly(sock, 16))
            got = fields(exactly(sock, length))
            if ident != 1 and kind != ERROR:
                continue                        # the agent's HELLO
            if kind == ERROR:
                raise RuntimeError(got[MESSAGE].decode())
            if kind != RESULT:
                raise ValueError("not an answer to this request")
            index = int.from_bytes(got[INDEX], "big")
            answers[index] = got[VALUE] if ERROR_NUMBER not in got else (
                int.from_bytes(got[ERROR_NUMBER], "big"),
                got[MESSAGE].decode())
            more = flags & MORE
    return answers


if __name__ == "__main__":
    path = os.environ.get("QAPI_AGENT_SOCK", "/run/qapi-agent/agent.sock")
    status = 0
    for ref, answer in zip(sys.argv[1:], get(path, sys.argv[1:])):
        if isinstance(answer, tuple):
            print(f"{ref}: error {answer[0]}: {answer[1]}", file=sys.stderr)
            status = 1
        else:
            sys.stdout.buffer.write(answer + b"\n")
    sys.exit(status)
