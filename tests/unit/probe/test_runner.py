"""Verifications in the background: how many at once, and what becomes of dropped ones."""

import asyncio
from collections.abc import Callable

from streaming_operator.probe import Verifier
from streaming_operator.values import ProbeResult
from tests.probe import proxies
from tests.probe.conftest import plan
from tests.probe.proxies import Proxy

PATIENCE = 20.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so, seen from outside."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - a server in another thread has no event to await
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


async def test_an_endpoint_dropped_in_the_moment_of_its_start_can_be_verified_again() -> None:
    """Deleted before the task had run at all, and made again: its verification ends like any other."""
    woken: list[tuple[str, str]] = []
    key = ("chat", "endpoint")
    verifier = Verifier(2, woken.append)
    verifier.start(key, plan([1]))
    verifier.drop(key)
    assert not verifier.running(key)

    verifier.start(key, plan([1]))
    await until(lambda: not verifier.running(key))
    assert woken == [key]
    assert isinstance(verifier.take(key), ProbeResult)
    await verifier.close()


async def test_a_dropped_verification_wakes_no_endpoint() -> None:
    """The endpoint is gone: its end is no news."""
    woken: list[tuple[str, str]] = []
    with Proxy(0, proxies.mute) as silent, Proxy(silent.port, proxies.mute) as edge:
        verifier = Verifier(2, woken.append)
        verifier.start(("chat", "endpoint"), plan([edge.port]))
        await until(lambda: len(edge.requests) == 1)
        await verifier.close()
    assert (woken, verifier.take(("chat", "endpoint"))) == ([], None)
