"""
The verdict on timelines: whether tokens streamed, or something buffered, delayed or cut them. Pure.

The rule and the sources of its thresholds are in docs/decisions/0021-verdict-rule.md. Two principles: validity before
judgement (a stream too short for the path's jitter needs more tokens, and at the limit it is inconclusive), and no
proxy is blamed for what the engine did (several tokens in one event, a fast model, the same bursts without the proxy).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from streaming_operator.api.reasons import STREAMS, Hop, Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe.judge.finding import Attempt, Finding, Needs
from streaming_operator.probe.judge.fingerprint import ProxyMatch, proxy_of
from streaming_operator.probe.judge.http_errors import http_error, no_head, no_response, not_a_stream
from streaming_operator.probe.judge.lateness import in_doubt, is_in_time, lateness, spread_out
from streaming_operator.probe.judge.numbers import describe, pace
from streaming_operator.probe.judge.remarks import remarks_on
from streaming_operator.probe.judge.storing import (
    Measured,
    growth,
    held_for,
    in_one_event,
    may_be_a_block,
    waits_for_nothing,
    waits_for_the_end,
)
from streaming_operator.probe.judge.terminations import IDLE_CUT, closed_late, incomplete, one_age
from streaming_operator.probe.stream.timeline import Timeline

FLOOR = 300.0
"""
Milliseconds of generation below which no stream is called buffered: at 20 to 37 ms the real server itself gave r of
0.72 and 0.89.
"""
FLOOR_AT_CAP = 100.0
"""Milliseconds that are enough to call a very fast model streaming; never enough to call it buffered."""
LOOSE, STRICT = 13.0, 42.0
"""
Generation time over mean jitter for the cuts at r = 0.5 and 0.85: one false alarm in 1,000 (½·exp(-.15·G/j)).
"""
STORED, HELD, STRETCHED = 0.5, 0.85, 1.15
"""Cuts of the pacing ratio r."""
VISIBLE = 100.0
"""Milliseconds: people do not notice a shorter pause between bursts."""
MERGEABLE = 5.0
"""Milliseconds a token below which a reader that is slightly late merges tokens itself."""
IMPLAUSIBLE = 0.02
"""Milliseconds a token: 50,000 tokens/s on one stream is not an engine but a buffer that is flushed."""


def streams(verdict: Verdict) -> bool:
    """Whether the verdict means that the path streams."""
    return verdict in STREAMS


_TIMING = (Verdict.BUFFERED, Verdict.COALESCED)
_CUTS = (Verdict.TRUNCATED, Verdict.TOTAL_TIMEOUT)
_DOWN = (Verdict.UPSTREAM_ERROR, Verdict.UNREACHABLE, Verdict.TTFT_EXCEEDED)
_CERTAIN = (
    Verdict.AUTH_REJECTED,
    Verdict.TLS_ERROR,
    Verdict.DNS_UNRESOLVED,
    Verdict.ROUTE_NOT_FOUND,
    Verdict.TOTAL_TIMEOUT,
    *_DOWN,
)
_SURE = (Symptom.CONTENT_LENGTH, Symptom.NOT_A_STREAM, Symptom.HANGS)


def is_certain(finding: Finding) -> bool:
    """
    Whether one stream suffices: another one would give the same finding, or would take minutes.
    """
    if finding.symptom is Symptom.LATE_FIRST:
        return False
    waited = finding.cut is not None and finding.cut.silence >= IDLE_CUT
    idle = finding.verdict is Verdict.IDLE_TIMEOUT and waited
    return idle or finding.verdict in _CERTAIN or finding.symptom in _SURE


def same_fault(outer: Verdict, inner: Verdict) -> bool:
    """Whether the fault of an inner hop explains that of an outer one."""
    for family in (_TIMING, (*_CUTS, Verdict.IDLE_TIMEOUT), _DOWN):
        if outer in family:
            return inner in family or (family is _DOWN and inner is Verdict.ERROR_IN_STREAM)
    return outer is inner


def agree(findings: Sequence[Finding]) -> Finding:
    """
    The finding of the majority of several streams; inconclusive when they differ.

    Cuts at the same age are a limit on the whole request, which no single stream can show.
    """
    majority = len(findings) // 2 + 1
    cut = [finding for finding in findings if finding.verdict in _CUTS]
    late = [other for finding in findings if (other := closed_late(finding)) is not None]
    for same in (cut, late):
        if len(same) >= max(majority, 2) and (total := one_age(same)) is not None:
            return total
    verdict, count = Counter(finding.verdict for finding in findings).most_common(1)[0]
    if count >= majority:
        return next(finding for finding in findings if finding.verdict is verdict)
    for group in ((Verdict.STREAMING, Verdict.ENGINE_BATCHED), _TIMING):
        members = [finding for finding in findings if finding.verdict in group]
        if len(members) >= majority:
            return max(members, key=lambda finding: group.index(finding.verdict))
    verdicts = ", ".join(finding.verdict.value for finding in findings)
    return Finding(
        Verdict.INCONCLUSIVE, Symptom.UNCLEAR, f"{len(findings)} streams did not agree: {verdicts}"
    )


def can_compare(control: Timeline) -> bool:
    """Whether a stream serves as a control: what it shows is the engine's, in its pace or in its bursts."""
    if not is_in_time(control):
        return False
    return control.pacing is None or control.pacing >= HELD or control.events_per_burst >= 2


def judge(
    attempt: Attempt,
    *,
    jitter: float = 0.0,
    control: Timeline | None = None,
    earlier: Sequence[Measured] = (),
    innermost: bool = False,
    capped: bool = False,
    max_ttft: float | None = None,
    max_gap: float | None = None,
) -> Finding:
    """
    The finding of one attempt.

    *jitter* is the mean one-way jitter of the path in milliseconds; *control* the same request at a hop nearer to the
    engine that itself streams; *earlier* are streams of the same hop with fewer tokens; *innermost* means that
    nothing is nearer to the engine; *capped* that no more tokens can be requested. *max_ttft* and *max_gap* are
    the limits of the first token and of the longest pause in seconds; None judges neither.
    """
    t = attempt.timeline
    if t is None:
        return replace(no_response(attempt), remarks=attempt.remarks)
    proxy = proxy_of(t)
    context = _Context(
        jitter, control.of_text if control else None, tuple(earlier), innermost=innermost, capped=capped
    )

    def judged(one: Timeline) -> Finding:
        return _apply_limits(one, _judge_stream(one, proxy, attempt, context), max_ttft, max_gap)

    finding = judged(t)
    if finding.verdict not in (Verdict.STREAMING, Verdict.INCONCLUSIVE) and lateness(t):
        possible = judged(spread_out(t)).verdict
        if possible is not finding.verdict and not {possible, finding.verdict} <= set(_TIMING):
            # Of more tokens the same lateness is a smaller part.
            more = t.done and finding.verdict in _TIMING and not capped
            finding = in_doubt(finding, t, Needs.MORE_TOKENS if more else Needs.NOTHING)
    finding = replace(finding, remarks=(*attempt.remarks, *remarks_on(t, streamed=streams(finding.verdict))))
    return replace(finding, fingerprint=proxy.proxy.value) if proxy else finding


def _judge_stream(
    t: Timeline,
    proxy: ProxyMatch | None,
    attempt: Attempt,
    context: "_Context",
) -> Finding:
    if t.status is None:
        return no_head(t)
    if not 200 <= t.status < 300:
        return http_error(t, attempt.with_key)
    return not_a_stream(t) or incomplete(t, proxy, attempt.asked) or _timing(t, context)


def _apply_limits(t: Timeline, finding: Finding, max_ttft: float | None, max_gap: float | None) -> Finding:
    """The limits of the first token and of pauses, judged last: whatever buffers tokens also explains a late one."""
    undecided = finding.verdict is Verdict.INCONCLUSIVE and finding.needs is not Needs.CONTROL
    if not t.done or not (streams(finding.verdict) or undecided):
        return finding
    if max_ttft is not None and t.ttft is not None and t.ttft > max_ttft:
        evidence = f"the first token came after {t.ttft:.2f} s, the limit is {max_ttft:g} s: {describe(t)}"
        return Finding(Verdict.TTFT_EXCEEDED, Symptom.LATE_FIRST, evidence)
    longest = max(t.gaps, default=0.0)
    if max_gap is not None and longest > max_gap:
        evidence = f"a pause of {longest:.2f} s between two tokens, the limit is {max_gap:g} s: {describe(t)}"
        return Finding(Verdict.CHUNK_GAP_EXCEEDED, Symptom.LONG_GAP, evidence)
    return finding


@dataclass(frozen=True, slots=True)
class _Context:
    """What a stream is compared with; the parameters of `judge`."""

    jitter: float
    control: Timeline | None
    earlier: tuple[Measured, ...]
    innermost: bool
    capped: bool


def _timing(whole: Timeline, context: _Context) -> Finding:
    """The verdict by the arrivals of the text; what carries little or none only keeps a connection alive."""
    t = whole.of_text
    numbers = describe(t)
    if before := whole.events - t.events:
        first = f"with little text before, from {(whole.ttft or 0) * 1000:.0f} ms on"
        numbers = f"{numbers}; {before} events {'without text' if whole.ttft == t.ttft else first}"
    if t.has_content_length and not t.is_chunked:
        return Finding(
            Verdict.BUFFERED, Symptom.CONTENT_LENGTH, f"an event stream with Content-Length: {numbers}"
        )
    if not t.events:
        needs = Needs.NOTHING if context.capped else Needs.MORE_TOKENS
        return Finding(Verdict.INCONCLUSIVE, Symptom.UNCLEAR, f"no event carried any text: {numbers}", needs)
    if series := waits_for_the_end(whole, context.earlier, capped=context.capped):
        later = f"the first token comes later the more tokens are asked for: {growth(series)}"
        stored = _stored(t, f"{numbers}; {later}")
        return replace(stored, symptom=Symptom.ONE_EVENT) if t.events == 1 else stored
    if whole.ttft != t.ttft:
        return _after_a_beginning(t, context, numbers)
    if t.pacing is None:
        return _without_metrics(t, context, numbers)
    return _with_metrics(t, context, numbers)


def _with_metrics(t: Timeline, context: _Context, numbers: str) -> Finding:
    """By the ratio to the server's own generation time."""
    jitter, capped = context.jitter, context.capped
    generation, r = t.metrics.generation if t.metrics else 0.0, t.pacing or 0.0
    if r < STORED and generation >= max(FLOOR, LOOSE * jitter):
        if not capped and max(t.gaps, default=0.0) * 1000 >= VISIBLE:
            return _unclear(numbers, context)  # no single block: of more tokens a timer shows by its interval
        return _stored(t, numbers)
    held = held_for(t)
    if r < HELD and generation >= max(FLOOR, STRICT * jitter):
        bursts = _bursts(t, context, numbers)
        undecided = bursts is not None and bursts.verdict is Verdict.INCONCLUSIVE
        if undecided and not capped and _may_be_stored(t, context):
            return _unclear(numbers, context)
        if bursts is None and not capped and (1 - r) * generation < VISIBLE:
            return _unclear(
                numbers, context
            )  # a busy engine or edge is late by as much: of more tokens it is less
        return bursts or Finding(Verdict.COALESCED, Symptom.HELD_HEAD, numbers)
    if HELD <= r <= STRETCHED:
        enough = generation >= max(FLOOR, LOOSE * jitter)
        fast = capped and generation >= max(FLOOR_AT_CAP, STRICT * jitter) and t.token_reads >= 10
        at_once = held is not None and held * 1000 < STORED * generation
        if (enough or fast) and (at_once or not _may_be_stored(t, context)):
            return _bursts(t, context, numbers) or _fine(t, numbers)
    return _unclear(numbers, context)


def _after_a_beginning(t: Timeline, context: _Context, numbers: str) -> Finding:
    """
    What came after a beginning with little text: it streams if its arrivals show that. No pace accuses it, since what
    waits behind one stall of the network comes at once too; only the number of tokens does (`waits_for_the_end`).
    """
    if t.spread * 1000 >= FLOOR and t.token_reads >= 8 and not _may_be_stored(t, context):
        return _bursts(t, context, numbers) or _fine(t, numbers)
    if context.capped and in_one_event(t):
        return Finding(Verdict.BUFFERED, Symptom.ONE_EVENT, f"all text came in one event: {numbers}")
    return _unclear(numbers, context)


def _may_be_stored(t: Timeline, context: _Context) -> bool:
    return may_be_a_block(t) and not waits_for_nothing(t, context.earlier)


def _without_metrics(t: Timeline, context: _Context, numbers: str) -> Finding:
    """Without server timing: judged by the arrivals themselves, or by comparison with a control that streams."""
    control, spread, share = context.control, t.spread * 1000, 1.0
    # Tokens made while the response came: those of the first event were made before it.
    between = (t.tokens or t.events) * (t.events - 1) // t.events
    # Nothing was held for longer than the first token took: a timer of 200 ms takes a fast answer in whole.
    if between >= 60 and spread / between < IMPLAUSIBLE and (t.ttft or 0.0) * 1000 >= FLOOR:
        return _stored(t, f"{numbers}: faster than any engine generates")
    compared = control is not None and control.spread * 1000 >= FLOOR
    if control is not None and compared:
        share = pace(t) / pace(control)
        numbers = f"{numbers}; nearer to the engine {pace(control):.1f} ms a token, here {pace(t):.1f}"
    alike = compared and HELD <= share <= STRETCHED
    suspected = not alike and _may_be_stored(t, context)
    if suspected and not context.capped and not (compared and share < HELD):
        return _unclear(numbers, context)
    if spread >= FLOOR and (bursts := _bursts(t, context, numbers)) is not None:
        return bursts
    if share < STORED:
        return _stored(t, numbers)
    if share < HELD:
        return Finding(Verdict.COALESCED, Symptom.HELD_HEAD, numbers)
    fast = context.capped and spread >= max(FLOOR_AT_CAP, STRICT * context.jitter) and t.token_reads >= 10
    if ((spread >= FLOOR and t.token_reads >= 8) or fast) and not suspected:
        return _fine(t, numbers)
    if context.capped and in_one_event(t):
        return Finding(Verdict.BUFFERED, Symptom.ONE_EVENT, f"all text came in one event: {numbers}")
    if context.capped and control is None:
        why = "; a stored response could arrive like this" if suspected else ""
        return Finding(
            Verdict.INCONCLUSIVE,
            Symptom.UNCLEAR,
            f"{numbers}; the server gives no timing{why}",
            Needs.CONTROL,
        )
    return _unclear(numbers, context)


def _stored(t: Timeline, numbers: str) -> Finding:
    coding = (t.head.header("content-encoding") or "") if t.head else ""
    symptom = Symptom.GZIP_BLOCK if "gzip" in coding else Symptom.BLOCK
    return Finding(Verdict.BUFFERED, symptom, f"tokens were held back and sent together: {numbers}")


def _bursts(t: Timeline, context: _Context, numbers: str) -> Finding | None:
    """
    Several events at once, with pauses that people notice: a full buffer (Buffered), a timer (Coalesced), or an engine
    that emits in groups; only a control tells the last two apart.
    """
    control = context.control
    bundle, gap = t.events_per_burst, max(t.gaps, default=0.0) * 1000
    usual = pace(t) * max(t.tokens_per_event or 1.0, 1.0)
    pauses = [pause for pause in t.gaps if pause * 1000 >= max(VISIBLE / 2, 3 * usual)]
    # One long pause comes from the network or the engine; a hop that bundles pauses for most of the stream.
    if bundle < 2 or gap < VISIBLE or len(pauses) < 2 or sum(pauses) < t.spread / 2:
        return None
    obvious = bundle >= 4 and gap >= 5 * usual
    verdict, symptom = _shape(t)
    if control is not None:
        return _beside(t, control, numbers, obvious=obvious)
    if obvious and symptom is Symptom.SIZED_BURSTS:
        return Finding(verdict, symptom, f"events come in bursts: {numbers}", Needs.CONTROL)
    if obvious and context.innermost:
        evidence = f"the engine, or a sidecar of its pod, emits in bursts: {numbers}"
        return Finding(Verdict.ENGINE_BATCHED, Symptom.BUNDLED, evidence, Needs.CONTROL)
    if not obvious and pace(t) < MERGEABLE:
        return None
    evidence = f"events come in bursts, of a hop on the path or of the engine: {numbers}"
    return Finding(Verdict.INCONCLUSIVE, Symptom.BURSTS, evidence, Needs.CONTROL)


def _beside(t: Timeline, control: Timeline, numbers: str, *, obvious: bool) -> Finding | None:
    """The finding on bursts by what a hop nearer to the engine shows."""
    nearer = f"{control.events_per_burst:.1f} events a burst"
    if control.events_per_burst >= 2 and max(control.gaps) * 1000 >= VISIBLE / 2:
        evidence = f"{numbers}; the same bursts nearer to the engine: {nearer}"
        return Finding(Verdict.ENGINE_BATCHED, Symptom.BUNDLED, evidence)
    if obvious or (max(t.gaps) >= 2 * max(control.gaps, default=0.0)):
        return Finding(*_shape(t), f"events come in bursts: {numbers}; nearer to the engine {nearer}")
    return None


def _shape(t: Timeline) -> tuple[Verdict, Symptom]:
    """A buffer that fills makes bursts of one size; a timer makes them at one interval."""
    bursts = t.inner_bursts
    # nginx's chunk header and trailer add 8 bytes to its buffer's size.
    sized = [burst for burst in bursts if burst.size >= 4096 and burst.size % 4096 <= 16]
    if len(bursts) >= 2 and len(sized) * 4 >= len(bursts) * 3:
        return Verdict.BUFFERED, Symptom.SIZED_BURSTS
    return Verdict.COALESCED, Symptom.TIMED_BURSTS


def _fine(t: Timeline, numbers: str) -> Finding:
    if (t.tokens_per_event or 1.0) > 1.5 and t.events_per_read < 2:
        evidence = (
            f"the engine puts {t.tokens_per_event:.1f} tokens into an event, the path is fine: {numbers}"
        )
        return Finding(Verdict.ENGINE_BATCHED, Symptom.BUNDLED, evidence)
    return Finding(Verdict.STREAMING, Symptom.FINE, numbers)


def _unclear(numbers: str, context: _Context) -> Finding:
    why = f"; jitter of the path {context.jitter:.1f} ms" if context.jitter >= 1 else ""
    needs = Needs.NOTHING if context.capped else Needs.MORE_TOKENS
    return Finding(
        Verdict.INCONCLUSIVE, Symptom.UNCLEAR, f"too short or too uneven to judge: {numbers}{why}", needs
    )


OUTWARDS = (Hop.POD, Hop.SERVICE, Hop.EXPOSURE, Hop.PUBLIC)
"""Hops from the engine to the users."""
