"""docs/tests.md: which promise is tested where, and what that costs. Made from the tests' own docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests import lanes
from tests.lanes import costs
from tests.lanes.costs import Run

ROOT = Path(__file__).resolve().parents[2]

HEAD = """# Tests

`make unit` runs what needs no cluster, no root and no build; `make test` runs everything.
`make test PYTEST='-k test_sse' LANES=0` runs what you choose in one process, and builds or starts only what that needs.
`make test FULL=1` takes every healthy stream and every example of the properties; otherwise a run takes a part.

Tests run in `LANES` processes side by side (four, unless told otherwise): most of them wait most of the time. What a
test needs is prepared before the first test that asks for it, with a line for each step on the terminal. A machine that
cannot have it skips its tests with the reason; under CI (`CI=true`) that is a failure.

A new file of tests needs no entry anywhere: its lane follows from its folder and its markers (`tests/lanes/`). A test
on the cluster that changes what others rely on is marked `disruptive`; one that must have the machine for itself,
`quiet`.
"""
COSTS = """{lanes}

Seconds are those of the tests and of what they prepare, one after the other; side by side they took {seconds} s on two
cores without other load, which were busy for {busy_percent} % of it. Processor seconds are those of the tests and their
processes, not those of the cluster. `COSTS=write make test` measures them anew, then `make generate`.
"""


class _Source:
    """A file of tests before it has been run: its text shows the markers, but not of which test."""

    def __init__(self, file: str) -> None:
        self._text = (ROOT / file).read_text()

    def get_closest_marker(self, name: str) -> object | None:
        return True if f"pytest.mark.{name}" in self._text else None


def page() -> str:
    """The whole document."""
    parts = [HEAD, _costs(costs.kept())]
    files = list(_files())
    for lane in lanes.LANES:
        if lane.about:
            parts += [
                f"\n## {lane.name[0].upper()}{lane.name[1:]}\n",
                f"{lane.about}\n",
                "| file | what it promises |\n|---|---|",
                *(
                    f"| `{file.removeprefix('tests/')}` | {_promise(ROOT / file)} |"
                    for name, file in files
                    if name == lane.name
                ),
            ]
    return "\n".join(parts) + "\n"


def _files() -> Iterator[tuple[str, str]]:
    """Every file of tests after its lane."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = str(path.relative_to(ROOT))
        yield lanes.lane_of(file, _Source(file)).name, file


def _costs(run: Run | None) -> str:
    if run is None:
        return ""
    rows = (
        f"| {name} | {cost.tests} | {cost.seconds:.0f} | {cost.processor_seconds:.0f} |"
        for name, cost in run.lanes.items()
    )
    head = "| lane | tests | seconds | processor |\n|---|---:|---:|---:|"
    return COSTS.format(lanes="\n".join((head, *rows)), seconds=run.seconds, busy_percent=run.busy_percent)


def _promise(path: Path) -> str:
    """The first paragraph of its docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
