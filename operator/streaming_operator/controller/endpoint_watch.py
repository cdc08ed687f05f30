"""
Keeps the set of known endpoints true: kopf's watch, and behind it a list of names, now and then.

What either learns is handed to the reconciler, and what asks for a pass to the queue.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from streaming_operator.cluster import Cluster
from streaming_operator.controller.kopf_watch import KopfWatch, login, roll_call
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.workqueue import WorkQueue
from streaming_operator.errors import ClusterError
from streaming_operator.kinds import Key
from streaming_operator.settings import Settings
from streaming_operator.values import Identity

LIST_SECONDS = 2.0
"""A list arrives object by object: one roll call for all of it."""

log = logging.getLogger(__name__)


class EndpointWatch:
    """Which endpoints there are; `run` keeps that in step until it is cancelled."""

    def __init__(
        self, cluster: Cluster, settings: Settings, queue: WorkQueue[Key], reconciler: Reconciler
    ) -> None:
        self._cluster, self._queue, self._reconciler = cluster, queue, reconciler
        self._seconds = settings.roll_call_seconds
        self._call = asyncio.Event()
        self._watch = KopfWatch(
            settings.watch_namespaces, login, self._updated, self._deleted, self._call.set
        )

    @property
    def silence(self) -> float:
        """Seconds since the API server last sent something of the endpoints, or since the start."""
        return self._watch.silence

    async def run(self) -> None:
        """Watch, and call the roll."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.run())
            group.create_task(self._calls())

    def _updated(self, key: Key, body: Mapping[str, Any]) -> None:
        if self._reconciler.update(key, body):
            self._queue.add(key)

    def _deleted(self, endpoint: Identity) -> None:
        if self._reconciler.remove(endpoint):
            self._queue.forget(endpoint.key)

    async def _missed(self, key: Key) -> None:
        body = await self._cluster.read_endpoint(key)
        if body is not None:
            self._updated(key, body)

    async def _listing(self) -> frozenset[Identity]:
        return frozenset(Identity.of(metadata) for metadata in await self._cluster.list_endpoints())

    async def _calls(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._call.wait()
                    await asyncio.sleep(LIST_SECONDS)
            except TimeoutError:
                pass
            self._call.clear()
            try:
                await roll_call(self._reconciler.known, self._listing, self._deleted, self._missed)
            except ClusterError as error:
                log.warning("roll call failed", extra={"cause": str(error)})
            except Exception:  # a response of unexpected form costs one roll call, not the operator
                log.exception("roll call failed unexpectedly")
