"""Another model on a node with a single GPU: no deadlock, and no stream that fits the drain is cut."""

from collections.abc import Iterator

import pytest

from tests import cluster as test_cluster
from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for

GPU = "nvidia.com/gpu"


def _holders() -> list[kube.Manifest]:
    """Every pod of the cluster that holds a device."""
    return [
        pod
        for pod in kube.listing("pods")
        if pod["status"]["phase"] in ("Pending", "Running") and _devices(pod)
    ]


def _devices(pod: kube.Manifest) -> int:
    return sum(int(c.get("resources", {}).get("limits", {}).get(GPU, 0)) for c in pod["spec"]["containers"])


def _leaving() -> list[str]:
    return [pod["metadata"]["name"] for pod in _holders() if "deletionTimestamp" in pod["metadata"]]


@pytest.fixture
def single_gpu(cluster: int) -> Iterator[None]:
    """A node with one free GPU: what others hold (a demo that was left running) stays theirs."""
    wait_for(
        lambda: not _leaving(),
        "the GPUs of earlier tests to be free",
        seconds=180,
        tell=lambda: str(_leaving()),
    )
    test_cluster.set_gpus(sum(map(_devices, _holders())) + 1)
    yield
    test_cluster.set_gpus(test_cluster.GPUS)


@pytest.mark.disruptive
def test_another_model_rolls_out_on_a_single_gpu(single_gpu: None, endpoint: Endpoint) -> None:
    """The old pod drains its open stream to [DONE] and frees the GPU; the new one takes it, and is Ready."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    old = endpoint.pod()
    slowly = {"X-Double-Inter-Token-Latency": "60"}
    stream = endpoint.stream(max_tokens=250, headers=slowly)
    stream.await_events(10)
    endpoint.change(model={"source": {"local": {"path": "/models/another"}}})
    wait_for(
        lambda: any("deletionTimestamp" in pod["metadata"] for pod in endpoint.pods()), "the rollout to begin"
    )
    answer = stream.finish()
    assert (answer.ending, answer.done, answer.finish_reason) == ("whole", True, "length")

    endpoint.await_ready()
    new = endpoint.pod()
    assert old["metadata"]["uid"] != new["metadata"]["uid"]
    assert "/models/another" in new["spec"]["containers"][0]["args"]
    assert new["spec"]["containers"][0]["resources"]["limits"][GPU] == "1"


def test_a_stream_that_outlives_the_drain_gets_an_error_event(endpoint: Endpoint) -> None:
    """With an error event and [DONE], also where the server loses its own race to abort what it runs."""
    endpoint.apply(
        endpoint.double(
            rollout={"drainSeconds": 2}, engine={"env": [{"name": "DOUBLE_LOSE_ABORT", "value": "1"}]}
        )
    )
    endpoint.await_ready()
    stream = endpoint.stream(max_tokens=1000, headers={"X-Double-Inter-Token-Latency": "100"})
    stream.await_events(5)
    kube.delete("pod", endpoint.pod()["metadata"]["name"], endpoint.namespace, "--wait=false")
    answer = stream.finish()
    assert (answer.ending, answer.done, answer.error_code) == ("whole", True, 503), answer.events[-3:]


def test_a_change_of_the_route_restarts_no_pod(endpoint: Endpoint) -> None:
    """A new host concerns the edge alone: the pod stays, and an open stream too."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    pod = endpoint.pod()["metadata"]["uid"]
    stream = endpoint.stream(max_tokens=200, headers={"X-Double-Inter-Token-Latency": "40"})
    stream.await_events(5)
    endpoint.change(exposure={"host": f"new.{endpoint.host}"})
    endpoint.await_ready()
    answer = stream.finish()
    assert (answer.ending, answer.done) == ("whole", True)
    assert endpoint.pod()["metadata"]["uid"] == pod
