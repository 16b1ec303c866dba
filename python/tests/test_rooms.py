"""Rooms over a connection: joins, leaves, positions, slow loops."""

from __future__ import annotations

import asyncio
import gc
import http
import unittest
import warnings

from roomcast import (
    Gap,
    Joined,
    Position,
    Refused,
    RemovedFromRoom,
    Reset,
    Signal,
)

from .scripted_node import NodeTest, collect, message, soon, until


class Rooms(NodeTest):
    async def test_are_joined_once_and_left_when_the_last_handle_goes(self) -> None:
        rc, peer = await self.enter()
        one = await self.enter_room(rc, peer)
        async with rc.room("r") as two:
            await peer.send(message(1))
            for room in (one, two):
                self.assertEqual([got.offset for got in await soon(collect(room, 1))], [1])
        await peer.send(message(2))
        self.assertEqual([got.offset for got in await soon(collect(one, 1))], [2])
        await one.__aexit__(None, None, None)
        self.assertEqual((await peer.next("leave"))[2], "r")
        self.assertTrue(peer.frames.empty())

    async def test_left_and_joined_inside_a_loop_deliver_nothing_twice(self) -> None:
        rc, peer = await self.enter()
        got: list[int] = []

        async def read() -> None:
            position: Position | None = None
            for _ in range(3):
                async with rc.room("r", since=position) as room:
                    async for one in room:
                        got.append(one.offset)
                        position = one.position
                        break

        reading = asyncio.ensure_future(read())
        await peer.joined()
        await peer.send(message(1), message(2))
        # The handle above is left by now, and the second message belongs to it.
        self.assertEqual((await peer.next("leave"))[2], "r")
        self.assertEqual((await peer.joined(offset=2))[3], {"since": ["e", 1]})
        await peer.send(message(2), message(3))
        await peer.next("leave")
        self.assertEqual((await peer.joined(offset=3))[3], {"since": ["e", 2]})
        await peer.send(message(3))
        await soon(reading)
        self.assertEqual(got, [1, 2, 3])

    async def test_with_one_handle_after_the_other_deliver_nothing_twice(self) -> None:
        """The second handle comes before the first one's loop is cleaned up: it shares the membership, and begins where it says."""
        rc, peer = await self.enter()
        got: list[int] = []

        async def read() -> None:
            position: Position | None = None
            for _ in range(2):
                async for one in rc.room("r", since=position):
                    got.append(one.offset)
                    position = one.position
                    break

        reading = asyncio.ensure_future(read())
        await peer.joined()
        await peer.send(message(1), message(2))
        asked = await peer.next("history")
        self.assertEqual(asked[3]["since"], ["e", 1])
        await peer.send(["ok", asked[1], {"epoch": "e", "offset": 2, "messages": [message(2)]}])
        await soon(reading)
        await peer.next("leave")
        self.assertEqual(got, [1, 2])

    async def test_ignore_what_belongs_to_an_earlier_membership(self) -> None:
        rc, peer = await self.enter()
        room = rc.room("r")
        entering = asyncio.ensure_future(room.__aenter__())
        join = await peer.next("join")
        await peer.send(
            message(8),
            ["reset", "r", "old", 1],
            ["ok", join[1], {"epoch": "e", "offset": 9, "recovered": False}],
            message(10),
        )
        await soon(entering)
        self.assertEqual([one.offset for one in await soon(collect(room, 1))], [10])
        self.assertEqual(room.position, Position("e", 10))

    async def test_tell_of_no_gap_in_what_was_given(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        await peer.send(message(1), ["gap", "r", 1, 1, "replaced"], ["gap", "r", 1, 3, "expired"], message(4))
        events = await soon(collect(room.events(), 4))
        self.assertEqual(events[2], Gap("r", 2, 3, "expired"))
        self.assertEqual(events[3].offset, 4)

    async def test_tell_of_gaps_and_resets_with_reasons(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        await peer.send(
            message(1),
            ["gap", "r", 2, 4, "limited"],
            ["gap", "r", 5, 6, "expired"],
            message(7),
            ["reset", "r", "f", 2],
            message(3),
        )
        await peer.send(["signal", "r", 5, "bob", "typing"], ["invented-later", "r", 1])
        events = await soon(collect(room.events(), 8))
        self.assertEqual(events[0], Joined("r", "e", 0, False, 0))
        self.assertEqual(events[2:4], [Gap("r", 2, 4, "limited"), Gap("r", 5, 6, "expired")])
        self.assertEqual(events[5], Reset("r", "f", 2))
        self.assertEqual((events[6].epoch, events[6].offset), ("f", 3))
        self.assertEqual(events[7], Signal("r", 5, "bob", "typing"))

    async def test_warn_of_loss_in_loops_that_see_only_messages(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        await peer.send(["gap", "r", 1, 4, "expired"], message(5))
        with self.assertLogs("roomcast", "WARNING") as logs:
            await soon(collect(room, 1))
        self.assertIn("messages 1 to 4 are lost", logs.output[0])

    async def test_keep_their_position_when_a_join_fails_for_a_while(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer, offset=5)
        peer.drop()
        peer = await self.again()
        for code in ("unavailable", "timeout", "internal", "rate_limited"):
            join = await peer.next("join")
            self.assertEqual(join[3], {"since": ["e", 5]})
            await peer.send(["error", join[1], code, "later", {"retryAfterMs": 1}])
        self.assertEqual((await peer.joined(offset=6, recovered=True))[3], {"since": ["e", 5]})
        await peer.send(message(6))
        self.assertEqual([one.offset for one in await soon(collect(room, 1))], [6])

    async def test_that_are_refused_say_so_and_can_be_tried_again(self) -> None:
        rc, peer = await self.enter()
        entering = asyncio.ensure_future(rc.room("r").__aenter__())
        join = await peer.next("join")
        await peer.send(["error", join[1], "forbidden", "the rule of r says no"])
        with self.assertRaisesRegex(Refused, "the rule of r says no"):
            await soon(entering)
        await self.enter_room(rc, peer)

    async def test_that_end_raise_in_their_loops_and_are_not_joined_again(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        await self.enter_room(rc, peer, "other")
        await peer.send(message(1), ["removed", "r", "your token was replaced"])
        got: list[int] = []
        with self.assertRaisesRegex(RemovedFromRoom, "your token was replaced"):
            async for one in room:
                got.append(one.offset)
        self.assertEqual(got, [1])
        peer.drop()
        peer = await self.again()
        self.assertEqual((await peer.joined())[2], "other")
        self.assertTrue(peer.frames.empty())

    async def test_whose_loop_is_slow_or_fails_hold_up_nobody(self) -> None:
        rc, peer = await self.enter()
        slow = await self.enter_room(rc, peer, "slow", buffer=10)
        fast = await self.enter_room(rc, peer, "fast")

        async def failing() -> None:
            async for _ in slow:
                raise ValueError("a fault of the application")

        broken = asyncio.ensure_future(failing())
        await peer.send(*(message(offset, "slow") for offset in range(1, 101)))
        await peer.send(message(1, "fast"))
        self.assertEqual([one.offset for one in await soon(collect(fast, 1))], [1])
        with self.assertRaises(ValueError):
            await soon(broken)
        # What did not fit is read from history, and nothing is missing, though the store is away for a while.
        codes = ["unavailable", "timeout", "internal", "rate_limited"]
        reading = asyncio.ensure_future(collect(slow, 99))
        while not reading.done():
            asked = asyncio.ensure_future(peer.frames.get())
            await asyncio.wait({asked, reading}, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            if not asked.done():
                asked.cancel()
                break
            _, number, _, options = asked.result()
            if codes:
                await peer.send(["error", number, codes.pop(), "later", {"retryAfterMs": 1}])
                continue
            since = options["since"][1]
            page = [message(offset, "slow") for offset in range(since + 1, min(since + options["limit"], 100) + 1)]
            await peer.send(["ok", number, {"epoch": "e", "offset": 100, "messages": page}])
        self.assertEqual([one.offset for one in await soon(reading)], list(range(2, 101)))

    async def test_answer_what_they_are_asked_and_ask_again_after_a_cut(self) -> None:
        rc, peer = await self.enter()
        asking = asyncio.ensure_future(rc.members("r", limit=2))
        await peer.next("members")
        peer.drop()
        peer = await self.again()
        frame = await peer.next("members")
        self.assertEqual(frame[3], {"limit": 2})
        await peer.send(["error", frame[1], "rate_limited", "too fast", {"retryAfterMs": 1}])
        frame = await peer.next("members")
        await peer.send(
            ["ok", frame[1], {"count": 1, "users": 1, "members": [{"connection": "c", "user": "ann"}], "next": "x"}]
        )
        members = await soon(asking)
        self.assertEqual((members.count, members.members[0].user, members.next), (1, "ann", "x"))
        acking = asyncio.ensure_future(rc.ack("r", Position("e", 5)))
        frame = await peer.next("ack")
        self.assertEqual(frame[3], ["e", 5])
        await peer.send(["ok", frame[1], {"epoch": "e", "offset": 7}])
        self.assertEqual(await soon(acking), Position("e", 7))

    async def test_keep_presence_data_over_reconnects(self) -> None:
        rc, peer = await self.enter()
        room = rc.room("r", data={"name": "Ann"})
        entering = asyncio.ensure_future(room.__aenter__())
        self.assertEqual((await peer.joined())[3], {"data": {"name": "Ann"}})
        await soon(entering)
        setting = asyncio.ensure_future(room.set_presence({"name": "Ann", "typing": True}))
        frame = await peer.next("presence")
        self.assertEqual(frame[2:], ["r", {"name": "Ann", "typing": True}])
        await peer.send(["ok", frame[1], {}])
        await soon(setting)
        peer.drop()
        peer = await self.again()
        self.assertEqual((await peer.joined())[3], {"since": ["e", 0], "data": {"name": "Ann", "typing": True}})
        # Said while the link is away: the next join carries it, and a join that is on its way already is followed by it.
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        peer.drop()
        await until(rc, lambda state: state == "waiting")
        setting = asyncio.ensure_future(room.set_presence("back"))
        await asyncio.sleep(0)
        self.node.refusal = None
        peer = await self.again()
        self.assertEqual((await peer.joined())[3]["data"], "back")
        frame = await peer.next("presence")
        peer.drop()
        peer = await self.again()
        self.assertEqual((await peer.joined())[3]["data"], "back")
        await soon(setting)
        late = asyncio.ensure_future(rc.room("r", data="from a second handle").__aenter__())
        frame = await peer.next("presence")
        self.assertEqual(frame[2:], ["r", "from a second handle"])
        await peer.send(["ok", frame[1], {}])
        await soon(late)

    async def test_that_are_personal_are_not_left(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer, "$user:ann", resume=True)
        await room.__aexit__(None, None, None)
        asking = asyncio.ensure_future(rc.history("r"))
        await peer.next("history")
        asking.cancel()

    async def test_do_not_warn_of_loops_that_are_left(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rc, peer = await self.enter()
            reading = asyncio.ensure_future(collect(rc.room("r"), 1))
            await peer.joined()
            await peer.send(message(1))
            await soon(reading)
            await peer.next("leave")
            gc.collect()


if __name__ == "__main__":
    unittest.main()
