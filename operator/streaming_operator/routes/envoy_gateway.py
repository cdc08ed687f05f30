"""
Envoy Gateway: the limit of 15 s for a whole request is taken away, and a silence may last as long as the endpoint says.

Without settings Envoy ends every request after 15 s, stream or not. `timeouts.request: 0s` in the HTTPRoute turns that
off, and with it the limit on a silence; a BackendTrafficPolicy sets one again, so that a dead stream ends some time. A
retry stanza is never written: with one Envoy sent a POST three times (measured with 1.9.1 and Envoy 1.40).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import ASK, HTTP_ROUTES, Route, exposure_of
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.values import Capabilities, GatewayServices, Manifest

BACKEND_TRAFFIC_POLICIES = Kind(
    "gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "backendtrafficpolicies", optional=True
)
DRAIN_SECONDS = 60
"""How long Envoy's pods wait for open streams by default: EnvoyProxy `spec.shutdown.drainTimeout`."""
_FOREIGN = (
    "look for a BackendTrafficPolicy of somebody else on {edge} or this HTTPRoute (kubectl get backendtrafficpolicies "
    "-A) "
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TOTAL_CUT: (
        "timeouts.request of the HTTPRoute is exposure.timeouts.requestSeconds, where 0 is no limit: set that, or "
        + _FOREIGN
        + "whose timeout.http.requestTimeout overrides it"
    ),
    Symptom.IDLE_CUT: (
        "raise exposure.timeouts.idleSeconds, which the operator writes where edgePolicies of its chart names "
        "envoy-gateway; else " + _FOREIGN + "whose timeout.http.streamIdleTimeout is shorter"
    ),
    Symptom.GATEWAY_TIMEOUT: (
        "for `upstream request timeout` see exposure.timeouts.requestSeconds, for `stream timeout` raise "
        "exposure.timeouts.idleSeconds or set engine.sseKeepAliveSeconds below it; else "
        + _FOREIGN
        + "that limits the request"
    ),
    Symptom.CUT: (
        f"Envoy's pods end open streams {DRAIN_SECONDS} s after their termination began: "
        + ASK
        + "to raise spec.shutdown.drainTimeout in its EnvoyProxy above the longest stream"
    ),
}


class EnvoyGateway(Route):
    """Envoy Gateway by the Gateway API."""

    name = "envoy-gateway"
    profile = "envoy-gateway"
    title = "Envoy Gateway"
    controllers: ClassVar = {"httpRoute": ("gateway.envoyproxy.io/gatewayclass-controller",)}
    policies = (BACKEND_TRAFFIC_POLICIES,)
    gateway_services = GatewayServices(
        {
            "gateway.envoyproxy.io/owning-gateway-name": "{name}",
            "gateway.envoyproxy.io/owning-gateway-namespace": "{namespace}",
        },
        namespace="envoy-gateway-system",
    )
    takes_request_timeout = True
    proxies = ("", "Envoy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute with its total time limit, and the policy with the limit on a silence."""
        return (http_route(endpoint, capabilities), _policy(endpoint))

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A drain of the endpoint that is longer than that of Envoy's own pods."""
        drain = endpoint.spec.rollout.drain_seconds
        if drain <= DRAIN_SECONDS:
            return None
        return (
            f"streams may take {drain} s to drain, and when its own pods are replaced Envoy Gateway ends them after "
            f"{DRAIN_SECONDS} s unless its administrator raised spec.shutdown.drainTimeout in the EnvoyProxy"
        )


def _policy(endpoint: StreamingEndpoint) -> Manifest:
    """The BackendTrafficPolicy of the endpoint's HTTPRoute."""
    timeouts = exposure_of(endpoint).timeouts
    return {
        "apiVersion": BACKEND_TRAFFIC_POLICIES.api_version,
        "kind": BACKEND_TRAFFIC_POLICIES.kind,
        "metadata": naming.metadata(endpoint),
        "spec": {
            "targetRefs": [
                {
                    "group": HTTP_ROUTES.api_version.partition("/")[0],
                    "kind": HTTP_ROUTES.kind,
                    "name": naming.child_name(endpoint),
                }
            ],
            "timeout": {
                "tcp": {"connectTimeout": f"{timeouts.connect_seconds}s"},
                "http": {
                    "requestTimeout": f"{timeouts.request_seconds}s",
                    "streamIdleTimeout": f"{timeouts.idle_seconds}s",
                },
            },
        },
    }


ROUTE: Route = EnvoyGateway()
