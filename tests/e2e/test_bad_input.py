"""
What only the operator can see to be wrong: each ends in a condition that says what to change, and an event.

The endpoints are applied together, since each takes its time to fail; none of them may disturb another.
"""

from collections.abc import Iterator

import pytest

from tests.e2e import kube
from tests.e2e.endpoints import Endpoint

NOWHERE = "localhost/nowhere:dev"
FIXED = 180
"""Seconds for an endpoint to come up after the cause is gone: kubelet and queue back off in between."""


def _handles(namespace: str) -> dict[str, Endpoint]:
    names = (
        "no-secret",
        "no-class",
        "taken-host",
        "no-image",
        "crashing",
        "never-loads",
        "taken-name",
        "good",
    )
    return {name: Endpoint(namespace, name) for name in names}


def _foreign_ingress(host: str, namespace: str) -> kube.Manifest:
    backend = {"service": {"name": "somebody", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "somebody", "namespace": namespace},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [
                {"host": host, "http": {"paths": [{"path": "/v1", "pathType": "Prefix", "backend": backend}]}}
            ],
        },
    }


def _foreign_service(name: str, namespace: str) -> kube.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "somebody"}, "ports": [{"port": 80}]},
    }


@pytest.fixture(scope="module")
def bad(shared_namespace: str) -> Iterator[dict[str, Endpoint]]:
    """Every bad endpoint, and a good one among them."""
    made = _handles(shared_namespace)
    kube.apply(
        _foreign_ingress(made["taken-host"].host, shared_namespace),
        _foreign_service("taken-name", shared_namespace),
    )
    surge = {"strategy": "RollingUpdate", "maxSurge": 1, "maxUnavailable": 0}
    kube.apply(
        made["no-secret"].double(engine={"apiKeySecretRef": {"name": "nowhere"}}),
        made["no-class"].double(exposure={"ingress": {"className": "nowhere"}}),
        made["taken-host"].double(),
        made["no-image"].double(engine={"image": NOWHERE, "imagePullPolicy": "IfNotPresent"}),
        made["crashing"].double(engine={"args": ["--no-such-flag"]}),
        made["never-loads"].double(
            engine={"env": [{"name": "DOUBLE_STARTUP_DURATION", "value": "3600"}]},
            startup={"timeoutSeconds": 60},
            rollout={"drainSeconds": 2},
        ),
        made["taken-name"].double(),
        made["good"].double(rollout=surge),
    )
    yield made
    for endpoint in made.values():
        endpoint.delete("--wait=false")


def test_a_name_that_is_taken(bad: dict[str, Endpoint]) -> None:
    """Stalled, with the object to move away; nothing is written, and nobody's object is touched."""
    endpoint = bad["taken-name"]
    message = endpoint.await_condition("Stalled", "True", "NameTaken")
    assert "Service/taken-name" in message
    endpoint.event("NameTaken")
    assert endpoint.children() == []
    assert endpoint.child("service")["spec"]["selector"] == {"app": "somebody"}
    kube.delete("service", "taken-name", endpoint.namespace)
    endpoint.await_ready(FIXED)


def test_the_good_one_is_ready_among_them(bad: dict[str, Endpoint]) -> None:
    """Failures of others do not affect this one."""
    bad["good"].await_ready(180)


def test_a_missing_secret(bad: dict[str, Endpoint]) -> None:
    """The Secret is named; made later, the endpoint becomes Ready by itself."""
    endpoint = bad["no-secret"]
    message = endpoint.await_condition("WorkloadAvailable", "False", "ConfigMissing")
    assert message == "Secret nowhere does not exist: create it or correct its name in spec"
    endpoint.await_condition("Ready", "False", "ConfigMissing")
    assert message in endpoint.event("ConfigMissing")
    kube.apply(kube.key_secret("nowhere", endpoint.namespace, "a-key-of-this-test"))
    endpoint.await_ready(FIXED)


def test_a_missing_class(bad: dict[str, Endpoint]) -> None:
    """The class is named, the workload runs; with a class that exists, Ready."""
    endpoint = bad["no-class"]
    message = endpoint.await_condition("Exposed", "False", "ClassNotFound")
    assert "nowhere" in message
    endpoint.await_condition("Ready", "False", "ClassNotFound")
    endpoint.await_condition("WorkloadAvailable", "True", seconds=120)
    endpoint.event("ClassNotFound")
    pod = endpoint.pod()["metadata"]["uid"]
    endpoint.change(exposure={"ingress": {"className": "nginx"}})
    endpoint.await_ready()
    assert endpoint.pod()["metadata"]["uid"] == pod


def test_a_host_that_another_ingress_serves(bad: dict[str, Endpoint]) -> None:
    """The other Ingress is named; when it goes, Ready."""
    endpoint = bad["taken-host"]
    message = endpoint.await_condition("Exposed", "False", "HostConflict")
    assert f"{endpoint.namespace}/somebody" in message
    endpoint.event("HostConflict")
    kube.delete("ingress", "somebody", endpoint.namespace)
    endpoint.await_ready()


def test_an_image_that_never_starts(bad: dict[str, Endpoint]) -> None:
    """The image is named, with what to do."""
    endpoint = bad["no-image"]
    message = endpoint.await_condition("WorkloadAvailable", "False", "ImageNotPulled")
    assert message.startswith(f"image {NOWHERE}: ")
    endpoint.event("ImageNotPulled")


def test_a_server_that_ends_at_start(bad: dict[str, Endpoint]) -> None:
    """Its last line is quoted."""
    endpoint = bad["crashing"]
    message = endpoint.await_condition("WorkloadAvailable", "False", "Crashing")
    assert "--no-such-flag" in message
    endpoint.event("Crashing")


def test_a_model_that_never_loads(bad: dict[str, Endpoint]) -> None:
    """First it loads, then its time is over: the field that gives it more is named."""
    endpoint = bad["never-loads"]
    message = endpoint.await_condition("WorkloadAvailable", "False", "StartupTimedOut", seconds=240)
    assert "spec.startup.timeoutSeconds" in message
    endpoint.event("StartupTimedOut")


def test_a_bad_change_leaves_what_works(bad: dict[str, Endpoint]) -> None:
    """The new pods cannot start, the condition says why, and users are served by the old ones."""
    endpoint = bad["good"]
    endpoint.await_ready(180)
    endpoint.change(engine={"image": NOWHERE})
    endpoint.await_condition("WorkloadAvailable", "False", "ImageNotPulled")
    answer = endpoint.stream(max_tokens=50).finish()
    assert (answer.status, answer.done) == (200, True)
    endpoint.change(engine={"image": endpoint.double()["spec"]["engine"]["image"]})
    endpoint.await_ready()


@pytest.mark.parametrize(
    ("change", "path", "rule"),
    [
        ({"gpu": {"count": 999}}, "spec.gpu.count", "less than or equal to 128"),
        ({"engine": {"args": ["--port=1"]}}, "spec.engine.args", "--port engine.port"),
        (
            {"exposure": {"httpRoute": {"parentRefs": [{"name": "public"}]}}},
            "spec.exposure",
            "set exactly one of",
        ),
        ({"exposure": {"host": "Not A Host"}}, "spec.exposure.host", "should match"),
    ],
)
def test_the_api_server_refuses_what_it_can_see(namespace: str, change: dict, path: str, rule: str) -> None:
    """`kubectl apply` ends with the field's path and the rule; nothing is stored."""
    endpoint = Endpoint(namespace, "refused")
    with pytest.raises(kube.Refused) as refused:
        endpoint.apply(endpoint.double(**change))
    assert path in str(refused.value)
    assert rule in str(refused.value)
    assert kube.get("sep", "refused", namespace) is None
