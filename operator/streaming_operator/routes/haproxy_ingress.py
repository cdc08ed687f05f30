"""
haproxy-ingress (the community's, not HAProxy Technologies'): small writes without delay, a silence as long as asked.

By default HAProxy joins what comes within up to 300 ms, and cuts a silence after 50 s (measured with 0.16.1 and HAProxy
2.8). The first is lifted by one line of its own configuration, for which there is no other annotation: the one such
line that the operator writes, a fixed text.

HAProxy has one backend for each Service, whatever Ingresses lead to it, and of their annotations takes those of the
oldest. Those of the Service itself precede all of them, so they are written to both: the Ingress keeps what it had
where the Service may not be written.
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
DRAIN_SECONDS = 20
"""How long its pods wait for open streams by default: `--haproxy-grace-period`."""
_IDLE = (
    f"raise exposure.timeouts.idleSeconds, or {TIMEOUT_SERVER} where exposure.ingress.annotations has it, or set "
    "engine.sseKeepAliveSeconds below it"
)
_GRACE = (
    "--haproxy-grace-period, with --shutdown-timeout and the pod's terminationGracePeriodSeconds above it"
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.TIMED_BURSTS: (
        f"{WITHOUT_DELAY} of the Service has option http-no-delay already: "
        + ASK
        + "not to refuse it (--disable-config-keywords), or to set it in config-defaults of its ConfigMap"
    ),
    Symptom.IDLE_CUT: _IDLE,
    Symptom.GATEWAY_TIMEOUT: _IDLE,
    Symptom.CUT: (
        f"its pods end open streams {DRAIN_SECONDS} s after their termination began, and 600 s after a reload "
        "(timeout-stop of its ConfigMap): " + ASK + "to raise " + _GRACE
    ),
}


class HAProxyIngress(Route):
    """The community's HAProxy Ingress controller."""

    name = "haproxy-ingress"
    profile = "haproxy-ingress"
    title = "haproxy-ingress"
    controllers: ClassVar = {"ingress": ("haproxy-ingress.github.io/controller",)}
    on_service = frozenset({WITHOUT_DELAY, TIMEOUT_SERVER})
    proxies = ("", "HAProxy")
    remedies = REMEDIES

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """The Ingress, with what the Service says too."""
        return (portable_ingress(endpoint, {**self.service_annotations(endpoint, capabilities)}),)

    def service_annotations(
        self, endpoint: StreamingEndpoint, capabilities: Capabilities
    ) -> Mapping[str, str]:
        """No delay, and how long a silence may be: what the user's Ingress says, else the endpoint's own limit."""
        exposure = exposure_of(endpoint)
        given = exposure.ingress.annotations if exposure.ingress is not None else {}
        return {
            WITHOUT_DELAY: "option http-no-delay",
            TIMEOUT_SERVER: given.get(TIMEOUT_SERVER, f"{exposure.timeouts.idle_seconds}s"),
        }

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe whichever controller reads them; a server timeout of the user's takes precedence."""
        return is_safe(annotation)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A drain of the endpoint that is longer than that of HAProxy's own pods."""
        drain = endpoint.spec.rollout.drain_seconds
        if drain <= DRAIN_SECONDS:
            return None
        return (
            f"streams may take {drain} s to drain, and when its own pods are replaced haproxy-ingress ends them after "
            f"{DRAIN_SECONDS} s unless its administrator raised {_GRACE}"
        )


ROUTE: Route = HAProxyIngress()
