"""The table of what was seen on real edges is from marks of the tests; a mark that is no cell of it is refused."""

import pytest

from hack import seen_edges
from hack.seen_edges import COLUMNS, Shown
from streaming_operator import routes


def test_a_mark_of_a_test_is_a_cell_of_its_edge() -> None:
    """Several marks on one test, too; other marks and unmarked tests say nothing."""
    text = """
@pytest.mark.quiet
@pytest.mark.shows("traefik", "default", "no cut")
@pytest.mark.shows("traefik", "drain", "whole")
async def test_one(): ...
def test_other(): ...
"""
    marks = tuple(seen_edges.of_file("test_it.py", text))

    assert marks == (
        Shown("traefik", "default", "no cut", "test_it.py"),
        Shown("traefik", "drain", "whole", "test_it.py"),
    )
    row = seen_edges.rows(marks)[0]
    assert row[0].startswith("[Traefik](traefik.md)")
    assert row[1:] == [
        "[no cut](../../tests/e2e/test_it.py)",
        "not shown",
        "not shown",
        "[whole](../../tests/e2e/test_it.py)",
    ]


@pytest.mark.parametrize("mark", ['"caddy", "default", "x"', '"traefik", "speed", "x"'])
def test_a_mark_that_is_no_cell_is_refused(mark: str) -> None:
    """A misspelt edge or column would be left out without a word."""
    with pytest.raises(ValueError, match="no edge"):
        list(seen_edges.of_file("test_it.py", f"@pytest.mark.shows({mark})\ndef test_one(): ..."))


def test_every_known_edge_has_a_row_and_those_that_no_test_runs_say_so() -> None:
    """Nothing is claimed of an edge that nobody ran."""
    table = seen_edges.rows(())

    assert {tuple(row[1:]) for row in table} == {("not seen",) * len(COLUMNS)}
    assert len(table) == len(routes.profiles()) - 1


def test_the_edges_that_the_tests_run_are_shown() -> None:
    """The marks of the tests on the cluster are found."""
    assert {"envoy-gateway", "traefik", "ingress-nginx"} <= {one.profile for one in seen_edges.shown()}


def test_an_edge_without_releases_is_named_by_its_day() -> None:
    """Go's version of a commit is not for people."""
    (named,) = (row[0] for row in seen_edges.rows(()) if row[0].startswith("[Istio]"))
    assert named == "[Istio](istio.md) of 2026-08-27"
