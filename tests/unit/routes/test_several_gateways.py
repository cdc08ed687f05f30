"""An endpoint with Gateways of several implementations: each edge gets what it needs."""

from dataclasses import replace
from typing import Any

import pytest

from streaming_operator import render, routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.render import policy_kinds
from streaming_operator.values import Capabilities, Edge, Manifest


def behind(*profiles: str) -> StreamingEndpoint:
    """An endpoint with a Gateway of each profile, named after it."""
    exposure = {"host": "a.example.com", "httpRoute": {"parentRefs": [{"name": name} for name in profiles]}}
    spec: dict[str, Any] = {"model": {"source": {"local": {"path": "/m"}}}, "exposure": exposure}
    return StreamingEndpoint.from_body(
        {"metadata": {"name": "chat", "namespace": "demo", "uid": "1"}, "spec": spec}
    )


def cluster(*profiles: str, without: tuple[str, ...] = ()) -> Capabilities:
    """A cluster with a Gateway of each profile, and every policy but those of the kinds *without*."""
    return Capabilities(
        service_monitors=False,
        http_routes=True,
        gateway_classes={profile: Edge(profile=profile) for profile in profiles},
        gateways={f"demo/{profile}": profile for profile in profiles},
        policies=frozenset(kind for kind in policy_kinds() if kind.kind not in without),
    )


def exposing(*profiles: str, without: tuple[str, ...] = ()) -> tuple[Manifest, ...]:
    """What is rendered for an endpoint behind them."""
    return render.exposing(behind(*profiles), cluster(*profiles, without=without))


def test_every_edge_gets_its_policy() -> None:
    """Whichever Gateway comes first: behind an edge without policies Envoy would end every stream after 15 s."""
    for order in (("traefik", "envoy-gateway", "kgateway"), ("kgateway", "envoy-gateway", "traefik")):
        kinds = {one["kind"] for one in exposing(*order)}
        assert kinds == {"BackendTrafficPolicy", "TrafficPolicy", "HTTPRoute"}


def test_a_policy_that_may_not_be_written_leaves_the_others() -> None:
    """The administrator names edges one by one."""
    kinds = [one["kind"] for one in exposing("envoy-gateway", "kgateway", without=("TrafficPolicy",))]
    assert kinds == ["BackendTrafficPolicy", "HTTPRoute"]


def test_two_gateways_of_one_implementation_have_one_policy() -> None:
    """It targets the HTTPRoute, which both carry."""
    endpoint = behind("one", "two")
    capabilities = Capabilities(
        service_monitors=False,
        http_routes=True,
        gateway_classes={"class": Edge(profile="envoy-gateway")},
        gateways={"demo/one": "class", "demo/two": "class"},
        policies=frozenset(policy_kinds()),
    )
    made = render.exposing(endpoint, capabilities)
    assert [one["kind"] for one in made] == ["BackendTrafficPolicy", "HTTPRoute"]


def test_the_service_and_the_route_have_what_each_edge_reads() -> None:
    """Kong reads time limits from the Service and its buffering from the HTTPRoute, although it comes second."""
    order = ("envoy-gateway", "kong")
    (route,) = (one for one in exposing(*order) if one["kind"] == "HTTPRoute")
    assert route["metadata"]["annotations"] == {"konghq.com/response-buffering": "false"}
    told = routes.service_annotations(behind(*order), cluster(*order))
    assert told["konghq.com/read-timeout"] == "3600000"


def test_an_edge_that_ignores_a_time_limit_does_not_keep_it_from_one_that_needs_it() -> None:
    """Traefik serves the route as it is; for Contour, which has no policy, `0s` is what lifts its 15 s."""
    profiles = ("traefik", "contour")
    takes = frozenset({"contour"})
    known = replace(
        cluster(*profiles), request_timeout_classes=takes, ignoring_request_timeout=frozenset({"traefik"})
    )
    (route,) = render.exposing(behind(*profiles), known)
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s"}
    assert "ends every response" not in (routes.remark(behind(*profiles), known) or "")


@pytest.mark.parametrize("profile", ["contour", "envoy-gateway", "kgateway"])
def test_a_limit_that_another_gateway_keeps_is_said(profile: str) -> None:
    """Where one of them may refuse the field and no policy is written."""
    profiles = (profile, "cilium")
    known = replace(cluster(*profiles), request_timeout_classes=frozenset({profile}), policies=frozenset())
    (route,) = render.exposing(behind(*profiles), known)
    assert "timeouts" not in route["spec"]["rules"][0]
    assert "ends every response after 15 s" in (routes.remark(behind(*profiles), known) or "")


def test_every_edge_is_remarked_on() -> None:
    """What Envoy Gateway cannot be told is said, although another Gateway comes first."""
    order = ("traefik", "envoy-gateway", "istio")
    said = routes.remark(behind(*order), cluster(*order)) or ""
    assert "Envoy Gateway ends them after 60 s" in said
    assert "Istio's gateway ends them after 5 s" in said


def test_one_gateway_has_the_hash_that_it_had() -> None:
    """A policy is written before its route by now, and no verdict of an endpoint that streams is lost by that."""
    policy, route = exposing("envoy-gateway")
    assert (policy["kind"], route["kind"]) == ("BackendTrafficPolicy", "HTTPRoute")
    assert render.route_hash((policy, route)) == render.route_hash((route, policy))
