"""
Whether a response was stored and then sent, although it did not arrive at one moment: a path spreads a block by itself.

TCP sends ten segments first and twice as many after each round trip (RFC 6928, RFC 5681), and a slow link takes time
for every byte: a block of 1,024 tokens arrives over a second on a long path. So arrivals prove that text was sent
while it was generated only where they took longer than a block would have (`may_be_a_block`). Else the number of
tokens decides: a hop that stores waits for the last token, so the first one comes later the more tokens are asked for
(`waits_for_the_end`); a hop that streams does not (`waits_for_nothing`). A very fast engine is waited for too briefly
to show that, so the segments must be small as well: a block fills them, tokens that were sent one by one do not. Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from streaming_operator.probe.judge.lateness import begins_in_time
from streaming_operator.probe.stream.timeline import Timeline

ROUND_TRIP = 0.3
"""
Seconds of a long round trip. That of the connection says nothing of the hops behind it: a CDN passes on what comes
over a long path as it comes. But nothing arrives from the hop that stores before a round trip to it: the time to the
first token bounds it as well.
"""
SLOWEST = 625_000.0
"""Bytes a second of a slow link: 5 Mbit/s."""
FIRST_FLIGHT = 14_600
"""Bytes that TCP sends before the first acknowledgement: ten segments of 1,460 bytes."""
MARGIN = 1.5
"""How much longer than a block's own time a stream must take."""
LONGEST = 3
"""Pauses that prove nothing: round trips in slow start, a retransmission."""
CHANGED = 0.15
"""Seconds by which the duration must differ for two streams to be compared."""
FASTEST = 0.0001
"""
Seconds a token of the fastest engine that is told from a hop that stores: 10,000 tokens a second. Whoever stores 1,024
of them holds the first one for 0.1 s, which nobody notices.
"""
SMALL = 1_000
"""Bytes of a segment, on average, that no block is sent in: the smallest packet that IPv6 allows a path holds 1,220."""
COMPARED = 2
"""Streams of fewer tokens that must agree that the first token does not wait: one may have been late by chance."""
STORED = 0.5
"""Share of the additional time before the first token from which on the response is stored."""
VISIBLE = 0.3
"""Seconds of additional waiting that are no noise."""
CROOKED = 0.1
"""Share of the whole delay by which a first token may be off the straight line."""
SERIES = 4
"""Numbers of tokens that prove a store; three where no more can be requested."""
WHOLE = 256
"""Tokens in one event that no engine makes in one step."""
WAITED = 1.0
"""Seconds without any text that people notice."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the next streams of a hop are compared with: all that is kept of this one. Seconds."""

    tokens: int
    ttft: float
    """To the first token of the text, without a beginning of little text (`Timeline.of_text`)."""
    spread: float
    begun: float
    """To the first text of any kind."""

    @property
    def from_the_beginning(self) -> "Measured":
        """The same with all of its beginning: over a long path the first flights of a block look like one."""
        return replace(self, ttft=self.begun, spread=self.ttft + self.spread - self.begun)


def measured(t: Timeline) -> Measured | None:
    """None for a stream that nothing can be compared with: it is not complete, or the probe came late to it."""
    if not t.done or t.ttft is None or not begins_in_time(t):
        return None
    return _measured(t)


def block_seconds(size: int, round_trip: float = ROUND_TRIP) -> float:
    """
    Seconds over which a block of *size* bytes arrives on a slow path of this length: slow start and the link's rate.

    A sender that paces (BBR, fq) spreads each flight over its round trip, the last one too.
    """
    flights = math.ceil(math.log2(size / FIRST_FLIGHT + 1))
    return flights * round_trip + size / SLOWEST


def may_be_a_block(t: Timeline) -> bool:
    """Whether a stored block could have arrived like this on some path."""
    pauses = sorted(t.gaps, reverse=True)[:LONGEST]
    steady = sum(pauses) <= t.spread / 2
    round_trip = min(ROUND_TRIP, ROUND_TRIP if t.ttft is None else t.ttft)
    return not steady or t.spread <= MARGIN * block_seconds(sum(size for _, size in t.sizes), round_trip)


def held_for(t: Timeline) -> float | None:
    """
    Seconds between the first token at the server, by its own clock, and here; None where it does not tell.

    Of a stored response at least the whole generation, else the path's latency.
    """
    if t.metrics is None or t.metrics.first_token is None or t.ttft is None:
        return None
    return t.ttft - ((t.metrics.queue or 0.0) + t.metrics.first_token) / 1000


def waits_for_nothing(t: Timeline, earlier: Sequence[Measured]) -> bool:
    """
    Whether more tokens took longer, but the first of them came no later than the fastest engine makes them, and nothing
    was sent as a block is.
    """
    here = _measured(t)
    before = _fewer(here, earlier)[-COMPARED:]
    longer = bool(before) and here.spread - before[-1].spread >= CHANGED
    at_once = all(abs(here.ttft - one.ttft) <= FASTEST * (here.tokens - one.tokens) for one in before)
    return longer and at_once and _in_small_segments(t)


def _in_small_segments(t: Timeline) -> bool:
    """Whether the response came in pieces that a block is not sent in; by the kernel's count, else by the reads."""
    return sum(size for _, size in t.sizes) <= SMALL * (t.segments or t.reads)


def waits_for_the_end(t: Timeline, earlier: Sequence[Measured], *, capped: bool) -> Sequence[Measured]:
    """
    The streams that show that the first token comes later in proportion to the number of tokens, over `SERIES` numbers
    of them; none where they do not. A queue delays first tokens too, but not on a straight line.
    """
    here = _measured(t)
    of_text = (*_fewer(here, earlier), here)
    of_all = [one.from_the_beginning for one in of_text]
    least = SERIES - 1 if capped else SERIES
    return next((series for series in (of_text, of_all) if len(series) >= least and _is_straight(series)), ())


def _is_straight(series: Sequence[Measured]) -> bool:
    first, last = series[0], series[-1]
    delay = last.ttft - first.ttft
    slope = delay / (last.tokens - first.tokens)
    straight = all(
        abs(first.ttft + slope * (one.tokens - first.tokens) - one.ttft) <= CROOKED * delay
        for one in series[1:-1]
    )
    explained = slope * last.tokens >= last.ttft / 2
    return delay >= VISIBLE and straight and explained and _share(first, last) >= STORED


def growth(series: Sequence[Measured]) -> str:
    """The times to the first token by number of tokens, in words."""
    return ", ".join(f"{one.ttft:.2f} s for {one.tokens}" for one in series)


def in_one_event(t: Timeline) -> bool:
    """Whether so much text came in one event, after so long a wait, that nobody can have streamed it."""
    tokens = t.tokens or sum(arrival.characters for arrival in t.arrivals) // 4
    return t.events == 1 and tokens >= WHOLE and (t.ttft or 0.0) >= WAITED


def _measured(t: Timeline) -> Measured:
    text, begun = t.of_text, t.ttft or 0.0
    return Measured(t.tokens or text.events, text.ttft or begun, text.spread, begun)


def _fewer(here: Measured, earlier: Sequence[Measured]) -> list[Measured]:
    """The latest stream of each smaller number of tokens, at most half of the next larger one."""
    chosen: list[Measured] = []
    limit = here.tokens / 2
    for one in sorted(earlier, key=lambda one: one.tokens, reverse=True):
        if 0 < one.tokens <= limit * 1.05:
            chosen.insert(0, one)
            limit = one.tokens / 2
    return chosen


def _share(one: Measured, other: Measured) -> float:
    """The part of the additional time that passed before the first token."""
    waited = other.ttft - one.ttft
    total = waited + other.spread - one.spread
    return waited / total if total > 0 else math.inf
