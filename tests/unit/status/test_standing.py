"""How verifications add up: what counts at once, what counts after a few, what does not count."""

from datetime import timedelta

import pytest

from streaming_operator import status
from streaming_operator.api.reasons import Verdict
from streaming_operator.status import Standing, after, pause_until_due, recall, summarize
from streaming_operator.values import ObservedPod

from .worlds import NOON, a_result, a_standing, a_world, an_endpoint, observed

INTERVAL = timedelta(seconds=300)
LONG_AGO = NOON - timedelta(hours=1)


def fold(standing: Standing, *verdicts: Verdict, **changes: object) -> Standing:
    """Fold results of these verdicts, one second apart."""
    for second, verdict in enumerate(verdicts):
        result = a_result(verdict, at=NOON + timedelta(seconds=second), **changes)
        standing = after(standing, result, threshold=3, edge_changed=LONG_AGO)
    return standing


def test_the_first_failure_of_an_unverified_endpoint_counts_at_once() -> None:
    """An endpoint that never streamed is told so by the first verification."""
    assert Verdict.BUFFERED is fold(Standing(), Verdict.BUFFERED).verdict


def test_one_failure_of_a_verified_endpoint_is_not_an_outage() -> None:
    """After a success it takes failureThreshold failures in a row."""
    twice = fold(Standing(), Verdict.STREAMING, Verdict.BUFFERED, Verdict.BUFFERED)

    assert (twice.verdict, twice.failures) == (Verdict.STREAMING, 2)
    assert Verdict.BUFFERED is fold(twice, Verdict.BUFFERED).verdict


def test_a_success_clears_the_failures_before_it() -> None:
    """Failures must be in a row."""
    standing = fold(Standing(), Verdict.STREAMING, Verdict.BUFFERED, Verdict.BUFFERED, Verdict.STREAMING)

    assert (standing.verdict, standing.failures) == (Verdict.STREAMING, 0)


def test_inconclusive_keeps_the_verdict_before() -> None:
    """A guess replaces nothing; with nothing before, it is told."""
    assert Verdict.STREAMING is fold(Standing(), Verdict.STREAMING, Verdict.INCONCLUSIVE).verdict
    assert Verdict.BUFFERED is fold(Standing(), Verdict.BUFFERED, Verdict.INCONCLUSIVE).verdict
    assert Verdict.INCONCLUSIVE is fold(Standing(), Verdict.INCONCLUSIVE).verdict


def test_engine_batching_counts_as_streaming() -> None:
    """Bursts that the engine makes are no failure of the path."""
    assert fold(Standing(), Verdict.ENGINE_BATCHED).streams


@pytest.mark.parametrize("verdict", [Verdict.ROUTE_NOT_FOUND, Verdict.UPSTREAM_ERROR])
def test_a_404_or_503_right_after_a_change_is_no_verdict(verdict: Verdict) -> None:
    """The edge needs a moment to learn of a route or a pod; half a minute later the same answer counts."""
    early = after(Standing(), a_result(verdict), threshold=3, edge_changed=NOON - timedelta(seconds=29))
    late = after(Standing(), a_result(verdict), threshold=3, edge_changed=NOON - timedelta(seconds=31))

    assert (early.verdict, early.settling) == (None, True)
    assert verdict is late.verdict


def test_a_result_about_another_route_starts_anew() -> None:
    """Successes of an older route give a new one no credit."""
    assert Verdict.BUFFERED is fold(a_standing(), Verdict.BUFFERED, route_hash="r2").verdict


def test_a_verification_is_due_at_once_for_a_new_template_or_route() -> None:
    """A verdict is never about something that no longer runs."""
    for world in (observed(pod_template_hash="t2"), observed(route_hash="r2")):
        assert timedelta(0) >= pause_until_due(a_standing(), world, NOON, INTERVAL)


def test_a_changed_set_of_pods_keeps_the_verdict_and_brings_the_probe_forward() -> None:
    """A replaced pod is probed within seconds, and Ready stays meanwhile."""
    other = observed(pods=(ObservedPod("qwen-t1-b", "10.0.0.8", True, "t1"),))

    assert a_standing().speaks_of(other)
    assert pause_until_due(a_standing(), other, NOON, INTERVAL) == timedelta(seconds=10)


def test_failing_endpoints_are_probed_at_growing_pauses_up_to_the_interval() -> None:
    """10 s, doubling, at most intervalSeconds; 10 s flat while the verdict before still holds."""
    pauses = [
        pause_until_due(a_standing(Verdict.BUFFERED, failures), observed(), NOON, INTERVAL).total_seconds()
        for failures in (1, 2, 3, 9)
    ]

    assert pauses == [10, 20, 40, 300]
    held = pause_until_due(a_standing(Verdict.STREAMING, 2), observed(), NOON, INTERVAL)
    assert held == timedelta(seconds=10)


@pytest.mark.parametrize(
    ("verdict", "failures"), [(Verdict.STREAMING, 0), (Verdict.BUFFERED, 5), (Verdict.BUFFERED, 1)]
)
def test_a_restarted_operator_reads_the_standing_back(verdict: Verdict, failures: int) -> None:
    """Killed and started again, the operator writes the same status and probes nothing for that."""
    endpoint, world = an_endpoint(), a_world(standing=a_standing(verdict, failures))
    told = summarize(endpoint, world, {}, NOON)

    again = summarize(endpoint, a_world(standing=recall(told)), told, NOON + timedelta(minutes=1))

    assert again == told
    assert timedelta(0) < pause_until_due(recall(told), observed(), NOON, INTERVAL)


def test_a_status_of_another_version_is_verified_anew() -> None:
    """A verdict that this version does not know is no reason to fail."""
    assert recall({"verification": {"verdict": "Sideways", "hop": "Moon"}}) == Standing()
    assert recall({}) == status.Standing()


def test_a_probe_that_was_left_out_moves_only_the_clock() -> None:
    """A full queue says nothing: the verdict stays, the next probe is due an interval later."""
    skipped = a_result(Verdict.INCONCLUSIVE, at=NOON + timedelta(seconds=60), skipped=True)
    standing = after(a_standing(), skipped, threshold=3, edge_changed=LONG_AGO)

    assert (standing.verdict, standing.failures, standing.skipped) == (Verdict.STREAMING, 0, 1)
    assert standing.last_time == NOON
    assert pause_until_due(standing, observed(), NOON, INTERVAL) == timedelta(seconds=360)


def test_three_are_left_out_in_a_row_at_most() -> None:
    """Then it is asked, and whatever comes begins the count anew."""
    standing, may = a_standing(), []
    for _ in range(4):
        may.append(standing.may_be_skipped(observed()))
        skipped = a_result(Verdict.INCONCLUSIVE, skipped=True)
        standing = after(standing, skipped, threshold=3, edge_changed=LONG_AGO)

    assert may == [True, True, True, False]
    asked = after(standing, a_result(Verdict.INCONCLUSIVE), threshold=3, edge_changed=LONG_AGO)
    assert asked.may_be_skipped(observed())


def test_only_routine_is_left_out() -> None:
    """Not the first verification, not one in doubt, not one for new pods, a new template or a new route."""
    other_pods = observed(pods=(ObservedPod("qwen-t1-b", "10.0.0.8", True, "t1"),))

    assert not Standing().may_be_skipped(observed())
    assert not a_standing(Verdict.BUFFERED, 3).may_be_skipped(observed())
    assert not a_standing(failures=1).may_be_skipped(observed())
    for world in (other_pods, observed(pod_template_hash="t2"), observed(route_hash="r2")):
        assert not a_standing().may_be_skipped(world)


def test_a_new_pod_is_not_warm() -> None:
    """It may still compile its graphs: its first token is not held against anybody."""
    other_pods = observed(pods=(ObservedPod("qwen-t1-b", "10.0.0.8", True, "t1"),))

    assert (a_standing().is_routine(observed()), a_standing().is_warm(observed())) == (True, True)
    assert (a_standing().is_routine(other_pods), a_standing().is_warm(other_pods)) == (True, False)
