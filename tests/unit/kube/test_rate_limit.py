"""The limit of writes finds out what a server takes, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from streaming_operator.errors import Unreachable
from streaming_operator.kube.rate_limit import SLOW_SECONDS, WriteLimit
from tests.unit.virtual_time import run

SERVICE_SECONDS = 0.02


class Server:
    """Works on *at_once* writes at a time and keeps others waiting; refuses those beyond *queue*."""

    def __init__(self, at_once: int, queue: int = 10_000) -> None:
        self._workers = asyncio.Semaphore(at_once)
        self._room = at_once + queue
        self.present = 0
        self.most = 0
        self.written = 0
        self.refused = 0

    async def write(self) -> bool:
        """Handle one write; False for a 429."""
        if self.present >= self._room:
            self.refused += 1
            return False
        self.present += 1
        self.most = max(self.most, self.present)
        async with self._workers:
            await asyncio.sleep(SERVICE_SECONDS)
        self.present -= 1
        self.written += 1
        return True


async def send(limit: WriteLimit, server: Server) -> None:
    """One write as the client sends it, repeated after a refusal."""
    while True:
        await limit.unpaused()
        async with limit.write():
            started = asyncio.get_running_loop().time()
            taken = await server.write()
        if taken:
            return limit.responded(started)
        limit.refused(started, 1.0)


async def busy(limit: WriteLimit, server: Server, seconds: float) -> None:
    """64 tasks that write all the time."""

    async def work() -> None:
        while True:
            await send(limit, server)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(work() for _ in range(64)))


def test_a_server_that_takes_all_is_used_to_the_full() -> None:
    """Nothing but the number of connections holds writes back after the first rounds."""

    async def main() -> tuple[int, int, float]:
        limit, server = WriteLimit(32), Server(at_once=32)
        await busy(limit, server, 10.0)
        return limit.now, server.most, server.written / (10.0 * 32 / SERVICE_SECONDS)

    now, most, share = run(main())
    assert (now, most) == (32, 32)
    assert share > 0.95


def test_a_server_that_refuses_gets_fewer_writes() -> None:
    """With room for six writes, few are refused, and most of what it can do is done."""

    async def main() -> tuple[float, float]:
        limit, server = WriteLimit(32), Server(at_once=4, queue=2)
        await busy(limit, server, 120.0)
        return server.refused / server.written, server.written / (120.0 * 4 / SERVICE_SECONDS)

    refused, share = run(main())
    assert refused < 0.01
    assert share > 0.5


def test_a_server_that_gets_slow_is_given_less() -> None:
    """One write at a time that takes 100 ms: 32 at once would take three seconds each."""

    async def main() -> tuple[int, float]:
        limit, server = WriteLimit(32), Server(at_once=1)
        server.write = slowly(server.write)  # type: ignore[method-assign]
        await busy(limit, server, 300.0)
        return limit.now, server.present * 0.1

    now, seconds = run(main())
    assert now < 16
    assert seconds < 1.5 * SLOW_SECONDS


def slowly(write: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
    """The server's one worker takes five times as long."""
    worker = asyncio.Semaphore(1)

    async def slow() -> bool:
        async with worker:
            await asyncio.sleep(4 * SERVICE_SECONDS)
            return await write()

    return slow


def test_slow_responses_alone_leave_a_few_writes_at_once() -> None:
    """A starved process sees slow responses of a server that has nothing to do."""

    async def main() -> int:
        limit = WriteLimit(32)
        for _ in range(20):
            started = asyncio.get_running_loop().time()
            await asyncio.sleep(5 * SLOW_SECONDS)
            limit.responded(started)
        return limit.now

    assert run(main()) == 8


def test_a_pause_that_the_server_asks_for_holds_everybody() -> None:
    """Nobody starts a request before Retry-After is over; a burst of refusals halves the limit once."""

    async def main() -> tuple[float, int]:
        limit = WriteLimit(8)
        await asyncio.sleep(SERVICE_SECONDS)
        for _ in range(5):
            limit.refused(0.0, 7.0 - SERVICE_SECONDS)
        await asyncio.gather(limit.unpaused(), limit.unpaused())
        return asyncio.get_running_loop().time(), limit.now

    assert run(main()) == (7.0, 4)


async def unanswered(limit: WriteLimit) -> None:
    """A write that runs into its time-out."""
    async with limit.write():
        await asyncio.sleep(15)
        raise Unreachable("no answer in time")


def test_no_response_at_all_lowers_the_limit() -> None:
    """A time-out or a broken connection is a sign of strain; one write is always allowed."""

    async def main() -> list[int]:
        limit, limits = WriteLimit(8), []
        for _ in range(5):
            with pytest.raises(Unreachable):
                await unanswered(limit)
            limits.append(limit.now)
        return limits

    assert run(main()) == [4, 2, 1, 1, 1]


def test_a_write_that_is_cancelled_while_it_waits_takes_no_place() -> None:
    """However it ends, the next in line gets its turn."""

    async def main() -> int:
        limit, server = WriteLimit(1), Server(at_once=1)
        tasks = [asyncio.create_task(send(limit, server)) for _ in range(5)]
        await asyncio.sleep(SERVICE_SECONDS / 2)
        for task in tasks[:4]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await send(limit, server)
        return server.written

    assert run(main()) == 2
