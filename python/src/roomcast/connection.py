"""One connection to one node, from the upgrade to its end. It does not come back: `session.py` makes the next one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from .ending import Ending, closed
from .errors import LinkLost, Refused
from .frames import SUBPROTOCOL, BadFrame, decode, encode, encode_publish, refusal_of, retry_after_of
from .hello import Hello, hello_of
from .options import Options
from .tokens import Secret, Tokens

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter

log = logging.getLogger("roomcast")

#: Called with the result, or with an error: `Refused` or `LinkLost`. Never both, and exactly once.
OnReply = Callable[[Any, Exception | None], None]
#: Called with a push and its size in bytes.
OnPush = Callable[[Sequence[Any], int], None]
#: Called once, in the moment of the end and before commands without an answer get theirs.
OnEnd = Callable[["Connection"], None]

#: Frames that wait are joined up to this size. Nodes take 64 KiB by default.
_JOINED_BYTES = 48 * 1024


class _WithoutFrames(_Adapter):
    """At level DEBUG `websockets` logs frames, and one of them holds the token."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)


class Connection:
    def __init__(self, websocket: ClientConnection, options: Options, on_push: OnPush, on_end: OnEnd) -> None:
        self._websocket = websocket
        self._timing = options.timing
        self._on_push = on_push
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._ids = count(1)
        self._replies: dict[int, OnReply] = {}
        self._outgoing: list[bytes] = []
        self._has_outgoing = asyncio.Event()
        self._heard = self._loop.time()
        self._said: str | None = None
        self._retry_after: float | None = None
        self._hello: Hello | None = None
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._ending: asyncio.Future[Ending] = self._loop.create_future()
        self.user: str | None = None
        self._tasks = [asyncio.create_task(work) for work in (self._read(), self._write())]

    @classmethod
    async def open(cls, url: str, tokens: Tokens, options: Options, on_push: OnPush, on_end: OnEnd) -> Connection:
        """A connection that may be used. Raises what `ending_of` understands, or `EndedEarly`."""
        secret = await tokens.current()
        websocket = await open_websocket(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            additional_headers=options.headers,
            open_timeout=options.timing.open,
            close_timeout=options.timing.close,
            # Its pings would not be noticed by a client that watches for silence, and a node pings anyway.
            ping_interval=None,
            max_size=None,
            logger=_WithoutFrames(logging.getLogger("roomcast.websocket"), {}),
            **options.websocket,
        )
        connection = cls(websocket, options, on_push, on_end)
        try:
            await connection._begin(secret, tokens)
        except BaseException:
            await connection.close()
            raise
        return connection

    @property
    def hello(self) -> Hello:
        assert self._hello is not None
        return self._hello

    @property
    def is_open(self) -> bool:
        return not self._ending.done()

    async def ended(self) -> Ending:
        """Waits for the end. May be cancelled, which ends nothing."""
        await asyncio.wait({self._ending})
        return self._ending.result()

    def request(self, on_reply: OnReply, kind: str, *fields: Any) -> None:
        """Sends a command. The reply is handled in the order of the frames around it, before those that follow."""
        number = next(self._ids)
        self._send(number, encode([kind, number, *fields]), on_reply)

    def publish(self, on_reply: OnReply, body: bytes) -> None:
        number = next(self._ids)
        self._send(number, encode_publish(number, body), on_reply)

    async def call(self, kind: str, *fields: Any) -> Any:
        """Sends a command and waits for its result. Raises `Refused`, or `LinkLost` where the connection ends before the answer."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def on_reply(result: Any, error: Exception | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        self.request(on_reply, kind, *fields)
        return await answer

    async def close(self) -> None:
        """Ends it: with a close frame where the other end still answers within a second."""
        self._end(Ending("closed by this client"))
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._websocket.close()
        finally:
            self._websocket.transport.abort()

    # ---- the beginning ------------------------------------------------------------------------------------

    async def _begin(self, secret: Secret | None, tokens: Tokens) -> None:
        deadline = self._loop.time() + self._timing.open
        if secret is not None:
            await self._authenticate(secret, tokens, deadline)
        await self._by(deadline, self._greeted)
        if secret is None:
            self.user = self.hello.user
        self._tasks.append(asyncio.create_task(self._watch()))

    async def _authenticate(self, secret: Secret, tokens: Tokens, deadline: float) -> None:
        reply: asyncio.Future[None] = self._loop.create_future()

        def on_reply(result: Any, error: Exception | None) -> None:
            if isinstance(error, Refused) and error.code == "bad_request":
                log.warning("the node has no authentication configured; the token is not used")
            elif error is not None:
                # The close that follows says what to do.
                if isinstance(error, Refused):
                    self._explain(error)
                return
            else:
                self.user = result["user"]
                tokens.accepted(result["expiresAt"])
            if not reply.done():
                reply.set_result(None)

        self.request(on_reply, "auth", secret.reveal())
        await self._by(deadline, reply)

    async def _by(self, deadline: float, event: asyncio.Future[None]) -> None:
        """Waits for the event. Raises `EndedEarly` where the connection ends before it, or the time is over."""
        seconds = max(deadline - self._loop.time(), 0)
        either: set[asyncio.Future[Any]] = {event, self._ending}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if event.done():
            return
        self._end(Ending("no hello in time" if self._hello is None else "no answer to the token in time"))
        raise EndedEarly(self._ending.result())

    async def refresh(self, secret: Secret, tokens: Tokens) -> None:
        """Replaces the token on the open connection. Raises `Refused`, `LinkLost`."""
        result = await self.call("auth", secret.reveal())
        tokens.accepted(result["expiresAt"])

    # ---- the work -----------------------------------------------------------------------------------------

    def _send(self, number: int, frame: bytes, on_reply: OnReply) -> None:
        if not self.is_open:
            on_reply(None, LinkLost("the connection has ended"))
            return
        self._replies[number] = on_reply
        self._outgoing.append(frame)
        self._has_outgoing.set()

    async def _write(self) -> None:
        """What is asked for in one turn of the loop leaves as one WebSocket message."""
        try:
            while await self._has_outgoing.wait():
                self._has_outgoing.clear()
                while self._outgoing:
                    await self._websocket.send(self._joined())
        except ConnectionClosed:
            # The reading end says why.
            pass
        except Exception as error:
            self._fail(error)

    def _joined(self) -> bytes:
        """The frames that leave next, in one message."""
        limit = _JOINED_BYTES if self._hello is None else min(_JOINED_BYTES, self._hello.max_payload)
        size = 0
        taken = 0
        for frame in self._outgoing:
            size += len(frame)
            if taken > 0 and size > limit:
                break
            taken += 1
        message = b"".join(self._outgoing[:taken])
        del self._outgoing[:taken]
        return message

    async def _read(self) -> None:
        """Nothing in here waits for a caller: a slow one delays only itself."""
        try:
            while True:
                message = await self._websocket.recv()
                self._heard = self._loop.time()
                for frame, size in decode(message):
                    self._receive(frame, size)
        except ConnectionClosed as error:
            self._end(closed(error, self._said, self._retry_after))
        except BadFrame as error:
            self._end(Ending(f"the other end sent {error}"))
        except Exception as error:
            self._fail(error)

    def _receive(self, frame: Sequence[Any], size: int) -> None:
        kind = frame[0]
        if kind == "ok":
            self._answer(frame[1], frame[2], None)
        elif kind == "error":
            self._error(frame)
        elif kind == "hello":
            self._hello = hello_of(frame[1])
            if not self._greeted.done():
                self._greeted.set_result(None)
        elif kind == "bye":
            self._retry_after = retry_after_of(frame[2], "reconnectAfterMs")
        else:
            self._on_push(frame, size)

    def _error(self, frame: Sequence[Any]) -> None:
        refusal = refusal_of(frame)
        if refusal.code in ("unauthorized", "token_expired", "unavailable") or frame[1] == 0:
            self._explain(refusal)
        self._answer(frame[1], None, refusal)

    def _explain(self, refusal: Refused) -> None:
        """If a close follows, this says why."""
        self._said = str(refusal)
        if refusal.retry_after is not None:
            self._retry_after = refusal.retry_after

    def _answer(self, number: int, result: Any, error: Exception | None) -> None:
        on_reply = self._replies.pop(number, None)
        if on_reply is not None:
            on_reply(result, error)

    async def _watch(self) -> None:
        """Probes a link that is silent, and one of a process that slept, and ends it where no answer comes."""
        timing = self._timing
        silent_after = max(self.hello.silent_after, 0.05)
        while True:
            seconds = min(max(self._heard + silent_after - self._loop.time(), 0.01), timing.tick)
            before = timing.wall()
            await asyncio.sleep(seconds)
            slept = timing.wall() - before > seconds + timing.tick
            if not slept and self._loop.time() - self._heard < silent_after:
                continue
            heard = self._heard
            self.request(lambda result, error: None, "ping")
            await asyncio.sleep(timing.probe)
            if self._heard == heard:
                self._end(Ending(f"the node was silent and did not answer within {timing.probe:g} s"))
                # A close frame would wait for an answer too.
                self._websocket.transport.abort()
                return

    # ---- the end ------------------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """A fault of the node or of this client. The connection cannot be trusted any more; the next one may do."""
        log.error("a connection failed with %s; level DEBUG shows where", type(error).__name__)
        log.debug("the connection failed here", exc_info=error)
        self._end(Ending(f"a frame could not be handled ({type(error).__name__})"))

    def _end(self, ending: Ending) -> None:
        if self._ending.done():
            return
        self._ending.set_result(ending)
        self._on_end(self)
        self._outgoing.clear()
        replies, self._replies = self._replies, {}
        for on_reply in replies.values():
            on_reply(None, LinkLost(ending.reason))


class EndedEarly(LinkLost):
    """The connection ended before it could be used."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending
