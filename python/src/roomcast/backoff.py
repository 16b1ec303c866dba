"""How long to wait before the next attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Full jitter: anything from 0 to a limit that doubles with each attempt, so that a crowd does not come back at once."""

    #: The limit of the first wait, in seconds.
    base: float = 0.5
    #: The limit that no wait exceeds, in seconds.
    cap: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap:
            raise ValueError(f"a backoff needs 0 < base <= cap, not base={self.base}, cap={self.cap}")

    def seconds(self, attempt: int, random: Callable[[], float]) -> float:
        """`attempt` counts from 0; `random` returns a number from 0 up to 1."""
        return random() * min(self.cap, self.base * 2.0 ** min(attempt, 60))


def reconnect_seconds(backoff: Backoff, attempt: int, told: float | None, random: Callable[[], float]) -> float:
    """The wait before a reconnect. What a node told comes first; jitter is added where it told all clients the same."""
    waited = backoff.seconds(attempt, random)
    return waited if told is None else told + min(waited, told, 1.0)
