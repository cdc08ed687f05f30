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


def test_a_silence_that_contour_cuts_is_said() -> None:
    """Its 300 s hold whatever the route says."""
    assert "stream-idle-timeout" in (remark("contour", SHORT_DRAIN, idleSeconds=301) or "")
    assert remark("contour", LONG_DRAIN, idleSeconds=300) is None


def test_of_an_edge_that_is_not_known_nothing_is_said() -> None:
    """The probe is the judge."""
    assert remark("generic", LONG_DRAIN) is None
