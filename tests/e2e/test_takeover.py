"""No stream ends by the operator's hands: two of them hand over, and other endpoints come and go meanwhile."""

from collections.abc import Iterator

import pytest

from tests.e2e import audit, kube, release
from tests.e2e.endpoints import Endpoint
from tests.e2e.streams import ends
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.disruptive

STREAMS = 100
TOKENS = 100
SLOW = {"X-Double-Inter-Token-Latency": "500"}
"""Milliseconds: each stream lasts 50 s, longer than everything that happens meanwhile."""


@pytest.fixture
def two_operators(cluster: int) -> Iterator[None]:
    """The release with a standby, and as it was afterwards."""
    release.install(replicas=2)
    yield
    release.install()
    # It may be the leader that goes, after helm has ended.
    wait_for(lambda: len(release.pods()) == 1, "the end of the other one", seconds=120, tell=release.logs)


def _holder() -> str:
    """The pod that holds the Lease; empty while it is free."""
    lease = kube.get("lease", release.RELEASE, release.NAMESPACE)
    identity: str = lease["spec"].get("holderIdentity", "") if lease is not None else ""
    return identity.rpartition("_")[0]


@pytest.mark.usefixtures("two_operators")
def test_held_streams_outlive_a_takeover_and_what_happens_beside_them(namespace: str) -> None:
    """A leader that is stopped, an edit of metadata, another endpoint made and deleted: no stream is cut."""
    served, other = Endpoint(namespace, "served"), Endpoint(namespace, "other")
    served.apply(served.double())
    served.await_ready()
    since = audit.mark()
    streams = [served.stream(max_tokens=TOKENS, headers=SLOW) for _ in range(STREAMS)]
    for stream in streams:
        stream.await_events(1)

    leader = wait_for(_holder, "a leader")
    kube.delete("pod", leader, release.NAMESPACE, "--wait=false")
    successor = wait_for(lambda: (name := _holder()) != leader and name, "another leader", tell=release.logs)
    kube.patch("sep", served.name, {"metadata": {"annotations": {"example.com/note": "edited"}}}, namespace)
    other.apply(other.double())
    wait_for(lambda: kube.get("ingress", other.name, namespace), "the successor's work", tell=release.logs)
    other.delete()
    ended = ends(streams)

    print(f"{STREAMS} streams held, {STREAMS - ended['whole', 'length', True]} cut; {leader} -> {successor}")
    assert ended == {("whole", "length", True): STREAMS}
    written = [name for _, _, name in audit.children_written(since, namespace)]
    assert [name for name in written if not name.startswith(other.name)] == []


def test_what_happens_again_is_counted_in_one_event(endpoint: Endpoint) -> None:
    """A class that is not there, twice: one Event, whose series says so."""
    endpoint.apply(endpoint.double(replicas=0))
    for name, status in (("absent", "False"), ("nginx", "True"), ("absent", "False")):
        endpoint.change(exposure={"ingress": {"className": name}})
        endpoint.await_condition("Exposed", status)

    def counts() -> list[int]:
        return [
            event.get("series", {}).get("count", 1)
            for event in kube.listing("events.events.k8s.io", endpoint.namespace)
            if (event["regarding"].get("name"), event["reason"]) == (endpoint.name, "ClassNotFound")
        ]

    wait_for(lambda: sum(counts()) > 1, "the second occurrence", tell=endpoint.diagnosis)
    assert counts() == [2]
