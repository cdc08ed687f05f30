"""
What the operator asked of the API server, from the server's own audit log.

The log's verb for a server-side apply is `patch`, also where the object was new, which the code 201 shows.
"""

import json
from dataclasses import dataclass

from tests.cluster import kind
from tests.e2e.release import SERVICE_ACCOUNT

READING = frozenset({"get", "list", "watch"})
TELLING = frozenset({"events", "streamingendpoints/status"})
"""Resources that only say how things are."""


@dataclass(frozen=True)
class Request:
    """One request of the operator."""

    verb: str
    group: str
    resource: str
    """With the subresource, `streamingendpoints/status`."""
    namespace: str
    name: str
    code: int


def mark() -> int:
    """The log's present length in bytes: requests from here on are asked for with it."""
    return int(kind.node("sh", "-c", f"stat -c %s {kind.AUDIT_LOG} 2>/dev/null || echo 0"))


def requests(since: int = 0) -> list[Request]:
    """Everything the operator asked about resources after the mark, oldest first."""
    return [_request(entry) for entry in _entries(since) if "objectRef" in entry]


def statuses(since: int = 0) -> list[dict]:
    """The endpoints with each status that the operator wrote after the mark, as the server answered, oldest first."""
    return [
        entry["responseObject"]
        for entry in _entries(since)
        if entry["verb"] == "patch"
        and entry["objectRef"].get("resource") == "streamingendpoints"
        and entry["objectRef"].get("subresource") == "status"
        and entry["responseStatus"]["code"] == 200
    ]


def forbidden(since: int = 0) -> list[str]:
    """What the operator asked and its roles do not grant: verb and address."""
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in _entries(since)
        if entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
    ]


def not_admitted(since: int = 0) -> list[str]:
    """What its roles grant and admission refused: verb and address."""
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in _entries(since)
        if (entry.get("responseStatus") or {}).get("code") in (403, 422)
        and entry.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
    ]


def children_written(since: int, namespace: str) -> list[tuple[str, str, str]]:
    """Writes to children of this namespace after the mark: (verb, resource, name)."""
    return [
        (request.verb, request.resource, request.name)
        for request in requests(since)
        if request.namespace == namespace and request.verb not in READING and request.resource not in TELLING
    ]


def _entries(since: int) -> list[dict]:
    """The operator's own entries of the log."""
    text = kind.node("sh", "-c", f"tail -c +{since + 1} {kind.AUDIT_LOG} 2>/dev/null || true")
    entries = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    return [entry for entry in entries if entry["user"]["username"] == SERVICE_ACCOUNT]


def _request(entry: dict) -> Request:
    about = entry["objectRef"]
    resource = about.get("resource", "")
    if "subresource" in about:
        resource += "/" + about["subresource"]
    return Request(
        verb=entry["verb"],
        group=about.get("apiGroup", ""),
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
    )
