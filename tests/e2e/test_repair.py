"""Children deleted or edited by hand come back, and nothing else is written for it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e import audit, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.kube import Manifest
from tests.e2e.waiting import wait_for

BUFFERING = "nginx.ingress.kubernetes.io/proxy-buffering"

Read = Callable[[Manifest], Any]


@pytest.fixture(scope="module")
def whole(shared_namespace: str) -> Iterator[Endpoint]:
    """A Ready endpoint that has a child of every kind."""
    endpoint = Endpoint(shared_namespace, "chat")
    endpoint.apply(endpoint.double(rollout={"podDisruptionBudget": {"maxUnavailable": 1}}))
    endpoint.await_ready()
    yield endpoint
    endpoint.delete("--wait=false")


KINDS = (
    "configmaps",
    "services",
    "poddisruptionbudgets",
    "deployments",
    "ingresses",
    "servicemonitors",
    "prometheusrules",
)


def _child(endpoint: Endpoint, resource: str) -> Manifest | None:
    return next(iter(endpoint.children(resource)), None)


@pytest.mark.parametrize("resource", KINDS)
def test_a_deleted_child_comes_back(whole: Endpoint, resource: str) -> None:
    """It is made anew, the endpoint is Ready again, and no other child was written."""
    before = _child(whole, resource)
    assert before is not None
    name, uid = before["metadata"]["name"], before["metadata"]["uid"]
    since = audit.mark()
    kube.delete(resource, name, whole.namespace)
    wait_for(
        lambda: (_child(whole, resource) or before)["metadata"]["uid"] != uid,
        f"a new {resource}",
        tell=whole.diagnosis,
    )
    whole.await_ready()
    assert audit.children_written(since, whole.namespace) == [("patch", resource, name)]


EDITS: dict[str, tuple[str, Any, Read]] = {
    "configmap-label": (
        "configmaps",
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "somebody"}}},
        lambda configmap: configmap["metadata"]["labels"]["app.kubernetes.io/managed-by"],
    ),
    "service-selector": (
        "services",
        {"spec": {"selector": {"streamingendpoints.dev/endpoint": "nobody"}}},
        lambda service: service["spec"]["selector"],
    ),
    "budget": (
        "poddisruptionbudgets",
        {"spec": {"maxUnavailable": 5}},
        lambda budget: budget["spec"]["maxUnavailable"],
    ),
    "deployment-replicas": (
        "deployments",
        {"spec": {"replicas": 2}},
        lambda deployment: deployment["spec"]["replicas"],
    ),
    "deployment-grace": (
        "deployments",
        {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}},
        lambda deployment: deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
    ),
    "ingress-annotation-changed": (
        "ingresses",
        {"metadata": {"annotations": {BUFFERING: "on"}}},
        lambda ingress: ingress["metadata"]["annotations"].get(BUFFERING),
    ),
    "ingress-annotation-removed": (
        "ingresses",
        {"metadata": {"annotations": {BUFFERING: None}}},
        lambda ingress: ingress["metadata"]["annotations"].get(BUFFERING),
    ),
    "ingress-class": (
        "ingresses",
        {"spec": {"ingressClassName": "another"}},
        lambda ingress: ingress["spec"]["ingressClassName"],
    ),
    "servicemonitor": (
        "servicemonitors",
        {"spec": {"jobLabel": "another"}},
        lambda monitor: monitor["spec"]["jobLabel"],
    ),
    "prometheusrule": (
        "prometheusrules",
        {"spec": {"groups": []}},
        lambda rule: rule["spec"]["groups"],
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_child_is_repaired(whole: Endpoint, edit: str) -> None:
    """What is ours goes back to what it was, by one write to that child alone."""
    resource, change, read = EDITS[edit]
    before = _child(whole, resource)
    assert before is not None
    name, original = before["metadata"]["name"], read(before)
    since = audit.mark()
    kube.patch(resource, name, change, whole.namespace)
    wait_for(
        lambda: audit.children_written(since, whole.namespace), "the operator to write", tell=whole.diagnosis
    )
    wait_for(
        lambda: read(kube.get(resource, name, whole.namespace)) == original,
        "the repair",
        tell=whole.diagnosis,
    )
    whole.await_ready()
    assert audit.children_written(since, whole.namespace) == [("patch", resource, name)]


def test_what_others_add_is_left_alone(whole: Endpoint) -> None:
    """Labels and annotations of other tools stay, and the operator does not overwrite them."""
    since = audit.mark()
    for resource in KINDS:
        name = _child(whole, resource)["metadata"]["name"]
        kube.patch(
            resource, name, {"metadata": {"annotations": {"team.example.com/owner": "ml"}}}, whole.namespace
        )
    # A pass that looks at every child, and renders none anew: the rule of alerts knows the interval.
    whole.change(verification={"failureThreshold": 4})
    whole.await_ready()
    assert audit.children_written(since, whole.namespace) == []
    assert all(
        _child(whole, resource)["metadata"]["annotations"]["team.example.com/owner"] == "ml"
        for resource in KINDS
    )


def test_a_port_edited_by_hand_is_repaired(whole: Endpoint) -> None:
    """An entry of a keyed list that gets another key conflicts with ours; it is repaired all the same."""
    kube.patch(
        "service",
        whole.name,
        [{"op": "replace", "path": "/spec/ports/0/port", "value": 8081}],
        whole.namespace,
    )
    wait_for(
        lambda: [port["port"] for port in whole.child("service")["spec"]["ports"]] == [80],
        "port 80, and no other",
        tell=whole.diagnosis,
    )
    whole.await_ready()
