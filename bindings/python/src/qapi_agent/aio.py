"""The same for asyncio: any number of calls at a time on one connection.

    async with qapi_agent.aio.Agent() as agent:
        password = await agent.get("qapi://secrets/db/prod/password")
"""

import asyncio
import ctypes
from typing import (
    Any, AsyncIterator, Dict, List, Mapping, Optional, Sequence, TypeVar,
    Union)

from . import calls
from ._lib import lib
from .calls import (
    Bytes, Call, Figures, Listing, Reply, Result, Terms, Verification)
from .errors import AgentError, Closed
from .errors import Timeout as _Timeout
from .handle import Handle
from .items import Item
from .watch import Event
from .watch import Watch as _BlockingWatch

_T = TypeVar("_T")


class _Driver:
    """Calls step() when a descriptor or the time says so, on a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int,
                 step: Any) -> None:
        self.loop = loop
        self._fd = fd
        self._step = step
        self._reading = False
        self._timer: Optional[asyncio.TimerHandle] = None

    def arm(self, reading: bool, seconds: Optional[float]) -> None:
        if reading != self._reading:
            self._reading = reading
            if reading:
                self.loop.add_reader(self._fd, self._step)
            else:
                self.loop.remove_reader(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else \
            self.loop.call_later(seconds, self._step)


class Agent:
    """As qapi_agent.Agent, whose methods are described there; made and used
    within one event loop. A call that is cancelled is cancelled at the agent,
    too; what the service has done by then stays done."""

    def __init__(self, socket: Optional[str] = None, *,
                 timeout: Optional[float] = 10.0,
                 program: Optional[str] = None) -> None:
        self._handle = Handle(socket, timeout, program)
        self._driver = _Driver(asyncio.get_running_loop(),
                               self._handle.fileno(), self._step)
        self._waiting: Dict[int, "asyncio.Future[None]"] = {}

    async def __aenter__(self) -> "Agent":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls that are under way raise Closed."""
        self._driver.arm(False, None)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Closed("the agent was closed here"))
        self._handle.close()

    def _arm(self) -> None:
        reading, ms = self._handle.want()
        self._driver.arm(reading, None if ms < 0 else ms / 1000)

    def _step(self) -> None:
        handle = self._handle.get()
        lib.step(handle)
        while True:
            request = lib.next_done(handle)
            if not request:
                break
            future = self._waiting.get(request)
            if future is not None and not future.done():
                future.set_result(None)
        self._arm()

    async def _run(self, call: Call[_T]) -> _T:
        if asyncio.get_running_loop() is not self._driver.loop:
            raise RuntimeError("this agent belongs to another event loop")
        handle = self._handle.get()
        request = call.start(handle)
        name = request.value
        future = self._waiting[name] = self._driver.loop.create_future()
        try:
            self._arm()
            await future
            return call.result(request)
        finally:
            del self._waiting[name]
            lib.request_free(ctypes.byref(request))
            if not self._handle.closed:
                self._arm()

    async def ping(self) -> None:
        await self._run(calls.ping())

    async def status(self) -> Figures:
        return await self._run(calls.status())

    async def get(self, ref: str, *, max_age: Optional[float] = None,
                  max_stale: Optional[float] = None,
                  only_if_cached: bool = False, fresh: bool = False,
                  want_position: bool = False) -> Item:
        return await self._run(calls.get(ref, Terms(
            max_age, max_stale, only_if_cached, fresh, want_position)))

    async def get_many(self, refs: Sequence[str], *,
                       max_age: Optional[float] = None,
                       max_stale: Optional[float] = None,
                       only_if_cached: bool = False, fresh: bool = False,
                       want_position: bool = False) -> List[Result]:
        if not refs:
            return []
        return await self._run(calls.get_many(refs, Terms(
            max_age, max_stale, only_if_cached, fresh, want_position)))

    async def list(self, kind: Optional[str] = None, *,
                   max_age: Optional[float] = None,
                   max_stale: Optional[float] = None,
                   only_if_cached: bool = False,
                   fresh: bool = False) -> Listing:
        return await self._run(calls.listing(kind, Terms(
            max_age, max_stale, only_if_cached, fresh)))

    async def refresh(self, *refs: str) -> List[Result]:
        if not refs:
            return []
        return await self._run(calls.each("refresh", refs))

    async def invalidate(self, *refs: str) -> List[Result]:
        if not refs:
            return []
        return await self._run(calls.each("invalidate", refs))

    async def reject(self, ref: str,
                     refused: Optional[Item] = None) -> Item:
        return await self._run(calls.reject(ref, refused))

    async def call(self, method: str, target: str, *,
                   ref: Optional[str] = None,
                   body: Union[Bytes, str, None] = None,
                   content_type: Optional[str] = None,
                   max_age: Optional[float] = None,
                   max_stale: Optional[float] = None,
                   only_if_cached: bool = False,
                   fresh: bool = False) -> Reply:
        return await self._run(calls.call(
            method, target, ref,
            Terms(max_age, max_stale, only_if_cached, fresh), content_type,
            body))

    async def encrypt(self, data: Bytes, *, key: Optional[str] = None,
                      algorithm: Optional[str] = None,
                      aad: Optional[str] = None) -> str:
        return await self._run(calls.encrypt(data, key, algorithm, aad))

    async def decrypt(self, payload: Union[str, Bytes], *,
                      key: Optional[str] = None,
                      aad: Optional[str] = None) -> Item:
        return await self._run(calls.decrypt(payload, key, aad))

    async def sign(self, data: Bytes, key: str, *,
                   algorithm: Optional[str] = None) -> bytes:
        return await self._run(calls.sign(data, key, algorithm))

    async def verify(self, data: Bytes, signature: Bytes,
                     key: str) -> Verification:
        return await self._run(calls.verify(data, signature, key))

    async def watch(self, refs: Union[
            Sequence[str], Mapping[str, Optional[bytes]]]) -> "Watch":
        positions = list(refs.values()) if isinstance(refs, Mapping) \
            else [None] * len(refs)
        await self.ping()
        watch = Watch(_BlockingWatch(self._handle.get(), list(refs),
                                     positions))
        try:
            await asyncio.wait_for(watch._begin(), self._handle.timeout)
        except asyncio.TimeoutError:
            watch.close()
            raise _Timeout("the agent has not answered in this time") \
                from None
        except BaseException:
            watch.close()
            raise
        return watch


class Watch:
    """As qapi_agent.Watch, to be iterated over with async for."""

    def __init__(self, watch: _BlockingWatch) -> None:
        self._watch = watch
        self.refs = watch.refs
        self._driver = _Driver(asyncio.get_running_loop(), watch.fileno(),
                               self._wake)
        self._future: Optional["asyncio.Future[None]"] = None

    async def __aenter__(self) -> "Watch":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription."""
        self._driver.arm(False, None)
        self._watch.close()

    def _wake(self) -> None:
        self._driver.arm(False, None)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def _turn(self) -> None:
        """Wait until there may be something."""
        self._future = self._driver.loop.create_future()
        self._driver.arm(True, self._watch.timeout())
        try:
            await self._future
        finally:
            self._future = None
            self._driver.arm(False, None)

    async def _begin(self) -> None:
        self._watch.step()
        while not self._watch.has_begun():
            await self._turn()
            self._watch.step()

    async def next(self) -> Event:
        """Wait for the next event."""
        while True:
            event = self._watch.take()
            if event is not None:
                return event
            await self._turn()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        return await self.next()

    @property
    def items(self) -> List[Union[Item, AgentError, None]]:
        return self._watch.items

    def has_ended(self, index: int) -> bool:
        return self._watch.has_ended(index)
