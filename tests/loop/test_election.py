"""Rules of the election in virtual time: one process works, and no two of them, whatever fails in between."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming_operator import metrics
from streaming_operator.errors import Conflict, Forbidden, NotLeading, OperatorError, Unreachable
from streaming_operator.kube import election as module
from streaming_operator.kube.election import Election
from streaming_operator.kube.lease import Record
from tests.unit.virtual_time import run

SECONDS = 15.0
ONE_LOOK = module.RETRY_SECONDS + 0.01
"""From one look of a process that stands by to the next, with the time that an answer takes."""
LATENCY = 0.01


class Server:
    """A Lease in memory, and who wrote when."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.versions = 0
        self.written: list[tuple[float, str]] = []

    def store(self, record: Record, *, over: str | None) -> Record:
        """Keep a record; raises `Conflict` where another version is stored."""
        if (self.record.version if self.record else None) != over:
            raise Conflict("the Lease has another version")
        self.versions += 1
        self.record = replace(record, version=str(self.versions))
        return self.record


class Path:
    """How one process reaches the Lease: `fault` is what its requests meet."""

    def __init__(self, server: Server) -> None:
        self.server, self.fault = server, ""

    async def read(self) -> Record | None:
        return await self._request(lambda: self.server.record)

    async def create(self, record: Record) -> Record:
        return await self._request(lambda: self.server.store(record, over=None))

    async def replace(self, record: Record) -> Record:
        return await self._request(lambda: self.server.store(record, over=record.version))

    async def _request(self, act: Callable[[], Any]) -> Any:
        await asyncio.sleep(LATENCY)
        if self.fault == "forbidden":
            raise Forbidden("leases is forbidden")
        if self.fault == "refused":
            raise Unreachable("connection refused")
        if self.fault == "silence":
            await asyncio.Event().wait()
        if self.fault == "late":
            asyncio.get_running_loop().call_later(40.0, _whatever_comes, act)
            await asyncio.Event().wait()
        answer = act()
        if self.fault == "answer lost":
            await asyncio.Event().wait()
        return answer


def _whatever_comes(act: Callable[[], Any]) -> None:
    """A request that arrives when nobody waits for its answer any more."""
    with suppress(Conflict):
        act()


class Process:
    """One candidate that writes ten times a second while it works."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name, self.path = server, name, Path(server)
        self.stop = asyncio.Event()
        self.closed = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.election = Election(self.path, name, SECONDS, clock=loop.time)
        self.task = asyncio.create_task(self.election.run(self.work, self.stop))

    async def work(self) -> None:
        """Write until closed."""
        while not self.closed.is_set():
            try:
                self.election.may_write()
                self.server.written.append((asyncio.get_running_loop().time(), self.name))
            except NotLeading:
                pass
            await asyncio.sleep(0.1)

    def end(self) -> None:
        """As on SIGTERM."""
        self.stop.set()
        self.closed.set()

    def kill(self) -> None:
        """As by SIGKILL: nothing more is sent, the Lease neither."""
        self.path.fault = "silence"
        self.task.cancel()

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.gather(self.task, return_exceptions=True)


def turns(server: Server) -> list[str]:
    """Who wrote, one entry for each change of hands."""
    names = [name for _, name in server.written]
    return names[:1] + [new for old, new in pairwise(names) if new != old]


def last(server: Server, name: str) -> float:
    """When a process wrote for the last time."""
    return max(when for when, writer in server.written if writer == name)


def first(server: Server, name: str) -> float:
    """When a process wrote for the first time."""
    return min(when for when, writer in server.written if writer == name)


async def two(server: Server) -> tuple[Process, Process]:
    """A leader, and one that has stood by for a while."""
    leader = Process(server, "a")
    await asyncio.sleep(1)
    standby = Process(server, "b")
    await asyncio.sleep(60)
    assert turns(server) == ["a"]
    return leader, standby


def scene(play: Callable[[Server, Process, Process], Awaitable[None]]) -> Server:
    """What was written while *play* happened to a leader and a standby."""

    async def main() -> Server:
        server = Server()
        leader, standby = await two(server)
        await play(server, leader, standby)
        for process in (leader, standby):
            process.task.cancel()
            await process.ended()
        return server

    return run(main())


def test_who_is_alone_works_at_once_and_goes_on() -> None:
    """One request for the Lease, then work; a process without rivals is never interrupted."""

    async def main() -> list[float]:
        server = Server()
        alone = Process(server, "a")
        await asyncio.sleep(600)
        alone.end()
        await alone.ended()
        return [when for when, _ in server.written]

    times = run(main())
    assert times[0] < 0.1
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.2


def test_a_clean_stop_hands_over_within_one_look() -> None:
    """The Lease is released when the work has ended, and the standby need not wait for its end."""
    stopped = 0.0

    async def play(server: Server, leader: Process, standby: Process) -> None:
        nonlocal stopped
        stopped = asyncio.get_running_loop().time()
        leader.end()
        await asyncio.sleep(10)

    server = scene(play)
    assert turns(server) == ["a", "b"]
    assert first(server, "b") - stopped <= ONE_LOOK + 0.1 + 2 * LATENCY


def test_after_a_kill_the_standby_works_within_the_leases_time_and_one_look() -> None:
    """It waits for the whole time since the last renewal that it saw, and not longer."""
    killed = 0.0

    async def play(server: Server, leader: Process, standby: Process) -> None:
        nonlocal killed
        killed = asyncio.get_running_loop().time()
        leader.kill()
        await asyncio.sleep(30)

    server = scene(play)
    assert turns(server) == ["a", "b"]
    assert first(server, "b") - killed <= SECONDS + 2 * ONE_LOOK
    assert first(server, "b") - last(server, "a") >= SECONDS - SECONDS * module.RENEWED_AFTER - ONE_LOOK


@pytest.mark.parametrize("fault", ["silence", "refused", "answer lost", "late"])
def test_who_is_cut_off_writes_nothing_after_its_lease(fault: str) -> None:
    """It stops a third of the Lease's time before anybody else begins; healed, it stands by."""

    async def play(server: Server, leader: Process, standby: Process) -> None:
        leader.path.fault = fault
        await asyncio.sleep(120)
        leader.path.fault = ""
        await asyncio.sleep(60)

    server = scene(play)
    assert turns(server) == ["a", "b"]
    assert first(server, "b") - last(server, "a") >= SECONDS * (1 - module.WRITES_UNTIL)


def test_who_was_stopped_for_longer_than_its_lease_writes_nothing_when_it_goes_on() -> None:
    """The fence asks the clock, before any other part of the process has noticed."""

    async def main() -> None:
        server, stopped_for = Server(), 0.0
        loop = asyncio.get_running_loop()
        path, stop = Path(server), asyncio.Event()
        election = Election(path, "a", SECONDS, clock=lambda: loop.time() + stopped_for)

        async def work() -> None:
            await asyncio.Event().wait()

        task = asyncio.create_task(election.run(work, stop))
        await asyncio.sleep(1)
        election.may_write()
        stopped_for = SECONDS * module.WRITES_UNTIL
        with pytest.raises(NotLeading):
            election.may_write()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


def test_an_answer_that_is_lost_once_costs_nobody_the_lease() -> None:
    """The renewal is stored, its answer is not: the leader reads again, and goes on without a pause."""

    async def play(server: Server, leader: Process, standby: Process) -> None:
        leader.path.fault = "answer lost"
        await asyncio.sleep(5)
        leader.path.fault = ""
        await asyncio.sleep(60)

    server = scene(play)
    assert turns(server) == ["a"]
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(server.written)]
    assert max(gaps) < 0.2


def test_a_deleted_lease_is_not_taken_while_its_holder_may_work() -> None:
    """Who saw it held waits as long as if it were still there; its holder makes it again."""

    async def play(server: Server, leader: Process, standby: Process) -> None:
        leader.path.fault = "silence"
        await asyncio.sleep(2)
        server.record = None
        await asyncio.sleep(60)

    server = scene(play)
    assert turns(server) == ["a", "b"]
    assert first(server, "b") - last(server, "a") >= SECONDS * (1 - module.WRITES_UNTIL)


def test_a_holder_that_reads_that_another_holds_the_lease_writes_nothing_more() -> None:
    """A candidate that never saw a deleted Lease takes it: one renewal is refused, the next look ends the work."""
    deleted = 0.0

    async def play(server: Server, leader: Process, standby: Process) -> None:
        nonlocal deleted
        deleted = asyncio.get_running_loop().time()
        server.record = None
        newcomer = Process(server, "c")
        await asyncio.sleep(60)
        newcomer.task.cancel()
        await newcomer.ended()

    server = scene(play)
    assert {name for when, name in server.written if when > deleted + 15} == {"c"}
    assert last(server, "a") - deleted <= SECONDS * module.RENEWED_AFTER + ONE_LOOK + 2 * LATENCY


def test_who_loses_a_race_for_a_free_lease_stands_by_without_a_failure() -> None:
    """Two standbys look in the same moment: the slower one stays ready, and nothing is counted."""

    async def main() -> tuple[list[bool], set[str | None], float]:
        server = Server()
        leader = Process(server, "a")
        await asyncio.sleep(0.5)
        rivals = [Process(server, name) for name in "bc"]
        await asyncio.sleep(30)
        failures, problems = failed_tries(), set()
        leader.end()
        for _ in range(300):
            await asyncio.sleep(LATENCY)
            problems |= {process.election.problem for process in rivals}
        leading = sorted(process.election.leading for process in rivals)
        for process in (leader, *rivals):
            process.task.cancel()
            await process.ended()
        return leading, problems, failed_tries() - failures

    assert run(main()) == ([False, True], {None}, 0)


def failed_tries() -> float:
    """As the metric counts them."""
    return metrics.REGISTRY.get_sample_value("streamingendpoint_lease_failures_total") or 0.0


def test_without_the_right_to_the_lease_nobody_works_and_the_cause_is_told() -> None:
    """What the API server says is what /readyz shows."""

    async def main() -> tuple[list[tuple[float, str]], str | None]:
        server = Server()
        process = Process(server, "a")
        process.path.fault = "forbidden"
        await asyncio.sleep(60)
        problem = process.election.problem
        process.end()
        await process.ended()
        return server.written, problem

    assert run(main()) == ([], "leases is forbidden")


def test_leading_and_standing_by_are_no_problem() -> None:
    """Both are ready: each knows what it is."""

    async def play(server: Server, leader: Process, standby: Process) -> None:
        assert (leader.election.leading, leader.election.problem) == (True, None)
        assert (standby.election.leading, standby.election.problem) == (False, None)

    scene(play)


def test_what_the_work_raises_ends_the_process() -> None:
    """It is not taken for a lost Lease, and the fence is closed."""

    async def main() -> None:
        election = Election(Path(Server()), "a", SECONDS, clock=asyncio.get_running_loop().time)

        async def work() -> None:
            raise OperatorError("of the work")

        with pytest.raises(OperatorError, match="of the work"):
            await election.run(work, asyncio.Event())
        assert not election.leading

    run(main())


def test_work_that_does_not_end_with_the_lease_ends_the_process() -> None:
    """Nothing may go on without the Lease, and a new process can."""

    async def main() -> None:
        path = Path(Server())
        election = Election(path, "a", SECONDS, clock=asyncio.get_running_loop().time)

        async def work() -> None:
            for _ in range(2):
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(1000)

        path_cut = asyncio.get_running_loop().call_later(5, setattr, path, "fault", "refused")
        with pytest.raises(OperatorError, match="did not end"):
            await election.run(work, asyncio.Event())
        path_cut.cancel()

    run(main())


FAULTS = ("", "silence", "refused", "answer lost", "late", "kill", "end")


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 2), st.sampled_from(FAULTS)), min_size=1, max_size=12)
)
def test_whatever_fails_and_heals_the_turns_never_overlap(faults: list[tuple[float, int, str]]) -> None:
    """Between the last write of one and the first of the next lies a third of the Lease's time, or a release."""

    async def main() -> tuple[Server, list[float]]:
        server = Server()
        processes = [Process(server, name) for name in "abc"]
        released: list[float] = []
        for pause, who, fault in faults:
            await asyncio.sleep(pause)
            process = processes[who]
            if fault == "kill":
                process.kill()
            elif fault == "end":
                process.end()
                released.append(asyncio.get_running_loop().time())
            else:
                process.path.fault = fault
        await asyncio.sleep(60)
        for process in processes:
            process.task.cancel()
            await process.ended()
        return server, released

    server, released = run(main())
    for (earlier, before), (later, after) in pairwise(server.written):
        if before != after and not any(earlier <= when + 0.2 and when <= later for when in released):
            assert later - earlier >= SECONDS * (1 - module.WRITES_UNTIL)
