"""The tunnel to a port of a pod, against a played API server."""

import asyncio
from typing import Any

from aiohttp import WSMsgType, web

from streaming_operator.kube.port_forward import DATA, ERROR, PROTOCOL, tunnel
from tests.unit.kube.test_client import Script, talking_to


class Echo(Script):
    """Forwards to a port that sends every byte back."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One WebSocket, both channels greeted with the port."""
        socket = web.WebSocketResponse(protocols=(PROTOCOL,))
        await socket.prepare(request)
        for channel in (DATA, ERROR):
            await socket.send_bytes(channel + (8000).to_bytes(2, "little"))
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket


async def test_bytes_go_to_the_pod_and_back() -> None:
    """A connection to the local port is one to the pod's."""
    async with talking_to(Echo()) as (transport, _), tunnel(transport, "default", "chat-1", 8000) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await reader.readexactly(16) == b"GET / HTTP/1.1\r\n"
        writer.close()


async def test_closing_the_tunnel_ends_open_connections_and_reports_nothing() -> None:
    """Connections that carry bytes, wait for their first byte or were accepted just now: no traceback of any."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with talking_to(Echo()) as (transport, _):
        async with tunnel(transport, "default", "chat-1", 8000) as port:
            busy, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            await busy.readexactly(1)
            silent, _ = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0)  # the connection is accepted, its handler has not begun
        assert await busy.read() == b""
        assert await silent.read() == b""
    await asyncio.sleep(0)
    assert reported == []
