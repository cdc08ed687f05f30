"""The route object of an endpoint, made by the member of `routes` that fits its edge, and its hash."""

import hashlib
import json
from collections.abc import Iterable

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.routes.gateway_api import HTTP_ROUTES
from streaming_operator.values import Capabilities, Manifest


def route_kinds() -> tuple[Kind, ...]:
    """Every kind that a registered route renders, each once, in the registry's order."""
    return tuple(dict.fromkeys(route.child for route in routes.registry().values()))


def route(endpoint: StreamingEndpoint, capabilities: Capabilities) -> Manifest | None:
    """The route; None where nothing is exposed or the cluster lacks the kind."""
    chosen = routes.select(endpoint, capabilities)
    if chosen is None or (chosen.child == HTTP_ROUTES and not capabilities.http_routes):
        return None
    return chosen.render(endpoint, capabilities)


def route_hash(manifests: Iterable[Manifest], url: str | None = None) -> str:
    """
    8 hex digits of the hash over the route and the URL that it does not say; "" when nothing is exposed.

    A verdict is about one route: name, annotations and spec count, labels and owners do not.
    """
    exposed: list[object] = [] if url is None else [url]
    kinds = {(kind.api_version, kind.kind) for kind in route_kinds()}
    exposed += [
        (route["kind"], route["metadata"]["name"], route["metadata"].get("annotations"), route["spec"])
        for route in manifests
        if (route["apiVersion"], route["kind"]) in kinds
    ]
    return hashlib.sha256(json.dumps(exposed, sort_keys=True).encode()).hexdigest()[:8] if exposed else ""
