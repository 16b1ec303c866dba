"""Client for Roomcast: rooms over WebSocket, with recovery after reconnects and publishing that stores each message once.

async with connect("ws://localhost:8080/ws") as rc:
    async for message in rc.room("lobby", last=50):
        print(message.sender, message.data)
"""

from .backoff import Backoff
from .client import Client, connect
from .errors import (
    Closed,
    PayloadTooLarge,
    PublishUnknown,
    QueueFull,
    Refused,
    RemovedFromRoom,
    RoomcastError,
    Unauthorized,
)
from .events import (
    Added,
    Event,
    Gap,
    History,
    Joined,
    Member,
    MemberChange,
    MemberList,
    Members,
    Message,
    Position,
    PresenceChange,
    Published,
    Removed,
    Reset,
    Signal,
    Skipped,
)
from .room import Room
from .script import publish
from .status import Status
from .tokens import GetToken, TokenReason

__version__ = "0.1.0"

__all__ = [
    "Added",
    "Backoff",
    "Client",
    "Closed",
    "Event",
    "Gap",
    "GetToken",
    "History",
    "Joined",
    "Member",
    "MemberChange",
    "MemberList",
    "Members",
    "Message",
    "PayloadTooLarge",
    "Position",
    "PresenceChange",
    "Published",
    "PublishUnknown",
    "QueueFull",
    "Refused",
    "Removed",
    "RemovedFromRoom",
    "Reset",
    "Room",
    "RoomcastError",
    "Signal",
    "Skipped",
    "Status",
    "TokenReason",
    "Unauthorized",
    "connect",
    "publish",
]
