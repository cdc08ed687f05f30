"""
What the tests on the cluster show of each edge, for docs/edges/README.md.

A test says it by a mark, `pytest.mark.shows(profile, column, what)`. The marks are read from the text of the files, so
that nothing has to be installed to make the page.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from streaming_operator import routes
from tests.cluster.versions import VERSIONS

TESTS = Path(__file__).resolve().parents[1] / "tests" / "e2e"
COLUMNS = {
    "default": "a stream by default",
    "ours": "with what we write",
    "cut": "told when it is not so",
    "drain": "when its own pod is replaced",
}
UNRELEASED = re.compile(r"^0\.0\.0-(\d{4})(\d\d)(\d\d)\d{6}-[0-9a-f]{12}$")
"""Go's version of a commit that has none: its time, and the beginning of its hash."""


class Shown(NamedTuple):
    """What one test shows of one edge."""

    profile: str
    column: str
    what: str
    file: str


def of_file(name: str, text: str) -> Iterator[Shown]:
    """The marks of one file's tests; raises `ValueError` for one that is no cell of the table."""
    for test in ast.parse(text).body:
        for mark in getattr(test, "decorator_list", ()):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.shows":
                profile, column, what = (ast.literal_eval(argument) for argument in mark.args)
                if profile not in routes.profiles() or column not in COLUMNS:
                    raise ValueError(
                        f"{name}: no edge {profile!r} or no column {column!r} of {', '.join(COLUMNS)}"
                    )
                yield Shown(profile, column, what, name)


def shown() -> tuple[Shown, ...]:
    """The marks of every test on the cluster, by file."""
    return tuple(
        one for file in sorted(TESTS.glob("test_*.py")) for one in of_file(file.name, file.read_text())
    )


def rows(marks: Iterable[Shown]) -> list[list[str]]:
    """The table: an edge a row, by title, each cell linked to the tests that show it; at the end those never seen."""
    marks = tuple(marks)
    edges = sorted(
        (route for route in routes.registry().values() if route.profile != routes.GENERIC),
        key=lambda route: (route.profile not in {one.profile for one in marks}, route.title.lower()),
    )
    return [
        [_named(route.profile, route.title), *(_cell(marks, route.profile, column) for column in COLUMNS)]
        for route in edges
    ]


def _named(profile: str, title: str) -> str:
    """The edge, its page, and the version that the tests run where it is pinned there."""
    version = getattr(VERSIONS, profile.replace("-", "_"), "").removeprefix("v")
    version = UNRELEASED.sub(r"of \1-\2-\3", version)
    return f"[{title}]({profile}.md) {version}".strip()


def _cell(marks: tuple[Shown, ...], profile: str, column: str) -> str:
    ours = [one for one in marks if one.profile == profile]
    cells = [f"[{one.what}](../../tests/e2e/{one.file})" for one in ours if one.column == column]
    return "; ".join(cells) or ("not shown" if ours else "not seen")
