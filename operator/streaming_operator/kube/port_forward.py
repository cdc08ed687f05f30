"""
A local port that leads to a port of a pod, through the API server: what `kubectl port-forward` does.

The bytes go through untouched, keys included, which the API server's HTTP proxy would take for its own. Each
connection gets a WebSocket of its own (v4.channel.k8s.io: one byte of channel before each message, and first the
port on both channels).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from streaming_operator.errors import ClusterError, Unreachable
from streaming_operator.kube import resources
from streaming_operator.kube.client import Transport

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = b"\x00", b"\x01"
GREETING = 3
"""Bytes of a channel's first message: the channel and the port."""
_READ = 64 * 1024


@asynccontextmanager
async def tunnel(transport: Transport, namespace: str, pod: str, port: int) -> AsyncIterator[int]:
    """Listen on a port of 127.0.0.1 while the block lasts; raises `ClusterError` when it cannot be done at all."""
    forward = _Forward(transport, namespace, pod, port)
    await forward.attempt()
    server = await asyncio.start_server(forward.serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await forward.close()


class _Forward:
    """The connections of one tunnel."""

    def __init__(self, transport: Transport, namespace: str, pod: str, port: int) -> None:
        self._transport = transport
        self._path = resources.PODS.path(namespace, pod, "portforward")
        self._query = {"ports": str(port)}
        self._doing = f"forward a port to Pod {namespace}/{pod}"
        self._tasks: set[asyncio.Task[None]] = set()

    async def attempt(self) -> None:
        """Open one and close it: rights, kubelet and pod are then known to be there."""
        async with self._open() as line:
            message = await line.receive(10)
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise Unreachable(f"cannot {self._doing}: the line was closed at once")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            first = await reader.read(_READ)
            if first:  # a connection that only measures the way costs the cluster nothing
                async with self._open() as line:
                    await line.send_bytes(DATA + first)
                    await _carry(reader, writer, line)
        except (ClusterError, OSError):
            pass  # the client sees its connection end, and says so
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        """End what is still open."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _open(self) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self._transport.websocket(self._path, self._query, self._doing, PROTOCOL)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: aiohttp.ClientWebSocketResponse
) -> None:
    """Both ways at once; the end of one is the end of both."""
    ways = (asyncio.create_task(_up(reader, line)), asyncio.create_task(_down(line, writer)))
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _up(reader: asyncio.StreamReader, line: aiohttp.ClientWebSocketResponse) -> None:
    while data := await reader.read(_READ):
        await line.send_bytes(DATA + data)


async def _down(line: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    greeted = set()
    async for message in line:
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
