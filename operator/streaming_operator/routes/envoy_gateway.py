"""
Envoy Gateway: the limit of 15 s for a whole request is taken away, and a silence may last as long as the endpoint says.

Without settings Envoy ends every request after 15 s, stream or not. `timeouts.request: 0s` in the HTTPRoute turns that
off, and with it the limit on a silence; a BackendTrafficPolicy sets one again, so that a dead stream ends some time. A
retry stanza is never written: with one Envoy sent a POST three times (measured with 1.9.1 and Envoy 1.40).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import (
    ASK,
    RetryRule,
    Route,
    exposure_of,
    policy,
    remarks,
    repeats_answers,
    route_target,
)
from streaming_operator.routes.gateway_api import http_route, whole_request_remark
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
        + "whose timeout.http.maxStreamDuration ends every stream"
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


def _retries(spec: Manifest) -> bool:
    """
    Whether a BackendTrafficPolicy has requests sent again: any retry stanza does, twice without a number, unless it
    names reasons before a pod answers alone.
    """
    retry = spec.get("retry")
    if retry is None or retry.get("numRetries") == 0:
        return False
    on = retry.get("retryOn") or {}
    return bool(on.get("httpStatusCodes")) or repeats_answers(on.get("triggers") or ())


class EnvoyGateway(Route):
    """Envoy Gateway by the Gateway API."""

    name = "envoy-gateway"
    profile = "envoy-gateway"
    title = "Envoy Gateway"
    controllers: ClassVar = {"httpRoute": ("gateway.envoyproxy.io/gatewayclass-controller",)}
    policies = (BACKEND_TRAFFIC_POLICIES,)
    retry_rules: ClassVar = {BACKEND_TRAFFIC_POLICIES: RetryRule(_retries)}
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
        """Its limit on a whole request where nothing lifts it; a drain that is longer than that of Envoy's own pods."""
        drain, said = endpoint.spec.rollout.drain_seconds, []
        if BACKEND_TRAFFIC_POLICIES not in capabilities.policies:
            said.append(whole_request_remark(endpoint, capabilities, self.title))
        if drain > DRAIN_SECONDS:
            said.append(
                f"streams may take {drain} s to drain, and when its own pods are replaced Envoy Gateway ends them "
                f"after {DRAIN_SECONDS} s unless its administrator raised spec.shutdown.drainTimeout in the EnvoyProxy"
            )
        return remarks(said)


def _policy(endpoint: StreamingEndpoint) -> Manifest:
    """The BackendTrafficPolicy of the endpoint's HTTPRoute."""
    timeouts = exposure_of(endpoint).timeouts
    return policy(
        BACKEND_TRAFFIC_POLICIES,
        endpoint,
        {
            "targetRefs": [route_target(endpoint)],
            "timeout": {
                "tcp": {"connectTimeout": f"{timeouts.connect_seconds}s"},
                "http": {
                    "requestTimeout": f"{timeouts.request_seconds}s",
                    "streamIdleTimeout": f"{timeouts.idle_seconds}s",
                },
            },
        },
    )


ROUTE: Route = EnvoyGateway()
