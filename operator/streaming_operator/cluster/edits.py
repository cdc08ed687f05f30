"""
What the API server makes of a file, before it is applied: with defaults, rules, and the fields that it leaves alone.

A file is not the whole of what is stored: defaults were filled in when the endpoint was created, and an autoscaler may
own a field. So the API server is asked, by a dry run of the same kind of apply that wrote the endpoint before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import edges, pod_version, resources
from streaming_operator.cluster.objects import own
from streaming_operator.cluster.snapshot import Snapshot
from streaming_operator.errors import NotFound
from streaming_operator.kube.client import Transport
from streaming_operator.kube.objects import Body
from streaming_operator.render.differences import Side
from streaming_operator.values import Capabilities

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""What `kubectl apply` without `--server-side` applied last: a field that is in it and no longer in a file goes."""

KUBECTL = "kubectl"
"""Field manager of `kubectl apply --server-side`."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An endpoint as it is and as a file makes it."""

    before: Side | None
    """None for an endpoint that does not exist yet."""
    after: Side
    capabilities: Capabilities
    note: str | None = None
    """What could not be taken into account."""


async def edit(transport: Transport, document: Body) -> Edit:
    """Ask what applying *document* (with a namespace) makes; raises `Rejected` and what else the API server says."""
    metadata = document["metadata"]
    named = f"StreamingEndpoint {metadata['namespace']}/{metadata['name']}"
    path = resources.ENDPOINTS.path(metadata["namespace"], metadata["name"])
    try:
        live: Body | None = await transport.read(path, f"read {named}")
    except NotFound:
        live = None
    change, manager, note = _as_applied(live or {}, document)
    made = await transport.preview(path, change, f"try to apply {named}", manager=manager)
    after = StreamingEndpoint.from_body(made)
    snapshot = await Snapshot.take(transport, after, as_rendered=True)
    # Whether the operator writes an edge's policy is not to be seen; that it did, is.
    written = [kind for kind in resources.POLICIES if own(snapshot, after, kind) is not None]
    capabilities = edges.capabilities(snapshot, (), written)

    def side(endpoint: StreamingEndpoint) -> Side:
        rendered = pod_version.as_deployed(snapshot, endpoint)
        return Side(rendered, render.children(rendered, capabilities))

    before = None if live is None else side(StreamingEndpoint.from_body(live))
    return Edit(before, side(after), capabilities, note)


def _as_applied(live: Body, document: Body) -> tuple[Body, str | None, str | None]:
    """The change that an apply of *document* is, its field manager (None: a merge patch), and a note."""
    managers = _appliers(live)
    if len(managers) == 1 or not live:
        return document, next(iter(managers), KUBECTL), None
    if managers:
        names = " and ".join(sorted(managers))
        note = f"{names} have applied parts of it: shown is what {min(managers)} would change"
        return document, min(managers), note
    annotations = (live.get("metadata") or {}).get("annotations") or {}
    try:
        last = json.loads(annotations.get(LAST_APPLIED) or "")
    except ValueError:
        note = (
            "no earlier apply is recorded in it: a field that the file no longer has is not shown as removed"
        )
        return document, KUBECTL, note
    return _merge_patch(last, document), None, None


def _appliers(live: Body) -> set[str]:
    """Field managers that have applied something of the spec."""
    return {
        entry["manager"]
        for entry in (live.get("metadata") or {}).get("managedFields") or ()
        if entry.get("operation") == "Apply" and "f:spec" in (entry.get("fieldsV1") or {})
    }


def _merge_patch(last: Any, document: Mapping[str, Any]) -> Body:
    """The JSON merge patch of `kubectl apply`: the file, and null for what was applied and is not in it any more."""
    last = last if isinstance(last, Mapping) else {}
    patch: Body = {key: None for key in last if key not in document}
    for key, value in document.items():
        patch[key] = _merge_patch(last.get(key), value) if isinstance(value, Mapping) else value
    return patch
