"""The commands of the pages for a platform team (`PRINTED`) run as they stand, at a real API server."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming_operator.api import reasons
from streaming_operator.api.crd import crd
from tests.apiserver import control_plane as planes
from tests.apiserver.client import ApiError, Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, exists
from tests.cluster import apiserver_binaries, helm_release, tools
from tests.cluster.programs import listed
from tests.e2e.waiting import wait_for

pytestmark = [pytest.mark.apiserver, pytest.mark.programs("helm")]

ROOT = Path(__file__).resolve().parents[2]
HOLDER = "streaming-operator-6d4cf56db6-x7k2p_1a2b3c4d"
PRINTED = {
    "monitoring": ["streaming-operator-streamingendpoint-fleet", "streamingendpoint.json"],
    "upgrade": [
        "has been upgraded",
        "Rollback was a success",
        "streamingendpoint.streamingendpoints.dev/chat replaced",
        HOLDER,
    ],
    "install": [
        "registry.example.com/mirror/streaming-operator@sha256:",
        "registry.example.com/streaming-operator:0.1.0",
    ],
    "troubleshooting": ["chat"],
    "gitops": ["streamingendpoint.streamingendpoints.dev/qwen condition met", "configmap/argocd-cm patched"],
}
"""The pages, and what some of their commands print. One after the other: each finds what the last one installed."""
PRESUMED = ("ingress-nginx", "models", "argocd")
"""Namespaces that a reader has."""
TRUE = {"status": "True", "reason": "Up"}
CONDITIONS = [
    {"type": "Available", **TRUE},
    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
]
"""Of a Deployment whose rollout has ended, as `helm --wait` reads them."""
OPERATORS = "/apis/apps/v1/namespaces/streaming-system/deployments"
ENDPOINTS = "/apis/streamingendpoints.dev/v1alpha1/streamingendpoints"


def text(page: str) -> str:
    """A page."""
    return (ROOT / "docs" / f"{page}.md").read_text()


def commands(page: str) -> str:
    """Its blocks of commands as one script; those whose output is shown are none."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)
    return "set -euo pipefail\n" + "\n".join(blocks)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server of its own, without our CRD: the pages install it."""
    with planes.start(tmp_path_factory.mktemp("control-plane"), apiserver_binaries()) as plane:
        plane.delete(crd())
        wait_for(lambda: not exists(plane, crd()), "the CRD to be gone")
        for name in PRESUMED:
            plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        settings = {"name": "argocd-cm", "namespace": "argocd"}
        plane.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings})
        yield plane


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The folders of the repository that the pages name."""
    for name in ("charts", "crds", "manifests"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_commands_of_each_page_run_as_they_stand(
    cluster: ControlPlane, kubectl: Path, clone: Path
) -> None:
    """One block after the other, in one shell a page that ends at the first error."""
    programs = (Path(sys.executable), tools.build("helm")["helm"], kubectl)
    environment = {
        **os.environ,
        **helm_release.environment(),
        "PATH": os.pathsep.join([*(str(program.parent) for program in programs), os.environ["PATH"]]),
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    for page, printed in PRINTED.items():
        if page == "upgrade":
            an_operator_has_worked(cluster)
        written = clone / f"{page}.txt"
        with written.open("w") as output:
            shell = subprocess.Popen(
                listed(["bash", "-c", commands(page)]),
                cwd=clone,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                while shell.poll() is None:
                    bring_up(cluster)
                    time.sleep(0.2)
            finally:
                shell.kill()
        told = written.read_text()
        assert shell.returncode == 0, f"{page}: {told}"
        assert [words for words in printed if words not in told] == [], told


def an_operator_has_worked(plane: ControlPlane) -> None:
    """Its Lease, and an endpoint that it has brought up."""
    an_endpoint(plane, "models", "chat")
    lease = {"name": "streaming-operator", "namespace": "streaming-system"}
    plane.create(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": lease,
            "spec": {"holderIdentity": HOLDER},
        }
    )
    bring_up(plane)


def bring_up(plane: ControlPlane) -> None:
    """What kubelets and an operator would do with what was applied: pods are up, endpoints Ready."""
    for deployment in listed_at(plane, OPERATORS):
        ready = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
        mark(plane, deployment, {**ready, "conditions": CONDITIONS})
    for endpoint in listed_at(plane, ENDPOINTS):
        told = {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "it streams"}
        observed = {"observedGeneration": endpoint["metadata"]["generation"]}
        mark(plane, endpoint, {"conditions": [{"type": "Ready", **TRUE, **told, **observed}]})


def listed_at(plane: ControlPlane, path: str) -> list[Object]:
    """The objects there; none where their kind is not known yet."""
    try:
        answer = plane.request("GET", path)
    except ApiError:
        return []
    kind = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
    return [item | kind for item in answer["items"]]


def mark(plane: ControlPlane, obj: Object, status: Object) -> None:
    """Give an object this status, unless its generation has it already, or the page has deleted it meanwhile."""
    generation = obj["metadata"]["generation"]
    if obj.get("status", {}).get("observedGeneration") == generation:
        return
    try:
        plane.patch(obj, {"status": {"observedGeneration": generation, **status}}, part="status")
    except ApiError as error:
        if error.status != 404:
            raise


def test_reasons_that_are_named_exist() -> None:
    """Every word of the troubleshooting page that looks like a reason is one, or a condition, or its status."""
    known = {
        *map(str, reasons.EXPLAINED), *map(str, reasons.ConditionType), *map(str, reasons.Hop), "True",
    }  # fmt: skip
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", text("troubleshooting")))
    assert (named - known, len(named) > 10) == (set(), True)
