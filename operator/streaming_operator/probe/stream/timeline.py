"""
The timeline of one response: when its tokens arrived, and the metrics defined on that.

Pure. Times are seconds on the clock of the reads, from the moment at which the last byte of the request was written; an
event has the time of the read that completed it. `recorder` makes a timeline, `judge.verdict` judges it.

A new connection carries one request, so nothing is queued before it, and connecting and TLS are done when the clock
starts. Other tools use the same terms for something else:

* TTFT here: request written to the first token with text of any kind (`Timeline.ttft`). `vllm bench serve` (0.32)
  starts its clock before it connects and stops it at the first chunk with `choices`, on chat the role chunk
  too: the same moment on vLLM, which sends the role with the first token, but not on servers that send it ahead.
  guidellm starts at its request's start and stops at its first iteration with a token. aiperf (once genai-perf) takes
  the first response with content, and calls the first one after the reasoning TTFO: `Timeline.ttft_content`.
  LLMPerf takes the first delta with content. None of them is the time to the headers: vLLM sends those at once.
* gap: from one token-bearing event to the next. `vllm bench serve` calls it ITL, aiperf inter chunk latency.
* TPOT: spread / (tokens - 1). The same in `vllm bench serve`; guidellm and aiperf call that ITL, and guidellm's TPOT is
  the whole request / tokens, so TTFT is in it, as it is in LLMPerf's inter-token latency.
* vLLM's own `vllm:time_to_first_token_seconds` and `vllm:inter_token_latency_seconds` end inside the server, before
  serialisation and network: a proxy that buffers is invisible in them.

Token-bearing: with text, reasoning or a tool call, or of a token without text (an empty delta that names no role): a
tiny or multilingual model generates many of those, and without them the spread would look too short.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Self

from streaming_operator.probe.http.request import Api
from streaming_operator.probe.http.response import Ending, Head
from streaming_operator.probe.stream.formats import Kind
from streaming_operator.probe.stream.server_timing import Metrics

BURST_PAUSE = 0.005
"""Seconds: reads closer than this left the hop together and were only split into segments."""
FINAL_READS = 0.05
"""Seconds before the end in which a read belongs to it."""
LEAD = 0.2
"""Share of a text that proves nothing where it takes more than half of the time: as much as signs of life hold."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One token-bearing event."""

    at: float
    """Seconds from the request's last byte to the read that completed the event."""
    read: int
    """Number of that read, from 1."""
    frame: int
    """Number of the chunk or DATA frame that completed it, from 1; 0 where the body has no frames."""
    kind: Kind = "content"
    characters: int = 0
    """Length of the event's text."""

    @property
    def has_text(self) -> bool:
        """False for a token without text: half a character, or held back for a stop string."""
        return self.kind != "empty"


@dataclass(frozen=True, slots=True)
class Burst:
    """Reads that arrived together."""

    at: float
    """Seconds from the request's last byte to the first of them."""
    size: int
    """Bytes as they came, framing included."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One response, measured. Durations in seconds unless the name says otherwise."""

    ending: Ending
    ended_at: float
    """Arrival of the end or, where there was none, when the exchange was ended."""
    clock: str
    """
    `kernel`: SO_TIMESTAMPNS, the moment at which the segment with the read's last byte arrived at this machine;
    `monotonic`: taken by us right after the read, so late by as long as our thread had to wait.
    """
    head: Head | None = None
    """None if no complete one arrived."""
    head_at: float | None = None
    """Seconds to the headers: what aiperf calls stream setup. vLLM sends them before it has a token."""
    arrivals: Sequence[Arrival] = ()
    """The token-bearing events, in order."""
    tokens: int | None = None
    """The server's count of generated tokens (usage.completion_tokens, usage.output_tokens); never of events."""
    metrics: Metrics | None = None
    """The server's own timing; None unless it sends it (vLLM: --enable-per-request-metrics)."""
    done: bool = False
    """Whether the format's own end marker came: `[DONE]`, or a terminal event of the responses API."""
    finish_reason: str | None = None
    """vLLM's words: stop, length, tool_calls, abort; those of the responses API are translated (`formats`)."""
    error: str | None = None
    """Message of an error event inside the stream."""
    api: Api | None = None
    """The API whose format the events have; None before the first of them."""
    comments: int = 0
    """Comment lines, which servers send to keep an idle connection alive."""
    unread: int = 0
    """Events and lines of the stream that are of no known format: clients ignore them, or fail."""
    first_unread: str = ""
    """The first of them, in one short line."""
    body: str = ""
    """Beginning of a body that is not an event stream."""
    sizes: Sequence[tuple[float, int]] = ()
    """Of every read: arrival in seconds, and bytes as they came, framing included, TLS removed."""
    broken: str = ""
    """What was wrong with the framing."""
    reset: str = ""
    """Why the HTTP/2 stream was reset (`RST_STREAM, internal error`); empty for a reset of the connection."""
    http_version: str = "HTTP/1.1"
    """`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`: of the response, else of the connection."""
    frames: int = 0
    """Chunk or DATA frames of the body, with or without tokens; 0 where there are none."""
    segments: int | None = None
    """TCP segments with data since the request, by the kernel's count (TCP_INFO); None where it has none."""
    late: Sequence[float] = ()
    """
    Of every read: seconds for which the probe had not looked at the connection before, 0 where it was in time. All but
    the read's last segment may have come as much earlier; empty where it is not known.
    """

    @property
    def status(self) -> int | None:
        """HTTP status."""
        return self.head.status if self.head else None

    @property
    def is_event_stream(self) -> bool:
        """Whether the response is an event stream: by its content type, or since its body has the events of an API."""
        return self.head is not None and (self.head.is_event_stream or self.api is not None or self.done)

    @property
    def has_content_length(self) -> bool:
        """Whether the response has a Content-Length: without chunks beside it, a stream was buffered as a whole."""
        return self.head is not None and self.head.header("content-length") is not None

    @property
    def is_chunked(self) -> bool:
        """Whether the body came in chunk or DATA frames, so that a cut can be distinguished from an end."""
        if self.head is None:
            return False
        chunks = "chunked" in (self.head.header("transfer-encoding") or "").lower()
        return chunks or self.head.version == "HTTP/2"

    @property
    def events(self) -> int:
        """N: token-bearing events."""
        return len(self.arrivals)

    @property
    def token_reads(self) -> int:
        """R: distinct reads that completed at least one token-bearing event."""
        return len({arrival.read for arrival in self.arrivals})

    @property
    def token_frames(self) -> int:
        """F: distinct frames that completed at least one token-bearing event; 0 without frames."""
        return len({arrival.frame for arrival in self.arrivals if arrival.frame})

    @property
    def events_per_read(self) -> float:
        """N/R: bundling on the path (or by a late reader thread)."""
        return self.events / self.token_reads if self.arrivals else 0.0

    @property
    def events_per_burst(self) -> float:
        """
        Bundling as a person sees it: events that came within 5 ms of each other are one burst, in however many reads.
        """
        return self.events / (1 + sum(gap >= BURST_PAUSE for gap in self.gaps)) if self.arrivals else 0.0

    @property
    def merged(self) -> int | None:
        """
        Segments that shared a read, and so the stamp of the last of them, at least; None where the kernel counts none.

        The kernel joins what waits in its queue: a reader that is later than the next segment loses the earlier one's
        stamp, by at most its own lateness. A hop that sends several segments at once counts here as well, and so does
        the end of a response, so this limits how far the gaps can be trusted and is not evidence against a hop.
        """
        return None if self.segments is None else max(0, self.segments - self.reads)

    @property
    def ttft(self) -> float | None:
        """Seconds to the first token with text of any kind (answer, reasoning, tool call): what a user waits for."""
        return next((arrival.at for arrival in self.arrivals if arrival.has_text), None)

    @property
    def ttft_content(self) -> float | None:
        """Seconds to the first token of the answer itself; aiperf's TTFO. None if there was only reasoning."""
        return self._first("content")

    @property
    def ttft_reasoning(self) -> float | None:
        """Seconds to the first token of reasoning; None for a model that has none, or hides it."""
        return self._first("reasoning")

    @property
    def gaps(self) -> tuple[float, ...]:
        """Seconds between successive token-bearing events; events of one read are 0 apart."""
        times = [arrival.at for arrival in self.arrivals]
        return tuple(later - earlier for earlier, later in pairwise(times))

    @property
    def gap_p50(self) -> float | None:
        """Seconds; the nearest-rank median of the gaps. Zeros of bundled events count: 0 is a finding."""
        return quantile(self.gaps, 0.5)

    @property
    def gap_p95(self) -> float | None:
        """Seconds; nearest rank."""
        return quantile(self.gaps, 0.95)

    @property
    def gap_p99(self) -> float | None:
        """Seconds; the nearest-rank 99th percentile: with fewer than 100 gaps, the longest."""
        return quantile(self.gaps, 0.99)

    @property
    def gap_max(self) -> float | None:
        """Seconds; the longest gap, which `ChunkGapExceeded` refers to."""
        return max(self.gaps, default=None)

    @property
    def spread(self) -> float:
        """S, seconds: first to last token-bearing event."""
        return self.arrivals[-1].at - self.arrivals[0].at if self.arrivals else 0.0

    @property
    def tpot(self) -> float | None:
        """Seconds a token: S / (tokens - 1); None without usage or with one token."""
        return self.spread / (self.tokens - 1) if self.tokens and self.tokens > 1 and self.arrivals else None

    @property
    def tokens_per_event(self) -> float | None:
        """
        K: bundling by the engine (stream_interval, speculative decoding, overload); guidellm's output tokens per
        iteration. None without usage.
        """
        return self.tokens / self.events if self.tokens and self.events else None

    @property
    def of_text(self) -> Self:
        """
        The timeline of the text: without the events that carry none, unless each of these is a token by the server's
        own count, and without a beginning that carries little of it for most of the time.

        A tiny or multilingual model generates tokens without text; but servers also send empty deltas, single
        characters or the first token alone as signs of life, while they hold the rest back. The server's timing is of
        the whole, so it is left out where a beginning is.
        """
        texts = [arrival.characters for arrival in self.arrivals if arrival.has_text]
        counted = self.tokens is not None and abs(self.tokens - self.events) <= max(2, self.events // 10)
        held_back = bool(texts) and max(texts) > max(64, sum(texts) / 2)
        each_is_a_token = bool(texts) and counted and not held_back
        arrivals = self.arrivals if each_is_a_token else [one for one in self.arrivals if one.has_text]
        lead = _lead(arrivals, [1 if each_is_a_token else one.characters for one in arrivals])
        if not lead:
            return self if len(arrivals) == self.events else replace(self, arrivals=tuple(arrivals))
        return replace(self, arrivals=tuple(arrivals[lead:]), metrics=None)

    @property
    def silence(self) -> float:
        """
        Seconds without a byte before the end; what came with the end does not count.

        nginx with buffering on holds even the headers until the first event, and sends them when it times out.
        """
        early = (at for at, _ in self.sizes if at < self.ended_at - FINAL_READS)
        return self.ended_at - max(early, default=0.0)

    @property
    def reads(self) -> int:
        """All reads, with or without tokens."""
        return len(self.sizes)

    @property
    def bursts(self) -> tuple[Burst, ...]:
        """What arrived together; bursts of one size are a buffer that fills."""
        bursts: list[Burst] = []
        last = -math.inf
        for at, size in self.sizes:
            if at - last < BURST_PAUSE:
                bursts[-1] = replace(bursts[-1], size=bursts[-1].size + size)
            else:
                bursts.append(Burst(at, size))
            last = at
        return tuple(bursts)

    @property
    def inner_bursts(self) -> tuple[Burst, ...]:
        """The bursts that a full buffer makes: without the last one, and without the headers where there are enough."""
        return self.bursts[1:-1] if len(self.bursts) > 3 else self.bursts[:-1]

    @property
    def pacing(self) -> float | None:
        """
        r: spread / the server's own generation time. Both are durations, so no common clock is needed; 1 on a path that
        holds nothing back, 0 on one that buffers the whole response. None without metrics. No other tool has it.
        """
        generation = self.metrics.generation if self.metrics else 0.0
        return self.spread * 1000 / generation if generation > 0 else None

    def _first(self, kind: Kind) -> float | None:
        return next((arrival.at for arrival in self.arrivals if arrival.kind == kind), None)


def _lead(arrivals: Sequence[Arrival], weights: Sequence[int]) -> int:
    """
    How many arrivals come first in more than half of the time with at most `LEAD` of the weight, up to the longest
    pause; again of what is left, since signs of life come one after the other.
    """
    lead, before = 0, [0, *accumulate(weights)]
    allowed = LEAD * before[-1]
    while True:
        half = (arrivals[lead].at + arrivals[-1].at) / 2 if arrivals else 0.0
        later = [n for n in range(lead + 1, len(arrivals)) if before[n] <= allowed and arrivals[n].at > half]
        if not later:
            return lead
        lead = max(later, key=lambda n: arrivals[n].at - arrivals[n - 1].at)


def quantile(values: tuple[float, ...], share: float) -> float | None:
    """The nearest-rank quantile; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
