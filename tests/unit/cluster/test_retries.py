"""What others wrote that has requests sent again: which policy holds for an endpoint, and which annotation."""

from typing import Any

import pytest

from streaming_operator import routes
from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import objects, resources, retries
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.snapshot import Snapshot
from streaming_operator.kinds import Kind
from streaming_operator.routes.contour import RETRY_ON
from streaming_operator.routes.envoy_gateway import BACKEND_TRAFFIC_POLICIES
from streaming_operator.routes.kgateway import TRAFFIC_POLICIES
from streaming_operator.values import Capabilities, Edge

PROFILES = {BACKEND_TRAFFIC_POLICIES: "envoy-gateway", TRAFFIC_POLICIES: "kgateway"}
RETRIES: dict[Kind, dict[str, Any]] = {
    BACKEND_TRAFFIC_POLICIES: {"retry": {"numRetries": 2}},
    TRAFFIC_POLICIES: {"retry": {"attempts": 2}},
}


def an_endpoint(**exposure: Any) -> StreamingEndpoint:
    """An endpoint that is exposed by a Gateway of another namespace, unless *exposure* says otherwise."""
    route = {"httpRoute": {"parentRefs": [{"name": "public", "namespace": "infra"}]}}
    return StreamingEndpoint.from_body(
        {
            "metadata": {"name": "chat", "namespace": "demo", "uid": "1"},
            "spec": {
                "model": {"source": {"local": {"path": "/opt/model"}}},
                "exposure": {"host": "chat.example.com", **(exposure or route)},
            },
        }
    )


def metadata(name: str, namespace: str, **more: Any) -> dict[str, Any]:
    """Of an object in the cluster."""
    return {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1", **more}


def remark(
    endpoint: StreamingEndpoint,
    *objects_: tuple[Kind, dict[str, Any]],
    profile: str = "envoy-gateway",
) -> str | None:
    """What is said of an endpoint with these objects around it."""
    stored: dict[Kind, list[Cached]] = {}
    trims = retries.trims()
    for kind, body in objects_:
        stored.setdefault(kind, []).append(objects.cache(body, trims.get(kind, objects.whole)))
    capabilities = Capabilities(
        service_monitors=False,
        http_routes=True,
        ingress_classes={"web": Edge(profile=profile)},
        gateway_classes={"public": Edge(profile=profile)},
        gateways={"infra/public": "public"},
    )
    return retries.remark(Snapshot(stored, ()), endpoint, capabilities)


def a_policy(kind: Kind, namespace: str, spec: dict[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """A policy of somebody else."""
    return kind, {"metadata": metadata("theirs", namespace), "spec": spec}


def on(target: str, **spec: Any) -> dict[str, Any]:
    """The spec of a policy on one object, `Kind/name`."""
    kind, _, name = target.partition("/")
    return {"targetRefs": [{"kind": kind, "name": name}], **spec}


def our_own(kind: Kind, endpoint: StreamingEndpoint, **status: Any) -> tuple[Kind, dict[str, Any]]:
    """The endpoint's own policy."""
    written = naming.metadata(endpoint) | {"uid": "ours", "resourceVersion": "1"}
    return kind, {"metadata": written, "spec": on("HTTPRoute/chat"), "status": status}


REFUSED = {"ancestors": [{"conditions": [{"type": "Accepted", "status": "False", "reason": "Conflicted"}]}]}


def test_every_policy_that_can_retry_belongs_to_an_edge_that_has_it() -> None:
    """What is followed for retries is what the administrator gave the right to."""
    kinds = {kind for route in routes.registry().values() for kind in route.policies}
    assert set(RETRIES) == set(retries.RULES)
    assert set(retries.RULES) <= kinds


@pytest.mark.parametrize("kind", RETRIES, ids=lambda kind: kind.kind)
def test_a_retry_on_the_route_is_said_where_our_own_policy_is_not_followed(kind: Kind) -> None:
    """Kind, namespace and name, what it does and what to remove."""
    endpoint = an_endpoint()
    theirs = a_policy(kind, "demo", on("HTTPRoute/chat", **RETRIES[kind]))
    assert remark(endpoint, theirs, our_own(kind, endpoint, **REFUSED), profile=PROFILES[kind]) == (
        f"{kind.kind} demo/theirs on HTTPRoute chat has the edge send a request again, a POST too, so that it may "
        "be answered twice: remove its retry"
    )


@pytest.mark.parametrize(("kind", "is_said"), [(BACKEND_TRAFFIC_POLICIES, False), (TRAFFIC_POLICIES, True)])
def test_a_retry_on_the_gateway_is_said_only_where_the_edge_merges_policies(
    kind: Kind, is_said: bool
) -> None:
    """Envoy Gateway takes the one on the route alone; kgateway joins them field by field."""
    endpoint = an_endpoint()
    theirs = a_policy(kind, "infra", on("Gateway/public", **RETRIES[kind]))
    profile = PROFILES[kind]
    assert (remark(endpoint, theirs, our_own(kind, endpoint), profile=profile) is not None) is is_said
    assert remark(endpoint, theirs, profile=profile) is not None


@pytest.mark.parametrize("kind", RETRIES, ids=lambda kind: kind.kind)
def test_a_policy_of_an_edge_that_does_not_serve_the_endpoint_is_not_read(kind: Kind) -> None:
    """Left behind by an endpoint that moved to another edge."""
    theirs = a_policy(kind, "demo", on("HTTPRoute/chat", **RETRIES[kind]))
    assert remark(an_endpoint(), theirs, profile="traefik") is None


@pytest.mark.parametrize(
    ("kind", "retry", "is_said"),
    [
        (BACKEND_TRAFFIC_POLICIES, {"retryOn": {"triggers": ["connect-failure", "refused-stream"]}}, False),
        (BACKEND_TRAFFIC_POLICIES, {"retryOn": {"triggers": ["connect-failure", "reset"]}}, True),
        (BACKEND_TRAFFIC_POLICIES, {"retryOn": {"httpStatusCodes": [503]}}, True),
        (TRAFFIC_POLICIES, {"attempts": 1, "retryOn": ["connect-failure"]}, False),
        (TRAFFIC_POLICIES, {"attempts": 1, "retryOn": ["connect-failure"], "statusCodes": [503]}, True),
    ],
)
def test_a_retry_before_a_pod_answers_is_not_said(kind: Kind, retry: dict[str, Any], is_said: bool) -> None:
    """A pod that was never reached has generated nothing."""
    theirs = a_policy(kind, "demo", on("HTTPRoute/chat", retry=retry))
    assert (remark(an_endpoint(), theirs, profile=PROFILES[kind]) is not None) is is_said


def test_a_policy_that_a_user_ties_to_an_endpoint_is_not_the_operators() -> None:
    """With the endpoint as its owner, and neither our label nor the endpoint's name: never pruned, nor refused."""
    endpoint = an_endpoint()
    owned = metadata("theirs", "demo", ownerReferences=naming.metadata(endpoint)["ownerReferences"])
    spec = on("HTTPRoute/chat", retry={})
    trim = retries.trims()[BACKEND_TRAFFIC_POLICIES]
    assert objects.cache({"metadata": owned, "spec": spec}, trim).endpoint is None
    for metadata_ in (owned | {"name": "chat"}, owned | {"labels": naming.labels(endpoint)}):
        assert objects.cache({"metadata": metadata_, "spec": spec}, trim).endpoint == endpoint.key


@pytest.mark.parametrize(
    "spec",
    [
        on("HTTPRoute/another", **RETRIES[BACKEND_TRAFFIC_POLICIES]),
        on("Gateway/public", **RETRIES[BACKEND_TRAFFIC_POLICIES]),
        on("HTTPRoute/chat", retry={"numRetries": 0}),
        on("HTTPRoute/chat", timeout={}),
    ],
)
def test_nothing_is_said_of_what_concerns_others_or_sends_nothing_again(spec: dict[str, Any]) -> None:
    """Another route, a Gateway of the same name in the endpoint's namespace, no attempts, no retry."""
    assert remark(an_endpoint(), a_policy(BACKEND_TRAFFIC_POLICIES, "demo", spec)) is None


@pytest.mark.parametrize(
    ("selector", "is_said"),
    [
        ({"matchLabels": {"team": "a"}}, True),
        ({"matchLabels": {"team": "b"}}, False),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
        ({}, True),
    ],
)
def test_a_policy_may_select_by_labels(selector: dict[str, Any], is_said: bool) -> None:
    """As Kubernetes' label selectors do."""
    gateway = (
        resources.GATEWAYS,
        {
            **objects.gateway(
                {"metadata": metadata("public", "infra", labels={"team": "a"}), "spec": {"listeners": []}}
            )
        },
    )
    spec = {"targetSelectors": [{"kind": "Gateway", **selector}], "retry": {}}
    theirs = a_policy(BACKEND_TRAFFIC_POLICIES, "infra", spec)
    assert (remark(an_endpoint(), theirs, gateway) is not None) is is_said


@pytest.mark.parametrize(
    ("profile", "reasons", "is_said"),
    [
        ("contour", "5xx", True),
        ("contour", "connect-failure, 5xx", True),
        ("contour", "connect-failure, refused-stream", False),
        ("ingress-nginx", "5xx", False),
    ],
)
def test_an_annotation_of_somebody_else_is_said_where_its_controller_reads_it(
    profile: str, reasons: str, is_said: bool
) -> None:
    """Contour's own on an Ingress of Contour; elsewhere nobody reads it."""
    endpoint = an_endpoint(ingress={"className": "web"})
    written = naming.metadata(endpoint) | {
        "uid": "i",
        "resourceVersion": "1",
        "annotations": {RETRY_ON: reasons},
    }
    said = remark(endpoint, (resources.INGRESSES, {"metadata": written, "spec": {}}), profile=profile)
    assert (said is not None and said.startswith(f"{RETRY_ON} on Ingress chat has the edge send")) is is_said
