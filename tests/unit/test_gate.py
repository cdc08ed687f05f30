"""`.ci/run`: which failures end it, and which are asked again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hack import again
from tests.cluster.programs import listed
from tests.e2e import conftest as e2e

ROOT = Path(__file__).resolve().parent.parent.parent
MAKEFILE = f"""
check:
test:
\t@{sys.executable} -m pytest -ra {{options}} $(PYTEST)
"""
LUCK = """
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range({failing}))
def test_of_luck(number):
    once = Path(__file__).parent / f"once-{{number}}"
    if once.exists():
        {second}
    else:
        once.touch()
        raise AssertionError


def test_beside_it():
    {beside}
"""
SPOILT = """
import os

assert os.environ.get("PYTEST_XDIST_WORKER") != "gw1"
"""
TOLD = "==> asked again, alone:\ntest_luck.py::test_of_luck[0]\n"


def gate(
    folder: Path,
    *,
    failing: int = 1,
    second: str = "pass",
    beside: str = "pass",
    options: str = "",
    more: str = "",
) -> tuple[int, str]:
    """
    Exit code and output of the gate of a small project: *failing* tests fail at first, and do *second* when they are
    asked again; *more* is another file of tests.
    """
    for name in ("run", "again.py"):
        place = folder / (".ci" if name == "run" else "hack")
        place.mkdir()
        shutil.copy(ROOT / place.name / name, place / name)
    programs = folder / "tests" / "cluster" / "programs.py"
    programs.parent.mkdir(parents=True)
    programs.write_text("listed = list\n")
    (folder / "Makefile").write_text(MAKEFILE.format(options=options))
    (folder / "test_luck.py").write_text(LUCK.format(failing=failing, second=second, beside=beside))
    if more:
        (folder / "test_more.py").write_text(more)
    ours = ("PYTEST", "MAKE", "MFLAGS", "LANES", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        listed(["bash", ".ci/run"]), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def summaries(output: str) -> list[str]:
    """What stands in the last lines."""
    return [line.strip("= ").partition(" in ")[0] for line in output.splitlines()[-2:]]


@pytest.mark.parametrize(
    ("second", "summary"),
    [("pass", "1 passed"), ("import warnings; warnings.warn('late')", "1 passed, 1 warning")],
    ids=["passes", "and warns"],
)
def test_a_failure_that_is_none_alone_is_told_and_forgiven(tmp_path: Path, second: str, summary: str) -> None:
    """Both summaries are the last lines, and the test's name stands above the second."""
    code, output = gate(tmp_path, second=second)
    assert (code, summaries(output)) == (0, ["1 failed, 1 passed", summary]), output
    assert TOLD in output


@pytest.mark.parametrize(
    ("second", "summary"),
    [("assert False", "1 failed"), ("pytest.skip()", "1 skipped")],
    ids=["fails", "is skipped"],
)
def test_one_that_does_not_pass_the_second_time_ends_the_gate(
    tmp_path: Path, second: str, summary: str
) -> None:
    """It is asked once more, and no third time."""
    code, output = gate(tmp_path, second=second)
    assert (code, summaries(output)) == (1, ["1 failed, 1 passed", summary]), output
    assert TOLD in output


@pytest.mark.parametrize(
    ("project", "why"),
    [
        pytest.param({"failing": 6}, "6 tests failed", id="many"),
        pytest.param(
            {"beside": "raise KeyboardInterrupt"}, "the run did not come to its end", id="interrupted"
        ),
        pytest.param({"options": "-n 2", "more": SPOILT}, "", id="one process without a file"),
        pytest.param(
            {"options": "-n 2", "beside": "import os; os._exit(1)"}, "the run did not come", id="a crash"
        ),
    ],
)
def test_what_is_no_luck_of_a_few_tests_ends_the_gate(
    tmp_path: Path, project: dict[str, object], why: str
) -> None:
    """Nothing is asked again, though tests have failed that would pass, and it says why."""
    code, output = gate(tmp_path, **project)  # type: ignore[arg-type]
    assert code == 1, output
    assert f"==> nothing is asked again: {why}" in output
    assert "asked again, alone" not in output


def test_what_an_earlier_run_left_does_not_count(tmp_path: Path) -> None:
    """The list of failures is that of this run: here nothing was collected."""
    cache = tmp_path / again.FAILED
    cache.parent.mkdir(parents=True)
    cache.write_text('{"test_luck.py::test_of_luck[0]": true}')
    code, output = gate(tmp_path, options="--no-such-option")
    assert code == 1, output
    assert "asked again, alone" not in output


def test_those_who_judge_a_whole_run_are_named() -> None:
    """Alone they would pass, since there is nothing to judge."""
    folder = Path(e2e.__file__).parent
    judging = [file for file in folder.glob("test_*.py") if e2e.whole_run.__name__ in file.read_text()]
    assert {str(file.relative_to(ROOT)) for file in judging} == set(again.JUDGES)
    log = "=== 1 failed, 9 passed in 3.0s ===\nmake: *** [Makefile:42: test] Error 1\n"
    assert again.refusal(log, ["tests/unit/test_a.py::test_b"], 700) == ""
    for judge in again.JUDGES:
        assert "no test that can be asked alone" in again.refusal(log, [f"{judge}::test_b"], 700)
    assert "are needed" in again.refusal(log, ["tests/unit/test_a.py::test_b"], 500)
