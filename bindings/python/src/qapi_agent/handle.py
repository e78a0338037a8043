"""One connection to the agent, as the library has it."""

import ctypes
import os
import weakref
from typing import Any, Optional, Tuple

from ._lib import free_here, lib, milliseconds, string, text
from .errors import NoMemory, error_of


class Handle:
    """The library's handle, with what it is to be set to. Made when needed, and
    anew in a child of fork(2), where the other one is the parent's."""

    def __init__(self, socket: Optional[str], timeout: Optional[float],
                 program: Optional[str]) -> None:
        self.timeout = timeout
        self._socket = text(socket, "socket")
        self._timeout_ms = 0 if timeout is None else \
            max(1, milliseconds(timeout, "timeout"))
        self._program = text(program, "program")
        self._pid = 0
        self._pointer = ctypes.c_void_p()
        self._finalizer: Optional[weakref.finalize[Any, Any]] = None
        self._closed = False
        self.get()

    def get(self) -> Any:
        """The pointer; ValueError once it is closed."""
        if self._closed:
            raise ValueError("the agent is closed")
        if self._pid == os.getpid():
            return self._pointer
        pointer = ctypes.c_void_p(lib.new())
        if not pointer:
            raise NoMemory("out of memory")
        self._finalizer = weakref.finalize(
            self, free_here, os.getpid(), "free", pointer)
        self._pointer, self._pid = pointer, os.getpid()
        lib.set_timeout_ms(pointer, self._timeout_ms)
        for number in (lib.set_socket(pointer, self._socket),
                       lib.set_program(pointer, self._program)
                       if self._program is not None else 0):
            if number != 0:
                raise error_of(number, string(lib.message(pointer)) or "")
        return pointer

    @property
    def closed(self) -> bool:
        return self._closed

    def fileno(self) -> int:
        """The same for the whole life of the pointer."""
        fd = int(lib.fd(self._pointer))
        if fd < 0:
            raise NoMemory("no descriptor is free")
        return fd

    def want(self) -> Tuple[bool, int]:
        """Is the descriptor to be watched? Milliseconds until the next step
        in any case; -1: no need to."""
        ms = ctypes.c_int()
        events = lib.want(self._pointer, ctypes.byref(ms))
        return events != 0, ms.value

    def close(self) -> None:
        self._closed = True
        if self._finalizer is not None:
            self._finalizer()
