"""
The engine's own gauges, read from the pods: how many requests run, and how many wait.

One GET of the Prometheus text a pod. A pod whose metrics cannot be read gives None, which decides nothing.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from streaming_operator.probe.http import connection, http1
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import get
from streaming_operator.probe.http.response import Broken, Codec, End, Ending, Head, Piece

LIMITS = connection.Limits(connect=2.0, first_token=5.0, stall=5.0, total=5.0, size=1024 * 1024)
"""A busy server answers late; slower or larger responses than these are not read."""
CONCURRENCY = 8
"""Pods read at the same time."""
LONGEST_LINE = 16 * 1024
"""Bytes of a line; vLLM's have a few hundred."""
LONGEST_NUMBER = 32
"""Characters of a value."""
SAMPLES = 1024
"""Samples of one metric in a response: one for each engine in the pod."""


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
    scanner = _Scanner(name.encode())
    try:
        target = await connection.resolve(replace(pod, path=path), guard, None)
        await connection.exchange(target, get(path, target.host_header, None), scanner, LIMITS)
    except (connection.NoResponseError, ValueError):
        return None
    return scanner.total


@dataclass(slots=True)
class _Scanner:
    """
    Adds up the samples of one metric while the response comes; nothing is kept of it but a line that is not complete.

    Written by ourselves: the parser of prometheus_client is quadratic in the labels of a line and needs the whole text.
    """

    name: bytes
    ending: Ending | None = None
    token_seen: bool = False
    end_marker_seen: bool = False
    _status: int = 0
    _samples: int = 0
    _sum: float = 0.0
    _valid: bool = True
    _line: bytes = b"\n"
    """The line that has begun, with the line feed before it."""
    _codec: Codec = field(default_factory=http1.Http1Codec)

    @property
    def total(self) -> float | None:
        """The sum; None if there was no sample, or the response was not a complete and valid one."""
        valid = self._valid and self.ending is Ending.COMPLETE and self._status == 200
        return self._sum if valid and self._samples and math.isfinite(self._sum) else None

    def begin(self, codec: Codec) -> None:
        self._codec = codec

    def steps(self, at: float, data: bytes, late: float = 0.0) -> Iterator[None]:
        for part in self._codec.feed(data):
            yield
            match part:
                case Head():
                    self._status = part.status
                case Piece():
                    self._scan(part.data)
                case End():
                    self._scan(b"\n")
                    self.ending = Ending.COMPLETE
                case Broken():
                    self.ending = Ending.BROKEN

    def _scan(self, data: bytes) -> None:
        text = (self._line + data).replace(b"\r", b"\n")
        complete = text.rfind(b"\n")
        self._line = text[complete:]
        if len(self._line) > LONGEST_LINE:  # its beginning decides whether it is a sample
            self._valid = self._valid and not self._line[1:].startswith(self.name)
            self._line = self._line[:LONGEST_LINE]
        wanted, at = b"\n" + self.name, 0
        while self._valid and (at := text.find(wanted, at, complete)) >= 0:
            at += len(wanted)
            self._add(text[at : text.index(b"\n", at)])

    def _add(self, rest: bytes) -> None:
        """Add a sample; *rest* is its line after the metric's name: labels, a value, perhaps a time."""
        if rest[:1] == b"{":
            rest = rest.rpartition(b"}")[2]
        elif not rest[:1].isspace():
            return  # another metric whose name begins like this one
        words = rest.split(maxsplit=2)
        self._samples += 1
        try:
            self._sum += float(words[0][:LONGEST_NUMBER])
        except (ValueError, IndexError):
            self._valid = False
        self._valid = self._valid and self._samples <= SAMPLES
