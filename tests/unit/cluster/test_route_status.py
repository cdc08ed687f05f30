"""What is seen of a route: classes that do not exist, hosts served twice, what a gateway answers."""

from collections.abc import Sequence
from typing import Any

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import objects
from streaming_operator.cluster.objects import Cached
from streaming_operator.cluster.observe import Observer
from streaming_operator.cluster.resources import GATEWAYS, INGRESSES
from streaming_operator.cluster.route_status import (
    gateway_addresses,
    http_route_problem,
    ingress_addresses,
    ingress_problem,
)
from streaming_operator.cluster.snapshot import Snapshot


def test_a_class_that_does_not_exist_is_reported_with_those_that_do() -> None:
    """The message helps with the typing error."""
    problem = ingress_problem("ngnix", {"nginx", "alb"}, None)

    assert problem is not None
    assert problem.reason is Reason.CLASS_NOT_FOUND
    assert "(alb, nginx)" in problem.message


def test_of_many_classes_those_are_named_that_may_be_meant() -> None:
    """Another class that comes or goes writes no status and no Event anew."""
    many = {"nginx", "nginx-internal", "nginx-public", *(f"tenant-{number}" for number in range(20))}
    problem = ingress_problem("ngnix", many, None)

    assert problem is not None
    assert "(nginx, nginx-internal, nginx-public, ...)" in problem.message
    assert ingress_problem("ngnix", many | {"a-tenant"}, None) == problem


def test_a_class_that_no_object_stands_for_is_told_with_what_serves_instead() -> None:
    """GKE's Ingress reads an annotation, and its Gateway is what the operator can tell of streams."""
    problem = ingress_problem("gce", {"nginx"}, None)

    assert problem is not None
    assert problem.reason is Reason.CLASS_NOT_FOUND
    assert "spec.exposure.httpRoute with a Gateway of class gke-l7-global-external-managed" in problem.message
    assert ingress_problem("gce", {"gce"}, None) is None


def test_addresses_come_as_the_controller_wrote_them() -> None:
    """IPs and host names, in order; entries without either are skipped."""
    ingress = Cached(
        {
            "metadata": {"name": "chat"},
            "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"hostname": "lb"}, {}]}},
        }
    )

    assert ingress_addresses(ingress) == ("10.0.0.1", "lb")


def a_gateway(namespace: str, asked_for: str | None = None) -> Cached:
    """A Gateway that its controller gave the address 10.0.0.1, as the cache keeps it."""
    spec = {"gatewayClassName": "public"} | ({"addresses": [{"value": asked_for}]} if asked_for else {})
    status = {"addresses": [{"type": "IPAddress", "value": asked_for or "10.0.0.1"}]}
    metadata = {"namespace": namespace, "name": "gw", "uid": "u", "resourceVersion": "1"}
    return Cached(objects.gateway({"metadata": metadata, "spec": spec, "status": status}))


def test_a_gateway_cannot_lead_the_probe_where_its_author_likes() -> None:
    """No address that a Gateway asks for counts, in no namespace: who writes the endpoint may have two."""
    own, second = a_gateway("demo", "10.96.0.10"), a_gateway("demo-2", "10.1.1.1")
    assert gateway_addresses((own, second, a_gateway("infra"))) == ("10.0.0.1",)


def test_of_several_gateways_the_address_is_that_of_the_one_whose_listener_users_call() -> None:
    """The first that exists; one without an address is not asked at another's, which may have other ports."""
    parents = [{"name": "gw", "namespace": namespace} for namespace in ("gone", "infra", "demo")]
    endpoint = StreamingEndpoint.from_body(
        {
            "metadata": {"name": "chat", "namespace": "demo", "uid": "u"},
            "spec": {
                "model": {"source": {"huggingFace": {"repo": "a/b"}}},
                "exposure": {"host": "h", "httpRoute": {"parentRefs": parents}},
            },
        }
    )

    def addresses(*gateways: Cached) -> tuple[str, ...]:
        return Observer(Snapshot({GATEWAYS: list(gateways)}, ())).route_addresses(endpoint)

    without = Cached(objects.gateway({"metadata": a_gateway("infra").metadata, "spec": {}}))
    assert addresses(a_gateway("demo"), a_gateway("infra")) == ("10.0.0.1",)
    assert addresses(a_gateway("demo"), without) == ()
    assert addresses(a_gateway("demo")) == ("10.0.0.1",)


def test_an_ingress_that_is_going_does_not_lead_the_probe_of_an_http_route() -> None:
    """The spec names a Gateway now: the address of the old edge, which is cached until it is gone, is not asked."""
    owner = {"apiVersion": "streamingendpoints.dev/v1alpha1", "kind": "StreamingEndpoint", "name": "chat"}
    metadata = {
        "name": "chat", "namespace": "demo", "uid": "i", "resourceVersion": "1",
        "deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [{**owner, "uid": "u", "controller": True}],
    }  # fmt: skip
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}
    going = Cached({"metadata": metadata, "spec": {}, "status": status})
    snapshot = Snapshot({GATEWAYS: [a_gateway("infra")], INGRESSES: [going]}, ())

    def addresses(**exposure: Any) -> tuple[str, ...]:
        endpoint = StreamingEndpoint.from_body(
            {
                "metadata": {"name": "chat", "namespace": "demo", "uid": "u"},
                "spec": {
                    "model": {"source": {"huggingFace": {"repo": "a/b"}}},
                    "exposure": {"host": "h", **exposure},
                },
            }
        )
        return Observer(snapshot).route_addresses(endpoint)

    assert addresses(ingress={"className": "nginx"}) == ("10.0.0.9",)
    assert addresses(httpRoute={"parentRefs": [{"name": "gw", "namespace": "infra"}]}) == ("10.0.0.1",)


def the_answer(
    *conditions: dict[str, Any],
    gateways: tuple[str, ...] = ("infra/gw",),
    installed: bool = True,
    port: int | None = None,
    others: Sequence[dict[str, Any]] = (),
) -> Any:
    """The problem of an HTTPRoute whose parent answers with these conditions, after the *others* answered."""
    parent = {"name": "gw", "namespace": "infra"} | ({"port": port} if port else {})
    endpoint = StreamingEndpoint.from_body(
        {
            "metadata": {"name": "chat", "namespace": "demo", "uid": "u"},
            "spec": {
                "model": {"source": {"huggingFace": {"repo": "a/b"}}},
                "exposure": {
                    "host": "h",
                    "httpRoute": {"parentRefs": [parent]},
                },
            },
        }
    )
    route = Cached(
        {
            "metadata": {"name": "chat", "namespace": "demo", "generation": 2},
            "status": {"parents": [*others, {"parentRef": parent, "conditions": list(conditions)}]},
        }
    )
    return http_route_problem(route, endpoint, gateways, installed)


def said(kind: str, status: str, generation: int = 2) -> dict[str, Any]:
    """One condition of a parent."""
    return {
        "type": kind,
        "status": status,
        "reason": "Why",
        "message": "because",
        "observedGeneration": generation,
    }


def test_a_route_counts_as_taken_only_when_its_gateway_says_so_of_this_generation() -> None:
    """Accepted of an older generation is pending, refused is rejected with the gateway's words."""
    assert the_answer(said("Accepted", "True"), said("ResolvedRefs", "True")) is None
    assert the_answer(said("Accepted", "True", generation=1)).reason is Reason.ROUTE_PENDING
    assert the_answer().reason is Reason.ROUTE_PENDING
    refused = the_answer(said("Accepted", "True"), said("ResolvedRefs", "False"))
    assert (
        refused.reason,
        refused.message,
    ) == (Reason.ROUTE_REJECTED, "Gateway infra/gw refuses the route (Why): because")


def test_what_a_gateway_says_of_another_port_is_not_said_of_this_one() -> None:
    """Two listeners of one Gateway, of which one refuses the route."""
    plain = {"parentRef": {"name": "gw", "namespace": "infra", "port": 80}}
    taken = {**plain, "conditions": [said("Accepted", "True")]}

    assert the_answer(said("Accepted", "True"), port=443, others=[taken]) is None
    refused = the_answer(said("Accepted", "False"), port=443, others=[taken])
    assert refused.reason is Reason.ROUTE_REJECTED


def test_what_a_route_needs_and_is_not_there_is_named() -> None:
    """Neither a missing kind nor a missing Gateway looks like waiting."""
    assert the_answer(installed=False).reason is Reason.KIND_MISSING
    assert "Gateway infra/gw does not exist" in the_answer(gateways=()).message
