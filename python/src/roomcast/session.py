"""The life of a client over many connections: it comes back until it is told to stay away, and puts everything where it was."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .backoff import Backoff, reconnect_seconds
from .connection import Connection, EndedEarly
from .ending import Ending, ending_of
from .errors import Closed, LinkLost, Refused, RoomcastError, Unauthorized, redacted, safe_url
from .events import Added, Position
from .membership import Membership
from .options import Options
from .publish_queue import PublishQueue
from .status import Status
from .tokens import Tokens

log = logging.getLogger("roomcast")

#: Errors of a join or a read that waiting may cure.
_PASSING = frozenset(("rate_limited", "unavailable", "timeout", "internal"))
_RETRY = Backoff(base=0.2, cap=5.0)
#: How often `get_token` is asked again on an open connection, at most.
_REFRESH_RETRY = Backoff(base=2.0, cap=60.0)
_PERSONAL = "$user:"


class Session:
    def __init__(self, options: Options, tokens: Tokens) -> None:
        self._options = options
        self._tokens = tokens
        self._loop = asyncio.get_running_loop()
        timing = options.timing
        self.queue = PublishQueue(
            max_count=options.queue_count,
            max_bytes=options.queue_bytes,
            in_flight=options.in_flight,
            clock=self._loop,
            random=timing.random,
        )
        self.status = Status("connecting")
        self._memberships: dict[str, Membership] = {}
        self._connection: Connection | None = None
        self._changed: list[asyncio.Future[None]] = []
        #: What loops over `additions` have not taken yet, by room.
        self._additions: list[dict[str, Added]] = []
        self._refused: set[asyncio.TimerHandle] = set()
        self._stopped: RoomcastError | None = None
        #: The present token stands for one that was revoked, and no node has accepted it yet.
        self._is_replacement = False
        self._next_url = 0
        self._task = asyncio.create_task(self._run())

    # ---- what callers wait for ----------------------------------------------------------------------------

    async def changed(self) -> None:
        """Waits for the next status."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._changed.append(waiter)
        await waiter

    async def additions(self) -> AsyncGenerator[Added, None]:
        """Each room that the server adds this client to, from now until the client is closed."""
        waiting: dict[str, Added] = {}
        self._additions.append(waiting)
        try:
            while waiting or self._stopped is None:
                if waiting:
                    yield waiting.pop(next(iter(waiting)))
                else:
                    await self.changed()
        finally:
            self._additions.remove(waiting)

    async def connected(self) -> Connection:
        """Waits for a connection that may be used. Raises what ended the client."""
        while True:
            if self._stopped is not None:
                raise self._stopped.with_traceback(None)
            if self._connection is not None:
                return self._connection
            await self.changed()

    async def ask(self, kind: str, *fields: Any, patiently: bool = False) -> Any:
        """The result of a command that may be sent twice without harm: it is, when the connection ends before the answer.

        `patiently`: also where the node's store is away, for as long as that takes. Else this raises `Refused`.
        """
        attempt = 0
        while True:
            connection = await self.connected()
            try:
                return await connection.call(kind, *fields)
            except LinkLost:
                continue
            except Refused as error:
                if error.code != "rate_limited" and not (patiently and error.code in _PASSING):
                    raise
                await asyncio.sleep(self._retry_seconds(error, attempt))
                attempt += 1

    async def close(self) -> None:
        """Ends it: nothing comes back, everything is settled. Safe to call again."""
        self._stop(Closed("the client is closed"), is_wanted=True)
        self._task.cancel()
        await asyncio.wait({self._task})

    # ---- rooms --------------------------------------------------------------------------------------------

    def hold(self, room: str, **options: Any) -> tuple[Membership, bool]:
        """A membership that lasts until as many releases; and whether this began it."""
        if self._stopped is not None:
            raise self._stopped.with_traceback(None)
        membership = self._memberships.get(room)
        is_new = membership is None
        if membership is None:
            membership = Membership(room, **options)
            self._memberships[room] = membership
            self._join(membership)
        membership.holds += 1
        return membership, is_new

    def release(self, membership: Membership) -> None:
        membership.holds -= 1
        if membership.holds > 0:
            return
        membership.is_in = False
        if self._memberships.get(membership.room) is not membership:
            return
        del self._memberships[membership.room]
        # Nobody leaves a personal room.
        if self._connection is not None and not membership.room.startswith(_PERSONAL):
            self._connection.request(_ignore, "leave", membership.room)

    def _join(self, membership: Membership) -> None:
        connection = self._connection
        if connection is None or self._memberships.get(membership.room) is not membership:
            return

        def on_reply(result: Any, error: Exception | None) -> None:
            if self._connection is connection and self._memberships.get(membership.room) is membership:
                self._join_answered(membership, result, error)

        options = membership.join_options()
        connection.request(on_reply, "join", membership.room, *([options] if options else []))

    def want_members(self, membership: Membership) -> None:
        """Keeps the list of members from now on. Where the room was joined without it, it is joined again in place."""
        if membership.is_list_wanted:
            return
        membership.is_list_wanted = True
        if membership.is_in:
            self._ask_for_members(membership)

    def _ask_for_members(self, membership: Membership) -> None:
        connection = self._connection
        if connection is None:
            return

        def on_reply(result: Any, error: Exception | None) -> None:
            if self._connection is not connection or not membership.is_in:
                return
            if isinstance(error, Refused) and error.code in _PASSING:
                # Like any join that fails, it has left the connection outside.
                membership.is_in = False
                self._join_later(membership, error)
            else:
                membership.list_answered(result, error)

        connection.request(on_reply, "join", membership.room, membership.list_options())

    def _join_answered(self, membership: Membership, result: Any, error: Exception | None) -> None:
        if error is None:
            membership.joined(result)
            if membership.is_list_wanted and result.get("members") is None:
                # It was wanted while the join was on its way.
                self._ask_for_members(membership)
        elif isinstance(error, Refused) and error.code in _PASSING:
            self._join_later(membership, error)
        elif isinstance(error, RoomcastError):
            self._forget(membership)
            membership.fail(error)

    def _retry_seconds(self, error: Refused, attempt: int) -> float:
        if error.retry_after is not None:
            return error.retry_after
        return _RETRY.seconds(attempt, self._options.timing.random)

    def _join_later(self, membership: Membership, error: Refused) -> None:
        connection = self._connection
        seconds = self._retry_seconds(error, membership.attempts)
        membership.attempts += 1

        def again() -> None:
            self._refused.discard(timer)
            if self._connection is connection and not membership.is_in:
                self._join(membership)

        timer = self._loop.call_later(seconds, again)
        self._refused.add(timer)

    def _forget(self, membership: Membership) -> None:
        """It is over, though handles may still hold it: a new `hold` begins another."""
        if self._memberships.get(membership.room) is membership:
            del self._memberships[membership.room]

    def _on_push(self, frame: Sequence[Any], size: int) -> None:
        if frame[0] == "joined":
            self._added(str(frame[1]), frame[2])
            return
        membership = self._memberships.get(frame[1])
        if membership is not None:
            membership.push(frame, size)
            if membership.failure is not None:
                self._forget(membership)

    def _added(self, room: str, result: Mapping[str, Any]) -> None:
        """A membership that waits for its next try need not wait any more."""
        membership = self._memberships.get(room)
        if membership is not None and membership.attempts > 0:
            self._join(membership)
        for waiting in self._additions:
            waiting[room] = Added(room, Position(result["epoch"], result["offset"]))
        self._wake()

    # ---- connections --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._keep_connected()
        except asyncio.CancelledError:
            raise
        except Closed as error:
            self._stop(error)
        except Exception as error:
            log.error("the client stopped: %s", type(error).__name__, exc_info=error)
            stopped = Closed(redacted(f"the client stopped: {type(error).__name__}: {error}"))
            stopped.__cause__ = error
            self._stop(stopped)

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            urls = self._options.urls
            url = urls[self._next_url % len(urls)]
            self._next_url += 1
            began = self._loop.time()
            ending = await self._serve(url, attempt)
            if ending.is_final and not (ending.is_token_revoked and self._may_replace()):
                raise Unauthorized(ending.reason, ending.code) if ending.is_unauthorized else _final(ending)
            if ending.is_token_expired:
                self._tokens.expired()
            timing = self._options.timing
            if self.status.state == "connected" and self._loop.time() - began >= timing.stable:
                attempt = 0
            seconds = reconnect_seconds(self._options.backoff, attempt, ending.retry_after, timing.random)
            attempt += 1
            self._tell(Status("waiting", safe_url(url), attempt, ending.reason, seconds))
            level = logging.WARNING if attempt == 1 else logging.INFO
            log.log(level, "no connection to %s: %s; next try in %.1f s", safe_url(url), ending.reason, seconds)
            await asyncio.sleep(seconds)

    def _may_replace(self) -> bool:
        """Another token is tried once: if that is revoked too, it is the user that is blocked."""
        is_first = not self._is_replacement
        self._is_replacement = True
        return is_first and self._tokens.revoked()

    async def _serve(self, url: str, attempt: int) -> Ending:
        """One connection, or the attempt to make one, until its end."""
        self._tell(replace(self.status, state="connecting", url=safe_url(url), attempt=attempt, retry_in=None))
        try:
            connection = await Connection.open(url, self._tokens, self._options, self._on_push, self._on_end)
        except EndedEarly as error:
            return error.ending
        except LinkLost as error:
            return Ending(str(error))
        except OSError as error:
            return ending_of(error)
        except (Closed, TypeError, ValueError, ImportError):
            # Final, or a fault of the arguments that no second try cures.
            raise
        except Exception as error:
            return ending_of(error)
        refreshing = asyncio.create_task(self._refresh(connection))
        try:
            self._attach(connection, url)
            return await connection.ended()
        finally:
            refreshing.cancel()
            self._on_end(connection)
            await connection.close()

    def _attach(self, connection: Connection, url: str) -> None:
        if not connection.is_open:
            return
        self._connection = connection
        self._is_replacement = False
        hello = connection.hello
        for membership in self._memberships.values():
            self._join(membership)
        # After the joins: a room may take messages of its members only.
        self.queue.attach(connection, hello.max_payload, hello.dedup_window)
        log.info("connected to %s (node %s, connection %s)", safe_url(url), hello.node, hello.connection)
        self._tell(
            Status(
                "connected",
                safe_url(url),
                connection=hello.connection,
                node=hello.node,
                user=connection.user,
            )
        )

    def _on_end(self, connection: Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        for timer in self._refused:
            timer.cancel()
        self._refused.clear()
        for membership in self._memberships.values():
            membership.disconnected()
        self.queue.detach()

    async def _refresh(self, connection: Connection) -> None:
        """Replaces the token before it ends, for as long as the connection lasts."""
        attempt = 0
        while connection.is_open:
            seconds = self._tokens.refresh_in()
            if seconds is None:
                return
            if attempt > 0:
                seconds = _REFRESH_RETRY.seconds(attempt, self._options.timing.random)
            await asyncio.sleep(seconds)
            try:
                await connection.refresh(await self._tokens.fresh("refresh"), self._tokens)
                attempt = 0
            except Unauthorized as error:
                self._stop(error)
                self._task.cancel()
                return
            except (LinkLost, Refused, TypeError) as error:
                # The node says when it is too late: the token expires, and the next connection asks for another.
                log.warning("the token could not be refreshed: %s", error)
                attempt += 1

    # ---- the end ------------------------------------------------------------------------------------------

    def _tell(self, status: Status) -> None:
        self.status = status
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, []
        for waiter in changed:
            if not waiter.done():
                waiter.set_result(None)

    def _stop(self, error: Closed, is_wanted: bool = False) -> None:
        if self._stopped is not None:
            return
        self._stopped = error
        self._connection = None
        self.queue.close(error)
        for membership in list(self._memberships.values()):
            if is_wanted:
                membership.finish()
            membership.fail(error)
        self._memberships.clear()
        for timer in self._refused:
            timer.cancel()
        if not is_wanted:
            log.error("the client is closed: %s", error)
        self._tell(Status("closed", self.status.url, reason=error.reason))


def _final(ending: Ending) -> Closed:
    return Closed(ending.reason, ending.code)


def _ignore(result: Any, error: Exception | None) -> None:
    """For commands whose outcome changes nothing."""
