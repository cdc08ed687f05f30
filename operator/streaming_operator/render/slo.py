"""
Burn rates of an endpoint's service level objective: how many times too fast its error budget is used up.

1 uses up the budget exactly at the window's end. Windows and shares are those of the SRE workbook, "Alerting on SLOs",
recommendation 6: a long window says that it matters, a short one that it still goes on.
"""

from dataclasses import dataclass

from streaming_operator.api.endpoint import StreamingEndpoint
from streaming_operator.api.monitoring import Slo
from streaming_operator.api.reasons import STREAMS, Verdict
from streaming_operator.engines.base import Series
from streaming_operator.render.rules import (
    SCRAPES,
    alert,
    of_engine,
    one_verification,
    own,
    record,
    recorded,
)
from streaming_operator.values import Manifest

BURN = "slo_burn:rate"
MINUTE, HOUR, DAY = 60, 3600, 86_400
WINDOWS = {
    "5m": 5 * MINUTE, "30m": 30 * MINUTE, "1h": HOUR, "2h": 2 * HOUR, "6h": 6 * HOUR, "1d": DAY, "3d": 3 * DAY,
}  # fmt: skip
"""Seconds by name."""


@dataclass(frozen=True)
class Step:
    """Of the budget, *share* is used up within *long* at the rate that alarms."""

    share: float
    long: str
    short: str

    def rate(self, days: int) -> float:
        """The burn rate, for a budget of so many days."""
        return self.share * days * DAY / WINDOWS[self.long]


FAST = (Step(0.02, "1h", "5m"), Step(0.05, "6h", "30m"))
SLOW = (Step(0.10, "1d", "2h"), Step(0.10, "3d", "6h"))


def rules(endpoint: StreamingEndpoint, objective: Slo, series: Series) -> list[Manifest]:
    """A burn rate for each window, of requests and of verified streams; and two alerts on both."""
    budget = f"{1 - float(objective.target) / 100:.6g}"
    verified = endpoint.spec.verification.mode != "Disabled"
    made = []
    for name, seconds in WINDOWS.items():
        made.append(_burn(endpoint, "requests", name, _requests(endpoint, series, seconds), budget))
        if verified:
            made.append(_burn(endpoint, "streams", name, _streams(endpoint, seconds), budget))
    what = "{{ $labels.sli }} fail {{ $value | humanize }} times as often as the objective allows"
    return [
        *made,
        alert(endpoint, "BudgetBurnsFast", _any(endpoint, objective, FAST), "2m", "critical", what),
        alert(endpoint, "BudgetBurnsSlowly", _any(endpoint, objective, SLOW), "15m", "warning", what),
    ]


def _burn(endpoint: StreamingEndpoint, sli: str, window: str, ratio: str, budget: str) -> Manifest:
    return record(endpoint, BURN, f"{ratio} / {budget}", sli=sli, window=window)


def _requests(endpoint: StreamingEndpoint, series: Series, seconds: int) -> str:
    """Of those that ended, the share that the engine failed or cut."""
    scrapes = SCRAPES * endpoint.spec.monitoring.service_monitor.interval_seconds
    window = f"[{max(seconds, scrapes)}s]"
    all_of = f"{series.finished}{{{of_engine(endpoint)}"
    return f"(sum(rate({all_of},{series.failed}}}{window})) or vector(0)) / sum(rate({all_of}}}{window}))"


def _streams(endpoint: StreamingEndpoint, seconds: int) -> str:
    """Of the verifications that proved anything, the share that did not stream."""
    window = f"[{max(seconds, one_verification(endpoint))}s]"
    all_of = f"streamingendpoint_probes_total{{{own(endpoint)}"
    good = "|".join(sorted(STREAMS))
    decided = f'verdict!="{Verdict.INCONCLUSIVE}"'
    return (
        f'(sum(rate({all_of},{decided},verdict!~"{good}"}}{window})) or vector(0)) '
        f"/ sum(rate({all_of},{decided}}}{window}))"
    )


def _any(endpoint: StreamingEndpoint, objective: Slo, steps: tuple[Step, ...]) -> str:
    """
    Whether one of the steps is exceeded over both of its windows, once for each kind of failure.

    Without `window`: with it, an alert would begin anew when another step takes over.
    """

    def exceeded(window: str, rate: float) -> str:
        return f"max without (window) ({recorded(endpoint, BURN, window=window)} > {rate:.6g})"

    both = (
        " and ".join(exceeded(window, step.rate(objective.window_days)) for window in (step.long, step.short))
        for step in steps
    )
    return " or ".join(f"({one})" for one in both)
