"""`streamctl diagnose` at a real API server: a double behind a forwarded port is the pod, a proxy is the edge."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cli.app import main
from streaming_operator.cli.completion import complete_for_kubectl
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.following import an_endpoint, as_service_account, connected, of_kind
from tests.apiserver.kubelet import Kubelet
from tests.cluster.programs import listed
from tests.engines.running import RunningEngine, free_port
from tests.probe import proxies
from tests.probe.proxies import Proxy

pytestmark = pytest.mark.apiserver

KEY = "s3cret-of-the-engine"
RULES = [
    {"apiGroups": ["streamingendpoints.dev"], "resources": ["streamingendpoints"], "verbs": ["get", "list"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["list"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["list"]},
]
"""What somebody may do who may look, but neither forward ports nor read Secrets."""


@pytest.fixture(scope="module")
def engine() -> Iterator[RunningEngine]:
    """The model server in the pod."""
    adapter = ("--lora-modules", "sql=/loras/sql")
    flags = ("--enable-per-request-metrics", "--served-model-name", "chat", "--api-key", KEY, *adapter)
    with RunningEngine("double", flags, model="org/model") as running:
        yield running


@pytest.fixture(scope="module")
def kubelet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """The node's."""
    with Kubelet(tmp_path_factory.mktemp("kubelet")) as running:
        yield running


@dataclass
class World:
    """An endpoint whose children are up, and what a person types."""

    plane: ControlPlane
    endpoint: StreamingEndpoint
    pod: dict[str, Any]
    kubeconfig: Path
    stack: ExitStack = field(default_factory=ExitStack)

    async def diagnose(self, *words: str, **environment: str) -> Result:
        """`streamctl diagnose chat`, in a thread: it has an event loop of its own."""
        typed = ["diagnose", "chat", "-n", self.endpoint.namespace, "--kubeconfig", str(self.kubeconfig)]
        result = await asyncio.to_thread(CliRunner().invoke, main, [*typed, *words], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert KEY not in result.output
        return result

    def not_ready(self, **container: Any) -> None:
        """What a kubelet reports of a pod that does not come up."""
        status = {
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [
                {
                    "name": "engine",
                    "image": "none",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    **container,
                }
            ],
        }
        self.plane.patch(self.pod, {"status": status}, part="status")
        counts = {"replicas": 1, "readyReplicas": 0, "updatedReplicas": 1}
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "chat", "namespace": self.endpoint.namespace},
        }
        self.plane.patch(deployment, {"status": {**counts, "availableReplicas": 0}}, part="status")


@pytest.fixture
async def world(
    control_plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    kubelet: Kubelet,
    engine: RunningEngine,
) -> World:
    """Children as the operator makes them, controllers and kubelet played."""
    classes = control_plane.request("GET", "/apis/networking.k8s.io/v1/ingressclasses")["items"]
    if "nginx" not in [one["metadata"]["name"] for one in classes]:
        control_plane.create(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {"name": "nginx"},
                "spec": {"controller": "k8s.io/ingress-nginx"},
            }
        )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": namespace}}
    control_plane.create({**secret, "stringData": {"api-key": KEY}})
    endpoint = an_endpoint(control_plane, namespace, engine={"apiKeySecretRef": {"name": "key"}})
    async with connected(control_plane.kubeconfig, monkeypatch) as here:
        children = here.children(endpoint)
        await here.cluster.apply(endpoint, children)
    node = f"node-{uuid4().hex[:8]}"
    kubelet.register(control_plane, node)
    pod = _played(control_plane, of_kind(children, "Deployment"), node)
    kubelet.ports[pod["metadata"]["name"]] = engine.port
    return World(control_plane, endpoint, pod, control_plane.kubeconfig)


IMAGE = "docker.io/vllm/vllm-openai@sha256:" + "5" * 64
"""What a kubelet writes of an image that it pulled."""


def _played(plane: ControlPlane, deployment: dict[str, Any], node: str) -> dict[str, Any]:
    """What the controllers of Deployments and EndpointSlices and a kubelet write."""
    namespace, suffix = deployment["metadata"]["namespace"], uuid4().hex[:8]
    revision = {"deployment.kubernetes.io/revision": "1"}
    stored = plane.patch(deployment, {"metadata": {"annotations": revision}})
    labels = {**deployment["spec"]["template"]["metadata"]["labels"], "pod-template-hash": suffix}
    containers = {"containers": [{"name": "engine", "image": "none"}]}

    def owned(name: str, kind: str, uid: str, owner: str) -> dict[str, Any]:
        ref = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": uid, "controller": True}
        return {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [ref]}

    replica_set = plane.create(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                **owned(f"chat-{suffix}", "Deployment", stored["metadata"]["uid"], "chat"),
                "annotations": revision,
            },
            "spec": {
                "selector": {"matchLabels": {"pod-template-hash": suffix}},
                "template": {"metadata": {"labels": labels}, "spec": containers},
            },
        }
    )
    pod = plane.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": owned(
                f"chat-{suffix}-1", "ReplicaSet", replica_set["metadata"]["uid"], f"chat-{suffix}"
            ),
            "spec": {**containers, "automountServiceAccountToken": False, "nodeName": node},
        }
    )
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": "10.9.8.7", "podIPs": [{"ip": "10.9.8.7"}], "conditions": [ready]}
    running = {"name": "engine", "ready": True, "restartCount": 0, "image": "none", "imageID": IMAGE}
    started = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    status["containerStatuses"] = [running | {"state": started}]
    plane.patch(pod, {"status": status}, part="status")
    counts = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    generation = stored["metadata"]["generation"]
    plane.patch(deployment, {"status": {"observedGeneration": generation, **counts}}, part="status")
    target = {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace}
    plane.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "chat-1",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": "chat"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.9.8.7"], "conditions": {"ready": True}, "targetRef": target}],
        }
    )
    return pod


async def test_a_healthy_path_is_shown_hop_by_hop(world: World, engine: RunningEngine) -> None:
    """Pod and Service through the API server, with the Secret's key; the route where --via says; the children."""
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await world.diagnose("--via", f"127.0.0.1:{edge.port}", "--output", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["verdict"]) == (0, "Streaming"), result.output
    hops = report["runs"][0]["hops"]
    assert [hop["hop"] for hop in hops] == ["Exposure", "Service", "Pod"]
    assert {hop["verdict"] for hop in hops} == {"Streaming"}
    assert ["not judged" in hop["note"] for hop in hops] == [False, True, True]
    assert b"Host: chat." in edge.requests[0]
    states = {f"{child['kind']}/{child['name']}": child["state"] for child in report["children"]}
    assert (
        states["Deployment/chat"],
        states["Ingress/chat"],
    ) == ("1/1 ready, 1 of the newest template", "no address")
    assert states[f"Pod/{world.pod['metadata']['name']}"] == "ready"
    details = {f"{child['kind']}/{child['name']}": child["detail"] for child in report["children"]}
    assert details[f"Pod/{world.pod['metadata']['name']}"] == f"image {IMAGE}"


async def test_adapters_and_further_hosts_are_asked_and_canaries_are_not(
    world: World, engine: RunningEngine
) -> None:
    """Each once through the edge, with the header that leads to no canary; one that does not answer is named."""
    sql = {"name": "sql", "source": {"local": {"path": "/loras/sql"}}}
    here = {
        "apiVersion": "streamingendpoints.dev/v1alpha1",
        "kind": "StreamingEndpoint",
        "metadata": {"name": "chat", "namespace": world.endpoint.namespace},
    }
    host = world.endpoint.spec.exposure.host if world.endpoint.spec.exposure else ""
    second = f"second.{host}"
    world.plane.patch(here, {"spec": {"model": {"adapters": [sql]}, "exposure": {"hosts": [second]}}})
    canary = {"host": host, "ingress": {"className": "nginx"}, "canary": {"of": "chat", "header": "X-New"}}
    an_endpoint(world.plane, world.endpoint.namespace, "chat-next", exposure=canary)
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await world.diagnose("--via", f"127.0.0.1:{edge.port}", "--output", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["verdict"]) == (0, "Streaming"), result.output
    posts = [request for request in edge.requests if request.startswith(b"POST")]
    assert all(b"X-New: never\r\n" in request for request in posts)
    assert any(b'"model":"sql"' in request.replace(b": ", b":") for request in posts)
    assert any(f"Host: {second}\r\n".encode() in request for request in posts)

    missing = [sql, {"name": "fin", "source": {"local": {"path": "/loras/fin"}}}]
    world.plane.patch(here, {"spec": {"model": {"adapters": missing}}})
    with Proxy(engine.port, proxies.healthy) as edge:
        result = await world.diagnose("--via", f"127.0.0.1:{edge.port}", "--output", "json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1, result.output
    assert "fin" in report["evidence"]


async def test_a_buffering_edge_is_named(world: World, engine: RunningEngine) -> None:
    """The pod streams, the route does not: the route is at fault, with what to set there."""
    with Proxy(engine.port, proxies.store_and_forward) as edge:
        result = await world.diagnose("--via", f"127.0.0.1:{edge.port}", "--output", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["verdict"], report["hop"]) == (1, "Buffered", "Exposure")
    assert "ingress-nginx" in report["remedy"]


async def test_an_unreachable_edge_is_exit_code_4(world: World) -> None:
    """The pod still streams, and says so."""
    result = await world.diagnose("--via", f"127.0.0.1:{free_port()}", "--output", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["verdict"]) == (4, "Unreachable")
    assert {hop["hop"]: hop["verdict"] for hop in report["runs"][0]["hops"] if hop["hop"] != "Exposure"} == {
        "Pod": "Streaming",
        "Service": "Streaming",
    }


async def test_a_pod_that_is_not_ready_is_reported_without_a_request(world: World) -> None:
    """The kubelet's waiting reason, translated; no request is sent anywhere."""
    world.not_ready(state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})
    result = await world.diagnose()
    assert (result.exit_code, result.stdout.startswith("ImageNotPulled: image none: ")) == (1, True), (
        result.output
    )
    assert "Remedy: Check engine.image" in result.stdout
    assert f"Pod/{world.pod['metadata']['name']}" in result.stdout


async def test_with_few_rights_it_reports_what_it_may_not_do(
    world: World, engine: RunningEngine, tmp_path: Path
) -> None:
    """No Secret: it says how to give the key. No port-forward, no classes: both are reported, the route is judged."""
    namespace = world.endpoint.namespace
    world.kubeconfig = as_service_account(world.plane, namespace, tmp_path, RULES)
    keyless = await world.diagnose()
    assert (keyless.exit_code, keyless.stdout.startswith("SecretNotReadable: ")) == (1, True), keyless.output
    assert "--api-key-env" in keyless.stdout
    with Proxy(engine.port, proxies.healthy) as edge:
        via = ("--via", f"127.0.0.1:{edge.port}", "--api-key-env", "K", "--output", "json")
        result = await world.diagnose(*via, K=KEY)
    report = json.loads(result.stdout)
    assert (result.exit_code, [hop["hop"] for hop in report["runs"][0]["hops"]]) == (0, ["Exposure"]), (
        result.output
    )
    details = {f"{child['kind']}/{child['name']}": child for child in report["children"]}
    assert "not allowed" in details["Hop/Pod"]["detail"]
    assert "ingressclasses" in details["Rights/yours"]["state"]


async def test_without_an_exposure_the_service_judges(world: World, tmp_path: Path) -> None:
    """Pod and Service alone; for somebody who may forward no port, that is said."""
    body = {"apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint"}
    metadata = {"name": "chat", "namespace": world.endpoint.namespace}
    world.plane.patch({**body, "metadata": metadata}, {"spec": {"exposure": None}})
    result = await world.diagnose("--output", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["hop"]) == (0, "Service"), result.output
    assert [hop["hop"] for hop in report["runs"][0]["hops"]] == ["Service", "Pod"]
    world.kubeconfig = as_service_account(world.plane, world.endpoint.namespace, tmp_path, RULES)
    result = await world.diagnose("--api-key-env", "K", K=KEY)
    assert (result.exit_code, "pods/portforward" in result.stdout) == (4, True), result.output


async def test_unknown_names_are_reported_with_those_that_exist(world: World) -> None:
    """Usage: exit code 2, one sentence."""
    words = ["diagnose", "chta", "-n", world.endpoint.namespace, "--kubeconfig", str(world.kubeconfig)]
    result = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert result.exit_code == 2
    assert (
        f"no StreamingEndpoint chta in namespace {world.endpoint.namespace}: there are chat" in result.stderr
    )


async def test_names_are_completed(world: World) -> None:
    """TAB asks the cluster; where there is none, nothing is offered and nothing is said."""
    words = ["diagnose", "-n", world.endpoint.namespace, "--kubeconfig", str(world.kubeconfig), "ch"]
    assert await asyncio.to_thread(complete_for_kubectl, main, words) == ["chat", ":4"]
    assert await asyncio.to_thread(complete_for_kubectl, main, ["diagnose", "--kubeconfig", "/no", ""]) == [
        ":4"
    ]


async def test_a_closed_pipe_and_a_closed_tunnel_leave_no_traceback(
    world: World, engine: RunningEngine
) -> None:
    """`| grep -q` stops reading: the exit code is the verdict's, and standard error is empty."""
    reading, writing = os.pipe()
    os.close(reading)
    words = ["diagnose", "chat", "-n", world.endpoint.namespace, "--kubeconfig", str(world.kubeconfig)]
    with Proxy(engine.port, proxies.healthy) as edge, os.fdopen(writing, "wb") as out:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "streaming_operator", *words, "--via", f"127.0.0.1:{edge.port}"],
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


async def test_as_a_kubectl_plugin(world: World, engine: RunningEngine, kubectl: Path) -> None:
    """`kubectl streaming diagnose` finds the program on the PATH and its kubeconfig in KUBECONFIG."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "KUBECONFIG": str(world.kubeconfig)}
    words = ["streaming", "diagnose", "chat", "-n", world.endpoint.namespace]
    with Proxy(engine.port, proxies.healthy) as edge:
        done = await asyncio.to_thread(
            subprocess.run,
            listed([kubectl, *words, "--via", f"127.0.0.1:{edge.port}"]),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    assert (done.returncode, done.stdout.startswith("Streaming: ")) == (0, True), done.stderr
    assert "Deployment/chat" in done.stdout
