"""
RBAC is minimal: nothing that was asked in this run was forbidden, and nothing is granted that was not used.

It judges what all the others made the operator do, so it waits until they have ended, wherever they run.
"""

import re

import pytest

from tests.e2e import audit, kube, release
from tests.lanes import ended
from tests.lanes.plugin import others_on_the_cluster

TAKEN_AWAY = re.compile(r"^get /api/v1/namespaces/e2e-chart-[^/]+/secrets/key$")
"""A right that test_chart.py takes away for a while, to see what the operator says."""
Grant = tuple[str, str, str]
"""(group, resource, verb)"""


def _granted() -> set[Grant]:
    """What the release's own roles grant; with no watchNamespaces they are ClusterRoles."""
    roles = [kube.get("clusterrole", f"{release.RELEASE}{suffix}") for suffix in ("", "-metrics-auth")]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _used(since: int) -> set[Grant]:
    """What was asked; a server-side apply that made a new object needed `create` too."""
    asked = audit.requests(since)
    made = {(r.group, r.resource, "create") for r in asked if r.verb == "patch" and r.code == 201}
    return {(r.group, r.resource, r.verb) for r in asked} | made


@pytest.fixture(autouse=True)
def others_ended(request: pytest.FixtureRequest) -> None:
    """Every other test on the cluster has ended: it was waited for before this one's time began."""
    assert ended.missing(others_on_the_cluster(request.node)) == set()


def test_nothing_was_forbidden(cluster: int) -> None:
    """The roles cover everything that the operator asked for."""
    assert sorted(what for what in set(audit.forbidden(cluster)) if not TAKEN_AWAY.search(what)) == []


def test_everything_granted_was_used(cluster: int, request: pytest.FixtureRequest) -> None:
    """Each verb on each resource was needed by something that the tests showed."""
    files = {item.path for item in request.session.items if item.path.parent == request.path.parent}
    every = set(request.path.parent.glob("test_*.py"))
    if files != every:
        pytest.skip("judges a whole run: pytest tests/e2e")
    assert _granted() - _used(cluster) == set()
