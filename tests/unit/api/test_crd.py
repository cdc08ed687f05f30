"""The generated CRD as text and as a structural schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from streaming_operator.api import core_v1, crd
from streaming_operator.api.endpoint_status import EndpointStatus

ROOT = Path(__file__).resolve().parents[3]
Schema = dict[str, Any]


def _nodes(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from _nodes(inner, f"{path}.{name}")
    for part, step in (("items", "[]"), ("additionalProperties", "{}")):
        if part in node:
            yield from _nodes(node[part], f"{path}{step}")


SPEC = dict(_nodes(crd.root_schema()["properties"]["spec"]))


def test_the_file_is_fresh() -> None:
    """crds/ holds what the models say today."""
    text = (ROOT / "crds" / "streamingendpoints.yaml").read_text()
    assert yaml.load(text, Loader=yaml.CSafeLoader) == crd.crd()


def test_every_field_is_described() -> None:
    """`kubectl explain` has a sentence for every field."""
    fields = dict(_nodes(crd.root_schema()))
    bare = [
        path
        for path, node in fields.items()
        if not path.endswith(("[]", "{}"))
        and not path.startswith(".metadata")
        and not node.get("description")
    ]
    assert bare == []


def test_everything_a_rule_can_see_is_bounded() -> None:
    """Strings, lists and maps have limits, or the API server's cost budgets for CEL would refuse the CRD."""
    limits = {"string": {"maxLength", "enum"}, "array": {"maxItems"}}
    open_ended = [
        path for path, node in SPEC.items() if not limits.get(node.get("type", ""), node.keys()) & node.keys()
    ]
    maps = [
        path for path, node in SPEC.items() if "additionalProperties" in node and "maxProperties" not in node
    ]
    assert open_ended + maps == []


def test_only_structural_keywords_are_used() -> None:
    """Nothing is left of pydantic's dialect that the API server would refuse or drop."""
    foreign = {"$ref", "$defs", "title", "const", "prefixItems", "exclusiveMinimum", "nullable"}
    assert {key for _, node in _nodes(crd.root_schema()) for key in node} & foreign == set()


def test_defaults_reach_every_depth() -> None:
    """A part with defaults inside has the default `{}` itself, unless its absence means something."""
    optional = {".exposure", ".exposure.ingress", ".exposure.httpRoute"}
    for path, node in SPEC.items():
        inner = any("default" in field for field in node.get("properties", {}).values())
        if inner and path and "required" not in node and path not in optional and "[]" not in path:
            assert node.get("default") == {}, path


def test_parts_of_core_v1_bring_no_default() -> None:
    """What an author left out of an affinity or a security context stays out: Kubernetes sets it on the pods."""
    parts = [name for name in core_v1.definitions() if "default" in _keywords(crd.core_part(name))]
    assert parts == []


def _keywords(node: Schema) -> list[str]:
    return [keyword for _, inner in _nodes(node) for keyword in inner]


def test_nothing_is_stored_unseen() -> None:
    """Every part of a spec has a schema, so that its depth and size are bounded."""
    insides = {"properties", "items", "additionalProperties"}
    open_ended = [
        path
        for path, node in SPEC.items()
        if node.get("type") in ("object", "array") and not insides & node.keys()
    ]
    assert (open_ended, "preserve-unknown" in crd.crd_yaml()) == ([], False)


def test_kubectl_can_apply_it() -> None:
    """kubectl keeps what it applied in an annotation, and those have at most 256 KiB."""
    assert len(json.dumps(crd.crd(), separators=(",", ":"))) < 256 << 10


def test_annotations_are_those_asked_for() -> None:
    """The chart adds its own annotation without touching the rest."""
    kept = crd.crd({"helm.sh/resource-policy": "keep"})
    assert kept["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert kept == crd.crd()


def test_the_text_is_stable() -> None:
    """The same code writes the same bytes, without YAML anchors."""
    text = crd.crd_yaml()
    assert crd.crd_yaml() == text
    assert "&id" not in text


def test_status_names_follow_the_design() -> None:
    """Names that camel case alone would get wrong."""
    properties = crd.structural(EndpointStatus)["properties"]
    assert {"internalURL", "lastVerifiedTTFTMilliseconds"} <= properties.keys()
    hop = properties["verification"]["properties"]["hops"]["items"]["properties"]
    assert {"ttftMilliseconds", "p95GapMilliseconds", "maxGapMilliseconds", "pacingPercent"} <= hop.keys()
