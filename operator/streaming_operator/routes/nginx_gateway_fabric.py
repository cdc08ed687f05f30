"""
NGINX Gateway Fabric: a silence may last as long as asked, large prompts pass, and responses are not buffered.

An HTTPRoute has no field for any of it, and its `timeouts` are ignored: two policies on the HTTPRoute set it, of 2.6 or
newer (https://docs.nginx.com/nginx-gateway-fabric/). The same directives are nginx' own, as in ingress-nginx.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import Route, exposure_of, policy, route_target
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.routes.ingress_nginx import BODY_SIZE
from streaming_operator.values import Capabilities, Manifest

API_VERSION = "gateway.nginx.org/v1alpha1"
PROXY_SETTINGS_POLICIES = Kind(API_VERSION, "ProxySettingsPolicy", "proxysettingspolicies", optional=True)
CLIENT_SETTINGS_POLICIES = Kind(API_VERSION, "ClientSettingsPolicy", "clientsettingspolicies", optional=True)
READ_SECONDS = 60
"""nginx' own `proxy_read_timeout`."""
_SWITCH = (
    "the operator's policies must be on: edgePolicies of its chart names nginx-gateway-fabric, and none of them is "
    "told as not followed in Exposed"
)
_IDLE = (
    "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it; where ProxySettingsPolicy is not "
    "written, " + _SWITCH
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.SIZED_BURSTS: "buffering.disable of the ProxySettingsPolicy takes the buffers away: " + _SWITCH,
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
    Symptom.TOO_BIG: f"body.maxSize of the ClientSettingsPolicy lets {BODY_SIZE} pass, and 1m without it: "
    + _SWITCH,
}


def _time(seconds: int) -> str:
    """At most four digits and a unit, as the policy's pattern has it: above 9999 s in whole minutes, rounded up."""
    return f"{seconds}s" if seconds <= 9999 else f"{-(-seconds // 60)}m"


class NginxGatewayFabric(Route):
    """NGINX Gateway Fabric by the Gateway API."""

    name = "nginx-gateway-fabric"
    profile = "nginx-gateway-fabric"
    title = "NGINX Gateway Fabric"
    controllers: ClassVar = {"httpRoute": ("gateway.nginx.org/nginx-gateway-controller",)}
    policies = (PROXY_SETTINGS_POLICIES, CLIENT_SETTINGS_POLICIES)
    proxies = ("", "nginx")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute, the policy towards the pods, and the one towards the clients."""
        timeouts, target = exposure_of(endpoint).timeouts, route_target(endpoint)
        towards_pods = {
            "targetRefs": [target],
            "buffering": {"disable": True},
            "timeout": {
                "connect": _time(timeouts.connect_seconds),
                "read": _time(timeouts.idle_seconds),
                "send": _time(timeouts.idle_seconds),
            },
        }
        towards_clients = {"targetRef": target, "body": {"maxSize": BODY_SIZE}}
        return (
            http_route(endpoint, capabilities),
            policy(PROXY_SETTINGS_POLICIES, endpoint, towards_pods),
            policy(CLIENT_SETTINGS_POLICIES, endpoint, towards_clients),
        )

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """Silence and size that nginx does not let pass without the policies."""
        if set(self.policies) <= capabilities.policies:
            return None
        return (
            f"NGINX Gateway Fabric cuts a silence after {READ_SECONDS} s and refuses requests above 1 MiB, which no "
            "field of an HTTPRoute changes: the administrator can let the operator write its policies (edgePolicies of "
            "the chart: nginx-gateway-fabric)"
        )


ROUTE: Route = NginxGatewayFabric()
