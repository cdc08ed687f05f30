"""
What somebody else wrote that has the edge send a request again after a pod has begun to answer it: one completion is
then generated twice. Pure.

The operator writes no retry. A policy of somebody else on the endpoint's HTTPRoute or on its Gateway may have one, and
so may an annotation that somebody adds to its Ingress.
"""

from collections.abc import Iterator
from functools import partial

from streaming_operator import routes
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.naming import FIELD_MANAGER, MANAGED_BY_LABEL
from streaming_operator.cluster import resources
from streaming_operator.cluster.objects import Cached, Source, Trim, identity_and_age, own
from streaming_operator.cluster.route_status import policy_remark
from streaming_operator.kinds import Key, Kind
from streaming_operator.kube.objects import Body
from streaming_operator.routes.base import RetryRule, remarks
from streaming_operator.routes.listeners import gateways_of
from streaming_operator.values import Capabilities

RULES = routes.retry_rules()
"""The kinds of policies of which those of others are followed too."""
_REMEDY = "has the edge send a request again, a POST too, so that it may be answered twice: remove its retry"


def trims() -> dict[Kind, Trim]:
    """What is kept of such policies: all of our own, of others what they target and whether they retry."""
    return {kind: partial(_policy, rule) for kind, rule in RULES.items()}


def _policy(rule: RetryRule, body: Body) -> Body:
    if _is_ours(Cached(body)):
        return body
    spec = body.get("spec") or {}
    named = [*(spec.get("targetRefs") or ()), *([spec["targetRef"]] if spec.get("targetRef") else ())]
    return {
        "metadata": identity_and_age(body),
        "retries": rule.retries(spec),
        "targets": [{key: target.get(key) for key in ("kind", "name")} for target in named],
        "selectors": spec.get("targetSelectors") or [],
    }


def _is_ours(stored: Cached) -> bool:
    """
    Whether the operator may have written it: with its label, or under the name of the endpoint that controls it. One
    that a user ties to an endpoint by an owner alone is somebody else's.
    """
    labelled = (stored.metadata.get("labels") or {}).get(MANAGED_BY_LABEL) == FIELD_MANAGER
    return stored.endpoint is not None and (labelled or stored.endpoint == stored.key)


def matters(stored: Cached) -> bool:
    """Whether a policy is an endpoint's own, or one of somebody else that retries."""
    return stored.endpoint is not None or stored.body["retries"]


def remark(source: Source, endpoint: StreamingEndpoint, capabilities: Capabilities) -> str | None:
    """What has the endpoint's requests sent again, as far as objects show it; None if nothing does."""
    return remarks(_remarks(source, endpoint, capabilities))


def _remarks(source: Source, endpoint: StreamingEndpoint, capabilities: Capabilities) -> Iterator[str]:
    exposure = endpoint.spec.exposure
    if exposure is None:
        return
    if exposure.ingress is not None:
        route, ingress = routes.select(endpoint, capabilities), own(source, endpoint, resources.INGRESSES)
        annotations = ingress.metadata.get("annotations") or {} if ingress is not None else {}
        if route is not None and (key := route.retrying(annotations)) is not None:
            yield f"{key} on Ingress {endpoint.name} {_REMEDY}"
        return
    parts = (gateway.partition("/") for gateway in gateways_of(endpoint, capabilities))
    targets = [(resources.HTTP_ROUTES, endpoint.key)]
    targets += [(resources.GATEWAYS, (namespace, name)) for namespace, _, name in parts]
    read = (kind for route in routes.serving(endpoint, capabilities) for kind in route.retry_rules)
    for kind in dict.fromkeys(read):
        for policy in sorted(source.of_others(kind), key=lambda policy: policy.key):
            on = next((target for target in targets if _is_target(source, *target, policy)), None)
            if on is not None and _holds(source, endpoint, kind, of_route=on[0] is resources.HTTP_ROUTES):
                yield f"{kind.kind} {'/'.join(policy.key)} on {on[0].kind} {on[1][1]} {_REMEDY}"


def _holds(source: Source, endpoint: StreamingEndpoint, kind: Kind, *, of_route: bool) -> bool:
    """
    Whether a policy holds beside the endpoint's own: where the edge merges them, or follows none of ours. One on the
    Gateway gives way to any on the route.
    """
    ours = own(source, endpoint, kind)
    if RULES[kind].merged or ours is None:
        return True
    return of_route and policy_remark(kind.kind, ours) is not None


def _is_target(source: Source, kind: Kind, key: Key, policy: Cached) -> bool:
    """Whether a policy targets an object of its own namespace, by name or by labels."""
    if key[0] != policy.key[0]:
        return False
    if any((one["kind"], one["name"]) == (kind.kind, key[1]) for one in policy.body["targets"]):
        return True
    stored = source.get(kind, key)
    labels = (stored.metadata.get("labels") or {}) if stored is not None else {}
    return stored is not None and any(_selects(one, kind, labels) for one in policy.body["selectors"])


def _selects(selector: Body, kind: Kind, labels: Body) -> bool:
    """Whether `targetSelectors` of a policy select an object of a kind with these labels."""
    return (
        selector.get("kind") == kind.kind
        and all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
        and all(_matches(expression, labels) for expression in selector.get("matchExpressions") or ())
    )


def _matches(expression: Body, labels: Body) -> bool:
    """One requirement of a label selector."""
    key, values = str(expression.get("key")), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
