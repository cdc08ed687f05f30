"""The bridge of WebSockets, by hand: what the application is asked, and what the client of a socket gets."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from streaming_operator.render.templates import websocket_bridge as bridge
from streaming_operator.render.templates.websocket_bridge import DONE, WebSocketBridge

REQUEST = {"model": "events", "messages": [{"role": "user", "content": "count"}]}
HOST = (b"host", b"tiny.example.com")
EVENTS = (b": keep-alive\n\ndata: {", b'"n": 1}\n\ndata: {"n": 2}\r\n', b"\r\ndata: [DO", b"NE]\n\n")


class Application:
    """Answers as the request's model says, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.dropped: list[str] = []
        self.begun = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = json.loads((await receive())["body"])
        self.asked.append((scope, body))
        model = body["model"]
        if model == "crash":
            raise ValueError("as it goes")
        kind, status = (b"text/event-stream; charset=utf-8", 200) if model[0] == "e" else (b"text/plain", 503)
        if model == "key":
            kind, status = b"application/json", 401
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        try:
            for part in {"events": EVENTS, "endless": EVENTS[:2], "early": EVENTS[:2]}.get(model, ()):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            self.begun.set()
            if model == "endless":
                assert (await receive())["type"] == "http.disconnect"
                self.dropped.append(model)
                return
        except asyncio.CancelledError:
            self.dropped.append(model)
            raise
        last = {"busy": b"no room", "key": b'{"error": "Unauthorized"}'}.get(model, b"")
        await send({"type": "http.response.body", "body": last})


class Socket:
    """One socket of a client: what the bridge sends is in `answers`, the last entry how it ended."""

    def __init__(self, app: Any, *headers: tuple[bytes, bytes], **scope: Any) -> None:
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.full, self.blocked = False, asyncio.Event()
        self._to_bridge: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.scope = {
            "type": "websocket",
            "scheme": "wss",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "query_string": b"",
            "headers": [HOST, (b"upgrade", b"websocket"), (b"sec-websocket-key", b"x"), *headers],
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
            "state": {"engine": 1},
        } | scope
        self._put("websocket.connect")
        self.served = asyncio.ensure_future(app(self.scope, self._to_bridge.get, self._take))

    def say(self, message: Any) -> None:
        self._put("websocket.receive", text=message if isinstance(message, str) else json.dumps(message))

    def leave(self) -> None:
        self._put("websocket.disconnect", code=1001)

    async def until_done(self) -> list[str]:
        """The messages of one answer."""
        messages = [await self.answers.get()]
        while messages[-1] != DONE:
            messages.append(await self.answers.get())
        return messages

    def _put(self, kind: str, **fields: Any) -> None:
        self._to_bridge.put_nowait({"type": kind} | fields)

    async def _take(self, message: dict[str, Any]) -> None:
        if self.full:
            self.blocked.set()
            await asyncio.Event().wait()
        self.answers.put_nowait(message["text"] if message["type"] == "websocket.send" else message)


async def accepted(app: Any, *headers: tuple[bytes, bytes], **scope: Any) -> Socket:
    """A socket whose handshake is complete."""
    socket = Socket(WebSocketBridge(app), *headers, **scope)
    assert await socket.answers.get() == {"type": "websocket.accept"}
    return socket


async def left(socket: Socket) -> None:
    """The client goes, and the bridge has noticed."""
    socket.leave()
    await socket.served


async def test_each_event_is_one_message_and_a_socket_takes_one_request_after_another() -> None:
    """However the bytes are cut, without comments; [DONE] is the last of each answer."""
    socket = await accepted(Application())

    for _ in range(3):
        socket.say(REQUEST | {"stream": False})
        assert await socket.until_done() == ['{"n": 1}', '{"n": 2}', DONE]
    await left(socket)


async def test_the_application_is_asked_by_an_ordinary_post() -> None:
    """Headers of the client and the edge stay, those of the handshake go, and a request id is used once."""
    app = Application()
    kept = ((b"Authorization", b"Bearer sesame"), (b"x-forwarded-for", b"203.0.113.7"))
    socket = await accepted(app, *kept, (b"X-Request-Id", b"r"), (b"content-length", b"9"))
    for _ in range(2):
        socket.say(REQUEST)
        await socket.until_done()
    await left(socket)

    (first, body), (second, _) = app.asked
    assert body == REQUEST | {"stream": True}
    assert (first["type"], first["method"], first["scheme"], first["path"]) == (
        "http",
        "POST",
        "https",
        "/v1/chat/completions",
    )
    assert first["state"] == {"engine": 1}
    length = b"%d" % len(json.dumps(body))
    own = [(b"content-type", b"application/json"), (b"content-length", length)]
    assert first["headers"] == [HOST, *kept, (b"X-Request-Id", b"r"), *own]
    assert second["headers"] == [HOST, *kept, (b"X-Request-Id", b"r-2"), *own]


async def test_a_client_that_goes_cancels_its_request() -> None:
    """The application is cancelled while it streams, and nothing is sent any more."""
    app = Application()
    socket = await accepted(app)
    socket.say(REQUEST | {"model": "endless"})
    await app.begun.wait()

    await left(socket)

    assert app.dropped == ["endless"]
    assert [await socket.answers.get(), socket.answers.empty()] == ['{"n": 1}', True]


async def test_a_client_that_does_not_read_stops_the_stream() -> None:
    """The next event is asked for when the last one is taken: nothing is kept for a slow client."""
    app = Application()
    socket = await accepted(app)
    socket.full = True
    socket.say(REQUEST | {"model": "endless"})
    await socket.blocked.wait()

    assert not app.begun.is_set()
    await left(socket)
    assert app.dropped == ["endless"]


async def events_until(ended: list[type[BaseException]]) -> AsyncIterator[bytes]:
    """A server's generator, without an end of its own; it notes by what it was ended."""
    try:
        while True:
            yield b'data: {"n": 1}\n\n'
            await asyncio.sleep(0)
    except (asyncio.CancelledError, GeneratorExit) as end:
        ended.append(type(end))
        raise


@pytest.mark.parametrize("last", [1, 2, 5])
async def test_a_client_that_goes_while_it_is_sent_an_event_ends_the_generator_of_the_server(
    last: int,
) -> None:
    """At its own await, where a server aborts the request; between two events it would be left to the collector."""
    ended: list[type[BaseException]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in events_until(ended):
            await send({"type": "http.response.body", "body": event, "more_body": True})

    class Leaving(Socket):
        async def _take(self, message: dict[str, Any]) -> None:
            await super()._take(message)
            if self.answers.qsize() == 1 + last:  # the first one accepts the socket
                self.leave()

    socket = Leaving(WebSocketBridge(application))
    socket.say(REQUEST)
    await socket.served
    assert ended == [asyncio.CancelledError]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing that is left behind is ended by the collector."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("how", ["leaves while nothing is taken", "send fails", "takes nothing for long"])
async def test_whatever_ends_a_socket_ends_the_generator_of_a_server_at_its_own_await(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the responses of Starlette, as vLLM answers; left to the collector the request would run on."""
    if how == "takes nothing for long":
        monkeypatch.setattr(bridge, "LONGEST_SEND", 0)
    ended: list[type[BaseException]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await StreamingResponse(events_until(ended), media_type="text/event-stream")(scope, receive, send)

    class Failing(Socket):
        async def _take(self, message: dict[str, Any]) -> None:
            if how == "send fails" and self.answers.qsize() == 2:  # it is accepted, and has one event
                raise ConnectionResetError
            await super()._take(message)

    socket = Failing(WebSocketBridge(application))
    await asyncio.sleep(0)
    socket.full = how != "send fails"
    socket.say(REQUEST)
    if socket.full:
        await socket.blocked.wait()
    if how == "leaves while nothing is taken":
        socket.leave()
    await socket.served
    assert ended == [asyncio.CancelledError]


async def test_a_socket_that_does_not_even_take_its_end_is_none_of_those_that_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Told to go for what it sends while it reads nothing, it leaves its place to others."""
    monkeypatch.setattr(bridge, "MAX_WAITING", 0)
    monkeypatch.setattr(bridge, "LONGEST_SEND", 0.01)
    app = WebSocketBridge(Application())
    socket = Socket(app)
    await socket.answers.get()
    socket.full = True
    socket.say(REQUEST)
    await socket.served
    assert socket.blocked.is_set()
    assert app._sockets == 0


@pytest.mark.parametrize(
    "message", [REQUEST | {"model": "endless"}, REQUEST | {"model": "busy"}, "no request"]
)
async def test_a_client_that_takes_nothing_for_long_loses_its_socket(
    message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an answer, and while it is told an error."""
    monkeypatch.setattr(bridge, "LONGEST_SEND", 0)
    application = Application()
    socket = Socket(WebSocketBridge(application))
    await socket.answers.get()
    socket.full = True
    socket.say(message)
    await socket.served
    assert socket.blocked.is_set()
    assert socket.answers.empty()


async def test_the_key_comes_by_the_first_message_where_a_browser_can_send_no_header() -> None:
    """It stands in the Authorization of each request, and in nothing that is sent back."""
    app = Application()
    socket = await accepted(app)
    socket.say({"authorization": "Bearer sesame"})
    socket.say(REQUEST)
    first = await socket.until_done()
    socket.say({"authorization": "Bearer other"})
    late = await socket.until_done()
    socket.say(REQUEST)
    await socket.until_done()
    await left(socket)

    assert [dict(scope["headers"])[b"authorization"] for scope, _ in app.asked] == [b"Bearer sesame"] * 2
    assert "sesame" not in str(first + late)
    assert "other" not in str(late)
    assert json.loads(late[0])["error"]["code"] == 400


@pytest.mark.parametrize(
    "message",
    [
        {"authorization": "Bearer a\r\nx-forwarded-for: 1"},
        {"authorization": "Bearer é"},
        {"authorization": 1},
        {"authorization": ""},
        {"authorization": "x" * 8193},
        {"authorization": "Bearer a", **REQUEST},
    ],
)
async def test_a_key_that_is_no_value_of_a_header_is_refused(message: dict[str, Any]) -> None:
    """No further header can be written with it."""
    app = Application()
    socket = await accepted(app)
    socket.say(message)

    assert json.loads((await socket.until_done())[0])["error"]["code"] == 400
    await left(socket)
    assert app.asked == []


async def test_the_key_of_the_handshake_is_not_replaced_by_a_message() -> None:
    """It may be that of an edge, which has checked the client by other means."""
    app = Application()
    socket = await accepted(app, (b"authorization", b"Bearer of-the-edge"))
    socket.say({"authorization": "Bearer mine"})
    assert json.loads((await socket.until_done())[0])["error"]["code"] == 400
    socket.say(REQUEST)
    await socket.until_done()
    await left(socket)

    headers = app.asked[0][0]["headers"]
    assert [value for name, value in headers if name == b"authorization"] == [b"Bearer of-the-edge"]


@pytest.mark.parametrize(
    ("model", "messages", "code"),
    [
        ("busy", ["no room"], 503),
        ("early", ['{"n": 1}', "the stream ended before it was complete"], 500),
        ("events", ['{"n": 1}', '{"n": 2}'], None),
    ],
)
async def test_every_answer_ends_with_done(model: str, messages: list[str], code: int | None) -> None:
    """An error is one message, as OpenAI's clients know it, and the socket lives on."""
    socket = await accepted(Application())
    for _ in range(2):
        socket.say(REQUEST | {"model": model})
        *events, end = await socket.until_done()
        assert end == DONE
        if code is not None:
            problem = json.loads(events.pop())["error"]
            events.append(problem["message"])
            assert problem["code"] == code
        assert events == messages
    await left(socket)


@pytest.mark.parametrize("message", ["no json", "[1]", "3", '{"a": ' * 100_000, ""])
async def test_what_is_no_request_is_an_error_and_asks_nobody(message: str) -> None:
    """The socket lives on."""
    app = Application()
    socket = await accepted(app)
    socket.say(message)

    assert json.loads((await socket.until_done())[0])["error"]["code"] == 400
    await left(socket)
    assert app.asked == []


async def closed(socket: Socket) -> tuple[int, list[Any]]:
    """The code with which the bridge closed, and what came before."""
    messages = [await socket.answers.get()]
    while not isinstance(messages[-1], dict):
        messages.append(await socket.answers.get())
    return messages.pop()["code"], messages


async def test_a_refused_key_ends_the_socket() -> None:
    """The server's own answer, then 1008: nobody tries keys on one socket."""
    socket = await accepted(Application())
    socket.say(REQUEST | {"model": "key"})

    assert await closed(socket) == (1008, ['{"error": "Unauthorized"}', DONE])
    await socket.served


async def test_a_server_that_fails_ends_the_socket() -> None:
    """The client is told, and the server's log has the reason."""
    socket = await accepted(Application())
    socket.say(REQUEST | {"model": "crash"})
    code, (message,) = await closed(socket)

    assert (code, json.loads(message)["error"]["code"]) == (1011, 500)
    with pytest.raises(ValueError, match="as it goes"):
        await socket.served


@pytest.mark.parametrize(
    ("messages", "code"),
    [(["{}"] * (bridge.MAX_WAITING + 1), 1008), (["x" * (bridge.MAX_REQUEST + 1)], 1009)],
)
async def test_what_waits_of_one_socket_is_bounded(messages: list[str], code: int) -> None:
    """Neither many messages nor large ones are kept for later; the request that runs is dropped."""
    app = Application()
    socket = await accepted(app)
    socket.say(REQUEST | {"model": "endless"})
    await app.begun.wait()
    for message in messages:
        socket.say(message)

    assert await closed(socket) == (code, ['{"n": 1}'])
    await socket.served
    assert app.dropped == ["endless"]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        (b"https://tiny.example.com", True),
        (b"http://TINY.example.com:80", True),
        (b"https://chat.example.org", True),
        (b"https://evil.example.org", False),
        (b"https://tiny.example.com.evil.example.org", False),
        (b"https://tiny.example.com:8443", False),
        (b"null", False),
        (b"http://[", False),
    ],
)
async def test_pages_of_other_origins_may_not_connect(
    origin: bytes | None, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser would send a user's cookies for any page; programs send no origin, and the list adds pages."""
    monkeypatch.setenv(bridge.ORIGINS_VARIABLE, "https://chat.example.org/, https://b.example.org")
    socket = Socket(WebSocketBridge(Application()), *([(b"origin", origin)] if origin else []))
    first = await socket.answers.get()

    assert first["type"] == ("websocket.accept" if allowed else "websocket.http.response.start")
    assert first.get("status") == (None if allowed else 403)
    socket.leave()
    await socket.served


async def test_sockets_of_one_server_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further one is refused before its handshake is complete, until one of the others goes."""
    monkeypatch.setenv(bridge.SOCKETS_VARIABLE, "1")
    app = WebSocketBridge(Application())
    one, other = Socket(app), Socket(app)
    assert (await one.answers.get())["type"] == "websocket.accept"
    assert (await other.answers.get())["status"] == 503
    await left(one)
    third = Socket(app)

    assert (await third.answers.get())["type"] == "websocket.accept"
    await left(third)


async def test_a_query_does_not_reach_the_log_of_the_server() -> None:
    """The server logs the scope's query when it accepts: a key in it would be in the log."""
    socket = await accepted(Application(), query_string=b"api_key=sesame")

    assert socket.scope["query_string"] == b""
    await left(socket)


@pytest.mark.parametrize(
    "scope", [{"type": "websocket", "path": "/v1/realtime"}, {"type": "http", "path": "/v1/chat/completions"}]
)
async def test_everything_else_passes_untouched(scope: dict[str, Any]) -> None:
    """Other sockets of the server, and the POST itself."""
    passed: list[Any] = []

    async def app(*call: Any) -> None:
        passed.append(call)

    call: tuple[dict[str, Any], Callable[..., Any], Callable[..., Any]] = (scope, print, print)
    await WebSocketBridge(app)(*call)

    assert passed == [call]
