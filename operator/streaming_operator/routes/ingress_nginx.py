"""
ingress-nginx: annotations against buffering and idle timeouts.

All of them are of low or medium risk, which the controller's default risk level allows; snippets never are. Every value
passes the controller's validators: a time with a unit or `Off` instead of `off` would be replaced by the default
silently, so times are bare integers (seconds) and switches are lower case.
"""

from collections.abc import Mapping
from typing import ClassVar

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.symptoms import Symptom
from streaming_operator.routes.base import ASK, Route, exposure_of
from streaming_operator.routes.ingress_generic import is_safe, portable_ingress
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "nginx.ingress.kubernetes.io"
"""Of the annotations, unless the controller was started with another."""
BODY_SIZE = "64m"
"""Large enough for prompts with images; nginx' own default is 1m. The user's annotation takes precedence."""

_RAISE_IDLE = "raise exposure.timeouts.idleSeconds, or set engine.sseKeepAliveSeconds below it"
_GZIP = (
    f"{{prefix}}/proxy-buffering is off already; {ASK}for no text/event-stream in gzip-types (or use-gzip "
    '"false") and no X-Accel-Buffering in hide-headers, in the ConfigMap of ingress-nginx'
)
REMEDIES: Mapping[Symptom, str] = {
    Symptom.BLOCK: _GZIP,
    Symptom.GZIP_BLOCK: _GZIP,
    Symptom.SIZED_BURSTS: (
        "look for a second proxy in front of ingress-nginx: {prefix}/proxy-buffering is off and "
        "{prefix}/proxy-http-version 1.1 already"
    ),
    Symptom.CONTENT_LENGTH: (
        "remove text/event-stream from SecResponseBodyMimeType if ModSecurity is on; else look for "
        "a proxy in front of ingress-nginx that buffers whole responses"
    ),
    Symptom.IDLE_CUT: _RAISE_IDLE,
    Symptom.GATEWAY_TIMEOUT: _RAISE_IDLE,
    Symptom.CUT: (
        "a reload of ingress-nginx cuts streams after worker-shutdown-timeout (240s); "
        + ASK
        + "to raise it in the ConfigMap of ingress-nginx"
    ),
    Symptom.TOO_BIG: (
        "set the annotation {prefix}/proxy-body-size in exposure.ingress.annotations to the largest request"
    ),
    Symptom.LIMITED: "remove {prefix}/limit-connections and limit-rps from the Ingress, or raise them",
    Symptom.UNAVAILABLE: (
        "the controller has no ready endpoint of the Service, or refuses an annotation: check the endpoints and "
        "the controller's log"
    ),
    Symptom.NO_ROUTE: (
        "the controller does not serve this Ingress: check exposure.ingress.className, the host "
        "{host} and the controller's log"
    ),
    Symptom.REDIRECT: "set exposure.ingress.tls, so that users and the probe use https",
}


def annotations(endpoint: StreamingEndpoint, prefix: str) -> dict[str, str]:
    """The annotations; `prefix` is the controller's `--annotations-prefix`."""
    exposure = exposure_of(endpoint)
    idle = str(exposure.timeouts.idle_seconds)
    values = {
        "proxy-buffering": "off",
        # With 1.0 a response ends with the connection: bursts, and truncation goes unnoticed.
        "proxy-http-version": "1.1",
        # The gap between two reads, not the total: it must outlast queueing and prefill.
        "proxy-read-timeout": idle,
        "proxy-send-timeout": idle,
        "proxy-connect-timeout": str(exposure.timeouts.connect_seconds),
        # Only off overrides an administrator's `retry-non-idempotent`, which sends a POST to the next pod.
        "proxy-next-upstream": "off",
    }
    if endpoint.spec.engine.tls is not None:
        values["backend-protocol"] = "HTTPS"
    if exposure.strip_prefix is not None:
        # What no path takes is rewritten too: to nothing without the slash, which nginx answers with 500.
        values |= {"use-regex": "true", "rewrite-target": "/$1"}
    if (canary := exposure.canary) is not None:
        values |= {
            "canary": "true",
            "canary-by-header": canary.header,  # at `always` and `never`, which no value replaces
            "canary-weight": str(canary.weight),
        }
    given = exposure.ingress.annotations if exposure.ingress else {}
    if f"{prefix}/proxy-body-size" not in given:
        values["proxy-body-size"] = BODY_SIZE
    return {f"{prefix}/{key}": value for key, value in values.items()}


def patterns(endpoint: StreamingEndpoint) -> tuple[str, ...]:
    """
    The paths of users where a prefix is taken away, each with what is kept after its slash as its first group.

    Without `?` and `|`, by which `cluster.places` could not tell where a pattern begins.
    """
    exposure = exposure_of(endpoint)
    strip = exposure.strip_prefix
    if strip is None:
        return ()
    prefix, *kept = [path.rstrip("/").replace(".", r"\.") for path in (strip, *exposure.path_prefixes)]
    return tuple(
        f"{prefix}/({group}"
        for path in kept
        for group in ((f"{path[1:]})$", f"{path[1:]}/.*)") if path else (".*)",))
    )


class IngressNginx(Route):
    """The community's ingress-nginx controller."""

    name = "ingress-nginx"
    profile = "ingress-nginx"
    title = "ingress-nginx"
    controllers: ClassVar = {"ingress": ("k8s.io/ingress-nginx",)}
    speaks_tls = True
    rewrites = True
    canaries = True
    reload_limit = ("worker-shutdown-timeout", 240.0)
    proxies = ("", "nginx")
    remedies = REMEDIES

    def allows(self, annotation: str, edge: Edge | None) -> bool:
        """Those that are safe for any controller, also under the prefix of this one."""
        prefix = (edge or Edge(profile="ingress-nginx")).annotations_prefix
        own, slash, name = annotation.rpartition("/")
        return is_safe(f"{PREFIX}/{name}" if slash and own == prefix else annotation)

    def render(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
        """A portable Ingress with the annotations above."""
        ingress = exposure_of(endpoint).ingress
        edge = capabilities.ingress_classes.get(ingress.class_name) if ingress else None
        prefix = (edge or Edge(profile="ingress-nginx")).annotations_prefix
        return (portable_ingress(endpoint, annotations(endpoint, prefix), patterns(endpoint)),)

    def remark(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
        """A reload that ends streams before the endpoint's own drain would."""
        ingress, drain = exposure_of(endpoint).ingress, endpoint.spec.rollout.drain_seconds
        edge = capabilities.ingress_classes.get(ingress.class_name) if ingress else None
        if edge is None or edge.reload_seconds is None or edge.reload_seconds >= drain:
            return None
        return (
            f"ingress-nginx cuts streams {edge.reload_seconds:g} s after a reload, which a change of any Ingress "
            f"causes, and rollout.drainSeconds lets them run {drain} s: its administrator can raise "
            f"worker-shutdown-timeout in ConfigMap {edge.service}"
        )


ROUTE: Route = IngressNginx()
