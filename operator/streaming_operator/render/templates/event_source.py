"""
ASGI middleware of the engine: chat completions for browsers' EventSource, which knows no POST and no headers.

GET /v1/chat/completions/stream?request=JSON becomes the ordinary POST before the server's own layers see it. A browser
connects again when a stream has ended, and would repeat the request, at the price of another: so each stream begins
with an id, and who comes back with it is told to stay away (204).

No key stands in a URL, since URLs are logged: where the server wants one, an edge must add it. Plain ASGI, standard
library only, any Python from 3.10. Its text is frozen: a change restarts the engines that use it.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import websocket_bridge as bridge  # type: ignore[import-not-found]  # it lies beside this file where both are mounted

Message = dict[str, Any]
Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

EVENTS = "/v1/chat/completions/stream"
MAX_QUERY = 64 * 2**10
"""Bytes of a request in a URL; most edges refuse more than 8 KiB."""
BEGUN = b"id: begun\n\n"
"""No event, but a browser that connects again sends this id as Last-Event-ID."""


def request_of(query: bytes) -> dict[str, Any] | None:
    """The request of a query; None unless it is the only parameter and a JSON object."""
    try:
        fields = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=2)
    except ValueError:
        return None
    request: dict[str, Any] | None = bridge.parsed(fields[0][1]) if len(fields) == 1 else None
    return request if fields and fields[0][0] == "request" else None


def numbered(send: Send) -> Send:
    """The same, but that a stream begins with an id, at once: the first token may come after the edge has cut it."""

    async def with_id(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.start" and bridge.is_stream(message):
            await send({"type": "http.response.body", "body": BEGUN, "more_body": True})

    return with_id


class EventSource:
    """Named by `--middleware event_source.EventSource`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.origins = bridge.allowed_origins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the path that is ours, and pass everything else on."""
        if scope["type"] != "http" or scope["path"] != EVENTS:
            await self.app(scope, receive, send)
            return
        query = bridge.without_query(scope)
        status, problem = self.problem(scope, query)
        if status:
            await bridge.refuse(scope, send, status, problem)
            return
        body = bridge.streamed(request_of(query))
        await self.app(bridge.as_post(scope, body), bridge.after(body, receive), numbered(send))

    def problem(self, scope: Scope, query: bytes) -> tuple[int, str]:
        """Status and reason of a refusal; 0 if there is none."""
        if scope["method"] != "GET":
            return 405, f"this path is for GET by an EventSource; POST goes to {bridge.CHAT}"
        # A page of another origin may send a GET without Origin, with its user's cookies: `no-cors`, an image, a link.
        # An EventSource is always `cors`; a program says nothing.
        mode = bridge.header(scope, b"sec-fetch-mode") or b"cors"
        if mode != b"cors" or not bridge.is_allowed(scope, self.origins):
            return 403, bridge.OTHER_ORIGIN
        if bridge.STREAM_TYPE not in (bridge.header(scope, b"accept") or b"").lower():
            return 406, "this path answers an EventSource, which accepts text/event-stream"
        if bridge.header(scope, b"last-event-id") is not None:
            return 204, ""
        if len(query) > MAX_QUERY:
            return 414, f"a request in a URL has at most {MAX_QUERY} bytes: use a WebSocket, or POST"
        if request_of(query) is None:
            return 400, "the query is request=JSON and nothing else: a key would be logged with the URL"
        return 0, ""
