"""Publishing from a program that has no event loop: one call, one message, stored when it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from .client import connect
from .errors import PublishUnknown
from .events import Published


def publish(
    url: str | Sequence[str],
    room: str,
    data: Any,
    *,
    token: str | None = None,
    key: str | None = None,
    timeout: float = 30.0,
    **options: Any,
) -> Published:
    """Connects, publishes, and returns when the message is stored. Reconnects and repeats where it must, within the timeout.

    key: give one that means the message, such as "order-17-paid", and a script that is run twice stores it once.
    options: as for `connect`.

    Raises `Refused`, `Unauthorized`, and `PublishUnknown` where the timeout (in seconds) passes first; its text says why there is no
    connection.
    For more than a few messages keep a client open with `connect`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError("an event loop is running here: use connect() and await its publish()")

    reason = ""

    async def once() -> Published:
        nonlocal reason
        async with connect(url, token=token, wait=False, **options) as rc:
            try:
                return await rc.publish(room, data, key=key)
            finally:
                reason = rc.status.reason

    async def in_time() -> Published:
        try:
            return await asyncio.wait_for(once(), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            why = f" (no connection: {reason})" if reason else ""
            text = f"no acknowledgement within {timeout:g} s{why}; publish again with the same key to be certain"
            raise PublishUnknown(text) from None

    return asyncio.run(in_time())
