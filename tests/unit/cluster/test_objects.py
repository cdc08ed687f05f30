"""What is kept of an object: the same content in less memory."""

import gc
import tracemalloc

import orjson

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import objects, resources, store
from streaming_operator.cluster.drift import sealed
from streaming_operator.cluster.objects import Cached
from streaming_operator.kube.objects import unchanged
from streaming_operator.kube.packing import Packer
from streaming_operator.values import Capabilities, Edge

PACKERS = {kind: Packer() for kind in store.PACKED}
CAPABILITIES = Capabilities(
    service_monitors=True,
    http_routes=False,
    ingress_classes={"nginx": Edge(profile="ingress-nginx")},
    gateway_classes={},
    gateways={},
    request_timeout_classes=frozenset(),
    prometheus_rules=True,
)


def children(number: int) -> list[bytes]:
    """The children of one endpoint as the API server sends them."""
    metadata = {"name": f"chat-{number}", "namespace": f"team-{number % 50}", "uid": f"uid-{number:08}"}
    exposure = {"host": f"chat-{number}.example.com", "ingress": {"className": "nginx"}}
    spec = {"model": {"source": {"huggingFace": {"repo": "org/model"}}}, "exposure": exposure}
    endpoint = StreamingEndpoint.from_body({"metadata": metadata, "spec": spec})
    return [
        orjson.dumps(
            {
                **child,
                "metadata": {
                    **child["metadata"],
                    "uid": f"{number}-{place}",
                    "resourceVersion": f"{number}{place}",
                },
            }
        )
        for place, child in enumerate(map(sealed, render.children(endpoint, CAPABILITIES)))
    ]


def kept(raw: bytes) -> Cached:
    """What an informer keeps of it."""
    body = orjson.loads(raw)
    kind = resources.BY_NAME[body["apiVersion"], body["kind"]]
    return objects.cache(body, store.TRIMS.get(kind, objects.whole), PACKERS.get(kind))


def test_a_packed_object_reads_as_it_was_received() -> None:
    """Content, identity and owner are those of the object, packed or not."""
    for raw in children(1):
        stored, plain = kept(raw), objects.cache(orjson.loads(raw), objects.whole)
        assert stored.body == plain.body == orjson.loads(raw)
        assert (stored.key, stored.uid, stored.endpoint) == (plain.key, plain.uid, plain.endpoint)
        assert stored.endpoint == ("team-1", "chat-1")
        assert unchanged(stored, plain)


def test_the_children_of_an_endpoint_take_less_than_6_kib() -> None:
    """5,000 endpoints are to fit into the chart's memory limit: what is kept of their children is small."""
    count = 200
    answers = [children(number) for number in range(count)]
    kept(answers[0][0])
    gc.collect()
    tracemalloc.start()
    try:
        stored = [kept(raw) for answer in answers for raw in answer]
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(stored) == sum(map(len, answers))
    assert size / count < 6 * 1024
