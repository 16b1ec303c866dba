"""Why a connection, or an attempt to make one, ended, and what follows from that."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from .errors import redacted

TOKEN_EXPIRED = 4002
UNAUTHORIZED = 4501
TOKEN_REVOKED = 4505
#: The same message would fail again.
_FINAL_BELOW_4000 = (1007, 1009)


@dataclass(frozen=True)
class Ending:
    reason: str
    #: The close code; None where the link broke or never came about.
    code: int | None = None
    #: Seconds that the node told the client to wait.
    retry_after: float | None = None
    #: The HTTP status of a refused upgrade.
    status: int | None = None

    @property
    def is_final(self) -> bool:
        """The range of the close code decides, so that codes that this client has never seen are obeyed."""
        if self.status == 401:
            return True
        return self.code is not None and (4500 <= self.code <= 4999 or self.code in _FINAL_BELOW_4000)

    @property
    def is_unauthorized(self) -> bool:
        return self.code in (UNAUTHORIZED, TOKEN_REVOKED) or self.status == 401

    @property
    def is_token_revoked(self) -> bool:
        """Final, unless there is another token."""
        return self.code == TOKEN_REVOKED

    @property
    def is_token_expired(self) -> bool:
        return self.code == TOKEN_EXPIRED


def ending_of(error: BaseException) -> Ending:
    """The end that an error of an attempt means. None of them is final but 401: a proxy may answer anything while it starts."""
    if isinstance(error, InvalidStatus):
        response = error.response
        status = response.status_code
        return Ending(f"the upgrade was refused with HTTP status {status}", None, _seconds(response.headers), status)
    if isinstance(error, ConnectionClosed):
        return closed(error, None, None)
    if isinstance(error, InvalidHandshake):
        return Ending(f"what answered is no Roomcast node ({type(error).__name__})")
    if isinstance(error, TimeoutError):
        return Ending("no answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        todo = 'for an authority of your own pass ssl=ssl.create_default_context(cafile="ca.pem")'
        return Ending(f"TLS failed: {error.reason or type(error).__name__}: {error.verify_message}: {todo}")
    if isinstance(error, ssl.SSLError):
        return Ending(f"TLS failed: {error.reason or type(error).__name__}")
    return Ending(redacted(f"{type(error).__name__}: {error}"))


def closed(error: ConnectionClosed, said: str | None, retry_after: float | None) -> Ending:
    """`said`: the last error that the node reported for the whole connection. `retry_after`: what it told before it closed."""
    if error.rcvd is None:
        return Ending(said or "the link broke", None, retry_after)
    text = said or error.rcvd.reason or "no reason given"
    return Ending(redacted(f"closed with {error.rcvd.code}: {text}"), error.rcvd.code, retry_after)


def _seconds(headers: object) -> float | None:
    told = headers.get("Retry-After") if hasattr(headers, "get") else None
    return float(told) if isinstance(told, str) and told.isdigit() and len(told) < 7 else None
