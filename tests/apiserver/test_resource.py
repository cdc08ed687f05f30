"""The resource as users and tools meet it on a real API server."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from streaming_operator.api import crd
from tests.apiserver.client import ApiError
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.documents import BASES, MINIMAL, STATUS, Document, document, edited
from tests.cluster.programs import listed

pytestmark = pytest.mark.apiserver

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "manifests" / "samples").glob("*.yaml"))


def _in(namespace: str, spec: Document, name: str = "qwen") -> Document:
    return edited(document(spec, name), (("metadata", "namespace"), namespace))


def test_four_facts_are_enough(control_plane: ControlPlane, namespace: str) -> None:
    """Model, GPU count, host and class make an endpoint; everything else has a default, which is stored."""
    stored = control_plane.create(_in(namespace, MINIMAL))["spec"]
    assert stored["engine"]["image"] == "vllm/vllm-openai:v0.33.0"
    assert stored["exposure"]["pathPrefixes"] == ["/v1"]
    assert stored["exposure"]["timeouts"] == {"idleSeconds": 3600, "requestSeconds": 0, "connectSeconds": 10}
    assert stored["monitoring"]["serviceMonitor"] == {"enabled": True, "intervalSeconds": 15}
    assert (
        stored["verification"]["mode"],
        stored["verification"]["request"]["maxTokens"],
    ) == ("Required", 64)
    assert (stored["rollout"]["strategy"], stored["replicas"], stored["suspend"]) == ("Auto", 1, False)


@pytest.mark.parametrize("name", BASES)
def test_every_field_is_kept(control_plane: ControlPlane, namespace: str, name: str) -> None:
    """Nothing of a document that sets every field is pruned, free-form parts included."""
    stored = control_plane.create(_in(namespace, BASES[name]))
    assert _within(BASES[name], stored["spec"]) == BASES[name]


def _within(applied: object, stored: object) -> object:
    """*stored* less the fields that *applied* does not have."""
    if isinstance(applied, dict) and isinstance(stored, dict):
        return {key: _within(applied[key], stored[key]) for key in applied if key in stored}
    return stored


@pytest.mark.parametrize(
    "arg",
    ["--port=1", "--served_model_name", "--por", "--ssl-keyfile=k", "--api-k", "--model=a/b", "--headle"],
)
def test_reserved_flags_are_refused(control_plane: ControlPlane, namespace: str, arg: str) -> None:
    """Underscores, `=` and argparse's abbreviations get no flag of the operator past the API server."""
    manifest = edited(_in(namespace, MINIMAL), (("spec", "engine", "args"), ["--enforce-eager", arg, "1"]))
    with pytest.raises(ApiError, match=r"spec\.engine\.args: Forbidden: (--host|these flags)"):
        control_plane.create(manifest)


def test_a_typo_is_refused(control_plane: ControlPlane, namespace: str) -> None:
    """Strict validation, which kubectl asks for, names an unknown field instead of dropping it."""
    with pytest.raises(ApiError, match=r'unknown field "spec\.engine\.maxModelLength"'):
        control_plane.create(edited(_in(namespace, MINIMAL), (("spec", "engine", "maxModelLength"), 1)))


def test_spec_and_status_are_written_apart(control_plane: ControlPlane, namespace: str) -> None:
    """A status write changes no spec and no generation; all of a full status is kept."""
    stored = control_plane.create(_in(namespace, MINIMAL))
    written = control_plane.request(
        "PUT", control_plane.path(stored, "status"), deepcopy(stored) | {"status": STATUS}
    )
    assert (
        written["status"],
        written["spec"],
        written["metadata"]["generation"],
    ) == (STATUS, stored["spec"], 1)


def test_a_new_endpoint_is_not_taken_for_ready(control_plane: ControlPlane, namespace: str) -> None:
    """kstatus calls an object without a status current; until an operator looks, its observed generation is none."""
    stored = control_plane.create(_in(namespace, MINIMAL))
    assert stored["status"] == {"observedGeneration": crd.UNOBSERVED}


def test_it_scales(control_plane: ControlPlane, namespace: str) -> None:
    """`kubectl scale` and autoscalers read and write it through the scale subresource."""
    stored = control_plane.create(_in(namespace, MINIMAL))
    status = {"replicas": 1, "selector": "streamingendpoints.dev/endpoint=qwen"}
    control_plane.patch(stored, {"status": status}, part="status")
    scale = control_plane.get(stored, part="scale")
    assert (scale["spec"]["replicas"], scale["status"]) == (1, status)
    control_plane.patch(stored, {"spec": {"replicas": 3}}, part="scale")
    assert control_plane.get(stored)["spec"]["replicas"] == 3


def test_applied_paths_replace_the_default(control_plane: ControlPlane, namespace: str) -> None:
    """Server-side apply of other path prefixes leaves nothing of the default behind."""
    manifest = _in(namespace, MINIMAL)
    control_plane.apply(manifest)
    control_plane.apply(edited(manifest, (("spec", "exposure", "pathPrefixes"), ["/v1/chat"])))
    assert control_plane.get(manifest)["spec"]["exposure"]["pathPrefixes"] == ["/v1/chat"]


def test_applying_again_changes_nothing(control_plane: ControlPlane, namespace: str) -> None:
    """A second apply of a file that the operator has looked at makes no new version: GitOps tools see no change."""
    applied = control_plane.apply(_in(namespace, BASES["ingress"]))
    observed = control_plane.patch(applied, {"status": STATUS}, part="status")
    again = control_plane.apply(_in(namespace, BASES["ingress"]))
    assert again["metadata"]["resourceVersion"] == observed["metadata"]["resourceVersion"]


def test_the_crd_survives_the_server(control_plane: ControlPlane) -> None:
    """The API server keeps the CRD as it was sent: it drops no keyword and finds nothing to complain of."""
    sent = crd.crd()
    stored = control_plane.get(sent)
    assert stored["spec"]["versions"] == sent["spec"]["versions"]
    problems = [c for c in stored["status"]["conditions"] if c["type"] == "NonStructuralSchema"]
    assert problems == []


def test_kubectl_shows_what_matters(control_plane: ControlPlane, namespace: str, kubectl: Path) -> None:
    """`kubectl get sep` answers: where, what, ready or not, and why."""
    stored = control_plane.create(_in(namespace, MINIMAL))
    streaming = STATUS["conditions"][0] | {"type": "StreamingVerified", "reason": "Streaming"}
    status = STATUS | {"conditions": [*STATUS["conditions"], streaming]}
    control_plane.request("PUT", control_plane.path(stored, "status"), stored | {"status": status})
    table = _kubectl(kubectl, control_plane, "get", "sep", "--namespace", namespace, "--output", "wide")
    head, line = table.splitlines()
    shown = ["NAME", "URL", "MODEL", "READY", "STREAMING", "TTFT", "AGE"]
    assert head.split() == [*shown, "REPLICAS", "GPU", "CLASS", "GATEWAY"]
    name, url, model, ready, reason, ttft, _, replicas, gpus, edge = line.split()
    assert (
        name, url, model, ready, reason, ttft, replicas, gpus, edge,
    ) == ("qwen", "http://qwen.example.com/v1", "qwen", "True", "Streaming", "85", "1", "1", "nginx")  # fmt: skip


def _kubectl(program: Path, plane: ControlPlane, *words: str) -> str:
    command = [str(program), "--kubeconfig", str(plane.kubeconfig), *words]
    return subprocess.run(listed(command), check=True, capture_output=True, text=True).stdout


def test_kubectl_explains_fields(control_plane: ControlPlane, kubectl: Path) -> None:
    """Descriptions reach `kubectl explain`."""
    explanation = _kubectl(kubectl, control_plane, "explain", "sep.spec.rollout.drainSeconds")
    assert "Longest time for running streams to finish" in " ".join(explanation.split())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_accepted(control_plane: ControlPlane, namespace: str, sample: Path) -> None:
    """Every sample can be applied as it is, with strict field validation."""
    for body in yaml.safe_load_all(sample.read_text()):
        manifest = edited(json.loads(json.dumps(body)), (("metadata", "namespace"), namespace))
        assert _within(manifest["spec"], control_plane.apply(manifest)["spec"]) == manifest["spec"]
