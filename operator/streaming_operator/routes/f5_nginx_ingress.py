"""
F5's NGINX Ingress Controller: responses are not buffered, and a silence may last as long as asked.

Not ingress-nginx, and its annotations differ: times have a unit, switches are true and false. What it cannot read
makes it refuse the whole Ingress (its validation.go of 5.6).
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress, unless_given
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "nginx.org"
_IDLE = "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it"
REMEDIES: Mapping[Symptom, str] = {
    Symptom.SIZED_BURSTS: (
        f"{PREFIX}/proxy-buffering is false unless exposure.ingress.annotations set it: remove it there; else look for "
        "a second proxy in front of {edge}"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
    Symptom.CUT: (
        "nginx ends streams after a reload only where worker-shutdown-timeout is set: "
        + ASK
        + "to raise it in the ConfigMap of the controller above the longest stream"
    ),
    Symptom.TOO_BIG: (
        f"set the annotation {PREFIX}/client-max-body-size in exposure.ingress.annotations to the largest request"
    ),
}


class F5NginxIngress(Route):
    """F5's NGINX Ingress Controller by an Ingress; its VirtualServer is not written."""

    name = "f5-nginx-ingress"
    profile = "f5-nginx-ingress"
    title = "F5 NGINX Ingress Controller"
    controllers: ClassVar = {"ingress": ("nginx.org/ingress-controller",)}
    speaks_tls = True
    proxies = ("", "nginx")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The Ingress with annotations; those of the user take precedence."""
        timeouts = exposure_of(endpoint).timeouts
        values = {
            "proxy-buffering": "false",
            "proxy-read-timeout": f"{timeouts.idle_seconds}s",
            "proxy-send-timeout": f"{timeouts.idle_seconds}s",
            "proxy-connect-timeout": f"{timeouts.connect_seconds}s",
        }
        if endpoint.spec.engine.tls is not None:
            values["ssl-services"] = naming.child_name(endpoint)
        own = unless_given(endpoint, {f"{PREFIX}/{key}": value for key, value in values.items()})
        return (portable_ingress(endpoint, own),)

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them, and so the ones above of the user's own."""
        return is_safe(annotation)


ROUTE: Route = F5NginxIngress()
