"""
What one pass learns, as frozen values: the cluster's capabilities, the observed children, the probe's result.

`render` and `status` decide from these and never ask anybody; `cluster` and `probe` make them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

from streaming_operator.api.reasons import Hop, Reason, Verdict

Key = tuple[str, str]
"""`(namespace, name)` of an object; the namespace is empty for kinds of the whole cluster."""

Manifest = dict[str, Any]
"""One Kubernetes object as plain data, only the fields we own."""

EdgeProfile = Literal["ingress-nginx", "generic"]


@dataclass(frozen=True, slots=True)
class Edge:
    """What stands behind an IngressClass or GatewayClass, and where it listens inside the cluster."""

    profile: EdgeProfile
    service: str | None = None
    """`namespace/name` of the edge's Service, from the administrator's list; None if unknown."""
    http_port: int = 80
    https_port: int = 443
    annotations_prefix: str = "nginx.ingress.kubernetes.io"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Which optional kinds and which classes the cluster has; a child is absent by decision, not by exception."""

    service_monitors: bool
    http_routes: bool
    ingress_classes: Mapping[str, Edge] = field(default_factory=dict)
    """By IngressClass name."""
    gateway_classes: Mapping[str, Edge] = field(default_factory=dict)
    """By GatewayClass name."""
    gateways: Mapping[str, str] = field(default_factory=dict)
    """`namespace/name` of a Gateway -> its class name."""
    request_timeout_classes: frozenset[str] = frozenset()
    """GatewayClasses whose status lists the feature HTTPRouteRequestTimeout."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One endpoint: a later one of the same name has another uid and is another endpoint."""

    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> Key:
        """`(namespace, name)`."""
        return (self.namespace, self.name)

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self:
        """The identity in an object's `metadata`."""
        return cls(
            str(metadata.get("namespace") or ""), str(metadata["name"]), str(metadata.get("uid") or "")
        )


@dataclass(frozen=True, slots=True)
class EdgeAddress:
    """Where the edge of one endpoint takes connections."""

    address: str
    """IP address or DNS name; never loopback or link-local."""
    http_port: int = 80
    https_port: int = 443


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """One pod of the endpoint's Deployment."""

    name: str
    ip: str | None
    ready: bool
    template_hash: str
    terminating: bool = False
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the workload is not up, translated from what kubelet, scheduler or controller say."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ObservedRoute:
    """What the edge says of the route, and the other Ingresses that serve its host."""

    exists: bool
    admitted: bool
    problem: Problem | None = None
    addresses: tuple[str, ...] = ()
    """IPs or host names from the Ingress's or Gateway's status; may be empty or useless."""
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The children as they are, one look."""

    desired_replicas: int
    replicas: int
    ready_replicas: int
    updated_replicas: int
    rolled_out: bool
    """The Deployment controller has seen our generation and every replica is of the newest template."""
    pod_template_hash: str | None
    """`pod-template-hash` of the newest ReplicaSet."""
    pods: tuple[ObservedPod, ...]
    workload_problem: Problem | None
    route: ObservedRoute | None
    """None when nothing is exposed."""
    route_hash: str
    """Hash of the route object as rendered; "" when there is none."""
    service_monitor: bool
    service_address: str | None
    """The Service's ClusterIP."""

    @property
    def ready_pods(self) -> frozenset[str]:
        """Names of the pods that take traffic."""
        return frozenset(pod.name for pod in self.pods if pod.ready and not pod.terminating)


@dataclass(frozen=True, slots=True)
class HopResult:
    """What one hop answered: whole numbers only, since they go to the status."""

    hop: Hop
    address: str
    verdict: Verdict
    message: str
    protocol: str = "HTTP/1.1"
    ttft_milliseconds: int | None = None
    p95_gap_milliseconds: int | None = None
    max_gap_milliseconds: int | None = None
    events: int = 0
    reads: int = 0
    tokens: int | None = None
    pacing_percent: int | None = None
    """100 x client spread / server generation time; None without server timings."""
    done: bool = False
    finish_reason: str | None = None
    fingerprint: str = ""
    """Which proxy seems to have passed the answer on or written it; empty where nothing tells."""
    timeline: object | None = field(default=None, compare=False, repr=False)
    """The `probe.timeline.Timeline` behind the numbers, for pictures; it goes into no status."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One verification, a value even when it failed; it speaks of one pod template and one route."""

    verdict: Verdict
    hop: Hop
    message: str
    """Evidence with numbers and the remedy; stable while the finding is the same kind."""
    hops: tuple[HopResult, ...]
    pod_template_hash: str
    route_hash: str
    ready_pods: frozenset[str]
    at: datetime
    skipped: bool = False
    """The engine's queue was full and nothing was asked: it says nothing of the path."""

    @property
    def ttft_milliseconds(self) -> int | None:
        """TTFT at the hop that judged."""
        return self.hops[0].ttft_milliseconds if self.hops else None
