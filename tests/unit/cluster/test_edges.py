"""Which edge stands behind a class, and which of its Services is taken for its address."""

from typing import Any

import pytest

from streaming_operator import routes
from streaming_operator.cluster import edges
from streaming_operator.cluster.edge_addresses import gateway_addresses
from streaming_operator.cluster.objects import Cached
from streaming_operator.routes.base import ExposureKind
from streaming_operator.routes.envoy_gateway import BACKEND_TRAFFIC_POLICIES
from streaming_operator.settings import EdgeSetting, Settings, WrongSetting

ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"
KNOWN = [
    (exposure, controller, route.profile)
    for route in routes.registry().values()
    for exposure, controllers in route.controllers.items()
    for controller in controllers
]


def a_class(exposure: ExposureKind, controller: str) -> Cached:
    """A class of one controller."""
    field = "controller" if exposure == "ingress" else "controllerName"
    metadata = {"name": "edge", "uid": "u", "resourceVersion": "1"}
    return Cached({"metadata": metadata, "spec": {field: controller}})


def a_service(kind: str = "ClusterIP", address: str = "10.96.0.7", **spec: Any) -> dict[str, Any]:
    """The Service of a Gateway."""
    usual = {"type": kind, "clusterIP": address, "ports": [{"port": 80}], "selector": {"app": "envoy"}}
    return {"spec": usual | spec}


@pytest.mark.parametrize(("exposure", "controller", "profile"), KNOWN)
def test_a_known_controller_is_recognised(exposure: ExposureKind, controller: str, profile: str) -> None:
    """For the kind of class that it serves; nothing follows from the class's name."""
    classes = [a_class(exposure, controller)]
    found = (
        edges.ingress_classes(classes, ()) if exposure == "ingress" else edges.gateway_classes(classes, ())
    )

    assert found["edge"].profile == profile


def test_the_administrators_setting_refines_what_is_recognised() -> None:
    """An entry without a profile keeps the recognised one and adds where it listens; one with a profile decides."""
    classes = [a_class("httpRoute", ENVOY)]
    where = EdgeSetting(gateway_class="edge", service="infra/envoy")
    other = EdgeSetting(gateway_class="edge", profile="generic")

    assert (edge := edges.gateway_classes(classes, [where])["edge"]).profile == "envoy-gateway"
    assert edge.service == "infra/envoy"
    assert edges.gateway_classes(classes, [other])["edge"].profile == "generic"


@pytest.mark.parametrize(
    ("controller", "profile", "expected"),
    [
        ("traefik.io/gateway-controller", None, True),
        ("traefik.io/gateway-controller", "generic", True),
        ("", "traefik", True),
        (ENVOY, None, False),
    ],
    ids=["recognised", "as any other edge", "by the list alone", "another edge"],
)
def test_whether_listeners_name_the_ports_of_pods_is_known_of_each_traefik(
    controller: str, profile: str | None, expected: bool
) -> None:
    """By its controller, or by the administrator's list where the class cannot be read."""
    setting = EdgeSetting(gateway_class="edge", profile=profile)
    found = edges.gateway_classes([a_class("httpRoute", controller)], [setting])

    assert found["edge"].ports_of_pods is expected


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(edges=(EdgeSetting(class_name="a", profile="caddy"),)), "EDGES[0].profile: known are"),
        (
            Settings(edge_policies=("ingress-nginx",)),
            f"EDGE_POLICIES: profiles with policies are {', '.join(routes.with_policies())}",
        ),
    ],
)
def test_a_profile_that_does_not_exist_is_refused(settings: Settings, named: str) -> None:
    """At start, with the variable and what there is."""
    with pytest.raises(WrongSetting) as refusal:
        edges.check(settings)

    assert named in str(refusal.value)


def test_the_policies_that_may_be_written_are_those_of_the_edges_that_are_switched_on() -> None:
    """None by default."""
    assert edges.policies(Settings()) == frozenset()
    assert edges.policies(Settings(edge_policies=("envoy-gateway",))) == {BACKEND_TRAFFIC_POLICIES}


@pytest.mark.parametrize(
    ("reported", "services", "expected"),
    [
        ((), [a_service()], ("10.96.0.7",)),
        ((), [a_service("LoadBalancer")], ("10.96.0.7",)),
        (("192.0.2.1",), [a_service("LoadBalancer")], ("192.0.2.1",)),
        (("edge-istio.infra.svc.cluster.local",), [a_service()], ("edge-istio.infra.svc.cluster.local",)),
        (("192.0.2.1",), [a_service("NodePort")], ("10.96.0.7", "192.0.2.1")),
        ((), [a_service(address="None")], ()),
        ((), [a_service(ports=[{"port": 8443}])], ()),
        ((), [a_service(selector={})], ()),
        ((), [a_service("ExternalName")], ()),
        ((), [], ()),
    ],
    ids=[
        "no status",
        "a load balancer that never got an address",
        "the status first",
        "a host name in the status",
        "NodePort, whose status names nodes",
        "a headless Service",
        "another port",
        "a Service that leads anywhere",
        "a name elsewhere",
        "nothing known",
    ],
)
def test_a_gateways_service_is_where_it_listens_when_its_status_does_not_say(
    reported: tuple[str, ...], services: list[dict[str, Any]], expected: tuple[str, ...]
) -> None:
    """Only one that has the port, and pods of its own behind it."""
    assert gateway_addresses(reported, services, 80) == expected
