"""A full queue: users come first, and a probe delayed by their load is not judged."""

import asyncio
from collections.abc import Iterator

import pytest

from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.probe.http.connection import Target
from streaming_operator.probe.plan import Replica
from streaming_operator.probe.verification import verify
from tests.engines.running import RunningEngine, free_port
from tests.probe import proxies
from tests.probe.conftest import GAUGES, HASTY, METRICS, Engines, plan
from tests.probe.proxies import Proxy
from tests.probe.users import User


@pytest.fixture
def full() -> Iterator[RunningEngine]:
    """One place, one user in it, one in the queue."""
    with (
        RunningEngine("double", ("--max-num-seqs", "1", METRICS)) as engine,
        User(engine, streams=2) as users,
    ):
        users.await_waiting(1)
        yield engine


def replicas(*ports: int) -> tuple[Replica, ...]:
    return tuple(Replica(f"pod-{port}", Target(Hop.POD, "127.0.0.1", port)) for port in ports)


async def test_nothing_is_sent_while_users_wait(full: RunningEngine) -> None:
    """A probe that may be left out sends no completion, and says nothing of the path."""
    with Proxy(full.port, proxies.healthy) as edge:
        asked = plan([edge.port], replicas=replicas(full.port), gauges=GAUGES, may_skip=True)
        result = await verify(asked)
        assert edge.requests == []
    assert (result.skipped, result.hops) == (True, ())


@pytest.mark.parametrize("other", ["a free replica", "a replica that does not tell"])
async def test_it_is_probed_while_one_replica_has_an_empty_queue(
    full: RunningEngine, engines: Engines, other: str
) -> None:
    """Skipped only when every replica's queue is full; one whose metrics cannot be read counts as free."""
    free = engines()
    second = free.port if other == "a free replica" else free_port()
    pods = replicas(full.port, second)
    result = await verify(plan([free.port], replicas=pods, gauges=GAUGES, may_skip=True))
    assert (result.skipped, result.verdict) == (False, Verdict.STREAMING), result.message


async def test_a_first_token_that_users_delay_is_not_judged(full: RunningEngine) -> None:
    """Asked all the same: no token in time is inconclusive, and no verdict on the path."""
    asked = plan([full.port], replicas=replicas(full.port), gauges=GAUGES, limits=HASTY, max_ttft=0.001)
    result = await verify(asked)
    assert (result.skipped, result.verdict) == (False, Verdict.INCONCLUSIVE), result.message
    assert "requests of users wait" in result.message


async def test_a_late_stream_counts_as_a_stream() -> None:
    """The queue moved on while we waited: it streams, however late the first token was."""
    with RunningEngine("double", ("--max-num-seqs", "1", METRICS)) as engine, User(engine, 2, 8000) as users:
        users.await_waiting(1)
        asked = plan(
            [engine.port],
            replicas=replicas(engine.port),
            gauges=GAUGES,
            max_ttft=0.001,
            encodings=("identity",),
        )
        verification = asyncio.create_task(verify(asked))
        await asyncio.to_thread(users.await_waiting, 2)  # ours, too: it has seen the queue
        users.leave()
        result = await verification
    assert result.verdict is Verdict.STREAMING, result.message
