#!/usr/bin/env python3
"""The local protocol from outside (proto/PROTOCOL.md, contract 5)."""

import os
import random
import re
import select
import socket
import struct
import threading
import time
import unittest

import harness
import wire
from harness import Case, at_once, secret
from wire import field, frame, raw_field

BIG = "b" * (1 << 20)
SEED = {"secrets": [secret(f"s{i}", val=f"value of s{i}")
                    for i in range(300)] +
        [secret("big", val=BIG), secret("nul", val="a\0b")],
        "keys": [{"id": "k1", "name": "signing", "algorithm": "Ed25519"}]}


def q(name):
    return "qapi://secrets/" + name


def vectors():
    """{name: bytes} of PROTOCOL.md."""
    path = os.path.join(harness.SOURCE, "proto", "PROTOCOL.md")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    out = {}
    for name, block in re.findall(r"^```vector (\S+)\n(.*?)^```", text,
                                  re.M | re.S):
        out[name] = bytes.fromhex("".join(
            line.split("#")[0] for line in block.splitlines()))
    return out


class Vectors(unittest.TestCase):
    """This client, written from the text, agrees with the vectors."""

    def test_vectors_of_the_agent_are_read(self):
        for name, data in vectors().items():
            with self.subTest(name):
                head = wire.HEADER.unpack(data[:16])
                self.assertEqual(head[0], len(data) - 16)
                if head[2] >= 0x80 and not name.startswith("bad"):
                    f = wire.Frame(data[:16], data[16:])
                    self.assertEqual(f.version, 1)

    def test_vectors_of_the_client_are_written(self):
        v = vectors()
        if not v:
            self.skipTest("there are no vectors yet")
        self.assertEqual(frame(wire.PING, b"", 1), v["ping"])
        self.assertEqual(frame(wire.STATUS, b"", 4), v["status"])
        self.assertEqual(frame(wire.HELLO, field("PROTOCOL", 1) + field(
            "BUILD", "qapi-agent 0.1.0"), 0), v["hello-client"])
        self.assertEqual(frame(wire.GET, wire.fields([
            ("DEADLINE_MS", 10000), ("MAX_AGE_MS", 60000),
            ("MAX_STALE_MS", 3600000), ("TERMS", 1),
            ("REF", "qapi://secrets/db/prod/password"),
            ("REF", "qapi://keys/signing/public?format=pem")]), 2), v["get"])
        self.assertEqual(frame(wire.WATCH, wire.fields([
            ("DEADLINE_MS", 10000),
            ("WATCH_REF", [("REF", "qapi://secrets/db/prod/password"),
                           ("POSITION", bytes(range(0x10, 0x20)))]),
            ("WATCH_REF", [("REF", "qapi://secrets/a")])]), 9), v["watch"])
        self.assertEqual(frame(wire.CANCEL, b"", 9), v["cancel"])
        self.assertEqual(frame(wire.REJECT, wire.fields([
            ("DEADLINE_MS", 10000), ("REF", "qapi://secrets/a"),
            ("VERSION", 7), ("POSITION", bytes(range(0x10, 0x20)))]), 10),
            v["reject"])
        self.assertEqual(frame(wire.EXPLAIN, wire.fields([
            ("REF", "qapi://secrets/a"), ("AS", "nginx.service")]), 11),
            v["explain"])
        self.assertEqual(frame(wire.DRILL, field("DURATION_MS", 600000), 12),
                         v["drill"])
        self.assertEqual(frame(wire.METRICS, field("NAMES", 1), 13),
                         v["metrics"])

    def test_vectors_of_the_operations_are_written(self):
        v = vectors()
        for name, kind, rid, pairs in (
                ("call", wire.CALL, 15, [
                    ("DEADLINE_MS", 10000), ("METHOD", "GET"),
                    ("TARGET", "/audit-logs?page=2")]),
                ("call-data", wire.CALL, 16, [
                    ("METHOD", "PATCH"), ("TARGET", "/api/v1/secrets/{id}"),
                    ("REF", "qapi://secrets/a"),
                    ("CONTENT_TYPE", "application/merge-patch+json"),
                    ("DATA", b'{"notes":"x"}')]),
                ("encrypt", wire.ENCRYPT, 17, [
                    ("KEY", "mail"), ("ALGORITHM", "ML-KEM-768"),
                    ("AAD", "order 7"), ("DATA", b"p\0q")]),
                ("decrypt", wire.DECRYPT, 18, [
                    ("DEADLINE_MS", 10000), ("AAD", "order 7"),
                    ("DATA", b"eyJjIjoiIn0=")]),
                ("sign", wire.SIGN, 19, [("KEY", "signing"),
                                         ("DATA", b"hello")]),
                ("verify", wire.VERIFY, 20, [
                    ("KEY", "signing"), ("SIGNATURE", b"\xde\xad\xbe\xef"),
                    ("DATA", b"hello")]),
                ("stream-seal", wire.STREAM_OPEN, 21, [
                    ("SEAL", 1), ("KEY", "mail"), ("AAD", "order 7")]),
                ("stream-data", wire.STREAM_DATA, 23, [
                    ("STREAM", 21), ("FINAL", 1), ("DATA", b"the end")])):
            with self.subTest(name):
                self.assertEqual(frame(kind, wire.fields(pairs), rid), v[name])


class Answers(Case):
    SEED = SEED

    def test_first_frame_of_the_agent_is_hello(self):
        for request in (frame(wire.PING), frame(wire.STATUS),
                        frame(0x7f), frame(wire.PING, b"x")):
            with self.subTest(request[:8]):
                w = self.wire()
                w.send_raw(request)
                hello = w.recv(hello=True)
                self.assertEqual((hello.type, hello.id), (wire.A_HELLO, 0))
                self.assertGreaterEqual(hello.PROTOCOL, 1)
                self.assertRegex(hello.BUILD, r"^qapi-agentd \d+\.\d+")

    def test_hello_of_the_client_is_taken_and_not_answered(self):
        w = self.wire()
        w.send(wire.HELLO, field("PROTOCOL", 1) + field("BUILD", "tests 1"),
               rid=0)
        rid = w.send(wire.PING)
        f = w.recv()
        self.assertEqual((f.type, f.id), (wire.DONE, rid))

    def test_hello_of_a_newer_client_is_fine(self):
        w = self.wire()
        w.send(wire.HELLO, field("PROTOCOL", 77) + field("BUILD", "next 9") +
               raw_field(0x7000, b"something new"), rid=0)
        w.ping()

    def test_result_has_what_the_protocol_says(self):
        f = self.wire().get(q("s1"))
        self.assertEqual(f.type, wire.RESULT)
        self.assertEqual((f.INDEX, f.ID, f.NAME, f.VERSION, f.CONTENT),
                         (0, "s1", "s1", 1, 1))
        self.assertEqual((f.FRESHNESS, f.VALUE), (1, b"value of s1"))
        self.assertIsNotNone(f.AGE_MS)
        self.assertIsNone(f.EXPIRES_AT)
        self.assertIsNone(f.ERROR)
        self.assertFalse(f.more)
        self.assertEqual(f.fields[-1][0], "VALUE")

    def test_error_has_number_and_message(self):
        f = self.wire().get(q("nope"))
        self.assertEqual((f.type, f.INDEX, f.ERROR), (wire.RESULT, 0, 2))
        self.assertTrue(f.MESSAGE)
        self.assertIsNone(f.VALUE)
        self.assertIsNone(f.FRESHNESS)

    def test_256_references_in_one_request(self):
        w = self.wire()
        got = w.get_many(*[q(f"s{i}") for i in range(256)], timeout=30)
        self.assertEqual([f.VALUE for f in got],
                         [f"value of s{i}".encode() for i in range(256)])

    def test_all_results_but_the_last_carry_more(self):
        w = self.wire()
        rid = w.send_get(*[q(f"s{i}") for i in range(10)], q("nope"))
        frames = w.all_for(rid)
        self.assertEqual(len(frames), 11)
        self.assertEqual([f.more for f in frames], [True] * 10 + [False])
        self.assertEqual({f.INDEX for f in frames}, set(range(11)))

    def test_257_references_are_refused(self):
        w = self.wire()
        w.send_get(*[q("s1")] * 257)
        end = w.at_end()
        self.assertEqual([f.type for f in end], [wire.ERROR_MSG])
        self.assertIn(end[0].error, ("bad-request", "too-large"))
        self.assertEqual(self.sandbox.total, 0)

    def test_no_reference_is_refused(self):
        w = self.wire()
        w.send(wire.GET, b"")
        end = w.at_end()
        self.assertEqual([f.error for f in end], ["bad-request"])

    def test_same_reference_many_times_in_one_request(self):
        got = self.wire().get_many(*[q("s1")] * 256)
        self.assertEqual({f.VALUE for f in got}, {b"value of s1"})
        self.assertEqual(self.sandbox.reads("s1"), 1)

    def test_pipelining(self):
        w = self.wire()
        rids = [w.send_get(q(f"s{i % 5}")) for i in range(500)]
        for i, rid in enumerate(rids):
            f = w.recv_for(rid, 30)
            self.assertEqual(f.VALUE, b"value of s%d" % (i % 5))

    def test_answers_overtake_one_another(self):
        self.wire().get(q("s2"))
        hang = self.sandbox.fault("*/secrets/s1", latencyMs=1500)
        w = self.wire()
        slow = w.send_get(q("s1"))
        quick = w.send_get(q("s2"))
        ping = w.send(wire.PING)
        got = [w.recv(1.2) for _ in range(2)]
        self.assertEqual({f.id for f in got}, {quick, ping})
        self.assertEqual(w.recv_for(slow).VALUE, b"value of s1")
        self.assertIsNotNone(hang)

    def test_references_of_one_request_overtake_one_another(self):
        self.wire().get(q("s2"))
        self.sandbox.fault("*/secrets/s1", latencyMs=1500)
        w = self.wire()
        rid = w.send_get(q("s1"), q("s2"))
        first = w.recv(1.2)
        self.assertEqual((first.INDEX, first.more), (1, True))
        second = w.recv()
        self.assertEqual((second.id, second.INDEX, second.more),
                         (rid, 0, False))

    def test_type_0_and_odd_values_of_known_fields_do_no_harm(self):
        """What the text leaves open: any answer, but one, and no other."""
        for data in (frame(0x00, rid=5),
                     frame(wire.PURGE, field("ALL", 2), 5),
                     frame(wire.PURGE, field("ALL", 0), 5),
                     frame(wire.GET, field("TERMS", 0x80) +
                           field("REF", q("s1")), 5),
                     frame(wire.GET, field("TERMS", 3) +
                           field("REF", q("s1")), 5),
                     frame(wire.LIST, field("KIND", 9), 5)):
            with self.subTest(data):
                w = self.wire()
                w.send_raw(data)
                self.assertEqual(w.recv_for(5).id, 5)

    def test_ids_are_repeated_as_they_are(self):
        w = self.wire()
        for rid in (1, 2 ** 32, 2 ** 63, 2 ** 64 - 1, 0x1122334455667788):
            w.send(wire.PING, rid=rid)
            self.assertEqual(w.recv().id, rid)

    def test_id_may_be_used_again_after_the_answer(self):
        w = self.wire()
        for _ in range(3):
            w.send(wire.GET, w.get_body(q("s1")), rid=7)
            self.assertEqual(w.recv().id, 7)

    def test_answers_come_after_the_client_shut_down_its_side(self):
        w = self.wire()
        self.sandbox.fault("*/secrets/s1", latencyMs=300)
        rid = w.send_get(q("s1"), q("s2"))
        w.sock.shutdown(socket.SHUT_WR)
        self.assertEqual({f.VALUE for f in w.all_for(rid)},
                         {b"value of s1", b"value of s2"})
        self.assertEqual(w.at_end(), [])

    def test_large_value_in_one_frame(self):
        f = self.wire().get(q("big"))
        self.assertEqual(f.VALUE, BIG.encode())

    def test_list_rows(self):
        w = self.wire()
        w.get(q("s1"))
        rows, last = w.list()
        by_id = {r["ID"]: r for r in rows}
        self.assertEqual(len(by_id), len(SEED["secrets"]) + 1)
        self.assertEqual(by_id["k1"]["KIND"], 2)
        self.assertEqual((by_id["s1"]["KIND"], by_id["s1"]["NAME"],
                          by_id["s1"]["FRESHNESS"]), (1, "s1", 1))
        self.assertNotIn("FRESHNESS", by_id["s2"])
        self.assertEqual(last.freshness, "fresh")
        self.assertIsNotNone(last.AGE_MS)
        rows, _ = w.list(kind=2)
        self.assertEqual([r["ID"] for r in rows], ["k1"])

    def test_status_figures(self):
        s = self.wire().status()
        for name in ("version", "pid", "uptimeSeconds", "upstream.url",
                     "upstream.state", "upstream.breaker",
                     "upstream.lastSuccessAgeSeconds", "cache.secrets",
                     "cache.keys", "cache.bytes", "cache.maxBytes",
                     "cache.hits", "cache.misses", "cache.stale", "clients",
                     "memory.lockedBytes"):
            self.assertIn(name, s)

    def test_refresh_and_purge_have_results_without_a_value(self):
        w = self.wire()
        w.get(q("s1"))
        for kind in (wire.REFRESH, wire.PURGE):
            rid = w.send(kind, field("REF", q("s1")) +
                         field("REF", q("nope")))
            got = {f.INDEX: f for f in w.all_for(rid)}
            self.assertIsNone(got[0].error)
            self.assertIsNone(got[0].VALUE)
            self.assertEqual(got[1].error, "not-found")
        rid = w.send(wire.PURGE, field("REF", q("s1")))
        self.assertEqual(w.recv_for(rid).error, "not-found")

    def test_refresh_tells_version_and_age(self):
        w = self.wire()
        w.get(q("s1"))
        self.sandbox.set("s1", value="value of s1 changed", version=9)
        f = w.recv_for(w.send(wire.REFRESH, field("REF", q("s1"))))
        self.assertEqual(f.VERSION, 9)
        self.assertLess(f.AGE_MS, 5000)

    def test_all_is_answered_by_done_with_counts(self):
        w = self.wire()
        w.get_many(q("s1"), q("s2"), q("s3"))
        f = w.recv_for(w.send(wire.REFRESH, field("ALL", 1)))
        self.assertEqual((f.type, f.COUNT, f.FAILED or 0),
                         (wire.DONE, 3, 0))
        f = w.recv_for(w.send(wire.PURGE, field("ALL", 1)))
        self.assertEqual((f.type, f.COUNT), (wire.DONE, 3))
        self.assertEqual(w.status()["cache.secrets"], 0)


class Extensions(Case):
    """What a newer client may send."""
    SEED = SEED

    def test_unknown_type_is_unsupported_and_the_connection_goes_on(self):
        w = self.wire()
        for kind in (0x15, 0x17, 0x20, 0x7f):
            w.send(kind, field("REF", q("s1")), rid=kind + 100)
            f = w.recv()
            self.assertEqual((f.type, f.id, f.error),
                             (wire.ERROR_MSG, kind + 100, "unsupported"))
        w.ping()

    def test_unknown_field_is_skipped_by_its_length(self):
        w = self.wire()
        body = raw_field(0x7abc, b"whatever" * 100) + \
            field("REF", q("s1")) + raw_field(0x0999, b"") + \
            raw_field(0x0999, b"twice is fine")
        w.send(wire.GET, body)
        self.assertEqual(w.recv().VALUE, b"value of s1")

    def test_unknown_critical_field_is_unsupported(self):
        w = self.wire()
        for tag in (0x8000, 0x8001, 0xffff):
            rid = w.send(wire.GET, field("REF", q("s1")) +
                         raw_field(tag, b"x"))
            f = w.recv()
            self.assertEqual((f.id, f.error), (rid, "unsupported"))
        w.ping()
        self.assertEqual(self.sandbox.total, 0)

    def test_unknown_flags_are_ignored_and_critical_ones_unsupported(self):
        w = self.wire()
        w.send(wire.PING, flags=0x0010)
        self.assertEqual(w.recv().type, wire.DONE)
        for flag in (0x0100, 0x8000):
            rid = w.send(wire.PING, flags=flag)
            f = w.recv()
            self.assertEqual((f.id, f.error), (rid, "unsupported"))
        w.ping()

    def test_descriptor_flag_is_unsupported_and_the_descriptor_closed(self):
        w = self.wire()
        r, pipe = os.pipe()
        socket.send_fds(w.sock, [frame(wire.PING, flags=wire.FD)], [pipe])
        os.close(pipe)
        self.assertEqual(w.recv().error, "unsupported")
        # Whoever still held it would keep this open.
        os.set_blocking(r, False)
        self.wait(lambda: os.read(r, 1) == b"" if self.readable(r) else None,
                  "the descriptor is closed")
        os.close(r)
        w.ping()

    @staticmethod
    def readable(fd):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def test_descriptors_that_nobody_asked_for_do_not_pile_up(self):
        w = self.wire()
        before = len(os.listdir(f"/proc/{self.agent.pid}/fd"))
        r, pipe = os.pipe()
        for _ in range(50):
            socket.send_fds(w.sock, [frame(wire.PING)], [pipe] * 8)
            w.recv()
        self.assertLessEqual(
            len(os.listdir(f"/proc/{self.agent.pid}/fd")), before + 2)
        os.close(r)
        os.close(pipe)


class Malformed(Case):
    """A bad frame costs its sender the connection and no one else anything."""
    SEED = SEED

    BAD = {
        "length over the limit": frame(wire.PING, length=0x110001),
        "length of 4 GiB": frame(wire.PING, length=0xffffffff),
        "version 0": frame(wire.PING, version=0),
        "version 2": frame(wire.PING, version=2),
        "type of the agent": frame(wire.DONE),
        "type 0xff": frame(0xff),
        "id 0": frame(wire.PING, rid=0),
        "field past the end": frame(wire.GET, struct.pack(
            ">HI", 0x10, 100) + b"qapi://secrets/s1"),
        "field of 4 GiB": frame(wire.GET, struct.pack(
            ">HI", 0x10, 0xffffffff) + b"x"),
        "cut head of a field": frame(wire.GET, field("REF", q("s1")) +
                                     b"\0\1\0"),
        "field twice": frame(wire.GET, field("DEADLINE_MS", 1000) * 2 +
                             field("REF", q("s1"))),
        "integer too short": frame(wire.GET, raw_field(1, b"\0\0\0\1") +
                                   field("REF", q("s1"))),
        "integer too long": frame(wire.GET, raw_field(4, bytes(8)) +
                                  field("REF", q("s1"))),
        "empty reference": frame(wire.GET, field("REF", b"")),
        "reference too long": frame(wire.GET, field(
            "REF", q("x" * 4100))),
        "reference with NUL": frame(wire.GET, field(
            "REF", b"qapi://secrets/a\0b")),
        "reference that is no UTF-8": frame(wire.GET, field(
            "REF", b"qapi://secrets/\xff\xfe")),
        "overlong UTF-8": frame(wire.GET, field(
            "REF", b"qapi://secrets/\xc0\xaf")),
        "surrogate in UTF-8": frame(wire.GET, field(
            "REF", b"qapi://secrets/\xed\xa0\x80")),
        "both references and all": frame(wire.PURGE, field(
            "REF", q("s1")) + field("ALL", 1)),
        "neither": frame(wire.PURGE, b""),
        "body of a ping": frame(wire.PING, b"\0"),
        "http": b"GET /api/v1/secrets HTTP/1.1\r\nHost: x\r\n\r\n",
        "hello in the middle with a bad body": frame(
            wire.HELLO, b"\1\2\3", rid=0),
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
    }

    def test_malformed_frame_is_answered_by_one_error_then_the_end(self):
        other = self.wire()
        other.ping()
        for name, data in self.BAD.items():
            with self.subTest(name):
                w = self.wire()
                w.send_raw(data)
                end = w.at_end()
                self.assertEqual([f.type for f in end], [wire.ERROR_MSG],
                                 name)
                self.assertIn(end[0].error, ("bad-request", "too-large",
                                             "unsupported"))
                other.ping()
        self.assertEqual(self.sandbox.total, 0)

    def test_requests_before_it_are_answered(self):
        w = self.wire()
        w.get(q("s1"))
        w.send_raw(w_get(5, q("s1")) + frame(wire.PING, rid=6) +
                   frame(wire.PING, version=9) + frame(wire.PING, rid=8))
        end = w.at_end()
        self.assertEqual([f.id for f in end[:2]], [5, 6])
        self.assertEqual(end[-1].type, wire.ERROR_MSG)
        self.assertNotIn(8, [f.id for f in end])

    def test_others_do_not_notice(self):
        waiting = self.wire()
        self.sandbox.fault("*/secrets/s1", latencyMs=700)
        rid = waiting.send_get(q("s1"))
        for data in self.BAD.values():
            w = self.wire()
            w.send_raw(data)
            w.close()
        self.assertEqual(waiting.recv_for(rid).VALUE, b"value of s1")

    def test_length_is_checked_before_the_body_is_stored(self):
        before = self.agent.memory_kb()
        wires = []
        for _ in range(100):
            w = self.wire()
            w.send_raw(wire.HEADER.pack(0x110000, 1, wire.GET, 0, 1))
            wires.append(w)
        self.wire().ping()
        self.assertLess(self.agent.memory_kb() - before, 4096)

    def test_frame_of_the_greatest_length_is_taken(self):
        w = self.wire()
        padding = 0x110000 - len(field("REF", q("s1"))) - 6
        w.send(wire.GET, field("REF", q("s1")) +
               raw_field(0x7000, bytes(padding)))
        self.assertEqual(w.recv().VALUE, b"value of s1")

    def test_half_sent_frame_does_not_delay_others(self):
        data = frame(wire.GET, field("REF", q("s1")))
        for cut in (1, 4, 15, 16, 17, len(data) - 1):
            w = self.wire()
            w.send_raw(data[:cut])
        began = time.monotonic()
        self.wire().ping()
        self.get("s2")
        self.assertLess(time.monotonic() - began, 2)

    def test_frame_byte_by_byte(self):
        w = self.wire()
        for byte in frame(wire.GET, field("REF", q("s1"))):
            w.send_raw(bytes([byte]))
        self.assertEqual(w.recv().VALUE, b"value of s1")

    def test_half_a_frame_then_the_end(self):
        for cut in (3, 16, 20):
            w = self.wire()
            w.ping()
            w.send_raw(frame(wire.GET, field("REF", q("s1")))[:cut])
            w.sock.shutdown(socket.SHUT_WR)
            # It can never be completed, so there is no use in waiting.
            began = time.monotonic()
            w.at_end(15)
            self.assertLess(time.monotonic() - began, 10)

    def test_random_bytes_do_no_harm(self):
        rnd = random.Random(20261125)
        valid = frame(wire.GET, field("DEADLINE_MS", 1000) + field(
            "REF", q("s1")) + field("TERMS", 1))
        for _ in range(400):
            data = bytearray(valid)
            for _ in range(rnd.randint(1, 6)):
                data[rnd.randrange(len(data))] = rnd.randrange(256)
            if rnd.random() < 0.3:
                data = data[:rnd.randrange(len(data))]
            with wire.Wire(self.socket) as w:
                w.send_raw(bytes(data))
        self.wire().ping()
        self.assertIsNone(self.agent.proc.poll())

    @unittest.skipIf("QAPI_QUICK" in os.environ, "takes 30 s")
    def test_frame_must_be_complete_within_30_seconds(self):
        w, idle = self.wire(), self.wire()
        w.ping()
        idle.ping()
        began = time.monotonic()
        w.send_raw(frame(wire.PING)[:7])
        w.at_end(45)
        self.assertGreater(time.monotonic() - began, 25)
        self.assertLess(time.monotonic() - began, 40)
        idle.ping()         # who sent nothing may stay


def w_get(rid, *refs):
    return frame(wire.GET, b"".join(field("REF", r) for r in refs), rid)


class SlowReaders(Case):
    """A reader that does not read cannot make the agent's memory grow."""
    SEED = SEED
    CONF = {"cache": {"max-memory": "24M"}}

    def flood(self, w, request, most=20000):
        """Send until the agent does not take more; how many."""
        w.sock.setblocking(False)
        sent, quiet = 0, 0
        data = request
        while sent < most and quiet < 20:
            try:
                n = w.sock.send(data)
                data = data[n:] or request
                sent += n / len(request)
                quiet = 0
            except BlockingIOError:
                quiet += 1
                # It may still be working; the next answer tells.
                self.wire_ping()
                time.sleep(0.01)
        w.sock.setblocking(True)
        return sent

    def wire_ping(self):
        if not hasattr(self, "pinger"):
            self.pinger = self.wire()
        self.pinger.ping()

    @harness.not_sanitized
    def test_memory_stays_bounded_and_reading_from_it_pauses(self):
        self.wire().get(q("big"))
        before = self.agent.memory_kb()
        lazy = [self.wire() for _ in range(4)]
        for w in lazy:
            sent = self.flood(w, w_get(9, q("big")))
            self.assertLess(sent, 20000, "it never stopped reading")
        grown = self.agent.memory_kb() - before
        self.assertLess(grown, 16 * 1024)
        self.get("s1")

    def test_others_are_not_delayed(self):
        self.wire().get(q("big"))
        w = self.wire()
        self.flood(w, w_get(9, q("big")) * 4)
        other = self.wire()
        times = []
        for i in range(50):
            began = time.monotonic()
            self.assertEqual(other.get(q("s3")).VALUE, b"value of s3")
            times.append(time.monotonic() - began)
        self.assertLess(sorted(times)[25], 0.05)
        self.assertLess(max(times[1:]), 1)

    def test_late_reader_still_gets_everything_whole(self):
        w = self.wire()
        w.get(q("big"))
        n = 40
        rids = [w.send_get(q("big")) for _ in range(n)]
        other = self.wire()
        for _ in range(5):
            other.ping()
        for rid in rids:
            self.assertEqual(len(w.recv_for(rid, 30).VALUE), len(BIG))

    def test_many_references_with_large_values_and_a_slow_reader(self):
        """One request can ask for much more than may be queued."""
        w = self.wire()
        w.get(q("big"))
        rid = w.send_get(*[q("big")] * 256)
        self.wire().ping()
        self.assertLess(self.agent.memory_kb(), 128 * 1024)
        frames = w.all_for(rid, 60)
        self.assertEqual(len(frames), 256)
        self.assertEqual({len(f.VALUE) for f in frames}, {len(BIG)})

    def test_reader_that_leaves_in_the_middle(self):
        self.wire().get(q("big"))
        for _ in range(30):
            w = self.wire()
            w.send_raw(w_get(9, q("big")) * 20)
            w.sock.recv(1000)
            w.close()
        self.assertEqual(len(self.wire().get(q("big")).VALUE), len(BIG))

    def test_value_that_is_purged_while_it_is_sent_arrives_whole(self):
        self.wire().get(q("big"))
        w = self.wire()
        rids = [w.send_get(q("big")) for _ in range(5)]
        self.helper("purge", "--all")
        for rid in rids:
            self.assertEqual(w.recv_for(rid).VALUE, BIG.encode())


class Concurrency(Case):
    SEED = SEED

    def test_many_clients_at_once(self):
        def client(i):
            rnd = random.Random(i)
            with wire.Wire(self.socket) as w:
                for _ in range(40):
                    names = [rnd.randrange(300) for _ in range(5)]
                    got = w.get_many(*[q(f"s{n}") for n in names])
                    for n, f in zip(names, got):
                        if f.VALUE != b"value of s%d" % n:
                            return f"{n}: {f}"
            return None
        self.assertEqual(set(at_once(30, client)), {None})
        for path, n in self.sandbox.requests().items():
            if re.search(r"/secrets/s\d", path):
                self.assertEqual(n, 1, path)

    def test_clients_that_come_and_go(self):
        stop = threading.Event()

        refused = []

        def churn():
            while not stop.is_set():
                try:
                    with wire.Wire(self.socket) as w:
                        w.send_get(q("s1"), q("s2"))
                except BlockingIOError as e:
                    refused.append(e)       # the backlog is full
                    time.sleep(0.01)
                except BrokenPipeError:
                    pass
        threads = [threading.Thread(target=churn) for _ in range(3)]
        for t in threads:
            t.start()
        try:
            with wire.Wire(self.socket) as w:
                began, slowest = time.monotonic(), 0
                while time.monotonic() - began < 2:
                    for i in range(50):
                        before = time.monotonic()
                        self.assertEqual(w.get(q(f"s{i}")).VALUE,
                                         b"value of s%d" % i)
                        slowest = max(slowest, time.monotonic() - before)
                    self.helper("purge", "s7")      # a fetch now and then
                    open_fds = len(os.listdir(f"/proc/{self.agent.pid}/fd"))
                    self.assertLess(open_fds, 4200)
            self.assertLess(slowest, 1.5)
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.wait(lambda: self.status()["clients"] <= 2,
                  "those that left are no longer counted")


if __name__ == "__main__":
    harness.main()
