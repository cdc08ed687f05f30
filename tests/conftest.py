"""How runs are spread, and fixtures of more than one folder: a private control plane and a namespace in it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

# Before the imports: what the servers and clients that tests share assert is told with its values, too.
pytest.register_assert_rewrite(*(f"tests.{folder.stem}" for folder in Path(__file__).parent.glob("[a-z]*")))

from streaming_operator import metrics
from tests.apiserver import control_plane as planes
from tests.apiserver.control_plane import ControlPlane
from tests.lanes.plugin import Lanes

# No test is a race: what a property takes on a busy machine says nothing of the property.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Lanes, preparation and costs, in the first process and in every worker."""
    config.pluginmanager.register(Lanes(config), "lanes")


@pytest.fixture(scope="module", autouse=True)
def no_metrics_of_other_files() -> Iterator[None]:
    """Files share a process and its registry: what one leaves there must not be counted by another."""
    yield
    samples = (sample for family in metrics.REGISTRY.collect() for sample in family.samples)
    for endpoint in {
        (s.labels.get("namespace", ""), s.labels["name"]) for s in samples if "name" in s.labels
    }:
        metrics.forget(endpoint)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real etcd and kube-apiserver with our CRD, ServiceMonitor's and the Gateway API's; started once."""
    from tests.cluster import apiserver_binaries

    with planes.start(tmp_path_factory.mktemp("control-plane"), apiserver_binaries()) as plane:
        yield plane


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Path:
    """The kubectl of the control plane's version."""
    from tests import cluster

    return cluster.kubectl()


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A namespace that no other test uses; it goes with the control plane."""
    name = f"test-{uuid4().hex[:8]}"
    control_plane.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
