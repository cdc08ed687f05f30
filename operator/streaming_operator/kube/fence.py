"""
What keeps a request that changes something from reaching the API server too late: after our Lease has ended.

A check before the request is not enough. The process may be stopped between the check and the first byte, and the
kernel goes on sending for a quarter of an hour what a cut network did not acknowledge. So the check comes with the
bytes, and the kernel gives up soon.
"""

import socket
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

MayWrite = Callable[[], None]
"""Raises `NotLeading` where nothing may be written."""

UNACKNOWLEDGED_SECONDS = 5.0
"""How long the kernel tries to deliver what it was given, where it can be told (Linux): a third of a Lease's 15 s."""


def always() -> None:
    """One command of a person, and a process that nobody could be beside, may write at any time."""


class FencedBody(BytesPayload):
    """The body of a request; asks whether it may be sent in the moment in which its bytes go to the socket."""

    def __init__(self, body: bytes, may_write: MayWrite) -> None:
        super().__init__(body)
        self._may_write = may_write

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send headers and body, or nothing that the API server would take for a whole request."""
        self._may_write()
        await super().write_with_length(writer, content_length)


def socket_with_write_timeout(address: tuple[Any, ...]) -> socket.socket:
    """A socket whose kernel drops the connection, and what it holds of it, after `UNACKNOWLEDGED_SECONDS`."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNACKNOWLEDGED_SECONDS * 1000))
    return made
