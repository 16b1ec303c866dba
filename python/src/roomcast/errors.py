"""What can go wrong, one class for each thing that a caller may want to handle. No text here ever holds a token."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: A JSON Web Token: three parts of base64url, the first of which begins with `{"`.
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class RoomcastError(Exception):
    """The base of all errors of this package."""


class Refused(RoomcastError):
    """The node answered a command with an error.

    `code` is one of the protocol's error codes (`forbidden`, `bad_room`, …), `retry_after` the seconds to wait where waiting helps,
    `limit` the setting of the limit that was reached, such as `limits.commandsPerSecond`. The last two are None where the node says nothing.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None, limit: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.limit = limit


class Closed(RoomcastError):
    """The client is closed: by `close()`, or by a node that told it to stay away (`code` is the close code then)."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Unauthorized(Closed):
    """The token is not accepted. A `get_token` that raises this ends the client: it is not asked again."""

    def __init__(self, reason: str = "not authorized", code: int | None = None) -> None:
        super().__init__(reason, code)


class PublishUnknown(RoomcastError):
    """It is unknown whether the message was stored, and publishing it again would no longer be safe.

    It was sent, the link ended before the answer, and the node forgets keys after `hello.dedupWindowMs`.
    """


class QueueFull(RoomcastError):
    """The client is offline and its queue of publishes is full. This message was not taken."""


class PayloadTooLarge(RoomcastError):
    """The message is larger than the node takes (`hello.maxPayload`). It was not sent."""


class RemovedFromRoom(RoomcastError):
    """The node ended the membership. `reason` is for people. Enter the room again to join it again."""

    def __init__(self, room: str, reason: str) -> None:
        super().__init__(f"removed from {room}: {reason}")
        self.room = room
        self.reason = reason


class LinkLost(RoomcastError):
    """One connection ended. The client comes back by itself; callers never see this."""


def redacted(text: str) -> str:
    """The text without anything that looks like a token."""
    return _TOKEN.sub("***", text)


def safe_url(url: str) -> str:
    """The URL as it may appear in logs: without user, password and query, where tokens can be."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
