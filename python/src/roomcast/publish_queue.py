"""What was published and has no outcome yet: bounded, in order, and each message stored once however often it is sent.

Decides only. It is given the time and timers of the loop, and a link to send on while there is one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, Protocol

from .backoff import Backoff
from .errors import PayloadTooLarge, PublishUnknown, QueueFull, Refused, RoomcastError
from .events import Published
from .frames import publish_body, published_of

#: Errors that waiting may cure. After the second two it is unknown whether the message was stored.
_PASSING = frozenset(("rate_limited", "unavailable", "timeout", "internal"))
_UNCERTAIN = frozenset(("timeout", "internal"))
#: The part of the dedup window in which a message is sent again: the rest is for its way to the node.
_SAFE_PART = 0.9
_RETRY = Backoff(base=0.2, cap=5.0)
#: Bytes that are on their way at once; a message that is larger goes alone.
_IN_FLIGHT_BYTES = 256 * 1024
#: Of a frame before its room: the array, the type and the id.
_HEAD_BYTES = 18


class Publication:
    """One message, from `publish` or `signal` to its outcome: a `Published`, an error, or None for a signal that was dropped."""

    __slots__ = ("attempts", "body", "is_signal", "number", "outcome", "sent_at", "uncertain_since")

    def __init__(self, room: str, data: bytes, options: Mapping[str, Any]) -> None:
        #: All of its frame but the head: packed once, however often it is sent.
        self.body = publish_body(room, data, options)
        self.is_signal = "ephemeral" in options
        self.outcome: asyncio.Future[Published | None] = asyncio.get_running_loop().create_future()
        self.number = 0
        #: When it was sent last, and when the first of those was sent that may have been stored.
        self.sent_at = 0.0
        self.uncertain_since: float | None = None
        self.attempts = 0

    @property
    def size(self) -> int:
        """Bytes of its frame, at most."""
        return len(self.body) + _HEAD_BYTES

    def settle(self, outcome: Published | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, error: RoomcastError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)
            # Whoever published may be gone by now: that is no fault to report.
            self.outcome.exception()


class Link(Protocol):
    """What the queue sends on."""

    def publish(self, on_reply: Callable[[Any, Exception | None], None], body: bytes) -> None: ...


class Clock(Protocol):
    """The part of an event loop that the queue needs."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle: ...


class PublishQueue:
    def __init__(
        self,
        *,
        max_count: int,
        max_bytes: int,
        in_flight: int,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        for name, value in {"queue_count": max_count, "queue_bytes": max_bytes, "in_flight": in_flight}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._window = in_flight
        self._clock = clock
        self._random = random
        self._link: Link | None = None
        self._max_payload = 0
        self._dedup_window = 0.0
        self._last = 0
        self._count = 0
        self._bytes = 0
        #: By number, so that what has to be sent again goes before what came later.
        self._ready: list[tuple[int, Publication]] = []
        self._on_the_way: dict[int, Publication] = {}
        self._on_the_way_bytes = 0
        self._waiting: deque[tuple[Publication, asyncio.Future[None]]] = deque()
        self._waiting_count = 0
        self._pause: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []
        self._closed: RoomcastError | None = None

    @property
    def count(self) -> int:
        """Publishes without an outcome."""
        return self._count + self._waiting_count

    async def put(self, publication: Publication) -> None:
        """Takes it, or waits for room while there is a link. Raises `QueueFull` offline: that is for the caller to know."""
        if self._closed is not None:
            raise self._closed.with_traceback(None)
        self._check_size(publication)
        if publication.is_signal and self._link is None:
            publication.settle(None)
            return
        if not self._waiting and self._has_room(publication):
            self._admit(publication)
            return
        if self._link is None:
            raise self._full()
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((publication, admitted))
        self._waiting_count += 1
        try:
            await admitted
        except asyncio.CancelledError:
            # It stays in line until its turn: to look for it would cost as much as the line is long.
            if publication.number == 0:
                self._waiting_count -= 1
                self._tell_idle()
            raise

    def abandon(self, publication: Publication) -> None:
        """The caller was cancelled: what is not on its way yet is not sent, and what is on its way is not sent again."""
        publication.outcome.cancel()
        if publication.number > 0 and publication.number not in self._on_the_way:
            self._ready = [entry for entry in self._ready if entry[1] is not publication]
            self._ready.sort()
            self._release(publication)

    def attach(self, link: Link, max_payload: int, dedup_window: float) -> None:
        self._link = link
        self._max_payload = max_payload
        self._dedup_window = dedup_window
        self._unpause()
        self._pump()

    def detach(self) -> None:
        """The link ended: what was on its way is unknown, and is sent again on the next one. Signals are dropped."""
        self._link = None
        self._unpause()
        lost, self._on_the_way = self._on_the_way, {}
        self._on_the_way_bytes = 0
        for publication in lost.values():
            self._doubt(publication)
            heappush(self._ready, (publication.number, publication))
        for _, publication in [entry for entry in self._ready if entry[1].is_signal]:
            publication.settle(None)
        self._drop_settled()
        for _, admitted in self._waiting:
            if not admitted.done():
                self._waiting_count -= 1
                admitted.set_exception(self._full())
        self._waiting.clear()
        self._expire()

    async def drained(self) -> None:
        """Waits until every publish has an outcome."""
        while self.count > 0:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def close(self, error: RoomcastError) -> None:
        """Settles everything: as unknown where it may have been stored, else with this error."""
        if self._closed is not None:
            return
        self._closed = error
        self.detach()
        for _, publication in self._ready:
            self._lose(publication, error)
        self._drop_settled()
        if self._expiry is not None:
            self._expiry.cancel()

    # ---- taking -------------------------------------------------------------------------------------------

    def _check_size(self, publication: Publication) -> None:
        if self._is_too_large(publication):
            raise self._too_large(publication)
        if publication.size > self._max_bytes:
            raise QueueFull(f"a message of {publication.size} bytes does not fit into a queue of {self._max_bytes}")

    def _is_too_large(self, publication: Publication) -> bool:
        return 0 < self._max_payload < publication.size

    def _too_large(self, publication: Publication) -> PayloadTooLarge:
        limit = f"{self._max_payload} (websocket.maxPayloadBytes)"
        return PayloadTooLarge(f"a message of {publication.size} bytes; this node takes {limit}")

    def _has_room(self, publication: Publication) -> bool:
        return self._count < self._max_count and self._bytes + publication.size <= self._max_bytes

    def _full(self) -> QueueFull:
        return QueueFull(f"offline, and {self._count} publishes of {self._bytes} bytes wait already")

    def _admit(self, publication: Publication) -> None:
        self._last += 1
        publication.number = self._last
        self._count += 1
        self._bytes += publication.size
        heappush(self._ready, (publication.number, publication))
        self._pump()

    def _release(self, publication: Publication) -> None:
        self._count -= 1
        self._bytes -= publication.size
        while self._waiting and self._link is not None:
            waiting, admitted = self._waiting[0]
            if not admitted.done() and not self._has_room(waiting):
                break
            self._waiting.popleft()
            if not admitted.done():
                self._waiting_count -= 1
                admitted.set_result(None)
                self._admit(waiting)
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self.count == 0:
            for waiter in self._idle:
                if not waiter.done():
                    waiter.set_result(None)
            self._idle.clear()

    # ---- sending ------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        while self._link is not None and self._pause is None and self._ready and self._may_send(self._ready[0][1]):
            _, publication = heappop(self._ready)
            if publication.outcome.done():
                self._release(publication)
            elif (error := self._why_not(publication)) is not None:
                publication.fail(error)
                self._release(publication)
            else:
                self._send(self._link, publication)

    def _may_send(self, publication: Publication) -> bool:
        if not self._on_the_way:
            return True
        fits = self._on_the_way_bytes + publication.size <= _IN_FLIGHT_BYTES
        return fits and len(self._on_the_way) < self._window

    def _send(self, link: Link, publication: Publication) -> None:
        self._on_the_way[publication.number] = publication
        self._on_the_way_bytes += publication.size
        publication.sent_at = self._clock.time()
        publication.attempts += 1

        def on_reply(result: Any, error: Exception | None) -> None:
            # The answers of a link that has ended say nothing: `detach` has taken its publishes back.
            if self._link is link and self._on_the_way.pop(publication.number, None) is not None:
                self._on_the_way_bytes -= publication.size
                self._answered(publication, result, error)
                self._pump()

        link.publish(on_reply, publication.body)

    def _answered(self, publication: Publication, result: Any, error: Exception | None) -> None:
        if error is None:
            publication.settle(published_of(result))
        elif isinstance(error, Refused) and error.code in _PASSING:
            if publication.is_signal:
                publication.settle(None)
            else:
                return self._try_again(publication, error)
        elif isinstance(error, RoomcastError):
            publication.fail(error)
        self._release(publication)

    def _try_again(self, publication: Publication, refusal: Refused) -> None:
        """All wait meanwhile: what came later must not overtake it."""
        if refusal.code in _UNCERTAIN:
            self._doubt(publication)
        heappush(self._ready, (publication.number, publication))
        if self._pause is None:
            told = refusal.retry_after
            seconds = _RETRY.seconds(publication.attempts - 1, self._random) if told is None else told
            self._pause = self._clock.call_later(seconds, self._resume)
        self._expire()

    def _resume(self) -> None:
        self._pause = None
        self._pump()

    def _unpause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    # ---- the dedup window ---------------------------------------------------------------------------------

    def _doubt(self, publication: Publication) -> None:
        """Its last attempt may have been stored."""
        if publication.uncertain_since is None:
            publication.uncertain_since = publication.sent_at

    def _is_too_old(self, publication: Publication) -> bool:
        since = publication.uncertain_since
        return since is not None and self._clock.time() - since >= self._dedup_window * _SAFE_PART

    def _why_not(self, publication: Publication) -> RoomcastError | None:
        """Why it is not to be sent, or None."""
        if self._is_too_large(publication):
            return self._too_large(publication)
        return _unknown() if self._is_too_old(publication) else None

    def _lose(self, publication: Publication, error: RoomcastError) -> None:
        if publication.uncertain_since is None:
            publication.fail(error)
        else:
            publication.fail(PublishUnknown(f"the client closed before the answer: {error}"))

    def _expire(self) -> None:
        """Settles what can no longer be sent again, and comes back when the next one is due."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for _, publication in self._ready:
            if self._is_too_old(publication):
                publication.fail(_unknown())
        self._drop_settled()
        since = [entry[1].uncertain_since for entry in self._ready if entry[1].uncertain_since is not None]
        if since and self._closed is None:
            due = min(since) + self._dedup_window * _SAFE_PART - self._clock.time()
            self._expiry = self._clock.call_later(max(due, 0.001), self._expire)

    def _drop_settled(self) -> None:
        settled = [publication for _, publication in self._ready if publication.outcome.done()]
        if settled:
            self._ready = [entry for entry in self._ready if not entry[1].outcome.done()]
            self._ready.sort()
            for publication in settled:
                self._release(publication)


def _unknown() -> PublishUnknown:
    return PublishUnknown("the link ended before the answer, and a retry would come after the node's dedup window")
