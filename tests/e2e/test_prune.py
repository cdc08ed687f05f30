"""What is no longer wanted is deleted, whatever kind it is; what still serves is left alone."""

from tests.e2e import audit, kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for

EARLIER = "chat-engine-00000000"
"""A ConfigMap as an earlier version of the operator may have left it."""


SURPLUS = "configmap,poddisruptionbudget,ingress,servicemonitor,prometheusrule"


def _earlier_config(endpoint: Endpoint) -> kube.Manifest:
    body = endpoint.body()
    config = endpoint.children("configmap")[0]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": EARLIER,
            "namespace": endpoint.namespace,
            "labels": config["metadata"]["labels"],
            "ownerReferences": [{**config["metadata"]["ownerReferences"][0], "uid": body["metadata"]["uid"]}],
        },
        "data": {},
    }


def test_what_is_no_longer_rendered_goes(endpoint: Endpoint) -> None:
    """Budget, Ingress, monitoring objects and an old ConfigMap go; the pod is not touched, the endpoint Ready."""
    endpoint.apply(endpoint.double(rollout={"podDisruptionBudget": {"maxUnavailable": 1}}))
    endpoint.await_ready()
    kube.create(_earlier_config(endpoint))
    pod, since = endpoint.pod()["metadata"]["uid"], audit.mark()

    endpoint.change(
        exposure=None,
        rollout={"podDisruptionBudget": None},
        monitoring={"serviceMonitor": {"enabled": False}, "prometheusRule": {"enabled": False}},
    )
    wait_for(
        lambda: sorted(child["kind"] for child in endpoint.children(SURPLUS)) == ["ConfigMap"],
        "the surplus to go",
        tell=endpoint.diagnosis,
    )
    endpoint.await_ready()
    assert kube.get("configmap", EARLIER, endpoint.namespace) is None
    assert endpoint.pod()["metadata"]["uid"] == pod
    assert {verb for verb, _, _ in audit.children_written(since, endpoint.namespace)} == {"delete"}


def test_the_policy_of_a_gateway_goes_with_its_ca(endpoint: Endpoint) -> None:
    """A BackendTLSPolicy is made for pods that speak TLS behind a Gateway, and deleted when it cannot name a CA."""
    route = {"ingress": None, "httpRoute": {"parentRefs": [{"name": "public"}]}}
    tls = {"secretName": "pods", "caConfigMapName": "pods-ca"}
    endpoint.apply(endpoint.double(replicas=0, engine={"tls": tls}, exposure=route))
    policy = wait_for(
        lambda: kube.get("backendtlspolicy", endpoint.name, endpoint.namespace),
        "the BackendTLSPolicy",
        tell=endpoint.diagnosis,
    )
    assert policy["spec"]["validation"]["hostname"] == f"{endpoint.name}.{endpoint.namespace}.svc"

    endpoint.change(engine={"tls": {"caConfigMapName": None}})
    wait_for(
        lambda: kube.get("backendtlspolicy", endpoint.name, endpoint.namespace) is None,
        "the BackendTLSPolicy to go",
        tell=endpoint.diagnosis,
    )
