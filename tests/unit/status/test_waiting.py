"""What an endpoint waits for: for how long it counts as progress, and when a person is asked."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from streaming_operator.api.reasons import Reason
from streaming_operator.errors import Unreachable
from streaming_operator.status import summarize
from streaming_operator.status.waiting import GRACE_SECONDS
from streaming_operator.values import ObservedRoute, Problem

from .worlds import NOON, a_world, an_endpoint, observed

GOES_ON = {
    Reason.PROGRESSING: "the operator's own work",
    Reason.NOT_APPLIED: "the operator's own work",
    Reason.PODS_PENDING: "a start; a quota may be raised or freed",
    Reason.UNSCHEDULABLE: "a node autoscaler, or another workload's end, brings a GPU",
    Reason.MODEL_LOADING: "a start, which `startup.timeoutSeconds` ends",
    Reason.ROLLING_OUT: "streams that are drained",
    Reason.EVICTED: "the ReplicaSet makes another pod",
    Reason.ROUTE_PENDING: "an edge that loads its configuration",
    Reason.PENDING: "a verification that is under way",
    Reason.API_UNREACHABLE: "retried with backoff",
    Reason.INTERNAL_ERROR: "retried with backoff",
    Reason.OVERWRITTEN: "repaired again, more and more rarely",
}
"""Reasons for which waiting always may help, each with what is waited for."""

NO_TROUBLE = {
    Reason.READY,
    Reason.NOT_VERIFIED,
    Reason.SCALED_TO_ZERO,
    Reason.SUSPENDED,
    Reason.UP_TO_DATE,
    Reason.NOT_STALLED,
    Reason.AVAILABLE,
    Reason.ADMITTED,
    Reason.CLUSTER_INTERNAL,
    Reason.DISABLED,
    Reason.CONFIGURED,
    Reason.SERVICE_MONITOR_MISSING,
    Reason.TURNED_OFF,
}
AT_ONCE = {
    Reason.INVALID_SPEC,
    Reason.NAME_TAKEN,
    Reason.POD_NOT_ALLOWED,
    Reason.FORBIDDEN,
    Reason.REJECTED,
    Reason.VERIFICATION_FAILING,
}
"""Errors that stall without a grace time: nothing but a person's change ends them."""

CRASHING = Problem(Reason.CRASHING, "the engine ends at start: ValueError")


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Status and reason by type."""
    return {entry["type"]: (entry["status"], entry["reason"]) for entry in status["conditions"]}


def crashing(previous: dict[str, Any], now: datetime, **changes: Any) -> dict[str, Any]:
    """The status of an endpoint whose engine crashes."""
    world = a_world(
        observed=observed(ready_replicas=0, rolled_out=False, workload_problem=CRASHING), **changes
    )
    return summarize(an_endpoint(), world, previous, now)


def test_every_reason_has_an_answer_to_how_long_waiting_helps() -> None:
    """A new reason is put into one of the four, or this test fails."""
    groups = [set(GRACE_SECONDS), set(GOES_ON), NO_TROUBLE, AT_ONCE]
    assert set().union(*groups) == set(Reason)
    assert sum(map(len, groups)) == len(Reason)


def test_a_trouble_is_progress_for_its_grace_time_and_stalls_afterwards() -> None:
    """kstatus: in progress first, failed then, with the reason of Ready and its message."""
    first = crashing({}, NOON)
    assert conditions(first)["Stalled"] == ("False", "NotStalled")
    assert conditions(first)["Reconciling"] == ("True", "Progressing")
    assert first["waiting"] == {"reason": "Crashing", "since": "2026-11-21T12:00:00Z"}

    grace = timedelta(seconds=GRACE_SECONDS[Reason.CRASHING])
    almost = crashing(first, NOON + grace - timedelta(seconds=1))
    assert conditions(almost)["Stalled"] == ("False", "NotStalled")

    late = crashing(almost, NOON + grace)
    assert conditions(late)["Stalled"] == ("True", "Crashing")
    assert conditions(late)["Reconciling"] == ("False", "Crashing")
    (stalled,) = (entry for entry in late["conditions"] if entry["type"] == "Stalled")
    assert stalled["message"] == CRASHING.message


@pytest.mark.parametrize("reason", GRACE_SECONDS)
def test_every_grace_time_ends_in_a_stall(reason: Reason) -> None:
    """Wherever the reason comes from: the workload or the route."""
    problem = Problem(reason, "told")
    route = ObservedRoute(exists=False, admitted=False, problem=problem)
    world = a_world(observed=observed(route=route))
    first = summarize(an_endpoint(), world, {}, NOON)
    later = summarize(an_endpoint(), world, first, NOON + timedelta(seconds=GRACE_SECONDS[reason]))
    assert conditions(later)["Stalled"] == ("True", str(reason))


def test_the_end_of_the_trouble_ends_the_stall() -> None:
    """It heals by itself when the cause goes."""
    stalled = crashing(crashing({}, NOON), NOON + timedelta(hours=1))
    healed = summarize(an_endpoint(), a_world(), stalled, NOON + timedelta(hours=2))
    assert conditions(healed)["Stalled"] == ("False", "NotStalled")
    assert conditions(healed)["Ready"] == ("True", "Ready")
    assert "waiting" not in healed


def test_a_restarted_operator_counts_on() -> None:
    """What a pass decides comes from the status that is stored, so nothing is written at rest."""
    first = crashing({}, NOON)
    stalled = crashing(first, NOON + timedelta(hours=1))
    assert crashing(stalled, NOON + timedelta(hours=2)) == stalled


def test_another_trouble_and_an_edit_of_the_spec_begin_anew() -> None:
    """An apply that may be the cure is not called failed by what was there before it."""
    first = crashing({}, NOON)
    later = NOON + timedelta(hours=1)
    missing = Problem(Reason.CONFIG_MISSING, "Secret hf does not exist")
    world = a_world(observed=observed(ready_replicas=0, rolled_out=False, workload_problem=missing))
    other = summarize(an_endpoint(), world, first, later)
    assert other["waiting"] == {"reason": "ConfigMissing", "since": "2026-11-21T13:00:00Z"}

    edited = crashing({**first, "observedGeneration": 2}, later)
    assert conditions(edited)["Stalled"] == ("False", "NotStalled")


def test_a_clock_that_was_set_back_begins_anew() -> None:
    """A time in the future is no time."""
    first = crashing({}, NOON)
    earlier = crashing(first, NOON - timedelta(days=1))
    assert earlier["waiting"]["since"] == "2026-11-20T12:00:00Z"


def test_suspended_and_unreachable_do_not_stall() -> None:
    """Who suspends an endpoint waits for nothing."""
    first = crashing({}, NOON)
    later = NOON + timedelta(hours=1)
    world = a_world(observed=observed(ready_replicas=0, rolled_out=False, workload_problem=CRASHING))
    suspended = summarize(an_endpoint(suspend=True), world, first, later)
    assert conditions(suspended)["Stalled"] == ("False", "NotStalled")
    unreachable = summarize(an_endpoint(), a_world(observed=None, error=Unreachable("no answer")), {}, NOON)
    assert conditions(unreachable)["Reconciling"] == ("True", "ApiUnreachable")
