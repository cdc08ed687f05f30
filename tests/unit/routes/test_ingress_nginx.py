"""The annotations of ingress-nginx, literally: a value with a unit would be replaced silently."""

from typing import Any

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Capabilities, Edge


def annotations(edge: Edge, given: dict[str, str] | None = None, **exposure: Any) -> dict[str, str]:
    """The annotations of the rendered Ingress."""
    ingress = {"className": "nginx", "annotations": given or {}}
    endpoint = StreamingEndpoint.from_body(
        {
            "metadata": {"name": "qwen"},
            "spec": {
                "model": {"source": {"local": {"path": "/opt/model"}}},
                "exposure": {"host": "qwen.example.com", "ingress": ingress, **exposure},
            },
        }
    )
    capabilities = Capabilities(False, False, {"nginx": edge})
    route = routes.select(endpoint, capabilities)
    assert route is not None
    (ingress_object,) = route.render(endpoint, capabilities)
    rendered: dict[str, str] = ingress_object["metadata"].get("annotations", {})
    return rendered


def test_buffering_is_off_and_silence_is_allowed() -> None:
    """Exact lower-case switches, bare seconds, and no second try for a POST."""
    timeouts = {"idleSeconds": 600, "connectSeconds": 7}

    assert annotations(Edge("ingress-nginx"), timeouts=timeouts) == {
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-http-version": "1.1",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "600",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "600",
        "nginx.ingress.kubernetes.io/proxy-connect-timeout": "7",
        "nginx.ingress.kubernetes.io/proxy-next-upstream": "off",
        "nginx.ingress.kubernetes.io/proxy-body-size": "64m",
    }


def test_the_controllers_own_prefix_is_used() -> None:
    """A controller with `--annotations-prefix` reads no other."""
    rendered = annotations(Edge("ingress-nginx", annotations_prefix="edge.example.com"))

    assert {key.partition("/")[0] for key in rendered} == {"edge.example.com"}


def test_the_users_body_size_is_kept() -> None:
    """How large a request may be is the user's to say."""
    key = "nginx.ingress.kubernetes.io/proxy-body-size"

    assert annotations(Edge("ingress-nginx"), {key: "1m"})[key] == "1m"


def test_an_unknown_edge_gets_the_users_annotations_alone() -> None:
    """Portable fields only: annotations that no controller reads would be misleading."""
    given = {"haproxy-ingress.github.io/timeout-server": "3600s"}

    assert given == annotations(Edge("generic"), given)
