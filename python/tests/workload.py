"""What the chaos test runs while it does its harm: clients that publish and read, and a report of everything that they were told.

    python -m tests.workload '{"urls": [...], "room": "chaos:python", "readers": 6, "publishers": 3, "perSecond": 200}'

Prints "ready" when all have joined, then one line for each hundred outcomes. The line "quiet" on its standard input ends the
publishing; the report follows as one line of JSON when every publish has its outcome and every reader has the last message.
"""

from __future__ import annotations

import asyncio
import json
import sys
from random import Random
from typing import Any

from roomcast import Backoff, Client, Gap, Joined, Message, Published, Reset, RoomcastError, connect

BACKOFF = Backoff(base=0.05, cap=0.5)
UNSETTLED = 100
PATIENCE = 60.0


def say(line: str) -> None:
    print(line, flush=True)


class Publisher:
    """Number 0 sends one at a time, so that its messages keep their order whatever a node answers."""

    def __init__(self, number: int, options: dict[str, Any], outcomes: list[dict[str, Any]]) -> None:
        self.number = number
        self.in_flight = 1 if number == 0 else 64
        self.options = options
        self.outcomes = outcomes
        self.tasks: set[asyncio.Task[None]] = set()
        self.last = 0

    async def run(self, rc: Client, quiet: asyncio.Event) -> None:
        pause = self.options["publishers"] / self.options["perSecond"]
        while not quiet.is_set():
            if len(self.tasks) < UNSETTLED:
                task = asyncio.create_task(self.publish(rc))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
            await asyncio.sleep(pause)
        await asyncio.gather(*self.tasks)

    async def publish(self, rc: Client) -> None:
        self.last += 1
        payload = self.number * 10_000_000 + self.last
        outcome: dict[str, Any] = {"publisher": self.number, "payload": payload}
        try:
            published = await rc.publish(self.options["room"], payload)
            outcome |= {"kind": "stored", "epoch": published.epoch, "offset": published.offset}
        except RoomcastError as error:
            outcome |= {"kind": type(error).__name__, "message": str(error)}
        self.outcomes.append(outcome)
        if len(self.outcomes) % 100 == 0:
            say(f"outcomes {len(self.outcomes)}")


class Reader:
    """Every third is so slow that it has to read from history."""

    def __init__(self, number: int) -> None:
        self.name = f"reader {number}"
        self.is_slow = number % 3 == 2
        self.log: list[list[Any]] = []
        self.stands: tuple[str, int] = ("", 0)
        self.moved = asyncio.Condition()

    async def run(self, rc: Client, room: str, joined: asyncio.Event) -> None:
        async with rc.room(room, buffer=20 if self.is_slow else 1000) as handle:
            joined.set()
            async for event in handle.events():
                await self.note(event)
                if self.is_slow:
                    await asyncio.sleep(0.008)

    async def note(self, event: object) -> None:
        if isinstance(event, Joined):
            self.log.append(["joined", event.epoch, event.offset, event.recovered])
            if len(self.log) > 1:
                return
            self.stands = (event.epoch, event.offset)
        elif isinstance(event, Message):
            self.log.append(["message", event.offset, event.data])
            self.stands = (event.epoch, event.offset)
        elif isinstance(event, Gap):
            self.log.append(["gap", event.from_offset, event.to_offset])
            self.stands = (self.stands[0], event.to_offset)
        elif isinstance(event, Reset):
            self.log.append(["reset", event.epoch, event.offset])
            self.stands = (event.epoch, event.offset)
        async with self.moved:
            self.moved.notify_all()

    async def reaches(self, last: Published) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: self.stands[0] == last.epoch and self.stands[1] >= last.offset)


async def read_quiet(quiet: asyncio.Event) -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    quiet.set()


async def main(options: dict[str, Any]) -> None:
    random = Random(options["seed"])
    urls: list[str] = options["urls"]
    quiet = asyncio.Event()
    outcomes: list[dict[str, Any]] = []
    publishers = [Publisher(number, options, outcomes) for number in range(options["publishers"])]
    readers = [Reader(number) for number in range(options["readers"])]
    connections = 0

    def client(in_flight: int = 64) -> Client:
        turned = random.randrange(len(urls))
        return connect(urls[turned:] + urls[:turned], backoff=BACKOFF, in_flight=in_flight, probe_timeout=2.0)

    async def count(rc: Client) -> None:
        nonlocal connections
        async for status in rc.statuses():
            connections += status.state == "connected"

    clients = [client(publisher.in_flight) for publisher in publishers] + [client() for _ in readers]
    for rc in clients:
        await rc.__aenter__()
    counting = [asyncio.create_task(count(rc)) for rc in clients]
    joined = [asyncio.Event() for _ in readers]
    reading = [
        asyncio.create_task(reader.run(rc, options["room"], event))
        for reader, rc, event in zip(readers, clients[len(publishers) :], joined, strict=True)
    ]
    for event in joined:
        await event.wait()
    say("ready")
    waiting = asyncio.create_task(read_quiet(quiet))
    publishing = [publisher.run(rc, quiet) for publisher, rc in zip(publishers, clients, strict=False)]
    await asyncio.gather(*publishing)
    await waiting
    last = await clients[0].publish(options["room"], 0)
    try:
        await asyncio.wait_for(asyncio.gather(*(reader.reaches(last) for reader in readers)), PATIENCE)
    except (TimeoutError, asyncio.TimeoutError):
        # The report says better than a timeout what is missing.
        pass
    for rc in clients:
        await rc.close()
    await asyncio.gather(*reading, *counting)
    logs = [{"name": reader.name, "log": reader.log} for reader in readers]
    say(
        json.dumps(
            {"connections": connections, "outcomes": outcomes, "last": [last.epoch, last.offset], "readers": logs}
        )
    )


asyncio.run(main(json.loads(sys.argv[1])))
