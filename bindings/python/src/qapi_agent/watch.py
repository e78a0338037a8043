"""Changes of values, as they happen."""

import ctypes
import math
import os
import select
import time
import weakref
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Sequence, Union

from ._lib import POSITION_LEN, free_here, lib, milliseconds, out, string, text
from .errors import AgentError, NoMemory, Timeout, error_of
from .items import Item, metadata_of

_ENDED = 256


@dataclass(frozen=True)
class Event:
    """reason: changed, expiring, expired, gone, stale, fresh-again, or ended:
    not watched any more, Watch.items[index] has the error."""

    ref: str
    reason: str
    index: int


class Watch:
    """A subscription, with a connection of its own; made by Agent.watch().

    It tells what happens from then on, or after the positions that were given.
    A reference that is refused at once has no event: its error is in items.
    Iterate over it, or ask next(). If the agent goes away it is tried again, for
    ever, and what changed meanwhile is told then. The same event may come
    twice. Values are read with Agent.get(). Not for several threads at a time.
    """

    def __init__(self, handle: Any, refs: Sequence[str],
                 positions: Sequence[Optional[bytes]]) -> None:
        ret = out()
        coded = [text(r, "a reference") for r in refs]
        for p in positions:
            if p is not None and len(p) != POSITION_LEN:
                raise error_of(-1, f"a position has {POSITION_LEN} bytes")
        #: The references, in their order.
        self.refs: List[str] = list(refs)
        n = len(coded)
        number = lib.watch_start(
            handle, (ctypes.c_char_p * n)(*coded),
            (ctypes.c_char_p * n)(*positions), n, ctypes.byref(ret))
        if number != 0:
            raise error_of(number, string(lib.message(handle)) or
                           "there is no reference to watch")
        self._watch = ret
        self._pid = os.getpid()
        self._free = weakref.finalize(self, free_here, self._pid,
                                      "watch_free", ret)
        if self.fileno() < 0:
            self._free()
            raise NoMemory("no descriptor is free")

    def has_begun(self) -> bool:
        """Has the agent answered for each reference?"""
        return all(
            self.has_ended(i) or isinstance(item, AgentError) or
            (item is not None and item.position is not None)
            for i, item in enumerate(self.items))

    def wait_begun(self, timeout: Optional[float]) -> None:
        """Until then, nothing is told: what happens may be lost. Closes the
        watch where that takes too long."""
        end = None if timeout is None else time.monotonic() + timeout
        try:
            self.step()
            while not self.has_begun():
                self._wait(end, lib.watch_message(self._open()))
                self.step()
        except BaseException:
            self.close()
            raise

    def step(self) -> None:
        """Do all that can be done now; take() does so, too."""
        lib.watch_step(self._open())

    def _wait(self, end: Optional[float], why: Optional[bytes]) -> None:
        """Until there may be something, or raise Timeout."""
        now = time.monotonic()
        if end is not None and end <= now:
            raise Timeout(string(why) or "nothing has happened in this time")
        waits = [t for t in (self.timeout(),
                             None if end is None else end - now)
                 if t is not None]
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        poll.poll(None if not waits else math.ceil(min(waits) * 1000))

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription."""
        self._free()

    def _open(self) -> Any:
        if not self._free.alive or self._pid != os.getpid():
            raise ValueError("the watch is closed")
        return self._watch

    def fileno(self) -> int:
        """Readable when there may be something to take(); for event loops. One
        of those also calls take() after timeout() seconds."""
        return int(lib.watch_fd(self._open()))

    def timeout(self) -> Optional[float]:
        """Seconds after which take() is to be called in any case."""
        ms = ctypes.c_int()
        lib.watch_want(self._open(), ctypes.byref(ms))
        return None if ms.value < 0 else ms.value / 1000

    def take(self) -> Optional[Event]:
        """The next event if there is one; never waits. Raises the error of
        the first reference when none is watched any more."""
        watch = self._open()
        index, reason = ctypes.c_size_t(), ctypes.c_int()
        self.step()
        number = lib.watch_take(watch, ctypes.byref(index),
                                ctypes.byref(reason))
        if number == Timeout.number:
            return None
        if number != 0:
            raise error_of(number, string(lib.watch_message(watch)) or "")
        name = "ended" if reason.value == _ENDED else \
            string(lib.reason_name(reason.value)) or ""
        return Event(self.refs[index.value], name, index.value)

    def next(self, timeout: Optional[float] = None) -> Event:
        """Wait for the next event, for at most timeout seconds; then Timeout.
        Signals interrupt it as they do any wait."""
        end = None if timeout is None else \
            time.monotonic() + milliseconds(timeout, "timeout") / 1000
        while True:
            event = self.take()
            if event is not None:
                return event
            self._wait(end, None)

    def __iter__(self) -> Iterator[Event]:
        while True:
            yield self.next()

    @property
    def items(self) -> List[Union[Item, AgentError, None]]:
        """What is known of each reference, in their order: its position, as
        far as the agent has answered, or the error that keeps it from having a
        value."""
        pointer = lib.watch_items(self._open())
        if not pointer:
            return [None] * len(self.refs)
        result: List[Union[Item, AgentError, None]] = []
        for i in range(lib.items_count(pointer)):
            one = metadata_of(lib.items_at(pointer, i))
            if isinstance(one, Item):
                one._pointer = None
            result.append(one)
        return result

    def has_ended(self, index: int) -> bool:
        """Has the agent refused for good to watch this one, or stopped to?"""
        return bool(lib.watch_has_ended(self._open(), index))
