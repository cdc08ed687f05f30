"""
The HTTP proxy that the environment names for https URLs: HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case.

The standard library reads the variables, as it does for its own clients; networks in NO_PROXY, which curl and requests
know and it does not, are added. URLs without TLS are connected to directly.
"""

import ipaddress
import urllib.request
from urllib.parse import unquote, urlsplit

import click

from streaming_operator.probe.http.tunnel import HttpProxy, basic

_VARIABLES = {"https": "HTTPS_PROXY", "all": "ALL_PROXY"}


def proxy_for(host: str, port: int) -> HttpProxy | None:
    """The proxy for a connection to this host; None where none is named, or NO_PROXY excepts the host."""
    proxies = urllib.request.getproxies_environment()
    scheme = next((scheme for scheme in _VARIABLES if proxies.get(scheme)), None)
    if scheme is None or _is_excepted(host, port, proxies):
        return None
    return _parsed(proxies[scheme], _VARIABLES[scheme])


def _is_excepted(host: str, port: int, proxies: dict[str, str]) -> bool:
    if urllib.request.proxy_bypass(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(_is_within(address, entry.strip()) for entry in proxies.get("no", "").split(","))


def _is_within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, entry: str) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _parsed(value: str, variable: str) -> HttpProxy:
    """The proxy of one variable; its value is never shown, since it may hold a password."""
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise click.UsageError(f"{variable} is not http://[USER:PASSWORD@]HOST[:PORT]") from error
    if parts.scheme != "http" or not host:
        raise click.UsageError(
            f"{variable} must be http://[USER:PASSWORD@]HOST[:PORT]; other proxies cannot be used"
        )
    credentials = None
    if parts.username is not None:
        credentials = basic(unquote(parts.username), unquote(parts.password or ""))
    return HttpProxy(host, port or 80, credentials, variable)
