"""
Whether a response was stored and then sent, although it did not arrive at one moment: a path spreads a block by itself.

TCP sends ten segments first and twice as many after each round trip (RFC 6928, RFC 5681), and a slow link takes time
for every byte: a block of 1,024 tokens arrives over a second on a long path. So arrivals prove that text was sent
while it was generated only where they took longer than a block would have (`may_be_a_block`). Else the number of
tokens decides: whoever stores waits for the last token, so the first one comes later the more tokens are asked for
(`waits_for_the_end`); whoever streams does not (`waits_for_nothing`). Pure.
"""

import math
from collections.abc import Sequence

from streaming_operator.probe.stream.timeline import Timeline

ROUND_TRIP = 0.3
"""
Seconds of a long round trip. That of the connection says nothing of the hops behind it: a CDN passes on what comes
over a long path as it comes.
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


def block_seconds(size: int) -> float:
    """
    Seconds over which a block of *size* bytes arrives on a long, slow path: slow start and the link's own rate.

    A sender that paces (BBR, fq) spreads each flight over its round trip, the last one too.
    """
    flights = math.ceil(math.log2(size / FIRST_FLIGHT + 1))
    return flights * ROUND_TRIP + size / SLOWEST


def may_be_a_block(t: Timeline) -> bool:
    """Whether a stored block could have arrived like this on some path."""
    pauses = sorted(t.gaps, reverse=True)[:LONGEST]
    steady = sum(pauses) <= t.spread / 2
    return not steady or t.spread <= MARGIN * block_seconds(sum(size for _, size in t.sizes))


def held_for(t: Timeline) -> float | None:
    """
    Seconds between the first token at the server, by its own clock, and here; None where it does not tell.

    Of a stored response at least the whole generation, else the path's latency.
    """
    if t.metrics is None or t.metrics.first_token is None or t.ttft is None:
        return None
    return t.ttft - ((t.metrics.queue or 0.0) + t.metrics.first_token) / 1000


def waits_for_nothing(t: Timeline, earlier: Sequence[Timeline]) -> bool:
    """Whether more tokens took longer, but the first of them did not."""
    before = _fewer(t, earlier)[-1:]
    return any(
        t.spread - other.spread >= CHANGED and abs(_share(other, t)) <= FLAT
        for other in before
        if other.ttft is not None
    )


def waits_for_the_end(t: Timeline, earlier: Sequence[Timeline], *, capped: bool) -> bool:
    """
    Whether the first token came later in proportion to the number of tokens, over `SERIES` numbers of them.

    A queue delays first tokens too, but not on a straight line.
    """
    fewer = _fewer(t, earlier)
    if len(fewer) + 1 < (SERIES - 1 if capped else SERIES):
        return False
    first, delay = fewer[0], _ttft(t) - _ttft(fewer[0])
    slope = delay / (_count(t) - _count(first))
    straight = all(
        abs(_ttft(first) + slope * (_count(one) - _count(first)) - _ttft(one)) <= CROOKED * delay
        for one in fewer[1:]
    )
    explained = slope * _count(t) >= _ttft(t) / 2
    return delay >= VISIBLE and straight and explained and _share(first, t) >= STORED


def growth(t: Timeline, earlier: Sequence[Timeline]) -> str:
    """The times to the first token by number of tokens, in words."""
    series = (*_fewer(t, earlier), t)
    return ", ".join(f"{_ttft(one):.2f} s for {_count(one)}" for one in series)


def in_one_event(t: Timeline) -> bool:
    """Whether so much text came in one event, after so long a wait, that nobody can have streamed it."""
    tokens = t.tokens or sum(arrival.characters for arrival in t.arrivals) // 4
    return t.events == 1 and tokens >= WHOLE and _ttft(t) >= WAITED


def _fewer(t: Timeline, earlier: Sequence[Timeline]) -> list[Timeline]:
    """The latest complete stream of each smaller number of tokens, at most half of the next larger one."""
    chosen: list[Timeline] = []
    limit = _count(t) / 2
    for one in sorted(earlier, key=_count, reverse=True):
        if one.done and one.ttft is not None and 0 < _count(one) <= limit * 1.05:
            chosen.insert(0, one)
            limit = _count(one) / 2
    return chosen


def _share(one: Timeline, other: Timeline) -> float:
    """The part of the additional time that passed before the first token."""
    waited = _ttft(other) - _ttft(one)
    total = waited + other.spread - one.spread
    return waited / total if total > 0 else math.inf


def _count(t: Timeline) -> int:
    return t.tokens or t.events


def _ttft(t: Timeline) -> float:
    return t.ttft or 0.0
