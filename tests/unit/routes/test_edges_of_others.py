"""Edges that no test runs: what their schemas want, whose value wins, and what is said without their policies."""

from dataclasses import replace
from typing import Any

import pytest

from streaming_operator import render, routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.render import policy_kinds
from streaming_operator.routes.ingress_generic import SAFE
from streaming_operator.values import Capabilities, Edge, Manifest

INGRESS: dict[str, Any] = {"ingress": {"className": "edge"}}
HTTP_ROUTE: dict[str, Any] = {"httpRoute": {"parentRefs": [{"name": "public"}]}}


def an_endpoint(exposed: dict[str, Any], **spec: Any) -> StreamingEndpoint:
    """Behind an edge, with the rest of the spec as given."""
    exposure = {"host": "a.example.com", **exposed, "timeouts": spec.pop("timeouts", {})}
    body = {"model": {"source": {"local": {"path": "/m"}}}, "exposure": exposure, **spec}
    return StreamingEndpoint.from_body(
        {"metadata": {"name": "a", "namespace": "chat", "uid": "1"}, "spec": body}
    )


def cluster(profile: str, policies: bool = True) -> Capabilities:
    """Whose classes are of that edge; with every policy switched on, or none."""
    edge = Edge(profile=profile)
    return Capabilities(
        service_monitors=False,
        http_routes=True,
        ingress_classes={"edge": edge},
        gateway_classes={"edge": edge},
        gateways={"chat/public": "edge"},
        policies=frozenset(policy_kinds()) if policies else frozenset(),
    )


def child(kind: str, endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest:
    """The one child of a kind."""
    (found,) = (one for one in render.children(endpoint, capabilities) if one["kind"] == kind)
    return found


def annotations(kind: str, endpoint: StreamingEndpoint, profile: str) -> dict[str, str]:
    """Of that child."""
    found: dict[str, str] = child(kind, endpoint, cluster(profile))["metadata"].get("annotations", {})
    return found


@pytest.mark.parametrize(
    ("seconds", "written"), [(60, "60s"), (9999, "9999s"), (10_000, "167m"), (86_400, "1440m")]
)
def test_a_time_of_nginx_gateway_fabric_has_four_digits(seconds: int, written: str) -> None:
    """Its CRD refuses five; a minute is rounded up, so that no silence is cut that the endpoint allows."""
    endpoint = an_endpoint(HTTP_ROUTE, timeouts={"idleSeconds": seconds})
    policy = child("ProxySettingsPolicy", endpoint, cluster("nginx-gateway-fabric"))

    assert policy["spec"]["timeout"]["read"] == written


def test_times_of_kong_are_milliseconds_on_the_service() -> None:
    """As texts, and the Service of an endpoint behind another edge has none."""
    endpoint = an_endpoint(INGRESS, timeouts={"idleSeconds": 600, "connectSeconds": 3})

    assert annotations("Service", endpoint, "kong") == {
        "konghq.com/read-timeout": "600000",
        "konghq.com/write-timeout": "600000",
        "konghq.com/connect-timeout": "3000",
    }
    assert annotations("Service", endpoint, "cilium") == {}


def test_google_s_limit_is_a_day_where_the_endpoint_has_none() -> None:
    """0 is no value of its field; a drain above its hour is an hour."""
    unlimited = an_endpoint(HTTP_ROUTE, rollout={"drainSeconds": 3600})
    limited = an_endpoint(HTTP_ROUTE, timeouts={"requestSeconds": 90})
    policies = [
        child("GCPBackendPolicy", one, cluster("gke"))["spec"]["default"] for one in (unlimited, limited)
    ]

    assert [one["timeoutSec"] for one in policies] == [86_400, 90]
    assert policies[0]["connectionDraining"] == {"drainingTimeoutSec": 3600}


@pytest.mark.parametrize(
    ("profile", "key"),
    [
        ("f5-nginx-ingress", "nginx.org/proxy-read-timeout"),
        ("haproxytech-ingress", "haproxy.org/timeout-server"),
        ("cilium", "ingress.cilium.io/request-timeout"),
        ("kong", "konghq.com/response-buffering"),
        ("aws-alb", "alb.ingress.kubernetes.io/target-type"),
        ("azure-agc", "alb.networking.azure.io/alb-ingress-extension"),
    ],
)
def test_what_a_user_set_before_the_edge_was_known_stays(profile: str, key: str) -> None:
    """The route of an edge is new, the endpoint is not: its annotation is written as it was."""
    endpoint = an_endpoint({"ingress": {"className": "edge", "annotations": {key: "theirs"}}})

    assert annotations("Ingress", endpoint, profile)[key] == "theirs"


@pytest.mark.parametrize("where", ["ingress", "service"])
@pytest.mark.parametrize("key", ["success-codes", "healthcheck-port", "healthcheck-path"])
def test_a_health_check_of_the_users_is_not_mixed_with_ours(where: str, key: str) -> None:
    """A target that is asked at our path and must answer their code would never be healthy."""
    theirs = {f"alb.ingress.kubernetes.io/{key}": "theirs"}
    given = {"className": "edge", **({"annotations": theirs} if where == "ingress" else {})}
    service = {"service": {"annotations": theirs}} if where == "service" else {}
    made = annotations("Ingress", an_endpoint({"ingress": given}, **service), "aws-alb")

    assert made.get("alb.ingress.kubernetes.io/healthcheck-path", "theirs") == "theirs"


@pytest.mark.parametrize(
    "profile", ["f5-nginx-ingress", "haproxytech-ingress", "cilium", "kong", "aws-alb", "azure-agc"]
)
def test_no_annotation_is_newly_refused(profile: str) -> None:
    """Those that the portable Ingress allows are allowed, as they were before the edge was known."""
    route, usual = (
        routes.of_profile(profile),
        [f"{key}/{name}" for key, names in SAFE.items() for name in names],
    )

    assert route is not None
    assert [key for key in usual if not route.allows(key, Edge(profile=profile))] == []


@pytest.mark.parametrize(
    ("profile", "exposed", "words"),
    [
        ("nginx-gateway-fabric", HTTP_ROUTE, "after 60 s"),
        ("kgateway", HTTP_ROUTE, "after 300 s"),
        ("gke", HTTP_ROUTE, "after 30 s"),
        ("aws-alb", HTTP_ROUTE, "node ports"),
        ("azure-agc", HTTP_ROUTE, "after 60 s"),
        ("azure-agc", INGRESS, "after 60 s"),
    ],
)
def test_what_an_edge_does_without_its_policies_is_said_with_the_switch(
    profile: str, exposed: dict[str, Any], words: str
) -> None:
    """Nothing of it once they may be written."""
    endpoint = an_endpoint(exposed)
    without = routes.remark(endpoint, cluster(profile, policies=False)) or ""

    assert words in without
    assert f"chart: {profile})" in without
    assert "edgePolicies" not in (routes.remark(endpoint, cluster(profile)) or "")


@pytest.mark.parametrize(
    ("profile", "exposed", "longer", "setting"),
    [
        ("cilium", INGRESS, {"timeouts": {"idleSeconds": 301}}, "streamIdleTimeoutDurationSeconds"),
        ("aws-alb", INGRESS, {"timeouts": {"idleSeconds": 61}}, "idle_timeout.timeout_seconds"),
        ("haproxytech-ingress", INGRESS, {"rollout": {"drainSeconds": 1801}}, "hard-stop-after"),
        ("azure-agc", HTTP_ROUTE, {"rollout": {"drainSeconds": 301}}, "nobody can set"),
    ],
)
def test_what_only_the_administrator_can_set_is_said_where_it_matters(
    profile: str, exposed: dict[str, Any], longer: dict[str, Any], setting: str
) -> None:
    """Beyond the edge's own limit, and not up to it."""
    ((part, ((field, seconds),)),) = ((part, tuple(values.items())) for part, values in longer.items())
    within = {part: {field: seconds - 1}}

    assert setting in (routes.remark(an_endpoint(exposed, **longer), cluster(profile)) or "")
    assert routes.remark(an_endpoint(exposed, **within), cluster(profile)) is None


def test_an_ingress_of_azure_names_no_policy_that_is_not_written() -> None:
    """Its Ingress would not be served by a name that leads nowhere."""
    off = replace(cluster("azure-agc"), policies=frozenset())

    assert child("Ingress", an_endpoint(INGRESS), off)["metadata"].get("annotations", {}) == {}
    assert annotations("Ingress", an_endpoint(INGRESS), "azure-agc") == {
        "alb.networking.azure.io/alb-ingress-extension": "a"
    }


@pytest.mark.parametrize(
    ("profile", "kind", "key", "value"),
    [
        ("f5-nginx-ingress", "Ingress", "nginx.org/ssl-services", "a"),
        ("haproxytech-ingress", "Ingress", "haproxy.org/server-ssl", "true"),
        ("kong", "Service", "konghq.com/protocol", "https"),
        ("aws-alb", "Ingress", "alb.ingress.kubernetes.io/backend-protocol", "HTTPS"),
    ],
)
def test_an_edge_that_can_is_told_that_the_pods_speak_tls(
    profile: str, kind: str, key: str, value: str
) -> None:
    """By its own annotation, so that no remark asks for it."""
    endpoint = an_endpoint(INGRESS, engine={"tls": {"secretName": "pods"}})

    assert annotations(kind, endpoint, profile)[key] == value
    assert "the pods speak TLS" not in (routes.remark(endpoint, cluster(profile)) or "")
