"""
How many writes may be under way at once: as many as the API server answers well.

No constant fits both a laptop and a large control plane, so the limit follows the responses, as TCP's congestion window
follows losses: it grows while they are quick, shrinks a little when they are slow, and halves when the server says 429,
whose Retry-After is kept. Reads are bounded by the number of connections only: they are cheap, and each belongs to a
write or a probe.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streaming_operator.errors import Unreachable

FIRST = 8.0
"""
Writes at once before anything is known of the server. Slow responses alone take no more than that away: a few writes at
once strain no server, and it may be this process that got no CPU.
"""

SLOW_SECONDS = 1.0
"""A response that takes longer is slow: Kubernetes' own objective for single writes (99 % within a second)."""

GROWTH_SECONDS = 1.0
"""Between two steps of growth once the server showed strain."""

SHRINK_WHEN_SLOW = 0.8
SHRINK_WHEN_REFUSED = 0.5


class WriteLimit:
    """Lets writes begin in the order of asking, at most as many at once as the limit is now."""

    def __init__(self, most: int) -> None:
        """*most* is the number of connections: more writes could not be under way anyway."""
        self._most = float(most)
        self._limit = min(FIRST, self._most)
        self._doubling = True
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._not_before = 0.0
        self._shrunk_at = self._changed_at = float("-inf")

    @property
    def now(self) -> int:
        """Writes that may be under way at once, as of the last response."""
        return int(self._limit)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """Around one request that writes: waits until it may begin. No response at all is as bad as a refusal."""
        await self._enter()
        started = self._clock()
        try:
            yield
        except Unreachable:
            self._shrink(started, SHRINK_WHEN_REFUSED)
            raise
        finally:
            self._under_way -= 1
            self._admit()

    def responded(self, started: float) -> None:
        """Learn from a response to a write that began at *started* (by the event loop's clock)."""
        now = self._clock()
        if now - started > SLOW_SECONDS:
            self._shrink(started, SHRINK_WHEN_SLOW, FIRST)
            return
        tried = self._waiting or self._under_way + 1 >= self.now
        # One more per response doubles the limit per round trip; after the first sign of strain it grows by one a
        # second, however quick the server is.
        if tried and (self._doubling or now - self._changed_at >= GROWTH_SECONDS):
            self._limit, self._changed_at = min(self._limit + 1.0, self._most), now
            self._admit()

    def refused(self, started: float, seconds: float) -> None:
        """The API server answered 429: nobody starts a request for *seconds* (Retry-After), and fewer at once then."""
        self._shrink(started, SHRINK_WHEN_REFUSED)
        self._not_before = max(self._not_before, self._clock() + seconds)

    async def unpaused(self) -> None:
        """Wait until a pause that the API server asked for is over."""
        wait = self._not_before - self._clock()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _enter(self) -> None:
        if not self._waiting and self._under_way < self.now:
            self._under_way += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # admitted in the same moment: the place is free again
                self._under_way -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        """Let those begin whose turn it is."""
        while self._waiting and self._under_way < self.now:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)

    def _shrink(self, started: float, share: float, least: float = 1.0) -> None:
        """Lower the limit; what was sent before it was lowered last says nothing of it."""
        if started >= self._shrunk_at:
            self._limit = max(self._limit * share, min(self._limit, least))
            self._doubling = False
            self._shrunk_at = self._changed_at = self._clock()

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()
