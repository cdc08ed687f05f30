"""
One pass over one endpoint: the only file that knows the order.

Read it top to bottom: parse, render, apply, observe, verify, summarize, write. A pass is told only *which*
endpoint to look at, never what happened; it waits for the API server but never for a stream.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from streaming_operator import metrics, probe, render, status
from streaming_operator.api.endpoint import InvalidEndpoint, StreamingEndpoint, Verification
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import Cluster
from streaming_operator.controller.workqueue import Retry
from streaming_operator.errors import (
    ClusterError,
    Conflict,
    EndpointGone,
    Forbidden,
    NamespaceGone,
    NotFound,
    OperatorError,
    Rejected,
)
from streaming_operator.settings import Settings
from streaming_operator.values import EdgeAddress, Identity, Key, Manifest, Observed, ProbeResult, Problem

log = logging.getLogger(__name__)

JITTER = 0.1
"""Intervals differ by up to this share, so that endpoints applied together are not probed together for ever."""


BEING_DELETED = (EndpointGone, NamespaceGone)
"""Errors that mean the end of the endpoint; any other 404 is told and retried."""

ASKS_FOR_A_PASS = ("uid", "generation", "deletionTimestamp")
"""Fields of an endpoint's metadata; labels and annotations mean nothing to us."""


@dataclass(slots=True)
class Memory:
    """What is remembered of one endpoint between passes; all of it can be read back or learnt again."""

    uid: str
    standing: status.Standing
    told: status.Status
    """The last status that we wrote or read."""
    pods: frozenset[str] = frozenset()
    pods_since: datetime | None = None
    """When `pods`, the ready ones, were first seen to be just these."""
    echoed: bool = True
    """The watch has shown `told` to us; a different status after that was written by somebody else."""
    jitter: float = field(default_factory=lambda: 1 + random.uniform(-JITTER, JITTER))
    turn: float = field(default_factory=lambda: random.random())
    """Share of its interval after which an endpoint's turn comes, when all are found at once at a start."""
    asked: Verification | None = None
    """By which settings it was verified last; others are tried at once."""
    since: datetime | None = None
    """When its status was read back; None once a verification has ended since."""

    def until_due(self, wanted: Verification, observed: Observed, now: datetime) -> timedelta:
        """
        How long until the next verification; zero or less means now, as after each edit of what is *wanted*.

        A verdict that was read back is as old as its last write, since good news is not written every time: a
        restarted operator would find thousands due at once, so each waits for its turn within one interval.
        """
        if self.asked is not None and self.asked != wanted:
            return timedelta(0)
        interval = timedelta(seconds=wanted.interval_seconds)
        due = status.pause_until_due(self.standing, observed, now, interval * self.jitter)
        if self.since is None or not self.standing.is_routine(observed):
            return due
        return max(due, self.since + interval * self.turn - now)

    def edge_changed(self, observed: Observed, now: datetime) -> datetime:
        """When the edge last had to learn something: a route that was written, or other pods."""
        ready = status.ready_pods(observed)
        if ready != self.pods or self.pods_since is None:
            self.pods, self.pods_since = ready, now
        written = observed.route.written_at if observed.route else None
        return max(self.pods_since, written or self.pods_since)


class Reconciler:
    """Keeps every endpoint as its spec says; `process` is what the work queue calls."""

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        wake: Callable[[Key], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._now = now
        self._bodies: dict[Key, Mapping[str, Any]] = {}
        self._memories: dict[Key, Memory] = {}
        self._verifier = probe.Verifier(settings.concurrent_probes, wake)
        against = probe.api_server(urlsplit(cluster.server).hostname or "")
        self._guard = replace(
            against,
            refused_by_dns=against.refused_by_dns + settings.forbidden_addresses,
            allowed_by_dns=settings.allowed_addresses,
        )

    # ---- what the edge tells -------------------------------------------------------------------------------

    def seen(self, key: Key, body: Mapping[str, Any]) -> bool:
        """Keep the newest body of an endpoint; False if it only echoes our own status and asks for no pass."""
        before, memory = self._bodies.get(key), self._memories.get(key)
        kept = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        self._bodies[key] = {**body, "metadata": kept}  # managedFields are two thirds of a body in memory
        if before is None or memory is None or memory.echoed or body.get("status") != memory.told:
            return True
        memory.echoed = True
        return any(before["metadata"].get(name) != body["metadata"].get(name) for name in ASKS_FOR_A_PASS)

    def gone(self, key: Key) -> None:
        """Forget an endpoint: its children are owned and go by themselves."""
        self._bodies.pop(key, None)
        self._memories.pop(key, None)
        self._verifier.drop(key)
        self._cluster.forget(key)
        metrics.forget(*key)

    def known(self) -> frozenset[Key]:
        """Keys of all endpoints that have been seen and are not gone."""
        return frozenset(self._bodies)

    async def close(self) -> None:
        """End the verifications that run."""
        await self._verifier.close()

    # ---- one pass ------------------------------------------------------------------------------------------

    async def process(self, key: Key) -> float | None:
        """Make one pass; returns the seconds until the next one, None for "when something happens"."""
        body = self._bodies.get(key)
        if body is None:
            return None
        try:
            endpoint = StreamingEndpoint.from_body(body)
        except InvalidEndpoint as invalid:
            await self._tell_invalid(key, body, invalid)
            return None
        if endpoint.deleting:
            return None
        memory = self._memory(endpoint)
        with metrics.PASS_SECONDS.time():
            world = await self._pass(endpoint, memory)
            await self._tell(endpoint, memory, world)
        metrics.PASSES.labels(type(world.error).__name__ if world.error else "done").inc()
        if isinstance(world.error, BEING_DELETED):
            return None  # its deletion event is on the way
        if world.error is not None:
            raise Retry(f"{type(world.error).__name__}: {world.error}") from world.error
        return self._pause(endpoint, memory, world)

    async def _pass(self, endpoint: StreamingEndpoint, memory: Memory) -> status.World:
        """Render, apply, observe, verify; whatever goes wrong becomes part of the world that is summarized."""
        capabilities = self._cluster.capabilities()
        note = render.engine_note(endpoint)
        observed: Observed | None = None
        failure: OperatorError | None = None
        hindrance: Problem | None = None
        try:
            children = render.children(endpoint, capabilities)
            try:
                if not endpoint.spec.suspend:
                    await self._cluster.apply(endpoint, children)
            except BEING_DELETED:
                raise
            except ClusterError as error:  # what already runs is still observed and told
                failure = error
            observed = self._cluster.observe(endpoint, children)
            hindrance = await self._verify(endpoint, memory, children, observed)
        except OperatorError as error:
            failure = error
        except Exception as error:
            log.exception("pass failed", extra={"endpoint": "/".join(endpoint.key)})
            failure = OperatorError(f"{type(error).__name__} in the operator; its log has the details")
            failure.__cause__ = error
        return status.World(
            observed=observed,
            capabilities=capabilities,
            standing=memory.standing,
            hindrance=hindrance,
            error=failure,
            note=note,
        )

    # ---- verification, beside the passes -------------------------------------------------------------------

    async def _verify(
        self, endpoint: StreamingEndpoint, memory: Memory, children: tuple[Manifest, ...], observed: Observed
    ) -> Problem | None:
        """Take the latest result, and start the next verification when it is due; says what hinders it."""
        verification = endpoint.spec.verification
        memory.edge_changed(observed, self._now())
        result = self._verifier.take(endpoint.key)
        if result is not None:
            self._learn(endpoint, memory, result, observed)
        if verification.mode == "Disabled" or endpoint.spec.suspend or not _can_be_asked(observed):
            return None
        due = memory.until_due(verification, observed, self._now())
        if due > timedelta(0) or self._verifier.running(endpoint.key):
            return None
        plan = await self._plan(endpoint, memory, observed)
        if isinstance(plan, Problem):
            return plan
        self._verifier.start(endpoint.key, plan)
        memory.asked = verification
        return None

    def _learn(
        self, endpoint: StreamingEndpoint, memory: Memory, result: ProbeResult, observed: Observed
    ) -> None:
        """Fold a result into the standing, unless it speaks of something that no longer runs."""
        memory.since = None
        if (result.pod_template_hash, result.route_hash) != (observed.pod_template_hash, observed.route_hash):
            return
        memory.standing = status.after(
            memory.standing,
            result,
            threshold=endpoint.spec.verification.failure_threshold,
            edge_changed=memory.edge_changed(observed, self._now()),
        )

    async def _plan(
        self, endpoint: StreamingEndpoint, memory: Memory, observed: Observed
    ) -> probe.Plan | Problem:
        """Gather what a verification needs; a Problem names what is missing."""
        edge = None
        if endpoint.spec.exposure is not None:
            if observed.route is None or not observed.route.admitted:
                return Problem(Reason.PENDING, "The edge has not accepted the route yet")
            try:
                edge = await self._edge(endpoint)
            except ClusterError as error:
                return Problem(
                    Reason.EDGE_ADDRESS_UNKNOWN,
                    f"{error}. The edge's Service comes from edges[].service in the operator's chart: correct it there",
                )
        try:
            key = await self._key(endpoint)
            ca = await self._ca(endpoint)
        except Forbidden as error:
            return Problem(
                Reason.SECRET_NOT_READABLE,
                f"{error}. The chart's value rbac.readSecrets=false takes this right away: set it to true, or "
                "spec.verification.mode to Disabled",
            )
        except (NotFound, Rejected) as error:
            return Problem(Reason.SECRET_NOT_READABLE, str(error))
        except ClusterError as error:
            return Problem(error.reason, str(error))
        return probe.plan_for(
            endpoint,
            observed,
            capabilities=self._cluster.capabilities(),
            edge=edge,
            key=key,
            ca=ca,
            occasion=probe.Occasion(
                routine=memory.standing.is_routine(observed),
                warm=memory.standing.is_warm(observed),
                may_skip=memory.standing.may_be_skipped(observed),
            ),
            guard=self._guard,
            clock=self._now,
        )

    async def _edge(self, endpoint: StreamingEndpoint) -> EdgeAddress | None:
        """Where the edge listens; None leaves it to DNS of the host."""
        found = await self._cluster.edge_addresses(endpoint)
        if not found.addresses:
            return None
        return EdgeAddress(found.addresses[0], found.http_port, found.https_port)

    async def _key(self, endpoint: StreamingEndpoint) -> probe.ApiKey | None:
        """The key that clients send, read only now and kept nowhere."""
        ref = endpoint.spec.engine.api_key_secret_ref
        if ref is None:
            return None
        return probe.ApiKey(await self._cluster.read_secret_key(endpoint.namespace, ref.name, ref.key))

    async def _ca(self, endpoint: StreamingEndpoint) -> str | None:
        """The CA bundle that the edge's certificate is checked with; None for the system's."""
        ref = endpoint.spec.verification.tls.ca_config_map_ref
        if ref is None:
            return None
        return await self._cluster.read_config_map_key(endpoint.namespace, ref.name, ref.key)

    # ---- telling -------------------------------------------------------------------------------------------

    async def _tell(self, endpoint: StreamingEndpoint, memory: Memory, world: status.World) -> None:
        """Write the status if it says something new, and events for what changed; the only writer."""
        if isinstance(world.error, BEING_DELETED):
            return
        told = status.summarize(endpoint, world, memory.told, self._now())
        metrics.READY.labels(*endpoint.key).set(status.is_true(told, "Ready"))
        if not status.worth_writing(memory.told, told, self._now()):
            return
        changes = status.changes(memory.told, told)
        if not await self._write(endpoint, told):
            return
        memory.told, memory.echoed = told, False
        for change in changes:
            await self._cluster.publish(endpoint, change.type, change.reason, change.message)

    async def _write(self, endpoint: StreamingEndpoint | Identity, told: status.Status) -> bool:
        """Write a status; False when the endpoint is gone meanwhile, which its deletion event will tell too."""
        try:
            await self._cluster.write_status(endpoint, told)
        except (*BEING_DELETED, Conflict):  # deleted, or deleted and made again
            return False
        except ClusterError as error:
            raise Retry(f"status not written: {error}") from error
        return True

    async def _tell_invalid(self, key: Key, body: Mapping[str, Any], invalid: InvalidEndpoint) -> None:
        """An unreadable spec stalls until its generation moves; the children that work are left alone."""
        previous = body.get("status") or {}
        generation = int(body["metadata"].get("generation") or 1)
        told = status.unreadable(generation, invalid.problems, previous, self._now())
        if status.worth_writing(previous, told, self._now()):
            identity = Identity(*key, uid=str(body["metadata"].get("uid") or ""))
            await self._write(identity, told)

    def _memory(self, endpoint: StreamingEndpoint) -> Memory:
        """What we know of this endpoint; read back from its status at the first pass."""
        memory = self._memories.get(endpoint.key)
        if memory is None or memory.uid != endpoint.uid:
            told = dict(endpoint.previous_status)
            memory = Memory(endpoint.uid, status.recall(told), told, since=self._now())
            self._memories[endpoint.key] = memory
        elif endpoint.previous_status == memory.told:
            memory.echoed = True
        elif memory.echoed:
            memory.told = dict(endpoint.previous_status)
        return memory

    def _pause(self, endpoint: StreamingEndpoint, memory: Memory, world: status.World) -> float:
        """Seconds until this endpoint should be looked at although nothing happened."""
        resync = self._settings.resync_seconds * memory.jitter
        observed = world.observed
        if observed is None or endpoint.spec.verification.mode == "Disabled" or not _can_be_asked(observed):
            return resync
        if world.hindrance is not None:
            return min(resync, status.FAILING_PAUSE.total_seconds())
        if self._verifier.running(endpoint.key):
            return resync  # its result wakes this endpoint
        due = memory.until_due(endpoint.spec.verification, observed, self._now())
        return min(resync, max(due.total_seconds(), 0.5))


def _can_be_asked(observed: Observed) -> bool:
    """Whether the newest pod template is up, so that a verdict would be about it."""
    return observed.rolled_out and observed.ready_replicas > 0 and observed.pod_template_hash is not None
