"""The golden vectors that all clients and nodes share, and what is no frame at all."""

from __future__ import annotations

import json
import math
import unittest
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgpack

from roomcast.events import Gap, Member, MemberChange, Message, PresenceChange, Reset, Signal
from roomcast.frames import (
    BadFrame,
    decode,
    encode,
    encode_publish,
    event_of,
    pack,
    publish_body,
    refusal_of,
    retry_after_of,
)

VECTORS = Path(__file__).parents[2] / "test/protocol/vectors"


def load(name: str) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return records


def revive(value: Any) -> Any:
    if isinstance(value, list):
        return [revive(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return bytes.fromhex(value["$bytes"])
    if "$time" in value:
        return datetime.fromisoformat(value["$time"].replace("Z", "+00:00"))
    if "$float" in value:
        return float(value["$float"])
    return {name: revive(inner) for name, inner in value.items()}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


class GoldenVectors(unittest.TestCase):
    def test_commands_are_written_as_exactly_these_bytes(self) -> None:
        for record in load("commands"):
            with self.subTest(record["name"]):
                self.assertEqual(encode(revive(record["value"])).hex(), record["msgpack"])

    def test_publishes_around_packed_data_are_the_same_bytes(self) -> None:
        publishes = [
            record for record in load("commands") if record["value"][0] == "publish" and len(record["value"]) == 5
        ]
        self.assertGreater(len(publishes), 2)
        for record in publishes:
            with self.subTest(record["name"]):
                _, number, room, data, options = revive(record["value"])
                frame = encode_publish(number, publish_body(room, pack(data), options))
                self.assertEqual(frame.hex(), record["msgpack"])

    def test_frames_of_a_node_are_read(self) -> None:
        for record in load("server-frames"):
            with self.subTest(record["name"]):
                message = bytes.fromhex(record["msgpack"])
                ((frame, size),) = decode(message)
                self.assertEqual(size, len(message))
                self.assertTrue(same(frame, revive(record["value"])), frame)

    def test_other_spellings_are_the_same_frame(self) -> None:
        for record in load("server-frames"):
            for spelling in record.get("alternatives", []):
                ((frame, _),) = decode(bytes.fromhex(spelling))
                self.assertEqual(frame[0], record["value"][0])

    def test_values_are_packed_to_these_bytes_and_back(self) -> None:
        for record in load("values"):
            with self.subTest(record["name"]):
                value = revive(record["value"])
                if record["name"] == "2^53, a float":
                    value = float(value)
                self.assertEqual(pack(value).hex(), record["msgpack"])
                ((frame, _),) = decode(encode(["x", value]))
                self.assertTrue(same(frame[1], value), frame)

    def test_several_frames_in_one_message_come_in_order(self) -> None:
        for record in load("batches"):
            with self.subTest(record["name"]):
                message = bytes.fromhex(record["msgpack"])
                frames = decode(message)
                self.assertTrue(same([frame for frame, _ in frames], revive(record["value"])))
                self.assertEqual(sum(size for _, size in frames), len(message))


class WhatIsNoFrame(unittest.TestCase):
    def test_raises_bad_frame_and_nothing_else(self) -> None:
        messages: dict[str, bytes | str] = {
            "a page of a captive portal": b"<html><body>Please log in</body></html>",
            "text": "<html>",
            "nil": b"\xc0",
            "an empty array": b"\x90",
            "an array without a type": b"\x91\x01",
            "the byte 0xc1": b"\xc1",
            "a frame cut short": b"\x92\xa2ok",
            "a frame, and half of one": encode(["ping", 1]) + b"\x92\xa2",
            "text that is not UTF-8": b"\x92\xa1x\xa1\xff",
            "an array of 2^32 - 1": b"\xdd\xff\xff\xff\xff",
            "a map with an array as key": b"\x92\xa1x\x81\x90\x01",
        }
        for name, message in messages.items():
            with self.subTest(name), self.assertRaises(BadFrame):
                decode(message)

    def test_every_malformed_vector_is_read_or_refused(self) -> None:
        for record in load("malformed"):
            if "msgpack" not in record:
                continue
            with self.subTest(record["name"]):
                try:
                    decode(bytes.fromhex(record["msgpack"]))
                except BadFrame:
                    pass

    def test_a_date_that_python_lacks_stays_a_timestamp(self) -> None:
        far = msgpack.Timestamp(10**12, 0)
        message = encode(["x", datetime(2026, 1, 2, tzinfo=timezone.utc)]) + b"\x92\xa1x" + msgpack.packb(far)
        frames = [frame for frame, _ in decode(message)]
        self.assertEqual(frames[1][1], far)

    def test_a_date_without_a_zone_is_refused_where_it_is_packed(self) -> None:
        with self.assertRaises((TypeError, ValueError)):
            pack(datetime(2026, 1, 2))


class Events(unittest.TestCase):
    def test_are_what_the_pushes_say(self) -> None:
        who = {"connection": "c", "user": "ann", "info": {"name": "Ann"}, "data": 1, "later": True}
        ann = Member("c", "ann", {"name": "Ann"}, 1)
        cases: list[tuple[list[Any], Any]] = [
            (["message", "r", 7, 1000, "ann", "x", "later"], Message("r", "e", 7, 1000, "ann", "x")),
            (["signal", "r", 1000, None, "x"], Signal("r", 1000, None, "x")),
            (["gap", "r", 1, 3, "limited"], Gap("r", 1, 3, "limited")),
            (["gap", "r", 1, 3], Gap("r", 1, 3, "expired")),
            (["gap", "r", 1, 3, "invented later"], Gap("r", 1, 3, "expired")),
            (["reset", "r", "f", 9], Reset("r", "f", 9)),
            (["member", "r", "joined", who, 2], MemberChange("r", "joined", ann, 2)),
            (["member", "r", "left", None, 2], MemberChange("r", "left", None, 2)),
            (["presence", "r", who], PresenceChange("r", ann)),
            (["invented-later", "r", 1], None),
        ]
        for frame, event in cases:
            self.assertEqual(event_of(frame, "e"), event)

    def test_what_nobody_can_read_any_more_is_loss(self) -> None:
        self.assertEqual(
            [Gap("r", 1, 1, reason).is_loss for reason in ("expired", "forbidden", "limited", "replaced", "skipped")],
            [True, True, False, False, False],
        )

    def test_an_error_frame_without_details_is_an_error_all_the_same(self) -> None:
        refusal = refusal_of(["error", 1, "rate_limited", "too fast", {"retryAfterMs": 250}])
        self.assertEqual((refusal.code, refusal.message, refusal.retry_after), ("rate_limited", "too fast", 0.25))
        self.assertIsNone(refusal_of(["error", 1, "internal", "a fault"]).retry_after)

    def test_an_error_names_the_limit_that_was_reached(self) -> None:
        refusal = refusal_of(["error", 1, "limit_exceeded", "too many rooms", {"limit": "limits.roomsPerConnection"}])
        self.assertEqual((refusal.limit, refusal.retry_after), ("limits.roomsPerConnection", None))
        for details in ({}, {"limit": 5}, {"limit": None}, "limits.roomsPerConnection", None):
            self.assertIsNone(refusal_of(["error", 1, "limit_exceeded", "no", details]).limit, details)
        self.assertIsNone(refusal_of(["error", 1, "internal", "a fault"]).limit)

    def test_a_wait_that_makes_no_sense_is_none(self) -> None:
        for told in (None, True, "5", -1, math.nan, math.inf, 2**60):
            self.assertIsNone(retry_after_of({"retryAfterMs": told}), told)


if __name__ == "__main__":
    unittest.main()
