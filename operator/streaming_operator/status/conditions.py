"""
One condition from the facts of a pass, one function each; all pure, none of them looks at another's result.

A condition is a value here; `lastTransitionTime` is given by `stamped`, and moves only when the status flips:
a sharper reason for the same status is not a transition.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import ConditionType, Hop, Reason, Verdict
from streaming_operator.errors import OperatorError
from streaming_operator.foreign_text import readable
from streaming_operator.status.times import timestamp
from streaming_operator.status.verification import Answer, VerificationState
from streaming_operator.values import Capabilities, Observed, Problem

Truth = Literal["True", "False", "Unknown"]

LONGEST_MESSAGE = 1024
"""Characters of a condition's message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement of the status."""

    type: ConditionType
    status: Truth
    reason: Reason | Verdict
    message: str

    @property
    def true(self) -> bool:
        """Whether the statement holds."""
        return self.status == "True"


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a status is decided from."""

    observed: Observed | None
    """None before the first successful look, e.g. when the children could not be applied."""
    capabilities: Capabilities
    verification: VerificationState = field(default_factory=VerificationState)
    verification_problem: Problem | None = None
    """Why no verification could be made: no address, no readable Secret."""
    error: OperatorError | None = None
    """What stopped this pass."""
    note: str | None = None
    """A remark on the engine that belongs beside its availability."""
    answer: Answer | None = None
    """The result of the verification that somebody asked for last."""


def workload_available(endpoint: StreamingEndpoint, world: World) -> Condition:
    """True when the newest pod template runs everywhere and at least one replica takes requests."""

    def say(status: Truth, reason: Reason, message: str) -> Condition:
        noted = f"{message}. {world.note}" if world.note else message
        return Condition(ConditionType.WORKLOAD_AVAILABLE, status, reason, noted)

    observed = world.observed
    if observed is None:
        return say("Unknown", Reason.NOT_APPLIED, "The Deployment has not been written yet")
    if endpoint.spec.replicas == 0:
        return say("False", Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    ready = f"{observed.ready_replicas} of {endpoint.spec.replicas} replicas ready"
    if observed.rolled_out and observed.ready_replicas > 0:
        return say("True", Reason.AVAILABLE, ready)
    if observed.workload_problem is not None:
        return say("False", observed.workload_problem.reason, observed.workload_problem.message)
    if observed.replicas > 0 and observed.ready_replicas > 0:
        return say("False", Reason.ROLLING_OUT, f"{ready}; pods of an older template are being replaced")
    return say("False", Reason.PODS_PENDING, ready)


def exposed(endpoint: StreamingEndpoint, world: World) -> Condition:
    """True when the edge has taken the route, or when nothing is to be exposed."""

    def say(status: Truth, reason: Reason, message: str) -> Condition:
        return Condition(ConditionType.EXPOSED, status, reason, message)

    exposure = endpoint.spec.exposure
    if exposure is None:
        return say(
            "True", Reason.CLUSTER_INTERNAL, "Reachable inside the cluster only, as spec.exposure is not set"
        )
    if exposure.http_route is not None and not world.capabilities.http_routes:
        return say(
            "False",
            Reason.KIND_MISSING,
            "The cluster has no HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API CRDs, or use "
            "spec.exposure.ingress",
        )
    route = world.observed.route if world.observed else None
    if route is not None and route.problem is not None:
        return say("False", route.problem.reason, route.problem.message)
    if route is None or not route.exists:
        return say("Unknown", Reason.ROUTE_PENDING, "The route has not been written yet")
    if not route.admitted:
        return say("Unknown", Reason.ROUTE_PENDING, "The edge has not accepted the route yet")
    routed = f"{', '.join(exposure.all_hosts)} is routed to the Service {endpoint.name}"
    remarks = (route.remark, routes.remark(endpoint, world.capabilities))
    return say("True", Reason.ADMITTED, ". Remark: ".join((routed, *(said for said in remarks if said))))


def streaming_verified(endpoint: StreamingEndpoint, world: World) -> Condition:
    """True while the last verification of what runs now says that tokens stream."""

    def say(status: Truth, reason: Reason | Verdict, message: str) -> Condition:
        return Condition(ConditionType.STREAMING_VERIFIED, status, reason, message)

    state, observed = world.verification, world.observed
    if endpoint.spec.verification.mode == "Disabled":
        return say("Unknown", Reason.DISABLED, "spec.verification.mode is Disabled: no probe is sent")
    if endpoint.spec.replicas == 0:
        return say("Unknown", Reason.PENDING, "No replica runs that could be asked")
    if observed is None or state.verdict is None or not state.is_about(observed):
        if world.verification_problem is not None:
            return say("Unknown", world.verification_problem.reason, world.verification_problem.message)
        if state.settling:
            edge, service = (
                "The edge has not loaded the route yet",
                "The Service does not lead to the pods yet",
            )
            return say("Unknown", Reason.PENDING, edge if observed and observed.route else service)
        return say("Unknown", Reason.PENDING, "Not verified yet for the present pod template and route")
    if state.verdict is Verdict.INCONCLUSIVE:
        return say("Unknown", Verdict.INCONCLUSIVE, state.message)
    if state.verdict is Verdict.DNS_UNRESOLVED and state.hop is not Hop.PUBLIC:
        # DNS is the last way to the edge's address: nothing was asked.
        return say("Unknown", Reason.EDGE_ADDRESS_UNKNOWN, state.message)
    if world.verification_problem is not None and not state.streams:
        return say("Unknown", world.verification_problem.reason, world.verification_problem.message)
    if state.streams:
        return say("True", Verdict.STREAMING, state.message)
    return say("False", state.verdict, state.message)


def monitoring_configured(endpoint: StreamingEndpoint, world: World) -> Condition:
    """True when a ServiceMonitor tells Prometheus where the engine's metrics are."""

    def say(status: Truth, reason: Reason, message: str) -> Condition:
        return Condition(ConditionType.MONITORING_CONFIGURED, status, reason, message)

    if not endpoint.spec.monitoring.service_monitor.enabled:
        return say("False", Reason.TURNED_OFF, "spec.monitoring.serviceMonitor.enabled is false")
    if not world.capabilities.service_monitors:
        return say(
            "False",
            Reason.SERVICE_MONITOR_MISSING,
            "The cluster has no ServiceMonitor (monitoring.coreos.com/v1): install the prometheus-operator's CRDs",
        )
    if world.observed is None or not world.observed.service_monitor:
        return say("Unknown", Reason.NOT_APPLIED, "The ServiceMonitor has not been written yet")
    return say("True", Reason.CONFIGURED, "A ServiceMonitor selects the engine's metrics")


def stamped(
    conditions: Iterable[Condition], previous: Iterable[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions as the status holds them, sorted by type."""
    before = {entry.get("type"): entry for entry in previous}
    return [
        {
            "type": str(condition.type),
            "status": condition.status,
            "reason": str(condition.reason),
            "message": readable(condition.message, LONGEST_MESSAGE),
            "observedGeneration": generation,
            "lastTransitionTime": _since(condition, before.get(str(condition.type)), now),
        }
        for condition in sorted(conditions, key=lambda c: c.type)
    ]


def _since(condition: Condition, before: Mapping[str, Any] | None, now: datetime) -> str:
    """The time of the last flip of the status."""
    if before and before.get("status") == condition.status and before.get("lastTransitionTime"):
        return str(before["lastTransitionTime"])
    return timestamp(now)
