"""Frames as bytes and back: MessagePack arrays, one after the other in a WebSocket message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from .errors import Refused, RoomcastError
from .events import (
    Event,
    Gap,
    GapReason,
    History,
    Member,
    MemberChange,
    Message,
    PresenceChange,
    Published,
    Reset,
    Signal,
)

SUBPROTOCOL = "roomcast.v1.msgpack"

_GAP_REASONS: Mapping[object, GapReason] = {
    "expired": "expired",
    "forbidden": "forbidden",
    "limited": "limited",
    "replaced": "replaced",
    "skipped": "skipped",
}


#: An array of five, and the type.
_PUBLISH = b"\x95\xa7publish"


class BadFrame(RoomcastError):
    """The other end sent what is not a frame of the protocol."""


def pack(value: Any) -> bytes:
    """MessagePack of any value. Dates need a time zone; a value that cannot be packed raises `TypeError` or `ValueError`."""
    packed: bytes = msgpack.packb(value, datetime=True)
    return packed


def encode(frame: Sequence[Any]) -> bytes:
    return pack(list(frame))


def publish_body(room: str, data: bytes, options: Mapping[str, Any]) -> bytes:
    """What follows the id in a publish, around data that is packed already."""
    return b"".join((pack(room), data, pack(dict(options))))


def encode_publish(number: int, body: bytes) -> bytes:
    return b"".join((_PUBLISH, pack(number), body))


def decode(message: bytes | str) -> list[tuple[list[Any], int]]:
    """The frames of a WebSocket message, each with its size in bytes. Raises `BadFrame`."""
    if isinstance(message, str):
        raise BadFrame(f"a text message of {len(message)} characters where MessagePack was agreed on")
    try:
        return _decode(message, timestamp=3)
    except (OverflowError, ValueError):
        pass
    # Either it is no MessagePack, or it holds a date beyond what `datetime` can express: that stays a `msgpack.Timestamp`.
    try:
        return _decode(message, timestamp=0)
    except (ValueError, msgpack.UnpackException) as error:
        raise BadFrame(f"undecodable MessagePack ({type(error).__name__})") from None


def _decode(message: bytes, timestamp: int) -> list[tuple[list[Any], int]]:
    unpacker = msgpack.Unpacker(raw=False, timestamp=timestamp, max_buffer_size=max(len(message), 1))
    unpacker.feed(message)
    frames: list[tuple[list[Any], int]] = []
    start = 0
    for frame in unpacker:
        if not isinstance(frame, list) or not frame or not isinstance(frame[0], str):
            raise BadFrame("a frame that is not an array with a type")
        end = unpacker.tell()
        frames.append((frame, end - start))
        start = end
    if start != len(message):
        raise BadFrame("a frame that is cut short")
    return frames


def event_of(frame: Sequence[Any], epoch: str) -> Event | None:
    """The event that a push means, or None for one that is not about a room or not known to this version."""
    kind = frame[0]
    if kind == "message":
        return message_of(frame, epoch)
    if kind == "signal":
        return Signal(frame[1], frame[2], frame[3], frame[4])
    if kind == "gap":
        return Gap(frame[1], frame[2], frame[3], _GAP_REASONS.get(_at(frame, 4), "expired"))
    if kind == "reset":
        return Reset(frame[1], frame[2], frame[3])
    if kind == "member":
        return MemberChange(frame[1], frame[2], None if frame[3] is None else member_of(frame[3]), frame[4])
    if kind == "presence":
        return PresenceChange(frame[1], member_of(frame[2]))
    return None


def message_of(frame: Sequence[Any], epoch: str) -> Message:
    return Message(frame[1], epoch, frame[2], frame[3], frame[4], frame[5])


def member_of(who: Mapping[str, Any]) -> Member:
    return Member(who["connection"], who.get("user"), who.get("info"), who.get("data"))


def history_of(result: Mapping[str, Any]) -> History:
    epoch = result["epoch"]
    return History(epoch, result["offset"], tuple(message_of(frame, epoch) for frame in result["messages"]))


def published_of(result: Mapping[str, Any]) -> Published:
    return Published(result["epoch"], result["offset"], bool(result.get("duplicate")))


def refusal_of(frame: Sequence[Any]) -> Refused:
    """The error of an `error` frame."""
    details = _at(frame, 4)
    return Refused(str(_at(frame, 2)), str(_at(frame, 3)), retry_after_of(details), limit_of(details))


def limit_of(details: Any) -> str | None:
    """The setting of the limit that was reached, or None where the node names none."""
    limit = details.get("limit") if isinstance(details, dict) else None
    return limit if isinstance(limit, str) else None


def retry_after_of(details: Any, field: str = "retryAfterMs") -> float | None:
    """Seconds, or None where there is no sensible number of milliseconds."""
    told = details.get(field) if isinstance(details, dict) else None
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not 0 <= told < 2**53:
        return None
    return told / 1000


def _at(frame: Sequence[Any], index: int) -> Any:
    return frame[index] if len(frame) > index else None
