"""
Whether an endpoint's route may be written: hosts and annotations that the administrator allows, hosts that are free.

An Ingress is written with the operator's rights, and its host and annotations decide whose requests an edge sends
where: what may take those of others is refused here, before the write. Talks to nobody.
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

    def __init__(self, rules: tuple[HostRule, ...], source: Source, claims: Claims) -> None:
        self._rules, self._source, self._claims = rules, source, claims

    def may_use_host(self, endpoint: StreamingEndpoint) -> bool:
        """Whether the endpoint's namespace may have its host; always, while the administrator has set no rule."""
        exposure = endpoint.spec.exposure
        if exposure is None or not self._rules:
            return True
        return any(covers(pattern, exposure.host) for pattern in self._hosts(endpoint.namespace, EVERY))

    def refusal(
        self, endpoint: StreamingEndpoint, children: Iterable[Manifest], capabilities: Capabilities
    ) -> Refusal | None:
        """Why the route among *children* may not be written; None when it may."""
        exposure = endpoint.spec.exposure
        route = next((child for child in children if child["kind"] in hosts.ROUTES), None)
        if exposure is None or route is None:
            return None
        if not self.may_use_host(endpoint):
            return Refusal(
                Problem(Reason.HOST_NOT_ALLOWED, self._not_allowed(endpoint.namespace, exposure.host))
            )
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
            bound=any(covers(pattern, exposure.host) for pattern in self._hosts(endpoint.namespace)),
        )
        if conflict is not None:
            problem = Problem(Reason.HOST_CONFLICT, conflict.message)
            return Refusal(problem, keeps=conflict.below and unchanged)
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
            "spec.exposure.host, or add it to hostPolicy in the values of the operator's chart"
        )

    def _controllers(self) -> dict[str, str]:
        """Name of every IngressClass -> its controller."""
        return {
            stored.key[1]: stored.body["spec"]["controller"]
            for stored in self._source.every(resources.INGRESS_CLASSES)
        }


def _not_listed(refused: tuple[str, ...]) -> str:
    return (
        f"spec.exposure.ingress.annotations: {', '.join(refused)} may affect requests or objects of others, and the "
        "edge's list does not allow it, so that the Ingress is not written: remove it, or let the administrator add it "
        "to edges[].allowedAnnotations in the values of the operator's chart"
    )
