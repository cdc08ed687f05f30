"""
A report as metrics for Prometheus' textfile collector, such as for a cron job with alerts.

The file is written under another name and then renamed, so that a scrape never reads half of it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from streaming_operator.report.exit_codes import STREAMING
from streaming_operator.report.model import HopReport, Report

_OF_HOP: dict[str, tuple[str, Callable[[HopReport], float | None]]] = {
    "ttft_seconds": ("Time to the first token.", lambda hop: _seconds(hop.ttft_milliseconds)),
    "gap_p95_seconds": (
        "95 % of the pauses between tokens are shorter.",
        lambda hop: _seconds(hop.p95_gap_milliseconds),
    ),
    "gap_max_seconds": ("Longest pause between tokens.", lambda hop: _seconds(hop.max_gap_milliseconds)),
    "pacing_ratio": ("First to last token here / at the server: 1 streams.", lambda hop: hop.pacing),
}


def write(reports: Sequence[Report], path: Path) -> None:
    """Replace the file; raises OSError and then leaves the old one."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}

    def gauge(name: str, text: str, *more: str) -> Gauge:
        if name not in gauges:
            labels = ["subject", "model", *more]
            gauges[name] = Gauge(f"streamctl_probe_{name}", text, labels, registry=registry)
        return gauges[name]

    for report in reports:
        _measure(report, gauge)
    write_to_textfile(str(path), registry)


def _measure(report: Report, gauge: Callable[..., Gauge]) -> None:
    of = {"subject": report.subject, "model": report.model or ""}
    success = report.exit_code == STREAMING
    gauge("success", "1 if the worst run streamed.").labels(**of).set(success)
    gauge("warnings", "What makes the result less certain, such as an unchecked certificate.").labels(
        **of
    ).set(len(report.warnings))
    runs = gauge("runs", "Runs by verdict.", "verdict")
    for verdict, count in report.distribution.items():
        runs.labels(**of, verdict=verdict).set(count)
    at = report.decisive.ended_at or report.started_at
    gauge("timestamp_seconds", "When the deciding run ended.").labels(**of).set(at.timestamp())
    for name, (text, value) in _OF_HOP.items():
        measured = gauge(name, f"{text} Of the deciding run.", "hop")
        for hop in report.decisive.hops:
            if (seconds := value(hop)) is not None:
                measured.labels(**of, hop=hop.hop).set(seconds)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
