"""
Names, labels and owner references of everything the operator creates.

Nothing here may depend on the operator's version or on a field of `spec`: a changed label of a pod
template restarts a GPU, and a changed selector cannot be written at all.
"""

from typing import Any

from streaming_operator.api.endpoint import API_VERSION, GROUP, KIND, StreamingEndpoint

FIELD_MANAGER = "streaming-operator"
"""The one field manager of every server-side apply."""

LABEL_PREFIX = f"{GROUP}/"

APP_NAME = "streaming-endpoint"
ENDPOINT_LABEL = f"{LABEL_PREFIX}endpoint"
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"

MANAGED_BY_SELECTOR = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
"""Label selector of the informers' lists and watches."""

CHILD_NAME_MAX_LENGTH = 63
"""A Service's name is a DNS label, which is the shortest limit of all children."""


def labels(endpoint: StreamingEndpoint) -> dict[str, str]:
    """Labels of every child, pods included."""
    return {
        NAME_LABEL: APP_NAME,
        INSTANCE_LABEL: endpoint.name,
        MANAGED_BY_LABEL: FIELD_MANAGER,
        ENDPOINT_LABEL: endpoint.name,
    }


def selector(endpoint: StreamingEndpoint) -> dict[str, str]:
    """The immutable labels by which Deployment, Service and budget select the pods: as few as possible."""
    return {NAME_LABEL: APP_NAME, ENDPOINT_LABEL: endpoint.name}


def owner_reference(endpoint: StreamingEndpoint) -> dict[str, Any]:
    """
    Make the endpoint the controller of a child, so that the garbage collector deletes it without us.

    `blockOwnerDeletion` is false: true would need the right to update the endpoint's finalizers, and would
    let a child block `kubectl delete --cascade=foreground`.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": endpoint.name,
        "uid": endpoint.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def child_name(endpoint: StreamingEndpoint, suffix: str = "") -> str:
    """`<name>` or `<name>-<suffix>`; an endpoint's name leaves 17 characters for a suffix."""
    name = f"{endpoint.name}-{suffix}" if suffix else endpoint.name
    if len(name) > CHILD_NAME_MAX_LENGTH:
        raise ValueError(f"child name {name!r} is longer than {CHILD_NAME_MAX_LENGTH} characters")
    return name


def metadata(endpoint: StreamingEndpoint, suffix: str = "") -> dict[str, Any]:
    """`metadata` of a child: name, namespace, labels, and the owner unless it came from a file (no uid)."""
    fields: dict[str, Any] = {
        "name": child_name(endpoint, suffix),
        "namespace": endpoint.namespace,
        "labels": labels(endpoint),
    }
    if endpoint.uid:
        fields["ownerReferences"] = [owner_reference(endpoint)]
    return fields
