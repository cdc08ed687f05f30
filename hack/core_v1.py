"""
The schemas of the parts of core/v1 that a spec holds, from Kubernetes' own OpenAPI document.

Left out are defaults, since Kubernetes sets them on the pods and a stored endpoint keeps what its author wrote, and
uniqueness within lists. Added are bounds: the document has none.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from streaming_operator.api.core_v1 import KEYWORD, PREFIX
from streaming_operator.api.endpoint import EndpointSpec
from tests.cluster import openapi

Schema = dict[str, Any]

LONGEST_TEXT = 32_768
"""Characters; as long as the value of an environment variable in the spec."""
MOST_ITEMS = 256
"""Of a list and of a map. The longest that people write are lists of node names."""
LONGEST_DESCRIPTION = 200
"""Characters; more than one sentence is kept only within them."""

_CORE = "io.k8s.api.core.v1."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_INT_OR_STRING: Schema = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "maxLength": 64,
    "x-kubernetes-int-or-string": True,
}
_TEXTS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": LONGEST_TEXT},
    "maxProperties": MOST_ITEMS,
}
_OURS: dict[str, Schema] = {
    # Of a claim's template: Kubernetes refuses everything else there.
    f"{_META}ObjectMeta": {
        "type": "object",
        "properties": {
            "labels": _TEXTS | {"description": "Labels of the claim."},
            "annotations": _TEXTS | {"description": "Annotations of the claim."},
        },
    },
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _INT_OR_STRING,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _INT_OR_STRING,
}
"""Types that the document describes in words that are not structural."""


def definitions() -> str:
    """The content of `api/core_v1.json`: every type that `EndpointSpec` names, and those within."""
    document = json.loads(openapi.core_v1().read_text(encoding="utf-8"))["components"]["schemas"]
    made: dict[str, Schema] = {}
    pending = [f"{_CORE}{name}" for name in named(EndpointSpec.model_json_schema())]
    while pending:
        name = pending.pop()
        if short(name) not in made:
            made[short(name)] = structural(document[name])
            pending += references(document[name])
    return json.dumps(dict(sorted(made.items())), indent=1, ensure_ascii=False) + "\n"


def named(node: Any) -> Iterator[str]:
    """The types of core/v1 that a JSON schema of ours names."""
    if isinstance(node, dict):
        if KEYWORD in node:
            yield node[KEYWORD]
        for inner in node.values():
            yield from named(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from named(inner)


def references(node: Any) -> Iterator[str]:
    """The types that a schema of the document refers to, but for those that stand in `_OURS`."""
    if isinstance(node, dict):
        if "$ref" in node and (name := target(node["$ref"])) not in _OURS:
            yield name
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def structural(node: Schema) -> Schema:
    """One schema of the document, bounded; raises `ValueError` for one that says nothing of what is inside."""
    if "allOf" in node:
        (inner,) = node["allOf"]
        return structural(inner) | described(node)
    if "$ref" in node:
        name = target(node["$ref"])
        return (dict(_OURS[name]) if name in _OURS else {"$ref": f"#/$defs/{short(name)}"}) | described(node)
    made: Schema = {"type": node["type"]} | described(node)
    match node["type"]:
        case "object" if "properties" in node:
            made["properties"] = {name: structural(inner) for name, inner in node["properties"].items()}
            made |= {"required": node["required"]} if "required" in node else {}
        case "object" if "additionalProperties" in node:
            made["additionalProperties"] = structural(node["additionalProperties"])
            made["maxProperties"] = MOST_ITEMS
        case "array":
            made |= {"items": structural(node["items"]), "maxItems": MOST_ITEMS}
        case "string":
            made["maxLength"] = LONGEST_TEXT
        case "integer":
            made |= {"format": node["format"]} if "format" in node else {}
        case "boolean":
            pass
        case _:
            raise ValueError(f"no bounded schema is known for {node}")
    return made


def described(node: Schema) -> Schema:
    """The description's first sentences."""
    paragraph = " ".join(node.get("description", "").partition("\n\n")[0].split())
    kept = ""
    for sentence in re.split(r"(?<=[.:!])\s+(?=[A-Z])", paragraph):
        if kept and len(kept) + len(sentence) >= LONGEST_DESCRIPTION:
            break
        kept = f"{kept} {sentence}".strip()
    return {"description": kept} if kept else {}


def target(reference: str) -> str:
    """The name that a `$ref` leads to."""
    return reference.rpartition("/")[2]


def short(name: str) -> str:
    """A type's name as it stands in `api/core_v1.json`; the few of meta/v1 are among those of core/v1."""
    return PREFIX + name.removeprefix(_CORE).removeprefix(_META)
