"""docs/security.md promises nothing that no test holds."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "security.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
FIRST_COLUMN = "threat"


def rows() -> list[list[str]]:
    """The cells of every line of the threat model's tables, without their heads."""
    lines = (line for line in DOCUMENT.read_text().splitlines() if line.startswith("|"))
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != FIRST_COLUMN and not set(row[0]) <= {"-"}]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_each_threat_names_tests_that_exist(row: list[str]) -> None:
    """A line has four columns, and its third names a file, or a function in it, that is there."""
    assert len(row) == 4
    tests = TEST.findall(row[2])
    assert tests, "names no test"
    for path, function in tests:
        assert (ROOT / path).is_file(), path
        assert not function or f"def {function}(" in (ROOT / path).read_text(), function
