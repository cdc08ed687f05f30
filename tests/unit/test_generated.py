"""Derived files: fresh, and the same in each place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hack import generate
from streaming_operator.api import crd

ROOT = Path(__file__).resolve().parent.parent.parent


BY_GO = {"manifests/install.yaml", "operator/streaming_operator/api/core_v1.json"}
"""Made by helm, and from the source of Kubernetes: `make check` compares them."""


@pytest.mark.parametrize("name", [name for name in generate.FILES if name not in BY_GO])
def test_fresh(name: str) -> None:
    """A generated file is what `make generate` would write now."""
    assert (ROOT / name).read_text() == generate.FILES[name]()


def test_one_crd_everywhere() -> None:
    """The plain manifests carry the CRD of crds/, and keep it when the chart goes."""
    expected: dict[str, Any] = yaml.load(crd.crd_yaml(), Loader=yaml.CSafeLoader)
    definitions = [doc for doc in _install() if doc["kind"] == "CustomResourceDefinition"]
    assert len(definitions) == 1
    assert definitions[0]["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
    if not definitions[0]["metadata"]["annotations"]:
        definitions[0]["metadata"].pop("annotations")
    assert definitions[0] == expected


def test_plain_manifests_install_everything() -> None:
    """manifests/install.yaml is complete: namespace first, then account, CRD, roles and the operator."""
    kinds = [doc["kind"] for doc in _install()]
    needed = {"ServiceAccount", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Deployment"}
    assert (kinds[0], needed - set(kinds)) == ("Namespace", set())


def _install() -> list[dict[str, Any]]:
    text = (ROOT / "manifests" / "install.yaml").read_text()
    documents = yaml.load_all(text, Loader=yaml.CSafeLoader)
    return [document for document in documents if document]
