"""A handle on a room: what an application reads, publishes and asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .errors import LinkLost
from .events import Event, Gap, History, MemberList, Members, Message, Position, Published, Reset, Skipped
from .frames import history_of
from .member_list import NOBODY
from .membership import Membership
from .reader import Reader
from .session import Session, log

if TYPE_CHECKING:
    from .client import Client


class Room:
    """Made by `Client.room`. It is in the room while it is entered (`async with`), or while a loop reads it (`async for`).

    Any number of handles may use the same room: the client joins once, and leaves when the last handle does. Each handle reads
    everything. One handle serves one loop at a time.
    """

    def __init__(
        self,
        client: Client,
        session: Session,
        name: str,
        *,
        last: int | None,
        since: Position | None,
        resume: bool,
        data: Any,
        members: bool,
        buffer: int,
        buffer_bytes: int,
    ) -> None:
        self.name = name
        self._client = client
        self._session = session
        self._last = last
        self._since = since
        self._resume = resume
        self._data = data
        self._members = members
        self._reader_size = (buffer, buffer_bytes)
        #: While it is in the room.
        self._membership: Membership | None = None
        self._reader: Reader | None = None
        #: Whether another handle had begun the membership.
        self._is_late = False

    @property
    def position(self) -> Position | None:
        """After the last message that this handle was given or has waiting. None before the first join is answered."""
        return None if self._reader is None else self._reader.position

    async def __aenter__(self) -> Room:
        """Returns when the node has answered the join. Raises `Refused` where it says no."""
        if self._membership is not None:
            raise RuntimeError(f"this handle on {self.name} is entered already; call room() for another")
        reader, membership = self._enter()
        try:
            await self._ready(membership)
        except BaseException:
            self._exit(reader)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """It is out of the room at once, and a loop that still reads ends."""
        if self._reader is not None:
            self._exit(self._reader)

    def __aiter__(self) -> AsyncIterator[Message]:
        """The messages. Gaps, resets and what a slow loop missed are logged as warnings; `events()` has them as values."""
        return self._messages()

    async def _messages(self) -> AsyncGenerator[Message, None]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Message):
                    yield event
                else:
                    _report(event)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Everything that happens in the room, messages included."""
        if self._membership is not None and self._reader is not None:
            # Entered with `async with`, which also ends it.
            async for event in _read(self._reader):
                yield event
            return
        reader, membership = self._enter()
        try:
            await self._ready(membership)
            async for event in _read(reader):
                yield event
        finally:
            self._exit(reader)

    # ---- members ------------------------------------------------------------------------------------------

    @property
    def member_list(self) -> MemberList:
        """Who is here, for a handle that is entered and was made with `members=True`. Replaced whole when it changes."""
        return NOBODY if self._membership is None else self._membership.members

    async def member_lists(self) -> AsyncGenerator[MemberList, None]:
        """The list as it is, then each later one, until the handle is out of the room. A slow loop gets the newest.

        It changes as members come and go in rooms whose rule has `memberEvents`; elsewhere at each join only. Raises `Refused`
        where the room keeps no presence.
        """
        if self._membership is None:
            async with self:
                async for members in self.member_lists():
                    yield members
            return
        membership = self._membership
        self._session.want_members(membership)
        told = NOBODY
        while self._membership is membership:
            if membership.members is not told:
                told = membership.members
                yield told
            elif membership.is_finished:
                return
            elif (failure := membership.failure or membership.list_failure) is not None:
                raise failure.with_traceback(None)
            else:
                await membership.members_changed()

    # ---- commands -----------------------------------------------------------------------------------------

    async def publish(
        self, data: Any, *, key: str | None = None, echo: bool = True, conflate_key: str | None = None
    ) -> Published:
        """As `Client.publish`, in this room."""
        return await self._client.publish(self.name, data, key=key, echo=echo, conflate_key=conflate_key)

    async def signal(self, data: Any, *, echo: bool = True) -> bool:
        """As `Client.signal`, in this room."""
        return await self._client.signal(self.name, data, echo=echo)

    async def members(self, *, limit: int | None = None, after: str | None = None) -> Members:
        """As `Client.members`, in this room."""
        return await self._client.members(self.name, limit=limit, after=after)

    async def history(self, *, since: Position | None = None, limit: int | None = None) -> History:
        """As `Client.history`, in this room."""
        return await self._client.history(self.name, since=since, limit=limit)

    async def ack(self, position: Message | Position) -> Position:
        """As `Client.ack`, in this room."""
        return await self._client.ack(self.name, position)

    async def set_presence(self, data: Any) -> None:
        """Says something of this connection to the members; None takes it back. Kept over reconnects. The handle must be entered."""
        if self._membership is None:
            raise RuntimeError(f"enter the room first: async with client.room({self.name!r}) as room: …")
        await self._tell(self._membership, data)

    # ---- membership ---------------------------------------------------------------------------------------

    def _enter(self) -> tuple[Reader, Membership]:
        reader = Reader(self.name, *self._reader_size, self._read_history)
        membership, is_new = self._session.hold(
            self.name, last=self._last, since=self._since, resume=self._resume, data=self._data, members=self._members
        )
        self._is_late = not is_new
        self._membership, self._reader = membership, reader
        membership.add(reader, self._since, None if is_new else self._last)
        return reader, membership

    async def _ready(self, membership: Membership) -> None:
        await membership.ready()
        if self._is_late and self._members:
            self._session.want_members(membership)
        if self._is_late and self._data is not None:
            # The join, which another handle began, has not said it.
            await self._tell(membership, self._data)

    async def _tell(self, membership: Membership, data: Any) -> None:
        membership.data = data
        await membership.entered()
        try:
            await (await self._session.connected()).call("presence", self.name, data)
        except LinkLost:
            # The next join carries it.
            await membership.entered()

    def _exit(self, reader: Reader) -> None:
        """Does nothing the second time: a loop that was left may be cleaned up after the handle was exited, or entered anew."""
        if self._membership is None or self._reader is not reader:
            return
        membership, self._membership = self._membership, None
        membership.remove(reader)
        membership.wake_watchers()
        reader.end(None)
        self._session.release(membership)

    async def _read_history(self, since: Position, limit: int) -> History:
        """For the reader, which has to go on: it waits while the node's store is away."""
        options = {"since": list(since), "limit": limit}
        return history_of(await self._session.ask("history", self.name, options, patiently=True))

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"


async def _read(reader: Reader) -> AsyncGenerator[Event, None]:
    while (event := await reader.next()) is not None:
        yield event


def _report(event: Event) -> None:
    """What a loop over messages would not notice otherwise."""
    if isinstance(event, Gap) and event.is_loss:
        log.warning(
            "%s: messages %d to %d are lost: %s",
            event.room,
            event.from_offset,
            event.to_offset,
            "history is too short" if event.reason == "expired" else "this client may not read the history",
        )
    elif isinstance(event, Reset):
        log.warning("%s: the numbering began anew at offset %d; messages may be lost", event.room, event.offset)
    elif isinstance(event, Skipped):
        log.warning("%s: this loop is too slow: %d events were dropped", event.room, event.count)
