"""
ASGI middleware of the engine: chat completions over a WebSocket, for clients that stay long or cannot read a stream.

At /v1/chat/completions each message of the client is the JSON of one request, each event of its stream comes back as
one message, [DONE] is the last, and then the next request may come. Each becomes the ordinary POST before the server's
own layers see it: their key check, limits and metrics hold as they are.

Nothing is kept: an event is sent when it comes, and the next one is asked of the engine when the client's socket has
taken it. A client that goes cancels its request. The server pings each socket (uvicorn: after 20 s), so that an edge
sees no silence. Plain ASGI, standard library only, any Python from 3.10. Its text is frozen: a change restarts the
engines that use it.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

Message = dict[str, Any]
Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CHAT = "/v1/chat/completions"
ORIGINS_VARIABLE = "STREAMING_ALLOWED_ORIGINS"
"""Origins, separated by commas, whose pages may connect besides those of the endpoint's own host; `*` for all."""
SOCKETS_VARIABLE = "STREAMING_MAX_WEBSOCKETS"
MAX_SOCKETS = 256
"""In one process, unless the variable says otherwise: who has no key can hold sockets and send messages, too."""
MAX_REQUEST = 4 * 2**20
"""Characters that one socket has waiting; the server itself ends one that sends a message of more than 16 MiB."""
MAX_WAITING = 8
"""Messages of one socket that wait for the end of the answer before."""
MAX_KEY = 8192
LONGEST_SEND = 60
"""Seconds that a client may take nothing of its answer; the server's pings do not end such a socket."""

DONE = "[DONE]"
JSON_TYPE = b"application/json"
STREAM_TYPE = b"text/event-stream"
OF_THE_HANDSHAKE = frozenset(
    (b"connection", b"upgrade", b"content-length", b"content-type", b"transfer-encoding")
)

POLICY, TOO_BIG, INTERNAL = 1008, 1009, 1011
"""Codes of RFC 6455 with which a socket is closed."""

OTHER_ORIGIN = (
    f"pages of this origin may not connect: list it in {ORIGINS_VARIABLE}, a variable of spec.engine.env"
)


def error(status: int, message: str) -> str:
    """An error as OpenAI's clients know it."""
    return json.dumps({"error": {"message": message, "type": "BridgeError", "param": None, "code": status}})


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of this name."""
    return next((value for key, value in scope["headers"] if key.lower() == name), None)


def is_stream(start: Message) -> bool:
    """Whether an answer that begins so is a stream of events."""
    return (header(start, b"content-type") or b"").strip().lower().startswith(STREAM_TYPE)


def authority(text: str) -> str:
    """Host and port as a Host header has them, without the default ports."""
    return text.strip().lower().removesuffix(":80").removesuffix(":443")


def allowed_origins() -> frozenset[str]:
    """Those of the variable."""
    listed = os.environ.get(ORIGINS_VARIABLE, "").split(",")
    return frozenset(origin.strip().lower().rstrip("/") for origin in listed) - {""}


def is_allowed(scope: Scope, origins: frozenset[str]) -> bool:
    """
    Whether the page that connects is one of the endpoint's own host, or listed; programs name no page.

    A browser sends a WebSocket with the cookies of its user to whatever host a page names, and asks nobody.
    """
    origin = (header(scope, b"origin") or b"").decode("latin-1").strip().lower()
    if not origin or "*" in origins or origin in origins:
        return True
    host = (header(scope, b"host") or b"").decode("latin-1")
    return bool(host) and authority(origin.partition("://")[2]) == authority(host)


def as_post(scope: Scope, body: bytes, number: int = 1, key: str | None = None) -> Scope:
    """The scope of the same client's POST with this body; a further one on a socket has a request id of its own."""
    headers = []
    for name, value in scope["headers"]:
        lower = name.lower()
        if lower in OF_THE_HANDSHAKE or lower.startswith(b"sec-websocket-"):
            continue
        headers.append((name, value + b"-%d" % number if lower == b"x-request-id" and number > 1 else value))
    headers += [(b"content-type", JSON_TYPE), (b"content-length", b"%d" % len(body))]
    if key is not None:
        headers.append((b"authorization", key.encode()))
    return scope | {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "POST",
        "scheme": {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"]),
        "path": CHAT,
        "raw_path": CHAT.encode(),
        "query_string": b"",
        "headers": headers,
        "extensions": {},
    }


def parsed(text: str) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_value(text: str) -> bool:
    """Whether a text can be the value of a header."""
    return text.isascii() and text.isprintable() and 0 < len(text) <= MAX_KEY


def streamed(request: dict[str, Any]) -> bytes:
    """The body of the POST, which always streams."""
    return json.dumps(request | {"stream": True}).encode()


def without_query(scope: Scope) -> bytes:
    """Take the query out: the server logs it with the path as soon as it answers, and nobody's words are for logs."""
    query: bytes = scope["query_string"]
    scope["query_string"] = b""
    return query


def after(body: bytes, receive: Receive) -> Receive:
    """The body of a request whole, and then what is received."""
    unread = [body]

    async def read() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return read


class Events:
    """Takes the data out of a stream's bytes, event by event, wherever they are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, body: bytes) -> list[str]:
        """The data of the events that these bytes end; comments have none."""
        *events, self._rest = (self._rest + body).replace(b"\r\n", b"\n").split(b"\n\n")
        fields = ([line[5:] for line in event.split(b"\n") if line[:5] == b"data:"] for event in events)
        values = (b"\n".join(field.removeprefix(b" ") for field in data) for data in fields if data)
        return [value.decode(errors="replace") for value in values]


class Answer:
    """The answer to one request, as messages of the socket."""

    def __init__(self, say: Callable[[str], Awaitable[None]]) -> None:
        self.status = 0
        self._say, self._events, self._whole = say, Events(), b""
        self._streams = self._done = False

    async def send(self, message: Message) -> None:
        """What the application calls; returns when the client's socket has room for more."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._streams = is_stream(message)
        elif self._streams:
            for data in self._events.of(message.get("body", b"")):
                self._done = self._done or data == DONE
                await self._say(data)
        else:
            self._whole += message.get("body", b"")

    async def end(self) -> None:
        """Once the application has returned: the error that it answered with, and [DONE] in any case."""
        if self._done:
            return
        if self._streams:
            await self._say(error(500, "the stream ended before it was complete"))
        else:
            text = self._whole.decode(errors="replace")
            await self._say(text if parsed(text) else error(self.status or 500, text or "no answer"))
        await self._say(DONE)


class Session:
    """One socket: requests one after another."""

    def __init__(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._requests: asyncio.Queue[str | None] = asyncio.Queue()
        """What the client sent and was not looked at; None once nothing more comes."""
        self._waiting = 0
        self._over = asyncio.Event()
        self._close: tuple[int, str] | None = None
        """Code and reason, where it is we who close."""
        self._running: asyncio.Future[None] | None = None
        self._key: str | None = None
        self._asked = 0

    async def run(self) -> None:
        """Until the client goes, or gives a reason to close."""
        reader = asyncio.ensure_future(self._read())
        try:
            while (text := await self._requests.get()) is not None and not self._over.is_set():
                self._waiting -= len(text)
                await self._take(text)
        finally:
            reader.cancel()
        if self._close is not None:
            await self._say_close(*self._close)

    async def _read(self) -> None:
        """Reads on while an answer is under way: only so it is noticed at once that the client goes."""
        while (message := await self._receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                text = (message.get("bytes") or b"").decode(errors="replace")
            self._waiting += len(text)
            if self._waiting > MAX_REQUEST:
                self._stop(TOO_BIG, f"at most {MAX_REQUEST} characters wait for an answer")
                return
            if self._requests.qsize() >= MAX_WAITING:
                self._stop(POLICY, "one request at a time: send the next one after [DONE]")
                return
            self._requests.put_nowait(text)
        self._stop()

    def _stop(self, code: int | None = None, reason: str = "") -> None:
        """No further request, and an end to the one that runs: the engine drops it."""
        if code is not None:
            self._close = (code, reason)
        self._over.set()
        self._requests.put_nowait(None)
        if self._running is not None:
            self._running.cancel()

    async def _say(self, text: str) -> None:
        """
        After the end of the session it does nothing, and the end is raised to nobody in here: only at its own await
        does a generator of the server notice it, else its request runs on until the generator is collected.
        """
        if self._over.is_set():
            return
        task = asyncio.current_task()
        assert task is not None
        # No task of its own, as `wait_for` makes one before Python 3.12: the end would find the application in here.
        patience = asyncio.get_running_loop().call_later(LONGEST_SEND, self._give_up, task)
        try:
            await self._send({"type": "websocket.send", "text": text})
        except asyncio.CancelledError:
            if not self._over.is_set():
                raise
            if self._running is not None:  # the application: again, at its own await
                task.cancel()
        except OSError:
            self._stop()
        finally:
            patience.cancel()

    def _give_up(self, waiting: "asyncio.Task[Any]") -> None:
        """End what has waited for the client for too long."""
        self._stop()
        waiting.cancel()

    async def _say_close(self, code: int, reason: str) -> None:
        """Close the socket; the server ends one whose client does not even take that."""
        with suppress(OSError, asyncio.TimeoutError):
            message = {"type": "websocket.close", "code": code, "reason": reason}
            await asyncio.wait_for(self._send(message), LONGEST_SEND)

    async def _take(self, text: str) -> None:
        """One message of the client: its key, or a request."""
        request = parsed(text)
        if request is None:
            await self._refuse("a message is a JSON object: the body of a chat completion")
        elif "authorization" in request:
            await self._take_key(request)
        else:
            self._asked += 1
            await self._ask(streamed(request))

    async def _take_key(self, message: dict[str, Any]) -> None:
        """Before the first request, and only where the handshake had none: that one is the edge's or the client's."""
        key = message["authorization"]
        if len(message) > 1 or not isinstance(key, str) or not is_value(key):
            await self._refuse('the key is a message of its own: {"authorization": "Bearer KEY"}')
        elif self._asked or header(self._scope, b"authorization") is not None:
            await self._refuse("the key comes in the handshake's Authorization, or in the first message")
        else:
            self._key = key

    async def _refuse(self, message: str) -> None:
        await self._say(error(400, message))
        await self._say(DONE)

    async def _ask(self, body: bytes) -> None:
        """One request through the application; returns when it is answered, or nobody waits for the answer."""

        async def gone() -> Message:
            await self._over.wait()
            return {"type": "http.disconnect"}

        answer = Answer(self._say)
        scope = as_post(self._scope, body, self._asked, self._key)
        self._running = asyncio.ensure_future(self._app(scope, after(body, gone), answer.send))
        try:
            await asyncio.wait({self._running})
        finally:
            self._running.cancel()
        failed = None if self._running.cancelled() else self._running.exception()
        self._running = None
        if self._over.is_set():
            return
        if failed is not None:
            await self._say(error(500, "the server failed"))
            await self._say_close(INTERNAL, "the server failed")
            raise failed
        await answer.end()
        if answer.status in (401, 403):
            self._stop(POLICY, "the key was refused")


class WebSocketBridge:
    """Named by `--middleware websocket_bridge.WebSocketBridge`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.origins = allowed_origins()
        self.max_sockets = int(os.environ.get(SOCKETS_VARIABLE) or MAX_SOCKETS)
        self._sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the sockets of chat completions, and pass everything else on."""
        if scope["type"] == "websocket" and scope["path"] == CHAT:
            await self._socket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        without_query(scope)
        if not is_allowed(scope, self.origins):
            await refuse(scope, send, 403, OTHER_ORIGIN)
            return
        if self._sockets >= self.max_sockets:
            await refuse(scope, send, 503, f"{self.max_sockets} WebSockets are open, and no more are taken")
            return
        self._sockets += 1
        try:
            await send({"type": "websocket.accept"})
            await Session(self.app, scope, receive, send).run()
        finally:
            self._sockets -= 1


async def refuse(scope: Scope, send: Send, status: int, message: str) -> None:
    """Answer with an error, a WebSocket before its handshake is complete where the server can do so."""
    kind = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY, "reason": ""})
            return
        kind = "websocket.http"
    body = b"" if status == 204 else error(status, message).encode()
    headers = [(b"content-type", JSON_TYPE), (b"content-length", b"%d" % len(body))] if body else []
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
