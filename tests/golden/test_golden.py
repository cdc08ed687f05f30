"""The renderer makes exactly the children that the golden files show."""

import pytest

from streaming_operator import render
from streaming_operator.render import documents
from tests.apiserver.documents import every_field, fields_of
from tests.golden import WRITING, Case, cases

KINDS = {(kind.api_version, kind.kind) for kind in render.CHILD_KINDS}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_children_are_as_the_golden_file_shows(case: Case) -> None:
    """The same endpoint and the same cluster give the same objects, in the same order."""
    rendered = documents.as_yaml(case.children())

    if WRITING:
        case.children_file.write_text(rendered)

    assert case.children_file.read_text() == rendered


def test_every_field_that_children_come_of_is_in_a_case() -> None:
    """What a field of `spec` renders can be read here; verification and suspend render nothing."""
    shown = {path for case in cases() for path in fields_of(case.body()["spec"])}
    rendering = {path for path in every_field() if path.partition(".")[0] not in ("verification", "suspend")}
    assert sorted(rendering - shown) == []


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_child_is_of_a_kind_that_is_watched(case: Case) -> None:
    """Nothing is rendered that the informers, the pruning and the role do not know of."""
    assert {(child["apiVersion"], child["kind"]) for child in case.children()} <= KINDS


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_every_child_is_owned_by_its_endpoint(case: Case) -> None:
    """The garbage collector can delete all of them without the operator."""
    owners = [child["metadata"]["ownerReferences"] for child in case.children()]

    assert [[case.endpoint().uid]] * len(owners) == [
        [owner["uid"] for owner in references] for references in owners
    ]
