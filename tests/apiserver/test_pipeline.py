"""`streamctl diff` and `streamctl verify` at a real API server: what a pipeline is told, and with which rights."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from streaming_operator.api.endpoint import API_VERSION, KIND, VERIFY_ANNOTATION, StreamingEndpoint
from streaming_operator.cli.app import main
from tests.apiserver.client import Object
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import as_service_account, connected

pytestmark = pytest.mark.apiserver

DIFF_RULES = [
    {
        "apiGroups": ["streamingendpoints.dev"],
        "resources": ["streamingendpoints"],
        "verbs": ["get", "create", "patch"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
]
VERIFY_RULES = [
    {"apiGroups": ["streamingendpoints.dev"], "resources": ["streamingendpoints"], "verbs": ["get", "patch"]}
]


def a_body(namespace: str, **spec: Any) -> Object:
    """An endpoint as a repository has it."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {
            "model": {"source": {"huggingFace": {"repo": "org/model"}}},
            "exposure": {"host": f"chat.{namespace}.example.com", "ingress": {"className": "nginx"}},
            **spec,
        },
    }


async def streamctl(kubeconfig: Path, *words: str) -> Result:
    """The command, in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, [*words, "--kubeconfig", str(kubeconfig)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def diff(kubeconfig: Path, folder: Path, body: Object) -> tuple[int, Object]:
    """Exit code and report of `streamctl diff` for a file with this endpoint."""
    file = folder / "endpoint.yaml"
    file.write_text(yaml.safe_dump(body))
    result = await streamctl(kubeconfig, "diff", "-f", str(file), "--output", "json")
    return result.exit_code, json.loads(result.stdout) if result.exit_code != 1 else {"said": result.stderr}


def fields(report: Object, kind: str = KIND) -> dict[str, Any]:
    """What a field of an object becomes."""
    (endpoint,) = report["endpoints"]
    return {
        field["path"]: field["after"]
        for change in endpoint["changes"]
        if change["kind"] == kind
        for field in change["fields"]
    }


async def test_a_file_that_is_applied_changes_nothing(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Though the API server has filled in defaults and an image; by every kind of apply; nothing is stored."""
    body = a_body(namespace)
    stored = control_plane.apply(body)
    who = as_service_account(control_plane, namespace, tmp_path, DIFF_RULES)
    code, report = await diff(who, tmp_path, body)
    assert (code, report["effect"], report["endpoints"][0]["changes"]) == (0, "none", [])
    now = control_plane.get(body)
    assert now["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


async def test_a_default_that_was_stored_long_ago_is_no_change(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """A newer default image of the CRD replaces no pods of an endpoint whose file names none."""
    body = a_body(namespace, engine={"image": "docker.io/vllm/vllm-openai:v0.30.0"})
    control_plane.create(body)  # as if that had been the default when it was created
    code, report = await diff(control_plane.kubeconfig, tmp_path, a_body(namespace))
    assert (code, report["effect"]) == (0, "none")
    assert "no earlier apply is recorded" in report["endpoints"][0]["note"]


async def test_a_field_that_leaves_the_file_is_seen_to_go(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """By whoever applied it, and by kubectl without server-side apply, which keeps the file in an annotation."""
    body = a_body(namespace, engine={"args": ["--seed=1"]})
    control_plane.apply(body)
    code, report = await diff(control_plane.kubeconfig, tmp_path, a_body(namespace))
    assert (code, fields(report, "StreamingEndpoint")) == (11, {"spec.engine.args": []})

    control_plane.delete(body)
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(body)}
    control_plane.create({**body, "metadata": {**body["metadata"], "annotations": annotation}})
    code, report = await diff(control_plane.kubeconfig, tmp_path, a_body(namespace))
    assert (code, fields(report, "StreamingEndpoint")) == (11, {"spec.engine.args": []})


async def test_replicas_of_an_autoscaler_are_left_alone(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """A file without replicas does not scale an endpoint down that an autoscaler has scaled up."""
    body = a_body(namespace)
    control_plane.apply(body)
    control_plane.patch(body, {"spec": {"replicas": 5}})
    assert (await diff(control_plane.kubeconfig, tmp_path, body))[0] == 0


async def test_what_the_api_server_refuses_fails_the_pipeline(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """In its own words: a rule that only it knows of is an invalid file, a place that does not exist wrong usage."""
    body = a_body(namespace)
    body["metadata"]["labels"] = {"team": "not a label"}
    code, refused = await diff(control_plane.kubeconfig, tmp_path, body)
    assert (code, "not a label" in refused["said"]) == (1, True)

    file = tmp_path / "elsewhere.yaml"
    file.write_text(yaml.safe_dump(a_body("no-such-namespace")))
    result = await streamctl(control_plane.kubeconfig, "diff", "-f", str(file))
    assert (result.exit_code, "no-such-namespace" in result.output) == (2, True)


async def test_pods_of_an_older_version_are_compared_as_they_run(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit beside the pod template replaces no pods, although a newer version would render them anew."""
    body = a_body(namespace)
    endpoint = StreamingEndpoint.from_body(control_plane.apply(body))
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        old = endpoint.model_copy(update={"pod_version": 2})
        await here.cluster.apply(old, here.children(old))
    code, report = await diff(control_plane.kubeconfig, tmp_path, a_body(namespace, replicas=2))
    assert (code, report["effect"]) == (0, "objects")
    code, report = await diff(
        control_plane.kubeconfig, tmp_path, a_body(namespace, engine={"args": ["--seed=1"]})
    )
    assert (code, report["effect"]) == (11, "pods")


class Operator:
    """Answers requests for verifications as the operator does."""

    def __init__(self, plane: ControlPlane, body: Object) -> None:
        self.plane, self.body = plane, body

    async def requested(self) -> str:
        """The value of the annotation, once it is there."""
        while True:
            stored = await asyncio.to_thread(self.plane.get, self.body)
            if value := (stored["metadata"].get("annotations") or {}).get(VERIFY_ANNOTATION):
                return str(value)
            await asyncio.sleep(0.05)

    def write(self, **status: Any) -> None:
        """Write a part of the status."""
        self.plane.patch(self.body, {"status": status}, part="status")

    async def answer(self, verdict: str) -> None:
        """Wait for a request and answer it."""
        request = await self.requested()
        told = {"request": request, "verdict": verdict, "hop": "Exposure", "message": f"saw {verdict}"}
        await asyncio.to_thread(self.write, requestedVerification=told)


@pytest.mark.parametrize(("verdict", "code"), [("Streaming", 0), ("Buffered", 1), ("Inconclusive", 3)])
async def test_verify_ends_with_the_verdict_of_its_own_request(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, verdict: str, code: int
) -> None:
    """An answer to an earlier request is none; the rights to get and patch endpoints are enough."""
    body = control_plane.create(a_body(namespace))
    operator = Operator(control_plane, body)
    operator.write(
        requestedVerification={"request": "earlier", "verdict": "Aborted", "hop": "Pod", "message": "old"}
    )
    who = as_service_account(control_plane, namespace, tmp_path, VERIFY_RULES)
    words = ("verify", "chat", "-n", namespace, "--output", "json")
    result, _ = await asyncio.gather(streamctl(who, *words), operator.answer(verdict))
    report = json.loads(result.stdout)
    assert (result.exit_code, report["exitCode"]) == (code, code)
    assert (report["verdict"], report["message"]) == (verdict, f"saw {verdict}")
    entries = control_plane.get(body)["metadata"]["managedFields"]
    assert VERIFY_ANNOTATION in json.dumps([e for e in entries if e["manager"] == "streamctl"])


async def test_verify_without_an_operator_ends_without_a_verdict(
    control_plane: ControlPlane, namespace: str
) -> None:
    """After its time, with 3: nothing was proven."""
    control_plane.create(a_body(namespace))
    result = await streamctl(control_plane.kubeconfig, "verify", "chat", "-n", namespace, "--timeout", "1")
    assert (result.exit_code, "no operator has looked at it" in result.output) == (3, True)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"suspend": True}, "spec.suspend"),
        ({"verification": {"mode": "Disabled"}}, "Disabled"),
        ({"replicas": 0}, "spec.replicas is 0"),
    ],
)
async def test_verify_asks_nothing_of_an_endpoint_that_is_never_verified(
    control_plane: ControlPlane, namespace: str, spec: dict[str, Any], said: str
) -> None:
    """It says so at once, and annotates nothing."""
    body = control_plane.create(a_body(namespace, **spec))
    result = await streamctl(control_plane.kubeconfig, "verify", "chat", "-n", namespace)
    assert (result.exit_code, said in result.output) == (2, True)
    assert "annotations" not in control_plane.get(body)["metadata"]


async def test_verify_names_the_endpoints_that_exist(control_plane: ControlPlane, namespace: str) -> None:
    """A misspelt name is wrong usage."""
    control_plane.create(a_body(namespace))
    result = await streamctl(control_plane.kubeconfig, "verify", "chta", "-n", namespace)
    assert (result.exit_code, "there are: chat" in result.output) == (2, True)
