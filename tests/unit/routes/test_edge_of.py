"""Which edge stands before an endpoint; every part of the operator asks the same function."""

from typing import Any

import pytest

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.routes import edge_of
from streaming_operator.values import Capabilities, Edge

INTERNAL = Edge(profile="generic", service="infra/internal")
PUBLIC = Edge(profile="generic", service="infra/public")
CLUSTER = Capabilities(
    service_monitors=False,
    http_routes=True,
    gateway_classes={"internal": INTERNAL, "public": PUBLIC},
    gateways={"chat/inside": "internal", "infra/outside": "public"},
    ingress_classes={"nginx": PUBLIC},
)


def an_endpoint(*parents: dict[str, Any]) -> StreamingEndpoint:
    """One with an HTTPRoute of these parents."""
    metadata = {"name": "qwen", "namespace": "chat", "uid": "u", "generation": 1}
    exposure = {"host": "qwen.example.com", "httpRoute": {"parentRefs": list(parents)}}
    spec = {"model": {"source": {"local": {"path": "/m"}}}, "exposure": exposure}
    return StreamingEndpoint.from_body({"metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([{"name": "inside"}], INTERNAL),
        ([{"name": "outside", "namespace": "infra"}, {"name": "inside"}], PUBLIC),
        ([{"name": "inside"}, {"name": "outside", "namespace": "infra"}], INTERNAL),
        ([{"name": "nowhere"}, {"name": "outside", "namespace": "infra"}], PUBLIC),
        ([{"name": "outside"}], None),
    ],
    ids=[
        "the only one",
        "the first",
        "the first in the other order",
        "the first that exists",
        "another namespace",
    ],
)
def test_of_several_gateways_the_first_that_exists_is_the_edge(
    parents: list[dict[str, Any]], expected: Edge | None
) -> None:
    """In the order of the spec; a name without a namespace means the endpoint's own."""
    assert edge_of(an_endpoint(*parents), CLUSTER) == expected
