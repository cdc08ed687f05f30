"""
What the Grafana dashboards of the chart show: one endpoint, the fleet, the operator.

tests/monitoring/test_dashboards.py runs each query at a real Prometheus. Series of the engine are those that
`engines/` names for the alerts, and further ones of vLLM.
"""

import json

from hack.grafana import Dashboard, Panel, Query, Row, written
from hack.operator_dashboard import OPERATOR
from hack.promql import PROBED, mean, quantiles, rate
from streaming_operator.engines.vllm import Vllm
from streaming_operator.render.alerts import UNPROVEN

SERIES = Vllm.series
BLAMELESS = "|".join(sorted(UNPROVEN))


def files() -> dict[str, str]:
    """Each dashboard's JSON by the name of its file."""
    return {f"{one.uid}.json": json.dumps(written(one), indent=1) + "\n" for one in DASHBOARDS}


OF_ENDPOINT = '{namespace="$namespace",name="$name"}'
OF_ENGINE = '{namespace="$namespace",job="$name"}'
"""The ServiceMonitor makes the endpoint's name the job."""
READY = {"0": ("not ready", "red"), "1": ("ready", "green")}
LAST = "streamingendpoint_probe_last_success_timestamp_seconds"
AGES = ((None, "green"), (900, "orange"), (3600, "red"))
"""Seconds since a stream was proven, where a colour begins."""

ENDPOINT = Dashboard(
    "streamingendpoint",
    "Streaming endpoint",
    "What the users of one endpoint get, beside what its engine reports.",
    [
        Row(
            "What users get",
            [
                Panel(
                    "Ready",
                    "The endpoint's condition Ready.",
                    [Query(f"max(streamingendpoint_ready{OF_ENDPOINT})")],
                    kind="stat",
                    words=READY,
                    limits=((None, "red"), (1, "green")),
                ),
                Panel(
                    "Last proven stream",
                    "Age of the last verification whose tokens arrived one by one.",
                    [Query(f"time() - max({LAST}{OF_ENDPOINT})")],
                    kind="stat",
                    unit="s",
                    limits=AGES,
                ),
                Panel(
                    "Requests now",
                    "Requests that all replicas work on.",
                    [Query(f"sum({SERIES.running}{OF_ENGINE})")],
                    kind="stat",
                ),
                Panel(
                    "Requests in the queue",
                    "Requests that wait for a replica. Not 0 for long: add replicas.",
                    [Query(f"sum({SERIES.waiting}{OF_ENGINE})")],
                    kind="stat",
                    limits=((None, "green"), (1, "orange")),
                ),
                Panel(
                    "First token: users and engine",
                    "Mean of 30 minutes, where users are and by the engine's own clock, which stops before its "
                    "bytes leave. A proxy that buffers shows between the two.",
                    [
                        Query(
                            mean("streamingendpoint_probe_ttft_seconds", OF_ENDPOINT, "hop"),
                            "probe at {{hop}}",
                        ),
                        Query(mean(SERIES.ttft, OF_ENGINE, "job"), "engine"),
                    ],
                    unit="s",
                ),
                Panel(
                    "Longest pause between tokens",
                    "Mean of the longest pause of each verification: near the length of the whole answer "
                    "when a proxy buffers.",
                    [
                        Query(
                            mean("streamingendpoint_probe_max_chunk_gap_seconds", OF_ENDPOINT, "hop"),
                            "probe at {{hop}}",
                        ),
                        Query(mean(SERIES.gap, OF_ENGINE, "job"), "engine, mean of all pauses"),
                    ],
                    unit="s",
                ),
                Panel(
                    "Verifications",
                    "Verdicts of the last 30 minutes, with the hop at fault. All verdicts: docs/conditions.md.",
                    [
                        Query(
                            f"sum by (hop, verdict) (increase(streamingendpoint_probes_total{OF_ENDPOINT}[{PROBED}]))",
                            "{{verdict}} at {{hop}}",
                        )
                    ],
                ),
                Panel(
                    "Burn rate of the objective",
                    "Of `spec.monitoring.slo`: 1 uses up the error budget exactly at the window's end. Empty without "
                    "an objective.",
                    [
                        Query(
                            'streamingendpoint:slo_burn:rate{namespace="$namespace",name="$name",window=~"1h|6h|1d"}',
                            "{{sli}} over {{window}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "Engine",
            [
                Panel("Time to the first token", "", quantiles(SERIES.ttft, OF_ENGINE), unit="s"),
                Panel("Time between tokens", "", quantiles(SERIES.gap, OF_ENGINE), unit="s"),
                Panel(
                    "Requests by how they ended",
                    "Clients that hang up are counted by none.",
                    [Query(rate(SERIES.finished, "finished_reason", OF_ENGINE), "{{finished_reason}}")],
                    unit="reqps",
                ),
                Panel(
                    "Requests by pod",
                    "",
                    [
                        Query(f"sum by (pod) ({SERIES.running}{OF_ENGINE})", "running in {{pod}}"),
                        Query(f"sum by (pod) ({SERIES.waiting}{OF_ENGINE})", "waiting in {{pod}}"),
                    ],
                ),
                Panel(
                    "Tokens",
                    "",
                    [
                        Query(rate("vllm:prompt_tokens_total", "job", OF_ENGINE), "prompts"),
                        Query(rate("vllm:generation_tokens_total", "job", OF_ENGINE), "answers"),
                    ],
                    unit="tokens/s",
                ),
                Panel(
                    "KV cache in use",
                    "At 1, requests wait or are preempted.",
                    [Query(f"max by (pod) (vllm:kv_cache_usage_perc{OF_ENGINE})", "{{pod}}")],
                    unit="percentunit",
                ),
                Panel(
                    "Preemptions",
                    "Requests that were thrown out of a full KV cache and are computed again.",
                    [Query(rate("vllm:num_preemptions_total", "pod", OF_ENGINE), "{{pod}}")],
                    unit="ops",
                ),
                Panel(
                    "Length of the queue, in time",
                    "",
                    quantiles("vllm:request_queue_time_seconds", OF_ENGINE),
                    unit="s",
                ),
            ],
        ),
    ],
    {
        "namespace": "label_values(streamingendpoint_ready, namespace)",
        "name": 'label_values(streamingendpoint_ready{namespace="$namespace"}, name)',
    },
)

OWN = '{namespace=~"$namespace"}'
FLEET = Dashboard(
    "streamingendpoint-fleet",
    "Streaming endpoints",
    "All endpoints: which of them do not stream, and who has most to do.",
    [
        Row(
            "Now",
            [
                Panel("Endpoints", "", [Query(f"count(streamingendpoint_ready{OWN})")], kind="stat"),
                Panel(
                    "Not ready",
                    "",
                    [Query(f"count(streamingendpoint_ready{OWN}) - sum(streamingendpoint_ready{OWN})")],
                    kind="stat",
                    limits=((None, "green"), (1, "red")),
                ),
                Panel(
                    "Longest without a proven stream",
                    "",
                    [Query(f"max(time() - {LAST}{OWN})")],
                    kind="stat",
                    unit="s",
                    limits=AGES,
                ),
                Panel(
                    "Requests now",
                    "",
                    [Query(f"sum({SERIES.running}{OWN})")],
                    kind="stat",
                ),
                Panel(
                    "Endpoints that are not ready",
                    "`kubectl describe sep` says why.",
                    [Query(f"streamingendpoint_ready{OWN} < 1")],
                    kind="table",
                ),
                Panel(
                    "Verifications that failed, last 30 minutes",
                    "By the hop at fault.",
                    [
                        Query(
                            "sum by (namespace, name, hop, verdict) (increase(streamingendpoint_probes_total"
                            f'{{namespace=~"$namespace",verdict!~"{BLAMELESS}"}}[{PROBED}])) > 0'
                        )
                    ],
                    kind="table",
                ),
            ],
        ),
        Row(
            "Users",
            [
                Panel(
                    "First token where users are",
                    "The ten slowest, mean of 30 minutes.",
                    [
                        Query(
                            f"topk(10, {mean('streamingendpoint_probe_ttft_seconds', OWN, 'namespace, name, hop')})",
                            "{{namespace}}/{{name}} at {{hop}}",
                        )
                    ],
                    unit="s",
                ),
                Panel(
                    "Longest pause between tokens",
                    "The ten longest, mean of 30 minutes.",
                    [
                        Query(
                            "topk(10, "
                            f"{mean('streamingendpoint_probe_max_chunk_gap_seconds', OWN, 'namespace, name, hop')})",
                            "{{namespace}}/{{name}} at {{hop}}",
                        )
                    ],
                    unit="s",
                ),
                Panel(
                    "Verdicts",
                    "",
                    [
                        Query(
                            f"sum by (verdict) (increase(streamingendpoint_probes_total{OWN}[{PROBED}]))",
                            "{{verdict}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "Engines",
            [
                Panel(
                    "Requests in the queue",
                    "The ten longest queues.",
                    [
                        Query(
                            f"topk(10, sum by (namespace, job) ({SERIES.waiting}{OWN}))",
                            "{{namespace}}/{{job}}",
                        )
                    ],
                ),
                Panel(
                    "Requests that ended",
                    "",
                    [
                        Query(
                            f"topk(10, {rate(SERIES.finished, 'namespace, job', OWN)})",
                            "{{namespace}}/{{job}}",
                        )
                    ],
                    unit="reqps",
                ),
                Panel(
                    "Tokens",
                    "",
                    [
                        Query(
                            f"topk(10, {rate('vllm:generation_tokens_total', 'namespace, job', OWN)})",
                            "{{namespace}}/{{job}}",
                        )
                    ],
                    unit="tokens/s",
                ),
            ],
        ),
    ],
    {"namespace": "label_values(streamingendpoint_ready, namespace)"},
    several=True,
)

DASHBOARDS = (ENDPOINT, FLEET, OPERATOR)
