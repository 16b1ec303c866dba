"""Coming back, staying away, and links that die without a word."""

from __future__ import annotations

import asyncio
import http
import unittest

from roomcast import (
    Closed,
    PublishUnknown,
)

from .scripted_node import NodeTest, ScriptedNode, collect, message, quick, soon, until

IN_AN_HOUR = 3600.0


class Reconnecting(NodeTest):
    async def test_begins_after_every_kind_of_end(self) -> None:
        rc, peer = await self.enter()
        for code in (1000, 1001, 1011, 1012, 1013, 3000, 4000, 4008, 4009, 4010, 4499):
            await peer.close(code)
            peer = await self.again()
        peer.drop()
        await self.again()
        await soon(rc.connected())

    async def test_stops_at_the_codes_that_say_so_and_settles_everything(self) -> None:
        for code in (1007, 1009, 4500, 4503, 4504, 4999):
            rc, peer = await self.enter()
            room = await self.enter_room(rc, peer)
            publishing = asyncio.ensure_future(room.publish("x"))
            await peer.next("publish")
            reading = asyncio.ensure_future(collect(room, 1))
            await peer.close(code, "stay away")
            with self.assertRaises(PublishUnknown):
                await soon(publishing)
            with self.assertRaises(Closed) as caught:
                await soon(reading)
            self.assertEqual(caught.exception.code, code)
            for asked in (rc.publish("r", "y"), rc.members("r"), rc.connected()):
                with self.assertRaises(Closed):
                    await soon(asked)
            self.assertEqual(rc.status.state, "closed")
            await rc.close()
        self.assertTrue(self.node.peers.empty())

    async def test_goes_on_for_longer_than_ten_attempts(self) -> None:
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        client = self.node.client(wait=False)
        async with client as rc:
            await self.node.tried(25)
            self.node.refusal = None
            await self.again()
            await soon(rc.connected())

    async def test_survives_a_captive_portal_and_whatever_else_answers(self) -> None:
        client = self.node.client(wait=False)
        self.node.refuse(http.HTTPStatus.OK, "<html>Please log in</html>")
        async with client as rc:
            await self.node.tried(3)
            self.node.refusal = None
            for nonsense in (b"<html>", "<html>", b"\xc1", b"\x92\xa2ok", b"\x91\xa2ok", b"\x92\xa5hello\x01", b"\xc0"):
                peer = await self.node.peer()
                await peer.websocket.send(nonsense)
                await soon(peer.gone.wait())
            peer = await self.again()
            await soon(rc.connected())
            # Known types with fields that are missing or wrong, once all works.
            room = await self.enter_room(rc, peer)
            await peer.send(["message", "r"], ["ok"], ["gap", "r", "x"])
            peer = await self.again()
            self.assertEqual((await peer.joined())[3], {"since": ["e", 0]})
            await peer.send(message(1))
            self.assertEqual([one.offset for one in await soon(collect(room, 1))], [1])

    async def test_waits_as_long_as_bye_says(self) -> None:
        rc, peer = await self.enter()
        await peer.send(["bye", 1012, {"reconnectAfterMs": 400}])
        await peer.close(1012)
        await until(rc, lambda state: state == "waiting")
        self.assertGreaterEqual(rc.status.retry_in or 0, 0.4)
        await self.again()
        await soon(rc.connected())

    async def test_waits_as_long_as_a_refused_upgrade_says(self) -> None:
        self.node.refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, Retry_After="3600")
        async with self.node.client(wait=False) as rc:
            await until(rc, lambda state: state == "waiting")
            self.assertGreaterEqual(rc.status.retry_in or 0, IN_AN_HOUR)
            self.assertIn("503", rc.status.reason)

    async def test_tries_several_urls_in_turn(self) -> None:
        async with ScriptedNode() as other, ScriptedNode() as gone:
            await gone.stop()
            urls = (gone.url, self.node.url, other.url)
            async with self.node.client(urls=urls, wait=False) as rc:
                first = await self.again()
                first.drop()
                second = await other.peer()
                await second.hello(node="other")
                await soon(rc.connected())
                self.assertEqual(rc.status.node, "other")
            await gone.start()

    async def test_joins_all_rooms_in_one_message_with_their_positions_and_publishes_after_them(self) -> None:
        rc, peer = await self.enter()
        for name in ("a", "b", "c"):
            await self.enter_room(rc, peer, name, offset=7, last=50)
        await peer.send(message(8, "b"))
        peer.drop()
        publishing = asyncio.ensure_future(rc.publish("a", "x"))
        peer = await self.again()
        frames = [await peer.next() for _ in range(4)]
        self.assertEqual([frame[0] for frame in frames], ["join", "join", "join", "publish"])
        self.assertEqual(
            [frame[3] for frame in frames[:3]], [{"since": ["e", 7]}, {"since": ["e", 8]}, {"since": ["e", 7]}]
        )
        self.assertEqual(peer.batches, [4])
        await peer.send(["ok", frames[3][1], {"epoch": "e", "offset": 9}])
        await soon(publishing)

    async def test_finds_a_link_that_died_without_a_word(self) -> None:
        client = self.node.client()
        entering = asyncio.ensure_future(client.__aenter__())
        peer = await self.node.peer()
        await peer.hello(silentAfterMs=50)
        await soon(entering)
        await peer.next("ping")
        await until(client, lambda state: state == "waiting")
        self.assertIn("the node was silent", client.status.reason)
        await self.again()
        await client.close()

    async def test_keeps_a_quiet_link_that_answers(self) -> None:
        client = self.node.client(timing=quick(probe=1.0))
        entering = asyncio.ensure_future(client.__aenter__())
        peer = await self.node.peer()
        await peer.hello(silentAfterMs=50)
        await soon(entering)
        for _ in range(5):
            ping = await peer.next("ping")
            await peer.send(["ok", ping[1], {}])
        self.assertEqual(self.node.upgrades, 1)
        await client.close()

    async def test_probes_at_once_after_the_process_slept(self) -> None:
        wall = [1000.0]
        _, peer = await self.enter(timing=quick(tick=0.05, wall=lambda: wall[0]))
        wall[0] += IN_AN_HOUR
        await peer.next("ping")

    async def test_is_not_believed_before_hello(self) -> None:
        client = self.node.client(timing=quick(open=0.1), wait=False)
        async with client as rc:
            await self.node.peer()
            self.assertEqual(rc.status.state, "connecting")
            peer = await self.again()
            await soon(rc.connected())
            self.assertEqual(rc.status.state, "connected")
            del peer

    async def test_begins_anew_with_short_waits_only_after_a_connection_that_held(self) -> None:
        rc, peer = await self.enter(timing=quick(stable=0.0))
        for _ in range(3):
            await peer.close(1011)
            peer = await self.again()
            await soon(rc.connected())
            self.assertEqual(rc.status.attempt, 0)
        flapping, peer = await self.enter(timing=quick(stable=60.0))
        attempts = []
        for _ in range(3):
            await peer.close(1011)
            await until(flapping, lambda state: state == "waiting")
            attempts.append(flapping.status.attempt)
            peer = await self.again()
            await soon(flapping.connected())
        self.assertEqual(attempts, [1, 2, 3])


if __name__ == "__main__":
    unittest.main()
