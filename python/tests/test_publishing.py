"""Each message stored once, in order, with an outcome, whatever happens to the link."""

from __future__ import annotations

import asyncio
import http
import unittest

from roomcast import (
    PayloadTooLarge,
    Published,
    PublishUnknown,
    QueueFull,
    Refused,
    publish,
)

from .scripted_node import NodeTest, message, soon, until


class Publishing(NodeTest):
    async def test_returns_where_the_message_is(self) -> None:
        rc, peer = await self.enter()
        publishing = asyncio.ensure_future(
            rc.publish("r", {"text": "hi"}, key="order-17", echo=False, conflate_key="k")
        )
        frame = await peer.stored(5)
        self.assertEqual(frame[2:], ["r", {"text": "hi"}, {"key": "order-17", "echo": False, "conflateKey": "k"}])
        self.assertEqual(await soon(publishing), Published("e", 5))

    async def test_stores_once_what_a_cut_left_open(self) -> None:
        rc, peer = await self.enter()
        publishing = asyncio.ensure_future(rc.publish("r", "x"))
        first = await peer.next("publish")
        for _ in range(3):
            peer.drop()
            peer = await self.again()
            again = await peer.next("publish")
            self.assertEqual(again[2:], first[2:])
        await peer.send(["ok", again[1], {"epoch": "e", "offset": 5, "duplicate": True}])
        self.assertEqual(await soon(publishing), Published("e", 5, True))

    async def test_gives_each_message_a_random_key_of_its_own(self) -> None:
        rc, peer = await self.enter()
        keys = set()
        for offset in range(1, 4):
            publishing = asyncio.ensure_future(rc.publish("r", "x"))
            keys.add((await peer.stored(offset))[4]["key"])
            await soon(publishing)
        self.assertEqual(len(keys), 3)
        self.assertTrue(all(len(key) == 36 for key in keys))

    async def test_lets_nothing_new_overtake_what_waited_offline(self) -> None:
        rc, peer = await self.enter()
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        peer.drop()
        await until(rc, lambda state: state != "connected")
        tasks = [asyncio.ensure_future(rc.publish("r", number)) for number in range(50)]
        await asyncio.sleep(0)
        self.node.refusal = None
        peer = await self.again()
        await soon(rc.connected())
        tasks += [asyncio.ensure_future(rc.publish("r", number)) for number in range(50, 100)]
        self.assertEqual([(await peer.stored(n + 1))[3] for n in range(100)], list(range(100)))
        self.assertEqual([one.offset for one in await soon(asyncio.gather(*tasks))], list(range(1, 101)))

    async def test_takes_the_data_as_it_is_now(self) -> None:
        rc, peer = await self.enter()
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        peer.drop()
        await until(rc, lambda state: state != "connected")
        data = {"text": "now"}
        publishing = asyncio.ensure_future(rc.publish("r", data))
        await asyncio.sleep(0)
        data["text"] = "later"
        self.node.refusal = None
        self.assertEqual((await (await self.again()).stored(1))[3], {"text": "now"})
        await soon(publishing)

    async def test_says_when_the_queue_is_full(self) -> None:
        async with self.node.client(wait=False, queue_count=2) as rc:
            tasks = [asyncio.ensure_future(rc.publish("r", number)) for number in range(3)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            with self.assertRaises(QueueFull):
                tasks[2].result()
            self.assertEqual([task.done() for task in tasks], [False, False, True])
            for task in tasks:
                task.cancel()

    async def test_of_more_than_the_queue_holds_is_no_error_while_connected(self) -> None:
        rc, peer = await self.enter(queue_count=5)
        tasks = [asyncio.ensure_future(rc.publish("r", number)) for number in range(40)]
        self.assertEqual([(await peer.stored(n + 1))[3] for n in range(40)], list(range(40)))
        await soon(asyncio.gather(*tasks))

    async def test_refuses_what_cannot_be_sent_without_harm_to_the_connection(self) -> None:
        rc, peer = await self.enter()
        with self.assertRaises(PayloadTooLarge):
            await rc.publish("r", "x" * 65_536)
        with self.assertRaises(TypeError):
            await rc.publish("r", object())
        refused = asyncio.ensure_future(rc.publish("r", "x"))
        frame = await peer.next("publish")
        await peer.send(["error", frame[1], "forbidden", "you may not publish in r"])
        with self.assertRaisesRegex(Refused, "forbidden: you may not"):
            await soon(refused)
        self.assertEqual(self.node.upgrades, 1)

    async def test_of_one_that_is_too_large_offline_settles_when_a_node_is_there(self) -> None:
        async with self.node.client(wait=False) as rc:
            publishing = asyncio.ensure_future(rc.publish("r", "x" * 70_000))
            await asyncio.sleep(0)
            await self.again()
            with self.assertRaises(PayloadTooLarge):
                await soon(publishing)
            await soon(rc.connected())

    async def test_settles_as_unknown_after_the_dedup_window(self) -> None:
        client = self.node.client()
        entering = asyncio.ensure_future(client.__aenter__())
        peer = await self.node.peer()
        await peer.hello(dedupWindowMs=200)
        await soon(entering)
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        sent = asyncio.ensure_future(client.publish("r", "sent"))
        await peer.next("publish")
        peer.drop()
        with self.assertRaises(PublishUnknown):
            await soon(sent)
        await client.close()

    async def test_of_signals_reports_what_was_dropped(self) -> None:
        rc, peer = await self.enter()
        signalling = asyncio.ensure_future(rc.signal("r", "typing", echo=False))
        frame = await peer.next("publish")
        self.assertEqual(frame[2:], ["r", "typing", {"ephemeral": True, "echo": False}])
        await peer.send(["ok", frame[1], {"epoch": "", "offset": 0}])
        self.assertTrue(await soon(signalling))
        lost = asyncio.ensure_future(rc.signal("r", "typing"))
        await peer.next("publish")
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        peer.drop()
        self.assertFalse(await soon(lost))
        self.assertFalse(await soon(rc.signal("r", "typing")))

    async def test_from_a_loop_over_messages_does_not_stall(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)

        async def answer_each() -> list[int]:
            offsets = []
            async for one in room:
                if one.sender == "bob":
                    offsets.append((await room.publish("re")).offset)
                if len(offsets) == 3:
                    return offsets
            return []

        answering = asyncio.ensure_future(answer_each())
        for number in range(3):
            await peer.send(message(number * 2 + 1))
            await peer.stored(number * 2 + 2)
        self.assertEqual(await soon(answering), [2, 4, 6])

    async def test_from_a_script_is_one_call(self) -> None:
        publishing = asyncio.get_running_loop().run_in_executor(
            None, lambda: publish(self.node.url, "r", {"n": 1}, key="order-17")
        )
        peer = await self.again()
        self.assertEqual((await peer.stored(3))[2:], ["r", {"n": 1}, {"key": "order-17"}])
        self.assertEqual(await soon(publishing), Published("e", 3))

    async def test_from_a_script_ends_with_its_timeout(self) -> None:
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        publishing = asyncio.get_running_loop().run_in_executor(
            None, lambda: publish(self.node.url, "r", 1, timeout=0.1)
        )
        says = r"within 0.1 s( \(no connection: .* HTTP status 502\))?; publish again"
        with self.assertRaisesRegex(PublishUnknown, says):
            await soon(publishing)

    async def test_from_a_script_inside_a_loop_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "use connect"):
            publish(self.node.url, "r", 1)


if __name__ == "__main__":
    unittest.main()
