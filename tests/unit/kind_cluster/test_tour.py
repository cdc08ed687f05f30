"""What the demo says before it begins and after it has ended."""

import json
import shlex

import pytest

from tests.cluster import tour
from tests.cluster.versions import Mode


@pytest.mark.parametrize("mode", ["build", "registry"])
def test_the_demo_says_first_what_it_will_do_and_how_long_it_takes(mode: Mode) -> None:
    """Every part has its usual time, on a line that fits a terminal."""
    title, *parts = tour.opening(mode).strip().splitlines()
    assert title.split()[-3:] == ["first", "time", "again"]
    assert [part.split(".")[0].strip() for part in parts] == [
        str(number) for number in range(1, len(parts) + 1)
    ]
    assert max(map(len, parts)) <= 100


def test_what_breaks_the_edge_is_undone_by_what_repairs_it() -> None:
    """Both are one command, and they set and remove the same key of the edge's ConfigMap."""
    break_it, repair_it = (
        shlex.split(command) for command in (tour.breaking("tiny.demo.svc.cluster.local"), tour.repairing())
    )
    assert break_it[:-1] == repair_it[:-1]
    broken, repaired = (json.loads(words[-1])["data"] for words in (break_it, repair_it))
    assert (broken.keys(), repaired) == (repaired.keys(), {"server-snippet": None})
    assert "proxy_pass http://tiny.demo.svc.cluster.local;" in broken["server-snippet"]


def test_the_commands_worth_trying_are_said_in_full() -> None:
    """They can be copied as they stand."""
    text = tour.next_steps(namespace="demo", name="tiny", service="tiny.demo:8000", edge="172.18.0.2:80")
    assert "kubectl get sep -n demo -w" in text
    assert "streamctl diagnose tiny -n demo --via 172.18.0.2:80" in text
    assert tour.breaking("tiny.demo:8000") in text
    assert tour.repairing() in text
