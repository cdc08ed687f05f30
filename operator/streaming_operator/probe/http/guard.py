"""
Where a probe may connect, and where an API key may be sent. Pure: addresses are already resolved.

A resource's author chooses host names, and DNS can answer anything; so every address is judged after resolution, and
the judged address is the one that is connected to.
"""

import ipaddress
from dataclasses import dataclass, field

_METADATA = frozenset(
    ipaddress.ip_address(address)
    # Metadata and host services of clouds that are not link-local: AWS over IPv6, Alibaba, Azure's wire
    # server, Oracle.
    for address in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_EMBEDDING = tuple(
    ipaddress.ip_network(network)
    # NAT64 (RFC 6052), IPv4-translated (RFC 2765), IPv4-compatible (RFC 4291): the last 32 bits are an IPv4 address.
    for network in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The first half of an interface identifier whose other half is an IPv4 address (RFC 5214)."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is routed in public; fec0::/10, once site-local, is not, whatever `ipaddress` says."""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    # Documentation (RFC 9637) and the relays of 6to4 (RFC 7526), which `ipaddress` takes for public.
    for network in ("3fff::/20", "192.88.99.0/24")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Guard:
    """What is allowed or refused beyond the rules that always hold."""

    local: bool = False
    """A person at a terminal may probe their own machine; the operator may not."""
    own_key: bool = False
    """The person who probes gave the key: it may go over plain http to a public address."""
    refused: tuple[str, ...] = ()
    """Addresses and networks never connected to, e.g. the API server's."""
    refused_names: tuple[str, ...] = ()
    """Names whose addresses are never connected to: the API server's, where it is known by name."""
    refused_by_dns: tuple[str, ...] = field(default=())
    """Public networks refused when only DNS named the address, e.g. the cluster's own where it has such."""
    allowed_by_dns: tuple[str, ...] = ()
    """Private networks that DNS may lead to, e.g. that of the load balancers."""


def forbidden(address: str, guard: Guard, *, by_dns: bool = False) -> str | None:
    """Why this address must not be connected to; None when it may be."""
    try:
        reached = _reached(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return f"{address!r} is not an IP address"
    refusals = (_forbidden(ip, address, guard, by_dns=by_dns) for ip in reached)
    return next((refusal for refusal in refusals if refusal is not None), None)


def _forbidden(ip: Address, address: str, guard: Guard, *, by_dns: bool) -> str | None:
    if _within(ip, guard.refused):
        return f"{address} belongs to the cluster itself"
    if guard.local:
        return None
    if ip in _METADATA:
        return f"{address} is a metadata service"
    for name in ("unspecified", "loopback", "link_local", "multicast"):
        if getattr(ip, f"is_{name}"):
            return f"{address} is a {name.replace('_', '-')} address"
    if ip.is_reserved:
        return f"{address} is a reserved address"
    return _refused_by_dns(ip, address, guard) if by_dns else None


def _refused_by_dns(ip: Address, address: str, guard: Guard) -> str | None:
    """Why a name must not lead there: its author could otherwise probe what only the operator can reach."""
    if _within(ip, guard.refused_by_dns):
        return f"{address} belongs to the cluster itself"
    if _is_public(ip) or _within(ip, guard.allowed_by_dns):
        return None
    return f"the name leads to the private address {address}, which only the administrator may allow"


def _is_public(ip: Address) -> bool:
    if any(ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global and (ip.version == 4 or ip in _UNICAST)


def _within(ip: Address, networks: tuple[str, ...]) -> bool:
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)


def api_server(host: str) -> Guard:
    """
    A guard that refuses the API server at this address or name.

    An IPv6 Service network has at most 20 bits for hosts, so the address's whole /108 is the cluster's. In IPv4,
    Service networks are private, where no name may lead anyway.
    """
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return Guard(refused_names=(host,) if host else ())
    return Guard(refused=(host,), refused_by_dns=(f"{ip}/108",) if ip.version == 6 else ())


def key_refused(address: str, scheme: str) -> str | None:
    """Why a key or a gateway's header must not be sent there; None when it may be."""
    reached = _reached(ipaddress.ip_address(address.partition("%")[0]))
    if scheme == "http" and any(ip.is_global for ip in reached):
        return f"nothing secret is sent over plain http to the public address {address}"
    return None


def _reached(ip: Address) -> tuple[Address, ...]:
    """
    Every address that a connection to this one may reach: the IPv4 address that is embedded in an IPv6 one in place of
    it, or beside it, where the prefix leads to a router that decides.
    """
    if not isinstance(ip, ipaddress.IPv6Address):
        return (ip,)
    if ip.ipv4_mapped is not None:
        return (ip.ipv4_mapped,)
    if ip.sixtofour is not None:
        return (ip.sixtofour,)
    if ip.teredo is not None:
        return (ip.teredo[1],)
    last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if any(ip in network for network in _EMBEDDING) and int(ip) > 1:  # `::` and `::1` embed nothing
        return (last,)
    if int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
        return (ip, last)
    return (ip,)
