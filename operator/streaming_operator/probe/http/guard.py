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
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

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
        ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return f"{address!r} is not an IP address"
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
    if ip.is_global or _within(ip, guard.allowed_by_dns):
        return None
    return f"the name leads to the private address {address}, which only the administrator may allow"


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
    """Why a key must not be sent there; None when it may be."""
    if scheme == "http" and _plain(ipaddress.ip_address(address.partition("%")[0])).is_global:
        return f"the API key is not sent over plain http to the public address {address}"
    return None


def _plain(ip: Address) -> Address:
    """The IPv4 address embedded in an IPv6 one: that is the one that is reached."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip.sixtofour is not None:
            return ip.sixtofour
        if ip.teredo is not None:
            return ip.teredo[1]
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
