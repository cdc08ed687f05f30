"""
Who may verify next: the slots of the verifications that run at once, shared between namespaces.

A server that is silent holds its slot for as long as its endpoint's time-outs allow. So a quarter of the slots is
for namespaces that hold none, and a free slot goes to the namespace that holds fewest, then to whoever has waited
longest.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """*count* slots; each holder is asked for its namespace."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._reserved = count // 4
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By namespace; the namespace that was served longest ago is the first."""

    @asynccontextmanager
    async def slot(self, namespace: str) -> AsyncIterator[None]:
        """Wait for a slot and hold it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(turn)
        self._assign()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += 1
                self._held[namespace] -= 1
                self._held += Counter()  # without those that hold none
            else:
                self._leave(namespace, turn)
            self._assign()

    def _assign(self) -> None:
        """Give the free slots away."""
        while (namespace := self._next()) is not None:
            turn = self._waiting[namespace].popleft()
            self._waiting.move_to_end(namespace)
            if not self._waiting[namespace]:
                del self._waiting[namespace]
            if not turn.cancelled():
                self._free -= 1
                self._held[namespace] += 1
                turn.set_result(None)

    def _next(self) -> str | None:
        """The namespace whose turn it is; None if no slot is free for anybody who waits."""
        allowed = [
            namespace
            for namespace in self._waiting
            if self._free > (self._reserved if self._held[namespace] else 0)
        ]
        return min(allowed, key=lambda namespace: self._held[namespace], default=None)

    def _leave(self, namespace: str, turn: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(namespace, deque())
        if turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[namespace]
