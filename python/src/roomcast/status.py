"""How the client is doing, as a snapshot that is replaced whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["connecting", "connected", "waiting", "closed"]


@dataclass(frozen=True, slots=True)
class Status:
    state: State
    #: Where it connects or is connected to, without query.
    url: str = ""
    #: Attempts since the last connection that held.
    attempt: int = 0
    #: Why the last connection or attempt ended.
    reason: str = ""
    #: Seconds from the change to `waiting` until the next attempt.
    retry_in: float | None = None
    #: Ids of the connection and its node, and the user, while connected.
    connection: str | None = None
    node: str | None = None
    user: str | None = None
