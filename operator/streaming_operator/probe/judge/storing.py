"""
Whether a response was stored and then sent, although it did not arrive at one moment: a path spreads a block by itself.

TCP sends ten segments first and twice as many after each round trip (RFC 6928, RFC 5681), and a slow link takes time
for every byte: a block of 1,024 tokens arrives over a second on a long path. So arrivals prove that text was sent
while it was generated only where they took longer than a block would have (`may_be_a_block`). Else the number of
tokens decides: a hop that stores waits for the last token, so the first one comes later the more tokens are asked for
(`waits_for_the_end`); a hop that streams does not (`waits_for_nothing`). Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
FLAT, STORED = 0.25, 0.5
"""Share of the additional time before the first token: up to FLAT the response streams, from STORED on it is stored."""
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
    spread: float


def measured(t: Timeline) -> Measured | None:
    """None for a stream that nothing can be compared with: it is not complete, or the probe came late to it."""
    text = t.of_text
    if not t.done or text.ttft is None or not begins_in_time(t):
        return None
    return _measured(text)


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
    """Whether more tokens took longer, but the first of them did not."""
    here = _measured(t)
    before = _fewer(here, earlier)[-1:]
    return any(here.spread - one.spread >= CHANGED and abs(_share(one, here)) <= FLAT for one in before)


def waits_for_the_end(t: Timeline, earlier: Sequence[Measured], *, capped: bool) -> bool:
    """
    Whether the first token came later in proportion to the number of tokens, over `SERIES` numbers of them.

    A queue delays first tokens too, but not on a straight line.
    """
    here = _measured(t)
    fewer = _fewer(here, earlier)
    if len(fewer) + 1 < (SERIES - 1 if capped else SERIES):
        return False
    first, delay = fewer[0], here.ttft - fewer[0].ttft
    slope = delay / (here.tokens - first.tokens)
    straight = all(
        abs(first.ttft + slope * (one.tokens - first.tokens) - one.ttft) <= CROOKED * delay
        for one in fewer[1:]
    )
    explained = slope * here.tokens >= here.ttft / 2
    return delay >= VISIBLE and straight and explained and _share(first, here) >= STORED


def growth(t: Timeline, earlier: Sequence[Measured]) -> str:
    """The times to the first token by number of tokens, in words."""
    here = _measured(t)
    series = (*_fewer(here, earlier), here)
    return ", ".join(f"{one.ttft:.2f} s for {one.tokens}" for one in series)


def in_one_event(t: Timeline) -> bool:
    """Whether so much text came in one event, after so long a wait, that nobody can have streamed it."""
    tokens = t.tokens or sum(arrival.characters for arrival in t.arrivals) // 4
    return t.events == 1 and tokens >= WHOLE and (t.ttft or 0.0) >= WAITED


def _measured(t: Timeline) -> Measured:
    return Measured(t.tokens or t.events, t.ttft or 0.0, t.spread)


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
