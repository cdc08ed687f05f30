"""
The fault zoo: real proxies with real faults; each is named with its hop and its remedy, and nothing that is fine is.

All chosen cases run at once, a few at a time, before the first test looks at its own. `ZOO=write` writes the
table to docs/fault-zoo.md.
"""

import asyncio
import os

import pytest

from streaming_operator.api.reasons import Hop
from streaming_operator.probe.http.request import CHAT_PATH, Request
from streaming_operator.probe.judge.remedies import TABLE
from tests.probe.conftest import Engines
from tests.probe.zoo import keeper, matrix
from tests.probe.zoo.keeper import Outcome
from tests.probe.zoo.table import CASES, NOT_HERE
from tests.unit.probe.streams import record

BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Outcome]:
    """What the probe said of every case that this run chose."""
    chosen = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    cases = [case for case in CASES if case.name in chosen]
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def tell(text: str) -> None:
        """At once, to whom waits: a fixture's output is kept until something fails."""
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    results = asyncio.run(keeper.Keeper(engines, tmp_path_factory.mktemp("zoo"), tell).run(cases))
    tell(matrix.text(cases, results))
    if os.environ.get("ZOO") == "write" and len(cases) == len(CASES):
        matrix.write("table", matrix.table(CASES))
        matrix.write("exceptions", matrix.exceptions(NOT_HERE))
        grid = "\n".join(matrix.grid(matrix.counted(cases, results)))
        matrix.write("matrix", f"```text\n{grid}\n```\n")
    return results


@pytest.mark.parametrize(
    "name", [pytest.param(case.name, marks=pytest.mark.programs(*case.programs)) for case in CASES]
)
def test_case(name: str, outcomes: dict[str, Outcome]) -> None:
    """The verdict, the hop to blame, the advice and the proxy that the table expects."""
    case, outcome = BY_NAME[name], outcomes[name]
    if outcome.missing:
        pytest.skip(outcome.missing)
    assert not outcome.broken, outcome.broken
    result = outcome.result
    assert result is not None
    expected = f"{case.expected} at {case.hop}, {keeper.row(case)}, {case.fingerprint or 'any proxy'}"
    said = f"{result.verdict} at {result.hop}: {result.message}"
    assert keeper.is_as_expected(case, result), f"expected {expected}; the probe said {said}"


def test_every_row_has_a_case_and_every_case_a_row() -> None:
    """No advice that nothing was seen to cause, save those that the list of exceptions gives a reason for."""
    shown = {row.name for case in CASES if (row := keeper.row(case))}
    rows = {row.name for row in TABLE.values()}
    assert shown & set(NOT_HERE) == set()
    assert shown | set(NOT_HERE) == rows


def test_every_stream_is_reloaded_at_its_age() -> None:
    """Also one whose first read comes later than the last one before it, which was cut early."""
    ages: list[float] = []
    at = 0.0
    reloads = keeper.Reloads(lambda: ages.append(at))
    for reads in ((0.5, 1.0), (0.1, 0.4), (0.6, 1.0, 1.6), (1.7, 2.0)):
        for at in reads:
            reloads.on_read(Hop.EXPOSURE, at, 1)
        reloads.on_exchange(Request("POST", CHAT_PATH, "llm.example", ()), record(()))
    assert ages == [1.0, 0.4, 1.6, 1.7]


def test_names_are_unique() -> None:
    """A case is known by its name."""
    assert len(BY_NAME) == len(CASES)


def test_document_is_the_present_table() -> None:
    """docs/fault-zoo.md shows the cases, verdicts and remedies of today; ZOO=write brings it up to date."""
    page = matrix.DOCUMENT.read_text()
    assert matrix.part(page, "table") == matrix.table(CASES)
    assert matrix.part(page, "exceptions") == matrix.exceptions(NOT_HERE)
