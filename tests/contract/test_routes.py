"""Promises that every registered route keeps; a new file in `routes` is tested without an entry here."""

import json
from typing import Any

import pytest

from streaming_operator import render, routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.routes.base import SERVICE_PORT, Route
from streaming_operator.values import Capabilities, Edge, Manifest

EXPOSURES: dict[str, dict[str, Any]] = {
    "ingress": {"ingress": {"className": "some-class", "tls": {"secretName": "tls"}}},
    "httpRoute": {"httpRoute": {"parentRefs": [{"name": "some-gateway"}]}},
}
ALL_ROUTES = pytest.mark.parametrize("route", routes.registry().values(), ids=lambda route: route.name)


def endpoint(route: Route, **exposure: Any) -> StreamingEndpoint:
    """An endpoint exposed the way that the route serves."""
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "qwen", "namespace": "models", "uid": "1"},
            "spec": {
                "model": {"source": {"local": {"path": "/opt/model"}}},
                "exposure": {
                    "host": "qwen.example.com",
                    "pathPrefixes": ["/v1", "/tokenize"],
                    **EXPOSURES[route.exposure],
                    **exposure,
                },
            },
        }
    )


def cluster(route: Route) -> Capabilities:
    """A cluster whose class and Gateway are of the route's profile, and which lists every feature."""
    edge = Edge(profile=route.profile)  # type: ignore[arg-type]
    return Capabilities(
        service_monitors=True,
        http_routes=True,
        ingress_classes={"some-class": edge},
        gateway_classes={"some-gateway-class": edge},
        gateways={"models/some-gateway": "some-gateway-class"},
        request_timeout_classes=frozenset({"some-gateway-class"}),
    )


def strings(value: Any) -> list[str]:
    """Every key and every text of a manifest."""
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in [key, *strings(inner)]]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [str(value)]


def rendered(route: Route, **exposure: Any) -> Manifest:
    """What the route makes on its own kind of edge."""
    return route.render(endpoint(route, **exposure), cluster(route))


@ALL_ROUTES
def test_it_is_chosen_for_its_edge(route: Route) -> None:
    """Exposure and profile lead to the route, and to no other."""
    assert routes.select(endpoint(route), cluster(route)) is route


@ALL_ROUTES
def test_it_makes_what_it_declares(route: Route) -> None:
    """One object of its kind, of the endpoint's name: so it is watched, pruned and permitted."""
    made = rendered(route)

    assert (route.child.api_version, route.child.kind) == (made["apiVersion"], made["kind"])
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("models", "qwen")
    assert route.child in render.CHILD_KINDS


@ALL_ROUTES
def test_it_serves_the_host_the_paths_and_the_service(route: Route) -> None:
    """All that was asked for leaves the cluster, through the endpoint's own Service."""
    values = strings(rendered(route)["spec"])

    assert {"qwen.example.com", "/v1", "/tokenize", "qwen", str(SERVICE_PORT)} <= set(values)


@ALL_ROUTES
def test_it_exposes_nothing_else(route: Route) -> None:
    """/metrics and the like stay inside."""
    paths = {text for text in strings(rendered(route)["spec"]) if text.startswith("/")}

    assert paths == {"/v1", "/tokenize"}


@ALL_ROUTES
def test_it_never_repeats_a_request(route: Route) -> None:
    """A completion is not idempotent: no stanza or annotation that turns retries on."""
    made = rendered(route)
    retrying = {
        key: value for key, value in made["metadata"].get("annotations", {}).items() if "next-upstream" in key
    }

    assert "retry" not in json.dumps(made)
    assert set(retrying.values()) <= {"off"}


@ALL_ROUTES
def test_it_writes_no_snippet(route: Route) -> None:
    """No text of ours or of the user's becomes a proxy's configuration."""
    assert [text for text in strings(rendered(route)) if "snippet" in text] == []


@ALL_ROUTES
def test_it_is_pure(route: Route) -> None:
    """The same endpoint and cluster give the same object, and neither is changed."""
    assert rendered(route) == rendered(route)


@ALL_ROUTES
def test_annotations_are_texts(route: Route) -> None:
    """A number or a switch would be refused by the API server."""
    values = rendered(route)["metadata"].get("annotations", {}).values()

    assert [value for value in values if not isinstance(value, str)] == []


@ALL_ROUTES
def test_a_class_that_does_not_exist_still_renders(route: Route) -> None:
    """The object is written with its portable fields; the observer reports that the class is missing."""
    nowhere = Capabilities(service_monitors=False, http_routes=True)
    chosen = routes.select(endpoint(route), nowhere)

    assert chosen is not None
    assert (route.exposure, "generic") == (chosen.exposure, chosen.profile)
    assert chosen.render(endpoint(route), nowhere)["spec"]


def test_nothing_exposed_needs_no_route() -> None:
    """Inside the cluster the Service is enough."""
    inside = StreamingEndpoint.from_body(
        {"metadata": {"name": "qwen"}, "spec": {"model": {"source": {"local": {"path": "/opt/model"}}}}}
    )

    assert routes.select(inside, Capabilities(True, True)) is None
    assert routes.users_url(inside, Capabilities(True, True)) is None


@pytest.mark.parametrize(
    ("exposure", "url"),
    [
        ({"ingress": {"className": "nginx"}}, "http://qwen.example.com"),
        ({"ingress": {"className": "nginx", "tls": {"secretName": "tls"}}}, "https://qwen.example.com"),
        ({"ingress": {"className": "nginx", "tls": {}}}, "https://qwen.example.com"),
        ({"httpRoute": {"parentRefs": [{"name": "public"}]}}, "http://qwen.example.com"),
    ],
)
def test_the_address_that_users_call(exposure: dict[str, Any], url: str) -> None:
    """TLS at the Ingress makes it https, also with the edge's default certificate."""
    spec = {
        "model": {"source": {"local": {"path": "/opt/model"}}},
        "exposure": {"host": "qwen.example.com", **exposure},
    }

    exposed = StreamingEndpoint.from_body({"metadata": {"name": "qwen"}, "spec": spec})

    assert url == routes.users_url(exposed, Capabilities(True, True))
