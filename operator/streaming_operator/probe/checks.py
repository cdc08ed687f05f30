"""
What is checked besides the stream, once it streams: that the API key is required, and that a client's disconnect
frees the engine.

Each check asks one target and gives a `CheckResult`: a finding where something is wrong, a note where it could not be
judged, neither where it passed. `verification` decides in which order targets are asked.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Self

from streaming_operator.api.reasons import Verdict
from streaming_operator.api.symptoms import Symptom
from streaming_operator.probe import gauges
from streaming_operator.probe.gauges import Gauges
from streaming_operator.probe.http import connection
from streaming_operator.probe.http.guard import Guard
from streaming_operator.probe.http.request import ApiKey, CompletionParams, Wording, body, post
from streaming_operator.probe.http.response import Codec, Ending
from streaming_operator.probe.judge.finding import Finding
from streaming_operator.probe.judge.served_model import another_model
from streaming_operator.probe.model_list import listed
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.stream.recorder import Recorder
from streaming_operator.probe.stream.timeline import Timeline

DISCONNECT_AFTER = 8
"""Token events after which the client disconnects: the engine is at work, and its pace is known."""
CANCEL_SECONDS = 5.0
"""Limit for the running gauge to fall; vLLM 0.32 took 46 to 69 ms."""
SHORTEST_REST = 1.0
"""Seconds that the stream must have left at the disconnect: otherwise its own end would look like a cancellation."""
LIST_SECONDS = 10.0
"""Limit for the list of models, which a server has at hand."""
IDLE_SECONDS = 15.0
"""Limit for waiting until the engine runs no request: one that ignored a disconnect still finishes that stream."""
MISSED_AFTER = 1.5
"""Keep-alive intervals of silence after which a comment is missed: one may be on its way."""
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check of one hop."""

    finding: Finding | None = None
    note: str = ""
    """Why it could not be judged this time."""


PASSED = CheckResult()

Pin = Callable[[connection.Target], Awaitable[connection.Target]]
"""Resolves a target and judges its address; raises `connection.NoResponseError`."""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the checks of one verification need; targets are pinned already."""

    params: CompletionParams
    nonce: Callable[[], str]
    limits: connection.Limits
    guard: Guard
    key: ApiKey | None = None
    pods: tuple[connection.Target, ...] = ()
    gauges: Gauges | None = None
    served: Mapping[str, str] = field(default_factory=dict)
    """What the engine was configured to load, by the names that it is served as."""
    adapters: Mapping[str, str] = field(default_factory=dict)
    """What its adapters were loaded from, by their names."""
    quotes: bool = True
    """Whether evidence may hold what a server said."""

    @classmethod
    def of(cls, plan: Plan, wording: Wording, tokens: int) -> Self:
        """What the checks of this plan need, with what the server accepted and tokens for one stream."""
        return cls(
            CompletionParams(plan.model, plan.prompt, tokens, plan.encodings[0], plan.api, wording),
            plan.nonce,
            plan.limits,
            plan.guard,
            plan.key,
            tuple(replica.target for replica in plan.replicas),
            plan.gauges,
            dict.fromkeys((plan.model, *plan.other_names), plan.source or ""),
            plan.adapters,
            plan.quotes,
        )


Check = Callable[[CheckContext, connection.Target], Awaitable[CheckResult]]


async def check_path(
    check: Check, context: CheckContext, targets: Sequence[connection.Target], pin: Pin
) -> tuple[connection.Target, CheckResult]:
    """Check the outermost of these targets; where it fails, the innermost that fails too is to blame."""
    outermost = targets[-1]
    try:
        pinned = await pin(outermost)
    except connection.NoResponseError as error:
        return outermost, CheckResult(note=f"{outermost.hop} not checked: {error.detail}")
    result = await check(context, pinned)
    if result.finding is not None:
        for target in targets[:-1]:
            with contextlib.suppress(connection.NoResponseError):
                inner = await check(context, await pin(target))
                if inner.finding is not None:
                    return target, inner
    return outermost, result


async def auth(context: CheckContext, target: connection.Target) -> CheckResult:
    """Without a key, and with a wrong one, a request must be refused."""
    if any(header.name.lower() == "authorization" for header in target.headers):
        return CheckResult(note="auth not judged: a header that is sent beside the request is Authorization")
    for key, how in ((None, "without a key"), (ApiKey(secrets.token_hex(16)), "with a wrong key")):
        unauthorized = replace(context, params=replace(context.params, max_tokens=1), key=key)
        timeline = await _exchange(unauthorized, target, Recorder())
        status = timeline.status if timeline else None
        if status is not None and (status < 300 or status in (400, 422)):
            evidence = f"a request {how} was answered with HTTP {status}"
            return CheckResult(Finding(Verdict.AUTH_NOT_ENFORCED, Symptom.OPEN, evidence))
        # A redirect leads to a login page; other errors say nothing about keys.
        if status is None or (status not in (401, 403) and status >= 400):
            return CheckResult(note=f"auth not judged: a request {how} got {status or 'no answer'}")
    return PASSED


async def served_model(context: CheckContext, target: connection.Target) -> CheckResult:
    """The model server lists every served name and adapter with the spec's source; one that does not say so passes."""
    limits = replace(context.limits, first_token=LIST_SECONDS, total=LIST_SECONDS)
    models = await listed(target, context.key, context.guard, limits)
    evidence = another_model(models, context.served, context.adapters, quotes=context.quotes)
    if evidence is None:
        return PASSED
    return CheckResult(Finding(Verdict.WRONG_MODEL, Symptom.WRONG_MODEL, evidence))


async def cancel(context: CheckContext, target: connection.Target) -> CheckResult:
    """
    The client disconnects in the middle of a long stream: the engine's running gauge must fall.

    The gauge counts everybody's requests, so the check needs an engine that runs no other, and one that gets others
    meanwhile is not judged.
    """
    running = await _until_idle(context)
    if running != 0:
        why = "the engine's metrics cannot be read" if running is None else f"{running} other requests ran"
        return CheckResult(note=f"cancel not judged: {why}")
    client = _DisconnectingClient(Recorder())
    timeline = await _exchange(context, target, client.recorder, client)
    if timeline is None or not client.disconnected:
        return CheckResult(note="cancel not judged: the stream ended before its client left")
    rest = _rest(timeline, context.params.max_tokens)
    if rest < SHORTEST_REST:
        return CheckResult(
            note=f"cancel not judged: the model would have been done {rest:.1f} s later by itself"
        )
    return await _gauge_falls(context, min(CANCEL_SECONDS, rest / 2))


async def _until_idle(context: CheckContext) -> int | None:
    """Requests that run on the pods: 0 as soon as there are none, else their number after `IDLE_SECONDS`."""
    end = time.monotonic() + IDLE_SECONDS
    while True:
        running = await _running(context)
        if not running or time.monotonic() >= end:
            return running
        await asyncio.sleep(_POLL)


async def _gauge_falls(context: CheckContext, limit: float) -> CheckResult:
    """Whether the engine runs no request any more within *limit* seconds."""
    begin = time.monotonic()
    while True:
        # Taken before: what is read is of a later moment, however long a busy pod takes to answer.
        after = time.monotonic() - begin
        running = await _running(context)
        if running == 0:
            return PASSED
        if running is None or running > 1:
            why = "the engine's metrics cannot be read" if running is None else "other requests came"
            return CheckResult(note=f"cancel not judged: {why}")
        if after >= limit:
            evidence = f"{after:.1f} s after the client had left, the engine still worked on its request"
            return CheckResult(Finding(Verdict.CANCEL_IGNORED, Symptom.LEFT_RUNNING, evidence))
        await asyncio.sleep(_POLL)


async def _running(context: CheckContext) -> int | None:
    if context.gauges is None or not context.pods:
        return None
    return await gauges.running(context.pods, context.gauges, context.guard)


async def _exchange(
    context: CheckContext,
    target: connection.Target,
    recorder: Recorder,
    sink: connection.ResponseSink | None = None,
) -> Timeline | None:
    """One exchange; None where there was no response."""
    encoding = context.params.encoding
    content = body(context.params, context.nonce())
    request = post(target.path, target.host_header, content, encoding, context.key, target.headers)
    try:
        end = await connection.exchange(target, request, sink or recorder, context.limits)
    except connection.NoResponseError:
        return None
    return await connection.off_loop(partial(recorder.timeline, end.ending, end.at, end.clock))


def _rest(timeline: Timeline, tokens: int) -> float:
    """Seconds for which the stream would have gone on, at the pace of its first tokens."""
    pace = timeline.spread / max(timeline.events - 1, 1)
    return pace * max(tokens - timeline.events, 0)


@dataclass(slots=True)
class _DisconnectingClient:
    """Reads until the stream is under way; then it ends the exchange, which closes the connection."""

    recorder: Recorder
    disconnected: bool = False
    ending: Ending | None = None
    token_seen: bool = False
    end_marker_seen: bool = False

    def begin(self, codec: Codec) -> None:
        self.recorder.begin(codec)

    def steps(self, at: float, data: bytes, late: float = 0.0) -> Iterator[None]:
        yield from self.recorder.steps(at, data, late)
        self.ending, self.token_seen = self.recorder.ending, self.recorder.token_seen
        done = self.recorder.end_marker_seen
        if self.ending is None and not done and self.recorder.events >= DISCONNECT_AFTER:
            self.disconnected, self.ending = True, Ending.CLOSED


def missed_keep_alive(timeline: Timeline, interval: float) -> str:
    """
    A note about a silence that was longer than the engine's keep-alive *interval* (seconds; 0 if it sends none)
    without a comment; empty where there was none.
    """
    if interval <= 0 or timeline.comments or not timeline.is_event_stream:
        return ""
    times = (0.0, *(at for at, _ in timeline.sizes), timeline.ended_at)
    longest = max(later - earlier for earlier, later in pairwise(times))
    if longest < interval * MISSED_AFTER:
        return ""
    return (
        f"{longest:.0f} s of silence without a keep-alive comment, though engine.sseKeepAliveSeconds is "
        f"{interval:.0f}"
    )


def pod_names(pods: Sequence[str]) -> str:
    """`pod a`, or `pods a, b, c and 3 more`."""
    shown, more = ", ".join(pods[:3]), len(pods) - 3
    return f"pod{'s' if len(pods) > 1 else ''} {shown}" + (f" and {more} more" if more > 0 else "")
