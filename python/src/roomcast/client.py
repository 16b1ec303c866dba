"""The client that applications use. Everything is told and asked on the event loop that entered it."""

from __future__ import annotations

import ssl as ssl_module
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from .backoff import Backoff
from .events import Added, History, Members, Message, Position, Published
from .frames import history_of, member_of, pack
from .options import Options, Timing, node_urls
from .publish_queue import Publication
from .room import Room
from .session import Session
from .status import Status
from .tokens import GetToken, Tokens


def connect(
    url: str | Sequence[str],
    *,
    token: str | None = None,
    get_token: GetToken | None = None,
    wait: bool = True,
    backoff: Backoff = Backoff(),
    queue_count: int = 1000,
    queue_bytes: int = 1024 * 1024,
    in_flight: int = 64,
    open_timeout: float = 10.0,
    probe_timeout: float = 5.0,
    ssl: ssl_module.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    websocket_options: Mapping[str, Any] | None = None,
) -> Client:
    """A client for one node or for several, which are tried in turn. Use it as `async with connect(url) as rc:`.

    token: a token that stays. get_token: called with `"connect"`, `"refresh"`, `"expired"` or `"revoked"` whenever a token is needed;
        sync or async, one call at a time. Raise `Unauthorized` in it to end the client.
    wait: whether entering waits for the first connection. With False one may publish at once; it waits in the queue.
    backoff: how long to wait between attempts. The client never gives up by itself: cancel, or use `asyncio.wait_for`.
    queue_count, queue_bytes: how many publishes may have no outcome, and their size together.
    in_flight: publishes that are on their way at once. With 1 no message can overtake another, whatever a node answers.
    open_timeout, probe_timeout: seconds for opening a connection, and for the answer to a probe of a silent one.
    ssl, headers, websocket_options: for `websockets.asyncio.client.connect`.
    """
    urls = node_urls(url)
    if ssl is not None and any(one.startswith("ws:") for one in urls):
        raise ValueError("ssl needs URLs that begin with wss:")
    websocket = dict(websocket_options or {})
    if ssl is not None:
        websocket["ssl"] = ssl
    options = Options(
        urls=urls,
        backoff=backoff,
        queue_count=queue_count,
        queue_bytes=queue_bytes,
        in_flight=in_flight,
        headers=dict(headers or {}),
        websocket=websocket,
        timing=Timing(open=open_timeout, probe=probe_timeout),
    )
    return Client(options, token=token, get_token=get_token, wait=wait)


class Client:
    """Made by `connect`."""

    def __init__(
        self, options: Options, *, token: str | None = None, get_token: GetToken | None = None, wait: bool = True
    ) -> None:
        timing = options.timing
        self._options = options
        self._tokens = Tokens(token, get_token, timing.wall, timing.least_refresh)
        self._wait = wait
        self._session: Session | None = None

    async def __aenter__(self) -> Client:
        if self._session is not None:
            raise RuntimeError("a client is entered once; call connect() for another")
        session = Session(self._options, self._tokens)
        self._session = session
        if self._wait:
            try:
                await session.connected()
            except BaseException:
                await session.close()
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Settles everything and ends the connection. Loops over rooms end. Safe to call again."""
        if self._session is not None:
            await self._session.close()

    @property
    def status(self) -> Status:
        """How it is doing now: a snapshot."""
        return self._open.status

    async def statuses(self) -> AsyncIterator[Status]:
        """The present status, then each later one, until the client is closed. A slow loop gets the newest."""
        session = self._open
        told: Status | None = None
        while told is None or told.state != "closed":
            if session.status is told:
                await session.changed()
            told = session.status
            yield told

    def additions(self) -> AsyncGenerator[Added, None]:
        """Each room that the server adds this client to, from now until the client is closed. Enter it to go on reading it.

        `rc.room(added.room, since=added.position)` misses nothing that came in between.
        """
        return self._open.additions()

    async def connected(self) -> None:
        """Waits until there is a connection. Raises `Closed` or `Unauthorized` where there will be none."""
        await self._open.connected()

    async def drained(self) -> None:
        """Waits until every publish has an outcome."""
        await self._open.queue.drained()

    def room(
        self,
        name: str,
        *,
        last: int | None = None,
        since: Position | tuple[str, int] | None = None,
        resume: bool = False,
        data: Any = None,
        members: bool = False,
        buffer: int = 1000,
        buffer_bytes: int = 8 * 1024 * 1024,
    ) -> Room:
        """A handle on a room, to be entered with `async with` or read with `async for`.

        last: begin with so many of the newest messages. since: begin after this position. resume: begin where the user's
        acknowledgements end. Without any: with what comes next.
        data: presence data, told to the members. members: keep the list of them, `Room.member_list`.
        buffer, buffer_bytes: events that wait for the loop. One that is slower reads the rest from history.
        """
        if since is not None and resume:
            raise ValueError("give since or resume, not both")
        if last is not None and (last < 0 or last != int(last)):
            raise ValueError(f"last must be a whole number of at least 0, not {last}")
        position = None if since is None else Position(*since)
        return Room(
            self,
            self._open,
            name,
            last=last,
            since=position,
            resume=resume,
            data=data,
            members=members,
            buffer=buffer,
            buffer_bytes=buffer_bytes,
        )

    async def publish(
        self, room: str, data: Any, *, key: str | None = None, echo: bool = True, conflate_key: str | None = None
    ) -> Published:
        """Stores a message, once, and returns when that is certain. While offline it waits in the queue.

        key: within the node's dedup window, messages with the same key are stored once. By default a random one.
        echo: whether this client gets the message too. conflate_key: a reader that is behind gets only the newest message with it.

        Raises `Refused` (the node says no), `QueueFull` (offline, and too much waits), `PayloadTooLarge`, `PublishUnknown` (it may
        be stored, and cannot be sent again safely) and `Closed`. A cancelled publish is not sent again.
        """
        options: dict[str, Any] = {"key": str(uuid.uuid4()) if key is None else key}
        if not echo:
            options["echo"] = False
        if conflate_key is not None:
            options["conflateKey"] = conflate_key
        outcome = await self._settled(Publication(room, pack(data), options))
        assert outcome is not None
        return outcome

    async def signal(self, room: str, data: Any, *, echo: bool = True) -> bool:
        """Tells the members who are there now: not stored, not numbered. True: the node took it. False: it was dropped, being offline."""
        options: dict[str, Any] = {"ephemeral": True}
        if not echo:
            options["echo"] = False
        return await self._settled(Publication(room, pack(data), options)) is not None

    async def members(self, room: str, *, limit: int | None = None, after: str | None = None) -> Members:
        """Who is in the room, on any node. Raises `Refused`."""
        result = await self._open.ask("members", room, *_options(limit=limit, after=after))
        return Members(
            result["count"],
            result["users"],
            tuple(map(member_of, result["members"])),
            bool(result.get("truncated")),
            result.get("next"),
        )

    async def history(self, room: str, *, since: Position | None = None, limit: int | None = None) -> History:
        """Stored messages: the oldest after `since`, or the newest. Raises `Refused`."""
        after = None if since is None else list(since)
        return history_of(await self._open.ask("history", room, *_options(since=after, limit=limit)))

    async def ack(self, room: str, position: Message | Position) -> Position:
        """The user has processed everything up to here. Returns what is kept, which only grows. Raises `Refused`."""
        read = position.position if isinstance(position, Message) else position
        result = await self._open.ask("ack", room, list(read))
        return Position(result["epoch"], result["offset"])

    @property
    def _open(self) -> Session:
        if self._session is None:
            raise RuntimeError("enter the client first: async with connect(url) as rc: …")
        return self._session

    async def _settled(self, publication: Publication) -> Published | None:
        queue = self._open.queue
        try:
            await queue.put(publication)
            return await publication.outcome
        except BaseException:
            queue.abandon(publication)
            raise

    def __repr__(self) -> str:
        return f"<Client {'not entered' if self._session is None else self._session.status.state}>"


def _options(**given: Any) -> list[dict[str, Any]]:
    """The options of a command, left out where there are none."""
    options = {name: value for name, value in given.items() if value is not None}
    return [options] if options else []
