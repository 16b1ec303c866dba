"""What one loop reads of one room: a bounded queue between the connection, which never waits, and the loop, which may be slow.

When the queue is full, messages of rooms with history are left out and read from history once the loop has caught up. Nothing is lost
that the room still keeps, and memory stays bounded. What cannot be had again is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from .errors import RoomcastError
from .events import Event, Gap, History, Joined, Message, Position, Removed, Reset, Skipped

#: Reads a page of the room's history: messages after a position, at most so many.
ReadHistory = Callable[[Position, int], Awaitable[History]]

#: Messages of a page, which a queue holds beside its own. A node sends about 1 MiB of them at most.
_PAGE = 100


class Reader:
    def __init__(self, room: str, max_count: int, max_bytes: int, read_history: ReadHistory) -> None:
        if max_count < 1:
            raise ValueError(f"buffer must be at least 1, not {max_count}")
        self._room = room
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._read_history = read_history
        self._events: deque[tuple[Event, int]] = deque()
        self._bytes = 0
        #: After the last message that is in the queue or was read. What is not after it is not put in again.
        self._position: Position | None = None
        #: Where the membership stands, which may be further.
        self._live: Position | None = None
        #: Messages between the two are to be read from history.
        self._is_behind = False
        #: Whether what history lacks at the beginning is missing. Not for who asked for the newest: that named no position.
        self._is_owed_all = True
        self._skipped = 0
        self._end: RoomcastError | None = None
        self._is_over = False
        self._wake: asyncio.Future[None] | None = None

    @property
    def position(self) -> Position | None:
        return self._position

    # ---- from the connection ------------------------------------------------------------------------------

    def start(self, live: Position, since: Position | None = None, newest: int | None = None) -> None:
        """Begins at the membership's position, or further back: what lies between is read from history."""
        self._live = live
        if since is None and newest is not None:
            since = Position(live.epoch, max(live.offset - newest, 0))
            self._is_owed_all = False
        self._position = since or live
        self._is_behind = self._position != live
        self._wake_up()

    def moved(self, live: Position) -> None:
        """The membership took a position that no event tells of: the epoch of a room that was empty when it was joined."""
        if not self._is_behind and (self._position is None or self._position.offset <= live.offset):
            self._position = live
        self._live = live

    def push(self, event: Event, size: int, live: Position) -> None:
        """`live`: where the membership stands after this event. Never waits."""
        self._live = live
        if isinstance(event, Removed):
            self._append(event, size)
        elif self._is_behind or (self._is_full(size) and not isinstance(event, (Gap, Reset))):
            self._leave_out(event)
        elif not (isinstance(event, Message) and self._has(event)):
            self._append(event, size)

    def end(self, error: RoomcastError | None) -> None:
        """Nothing more follows. What is in the queue can still be read; after that comes the error, or the end."""
        if not self._is_over:
            self._is_over = True
            self._end = error
            self._wake_up()

    # ---- to the loop --------------------------------------------------------------------------------------

    async def next(self) -> Event | None:
        """The next event, or None at the end. Raises what ended the reading otherwise."""
        while True:
            if self._events:
                event, size = self._events.popleft()
                self._bytes -= size
                return event
            if self._skipped > 0:
                skipped, self._skipped = self._skipped, 0
                return Skipped(self._room, skipped)
            if self._is_over:
                if self._end is not None:
                    raise self._end.with_traceback(None)
                return None
            if self._is_behind:
                await self._catch_up()
            else:
                await self._woken()

    async def _catch_up(self) -> None:
        before = self._position
        assert before is not None
        assert self._live is not None
        page = await self._read_history(before, _PAGE)
        self._take(page)
        if self._stands_at(self._live):
            self._is_behind = False
        elif self._position == before:
            # The connection knows of something that the store does not have: it lost writes, and a reset is on its way.
            await self._woken()

    def _take(self, page: History) -> None:
        first = page.messages[0].offset if page.messages else page.offset + 1
        stands = self._position or Position(page.epoch, 0)
        if stands.epoch != page.epoch and stands.offset > 0:
            self._append(Reset(self._room, page.epoch, first - 1), 0)
        elif stands.offset + 1 < first and self._is_owed_all:
            self._append(Gap(self._room, stands.offset + 1, first - 1, "expired"), 0)
        else:
            self._position = Position(page.epoch, max(stands.offset, first - 1))
        self._is_owed_all = True
        for message in page.messages:
            self._append_page(message)

    def _append_page(self, message: Message) -> None:
        assert self._position is not None
        offset = self._position.offset
        if message.offset <= offset:
            return
        if message.offset > offset + 1:
            self._append(Gap(self._room, offset + 1, message.offset - 1, "replaced"), 0)
        self._append(message, 0)

    def _leave_out(self, event: Event) -> None:
        """There is no room for it. History has messages, and tells of gaps and resets; a later join is as good as this one."""
        if isinstance(event, Message) and event.offset > 0:
            self._is_behind = True
        elif not isinstance(event, (Gap, Reset, Joined)):
            self._skipped += 1
        self._wake_up()

    def _stands_at(self, live: Position) -> bool:
        assert self._position is not None
        return self._position.epoch == live.epoch and self._position.offset >= live.offset

    def _has(self, message: Message) -> bool:
        """Whether history has brought it already."""
        stands = self._position
        return (
            message.offset > 0
            and stands is not None
            and stands.epoch == message.epoch
            and message.offset <= stands.offset
        )

    def _is_full(self, size: int) -> bool:
        return len(self._events) >= self._max_count or (self._bytes > 0 and self._bytes + size > self._max_bytes)

    def _append(self, event: Event, size: int) -> None:
        if isinstance(event, Message):
            if event.offset > 0:
                self._position = event.position
        elif isinstance(event, Gap):
            self._position = Position(self._position.epoch if self._position else "", event.to_offset)
        elif isinstance(event, Reset):
            self._position = Position(event.epoch, event.offset)
        self._events.append((event, size))
        self._bytes += size
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _woken(self) -> None:
        if self._wake is not None and not self._wake.done():
            raise RuntimeError(f"two loops read {self._room} through one handle; let each call room() for its own")
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None
