"""The token of a client: where it comes from, when it is replaced, and how it stays out of every text."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Literal

from .ending import TOKEN_REVOKED
from .errors import LinkLost, RoomcastError, Unauthorized, redacted

TokenReason = Literal["connect", "refresh", "expired", "revoked"]
GetToken = Callable[[TokenReason], str | Awaitable[str]]

#: A token is replaced when so much of its life is over.
REFRESH_AT = 0.8


class Secret:
    """A token that prints as stars."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


class TokenUnavailable(LinkLost):
    """The callable failed. It is asked again with the next attempt."""


class Tokens:
    """One source of tokens: a fixed one, a callable, or none. The callable is never called twice at once."""

    def __init__(
        self,
        token: str | None,
        get_token: GetToken | None,
        now: Callable[[], float],
        least_refresh: float = 2.0,
        patience: float = 30.0,
    ) -> None:
        """`now`: seconds since the Unix epoch.

        `least_refresh`: seconds between two refreshes, at least, however wrong a clock is. `patience`: seconds for one call.
        """
        if token is not None and get_token is not None:
            raise ValueError("give token or get_token, not both")
        if token is not None and (not isinstance(token, str) or token == ""):
            raise ValueError("token must be a string that is not empty")
        self._get_token = get_token
        self._now = now
        self._least_refresh = least_refresh
        self._patience = patience
        self._current = None if token is None else Secret(token)
        self._revoked: Secret | None = None
        self._expires_at: float | None = None
        self._accepted_at = 0.0
        self._reason: TokenReason = "connect"
        self._asking = asyncio.Lock()

    @property
    def can_refresh(self) -> bool:
        return self._get_token is not None

    async def current(self) -> Secret | None:
        """For a new connection: the one at hand while it is good, else a fresh one."""
        if self._get_token is None:
            return self._current
        if self._current is not None and not self._is_due():
            return self._current
        return await self.fresh(self._reason if self._current is None else "refresh")

    async def fresh(self, reason: TokenReason) -> Secret:
        """Asks the callable. Raises `Unauthorized` where that does, which is final, and `TokenUnavailable` for its other errors."""
        assert self._get_token is not None
        async with self._asking:
            try:
                answer = self._get_token(reason)
                value = await asyncio.wait_for(answer, self._patience) if inspect.isawaitable(answer) else answer
            except RoomcastError:
                raise
            except (TimeoutError, asyncio.TimeoutError):
                raise TokenUnavailable(f"get_token did not answer within {self._patience:g} s") from None
            except Exception as error:
                text = redacted(f"{type(error).__name__}: {error}")
                raise TokenUnavailable(f"get_token failed with {text}") from None
        if not isinstance(value, str) or value == "":
            raise TypeError(f"get_token must return a string that is not empty, not {type(value).__name__}")
        if self._revoked is not None and value == self._revoked.reveal():
            raise Unauthorized("the server has revoked the token, and get_token gave the same one again", TOKEN_REVOKED)
        self._current = Secret(value)
        self._expires_at = None
        return self._current

    def accepted(self, expires_at_ms: float | None) -> None:
        """The node took the present token and said when it ends. An end that is past already means that this clock is wrong."""
        self._accepted_at = self._now()
        ends = None if expires_at_ms is None else expires_at_ms / 1000
        self._expires_at = ends if ends is not None and ends > self._accepted_at else None
        self._reason = "connect"

    def expired(self) -> None:
        """The node says that the present token has expired. Raises `Unauthorized` where there is no way to another."""
        if self._get_token is None:
            raise Unauthorized("the token has expired; give get_token to replace tokens in time", 4002)
        self._current = None
        self._reason = "expired"

    def revoked(self) -> bool:
        """The server has revoked the present token: the next connection asks for another. False where there can be none."""
        if self._get_token is None:
            return False
        self._revoked = self._current
        self._current = None
        self._reason = "revoked"
        return True

    def refresh_in(self) -> float | None:
        """Seconds until the present token should be replaced; None where it never has to, or cannot be."""
        if self._get_token is None or self._expires_at is None:
            return None
        life = self._expires_at - self._accepted_at
        return max(self._accepted_at + life * REFRESH_AT - self._now(), self._least_refresh)

    def _is_due(self) -> bool:
        if self._expires_at is None:
            return False
        return self._now() >= self._accepted_at + (self._expires_at - self._accepted_at) * REFRESH_AT

    def __repr__(self) -> str:
        return "Tokens(***)"
