"""
The whole status of an endpoint from the facts of one pass; pure, every condition always there.

`Ready`, `Reconciling` and `Stalled` follow kstatus, so that `kubectl wait`, Argo CD and Flux understand them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import ConditionType, Reason, Verdict
from streaming_operator.routes import users_url
from streaming_operator.status import conditions
from streaming_operator.status.conditions import Condition, World, timestamp
from streaming_operator.status.standing import Standing
from streaming_operator.values import HopResult

Status = dict[str, Any]

NUMBERS_PAUSE = timedelta(minutes=30)
"""Numbers alone are written at most this often: 5,000 endpoints must not mean 17 writes a second."""

TTFT_MOVED = 0.25
"""...and only when TTFT moved by more than this share."""


def summarize(
    endpoint: StreamingEndpoint, world: World, previous: Mapping[str, Any], now: datetime
) -> Status:
    """Build the status that is true now; nothing in it depends on how often it was built."""
    workload = conditions.workload_available(endpoint, world)
    exposed = conditions.exposed(endpoint, world)
    streaming = conditions.streaming_verified(endpoint, world)
    monitoring = conditions.monitoring_configured(endpoint, world)
    stalled = _stalled(endpoint, world)
    ready = _ready(endpoint, world, workload, exposed, streaming)
    reconciling = _reconciling(endpoint, world, ready, stalled)
    observed = world.observed
    status: Status = {
        "observedGeneration": endpoint.generation,
        "conditions": conditions.stamped(
            (ready, reconciling, stalled, workload, exposed, streaming, monitoring),
            previous.get("conditions") or (),
            endpoint.generation,
            now,
        ),
        "url": users_url(endpoint),
        "internalURL": f"http://{endpoint.name}.{endpoint.namespace}.svc",
        "modelName": endpoint.served_name,
        "replicas": observed.replicas if observed else 0,
        "readyReplicas": observed.ready_replicas if observed else 0,
        "selector": ",".join(f"{key}={value}" for key, value in sorted(naming.selector(endpoint).items())),
    }
    if world.standing.verdict is not None:
        status["verification"] = _verification(world.standing)
        ttft = world.standing.hops[0].ttft_milliseconds if world.standing.hops else None
        if ttft is not None:
            status["lastVerifiedTTFTMilliseconds"] = ttft
    return {key: value for key, value in status.items() if value is not None}


def unreadable(
    generation: int, problems: tuple[str, ...], previous: Mapping[str, Any], now: datetime
) -> Status:
    """The status of an endpoint whose spec breaks the schema, e.g. stored under an older CRD."""
    told = "; ".join(problems)
    unknown = [
        Condition(kind, "Unknown", Reason.INVALID_SPEC, "The spec cannot be read")
        for kind in ConditionType
        if kind not in (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
    ]
    return {
        **{key: value for key, value in previous.items() if key != "conditions"},
        "observedGeneration": generation,
        "conditions": conditions.stamped(
            (
                Condition(ConditionType.READY, "False", Reason.INVALID_SPEC, told),
                Condition(ConditionType.RECONCILING, "False", Reason.INVALID_SPEC, "Waiting for a new spec"),
                Condition(ConditionType.STALLED, "True", Reason.INVALID_SPEC, told),
                *unknown,
            ),
            previous.get("conditions") or (),
            generation,
            now,
        ),
    }


def _ready(
    endpoint: StreamingEndpoint, world: World, workload: Condition, exposed: Condition, streaming: Condition
) -> Condition:
    """True when users get a stream, as far as the mode of verification demands it."""

    def say(true: bool, reason: Reason | Verdict, message: str) -> Condition:
        return Condition(ConditionType.READY, "True" if true else "False", reason, message)

    mode = endpoint.spec.verification.mode
    if world.error is not None and world.error.stalls:
        return say(False, world.error.reason, str(world.error))
    if endpoint.spec.replicas == 0:
        return say(False, Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    if not workload.true:
        return say(False, workload.reason, workload.message)
    if not exposed.true:
        return say(False, exposed.reason, exposed.message)
    if mode == "Disabled":
        return say(
            True, Reason.NOT_VERIFIED, "Serving; streaming is not verified (spec.verification.mode: Disabled)"
        )
    if mode == "Advisory":
        return say(True, Reason.READY, "Serving; see StreamingVerified (spec.verification.mode: Advisory)")
    if not streaming.true:
        return say(False, streaming.reason, streaming.message)
    return say(True, Reason.READY, "A completion streamed through the users' address")


def _stalled(endpoint: StreamingEndpoint, world: World) -> Condition:
    """True when only a person can make it go on."""

    def say(true: bool, reason: Reason, message: str) -> Condition:
        return Condition(ConditionType.STALLED, "True" if true else "False", reason, message)

    if world.error is not None and world.error.stalls:
        return say(True, world.error.reason, str(world.error))
    standing, verification = world.standing, endpoint.spec.verification
    lost = (
        standing.verdict is not None and not standing.streams and standing.verdict is not Verdict.INCONCLUSIVE
    )
    if verification.mode == "Required" and lost and standing.failures >= verification.failure_threshold:
        return say(True, Reason.VERIFICATION_FAILING, standing.message)
    return say(False, Reason.NOT_STALLED, "Nothing waits for a person")


def _reconciling(
    endpoint: StreamingEndpoint, world: World, ready: Condition, stalled: Condition
) -> Condition:
    """True while the operator still works towards the spec."""

    def say(true: bool, reason: Reason, message: str) -> Condition:
        return Condition(ConditionType.RECONCILING, "True" if true else "False", reason, message)

    if endpoint.spec.suspend:
        return say(
            False, Reason.SUSPENDED, "spec.suspend is true: children stay as they are, no probe is sent"
        )
    if stalled.true:
        return say(False, Reason(stalled.reason), "See Stalled")
    if world.error is not None:
        return say(True, world.error.reason, str(world.error))
    if ready.true:
        return say(False, Reason.UP_TO_DATE, "The endpoint is as wanted")
    if endpoint.spec.replicas == 0:
        return say(False, Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    return say(True, Reason.PROGRESSING, "See Ready")


def _verification(standing: Standing) -> Status:
    """`status.verification` of a standing."""
    return {
        "verdict": str(standing.verdict),
        "hop": str(standing.hop),
        "message": standing.message,
        "podTemplateHash": standing.pod_template_hash,
        "routeHash": standing.route_hash,
        **({"lastTime": timestamp(standing.last_time)} if standing.last_time else {}),
        "hops": [_hop(hop) for hop in standing.hops[:8]],
    }


def _hop(result: HopResult) -> Status:
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


def worth_writing(previous: Mapping[str, Any], status: Status, now: datetime) -> bool:
    """
    Whether *status* says something new.

    Numbers and times ride along with a change of verdict, hop, reason or hash; alone they are written only when
    TTFT moved by more than 25 % and the last write of numbers is 30 minutes old.
    """
    if _settled(previous) != _settled(status):
        return True
    before, after = previous.get("lastVerifiedTTFTMilliseconds"), status.get("lastVerifiedTTFTMilliseconds")
    if before is None or after is None:
        return before != after
    written = (previous.get("verification") or {}).get("lastTime")
    old = written is None or now - datetime.fromisoformat(written) >= NUMBERS_PAUSE
    return old and abs(after - before) > TTFT_MOVED * max(before, 1)


def _settled(status: Mapping[str, Any]) -> Status:
    """The part of a status whose change is news: without times, numbers and the sentences that hold numbers."""
    verification = status.get("verification") or {}
    evidence = verification.get("message")
    return {
        **{
            key: value
            for key, value in status.items()
            if key not in ("conditions", "verification", "lastVerifiedTTFTMilliseconds")
        },
        "conditions": [
            {
                key: value
                for key, value in entry.items()
                if key != "lastTransitionTime" and not (key == "message" and value == evidence)
            }
            for entry in status.get("conditions") or ()
        ],
        "verification": {
            key: verification.get(key) for key in ("verdict", "hop", "podTemplateHash", "routeHash")
        },
    }
