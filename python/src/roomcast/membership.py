"""A room that this client is in, or wants to be in: where it stands, and who reads it. It outlives connections. Decides only."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import RemovedFromRoom, RoomcastError
from .events import Event, Gap, Joined, MemberChange, MemberList, Message, Position, PresenceChange, Removed, Reset
from .frames import event_of
from .member_list import NOBODY, after_member, after_presence, from_snapshot
from .reader import Reader


class Membership:
    def __init__(
        self,
        room: str,
        *,
        last: int | None = None,
        since: Position | None = None,
        resume: bool = False,
        data: Any = None,
        members: bool = False,
    ) -> None:
        self.room = room
        #: Presence data of this connection in the room; each join carries it.
        self.data = data
        #: Whether the list of members is kept: each join asks for it.
        self.is_list_wanted = members
        #: As old as the last join in rooms without member events, and `NOBODY` where nobody wants it.
        self.members = NOBODY
        #: Why there is no list; None: there is one, or it is on its way.
        self.list_failure: RoomcastError | None = None
        #: How many handles use it.
        self.holds = 0
        #: The epoch and offset of the last message seen; None before the first join is answered.
        self.position: Position | None = None
        #: Whether the join on the present connection was answered. Pushes before that belong to a membership that has ended.
        self.is_in = False
        #: Joins that the node refused for a while, one after the other.
        self.attempts = 0
        #: Its client was closed by its owner.
        self.is_finished = False
        #: Why it is over, for good.
        self.failure: RoomcastError | None = None
        self._last = last
        self._since = since
        self._resume = resume
        self._readers: set[Reader] = set()
        self._ready: list[asyncio.Future[None]] = []
        self._watchers: list[asyncio.Future[None]] = []

    # ---- joining ------------------------------------------------------------------------------------------

    def join_options(self) -> dict[str, Any]:
        """Of the next join. `last` and `resume` are for the first one: after that the position says where to go on."""
        options: dict[str, Any] = {}
        if self.position is not None and self.position.epoch != "":
            options["since"] = list(self.position)
        else:
            # A room without history has no position either: `last` brings what stands there now, each time.
            if self._since is not None:
                options["since"] = list(self._since)
            if self._resume:
                options["resume"] = True
            if self._last is not None:
                options["last"] = self._last
        if self.data is not None:
            options["data"] = self.data
        if self.is_list_wanted:
            options["members"] = True
        return options

    def list_options(self) -> dict[str, Any]:
        """Of a join again in place, by a member who wants the list."""
        has_position = self.position is not None and self.position.epoch != ""
        return {**({"since": list(self.position or ())} if has_position else {}), "members": True}

    def joined(self, result: Mapping[str, Any]) -> None:
        """The node answered a join with `ok`."""
        is_first = self.position is None
        start = self._start_of(result)
        self.position = start
        self.is_in = True
        self.attempts = 0
        self._listed(result)
        for reader in self._readers:
            if is_first:
                reader.start(start)
            else:
                reader.moved(start)
        epoch, offset = result["epoch"], result["offset"]
        missed = max(offset - start.offset, 0) if start.epoch == epoch else 0
        event = Joined(self.room, epoch, offset, bool(result.get("recovered")), missed)
        for reader in self._readers:
            reader.push(event, 0, start)
        self._settle_ready(None)

    def _start_of(self, result: Mapping[str, Any]) -> Position:
        """The position right after a join, by the rules of the protocol."""
        epoch, offset = result["epoch"], result["offset"]
        if self.position is None and result.get("from") is not None:
            return Position(epoch, result["from"])
        known = self.position or self._since
        if known is not None:
            return known if known.offset > 0 else Position(epoch, 0)
        if self._resume and result.get("acked") is not None:
            return Position(epoch, result["acked"])
        return Position(epoch, offset)

    def disconnected(self) -> None:
        self.is_in = False
        self.attempts = 0

    async def ready(self) -> None:
        """Waits for the first join to be answered. Raises what ended the membership."""
        if self.position is None or self.failure is not None:
            await self.entered()

    async def entered(self) -> None:
        """Waits until it is in the room on the present connection. Raises what ended the membership."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)
        if not self.is_in:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._ready.append(waiter)
            await waiter

    # ---- members ------------------------------------------------------------------------------------------

    def list_answered(self, result: Any, error: Exception | None) -> None:
        """The node answered the join that asks for the list alone."""
        if error is None:
            self._listed(result)
        elif isinstance(error, RoomcastError):
            self.list_failure = error
            self.wake_watchers()

    def _listed(self, result: Mapping[str, Any]) -> None:
        if result.get("members") is not None:
            self._set_members(from_snapshot(result["members"]))

    def _change_members(self, event: Event | None) -> None:
        """Without a list there is nothing to change."""
        if self.members is NOBODY:
            return
        if isinstance(event, MemberChange):
            self._set_members(after_member(self.members, event))
        elif isinstance(event, PresenceChange):
            self._set_members(after_presence(self.members, event))

    def _set_members(self, members: MemberList) -> None:
        self.members = members
        self.list_failure = None
        self.wake_watchers()

    async def members_changed(self) -> None:
        """Waits for the next list, or for the end."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.append(watcher)
        try:
            await watcher
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    def wake_watchers(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)

    # ---- readers ------------------------------------------------------------------------------------------

    def add(self, reader: Reader, since: Position | None, newest: int | None) -> None:
        """`since` and `newest`: where a reader begins that comes later than the first join."""
        self._readers.add(reader)
        if self.position is not None:
            reader.start(self.position, since, newest)

    def remove(self, reader: Reader) -> None:
        self._readers.discard(reader)

    # ---- pushes -------------------------------------------------------------------------------------------

    def push(self, frame: Sequence[Any], size: int) -> None:
        """The position moves before anyone reads the event, and repeats are dropped by offset."""
        if not self.is_in or self.position is None:
            return
        if frame[0] == "removed":
            self._removed(str(frame[2]))
            return
        if frame[0] == "members":
            self._set_members(from_snapshot(frame[2]))
            return
        event = event_of(frame, self.position.epoch)
        self._change_members(event)
        if isinstance(event, Gap) and event.from_offset <= self.position.offset:
            # What came before a join in place was answered comes again, conflated.
            event = dataclasses.replace(event, from_offset=self.position.offset + 1)
        if event is None or not self._move(event):
            return
        for reader in self._readers:
            reader.push(event, size, self.position)

    def _move(self, event: object) -> bool:
        """Whether the event is new."""
        assert self.position is not None
        if isinstance(event, Message) and event.offset > 0:
            if event.offset <= self.position.offset:
                return False
            self.position = event.position
        elif isinstance(event, Gap):
            if event.to_offset <= self.position.offset:
                return False
            self.position = Position(self.position.epoch, event.to_offset)
        elif isinstance(event, Reset):
            self.position = Position(event.epoch, event.offset)
        return True

    # ---- the end ------------------------------------------------------------------------------------------

    def _removed(self, reason: str) -> None:
        assert self.position is not None
        for reader in self._readers:
            reader.push(Removed(self.room, reason), 0, self.position)
        self.fail(RemovedFromRoom(self.room, reason))

    def fail(self, error: RoomcastError) -> None:
        """It is over: loops that read the room get what is there, then the error."""
        self.is_in = False
        self.failure = error
        self.wake_watchers()
        self._settle_ready(error)
        for reader in self._readers:
            reader.end(error)

    def finish(self) -> None:
        """The client was closed by its owner: loops that read the room end."""
        self.is_finished = True
        for reader in self._readers:
            reader.end(None)

    def _settle_ready(self, error: RoomcastError | None) -> None:
        ready, self._ready = self._ready, []
        for waiter in ready:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
