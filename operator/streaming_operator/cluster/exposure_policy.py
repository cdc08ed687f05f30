"""
Whether an endpoint's route may be written: hosts and annotations that the administrator allows, hosts that are free.

An Ingress is written with the operator's rights, and its host and annotations decide whose requests an edge sends
where: what may take those of others is refused here, before the write. Sends no request.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import hosts, resources
from streaming_operator.cluster.hosts import Claims
from streaming_operator.cluster.objects import Source, own
from streaming_operator.cluster.places import Place, hosts_of, places_of, without
from streaming_operator.settings import HostRule, covers
from streaming_operator.values import Capabilities, Manifest, Problem

EVERY = "*"
"""As a namespace of a rule: all of them; as a host: any."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a route is not written as it is wanted."""

    problem: Problem
    keeps: bool = False
    """A route that is there already and serves no more than it may stays as it is: its users are not cut off."""
    route: Manifest | None = None
    """What is written instead: the route without what others have."""


class ExposurePolicy:
    """What the administrator allows, against what is in the cluster."""

    def __init__(
        self,
        rules: tuple[HostRule, ...],
        source: Source,
        claims: Claims,
        gateway_namespaces: frozenset[str] | None = None,
    ) -> None:
        """*gateway_namespaces*: where Gateways can be read, if the operator may read neither others nor classes."""
        self._rules, self._source, self._claims = rules, source, claims
        self._gateway_namespaces = gateway_namespaces

    def claimable(
        self, endpoint: StreamingEndpoint, children: Iterable[Manifest], capabilities: Capabilities
    ) -> tuple[Manifest, ...]:
        """
        What the endpoint's namespace may have of the route among *children*: no other host is reserved. An Ingress that
        waits for its class keeps what it has.
        """
        route = _route_of(children)
        allowed = self._without_denied(endpoint, route, frozenset()) if route is not None else None
        if allowed is None:
            return ()
        stored = own(self._source, endpoint, resources.INGRESSES)
        served = hosts.held(endpoint, self._source)
        if stored is not None and _awaits_class(endpoint, allowed, served, capabilities):
            return ({**stored.body, "kind": resources.INGRESSES.kind},)
        return (allowed,)

    def _denied(self, endpoint: StreamingEndpoint) -> tuple[str, ...]:
        """The hosts that the endpoint's namespace may not have; none, while the administrator has set no rule."""
        if endpoint.spec.exposure is None or not self._rules:
            return ()
        patterns = self._hosts(endpoint.namespace, EVERY)
        hosts_of_it = endpoint.spec.exposure.all_hosts
        return tuple(host for host in hosts_of_it if not any(covers(one, host) for one in patterns))

    def _without_denied(
        self, endpoint: StreamingEndpoint, route: Manifest, served: frozenset[Place]
    ) -> Manifest | None:
        """The route on the hosts that the namespace may have; None where that is none."""
        denied = self._denied(endpoint)
        lost = frozenset(place for place in places_of(route, endpoint.namespace) if place[1] in denied)
        return without(route, endpoint.namespace, lost, served)

    def refusal(
        self, endpoint: StreamingEndpoint, children: Iterable[Manifest], capabilities: Capabilities
    ) -> Refusal | None:
        """Why the route among *children* may not be written; None when it may."""
        exposure, route = endpoint.spec.exposure, _route_of(children)
        if exposure is None or route is None:
            return None
        served = hosts.held(endpoint, self._source)
        problem: Problem | None = None
        if denied := self._denied(endpoint):
            problem = Problem(Reason.HOST_NOT_ALLOWED, self._not_allowed(endpoint, denied[0]))
        possible = self._without_denied(endpoint, route, served)
        if possible is None:
            return Refusal(problem) if problem is not None else None
        if (unsupported := _unsupported(endpoint, capabilities)) is not None:
            return Refusal(
                problem or unsupported, keeps=_awaits_class(endpoint, possible, served, capabilities)
            )
        if (conflict := self._conflict(endpoint, possible, served, capabilities)) is not None:
            problem = problem or Problem(Reason.HOST_CONFLICT, conflict.message)
            free = places_of(possible, endpoint.namespace) - conflict.lost
            possible = without(possible, endpoint.namespace, conflict.lost, served)
            if possible is None:
                return Refusal(problem, keeps=bool(served) and served <= free)
        keeps = bool(served) and served <= places_of(possible, endpoint.namespace)
        if unknown := self._unknown_edge(endpoint, capabilities):
            return Refusal(problem or Problem(Reason.EDGE_NOT_LISTED, unknown), keeps=keeps)
        if (not_listed := _not_listed(endpoint, capabilities)) is not None:
            problem = problem or not_listed
            part = None if keeps else self._still_served(endpoint, possible, served, capabilities)
            return Refusal(problem if part is None else _told(problem, part), keeps=keeps, route=part)
        return None if problem is None else Refusal(_told(problem, possible), route=possible)

    def _still_served(
        self,
        endpoint: StreamingEndpoint,
        possible: Manifest,
        served: frozenset[Place],
        capabilities: Capabilities,
    ) -> Manifest | None:
        """
        The route on what it serves and may serve, with the annotations that are refused as they are stored; None where
        that is nothing.
        """
        stored = own(self._source, endpoint, hosts.ROUTES[possible["kind"]])
        if stored is None:
            return None
        refused = routes.refused_annotations(endpoint, capabilities)
        before, metadata = stored.body["metadata"].get("annotations") or {}, possible["metadata"]
        wanted = {key: value for key, value in metadata["annotations"].items() if key not in refused}
        annotations = wanted | {key: before[key] for key in refused if key in before}
        route = {**possible, "metadata": {**metadata, "annotations": annotations}}
        kept = served & places_of(possible, endpoint.namespace)
        return without(route, endpoint.namespace, places_of(route, endpoint.namespace) - kept, served)

    def _conflict(
        self,
        endpoint: StreamingEndpoint,
        route: Manifest,
        served: frozenset[Place],
        capabilities: Capabilities,
    ) -> hosts.Conflict | None:
        """Who else holds places of the route."""
        patterns = self._hosts(endpoint.namespace)
        return hosts.conflict(
            endpoint,
            [route],
            self._source,
            self._claims,
            served=served,
            controllers=self._controllers(),
            canary_prefixes={
                name: edge.annotations_prefix
                for name, edge in capabilities.ingress_classes.items()
                if (served_by := routes.of_profile(edge.profile)) is not None and served_by.canaries
            },
            bound=frozenset(
                host for host in hosts_of(route) if any(covers(pattern, host) for pattern in patterns)
            ),
        )

    def _hosts(self, *namespaces: str) -> tuple[str, ...]:
        """The host patterns of these namespaces."""
        return tuple(
            host
            for rule in self._rules
            if not {*namespaces}.isdisjoint(rule.namespaces)
            for host in rule.hosts
        )

    def _not_allowed(self, endpoint: StreamingEndpoint, host: str) -> str:
        allowed = ", ".join(self._hosts(endpoint.namespace, EVERY)) or "no host at all"
        return (
            f"The administrator's hostPolicy lets namespace {endpoint.namespace} use {allowed}, and not {host}: change "
            f"{hosts.field_of(endpoint, host)}, or add it to hostPolicy in the values of the operator's chart"
        )

    def _unknown_edge(self, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str:
        """What the operator may not read of the edge, and what to set; empty where it may, or need not."""
        exposure, readable = endpoint.spec.exposure, self._gateway_namespaces
        if exposure is None or readable is None:
            return ""
        if exposure.ingress is not None:
            name = exposure.ingress.class_name
            return "" if name in capabilities.ingress_classes else _not_readable("className", name)
        refs = exposure.http_route.parent_refs if exposure.http_route is not None else ()
        for ref in refs:
            namespace = ref.namespace or endpoint.namespace
            if namespace not in readable:
                return (
                    f"The operator may not read Gateway {namespace}/{ref.name}: add {namespace} to gatewayNamespaces "
                    "in the values of the operator's chart, or set rbac.clusterRoles=true there"
                )
            of = capabilities.gateways.get(f"{namespace}/{ref.name}")
            if of is not None and of not in capabilities.gateway_classes:
                return _not_readable("gatewayClass", of)
        return ""

    def _controllers(self) -> dict[str, str]:
        """Name of every IngressClass -> its controller."""
        return {
            stored.key[1]: stored.body["spec"]["controller"]
            for stored in self._source.every(resources.INGRESS_CLASSES)
        }


def refused_by_edge(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Problem | None:
    """Why no route of the endpoint would be written at its edge, whoever has its hosts; None where nothing is wrong."""
    return _unsupported(endpoint, capabilities) or _not_listed(endpoint, capabilities)


def _route_of(children: Iterable[Manifest]) -> Manifest | None:
    """The child that serves the host; None where nothing is exposed."""
    return next((child for child in children if child["kind"] in hosts.ROUTES), None)


def _awaits_class(
    endpoint: StreamingEndpoint, possible: Manifest, served: frozenset[Place], capabilities: Capabilities
) -> bool:
    """
    Whether what is served stays until its class is there again, as while a controller is installed anew: without the
    class another path is rendered, and nobody can say what the controller has no means for.
    """
    if routes.edge_of(endpoint, capabilities) is not None:
        return False
    if routes.not_supported(endpoint, capabilities) is None:
        return False
    allowed = {(edge, host) for edge, host, _ in places_of(possible, endpoint.namespace)}
    return bool(served) and {(edge, host) for edge, host, _ in served} <= allowed


def _told(problem: Problem, route: Manifest) -> Problem:
    """The problem, with the hosts that are served all the same."""
    served = ", ".join(sorted(hosts_of(route)))
    return replace(problem, message=f"{problem.message}. Without that, the route serves {served}")


FIELDS = {
    "canary": "exposure.canary",
    "rewrite-target": "exposure.stripPrefix",
    "use-regex": "exposure.stripPrefix",
    "server-alias": "exposure.hosts",
    "backend-protocol": "engine.tls",
}
"""What begins the name of an annotation -> the field that does the same for this endpoint alone."""


def _not_readable(field: str, name: str) -> str:
    return (
        f"The operator has rights in its namespaces only, and may not read what stands behind class {name}: add an "
        f"entry with {field} {name} to edges[] in the values of the operator's chart, or set rbac.clusterRoles=true "
        "there"
    )


def _not_listed(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Problem | None:
    """The annotations that the edge's list does not allow; None where it allows all."""
    refused = routes.refused_annotations(endpoint, capabilities)
    if not refused:
        return None
    names = [key.rpartition("/")[2] for key in refused]
    fields = sorted({field for start, field in FIELDS.items() for name in names if name.startswith(start)})
    instead = f"use spec.{' and spec.'.join(fields)} instead" if fields else "remove it"
    message = (
        f"Annotations of spec.exposure: {', '.join(refused)} may affect requests or objects of others, and the edge's "
        f"list does not allow it, so that the route is not written: {instead}, or let the administrator add it to "
        "edges[].allowedAnnotations in the values of the operator's chart"
    )
    return Problem(Reason.ANNOTATION_NOT_ALLOWED, message)


def _unsupported(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Problem | None:
    """The field that the edge has no means for; None where it has all."""
    if (field := routes.not_supported(endpoint, capabilities)) is None:
        return None
    exposure = endpoint.spec.exposure
    name = exposure.ingress.class_name if exposure is not None and exposure.ingress is not None else ""
    message = (
        f"spec.exposure.{field}: the controller of IngressClass {name} is not known to have a means for it, so that "
        "the Ingress is not written: name a class of ingress-nginx, expose by httpRoute, or leave the field out"
    )
    return Problem(Reason.NOT_SUPPORTED, message)
