"""The operator's own metrics: few series an endpoint, all of which go with it."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from streaming_operator import metrics

ONE, OTHER = ("models", "one"), ("models", "other")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No endpoint outlives its test."""
    yield
    for endpoint in (ONE, OTHER):
        metrics.forget(endpoint)


def series(endpoint: tuple[str, str], registry: CollectorRegistry = metrics.REGISTRY) -> list[str]:
    """Names of all samples of an endpoint."""
    labels = {"namespace": endpoint[0], "name": endpoint[1]}.items()
    return [s.name for family in registry.collect() for s in family.samples if labels <= s.labels.items()]


def verified(endpoint: tuple[str, str], *hops: str) -> None:
    """What one verification leaves."""
    metrics.set_ready(endpoint, True)
    metrics.set_last_success(endpoint, 1.0)
    for hop in hops:
        metrics.count_verification(endpoint, hop, "Streaming")
        for durations in (metrics.PROBE_TTFT, metrics.PROBE_GAP, metrics.PROBE_MAX_GAP):
            durations.observe(endpoint, hop, 0.1)


def test_a_healthy_endpoint_costs_nine_series() -> None:
    """Thousands of endpoints are scraped in half a second, not in five."""
    verified(ONE, "Exposure")

    assert len(series(ONE)) == 9


def test_a_deleted_endpoint_leaves_no_series_and_takes_none_of_another() -> None:
    """Whatever hops and verdicts it had."""
    verified(ONE, "Exposure", "Service", "Pod")
    metrics.count_verification(ONE, "Pod", "Buffered")
    metrics.count_skipped(ONE)
    verified(OTHER, "Exposure")
    before = series(OTHER)
    metrics.forget(ONE)

    assert (series(ONE), series(OTHER)) == ([], before)


def test_durations_by_bucket_are_an_option() -> None:
    """Histograms with vLLM's own buckets, under the same names and labels."""
    registry = CollectorRegistry()
    durations = metrics.Durations("seconds", "Seconds", metrics.TTFT_BUCKETS, registry)
    durations.observe(ONE, "Exposure", 0.1)
    assert series(ONE, registry) == ["seconds_count", "seconds_sum"]

    durations.use_buckets()
    durations.observe(ONE, "Exposure", 0.1)
    buckets = len(metrics.TTFT_BUCKETS) + 1
    assert series(ONE, registry) == ["seconds_bucket"] * buckets + ["seconds_count", "seconds_sum"]
    metrics.forget(ONE)
    assert series(ONE, registry) == []
