"""What a person without rights on Gateways is shown of an endpoint: what the operator reported."""

import asyncio
from typing import Any, cast

import pytest

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import edges, resources
from streaming_operator.cluster.snapshot import Snapshot, _substitutes
from streaming_operator.kube.client import Transport

HOST = "llm.example.com"


@pytest.mark.parametrize(
    ("parent", "status", "url"),
    [
        ({}, {"url": f"https://{HOST}"}, f"https://{HOST}"),
        ({"sectionName": "web"}, {"url": f"https://{HOST}:8443"}, f"https://{HOST}:8443"),
        ({}, {"url": f"http://{HOST}"}, f"http://{HOST}"),
        ({}, {"url": "https://moved.example.com"}, f"http://{HOST}"),
        ({}, {}, f"http://{HOST}"),
    ],
    ids=["https", "a section and a port", "http", "the URL of another host", "no status yet"],
)
def test_a_hidden_gateway_listens_where_the_status_says(
    parent: dict[str, Any], status: dict[str, Any], url: str
) -> None:
    """The operator may read the Gateway, the person may not: both ask the edge in the same way."""
    exposure = {"host": HOST, "httpRoute": {"parentRefs": [{"name": "gw", "namespace": "infra", **parent}]}}
    spec = {"model": {"source": {"local": {"path": "/m"}}}, "exposure": exposure}
    metadata = {"name": "llm", "namespace": "chat", "uid": "u", "generation": 1}
    endpoint = StreamingEndpoint.from_body({"metadata": metadata, "spec": spec, "status": status})

    assumed = asyncio.run(_substitutes(cast(Transport, None), resources.GATEWAYS, endpoint))

    capabilities = edges.capabilities(Snapshot({resources.GATEWAYS: assumed}, ("gateways",)), ())
    assert routes.users_url(endpoint, capabilities) == url
