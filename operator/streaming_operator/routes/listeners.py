"""
Which listener of a Gateway serves an endpoint's host: by section, hostname and allowed namespaces, as the Gateway API
attaches routes (https://gateway-api.sigs.k8s.io/reference/spec/#listener). Pure.
"""

from streaming_operator.api.endpoint import ParentRef, StreamingEndpoint
from streaming_operator.values import Capabilities, Listener


def gateway_of(endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
    """`namespace/name` of the first Gateway of the HTTPRoute that exists; None when there is none."""
    return next(iter(gateways_of(endpoint, capabilities)), None)


def gateways_of(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[str, ...]:
    """`namespace/name` of every Gateway of the HTTPRoute that exists, in the order of the spec."""
    return tuple(name for name, _ in _parents(endpoint) if name in capabilities.gateways)


def listener_of(endpoint: StreamingEndpoint, capabilities: Capabilities, host: str) -> Listener | None:
    """
    The listener of that Gateway that users' requests for *host* reach; None when none takes the route.

    A route without a section attaches to every listener that matches; requests then go to the one of the most specific
    hostname, and of two with the same hostname users are given the one with TLS.
    """
    gateway = gateway_of(endpoint, capabilities)
    if gateway is None:
        return None
    refs = [ref for name, ref in _parents(endpoint) if name == gateway]
    same_namespace = gateway.partition("/")[0] == endpoint.namespace
    attached = [
        listener
        for listener in capabilities.listeners.get(gateway, ())
        if any(
            ref.section_name in (None, listener.name) and ref.port in (None, listener.port) for ref in refs
        )
        and (same_namespace or not listener.same_namespace)
        and _matches(listener.hostname, host)
    ]
    return max(attached, key=lambda listener: (_specificity(listener.hostname), listener.tls), default=None)


def _parents(endpoint: StreamingEndpoint) -> tuple[tuple[str, ParentRef], ...]:
    """`namespace/name` of every Gateway that the HTTPRoute names, with the reference, in the order of the spec."""
    exposure = endpoint.spec.exposure
    refs = exposure.http_route.parent_refs if exposure is not None and exposure.http_route is not None else ()
    return tuple((f"{ref.namespace or endpoint.namespace}/{ref.name}", ref) for ref in refs)


def _matches(pattern: str, host: str) -> bool:
    """Whether a listener's hostname covers a host; `*.` stands for one label or more."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern in ("", host)


def _specificity(pattern: str) -> tuple[bool, int]:
    """Sorts names above wildcards, longer ones above shorter ones, and those above a listener for every host."""
    return (bool(pattern) and not pattern.startswith("*."), len(pattern))
