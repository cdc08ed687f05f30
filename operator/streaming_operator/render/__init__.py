"""
Renders the children of an endpoint. Pure: the same input always gives the same objects.

Only fields that the operator owns are rendered; the API server is their type checker. What the cluster has is a
parameter, `Capabilities`.
"""

from streaming_operator import engines
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.render.config import CONFIG_MAPS, config_map
from streaming_operator.render.deployment import DEPLOYMENTS, deployment
from streaming_operator.render.disruption import BUDGETS, disruption_budget
from streaming_operator.render.monitoring import SERVICE_MONITORS, service_monitor
from streaming_operator.render.route import route, route_hash, route_kinds
from streaming_operator.render.service import SERVICES, service
from streaming_operator.values import Capabilities, Manifest

__all__ = ["CHILD_KINDS", "children", "engine_note", "route_hash"]

CHILD_KINDS: tuple[Kind, ...] = (
    CONFIG_MAPS,
    SERVICES,
    BUDGETS,
    DEPLOYMENTS,
    *route_kinds(),
    SERVICE_MONITORS,
)
"""Every kind ever rendered, in apply order: to watch, to prune, and for the operator's role."""


def engine_note(endpoint: StreamingEndpoint) -> str | None:
    """One sentence on what the operator cannot enable for the engine's image; else None."""
    return engines.select(endpoint).note(endpoint)


def children(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
    """All children in apply order: what a Deployment mounts comes before it, what serves it after it."""
    engine = engines.select(endpoint)
    rendered = (
        config_map(endpoint),
        service(endpoint),
        disruption_budget(endpoint),
        deployment(endpoint, engine),
        route(endpoint, capabilities),
        service_monitor(endpoint, engine, capabilities),
    )
    return tuple(manifest for manifest in rendered if manifest is not None)
