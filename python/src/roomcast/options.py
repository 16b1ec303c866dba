"""What a client is told when it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .backoff import Backoff
from .errors import safe_url

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


@dataclass(frozen=True)
class Timing:
    """Seconds, and where time and chance come from."""

    #: For the upgrade, the token and `hello` together.
    open: float = 10.0
    #: For an answer to a probe.
    probe: float = 5.0
    #: For a close handshake; then the link is cut.
    close: float = 1.0
    #: A connection that lasted so long begins the backoff anew.
    stable: float = 5.0
    #: Between two looks at the clock: a process that slept notices within this.
    tick: float = 5.0
    #: Between two refreshes of a token, at least.
    least_refresh: float = 2.0
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random


@dataclass(frozen=True)
class Options:
    urls: tuple[str, ...]
    backoff: Backoff = Backoff()
    queue_count: int = 1000
    queue_bytes: int = 1024 * 1024
    in_flight: int = 64
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Further arguments of `websockets.asyncio.client.connect`.
    websocket: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing = Timing()


def node_urls(url: str | Sequence[str]) -> tuple[str, ...]:
    """The URLs of the nodes, checked. `http` means `ws`; a URL without a path means `/ws`, where nodes listen."""
    urls = (url,) if isinstance(url, str) else tuple(url)
    if not urls:
        raise ValueError("give at least one URL")
    return tuple(map(_node_url, urls))


def _node_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        # Without `//` the host would pass for a scheme: `localhost:8080` is to be shown as it was given.
        given = safe_url(url) if "//" in url else url.partition("?")[0].rpartition("@")[2]
        raise ValueError(f"a node's URL looks like ws://localhost:8080/ws, not {given!r}")
    path = "/ws" if parts.path in ("", "/") else parts.path
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
