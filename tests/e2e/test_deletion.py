"""An endpoint deleted takes everything with it, operator or not."""

import pytest

from tests.e2e import kube, release
from tests.e2e.endpoints import CHILDREN, Endpoint
from tests.e2e.waiting import wait_for

EVERYTHING = f"{CHILDREN},servicemonitor,prometheusrule,replicaset,pod"


def _leftovers(endpoint: Endpoint) -> list[str]:
    label = f"streamingendpoints.dev/endpoint={endpoint.name}"
    remaining = kube.listing(EVERYTHING, endpoint.namespace, label)
    return [f"{left['kind']}/{left['metadata']['name']}" for left in remaining]


def test_everything_goes_with_the_endpoint(endpoint: Endpoint) -> None:
    """Children, pods and what they left behind are gone; no finalizer holds the endpoint up."""
    endpoint.apply(endpoint.double(rollout={"podDisruptionBudget": {"maxUnavailable": 1}}))
    endpoint.await_ready()
    assert "finalizers" not in endpoint.body()["metadata"]
    endpoint.delete()
    wait_for(lambda: not _leftovers(endpoint), "everything to go", tell=lambda: str(_leftovers(endpoint)))


@pytest.mark.disruptive
def test_everything_goes_also_while_the_operator_is_down(endpoint: Endpoint) -> None:
    """The garbage collector does it alone, and the operator, back again, makes nothing of what is gone."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    with release.stopped():
        endpoint.delete()
        wait_for(lambda: not _leftovers(endpoint), "everything to go", tell=lambda: str(_leftovers(endpoint)))
    other = Endpoint(endpoint.namespace, "other")
    other.apply(other.double())
    other.await_ready()  # the operator has been at work since
    assert _leftovers(endpoint) == []


def test_the_same_name_again_is_another_endpoint(endpoint: Endpoint) -> None:
    """Deleted and applied at once: the new one gets children of its own and becomes Ready."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    first = endpoint.body()["metadata"]["uid"]
    endpoint.delete()
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    second = endpoint.body()["metadata"]["uid"]
    owners = {owner["uid"] for child in endpoint.children() for owner in child["metadata"]["ownerReferences"]}
    assert first != second
    assert owners == {second}
