"""
An Ingress of portable fields only, for edges without a profile: only the probe can tell whether it streams.

Routes of edges that are configured by annotations build on `portable_ingress`.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.routes.base import INGRESSES, Route, exposure_of, service_port
from streaming_operator.values import Capabilities, Edge, Manifest

SAFE: Mapping[str, frozenset[str]] = {
    "alb.ingress.kubernetes.io": frozenset(
        {
            "healthcheck-interval-seconds", "healthcheck-path", "healthcheck-port", "healthcheck-protocol",
            "healthcheck-timeout-seconds", "healthy-threshold-count", "success-codes", "target-type",
            "unhealthy-threshold-count",
        }
    ),
    "appgw.ingress.kubernetes.io": frozenset(
        {"connection-draining", "connection-draining-timeout", "request-timeout", "ssl-redirect"}
    ),
    "haproxy-ingress.github.io": frozenset(
        {
            "allowlist-source-range", "balance-algorithm", "cors-allow-credentials", "cors-allow-headers",
            "cors-allow-methods", "cors-allow-origin", "cors-enable", "cors-expose-headers", "cors-max-age",
            "denylist-source-range", "limit-connections", "limit-rps", "limit-whitelist", "maxconn-server",
            "maxqueue-server", "proxy-body-size", "ssl-redirect", "timeout-connect", "timeout-http-request",
            "timeout-keep-alive", "timeout-queue", "timeout-server", "timeout-server-fin", "timeout-tunnel",
            "whitelist-source-range",
        }
    ),
    "haproxy.org": frozenset(
        {
            "check", "check-interval", "cors-allow-credentials", "cors-allow-headers", "cors-allow-methods",
            "cors-allow-origin", "cors-enable", "cors-max-age", "load-balance", "pod-maxconn", "ssl-redirect",
            "timeout-check", "timeout-connect", "timeout-queue", "timeout-server", "timeout-tunnel",
        }
    ),
    "ingress.cilium.io": frozenset({"request-timeout"}),
    "konghq.com": frozenset({"request-buffering", "response-buffering"}),
    "nginx.ingress.kubernetes.io": frozenset(
        {
            "client-body-buffer-size", "cors-allow-credentials", "cors-allow-headers", "cors-allow-methods",
            "cors-allow-origin", "cors-expose-headers", "cors-max-age", "denylist-source-range", "enable-cors",
            "force-ssl-redirect", "limit-burst-multiplier", "limit-connections", "limit-rate", "limit-rate-after",
            "limit-rpm", "limit-rps", "limit-whitelist", "load-balance", "proxy-body-size", "proxy-buffer-size",
            "proxy-buffers-number", "proxy-busy-buffers-size", "proxy-max-temp-file-size", "proxy-request-buffering",
            "service-upstream", "ssl-redirect", "whitelist-source-range",
        }
    ),
    "nginx.org": frozenset(
        {
            "client-max-body-size", "proxy-buffer-size", "proxy-buffering", "proxy-buffers", "proxy-connect-timeout",
            "proxy-max-temp-file-size", "proxy-read-timeout", "proxy-send-timeout", "redirect-to-https",
        }
    ),
    "projectcontour.io": frozenset({"response-timeout"}),
    "traefik.ingress.kubernetes.io": frozenset({"router.tls"}),
}  # fmt: skip
"""
By prefix of a controller, the annotations that change nothing but the requests of their own Ingress: sizes, time
limits, limits of clients, health checks. Each controller reads its own prefix alone, so the list serves every edge.
"""


def is_safe(annotation: str) -> bool:
    """Whether an annotation is in `SAFE`, or has no prefix: such a one is private to its author by convention."""
    prefix, slash, name = annotation.rpartition("/")
    return not slash or name in SAFE.get(prefix, ())


def unless_given(endpoint: StreamingEndpoint, annotations: Mapping[str, str]) -> dict[str, str]:
    """Those that the user does not set on the route: theirs take precedence."""
    exposure = exposure_of(endpoint)
    exposed = exposure.ingress or exposure.http_route
    given = exposed.annotations if exposed is not None else {}
    return {key: value for key, value in annotations.items() if key not in given}


def portable_ingress(
    endpoint: StreamingEndpoint, annotations: dict[str, str], patterns: tuple[str, ...] = ()
) -> Manifest:
    """
    Class, hosts, paths and TLS; `annotations` take precedence over the user's, `patterns` over the prefixes where the
    controller reads them.
    """
    exposure = exposure_of(endpoint)
    ingress = exposure.ingress
    if ingress is None:
        raise ValueError(f"{endpoint.namespace}/{endpoint.name} is not exposed by an Ingress")
    backend = {
        "service": {"name": naming.child_name(endpoint), "port": {"number": service_port(endpoint).number}}
    }
    kind = "ImplementationSpecific" if patterns else "Prefix"
    paths = [
        {"path": path, "pathType": kind, "backend": backend} for path in patterns or exposure.path_prefixes
    ]
    metadata = naming.metadata(endpoint)
    merged = ingress.annotations | annotations
    if merged:
        metadata["annotations"] = merged
    spec: Manifest = {
        "ingressClassName": ingress.class_name,
        "rules": [{"host": host, "http": {"paths": paths}} for host in exposure.all_hosts],
    }
    if ingress.tls is not None:
        secret = {"secretName": ingress.tls.secret_name} if ingress.tls.secret_name is not None else {}
        spec["tls"] = [{"hosts": list(exposure.all_hosts), **secret}]
    return {"apiVersion": INGRESSES.api_version, "kind": INGRESSES.kind, "metadata": metadata, "spec": spec}


class GenericIngress(Route):
    """Any Ingress controller, without specific annotations."""

    name = "ingress-generic"
    profile = "generic"
    title = "the Ingress controller"
    controllers: ClassVar = {"ingress": ()}

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them."""
        return is_safe(annotation)

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """Portable fields and the user's annotations."""
        return (portable_ingress(endpoint, {}),)


ROUTE: Route = GenericIngress()
