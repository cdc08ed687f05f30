"""Passes over endpoints on a real API server: a bad one does not disturb the others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.controller.workqueue import Retry
from streaming_operator.settings import Settings
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import Connected, an_endpoint, connected, exists, of_kind

pytestmark = pytest.mark.apiserver


class Bench:
    """A reconciler on a real API server, driven pass by pass."""

    def __init__(self, plane: ControlPlane, here: Connected, namespace: str) -> None:
        self.plane, self.here, self.namespace = plane, here, namespace
        self.reconciler = Reconciler(here.cluster, Settings(), lambda key: None)

    def endpoint(self, name: str = "chat", **spec: Any) -> StreamingEndpoint:
        """A new endpoint."""
        return an_endpoint(self.plane, self.namespace, name, **spec)

    def stored(self, endpoint: StreamingEndpoint) -> Object:
        """The endpoint as the API server has it."""
        return self.plane.get(
            {
                "apiVersion": "streamingendpoints.dev/v1alpha1",
                "kind": "StreamingEndpoint",
                "metadata": {"name": endpoint.name, "namespace": endpoint.namespace},
            }
        )

    async def look(self, endpoint: StreamingEndpoint) -> None:
        """One pass with the newest body."""
        self.reconciler.update(endpoint.key, self.stored(endpoint))
        await self.reconciler.process(endpoint.key)

    def said(self, endpoint: StreamingEndpoint, kind: str) -> tuple[str, str]:
        """Status and reason of a condition, as stored."""
        conditions = self.stored(endpoint)["status"]["conditions"]
        entry = next(entry for entry in conditions if entry["type"] == kind)
        return entry["status"], entry["reason"]

    def has(self, child: Object) -> bool:
        """Whether this object is stored."""
        return exists(self.plane, child)


@pytest.fixture
async def bench(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    """A reconciler with filled caches."""
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        yield Bench(control_plane, here, namespace)


async def test_an_exception_becomes_a_condition_and_touches_no_other_endpoint(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in the operator is reported on the endpoint that met it; the others are served."""
    broken, fine = bench.endpoint("broken"), bench.endpoint("fine")
    children = render.children

    def faulty(endpoint: StreamingEndpoint, *rest: Any) -> Any:
        if endpoint.name == "broken":
            raise ZeroDivisionError("a fault of ours")
        return children(endpoint, *rest)

    monkeypatch.setattr(render, "children", faulty)
    with pytest.raises(Retry):
        await bench.look(broken)
    await bench.look(fine)

    assert bench.said(broken, "Reconciling") == ("True", "InternalError")
    assert bench.said(fine, "Reconciling") == ("True", "Progressing")
    assert bench.has(of_kind(bench.here.children(fine), "Deployment"))


async def test_a_foreign_object_stalls_with_its_name_and_nothing_is_written(bench: Bench) -> None:
    """A Service of the endpoint's name that is somebody else's stops the endpoint before its first write."""
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": bench.namespace},
        "spec": {"ports": [{"port": 80}]},
    }
    bench.plane.create(foreign)
    endpoint = bench.endpoint()
    with pytest.raises(Retry):
        await bench.look(endpoint)

    assert bench.said(endpoint, "Stalled") == ("True", "NameTaken")
    assert not bench.has(of_kind(bench.here.children(endpoint), "Deployment"))

    bench.plane.delete(foreign)
    await bench.look(endpoint)
    assert bench.said(endpoint, "Stalled") == ("False", "NotStalled")


async def test_a_suspended_endpoint_gets_no_children(bench: Bench) -> None:
    """`suspend` leaves the cluster as it is, and says so."""
    endpoint = bench.endpoint(suspend=True)
    await bench.look(endpoint)

    assert bench.said(endpoint, "Reconciling") == ("False", "Suspended")
    assert not any(bench.has(child) for child in bench.here.children(endpoint))


async def test_a_spec_that_an_older_schema_let_through_stalls_and_leaves_the_children_alone(
    bench: Bench,
) -> None:
    """What the operator cannot read is reported with path and rule; what runs goes on running."""
    endpoint = bench.endpoint()
    await bench.look(endpoint)
    body = bench.stored(endpoint)
    body["spec"]["gpu"] = {"count": -1}
    bench.reconciler.update(endpoint.key, body)
    await bench.reconciler.process(endpoint.key)

    assert bench.said(endpoint, "Stalled") == ("True", "InvalidSpec")
    assert "spec.gpu.count" in str(bench.stored(endpoint)["status"]["conditions"])
    assert bench.has(of_kind(bench.here.children(endpoint), "Deployment"))


async def test_a_status_edited_by_hand_is_put_right(bench: Bench) -> None:
    """The status has one writer."""
    endpoint = bench.endpoint()
    await bench.look(endpoint)
    await bench.look(endpoint)
    bench.plane.patch(bench.stored(endpoint), {"status": {"url": "http://elsewhere"}}, part="status")
    await bench.look(endpoint)

    assert bench.stored(endpoint)["status"]["url"] == f"http://chat.{bench.namespace}.example.com"


async def test_an_endpoint_that_is_gone_leaves_no_trace(bench: Bench) -> None:
    """A pass that comes too late makes no child and reports nothing."""
    endpoint = bench.endpoint()
    body = bench.stored(endpoint)
    bench.plane.delete(body)
    bench.reconciler.update(endpoint.key, body)

    assert await bench.reconciler.process(endpoint.key) is None
    assert not any(bench.has(child) for child in bench.here.children(endpoint))
