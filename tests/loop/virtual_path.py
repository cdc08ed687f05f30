"""
The way of a probe's request in virtual time: the double as the pod, and an edge that relays or holds.

`install` puts it in the place of the probe's sockets; everything above them is the real probe. The double is the one
that other tests start as a process: its application is called in this process, and its pauses move the loop's clock.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from starlette.types import ASGIApp, Message, Scope

from streaming_operator.probe.http import connection, http1
from streaming_operator.probe.http.connection import ExchangeEnd, Limits, ResponseSink, Target
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.http.response import Ending
from tests.engines.double.app import Double
from tests.engines.double.args import parse

MODEL = "tiny"
FIRST_PORT = 10_000
LAST_CHUNK = b"0\r\n\r\n"
CORKED = 0.2

Bytes = AsyncIterator[bytes]


class Engine:
    """A model server: the double with these flags."""

    def __init__(self, *flags: str) -> None:
        words = (
            "serve",
            "/models/none",
            "--served-model-name",
            MODEL,
            "--enable-per-request-metrics",
            *flags,
        )
        self._app: ASGIApp = Double(parse(words)).app

    async def answer(self, request: Request) -> Bytes:
        """The raw answer as it is written; the client has left when the iterator is closed."""
        written: asyncio.Queue[bytes | None] = asyncio.Queue()
        left = asyncio.Event()
        serving = asyncio.create_task(self._serve(request, written, left))
        try:
            while (data := await written.get()) is not None:
                yield data
        finally:
            left.set()
            await serving

    async def metric(self, name: str) -> float:
        """The sum of one metric."""
        request = Request("GET", "/metrics", "engine", ())
        text = b"".join([data async for data in self.answer(request)]).decode()
        return sum(
            float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M)
        )

    async def _serve(
        self, request: Request, written: "asyncio.Queue[bytes | None]", left: asyncio.Event
    ) -> None:
        asked = [{"type": "http.request", "body": request.body, "more_body": False}]
        chunked = False

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal chunked
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                chunked = b"content-length" not in dict(headers)
                headers += [(b"transfer-encoding", b"chunked")] if chunked else []
                lines = [b"HTTP/1.1 %d Told" % message["status"], *(b": ".join(pair) for pair in headers)]
                written.put_nowait(b"\r\n".join([*lines, b"", b""]))
            elif body := message.get("body"):
                written.put_nowait(b"%x\r\n%b\r\n" % (len(body), body) if chunked else body)
            if message["type"] == "http.response.body" and chunked and not message.get("more_body"):
                written.put_nowait(LAST_CHUNK)

        try:
            await self._app(_scope(request), receive, send)
        finally:
            written.put_nowait(None)


def _scope(request: Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


Relay = Callable[[Bytes], Bytes]
"""Passes the upstream's answer on to the client, in its own way."""


async def healthy(answer: Bytes) -> Bytes:
    """Every byte as it comes."""
    async for data in answer:
        yield data


async def store_and_forward(answer: Bytes) -> Bytes:
    """The whole answer, then all of it."""
    yield b"".join([data async for data in answer])


async def corked(answer: Bytes) -> Bytes:
    """What has come in the last `CORKED` seconds, together."""
    clock = asyncio.get_running_loop().time
    waiting, since = b"", clock()
    async for data in answer:
        waiting += data
        if clock() - since >= CORKED:
            yield waiting
            waiting, since = b"", clock()
    yield waiting


async def mute(answer: Bytes) -> Bytes:
    """Not a byte, until the client leaves."""
    await asyncio.Event().wait()
    yield b""


@dataclass(eq=False)
class Edge:
    """Stands before a model server; `requests` holds what clients sent."""

    upstream: "Server"
    relay: Relay = healthy
    requests: list[Request] = field(default_factory=list)

    async def answer(self, request: Request) -> Bytes:
        """The upstream's answer, relayed."""
        self.requests.append(request)
        async for data in self.relay(self.upstream.answer(request)):
            yield data


class Server(Protocol):
    """What listens."""

    def answer(self, request: Request) -> Bytes:
        """The raw answer."""


@dataclass
class Ports:
    """What listens where, on 127.0.0.1."""

    servers: list[Server] = field(default_factory=list)
    late: dict[int, list[float]] = field(default_factory=dict)
    """By port, of the first streams: seconds between two looks of the probe."""

    def listen(self, server: Server) -> int:
        """The port of this server, its own."""
        if server not in self.servers:
            self.servers.append(server)
        return FIRST_PORT + self.servers.index(server)

    async def exchange(
        self, target: Target, request: Request, reader: ResponseSink, limits: Limits
    ) -> ExchangeEnd:
        """`connection.exchange`, with the loop's clock as the kernel's."""
        clock = asyncio.get_running_loop().time
        begin = last = clock()
        reader.begin(http1.Http1Codec())
        answer = self.servers[target.port - FIRST_PORT].answer(request)
        reads = aiter(answer)
        count = 0
        late = self.late.get(target.port, [])
        between = late.pop(0) if late else 0.0
        looked, waiting = 0.0, b""
        try:
            while True:
                patience = limits.stall if reader.token_seen else limits.first_token - (clock() - begin)
                try:
                    async with asyncio.timeout(patience):
                        data = await anext(reads, b"")
                except TimeoutError:
                    ending = Ending.STALLED if reader.token_seen else Ending.SILENT
                    return ExchangeEnd(ending, clock() - begin, "kernel", count)
                last, count, waiting = clock() - begin, count + 1, waiting + data
                if data and last - looked < between:
                    continue
                for _ in reader.steps(last, waiting, last - looked if between else 0.0):
                    pass
                looked, waiting = last, b""
                if reader.ending is not None or not data:
                    return ExchangeEnd(reader.ending or Ending.CLOSED, last, "kernel", count)
        finally:
            await answer.aclose()  # type: ignore[attr-defined]


async def _connect_times(target: Target, count: int, limits: Limits) -> tuple[float, ...]:
    return (0.0001,) * count


async def _look_up(name: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def _off_loop(work: Callable[[], Any]) -> Any:
    return work()


def install(monkeypatch: pytest.MonkeyPatch) -> Ports:
    """Take the place of the probe's sockets."""
    ports = Ports()
    monkeypatch.setattr(connection, "exchange", ports.exchange)
    monkeypatch.setattr(connection, "connect_times", _connect_times)
    monkeypatch.setattr(connection, "off_loop", _off_loop)
    monkeypatch.setattr(connection, "_addresses_of", _look_up)
    return ports


@asynccontextmanager
async def users(engine: Engine, streams: int, tokens: int) -> AsyncIterator[None]:
    """Long streams at a server with one place, so that all but one wait; they end when the block does."""
    words = f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "go on"}}], "stream": true, '
    body = (words + f'"max_tokens": {tokens}, "ignore_eos": true}}').encode()
    request = Request("POST", "/v1/chat/completions", "engine", (("Content-Type", "application/json"),), body)

    async def listen() -> None:
        async for _ in engine.answer(request):
            pass

    tasks = [asyncio.create_task(listen()) for _ in range(streams)]
    try:
        await asyncio.sleep(1)
        assert await engine.metric("vllm:num_requests_waiting") == streams - 1
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
