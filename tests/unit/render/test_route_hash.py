"""The route's hash: a verdict is about one route, and is asked anew when that changes."""

from typing import Any

import pytest

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Capabilities, Edge

BODY: dict[str, Any] = {
    "metadata": {"name": "qwen", "namespace": "models", "uid": "1"},
    "spec": {
        "model": {"source": {"huggingFace": {"repo": "Qwen/Qwen2.5-0.5B-Instruct"}}},
        "exposure": {"host": "qwen.example.com", "ingress": {"className": "nginx"}},
    },
}
NGINX = Capabilities(True, True, {"nginx": Edge("ingress-nginx")})


def hash_of(body: dict[str, Any], capabilities: Capabilities = NGINX) -> str:
    """The hash as a pass computes it."""
    return render.route_hash(render.children(StreamingEndpoint.from_body(body), capabilities))


@pytest.mark.parametrize(
    "exposure",
    [
        {"host": "other.example.com", "ingress": {"className": "nginx"}},
        {"host": "qwen.example.com", "ingress": {"className": "other"}},
        {"host": "qwen.example.com", "ingress": {"className": "nginx", "tls": {"secretName": "tls"}}},
        {"host": "qwen.example.com", "ingress": {"className": "nginx"}, "timeouts": {"idleSeconds": 60}},
        {"host": "qwen.example.com", "httpRoute": {"parentRefs": [{"name": "public"}]}},
    ],
)
def test_another_route_has_another_hash(exposure: dict[str, Any]) -> None:
    """Host, class, TLS, annotations and the kind of the route count."""
    assert hash_of({**BODY, "spec": {**BODY["spec"], "exposure": exposure}}) != hash_of(BODY)


def test_the_edge_counts() -> None:
    """A class that turns out to be ingress-nginx changes what is written, so it is verified anew."""
    assert hash_of(BODY, Capabilities(True, True)) != hash_of(BODY)


def test_what_the_edge_does_not_read_does_not_count() -> None:
    """Model, owner and monitoring do not concern the edge."""
    spec = {**BODY["spec"], "engine": {"args": ["--enforce-eager"]}, "replicas": 4}

    assert hash_of(BODY) == hash_of({"metadata": BODY["metadata"] | {"uid": "2"}, "spec": spec})


def test_what_the_service_says_to_the_edge_counts() -> None:
    """A limit that haproxy-ingress reads at the Service is verified anew; what a user writes there does not count."""
    edge = Capabilities(True, True, {"nginx": Edge("haproxy-ingress")})
    exposure = {**BODY["spec"]["exposure"], "timeouts": {"idleSeconds": 60}}
    users = {**BODY["spec"], "service": {"annotations": {"prometheus.io/scrape": "true"}}}

    assert hash_of({**BODY, "spec": {**BODY["spec"], "exposure": exposure}}, edge) != hash_of(BODY, edge)
    assert hash_of({**BODY, "spec": users}, edge) == hash_of(BODY, edge)


def test_where_users_call_counts() -> None:
    """A verdict about one public URL says nothing of another; who sets none keeps the hash they had."""
    children = render.children(StreamingEndpoint.from_body(BODY), NGINX)
    one, other = (render.route_hash(children, url) for url in ("https://a.example", "https://b.example"))
    assert len({one, other, hash_of(BODY)}) == 3
    assert render.route_hash(children, None) == hash_of(BODY)


def test_without_exposure_there_is_no_hash() -> None:
    """Without exposure there is no hash."""
    assert hash_of({**BODY, "spec": {"model": BODY["spec"]["model"]}}) == ""
