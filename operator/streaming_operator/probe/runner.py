"""
Verifications beside the passes: at most so many at once, at most one an endpoint, the latest result kept.

It starts, keeps and cancels; what a verification does is `hops`, what its result means is `status`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from streaming_operator import metrics
from streaming_operator.probe.judge.verdict import streams
from streaming_operator.probe.stream.timeline import Timeline
from streaming_operator.probe.verification import Plan, verify
from streaming_operator.values import HopResult, Key, ProbeResult

log = logging.getLogger(__name__)


class Verifier:
    """Runs verifications; `wake` is called with the endpoint's key whenever a result is there."""

    def __init__(self, at_once: int, wake: Callable[[Key], None]) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._wake = wake
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._results: dict[Key, ProbeResult] = {}

    def running(self, key: Key) -> bool:
        """Whether a verification of this endpoint runs or waits for its place."""
        return key in self._tasks

    def start(self, key: Key, plan: Plan) -> None:
        """Start a verification, unless one runs."""
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(key, plan))

    def take(self, key: Key) -> ProbeResult | None:
        """The result that came since the last call, once."""
        return self._results.pop(key, None)

    def drop(self, key: Key) -> None:
        """Forget an endpoint; its verification is cancelled."""
        self._results.pop(key, None)
        if (task := self._tasks.get(key)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Cancel all verifications and wait until they are gone."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: Key, plan: Plan) -> None:
        """One verification, then a wake; one that failed itself is logged and tried again by the next pass."""
        try:
            async with self._places:
                result = await verify(plan)
            _count(key, result)
            # What the numbers were made of would be kept for as long as the endpoint lives.
            self._results[key] = replace(
                result, hops=tuple(replace(hop, timeline=None) for hop in result.hops)
            )
        except Exception:
            log.exception("verification failed itself", extra={"endpoint": "/".join(key)})
        finally:
            del self._tasks[key]
            self._wake(key)


def _count(key: Key, result: ProbeResult) -> None:
    """Put one result into the operator's metrics."""
    if result.skipped:
        metrics.SKIPPED.labels(*key).inc()
        return
    metrics.PROBES.labels(*key, str(result.hop), str(result.verdict)).inc()
    if streams(result.verdict):
        metrics.LAST_SUCCESS.labels(*key).set(result.at.timestamp())
    for hop in result.hops:
        _observe(key, hop)


def _observe(key: Key, hop: HopResult) -> None:
    """The times of one hop's stream, in seconds."""
    labels = (*key, str(hop.hop))
    if not isinstance(hop.timeline, Timeline):
        return
    if hop.timeline.ttft is not None:
        metrics.PROBE_TTFT.labels(*labels).observe(hop.timeline.ttft)
    gaps = hop.timeline.gaps
    for gap in gaps:
        metrics.PROBE_GAP.labels(*labels).observe(gap)
    if gaps:
        metrics.PROBE_MAX_GAP.labels(*labels).observe(max(gaps))
