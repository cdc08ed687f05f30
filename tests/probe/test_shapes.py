"""Answers in the shapes of many servers, healthy and not: what is said of each by a probe that knows the URL alone."""

import socket
import struct
import time
from dataclasses import dataclass

import pytest

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe.http.connection import Limits
from streaming_operator.probe.judge.remarks import Kind
from streaming_operator.probe.verification import verify
from tests.probe.conftest import LIMITS, plan
from tests.probe.servers import Answer, Asked, Client, Server, event, token, usage

V = Verdict


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
        client.events(token(**delta) for _ in range(tokens(asked)))
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


@dataclass(frozen=True)
class Shape:
    """An answer and what must be said of it."""

    name: str
    answer: Answer
    verdict: Verdict = V.STREAMING
    remarks: tuple[Kind, ...] = ()
    evidence: str = ""
    limits: Limits = LIMITS


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "7 "}]}]
SHAPES = (
    Shape("201", streams(status="201 Created"), remarks=(Kind.STATUS,)),
    Shape("text/plain", streams(kind="text/plain"), remarks=(Kind.CONTENT_TYPE,)),
    Shape("application/json", streams(kind="application/json"), remarks=(Kind.CONTENT_TYPE,)),
    Shape("Content-Length beside chunks", streams("Content-Length: 612"), remarks=(Kind.LENGTH_AND_CHUNKED,)),
    Shape("thinking parts", deltas(content=THINKING)),
    Shape("text parts", deltas(content=[{"type": "text", "text": "7 "}])),
    Shape("function_call", deltas(function_call={"arguments": '{"a'}, content=None)),
    Shape("refusal", deltas(refusal="7 ", content=None)),
    Shape("DeepSeek gives up", ends("insufficient_system_resource", 0.4), V.ABORTED),
    Shape("Zhipu gives up", ends("network_error", 0.4), V.ABORTED),
    Shape("an empty reason, cut", ends("", 0.4, counted=False), V.ABORTED),
    Shape("no reason, all tokens", ends(None, 1.0), V.ABORTED, evidence="without a finish reason"),
    Shape("unknown reason, cut", ends("completed", 0.4), V.INCONCLUSIVE, evidence="unknown finish reason"),
    Shape("unknown reason, all tokens", ends("completed", 1.0), remarks=(Kind.UNKNOWN_REASON,)),
    Shape("closed without the last chunk", closed, remarks=(Kind.NO_LAST_CHUNK,)),
    Shape("reset after [DONE]", reset, remarks=(Kind.NO_LAST_CHUNK,)),
    Shape("open after [DONE]", left_open, remarks=(Kind.LEFT_OPEN,)),
    Shape(
        "comments alone",
        comments,
        V.TTFT_EXCEEDED,
        evidence="the connection was alive",
        limits=Limits(connect=20.0, first_token=2.0, stall=20.0, total=60.0),
    ),
)


@pytest.mark.parametrize("shape", [pytest.param(shape, id=shape.name) for shape in SHAPES])
async def test_shape(shape: Shape) -> None:
    """The verdict, and the remarks beside it."""
    with Server(shape.answer) as server:
        result = await verify(plan([server.port], limits=shape.limits, encodings=("identity",)))
    assert (result.verdict, [remark.name for remark in result.remarks]) == (
        shape.verdict,
        [kind.value for kind in shape.remarks],
    ), result.message
    assert shape.evidence in result.message
