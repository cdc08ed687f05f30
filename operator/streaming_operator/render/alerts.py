"""
The PrometheusRule of an endpoint: what its engine reports and what the probe sees, recorded, and the alerts on both.

The engine's clock ends before its bytes leave, so no rule on its series sees a proxy that buffers; those on the probe's
do. docs/alerts.md has a section for each alert, which a test holds.
"""

from streaming_operator.api import naming
from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.reasons import STREAMS, Hop, Verdict
from streaming_operator.engines.base import Engine, Series
from streaming_operator.kinds import Kind
from streaming_operator.render import slo
from streaming_operator.render.rules import SCRAPES, alert, of_engine, one_verification, own, record, recorded
from streaming_operator.values import Capabilities, Manifest

PROMETHEUS_RULES = Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", optional=True)

BUFFERING = (Verdict.BUFFERED, Verdict.COALESCED)
UNPROVEN = (*STREAMS, Verdict.INCONCLUSIVE)
"""Verdicts that blame nobody."""

RATE_SECONDS = 300
"""Over which the engine's rates and percentiles are taken."""
STALL_SECONDS = 120
"""Without a step, after which an engine with requests is stalled."""
MEAN_WINDOW_SECONDS = 1800
"""Over which users' first tokens and the engine's are compared; a probe comes every few minutes."""


def prometheus_rule(
    endpoint: StreamingEndpoint, engine: Engine, capabilities: Capabilities
) -> Manifest | None:
    """Rules and alerts; None if they are turned off or the cluster lacks the kind."""
    wanted = endpoint.spec.monitoring.prometheus_rule
    if not wanted.enabled or not capabilities.prometheus_rules:
        return None
    metadata = naming.metadata(endpoint)
    selected_by = wanted.labels or endpoint.spec.monitoring.service_monitor.labels
    metadata["labels"] = selected_by | metadata["labels"]
    verified = endpoint.spec.verification.mode != "Disabled"
    groups = [("engine", _of_engine(endpoint, engine.series))]
    if verified:
        groups.append(("probe", _of_probe(endpoint, engine.series)))
    if (objective := endpoint.spec.monitoring.slo) is not None:
        groups.append(("slo", slo.rules(endpoint, objective, engine.series)))
    return {
        "apiVersion": PROMETHEUS_RULES.api_version,
        "kind": PROMETHEUS_RULES.kind,
        "metadata": metadata,
        "spec": {"groups": [{"name": f"streamingendpoint-{part}", "rules": rules} for part, rules in groups]},
    }


# ---- what the engine reports -------------------------------------------------------------------------------


def _of_engine(endpoint: StreamingEndpoint, series: Series) -> list[Manifest]:
    limits = endpoint.spec.monitoring.prometheus_rule
    pods = of_engine(endpoint)
    window = _window(endpoint, RATE_SECONDS)
    failed = f"{series.finished}{{{pods},{series.failed}}}"
    running, waiting = f"{series.running}{{{pods}}}", f"{series.waiting}{{{pods}}}"
    return [
        record(endpoint, "ttft_seconds:p95", _p95(series.ttft, pods, window)),
        record(endpoint, "token_gap_seconds:p95", _p95(series.gap, pods, window)),
        record(
            endpoint,
            "error_ratio:rate",
            f"(sum(rate({failed}[{window}])) or vector(0)) / sum(rate({series.finished}{{{pods}}}[{window}]))",
        ),
        record(endpoint, "requests_running:sum", f"sum({running})"),
        record(endpoint, "requests_waiting:sum", f"sum({waiting})"),
        alert(
            endpoint,
            "SlowFirstToken",
            f"{recorded(endpoint, 'ttft_seconds:p95')} > {limits.ttft_milliseconds / 1000:g}",
            "10m",
            "warning",
            "95 % of first tokens come within {{ $value | humanizeDuration }} only, by the engine's own clock",
        ),
        alert(
            endpoint,
            "SlowTokens",
            f"{recorded(endpoint, 'token_gap_seconds:p95')} > {limits.token_gap_milliseconds / 1000:g}",
            "10m",
            "warning",
            "95 % of the gaps between tokens last {{ $value | humanizeDuration }}, by the engine's own clock",
        ),
        alert(
            endpoint,
            "Errors",
            f"{recorded(endpoint, 'error_ratio:rate')} > {limits.error_percent / 100:g}",
            "5m",
            "critical",
            "{{ $value | humanizePercentage }} of requests end in an error or are aborted by the engine",
        ),
        alert(
            endpoint,
            "Saturated",
            f"{recorded(endpoint, 'requests_waiting:sum')} > 0",
            "15m",
            "warning",
            "requests wait in the engine's queue all the time, now {{ $value }}",
        ),
        alert(
            endpoint,
            "EngineStalled",
            f"(sum by (pod) ({running}) > 0) and on (pod) "
            f"(sum by (pod) (rate({series.steps}{{{pods}}}[{_window(endpoint, STALL_SECONDS)}])) == 0)",
            "3m",
            "critical",
            "the engine in {{ $labels.pod }} has {{ $value }} requests and generates nothing; its health path may "
            "still answer",
        ),
    ]


def _p95(histogram: str, selector: str, window: str) -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket{{{selector}}}[{window}])))"


def _window(endpoint: StreamingEndpoint, seconds: int) -> str:
    """Of a rate, longer where the endpoint is seldom scraped."""
    return f"{max(seconds, SCRAPES * endpoint.spec.monitoring.service_monitor.interval_seconds)}s"


# ---- what the probe sees -----------------------------------------------------------------------------------


def _of_probe(endpoint: StreamingEndpoint, series: Series) -> list[Manifest]:
    """Of the operator's own metrics, which Prometheus scrapes with the endpoint's namespace and name as labels."""
    limits = endpoint.spec.monitoring.prometheus_rule
    interval = endpoint.spec.verification.interval_seconds
    window = f"{one_verification(endpoint)}s"
    mean = f"{max(MEAN_WINDOW_SECONDS, 3 * interval)}s"
    streamed = f"{_increase(endpoint, 'verdict=~', STREAMS, window)} > 0"
    buffered = _increase(endpoint, "verdict=~", BUFFERING, window)
    failed = _increase(endpoint, "verdict!~", (*UNPROVEN, *BUFFERING), window)
    faults = _increase(endpoint, "verdict!~", UNPROVEN, window)
    last = f"max by (namespace, name) (streamingendpoint_probe_last_success_timestamp_seconds{{{own(endpoint)}}})"
    users = f'{own(endpoint)},hop="{_outermost(endpoint)}"'
    engine = of_engine(endpoint)
    first = "streamingendpoint_probe_ttft_seconds"
    return [
        record(endpoint, "probe_ttft_seconds:mean", _mean(first, users, mean)),
        record(endpoint, "ttft_seconds:mean", _mean(series.ttft, engine, mean)),
        alert(
            endpoint,
            "Buffered",
            f"({buffered} > 0) unless ({streamed})",
            "2m",
            "critical",
            "a proxy holds tokens back: users get them in blocks, although the engine streams",
        ),
        alert(
            endpoint,
            "ProbeFailing",
            f"({failed} > 0) unless ({streamed})",
            "2m",
            "critical",
            "no completion streams through the users' address",
        ),
        alert(
            endpoint,
            "NotVerified",
            f"(time() - {last} > {3 * interval}) unless on () ({faults} > 0)",
            "15m",
            "warning",
            "no stream was proven for {{ $value | humanizeDuration }}",
        ),
        alert(
            endpoint,
            "PathSlow",
            f"{recorded(endpoint, 'probe_ttft_seconds:mean')} - {recorded(endpoint, 'ttft_seconds:mean')} "
            f"> {limits.path_milliseconds / 1000:g}",
            "15m",
            "warning",
            "users get the first token {{ $value | humanizeDuration }} later than the engine has it",
        ),
    ]


def _outermost(endpoint: StreamingEndpoint) -> Hop:
    """The hop that routine verifications ask."""
    if endpoint.spec.verification.public_url is not None:
        return Hop.PUBLIC
    return Hop.SERVICE if endpoint.spec.exposure is None else Hop.EXPOSURE


def _increase(
    endpoint: StreamingEndpoint,
    operator: str,
    verdicts: tuple[Verdict, ...] | frozenset[Verdict],
    window: str,
) -> str:
    """Verifications of these verdicts, or of all others."""
    names = "|".join(sorted(verdicts))
    return f'sum(increase(streamingendpoint_probes_total{{{own(endpoint)},{operator}"{names}"}}[{window}]))'


def _mean(series: str, selector: str, window: str) -> str:
    total, count = (f"sum(rate({series}_{part}{{{selector}}}[{window}]))" for part in ("sum", "count"))
    return f"{total} / {count}"
