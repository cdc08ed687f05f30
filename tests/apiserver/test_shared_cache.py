"""Pods that would download into one claim at the same time start one after the other."""

from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import Connected, an_endpoint, connected, of_kind

pytestmark = pytest.mark.apiserver

SHARED = {"cache": {"persistentVolumeClaim": {"claimName": "weights"}}, "replicas": 3}


def strategy_of(plane: ControlPlane, here: Connected, endpoint: StreamingEndpoint) -> tuple[int, int]:
    """maxSurge and maxUnavailable of the Deployment."""
    rolling = plane.get(of_kind(here.children(endpoint), "Deployment"))["spec"]["strategy"]["rollingUpdate"]
    return rolling["maxSurge"], rolling["maxUnavailable"]


async def passed(here: Connected, plane: ControlPlane, endpoint: StreamingEndpoint) -> int:
    """The replicas that a pass leaves in the Deployment."""
    rendered = here.cluster.as_rendered(endpoint)
    children = render.children(rendered, here.cluster.capabilities())
    await here.cluster.apply(rendered, children)
    replicas: int = plane.get(of_kind(children, "Deployment"))["spec"]["replicas"]
    return replicas


async def becomes(
    here: Connected, plane: ControlPlane, endpoint: StreamingEndpoint, pods: int, **other: int
) -> None:
    """The Deployment controller's report that so many pods of the newest template are ready; *other* counts differ."""
    deployment = plane.get(of_kind(here.children(endpoint), "Deployment"))
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), pods)
    status = {"observedGeneration": deployment["metadata"]["generation"], **counts, **other}
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


def with_a_new_template(endpoint: StreamingEndpoint, replicas: int) -> StreamingEndpoint:
    """After an edit that replaces the pods, and asks for so many."""
    engine = endpoint.spec.engine.model_copy(update={"max_model_len": 4096})
    spec = endpoint.spec.model_copy(update={"engine": engine, "replicas": replicas})
    return endpoint.model_copy(update={"spec": spec})


@pytest.mark.parametrize(
    ("rollout", "alone", "free"),
    [
        pytest.param({"strategy": "RollingUpdate", "maxSurge": 3}, (1, 0), (3, 0), id="surge"),
        pytest.param(
            {"strategy": "RollingUpdate", "maxSurge": 1, "maxUnavailable": 2}, (1, 0), (1, 2), id="both"
        ),
        pytest.param({}, (0, 1), (0, 1), id="in place"),
    ],
)
async def test_a_rollout_begins_with_one_pod_whatever_it_allows(
    control_plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    rollout: dict[str, Any],
    alone: tuple[int, int],
    free: tuple[int, int],
) -> None:
    """No further one is added meanwhile; an older pod that is not ready holds nothing up once the new one is."""
    endpoint = an_endpoint(control_plane, namespace, **SHARED, rollout=rollout)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await passed(here, control_plane, endpoint)
        await becomes(here, control_plane, endpoint, pods=1)
        assert await passed(here, control_plane, endpoint) == 3
        await becomes(here, control_plane, endpoint, pods=3)
        assert strategy_of(control_plane, here, endpoint) == free

        changed = with_a_new_template(endpoint, replicas=5)
        assert await passed(here, control_plane, changed) == 3
        assert strategy_of(control_plane, here, endpoint) == alone
        await becomes(here, control_plane, changed, pods=3, replicas=4, updatedReplicas=1)
        assert await passed(here, control_plane, changed) == 3
        assert strategy_of(control_plane, here, endpoint) == alone

        await becomes(here, control_plane, changed, pods=4, updatedReplicas=1)
        assert await passed(here, control_plane, changed) == 5
        assert strategy_of(control_plane, here, endpoint) == free
        await becomes(here, control_plane, changed, pods=0, replicas=5, updatedReplicas=5)
        assert await passed(here, control_plane, changed) == 5
        assert strategy_of(control_plane, here, endpoint) == free


async def test_pods_that_are_up_are_joined_by_others_at_once(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have filled the claim; that one of them is not ready keeps no further one from starting."""
    endpoint = an_endpoint(control_plane, namespace, **SHARED)
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        await passed(here, control_plane, endpoint)
        await becomes(here, control_plane, endpoint, pods=1)
        await passed(here, control_plane, endpoint)
        await becomes(here, control_plane, endpoint, pods=3, readyReplicas=2, availableReplicas=2)
        more = endpoint.model_copy(update={"spec": endpoint.spec.model_copy(update={"replicas": 6})})
        assert await passed(here, control_plane, more) == 6
