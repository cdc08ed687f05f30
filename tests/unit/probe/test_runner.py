"""Verifications in the background: how many at once, and what becomes of dropped ones."""

import asyncio
from collections.abc import Callable

from streaming_operator.probe import Verifier
from streaming_operator.values import ProbeResult
from tests.probe import proxies
from tests.probe.conftest import plan
from tests.probe.proxies import Proxy
from tests.probe.servers import Asked, Client, Server

PATIENCE = 60.0


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


async def test_silent_endpoints_of_one_namespace_keep_nobody_else_waiting() -> None:
    """Sixteen are first at sixteen places: twelve ask, and an endpoint of another namespace is verified meanwhile."""
    woken: list[tuple[str, str]] = []
    victim = ("alice", "chat")

    def answer(client: Client, asked: Asked) -> None:
        client.stream(64)

    with (
        Proxy(0, proxies.mute) as silent,
        Proxy(silent.port, proxies.mute) as edge,
        Server(answer) as healthy,
    ):
        verifier = Verifier(16, woken.append)
        for number in range(16):
            verifier.start(("mallory", f"silent-{number}"), plan([edge.port]))
        await until(lambda: len(edge.requests) == 12)
        verifier.start(victim, plan([healthy.port], encodings=("gzip",)))
        await until(lambda: not verifier.running(victim))
        assert len(edge.requests) == 12
        assert woken == [victim]
        await verifier.close()


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


async def test_the_wording_that_a_server_accepts_is_remembered() -> None:
    """The second verification is not refused; a new pod template, and an endpoint made again, are asked as usual."""

    def answer(client: Client, asked: Asked) -> None:
        if "ignore_eos" in asked.body:
            client.plain("400 Bad Request", {"error": {"message": "unknown field ignore_eos"}})
        else:
            client.stream(64)

    async def refused(key: tuple[str, str], template: str) -> bool:
        server.asked.clear()
        once = plan([server.port], pod_template_hash=template, encodings=("gzip",))
        verifier.start(key, once)
        await until(lambda: not verifier.running(key))
        return any("ignore_eos" in asked.body for asked in server.asked)

    verifier, key = Verifier(2, lambda key: None), ("chat", "endpoint")
    with Server(answer) as server:
        asked = [await refused(key, "a"), await refused(key, "a"), await refused(key, "b")]
        verifier.drop(key)
        asked.append(await refused(key, "b"))
    await verifier.close()
    assert asked == [True, False, True, True]
