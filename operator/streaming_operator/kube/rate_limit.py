"""
How fast we may write: one token bucket for all of the operator, and a pause when the API server asks for one.

Reads are bounded by the number of connections only: they are cheap, and each belongs to a write or a probe.
"""

import asyncio


class Pace:
    """A token bucket; `turn` waits until one more write is due."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at: float | None = None
        self._not_before = 0.0

    async def turn(self) -> None:
        """Take one token, waiting for it in the order of asking."""
        now = asyncio.get_running_loop().time()
        elapsed = 0.0 if self._at is None else now - self._at
        self._at = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_second) - 1.0
        wait = max(-self._tokens / self._per_second, self._not_before - now)
        if wait > 0:
            await asyncio.sleep(wait)

    async def unpaused(self) -> None:
        """Wait until a pause that the API server asked for is over."""
        wait = self._not_before - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)

    def pause(self, seconds: float) -> None:
        """Let nobody start a request for *seconds* (Retry-After)."""
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + seconds)
