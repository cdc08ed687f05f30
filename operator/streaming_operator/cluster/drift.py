"""
Whether an object still carries what we sent, so that nothing is written when nothing of ours differs. Pure.

Only leaves that we send are compared: the API server adds defaults, and others may add what is theirs. What
we no longer send is noticed by the applied hash alone, an annotation on each child.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from streaming_operator.api.naming import LABEL_PREFIX
from streaming_operator.kube.quantity import quantity
from streaming_operator.values import Manifest

APPLIED_HASH = f"{LABEL_PREFIX}applied-hash"
"""Annotation of every child: the hash of all that we sent. It outlives a restart, which writes nothing."""

_ITEM_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists that the API server merges by key: others may have added items; all other lists are wholly ours."""

_WHOLE = frozenset({"selector", "nodeSelector"})
"""Maps that the API server takes as one value: an added key is as wrong as a missing one."""

MIRRORS = {"serviceAccount": "serviceAccountName"}
"""
Fields of a pod template that the API server fills with the value of another, and reads when that other is empty: a
field of ours that is no longer sent would stay in its copy, which nobody owns.
"""

_AMOUNTS = frozenset({"requests", "limits"})
"""Maps whose values are amounts; elsewhere `1k` and `1000` are different texts."""

_AMOUNT = frozenset({"sizeLimit", "divisor"})
"""Fields that are amounts themselves."""


_OMITTED = frozenset(
    {"readOnly", "stdin", "stdinOnce", "tty", "subPath", "subPathExpr", "workingDir", "medium", "value"}
)
"""Fields of core/v1 that are not stored when they are false or empty: their absence is what was sent."""


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its own hash in an annotation."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def outlived_mirrors(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Paths (as in managedFields) of copies in a pod template, and of what they copy, where we send neither."""
    pods = [((body.get("spec") or {}).get("template") or {}).get("spec") or {} for body in (actual, wanted)]
    return [
        ("f:spec", "f:template", "f:spec", f"f:{name}")
        for copy, source in MIRRORS.items()
        if copy in pods[0] and source not in pods[1]
        for name in (copy, source)
    ]


def digest(value: Any, length: int = 16) -> str:
    """Hexadecimal hash of plain data, independent of the order of keys."""
    raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=length // 2).hexdigest()


def carries(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether *actual* holds every leaf of the manifest *wanted*; kind and version need no comparison."""
    return all(
        _holds(actual.get(name), value, name)
        for name, value in wanted.items()
        if name not in ("apiVersion", "kind")
    )


def _holds(actual: Any, wanted: Any, name: str) -> bool:
    """One field and all below it."""
    if wanted is None or actual == wanted or (actual is None and wanted in ("", False) and name in _OMITTED):
        return True
    if isinstance(wanted, Mapping):
        if not isinstance(actual, Mapping):
            return actual is None and not wanted and name not in ("emptyDir",)
        if name in _WHOLE and actual != wanted:
            return False
        if name in _AMOUNTS:
            return all(_same_amount(actual.get(key), value) for key, value in wanted.items())
        return all(_holds(actual.get(key), value, key) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        if not isinstance(actual, list):
            return actual is None and not wanted
        return _holds_items(actual, wanted, name)
    return name in _AMOUNT and _same_amount(actual, wanted)


def _holds_items(actual: Sequence[Any], wanted: Sequence[Any], name: str) -> bool:
    """One list: item by item by its merge key, or the whole list in order."""
    keys = _merge_keys(name, wanted)
    if not keys:
        return len(actual) == len(wanted) and all(
            _holds(one, item, "") for one, item in zip(actual, wanted, strict=True)
        )
    known = {tuple(item.get(key) for key in keys): item for item in actual if isinstance(item, Mapping)}
    return all(_holds(known.get(tuple(item[key] for key in keys)), item, "") for item in wanted)


def _merge_keys(name: str, wanted: Sequence[Any]) -> list[str]:
    """Fields that tell the items of a list apart; none where the whole list is one value."""
    return [
        key
        for key in _ITEM_KEYS.get(name, ())
        if all(isinstance(item, Mapping) and key in item for item in wanted)
    ]


def _item_of(actual: Sequence[Any], item: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The item of *actual* with the keys of *item*."""
    same = (one for one in actual if isinstance(one, Mapping) and all(one.get(k) == item[k] for k in keys))
    return next(same, None)


def _same_amount(actual: Any, wanted: Any) -> bool:
    """The same amount, written differently (`1000m` and `1`)."""
    if not isinstance(actual, (str, int, float)) or not isinstance(wanted, (str, int, float)):
        return False
    amount = quantity(wanted)
    return amount is not None and amount == quantity(actual)


def first_difference(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the fields down to the first leaf that *actual* does not hold; items of lists are left out."""
    for name, value in wanted.items():
        stored = actual.get(name)
        if name in ("apiVersion", "kind") or _holds(stored, value, name):
            continue
        if isinstance(value, Mapping) and isinstance(stored, Mapping) and name not in _WHOLE:
            return (name, *first_difference(stored, value))
        if (
            isinstance(value, (list, tuple))
            and isinstance(stored, list)
            and (keys := _merge_keys(name, value))
        ):
            pairs = ((_item_of(stored, item, keys), item) for item in value)
            for one, item in pairs:
                if not _holds(one, item, ""):
                    return (name, *(first_difference(one, item) if one is not None else ()))
        return (name,)
    return ()
