"""
What arrived when: reads of one raw HTTP response go in, a `Timeline` comes out.

Pure. Times are seconds on the clock of the reads, relative to the moment the last byte of the request was
written; an event has the time of the read that completed it. Judging what the numbers mean is `verdict`'s
business.

Words, and where other tools mean something else by them:

* TTFT: to the first event that carries a token. Time to the headers is not TTFT (vLLM sends them at once),
  nor is the first event of servers that send the role ahead.
* token-bearing: with text, reasoning or a tool call, or of a token without text (an empty delta that names no
  role): a tiny or multilingual model makes many of those, and a spread without them would look squeezed.
* gap: between two token-bearing events. `vllm bench serve` calls it ITL, aiperf inter-chunk latency;
  guidellm's ITL is spread / (tokens - 1) instead.
* N, R, F: token-bearing events, and the distinct reads and chunk frames that completed at least one of
  them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise
from typing import Any

from streaming_operator.probe import http1, sse

BURST_PAUSE = 0.005
"""Seconds: reads closer than this left the hop together, cut only by segments on the way."""
LAST_WORDS = 0.05
"""Seconds before an end that belong to it."""
BODY_KEPT = 16 * 1024
"""
Bytes kept of a body that is no event stream: enough to tell a proxy's error page from the engine's JSON.
"""


class Ending(Enum):
    """How the reading of one answer ended."""

    COMPLETE = "complete by its own framing"
    CLOSED = "closed by the peer before it was complete"
    RESET = "reset"
    BROKEN = "broken framing"
    SILENT = "no first token in time"
    STALLED = "nothing more for too long"
    TOO_LONG = "total time used up"
    TOO_LARGE = "size cap reached"


class Trouble(Enum):
    """Why there was no answer to measure at all."""

    DNS = "dns"
    REFUSED_BY_US = "address not allowed"
    CONNECT = "connect"
    TLS = "tls"
    LOST = "lost before an answer"
    KEY = "key that cannot be sent"


@dataclass(frozen=True, slots=True)
class Metrics:
    """
    The server's own timing of this request, in milliseconds (vLLM: --enable-per-request-metrics and
    include_usage).
    """

    generation: float
    """First to last token, by the server's clock."""
    queue: float | None = None
    first_token: float | None = None
    mean_gap: float | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One token-bearing event."""

    at: float
    read: int
    frame: int
    has_text: bool = True
    """False for a token without text: half a character, or held back for a stop string."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One answer, measured. Durations in seconds unless the name says otherwise."""

    ending: Ending
    ended_at: float
    """Arrival of the end or, where there was none, when waiting stopped."""
    clock: str
    """`kernel` (SO_TIMESTAMPNS, stamp of a read's last byte) or `monotonic` (taken right after the read)."""
    head: http1.Head | None = None
    head_at: float | None = None
    arrivals: tuple[Arrival, ...] = ()
    tokens: int | None = None
    """usage.completion_tokens; never the number of events."""
    metrics: Metrics | None = None
    done: bool = False
    finish_reason: str | None = None
    error: str | None = None
    """Message of an error event inside the stream."""
    comments: int = 0
    body: str = ""
    """Beginning of a body that is no event stream."""
    sizes: tuple[tuple[float, int], ...] = ()
    """Arrival and raw bytes of every read."""
    broken: str = ""
    """What was wrong with the framing."""

    @property
    def status(self) -> int | None:
        """HTTP status."""
        return self.head.status if self.head else None

    @property
    def is_event_stream(self) -> bool:
        """Whether the content type is text/event-stream."""
        return self.head is not None and (self.head.header("content-type") or "").lower().startswith(
            "text/event-stream"
        )

    @property
    def has_content_length(self) -> bool:
        """Whether the length was known beforehand: on an event stream, somebody held all of it."""
        return self.head is not None and self.head.header("content-length") is not None

    @property
    def is_chunked(self) -> bool:
        """Whether the body came in chunk frames, so that a cut can be told from an end."""
        return self.head is not None and "chunked" in (self.head.header("transfer-encoding") or "").lower()

    @property
    def events(self) -> int:
        """N."""
        return len(self.arrivals)

    @property
    def token_reads(self) -> int:
        """R."""
        return len({arrival.read for arrival in self.arrivals})

    @property
    def token_frames(self) -> int:
        """F; 0 without chunks."""
        return len({arrival.frame for arrival in self.arrivals if arrival.frame})

    @property
    def events_per_read(self) -> float:
        """N/R: bundling on the way (or by a reader that came late)."""
        return self.events / self.token_reads if self.arrivals else 0.0

    @property
    def ttft(self) -> float | None:
        """First event with text; a token without any is nothing that a user sees."""
        return next((arrival.at for arrival in self.arrivals if arrival.has_text), None)

    @property
    def gaps(self) -> tuple[float, ...]:
        """Between successive token-bearing events; events of one read are 0 apart."""
        times = [arrival.at for arrival in self.arrivals]
        return tuple(later - earlier for earlier, later in pairwise(times))

    @property
    def spread(self) -> float:
        """S: first to last token-bearing event."""
        return self.arrivals[-1].at - self.arrivals[0].at if self.arrivals else 0.0

    @property
    def tokens_per_event(self) -> float | None:
        """K: bundling by the engine (stream_interval, speculative decoding, overload); None without usage."""
        return self.tokens / self.events if self.tokens and self.events else None

    @property
    def silence(self) -> float:
        """
        How long nothing came before the end; bytes that came with the end do not count.

        nginx with buffering on keeps even the headers until the first event, and sends them when it gives up.
        """
        early = (at for at, _ in self.sizes if at < self.ended_at - LAST_WORDS)
        return self.ended_at - max(early, default=0.0)

    @property
    def reads(self) -> int:
        """All reads, with or without tokens."""
        return len(self.sizes)

    @property
    def bursts(self) -> tuple[int, ...]:
        """Raw bytes of what arrived together; one size over and over is a buffer that fills."""
        bursts: list[int] = []
        last = -math.inf
        for at, size in self.sizes:
            if at - last < BURST_PAUSE and bursts:
                bursts[-1] += size
            else:
                bursts.append(size)
            last = at
        return tuple(bursts)

    @property
    def pacing(self) -> float | None:
        """
        r: spread / the server's own generation time. Both are durations, so no clock is shared; None without
        metrics.
        """
        return (
            self.spread * 1000 / self.metrics.generation
            if self.metrics and self.metrics.generation > 0
            else None
        )


def quantile(values: tuple[float, ...], share: float) -> float | None:
    """The nearest-rank quantile; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


@dataclass(slots=True)
class Recorder:
    """Takes the reads of one answer in order; `complete` and `token_seen` steer the reader."""

    complete: bool = False
    token_seen: bool = False
    _response: http1.Response = field(default_factory=http1.Response)
    _parser: sse.Parser = field(default_factory=sse.Parser)
    _found: dict[str, Any] = field(default_factory=dict)
    _arrivals: list[Arrival] = field(default_factory=list)
    _sizes: list[tuple[float, int]] = field(default_factory=list)
    _body: bytearray = field(default_factory=bytearray)
    _streaming: bool = False
    _comments: int = 0
    _ended_at: float = 0.0

    def read(self, at: float, data: bytes) -> None:
        """
        One read: its arrival and its bytes, headers and framing included. Empty bytes are the peer's close.
        """
        if data:
            self._sizes.append((at, len(data)))
        for part in self._response.feed(data):
            match part:
                case http1.Head():
                    self._found |= {"head": part, "head_at": at}
                    self._streaming = (
                        (part.header("content-type") or "").lower().startswith("text/event-stream")
                    )
                case http1.Piece():
                    self._take(at, part)
                case http1.End():
                    self.complete = True
                    self._ended_at = at
                case http1.Broken():
                    self._found["broken"] = part.why

    def timeline(self, ending: Ending, ended_at: float, clock: str) -> Timeline:
        """The measured answer; `ended_at` counts where the message did not end by itself."""
        if not self._found.get("done") and (self._parser.unfinished() or "").strip() == "[DONE]":
            self._found["done"] = True
        return Timeline(
            ending=Ending.COMPLETE if self.complete else ending,
            ended_at=self._ended_at if self.complete else ended_at,
            clock=clock,
            arrivals=tuple(self._arrivals),
            comments=self._comments,
            body=self._body.decode("utf-8", "replace"),
            sizes=tuple(self._sizes),
            **self._found,
        )

    def _take(self, at: float, piece: http1.Piece) -> None:
        if not self._streaming:
            self._body += piece.data[: BODY_KEPT - len(self._body)]
            return
        for item in self._parser.feed(piece.data):
            if isinstance(item, sse.Comment):
                self._comments += 1
            elif item.data.strip() == "[DONE]":
                self._found["done"] = True
            else:
                self._chunk(Arrival(at, len(self._sizes), piece.frame), item.data)

    def _chunk(self, arrival: Arrival, text: str) -> None:
        try:
            chunk = json.loads(text)
        except ValueError:
            return  # not a chat chunk; a stream without a single token is judged as such
        if not isinstance(chunk, dict):
            return
        error = chunk.get("error")
        if error:
            self._found.setdefault("error", _error_text(error))
        usage = chunk.get("usage")
        if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
            self._found["tokens"] = usage["completion_tokens"]
        metrics = _metrics(chunk.get("metrics"))
        if metrics is not None:
            self._found["metrics"] = metrics
        for choice in _dicts(chunk.get("choices")):
            if isinstance(choice.get("finish_reason"), str):
                self._found["finish_reason"] = choice["finish_reason"]
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            if any(delta.get(key) for key in ("content", "reasoning", "reasoning_content", "tool_calls")):
                self._arrivals.append(arrival)
                self.token_seen = True
                break
            if delta.get("content") == "" and "role" not in delta and choice.get("finish_reason") is None:
                self._arrivals.append(replace(arrival, has_text=False))
                self.token_seen = True
                break


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _error_text(error: object) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(message).split())[:200]


def _metrics(value: object) -> Metrics | None:
    if not isinstance(value, Mapping):
        return None

    def number(name: str) -> float | None:
        found = value.get(name)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    generation = number("generation_time_ms")
    if generation is None:
        return None
    return Metrics(
        generation, number("queue_time_ms"), number("time_to_first_token_ms"), number("mean_itl_ms")
    )
