"""Flux's own types read the samples, and its own evaluator tells the health of each state of an endpoint."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gitops.judges import flux
from tests.gitops.test_kstatus import EXPECTED
from tests.unit.status.test_gitops_samples import BODIES

FOLDER = Path(__file__).resolve().parents[2] / "manifests" / "gitops" / "flux"

pytestmark = pytest.mark.programs("flux")


def objects() -> list[dict[str, Any]]:
    """All of the samples."""
    return [doc for path in sorted(FOLDER.glob("*.yaml")) for doc in yaml.safe_load_all(path.read_text())]


def test_flux_reads_the_samples() -> None:
    """Strictly: no unknown field, no field of another type; a mistake is told."""
    wrong = {**objects()[0], "spec": {"intervall": "1m"}}
    *answers, refusal = flux([{"object": one} for one in [*objects(), wrong]])
    assert answers == ["ok"] * len(objects())
    assert 'unknown field "spec.intervall"' in refusal


def test_health_checks_agree_with_kstatus_save_for_zero_replicas() -> None:
    """An endpoint that serves nobody on purpose ends an apply too."""
    kustomization = next(one for one in objects() if one["kind"] == "Kustomization")
    (expressions,) = kustomization["spec"]["healthCheckExprs"]
    asked = [
        {"expressions": {name: expressions[name] for name in ("current", "failed")}, "object": body}
        for body in BODIES.values()
    ]
    assert dict(zip(BODIES, flux(asked), strict=True)) == {**EXPECTED, "scaled-to-zero": "Current"}


def test_the_kustomization_checks_our_kind() -> None:
    """By the names that the CRD has."""
    kustomization = next(one for one in objects() if one["kind"] == "Kustomization")
    (expressions,) = kustomization["spec"]["healthCheckExprs"]
    body = next(iter(BODIES.values()))
    assert (expressions["apiVersion"], expressions["kind"]) == (body["apiVersion"], body["kind"])
