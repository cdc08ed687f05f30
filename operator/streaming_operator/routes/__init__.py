"""The registry of routes (one for each module that defines `ROUTE`), and which of them serves an endpoint."""

import sys
from collections.abc import Mapping
from functools import cache

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.registry import DuplicateMemberError, members
from streaming_operator.routes.base import ExposureKind, Route
from streaming_operator.values import Capabilities, Edge

GENERIC = "generic"


@cache
def registry() -> Mapping[str, Route]:
    """All routes by name; raises when two have the same name or the same edges."""
    routes = members(sys.modules[__name__], "ROUTE")
    claims = [(route.exposure, route.profile) for route in routes.values()]
    for claim in claims:
        if claims.count(claim) > 1:
            raise DuplicateMemberError(f"two routes claim {claim[0]} with profile {claim[1]}")
    return routes


def exposure_kind(endpoint: StreamingEndpoint) -> ExposureKind | None:
    """Which member of `spec.exposure` is set; None when the endpoint stays inside the cluster."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        return None
    return "ingress" if exposure.ingress is not None else "httpRoute"


def edge_of(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Edge | None:
    """The edge of the endpoint's class, or of the first of its Gateways that exists; None if it is not known."""
    exposure = endpoint.spec.exposure
    if exposure is None:
        return None
    if exposure.ingress is not None:
        return capabilities.ingress_classes.get(exposure.ingress.class_name)
    if exposure.http_route is None:
        return None
    gateways = (
        f"{ref.namespace or endpoint.namespace}/{ref.name}" for ref in exposure.http_route.parent_refs
    )
    classes = (capabilities.gateways[name] for name in gateways if name in capabilities.gateways)
    return capabilities.gateway_classes.get(next(classes, ""))


def select(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Route | None:
    """The route for the endpoint's edge, else the portable one; None when nothing is exposed."""
    kind = exposure_kind(endpoint)
    if kind is None:
        return None
    edge = edge_of(endpoint, capabilities)
    by_claim = {(route.exposure, route.profile): route for route in registry().values()}
    specific = by_claim.get((kind, edge.profile)) if edge is not None else None
    return specific or by_claim[(kind, GENERIC)]


def refused_annotations(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[str, ...]:
    """Annotations of the endpoint that neither its route nor the administrator allows, sorted."""
    exposure = endpoint.spec.exposure
    route = select(endpoint, capabilities)
    if exposure is None or exposure.ingress is None or route is None:
        return ()
    edge = edge_of(endpoint, capabilities)
    added = edge.allowed_annotations if edge is not None else ()
    return tuple(
        sorted(
            key
            for key in exposure.ingress.annotations
            if not route.allows(key, edge) and not any(_matches(pattern, key) for pattern in added)
        )
    )


def _matches(pattern: str, key: str) -> bool:
    """Whether an annotation is the one of the administrator's list, or begins like it."""
    return key == pattern or (pattern.endswith("*") and key.startswith(pattern[:-1]))


def users_url(endpoint: StreamingEndpoint) -> str | None:
    """
    The base URL that users call: the public one if the spec has it, else `scheme://host`; None when nothing is exposed.

    http for an HTTPRoute, which does not specify whether a listener of its Gateway serves TLS.
    """
    public, exposure = endpoint.spec.verification.public_url, endpoint.spec.exposure
    if public is not None or exposure is None:
        return public
    tls = exposure.ingress is not None and exposure.ingress.tls is not None
    return f"{'https' if tls else 'http'}://{exposure.host}"
