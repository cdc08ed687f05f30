"""Parts of core/v1 in a spec on a real API server: Kubernetes' own schema, bounded, explained, without defaults."""

import json
import subprocess
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from streaming_operator.api import core_v1, crd
from streaming_operator.api.endpoint import PLURAL, StreamingEndpoint
from tests.apiserver.client import APPLY, PATIENCE, ApiError
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.documents import MINIMAL, STATUS, Document, document, dotted, edited
from tests.cluster.programs import listed

pytestmark = pytest.mark.apiserver

PARTS = {
    "spec.affinity": "Affinity",
    "spec.tolerations": "Toleration",
    "spec.topologySpreadConstraints": "TopologySpreadConstraint",
    "spec.podSecurityContext": "PodSecurityContext",
    "spec.securityContext": "SecurityContext",
    "spec.engine.envFrom": "EnvFromSource",
    "spec.cache.ephemeral.volumeClaimTemplate": "PersistentVolumeClaimTemplate",
}
"""Fields by path, and the type of core/v1 that they, or the items of a list, have."""
LISTS = {"spec.tolerations", "spec.topologySpreadConstraints", "spec.engine.envFrom"}

VALUES = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
DEEP = 1_000


def _in(namespace: str, *edits: tuple[str, Any]) -> Document:
    manifest = edited(document(MINIMAL), (("metadata", "namespace"), namespace))
    return edited(manifest, *((dotted(path), value) for path, value in edits))


def _node_affinity(values: Any) -> Document:
    """An affinity to nodes with one of these values of a label."""
    expression = {"key": "node", "operator": "In", "values": values}
    return {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}


def _nested(manifest: Document, place: str, opening: str, closing: str) -> bytes:
    """The manifest as JSON, with brackets nested 1,000 deep at the text *place*: Python's own encoder stops earlier."""
    return json.dumps(manifest).replace(f'"{place}"', opening * DEEP + "1" + closing * DEEP).encode()


HERE = "here"
UNKNOWN = ("spec.affinity", HERE, '{"a":', "}")
KNOWN = (VALUES, _node_affinity([HERE]), "[", "]")


@pytest.mark.parametrize(
    ("part", "field"),
    [(UNKNOWN, 'unknown field "spec.affinity.a"'), (KNOWN, f"{VALUES}.nodeSelectorTerms[0]")],
)
def test_a_thousand_levels_are_refused(
    control_plane: ControlPlane, namespace: str, part: tuple[str, Any, str, str], field: str
) -> None:
    """With strict validation, kubectl's default, what is nested 1,000 deep is refused, and the field is named."""
    path, value, opening, closing = part
    manifest = _in(namespace, (path, value))
    sent = _nested(manifest, HERE, opening, closing)
    with pytest.raises(ApiError) as refusal:
        control_plane.request("POST", control_plane.collection(manifest), sent, fieldValidation="Strict")
    assert (refusal.value.status in (400, 422), field in refusal.value.message) == (True, True)


def test_levels_that_no_type_has_are_not_stored(control_plane: ControlPlane, namespace: str) -> None:
    """Without strict validation they are dropped; neither the spec nor managedFields keep any of them."""
    manifest = _in(namespace, ("spec.affinity", HERE))
    sent = _nested(manifest, HERE, '{"a":', "}")
    stored = control_plane.request("POST", control_plane.collection(manifest), sent, fieldValidation="Ignore")
    assert (stored["spec"]["affinity"], '"f:a"' in json.dumps(stored["metadata"])) == ({}, False)


def test_server_side_apply_stores_no_levels_either(control_plane: ControlPlane, namespace: str) -> None:
    """An apply of what no type has is refused, whatever validation it asks for."""
    manifest = _in(namespace, ("spec.affinity", HERE))
    sent = _nested(manifest, HERE, '{"a":', "}")
    query = {"fieldManager": "test", "fieldValidation": "Ignore"}
    with pytest.raises(ApiError, match=r"\.spec\.affinity\.a: field not declared in schema"):
        control_plane.request("PATCH", control_plane.path(manifest), sent, kind=APPLY, **query)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (VALUES, _node_affinity([str(number) for number in range(257)]), "matchExpressions[0].values"),
        (VALUES, _node_affinity(["x" * 40_000]), "matchExpressions[0].values[0]"),
        ("spec.tolerations", [{"tolerationSeconds": 10**20}], "spec.tolerations[0].tolerationSeconds"),
        ("spec.securityContext", {"runAsUser": "root"}, "spec.securityContext.runAsUser"),
        ("spec.topologySpreadConstraints", [{"maxSkew": 1}], "spec.topologySpreadConstraints[0].topologyKey"),
        (
            "spec.engine.env",
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
            "secretKeyRef.key",
        ),
    ],
)
def test_what_a_type_does_not_allow_is_refused(
    control_plane: ControlPlane, namespace: str, path: str, value: Any, field: str
) -> None:
    """Too many, too long, too large, of another type, or incomplete: refused at once, and the field is named."""
    with pytest.raises(ApiError) as refusal:
        control_plane.create(_in(namespace, (path, value)), dry_run=True)
    assert (refusal.value.status, field in refusal.value.message) == (422, True)


def test_every_field_of_every_type_is_kept_as_it_was_written(
    control_plane: ControlPlane, namespace: str
) -> None:
    """A part with all the fields that its type has is stored without a change: nothing dropped, no default added."""
    full = {path: _full(f"{core_v1.PREFIX}{name}") for path, name in PARTS.items()}
    full = {path: [part] if path in LISTS else part for path, part in full.items()}
    full["spec.engine.env"] = [{"name": "A", "valueFrom": _full(f"{core_v1.PREFIX}EnvVarSource")}]
    written = _in(namespace, *full.items())
    stored = control_plane.create(written)
    assert {path: _at(stored, path) for path in full} == full


def _at(body: Document, path: str) -> Any:
    for step in path.split("."):
        body = body[step]
    return body


def _full(name: str) -> Any:
    """A value of a type with every field set."""
    return _value(crd.core_part(name))


def _value(node: Document) -> Any:
    if "properties" in node:
        return {name: _value(inner) for name, inner in node["properties"].items()}
    if "additionalProperties" in node:
        return {"a": _value(node["additionalProperties"])}
    if "items" in node:
        return [_value(node["items"])]
    return {"integer": 1, "boolean": True}.get(node.get("type", ""), "1")


def _kubectl(program: Path, plane: ControlPlane, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(program), "--kubeconfig", str(plane.kubeconfig), *words]
    return subprocess.run(listed(command), check=False, capture_output=True, text=True)


def test_kubectl_explains_every_level(control_plane: ControlPlane, kubectl: Path) -> None:
    """`kubectl explain` says what Kubernetes says of the same field of a pod."""
    explained = {
        "tolerations.effect": "Effect indicates the taint effect to match",
        "affinity.podAntiAffinity": "Describes pod anti-affinity scheduling rules",
        "engine.env.valueFrom.resourceFieldRef.divisor": "Specifies the output format of the exposed resources",
    }
    for field, sentence in explained.items():
        said = _kubectl(kubectl, control_plane, "explain", f"sep.spec.{field}").stdout
        assert sentence in " ".join(said.split())


def test_kubectl_apply_names_a_typo(
    control_plane: ControlPlane, namespace: str, kubectl: Path, tmp_path: Path
) -> None:
    """A misspelt field inside an affinity is an error of `kubectl apply`, not one of the pods later."""
    file = tmp_path / "endpoint.json"
    file.write_text(json.dumps(_in(namespace, ("spec.affinity", {"nodeAffinty": {}}))))
    applied = _kubectl(kubectl, control_plane, "apply", "--filename", str(file))
    assert (applied.returncode, 'unknown field "spec.affinity.nodeAffinty"' in applied.stderr) == (1, True)


GROUP_BEFORE = "before.example"


@pytest.fixture
def free_form(control_plane: ControlPlane) -> Iterator[Document]:
    """The CRD as it was when these parts were free-form, in a group of its own."""
    before = _in_another_group(crd.crd())
    for version in before["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        fields = schema["properties"]["spec"]["properties"]
        for later in ("volumes", "initContainers", "sidecars"):
            del fields[later]
        del fields["engine"]["properties"]["volumeMounts"]
        _forget_core_v1(schema)
    control_plane.install([before])
    yield before
    control_plane.delete(before)
    control_plane.forget_kinds()


def _in_another_group(manifest: Document) -> Document:
    names = manifest["spec"]["names"] | {"shortNames": ["before"]}
    spec = deepcopy(manifest["spec"]) | {"group": GROUP_BEFORE, "names": names}
    return manifest | {"metadata": {"name": f"{PLURAL}.{GROUP_BEFORE}"}, "spec": spec}


def _forget_core_v1(node: Document) -> None:
    node.pop("x-kubernetes-validations", None)  # rules look into these parts
    if crd.of_core_v1(node):
        for keyword in ("properties", "required"):
            node.pop(keyword, None)
        node["x-kubernetes-preserve-unknown-fields"] = True
    for inner in [*node.get("properties", {}).values(), node.get("items")]:
        if inner:
            _forget_core_v1(inner)


def test_what_was_stored_before_stays_and_is_reconciled(
    control_plane: ControlPlane, namespace: str, free_form: Document
) -> None:
    """
    An endpoint of the time before these schemas that breaks a bound keeps its spec: an apply of the same manifest
    changes no spec, its status and its other fields can be written, and the operator takes it as it is.
    """
    many = _node_affinity([str(number) for number in range(300)])
    manifest = _in(namespace, (VALUES, many)) | {"apiVersion": f"{GROUP_BEFORE}/v1alpha1"}
    _until(control_plane, manifest, "accepted")
    before = control_plane.apply(manifest)
    control_plane.apply(_in_another_group(crd.crd()))
    _until(control_plane, manifest, "refused")
    again = control_plane.apply(manifest)
    assert (again["metadata"]["generation"], again["spec"]) == (1, before["spec"])
    # The first apply writes its own managedFields as the new schema has them; the next one writes nothing.
    third = control_plane.apply(manifest)
    assert third["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    control_plane.request("PUT", control_plane.path(third, "status"), third | {"status": STATUS})
    control_plane.patch(third, {"spec": {"replicas": 3}})
    after = control_plane.get(third)
    assert (after["status"], after["spec"]) == (STATUS, before["spec"] | {"replicas": 3})
    assert StreamingEndpoint.from_body(after).spec.affinity == before["spec"]["affinity"]


def _until(plane: ControlPlane, manifest: Document, wanted: str) -> None:
    """Wait until creating the manifest is `accepted`, or `refused`: a CRD is served some time after it is stored."""
    created = edited(manifest, (("metadata", "name"), "other"))
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            plane.create(created, dry_run=True)
            answer = "accepted"
        except KeyError:
            answer = "not discovered"
        except ApiError as refusal:  # 404 before it is served, 503 while an old schema is taken away
            answer = "refused" if refusal.status == 422 else str(refusal)
        if answer == wanted:
            return
        time.sleep(0.05)
    raise TimeoutError(f"not {wanted}: {answer}")
