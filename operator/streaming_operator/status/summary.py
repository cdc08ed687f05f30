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
from streaming_operator.foreign_text import readable_all
from streaming_operator.routes import users_url
from streaming_operator.status import conditions
from streaming_operator.status.conditions import Condition, World
from streaming_operator.status.times import parsed
from streaming_operator.status.verification import written
from streaming_operator.status.waiting import waiting

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
    ready = _ready(endpoint, world, workload, exposed, streaming)
    wait = None if ready.true else waiting(ready.reason, endpoint.generation, previous, now)
    stalled = _stalled(endpoint, world, ready, overdue=wait is not None and wait.seconds_left(now) <= 0)
    reconciling = _reconciling(endpoint, world, ready, stalled)
    observed = world.observed
    scheme = "https" if endpoint.spec.engine.tls else "http"
    status: Status = {
        "observedGeneration": endpoint.generation,
        "conditions": conditions.stamped(
            (ready, reconciling, stalled, workload, exposed, streaming, monitoring),
            previous.get("conditions") or (),
            endpoint.generation,
            now,
        ),
        "url": users_url(endpoint, world.capabilities),
        "internalURL": f"{scheme}://{endpoint.name}.{endpoint.namespace}.svc",
        "modelName": endpoint.served_name,
        "replicas": observed.replicas if observed else 0,
        "readyReplicas": observed.ready_replicas if observed else 0,
        "selector": ",".join(f"{key}={value}" for key, value in sorted(naming.selector(endpoint).items())),
    }
    if wait is not None:
        status["waiting"] = wait.written()
    state = world.verification
    if state.verdict is not None:
        status["verification"] = written(state, endpoint.spec.verification.failure_threshold)
        ttft = state.hops[0].ttft_milliseconds if state.hops else None
        if ttft is not None:
            status["lastVerifiedTTFTMilliseconds"] = ttft
    if world.answer is not None:
        status["requestedVerification"] = world.answer.written()
    written_status: Status = readable_all({key: value for key, value in status.items() if value is not None})
    return written_status


def unreadable(
    generation: int, problems: tuple[str, ...], previous: Mapping[str, Any], now: datetime
) -> Status:
    """The status of an endpoint whose spec breaks the schema, e.g. stored under an older CRD."""
    message = "; ".join(problems)
    unknown = [
        Condition(kind, "Unknown", Reason.INVALID_SPEC, "The spec cannot be read")
        for kind in ConditionType
        if kind not in (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
    ]
    return {
        **{key: value for key, value in previous.items() if key not in ("conditions", "waiting")},
        "observedGeneration": generation,
        "conditions": conditions.stamped(
            (
                Condition(ConditionType.READY, "False", Reason.INVALID_SPEC, message),
                Condition(ConditionType.RECONCILING, "False", Reason.INVALID_SPEC, "Waiting for a new spec"),
                Condition(ConditionType.STALLED, "True", Reason.INVALID_SPEC, message),
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


def _stalled(endpoint: StreamingEndpoint, world: World, ready: Condition, *, overdue: bool) -> Condition:
    """True when only a person can make it go on, at once or after the grace time of the reason of *ready*."""

    def say(true: bool, reason: Reason, message: str) -> Condition:
        return Condition(ConditionType.STALLED, "True" if true else "False", reason, message)

    if world.error is not None and world.error.stalls:
        return say(True, world.error.reason, str(world.error))
    state, verification = world.verification, endpoint.spec.verification
    failed = state.verdict is not None and not state.streams and state.verdict is not Verdict.INCONCLUSIVE
    if verification.mode == "Required" and failed and state.failures >= verification.failure_threshold:
        return say(True, Reason.VERIFICATION_FAILING, state.message)
    if overdue and not endpoint.spec.suspend:
        return say(True, Reason(ready.reason), ready.message)
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


def worth_writing(previous: Mapping[str, Any], status: Status, now: datetime) -> bool:
    """
    Whether *status* says something new.

    Numbers and times are written with a change of verdict, hop, failures, reason or hash; alone only when TTFT moved
    by more than 25 % and the last write of numbers is 30 minutes old.
    """
    if _settled(previous) != _settled(status):
        return True
    before, after = previous.get("lastVerifiedTTFTMilliseconds"), status.get("lastVerifiedTTFTMilliseconds")
    if before is None or after is None:
        return before != after
    last_time = parsed((previous.get("verification") or {}).get("lastTime"))
    # A time in the future comes from a clock that was set back: as good as none.
    old = last_time is None or abs(now - last_time) >= NUMBERS_PAUSE
    return old and abs(after - before) > TTFT_MOVED * max(before, 1)


def _settled(status: Mapping[str, Any]) -> Status:
    """The part of a status whose change is written: without times, numbers and the sentences that hold numbers."""
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
            **{key: verification.get(key) for key in ("verdict", "hop", "podTemplateHash", "routeHash")},
            "failures": verification.get("failures") or 0,
        },
    }
