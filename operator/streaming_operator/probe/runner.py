"""
Runs verifications in the background: a limited number at a time, at most one an endpoint, the latest outcome kept.

It starts and cancels them. What a verification does is `verification.py`; when one is due and what its result
means is `controller/schedule.py`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from streaming_operator import metrics
from streaming_operator.api.reasons import Reason
from streaming_operator.kinds import Key
from streaming_operator.probe.http.request import Wording
from streaming_operator.probe.judge.verdict import streams
from streaming_operator.probe.slots import Slots
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.values import HopResult, ProbeResult, Problem

log = logging.getLogger(__name__)

Outcome = ProbeResult | Problem
"""What a verification came to: a result, or the error of the operator that ended it."""


class Verifier:
    """Runs verifications; `wake` is called with the endpoint's key when one has ended, unless it was dropped."""

    def __init__(self, concurrency: int, wake: Callable[[Key], None]) -> None:
        self._slots = Slots(concurrency)
        self._wake = wake
        self._tasks: dict[Key, asyncio.Task[Outcome]] = {}
        self._outcomes: dict[Key, Outcome] = {}
        self._wordings: dict[Key, tuple[str, Wording]] = {}
        """The pod template whose engine accepted a wording, and the wording: a refused one is not tried every time."""

    @property
    def under_way(self) -> int:
        """How many verifications run or wait for their turn."""
        return len(self._tasks)

    def running(self, key: Key) -> bool:
        """Whether a verification of this endpoint runs or waits for its turn."""
        return key in self._tasks

    def start(self, key: Key, plan: Plan) -> None:
        """Start a verification, unless one runs."""
        if key not in self._tasks:
            template, wording = self._wordings.get(key, ("", plan.wording))
            if template == plan.pod_template_hash:
                plan = replace(plan, wording=wording)
            plan = replace(plan, on_wording=partial(self._remember, key, plan.pod_template_hash))
            self._tasks[key] = task = asyncio.create_task(self._run(key, plan))
            task.add_done_callback(partial(self._ended, key))

    def take(self, key: Key) -> Outcome | None:
        """The outcome that came since the last call, once."""
        return self._outcomes.pop(key, None)

    def drop(self, key: Key) -> None:
        """Forget an endpoint; its verification is cancelled and leaves neither outcome nor metrics."""
        self._outcomes.pop(key, None)
        self._wordings.pop(key, None)
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel all verifications and wait until they have ended."""
        tasks = tuple(self._tasks.values())
        for key in tuple(self._tasks):
            self.drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _remember(self, key: Key, template: str, wording: Wording) -> None:
        """Ask the engine of this template with this wording from now on."""
        if key in self._tasks:
            self._wordings[key] = template, wording

    async def _run(self, key: Key, plan: Plan) -> Outcome:
        """One verification when its place is free."""
        try:
            async with self._slots.slot(key[0]):
                return await verify(plan)
        except Exception as error:
            log.exception("verification failed in the operator", extra={"endpoint": "/".join(key)})
            return Problem(
                Reason.INTERNAL_ERROR,
                f"The verification failed in the operator ({type(error).__name__}); its log has the details",
            )

    def _ended(self, key: Key, task: asyncio.Task[Outcome]) -> None:
        """Keep the outcome and wake the endpoint; of a task that was dropped nothing is kept."""
        if self._tasks.get(key) is not task:
            return
        del self._tasks[key]
        if not task.cancelled():
            outcome = task.result()
            if isinstance(outcome, ProbeResult):
                _count(key, outcome)
                # What the numbers were made of would be kept for as long as the endpoint lives.
                hops = tuple(replace(hop, timeline=None) for hop in outcome.hops)
                outcome = replace(outcome, hops=hops)
            self._outcomes[key] = outcome
        self._wake(key)


def _count(key: Key, result: ProbeResult) -> None:
    """Put one result into the operator's metrics."""
    if result.skipped:
        metrics.count_skipped(key)
        return
    metrics.count_verification(key, str(result.hop), str(result.verdict))
    if streams(result.verdict):
        metrics.set_last_success(key, result.at.timestamp())
    for hop in result.hops:
        _observe(key, hop)


def _observe(key: Key, result: HopResult) -> None:
    """The times of one hop's stream, in seconds."""
    hop, timeline = str(result.hop), result.timeline
    if not isinstance(timeline, Timeline):
        return
    if timeline.ttft is not None:
        metrics.PROBE_TTFT.observe(key, hop, timeline.ttft)
    gaps = timeline.gaps
    for gap in gaps:
        metrics.PROBE_GAP.observe(key, hop, gap)
    if gaps:
        metrics.PROBE_MAX_GAP.observe(key, hop, max(gaps))
