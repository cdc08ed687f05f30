"""
Where a request is sent and how: address, Host, TLS, what is sent beside the request. A value.
"""

from dataclasses import dataclass, field
from typing import Literal

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http.request import CHAT_PATH, ApiKey, ExtraHeader
from streaming_operator.probe.http.tls import ClientCertificate
from streaming_operator.probe.http.tunnel import HttpProxy

SHORTEST_SECRET = 6
"""Characters of a header's value from which it is hidden in what a server sends; shorter ones are words and numbers."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request is sent. `address` is an IP, or a name that is resolved once and then pinned."""

    hop: Hop
    address: str
    port: int
    scheme: Literal["http", "https"] = "http"
    host: str = ""
    """Host header and, without its port, the TLS server name; the address if empty."""
    path: str = CHAT_PATH
    ca: str | None = field(default=None, repr=False)
    """PEM bundle that is trusted instead of the system's roots; at the public URL in addition to them."""
    http2: bool = False
    """Speak HTTP/2: offered by ALPN over TLS, by prior knowledge without TLS."""
    named_by_cluster: bool = False
    """The API server or the administrator named the address, not the resource's author."""
    unreachable: tuple[tuple[str, str], ...] = ()
    """Other addresses of the name that failed before this one was pinned, and why."""
    headers: tuple[ExtraHeader, ...] = ()
    """Sent with every request to this target, and to no other."""
    identity: ClientCertificate | None = None
    """The client certificate, shown to this target alone."""
    insecure: bool = False
    """Accept every certificate."""
    proxy: HttpProxy | None = None
    """What connects to the address in our place; the name is resolved there."""

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port that a socket connects to."""
        return (self.proxy.address, self.proxy.port) if self.proxy else (self.address, self.port)

    def secrets(self, key: ApiKey | None) -> tuple[ApiKey, ...]:
        """Every text that is sent there and shown nowhere; `true` or `1` as a header's value is in any text."""
        values = tuple(
            header.value
            for header in self.headers
            if len(header.value.secret) >= SHORTEST_SECRET and not header.routes
        )
        given = (*values, self.proxy.authorization if self.proxy else None)
        return tuple(secret for secret in (key, *given) if secret is not None)

    def has_credentials(self, key: ApiKey | None) -> bool:
        """Whether a key or a Secret's headers are sent there; a header by which an edge routes is none."""
        return key is not None or any(not header.routes for header in self.headers)

    @property
    def host_header(self) -> str:
        """What the edge routes by; with the port only where it is not the scheme's default."""
        if self.host:
            return self.host
        bare = f"[{self.address}]" if ":" in self.address else self.address
        return bare if self.port == {"http": 80, "https": 443}[self.scheme] else f"{bare}:{self.port}"

    @property
    def server_name(self) -> str:
        """The name that the certificate must be valid for."""
        return self.host.removeprefix("[").rpartition("]")[0] or self.host.partition(":")[0] or self.address

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}" + (f" through {self.proxy}" if self.proxy else "")

    @property
    def authority(self) -> str:
        """Address and port."""
        return f"{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"
