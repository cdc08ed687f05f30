"""docs/reference.md: every field of the spec with its type, default, rules and an example, from the CRD's schema."""

from collections.abc import Iterator
from typing import Any

import yaml

from streaming_operator.api import crd
from streaming_operator.api.endpoint import API_VERSION, KIND
from streaming_operator.api.wording import ALLOWED
from tests.apiserver.documents import BASES, document, place

Schema = dict[str, Any]

HEAD = """# Fields of a StreamingEndpoint

<!-- {note} -->

All of `spec` in {kind} (`{version}`); `kubectl explain sep.spec.FIELD` says the same. A default is
stored when the field is left out. The examples are values that tests apply.
Whole files: [samples](../manifests/samples).
Only `model` is required; the four-line start is [minimal.yaml](../manifests/samples/minimal.yaml).

| field | type | default | what it is, what it takes | example |
|---|---|---|---|---|
"""


def page(note: str) -> str:
    """The whole page."""
    root = crd.root_schema()
    rules = _rules(root)
    rows = "".join(
        _row(path, node, required, rules.get(("spec", *path), []))
        for path, node, required in _fields(root["properties"]["spec"], ())
    )
    general = "".join(f"- {message}\n" for message in rules.get(("spec",), []))
    return HEAD.format(note=note, kind=KIND, version=API_VERSION) + rows + (f"\n{general}" if general else "")


def _rules(root: Schema) -> dict[tuple[str, ...], list[str]]:
    """What the rules say by the field that they blame, wherever they stand: some on the whole spec or object."""
    said: dict[tuple[str, ...], list[str]] = {}
    nodes = [
        ((), root),
        *((("spec", *path), node) for path, node, _ in _fields(root["properties"]["spec"], ())),
    ]
    nodes.append((("spec",), root["properties"]["spec"]))
    nodes += [((*path, "[]"), node["items"]) for path, node in nodes if "items" in node]
    for path, node in nodes:
        for rule in node.get("x-kubernetes-validations", ()):
            blamed = tuple(filter(None, rule.get("fieldPath", "").split(".")))
            where = (*path, *blamed)
            # What an item must be stands at its list.
            said.setdefault(where[:-1] if where[-1:] == ("[]",) else where, []).append(rule["message"])
    return said


def _fields(node: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Schema, bool]]:
    """Each field of ours below a node: path, schema, whether it is required."""
    if crd.of_core_v1(node):
        return
    for name, inner in node.get("properties", {}).items():
        here = (*path, name)
        yield here, inner, name in node.get("required", ())
        yield from _fields(inner, here)
        if "items" in inner:
            yield from _fields(inner["items"], (*here, "[]"))


def _row(path: tuple[str, ...], node: Schema, required: bool, rules: list[str]) -> str:
    name = ".".join(path).replace(".[]", "[]")
    about = " ".join(node.get("description", "").split())
    takes = "; ".join([*_bounds(node), *rules])
    default = "required" if required else _shown(node["default"]) if "default" in node else ""
    words = (
        f"`{name}`",
        _type(node),
        default,
        f"{about} {f'({takes})' if takes else ''}".strip(),
        _example(path),
    )
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |\n"


def _type(node: Schema) -> str:
    if "x-kubernetes-int-or-string" in node:
        return "quantity"
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return "map"
    return str(node["type"])


def _bounds(node: Schema) -> list[str]:
    """What a value must be, in words."""
    bounds = []
    if "enum" in node:
        bounds.append("one of " + ", ".join(map(str, node["enum"])))
    if "pattern" in node and "x-kubernetes-int-or-string" not in node:
        bounds.append(ALLOWED[node["pattern"]])
    if "minimum" in node and "maximum" in node:
        bounds.append(f"{node['minimum']} to {node['maximum']}")
    if "maxItems" in node:
        bounds.append(f"at most {node['maxItems']}")
    return bounds


def _example(path: tuple[str, ...]) -> str:
    """The value in one of the documents that the API server's tests apply; leaves only."""
    for spec in BASES.values():
        body = document(spec)
        where = place(body, ("spec", *path))
        if where is None:
            continue
        value: Any = body
        for step in where:
            value = value[step]
        text = _shown(value)
        return text if not isinstance(value, dict) and len(text) < 80 else ""
    return ""


def _shown(value: Any) -> str:
    """A value as it is written in YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
    return f"`{text}`"
