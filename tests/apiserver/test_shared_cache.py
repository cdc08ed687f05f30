"""Pods that would download into one claim at the same time start one after the other."""

from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import Connected, an_endpoint, connected, of_kind

pytestmark = pytest.mark.apiserver

SHARED = {"cache": {"persistentVolumeClaim": {"claimName": "weights"}}, "replicas": 3}


async def passed(here: Connected, plane: ControlPlane, endpoint: StreamingEndpoint) -> int:
    """The replicas that a pass leaves in the Deployment."""
    rendered = here.cluster.as_rendered(endpoint)
    children = render.children(rendered, here.cluster.capabilities())
    await here.cluster.apply(rendered, children)
    replicas: int = plane.get(of_kind(children, "Deployment"))["spec"]["replicas"]
    return replicas


async def becomes(here: Connected, plane: ControlPlane, endpoint: StreamingEndpoint, pods: int) -> None:
    """The Deployment controller's report that so many pods of the newest template are ready."""
    deployment = plane.get(of_kind(here.children(endpoint), "Deployment"))
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), pods)
    status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
    here.woken.clear()
    plane.patch(deployment, {"status": status}, part="status")
    await here.until_woken(endpoint.key)


async def test_the_first_pod_of_a_shared_claim_is_alone_until_it_is_ready(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all are started, and stay whatever becomes of them."""
    endpoint = an_endpoint(control_plane, namespace, **SHARED)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        assert await passed(here, control_plane, endpoint) == 1
        await becomes(here, control_plane, endpoint, pods=0)
        assert await passed(here, control_plane, endpoint) == 1
        assert "starts alone" in (render.engine_note(here.cluster.as_rendered(endpoint)) or "")

        await becomes(here, control_plane, endpoint, pods=1)
        assert await passed(here, control_plane, endpoint) == 3
        await becomes(here, control_plane, endpoint, pods=0)
        assert await passed(here, control_plane, endpoint) == 3
        assert render.engine_note(here.cluster.as_rendered(endpoint)) is None


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(SHARED | {"cache": {}}, id="a cache of each pod's own"),
        pytest.param(
            SHARED | {"model": {"source": {"local": {"path": "/weights"}}}}, id="nothing to download"
        ),
    ],
)
async def test_others_start_together(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any]
) -> None:
    """Where nothing is written by several pods at the same time."""
    endpoint = an_endpoint(control_plane, namespace, **spec)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        assert await passed(here, control_plane, endpoint) == 3


async def test_a_new_model_of_all_pods_at_once_begins_with_one(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Recreate the old pods end together; those that are still ready do not count for the new model."""
    endpoint = an_endpoint(control_plane, namespace, **SHARED, rollout={"strategy": "Recreate"})
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await passed(here, control_plane, endpoint)
        await becomes(here, control_plane, endpoint, pods=1)
        assert await passed(here, control_plane, endpoint) == 3
        await becomes(here, control_plane, endpoint, pods=3)

        engine = endpoint.spec.engine.model_copy(update={"max_model_len": 4096})
        changed = endpoint.model_copy(update={"spec": endpoint.spec.model_copy(update={"engine": engine})})
        assert await passed(here, control_plane, changed) == 1
        assert await passed(here, control_plane, changed) == 1
        await becomes(here, control_plane, changed, pods=1)
        assert await passed(here, control_plane, changed) == 3
