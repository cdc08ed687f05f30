"""From outside of the cluster, users' APIs are answered and nothing else, whatever path, proxy or prefix is tried."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint
from streaming_operator.values import Capabilities
from tests.contract.rendered import Pod, running
from tests.probe.packages import Missing
from tests.probe.zoo.running import Running, Setup
from tests.security.targets import CLOSED, FOR_OPERATORS, ask

HOST = "tiny.example.com"
REFUSED = (400, 403, 404)
OF_INGRESS_NGINX = """
proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
"""
EDGES = {
    "nginx": Setup("nginx", OF_INGRESS_NGINX),
    "haproxy": Setup("haproxy", "option forwardfor"),
    "envoy": Setup("envoy"),
    "caddy": Setup("caddy"),
    "traefik": Setup("traefik"),
}
"""All of them but Traefik forward every path: only the pod itself decides."""


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The rendered double with its rendered middleware; `/` is exposed, and one operators' path by its name."""
    exposure = {
        "host": HOST,
        "pathPrefixes": ["/", "/tokenize", "/reset_prefix_cache"],
        "ingress": {"className": "nginx"},
    }
    folder = tmp_path_factory.mktemp("pod")
    with running(Pod("double", folder, exposure=exposure)) as started:
        yield started


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.programs(name)) for name in EDGES])
def test_no_proxy_lets_a_closed_path_through(name: str, pod: Pod, tmp_path: Path) -> None:
    """Dots, double slashes, codes, parameters and whole URLs, behind each proxy; what is open is answered."""
    try:
        edge = Running(EDGES[name], pod.port, tmp_path, tmp_path)
    except Missing as missing:
        pytest.skip(str(missing))
    with edge:
        answers = {path: ask("127.0.0.1", edge.port, path, HOST) for path in CLOSED}
        opened = ask("127.0.0.1", edge.port, "/v1/models", HOST)

    # A proxy may tidy a path up before it sends it: then that is what is asked for.
    wrong = {
        path: text
        for path, (status, text) in answers.items()
        if (status not in REFUSED and '"object":"list"' not in text) or "vllm:" in text
    }
    assert wrong == {}
    assert opened[0] == 200


def test_what_an_edge_sends_on_as_it_is_is_refused(pod: Pod) -> None:
    """Without any proxy that would tidy up: not one is answered, by name, by another name, or without one."""
    for host in (HOST, HOST.upper(), f"{HOST}.", f"{HOST}:80", "other.example.com", "tiny", ""):
        forwarded = ("X-Forwarded-For: 203.0.113.7",)
        answers = {path: ask("127.0.0.1", pod.port, path, host, *forwarded)[0] for path in CLOSED}
        assert {path: status for path, status in answers.items() if status not in REFUSED} == {}


def test_operators_paths_are_closed_even_where_all_is_exposed(pod: Pod) -> None:
    """`/` opens users' APIs; what else is wanted must be named, and then it is not refused here."""
    answers = {path: ask("127.0.0.1", pod.port, path, HOST, method="POST") for path in FOR_OPERATORS}
    closed = {path for path, (_, text) in answers.items() if "spec.exposure.pathPrefixes" in text}

    assert closed == {*FOR_OPERATORS} - {"/reset_prefix_cache"}
    assert "spec.exposure.pathPrefixes" not in ask("127.0.0.1", pod.port, "/tokenize", HOST, method="POST")[1]


def test_inside_of_the_cluster_everything_is_answered(pod: Pod) -> None:
    """Kubelet, Prometheus, drain script and clients of the Service: by address or by the Service's name."""
    inside = ("127.0.0.1", f"10.0.0.7:{pod.port}", "[fd00::7]:8000", "localhost", "tiny", "tiny.default")
    for host in (*inside, "tiny.default.svc", "tiny.default.svc.cluster.local"):
        assert ask("127.0.0.1", pod.port, "/metrics", host)[0] == 200, host
    for header in ("Forwarded: for=1.2.3.4", "X-Forwarded-Host: a", "X-Real-IP: 1.2.3.4"):
        assert ask("127.0.0.1", pod.port, "/metrics", "127.0.0.1", header)[0] == 404, header
    assert ask("127.0.0.1", pod.port, "/metrics", "127.0.0.1", "Host: 127.0.0.1")[0] in REFUSED


def test_a_websocket_is_refused_like_a_request(pod: Pod) -> None:
    """The handshake itself is: nothing is accepted first."""
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    )
    status, _ = ask("127.0.0.1", pod.port, "/metrics", HOST, *upgrade)
    assert status in REFUSED


def endpoint(**exposure: Any) -> StreamingEndpoint:
    """An endpoint with this exposure."""
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "tiny"},
            "spec": {
                "model": {"source": {"local": {"path": "/model"}}},
                "exposure": {"host": HOST, "ingress": {"className": "nginx"}, **exposure},
            },
        }
    )


def test_only_what_is_named_besides_users_apis_reaches_the_pod() -> None:
    """Other prefixes among users' APIs restart no GPU; `/tokenize` and the like do, since the pod must know them."""
    bare = Capabilities(False, False)

    def template(**exposure: Any) -> object:
        return render.pod_template(endpoint(**exposure))

    assert template() == template(pathPrefixes=["/"]) == template(pathPrefixes=["/v1/chat", "/v2", "/health"])
    assert template() != template(pathPrefixes=["/v1", "/tokenize"])
    assert render.children(endpoint(), bare)


def test_there_is_a_version_before_this_one() -> None:
    """What is checked here came with version 2: pods of version 1 are rendered as they were."""
    before = endpoint().model_copy(update={"pod_version": 1})
    assert POD_VERSION > 1
    assert "exposed_paths" not in str(render.children(before, Capabilities(False, False)))
