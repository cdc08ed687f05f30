"""What a whole verification says of servers that are very fast, or that only seem to stream. In virtual time."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.request import Request
from streaming_operator.probe.verification import verify
from tests.loop import virtual_path
from tests.probe.conftest import plan
from tests.unit.probe.streams import DONE, HEAD, LAST, chunk, token, usage

PAD = "x" * 130
"""Brings an event to the usual size."""
Texts = Callable[[int], AsyncIterator[bytes]]


@dataclass(eq=False)
class Server:
    """Answers with the chunks of *texts* for the number of tokens that is asked for; `asked` holds these numbers."""

    texts: Texts
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def answer(self, request: Request) -> AsyncIterator[bytes]:
        count = json.loads(request.body)["max_tokens"]
        self.asked.append((dict(request.headers)["Accept-Encoding"], count))
        yield HEAD + b"transfer-encoding: chunked\r\n\r\n"
        async for text in self.texts(count):
            yield chunk(text)
        yield chunk(token("", "length") + usage(count) + DONE) + LAST


def at_a_rate(tokens_a_second: float, first: float = 0.005) -> Texts:
    """Four events a write, as providers with hardware of their own send them."""

    async def texts(count: int) -> AsyncIterator[bytes]:
        await asyncio.sleep(first)
        for _ in range(0, count, 4):
            yield token(PAD) * 4
            await asyncio.sleep(4 / tokens_a_second)

    return texts


async def one_by_one(count: int) -> AsyncIterator[bytes]:
    """A token each 20 ms."""
    for _ in range(count):
        await asyncio.sleep(0.02)
        yield token(PAD)


async def one_then_all(count: int) -> AsyncIterator[bytes]:
    """The first token at once, all others together after 20 ms for each."""
    await asyncio.sleep(0.05)
    yield token(PAD)
    await asyncio.sleep(count * 0.02)
    for _ in range(count - 1):
        yield token(PAD)


async def spaces_then_all(count: int) -> AsyncIterator[bytes]:
    """A space as a sign of life ten times, then the whole text in one event."""
    for _ in range(10):
        await asyncio.sleep(count * 0.002)
        yield token(" ")
    yield token("seven " * count)


async def stored_far_away(count: int) -> AsyncIterator[bytes]:
    """Stored, however fast it is made: 2,500 tokens a second, sent in flights of a path of 300 ms."""
    await asyncio.sleep(0.3 + count / 2500)
    sent, flight = 0, 64
    while sent < count:
        for _ in range(min(flight, count - sent)):
            yield token(PAD)
        sent, flight = sent + flight, 2 * flight
        await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("texts", "verdicts"),
    [
        pytest.param(at_a_rate(2500), {Verdict.STREAMING}, id="2,500 tokens a second"),
        pytest.param(at_a_rate(2500, 0.2), {Verdict.STREAMING}, id="2,500 a second, far away"),
        pytest.param(at_a_rate(1000, 0.3), {Verdict.STREAMING}, id="1,000 a second, far away"),
        pytest.param(at_a_rate(6000), {Verdict.STREAMING, Verdict.INCONCLUSIVE}, id="6,000 a second"),
        pytest.param(one_then_all, {Verdict.BUFFERED}, id="one token, then all others"),
        pytest.param(spaces_then_all, {Verdict.BUFFERED}, id="spaces, then all text"),
        pytest.param(stored_far_away, {Verdict.BUFFERED, Verdict.INCONCLUSIVE}, id="stored, far away"),
    ],
)
async def test_what_is_said(monkeypatch: pytest.MonkeyPatch, texts: Texts, verdicts: set[Verdict]) -> None:
    """With both encodings, without any timing of the server's own."""
    port = virtual_path.install(monkeypatch).listen(Server(texts))
    result = await verify(plan([port], model="m"))
    assert result.verdict in verdicts, result.message


async def test_a_second_encoding_is_compared_with_fewer_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with as many tokens as the first one needed, and asks for half of them where that decides."""
    server = Server(at_a_rate(2500, 0.2))
    port = virtual_path.install(monkeypatch).listen(server)
    result = await verify(plan([port], model="m"))
    assert result.verdict is Verdict.STREAMING, result.message
    assert server.asked == [
        *(("gzip", count) for count in (64, 128, 256, 512, 1024)),
        ("identity", 1024),
        ("identity", 512),
    ]


@pytest.mark.parametrize(
    ("late", "verdict"),
    [
        pytest.param([], Verdict.COALESCED, id="in time"),
        pytest.param([0.5], Verdict.COALESCED, id="late to one"),
        pytest.param([0.5] * 9, Verdict.INCONCLUSIVE, id="late to each"),
    ],
)
async def test_a_control_that_the_probe_came_late_to_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, late: list[float], verdict: Verdict
) -> None:
    """The server sends no timing: only a stream of its own tells an edge that bundles from a server that does."""
    ports = virtual_path.install(monkeypatch)
    pod = Server(one_by_one)
    edge = virtual_path.Edge(pod, virtual_path.corked)
    asked = plan([ports.listen(pod), ports.listen(edge)], model="m", encodings=("identity",))
    ports.late[ports.listen(pod)] = late
    result = await verify(asked)
    assert (result.verdict, result.hop) == (verdict, Hop.EXPOSURE), result.message


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        pytest.param(0, Verdict.STREAMING, id="never slow"),
        pytest.param(1, Verdict.STREAMING, id="slow once"),
        pytest.param(9, Verdict.COALESCED, id="faster through the edge each time"),
    ],
)
async def test_a_slow_control_alone_condemns_no_hop(
    monkeypatch: pytest.MonkeyPatch, slow: int, verdict: Verdict
) -> None:
    """An engine that is slow for one stream, and no timing that would say so: another control is asked."""
    rates = itertools.chain([120.0] * slow, itertools.repeat(200.0))
    ports = virtual_path.install(monkeypatch)
    pod = ports.listen(Server(lambda count: at_a_rate(next(rates), 0.2)(count)))
    edge = ports.listen(Server(at_a_rate(200, 0.2)))
    result = await verify(plan([pod, edge], model="m", encodings=("identity",), cap_tokens=64))
    assert (result.verdict, result.hop) == (verdict, Hop.EXPOSURE), result.message


class Once(Server):
    """Answers the first request alone."""

    async def answer(self, request: Request) -> AsyncIterator[bytes]:
        if self.asked:
            return
        async for data in super().answer(request):
            yield data


async def test_one_control_whose_pace_nobody_confirms_condemns_no_hop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pod was slow for one stream, and then it is gone."""
    ports = virtual_path.install(monkeypatch)
    pod, edge = ports.listen(Once(at_a_rate(120, 0.2))), ports.listen(Server(at_a_rate(200, 0.2)))
    result = await verify(plan([pod, edge], model="m", encodings=("identity",), cap_tokens=64))
    assert result.verdict is Verdict.INCONCLUSIVE, result.message
    assert "no second stream of the pod confirms it" in result.message


async def test_a_control_that_nobody_confirms_is_not_used_for_half_the_tokens_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second encoding begins at the limit, where half as many tokens are asked for and judged anew."""
    ports = virtual_path.install(monkeypatch)
    pod, edge = ports.listen(Once(at_a_rate(120, 0.2))), ports.listen(Server(at_a_rate(200, 0.2)))
    result = await verify(plan([pod, edge], model="m", cap_tokens=128))
    assert result.verdict in (Verdict.INCONCLUSIVE, Verdict.STREAMING), result.message
