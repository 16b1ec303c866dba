"""What a node says about itself and the connection, in its first frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hello:
    connection: str
    node: str
    user: str | None
    #: Bytes of one WebSocket message.
    max_payload: int
    #: For how long a room remembers a key, in seconds. A node that does not say is trusted for a minute.
    dedup_window: float
    #: After so many seconds of silence the client probes.
    silent_after: float
    limits: Mapping[str, int]


def hello_of(info: Mapping[str, Any]) -> Hello:
    """Raises `KeyError` or `TypeError` where a node says something else."""
    limits = info.get("limits")
    return Hello(
        connection=info["connection"],
        node=info["node"],
        user=info["user"],
        max_payload=int(info["maxPayload"]),
        dedup_window=float(info.get("dedupWindowMs", 60_000)) / 1000,
        silent_after=float(info.get("silentAfterMs", info["heartbeatMs"] * 1.2)) / 1000,
        limits=limits if isinstance(limits, dict) else {},
    )
