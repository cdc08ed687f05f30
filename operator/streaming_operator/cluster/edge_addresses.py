"""
Where the edge of an endpoint listens: the administrator's list, the Gateway's status, the Service that its controller
labels with the Gateway's name, the Ingress's status; in this order.

Conditions of Gateways are not asked: some say that they are programmed while nothing listens, others never do while
they serve. Addresses are not judged here either: the probe refuses those it must never ask.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import cluster_ip
from streaming_operator.errors import Forbidden, NotFound
from streaming_operator.kinds import Key
from streaming_operator.kube.client import Transport
from streaming_operator.kube.objects import Body
from streaming_operator.routes.listeners import gateway_of
from streaming_operator.values import Capabilities, Edge, GatewayServices

NONE_SECONDS = 300.0
"""How long a Gateway is taken to have no Service after a list has shown none."""


@dataclass(frozen=True, slots=True)
class EdgeAddresses:
    """Where the edge of one endpoint listens, as the operator reaches it."""

    addresses: tuple[str, ...]
    """IPs or host names, the best first; empty when nobody knows: resolve the user's host."""
    http_port: int | None = None
    """None: the port that users call."""
    https_port: int | None = None


class ServicesOfGateways:
    """
    The Services labelled with a Gateway's name, beside it and where its controller deploys them.

    Nowhere else: anybody may label a Service, and would be sent the requests of others, with their keys. Where the
    operator may not read Services, there are none. What a list has shown is read by its name from then on: a list
    costs the API server a look at every Service of the namespace, and every verification asks. That there is none is
    believed for a while only, and only where the status says where the Gateway listens.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._listed: dict[tuple[str, int], _Listed] = {}

    async def of(self, edge: Edge, gateway: str, reported: tuple[str, ...], port: int) -> list[Body]:
        """The Services of a Gateway (`namespace/name`), whose status reports these addresses, that serve a port."""
        namespace, _, name = gateway.partition("/")
        labelled = routes.service_of((namespace, name), edge)
        places = tuple(dict.fromkeys(one for one in (namespace, labelled.namespace) if one))
        now = asyncio.get_running_loop().time()
        known = self._listed.get((gateway, port))
        if known is not None and known.services:
            read = [await self._read(gateway, key) for key in known.services]
            services = [one for one in read if one is not None and _has_labels(one, labelled.labels)]
            if len(services) == len(read) and all(_serves(service, port) for service in services):
                return services
        elif (
            known is not None
            and (known.labelled, known.reported) == (labelled, reported)
            and now < known.until
        ):
            return []  # where it listens is known without a Service, and its controller has said nothing new
        lists = [await self._list(gateway, labelled.labels, place) for place in places]
        listed = [service for one in lists for service in one or ()]
        services = [service for service in listed if _serves(service, port)]
        if services or (reported and not listed and None not in lists):
            metadata = (service["metadata"] for service in services)
            keys = tuple((one["namespace"], one["name"]) for one in metadata)
            self._listed[gateway, port] = _Listed(keys, labelled, reported, now + NONE_SECONDS)
        else:
            self._listed.pop((gateway, port), None)
        return services

    async def _read(self, gateway: str, key: Key) -> Body | None:
        """One Service; None when it is gone, or the right to it."""
        try:
            return await self._transport.read(
                resources.SERVICES.path(*key), f"read the Service {'/'.join(key)} of Gateway {gateway}"
            )
        except (NotFound, Forbidden):
            return None

    async def _list(self, gateway: str, labels: Mapping[str, str], place: str) -> list[Body] | None:
        """The Services of one namespace with these labels; None without the right to list them."""
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in sorted(labels.items()))}
        try:
            listed = await self._transport.get(
                resources.SERVICES.path(place),
                f"list the Services of Gateway {gateway} in {place}",
                query=query,
            )
        except Forbidden:
            return None
        return list(listed.get("items") or ())


class _Listed(NamedTuple):
    """What the last list for a port of a Gateway showed."""

    services: tuple[Key, ...]
    labelled: GatewayServices
    """What was listed."""
    reported: tuple[str, ...]
    """The addresses in the Gateway's status then."""
    until: float
    """When no Service is believed no longer, by the clock of the event loop."""


def _has_labels(service: Body, labels: Mapping[str, str]) -> bool:
    """Whether a Service still has the labels by which it was found."""
    return labels.items() <= (service["metadata"].get("labels") or {}).items()


async def edge_addresses(
    transport: Transport,
    services_of: ServicesOfGateways,
    endpoint: StreamingEndpoint,
    capabilities: Capabilities,
    reported: tuple[str, ...],
    domain: str,
) -> EdgeAddresses:
    """
    Where the endpoint's edge listens, there at the port that users call unless the list names another; empty when
    nobody knows. *reported* is what the status of its Ingress or Gateways says, *domain* the cluster's own.
    """
    edge = routes.edge_of(endpoint, capabilities)
    if edge is not None and edge.service is not None:
        namespace, _, name = edge.service.partition("/")
        service = await transport.read(
            resources.SERVICES.path(namespace, name), f"read the edge's Service {edge.service}"
        )
        address = cluster_ip(service) or f"{name}.{namespace}.svc.{domain}"
        return EdgeAddresses((address,), edge.http_port, edge.https_port)
    if edge is None:
        return EdgeAddresses(reported)
    addresses = reported
    gateway, users = gateway_of(endpoint, capabilities), routes.users_address(endpoint, capabilities)
    if gateway is not None and users is not None:
        services = await services_of.of(edge, gateway, reported, users.port)
        addresses = gateway_addresses(reported, services, users.port)
    return EdgeAddresses(
        addresses,
        edge.http_port if edge.http_port != 80 else None,
        edge.https_port if edge.https_port != 443 else None,
    )


def gateway_addresses(reported: tuple[str, ...], services: list[Body], port: int) -> tuple[str, ...]:
    """
    Where a Gateway listens: what its status reports, else the ClusterIP of its Service.

    For a Service of type NodePort controllers report the nodes, where *port* is somebody else's: then the Service comes
    first.
    """
    own = [service for service in services if _serves(service, port)]
    addresses = tuple(address for service in own if (address := cluster_ip(service)) is not None)
    of_nodes = any((service.get("spec") or {}).get("type") == "NodePort" for service in own)
    return (*addresses, *reported) if of_nodes or not reported else reported


def _serves(service: Body, port: int) -> bool:
    """
    Whether a Service has the port, and pods of its own namespace behind it.

    One without a selector may lead anywhere, and the author of a Gateway may have written it.
    """
    spec = service.get("spec") or {}
    return (
        bool(spec.get("selector"))
        and spec.get("type") != "ExternalName"
        and any(entry.get("port") == port for entry in spec.get("ports") or ())
    )
