"""Who has only what the README asks for can install everything that needs no cluster."""

import os

import pytest

from hack import rehearsal
from tests.cluster import rootfs
from tests.lanes import preparation

FULL = bool(os.environ.get("FULL"))
BY_REQUEST = pytest.mark.skip(reason="takes minutes of both cores: FULL=1, or make rehearsal")


def rehearsed(release: str) -> object:
    """The parameter of a release; without FULL=1 nothing is prepared for it."""
    return pytest.param(release, marks=pytest.mark.rehearsal(release) if FULL else BY_REQUEST)


@pytest.mark.parametrize("release", map(rehearsed, rootfs.RELEASES))
def test_everything_is_installed_in_a_bare_debian(request: pytest.FixtureRequest, release: str) -> None:
    """`make venv`, `make check`, every program and vLLM: each command ended with 0 in a root that nobody prepared."""
    (rehearsed,) = preparation.needs(request.node)
    took = rehearsed.outcome().value
    assert isinstance(took, dict)
    assert tuple(took) == rehearsal.WITHOUT_CLUSTER
