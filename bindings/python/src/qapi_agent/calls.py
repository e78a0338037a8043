"""One request to the agent: what goes in, and what comes of it. How it is
waited for is the business of agent.py, which blocks, and aio.py."""

import ctypes
from typing import (
    Any, Callable, Dict, Generic, List, Optional, Sequence, Tuple, TypeVar,
    Union)

from ._lib import copy, lib, milliseconds, out, string, text
from .errors import AgentError, BadRequest, NoMemory, error_of
from .items import Item, freshness_of, take_item, take_items

T = TypeVar("T")
Bytes = Union[bytes, bytearray, memoryview]
Result = Union[Item, AgentError]
Figures = Dict[str, Union[int, str, None]]

_KINDS = {None: 0, "secret": 1, "secrets": 1, "key": 2, "keys": 2}


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


class Terms:
    """What a caller accepts; None and False leave it to the agent."""

    def __init__(self, max_age: Optional[float] = None,
                 max_stale: Optional[float] = None,
                 only_if_cached: bool = False, fresh: bool = False,
                 want_position: bool = False) -> None:
        self._ages = [None if t is None else milliseconds(t, what)
                      for t, what in ((max_age, "max_age"),
                                      (max_stale, "max_stale"))]
        self._flags = (only_if_cached, fresh, want_position)
        self._pointer = ctypes.c_void_p()

    def __enter__(self) -> Any:
        if self._ages == [None, None] and not any(self._flags):
            return None
        self._pointer = ctypes.c_void_p(lib.terms_new())
        if not self._pointer:
            raise NoMemory("out of memory")
        if self._ages[0] is not None:
            lib.terms_set_max_age_ms(self._pointer, self._ages[0])
        if self._ages[1] is not None:
            lib.terms_set_max_stale_ms(self._pointer, self._ages[1])
        lib.terms_set_only_if_cached(self._pointer, self._flags[0])
        lib.terms_set_fresh(self._pointer, self._flags[1])
        lib.terms_set_want_position(self._pointer, self._flags[2])
        return self._pointer

    def __exit__(self, *exc: object) -> None:
        if self._pointer:
            lib.terms_free(ctypes.byref(self._pointer))


class Call(Generic[T]):
    """A request before it is made. name: of qapi_agent_start_<name>(); args: of
    that function, a Terms standing for its pointer; take: what the request has
    brought, once it is done; several: references that have errors of their
    own."""

    def __init__(self, name: str, args: Tuple[Any, ...],
                 take: Callable[[Any], T], ref: Optional[str] = None,
                 several: bool = False) -> None:
        self._name = name
        self._args = args
        self._take = take
        self._ref = ref
        self._several = several

    def start(self, handle: Any) -> Any:
        """Returns the request, to be freed with request_free."""
        request = out()
        terms = next((a for a in self._args if isinstance(a, Terms)), None)
        function = getattr(lib, "start_" + self._name)
        if terms is None:
            number = function(handle, *self._args, None, None,
                              ctypes.byref(request))
        else:
            with terms as pointer:
                number = function(handle, *(
                    pointer if a is terms else a for a in self._args),
                    None, None, ctypes.byref(request))
        if number != 0:
            raise error_of(number, string(lib.message(handle)) or "",
                           self._ref)
        return request

    def result(self, request: Any) -> T:
        """Of a request that is done."""
        number = lib.request_error(request)
        message = string(lib.request_message(request)) or ""
        if number != 0 and not self._several:
            raise error_of(number, message, self._ref)
        try:
            return self._take(request)
        except _NothingThere:
            # With one reference its error is that of the request.
            raise error_of(number or NoMemory.number, message,
                           self._ref) from None


def _array(refs: Sequence[str]) -> Any:
    coded = [text(r, "a reference") for r in refs]
    return (ctypes.c_char_p * len(coded))(*coded)


def data_of(data: Bytes) -> Tuple[bytes, int]:
    b = bytes(data)
    return b, len(b)


def aad_of(aad: Optional[str]) -> Tuple[Optional[bytes], int]:
    coded = text(aad, "aad")
    return coded or None, len(coded or b"")


class _NothingThere(Exception):
    """The request has brought nothing."""


def _taken(pointer: Optional[int]) -> Any:
    if not pointer:
        raise _NothingThere
    return ctypes.c_void_p(pointer)


def _item(request: Any) -> Item:
    return take_item(_taken(lib.request_take_item(request)))


def _items(request: Any) -> List[Result]:
    return take_items(_taken(lib.request_take_items(request)))


def _text(request: Any) -> str:
    with _item(request) as item:
        return item.text


def _bytes(request: Any) -> bytes:
    with _item(request) as item:
        return item.value


def _listing(request: Any) -> Listing:
    pointer = _taken(lib.request_take_items(request))
    freshness = freshness_of(lib.items_freshness(pointer))
    age = lib.items_age_ms(pointer) / 1000
    listing = Listing(i for i in take_items(pointer) if isinstance(i, Item))
    listing.freshness, listing.age = freshness, age
    return listing


def _reply(request: Any) -> Reply:
    pointer = _taken(lib.request_take_reply(request))
    try:
        return Reply(pointer)
    finally:
        lib.reply_free(ctypes.byref(pointer))


def _figures(request: Any) -> Figures:
    pointer = _taken(lib.request_take_stats(request))
    try:
        figures: Figures = {}
        for i in range(lib.stats_count(pointer)):
            name = string(lib.stats_name(pointer, i)) or ""
            kind = lib.stats_type(pointer, i)
            figures[name] = lib.stats_uint(pointer, i) if kind == 1 else \
                string(lib.stats_text(pointer, i)) if kind == 2 else None
        return figures
    finally:
        lib.stats_free(ctypes.byref(pointer))


def ping() -> Call[None]:
    return Call("ping", (), lambda request: None)


def status() -> Call[Figures]:
    return Call("status", (), _figures)


def get(ref: str, terms: Terms) -> Call[Item]:
    return Call("get", (_array([ref]), 1, terms), _item, ref)


def get_many(refs: Sequence[str], terms: Terms) -> Call[List[Result]]:
    return Call("get", (_array(refs), len(refs), terms), _items,
                several=True)


def each(name: str, refs: Sequence[str]) -> Call[List[Result]]:
    """refresh, invalidate"""
    return Call(name, (_array(refs), len(refs)), _items, several=True)


def listing(kind: Optional[str], terms: Terms) -> Call[Listing]:
    if kind not in _KINDS:
        raise BadRequest(f"kind: {kind!r} is none of secrets and keys")
    return Call("list", (_KINDS[kind], terms), _listing)


def reject(ref: str, refused: Optional[Item]) -> Call[Item]:
    pointer = None if refused is None else refused.pointer()
    return Call("reject", (text(ref, "the reference"), pointer), _item, ref)


def call(method: str, target: str, ref: Optional[str], terms: Terms,
         content_type: Optional[str],
         body: Union[Bytes, str, None]) -> Call[Reply]:
    data, n = (None, 0) if body is None else data_of(
        body.encode("utf-8") if isinstance(body, str) else body)
    return Call("call", (
        text(method, "the method"), text(target, "the target"),
        text(ref, "the reference"), terms,
        text(content_type, "the content type"), data, n), _reply, ref)


def encrypt(data: Bytes, key: Optional[str], algorithm: Optional[str],
            aad: Optional[str]) -> Call[str]:
    return Call("encrypt", (text(key, "the key"),
                            text(algorithm, "the algorithm"), *aad_of(aad),
                            *data_of(data)), _text)


def decrypt(payload: Union[str, Bytes], key: Optional[str],
            aad: Optional[str]) -> Call[Item]:
    coded = payload.encode() if isinstance(payload, str) else payload
    return Call("decrypt", (text(key, "the key"), *aad_of(aad),
                            *data_of(coded)), _item)


def sign(data: Bytes, key: str, algorithm: Optional[str]) -> Call[bytes]:
    return Call("sign", (text(key, "the key"),
                         text(algorithm, "the algorithm"), *data_of(data)),
                _bytes)


def verify(data: Bytes, signature: Bytes, key: str) -> Call[Verification]:
    return Call("verify", (text(key, "the key"), *data_of(data),
                           *data_of(signature)),
                lambda request: Verification(lib.request_valid(request),
                                             lib.request_by(request)))
