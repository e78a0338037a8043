"""The C library: where it is, and its functions as qapi-agent.h has them."""

import ctypes
import os
from ctypes import (
    CFUNCTYPE, POINTER, c_bool, c_char_p, c_int, c_int64, c_short,
    c_size_t, c_uint, c_uint64, c_void_p)
from typing import Any, Dict, Optional, Tuple

from .errors import Unsupported, error_of

SONAME = "libqapi-agent.so.0"
NO_TIME = -(1 << 63)
NEVER = (1 << 64) - 1
POSITION_LEN = 16

Sink = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)

_OUT = POINTER(c_void_p)
_REFS = POINTER(c_char_p)
_BYTES = (c_char_p, c_size_t)
_DONE = (c_void_p, c_void_p, _OUT)  # no callback, no argument for it

# name without its prefix: (result, arguments)
_FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "new": (c_void_p, ()),
    "free": (None, (_OUT,)),
    "set_socket": (c_int, (c_void_p, c_char_p)),
    "set_timeout_ms": (None, (c_void_p, c_uint64)),
    "set_program": (c_int, (c_void_p, c_char_p)),
    "socket": (c_char_p, (c_void_p,)),
    "message": (c_char_p, (c_void_p,)),
    "build": (c_char_p, (c_void_p,)),
    "protocol": (c_uint, (c_void_p,)),
    "version": (c_char_p, ()),
    "error_name": (c_char_p, (c_int,)),

    "terms_new": (c_void_p, ()),
    "terms_free": (None, (_OUT,)),
    "terms_set_max_age_ms": (None, (c_void_p, c_uint64)),
    "terms_set_max_stale_ms": (None, (c_void_p, c_uint64)),
    "terms_set_only_if_cached": (None, (c_void_p, c_bool)),
    "terms_set_fresh": (None, (c_void_p, c_bool)),
    "terms_set_want_position": (None, (c_void_p, c_bool)),

    "refresh_all": (c_int, (c_void_p, POINTER(c_uint64), POINTER(c_uint64))),
    "invalidate_all": (c_int, (c_void_p, POINTER(c_uint64),
                               POINTER(c_uint64))),
    "metrics": (c_int, (c_void_p, c_bool, _OUT, POINTER(c_size_t))),
    "text_free": (None, (_OUT,)),

    "fd": (c_int, (c_void_p,)),
    "want": (c_short, (c_void_p, POINTER(c_int))),
    "step": (c_size_t, (c_void_p,)),
    "next_done": (c_void_p, (c_void_p,)),
    "start_get": (c_int, (c_void_p, _REFS, c_size_t, c_void_p, *_DONE)),
    "start_list": (c_int, (c_void_p, c_int, c_void_p, *_DONE)),
    "start_refresh": (c_int, (c_void_p, _REFS, c_size_t, *_DONE)),
    "start_invalidate": (c_int, (c_void_p, _REFS, c_size_t, *_DONE)),
    "start_reject": (c_int, (c_void_p, c_char_p, c_void_p, *_DONE)),
    "start_ping": (c_int, (c_void_p, *_DONE)),
    "start_status": (c_int, (c_void_p, *_DONE)),
    "start_call": (c_int, (c_void_p, c_char_p, c_char_p, c_char_p, c_void_p,
                           c_char_p, *_BYTES, *_DONE)),
    "start_encrypt": (c_int, (c_void_p, c_char_p, c_char_p, *_BYTES,
                              *_BYTES, *_DONE)),
    "start_decrypt": (c_int, (c_void_p, c_char_p, *_BYTES, *_BYTES,
                              *_DONE)),
    "start_sign": (c_int, (c_void_p, c_char_p, c_char_p, *_BYTES, *_DONE)),
    "start_verify": (c_int, (c_void_p, c_char_p, *_BYTES, *_BYTES, *_DONE)),
    "request_free": (None, (_OUT,)),
    "request_is_done": (c_bool, (c_void_p,)),
    "request_error": (c_int, (c_void_p,)),
    "request_message": (c_char_p, (c_void_p,)),
    "request_take_items": (c_void_p, (c_void_p,)),
    "request_take_item": (c_void_p, (c_void_p,)),
    "request_take_reply": (c_void_p, (c_void_p,)),
    "request_take_stats": (c_void_p, (c_void_p,)),
    "request_valid": (c_bool, (c_void_p,)),
    "request_by": (c_int, (c_void_p,)),

    "reply_free": (None, (_OUT,)),
    "reply_status": (c_uint, (c_void_p,)),
    "reply_content_type": (c_char_p, (c_void_p,)),
    "reply_body": (c_void_p, (c_void_p, POINTER(c_size_t))),
    "reply_freshness": (c_int, (c_void_p,)),
    "reply_age_ms": (c_uint64, (c_void_p,)),
    "reply_retry_after_ms": (c_uint64, (c_void_p,)),
    "seal": (c_int, (c_void_p, c_char_p, *_BYTES, Sink, c_void_p, _OUT)),
    "open": (c_int, (c_void_p, *_BYTES, Sink, c_void_p, _OUT)),
    "stream_write": (c_int, (c_void_p, *_BYTES)),
    "stream_end": (c_int, (c_void_p,)),
    "stream_message": (c_char_p, (c_void_p,)),
    "stream_free": (None, (_OUT,)),
    "is_envelope": (c_bool, _BYTES),

    "watch_start": (c_int, (c_void_p, _REFS, POINTER(c_char_p), c_size_t,
                            _OUT)),
    "watch_free": (None, (_OUT,)),
    "watch_fd": (c_int, (c_void_p,)),
    "watch_want": (c_short, (c_void_p, POINTER(c_int))),
    "watch_step": (None, (c_void_p,)),
    "watch_take": (c_int, (c_void_p, POINTER(c_size_t), POINTER(c_int))),
    "watch_items": (c_void_p, (c_void_p,)),
    "watch_has_ended": (c_bool, (c_void_p, c_size_t)),
    "watch_message": (c_char_p, (c_void_p,)),
    "reason_name": (c_char_p, (c_int,)),

    "item_free": (None, (_OUT,)),
    "items_free": (None, (_OUT,)),
    "items_count": (c_size_t, (c_void_p,)),
    "items_at": (c_void_p, (c_void_p, c_size_t)),
    "items_freshness": (c_int, (c_void_p,)),
    "items_age_ms": (c_uint64, (c_void_p,)),
    "item_error": (c_int, (c_void_p,)),
    "item_message": (c_char_p, (c_void_p,)),
    "item_ref": (c_char_p, (c_void_p,)),
    "item_id": (c_char_p, (c_void_p,)),
    "item_name": (c_char_p, (c_void_p,)),
    "item_kind": (c_int, (c_void_p,)),
    "item_version": (c_uint64, (c_void_p,)),
    "item_freshness": (c_int, (c_void_p,)),
    "item_age_ms": (c_uint64, (c_void_p,)),
    "item_updated_at_ms": (c_int64, (c_void_p,)),
    "item_expires_at_ms": (c_int64, (c_void_p,)),
    "item_position": (c_void_p, (c_void_p,)),
    "item_changed": (c_bool, (c_void_p,)),
    "item_content": (c_int, (c_void_p,)),
    "item_value": (c_void_p, (c_void_p, POINTER(c_size_t))),

    "stats_free": (None, (_OUT,)),
    "stats_count": (c_size_t, (c_void_p,)),
    "stats_name": (c_char_p, (c_void_p, c_size_t)),
    "stats_type": (c_int, (c_void_p, c_size_t)),
    "stats_uint": (c_uint64, (c_void_p, c_size_t)),
    "stats_text": (c_char_p, (c_void_p, c_size_t)),
}


class Library:
    """lib.get is qapi_agent_get(), and so on; bound when first used, so that
    an older library serves for what it has."""

    def __init__(self, path: Optional[str] = None) -> None:
        self._path = path or os.environ.get("QAPI_AGENT_LIBRARY") or SONAME
        self._dll: Optional[ctypes.CDLL] = None

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(name)
        if self._dll is None:
            try:
                self._dll = ctypes.CDLL(self._path)
            except OSError as e:
                raise ImportError(
                    f"libqapi-agent cannot be loaded: {e}: install it, or "
                    f"name it in QAPI_AGENT_LIBRARY") from e
        try:
            function = getattr(self._dll, "qapi_agent_" + name)
        except AttributeError:
            raise Unsupported(f"this libqapi-agent has no qapi_agent_{name}: "
                              f"install one of this release") from None
        function.restype, function.argtypes = _FUNCTIONS[name]
        setattr(self, name, function)
        return function


lib = Library()


def text(s: Optional[str], what: str) -> Optional[bytes]:
    """A text for C, which would not see what is behind a NUL."""
    if s is None:
        return None
    try:
        data = s.encode("utf-8")
    except UnicodeEncodeError:
        raise error_of(-1, f"{what} is no UTF-8") from None
    if b"\0" in data:
        raise error_of(-1, f"{what} holds a NUL character")
    return data


def string(s: Optional[bytes]) -> Optional[str]:
    """A text of C's."""
    return None if s is None else s.decode("utf-8", "replace")


def copy(pointer: Optional[int], length: int) -> bytes:
    """Bytes of C's."""
    return ctypes.string_at(pointer, length) if pointer and length else b""


def milliseconds(seconds: float, what: str) -> int:
    """A time for C."""
    if seconds < 0 or seconds != seconds:
        raise error_of(-1, f"{what} is less than 0")
    return min(round(seconds * 1000), NEVER - 1)


def free_here(pid: int, name: str, pointer: Any) -> None:
    """Free what has a connection, in the process that made it: in a child of
    fork(2) the connection is still the parent's."""
    if os.getpid() == pid:
        getattr(lib, name)(ctypes.byref(pointer))


def out() -> Any:
    """For a last argument ret."""
    return c_void_p()


__all__ = ["NEVER", "NO_TIME", "POSITION_LEN", "SONAME", "Library", "Sink",
           "copy", "free_here", "lib", "milliseconds", "out", "string", "text"]
