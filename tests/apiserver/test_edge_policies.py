"""An edge's own policy beside the route, and the Service of its Gateway, against a real API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.errors import NotOurs
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


@asynccontextmanager
async def behind_a_gateway(
    control_plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings = SWITCHED_ON,
) -> AsyncIterator[tuple[Connected, StreamingEndpoint]]:
    """A cluster that knows Gateway and class, and an endpoint behind them of which nothing is written yet."""
    a_gateway(control_plane, namespace)
    async with connected(control_plane.kubeconfig, monkeypatch, settings) as here:
        await recognised(here, namespace)
        yield here, behind_it(control_plane, namespace)


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


def refuse(control_plane: ControlPlane, policy: Object) -> None:
    """Say as Envoy Gateway does that a policy is not followed."""
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


async def test_a_policy_is_written_beside_the_route_and_goes_with_it(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written once, repaired when somebody changes it, and deleted when the endpoint is no longer exposed."""
    async with behind_a_gateway(control_plane, namespace, monkeypatch) as (here, endpoint):
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


async def test_behind_two_gateways_each_edge_gets_its_policy(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traefik comes first and has none; Envoy Gateway's is written all the same, before the route that both carry."""
    a_gateway(control_plane, namespace)
    group, name = "gateway.networking.k8s.io/v1", f"traefik-{namespace}"
    spec = {"controllerName": "traefik.io/gateway-controller"}
    control_plane.create(
        {"apiVersion": group, "kind": "GatewayClass", "metadata": {"name": name}, "spec": spec}
    )
    listener = {"name": "http", "port": 8000, "protocol": "HTTP"}
    metadata = {"name": "before", "namespace": namespace}
    gateway = {"gatewayClassName": name, "listeners": [listener]}
    control_plane.create({"apiVersion": group, "kind": "Gateway", "metadata": metadata, "spec": gateway})
    async with connected(control_plane.kubeconfig, monkeypatch, SWITCHED_ON) as here:
        await recognised(here, namespace)
        await here.until(lambda: name in here.cluster.capabilities().gateway_classes, "the other class")
        await here.until(lambda: f"{namespace}/before" in here.cluster.capabilities().gateways, "its Gateway")
        parents = [{"name": "before"}, {"name": "public"}]
        endpoint = behind_it(control_plane, namespace, httpRoute={"parentRefs": parents})
        written = (await here.cluster.apply(endpoint, here.children(endpoint))).written
        exposing = [title for title in written if title.startswith(("HTTPRoute", POLICY))]
        assert exposing == [f"{POLICY}/{endpoint.name}", f"HTTPRoute/{endpoint.name}"]
        policy = stored(control_plane, namespace, endpoint.name)
        assert policy is not None
        assert policy["spec"]["timeout"]["http"]["requestTimeout"] == "0s"


async def test_a_policy_of_the_same_name_by_hand_keeps_nothing_else_from_being_written(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is and is named; the workload and the route are written all the same."""
    async with behind_a_gateway(control_plane, namespace, monkeypatch) as (here, endpoint):
        children = here.children(endpoint)
        (ours,) = (child for child in children if child["kind"] == POLICY)
        theirs = {**ours, "metadata": {"name": endpoint.name, "namespace": namespace}}
        control_plane.create(theirs)
        with pytest.raises(NotOurs, match=f"{POLICY}/{endpoint.name} .* is controlled by nobody"):
            await here.cluster.apply(endpoint, children)
        for child in children:
            if child["kind"] != POLICY:
                assert control_plane.get(child)["metadata"]["ownerReferences"]
        policy = stored(control_plane, namespace, endpoint.name)
        assert policy is not None
        assert "ownerReferences" not in policy["metadata"]


async def test_a_policy_that_is_not_switched_on_is_neither_watched_nor_written(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CRD is installed, but the operator has no right to it: the route alone, and no list is tried."""
    async with behind_a_gateway(control_plane, namespace, monkeypatch, Settings()) as (here, endpoint):
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
    async with behind_a_gateway(control_plane, namespace, monkeypatch) as (here, endpoint):
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
        policy = stored(control_plane, namespace, endpoint.name)
        assert policy is not None
        refuse(control_plane, policy)

        def remarked() -> bool:
            route = here.cluster.observe(endpoint, children).route
            return route is not None and route.remark == (
                f"BackendTrafficPolicy {endpoint.name} is not followed by its edge (Conflicted): another one is older"
            )

        await here.until(remarked, "the remark")


def somebodys(namespace: str, target: str, **retry: Any) -> Object:
    """A policy of somebody else with a retry."""
    named = {"group": "gateway.networking.k8s.io", "kind": target.split("/")[0], "name": target.split("/")[1]}
    return {
        "apiVersion": BACKEND_TRAFFIC_POLICIES.api_version,
        "kind": POLICY,
        "metadata": {"name": f"of-{target.split('/')[0].lower()}", "namespace": namespace},
        "spec": {"targetRefs": [named], "retry": retry},
    }


def retrying(here: Connected, namespace: str) -> set[str]:
    """The policies of somebody else in a namespace that the caches hold; other tests leave theirs in theirs."""
    policies = here.cluster._caches.of_others(BACKEND_TRAFFIC_POLICIES)
    return {policy.key[1] for policy in policies if policy.key[0] == namespace}


async def test_a_retry_that_somebody_elses_policy_brings_is_said(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the route, where ours is not followed; not where ours is, nor one on the Gateway, which gives way to ours."""
    async with behind_a_gateway(control_plane, namespace, monkeypatch) as (here, endpoint):
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)

        def remark() -> str:
            route = here.cluster.observe(endpoint, children).route
            return (route.remark or "") if route is not None else ""

        here.woken.clear()
        control_plane.create(somebodys(namespace, "Gateway/public", numRetries=2))
        theirs = control_plane.create(somebodys(namespace, f"HTTPRoute/{endpoint.name}"))
        await here.until_woken(endpoint.key)
        await here.until(lambda: {"of-gateway", "of-httproute"} <= retrying(here, namespace), "both")
        assert remark() == ""

        ours = stored(control_plane, namespace, endpoint.name)
        assert ours is not None
        refuse(control_plane, ours)
        said = f"{POLICY} {namespace}/of-httproute on HTTPRoute {endpoint.name} has the edge send a request again"
        await here.until(lambda: said in remark(), "the remark")
        assert "of-gateway" not in remark()

        here.woken.clear()
        control_plane.patch(theirs, {"spec": {"retry": {"numRetries": 0}}})
        await here.until_woken(endpoint.key)
        assert "send a request again" not in remark()


async def test_somebody_elses_policy_with_a_retry_wakes_its_own_namespace_alone_and_costs_no_write(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the endpoint's name with a retry, too: it stays as it is, and the route is written."""
    async with behind_a_gateway(control_plane, namespace, monkeypatch) as (here, endpoint):
        theirs = somebodys(namespace, f"HTTPRoute/{endpoint.name}", numRetries=2)
        theirs["metadata"]["name"] = endpoint.name
        control_plane.create(theirs)
        await here.until(lambda: retrying(here, namespace) == {endpoint.name}, "it is cached")
        children = here.children(endpoint)
        with pytest.raises(NotOurs, match=f"{POLICY}/{endpoint.name} .* is controlled by nobody"):
            await here.cluster.apply(endpoint, children)
        for child in children:
            if child["kind"] != POLICY:
                assert control_plane.get(child)["metadata"]["ownerReferences"]
        route = here.cluster.observe(endpoint, children).route
        assert route is not None
        assert "send a request again" in (route.remark or "")

        await here.until(
            lambda: bool(here.cluster._caches.of_endpoint(endpoint.key, resources.HTTP_ROUTES)), "cached"
        )
        before = here.writes
        here.woken.clear()
        elsewhere = f"{namespace}-other"
        control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}})
        control_plane.create(somebodys(elsewhere, "Gateway/public"))
        await here.until(lambda: retrying(here, elsewhere) == {"of-gateway"}, "it is cached")
        assert endpoint.key not in here.woken
        assert here.writes == before


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


async def test_a_verification_lists_no_services_once_it_knows_where_its_gateway_listens(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Service is read by its name then, one request each time; and looked for anew when it is another."""
    a_gateway(control_plane, namespace)

    def a_service(name: str) -> Object:
        labels = {
            "gateway.envoyproxy.io/owning-gateway-name": "public",
            "gateway.envoyproxy.io/owning-gateway-namespace": namespace,
        }
        spec = {"ports": [{"port": 80}], "selector": {"app": "envoy"}}
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        return control_plane.create(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        )

    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await recognised(here, namespace)
        endpoints = [behind_it(control_plane, namespace)]
        endpoints.append(
            an_endpoint(
                control_plane,
                namespace,
                "second",
                exposure={"host": "b.example.com", "httpRoute": {"parentRefs": [{"name": "public"}]}},
            )
        )
        lists, reads = [], []
        transport = here.cluster._transport
        plain_get, plain_read = transport.get, transport.read

        async def get(path: str, *words: Any, **more: Any) -> Any:
            if path.endswith("/services"):
                lists.append(path)
            return await plain_get(path, *words, **more)

        async def read(path: str, *words: Any, **more: Any) -> Any:
            if "/services/" in path:
                reads.append(path)
            return await plain_read(path, *words, **more)

        monkeypatch.setattr(transport, "get", get)
        monkeypatch.setattr(transport, "read", read)

        async def asked(endpoint: StreamingEndpoint) -> tuple[tuple[str, ...], int, int]:
            """The addresses, and how many lists and reads of Services they took."""
            lists.clear()
            reads.clear()
            addresses = (await here.cluster.edge_addresses(endpoint)).addresses
            return addresses, len(lists), len(reads)

        assert await asked(endpoints[0]) == ((), 2, 0)
        first = a_service("envoy")
        address = (str(first["spec"]["clusterIP"]),)
        assert await asked(endpoints[0]) == (address, 2, 0)
        assert await asked(endpoints[0]) == (address, 0, 1)
        assert await asked(endpoints[1]) == (address, 0, 1)

        control_plane.delete(first)
        second = a_service("envoy-again")
        assert await asked(endpoints[1]) == ((str(second["spec"]["clusterIP"]),), 2, 1)
        assert await asked(endpoints[0]) == ((str(second["spec"]["clusterIP"]),), 0, 1)


def test_the_policy_is_a_kind_of_its_own() -> None:
    """It serves no host: nobody else's route is compared with it."""
    assert BACKEND_TRAFFIC_POLICIES in resources.POLICIES
    assert BACKEND_TRAFFIC_POLICIES not in resources.ROUTES
