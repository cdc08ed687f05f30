"""
ASGI middleware of the engine: tells every proxy on the way that a stream is not to be kept back.

The server sends neither header by itself. Plain ASGI, since a wrapper that iterates the body would be the
very buffer it warns of; every other kind of scope (lifespan, websocket) and every other content type passes
untouched. Its text is frozen: a change restarts every engine.
"""

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


def streaming(headers: Iterable[Header]) -> list[Header]:
    """Set the two headers on a stream, replacing what is there: a second value would be anyone's guess."""
    kept = [(bytes(name), bytes(value)) for name, value in headers]
    types = [value for name, value in kept if name.lower() == b"content-type"]
    if not any(value.strip().lower().startswith(STREAM_TYPE) for value in types):
        return kept
    return [header for header in kept if header[0].lower() not in NAMES] + list(HEADERS)


class StreamingHeaders:
    """Named by `--middleware streaming_headers.StreamingHeaders`."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass the call on; only the start of an HTTP answer is looked at."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": streaming(message.get("headers", ()))}
            await send(message)

        await self.app(scope, receive, send_with_headers)
