"""On a real API server: what the podPolicy refuses is not written, and what runs already goes on running."""

import pytest

from streaming_operator.errors import PodNotAllowed
from streaming_operator.settings import PodPolicy, Settings
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, connected, exists, of_kind

pytestmark = pytest.mark.apiserver

ALLOWED = Settings(pod_policy=PodPolicy(service_account_names=("loader",)))
KEPT = ("Deployment", "ConfigMap")


async def test_a_pod_that_is_refused_is_not_made(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Deployment; the error stalls the endpoint and names field, reason and value."""
    endpoint = an_endpoint(control_plane, namespace, serviceAccountName="loader")
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        with pytest.raises(PodNotAllowed, match=r"spec\.serviceAccountName.*podPolicy\.serviceAccountNames"):
            await here.cluster.apply(endpoint, children)
        assert PodNotAllowed.stalls
        assert not exists(control_plane, of_kind(children, "Deployment"))
        assert exists(control_plane, of_kind(children, "Service"))


async def test_what_ran_before_an_upgrade_goes_on(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Deployment of an operator without the policy is neither deleted nor changed, nor is what it mounts."""
    endpoint = an_endpoint(control_plane, namespace, serviceAccountName="loader")
    async with connected(control_plane.kubeconfig, monkeypatch, ALLOWED) as before:
        children = before.children(endpoint)
        await before.cluster.apply(endpoint, children)
    stored = [control_plane.get(of_kind(children, kind)) for kind in KEPT]
    async with connected(control_plane.kubeconfig, monkeypatch) as after:
        for _ in range(2):
            with pytest.raises(PodNotAllowed):
                await after.cluster.apply(endpoint, after.children(endpoint))
        assert after.cluster.observe(endpoint, after.children(endpoint)).desired_replicas == 1
    assert [control_plane.get(of_kind(children, kind)) for kind in KEPT] == stored


async def test_a_corrected_spec_is_written(
    control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once nothing is refused, the Deployment follows the spec again."""
    refused = an_endpoint(control_plane, namespace, serviceAccountName="loader")
    corrected = refused.model_copy(
        update={"spec": refused.spec.model_copy(update={"service_account_name": None})}
    )
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        with pytest.raises(PodNotAllowed):
            await here.cluster.apply(refused, here.children(refused))
        await here.cluster.apply(corrected, here.children(corrected))
    assert exists(control_plane, of_kind(here.children(corrected), "Deployment"))
