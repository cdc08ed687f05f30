"""
What stands behind a class, and where it listens: the administrator's list first, then the class itself. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import Cached, Source
from streaming_operator.settings import EdgeSetting
from streaming_operator.values import Capabilities, Edge, Listener

INGRESS_NGINX_CONTROLLER = "k8s.io/ingress-nginx"
"""`IngressClass.spec.controller` of ingress-nginx; one installed under another value is not recognised."""
TRAEFIK_CONTROLLER = "traefik.io/gateway-controller"
"""
`GatewayClass.spec.controllerName` of Traefik: a listener must have the port of an entry point, 8000 and 8443 in its
chart, in front of which its Service has 80 and 443
(https://doc.traefik.io/traefik/reference/install-configuration/providers/kubernetes/kubernetes-gateway/).
"""
REQUEST_TIMEOUT_FEATURE = "HTTPRouteRequestTimeout"


@dataclass(frozen=True, slots=True)
class EdgeAddresses:
    """Where the edge of one endpoint listens, as the operator reaches it."""

    addresses: tuple[str, ...]
    """IPs or host names, the best first; empty when nobody knows: resolve the user's host."""
    http_port: int | None = None
    """None: the port that users call."""
    https_port: int | None = None


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
        listeners={"/".join(gateway.key): listeners(gateway) for gateway in source.every(resources.GATEWAYS)},
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
    return {
        stored.key[1]: replace(
            configured.get(stored.key[1]) or Edge(profile="generic"),
            ports_of_pods=stored.body["spec"]["controllerName"] == TRAEFIK_CONTROLLER,
        )
        for stored in classes
    }


def listeners(gateway: Cached) -> tuple[Listener, ...]:
    """The listeners of a Gateway to which an HTTPRoute can attach."""
    return tuple(
        Listener(
            name=listener["name"],
            port=listener["port"],
            tls=listener["protocol"] in ("HTTPS", "TLS"),
            hostname=listener["hostname"],
            same_namespace=listener["from"] == "Same",
        )
        for listener in gateway.body["listeners"]
        if listener["protocol"] == "HTTP"
        or (listener["protocol"] in ("HTTPS", "TLS") and listener["mode"] == "Terminate")
        if listener["from"] != "None" and (not listener["kinds"] or "HTTPRoute" in listener["kinds"])
    )
