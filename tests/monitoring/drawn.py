"""Panels of a dashboard as an SVG file: Grafana's licence keeps it out of this project, and a page wants a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 420, 200, 58, 34, 52
COLUMNS = 2
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")

Points = Sequence[tuple[float, float]]
"""Seconds since the picture's begin, and the value then."""


@dataclass(frozen=True)
class Panel:
    """One panel."""

    title: str
    unit: str
    series: Mapping[str, Points]
    """By legend."""


def svg(panels: Sequence[Panel], seconds: float) -> str:
    """The panels in two columns, each from 0 to its own highest value, over the same *seconds*."""
    lines = -(-len(panels) // COLUMNS)
    places = [(number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT) for number in range(len(panels))]
    drawn = "".join(
        f'<g transform="translate({x},{y})">{_panel(panel, seconds)}</g>\n'
        for (x, y), panel in zip(places, panels, strict=True)
    )
    size = f'width="{COLUMNS * WIDTH}" height="{lines * HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11" fill="#333"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n<rect {size} fill="#fff"/>\n{drawn}</svg>\n'


def _panel(panel: Panel, seconds: float) -> str:
    highest = max((value for points in panel.series.values() for _, value in points), default=0.0) or 1.0
    right, base = WIDTH - 14, HEIGHT - BOTTOM
    across, up = right - LEFT, base - TOP

    def place(point: tuple[float, float]) -> str:
        return f"{LEFT + across * point[0] / seconds:.1f},{base - up * point[1] / highest:.1f}"

    parts = [
        f'<text x="{LEFT}" y="20" font-weight="bold">{escape(panel.title)}</text>',
        f'<path d="M{LEFT},{TOP}V{base}H{right}" fill="none" stroke="#999"/>',
        f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">{highest:.3g}{escape(panel.unit)}</text>',
        f'<text x="{LEFT - 6}" y="{base}" text-anchor="end">0</text>',
        f'<text x="{right}" y="{base + 14}" text-anchor="end">{seconds:.0f} s</text>',
    ]
    legend = LEFT
    for (name, points), colour in zip(sorted(panel.series.items()), COLOURS, strict=False):
        if points:
            path = "M" + "L".join(place(point) for point in points)
            parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{legend}" y="{base + 32}" fill="{colour}">{escape(name)}</text>')
        legend += 14 + 6 * len(name)
    return "\n".join(parts)
