"""
How a stream may have come while the probe itself did not look. Pure.

What waits in a socket is joined and keeps the last segment's stamp, so a reader that is later than the gaps of a stream
sees the bursts of a hop that is not there. Where it was late, the tokens that it read together may have come one after
the other since it had looked before (`Timeline.late`): a fault that this explains is none.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.judge.finding import Finding, Needs
from streaming_operator.probe.stream.timeline import Arrival, Timeline

IN_TIME = 0.1
"""Share of a stream's spread for which the probe may have been late where others are compared with it."""


def is_in_time(t: Timeline) -> bool:
    """Whether other streams can be compared with it."""
    return lateness(t) <= IN_TIME * t.spread


def begins_in_time(t: Timeline) -> bool:
    """
    Whether its time to the first token and its duration can be compared: only the first token may have come earlier
    than the read that brought it with others; the last one of a read has a moment of its own.
    """
    first = next(((late, len(tokens)) for _, _, late, tokens in _reads(t) if tokens), None)
    return first is None or first[1] == 1 or first[0] <= IN_TIME * ((t.ttft or 0.0) + t.spread)


def lateness(t: Timeline) -> float:
    """Seconds in all by which tokens that were read together may have come earlier."""
    return sum(late for _, _, late, tokens in _reads(t) if len(tokens) > 1)


def spread_out(t: Timeline) -> Timeline:
    """The stream as it may have come: the tokens of every late read at even distances, since the last look."""
    arrivals: list[Arrival] = []
    sizes: list[tuple[float, int]] = []
    previous = 0.0
    for at, size, late, tokens in _reads(t):
        count = len(tokens) if late and len(tokens) > 1 else 1
        begin = max(previous, at - late)
        step = (at - begin) / (count if begin == previous and arrivals else max(count - 1, 1))
        times = [at - step * left for left in reversed(range(count))]
        for number, token in enumerate(tokens):
            place = number if count > 1 else 0
            arrivals.append(replace(token, at=times[place], read=len(sizes) + place + 1))
        sizes += [(time, size // count) for time in times]
        previous = at if tokens else previous
    return replace(t, arrivals=tuple(arrivals), sizes=tuple(sizes), late=())


def in_doubt(finding: Finding, t: Timeline, needs: Needs) -> Finding:
    """The finding where the probe's own lateness explains it; *needs* would help."""
    evidence = (
        f"the probe itself came up to {lateness(t):.2f} s late to this stream, so its timing is not judged: "
        f"{finding.evidence}"
    )
    return Finding(Verdict.INCONCLUSIVE, Symptom.UNCLEAR, evidence, needs)


def _reads(t: Timeline) -> Iterator[tuple[float, int, float, list[Arrival]]]:
    """Of every read: arrival, size, seconds it may have come late, and its tokens."""
    if t.merged == 0 or not any(t.late):  # every segment has a stamp of its own
        return
    tokens = defaultdict(list)
    for arrival in t.arrivals:
        tokens[arrival.read].append(arrival)
    for number, ((at, size), late) in enumerate(zip(t.sizes, t.late, strict=True), start=1):
        yield at, size, late, tokens[number]
