"""Checks beside the stream, and names that lead inside, through the real ingress and the cluster's own DNS."""

import pytest

from tests.e2e import gateways, kube
from tests.e2e.endpoints import Endpoint

KEY = "sk-of-the-checks"


@pytest.fixture
def keyed(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose Secret is there."""
    kube.apply(kube.key_secret("chat-key", endpoint.namespace, KEY))
    return endpoint


def test_every_check_passes_through_the_ingress(keyed: Endpoint) -> None:
    """Two replicas, a key, a client who leaves: Ready, everything judged, the key nowhere."""
    keyed.apply(
        keyed.double(
            replicas=2,
            gpu={"count": 0},
            engine={"apiKeySecretRef": {"name": "chat-key"}},
            verification={"checks": {"perReplica": True, "auth": True, "cancel": True}},
        )
    )
    keyed.await_ready()
    verification = keyed.body()["status"]["verification"]
    assert (verification["verdict"], verification["hop"]) == ("Streaming", "Exposure")
    gateways.await_every_check(keyed)
    assert KEY not in str(keyed.body())


def test_a_name_cannot_lead_the_probe_inside(endpoint: Endpoint) -> None:
    """The API server and another namespace's Service are never asked, whatever a name resolves to."""
    endpoint.apply(
        endpoint.double(gpu={"count": 0}, verification={"publicURL": "https://kubernetes.default.svc"})
    )
    message = endpoint.await_condition("StreamingVerified", "False", "Unreachable", seconds=120)
    assert "belongs to the cluster itself" in message

    endpoint.change(verification={"publicURL": "http://ingress-nginx-controller.ingress-nginx.svc"})
    message = endpoint.await_condition("StreamingVerified", "False", "Unreachable")
    assert "private address" in message
    assert "settings.allowedAddresses" in message

    endpoint.change(verification={"publicURL": "http://nobody.example.com"})
    endpoint.await_condition("StreamingVerified", "False", "DNSUnresolved")
    assert endpoint.body()["status"]["url"] == "http://nobody.example.com"

    endpoint.change(verification={"publicURL": None})
    endpoint.await_ready()
