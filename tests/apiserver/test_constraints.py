"""The CRD on a real API server: each constraint lets one document pass and refuses another helpfully."""

from copy import deepcopy

import pytest

from tests.apiserver.client import ApiClient, ApiError
from tests.apiserver.constraints import Constraint, constraints
from tests.apiserver.control_plane import ControlPlane
from tests.apiserver.documents import BASES, Document, document
from tests.apiserver.rows import row

pytestmark = pytest.mark.apiserver

ALL = constraints()
SPEC = [constraint for constraint in ALL if constraint.path[:1] != ("status",)]
STATUS = [constraint for constraint in ALL if constraint.path[:1] == ("status",)]


def _named(constraint: Constraint) -> str:
    return constraint.name


def _create(server: ApiClient, body: Document) -> None:
    server.create(body, dry_run=True)


@pytest.mark.parametrize("constraint", SPEC, ids=_named)
def test_a_constraint_on_the_spec(control_plane: ControlPlane, constraint: Constraint) -> None:
    """A document within it is accepted; one outside is refused, naming the field and what is allowed."""
    tried = row(constraint)
    _create(control_plane, tried.accepted)
    with pytest.raises(ApiError) as refusal:
        _create(control_plane, tried.rejected)
    assert refusal.value.status == 422
    assert [words for words in (f"{tried.path}: ", *tried.said) if words not in refusal.value.message] == []


@pytest.fixture(scope="module")
def stored(control_plane: ControlPlane) -> Document:
    """An endpoint that is really there, since `status` can be written only beside a stored object."""
    return control_plane.create(document(BASES["inside"], name="with-status"))


@pytest.mark.parametrize("constraint", STATUS, ids=_named)
def test_a_constraint_on_the_status(
    control_plane: ControlPlane, stored: Document, constraint: Constraint
) -> None:
    """The same for what the operator writes."""
    tried = row(constraint)
    _put_status(control_plane, stored, tried.accepted)
    with pytest.raises(ApiError) as refusal:
        _put_status(control_plane, stored, tried.rejected)
    assert refusal.value.status == 422
    assert [words for words in (f"{tried.path}: ", *tried.said) if words not in refusal.value.message] == []


def _put_status(server: ApiClient, stored: Document, body: Document) -> None:
    body = deepcopy(stored) | {"status": body["status"]}
    server.request("PUT", server.path(stored, "status"), body, dryRun="All", fieldValidation="Strict")
