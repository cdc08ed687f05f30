"""
Which endpoint's pods may not start together yet, since they would download into one claim at the same time. Pure.

The hub's client keeps two downloads apart by file locks, which not every shared file system has: then both write one
file. So the first pod of a new template is alone until it is ready, and the others find all on the claim (decision 13).
"""

from streaming_operator import render
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.cluster import resources
from streaming_operator.cluster.drift import carries
from streaming_operator.cluster.objects import Source, own
from streaming_operator.cluster.observe import is_status_current
from streaming_operator.kube.objects import Body
from streaming_operator.render.deployment import strategy


def alone_among(source: Source, endpoint: StreamingEndpoint) -> int | None:
    """
    How many pods there may be while one new pod starts alone; None when as many may start as the spec says.

    Pods that are there are never taken away for it: a rollout replaces them one after the other until the first new one
    is ready, and adds none. Recreate ends all of them, and begins with one.
    """
    if endpoint.spec.replicas < 2 or not _downloads_into_a_claim(endpoint):
        return None
    stored = own(source, endpoint, resources.DEPLOYMENTS)
    if stored is None:
        return 1
    deployment, replicas = stored.body, int(stored.body["spec"].get("replicas") or 0)
    among = max(1, min(replicas, endpoint.spec.replicas))
    if not carries(deployment["spec"]["template"], render.pod_template(endpoint)):
        return 1 if endpoint.spec.rollout.strategy == "Recreate" else among
    held_back = replicas < endpoint.spec.replicas or not carries(
        deployment["spec"].get("strategy") or {}, strategy(endpoint)
    )
    return among if held_back and not _is_up(deployment) else None


def _is_up(deployment: Body) -> bool:
    """Whether a pod of the newest template is ready: more are than there are of older ones."""
    status = deployment.get("status") or {}
    pods, updated, ready = (
        int(status.get(name) or 0) for name in ("replicas", "updatedReplicas", "readyReplicas")
    )
    return is_status_current(deployment) and ready > pods - updated


def _downloads_into_a_claim(endpoint: StreamingEndpoint) -> bool:
    """Whether the engine downloads at start, into a volume that all pods share."""
    model = endpoint.spec.model
    from_hub = model.source.hugging_face or model.source.model_scope
    adapters = any(adapter.source.hugging_face for adapter in model.adapters)
    return endpoint.spec.cache.persistent_volume_claim is not None and (from_hub is not None or adapters)
