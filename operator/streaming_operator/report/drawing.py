"""
The chart of one verification as numbers for a template: tokens over time, one panel a hop. Pure.

All panels share the time axis, so that a token delayed by a hop is to the right of the same token at the hop before.
The dashed line is when the server generated its tokens by its own clock (from the request on, so that the latency of
the path is not in it); the area between is their delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from streaming_operator.report.model import HopReport

WIDTH, HEIGHT = 820.0, 132.0
"""Size of a panel's plotted area, in units of the drawing."""
TICKS = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One hop, ready to be drawn; paths are SVG path data."""

    hop: HopReport
    steps: str
    """The staircase of tokens."""
    area: str
    """The area below it."""
    made: str
    """When the server generated them; empty where it gives no timing."""
    held: str
    """The area between the two."""
    reads: tuple[tuple[float, float], ...]
    """x and opacity (by size) of every read."""
    ttft: float | None
    end: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """All panels of a verification with their common axis."""

    panels: tuple[Panel, ...]
    ticks: tuple[Tick, ...]
    unit: str


def drawing(hops: Sequence[HopReport]) -> Drawing | None:
    """None where nothing arrived at any hop."""
    shown = [hop for hop in hops if hop.arrivals]
    if not shown:
        return None
    until = max(max(hop.arrivals[-1].milliseconds, _generated_until(hop)) for hop in shown) or 1.0
    scale = WIDTH / (until * 1.02)
    ticks, unit = _ticks(until, scale)
    return Drawing(tuple(_panel(hop, scale) for hop in shown), ticks, unit)


def _panel(hop: HopReport, scale: float) -> Panel:
    total = max(sum(arrival.tokens for arrival in hop.arrivals), 1)
    points, tokens = [(0.0, 0)], 0
    for arrival in hop.arrivals:
        if arrival.tokens:
            points += [(arrival.milliseconds, tokens), (arrival.milliseconds, tokens + arrival.tokens)]
            tokens += arrival.tokens
    end = hop.arrivals[-1].milliseconds
    points.append((end, tokens))
    placed = [(at * scale, HEIGHT * (1 - count / total)) for at, count in points]
    made = _made(hop, scale)
    largest = max(arrival.bytes for arrival in hop.arrivals) or 1
    return Panel(
        hop=hop,
        steps=_path(placed),
        area=f"{_path(placed)} V{HEIGHT:.1f} H0 Z",
        made=_path(made),
        held=f"{_path(made)} L{_path(placed[:0:-1])[1:]} Z" if made and tokens else "",
        reads=tuple(
            (round(arrival.milliseconds * scale, 1), round(0.35 + 0.65 * arrival.bytes / largest, 2))
            for arrival in hop.arrivals
            if arrival.bytes
        ),
        ttft=None if hop.ttft_milliseconds is None else round(hop.ttft_milliseconds * scale, 1),
        end=round(end * scale, 1),
    )


def _made(hop: HopReport, scale: float) -> list[tuple[float, float]]:
    if hop.generation_milliseconds is None or hop.made_after_milliseconds is None:
        return []
    begin = hop.made_after_milliseconds
    return [(begin * scale, HEIGHT), ((begin + hop.generation_milliseconds) * scale, 0.0)]


def _generated_until(hop: HopReport) -> float:
    return (hop.made_after_milliseconds or 0.0) + (hop.generation_milliseconds or 0.0)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def _ticks(until: float, scale: float) -> tuple[tuple[Tick, ...], str]:
    """Round numbers, about `TICKS` of them, and their unit."""
    unit, factor = ("s", 1000.0) if until >= 2000 else ("ms", 1.0)
    rough = until / factor / TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * by for by in (1, 2, 2.5, 5, 10) if power * by >= rough)
    count = ceil(until / factor / step)
    marks = (Tick(round(n * step * factor * scale, 1), f"{n * step:g}") for n in range(count + 1))
    return tuple(mark for mark in marks if mark.x <= WIDTH), unit
