"""
State of a route: whether its edge accepted it, who else serves its host, where it listens. Pure.
"""

import difflib
from collections.abc import Collection, Iterable

from streaming_operator import routes
from streaming_operator.api.endpoint import ParentRef, StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster.objects import Cached
from streaming_operator.values import Problem

MOST_CLASSES = 3
"""Named where a class does not exist: with all of them, each class that comes or goes would write every such status."""


def ingress_addresses(ingress: Cached) -> tuple[str, ...]:
    """What the controller wrote as its address; may be empty, a ClusterIP, or useless."""
    entries = ((ingress.body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(address for entry in entries if (address := entry.get("ip") or entry.get("hostname")))


def gateway_addresses(gateways: Iterable[Cached]) -> tuple[str, ...]:
    """
    Where these Gateways listen.

    Not what a Gateway asks for itself: controllers copy `spec.addresses` into the status, and who writes the endpoint
    may write that Gateway too, in this namespace or in a second one, to lead the probe wherever they like.
    """
    return tuple(
        address for gateway in gateways if not gateway.body["placed"] for address in gateway.body["addresses"]
    )


def ingress_problem(class_name: str, classes: Collection[str], refused: Problem | None) -> Problem | None:
    """A class that does not exist, or what keeps the route from being written."""
    if refused is not None and refused.reason is Reason.EDGE_NOT_LISTED:  # whether it exists is not known
        return refused
    if class_name not in classes:
        if (advice := routes.without_class(class_name)) is not None:
            return Problem(Reason.CLASS_NOT_FOUND, f"IngressClass {class_name} does not exist: {advice}")
        likely = difflib.get_close_matches(class_name, classes, n=MOST_CLASSES, cutoff=0.0)
        more = ", ..." if len(classes) > len(likely) else ""
        known = ", ".join(sorted(likely)) + more or "none"
        return Problem(
            Reason.CLASS_NOT_FOUND,
            f"IngressClass {class_name} does not exist: install it, "
            f"or set spec.exposure.ingress.className to one that does ({known})",
        )
    return refused


def http_route_problem(
    route: Cached | None,
    endpoint: StreamingEndpoint,
    gateways: Collection[str],
    installed: bool,
    refused: Problem | None = None,
) -> Problem | None:
    """Kinds or Gateways that do not exist, what keeps it from being written, what the gateway's controller says."""
    exposure = endpoint.spec.exposure
    refs = exposure.http_route.parent_refs if exposure and exposure.http_route else ()
    if not installed:
        return Problem(
            Reason.KIND_MISSING,
            "the cluster has no kind HTTPRoute: install the CRDs of the Gateway API, "
            "or set spec.exposure.ingress instead",
        )
    if refused is not None and refused.reason is Reason.EDGE_NOT_LISTED:
        return refused
    for ref in refs:
        name = f"{ref.namespace or endpoint.namespace}/{ref.name}"
        if name not in gateways:
            return Problem(
                Reason.ROUTE_PENDING,
                f"Gateway {name} does not exist: create it or correct spec.exposure.httpRoute.parentRefs",
            )
    if refused is not None:
        return refused
    if route is None:
        return None
    problems = [_parent_problem(route, ref, endpoint.namespace) for ref in refs]
    rejected = next(
        (problem for problem in problems if problem and problem.reason is Reason.ROUTE_REJECTED), None
    )
    return rejected or next((problem for problem in problems if problem), None)


def _parent_problem(route: Cached, ref: ParentRef, home: str) -> Problem | None:
    """Why the controller of one Gateway does not serve the route; None when it accepted it."""
    generation = int(route.metadata.get("generation") or 1)
    wanted = (ref.name, ref.namespace or home, ref.section_name, ref.port)
    title = f"Gateway {wanted[1]}/{ref.name}"
    for parent in (route.body.get("status") or {}).get("parents") or ():
        of = parent.get("parentRef") or {}
        if (of.get("name"), of.get("namespace") or home, of.get("sectionName"), of.get("port")) != wanted:
            continue
        conditions = {
            c["type"]: c
            for c in parent.get("conditions") or ()
            if int(c.get("observedGeneration") or 0) >= generation
        }
        for kind in ("Accepted", "ResolvedRefs"):
            condition = conditions.get(kind)
            if condition is not None and condition["status"] == "False":
                return Problem(
                    Reason.ROUTE_REJECTED,
                    f"{title} refuses the route ({condition['reason']}): {condition.get('message', '')}",
                )
        if (conditions.get("Accepted") or {}).get("status") == "True":
            return None
    return Problem(Reason.ROUTE_PENDING, f"{title} has not taken the route yet")


def policy_remark(kind: str, policy: Cached) -> str | None:
    """
    Why an edge does not follow its policy beside the route, by `status.ancestors` as the Gateway API's policies have it
    (GEP-713), or by conditions of the status itself, as Azure's have; None while it does, or has not said. The stream
    itself decides whether that matters.
    """
    generation, status = int(policy.metadata.get("generation") or 1), policy.body.get("status") or {}
    for holder in (status, *(status.get("ancestors") or ())):
        for condition in holder.get("conditions") or ():
            current = int(condition.get("observedGeneration") or generation) >= generation
            if condition["type"] == "Accepted" and condition["status"] == "False" and current:
                return (
                    f"{kind} {policy.key[1]} is not followed by its edge ({condition['reason']}): "
                    f"{condition.get('message', '')}"
                )
    return None
