"""
Who owns which field of an object: `metadata.managedFields`, read and rewritten. Pure.

The API server keeps one entry per field manager and operation with a tree of keys: `f:name` is a field,
`k:{"name":"x"}` an item of a list that is merged by key, `.` the node itself.
(https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management)
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from streaming_operator.kube.objects import Body

Path = tuple[str, ...]
"""Keys of `fieldsV1`, from the root of the object."""
Names = tuple[str, ...]
"""Names of fields from the root of the object, without the items of lists in between."""

_NOT_CONTENT = ("apiVersion", "kind", "metadata", "status")


def names_of(field: str) -> Names:
    """`spec.containers[0].env[2].value` as the API server writes it in a cause, without the brackets' content."""
    kept, depth = [], 0
    for character in field:
        depth += (character == "[") - (character == "]")
        if depth == 0 and character != "]":
            kept.append(character)
    return tuple(name for name in "".join(kept).split(".") if name)


def not_sent(live: Body, sent: Mapping[str, Any], beside: Iterable[Names], *, items: bool) -> list[Path]:
    """
    Fields of *live* that *sent* does not have, in the places where it has others.

    *beside* names refused fields: only their siblings, and what is below those, are looked at. Whole items of lists
    are left out unless *items* is true.
    """
    scopes = [names[:-1] for names in beside]
    entries = [entry["fieldsV1"] for entry in _of_content(live) if "fieldsV1" in entry]
    tree: dict[str, Any] = {}
    for fields in entries:
        _merge(tree, fields)
    content = {name: value for name, value in live.items() if name not in _NOT_CONTENT}
    return [path for path, names in _extras(content, sent, tree, (), items) if _in_scope(names, scopes)]


def handed_over(live: Body, paths: Iterable[Path], manager: str, api_version: str) -> list[Body]:
    """The managedFields of *live* with *paths* owned by *manager*, as a field that it applied, and by nobody else."""
    entries: list[Body] = deepcopy(live["metadata"].get("managedFields") or [])
    ours = next((entry for entry in entries if _is_applied_by(entry, manager)), None)
    if ours is None:
        ours = {
            "manager": manager,
            "operation": "Apply",
            "apiVersion": api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        }
        entries.append(ours)
    for path in paths:
        for entry in entries:
            if entry is not ours and not entry.get("subresource"):
                _drop(entry.get("fieldsV1") or {}, path)
        _add(ours["fieldsV1"], path)
    return [entry for entry in entries if entry is ours or entry.get("fieldsV1")]


def owners(live: Body, path: Path) -> list[str]:
    """Managers of the field at *path* or of something below it."""
    return [entry["manager"] for entry in _of_content(live) if _has(entry.get("fieldsV1") or {}, path)]


def last_author(live: Body, names: Names, manager: str) -> str | None:
    """
    Who but *manager* wrote last at the field *names*; where nobody owns it (any more), who wrote last at all.

    None when every entry is of *manager* itself.
    """
    others = [entry for entry in _of_content(live) if entry.get("manager") != manager]
    of_field = [entry for entry in others if _has_names(entry.get("fieldsV1") or {}, names)]
    newest = max(of_field or others, key=lambda entry: str(entry.get("time") or ""), default=None)
    return None if newest is None else str(newest.get("manager") or "unknown")


def _of_content(live: Body) -> list[Body]:
    """Entries about the object itself, not about a subresource."""
    return [entry for entry in live["metadata"].get("managedFields") or () if not entry.get("subresource")]


def _is_applied_by(entry: Body, manager: str) -> bool:
    return (
        entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource")
    )


def _extras(
    live: Mapping[str, Any], sent: Mapping[str, Any], tree: Mapping[str, Any], names: Names, items: bool
) -> Iterator[tuple[Path, Names]]:
    """Paths of what *live* has and *sent* has not, with their names."""
    for name, value in live.items():
        key, here = f"f:{name}", (*names, name)
        if name not in sent:
            yield (key,), here
        elif below := tree.get(key):  # a field without keys below it is one value: applying replaces it
            if isinstance(value, Mapping) and isinstance(sent[name], Mapping):
                extras = _extras(value, sent[name], below, here, items)
            elif isinstance(value, list) and isinstance(sent[name], (list, tuple)):
                extras = _extra_items(value, sent[name], below, here, items)
            else:
                continue
            yield from (((key, *path), deeper) for path, deeper in extras)


def _extra_items(
    live: Sequence[Any], sent: Sequence[Any], tree: Mapping[str, Any], names: Names, items: bool
) -> Iterator[tuple[Path, Names]]:
    """The same within a list that is merged by key."""
    for key, below in tree.items():
        if not key.startswith("k:"):
            continue
        wanted = json.loads(key[2:])
        stored, ours = _item(live, wanted), _item(sent, wanted)
        if stored is None:
            continue
        if ours is not None:
            extras = _extras(stored, ours, below, names, items)
            yield from (((key, *path), deeper) for path, deeper in extras)
        elif items:
            yield (key,), (*names, "")


def _item(items: Sequence[Any], wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The item with these keys; one that it does not have is as the API server fills it in."""
    matching = (
        item
        for item in items
        if isinstance(item, Mapping) and all(item.get(key, value) == value for key, value in wanted.items())
    )
    return next(matching, None)


def _in_scope(names: Names, scopes: Iterable[Names]) -> bool:
    return any(names[: len(scope)] == scope and len(names) > len(scope) for scope in scopes)


def _merge(tree: dict[str, Any], fields: Mapping[str, Any]) -> None:
    for key, below in fields.items():
        _merge(tree.setdefault(key, {}), below)


def _add(fields: dict[str, Any], path: Path) -> None:
    """Make the node at *path* a member."""
    for key in path[:-1]:
        fields = _child(fields, key)
    known = fields.get(path[-1])
    fields[path[-1]] = {**known, ".": {}} if known else {}


def _child(fields: dict[str, Any], key: str) -> dict[str, Any]:
    """The node below; a leaf that gets children stays a member itself."""
    if key in fields and not fields[key]:
        fields[key] = {".": {}}
    child: dict[str, Any] = fields.setdefault(key, {})
    return child


def _drop(fields: dict[str, Any], path: Path) -> None:
    """Remove the node at *path*, and nodes above that hold nothing any more: an empty one would be a member."""
    key, rest = path[0], path[1:]
    if key not in fields:
        return
    if not rest:
        del fields[key]
        return
    if fields[key]:
        _drop(fields[key], rest)
        if not fields[key]:
            del fields[key]


def _has(fields: Mapping[str, Any], path: Path) -> bool:
    for key in path:
        if key not in fields:
            return False
        fields = fields[key]
    return True


def _has_names(fields: Mapping[str, Any], names: Names) -> bool:
    """Whether a field of these names is in the tree, in whatever item of a list."""
    if not names:
        return True
    if f"f:{names[0]}" in fields:
        return _has_names(fields[f"f:{names[0]}"], names[1:])
    return any(_has_names(below, names) for key, below in fields.items() if key.startswith("k:"))
