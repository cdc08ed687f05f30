"""
A keyed work queue: requests for a key are coalesced into one pass, and a failing key waits alone.

It knows nothing of Kubernetes. A key is never in two passes at once; a key added while its pass runs gets one
more pass afterwards. Everything happens in one event loop; `add` from another thread goes through
`loop.call_soon_threadsafe`.
"""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 300.0
JITTER = 0.1
"""Share by which delays vary, so that keys that failed together do not come back together."""

log = logging.getLogger(__name__)


class Retry(Exception):
    """Raised by a pass that did what it could: the key comes back after its own backoff."""


class WorkQueue(Generic[KeyT]):
    """Keys to be processed: now, later, or after a failure."""

    def __init__(self) -> None:
        self._ready: OrderedDict[KeyT, float] = OrderedDict()
        """Since when each could start, by the event loop's clock, the oldest first."""
        self._running: set[KeyT] = set()
        self._again: set[KeyT] = set()
        self._timers: dict[KeyT, asyncio.TimerHandle] = {}
        self._failures: dict[KeyT, int] = {}
        self._wakeup = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that could start now."""
        return len(self._ready)

    @property
    def age(self) -> float:
        """Seconds that the key which waits longest could have been started; 0 where none waits."""
        oldest = next(iter(self._ready.values()), None)
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest

    @property
    def running(self) -> frozenset[KeyT]:
        """Keys in a pass."""
        return frozenset(self._running)

    def add(self, key: KeyT) -> None:
        """Ask for a pass now; a timer of the key is cancelled by it."""
        self._cancel_timer(key)
        if key in self._running:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = asyncio.get_running_loop().time()
            self._wakeup.set()

    def add_after(self, key: KeyT, seconds: float) -> None:
        """Ask for a pass in *seconds*; the earliest timer of a key wins."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if self._closed or key in self._ready or key in self._again or (timer and timer.when() <= due):
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_at(due, self.add, key)

    def add_failed(self, key: KeyT) -> float:
        """Ask for a pass after this key's own backoff, doubled with each failure in a row; says how long."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 30), LONGEST_BACKOFF_SECONDS)
        seconds *= 1 + random.uniform(-JITTER, JITTER)
        self.add_after(key, seconds)
        return seconds

    def succeeded(self, key: KeyT) -> None:
        """The next failure of this key starts from the shortest backoff again."""
        self._failures.pop(key, None)

    def forget(self, key: KeyT) -> None:
        """Drop the key with its timer and its backoff; a pass that runs ends as it may."""
        self.succeeded(key)
        self._cancel_timer(key)
        self._again.discard(key)
        self._ready.pop(key, None)

    def close(self) -> None:
        """Take no more keys to work; passes that run may end."""
        self._closed = True
        self._wakeup.set()
        for key in tuple(self._timers):
            self._cancel_timer(key)

    async def run(self, workers: int, process: Callable[[KeyT], Awaitable[float | None]]) -> None:
        """
        Work until `close`, with at most *workers* passes at once; cancelled, it ends them and may be run again.

        *process* returns the seconds until the next pass, or None for none. It is expected to map its errors
        to values; an exception that it lets through is logged and costs only this key a backoff.
        """
        passes: set[asyncio.Task[None]] = set()
        try:
            while not self._closed:
                while self._ready and len(passes) < workers and not self._closed:
                    task = asyncio.create_task(self._pass(self._take(), process))
                    passes.add(task)
                    task.add_done_callback(passes.discard)
                    task.add_done_callback(lambda _: self._wakeup.set())
                self._wakeup.clear()
                await self._wakeup.wait()
            if passes:
                await asyncio.wait(passes)
        finally:
            for task in passes:
                task.cancel()
            await asyncio.gather(*passes, return_exceptions=True)
            self._again.clear()

    def _take(self) -> KeyT:
        """Move the oldest ready key into its pass."""
        key, _ = self._ready.popitem(last=False)
        self._running.add(key)
        return key

    async def _pass(self, key: KeyT, process: Callable[[KeyT], Awaitable[float | None]]) -> None:
        """One pass of one key, and what comes after it."""
        pause: float | None = None
        failed = False
        try:
            pause = await process(key)
        except Retry as retry:
            log.warning("pass is tried again", extra={"key": str(key), "cause": str(retry)})
            failed = True
        except Exception:
            failed = True
            log.exception("a pass ended with an unexpected error", extra={"key": str(key)})
        else:
            self.succeeded(key)
        finally:
            self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif failed:
            self.add_failed(key)
        elif pause is not None:
            self.add_after(key, pause)

    def _cancel_timer(self, key: KeyT) -> None:
        """Drop the key's timer; the event loop clears out cancelled ones by itself."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
