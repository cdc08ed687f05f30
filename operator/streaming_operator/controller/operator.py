"""
`streamctl run`: the parts of the operator put together, started and stopped in order.

Start: own HTTP side, cluster caches, kopf; passes and verifications while the Lease is held. Stop on SIGTERM: not
ready, no new passes; when those that run have ended, and the verifications, the Lease is released; then kopf and
connections end. All of it fits into the pod's grace period.
"""

import asyncio
import gc
import logging
import platform
import signal
import uuid

from streaming_operator import metrics
from streaming_operator.api.endpoint import KIND
from streaming_operator.api.naming import FIELD_MANAGER
from streaming_operator.cluster import Cluster
from streaming_operator.controller import http
from streaming_operator.controller.endpoint_watch import EndpointWatch
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.workqueue import WorkQueue
from streaming_operator.kinds import Key
from streaming_operator.kube.client import Transport
from streaming_operator.kube.election import Election
from streaming_operator.kube.lease import StoredLease
from streaming_operator.settings import Settings

log = logging.getLogger(__name__)

STALE_SECONDS = 900.0
"""No event, bookmark, list or failure of any watch for this long: the process is considered stuck."""

DRAIN_SECONDS = 12.0
"""Time for running passes, with the release of the Lease, and for kopf to end, beside each other."""

CLOSE_SECONDS = 5.0
"""Time for connections to end."""

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
    lease_transport = await Transport.open(connections=2, field_manager=FIELD_MANAGER)
    election = candidate(lease_transport, settings)
    cluster = await Cluster.connect(settings, election.may_write)
    queue: WorkQueue[Key] = WorkQueue()
    reconciler = Reconciler(cluster, settings, queue.add)
    endpoints = EndpointWatch(cluster, settings, queue, reconciler)

    def live() -> str | None:
        age = cluster.last_event_age()
        return (
            f"no watch of the API server has moved for {age:.0f} s"
            if started and age > STALE_SECONDS
            else None
        )

    def ready() -> str | None:
        if stop.is_set():
            return "stopping"
        return election.problem if started else "caches are not filled yet"

    async def work() -> None:
        """What the leader does: passes over every endpoint, with the verifications that they start."""
        for endpoint in reconciler.known():
            queue.add(endpoint.key)
        try:
            await queue.run(settings.workers, reconciler.process)
        finally:
            await reconciler.rest()

    def measure() -> None:
        metrics.QUEUE_LENGTH.set(len(queue))
        metrics.QUEUE_AGE.set(queue.age)
        metrics.PASSES_RUNNING.set(len(queue.running))
        metrics.PROBES_RUNNING.set(reconciler.verifying)
        metrics.LEASE_LEFT.set(election.seconds_left)
        metrics.STANDS_BY.set(election.stands_by)
        if started:
            metrics.show_watch_ages({**cluster.watch_silences(), KIND: endpoints.silence})

    access = cluster.metrics_access if settings.metrics_authentication else None
    own_http = await http.serve(http.application(live, ready, access, measure), settings.http_port)
    log.info("operator starts", extra={"http_port": settings.http_port})
    tasks: list[asyncio.Task[None]] = []
    try:
        start = asyncio.create_task(cluster.start(queue.add), name="start")
        await _first(start, stop=stop)
        if not stop.is_set():
            start.result()
            gc.freeze()  # the caches live as long as the process: keep them out of every collection
            passes = asyncio.create_task(election.run(work, stop), name="passes")
            watch = asyncio.create_task(endpoints.run(), name="watch")
            tasks = [passes, watch]
            started = True
            log.info("caches are filled")
            await _first(*tasks, stop=stop)
    finally:
        stop.set()
        log.info("operator stops")
        queue.close()  # ends the leader's work when the passes that run are done, and with it the election
        for task in (start, *tasks[1:]):
            task.cancel()
        await _ended(DRAIN_SECONDS, start, *tasks)
        closings = {
            "connections": cluster.close(),
            "connection of the Lease": lease_transport.close(),
            "HTTP": own_http.cleanup(),
        }
        await _ended(
            CLOSE_SECONDS, *(asyncio.create_task(closing, name=name) for name, closing in closings.items())
        )


def candidate(transport: Transport, settings: Settings) -> Election:
    """This process in the election of its namespace; a container that starts again is another one."""
    identity = f"{platform.node()}_{uuid.uuid4().hex[:8]}"
    lease = StoredLease(transport, transport.own_namespace, settings.lease_name)
    return Election(lease, identity, float(settings.lease_seconds))


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
