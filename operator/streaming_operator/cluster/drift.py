"""
Whether an object still carries what we sent, so that nothing is written when nothing of ours differs. Pure.

Only leaves that we send are compared: the API server adds defaults, and others may add what is theirs. What
we stopped sending is not seen here but by the applied hash, an annotation on each child.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from streaming_operator.api.naming import LABEL_PREFIX
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

_QUANTITY = re.compile(r"^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d+)|(m|k|[MGTPE]|[KMGTPE]i))?$")
_POWERS = "kMGTPE"


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its own hash in an annotation."""
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def digest(value: Any, length: int = 16) -> str:
    """Hexadecimal hash of plain data, independent of the order of keys."""
    raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=length // 2).hexdigest()


def carries(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether *actual* holds every leaf of the manifest *wanted*; kind and version are how it was found."""
    return all(
        _holds(actual.get(name), value, name)
        for name, value in wanted.items()
        if name not in ("apiVersion", "kind")
    )


def _holds(actual: Any, wanted: Any, name: str) -> bool:
    """One field and all below it."""
    if wanted is None or actual == wanted:
        return True
    if isinstance(wanted, Mapping):
        if not isinstance(actual, Mapping):
            return actual is None and not wanted and name not in ("emptyDir",)
        if name in _WHOLE and actual != wanted:
            return False
        return all(_holds(actual.get(key), value, key) for key, value in wanted.items())
    if isinstance(wanted, (list, tuple)):
        if not isinstance(actual, list):
            return actual is None and not wanted
        return _holds_items(actual, wanted, name)
    return _same_amount(actual, wanted)


def _holds_items(actual: Sequence[Any], wanted: Sequence[Any], name: str) -> bool:
    """One list: item by item by its merge key, or the whole list in order."""
    keys = [
        key
        for key in _ITEM_KEYS.get(name, ())
        if all(isinstance(item, Mapping) and key in item for item in wanted)
    ]
    if not keys:
        return len(actual) == len(wanted) and all(
            _holds(there, item, "") for there, item in zip(actual, wanted, strict=True)
        )
    known = {tuple(item.get(key) for key in keys): item for item in actual if isinstance(item, Mapping)}
    return all(_holds(known.get(tuple(item[key] for key in keys)), item, "") for item in wanted)


def _same_amount(actual: Any, wanted: Any) -> bool:
    """The same amount, written differently (`1000m` and `1`)."""
    if actual is None or isinstance(actual, bool) or isinstance(wanted, bool):
        return False
    if not isinstance(actual, (str, int, float)) or not isinstance(wanted, (str, int, float)):
        return False
    amount = quantity(str(wanted))
    return amount is not None and amount == quantity(str(actual))


def quantity(text: str) -> Decimal | None:
    """The amount that a Kubernetes quantity writes; None when *text* is none."""
    found = _QUANTITY.match(text)
    if found is None:
        return None
    number, exponent, suffix = found.groups()
    if exponent:
        return Decimal(number + exponent)
    if not suffix:
        return Decimal(number)
    if suffix == "m":
        return Decimal(number) / 1000
    base = 1024 if suffix.endswith("i") else 1000
    power = _POWERS.index(suffix[0].replace("K", "k")) + 1
    return Decimal(number) * Decimal(base) ** power
