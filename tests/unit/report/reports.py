"""Reports made of written-out answers, for the tests of how they are printed."""

from dataclasses import replace
from datetime import UTC, datetime

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.report import Child, Report, Subject, of_results
from streaming_operator.values import HopResult, ProbeResult, Remark
from tests.unit.probe.streams import healthy, paced

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SUBJECT = Subject("http://llm.example/v1", "streamctl 1", AT, "tiny", names={Hop.EXPOSURE: "URL"})
FINE = healthy(paced(64, 0.01), generation=630.0)
STORED = healthy([0.73] * 64, generation=630.0)


def result(
    verdict: Verdict,
    timeline: Timeline | None = FINE,
    *,
    message: str = "",
    inner: Timeline | None = None,
    proxy: str = "",
    remarks: tuple[Remark, ...] = (),
) -> ProbeResult:
    """One verification of a URL, with a hop behind it where *inner* is given."""
    text = message or f"{verdict} it is. Remedy: do something"
    hops = [replace(_hop(Hop.EXPOSURE, verdict, timeline, proxy), remarks=remarks)]
    if inner is not None:
        hops.append(_hop(Hop.POD, Verdict.STREAMING, inner))
    return ProbeResult(verdict, Hop.EXPOSURE, text, tuple(hops), "", "", frozenset(), AT)


def report(*results: ProbeResult, children: tuple[Child, ...] = ()) -> Report:
    """All of them in one."""
    return of_results(SUBJECT, results, children)


def _hop(hop: Hop, verdict: Verdict, timeline: Timeline | None, proxy: str = "") -> HopResult:
    return HopResult(
        hop, "http://10.0.0.1:80", verdict, f"{verdict} it is", fingerprint=proxy, timeline=timeline
    )
