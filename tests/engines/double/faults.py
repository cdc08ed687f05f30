"""Faults below HTTP: a connection that is reset, and a body that ends by closing instead of by chunks.

Both need the connection itself, so the server's protocol class puts itself into the ASGI scope.
"""

import socket
import struct
from collections.abc import MutableMapping
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEY = "double.protocol"


class Protocol(HttpToolsProtocol):
    """uvicorn's httptools protocol, the one vLLM runs on, within reach of the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope = cast(MutableMapping[str, Any], self.scope)
        scope["extensions"] = {KEY: self}


def reset(scope: Scope) -> None:
    """End the connection with RST, dropping what is still in its buffers."""
    transport = scope["extensions"][KEY].transport
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class CloseDelimited:
    """Wraps a response: neither Content-Length nor chunks, the end is the end of the connection."""

    def __init__(self, response: ASGIApp) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = scope["extensions"][KEY].cycle
        cycle.chunked_encoding, cycle.keep_alive = False, False

        async def send_plain(message: Message) -> None:
            cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._response(scope, receive, send_plain)
