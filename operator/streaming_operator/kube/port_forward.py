"""
A local port that leads to a port of a pod, through the API server: what `kubectl port-forward` does.

The bytes are passed on unchanged, keys included, which the API server's HTTP proxy would take for its own. Each
connection gets a WebSocket of its own (v4.channel.k8s.io: one byte of channel before each message, and first the
port on both channels).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from streaming_operator.errors import ClusterError, Unreachable
from streaming_operator.kinds import Kind
from streaming_operator.kube.client import Transport

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = b"\x00", b"\x01"
GREETING = 3
"""Bytes of a channel's first message: the channel and the port."""
_READ = 64 * 1024
_PODS = Kind("v1", "Pod", "pods")


@asynccontextmanager
async def tunnel(transport: Transport, namespace: str, pod: str, port: int) -> AsyncIterator[int]:
    """Listen on a port of 127.0.0.1 while the block lasts; raises `ClusterError` when forwarding is impossible."""
    forward = _Forward(transport, namespace, pod, port)
    await forward.attempt()
    server = await asyncio.start_server(forward.accept, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await forward.close()


class _Forward:
    """The connections of one tunnel."""

    def __init__(self, transport: Transport, namespace: str, pod: str, port: int) -> None:
        self._transport = transport
        self._path = _PODS.path(namespace, pod, "portforward")
        self._query = {"ports": str(port)}
        self._doing = f"forward a port to Pod {namespace}/{pod}"
        self._tasks: set[asyncio.Task[None]] = set()

    async def attempt(self) -> None:
        """Open a WebSocket and close it: shows that the rights, the kubelet and the pod are there."""
        async with self._open() as socket:
            message = await socket.receive(10)
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise Unreachable(f"cannot {self._doing}: the connection was closed at once")

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve a connection in a task of our own.

        asyncio prints a traceback for a stream handler that is cancelled (before Python 3.12), and `close` could not
        cancel one that has not begun.
        """
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before it begins closes nothing.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it; the client sees its end and reports it."""
        with contextlib.suppress(ClusterError, OSError):
            first = await reader.read(_READ)
            if first:  # a connection that only measures the path opens no WebSocket
                async with self._open() as socket:
                    await socket.send_bytes(DATA + first)
                    await _copy_both_ways(reader, writer, socket)

    async def close(self) -> None:
        """Close the connections that are open."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _open(self) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self._transport.websocket(self._path, self._query, self._doing, PROTOCOL)


async def _copy_both_ways(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: aiohttp.ClientWebSocketResponse
) -> None:
    """Copy in both directions; the end of one is the end of both."""
    directions = (asyncio.create_task(_send(reader, socket)), asyncio.create_task(_receive(socket, writer)))
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while data := await reader.read(_READ):
        await socket.send_bytes(DATA + data)


async def _receive(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    greeted = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            return
        channel, data = message.data[:1], message.data[1:]
        if channel not in greeted and len(message.data) == GREETING:
            greeted.add(channel)
        elif channel == ERROR:
            return
        else:
            writer.write(data)
            await writer.drain()
