"""
The operator's own metrics, all with the prefix `streamingendpoint_`.

Only names and labels are defined here; the code that learns something sets the metric. Labels never carry addresses,
messages or anything a user typed besides namespace and name.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

REGISTRY = CollectorRegistry()
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter and summary

_Endpoint = tuple[str, str]
"""`(namespace, name)`."""
_Metric = TypeVar("_Metric", bound=MetricWrapperBase)

# vLLM's own TTFT buckets (vllm/v1/metrics/buckets.py, 0.33), so that both can be laid over each other.
TTFT_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
# Those of vllm:inter_token_latency_seconds, from the same file.
GAP_BUCKETS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip

ENDPOINT = ("namespace", "name")
HOP = (*ENDPOINT, "hop")


class Durations:
    """
    Seconds by endpoint and hop: sum and count, as a summary.

    As a histogram they cost ten times the series, 360,000 lines for 5,000 endpoints: only where the administrator wants
    them (`STREAMING_OPERATOR_DETAILED_METRICS`).
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: tuple[float, ...],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name, self._documentation, self._buckets = name, documentation, buckets
        self._registry = registry
        self._metric: Summary | Histogram = Summary(name, documentation, HOP, registry=registry)

    def use_buckets(self) -> None:
        """Count by buckets from now on; what was counted before is dropped."""
        self._registry.unregister(self._metric)
        self._metric = Histogram(
            self._name, self._documentation, HOP, buckets=self._buckets, registry=self._registry
        )

    def observe(self, endpoint: _Endpoint, hop: str, seconds: float) -> None:
        """Count one duration."""
        _series(self._metric, endpoint, hop).observe(seconds)


PROBE_TTFT = Durations(
    "streamingendpoint_probe_ttft_seconds",
    "Time from the request's last byte to the first token at this hop",
    TTFT_BUCKETS,
)
PROBE_GAP = Durations(
    "streamingendpoint_probe_chunk_gap_seconds",
    "Time between two tokens at this hop, of every pair of a probe's stream",
    GAP_BUCKETS,
)
PROBE_MAX_GAP = Durations(
    "streamingendpoint_probe_max_chunk_gap_seconds",
    "Longest time between two tokens of one probe",
    GAP_BUCKETS,
)
_PROBES = Counter(
    "streamingendpoint_probes",
    "Verifications by verdict and the hop at fault",
    (*ENDPOINT, "hop", "verdict"),
    registry=REGISTRY,
)
_SKIPPED = Counter(
    "streamingendpoint_probes_skipped",
    "Verifications skipped because users' requests waited in the queue of every replica",
    ENDPOINT,
    registry=REGISTRY,
)
_LAST_SUCCESS = Gauge(
    "streamingendpoint_probe_last_success_timestamp_seconds",
    "Unix time of the last verification that streamed",
    ENDPOINT,
    registry=REGISTRY,
)
_READY = Gauge(
    "streamingendpoint_ready", "1 while the endpoint's condition Ready is True", ENDPOINT, registry=REGISTRY
)

PASSES = Counter("streamingendpoint_passes", "Reconcile passes by outcome", ("outcome",), registry=REGISTRY)
PASS_SECONDS = Histogram(
    "streamingendpoint_pass_seconds",
    "Wall time of one reconcile pass",
    registry=REGISTRY,
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0),
)
WRITES = Counter(
    "streamingendpoint_api_writes", "Writes to the API server", ("kind", "verb"), registry=REGISTRY
)
UNREADABLE = Counter(
    "streamingendpoint_unreadable_objects",
    "Objects of the API server that could not be read and were left out",
    ("kind",),
    registry=REGISTRY,
)
WATCH_RESTARTS = Counter(
    "streamingendpoint_watch_restarts",
    "Watches that ended with an error and were listed again",
    ("kind",),
    registry=REGISTRY,
)
REQUESTS = Counter(
    "streamingendpoint_api_requests",
    "Requests to the API server by verb and status code; code `none` where no answer came",
    ("verb", "code"),
    registry=REGISTRY,
)
WATCH_AGE = Gauge(
    "streamingendpoint_watch_age_seconds",
    "Time since the watch of this kind last heard of the API server, of several namespaces the longest",
    ("kind",),
    registry=REGISTRY,
)
QUEUE_LENGTH = Gauge(
    "streamingendpoint_queue_length", "Endpoints whose pass could start now and has not", registry=REGISTRY
)
QUEUE_AGE = Gauge(
    "streamingendpoint_queue_age_seconds",
    "How long the endpoint that waits longest for its pass has waited",
    registry=REGISTRY,
)
PASSES_RUNNING = Gauge("streamingendpoint_passes_running", "Passes that are under way", registry=REGISTRY)
PROBES_RUNNING = Gauge(
    "streamingendpoint_probes_running",
    "Verifications that are under way or wait for one of settings.concurrentProbes",
    registry=REGISTRY,
)
LEADER = Gauge(
    "streamingendpoint_leader", "1 while this process holds the Lease: it alone reconciles", registry=REGISTRY
)
LEASE_FAILURES = Counter(
    "streamingendpoint_lease_failures", "Tries to read or renew the Lease that failed", registry=REGISTRY
)
LEASE_LEFT = Gauge(
    "streamingendpoint_lease_left_seconds",
    "How long this process may write unless it renews the Lease; 0 where it does not hold it",
    registry=REGISTRY,
)
STANDS_BY = Gauge(
    "streamingendpoint_standby",
    "1 while this process knows that another holds the Lease; neither 1 nor leader: it cannot be read",
    registry=REGISTRY,
)


_by_endpoint: dict[_Endpoint, set[tuple[MetricWrapperBase, tuple[str, ...]]]] = {}
"""Every series of an endpoint, so that it can be dropped without a look at those of thousands of others."""


def _series(metric: _Metric, endpoint: _Endpoint, *labels: str) -> _Metric:
    """The series of an endpoint with these further labels."""
    _by_endpoint.setdefault(endpoint, set()).add((metric, labels))
    return metric.labels(*endpoint, *labels)


def set_ready(endpoint: _Endpoint, ready: bool) -> None:
    """Show the condition Ready of an endpoint."""
    _series(_READY, endpoint).set(ready)


def count_verification(endpoint: _Endpoint, hop: str, verdict: str) -> None:
    """Count one verification."""
    _series(_PROBES, endpoint, hop, verdict).inc()


def count_skipped(endpoint: _Endpoint) -> None:
    """Count a verification that was left out."""
    _series(_SKIPPED, endpoint).inc()


def set_last_success(endpoint: _Endpoint, seconds: float) -> None:
    """Note the Unix time of a verification that streamed."""
    _series(_LAST_SUCCESS, endpoint).set(seconds)


def drop_last_success(endpoint: _Endpoint) -> None:
    """Show none where no verification is made on purpose: its age would be an alarm."""
    series = _by_endpoint.get(endpoint, set())
    if (_LAST_SUCCESS, ()) in series:
        series.remove((_LAST_SUCCESS, ()))
        _LAST_SUCCESS.remove(*endpoint)


def show_watch_ages(seconds: Mapping[str, float]) -> None:
    """Show the age of each watch by its kind, and of no other."""
    WATCH_AGE.clear()
    for kind, age in seconds.items():
        WATCH_AGE.labels(kind).set(age)


def described() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name, type, labels and meaning of every metric, for docs/metrics.md."""
    for metric in dict.fromkeys(REGISTRY._names_to_collectors.values()):
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, family.type, metric._labelnames, family.documentation


def use_buckets() -> None:
    """Show durations as histograms; called once, at start."""
    for durations in (PROBE_TTFT, PROBE_GAP, PROBE_MAX_GAP):
        durations.use_buckets()


def forget(endpoint: _Endpoint) -> None:
    """Drop every series of an endpoint that is gone."""
    for metric, labels in _by_endpoint.pop(endpoint, ()):
        metric.remove(*endpoint, *labels)
