"""The transport against a scripted HTTP server: limits, patience, credentials, and what a bad line becomes."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streaming_operator import metrics
from streaming_operator.errors import Expired, Forbidden, Unreachable
from streaming_operator.kube import client as module
from streaming_operator.kube.client import Transport
from streaming_operator.kube.credentials import Credentials
from tests.engines.running import free_port


class FakeCredentials:
    """Credentials for a plain HTTP server; a reload brings the next token."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.proxy = None
        self.reloads = 0

    def tls(self) -> ssl.SSLContext:
        """Not used over plain HTTP."""
        return ssl.create_default_context()

    async def authorization(self) -> dict[str, str]:
        """The present token."""
        return {"Authorization": f"Bearer token-{self.reloads}"}

    async def reload(self) -> None:
        """Take the next token."""
        self.reloads += 1


class Script:
    """Answers each request with the next step; remembers what was asked."""

    def __init__(self, *steps: web.Response) -> None:
        self.steps = list(steps)
        self.asked: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The next answer."""
        self.asked.append(request)
        return self.steps.pop(0)


@asynccontextmanager
async def talking_to(script: Script) -> AsyncIterator[tuple[Transport, FakeCredentials]]:
    """A transport to a server that plays *script*."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.handle)
    async with TestServer(app) as server:
        credentials = FakeCredentials(str(server.make_url("")).rstrip("/"))
        transport = Transport(cast(Credentials, credentials), 2, field_manager="test")
        try:
            yield transport, credentials
        finally:
            await transport.close()


def ok() -> web.Response:
    """An answer with a body."""
    return web.json_response({"kind": "Service"})


def busy(seconds: str) -> web.Response:
    """The API server asks to slow down."""
    return web.json_response({"message": "too many requests"}, status=429, headers={"Retry-After": seconds})


def a_service() -> web.Response:
    """A stored object."""
    metadata = {"name": "x", "namespace": "demo", "uid": "1", "resourceVersion": "1"}
    return web.json_response({"kind": "Service", "metadata": metadata})


def requests() -> Counter[tuple[str, str]]:
    """How many requests were counted so far, by verb and code."""
    samples = (sample for family in metrics.REQUESTS.collect() for sample in family.samples)
    return Counter({(s.labels["verb"], s.labels["code"]): int(s.value) for s in samples})


async def test_a_busy_server_is_asked_again_after_the_pause_that_it_names() -> None:
    """429 with Retry-After is patience, not failure; the same request is sent again."""
    script = Script(busy("0.1"), busy("0.1"), ok())
    async with talking_to(script) as (transport, _):
        assert await transport.get("/x", "read x", query={"a": "b c"}) == {"kind": "Service"}

    assert [request.path_qs for request in script.asked] == ["/x?a=b+c"] * 3


async def test_requests_are_counted_by_verb_and_code() -> None:
    """As the API server counts them: a list, a watch and each try of a write; what was not answered has no code."""
    page = web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
    gone = web.json_response({"message": "gone"}, status=410)
    script = Script(ok(), page, gone, busy("0.1"), a_service())
    async with talking_to(script) as (transport, credentials):
        before = requests()
        await transport.get("/x", "read x")
        await transport.page("/x", "list x", query={"limit": "500"})
        with pytest.raises(Expired):
            async with transport.watch("/x", {"watch": "1"}, "watch x"):
                pass
        await transport.apply("/x", {}, "write x")
        credentials.server = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(Unreachable):
            await transport.get("/x", "read x")
        counts = requests() - before

    assert counts == {
        ("get", "200"): 1, ("list", "200"): 1, ("watch", "410"): 1, ("patch", "429"): 1, ("patch", "200"): 1,
        ("get", "none"): 1,
    }  # fmt: skip


async def test_patience_with_a_busy_server_ends() -> None:
    """After a few 429 in a row the pass fails and its key backs off."""
    async with talking_to(Script(*(busy("0.1") for _ in range(module.TRIES)))) as (transport, _):
        with pytest.raises(Unreachable, match="too many requests"):
            await transport.get("/x", "read x")


async def test_a_replaced_token_is_read_again_once() -> None:
    """401 reloads the credentials and tries again; a second 401 is an answer."""
    script = Script(web.Response(status=401), ok(), web.Response(status=401), web.Response(status=401))
    async with talking_to(script) as (transport, credentials):
        await transport.get("/x", "read x")
        assert [r.headers["Authorization"] for r in script.asked] == ["Bearer token-0", "Bearer token-1"]
        with pytest.raises(Forbidden):
            await transport.get("/x", "read x")

    assert credentials.reloads == 2


async def test_server_side_apply_is_sent_as_it_must_be() -> None:
    """One field manager, force, strict validation, the apply content type."""
    stored = {"metadata": {"name": "x", "uid": "u", "resourceVersion": "7"}}
    script = Script(web.json_response(stored))
    async with talking_to(script) as (transport, _):
        await transport.apply("/x", {"a": 1}, "write x")

    request = script.asked[0]
    assert (request.method, request.content_type) == ("PATCH", "application/apply-patch+yaml")
    assert dict(request.query) == {
        "fieldManager": "test",
        "force": "true",
        "fieldValidation": "Strict",
    }


@pytest.mark.parametrize(
    "answer", [web.Response(text="<html>"), web.Response(status=502, text="<html>")], ids=["200", "502"]
)
async def test_an_answer_that_is_no_json_is_no_answer(answer: web.Response) -> None:
    """A proxy's page, whatever its status, ends in `Unreachable`."""
    async with talking_to(Script(answer)) as (transport, _):
        with pytest.raises(Unreachable, match="read x"):
            await transport.get("/x", "read x")


NO_OBJECTS = {
    "null": "null",
    "a list": "[]",
    "a text": '"ok"',
    "a status": '{"kind": "Status", "metadata": {}}',
    "no metadata": "{}",
    "metadata is a text": '{"metadata": "x"}',
    "no name": '{"metadata": {"uid": "u", "resourceVersion": "7"}}',
    "no uid": '{"metadata": {"name": "x", "resourceVersion": "7"}}',
    "no version": '{"metadata": {"name": "x", "uid": "u"}}',
    "the name is a number": '{"metadata": {"name": 1, "uid": "u", "resourceVersion": "7"}}',
}


@pytest.mark.parametrize("text", NO_OBJECTS.values(), ids=NO_OBJECTS)
async def test_a_200_that_is_no_object_is_no_answer(text: str) -> None:
    """JSON that is not the stored object that was read or written ends in `Unreachable`, with what was tried."""
    async with talking_to(Script(*(web.Response(text=text) for _ in range(2)))) as (transport, _):
        with pytest.raises(Unreachable, match="cannot read x"):
            await transport.read("/x", "read x")
        with pytest.raises(Unreachable, match="cannot write x"):
            await transport.apply("/x", {}, "write x")


@pytest.mark.parametrize("text", ["null", "[]", '"ok"', "7"])
async def test_what_is_no_stored_object_is_an_object_all_the_same(text: str) -> None:
    """Discovery, short lists and reviews: whoever asked may look for a field in the answer."""
    async with talking_to(Script(*(web.Response(text=text) for _ in range(2)))) as (transport, _):
        with pytest.raises(Unreachable, match="cannot discover x"):
            await transport.get("/x", "discover x")
        with pytest.raises(Unreachable, match="cannot review x"):
            await transport.review("/x", {}, "review x")


async def test_an_address_without_a_server_is_unreachable() -> None:
    """A refused connection is a value of our own error tree, with its cause."""
    credentials = FakeCredentials("http://127.0.0.1:1")
    transport = Transport(cast(Credentials, credentials), 2, field_manager="test")
    try:
        with pytest.raises(Unreachable, match="cannot read x") as refusal:
            await transport.get("/x", "read x")
    finally:
        await transport.close()

    assert refusal.value.__cause__ is not None


async def lines_of(transport: Transport) -> list[bytes]:
    """All lines of one watch."""
    async with transport.watch("/x", {"watch": "1"}, "watch x") as lines:
        return [line async for line in lines]


async def test_lines_of_any_length_are_read_whole() -> None:
    """An object of megabytes is one line, however the network cuts it."""
    long = b'"' + b"x" * 3_000_000 + b'"'
    async with talking_to(Script(web.Response(body=long + b"\n{}\n"))) as (transport, _):
        assert await lines_of(transport) == [long, b"{}"]


async def test_a_line_that_is_cut_at_the_end_is_an_error() -> None:
    """Half an event is never taken for the end of the watch."""
    async with talking_to(Script(web.Response(body=b'{}\n{"type":"MODI'))) as (transport, _):
        with pytest.raises(Unreachable, match="cut within a line"):
            await lines_of(transport)


async def test_a_silent_watch_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch without a line, not even a bookmark, is taken for a broken connection."""
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.2)
    given_up = asyncio.Event()

    class Silent(Script):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"{}\n")
            await given_up.wait()
            return response

    async with talking_to(Silent()) as (transport, _):
        with pytest.raises(Unreachable, match="no answer in time"):
            await lines_of(transport)
        given_up.set()
