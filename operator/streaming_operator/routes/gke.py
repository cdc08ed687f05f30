"""
Gateways of Google Kubernetes Engine: Google's load balancers, which end every response after 30 s, stream or not.

They also ask `/` whether a pod is healthy, which a model server answers with 404. Both are settings of the Service in
policies of GKE's own (https://cloud.google.com/kubernetes-engine/docs/how-to/configure-gateway-resources). Its Ingress
is not served: it reads an annotation instead of `ingressClassName`, and the API server takes no Ingress with both.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import HEALTH_PATH, Route, exposure_of, policy, service_target
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.values import Capabilities, Manifest

API_VERSION = "networking.gke.io/v1"
BACKEND_POLICIES = Kind(API_VERSION, "GCPBackendPolicy", "gcpbackendpolicies", optional=True)
HEALTH_CHECK_POLICIES = Kind(API_VERSION, "HealthCheckPolicy", "healthcheckpolicies", optional=True)
TOTAL_SECONDS = 30
"""Default of the backend service's `timeoutSec`: the whole response."""
LONGEST_SECONDS = 86_400
"""Written where the endpoint sets no limit: there is none to be had, and a day is what `requestSeconds` may be."""
LONGEST_DRAIN_SECONDS = 3600
"""Largest `drainingTimeoutSec`."""
_SWITCH = "written where edgePolicies of the operator's chart names gke"
_BY_GATEWAY = (
    "GKE's Ingress has no IngressClass and reads the annotation kubernetes.io/ingress.class, and its load balancer "
    "ends every response after 30 s: expose the endpoint by spec.exposure.httpRoute with a Gateway of class {gateway}, "
    "for which the operator writes what a stream needs (edgePolicies of its chart: gke)"
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TOTAL_CUT: (
        "timeoutSec of the GCPBackendPolicy is exposure.timeouts.requestSeconds, or a day for 0, and 30 s without it: "
        "it is " + _SWITCH
    ),
    Symptom.UNAVAILABLE: (
        f"Google's load balancer asks / whether a pod is healthy unless a HealthCheckPolicy says {HEALTH_PATH}: it is "
        + _SWITCH
    ),
}


class Gke(Route):
    """Google Kubernetes Engine by the Gateway API."""

    name = "gke"
    profile = "gke"
    title = "GKE Gateway"
    controllers: ClassVar = {"httpRoute": ("networking.gke.io/gateway",)}
    policies = (BACKEND_POLICIES, HEALTH_CHECK_POLICIES)
    classes_without_object: ClassVar = {
        "gce": _BY_GATEWAY.format(gateway="gke-l7-global-external-managed"),
        "gce-internal": _BY_GATEWAY.format(gateway="gke-l7-rilb"),
    }
    proxies = ("", "Google load balancer")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute, the limit on a response, and what the load balancer asks for a pod's health."""
        target = service_target(endpoint)
        limits = {
            "timeoutSec": exposure_of(endpoint).timeouts.request_seconds or LONGEST_SECONDS,
            "connectionDraining": {
                "drainingTimeoutSec": min(endpoint.spec.rollout.drain_seconds, LONGEST_DRAIN_SECONDS)
            },
        }
        with_tls = endpoint.spec.engine.tls is not None
        protocol, check = ("HTTPS", "httpsHealthCheck") if with_tls else ("HTTP", "httpHealthCheck")
        health = {"config": {"type": protocol, check: {"requestPath": HEALTH_PATH}}}
        return (
            http_route(endpoint, capabilities),
            policy(BACKEND_POLICIES, endpoint, {"targetRef": target, "default": limits}),
            policy(HEALTH_CHECK_POLICIES, endpoint, {"targetRef": target, "default": health}),
        )

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """What the load balancer does without the policies."""
        if set(self.policies) <= capabilities.policies:
            return None
        return (
            f"Google's load balancer ends every response after {TOTAL_SECONDS} s, and takes a pod that answers / with "
            "404 for unhealthy, which no field of an HTTPRoute changes: the administrator can let the operator write "
            "its policies (edgePolicies of the chart: gke)"
        )


ROUTE: Route = Gke()
