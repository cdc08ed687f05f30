"""A real Prometheus, configured by prometheus-operator from our ServiceMonitor, shows the engine's TTFT."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import yaml

from tests import cluster as test_cluster
from tests.cluster import kind
from tests.e2e import kube
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for

NAMESPACE = "monitoring"
API = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus-operated:9090/proxy/api/v1"


@pytest.fixture
def watched(endpoint: Endpoint) -> Endpoint:
    """A Ready endpoint with a ServiceMonitor."""
    endpoint.apply(endpoint.double(monitoring={"serviceMonitor": {"intervalSeconds": 1}}))
    endpoint.await_ready()
    return endpoint


@pytest.fixture
def prometheus(watched: Endpoint) -> Iterator[None]:
    """
    prometheus-operator and one Prometheus that takes every ServiceMonitor.

    It begins with the endpoint's in its configuration: the kubelet brings a later one after a minute or two.
    """
    for name in ("prometheus", "prometheus-operator", "prometheus-config-reloader"):
        test_cluster.load(name)
    text = test_cluster.prometheus_manifest()
    kind.apply(text)
    wait_for(
        _answers,
        "Prometheus to answer",
        seconds=240,
        tell=lambda: kube.kubectl("-n", NAMESPACE, "get", "pods"),
    )
    yield
    for manifest in yaml.safe_load_all(text):
        if manifest and manifest["kind"] in ("Prometheus", "ClusterRole", "ClusterRoleBinding"):
            kube.delete(manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("namespace"))
    kube.delete("namespace", NAMESPACE, None, "--wait=false")


def _answers() -> bool:
    try:
        return bool(kube.raw(f"{API}/status/buildinfo"))
    except kube.Refused:
        return False


def _ask(query: str) -> list[dict]:
    return json.loads(kube.raw(f"{API}/query?query={quote(query)}"))["data"]["result"]


def test_prometheus_shows_the_engines_ttft(watched: Endpoint, prometheus: None) -> None:
    """The histogram of each pod is there under the endpoint's name as job, and counts what users ask."""
    endpoint = watched
    series = (
        f'vllm:time_to_first_token_seconds_count{{namespace="{endpoint.namespace}",job="{endpoint.name}"}}'
    )
    buckets = series.replace("_count", "_bucket")
    wait_for(lambda: _ask(buckets), "the TTFT histogram in Prometheus", seconds=120, tell=_targets)
    before = float(_ask(f"sum({series})")[0]["value"][1])
    for _ in range(3):
        assert endpoint.stream(max_tokens=5).finish().done
    wait_for(
        lambda: float(_ask(f"sum({series})")[0]["value"][1]) >= before + 3,
        "the streams to be counted",
        seconds=60,
    )
    quantile = _ask(f"histogram_quantile(0.9, sum by (le) (rate({buckets}[1m])))")
    assert float(quantile[0]["value"][1]) > 0
    assert {sample["metric"]["pod"] for sample in _ask(series)} == {endpoint.pod()["metadata"]["name"]}


def _targets() -> str:
    return kube.raw(f"{API}/targets")[:4000]
