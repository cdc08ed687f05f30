"""
What the verifications so far add up to: one failure is not an outage, one guess is not a verdict.

Pure. A `Standing` is folded from results (`after`), read back from a status after a restart (`recall`),
and asked when the next verification is due (`pause_until_due`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from streaming_operator.api.reasons import STREAMS, ConditionType, Hop, Reason, Verdict
from streaming_operator.values import HopResult, Observed, ProbeResult

FAILING_PAUSE = timedelta(seconds=10)
"""
Pause after a failure: steady while the verdict before still holds, doubled each time once it is lost, at most
the endpoint's interval (docs/architecture.md, "What Ready means").
"""

EDGE_SETTLES = timedelta(seconds=30)
"""A 404 or 503 this soon after route or pods changed says only that the edge has not heard of it yet."""

SETTLING_PAUSE = timedelta(seconds=2)

MAX_SKIPPED = 3
"""Intervals in a row that a full engine queue may cost; then it is asked all the same."""

UNSETTLED = frozenset({Verdict.ROUTE_NOT_FOUND, Verdict.UPSTREAM_ERROR})


@dataclass(frozen=True, slots=True)
class Standing:
    """The verdict that holds now, for one pod template and one route."""

    verdict: Verdict | None = None
    """None until a verification of what runs now came to an end."""
    hop: Hop | None = None
    message: str = ""
    hops: tuple[HopResult, ...] = ()
    pod_template_hash: str = ""
    route_hash: str = ""
    ready_pods: frozenset[str] | None = None
    last_time: datetime | None = None
    failures: int = 0
    """Failures in a row since the last stream that came through."""
    settling: bool = False
    """The last answer came too soon after a change to mean anything."""
    skipped: int = 0
    """Verifications in a row that were left out for a full engine queue."""
    skipped_at: datetime | None = None
    """When the last of them would have been."""

    @property
    def streams(self) -> bool:
        """Whether the verdict that holds says that tokens stream."""
        return self.verdict in STREAMS

    def speaks_of(self, observed: Observed) -> bool:
        """Whether the verdict is about the pod template and the route that exist now."""
        return (
            self.pod_template_hash == (observed.pod_template_hash or "")
            and self.route_hash == observed.route_hash
        )

    def is_routine(self, observed: Observed) -> bool:
        """Whether only the clock asks for the next verification, or a doubt about what streamed."""
        return self.streams and self.speaks_of(observed)

    def is_warm(self, observed: Observed) -> bool:
        """Whether just these pods have streamed: none of them still compiles its graphs."""
        same_pods = self.ready_pods is None or self.ready_pods == ready_pods(observed)
        return self.is_routine(observed) and same_pods

    def may_be_skipped(self, observed: Observed) -> bool:
        """Whether the next verification may be left out for a full queue: no doubt stands, nothing has changed."""
        return self.is_warm(observed) and self.failures == 0 and self.skipped < MAX_SKIPPED


def recall(status: Mapping[str, Any]) -> Standing:
    """Read the standing back from a status; the failure count is 0 or "past the threshold", as Stalled says."""
    noted = status.get("verification") or {}
    if not noted.get("verdict"):
        return Standing()
    stalled = any(
        c.get("type") == ConditionType.STALLED and c.get("reason") == Reason.VERIFICATION_FAILING
        for c in status.get("conditions") or ()
    )
    try:
        verdict, hop = Verdict(noted["verdict"]), Hop(noted["hop"])
        last_time = datetime.fromisoformat(noted["lastTime"])
    except (KeyError, ValueError):  # written by another version: verified again
        return Standing()
    return Standing(
        verdict=verdict,
        hop=hop,
        message=noted.get("message", ""),
        hops=tuple(hop for hop in map(_recall_hop, noted.get("hops") or ()) if hop),
        pod_template_hash=noted.get("podTemplateHash", ""),
        route_hash=noted.get("routeHash", ""),
        last_time=last_time,
        failures=0 if verdict in STREAMS else 1_000_000 if stalled else 1,
    )


def _recall_hop(noted: Mapping[str, Any]) -> HopResult | None:
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


def after(standing: Standing, result: ProbeResult, *, threshold: int, edge_changed: datetime) -> Standing:
    """
    Fold one result into the standing.

    A success counts at once. A first failure counts at once; after a success it takes *threshold* failures in
    a row. `Inconclusive` keeps what held before. *edge_changed* is when the route was written or the set of ready
    pods became another one, whichever came later.
    """
    same = (standing.pod_template_hash, standing.route_hash) == (result.pod_template_hash, result.route_hash)
    before = standing if same else Standing()
    if result.skipped:
        return replace(before, skipped=before.skipped + 1, skipped_at=result.at)
    noted = replace(
        before,
        pod_template_hash=result.pod_template_hash,
        route_hash=result.route_hash,
        ready_pods=result.ready_pods,
        last_time=result.at,
        settling=False,
        skipped=0,
        skipped_at=None,
    )
    told = replace(noted, verdict=result.verdict, hop=result.hop, message=result.message, hops=result.hops)
    if result.verdict in STREAMS:
        return replace(told, failures=0)
    if result.verdict is Verdict.INCONCLUSIVE:
        return noted if before.verdict is not None and before.verdict is not Verdict.INCONCLUSIVE else told
    if result.verdict in UNSETTLED and result.at - edge_changed < EDGE_SETTLES:
        return replace(noted, settling=True)
    failures = before.failures + 1
    if before.streams and failures < threshold:
        return replace(noted, failures=failures)
    return replace(told, failures=failures)


def pause_until_due(standing: Standing, observed: Observed, now: datetime, interval: timedelta) -> timedelta:
    """
    How long until the next verification; zero or less means now.

    Due at once when the pod template or the route is another one; after `FAILING_PAUSE` at the latest when the
    set of ready pods changed.
    """
    if standing.last_time is None or not standing.speaks_of(observed):
        return timedelta(0)
    last = max(standing.last_time, standing.skipped_at or standing.last_time)
    return last + _pause(standing, observed, interval) - now


def _pause(standing: Standing, observed: Observed, interval: timedelta) -> timedelta:
    """The wanted time between the last verification and the next one."""
    if standing.settling:
        return SETTLING_PAUSE
    if standing.streams and standing.failures:
        return FAILING_PAUSE
    if not standing.streams:
        doublings = min(max(standing.failures - 1, 0), 20)
        return min(FAILING_PAUSE * (1 << doublings), interval)
    changed = standing.ready_pods is not None and standing.ready_pods != ready_pods(observed)
    return FAILING_PAUSE if changed else interval


def ready_pods(observed: Observed) -> frozenset[str]:
    """Names of the pods that take traffic."""
    return frozenset(pod.name for pod in observed.pods if pod.ready and not pod.terminating)
