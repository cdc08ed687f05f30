"""Every golden child is taken by a real API server, with strict field validation and without being stored."""

from typing import Any

import pytest

from streaming_operator import render
from tests.apiserver.control_plane import OPTIONAL_CRDS, WITHOUT_A_PACKAGE, ControlPlane
from tests.golden import Case, cases, crd_name, untried


@pytest.mark.apiserver
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_api_server_takes_every_child_as_it_is(
    case: Case, control_plane: ControlPlane, namespace: str
) -> None:
    """
    Nothing is unknown, doubled or refused, and nothing that we send is dropped or rewritten.

    What the server rewrites would look like drift, and be written again in every pass.
    """
    changed = {}
    for child in case.children():
        if (child["apiVersion"], child["kind"]) in untried():
            continue
        child["metadata"]["namespace"] = namespace
        stored = control_plane.apply(child, manager="streaming-operator", dry_run=True)
        if lost := list(differing(child, stored, "")):
            changed[child["kind"]] = lost

    assert changed == {}


def test_every_policy_of_an_edge_is_tried_or_named_as_untried() -> None:
    """A policy that no API server here has seen is one of the list, whose edges' pages say so."""
    tried = {name for names in OPTIONAL_CRDS.values() for name in names}
    kinds = {crd_name(kind) for kind in render.policy_kinds()}

    assert kinds - tried == set(WITHOUT_A_PACKAGE)
    assert len(set(WITHOUT_A_PACKAGE)) == len(WITHOUT_A_PACKAGE)


def differing(sent: Any, stored: Any, path: str) -> list[str]:
    """Paths of the leaves that are not stored as they were sent."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [
            difference
            for key, value in sent.items()
            for difference in differing(value, stored.get(key), f"{path}.{key}")
        ]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        pairs = enumerate(zip(sent, stored, strict=True))
        return [
            difference
            for index, (one, other) in pairs
            for difference in differing(one, other, f"{path}[{index}]")
        ]
    return [] if sent == stored else [f"{path}: {sent!r} became {stored!r}"]
