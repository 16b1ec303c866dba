"""A node whose every word a test chooses, on a real socket."""

from __future__ import annotations

import asyncio
import http
import logging
import unittest
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from roomcast import Room
from roomcast.backoff import Backoff
from roomcast.client import Client
from roomcast.frames import SUBPROTOCOL, decode, encode
from roomcast.options import Options, Timing

SECONDS = 10.0
#: Handshakes that fail are what these tests make.
_SILENT = logging.getLogger("scripted-node")
_SILENT.setLevel(logging.CRITICAL + 1)
#: Quick, so that tests wait for events and not for the clock.
QUICK = Timing(open=2.0, probe=0.2, close=0.2, stable=5.0, least_refresh=0.05)


async def soon(awaitable: Any) -> Any:
    """The result, which must come within some seconds: a test that waits for nothing fails instead of hanging."""
    return await asyncio.wait_for(awaitable, SECONDS)


class Peer:
    """One connection, from the node's side."""

    def __init__(self, websocket: ServerConnection) -> None:
        self.websocket = websocket
        self.frames: asyncio.Queue[list[Any]] = asyncio.Queue()
        #: How many frames each WebSocket message had.
        self.batches: list[int] = []
        self.gone = asyncio.Event()

    async def hello(self, **facts: Any) -> None:
        info = {"connection": "c1", "node": "n1", "user": None, "heartbeatMs": 25000, "maxPayload": 65536, "version": 1}
        await self.send(["hello", {**info, "dedupWindowMs": 300_000, "silentAfterMs": 30_000, "limits": {}, **facts}])

    async def send(self, *frames: Sequence[Any]) -> None:
        await self.websocket.send(b"".join(map(encode, frames)))

    async def next(self, kind: str | None = None) -> list[Any]:
        """The next frame from the client; it has to be of this kind."""
        frame: list[Any] = await soon(self.frames.get())
        if kind is not None:
            assert frame[0] == kind, f"expected {kind}, not {frame}"
        return frame

    async def joined(self, epoch: str = "e", offset: int = 0, **more: Any) -> list[Any]:
        """Answers the next frame, a join."""
        frame = await self.next("join")
        await self.send(["ok", frame[1], {"epoch": epoch, "offset": offset, "recovered": False, **more}])
        return frame

    async def stored(self, offset: int, epoch: str = "e") -> list[Any]:
        """Answers the next frame, a publish."""
        frame = await self.next("publish")
        await self.send(["ok", frame[1], {"epoch": epoch, "offset": offset}])
        return frame

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.websocket.close(code, reason)

    def drop(self) -> None:
        """Breaks the link without a close frame."""
        self.websocket.transport.abort()


class ScriptedNode:
    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        #: Upgrades so far, refused ones too.
        self.upgrades = 0
        self._upgraded = asyncio.Condition()
        #: While it is set: the answer to each upgrade.
        self.refusal: Callable[[ServerConnection], Response] | None = None
        self._server: Server | None = None
        self._port = 0

    async def __aenter__(self) -> ScriptedNode:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """On the port that it had before, if any."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self._port,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._process_request,
            ping_interval=None,
            close_timeout=0.2,
            logger=_SILENT,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/ws"

    async def peer(self) -> Peer:
        """The next connection."""
        peer: Peer = await soon(self.peers.get())
        return peer

    def refuse(self, status: http.HTTPStatus, body: str = "", **headers: str) -> None:
        def refusal(connection: ServerConnection) -> Response:
            response = connection.respond(status, body)
            for name, value in headers.items():
                response.headers[name.replace("_", "-")] = value
            return response

        self.refusal = refusal

    def client(
        self,
        *,
        urls: tuple[str, ...] | None = None,
        timing: Timing = QUICK,
        backoff: Backoff = Backoff(base=0.01, cap=0.05),
        token: str | None = None,
        get_token: Any = None,
        wait: bool = True,
        **options: Any,
    ) -> Client:
        all_urls = (self.url,) if urls is None else urls
        quick = Options(urls=all_urls, backoff=backoff, timing=timing, **options)
        return Client(quick, token=token, get_token=get_token, wait=wait)

    async def tried(self, times: int) -> None:
        """Waits until there were so many upgrades."""
        async with self._upgraded:
            await soon(self._upgraded.wait_for(lambda: self.upgrades >= times))

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        async with self._upgraded:
            self.upgrades += 1
            self._upgraded.notify_all()
        return None if self.refusal is None else self.refusal(connection)

    async def _serve(self, websocket: ServerConnection) -> None:
        peer = Peer(websocket)
        self.peers.put_nowait(peer)
        try:
            while True:
                frames = decode(await websocket.recv())
                peer.batches.append(len(frames))
                for frame, _ in frames:
                    peer.frames.put_nowait(frame)
        except ConnectionClosed:
            peer.gone.set()


async def until(rc: Client, accepts: Callable[[str], bool]) -> None:
    """Waits until the client's state is one of these."""

    async def wait() -> None:
        async for status in rc.statuses():
            if accepts(status.state):
                return

    await soon(wait())


def quick(**changes: Any) -> Timing:
    return replace(QUICK, **changes)


async def collect(events: Any, count: int) -> list[Any]:
    """The first of these; the loop ends after them."""
    found: list[Any] = []
    async for event in events:
        found.append(event)
        if len(found) == count:
            break
    return found


def message(offset: int, room: str = "r") -> list[Any]:
    return ["message", room, offset, 0, "bob", offset]


class NodeTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.node = ScriptedNode()
        await self.node.start()
        self.addAsyncCleanup(self.node.stop)
        logging.getLogger("roomcast").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("roomcast").setLevel, logging.NOTSET)

    async def enter(self, **options: Any) -> tuple[Any, Peer]:
        """A client that is connected, and the node's end of its connection."""
        client = self.node.client(**options)
        entering = asyncio.ensure_future(client.__aenter__())
        peer = await self.node.peer()
        await peer.hello()
        await soon(entering)
        self.addAsyncCleanup(client.close)
        return client, peer

    async def enter_room(self, rc: Any, peer: Peer, name: str = "r", offset: int = 0, **options: Any) -> Room:
        room: Room = rc.room(name, **options)
        entering = asyncio.ensure_future(room.__aenter__())
        await peer.joined(offset=offset)
        await soon(entering)
        return room

    async def again(self) -> Peer:
        """The client comes back."""
        peer = await self.node.peer()
        await peer.hello()
        return peer
