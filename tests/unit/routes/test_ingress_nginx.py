"""The annotations of ingress-nginx, literally: a value with a unit would be replaced silently."""

import re
from typing import Any

import pytest

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.workload import EngineTls
from streaming_operator.values import Capabilities, Edge, Manifest

PREFIX = "nginx.ingress.kubernetes.io"


def an_endpoint(given: dict[str, str] | None = None, **exposure: Any) -> StreamingEndpoint:
    """One that is exposed by an Ingress with these annotations."""
    ingress = {"className": "nginx", "annotations": given or {}}
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "qwen"},
            "spec": {
                "model": {"source": {"local": {"path": "/opt/model"}}},
                "exposure": {"host": "qwen.example.com", "ingress": ingress, **exposure},
            },
        }
    )


def rendered(edge: Edge | None = None, given: dict[str, str] | None = None, **exposure: Any) -> Manifest:
    """The rendered Ingress."""
    endpoint = an_endpoint(given, **exposure)
    capabilities = Capabilities(False, False, {"nginx": edge or Edge("ingress-nginx")})
    route = routes.select(endpoint, capabilities)
    assert route is not None
    (ingress,) = route.render(endpoint, capabilities)
    return ingress


def annotations(edge: Edge, given: dict[str, str] | None = None, **exposure: Any) -> dict[str, str]:
    """The annotations of the rendered Ingress."""
    found: dict[str, str] = rendered(edge, given, **exposure)["metadata"].get("annotations", {})
    return found


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
    given = annotations(Edge("ingress-nginx", annotations_prefix="edge.example.com"))

    assert {key.partition("/")[0] for key in given} == {"edge.example.com"}


def test_the_users_body_size_is_kept() -> None:
    """How large a request may be is the user's to say."""
    key = "nginx.ingress.kubernetes.io/proxy-body-size"

    assert annotations(Edge("ingress-nginx"), {key: "1m"})[key] == "1m"


def test_an_unknown_edge_gets_the_users_annotations_alone() -> None:
    """Portable fields only: annotations that no controller reads would be misleading."""
    given = {"haproxy-ingress.github.io/timeout-server": "3600s"}

    assert given == annotations(Edge("generic"), given)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/my.model/v1/chat/completions", "/v1/chat/completions"),
        ("/my.model/v1", "/v1"),
        ("/my.model/health", "/health"),
        ("/my.model/v1x", None),
        ("/myxmodel/v1", None),
        ("/v1", None),
    ],
)
def test_a_prefix_is_taken_away(path: str, kept: str | None) -> None:
    """Of what lies below it and below the named paths, and of nothing else; the first group is kept after a slash."""
    exposure = {"stripPrefix": "/my.model", "pathPrefixes": ["/v1", "/health"]}
    patterns = [one["path"] for one in rendered(**exposure)["spec"]["rules"][0]["http"]["paths"]]
    given = annotations(Edge("ingress-nginx"), **exposure)

    # As the controller writes a location of it: from the beginning of the path.
    matched = [match.expand(r"/\1") for pattern in patterns if (match := re.match(f"^{pattern}", path))]
    assert matched == ([kept] if kept else [])
    assert [given[f"{PREFIX}/{name}"] for name in ("use-regex", "rewrite-target")] == ["true", "/$1"]


def test_slash_keeps_everything_below_the_prefix() -> None:
    """Without the prefix alone, which no API has."""
    (path,) = rendered(stripPrefix="/qwen", pathPrefixes=["/"])["spec"]["rules"][0]["http"]["paths"]

    assert (path["path"], path["pathType"]) == ("/qwen/(.*)", "ImplementationSpecific")


def test_a_canary_gets_its_share_and_what_asks_for_it() -> None:
    """The header decides at `always` and `never`, the weight otherwise."""
    given = annotations(Edge("ingress-nginx"), canary={"of": "stable", "weight": 10, "header": "X-New"})

    assert {key.partition("/")[2]: value for key, value in given.items() if "canary" in key} == {
        "canary": "true",
        "canary-by-header": "X-New",
        "canary-weight": "10",
    }


@pytest.mark.parametrize(
    ("exposure", "field"),
    [
        ({"stripPrefix": "/qwen"}, "stripPrefix"),
        ({"canary": {"of": "stable"}}, "canary"),
        ({"hosts": ["qwen.example.org"]}, None),
    ],
)
def test_what_an_edge_cannot_do_is_known_beforehand(exposure: dict[str, Any], field: str | None) -> None:
    """ingress-nginx can do all of it, an unknown controller only what every Ingress has."""
    endpoint = an_endpoint(**exposure)
    unknown, nginx = (
        Capabilities(False, False, {"nginx": Edge(one)}) for one in ("generic", "ingress-nginx")
    )

    assert (routes.not_supported(endpoint, unknown), routes.not_supported(endpoint, nginx)) == (field, None)


def test_who_speaks_tls_to_the_pods_is_said() -> None:
    """ingress-nginx by its annotation; of an edge that only its administrator can tell, in a remark."""
    endpoint = an_endpoint()
    spec = endpoint.spec
    tls = spec.engine.model_copy(update={"tls": EngineTls(secret_name="qwen-tls")})
    secured = endpoint.model_copy(update={"spec": spec.model_copy(update={"engine": tls})})
    unknown, nginx = (
        Capabilities(False, False, {"nginx": Edge(one)}) for one in ("generic", "ingress-nginx")
    )

    assert [routes.remark(one, nginx) for one in (endpoint, secured)] == [None, None]
    assert "must speak it to the port https of Service qwen" in (routes.remark(secured, unknown) or "")
    assert routes.remark(endpoint, unknown) is None
