"""The fence: nothing that changes something reaches the API server once `may_write` says no."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streaming_operator import metrics
from streaming_operator.errors import NotLeading
from streaming_operator.kube import fence
from streaming_operator.kube.client import Transport
from streaming_operator.kube.credentials import Credentials
from tests.unit.kube.test_client import FakeCredentials

STORED = {"metadata": {"name": "x", "uid": "u", "resourceVersion": "7"}}

Request = Callable[[Transport], Awaitable[Any]]
WRITES: dict[str, Request] = {
    "apply": lambda transport: transport.apply("/x", {"a": 1}, "write x"),
    "merge": lambda transport: transport.merge("/x", {"a": 1}, "write x"),
    "create": lambda transport: transport.create("/x", {"a": 1}, "write x"),
    "delete": lambda transport: transport.delete("/x", "uid", "delete x"),
}
READS: dict[str, Request] = {
    "get": lambda transport: transport.get("/x", "read x"),
    "review": lambda transport: transport.review("/x", {"a": 1}, "ask x"),
    "preview": lambda transport: transport.preview("/x", {"a": 1}, "ask x", manager=None),
    "validate": lambda transport: transport.validate("/x", {"a": 1}, "ask x"),
}


class Answers:
    """Says yes a number of times, and then no."""

    def __init__(self, yes: int) -> None:
        self.left = yes

    def may_write(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NotLeading("no Lease")


@asynccontextmanager
async def talking(may_write: fence.MayWrite) -> AsyncIterator[tuple[Transport, list[str]]]:
    """A transport, and the whole requests that its server has received."""
    received: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        received.append(request.method)
        return web.json_response(STORED)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        credentials = FakeCredentials(str(server.make_url("")).rstrip("/"))
        transport = Transport(cast(Credentials, credentials), 2, field_manager="test", may_write=may_write)
        try:
            yield transport, received
        finally:
            await transport.close()


def counted() -> float:
    """How many requests the metric has."""
    samples = (sample for family in metrics.REQUESTS.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("yes", [0, 1], ids=["before the request", "as its bytes leave"])
async def test_no_write_is_sent_without_the_lease(write: Request, yes: int) -> None:
    """Also where the Lease ends after the request has begun: its bytes stay here, and no network is blamed."""
    async with talking(Answers(yes).may_write) as (transport, received):
        before = counted()
        with pytest.raises(NotLeading, match=r"^no Lease$"):
            await write(transport)

    assert (received, counted() - before) == ([], 0)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_writes_are_sent_with_the_lease(write: Request) -> None:
    """As ever."""
    async with talking(Answers(2).may_write) as (transport, received):
        await write(transport)

    assert len(received) == 1


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_what_changes_nothing_needs_no_lease(read: Request) -> None:
    """A process that stands by reads, and asks who may scrape it."""
    async with talking(Answers(0).may_write) as (transport, received):
        await read(transport)

    assert len(received) == 1


async def test_a_refused_write_is_no_sign_of_a_busy_server() -> None:
    """The next leader does not begin with one write at a time."""
    answers = Answers(0)
    async with talking(answers.may_write) as (transport, _):
        before = transport._limit.now
        for _ in range(5):
            with pytest.raises(NotLeading):
                await transport.apply("/x", {}, "write x")
        assert transport._limit.now == before


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_the_kernel_gives_up_before_the_lease_has_ended() -> None:
    """What it holds of a write when the network is cut is dropped, not sent when the network is back."""
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with fence.socket_with_write_timeout(address) as made:
        milliseconds = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert milliseconds == fence.UNACKNOWLEDGED_SECONDS * 1000
