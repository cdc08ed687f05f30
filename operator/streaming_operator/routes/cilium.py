"""
Cilium's Ingress and Gateway API: Envoy on every node; only a setting of its agents limits a silence.

`timeouts.request: 0s` and `request-timeout: 0s` are written, since versions before 1.20 had Envoy's 15 s (facts from
the source of 1.20.2).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress, unless_given
from streaming_operator.values import Capabilities, Edge, Manifest

REQUEST_TIMEOUT = "ingress.cilium.io/request-timeout"
IDLE_SECONDS = 300
"""Default of `envoy.streamIdleTimeoutDurationSeconds` in Cilium's chart."""
_SETTING = "envoy.streamIdleTimeoutDurationSeconds in the values of Cilium's chart"
_IDLE = ASK + f"to raise {_SETTING} (0 is no limit), or set engine.sseKeepAliveSeconds below it"
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TOTAL_CUT: (
        "set exposure.timeouts.requestSeconds to 0, which is no limit, or remove "
        + REQUEST_TIMEOUT
        + " from exposure.ingress.annotations"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
}


class Cilium(Route):
    """Cilium by an Ingress or by the Gateway API."""

    name = "cilium"
    profile = "cilium"
    title = "Cilium"
    controllers: ClassVar = {
        "ingress": ("cilium.io/ingress-controller",),
        "httpRoute": ("io.cilium/gateway-controller",),
    }
    takes_request_timeout = True
    proxies = ("", "Envoy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute or the Ingress, without a limit on the whole request unless the user sets one."""
        if exposure_of(endpoint).ingress is None:
            return (http_route(endpoint, capabilities),)
        return (portable_ingress(endpoint, unless_given(endpoint, {REQUEST_TIMEOUT: "0s"})),)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; a request timeout of the user's takes precedence."""
        return is_safe(annotation)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A silence that the endpoint allows and Cilium does not."""
        idle = exposure_of(endpoint).timeouts.idle_seconds
        if idle <= IDLE_SECONDS:
            return None
        return (
            f"exposure.timeouts.idleSeconds is {idle}, and Cilium cuts a silence after {IDLE_SECONDS} s unless its "
            f"administrator raised {_SETTING}: no field of a route can"
        )


ROUTE: Route = Cilium()
