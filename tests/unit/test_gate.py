"""`.ci/run`: which failures end it, and which are asked again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.programs import listed

ROOT = Path(__file__).resolve().parent.parent.parent
MAKEFILE = f"""
check:
test:
\t@{sys.executable} -m pytest -ra $(PYTEST)
"""
TESTS = """
from pathlib import Path

import pytest

COUNT = Path(__file__).parent / "count"


@pytest.mark.parametrize("number", range({failing}))
def test_of_luck(number):
    before = COUNT.read_text() if COUNT.exists() else ""
    COUNT.write_text(before + "x")
    assert len(before) >= {luck}


def test_that_passes():
    {last}
"""


def gate(folder: Path, *, failing: int, luck: int, last: str = "pass") -> tuple[int, str]:
    """Exit code and output of the gate of a project whose first *luck* runs of one of *failing* tests fail."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "Makefile").write_text(MAKEFILE)
    (folder / "test_luck.py").write_text(TESTS.format(failing=failing, luck=luck, last=last))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        listed(["bash", ".ci/run"]), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def summaries(output: str) -> list[str]:
    """What stands in the last lines."""
    return [line.strip("= ").partition(" in ")[0] for line in output.splitlines()[-2:]]


def test_a_failure_that_is_none_alone_is_told_and_forgiven(tmp_path: Path) -> None:
    """Both summaries are the last lines, and the test's name stands above the second."""
    code, output = gate(tmp_path, failing=1, luck=1)
    assert (code, summaries(output)) == (0, ["1 failed, 1 passed", "1 passed"]), output
    assert "==> asked again, alone:\ntest_luck.py::test_of_luck[0]\n" in output


def test_a_failure_that_stays_ends_the_gate(tmp_path: Path) -> None:
    """It is asked once more, and no third time."""
    code, output = gate(tmp_path, failing=1, luck=3)
    assert (code != 0, summaries(output)) == (True, ["1 failed, 1 passed", "1 failed"]), output


@pytest.mark.parametrize(
    "more", [{"failing": 6}, {"failing": 1, "last": "raise KeyboardInterrupt"}], ids=["many", "interrupted"]
)
def test_many_failures_or_an_interrupted_run_are_no_luck(tmp_path: Path, more: dict[str, object]) -> None:
    """Nothing is asked again."""
    code, output = gate(tmp_path, luck=6, **more)  # type: ignore[arg-type]
    assert code != 0
    assert "asked again" not in output
