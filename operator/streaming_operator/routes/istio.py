"""
Istio's gateway: it passes events on, with no limit on a request or a silence; only a limit of the user's is written.

Mesh sidecars and VirtualServices of others are not looked at: the probe is the judge.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.values import Capabilities, Manifest

DRAIN_SECONDS = 5
"""Default of `terminationDrainDuration`: how long the gateway's pods wait for open streams."""
_DRAIN = (
    'the annotation proxy.istio.io/config: \'{{"terminationDrainDuration": "600s"}}\' in '
    "spec.infrastructure.annotations of the Gateway"
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TOTAL_CUT: "set exposure.timeouts.requestSeconds to 0, which is no limit",
    Symptom.CUT: (
        f"the gateway's pods end open streams {DRAIN_SECONDS} s after their termination began: "
        + ASK
        + "to set "
        + _DRAIN
    ),
    Symptom.NO_CONNECTION: (
        "a Gateway of Istio is Programmed although its Envoy may have refused the listener: see the pods of {edge} and "
        "`ACK ERROR` in the log of istiod, and whether a NetworkPolicy lets the operator reach them"
    ),
}


class Istio(Route):
    """Istio's gateway by the Gateway API."""

    name = "istio"
    profile = "istio"
    title = "Istio"
    controllers: ClassVar = {"httpRoute": ("istio.io/gateway-controller",)}
    takes_request_timeout = True
    proxies = ("", "Envoy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute with its total time limit: `0s` is none, as without the field."""
        return (http_route(endpoint, capabilities),)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A drain of the endpoint that is longer than that of the gateway's own pods."""
        drain = endpoint.spec.rollout.drain_seconds
        if drain <= DRAIN_SECONDS:
            return None
        return (
            f"streams may take {drain} s to drain, and when its own pods are replaced Istio's gateway ends them after "
            f"{DRAIN_SECONDS} s unless its administrator set terminationDrainDuration"
        )


ROUTE: Route = Istio()
