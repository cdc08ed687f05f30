"""A new version of the operator meets what earlier ones have made: no pod template is written, so no GPU restarts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster.drift import sealed
from streaming_operator.controller.reconciler import Reconciler
from streaming_operator.render import config
from streaming_operator.settings import PodPolicy, Settings
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import connected

pytestmark = pytest.mark.apiserver

EARLIER = Path(__file__).parents[1] / "golden" / "earlier"
FOLDERS = sorted(EARLIER.glob("*/*"))
"""`version-<of the pods>/<golden case>`: an endpoint and its Deployment, as a commit of that time rendered them."""

ALLOWING = Settings(
    pod_policy=PodPolicy(
        security_context="any",
        capabilities=("*",),
        service_account_names=("*",),
        priority_class_names=("*",),
        env_secret_names=("*",),
        labels=("*",),
        annotations=("*",),
    )
)


def at(folder: Path, plane: ControlPlane, namespace: str) -> tuple[Object, Object, str]:
    """Endpoint, Deployment and ConfigMap of that time, stored as that operator left them."""
    body: Object = yaml.safe_load((folder / "endpoint.yaml").read_text())
    name, of_then = body["metadata"]["name"], body["metadata"]["namespace"]
    body["metadata"] = {"name": name, "namespace": namespace}
    stored = plane.create(body)
    uid = stored["metadata"]["uid"]
    version = int(folder.parent.name.removeprefix("version-"))
    endpoint = StreamingEndpoint.from_body(stored).model_copy(update={"pod_version": version})
    text = (folder / "deployment.yaml").read_text()
    deployment: Object = yaml.safe_load(text.replace(f"{name}.{of_then}", f"{name}.{namespace}"))
    for child in (config.config_map(endpoint), deployment):
        child["metadata"] |= {"namespace": namespace}
        child["metadata"]["ownerReferences"] = [child["metadata"]["ownerReferences"][0] | {"uid": uid}]
        made = plane.apply(sealed(child), manager="streaming-operator")
    mounted = made["spec"]["template"]["spec"]["volumes"]
    assert config.config_map_name(endpoint) in [volume.get("configMap", {}).get("name") for volume in mounted]
    return stored, made, config.config_map_name(endpoint)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
async def test_the_pods_of_every_earlier_version_are_left_as_they_are(
    folder: Path, control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole passes of today's operator until nothing is left to write: the Deployment has not been touched."""
    body, before, config_map = at(folder, control_plane, namespace)
    key = (namespace, body["metadata"]["name"])
    async with connected(control_plane.kubeconfig, monkeypatch, ALLOWING) as here:
        reconciler = Reconciler(here.cluster, ALLOWING, lambda key: None)
        reconciler.update(key, body)
        quiet = 0
        while quiet < 2:
            writes = here.writes
            await reconciler.process(key)
            quiet = quiet + 1 if here.writes == writes else 0
        await reconciler.close()

    after = control_plane.get(before)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert conditions(control_plane.get(body))["WorkloadAvailable"]["status"] != "Unknown"
    maps = control_plane.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    assert config_map in [item["metadata"]["name"] for item in maps]


def conditions(body: Object) -> dict[str, Any]:
    """By their type."""
    return {condition["type"]: condition for condition in body["status"]["conditions"]}
