"""The outcome of one hop in a verification, and what follows from it for the next stream. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.checks import pod_names
from streaming_operator.probe.http import connection
from streaming_operator.probe.judge.finding import Attempt, Finding, Needs
from streaming_operator.probe.judge.remarks import RemarkKind, remark
from streaming_operator.probe.judge.storing import Measured
from streaming_operator.probe.plan import Replica
from streaming_operator.probe.stream.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Outcome:
    """The finding about one hop, with the stream that shows it."""

    finding: Finding
    timeline: Timeline | None
    target: connection.Target


def is_doubtful(outcome: Outcome) -> bool:
    """Whether a whole stream was uneven, or in bursts that nothing is compared with: one on a busy machine may be."""
    whole = outcome.timeline is not None and outcome.timeline.done
    uncertain = outcome.finding.verdict is Verdict.INCONCLUSIVE or outcome.finding.needs is not Needs.NOTHING
    return whole and uncertain


def is_limited(outcome: Outcome) -> bool:
    """Whether a rate limit refused the request: it says nothing about the path that streamed before."""
    return outcome.timeline is not None and outcome.timeline.status == 429


def remarked(outcome: Outcome, observed: str) -> Outcome:
    """The outcome that was learnt before a rate limit refused to confirm it."""
    remarks = (*outcome.finding.remarks, remark(RemarkKind.LIMITED, observed))
    return replace(outcome, finding=replace(outcome.finding, remarks=remarks))


def with_pods(replicas: tuple[Replica, ...], of: int, outcome: Outcome) -> Outcome:
    """The outcome with the names of these pods in its evidence."""
    names = pod_names([replica.pod for replica in replicas])
    evidence = f"{names} of {of}: {outcome.finding.evidence}"
    return replace(outcome, finding=replace(outcome.finding, evidence=evidence))


def labelled(label: str, outcome: Outcome) -> Outcome:
    """The outcome with what was asked in its evidence."""
    evidence = f"{label}: {outcome.finding.evidence}"
    return replace(outcome, finding=replace(outcome.finding, evidence=evidence))


def half_would_tell(finding: Finding, attempt: Attempt, earlier: Sequence[Measured]) -> bool:
    """
    Whether a whole stream is inconclusive for want of one with fewer tokens: a further encoding or hop begins with as
    many as the first one needed.
    """
    t = attempt.timeline
    if t is None or not t.done or finding.verdict is not Verdict.INCONCLUSIVE:
        return False
    tokens = t.tokens or t.events
    return finding.symptom is Symptom.UNCLEAR and not any(one.tokens < tokens for one in earlier)


def ended_by_itself(attempt: Attempt, tokens: int) -> bool:
    """Whether the model stopped before the limit: it would give no more tokens under a higher one."""
    t = attempt.timeline
    return t is not None and t.done and t.finish_reason == "stop" and (t.tokens or t.events) < tokens
