"""A real Prometheus, configured by prometheus-operator from our ServiceMonitors, shows engine and operator."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import yaml

from tests import cluster as test_cluster
from tests.cluster import kind
from tests.e2e import kube, release
from tests.e2e.endpoints import Endpoint
from tests.e2e.waiting import wait_for
from tests.monitoring.scraped import dashboards, queries

NAMESPACE = "monitoring"
API = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus-operated:9090/proxy/api/v1"

WITHOUT_TROUBLE = {
    "Endpoints that are not ready",
    "Verifications that failed, last 30 minutes",
    "Watches that began again",
    "Objects that could not be read",
    "Verifications left out",
}
"""Panels that are empty while nothing is wrong; tests/monitoring/test_dashboards.py fills them."""


@pytest.fixture
def watched(endpoint: Endpoint) -> Endpoint:
    """A Ready endpoint with a ServiceMonitor."""
    endpoint.apply(
        # A scrape may take as long as the interval: a second is too short for a busy machine.
        endpoint.double(monitoring={"serviceMonitor": {"intervalSeconds": 5}, "slo": {"target": "99"}})
    )
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
    operators = release.added(
        serviceMonitor={"enabled": True},
        metrics={"readers": [{"namespace": NAMESPACE, "name": "prometheus"}]},
    )
    text = test_cluster.prometheus_manifest()
    kind.apply(text)
    kind.apply(yaml.safe_dump_all(operators))
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
    for manifest in operators:
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
    # A scrape that comes late ends its series until the next one: what they had before is asked for.
    latest = f"last_over_time({series}[1m])"
    wait_for(lambda: _ask(latest), "the TTFT histogram in Prometheus", seconds=120, tell=_targets)
    before = float(_ask(f"sum({latest})")[0]["value"][1])
    for _ in range(3):
        assert endpoint.stream(max_tokens=5).finish().done
    wait_for(
        lambda: _ask(f"sum({latest}) >= {before + 3}"), "the streams to be counted", seconds=60, tell=_targets
    )
    quantile = _ask(f"histogram_quantile(0.9, sum by (le) (rate({buckets}[1m])))")
    assert float(quantile[0]["value"][1]) > 0
    assert {sample["metric"]["pod"] for sample in _ask(latest)} == {endpoint.pod()["metadata"]["name"]}
    _dashboards_show_it(endpoint)


def _dashboards_show_it(endpoint: Endpoint) -> None:
    """Every query that this endpoint and the operator have data for brings some, under the labels of the scrape."""
    values = {"namespace": endpoint.namespace, "name": endpoint.name, "__rate_interval": "1m"}
    wait_for(
        lambda: _ask(f'streamingendpoint_ready{{namespace="{endpoint.namespace}"}}'),
        "the operator's metrics in Prometheus",
        seconds=120,
        tell=_targets,
    )

    asked = {
        (title, query)
        for dashboard in dashboards().values()
        for title, query in queries(dashboard, values)
        if title not in WITHOUT_TROUBLE
    }
    shown: set[tuple[str, str]] = set()

    def empty() -> set[str]:
        """Panels that have not had a series yet; not all have one at the same time where a scrape comes late."""
        shown.update(one for one in asked - shown if _ask(one[1]))
        return {title for title, _ in asked - shown}

    wait_for(lambda: not empty(), "data for every panel", seconds=120, tell=lambda: f"empty: {empty()}")


def _targets() -> str:
    return kube.raw(f"{API}/targets")[:4000]
