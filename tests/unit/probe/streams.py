"""Answers written out as bytes with arrival times, for tests of what is measured and concluded."""

import json
import zlib
from collections.abc import Iterable, Sequence

from streaming_operator.probe.http.response import Ending
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline

Read = tuple[float, bytes]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
DONE = b"data: [DONE]\n\n"
LAST = b"0\r\n\r\n"


def event(data: object) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def delta(finish: str | None = None, **fields: object) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def token(text: str = "x", finish: str | None = None) -> bytes:
    return delta(finish, content=text)


def usage(tokens: int, generation: float | None = None) -> bytes:
    body: dict[str, object] = {"choices": [], "usage": {"completion_tokens": tokens}}
    if generation is not None:
        gap = generation / max(tokens - 1, 1)
        body["metrics"] = {
            "generation_time_ms": generation,
            "queue_time_ms": 0.1,
            "time_to_first_token_ms": 20.0,
            "mean_itl_ms": gap,
        }
    return event(body)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def record(reads: Iterable[Read], ending: Ending = Ending.CLOSED, ended_at: float = 99.0) -> Timeline:
    recorder = Recorder()
    for at, data in reads:
        recorder.read(at, data)
    return recorder.timeline(ending, ended_at, "kernel")


def healthy(
    times: Sequence[float],
    *,
    per_event: int = 1,
    generation: float | None = None,
    finish: str = "length",
    pad: str = "",
) -> Timeline:
    """A chunked answer whose token events arrive at `times`; equal times share a read."""
    reads: list[Read] = [(0.001, HEAD + b"transfer-encoding: chunked\r\n\r\n")]
    for number, at in enumerate(times):
        data = chunk(token("x" + pad, finish if number == len(times) - 1 else None))
        if number and at == times[number - 1]:
            reads[-1] = (at, reads[-1][1] + data)
        else:
            reads.append((at, data))
    reads.append((times[-1], chunk(usage(per_event * len(times), generation) + DONE) + LAST))
    return record(reads)


def paced(count: int, gap: float, ttft: float = 0.1) -> list[float]:
    """Arrivals one after the other."""
    return [ttft + gap * number for number in range(count)]


def held(times: Sequence[float], period: float) -> list[float]:
    """The same events behind a timer that lets them go every `period` seconds."""
    return [times[0] + period * (1 + (at - times[0]) // period) for at in times]


def compress(pieces: Iterable[bytes]) -> list[bytes]:
    """Gzip with a flush after every piece, as a streaming proxy does."""
    engine = zlib.compressobj(wbits=31)
    return [engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH) for piece in pieces] + [engine.flush()]
