"""
Which endpoint's pods may not start together yet, since they would download into one claim at the same time. Pure.

The hub's client keeps two downloads apart by file locks, which not every shared file system has: then both write one
file. So the first pod of a new endpoint is alone until it is ready, and the others find all on the claim (decision 13).
"""

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.drift import carries
from streaming_operator.cluster.objects import Source, own
from streaming_operator.cluster.observe import is_status_current


def starts_alone(source: Source, endpoint: StreamingEndpoint) -> bool:
    """
    Whether one pod is enough for now.

    Pods that are there are never taken away for it, and where a rollout replaces them in turn it needs no help.
    """
    if endpoint.spec.replicas < 2 or not _downloads_into_a_claim(endpoint):
        return False
    stored = own(source, endpoint, resources.DEPLOYMENTS)
    if stored is None:
        return True
    deployment = stored.body
    if not carries(deployment["spec"]["template"], render.pod_template(endpoint)):
        return endpoint.spec.rollout.strategy == "Recreate"
    status, replicas = deployment.get("status") or {}, int(deployment["spec"].get("replicas") or 0)
    up = is_status_current(deployment) and status.get("updatedReplicas") and status.get("readyReplicas")
    return replicas < 2 and not up


def _downloads_into_a_claim(endpoint: StreamingEndpoint) -> bool:
    """Whether the engine downloads at start, into a volume that all pods share."""
    model = endpoint.spec.model
    from_hub = model.source.hugging_face or model.source.model_scope
    adapters = any(adapter.source.hugging_face for adapter in model.adapters)
    return endpoint.spec.cache.persistent_volume_claim is not None and (from_hub is not None or adapters)
