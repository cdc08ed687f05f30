"""What a status says of a world; each case builds one and reads the conditions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streaming_operator.api.reasons import EXPLAINED, ConditionType, Reason, Verdict
from streaming_operator.errors import NotOurs, Unreachable
from streaming_operator.status import VerificationState, changes, summarize, unreadable, worth_writing
from streaming_operator.values import Capabilities, ObservedRoute, Problem

from .worlds import CAPABILITIES, NOON, a_state, a_world, an_endpoint, observed


def said(status: dict[str, Any], kind: str) -> tuple[str, str]:
    """Status and reason of one condition."""
    entry = next(c for c in status["conditions"] if c["type"] == kind)
    return entry["status"], entry["reason"]


def status_of(world: Any = None, previous: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Summarize a world, after checking what every status promises."""
    status = summarize(an_endpoint(**spec), world or a_world(), previous or {}, NOON)
    assert [c["type"] for c in status["conditions"]] == sorted(ConditionType)
    assert {c["observedGeneration"] for c in status["conditions"]} | {status["observedGeneration"]} == {3}
    ready, reconciling, stalled = (said(status, kind)[0] for kind in ("Ready", "Reconciling", "Stalled"))
    assert not (reconciling == "True" and stalled == "True"), "kstatus: in progress or failed, not both"
    assert not (ready == "True" and stalled == "True"), "kstatus: ready or failed, not both"
    return status


def test_a_verified_endpoint_is_ready() -> None:
    """Workload, route and stream: all three, and kstatus calls it current."""
    status = status_of()

    assert said(status, "Ready") == ("True", "Ready")
    assert said(status, "StreamingVerified") == ("True", "Streaming")
    assert said(status, "Reconciling") == ("False", "UpToDate")
    assert status["lastVerifiedTTFTMilliseconds"] == 40
    assert status["url"] == "http://qwen.example.com"


def test_a_buffered_stream_keeps_a_required_endpoint_out_of_ready() -> None:
    """Required means what it says; Advisory reports the same verdict beside Ready."""
    world = a_world(verification=a_state(Verdict.BUFFERED, 1))

    assert said(status_of(world), "Ready") == ("False", "Buffered")
    advisory = status_of(world, verification={"mode": "Advisory"})
    assert said(advisory, "Ready") == ("True", "Ready")
    assert said(advisory, "StreamingVerified") == ("False", "Buffered")


def test_failing_past_the_threshold_stalls() -> None:
    """Only a person can repair a buffering edge."""
    assert said(status_of(a_world(verification=a_state(Verdict.BUFFERED, 2))), "Stalled") == (
        "False",
        "NotStalled",
    )
    assert said(status_of(a_world(verification=a_state(Verdict.BUFFERED, 3))), "Stalled") == (
        "True",
        "VerificationFailing",
    )


def test_disabled_verification_is_ready_and_says_so() -> None:
    """No probe, no claim."""
    status = status_of(a_world(verification=VerificationState()), verification={"mode": "Disabled"})

    assert said(status, "Ready") == ("True", "NotVerified")
    assert said(status, "StreamingVerified") == ("Unknown", "Disabled")


@pytest.mark.parametrize("change", [{"pod_template_hash": "t2"}, {"route_hash": "r2"}])
def test_a_new_template_or_route_is_not_ready_until_verified(change: dict[str, str]) -> None:
    """The verdict before spoke of something that no longer runs."""
    status = status_of(a_world(observed=observed(**change)))

    assert said(status, "StreamingVerified") == ("Unknown", "Pending")
    assert said(status, "Ready") == ("False", "Pending")
    assert said(status, "Reconciling") == ("True", "Progressing")


def test_scaled_to_zero_is_not_ready_and_not_stalled() -> None:
    """Nothing runs, as wanted: kstatus sees neither progress nor failure."""
    status = status_of(a_world(observed=observed(replicas=0, ready_replicas=0)), replicas=0)

    assert said(status, "Ready") == ("False", "ScaledToZero")
    assert said(status, "Stalled") == ("False", "NotStalled")
    assert said(status, "Reconciling") == ("False", "ScaledToZero")


def test_suspend_shows() -> None:
    """A suspended endpoint says that nothing is done for it."""
    assert said(status_of(suspend=True), "Reconciling") == ("False", "Suspended")


def test_without_exposure_the_service_is_the_users_address() -> None:
    """Exposed holds, inside the cluster only."""
    status = status_of(a_world(observed=observed(route=None)), exposure=None)

    assert said(status, "Exposed") == ("True", "ClusterInternal")
    assert "url" not in status or status["url"].startswith("http://qwen.chat.svc")


def test_problems_of_workload_and_route_are_reported_with_their_messages() -> None:
    """The message says what to change."""
    problem = Problem(Reason.CONFIG_MISSING, "Secret hf-token does not exist: create it")
    workload = status_of(
        a_world(observed=observed(rolled_out=False, ready_replicas=0, workload_problem=problem))
    )
    assert said(workload, "WorkloadAvailable") == ("False", "ConfigMissing")

    route = ObservedRoute(exists=True, admitted=False, problem=Problem(Reason.CLASS_NOT_FOUND, "no class"))
    assert said(status_of(a_world(observed=observed(route=route))), "Ready") == ("False", "ClassNotFound")


def test_a_route_that_may_not_be_written_says_why() -> None:
    """A host that somebody else serves is reported although we have no route."""
    taken = Problem(Reason.HOST_CONFLICT, "qwen.example.com is served by Ingress chat/somebody")
    route = ObservedRoute(exists=False, admitted=False, problem=taken)
    assert said(status_of(a_world(observed=observed(route=route))), "Exposed") == ("False", "HostConflict")


def test_what_the_edge_says_against_a_policy_stands_in_exposed() -> None:
    """As a remark: the route is there, and the stream decides whether it matters."""
    route = ObservedRoute(exists=True, admitted=True, remark="BackendTrafficPolicy qwen is not followed")
    status = status_of(a_world(observed=observed(route=route)))
    exposed = next(one for one in status["conditions"] if one["type"] == "Exposed")

    assert said(status, "Exposed") == ("True", "Admitted")
    assert exposed["message"].endswith(". Remark: BackendTrafficPolicy qwen is not followed")


def test_missing_optional_kinds_are_named() -> None:
    """Monitoring without its CRD is reported and does not keep Ready from True; a route without its CRD does."""
    bare = Capabilities(service_monitors=False, http_routes=False)
    status = status_of(a_world(capabilities=bare))
    assert said(status, "MonitoringConfigured") == ("False", "ServiceMonitorCRDMissing")
    assert said(status, "Ready") == ("True", "Ready")

    gateway = {"host": "qwen.example.com", "httpRoute": {"parentRefs": [{"name": "gw"}]}}
    assert said(status_of(a_world(capabilities=bare), exposure=gateway), "Exposed") == (
        "False",
        "KindMissing",
    )


def test_a_foreign_object_stalls_and_an_unreachable_server_does_not() -> None:
    """Stalled is for what a person must do; the rest is retried."""
    taken = status_of(
        a_world(observed=None, verification=VerificationState(), error=NotOurs("Service qwen is not ours"))
    )
    assert said(taken, "Stalled") == ("True", "NameTaken")
    assert said(taken, "Ready") == ("False", "NameTaken")

    away = status_of(a_world(error=Unreachable("no answer within 15 s")))
    assert said(away, "Reconciling") == ("True", "ApiUnreachable")


def test_an_unknown_edge_address_says_what_to_set() -> None:
    """Without an address nothing is claimed."""
    problem = Problem(Reason.EDGE_ADDRESS_UNKNOWN, "set edges[]")
    status = status_of(a_world(verification=VerificationState(), verification_problem=problem))

    assert said(status, "StreamingVerified") == ("Unknown", "EdgeAddressUnknown")


def test_transition_times_move_with_the_status_only() -> None:
    """A sharper reason for the same status is no transition."""
    before = status_of(a_world(verification=VerificationState()))
    later = summarize(
        an_endpoint(), a_world(verification=a_state(Verdict.BUFFERED, 1)), before, NOON + timedelta(hours=1)
    )

    def since(status: dict[str, Any], kind: str) -> str:
        return next(c["lastTransitionTime"] for c in status["conditions"] if c["type"] == kind)

    assert since(later, "Ready") == since(before, "Ready")
    assert since(before, "StreamingVerified") != since(later, "StreamingVerified")


def test_equal_worlds_are_not_written_again() -> None:
    """Numbers and times alone are not written for half an hour, and small changes of TTFT never are."""
    endpoint, before = an_endpoint(), status_of()

    def again(ttft: int, minutes: int) -> bool:
        now, state = NOON + timedelta(minutes=minutes), a_state()
        hop = replace(state.hops[0], ttft_milliseconds=ttft)
        moved = replace(state, hops=(hop,), last_time=now)
        return worth_writing(before, summarize(endpoint, a_world(verification=moved), before, now), now)

    assert not again(40, 5)
    assert not again(400, 5)
    assert not again(45, 31)
    assert again(400, 31)


def test_a_failure_that_changes_no_verdict_yet_is_written_up_to_the_threshold() -> None:
    """Another operator, or this one after a restart, goes on counting where this one stopped."""
    endpoint, before = an_endpoint(), status_of(a_world(verification=a_state(failures=1)))

    def news(failures: int) -> bool:
        world = a_world(verification=a_state(failures=failures))
        return worth_writing(before, summarize(endpoint, world, before, NOON), NOON)

    assert not news(1)
    assert news(2)
    assert before["verification"]["failures"] == 1
    assert status_of(a_world(verification=a_state(Verdict.BUFFERED, 50)))["verification"]["failures"] == 3


def test_an_unreadable_spec_stalls_with_path_and_rule() -> None:
    """Every condition is there, and the ones about children claim nothing."""
    status = unreadable(4, ("spec.gpu.count: must be greater than or equal to 0",), {}, NOON)

    assert [c["type"] for c in status["conditions"]] == sorted(ConditionType)
    assert said(status, "Stalled") == ("True", "InvalidSpec")
    assert said(status, "WorkloadAvailable") == ("Unknown", "InvalidSpec")


def test_events_report_changes_only() -> None:
    """The first good verification is an event, the second is not; a lost one is a warning."""
    pending, good = status_of(a_world(verification=VerificationState())), status_of()
    bad = status_of(a_world(verification=a_state(Verdict.BUFFERED, 3)))

    assert {(c.type, c.reason) for c in changes(pending, good)} == {
        ("Normal", "Streaming"),
        ("Normal", "Ready"),
    }
    assert changes(good, good) == ()
    assert {(c.type, c.reason) for c in changes(good, bad)} == {
        ("Warning", "Buffered"),
        ("Warning", "VerificationFailing"),
        ("Warning", "NotReady"),
    }


def test_every_reason_and_verdict_is_explained() -> None:
    """Reasons are API: each has a sentence and a remedy."""
    assert {*Reason, *Verdict} == set(EXPLAINED)
    assert CAPABILITIES.service_monitors
