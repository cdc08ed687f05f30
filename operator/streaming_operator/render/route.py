"""What exposes an endpoint, made by the member of `routes` that fits its edge, and its hash."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

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
    """
    The policies of the endpoint's edges that may be written, then the route, which so is never served without them;
    none where nothing is exposed or the kind is missing.
    """
    chosen = routes.serving(endpoint, capabilities)
    if not chosen or (routes.exposure_kind(endpoint) == "httpRoute" and not capabilities.http_routes):
        return ()
    left_out = {(kind.api_version, kind.kind) for kind in policy_kinds() if kind not in capabilities.policies}
    rendered = [route.render(endpoint, capabilities) for route in chosen]
    policies = (policy for _, *beside in rendered for policy in beside)
    return (
        *(one for one in policies if (one["apiVersion"], one["kind"]) not in left_out),
        _read_by_all([route for route, *_ in rendered]),
    )


def _read_by_all(rendered: Sequence[Manifest]) -> Manifest:
    """The route as the first edge has it, with the annotations that the others read."""
    first = rendered[0]
    annotations = {
        key: text
        for route in reversed(rendered)
        for key, text in route["metadata"].get("annotations", {}).items()
    }
    if annotations == first["metadata"].get("annotations", {}):
        return first
    return {**first, "metadata": {**first["metadata"], "annotations": annotations}}


def route_hash(manifests: Iterable[Manifest], url: str | None = None) -> str:
    """
    8 hex digits of the hash over the route, its policies, what the Service says to the edge, and the URL that they do
    not say; "" when nothing is exposed.

    A verdict is about one route: name, annotations and spec count, labels and owners do not.
    """
    manifests = tuple(manifests)
    exposed: list[object] = [
        (one["kind"], one["metadata"]["name"], one["metadata"].get("annotations"), one["spec"])
        for kinds in (
            route_kinds(),
            policy_kinds(),
        )  # the route first, as it was hashed before it was written last
        for one in manifests
        if (one["apiVersion"], one["kind"]) in {(kind.api_version, kind.kind) for kind in kinds}
    ]
    if exposed:
        exposed = [*filter(None, map(_told_by_service, manifests)), *exposed]
    if url is not None:
        exposed.insert(0, url)
    return hashlib.sha256(json.dumps(exposed, sort_keys=True).encode()).hexdigest()[:8] if exposed else ""


def _told_by_service(manifest: Manifest) -> Mapping[str, str]:
    """The annotations of a Service that a route sets there; none of any other object, or of the user's."""
    if (manifest["apiVersion"], manifest["kind"]) != ("v1", "Service"):
        return {}
    own = {key for route in routes.registry().values() for key in route.on_service}
    return {key: text for key, text in manifest["metadata"].get("annotations", {}).items() if key in own}
