"""
Whether an endpoint's route may be written: hosts and annotations that the administrator allows, hosts that are free.

An Ingress is written with the operator's rights, and its host and annotations decide whose requests an edge sends
where: what may take those of others is refused here, before the write. Sends no request.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import Reason
from streaming_operator.cluster import hosts, resources
from streaming_operator.cluster.hosts import Claims
from streaming_operator.cluster.objects import Source
from streaming_operator.cluster.places import places_of
from streaming_operator.settings import HostRule, covers
from streaming_operator.values import Capabilities, Manifest, Problem

EVERY = "*"
"""As a namespace of a rule: all of them; as a host: any."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a route is not written."""

    problem: Problem
    keeps: bool = False
    """A route that is there already and serves the same stays as it is: users are not cut off by an upgrade."""


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

    def may_use_host(self, endpoint: StreamingEndpoint) -> bool:
        """Whether the endpoint's namespace may have its hosts; always, while the administrator has set no rule."""
        return self._not_its_own(endpoint) is None

    def _not_its_own(self, endpoint: StreamingEndpoint) -> str | None:
        """The first host that the endpoint's namespace may not have."""
        if endpoint.spec.exposure is None or not self._rules:
            return None
        patterns = self._hosts(endpoint.namespace, EVERY)
        hosts_of_it = endpoint.spec.exposure.all_hosts
        return next((host for host in hosts_of_it if not any(covers(one, host) for one in patterns)), None)

    def refusal(
        self, endpoint: StreamingEndpoint, children: Iterable[Manifest], capabilities: Capabilities
    ) -> Refusal | None:
        """Why the route among *children* may not be written; None when it may."""
        exposure = endpoint.spec.exposure
        route = next((child for child in children if child["kind"] in hosts.ROUTES), None)
        if exposure is None or route is None:
            return None
        if (host := self._not_its_own(endpoint)) is not None:
            return Refusal(Problem(Reason.HOST_NOT_ALLOWED, self._not_allowed(endpoint.namespace, host)))
        if (field := routes.not_supported(endpoint, capabilities)) is not None:
            return Refusal(Problem(Reason.NOT_SUPPORTED, _without_means(endpoint, field)))
        served = hosts.held(endpoint, self._source)
        unchanged = served == places_of(route, endpoint.namespace)
        conflict = hosts.conflict(
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
            bound=all(
                any(covers(pattern, host) for pattern in self._hosts(endpoint.namespace))
                for host in exposure.all_hosts
            ),
        )
        if conflict is not None:
            problem = Problem(Reason.HOST_CONFLICT, conflict.message)
            return Refusal(problem, keeps=conflict.below and unchanged)
        if unknown := self._unknown_edge(endpoint, capabilities):
            return Refusal(Problem(Reason.EDGE_NOT_LISTED, unknown), keeps=unchanged)
        if refused := routes.refused_annotations(endpoint, capabilities):
            return Refusal(Problem(Reason.ANNOTATION_NOT_ALLOWED, _not_listed(refused)), keeps=unchanged)
        return None

    def _hosts(self, *namespaces: str) -> tuple[str, ...]:
        """The host patterns of these namespaces."""
        return tuple(
            host
            for rule in self._rules
            if not {*namespaces}.isdisjoint(rule.namespaces)
            for host in rule.hosts
        )

    def _not_allowed(self, namespace: str, host: str) -> str:
        allowed = ", ".join(self._hosts(namespace, EVERY)) or "no host at all"
        return (
            f"The administrator's hostPolicy lets namespace {namespace} use {allowed}, and not {host}: change "
            "spec.exposure, or add it to hostPolicy in the values of the operator's chart"
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


def _not_listed(refused: tuple[str, ...]) -> str:
    names = [key.rpartition("/")[2] for key in refused]
    fields = sorted({field for start, field in FIELDS.items() for name in names if name.startswith(start)})
    instead = f"use spec.{' and spec.'.join(fields)} instead" if fields else "remove it"
    return (
        f"Annotations of spec.exposure: {', '.join(refused)} may affect requests or objects of others, and the edge's "
        f"list does not allow it, so that the route is not written: {instead}, or let the administrator add it to "
        "edges[].allowedAnnotations in the values of the operator's chart"
    )


def _without_means(endpoint: StreamingEndpoint, field: str) -> str:
    exposure = endpoint.spec.exposure
    name = exposure.ingress.class_name if exposure is not None and exposure.ingress is not None else ""
    return (
        f"spec.exposure.{field}: the controller of IngressClass {name} is not known to have a means for it, so that "
        "the Ingress is not written: name a class of ingress-nginx, expose by httpRoute, or leave the field out"
    )
