"""A helm that was killed in the middle of its work does not stand in the way of the next call."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apiserver.control_plane import ControlPlane
from tests.cluster import helm_release, steps
from tests.cluster.programs import listed
from tests.e2e.waiting import wait_for

RELEASE = "endless"
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: endless\nversion: 0.1.0\n",
    "templates/deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: endless, labels: {app: endless}}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  selector: {matchLabels: {app: endless}}
  template:
    metadata: {labels: {app: endless}}
    spec: {containers: [{name: main, image: none}]}
""",
}
"""Nothing runs pods here: who waits for its Deployment waits without an end."""

pytestmark = pytest.mark.apiserver


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    for name, text in CHART.items():
        path = tmp_path / "endless" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "endless"


@pytest.fixture
def words(control_plane: ControlPlane, namespace: str, chart: Path) -> Callable[..., list[str]]:
    """The command line of an upgrade of the chart."""

    def upgrade(*more: str) -> list[str]:
        return helm_release.argv(
            "upgrade", "--install", RELEASE, chart, *more,
            namespace=namespace, kubeconfig=control_plane.kubeconfig,
        )  # fmt: skip

    return upgrade


def status(control_plane: ControlPlane, namespace: str) -> str:
    """Of the newest revision, as helm's own Secret says; empty without one."""
    found = control_plane.request(
        "GET", f"/api/v1/namespaces/{namespace}/secrets", labelSelector="owner=helm"
    )
    newest = max(found["items"], key=lambda one: int(one["metadata"]["labels"]["version"]), default=None)
    return str(newest["metadata"]["labels"]["status"]) if newest else ""


@pytest.mark.parametrize("before", ["nothing", "an installation"])
def test_an_upgrade_goes_on_where_one_was_killed(
    control_plane: ControlPlane, namespace: str, words: Callable[..., list[str]], before: str
) -> None:
    """helm alone refuses; once the rest of the killed one is taken back, the same command installs the chart."""
    environment = helm_release.environment()
    if before == "an installation":
        steps.output(words(), env=environment)
    waits = subprocess.Popen(
        listed(words("--wait", "--set", "replicas=2")),
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: status(control_plane, namespace).startswith("pending"), "a pending release")
    finally:
        waits.kill()
        waits.wait()
    with pytest.raises(steps.Failure, match="another operation"):
        steps.output(words(), env=environment)

    assert helm_release.give_up_interrupted(RELEASE, namespace, control_plane.kubeconfig)
    steps.output(words("--set", "replicas=3"), env=environment)
    assert status(control_plane, namespace) == "deployed"
    deployment = control_plane.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments/endless")
    assert deployment["spec"]["replicas"] == 3


def test_nothing_is_taken_back_from_a_release_at_rest(
    control_plane: ControlPlane, namespace: str, words: Callable[..., list[str]]
) -> None:
    """Neither before the first installation nor after it."""
    assert not helm_release.give_up_interrupted(RELEASE, namespace, control_plane.kubeconfig)
    steps.output(words(), env=helm_release.environment())
    assert not helm_release.give_up_interrupted(RELEASE, namespace, control_plane.kubeconfig)
    assert status(control_plane, namespace) == "deployed"
