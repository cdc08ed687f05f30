"""A cluster without the optional CRDs: said in a condition, worked without, and used as soon as they come."""

import json
from collections.abc import Iterator

import pytest

from tests import cluster as test_cluster
from tests.cluster import kind
from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.disruptive

DISCOVERY_SECONDS = 150
"""The operator asks once a minute which optional kinds there are."""


def _install(name: str) -> None:
    for path in test_cluster.crds(name):
        kind.apply(path.read_text())


@pytest.fixture(scope="module")
def bare(cluster: int) -> Iterator[None]:
    """The cluster without the CRDs of prometheus-operator and Gateway API, and with them again afterwards."""
    try:
        for name in ("gateway", "monitoring"):
            for path in test_cluster.crds(name):
                kube.kubectl("delete", "-f", str(path), "--ignore-not-found")
        yield
    finally:  # also when one could not be deleted: the tests of the Gateways come after these
        for name in ("gateway", "monitoring"):
            _install(name)


@pytest.fixture(scope="module")
def routed(bare: None, shared_namespace: str) -> Endpoint:
    """An endpoint that wants an HTTPRoute and a ServiceMonitor."""
    endpoint = Endpoint(shared_namespace, "routed")
    route = {"ingress": None, "httpRoute": {"parentRefs": [{"name": "public"}]}}
    endpoint.apply(endpoint.double(exposure=route))
    return endpoint


def test_what_needs_a_missing_kind_says_so(routed: Endpoint) -> None:
    """Both conditions name the CRDs to install; the workload runs all the same."""
    message = routed.await_condition("Exposed", "False", "KindMissing", seconds=DISCOVERY_SECONDS)
    assert "install the Gateway API CRDs" in message
    message = routed.await_condition(
        "MonitoringConfigured", "False", "ServiceMonitorCRDMissing", seconds=DISCOVERY_SECONDS
    )
    assert "install the prometheus-operator's CRDs" in message
    routed.await_condition("WorkloadAvailable", "True")
    routed.event("KindMissing")


def test_an_endpoint_without_them_is_ready(bare: None, shared_namespace: str) -> None:
    """No monitoring is no reason not to serve."""
    endpoint = Endpoint(shared_namespace, "plain")
    endpoint.apply(endpoint.double())
    endpoint.await_ready()


def test_kinds_that_come_later_are_used(routed: Endpoint) -> None:
    """The CRDs are installed: route, monitor and rules are made without anybody touching the endpoint."""
    for name in ("gateway", "monitoring"):
        _install(name)
    routed.await_condition("MonitoringConfigured", "True", seconds=DISCOVERY_SECONDS)
    route = wait_for(
        lambda: kube.get("httproute", routed.name, routed.namespace),
        "the HTTPRoute",
        seconds=DISCOVERY_SECONDS,
    )
    assert route["spec"]["hostnames"] == [routed.host]
    wait_for(
        lambda: kube.get("prometheusrule", routed.name, routed.namespace),
        "the PrometheusRule",
        seconds=DISCOVERY_SECONDS,
    )


def test_a_gateway_that_takes_the_route_leaves_only_the_address_open(routed: Endpoint) -> None:
    """A Gateway's status (written here) makes it Exposed; nobody knows its address: the value is named."""
    namespace = routed.namespace
    kube.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": f"class-{namespace}"},
            "spec": {"controllerName": "example.com/gateway"},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "public", "namespace": namespace},
            "spec": {
                "gatewayClassName": f"class-{namespace}",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        },
    )
    parent = {
        "parentRef": {"name": "public"},
        "controllerName": "example.com/gateway",
        "conditions": [_true("Accepted"), _true("ResolvedRefs")],
    }
    change = json.dumps({"status": {"parents": [parent]}})
    kube.kubectl(
        "-n",
        namespace,
        "patch",
        "httproute",
        routed.name,
        "--subresource=status",
        "--type=merge",
        "-p",
        change,
    )
    routed.await_condition("Exposed", "True", "Admitted")
    message = routed.await_condition("StreamingVerified", "Unknown", "EdgeAddressUnknown")
    assert "edges" in message

    routed.change(exposure={"httpRoute": None, "ingress": {"className": "nginx"}})
    routed.await_ready()
    assert kube.get("httproute", routed.name, namespace) is None
    kube.delete("gatewayclass", f"class-{namespace}")


def _true(kind_of: str) -> dict:
    return {
        "type": kind_of,
        "status": "True",
        "reason": kind_of,
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
