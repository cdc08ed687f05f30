"""
The portable HTTPRoute of the Gateway API: it has no field for buffering or idle timeouts, so only the probe can tell.

`timeouts.request` is rendered only where every Gateway's class lists the feature, or is known to take it: an
implementation without it may ignore the field, warn, or refuse the route. Never a retry stanza: setting it turns
retries on.
"""

from typing import ClassVar

from streaming_operator.api import naming
from streaming_operator.api.endpoint import ParentRef, StreamingEndpoint
from streaming_operator.routes.base import HTTP_ROUTES, Route, exposure_of, service_port
from streaming_operator.values import Capabilities, Manifest


def _parent(reference: ParentRef) -> Manifest:
    """One parentRef, without the fields that the user left to their defaults."""
    parent = {"name": reference.name}
    if reference.namespace is not None:
        parent["namespace"] = reference.namespace
    if reference.section_name is not None:
        parent["sectionName"] = reference.section_name
    return parent


def takes_request_timeout(endpoint: StreamingEndpoint, capabilities: Capabilities) -> bool:
    """Whether the class of every parent takes `timeouts.request`."""
    route = exposure_of(endpoint).http_route
    refs = route.parent_refs if route is not None else ()
    gateways = (f"{parent.namespace or endpoint.namespace}/{parent.name}" for parent in refs)
    classes = (capabilities.gateways.get(gateway) for gateway in gateways)
    return all(name in capabilities.request_timeout_classes for name in classes)


def http_route(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
    """Host, paths and backend; the total time limit where every Gateway takes it: `0s` turns it off."""
    exposure = exposure_of(endpoint)
    route = exposure.http_route
    if route is None:
        raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed by an HTTPRoute")
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in exposure.path_prefixes],
        "backendRefs": [{"name": naming.child_name(endpoint), "port": service_port(endpoint).number}],
    }
    if takes_request_timeout(endpoint, capabilities):
        rule["timeouts"] = {"request": f"{exposure.timeouts.request_seconds}s"}
    return {
        "apiVersion": HTTP_ROUTES.api_version,
        "kind": HTTP_ROUTES.kind,
        "metadata": naming.metadata(endpoint),
        "spec": {
            "parentRefs": [_parent(reference) for reference in route.parent_refs],
            "hostnames": [exposure.host],
            "rules": [rule],
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
