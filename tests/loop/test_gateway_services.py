"""When the Services of a Gateway are listed, and when what a list has shown is believed. In virtual time."""

import asyncio
from typing import Any, cast

from streaming_operator.cluster.edge_addresses import NONE_SECONDS, ServicesOfGateways
from streaming_operator.errors import NotFound
from streaming_operator.kube.client import Transport
from streaming_operator.kube.objects import Body
from streaming_operator.values import Edge

EDGE = Edge(profile="contour")
NODES = ("192.168.1.5",)


class Api:
    """An API server that has some Services of one namespace."""

    def __init__(self, *services: Body) -> None:
        self.services = list(services)
        self.lists = 0

    async def get(self, path: str, doing: str, **more: Any) -> Body:
        """List them."""
        self.lists += 1
        return {"items": self.services}

    async def read(self, path: str, doing: str, **more: Any) -> Body:
        """Read one by its path."""
        for service in self.services:
            if path.endswith(f"/{service['metadata']['name']}"):
                return service
        raise NotFound(path)


def a_service(*ports: int) -> Body:
    """Of the Gateway `infra/public`, with ports of the node."""
    labels = {"gateway.networking.k8s.io/gateway-name": "public"}
    return {
        "metadata": {"name": "envoy", "namespace": "infra", "labels": labels},
        "spec": {
            "type": "NodePort",
            "clusterIP": "10.0.0.9",
            "selector": {"app": "envoy"},
            "ports": [{"port": port} for port in ports],
        },
    }


async def names(services_of: ServicesOfGateways, port: int, reported: tuple[str, ...] = NODES) -> list[str]:
    """The Services that are found."""
    found = await services_of.of(EDGE, "infra/public", reported, port)
    return [service["metadata"]["name"] for service in found]


async def test_a_port_that_is_not_served_yet_hides_no_other_and_is_looked_for_again() -> None:
    """Two endpoints of one Gateway at two ports; the Service gets the second port a moment later."""
    api = Api(a_service(80))
    services_of = ServicesOfGateways(cast(Transport, api))
    assert await names(services_of, 80) == ["envoy"]
    assert await names(services_of, 8080) == []
    assert await names(services_of, 80) == ["envoy"]
    api.services = [a_service(80, 8080)]
    assert await names(services_of, 8080) == ["envoy"]


async def test_that_a_gateway_has_no_service_is_believed_for_five_minutes() -> None:
    """Only while its status says the same, and not where its status says nothing."""
    api = Api()
    services_of = ServicesOfGateways(cast(Transport, api))
    for _ in range(3):
        assert await names(services_of, 80) == []
    assert api.lists == 1
    api.services = [a_service(80)]
    assert await names(services_of, 80) == []
    await asyncio.sleep(NONE_SECONDS)
    assert await names(services_of, 80) == ["envoy"]

    api, moved = Api(), ("192.168.1.6",)
    services_of = ServicesOfGateways(cast(Transport, api))
    for reported in (NODES, moved, (), ()):
        assert await names(services_of, 80, reported) == []
    assert api.lists == 4
