"""
The operator's own metrics, all with the prefix `streamingendpoint_`.

Only names and shapes live here; whoever learns something calls the metric. Labels never carry addresses,
messages or anything a user typed besides namespace and name.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

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

PROBE_TTFT = Histogram(
    "streamingendpoint_probe_ttft_seconds",
    "Time from the request's last byte to the first token at this hop",
    (*ENDPOINT, "hop"),
    buckets=TTFT_BUCKETS,
    registry=REGISTRY,
)
PROBE_GAP = Histogram(
    "streamingendpoint_probe_chunk_gap_seconds",
    "Time between two tokens at this hop, of every pair of a probe's stream",
    (*ENDPOINT, "hop"),
    buckets=GAP_BUCKETS,
    registry=REGISTRY,
)
PROBE_MAX_GAP = Histogram(
    "streamingendpoint_probe_max_chunk_gap_seconds",
    "Longest time between two tokens of one probe",
    (*ENDPOINT, "hop"),
    buckets=GAP_BUCKETS,
    registry=REGISTRY,
)
PROBES = Counter(
    "streamingendpoint_probes",
    "Verifications by verdict and the hop at fault",
    (*ENDPOINT, "hop", "verdict"),
    registry=REGISTRY,
)
SKIPPED = Counter(
    "streamingendpoint_probes_skipped",
    "Verifications skipped because users' requests waited in the queue of every replica",
    ENDPOINT,
    registry=REGISTRY,
)
LAST_SUCCESS = Gauge(
    "streamingendpoint_probe_last_success_timestamp_seconds",
    "Unix time of the last verification that streamed",
    ENDPOINT,
    registry=REGISTRY,
)
READY = Gauge(
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
WATCH_RESTARTS = Counter(
    "streamingendpoint_watch_restarts",
    "Watches that ended with an error and were listed again",
    ("kind",),
    registry=REGISTRY,
)


def forget(namespace: str, name: str) -> None:
    """Drop every series of an endpoint that is gone."""
    for metric in (PROBE_TTFT, PROBE_GAP, PROBE_MAX_GAP, PROBES, SKIPPED, LAST_SUCCESS, READY):
        metric.remove_by_labels({"namespace": namespace, "name": name})
