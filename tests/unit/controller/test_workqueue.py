"""The work queue: what becomes one pass, what waits, and what a failure costs."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_operator.controller.workqueue import LONGEST_BACKOFF_SECONDS, Retry, WorkQueue
from tests.unit.virtual_time import run

Process = Callable[[str], Awaitable[float | None]]


def now() -> float:
    """The virtual clock."""
    return asyncio.get_running_loop().time()


async def working(queue: WorkQueue[str], process: Process, seconds: float, workers: int = 4) -> None:
    """Let the queue work for that long, then close it and wait for its end."""
    task = asyncio.create_task(queue.run(workers, process))
    await asyncio.sleep(seconds)
    queue.close()
    await task


def test_requests_for_a_key_are_coalesced_into_one_pass() -> None:
    """A key that is added often before its pass gets one pass."""
    passes: list[str] = []

    async def process(key: str) -> None:
        passes.append(key)

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("a", "b", "a", "a"):
            queue.add(key)
        await working(queue, process, 1)

    run(main())
    assert passes == ["a", "b"]


def test_the_queue_has_the_age_of_the_key_that_waits_longest() -> None:
    """From when it could start until it starts; a key that is added again is not younger."""

    async def main() -> list[tuple[int, float]]:
        queue: WorkQueue[str] = WorkQueue()
        seen = [(len(queue), queue.age)]
        for key in ("a", "b", "a"):
            queue.add(key)
            await asyncio.sleep(1)
        seen.append((len(queue), queue.age))
        queue.forget("a")
        seen.append((len(queue), queue.age))
        await working(queue, lambda key: asyncio.sleep(5), 1)
        return [*seen, (len(queue), queue.age)]

    assert run(main()) == [(0, 0.0), (2, 3.0), (1, 2.0), (0, 0.0)]


def test_a_key_is_never_in_two_passes_at_once_and_misses_nothing() -> None:
    """A request during the key's own pass becomes exactly one pass after it."""
    begun: list[float] = []

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()

        async def process(key: str) -> None:
            begun.append(now())
            if len(begun) == 1:
                queue.add(key)
                queue.add(key)
                await asyncio.sleep(10)

        queue.add("a")
        await working(queue, process, 60)

    run(main())
    assert begun == [0, 10]


def test_the_pool_is_bounded_and_other_keys_do_not_wait_for_a_slow_one() -> None:
    """No more passes run at once than there are workers; a slow key holds one worker only."""
    begun: list[tuple[str, float]] = []

    async def process(key: str) -> None:
        begun.append((key, now()))
        await asyncio.sleep(100 if key == "slow" else 1)

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("slow", "a", "b", "c"):
            queue.add(key)
        await working(queue, process, 50, workers=2)

    run(main())
    assert begun == [("slow", 0), ("a", 0), ("b", 1), ("c", 2)]


def test_a_timer_fires_once_and_the_earliest_wins() -> None:
    """`add_after` brings the key back once, at the earliest of its times."""
    begun: list[float] = []

    async def process(key: str) -> None:
        begun.append(now())

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 30)
        queue.add_after("a", 5)
        queue.add_after("a", 20)
        await working(queue, process, 100)

    run(main())
    assert begun == [5]


def test_a_request_for_now_cancels_the_timer() -> None:
    """Resyncs do not pile up on top of passes that events asked for."""
    begun: list[float] = []

    async def process(key: str) -> float | None:
        begun.append(now())
        return 600 if len(begun) < 3 else None

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        asyncio.get_running_loop().call_later(300, queue.add, "a")
        await working(queue, process, 5000)

    run(main())
    assert begun == [0, 300, 900]


def test_a_failing_key_backs_off_alone() -> None:
    """Failures in a row double the pause up to its limit; other keys come at once; a success starts over."""
    begun: dict[str, list[float]] = {"bad": [], "good": []}

    async def process(key: str) -> None:
        begun[key].append(now())
        if key == "bad" and len(begun["bad"]) != 14:
            raise Retry("not yet")

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("bad")
        queue.add("good")
        task = asyncio.create_task(queue.run(4, process))
        await asyncio.sleep(3000)
        queue.add("bad")
        await asyncio.sleep(1)
        queue.close()
        await task

    run(main())
    times = begun["bad"]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(0.18 * 2**n <= pauses[n] <= 0.22 * 2**n for n in range(11))
    assert all(
        0.9 * LONGEST_BACKOFF_SECONDS <= pause <= 1.1 * LONGEST_BACKOFF_SECONDS for pause in pauses[11:13]
    )
    assert len(times) > 14
    assert pauses[14] <= 0.22
    assert begun["good"] == [0]


def test_an_unforeseen_exception_costs_its_key_a_backoff_and_nothing_else() -> None:
    """The pool outlives whatever a pass lets through."""
    passes: list[str] = []

    async def process(key: str) -> None:
        passes.append(key)
        if key == "bad" and passes.count("bad") == 1:
            raise ZeroDivisionError

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("bad")
        queue.add("good")
        await working(queue, process, 10)

    run(main())
    assert passes == ["bad", "good", "bad"]


def test_a_pass_that_failed_is_logged_with_its_key(caplog: pytest.LogCaptureFixture) -> None:
    """Among thousands of endpoints, a log line says which one it is about."""

    async def process(key: str) -> None:
        raise Retry("not yet") if key == "retried" else ZeroDivisionError

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("retried")
        queue.add("broken")
        await working(queue, process, 0.1)

    run(main())
    assert {record.__dict__["key"] for record in caplog.records} == {"retried", "broken"}


def test_timers_that_were_overtaken_take_no_memory() -> None:
    """A key that asks for a pass in ten minutes after each of thousands of passes has one timer."""
    passes = 0

    async def process(key: str) -> float:
        nonlocal passes
        passes += 1
        return 600.0

    async def main() -> int:
        queue: WorkQueue[str] = WorkQueue()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(queue.run(4, process))
        for _ in range(2000):
            queue.add("busy")
            await asyncio.sleep(0.1)
        timers = len(loop._scheduled)  # type: ignore[attr-defined]
        queue.close()
        await task
        return timers

    assert run(main()) < 250  # the event loop clears out cancelled timers a hundred at a time
    assert passes == 2000


def test_a_forgotten_key_does_not_come_back() -> None:
    """`forget` drops the request, the timer and the backoff."""
    passes: list[str] = []

    async def process(key: str) -> None:
        passes.append(key)

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("now")
        queue.add_after("later", 5)
        queue.add_failed("failed")
        for key in ("now", "later", "failed"):
            queue.forget(key)
        queue.add("other")
        await working(queue, process, 100)

    run(main())
    assert passes == ["other"]


def test_close_lets_running_passes_end_and_starts_no_more() -> None:
    """After `close`, `run` returns when the passes that were begun are over."""
    ended: list[str] = []

    async def process(key: str) -> None:
        await asyncio.sleep(10)
        ended.append(key)

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("begun")
        queue.add("waiting")
        await working(queue, process, 1, workers=1)

    run(main())
    assert ended == ["begun"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 3.0]), st.floats(min_value=0, max_value=20)
        ),
        max_size=30,
    ),
    st.integers(min_value=1, max_value=3),
)
def test_every_request_is_followed_by_a_pass(requests: list[tuple[str, float, float]], workers: int) -> None:
    """Whatever the order of requests, timers and slow passes: after each request its key gets a pass."""
    asked: dict[str, float] = {}
    begun: dict[str, float] = {}
    running: set[str] = set()

    async def process(key: str) -> None:
        assert key not in running
        running.add(key)
        begun[key] = now()
        await asyncio.sleep(1)
        running.discard(key)

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()

        def ask(key: str, delay: float) -> None:
            asked[key] = now()
            queue.add_after(key, delay)

        for key, delay, at in requests:
            asyncio.get_running_loop().call_later(at, ask, key, delay)
        await working(queue, process, 1000, workers)

    run(main())
    assert all(begun[key] >= at for key, at in asked.items())


def test_a_queue_that_was_cancelled_works_again() -> None:
    """A Lease that is lost ends the passes that run; with the next one everything that was asked for is done."""
    begun: list[str] = []
    ended: list[str] = []

    async def process(key: str) -> None:
        begun.append(key)
        await asyncio.sleep(10)
        ended.append(key)

    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.add_after("b", 50)
        task = asyncio.create_task(queue.run(4, process))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert queue.running == frozenset()
        queue.add("a")
        await working(queue, process, 100)

    run(main())
    assert (begun, ended) == (["a", "a", "b"], ["a", "b"])
