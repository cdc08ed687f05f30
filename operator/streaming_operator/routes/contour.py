"""
Contour: its limit of 15 s for a whole request is taken away; its idle limit of 300 s only its administrator can lift.

By an HTTPRoute `timeouts.request: 0s` does it, by an Ingress `response-timeout: infinity`. No field of either reaches
the idle limit of Envoy's connection manager (measured with 1.33.8; only HTTPProxy has one).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress
from streaming_operator.values import Capabilities, Edge, Manifest

RESPONSE_TIMEOUT = "projectcontour.io/response-timeout"
"""The whole response, and until its first byte."""
IDLE_SECONDS = 300
"""Default of `timeouts.stream-idle-timeout` in Contour's configuration file."""
_IDLE = (
    ASK
    + "to set timeouts.stream-idle-timeout in Contour's configuration file to infinity, or set "
    + "engine.sseKeepAliveSeconds below it"
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TOTAL_CUT: (
        "set exposure.timeouts.requestSeconds to 0, which is no limit, or remove "
        + RESPONSE_TIMEOUT
        + " from "
        "exposure.ingress.annotations"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
}


class Contour(Route):
    """Contour by an Ingress or by the Gateway API."""

    name = "contour"
    profile = "contour"
    title = "Contour"
    controllers: ClassVar = {
        "ingress": ("projectcontour.io/ingress-controller",),
        "httpRoute": ("projectcontour.io/gateway-controller",),
    }
    takes_request_timeout = True
    proxies = ("", "Envoy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute or the Ingress, without a limit on the whole request unless the user sets one."""
        ingress = exposure_of(endpoint).ingress
        if ingress is None:
            return (http_route(endpoint, capabilities),)
        own = {} if RESPONSE_TIMEOUT in ingress.annotations else {RESPONSE_TIMEOUT: "infinity"}
        return (portable_ingress(endpoint, own),)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; a response timeout of the user's takes precedence."""
        return is_safe(annotation)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A silence that the endpoint allows and Contour does not."""
        idle = exposure_of(endpoint).timeouts.idle_seconds
        if idle <= IDLE_SECONDS:
            return None
        return (
            f"exposure.timeouts.idleSeconds is {idle}, and Contour cuts a silence after {IDLE_SECONDS} s unless its "
            "administrator raised timeouts.stream-idle-timeout in its configuration file: no field of a route can"
        )


ROUTE: Route = Contour()
