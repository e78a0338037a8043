"""The agent, as a program sees it."""

import ctypes
import os
import threading
import weakref
from typing import (
    Any, BinaryIO, Dict, List, Mapping, Optional, Sequence, Tuple, Union)

from ._lib import Sink, copy, free_here, lib, milliseconds, out, string, text
from .errors import AgentError, NoMemory, error_of
from .items import Item, freshness_of, take_item, take_items
from .watch import Watch

Bytes = Union[bytes, bytearray, memoryview]
Result = Union[Item, AgentError]

_KINDS = {None: 0, "secret": 1, "secrets": 1, "key": 2, "keys": 2}
_PIECE = 256 * 1024
_SINK_FAILED = 1


class Listing(List[Item]):
    """The items that the caller may see; without values."""

    #: "fresh" or "stale"; None: it was not cached.
    freshness: Optional[str] = None
    #: Seconds since the service gave it.
    age: float = 0.0


class Reply:
    """An answer of the service, whatever its status."""

    def __init__(self, pointer: Any) -> None:
        n = ctypes.c_size_t()
        start = lib.reply_body(pointer, ctypes.byref(n))
        age = lib.reply_age_ms(pointer) / 1000
        #: Of HTTP, as 200.
        self.status: int = lib.reply_status(pointer)
        self.content_type: Optional[str] = string(
            lib.reply_content_type(pointer))
        #: The bytes, as they came.
        self.body: bytes = copy(start, n.value)
        #: Where the agent's cache answered; else None.
        self.freshness: Optional[str] = freshness_of(
            lib.reply_freshness(pointer))
        #: Seconds; of an answer from the cache.
        self.age: Optional[float] = age if self.freshness else None
        #: Seconds that the service wants to be left alone; 0 if not said.
        self.retry_after: float = lib.reply_retry_after_ms(pointer) / 1000

    @property
    def ok(self) -> bool:
        """A status of 200 to 299."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """What the body says."""
        import json
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.content_type}>"


class Verification:
    """Is a signature valid? True and False by its truth."""

    def __init__(self, valid: bool, by: int) -> None:
        self.valid = valid
        #: Who found out: "agent", with the public key it holds, or "service".
        self.by: Optional[str] = {1: "agent", 2: "service"}.get(by)

    def __bool__(self) -> bool:
        return self.valid

    def __repr__(self) -> str:
        return f"<Verification {self.valid} by {self.by}>"


class _Terms:
    """What a caller accepts, for one call; None where the agent decides."""

    def __init__(self, max_age: Optional[float], max_stale: Optional[float],
                 only_if_cached: bool, fresh: bool,
                 want_position: bool) -> None:
        self.pointer = ctypes.c_void_p()
        if max_age is None and max_stale is None and not (
                only_if_cached or fresh or want_position):
            return
        ages = [None if t is None else milliseconds(t, what) for t, what in (
            (max_age, "max_age"), (max_stale, "max_stale"))]
        self.pointer = ctypes.c_void_p(lib.terms_new())
        if not self.pointer:
            raise NoMemory("out of memory")
        if ages[0] is not None:
            lib.terms_set_max_age_ms(self.pointer, ages[0])
        if ages[1] is not None:
            lib.terms_set_max_stale_ms(self.pointer, ages[1])
        lib.terms_set_only_if_cached(self.pointer, only_if_cached)
        lib.terms_set_fresh(self.pointer, fresh)
        lib.terms_set_want_position(self.pointer, want_position)

    def __enter__(self) -> Any:
        return self.pointer

    def __exit__(self, *exc: object) -> None:
        if self.pointer:
            lib.terms_free(ctypes.byref(self.pointer))


def _array(refs: Sequence[str]) -> Any:
    coded = [text(r, "a reference") for r in refs]
    return (ctypes.c_char_p * len(coded))(*coded)


def _data(data: Bytes) -> Tuple[bytes, int]:
    b = bytes(data)
    return b, len(b)


class Agent:
    """The agent of this machine.

    socket: where it listens; default: $QAPI_AGENT_SOCK, else the usual places.
    timeout: seconds that one call waits at most; None: for ever.
    program: name of the calling program, for the agent's log.

    Connects when first needed, and anew where the agent was restarted. Threads
    may share an Agent, and then wait for one another; those that ask often have
    one each. A child process gets a connection of its own. Errors are
    qapi_agent.AgentError, by their names.
    """

    def __init__(self, socket: Optional[str] = None, *,
                 timeout: Optional[float] = 10.0,
                 program: Optional[str] = None) -> None:
        self._lock = threading.Lock()
        self._socket = text(socket, "socket")
        self._timeout_ms = 0 if timeout is None else \
            max(1, milliseconds(timeout, "timeout"))
        self._program = text(program, "program")
        self._pid = 0
        self._handle = ctypes.c_void_p()
        self._finalizer: Optional[weakref.finalize[Any, Any]] = None
        self._closed = False
        with self._lock:
            self._made()

    def _made(self) -> Any:
        """The handle; made where there is none yet in this process."""
        if self._closed:
            raise ValueError("the agent is closed")
        if self._pid == os.getpid():
            return self._handle
        # In a child of fork(2) the handle that there was is the parent's.
        handle = ctypes.c_void_p(lib.new())
        if not handle:
            raise NoMemory("out of memory")
        self._finalizer = weakref.finalize(
            self, free_here, os.getpid(), "free", handle)
        self._handle, self._pid = handle, os.getpid()
        lib.set_timeout_ms(handle, self._timeout_ms)
        for number in (lib.set_socket(handle, self._socket),
                       lib.set_program(handle, self._program)
                       if self._program is not None else 0):
            if number != 0:
                raise error_of(number, string(lib.message(handle)) or "")
        return handle

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Items live on."""
        with self._lock:
            self._closed = True
            if self._finalizer is not None:
                self._finalizer()

    def _do(self, name: str, *args: Any, ref: Optional[str] = None) -> None:
        """Call qapi_agent_<name>(handle, *args)."""
        function = getattr(lib, name)
        with self._lock:
            handle = self._made()
            number = function(handle, *args)
            if number != 0:
                raise error_of(number, string(lib.message(handle)) or "",
                               ref)

    # -- the agent itself --

    @property
    def socket(self) -> str:
        """Where it is, or would be, reached."""
        with self._lock:
            return string(lib.socket(self._made())) or ""

    @property
    def build(self) -> str:
        """As "qapi-agentd 0.1.0"; "" before the first answer."""
        with self._lock:
            return string(lib.build(self._made())) or ""

    def ping(self) -> None:
        """Is it there, and does it answer?"""
        self._do("ping")

    def status(self) -> Dict[str, Union[int, str, None]]:
        """Its figures, by names as "upstream.state"."""
        ret = out()
        self._do("status", ctypes.byref(ret))
        try:
            result: Dict[str, Union[int, str, None]] = {}
            for i in range(lib.stats_count(ret)):
                name = string(lib.stats_name(ret, i)) or ""
                kind = lib.stats_type(ret, i)
                result[name] = lib.stats_uint(ret, i) if kind == 1 else \
                    string(lib.stats_text(ret, i)) if kind == 2 else None
            return result
        finally:
            lib.stats_free(ctypes.byref(ret))

    def metrics(self, names: bool = False) -> str:
        """Its figures as OpenMetrics text; names: of single secrets, too."""
        ret, n = out(), ctypes.c_size_t()
        self._do("metrics", names, ctypes.byref(ret), ctypes.byref(n))
        try:
            return copy(ret.value, n.value).decode("utf-8")
        finally:
            lib.text_free(ctypes.byref(ret))

    # -- values --

    def get(self, ref: str, *, max_age: Optional[float] = None,
            max_stale: Optional[float] = None, only_if_cached: bool = False,
            fresh: bool = False, want_position: bool = False) -> Item:
        """Read one value.

        ref: as qapi://secrets/db/password?field=username. max_age: ask the
        service first if what is cached is older, in seconds; max_stale: take a
        stale value only if it was confirmed this recently; only_if_cached: never
        wait for the service; fresh: have the service confirm it now, and never
        fall back; want_position: tell the position, for watch().
        """
        ret = out()
        with _Terms(max_age, max_stale, only_if_cached, fresh,
                    want_position) as terms:
            self._do("get", text(ref, "the reference"), terms,
                     ctypes.byref(ret), ref=ref)
        return take_item(ret)

    def get_many(self, refs: Sequence[str], *,
                 max_age: Optional[float] = None,
                 max_stale: Optional[float] = None,
                 only_if_cached: bool = False, fresh: bool = False,
                 want_position: bool = False) -> List[Result]:
        """Read several in one round trip. They come in the order of refs, and
        what fails is there as its exception, which is not raised."""
        if not refs:
            return []
        ret = out()
        with _Terms(max_age, max_stale, only_if_cached, fresh,
                    want_position) as terms:
            self._do("get_many", _array(refs), len(refs), terms,
                     ctypes.byref(ret))
        return take_items(ret)

    def list(self, kind: Optional[str] = None, *,
             max_age: Optional[float] = None,
             max_stale: Optional[float] = None, only_if_cached: bool = False,
             fresh: bool = False) -> Listing:
        """What the caller may see; kind: "secrets", "keys", or both."""
        if kind not in _KINDS:
            raise error_of(-1, f"kind: {kind!r} is none of secrets and keys")
        ret = out()
        with _Terms(max_age, max_stale, only_if_cached, fresh,
                    False) as terms:
            self._do("list", _KINDS[kind], terms, ctypes.byref(ret))
        freshness = freshness_of(lib.items_freshness(ret))
        age = lib.items_age_ms(ret) / 1000
        listing = Listing(i for i in take_items(ret) if isinstance(i, Item))
        listing.freshness, listing.age = freshness, age
        return listing

    def refresh(self, *refs: str) -> List[Result]:
        """Have the service asked now; as get_many(), without values."""
        return self._each("refresh", refs)

    def invalidate(self, *refs: str) -> List[Result]:
        """Drop what is cached; the next read asks the service."""
        return self._each("invalidate", refs)

    def _each(self, name: str, refs: Sequence[str]) -> List[Result]:
        if not refs:
            return []
        ret = out()
        self._do(name, _array(refs), len(refs), ctypes.byref(ret))
        return take_items(ret)

    def refresh_all(self) -> Tuple[int, int]:
        """Of all that is cached: how many were done, how many failed."""
        return self._all("refresh_all")

    def invalidate_all(self) -> Tuple[int, int]:
        """The same."""
        return self._all("invalidate_all")

    def _all(self, name: str) -> Tuple[int, int]:
        done, failed = ctypes.c_uint64(), ctypes.c_uint64()
        self._do(name, ctypes.byref(done), ctypes.byref(failed))
        return done.value, failed.value

    def reject(self, ref: str, refused: Optional[Item] = None) -> Item:
        """Say that a value was refused by whom it was meant for, say a
        database: is there a newer one? The answer's `changed` tells."""
        ret = out()
        pointer = None
        if refused is not None:
            if refused._pointer is None:
                raise ValueError("the refused item is closed")
            pointer = refused._pointer
        self._do("reject", text(ref, "the reference"), pointer,
                 ctypes.byref(ret), ref=ref)
        return take_item(ret)

    def watch(self, refs: Union[Sequence[str],
                                Mapping[str, Optional[bytes]]]) -> Watch:
        """Learn of changes. refs: references, or each with the position that
        it was read at (Item.position): then nothing is lost in between."""
        positions = refs.values() if isinstance(refs, Mapping) \
            else [None] * len(refs)
        names = list(refs)
        with self._lock:
            return Watch(self._made(), names, list(positions))

    # -- the service and its keys --

    def call(self, method: str, target: str, *, ref: Optional[str] = None,
             body: Union[Bytes, str, None] = None,
             content_type: Optional[str] = None,
             max_age: Optional[float] = None,
             max_stale: Optional[float] = None, only_if_cached: bool = False,
             fresh: bool = False) -> Reply:
        """Ask the service anything; the agent adds its API key.

        target: the path below /api/v1 and what follows a "?"; "{id}" in it is
        the id of ref, a reference. body: bytes, or a text; content_type: that of
        the body, JSON unless given. Closed: nobody knows whether it was done.
        """
        data, n = (None, 0) if body is None else _data(
            body.encode("utf-8") if isinstance(body, str) else body)
        ret = out()
        with _Terms(max_age, max_stale, only_if_cached, fresh,
                    False) as terms:
            self._do("call", text(method, "the method"),
                     text(target, "the target"), text(ref, "the reference"),
                     terms, text(content_type, "the content type"), data, n,
                     ctypes.byref(ret), ref=ref)
        try:
            return Reply(ret)
        finally:
            lib.reply_free(ctypes.byref(ret))

    def encrypt(self, data: Bytes, *, key: Optional[str] = None,
                algorithm: Optional[str] = None,
                aad: Optional[str] = None) -> str:
        """Encrypt at most 1 MiB; what can be larger goes by seal(). key: name
        or id, default: the tenant's; aad: a text that decrypting has to give
        again. Returns the payload, a text."""
        ret = out()
        self._do("encrypt", text(key, "the key"),
                 text(algorithm, "the algorithm"), *self._aad(aad),
                 *_data(data), ctypes.byref(ret))
        with take_item(ret) as item:
            return item.text

    def decrypt(self, payload: Union[str, Bytes], *,
                key: Optional[str] = None,
                aad: Optional[str] = None) -> Item:
        """The reverse. The bytes are `value` of the item."""
        coded = payload.encode() if isinstance(payload, str) else payload
        ret = out()
        self._do("decrypt", text(key, "the key"), *self._aad(aad),
                 *_data(coded), ctypes.byref(ret))
        return take_item(ret)

    def sign(self, data: Bytes, key: str, *,
             algorithm: Optional[str] = None) -> bytes:
        """The signature of at most 1 MiB, bytes."""
        ret = out()
        self._do("sign", text(key, "the key"),
                 text(algorithm, "the algorithm"), *_data(data),
                 ctypes.byref(ret))
        with take_item(ret) as item:
            return item.value

    def verify(self, data: Bytes, signature: Bytes,
               key: str) -> Verification:
        """Is it the signature of data by this key? Not to be is no error."""
        valid, by = ctypes.c_bool(), ctypes.c_int()
        self._do("verify", text(key, "the key"), *_data(data),
                 *_data(signature), ctypes.byref(valid), ctypes.byref(by))
        return Verification(valid.value, by.value)

    @staticmethod
    def _aad(aad: Optional[str]) -> Tuple[Optional[bytes], int]:
        coded = text(aad, "aad")
        return coded or None, len(coded or b"")

    def seal(self, source: BinaryIO, target: BinaryIO, *,
             key: Optional[str] = None, aad: Optional[str] = None) -> None:
        """Encrypt any number of bytes from one file to another, in bounded
        memory."""
        self._stream("seal", (text(key, "the key"), *self._aad(aad)), source,
                     target)

    def open(self, source: BinaryIO, target: BinaryIO, *,
             aad: Optional[str] = None) -> None:
        """The reverse. If this raises, what has been written is to be thrown
        away: more may have been missing than was there."""
        self._stream("open", self._aad(aad), source, target)

    def _stream(self, name: str, args: Tuple[Any, ...], source: BinaryIO,
                target: BinaryIO) -> None:
        failure: List[BaseException] = []

        def take(_arg: Any, start: int, n: int) -> int:
            try:
                target.write(copy(start, n))
                return 0
            except BaseException as e:  # it cannot pass through C
                failure.append(e)
                return _SINK_FAILED
        sink = Sink(take)
        ret = out()

        def check(number: int) -> None:
            if failure:
                raise failure[0]
            if number != 0:
                raise error_of(number,
                               string(lib.stream_message(ret)) or "")
        try:
            self._do(name, *args, sink, None, ctypes.byref(ret))
        except AgentError:
            if failure:
                raise failure[0] from None
            raise
        try:
            while True:
                piece = source.read(_PIECE)
                if not piece:
                    break
                check(lib.stream_write(ret, *_data(piece)))
            check(lib.stream_end(ret))
        finally:
            lib.stream_free(ctypes.byref(ret))


def is_envelope(beginning: Bytes) -> bool:
    """Is this the beginning of what seal() makes? 8 bytes suffice to tell."""
    return bool(lib.is_envelope(*_data(beginning)))
