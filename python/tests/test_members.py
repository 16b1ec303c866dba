"""The live list of a room's members, and rooms that the server adds the client to."""

from __future__ import annotations

import asyncio
from typing import Any

from roomcast import Added, Closed, Member, MemberList, Position, Refused

from .scripted_node import NodeTest, collect, message, soon

ANN: dict[str, Any] = {"connection": "c1", "user": "ann", "data": {"name": "Ann"}}
BOB: dict[str, Any] = {"connection": "c2", "user": "bob"}


def snapshot(*members: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"count": len(members), "users": len(members), "members": list(members), **more}


def names(members: MemberList) -> tuple[list[str | None], int, bool]:
    return [one.user for one in members.members], members.count, members.partial


class MemberLists(NodeTest):
    async def test_follow_who_comes_and_goes_and_what_they_say(self) -> None:
        rc, peer = await self.enter()
        room = rc.room("r", members=True)
        self.assertEqual(room.member_list, MemberList())
        entering = asyncio.ensure_future(room.__aenter__())
        self.assertEqual((await peer.joined(members=snapshot(ANN)))[3], {"members": True})
        await soon(entering)
        self.assertEqual(room.member_list.members, (Member("c1", "ann", None, {"name": "Ann"}),))
        lists = room.member_lists()
        changes: list[tuple[list[Any], tuple[list[str | None], int, bool]]] = [
            (["member", "r", "joined", BOB, 2], (["ann", "bob"], 2, False)),
            (["member", "r", "left", ANN, 1], (["bob"], 1, False)),
            (["member", "r", "joined", None, 900], ([], 900, True)),
            (["presence", "r", BOB], ([], 900, True)),
            (["members", "r", snapshot(BOB, ANN)], (["bob", "ann"], 2, False)),
        ]
        self.assertEqual(names(await soon(anext(lists))), (["ann"], 1, False))
        for frame, expected in changes:
            await peer.send(frame)
            if frame[0] != "presence":
                self.assertEqual(names(await soon(anext(lists))), expected)
        await peer.send(["presence", "r", {**BOB, "data": "away"}])
        self.assertEqual((await soon(anext(lists))).members[0].data, "away")

    async def test_are_as_new_as_the_last_join_after_a_reconnect(self) -> None:
        rc, peer = await self.enter()
        room = rc.room("r", members=True)
        entering = asyncio.ensure_future(room.__aenter__())
        await peer.joined(offset=5, members=snapshot(ANN, BOB))
        await soon(entering)
        lists = room.member_lists()
        await soon(anext(lists))
        peer.drop()
        peer = await self.again()
        self.assertEqual(names(room.member_list), (["ann", "bob"], 2, False))
        self.assertEqual((await peer.joined(offset=5, members=snapshot(BOB)))[3], {"since": ["e", 5], "members": True})
        self.assertEqual(names(await soon(anext(lists))), (["bob"], 1, False))

    async def test_of_a_handle_that_comes_later_join_again_in_place(self) -> None:
        rc, peer = await self.enter()
        one = await self.enter_room(rc, peer, offset=1)
        await peer.send(["member", "r", "joined", BOB, 2], message(2))
        await soon(collect(one, 1))
        lists = one.member_lists()
        first = asyncio.ensure_future(anext(lists))
        self.assertEqual(
            (await peer.joined(offset=2, members=snapshot(ANN, BOB)))[3], {"since": ["e", 2], "members": True}
        )
        self.assertEqual(names(await soon(first)), (["ann", "bob"], 2, False))
        async with rc.room("r", members=True) as two:
            self.assertIs(two.member_list, one.member_list)
        self.assertEqual(two.member_list, MemberList())

    async def test_cost_no_membership_where_the_node_cannot_tell_them(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer, offset=1)
        first = asyncio.ensure_future(anext(room.member_lists()))
        join = await peer.next("join")
        await peer.send(["error", join[1], "timeout", "Redis does not answer"])
        options = (await peer.joined(offset=1, members=snapshot(ANN)))[3]
        self.assertEqual(options, {"since": ["e", 1], "members": True})
        self.assertEqual(names(await soon(first)), (["ann"], 1, False))
        await peer.send(message(2))
        self.assertEqual([one.offset for one in await soon(collect(room, 1))], [2])

    async def test_end_with_the_handle(self) -> None:
        rc, peer = await self.enter()
        room = rc.room("r", members=True)
        entering = asyncio.ensure_future(room.__aenter__())
        await peer.joined(members=snapshot(ANN))
        await soon(entering)
        told: asyncio.Queue[MemberList] = asyncio.Queue()

        async def follow() -> None:
            async for members in room.member_lists():
                told.put_nowait(members)

        following = asyncio.ensure_future(follow())
        self.assertEqual(names(await soon(told.get())), (["ann"], 1, False))
        await room.__aexit__(None, None, None)
        await soon(following)
        self.assertTrue(told.empty())

    async def test_raise_why_there_is_none(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        first = asyncio.ensure_future(anext(room.member_lists()))
        join = await peer.next("join")
        await peer.send(["error", join[1], "bad_request", "this room keeps no presence"])
        with self.assertRaises(Refused):
            await soon(first)


class Additions(NodeTest):
    async def test_name_the_rooms_that_the_server_adds_the_client_to(self) -> None:
        rc, peer = await self.enter()
        additions = rc.additions()
        first = asyncio.ensure_future(anext(additions))
        await asyncio.sleep(0)
        await peer.send(["joined", "team", {"epoch": "e", "offset": 7, "recovered": False}])
        added = await soon(first)
        self.assertEqual(added, Added("team", Position("e", 7)))
        reading = asyncio.ensure_future(collect(rc.room(added.room, since=added.position), 1))
        self.assertEqual((await peer.joined(offset=8))[3], {"since": ["e", 7]})
        await peer.send(message(8, room="team"))
        self.assertEqual([one.offset for one in await soon(reading)], [8])
        await rc.close()
        with self.assertRaises(StopAsyncIteration):
            await soon(anext(additions))
        with self.assertRaises(Closed):
            await rc.members("team")

    async def test_end_the_wait_of_a_room_whose_join_was_put_off(self) -> None:
        rc, peer = await self.enter()
        room = rc.room("team")
        entering = asyncio.ensure_future(room.__aenter__())
        join = await peer.next("join")
        await peer.send(["error", join[1], "unavailable", "later", {"retryAfterMs": 60_000}])
        await peer.send(["joined", "team", {"epoch": "e", "offset": 0, "recovered": False}])
        await peer.joined()
        await soon(entering)
