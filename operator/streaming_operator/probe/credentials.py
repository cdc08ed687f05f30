"""
What a probe of an endpoint sends beside its request, made from the Secrets and the ConfigMap that its spec names. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streaming_operator.errors import NotFound, Rejected
from streaming_operator.probe.http.request import ApiKey, ExtraHeader, extra_headers
from streaming_operator.probe.http.tls import ClientCertificate

IDENTITY_KEYS = CERTIFICATE, PRIVATE_KEY = "tls.crt", "tls.key"
"""Keys of a Secret of type kubernetes.io/tls."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Read for one verification and kept nowhere."""

    key: ApiKey | None = None
    """Sent to every hop, as users send it."""
    ca: str | None = field(default=None, repr=False)
    """CA bundle that the certificate of the users' address is checked with; None for the system's."""
    headers: tuple[ExtraHeader, ...] = ()
    """Sent to the edge and to the public URL: a gateway's secrets are nothing to a pod, which is a tenant's."""
    identity: ClientCertificate | None = None
    """The client certificate, shown at the same two over TLS."""


def headers_of(secret: str, entries: Mapping[str, str]) -> tuple[ExtraHeader, ...]:
    """The headers in a Secret, `namespace/name`; raises `Rejected`, without a value, for what is not sent."""
    try:
        return extra_headers(entries)
    except ValueError as error:
        raise Rejected(f"Secret {secret}: {error}") from None


def identity_of(secret: str, entries: Mapping[str, str]) -> ClientCertificate:
    """The client certificate in a Secret, `namespace/name`; raises `NotFound` or `Rejected`, without its content."""
    for key in IDENTITY_KEYS:
        if not entries.get(key):
            raise NotFound(f"Secret {secret} has no key {key!r}")
    identity = ClientCertificate(entries[CERTIFICATE], entries[PRIVATE_KEY])
    if problem := identity.problem():
        raise Rejected(f"Secret {secret}: {CERTIFICATE} and {PRIVATE_KEY} cannot be used: {problem}")
    return identity
