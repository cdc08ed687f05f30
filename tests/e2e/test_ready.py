"""apply -> Ready with the double: what people see, and that it is true for users inside and outside."""

from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for


def test_ready_through_the_ingress(endpoint: Endpoint) -> None:
    """`kubectl wait` ends, the table shows the state, and a user's stream arrives event by event."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    kube.kubectl(
        "-n", endpoint.namespace, "wait", "--for=condition=Ready", f"sep/{endpoint.name}", "--timeout=9s"
    )
    # Five seconds of tokens: a stream also where a busy machine brings the first of them late.
    answer = endpoint.stream(max_tokens=100, headers={"X-Double-Inter-Token-Latency": "50"}).finish()
    assert (answer.status, answer.ending, answer.done, answer.finish_reason) == (200, "whole", True, "length")
    assert answer.flowed, answer.reads

    head, row = kube.kubectl("-n", endpoint.namespace, "get", "sep").splitlines()
    assert head.split() == ["NAME", "URL", "MODEL", "READY", "STREAMING", "TTFT", "AGE"]
    assert row.split()[:5] == [endpoint.name, f"http://{endpoint.host}", endpoint.name, "True", "Streaming"]


def test_every_condition_is_there_and_true(endpoint: Endpoint) -> None:
    """A Ready endpoint is current by kstatus, and its events show how it became Ready."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    conditions = {
        kind: (condition["status"], condition["reason"]) for kind, condition in endpoint.conditions().items()
    }
    assert conditions == {
        "Ready": ("True", "Ready"),
        "Reconciling": ("False", "UpToDate"),
        "Stalled": ("False", "NotStalled"),
        "WorkloadAvailable": ("True", "Available"),
        "Exposed": ("True", "Admitted"),
        "StreamingVerified": ("True", "Streaming"),
        "MonitoringConfigured": ("True", "Configured"),
    }
    endpoint.event("Streaming")


def test_without_exposure_the_service_hop_judges(endpoint: Endpoint) -> None:
    """An endpoint without exposure is Ready by its Service, and has no Ingress."""
    endpoint.apply(endpoint.double(exposure=None))
    endpoint.await_ready()
    assert endpoint.conditions()["Exposed"]["reason"] == "ClusterInternal"
    assert endpoint.body()["status"]["verification"]["hop"] == "Service"
    assert endpoint.children("ingress") == []


def test_scale_to_zero_and_back(endpoint: Endpoint) -> None:
    """`kubectl scale` reaches the Deployment; at zero the endpoint is not Ready and not stalled."""
    endpoint.apply(endpoint.double())
    endpoint.await_ready()
    scale = ("-n", endpoint.namespace, "scale", f"sep/{endpoint.name}")
    kube.kubectl(*scale, "--replicas=0")
    endpoint.await_condition("Ready", "False", "ScaledToZero")
    assert endpoint.conditions()["Stalled"]["status"] == "False"
    wait_for(lambda: not endpoint.pods(), "the pod's end", tell=endpoint.diagnosis)
    kube.kubectl(*scale, "--replicas=1")
    endpoint.await_ready()
