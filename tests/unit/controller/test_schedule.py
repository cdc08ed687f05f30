"""When an endpoint is verified, and how results add up: what counts at once, what after a few, what not at all."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint, Verification
from streaming_operator.api.reasons import Hop, Reason, Verdict
from streaming_operator.controller.schedule import Moment, Schedule
from streaming_operator.status import VerificationState, recall, summarize
from streaming_operator.values import Observed, ObservedPod, ObservedRoute, ProbeResult, Problem
from tests.unit.status.worlds import NOON, a_result, a_state, a_world, an_endpoint, observed

SETTINGS = Verification(interval_seconds=300, failure_threshold=3)
OTHER_POD = observed(pods=(ObservedPod("qwen-t1-b", "10.0.0.8", True, "t1"),))
LONG_AGO = -3600.0
"""Monotonic seconds; NOON is 0."""


def at(seconds: float) -> Moment:
    """A moment after NOON, both clocks in step."""
    return Moment(NOON + timedelta(seconds=seconds), seconds)


def edge_loaded_at(seconds: float, world: Observed = observed()) -> Schedule:  # noqa: B008 - a frozen value
    """A new endpoint whose route and pods are known to the edge since then."""
    return Schedule().observing(an_endpoint(), world, at(seconds))


def fold(schedule: Schedule, *verdicts: Verdict, **changes: Any) -> Schedule:
    """Fold results of these verdicts, one second apart."""
    for second, verdict in enumerate(verdicts):
        result = a_result(verdict, at=at(second).wall, **changes)
        schedule = schedule.answered(result, SETTINGS, observed(), at(second))
    return schedule


NEW = edge_loaded_at(LONG_AGO)
STREAMING = fold(NEW, Verdict.STREAMING)


def due_in(schedule: Schedule, seconds: float = 0, world: Observed = observed()) -> float:  # noqa: B008
    """Seconds until the next verification, asked so many seconds after NOON."""
    return schedule.until_due(SETTINGS, world, at(seconds))


# ---- what the answers mean ---------------------------------------------------------------------------------


def test_the_first_failure_of_an_unverified_endpoint_counts_at_once() -> None:
    """The first verification of an endpoint that never streamed decides at once."""
    assert fold(NEW, Verdict.BUFFERED).state.verdict is Verdict.BUFFERED


def test_one_failure_of_a_verified_endpoint_is_not_an_outage() -> None:
    """After a success it takes failureThreshold failures in a row."""
    twice = fold(STREAMING, Verdict.BUFFERED, Verdict.BUFFERED)

    assert (twice.state.verdict, twice.state.failures) == (Verdict.STREAMING, 2)
    assert fold(twice, Verdict.BUFFERED).state.verdict is Verdict.BUFFERED


def test_a_success_clears_the_failures_before_it() -> None:
    """Failures must be in a row."""
    schedule = fold(STREAMING, Verdict.BUFFERED, Verdict.BUFFERED, Verdict.STREAMING)

    assert (schedule.state.verdict, schedule.state.failures) == (Verdict.STREAMING, 0)


def test_inconclusive_keeps_the_verdict_before() -> None:
    """Inconclusive replaces no verdict; with none before, it is reported."""
    assert fold(STREAMING, Verdict.INCONCLUSIVE).state.verdict is Verdict.STREAMING
    assert fold(NEW, Verdict.BUFFERED, Verdict.INCONCLUSIVE).state.verdict is Verdict.BUFFERED
    assert fold(NEW, Verdict.INCONCLUSIVE).state.verdict is Verdict.INCONCLUSIVE


def test_engine_batching_counts_as_streaming() -> None:
    """Bursts that the engine makes are no failure of the path."""
    assert fold(NEW, Verdict.ENGINE_BATCHED).state.streams


@pytest.mark.parametrize("verdict", [Verdict.ROUTE_NOT_FOUND, Verdict.UPSTREAM_ERROR])
def test_a_404_or_503_right_after_a_change_is_not_judged(verdict: Verdict) -> None:
    """The edge needs a moment to learn of a route or a pod; half a minute later the same answer counts."""
    early, late = fold(edge_loaded_at(-29), verdict).state, fold(edge_loaded_at(-31), verdict).state

    assert (early.verdict, early.settling) == (None, True)
    assert late.verdict is verdict


def test_a_service_without_rules_right_after_a_change_is_not_judged() -> None:
    """kube-proxy follows the pods by seconds; a pod or an edge that refuses connections is told at once."""
    early, late = edge_loaded_at(-29), edge_loaded_at(-31)

    assert fold(early, Verdict.UNREACHABLE, hop=Hop.SERVICE).state.settling
    assert fold(late, Verdict.UNREACHABLE, hop=Hop.SERVICE).state.verdict is Verdict.UNREACHABLE
    for hop in (Hop.POD, Hop.EXPOSURE):
        assert fold(early, Verdict.UNREACHABLE, hop=hop).state.verdict is Verdict.UNREACHABLE


def test_a_pod_that_becomes_ready_is_a_change_to_the_edge() -> None:
    """Its address must be loaded before it can be asked for."""
    changed = edge_loaded_at(LONG_AGO).observing(an_endpoint(), OTHER_POD, at(-5))

    assert fold(changed, Verdict.UPSTREAM_ERROR).state.settling


def test_a_result_about_another_route_says_nothing() -> None:
    """The route changed while it was asked: what held before is as it was, and the next one is due at once."""
    schedule = fold(STREAMING, Verdict.BUFFERED, route_hash="r2")

    assert schedule.state == STREAMING.state


GONE = observed(route=ObservedRoute(True, False))


@pytest.mark.parametrize("hash_meanwhile", ["r1", "of another address", ""])
def test_a_route_that_was_away_is_verified_before_it_counts_again(hash_meanwhile: str) -> None:
    """Another endpoint had its host meanwhile, whatever was rendered then; nor does it count without a route."""
    away = STREAMING.observing(an_endpoint(), replace(GONE, route_hash=hash_meanwhile), at(60))
    late = away.answered(a_result(Verdict.STREAMING), SETTINGS, GONE, at(61))
    back = late.observing(an_endpoint(), observed(), at(80))

    assert not back.state.is_about(observed())
    assert not back.state.is_about(observed(route=None, route_hash=""))
    assert due_in(back, 80) <= 0
    verified = back.started(SETTINGS, at(80)).answered(
        a_result(Verdict.STREAMING), SETTINGS, observed(), at(81)
    )
    assert verified.state.is_about(observed())


def test_an_answer_to_a_question_from_before_the_route_was_away_says_nothing() -> None:
    """It was asked of who served the host then."""
    asked = STREAMING.started(SETTINGS, at(59)).observing(an_endpoint(), GONE, at(60))
    back = asked.observing(an_endpoint(), observed(), at(65))

    late = back.answered(a_result(Verdict.STREAMING), SETTINGS, observed(), at(66))
    assert not late.state.is_about(observed())


def test_a_route_that_comes_back_is_loaded_first() -> None:
    """A 404 in the first half minute is the edge's that has not loaded it again."""
    away = STREAMING.observing(an_endpoint(), GONE, at(60))
    back = away.observing(an_endpoint(), observed(), at(80)).started(SETTINGS, at(80))

    early = back.answered(a_result(Verdict.ROUTE_NOT_FOUND), SETTINGS, observed(), at(81))
    assert early.state.settling


def test_a_route_that_comes_and_goes_is_not_asked_all_the_time() -> None:
    """Two controllers that take it from each other cost one completion each 10 s at most."""
    away = STREAMING.started(SETTINGS, at(59)).observing(an_endpoint(), GONE, at(60))
    answered = away.answered(a_result(Verdict.STREAMING), SETTINGS, GONE, at(61))
    back = answered.observing(an_endpoint(), observed(), at(62))

    assert due_in(back, 62) == 9


def test_successes_of_an_older_route_do_not_count_for_a_new_one() -> None:
    """The first failure of the new route counts at once."""
    result = a_result(Verdict.BUFFERED, route_hash="r2")
    schedule = STREAMING.answered(result, SETTINGS, observed(route_hash="r2"), at(1))

    assert schedule.state.verdict is Verdict.BUFFERED


# ---- when the next one is due ------------------------------------------------------------------------------


def test_a_new_endpoint_is_due_at_once() -> None:
    """Nobody waits for an interval to pass first."""
    assert due_in(NEW) <= 0


def test_a_verification_is_due_at_once_for_a_new_template_or_route() -> None:
    """A verdict is never about something that no longer runs."""
    for world in (observed(pod_template_hash="t2"), observed(route_hash="r2")):
        assert due_in(STREAMING, 1, world) <= 0


def test_an_edit_of_the_verification_is_tried_at_once() -> None:
    """Nobody waits for the interval to learn whether a check passes."""
    schedule = fold(NEW.started(SETTINGS, at(0)), Verdict.STREAMING)
    edited = SETTINGS.model_copy(update={"failure_threshold": 1})

    assert schedule.until_due(SETTINGS, observed(), at(1)) == 299
    assert schedule.until_due(edited, observed(), at(1)) <= 0


def test_a_changed_set_of_pods_keeps_the_verdict_and_brings_the_probe_forward() -> None:
    """A replaced pod is probed within seconds, and Ready stays meanwhile."""
    assert STREAMING.state.is_about(OTHER_POD)
    assert due_in(STREAMING, 0, OTHER_POD) == 10


def test_failing_endpoints_are_probed_at_growing_pauses_up_to_the_interval() -> None:
    """10 s, doubling, at most intervalSeconds; 10 s flat while the verdict before still holds."""
    failed, pauses = NEW, []
    for _ in range(7):
        failed = fold(failed, Verdict.BUFFERED)
        pauses.append(due_in(failed))

    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    assert due_in(fold(STREAMING, Verdict.BUFFERED), 0) == 10


def test_an_endpoint_that_cannot_be_judged_is_probed_at_growing_pauses() -> None:
    """`Inconclusive` costs the engine its longest streams: not every 10 s for ever."""
    assert due_in(fold(NEW, *[Verdict.INCONCLUSIVE] * 4), 3) == 80


@pytest.mark.parametrize("hours", [-24, 24])
def test_setting_the_wall_clock_moves_no_verification(hours: int) -> None:
    """Intervals are counted on the monotonic clock."""
    moved = Moment(NOON + timedelta(hours=hours), 60)

    assert STREAMING.until_due(SETTINGS, observed(), moved) == 240


def test_a_status_from_the_future_delays_the_next_verification_by_one_interval_at_most() -> None:
    """The clock was set back by a day while the operator was down."""
    written = summarize(an_endpoint(), a_world(), {}, NOON)
    schedule = Schedule.recall(written, SETTINGS, Moment(NOON - timedelta(days=1), 0))

    assert schedule.state.streams
    assert due_in(schedule) == 300


def test_a_verification_that_brings_no_answer_is_repeated_at_growing_pauses() -> None:
    """One that fails in the operator itself must not be started again at once, for ever."""
    schedule, pauses = NEW, []
    for _ in range(6):
        schedule = schedule.started(SETTINGS, at(0)).failed(Problem(Reason.PENDING, "no target"))
        pauses.append(due_in(schedule))

    assert pauses == [10, 20, 40, 60, 60, 60]
    assert due_in(fold(schedule, Verdict.STREAMING)) == 300


def test_what_prevents_a_verification_is_remembered_until_it_is_tried_again_or_the_spec_changes() -> None:
    """A missing Secret is reported all the time, and read again after a minute at the latest."""
    problem = Problem(Reason.SECRET_NOT_READABLE, "no key")
    schedule = NEW
    for _ in range(9):
        schedule = schedule.blocked(problem, at(0))
    edited = an_endpoint().model_copy(update={"generation": 9})

    assert (schedule.problem, due_in(schedule)) == (problem, 60)
    again = schedule.observing(edited, observed(), at(1))
    assert (again.problem, due_in(again, 1)) == (None, 0)


# ---- read back, and written by another operator ------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "failures"),
    [(Verdict.STREAMING, 0), (Verdict.STREAMING, 2), (Verdict.BUFFERED, 3), (Verdict.BUFFERED, 1)],
)
def test_a_restarted_operator_reads_the_state_back(verdict: Verdict, failures: int) -> None:
    """Killed and started again, the operator writes the same status, goes on counting, and probes nothing for that."""
    endpoint, world = an_endpoint(), a_world(verification=a_state(verdict, failures))
    written = summarize(endpoint, world, {}, NOON)

    schedule = Schedule.recall(written, SETTINGS, at(1))
    again = summarize(endpoint, a_world(verification=schedule.state), written, NOON + timedelta(minutes=1))

    assert again == written
    assert schedule.state.failures == failures
    assert due_in(schedule, 1) > 0


def test_after_a_restart_each_endpoint_waits_for_its_turn() -> None:
    """Thousands whose last write is hours old are not probed in one second."""
    written = summarize(an_endpoint(), a_world(), {}, NOON)
    schedule = Schedule.recall(written, SETTINGS, at(7200), turn=0.5)

    assert due_in(schedule, 7200) == 150


def test_a_status_of_another_version_is_verified_anew() -> None:
    """A verdict or a time that this version cannot read is no reason to fail."""
    assert recall({"verification": {"verdict": "Sideways", "hop": "Moon"}}) == VerificationState()
    assert recall({}) == VerificationState()
    for time in ("yesterday", "2026-11-25T10:00:00", None, 5):
        state = recall({"verification": {"verdict": "Streaming", "hop": "Exposure", "lastTime": time}})
        assert state == VerificationState()


def test_a_status_without_a_count_of_failures_is_read_as_before() -> None:
    """Version 0.1.0 wrote none: Stalled says whether they were past the threshold."""
    written = summarize(an_endpoint(), a_world(verification=a_state(Verdict.BUFFERED, 3)), {}, NOON)
    del written["verification"]["failures"]

    again = summarize(an_endpoint(), a_world(verification=recall(written)), written, NOON)
    assert [c for c in again["conditions"] if c["type"] == "Stalled"] == [
        c for c in written["conditions"] if c["type"] == "Stalled"
    ]


def written_by_another(endpoint: StreamingEndpoint, result: ProbeResult, failures: int) -> dict[str, Any]:
    """A status that another operator wrote after this result."""
    state = replace(a_state(result.verdict, failures), last_time=result.at)
    return summarize(endpoint, a_world(verification=state), {}, result.at)


def test_what_another_operator_verified_and_wrote_counts_as_our_own() -> None:
    """Two operators at one endpoint share one count of failures, so that both report the same."""
    failing = fold(STREAMING, Verdict.BUFFERED)
    theirs = written_by_another(an_endpoint(), a_result(Verdict.BUFFERED, at=at(60).wall), failures=3)
    merged = failing.merged(theirs, SETTINGS, observed(), at(61))

    assert (merged.state.verdict, merged.state.failures) == (Verdict.BUFFERED, 3)
    assert due_in(merged, 61) == 39  # 40 s after theirs


@pytest.mark.parametrize(
    ("seconds", "world"),
    [(7200, observed()), (60, observed(pod_template_hash="t2"))],
    ids=["from the future", "about another pod template"],
)
def test_a_foreign_verification_that_cannot_be_true_is_ignored(seconds: float, world: Observed) -> None:
    """Ours is written over it."""
    theirs = written_by_another(an_endpoint(), a_result(Verdict.BUFFERED, at=at(seconds).wall), failures=3)

    assert STREAMING.merged(theirs, SETTINGS, world, at(61)) == STREAMING


# ---- what it is made for -----------------------------------------------------------------------------------


def test_a_skipped_probe_changes_only_the_time_of_the_next() -> None:
    """A full queue says nothing: the verdict stays, the next probe is due an interval later."""
    skipped = a_result(Verdict.INCONCLUSIVE, at=at(60).wall, skipped=True)
    schedule = STREAMING.answered(skipped, SETTINGS, observed(), at(60))

    assert schedule.state == STREAMING.state
    assert due_in(schedule) == 360


def test_at_most_three_probes_in_a_row_are_skipped() -> None:
    """Then it is asked, and whatever comes begins the count anew."""
    schedule, may_skip = STREAMING, []
    for _ in range(4):
        may_skip.append(schedule.trigger(observed()).may_skip)
        schedule = fold(schedule, Verdict.INCONCLUSIVE, skipped=True)

    assert may_skip == [True, True, True, False]
    assert fold(schedule, Verdict.INCONCLUSIVE).trigger(observed()).may_skip


def test_only_routine_probes_are_skipped() -> None:
    """Not the first verification, not one in doubt, not one for new pods, a new template or a new route."""
    for doubtful in (NEW, fold(NEW, Verdict.BUFFERED), fold(STREAMING, Verdict.BUFFERED)):
        assert not doubtful.trigger(observed()).may_skip
    for world in (OTHER_POD, observed(pod_template_hash="t2"), observed(route_hash="r2")):
        assert not STREAMING.trigger(world).may_skip


def test_a_new_pod_is_not_warm() -> None:
    """It may still compile its graphs: its first token is not held against anybody."""
    known, new = STREAMING.trigger(observed()), STREAMING.trigger(OTHER_POD)

    assert (known.routine, known.warm) == (True, True)
    assert (new.routine, new.warm) == (True, False)


# ---- a verification that somebody asks for -----------------------------------------------------------------


def asked(schedule: Schedule, request: str = "r-1", seconds: float = 60) -> Schedule:
    """The schedule of an endpoint whose annotation has this value."""
    endpoint = an_endpoint().model_copy(update={"verification_request": request})
    return schedule.observing(endpoint, observed(), at(seconds))


def verified(schedule: Schedule, verdict: Verdict, seconds: float = 60) -> Schedule:
    """One more verification, from its start to its result."""
    started = schedule.started(SETTINGS, at(seconds))
    return started.answered(a_result(verdict, at=at(seconds).wall), SETTINGS, observed(), at(seconds + 1))


def test_a_request_is_due_at_once_and_its_answer_ends_it() -> None:
    """Neither the interval nor the engine's queue keeps it; the next one comes by the interval again."""
    waiting = asked(STREAMING)
    assert due_in(STREAMING, 60) > 200
    assert due_in(waiting, 60) <= 0
    assert (waiting.trigger(observed()).routine, waiting.trigger(observed()).may_skip) == (False, False)

    done = verified(waiting, Verdict.STREAMING)
    assert done.answer is not None
    assert (done.answer.request, done.answer.verdict) == ("r-1", Verdict.STREAMING)
    assert due_in(done, 61) > 200
    assert due_in(asked(done, "r-2"), 75) <= 0


def test_requests_that_come_again_and_again_are_ten_seconds_apart() -> None:
    """Who may annotate an endpoint cannot make it a load test."""
    done = verified(asked(STREAMING), Verdict.STREAMING)
    assert 8 < due_in(asked(done, "r-2"), 62) <= 10


def test_a_request_is_answered_by_a_verification_that_began_after_it() -> None:
    """The result of one that was under way says nothing of what a pipeline has just changed."""
    under_way = asked(STREAMING.started(SETTINGS, at(59)))
    result = a_result(Verdict.STREAMING, at=at(60).wall)
    assert under_way.answered(result, SETTINGS, observed(), at(61)).answer is None


def test_a_request_that_took_the_place_of_another_needs_a_verification_of_its_own() -> None:
    """Both pipelines wait for the later one's answer."""
    replaced = asked(asked(STREAMING).started(SETTINGS, at(60)), "r-2")
    result = a_result(Verdict.STREAMING, at=at(61).wall)
    after = replaced.answered(result, SETTINGS, observed(), at(62))
    assert after.answer is None
    assert after.is_asked


def test_a_request_is_answered_when_the_verdict_is_beyond_doubt() -> None:
    """A first failure after a stream fails no pipeline; the last one that failureThreshold asks for does."""
    once = verified(asked(STREAMING), Verdict.BUFFERED)
    twice = verified(asked(once), Verdict.BUFFERED, 80)
    assert (once.answer, twice.answer) == (None, None)
    assert due_in(twice, 95) <= 0

    third = verified(asked(twice), Verdict.BUFFERED, 100)
    assert third.answer is not None
    assert third.answer.verdict is Verdict.BUFFERED
    again = verified(asked(once), Verdict.STREAMING, 80)
    assert again.answer is not None
    assert again.answer.verdict is Verdict.STREAMING


def test_inconclusive_is_an_answer_although_it_replaces_no_verdict() -> None:
    """A pipeline is told that nothing was proven."""
    done = verified(asked(STREAMING), Verdict.INCONCLUSIVE)
    assert done.state.verdict is Verdict.STREAMING
    assert done.answer is not None
    assert done.answer.verdict is Verdict.INCONCLUSIVE


def test_an_edge_that_has_not_loaded_the_route_answers_no_request() -> None:
    """Its 404 is asked again."""
    fresh = asked(edge_loaded_at(60), seconds=60)
    assert verified(fresh, Verdict.ROUTE_NOT_FOUND).answer is None


def test_an_answer_outlives_a_restart() -> None:
    """The annotation stays; what was answered before is not asked again."""
    done = verified(asked(STREAMING), Verdict.STREAMING)
    world = replace(a_world(), verification=done.state, answer=done.answer)
    status = summarize(an_endpoint(), world, {}, NOON)
    restarted = Schedule.recall(status, SETTINGS, at(70))
    assert restarted.answer == done.answer
    assert not asked(restarted).is_asked
    assert asked(restarted, "r-2").is_asked
