"""The registry of routes (one for each module that defines `ROUTE`), and which of them serves an endpoint."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Key, Kind
from streaming_operator.registry import DuplicateMemberError, members
from streaming_operator.routes.base import ExposureKind, RetryRule, Route, remarks
from streaming_operator.routes.listeners import gateways_of, listener_of
from streaming_operator.values import Capabilities, Edge, GatewayServices

GENERIC = "generic"


@cache
def registry() -> Mapping[str, Route]:
    """All routes by name; raises when two have the same name or the same edges."""
    routes = members(sys.modules[__name__], "ROUTE")
    claims = [(kind, route.profile) for route in routes.values() for kind in route.controllers]
    for claim in claims:
        if claims.count(claim) > 1:
            raise DuplicateMemberError(f"two routes claim {claim[0]} with profile {claim[1]}")
    return routes


def profiles() -> tuple[str, ...]:
    """What `edges[].profile` may name, sorted."""
    return tuple(sorted({route.profile for route in registry().values()}))


def with_policies() -> tuple[str, ...]:
    """What `edgePolicies` may name: the profiles whose edges have policies of their own, sorted."""
    return tuple(sorted({route.profile for route in registry().values() if route.policies}))


def retry_rules() -> Mapping[Kind, RetryRule]:
    """The kinds of policies by which edges send requests again, of all edges."""
    return {kind: rule for route in registry().values() for kind, rule in route.retry_rules.items()}


def of_profile(profile: str | None) -> Route | None:
    """The route of a kind of edge; None for `generic`, and for edges that are not known."""
    return next(
        (route for route in registry().values() if route.profile == profile and profile != GENERIC), None
    )


def without_class(class_name: str) -> str | None:
    """Why no IngressClass of this name can be there, and what to do instead; None for any other name."""
    known = (route.classes_without_object.get(class_name) for route in registry().values())
    return next((advice for advice in known if advice is not None), None)


def takes_request_timeout(edge: Edge) -> bool:
    """Whether an edge is known to take `timeouts.request`, whatever its class lists."""
    route = of_profile(edge.profile)
    return route is not None and route.takes_request_timeout


def ignores_request_timeout(edge: Edge) -> bool:
    """Whether an edge is known to ignore `timeouts.request` without refusing the route."""
    route = of_profile(edge.profile)
    return route is not None and route.ignores_request_timeout


def recognised(kind: ExposureKind, controller: str) -> Route | None:
    """The route of the edges whose class has this controller; None where it is not known."""
    return next(
        (route for route in registry().values() if controller in route.controllers.get(kind, ())), None
    )


def service_of(gateway: Key, edge: Edge) -> GatewayServices:
    """How the Service of a Gateway is labelled, and where else than beside it the edge's controller deploys it."""
    namespace, name = gateway
    services = (of_profile(edge.profile) or _by_claim()["httpRoute", GENERIC]).gateway_services
    labels = {key: text.format(name=name, namespace=namespace) for key, text in services.labels.items()}
    return GatewayServices(labels, services.namespace)


def _by_claim() -> Mapping[tuple[ExposureKind, str], Route]:
    return {(kind, route.profile): route for route in registry().values() for kind in route.controllers}


def exposure_kind(endpoint: StreamingEndpoint) -> ExposureKind | None:
    """Which member of `spec.exposure` is set; None when the endpoint stays inside the cluster."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        return None
    return "ingress" if exposure.ingress is not None else "httpRoute"


def edge_of(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Edge | None:
    """The edge of the endpoint's class, or of the first of its Gateways that exists; None if it is not known."""
    return edges_of(endpoint, capabilities)[0]


def edges_of(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Edge | None, ...]:
    """The edges of the endpoint's class, or of its Gateways that exist; None is one that is not known."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        return (None,)
    if exposure.ingress is not None:
        return (capabilities.ingress_classes.get(exposure.ingress.class_name),)
    classes = (capabilities.gateways[gateway] for gateway in gateways_of(endpoint, capabilities))
    return tuple(map(capabilities.gateway_classes.get, classes)) or (None,)


def select(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Route | None:
    """The route for the edge that users are led to, else the portable one; None when nothing is exposed."""
    return next(iter(serving(endpoint, capabilities)), None)


def serving(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Route, ...]:
    """The routes for all of the endpoint's edges, that of the first Gateway first, each once."""
    kind = exposure_kind(endpoint)
    if kind is None:
        return ()
    return tuple(dict.fromkeys(_serving(kind, edge) for edge in edges_of(endpoint, capabilities)))


def _serving(kind: ExposureKind, edge: Edge | None) -> Route:
    by_claim = _by_claim()
    specific = by_claim.get((kind, edge.profile)) if edge is not None else None
    return specific or by_claim[(kind, GENERIC)]


def service_annotations(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Mapping[str, str]:
    """What the endpoint's edges read from its Service; nothing where it is not exposed."""
    return {
        key: text
        for route in reversed(serving(endpoint, capabilities))
        for key, text in route.service_annotations(endpoint, capabilities).items()
    }


def remark(endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
    """What the endpoint's streams meet at its edges that no route can set; None where there is nothing to say."""
    chosen = serving(endpoint, capabilities)
    said = [route.remark(endpoint, capabilities) for route in chosen]
    said += [_of_tls(endpoint, route, capabilities) for route in chosen]
    return remarks(said)


def _of_tls(endpoint: StreamingEndpoint, route: Route, capabilities: Capabilities) -> str | None:
    """What speaks TLS to the pods where neither the route nor a BackendTLSPolicy says it."""
    tls, service = endpoint.spec.engine.tls, f"Service {endpoint.name}"
    if tls is None or route.speaks_tls:
        return None
    if exposure_kind(endpoint) == "httpRoute":
        if tls.ca_config_map_name is None:
            return (
                "the pods speak TLS (engine.tls), which a Gateway is told by a BackendTLSPolicy that names a CA: set "
                f"engine.tls.caConfigMapName, or write one for {service}"
            )
        if capabilities.backend_tls_policies:
            return None
        return (
            "the pods speak TLS (engine.tls), and the cluster has no BackendTLSPolicy (gateway.networking.k8s.io/v1), "
            "by which a Gateway is told: install the CRDs of the Gateway API 1.4 or newer"
        )
    return f"the pods speak TLS (engine.tls): the controller must speak it to the port https of {service}"


def refused_annotations(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[str, ...]:
    """
    Annotations of the endpoint that neither its route nor the administrator allows, sorted. All of its Gateways read
    them, so that each has to allow one: the first may be a tenant's.
    """
    exposure, kind = endpoint.spec.exposure, exposure_kind(endpoint)
    exposed = None if exposure is None else exposure.ingress or exposure.http_route
    if exposed is None or kind is None:
        return ()
    readers = edges_of(endpoint, capabilities)
    return tuple(
        sorted(key for key in exposed.annotations if not all(_allows(kind, edge, key) for edge in readers))
    )


def _allows(kind: ExposureKind, edge: Edge | None, key: str) -> bool:
    """Whether an edge's route or the administrator allows an annotation there."""
    added = edge.allowed_annotations if edge is not None else ()
    return _serving(kind, edge).allows(key, edge) or any(_matches(pattern, key) for pattern in added)


def not_supported(endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
    """Which field of the exposure the endpoint's Ingress controller is not known to have a means for; None if none."""
    exposure, route = endpoint.spec.exposure, select(endpoint, capabilities)
    if exposure is None or exposure.ingress is None or route is None:
        return None
    if exposure.strip_prefix is not None and not route.rewrites:
        return "stripPrefix"
    return "canary" if exposure.canary is not None and not route.canaries else None


def _matches(pattern: str, key: str) -> bool:
    """Whether an annotation is the one of the administrator's list, or begins like it."""
    return key == pattern or (pattern.endswith("*") and key.startswith(pattern[:-1]))


@dataclass(frozen=True, slots=True)
class UsersAddress:
    """What users call."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    prefix: str = ""
    """Path before those of the API, which the edge takes away."""

    @property
    def authority(self) -> str:
        """The host as users write it: with the port unless it is the scheme's own."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`scheme://host`, with the port unless it is the scheme's own, and with the prefix."""
        return f"{self.scheme}://{self.authority}{self.prefix}"


_PORTS: Mapping[Literal["http", "https"], int] = {"http": 80, "https": 443}


def users_address(
    endpoint: StreamingEndpoint, capabilities: Capabilities, host: str | None = None
) -> UsersAddress | None:
    """
    Where users reach the edge by *host*, the first one if it is None; None when nothing is exposed.

    An Ingress says itself whether it has TLS. An HTTPRoute has the scheme and port of the listener that it attaches to;
    http and 80 while no such listener is known.
    """
    exposure = endpoint.spec.exposure
    if exposure is None:
        return None
    host = host or exposure.host
    listener, edge = listener_of(endpoint, capabilities, host), edge_of(endpoint, capabilities)
    with_tls = exposure.ingress is not None and exposure.ingress.tls is not None
    scheme: Literal["http", "https"] = "https" if with_tls or (listener and listener.tls) else "http"
    known = listener is not None and not (edge is not None and edge.ports_of_pods)
    port = listener.port if listener and known else _PORTS[scheme]
    return UsersAddress(scheme, host, port, exposure.strip_prefix or "")


def users_url(endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
    """The base URL that users call: the public one if the spec has it, else the edge's; None if nothing is exposed."""
    if (public := endpoint.spec.verification.public_url) is not None:
        return public
    address = users_address(endpoint, capabilities)
    return address.url if address is not None else None


def url_beside_the_route(endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
    """The users' URL as far as the route object does not say it: the public one, or that of a Gateway's listener."""
    public, exposure = endpoint.spec.verification.public_url, endpoint.spec.exposure
    if public is not None or exposure is None or exposure.http_route is None:
        return public
    url = users_url(endpoint, capabilities)
    plain = f"http://{exposure.host}{exposure.strip_prefix or ''}"
    return url if url != plain else None  # as it was hashed before listeners were read
