"""Stopping: all of it fits into the pod's grace period, whatever hangs."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streaming_operator.cluster import Access
from streaming_operator.controller import http, kopf_watch, operator
from streaming_operator.controller.workqueue import WorkQueue
from streaming_operator.errors import NotFound
from streaming_operator.kinds import Key
from streaming_operator.settings import Settings
from tests.unit.virtual_time import run

CHART = Path(__file__).resolve().parents[2] / "charts" / "streaming-operator"
GRACE = int(
    re.findall(
        r"terminationGracePeriodSeconds: (\d+)", (CHART / "templates" / "deployment.yaml").read_text()
    )[0]
)


async def forever() -> None:
    """Something that ends when it is cancelled."""
    await asyncio.Event().wait()


class HangingCluster:
    """A cluster that starts and then answers nobody."""

    server = "https://10.96.0.1:443"

    async def start(self, wake: object) -> None:
        """Started at once."""

    async def close(self) -> None:
        """Takes for ever."""
        await forever()

    async def metrics_access(self, token: str | None, peer: str) -> Access:
        """Nobody is let in."""
        return Access.UNDECIDED

    def last_event_age(self) -> float:
        return 0.0


class OneEndpoint:
    """A watch that shows one endpoint, and then nothing."""

    def __init__(self, _: object, __: object, queue: WorkQueue[Key], ___: object) -> None:
        self._queue = queue

    async def run(self) -> None:
        """Ask for its pass."""
        self._queue.add(("chat", "qwen"))
        await forever()


class NoTransport:
    """A Lease that is ours, and a connection that never ends."""

    own_namespace = "streaming-system"

    async def read(self, path: str, doing: str) -> object:
        raise NotFound("no Lease")

    async def create(self, path: str, manifest: dict[str, Any], doing: str) -> object:
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "1"}}

    async def apply(self, path: str, manifest: dict[str, Any], doing: str) -> object:
        return await self.create(path, manifest, doing)

    async def close(self) -> None:
        """Takes for ever."""
        await forever()


class NoHTTP:
    """No socket in virtual time."""

    async def cleanup(self) -> None:
        """Nothing to clean up."""


def test_the_stop_fits_into_the_grace_period_whatever_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes, kopf and connections that never end cost their time-outs and no more."""

    async def connect(settings: Settings, may_write: object) -> HangingCluster:
        return HangingCluster()

    async def opened(**_: object) -> NoTransport:
        return NoTransport()

    async def serve(app: object, port: int) -> NoHTTP:
        return NoHTTP()

    async def process(self: object, key: object) -> None:
        await forever()

    monkeypatch.setattr(operator.Cluster, "connect", connect)
    monkeypatch.setattr(operator.Transport, "open", opened)
    monkeypatch.setattr(operator, "EndpointWatch", OneEndpoint)
    monkeypatch.setattr(http, "serve", serve)
    monkeypatch.setattr(operator.Reconciler, "process", process)
    stops: list[Callable[[], None]] = []

    async def main() -> float:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "add_signal_handler", lambda number, stop: stops.append(stop))
        running = asyncio.create_task(operator.run(Settings()))
        await asyncio.sleep(60)
        stopped = loop.time()
        stops[0]()
        await running
        return loop.time() - stopped

    assert run(main()) <= GRACE - 5


def test_kopf_gets_less_time_than_the_passes_it_ends_beside() -> None:
    """Its thread is a daemon: what it does not finish ends with the process."""
    assert kopf_watch.STOP_PATIENCE < operator.DRAIN_SECONDS
