"""
What is checked beside the stream, once it streams: that the key is asked for, and that a client who leaves
frees the engine.

Each check asks one target and gives a `Checked`: a finding where something is wrong, a note where it could not
be judged, neither where all is well. In which order targets are asked is the business of `hops`.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from streaming_operator.api.reasons import Verdict
from streaming_operator.probe import gauges
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey, CompletionParams, body, post
from streaming_operator.probe.http.response import Codec, Ending
from streaming_operator.probe.judge.finding import Finding, Symptom
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline

LEAVES_AFTER = 8
"""Token events after which the client leaves: the engine is at work, and its pace is known."""
CANCEL_PATIENCE = 5.0
"""Seconds in which the running gauge must fall; the real server took 46 to 69 ms (facts of vLLM 0.32)."""
SHORTEST_REST = 1.0
"""Seconds that the stream must have left when its client leaves: else its own end would look like a cancel."""
QUIET_PATIENCE = 15.0
"""Seconds to wait for an engine without requests: one that ignored its client still finishes that stream."""
LATE = 1.5
"""Keep-alive intervals of silence after which a comment is missed: one may be on its way."""
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check of one hop brought."""

    finding: Finding | None = None
    note: str = ""
    """Why it could not be judged this time."""


FINE = CheckResult()

Pin = Callable[[connection.Target], Awaitable[connection.Target]]
"""Resolves a target and judges its address; raises `wire.NoResponseError`."""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the checks of one verification ask with; targets are pinned already."""

    ask: CompletionParams
    nonce: Callable[[], str]
    limits: connection.Limits
    guard: Guard
    key: ApiKey | None = None
    pods: tuple[connection.Target, ...] = ()
    gauges: Gauges | None = None


Check = Callable[[CheckContext, connection.Target], Awaitable[CheckResult]]


async def along(
    check: Check, context: CheckContext, targets: Sequence[connection.Target], pin: Pin
) -> tuple[connection.Target, CheckResult]:
    """
    Check the outermost of these targets; where something is wrong, the innermost that shows it too is to blame.
    """
    outermost = targets[-1]
    checked = await check(context, await pin(outermost))
    if checked.finding is not None:
        for target in targets[:-1]:
            with contextlib.suppress(connection.NoResponseError):
                inner = await check(context, await pin(target))
                if inner.finding is not None:
                    return target, inner
    return outermost, checked


async def auth(context: CheckContext, target: connection.Target) -> CheckResult:
    """Without a key, and with a wrong one, a request must be refused."""
    for key, how in ((None, "without a key"), (ApiKey(secrets.token_hex(16)), "with a wrong key")):
        keyless = replace(context, ask=replace(context.ask, max_tokens=1), key=key)
        timeline = await _ask(keyless, target, Recorder())
        status = timeline.status if timeline else None
        if status is not None and (status < 300 or status in (400, 422)):
            said = f"a request {how} was answered with HTTP {status}"
            return CheckResult(Finding(Verdict.AUTH_NOT_ENFORCED, Symptom.OPEN, said))
        # A redirect leads to a log-in; anything else but a refusal says nothing of keys.
        if status is None or (status not in (401, 403) and status >= 400):
            return CheckResult(note=f"auth not judged: a request {how} got {status or 'no answer'}")
    return FINE


async def cancel(context: CheckContext, target: connection.Target) -> CheckResult:
    """
    The client leaves in the middle of a long stream: the engine's running gauge must fall.

    The gauge counts everybody's requests, so only an engine without any is asked, and one that gets others
    meanwhile is not judged.
    """
    busy = await _quiet(context)
    if busy != 0:
        why = "the engine's metrics cannot be read" if busy is None else f"{busy} other requests ran"
        return CheckResult(note=f"cancel not judged: {why}")
    leaver = _Leaver(Recorder())
    timeline = await _ask(context, target, leaver.recorder, leaver)
    if timeline is None or not leaver.left:
        return CheckResult(note="cancel not judged: the stream ended before its client left")
    rest = _rest(timeline, context.ask.max_tokens)
    if rest < SHORTEST_REST:
        return CheckResult(
            note=f"cancel not judged: the model would have been done {rest:.1f} s later by itself"
        )
    return await _falls(context, min(CANCEL_PATIENCE, rest / 2))


async def _quiet(context: CheckContext) -> int | None:
    """What runs on the pods, as soon as that is nothing; at last after some patience."""
    end = time.monotonic() + QUIET_PATIENCE
    while True:
        busy = await _running(context)
        if not busy or time.monotonic() >= end:
            return busy
        await asyncio.sleep(_POLL)


async def _falls(context: CheckContext, patience: float) -> CheckResult:
    """Whether nothing runs any more within so many seconds."""
    begin = time.monotonic()
    while True:
        busy = await _running(context)
        after = time.monotonic() - begin
        if busy == 0:
            return FINE
        if busy is None or busy > 1:
            why = "the engine's metrics cannot be read" if busy is None else "other requests came"
            return CheckResult(note=f"cancel not judged: {why}")
        if after >= patience:
            said = f"{after:.1f} s after the client had left, the engine still worked on its request"
            return CheckResult(Finding(Verdict.CANCEL_IGNORED, Symptom.LEFT_RUNNING, said))
        await asyncio.sleep(_POLL)


async def _running(context: CheckContext) -> int | None:
    if context.gauges is None or not context.pods:
        return None
    return await gauges.running(context.pods, context.gauges, context.guard)


async def _ask(
    context: CheckContext,
    target: connection.Target,
    recorder: Recorder,
    reader: connection.ResponseSink | None = None,
) -> Timeline | None:
    """One exchange; None where there was no answer."""
    encoding = context.ask.encoding
    told = body(context.ask, context.nonce())
    request = post(target.path, target.host_header, told, encoding, context.key)
    try:
        ended = await connection.exchange(target, request, reader or recorder, context.limits)
    except connection.NoResponseError:
        return None
    return recorder.timeline(ended.ending, ended.at, ended.clock)


def _rest(timeline: Timeline, tokens: int) -> float:
    """Seconds for which the stream would have gone on, at the pace of its first tokens."""
    pace = timeline.spread / max(timeline.events - 1, 1)
    return pace * max(tokens - timeline.events, 0)


@dataclass(slots=True)
class _Leaver:
    """Reads until the stream is under way; then it calls it an end, upon which the wire hangs up."""

    recorder: Recorder
    left: bool = False
    ending: Ending | None = None
    token_seen: bool = False

    def begin(self, response: Codec) -> None:
        self.recorder.begin(response)

    def read(self, at: float, data: bytes) -> None:
        self.recorder.read(at, data)
        self.ending, self.token_seen = self.recorder.ending, self.recorder.token_seen
        so_far = self.recorder.timeline(Ending.CLOSED, at, "monotonic")
        if self.ending is None and not so_far.done and so_far.events >= LEAVES_AFTER:
            self.left, self.ending = True, Ending.CLOSED


def silence(timeline: Timeline, keep_alive: float) -> str:
    """What to say of a long silence in which the engine's keep-alive comments should have come; mostly nothing."""
    if keep_alive <= 0 or timeline.comments or not timeline.is_event_stream:
        return ""
    times = (0.0, *(at for at, _ in timeline.sizes), timeline.ended_at)
    longest = max(later - earlier for earlier, later in pairwise(times))
    if longest < keep_alive * LATE:
        return ""
    return (
        f"{longest:.0f} s of silence without a keep-alive comment, though engine.sseKeepAliveSeconds is "
        f"{keep_alive:.0f}"
    )


def named(pods: Sequence[str]) -> str:
    """`pod a`, or `pods a, b, c and 3 more`."""
    shown, more = ", ".join(pods[:3]), len(pods) - 3
    return f"pod{'s' if len(pods) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")
