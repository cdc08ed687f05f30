"""
Which proxy a response came through: by its headers, its error pages and the size of its bursts. Pure.

For a sentence and for the choice of a remedy, never for a verdict. Times are no marks: engines that emit in groups
and many proxies have those of any other. The sources of the marks are in
docs/fault-zoo.md; those of the proxies that can be run are tested against them.
"""

from dataclasses import dataclass
from enum import StrEnum

from streaming_operator.probe.stream.timeline import Timeline


class Proxy(StrEnum):
    """Proxies with marks of their own."""

    NGINX = "nginx"
    INGRESS_NGINX = "ingress-nginx"
    HAPROXY = "HAProxy"
    ENVOY = "Envoy"
    CADDY = "Caddy"
    TRAEFIK = "Traefik"
    KONG = "Kong"
    ALB = "AWS load balancer"
    GOOGLE = "Google load balancer"
    AZURE = "Azure Application Gateway"
    CLOUDFLARE = "Cloudflare"
    API_GATEWAY = "AWS API Gateway"
    VERCEL = "Vercel"
    NETLIFY = "Netlify"


@dataclass(frozen=True, slots=True)
class ProxyMatch:
    """A proxy and the mark that identifies it; `author` if it wrote the response itself."""

    proxy: Proxy
    mark: str
    author: bool = False
    front: Proxy | None = None
    """The proxy in front of it, where a response has the marks of two."""


HEADERS: tuple[tuple[str, str, Proxy], ...] = (
    ("x-amz-apigw-id", "", Proxy.API_GATEWAY),  # passes the `Server` of what is behind it on
    ("apigw-requestid", "", Proxy.API_GATEWAY),
    ("server", "envoy", Proxy.ENVOY),
    ("server", "nginx", Proxy.NGINX),
    ("server", "openresty", Proxy.NGINX),
    ("server", "caddy", Proxy.CADDY),
    ("server", "kong", Proxy.KONG),
    ("server", "awselb", Proxy.ALB),
    ("server", "cloudflare", Proxy.CLOUDFLARE),
    ("server", "vercel", Proxy.VERCEL),
    ("server", "netlify", Proxy.NETLIFY),
    ("server", "microsoft-azure-application-gateway", Proxy.AZURE),
    ("via", "caddy", Proxy.CADDY),
    ("via", "kong", Proxy.KONG),
    ("via", "google", Proxy.GOOGLE),
    ("cf-ray", "", Proxy.CLOUDFLARE),
    ("x-vercel-id", "", Proxy.VERCEL),
    ("x-nf-request-id", "", Proxy.NETLIFY),
    ("x-kong-upstream-latency", "", Proxy.KONG),
    ("x-envoy-upstream-service-time", "", Proxy.ENVOY),
)
"""Header, part of its value, proxy; the nearest proxy is the one that replaces `Server`."""
_PAGES: tuple[tuple[str, Proxy], ...] = (
    ("<center>nginx", Proxy.NGINX),
    ("<center>openresty", Proxy.NGINX),
    ("<center>cloudflare", Proxy.CLOUDFLARE),
    ("Microsoft-Azure-Application-Gateway", Proxy.AZURE),
    ("The server didn't respond in time.", Proxy.HAPROXY),
    ("No server is available to handle this request.", Proxy.HAPROXY),
    ("The server returned an invalid or incomplete response.", Proxy.HAPROXY),
    ("You need a valid user and password to access this content.", Proxy.HAPROXY),
    ("Request forbidden by administrative rules.", Proxy.HAPROXY),
    ("You have sent too many requests in a given amount of time.", Proxy.HAPROXY),
)
_BODIES: dict[str, Proxy] = {
    "upstream request timeout": Proxy.ENVOY,
    "stream timeout": Proxy.ENVOY,
    "no healthy upstream": Proxy.ENVOY,
    "local_rate_limited": Proxy.ENVOY,
    "Payload Too Large": Proxy.ENVOY,
    "RBAC: access denied": Proxy.ENVOY,
    "no available server": Proxy.TRAEFIK,
    "Bad Gateway": Proxy.TRAEFIK,
    "Gateway Timeout": Proxy.TRAEFIK,
    "Too Many Requests": Proxy.TRAEFIK,
}
"""Whole bodies, without white space at their ends."""
_BEGINNINGS = {"upstream connect error": Proxy.ENVOY}
DELAYED_CLOSE = {Proxy.ENVOY: 1.0}
"""Seconds for which a proxy keeps a connection open after it ended the stream (Envoy: delayed_close_timeout)."""
EARLY = {Proxy.NGINX: 0.3}
"""Seconds by which a proxy's timer may fire early: nginx does not reset a timer for less."""
REQUEST_TIMEOUTS = {Proxy.ENVOY: 15.0, Proxy.GOOGLE: 30.0}
"""Default limits of a whole request in seconds, whether or not it is idle."""


def proxy_of(t: Timeline) -> ProxyMatch | None:
    """The proxy that a response came through; None where it has no marks, as behind HAProxy or Traefik."""
    front = _by_header(t)
    author = _by_body(t)
    if author is not None:
        if author.proxy is Proxy.NGINX and t.head is not None and t.head.header("server") is None:
            return ProxyMatch(Proxy.INGRESS_NGINX, f"{author.mark} without a Server header", author=True)
        other = front is not None and front.proxy is not author.proxy
        return ProxyMatch(author.proxy, author.mark, True, front.proxy if front and other else None)
    # Bursts come from the nearest proxy; headers also from the proxies behind it.
    return _by_bursts(t) or front


def _by_header(t: Timeline) -> ProxyMatch | None:
    for name, part, proxy in HEADERS:
        value = t.head.header(name) if t.head else None
        if value is not None and part in value.lower():
            return ProxyMatch(proxy, f"{name}: {value[:40]}")
    return None


def _by_body(t: Timeline) -> ProxyMatch | None:
    if t.status is None or t.status < 300:
        return None
    body = t.body.strip()
    proxy = _BODIES.get(body) or next(
        (proxy for words, proxy in _BEGINNINGS.items() if body.startswith(words)), None
    )
    if proxy is None:
        proxy = next((proxy for words, proxy in _PAGES if words in body), None)
    return ProxyMatch(proxy, "its error page", author=True) if proxy else None


def _by_bursts(t: Timeline) -> ProxyMatch | None:
    if t.events_per_read < 2 or not t.is_event_stream:
        return None
    sizes = [burst.size for burst in t.inner_bursts]
    for buffer in (4096, 8192):
        # Chunk header and trailer add up to 16 bytes to the buffer's size.
        full = sum(buffer <= size <= buffer + 16 for size in sizes)
        if len(sizes) >= 2 and full * 4 >= len(sizes) * 3:
            return ProxyMatch(Proxy.NGINX, f"bursts of {buffer} bytes")
    return None
