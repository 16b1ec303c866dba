"""A client of the protocol in another language and without any library: WebSocket, JSON and a MessagePack subset by hand.

    python3 python_client.py URL json|msgpack ROOM --publish JSON... --messages N

Joins the room, publishes each value under an idempotency key once the join is answered, and prints every frame that
arrives as one line of JSON. Ends with 0 after N `message` frames, with 1 when ten seconds pass without a frame or
the node closes.
"""

import argparse
import base64
import hashlib
import json
import os
import socket
import struct
import sys
from urllib.parse import urlsplit

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    def __init__(self, url, subprotocol):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
        self.stream = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        path = parts.path + ("?" + parts.query if parts.query else "")
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n".encode()
        )
        self._check_upgrade(key, subprotocol)

    def _check_upgrade(self, key, subprotocol):
        status = self.stream.readline().decode().strip()
        headers = {}
        while line := self.stream.readline().decode().strip():
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if " 101 " not in status + " " or headers.get("sec-websocket-accept") != accept:
            sys.exit(f"the upgrade was refused: {status}")
        if headers.get("sec-websocket-protocol") != subprotocol:
            sys.exit(f"the node chose {headers.get('sec-websocket-protocol')}")

    def send(self, opcode, payload):
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def receive(self):
        """The next data message as (opcode, payload). Answers pings; exits on a close."""
        message, kind = b"", None
        while True:
            first, second = self._read(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._read(8))
            opcode, payload = first & 0x0F, self._read(size)
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                sys.exit(f"the node closed: {struct.unpack('!H', payload[:2])[0] if payload else 1005}")
            elif opcode != PONG:
                kind, message = kind or opcode, message + payload
                if first & 0x80:
                    return kind, message

    def _read(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            sys.exit("the connection ended")
        return data


def pack(value):
    """MessagePack of what JSON can hold."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xcf" + struct.pack("!Q", value) if value >= 0 else b"\xd3" + struct.pack("!q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack("!d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack("!I", len(data)) + data
    if isinstance(value, list):
        return b"\xdd" + struct.pack("!I", len(value)) + b"".join(map(pack, value))
    return b"\xdf" + struct.pack("!I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())


class Unpacker:
    NUMBERS = {
        0xCA: "!f", 0xCB: "!d", 0xCC: "!B", 0xCD: "!H", 0xCE: "!I", 0xCF: "!Q",
        0xD0: "!b", 0xD1: "!h", 0xD2: "!i", 0xD3: "!q",
    }  # fmt: skip

    def __init__(self, data):
        self.data, self.at = data, 0

    def frames(self):
        while self.at < len(self.data):
            yield self.value()

    def take(self, size):
        self.at += size
        if self.at > len(self.data):
            raise ValueError("truncated MessagePack")
        return self.data[self.at - size : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        head = self.number("!B")
        if head < 0x80:
            return head
        if head < 0x90:
            return self.map(head & 0x0F)
        if head < 0xA0:
            return self.array(head & 0x0F)
        if head < 0xC0:
            return self.take(head & 0x1F).decode()
        if head >= 0xE0:
            return head - 0x100
        return self.long_value(head)

    def long_value(self, head):
        if head in self.NUMBERS:
            return self.number(self.NUMBERS[head])
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        size = {0xC4: "!B", 0xC5: "!H", 0xC6: "!I", 0xD9: "!B", 0xDA: "!H", 0xDB: "!I",
                0xDC: "!H", 0xDD: "!I", 0xDE: "!H", 0xDF: "!I"}.get(head)  # fmt: skip
        if size is None:
            raise ValueError(f"unexpected MessagePack byte {head:#x}")
        length = self.number(size)
        if head <= 0xC6:
            return {"bin": self.take(length).hex()}
        if head <= 0xDB:
            return self.take(length).decode()
        return self.array(length) if head <= 0xDD else self.map(length)

    def array(self, length):
        return [self.value() for _ in range(length)]

    def map(self, length):
        return {self.value(): self.value() for _ in range(length)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("encoding", choices=["json", "msgpack"])
    parser.add_argument("room")
    parser.add_argument("--publish", nargs="*", default=[], type=json.loads)
    parser.add_argument("--messages", type=int, default=1)
    options = parser.parse_args()
    connection = WebSocket(options.url, f"roomcast.v1.{options.encoding}")

    def send(frame):
        if options.encoding == "json":
            connection.send(TEXT, json.dumps(frame).encode())
        else:
            connection.send(BINARY, pack(frame))

    send(["join", 1, options.room])
    left = options.messages
    while left > 0:
        opcode, payload = connection.receive()
        if (opcode == TEXT) != (options.encoding == "json"):
            sys.exit(f"a WebSocket message of opcode {opcode}")
        frames = map(json.loads, payload.splitlines()) if opcode == TEXT else Unpacker(payload).frames()
        for frame in frames:
            print(json.dumps(frame), flush=True)
            if frame[:2] == ["ok", 1]:
                for i, data in enumerate(options.publish):
                    send(["publish", i + 2, options.room, data, {"key": f"python-{os.getpid()}-{i}"}])
            left -= frame[0] == "message"


main()
