"""
Real kind, real ingress-nginx, the operator from its chart, users who stream through the edge.

Every test gets a namespace of its own; the cluster and the release are those of the whole run.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for
from tests.lanes import ended, preparation
from tests.lanes.plugin import others_on_the_cluster

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs on the cluster."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> int:
    """Cluster and operator, prepared for the whole run; the mark in the audit log where the run began."""
    since = preparation.CLUSTER.outcome().value
    assert isinstance(since, int)
    return since


def _fresh(name: str) -> str:
    """A namespace of a name of its own, in which a pod can be made: a busy cluster brings its account later."""
    short = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30]
    namespace = f"e2e-{short}-{secrets.token_hex(2)}"
    kube.kubectl("create", "namespace", namespace)
    wait_for(lambda: kube.get("serviceaccount", "default", namespace), f"the service account of {namespace}")
    return namespace


def _drop(namespace: str) -> None:
    """Delete it without waiting: the next test has another one."""
    kube.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def namespace(cluster: int, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test."""
    name = _fresh(request.node.name.removeprefix("test_"))
    yield name
    _drop(name)


@pytest.fixture
def others_ended(request: pytest.FixtureRequest) -> None:
    """Every other test on the cluster has ended: it is waited for before the time of one that judges them begins."""
    assert ended.missing(others_on_the_cluster(request.node)) == set()


@pytest.fixture
def whole_run(request: pytest.FixtureRequest) -> None:
    """Every file of this folder is in the run."""
    if {item.path for item in request.session.items if item.path.parent == HERE} != set(
        HERE.glob("test_*.py")
    ):
        pytest.skip("judges a whole run: pytest tests/e2e")


@pytest.fixture(scope="module")
def shared_namespace(cluster: int, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for the tests of one file, which share what takes long to start."""
    name = _fresh(request.path.stem.removeprefix("test_"))
    yield name
    _drop(name)


@pytest.fixture
def endpoint(namespace: str) -> Endpoint:
    """A handle on an endpoint that is not applied yet."""
    return Endpoint(namespace, "chat")
