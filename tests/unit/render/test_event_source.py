"""The path of browsers' EventSource, by hand: what the application is asked, and what is refused."""

import importlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from streaming_operator.render.templates import websocket_bridge

TEMPLATES = Path(websocket_bridge.__file__).parent
REQUEST = {"model": "tiny", "messages": [{"role": "user", "content": "a=1&b=2 ü"}]}
QUERY = b"request=" + quote(json.dumps(REQUEST)).encode()
ACCEPT = (b"accept", b"text/event-stream")
HOST = (b"host", b"tiny.example.com")


@pytest.fixture
def middleware(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as the pod imports it, from the folder that both files lie in."""
    monkeypatch.syspath_prepend(str(TEMPLATES))
    return importlib.import_module("event_source")


class Application:
    """Streams two parts, and notes what it was asked."""

    def __init__(self, kind: bytes = b"text/event-stream") -> None:
        self.asked: list[tuple[dict[str, Any], Any]] = []
        self.kind = kind

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope, (await receive()).get("body")))
        headers = [(b"content-type", self.kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for body in (b": keep-alive\n\n", b"data: [DONE]\n\n"):
            await send({"type": "http.response.body", "body": body, "more_body": body[:1] == b":"})


async def answered(
    middleware: Any, app: Any, query: bytes = QUERY, *more: tuple[bytes, bytes], method: str = "GET"
) -> tuple[int, bytes, dict[str, Any]]:
    """Status, body and the scope as the server has it afterwards."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "scheme": "http",
        "method": method,
        "path": "/v1/chat/completions/stream",
        "query_string": query,
        "headers": [HOST, *more],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await middleware.EventSource(app)(scope, receive, send)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:]), scope


async def test_the_query_becomes_the_ordinary_post(middleware: Any) -> None:
    """Its request streams whatever it says, its first bytes give an id, and the server's log has no query."""
    app = Application()
    status, body, scope = await answered(middleware, app, QUERY, ACCEPT, (b"cookie", b"a=b"))

    assert (status, body) == (200, b"id: begun\n\n: keep-alive\n\ndata: [DONE]\n\n")
    (asked, posted), *_ = app.asked
    assert (asked["method"], asked["path"], asked["query_string"]) == ("POST", "/v1/chat/completions", b"")
    assert (b"cookie", b"a=b") in asked["headers"]
    assert json.loads(posted) == REQUEST | {"stream": True}
    assert scope["query_string"] == b""


async def test_an_error_stays_as_it_is(middleware: Any) -> None:
    """Only a stream gets an id."""
    _, body, _ = await answered(middleware, Application(b"application/json"), QUERY, ACCEPT)

    assert body == b": keep-alive\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    ("status", "query", "headers", "method"),
    [
        (204, QUERY, (ACCEPT, (b"last-event-id", b"begun")), "GET"),
        (403, QUERY, (ACCEPT, (b"origin", b"https://evil.example.org")), "GET"),
        (403, QUERY, (ACCEPT, (b"sec-fetch-mode", b"no-cors")), "GET"),
        (406, QUERY, ((b"accept", b"image/png,*/*"),), "GET"),
        (406, QUERY, (), "GET"),
        (405, QUERY, (ACCEPT,), "POST"),
        (414, QUERY + b" " * 65536, (ACCEPT,), "GET"),
        (400, QUERY + b"&api_key=sesame", (ACCEPT,), "GET"),
        (400, b"api_key=sesame&" + QUERY, (ACCEPT,), "GET"),
        (400, QUERY + b"&" + QUERY, (ACCEPT,), "GET"),
        (400, QUERY + b"&a&b&c&d", (ACCEPT,), "GET"),
        (400, b"request=%5B1%5D", (ACCEPT,), "GET"),
        (400, b"request=\xff", (ACCEPT,), "GET"),
        (400, b"request=", (ACCEPT,), "GET"),
        (400, b"", (ACCEPT,), "GET"),
    ],
)
async def test_what_is_no_first_request_of_an_event_source_asks_nobody(
    middleware: Any, status: int, query: bytes, headers: tuple[tuple[bytes, bytes], ...], method: str
) -> None:
    """A browser that connects again, other origins, images, keys in URLs; no word of the query comes back."""
    app = Application()
    answer = await answered(middleware, app, query, *headers, method=method)

    assert answer[0] == status
    assert app.asked == []
    assert b"sesame" not in answer[1]
    assert bool(answer[1]) == (status != 204)
