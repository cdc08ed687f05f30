"""
Traefik by the Gateway API: nothing has to be set for a stream, and `timeouts.request` would be ignored without a word.
"""

from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.routes.base import Route
from streaming_operator.routes.gateway_api import http_route
from streaming_operator.values import Capabilities, Manifest


class Traefik(Route):
    """
    Traefik's provider of the Gateway API.

    A listener has the port of an entry point, 8000 and 8443 in its chart, in front of which its Service has 80 and 443
    (https://doc.traefik.io/traefik/reference/install-configuration/providers/kubernetes/kubernetes-gateway/).
    """

    name = "traefik"
    profile = "traefik"
    title = "Traefik"
    controllers: ClassVar = {"httpRoute": ("traefik.io/gateway-controller",)}
    ports_of_pods = True
    ignores_request_timeout = True

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The HTTPRoute; with a total time limit should a later version list it, or another of its Gateways take it."""
        return (http_route(endpoint, capabilities),)


ROUTE: Route = Traefik()
