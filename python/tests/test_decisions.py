"""Backoff, endings, URLs and tokens: plain decisions without a connection."""

from __future__ import annotations

import asyncio
import unittest
from functools import partial
from random import Random
from typing import Any

from roomcast import Backoff, Unauthorized, connect
from roomcast.backoff import reconnect_seconds
from roomcast.ending import Ending
from roomcast.errors import redacted, safe_url
from roomcast.options import node_urls
from roomcast.tokens import Secret, TokenReason, Tokens, TokenUnavailable

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


class TheBackoff(unittest.TestCase):
    def test_doubles_up_to_its_cap_and_no_attempt_is_the_last(self) -> None:
        backoff = Backoff(base=0.5, cap=20)
        limits = [backoff.seconds(attempt, lambda: 1.0) for attempt in (0, 1, 2, 5, 6, 100, 10**6)]
        self.assertEqual(limits, [0.5, 1, 2, 16, 20, 20, 20])

    def test_has_full_jitter(self) -> None:
        random = Random(7)
        waits = sorted(Backoff().seconds(20, random.random) for _ in range(1000))
        self.assertLess(waits[0], 1)
        self.assertGreater(waits[-1], 19)

    def test_is_never_shorter_than_what_a_node_told(self) -> None:
        for random in (lambda: 0.0, lambda: 0.999):
            waited = reconnect_seconds(Backoff(), 3, 5.0, random)
            self.assertGreaterEqual(waited, 5)
            self.assertLessEqual(waited, 6)
        self.assertEqual(reconnect_seconds(Backoff(), 3, 0.0, lambda: 0.9), 0)

    def test_refuses_numbers_that_make_no_sense(self) -> None:
        for base, cap in ((0, 1), (2, 1), (-1, -1)):
            with self.assertRaises(ValueError):
                Backoff(base=base, cap=cap)


class TheEnding(unittest.TestCase):
    def test_is_final_by_the_range_of_its_code(self) -> None:
        final = [code for code in range(1000, 5000) if Ending("", code).is_final]
        self.assertEqual(final, [1007, 1009, *range(4500, 5000)])
        self.assertFalse(Ending("the link broke").is_final)

    def test_of_an_upgrade_is_final_where_the_token_was_refused(self) -> None:
        final = [
            status
            for status in (200, 400, 401, 403, 404, 426, 431, 500, 502, 503)
            if Ending("", status=status).is_final
        ]
        self.assertEqual(final, [401])


class Urls(unittest.TestCase):
    def test_lead_to_where_nodes_listen(self) -> None:
        self.assertEqual(
            node_urls(["ws://a:1", "https://b/", "wss://c/live?x=1", "http://d/ws"]),
            ("ws://a:1/ws", "wss://b/ws", "wss://c/live?x=1", "ws://d/ws"),
        )

    def test_that_are_none_are_refused_at_once_and_without_what_is_secret(self) -> None:
        for url in ("localhost:8080", "ftp://a/ws", "ws://", ""):
            with self.assertRaises(ValueError):
                connect(url)
        with self.assertRaises(ValueError):
            connect([])
        with self.assertRaises(ValueError) as caught:
            connect(f"ftp://ann:{TOKEN}@a/ws?token={TOKEN}")
        self.assertNotIn(TOKEN, str(caught.exception))

    def test_without_a_scheme_are_shown_as_they_were_given(self) -> None:
        with self.assertRaisesRegex(ValueError, "not 'localhost:8080'$"):
            connect(f"ann:{TOKEN}@localhost:8080?token={TOKEN}")

    def test_in_logs_have_neither_password_nor_query(self) -> None:
        self.assertEqual(safe_url(f"wss://ann:{TOKEN}@a:1/ws?token={TOKEN}"), "wss://a:1/ws")


class ASecret(unittest.TestCase):
    def test_prints_as_stars(self) -> None:
        secret = Secret(TOKEN)
        for text in (str(secret), repr(secret), f"{secret}", f"{[secret]}", repr(Tokens(TOKEN, None, lambda: 0))):
            self.assertNotIn(TOKEN, text)
        self.assertEqual(secret.reveal(), TOKEN)

    def test_is_taken_out_of_texts_of_others(self) -> None:
        self.assertEqual(redacted(f"bad token {TOKEN}, sorry"), "bad token ***, sorry")
        self.assertEqual(redacted("no route to staging.example.com"), "no route to staging.example.com")


class TheTokens(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.now = 1000.0
        self.asked: list[TokenReason] = []

    def get_token(self, reason: TokenReason) -> str:
        self.asked.append(reason)
        return f"token {len(self.asked)}"

    def tokens(self) -> Tokens:
        return Tokens(None, self.get_token, lambda: self.now)

    async def reveal(self, tokens: Tokens) -> str | None:
        secret = await tokens.current()
        return None if secret is None else secret.reveal()

    async def test_are_asked_for_once_and_used_while_they_are_good(self) -> None:
        tokens = self.tokens()
        self.assertEqual(await self.reveal(tokens), "token 1")
        tokens.accepted((self.now + 100) * 1000)
        self.now += 79
        self.assertEqual(await self.reveal(tokens), "token 1")
        self.now += 2
        self.assertEqual(await self.reveal(tokens), "token 2")
        self.assertEqual(self.asked, ["connect", "refresh"])

    async def test_are_due_at_four_fifths_of_their_life(self) -> None:
        tokens = self.tokens()
        await tokens.current()
        tokens.accepted((self.now + 100) * 1000)
        self.now += 10
        self.assertAlmostEqual(tokens.refresh_in() or 0, 70)
        tokens.accepted(None)
        self.assertIsNone(tokens.refresh_in())

    async def test_are_not_asked_for_without_end_where_the_clock_is_wrong(self) -> None:
        tokens = self.tokens()
        await tokens.current()
        tokens.accepted((self.now - 3600) * 1000)
        self.assertIsNone(tokens.refresh_in())
        await tokens.current()
        self.assertEqual(len(self.asked), 1)
        tokens.accepted((self.now + 0.001) * 1000)
        self.assertEqual(tokens.refresh_in(), 2)

    async def test_that_have_expired_are_replaced_or_final(self) -> None:
        tokens = self.tokens()
        await tokens.current()
        tokens.expired()
        await tokens.current()
        self.assertEqual(self.asked, ["connect", "expired"])
        with self.assertRaises(Unauthorized):
            Tokens("fixed", None, lambda: 0).expired()

    async def test_are_asked_for_by_one_call_at_a_time(self) -> None:
        running = most = 0

        async def slow(reason: TokenReason) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return "token"

        tokens = Tokens(None, slow, lambda: self.now)
        await asyncio.gather(*(tokens.fresh("refresh") for _ in range(5)))
        self.assertEqual(most, 1)

    async def test_say_what_is_wrong_with_the_callable(self) -> None:
        def failing(reason: TokenReason) -> str:
            raise OSError(f"cannot send {TOKEN}")

        with self.assertRaises(TokenUnavailable) as caught:
            await Tokens(None, failing, lambda: 0).current()
        self.assertIn("OSError: cannot send ***", str(caught.exception))
        for wrong in (None, "", 5):
            answer: Any = wrong
            with self.assertRaisesRegex(TypeError, "get_token must return a string"):
                await Tokens(None, partial(lambda value, reason: value, answer), lambda: 0).current()

    async def test_are_not_waited_for_without_end(self) -> None:
        async def stuck(reason: TokenReason) -> str:
            await asyncio.Event().wait()
            return "never"

        with self.assertRaisesRegex(TokenUnavailable, "did not answer within 0.05 s"):
            await Tokens(None, stuck, lambda: 0, patience=0.05).current()

    def test_come_from_one_place(self) -> None:
        with self.assertRaises(ValueError):
            Tokens("token", self.get_token, lambda: 0)
        with self.assertRaises(ValueError):
            Tokens("", None, lambda: 0)


if __name__ == "__main__":
    unittest.main()
