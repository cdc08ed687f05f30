"""
The real Envoy Gateway: what it does to a stream by itself, and with the route and the policy that the operator writes.

Its Envoy has a Service of type LoadBalancer, as by default, in a cluster that gives out no addresses.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import cluster as test_cluster
from tests.cluster import envoy_gateway, kind
from tests.e2e import audit, clients, gateways, kube, sockets
from tests.e2e.endpoints import Endpoint
from tests.e2e.sockets import Idle, Pair
from tests.e2e.streams import EdgeAddress, Stream, serves
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.programs("envoy-gateway", "envoy")

EDGE = "edge-envoy"
GATEWAY = gateways.gateway("public", EDGE, EDGE)
ROUTE = {"parentRefs": [{"name": "public", "namespace": EDGE}]}
OF_GATEWAY = f"gateway.envoyproxy.io/owning-gateway-namespace={EDGE}"
POLICIES = "backendtrafficpolicies.gateway.envoyproxy.io"
DRAIN_SECONDS = 20
PACE = ["--inter-token-latency", "50"]
"""Twenty tokens a second: the probe's 64 take 3 s."""
HELD = 100
"""Streams that are held through a migration."""
SILENT = {"X-Double-Silence-After-Tokens": "5", "X-Double-Silence-Seconds": "40"}
MARKS = itertools.count()
"""One a request, by which the pod's access log shows how often it came."""
SLOW = {"X-Double-Inter-Token-Latency": "300"}
OUTLASTS_THE_DEFAULT = 64
"""Tokens that take 19 s at this pace; Envoy by itself ends every answer after 15 s."""
EVERY_SECOND = {"X-Double-Inter-Token-Latency": "1000"}
PATIENT = {"timeoutSeconds": 10}
"""Of the probes of its container; by default a single answer that takes longer than 1 s makes it unready."""


def _proxy(**service: Any) -> kube.Manifest:
    """How Envoy runs: small, also on a busy machine, and with a drain that a test can wait for."""
    patient = {"name": "envoy", "readinessProbe": PATIENT, "livenessProbe": PATIENT}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": "small", "namespace": EDGE},
        "spec": {
            "shutdown": {"drainTimeout": f"{DRAIN_SECONDS}s"},
            "provider": {
                "type": "Kubernetes",
                "kubernetes": {
                    **({"envoyService": service} if service else {}),
                    "envoyDeployment": {
                        "container": {
                            "image": test_cluster.image_name("envoy"),
                            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
                        },
                        "patch": {"value": {"spec": {"template": {"spec": {"containers": [patient]}}}}},
                    },
                },
            },
        },
    }


def _service() -> kube.Manifest | None:
    """The Service of the Gateway's Envoy."""
    return next(iter(kube.listing("services", envoy_gateway.NAMESPACE, OF_GATEWAY)), None)


def _pods() -> list[kube.Manifest]:
    """The pods of the Gateway's Envoy that are not being deleted."""
    pods = kube.listing("pods", envoy_gateway.NAMESPACE, OF_GATEWAY)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture(scope="module")
def edge(cluster: int) -> Iterator[EdgeAddress]:
    """A Gateway that Envoy serves; where users reach it from outside of the cluster."""
    envoy_gateway.install()
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": EDGE}},
        _proxy(),
        gateways.gateway_class(EDGE, envoy_gateway.CONTROLLER, _proxy()),
        GATEWAY,
    )
    service = wait_for(_service, "the Service of the Gateway", seconds=120)
    yield EdgeAddress(kind.address(), service["spec"]["ports"][0]["nodePort"])
    kube.delete("gateway", "public", EDGE)
    kube.delete("gatewayclass", EDGE)
    kube.delete("namespace", EDGE, None, "--wait=false")
    envoy_gateway.uninstall()


@pytest.fixture(scope="module")
def exposed(edge: EdgeAddress, shared_namespace: str) -> Endpoint:
    """An endpoint behind the Gateway, once it streams; its pods may take longer to drain than Envoy's."""
    endpoint = Endpoint(shared_namespace, "chat")
    endpoint.apply(
        endpoint.double(
            exposure={"ingress": None, "httpRoute": ROUTE},
            engine={"args": [*PACE, *clients.ANY_ORIGIN]},
            rollout={"drainSeconds": 90},
        )
    )
    # The operator looks for kinds that come late once a minute.
    wait_for(lambda: endpoint.children(POLICIES), "the policy", seconds=120, tell=endpoint.diagnosis)
    endpoint.await_ready(180)
    return endpoint


@pytest.fixture(scope="module")
def plain(edge: EdgeAddress, exposed: Endpoint) -> str:
    """The host of a route without any settings to the same pods, once the edge serves it."""
    host = f"plain.{exposed.namespace}.example.com"
    kube.apply(gateways.plain_route("plain", exposed.namespace, GATEWAY, host, exposed.name))
    wait_for(lambda: serves(edge, host, exposed.name), "the plain route")
    return host


@pytest.fixture(scope="module", autouse=True)
def long_stream(edge: EdgeAddress, exposed: Endpoint) -> Stream:
    """90 s of tokens, which come beside the tests before the one that judges them."""
    return exposed.stream(edge, max_tokens=91, headers=EVERY_SECOND)


@pytest.fixture(scope="module")
def pair(edge: EdgeAddress, shared_namespace: str) -> Pair:
    """The endpoints whose sockets are asked."""
    return sockets.pair(shared_namespace, ingress=None, httpRoute=ROUTE)


@pytest.fixture(scope="module")
def limited(edge: EdgeAddress, pair: Pair) -> dict[str, str]:
    """The hosts of two routes of somebody else, whose policies cut a silence after 20 s, once the edge serves them."""
    hosts = {}
    for endpoint in (pair.pinged, pair.silent):
        host, name = f"limited.{endpoint.host}", f"limited-{endpoint.name}"
        hosts[endpoint.name] = host
        target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}
        limit = {"http": {"streamIdleTimeout": f"{sockets.LIMIT}s"}}
        kube.apply(
            _policy(name, endpoint.namespace, {"targetRefs": [target], "timeout": limit}),
            gateways.plain_route(name, endpoint.namespace, GATEWAY, host, endpoint.name),
        )
        sockets.await_route(edge, host)
    return hosts


def _policy(name: str, namespace: str, spec: kube.Manifest) -> kube.Manifest:
    """A policy of somebody else."""
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _probe(edge: EdgeAddress, host: str) -> dict[str, Any]:
    """The report of `streamctl probe` on a slow answer, as its administrator runs it from outside of the cluster."""
    headers = [word for name, value in SLOW.items() for word in ("--header", f"{name}: {value}")]
    return gateways.probe(edge, host, *headers)


def test_it_streams_although_its_gateway_is_not_programmed(exposed: Endpoint) -> None:
    """Without an address from outside it never is: the Service with its labels is asked, and the stream decides."""
    wait_for(
        lambda: (
            gateways.conditions(kube.get("gateway", "public", EDGE))["Programmed"]
            == ("False", "AddressNotAssigned")
        ),
        "the Gateway's conditions",
    )
    gateway, service = kube.get("gateway", "public", EDGE), _service()
    assert gateway is not None
    assert service is not None
    assert gateway["status"].get("addresses", []) == []
    hops = {hop["name"]: hop["address"] for hop in exposed.body()["status"]["verification"]["hops"]}
    assert hops["Exposure"] == f"http://{service['spec']['clusterIP']}:80"


def test_the_edge_follows_the_route_and_the_policy(exposed: Endpoint) -> None:
    """`timeouts.request: 0s`, and the limit on a silence; both are accepted."""
    route, policy = exposed.child("httproute"), exposed.child(POLICIES)
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s"}
    assert policy["spec"]["timeout"]["http"] == {"requestTimeout": "0s", "streamIdleTimeout": "3600s"}
    accepted = wait_for(
        lambda: [
            condition["status"]
            for ancestor in exposed.child(POLICIES).get("status", {}).get("ancestors", ())
            for condition in ancestor["conditions"]
            if condition["type"] == "Accepted"
        ],
        "the status of the policy",
    )
    assert accepted == ["True"]


@pytest.mark.programs("nodejs", "chromium")
def test_sdks_and_a_page_read_and_leave_through_it(
    edge: EdgeAddress, exposed: Endpoint, tmp_path: Path
) -> None:
    """OpenAI's SDKs, the AI SDK, Node's fetch and a page in a browser."""
    clients.read_and_leave(edge, exposed, tmp_path / "browser")


def test_the_drain_of_the_edge_is_said_beforehand(exposed: Endpoint) -> None:
    """An endpoint whose streams may take longer than Envoy's pods wait says so in `Exposed`."""
    assert "drainTimeout" in exposed.conditions()["Exposed"]["message"]


@pytest.mark.shows("envoy-gateway", "default", "cut after 15 s")
@pytest.mark.shows("envoy-gateway", "ours", "19 s of tokens are whole")
def test_what_outlasts_the_default_is_cut_without_our_settings(
    edge: EdgeAddress, exposed: Endpoint, plain: str
) -> None:
    """19 s of tokens: whole through ours, cut after 15 s through a plain route, where the probe names the limit."""
    ours = exposed.stream(edge, max_tokens=OUTLASTS_THE_DEFAULT, headers=SLOW)
    theirs = Stream(edge, plain, exposed.name, max_tokens=OUTLASTS_THE_DEFAULT, headers=SLOW)
    report = _probe(edge, plain)
    whole, cut = ours.finish(), theirs.finish()
    assert (whole.ending, whole.done) == ("whole", True)
    assert (cut.status, cut.ending, cut.done) == (200, "cut", False)
    assert cut.ended_at < whole.ended_at
    assert cut.headers["server"] == "uvicorn"  # nothing in the stream names Envoy
    assert (report["verdict"], report["exitCode"]) == ("TotalTimeout", 1), report


def test_at_rest_nothing_is_written(exposed: Endpoint, plain: str) -> None:
    """Neither by a verification, nor when somebody else's route beside ours changes."""
    since = audit.mark()
    kube.patch(
        "httproute", "plain", {"metadata": {"annotations": {"example.com/by": "us"}}}, exposed.namespace
    )
    gateways.verify(exposed)
    assert audit.children_written(since, exposed.namespace) == []


def test_sockets_and_event_source_pass_it(edge: EdgeAddress, pair: Pair) -> None:
    """One message an event, several requests on one socket, keys, origins and closed paths: as at the pod."""
    sockets.hold(edge, pair.silent.host)


def test_a_closed_socket_frees_the_engine(edge: EdgeAddress, pair: Pair) -> None:
    """Its gauge of running requests falls."""
    sockets.drop_what_is_left(edge, pair.silent)


@pytest.mark.shows("envoy-gateway", "ours", "an idle WebSocket stays open, pinged or not")
def test_an_idle_socket_outlives_a_limit_on_silences(
    edge: EdgeAddress, pair: Pair, limited: dict[str, str]
) -> None:
    """Somebody's `streamIdleTimeout` cuts a silent socket; pings keep one open, our policy one without pings."""
    assert sockets.idle(edge, pair, limited) == Idle(True, 2, 2)


@pytest.mark.shows("envoy-gateway", "ours", "90 s of tokens are whole")
def test_ninety_seconds_of_tokens_are_whole(long_stream: Stream) -> None:
    """Six times the default limit, beside the tests above."""
    answer = long_stream.finish()
    assert (answer.ending, answer.done, answer.finish_reason) == ("whole", True, "length")
    assert answer.ended_at >= 90


@pytest.mark.shows(
    "envoy-gateway",
    "cut",
    "`TotalTimeout` names somebody's policy that ends streams; a policy that is not followed is a remark",
)
def test_conditions_that_are_true_are_not_believed(exposed: Endpoint) -> None:
    """Somebody's older policy cuts after 2 s: Gateway and route are `True`, the stream is cut, the policy named."""
    kube.apply(_proxy(type="NodePort"))
    wait_for(
        lambda: gateways.conditions(kube.get("gateway", "public", EDGE))["Programmed"][0] == "True",
        "the Gateway to be programmed",
    )
    spec = exposed.child(POLICIES)["spec"]
    limit = {"http": {"maxStreamDuration": "2s"}}
    theirs = _policy("another", exposed.namespace, {"targetRefs": spec["targetRefs"], "timeout": limit})
    kube.apply(theirs)
    # It comes back at once, and does not win: of two policies the older one does, or the first by name.
    kube.delete(POLICIES, exposed.name, exposed.namespace)
    message = exposed.await_condition("StreamingVerified", "False", "TotalTimeout", seconds=300)
    assert "BackendTrafficPolicy of somebody else" in message
    wait_for(
        lambda: f"{exposed.name} is not followed" in exposed.conditions()["Exposed"]["message"],
        "the remark on our own policy",
        tell=exposed.diagnosis,
    )
    assert exposed.conditions()["Exposed"]["status"] == "True"
    gateway, service = kube.get("gateway", "public", EDGE), _service()
    assert gateway is not None
    assert service is not None
    assert gateways.conditions(gateway)["Programmed"][0] == "True"
    # The node's, where another edge has the port: the Service is asked all the same.
    assert [entry["value"] for entry in gateway["status"]["addresses"]] == [kind.address()]
    hops = {hop["name"]: hop["address"] for hop in exposed.body()["status"]["verification"]["hops"]}
    assert hops["Exposure"] == f"http://{service['spec']['clusterIP']}:80"
    kube.delete(POLICIES, "another", exposed.namespace)
    exposed.await_ready(180)


def _attempts(edge: EdgeAddress, exposed: Endpoint, host: str) -> int:
    """How often the pod gets a POST that it answers with 503, by its access log."""

    def ask(status: int) -> str:
        marker = f"mark={next(MARKS)}-"
        path = f"/v1/chat/completions?{marker}"
        headers = {"X-Double-Http-Status": str(status)}
        Stream(edge, host, exposed.name, max_tokens=1, headers=headers, path=path).finish()
        return marker

    def log() -> str:
        return kube.kubectl("-n", exposed.namespace, "logs", exposed.pod()["metadata"]["name"], "--tail=500")

    asked, later = ask(503), ask(400)
    return wait_for(lambda: lines if later in (lines := log()) else None, "the log").count(asked)


def _retrying(name: str, namespace: str, target: kube.Manifest) -> kube.Manifest:
    """A policy of somebody else whose Envoy sends again what was answered with 503."""
    on = {"triggers": ["retriable-status-codes"], "httpStatusCodes": [503]}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"targetRefs": [target], "retry": {"numRetries": 2, "retryOn": on}},
    }


@pytest.mark.shows("envoy-gateway", "cut", "a policy of somebody else that repeats POSTs is a remark")
def test_a_retry_that_somebody_elses_policy_brings_is_said(
    edge: EdgeAddress, exposed: Endpoint, plain: str
) -> None:
    """On the Gateway it gives way to ours and repeats the POSTs of other routes; on the route it is told."""
    group = "gateway.networking.k8s.io"
    of_gateway = _retrying("retrying", EDGE, {"group": group, "kind": "Gateway", "name": "public"})
    kube.apply(of_gateway)
    wait_for(lambda: _attempts(edge, exposed, plain) == 3, "the plain route to be tried again")
    assert _attempts(edge, exposed, exposed.host) == 1
    assert "send a request again" not in exposed.conditions()["Exposed"]["message"]

    kube.apply(_retrying("again", exposed.namespace, exposed.child(POLICIES)["spec"]["targetRefs"][0]))
    # It comes back at once, and does not win: of two policies the older one does, or the first by name.
    kube.delete(POLICIES, exposed.name, exposed.namespace)
    said = f"BackendTrafficPolicy {exposed.namespace}/again on HTTPRoute {exposed.name} has the edge send"
    exposed.await_condition("Exposed", "True", saying=said)
    wait_for(lambda: _attempts(edge, exposed, exposed.host) == 3, "our route to be tried again")

    kube.delete(POLICIES, "retrying", EDGE)
    kube.delete(POLICIES, "again", exposed.namespace)
    wait_for(
        lambda: "send a request again" not in exposed.conditions()["Exposed"]["message"],
        "the end of the remark",
        tell=exposed.diagnosis,
    )
    exposed.await_ready(180)


@pytest.mark.shows("envoy-gateway", "drain", "what ends within `drainTimeout` is whole, the rest is cut")
def test_streams_that_fit_the_drain_outlive_envoys_pod(edge: EdgeAddress, exposed: Endpoint) -> None:
    """Envoy's pod is replaced: what ends within `drainTimeout` is whole, what takes longer is cut."""
    pod = wait_for(lambda: pods[0] if len(pods := _pods()) == 1 else None, "one pod of Envoy")
    short, long = gateways.one_that_fits_and_one_that_does_not(exposed, edge, DRAIN_SECONDS)
    kube.delete("pod", pod["metadata"]["name"], envoy_gateway.NAMESPACE, "--wait=false")
    fits, exceeds = short.finish(), long.finish()
    assert (fits.ending, fits.done) == ("whole", True)
    assert (exceeds.ending, exceeds.done) == ("cut", False)
    exposed.await_ready(180)


def test_without_the_gateway_its_policy_goes(exposed: Endpoint) -> None:
    """Exposed by an Ingress again: the route and its policy are pruned, and it streams through ingress-nginx."""
    exposed.change(exposure={"httpRoute": None, "ingress": {"className": "nginx"}})
    wait_for(lambda: not exposed.children(f"httproutes,{POLICIES}"), "their end", tell=exposed.diagnosis)
    exposed.await_ready(180)


def test_a_migration_from_ingress_nginx_cuts_no_stream(edge: EdgeAddress, exposed: Endpoint) -> None:
    """docs/migrate-from-ingress-nginx.md with a hundred held streams: both edges serve the host; then back."""
    old = EdgeAddress(kind.address())
    held = [exposed.stream(old, max_tokens=10, headers=SILENT) for _ in range(HELD)]
    for stream in held:
        stream.await_events(5)

    kube.apply(_copy(exposed.child("ingress")))
    exposed.change(exposure={"ingress": None, "httpRoute": ROUTE})
    wait_for(lambda: not exposed.children("ingresses"), "the Ingress to go", tell=exposed.diagnosis)
    exposed.await_ready(180)
    answers = [exposed.stream(where, max_tokens=5).finish() for where in (old, edge)]
    assert [(answer.status, answer.done) for answer in answers] == [(200, True)] * 2

    ends = {(answer.ending, answer.done) for answer in (stream.finish() for stream in held)}
    assert ends == {("whole", True)}

    exposed.change(
        exposure={"httpRoute": None, "ingress": {"className": "nginx"}}
    )  # back, with the copy in place
    wait_for(lambda: exposed.children("ingresses"), "its own Ingress again", tell=exposed.diagnosis)
    exposed.await_ready(180)
    kube.delete("ingress", OLD, exposed.namespace)
    assert _refused_configurations() == []


def _refused_configurations() -> list[str]:
    """What nginx said of two Ingresses that it could not serve side by side."""
    log = kube.kubectl("-n", "ingress-nginx", "logs", "deployment/ingress-nginx-controller", "--tail=-1")
    return [line for line in log.splitlines() if "duplicate location" in line]


OLD = "chat-before"


def _copy(ingress: kube.Manifest) -> kube.Manifest:
    """What the page makes of the endpoint's Ingress: the same, and nobody's."""
    metadata = ingress["metadata"]
    return {
        "apiVersion": ingress["apiVersion"],
        "kind": "Ingress",
        "metadata": {
            "name": OLD,
            "namespace": metadata["namespace"],
            "annotations": metadata["annotations"],
        },
        "spec": ingress["spec"],
    }
