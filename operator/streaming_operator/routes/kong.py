"""
Kong: nginx, which buffers responses and cuts a silence after 60 s.

The first is an annotation of the route, the second one of the endpoint's Service, in milliseconds
(https://developer.konghq.com/kubernetes-ingress-controller/reference/annotations/).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import Route, exposure_of
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress, unless_given
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "konghq.com"
RESPONSE_BUFFERING = f"{PREFIX}/response-buffering"
_BUFFERED = (
    f"{RESPONSE_BUFFERING} is false unless the annotations of the exposure set it: remove it there; else look for a "
    "plugin that reads whole responses (kubectl get kongplugins,kongclusterplugins -A)"
)
_IDLE = (
    "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it; "
    f"{PREFIX}/read-timeout on the Service (service.annotations) takes precedence over ours"
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.BLOCK: _BUFFERED,
    Symptom.SIZED_BURSTS: _BUFFERED,
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
}


class Kong(Route):
    """Kong's ingress controller by an Ingress or by the Gateway API."""

    name = "kong"
    profile = "kong"
    title = "Kong"
    controllers: ClassVar = {
        "ingress": ("ingress-controllers.konghq.com/kong",),
        "httpRoute": ("konghq.com/kic-gateway-controller", "konghq.com/gateway-operator"),
    }
    on_service = frozenset(
        f"{PREFIX}/{name}" for name in ("read-timeout", "write-timeout", "connect-timeout", "protocol")
    )
    speaks_tls = True
    proxies = ("", "nginx", "Kong")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute or the Ingress, whose responses are not buffered."""
        own = unless_given(endpoint, {RESPONSE_BUFFERING: "false"})
        if exposure_of(endpoint).ingress is None:
            return (http_route(endpoint, capabilities, own),)
        return (portable_ingress(endpoint, own),)

    def service_annotations(
        self, endpoint: StreamingEndpoint, capabilities: Capabilities
    ) -> Mapping[str, str]:
        """Time limits towards the pods; they have no other place."""
        timeouts = exposure_of(endpoint).timeouts
        idle = str(timeouts.idle_seconds * 1000)
        values = {
            f"{PREFIX}/read-timeout": idle,
            f"{PREFIX}/write-timeout": idle,
            f"{PREFIX}/connect-timeout": str(timeouts.connect_seconds * 1000),
        }
        return values if endpoint.spec.engine.tls is None else {**values, f"{PREFIX}/protocol": "https"}

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; what a user says of buffering takes precedence."""
        return is_safe(annotation)


ROUTE: Route = Kong()
