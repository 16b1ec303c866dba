"""A room that this client is in, or wants to be in: where it stands, and who reads it. It outlives connections. Decides only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import RemovedFromRoom, RoomcastError
from .events import Gap, Joined, Message, Position, Removed, Reset
from .frames import event_of
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
    ) -> None:
        self.room = room
        #: Presence data of this connection in the room; each join carries it.
        self.data = data
        #: How many handles use it.
        self.holds = 0
        #: The epoch and offset of the last message seen; None before the first join is answered.
        self.position: Position | None = None
        #: Whether the join on the present connection was answered. Pushes before that belong to a membership that has ended.
        self.is_in = False
        #: Joins that the node refused for a while, one after the other.
        self.attempts = 0
        #: Why it is over, for good.
        self.failure: RoomcastError | None = None
        self._last = last
        self._since = since
        self._resume = resume
        self._readers: set[Reader] = set()
        self._ready: list[asyncio.Future[None]] = []

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
        return options

    def joined(self, result: Mapping[str, Any]) -> None:
        """The node answered a join with `ok`."""
        is_first = self.position is None
        start = self._start_of(result)
        self.position = start
        self.is_in = True
        self.attempts = 0
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
        event = event_of(frame, self.position.epoch)
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
        self._settle_ready(error)
        for reader in self._readers:
            reader.end(error)

    def finish(self) -> None:
        """The client was closed by its owner: loops that read the room end."""
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
