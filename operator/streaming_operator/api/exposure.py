"""The part of `spec` about the users' address: hosts, paths, the edge that serves them, and its time limits."""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from streaming_operator.api.cel import CEL, Model, exactly_one, keys_without
from streaming_operator.api.http_route import ANNOTATION_RULES, HttpRoute, RouteAnnotations
from streaming_operator.api.types import (
    DnsLabel,
    DnsName,
    Unique,
)

OWNED_ANNOTATIONS = (
    "proxy-buffering",
    "proxy-http-version",
    "proxy-next-upstream",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "proxy-connect-timeout",
)
"""
Names that the operator sets itself for ingress-nginx, under its prefix; `proxy-body-size` is the user's. Under
another prefix they are another controller's. The administrator's own prefix is known to the route alone, which allows
none of them.
"""
OWNED_PREFIX = "nginx.ingress.kubernetes.io"


class Tls(Model):
    """TLS at the edge."""

    secret_name: DnsName | None = None
    """Secret of type kubernetes.io/tls that the edge serves; the edge's default certificate if unset."""


class Ingress(Model):
    """Expose by an Ingress."""

    class_name: DnsName
    """Name of the IngressClass."""
    annotations: RouteAnnotations = Field(default_factory=dict)
    """Further annotations, e.g. `proxy-body-size`; snippets and what the operator sets itself are refused."""
    tls: Tls | None = None
    """Serve HTTPS for the host; {} with the edge's default certificate."""

    cel: ClassVar = (
        *ANNOTATION_RULES,
        keys_without(
            "annotations",
            r"^kubernetes\.io/ingress\.class$",
            "use className instead of kubernetes.io/ingress.class",
        ),
        keys_without(
            "annotations",
            rf"^{re.escape(OWNED_PREFIX)}/({'|'.join(OWNED_ANNOTATIONS)})$",
            "use exposure.timeouts.idleSeconds for proxy-read-timeout and proxy-send-timeout, "
            "exposure.timeouts.connectSeconds for proxy-connect-timeout; "
            "proxy-buffering, proxy-http-version, proxy-next-upstream are the operator's",
        ),
    )


class Timeouts(Model):
    """Time limits at the edge, as far as the edge can be configured."""

    idle_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    """Longest silence between two bytes, also before the first one."""
    request_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Longest total time of one request, 0 for no limit; with httpRoute only."""
    connect_seconds: Annotated[int, Field(ge=1, le=75)] = 10
    """Longest time to connect to a pod; nginx allows no more than 75."""


PathPrefix = Annotated[str, Field(max_length=256, pattern=r"^/$|^(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)+$")]


StrippedPrefix = Annotated[str, Field(max_length=256, pattern=r"^(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)+$")]


class Canary(Model):
    """A canary of another endpoint's host and paths, for a share of its requests or for those with a header."""

    of: DnsLabel
    """Name of another endpoint in the same namespace that keeps the rest; host and class or Gateways are the same."""
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """Percent of the requests; needs ingress."""
    header: Annotated[str, Field(max_length=64, pattern=r"^[Xx]-[-a-zA-Z0-9]+$")] = "X-Canary"
    """Requests with this header at `always` go to the canary, those with `never` do not; by it the probe asks it."""


class Exposure(Model):
    """The address that users call; without it the endpoint is reachable inside the cluster only."""

    host: DnsName
    """Host name that users call."""
    hosts: Annotated[tuple[DnsName, ...], Field(max_length=16), Unique()] = ()
    """Further host names; each is verified once after a change. status.url has `host`."""
    strip_prefix: StrippedPrefix | None = None
    """Path before pathPrefixes that users call and the edge takes away, such as /llama: several models on a host."""
    canary: Canary | None = None
    """Serve a part of another endpoint's requests."""
    path_prefixes: Annotated[tuple[PathPrefix, ...], Field(min_length=1, max_length=16)] = ("/v1",)
    """
    Paths that leave the cluster. `/` opens users' APIs only: /tokenize, /metrics and other paths outside of /v1, /v2
    and /cohere, and those that load adapters, must be named (which restarts the pods).
    """
    ingress: Ingress | None = None
    """By an Ingress."""
    http_route: HttpRoute | None = None
    """By a Gateway API HTTPRoute."""
    timeouts: Timeouts = Field(default_factory=Timeouts)
    """Time limits at the edge."""

    cel: ClassVar = (
        exactly_one("ingress", "httpRoute"),
        CEL(
            "!self.host.matches('^[.0-9]+$')",
            lambda exposure: not re.fullmatch("[.0-9]+", exposure.host),
            "must be a host name, not an IP address",
            ".host",
        ),
        # A rule and no `set`: under server-side apply, a set keeps the default beside what the user gives.
        CEL(
            "self.pathPrefixes.all(p, self.pathPrefixes.exists_one(q, q == p))",
            lambda exposure: len(set(exposure.path_prefixes)) == len(exposure.path_prefixes),
            "name each prefix once",
            ".pathPrefixes",
        ),
        CEL(
            "!has(self.ingress) || self.timeouts.requestSeconds == 0",
            lambda exposure: exposure.ingress is None or exposure.timeouts.request_seconds == 0,
            "an Ingress knows no limit on the whole request; 0, or expose by httpRoute",
            ".timeouts.requestSeconds",
        ),
        CEL(
            "!has(self.hosts) || self.hosts.all(h, h != self.host && !h.matches('^[.0-9]+$'))",
            lambda exposure: all(
                host != exposure.host and not re.fullmatch("[.0-9]+", host) for host in exposure.hosts
            ),
            "names further hosts, without host itself, and no IP addresses",
            ".hosts",
        ),
        CEL(
            "!has(self.canary) || has(self.ingress) || self.canary.weight == 0",
            lambda exposure: (
                exposure.canary is None or exposure.ingress is not None or exposure.canary.weight == 0
            ),
            "needs ingress: of two HTTPRoutes, only one that asks for a header gets requests of the other",
            ".canary.weight",
        ),
    )

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Every host name, the first one in `status.url`."""
        return (self.host, *self.hosts)

    def field_of(self, host: str) -> str:
        """The field that names a host, below `exposure`; an annotation does where none has it."""
        if host in self.hosts:
            return f"hosts[{self.hosts.index(host)}]"
        return "host" if host == self.host or self.ingress is None else "ingress.annotations"
