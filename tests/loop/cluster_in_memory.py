"""
A cluster in memory and one endpoint in it: the real reconciler passes over it, in virtual time.

What a probe would find is scripted; everything else of a verification is the real thing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop, Verdict
from streaming_operator.cluster import EdgeAddresses
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.schedule import Moment
from streaming_operator.controller.workqueue import WorkQueue
from streaming_operator.errors import ClusterError, Conflict
from streaming_operator.probe import Plan
from streaming_operator.settings import Settings
from streaming_operator.values import (
    Capabilities,
    Edge,
    HopResult,
    Identity,
    Key,
    Manifest,
    Observed,
    ObservedPod,
    ObservedRoute,
    ProbeResult,
)

KEY = ("chat", "qwen")
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
INTERNAL = {"model": {"source": {"local": {"path": "/model"}}}}
"""The smallest spec: inside the cluster only."""
EXPOSED = {
    **INTERNAL,
    "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
    "engine": {"apiKeySecretRef": {"name": "key"}},
}


async def nothing() -> None:
    """Nothing happens meanwhile."""


@dataclass
class ClusterInMemory:
    """What is observed of the endpoint, what was written about it, and what is refused."""

    server: str = "https://10.96.0.1:443"
    observed: Observed = field(
        default_factory=lambda: Observed(
            1,
            1,
            1,
            1,
            True,
            "t1",
            (ObservedPod("qwen-t1-a", "10.0.0.9", True, "t1"),),
            None,
            ObservedRoute(True, True),
            "r1",
            True,
            "10.96.3.3",
        )
    )
    body: dict[str, Any] = field(default_factory=dict)
    """The endpoint as it is stored."""
    writes: int = 0
    secrets_read: int = 0
    secret_entries: dict[str, dict[str, str]] = field(default_factory=dict)
    """The Secrets that are read as a whole, by name."""
    events: list[str] = field(default_factory=list)
    remembered: set[Key] = field(default_factory=set)
    """Endpoints that the caches have an entry for."""
    refusals: dict[str, ClusterError] = field(default_factory=dict)
    """Errors by the method that raises them."""
    during_apply: Callable[[], Awaitable[None]] = nothing

    def as_rendered(self, endpoint: StreamingEndpoint) -> StreamingEndpoint:
        """Its pods are of the newest version."""
        return endpoint

    def capabilities(self) -> Capabilities:
        return Capabilities(False, False, ingress_classes={"nginx": Edge(profile="ingress-nginx")})

    def canary_headers(self, endpoint: StreamingEndpoint) -> frozenset[str]:
        return frozenset()

    async def apply(self, endpoint: StreamingEndpoint, children: tuple[Manifest, ...]) -> None:
        self.remembered.add(endpoint.key)
        await self.during_apply()
        self._refuse("apply")

    def observe(self, endpoint: StreamingEndpoint, children: tuple[Manifest, ...]) -> Observed:
        self.remembered.add(endpoint.key)
        return self.observed

    async def edge_addresses(self, endpoint: StreamingEndpoint) -> EdgeAddresses:
        self._refuse("edge_addresses")
        return EdgeAddresses(("10.0.0.7",))

    async def read_secret_key(self, namespace: str, name: str, key: str) -> str:
        self.secrets_read += 1
        self._refuse("read_secret_key")
        return "sesame"

    async def read_secret_entries(
        self, namespace: str, name: str, keys: Collection[str] = ()
    ) -> dict[str, str]:
        self.secrets_read += 1
        self._refuse("read_secret_entries")
        return self.secret_entries[name]

    async def write_status(
        self, endpoint: StreamingEndpoint | Identity, status: dict[str, Any], version: str
    ) -> str:
        if version != self.body["metadata"]["resourceVersion"]:
            raise Conflict(f"version {version} is not the newest")
        self.writes += 1
        return self.store(status)

    async def read_endpoint(self, key: Key) -> dict[str, Any] | None:
        return self.body

    async def publish(self, endpoint: StreamingEndpoint, kind: str, reason: str, message: str) -> None:
        self.events.append(reason)

    def forget(self, key: Key) -> None:
        self.remembered.discard(key)

    def store(self, status: dict[str, Any]) -> str:
        """Somebody writes the status; returns the new resource version."""
        version = str(int(self.body["metadata"]["resourceVersion"]) + 1)
        metadata = {**self.body["metadata"], "resourceVersion": version}
        self.body = {**self.body, "metadata": metadata, "status": status}
        return version

    def edit(self, **spec: Any) -> None:
        """The user changes the spec."""
        self.store(self.body.get("status") or {})
        metadata = self.body["metadata"]
        self.body = {
            **self.body,
            "spec": {**self.body["spec"], **spec},
            "metadata": {**metadata, "generation": metadata["generation"] + 1},
        }

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason of a condition, as stored."""
        conditions = self.body["status"]["conditions"]
        stored = next(condition for condition in conditions if condition["type"] == kind)
        return stored["status"], stored["reason"]

    def message(self, kind: str) -> str:
        """Message of a condition, as stored."""
        conditions = self.body["status"]["conditions"]
        return str(next(c["message"] for c in conditions if c["type"] == kind))

    def _refuse(self, method: str) -> None:
        if method in self.refusals:
            raise self.refusals[method]


class Driver:
    """One operator at that cluster: a queue, a reconciler, and clocks that the loop's virtual time moves."""

    def __init__(
        self,
        cluster: ClusterInMemory,
        *,
        skew: timedelta = timedelta(0),
        settings: Settings | None = None,
    ) -> None:
        self.cluster = cluster
        self.queue: WorkQueue[Key] = WorkQueue()
        self.wall_moved = skew
        """By how much the wall clock is ahead."""
        self.passes = 0
        self.reconciler = Reconciler(
            cluster,  # type: ignore[arg-type]
            settings or Settings(),
            self.queue.add,
            self._now,
        )

    def _now(self) -> Moment:
        seconds = asyncio.get_running_loop().time()
        return Moment(START + timedelta(seconds=seconds) + self.wall_moved, seconds)

    def show(self, body: dict[str, Any] | None = None) -> None:
        """The watch shows a body, by default the stored one."""
        shown = self.cluster.body if body is None else body
        if self.reconciler.update(KEY, shown):
            self.queue.add(KEY)

    async def look(self) -> float | None:
        """The watch shows what is stored, and one pass follows."""
        self.show()
        return await self.reconciler.process(KEY)

    async def work(self, seconds: float) -> None:
        """Let the queue work for that long, with the watch showing every status that is stored."""

        async def process(key: Key) -> float | None:
            self.passes += 1
            return await self.reconciler.process(key)

        task = asyncio.create_task(self.queue.run(4, process))
        shown: object = None
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            if self.cluster.body is not shown:
                shown = self.cluster.body
                self.show()
            await asyncio.sleep(0.25)
        self.queue.close()
        await task
        await self.reconciler.close()


def an_endpoint(spec: dict[str, Any] | None = None, uid: str = "u1", version: int = 10) -> dict[str, Any]:
    """The endpoint's body as the API server has it."""
    metadata = {
        "name": KEY[1],
        "namespace": KEY[0],
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-21T12:00:00Z",
    }
    return {"metadata": metadata, "spec": spec or EXPOSED}


def a_result(plan: Plan, verdict: Verdict) -> ProbeResult:
    """What a probe of this plan would say."""
    hop = HopResult(Hop.EXPOSURE, "10.0.0.7:80", verdict, f"saw {verdict}", ttft_milliseconds=40, done=True)
    return ProbeResult(
        verdict,
        Hop.EXPOSURE,
        hop.message,
        (hop,),
        plan.pod_template_hash,
        plan.route_hash,
        plan.ready_pods,
        plan.clock(),
    )
