"""The URL of users and the port of the probe, by the listener of the Gateway that an HTTPRoute attaches to."""

from dataclasses import replace
from typing import Any

import pytest

from streaming_operator import probe, routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Hop
from streaming_operator.cluster import edges, objects
from streaming_operator.cluster.objects import Cached
from streaming_operator.probe.credentials import Credentials
from streaming_operator.values import Capabilities, Edge, EdgeAddress, Listener
from tests.unit.status.worlds import NOON, observed

HOST = "llm.example.com"
EVERYBODYS = {"namespaces": {"from": "All"}}


def an_endpoint(*parents: dict[str, Any], **verification: Any) -> StreamingEndpoint:
    """One with an HTTPRoute of these parents, by default one Gateway as a whole."""
    metadata = {"name": "llm", "namespace": "chat", "uid": "u", "generation": 1}
    refs = list(parents) or [{"name": "gw", "namespace": "infra"}]
    spec = {
        "model": {"source": {"local": {"path": "/m"}}},
        "exposure": {"host": HOST, "httpRoute": {"parentRefs": refs}},
        "verification": verification,
    }
    return StreamingEndpoint.from_body({"metadata": metadata, "spec": spec})


def a_listener(name: str, port: int, protocol: str = "HTTPS", **more: Any) -> dict[str, Any]:
    """A listener as the API server stores it, for routes of every namespace."""
    return {"name": name, "port": port, "protocol": protocol, "allowedRoutes": EVERYBODYS, **more}


def listeners(*given: dict[str, Any]) -> tuple[Listener, ...]:
    """What is read of a Gateway with these listeners."""
    metadata = {"name": "gw", "namespace": "infra", "uid": "g", "resourceVersion": "1"}
    gateway = {"metadata": metadata, "spec": {"gatewayClassName": "public", "listeners": list(given)}}
    return edges.listeners(objects.cache(gateway, objects.gateway))


def a_cluster(*given: dict[str, Any], edge: Edge | None = None) -> Capabilities:
    """A cluster with a Gateway of these listeners."""
    return Capabilities(
        service_monitors=False,
        http_routes=True,
        gateway_classes={"public": edge or Edge(profile="generic")},
        gateways={"infra/gw": "public"},
        listeners={"infra/gw": listeners(*given)},
    )


def exposure_target(
    endpoint: StreamingEndpoint, cluster: Capabilities, edge: EdgeAddress | None
) -> tuple[str, str]:
    """Where the probe asks for the edge, and with which Host header."""
    plan = probe.plan_for(
        endpoint,
        observed(),
        capabilities=cluster,
        edge=edge,
        credentials=Credentials(),
        trigger=probe.Trigger(),
        guard=probe.Guard(),
        clock=lambda: NOON,
    )
    target = next(target for target in plan.targets if target.hop is Hop.EXPOSURE)
    return str(target), target.host_header


HTTP, HTTPS = a_listener("http", 80, "HTTP"), a_listener("https", 443)


@pytest.mark.parametrize(
    ("parent", "given", "url"),
    [
        ({"sectionName": "https"}, [HTTP, HTTPS], f"https://{HOST}"),
        ({"sectionName": "http"}, [HTTP, HTTPS], f"http://{HOST}"),
        ({}, [HTTP, HTTPS], f"https://{HOST}"),
        ({}, [HTTP], f"http://{HOST}"),
        ({}, [a_listener("https", 8443)], f"https://{HOST}:8443"),
        ({}, [a_listener("http", 8080, "HTTP")], f"http://{HOST}:8080"),
        ({}, [HTTPS | {"hostname": "*.example.com"}, HTTP], f"https://{HOST}"),
        ({}, [HTTPS | {"hostname": "*.example.com"}, HTTP | {"hostname": HOST}], f"http://{HOST}"),
        (
            {},
            [HTTP | {"hostname": "*.com"}, a_listener("a", 8443, hostname="*.example.com")],
            f"https://{HOST}:8443",
        ),
        ({}, [HTTPS | {"hostname": "other.example.com"}, HTTP], f"http://{HOST}"),
        ({}, [HTTPS | {"hostname": f"*.{HOST}"}, HTTP], f"http://{HOST}"),
        ({}, [HTTPS | {"tls": {"mode": "Passthrough"}}, HTTP], f"http://{HOST}"),
        ({}, [HTTPS | {"allowedRoutes": {}}, HTTP], f"http://{HOST}"),
        (
            {},
            [HTTPS | {"allowedRoutes": EVERYBODYS | {"kinds": [{"kind": "GRPCRoute"}]}}, HTTP],
            f"http://{HOST}",
        ),
        ({}, [a_listener("tcp", 5432, "TCP"), HTTP], f"http://{HOST}"),
        ({"sectionName": "missing"}, [HTTPS], f"http://{HOST}"),
        ({}, [], f"http://{HOST}"),
    ],
    ids=[
        "the section with TLS",
        "the section without TLS",
        "TLS where both match",
        "only plain HTTP",
        "another port with TLS",
        "another port without TLS",
        "a wildcard before a listener for every host",
        "the name before a wildcard",
        "the longer wildcard",
        "another host's listener",
        "a wildcard of names below the host",
        "TLS that the Gateway passes through",
        "a listener for routes of its own namespace",
        "a listener for another kind of route",
        "a listener of another protocol",
        "a section that does not exist",
        "no listener known",
    ],
)
def test_the_users_url_is_that_of_the_listener_that_takes_the_route(
    parent: dict[str, Any], given: list[dict[str, Any]], url: str
) -> None:
    """By section, by the most specific hostname, by what the listener allows; TLS where two are alike."""
    endpoint = an_endpoint({"name": "gw", "namespace": "infra", **parent})

    assert routes.users_url(endpoint, a_cluster(*given)) == url


def test_a_listener_for_its_own_namespace_takes_a_route_of_that_namespace() -> None:
    """`allowedRoutes` defaults to Same."""
    cluster = replace(
        a_cluster(),
        gateways={"chat/gw": "public"},
        listeners={"chat/gw": listeners({"name": "https", "port": 443, "protocol": "HTTPS"})},
    )

    assert routes.users_url(an_endpoint({"name": "gw"}), cluster) == f"https://{HOST}"


@pytest.mark.parametrize(
    ("edge", "expected"),
    [
        (EdgeAddress("10.0.0.1"), ("https://10.0.0.1:8443", f"{HOST}:8443")),
        (EdgeAddress("10.0.0.1", 80, 443), ("https://10.0.0.1:443", f"{HOST}:8443")),
        (None, (f"https://{HOST}:8443", f"{HOST}:8443")),
    ],
    ids=["the Gateway's own address", "the administrator's Service", "only DNS"],
)
def test_the_probe_asks_as_users_do(edge: EdgeAddress | None, expected: tuple[str, str]) -> None:
    """At the listener's port, unless the administrator's list names the ports of a Service."""
    assert exposure_target(an_endpoint(), a_cluster(a_listener("https", 8443)), edge) == expected


@pytest.mark.parametrize(
    ("listener", "url", "asked"),
    [
        (a_listener("websecure", 8443), f"https://{HOST}", "https://10.0.0.1:443"),
        (a_listener("web", 8000, "HTTP"), f"http://{HOST}", "http://10.0.0.1:80"),
    ],
)
def test_traefiks_listeners_name_entry_points_and_not_the_ports_of_users(
    listener: dict[str, Any], url: str, asked: str
) -> None:
    """Its Service has 80 and 443 in front of them."""
    metadata = {"name": "public", "uid": "c", "resourceVersion": "1"}
    spec = {"controllerName": "traefik.io/gateway-controller"}
    stored: Cached = objects.cache({"metadata": metadata, "spec": spec}, objects.gateway_class)
    cluster = a_cluster(listener, edge=edges.gateway_classes([stored], ())["public"])

    assert routes.users_url(an_endpoint(), cluster) == url
    assert exposure_target(an_endpoint(), cluster, EdgeAddress("10.0.0.1"))[0] == asked


def test_the_public_url_comes_before_the_gateways() -> None:
    """It is what users call."""
    endpoint = an_endpoint(publicURL="https://cdn.example.com")

    assert routes.users_url(endpoint, a_cluster(HTTPS)) == "https://cdn.example.com"


@pytest.mark.parametrize(
    ("given", "url"),
    [(HTTP, None), (HTTPS, f"https://{HOST}"), (a_listener("http", 8080, "HTTP"), f"http://{HOST}:8080")],
)
def test_a_verdict_is_about_the_listener_too(given: dict[str, Any], url: str | None) -> None:
    """Another scheme or port asks for a new verification; plain HTTP has the hash that it always had."""
    assert routes.url_beside_the_route(an_endpoint(), a_cluster(given)) == url


def test_a_port_of_the_parent_chooses_the_listener() -> None:
    """As the Gateway attaches the route: to the listeners of that port."""
    on_8443 = a_listener("other", 8443)
    endpoint = an_endpoint({"name": "gw", "namespace": "infra", "port": 8443})

    assert routes.users_url(endpoint, a_cluster(HTTP, HTTPS, on_8443)) == f"https://{HOST}:8443"


def test_each_host_has_the_listener_that_serves_it() -> None:
    """With its own scheme and port; the URL in the status has the first one, with the prefix that is taken away."""
    cluster = a_cluster(
        HTTPS | {"hostname": HOST}, a_listener("plain", 8080, "HTTP", hostname="llm.example.org")
    )
    body = {"host": HOST, "hosts": ["llm.example.org"], "stripPrefix": "/qwen"}
    refs = [{"name": "gw", "namespace": "infra"}]
    endpoint = StreamingEndpoint.from_body(
        {
            "metadata": {"name": "llm", "namespace": "chat", "uid": "u"},
            "spec": {
                "model": {"source": {"local": {"path": "/m"}}},
                "exposure": {**body, "httpRoute": {"parentRefs": refs}},
            },
        }
    )

    plan = probe.plan_for(
        endpoint,
        observed(),
        capabilities=cluster,
        edge=EdgeAddress("10.0.0.1"),
        credentials=Credentials(),
        trigger=probe.Trigger(),
        guard=probe.Guard(),
        clock=lambda: NOON,
    )
    asked = [plan.targets[-1], *(further.target for further in plan.further)]

    assert routes.users_url(endpoint, cluster) == f"https://{HOST}/qwen"
    assert [(str(target), target.host_header, target.path) for target in asked] == [
        ("https://10.0.0.1:443", HOST, "/qwen/v1/chat/completions"),
        ("http://10.0.0.1:8080", "llm.example.org:8080", "/qwen/v1/chat/completions"),
    ]
    assert [further.label for further in plan.further] == ["host llm.example.org"]
