"""
When one endpoint is verified, what for, and what the answers so far mean. Pure: the clock is a parameter.

A `Schedule` is a value; each event gives the next one: `recall` (a status that was read), `observing` (pods, route
or spec changed), `started`, then `answered` or `failed`, or `blocked` when a verification could not even be prepared.

Durations are counted on the monotonic clock: setting the wall clock postpones nothing. Wall times come from a status
only, and an age made of them is at least 0 and at most one interval.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from streaming_operator import status
from streaming_operator.api.endpoint import StreamingEndpoint, Verification
from streaming_operator.api.reasons import STREAMS, Hop, Verdict
from streaming_operator.probe import Trigger
from streaming_operator.status import Answer, VerificationState
from streaming_operator.values import Observed, ProbeResult, Problem

FAILING_PAUSE = 10.0
"""
Seconds after a failure: constant while the verdict before still holds, doubled each time once it is lost, at most
the endpoint's interval.
"""

EDGE_SETTLES = 30.0
"""
Seconds after a change of route or pods in which some answers say only that it has not reached everybody: a 404 or 503
that the edge has not loaded it, a Service that refuses connections that a node has not written its rules (kube-proxy
follows the EndpointSlice by seconds).
"""

SETTLING_PAUSE = 2.0

BLOCKED_PAUSE_MAX = 60.0
"""Longest pause while something, such as a missing Secret, keeps a verification from being prepared."""

MAX_SKIPPED = 3
"""Intervals in a row that a full engine queue may cost; then it is asked all the same."""

AWAY = "away"
"""In the place of a route's hash: the route was not served meanwhile, and no verdict is about it."""

UNSETTLED = frozenset({Verdict.ROUTE_NOT_FOUND, Verdict.UPSTREAM_ERROR})


class Moment(NamedTuple):
    """Now, on both clocks."""

    wall: datetime
    seconds: float
    """Monotonic."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The verifications of one endpoint."""

    state: VerificationState = field(default_factory=VerificationState)
    """What the answers so far mean."""
    problem: Problem | None = None
    """Why the last verification could not be prepared."""
    jitter: float = 1.0
    """Factor of the interval, so that endpoints applied together are not probed together for ever."""
    turn: float = 0.0
    """Share of the interval after which this endpoint's turn comes when all are recalled at once, at a start."""
    recalled_at: float | None = None
    """When the state was read from a status; None once a verification has ended since."""
    answered_at: float | None = None
    """When the last verification ended or was left out; None before the first."""
    without_stream: int = 0
    """Answers in a row that were no stream."""
    skipped: int = 0
    """Verifications in a row that were left out for a full engine queue."""
    verified_pods: frozenset[str] | None = None
    """The pods that were ready at the last answer; None when that is not known."""
    settings: Verification | None = None
    """`spec.verification` at the last start; a verification by others is due at once."""
    attempts: int = 0
    """Starts in a row that brought no answer: blocked, or failed in the operator itself."""
    attempted_at: float = 0.0
    generation: int = 0
    edge: tuple[frozenset[str], datetime | None, bool] | None = None
    """What the edge had to load last: the ready pods, when the route was written, and whether it is served."""
    edge_changed_at: float = 0.0
    request: str = ""
    """The verification that somebody asks for; "" when nobody does."""
    started_for: str = ""
    """The request when the last verification began: an answer to a later one must begin later."""
    answer: Answer | None = None
    """The result of the request that was answered last."""
    away_at: float = -math.inf
    """When the route was last seen not to be served: what was asked before says nothing of it."""

    @classmethod
    def recall(
        cls,
        written: Mapping[str, Any],
        settings: Verification,
        now: Moment,
        *,
        jitter: float = 1.0,
        turn: float = 0.0,
    ) -> "Schedule":
        """The schedule that a status describes, as after a restart."""
        recalled = cls(
            jitter=jitter, turn=turn, recalled_at=now.seconds, answer=status.recall_answer(written)
        )
        return recalled._taking(status.recall(written), settings, now)

    def merged(
        self, written: Mapping[str, Any], settings: Verification, observed: Observed, now: Moment
    ) -> "Schedule":
        """
        Take over what another operator wrote, so that both report the same.

        What is written counts: a result is folded into it, and written only over the version that it was folded
        into. It must be about what runs now; a time far in the future comes from a wrong clock.
        """
        theirs = status.recall(written)
        if theirs.last_time is None or not theirs.is_about(observed):
            return self
        if (theirs.last_time - now.wall).total_seconds() > settings.interval_seconds:
            return self
        answer = status.recall_answer(written) or self.answer
        return replace(self._taking(theirs, settings, now), answer=answer)

    def observing(self, endpoint: StreamingEndpoint, observed: Observed, now: Moment) -> "Schedule":
        """
        Note a request, a changed spec, which ends the wait after a problem, and what the edge has to load.

        A verdict about a route ends when the edge no longer serves it as it is rendered: the same route that comes
        back, after another endpoint had its host for a while, is verified before it counts again.
        """
        current = replace(self, request=endpoint.verification_request)
        if endpoint.generation != self.generation:
            current = replace(current, generation=endpoint.generation, attempts=0, problem=None)
        is_served = _is_served(observed)
        edge = (observed.ready_pods, observed.route.written_at if observed.route else None, is_served)
        if edge != self.edge:
            current = replace(current, edge=edge, edge_changed_at=now.seconds)
        if not is_served:
            state = self.state if self.state.verdict is None else replace(self.state, route_hash=AWAY)
            current = replace(current, state=state, away_at=now.seconds)
        return current

    def started(self, settings: Verification, now: Moment) -> "Schedule":
        """A verification was started."""
        return replace(
            self,
            settings=settings,
            attempts=self.attempts + 1,
            attempted_at=now.seconds,
            problem=None,
            started_for=self.request,
        )

    def blocked(self, problem: Problem, now: Moment) -> "Schedule":
        """A verification was due and could not be prepared."""
        return replace(self, attempts=self.attempts + 1, attempted_at=now.seconds, problem=problem)

    def failed(self, problem: Problem) -> "Schedule":
        """The verification that was started ended in an error of the operator itself."""
        return replace(self, problem=problem)

    def answered(
        self, result: ProbeResult, settings: Verification, observed: Observed, now: Moment
    ) -> "Schedule":
        """
        Fold one result in, unless it is about something that no longer runs.

        A success counts at once. A first failure counts at once; after a success it takes `failureThreshold` failures
        in a row. `Inconclusive` keeps what held before.
        """
        current = replace(self, attempts=0, problem=None, recalled_at=None)
        is_current = (result.pod_template_hash, result.route_hash) == (
            observed.pod_template_hash,
            observed.route_hash,
        )
        if not is_current:
            return current
        if not _is_served(observed) or self.attempted_at < self.away_at:
            return replace(current, answered_at=now.seconds)
        if result.skipped:
            return replace(current, skipped=self.skipped + 1, answered_at=now.seconds)
        before = self.state if self.state.is_about(observed) else VerificationState()
        settling = _may_be_early(result) and now.seconds - self.edge_changed_at < EDGE_SETTLES
        state = _folded(before, result, settings.failure_threshold, settling=settling)
        return replace(
            current,
            state=state,
            answer=self._answered_by(result, state) or self.answer,
            answered_at=now.seconds,
            without_stream=0 if result.verdict in STREAMS else self.without_stream + 1,
            skipped=0,
            verified_pods=result.ready_pods,
        )

    def until_due(self, settings: Verification, observed: Observed, now: Moment) -> float:
        """
        Seconds until the next verification; zero or less means now, as after each edit of `spec.verification`. One
        that somebody asks for comes `FAILING_PAUSE` after the one before.

        A verdict that was read back is as old as its last write, since good news is not written every time: a
        restarted operator would find thousands due at once, so each waits for its turn within one interval.
        """
        interval = settings.interval_seconds * self.jitter
        due = now.seconds
        edited = self.settings is not None and self.settings != settings
        if not edited and self.answered_at is not None and self.state.is_about(observed):
            pause = self._pause(observed, interval)
            due = self.answered_at + (min(pause, FAILING_PAUSE) if self.is_asked else pause)
            if self.recalled_at is not None and self.state.streams and not self.is_asked:
                due = max(due, self.recalled_at + interval * self.turn)
        if self.state.route_hash == AWAY and self.answered_at is not None:
            # An edge may take the route and let go of it by turns.
            due = max(due, self.answered_at + FAILING_PAUSE)
        if self.attempts:
            longest = min(BLOCKED_PAUSE_MAX, interval) if self.problem else interval
            due = max(due, self.attempted_at + _doubled(self.attempts, longest))
        return due - now.seconds

    def trigger(self, observed: Observed) -> Trigger:
        """Why the next verification is made: routine only when the clock alone asks, or a doubt about a stream."""
        routine = self._is_routine(observed) and not self.is_asked
        warm = routine and self.verified_pods in (None, observed.ready_pods)
        may_skip = warm and self.state.failures == 0 and self.skipped < MAX_SKIPPED
        return Trigger(routine=routine, warm=warm, may_skip=may_skip)

    @property
    def is_asked(self) -> bool:
        """Whether somebody asks for a verification and has no answer yet."""
        return self.request != "" and (self.answer is None or self.answer.request != self.request)

    def _answered_by(self, result: ProbeResult, state: VerificationState) -> Answer | None:
        """
        What *result* answers to the request for which it was made; None where *state* is still in doubt.

        A pipeline acts on it: a first failure after a stream decides nothing, nor an edge that has not loaded a route.
        """
        if not self.started_for or self.started_for != self.request or state.settling:
            return None
        inconclusive = result.verdict is Verdict.INCONCLUSIVE
        if state.streams and state.failures and not inconclusive:
            return None
        return Answer(self.request, result.verdict, result.hop, result.message_with_remarks)

    def _taking(self, state: VerificationState, settings: Verification, now: Moment) -> "Schedule":
        """Take over a state that was written at some wall time."""
        if state.last_time is None:
            return self
        age = (now.wall - state.last_time).total_seconds()
        return replace(
            self,
            state=state,
            answered_at=now.seconds - min(max(age, 0.0), settings.interval_seconds * self.jitter),
            without_stream=state.failures,
            skipped=0,
            verified_pods=None,
        )

    def _is_routine(self, observed: Observed) -> bool:
        return self.state.streams and self.state.is_about(observed)

    def _pause(self, observed: Observed, interval: float) -> float:
        """Seconds from the last answer to the next verification."""
        if self.state.settling:
            return SETTLING_PAUSE
        if not self.state.streams:
            return _doubled(self.without_stream, interval)
        new_pods = self.verified_pods not in (None, observed.ready_pods)
        return FAILING_PAUSE if self.state.failures or new_pods else interval


def _is_served(observed: Observed) -> bool:
    """Whether the route, where there is one, is at the edge as it is rendered."""
    return observed.route is None or observed.route.admitted


def _may_be_early(result: ProbeResult) -> bool:
    """Whether a change that has not reached everybody explains the result."""
    unprogrammed = (result.verdict, result.hop) == (Verdict.UNREACHABLE, Hop.SERVICE)
    return result.verdict in UNSETTLED or unprogrammed


def _folded(
    before: VerificationState, result: ProbeResult, threshold: int, *, settling: bool
) -> VerificationState:
    """The state after one more result about the same pod template and route."""
    kept = replace(
        before,
        pod_template_hash=result.pod_template_hash,
        route_hash=result.route_hash,
        last_time=result.at,
        settling=settling,
    )
    if settling:
        return kept
    message = result.message_with_remarks
    replaced = replace(kept, verdict=result.verdict, hop=result.hop, message=message, hops=result.hops)
    if result.verdict in STREAMS:
        return replace(replaced, failures=0)
    if result.verdict is Verdict.INCONCLUSIVE:
        return replaced if before.verdict in (None, Verdict.INCONCLUSIVE) else kept
    failures = before.failures + 1
    if before.streams and failures < threshold:
        return replace(kept, failures=failures)
    return replace(replaced, failures=failures)


def _doubled(count: int, longest: float) -> float:
    """`FAILING_PAUSE` for the first, twice as long for each more, at most *longest*."""
    return min(FAILING_PAUSE * 2.0 ** min(max(count - 1, 0), 20), longest)
