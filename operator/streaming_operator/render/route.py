"""What exposes an endpoint, made by the member of `routes` that fits its edge, and its hash."""

import hashlib
import json
from collections.abc import Iterable

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.routes.base import KINDS
from streaming_operator.values import Capabilities, Manifest


def route_kinds() -> tuple[Kind, ...]:
    """Every kind of a registered route that serves a host, each once, in the registry's order."""
    return tuple(
        dict.fromkeys(
            KINDS[exposure] for route in routes.registry().values() for exposure in route.controllers
        )
    )


def policy_kinds() -> tuple[Kind, ...]:
    """Every kind of an edge's own that a registered route renders beside it, each once."""
    return tuple(dict.fromkeys(kind for route in routes.registry().values() for kind in route.policies))


def exposing(endpoint: StreamingEndpoint, capabilities: Capabilities) -> tuple[Manifest, ...]:
    """The route, then the edge's policies that may be written; none where nothing is exposed or the kind is missing."""
    chosen = routes.select(endpoint, capabilities)
    if chosen is None or (routes.exposure_kind(endpoint) == "httpRoute" and not capabilities.http_routes):
        return ()
    left_out = {(kind.api_version, kind.kind) for kind in policy_kinds() if kind not in capabilities.policies}
    rendered = chosen.render(endpoint, capabilities)
    return tuple(one for one in rendered if (one["apiVersion"], one["kind"]) not in left_out)


def route_hash(manifests: Iterable[Manifest], url: str | None = None) -> str:
    """
    8 hex digits of the hash over the route, its policies and the URL that they do not say; "" when nothing is exposed.

    A verdict is about one route: name, annotations and spec count, labels and owners do not.
    """
    exposed: list[object] = [] if url is None else [url]
    kinds = {(kind.api_version, kind.kind) for kind in (*route_kinds(), *policy_kinds())}
    exposed += [
        (route["kind"], route["metadata"]["name"], route["metadata"].get("annotations"), route["spec"])
        for route in manifests
        if (route["apiVersion"], route["kind"]) in kinds
    ]
    return hashlib.sha256(json.dumps(exposed, sort_keys=True).encode()).hexdigest()[:8] if exposed else ""
