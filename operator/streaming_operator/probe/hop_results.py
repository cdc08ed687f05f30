"""What a result says of one hop: the numbers of the stream that its verdict is about. Pure."""

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import HopResult


def hop_result(hop: Hop, address: str, finding: Finding, t: Timeline | None) -> HopResult:
    """The result of the hop at *address*; without numbers where no response came."""
    if t is None:
        return HopResult(
            hop,
            address,
            finding.verdict,
            finding.evidence,
            fingerprint=finding.fingerprint,
            remarks=finding.remarks,
        )
    return HopResult(
        hop,
        address,
        finding.verdict,
        finding.evidence,
        protocol=t.http_version,
        ttft_milliseconds=_milliseconds(t.ttft),
        p95_gap_milliseconds=_milliseconds(t.gap_p95),
        max_gap_milliseconds=_milliseconds(t.gap_max),
        events=t.events,
        reads=t.token_reads,
        tokens=t.tokens,
        pacing_percent=None if t.pacing is None else round(t.pacing * 100),
        done=t.done,
        finish_reason=t.finish_reason,
        fingerprint=finding.fingerprint,
        remarks=finding.remarks,
        timeline=t,
    )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
