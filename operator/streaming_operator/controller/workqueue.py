"""
A keyed work queue: many wishes for one key become one pass, and a failing key waits alone.

It knows nothing of Kubernetes. A key is never in two passes at once; a key added while its pass runs gets one
more pass afterwards. Everything happens in one event loop; `add` from another thread goes through
`loop.call_soon_threadsafe`.
"""

import asyncio
import heapq
import logging
import random
from collections import deque
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
    """Keys that want a pass: now, later, or after a failure."""

    def __init__(self) -> None:
        self._ready: deque[KeyT] = deque()
        self._queued: set[KeyT] = set()
        self._running: set[KeyT] = set()
        self._again: set[KeyT] = set()
        self._due: dict[KeyT, float] = {}
        self._timers: list[tuple[float, int, KeyT]] = []
        self._failures: dict[KeyT, int] = {}
        self._serial = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._wanted = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that could start now."""
        return len(self._ready)

    @property
    def running(self) -> frozenset[KeyT]:
        """Keys in a pass."""
        return frozenset(self._running)

    def add(self, key: KeyT) -> None:
        """Ask for a pass now; a later appointment of the key is cancelled by it."""
        self._due.pop(key, None)
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._wanted.set()

    def add_after(self, key: KeyT, seconds: float) -> None:
        """Ask for a pass in *seconds*; the earliest appointment of a key wins."""
        if seconds <= 0:
            return self.add(key)
        due = asyncio.get_running_loop().time() + seconds
        if key in self._queued or key in self._again or self._due.get(key, due) < due:
            return None
        self._due[key] = due
        self._serial += 1
        heapq.heappush(self._timers, (due, self._serial, key))
        self._set_alarm()
        return None

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
        """Drop the key with its appointments and its backoff; a pass that runs ends as it may."""
        self.succeeded(key)
        self._due.pop(key, None)
        self._again.discard(key)
        if key in self._queued:
            self._queued.discard(key)
            self._ready.remove(key)

    def close(self) -> None:
        """Take no more keys to work; passes that run may end."""
        self._closed = True
        self._wanted.set()
        if self._alarm is not None:
            self._alarm.cancel()

    async def run(self, workers: int, process: Callable[[KeyT], Awaitable[float | None]]) -> None:
        """
        Work until `close`, with at most *workers* passes at once.

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
                    task.add_done_callback(lambda _: self._wanted.set())
                self._wanted.clear()
                await self._wanted.wait()
            if passes:
                await asyncio.wait(passes)
        finally:
            for task in passes:
                task.cancel()

    def _take(self) -> KeyT:
        """Move the oldest ready key into its pass."""
        key = self._ready.popleft()
        self._queued.discard(key)
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
            log.exception("a pass ended with an unexpected error")
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

    def _set_alarm(self) -> None:
        """Let the loop call `_ring` when the next appointment is due."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        if self._timers and not self._closed:
            self._alarm = asyncio.get_running_loop().call_at(self._timers[0][0], self._ring)

    def _ring(self) -> None:
        """Move every key whose appointment has come to the ready ones."""
        now = asyncio.get_running_loop().time()
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                self.add(key)
        self._set_alarm()
