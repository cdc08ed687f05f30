"""
The requests of one verification: pinned addresses, and the wording that the server accepts.

A refused request is repeated at once with fewer parameters (`http.wording`), until one wording is accepted or none is
left; what was accepted is used for every further request, and `Plan.on_wording` reports it to whoever remembers it.
"""

import asyncio
import re
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial

from streaming_operator.probe.http import connection
from streaming_operator.probe.http.request import (
    LONGEST_KEY,
    Api,
    ApiKey,
    CompletionParams,
    Encoding,
    Wording,
    body,
    post,
)
from streaming_operator.probe.http.response import TLS_ENDED, NoResponse
from streaming_operator.probe.http.wording import described, fewer, refers_to, unforced
from streaming_operator.probe.judge.finding import Attempt
from streaming_operator.probe.judge.remarks import RemarkKind, on_certificate, remark
from streaming_operator.probe.plan import Plan
from streaming_operator.probe.stream.recorder import EVENTS, Recorder
from streaming_operator.probe.stream.redaction import without_secrets
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.values import Remark

CONNECTS = 5
"""TCP connects from which the jitter of the path is estimated."""
INNER_FIRST_TOKEN = 30.0
"""Limit for an inner hop's first token, in seconds: it is asked only to locate a fault."""
_EVENTS_PER_TOKEN = 2
"""Read where many tokens are requested; a server that sends more events than that sends no tokens in them."""

LONGEST_PAUSE = 60.0
"""Seconds that one verification waits altogether because of Retry-After."""
SHORTEST_PAUSE = 0.5
"""
Seconds before the first repetition of a request that a rate limit refused, however short its Retry-After; twice as many
before each further one.
"""
REPETITIONS = 5
"""Repetitions of one request that a rate limit refuses each time."""
_SECONDS = re.compile(r"\d{1,5}(\.\d{1,9})?", re.ASCII)


def retry_after(timeline: Timeline | None) -> float | None:
    """Seconds after which a rate limit allows the next request; None without one, or where it does not say."""
    if timeline is None or timeline.status != 429 or timeline.head is None:
        return None
    value = (timeline.head.header("retry-after") or "").strip()
    if not _SECONDS.fullmatch(value):
        return _until(value, timeline.head.header("date") or "")
    return float(value)


def _until(moment: str, now: str) -> float | None:
    """Seconds from the response's own Date to a Retry-After that is a date; None where one of them is none."""
    try:
        return (parsedate_to_datetime(moment) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, or one with a zone and one without
        return None


def _refusal(t: Timeline, wording: Wording, api: Api) -> tuple[int, str] | None:
    """The status and the words of a refused request, also of one that is refused under 200; None where it is not."""
    if t.status is None or t.status >= 300:
        return None if t.status is None else (t.status, t.body)
    refused = t.error is not None and not t.events and refers_to(wording, api, t.error)
    return (400, t.error or "") if refused else None


class Attempts:
    """Sends the requests of one plan; *outermost* is the target whose limits are the plan's own."""

    def __init__(self, plan: Plan, outermost: connection.Target) -> None:
        self._plan = plan
        self._outermost = outermost
        self._pinned: dict[connection.Target, connection.Target] = {}
        self._jitter: dict[connection.Target, float] = {}
        self._accepted = False
        self._paused = 0.0
        self._unforced_asked = False
        self.wording = plan.wording

    def jitter(self, target: connection.Target) -> float:
        """Mean one-way jitter of the path in milliseconds; 0 before the target is pinned."""
        return self._jitter.get(target, 0.0)

    def address(self, target: connection.Target) -> str:
        """The target with the address that it is pinned to."""
        return str(self._pinned.get(target, target))

    async def pin(self, target: connection.Target) -> connection.Target:
        """Resolve and judge the target once; every stream of this verification goes to that address."""
        if target not in self._pinned:
            plan = self._plan
            self._pinned[target] = pinned = await connection.resolve(target, plan.guard, plan.key)
            times = await connection.connect_times(pinned, CONNECTS, plan.limits)
            # The mean above the fastest: queueing without the round-trip time.
            self._jitter[target] = (sum(times) / len(times) - min(times)) * 1000 if times else 0.0
        return self._pinned[target]

    async def ask(self, target: connection.Target, encoding: Encoding, tokens: int) -> Attempt:
        """One stream, asked for in the words that the server accepts."""
        plan = self._plan
        if plan.key is not None and not plan.key.is_sendable:
            detail = (
                f"the API key is empty, longer than {LONGEST_KEY} characters or holds a character that no header can "
                "carry, such as a line feed"
            )
            return Attempt(cause=NoResponse.KEY, detail=detail, with_key=True)
        attempt = await self._when_allowed(target, encoding, tokens, self.wording)
        if not self._accepted:
            attempt = await self._with_fewer(attempt, target, encoding, tokens)
        if attempt.timeline is not None and attempt.timeline.error is not None:
            attempt = await self._unforced(attempt, target, encoding, tokens)
        return (
            attempt
            if attempt.timeline is None
            else replace(attempt, remarks=(*attempt.remarks, *self._remarks(target)))
        )

    def _remarks(self, target: connection.Target) -> tuple[Remark, ...]:
        remarks = []
        pinned = self._pinned.get(target, target)
        if pinned.unreachable:
            failed = ", ".join(f"{address}: {why}" for address, why in pinned.unreachable)
            remarks.append(remark(RemarkKind.ADDRESS, f"{failed}; connected to {pinned.address} instead"))
        if pinned.proxy is not None:
            remarks.append(
                remark(RemarkKind.PROXY, f"{pinned.proxy} makes the connection to {pinned.authority}")
            )
        if words := described(self.wording):
            remarks.append(remark(RemarkKind.WORDING, f"the server accepts the request only {words}"))
        return tuple(remarks)

    def _accept(self, wording: Wording) -> None:
        """Ask with this wording from now on."""
        self._accepted = True
        if wording != self.wording:
            self.wording = wording
            self._plan.on_wording(wording)

    async def _when_allowed(
        self, target: connection.Target, encoding: Encoding, tokens: int, wording: Wording
    ) -> Attempt:
        """One request; after a 429 another one as soon as Retry-After allows, if that is soon."""
        attempt = await self._send(target, encoding, tokens, wording)
        for repetition in range(REPETITIONS):
            allowed = retry_after(attempt.timeline)
            if allowed is None:
                break
            pause = max(allowed, SHORTEST_PAUSE * 2**repetition)
            if self._paused + pause > LONGEST_PAUSE:
                break
            self._paused += pause
            await asyncio.sleep(pause)
            attempt = await self._send(target, encoding, tokens, wording)
        return attempt

    async def _with_fewer(
        self, refused: Attempt, target: connection.Target, encoding: Encoding, tokens: int
    ) -> Attempt:
        """
        The first attempt that is not refused for its parameters. If all are, the last refusal that names none of them:
        it is about something else.
        """
        api, wording, attempt = self._plan.api, self.wording, refused
        while (t := attempt.timeline) is not None and t.status is not None:
            refusal = await connection.off_loop(partial(_refusal, t, wording, api))
            if refusal is None:
                self._accept(wording)
                return attempt
            status, words = refusal
            named = await connection.off_loop(partial(refers_to, wording, api, words))
            if not named:
                refused = attempt
            less = await connection.off_loop(partial(fewer, wording, api, status, words))
            if less is None:
                break
            wording = less
            attempt = await self._when_allowed(target, encoding, tokens, wording)
        return refused

    async def _unforced(
        self, failed: Attempt, target: connection.Target, encoding: Encoding, tokens: int
    ) -> Attempt:
        """
        The same stream without forcing the model past its end, once: no user does that, and the parsers of some models'
        output fail there.
        """
        less = unforced(self.wording)
        if less is None or self._unforced_asked:
            return failed
        self._unforced_asked = True
        attempt = await self._when_allowed(target, encoding, tokens, less)
        t = attempt.timeline
        if t is None or t.error is not None or t.status is None or t.status >= 300:
            return failed
        self._accept(less)
        return attempt

    async def _send(
        self, target: connection.Target, encoding: Encoding, tokens: int, wording: Wording
    ) -> Attempt:
        plan = self._plan
        # Gateways have headers of their own for keys.
        with_key = target.has_credentials(plan.key)
        try:
            pinned = await self.pin(target)
            params = CompletionParams(plan.model, plan.prompt, tokens, encoding, plan.api, wording)
            content = body(params, plan.nonce())
            request = post(pinned.path, pinned.host_header, content, encoding, plan.key, pinned.headers)
            allowed = max(EVENTS, _EVENTS_PER_TOKEN * params.max_tokens)
            recorder = Recorder(partial(plan.on_read, target.hop), allowed)
            end = await connection.exchange(pinned, request, recorder, self._limits(target))
        except connection.NoResponseError as error:
            return Attempt(cause=error.cause, detail=error.detail, with_key=with_key)
        timeline = await connection.off_loop(partial(_recorded, recorder, end, plan.secrets))
        plan.on_exchange(request, timeline)
        expiring = on_certificate(end.certificate, time.time())
        return Attempt(timeline, with_key=with_key, asked=params.max_tokens, remarks=expiring)

    def _limits(self, target: connection.Target) -> connection.Limits:
        limits = self._plan.limits
        if target is self._outermost:
            return limits
        return replace(limits, first_token=min(limits.first_token, INNER_FIRST_TOKEN))


def _recorded(recorder: Recorder, end: connection.ExchangeEnd, secrets: tuple[ApiKey, ...]) -> Timeline:
    timeline = recorder.timeline(end.ending, end.at, end.clock, end.segments)
    if end.alert and not timeline.broken:
        timeline = replace(timeline, broken=f"{TLS_ENDED}{end.alert}")
    return without_secrets(timeline, secrets)
