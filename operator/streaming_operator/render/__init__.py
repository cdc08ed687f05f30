"""
Renders the children of an endpoint. Pure: the same input always gives the same objects.

Only fields that the operator owns are rendered; the API server is their type checker. What the cluster has is a
parameter, `Capabilities`.
"""

from streaming_operator import engines
from streaming_operator.api.endpoint import POD_VERSION, StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render.alerts import PROMETHEUS_RULES, prometheus_rule
from streaming_operator.render.backend_tls import BACKEND_TLS_POLICIES, backend_tls_policy
from streaming_operator.render.config import CONFIG_MAPS, config_map, pod_version
from streaming_operator.render.deployment import DEPLOYMENTS, deployment
from streaming_operator.render.disruption import BUDGETS, disruption_budget
from streaming_operator.render.monitoring import SERVICE_MONITORS, service_monitor
from streaming_operator.render.route import exposing, policy_kinds, route_hash, route_kinds
from streaming_operator.render.service import SERVICES, service
from streaming_operator.values import Capabilities, Manifest

__all__ = [
    "CHILD_KINDS",
    "children",
    "engine_note",
    "exposing",
    "pod_template",
    "pod_version",
    "policy_kinds",
    "route_hash",
    "route_kinds",
]

CHILD_KINDS: tuple[Kind, ...] = (
    CONFIG_MAPS,
    SERVICES,
    BUDGETS,
    DEPLOYMENTS,
    BACKEND_TLS_POLICIES,
    *policy_kinds(),
    *route_kinds(),
    SERVICE_MONITORS,
    PROMETHEUS_RULES,
)
"""Every kind ever rendered, in apply order: to watch, to prune from its end, and for the operator's role."""


def engine_note(endpoint: StreamingEndpoint) -> str | None:
    """What cannot be enabled for the engine's image, what older pods lack, and why one pod starts alone; else None."""
    notes = (engines.select(endpoint).note(endpoint), _older_pods(endpoint), _first_alone(endpoint))
    return ". ".join(note for note in notes if note) or None


def _first_alone(endpoint: StreamingEndpoint) -> str | None:
    if endpoint.alone_among is None:
        return None
    claim = endpoint.spec.cache.persistent_volume_claim
    return (
        f"One pod starts alone and downloads into the claim {claim.claim_name if claim else 'of the cache'}, which all "
        f"{endpoint.spec.replicas} share: the others follow when it is ready"
    )


def _older_pods(endpoint: StreamingEndpoint) -> str | None:
    if endpoint.pod_version == POD_VERSION:
        return None
    lacks = engines.select(endpoint).lacks(endpoint)
    if not lacks:
        return None
    return (
        f"Pods of an earlier version of the operator run, which {' and '.join(lacks)}: the next change of the spec "
        "that replaces them cures it, such as an annotation in spec.podMetadata.annotations"
    )


def pod_template(endpoint: StreamingEndpoint) -> Manifest:
    """The pod template of the Deployment."""
    template: Manifest = deployment(endpoint, engines.select(endpoint))["spec"]["template"]
    return template


def children(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
    """All children in apply order: what a Deployment mounts comes before it, what serves it after it."""
    engine = engines.select(endpoint)
    rendered = (
        config_map(endpoint),
        service(endpoint, capabilities),
        disruption_budget(endpoint),
        deployment(endpoint, engine),
        backend_tls_policy(endpoint, capabilities),  # before the route, which sends plain HTTP without it
        *exposing(endpoint, capabilities),
        service_monitor(endpoint, engine, capabilities),
        prometheus_rule(endpoint, engine, capabilities),
    )
    return tuple(manifest for manifest in rendered if manifest is not None)
