"""Answers in the shapes of many servers, healthy and not: what is said of each by a probe that knows the URL alone."""

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.connection import Limits
from streaming_operator.probe.judge.remarks import RemarkKind
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.verification import verify
from streaming_operator.values import ProbeResult
from tests.probe import proxies
from tests.probe.conftest import LIMITS, plan
from tests.probe.proxies import Proxy
from tests.probe.servers import Answer, Asked, Client, Server, event, token, usage

V = Verdict
SO_MAX_PACING_RATE = 47
FURTHER = 3
"""Verifications at most after an inconclusive one."""


def tokens(asked: Asked) -> int:
    """How many were asked for."""
    count: int = asked.body["max_tokens"]
    return count


def streams(*headers: str, status: str = "200 OK", kind: str = "text/event-stream") -> Answer:
    """A healthy stream under this head."""

    def answer(client: Client, asked: Asked) -> None:
        client.head(status, kind, *headers)
        client.events(token() for _ in range(tokens(asked)))
        client.finish(tokens(asked))

    return answer


def deltas(**delta: object) -> Answer:
    """A healthy stream of tokens of this shape."""

    def answer(client: Client, asked: Asked) -> None:
        client.head()
        client.events(token("", None, **delta) for _ in range(tokens(asked)))
        client.finish(tokens(asked))

    return answer


def ends(reason: str | None, share: float, *, counted: bool = True) -> Answer:
    """A stream of a *share* of the tokens that ends with this reason."""

    def answer(client: Client, asked: Asked) -> None:
        client.head()
        count = int(tokens(asked) * share)
        client.events(token() for _ in range(count))
        client.chunk(token("", reason))
        if counted:
            client.chunk(usage(count))
        client.chunk(event("[DONE]"))
        client.end()

    return answer


def closed(client: Client, asked: Asked) -> None:
    """[DONE], then the end of the connection instead of the last chunk."""
    client.head()
    client.events(token() for _ in range(tokens(asked)))
    for text in (token("", "length"), usage(tokens(asked)), event("[DONE]")):
        client.chunk(text)


def reset(client: Client, asked: Asked) -> None:
    """[DONE], then a reset instead of the last chunk."""
    closed(client, asked)
    time.sleep(0.05)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def left_open(client: Client, asked: Asked) -> None:
    """[DONE], then nothing until the client closes."""
    closed(client, asked)
    client.sock.recv(1)


def comments(client: Client, asked: Asked) -> None:
    """Nothing but signs of life."""
    client.head()
    client.events((": keep-alive\n\n" for _ in range(100)), 0.1)


def sends_a_block(block: bytes, sock: socket.socket) -> None:
    """The way of a block from a server on the same machine."""
    sock.sendall(block)


def in_flights(round_trip: float) -> Callable[[bytes, socket.socket], None]:
    """Slow start as it arrives over a long path: ten segments, then twice as many after each round trip."""

    def send(block: bytes, sock: socket.socket) -> None:
        window = 10 * 1460
        while block:
            sock.sendall(block[:window])
            block, window = block[window:], 2 * window
            time.sleep(round_trip if block else 0.0)

    return send


def paced_by_the_kernel(block: bytes, sock: socket.socket) -> None:
    """A slow link: 5 Mbit/s."""
    sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 625_000)
    sock.sendall(block)
    time.sleep(1.0)


def padded(text: str) -> str:
    """A token in an event of the usual size."""
    return event(
        {"id": "x" * 120, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    )


def stored(per_event: int, send: Callable[[bytes, socket.socket], None] = sends_a_block) -> Answer:
    """Generated at 2 ms a token, stored, then sent; *per_event* tokens in an event, 0 for all of them."""

    def answer(client: Client, asked: Asked) -> None:
        count = tokens(asked)
        time.sleep(count * 0.002)
        size = per_event or count
        texts = [padded("seven " * min(size, count - at)) for at in range(0, count, size)]
        text = "".join([*texts, token("", "length"), usage(count), event("[DONE]")]).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text), client.sock)

    return answer


def fake(client: Client, asked: Asked) -> None:
    """Empty deltas as signs of life, then the whole text in one event, however much was asked for."""
    client.head()
    client.events((token("") for _ in range(6)), 0.2)
    client.chunk(token("seven " * tokens(asked)))
    client.finish(tokens(asked))


def in_groups(size: int, pause: float) -> Answer:
    """An engine that emits several tokens at a time, each as an event of its own."""

    def answer(client: Client, asked: Asked) -> None:
        client.head()
        for at in range(0, tokens(asked), size):
            client.events((token() for _ in range(min(size, tokens(asked) - at))), 0.0)
            time.sleep(pause)
        client.finish(tokens(asked))

    return answer


def in_paragraphs(client: Client, asked: Asked) -> None:
    """22 tokens an event, three times a second."""
    client.head()
    client.events((token("seven " * 22) for _ in range(0, tokens(asked), 22)), 0.3)
    client.finish(tokens(asked))


@dataclass(frozen=True)
class Shape:
    """An answer and what must be said of it."""

    name: str
    answer: Answer
    verdict: Verdict = V.STREAMING
    remarks: tuple[RemarkKind, ...] = ()
    evidence: str = ""
    limits: Limits = LIMITS
    undecided: bool = False
    """
    Whether a busy machine may leave it inconclusive, since the server itself sends late: then only that it is never
    called a stream is promised here. tests/unit/probe/test_storing.py promises the verdict.
    """


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "7 "}]}]
SHAPES = (
    Shape("201", streams(status="201 Created"), remarks=(RemarkKind.STATUS,)),
    Shape("text/plain", streams(kind="text/plain"), remarks=(RemarkKind.CONTENT_TYPE,)),
    Shape("application/json", streams(kind="application/json"), remarks=(RemarkKind.CONTENT_TYPE,)),
    Shape(
        "Content-Length beside chunks",
        streams("Content-Length: 612"),
        remarks=(RemarkKind.LENGTH_AND_CHUNKED,),
    ),
    Shape("thinking parts", deltas(content=THINKING)),
    Shape("text parts", deltas(content=[{"type": "text", "text": "7 "}])),
    Shape("function_call", deltas(function_call={"arguments": '{"a'}, content=None)),
    Shape("refusal", deltas(refusal="7 ", content=None)),
    Shape("DeepSeek gives up", ends("insufficient_system_resource", 0.4), V.ABORTED),
    Shape("Zhipu gives up", ends("network_error", 0.4), V.ABORTED),
    Shape("an empty reason, cut", ends("", 0.4, counted=False), V.ABORTED),
    Shape("no reason, all tokens", ends(None, 1.0), V.ABORTED, evidence="without a finish reason"),
    Shape("unknown reason, cut", ends("completed", 0.4), V.INCONCLUSIVE, evidence="unknown finish reason"),
    Shape("unknown reason, all tokens", ends("completed", 1.0), remarks=(RemarkKind.UNKNOWN_REASON,)),
    Shape("closed without the last chunk", closed, remarks=(RemarkKind.NO_LAST_CHUNK,)),
    Shape("reset after [DONE]", reset, remarks=(RemarkKind.NO_LAST_CHUNK,)),
    Shape("open after [DONE]", left_open, remarks=(RemarkKind.LEFT_OPEN,)),
    Shape("stored, one event", stored(0), V.BUFFERED, evidence="the first token comes later"),
    Shape("stored, 50 tokens an event", stored(50), V.BUFFERED),
    Shape("stored, over a long path", stored(1, in_flights(0.09)), V.BUFFERED, undecided=True),
    Shape("stored, over a very long path", stored(1, in_flights(0.3)), V.BUFFERED, undecided=True),
    Shape("stored, over a slow link", stored(1, paced_by_the_kernel), V.BUFFERED, undecided=True),
    Shape("empty deltas, then one event", fake, V.BUFFERED, evidence="6 events without text"),
    Shape("groups of 8 tokens", in_groups(8, 0.2), V.INCONCLUSIVE, evidence="--compare"),
    Shape("groups of 5 tokens", in_groups(5, 0.25), V.INCONCLUSIVE, evidence="--compare"),
    Shape("22 tokens an event", in_paragraphs, V.ENGINE_BATCHED),
    Shape(
        "comments alone",
        comments,
        V.TTFT_EXCEEDED,
        evidence="the connection was alive",
        limits=Limits(connect=20.0, first_token=2.0, stall=20.0, total=60.0),
    ),
)


async def judged(asked: Plan, expected: Verdict, evidence: str = "") -> ProbeResult:
    """
    A verification; again where it is inconclusive and should not be, or says what is expected for another reason.

    On a busy machine server and reader are late by more than what is judged, and the probe says just that.
    """
    result = await verify(asked)
    for _ in range(FURTHER):
        if result.verdict is not V.INCONCLUSIVE and result.verdict is not expected:
            break
        if result.verdict is expected and evidence in result.message:
            break
        result = await verify(asked)
    return result


@pytest.mark.parametrize("shape", [pytest.param(shape, id=shape.name) for shape in SHAPES])
async def test_shape(shape: Shape) -> None:
    """The verdict, and the remarks beside it."""
    with Server(shape.answer) as server:
        result = await judged(
            plan([server.port], limits=shape.limits, encodings=("identity",)), shape.verdict, shape.evidence
        )
    if shape.undecided and result.verdict is V.INCONCLUSIVE:
        return
    assert (result.verdict, [remark.name for remark in result.remarks]) == (
        shape.verdict,
        [kind.value for kind in shape.remarks],
    ), result.message
    assert shape.evidence in result.message


async def test_a_control_tells_a_timer_from_an_engine() -> None:
    """The server itself streams: what bundles is on the path, and the advice names what to look for there."""
    with Server(streams()) as server, Proxy(server.port, proxies.corked(0.3)) as edge:
        result = await judged(plan([server.port, edge.port], encodings=("identity",)), V.COALESCED)
    assert (result.verdict, result.hop) == (V.COALESCED, Hop.EXPOSURE), result.message
    assert "a proxy on the path waits before it sends" in result.message


async def test_a_control_that_emits_in_groups_too_acquits_the_path() -> None:
    """The same bursts at the server itself."""
    with Server(in_groups(8, 0.2)) as server, Proxy(server.port, proxies.healthy) as edge:
        result = await judged(plan([server.port, edge.port], encodings=("identity",)), V.ENGINE_BATCHED)
    assert result.verdict is V.ENGINE_BATCHED, result.message
