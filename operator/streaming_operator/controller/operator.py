"""
`streamctl run`: the parts of the operator put together, started and stopped in order.

Start: own HTTP side, cluster caches, kopf, workers. Stop on SIGTERM: not ready, no new passes, running
passes end, verifications end, kopf ends, connections close.
"""

import asyncio
import gc
import logging
import signal

from streaming_operator.cluster import Cluster
from streaming_operator.controller import http
from streaming_operator.controller.kopf_watch import KopfEdge, login, roll_call
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.workqueue import WorkQueue
from streaming_operator.errors import ClusterError
from streaming_operator.settings import Settings
from streaming_operator.values import Identity, Key

log = logging.getLogger(__name__)

STALE_SECONDS = 900.0
"""No event, bookmark or list from any watch for this long: the process is of no use any more."""

DRAIN_SECONDS = 20.0
"""Patience with running passes at stop; the pod's grace period is 30 s."""


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; raises `ClusterError` when the API server cannot be reached at start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    started = False
    cluster = await Cluster.connect(settings)
    queue: WorkQueue[Key] = WorkQueue()
    reconciler = Reconciler(cluster, settings, queue.add)

    def live() -> str | None:
        age = cluster.last_event_age()
        return f"no news from the API server for {age:.0f} s" if started and age > STALE_SECONDS else None

    def ready() -> str | None:
        return "stopping" if stop.is_set() else None if started else "caches are not filled yet"

    own_http = await http.serve(http.application(live, ready), settings.http_port)
    log.info("operator starts", extra={"http_port": settings.http_port})
    work: asyncio.Task[None] | None = None
    tasks: list[asyncio.Task[None]] = []
    try:
        start = asyncio.create_task(cluster.start(queue.add))
        await _first(start, stop=stop)
        if not stop.is_set():
            start.result()
            gc.freeze()  # the caches live as long as the process: keep them out of every collection
            work = asyncio.create_task(queue.run(settings.workers, reconciler.process))
            tasks = [asyncio.create_task(_watch(cluster, settings, queue, reconciler)), work]
            started = True
            log.info("operator is ready")
            await _first(*tasks, stop=stop)
    finally:
        stop.set()
        log.info("operator stops")
        queue.close()
        if work is not None:
            await asyncio.wait({work}, timeout=DRAIN_SECONDS)
        await reconciler.close()
        for task in (*tasks, start):
            task.cancel()
        await asyncio.gather(*tasks, start, return_exceptions=True)
        await cluster.close()
        await own_http.cleanup()


async def _first(*tasks: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """Wait for the stop or the end of any task; a task that failed raises here."""
    waiter = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({waiter, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        waiter.cancel()


async def _watch(cluster: Cluster, settings: Settings, queue: WorkQueue[Key], reconciler: Reconciler) -> None:
    """Keep the set of known endpoints true: kopf's watch, and the roll call behind it."""
    call = asyncio.Event()

    def seen(key: Key, body: object) -> None:
        if reconciler.seen(key, body):  # type: ignore[arg-type]
            queue.add(key)

    def gone(endpoint: Identity) -> None:
        if reconciler.gone(endpoint):
            queue.forget(endpoint.key)

    async def missed(key: Key) -> None:
        body = await cluster.read_endpoint(key)
        if body is not None:
            seen(key, body)

    async def listing() -> frozenset[Identity]:
        return frozenset(Identity.of(metadata) for metadata in await cluster.list_endpoints())

    async def calls() -> None:
        while True:
            try:
                async with asyncio.timeout(settings.roll_call_seconds):
                    await call.wait()
                    await asyncio.sleep(2)  # a list arrives object by object: one call for all of it
            except TimeoutError:
                pass
            call.clear()
            try:
                await roll_call(reconciler.known, listing, gone, missed)
            except ClusterError as error:
                log.warning("roll call failed", extra={"cause": str(error)})

    edge = KopfEdge(settings.watch_namespaces, login, seen, gone, call.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(edge.run())
        group.create_task(calls())
