"""Memberships and readers: where a room stands, what is new, and what a slow loop gets."""

from __future__ import annotations

import asyncio
import unittest
from typing import Any

from roomcast.errors import Refused, RemovedFromRoom
from roomcast.events import Event, Gap, History, Joined, Message, Position, Removed, Reset, Signal, Skipped
from roomcast.membership import Membership
from roomcast.reader import Reader


def message(offset: int, epoch: str = "e") -> Message:
    return Message("r", epoch, offset, 0, None, offset)


def frame(offset: int) -> list[Any]:
    return ["message", "r", offset, 0, None, offset]


class Store:
    """What history answers, and what it was asked."""

    def __init__(self, *offsets: int, epoch: str = "e") -> None:
        self.epoch = epoch
        self.offsets = list(offsets)
        self.asked: list[tuple[Position, int]] = []
        self.before_answer: list[Any] = []

    async def read(self, since: Position, limit: int) -> History:
        # A node's pages may be shorter than asked for.
        limit = min(limit, 4)
        self.asked.append((since, limit))
        start = since.offset if since.epoch == self.epoch else 0
        offsets = [offset for offset in self.offsets if offset > start][:limit]
        page = History(
            self.epoch,
            self.offsets[-1] if self.offsets else 0,
            tuple(message(offset, self.epoch) for offset in offsets),
        )
        for event in self.before_answer:
            event()
        self.before_answer = []
        return page


class AReader(unittest.IsolatedAsyncioTestCase):
    def reader(self, store: Store, count: int = 3, size: int = 10**6) -> Reader:
        reader = Reader("r", count, size, store.read)
        reader.start(Position("e", 0))
        return reader

    def push(self, reader: Reader, *offsets: int) -> None:
        for offset in offsets:
            reader.push(message(offset), 10, Position("e", offset))

    async def read(self, reader: Reader, count: int) -> list[Event]:
        return [await asyncio.wait_for(self.next(reader), 2) for _ in range(count)]

    async def next(self, reader: Reader) -> Event:
        event = await reader.next()
        assert event is not None
        return event

    async def test_gets_events_in_order(self) -> None:
        reader = self.reader(Store())
        self.push(reader, 1, 2)
        reader.push(Signal("r", 0, None, "x"), 10, Position("e", 2))
        self.assertEqual(await self.read(reader, 3), [message(1), message(2), Signal("r", 0, None, "x")])
        self.assertEqual(reader.position, Position("e", 2))

    async def test_that_is_slow_reads_the_rest_from_history_and_goes_on_live(self) -> None:
        store = Store(*range(1, 11))
        reader = self.reader(store)
        self.push(reader, *range(1, 11))
        self.assertEqual(await self.read(reader, 10), [message(offset) for offset in range(1, 11)])
        self.assertEqual(store.asked, [(Position("e", 3), 4), (Position("e", 7), 4)])
        self.push(reader, 11)
        self.assertEqual(await self.read(reader, 1), [message(11)])

    async def test_misses_and_repeats_nothing_at_the_seam(self) -> None:
        store = Store(1, 2, 3, 4)
        reader = self.reader(store)
        self.push(reader, 1, 2, 3, 4)

        def meanwhile() -> None:
            # Stored after the read, delivered before its answer: not in the page, and not in the queue.
            store.offsets.append(5)
            self.push(reader, 5)

        store.before_answer = [meanwhile]
        self.assertEqual(await self.read(reader, 5), [message(offset) for offset in range(1, 6)])
        # In the page, and delivered after it.
        self.push(reader, 6, 7, 8, 9)
        store.offsets += [6, 7, 8, 9, 10]
        self.assertEqual(await self.read(reader, 5), [message(offset) for offset in range(6, 11)])
        self.push(reader, 10, 11)
        self.assertEqual(await self.read(reader, 1), [message(11)])

    async def test_is_told_what_history_no_longer_has(self) -> None:
        store = Store(7, 8)
        reader = self.reader(store)
        self.push(reader, *range(1, 9))
        read = await self.read(reader, 6)
        self.assertEqual(read[3:], [Gap("r", 4, 6, "expired"), message(7), message(8)])

    async def test_is_told_when_all_of_it_is_gone(self) -> None:
        store = Store()
        store.read = lambda since, limit: asyncio.sleep(0, History("e", 8, ()))  # type: ignore[method-assign]
        reader = self.reader(store)
        self.push(reader, *range(1, 9))
        self.assertEqual((await self.read(reader, 4))[3], Gap("r", 4, 8, "expired"))
        self.push(reader, 9)
        self.assertEqual(await self.read(reader, 1), [message(9)])

    async def test_is_told_of_a_new_epoch_that_it_slept_through(self) -> None:
        store = Store(1, 2, epoch="f")
        reader = self.reader(store)
        self.push(reader, 1, 2, 3, 4)
        reader.push(Reset("r", "f", 0), 0, Position("f", 0))
        reader.push(message(1, "f"), 10, Position("f", 1))
        reader.push(message(2, "f"), 10, Position("f", 2))
        self.assertEqual((await self.read(reader, 6))[3:], [Reset("r", "f", 0), message(1, "f"), message(2, "f")])
        reader.push(message(3, "f"), 10, Position("f", 3))
        self.assertEqual(await self.read(reader, 1), [message(3, "f")])

    async def test_waits_where_the_store_has_lost_what_the_connection_saw(self) -> None:
        store = Store(1, 2, 3)
        reader = self.reader(store)
        self.push(reader, 1, 2, 3, 4)
        await self.read(reader, 3)
        waiting = asyncio.ensure_future(self.next(reader))
        for _ in range(20):
            await asyncio.sleep(0)
        self.assertEqual(len(store.asked), 1)
        store.epoch = "f"
        reader.push(Reset("r", "f", 3), 0, Position("f", 3))
        self.assertEqual(await asyncio.wait_for(waiting, 2), Reset("r", "f", 0))

    async def test_is_bounded_by_bytes_too(self) -> None:
        store = Store(1, 2)
        reader = self.reader(store, count=100, size=15)
        self.push(reader, 1, 2)
        self.assertEqual(await self.read(reader, 2), [message(1), message(2)])
        self.assertEqual(len(store.asked), 1)

    async def test_is_told_how_much_was_dropped_that_cannot_be_had_again(self) -> None:
        reader = Reader("r", 2, 10**6, Store().read)
        reader.start(Position("", 0))
        for number in range(5):
            reader.push(Message("r", "", 0, 0, None, number), 10, Position("", 0))
        events = await self.read(reader, 3)
        self.assertEqual([event.data for event in events[:2] if isinstance(event, Message)], [0, 1])
        self.assertEqual(events[2], Skipped("r", 3))

    async def test_that_begins_later_gets_the_newest_from_history(self) -> None:
        store = Store(1, 2, 3, 4, 5)
        reader = Reader("r", 10, 10**6, store.read)
        reader.start(Position("e", 5), None, 2)
        self.assertEqual(await self.read(reader, 2), [message(4), message(5)])
        self.push(reader, 6)
        self.assertEqual(await self.read(reader, 1), [message(6)])
        # Fewer kept than asked for is no gap: it named no position.
        short = Reader("r", 10, 10**6, Store(5).read)
        short.start(Position("e", 5), None, 3)
        self.assertEqual(await self.read(short, 1), [message(5)])

    async def test_that_begins_later_gets_what_followed_its_position(self) -> None:
        store = Store(1, 2, 3)
        reader = Reader("r", 10, 10**6, store.read)
        reader.start(Position("e", 3), Position("e", 1), None)
        self.assertEqual(await self.read(reader, 2), [message(2), message(3)])

    async def test_gives_what_it_has_before_it_says_why_it_ends(self) -> None:
        reader = self.reader(Store())
        self.push(reader, 1)
        reader.end(Refused("forbidden", "no"))
        self.assertEqual(await self.read(reader, 1), [message(1)])
        with self.assertRaises(Refused):
            await reader.next()
        calm = self.reader(Store())
        calm.end(None)
        self.assertIsNone(await calm.next())

    async def test_serves_one_loop_at_a_time(self) -> None:
        reader = self.reader(Store())
        first = asyncio.ensure_future(reader.next())
        await asyncio.sleep(0)
        with self.assertRaisesRegex(RuntimeError, "two loops"):
            await reader.next()
        self.push(reader, 1)
        self.assertEqual(await first, message(1))

    async def test_can_be_cancelled_and_read_on(self) -> None:
        reader = self.reader(Store())
        waiting = asyncio.ensure_future(reader.next())
        await asyncio.sleep(0)
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.push(reader, 1)
        self.assertEqual(await self.read(reader, 1), [message(1)])


class AMembership(unittest.IsolatedAsyncioTestCase):
    def member(self, **options: Any) -> tuple[Membership, Reader]:
        membership = Membership("r", **options)
        reader = Reader("r", 100, 10**6, Store().read)
        membership.add(reader, None, None)
        return membership, reader

    async def test_asks_for_the_newest_once_and_for_what_it_missed_after_that(self) -> None:
        membership, _ = self.member(last=50)
        self.assertEqual(membership.join_options(), {"last": 50})
        membership.disconnected()
        self.assertEqual(membership.join_options(), {"last": 50})
        membership.joined({"epoch": "e", "offset": 42, "recovered": False, "from": 40})
        self.assertEqual(membership.join_options(), {"since": ["e", 40]})
        membership.push(frame(41), 10)
        self.assertEqual(membership.join_options(), {"since": ["e", 41]})

    async def test_asks_again_for_what_stands_in_a_room_without_history(self) -> None:
        membership, reader = self.member(last=5)
        membership.joined({"epoch": "", "offset": 0, "recovered": False, "from": 0})
        membership.push(frame(0), 10)
        membership.disconnected()
        self.assertEqual(membership.join_options(), {"last": 5})
        membership.joined({"epoch": "", "offset": 0, "recovered": False, "from": 0})
        membership.push(frame(0), 10)
        self.assertEqual([type(await reader.next()).__name__ for _ in range(4)], ["Joined", "Message"] * 2)

    async def test_takes_its_position_as_the_protocol_says(self) -> None:
        since = Position("e", 5)
        ok = {"epoch": "e", "offset": 9, "recovered": True}
        cases: list[tuple[dict[str, Any], dict[str, Any], tuple[str, int]]] = [
            ({}, ok, ("e", 9)),
            ({"since": since}, ok, ("e", 5)),
            ({"since": since, "last": 2}, {**ok, "from": 7}, ("e", 7)),
            ({"since": Position("", 0)}, ok, ("e", 0)),
            ({"since": Position("d", 5)}, ok, ("d", 5)),
            ({"resume": True}, {**ok, "acked": 3}, ("e", 3)),
            ({"resume": True}, {**ok, "acked": None}, ("e", 9)),
            ({"resume": True}, ok, ("e", 9)),
            ({"last": 0}, {**ok, "from": 9}, ("e", 9)),
            ({}, {"epoch": "", "offset": 0, "recovered": False}, ("", 0)),
        ]
        for options, result, position in cases:
            membership, reader = self.member(**options)
            membership.joined(result)
            self.assertEqual(membership.position, position, options)
            self.assertEqual(reader.position, position, options)

    async def test_says_what_recovery_brings(self) -> None:
        membership, reader = self.member()
        membership.joined({"epoch": "e", "offset": 5, "recovered": False})
        membership.disconnected()
        membership.joined({"epoch": "e", "offset": 9, "recovered": True})
        self.assertEqual(await reader.next(), Joined("r", "e", 5, False, 0))
        self.assertEqual(await reader.next(), Joined("r", "e", 9, True, 4))

    async def test_drops_repeats_by_offset(self) -> None:
        membership, reader = self.member(since=Position("e", 3))
        membership.joined({"epoch": "e", "offset": 5, "recovered": True})
        await reader.next()
        for offset in (3, 4, 4, 2, 5):
            membership.push(frame(offset), 10)
        self.assertEqual([await reader.next(), await reader.next()], [message(4), message(5)])
        self.assertEqual(membership.position, Position("e", 5))

    async def test_hears_nothing_of_a_membership_that_has_ended(self) -> None:
        membership, reader = self.member()
        membership.push(frame(1), 10)
        membership.joined({"epoch": "e", "offset": 5, "recovered": False})
        await reader.next()
        membership.disconnected()
        membership.push(frame(6), 10)
        membership.push(["reset", "r", "d", 1], 10)
        self.assertEqual(membership.position, Position("e", 5))
        membership.joined({"epoch": "e", "offset": 6, "recovered": True})
        membership.push(frame(6), 10)
        self.assertEqual([await reader.next(), await reader.next()], [Joined("r", "e", 6, True, 1), message(6)])

    async def test_moves_before_anyone_reads(self) -> None:
        membership, reader = self.member()
        membership.joined({"epoch": "e", "offset": 0, "recovered": False})
        membership.push(frame(1), 10)
        membership.push(["gap", "r", 2, 4, "limited"], 10)
        membership.push(frame(5), 10)
        self.assertEqual(membership.join_options(), {"since": ["e", 5]})
        membership.push(["reset", "r", "f", 2], 10)
        membership.push(frame(3), 10)
        self.assertEqual(membership.position, Position("f", 3))
        events = [await reader.next() for _ in range(6)]
        self.assertEqual(events[2], Gap("r", 2, 4, "limited"))
        self.assertEqual(events[4:], [Reset("r", "f", 2), message(3, "f")])

    async def test_ends_when_the_node_says_so(self) -> None:
        membership, reader = self.member()
        membership.joined({"epoch": "e", "offset": 0, "recovered": False})
        await reader.next()
        membership.push(["removed", "r", "not for you"], 10)
        self.assertEqual(await reader.next(), Removed("r", "not for you"))
        with self.assertRaisesRegex(RemovedFromRoom, "not for you"):
            await reader.next()

    async def test_carries_presence_data_in_every_join(self) -> None:
        membership, _ = self.member(data={"name": "Ann"})
        self.assertEqual(membership.join_options(), {"data": {"name": "Ann"}})
        membership.joined({"epoch": "e", "offset": 5, "recovered": False})
        self.assertEqual(membership.join_options(), {"since": ["e", 5], "data": {"name": "Ann"}})


if __name__ == "__main__":
    unittest.main()
