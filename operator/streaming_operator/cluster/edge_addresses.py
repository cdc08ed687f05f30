"""
Where the edge of an endpoint listens: the administrator's list, the Gateway's status, the Service that its controller
labels with the Gateway's name, the Ingress's status; in this order.

Conditions of Gateways are not asked: some say that they are programmed while nothing listens, others never do while
they serve. Addresses are not judged here either: the probe refuses those it must never ask.
"""

from dataclasses import dataclass

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import cluster_ip
from streaming_operator.errors import Forbidden
from streaming_operator.kube.client import Transport
from streaming_operator.kube.objects import Body
from streaming_operator.routes.listeners import gateway_of
from streaming_operator.values import Capabilities, Edge


@dataclass(frozen=True, slots=True)
class EdgeAddresses:
    """Where the edge of one endpoint listens, as the operator reaches it."""

    addresses: tuple[str, ...]
    """IPs or host names, the best first; empty when nobody knows: resolve the user's host."""
    http_port: int | None = None
    """None: the port that users call."""
    https_port: int | None = None


async def edge_addresses(
    transport: Transport,
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
    if (gateway := gateway_of(endpoint, capabilities)) is not None:
        services = await _services_of(transport, edge, gateway)
        if (users := routes.users_address(endpoint, capabilities)) is not None:
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


async def _services_of(transport: Transport, edge: Edge, gateway: str) -> list[Body]:
    """
    The Services labelled with a Gateway's name, beside it and where its controller deploys them.

    Nowhere else: anybody may label a Service, and would be sent the requests of others, with their keys. Where the
    operator may not read Services, there are none.
    """
    namespace, _, name = gateway.partition("/")
    labelled = routes.service_of((namespace, name), edge)
    query = {"labelSelector": ",".join(f"{key}={value}" for key, value in sorted(labelled.labels.items()))}
    services: list[Body] = []
    for place in dict.fromkeys(one for one in (namespace, labelled.namespace) if one):
        try:
            listed = await transport.get(
                resources.SERVICES.path(place),
                f"list the Services of Gateway {gateway} in {place}",
                query=query,
            )
        except Forbidden:
            continue
        services += listed.get("items") or ()
    return services
