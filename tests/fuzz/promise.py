"""
What the parsers promise for any bytes in any pieces; `hold` raises AssertionError, or whatever they raised.

* never an exception;
* the same events and the same `Timeline`, but for the arrivals, however the bytes were cut into reads;
* a verdict;
* work that is linear in the bytes: more of the same takes as much more, and at a cap no more;
* no more is kept than came, and text from a server is kept in short lines without control characters.

The first byte of an input says what it is and how it is cut, the rest is the stream.
"""

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from types import FrameType
from typing import Any

from streaming_operator.probe.http import http1, http2
from streaming_operator.probe.http.request import post
from streaming_operator.probe.http.response import Codec, Ending
from streaming_operator.probe.judge.finding import Attempt
from streaming_operator.probe.judge.verdict import judge
from streaming_operator.probe.stream import sse
from streaming_operator.probe.stream.recorder import BODY_KEPT, Recorder
from streaming_operator.probe.stream.timeline import Timeline

CUT = 0x1F
"""Bits of the first byte that hold the length of a read, less one; the higher ones number the kind of answer."""
LONGEST_LINE = 600
"""Characters of a sentence about an answer."""
FACTOR, SLACK = 4, 1.5
"""More of the same bytes, and how much more than in proportion they may cost: sorting; quadratic work is 16 times."""
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
_GZIP = b"content-encoding: gzip\r\n\r\n"
_BY_READS = {"sizes", "arrivals", "head_at", "ended_at", "segments", "late"}
"""What a `Timeline` has from its reads; of the arrivals the times, the rest is compared."""
_FRAME = 50
"""Bytes of body in a frame that we make."""


def hold(data: bytes) -> None:
    """Check every promise for one input: as events, and as an answer of the kind that its first byte names."""
    first, stream = data[0] if data else 0, data[1:]
    cut = (first & CUT) + 1
    _events_hold(stream, cut)
    response, made = KINDS[(first >> 5) % len(KINDS)]
    _answer_holds(response, made(stream), cut)


def cost(data: bytes) -> int:
    """
    Lines of Python that are executed for one input, the verdict included: work that does not depend on the machine.
    """
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal lines
        lines += event == "line"
        return trace

    first, stream = data[0] if data else 0, data[1:]
    response, made = KINDS[(first >> 5) % len(KINDS)]
    codec, answer = response(), made(stream)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        judge(Attempt(_recorded(codec, [answer])), capped=True)
    finally:
        sys.settrace(before)
    return lines


def cost_is_linear(data: bytes) -> None:
    """Check that four times the stream takes at most about four times the work."""
    once, more = cost(data), cost(data[:1] + data[1:] * FACTOR)
    assert more <= FACTOR * once * SLACK, (once, more)


def _events_hold(stream: bytes, cut: int) -> None:
    whole = list(_items([stream]))
    assert list(_items(_pieces(stream, cut))) == whole
    # A byte that is no UTF-8 becomes one character of three.
    assert sum(len(_text(item).encode()) for item in whole) <= 3 * len(stream)


def _items(pieces: Iterable[bytes]) -> Iterator[sse.Item]:
    parser = sse.Parser()
    for piece in pieces:
        yield from parser.feed(piece)


def _text(item: sse.Item) -> str:
    return item.data if isinstance(item, sse.Event) else item.text


def _answer_holds(codec: Callable[[], Codec], answer: bytes, cut: int) -> None:
    whole = _recorded(codec(), [answer])
    assert _told(_recorded(codec(), _pieces(answer, cut))) == _told(whole)
    assert len(whole.body) <= BODY_KEPT
    finding = judge(Attempt(whole), jitter=0.0, capped=True)
    for text in (whole.error, whole.finish_reason, whole.broken, whole.reset, finding.evidence):
        assert text is None or text.isprintable()
        assert len(text or "") <= LONGEST_LINE


def _recorded(codec: Codec, pieces: Iterable[bytes]) -> Timeline:
    """As the reader thread does: read until it has ended, at last the peer's close."""
    recorder = Recorder()
    recorder.begin(codec)
    for number, piece in enumerate((*pieces, b"")):
        if recorder.ending is None:
            recorder.read(float(number), piece)
            codec.replies()
    return recorder.timeline(Ending.CLOSED, 0.0, "fuzz")


def _told(timeline: Timeline) -> dict[str, object]:
    facts = {f.name: getattr(timeline, f.name) for f in fields(timeline) if f.name not in _BY_READS}
    facts["broken"] = bool(timeline.broken)  # its text depends on how lines were split
    return facts | {"arrivals": [(a.frame, a.kind) for a in timeline.arrivals]}


def _pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def _chunks(stream: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in _pieces(stream, _FRAME)) + b"0\r\n\r\n"


def _asked_http2() -> Codec:
    codec = http2.Http2Codec()
    codec.opening()
    for _ in codec.feed(_SETTINGS):
        pass
    codec.request(post("/", "h", b"{}", "identity", None), "http")
    return codec


def _frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _data_frames(stream: bytes) -> bytes:
    frames = [_frame(0, 0, piece) for piece in _pieces(stream, _FRAME)]
    return b"".join(frames) + _frame(0, 1, b"")


_SETTINGS = _frame(4, 0, b"", stream=0)
_HEADERS = _frame(1, 4, b"\x88\x5f\x11text/event-stream")
"""HPACK: `:status 200` from the static table, `content-type` by its index, the value plain."""

KINDS: tuple[tuple[Callable[[], Codec], Callable[[bytes], bytes]], ...] = (
    (http1.Http1Codec, lambda stream: stream),
    (http1.Http1Codec, lambda stream: _STREAM + b"\r\n" + stream),
    (http1.Http1Codec, lambda stream: _STREAM + _CHUNKED + stream),
    (http1.Http1Codec, lambda stream: _STREAM + _CHUNKED + _chunks(stream)),
    (http1.Http1Codec, lambda stream: _STREAM + _GZIP + stream),
    (http1.Http1Codec, lambda stream: _STREAM + _GZIP + zlib.compress(stream, wbits=31)),
    (_asked_http2, lambda stream: _SETTINGS + stream),
    (_asked_http2, lambda stream: _SETTINGS + _HEADERS + _data_frames(stream)),
)
"""What the bytes are taken for: the whole answer, or the body of one."""
