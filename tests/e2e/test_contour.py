"""
The real Contour: its limits on a whole request and on a silence, by HTTPRoute and by Ingress, and what lifts each.

Its limit on a silence is one for all routes. Here it is seconds instead of five minutes.
"""

from collections.abc import Iterator

import pytest

from tests.cluster import contour, kind
from tests.e2e import audit, clients, gateways, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import EdgeAddress, Stream, serves
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.programs("contour", "envoy")

GATEWAY = gateways.gateway(contour.GATEWAY, contour.NAMESPACE, contour.CLASS)
ROUTE = {"parentRefs": [{"name": contour.GATEWAY, "namespace": contour.NAMESPACE}]}
SLOW = {"X-Double-Inter-Token-Latency": "300"}
OUTLASTS_THE_DEFAULT = 64
"""Tokens that take 19 s at this pace; Contour's Envoy by itself ends every answer after 15 s."""
SILENT = {
    "X-Double-Silence-After-Tokens": "5",
    "X-Double-Silence-Seconds": str(contour.IDLE_SECONDS + 5),
}
KEPT_ALIVE = 3
"""Seconds between the comments of an endpoint that sends some."""


@pytest.fixture(scope="module")
def edge(cluster: int) -> Iterator[EdgeAddress]:
    """Where users reach its Envoy from outside of the cluster."""
    contour.install()
    kube.apply(GATEWAY)
    service = kube.get("service", "envoy", contour.NAMESPACE)
    assert service is not None
    yield EdgeAddress(kind.address(), service["spec"]["ports"][0]["nodePort"])
    contour.uninstall()


@pytest.fixture(scope="module")
def routed(edge: EdgeAddress, shared_namespace: str) -> Endpoint:
    """An endpoint behind its Gateway."""
    endpoint = Endpoint(shared_namespace, "chat")
    exposure = {"ingress": None, "httpRoute": ROUTE}
    endpoint.apply(endpoint.double(exposure=exposure, rollout={"drainSeconds": 400}))
    return endpoint


@pytest.fixture(scope="module")
def ingressed(edge: EdgeAddress, shared_namespace: str) -> Endpoint:
    """One behind its Ingress class, which keeps a silent stream alive."""
    endpoint = Endpoint(shared_namespace, "kept")
    exposure = {"ingress": {"className": contour.CLASS}}
    endpoint.apply(endpoint.double(exposure=exposure, engine={"sseKeepAliveSeconds": KEPT_ALIVE}))
    return endpoint


@pytest.fixture(scope="module", autouse=True)
def ready(routed: Endpoint, ingressed: Endpoint) -> None:
    """Both stream."""
    for endpoint in (routed, ingressed):
        endpoint.await_ready(180)


@pytest.fixture(scope="module")
def plain(edge: EdgeAddress, routed: Endpoint, ingressed: Endpoint) -> dict[str, str]:
    """The hosts of a route and of an Ingress without any settings, once the edge serves them."""
    hosts = {name: f"{name}.{routed.namespace}.example.com" for name in ("plain-route", "plain-ingress")}
    backend = {"service": {"name": routed.name, "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    kube.apply(
        gateways.plain_route("plain-route", routed.namespace, GATEWAY, hosts["plain-route"], routed.name),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "plain-ingress", "namespace": routed.namespace},
            "spec": {
                "ingressClassName": contour.CLASS,
                "rules": [{"host": hosts["plain-ingress"], "http": {"paths": paths}}],
            },
        },
    )
    for name, host in hosts.items():
        wait_for(lambda host=host: serves(edge, host, routed.name), name)
    return hosts


def test_it_is_asked_where_the_status_of_its_routes_says(routed: Endpoint, ingressed: Endpoint) -> None:
    """`ingress-status-address` is written to Ingresses and to the Gateway, whose class is never `Accepted`."""
    service, gateway = (
        kube.get("service", "envoy", contour.NAMESPACE),
        kube.get("gateway", contour.GATEWAY, contour.NAMESPACE),
    )
    assert service is not None
    assert gateway is not None
    (reported,) = ingressed.child("ingress")["status"]["loadBalancer"]["ingress"]
    assert reported["hostname"] == contour.ADDRESS
    assert [entry["value"] for entry in gateway["status"]["addresses"]] == [contour.ADDRESS]
    for endpoint in (routed, ingressed):
        hops = {hop["name"]: hop["address"] for hop in endpoint.body()["status"]["verification"]["hops"]}
        assert hops["Exposure"] == f"http://{service['spec']['clusterIP']}:80"
    assert gateways.conditions(kube.get("gatewayclass", contour.CLASS))["Accepted"][0] != "True"


@pytest.mark.programs("nodejs")
def test_sdks_read_and_leave_through_it(edge: EdgeAddress, routed: Endpoint) -> None:
    """OpenAI's SDKs, the AI SDK and Node's fetch."""
    clients.read_and_leave(edge, routed)


def test_what_only_its_administrator_can_lift_is_said_beforehand(routed: Endpoint) -> None:
    """The limit on a silence, and how long the pods of its Envoy live on."""
    message = routed.conditions()["Exposed"]["message"]
    assert "stream-idle-timeout" in message
    assert "terminationGracePeriodSeconds" in message


@pytest.mark.shows("contour", "default", "cut after 15 s; a silence after 300 s, made 10 s there")
@pytest.mark.shows("contour", "ours", "19 s of tokens are whole; a silence is cut unless it is kept alive")
@pytest.mark.shows("contour", "cut", "`TotalTimeout`; the limit on a silence is a remark")
def test_both_limits_cut_and_both_are_lifted(
    edge: EdgeAddress, routed: Endpoint, ingressed: Endpoint, plain: dict[str, str]
) -> None:
    """19 s of tokens: whole through ours, cut through the plain ones; a silence: cut, unless it is kept alive."""
    long = {"max_tokens": OUTLASTS_THE_DEFAULT, "headers": SLOW}
    ours = [endpoint.stream(edge, **long) for endpoint in (routed, ingressed)]
    theirs = [Stream(edge, host, routed.name, **long) for host in plain.values()]
    silent, kept = (endpoint.stream(edge, max_tokens=10, headers=SILENT) for endpoint in (routed, ingressed))
    report = gateways.probe(edge, plain["plain-route"], *_slow())
    assert [(stream.finish().ending, stream.finish().done) for stream in ours] == [("whole", True)] * 2
    assert [(stream.finish().ending, stream.finish().done) for stream in theirs] == [("cut", False)] * 2
    assert (report["verdict"], report["exitCode"]) == ("TotalTimeout", 1), report
    assert (silent.finish().ending, silent.finish().done) == ("cut", False)
    assert (kept.finish().ending, kept.finish().done) == ("whole", True)


def _slow() -> list[str]:
    return [word for name, value in SLOW.items() for word in ("--header", f"{name}: {value}")]


def test_at_rest_nothing_is_written(routed: Endpoint, ingressed: Endpoint, plain: dict[str, str]) -> None:
    """Neither by a verification, nor when somebody else's routes beside ours change."""
    since = audit.mark()
    change = {"metadata": {"annotations": {"example.com/by": "us"}}}
    kube.patch("httproute", "plain-route", change, routed.namespace)
    kube.patch("ingress", "plain-ingress", change, routed.namespace)
    for endpoint in (routed, ingressed):
        gateways.verify(endpoint)
    assert audit.children_written(since, routed.namespace) == []


@pytest.mark.shows("contour", "drain", "what ends within the pod's grace is whole, the rest is cut")
def test_streams_that_fit_its_grace_outlive_envoys_pod(edge: EdgeAddress, ingressed: Endpoint) -> None:
    """Envoy's pod is replaced: the shutdown manager waits for streams, up to the pod's grace period."""
    (pod,) = kube.listing("pods", contour.NAMESPACE, "app=envoy")
    short, long = gateways.one_that_fits_and_one_that_does_not(ingressed, edge, contour.GRACE_SECONDS)
    kube.delete("pod", pod["metadata"]["name"], contour.NAMESPACE, "--wait=false")
    fits, exceeds = short.finish(), long.finish()
    assert (fits.ending, fits.done) == ("whole", True)
    assert (exceeds.ending, exceeds.done) == ("cut", False)
    ingressed.await_ready(180)
