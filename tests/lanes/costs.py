"""What each lane and each file of tests cost in a run: seconds, and the processor's seconds among them."""

import json
import os
import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("costs.json")
"""The costs of the last run that was asked to write them down: COSTS=write make test."""


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
    """Seconds that all processors of this machine were busy, and had; None where the kernel does not tell."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


Costs = dict[tuple[str, str], Cost]
"""By lane and file."""


def summed(reports: Iterable[pytest.TestReport]) -> Costs:
    """The costs of these tests."""
    costs: Costs = {}
    for report in reports:
        key = (getattr(report, "lane", "?"), report.nodeid.partition("::")[0])
        spent = getattr(report, "processor_seconds", 0.0)
        costs.setdefault(key, Cost()).add(report.when == "call", report.duration, spent)
    return costs


def by_lane(costs: Costs) -> dict[str, Cost]:
    """The files of a lane together."""
    lanes: dict[str, Cost] = {}
    for (lane, _), cost in costs.items():
        lanes.setdefault(lane, Cost()).add(cost.tests, cost.seconds, cost.processor_seconds)
    return lanes


def table(lanes: Mapping[str, Cost]) -> list[str]:
    """A line for each lane, the longest first."""
    rows = sorted(lanes.items(), key=lambda row: -row[1].seconds)
    return [f"{'lane':<26}{'tests':>7}{'seconds':>9}{'processor':>11}"] + [
        f"{name:<26}{cost.tests:>7}{cost.seconds:>9.0f}{cost.processor_seconds:>11.0f}" for name, cost in rows
    ]


def kept() -> Costs:
    """Those that were written down last."""
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    return {(lane, file): Cost(*numbers) for lane, file, *numbers in rows}


def keep(costs: Costs) -> None:
    """Write them down for docs/tests.md; those of files that did not run stay."""
    rows = [
        [*key, cost.tests, round(cost.seconds, 1), round(cost.processor_seconds, 1)]
        for key, cost in sorted((kept() | costs).items())
        if (ROOT / key[1]).exists()
    ]
    FILE.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
