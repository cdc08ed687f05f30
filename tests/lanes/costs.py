"""What each lane cost in a run: seconds, and the processor's seconds among them."""

import json
import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("costs.json")
"""The costs of the last run of everything that was asked to write them down: COSTS=write make test."""


@dataclass
class Cost:
    """Of some tests together; beside each other they take less."""

    tests: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    """Of the test's process and of those that it started and awaited; not of what runs on the cluster."""

    def add(self, tests: int, seconds: float, processor_seconds: float) -> None:
        self.tests += tests
        self.seconds += seconds
        self.processor_seconds += processor_seconds


def processor_seconds() -> float:
    """What this process and those that it has awaited have used."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def machine_seconds() -> tuple[float, float] | None:
    """Seconds that all processors of this machine were busy, and had; None where the kernel does not report it."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


Costs = dict[str, Cost]
"""By lane."""


@dataclass(frozen=True)
class Run:
    """A run of everything, its lanes side by side."""

    seconds: int
    busy_percent: int
    """How much of it the processors had work, that of other programs included."""
    lanes: Costs


def summed(reports: Iterable[pytest.TestReport]) -> Costs:
    """The costs of these tests."""
    costs: Costs = {}
    for report in reports:
        spent = getattr(report, "processor_seconds", 0.0)
        lane = costs.setdefault(getattr(report, "lane", "?"), Cost())
        lane.add(report.when == "call", report.duration, spent)
    return costs


def table(costs: Costs) -> list[str]:
    """A line for each lane, the longest first."""
    return [f"{'lane':<26}{'tests':>7}{'seconds':>9}{'processor':>11}"] + [
        f"{name:<26}{cost.tests:>7}{cost.seconds:>9.0f}{cost.processor_seconds:>11.0f}"
        for name, cost in _longest_first(costs)
    ]


def _longest_first(costs: Costs) -> list[tuple[str, Cost]]:
    return sorted(costs.items(), key=lambda row: -row[1].seconds)


def kept() -> Run | None:
    """What was written down last; None before the first time."""
    if not FILE.exists():
        return None
    text = json.loads(FILE.read_text())
    return Run(text["seconds"], text["busy_percent"], {lane: Cost(*row) for lane, *row in text["lanes"]})


def keep(run: Run) -> None:
    """Write it down for docs/tests.md."""
    rows = [
        json.dumps([name, cost.tests, round(cost.seconds), round(cost.processor_seconds)])
        for name, cost in _longest_first(run.lanes)
    ]
    FILE.write_text(
        f'{{"seconds": {run.seconds}, "busy_percent": {run.busy_percent}, "lanes": [\n'
        + ",\n".join(rows)
        + "\n]}\n"
    )
