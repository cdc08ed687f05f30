"""
`streamctl run`: the parts of the operator put together, started and stopped in order.

Start: own HTTP side, cluster caches, kopf, workers. Stop on SIGTERM: not ready, no new passes; running passes and
kopf end, then verifications, then connections. All of it fits into the pod's grace period.
"""

import asyncio
import gc
import logging
import signal

from streaming_operator import metrics
from streaming_operator.cluster import Cluster
from streaming_operator.controller import http
from streaming_operator.controller.kopf_watch import KopfWatch, login, roll_call
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.workqueue import WorkQueue
from streaming_operator.errors import ClusterError
from streaming_operator.kinds import Key
from streaming_operator.settings import Settings
from streaming_operator.values import Identity

log = logging.getLogger(__name__)

STALE_SECONDS = 900.0
"""No event, bookmark or list from any watch for this long: the process is considered stuck."""

DRAIN_SECONDS = 12.0
"""Time for running passes and for kopf to end, beside each other."""

CLOSE_SECONDS = 5.0
"""Time for verifications and connections to end."""

CANCEL_SECONDS = 1.0
"""Time for what did not end by itself, once it is cancelled."""


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; raises `ClusterError` when the API server cannot be reached at start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    if settings.detailed_metrics:
        metrics.use_buckets()
    started = False
    cluster = await Cluster.connect(settings)
    queue: WorkQueue[Key] = WorkQueue()
    reconciler = Reconciler(cluster, settings, queue.add)

    def live() -> str | None:
        age = cluster.last_event_age()
        return (
            f"nothing received from the API server for {age:.0f} s"
            if started and age > STALE_SECONDS
            else None
        )

    def ready() -> str | None:
        return "stopping" if stop.is_set() else None if started else "caches are not filled yet"

    access = cluster.metrics_access if settings.metrics_authentication else None
    own_http = await http.serve(http.application(live, ready, access), settings.http_port)
    log.info("operator starts", extra={"http_port": settings.http_port})
    tasks: list[asyncio.Task[None]] = []
    try:
        start = asyncio.create_task(cluster.start(queue.add), name="start")
        await _first(start, stop=stop)
        if not stop.is_set():
            start.result()
            gc.freeze()  # the caches live as long as the process: keep them out of every collection
            work = asyncio.create_task(queue.run(settings.workers, reconciler.process), name="passes")
            watch = asyncio.create_task(_watch(cluster, settings, queue, reconciler), name="watch")
            tasks = [work, watch]
            started = True
            log.info("operator is ready")
            await _first(*tasks, stop=stop)
    finally:
        stop.set()
        log.info("operator stops")
        queue.close()  # ends the passes when those that run are done
        for task in (start, *tasks[1:]):
            task.cancel()
        await _ended(DRAIN_SECONDS, start, *tasks)
        closings = {
            "verifications": reconciler.close(),
            "connections": cluster.close(),
            "HTTP": own_http.cleanup(),
        }
        await _ended(
            CLOSE_SECONDS, *(asyncio.create_task(closing, name=name) for name, closing in closings.items())
        )


async def _ended(seconds: float, *tasks: "asyncio.Task[None]") -> None:
    """Wait until these have ended; what fails is logged, what takes longer is logged and cancelled."""
    done, late = await asyncio.wait(tasks, timeout=seconds)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            cause = f"{type(error).__name__}: {error}"
            log.warning("ended with an error", extra={"part": task.get_name(), "cause": cause})
    for task in late:
        log.warning("did not end in time", extra={"part": task.get_name(), "seconds": seconds})
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=CANCEL_SECONDS)


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

    def updated(key: Key, body: object) -> None:
        if reconciler.update(key, body):  # type: ignore[arg-type]
            queue.add(key)

    def deleted(endpoint: Identity) -> None:
        if reconciler.remove(endpoint):
            queue.forget(endpoint.key)

    async def missed(key: Key) -> None:
        body = await cluster.read_endpoint(key)
        if body is not None:
            updated(key, body)

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
                await roll_call(reconciler.known, listing, deleted, missed)
            except ClusterError as error:
                log.warning("roll call failed", extra={"cause": str(error)})
            except Exception:  # a response of unexpected form costs one roll call, not the operator
                log.exception("roll call failed unexpectedly")

    watch = KopfWatch(settings.watch_namespaces, login, updated, deleted, call.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run())
        group.create_task(calls())
