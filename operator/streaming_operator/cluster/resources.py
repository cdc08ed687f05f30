"""The kinds that the operator reads or writes; a table, nothing else. The kinds of children come from the renderer."""

from streaming_operator import render
from streaming_operator.kinds import Kind
from streaming_operator.render.alerts import PROMETHEUS_RULES
from streaming_operator.render.backend_tls import BACKEND_TLS_POLICIES
from streaming_operator.render.config import CONFIG_MAPS
from streaming_operator.render.deployment import DEPLOYMENTS
from streaming_operator.render.disruption import BUDGETS
from streaming_operator.render.monitoring import SERVICE_MONITORS
from streaming_operator.render.service import SERVICES
from streaming_operator.routes.base import HTTP_ROUTES, INGRESSES

__all__ = [
    "BACKEND_TLS_POLICIES",
    "BUDGETS",
    "BY_NAME",
    "CHILDREN",
    "CONFIG_MAPS",
    "DEPLOYMENTS",
    "ENDPOINTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "GATEWAYS",
    "GATEWAY_CLASSES",
    "HTTP_ROUTES",
    "INGRESSES",
    "INGRESS_CLASSES",
    "PODS",
    "POLICIES",
    "PROMETHEUS_RULES",
    "REPLICA_SETS",
    "ROUTES",
    "SECRETS",
    "SERVICES",
    "SERVICE_MONITORS",
]

ENDPOINTS = Kind("streamingendpoints.dev/v1alpha1", "StreamingEndpoint", "streamingendpoints")

CHILDREN = render.CHILD_KINDS
ROUTES = render.route_kinds()
"""Children that serve a host."""
POLICIES = render.policy_kinds()
"""Children that edges have of their own; followed and written where the administrator names the edge."""
BY_NAME = {(kind.api_version, kind.kind): kind for kind in CHILDREN}

PODS = Kind("v1", "Pod", "pods")
ENDPOINT_SLICES = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
REPLICA_SETS = Kind("apps/v1", "ReplicaSet", "replicasets")
INGRESS_CLASSES = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
GATEWAY_CLASSES = Kind(
    "gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False, optional=True
)
GATEWAYS = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways", optional=True)

SECRETS = Kind("v1", "Secret", "secrets")
EVENTS = Kind("events.k8s.io/v1", "Event", "events")
