"""The part of `spec` about the probe: what it asks, with which credentials, and what it takes for a failure."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from streaming_operator.api.cel import CEL, Model
from streaming_operator.api.types import ConfigKey, DnsName

ProbedApi = Literal["Chat", "Completions", "Responses"]
PROBED_PATHS: dict[ProbedApi, str] = {
    "Chat": "/v1/chat/completions",
    "Completions": "/v1/completions",
    "Responses": "/v1/responses",
}
"""What the probe asks for."""


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
        "!has(self.engine.tls) || !has(self.engine.tls.caConfigMapName) || "
        "has(self.exposure) && has(self.exposure.httpRoute)",
        lambda spec: (
            spec.engine.tls is None
            or spec.engine.tls.ca_config_map_name is None
            or (spec.exposure is not None and spec.exposure.http_route is not None)
        ),
        "needs exposure.httpRoute: only a Gateway is told of it",
        ".engine.tls.caConfigMapName",
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
