"""
Reports in one line each, and what many of them come to: the form of `--watch`. Pure.
"""

from collections import Counter
from statistics import median

from streaming_operator.report.exit_codes import STREAMING
from streaming_operator.report.model import Report
from streaming_operator.report.terminal import milliseconds


def line(report: Report, *, with_subject: bool) -> str:
    """Time, verdict and numbers; the evidence where it does not stream."""
    at = (report.decisive.ended_at or report.started_at).astimezone()
    parts = [f"{at:%H:%M:%S}", *([report.subject] if with_subject else []), f"{report.verdict:<12}"]
    hop = next(iter(report.decisive.hops), None)
    if hop is not None and hop.ttft_milliseconds is not None:
        parts += [
            f"TTFT {milliseconds(hop.ttft_milliseconds)}",
            f"gap p95 {milliseconds(hop.p95_gap_milliseconds)}",
            f"max {milliseconds(hop.max_gap_milliseconds)}",
            f"{hop.tokens if hop.tokens is not None else hop.events} tokens",
        ]
    if report.exit_code != STREAMING:
        parts.append(report.evidence)
    if report.warnings:
        parts.append("CERTIFICATE NOT CHECKED")
    return "  ".join(parts)


class Tally:
    """What is kept of any number of probes: counts and times to the first token."""

    def __init__(self) -> None:
        self.codes: Counter[int] = Counter()
        self._verdicts: dict[str, Counter[str]] = {}
        self._ttfts: dict[str, list[float]] = {}

    def add(self, report: Report) -> None:
        """One more probe."""
        self.codes[report.exit_code] += 1
        self._verdicts.setdefault(report.subject, Counter())[report.verdict] += 1
        hop = next(iter(report.decisive.hops), None)
        if hop is not None and hop.ttft_milliseconds is not None:
            self._ttfts.setdefault(report.subject, []).append(hop.ttft_milliseconds)

    def summary(self) -> list[str]:
        """A line for each URL."""
        return [self._of(subject, verdicts) for subject, verdicts in self._verdicts.items()]

    def _of(self, subject: str, verdicts: Counter[str]) -> str:
        counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        number = verdicts.total()
        text = f"{subject}: {number} probe{'s' if number > 1 else ''}: {counted}"
        if times := self._ttfts.get(subject):
            text += f"; TTFT median {milliseconds(median(times))}, longest {milliseconds(max(times))}"
        return text
