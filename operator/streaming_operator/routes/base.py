"""
The interface of a route: how one kind of edge is configured to carry streams.

A route renders the objects of an endpoint that the edge reads: the Ingress or HTTPRoute, and the edge's own policy
beside it. One file an edge (docs/adding-a-route.md), from which follows everything else that concerns it: the kinds
that are watched, pruned and granted, which controllers are recognised, what users may set, remedies, docs. Pure: it
decides from `Capabilities` alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import ClassVar, Literal, NamedTuple

from streaming_operator.api import naming
from streaming_operator.api.endpoint import Exposure, StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.values import Capabilities, Edge, GatewayServices, Manifest


class ServicePort(NamedTuple):
    """The port of the endpoint's Service, so that its URL inside the cluster needs none."""

    name: str
    number: int


def service_port(endpoint: StreamingEndpoint) -> ServicePort:
    """80, or 443 where the pods speak TLS."""
    return ServicePort("https", 443) if endpoint.spec.engine.tls else ServicePort("http", 80)


ExposureKind = Literal["ingress", "httpRoute"]

INGRESSES = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
HTTP_ROUTES = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", optional=True)
KINDS: Mapping[ExposureKind, Kind] = {"ingress": INGRESSES, "httpRoute": HTTP_ROUTES}
"""The kind that serves the host, by the member of `spec.exposure`."""

LABELLED_SERVICES = GatewayServices({"gateway.networking.k8s.io/gateway-name": "{name}"})
"""What every implementation that deploys a Service for a Gateway labels it with (GEP-1762)."""


def remarks(said: Iterable[str | None]) -> str | None:
    """Several remarks as one text, each once; None where there is none."""
    return ". Remark: ".join(dict.fromkeys(one for one in said if one)) or None


BEFORE_A_POD_ANSWERS = frozenset({"connect-failure", "refused-stream", "reset-before-request"})
"""Reasons for which Envoy sends again what no pod has begun to answer."""


def repeats_answers(reasons: Collection[str]) -> bool:
    """Whether Envoy, told to send again for these reasons, repeats what a pod began to answer; so it is for none."""
    return not reasons or not BEFORE_A_POD_ANSWERS.issuperset(reasons)


class RetryRule(NamedTuple):
    """How an edge's policies of one kind have it send a request again that a pod has already begun to answer."""

    retries: Callable[[Manifest], bool]
    """Whether a policy with that `spec` does."""
    merged: bool = False
    """Whether it holds beside the endpoint's own policy, which says nothing of retries."""


HEALTH_PATH = "/health"
"""What a load balancer asks to learn whether a pod serves: of every engine (tests/contract), open without a key."""

ASK = "not settable per route: ask the administrator of {edge} "
"""Begins a remedy that no user can follow."""


class Route(ABC):
    """One kind of edge."""

    name: ClassVar[str]
    """Key in the registry, and how people call the edge in settings and docs."""
    profile: ClassVar[str]
    """The profile of the edges it serves: its name, or `generic` for every edge without a route of its own."""
    title: ClassVar[str]
    """The edge's name in sentences."""
    controllers: ClassVar[Mapping[ExposureKind, tuple[str, ...]]]
    """
    The members of `spec.exposure` it serves, each with the values of `IngressClass.spec.controller` or
    `GatewayClass.spec.controllerName` by which its edges are recognised.
    """
    policies: ClassVar[tuple[Kind, ...]] = ()
    """
    Kinds of the edge's own that it renders beside the route, at most one object each. They are CRDs, so optional, and
    are written only where they are installed and the chart's `edgePolicies` names the profile.
    """
    retry_rules: ClassVar[Mapping[Kind, RetryRule]] = {}
    """Those of `policies` that can have requests sent again: of these, policies of others are looked at too."""
    classes_without_object: ClassVar[Mapping[str, str]] = {}
    """Names of classes for which no IngressClass stands, so that no endpoint can have them; with what to do instead."""
    owned: ClassVar[frozenset[str]] = frozenset()
    """Annotations that it sets itself and a user must not, where `api.exposure` does not refuse them already."""
    on_service: ClassVar[frozenset[str]] = frozenset()
    """Every annotation that `service_annotations` may set: a verdict counts for one set of them, as for one route."""
    gateway_services: ClassVar[GatewayServices] = LABELLED_SERVICES
    """Which Service belongs to a Gateway."""
    takes_request_timeout: ClassVar[bool] = False
    """Whether it takes `timeouts.request` of an HTTPRoute although its GatewayClass lists no features."""
    ignores_request_timeout: ClassVar[bool] = False
    """Whether it serves an HTTPRoute with `timeouts.request` as one without: another of its Gateways may need it."""
    ports_of_pods: ClassVar[bool] = False
    """Whether listeners of its Gateways name the ports of the edge's pods; users call 80 or 443."""
    speaks_tls: ClassVar[bool] = False
    """Whether its Ingress says that the pods speak TLS (`engine.tls`)."""
    rewrites: ClassVar[bool] = False
    """Whether an Ingress of it can take a prefix away (`exposure.stripPrefix`); every HTTPRoute can."""
    canaries: ClassVar[bool] = False
    """Whether an Ingress of another's host and path may be a canary by annotation (`places.is_canary`)."""
    reload_limit: ClassVar[tuple[str, float] | None] = None
    """The key of the edge's ConfigMap that says how long streams go on after a reload, and the seconds without it."""
    proxies: ClassVar[tuple[str, ...]] = ()
    """Values of `probe.judge.fingerprint.Proxy` that responses of the edge show; "" stands for none."""
    remedies: ClassVar[Mapping[Symptom, str]] = {}
    """
    What to set where the operator writes the route and the edge is at fault all the same. Names are inserted: {edge},
    {host}, {prefix}, {workload}.
    """

    @abstractmethod
    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """
        Render the route, then the policies beside it; only fields that the operator owns.

        A class that the cluster lacks is no error: the portable fields are rendered, and the status reports it. The
        caller leaves out a policy that cannot be written.
        """

    def service_annotations(
        self, endpoint: StreamingEndpoint, capabilities: Capabilities
    ) -> Mapping[str, str]:
        """Annotations that the edge reads from the endpoint's Service; the user's own take precedence."""
        return {}

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """
        Whether a user may set this annotation: one that changes nothing but the user's own requests.

        Not one that may take the requests of others (canary, aliases, rewrites, priorities), name an object of another
        namespace, make the edge connect elsewhere, or ask another controller for something (certificates, DNS names).
        One without a prefix is private to its author by convention.
        """
        return "/" not in annotation

    def retrying(self, annotations: Mapping[str, str]) -> str | None:
        """Which of an Ingress' annotations has requests sent again that a pod has begun to answer; None if none."""
        return None

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """
        What this endpoint's streams meet at the edge that no field of a route can set, and who can; None if nothing.

        It is said beforehand, in `Exposed`; the probe is the judge of everything else.
        """
        return None


def policy(kind: Kind, endpoint: StreamingEndpoint, spec: Manifest) -> Manifest:
    """A policy of an edge's own, of the endpoint's name and owned by it."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": naming.metadata(endpoint),
        "spec": spec,
    }


def route_target(endpoint: StreamingEndpoint) -> Manifest:
    """How a policy names the endpoint's HTTPRoute."""
    group = HTTP_ROUTES.api_version.partition("/")[0]
    return {"group": group, "kind": HTTP_ROUTES.kind, "name": naming.child_name(endpoint)}


def service_target(endpoint: StreamingEndpoint) -> Manifest:
    """How a policy names the endpoint's Service."""
    return {"group": "", "kind": "Service", "name": naming.child_name(endpoint)}


def exposure_of(endpoint: StreamingEndpoint) -> Exposure:
    """`spec.exposure` of an endpoint that has one; a route is never called otherwise."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed")
    return exposure
