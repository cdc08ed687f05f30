"""
RBAC is minimal: nothing that was asked in this run was forbidden, and nothing is granted that was not used.

It judges what all the others made the operator do, so it waits until they have ended, wherever they run.
"""

import re

import pytest

from tests.e2e import audit, kube, release

pytestmark = pytest.mark.usefixtures("others_ended")

TAKEN_AWAY = re.compile(
    r"^get /api/v1/namespaces/e2e-chart-[^/]+/secrets/key$"
    r"|^(get|patch) /apis/coordination\.k8s\.io/v1/namespaces/[^/]+/leases/streaming-operator(\?|$)"
)
"""
Rights that test_chart.py takes away: that to a key for a while, to see what the operator says; and `helm uninstall`
deletes the Role of the Lease while the operator ends. An operator that may not write its Lease at all is never ready.
"""
Grant = tuple[str, str, str]
"""(group, resource, verb)"""


def _granted() -> set[Grant]:
    """What the release's own roles grant; with no watchNamespaces they are ClusterRoles."""
    roles = [kube.get("clusterrole", f"{release.RELEASE}{suffix}") for suffix in ("", "-metrics-auth")]
    # `create` of the Lease is used once in the life of a cluster, perhaps in an earlier run.
    lease = kube.get("role", f"{release.RELEASE}-lease", release.NAMESPACE)
    roles.append({"rules": [rule for rule in lease["rules"] if rule["verbs"] != ["create"]]})
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


def test_nothing_was_forbidden(cluster: int) -> None:
    """The roles cover everything that the operator asked for."""
    assert sorted(what for what in set(audit.forbidden(cluster)) if not TAKEN_AWAY.search(what)) == []


@pytest.mark.usefixtures("whole_run")
def test_everything_granted_was_used(cluster: int) -> None:
    """Each verb on each resource was needed by something that the tests showed."""
    assert _granted() - _used(cluster) == set()
