"""Chat completions by WebSocket and EventSource through the real ingress-nginx; Envoy Gateway has its own file."""

import pytest

from tests.cluster import kind
from tests.e2e import kube, sockets
from tests.e2e.sockets import Idle, Pair
from tests.e2e.streams import EdgeAddress

LIMIT = {"nginx.ingress.kubernetes.io/proxy-read-timeout": str(sockets.LIMIT)}


@pytest.fixture(scope="module")
def pair(shared_namespace: str) -> Pair:
    """The two endpoints, with the Ingress that the operator writes."""
    return sockets.pair(shared_namespace)


@pytest.fixture(scope="module")
def edge(cluster: int) -> EdgeAddress:
    """Where users reach it."""
    return EdgeAddress(kind.address())


@pytest.fixture(scope="module")
def limited(edge: EdgeAddress, pair: Pair) -> dict[str, str]:
    """The hosts of two Ingresses of somebody else, which cut a silence after 20 s, once the edge serves them."""
    hosts = {}
    for endpoint in (pair.pinged, pair.silent):
        host = hosts[endpoint.name] = f"limited.{endpoint.host}"
        backend = {"service": {"name": endpoint.name, "port": {"number": 80}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        kube.apply(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {
                    "name": f"limited-{endpoint.name}",
                    "namespace": endpoint.namespace,
                    "annotations": LIMIT,
                },
                "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": paths}}]},
            }
        )
    for host in hosts.values():
        sockets.await_route(edge, host)
    return hosts


def test_sockets_and_event_source_pass_ingress_nginx(edge: EdgeAddress, pair: Pair) -> None:
    """One message an event, several requests on one socket, keys, origins and closed paths: as at the pod."""
    sockets.hold(edge, pair.silent.host)


def test_a_closed_socket_frees_the_engine(edge: EdgeAddress, pair: Pair) -> None:
    """Its gauge of running requests falls."""
    sockets.drop_what_is_left(edge, pair.silent)


@pytest.mark.shows("ingress-nginx", "ours", "an idle WebSocket stays open, pinged or not")
def test_an_idle_socket_outlives_the_limit_on_a_silence(
    edge: EdgeAddress, pair: Pair, limited: dict[str, str]
) -> None:
    """Made 20 s, it cuts a silent socket; pings keep one open through it, and our Ingress one without pings."""
    assert sockets.idle(edge, pair, limited) == Idle(True, 2, 2)
