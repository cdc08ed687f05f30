"""
Contour: its limit of 15 s for a whole request is taken away; its idle limit of 300 s only its administrator can lift.

By an HTTPRoute `timeouts.request: 0s` does it, by an Ingress `response-timeout: infinity`. No field of either reaches
the idle limit of Envoy's connection manager (measured with 1.33.8; only HTTPProxy has one).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of, remarks, repeats_answers
from streaming_operator.routes.gateway_api import http_route, whole_request_remark
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress
from streaming_operator.values import Capabilities, Edge, Manifest

RESPONSE_TIMEOUT = "projectcontour.io/response-timeout"
"""The whole response, and until its first byte."""
RETRY_ON = "projectcontour.io/retry-on"
"""After which failures a request is sent again; `5xx` does so with a POST that a pod has read."""
IDLE_SECONDS = 300
"""Default of `timeouts.stream-idle-timeout` in Contour's configuration file."""
DRAIN_SECONDS = 300
"""How long the pods of its Envoy wait for open streams: `terminationGracePeriodSeconds` in Contour's manifests."""
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
    Symptom.CUT: (
        f"the pods of Contour's Envoy end open streams {DRAIN_SECONDS} s after their termination began: "
        + ASK
        + "to raise their terminationGracePeriodSeconds above the longest stream"
    ),
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

    def retrying(self, annotations: Mapping[str, str]) -> str | None:
        """Contour's own annotation, which no user may set here, unless for reasons before a pod answers alone."""
        reasons = [reason.strip() for reason in annotations.get(RETRY_ON, "").split(",") if reason.strip()]
        return RETRY_ON if reasons and repeats_answers(reasons) else None

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """
        Its limit on a whole request where another Gateway keeps it; a silence that the endpoint allows and Contour does
        not; a drain longer than that of Contour's own pods.
        """
        idle, drain = exposure_of(endpoint).timeouts.idle_seconds, endpoint.spec.rollout.drain_seconds
        said = [whole_request_remark(endpoint, capabilities, self.title)]
        if idle > IDLE_SECONDS:
            said.append(
                f"exposure.timeouts.idleSeconds is {idle}, and Contour cuts a silence after {IDLE_SECONDS} s unless "
                "its administrator raised timeouts.stream-idle-timeout in its configuration file: no field of a route "
                "can"
            )
        if drain > DRAIN_SECONDS:
            said.append(
                f"streams may take {drain} s to drain, and when the pods of Contour's Envoy are replaced they end "
                f"after {DRAIN_SECONDS} s unless its administrator raised terminationGracePeriodSeconds of these pods"
            )
        return remarks(said)


ROUTE: Route = Contour()
