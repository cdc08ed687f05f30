"""The Prometheus families of vLLM that something of ours reads, with its names, labels and buckets.

A subset of the real list, never a superset: the contract test compares. Holds numbers, decides nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    Summary,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

TIME_TO_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
INTER_TOKEN = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
LATENCY = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0),
    *(480.0, 960.0, 1920.0, 7680.0),
)
ITERATION = (1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)
HTTP_FINE = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 7.5),
    *(10.0, 30.0, 60.0),
)
FINISH_REASONS = ("stop", "length", "abort", "error", "repetition")
COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "prompt_tokens_cached",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "external_prefix_cache_queries",
    "external_prefix_cache_hits",
    "mm_cache_queries",
    "mm_cache_hits",
    "num_preemptions",
)
SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
Buckets = Mapping[str, Sequence[float]]


def one_two_five(limit: int) -> tuple[float, ...]:
    """1, 2, 5, 10, 20, ... up to `limit`: the buckets of everything counted in tokens."""
    series = (mantissa * 10**power for power in range(12) for mantissa in (1, 2, 5))
    return tuple(float(value) for value in series if value <= limit)


class Counts(Protocol):
    """What the gauges ask the engine."""

    def running_count(self) -> int: ...

    def waiting_count(self) -> int: ...

    def cache_usage(self) -> float: ...


class EngineMetrics:
    """Everything of `vllm:`, for one engine with one model; `custom` is --custom-histogram-buckets."""

    def __init__(self, registry: CollectorRegistry, model: str, max_model_len: int, custom: Buckets) -> None:
        self._registry, self._values = registry, {"model_name": model, "engine": "0"}
        self._families: dict[str, Counter] = {}
        tokens = custom.get("request_tokens") or one_two_five(max_model_len)
        latency = custom.get("request_latency") or LATENCY
        step = custom.get("inter_token_latency") or INTER_TOKEN
        self.counters = {name: self._counter(name) for name in COUNTERS}
        self.by_source = {
            source: self._counter("prompt_tokens_by_source", source=source) for source in SOURCES
        }
        self.finished = {r: self._counter("request_success", finished_reason=r) for r in FINISH_REASONS}
        first = custom.get("time_to_first_token") or TIME_TO_FIRST_TOKEN
        self.time_to_first_token = self._histogram("time_to_first_token_seconds", first)
        self.inter_token = self._histogram("inter_token_latency_seconds", step)
        self.per_token = self._histogram("request_time_per_output_token_seconds", step)
        self.iteration = self._histogram(
            "iteration_tokens_total", custom.get("iteration_tokens") or ITERATION
        )
        self.end_to_end = self._histogram("e2e_request_latency_seconds", latency)
        self.queue = self._histogram("request_queue_time_seconds", latency)
        self.inference = self._histogram("request_inference_time_seconds", latency)
        self.prefill = self._histogram("request_prefill_time_seconds", latency)
        self.decode = self._histogram("request_decode_time_seconds", latency)
        self.prompt_length = self._histogram("request_prompt_tokens", tokens)
        self.answer_length = self._histogram("request_generation_tokens", tokens)
        self.asked_length = self._histogram("request_params_max_tokens", tokens)
        rejections = Counter("vllm:admission_rejections", "", ["model_name", "reason"], registry=registry)
        self.rejected = rejections.labels(model, "max_num_queued_reqs")
        rejections.labels(model, "max_num_queued_tokens")

    def _counter(self, name: str, **extra: str) -> Counter:
        labels = self._values | extra
        if name not in self._families:
            self._families[name] = Counter(f"vllm:{name}", name, list(labels), registry=self._registry)
        return self._families[name].labels(**labels)

    def _histogram(self, name: str, buckets: Sequence[float]) -> Histogram:
        family = Histogram(f"vllm:{name}", name, list(self._values), buckets=buckets, registry=self._registry)
        return family.labels(**self._values)


class HttpMetrics:
    """The families of prometheus-fastapi-instrumentator, as vLLM has them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        handler = ["handler"]
        self.requests = Counter("http_requests", "", ["method", "status", "handler"], registry=registry)
        self.request_size = Summary("http_request_size_bytes", "", handler, registry=registry)
        self.response_size = Summary("http_response_size_bytes", "", handler, registry=registry)
        fine, coarse = "http_request_duration_highr_seconds", "http_request_duration_seconds"
        self.fine = Histogram(fine, "", buckets=HTTP_FINE, registry=registry)
        labels = ["method", "handler"]
        self.coarse = Histogram(coarse, "", labels, buckets=(0.1, 0.5, 1.0), registry=registry)


class Gauges(Collector):
    """The gauges, read from the engine at each scrape; `counts` gives running, waiting and cache use."""

    def __init__(self, model: str, counts: Counts) -> None:
        self._values, self._counts = {"model_name": model, "engine": "0"}, counts

    def collect(self) -> list[GaugeMetricFamily]:
        running, waiting = self._counts.running_count(), self._counts.waiting_count()
        usage = self._counts.cache_usage()
        reasons = {"capacity": waiting, "deferred": 0}
        states = {"awake": 1, "weights_offloaded": 0, "discard_all": 0}
        return [
            self._family("num_requests_running", {"": running}),
            self._family("num_requests_waiting", {"": waiting}),
            self._family("num_requests_waiting_by_reason", reasons, "reason"),
            self._family("engine_sleep_state", states, "sleep_state"),
            self._family("kv_cache_usage_perc", {"": usage}),
        ]

    def _family(self, name: str, values: Mapping[str, float], *extra: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"vllm:{name}", name, labels=[*self._values, *extra])
        for label, value in values.items():
            family.add_metric([*self._values.values(), *([label] if extra else [])], value)
        return family


def registry_with_process() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
