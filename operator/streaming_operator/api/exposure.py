"""The part of `spec` about requests: the users' address, how metrics are scraped, how streaming is verified."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streaming_operator.api.cel import CEL, Model, exactly_one, keys_match, keys_without
from streaming_operator.api.http_route import ANNOTATION_RULES, HttpRoute, RouteAnnotations
from streaming_operator.api.types import (
    QUALIFIED_KEY,
    QUALIFIED_KEY_RULE,
    ConfigKey,
    DnsLabel,
    DnsName,
    Labels,
    Unique,
)
from streaming_operator.api.workload import RESERVED_LABELS, RESERVED_LABELS_RULE

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

ProbedApi = Literal["Chat", "Completions", "Responses"]
PROBED_PATHS: dict[ProbedApi, str] = {
    "Chat": "/v1/chat/completions",
    "Completions": "/v1/completions",
    "Responses": "/v1/responses",
}
"""What the probe asks for."""


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
    """Name of the endpoint in the same namespace that keeps the rest; host and class or Gateways are the same."""
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


class ServiceMonitor(Model):
    """Scrape configuration for the prometheus-operator."""

    enabled: bool = True
    """Make one where the cluster has the kind."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """Time between two scrapes."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which a Prometheus selects it, e.g. `release`."""

    cel: ClassVar = (
        keys_match("labels", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        keys_without("labels", RESERVED_LABELS, RESERVED_LABELS_RULE),
    )


class PrometheusRule(Model):
    """Alerts for the prometheus-operator (docs/alerts.md), and their thresholds."""

    enabled: bool = True
    """Make one where the cluster has the kind."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which a Prometheus selects it; if empty, those of serviceMonitor."""
    ttft_milliseconds: Annotated[int, Field(ge=1, le=600000)] = 5000
    """Longest 95th percentile of the engine's time to the first token."""
    token_gap_milliseconds: Annotated[int, Field(ge=1, le=600000)] = 500
    """Longest 95th percentile of its time between tokens."""
    error_percent: Annotated[int, Field(ge=1, le=99)] = 5
    """Share of requests that may fail."""
    path_milliseconds: Annotated[int, Field(ge=1, le=600000)] = 2000
    """By how much the first token may reach users later than the engine has it, on average."""

    cel: ClassVar = (
        keys_match("labels", QUALIFIED_KEY, QUALIFIED_KEY_RULE),
        keys_without("labels", RESERVED_LABELS, RESERVED_LABELS_RULE),
    )


class Monitoring(Model):
    """How the engine's metrics, TTFT among them, reach Prometheus."""

    service_monitor: ServiceMonitor = Field(default_factory=ServiceMonitor)
    """The ServiceMonitor."""
    prometheus_rule: PrometheusRule = Field(default_factory=PrometheusRule)
    """The PrometheusRule."""


class ProbeRequest(Model):
    """The completion that the probe requests."""

    api: ProbedApi = "Chat"
    """API that is asked: Completions for a model without a chat template, Responses for clients of that API."""
    prompt: Annotated[str, Field(min_length=1, max_length=2000)] = (
        "Count from one upwards, one number a line."
    )
    """Prompt; a unique prefix is added so that no cache answers."""
    max_tokens: Annotated[int, Field(ge=16, le=1024)] = 64
    """Tokens of the first stream; doubled while it is too short for a verdict."""


class ConfigMapKeyRef(Model):
    """A key of a ConfigMap in the endpoint's own namespace."""

    name: DnsName
    """Name of the ConfigMap."""
    key: ConfigKey = "ca.crt"
    """Key within the ConfigMap."""


class SecretRef(Model):
    """A Secret in the endpoint's own namespace."""

    name: DnsName
    """Name of the Secret."""


class ProbeTls(Model):
    """How the probe checks the edge's certificate, and its own; there is no way to skip the check."""

    ca_config_map_ref: ConfigMapKeyRef | None = None
    """CA bundle (PEM) in a ConfigMap of the namespace; the system's roots if unset."""
    client_cert_secret_ref: SecretRef | None = None
    """
    Client certificate that is shown at the users' address, not to pod or Service: `tls.crt` and `tls.key` of a Secret
    of type kubernetes.io/tls.
    """


class Checks(Model):
    """What is checked besides the stream, once it streams; each costs further requests at every probe."""

    per_replica: bool = False
    """Ask every ready pod, not only one."""
    auth: bool = False
    """A request without the key, and one with a wrong key, must be refused."""
    cancel: bool = False
    """A stream whose client disconnects must end in the engine too; judged only while no other request runs."""


class Thresholds(Model):
    """Limits for users; unset: any speed is accepted as long as it streams."""

    ttft_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """Longest time to the first token; not judged after a start, nor while the engine's queue is full."""
    max_gap_milliseconds: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """Longest pause between two tokens."""


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
PublicUrl = Annotated[
    str,
    Field(
        max_length=512,
        pattern=rf"^https?://{_LABEL}(\.{_LABEL})*(:[1-9][0-9]{{0,4}})?(/[-_~a-zA-Z0-9][-._~a-zA-Z0-9]*)*$",
    ),
]


class Verification(Model):
    """How streaming is verified."""

    mode: Literal["Required", "Advisory", "Disabled"] = "Required"
    """Required: Ready needs a stream through the users' address. Advisory: only reported. Disabled: no probe."""
    request: ProbeRequest = Field(default_factory=ProbeRequest)
    """The request of the probe."""
    public_url: Annotated[PublicUrl | None, Field(alias="publicURL")] = None
    """
    Base URL that users call where it is not the edge itself, e.g. a CDN in front of it, without `/v1`. It decides
    the verdict then. Its name must resolve to public addresses, or to those that the administrator allows.
    """
    headers_secret_ref: SecretRef | None = None
    """
    Secret whose entries are the names and values of headers that are sent to the users' address, not to pod or Service:
    for a gateway with a key of its own. At most 16; values of 6 characters and more are shown nowhere.
    """
    tls: ProbeTls = Field(default_factory=ProbeTls)
    """How the edge's certificate is checked, and which one the probe shows."""
    checks: Checks = Field(default_factory=Checks)
    """What is checked besides the stream."""
    thresholds: Thresholds = Field(default_factory=Thresholds)
    """Limits for the first token and for pauses."""
    first_request_timeout_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """Limit for the first token after a start: graphs may still be compiled."""
    interval_seconds: Annotated[int, Field(ge=30, le=86_400)] = 300
    """Time between two verifications while the endpoint streams."""
    failure_threshold: Annotated[int, Field(ge=1, le=100)] = 3
    """Failures in a row that turn a verified endpoint not Ready."""

    cel: ClassVar = (
        CEL(
            "!has(self.publicURL) || !self.publicURL.matches('^https?://[.0-9]+([:/]|$)')",
            lambda verification: not re.match(r"https?://[.0-9]+([:/]|$)", verification.public_url or ""),
            "must have a host name, not an IP address",
            ".publicURL",
        ),
        CEL(
            "!has(self.publicURL) || !self.publicURL.endsWith('/v1')",
            lambda verification: not (verification.public_url or "").endswith("/v1"),
            "leave /v1 out: the probe adds the path of the API",
            ".publicURL",
        ),
        CEL(
            "!has(self.publicURL) || url(self.publicURL).getPort() == '' || "
            "int(url(self.publicURL).getPort()) <= 65535",
            lambda verification: (
                int((re.findall(r":([0-9]+)", verification.public_url or "") or "0")[0]) <= 65_535
            ),
            "the port must be at most 65535",
            ".publicURL",
        ),
    )


CREDENTIAL_RULES = (
    CEL(
        "!has(self.verification.headersSecretRef) || has(self.exposure) || has(self.verification.publicURL)",
        lambda spec: (
            spec.verification.headers_secret_ref is None
            or spec.exposure is not None
            or spec.verification.public_url is not None
        ),
        "needs exposure or verification.publicURL: no pod and no Service gets these headers",
        ".verification.headersSecretRef",
    ),
    CEL(
        "!has(self.verification.tls) || !has(self.verification.tls.clientCertSecretRef) || "
        "has(self.verification.publicURL) && self.verification.publicURL.startsWith('https://') || "
        "has(self.exposure) && (has(self.exposure.httpRoute) || "
        "has(self.exposure.ingress) && has(self.exposure.ingress.tls))",
        lambda spec: (
            spec.verification.tls.client_cert_secret_ref is None
            or (spec.verification.public_url or "").startswith("https://")
            or (
                spec.exposure is not None
                and (
                    spec.exposure.http_route is not None  # a listener of its Gateway decides
                    or (spec.exposure.ingress is not None and spec.exposure.ingress.tls is not None)
                )
            )
        ),
        "needs exposure.ingress.tls, exposure.httpRoute or an https verification.publicURL: nobody else asks for one",
        ".verification.tls.clientCertSecretRef",
    ),
)
"""Rules on the whole spec: what would be sent to nobody is refused."""
