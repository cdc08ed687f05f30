"""
The kinds that the cluster side reads or writes, and their addresses in the API; a table, nothing else.

What is written is decided in `render`; a test holds both together.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group_path(self) -> str:
        """`/api/v1` or `/apis/<group>/<version>`."""
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Address of a collection, object or subresource; without a namespace, of the whole cluster."""
        parts = [self.group_path]
        if self.namespaced and namespace is not None:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts.extend(part for part in (name, subresource) if part is not None)
        return "/".join(parts)


ENDPOINTS = Kind("streamingendpoints.dev/v1alpha1", "StreamingEndpoint", "streamingendpoints")

CONFIG_MAPS = Kind("v1", "ConfigMap", "configmaps")
SERVICES = Kind("v1", "Service", "services")
DEPLOYMENTS = Kind("apps/v1", "Deployment", "deployments")
BUDGETS = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
INGRESSES = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
HTTP_ROUTES = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
SERVICE_MONITORS = Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors")

CHILDREN = (CONFIG_MAPS, SERVICES, DEPLOYMENTS, BUDGETS, INGRESSES, HTTP_ROUTES, SERVICE_MONITORS)
BY_NAME = {(kind.api_version, kind.kind): kind for kind in CHILDREN}
OPTIONAL = (HTTP_ROUTES, SERVICE_MONITORS)
"""Children whose kind a cluster may lack."""

PODS = Kind("v1", "Pod", "pods")
ENDPOINT_SLICES = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
REPLICA_SETS = Kind("apps/v1", "ReplicaSet", "replicasets")
INGRESS_CLASSES = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
GATEWAY_CLASSES = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
GATEWAYS = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")

SECRETS = Kind("v1", "Secret", "secrets")
EVENTS = Kind("events.k8s.io/v1", "Event", "events")
