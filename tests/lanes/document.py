"""docs/tests.md: which promise is proven where, and what that costs. Made from the tests' own docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests import lanes
from tests.lanes import costs
from tests.lanes.costs import Cost, Costs

HEAD = """# Tests

`make unit` runs what needs no cluster, no root and no build; `make test` runs everything.
`make test PYTEST='-k test_sse' LANES=0` runs what you choose in one process, and builds or starts only what that needs.
`make test FULL=1` takes the whole draw of healthy streams.

Tests run in `LANES` processes side by side (four, unless told otherwise): most of them wait most of the time. What a
test needs is prepared before the first test that asks for it, with a line for each step on the terminal. A machine that
cannot have it skips its tests with the reason; under CI (`CI=true`) that is a failure.

A new file of tests needs no entry anywhere: its lane follows from its folder and its markers (`tests/lanes/`). A test
on the cluster that changes what others rely on is marked `disruptive`; one that must have the machine for itself,
`quiet`.

Seconds are those of the tests themselves, one after the other; side by side they overlap. Processor seconds are those
of the test and its processes, not those of the cluster. `COSTS=write make test` measures them anew.
"""


class _Source:
    """A file of tests before it has been run: its text tells the markers, if not of which test."""

    def __init__(self, file: str) -> None:
        self._text = (costs.ROOT / file).read_text()

    def get_closest_marker(self, name: str) -> object | None:
        return True if f"pytest.mark.{name}" in self._text else None


def page() -> str:
    """The whole document."""
    rows = _rows()
    parts = [HEAD, *_lanes(rows)]
    for lane in lanes.LANES:
        if lane.about:
            parts += [
                f"\n## {lane.name[0].upper()}{lane.name[1:]}\n",
                f"{lane.about}\n",
                *_files(rows, lane.name),
            ]
    return "\n".join(parts) + "\n"


def _rows() -> Costs:
    """Every file of tests, with what it cost where that is known."""
    known = costs.kept()
    rows = {key: cost for key, cost in known.items() if (costs.ROOT / key[1]).exists()}
    known_files = {file for _, file in rows}
    for path in sorted((costs.ROOT / "tests").rglob("test_*.py")):
        file = str(path.relative_to(costs.ROOT))
        if file not in known_files:
            rows[lanes.lane_of(file, _Source(file)).name, file] = Cost()
    return rows


def _lanes(rows: Costs) -> Iterator[str]:
    yield "| lane | tests | seconds | processor |\n|---|---:|---:|---:|"
    for name, cost in costs.by_lane(rows).items():
        yield f"| {name} | {_numbers(cost)}"


def _files(rows: Costs, lane: str) -> Iterator[str]:
    yield "| file | what it promises | tests | seconds | processor |\n|---|---|---:|---:|---:|"
    for (name, file), cost in sorted(rows.items()):
        if name == lane:
            yield f"| `{file.removeprefix('tests/')}` | {_promise(costs.ROOT / file)} | {_numbers(cost)}"


def _numbers(cost: Cost) -> str:
    if not cost.tests:
        return "| | |"
    return f"{cost.tests} | {cost.seconds:.0f} | {cost.processor_seconds:.0f} |"


def _promise(path: Path) -> str:
    """The first paragraph of its docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
