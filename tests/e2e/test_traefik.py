"""
The real Traefik. By the Gateway API it passes streams on as they are, whatever a route says of time limits; by its
provider of ingress-nginx' annotations it has nginx' limit on a silence, which ours lifts.
"""

from collections.abc import Iterator

import pytest

from tests.cluster import kind, traefik
from tests.e2e import audit, clients, gateways, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import Answer, EdgeAddress, Stream, serves
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.programs("traefik")

GATEWAY = gateways.gateway("public", traefik.NAMESPACE, traefik.CLASS, traefik.PORT)
BUFFERED = gateways.gateway("buffered", traefik.NAMESPACE, traefik.CLASS, traefik.BUFFERED_PORT)
SILENT = {"X-Double-Silence-After-Tokens": "5", "X-Double-Silence-Seconds": str(3 * traefik.READ_SECONDS)}
SLOW = {"X-Double-Inter-Token-Latency": "100"}


@pytest.fixture(scope="module")
def ports(cluster: int) -> Iterator[dict[str, EdgeAddress]]:
    """Where users reach each entry point from outside of the cluster."""
    traefik.install()
    kube.apply(GATEWAY, BUFFERED)
    service = kube.get("service", "users", traefik.NAMESPACE)
    assert service is not None
    yield {port["name"]: EdgeAddress(kind.address(), port["nodePort"]) for port in service["spec"]["ports"]}
    traefik.uninstall()


@pytest.fixture(scope="module")
def exposed(ports: dict[str, EdgeAddress], shared_namespace: str) -> Endpoint:
    """An endpoint behind the Gateway, once it streams."""
    endpoint = Endpoint(shared_namespace, "chat")
    route = {"parentRefs": [{"name": "public", "namespace": traefik.NAMESPACE}]}
    endpoint.apply(endpoint.double(exposure={"ingress": None, "httpRoute": route}))
    endpoint.await_ready(180)
    return endpoint


def test_it_is_asked_at_the_port_of_its_service(exposed: Endpoint) -> None:
    """The listener names the port of Traefik's entry point; users and the probe call that of the Service."""
    service = kube.get("service", "traefik", traefik.NAMESPACE)
    assert service is not None
    hops = {hop["name"]: hop["address"] for hop in exposed.body()["status"]["verification"]["hops"]}
    assert hops["Exposure"] == f"http://{service['spec']['clusterIP']}:80"
    assert exposed.body()["status"]["url"] == f"http://{exposed.host}"
    assert "timeouts" not in exposed.child("httproute")["spec"]["rules"][0]


@pytest.mark.programs("nodejs")
def test_sdks_read_and_leave_through_it(ports: dict[str, EdgeAddress], exposed: Endpoint) -> None:
    """OpenAI's SDKs, the AI SDK and Node's fetch."""
    clients.read_and_leave(ports["web"], exposed)


@pytest.mark.shows("traefik", "default", "no cut; `timeouts.request` is ignored")
def test_a_time_limit_of_a_route_is_ignored(ports: dict[str, EdgeAddress], exposed: Endpoint) -> None:
    """`timeouts.request: 1s` is accepted, and a stream of 3 s is whole: what ignores it is not asked for it."""
    host = f"plain.{exposed.namespace}.example.com"
    route = gateways.plain_route("plain", exposed.namespace, GATEWAY, host, exposed.name)
    route["spec"]["rules"][0]["timeouts"] = {"request": "1s"}
    kube.apply(route)
    edge = ports["web"]
    wait_for(lambda: serves(edge, host, exposed.name), "the route")
    answer = Stream(edge, host, exposed.name, max_tokens=30, headers=SLOW).finish()
    assert (answer.status, answer.ending, answer.done) == (200, "whole", True)
    parent = (kube.get("httproute", "plain", exposed.namespace) or {})["status"]["parents"][0]
    assert {entry["status"] for entry in parent["conditions"]} == {"True"}


def test_at_rest_nothing_is_written(exposed: Endpoint) -> None:
    """Neither by a verification, nor when somebody else's route beside ours changes."""
    since = audit.mark()
    annotations = {"example.com/by": "us"}
    kube.patch("httproute", "plain", {"metadata": {"annotations": annotations}}, exposed.namespace)
    gateways.verify(exposed)
    assert audit.children_written(since, exposed.namespace) == []


@pytest.mark.shows("traefik", "cut", "`Buffered` through a buffering Middleware")
def test_a_buffering_middleware_is_seen(ports: dict[str, EdgeAddress], exposed: Endpoint) -> None:
    """The same pods through an entry point whose Middleware holds answers back: `Buffered`."""
    host = f"buffered.{exposed.namespace}.example.com"
    kube.apply(gateways.plain_route("buffered", exposed.namespace, BUFFERED, host, exposed.name))
    edge = ports["buffered"]
    wait_for(lambda: serves(edge, host, exposed.name), "the route")
    report = gateways.probe(edge, host)
    assert (report["verdict"], report["exitCode"]) == ("Buffered", 1), report


@pytest.mark.shows(
    "traefik",
    "default",
    "by its provider of ingress-nginx' annotations a silence is cut after 60 s, made 2 s there",
)
@pytest.mark.shows("traefik", "ours", "6 s of silence pass there")
def test_a_silence_passes_where_the_annotations_of_ingress_nginx_are_read(
    ports: dict[str, EdgeAddress], exposed: Endpoint
) -> None:
    """An Ingress that says nothing of it is cut at Traefik's own limit; that of an endpoint of the class is not."""
    annotated = Endpoint(exposed.namespace, "annotated")
    annotated.apply(annotated.double(exposure={"ingress": {"className": traefik.INGRESS_CLASS}}))
    annotated.await_ready(180)
    host = f"unannotated.{annotated.namespace}.example.com"
    backend = {"service": {"name": annotated.name, "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    kube.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "unannotated", "namespace": annotated.namespace},
            "spec": {
                "ingressClassName": traefik.INGRESS_CLASS,
                "rules": [{"host": host, "http": {"paths": paths}}],
            },
        }
    )
    edge = ports["web"]
    wait_for(lambda: serves(edge, host, annotated.name), "the plain Ingress")

    def cut_there() -> Answer | None:
        """The response, once one has begun: a busy machine may need the whole limit to begin it, which is a 504."""
        answer = Stream(edge, host, annotated.name, max_tokens=10, headers=SILENT).finish()
        return answer if answer.status == 200 else None

    cut = wait_for(cut_there, "a stream that begins")
    whole = annotated.stream(edge, max_tokens=10, headers=SILENT).finish()
    assert (cut.ending, cut.done) == ("cut", False)
    assert (whole.status, whole.ending, whole.done) == (200, "whole", True)
    annotated.delete()


@pytest.mark.shows("traefik", "ours", "the same: nothing to write")
@pytest.mark.shows("traefik", "drain", "what ends within `graceTimeOut` is whole, the rest is cut")
def test_streams_that_fit_the_drain_outlive_traefiks_pod(
    ports: dict[str, EdgeAddress], exposed: Endpoint
) -> None:
    """Its pod is replaced: what ends within `graceTimeOut` is whole, what takes longer is cut."""
    (pod,) = kube.listing("pods", traefik.NAMESPACE, "app=traefik")
    short, long = gateways.one_that_fits_and_one_that_does_not(exposed, ports["web"], traefik.GRACE_SECONDS)
    kube.delete("pod", pod["metadata"]["name"], traefik.NAMESPACE, "--wait=false")
    fits, exceeds = short.finish(), long.finish()
    assert (fits.ending, fits.done) == ("whole", True)
    assert (exceeds.ending, exceeds.done) == ("cut", False)
    exposed.await_ready(180)
