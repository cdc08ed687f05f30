"""Chat completions by WebSocket and EventSource, asked of whatever listens at a port: a pod, or an edge before it."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.contract.engines import until
from tests.contract.scraped import value

CHAT, EVENTS = "/v1/chat/completions", "/v1/chat/completions/stream"
DONE = "[DONE]"
WAIT = aiohttp.ClientTimeout(total=120)


def request(tokens: int) -> dict[str, Any]:
    """A request that is answered by so many tokens."""
    messages = [{"role": "user", "content": "count"}]
    body = {"model": "tiny", "messages": messages, "max_tokens": tokens, "ignore_eos": True}
    return body | {"stream_options": {"include_usage": True}}


@asynccontextmanager
async def client(port: int, address: str = "127.0.0.1") -> AsyncIterator[aiohttp.ClientSession]:
    """A client of this port, which ends whatever is still open."""
    async with aiohttp.ClientSession(f"http://{address}:{port}", timeout=WAIT) as session:
        yield session


async def answered(socket: aiohttp.ClientWebSocketResponse) -> list[str]:
    """The messages of one answer, the last one [DONE]."""
    messages = [await socket.receive_str(timeout=120)]
    while messages[-1] != DONE:
        messages.append(await socket.receive_str(timeout=120))
    return messages


def tokens(messages: list[str]) -> int:
    """
    Tokens of a whole answer, by the usage at its end: a real server sends several at once when it is late, and a token
    may have no text.
    """
    *_, end, usage, done = messages
    assert done == DONE, messages
    assert json.loads(end)["choices"][0]["finish_reason"] == "length", messages
    counted: int = json.loads(usage)["usage"]["completion_tokens"]
    return counted


async def holds(port: int, key: str, host: str | None = None, address: str = "127.0.0.1") -> None:
    """What is promised of both ways; the key is that of the server."""
    named = {"Host": host} if host else {}
    with_key = named | {"Authorization": f"Bearer {key}"}
    async with client(port, address) as session:
        async with session.ws_connect(CHAT, headers=with_key) as socket:
            for count in (5, 3):
                await socket.send_json(request(count))
                assert tokens(await answered(socket)) == count
            await socket.send_json(request(2) | {"model": "other"})
            assert json.loads((await answered(socket))[0])["error"]["code"] == 404
            await socket.send_json(request(2))
            assert tokens(await answered(socket)) == 2

        async with session.ws_connect(CHAT, headers=named) as socket:
            await socket.send_json({"authorization": f"Bearer {key}"})
            await socket.send_json(request(2))
            assert tokens(await answered(socket)) == 2

        async with session.ws_connect(CHAT, headers=named) as socket:
            await socket.send_json(request(2))
            assert "Unauthorized" in (await answered(socket))[0]
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008

        assert await handshake(session, named | {"Origin": "https://evil.example.org"}) == 403
        assert await handshake(session, named | {"Origin": f"http://{host or f'127.0.0.1:{port}'}"}) == 101
        if host is not None:
            assert await handshake(session, with_key, "/v1/load_lora_adapter") == 403
        await event_source_holds(session, named, with_key)


def drops_what_is_left(pod: int, asked: int, key: str) -> None:
    """Who closes a socket in the middle of an answer costs nothing more: the pod's engine does not finish it."""

    def metric(name: str, **labels: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{pod}/metrics", timeout=120) as answer:
            return value(answer.read().decode(), name, **labels)

    before = metric("vllm:request_success_total", finished_reason="length")
    asyncio.run(leaves_within(asked, key))
    until(lambda: not metric("vllm:num_requests_running"))
    assert metric("vllm:request_success_total", finished_reason="length") == before


async def leaves_within(port: int, key: str) -> None:
    """A client that closes its socket after the first message of a long answer."""
    headers = {"Authorization": f"Bearer {key}"}
    async with client(port) as session, session.ws_connect(CHAT, headers=headers) as socket:
        await socket.send_json(request(1900))
        await socket.receive_str(timeout=120)


async def handshake(session: aiohttp.ClientSession, headers: Mapping[str, str], path: str = CHAT) -> int:
    """The status of an upgrade; 101 for a socket that was opened."""
    try:
        async with session.ws_connect(path, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def event_source_holds(
    session: aiohttp.ClientSession, named: Mapping[str, str], with_key: Mapping[str, str]
) -> None:
    """A stream with an id for who accepts one, and none for who comes back with it."""
    query = {"request": json.dumps(request(3))}
    accept = {"Accept": "text/event-stream"}
    async with session.get(EVENTS, params=query, headers={**with_key, **accept}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["Cache-Control"] == "no-cache"
        first, *events, last = [line for line in (await answer.text()).split("\n\n") if line]
        assert (first, last) == ("id: begun", "data: [DONE]")
        assert tokens([event.removeprefix("data: ") for event in [*events, last] if event[:1] != ":"]) == 3
    again = {**with_key, **accept, "Last-Event-ID": "begun"}
    for headers, params, status in (
        (again, query, 204),
        ({**named, **accept}, query, 401),
        (with_key, query, 406),
        ({**named, **accept}, query | {"api_key": "sesame"}, 400),
    ):
        async with session.get(EVENTS, params=params, headers=headers) as answer:
            assert answer.status == status
