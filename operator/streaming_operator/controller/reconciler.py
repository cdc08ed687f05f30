"""
One pass over one endpoint: the only file that knows the order.

Read it top to bottom: parse, render, apply, observe, verify, summarize, write. A pass knows only *which*
endpoint to look at, never what happened; it waits for the API server but never for a stream.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streaming_operator import metrics, probe, render, status
from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import Cluster
from streaming_operator.controller.planner import Planner
from streaming_operator.controller.schedule import FAILING_PAUSE, Moment, Schedule
from streaming_operator.controller.stored_status import StoredStatus
from streaming_operator.controller.workqueue import Retry
from streaming_operator.errors import (
    ClusterError,
    Conflict,
    EndpointGone,
    NamespaceGone,
    OperatorError,
)
from streaming_operator.kinds import Key
from streaming_operator.kube.objects import StoredObject
from streaming_operator.kube.packing import Packer
from streaming_operator.settings import Settings
from streaming_operator.values import Identity, Observed, ProbeResult, Problem

log = logging.getLogger(__name__)

JITTER = 0.1
"""Intervals differ by up to this share, so that endpoints applied together are not probed together for ever."""

SHORTEST_PAUSE = 0.5
"""Seconds between two passes of one endpoint that nothing but its schedule asks for."""

BEING_DELETED = (EndpointGone, NamespaceGone)
"""Errors that mean the end of the endpoint; any other 404 is reported and retried."""

ASKS_FOR_A_PASS = ("uid", "generation", "deletionTimestamp", "annotations")
"""Fields of an endpoint's metadata; of its annotations only the request for a verification is shown to us."""


def moment() -> Moment:
    """Now, by the clocks of the system and of the event loop."""
    return Moment(datetime.now(UTC), asyncio.get_running_loop().time())


@dataclass(slots=True)
class Memory:
    """What is remembered of one endpoint between passes; all of it can be read back or learnt again."""

    uid: str
    schedule: Schedule
    status: StoredStatus
    jitter: float


class Reconciler:
    """Keeps every endpoint as its spec says; `process` is what the work queue calls."""

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        wake: Callable[[Key], None],
        now: Callable[[], Moment] = moment,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._now = now
        self._stored: dict[Key, StoredObject] = {}
        """Every endpoint as the watch showed it last."""
        self._packers = {"endpoints": Packer(), "statuses": Packer()}
        self._memories: dict[Key, Memory] = {}
        self._verifier = probe.Verifier(settings.concurrent_probes, wake)
        self._planner = Planner(cluster, settings, clock=lambda: self._now().wall)

    # ---- events of the watch -------------------------------------------------------------------------------

    def update(self, key: Key, body: Mapping[str, Any]) -> bool:
        """Keep the newest body of an endpoint; False when nothing in it asks for a pass."""
        stored = self._stored.get(key)
        previous = stored.body if stored is not None else None
        if previous is not None and _is_of_an_earlier_endpoint(body, previous):
            return False
        self._stored[key] = StoredObject(dict(body), self._packers["endpoints"])
        memory = self._memories.get(key)
        if previous is None or memory is None:
            return True
        asks = any(previous["metadata"].get(name) != body["metadata"].get(name) for name in ASKS_FOR_A_PASS)
        return memory.status.update(body, self._now().seconds) or asks

    def remove(self, endpoint: Identity) -> bool:
        """
        Forget an endpoint; its children are owned and go by themselves.

        False when it was not known, e.g. since a later endpoint has its name by now.
        """
        if not self._is_current(endpoint.key, endpoint.uid):
            return False
        del self._stored[endpoint.key]
        self._forget(endpoint.key)
        return True

    def known(self) -> frozenset[Identity]:
        """All endpoints that were shown by the watch and not deleted since."""
        return frozenset(Identity(*stored.key, stored.uid) for stored in self._stored.values())

    @property
    def verifying(self) -> int:
        """How many verifications run or wait for their turn."""
        return self._verifier.under_way

    async def close(self) -> None:
        """End the verifications that run."""
        await self._verifier.close()

    async def rest(self) -> None:
        """
        End the verifications, and forget what was learnt in passes: another process may work from now on.

        The endpoints stay known, as the watch shows them.
        """
        await self.close()
        for key in (
            self._stored.keys() | self._memories.keys()
        ):  # one of an unreadable spec has metrics, and no memory
            self._forget(key)

    # ---- one pass ------------------------------------------------------------------------------------------

    async def process(self, key: Key) -> float | None:
        """Make one pass; returns the seconds until the next one, None for "when something happens"."""
        stored = self._stored.get(key)
        if stored is None:
            return None
        try:
            return await self._process(key, stored.body)
        finally:
            if not self._is_current(key, stored.uid):  # deleted meanwhile: what the pass left behind goes too
                self._forget(key)

    async def _process(self, key: Key, body: Mapping[str, Any]) -> float | None:
        """Parse, pass, report."""
        try:
            endpoint = StreamingEndpoint.from_body(body)
        except InvalidEndpoint as invalid:
            await self._report_invalid(key, body, invalid)
            return None
        if endpoint.deleting:
            return None
        memory = self._memory(endpoint, body)
        with metrics.PASS_SECONDS.time():
            world = await self._pass(endpoint, memory)
            deleted = isinstance(world.error, BEING_DELETED) or not self._is_current(key, endpoint.uid)
            if not deleted:
                await self._report(endpoint, memory, world)
        metrics.PASSES.labels(type(world.error).__name__ if world.error else "done").inc()
        if deleted:
            return None  # its deletion event is on the way
        if world.error is not None:
            raise Retry(f"{type(world.error).__name__}: {world.error}") from world.error
        return self._pause(endpoint, memory, world)

    async def _pass(self, endpoint: StreamingEndpoint, memory: Memory) -> status.World:
        """Render, apply, observe, verify; whatever goes wrong becomes part of the world that is summarized."""
        capabilities = self._cluster.capabilities()
        endpoint = self._cluster.as_rendered(endpoint)
        note = render.engine_note(endpoint)
        observed: Observed | None = None
        failure: OperatorError | None = None
        problem: Problem | None = None
        try:
            children = render.children(endpoint, capabilities)
            try:
                if not endpoint.spec.suspend:
                    await self._cluster.apply(endpoint, children)
            except BEING_DELETED:
                raise
            except ClusterError as error:  # what already runs is still observed and reported
                failure = error
            observed = self._cluster.observe(endpoint, children)
            # A pipeline asks about what it has just applied: while that is refused, the old pods are no answer.
            asked = endpoint if failure is None else endpoint.model_copy(update={"verification_request": ""})
            problem = await self._verify(asked, memory, observed)
        except OperatorError as error:
            failure = error
        except Exception as error:
            log.exception("pass failed", extra={"endpoint": "/".join(endpoint.key)})
            failure = OperatorError(f"{type(error).__name__} in the operator; its log has the details")
            failure.__cause__ = error
        return status.World(
            observed=observed,
            capabilities=capabilities,
            verification=memory.schedule.state,
            verification_problem=problem,
            error=failure,
            note=note,
            answer=memory.schedule.answer,
        )

    # ---- verification, beside the passes -------------------------------------------------------------------

    async def _verify(
        self, endpoint: StreamingEndpoint, memory: Memory, observed: Observed
    ) -> Problem | None:
        """Take the latest outcome, and start the next verification when it is due; says what prevents it."""
        settings, now = endpoint.spec.verification, self._now()
        memory.schedule = self._learnt(endpoint, memory, observed, now)
        if not _is_verified(endpoint, observed) or self._verifier.running(endpoint.key):
            return None
        if memory.schedule.until_due(settings, observed, now) > 0:
            return memory.schedule.problem
        if endpoint.spec.exposure is not None and not (observed.route and observed.route.admitted):
            return Problem(Reason.PENDING, "The edge has not accepted the route yet")
        plan = await self._planner.plan(endpoint, observed, memory.schedule.trigger(observed))
        if isinstance(plan, Problem):
            memory.schedule = memory.schedule.blocked(plan, now)
            return plan
        if not plan.targets:
            return Problem(Reason.PENDING, "Neither a pod nor the Service has an address yet")
        self._verifier.start(endpoint.key, plan)
        memory.schedule = memory.schedule.started(settings, now)
        return None

    def _learnt(
        self, endpoint: StreamingEndpoint, memory: Memory, observed: Observed, now: Moment
    ) -> Schedule:
        """The schedule after all that came since the last pass: a spec, a foreign status, an outcome."""
        settings = endpoint.spec.verification
        schedule = memory.schedule.observing(endpoint, observed, now)
        if (foreign := memory.status.take_foreign()) is not None:
            schedule = schedule.merged(foreign, settings, observed, now)
        outcome = self._verifier.take(endpoint.key)
        if isinstance(outcome, ProbeResult):
            return schedule.answered(outcome, settings, observed, now)
        return schedule if outcome is None else schedule.failed(outcome)

    # ---- reporting -----------------------------------------------------------------------------------------

    async def _report(self, endpoint: StreamingEndpoint, memory: Memory, world: status.World) -> None:
        """Write the status if it says something new, and events for what changed; the only writer."""
        now = self._now()
        previous = memory.status.content
        summary = status.summarize(endpoint, world, previous, now.wall)
        metrics.set_ready(endpoint.key, status.is_true(summary, "Ready"))
        if endpoint.spec.suspend or endpoint.spec.replicas == 0:
            metrics.drop_last_success(endpoint.key)
        if not status.worth_writing(previous, summary, now.wall) or memory.status.wait(now.seconds) > 0:
            return
        changes = status.changes(previous, summary)
        memory.status.writing(summary)
        try:
            version = await self._write(endpoint, summary, memory.status.version)
        finally:
            memory.status.writing(None)
        if version is None:
            return
        memory.status.wrote(summary, version, now.seconds)
        for change in changes:
            await self._cluster.publish(endpoint, change.type, change.reason, change.message)

    async def _write(
        self, endpoint: StreamingEndpoint | Identity, summary: status.Status, version: str
    ) -> str | None:
        """
        Write a status over the *version* that it was decided from, and return the new one.

        None when the endpoint is gone meanwhile, which its deletion event will tell too. When somebody else wrote it,
        what they wrote is looked at first.
        """
        try:
            return await self._cluster.write_status(endpoint, summary, version)
        except BEING_DELETED:
            return None
        except Conflict as error:
            await self._read_again(endpoint.key)
            if not self._is_current(endpoint.key, endpoint.uid):
                return None
            raise Retry(f"the endpoint changed meanwhile: {error}") from error
        except ClusterError as error:
            raise Retry(f"status not written: {error}") from error

    async def _read_again(self, key: Key) -> None:
        """Learn the endpoint's version now; the watch may be late, or have nothing more to show."""
        try:
            body = await self._cluster.read_endpoint(key)
        except ClusterError as error:
            raise Retry(f"status not written: {error}") from error
        if body is not None:
            self.update(key, body)

    async def _report_invalid(self, key: Key, body: Mapping[str, Any], invalid: InvalidEndpoint) -> None:
        """An unreadable spec stalls until its generation moves; the children that work are left alone."""
        previous = body.get("status") or {}
        generation = int(body["metadata"].get("generation") or 1)
        now = self._now().wall
        summary = status.unreadable(generation, invalid.problems, previous, now)
        metrics.set_ready(key, False)
        if status.worth_writing(previous, summary, now):
            version = str(body["metadata"].get("resourceVersion") or "")
            await self._write(Identity.of(body["metadata"]), summary, version)

    # ---- memory --------------------------------------------------------------------------------------------

    def _memory(self, endpoint: StreamingEndpoint, body: Mapping[str, Any]) -> Memory:
        """What we know of this endpoint; read back from its status at the first pass."""
        memory = self._memories.get(endpoint.key)
        if memory is not None and memory.uid != endpoint.uid:
            self._forget(endpoint.key)
            memory = None
        if memory is None:
            jitter, turn = 1 + random.uniform(-JITTER, JITTER), random.random()
            stored, settings = (
                StoredStatus.of(body, self._packers["statuses"]),
                endpoint.spec.verification,
            )
            schedule = Schedule.recall(stored.content, settings, self._now(), jitter=jitter, turn=turn)
            memory = self._memories[endpoint.key] = Memory(endpoint.uid, schedule, stored, jitter)
            if schedule.state.streams and schedule.state.last_time is not None:
                metrics.set_last_success(endpoint.key, schedule.state.last_time.timestamp())
        return memory

    def _is_current(self, key: Key, uid: str) -> bool:
        """Whether the endpoint of this uid still has the name."""
        stored = self._stored.get(key)
        return stored is not None and stored.uid == uid

    def _forget(self, key: Key) -> None:
        """Drop everything that is kept by the name of an endpoint."""
        self._memories.pop(key, None)
        self._verifier.drop(key)
        self._cluster.forget(key)
        metrics.forget(key)

    def _pause(self, endpoint: StreamingEndpoint, memory: Memory, world: status.World) -> float:
        """Seconds until this endpoint should be looked at although nothing happened."""
        now, observed = self._now(), world.observed
        resync = self._settings.resync_seconds * memory.jitter
        wait = status.recall_wait(memory.status.content)
        if wait is not None and (left := wait.seconds_left(now.wall)) > 0:  # its end becomes `Stalled`
            resync = min(resync, max(left, SHORTEST_PAUSE))
        if (overwritten := memory.status.wait(now.seconds)) > 0:
            return min(resync, overwritten)
        if observed is None or not _is_verified(endpoint, observed) or self._verifier.running(endpoint.key):
            return resync  # an event or the result of the verification wakes this endpoint
        due = memory.schedule.until_due(endpoint.spec.verification, observed, now)
        if due <= 0:  # something prevents it that the pass has reported
            return min(resync, FAILING_PAUSE)
        return min(resync, max(due, SHORTEST_PAUSE))


def _is_verified(endpoint: StreamingEndpoint, observed: Observed) -> bool:
    """Whether a verdict is wanted, and the newest pod template is up, so that it would be about that."""
    wanted = endpoint.spec.verification.mode != "Disabled" and not endpoint.spec.suspend
    up = observed.rolled_out and observed.ready_replicas > 0 and observed.pod_template_hash is not None
    return wanted and up


def _is_of_an_earlier_endpoint(body: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether a body is of another endpoint of this name, and that one is the older; kopf orders events by uid only."""
    one, other = body["metadata"], than["metadata"]
    return one.get("uid") != other.get("uid") and _age(one) < _age(other)


def _age(metadata: Mapping[str, Any]) -> tuple[str, int]:
    """By what endpoints of one name are ordered: the time of creation, within a second the resource version."""
    version = str(metadata.get("resourceVersion") or "")
    return (str(metadata.get("creationTimestamp") or ""), int(version) if version.isdigit() else 0)
