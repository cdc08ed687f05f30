"""
Which of several processes works: the one that holds a Lease, and it only as long as no other can have taken it.

The holder counts from the moment in which it *sent* its last renewal, the others from the moment in which they *saw*
it; the holder stops at two thirds of the time after which they may take over. Only durations are compared, by a clock
that goes on while a process or its machine is stopped. Why this is no library's: docs/decisions/0061-own-election.md.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from streaming_operator import metrics
from streaming_operator.errors import ClusterError, Conflict, NotLeading, OperatorError
from streaming_operator.kube.lease import Lease, Record, now

RENEWED_AFTER = 1 / 3
"""Share of the Lease's time after which its holder renews it."""
WRITES_UNTIL = 2 / 3
"""Share of the Lease's time, since a renewal was sent, in which the holder works."""
ANSWERED_WITHIN = 1 / 5
"""Share of the Lease's time that one try may take."""
RETRY_SECONDS = 1.0
"""Between two tries, and between two looks of a process that stands by."""
ENDED_WITHIN = 10.0
"""Seconds that the work has to end once the Lease is lost."""

log = logging.getLogger(__name__)


def clock() -> float:
    """Seconds that also pass while the process is stopped and, on Linux, while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Election:
    """One candidate. `may_write` is the fence of its writes; `run` contends and works."""

    def __init__(
        self, lease: Lease, identity: str, seconds: float, clock: Callable[[], float] = clock
    ) -> None:
        """*seconds* is how long after a renewal nobody else may take the Lease."""
        self._lease, self._identity, self._seconds, self._clock = lease, identity, seconds, clock
        self._until = -math.inf
        self._held: Record | None = None
        """What we wrote last, if that is certain."""
        self._other: Record | None = None
        """What somebody else holds, as it was seen last."""
        self._other_since = -math.inf
        self._problem: str | None = f"the Lease {lease} has not been read yet"

    @property
    def leading(self) -> bool:
        """Whether the Lease is ours, for certain, now."""
        return self._clock() < self._until

    @property
    def seconds_left(self) -> float:
        """How long this process may write unless it renews the Lease."""
        return max(self._until - self._clock(), 0.0)

    @property
    def stands_by(self) -> bool:
        """Whether somebody else is known to hold the Lease."""
        return not self.leading and self._problem is None

    @property
    def problem(self) -> str | None:
        """Why it is not known whether this process leads or stands by; None where it is."""
        return None if self.leading else self._problem

    def may_write(self) -> None:
        """The fence: raises `NotLeading` unless the Lease is ours."""
        if not self.leading:
            raise NotLeading(f"the Lease {self._lease} is not held by this process")

    async def run(self, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """
        Contend until *stop*, and work while the Lease is held; returns when the work has returned by itself.

        The work is cancelled when the Lease is lost, and started again when it is ours again; what it raises is raised.
        """
        while not stop.is_set():
            await self._try()
            if self.leading and await self._term(work):
                return
            await _pause(RETRY_SECONDS, stop)

    async def _term(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Work while the Lease is ours; whether the work ended by itself, upon which the Lease is released."""
        log.info("leads", extra={"lease": str(self._lease)})
        metrics.LEADER.set(1)
        task = asyncio.ensure_future(work())
        pause = self._seconds * RENEWED_AFTER
        try:
            while True:
                await asyncio.wait({task}, timeout=pause)
                if task.done():
                    task.result()
                    break
                if not self.leading:
                    log.warning("stops: the Lease was not renewed in time", extra={"cause": self._problem})
                    return False
                renewed = await self._try()
                if renewed and self._other is not None:
                    log.warning("stops: another process holds the Lease", extra={"lease": str(self._lease)})
                    return False
                pause = self._seconds * RENEWED_AFTER if renewed else min(RETRY_SECONDS, self.seconds_left)
        finally:
            self._until = -math.inf  # before the work is told: nothing may slip out
            metrics.LEADER.set(0)
            if not task.done():
                await _end(task)
        await self._release()
        return True

    async def _try(self) -> bool:
        """Read, take or renew the Lease, once; whether that went as it should, be it ours or another's."""
        started = self._clock()
        patience = self._seconds * ANSWERED_WITHIN
        try:
            async with asyncio.timeout(min(patience, self.seconds_left) if self.leading else patience):
                await self._contend(started)
        except Conflict:  # somebody was faster, or wrote over ours: no failure, and the next look tells who
            self._held = None
            return False
        except (ClusterError, TimeoutError) as error:
            self._held = None  # what is stored now is not known
            problem = str(error) or f"no answer about the Lease {self._lease} in time"
            metrics.LEASE_FAILURES.inc()
            if problem != self._problem:
                log.warning("the Lease is neither read nor renewed", extra={"cause": problem})
            self._problem = problem
            return False
        self._problem = None
        return True

    async def _contend(self, started: float) -> None:
        """One look, and one write where the Lease is free or ours."""
        record = self._held
        if record is None:
            record = await self._lease.read()
            self._see(record)
            if self._other is not None:
                self._until = -math.inf  # whatever we wrote before: it was taken from us
            if self._is_taken():
                return
        ours = record is not None and record.holder == self._identity
        wanted = Record(
            self._identity,
            self._seconds,
            record.acquired if record is not None and ours else now(),
            record.transitions + (not ours) if record is not None else 0,
            record.version if record is not None else "",
        )
        self._held = None
        self._held = await (self._lease.create(wanted) if record is None else self._lease.replace(wanted))
        self._other = None
        self._until = started + self._seconds * WRITES_UNTIL

    def _see(self, record: Record | None) -> None:
        """Note what somebody else holds, and since when it has not changed."""
        if record is None:
            return  # deleted: who held it may work on until its time is over
        if record.holder in ("", self._identity):
            self._other = None
        elif record != self._other:
            if self._other is None or self._other.holder != record.holder:
                log.info("stands by", extra={"lease": str(self._lease), "holder": record.holder})
            self._other, self._other_since = record, self._clock()

    def _is_taken(self) -> bool:
        """Whether somebody else may still work."""
        return self._other is not None and self._clock() < self._other_since + self._other.seconds

    async def _release(self) -> None:
        """Give the Lease back, so that nobody waits for its end; where that fails, they wait."""
        if self._held is None:
            return
        try:
            async with asyncio.timeout(self._seconds * ANSWERED_WITHIN):
                await self._lease.replace(replace(self._held, holder="", seconds=1))
            log.info("the Lease is released")
        except (ClusterError, TimeoutError) as error:
            log.warning("the Lease was not released", extra={"cause": str(error) or "no answer in time"})


async def _end(task: "asyncio.Future[None]") -> None:
    """Cancel the work and wait; raises where it goes on, since nothing may go on without the Lease."""
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=ENDED_WITHIN)
    if not done:
        raise OperatorError(f"the work did not end within {ENDED_WITHIN:.0f} s of losing the Lease")


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    """Wait, until *stop* at the longest."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
