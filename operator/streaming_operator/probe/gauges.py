"""
The engine's own gauges, read from the pods: how many requests run, and how many wait.

One GET of the Prometheus text a pod. A pod whose metrics cannot be read gives None, which decides nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from streaming_operator.probe.http import connection, http1
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import get
from streaming_operator.probe.http.response import Codec, End, Ending, Head, Piece

LIMITS = connection.Limits(connect=2.0, first_token=5.0, stall=5.0, total=5.0, size=1024 * 1024)
"""A busy server answers late; slower or larger responses than these are not read."""
CONCURRENCY = 8
"""Pods read at the same time: their responses are held in memory."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where an engine serves its metrics, and the names of its gauges."""

    path: str
    running: str
    waiting: str


async def running(pods: Sequence[connection.Target], gauges: Gauges, guard: Guard) -> int | None:
    """Requests that run on all these pods together; None when one of them cannot be read."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def read(pod: connection.Target) -> float | None:
        async with slots:
            return await _read(pod, gauges.path, gauges.running, guard)

    counts = await asyncio.gather(*(read(pod) for pod in pods))
    known = [count for count in counts if count is not None]
    return round(sum(known)) if len(known) == len(counts) else None


async def queues_full(pods: Sequence[connection.Target], gauges: Gauges, guard: Guard) -> bool:
    """Whether requests wait on every pod; read one after the other until one has an empty queue."""
    for pod in pods:
        if not await _read(pod, gauges.path, gauges.waiting, guard):
            return False
    return bool(pods)


async def _read(pod: connection.Target, path: str, name: str, guard: Guard) -> float | None:
    """The sum of one metric over the engines of a pod."""
    text = _Text()
    try:
        target = await connection.resolve(replace(pod, path=path), guard, None)
        await connection.exchange(target, get(path, target.host_header, None), text, LIMITS)
        values = _values(text.body.decode("utf-8", "replace"), name)
    except (connection.NoResponseError, ValueError):
        return None
    return sum(values) if text.ending is Ending.COMPLETE and text.status == 200 and values else None


def _values(text: str, name: str) -> list[float]:
    """The samples of one metric; only its lines are parsed, since this runs in the operator's event loop."""
    lines = "\n".join(line for line in text.splitlines() if line.startswith(name)) + "\n"
    from prometheus_client.parser import (
        text_string_to_metric_families,
    )  # a probe of a plain URL reads no gauges

    families = text_string_to_metric_families(lines)
    return [sample.value for family in families for sample in family.samples if sample.name == name]


@dataclass(slots=True)
class _Text:
    """Collects the body of a plain response; the exchange limits its size."""

    ending: Ending | None = None
    token_seen: bool = False
    end_marker_seen: bool = False
    status: int = 0
    body: bytearray = field(default_factory=bytearray)
    _codec: Codec = field(default_factory=http1.Http1Codec)

    def begin(self, codec: Codec) -> None:
        self._codec = codec

    def read(self, at: float, data: bytes) -> None:
        for part in self._codec.feed(data):
            match part:
                case Head():
                    self.status = part.status
                case Piece():
                    self.body += part.data
                case End():
                    self.ending = Ending.COMPLETE
