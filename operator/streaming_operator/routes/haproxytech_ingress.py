"""
HAProxy Technologies' ingress controller (not the community's haproxy-ingress): the same HAProxy, other annotations.

It joins what comes within some 200 ms, and cuts a silence after 50 s. The first is lifted by one line of HAProxy's own
configuration, for which there is no other annotation than that of snippets: a fixed text, as for haproxy-ingress.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress, unless_given
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "haproxy.org"
WITHOUT_DELAY = f"{PREFIX}/backend-config-snippet"
TIMEOUT_SERVER = f"{PREFIX}/timeout-server"
HARD_STOP_SECONDS = 1800
"""Default of `hard-stop-after`: how long streams go on after a reload."""
_IDLE = "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it"
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TIMED_BURSTS: (
        f"{WITHOUT_DELAY} of the Ingress has option http-no-delay already: "
        + ASK
        + "not to refuse it (--disable-config-snippets)"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
    Symptom.CUT: (
        "a reload of HAProxy cuts streams after hard-stop-after (30m): "
        + ASK
        + "to raise it in the ConfigMap of the controller"
    ),
}


class HAProxyTechIngress(Route):
    """HAProxy Technologies' ingress controller by an Ingress."""

    name = "haproxytech-ingress"
    profile = "haproxytech-ingress"
    title = "HAProxy Technologies' ingress controller"
    controllers: ClassVar = {
        # Its classes have the word of --ingress.class after a slash; `haproxy` is the chart's.
        "ingress": ("haproxy.org/ingress-controller", "haproxy.org/ingress-controller/haproxy")
    }
    speaks_tls = True
    proxies = ("", "HAProxy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The Ingress with annotations, all of which concern the backend of the endpoint's own Service."""
        idle = exposure_of(endpoint).timeouts.idle_seconds
        values = {WITHOUT_DELAY: "option http-no-delay", TIMEOUT_SERVER: f"{idle}s"}
        if endpoint.spec.engine.tls is not None:
            values[f"{PREFIX}/server-ssl"] = "true"
        return (portable_ingress(endpoint, unless_given(endpoint, values)),)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; a server timeout of the user's takes precedence."""
        return is_safe(annotation)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A drain of the endpoint that is longer than HAProxy lets streams go on after a reload."""
        drain = endpoint.spec.rollout.drain_seconds
        if drain <= HARD_STOP_SECONDS:
            return None
        return (
            f"streams may take {drain} s to drain, and HAProxy ends them {HARD_STOP_SECONDS} s after a reload unless "
            "its administrator raised hard-stop-after in its ConfigMap"
        )


ROUTE: Route = HAProxyTechIngress()
