"""Burn rates of an objective alarm while its budget is used up too fast, and for nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.rules import ENGINE, PROBE, Series, a_rule, judged

pytestmark = pytest.mark.programs("promtool")

DAY = 24 * 60
BEGUN = DAY
"""The minute in which a trouble begins, after a day without; three would take minutes to evaluate."""
FAST, SLOW = "StreamingEndpointBudgetBurnsFast", "StreamingEndpointBudgetBurnsSlowly"
REQUESTS, STREAMS = (
    f'vllm:request_success_total{{{ENGINE},finished_reason="%s"}}',
    f'streamingendpoint_probes_total{{{PROBE},hop="Exposure",verdict="%s"}}',
)
OBJECTIVE = {"slo": {"target": "99.5", "windowDays": 30}}
Firing = dict[int, set[tuple[str, str]]]
"""What fires so many minutes after the trouble began: alert and what it is about."""


def counted(series: str, name: str, before: float, *then: tuple[float, int]) -> Series:
    """A counter that grows by *before* a minute, then by each of *then* for so many minutes."""
    text, value = f"0+{before:g}x{BEGUN}", before * BEGUN
    for growth, minutes in then:
        text += f" {value + growth:g}+{growth:g}x{minutes - 1}"
        value += growth * minutes
    return {series % name: text}


def requests(*bad_of_thousand: tuple[float, int]) -> Series:
    """A thousand a minute; from the trouble on, so many of them end in an error."""
    good = [(1000 - bad, minutes) for bad, minutes in bad_of_thousand]
    return {
        **counted(REQUESTS, "stop", 1000, *good),
        **counted(REQUESTS, "error", 0, *bad_of_thousand),
    }


def verified(bad: float, minutes: int, verdict: str = "Buffered") -> Series:
    """One verification in five minutes; from the trouble on this share of them has the verdict."""
    return {
        **counted(STREAMS, "Streaming", 0.2, (0.2 * (1 - bad), minutes)),
        **counted(STREAMS, verdict, 0, (0.2 * bad, minutes)),
    }


CASES: dict[str, tuple[Series, Firing]] = {
    "all is well": (
        {**requests((0, DAY)), **verified(0, DAY)},
        {60: set(), DAY: set()},
    ),
    "nobody asks": (counted(REQUESTS, "stop", 0, (0, DAY)), {60: set(), DAY: set()}),
    "a tenth of the requests fails for an hour": (
        requests((100, 60), (0, 60)),
        {30: set(), 55: {(FAST, "requests")}, 75: set()},
    ),
    "two in a hundred fail for a day": (
        requests((20, DAY)),
        {300: set(), DAY - 5: {(SLOW, "requests")}},
    ),
    "fewer fail than the budget has": (requests((4, DAY)), {60: set(), DAY - 5: set()}),
    "a proxy holds back every second stream": (
        {**requests((0, 120)), **verified(0.5, 120)},
        {20: {(FAST, "streams")}, 115: {(FAST, "streams"), (SLOW, "streams")}},
    ),
    "verifications prove nothing": (verified(0.5, 120, "Inconclusive"), {30: set(), 115: set()}),
    "streams and requests fail": (
        {**requests((100, 60)), **verified(0.5, 60)},
        {55: {(FAST, "requests"), (FAST, "streams"), (SLOW, "streams")}},
    ),
}


def a_case(name: str) -> dict[str, Any]:
    """One test of promtool."""
    series, expected = CASES[name]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname, sli) (ALERTS{{alertstate="firing",alertname=~"{FAST}|{SLOW}"}})',
                "eval_time": f"{BEGUN + minutes}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}",sli="{sli}"}}', "value": 1}
                    for alert, sli in sorted(firing)
                ],
            }
            for minutes, firing in expected.items()
        ],
    }


def of_objective(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule with the objective's group alone: the others' alerts are another file's."""
    groups = [group for group in rule["spec"]["groups"] if group["name"] == "streamingendpoint-slo"]
    return {"spec": {"groups": groups}}


@pytest.mark.parametrize("name", CASES)
def test_a_budget_that_burns_too_fast_alarms(tmp_path: Path, name: str) -> None:
    """The long window says that it matters, the short one that it still goes on."""
    judged(tmp_path, of_objective(a_rule(monitoring=OBJECTIVE)), [a_case(name)], every="5m")


def test_without_an_objective_there_are_no_burn_rates() -> None:
    """Nobody's rules change by themselves; and where nothing is verified, requests alone are counted."""
    assert "burn" not in json.dumps(a_rule())
    unverified = a_rule(monitoring=OBJECTIVE, verification={"mode": "Disabled"})
    assert set(re.findall(r'"sli": "(\w+)"', json.dumps(unverified))) == {"requests"}


def limits(**slo: Any) -> set[str]:
    """The burn rates that alarm."""
    return set(re.findall(r"> ([\d.]+)", json.dumps(of_objective(a_rule(monitoring={"slo": slo})))))


def test_what_alarms_follows_from_target_and_window() -> None:
    """As in the SRE workbook for 30 days: 14.4, 6, 3, 1. A window of a week has a quarter of the budget."""
    assert limits(target="99.9") == {"14.4", "6", "3", "1"}
    assert limits(target="99.9", windowDays=7) == {"3.36", "1.4", "0.7", "0.233333"}
    budgets = re.findall(r" / ([\d.]+)\"", json.dumps(a_rule(monitoring={"slo": {"target": "99.95"}})))
    assert set(budgets) == {"0.0005"}


def test_no_objective_allows_more_than_can_fail() -> None:
    """Of the lowest target and the longest window, the fast alert fires before everything fails."""
    assert max(map(float, limits(target="95", windowDays=31))) * 0.05 < 1


def test_a_window_has_a_verification_and_four_scrapes() -> None:
    """An endpoint that is verified once a day has no rate in five minutes."""

    def windows(sli: str, **spec: Any) -> list[int]:
        monitoring = {**OBJECTIVE, **spec.pop("monitoring", {})}
        (group,) = of_objective(a_rule(monitoring=monitoring, **spec))["spec"]["groups"]
        burns = [rule for rule in group["rules"] if rule.get("labels", {}).get("sli") == sli]
        return sorted({int(seconds) for rule in burns for seconds in re.findall(r"\[(\d+)s\]", rule["expr"])})

    assert windows("streams")[:3] == [450, 1800, 3600]
    assert windows("streams", verification={"intervalSeconds": 86_400}) == [95_161, 259_200]
    assert windows("requests")[:2] == [300, 1800]
    assert windows("requests", monitoring={"serviceMonitor": {"intervalSeconds": 600}})[0] == 2400
