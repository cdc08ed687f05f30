"""Verifications beside the passes: how many at once, and what becomes of those that nobody wants any more."""

import asyncio
from collections.abc import Callable

from streaming_operator.probe import Verifier
from tests.probe import proxies
from tests.probe.conftest import plan
from tests.probe.proxies import Proxy

PATIENCE = 20.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so, seen from outside."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - a server in another thread tells nobody
            await asyncio.sleep(0.01)


async def test_never_more_than_the_set_number_at_once() -> None:
    """Five are wanted, two places: a server that keeps everybody waiting sees two, and two more as they leave."""
    keys = [("chat", f"endpoint-{number}") for number in range(5)]
    with Proxy(0, proxies.mute) as silent, Proxy(silent.port, proxies.mute) as edge:
        verifier = Verifier(2, lambda key: None)
        for key in keys:
            verifier.start(key, plan([edge.port]))
        await until(lambda: len(edge.requests) == 2)
        verifier.drop(keys[0])
        verifier.drop(keys[1])
        await until(lambda: len(edge.requests) >= 4)
        assert len(edge.requests) == 4
        assert verifier.running(keys[4])
        await verifier.close()
        assert not any(verifier.running(key) for key in keys)
