"""
What an edit of an endpoint changes: object by object, field by field, and what users' streams notice of it. Pure.

Both sides are rendered, so what others changed in the cluster is no part of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.engines.base import grace_seconds
from streaming_operator.render.route import policy_kinds, route_kinds
from streaming_operator.routes.base import INGRESSES
from streaming_operator.values import Capabilities, Manifest

Action = Literal["create", "update", "delete"]

HIDDEN = "(hidden)"
"""Stands for the value of an environment variable: people write keys there, and pipelines keep their logs."""

_ITEM_NAMES = ("name", "mountPath", "containerPort", "port", "topologyKey")
"""Fields by which the items of a list are told apart, the best first; only if every item has its own, else by place."""


class Effect(IntEnum):
    """What a change does to streams; the greater, the worse."""

    NONE = 0
    """No object changes."""
    OBJECTS = 1
    """Objects change, and no stream notices."""
    ROUTE = 2
    """A route changes: the proxies of its edge load a new configuration."""
    PODS = 3
    """Pods end: GPUs are loaded again, and running streams have until the end of the drain."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs; None is one that is not there."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs."""

    kind: str
    name: str
    action: Action
    effect: Effect
    sentence: str
    """What happens."""
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """An endpoint before or after an edit, with its children."""

    endpoint: StreamingEndpoint
    children: tuple[Manifest, ...]


def changes(before: Side | None, after: Side | None, capabilities: Capabilities) -> tuple[Change, ...]:
    """
    What is created, changed and deleted, in apply order; None is an endpoint that does not exist.

    Nothing of a suspended endpoint is written.
    """
    made = [] if before is None or after is None else [*_spec(before.endpoint, after.endpoint)]
    if after is not None and after.endpoint.spec.suspend:
        return tuple(made)
    old, new = _by_name(before), _by_name(after)
    for key, manifest in new.items():
        if key not in old:
            made.append(_created(manifest, after, capabilities))
        elif fields := _own_fields(old[key], manifest):
            made.append(_updated(old[key], manifest, fields, after, capabilities))
    made += [_deleted(manifest, before, capabilities) for key, manifest in old.items() if key not in new]
    return tuple(made)


def worst(changes: Sequence[Change]) -> Effect:
    """The effect of all of them."""
    return max((change.effect for change in changes), default=Effect.NONE)


def differing(before: Any, after: Any, path: str = "") -> Iterator[Field]:
    """Every leaf that differs; items of lists by their names, values of environment variables hidden."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from differing(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
    elif (names := _names(before, after)) is not None:
        old, new = names
        for name in dict.fromkeys((*old, *new)):
            yield from differing(old.get(name), new.get(name), f"{path}[{name}]")
    else:
        yield Field(path, *(_shown(value, path) for value in (before, after)))


def _spec(before: StreamingEndpoint, after: StreamingEndpoint) -> Iterator[Change]:
    """The edit itself."""
    old, new = (endpoint.spec.model_dump(mode="json", by_alias=True) for endpoint in (before, after))
    if fields := tuple(differing(old, new, "spec")):
        if after.spec.suspend:
            sentence = "suspended: nothing is written until spec.suspend is false"
        elif before.spec.suspend:
            sentence = "resumed: whatever differs in the cluster by then is written too"
        elif before.spec.verification != after.spec.verification:
            sentence = "edited; verified again at once"
        else:
            sentence = "edited"
        yield Change("StreamingEndpoint", after.name, "update", Effect.NONE, sentence, fields)


def _by_name(side: Side | None) -> dict[tuple[str, str], Manifest]:
    if side is None:
        return {}
    return {(child["kind"], child["metadata"]["name"]): child for child in side.children}


def _own_fields(before: Manifest, after: Manifest) -> tuple[Field, ...]:
    """Fields that differ, but for the owner: a file has no uid."""
    return tuple(differing(_without_owner(before), _without_owner(after)))


def _without_owner(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    return {**manifest, "metadata": metadata}


def _created(manifest: Manifest, after: Side | None, capabilities: Capabilities) -> Change:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    if kind in _ROUTES:
        return Change(kind, name, "create", Effect.ROUTE, _reload(manifest, capabilities))
    if kind == "Deployment":
        count = manifest["spec"]["replicas"]
        return Change(kind, name, "create", Effect.OBJECTS, f"{_pods(count)} start")
    return Change(kind, name, "create", Effect.OBJECTS, "is created")


def _deleted(manifest: Manifest, before: Side | None, capabilities: Capabilities) -> Change:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    if kind in _ROUTES:
        sentence = f"users reach it no more; {_reload(manifest, capabilities)}"
        return Change(kind, name, "delete", Effect.ROUTE, sentence)
    if kind == "Deployment" and before is not None:
        count = manifest["spec"]["replicas"]
        effect = Effect.PODS if count else Effect.OBJECTS
        return Change(kind, name, "delete", effect, f"{_pods(count)} end; {_drain(before.endpoint)}")
    return Change(kind, name, "delete", Effect.OBJECTS, "is deleted")


def _updated(
    before: Manifest,
    after: Manifest,
    fields: tuple[Field, ...],
    side: Side | None,
    capabilities: Capabilities,
) -> Change:
    kind, name = after["kind"], after["metadata"]["name"]
    if kind in _ROUTES and any(not _is_label(field) for field in fields):
        return Change(kind, name, "update", Effect.ROUTE, _reload(after, capabilities), fields)
    if kind == "Deployment" and side is not None:
        effect, sentence = _of_pods(before, after, side.endpoint)
        return Change(kind, name, "update", effect, sentence, fields)
    return Change(kind, name, "update", Effect.OBJECTS, "changes", fields)


def _of_pods(before: Manifest, after: Manifest, endpoint: StreamingEndpoint) -> tuple[Effect, str]:
    """What the pods of a changed Deployment do."""
    old, new = before["spec"]["replicas"], after["spec"]["replicas"]
    replaced = before["spec"]["template"] != after["spec"]["template"]
    if old and not new:
        return Effect.PODS, f"{_pods(old)} end and none is left; {_drain(endpoint)}"
    if old and replaced:
        every = f"{_pods(old)} replaced, {_how(after['spec']['strategy'])}"
        scaled = f"; replicas {old} -> {new}" if old != new else ""
        return Effect.PODS, f"{every}{scaled}; {_drain(endpoint)}"
    if new < old:
        return Effect.PODS, f"{_pods(old - new)} of {old} end; {_drain(endpoint)}"
    if new > old:
        return Effect.OBJECTS, f"{_pods(new - old)} more start"
    return Effect.OBJECTS, "no pod changes"


def _how(strategy: Manifest) -> str:
    if strategy["type"] == "Recreate":
        return "all at once: nothing serves until the model is loaded again"
    surge, missing = (strategy["rollingUpdate"][key] for key in ("maxSurge", "maxUnavailable"))
    return f"maxSurge {surge}, maxUnavailable {missing}"


def _drain(endpoint: StreamingEndpoint) -> str:
    rollout = endpoint.spec.rollout
    return (
        f"a running stream has {rollout.pre_stop_seconds + rollout.drain_seconds} s to end "
        f"(spec.rollout), the pod {grace_seconds(endpoint)} s"
    )


def _reload(manifest: Manifest, capabilities: Capabilities) -> str:
    if manifest["kind"] != INGRESSES.kind:
        return "the Gateway's proxies load a new configuration"
    edge = capabilities.ingress_classes.get(manifest["spec"].get("ingressClassName", ""))
    if edge is not None and edge.profile == "ingress-nginx":
        return (
            "ingress-nginx reloads: what runs through it then, of any endpoint, is cut after its "
            "worker-shutdown-timeout (240 s unless its ConfigMap says otherwise)"
        )
    return "the edge's proxies load a new configuration"


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _is_label(field: Field) -> bool:
    """Whether a field is one that no proxy reads."""
    return field.path.startswith("metadata.labels")


def _names(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Both lists by the names of their items; None where they have none."""
    lists = [[] if value is None else value for value in (before, after)]
    if not all(isinstance(items, (list, tuple)) for items in lists) or not any(lists):
        return None
    for key in _ITEM_NAMES:
        if all(isinstance(item, Mapping) and key in item for items in lists for item in items):
            named = [{str(item[key]): item for item in items} for items in lists]
            if all(len(one) == len(items) for one, items in zip(named, lists, strict=True)):
                return named[0], named[1]
    if len(lists[0]) == len(lists[1]) and all(isinstance(item, Mapping) for items in lists for item in items):
        by_place = [{str(place): item for place, item in enumerate(items)} for items in lists]
        return by_place[0], by_place[1]
    return None


def _shown(value: Any, path: str) -> Any:
    """A value as it may be printed."""
    if ".env[" in path and path.endswith(".value"):
        return None if value is None else HIDDEN
    return _without_values({"env": [value]})["env"][0] if ".env[" in path else _without_values(value)


def _without_values(value: Any) -> Any:
    """Plain data without the values of environment variables."""
    if isinstance(value, Mapping):
        return {
            key: [_variable(item) for item in inner]
            if key == "env" and isinstance(inner, (list, tuple))
            else _without_values(inner)
            for key, inner in value.items()
        }
    return [_without_values(item) for item in value] if isinstance(value, (list, tuple)) else value


def _variable(item: Any) -> Any:
    return {**item, "value": HIDDEN} if isinstance(item, Mapping) and "value" in item else item


_ROUTES = frozenset(kind.kind for kind in (*route_kinds(), *policy_kinds()))
