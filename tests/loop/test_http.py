"""The operator's own HTTP side: what it answers, and that a large scrape holds up nobody."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.core import Metric

from streaming_operator import metrics
from streaming_operator.controller import http
from streaming_operator.errors import OperatorError

PATIENCE = 60.0


class Waiting:
    """A collector whose numbers take as long as a test wants."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()

    def collect(self) -> Iterator[Metric]:
        """Nothing, later."""
        self.asked.set()
        self.answer.wait(PATIENCE)
        return iter(())


def base_url(runner: web.AppRunner) -> str:
    """The IPv4 address; a free port is another one for IPv6."""
    port = next(address[1] for address in runner.addresses if len(address) == 2)
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The server, alive and ready, on a free loopback port."""
    runner = await http.serve(http.application(lambda: None, lambda: None), 0)
    try:
        yield base_url(runner)
    finally:
        await runner.cleanup()


async def test_liveness_is_answered_while_metrics_are_rendered(url: str) -> None:
    """Thousands of series take half a second: the kubelet and every pass go on meanwhile."""
    slow = Waiting()
    metrics.REGISTRY._collector_to_names[slow] = []  # `register` would collect once
    try:
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            scrape = asyncio.create_task(session.get(f"{url}/metrics"))
            await asyncio.to_thread(slow.asked.wait, PATIENCE)
            async with session.get(f"{url}/livez") as alive:
                assert (alive.status, await alive.text()) == (200, "ok\n")
            assert not scrape.done()
            slow.answer.set()
            assert "streamingendpoint_passes_total" in await (await scrape).text()
    finally:
        slow.answer.set()
        metrics.REGISTRY.unregister(slow)


async def test_what_is_measured_is_measured_when_somebody_scrapes() -> None:
    """In the main loop, before the text is rendered in a thread."""
    threads = []

    def measure() -> None:
        threads.append(threading.get_ident())
        metrics.QUEUE_LENGTH.set(7)

    runner = await http.serve(http.application(lambda: None, lambda: None, measure=measure), 0)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{base_url(runner)}/metrics") as answer:
            assert "streamingendpoint_queue_length 7.0" in (await answer.text()).splitlines()
        assert threads == [threading.get_ident()]
    finally:
        metrics.QUEUE_LENGTH.set(0)
        await runner.cleanup()


async def test_a_port_that_is_taken_is_said() -> None:
    """With its number, which is a setting; an error of anything else is not taken for this one."""
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OperatorError, match=f"cannot listen on port {port}: "):
            await http.serve(http.application(lambda: None, lambda: None), port)


async def test_what_is_wrong_is_said() -> None:
    """503 with one sentence, each check by its own."""
    runner = await http.serve(http.application(lambda: None, lambda: "caches are not filled yet"), 0)
    try:
        ready = f"{base_url(runner)}/readyz"
        async with aiohttp.ClientSession() as session, session.get(ready) as answer:
            assert (answer.status, await answer.text()) == (503, "caches are not filled yet\n")
    finally:
        await runner.cleanup()
