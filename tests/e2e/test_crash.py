"""The operator killed in the middle of its work comes to the same end as one that was left alone."""

import pytest

from tests.e2e import audit, kube, release
from tests.e2e.endpoints import CHILDREN, Endpoint
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.disruptive

KILLS = 3


def test_killed_in_the_middle_same_end(namespace: str) -> None:
    """Same children with one owner each, same conditions; a fresh operator finds nothing left to write."""
    undisturbed = Endpoint(namespace, "undisturbed")
    undisturbed.apply(undisturbed.double())
    undisturbed.await_ready()

    endpoints = [Endpoint(namespace, f"crash-{number}") for number in range(4)]
    kube.apply(*(endpoint.double() for endpoint in endpoints))
    for kill in range(KILLS):
        wait_for(lambda least=kill: len(_made(endpoints)) > least, "work that can be interrupted")
        release.kill()
        release.await_running()
    for endpoint in endpoints:
        endpoint.await_ready(180)

    expected = _shape(undisturbed)
    assert [_shape(endpoint) for endpoint in endpoints] == [expected] * len(endpoints)

    since = audit.mark()
    release.kill()
    release.await_running()
    wait_for(
        lambda: any(r.resource == "streamingendpoints" and r.verb == "watch" for r in audit.requests(since)),
        "the new operator to watch",
    )
    newcomer = Endpoint(namespace, "newcomer")
    newcomer.apply(newcomer.double())
    newcomer.await_ready()  # it has looked at all the others before
    written = [
        name for _, _, name in audit.children_written(since, namespace) if not name.startswith("newcomer")
    ]
    assert written == []


def _made(endpoints: list[Endpoint]) -> list[kube.Manifest]:
    return [child for endpoint in endpoints for child in endpoint.children()]


def _shape(endpoint: Endpoint) -> dict:
    """What there is and how it stands, without names."""
    uid = endpoint.body()["metadata"]["uid"]
    children = endpoint.children(f"{CHILDREN},servicemonitor,prometheusrule")
    return {
        "children": sorted(
            (
                child["kind"],
                child["metadata"]["name"].removeprefix(endpoint.name),
                [owner["uid"] == uid for owner in child["metadata"]["ownerReferences"]] == [True],
            )
            for child in children
        ),
        "replica sets": len(
            kube.listing("replicaset", endpoint.namespace, f"streamingendpoints.dev/endpoint={endpoint.name}")
        ),
        "conditions": {kind: (c["status"], c["reason"]) for kind, c in endpoint.conditions().items()},
    }
