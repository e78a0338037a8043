"""The agent, as a program sees it."""

import ctypes
import os
import select
import threading
from typing import (
    Any, BinaryIO, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union)

from . import calls
from ._lib import Sink, copy, lib, out, string, text
from .calls import (
    Bytes, Call, Figures, Listing, Reply, Result, Terms, Verification,
    data_of)
from .errors import AgentError, error_of
from .handle import Handle
from .items import Item
from .watch import Watch

_PIECE = 256 * 1024
_SINK_FAILED = 1
_T = TypeVar("_T")


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
        self._handle = Handle(socket, timeout, program)

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Items live on."""
        with self._lock:
            self._handle.close()

    def _run(self, call: Call[_T]) -> _T:
        """Wait for its end, as select does: signals interrupt that, and what
        their handlers raise cancels the request."""
        with self._lock:
            handle = self._handle.get()
            poll = select.poll()
            poll.register(self._handle.fileno(), select.POLLIN)
            request = call.start(handle)
            try:
                while not lib.request_is_done(request):
                    ms = self._handle.want()[1]
                    poll.poll(None if ms < 0 else ms)
                    lib.step(handle)
                return call.result(request)
            finally:
                lib.request_free(ctypes.byref(request))

    def _do(self, name: str, *args: Any) -> None:
        """Call qapi_agent_<name>(handle, *args), which blocks."""
        function = getattr(lib, name)
        with self._lock:
            handle = self._handle.get()
            number = function(handle, *args)
            if number != 0:
                raise error_of(number, string(lib.message(handle)) or "")

    # -- the agent itself --

    @property
    def socket(self) -> str:
        """Where it is, or would be, reached."""
        with self._lock:
            return string(lib.socket(self._handle.get())) or ""

    @property
    def build(self) -> str:
        """As "qapi-agentd 0.1.0"; "" before the first answer."""
        with self._lock:
            return string(lib.build(self._handle.get())) or ""

    def ping(self) -> None:
        """Is it there, and does it answer?"""
        self._run(calls.ping())

    def status(self) -> Figures:
        """Its figures, by names as "upstream.state"."""
        return self._run(calls.status())

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
        return self._run(calls.get(ref, Terms(
            max_age, max_stale, only_if_cached, fresh, want_position)))

    def get_many(self, refs: Sequence[str], *,
                 max_age: Optional[float] = None,
                 max_stale: Optional[float] = None,
                 only_if_cached: bool = False, fresh: bool = False,
                 want_position: bool = False) -> List[Result]:
        """Read several in one round trip. They come in the order of refs, and
        what fails is there as its exception, which is not raised."""
        if not refs:
            return []
        return self._run(calls.get_many(refs, Terms(
            max_age, max_stale, only_if_cached, fresh, want_position)))

    def list(self, kind: Optional[str] = None, *,
             max_age: Optional[float] = None,
             max_stale: Optional[float] = None, only_if_cached: bool = False,
             fresh: bool = False) -> Listing:
        """What the caller may see; kind: "secrets", "keys", or both."""
        return self._run(calls.listing(kind, Terms(
            max_age, max_stale, only_if_cached, fresh)))

    def refresh(self, *refs: str) -> List[Result]:
        """Have the service asked now; as get_many(), without values."""
        return self._run(calls.each("refresh", refs)) if refs else []

    def invalidate(self, *refs: str) -> List[Result]:
        """Drop what is cached; the next read asks the service."""
        return self._run(calls.each("invalidate", refs)) if refs else []

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
        return self._run(calls.reject(ref, refused))

    def watch(self, refs: Union[Sequence[str],
                                Mapping[str, Optional[bytes]]]) -> Watch:
        """Learn of changes. refs: references, or each with the position that
        it was read at (Item.position): then nothing is lost in between."""
        positions = refs.values() if isinstance(refs, Mapping) \
            else [None] * len(refs)
        names = list(refs)
        self.ping()     # one that is not there is told at once
        with self._lock:
            watch = Watch(self._handle.get(), names, list(positions))
        watch.wait_begun(self._handle.timeout)
        return watch

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
        return self._run(calls.call(
            method, target, ref,
            Terms(max_age, max_stale, only_if_cached, fresh), content_type,
            body))

    def encrypt(self, data: Bytes, *, key: Optional[str] = None,
                algorithm: Optional[str] = None,
                aad: Optional[str] = None) -> str:
        """Encrypt at most 1 MiB; what can be larger goes by seal(). key: name
        or id, default: the tenant's; aad: a text that decrypting has to give
        again. Returns the payload, a text."""
        return self._run(calls.encrypt(data, key, algorithm, aad))

    def decrypt(self, payload: Union[str, Bytes], *,
                key: Optional[str] = None,
                aad: Optional[str] = None) -> Item:
        """The reverse. The bytes are `value` of the item."""
        return self._run(calls.decrypt(payload, key, aad))

    def sign(self, data: Bytes, key: str, *,
             algorithm: Optional[str] = None) -> bytes:
        """The signature of at most 1 MiB, bytes."""
        return self._run(calls.sign(data, key, algorithm))

    def verify(self, data: Bytes, signature: Bytes,
               key: str) -> Verification:
        """Is it the signature of data by this key? Not to be is no error."""
        return self._run(calls.verify(data, signature, key))

    def seal(self, source: BinaryIO, target: BinaryIO, *,
             key: Optional[str] = None, aad: Optional[str] = None) -> None:
        """Encrypt any number of bytes from one file to another, in bounded
        memory."""
        self._stream("seal", (text(key, "the key"), *calls.aad_of(aad)), source,
                     target)

    def open(self, source: BinaryIO, target: BinaryIO, *,
             aad: Optional[str] = None) -> None:
        """The reverse. If this raises, what has been written is to be thrown
        away: more may have been missing than was there."""
        self._stream("open", calls.aad_of(aad), source, target)

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
                check(lib.stream_write(ret, *data_of(piece)))
            check(lib.stream_end(ret))
        finally:
            lib.stream_free(ctypes.byref(ret))


def is_envelope(beginning: Bytes) -> bool:
    """Is this the beginning of what seal() makes? 8 bytes suffice to tell."""
    return bool(lib.is_envelope(*data_of(beginning)))
