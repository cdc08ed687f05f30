"""Who has only what the README asks for can install everything that needs no cluster."""

import os

import pytest

from hack import rehearsal
from hack.rehearsal import PARTS, QUICK
from tests.cluster import rootfs
from tests.lanes import preparation


def rehearsed(part: str, release: str) -> object:
    """
    The parameters of a rehearsal that is prepared: one that is quick, that has passed, or that FULL=1 asks for.

    The others are skipped, and the reason says how to run them.
    """
    if rehearsal.INSIDE.exists():
        marks = pytest.mark.skip(reason="this is a rehearsal already")
    elif part == QUICK or os.environ.get("FULL") or rehearsal.passed(part, release):
        marks = pytest.mark.rehearsal(part, release)
    else:
        marks = pytest.mark.skip(
            reason="its scripts have changed since it last passed here, and it takes ten minutes: "
            f"make rehearsal REHEARSAL='--release {release}', or FULL=1"
        )
    return pytest.param(part, release, marks=marks)


@pytest.mark.parametrize(
    ("part", "release"), [rehearsed(part, release) for part in PARTS for release in rootfs.RELEASES]
)
def test_everything_is_installed_in_a_bare_debian(
    request: pytest.FixtureRequest, part: str, release: str
) -> None:
    """`make venv`, `make check`, every program and vLLM: each command ended with 0 in a root that nobody prepared."""
    (need,) = preparation.needs(request.node)
    took = need.outcome().value
    assert isinstance(took, dict)
    assert tuple(took) == PARTS[part].commands
