"""
Every constraint of the generated CRD as a value: where it is, which keyword it is, and what it says.

The tests of the API and of its Python twins are made from this list, so that no constraint can be forgotten. What is
inside of a part of core/v1 is Kubernetes' own: tests/apiserver/test_core_v1.py tries it by examples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streaming_operator.api import crd

Schema = dict[str, Any]

ITEM = "[]"
VALUE = "{}"
"""Steps of a path into a list's items and a map's values."""

BOUNDS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties")
PLAIN = ("type", "format", "enum", "pattern", *BOUNDS)
"""Keywords whose value says all of the constraint."""

HARMLESS = frozenset(
    {
        "description",
        "default",
        "anyOf",  # stands beside x-kubernetes-int-or-string and says the same
        "properties",
        "items",
        "additionalProperties",
        "x-kubernetes-list-map-keys",
    }
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint of one node of the schema."""

    path: tuple[str, ...]
    keyword: str
    allowed: Any
    """The keyword's value; for `required` one field's name, for `rule` its message."""
    node: Schema
    """The node that it stands at."""

    @property
    def name(self) -> str:
        """A readable name, unique in the CRD."""
        said = f" {self.allowed}" if self.keyword in ("required", "rule") else ""
        return f"{'.'.join(self.path) or 'object'} {self.keyword}{said}"


def constraints() -> tuple[Constraint, ...]:
    """All constraints of `spec` and `status`, and the rules on the whole object."""
    root = crd.root_schema()
    all_of_them = [*_rules((), root), Constraint((), "required", "spec", root)]
    for name in ("spec", "status"):
        all_of_them += _walk((name,), root["properties"][name])
    return tuple(all_of_them)


def _walk(path: tuple[str, ...], node: Schema) -> Iterator[Constraint]:
    if crd.of_core_v1(node):
        yield Constraint(path, "type", "object", node)
        return
    for keyword, value in node.items():
        if keyword in PLAIN:
            yield Constraint(path, keyword, value, node)
        elif keyword == "x-kubernetes-int-or-string":
            yield Constraint(path, "int-or-string", "integer,string", node)
        elif keyword == "required":
            yield from (Constraint(path, keyword, name, node) for name in value)
        elif keyword == "x-kubernetes-list-type":
            if value != "atomic":
                yield Constraint(path, "unique", value, node)
        elif keyword == "x-kubernetes-validations":
            yield from _rules(path, node)
        elif keyword not in HARMLESS:
            raise NotImplementedError(f"{'.'.join(path)}: {keyword} is a constraint that no test knows")
    for name, inner in node.get("properties", {}).items():
        yield from _walk((*path, name), inner)
    if "items" in node:
        yield from _walk((*path, ITEM), node["items"])
    if "additionalProperties" in node:
        yield from _walk((*path, VALUE), node["additionalProperties"])


def _rules(path: tuple[str, ...], node: Schema) -> Iterator[Constraint]:
    for rule in node["x-kubernetes-validations"]:
        blamed = tuple(filter(None, rule.get("fieldPath", "").split(".")))
        yield Constraint((*path, *blamed), "rule", rule["message"], node)
