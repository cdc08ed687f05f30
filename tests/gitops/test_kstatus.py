"""kstatus' own library over the states that an endpoint goes through; what is written on a cluster is judged in e2e."""

import pytest

from tests.gitops.judges import kstatus
from tests.unit.status.test_gitops_samples import BODIES

EXPECTED = {
    "healthy": "Current",
    "new": "InProgress",
    "edited": "InProgress",
    "progressing": "InProgress",
    "degraded-crashing": "Failed",
    "degraded-buffered": "Failed",
    "scaled-to-zero": "InProgress",
    "suspended": "Current",
}
"""`scaled-to-zero` serves nobody: a pipeline that wants no wait for it says so (docs/gitops.md)."""

pytestmark = pytest.mark.programs("kstatus")


def test_what_flux_concludes() -> None:
    """Each state ends an apply as it should."""
    assert dict(zip(BODIES, kstatus(BODIES.values()), strict=True)) == EXPECTED
