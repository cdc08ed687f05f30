"""
The portable HTTPRoute of the Gateway API: it has no field for buffering or idle timeouts, so only the probe can tell.

`timeouts.request` is rendered only where every Gateway's class lists the feature, is known to take it, or beside one
that does is known to ignore it: others may warn, or refuse the route. Never a retry stanza: setting it turns
retries on.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api import naming
from streaming_operator.api.endpoint import Exposure, HttpRoute, ParentRef, StreamingEndpoint
from streaming_operator.api.http_route import RouteFilter
from streaming_operator.routes.base import HTTP_ROUTES, Route, exposure_of, service_port
from streaming_operator.routes.listeners import gateways_of
from streaming_operator.values import Capabilities, Manifest

ENVOY_TOTAL_SECONDS = 15
"""Envoy's own limit on a whole request, where neither a route nor a policy sets one."""


def _parent(reference: ParentRef) -> Manifest:
    """One parentRef, without the fields that the user left to their defaults."""
    parent: Manifest = {"name": reference.name}
    if reference.namespace is not None:
        parent["namespace"] = reference.namespace
    if reference.section_name is not None:
        parent["sectionName"] = reference.section_name
    if reference.port is not None:
        parent["port"] = reference.port
    return parent


def _filter(wanted: RouteFilter) -> Manifest:
    """One filter, with the type that the Gateway API wants beside its member."""
    given = wanted.model_dump(by_alias=True, exclude_none=True, mode="json")
    ((member, content),) = given.items()
    # The API server drops empty lists, and what it drops would look like drift for ever.
    content = {key: value for key, value in content.items() if value}
    return {"type": member[0].upper() + member[1:], member: content}


def _rules(endpoint: StreamingEndpoint, exposure: Exposure, route: HttpRoute) -> list[Manifest]:
    """One rule; with a prefix that is taken away one a path, since each is rewritten to its own."""
    canary, strip = exposure.canary, exposure.strip_prefix
    header = {"headers": [{"type": "Exact", "name": canary.header, "value": "always"}]} if canary else {}
    filters = [_filter(wanted) for wanted in route.filters]
    backend = {"backendRefs": [{"name": naming.child_name(endpoint), "port": service_port(endpoint).number}]}
    if strip is None:
        matches = [
            {"path": {"type": "PathPrefix", "value": path}, **header} for path in exposure.path_prefixes
        ]
        return [{"matches": matches, **({"filters": filters} if filters else {}), **backend}]
    return [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": f"{strip}{path.rstrip('/')}"}, **header}],
            "filters": [
                *filters,
                {
                    "type": "URLRewrite",
                    "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": path}},
                },
            ],
            **backend,
        }
        for path in exposure.path_prefixes
    ]


def takes_request_timeout(endpoint: StreamingEndpoint, capabilities: Capabilities) -> bool:
    """Whether the class of every parent takes `timeouts.request`; one that ignores it stands in nobody's way."""
    route = exposure_of(endpoint).http_route
    refs = route.parent_refs if route is not None else ()
    gateways = (f"{parent.namespace or endpoint.namespace}/{parent.name}" for parent in refs)
    classes = {capabilities.gateways.get(gateway) for gateway in gateways}
    takes, ignores = capabilities.request_timeout_classes, capabilities.ignoring_request_timeout
    return bool(classes) and classes <= takes | ignores and not classes.isdisjoint(takes)


def whole_request_remark(endpoint: StreamingEndpoint, capabilities: Capabilities, title: str) -> str | None:
    """Envoy's own limit on a whole request, which stays where another Gateway may refuse `timeouts.request`."""
    several = len(set(gateways_of(endpoint, capabilities))) > 1
    if not several or takes_request_timeout(endpoint, capabilities):
        return None
    return (
        f"{title} ends every response after {ENVOY_TOTAL_SECONDS} s unless the HTTPRoute has timeouts.request, "
        "which another of the endpoint's Gateways is not known to take: give that Gateway an HTTPRoute of its own"
    )


def http_route(
    endpoint: StreamingEndpoint, capabilities: Capabilities, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """
    Host, paths and backend; the total time limit where every Gateway takes it: `0s` turns it off. `annotations` take
    precedence over the user's.
    """
    exposure = exposure_of(endpoint)
    route = exposure.http_route
    if route is None:
        raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed by an HTTPRoute")
    rules = _rules(endpoint, exposure, route)
    if takes_request_timeout(endpoint, capabilities):
        rules = [{**rule, "timeouts": {"request": f"{exposure.timeouts.request_seconds}s"}} for rule in rules]
    metadata = naming.metadata(endpoint)
    if merged := route.annotations | dict(annotations or {}):
        metadata["annotations"] = merged
    return {
        "apiVersion": HTTP_ROUTES.api_version,
        "kind": HTTP_ROUTES.kind,
        "metadata": metadata,
        "spec": {
            "parentRefs": [_parent(reference) for reference in route.parent_refs],
            "hostnames": list(exposure.all_hosts),
            "rules": rules,
        },
    }


class GatewayApi(Route):
    """Any implementation of the Gateway API."""

    name = "gateway-api"
    profile = "generic"
    title = "the Gateway"
    controllers: ClassVar = {"httpRoute": ()}

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute."""
        return (http_route(endpoint, capabilities),)


ROUTE: Route = GatewayApi()
