"""The PodDisruptionBudget: a node's drain takes one model server at a time."""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.kinds import Kind
from streaming_operator.values import Manifest

BUDGETS = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")


def disruption_budget(endpoint: StreamingEndpoint) -> Manifest | None:
    """
    The user's budget; one pod at a time when there are several; none for a single one.

    A budget over a single pod would only hold up the drain of its node for ever.
    """
    given = endpoint.spec.rollout.pod_disruption_budget
    if given is not None and given.min_available is not None:
        limit = {"minAvailable": given.min_available}
    elif given is not None and given.max_unavailable is not None:
        limit = {"maxUnavailable": given.max_unavailable}
    elif endpoint.spec.replicas > 1:
        limit = {"maxUnavailable": 1}
    else:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": naming.metadata(endpoint),
        "spec": {
            "selector": {"matchLabels": naming.selector(endpoint)},
            # A pod that never became ready carries no stream and must not block the drain of a node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            **limit,
        },
    }
