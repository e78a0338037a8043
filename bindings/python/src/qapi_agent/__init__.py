"""Secrets and keys from the local qapi-agent.

    import qapi_agent

    with qapi_agent.Agent() as agent:
        with agent.get("qapi://secrets/db/prod/password") as password:
            connect(password.text)
"""

from . import _lib, aio
from .agent import Agent, is_envelope
from .calls import Listing, Reply, Verification
from .errors import (
    AgentError, Ambiguous, BadRequest, Busy, Closed, Denied, Expired,
    InsufficientScope, Internal, NoMemory, NotFound, RateLimited, Timeout,
    TooLarge, Unauthorized, Unreachable, Unsupported, UpstreamError,
    UpstreamUnavailable)
from .items import Item
from .watch import Event, Watch

__version__ = "0.1.0"


def library_version() -> str:
    """Of libqapi-agent, as "0.1.0"."""
    return str(_lib.lib.version().decode())


__all__ = [
    "Agent", "AgentError", "Ambiguous", "BadRequest", "Busy", "Closed",
    "Denied", "Event", "Expired", "InsufficientScope", "Internal", "Item",
    "Listing", "NoMemory", "NotFound", "RateLimited", "Reply", "Timeout",
    "TooLarge", "Unauthorized", "Unreachable", "Unsupported",
    "UpstreamError", "UpstreamUnavailable", "Verification", "Watch", "aio",
    "is_envelope", "library_version"]
