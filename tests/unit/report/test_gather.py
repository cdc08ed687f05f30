"""Which run decides, and which numbers of a timeline are reported."""

import re
from pathlib import Path

import pytest

from streaming_operator.api.reasons import Hop, Reason, Verdict
from streaming_operator.report.exit_codes import exit_code
from tests.unit.report.reports import FINE, STORED, report, result

V = Verdict


@pytest.mark.parametrize(
    ("verdicts", "expected", "code"),
    [
        ([V.STREAMING], V.STREAMING, 0),
        ([V.STREAMING, V.ENGINE_BATCHED], V.STREAMING, 0),
        ([V.STREAMING, V.INCONCLUSIVE, V.STREAMING], V.INCONCLUSIVE, 3),
        ([V.INCONCLUSIVE, V.UNREACHABLE], V.UNREACHABLE, 4),
        ([V.UNREACHABLE, V.BUFFERED, V.UNREACHABLE], V.BUFFERED, 1),
        ([V.COALESCED, V.BUFFERED, V.BUFFERED], V.BUFFERED, 1),
    ],
)
def test_the_worst_run_decides(verdicts: list[Verdict], expected: Verdict, code: int) -> None:
    """Not streaming before not connected before inconclusive before streaming; among equals the most frequent."""
    gathered = report(*(result(verdict) for verdict in verdicts))
    assert (gathered.verdict, gathered.exit_code) == (expected, code)
    assert gathered.decisive.verdict == gathered.verdict
    assert sum(gathered.distribution.values()) == len(verdicts)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_an_exit_code(verdict: Verdict) -> None:
    """One of the four that are documented, and 0 only for what streams."""
    code = exit_code(verdict)
    assert code in (0, 1, 3, 4)
    assert (verdict in (V.STREAMING, V.ENGINE_BATCHED)) == (code == 0)


def test_a_workload_that_is_not_up_does_not_stream() -> None:
    """Reasons that are no verdict come from diagnose."""
    assert exit_code(Reason.IMAGE_NOT_PULLED) == 1


def test_evidence_and_remedy_are_separated() -> None:
    """The message of the operator's status has both in one line."""
    gathered = report(result(V.BUFFERED, message="64 tokens. In 1 read. Remedy: turn it off. Then on"))
    assert (gathered.evidence, gathered.remedy) == ("64 tokens. In 1 read", "turn it off. Then on")


def test_hops_have_the_names_that_people_gave_them() -> None:
    """`URL` for what was asked; a hop without a name of its own keeps the probe's."""
    gathered = report(result(V.BUFFERED, STORED, inner=FINE))
    assert [hop.hop for hop in gathered.decisive.hops] == ["URL", str(Hop.POD)]


def test_numbers_of_a_timeline() -> None:
    """Milliseconds, with every read and the tokens that it completed."""
    (hop,) = report(result(V.STREAMING)).decisive.hops
    assert (
        hop.ttft_milliseconds,
        hop.max_gap_milliseconds,
        hop.generation_milliseconds,
        hop.made_after_milliseconds,
        hop.pacing,
    ) == (100.0, 10.0, 630.0, 20.1, 1.0)
    assert [arrival.tokens for arrival in hop.arrivals] == [0, *[1] * 64, 0]


def test_a_hop_without_an_answer_has_no_numbers() -> None:
    """Nothing is made up."""
    (hop,) = report(result(V.UNREACHABLE, None)).decisive.hops
    assert (hop.arrivals, hop.ttft_milliseconds, hop.events) == ((), None, 0)


def test_the_page_has_every_verdict_with_its_exit_code() -> None:
    """docs/probe.md has the exit code of every verdict, what it means and what to do."""
    page = (Path(__file__).parents[3] / "docs" / "probe.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    codes = {name: int(code) for name, code in rows}
    assert codes == {str(verdict): exit_code(verdict) for verdict in Verdict}
