"""What can go wrong, by the names that qapi-agent gives it everywhere."""

from typing import Dict, Optional, Type


class AgentError(Exception):
    """Any of them. name: stable, as "not-found"; number: the library's, < 0;
    message: a sentence about what happened and what to do, without any value;
    ref: what it was about, if one reference was asked for."""

    name = "internal"
    number = -15

    def __init__(self, message: str, ref: Optional[str] = None) -> None:
        super().__init__(message or self.name)
        self.message = message
        self.ref = ref


class BadRequest(AgentError, ValueError):
    """A malformed reference or argument."""

    name, number = "bad-request", -1


class NotFound(AgentError, LookupError):
    """No such secret or key, or no such field of it."""

    name, number = "not-found", -2


class Ambiguous(AgentError, LookupError):
    """Several things have this name."""

    name, number = "ambiguous", -3


class Denied(AgentError, PermissionError):
    """The agent's policy, or the service, does not allow this."""

    name, number = "denied", -4


class Expired(AgentError):
    """Past its expiry, and the service has no newer value."""

    name, number = "expired", -5


class Unauthorized(AgentError):
    """The service refuses the agent's API key."""

    name, number = "unauthorized", -6


class InsufficientScope(AgentError):
    """The agent's API key lacks a scope."""

    name, number = "insufficient-scope", -7


class RateLimited(AgentError):
    """Asked too often."""

    name, number = "rate-limited", -8


class UpstreamUnavailable(AgentError):
    """The service cannot be reached, and nothing usable is cached."""

    name, number = "upstream-unavailable", -9


class UpstreamError(AgentError):
    """The service answered completely, but wrongly."""

    name, number = "upstream-error", -10


class TooLarge(AgentError, ValueError):
    """Over a limit."""

    name, number = "too-large", -11


class Busy(AgentError):
    """The agent has no room."""

    name, number = "busy", -12


class Timeout(AgentError, TimeoutError):
    """No answer in time."""

    name, number = "timeout", -13


class Unsupported(AgentError):
    """Agent, library and this package do not match."""

    name, number = "unsupported", -14


class Internal(AgentError):
    """A fault of the agent."""

    name, number = "internal", -15


class NoMemory(AgentError, MemoryError):
    """Out of memory here."""

    name, number = "out-of-memory", -100


class Closed(AgentError, ConnectionError):
    """The agent hung up, and what was asked may or may not have been done."""

    name, number = "closed", -102


class Unreachable(AgentError, ConnectionError):
    """No agent at the socket."""

    name, number = "unreachable", -103


_BY_NUMBER: Dict[int, Type[AgentError]] = {
    c.number: c for c in (
        BadRequest, NotFound, Ambiguous, Denied, Expired, Unauthorized,
        InsufficientScope, RateLimited, UpstreamUnavailable, UpstreamError,
        TooLarge, Busy, Timeout, Unsupported, Internal, NoMemory, Closed,
        Unreachable)}


def error_of(number: int, message: str,
             ref: Optional[str] = None) -> AgentError:
    """The exception that goes with a number of the library's."""
    return _BY_NUMBER.get(number, Internal)(message, ref)
