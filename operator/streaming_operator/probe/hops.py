"""
One verification: the same request at the hops of a path, in the order that costs least.

The outermost hop alone judges. Inner hops are asked only when it did not stream, as the control that tells
a proxy's fault from the engine's and names the hop. Always ends in a value; nothing but a cancellation is
raised.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from streaming_operator.api.conditions import Hop, Verdict
from streaming_operator.facts import HopResult, ProbeResult
from streaming_operator.probe import wire
from streaming_operator.probe.finding import Attempt, Finding, Needs, Symptom
from streaming_operator.probe.remedies import Names, remedy
from streaming_operator.probe.request import PROMPT, Api, ApiKey, Ask, Encoding, body, post
from streaming_operator.probe.safety import Guard
from streaming_operator.probe.timeline import Recorder, Timeline, Trouble, quantile
from streaming_operator.probe.verdict import OUTWARDS, agree, is_certain, judge, same_fault, streams

log = logging.getLogger(__name__)

CONNECTS = 5
"""TCP connects that estimate the path's jitter."""
INNER_PATIENCE = 30.0
"""Seconds an inner hop gets for its first token: it is asked only to tell where a fault sits."""


def _now() -> datetime:
    return datetime.now(UTC)


def _nonce() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to verify and what the result will speak of."""

    targets: tuple[wire.Target, ...]
    """At most one a hop, in any order; the outermost judges."""
    model: str
    names: Names = field(default_factory=Names)
    key: ApiKey | None = None
    prompt: str = PROMPT
    api: Api = "chat"
    start_tokens: int = 64
    """max_tokens of the first stream; doubled while a verdict would be a guess."""
    cap_tokens: int = 1024
    """The most tokens asked for: 1,024 or what the model's length leaves."""
    encodings: tuple[Encoding, ...] = ("gzip", "identity")
    """Asked one after the other, the worse counts; a routine verification asks only the first."""
    limits: wire.Limits = field(default_factory=wire.Limits)
    guard: Guard = field(default_factory=Guard)
    pod_template_hash: str = ""
    route_hash: str = ""
    ready_pods: frozenset[str] = frozenset()
    clock: Callable[[], datetime] = _now
    nonce: Callable[[], str] = _nonce
    heard: Callable[[Hop, Encoding, int, Finding], None] = lambda hop, encoding, tokens, finding: None
    """Told after each stream, for a person who waits."""
    arrived: Callable[[Hop, float, int], None] = lambda hop, at, size: None
    """
    Told of each read while it happens: seconds since the request, bytes. Called in the thread that reads all, so it
    must be quick and safe to call there.
    """
    every_hop: bool = False
    """Ask the inner hops also when the judging one streams: a person wants to see them side by side."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one hop said at last, with the stream that shows it."""

    finding: Finding
    timeline: Timeline | None


async def verify(plan: Plan) -> ProbeResult:
    """Ask, judge, localise."""
    by_hop = {target.hop: target for target in plan.targets}
    order = [by_hop[hop] for hop in OUTWARDS if hop in by_hop]
    if not order:
        raise ValueError("a plan needs at least one target")
    try:
        return await _Verification(plan, order).run()
    except Exception as error:  # the promise is a value; the cause goes to the log
        log.exception("the probe itself failed")
        told = f"the probe itself failed ({type(error).__name__}): see the operator's log"
        hop = HopResult(order[-1].hop, str(order[-1]), Verdict.INCONCLUSIVE, told)
        return _result(plan, Verdict.INCONCLUSIVE, order[-1].hop, told, (hop,))


class _Verification:
    """The state of one run: what was pinned, how many tokens are enough, what inner hops said."""

    def __init__(self, plan: Plan, order: list[wire.Target]) -> None:
        self._plan = plan
        self._inner, self._judging = order[:-1], order[-1]
        self._tokens = plan.start_tokens
        self._cap = max(plan.cap_tokens, plan.start_tokens)
        self._pinned: dict[Hop, wire.Target] = {}
        self._jitter: dict[Hop, float] = {}
        self._control: Timeline | None = None
        self._control_asked = False

    async def run(self) -> ProbeResult:
        plan, judging = self._plan, self._judging.hop
        outcome = await self._worst()
        hop, told, seen = judging, outcome, {judging: outcome}
        if not streams(outcome.finding.verdict) and outcome.finding.verdict is not Verdict.INCONCLUSIVE:
            for target in self._inner:
                seen[target.hop] = inner = await self._inner_outcome(target, outcome)
                if same_fault(outcome.finding.verdict, inner.finding.verdict):
                    hop, told = target.hop, inner
                    break
        elif plan.every_hop:
            for target in self._inner:
                seen[target.hop] = await self._stream(target, plan.encodings[0])
        message = self._message(hop, told.finding)
        results = tuple(self._hop_result(name, one) for name, one in seen.items())
        return _result(plan, told.finding.verdict, hop, message, results)

    async def _worst(self) -> _Outcome:
        """The judging hop with each encoding; the first that does not stream counts."""
        outcome = None
        for encoding in self._plan.encodings:
            outcome = await self._settled(self._judging, encoding)
            if not streams(outcome.finding.verdict):
                return await self._only_with_gzip(outcome, encoding)
        if outcome is None:
            raise ValueError("a plan needs at least one encoding")
        return outcome

    async def _only_with_gzip(self, outcome: _Outcome, encoding: Encoding) -> _Outcome:
        """Whether the fault goes away without compression: that names the culprit."""
        finding = outcome.finding
        if encoding != "gzip" or finding.verdict not in (
            Verdict.BUFFERED,
            Verdict.COALESCED,
            Verdict.TRUNCATED,
        ):
            return outcome
        plain = await self._stream(self._judging, "identity")
        if not streams(plain.finding.verdict):
            return outcome
        symptom = Symptom.GZIP_BLOCK if finding.symptom is Symptom.BLOCK else finding.symptom
        told = f"{finding.evidence}; without Accept-Encoding: gzip it streams"
        return replace(outcome, finding=replace(finding, symptom=symptom, evidence=told))

    async def _inner_outcome(self, target: wire.Target, outer: _Outcome) -> _Outcome:
        encoding = self._plan.encodings[0]
        first = await self._stream(target, encoding)
        if same_fault(outer.finding.verdict, first.finding.verdict) and not is_certain(first.finding):
            return await self._majority(target, encoding, first)
        return first

    async def _settled(self, target: wire.Target, encoding: Encoding) -> _Outcome:
        first = await self._stream(target, encoding)
        if streams(first.finding.verdict) or is_certain(first.finding):
            return first
        return await self._majority(target, encoding, first)

    async def _majority(self, target: wire.Target, encoding: Encoding, first: _Outcome) -> _Outcome:
        """Two of three decide; one odd stream is no outage."""
        outcomes = [first]
        while len(outcomes) < 3:
            outcomes.append(await self._stream(target, encoding))
            if len({one.finding.verdict for one in outcomes}) < len(outcomes):
                break
        finding = agree([one.finding for one in outcomes])
        shown = next((one for one in outcomes if one.finding.verdict is finding.verdict), outcomes[-1])
        return _Outcome(finding, shown.timeline)

    async def _stream(self, target: wire.Target, encoding: Encoding) -> _Outcome:
        """One stream, repeated with twice the tokens until it can be judged or the cap is reached."""
        before: Attempt | None = None
        while True:
            attempt = await self._ask(target, encoding)
            jitter = self._jitter.get(target.hop, 0.0)
            too_many = attempt.timeline is not None and attempt.timeline.status == 400 and before is not None
            if before is not None and too_many:
                attempt, self._tokens = before, self._tokens // 2
                self._cap = self._tokens
            capped = self._tokens >= self._cap
            finding = judge(attempt, jitter=jitter, capped=capped)
            if finding.needs is Needs.CONTROL:
                control = await self._nearer(target, encoding)
                if control is not None:
                    finding = judge(attempt, jitter=jitter, control=control, capped=capped)
            self._plan.heard(target.hop, encoding, self._tokens, finding)
            if finding.needs is not Needs.MORE_TOKENS:
                return _Outcome(finding, attempt.timeline)
            before = attempt
            self._tokens = min(self._tokens * 2, self._cap)

    async def _nearer(self, target: wire.Target, encoding: Encoding) -> Timeline | None:
        """
        A whole stream of the hop next to the engine, asked once; None where there is none or it is broken
        itself.
        """
        if not self._inner or target is self._inner[0]:
            return None
        if not self._control_asked:
            self._control_asked = True
            timeline = (await self._ask(self._inner[0], encoding)).timeline
            if (
                timeline is not None
                and timeline.done
                and (timeline.pacing is None or timeline.pacing >= 0.85)
            ):
                self._control = timeline
        return self._control

    async def _ask(self, target: wire.Target, encoding: Encoding) -> Attempt:
        plan = self._plan
        with_key = plan.key is not None
        if plan.key is not None and not plan.key.is_sendable:
            told = "the API key is empty or holds a character that no header can carry, such as a line feed"
            return Attempt(trouble=Trouble.KEY, detail=told, with_key=True)
        try:
            pinned = await self._pin(target)
            ask = Ask(plan.model, plan.prompt, self._tokens, encoding, plan.api)
            request = post(pinned.path, pinned.host_header, body(ask, plan.nonce()), encoding, plan.key)
            recorder = Recorder(partial(plan.arrived, target.hop))
            ended = await wire.exchange(pinned, request, recorder, self._limits(target))
        except wire.NoAnswer as error:
            return Attempt(trouble=error.trouble, detail=error.detail, with_key=with_key)
        timeline = recorder.timeline(ended.ending, ended.at, ended.clock, ended.segments)
        return Attempt(timeline, with_key=with_key)

    def _limits(self, target: wire.Target) -> wire.Limits:
        limits = self._plan.limits
        if target is self._judging:
            return limits
        return replace(limits, first_token=min(limits.first_token, INNER_PATIENCE))

    async def _pin(self, target: wire.Target) -> wire.Target:
        """Resolved and judged once; every stream of this verification goes to that address."""
        if target.hop not in self._pinned:
            self._pinned[target.hop] = pinned = await wire.resolve(target, self._plan.guard, self._plan.key)
            times = await wire.connect_times(pinned, CONNECTS, self._plan.limits)
            # The mean above the fastest: what waiting adds, without the distance.
            self._jitter[target.hop] = (sum(times) / len(times) - min(times)) * 1000 if times else 0.0
        return self._pinned[target.hop]

    def _message(self, hop: Hop, finding: Finding) -> str:
        advice = remedy(hop, finding.symptom, self._plan.names, finding.fingerprint)
        where = f"{hop.value}: " if hop is not self._judging.hop else ""
        return f"{where}{finding.evidence}" + (f". Remedy: {advice}" if advice else "")

    def _hop_result(self, hop: Hop, outcome: _Outcome) -> HopResult:
        target = next(target for target in self._plan.targets if target.hop is hop)
        finding, t = outcome.finding, outcome.timeline
        address = str(self._pinned.get(hop, target))
        if t is None:
            return HopResult(hop, address, finding.verdict, finding.evidence)
        return HopResult(
            hop,
            address,
            finding.verdict,
            finding.evidence,
            protocol=t.http_version,
            ttft_milliseconds=_milliseconds(t.ttft),
            p95_gap_milliseconds=_milliseconds(quantile(t.gaps, 0.95)),
            max_gap_milliseconds=_milliseconds(max(t.gaps, default=None)),
            events=t.events,
            reads=t.token_reads,
            tokens=t.tokens,
            pacing_percent=None if t.pacing is None else round(t.pacing * 100),
            done=t.done,
            finish_reason=t.finish_reason,
            timeline=t,
        )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _result(plan: Plan, verdict: Verdict, hop: Hop, message: str, hops: tuple[HopResult, ...]) -> ProbeResult:
    return ProbeResult(
        verdict, hop, message, hops, plan.pod_template_hash, plan.route_hash, plan.ready_pods, plan.clock()
    )
