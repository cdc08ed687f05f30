"""What is rendered is watched, and the operator may do it: a kind forgotten elsewhere is named here."""

from pathlib import Path

import pytest
import yaml

from streaming_operator import render
from streaming_operator.kinds import Kind

ALWAYS_GRANTED = [kind for kind in render.CHILD_KINDS if kind not in render.policy_kinds()]
"""An edge's own kinds are granted where the chart's `edgePolicies` names it: tests/unit/test_chart.py."""
INSTALL = Path(__file__).resolve().parents[2] / "manifests" / "install.yaml"


def granted(kind: Kind) -> set[str]:
    """The verbs that the operator's role has on the kind."""
    documents = yaml.safe_load_all(INSTALL.read_text())
    roles = (one for one in documents if one["kind"] == "ClusterRole")
    role = next(one for one in roles if one["metadata"]["name"] == "streaming-operator")
    group = kind.api_version.rpartition("/")[0]
    rules = [
        rule for rule in role["rules"] if group in rule["apiGroups"] and kind.plural in rule["resources"]
    ]
    return {verb for rule in rules for verb in rule["verbs"]}


@pytest.mark.parametrize("kind", ALWAYS_GRANTED, ids=lambda kind: kind.plural)
def test_every_kind_of_child_may_be_watched_and_written(kind: Kind) -> None:
    """Informers list and watch it, server-side apply creates and patches it."""
    assert {"list", "watch", "create", "patch"} - granted(kind) == set()


SOMETIMES_GONE = [kind for kind in ALWAYS_GRANTED if kind.kind not in {"Service", "Deployment"}]


@pytest.mark.parametrize("kind", SOMETIMES_GONE, ids=lambda kind: kind.plural)
def test_what_is_not_always_rendered_may_be_pruned(kind: Kind) -> None:
    """A child that is no longer rendered is deleted; Service and Deployment go with their endpoint alone."""
    assert "delete" in granted(kind)
