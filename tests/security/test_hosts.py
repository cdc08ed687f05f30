"""On a real API server: whoever comes later gets no request of a host, whatever of the spec is used for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import resources
from streaming_operator.settings import EdgeSetting, HostRule, Settings
from streaming_operator.values import ObservedRoute
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import Connected, an_endpoint, connected, exists, of_kind

pytestmark = pytest.mark.apiserver

NGINX = "nginx.ingress.kubernetes.io"


class Tenants:
    """Two namespaces, an edge with two classes, and the operator's side of the cluster."""

    def __init__(self, plane: ControlPlane, bank: str, tenant: str, class_name: str, here: Connected) -> None:
        self.plane, self.bank, self.tenant, self.class_name, self.here = plane, bank, tenant, class_name, here
        self.host = f"llm.{bank}.example"
        self.second = class_name.replace("one-", "two-")

    def endpoint(
        self, namespace: str, name: str = "chat", host: str = "", **exposure: Any
    ) -> StreamingEndpoint:
        """An endpoint that is exposed by an Ingress."""
        ingress = {"className": self.class_name} | exposure.pop("ingress", {})
        wanted = {"host": host or self.host, "ingress": ingress, **exposure}
        return an_endpoint(self.plane, namespace, name, exposure=wanted)

    def edited(self, endpoint: StreamingEndpoint, spec: Object) -> StreamingEndpoint:
        """The endpoint after a change by its owner."""
        body = {
            "apiVersion": "streamingendpoints.dev/v1alpha1",
            "kind": "StreamingEndpoint",
            "metadata": {"namespace": endpoint.namespace, "name": endpoint.name},
        }
        return StreamingEndpoint.from_body(self.plane.patch(body, {"spec": spec}))

    def filled(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of a table with the names of this test."""
        text = json.dumps(row).replace("@HOST@", self.host).replace("@BANK@", self.bank)
        filled: dict[str, Any] = json.loads(
            text.replace("@ONE@", self.class_name).replace("@TWO@", self.second)
        )
        return filled

    async def route_of(self, endpoint: StreamingEndpoint) -> ObservedRoute:
        """What a pass over the endpoint says of its route."""
        children = self.here.children(endpoint)
        await self.here.cluster.apply(endpoint, children)
        route = self.here.cluster.observe(endpoint, children).route
        assert route is not None
        return route

    def served(self, endpoint: StreamingEndpoint) -> bool:
        """Whether the endpoint has an Ingress."""
        return exists(self.plane, of_kind(self.here.children(endpoint), "Ingress"))

    def an_ingress(self, namespace: str, name: str, host: str, path: str = "/v1", **more: Any) -> Object:
        """An Ingress that no endpoint made; *more* are its class and annotations."""
        backend = {"service": {"name": "x", "port": {"number": 80}}}
        paths = [{"path": path, "pathType": "ImplementationSpecific", "backend": backend}]
        classes = {"ingressClassName": self.class_name} if "class_name" not in more else {}
        if more.get("class_name"):
            classes = {"ingressClassName": more["class_name"]}
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name, "namespace": namespace, "annotations": more.get("annotations", {})},
            "spec": {**classes, "rules": [{"host": host, "http": {"paths": paths}}]},
        }


async def after(endpoint: StreamingEndpoint) -> None:
    """Wait for the next second: creation times have whole seconds, and within one the uid decides."""
    created = datetime.fromisoformat(endpoint.created).timestamp()
    await asyncio.sleep(max(0.0, created + 1 - time.time()))


def a_class(plane: ControlPlane, name: str, controller: str) -> None:
    """An IngressClass."""
    plane.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name},
            "spec": {"controller": controller},
        }
    )


@pytest.fixture
async def tenants(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Tenants]:
    """The bank was there first."""
    tenant = f"{namespace}-evil"
    control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant}})
    mark = namespace.removeprefix("test-")
    for name in ("one", "two"):
        a_class(control_plane, f"{name}-{mark}", f"example.com/{mark}")
    a_class(control_plane, f"other-{mark}", "example.com/other")
    edge = EdgeSetting(
        class_name=f"one-{mark}",
        profile="ingress-nginx",
        allowed_annotations=(f"{NGINX}/server-alias", "traefik.ingress.kubernetes.io/router.priority"),
    )
    async with connected(control_plane.kubeconfig, monkeypatch, Settings(edges=(edge,))) as here:
        yield Tenants(control_plane, namespace, tenant, f"one-{mark}", here)


ATTEMPTS: dict[str, dict[str, Any]] = {
    "the same host and path": {},
    "a longer path": {"pathPrefixes": ["/v1/chat"]},
    "the whole host": {"pathPrefixes": ["/"]},
    "an alias": {"host": "mine.example", "ingress": {"annotations": {f"{NGINX}/server-alias": "@HOST@"}}},
    "one alias of many": {
        "host": "mine.example",
        "ingress": {"annotations": {f"{NGINX}/server-alias": "a.example, @HOST@"}},
    },
    "another class of the same controller": {"ingress": {"className": "@TWO@"}},
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
async def test_a_host_of_another_namespace_is_not_taken(tenants: Tenants, attempt: dict[str, Any]) -> None:
    """No Ingress is written at all; the condition says so, and every other child is there."""
    bank = tenants.endpoint(tenants.bank)
    assert (await tenants.route_of(bank)).problem is None
    await after(bank)
    evil = tenants.endpoint(tenants.tenant, "evil", **tenants.filled(attempt))

    route = await tenants.route_of(evil)

    assert route.problem is not None
    assert (route.exists, route.problem.reason) == (False, Reason.HOST_CONFLICT)
    assert tenants.bank not in route.problem.message.replace(tenants.host, "")
    assert not tenants.served(evil)
    assert exists(tenants.plane, of_kind(tenants.here.children(evil), "Deployment"))
    assert (await tenants.route_of(bank)).problem is None


async def test_an_old_endpoint_that_moves_to_a_host_does_not_take_it(tenants: Tenants) -> None:
    """Age counts among those who ask for a host, and not against the one who has it; also after a restart."""
    evil = tenants.endpoint(tenants.tenant, "evil", host=f"evil.{tenants.bank}.example")
    await tenants.route_of(evil)
    await after(evil)
    bank = tenants.endpoint(tenants.bank)
    bank = tenants.edited(bank, {"replicas": 2})
    await tenants.route_of(bank)
    moved = tenants.edited(evil, {"exposure": {"host": tenants.host}})

    for _ in range(2):
        route = await tenants.route_of(moved)
        assert route.problem is not None
        assert route.problem.reason is Reason.HOST_CONFLICT
        assert not tenants.served(moved)
        assert (await tenants.route_of(bank)).problem is None
        for endpoint in (
            moved,
            bank,
        ):  # as after a restart: nothing is remembered, and the mover is looked at first
            tenants.here.cluster.forget(endpoint.key)
    assert tenants.served(bank)


async def test_a_host_is_not_taken_while_its_ingress_is_missing(tenants: Tenants) -> None:
    """Somebody deleted it by hand: an older endpoint that wants the host is not let in."""
    evil = tenants.endpoint(tenants.tenant, "evil", host=f"evil.{tenants.bank}.example")
    await after(evil)
    bank = tenants.edited(tenants.endpoint(tenants.bank), {"replicas": 2})
    await tenants.route_of(bank)
    moved = tenants.edited(evil, {"exposure": {"host": tenants.host}})
    await tenants.route_of(moved)
    tenants.here.woken.clear()
    tenants.plane.delete(of_kind(tenants.here.children(bank), "Ingress"))
    await tenants.here.until_woken(moved.key)

    assert (await tenants.route_of(moved)).problem is not None
    assert (await tenants.route_of(bank)).problem is None
    assert (tenants.served(moved), tenants.served(bank)) == (False, True)


def hosts_in_rules(tenants: Tenants, endpoint: StreamingEndpoint) -> list[str]:
    """The hosts that the endpoint's Ingress serves."""
    ingress = tenants.plane.get(of_kind(tenants.here.children(endpoint), "Ingress"))
    return [rule["host"] for rule in ingress["spec"]["rules"]]


async def test_a_further_host_of_somebody_else_takes_no_other_host_away(tenants: Tenants) -> None:
    """The route has what is the endpoint's own; the refused host is named by its entry, and comes when it is free."""
    bank = tenants.endpoint(tenants.bank)
    await tenants.route_of(bank)
    await after(bank)
    first, second = f"a.{tenants.tenant}.example", f"b.{tenants.tenant}.example"
    own = tenants.endpoint(tenants.tenant, "chat", host=first)
    assert (await tenants.route_of(own)).problem is None
    before = tenants.plane.get(of_kind(tenants.here.children(own), "Ingress"))["metadata"]["uid"]

    edited = tenants.edited(own, {"exposure": {"hosts": [second, tenants.host]}})
    for _ in range(2):
        route = await tenants.route_of(edited)
        assert route.problem is not None
        assert (route.exists, route.admitted, route.problem.reason) == (True, False, Reason.HOST_CONFLICT)
        assert "change spec.exposure.hosts[1], or" in route.problem.message
        assert f"the route serves {first}, {second}" in route.problem.message
        assert hosts_in_rules(tenants, edited) == [first, second]
        assert (await tenants.route_of(bank)).problem is None
        assert hosts_in_rules(tenants, bank) == [tenants.host]
        for endpoint in (edited, bank):  # as after a restart: nothing is remembered
            tenants.here.cluster.forget(endpoint.key)
    assert tenants.plane.get(of_kind(tenants.here.children(own), "Ingress"))["metadata"]["uid"] == before
    await tenants.route_of(bank)
    await tenants.route_of(edited)

    tenants.here.woken.clear()
    tenants.plane.delete(of_kind(tenants.here.children(bank), "Ingress"))
    await tenants.here.until_woken(edited.key)
    assert (await tenants.route_of(edited)).problem is not None
    assert hosts_in_rules(tenants, edited) == [first, second]
    tenants.here.cluster.forget(bank.key)
    assert (await tenants.route_of(edited)).problem is None
    assert hosts_in_rules(tenants, edited) == [first, second, tenants.host]


FOREIGN: dict[str, dict[str, Any]] = {
    "the same path": {},
    "a shorter path": {"path": "/"},
    "a longer path": {"path": "/v1/chat/completions"},
    "a pattern": {"path": "/v1(/|$)(.*)"},
    "a wildcard": {"host": "*.@BANK@.example"},
    "an alias": {"host": "x.example", "annotations": {f"{NGINX}/server-alias": "y.example,@HOST@"}},
    "the class by annotation": {"class_name": None, "annotations": {"kubernetes.io/ingress.class": "@ONE@"}},
    "no class": {"class_name": None},
    "another class of the controller": {"class_name": "@TWO@"},
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_host_of_somebodys_ingress_is_not_taken(tenants: Tenants, foreign: dict[str, Any]) -> None:
    """Whatever serves the host without an endpoint, and was there first; ours comes when it is gone."""
    ingress = tenants.an_ingress(tenants.bank, "site", **{"host": tenants.host, **tenants.filled(foreign)})
    tenants.plane.create(ingress)
    evil = tenants.endpoint(tenants.tenant, "evil")
    await tenants.here.until(lambda: _known(tenants, "site"), "the Ingress is known")

    route = await tenants.route_of(evil)

    assert route.problem is not None
    assert route.problem.reason is Reason.HOST_CONFLICT
    assert not tenants.served(evil)
    tenants.here.woken.clear()
    tenants.plane.delete(ingress)
    await tenants.here.until_woken(evil.key)
    assert (await tenants.route_of(evil)).problem is None


def _known(tenants: Tenants, name: str) -> bool:
    caches = tenants.here.cluster._caches
    return caches.get(resources.INGRESSES, (tenants.bank, name)) is not None


async def test_what_takes_nothing_from_others_is_served(tenants: Tenants) -> None:
    """Another path of a shared host, another edge, and the same namespace's own division of its host."""
    tenants.plane.create(tenants.an_ingress(tenants.bank, "site", tenants.host, "/app(/|$)(.*)"))
    tenants.plane.create(
        tenants.an_ingress(
            tenants.bank,
            "all",
            f"*.{tenants.bank}.example",
            class_name=tenants.class_name.replace("one-", "other-"),
        )
    )
    tenants.plane.create(tenants.an_ingress(tenants.tenant, "ui", tenants.host, "/"))
    evil = tenants.endpoint(tenants.tenant, "beside")
    await tenants.here.until(lambda: _known(tenants, "all"), "the Ingresses are known")

    assert (await tenants.route_of(evil)).problem is None
    assert tenants.served(evil)


async def test_a_foreign_http_route_holds_its_host_too(tenants: Tenants) -> None:
    """On the same Gateway, by name, by wildcard, or below its path."""
    gateway = {"name": "public", "namespace": tenants.bank}
    tenants.plane.create(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "site", "namespace": tenants.bank},
            "spec": {
                "parentRefs": [gateway],
                "hostnames": [f"*.{tenants.bank}.example"],
                "rules": [{"backendRefs": [{"name": "x", "port": 80}]}],
            },
        }
    )
    for kind, spec in (
        ("GatewayClass", {"controllerName": "example.com/gateway"}),
        (
            "Gateway",
            {
                "gatewayClassName": tenants.bank,
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        ),
    ):
        name = (
            {"name": tenants.bank}
            if kind == "GatewayClass"
            else {"name": "public", "namespace": tenants.bank}
        )
        tenants.plane.create(
            {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": name, "spec": spec}
        )
    evil = an_endpoint(
        tenants.plane,
        tenants.tenant,
        "evil",
        exposure={"host": tenants.host, "httpRoute": {"parentRefs": [gateway]}},
    )
    caches = tenants.here.cluster._caches
    await tenants.here.until(
        lambda: caches.get(resources.HTTP_ROUTES, (tenants.bank, "site")) is not None, "known"
    )
    await tenants.here.until(
        lambda: caches.get(resources.GATEWAYS, (tenants.bank, "public")) is not None, "known"
    )

    route = await tenants.route_of(evil)

    assert route.problem is not None
    assert route.problem.reason is Reason.HOST_CONFLICT
    assert not exists(tenants.plane, of_kind(tenants.here.children(evil), "HTTPRoute"))


async def test_an_annotation_that_is_not_listed_is_refused_before_the_write(tenants: Tenants) -> None:
    """The condition names it and the setting; what was written before stays until it is allowed or removed."""
    evil = tenants.endpoint(tenants.tenant, "evil", host=f"evil.{tenants.bank}.example")
    await tenants.route_of(evil)
    ingress = of_kind(tenants.here.children(evil), "Ingress")
    before = tenants.plane.get(ingress)
    canary = {f"{NGINX}/canary": "true", f"{NGINX}/limit-rps": "5"}

    edited = tenants.edited(evil, {"exposure": {"ingress": {"annotations": canary}}})
    route = await tenants.route_of(edited)
    assert route.problem is not None
    assert route.problem.reason is Reason.ANNOTATION_NOT_ALLOWED
    assert f"{NGINX}/canary may" in route.problem.message
    assert "edges[].allowedAnnotations" in route.problem.message
    assert tenants.plane.get(ingress)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

    fresh = tenants.endpoint(
        tenants.tenant, "fresh", host=f"fresh.{tenants.bank}.example", ingress={"annotations": canary}
    )
    assert (await tenants.route_of(fresh)).exists is False
    assert not tenants.served(fresh)
    assert exists(tenants.plane, of_kind(tenants.here.children(fresh), "Deployment"))


async def test_hosts_belong_to_the_namespaces_that_the_administrator_names(
    control_plane: ControlPlane, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of others is refused, one that was served is taken away, and squatting keeps nobody from its host."""
    squatter = tenants.endpoint(tenants.tenant, "evil")
    await tenants.route_of(squatter)
    rules = (
        HostRule(namespaces=(tenants.bank,), hosts=(f"*.{tenants.bank}.example",)),
        HostRule(namespaces=("*",), hosts=("shared.example",)),
    )
    async with connected(control_plane.kubeconfig, monkeypatch, Settings(host_policy=rules)) as here:
        ruled = Tenants(control_plane, tenants.bank, tenants.tenant, tenants.class_name, here)

        route = await ruled.route_of(squatter)
        assert route.problem is not None
        assert route.problem.reason is Reason.HOST_NOT_ALLOWED
        assert "hostPolicy" in route.problem.message
        assert "shared.example" in route.problem.message
        assert not ruled.served(squatter)

        bank = ruled.endpoint(ruled.bank)
        await here.until(lambda: not _known_of(here, squatter), "the Ingress is gone")
        assert (await ruled.route_of(bank)).problem is None
        assert ruled.served(bank)
        guest = ruled.endpoint(ruled.tenant, "guest", host="shared.example")
        assert (await ruled.route_of(guest)).problem is None

        guest = ruled.edited(guest, {"exposure": {"hosts": [f"mine.{ruled.bank}.example"]}})
        route = await ruled.route_of(guest)
        assert route.problem is not None
        assert route.problem.reason is Reason.HOST_NOT_ALLOWED
        assert "change spec.exposure.hosts[0]" in route.problem.message
        assert hosts_in_rules(ruled, guest) == ["shared.example"]
        bank = ruled.edited(bank, {"exposure": {"hosts": [f"mine.{ruled.bank}.example"]}})
        assert (await ruled.route_of(bank)).problem is None


def _known_of(here: Connected, endpoint: StreamingEndpoint) -> bool:
    return here.cluster._caches.get(resources.INGRESSES, endpoint.key) is not None
