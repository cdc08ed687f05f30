"""
ASGI middleware of the engine: a stream is not kept back on its way, and it never ends without a word.

The server says to no proxy that a stream must not be buffered; the headers here do. And told to leave, it may
kill its engine before the engine has ended its streams: they would hang. So drain.py raises a flag when its
time is over, and whatever streams then gets an error event and [DONE] from here. Plain ASGI, since a wrapper
that iterates the body would be the very buffer it warns of: events pass one by one, nothing stands in a
queue, and every other kind of scope (lifespan, websocket) and of answer passes untouched. Standard library
only, any Python from 3.10: it runs inside the engine's image. Its text is frozen: a change restarts every engine.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

STREAM_TYPE = b"text/event-stream"
HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
NAMES = frozenset(name for name, _ in HEADERS)
FIXED = frozenset((b"content-encoding", b"content-length"))
"""With one of these an answer cannot be written on by somebody else."""

FLAG_VARIABLE = "STREAMING_DRAIN_OVER_FILE"
"""Names the file that drain.py touches; without it the end of a stream is the server's matter alone."""
LOOK_SECONDS = 0.25
"""Time between two looks at the flag while something streams."""
STOPPING = {
    "message": "the server is stopping and the drain time is over",
    "type": "ServiceUnavailable",
    "param": None,
    "code": 503,
}
DONE = b"data: [DONE]\n\n"
END = b"data: " + json.dumps({"error": STOPPING}, separators=(",", ":")).encode() + b"\n\n" + DONE
"""What an interrupted stream ends with: an error as OpenAI's clients know it, and the end."""

logger = logging.getLogger("uvicorn.error")


def is_stream(headers: Iterable[Header]) -> bool:
    """Whether an answer with these headers is a stream of events."""
    types = [value for name, value in headers if name.lower() == b"content-type"]
    return any(value.strip().lower().startswith(STREAM_TYPE) for value in types)


def streaming(headers: Iterable[Header]) -> list[Header]:
    """Set the two headers, replacing what is there: a second value would be anyone's guess."""
    return [header for header in headers if header[0].lower() not in NAMES] + list(HEADERS)


def rest(last: bytes) -> bytes:
    """What is missing after the last bytes of a stream: nothing after its [DONE], and never half an event."""
    if last.endswith(DONE):
        return b""
    return END if not last or last.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) else b"\n\n" + END


class Flag:
    """A file that says, once it is touched, that the drain time is over."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        # The file outlives a container that is started again: what lies there already is not meant for us.
        self._before = self._touched()

    def raised(self) -> bool:
        """Whether it was touched since this process began."""
        return self._touched() not in (None, self._before)

    def _touched(self) -> int | None:
        try:
            return os.stat(self.path).st_mtime_ns if self.path else None  # noqa: PTH116 (four times a second)
        except OSError:
            return None


class Answer:
    """One HTTP answer on its way to the client, in the task that makes it."""

    def __init__(self, send: Send, on_stream: Callable[["Answer"], None]) -> None:
        self.over = False
        """We end it: nothing of the application's passes any more."""
        self.complete = False
        self._send, self._on_stream = send, on_stream
        self._task = asyncio.current_task()
        self._last = b""

    async def send(self, message: Message) -> None:
        """Pass a message on; nothing but the head of a stream is changed."""
        if self.over:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        if message["type"] == "http.response.body":
            self._last = message.get("body") or self._last
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        if not is_stream(headers):
            await self._send(message)
            return
        await self._send({**message, "headers": streaming(headers)})
        if not any(name.lower() in FIXED for name, _ in headers):
            self._on_stream(self)

    def stop(self) -> None:
        """Cancel the application, as if the client had gone: the engine drops the request."""
        if self._task is not None and not (self.over or self.complete):
            self.over = True
            self._task.cancel()

    async def end(self) -> None:
        """Once the application has stopped, say what it did not."""
        # Our own cancel is done with; one by somebody else goes on.
        if sys.version_info >= (3, 11) and self._task is not None and self._task.uncancel():
            raise asyncio.CancelledError
        await self._send({"type": "http.response.body", "body": rest(self._last), "more_body": False})


class StreamingMiddleware:
    """Named by `--middleware streaming_middleware.StreamingMiddleware`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.flag = Flag(os.environ.get(FLAG_VARIABLE))
        self._streams: set[Answer] = set()
        self._watching: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass the call on, and end its stream when the drain time is over."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = Answer(send, self._follow)
        try:
            await self.app(scope, receive, answer.send)
        except (Exception, asyncio.CancelledError):
            # What an application says that we have cancelled is no news.
            if not answer.over:
                raise
        finally:
            self._streams.discard(answer)
        if answer.over:
            await answer.end()

    def _follow(self, answer: Answer) -> None:
        """From now on the stream is ended when the flag is raised; at once, if it is already."""
        if not self.flag.path:
            return
        self._streams.add(answer)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        """One task a process, and only while something streams."""
        while self._streams:
            if self.flag.raised():
                logger.warning("The drain time is over: %d streams are ended", len(self._streams))
                for answer in self._streams:
                    answer.stop()
                self._streams.clear()
            await asyncio.sleep(LOOK_SECONDS)
        self._watching = None
