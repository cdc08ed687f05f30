"""
The CRD, generated from the pydantic models: structural OpenAPI v3 with defaults, descriptions and CEL rules.

pydantic's JSON schema has everything, but not as the API server requires it: references are inlined, `null`
alternatives and titles removed, the defaults of parts made effective.
Why not a library: docs/decisions/0001-own-crd-generator.md.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from streaming_operator.api import core_v1
from streaming_operator.api.cel import Model
from streaming_operator.api.endpoint import GROUP, KIND, PLURAL, ROOT_CEL, VERSION, EndpointSpec
from streaming_operator.api.endpoint_status import EndpointStatus

Schema = dict[str, Any]

CRD_NAME = f"{PLURAL}.{GROUP}"

_KEPT = (
    "type",
    "description",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "default",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
"""The keywords of a structural schema that we use, in the order in which they are written."""

UNOBSERVED = -1
"""`status.observedGeneration` of an endpoint that no operator has looked at yet, as in the APIs of Flux."""

_DROPPED = frozenset({"title", "$defs"})


def crd(annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The CustomResourceDefinition, with the given annotations."""
    metadata: dict[str, Any] = {"name": CRD_NAME}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["sep"],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def crd_yaml(annotations: Mapping[str, str] | None = None) -> str:
    """The CRD as text; deterministic."""
    return yaml.dump(crd(annotations), Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Without anchors: shared parts are repeated."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": _columns(),
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {"openAPIV3Schema": root_schema()},
    }


def _columns() -> list[dict[str, Any]]:
    """The table of `kubectl get sep`; those after Age only with `-o wide`."""

    def condition(kind: str, field: str) -> str:
        return f'.status.conditions[?(@.type=="{kind}")].{field}'

    shown = (
        ("URL", "string", ".status.url", "Base URL that users call"),
        ("Model", "string", ".status.modelName", "Model name that clients send"),
        (
            "Ready",
            "string",
            condition("Ready", "status"),
            "Whether a completion streamed through the users' address",
        ),
        ("Streaming", "string", condition("StreamingVerified", "reason"), "What the last verification found"),
        (
            "TTFT",
            "integer",
            ".status.lastVerifiedTTFTMilliseconds",
            "Milliseconds to the first token, last verification",
        ),
        ("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
    )
    wide = (
        ("Replicas", "integer", ".status.readyReplicas", "Model servers that are ready"),
        ("GPU", "integer", ".spec.gpu.count", "Devices of one replica"),
        ("Class", "string", ".spec.exposure.ingress.className", "IngressClass that carries the endpoint"),
        (
            "Gateway",
            "string",
            ".spec.exposure.httpRoute.parentRefs[*].name",
            "Gateways that carry the endpoint",
        ),
    )
    return [_column(*column, priority=0) for column in shown] + [
        _column(*column, priority=1) for column in wide
    ]


def _column(name: str, kind: str, path: str, description: str, *, priority: int) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": priority} if priority else {})


def root_schema() -> Schema:
    """The schema of the whole object."""
    return {
        "type": "object",
        "description": "A model server on GPUs that is Ready only while it streams to its users.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": KIND},
            # Declared only so that the rules can blame `metadata.name`.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural(EndpointSpec),
            # An object without any status is taken for ready by kstatus; generations begin at 1.
            "status": {**structural(EndpointStatus), "default": {"observedGeneration": UNOBSERVED}},
        },
        "x-kubernetes-validations": [rule.schema() for rule in ROOT_CEL],
    }


def structural(model: type[Model]) -> Schema:
    """The structural schema of one model, with every reference inlined."""
    document = model.model_json_schema(by_alias=True)
    return _node(document, document.get("$defs", {}) | core_v1.definitions())


def core_part(name: str) -> Schema:
    """The structural schema of one part of core/v1."""
    return _node(core_v1.definitions()[name], core_v1.definitions())


def of_core_v1(node: Schema) -> bool:
    """Whether what is inside of an object is Kubernetes' own, not ours."""
    return node.get("properties") in _insides()


@cache
def _insides() -> list[Schema]:
    return [core_part(name)["properties"] for name in core_v1.definitions()]


def _node(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """One node and everything below it as a structural schema."""
    node = _plain(node, definitions)
    if "properties" in node:
        required = node.get("required", ())
        node["properties"] = {
            name: _property(inner, definitions, optional=name not in required)
            for name, inner in node["properties"].items()
        }
        node.pop(
            "additionalProperties", None
        )  # `false` is not structural; pruning and strict validation do it
    elif "additionalProperties" in node:
        node["additionalProperties"] = _node(node["additionalProperties"], definitions)
    if "items" in node:
        node["items"] = _node(node["items"], definitions)
        node.setdefault("x-kubernetes-list-type", "atomic")
    unknown = node.keys() - set(_KEPT) - _DROPPED
    if unknown:
        raise ValueError(f"no structural schema knows {', '.join(sorted(unknown))}")
    return {key: node[key] for key in _KEPT if key in node}


def _plain(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """*node* without references and without the alternative `null`; keywords beside them take precedence."""
    node = dict(node)
    if "anyOf" in node and "x-kubernetes-int-or-string" not in node:
        (inner,) = [choice for choice in node.pop("anyOf") if choice.get("type") != "null"]
        node = _plain(inner, definitions) | node
    if core_v1.KEYWORD in node:
        node = _plain(definitions[core_v1.PREFIX + node.pop(core_v1.KEYWORD)], definitions) | node
    if "$ref" in node:
        node = _plain(definitions[node.pop("$ref").rpartition("/")[2]], definitions) | node
    return node


def _property(node: Schema, definitions: Mapping[str, Schema], *, optional: bool) -> Schema:
    """
    A node with its effective default.

    An absent part gets `{}` where it has defaults inside, otherwise they would not apply; parts whose absence has a
    meaning (`X | None`) and empty lists and maps are not stored.
    """
    schema = _node(node, definitions)
    absence_has_meaning = "default" in node and node["default"] is None
    if schema.get("default") in (None, [], {}):
        schema.pop("default", None)
    if optional and not absence_has_meaning and _has_defaults(schema):
        schema = {key: (schema | {"default": {}})[key] for key in _KEPT if key in schema or key == "default"}
    return schema


def _has_defaults(node: Schema) -> bool:
    return any("default" in inner for inner in node.get("properties", {}).values())
