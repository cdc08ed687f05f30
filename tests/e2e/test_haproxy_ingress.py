"""
The real haproxy-ingress: it joins small writes and cuts a silence, and both end with what the operator writes.

HAProxy has one backend for each Service, so what is seen without our settings has a Service of its own.
"""

import re
from collections.abc import Iterator

import pytest

from tests.cluster import haproxy_ingress, kind
from tests.e2e import audit, clients, gateways, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import Answer, EdgeAddress, Stream, begun, serves
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.programs("haproxy-ingress", "haproxy")

PREFIX = "haproxy-ingress.github.io"
PACE = ["--inter-token-latency", "50"]
"""Twenty tokens a second: six of them within the 300 ms for which HAProxy waits."""
SILENT = {"X-Double-Silence-After-Tokens": "5", "X-Double-Silence-Seconds": "6"}
PLAIN = "plain"
TRIES = 6
"""Comparisons at most: on a busy machine what is asked beside HAProxy may come late itself, which acquits HAProxy."""


def _ingress(name: str, endpoint: Endpoint, service: str, **annotations: str) -> kube.Manifest:
    """An Ingress of somebody else, with a host of its own."""
    backend = {"service": {"name": service, "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    given = {f"{PREFIX}/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": endpoint.namespace, "annotations": given},
        "spec": {
            "ingressClassName": haproxy_ingress.CLASS,
            "rules": [{"host": _host(name, endpoint), "http": {"paths": paths}}],
        },
    }


def _host(name: str, endpoint: Endpoint) -> str:
    return f"{name}.{endpoint.namespace}.example.com"


@pytest.fixture(scope="module")
def edge(cluster: int) -> Iterator[EdgeAddress]:
    """Where users reach it from outside of the cluster."""
    haproxy_ingress.install()
    service = kube.get("service", haproxy_ingress.SERVICE, haproxy_ingress.NAMESPACE)
    assert service is not None
    yield EdgeAddress(kind.address(), service["spec"]["ports"][0]["nodePort"])
    haproxy_ingress.uninstall()


@pytest.fixture(scope="module")
def exposed(edge: EdgeAddress, shared_namespace: str) -> Endpoint:
    """An endpoint behind it, once it streams."""
    endpoint = Endpoint(shared_namespace, "chat")
    ingress = {"className": haproxy_ingress.CLASS}
    endpoint.apply(endpoint.double(exposure={"ingress": ingress}, engine={"args": PACE}))
    endpoint.await_ready(180)
    return endpoint


@pytest.fixture(scope="module")
def plain(edge: EdgeAddress, exposed: Endpoint) -> str:
    """The host of an Ingress without any settings, by another Service to the same pods, once the edge serves it."""
    ours = exposed.child("service")["spec"]
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": PLAIN, "namespace": exposed.namespace},
            "spec": {"type": "NodePort", "selector": ours["selector"], "ports": ours["ports"]},
        },
        _ingress(PLAIN, exposed, PLAIN),
    )
    host = _host(PLAIN, exposed)
    wait_for(lambda: serves(edge, host, exposed.name), "the plain Ingress")
    return host


def _settings() -> str:
    """The configuration that was last written for HAProxy, which runs with it once it has reloaded."""
    return kube.kubectl(
        "-n", haproxy_ingress.NAMESPACE, "exec", f"deployment/{haproxy_ingress.SERVICE}", "--",
        "cat", "/etc/haproxy/haproxy.cfg",
    )  # fmt: skip


def _backend(service: str, namespace: str) -> list[str]:
    """The lines of the backend of a Service; none while there is no such backend."""
    _, _, rest = _settings().partition(f"backend {namespace}_{service}_")
    section = re.split(r"\n\s*\n|\nbackend ", rest, maxsplit=1)[0]
    return [line.strip() for line in section.splitlines()[1:]]


def test_it_is_asked_where_the_status_of_its_ingress_says(exposed: Endpoint) -> None:
    """`--publish-address` is a name inside of the cluster, which leads to the Service in front of its pods."""
    (reported,) = exposed.child("ingress")["status"]["loadBalancer"]["ingress"]
    assert reported["hostname"] == haproxy_ingress.ADDRESS
    service = kube.get("service", haproxy_ingress.SERVICE, haproxy_ingress.NAMESPACE)
    assert service is not None
    hops = {hop["name"]: hop["address"] for hop in exposed.body()["status"]["verification"]["hops"]}
    assert hops["Exposure"] == f"http://{service['spec']['clusterIP']}:80"


@pytest.mark.programs("nodejs")
def test_sdks_read_and_leave_through_it(edge: EdgeAddress, exposed: Endpoint) -> None:
    """OpenAI's SDKs, the AI SDK and Node's fetch."""
    clients.read_and_leave(edge, exposed)


def test_the_drain_of_its_pods_is_said_beforehand(exposed: Endpoint) -> None:
    """An endpoint whose streams may take longer than HAProxy's pods wait says so in `Exposed`, with the flag."""
    assert "--haproxy-grace-period" in exposed.conditions()["Exposed"]["message"]


@pytest.mark.shows("haproxy-ingress", "default", "tokens are joined for up to 300 ms")
def test_small_writes_are_joined_by_default(edge: EdgeAddress, exposed: Endpoint, plain: str) -> None:
    """`Coalesced` by a plain Service of the same pods, which stream when they are asked beside HAProxy."""
    service = kube.get("service", PLAIN, exposed.namespace)
    assert service is not None
    beside = f"http://{kind.address()}:{service['spec']['ports'][0]['nodePort']}"
    for _ in range(TRIES):
        report = gateways.probe(edge, plain, "--compare", beside)
        if report["verdict"] == "Coalesced":
            break
    assert (report["verdict"], report["exitCode"]) == ("Coalesced", 1), report
    assert "http-no-delay" in report["remedy"]


@pytest.mark.shows("haproxy-ingress", "default", "a silence is cut after 50 s, made 2 s there")
@pytest.mark.shows("haproxy-ingress", "ours", "6 s of silence pass")
def test_a_silence_is_cut_by_default(edge: EdgeAddress, exposed: Endpoint, plain: str) -> None:
    """After 50 s, made 2 s here for the plain Service; the same silence passes through ours."""
    assert "timeout server          50s" in _settings()
    short = {f"{PREFIX}/timeout-server": "2s"}
    kube.patch("service", PLAIN, {"metadata": {"annotations": short}}, exposed.namespace)

    def cut_there() -> Answer | None:
        """The response, once HAProxy runs with the limit: it is written down some time before it reloads."""
        answer = Stream(edge, plain, exposed.name, max_tokens=10, headers=SILENT).finish()
        return answer if (answer.status, answer.ending) == (200, "cut") else None

    cut = wait_for(cut_there, "HAProxy's limit", tell=_settings)
    assert (cut.status, cut.done) == (200, False)
    whole = exposed.stream(edge, max_tokens=10, headers=SILENT).finish()
    assert (whole.ending, whole.done) == ("whole", True)


def test_what_the_service_says_precedes_an_older_ingress(edge: EdgeAddress, exposed: Endpoint) -> None:
    """Somebody's Ingress to our Service, older than ours, has another limit and another line: ours hold for both."""
    kube.apply(
        _ingress("older", exposed, exposed.name, timeout_server="2s", config_backend="timeout tunnel 5s")
    )
    kube.delete("ingress", exposed.name, exposed.namespace)
    wait_for(lambda: exposed.children("ingresses"), "its own Ingress again", tell=exposed.diagnosis)
    host = _host("older", exposed)
    # Of each the first that begins: another reload may take a host away once more that has been served.
    streams = [
        wait_for(
            lambda address=address: begun(edge, address, exposed.name, max_tokens=10, headers=SILENT), address
        )
        for address in (host, exposed.host)
    ]
    assert [(stream.finish().ending, stream.finish().done) for stream in streams] == [("whole", True)] * 2
    backend = _backend(exposed.name, exposed.namespace)
    assert {"timeout server 3600s", "option http-no-delay"} <= set(backend)
    assert "timeout tunnel 5s" not in backend
    kube.delete("ingress", "older", exposed.namespace)


def test_at_rest_nothing_is_written(exposed: Endpoint, plain: str) -> None:
    """Neither by a verification, nor when somebody else's Ingress beside ours changes."""
    exposed.await_ready(180)
    since = audit.mark()
    annotations = {"example.com/by": "us"}
    kube.patch("ingress", PLAIN, {"metadata": {"annotations": annotations}}, exposed.namespace)
    gateways.verify(exposed)
    assert audit.children_written(since, exposed.namespace) == []


@pytest.mark.shows(
    "haproxy-ingress", "drain", "what ends within `--haproxy-grace-period` is whole, the rest is cut"
)
def test_streams_that_fit_the_drain_outlive_its_pod(edge: EdgeAddress, exposed: Endpoint) -> None:
    """Its pod is replaced: what ends within `--haproxy-grace-period` is whole, what takes longer is cut."""
    (pod,) = kube.listing("pods", haproxy_ingress.NAMESPACE, "app=haproxy-ingress")
    short, long = gateways.one_that_fits_and_one_that_does_not(exposed, edge, haproxy_ingress.GRACE_SECONDS)
    kube.delete("pod", pod["metadata"]["name"], haproxy_ingress.NAMESPACE, "--wait=false")
    fits, exceeds = short.finish(), long.finish()
    assert (fits.ending, fits.done) == ("whole", True)
    assert (exceeds.ending, exceeds.done) == ("cut", False)
    exposed.await_ready(180)


@pytest.mark.shows("haproxy-ingress", "cut", "`Coalesced` where its administrator refuses our line")
def test_a_refused_line_is_told_and_its_remedy_holds(exposed: Endpoint) -> None:
    """Its administrator allows no lines of others: `Coalesced`, until the ConfigMap has what the remedy names."""
    refuse = {
        "op": "add",
        "path": "/spec/template/spec/containers/0/args/-",
        "value": "--disable-config-keywords=*",
    }
    where = haproxy_ingress.NAMESPACE
    kube.patch("deployment", haproxy_ingress.SERVICE, [refuse], where)
    kube.kubectl("-n", where, "rollout", "status", f"deployment/{haproxy_ingress.SERVICE}", "--timeout=110s")
    gateways.await_verdict(exposed, "Coalesced")
    message = exposed.await_condition(
        "StreamingVerified", "False", "Coalesced", saying="--disable-config-keywords"
    )
    assert "config-defaults" in message
    line = {"data": {"config-defaults": "option http-no-delay"}}
    kube.patch("configmap", haproxy_ingress.SERVICE, line, where)
    gateways.await_verdict(exposed, "Streaming")
    exposed.await_ready()
