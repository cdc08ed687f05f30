"""
What stands behind a class, and where it listens: the administrator's list first, then the class itself. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import Cached, Source
from streaming_operator.settings import EdgeSetting
from streaming_operator.values import Capabilities, Edge

INGRESS_NGINX_CONTROLLER = "k8s.io/ingress-nginx"
"""`IngressClass.spec.controller` of ingress-nginx; one installed under another value is not recognised."""
REQUEST_TIMEOUT_FEATURE = "HTTPRouteRequestTimeout"


@dataclass(frozen=True, slots=True)
class EdgeAddresses:
    """Where the edge of one endpoint listens, as the operator reaches it."""

    addresses: tuple[str, ...]
    """IPs or host names, the best first; empty when nobody knows: resolve the user's host."""
    http_port: int = 80
    https_port: int = 443


def edge_from_setting(setting: EdgeSetting) -> Edge:
    """The edge that the administrator's setting describes."""
    return Edge(
        profile=setting.profile,
        service=setting.service,
        http_port=setting.http_port,
        https_port=setting.https_port,
        annotations_prefix=setting.annotations_prefix,
        allowed_annotations=setting.allowed_annotations,
    )


def capabilities(source: Source, settings: tuple[EdgeSetting, ...]) -> Capabilities:
    """Which optional kinds and which classes there are now."""
    classes = list(source.every(resources.GATEWAY_CLASSES))
    return Capabilities(
        service_monitors=source.has(resources.SERVICE_MONITORS),
        http_routes=source.has(resources.HTTP_ROUTES),
        ingress_classes=ingress_classes(source.every(resources.INGRESS_CLASSES), settings),
        gateway_classes=gateway_classes(classes, settings),
        gateways={
            "/".join(gateway.key): gateway.body["spec"]["gatewayClassName"]
            for gateway in source.every(resources.GATEWAYS)
        },
        request_timeout_classes=frozenset(
            stored.key[1] for stored in classes if REQUEST_TIMEOUT_FEATURE in stored.body["features"]
        ),
    )


def ingress_classes(classes: Iterable[Cached], settings: Iterable[EdgeSetting]) -> Mapping[str, Edge]:
    """Every IngressClass of the cluster with what stands behind it."""
    configured = {
        setting.class_name: edge_from_setting(setting) for setting in settings if setting.class_name
    }
    return {
        stored.key[1]: configured.get(stored.key[1])
        or Edge(
            profile="ingress-nginx"
            if stored.body["spec"]["controller"] == INGRESS_NGINX_CONTROLLER
            else "generic"
        )
        for stored in classes
    }


def gateway_classes(classes: Iterable[Cached], settings: Iterable[EdgeSetting]) -> Mapping[str, Edge]:
    """Every GatewayClass of the cluster with what stands behind it."""
    configured = {
        setting.gateway_class: edge_from_setting(setting) for setting in settings if setting.gateway_class
    }
    return {stored.key[1]: configured.get(stored.key[1]) or Edge(profile="generic") for stored in classes}
