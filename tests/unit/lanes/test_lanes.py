"""How a run is spread: the lane of each test, what is prepared once, who waits for whom."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests import lanes
from tests.cluster.steps import Failure
from tests.lanes import costs, document, ended, run_folder
from tests.lanes.costs import Cost
from tests.lanes.locks import Lock, held
from tests.lanes.preparation import Need, Outcome, unavailable


class Marked:
    """A test with these markers."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def get_closest_marker(self, name: str) -> object | None:
        """The name itself stands for the marker."""
        return name if name in self._names else None


@pytest.fixture
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A run of its own within this one."""
    monkeypatch.setattr("tests.lanes.preparation.folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "markers", "lane"),
    [
        ("tests/unit/probe/test_sse.py", (), "unit"),
        ("tests/loop/test_verification.py", (), "unit"),
        ("tests/golden/test_strict_dry_run.py", ("apiserver",), "API server"),
        ("tests/e2e/test_ready.py", ("cluster",), "cluster"),
        ("tests/e2e/test_deletion.py", ("cluster", "disruptive"), "cluster, alone"),
        ("tests/e2e/test_real_vllm.py", ("cluster", "real_vllm"), "real vLLM on the cluster"),
        ("tests/e2e/test_rbac.py", ("cluster",), "roles"),
        ("tests/contract/test_engine_wire.py", ("real_vllm",), "real vLLM on the host"),
        ("tests/contract/test_engine_wire.py", (), "probe and servers"),
        ("tests/probe/zoo/test_zoo.py", ("programs",), "fault zoo"),
    ],
)
def test_the_lane_of_a_test(path: str, markers: tuple[str, ...], lane: str) -> None:
    """Folder and markers decide; nothing has to be entered."""
    assert lanes.lane_of(path, Marked(*markers)).name == lane


def test_what_judges_all_others_begins_last() -> None:
    """The lane that waits for others must not stand before them in a queue."""
    last = max(lanes.LANES, key=lanes.position)
    assert last.name == lanes.LAST


def test_tests_of_one_file_stay_together() -> None:
    """They share what takes long to start."""
    zoo = lanes.lane_of("tests/probe/test_tls.py", Marked())
    assert lanes.group("tests/probe/test_tls.py", zoo) == "probe/test_tls"


def test_what_is_needed_is_made_once(own_folder: Path) -> None:
    """Whoever asks second gets what the first one made."""
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 7

    assert [Need("x", make).outcome() for _ in range(2)] == [Outcome(7), Outcome(7)]
    assert made == [1]


def test_what_cannot_be_had_is_tried_once_and_has_a_reason(own_folder: Path) -> None:
    """A build that fails after ten minutes is not begun again by the next test."""
    tried: list[int] = []

    def make() -> None:
        tried.append(1)
        raise Failure("no Go here")

    assert [Need("x", make).outcome().missing for _ in range(2)] == ["no Go here"] * 2
    assert tried == [1]


@pytest.mark.parametrize(("ci", "ending"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_requirement_skips_for_people_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, ending: type[BaseException]
) -> None:
    """Nobody reads the skips of a gate."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(ending, match="no Go here"):
        unavailable("no Go here")


def test_who_disturbs_waits_for_the_others(tmp_path: Path) -> None:
    """Two that share a lock hold it at once; one that needs it exclusively gets it when both are done."""
    lock, order = tmp_path / "lock", []
    requested = threading.Event()

    def disturb() -> None:
        requested.set()
        with held(Lock(lock, alone=True)):
            order.append("alone")

    with held(Lock(lock)), held(Lock(lock)):
        thread = threading.Thread(target=disturb)
        thread.start()
        requested.wait()
        order.append("together")
    thread.join()
    assert order == ["together", "alone"]


def test_who_judges_others_waits_until_they_have_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In whatever order and process; one that never ends is missing after a while."""
    monkeypatch.setattr(ended, "folder", lambda: tmp_path)
    monkeypatch.setattr(ended, "_PAUSE", 0.01)
    ended.note("a")
    thread = threading.Thread(target=ended.note, args=("b",))
    thread.start()
    ended.wait_for(["a", "b"])
    thread.join()
    assert ended.missing(["a", "b"]) == set()

    monkeypatch.setattr(ended, "PATIENCE", 0.05)
    ended.wait_for(["a", "c"])
    assert ended.missing(["a", "c"]) == {"c"}


def test_every_file_of_tests_is_in_the_document() -> None:
    """With a promise of its own: the first paragraph of its docstring."""
    page = document.page()
    files = [
        str(path.relative_to(document.ROOT / "tests"))
        for path in (document.ROOT / "tests").rglob("test_*.py")
    ]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [file for file in files if f"| `{file}` |" not in page] == []
    assert [row for row in rows if "|  |" in row] == []


def test_a_run_that_was_written_down_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whole seconds of each lane, the longest first; the document shows them."""
    monkeypatch.setattr(costs, "FILE", tmp_path / "costs.json")
    assert costs.kept() is None
    costs.keep(costs.Run(60, 90, {"a": Cost(1, 2.4, 1.0), "b": Cost(2, 3.0, 0.6)}))
    assert costs.kept() == costs.Run(60, 90, {"b": Cost(2, 3, 1), "a": Cost(1, 2, 1)})
    page = document.page()
    assert "| b | 2 | 3 | 1 |\n| a | 1 | 2 | 1 |\n" in page
    assert "they took 60 s" in page


def test_costs_of_a_lane_are_those_of_its_tests() -> None:
    """Preparation counts as time, not as a test."""
    reports = [report("a", "setup", 2.0), report("a", "call", 3.0), report("b", "call", 1.0)]
    assert costs.summed(reports) == {"a": Cost(1, 5.0, 1.0), "b": Cost(1, 1.0, 0.5)}


def report(lane: str, when: Literal["setup", "call"], seconds: float) -> pytest.TestReport:
    """Of a phase of a test that passed."""
    return pytest.TestReport(
        "x", ("x", 0, "x"), {}, "passed", None, when, duration=seconds, lane=lane, processor_seconds=0.5
    )


def test_the_folder_of_the_run_is_the_one_of_its_first_process() -> None:
    """A process that was started by another begins no run of its own."""
    before = run_folder.folder()
    assert not run_folder.begin()
    assert run_folder.folder() == before
