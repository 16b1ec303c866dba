"""What a client is given: messages, and what happens to a room. Immutable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, NamedTuple

GapReason = Literal["expired", "forbidden", "limited", "replaced", "skipped"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Position(NamedTuple):
    """Where a reader stands in a room: the life of the room's counter, and the offset of the last message seen."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `offset` is 0 in rooms without history."""

    room: str
    epoch: str
    offset: int
    #: When the node accepted it, in milliseconds since the Unix epoch.
    time_ms: int
    #: The user, the connection of an anonymous client, or None for the server API.
    sender: str | None
    data: Any

    @property
    def position(self) -> Position:
        """What to give as `since` to go on after this message, in another process too."""
        return Position(self.epoch, self.offset)

    @property
    def time(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.time_ms)


@dataclass(frozen=True, slots=True)
class Signal:
    """An ephemeral message: not stored, not numbered, delivered at most once."""

    room: str
    time_ms: int
    sender: str | None
    data: Any


@dataclass(frozen=True, slots=True)
class Gap:
    """
    Messages with these offsets existed and do not follow. `expired` and `forbidden` are loss: history no longer has
    them, or this client may not read it. `history()` can still have the others.
    """

    room: str
    from_offset: int
    to_offset: int
    reason: GapReason

    @property
    def is_loss(self) -> bool:
        return self.reason in ("expired", "forbidden")


@dataclass(frozen=True, slots=True)
class Reset:
    """The room's numbering began anew: what follows has another epoch."""

    room: str
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Joined:
    """The node answered a join: the first one, or one after a reconnect.

    `recovered`: everything after the position of the join follows. `missed`: how many messages that is, where it is known.
    """

    room: str
    epoch: str
    offset: int
    recovered: bool
    missed: int


@dataclass(frozen=True, slots=True)
class Member:
    """A connection in a room. `info` is from its token, `data` is what it says of itself."""

    connection: str
    user: str | None
    info: Any = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Someone joined or left. `who` is None in large rooms: the event then sums up what changed."""

    room: str
    change: str
    who: Member | None
    count: int


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """A member changed its presence data."""

    room: str
    who: Member


@dataclass(frozen=True, slots=True)
class Removed:
    """The node ended the membership. The last event of a room."""

    room: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The loop that reads this room was too slow: so many events that cannot be had again were dropped.

    Messages of rooms with history are not among them: those are read again.
    """

    room: str
    count: int


Event = Message | Signal | Gap | Reset | Joined | MemberChange | PresenceChange | Removed | Skipped


@dataclass(frozen=True, slots=True)
class Published:
    """The message is stored. `duplicate`: an earlier publish with this key had stored it. Offset 0: the room keeps no history."""

    epoch: str
    offset: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a room. `next` is for the `after` of the next page."""

    count: int
    users: int
    members: tuple[Member, ...]
    truncated: bool = False
    next: str | None = None


@dataclass(frozen=True, slots=True)
class MemberList:
    """Who is in a room, kept up to date: replaced whole when it changes.

    `count` counts connections, those that are not listed included. `partial`: the room is too large to list, and `members` is empty.
    """

    members: tuple[Member, ...] = ()
    count: int = 0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """The server made this client a member of a room. `position` is where the room stands: what comes next is after it."""

    room: str
    position: Position


@dataclass(frozen=True, slots=True)
class History:
    """Stored messages, oldest first, and where the room stands."""

    epoch: str
    offset: int
    messages: tuple[Message, ...]
