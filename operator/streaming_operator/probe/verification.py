"""
One verification: the same request at the hops of a path, in the order that costs least.

The verdict is that of the outermost hop. Inner hops are asked only when it did not stream, as the control that
distinguishes a proxy's fault from the engine's and names the hop; the enabled checks follow when it did. The result is
always a value; only a cancellation is raised.
"""

import asyncio
import logging
from dataclasses import replace
from functools import partial

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe import checks
from streaming_operator.probe.attempts import Attempts
from streaming_operator.probe.checks import CheckContext
from streaming_operator.probe.control import Control
from streaming_operator.probe.gauges import queues_full
from streaming_operator.probe.hop_results import hop_result
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import Encoding
from streaming_operator.probe.judge.finding import Attempt, Finding, Needs
from streaming_operator.probe.judge.quotes import without_quotes
from streaming_operator.probe.judge.remedies import remedy
from streaming_operator.probe.judge.storing import Measured, measured
from streaming_operator.probe.judge.verdict import (
    OUTWARDS,
    agree,
    is_certain,
    judge,
    same_fault,
    streams,
)
from streaming_operator.probe.outcome import (
    Outcome,
    ended_by_itself,
    half_would_tell,
    is_doubtful,
    is_limited,
    labelled,
    remarked,
    with_pods,
)
from streaming_operator.probe.plan import REPLICA_CONCURRENCY, Plan, Replica
from streaming_operator.probe.stream.redaction import hidden_everywhere
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import HopResult, ProbeResult

__all__ = ["Plan", "verify"]

log = logging.getLogger(__name__)

QUEUES_FULL = "requests of users wait in the queue of every replica"

TIMELINES_KEPT = 2
"""Timelines kept of all the replicas that do not stream: the first of them is shown."""
_WAITED = (Symptom.NO_TOKEN, Symptom.KEPT_WAITING)
CANCEL_TOKENS = 1024
"""Most tokens of the stream whose client disconnects: long enough to be cancelled."""


async def verify(plan: Plan) -> ProbeResult:
    """Verify that a completion streams; where it does not, say which hop is at fault."""
    by_hop = {target.hop: target for target in plan.targets}
    order = [by_hop[hop] for hop in OUTWARDS if hop in by_hop]
    if not order:
        raise ValueError("a plan needs at least one target")
    try:
        result = await _Verification(plan, order).run()
        return await connection.off_loop(partial(hidden_everywhere, result, plan.secrets))
    except Exception as error:  # callers get a value; the cause goes to the log
        log.exception("the probe itself failed")
        message = f"the probe itself failed ({type(error).__name__}): see the operator's log"
        hop = HopResult(order[-1].hop, str(order[-1]), Verdict.INCONCLUSIVE, message)
        return _result(plan, Verdict.INCONCLUSIVE, order[-1].hop, message, (hop,))


class _Verification:
    """The state of one verification: pinned addresses, the number of tokens that is enough, outcomes by hop."""

    def __init__(self, plan: Plan, order: list[connection.Target]) -> None:
        self._plan = plan
        self._inner, self._outermost = order[:-1], order[-1]
        self._tokens = plan.start_tokens
        self._cap = max(plan.cap_tokens, plan.start_tokens)
        self._attempts = Attempts(plan, self._outermost)
        self._queues_full = False
        self._outcomes: dict[Hop, Outcome] = {}
        self._latest: Outcome | None = None
        self._notes: list[str] = []
        self._control = Control(self._attempts, order[0] if len(order) > 1 else None)
        self._streams: dict[tuple[connection.Target, Encoding], list[Measured]] = {}

    async def run(self) -> ProbeResult:
        """The result, after `Plan.longest` at the latest."""
        plan = self._plan
        try:
            async with asyncio.timeout(plan.longest) as limit:
                decisive = await self._decisive()
        except TimeoutError:
            if not limit.expired():
                raise
            decisive = self._unfinished()
        if decisive is None:
            return replace(
                _result(plan, Verdict.INCONCLUSIVE, self._outermost.hop, QUEUES_FULL, ()), skipped=True
            )
        hop = decisive.target.hop
        message = "; ".join((self._message(hop, decisive.finding), *self._notes))
        results = await connection.off_loop(self._hop_results)
        return _result(plan, decisive.finding.verdict, hop, message, results)

    async def _decisive(self) -> Outcome | None:
        """The outcome of the hop that decides; None if users wait and the verification is skipped."""
        plan, outermost = self._plan, self._outermost.hop
        if plan.gauges is not None and plan.replicas:
            pods = [replica.target for replica in plan.replicas]
            self._queues_full = await queues_full(pods, plan.gauges, plan.guard)
            if self._queues_full and plan.may_skip:
                return None
        outcome = await self._worst_encoding()
        decisive, self._outcomes = outcome, {outermost: outcome}
        if streams(outcome.finding.verdict):
            decisive = await self._run_checks(outcome)
        elif outcome.finding.symptom is not Symptom.FORBIDDEN_ADDRESS and (
            outcome.finding.verdict is not Verdict.INCONCLUSIVE
        ):  # an address that the guard refuses is no other hop's fault
            decisive = await self._locate(outcome)
        if plan.every_hop and len(self._outcomes) == 1:
            for target in self._inner:
                self._outcomes[target.hop] = await self._settled(target, plan.encodings[0])
        return decisive

    def _unfinished(self) -> Outcome:
        """
        What was learnt when the time was over; a fault of the outermost hop that no second stream confirmed is no
        verdict, unless another one would take as long.
        """
        ended = f"the verification was ended after {self._plan.longest:.0f} s"
        outcome = self._outcomes.get(self._outermost.hop)
        if outcome is None:
            nothing = Finding(Verdict.INCONCLUSIVE, Symptom.UNCLEAR, "no stream was over")
            outcome = self._latest or Outcome(nothing, None, self._outermost)
            finding = outcome.finding
            if not (streams(finding.verdict) or is_certain(finding) or finding.symptom in _WAITED):
                evidence = f"{finding.evidence}; it was not confirmed"
                finding = Finding(Verdict.INCONCLUSIVE, Symptom.UNCLEAR, evidence, remarks=finding.remarks)
            outcome = replace(outcome, finding=finding)
            self._outcomes[self._outermost.hop] = outcome
        self._notes.append(ended)
        return outcome

    async def _locate(self, outcome: Outcome) -> Outcome:
        """The innermost hop that has the fault too; else the outermost is to blame."""
        for target in self._inner:
            for replica in self._replicas_of(target):
                inner = await self._inner_outcome(replica.target, outcome)
                if replica.pod and not streams(inner.finding.verdict):
                    inner = with_pods((replica,), len(self._plan.replicas), inner)
                self._outcomes[target.hop] = inner
                if same_fault(outcome.finding.verdict, inner.finding.verdict):
                    return inner
        return outcome

    def _replicas_of(self, target: connection.Target) -> tuple[Replica, ...]:
        """Every pod if `checks.perReplica` is set; else the target itself, whose pod needs no name."""
        per_replica = target.hop is Hop.POD and self._plan.checks.per_replica and self._plan.replicas
        return self._plan.replicas if per_replica else (Replica("", target),)

    async def _run_checks(self, outcome: Outcome) -> Outcome:
        """The outcome of the first enabled check that fails; else the given one."""
        plan = self._plan
        if plan.checks.per_replica and (bad := await self._bad_replica()) is not None:
            self._outcomes[Hop.POD] = bad
            return bad
        path = (*self._inner, self._outermost)
        enabled: list[tuple[checks.Check, int, tuple[connection.Target, ...]]] = []
        if plan.source is not None:
            enabled.append((checks.served_model, 1, path[:1]))
        if plan.checks.auth and plan.key is not None:
            enabled.append((checks.auth, 1, path))
        if plan.checks.cancel:
            enabled.append((checks.cancel, min(CANCEL_TOKENS, self._cap), path))
        for check, tokens, asked in enabled:
            context = CheckContext.of(plan, self._attempts.wording, tokens)
            target, result = await checks.check_path(check, context, asked, self._attempts.pin)
            if result.finding is not None:
                failed = Outcome(result.finding, None, target)
                self._outcomes.setdefault(target.hop, failed)
                return failed
            if result.note:
                self._notes.append(result.note)
        return await self._bad_further() or outcome

    async def _bad_further(self) -> Outcome | None:
        """Ask what users may ask for besides: the outcome of the first that does not stream."""
        for further in self._plan.further:
            alone = replace(self._plan, model=further.model, wording=self._attempts.wording)
            verification = _Verification(alone, [further.target])
            verification._queues_full = self._queues_full
            settled = await verification._settled(further.target, alone.encodings[0])
            outcome = labelled(further.label, settled)
            if outcome.finding.verdict is Verdict.INCONCLUSIVE or is_limited(outcome):
                self._notes.append(outcome.finding.evidence)
            elif not streams(outcome.finding.verdict):
                self._outcomes[further.target.hop] = outcome
                return outcome
        return None

    async def _bad_replica(self) -> Outcome | None:
        """Ask every ready pod: the outcome of the first that does not stream, with the names of all such pods."""
        plan, slots = self._plan, asyncio.Semaphore(REPLICA_CONCURRENCY)
        kept: list[Timeline] = []

        async def one(replica: Replica) -> Outcome:
            alone = replace(plan, start_tokens=min(self._tokens, self._cap))
            verification = _Verification(alone, [replica.target])
            verification._queues_full = self._queues_full
            async with slots:
                outcome = await verification._settled(replica.target, plan.encodings[0])
            if outcome.timeline is None or streams(outcome.finding.verdict) or len(kept) >= TIMELINES_KEPT:
                return replace(outcome, timeline=None)
            kept.append(outcome.timeline)
            return outcome

        outcomes = await asyncio.gather(*(one(replica) for replica in plan.replicas))
        bad = [
            (replica, outcome)
            for replica, outcome in zip(plan.replicas, outcomes, strict=True)
            if not streams(outcome.finding.verdict) and outcome.finding.verdict is not Verdict.INCONCLUSIVE
        ]
        if not bad:
            return None
        return with_pods(tuple(replica for replica, _ in bad), len(plan.replicas), bad[0][1])

    async def _worst_encoding(self) -> Outcome:
        """Ask the outermost hop with each encoding; the first that does not stream counts."""
        outcome = None
        for encoding in self._plan.encodings:
            settled = await self._settled(self._outermost, encoding)
            if outcome is not None and is_limited(settled):
                return remarked(outcome, f"the request with Accept-Encoding: {encoding} got 429")
            outcome = settled
            if not streams(outcome.finding.verdict):
                return await self._blame_gzip(outcome, encoding)
        if outcome is None:
            raise ValueError("a plan needs at least one encoding")
        return outcome

    async def _blame_gzip(self, outcome: Outcome, encoding: Encoding) -> Outcome:
        """The outcome; it names compression as the cause if the fault goes away without it."""
        finding = outcome.finding
        suspicious = finding.verdict in (Verdict.BUFFERED, Verdict.COALESCED, Verdict.TRUNCATED)
        if encoding != "gzip" or not (suspicious or finding.symptom is Symptom.UNREADABLE):
            return outcome
        plain = await self._stream(self._outermost, "identity")
        if not streams(plain.finding.verdict):
            return outcome
        symptom = Symptom.GZIP_BLOCK if finding.symptom is Symptom.BLOCK else finding.symptom
        evidence = f"{finding.evidence}; without Accept-Encoding: gzip it streams"
        return replace(outcome, finding=replace(finding, symptom=symptom, evidence=evidence))

    async def _inner_outcome(self, target: connection.Target, outer: Outcome) -> Outcome:
        encoding = self._plan.encodings[0]
        first = await self._stream(target, encoding)
        decides = same_fault(outer.finding.verdict, first.finding.verdict) or is_doubtful(first)
        if decides and not is_certain(first.finding):
            return await self._majority(target, encoding, first)
        return first

    async def _settled(self, target: connection.Target, encoding: Encoding) -> Outcome:
        first = await self._stream(target, encoding)
        if (streams(first.finding.verdict) and not is_doubtful(first)) or is_certain(first.finding):
            return first
        if self._queues_full and first.finding.symptom in _WAITED:
            return first  # two more streams would wait as long
        return await self._majority(target, encoding, first)

    async def _majority(self, target: connection.Target, encoding: Encoding, first: Outcome) -> Outcome:
        """Two of three streams decide, so that one exception is no fault."""
        outcomes = [first]
        while len(outcomes) < 3:
            another = await self._stream(target, encoding)
            if is_limited(another):
                return remarked(outcomes[-1], "a repeated request got 429")
            outcomes.append(another)
            if len({one.finding.verdict for one in outcomes}) < len(outcomes):
                break
        finding = agree([one.finding for one in outcomes])
        shown = next((one for one in outcomes if one.finding.verdict is finding.verdict), outcomes[-1])
        return Outcome(finding, shown.timeline, target)

    async def _stream(self, target: connection.Target, encoding: Encoding) -> Outcome:
        """One stream, repeated with twice the tokens until it can be judged or the limit is reached."""
        before: Attempt | None = None
        earlier = self._streams.setdefault((target, encoding), [])
        while True:
            attempt = await self._attempts.ask(target, encoding, self._tokens)
            if not self._plan.quotes:
                attempt = await connection.off_loop(partial(without_quotes, attempt))
            refused = attempt.timeline is not None and attempt.timeline.status in (400, 429)
            if before is not None and refused:  # so many tokens, or another request
                attempt, self._tokens = before, before.asked or self._tokens // 2
                self._cap = self._tokens
            capped = self._tokens >= self._cap or ended_by_itself(attempt, self._tokens)
            judged, control = partial(self._judged, attempt, target, capped=capped), None
            finding = await connection.off_loop(partial(judged, tuple(earlier)))
            if finding.needs is Needs.CONTROL and self._has_control(target):
                finding, control = await self._control.compare(
                    finding, partial(judged, tuple(earlier)), encoding, self._tokens
                )
            half = self._tokens // 2
            if capped and half >= self._plan.start_tokens and half_would_tell(finding, attempt, earlier):
                earlier += await _measured(await self._attempts.ask(target, encoding, half))
                finding = await connection.off_loop(partial(judged, tuple(earlier), control=control))
            earlier += await _measured(attempt)
            self._plan.on_stream(target.hop, encoding, self._tokens, finding)
            outcome = Outcome(finding, attempt.timeline, target)
            if target is self._outermost:
                self._latest = outcome
            if finding.needs is not Needs.MORE_TOKENS:
                return outcome
            before = attempt
            nothing_to_see = attempt.timeline is not None and attempt.timeline.token_reads <= 2
            self._tokens = min(self._tokens * (4 if nothing_to_see else 2), self._cap)

    def _judged(
        self,
        attempt: Attempt,
        target: connection.Target,
        earlier: tuple[Measured, ...],
        *,
        capped: bool,
        control: Timeline | None = None,
    ) -> Finding:
        """The finding; while every queue is full, a late first token is caused by the load and not judged."""
        plan = self._plan
        max_ttft = None if self._queues_full else plan.max_ttft
        finding = judge(
            attempt,
            jitter=self._attempts.jitter(target),
            control=control,
            earlier=earlier,
            innermost=target.hop is Hop.POD,
            capped=capped,
            max_ttft=max_ttft,
            max_gap=plan.max_gap,
        )
        if self._queues_full and finding.verdict is Verdict.TTFT_EXCEEDED:
            evidence = f"{finding.evidence}; {QUEUES_FULL}"
            finding = replace(finding, verdict=Verdict.INCONCLUSIVE, evidence=evidence, needs=Needs.NOTHING)
        note = checks.missed_keep_alive(attempt.timeline, plan.keep_alive) if attempt.timeline else ""
        return replace(finding, evidence=f"{finding.evidence}; {note}") if note else finding

    def _has_control(self, target: connection.Target) -> bool:
        """Whether a hop is nearer to the engine than this one."""
        return bool(self._inner) and target is not self._inner[0] and target.hop is not Hop.POD

    def _message(self, hop: Hop, finding: Finding) -> str:
        names = self._plan.names
        if hop is Hop.PUBLIC:
            host = self._outermost.host
            names = replace(names, edge=f"what stands before the edge at {host}", host=host)
        advice = remedy(hop, finding.symptom, names, finding.fingerprint)
        where = f"{hop.value}: " if hop is not self._outermost.hop else ""
        return f"{where}{finding.evidence}" + (f". Remedy: {advice}" if advice else "")

    def _hop_results(self) -> tuple[HopResult, ...]:
        return tuple(
            hop_result(hop, self._attempts.address(one.target), one.finding, one.timeline)
            for hop, one in self._outcomes.items()
        )


async def _measured(attempt: Attempt) -> list[Measured]:
    """What the next streams are compared with; nothing of one that nothing can be compared with."""
    if attempt.timeline is None:
        return []
    compared = await connection.off_loop(partial(measured, attempt.timeline))
    return [compared] if compared else []


def _result(plan: Plan, verdict: Verdict, hop: Hop, message: str, hops: tuple[HopResult, ...]) -> ProbeResult:
    return ProbeResult(
        verdict, hop, message, hops, plan.pod_template_hash, plan.route_hash, plan.ready_pods, plan.clock()
    )
