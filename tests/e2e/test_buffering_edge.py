"""
A real edge that holds streams back: a second ingress-nginx that the operator knows nothing of.

Its ConfigMap buffers, compresses event streams and ignores `X-Accel-Buffering`. The operator can write it
only portable fields, so only the probe can find out.
"""

import shlex
from collections.abc import Iterator

import pytest
import yaml

from tests import cluster as test_cluster
from tests.cluster import kind, tour
from tests.e2e import audit, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import HELD_BACK, EdgeAddress, Stream, serves
from tests.e2e.waiting import wait_for

EDGE = "ingress-buffering"
CLASS = "nginx-buffering"
PORTS = (81, 444)
BUFFERING = {
    "proxy-buffering": "on",
    "use-gzip": "true",
    "gzip-types": "text/event-stream",
    "gzip-min-length": "1",
    "http-snippet": "proxy_ignore_headers X-Accel-Buffering;",
}
KEY = "sk-of-the-added-header"
SHORT = 5
"""Seconds that streams have to end after a reload, instead of 240."""
PACE = {"X-Double-Inter-Token-Latency": "50"}
"""Milliseconds: a hundred tokens take five seconds, beside which the delays of a busy machine are short."""
EVERY_SECOND = {"X-Double-Inter-Token-Latency": "1000"}
REPAIRED = {"proxy-buffering": "off", "use-gzip": "false", "gzip-types": None, "http-snippet": None}


@pytest.fixture(scope="module")
def edge(cluster: int) -> Iterator[EdgeAddress]:
    """The second controller, ready; where users reach it."""
    text = test_cluster.ingress_manifest(
        namespace=EDGE,
        class_name=CLASS,
        controller="example.com/nginx-buffering",
        host_ports=PORTS,
        configmap=BUFFERING,
    )
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    deployment = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")
    # It writes its Service's address into the Ingress's status: all that the operator can know of it.
    deployment["spec"]["template"]["spec"]["containers"][0]["args"] += [
        "--publish-service=$(POD_NAMESPACE)/ingress-nginx-controller",
        "--status-update-interval=5",
    ]
    kind.apply(yaml.safe_dump_all(manifests))
    kube.kubectl(
        "-n", EDGE, "rollout", "status", "deployment/ingress-nginx-controller", "--timeout=120s", seconds=150
    )
    yield EdgeAddress(kind.address(), PORTS[0])
    kube.delete("namespace", EDGE, None, "--wait=false")
    for resource in ("ingressclass", "clusterrole", "clusterrolebinding"):
        kube.delete(resource, CLASS if resource == "ingressclass" else EDGE)


@pytest.fixture(scope="module")
def held(edge: EdgeAddress, shared_namespace: str) -> tuple[Endpoint, Endpoint]:
    """Two endpoints behind it: one for each remedy."""
    both = (Endpoint(shared_namespace, "moved"), Endpoint(shared_namespace, "waiting"))
    kube.apply(*(endpoint.double(exposure={"ingress": {"className": CLASS}}) for endpoint in both))
    for endpoint in both:
        endpoint.await_condition("WorkloadAvailable", "True", seconds=120)
        endpoint.await_condition("Exposed", "True")
    return both


def test_a_plain_client_sees_it_buffer(edge: EdgeAddress, held: tuple[Endpoint, Endpoint]) -> None:
    """Ten seconds of tokens arrive in one piece at the end: the edge does what this test needs."""
    moved, _ = held
    wait_for(lambda: serves(edge, moved.host, moved.name), "the edge to serve the host")
    answer = moved.stream(edge, max_tokens=200, gzip=True, headers=PACE).finish()
    assert (answer.headers.get("content-encoding"), answer.done) == ("gzip", True)
    assert answer.flow < HELD_BACK, answer.reads


@pytest.mark.shows("ingress-nginx", "cut", "`Buffered` names the class where its ConfigMap buffers")
def test_not_ready_and_the_edge_is_named(held: tuple[Endpoint, Endpoint]) -> None:
    """Buffered, hop Exposure; the Ingress carries nothing but portable fields."""
    for endpoint in held:
        message = endpoint.await_condition("StreamingVerified", "False", "Buffered", seconds=180)
        endpoint.await_condition("Ready", "False", "Buffered")
        verification = endpoint.body()["status"]["verification"]
        assert (verification["verdict"], verification["hop"]) == ("Buffered", "Exposure")
        assert CLASS in message
        annotations = endpoint.child("ingress")["metadata"].get("annotations", {})
        assert [key for key in annotations if "nginx" in key] == []
        endpoint.event("Buffered")


def test_another_class_makes_it_ready(held: tuple[Endpoint, Endpoint]) -> None:
    """Only the Ingress is written: the pods of the endpoint serve on."""
    moved, _ = held
    pod, since = moved.pod()["metadata"]["uid"], audit.mark()
    moved.change(exposure={"ingress": {"className": "nginx"}})
    moved.await_ready()
    assert moved.pod()["metadata"]["uid"] == pod
    written = [entry for entry in audit.children_written(since, moved.namespace) if entry[2] == moved.name]
    assert written == [("patch", "ingresses", moved.name)]


def test_the_repaired_edge_makes_it_ready(edge: EdgeAddress, held: tuple[Endpoint, Endpoint]) -> None:
    """The administrator repairs the ConfigMap: Ready at a later probe, with nothing of ours touched."""
    _, waiting = held
    since = audit.mark()
    kube.patch("configmap", "ingress-nginx-controller", {"data": REPAIRED}, EDGE)
    waiting.await_ready(180)
    answer = waiting.stream(edge, max_tokens=100, gzip=True, headers=PACE).finish()
    assert answer.done
    assert answer.flowed, answer.reads
    assert audit.children_written(since, waiting.namespace) == []


def test_what_the_demo_says_of_breaking_and_mending_the_edge_is_true(held: tuple[Endpoint, Endpoint]) -> None:
    """Its commands as printed, but for the controller's namespace: Buffered at the hop Exposure, then Ready again."""
    _, waiting = held

    def follow(command: str) -> None:
        _, *words = shlex.split(command)
        words[words.index("ingress-nginx")] = EDGE
        kube.kubectl(*words)

    follow(tour.breaking(f"{waiting.name}.{waiting.namespace}.svc.cluster.local"))
    waiting.await_condition("StreamingVerified", "False", "Buffered", seconds=180)
    waiting.await_condition("Ready", "False", "Buffered", seconds=180)
    assert waiting.body()["status"]["verification"]["hop"] == "Exposure"
    follow(tour.repairing())
    waiting.await_ready(180)


def test_an_edge_that_adds_the_key_is_named(edge: EdgeAddress, shared_namespace: str) -> None:
    """The administrator lets the edge send the key for everybody: the pods enforce it, the edge does not."""
    keyed = Endpoint(shared_namespace, "keyed")
    headers = {"Authorization": f"Bearer {KEY}"}
    kube.apply(
        kube.key_secret("keyed", shared_namespace, KEY),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "added-headers", "namespace": EDGE},
            "data": headers,
        },
        keyed.double(
            exposure={"ingress": {"className": CLASS}},
            engine={"apiKeySecretRef": {"name": "keyed"}},
            verification={"checks": {"auth": True}},
        ),
    )
    added = {"proxy-set-headers": f"{EDGE}/added-headers"}
    kube.patch("configmap", "ingress-nginx-controller", {"data": REPAIRED | added}, EDGE)
    message = keyed.await_condition("StreamingVerified", "False", "AuthNotEnforced", seconds=180)
    assert keyed.body()["status"]["verification"]["hop"] == "Exposure"
    assert KEY not in message
    assert keyed.stream(edge, max_tokens=1).finish().status == 200


@pytest.mark.shows(
    "ingress-nginx",
    "cut",
    "`Exposed` says beforehand that a reload ends streams after `worker-shutdown-timeout`",
)
@pytest.mark.shows(
    "ingress-nginx",
    "drain",
    "a reload cuts what runs on after `worker-shutdown-timeout`, made 5 s there; with 240 s it runs on",
)
def test_a_reload_cuts_what_outlives_its_time(edge: EdgeAddress, held: tuple[Endpoint, Endpoint]) -> None:
    """
    Three times the short limit, a stream is whole where the administrator set 240 s, and with less it is cut.

    Each configuration marks its answers, so that a stream shows which one it runs under.
    """
    moved, waiting = held
    moved.change(rollout={"drainSeconds": 300})
    moved.await_condition("Exposed", "True", saying="240 s after a reload")

    _configure("short", f"{SHORT}s")
    cut = _held_under("short", edge, waiting)
    _configure("long", "240s")  # which is a reload
    assert (cut.finish().ending, cut.finish().done) == ("cut", False)

    kept = _held_under("long", edge, waiting)
    _configure("later", "240s")
    _held_under("later", edge, waiting).leave()
    kept.await_events(kept.events_so_far + 3 * SHORT)
    kept.leave()
    assert kept.finish().ending == "left"


def _configure(mark: str, shutdown_timeout: str) -> None:
    """Change the controller's ConfigMap, which makes it reload."""
    data = REPAIRED | {
        "worker-shutdown-timeout": shutdown_timeout,
        "http-snippet": f"add_header X-Configuration {mark};",
    }
    kube.patch("configmap", "ingress-nginx-controller", {"data": data}, EDGE)


def _held_under(mark: str, edge: EdgeAddress, endpoint: Endpoint) -> Stream:
    """A long stream that a worker with this configuration has begun."""

    def begun() -> Stream | None:
        stream = endpoint.stream(edge, max_tokens=2000, headers=EVERY_SECOND)
        stream.await_events(2)
        if stream.headers_so_far.get("x-configuration") == mark:
            return stream
        stream.leave()
        return None

    return wait_for(begun, f"nginx to run with the configuration {mark}")
