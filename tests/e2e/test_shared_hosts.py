"""Canaries, prefixes and further hosts on the real ingress-nginx: what each user gets, and what the probe asks."""

from tests.cluster import kind
from tests.e2e import gateways, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.kube import Manifest
from tests.e2e.streams import EdgeAddress, Stream
from tests.e2e.waiting import wait_for

BROKEN = 500
"""What the canary answers."""
PREFIX = "/llama"
CHAT = "/v1/chat/completions"
PACE = {"X-Double-Inter-Token-Latency": "50"}
"""A hundred tokens in five seconds: a stream also where a busy machine brings the first of them late."""


def asked(endpoint: Endpoint, canary: str | None = None) -> int:
    """The status that a user of the host gets, with the canary's header where one is given."""
    headers = {"X-Canary": canary} if canary is not None else {}
    return endpoint.stream(max_tokens=1, headers=headers).finish().status


def await_statuses(endpoint: Endpoint, expected: tuple[int, int, int]) -> None:
    """Until the edge gives these to requests without the header, with `always` and with `never`."""
    wait_for(
        lambda: (asked(endpoint), asked(endpoint, "always"), asked(endpoint, "never")) == expected,
        f"{expected} without the header, with `always` and with `never`",
    )


def test_a_canary_is_asked_itself_and_takes_no_ready_away(endpoint: Endpoint) -> None:
    """It fails, and gets every request without a header: its own verdict, while the other endpoint is Ready."""
    canary = Endpoint(endpoint.namespace, "chat-next")
    endpoint.apply(endpoint.double(gpu={"count": 0}))
    canary.apply(
        canary.double(
            gpu={"count": 0},
            model={"servedName": endpoint.name},
            engine={"env": [{"name": "DOUBLE_HTTP_STATUS", "value": str(BROKEN)}]},
            exposure={"host": endpoint.host, "canary": {"of": endpoint.name, "weight": 100}},
        )
    )
    endpoint.await_ready()
    canary.await_condition("StreamingVerified", "False", saying=f"HTTP {BROKEN}", seconds=120)
    await_statuses(endpoint, (BROKEN, BROKEN, 200))

    gateways.verify(endpoint, again=gateways.INCONCLUSIVE)
    assert endpoint.conditions()["Ready"]["status"] == "True"

    canary.change(engine={"env": None})
    canary.await_ready()
    # Its broken pod may get requests until the edge has learnt that it goes.
    await_statuses(endpoint, (200, 200, 200))


def a_dead_end(endpoint: Endpoint, host: str) -> Manifest:
    """Somebody's Ingress of the same namespace that leads the very path of the probe at one host to no server."""
    backend = {"service": {"name": "nobody", "port": {"number": 80}}}
    paths = [{"path": f"{PREFIX}{CHAT}", "pathType": "Exact", "backend": backend}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "dead-end", "namespace": endpoint.namespace},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": paths}}]},
    }


def test_a_prefix_is_in_the_url_and_every_host_is_asked(endpoint: Endpoint) -> None:
    """Users stream below the prefix at both hosts; while the second one fails, the endpoint says so."""
    second = f"second.{endpoint.namespace}.example.com"
    kube.apply(a_dead_end(endpoint, second))
    endpoint.apply(endpoint.double(gpu={"count": 0}, exposure={"stripPrefix": PREFIX, "hosts": [second]}))
    endpoint.await_condition("StreamingVerified", "False", saying=f"host {second}", seconds=120)

    kube.delete("ingress", "dead-end", endpoint.namespace)
    endpoint.await_ready()
    assert endpoint.body()["status"]["url"] == f"http://{endpoint.host}{PREFIX}"
    edge = EdgeAddress(kind.address())
    for host in (endpoint.host, second):
        answer = Stream(
            edge, host, endpoint.name, max_tokens=100, headers=PACE, path=f"{PREFIX}{CHAT}"
        ).finish()
        assert (answer.status, answer.done, answer.flowed) == (200, True, True)
    assert Stream(edge, endpoint.host, endpoint.name, path=CHAT).finish().status == 404
