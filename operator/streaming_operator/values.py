"""
The frozen values between packages: the cluster's capabilities, the observed children, the probe's result.

`cluster` and `probe` make them; `render` and `status` decide from them alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from streaming_operator.api.reasons import Hop, Reason, Verdict
from streaming_operator.kinds import Key, Kind

Manifest = dict[str, Any]
"""One Kubernetes object as plain data, with only the fields that the operator owns."""


@dataclass(frozen=True, slots=True)
class GatewayServices:
    """How an implementation labels the Service that it deploys for a Gateway."""

    labels: Mapping[str, str]
    """`{name}` and `{namespace}` stand for the Gateway's."""
    namespace: str | None = None
    """Where its controller deploys them; the Gateway's own namespace is always looked at, and no tenant's other one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The proxy behind an IngressClass or GatewayClass, and where it listens inside the cluster."""

    profile: str
    """The route that serves it, by its profile in the registry of `routes`."""
    service: str | None = None
    """`namespace/name` of the edge's Service, from the administrator's list; None if unknown."""
    http_port: int = 80
    https_port: int = 443
    annotations_prefix: str = "nginx.ingress.kubernetes.io"
    allowed_annotations: tuple[str, ...] = ()
    """Annotations that the administrator allows besides the route's own list; `*` at the end stands for any rest."""
    ports_of_pods: bool = False
    """Listeners of its Gateways name the ports of the edge's pods; users call 80 or 443."""
    reload_seconds: float | None = None
    """How long streams may go on after it has loaded a new configuration; None if that is not known, or without end."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a Gateway to which HTTPRoutes can attach."""

    name: str
    port: int
    tls: bool
    """Whether it ends TLS."""
    hostname: str = ""
    """A host name, or `*.` and the end of one; "" serves every host."""
    same_namespace: bool = False
    """Whether only routes of the Gateway's own namespace attach."""


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
    listeners: Mapping[str, tuple[Listener, ...]] = field(default_factory=dict)
    """`namespace/name` of a Gateway -> its listeners that take HTTPRoutes, in its own order."""
    request_timeout_classes: frozenset[str] = frozenset()
    """GatewayClasses that take `timeouts.request`: their status lists the feature, or their edge is known to."""
    policies: frozenset[Kind] = frozenset()
    """Kinds of edges' own policies that are installed and that the administrator lets the operator write."""
    prometheus_rules: bool = False
    """Whether a PrometheusRule can be written."""
    backend_tls_policies: bool = False
    """Whether a BackendTLSPolicy can be written."""
    ignoring_request_timeout: frozenset[str] = frozenset()
    """GatewayClasses that serve a route with `timeouts.request` as one without."""


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
    """Where the edge of one endpoint accepts connections."""

    address: str
    """IP address or DNS name; never loopback or link-local."""
    http_port: int | None = None
    """None: the port that users call."""
    https_port: int | None = None


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
    """Why the workload or the route is not up, from the messages of kubelet, scheduler and controllers."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ObservedRoute:
    """The state of the route by its status, and by the other Ingresses of its host."""

    exists: bool
    admitted: bool
    problem: Problem | None = None
    addresses: tuple[str, ...] = ()
    """IPs or host names from the Ingress's or Gateway's status; may be empty or unreachable."""
    written_at: datetime | None = None
    remark: str | None = None
    """What the edge says against a policy beside the route, and what has requests sent again."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The children as they are at one moment."""

    desired_replicas: int
    replicas: int
    ready_replicas: int
    updated_replicas: int
    rolled_out: bool
    """The Deployment controller observed our generation and every replica is of the newest template."""
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
class Remark:
    """What a person should know about a response although it decides no verdict."""

    name: str
    """Stable name of its kind, a value of `probe.judge.remarks.RemarkKind`."""
    observed: str
    """What was observed, as a clause."""
    advice: str
    """What to do about it, as a clause."""

    def __str__(self) -> str:
        return f"{self.observed}; {self.advice}"


@dataclass(frozen=True, slots=True)
class HopResult:
    """The result of one hop: whole numbers only, since they are written to the status."""

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
    """The proxy that the response seems to come through or from; empty if unknown."""
    remarks: tuple[Remark, ...] = ()
    """What else a person should know about this hop's response."""
    timeline: object | None = field(default=None, compare=False, repr=False)
    """The `probe.stream.timeline.Timeline` behind the numbers, for reports; it is not written to the status."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one verification, of one pod template and one route."""

    verdict: Verdict
    hop: Hop
    message: str
    """Evidence with numbers and the remedy."""
    hops: tuple[HopResult, ...]
    pod_template_hash: str
    route_hash: str
    ready_pods: frozenset[str]
    at: datetime
    skipped: bool = False
    """The engine's queue was full and no request was sent: there is no finding about the path."""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """The remarks of every hop, each once."""
        return tuple(dict.fromkeys(remark for hop in self.hops for remark in hop.remarks))

    @property
    def message_with_remarks(self) -> str:
        """The message of the condition."""
        return ". Remark: ".join((self.message, *map(str, self.remarks)))

    @property
    def ttft_milliseconds(self) -> int | None:
        """TTFT at the outermost hop."""
        return self.hops[0].ttft_milliseconds if self.hops else None
