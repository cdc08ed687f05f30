"""
The portable HTTPRoute of the Gateway API: it has no field for buffering or idle timeouts, so only the probe can tell.

`timeouts.request` is rendered only where every Gateway's class lists the feature: an implementation without
it may ignore the field, warn, or refuse the route. Never a retry stanza: setting it turns retries on.
"""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import HttpRoute, ParentRef, StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import SERVICE_PORT, ExposureKind, Route, exposure_of
from streaming_operator.values import Capabilities, Edge, Manifest

HTTP_ROUTES = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", optional=True)


def _parent(reference: ParentRef) -> Manifest:
    """One parentRef, without the fields that the user left to their defaults."""
    parent = {"name": reference.name}
    if reference.namespace is not None:
        parent["namespace"] = reference.namespace
    if reference.section_name is not None:
        parent["sectionName"] = reference.section_name
    return parent


def takes_request_timeout(endpoint: StreamingEndpoint, route: HttpRoute, capabilities: Capabilities) -> bool:
    """Whether the class of every parent lists HTTPRouteRequestTimeout."""
    gateways = (f"{parent.namespace or endpoint.namespace}/{parent.name}" for parent in route.parent_refs)
    classes = (capabilities.gateways.get(gateway) for gateway in gateways)
    return all(name in capabilities.request_timeout_classes for name in classes)


class GatewayApi:
    """Any implementation of the Gateway API."""

    name = "gateway-api"
    exposure: ExposureKind = "httpRoute"
    profile = "generic"
    child = HTTP_ROUTES

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """None: an HTTPRoute gets no annotations of users."""
        return False

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
        """Host, paths, backend, and the total time limit where it is supported: `0s` turns it off."""
        exposure = exposure_of(endpoint)
        route = exposure.http_route
        if route is None:
            raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed by an HTTPRoute")
        rule: Manifest = {
            "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in exposure.path_prefixes],
            "backendRefs": [{"name": naming.child_name(endpoint), "port": SERVICE_PORT}],
        }
        if takes_request_timeout(endpoint, route, capabilities):
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


ROUTE: Route = GatewayApi()
