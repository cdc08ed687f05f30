"""Reported against captured: what a client said of its streams beside what the packets say of the same ones. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streaming_operator.probe.stream.timeline import Timeline, quantile
from tests.bench.packets import Exchange

AIM = 1.0
"""Milliseconds that the 99th percentile of an error may have."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How far a client was off, in milliseconds without sign, over all of its streams."""

    ttft: tuple[float, ...]
    gaps: tuple[float, ...]
    merged: float
    """Share of the events that the wire carried apart and that one read took together."""
    clocks: frozenset[str]

    @property
    def held(self) -> bool:
        """Whether the aim is met."""
        return all((at(errors, 0.99) or 0.0) <= AIM for errors in (self.ttft, self.gaps))


def at(values: Iterable[float], share: float) -> float:
    """The nearest-rank quantile; NaN of nothing."""
    value = quantile(tuple(values), share)
    return float("nan") if value is None else value


def by_nonce(
    recorded: Mapping[str, Timeline], exchanges: Iterable[Exchange]
) -> list[tuple[Timeline, Timeline]]:
    """Each stream as the client recorded it and as the wire had it; one without packets is an error."""
    wire = {exchange.nonce: exchange.timeline() for exchange in exchanges}
    return [(timeline, wire[nonce]) for nonce, timeline in recorded.items()]


def errors(pairs: Iterable[tuple[Timeline, Timeline]]) -> Errors:
    """Of whole streams; raises ValueError where the two sides do not hold the same events."""
    ttft: list[float] = []
    gaps: list[float] = []
    clocks = set()
    events = lost = 0
    for recorded, wire in pairs:
        if recorded.ttft is None or wire.ttft is None or recorded.events != wire.events:
            raise ValueError(f"a stream of {recorded.events} events has {wire.events} on the wire")
        ttft.append(abs(recorded.ttft - wire.ttft) * 1000)
        gaps += (abs(mine - theirs) * 1000 for mine, theirs in zip(recorded.gaps, wire.gaps, strict=True))
        clocks.add(recorded.clock)
        events += recorded.events
        lost += wire.token_reads - recorded.token_reads
    return Errors(tuple(ttft), tuple(gaps), lost / events if events else 0.0, frozenset(clocks))


def overlap(exchanges: Iterable[Exchange]) -> int:
    """The most streams that were under way at one moment, by the packets."""
    moments = []
    for exchange in exchanges:
        moments += [(exchange.sent_at, 1), (exchange.sent_at + exchange.timeline().ended_at, -1)]
    most = now = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most
