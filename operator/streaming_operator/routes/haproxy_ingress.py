"""
haproxy-ingress (the community's, not HAProxy Technologies'): small writes without delay, a silence as long as asked.

By default HAProxy joins what comes within up to 300 ms, and cuts a silence after 50 s (measured with 0.16.1 and HAProxy
2.8). The first is lifted by one line of its own configuration, for which there is no other annotation: the one such
line that the operator writes, a fixed text.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "haproxy-ingress.github.io"
WITHOUT_DELAY = f"{PREFIX}/config-backend"
TIMEOUT_SERVER = f"{PREFIX}/timeout-server"
_IDLE = "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it"
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TIMED_BURSTS: (
        f"{WITHOUT_DELAY} of the Ingress has option http-no-delay already: "
        + ASK
        + "not to refuse it (--disable-config-keywords), or to set it in config-defaults of its ConfigMap"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
}


class HAProxyIngress(Route):
    """The community's HAProxy Ingress controller."""

    name = "haproxy-ingress"
    profile = "haproxy-ingress"
    title = "haproxy-ingress"
    controllers: ClassVar = {"ingress": ("haproxy-ingress.github.io/controller",)}
    proxies = ("", "HAProxy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The Ingress with annotations, all of which concern the backend of the endpoint's own Service."""
        exposure = exposure_of(endpoint)
        own = {WITHOUT_DELAY: "option http-no-delay"}
        if exposure.ingress is None or TIMEOUT_SERVER not in exposure.ingress.annotations:
            own[TIMEOUT_SERVER] = f"{exposure.timeouts.idle_seconds}s"
        return (portable_ingress(endpoint, own),)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; a server timeout of the user's takes precedence."""
        return is_safe(annotation)


ROUTE: Route = HAProxyIngress()
