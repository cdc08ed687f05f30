"""
What the verifications of one endpoint add up to, and its form in `status.verification`, written and read back.

Pure. How results are folded into it, and when the next one is due, is `controller/schedule.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streaming_operator.api.reasons import STREAMS, ConditionType, Hop, Reason, Verdict
from streaming_operator.status.times import parsed, timestamp
from streaming_operator.values import HopResult, Observed

LEGACY_FAILURES = 1_000_000
"""Failures of a status without a count (version 0.1.0) that says `VerificationFailing`: past every threshold."""


@dataclass(frozen=True, slots=True)
class VerificationState:
    """The verdict that holds now, for one pod template and one route."""

    verdict: Verdict | None = None
    """None until a verification of what runs now came to an end."""
    hop: Hop | None = None
    message: str = ""
    hops: tuple[HopResult, ...] = ()
    pod_template_hash: str = ""
    route_hash: str = ""
    last_time: datetime | None = None
    """Wall time of the last verification."""
    failures: int = 0
    """Failures in a row since the last stream that came through."""
    settling: bool = False
    """The last answer came too soon after a change of route or pods to mean anything."""

    @property
    def streams(self) -> bool:
        """Whether the verdict that holds says that tokens stream."""
        return self.verdict in STREAMS

    def is_about(self, observed: Observed) -> bool:
        """Whether the verdict is about the pod template and the route that exist now."""
        return (
            self.pod_template_hash == (observed.pod_template_hash or "")
            and self.route_hash == observed.route_hash
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a verification that somebody asked for."""

    request: str
    """What was asked, as `api.endpoint.verification_request` reads it."""
    verdict: Verdict
    hop: Hop
    message: str

    def written(self) -> dict[str, Any]:
        """`status.requestedVerification`."""
        return {
            "request": self.request,
            "verdict": str(self.verdict),
            "hop": str(self.hop),
            "message": self.message,
        }


def recall_answer(status: Mapping[str, Any]) -> Answer | None:
    """Read the answer back from a status; None where there is none that can be understood."""
    noted = status.get("requestedVerification") or {}
    try:
        return Answer(
            noted["request"], Verdict(noted["verdict"]), Hop(noted["hop"]), noted.get("message", "")
        )
    except (KeyError, ValueError):
        return None


def written(state: VerificationState, threshold: int) -> dict[str, Any]:
    """
    `status.verification` of a state.

    Failures are counted up to the endpoint's *threshold*: more of them change no condition, and would cost a
    write each.
    """
    failures = min(state.failures, threshold)
    return {
        "verdict": str(state.verdict),
        "hop": str(state.hop),
        "message": state.message,
        "podTemplateHash": state.pod_template_hash,
        "routeHash": state.route_hash,
        **({"failures": failures} if failures else {}),
        **({"lastTime": timestamp(state.last_time)} if state.last_time else {}),
        "hops": [_written_hop(hop) for hop in state.hops[:8]],
    }


def recall(status: Mapping[str, Any]) -> VerificationState:
    """Read the state back from a status; one that cannot be understood is verified again."""
    noted = status.get("verification") or {}
    last_time = parsed(noted.get("lastTime"))
    if not noted.get("verdict") or last_time is None:
        return VerificationState()
    try:
        verdict, hop = Verdict(noted["verdict"]), Hop(noted["hop"])
    except (KeyError, ValueError):  # written by another version
        return VerificationState()
    return VerificationState(
        verdict=verdict,
        hop=hop,
        message=noted.get("message", ""),
        hops=tuple(result for result in map(_recalled_hop, noted.get("hops") or ()) if result),
        pod_template_hash=noted.get("podTemplateHash", ""),
        route_hash=noted.get("routeHash", ""),
        last_time=last_time,
        failures=_failures(noted, verdict, status),
    )


def _failures(noted: Mapping[str, Any], verdict: Verdict, status: Mapping[str, Any]) -> int:
    """The count of failures; version 0.1.0 wrote none, and `Stalled` says whether it was past the threshold."""
    if "failures" in noted or verdict in STREAMS:
        return int(noted.get("failures") or 0)
    stalled = any(
        condition.get("type") == ConditionType.STALLED
        and condition.get("reason") == Reason.VERIFICATION_FAILING
        for condition in status.get("conditions") or ()
    )
    return LEGACY_FAILURES if stalled else 1


def _written_hop(result: HopResult) -> dict[str, Any]:
    """One entry of `status.verification.hops`; whole numbers only."""
    entry = {
        "name": str(result.hop),
        "address": result.address,
        "protocol": result.protocol,
        "verdict": str(result.verdict),
        "message": result.message,
        "ttftMilliseconds": result.ttft_milliseconds,
        "p95GapMilliseconds": result.p95_gap_milliseconds,
        "maxGapMilliseconds": result.max_gap_milliseconds,
        "events": result.events,
        "reads": result.reads,
        "tokens": result.tokens,
        "pacingPercent": result.pacing_percent,
        "done": result.done,
        "finishReason": result.finish_reason,
    }
    return {key: value for key, value in entry.items() if value is not None}


def _recalled_hop(noted: Mapping[str, Any]) -> HopResult | None:
    """Read one hop back; None where it was written by another version."""
    try:
        return HopResult(
            hop=Hop(noted["name"]),
            address=noted.get("address", ""),
            verdict=Verdict(noted["verdict"]),
            message=noted.get("message", ""),
            protocol=noted.get("protocol", "HTTP/1.1"),
            ttft_milliseconds=noted.get("ttftMilliseconds"),
            p95_gap_milliseconds=noted.get("p95GapMilliseconds"),
            max_gap_milliseconds=noted.get("maxGapMilliseconds"),
            events=noted.get("events", 0),
            reads=noted.get("reads", 0),
            tokens=noted.get("tokens"),
            pacing_percent=noted.get("pacingPercent"),
            done=noted.get("done", False),
            finish_reason=noted.get("finishReason"),
        )
    except (KeyError, ValueError):
        return None
