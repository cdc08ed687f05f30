"""
Azure's Application Gateway for Containers: every response ends after 60 s unless a policy of its own says otherwise.

`0s` is no limit (https://learn.microsoft.com/azure/application-gateway/for-containers/server-sent-events). By the
Gateway API that is a RoutePolicy; by an Ingress an IngressExtension, which the Ingress names.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import Route, exposure_of, policy, remarks, route_target
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress
from streaming_operator.values import Capabilities, Edge, Manifest

API_VERSION = "alb.networking.azure.io/v1"
ROUTE_POLICIES = Kind(API_VERSION, "RoutePolicy", "routepolicies", optional=True)
INGRESS_EXTENSIONS = Kind(API_VERSION, "IngressExtension", "ingressextensions", optional=True)
EXTENSION = "alb.networking.azure.io/alb-ingress-extension"
"""Names the IngressExtension of an Ingress."""
CONTROLLER = "alb.networking.azure.io/alb-controller"
TOTAL_SECONDS = 60
"""Its limit for a whole response by default."""
SCALE_IN_SECONDS = 300
"""How long it lets streams go on when it takes an instance of itself away."""
_TOTAL = (
    "exposure.timeouts.requestSeconds 0 is no limit, and 60 s hold without RoutePolicy or IngressExtension: they are "
    "written where edgePolicies of the operator's chart names azure-agc"
)
REMEDIES: Mapping[Symptom, str] = {Symptom.TOTAL_CUT: _TOTAL, Symptom.GATEWAY_TIMEOUT: _TOTAL}


class AzureAgc(Route):
    """Azure's Application Gateway for Containers by an Ingress or by the Gateway API."""

    name = "azure-agc"
    profile = "azure-agc"
    title = "Azure Application Gateway for Containers"
    controllers: ClassVar = {"ingress": (CONTROLLER,), "httpRoute": (CONTROLLER,)}
    policies = (ROUTE_POLICIES, INGRESS_EXTENSIONS)
    proxies = ("", "Azure Application Gateway")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The route and the policy with its total time limit; an Ingress names a policy only where it is written."""
        exposure = exposure_of(endpoint)
        limit = f"{exposure.timeouts.request_seconds}s"
        if exposure.ingress is None:
            spec = {"targetRef": route_target(endpoint), "default": {"timeouts": {"routeTimeout": limit}}}
            return (http_route(endpoint, capabilities), policy(ROUTE_POLICIES, endpoint, spec))
        if INGRESS_EXTENSIONS not in capabilities.policies or EXTENSION in exposure.ingress.annotations:
            return (portable_ingress(endpoint, {}),)
        name = naming.child_name(endpoint)
        backend = {"service": name, "timeouts": {"requestTimeout": limit}}
        extension = policy(INGRESS_EXTENSIONS, endpoint, {"backendSettings": [backend]})
        return (portable_ingress(endpoint, {EXTENSION: name}), extension)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them."""
        return is_safe(annotation)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """The limit without a policy; a drain that is longer than that of its own instances."""
        drain, said = endpoint.spec.rollout.drain_seconds, []
        needed = ROUTE_POLICIES if exposure_of(endpoint).ingress is None else INGRESS_EXTENSIONS
        if needed not in capabilities.policies:
            said.append(
                f"Application Gateway for Containers ends every response after {TOTAL_SECONDS} s: the administrator "
                "can let the operator write its policies (edgePolicies of the chart: azure-agc)"
            )
        if drain > SCALE_IN_SECONDS:
            said.append(
                f"streams may take {drain} s to drain, and Application Gateway for Containers drops those "
                f"that are open {SCALE_IN_SECONDS} s after it scaled in, which nobody can set"
            )
        return remarks(said)


ROUTE: Route = AzureAgc()
