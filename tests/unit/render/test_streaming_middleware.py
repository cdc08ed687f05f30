"""The streaming middleware, in a real uvicorn and by hand."""

import asyncio
import http.client
import json
import queue
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from streaming_operator.render.templates import drain
from streaming_operator.render.templates import streaming_middleware as middleware
from streaming_operator.render.templates.streaming_middleware import DONE, END, StreamingMiddleware

CONTRARY = {"Cache-Control": "public, max-age=60", "X-Accel-Buffering": "yes", "X-Other": "kept"}
FIRST = b"data: 1\n\n"
LARGE = b"data: " + b"x" * 2**23 + b"\n\n"
"""More than the sockets between a server and a client that does not read can hold."""

STREAMS: dict[str, tuple[bytes, ...]] = {
    "/stream": (FIRST, DONE),
    "/prefill": (b": keep-alive\n\n", DONE),
    "/halves": (b"data: 1\n\ndata: 2", b"2\n\n" + DONE),
    "/done": (FIRST + DONE, b""),
    "/large": (LARGE, LARGE, DONE),
    "/encoded": (b"zipped", b" and more"),
}
"""What each path streams: the last part only after a call of /release."""


class Application:
    """Streams, and notes whose stream was dropped before its end."""

    def __init__(self, outside: bool, inside: bool) -> None:
        self.dropped: queue.Queue[str] = queue.Queue()
        self._released = asyncio.Event()
        routes = [Route(path, self._stream) for path in STREAMS]
        routes += [Route("/release", self._release), Route("/slow", self._slow)]
        self.app = Starlette(routes=[*routes, Route("/stubborn", self._stubborn)])
        for ours, users in ((False, inside), (True, True), (False, outside)):
            if ours:
                self.app.add_middleware(StreamingMiddleware)  # as vLLM adds a class given by --middleware
            elif users:
                self.app.add_middleware(BaseHTTPMiddleware, dispatch=untouched)  # and a function

    async def _stream(self, request: Request) -> Response:
        *parts, last = STREAMS[request.url.path]

        async def events() -> AsyncIterator[bytes]:
            try:
                for part in parts:
                    yield part
                await self._released.wait()
            except (asyncio.CancelledError, GeneratorExit):
                self.dropped.put(request.url.path)
                raise
            yield last

        encoding = {"Content-Encoding": "gzip"} if request.url.path == "/encoded" else {}
        return StreamingResponse(events(), media_type="text/event-stream", headers=CONTRARY | encoding)

    async def _stubborn(self, _: Request) -> Response:
        """Talks on when it is cancelled, and fails."""

        async def events() -> AsyncIterator[bytes]:
            yield FIRST
            try:
                await self._released.wait()
            except asyncio.CancelledError:
                yield b"data: too late\n\n"
            raise ValueError("as it goes")

        return StreamingResponse(events(), media_type="text/event-stream")

    async def _slow(self, _: Request) -> Response:
        await self._released.wait()
        return JSONResponse({"slow": True})

    async def _release(self, _: Request) -> Response:
        self._released.set()
        return JSONResponse({"released": True}, headers=CONTRARY)


async def untouched(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """A function middleware of a user."""
    return await call_next(request)


class Server(uvicorn.Server):
    """A real server, which says when it listens."""

    def __init__(self, outside: bool = False, inside: bool = False) -> None:
        self.application: Application | None = None
        self.listening = threading.Event()
        super().__init__(uvicorn.Config(self._make, factory=True, port=0, log_level="critical"))
        self._where, self._sockets = (outside, inside), [self.config.bind_socket()]
        self.port: int = self._sockets[0].getsockname()[1]

    def _make(self) -> Starlette:
        self.application = Application(*self._where)
        return self.application.app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base class, then tell."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def running(self) -> Iterator["Server"]:
        """In a thread, until the end of the block."""
        thread = threading.Thread(target=self.run, kwargs={"sockets": self._sockets})
        thread.start()
        try:
            assert self.listening.wait(timeout=60)
            yield self
        finally:
            self.should_exit = True
            thread.join()

    def get(self, path: str) -> http.client.HTTPResponse:
        """Send a request; the body is not read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        return connection.getresponse()

    def dropped(self) -> str:
        """The next path whose stream the application dropped."""
        assert self.application is not None
        return self.application.dropped.get(timeout=30)


@pytest.fixture
def flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of drain.py, not there yet."""
    path = tmp_path / "over"
    monkeypatch.setenv(middleware.FLAG_VARIABLE, str(path))
    return path


@pytest.fixture
def server(flag: Path) -> Iterator[Server]:
    """A server with our middleware alone."""
    with Server().running() as running:
        yield running


def test_a_stream_says_that_it_must_not_be_kept_back(server: Server) -> None:
    """Both headers once, other values replaced, other headers kept, and events pass one by one."""
    stream = server.get("/stream")

    assert stream.readline() == b"data: 1\n"
    assert server.get("/release").read() == b'{"released":true}'
    assert stream.read() == b"\ndata: [DONE]\n\n"
    assert stream.headers.get_all("x-accel-buffering") == ["no"]
    assert stream.headers.get_all("cache-control") == ["no-cache"]
    assert stream.headers.get_all("x-other") == ["kept"]


def test_other_answers_are_untouched(server: Server) -> None:
    """What is no stream keeps its own headers."""
    answer = server.get("/release")

    assert {name: [value] for name, value in CONTRARY.items()} == {
        name: answer.headers.get_all(name) for name in CONTRARY
    }


@pytest.mark.parametrize(("outside", "inside"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/stream", FIRST + END),
        ("/prefill", b": keep-alive\n\n" + END),
        ("/halves", b"data: 1\n\ndata: 2\n\n" + END),
        ("/done", FIRST + DONE),
        ("/stubborn", FIRST + END),
    ],
)
def test_streams_that_outlive_the_drain_get_an_error(
    flag: Path, path: str, body: bytes, outside: bool, inside: bool
) -> None:
    """Whatever the engine does: an error event and [DONE], once, between two events, and the body is whole."""
    with Server(outside, inside).running() as server:
        stream = server.get(path)
        begin = stream.readline()
        flag.touch()

        assert body == begin + stream.read()
        if path != "/stubborn":
            assert path == server.dropped(), "the engine still works for a stream that has ended"


def test_the_last_event_is_an_error_as_clients_know_it() -> None:
    """One event that OpenAI's clients raise, then the end."""
    error, done, nothing = END.split(b"\n\n")

    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == 503
    assert (done, nothing) == (b"data: [DONE]", b"")


def test_every_stream_is_ended_and_those_that_begin_later_too(server: Server, flag: Path) -> None:
    """Several at once, and one whose head comes when the time is over already."""
    streams = [server.get("/stream") for _ in range(3)]
    flag.touch()

    assert [stream.read() for stream in streams] == [FIRST + END] * 3
    assert server.get("/prefill").read().endswith(END)


def test_a_slow_client_gets_whole_events(server: Server, flag: Path) -> None:
    """An event that is on its way when the time is over arrives to its last byte."""
    slow, quick = server.get("/large"), server.get("/stream")
    begin = slow.read(6)
    flag.touch()

    assert quick.read() == FIRST + END, "and both are stopped at the same look"
    assert begin + slow.read() == LARGE + END


def test_what_is_no_stream_of_events_is_left_to_the_engine(server: Server, flag: Path) -> None:
    """Another answer and a compressed stream end as if nobody had looked."""
    encoded, stream = server.get("/encoded"), server.get("/stream")
    slow: list[bytes] = []
    asking = threading.Thread(target=lambda: slow.append(server.get("/slow").read()))
    asking.start()
    flag.touch()
    assert stream.read() == FIRST + END
    server.get("/release").read()
    asking.join()

    assert encoded.read() == b"zipped and more"
    assert slow == [b'{"slow":true}']


def test_a_flag_of_an_earlier_life_is_none(flag: Path) -> None:
    """The file outlives a container that is started again; only a new touch counts."""
    flag.touch()
    with Server().running() as server:
        stream = server.get("/stream")
        begin = stream.readline()
        server.get("/release").read()
        assert begin + stream.read() == FIRST + DONE

    with Server().running() as server:
        stream = server.get("/stream")
        begin = stream.readline()
        flag.touch()
        assert begin + stream.read() == FIRST + END


def test_without_a_flag_streams_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that names no file has headers only."""
    monkeypatch.delenv(middleware.FLAG_VARIABLE, raising=False)
    with Server().running() as server:
        server.get("/release").read()

        assert server.get("/stream").read() == FIRST + DONE


def test_a_client_that_leaves_is_seen_by_the_application(server: Server) -> None:
    """Its disconnect passes: the engine drops the request."""
    stream = server.get("/stream")
    stream.readline()
    stream.close()

    assert server.dropped() == "/stream"


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "something-new"])
async def test_other_scopes_pass_through(kind: str) -> None:
    """The application gets the very same scope, receive and send: nothing stands between."""
    calls: list[tuple[Any, Any, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        calls.append((scope, receive, send))

    async def receive() -> dict[str, Any]:
        return {}

    async def send(_: dict[str, Any]) -> None:
        return None

    scope = {"type": kind}
    await StreamingMiddleware(inner)(scope, receive, send)

    assert [(scope, receive, send)] == calls


async def test_a_cancel_by_somebody_else_is_theirs(flag: Path) -> None:
    """A server that cancels its requests gets its cancel back, and no words of ours."""
    sent: list[dict[str, Any]] = []
    begun = asyncio.Event()

    async def inner(_scope: Any, _receive: Any, send: Callable[[dict[str, Any]], Any]) -> None:
        await send({"type": "http.response.start", "headers": [(b"content-type", b"text/event-stream")]})
        begun.set()
        await asyncio.Event().wait()

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    task = asyncio.ensure_future(StreamingMiddleware(inner)({"type": "http"}, receive, send))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [message["type"] for message in sent] == ["http.response.start"]


def test_header_names_and_types_are_compared_without_case() -> None:
    """`Text/Event-Stream; charset=utf-8` is a stream, and `X-ACCEL-BUFFERING` is the same header."""
    given = [(b"Content-Type", b"Text/Event-Stream; charset=utf-8"), (b"X-ACCEL-BUFFERING", b"yes")]
    ours = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]

    assert middleware.is_stream(given)
    assert [given[0], *ours] == middleware.streaming(given)


def test_script_and_middleware_mean_the_same_file() -> None:
    """Neither can import the other's words: they run in two processes of the engine's image."""
    assert middleware.FLAG_VARIABLE == drain.FLAG_VARIABLE
