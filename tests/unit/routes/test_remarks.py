"""What an edge does to streams that no field of a route can set is said beforehand, and only where it matters."""

from typing import Any

import pytest

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.values import Capabilities, Edge

LONG_DRAIN, SHORT_DRAIN = {"drainSeconds": 600}, {"drainSeconds": 5}


def remark(profile: str, rollout: dict[str, int], **timeouts: Any) -> str | None:
    """Of an endpoint behind a Gateway of that edge."""
    exposure = {
        "host": "a.example.com",
        "httpRoute": {"parentRefs": [{"name": "public"}]},
        "timeouts": timeouts,
    }
    spec = {"model": {"source": {"local": {"path": "/m"}}}, "rollout": rollout, "exposure": exposure}
    endpoint = StreamingEndpoint.from_body({"metadata": {"name": "a", "namespace": "chat"}, "spec": spec})
    known = {"gateway_classes": {"edge": Edge(profile=profile)}, "gateways": {"chat/public": "edge"}}
    return routes.remark(endpoint, Capabilities(False, True, **known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("profile", "setting"), [("envoy-gateway", "drainTimeout"), ("istio", "terminationDrainDuration")]
)
def test_a_drain_that_the_edges_own_pods_do_not_wait_for_is_said(profile: str, setting: str) -> None:
    """With the administrator's setting; nothing where the edge waits as long as the endpoint does."""
    assert setting in (remark(profile, LONG_DRAIN) or "")
    assert remark(profile, SHORT_DRAIN) is None


def test_a_drain_that_haproxys_own_pods_do_not_wait_for_is_said() -> None:
    """With the flag that sets it: `--shutdown-timeout` alone changes nothing."""

    def said(drain: int) -> str:
        exposure = {"host": "a.example.com", "ingress": {"className": "edge"}}
        spec = {
            "model": {"source": {"local": {"path": "/m"}}},
            "rollout": {"drainSeconds": drain},
            "exposure": exposure,
        }
        endpoint = StreamingEndpoint.from_body({"metadata": {"name": "a", "namespace": "chat"}, "spec": spec})
        classes = {"edge": Edge(profile="haproxy-ingress")}
        return routes.remark(endpoint, Capabilities(False, True, ingress_classes=classes)) or ""

    assert "--haproxy-grace-period" in said(21)
    assert said(20) == ""


@pytest.mark.parametrize(
    ("limit", "drain", "said"),
    [(240.0, 300, True), (300.0, 300, False), (240.0, 60, False), (None, 300, False)],
)
def test_a_reload_that_cuts_streams_before_their_drain_is_said(
    limit: float | None, drain: int, said: bool
) -> None:
    """With seconds and ConfigMap; nothing where the limit is long enough, or not known."""
    exposure = {"host": "a.example.com", "ingress": {"className": "nginx"}}
    spec = {
        "model": {"source": {"local": {"path": "/m"}}},
        "rollout": {"drainSeconds": drain},
        "exposure": exposure,
    }
    endpoint = StreamingEndpoint.from_body({"metadata": {"name": "a", "namespace": "chat"}, "spec": spec})
    edge = Edge("ingress-nginx", service="infra/edge", reload_seconds=limit)
    text = routes.remark(endpoint, Capabilities(False, True, ingress_classes={"nginx": edge})) or ""
    assert ["240 s" in text, "300 s" in text, "ConfigMap infra/edge" in text] == [said] * 3


def test_a_silence_that_contour_cuts_is_said() -> None:
    """Its 300 s hold whatever the route says."""
    assert "stream-idle-timeout" in (remark("contour", SHORT_DRAIN, idleSeconds=301) or "")
    assert remark("contour", SHORT_DRAIN, idleSeconds=300) is None


def test_a_drain_that_contours_pods_do_not_wait_for_is_said() -> None:
    """Their grace period ends them after 300 s; beside a silence that it cuts both are said."""
    assert "terminationGracePeriodSeconds" in (remark("contour", LONG_DRAIN, idleSeconds=300) or "")
    assert remark("contour", {"drainSeconds": 300}, idleSeconds=300) is None
    assert (remark("contour", LONG_DRAIN, idleSeconds=301) or "").count("Remark: ") == 1


def of_tls(tls: dict[str, str], policies: bool = True) -> str | None:
    """Of an endpoint whose pods speak TLS, behind a Gateway."""
    exposure = {"host": "a.example.com", "httpRoute": {"parentRefs": [{"name": "public"}]}}
    engine = {"tls": {"secretName": "pods", **tls}}
    spec = {"model": {"source": {"local": {"path": "/m"}}}, "engine": engine, "exposure": exposure}
    endpoint = StreamingEndpoint.from_body({"metadata": {"name": "a", "namespace": "chat"}, "spec": spec})
    return routes.remark(endpoint, Capabilities(False, True, backend_tls_policies=policies))


def test_what_a_gateway_needs_to_speak_tls_to_the_pods_is_said() -> None:
    """The field for the CA, then the kind that the cluster lacks; nothing once the policy is written."""
    assert "set engine.tls.caConfigMapName, or write one for Service a" in (of_tls({}) or "")
    with_ca = {"caConfigMapName": "ca"}
    assert "Gateway API 1.4 or newer" in (of_tls(with_ca, policies=False) or "")
    assert of_tls(with_ca) is None


def test_of_an_edge_that_is_not_known_nothing_is_said() -> None:
    """The probe is the judge."""
    assert remark("generic", LONG_DRAIN) is None
