"""Against real nodes. Not found by `discover`: `test/python/nodes.test.ts` starts the nodes and says where they are.

ROOMCAST_OPEN_URL: a node for everyone. ROOMCAST_USERS_URL: one that wants tokens, signed with ROOMCAST_SECRET,
and takes ROOMCAST_API_KEY.
Both have rules: `plain:*` keeps no history, `acks:*` acknowledgements, `members:*` takes messages of members only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
import unittest
import urllib.request
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from roomcast import (
    Backoff,
    Client,
    Event,
    Joined,
    Member,
    MemberChange,
    Message,
    Position,
    PresenceChange,
    Published,
    Refused,
    RemovedFromRoom,
    Signal,
    Unauthorized,
    connect,
    publish,
)
from roomcast.tokens import TokenReason

from .scripted_node import collect, soon

OPEN = os.environ["ROOMCAST_OPEN_URL"]
USERS = os.environ["ROOMCAST_USERS_URL"]
SECRET = os.environ["ROOMCAST_SECRET"]
API_KEY = os.environ["ROOMCAST_API_KEY"]


def token(user: str, life: float = 3600, **claims: Any) -> str:
    """A JSON Web Token, as a backend would sign it."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256'})}.{part({'sub': user, 'exp': int(time.time() + life), **claims})}"
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def ask_server(path: str, body: dict[str, Any]) -> None:
    """As a backend does it, of the node that knows users."""
    url = USERS.replace("ws", "http", 1).removesuffix("/ws") + path
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).close()


def fresh(kind: str = "room") -> str:
    return f"{kind}:{uuid.uuid4()}"


def open_client(**options: Any) -> Client:
    return connect(OPEN, backoff=Backoff(base=0.05, cap=0.5), **options)


async def take(
    events: AsyncGenerator[Event, None], *kinds: type[Signal] | type[Message]
) -> AsyncIterator[Signal | Message]:
    """One event of each of these kinds, in this order; joins and members in between are left out."""
    for kind in kinds:
        while not isinstance(event := await soon(events.__anext__()), (Signal, Message)):
            pass
        assert isinstance(event, kind), event
        yield event
    await events.aclose()


def drop_link(rc: Client) -> None:
    """Breaks its link without a close frame."""
    session = rc._session
    assert session is not None
    assert session._connection is not None
    session._connection._websocket.transport.abort()


class ForEveryone(unittest.IsolatedAsyncioTestCase):
    async def test_messages_arrive_in_order_with_the_newest_first_asked_for(self) -> None:
        name = fresh()
        async with open_client() as ann, open_client() as bob:
            stored = await asyncio.gather(*(ann.publish(name, {"n": n}) for n in range(20)))
            self.assertEqual([one.offset for one in stored], list(range(1, 21)))
            async with bob.room(name, last=5) as room:
                await ann.publish(name, {"n": 20})
                got = await soon(collect(room, 6))
                self.assertEqual([one.data["n"] for one in got], list(range(15, 21)))
                self.assertEqual(room.position, got[-1].position)
                self.assertEqual((await room.history(limit=3)).messages, tuple(got[-3:]))
            since = got[2].position
            self.assertEqual(await soon(collect(bob.room(name, since=since), 3)), got[3:])

    async def test_values_of_every_kind_come_as_they_were_sent(self) -> None:
        name = fresh()
        values: tuple[Any, ...] = (None, True, -1, 2**53 - 1, 1.5, "grüß 👋", b"\x00\xff", [1, [2]], {"a": {"b": []}})
        for value in values:
            async with open_client() as rc, rc.room(name) as room:
                await room.publish(value)
                (got,) = await soon(collect(room, 1))
                self.assertEqual((got.data, type(got.data)), (value, type(value)))

    async def test_a_message_with_a_key_is_stored_once(self) -> None:
        name = fresh()
        async with open_client() as rc:
            first = await rc.publish(name, "paid", key="order-17")
            again = await rc.publish(name, "paid", key="order-17")
        self.assertEqual((again.offset, again.duplicate), (first.offset, True))

    async def test_a_room_without_history_delivers_to_those_who_are_there(self) -> None:
        name = fresh("plain")
        async with open_client() as rc, rc.room(name, last=10) as room:
            self.assertEqual((await room.publish("x")).offset, 0)
            (got,) = await soon(collect(room, 1))
            self.assertEqual((got.offset, got.data), (0, "x"))

    async def test_members_are_listed_and_announced(self) -> None:
        name = fresh()
        async with open_client() as ann, open_client() as bob, ann.room(name) as room:
            events = room.events()
            self.assertIsInstance(await soon(events.__anext__()), Joined)
            async with bob.room(name):
                while not isinstance(event := await soon(events.__anext__()), MemberChange) or event.count < 2:
                    pass
                self.assertEqual(event.who, Member(bob.status.connection or "", None))
                self.assertEqual((await room.members()).count, 2)
            while not isinstance(event := await soon(events.__anext__()), MemberChange) or event.change != "left":
                pass
            await events.aclose()

    async def test_signals_reach_those_who_are_there_and_leave_nothing_behind(self) -> None:
        name = fresh()
        async with open_client() as ann, open_client() as bob, ann.room(name) as hers, bob.room(name) as his:
            self.assertTrue(await hers.signal({"typing": True}, echo=False))
            await hers.publish("typed")
            told = [event async for event in take(his.events(), Signal, Message)]
            self.assertEqual([event.data for event in told], [{"typing": True}, "typed"])
            self.assertEqual(
                [event.data for event in [event async for event in take(hers.events(), Message)]], ["typed"]
            )
            self.assertEqual([one.data for one in (await ann.history(name)).messages], ["typed"])

    async def test_who_comes_late_gets_the_newest_message_of_each_conflate_key(self) -> None:
        for kind in ("room", "plain"):
            name = fresh(kind)
            async with open_client() as ann, open_client() as bob, ann.room(name):
                for n in range(4):
                    await ann.publish(name, {"x": n}, conflate_key="cursor")
                await ann.publish(name, {"color": "red"}, conflate_key="color")
                newest = await soon(collect(bob.room(name, last=10), 2))
                self.assertEqual([one.data for one in newest], [{"x": 3}, {"color": "red"}])

    async def test_members_see_what_others_say_of_themselves(self) -> None:
        name = fresh()
        async with (
            open_client() as ann,
            open_client() as bob,
            ann.room(name, data={"name": "Ann"}) as hers,
            bob.room(name) as his,
        ):
            by_connection = {one.connection: one for one in (await his.members()).members}
            self.assertEqual(by_connection[ann.status.connection or ""].data, {"name": "Ann"})
            await hers.set_presence({"name": "Ann", "typing": True})
            events = his.events()
            while not isinstance(event := await soon(events.__anext__()), PresenceChange):
                pass
            self.assertEqual(
                event.who, Member(ann.status.connection or "", None, None, {"name": "Ann", "typing": True})
            )
            await events.aclose()
            first = await his.members(limit=1)
            second = await his.members(limit=1, after=first.next)
            self.assertEqual((first.count, first.truncated, second.truncated), (2, True, False))
            self.assertNotEqual(first.members, second.members)
            with self.assertRaisesRegex(Refused, "payload_too_large"):
                await hers.set_presence("x" * 5000)

    async def test_the_list_of_members_follows_them_over_a_lost_link(self) -> None:
        name = fresh()
        async with open_client() as ann, open_client() as bob, ann.room(name, data="Ann", members=True) as hers:

            async def list_is(*expected: str) -> None:
                async for members in hers.member_lists():
                    if sorted(one.data for one in members.members) == sorted(expected):
                        return

            await soon(list_is("Ann"))
            async with bob.room(name, data="Bob") as his:
                await soon(list_is("Ann", "Bob"))
                await his.set_presence("Robert")
                await soon(list_is("Ann", "Robert"))
                drop_link(ann)
            await soon(list_is("Ann"))
            self.assertEqual(hers.member_list.count, 1)

    async def test_a_room_that_the_server_adds_the_user_to_is_named(self) -> None:
        user, name = fresh("user"), fresh()
        async with connect(USERS, token=token(user)) as rc:
            additions = rc.additions()
            first = asyncio.ensure_future(additions.__anext__())
            await asyncio.sleep(0)
            await asyncio.to_thread(ask_server, f"/v1/rooms/{name}/add", {"user": user})
            added = await soon(first)
            self.assertEqual(added.room, name)
            await rc.publish(name, "before the loop")
            got = await soon(collect(rc.room(name, since=added.position), 1))
            self.assertEqual(got[0].data, "before the loop")
            await additions.aclose()

    async def test_presence_data_comes_back_with_its_member(self) -> None:
        name = fresh()
        async with open_client() as ann, open_client() as bob, ann.room(name) as hers, bob.room(name) as his:
            await hers.set_presence("here")
            before = ann.status.connection
            events = his.events()
            drop_link(ann)
            changes: list[MemberChange] = []
            while not changes or changes[-1].who is None or changes[-1].who.connection == before:
                event = await soon(events.__anext__())
                if (
                    isinstance(event, MemberChange)
                    and event.change == "joined"
                    and event.who
                    and event.who.data == "here"
                ):
                    changes.append(event)
            await events.aclose()

    async def test_an_echo_can_be_left_out(self) -> None:
        name = fresh()
        async with open_client() as rc, rc.room(name) as room:
            await room.publish("silent", echo=False)
            await room.publish("aloud")
            self.assertEqual([one.data for one in await soon(collect(room, 1))], ["aloud"])

    async def test_a_loop_that_is_much_too_slow_gets_every_message(self) -> None:
        name = fresh()
        async with open_client() as rc, rc.room(name, buffer=10) as room:
            await asyncio.gather(*(rc.publish(name, n) for n in range(500)))
            self.assertEqual([one.data for one in await soon(collect(room, 500))], list(range(500)))
            await room.publish("live")
            self.assertEqual([one.data for one in await soon(collect(room, 1))], ["live"])

    async def test_two_handles_share_a_membership_and_each_gets_what_it_asked_for(self) -> None:
        name = fresh()
        async with open_client() as rc:
            await asyncio.gather(*(rc.publish(name, n) for n in range(10)))
            async with (
                rc.room(name) as live,
                rc.room(name, last=3) as newest,
                rc.room(name, since=("", 0)) as everything,
            ):
                await rc.publish(name, 10)
                self.assertEqual([one.data for one in await soon(collect(newest, 4))], [7, 8, 9, 10])
                self.assertEqual([one.data for one in await soon(collect(everything, 11))], list(range(11)))
                self.assertEqual([one.data for one in await soon(collect(live, 1))], [10])
                self.assertEqual((await rc.members(name)).count, 1)

    async def test_what_a_room_refuses_is_an_error_with_its_reason(self) -> None:
        async with open_client() as rc:
            with self.assertRaisesRegex(Refused, "not_joined"):
                await rc.publish(fresh("members"), "x")
            with self.assertRaisesRegex(Refused, "bad_room"):
                await rc.room("no*stars").__aenter__()
            name = fresh("members")
            async with rc.room(name) as room:
                self.assertIsInstance(await room.publish("x"), Published)

    def test_a_script_publishes_with_one_call(self) -> None:
        name = fresh()
        first = publish(OPEN, name, {"from": "a script"}, key="once")
        self.assertEqual(publish(OPEN, name, {"from": "a script"}, key="once"), Published(first.epoch, 1, True))


class ForUsers(unittest.IsolatedAsyncioTestCase):
    async def test_a_token_is_refreshed_over_the_open_connection(self) -> None:
        reasons: list[TokenReason] = []
        refreshed = asyncio.Event()

        def get_token(reason: TokenReason) -> str:
            reasons.append(reason)
            if reason == "refresh":
                refreshed.set()
            return token("ann", life=5 if len(reasons) == 1 else 3600)

        async with connect(USERS, get_token=get_token) as rc:
            before = rc.status.connection
            async with rc.room(fresh()) as room:
                await asyncio.wait_for(refreshed.wait(), 10)
                await room.publish("x")
                self.assertEqual([one.sender for one in await soon(collect(room, 1))], ["ann"])
            self.assertEqual((rc.status.connection, rc.status.user, reasons), (before, "ann", ["connect", "refresh"]))

    async def test_a_token_that_expired_on_the_way_is_replaced(self) -> None:
        reasons: list[TokenReason] = []

        def get_token(reason: TokenReason) -> str:
            reasons.append(reason)
            return token("ann", life=-10 if len(reasons) == 1 else 3600)

        async with connect(USERS, get_token=get_token, backoff=Backoff(0.01, 0.05)) as rc:
            self.assertEqual((rc.status.user, reasons), ("ann", ["connect", "expired"]))

    async def test_a_token_that_is_no_good_is_final(self) -> None:
        forged = token("ann")[:-4] + "AAAA"
        with self.assertRaises(Unauthorized) as caught:
            await soon(connect(USERS, token=forged).__aenter__())
        self.assertNotIn(forged, str(caught.exception))
        with self.assertRaisesRegex(Unauthorized, "give get_token"):
            await soon(connect(USERS, token=token("ann", life=-10)).__aenter__())

    async def test_a_token_that_permits_less_ends_memberships(self) -> None:
        name = fresh("chat")
        calls = 0

        def get_token(reason: TokenReason) -> str:
            nonlocal calls
            calls += 1
            permits = [{"match": "chat:*" if calls == 1 else "other:*", "join": True, "publish": True}]
            return token("ann", life=5 if calls == 1 else 3600, rooms=permits)

        async with connect(USERS, get_token=get_token) as rc, rc.room(name) as room:
            with self.assertRaises(RemovedFromRoom):
                await asyncio.wait_for(collect(room, 1), 10)
            with self.assertRaisesRegex(Refused, "forbidden"):
                await rc.publish(name, "x")

    async def test_another_device_goes_on_where_the_user_acknowledged(self) -> None:
        name, user = fresh("acks"), f"ann-{uuid.uuid4()}"
        async with connect(USERS, token=token(user)) as phone, phone.room(name, resume=True) as room:
            for n in range(4):
                await room.publish(n)
            got = await soon(collect(room, 4))
            self.assertEqual(await room.ack(got[1]), got[1].position)
            self.assertEqual(await room.ack(Position(got[0].epoch, 1)), got[1].position)
        async with connect(USERS, token=token(user)) as laptop:
            again = await soon(collect(laptop.room(name, resume=True), 2))
            self.assertEqual([one.data for one in again], [2, 3])

    async def test_a_personal_room_is_read_like_any_other(self) -> None:
        user = f"ann-{uuid.uuid4()}"
        async with connect(USERS, token=token(user, info={"name": "Ann"})) as rc:
            async with rc.room(f"$user:{user}", last=5) as room:
                self.assertEqual((await room.history()).messages, ())
            async with rc.room(f"$user:{user}", resume=True):
                pass
            with self.assertRaisesRegex(Refused, "forbidden"):
                await rc.room("$user:somebody-else").__aenter__()

    async def test_members_carry_what_their_token_says(self) -> None:
        name = fresh()
        async with connect(USERS, token=token("ann", info={"name": "Ann"})) as rc, rc.room(name) as room:
            (who,) = (await room.members()).members
            self.assertEqual((who.user, who.info), ("ann", {"name": "Ann"}))

    async def test_messages_are_of_the_user(self) -> None:
        name = fresh()
        async with connect(USERS, token=token("ann")) as rc, rc.room(name) as room:
            await room.publish("x")
            (got,) = await soon(collect(room, 1))
            self.assertIsInstance(got, Message)
            self.assertEqual(got.sender, "ann")
            self.assertLess(abs(got.time.timestamp() - time.time()), 60)


if __name__ == "__main__":
    unittest.main()
