"""
A kubelet that can do one thing: forward ports of pods, as the real one does for the API server.

It speaks v4.channel.k8s.io over a WebSocket; where a pod's port leads to is up to the test.
"""

import asyncio
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.engines.running import free_port
from tests.probe.certificates import authority

DATA, ERROR = b"\x00", b"\x01"


class Kubelet:
    """Runs in a thread of its own; `ports` holds the local port behind each pod, by name."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.ports: dict[str, int] = {}
        self._tls = authority("kubelet").serve("kubelet", folder)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def register(self, plane: ControlPlane, name: str) -> None:
        """Write the Node that this is the kubelet of."""
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        plane.create(node)
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
        }
        plane.patch(node, {"status": status}, part="status")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        application = web.Application()
        application.router.add_get("/portForward/{namespace}/{pod}", self._forward)
        runner = web.AppRunner(application)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=_h1(self._tls))
        self._loop.run_until_complete(site.start())
        self._started.set()
        self._loop.run_forever()

    async def _forward(self, request: web.Request) -> web.WebSocketResponse:
        line = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await line.prepare(request)
        port = int(request.query["port"]).to_bytes(2, "little")
        await line.send_bytes(DATA + port)
        await line.send_bytes(ERROR + port)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[request.match_info["pod"]])
        except (OSError, KeyError):
            await line.send_bytes(ERROR + b"nobody listens")
            return line
        back = asyncio.create_task(_back(reader, line))
        async for message in line:
            if message.type is WSMsgType.BINARY and message.data[:1] == DATA:
                writer.write(message.data[1:])
        back.cancel()
        writer.close()
        return line


async def _back(reader: asyncio.StreamReader, line: web.WebSocketResponse) -> None:
    while data := await reader.read(32 * 1024):
        await line.send_bytes(DATA + data)
    await line.close()


def _h1(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context
