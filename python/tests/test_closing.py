"""Closing and cancelling, whatever the client is doing."""

from __future__ import annotations

import asyncio
import gc
import http
import os
import traceback
import unittest

from roomcast import (
    Closed,
    connect,
)

from .scripted_node import NodeTest, Peer, collect, quick, soon, until


def open_files() -> int:
    """Of this process, where the system says."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


class Closing(NodeTest):
    async def test_is_final_whatever_it_was_doing(self) -> None:
        rc, peer = await self.enter()
        await rc.close()
        await soon(peer.gone.wait())
        upgrades = self.node.upgrades
        await rc.close()
        for asked in (rc.publish("r", 1), rc.history("r"), rc.connected()):
            with self.assertRaises(Closed):
                await soon(asked)
        with self.assertRaises(Closed):
            await soon(rc.room("r").__aenter__())
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        waiting = self.node.client(wait=False)
        await waiting.__aenter__()
        await until(waiting, lambda state: state == "waiting")
        await soon(waiting.close())
        after = self.node.upgrades
        await asyncio.sleep(0.2)
        self.assertEqual(self.node.upgrades, after)
        self.assertGreaterEqual(after, upgrades)

    async def test_ends_loops_and_refuses_what_waits(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        reading = asyncio.ensure_future(collect(room, 1))
        watching = asyncio.ensure_future(collect(rc.statuses(), 99))
        await asyncio.sleep(0)
        await rc.close()
        self.assertEqual(await soon(reading), [])
        self.assertEqual((await soon(watching))[-1].state, "closed")

    async def test_raises_an_error_that_does_not_grow(self) -> None:
        """One error is raised to everyone who asks; each time it would get longer by what it was raised through."""
        rc, _ = await self.enter()
        await rc.close()
        lengths = []
        for _ in range(3):
            with self.assertRaises(Closed) as caught:
                await rc.connected()
            lengths.append(len(traceback.extract_tb(caught.exception.__traceback__)))
        self.assertEqual(lengths, [lengths[0]] * 3)

    async def test_does_not_connect_before_it_is_entered(self) -> None:
        client = connect(self.node.url)
        with self.assertRaisesRegex(RuntimeError, "async with"):
            client.room("r")
        with self.assertRaisesRegex(RuntimeError, "async with"):
            await client.publish("r", 1)
        self.assertEqual(self.node.upgrades, 0)

    async def test_leaves_no_task_no_socket_and_no_client_behind(self) -> None:
        async def once() -> None:
            client = self.node.client()
            entering = asyncio.ensure_future(client.__aenter__())
            peer = await self.node.peer()
            await peer.hello()
            await soon(entering)
            room = await self.enter_room(client, peer)
            reading = asyncio.ensure_future(collect(room, 1))
            await asyncio.sleep(0)
            await client.close()
            await reading
            await soon(peer.gone.wait())

        await once()
        for _ in range(3):
            await asyncio.sleep(0.01)
        gc.collect()
        tasks, files = len(asyncio.all_tasks()), open_files()
        for _ in range(50):
            await once()
        for _ in range(3):
            await asyncio.sleep(0.01)
        gc.collect()
        self.assertLessEqual(len(asyncio.all_tasks()), tasks)
        self.assertLessEqual(open_files(), files + 1)
        self.assertEqual([one for one in gc.get_objects() if type(one).__name__ == "Session"], [])


class Cancelling(NodeTest):
    async def test_works_while_it_connects_for_the_first_time(self) -> None:
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)

        async def run() -> None:
            async with self.node.client():
                self.fail("there is no connection")

        running = asyncio.ensure_future(run())
        await self.node.tried(3)
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await soon(running)
        after = self.node.upgrades
        await asyncio.sleep(0.2)
        self.assertEqual(self.node.upgrades, after)

    async def test_works_while_it_waits_for_hello(self) -> None:
        entering = asyncio.ensure_future(self.node.client(timing=quick(open=60.0)).__aenter__())
        peer = await self.node.peer()
        entering.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await soon(entering)
        await soon(peer.gone.wait())

    async def test_works_everywhere_while_it_reconnects(self) -> None:
        rc, peer = await self.enter()
        room = await self.enter_room(rc, peer)
        self.node.refuse(http.HTTPStatus.BAD_GATEWAY)
        peer.drop()
        await until(rc, lambda state: state != "connected")

        async def statuses() -> None:
            async for _ in rc.statuses():
                pass

        waits = [
            collect(room, 1),
            rc.publish("r", "x"),
            rc.members("r"),
            rc.history("r"),
            rc.connected(),
            rc.drained(),
            rc.room("other").__aenter__(),
            statuses(),
        ]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await self.node.tried(5)
        for task in tasks:
            self.assertFalse(task.done(), task)
            task.cancel()
        results = await soon(asyncio.gather(*tasks, return_exceptions=True))
        self.assertEqual([type(result) for result in results], [asyncio.CancelledError] * len(tasks))
        # Nothing of it happens later.
        self.node.refusal = None
        peer = await self.again()
        self.assertEqual((await peer.joined())[2], "r")
        late = asyncio.ensure_future(rc.publish("r", "y"))
        self.assertEqual((await peer.stored(1))[3], "y")
        await soon(late)

    async def test_of_a_body_ends_the_client(self) -> None:
        peers: list[Peer] = []

        async def run() -> None:
            async with self.node.client() as rc:
                async for _ in rc.room("r"):
                    pass

        running = asyncio.ensure_future(run())
        peer = await self.again()
        await peer.joined()
        peers.append(peer)
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await soon(running)
        await soon(peer.gone.wait())


if __name__ == "__main__":
    unittest.main()
