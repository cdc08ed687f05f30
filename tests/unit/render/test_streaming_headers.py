"""The header middleware, in a real uvicorn and by hand."""

import asyncio
import http.client
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from streaming_operator.render.templates.streaming_headers import StreamingHeaders, streaming

CONTRARY = {"Cache-Control": "public, max-age=60", "X-Accel-Buffering": "yes", "X-Other": "kept"}


def application() -> Starlette:
    """/stream sends its second event when /release was called: only an unbuffered client gets that far."""
    released = asyncio.Event()

    async def stream(_: Request) -> Response:
        async def events() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            await released.wait()
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream", headers=CONTRARY)

    async def release(_: Request) -> Response:
        released.set()
        return JSONResponse({"released": True}, headers=CONTRARY)

    application = Starlette(routes=[Route("/stream", stream), Route("/release", release)])
    application.add_middleware(StreamingHeaders)  # as vLLM adds a class given by --middleware
    return application


class Announcing(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base class, then tell."""
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture
def port() -> Iterator[int]:
    """A real server with the middleware."""
    server = Announcing(uvicorn.Config(application, factory=True, port=0, log_level="error"))
    sockets = [server.config.bind_socket()]
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets})
    thread.start()
    assert server.listening.wait(timeout=60)
    yield sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def get(port: int, path: str) -> http.client.HTTPResponse:
    """Send a request; the body is not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    return connection.getresponse()


def test_a_stream_says_that_it_must_not_be_kept_back(port: int) -> None:
    """Both headers once, other values replaced, other headers kept, and events pass one by one."""
    stream = get(port, "/stream")

    assert stream.readline() == b"data: 1\n"
    assert get(port, "/release").read() == b'{"released":true}'
    assert stream.read() == b"\ndata: [DONE]\n\n"
    assert stream.headers.get_all("x-accel-buffering") == ["no"]
    assert stream.headers.get_all("cache-control") == ["no-cache"]
    assert stream.headers.get_all("x-other") == ["kept"]


def test_other_answers_are_untouched(port: int) -> None:
    """What is no stream keeps its own headers."""
    answer = get(port, "/release")

    assert {name: answer.headers.get_all(name) for name in CONTRARY} == {
        name: [value] for name, value in CONTRARY.items()
    }


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "something-new"])
async def test_other_scopes_pass_through(kind: str) -> None:
    """The application gets the very same scope, receive and send: nothing stands between."""
    seen: list[tuple[Any, Any, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    async def receive() -> dict[str, Any]:
        return {}

    async def send(_: dict[str, Any]) -> None:
        return None

    scope = {"type": kind}
    await StreamingHeaders(inner)(scope, receive, send)

    assert seen == [(scope, receive, send)]


def test_header_names_and_types_are_compared_without_case() -> None:
    """`Text/Event-Stream; charset=utf-8` is a stream, and `X-ACCEL-BUFFERING` is the same header."""
    given = [(b"Content-Type", b"Text/Event-Stream; charset=utf-8"), (b"X-ACCEL-BUFFERING", b"yes")]

    assert streaming(given) == [given[0], (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
