"""What the agent knows of a secret or key, and its value."""

import ctypes
import threading
import weakref
from datetime import datetime, timedelta, timezone
from typing import Any, List, Optional, Union

from ._lib import NO_TIME, POSITION_LEN, copy, lib, string
from .errors import AgentError, error_of

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FRESHNESS = {1: "fresh", 2: "stale", 3: "expired"}
_KINDS = {1: "secret", 2: "key"}
_CONTENT = {1: "text", 2: "json", 3: "bytes"}

Buffer = Union[bytearray, memoryview]


def freshness_of(number: int) -> Optional[str]:
    return _FRESHNESS.get(number)


def _time(ms: int) -> Optional[datetime]:
    if ms == NO_TIME:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return None     # beyond the year 9999


class _Owner:
    """Memory of the library's, freed, and wiped by that, when the last value in
    it is closed, or nobody refers to it any more."""

    def __init__(self, pointer: Any, free: str, values: int) -> None:
        self.lock = threading.Lock()
        self.left = values
        self._free = weakref.finalize(self, getattr(lib, free),
                                      ctypes.byref(pointer))

    def release(self) -> None:
        self.left -= 1
        if self.left <= 0:
            self._free()


class Item:
    """A secret or key: metadata, and where it was read its value.

    The value stays in memory of libqapi-agent's, which wipes it in close(), at
    the end of a with statement, or when the object goes. `value` and `text` are
    copies that nobody can wipe; read_into() fills a buffer of the caller's.
    """

    #: What was asked for; None in a listing.
    ref: Optional[str]
    #: As the service gave them; None if not said.
    id: Optional[str]
    name: Optional[str]
    #: "secret" or "key".
    kind: Optional[str]
    #: Of the value; None if not said.
    version: Optional[int]
    #: "fresh", "stale" (a refresh is overdue) or "expired" (where the agent
    #: allows that).
    freshness: Optional[str]
    #: Seconds since the service last confirmed the value.
    age: float
    updated_at: Optional[datetime]
    expires_at: Optional[datetime]
    #: 16 bytes that name the state of the value, for Agent.watch().
    position: Optional[bytes]
    #: Of Agent.reject(): is it another value than the refused one?
    changed: bool
    #: "text", "json", "bytes", or None without a value.
    content: Optional[str]

    def __init__(self, pointer: int, owner: Optional[_Owner]) -> None:
        version = lib.item_version(pointer)
        position = lib.item_position(pointer)
        self.ref = string(lib.item_ref(pointer))
        self.id = string(lib.item_id(pointer))
        self.name = string(lib.item_name(pointer))
        self.kind = _KINDS.get(lib.item_kind(pointer))
        self.version = version or None
        self.freshness = freshness_of(lib.item_freshness(pointer))
        self.age = lib.item_age_ms(pointer) / 1000
        self.updated_at = _time(lib.item_updated_at_ms(pointer))
        self.expires_at = _time(lib.item_expires_at_ms(pointer))
        self.position = copy(position, POSITION_LEN) if position else None
        self.changed = lib.item_changed(pointer)
        self.content = _CONTENT.get(lib.item_content(pointer))
        self._pointer: Optional[int] = pointer
        self._owner = owner

    def __repr__(self) -> str:
        """Never the value."""
        parts = [f"{n}={getattr(self, n)!r}" for n in (
            "ref", "kind", "name", "version", "freshness")
            if getattr(self, n) is not None]
        return f"<Item {' '.join(parts)}>"

    def __enter__(self) -> "Item":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def pointer(self) -> int:
        """For the library; None of the caller's business."""
        if self._pointer is None:
            raise ValueError("the item is closed")
        return self._pointer

    def _bytes(self, pointer: int) -> "tuple[Optional[int], int]":
        n = ctypes.c_size_t()
        return lib.item_value(pointer, ctypes.byref(n)), n.value

    def _read(self, into: Optional[Buffer]) -> Union[bytes, int]:
        if self.content is None or self._owner is None:
            raise ValueError("this item has no value")
        with self._owner.lock:
            if self._pointer is None:
                raise ValueError("the item is closed")
            start, n = self._bytes(self._pointer)
            if into is None:
                return copy(start, n)
            view = memoryview(into).cast("B")
            if len(view) < n:
                raise ValueError(f"the value takes {n} bytes")
            if n:
                target = (ctypes.c_char * n).from_buffer(view)
                ctypes.memmove(target, start or 0, n)
                del target
            return n

    @property
    def value(self) -> bytes:
        """A copy of the value, whose bytes may be any."""
        got = self._read(None)
        assert isinstance(got, bytes)
        return got

    @property
    def text(self) -> str:
        """The value as text; UnicodeDecodeError if it is none."""
        return self.value.decode("utf-8")

    def read_into(self, buffer: Buffer) -> int:
        """Put the value into a buffer, which the caller can wipe; returns how
        many bytes it takes. ValueError if it is larger than the buffer."""
        got = self._read(buffer)
        assert isinstance(got, int)
        return got

    def close(self) -> None:
        """Wipe the value; metadata stays. Of the items of one get_many() the
        memory is wiped with the last of them."""
        if self._owner is None:
            return
        with self._owner.lock:
            if self._pointer is not None:
                self._pointer = None
                self._owner.release()


def take_item(pointer: Any) -> Item:
    """The one that a function has handed out."""
    return Item(pointer.value, _Owner(pointer, "item_free", 1))


def metadata_of(pointer: Optional[int]) -> Union[Item, AgentError]:
    """An item, or its error, that lives in memory of somebody else's."""
    assert pointer is not None
    number = lib.item_error(pointer)
    if number != 0:
        return error_of(number, string(lib.item_message(pointer)) or "",
                        string(lib.item_ref(pointer)))
    return Item(pointer, None)


def take_items(pointer: Any) -> List[Union[Item, AgentError]]:
    """Those that a function has handed out, in their order."""
    n = lib.items_count(pointer)
    owner = _Owner(pointer, "items_free", n)
    result: List[Union[Item, AgentError]] = []
    for i in range(n):
        one = metadata_of(lib.items_at(pointer, i))
        result.append(one)
        if isinstance(one, Item) and one.content is not None:
            one._owner = owner
        else:
            owner.left -= 1
            if isinstance(one, Item):
                one._pointer = None
    if owner.left <= 0:
        owner.left = 1
        owner.release()
    return result
