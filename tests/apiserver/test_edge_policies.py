"""An edge's own policy beside the route, and the Service of its Gateway, against a real API server."""

from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.routes.envoy_gateway import BACKEND_TRAFFIC_POLICIES, EnvoyGateway
from streaming_operator.settings import Settings
from tests.apiserver.client import ApiError, Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import Connected, an_endpoint, connected

SWITCHED_ON = Settings(edge_policies=("envoy-gateway",))
POLICY = "BackendTrafficPolicy"


def a_gateway(control_plane: ControlPlane, namespace: str, **spec: Any) -> None:
    """A Gateway of Envoy Gateway, of a class of its own."""
    group = "gateway.networking.k8s.io/v1"
    name = f"eg-{namespace}"
    controller = {"controllerName": EnvoyGateway.controllers["httpRoute"][0]}
    control_plane.create(
        {"apiVersion": group, "kind": "GatewayClass", "metadata": {"name": name}, "spec": controller}
    )
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    control_plane.create(
        {
            "apiVersion": group,
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": namespace},
            "spec": {"gatewayClassName": name, "listeners": [listener], **spec},
        }
    )


def behind_it(control_plane: ControlPlane, namespace: str, **exposure: Any) -> StreamingEndpoint:
    """An endpoint whose HTTPRoute has that Gateway."""
    host = f"a.{namespace}.example.com"
    route = {"parentRefs": [{"name": "public"}]}
    return an_endpoint(control_plane, namespace, exposure={"host": host, "httpRoute": route, **exposure})


async def recognised(here: Connected, namespace: str) -> None:
    """Wait until class and Gateway are in the caches."""

    def known() -> bool:
        capabilities = here.cluster.capabilities()
        return (
            f"eg-{namespace}" in capabilities.gateway_classes
            and f"{namespace}/public" in capabilities.gateways
        )

    await here.until(known, "class and Gateway are known")


def stored(control_plane: ControlPlane, namespace: str, name: str) -> Object | None:
    """The endpoint's policy as the API server has it."""
    metadata = {"name": name, "namespace": namespace}
    named = {"apiVersion": BACKEND_TRAFFIC_POLICIES.api_version, "kind": POLICY, "metadata": metadata}
    try:
        return control_plane.get(named)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


async def test_a_policy_is_written_beside_the_route_and_goes_with_it(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written once, repaired when somebody changes it, and deleted when the endpoint is no longer exposed."""
    a_gateway(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch, SWITCHED_ON) as here:
        await recognised(here, namespace)
        endpoint = behind_it(control_plane, namespace)
        applied = await here.cluster.apply(endpoint, here.children(endpoint))
        assert {f"HTTPRoute/{endpoint.name}", f"{POLICY}/{endpoint.name}"} <= set(applied.written)
        policy = stored(control_plane, namespace, endpoint.name)
        assert policy is not None
        assert policy["spec"]["timeout"]["http"] == {"requestTimeout": "0s", "streamIdleTimeout": "3600s"}

        await here.until(
            lambda: bool(here.cluster._caches.of_endpoint(endpoint.key, BACKEND_TRAFFIC_POLICIES)),
            "it is cached",
        )
        before = here.writes
        assert (await here.cluster.apply(endpoint, here.children(endpoint))).writes == 0
        assert here.writes == before

        here.woken.clear()
        control_plane.patch(policy, {"spec": {"timeout": {"http": {"streamIdleTimeout": "5s"}}}})
        await here.until_woken(endpoint.key)
        repaired = await here.cluster.apply(endpoint, here.children(endpoint))
        assert repaired.written == (f"{POLICY}/{endpoint.name}",)

        inside = [child for child in here.children(endpoint) if child["kind"] not in ("HTTPRoute", POLICY)]
        applied = await here.cluster.apply(endpoint, tuple(inside))
        assert set(applied.pruned) == {f"HTTPRoute/{endpoint.name}", f"{POLICY}/{endpoint.name}"}


async def test_a_policy_that_is_not_switched_on_is_neither_watched_nor_written(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CRD is installed, but the operator has no right to it: the route alone, and no list is tried."""
    a_gateway(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await recognised(here, namespace)
        endpoint = behind_it(control_plane, namespace)
        children = here.children(endpoint)

        assert [child["kind"] for child in children if child["kind"] in ("HTTPRoute", POLICY)] == [
            "HTTPRoute"
        ]
        assert not here.cluster._caches.has(BACKEND_TRAFFIC_POLICIES)


async def test_a_policy_goes_with_a_route_that_is_refused(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else serves the host: neither the route nor its policy is written."""
    a_gateway(control_plane, namespace)
    exposure = {"host": f"a.{namespace}.example.com", "httpRoute": {"parentRefs": [{"name": "public"}]}}
    both = [an_endpoint(control_plane, namespace, name, exposure=exposure) for name in ("one", "two")]
    first, second = sorted(both, key=lambda endpoint: (endpoint.created, endpoint.uid))
    async with connected(control_plane.kubeconfig, monkeypatch, SWITCHED_ON) as here:
        await recognised(here, namespace)
        await here.cluster.apply(first, here.children(first))
        applied = await here.cluster.apply(second, here.children(second))

        assert [one for one in applied.written if one.startswith(("HTTPRoute/", POLICY))] == []
        assert stored(control_plane, namespace, second.name) is None


async def test_what_the_edge_says_against_a_policy_is_a_remark(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two policies on a route is not followed: `Exposed` says so, and the stream decides whether it matters."""
    a_gateway(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch, SWITCHED_ON) as here:
        await recognised(here, namespace)
        endpoint = behind_it(control_plane, namespace)
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        policy = stored(control_plane, namespace, endpoint.name)
        assert policy is not None
        condition = {
            "type": "Accepted",
            "status": "False",
            "reason": "Conflicted",
            "message": "another one is older",
            "lastTransitionTime": "2026-11-26T12:00:00Z",
        }
        gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
        ancestor = {"ancestorRef": gateway, "controllerName": "c.example/c", "conditions": [condition]}
        control_plane.patch(policy, {"status": {"ancestors": [ancestor]}}, part="status")

        def remarked() -> bool:
            route = here.cluster.observe(endpoint, children).route
            return route is not None and route.remark == (
                f"BackendTrafficPolicy {endpoint.name} is not followed by its edge (Conflicted): another one is older"
            )

        await here.until(remarked, "the remark")


async def test_a_gateway_without_an_address_is_asked_at_its_own_service(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Service with the Gateway's labels beside it; one with the same labels in a foreign namespace is nobody's."""
    a_gateway(control_plane, namespace)
    elsewhere = f"{namespace}-other"
    control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}})
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": "public",
        "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
    }

    def a_service(place: str) -> str:
        spec = {"ports": [{"port": 80}], "selector": {"app": "envoy"}}
        metadata = {"name": "envoy", "namespace": place, "labels": labels}
        made = control_plane.create(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        )
        return str(made["spec"]["clusterIP"])

    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await recognised(here, namespace)
        endpoint = behind_it(control_plane, namespace)
        a_service(elsewhere)
        assert (await here.cluster.edge_addresses(endpoint)).addresses == ()
        address = a_service(namespace)
        assert (await here.cluster.edge_addresses(endpoint)).addresses == (address,)


def test_the_policy_is_a_kind_of_its_own() -> None:
    """It serves no host: nobody else's route is compared with it."""
    assert BACKEND_TRAFFIC_POLICIES in resources.POLICIES
    assert BACKEND_TRAFFIC_POLICIES not in resources.ROUTES
