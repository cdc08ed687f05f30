"""A hundred streams held while the pods that serve them go: fewer replicas, evicted, another flag, a drained node."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from tests.cluster import kind
from tests.e2e import kube
from tests.e2e.endpoints import ENDPOINT_LABEL, Endpoint
from tests.e2e.streams import Stream, ends
from tests.e2e.waiting import wait_for

STREAMS = 100
TOKENS = 30
SLOW = {"X-Double-Inter-Token-Latency": "1000"}
"""Milliseconds: each stream lasts 30 s, which fits the drain."""
ROLLOUT = {"preStopSeconds": 10, "drainSeconds": 90}
LATE = 10
"""Requests that begin when a pod has just been told to go, while the edge may still send to it."""
WHOLE = ("whole", "length", True)


def _serve(endpoint: Endpoint, replicas: int) -> list[Stream]:
    """So many ready pods, and the streams that they have begun to send."""
    endpoint.apply(endpoint.double(replicas=replicas, rollout=ROLLOUT))
    endpoint.await_ready()
    wait_for(lambda: _status(endpoint).get("readyReplicas") == replicas, "every pod", tell=endpoint.diagnosis)
    held = [endpoint.stream(max_tokens=TOKENS, headers=SLOW) for _ in range(STREAMS)]
    for stream in held:
        stream.await_events(1)
    return held


def _status(endpoint: Endpoint) -> dict[str, int]:
    status: dict[str, int] = endpoint.child("deployment")["status"]
    return status


def _staying(endpoint: Endpoint) -> set[str]:
    """The names of the pods that nobody has told to go."""
    return {pod["metadata"]["name"] for pod in endpoint.pods() if "deletionTimestamp" not in pod["metadata"]}


def _told_to_go(endpoint: Endpoint, pods: set[str], cause: str) -> set[str]:
    """Wait until some of these pods are told to go; which."""
    return wait_for(
        lambda: pods - _staying(endpoint),
        f"a pod to go: {cause}",
        seconds=180,  # the last goes when its successor is up, however busy the machine is
        tell=endpoint.diagnosis,
    )


def _begun_late(endpoint: Endpoint, leaving: set[str], held: list[Stream], cause: str) -> list[Stream]:
    """Requests that begin now; prints how many of those held the leaving pods still answer."""
    late = [endpoint.stream(max_tokens=5) for _ in range(LATE)]
    running = ", ".join(_running(endpoint, pod) for pod in leaving)
    print(f"{cause}: {running} running in what goes, {sum(s.is_open for s in held)} of {len(held)} open")
    return late


def _running(endpoint: Endpoint, pod: str) -> str:
    """How many requests the pod answers; a pod without any goes at once, and is printed as gone."""
    try:
        return str(int(endpoint.running_requests(pod)))
    except (kube.Refused, kube.Answered, OSError, HTTPException):
        return "gone"


def _whole(streams: list[Stream], what: str) -> bool:
    """Whether all of them end by themselves; prints how many do not."""
    ended = ends(streams)
    print(f"{len(streams)} streams {what}, {len(streams) - ended[WHOLE]} cut: {dict(ended)}")
    return ended == {WHOLE: len(streams)}


def _evict(pod: str, namespace: str) -> bool:
    """Ask for an eviction, as what removes nodes does; whether the budget allowed it."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    address = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    try:
        kube.kubectl("create", "--raw", address, "-f", "-", stdin=json.dumps(eviction))
    except kube.Refused as refusal:
        if "disruption budget" not in str(refusal):
            raise
        return False
    return True


def test_held_streams_outlive_fewer_replicas_an_eviction_and_another_flag(endpoint: Endpoint) -> None:
    """Each of three pods goes for another cause; its streams, and requests that come meanwhile, end by themselves."""
    held = _serve(endpoint, replicas=3)
    left, late = _staying(endpoint), []

    def evict() -> None:
        pod = min(left)
        wait_for(lambda: _evict(pod, endpoint.namespace), "the eviction", tell=endpoint.diagnosis)

    causes: dict[str, Callable[[], None]] = {
        "fewer replicas": lambda: endpoint.change(replicas=2),
        "eviction": evict,
        "another flag": lambda: endpoint.change(engine={"args": ["--max-num-seqs=300"]}),
    }
    for cause, bring_about in causes.items():
        bring_about()
        leaving = _told_to_go(endpoint, left, cause)
        left -= leaving
        late += _begun_late(endpoint, leaving, held, cause)

    assert (_whole(held, "held"), _whole(late, "begun late"), left) == (True, True, set())


@pytest.mark.disruptive
def test_held_streams_outlive_the_drain_of_their_node(endpoint: Endpoint) -> None:
    """`kubectl drain` takes one pod at a time, since another is up before the next goes; no stream is cut."""
    held = _serve(endpoint, replicas=2)
    both = _staying(endpoint)
    options = (f"--pod-selector={ENDPOINT_LABEL}={endpoint.name}", "--delete-emptydir-data")
    with ThreadPoolExecutor(1) as beside:
        drained = beside.submit(kube.kubectl, "drain", kind.NODE, *options, seconds=300)
        try:
            first = _told_to_go(endpoint, both, "drain")
        finally:
            kube.kubectl("uncordon", kind.NODE)  # it is also the one that the replacement needs
        late = _begun_late(endpoint, first, held, "drain")
        second = _told_to_go(endpoint, both - first, "drain")
        late += _begun_late(endpoint, second, held, "drain")

        assert (_whole(held, "held"), _whole(late, "begun late")) == (True, True)
        drained.result()
    assert (len(first), len(second)) == (1, 1)
