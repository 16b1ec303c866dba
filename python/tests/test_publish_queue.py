"""The queue of publishes, with a clock that the test moves and a link that it answers for."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from roomcast.errors import Closed, LinkLost, PayloadTooLarge, PublishUnknown, QueueFull, Refused
from roomcast.events import Published
from roomcast.frames import pack
from roomcast.publish_queue import Publication, PublishQueue

WINDOW = 300.0


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None], asyncio.TimerHandle]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, callback, (), asyncio.get_running_loop())
        self.timers.append((self.now + delay, callback, handle))
        return handle

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= until and not timer[2].cancelled()]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = until


class FakeLink:
    def __init__(self) -> None:
        self.sent: list[tuple[Any, Mapping[str, Any], Callable[[Any, Exception | None], None]]] = []

    def publish(self, on_reply: Callable[[Any, Exception | None], None], body: bytes) -> None:
        unpacker = msgpack.Unpacker()
        unpacker.feed(body)
        _, number, options = unpacker
        self.sent.append((number, options, on_reply))

    @property
    def numbers(self) -> list[int]:
        return [number for number, _, _ in self.sent]

    def store(self, index: int, offset: int = 1) -> None:
        self.sent[index][2]({"epoch": "e", "offset": offset}, None)

    def refuse(self, index: int, code: str, retry_after: float | None = None) -> None:
        self.sent[index][2](None, Refused(code, "no", retry_after))


class TheQueue(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()

    def queue(self, max_count: int = 1000, max_bytes: int = 10**6, in_flight: int = 64) -> PublishQueue:
        return PublishQueue(
            max_count=max_count, max_bytes=max_bytes, in_flight=in_flight, clock=self.clock, random=lambda: 1.0
        )

    def message(self, number: int, **options: Any) -> Publication:
        return Publication("r", pack(number), {"key": f"key {number}", **options})

    async def put(self, queue: PublishQueue, number: int, **options: Any) -> Publication:
        publication = self.message(number, **options)
        await queue.put(publication)
        return publication

    def attach(self, queue: PublishQueue, max_payload: int = 65536) -> FakeLink:
        link = FakeLink()
        queue.attach(link, max_payload, WINDOW)
        return link

    async def test_sends_what_waited_offline_in_order_and_ahead_of_what_came_later(self) -> None:
        queue = self.queue(in_flight=3)
        for number in range(5):
            await self.put(queue, number)
        link = self.attach(queue)
        await self.put(queue, 5)
        for index in range(6):
            link.store(index)
        self.assertEqual(link.numbers, [0, 1, 2, 3, 4, 5])
        self.assertEqual(queue.count, 0)

    async def test_tells_each_publisher_its_own_outcome(self) -> None:
        queue = self.queue()
        link = self.attach(queue)
        one, two = await self.put(queue, 1), await self.put(queue, 2)
        link.sent[1][2]({"epoch": "e", "offset": 9, "duplicate": True}, None)
        link.refuse(0, "forbidden")
        self.assertEqual(await two.outcome, Published("e", 9, True))
        with self.assertRaises(Refused):
            await one.outcome

    async def test_sends_again_with_the_same_key_what_the_link_left_open(self) -> None:
        queue = self.queue(in_flight=2)
        first = self.attach(queue)
        publications = [await self.put(queue, number) for number in range(4)]
        first.store(0)
        queue.detach()
        first.sent[1][2](None, LinkLost("cut"))
        second = self.attach(queue)
        for index in range(3):
            second.store(index)
        self.assertEqual(second.numbers, [1, 2, 3])
        self.assertEqual(second.sent[0][1], first.sent[1][1])
        for publication in publications:
            self.assertEqual((await publication.outcome), Published("e", 1))

    async def test_hears_nothing_from_a_link_that_has_ended(self) -> None:
        queue = self.queue()
        first = self.attach(queue)
        publication = await self.put(queue, 1)
        queue.detach()
        second = self.attach(queue)
        first.refuse(0, "forbidden")
        self.assertFalse(publication.outcome.done())
        second.store(0)
        self.assertTrue(publication.outcome.done())

    async def test_waits_as_long_as_it_takes_with_what_was_never_sent(self) -> None:
        queue = self.queue()
        publication = await self.put(queue, 1)
        self.clock.advance(100 * WINDOW)
        self.assertFalse(publication.outcome.done())
        self.attach(queue).store(0)
        self.assertEqual(await publication.outcome, Published("e", 1))

    async def test_settles_as_unknown_what_it_can_no_longer_send_again_safely(self) -> None:
        queue = self.queue()
        self.attach(queue)
        publication = await self.put(queue, 1)
        queue.detach()
        self.clock.advance(WINDOW * 0.89)
        self.assertFalse(publication.outcome.done())
        self.clock.advance(WINDOW * 0.02)
        with self.assertRaises(PublishUnknown):
            await publication.outcome
        self.assertEqual(self.attach(queue).sent, [])
        self.assertEqual(queue.count, 0)

    async def test_counts_the_window_from_the_first_attempt_that_may_have_been_stored(self) -> None:
        queue = self.queue()
        link = self.attach(queue)
        publication = await self.put(queue, 1)
        # Nothing was stored: this attempt does not count.
        link.refuse(0, "unavailable")
        self.clock.advance(WINDOW)
        self.assertEqual(len(link.sent), 2)
        link.refuse(1, "timeout")
        began = self.clock.now
        while not publication.outcome.done() and self.clock.now < began + 2 * WINDOW:
            self.clock.advance(1)
            if len(link.sent) > 2 and not publication.outcome.done():
                link.refuse(len(link.sent) - 1, "unavailable")
        with self.assertRaises(PublishUnknown):
            await publication.outcome
        self.assertLessEqual(self.clock.now - began, WINDOW * 0.9 + 6)

    async def test_waits_with_all_when_one_is_refused_for_a_while(self) -> None:
        queue = self.queue(in_flight=2)
        link = self.attach(queue)
        for number in range(4):
            await self.put(queue, number)
        link.refuse(0, "rate_limited", 3.0)
        link.refuse(1, "rate_limited", 3.0)
        self.clock.advance(2.9)
        self.assertEqual(link.numbers, [0, 1])
        self.clock.advance(0.2)
        self.assertEqual(link.numbers, [0, 1, 0, 1])
        link.store(2)
        link.store(3)
        self.assertEqual(link.numbers, [0, 1, 0, 1, 2, 3])

    async def test_one_at_a_time_lets_nothing_overtake_whatever_the_node_answers(self) -> None:
        queue = self.queue(in_flight=1)
        link = self.attach(queue)
        for number in range(3):
            await self.put(queue, number)
        link.refuse(0, "unavailable")
        self.clock.advance(10)
        for index in range(1, 4):
            link.store(index)
        self.assertEqual(link.numbers, [0, 0, 1, 2])

    async def test_does_not_keep_a_wait_for_the_next_link(self) -> None:
        queue = self.queue()
        link = self.attach(queue)
        await self.put(queue, 1)
        link.refuse(0, "rate_limited", 60.0)
        queue.detach()
        self.assertEqual(self.attach(queue).numbers, [1])

    async def test_is_bounded_by_count_and_says_so_offline(self) -> None:
        queue = self.queue(max_count=2)
        await self.put(queue, 1)
        await self.put(queue, 2)
        with self.assertRaises(QueueFull):
            await self.put(queue, 3)
        self.attach(queue).store(0)
        await self.put(queue, 3)

    async def test_is_bounded_by_bytes(self) -> None:
        queue = self.queue(max_bytes=1000)
        await queue.put(Publication("r", pack(bytes(500)), {}))
        with self.assertRaises(QueueFull):
            await queue.put(Publication("r", pack(bytes(500)), {}))
        with self.assertRaises(QueueFull):
            await queue.put(Publication("r", pack(bytes(2000)), {}))

    async def test_lets_publishers_wait_for_room_while_there_is_a_link_in_order(self) -> None:
        queue = self.queue(max_count=1)
        link = self.attach(queue)
        puts = [asyncio.ensure_future(self.put(queue, number)) for number in range(4)]
        await asyncio.sleep(0)
        self.assertEqual(link.numbers, [0])
        puts[2].cancel()
        await asyncio.sleep(0)
        link.store(0)
        link.store(1)
        self.assertEqual(link.numbers, [0, 1, 3])
        link.store(2)
        self.assertEqual(queue.count, 0)

    async def test_publishers_that_wait_for_room_are_told_when_the_link_goes(self) -> None:
        queue = self.queue(max_count=1)
        self.attach(queue)
        await self.put(queue, 1)
        waiting = asyncio.ensure_future(self.put(queue, 2))
        await asyncio.sleep(0)
        queue.detach()
        with self.assertRaises(QueueFull):
            await waiting

    async def test_refuses_what_the_node_would_not_take(self) -> None:
        queue = self.queue()
        link = self.attach(queue, max_payload=100)
        with self.assertRaises(PayloadTooLarge):
            await queue.put(Publication("r", pack(bytes(100)), {}))
        self.assertEqual(link.sent, [])

    async def test_drops_signals_offline_and_those_that_the_link_left_open(self) -> None:
        queue = self.queue()
        offline = Publication("r", pack(1), {"ephemeral": True})
        await queue.put(offline)
        self.assertIsNone(await offline.outcome)
        self.attach(queue)
        lost = Publication("r", pack(2), {"ephemeral": True})
        await queue.put(lost)
        queue.detach()
        self.assertIsNone(await lost.outcome)
        self.assertEqual(self.attach(queue).sent, [])

    async def test_sends_signals_in_their_place_among_messages(self) -> None:
        queue = self.queue()
        link = self.attach(queue)
        await self.put(queue, 1)
        await queue.put(Publication("r", pack(2), {"ephemeral": True}))
        await self.put(queue, 3)
        self.assertEqual(link.numbers, [1, 2, 3])
        self.assertNotIn("key", link.sent[1][1])

    async def test_does_not_send_what_its_publisher_gave_up(self) -> None:
        queue = self.queue()
        waits, sent = await self.put(queue, 1), self.message(2)
        queue.abandon(waits)
        link = self.attach(queue)
        self.assertEqual(link.sent, [])
        await queue.put(sent)
        queue.abandon(sent)
        queue.detach()
        self.assertEqual(self.attach(queue).sent, [])
        self.assertEqual(queue.count, 0)

    async def test_settles_everything_when_it_closes(self) -> None:
        queue = self.queue(in_flight=1, max_count=2)
        self.attach(queue)
        sent, waits = await self.put(queue, 1), await self.put(queue, 2)
        queue.close(Closed("closed"))
        with self.assertRaises(PublishUnknown):
            await sent.outcome
        with self.assertRaises(Closed):
            await waits.outcome
        with self.assertRaises(Closed):
            await self.put(queue, 3)
        await queue.drained()
        self.assertEqual([timer for timer in self.clock.timers if not timer[2].cancelled()], [])

    async def test_is_drained_when_the_last_has_its_outcome(self) -> None:
        queue = self.queue()
        link = self.attach(queue)
        await self.put(queue, 1)
        drained = asyncio.ensure_future(queue.drained())
        await asyncio.sleep(0)
        self.assertFalse(drained.done())
        link.store(0)
        await drained

    def test_wants_sensible_bounds(self) -> None:
        for name in ("max_count", "max_bytes", "in_flight"):
            with self.assertRaisesRegex(ValueError, "at least 1"):
                self.queue(**{name: 0})


if __name__ == "__main__":
    unittest.main()
