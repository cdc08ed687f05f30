"""
From the results of the probe to a report. Pure.

The hop names of the probe (Pod, Service, Exposure) mean nothing to somebody who probes a plain URL: a `Subject` holds
the names that the report uses.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.report.exit_codes import exit_code, severity
from streaming_operator.report.model import Arrival, Child, HopReport, RemarkReport, Report, Run
from streaming_operator.values import HopResult, ProbeResult

REMEDY = ". Remedy: "


@dataclass(frozen=True, slots=True)
class Subject:
    """What the report is about."""

    shown: str
    """URL without its query, or namespace/name."""
    tool: str
    started_at: datetime
    model: str | None = None
    api: str = "chat"
    names: Mapping[Hop, str] = field(default_factory=dict)
    """Names of hops in the report; their own where there is none."""
    warnings: tuple[str, ...] = ()
    """What makes the whole report less certain."""
    notes: Mapping[Hop, str] = field(default_factory=dict)
    """What a reader must know about a hop's numbers."""
    places: Mapping[Hop, str] = field(default_factory=dict)
    """Where a hop is, if the address that was connected to only forwards to it."""

    def name(self, hop: Hop) -> str:
        """The hop's name in the report."""
        return self.names.get(hop, str(hop))


def of_results(subject: Subject, results: Sequence[ProbeResult], children: tuple[Child, ...] = ()) -> Report:
    """A report of one or more verifications; the worst decides."""
    return of_runs(subject, [_run(subject, result) for result in results], children)


def without_stream(
    subject: Subject, verdict: str, hop: str, evidence: str, remedy: str, children: tuple[Child, ...] = ()
) -> Report:
    """A report where no stream was started."""
    run = Run(verdict=verdict, hop=hop, evidence=evidence, remedy=remedy, ended_at=subject.started_at)
    return of_runs(subject, [run], children)


def of_runs(subject: Subject, runs: Sequence[Run], children: tuple[Child, ...] = ()) -> Report:
    """The worst run decides; among equals the most frequent verdict, and of that the first."""
    counted = Counter(run.verdict for run in runs)
    index = max(range(len(runs)), key=lambda at: (severity(runs[at].verdict), counted[runs[at].verdict], -at))
    decisive = runs[index]
    return Report(
        tool=subject.tool,
        subject=subject.shown,
        model=subject.model,
        api=subject.api,
        verdict=decisive.verdict,
        exit_code=exit_code(decisive.verdict),
        hop=decisive.hop,
        evidence=decisive.evidence,
        remedy=decisive.remedy,
        fingerprint=decisive.fingerprint,
        started_at=subject.started_at,
        distribution=dict(counted.most_common()),
        warnings=subject.warnings,
        decided_by=index,
        runs=tuple(runs),
        children=children,
    )


def _run(subject: Subject, result: ProbeResult) -> Run:
    evidence, _, remedy = result.message.partition(REMEDY)
    evidence = evidence.removeprefix(f"{result.hop}: ")
    note = subject.notes.get(result.hop, "")
    blames_inner_hop = bool(result.hops) and result.hops[0].hop is not result.hop
    return Run(
        verdict=result.verdict,
        hop=subject.name(result.hop),
        evidence=f"{evidence} ({note})" if note and blames_inner_hop else evidence,
        remedy=remedy,
        fingerprint=next((hop.fingerprint for hop in result.hops if hop.hop is result.hop), ""),
        ended_at=result.at,
        hops=tuple(_hop(subject, hop) for hop in sorted(result.hops, key=_outermost_first)),
    )


def _outermost_first(hop: HopResult) -> int:
    """Sort key: the outermost hop judges and comes first."""
    return -list(Hop).index(hop.hop)


def _hop(subject: Subject, hop: HopResult) -> HopReport:
    judged: dict[str, Any] = {
        "hop": subject.name(hop.hop),
        "address": subject.places.get(hop.hop, hop.address),
        "verdict": hop.verdict,
        "evidence": hop.message,
        "fingerprint": hop.fingerprint,
        "note": subject.notes.get(hop.hop, ""),
        "remarks": tuple(
            RemarkReport(name=remark.name, observed=remark.observed, advice=remark.advice)
            for remark in hop.remarks
        ),
    }
    t = hop.timeline
    if not isinstance(t, Timeline):
        return HopReport(**judged)
    measured = {
        "protocol": t.http_version,
        "clock": t.clock,
        "ttft_milliseconds": _ms(t.ttft),
        "ttft_content_milliseconds": _ms(t.ttft_content),
        "ttft_reasoning_milliseconds": _ms(t.ttft_reasoning),
        "p50_gap_milliseconds": _ms(t.gap_p50),
        "p95_gap_milliseconds": _ms(t.gap_p95),
        "p99_gap_milliseconds": _ms(t.gap_p99),
        "max_gap_milliseconds": _ms(t.gap_max),
        "spread_milliseconds": _ms(t.spread) if t.arrivals else None,
        "tokens_per_event": _ratio(t.tokens_per_event),
        "events_per_read": _ratio(t.events_per_read) if t.arrivals else None,
        "total_milliseconds": _ms(t.ended_at),
        "generation_milliseconds": t.metrics.generation if t.metrics else None,
        "made_after_milliseconds": _made_after(t),
        "pacing": _ratio(t.pacing),
        "events": t.events,
        "reads": t.token_reads,
        "tokens": t.tokens,
        "done": t.done,
        "finish_reason": t.finish_reason,
        "arrivals": arrivals(t),
    }
    return HopReport(**judged, **measured)


def arrivals(t: Timeline) -> tuple[Arrival, ...]:
    """Every read with the token-bearing events that it completed."""
    completed = Counter(arrival.read for arrival in t.arrivals)
    return tuple(
        Arrival(milliseconds=round(at * 1000, 3), bytes=size, tokens=completed[number])
        for number, (at, size) in enumerate(t.sizes, start=1)
    )


def _made_after(t: Timeline) -> float | None:
    if t.metrics is None or t.metrics.first_token is None:
        return None
    return round((t.metrics.queue or 0.0) + t.metrics.first_token, 3)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _ratio(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
