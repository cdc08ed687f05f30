"""Each alert of an endpoint's PrometheusRule fires for its own trouble and for no other, as promtool evaluates it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.rules import ENGINE, PROBE, Series, a_rule, alerts, judged, promtool

pytestmark = pytest.mark.programs("promtool")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
MINUTES = 120
"""Length of the series, one sample a minute."""
TROUBLE = 40
"""The minute in which a trouble begins."""


def grows(by: float, then: float | None = None) -> str:
    """A counter that grows by so much a minute, and by *then* from the trouble on."""
    begun = f"0+{by}x{TROUBLE}"
    return (
        f"0+{by}x{MINUTES}" if then is None else f"{begun} {by * TROUBLE + then}+{then}x{MINUTES - TROUBLE}"
    )


def stays(value: float, then: float | None = None) -> str:
    """A gauge that stays, and is *then* from the trouble on."""
    return f"{value}x{MINUTES}" if then is None else f"{value}x{TROUBLE} {then}x{MINUTES - TROUBLE}"


def appears(by: float) -> str:
    """A counter of the operator's: its series begins with the trouble, at 1."""
    return f"_x{TROUBLE} 1+{by}x{MINUTES - TROUBLE}"


def histogram(name: str, fast: float, slow: float, then_slow: bool) -> dict[str, str]:
    """Ten observations a minute, up to the bucket *fast*, and between there and *slow* from the trouble on."""
    return {
        f'{name}_bucket{{{ENGINE},le="{fast}"}}': grows(10, 0 if then_slow else None),
        f'{name}_bucket{{{ENGINE},le="{slow}"}}': grows(10),
        f'{name}_bucket{{{ENGINE},le="+Inf"}}': grows(10),
        f"{name}_sum{{{ENGINE}}}": grows(10 * fast, 10 * slow if then_slow else None),
        f"{name}_count{{{ENGINE}}}": grows(10),
    }


def verified(verdict: str, values: str) -> dict[str, str]:
    """Verifications with this verdict."""
    return {f'streamingendpoint_probes_total{{{PROBE},hop="Exposure",verdict="{verdict}"}}': values}


LAST = f"streamingendpoint_probe_last_success_timestamp_seconds{{{PROBE}}}"
TTFT, GAP = "vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds"
HEALTHY: Series = {
    **histogram(TTFT, 0.25, 10, False),
    **histogram(GAP, 0.025, 1, False),
    f'vllm:request_success_total{{{ENGINE},finished_reason="stop"}}': grows(10),
    f'vllm:request_success_total{{{ENGINE},finished_reason="error"}}': stays(0),
    f"vllm:num_requests_running{{{ENGINE}}}": stays(3),
    f"vllm:num_requests_waiting{{{ENGINE}}}": stays(0),
    f"vllm:iteration_tokens_total_count{{{ENGINE}}}": grows(500),
    **verified("Streaming", grows(0.2)),
    LAST: grows(60),
    f'streamingendpoint_probe_ttft_seconds_sum{{{PROBE},hop="Exposure"}}': grows(0.06),
    f'streamingendpoint_probe_ttft_seconds_count{{{PROBE},hop="Exposure"}}': grows(0.2),
}
NO_STREAM: Series = {
    **verified("Streaming", grows(0.2, 0)),
    LAST: f"0+60x{TROUBLE} {60 * TROUBLE}x{MINUTES - TROUBLE}",
}
TROUBLES: dict[str, tuple[Series, set[str]]] = {
    "none": ({}, set()),
    "no request at all": (
        {name: stays(0) for name in HEALTHY if name.startswith("vllm:")},
        set(),
    ),
    "slow prefill": (
        histogram(TTFT, 0.25, 10, True),
        {"SlowFirstToken"},
    ),
    "slow decode": (histogram(GAP, 0.025, 1, True), {"SlowTokens"}),
    "errors": (
        {f'vllm:request_success_total{{{ENGINE},finished_reason="error"}}': grows(0, 2)},
        {"Errors"},
    ),
    "cut by the engine": (
        {f'vllm:request_success_total{{{ENGINE},finished_reason="abort"}}': grows(0, 2)},
        {"Errors"},
    ),
    "a queue": ({f"vllm:num_requests_waiting{{{ENGINE}}}": stays(0, 4)}, {"Saturated"}),
    "a hung engine": ({f"vllm:iteration_tokens_total_count{{{ENGINE}}}": grows(500, 0)}, {"EngineStalled"}),
    "an idle engine": (
        {
            f"vllm:iteration_tokens_total_count{{{ENGINE}}}": grows(500, 0),
            f"vllm:num_requests_running{{{ENGINE}}}": stays(3, 0),
        },
        set(),
    ),
    "one hung engine of two": (
        {
            f"vllm:iteration_tokens_total_count{{{ENGINE}}}": grows(500, 0),
            f"vllm:num_requests_running{{{ENGINE.replace('qwen-1', 'qwen-2')}}}": stays(3),
            f"vllm:iteration_tokens_total_count{{{ENGINE.replace('qwen-1', 'qwen-2')}}}": grows(500),
        },
        {"EngineStalled"},
    ),
    "a proxy that buffers": ({**NO_STREAM, **verified("Buffered", appears(0.2))}, {"Buffered"}),
    "a proxy that cuts": ({**NO_STREAM, **verified("Truncated", appears(0.2))}, {"ProbeFailing"}),
    "a proxy that buffers now and then": (verified("Coalesced", appears(0.2)), set()),
    "a probe that proves nothing": (
        {**NO_STREAM, **verified("Inconclusive", appears(0.2))},
        {"NotVerified"},
    ),
    "a probe that is not made": (NO_STREAM, {"NotVerified"}),
    "a suspended endpoint": ({**NO_STREAM, LAST: f"0+60x{TROUBLE} stale"}, set()),
    "a path that takes seconds": (
        {f'streamingendpoint_probe_ttft_seconds_sum{{{PROBE},hop="Exposure"}}': grows(0.06, 0.8)},
        {"PathSlow"},
    ),
}


def test_the_rules_are_valid(tmp_path: Path) -> None:
    """By promtool's own check, duplicates included."""
    rule = a_rule(monitoring={"slo": {"target": "99.5"}})
    (tmp_path / "rules.yaml").write_text(json.dumps(rule["spec"]))
    ended = promtool("check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml"))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_each_trouble_fires_its_alert_and_no_other(tmp_path: Path) -> None:
    """All of them in one run of promtool: an hour after the trouble began, and none before it did."""

    def firing(minute: int, names: set[str]) -> dict[str, Any]:
        return {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [
                {"labels": f'{{alertname="StreamingEndpoint{name}"}}', "value": 1} for name in sorted(names)
            ],
        }

    cases = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values} for series, values in {**HEALTHY, **changed}.items()
            ],
            "promql_expr_test": [firing(TROUBLE, set()), firing(TROUBLE + 60, expected)],
        }
        for name, (changed, expected) in TROUBLES.items()
    ]
    judged(tmp_path, a_rule(), cases)


def test_every_alert_is_caused_above() -> None:
    """A new one needs its trouble."""
    caused = {f"StreamingEndpoint{name}" for _, names in TROUBLES.values() for name in names}
    assert {rule["alert"] for rule in alerts(a_rule())} == caused


def test_thresholds_are_those_of_the_spec() -> None:
    """And a probe that is turned off alarms nobody."""
    limits = {
        "ttftMilliseconds": 1500,
        "tokenGapMilliseconds": 80,
        "errorPercent": 1,
        "pathMilliseconds": 300,
    }
    text = json.dumps(a_rule(monitoring={"prometheusRule": limits}))
    for limit in ("> 1.5", "> 0.08", "> 0.01", "> 0.3"):
        assert f'{limit}"' in text
    (group,) = a_rule(verification={"mode": "Disabled"})["spec"]["groups"]
    assert group["name"] == "streamingendpoint-engine"


def test_a_window_has_four_scrapes() -> None:
    """A rate of an endpoint that is scraped every ten minutes would have no value in five, and no alert would fire."""

    def windows(**monitoring: Any) -> set[str]:
        (engine, _) = a_rule(monitoring=monitoring)["spec"]["groups"]
        return set(re.findall(r"\[(\d+s)\]", json.dumps(engine)))

    assert windows() == {"120s", "300s"}
    assert windows(serviceMonitor={"intervalSeconds": 60}) == {"240s", "300s"}
    assert windows(serviceMonitor={"intervalSeconds": 600}) == {"2400s"}


def test_it_is_found_by_the_labels_of_the_service_monitor_unless_it_has_its_own() -> None:
    """Most have one Prometheus, which selects both by the same label."""
    monitor = {"labels": {"release": "prometheus"}}
    both = a_rule(monitoring={"serviceMonitor": monitor})
    assert both["metadata"]["labels"]["release"] == "prometheus"
    own = a_rule(monitoring={"serviceMonitor": monitor, "prometheusRule": {"labels": {"team": "a"}}})
    assert (own["metadata"]["labels"].get("release"), own["metadata"]["labels"]["team"]) == (None, "a")


def test_every_alert_has_its_runbook() -> None:
    """A section of docs/alerts.md under its own name, and none for an alert that is no more."""
    rules = alerts(a_rule(monitoring={"slo": {"target": "99.5"}}))
    sections = re.findall(r"^## (StreamingEndpoint\w+)$", PAGE.read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules]
    assert {rule["annotations"]["runbook"] for rule in rules} == {
        f"docs/alerts.md#{name.lower()}" for name in sections
    }
