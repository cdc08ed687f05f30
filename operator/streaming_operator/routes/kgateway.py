"""
kgateway: Envoy; the HTTPRoute takes its limit of 15 s for a whole request away, a TrafficPolicy that on a silence.

Without the policy Envoy's own 300 s of silence hold. A retry is never written.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import (
    RetryRule,
    Route,
    exposure_of,
    policy,
    remarks,
    repeats_answers,
    route_target,
)
from streaming_operator.routes.gateway_api import http_route, whole_request_remark
from streaming_operator.values import Capabilities, Manifest

TRAFFIC_POLICIES = Kind("gateway.kgateway.dev/v1alpha1", "TrafficPolicy", "trafficpolicies", optional=True)
IDLE_SECONDS = 300
"""Envoy's own `stream_idle_timeout`."""
_IDLE = (
    "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it; timeouts.streamIdle of the "
    "TrafficPolicy is written where edgePolicies of the operator's chart names kgateway"
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TOTAL_CUT: (
        "timeouts.request of the HTTPRoute is exposure.timeouts.requestSeconds, where 0 is no limit: set that, or look "
        "for a TrafficPolicy of somebody else on {edge} or this HTTPRoute whose timeouts.request is shorter"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
}


def _retries(spec: Manifest) -> bool:
    """Whether a TrafficPolicy has requests sent again, unless for reasons before a pod answers alone."""
    retry = spec.get("retry")
    if retry is None or retry.get("attempts") == 0:
        return False
    return bool(retry.get("statusCodes")) or repeats_answers(retry.get("retryOn") or ())


class Kgateway(Route):
    """kgateway with Envoy, by the Gateway API."""

    name = "kgateway"
    profile = "kgateway"
    title = "kgateway"
    controllers: ClassVar = {"httpRoute": ("kgateway.dev/kgateway",)}
    policies = (TRAFFIC_POLICIES,)
    # Policies are merged by their top-level fields (https://kgateway.dev/docs/about/policies/merging).
    retry_rules: ClassVar = {TRAFFIC_POLICIES: RetryRule(_retries, merged=True)}
    takes_request_timeout = True
    proxies = ("", "Envoy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute with its total time limit, and the policy with the limit on a silence."""
        timeouts = exposure_of(endpoint).timeouts
        limits = {"request": f"{timeouts.request_seconds}s", "streamIdle": f"{timeouts.idle_seconds}s"}
        spec = {"targetRefs": [route_target(endpoint)], "timeouts": limits}
        return (http_route(endpoint, capabilities), policy(TRAFFIC_POLICIES, endpoint, spec))

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """Without the policy: a limit on a whole request that nothing lifts, a silence that Envoy does not allow."""
        idle = exposure_of(endpoint).timeouts.idle_seconds
        if set(self.policies) <= capabilities.policies:
            return None
        said = [whole_request_remark(endpoint, capabilities, self.title)]
        if idle > IDLE_SECONDS:
            said.append(
                f"exposure.timeouts.idleSeconds is {idle}, and kgateway's Envoy cuts a silence after {IDLE_SECONDS} s, "
                "which no field of an HTTPRoute changes: the administrator can let the operator write its "
                "TrafficPolicy (edgePolicies of the chart: kgateway)"
            )
        return remarks(said)


ROUTE: Route = Kgateway()
