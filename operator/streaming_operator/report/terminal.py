"""
A report as text: verdict, evidence, remedy, then one line a hop with its arrivals.

Colours only where the output is a terminal; characters that it cannot show are replaced.
"""

from collections.abc import Iterable, Sequence
from typing import IO, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streaming_operator.report.exit_codes import INCONCLUSIVE, STREAMING, exit_code
from streaming_operator.report.model import Arrival, Child, HopReport, RemarkReport, Report

WIDTH = 118
"""Columns where the output is not a terminal."""
STRIP = 32
"""Characters of a strip of arrivals, where the terminal is wide enough."""
NUMBERS = 84
"""Columns that the rest of the table takes."""
NARROWEST = 100
BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " .::==##@"


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave the error to the caller: rich would end the process with exit code 1, which means "not streaming"."""
        raise


def write(reports: Sequence[Report], out: IO[str]) -> None:
    """Print one report, or several with one table of all; raises OSError where it cannot be written."""
    console = _Console(file=out, highlight=False, soft_wrap=True, emoji=False, markup=False)
    columns = console.width if console.is_terminal else WIDTH
    console.width = max(columns, NARROWEST)  # a table that is too narrow loses numbers; a terminal wraps
    width = min(STRIP, max(console.width - NUMBERS, NARROWEST - NUMBERS))
    plain = not _shows(out, BARS)
    if len(reports) > 1:
        console.width += max(len(report.subject) for report in reports)
    for part in _parts(reports[0], plain, width) if len(reports) == 1 else _several(reports, plain, width):
        console.print(part)


def _parts(report: Report, plain: bool, width: int) -> Iterable[Text | Table | str]:
    yield from _said(report)
    if report.model is not None:
        yield Text(f"Model: {report.model} ({report.api}) of {report.subject}", style="dim")
    hops = report.decisive.hops
    if any(hop.arrivals for hop in hops):
        yield ""
        yield _hops([(hop.hop, hop) for hop in hops], plain, width)
    for note, names in notes(hops):
        yield Text(f" {names}: {note}", style="dim")
    if report.children:
        yield ""
        yield _children(report.children)


def _several(reports: Sequence[Report], plain: bool, width: int) -> Iterable[Text | Table | str]:
    """One table with a line for each URL, then what is to be said of each."""
    rows = [(report.subject, hop) for report in reports for hop in report.decisive.hops[:1]]
    if any(hop.arrivals for _, hop in rows):
        yield _hops(rows, plain, width, first="URL")
    for report in reports:
        yield ""
        yield Text(
            f"{report.subject}, model {report.model}" if report.model else report.subject, style="bold"
        )
        yield from _said(report)


def _said(report: Report) -> Iterable[Text | str]:
    for warning in report.warnings:
        yield Text.assemble(("WARNING", "bold red"), f": {warning}")
    yield Text.assemble((report.verdict, f"bold {colour(report.verdict)}"), f": {_sentence(report)}")
    if report.remedy:
        yield Text.assemble(("Remedy", "bold"), f": {report.remedy}")
    if len(report.runs) > 1:
        counted = ", ".join(f"{count} {verdict}" for verdict, count in report.distribution.items())
        yield f"{len(report.runs)} runs: {counted}; the worst, run {report.decided_by + 1}, is shown"
    hops = report.decisive.hops
    for remark, names in remarks(hops):
        where = f" ({names})" if len(hops) > 1 else ""
        yield Text.assemble(("Remark", "bold"), f"{where}: {remark.observed}; {remark.advice}")


def _sentence(report: Report) -> str:
    """The evidence, with the hop where there is more than one."""
    hops = report.decisive.hops
    with_hop = len(hops) > 1 and report.exit_code != STREAMING
    evidence = f"{report.hop}: {report.evidence}" if with_hop else report.evidence
    proxy = report.fingerprint if report.exit_code != STREAMING else ""
    return f"{evidence} (it looks like {proxy})" if proxy else evidence


def _hops(hops: Sequence[tuple[str, HopReport]], plain: bool, width: int, *, first: str = "hop") -> Table:
    """A line for each hop, with its name."""
    until = max((hop.total_milliseconds or 0.0 for _, hop in hops), default=0.0)
    table = Table(box=None, pad_edge=True, header_style="bold", expand=False)
    table.add_column(first, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in ("TTFT", "gap p50", "p95", "max", "tokens", "reads", "pacing"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"0 to {until / 1000:.2f} s", no_wrap=True)
    for name, hop in hops:
        table.add_row(
            name,
            Text(hop.verdict, style=colour(hop.verdict)),
            *(
                milliseconds(value)
                for value in (
                    hop.ttft_milliseconds,
                    hop.p50_gap_milliseconds,
                    hop.p95_gap_milliseconds,
                    hop.max_gap_milliseconds,
                )
            ),
            str(hop.tokens if hop.tokens is not None else hop.events),
            str(hop.reads),
            "-" if hop.pacing is None else f"{hop.pacing:.2f}",
            strip(hop.arrivals, until, plain=plain, width=width),
        )
    return table


def _children(children: Sequence[Child]) -> Table:
    table = Table(box=None, pad_edge=True, header_style="bold", expand=False)
    table.add_column("object", no_wrap=True)
    table.add_column("state")
    for child in children:
        style = "" if child.healthy else "red"
        state = f"{child.state}: {child.detail}" if child.detail else child.state
        table.add_row(f"{child.kind}/{child.name}", Text(state, style=style))
    return table


def notes(hops: Sequence[HopReport]) -> tuple[tuple[str, str], ...]:
    """Each note once, with the hops that have it."""
    distinct = dict.fromkeys(hop.note for hop in hops if hop.note)
    return tuple((note, ", ".join(hop.hop for hop in hops if hop.note == note)) for note in distinct)


def remarks(hops: Sequence[HopReport]) -> tuple[tuple[RemarkReport, str], ...]:
    """Each remark once, with the hops that have it."""
    distinct = dict.fromkeys(remark for hop in hops for remark in hop.remarks)
    return tuple((remark, ", ".join(hop.hop for hop in hops if remark in hop.remarks)) for remark in distinct)


def strip(arrivals: Sequence[Arrival], until: float, *, plain: bool = False, width: int = STRIP) -> str:
    """Tokens over time: one bar a time slot, its height the slot's share of the most; `until` is in milliseconds."""
    slots = [0] * width
    for arrival in arrivals:
        at = min(int(arrival.milliseconds / until * width), width - 1) if until > 0 else 0
        slots[max(at, 0)] += arrival.tokens
    most, bars = max(slots), PLAIN_BARS if plain else BARS
    height = len(bars) - 1
    drawn = "".join(bars[-(-count * height // most)] if most else bars[0] for count in slots)
    return f"|{drawn}|" if plain else f"▕{drawn}▏"


def milliseconds(value: float | None) -> str:
    """`31 ms`, `0.2 ms`, `1.4 s`; a dash for nothing."""
    if value is None:
        return "-"
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 10 or value == 0 else f"{value:.1f} ms"


def colour(verdict: str) -> str:
    """Green for streaming, yellow for inconclusive, else red."""
    code = exit_code(verdict)
    return "green" if code == STREAMING else "yellow" if code == INCONCLUSIVE else "red"


def _shows(out: IO[str], characters: str) -> bool:
    try:
        characters.encode(getattr(out, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
