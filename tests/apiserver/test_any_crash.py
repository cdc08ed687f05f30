"""Promise 4: killed before or after any API call, the operator converges to the same objects and status."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import Cluster
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.settings import Settings
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import Connected, an_endpoint, connected

pytestmark = pytest.mark.apiserver

WRITES = 6
"""The writes of a first pass: five children and the status."""


class Killed(BaseException):
    """The process is gone: nothing catches this, nothing is cleaned up."""


def die(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, nth: int, *, before: bool) -> None:
    """Let the process end before or after its *nth* write, counted from now on."""
    transport = cluster._transport
    send: Callable[..., Awaitable[Any]] = transport._once
    count = 0

    async def once(method: str, *args: Any) -> Any:
        nonlocal count
        count += method != "GET"
        if before and method != "GET" and count >= nth:
            raise Killed
        answer = await send(method, *args)
        if method != "GET" and count >= nth:
            raise Killed
        return answer

    monkeypatch.setattr(transport, "_once", once)


async def passes(here: Connected, endpoint: StreamingEndpoint, body: Object) -> None:
    """Passes until two in a row write nothing."""
    reconciler = Reconciler(here.cluster, Settings(), lambda key: None)
    reconciler.update(endpoint.key, body)
    quiet = 0
    while quiet < 2:
        writes = here.writes
        await reconciler.process(endpoint.key)
        quiet = quiet + 1 if here.writes == writes else 0


def end_state(plane: ControlPlane, here: Connected, endpoint: StreamingEndpoint, body: Object) -> Object:
    """What is stored in the end, without what differs between any two objects."""
    stored = {child["kind"]: plane.get(child) for child in here.children(endpoint)}
    comparable = {
        kind: {
            "labels": child["metadata"].get("labels"),
            "spec": child.get("spec"),
            "data": child.get("data"),
        }
        for kind, child in stored.items()
    }
    comparable["Service"]["spec"] = {**comparable["Service"]["spec"], "clusterIP": "", "clusterIPs": []}
    status = plane.get(body)["status"]
    for condition in status["conditions"]:
        del condition["lastTransitionTime"]
    return {"children": comparable, "status": status}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_killed_around_any_write_the_end_is_the_same(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, nth: int, before: bool
) -> None:
    """One endpoint is made without a crash, its twin with one around the n-th write; both end alike."""
    plane = control_plane
    ends = []
    for crash in (False, True):
        namespace = f"crash-{nth}-{int(before)}-{int(crash)}"
        plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        endpoint = an_endpoint(plane, namespace, exposure=None, replicas=2)
        body = plane.get(_named(namespace))
        if crash:
            async with connected(plane.kubeconfig, monkeypatch) as doomed:
                die(doomed.cluster, monkeypatch, nth, before=before)
                with pytest.raises(Killed):
                    await passes(doomed, endpoint, body)
                monkeypatch.undo()
        async with connected(plane.kubeconfig, monkeypatch) as here:
            await passes(here, endpoint, plane.get(_named(namespace)))
            end = end_state(plane, here, endpoint, body)
        ends.append(_without(end, namespace))

    assert ends[1] == ends[0]


def _named(namespace: str) -> Object:
    return {
        "apiVersion": "streamingendpoints.dev/v1alpha1",
        "kind": "StreamingEndpoint",
        "metadata": {"name": "chat", "namespace": namespace},
    }


def _without(value: Any, namespace: str) -> Any:
    """The same value with its namespace masked."""
    if isinstance(value, dict):
        return {key: _without(entry, namespace) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without(entry, namespace) for entry in value]
    return value.replace(namespace, "NAMESPACE") if isinstance(value, str) else value
