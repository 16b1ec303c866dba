"""Tokens over a connection."""

from __future__ import annotations

import asyncio
import http
import logging
import time
import unittest
from typing import Any

from roomcast import (
    Unauthorized,
)
from roomcast.tokens import TokenReason

from .scripted_node import NodeTest, Peer, collect, soon, until

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
IN_AN_HOUR = 3600.0


class Authenticating(NodeTest):
    async def authenticated(self, peer: Peer, life: float | None = IN_AN_HOUR) -> str:

        frame = await peer.next("auth")
        expires = None if life is None else int((time.time() + life) * 1000)
        await peer.send(["hello", self.info("ann")], ["ok", frame[1], {"user": "ann", "expiresAt": expires}])
        return str(frame[2])

    def info(self, user: str | None) -> dict[str, Any]:
        return {"connection": "c", "node": "n", "user": user, "heartbeatMs": 25000, "maxPayload": 65536, "version": 1}

    async def test_sends_the_token_in_the_first_frame(self) -> None:
        async with self.node.client(token=TOKEN, wait=False) as rc:
            self.assertEqual(await self.authenticated(await self.node.peer()), TOKEN)
            await soon(rc.connected())
            self.assertEqual(rc.status.user, "ann")

    async def test_refreshes_in_time_on_the_open_connection_and_once_at_a_time(self) -> None:
        reasons: list[TokenReason] = []

        def get_token(reason: TokenReason) -> str:
            reasons.append(reason)
            return f"token {len(reasons)}"

        async with self.node.client(get_token=get_token, wait=False) as rc:
            peer = await self.node.peer()
            self.assertEqual(await self.authenticated(peer, life=1.0), "token 1")
            await soon(rc.connected())
            self.assertEqual(await self.authenticated(peer), "token 2")
            self.assertEqual((reasons, self.node.upgrades), (["connect", "refresh"], 1))
            peer.drop()
            # The one at hand is good for longer.
            self.assertEqual(await self.authenticated(await self.node.peer()), "token 2")

    async def test_asks_for_another_after_expiry_and_keeps_its_rooms(self) -> None:
        reasons: list[TokenReason] = []

        async def get_token(reason: TokenReason) -> str:
            reasons.append(reason)
            return f"token {len(reasons)}"

        async with self.node.client(get_token=get_token, wait=False) as rc:
            peer = await self.node.peer()
            await self.authenticated(peer)
            await soon(rc.connected())
            await self.enter_room(rc, peer, offset=5)
            await peer.send(["error", 0, "token_expired", "the token has expired"])
            await peer.close(4002)
            peer = await self.node.peer()
            self.assertEqual(await self.authenticated(peer), "token 2")
            self.assertEqual((await peer.joined())[3], {"since": ["e", 5]})
            self.assertEqual(reasons, ["connect", "expired"])

    async def test_ends_where_a_fixed_token_has_expired(self) -> None:
        client = self.node.client(token=TOKEN)
        entering = asyncio.ensure_future(client.__aenter__())
        peer = await self.node.peer()
        frame = await peer.next("auth")
        await peer.send(["error", frame[1], "token_expired", "the token has expired"])
        await peer.close(4002)
        with self.assertRaisesRegex(Unauthorized, "give get_token"):
            await soon(entering)
        self.assertEqual(self.node.upgrades, 1)

    async def test_ends_where_the_token_is_refused(self) -> None:
        client = self.node.client(get_token=lambda reason: TOKEN)
        entering = asyncio.ensure_future(client.__aenter__())
        peer = await self.node.peer()
        frame = await peer.next("auth")
        await peer.send(["error", frame[1], "unauthorized", f"bad signature of {TOKEN}"])
        await peer.close(4501, "unauthorized")
        with self.assertRaises(Unauthorized) as caught:
            await soon(entering)
        self.assertEqual(caught.exception.code, 4501)
        self.assertIn("bad signature", str(caught.exception))
        self.assertNotIn(TOKEN, str(caught.exception))
        self.node.refuse(http.HTTPStatus.UNAUTHORIZED)
        with self.assertRaises(Unauthorized):
            await soon(self.node.client().__aenter__())

    async def revoke(self, peer: Peer) -> None:
        await peer.send(["error", 0, "token_revoked", "the server has revoked this token"])
        await peer.close(4505)

    async def test_asks_for_another_where_the_server_revokes_the_token(self) -> None:
        reasons: list[TokenReason] = []

        def get_token(reason: TokenReason) -> str:
            reasons.append(reason)
            return f"token {len(reasons)}"

        async with self.node.client(get_token=get_token, wait=False) as rc:
            for number in (1, 2, 3):
                peer = await self.node.peer()
                self.assertEqual(await self.authenticated(peer), f"token {number}")
                await soon(rc.connected())
                if number < 3:
                    await self.revoke(peer)
                    await until(rc, lambda state: state != "connected")
            self.assertEqual(reasons, ["connect", "revoked", "revoked"])

    async def test_ends_where_the_user_is_blocked_after_one_more_attempt(self) -> None:
        reasons: list[TokenReason] = []

        def get_token(reason: TokenReason) -> str:
            reasons.append(reason)
            return f"token {len(reasons)}"

        async with self.node.client(get_token=get_token, wait=False) as rc:
            peer = await self.node.peer()
            await self.authenticated(peer)
            await soon(rc.connected())
            await self.revoke(peer)
            peer = await self.node.peer()
            frame = await peer.next("auth")
            await peer.send(["error", frame[1], "token_revoked", "the server has revoked this token"])
            await peer.close(4505)
            await until(rc, lambda state: state == "closed")
            with self.assertRaisesRegex(Unauthorized, "token_revoked") as caught:
                await soon(rc.publish("room", 1))
            self.assertEqual(caught.exception.code, 4505)
        self.assertEqual((reasons, self.node.upgrades), (["connect", "revoked"], 2))

    async def test_ends_where_there_is_no_other_token_than_the_revoked_one(self) -> None:
        for options, says in (
            ({"token": TOKEN}, "token_revoked"),
            ({"get_token": lambda reason: TOKEN}, "the same one again"),
        ):
            upgrades = self.node.upgrades
            async with self.node.client(wait=False, **options) as rc:
                peer = await self.node.peer()
                await self.authenticated(peer)
                await soon(rc.connected())
                await self.revoke(peer)
                await until(rc, lambda state: state == "closed")
                with self.assertRaisesRegex(Unauthorized, says) as caught:
                    await soon(rc.publish("room", 1))
                self.assertEqual(caught.exception.code, 4505)
            self.assertEqual(self.node.upgrades, upgrades + 1)

    async def test_ends_where_get_token_says_so(self) -> None:
        def logged_out(reason: TokenReason) -> str:
            raise Unauthorized("logged out")

        with self.assertRaisesRegex(Unauthorized, "logged out"):
            await soon(self.node.client(get_token=logged_out).__aenter__())
        self.assertEqual(self.node.upgrades, 0)
        calls = 0

        def later(reason: TokenReason) -> str:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise Unauthorized("logged out")
            return "token"

        async with self.node.client(get_token=later, wait=False) as rc:
            peer = await self.node.peer()
            await self.authenticated(peer, life=1.0)
            room = rc.room("r")
            entering = asyncio.ensure_future(room.__aenter__())
            await peer.joined()
            await soon(entering)
            with self.assertRaisesRegex(Unauthorized, "logged out"):
                await soon(collect(room, 1))
            await soon(peer.gone.wait())
        self.assertEqual(self.node.upgrades, 1)

    async def test_asks_again_where_get_token_fails_otherwise(self) -> None:
        calls = 0

        async def flaky(reason: TokenReason) -> str:
            nonlocal calls
            calls += 1
            if calls < 4:
                raise ConnectionError("the login server is away")
            return TOKEN

        async with self.node.client(get_token=flaky, wait=False) as rc:
            await until(rc, lambda state: state == "waiting")
            self.assertIn("the login server is away", rc.status.reason)
            self.assertEqual(await self.authenticated(await self.node.peer()), TOKEN)
            await soon(rc.connected())

    async def test_that_cannot_be_checked_now_is_tried_again_when_the_node_says(self) -> None:
        async with self.node.client(token=TOKEN, wait=False) as rc:
            peer = await self.node.peer()
            frame = await peer.next("auth")
            await peer.send(["error", frame[1], "unavailable", "no keys", {"retryAfterMs": 100}])
            await peer.close(1013)
            await until(rc, lambda state: state == "waiting")
            self.assertGreaterEqual(rc.status.retry_in or 0, 0.1)
            self.assertEqual(await self.authenticated(await self.node.peer()), TOKEN)
            await soon(rc.connected())

    async def test_works_where_the_node_also_admits_the_anonymous(self) -> None:
        async with self.node.client(token=TOKEN, wait=False) as rc:
            peer = await self.node.peer()
            await peer.hello()
            frame = await peer.next("auth")
            self.assertEqual(rc.status.state, "connecting")
            await peer.send(["ok", frame[1], {"user": "ann", "expiresAt": None}])
            await soon(rc.connected())
            self.assertEqual(rc.status.user, "ann")

    async def test_works_where_the_node_has_no_authentication(self) -> None:
        async with self.node.client(token=TOKEN, wait=False) as rc:
            peer = await self.node.peer()
            await peer.hello()
            frame = await peer.next("auth")
            await peer.send(["error", frame[1], "bad_request", "the node has no authentication configured"])
            await soon(rc.connected())

    async def test_never_shows_the_token(self) -> None:
        """Not in logs at any level, not in errors, not in what objects print as."""
        records: list[str] = []

        class Recorder(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                records.append(self.format(record))

        root = logging.getLogger()
        recorder = Recorder()
        level = root.level
        root.addHandler(recorder)
        root.setLevel(logging.DEBUG)
        logging.getLogger("roomcast").setLevel(logging.DEBUG)
        logging.getLogger("roomcast.websocket").setLevel(logging.DEBUG)
        try:
            url = f"{self.node.url}?token={TOKEN}"
            client = self.node.client(urls=(url,), get_token=lambda reason: TOKEN, wait=False)
            async with client as rc:
                peer = await self.node.peer()
                await self.authenticated(peer)
                await soon(rc.connected())
                records += map(repr, (rc, rc.status, rc._tokens, rc._session, *asyncio.all_tasks()))
                peer.drop()
                peer = await self.node.peer()
                await peer.next("auth")
                await peer.close(4501, "no")
                await until(rc, lambda state: state == "closed")
                with self.assertRaises(Unauthorized) as caught:
                    await soon(rc.connected())
                records.append(repr(caught.exception))
        finally:
            root.removeHandler(recorder)
            root.setLevel(level)
            logging.getLogger("roomcast.websocket").setLevel(logging.NOTSET)
        self.assertTrue(any("connected to" in record for record in records))
        self.assertEqual([record for record in records if TOKEN in record], [])


if __name__ == "__main__":
    unittest.main()
