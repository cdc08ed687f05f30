"""Promises that every registered route keeps; a new file in `routes` is tested without an entry here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streaming_operator import engines, render, routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.probe.judge.fingerprint import Proxy
from streaming_operator.routes.base import HEALTH_PATH, KINDS, ExposureKind, Route, service_port
from streaming_operator.routes.ingress_generic import SAFE
from streaming_operator.values import Capabilities, Edge, Manifest
from tests import golden

SNIPPETS = (
    "configuration-snippet",
    "server-snippets",
    "location-snippets",
    "backend-config-snippet",
    "config-backend",
)
DOCS = Path(__file__).resolve().parents[2] / "docs" / "edges"

EXPOSURES: dict[str, dict[str, Any]] = {
    "ingress": {"ingress": {"className": "some-class", "tls": {"secretName": "tls"}}},
    "httpRoute": {"httpRoute": {"parentRefs": [{"name": "some-gateway"}]}},
}
ALL_ROUTES = pytest.mark.parametrize(
    ("route", "exposure"),
    [(route, exposure) for route in routes.registry().values() for exposure in route.controllers],
    ids=lambda value: getattr(value, "name", value),
)


def endpoint(exposure: ExposureKind, **changes: Any) -> StreamingEndpoint:
    """An endpoint exposed in one of the ways."""
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "qwen", "namespace": "models", "uid": "1"},
            "spec": {
                "model": {"source": {"local": {"path": "/opt/model"}}},
                "exposure": {
                    "host": "qwen.example.com",
                    "pathPrefixes": ["/v1", "/tokenize"],
                    **(EXPOSURES[exposure] | changes),
                },
            },
        }
    )


def cluster(route: Route) -> Capabilities:
    """A cluster whose class and Gateway are of the route's profile, and which lists every feature."""
    edge = Edge(profile=route.profile)
    return Capabilities(
        service_monitors=True,
        http_routes=True,
        ingress_classes={"some-class": edge},
        gateway_classes={"some-gateway-class": edge},
        gateways={"models/some-gateway": "some-gateway-class"},
        request_timeout_classes=frozenset({"some-gateway-class"}),
        policies=frozenset(render.policy_kinds()),
    )


def annotations(manifest: Manifest) -> dict[str, Any]:
    """Of one object."""
    found: dict[str, Any] = manifest["metadata"].get("annotations", {})
    return found


def strings(value: Any) -> list[str]:
    """Every key and every text of a manifest."""
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in [key, *strings(inner)]]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [str(value)]


def rendered(route: Route, exposure: ExposureKind) -> tuple[Manifest, ...]:
    """What the route makes on its own kind of edge."""
    return route.render(endpoint(exposure), cluster(route))


@ALL_ROUTES
def test_it_is_chosen_for_its_edge(route: Route, exposure: ExposureKind) -> None:
    """Exposure and profile lead to the route, and to no other."""
    assert routes.select(endpoint(exposure), cluster(route)) is route


@ALL_ROUTES
def test_it_makes_what_it_declares(route: Route, exposure: ExposureKind) -> None:
    """The route first, then its policies, one object a kind, of the endpoint's name: so all are watched and pruned."""
    made = rendered(route, exposure)
    kinds = [(one["apiVersion"], one["kind"]) for one in made]
    declared = [(kind.api_version, kind.kind) for kind in (KINDS[exposure], *route.policies)]

    assert kinds[0] == declared[0]
    assert set(kinds) <= set(declared)
    assert len(kinds) == len({kind for _, kind in kinds})
    assert {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in made} == {("models", "qwen")}
    assert {KINDS[exposure], *route.policies} <= set(render.CHILD_KINDS)


@ALL_ROUTES
def test_every_object_is_owned_by_its_endpoint(route: Route, exposure: ExposureKind) -> None:
    """The garbage collector deletes all of them without the operator."""
    made = rendered(route, exposure)

    assert [[owner["uid"] for owner in one["metadata"]["ownerReferences"]] for one in made] == [["1"]] * len(
        made
    )


@ALL_ROUTES
def test_its_policies_are_of_kinds_that_a_cluster_may_lack(route: Route, exposure: ExposureKind) -> None:
    """They are CRDs of the edge's project: nothing waits for them, and nothing is written where they are missing."""
    assert [kind.plural for kind in route.policies if not kind.optional] == []


@ALL_ROUTES
def test_without_the_right_to_its_policies_the_route_alone_is_written(
    route: Route, exposure: ExposureKind
) -> None:
    """A policy whose CRD is missing, or which the administrator does not allow, is not rendered; the route stays."""
    without = replace(cluster(route), policies=frozenset())
    made = render.exposing(endpoint(exposure), without)

    assert [(one["apiVersion"], one["kind"]) for one in made] == [
        (KINDS[exposure].api_version, KINDS[exposure].kind)
    ]


@ALL_ROUTES
def test_its_policies_name_its_route_alone(route: Route, exposure: ExposureKind) -> None:
    """A policy on a Gateway or on a namespace would change the requests of others."""
    targets = [
        (target["kind"], target["name"])
        for policy in rendered(route, exposure)[1:]
        for key in ("targetRefs", "targetRef", "targetReference")
        if (named := policy["spec"].get(key)) is not None
        for target in (named if isinstance(named, list) else [named])
    ]

    assert set(targets) <= {(KINDS[exposure].kind, "qwen"), ("Service", "qwen")}


@ALL_ROUTES
def test_it_serves_the_host_the_paths_and_the_service(route: Route, exposure: ExposureKind) -> None:
    """All that was asked for leaves the cluster, through the endpoint's own Service."""
    values = strings(rendered(route, exposure)[0]["spec"])
    port = str(service_port(endpoint(exposure)).number)

    assert {"qwen.example.com", "/v1", "/tokenize", "qwen", port} <= set(values)


@ALL_ROUTES
def test_it_exposes_nothing_else(route: Route, exposure: ExposureKind) -> None:
    """/metrics and the like stay inside."""
    paths = {
        text for one in rendered(route, exposure) for text in strings(one["spec"]) if text.startswith("/")
    }

    assert paths - {HEALTH_PATH} == {"/v1", "/tokenize"}
    assert HEALTH_PATH not in strings(rendered(route, exposure)[0]["spec"])


@ALL_ROUTES
def test_it_never_repeats_a_request(route: Route, exposure: ExposureKind) -> None:
    """A completion is not idempotent: no stanza or annotation that turns retries on."""
    made = rendered(route, exposure)
    retrying = {
        key: value
        for one in made
        for key, value in one["metadata"].get("annotations", {}).items()
        if "next-upstream" in key
    }

    assert "retry" not in json.dumps(made)
    assert set(retrying.values()) <= {"off"}


@ALL_ROUTES
def test_it_writes_no_snippet(route: Route, exposure: ExposureKind) -> None:
    """No text of the user's becomes a proxy's configuration, and of ours the one fixed line that HAProxy needs."""
    lines = {
        value
        for one in rendered(route, exposure)
        for key, value in annotations(one).items()
        if "snippet" in key or key.rpartition("/")[2].startswith("config")
    }

    assert lines <= {"option http-no-delay"}
    assert [
        text for one in rendered(route, exposure) for text in strings(one["spec"]) if "snippet" in text
    ] == []
    assert not any(route.allows(f"{prefix}/{name}", None) for prefix in SAFE for name in SNIPPETS)


@ALL_ROUTES
def test_it_is_pure(route: Route, exposure: ExposureKind) -> None:
    """The same endpoint and cluster give the same objects, and neither is changed."""
    assert rendered(route, exposure) == rendered(route, exposure)


@ALL_ROUTES
def test_annotations_are_texts(route: Route, exposure: ExposureKind) -> None:
    """A number or a switch would be refused by the API server."""
    values = [value for one in rendered(route, exposure) for value in annotations(one).values()]

    assert [value for value in values if not isinstance(value, str)] == []


@ALL_ROUTES
def test_what_it_sets_itself_is_refused_of_users_or_theirs_wins(route: Route, exposure: ExposureKind) -> None:
    """Two answers for one annotation would be a quarrel; nothing that a user may set is replaced silently."""
    own = annotations(rendered(route, exposure)[0])
    users = {key: "of the user" for key in own if route.allows(key, Edge(profile=route.profile))}
    given = {exposure: {**EXPOSURES[exposure][exposure], "annotations": users}} if users else {}
    made = annotations(route.render(endpoint(exposure, **given), cluster(route))[0])

    assert {key: made[key] for key in users} == users


@ALL_ROUTES
def test_what_it_sets_on_the_service_gives_way_to_the_user(route: Route, exposure: ExposureKind) -> None:
    """`service.annotations` are the user's own object's: nothing of ours replaces them."""
    own = dict(route.service_annotations(endpoint(exposure), cluster(route)))
    body = endpoint(exposure).model_dump(by_alias=True, exclude_none=True)["spec"]
    body["service"] = {"annotations": dict.fromkeys(own, "of the user")}
    named = {"metadata": {"name": "qwen", "namespace": "models", "uid": "1"}, "spec": body}
    made = render.children(StreamingEndpoint.from_body(named), cluster(route))
    service = next(child for child in made if child["kind"] == "Service")

    assert {key: annotations(service)[key] for key in own} == dict.fromkeys(own, "of the user")
    assert [value for value in own.values() if not isinstance(value, str)] == []


@ALL_ROUTES
def test_what_it_sets_on_the_service_is_declared(route: Route, exposure: ExposureKind) -> None:
    """So that it counts for the hash by which a verdict belongs to one route."""
    assert route.service_annotations(endpoint(exposure), cluster(route)).keys() <= route.on_service


@pytest.mark.parametrize("engine", engines.registry().values(), ids=lambda engine: engine.name)
def test_every_engine_answers_where_load_balancers_ask(engine: engines.Engine) -> None:
    """One path for all engines: a load balancer's own check has no choice by engine."""
    assert engine.health_path == HEALTH_PATH


@ALL_ROUTES
def test_a_class_that_does_not_exist_still_renders(route: Route, exposure: ExposureKind) -> None:
    """The route is written with its portable fields; the observer reports that the class is missing."""
    nowhere = Capabilities(service_monitors=False, http_routes=True)
    chosen = routes.select(endpoint(exposure), nowhere)

    assert chosen is not None
    assert chosen.profile == "generic"
    assert [one["kind"] for one in chosen.render(endpoint(exposure), nowhere)] == [KINDS[exposure].kind]
    assert routes.remark(endpoint(exposure), nowhere) is None


@pytest.mark.parametrize("route", routes.registry().values(), ids=lambda route: route.name)
def test_its_remedies_are_for_proxies_that_are_recognised(route: Route) -> None:
    """A name that no response is given would choose no row; its scope is no other one's."""
    others = {"engine", "any", "url", *Proxy} - {Proxy.INGRESS_NGINX}  # its own rows are nginx'

    assert set(route.proxies) <= {"", *Proxy}
    assert bool(route.remedies) == bool(route.proxies)
    assert route.name not in others


KNOWN = [route for route in routes.registry().values() if route.profile != routes.GENERIC]


@pytest.mark.parametrize("route", KNOWN, ids=lambda route: route.name)
def test_a_known_edge_has_its_page_and_its_golden_case(route: Route) -> None:
    """What it does to a stream is written down, and what it renders is there to read."""
    profiles = {
        edge.profile
        for case in golden.cases()
        for edge in (
            *case.capabilities().ingress_classes.values(),
            *case.capabilities().gateway_classes.values(),
        )
    }

    assert (DOCS / f"{route.profile}.md").is_file()
    assert route.profile in profiles


def test_each_controller_is_of_one_edge() -> None:
    """Otherwise the order of the files decided."""
    known = [
        (exposure, value)
        for route in routes.registry().values()
        for exposure, values in route.controllers.items()
        for value in values
    ]

    assert len(known) == len(set(known))


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
