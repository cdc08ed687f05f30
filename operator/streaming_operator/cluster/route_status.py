"""
What is seen of a route: whether its edge takes it, who else serves its host, where it listens. Pure.
"""

from collections.abc import Collection, Iterable
from typing import Any

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster.objects import Cached
from streaming_operator.values import Manifest, Problem


def ingress_addresses(ingress: Cached) -> tuple[str, ...]:
    """What the controller wrote as its address; may be empty, a ClusterIP, or useless."""
    entries = ((ingress.body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(address for entry in entries if (address := entry.get("ip") or entry.get("hostname")))


def gateway_addresses(gateways: Iterable[Cached], namespace: str) -> tuple[str, ...]:
    """
    Where these Gateways listen, for an endpoint of that namespace.

    Not what a Gateway of the very namespace asks for itself: controllers copy `spec.addresses` into the status, and
    who writes the endpoint may write that Gateway too, to lead the probe wherever they like.
    """
    return tuple(
        address
        for seen in gateways
        if not (seen.body["placed"] and seen.key[0] == namespace)
        for address in seen.body["addresses"]
    )


def ingress_problem(
    seen: Cached | None,
    manifest: Manifest | None,
    class_name: str,
    classes: Collection[str],
    serving: Iterable[Cached],
) -> Problem | None:
    """A class that does not exist, or an older Ingress of it that serves the same host and path."""
    if class_name not in classes:
        known = ", ".join(sorted(classes)) or "none"
        return Problem(
            Reason.CLASS_NOT_FOUND,
            f"IngressClass {class_name} does not exist: install it, "
            f"or set spec.exposure.ingress.className to one that does ({known})",
        )
    if manifest is None or seen is None:
        return None
    mine = _served(manifest)
    older = sorted(
        (other for other in serving if other.key != seen.key and _age(other) < _age(seen)), key=_age
    )
    for other in older:
        taken = sorted(mine & _served(other.body))
        if (other.body.get("spec") or {}).get("ingressClassName") == class_name and taken:
            host, path = taken[0]
            return Problem(
                Reason.HOST_CONFLICT,
                f"Ingress {other.key[0]}/{other.key[1]} of class {class_name} already serves {host}{path}: "
                "change spec.exposure.host, or remove that rule",
            )
    return None


def http_route_problem(
    seen: Cached | None, endpoint: StreamingEndpoint, gateways: Collection[str], installed: bool
) -> Problem | None:
    """Kinds or Gateways that do not exist, and what the gateway's controller says of the route."""
    exposure = endpoint.spec.exposure
    refs = exposure.http_route.parent_refs if exposure and exposure.http_route else ()
    if not installed:
        return Problem(
            Reason.KIND_MISSING,
            "the cluster has no kind HTTPRoute: install the CRDs of the Gateway API, "
            "or set spec.exposure.ingress instead",
        )
    for ref in refs:
        name = f"{ref.namespace or endpoint.namespace}/{ref.name}"
        if name not in gateways:
            return Problem(
                Reason.ROUTE_PENDING,
                f"Gateway {name} does not exist: create it or correct spec.exposure.httpRoute.parentRefs",
            )
    if seen is None:
        return None
    said = [
        _said(seen, ref.name, ref.namespace or endpoint.namespace, ref.section_name, endpoint.namespace)
        for ref in refs
    ]
    refused = next((problem for problem in said if problem and problem.reason is Reason.ROUTE_REJECTED), None)
    return refused or next((problem for problem in said if problem), None)


def _said(route: Cached, name: str, namespace: str, section: str | None, home: str) -> Problem | None:
    """What the controller of one Gateway says of the route; None when it took it."""
    generation = int(route.metadata.get("generation") or 1)
    title = f"Gateway {namespace}/{name}"
    for parent in (route.body.get("status") or {}).get("parents") or ():
        ref = parent.get("parentRef") or {}
        if (ref.get("name"), ref.get("namespace") or home, ref.get("sectionName")) != (
            name,
            namespace,
            section,
        ):
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


def _age(seen: Cached) -> tuple[str, str, str]:
    """Order of creation; Kubernetes times of one form sort as text, names break a tie."""
    return (str(seen.metadata.get("creationTimestamp") or ""), *seen.key)


def _served(ingress: dict[str, Any]) -> set[tuple[str, str]]:
    """Pairs of host and path of all rules; a path ends without a slash."""
    return {
        (rule.get("host", ""), (path.get("path") or "/").rstrip("/") or "/")
        for rule in (ingress.get("spec") or {}).get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    }
