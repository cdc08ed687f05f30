"""The real Istio as a gateway, with a stock Envoy: no limit of its own; its Gateway is programmed in any case."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster import istio, kind
from tests.e2e import audit, clients, gateways, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress, Stream, serves
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.programs("istio", "envoy")

DRAIN_SECONDS = 20
"""How long streams may go on when the gateway's pod is replaced; 5 by default, and the pod's grace is 30."""
SLOW = {"X-Double-Inter-Token-Latency": "300"}
LONG = 64
"""Tokens that take 19 s at this pace."""
LIMITED, PLAIN = "limited", "plain"
OF_GATEWAY = "gateway.networking.k8s.io/gateway-name=public"
ROUTE = {"parentRefs": [{"name": "public", "namespace": istio.NAMESPACE}]}


def _gateway() -> kube.Manifest:
    """Its Service has ports of the node beside its address inside of the cluster."""
    gateway = gateways.gateway("public", istio.NAMESPACE, istio.CLASS)
    gateway["metadata"]["annotations"] = {"networking.istio.io/service-type": "NodePort"}
    drain = json.dumps({"terminationDrainDuration": f"{DRAIN_SECONDS}s"})
    gateway["spec"]["infrastructure"] = {"annotations": {"proxy.istio.io/config": drain}}
    return gateway


GATEWAY = _gateway()
UNKNOWN_FILTER = {
    "apiVersion": "networking.istio.io/v1alpha3",
    "kind": "EnvoyFilter",
    "metadata": {"name": "unknown", "namespace": istio.NAMESPACE},
    "spec": {
        "workloadSelector": {"labels": dict([OF_GATEWAY.split("=")])},
        "configPatches": [
            {
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "GATEWAY",
                    "listener": {
                        "filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}
                    },
                },
                "patch": {
                    "operation": "INSERT_FIRST",
                    "value": {
                        "name": "example.unknown",
                        "typed_config": {
                            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                            "type_url": "type.googleapis.com/example.Unknown",
                            "value": {},
                        },
                    },
                },
            }
        ],
    },
}
"""A filter that Envoy has not: it refuses each listener that has it. istiod takes it, as it would a misspelt one."""


def _service() -> kube.Manifest | None:
    """The Service that istiod makes for the Gateway."""
    return next(iter(kube.listing("services", istio.NAMESPACE, OF_GATEWAY)), None)


def _pods() -> list[kube.Manifest]:
    """The gateway's pods that are not being deleted."""
    pods = kube.listing("pods", istio.NAMESPACE, OF_GATEWAY)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _replace_pod() -> None:
    """Delete the gateway's one pod, whose Deployment makes another."""
    pod = wait_for(lambda: pods[0] if len(pods := _pods()) == 1 else None, "one pod of the gateway")
    kube.delete("pod", pod["metadata"]["name"], istio.NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def edge(cluster: int) -> Iterator[EdgeAddress]:
    """Where users reach its gateway from outside of the cluster."""
    istio.install()
    kube.apply(GATEWAY)
    service = wait_for(_service, "the Service of the Gateway", seconds=120)
    (port,) = (port["nodePort"] for port in service["spec"]["ports"] if port["port"] == 80)
    yield EdgeAddress(kind.address(), port)
    kube.delete("gateways.gateway.networking.k8s.io", "public", istio.NAMESPACE)
    istio.uninstall()


@pytest.fixture(scope="module")
def exposed(edge: EdgeAddress, shared_namespace: str) -> Endpoint:
    """An endpoint behind the Gateway, once it streams, in a namespace that istiod sees."""
    label, value = istio.SERVED
    kube.patch("namespace", shared_namespace, {"metadata": {"labels": {label: value}}})
    endpoint = Endpoint(shared_namespace, "chat")
    exposure = {"ingress": None, "httpRoute": ROUTE}
    endpoint.apply(endpoint.double(exposure=exposure, rollout={"drainSeconds": 90}))
    endpoint.await_ready(180)
    return endpoint


@pytest.fixture(scope="module")
def others(edge: EdgeAddress, exposed: Endpoint) -> dict[str, str]:
    """The hosts of somebody else's routes to the same pods, one with a limit of 6 s, once the edge serves them."""
    hosts = {name: f"{name}.{exposed.namespace}.example.com" for name in (PLAIN, LIMITED)}
    routes = {
        name: gateways.plain_route(name, exposed.namespace, GATEWAY, host, exposed.name)
        for name, host in hosts.items()
    }
    # With a limit that a busy machine needs for the headers it is a 504.
    routes[LIMITED]["spec"]["rules"][0]["timeouts"] = {"request": "6s"}
    kube.apply(*routes.values())
    for name, host in hosts.items():
        wait_for(lambda host=host: serves(edge, host, exposed.name), name)
    return hosts


def test_it_is_asked_at_the_host_name_of_its_status(exposed: Endpoint) -> None:
    """The Gateway's address is a name inside of the cluster, which leads to the Service in front of its pods."""
    gateway, service = kube.get("gateways.gateway.networking.k8s.io", "public", istio.NAMESPACE), _service()
    assert gateway is not None
    assert service is not None
    name = f"{service['metadata']['name']}.{istio.NAMESPACE}.svc.cluster.local"
    assert gateway["status"]["addresses"] == [{"type": "Hostname", "value": name}]
    hops = {hop["name"]: hop["address"] for hop in exposed.body()["status"]["verification"]["hops"]}
    assert hops["Exposure"] == f"http://{service['spec']['clusterIP']}:80"


@pytest.mark.programs("nodejs")
def test_sdks_read_and_leave_through_it(edge: EdgeAddress, exposed: Endpoint) -> None:
    """OpenAI's SDKs, the AI SDK and Node's fetch."""
    clients.read_and_leave(edge, exposed)


def test_the_drain_of_its_pods_is_said_beforehand(exposed: Endpoint) -> None:
    """An endpoint whose streams may take longer than the gateway's pods wait says so in `Exposed`."""
    assert "terminationDrainDuration" in exposed.conditions()["Exposed"]["message"]


@pytest.mark.shows("istio", "default", "19 s of tokens are whole")
@pytest.mark.shows("istio", "ours", "the same: 19 s of tokens are whole")
@pytest.mark.shows("istio", "cut", "`TotalTimeout` through somebody's `timeouts.request`")
def test_only_a_limit_that_a_route_has_cuts(
    edge: EdgeAddress, exposed: Endpoint, others: dict[str, str]
) -> None:
    """19 s of tokens: whole through ours and through a route without settings, cut by somebody's limit of 6 s."""
    ours = exposed.stream(edge, max_tokens=LONG, headers=SLOW)
    theirs = {
        name: Stream(edge, host, exposed.name, max_tokens=LONG, headers=SLOW) for name, host in others.items()
    }
    report = gateways.probe(edge, others[LIMITED], "--header", "X-Double-Inter-Token-Latency: 300")
    limited = theirs.pop(LIMITED).finish()
    whole = [stream.finish() for stream in (ours, *theirs.values())]
    assert [(answer.ending, answer.done) for answer in whole] == [("whole", True)] * 2
    assert (limited.status, limited.ending, limited.done) == (200, "cut", False)
    assert (report["verdict"], report["exitCode"]) == ("TotalTimeout", 1), report


def test_at_rest_nothing_is_written(exposed: Endpoint, others: dict[str, str]) -> None:
    """Neither by a verification, nor when somebody else's route beside ours changes."""
    since = audit.mark()
    annotations = {"example.com/by": "us"}
    kube.patch("httproute", PLAIN, {"metadata": {"annotations": annotations}}, exposed.namespace)
    gateways.verify(exposed)
    assert audit.children_written(since, exposed.namespace) == []


def test_it_leaves_other_namespaces_alone(exposed: Endpoint) -> None:
    """istiod writes the certificate of its CA where it serves, and nowhere else."""
    seen = {one["metadata"]["name"] for one in kube.listing("namespaces", None, "=".join(istio.SERVED))}
    maps = kube.listing("configmaps", None, "istio.io/config=true")
    written = {one["metadata"]["namespace"] for one in maps}
    assert {exposed.namespace, istio.NAMESPACE} <= written <= seen


@pytest.mark.shows("istio", "drain", "what ends within `terminationDrainDuration` is whole, the rest is cut")
def test_streams_that_fit_the_drain_outlive_its_pod(edge: EdgeAddress, exposed: Endpoint) -> None:
    """Its pod is replaced: what ends within `terminationDrainDuration` is whole, what takes longer is cut."""
    short, long = gateways.one_that_fits_and_one_that_does_not(exposed, edge, DRAIN_SECONDS)
    _replace_pod()
    fits, exceeds = short.finish(), long.finish()
    assert (fits.ending, fits.done) == ("whole", True)
    assert (exceeds.ending, exceeds.done) == ("cut", False)
    gateways.await_verdict(exposed, "Streaming")


@pytest.mark.shows("istio", "cut", "`Unreachable` where Envoy refused the listener of a programmed Gateway")
def test_a_refused_listener_is_told(edge: EdgeAddress, exposed: Endpoint) -> None:
    """Envoy refuses the listener, the Gateway stays `Programmed`: `Unreachable` with what to look for, then Ready."""
    kube.apply(UNKNOWN_FILTER)
    wait_for(_refusal, "istiod to hear that Envoy refuses it", tell=_log)
    assert exposed.stream(edge, max_tokens=5).finish().done  # by the listener that this Envoy has
    _replace_pod()
    gateways.await_verdict(exposed, "Unreachable")
    message = exposed.await_condition("StreamingVerified", "False", "Unreachable", saying="ACK ERROR")
    assert "log of istiod" in message
    assert exposed.conditions()["Ready"]["status"] == "False"
    gateway = kube.get("gateways.gateway.networking.k8s.io", "public", istio.NAMESPACE)
    assert gateways.conditions(gateway)["Programmed"][0] == "True"
    kube.delete("envoyfilter", "unknown", istio.NAMESPACE)
    gateways.await_verdict(exposed, "Streaming")
    exposed.await_ready(180)


def _log() -> str:
    return kube.kubectl("-n", istio.NAMESPACE, "logs", "deployment/istiod", "--tail=-1")


def _refusal() -> bool:
    """Whether the log of istiod has what the remedy says to look for."""
    return any("ACK ERROR" in line and "example.unknown" in line for line in _log().splitlines())
